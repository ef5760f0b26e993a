#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Links and namespaces that go away under traffic, and modules that cannot be
# unloaded while anything of theirs is in use, and are clean after.
# timeout: 900

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/esp_lib.sh"

JOBS=()

# Supply, a tunnel with a flood of pings through it, and readers of both nodes.
# Whatever runs inside a namespace keeps it alive, so nothing runs in bob's.
traffic_up()
{
	local index

	wire_up
	link_up 100mbit export export &&
		tunnel_up 4 tunnel 64 || return
	ip netns exec alice ping -q -f -s 1000 "$IN_B" &>/dev/null &
	JOBS=($!)
	for index in $(node_of alice) $(node_of bob); do
		read_keys "/dev/qkd$index" &
		JOBS+=($!)
	done
	wait_for 20 traffic_flows
}

node_of()
{
	link_field "$1" .index
}

# read_keys NODE: until the node says that its link is gone
read_keys()
{
	exec python3 -c '
import errno, os, sys
node = os.open(sys.argv[1], os.O_RDONLY)
try:
	while True:
		os.read(node, 48)
except OSError as why:
	sys.exit(why.errno != errno.ENODEV)' "$1"
}

# Both readers have had key, and packets have passed both ways.
traffic_flows()
{
	local ns

	for ns in alice bob; do
		[ "$(sa $ns in .packets)" -gt 10 ] || return
		[ "$(ip netns exec $ns qkd -j -s link show qkd0 | jq '
			.[0].streams[] | select(.dir == "out" and (.stream | endswith("key"))) |
			.taken')" -gt 32 ] || return
	done
}

# The readers heard that their links are gone; ends the rest.
traffic_down()
{
	local rc=0 reader ns

	for reader in "${JOBS[@]:1}"; do
		wait_for 20 has_ended "$reader" && wait "$reader" || {
			echo "a reader of a node did not get ENODEV"
			kill "$reader" 2>/dev/null
			rc=1
		}
	done
	kill "${JOBS[0]}" 2>/dev/null
	wait "${JOBS[0]}" 2>/dev/null
	JOBS=()
	for ns in alice bob; do
		ip netns del $ns 2>/dev/null
	done
	return $rc
}

has_ended()
{
	! kill -0 "$1" 2>/dev/null
}

no_nodes()
{
	! compgen -G "/dev/qkd*" >/dev/null
}

random_moment()
{
	sleep "0.$((RANDOM % 5))$((RANDOM % 10))"
}

# What a round does to a tunnel that works. What is left of it must block.
delete_link_at_alice()
{
	in_alice qkd link del qkd0 && link_is_gone bob && blocks
}

delete_link_at_bob()
{
	in_bob qkd link del qkd0 && link_is_gone alice && blocks
}

delete_namespace()
{
	ip netns del bob && wait_for 20 link_is_gone alice
}

delete_both()
{
	ip netns del bob &
	in_alice qkd link del qkd0 2>/dev/null
	wait $!
	wait_for 20 link_is_gone alice
}

link_is_gone()
{
	! ip netns exec "$1" qkd link show qkd0 &>/dev/null
}

blocks()
{
	! in_alice ping -q -c 2 -i 0.2 -W 1 "$IN_B" >/dev/null && return
	echo "a tunnel without a link passes traffic"
	return 1
}

modules_gone()
{
	! grep -q ^qkd /proc/modules
}

unload()
{
	# XFRM frees states late.
	wait_for 20 unload_now
}

unload_now()
{
	modprobe -r qkd_emu 2>/dev/null
	modprobe -r qkd 2>/dev/null
	modules_gone
}

# Nothing in the kernel's tables has our name, once the modules are gone.
nothing_left()
{
	! grep -E '\bqkd' /proc/devices /proc/crypto /proc/modules &&
		no_nodes && [ ! -e /sys/class/qkd ] && [ ! -e /sys/module/qkd ]
}

# rounds COUNT ACTION
rounds()
{
	local i rc=0

	for ((i = 0; i < $1; i++)); do
		traffic_up || { echo "round $i: no traffic"; rc=1; }
		refused_unload || { echo "round $i: unloaded in use"; rc=1; }
		random_moment
		$2 || { echo "round $i: $2"; rc=1; }
		traffic_down || { echo "round $i: readers"; rc=1; }
		wait_for 20 no_nodes || { echo "round $i: nodes are left"; rc=1; }
		unload || { echo "round $i: modules in use"; cat /proc/modules; rc=1; }
		nothing_left || { echo "round $i: something is left"; rc=1; }
		modprobe -a qkd qkd_emu || rc=1
		[ $rc = 0 ] || return 1
	done
}

refused_unload()
{
	! rmmod qkd 2>/dev/null && ! rmmod qkd_emu 2>/dev/null &&
		[ "$(grep -c '^qkd' /proc/modules)" = 2 ]
}

emu_is_needed()
{
	qkd link add l0 type emu peer name l1 || return
	! rmmod qkd_emu 2>/dev/null && ! rmmod qkd 2>/dev/null || {
		echo "unloaded with a link"
		return 1
	}
	qkd link del l1
	unload && nothing_left && modprobe -a qkd qkd_emu
}

core_is_needed()
{
	rmmod qkd_emu
	qkd link add l0 type user role alice id a peer-id b || return
	! rmmod qkd 2>/dev/null || {
		echo "unloaded with a link"
		return 1
	}
	qkd link del l0
	unload && nothing_left && modprobe -a qkd qkd_emu
}

# The link is gone, a file of it is still open.
file_is_open()
{
	local index

	qkd link add l0 type emu peer name l1 export export || return
	index=$(qkd -j link show l0 | jq '.[0].index')
	exec 8<"/dev/qkd$index"
	qkd link del l0
	if rmmod qkd_emu && ! rmmod qkd 2>/dev/null; then
		exec 8<&-
		unload && nothing_left && modprobe -a qkd qkd_emu
		return
	fi
	exec 8<&-
	echo "modules: $(grep ^qkd /proc/modules)"
	return 1
}

# An SA without a link, which went first.
sa_is_there()
{
	wire_up
	link_up 100mbit && tunnel_up 4 transport 64 || return
	in_alice qkd link del qkd0
	rmmod qkd_emu || return
	! rmmod qkd 2>/dev/null || {
		echo "unloaded with an SA"
		return 1
	}
	tunnel_down
	ip netns del alice
	ip netns del bob
	unload && nothing_left && modprobe -a qkd qkd_emu
}

# Many links at once in a namespace that ends, with supply under way.
many_links()
{
	local i

	ip netns add alice
	ip netns add bob
	for ((i = 0; i < $1; i++)); do
		in_alice qkd link add m$i type emu rate 10mbit \
			peer name m$i netns bob || return
	done
	random_moment
	ip netns del alice &
	ip netns del bob
	wait $!
	# a grace period or two for each
	wait_for $((30 + $1)) no_nodes || return
	unload && nothing_left && modprobe -a qkd qkd_emu
}

N=$(scaled 25)
MANY=$(scaled 200)

ktap_print_header
ktap_set_plan 9

check "unload is refused while a link of the emulated type is there" emu_is_needed
check "unload is refused while a link of type user is there" core_is_needed
check "unload is refused while a file of a deleted link is open" file_is_open
check "unload is refused while an SA of a deleted link is there" sa_is_there
check "a namespace with $MANY links goes" many_links "$MANY"
check "a link is deleted under traffic, $N times" rounds "$N" delete_link_at_alice
check "the peer's end is deleted under traffic, $N times" rounds "$N" delete_link_at_bob
check "the peer's namespace goes under traffic, $N times" rounds "$N" delete_namespace
check "link and namespace go at once under traffic, $N times" rounds "$N" delete_both

ktap_finished
