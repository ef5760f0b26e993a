#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Two machines talk through ESP that is encrypted with QKD key, byte for byte; then
# under AES-256-GCM whose key changes ten times a second, and with each packet; then
# through MACsec, as on a fronthaul link, whose SAKs change each second; and last,
# through what strongSwan negotiates with x25519, ML-KEM and QKD together.
# Runs in both guests; alice tells the story, bob does his part.
# guests: 2
# timeout: 600

. "$(dirname "$0")/../lib.sh"

SUPPLY=${SUPPLY:-emu}
SOURCE=qkd0
ENOUGH=$((64 << 10))
CHUNKS=10
CHUNK_KIB=640
PACKET=1400
RATE=20mbit
SEED=/run/qkd/seed
WIRE=/run/qkd/clear.pcap
SAMPLE=/run/qkd/esp.pcap
EVENTS=/run/qkd/events
AES_SAMPLE=/run/qkd/aes.pcap
ECPRI=../tools/ecpri
ROTATIONS=60
IKE=/run/qkd/ike
REKEYS=3
if [ "$ROLE" = alice ]; then
	PEER=bob ME=192.0.2.1 THEM=192.0.2.2 OUT_SPI=0x1001 IN_SPI=0x1002
	INNER=10.9.0.1 PEER_INNER=10.9.0.2
	STOCK=10.9.1.1 PEER_STOCK=10.9.1.2
else
	PEER=alice ME=192.0.2.2 THEM=192.0.2.1 OUT_SPI=0x1002 IN_SPI=0x1001
	INNER=10.9.0.2 PEER_INNER=10.9.0.1
	STOCK=10.9.1.2 PEER_STOCK=10.9.1.1
fi

tell()
{
	[ "$ROLE" != alice ] || printf '%s\n' "$@"
}

title()
{
	tell "" "=== $*"
}

die()
{
	echo "$ROLE: the demo failed: $*"
	exit 1
}

clean_up()
{
	ip link del macsec0 2>/dev/null
	jobs -p | xargs -r kill 2>/dev/null
	ip xfrm policy flush
	qkd link del qkd0 2>/dev/null
	[ $SOURCE = qkd0 ] || qkd link del $SOURCE 2>/dev/null
}

# together NAME: both have come here
together()
{
	barrier "$1" || die "$PEER has gone"
}

# run COMMAND...: shows the command and what it prints, at alice; at bob the same
# in silence.
run()
{
	tell "$ROLE# $*"
	if [ "$ROLE" = alice ]; then
		"$@" 2>&1 | sed 's/^/    /'
		[ "${PIPESTATUS[0]}" -eq 0 ] || die "$*"
	else
		"$@" >/run/qkd/output 2>&1 || die "$*: $(tail -n 1 /run/qkd/output)"
	fi
}

# stream pad|key NAME: a number of our tx stream; sa NAME: of our outbound SA
stream()
{
	qkd -j -s link show qkd0 |
		jq ".[0].streams[] | select(.dir == \"out\" and (.stream | endswith(\"$1\"))) | .$2"
}

sa()
{
	qkd -j -s esp show dev qkd0 spi $OUT_SPI dir out | jq ".[0].$1"
}

level_is()
{
	[ "$(stream pad live)" -ge "$1" ]
}

share_seed()
{
	umask 077
	if [ "$ROLE" = alice ]; then
		head -c 32 /dev/urandom >$SEED
		put_value seed "$(od -An -v -tx1 $SEED | tr -d ' \n')"
	else
		printf '%b' "$(get_value seed | sed 's/../\\x&/g')" >$SEED
	fi
}

link_up()
{
	tell "alice and bob are two machines, joined by an Ethernet."
	title "An emulated QKD link: both ends know a seed and compute the same key"
	tell "    (for tests and demos alone: real key comes from real QKD)"
	run qkd link add qkd0 type emu role "$ROLE" seed-file $SEED gen "$QKD_GEN" \
		rate $RATE pad-capacity 4M export control
	qkd monitor dev qkd0 >$EVENTS 2>&1 &
	tell "    key arrives ..."
	wait_for 30 level_is $((3 << 20)) || die "no key arrives"
	run qkd link show qkd0
	together link
}

