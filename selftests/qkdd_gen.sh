#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# qkdd(8): generations and confirmation between two daemons with real TLS; what
# either forgets, loses or breaks.
# timeout: 600

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/esp_lib.sh"
. "$(dirname "$0")/qkdd_lib.sh"

# grows: more becomes usable at both ends
grows()
{
	local a b

	a=$(usable alice) b=$(usable bob)
	# shellcheck disable=SC2317
	more()
	{
		[ "$(usable alice)" -gt $((a + 100000)) ] && [ "$(usable bob)" -gt $((b + 100000)) ]
	}
	wait_for 30 more && return
	logs
	return 1
}

# goes_on LABEL: the generation is that one, and is supplied
goes_on()
{
	wait_for 30 both_are up "$1" && grows && both_are up "$1" && return
	logs
	return 1
}

pings()
{
	in_alice ping -q -c 20 -i 0.1 -s 1200 "$IN_B" && refused_nothing alice &&
		refused_nothing bob
}

begins()
{
	configure alice
	configure bob
	daemon_up alice bob
	wait_for 30 said alice "connected" || { logs; return 1; }
	# links that come later are found
	users_up
	wait_for 30 both_are up 1 && return
	logs
	return 1
}

killed()
{
	daemon_down KILL "$@"
	pings || return
	mark
	daemon_up "$@"
	goes_on 1
}

cut()
{
	ip -n alice link set va down
	wait_for 20 said alice "silent for 3 s" && wait_for 20 said bob "silent for 3 s" || {
		logs
		return 1
	}
	both_are up 1 || return
	ip -n alice link set va up
	ip -n alice route replace 10.2.2.1/32 via 10.1.0.2 src 10.2.1.1
	ip -n alice neigh replace 10.1.0.2 lladdr 02:00:00:00:00:02 dev va nud permanent
	goes_on 1
}

# next_generation LABEL: the operator ends one, and begins the next
next_generation()
{
	in_alice qkd link set qkd0 down
	wait_for 20 link_is bob down || return
	[ "$(link_field bob .reason)" = peer ] || return
	in_alice qkd link set qkd0 up
	wait_for 30 both_are up "$1" && return
	logs
	return 1
}

# settled: all that was supplied is usable, or lost, at both ends
settled()
{
	[ "$(per_stream alice pending)" = 0,0,0,0 ] &&
		[ "$(per_stream bob pending)" = 0,0,0,0 ] &&
		[ "$(per_stream alice supplied)" = "$(per_stream bob supplied)" ] &&
		[ "$(usable alice)" -gt 0 ]
}

# spoiled LABEL END LOST MISMATCHES WORD N: of that end's block N
spoiled()
{
	local label=$1 end=$2 lost=$3 mismatches=$4 ns
	shift 4

	next_generation "$label" || return
	feed "$end" blocks 6 "$@"
	feed "$(peer_of "$end")" blocks 6
	wait_for 40 settled
	feed_end
	settled && both_are up "$label" || {
		per_stream alice supplied; per_stream bob supplied
		per_stream alice pending; per_stream bob pending
		logs
		return 1
	}
	for ns in alice bob; do
		[ "$(link_field $ns '.streams | map(.lost) | add')" = "$lost" ] &&
			[ "$(link_field $ns '.refused.mismatch // 0')" = "$mismatches" ] || {
			ip netns exec $ns qkd -s link show qkd0
			return 1
		}
	done
	in_alice qkd -j -s link show qkd0 >/run/qkd/accounts.alice
	in_bob qkd -j -s link show qkd0 >/run/qkd/accounts.bob
	python3 "$(dirname "$0")/ref/ref.py" accounts /run/qkd/accounts.alice \
		/run/qkd/accounts.bob
}

# A head that one end lost: both give the segment up, and go on behind it.
head_lost()
{
	local ns

	next_generation "$1" || return
	feed alice lose 1
	feed bob
	goes_on "$1"
	feed_end
	for ns in alice bob; do
		[ "$(link_field $ns '.streams[0].lost')" -gt 1000000 ] &&
			[ "$(link_field $ns '.streams[0] | .supplied - .pending')" -gt 1048576 ] || {
			ip netns exec $ns qkd -s link show qkd0
			return 1
		}
	done
}

down_by_mismatch()
{
	[ "$(link_field alice '| .state + .reason')" = downmismatch ] &&
		[ "$(link_field bob '| .state + .reason')" = downmismatch ]
}

# Ends that hold different bytes: down, until the operator has seen it.
differs()
{
	next_generation "$1" || return
	mark
	head -c 32 /dev/urandom >/run/qkd/other.seed
	feed alice
	FEED_SEED=/run/qkd/other.seed feed bob
	wait_for 30 down_by_mismatch || { logs; return 1; }
	feed_end
	said alice differently && said bob differently || return
	sleep 1
	down_by_mismatch || return
	in_alice qkd link set qkd0 up
	in_bob qkd link set qkd0 up
	wait_for 30 both_are up $(($1 + 1)) && return
	logs
	return 1
}

# One end forgets its labels, as after a reboot.
forgets()
{
	in_bob qkd link del qkd0
	wait_for 20 link_is alice down || return
	in_bob qkd link add qkd0 type user role bob id "site b" peer-id "site a"
	wait_for 30 both_are up "$1" && return
	logs
	return 1
}

