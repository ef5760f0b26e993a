#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Links of type user, each end fed and confirmed by the test supplier through
# its node, with a tunnel over them.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/esp_lib.sh"

SUPPLIER=$(dirname "$0")/tools/supplier
SEED=/run/qkd/supplier.seed
SUPPLIERS=()

# suppliers_up [OPTION...]: the options go to alice's
suppliers_up()
{
	ip netns exec bob "$SUPPLIER" qkd0 $SEED listen 7001 \
		&>/run/qkd/log.bob &
	SUPPLIERS=($!)
	ip netns exec alice "$SUPPLIER" qkd0 $SEED connect 10.1.0.2 7001 "$@" \
		&>/run/qkd/log.alice &
	SUPPLIERS+=($!)
}

suppliers_down()
{
	kill "${SUPPLIERS[@]}" 2>/dev/null
	wait "${SUPPLIERS[@]}" 2>/dev/null
	SUPPLIERS=()
}

# links_up [PARAMETER...]
links_up()
{
	in_alice qkd link add qkd0 type user role alice id "site a" peer-id "site b" \
		export export "$@" &&
		in_bob qkd link add qkd0 type user role bob id "site b" \
			peer-id "site a" export export "$@"
}

# state NAMESPACE STATE LABEL
state()
{
	[ "$(link_field "$1" .state)" = "$2" ] && [ "$(link_field "$1" .label)" = "$3" ]
}

# fed LABEL: both ends are up and well supplied
fed()
{
	wait_for 60 link_is_up && state alice up "$1" && state bob up "$1" && return
	cat /run/qkd/log.*
	return 1
}

pings()
{
	in_alice ping -q -c 20 -i 0.1 -s 1200 "$IN_B" && same_at_both_ends
}

accounts()
{
	local ns

	for ns in alice bob; do
		ip netns exec $ns qkd -j -s link show qkd0 >/run/qkd/accounts.$ns
	done
	python3 "$(dirname "$0")/ref/ref.py" accounts /run/qkd/accounts.alice \
		/run/qkd/accounts.bob
}

# spoiled WORD: alice's third block is flipped or lost, at both ends
spoiled()
{
	local ns lost

	suppliers_up blocks 20 "$1" 3
	wait_for 30 has_lost alice && wait_for 30 has_lost bob &&
		wait_for 30 has_blocks 20
	lost=$?
	suppliers_down
	[ $lost = 0 ] && accounts
	lost=$?
	[ $lost = 0 ] || {
		cat /run/qkd/log.*
		return 1
	}
	for ns in alice bob; do
		lost=$(link_field $ns '.streams | map(.lost) | add')
		[ "$lost" = 4096 ] || {
			echo "$ns lost $lost bytes"
			return 1
		}
	done
}

has_lost()
{
	[ "$(link_field "$1" '.streams | map(.lost) | add')" -gt 0 ]
}

has_blocks()
{
	[ "$(link_field alice '.streams | map(select(.dir == "out").supplied) | add')" -ge \
		$(($1 * 4096)) ] && [ "$(link_field bob '.streams | map(.pending) | add')" = 0 ]
}

# The peers differ in what they hold: all blocks mismatch, the link goes down.
differs()
{
	head -c 32 /dev/urandom >/run/qkd/other.seed
	ip netns exec bob "$SUPPLIER" qkd0 /run/qkd/other.seed listen 7001 \
		&>/dev/null &
	in_alice timeout 60 "$SUPPLIER" qkd0 $SEED connect 10.1.0.2 7001 &>/dev/null
	wait $!
	[ "$(link_field alice .reason)" = mismatch ] &&
		[ "$(link_field bob .reason)" = mismatch ]
}

same_roles()
{
	in_bob qkd link del qkd0
	in_bob qkd link add qkd0 type user role alice id "site b" peer-id "site a"
	ip netns exec bob "$SUPPLIER" qkd0 $SEED listen 7001 &>/dev/null &
	! in_alice timeout 60 "$SUPPLIER" qkd0 $SEED connect 10.1.0.2 7001 || return
	wait $!
	[ "$(link_field alice .state)" = down ] &&
		[ "$(link_field bob .reason)" = role-clash ]
}

ktap_print_header
ktap_set_plan 12

mkdir -p /run/qkd
head -c 32 /dev/urandom >$SEED
wire_up
check "two links are added" links_up
suppliers_up
check "suppliers feed and confirm both ends" fed 1
addresses 4 tunnel
check "a tunnel" tunnel_up 4 tunnel 64
check "packets pass" pings
check "a key that one end reads the other claims" same_key
suppliers_down
check "the accounts agree" accounts
tunnel_down
suppliers_up
check "the next generation" fed 2
suppliers_down
check "a flipped bit costs both ends the block" spoiled flip
check "a lost block is a gap at both ends" spoiled lose
check "ends that hold different bytes go down" differs
check "equal roles are refused" same_roles
link_down
check "no node is left" bash -c '! compgen -G "/dev/qkd*"'
ip netns del alice
ip netns del bob

ktap_finished
