#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# memory: 3072
# timeout: 3600
# cpus: 2
#
# Speed, as ratios: everything is measured against its alternative in one
# guest, in turns, and the best of the turns counts, since what disturbs a
# measurement only ever makes it slower. No time is a verdict.
#
#   ESP throughput of otp against the kernel's rfc4106(gcm(aes)), by iperf3
#   ESP throughput of aes with keys of different lives, against the same
#   keys allocated, and peeked and committed, per second
#   the same beside 10 000 SAs
#   MACsec under rotating SAKs against a static key (macsec.py)
#   keys by ETSI GS QKD 014 from qkd-kme against netlink (kme.py)
#   setting up IKE_SAs with ML-KEM and QKD against x25519 alone (ike.py)

set -e
cd "$(dirname "$0")"
turns=${TURNS:-3}
bytes=${BYTES:-24M}
n0=bench-a n1=bench-b

cleanup()
{
	ip netns pids $n1 2>/dev/null | xargs -r kill 2>/dev/null || true
	ip netns pids $n0 2>/dev/null | xargs -r kill 2>/dev/null || true
	ip netns del $n0 2>/dev/null || true
	ip netns del $n1 2>/dev/null || true
}
trap cleanup EXIT

a() { ip netns exec $n0 "$@"; }
b() { ip netns exec $n1 "$@"; }

topology()
{
	ip netns add $n0
	ip netns add $n1
	ip -n $n0 link add v0 type veth peer name v0 netns $n1
	ip -n $n0 addr add 198.51.100.1/24 dev v0
	ip -n $n1 addr add 198.51.100.2/24 dev v0
	ip -n $n0 link set v0 up
	ip -n $n1 link set v0 up
	a qkd link add qkd0 type emu rate 20gbit export control,export \
		pad-capacity 64M key-capacity 4M peer name qkd1 netns $n1
}

# inner addresses 10.CLIENT.0.1 and .2 make each cipher's tunnel
policy()
{
	local net=$1 ns=$2 here=$3 there=$4

	ip -n "$ns" addr add "10.$net.0.$here/32" dev lo
	ip -n "$ns" link set lo up
	ip -n "$ns" route add "10.$net.0.$there/32" dev v0 src "10.$net.0.$here"
	ip -n "$ns" xfrm policy add dir out src "10.$net.0.$here" \
		dst "10.$net.0.$there" tmpl src "198.51.100.$here" \
		dst "198.51.100.$there" proto esp mode tunnel reqid "$net"
	ip -n "$ns" xfrm policy add dir in src "10.$net.0.$there" \
		dst "10.$net.0.$here" tmpl src "198.51.100.$there" \
		dst "198.51.100.$here" proto esp mode tunnel reqid "$net"
}

# tunnel CIPHER NET: SPIs 0xNET001 and 0xNET002
tunnel()
{
	local p1=(src 198.51.100.1 dst 198.51.100.2 spi "0x${2}001")
	local p2=(src 198.51.100.2 dst 198.51.100.1 spi "0x${2}002")
	local mode=(cipher "$1" mode tunnel reqid "$2") window=(replay-window 128)

	a qkd esp add "${p1[@]}" dir out dev qkd0 "${mode[@]}"
	b qkd esp add "${p1[@]}" dir in dev qkd1 "${mode[@]}" "${window[@]}"
	b qkd esp add "${p2[@]}" dir out dev qkd1 "${mode[@]}"
	a qkd esp add "${p2[@]}" dir in dev qkd0 "${mode[@]}" "${window[@]}"
	policy "$2" $n0 1 2
	policy "$2" $n1 2 1
}

tunnel_gcm()
{
	local key ns
	key=0x$(od -An -v -t x1 -N 36 /dev/urandom | tr -d " \n")

	for ns in $n0 $n1; do
		ip -n $ns xfrm state add src 198.51.100.1 dst 198.51.100.2 \
			proto esp spi 0x2001 reqid 2 mode tunnel \
			replay-window 128 flag esn aead 'rfc4106(gcm(aes))' "$key" 128
		ip -n $ns xfrm state add src 198.51.100.2 dst 198.51.100.1 \
			proto esp spi 0x2002 reqid 2 mode tunnel \
			replay-window 128 flag esn aead 'rfc4106(gcm(aes))' "$key" 128
	done
	policy 2 $n0 1 2
	policy 2 $n1 2 1
}

