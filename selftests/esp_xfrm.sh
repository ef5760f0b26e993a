#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# All of XFRM around the ciphers: NAT traversal, ESN, xfrm interfaces, marks,
# modes, extension headers, large segments, path MTU, lifetimes, migration; in
# esp_cpus what key managers are told, asynchronous drivers, and two CPUs.
# esp_xfrm.host decrypts the captures from the emulated link's seed.
# timeout: 900

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/esp_lib.sh"

SECRET=/tmp/secret

# ask CASE [ARG...]
ask()
{
	python3 -m esp_xfrm "$@"
}

# words: sets SA_OUT and SA_IN, what an SA of $CIPHER has besides
words()
{
	SA_OUT=(rekey-packets "${REKEY:-7}" park-time 1s)
	SA_IN=(replay-window 1024 park-time 1s)
	case $CIPHER in
	otp)	SA_OUT=() SA_IN=(replay-window 1024) ;;
	hybrid)	SA_OUT+=(secret-file "$SECRET")
		SA_IN+=(secret-file "$SECRET") ;;
	esac
}

# ends 4|6 tunnel|transport|beet: sets A, B, IN_A and IN_B
ends()
{
	case $2 in
	beet)	addresses "$1" tunnel ;;
	*)	addresses "$1" "$2" ;;
	esac
}

# up 4|6 tunnel|transport|beet [MORE...]: SAs of $CIPHER and policies at both ends
up()
{
	ends "$1" "$2"
	up_between "$2" "${@:3}"
}

# up_between MODE [MORE...]: between $A and $B for $IN_A and $IN_B
up_between()
{
	local mode=$1
	shift

	sas_between "$mode" "$@" || return
	policies alice "$mode" $A $B $IN_A $IN_B
	policies bob "$mode" $B $A $IN_B $IN_A
}

# For beet the inner addresses are those of the selectors.
sas_between()
{
	local mode=$1 there=() back=()
	shift

	words
	[ "$mode" != beet ] ||
		there=(sel src "$IN_A" dst "$IN_B") back=(sel src "$IN_B" dst "$IN_A")
	sa_add alice out $SPI_A2B $A $B "$mode" "${SA_OUT[@]}" "$@" "${there[@]}" &&
		sa_add bob in $SPI_A2B $A $B "$mode" "${SA_IN[@]}" "$@" "${there[@]}" &&
		sa_add bob out $SPI_B2A $B $A "$mode" "${SA_OUT[@]}" "$@" "${back[@]}" &&
		sa_add alice in $SPI_B2A $B $A "$mode" "${SA_IN[@]}" "$@" "${back[@]}"
}

# What each end sent the other has, and nobody refused anything, once all is at
# rest. Key that was drawn ahead may differ.
agree()
{
	wait_for 3 ends_match '[.packets, .bytes,
		if .cipher == "otp" then .key_bytes else .epochs end]' || {
		tell
		return 1
	}
}

# Datagrams of all sizes both ways, compared; both ends count the same.
echoes()
{
	python3 -m esp_echo "$(scaled "${1:-100}")" "$IN_A" "$IN_B" || {
		tell
		return 1
	}
	agree
}

# tunnel_check ...: check, of a case that leaves SAs and policies behind
tunnel_check()
{
	check "$@"
	tunnel_down
}

passes()
{
	up "$@" && echoes
}

#
# Modes
#

# esp_otp has the others.
modes()
{
	local family mode

	for family in 4 6; do
		for mode in tunnel transport beet; do
			CIPHER=aes tunnel_check "aes, IPv$family $mode" passes $family $mode
		done
		CIPHER=otp tunnel_check "otp, IPv$family beet" passes $family beet
	done
	CIPHER=hybrid tunnel_check "hybrid, IPv6 tunnel" passes 6 tunnel
}

#
# Captures
#

