#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# qkdd(8): who is not the peer, and what no peer sends, is refused with one line
# in the log, and changes nothing.
# timeout: 600

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/esp_lib.sh"
. "$(dirname "$0")/qkdd_lib.sh"

# What must stay: the link, and what it holds.
link_state()
{
	in_alice qkd -j -s link show qkd0
}

# complaints END: its lines about connections that it did not want
complaints()
{
	new_lines "$1" | grep -E ': (refused|connection closed|no connection): '
}

# A daemon that is stopped may be in the middle of its next try.
cut="refused: unexpected eof while reading"

# Of something else than that.
complained()
{
	complaints alice | grep -qvF "$cut"
}

# once END: each connection has one line
once()
{
	complaints "$1" | sed -E 's/: (refused|connection closed|no connection): .*//' |
		sort | uniq -d | grep . && return 1
	return 0
}

# one_line TEXT COMMAND...: alice says that in one line and no more, and her
# link is as it was
one_line()
{
	local text=$1 also=$1 before
	shift

	[[ $1 == @(bob_is|psk_is) ]] && also=$cut
	before=$(link_state)
	mark
	"$@" &>/run/qkd/log.stranger
	wait_for 15 said alice "$text"
	sleep 0.3
	said alice "$text" && once alice && ! complaints alice | grep -vF -e "$text" -e "$also" &&
		[ "$(link_state)" = "$before" ] && return
	cat /run/qkd/log.stranger
	new_lines alice
	echo "expected: $text"
	diff <(jq . <<<"$before") <(link_state | jq .)
	return 1
}

# stranger OPTION...: a TLS client of openssl
stranger()
{
	echo | timeout 10 ip netns exec bob openssl s_client -connect 10.1.0.1:$PORT \
		-CAfile $PKI/ca.pem "$@"
}

with()
{
	stranger -tls1_3 -cert "$PKI/$1.pem" -key "$PKI/$1.key"
}

# plain TEXT: no TLS at all
plain()
{
	timeout 5 ip netns exec bob bash -c "exec 3<>/dev/tcp/10.1.0.1/$PORT; printf '$1' >&3; cat <&3"
}

silent()
{
	timeout 15 ip netns exec bob bash -c "exec 3<>/dev/tcp/10.1.0.1/$PORT; cat <&3"
}

# misbehave CASE
misbehave()
{
	link_state >/run/qkd/link.json
	ip netns exec bob timeout 30 python3 "$(dirname "$0")/qkdd_auth.py" "$1" /run/qkd/link.json
}

ignored()
{
	local before

	before=$(link_state)
	misbehave ignored || return
	[ "$(link_state)" = "$before" ]
}

# bob_is CERTIFICATE: bob's own daemon comes with that
bob_is()
{
	{
		local_section bob "$1"
		peer_section bob
		link_section bob
	} >/run/qkd/bob.conf
	daemon_up bob
	wait_for 10 complained
	daemon_down TERM bob
}

# A server that is not who alice dials.
server_is()
{
	local DIALER=alice

	{
		local_section alice
		peer_section alice
		link_section alice
	} >/run/qkd/alice.conf
	{
		local_section bob "$1"
		peer_section bob
		link_section bob
	} >/run/qkd/bob.conf
	daemon_up bob
	wait_for 20 said bob "listening on"
	reload alice
	wait_for 10 complained
	daemon_down TERM bob
	DIALER=bob
	configure_server
	reload alice
	sleep 0.5
}

# alice listens; bob's section may have more
configure_server()
{
	{
		local_section alice
		peer_section alice "$@"
		link_section alice
		printf '[macsec macsec0]\nlink = qkd0\n'
	} >/run/qkd/alice.conf
}

# psk_is FILE: bob comes with that key
psk_is()
{
	cat >/run/qkd/bob.conf <<-END
		[local]
		name = ${2:-bob}.example
		[peer alice.example]
		connect = 10.1.0.1:$PORT
		psk = $1
	END
	daemon_up bob
	wait_for 10 complained
	daemon_down TERM bob
}

# good: the peer itself gets in, by a generation
good()
{
	peers_up && wait_for 30 both_are up "$1" && return
	logs
	return 1
}

peers_up()
{
	{
		local_section bob
		peer_section bob
		link_section bob
	} >/run/qkd/bob.conf
	daemon_up bob
}

