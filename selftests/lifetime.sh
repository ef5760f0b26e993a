#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Links, generations, SAs and namespaces that go away under traffic of all
# ciphers and while packets wait for epochs, and modules that cannot be unloaded
# while anything of theirs is in use, and are clean after.
# timeout: 900
# cpus: 2

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/esp_lib.sh"

HERE=$(dirname "$0")
SECRET=/tmp/secret
JOBS=()

# Of each cipher a pair of SAs that has an epoch per packet if it has any; no two
# join the same addresses in the same mode.
tunnels_up()
{
	TUNNELS=()
	SA_OUT=() SA_IN=()
	one_tunnel otp 1 4 tunnel || return
	SA_OUT=(rekey-packets 1 park-time 1s) SA_IN=(park-time 1s)
	one_tunnel aes 2 6 tunnel || return
	SA_OUT+=(secret-file "$SECRET") SA_IN+=(secret-file "$SECRET")
	one_tunnel hybrid 3 6 transport
}

# one_tunnel CIPHER NUMBER 4|6 MODE
one_tunnel()
{
	CIPHER=$1 SPI_A2B=0x${2}001 SPI_B2A=0x${2}002 tunnel_up "$3" "$4" 64 || return
	TUNNELS+=("$IN_B")
}

# SAs whose packets lifetime.py parks, of a mode in which nothing else passes.
# Bob's inbound one comes later.
parking_up()
{
	local park=(rekey-packets 1 park-time 1s)

	addresses 4 transport
	CIPHER=aes sa_add alice out 0x4001 $A $B transport "${park[@]}" &&
		CIPHER=aes sa_add bob out 0x4002 $B 10.1.0.77 transport "${park[@]}" || return
	policies alice transport $A $B $A $B
	policies bob transport $B $A $B $A
	ip -n bob xfrm policy add src $B dst 10.1.0.77 dir out \
		tmpl src $B dst 10.1.0.77 proto esp reqid 1 mode transport
}

# Counts what passes the wire, in ESP and not, both ways. What was in a tunnel
# comes in once more when it is out of ESP. The stranger of lifetime.py does not
# ask for ESP, and multicast is IPv6's own.
watch_wire()
{
	in_alice nft -f - <<-'END'
	table netdev watch {
		counter sealed { }
		counter bare { }
		chain look {
			ip protocol esp counter name sealed
			ip6 nexthdr esp counter name sealed
			ip protocol != esp ip saddr != 10.1.0.77 counter name bare
			ip6 nexthdr != esp ip6 daddr != ff00::/8 counter name bare
		}
		chain out {
			type filter hook egress device va priority 0;
			jump look
		}
		chain in {
			type filter hook ingress device va priority 0;
			meta ipsec missing jump look
		}
	}
	END
}

counted()
{
	in_alice nft -j list counter netdev watch "$1" | jq '.nftables[] | .counter.packets // empty'
}

nothing_in_clear()
{
	[ "$(counted sealed)" -gt 100 ] && [ "$(counted bare)" -eq 0 ] && return
	in_alice nft list counters
	return 1
}

# Supply, tunnels with a flood of pings through each, and readers of both nodes.
# Whatever runs inside a namespace keeps it alive, so nothing runs in bob's. The
# traffic takes all the time that nobody else wants.
traffic_up()
{
	local to

	wire_up
	witness alice bob
	watch_wire || return
	# A small pool: what fills it takes time from all else. SAs do not wait for it.
	in_alice qkd link add qkd0 type emu rate 100mbit pad-capacity 2M \
		key-capacity 256K export export peer name qkd0 netns bob || return
	: >/tmp/readers
	python3 "$HERE/lifetime.py" read "/dev/qkd$(node_of alice)" \
		"/dev/qkd$(node_of bob)" >/tmp/readers &
	JOBS=($!)
	tunnels_up && parking_up || return
	for to in "${TUNNELS[@]}"; do
		nice -n 19 ip netns exec alice ping -q -f -s 1000 "$to" &>/dev/null &
		JOBS+=($!)
	done
	wait_for 40 traffic_flows
}

node_of()
{
	link_field "$1" .index
}

# Both readers have had key, and packets of each cipher have passed both ways.
traffic_flows()
{
	[ "$(wc -l </tmp/readers)" -eq 2 ] && {
		in_alice qkd -j -s esp show
		in_bob qkd -j -s esp show
	} | jq -es '[.[][] | select(.spi < 16384)] | length == 12 and all(.packets > 10)'
}

pings_end()
{
	local job

	kill "${JOBS[@]:1}" 2>/dev/null
	for job in "${JOBS[@]:1}"; do
		wait "$job" 2>/dev/null
	done
	JOBS=("${JOBS[0]}")
}