# to_recompute NAME PACKETS [MEMBER...]: esp_xfrm.host shall see that each packet
# of the capture opens under the key that its IV names, that no nonce repeats, and
# that there are so many
to_recompute()
{
	local name=$1 packets=$2
	shift 2

	[ "$CIPHER" != hybrid ] ||
		set -- "$@" "\"secrets\": {\"1\": \"$(od -An -v -tx1 $SECRET | tr -d ' \n')\"}"
	[ "$CIPHER" != otp ] || set -- "$@" "\"on_empty\": true"
	echo "$packets" >"$OUT/$name.packets"
	jq -n "[{spi: 4097, role: \"alice\"}, {spi: 4098, role: \"bob\"} | . +
		{cipher: \"$CIPHER\"$(printf ', %s' "$@")}]" >"$OUT/$name.sas"
}

#
# NAT and path MTU: alice na --- n0 middle n1 --- nb bob
#

middle_up()
{
	local n=0 ns net

	ip netns add middle
	ip netns exec middle sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 \
		net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0
	for ns in alice bob; do
		net=$((3 + n))
		ip link add n$n netns middle type veth peer name n${ns::1} netns $ns
		ip_batch middle <<-END
		addr add 10.$net.0.254/24 dev n$n
		addr add fd00:$net::254/64 dev n$n nodad
		link set n$n up
		END
		ip_batch $ns <<-END
		addr add 10.$net.0.$((n + 1))/24 dev n${ns::1}
		addr add fd00:$net::$((n + 1))/64 dev n${ns::1} nodad
		link set n${ns::1} up
		route add 10.$((7 - net)).0.0/24 via 10.$net.0.254
		route add fd00:$((7 - net))::/64 via fd00:$net::254
		END
		n=1
	done
}

# through_middle 4|6
through_middle()
{
	addresses "$1" tunnel
	case $1 in
	4)	A=10.3.0.1 B=10.4.0.2 NAT=10.4.0.254 ;;
	6)	A=fd00:3::1 B=fd00:4::2 NAT=fd00:4::254 ;;
	esac
}

nat_up()
{
	ip netns exec middle nft -f - <<-'END'
	table inet nat {
		chain post {
			type nat hook postrouting priority 100;
			oifname n1 udp dport 4500 masquerade to :20001
		}
	}
	END
	python3 -m esp_xfrm encap /tmp/encap.ready &
	ENCAP=$!
	wait_for 20 test -e /tmp/encap.ready
}

nat_down()
{
	kill $ENCAP
	wait $ENCAP
	ip netns exec middle nft delete table inet nat
}

# natt 4|6 tunnel|transport: bob knows alice by the NAT's address, and learns her
# port from the kernel as a key manager does
natt()
{
	local encap=(encap espinudp 4500) port

	through_middle "$1"
	[ "$2" = tunnel ] || IN_A=$NAT IN_B=$B
	words
	sa_add alice out $SPI_A2B $A $B "$2" "${SA_OUT[@]}" "${encap[@]}" 4500 &&
		sa_add alice in $SPI_B2A $B $A "$2" "${SA_IN[@]}" "${encap[@]}" 4500 &&
		sa_add bob in $SPI_A2B $NAT $B "$2" "${SA_IN[@]}" "${encap[@]}" 4500 || return
	policies bob "$2" $B $NAT $IN_B $IN_A
	[ "$2" = tunnel ] || IN_A=$A
	policies alice "$2" $A $B $IN_A $IN_B
	port=$(ask mapping $IN_A $IN_B) || return
	[ "$port" -eq 20001 ] || {
		echo "bob was told of port $port"
		return 1
	}
	sa_add bob out $SPI_B2A $B $NAT "$2" "${SA_OUT[@]}" "${encap[@]}" "$port" || return
	capture "$OUT/natt.$CIPHER.$1.$2.pcap" middle n1 not arp and not icmp6
	natt_traffic "$2" || return
	capture_end
	to_recompute "natt.$CIPHER.$1.$2" 50
	! tcpdump -n -r "$OUT/natt.$CIPHER.$1.$2.pcap" \
		'not udp port 20001 and ip[6:2] & 0x1fff = 0' 2>/dev/null | grep .
}

# In transport mode the ends do not agree on alice's address: pings.
natt_traffic()
{
	if [ "$1" = tunnel ]; then
		echoes
	else
		in_alice ping -n -q -i 0.02 -c 30 -s 1200 "$IN_B" && agree
	fi
}

