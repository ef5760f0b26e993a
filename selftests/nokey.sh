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
	head -c 32 /dev/urandom >/tmp/seed
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
}

# What the tools say, and what each refusal says.
talk()
{
	local ns id

	id=$(tail -n 1 /tmp/ids)
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
			ip netns exec $ns qkd esp add src 10.1.0.1 dst 10.1.0.2 spi $SPI_A2B \
				dir out dev qkd0 cipher otp mode tunnel
		} >$SHOWN/tools.$ns 2>&1
	done
	dmesg >$SHOWN/dmesg
}

ip_xfrm_shows_a_handle()
{
	in_alice ip xfrm state | awk '
		/aead/ { n++; if ($2 != "otp" || $3 !~ /^0x0{16}[0-9a-f]{16}$/ || $4 != 128) exit 1 }
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
	found /tmp/seed /tmp/control.* /tmp/key
}

ktap_print_header
ktap_set_plan 12
mkdir -p $SHOWN
wire_up
addresses 4 tunnel
check "a link comes up" links_and_taps
check "a tunnel comes up" tunnel_up 4 tunnel 32
check "key is spent by ESP, allocated and claimed" use
check "the tools and refusals speak" talk
check "/proc and /sys are read" kernel_files
check "ip xfrm state shows a handle" ip_xfrm_shows_a_handle
sleep 1
killall -q tcpdump
check "control: seed and key are found where they are, in each spelling" controls
check "no key in dmesg" clean $SHOWN/dmesg
check "no key in what ip and qkd print" clean $SHOWN/tools.*
check "no key in what netlink carries" clean $SHOWN/nlmon.*
check "no key in /proc, /sys" clean $SHOWN/files
check "netlink's messages were seen" test "$(stat -c %s $SHOWN/nlmon.alice)" -gt 4000
tunnel_down
link_down
ktap_finished