# clash REASON TEXT: of two real daemons
clash()
{
	local events=/run/qkd/events end

	ip netns exec alice timeout 12 qkd monitor >$events &
	mark
	daemon_up bob
	for end in alice bob; do
		wait_for 15 said $end "$1" || { logs; return 1; }
	done
	sleep 3
	for end in alice bob; do
		[ "$(new_lines $end | grep -c 'refused: ')" = 1 ] && link_is $end down &&
			[ "$(link_field $end .reason)" = role-clash ] || { logs; return 1; }
	done
	wait_for 15 grep -q role-clash $events && [ "$(grep -c role-clash $events)" = 1 ]
}

both_alice()
{
	daemon_down TERM bob
	in_alice qkd link del qkd0
	in_bob qkd link del qkd0
	in_alice qkd link add qkd0 type user role alice id "site a" peer-id "site b"
	in_bob qkd link add qkd0 type user role alice id "site b" peer-id "site a"
	clash "both ends are alice"
}

other_identities()
{
	daemon_down TERM bob
	in_bob qkd link del qkd0
	in_bob qkd link add qkd0 type user role bob id "site c" peer-id "site a"
	clash "disagree on their identities"
}

# config_says TEXT LINE...: the configuration of these lines is refused, where
config_says()
{
	local text=$1
	shift

	printf '%s\n' "$@" >/run/qkd/bad.conf
	qkdd --check-config /run/qkd/bad.conf &>/run/qkd/bad.log && return 1
	grep -qF -- "$text" /run/qkd/bad.log && return
	cat /run/qkd/bad.log
	return 1
}

configurations()
{
	local l="[local]" n="name = a" f=/run/qkd/bad.conf ok=1
	local key="peer = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="

	says()
	{
		config_says "$@" || { echo "expected: $1"; ok=0; }
	}
	says "$f:1: \"name\" is in no section" "$n"
	says "$f:1: section \"lokal\" is none of" "[lokal]"
	says "$f:1: \"[local\" does not end in ]" "[local"
	says "$f:2: [local] has no key \"nam\"" "$l" "nam = a"
	says "$f:3: \"name\" was given already" "$l" "$n" "$n"
	says "[local] has no \"name\"" "$l"
	says "$f:2: name \"a b\" is no plain word" "$l" "name = a b"
	says "$f:2: listen \"::1:70\" is not ADDRESS:PORT: write an IPv6 address in brackets" "$l" "listen = ::1:70"
	says "$f:2: listen \"10.0.0.1\" is not ADDRESS:PORT" "$l" "listen = 10.0.0.1"
	says "$f:2: listen \"1.2.3.4:65536\" is not ADDRESS:PORT" "$l" "listen = 1.2.3.4:65536"
	says "$f:3: peer \"b\" has no \"connect\"" "$l" "$n" "[peer b]"
	says "$f:3: peer \"b\" has no \"psk\"" "$l" "$n" "[peer b]" "connect = 1.2.3.4:5"
	says "$f:3: peer \"a\" has our own name" "$l" "$n" "[peer a]"
	says "$f:4: peer \"b\" is there already" "$l" "$n" "[peer b]" "[peer b]"
	says "$f:4: timeout \"1s\" is not a time" "$l" "$n" "[peer b]" "timeout = 1s"
	says "$f:3: link \"q\" has no \"peer\"" "$l" "$n" "[link q]"
	says "$f:3: link \"q\": there is no [peer b]" "$l" "$n" "[link q]" "peer = b"
	says "$f:3: link \"qkd0123456789abcdef\" is not of 1 to 15" "$l" "$n" "[link qkd0123456789abcdef]"
	says "$f:3: macsec \"m\" has no \"link\"" "$l" "$n" "[macsec m]"
	says "$f:3: macsec \"m\": there is no [link q]" "$l" "$n" "[macsec m]" "link = q"
	says "$f:4: macsec \"m\" is there already" "$l" "$n" "[macsec m]" "[macsec m]"
	says "$f:3: macsec \"macsec0123456789\" is not of 1 to 15" "$l" "$n" "[macsec macsec0123456789]"
	says "$f:4: rekey-time \"1\" is not a time from 100ms to 43200s" "$l" "$n" "[macsec m]" "rekey-time = 1"
	says "$f:4: rekey-time \"99ms\" is not a time" "$l" "$n" "[macsec m]" "rekey-time = 99ms"
	says "$f:4: max-time \"25h\" is not a time" "$l" "$n" "[macsec m]" "max-time = 25h"
	says "$f:4: max-time \"99999999999999999999h\" is not a time" "$l" "$n" "[macsec m]" "max-time = 99999999999999999999h"
	says "$f:4: rekey-packets \"0\" is not a number" "$l" "$n" "[macsec m]" "rekey-packets = 0"
	says "$f:4: rekey-packets \"-1\" is not a number" "$l" "$n" "[macsec m]" "rekey-packets = -1"
	says "$f:3: macsec \"m\": \"rekey-time\" is more than half" "$l" "$n" "[macsec m]" "rekey-time = 31m"
	says "$f:5: macsec \"o\" and \"m\" have one shared name" "$l" "$n" "[macsec o]" "link = q" "[macsec m]" "link = q" "shared-name = o"
	says "$f:4: peer \"x\" is not a public key in Base64" "$l" "$n" "[wireguard w]" "peer = x"
	says "$f:3: wireguard \"w\" has no \"peer\"" "$l" "$n" "[wireguard w]"
	says "$f:3: wireguard \"w\": there is no [link q]" "$l" "$n" "[wireguard w]" "$key" "link = q"
	says "$f:3: wireguard \"w\": \"rekey-time\" is more than half" "$l" "$n" "[wireguard w]" "$key" "rekey-time = 31m"
	says "$f:5: wireguard \"w\" has this peer already" "$l" "$n" "[wireguard w]" "$key" "[wireguard w]" "$key" "shared-name = v"
	says "$f:6: wireguard \"w\" and \"v\" have one shared name" "$l" "$n" "[wireguard w]" "$key" "link = q" "[wireguard v]" "$key" "link = q" "shared-name = w"
	says "/nowhere: No such file" "$l" "$n" "[peer b]" "connect = 1.2.3.4:5" "psk = /nowhere"
	chmod 644 /run/qkd/psk
	says "/run/qkd/psk: others than its owner" "$l" "$n" "[peer b]" "connect = 1.2.3.4:5" "psk = /run/qkd/psk"
	chmod 600 /run/qkd/psk
	echo 00112233 >/run/qkd/short.psk
	chmod 600 /run/qkd/short.psk
	says "/run/qkd/short.psk: it does not hold 32 to 64 bytes" "$l" "$n" "[peer b]" "connect = 1.2.3.4:5" "psk = /run/qkd/short.psk"
	head -c 5000 /dev/zero | tr '\0' x >/run/qkd/bad.conf
	qkdd --check-config /run/qkd/bad.conf &>/run/qkd/bad.log && ok=0
	grep -q "$f:1: the line is too long" /run/qkd/bad.log || ok=0
	qkdd --check-config /run/qkd/alice.conf | grep -q "is good" || ok=0
	[ $ok = 1 ]
}