tunnel_up()
{
	title "A tunnel under a one-time pad: two SAs that take their key from the link"
	ip addr add $INNER/32 dev lo
	run qkd esp add src $ME dst $THEM spi $OUT_SPI dir out dev qkd0 cipher otp \
		mode tunnel reqid 1
	run qkd esp add src $THEM dst $ME spi $IN_SPI dir in dev qkd0 cipher otp \
		mode tunnel reqid 1 replay-window 1024
	run ip xfrm policy add src $INNER dst $PEER_INNER dir out \
		tmpl src $ME dst $THEM proto esp reqid 1 mode tunnel
	run ip xfrm policy add src $PEER_INNER dst $INNER dir in \
		tmpl src $THEM dst $ME proto esp reqid 1 mode tunnel
	run ip route add $PEER_INNER via $THEM src $INNER
	# whatever of the tunnel's traffic leaves without ESP
	tcpdump -Q out -U -n -i eth0 -w $WIRE "ip and not proto 50 and not tcp portrange 7676-7677" 2>/dev/null &
	CLEAR_PID=$!
	wait_for 20 test -s $WIRE || die "tcpdump does not start"
	together tunnel
}

show_no_key()
{
	title "The SA shows a number where other ciphers show their key"
	run ip xfrm state list spi $OUT_SPI
	ip xfrm state | grep aead | grep -vqE 'aead otp 0x0{24}[0-9a-f]{8} 128$' &&
		die "ip xfrm state shows more than a number"
	tell "    (the last number of \"aead\" is the SA's, public; the key is nowhere)"
}

ping_and_watch()
{
	title "Ping through the tunnel, and what the wire shows"
	[ "$ROLE" = alice ] || { together ping; return; }
	tcpdump -Q out -l -n -x -c 2 -i eth0 esp >/run/qkd/esp 2>/dev/null &
	sleep 2
	run ping -n -c 3 -i 0.3 $PEER_INNER
	wait $!
	sed 's/^/    /' /run/qkd/esp
	grep -q 'ESP(spi=0x00001001' /run/qkd/esp || die "no ESP on the wire"
	PINGS="3 of 3 pings"
	together ping
}

# numbers: packets and bytes of pad that the SA has spent, bytes of pad supplied,
# bytes of pad in the pool; all of one moment
numbers()
{
	qkd -j -s esp show dev qkd0 spi $OUT_SPI dir out |
		jq -r '.[0] | "\(.packets) \(.key_bytes)"'
	qkd -j -s link show qkd0 |
		jq -r '.[0].streams[] | select(.stream == "a2b-pad") | "\(.supplied) \(.live)"'
}

# table PID: a line a second, until the process ends.
table()
{
	local was now row=0 spent packets

	printf '    %6s %12s %13s %8s %12s %12s\n' second "pad in pool" "key rate" \
		packets "pad spent" "per packet"
	mapfile -t was < <(date +%s%3N; numbers | tr ' ' '\n')
	while kill -0 "$1" 2>/dev/null; do
		sleep 1
		mapfile -t now < <(date +%s%3N; numbers | tr ' ' '\n')
		packets=$((now[1] - was[1])) spent=$((now[2] - was[2])) row=$((row + 1))
		printf '    %6d %8d KiB %6d kbit/s %8d %8d KiB %6d bytes\n' $row \
			$((now[4] >> 10)) $(((now[3] - was[3]) * 8 / (now[0] - was[0]))) \
			$packets $((spent >> 10)) $((packets ? spent / packets : 0))
		was=("${now[@]}")
		[ $row -lt 60 ] || die "the file does not get through"
	done
}

# The file, a piece every second, so that the table has something to show.
chunks()
{
	local n

	for ((n = 0; n < CHUNKS; n++)); do
		dd if=/run/qkd/file bs=${CHUNK_KIB}K skip=$n count=1 status=none
		sleep 0.8
	done
}

move_file()
{
	local sum

	title "A file of $((CHUNKS * CHUNK_KIB)) KiB moves through it; the pool drains and fills"
	if [ "$ROLE" = bob ]; then
		socat -u TCP-LISTEN:7000,reuseaddr OPEN:/run/qkd/file,creat,trunc &
		wait_for 10 sh -c "ss -ltn | grep -q :7000"
		together listening
		wait $!
		put_value sum "$(sha256sum </run/qkd/file | cut -c 1-64)"
		return
	fi
	head -c $((CHUNKS * CHUNK_KIB))K /dev/urandom >/run/qkd/file
	sum=$(sha256sum </run/qkd/file | cut -c 1-64)
	tcpdump -Q out -U -n -c 100 -i eth0 -w $SAMPLE esp 2>/dev/null &
	wait_for 20 test -s $SAMPLE || die "tcpdump does not start"
	together listening
	chunks | socat -u - TCP:$PEER_INNER:7000 &
	table $!
	wait $! || die "the file was not sent"
	[ "$(get_value sum)" = "$sum" ] || die "the file arrived changed"
	tell "    it arrived unchanged: sha256 ${sum:0:16}..."
}