nat_traversal()
{
	CIPHER=aes
	nat_up
	tunnel_check "NAT traversal, aes, IPv4 tunnel" natt 4 tunnel
	tunnel_check "NAT traversal, aes, IPv4 transport" natt 4 transport
	tunnel_check "NAT traversal, aes, IPv6 tunnel" natt 6 tunnel
	CIPHER=hybrid tunnel_check "NAT traversal, hybrid, IPv4 tunnel" natt 4 tunnel
	CIPHER=otp tunnel_check "NAT traversal, otp, IPv6 tunnel" natt 6 tunnel
	nat_down
}

# The host behind alice: nh --- na1 alice
host_up()
{
	ip netns add host
	ip link add nh netns host type veth peer name ah netns alice
	in_alice sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	ip_batch alice <<-'END'
	addr add 10.6.0.1/24 dev ah
	addr add fd00:6::1/64 dev ah nodad
	link set ah up
	END
	ip_batch host <<-'END'
	addr add 10.6.0.2/24 dev nh
	addr add fd00:6::2/64 dev nh nodad
	link set nh up
	route add default via 10.6.0.1
	route add default via fd00:6::1
	END
	ip_batch bob <<-'END'
	route add 10.6.0.0/24 via 10.1.0.1
	route add fd00:6::/64 via fd00:1::1
	END
}

# small_path 4|6 WANT: the middle's way to bob takes 1400 bytes. First for
# datagrams of alice's own, then for those of a host whose router she is.
small_path()
{
	local host=10.6.0.2

	[ "$1" = 4 ] || host=fd00:6::2
	through_middle "$1"
	up_between tunnel || return
	policies alice tunnel $A $B $host $IN_B
	policies bob tunnel $B $A $IN_B $host
	ip -n alice xfrm policy add src $IN_B dst $host dir fwd \
		tmpl src $B dst $A proto esp reqid 1 mode tunnel
	ask pmtu alice $IN_A $IN_B "$2" && ask pmtu host $host $IN_B "$2" &&
		refused_nothing alice && refused_nothing bob
}

# A packet takes 20 or 40 bytes of header, 8 of ESP, 8 of IV, 2 of trailer and
# 16 of ICV more, and is a multiple of 4.
path_mtu()
{
	ip -n middle link set n1 mtu 1400
	host_up
	for CIPHER in aes otp; do
		tunnel_check "path MTU of 1400, $CIPHER, IPv4: 1346" small_path 4 1346
		tunnel_check "path MTU of 1400, $CIPHER, IPv6: 1326" small_path 6 1326
		in_alice ip route flush cache
		in_alice ip -6 route flush cache
	done
	ip netns del host
	ip -n middle link set n1 mtu 1500
}

#
# Sequence numbers
#

# esn_boundary 4|6: the low half of the sequence numbers overflows on the way
esn_boundary()
{
	local ns

	up "$1" tunnel esn || return
	echoes 50 && ask sequence $((0xffffffff - 20)) 1 $A $B || return
	capture "$OUT/esn.$CIPHER.$1.pcap" alice va esp
	echoes 200 || return
	capture_end
	to_recompute "esn.$CIPHER.$1" 80 '"esn": true'
	for ns in alice bob; do
		[ "$(ip -n $ns -d xfrm state | grep -c 'seq-hi 0x1, seq\|oseq-hi 0x1')" -ge 2 ] || {
			ip -n $ns -d xfrm state
			return 1
		}
	done
}

# Both ends are made to count from 10 again, three times: what leaves has new
# nonces all the same, and is taken.
rewound()
{
	up 4 tunnel || return
	capture "$OUT/rewound.$CIPHER.pcap" alice va esp
	ask rewind 4 30 $IN_B $A $B || return
	capture_end
	to_recompute "rewound.$CIPHER" 240
	agree
}

numbers()
{
	for CIPHER in aes hybrid otp; do
		tunnel_check "ESN over 2^32, $CIPHER" esn_boundary 4
	done
	CIPHER=aes tunnel_check "ESN over 2^32, aes, IPv6" esn_boundary 6
	for CIPHER in aes otp; do
		tunnel_check "sequence numbers are set back: no nonce repeats, $CIPHER" rewound
	done
}