# The daemon as its unit has it: a user with CAP_NET_ADMIN alone, whom nobody can
# trace or dump (then its files in /proc are root's), and who gets at no node.
unprivileged()
{
	local caps=-all,+net_admin pid

	mark
	chown 65534 $PKI/bob.key
	start /run/qkd/pid.bob ip netns exec bob setpriv --reuid 65534 --regid 65534 \
		--clear-groups --bounding-set $caps --inh-caps $caps --ambient-caps $caps \
		qkdd -c /run/qkd/bob.conf &>>/run/qkd/log.bob
	pid=$(cat /run/qkd/pid.bob)
	wait_for 20 said bob connected && in_alice qkd link set qkd0 down &&
		wait_for 20 link_is bob down && in_alice qkd link set qkd0 up &&
		wait_for 30 both_are up 2 || { logs; return 1; }
	[ "$(stat -c %u "/proc/$pid/mem")" = 0 ] &&
		[ "$(awk '/^CapEff/ { print $2 }' "/proc/$pid/status")" = 0000000000001000 ] &&
		! setpriv --reuid 65534 --regid 65534 --clear-groups cat /dev/qkd0
}

ktap_print_header
ktap_set_plan 63

mkdir -p $PKI
chmod 755 /run/qkd $PKI
ca ca
ca otherca
certificate alice alice.example ca
certificate bob bob.example ca
certificate carol carol.example ca
certificate forged bob.example otherca
certificate expired bob.example ca -not_before 20200101000000Z -not_after 20200201000000Z
secret /run/qkd/psk
secret /run/qkd/other.psk
wire_up
mark
export DIALER=bob
configure_server
check "configurations that make no sense are refused, with file and line" configurations
users_up
daemon_up alice
check "the daemon listens" wait_for 20 said alice "listening on"
check "the peer itself: a generation begins" good 1
daemon_down TERM bob

