#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# ESP under AES-256-GCM with keys from a link, between two namespaces: an epoch
# per packet and longer ones, both directions at once, reordered and duplicated;
# when epochs begin, what they cost and what they share; what happens without
# key. esp_aes.host decrypts the captures from the emulated link's seed, and
# looks for keys of old epochs in RAM.
# timeout: 900

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/esp_lib.sh"

# shellcheck disable=SC2034
CIPHER=aes
# An emulated machine that has to share its host may take its time.
PARK="park-time 1s"

# aes_up FAMILY MODE REKEY...: SAs both ways, out with REKEY.
aes_up()
{
	local family=$1 mode=$2
	shift 2

	addresses "$family" "$mode"
	# shellcheck disable=SC2086
	sa_add alice out $SPI_A2B $A $B "$mode" $ESN $PARK "$@" &&
		sa_add bob in $SPI_A2B $A $B "$mode" $ESN $PARK replay-window 1024 &&
		sa_add bob out $SPI_B2A $B $A "$mode" $ESN $PARK "$@" &&
		sa_add alice in $SPI_B2A $B $A "$mode" $ESN $PARK replay-window 1024 || return
	policies alice "$mode" $A $B $IN_A $IN_B
	policies bob "$mode" $B $A $IN_B $IN_A
}

# What was sent has come, and both name the same epochs. Nothing was refused
# but, of $1 = shaken, duplicates.
ends_tell_the_same()
{
	ends_match '[.packets, .bytes, .epochs, (.epoch | .key_id, .packets, .bytes)]' \
		"${1:+.duplicate}" && return
	tell
	return 1
}

matrix()
{
	local family mode

	for family in 4 6; do
		for mode in tunnel transport; do
			for ESN in '' esn; do
				addresses $family $mode
				check "IPv$family $mode $ESN: SAs are added" \
					aes_up $family $mode rekey-packets 3
				check "IPv$family $mode $ESN: pings of 0 to 65000 bytes" \
					python3 -m esp_ping "$(scaled 200)" "$IN_A" "$IN_B"
				check "IPv$family $mode $ESN: datagrams in pieces, compared" \
					python3 -m esp_echo "$(scaled 300)" "$IN_A" "$IN_B"
				check "IPv$family $mode $ESN: both ends tell the same" \
					ends_tell_the_same
				tunnel_down
			done
		done
	done
	ESN=
}

shake()
{
	in_alice tc qdisc add dev va root netem delay 4ms reorder 5% duplicate 1% limit 10000
	in_bob tc qdisc add dev vb root netem delay 4ms reorder 5% duplicate 1% limit 10000
}

still()
{
	in_alice tc qdisc del dev va root
	in_bob tc qdisc del dev vb root
}

burst()
{
	python3 -m esp_burst "$(scaled 100000)" "$IN_A" "$IN_B" && return
	tell
	return 1
}

# shaken PACKETS-PER-EPOCH NUMBER: with SPIs of its own, for esp_aes.host
shaken()
{
	local per=$1

	SPI_A2B=$((0x1001 + 16 * $2)) SPI_B2A=$((0x1002 + 16 * $2))
	check "an epoch per $per packets: SAs are added" aes_up 4 tunnel rekey-packets "$per"
	check "an epoch per $per packets: all come, reordered and duplicated, once" \
		captured "$OUT/per$per.pcap" burst
	check "an epoch per $per packets: both ends tell the same" ends_tell_the_same shaken
	check "an epoch per $per packets: no epoch is longer or shorter" lengths "$per"
	[ "$per" = 1000 ] || tunnel_down
}

lengths()
{
	local ns packets epochs

	for ns in alice bob; do
		packets=$(sa $ns out .packets) epochs=$(sa $ns out .epochs)
		[ "$epochs" -eq $(((packets + $1 - 1) / $1)) ] || {
			echo "$ns: $epochs epochs for $packets packets"
			return 1
		}
	done
}

proof()
{
	local number=0 per

	head -c 32 /dev/urandom >/tmp/seed
	check "single ends with a seed come up" \
		seeded_up 500mbit /tmp/seed "$QKD_GEN" key-capacity 4M pad-capacity 2M
	shake
	for per in 1 10 1000; do
		shaken $per $number
		number=$((number + 1))
	done
	still
	ids >"$OUT/live"
	# A receiver keeps an epoch for 5 s after its last packet.
	sleep 8
	check "RAM is dumped" dump_ram spent
	check "the current epochs are those of before" same_ids
	check "the ends' accounts agree" ends_agree
	in_alice qkd -j -s esp show >"$OUT/alice.json"
	cp /tmp/seed "$OUT/seed"
	tunnel_down
	link_down
}

ids()
{
	echo "$(sa alice out .epoch.key_id) $(sa bob out .epoch.key_id)"
}

same_ids()
{
	[ "$(ids)" = "$(cat "$OUT/live")" ]
}

# pinged COUNT INTERVAL: pings, all answered
pinged()
{
	in_alice ping -n -q -c "$1" -i "$2" -w 60 "$IN_B" >/tmp/ping && return
	cat /tmp/ping
	tell
	return 1
}

