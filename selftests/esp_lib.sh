# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Two gateways in one guest, for the selftests of ESP. Sourced after lib.sh.
#
#   namespace alice                                  namespace bob
#   lo 10.2.1.1 fd00:2::1                            lo 10.2.2.1 fd00:2::2
#   va 10.1.0.1 fd00:1::1 ========== wire ========== vb 10.1.0.2 fd00:1::2
#   qkd0 ----------------------- emulated pair ----------------------- qkd0
#
# Tunnels join the inner addresses, transport mode the outer ones. SPI 0x1001
# goes from alice to bob, 0x1002 back.

SPI_A2B=0x1001
SPI_B2A=0x1002
SA_OUT=()
SA_IN=()

in_alice()
{
	ip netns exec alice "$@"
}

in_bob()
{
	ip netns exec bob "$@"
}

# ip_batch NAMESPACE: commands from stdin in one process, which are dear here. One
# that fails does not keep the others from being done.
ip_batch()
{
	ip -n "$1" -force -batch -
}

# Fragments of large packets must not be lost to small queues.
wire_up()
{
	sysctl -q net.core.netdev_max_backlog=20000
	ip netns add alice
	ip netns add bob
	ip link add va netns alice address 02:00:00:00:00:01 type veth \
		peer name vb netns bob address 02:00:00:00:00:02
	wire_end alice va 1 vb 2
	wire_end bob vb 2 va 1
}

# wire_end NAMESPACE DEVICE NUMBER PEER-DEVICE PEER-NUMBER. The neighbour is
# written down, so that transport mode need not let its discovery pass.
wire_end()
{
	ip netns exec "$1" sysctl -q net.ipv6.conf.all.accept_dad=0 \
		net.ipv6.conf.default.accept_dad=0 \
		net.ipv4.ipfrag_high_thresh=67108864 net.ipv6.ip6frag_high_thresh=67108864
	ip_batch "$1" <<-END
	link set lo up
	addr add 10.1.0.$3/24 dev $2
	addr add fd00:1::$3/64 dev $2 nodad
	addr add 10.2.$3.1/32 dev lo
	addr add fd00:2::$3/128 dev lo nodad
	link set $2 up
	neigh replace 10.1.0.$5 lladdr 02:00:00:00:00:0$5 dev $2 nud permanent
	neigh replace fd00:1::$5 lladdr 02:00:00:00:00:0$5 dev $2 nud permanent
	route add 10.2.$5.1/32 via 10.1.0.$5 src 10.2.$3.1
	route add fd00:2::$5/128 via fd00:1::$5 src fd00:2::$3
	END
}

# link_up RATE [PARAMETERS...]: a pair, whose bytes nobody knows
link_up()
{
	local rate=$1
	shift

	in_alice qkd link add qkd0 type emu rate "$rate" "$@" peer name qkd0 netns bob &&
		wait_for 20 link_is_up
}

# seeded_up RATE SEED-FILE GENERATION [PARAMETERS...]: two single ends, whose
# bytes a test can recompute
seeded_up()
{
	local rate=$1 seed=$2 gen=$3 role
	shift 3

	for role in alice bob; do
		ip netns exec $role qkd link add qkd0 type emu role $role \
			seed-file "$seed" gen "$gen" rate "$rate" "$@" || return
	done
	wait_for 20 link_is_up
}

link_is_up()
{
	both_links | jq -es 'length == 2 and all(.[][0]; .state == "up" and
		([.streams[] | select(.dir == "out" and (.stream | endswith("pad")))] |
		length == 1 and all(.live - .pending > 1000000)))'
}

both_links()
{
	in_alice qkd -j -s link show qkd0
	in_bob qkd -j -s link show qkd0
}

link_down()
{
	in_alice qkd link del qkd0
	in_bob qkd link del qkd0 2>/dev/null
}

# link_field NAMESPACE JQ-PATH
link_field()
{
	ip netns exec "$1" qkd -j -s link show qkd0 | jq -r ".[0]$2"
}

# live NAMESPACE pad|key: bytes that this end can allocate
live()
{
	ip netns exec "$1" qkd -j -s link show qkd0 |
		jq ".[0].streams[] | select(.dir == \"out\" and (.stream | endswith(\"$2\"))) | .live - .pending"
}

# sa_add NAMESPACE DIR SPI SRC DST MODE [MORE...]
sa_add()
{
	local ns=$1 dir=$2 spi=$3 src=$4 dst=$5 mode=$6
	shift 6

	ip netns exec "$ns" qkd esp add src "$src" dst "$dst" spi "$spi" dir "$dir" \
		dev qkd0 cipher "${CIPHER:-otp}" mode "$mode" reqid "${REQID:-1}" "$@"
}