# Pools are filled, then supply stops: its cost is not ESP's.
fill()
{
	local end=$((SECONDS + 120)) live

	a qkd link set qkd0 start
	while [ $SECONDS -lt $end ]; do
		live=$(a qkd -j -s link show qkd0 | python3 -c '
import json, sys
stats = json.load(sys.stdin)[0]["streams"]
print(min(s["live"] / s["capacity"] for s in stats if s["dir"] == "out") > 0.9)')
		[ "$live" != True ] || break
		sleep 0.5
	done
	a qkd link set qkd0 stop
}

iperf()
{
	local net=$1

	a iperf3 -J -c "10.$net.0.2" -B "10.$net.0.1" -n "$bytes" |
		python3 -c '
import json, sys
print(round(json.load(sys.stdin)["end"]["sum_received"]["bits_per_second"]))'
}

best() { sort -n | tail -n 1; }

ratio() { awk "BEGIN { printf \"%.2f\", $1 / $2 }"; }

# against_gcm WHAT NAME NET: ... "NAME x Mbit/s, rfc4106(gcm(aes)) y Mbit/s"
against_gcm()
{
	local what=$1 name=$2 net=$3 ours=() gcms=() our gcm i

	for ((i = 0; i < turns; i++)); do
		fill
		ours+=("$(iperf "$net")")
		gcms+=("$(iperf 2)")
	done
	our=$(printf '%s\n' "${ours[@]}" | best)
	gcm=$(printf '%s\n' "${gcms[@]}" | best)
	echo "$what: $name $((our / 1000000)) Mbit/s," \
		"rfc4106(gcm(aes)) $((gcm / 1000000)) Mbit/s," \
		"$name / gcm = $(ratio "$our" "$gcm")"
	echo "$our" >"/tmp/our.$$"
}

# aes_rekeyed WHAT [REKEY...]: the same tunnel, its keys changed so often
aes_rekeyed()
{
	local what=$1 before after
	shift

	[ $# -eq 0 ] || a qkd esp set spi 0x3001 dir out dev qkd0 "$@"
	before=$(epochs)
	against_gcm "ESP, $what" aes 3
	after=$(epochs)
	echo "	$((after - before)) keys in $turns runs of $bytes"
}

epochs()
{
	a qkd -j -s esp show | python3 -c '
import json, sys
print(next(sa["epochs"] for sa in json.load(sys.stdin) if (sa["spi"], sa["dir"]) == (0x3001, "out")))'
}

key_rates()
{
	local what=$1 rates

	fill
	rates=$(a ./load keys qkd0 qkd1 $n1 6400)
	echo "$what: ${rates% *} key gets/s, ${rates#* } peek-and-commits/s" \
		"(netlink round trips included)"
	echo "$rates" >"/tmp/keys.$$"
}

# what udev would have loaded: the alternative at its best
modprobe -q aesni_intel || true
topology
tunnel otp 1
tunnel_gcm
tunnel aes 3
b iperf3 -s -D >/dev/null
sleep 2

against_gcm "ESP, 1 SA and direction" otp 1
otp_1=$(cat "/tmp/our.$$")
aes_rekeyed "rekeying off"
aes_rekeyed "a key each second" rekey-time 1s
aes_rekeyed "a key each 10 ms" rekey-time 10ms
aes_rekeyed "a key per 100 packets" rekey-packets 100
aes_rekeyed "a key per packet" rekey-packets 1
key_rates "keys, 1 SA and direction"
read -r get_1 commit_1 <"/tmp/keys.$$"

rate=$(a ./load sas qkd0 10000)
echo "SAs added: $rate/s"
against_gcm "ESP beside 10 000 SAs" otp 1
key_rates "keys beside 10 000 SAs"
read -r get_n commit_n <"/tmp/keys.$$"
echo "10 000 SAs / 1 SA: ESP $(ratio "$(cat "/tmp/our.$$")" "$otp_1")," \
	"key gets $(ratio "$get_n" "$get_1")," \
	"peek-and-commits $(ratio "$commit_n" "$commit_1")"
rm -f "/tmp/our.$$" "/tmp/keys.$$"
cleanup
./macsec.py
./kme.py
./ike.py