# between LOW VALUE HIGH
between()
{
	[ "$2" -ge "$1" ] && [ "$2" -le "$3" ] && return
	echo "$2 is not between $1 and $3"
	tell
	return 1
}

# Packets begin epochs, at most one each 200 ms; a busy machine makes fewer.
by_time()
{
	local before

	before=$(sa alice out .epochs)
	pinged 300 0.01 && between 2 $(($(sa alice out .epochs) - before)) 200 || return
	[ "$(sa alice out .epoch.age)" -ge 0 ]
}

idle()
{
	local before

	sleep 1
	before=$(sa alice out .key_bytes)
	sleep 3
	[ "$(sa alice out .key_bytes)" = "$before" ]
}

by_bytes()
{
	local packets least

	pinged 100 0.01 || return
	# ping sends more than it was asked to, if answers are late
	packets=$(sa alice out .packets)
	# 88 bytes of text a ping: 11 of them make 968
	least=$(((packets + 10) / 11))
	between $((least - 1)) "$(sa alice out .epochs)" $least &&
		[ "$(sa alice out .epoch.bytes)" -le 1000 ] &&
		[ "$(sa alice out .bytes)" -eq $((88 * packets)) ]
}

changed()
{
	local packets

	in_alice qkd esp set spi $SPI_A2B dir out dev qkd0 rekey-packets 2 || return
	packets=$(sa alice out .packets)
	pinged 40 0.01 || return
	packets=$(($(sa alice out .packets) - packets))
	between $((packets / 2)) $(($(sa alice out .epochs) - $1)) $((packets / 2 + 2))
}

# The end of a generation ends its epochs; traffic goes on in the next one.
next_generation()
{
	local old

	old=$(sa alice out .epoch.key_id)
	in_alice qkd link set qkd0 down && in_bob qkd link set qkd0 down || return
	in_alice ping -n -q -c 1 -W 1 "$IN_B" && return 1
	[ "$(sa alice out .epoch)" = null ] && [ "$(sa bob in .epoch)" = null ] || return
	in_alice qkd link set qkd0 up && in_bob qkd link set qkd0 up
	wait_for 20 link_is_up && pinged 3 0.2 && [ "$(sa alice out .epoch.key_id)" != "$old" ]
}

key_is_there()
{
	[ "$(live alice key)" -ge "$1" ] && [ "$(live bob key)" -ge "$1" ]
}

# auto_on RATE SECONDS: a link of that rate under rekey auto, and how it went
auto_on()
{
	local rate=$1 enough=$2

	in_alice qkd link add qkd0 type emu rate "$rate" peer name qkd0 netns bob || return
	wait_for 60 key_is_there "$enough" || return
	aes_up 4 tunnel rekey auto || return
	pinged 400 0.02 && refused_nothing alice && refused_nothing bob || return
	echo "$rate: $(sa alice out .epochs) epochs, one each $(sa alice out .interval) ms, $(live alice key) bytes of key"
	[ "$(live alice key)" -ge 32 ]
}

slow_auto()
{
	auto_on 20kbit 128
}

fast_auto()
{
	auto_on 100mbit 65536 && [ "$(sa alice out .epochs)" -ge 20 ]
}

# Two tunnels with rekey auto get key in the proportion of their weights.
shares()
{
	local six heavy light

	in_alice qkd esp set spi $SPI_A2B dir out dev qkd0 weight 3 || return
	SPI_A2B=0x2001 SPI_B2A=0x2002 aes_up 6 tunnel rekey auto || return
	six=$IN_B
	addresses 4 tunnel
	heavy=$(sa_of $SPI_A2B .epochs)
	in_alice ping -n -q -c 500 -i 0.02 -w 60 "$six" >/dev/null &
	pinged 500 0.02 && wait $! || return
	heavy=$(($(sa_of $SPI_A2B .epochs) - heavy)) light=$(sa_of 0x2001 .epochs)
	echo "weight 3: $heavy epochs, weight 1: $light"
	[ "$light" -ge 2 ] && [ "$heavy" -ge $((2 * light)) ] && [ "$heavy" -le $((5 * light)) ]
}

sa_of()
{
	in_alice qkd -j -s esp show | jq ".[] | select(.spi == $(($1))) | $2"
}

ktap_print_header
ktap_set_plan $((1 + 32 + 4 + 4 + 3 + 16))
wire_up
ESN=
addresses 4 tunnel
check "a link comes up" link_up 200mbit key-capacity 128k
matrix

aes_up 4 tunnel rekey-time 200ms
check "an epoch begins each 200 ms, with a packet" by_time
check "an idle SA spends no key" idle
check "qkd esp set, under traffic" changed "$(sa alice out .epochs)"
tunnel_down
aes_up 4 tunnel rekey-bytes 1000
check "an epoch begins before the 1001st byte" by_bytes
tunnel_down

aes_up 4 tunnel rekey-packets 1
check "without key nothing is sent" runs_dry 500 56
check "with key again, traffic passes" revives
check "a generation's end ends its epochs" next_generation
check "the ends' accounts agree, over the epochs of both" ends_agree
tunnel_down
link_down

check "rekey auto, a slow link" slow_auto
check "rekey auto, weights" shares
tunnel_down
link_down
check "rekey auto, a fast link" fast_auto
tunnel_down
link_down

proof
ktap_finished