# addresses 4|6 tunnel|transport: sets A and B, the outer ends, and IN_A and
# IN_B, what the policies select. What check calls runs in a subshell, so a
# test that needs them calls this before.
addresses()
{
	case $1 in
	4)	A=10.1.0.1 B=10.1.0.2 IN_A=10.2.1.1 IN_B=10.2.2.1 ;;
	6)	A=fd00:1::1 B=fd00:1::2 IN_A=fd00:2::1 IN_B=fd00:2::2 ;;
	esac
	[ "$2" = tunnel ] || IN_A=$A IN_B=$B
}

# policies NAMESPACE MODE OUT-DIR IN-DIR: all that passes must be ESP
policies()
{
	local src=$3 dst=$4 in_src=$5 in_dst=$6

	ip_batch "$1" <<-END
	xfrm policy add src $in_src dst $in_dst dir out \
		tmpl src $src dst $dst proto esp reqid ${REQID:-1} mode $2
	xfrm policy add src $in_dst dst $in_src dir in \
		tmpl src $dst dst $src proto esp reqid ${REQID:-1} mode $2
	END
}

# tunnel_up 4|6 tunnel|transport REPLAY-WINDOW [esn]: SAs and policies at both
# ends
tunnel_up()
{
	addresses "$1" "$2"
	between "${@:2}"
}

# between MODE REPLAY-WINDOW [esn]: from $A to $B and back for $IN_A and $IN_B. SAs
# have what the arrays SA_OUT and SA_IN say besides.
between()
{
	local mode=$1
	local inbound=(replay-window "$2" "${SA_IN[@]}")
	shift 2

	sa_add alice out $SPI_A2B $A $B "$mode" "${SA_OUT[@]}" "$@" &&
		sa_add bob in $SPI_A2B $A $B "$mode" "${inbound[@]}" "$@" &&
		sa_add bob out $SPI_B2A $B $A "$mode" "${SA_OUT[@]}" "$@" &&
		sa_add alice in $SPI_B2A $B $A "$mode" "${inbound[@]}" "$@" || return
	policies alice "$mode" $A $B $IN_A $IN_B
	policies bob "$mode" $B $A $IN_B $IN_A
}

tunnel_down()
{
	local ns

	for ns in alice bob; do
		printf 'xfrm %s flush\n' policy state | ip_batch $ns
	done
}

# sa NAMESPACE DIR JQ-PATH: a member of its SA
sa()
{
	ip netns exec "$1" qkd -j -s esp show | jq "first(.[] | select(.dir == \"$2\"))$3"
}