# The readers heard that their links are gone; ends the rest. The namespaces go.
traffic_down()
{
	local rc=0

	in_alice qkd link del qkd0 2>/dev/null
	wait_for 20 has_ended "${JOBS[0]}" && wait "${JOBS[0]}" || {
		echo "a reader of a node did not get ENODEV"
		kill "${JOBS[0]}" 2>/dev/null
		rc=1
	}
	nothing_in_clear || rc=1
	pings_end
	ip netns del alice
	ip netns del bob 2>/dev/null
	wait_for 30 no_witness || {
		echo "a namespace does not go"
		rc=1
	}
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

# while_parked COMMAND...: it begins while packets wait at senders and at a receiver
while_parked()
{
	local line rc=0 pid from to

	coproc PARK { exec python3 "$HERE/lifetime.py" park 2>&1; }
	pid=$PARK_PID from=${PARK[0]} to=${PARK[1]}
	read -r line <&"$from"
	case $line in
	parked*)
		"$@" || rc=1 ;;
	*)
		echo "$line"
		cat <&"$from"
		rc=1 ;;
	esac
	exec {to}>&-
	wait "$pid" && return $rc
}

# What a round does to tunnels that work. What is left of them must block.
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

end_generation()
{
	in_alice qkd link set qkd0 down && no_epochs alice && no_epochs bob && blocks
}

no_epochs()
{
	ip netns exec "$1" qkd -j -s esp show | jq -e 'length > 0 and all(.epoch == null)'
}

# A packet that a socket has not read holds the SA that it came through, and the
# sockets of ping get more than they read.
flush_states()
{
	ip -n alice xfrm state flush
	ip -n bob xfrm state flush
	blocks || return
	pings_end
	wait_for 20 no_sas && return
	tell
	return 1
}

no_sas()
{
	[ -z "$(in_alice qkd -j esp show | jq '.[]')$(in_bob qkd -j esp show | jq '.[]')" ]
}

link_is_gone()
{
	! ip netns exec "$1" qkd link show qkd0 &>/dev/null
}

blocks()
{
	local to pings=() rc=0

	for to in "${TUNNELS[@]}"; do
		ip netns exec alice ping -q -c 2 -i 0.2 -W 1 "$to" >/dev/null &
		pings+=($!)
	done
	for to in "${!pings[@]}"; do
		! wait "${pings[$to]}" || {
			echo "${TUNNELS[$to]} answers, though nothing should pass"
			rc=1
		}
	done
	return $rc
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

# rounds COUNT ACTION: every other time while packets are parked
rounds()
{
	local i rc=0 moment

	for ((i = 0; i < $1; i++)); do
		moment=while_parked
		[ $((i % 2)) = 1 ] || moment=
		traffic_up || { echo "round $i: no traffic"; tell; rc=1; }
		refused_unload || { echo "round $i: unloaded in use"; rc=1; }
		random_moment
		$moment $2 || { echo "round $i: $moment $2"; rc=1; }
		traffic_down || { echo "round $i: traffic_down"; rc=1; }
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

# SAs without a link, which went first.
sas_are_there()
{
	wire_up
	link_up 100mbit pad-capacity 2M key-capacity 256K && tunnels_up || return
	in_alice qkd link del qkd0
	rmmod qkd_emu || return
	! rmmod qkd 2>/dev/null || {
		echo "unloaded with SAs"
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
		in_alice qkd link add m$i type emu rate 2mbit \
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
ROUNDS=$(((N + 1) / 2 * 2))

ktap_print_header
ktap_set_plan 11
head -c 32 /dev/urandom >$SECRET
chmod 600 $SECRET

check "unload is refused while a link of the emulated type is there" emu_is_needed
check "unload is refused while a link of type user is there" core_is_needed
check "unload is refused while a file of a deleted link is open" file_is_open
check "unload is refused while SAs of a deleted link are there" sas_are_there
check "a namespace with $MANY links goes" many_links "$MANY"
check "a link is deleted under traffic, $ROUNDS times" rounds "$ROUNDS" delete_link_at_alice
check "the peer's end is deleted under traffic, $ROUNDS times" rounds "$ROUNDS" delete_link_at_bob
check "the peer's namespace goes under traffic, $ROUNDS times" rounds "$ROUNDS" delete_namespace
check "link and namespace go at once under traffic, $ROUNDS times" rounds "$ROUNDS" delete_both
check "the generation ends under traffic, $ROUNDS times" rounds "$ROUNDS" end_generation
check "ip xfrm state flush under traffic, $ROUNDS times" rounds "$ROUNDS" flush_states

ktap_finished