#
# xfrm interfaces, marks
#

xfrmi_up()
{
	ip_batch "$1" <<-END
	link add xf0 type xfrm dev $2 if_id 7
	addr add 10.5.0.$3/24 dev xf0
	addr add fd00:5::$3/64 dev xf0 nodad
	link set xf0 mtu 1400 up
	END
}

# xfrmi_policies NAMESPACE SRC DST
xfrmi_policies()
{
	local any dir src dst

	for any in 0.0.0.0/0 ::/0; do
		for dir in in out; do
			[ $dir = out ] && src=$2 dst=$3 || src=$3 dst=$2
			echo "xfrm policy add src $any dst $any dir $dir if_id 7" \
				"tmpl src $src dst $dst proto esp reqid 1 mode tunnel"
		done
	done | ip_batch "$1"
}

# interfaces 4|6: both inner families through one pair of SAs
interfaces()
{
	ends "$1" tunnel
	sas_between tunnel if-id 7 || return
	xfrmi_up alice va 1
	xfrmi_up bob vb 2
	xfrmi_policies alice $A $B
	xfrmi_policies bob $B $A
	IN_A=10.5.0.1 IN_B=10.5.0.2 echoes 50 && IN_A=fd00:5::1 IN_B=fd00:5::2 echoes 50 &&
		[ "$(ip -n alice -j -s link show xf0 | jq '.[0].stats64.rx.packets')" -ge 50 ]
}

interfaces_down()
{
	ip -n alice link del xf0
	ip -n bob link del xf0
	tunnel_down
}

# marked: SAs with a mark serve packets that have it
marked()
{
	local ns

	ends 4 tunnel
	sas_between tunnel mark 5/0xff || return
	for ns in alice bob; do
		ip netns exec $ns nft 'add table inet tag {
			chain in { type filter hook prerouting priority -150;
				meta l4proto esp meta mark set 5; };
			chain out { type route hook output priority -150;
				ip daddr 10.2.0.0/16 meta mark set 5; }; }'
		ip -n $ns route add table 5 10.0.0.0/8 dev lo 2>/dev/null
	done
	mark_policies alice $A $B $IN_A $IN_B
	mark_policies bob $B $A $IN_B $IN_A
	echoes 50 && unmarked && in_alice qkd esp del dev qkd0 spi $SPI_A2B dir out &&
		[ "$(ip -n alice xfrm state | grep -c '^src')" -eq 1 ]
}

# Without the mark an inbound SA is not found.
unmarked()
{
	local before

	before=$(sa bob in .packets)
	in_bob nft flush chain inet tag in
	in_alice ping -n -q -c 2 -i 0.2 -W 1 $IN_B && return 1
	[ "$(sa bob in .packets)" -eq "$before" ] &&
		in_bob grep -q 'XfrmInNoStates[[:space:]]*[1-9]' /proc/net/xfrm_stat
}

mark_policies()
{
	ip -n "$1" xfrm policy add src "$4" dst "$5" dir out mark 5 mask 0xff \
		tmpl src "$2" dst "$3" proto esp reqid 1 mode tunnel
	ip -n "$1" xfrm policy add src "$5" dst "$4" dir in mark 5 mask 0xff \
		tmpl src "$3" dst "$2" proto esp reqid 1 mode tunnel
}

marks_down()
{
	in_alice nft delete table inet tag
	in_bob nft delete table inet tag
	tunnel_down
}

# Fragments come in bursts, for which keys must be ready.
selections()
{
	CIPHER=aes REKEY=64
	check "xfrm interfaces" interfaces 4
	interfaces_down
	check "xfrm interfaces over IPv6" interfaces 6
	interfaces_down
	check "marks" marked
	marks_down
	REKEY=
}

#
# Extension headers
#

