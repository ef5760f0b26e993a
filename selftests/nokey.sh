#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# No key byte shows: not in the kernel's log, ip xfrm, the family's messages
# (taken off the wire of netlink itself), /proc, /sys or tracing. What is looked
# for is computed from the emulated link's seed, in all usual spellings.
# timeout: 600

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/esp_lib.sh"

HERE=$(dirname "$0")
SHOWN=/tmp/shown

clean()
{
	python3 "$HERE/nokey.py" /tmp/seed "$QKD_GEN" /tmp/ids "$@"
}

found()
{
	clean expect "$@"
}

# Everything that netlink carries in both namespaces, from the first request on.
netlink_tap()
{
	local ns

	modprobe -q nlmon	# or the kernel has it built in
	for ns in alice bob; do
		ip -n $ns link add nlmon type nlmon || return
		ip -n $ns link set nlmon up
		ip netns exec $ns tcpdump -i nlmon -s 0 -U -w $SHOWN/nlmon.$ns \
			>/dev/null 2>&1 &
	done
	wait_for 10 test -s $SHOWN/nlmon.alice -a -s $SHOWN/nlmon.bob
}

# The seed itself goes in by netlink: the tap begins after the links are there.
links_and_taps()
{
	local n

	head -c 32 /dev/urandom >/tmp/seed
	umask 077
	for n in 1 2 3; do
		head -c $((n * 200)) /dev/urandom >/tmp/secret.$n
	done
	seeded_up 50mbit /tmp/seed "$QKD_GEN" export control,export && netlink_tap
}

use()
{
	local id

	in_alice ping -n -q -c 20 -i 0.1 -w 10 -s 1000 "$IN_B" || return
	in_alice qkd key get dev qkd0 class export count 5 to /tmp/keys |
		grep -oE '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}' >/tmp/ids
	in_alice qkd key get dev qkd0 class control to /tmp/key |
		grep -oE '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}' >>/tmp/ids
	[ "$(wc -l </tmp/ids)" -eq 6 ] || return
	head -n 4 /tmp/ids | while read -r id; do
		in_bob qkd key claim dev qkd0 id "$id" to /tmp/claimed."$id" || return
	done
	cp /tmp/ids /tmp/ids.of.keys
	printf 'file /tmp/secret.%s\n' 1 2 3 >>/tmp/ids
}

# epochs NAMESPACE DIR CIPHER SPI NUMBER [FILE]: the current epoch, for nokey.py
epochs()
{
	local ns=$1 dir=$2
	shift 2

	ip netns exec "$ns" qkd -j -s esp show spi "$2" dir "$dir" dev qkd0 |
		jq -er --arg rest "$*" '.[0].epoch.key_id + " " + $rest' >>/tmp/ids
}

# The same tunnel under cipher aes, and then hybrid, with both secrets in use.
use_aes()
{
	local ns spi

	qkd_flush && pair_of_sas aes 0x1003 0x1004 &&
		in_alice ping -n -q -c 5 -i 0.1 -w 10 "$IN_B" &&
		epochs alice out 2 0x1003 0 && epochs bob out 2 0x1004 0 &&
		qkd_flush && pair_of_sas hybrid 0x1005 0x1006 secret-file /tmp/secret.1 &&
		in_alice ping -n -q -c 5 -i 0.1 -w 10 "$IN_B" &&
		epochs alice out 3 0x1005 1 /tmp/secret.1 || return
	for ns in alice bob; do
		for spi in 0x1005 0x1006; do
			ip netns exec $ns qkd esp set spi $spi dev qkd0 \
				dir "$(direction $ns $spi)" secret-number 2 \
				secret-file - </tmp/secret.2 || return
		done
	done
	in_alice ping -n -q -c 5 -i 0.1 -w 10 "$IN_B" &&
		epochs alice out 3 0x1005 2 /tmp/secret.2 &&
		epochs bob in 3 0x1005 2 /tmp/secret.2
}

qkd_flush()
{
	in_alice qkd esp flush && in_bob qkd esp flush
}

direction()
{
	case $1/$2 in
	alice/0x1005 | bob/0x1006)	echo out ;;
	*)				echo in ;;
	esac
}

# pair_of_sas CIPHER SPI SPI [MORE...]: as tunnel_up makes them
pair_of_sas()
{
	local cipher=$1 a2b=$2 b2a=$3
	shift 3

	sa_cipher alice out "$a2b" $A $B "$cipher" "$@" &&
		sa_cipher bob in "$a2b" $A $B "$cipher" replay-window 64 "$@" &&
		sa_cipher bob out "$b2a" $B $A "$cipher" "$@" &&
		sa_cipher alice in "$b2a" $B $A "$cipher" replay-window 64 "$@"
}

sa_cipher()
{
	local ns=$1 dir=$2 spi=$3 src=$4 dst=$5 cipher=$6
	shift 6

	ip netns exec "$ns" qkd esp add src "$src" dst "$dst" spi "$spi" dir "$dir" \
		dev qkd0 cipher "$cipher" mode tunnel reqid 1 "$@"
}