# The link's bytes follow from the seed: a program that shares no code with the
# module recomputes them and opens what was on the wire.
recompute()
{
	title "Each packet is text XOR the pad that its IV names, and no byte serves twice"
	if [ "$ROLE" = alice ]; then
		run ../ref/ref.py check-pcap --seed-file $SEED --gen "$QKD_GEN" \
			--min-packets 100 --pcap $SAMPLE
	fi
	together recomputed
}

# Pad for one packet more. What a KME still has comes a little later.
pad_is_left()
{
	level_is $((PACKET + 64)) && return
	[ "$SUPPLY" != emu ] && sleep 4 && level_is $((PACKET + 64))
}

supply_stops()
{
	run qkd link set $SOURCE stop
}

supply_starts()
{
	run qkd link set $SOURCE start
}

stop_supply()
{
	local before after

	title "QKD stops. Traffic goes on while key lasts, then it stops: no fallback"
	supply_stops
	together stopped
	if [ "$ROLE" = alice ]; then
		before=$(sa packets)
		# UDP, until the kernel says that there is no key
		while pad_is_left; do
			head -c 1M /dev/zero | timeout 20 socat -u -b $PACKET - \
				UDP-SENDTO:$PEER_INNER:9 2>/run/qkd/refusal
		done
		tell "    $(($(sa packets) - before)) more packets took the rest of the pad"
		REFUSED_BEFORE=$(sa refused.no_key)
		tell "alice# ping -n -c 3 -s $PACKET $PEER_INNER"
		ping -n -c 3 -i 0.5 -s $PACKET -W 1 $PEER_INNER >/run/qkd/ping 2>&1 &&
			die "a ping passed without key"
		sed '/^$/d;s/^/    /' /run/qkd/ping
		run qkd -s esp show spi $OUT_SPI dir out dev qkd0
		after=$(sa refused.no_key)
		[ "$after" -gt "$REFUSED_BEFORE" ] || die "no refusal was counted"
		REFUSED=$after
		wait_for 10 grep -q key-empty $EVENTS || die "no event says key-empty"
		tell "alice# qkd monitor dev qkd0"
		grep -E 'key-(low|empty)' $EVENTS | tail -n 2 | sed 's/^/    /'
	fi
	together empty
}

resume_supply()
{
	title "QKD resumes, and so does traffic"
	supply_starts
	wait_for 150 level_is $ENOUGH || die "no key arrives again"
	together resumed
	[ "$ROLE" = alice ] && run ping -n -c 2 -i 0.3 $PEER_INNER
	together answered
}

# The accounts of both ends must add up; the reference checks them.
check_accounts()
{
	sleep 1
	qkd -j -s link show qkd0 >/run/qkd/accounts
	../ref/ref.py accounts /run/qkd/accounts >/run/qkd/problems 2>&1 ||
		die "accounts: $(head -n 1 /run/qkd/problems)"
}

count_clear()
{
	kill "$CLEAR_PID" 2>/dev/null
	wait "$CLEAR_PID" 2>/dev/null
	tcpdump -n -r $WIRE 2>/dev/null | wc -l
}

# Of both ends, at alice's; false at bob's.
sum_clear()
{
	if [ "$ROLE" = bob ]; then
		put_value clear "$CLEAR"
		return 1
	fi
	CLEAR=$((CLEAR + $(get_value clear)))
	[ $CLEAR -eq 0 ] || die "$CLEAR packets left in clear"
}

