#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# ESP under keys from a link and an external secret, between two namespaces: the
# secret replaced under traffic, and what happens when the ends have others.
# esp_hybrid.host decrypts the captures from the emulated link's seed.
# timeout: 600

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/esp_lib.sh"

# shellcheck disable=SC2034
CIPHER=hybrid
PARK="park-time 1s"

secret()
{
	echo "secret-file $OUT/secret$1 secret-number $1"
}

# hybrid_up SECRET-OF-ALICE SECRET-OF-BOB REKEY...
hybrid_up()
{
	local alice bob

	alice=$(secret "$1") bob=$(secret "$2")
	shift 2
	addresses 4 tunnel
	# shellcheck disable=SC2086
	sa_add alice out $SPI_A2B $A $B tunnel $PARK $alice "$@" &&
		sa_add bob in $SPI_A2B $A $B tunnel $PARK $bob replay-window 1024 &&
		sa_add bob out $SPI_B2A $B $A tunnel $PARK $bob "$@" &&
		sa_add alice in $SPI_B2A $B $A tunnel $PARK $alice replay-window 1024 || return
	policies alice tunnel $A $B $IN_A $IN_B
	policies bob tunnel $B $A $IN_B $IN_A
}

# next_secret NAMESPACE DIR NUMBER
next_secret()
{
	local spi=$SPI_A2B

	[ "$1 $2" = "alice out" ] || [ "$1 $2" = "bob in" ] || spi=$SPI_B2A
	# shellcheck disable=SC2046
	ip netns exec "$1" qkd esp set spi $spi dir "$2" dev qkd0 $(secret "$3")
}

# Receivers first: they take both, and follow the phase bit of each packet.
replace()
{
	next_secret bob in "$1" && next_secret alice in "$1" &&
		sleep 0.3 && next_secret alice out "$1" && next_secret bob out "$1"
}

under_way()
{
	[ "$(sa alice out .packets)" -gt 100 ]
}

# replaced_under_traffic NUMBER
replaced_under_traffic()
{
	local burst before

	python3 -m esp_burst "$(scaled 100000)" "$IN_A" "$IN_B" --flying 48 &
	burst=$!
	# The traffic is there before, and goes on after.
	wait_for 20 under_way && replace "$1" || return
	before=$(sa alice out .packets)
	wait $burst || return
	[ "$(sa alice out .packets)" -gt "$before" ] &&
		python3 -m esp_burst 50 "$IN_A" "$IN_B" &&
		[ "$(sa alice out .epoch.secret_number)" -eq "$1" ] &&
		[ "$(sa alice in .epoch.secret_number)" -eq "$1" ] &&
		refused_nothing alice && refused_nothing bob && return
	tell
	return 1
}

# strangers COUNTER: pings that bob refuses for this reason, and takes nothing
strangers()
{
	local taken

	taken=$(taken_by_bob)
	in_alice ping -n -q -c 5 -i 0.1 -W 1 "$IN_B" && return 1
	[ "$(sa bob in ".refused.$1")" -ge 5 ] && [ "$(sa bob in .packets)" -eq 0 ] &&
		[ "$(taken_by_bob)" = "$taken" ] && return
	tell
	return 1
}

taken_by_bob()
{
	in_bob qkd -j -s link show qkd0 |
		jq '.[0].streams[] | select(.stream == "a2b-key") | .taken'
}

# wrong_secret: the same number, one bit changed
wrong_secret()
{
	local alice

	addresses 4 tunnel
	alice=$(secret 1)
	# shellcheck disable=SC2086
	sa_add alice out $SPI_A2B $A $B tunnel $PARK $alice &&
		sa_add bob in $SPI_A2B $A $B tunnel $PARK secret-file "$OUT/wrong" \
			secret-number 1 replay-window 64 || return
	policies alice tunnel $A $B $IN_A $IN_B
	policies bob tunnel $B $A $IN_B $IN_A
	strangers icv
}

# What userspace can see of an SA and its keys has no secret in it.
no_secret()
{
	local file

	{ in_alice ip xfrm state; in_alice qkd -j -s esp show; dmesg; cat /proc/keys; } |
		tr -d ' \n' >/tmp/shown
	for file in "$OUT"/secret?; do
		! grep -qi "$(od -An -tx1 -N8 "$file" | tr -d ' ')" /tmp/shown || return
	done
}

ktap_print_header
ktap_set_plan 13
wire_up
addresses 4 tunnel
head -c 32 /dev/urandom >"$OUT/seed"
head -c 32 /dev/urandom >"$OUT/secret1"
head -c 1024 /dev/urandom >"$OUT/secret2"
head -c 64 /dev/urandom >"$OUT/secret3"
head -c 64 /dev/urandom >"$OUT/secret4"
head -c 31 "$OUT/secret1" >"$OUT/short"
{ cat "$OUT/short"; tail -c 1 "$OUT/secret1" | tr '\000-\377' '\001-\377\000'; } >"$OUT/wrong"

check "single ends with a seed come up" \
	seeded_up 300mbit "$OUT/seed" "$QKD_GEN" key-capacity 4M pad-capacity 2M
check "another secret at the other end: bad ICVs, nothing is taken" wrong_secret
tunnel_down
check "SAs with secrets of two numbers" hybrid_up 1 2 rekey-packets 1
check "a secret of the other phase is refused as that, nothing is taken" strangers phase
tunnel_down

check "SAs with one secret" hybrid_up 1 1 rekey-packets 3
check "the next secret, under traffic: nothing is lost" \
	captured "$OUT/hybrid.pcap" replaced_under_traffic 2
refuses "a third secret while two live" "two secrets are in use" next_secret bob in 3
refuses "a number that is not the next one" "not the next one" next_secret alice out 4
check "what was refused has changed nothing" \
	python3 -m esp_burst 50 "$IN_A" "$IN_B"
refuses "a sender's next secret that is too short" "32" \
	in_alice qkd esp set spi $SPI_A2B dir out dev qkd0 secret-file "$OUT/short" secret-number 3
if [ "$QKD_SCALE" -ge 100 ]; then
	check "a minute after the switch the old secret has gone" \
		wait_for 90 next_secret bob in 3
else
	ktap_test_skip "a minute after the switch the old secret has gone" \
		"takes a minute: in make test-long"
fi
check "ip xfrm state shows the handle" \
	grep -q 'aead hybrid 0x0000000000000000' <(in_alice ip xfrm state)
check "nothing of the secrets is shown" no_secret
tunnel_down
link_down
ktap_finished