# The kernel's own cipher, with which ours are compared.
stock_up()
{
	local ns key=0x000102030405060708090a0b0c0d0e0f10111213

	ends "$1" "$2"
	for ns in alice bob; do
		ip -n $ns xfrm state add src $A dst $B proto esp spi $SPI_A2B reqid 1 \
			mode "$2" aead 'rfc4106(gcm(aes))' $key 128
		ip -n $ns xfrm state add src $B dst $A proto esp spi $SPI_B2A reqid 1 \
			mode "$2" aead 'rfc4106(gcm(aes))' $key 128
	done
	policies alice "$2" $A $B $IN_A $IN_B
	policies bob "$2" $B $A $IN_B $IN_A
}

segment_routing()
{
	local ns

	for ns in alice bob; do
		ip netns exec $ns sysctl -q net.ipv6.conf.all.seg6_enabled=1
	done
	in_alice sysctl -q net.ipv6.conf.va.seg6_enabled=1
	in_bob sysctl -q net.ipv6.conf.vb.seg6_enabled=1
}

extension_headers()
{
	up 6 transport && ask extensions $IN_A $IN_B >/tmp/extensions || {
		cat /tmp/extensions
		return 1
	}
	diff /tmp/extensions.stock /tmp/extensions &&
		refused_nothing alice && refused_nothing bob
}

extensions()
{
	segment_routing
	stock_up 6 transport
	ask extensions $IN_A $IN_B >/tmp/extensions.stock
	tunnel_down
	for CIPHER in aes otp; do
		tunnel_check "extension headers of IPv6, $CIPHER" extension_headers
	done
}

#
# Large segments
#

# files 4|6 MODE
files()
{
	up "$1" "$2" && ask files $(($(scaled 40) * 262144)) $IN_A $IN_B &&
		agree
}

# dries_up: alice's key ends while TCP hands down large segments
dries_up()
{
	up 4 tunnel && answers && runs_dry_in_segments
}

has_key()
{
	[ "$(live alice pad)" -gt 1000000 ] && [ "$(live alice key)" -gt 32768 ]
}

resumes()
{
	ends 4 tunnel
	in_alice qkd link set qkd0 start
	wait_for 30 has_key && answers && return
	in_alice qkd -s link show qkd0
	tell
	return 1
}

segments()
{
	local with="without esp4_offload" i

	link_down
	GEN=$((GEN % 65535 + 1))
	check "a link that runs dry soon" seeded_up 100mbit /tmp/seed $GEN \
		pad-capacity 2M key-capacity 64K
	for i in 1 2; do
		CIPHER=aes tunnel_check "files over TCP, aes, IPv4 tunnel, $with" files 4 tunnel
		CIPHER=hybrid tunnel_check "files over TCP, hybrid, IPv6 tunnel, $with" files 6 tunnel
		CIPHER=aes tunnel_check "files over TCP, aes, IPv6 transport, $with" files 6 transport
		for CIPHER in aes otp; do
			REKEY=1
			[ $CIPHER = aes ] || REKEY=
			check "$CIPHER: no key in the middle of large segments, $with" dries_up
			tunnel_check "$CIPHER: with key again, traffic passes, $with" resumes
			REKEY=
		done
		modprobe -a esp4_offload esp6_offload
		with="with it"
	done
}

#
# Lifetimes
#

# watch: what XFRM and we tell key managers, in alice's namespace
watch()
{
	ip netns exec alice ip xfrm monitor >/tmp/xfrm.monitor 2>&1 &
	WATCHERS=$!
	ip netns exec alice qkd monitor >/tmp/qkd.monitor 2>&1 &
	WATCHERS="$WATCHERS $!"
	wait_for 10 listen 6 && wait_for 10 listen 16
}

# listen PROTOCOL: is a socket of alice's in a group of this netlink family, which
# is no kernel's?
listen()
{
	in_alice awk -v "family=$1" '$2 == family && $3 && $4 !~ /^0*$/ { found = 1 }
		END { exit !found }' /proc/net/netlink
}

watch_end()
{
	kill $WATCHERS
	wait $WATCHERS
	return 0
}

has()
{
	tr -s '\n\t ' ' ' <"$1" | grep -qE "$2"
}

# told FILE REGEX: within 10 s
told()
{
	wait_for 10 has "$1" "$2" || {
		echo "no \"$2\" in:"
		cat "$1"
		return 1
	}
}