# ends_match WHAT [REFUSED]: WHAT, as jq has it, is the same of what an end sent and
# what the other got; refused was REFUSED and nothing else
ends_match()
{
	{
		in_alice qkd -j -s esp show
		in_bob qkd -j -s esp show
	} | jq -es "def of(dir): first(.[] | select(.dir == dir)) | $1;
		. as [\$a, \$b] | (\$a | of(\"out\")) == (\$b | of(\"in\")) and
		(\$b | of(\"out\")) == (\$a | of(\"in\")) and
		all(.[][].refused; add == ${2:-0})" >/dev/null
}

# same_at_both_ends: what one end sent the other has, and refused nothing
same_at_both_ends()
{
	ends_match '[.packets, .bytes, .key_bytes]' && return
	tell
	return 1
}

refused_nothing()
{
	ip netns exec "$1" qkd -j -s esp show |
		jq -e 'all(.[]; .refused | add == 0)' >/dev/null && return
	tell
	return 1
}

# What the counters say, for a failure.
tell()
{
	local ns

	for ns in alice bob; do
		echo "$ns:"
		ip netns exec $ns qkd -s esp show | grep -A1 packets
		ip netns exec $ns grep -v '[[:space:]]0$' /proc/net/xfrm_stat
		ip netns exec $ns nstat -as 2>/dev/null | grep -E 'Reasm|Discards|Errors|Drop'
	done
}

# ends_agree [--lossless]: the accounting identities, at rest
ends_agree()
{
	in_alice qkd link set qkd0 stop
	in_bob qkd link set qkd0 stop
	sleep 0.5
	in_alice qkd -j -s link show qkd0 >/tmp/alice.json
	in_bob qkd -j -s link show qkd0 >/tmp/bob.json
	python3 "$(dirname "$0")/ref/ref.py" accounts "$@" /tmp/alice.json /tmp/bob.json
}

# captured FILE COMMAND...: with all ESP on the wire in FILE
captured()
{
	local file=$1 tcpdump rc=0
	shift

	ip netns exec alice tcpdump -i va -B 65536 -s 0 -w "$file" esp >/tmp/tcpdump 2>&1 &
	tcpdump=$!
	wait_for 20 grep -q '^tcpdump: listening' /tmp/tcpdump
	"$@" || rc=$?
	sleep 1
	kill $tcpdump
	wait $tcpdump
	grep -q '^0 packets dropped by kernel' /tmp/tcpdump || {
		cat /tmp/tcpdump
		return 1
	}
	return $rc
}

# A key that alice reads is what bob claims.
same_key()
{
	local id

	rm -f /run/qkd/key.alice /run/qkd/key.bob
	id=$(in_alice qkd key read dev qkd0 size 48 to /run/qkd/key.alice) &&
		in_bob qkd key claim dev qkd0 id "${id%% *}" size 48 to /run/qkd/key.bob &&
		cmp /run/qkd/key.alice /run/qkd/key.bob
}

# capture FILE NAMESPACE DEVICE FILTER...: until capture_end
capture()
{
	local file=$1 ns=$2 device=$3

	rm -f /tmp/tcpdump
	ip netns exec "$ns" tcpdump --immediate-mode -i "$device" -s 0 -B 16384 \
		-w "$file" "${@:4}" >/tmp/tcpdump 2>&1 &
	TCPDUMP=$!
	wait_for 10 grep -q '^.*listening on' /tmp/tcpdump
}

capture_end()
{
	sleep 0.5
	kill $TCPDUMP
	wait $TCPDUMP
	grep -q '^0 packets dropped by kernel' /tmp/tcpdump || {
		cat /tmp/tcpdump
		return 1
	}
}

# stray_end FILE: the end of a capture of what should not be: there is nothing
stray_end()
{
	capture_end && ! tcpdump -n -r "$1" 2>/dev/null | grep .
}

answers()
{
	in_alice ping -n -q -c 2 -i 0.2 -w 5 "$IN_B"
}

# refused_for_lack MORE-THAN: packets of alice's
refused_for_lack()
{
	[ "$(sa alice out .refused.no_key)" -gt "$1" ]
}

# runs_dry COUNT SIZE: pings of this size, COUNT a time, until there is no key:
# nothing is sent then, least of all in clear, and the reason counts.
runs_dry()
{
	local sent i rc=0

	in_alice qkd link set qkd0 stop
	sleep 0.5
	capture /tmp/dry.pcap alice va -s 128 -Q out ip and not ip proto 50
	for ((i = 0; i < 2000; i++)); do
		! refused_for_lack 0 || break
		in_alice ping -n -q -f -c "$1" -w 5 -s "$2" "$IN_B" >/dev/null
	done
	# what is left may do for less
	sleep 0.3
	sent=$(sa alice out .packets)
	in_alice ping -n -q -i 0.2 -w 2 -s "$2" "$IN_B" && {
		echo "a ping was answered without key"
		rc=1
	}
	stray_end /tmp/dry.pcap && [ $rc -eq 0 ] && [ "$(sa alice out .packets)" -eq "$sent" ] &&
		refused_for_lack 2 && return
	tell
	return 1
}

# TCP hands down segments of 64 KiB, whose packets have key at first and then
# none.
runs_dry_in_segments()
{
	local before server client rc=0

	before=$(sa alice out .refused.no_key)
	in_alice qkd link set qkd0 stop
	capture /tmp/dry.pcap alice va -s 128 -Q out not esp and not arp and not icmp6
	ip netns exec bob timeout 150 socat -u TCP-LISTEN:8001,reuseaddr OPEN:/dev/null \
		>/dev/null 2>&1 &
	server=$!
	wait_for 10 listens bob 8001
	ip netns exec alice timeout 120 socat -u OPEN:/dev/zero TCP:"$IN_B":8001 \
		>/dev/null 2>&1 &
	client=$!
	wait_for 100 refused_for_lack $((before + 2)) || rc=$?
	kill $server $client
	wait $server $client
	stray_end /tmp/dry.pcap && [ $rc -eq 0 ] && return
	tell
	return 1
}

# listens NAMESPACE PORT: somebody, on TCP
listens()
{
	[ -n "$(ip netns exec "$1" ss -Hltn "sport = :$2")" ]
}

# With key again, traffic passes.
revives()
{
	in_alice qkd link set qkd0 start
	wait_for 20 link_is_up && answers
}

# witness NAMESPACE...: goes when the kernel is done with what was in it
witness()
{
	local ns

	for ns in "$@"; do
		ip link add "witness-$ns" type veth peer name witness netns "$ns"
	done
}

no_witness()
{
	! ip -o link | grep witness
}

# python_checks SCRIPT [ARG...]: passes its "ok - ..." and "not ok - ..." on
python_checks()
{
	local line

	while IFS= read -r line; do
		case $line in
		"ok - "*)	ktap_test_pass "${line#ok - }" ;;
		"not ok - "*)	ktap_test_fail "${line#not ok - }" ;;
		*)		echo "# $line" ;;
		esac
	done < <(python3 "$@" 2>&1)
}
