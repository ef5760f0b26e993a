#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What SAs do when their link has no key, as on-empty says: aes stays on its last
# epoch up to its limits, otp goes on under AES where both ends allow it, and
# both come back by themselves. esp_onempty.host decrypts the capture.
# timeout: 600

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/esp_lib.sh"

# An emulated machine that has to share its host may take its time.
PARK="park-time 1s"

# one_way CIPHER OUT-PARAMETERS IN-PARAMETERS: alice to bob as said, back plainly
one_way()
{
	# shellcheck disable=SC2034
	CIPHER=$1
	addresses 4 tunnel
	# shellcheck disable=SC2086
	sa_add alice out $SPI_A2B $A $B tunnel $2 &&
		sa_add bob in $SPI_A2B $A $B tunnel replay-window 512 $3 &&
		sa_add bob out $SPI_B2A $B $A tunnel $3 &&
		sa_add alice in $SPI_B2A $B $A tunnel replay-window 512 $3 || return
	policies alice tunnel $A $B $IN_A $IN_B
	policies bob tunnel $B $A $IN_B $IN_A
}

pinged()
{
	in_alice ping -n -q -c "$1" -i "${2:-0.05}" -w 30 -s "${3:-56}" "$IN_B" >/tmp/ping &&
		return
	cat /tmp/ping
	tell
	return 1
}

refused_a_ping()
{
	! in_alice ping -n -q -c 1 -W 1 "$IN_B" >/dev/null
}

# At both ends: what one end has of a single emulated end, the other must have.
supply()
{
	in_alice qkd link set qkd0 "$1"
	in_bob qkd link set qkd0 "$1"
	sleep 0.5
}

# events NAMESPACE: what qkd monitor says from here on, to /tmp/events.NAMESPACE
events()
{
	ip netns exec "$1" stdbuf -oL qkd -j monitor >"/tmp/events.$1" 2>&1 &
	MONITORS="$MONITORS $!"
	sleep 1
}

# told EVENT: alice's monitor said so of her outbound SA
told()
{
	wait_for 5 grep -q "\"$1\".*\"spi\":$(($SPI_A2B))" /tmp/events.alice && return
	cat /tmp/events.alice
	return 1
}

# drained COMMAND...: run it until alice's SA goes on without key
drained()
{
	local i

	supply stop
	for ((i = 0; i < 40; i++)); do
		[ "$(sa alice out .fallback)" = false ] || return 0
		"$@" >/dev/null
	done
	tell
	return 1
}

flood()
{
	in_alice ping -n -q -f -c 500 -w 10 "$IN_B"
}

big_flood()
{
	in_alice ping -n -q -f -c 20 -w 5 -s 60000 "$IN_B"
}

# The last epoch serves on, and is told of once.
stays()
{
	local id

	drained flood || return
	id=$(sa alice out .epoch.key_id)
	pinged 10 || return
	[ "$(sa alice out .epoch.key_id)" = "$id" ] && [ "$(sa bob in .epoch.key_id)" = "$id" ] &&
		[ "$(sa alice out .fallback_packets)" -ge 10 ] && told sa-fallback
}

# ... for epoch-packets, and no more
up_to_packets()
{
	local i

	for ((i = 0; i < 100; i++)); do
		[ "$(sa alice out .refused.limit)" -eq 0 ] || break
		in_alice ping -n -q -f -c 50 -w 2 "$IN_B" >/dev/null
	done
	refused_a_ping && [ "$(sa alice out .epoch.packets)" -eq 600 ] &&
		[ "$(sa alice out .refused.limit)" -ge 1 ] && return
	tell
	return 1
}

comes_back()
{
	supply start
	wait_for 20 key_is_there 4096 && pinged 5 &&
		[ "$(sa alice out .fallback)" = false ] && told sa-restored && return
	tell
	return 1
}

key_is_there()
{
	[ "$(live alice key)" -ge "$1" ]
}

# epoch-time counts from the epoch's first packet
up_to_time()
{
	drained flood && sleep 3.2 && refused_a_ping &&
		[ "$(sa alice out .refused.limit)" -ge 1 ] && return
	tell
	return 1
}

blocks_at_once()
{
	local i

	supply stop
	for ((i = 0; i < 40; i++)); do
		[ "$(sa alice out .refused.no_key)" -eq 0 ] || break
		flood >/dev/null
	done
	refused_a_ping && [ "$(sa alice out .fallback)" = false ] &&
		[ "$(sa alice out .fallback_packets)" -eq 0 ]
}