check "a certificate of another CA" one_line "refused: unable to get local issuer certificate" with forged
check "one that has expired" one_line "refused: certificate has expired" with expired
check "one with a name that no peer has" one_line "refused: no peer has the name in its certificate" with carol
check "none" one_line "refused: peer did not return a certificate" stranger -tls1_3
check "TLS 1.2" one_line "refused: unsupported protocol" stranger -tls1_2 -cert $PKI/bob.pem -key $PKI/bob.key
check "a key exchange that is not hybrid" one_line "refused: no suitable key share" stranger -tls1_3 -groups X25519 -cert $PKI/bob.pem -key $PKI/bob.key
check "no TLS" one_line "refused:" plain 'GET / HTTP/1.0\r\n\r\n'
check "silence" one_line "refused: it says nothing" silent
check "the daemon of another site" one_line "refused: no peer has the name in its certificate" bob_is carol

check "messages are as documented" misbehave documented
check "HELLO of another sender" one_line "message 1 names another sender" misbehave wrong_sender
check "HELLO to another receiver" one_line "message 1 names another receiver" misbehave wrong_receiver
check "no HELLO" one_line "message 1 has no place here" misbehave no_hello
check "two HELLOs" one_line "message 2 has no place here" misbehave two_hellos
check "a message that was replayed" one_line "message 2 was sent before" misbehave replayed
check "a HELLO that was replayed" one_line "message 1 was sent before" misbehave replayed_hello
check "messages in another order" one_line "message 3 is not the next one" misbehave reordered
check "a message that is cut short" one_line "message 3 is cut short" misbehave truncated
check "one whose fields are cut short" one_line "message 2 is malformed" misbehave cut_fields
check "one that is too long" one_line "message 2 is too long" misbehave oversized
check "noise" one_line "message 2 is too long" misbehave endless
check "an empty one" one_line "message 2 is empty" misbehave empty
check "an unknown version" one_line "message 2 is of an unknown version" misbehave unknown_version
check "an unknown type" one_line "message 2 is of an unknown type" misbehave unknown_type
check "bytes too many" one_line "message 2 has bytes too many" misbehave too_much
check "a value out of its range" one_line "message 2 is malformed" misbehave out_of_range
check "a name of no bytes" one_line "message 2 is malformed" misbehave nameless
check "a name with control characters" one_line "message 2 is malformed" misbehave control_characters
check "a verdict at the wrong end" one_line "message 3 is for the other end" misbehave verdict_at_tx
check "a tag at the wrong end" one_line "message 3 is for the other end" misbehave tag_at_rx
check "an edge that moves back" one_line "message 4 moves an edge back" misbehave edge_back
check "too many tags" one_line "message 67 is a tag too many" misbehave too_many_tags
for case in supply_without_keys supply_cut_short supply_too_many supply_empty_id \
	supply_no_text supply_number_0 supply_size_0 supply_too_large supplied_out_of_range; do
	check "malformed: $case" one_line "message 3 is malformed" misbehave $case
done
check "a SUPPLY of a stream that we allocate from" one_line "message 3 is for the other end" misbehave supply_at_tx
check "a SUPPLIED of one that the peer does" one_line "message 3 is for the other end" misbehave supplied_at_rx
check "a SUPPLY of more bytes than its keys have" one_line "message 3 names no block" misbehave supply_too_long
check "a SUPPLY between granules" one_line "message 3 names no block" misbehave supply_askew
check "a SAK of a device that was not shown" one_line "message 3 names another SCI" misbehave sak_before_secy
check "an AN out of its range" one_line "message 3 is malformed" misbehave an_out_of_range
check "a cipher suite out of its range" one_line "message 2 is malformed" misbehave suite_out_of_range
check "what is about other things is ignored" ignored

check "a server with another name than the one dialed" one_line "no connection: hostname mismatch" server_is carol
check "a server with a certificate of another CA" one_line "no connection: unable to get local issuer certificate" server_is forged
check "the peer itself: the generation goes on" good 1
daemon_down TERM bob
check "and with CAP_NET_ADMIN alone" unprivileged
daemon_down TERM bob
chown 0 $PKI/bob.key

configure_server "psk = /run/qkd/psk"
reload alice
check "a wrong pre-shared key" one_line "refused: binder does not verify" psk_is /run/qkd/other.psk
check "a pre-shared key of an unknown name" one_line "refused: tlsv1 alert unknown ca" psk_is /run/qkd/psk carol
check "a certificate where a pre-shared key is wanted" one_line "refused: no peer has the name in its certificate" bob_is bob
check "no log has the key" bash -c '! grep -qF "$(head -c 16 /run/qkd/psk)" /run/qkd/log.*'

configure_server
reload alice
{
	local_section bob
	peer_section bob
	link_section bob
} >/run/qkd/bob.conf
check "both ends alice: refused, with an event" both_alice
check "identities that differ: the same" other_identities
daemon_down TERM bob
check "the daemon ends" daemon_down TERM alice
link_down
ip netns del alice
ip netns del bob
ktap_finished