no_sas()
{
	[ -z "$(in_alice qkd esp show)" ] && ! ip -n alice xfrm state | grep -q aead
}

# lives DIR SIZE LIMIT...: alice's SA expires under pings of this size, first
# softly and then for good
lives()
{
	local dir=$1 size=$2 rc
	shift 2

	ends 4 tunnel
	words
	watch
	policies alice tunnel $A $B $IN_A $IN_B
	policies bob tunnel $B $A $IN_B $IN_A
	case $dir in
	out)	sa_add bob in $SPI_A2B $A $B tunnel "${SA_IN[@]}" &&
		sa_add alice out $SPI_A2B $A $B tunnel "${SA_OUT[@]}" "$@" ;;
	in)	sa_add alice in $SPI_B2A $B $A tunnel "${SA_IN[@]}" "$@" &&
		sa_add bob out $SPI_B2A $B $A tunnel "${SA_OUT[@]}" ;;
	esac || return
	lives_on "$dir" "$size"
	rc=$?
	watch_end
	return $rc
}

lives_on()
{
	local spi='spi 0x0000100[12]' pings rc=0

	if [ "$1" = out ]; then
		ip netns exec alice ping -n -q -i 0.1 -s "$2" $IN_B >/dev/null &
	else
		ip netns exec bob ping -n -q -i 0.1 -s "$2" $IN_A >/dev/null &
	fi
	pings=$!
	told /tmp/xfrm.monitor "Expired src $A? ?.*$spi.* hard 0" &&
		told /tmp/xfrm.monitor "hard 0.*Expired src .*$spi.* hard 1" &&
		told /tmp/qkd.monitor "sa-del" && wait_for 10 no_sas || rc=1
	kill $pings
	wait $pings
	return $rc
}

lifetimes()
{
	CIPHER=aes
	tunnel_check "lifetime in packets, out" lives out 100 \
		limit packet-soft 3 limit packet-hard 10
	tunnel_check "lifetime in bytes, in" lives in 1000 limit byte-soft 3000 limit byte-hard 9000
	CIPHER=otp tunnel_check "lifetime in bytes, out, otp" lives out 1000 \
		limit byte-soft 3000 limit byte-hard 9000
	tunnel_check "lifetime in seconds since it was added" lives out 100 \
		limit time-soft 1 limit time-hard 3
	tunnel_check "lifetime in seconds since its first packet" lives in 100 \
		limit time-use-soft 1 limit time-use-hard 3
}

#
# Migration
#

migration_addresses()
{
	ends "$1" "$2"
	case $1 in
	4)	A2=10.1.0.3 B2=10.1.0.4 ;;
	6)	A2=fd00:1::3 B2=fd00:1::4 ;;
	esac
}

# moves 4|6 MODE COUNT [MORE...]
moves()
{
	local family=$1 mode=$2 count=$3

	migration_addresses "$1" "$mode"
	shift 3
	up_between "$mode" "$@" || return
	capture "$OUT/move.$CIPHER.$family.pcap" alice va esp
	ask migrate "$count" "$mode" ${KEEP:-number} $IN_A $IN_B $A $B $A2 $B2 || return
	capture_end
	[ -z "$1" ] || set -- "\"$1\": true"
	to_recompute "move.$CIPHER.$family" 100 "$@"
	refused_nothing alice && refused_nothing bob
}

migration()
{
	CIPHER=aes REKEY=100000 KEEP=epoch tunnel_check "migrate, aes, IPv4: SA, epoch and counter go on" \
		moves 4 tunnel 4
	CIPHER=aes tunnel_check "migrate, aes, IPv6 tunnel with ESN" moves 6 tunnel 2 esn
	CIPHER=otp tunnel_check "migrate, otp, IPv4" moves 4 tunnel 2
	CIPHER=hybrid tunnel_check "migrate, hybrid, IPv6" moves 6 tunnel 2
}