# The SA's first packet shows the peer the epoch, the others have pad.
first_is_aes()
{
	pinged 10 && [ "$(sa alice out .epoch.packets)" -eq 1 ] &&
		[ "$(sa bob in .epoch.packets)" -eq 1 ] &&
		[ "$(sa alice out .fallback)" = false ] && [ "$(sa bob in .fallback_packets)" -eq 1 ] &&
		[ "$(sa alice out .epoch.key_id)" = "$(sa bob in .epoch.key_id)" ] && return
	tell
	return 1
}

goes_under_aes()
{
	drained big_flood && pinged 20 && [ "$(sa alice out .fallback_packets)" -ge 20 ] &&
		told sa-fallback && [ "$(sa alice out .refused.no_key)" -eq 0 ] && return
	tell
	return 1
}

# back to the pad by itself; then a new epoch takes the place of the one used
back_to_pad()
{
	local id under

	id=$(sa alice out .epoch.key_id)
	supply start
	wait_for 20 pad_is_there && pinged 30 0.1 || return
	under=$(sa alice out .fallback_packets)
	pinged 20 && told sa-restored && [ "$(sa alice out .fallback)" = false ] &&
		[ "$(sa alice out .fallback_packets)" -eq "$under" ] &&
		[ "$(sa alice out .epoch.key_id)" != "$id" ] &&
		[ "$(sa alice out .epoch.key_id)" = "$(sa bob in .epoch.key_id)" ] && return
	tell
	return 1
}

pad_is_there()
{
	[ "$(live alice pad)" -gt 1000000 ]
}

out_and_back()
{
	first_is_aes && goes_under_aes && back_to_pad
}

# A receiver that did not allow it refuses what is not under the pad.
not_allowed()
{
	supply start
	wait_for 20 pad_is_there
	! in_alice ping -n -q -c 1 -W 1 "$IN_B" >/dev/null && pinged 5 &&
		[ "$(sa bob in .refused.cipher)" -eq 1 ] && [ "$(sa bob in .packets)" -eq 5 ] && return
	tell
	return 1
}

# An SA that could not fall back is not made.
without_key()
{
	in_alice qkd link add qkd1 type emu rate 1kbit peer name qkd1 netns bob || return
	in_alice qkd link set qkd1 stop
	in_alice qkd esp add src $A dst 10.1.0.9 spi 0x3001 dir out dev qkd1 cipher otp \
		mode tunnel on-empty aes
}

ktap_print_header
ktap_set_plan 16
MONITORS=
wire_up
addresses 4 tunnel
head -c 32 /dev/urandom >"$OUT/seed"
check "single ends with a seed come up" \
	seeded_up 100mbit "$OUT/seed" "$QKD_GEN" key-capacity 64K pad-capacity 2M
events alice

check "aes, on-empty aes: SAs are added" one_way aes \
	"on-empty aes rekey-packets 1 epoch-packets 600 $PARK" "$PARK"
check "without key it stays on its last epoch" stays
check "up to epoch-packets" up_to_packets
check "and begins a new one when there is key" comes_back
tunnel_down
check "aes, on-empty aes, with epoch-time" one_way aes \
	"on-empty aes rekey-packets 1 epoch-time 3s $PARK" "$PARK"
check "without key it stays on its last epoch up to epoch-time" up_to_time
tunnel_down
supply start
wait_for 20 key_is_there 4096
check "aes, on-empty block" one_way aes "rekey-packets 1 $PARK" "$PARK"
check "without key it blocks at once" blocks_at_once
tunnel_down
supply start
wait_for 20 key_is_there 4096

: >/tmp/events.alice
check "otp, on-empty aes: SAs are added" one_way otp "on-empty aes $PARK" \
	"on-empty aes $PARK"
check "otp without pad goes on under AES, and comes back by itself" \
	captured "$OUT/onempty.pcap" out_and_back
check "nothing was refused by the receiver" refused_nothing bob
tunnel_down
check "otp, a receiver without on-empty aes" one_way otp "on-empty aes $PARK" ""
check "it refuses packets under AES, and takes those under the pad" not_allowed
tunnel_down
refuses "otp, on-empty aes, on a link without key" "no key" without_key
in_alice qkd link del qkd1
# shellcheck disable=SC2086
kill $MONITORS
wait
check "the ends' accounts agree" ends_agree
link_down
ktap_finished