# The second act: the policies stay, the SAs are others.
aes_up()
{
	OTP_PACKETS=$(sa packets) OTP_SPENT=$(sa key_bytes)
	title "Second act: the same tunnel under AES-256-GCM, with a new key every 100 ms"
	run qkd esp flush
	together flushed
	OUT_SPI=$(printf '%#x' $((OUT_SPI + 0x1000))) IN_SPI=$(printf '%#x' $((IN_SPI + 0x1000)))
	run qkd esp add src $ME dst $THEM spi $OUT_SPI dir out dev qkd0 cipher aes \
		mode tunnel reqid 1 rekey-time 100ms park-time 1s
	run qkd esp add src $THEM dst $ME spi $IN_SPI dir in dev qkd0 cipher aes \
		mode tunnel reqid 1 replay-window 1024 park-time 1s
	sysctl -q net.core.rmem_max=4194304 net.core.wmem_max=4194304
	[ "$ROLE" = alice ] || iperf3 -s -D >/dev/null
	together aes
}

# A tunnel of the kernel's own, to compare with.
stock_up()
{
	local key

	if [ "$ROLE" = alice ]; then
		key=$(od -An -v -tx1 -N 36 /dev/urandom | tr -d ' \n')
		put_value stock "$key"
	else
		key=$(get_value stock)
	fi
	ip addr add $STOCK/32 dev lo
	stock_sa $ME $THEM "$key"
	stock_sa $THEM $ME "$key"
	ip xfrm policy add src $STOCK dst $PEER_STOCK dir out \
		tmpl src $ME dst $THEM proto esp reqid 2 mode tunnel
	ip xfrm policy add src $PEER_STOCK dst $STOCK dir in \
		tmpl src $THEM dst $ME proto esp reqid 2 mode tunnel
	ip route add $PEER_STOCK via $THEM src $STOCK
	together stock
}

stock_sa()
{
	ip xfrm state add src "$1" dst "$2" proto esp spi 0x3001 reqid 2 mode tunnel \
		replay-window 128 flag esn aead 'rfc4106(gcm(aes))' "0x$3" 128
}

# tcp PEER ADDRESS: Mbit/s, the kernel's best of three seconds
tcp()
{
	iperf3 -J -c "$1" -B "$2" -t 3 |
		jq '.end.sum_received.bits_per_second / 1e6 | round'
}

# stream_through WHAT: UDP at a steady rate, of which nothing may be lost
stream_through()
{
	local packets epochs spent lost

	packets=$(sa packets) epochs=$(sa epochs) spent=$(sa key_bytes)
	iperf3 -J -u -b 3M -l 1300 -w 1M -t 4 -c $PEER_INNER -B $INNER >/run/qkd/iperf ||
		die "iperf3: $(jq -r .error /run/qkd/iperf)"
	lost=$(jq .end.sum.lost_packets /run/qkd/iperf)
	packets=$(($(sa packets) - packets)) epochs=$(($(sa epochs) - epochs))
	tell "    $packets packets, $lost lost, $epochs keys, $((($(sa key_bytes) - spent) >> 10)) KiB of key drawn" \
	     "    the key now: $(sa epoch.key_id)"
	[ "$lost" -eq 0 ] || die "$lost packets were lost"
	AES_PACKETS=$((AES_PACKETS + packets)) AES_KEYS=$((AES_KEYS + epochs))
}

rekeying()
{
	local tcpdump

	AES_PACKETS=0 AES_KEYS=0
	if [ "$ROLE" = alice ]; then
		tell "alice# iperf3 -u -b 3M -l 1300 -w 1M -t 4 -c $PEER_INNER"
		stream_through
		MBIT=$(tcp $PEER_INNER $INNER) STOCK_MBIT=$(tcp $PEER_STOCK $STOCK)
		tell "    TCP: $MBIT Mbit/s; the kernel's own rfc4106(gcm(aes)) beside it: $STOCK_MBIT Mbit/s"
		title "... and with a new key for every packet"
		run qkd esp set spi $OUT_SPI dir out dev qkd0 rekey-packets 1
		tcpdump -Q out -U -n -c 2000 -i eth0 -w $AES_SAMPLE "esp and ip[20:4] = $OUT_SPI" 2>/dev/null &
		wait_for 20 test -s $AES_SAMPLE || die "tcpdump does not start"
		tcpdump=$!
		stream_through
		sleep 1
		kill $tcpdump
		wait $tcpdump
		run qkd -s esp show spi $OUT_SPI dir out dev qkd0
	fi
	together rekeyed
	# both ends name the same key, although no message told it
	[ "$ROLE" = alice ] && put_value epoch "$(sa epoch.key_id)"
	[ "$ROLE" = alice ] || [ "$(get_value epoch)" = "$(inbound epoch.key_id)" ] ||
		die "the ends are at different keys"
}