# A qkd that is slowed down before each message to the kernel shows what a
# secret on its way looks like from outside.
secret_on_its_way()
{
	local pid tracer

	in_alice strace -f -o /dev/null -e inject=sendmsg:delay_enter=8000000 \
		qkd esp set spi 0x1005 dir out dev qkd0 secret-number 3 \
		secret-file /tmp/secret.3 >$SHOWN/refused 2>&1 &
	tracer=$!
	wait_for 30 grep -q 'logon.*qkd:' /proc/keys || return
	cat /proc/keys >$SHOWN/proc.keys
	for pid in $(pgrep -x qkd) $tracer; do
		cat "/proc/$pid/cmdline" "/proc/$pid/environ" "/proc/$pid/status" \
			>>$SHOWN/proc.argv
	done
	in_alice ip -s xfrm state >$SHOWN/proc.xfrm
	wait $tracer || return
	grep -q secret.3 $SHOWN/proc.argv && grep -qE 'logon +qkd:[0-9a-f]{32}: [0-9]+$' $SHOWN/proc.keys
}

no_key_is_left()
{
	wait_for 10 eval '! grep -q "logon.*qkd:" /proc/keys'
}

# What the tools say, and what each refusal says.
talk()
{
	local ns id

	id=$(tail -n 1 /tmp/ids.of.keys)
	for ns in alice bob; do
		{
			ip -n $ns -s xfrm state
			ip -n $ns -s xfrm policy
			ip netns exec $ns qkd -s link show
			ip netns exec $ns qkd -j -s link show
			ip netns exec $ns qkd -s esp show
			ip netns exec $ns qkd -j -s esp show
			ip netns exec $ns qkd key status dev qkd0
			ip netns exec $ns qkd key peek dev qkd0 id "$id"
			ip netns exec $ns qkd key claim dev qkd0 id "${id/0/1}" to /tmp/none
			ip netns exec $ns qkd key claim dev qkd0 id "$(head -n 1 /tmp/ids)" to /tmp/none
			ip netns exec $ns qkd esp set spi 0x1005 dev qkd0 secret-number 2 \
				dir "$(direction $ns 0x1005)" secret-file /tmp/secret.2
			ip netns exec $ns qkd esp add src 10.1.0.1 dst 10.1.0.2 spi 0x1007 dir out \
				dev qkd0 cipher aes mode tunnel secret-file /tmp/secret.1
			ip netns exec $ns qkd esp add src 10.1.0.1 dst 10.1.0.2 spi $SPI_A2B \
				dir out dev qkd0 cipher otp mode tunnel
		} >$SHOWN/tools.$ns 2>&1
	done
	dmesg >$SHOWN/dmesg
}

# ip_xfrm_shows_a_handle CIPHER
ip_xfrm_shows_a_handle()
{
	in_alice ip xfrm state | awk -v cipher="$1" '
		/aead/ { n++; if ($2 != cipher || $3 !~ /^0x0{16}[0-9a-f]{16}$/ || $4 != 128) exit 1 }
		/auth|enc / { exit 1 }
		END { exit n != 2 }'
}

# All that can be read of /proc and /sys, but for memory itself and what waits.
kernel_files()
{
	find /proc /sys -xdev -type f -readable -size -1M \
		! -path '/proc/[0-9]*' ! -path '/proc/self/*' ! -path '/proc/thread-self/*' \
		! -name kcore ! -name kmsg ! -name 'kpage*' ! -name trace_pipe \
		! -path '*/tracing/*' ! -path '/sys/kernel/debug/*' ! -name 'resource[0-9]*' \
		! -name rom ! -path '/proc/sysrq-trigger' -print0 >/tmp/list
	xargs -0 -n 200 timeout 60 head -qc 65536 </tmp/list >$SHOWN/files 2>/dev/null
	find /sys/kernel/debug /sys/kernel/tracing -path '*qkd*' -type f -readable \
		-exec head -qc 65536 {} + >>$SHOWN/files 2>/dev/null
	[ "$(stat -c %s $SHOWN/files)" -gt 100000 ]
}

controls()
{
	xxd -p -c 64 /tmp/seed >/tmp/control.hex 2>/dev/null ||
		od -An -tx1 /tmp/seed | tr -d ' \n' >/tmp/control.hex
	tr a-f A-F </tmp/control.hex >/tmp/control.HEX
	od -An -tx1 /tmp/seed | tr -d '\n' >/tmp/control.spaced
	base64 /tmp/seed >/tmp/control.base64
	{ echo -n xx; cat /tmp/seed; } | base64 >/tmp/control.shifted
	found /tmp/seed /tmp/control.* /tmp/key /tmp/secret.*
}

ktap_print_header
ktap_set_plan 17
mkdir -p $SHOWN
wire_up
addresses 4 tunnel
check "a link comes up" links_and_taps
check "a tunnel comes up" tunnel_up 4 tunnel 32
check "key is spent by ESP, allocated and claimed" use
check "ip xfrm state shows a handle" ip_xfrm_shows_a_handle otp
check "key and external secrets are spent by AES" use_aes
check "ip xfrm state shows a handle of that too" ip_xfrm_shows_a_handle hybrid
check "a secret on its way shows a description and a path" secret_on_its_way
check "and then not even that" no_key_is_left
check "the tools and refusals speak" talk
check "/proc and /sys are read" kernel_files
sleep 1
killall -q tcpdump
check "control: seed and key are found where they are, in each spelling" controls
check "no key in dmesg" clean $SHOWN/dmesg
check "no key in what ip and qkd print" clean $SHOWN/tools.*
check "no key in what netlink carries" clean $SHOWN/nlmon.*
check "no key in /proc, /sys" clean $SHOWN/files
check "no key or secret in /proc/keys, arguments and environments" clean $SHOWN/proc.*
check "netlink's messages were seen, and secrets named in them" \
	grep -qaE 'qkd:[0-9a-f]{32}' $SHOWN/nlmon.alice
tunnel_down
link_down
ktap_finished