# A clone is used before we hear of it, by packets that choose what they see, its
# offload type too, and may lie in a queue.
moves_with_queue()
{
	local rc flood

	up 4 tunnel || return
	in_alice tc qdisc add dev va root netem delay 30ms limit 10000
	python3 -m esp_xfrm flood $IN_A $IN_B &
	flood=$!
	ask bounce "$(scaled 3000)" $IN_A $IN_B $A $B 10.1.0.3 && answers
	rc=$?
	kill $flood
	wait $flood
	# Without a queue TCP takes a packet that is sealed later for one not sent:
	# so the kernel's own ciphers stall there too, if their driver is such.
	[ $rc -eq 0 ] && ask files $(($(scaled 40) * 65536)) $IN_A $IN_B
	rc=$?
	in_alice tc qdisc del dev va root
	return $rc
}

queue()
{
	modprobe -a esp4_offload esp6_offload
	CIPHER=aes REKEY=100000 tunnel_check "migrate with esp4_offload and packets in a queue" \
		moves_with_queue
}

#
# What key managers see
#

monitors()
{
	ends 4 tunnel
	watch
	sas_between tunnel || return
	ip -n alice xfrm state allocspi src $A dst $B proto esp \
		min 0x2001 max 0x2001 >/dev/null
	sa_add_replace 0x2001 && in_alice qkd esp del dev qkd0 spi 0x2001 dir out &&
		ip -n alice xfrm state delete src $A dst $B proto esp spi $SPI_A2B &&
		in_alice qkd esp flush dev qkd0 || return
	monitors_told
	local rc=$?
	watch_end
	return $rc
}

sa_add_replace()
{
	in_alice qkd esp replace src $A dst $B spi "$1" dir out dev qkd0 \
		cipher $CIPHER mode tunnel reqid 1 "${SA_OUT[@]}"
}

monitors_told()
{
	local sa="src $A dst $B proto esp spi"

	told /tmp/xfrm.monitor "(^| )$sa 0x00001001" &&
		told /tmp/xfrm.monitor "Updated $sa 0x00002001.* aead aes 0x0{16}[0-9a-f]{16} 128" &&
		told /tmp/xfrm.monitor "Deleted $sa 0x00002001" &&
		told /tmp/xfrm.monitor "Deleted $sa 0x00001001" &&
		told /tmp/xfrm.monitor "Deleted src $B dst $A proto esp spi 0x00001002" &&
		wait_for 5 three_events || {
		cat /tmp/xfrm.monitor /tmp/qkd.monitor
		return 1
	}
}

three_events()
{
	[ "$(grep -c sa-new /tmp/qkd.monitor)" -eq 3 ] &&
		[ "$(grep -c sa-del /tmp/qkd.monitor)" -eq 3 ]
}

# An SPI is free as soon as whoever deletes the SA has his answer.
reused()
{
	local i

	ends 4 tunnel
	words
	for ((i = 0; i < 9; i++)); do
		sa_add alice out $SPI_A2B $A $B tunnel "${SA_OUT[@]}" &&
			sa_add alice in $SPI_B2A $B $A tunnel "${SA_IN[@]}" || return
		case $((i % 4)) in
		0)	ip -n alice xfrm state delete src $A dst $B proto esp spi $SPI_A2B &&
			ip -n alice xfrm state delete src $B dst $A proto esp spi $SPI_B2A ;;
		1)	ip -n alice xfrm state flush ;;
		2)	in_alice qkd esp flush ;;
		3)	in_alice qkd esp del dev qkd0 spi $SPI_A2B dir out &&
			in_alice qkd esp del dev qkd0 spi $SPI_B2A dir in ;;
		esac || return
	done
	up 4 tunnel && echoes 20
}

deleted_under_traffic()
{
	local i

	up 4 tunnel || return
	ip netns exec alice ping -n -q -f -s 1000 $IN_B >/dev/null 2>&1 &
	for ((i = 0; i < 5; i++)); do
		ip -n alice xfrm state flush
		in_bob qkd esp flush
		sas_between tunnel || return
	done
	kill -INT $!
	wait $!
	tunnel_down
	up 4 tunnel && echoes 20
}

managers()
{
	CIPHER=aes
	tunnel_check "ip xfrm monitor" monitors
	tunnel_check "an SPI can be used again at once" reused
	tunnel_check "SAs are flushed under traffic" deleted_under_traffic
}

