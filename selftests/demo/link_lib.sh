# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
# What the demo does otherwise with SUPPLY=link. Sourced by demo.sh.

PACKET=400
ENOUGH=1024
OPTICS=/run/qkd/optics
# 50 km of fibre and good detectors, with blocks that an emulated CPU makes in seconds
FIGURES=(preset bb84-fibre-50km set efficiency=80% set dark=1e-8 set afterpulse=0
	set misalignment=0.3% set mu=0.5 set nu1=0.15 set key-basis=0.6 set block=100000)

# share FILE BYTES: random bytes of alice's, the same at bob's
share()
{
	umask 077
	if [ "$ROLE" = alice ]; then
		head -c "$2" /dev/urandom >"$1"
		put_value "${1##*/}" "$(base64 -w 0 "$1")"
	else
		get_value "${1##*/}" | base64 -d >"$1"
	fi
}

# The generation and the confirmation of blocks are qkdd's.
daemon_up()
{
	daemon_config </dev/null
	tell "$ROLE# qkdd -c /run/qkd/qkdd.conf &"
	qkdd -c /run/qkd/qkdd.conf 2>/run/qkd/qkdd.log &
}

optics_up()
{
	local join=listen

	[ "$ROLE" = bob ] || join=connect
	share /run/qkd/bootstrap 20000
	echo "0 off" >/run/qkd/scenario
	tell "$ROLE# qkd-link --scenario /run/qkd/scenario $ROLE $join 192.0.2.2:7677 \\" \
		"        key-file /run/qkd/bootstrap dev qkd0 ${FIGURES[*]} &"
	qkd-link --pace fast --scenario /run/qkd/scenario "$ROLE" $join 192.0.2.2:7677 \
		key-file /run/qkd/bootstrap dev qkd0 "${FIGURES[@]}" 2>$OPTICS.log &
	OPTICS_PID=$!
}

optical_link_up()
{
	tell "alice and bob are two machines, joined by an Ethernet."
	title "A link that an emulated optical system feeds: light, detectors, and all that follows"
	run qkd link add qkd0 type user role "$ROLE" id "site $ROLE" peer-id "site $PEER" \
		pad-capacity 64K key-capacity 64K
	run qkd link set qkd0 key-low 1K pad-low 2K
	qkd monitor dev qkd0 >$EVENTS 2>&1 &
	daemon_up
	optics_up
	tell "    decoy-state BB84 over 50 km: light, sifting, Cascade, a hash, a Toeplitz matrix ..."
	wait_for 150 level_is $ENOUGH || die "no key arrives: $(tail -n 1 $OPTICS.log)"
	run qkd link show qkd0
	together link
}

# scene TEXT: what alice's light meets from now on
scene()
{
	[ "$ROLE" = alice ] || return 0
	tell "alice# echo '$1' >/run/qkd/scenario; kill -HUP \$(pidof qkd-link)"
	echo "$1" >/run/qkd/scenario
	kill -HUP $OPTICS_PID
}

supply_stops()
{
	scene "0 intercept 1    # Eve measures each pulse, and sends another one on"
	wait_for 150 grep -q qber-alarm $EVENTS || die "nobody notices Eve: $(tail -n 1 $OPTICS.log)"
	tell "alice# tail -n 1 $OPTICS.log" "$(grep alarm: $OPTICS.log | tail -n 1 | sed 's/^/    /')"
	run qkd link show qkd0
}

supply_starts()
{
	scene "0 off            # Eve has gone"
}

link_summary()
{
	sum_clear || return 0
	title "Summary"
	tell "link    decoy-state BB84 over 50 km, emulated: $(($(stream pad supplied) + $(stream key supplied))) bytes of key came to alice's end" \
	     "tunnel  ESP under a one-time pad: $PINGS" \
	     "eve     she measured all light: the QBER rose to a quarter, the link alarmed and gave no key" \
	     "outage  without key traffic stopped ($REFUSED packets refused), with key it came back" \
	     "key     $(sa key_bytes) bytes for $(sa packets) packets, each byte once; accounts add up" \
	     "wire    ESP only, $CLEAR packets in clear; ip xfrm state shows no key"
}