inbound()
{
	qkd -j -s esp show dev qkd0 spi $IN_SPI dir in | jq ".[0].$1"
}

recompute_aes()
{
	title "These packets, decrypted by a program that knows the link's seed"
	if [ "$ROLE" = alice ]; then
		echo "[{\"spi\": \"$OUT_SPI\", \"role\": \"alice\", \"cipher\": \"aes\"}]" >/run/qkd/sas
		../ref/ref.py check-pcap --seed-file $SEED --gen "$QKD_GEN" --sas /run/qkd/sas \
			--min-packets 500 --pcap $AES_SAMPLE >/run/qkd/checked || die "$(cat /run/qkd/checked)"
		tell "    $(jq -r '"\(.packets) packets, \(.epochs) keys, \(.nonces) nonces, none twice"' /run/qkd/checked)"
		ip xfrm state list spi $OUT_SPI | grep -qE 'aead aes 0x0{24}[0-9a-f]{8} 128$' ||
			die "ip xfrm state shows more than a number"
	fi
	together decrypted
}

# random_secret NAME: 32 bytes of alice's in hexadecimal, the same at bob's
random_secret()
{
	[ "$ROLE" = bob ] || put_value "$1" "$(od -An -v -tx1 -N 32 /dev/urandom | tr -d ' \n')"
	get_value "$1"
}

# The configuration of qkdd: the link, and on stdin what comes behind that.
daemon_config()
{
	umask 077
	random_secret psk >/run/qkd/psk
	{
		cat <<-END
			[local]
			name = $ROLE
			listen = $ME:7676
			[peer $PEER]
			connect = $THEM:7676
			psk = /run/qkd/psk
			[link qkd0]
			peer = $PEER
		END
		cat
	} >/run/qkd/qkdd.conf
}

# sas DIR: what macsec has under our SAs of that direction
sas()
{
	qkd -j -s macsec show macsec0 |
		jq -r ".[0].sas[] | select(.dir == \"$1\" and .macsec.key == \"same\")$2"
}

both_ways()
{
	[ -n "$(sas tx ' | select(.macsec.encoding)')" ] && [ -n "$(sas rx)" ]
}

macsec_up()
{
	title "Third act: MACsec on the Ethernet between them, with a new SAK each second"
	run qkd esp flush
	run ip link set eth0 mtu 9000
	run ip link add link eth0 macsec0 type macsec cipher gcm-aes-xpn-256 encrypt on \
		replay on window 64
	run ip link set macsec0 up
	daemon_config <<-END
		[macsec macsec0]
		link = qkd0
		rekey-time = 1s
		max-time = 1m
	END
	tell "$ROLE# tail -n 4 /run/qkd/qkdd.conf" "$(tail -n 4 /run/qkd/qkdd.conf | sed 's/^/    /')" \
		"$ROLE# qkdd -c /run/qkd/qkdd.conf &"
	# one CPU for it and what it rotates under: see howto-fronthaul.md, "One frame"
	taskset -c 0 qkdd -c /run/qkd/qkdd.conf 2>/run/qkd/qkdd.log &
	DAEMON=$!
	wait_for 60 both_ways || die "no SAs: $(tail -n 1 /run/qkd/qkdd.log)"
	put_value "mac.$ROLE" "$(cat /sys/class/net/macsec0/address)"
	together macsec
}

rotations()
{
	grep -c "macsec-sa-new.* dir out" $EVENTS
}

# watch_saks PID: a line for some of the SAKs, until there were enough of them
watch_saks()
{
	local last=0 now

	while now=$(($(rotations) - FIRST)) && [ $now -lt $ROTATIONS ]; do
		kill -0 "$1" 2>/dev/null || die "the stream has ended"
		if [ $now -ge $((last + 10)) ]; then
			last=$now
			tell "    $now SAKs; now $(sas tx ' | select(.macsec.encoding) | "AN \(.an), key \(.key_id), \(.macsec.frames) frames"')"
		fi
		sleep 0.5
	done
}

# frames FILE MEMBER
frames()
{
	jq -r ".$2" "/run/qkd/$1"
}