# A handshake that was cut off leaves the ends with different labels.
behind()
{
	daemon_down TERM alice bob
	in_bob qkd link set qkd0 down
	in_bob qkd link set qkd0 up
	python3 - "$(link_field bob .hash)" "$1" <<-END || return
		import os, sys
		sys.path.insert(0, "$(dirname "$0")")
		from netlink_lib import Qkd
		fd = os.open('/run/netns/bob', os.O_RDONLY)
		os.setns(fd, 0x40000000)
		Qkd().do('gen-begin', {'link-name': 'qkd0', 'label': int(sys.argv[2]),
		    'generation': os.urandom(32), 'hash': bytes.fromhex(sys.argv[1]),
		    'peer-role': 'alice', 'pad-capacity': 1 << 20, 'key-capacity': 1 << 16})
	END
	daemon_up alice bob
	wait_for 30 both_are up $(($1 + 1)) && return
	logs
	return 1
}

# A configuration read anew: a bad one is not taken; a good one adds a link,
# and what was there goes on.
reloads()
{
	local end

	mark
	echo "nonsense" >>/run/qkd/alice.conf
	reload alice
	wait_for 10 said alice "the old configuration stays" || return
	said alice '"nonsense" is no "key = value"' || return
	for end in alice bob; do
		configure $end
		link_section $end qkd1 >>/run/qkd/$end.conf
		reload $end
	done
	in_alice qkd link add qkd1 type user role bob id "site a" peer-id "site b"
	in_bob qkd link add qkd1 type user role alice id "site b" peer-id "site a"
	wait_for 30 eval '[ "$(in_alice qkd -j link show qkd1 | jq -r .[0].state)" = up ]' || {
		logs
		return 1
	}
	! said alice "connection closed" && both_are up "$1"
}

# Links that a driver runs: nothing is done to them, but that they are in step
# is seen.
emulated()
{
	mark
	link_up 2mbit || return
	sleep 4
	! said alice qkd0: && ! said bob qkd0: && both_are up
}

single_ends()
{
	mark
	echo 0123456789abcdef >/run/qkd/emu.seed
	seeded_up 50mbit /run/qkd/emu.seed 7 || { echo "not up"; return 1; }
	sleep 4
	! said alice qkd0: && ! said bob qkd0: || { logs; return 1; }
	in_bob qkd link set qkd0 gen 8
	wait_for 20 said alice "different generations: 7 here, 8 there" &&
		wait_for 20 said bob "different generations: 8 here, 7 there" || {
		logs
		return 1
	}
	in_alice qkd link set qkd0 gen 8
	sleep 4
	[ "$(new_lines alice | grep -c "different generations")" = 1 ] && return
	logs
	return 1
}

same_single_roles()
{
	mark
	in_alice qkd link add qkd0 type emu role alice seed-file /run/qkd/emu.seed gen 20 rate 1mbit
	in_bob qkd link add qkd0 type emu role alice seed-file /run/qkd/emu.seed gen 21 rate 1mbit
	wait_for 20 said alice "both ends are alice" && wait_for 20 said bob "both ends are alice"
}

# A key that both have, over the addresses that devices have by themselves;
# both ends dial, and one connection is left.
by_psk()
{
	local end peer dev a

	daemon_down TERM alice bob
	secret /run/qkd/psk
	for end in alice bob; do
		peer=$(peer_of $end)
		[ $end = alice ] && dev=va a=2 || dev=vb a=1
		cat >/run/qkd/$end.conf <<-END
			[local]
			name = $end.example
			listen = [fe80::ff:fe00:$((3 - a))%$dev]:$PORT
			[peer $peer.example]
			psk = /run/qkd/psk
			connect = [fe80::ff:fe00:$a%$dev]:$PORT
			[link qkd0]
			peer = $peer.example
		END
	done
	mark
	daemon_up alice bob
	users_up
	wait_for 40 both_are up 1 && sleep 3 && both_are up 1 || { logs; return 1; }
	for end in alice bob; do
		[ "$(ip netns exec $end ss -Htn state established "( sport = :$PORT or dport = :$PORT )" | wc -l)" = 1 ] || {
			ip netns exec $end ss -Htn
			logs
			return 1
		}
	done
}

ktap_print_header
ktap_set_plan 25

mkdir -p $PKI
head -c 32 /dev/urandom >$SEED
ca ca
certificate alice alice.example ca
certificate bob bob.example ca
wire_up
mark
check "a generation begins on links that were added later" begins
feed alice
feed bob
check "blocks are confirmed" goes_on 1
addresses 4 tunnel
check "a tunnel" tunnel_up 4 tunnel 64
check "packets pass under the one-time pad" pings
check "a key that one end reads the other claims" same_key
check "alice's daemon is killed: traffic goes on, and so does supply" killed alice
check "bob's daemon is killed" killed bob
check "both are killed" killed alice bob
mark
check "the cable is cut, and mended" cut
check "packets pass" pings
feed_end
tunnel_down
check "the operator ends a generation, and begins the next" next_generation 2
check "a block that alice lost is given up at both ends" spoiled 3 alice 16384 0 lose 6
check "a block that bob lost is given up at both ends" spoiled 4 bob 16384 0 lose 6
check "and one of the other kind" spoiled 5 bob 16384 0 lose 11
check "a corrupted block is given up at both ends, as a mismatch" spoiled 6 alice 16384 1 flip 7
check "a head that was lost takes its segment along" head_lost 7
check "ends that hold different bytes go down until the operator acts" differs 8
check "an end that forgot its labels takes the peer's" forgets 10
check "an end that lies behind catches up" behind 11
check "the configuration is read anew" reloads 12
in_alice qkd link del qkd1
in_bob qkd link del qkd1
link_down
check "an emulated pair is in step" emulated
link_down
check "emulated single ends are, or not" single_ends
link_down
check "single ends of one role are noticed" same_single_roles
link_down
check "a pre-shared key, link-local addresses, and both ends dial" by_psk
link_down
check "daemons end when they are told to" daemon_down TERM alice bob
ip netns del alice
ip netns del bob
ktap_finished
