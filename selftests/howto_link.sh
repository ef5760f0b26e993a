#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Every command of Documentation/howto-link.md, as it stands there.
# guests: 2
# timeout: 600

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/howto_lib.sh"

# shellcheck disable=SC2034
PAGE=$(dirname "$0")/doc/howto-link.md
# shellcheck disable=SC2034
BLOCKS="plan secrets alice bob start tunnels-alice tunnels-bob try watch eve blocked gone
new-key take-key end"
PLAN=/run/qkd/plan

# Figures in the last column of the table, and those that the report has.
rate_of()
{
	sed -nE "s/^ *$1 +([0-9.e+]+) .*/\1/p" $PLAN
}

# On a terminal, for --top. What comes out agrees with the table.
planned()
{
	local mean table

	block plan >/run/qkd/commands || return
	(cd /opt/qkd && TERM=xterm script -qec "bash -eu /run/qkd/commands" /dev/null) |
		tr -d '\r' >$PLAN
	[ "${PIPESTATUS[0]}" -eq 0 ] && grep -q 'a2b-pad' $PLAN || { tail -n 20 $PLAN; return 1; }
	mean=$(rate_of 'Secret key rate, mean')
	table=$(sed -nE 's/^R = ([0-9]+) .*/\1/p' $PLAN)
	awk -v a="$mean" -v b="$table" 'BEGIN { exit !(a > 0.85 * b && a < 1.15 * b) }' && return
	echo "mean \"$mean\", by the table \"$table\""
	tail -n 20 $PLAN
	return 1
}

# share TIME NAME: a file of alice's in /etc/qkd, the same at bob's
share()
{
	umask 077
	mkdir -p /etc/qkd
	if [ "$ROLE" = alice ]; then
		put_value "$1-$2" "$(base64 -w 0 "/etc/qkd/$2")"
	else
		get_value "$1-$2" | base64 -d >"/etc/qkd/$2"
	fi
}

blocked()
{
	local said

	said=$(paste_block blocked 2>&1)
	[ "$(grep -c '3 packets transmitted, 0 received' <<<"$said")" = 2 ] &&
		[ "$(grep -cE 'refused: no-key [1-9]' <<<"$said")" = 2 ] && return
	echo "$said"
	return 1
}

alice()
{
	ktap_set_plan 13
	check "every block of the page is run here" all_are_run
	check "a plan, and light that agrees with it" planned
	check "secrets" paste_block secrets
	share first site.psk
	share first qkd0.bootstrap
	check "alice" paste_block alice
	check "key comes" says start "conf is good" "state up"
	check "tunnels" paste_block tunnels-alice
	barrier tunnels
	check "packets pass" says try "cipher otp" "cipher aes"
	check "figures" says watch 'qkd_link_alarm{link="qkd0"} 0' "is kept: " "eps_sec"
	check "Eve is noticed" says eve "qber-alarm" "QBER is above" "reason qber"
	check "the tunnels block" blocked
	check "she goes, and they come back" says gone "qber-clear" " 3 received"
	barrier gone
	check "a new bootstrap key" paste_block new-key
	share second qkd0.bootstrap
	barrier shared
	check "it is taken" says take-key "a new bootstrap key was taken"
	barrier taken
}

bob()
{
	ktap_set_plan 4
	share first site.psk
	share first qkd0.bootstrap
	check "bob" paste_block bob
	check "key comes" says start "conf is good" "state up"
	check "tunnels" paste_block tunnels-bob
	barrier tunnels
	barrier gone
	share second qkd0.bootstrap
	barrier shared
	check "a new bootstrap key is taken" says take-key "a new bootstrap key was taken"
	barrier taken
}

ktap_print_header
"$ROLE"
paste_block end
ktap_finished