fronthaul()
{
	local sender receiver

	title "eCPRI frames in both directions, 200 a second, over $ROTATIONS SAKs"
	$ECPRI receive macsec0 0 >/run/qkd/received &
	receiver=$!
	tcpdump -Q out -n -e -x -c 1 -i eth0 ether proto 0x88e5 >/run/qkd/frame 2>/dev/null &
	sleep 1
	together streams
	FIRST=$(rotations)
	tell "$ROLE# ecpri send macsec0 $(get_value "mac.$PEER") 2000 200 ..."
	taskset -c 0 $ECPRI send macsec0 "$(get_value "mac.$PEER")" 2000 200 1000000 >/run/qkd/sent &
	sender=$!
	watch_saks $sender
	together rotated
	kill $sender
	wait $sender
	put_value "sent.$ROLE" "$(frames sent frames)"
	together sent
	sleep 2
	kill $receiver
	wait $receiver
	kill $DAEMON
	wait $DAEMON
	SAKS=$(($(rotations) - FIRST)) FRAMES=$(frames received frames)
	PAUSE=$(($(frames received gap_us) / 1000))
	[ "$FRAMES" = "$(get_value "sent.$PEER")" ] ||
		die "$(get_value "sent.$PEER") frames were sent, $FRAMES came"
	[ "$(frames received missing) $(frames received late)" = "0 0" ] ||
		die "frames are missing or late: $(cat /run/qkd/received)"
	[ "$ROLE" = bob ] || head -n 6 /run/qkd/frame | cut -c 1-100 | sed 's/^/    /'
	run qkd -s macsec show macsec0
	ip macsec show macsec0 | grep -q "key $(sas tx ' | select(.macsec.encoding).key_id' | tr -d -)" ||
		die "macsec has another key than the module"
	together fronthaul
}

# The last act: the kernel's SAs and policies are charon's now.
# ike_config CIPHER
ike_config()
{
	local rekey=0

	[ "$ROLE" = bob ] || rekey=2s
	umask 077
	mkdir -p $IKE
	cat >$IKE/strongswan.conf <<-END
		charon {
			load = random nonce openssl kernel-netlink socket-default vici qkd
			filelog { $IKE/log { default = 1
				flush_line = yes } }
		}
		swanctl { load = random openssl }
	END
	cat >$IKE/swanctl.conf <<-END
		connections {
		  site {
		    version = 2
		    local_addrs = $ME
		    remote_addrs = $THEM
		    proposals = aes256-sha256-x25519-ke1_mlkem768
		    ppk_id = qkd:qkd0
		    local {
		      auth = psk
		      id = $ROLE.example
		    }
		    remote {
		      auth = psk
		      id = $PEER.example
		    }
		    children {
		      net {
		        local_ts = $INNER/32
		        remote_ts = $PEER_INNER/32
		        esp_proposals = $1
		        rekey_time = $rekey
		        life_time = 1m
		      }
		    }
		  }
		}
		secrets {
		  ike-peer {
		    secret = 0x$IKE_PSK
		  }
		}
	END
}

swan()
{
	SWANCTL_DIR=$IKE swanctl "$@"
}

ike_up()
{
	title "Last act: strongSwan sets the tunnel up: x25519, ML-KEM-768, and a PPK from QKD"
	ip link del macsec0
	ip xfrm policy flush
	ip xfrm state flush
	IKE_PSK=$(random_secret ike-psk)
	ike_config qkdhybrid
	tell "$ROLE# sed -n 2,8p swanctl.conf" "$(sed -n 2,8p $IKE/swanctl.conf | sed 's/^/    /')"
	export STRONGSWAN_CONF=$IKE/strongswan.conf
	charon-systemd >$IKE/out 2>&1 &
	CHARON=$!
	wait_for 30 swan --load-all || die "charon does not answer: $(tail -n 1 $IKE/log)"
	together charon
}

rekeyed()
{
	grep -c "rekeyed CHILD_SA net" $IKE/log
}