#
# Drivers and CPUs
#

# both_cpus [WRAPPER]: with gcm(aes) under cryptd or pcrypt
both_cpus()
{
	REKEY=64
	up "${FAMILY:-4}" tunnel || return
	ask cpus "$(scaled 10000)" $IN_A $IN_B || {
		tell
		return 1
	}
	agree
}

plain()
{
	ask synchronous && both_cpus
}

wrapped()
{
	local driver holder rc

	rm -f /tmp/driver
	python3 -m esp_xfrm driver "$1" /tmp/driver &
	holder=$!
	wait_for 20 test -s /tmp/driver
	driver=$(cat /tmp/driver)
	wrapped_traffic "$1" "$driver"
	rc=$?
	kill $holder
	wait $holder
	return $rc
}

wrapped_traffic()
{
	local before

	case $2 in
	"$1("*)	;;
	*)	echo "gcm(aes) is done by $2"
		return 1 ;;
	esac
	before=$(ask users "$2")
	both_cpus || return
	[ "$(ask users "$2")" -gt "$before" ] || {
		echo "nobody uses $2"
		return 1
	}
	ask files $(($(scaled 40) * 65536)) $IN_A $IN_B && agree
}

BUILT_IN="this kernel has an asynchronous driver built in"

cpus()
{
	REKEY=64
	CIPHER=aes tunnel_check "two CPUs at once, aes" both_cpus
	CIPHER=otp tunnel_check "two CPUs at once, otp" both_cpus
	# Neither is asynchronous what they leave, nor would cryptd wrap them.
	wait_for 10 modprobe -r ghash_clmulni_intel aesni_intel
	if ask synchronous >/dev/null 2>&1; then
		CIPHER=aes tunnel_check "two CPUs at once, aes with a synchronous driver" plain
		CIPHER=aes tunnel_check "two CPUs at once, aes under cryptd" wrapped cryptd
	else
		ktap_test_skip "two CPUs at once, aes with a synchronous driver" "$BUILT_IN"
		ktap_test_skip "two CPUs at once, aes under cryptd" "$BUILT_IN"
	fi
	modprobe -q pcrypt
	CIPHER=aes tunnel_check "two CPUs at once, aes under pcrypt" wrapped pcrypt
	REKEY=
}

#
# The end
#

namespaces_end()
{
	ip netns del alice
	ip netns del bob
	ip netns del middle
	wait_for 30 no_witness
}

# Connections are tracked, so that a packet that leaks keeps its namespace.
track()
{
	local ns

	for ns in alice bob; do
		ip netns exec $ns nft 'add table inet track { chain c {
			type filter hook output priority 0; ct state new accept; }; }'
	done
}

# The parts and how many results each has.
declare -A RESULTS=(
	[modes]=9 [nat_traversal]=5 [path_mtu]=4 [numbers]=6 [selections]=3 [extensions]=2
	[lifetimes]=5 [managers]=3 [migration]=4 [cpus]=5 [segments]=15 [queue]=1
)
plan=2

[ $# -gt 0 ] || set -- modes nat_traversal path_mtu numbers selections extensions \
	lifetimes migration segments
for part in "$@"; do
	plan=$((plan + RESULTS[$part]))
done
ktap_print_header
ktap_set_plan $plan
head -c 32 /dev/urandom | tee "$OUT/seed" >/tmp/seed
head -c 32 /dev/urandom >$SECRET
chmod 600 $SECRET
modprobe -a xfrm_user xfrm_interface
wire_up
printf 'addr add %s dev va nodad\n' 10.1.0.3/24 fd00:1::3/64 | ip_batch alice
printf 'addr add %s dev vb nodad\n' 10.1.0.4/24 fd00:1::4/64 | ip_batch bob
middle_up
witness alice bob middle
track
GEN=$QKD_GEN
check "single ends with a seed come up" seeded_up 100mbit /tmp/seed "$GEN" \
	pad-capacity 16M key-capacity 1M
for part in "$@"; do
	ktap_print_msg "$part: from second $SECONDS on"
	$part
done
link_down
check "the namespaces end: nothing holds on to them" namespaces_end
ktap_finished