# child CIPHER NAME TITLE: set up, and rekeyed every two seconds while packets go
child()
{
	local lost shown before

	title "$3, rekeyed by IKE every 2 s under ping"
	ike_config "$1"
	swan --load-all >$IKE/out 2>&1 || die "$(tail -n 1 $IKE/out)"
	together "child-$1"
	if [ "$ROLE" = alice ]; then
		before=$(rekeyed)
		tell "alice# grep esp_proposals swanctl.conf" "            esp_proposals = $1" \
			"alice# swanctl --initiate --child net"
		swan --initiate --child net >$IKE/out 2>&1 || die "$(tail -n 3 $IKE/log)"
		ping -q -i 0.05 -c $((REKEYS * 40 + 20)) -W 5 -I $INNER $PEER_INNER >$IKE/ping
		REKEYED=$((${REKEYED:-0} + $(rekeyed) - before))
		[ $(($(rekeyed) - before)) -ge $REKEYS ] || die "$(($(rekeyed) - before)) rekeyings alone"
		lost=$(sed -n 's/^\([0-9]*\) packets transmitted, \([0-9]*\) .*/\1 - \2/p' $IKE/ping)
		[ $((lost)) -eq 0 ] || die "$((lost)) packets were lost"
		shown=$(swan --list-sas)
		tell "alice# swanctl --list-sas" "$(echo "$shown" | sed -n 4p)" \
			"$(echo "$shown" | grep -A 3 INSTALLED | head -n 4)"
		echo "$shown" | grep -q "KE1_ML_KEM_768/PPK$" || die "made without ML-KEM or PPK: $shown"
		echo "$shown" | grep -q "ESP:$2" || die "not under $2: $shown"
		tell "    ${lost%% *} packets, $((lost)) lost; $(($(rekeyed) - before)) rekeyings"
		swan --terminate --ike site >/dev/null || die "it does not end"
	fi
	together "done-$1"
}

ike_down()
{
	kill $CHARON
	wait $CHARON
	[ "$(qkd -j -s esp show dev qkd0)" = '[]' ] || die "SAs stay: $(qkd esp show)"
	together ike-down
}

summary()
{
	local packets spent supplied

	packets=$OTP_PACKETS spent=$OTP_SPENT
	supplied=$(($(stream pad supplied) + $(stream key supplied)))
	sum_clear || return 0
	title "Summary"
	tell "link    qkd0, emulated, generation $QKD_GEN: $((supplied >> 10)) KiB of key came to alice's end" \
	     "tunnel  ESP under a one-time pad: $PINGS, a file of $((CHUNKS * CHUNK_KIB)) KiB unchanged" \
	     "key     $((spent >> 10)) KiB for $packets packets, $((spent / packets)) bytes each, each byte once; accounts add up" \
	     "wire    ESP only, $CLEAR packets in clear, 100 recomputed from the seed; ip xfrm state shows no key" \
	     "outage  without key traffic stopped ($REFUSED packets refused), with key it came back" \
	     "aes     $AES_PACKETS packets under $AES_KEYS keys, 0 lost; TCP $MBIT Mbit/s, the kernel's own AES-GCM $STOCK_MBIT" \
	     "macsec  $FRAMES eCPRI frames came to alice over $SAKS rotations: 0 lost, 0 out of order, longest pause $PAUSE ms" \
	     "ike     x25519, ML-KEM-768 and a PPK from QKD; hybrid, then one-time pad: $REKEYED rekeyings, 0 packets lost"
}

cd "$(dirname "$0")" || exit 1
trap clean_up EXIT
share_seed
if [ "$SUPPLY" = link ]; then
	. ./link_lib.sh
	optical_link_up
	tunnel_up
	show_no_key
	ping_and_watch
	stop_supply
	resume_supply
	check_accounts
	CLEAR=$(count_clear)
	link_summary
	together end
	exit
fi
if [ "$SUPPLY" = etsi014 ]; then
	. ./etsi014_lib.sh
	kme_up
	fed_link_up
else
	link_up
fi
tunnel_up
show_no_key
ping_and_watch
move_file
[ "$SUPPLY" = etsi014 ] || recompute
stop_supply
[ "$SUPPLY" = emu ] || kme_said
resume_supply
check_accounts
if [ "$SUPPLY" = etsi014 ]; then
	CLEAR=$(count_clear)
	kme_summary
	together end
	exit
fi
aes_up
stock_up
rekeying
recompute_aes
check_accounts
CLEAR=$(count_clear)
macsec_up
fronthaul
check_accounts
ike_up
child qkdhybrid QKD_HYBRID "ESP keys from QKD and IKE together"
child qkdotp QKD_OTP "ESP under a one-time pad, bound to the peer by IKE"
ike_down
summary
together end
