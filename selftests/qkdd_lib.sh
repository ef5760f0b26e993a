# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# A qkdd at each end of the wire of esp_lib.sh. Sourced after it.
#
# What an end has: /run/qkd/pki/NAME.{pem,key}, /run/qkd/END.conf, and its log
# in /run/qkd/log.END. Ends are the namespaces alice and bob. Since check runs
# what it is given in a subshell, what has to be remembered is in files.

SUPPLIER=$(dirname "$0")/tools/supplier
PKI=/run/qkd/pki
SEED=/run/qkd/supplier.seed
PORT=7676

# ca NAME: makes NAME.pem, NAME.key
ca()
{
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
		-subj "/CN=$1" -addext keyUsage=critical,keyCertSign \
		-keyout "$PKI/$1.key" -out "$PKI/$1.pem" 2>/dev/null
}

# certificate FILE DNS-NAME CA [OPTION...]: signed by it; options as "-not_after TIME"
certificate()
{
	local file=$1 name=$2 by=$3
	shift 3
	[ $# -gt 0 ] || set -- -days 2

	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" \
		-addext "subjectAltName=DNS:$name" -keyout "$PKI/$file.key" \
		-out "$PKI/$file.csr" 2>/dev/null &&
		openssl x509 -req -in "$PKI/$file.csr" -CA "$PKI/$by.pem" \
			-CAkey "$PKI/$by.key" -copy_extensions copy \
			-out "$PKI/$file.pem" "$@" 2>/dev/null
}

# secret FILE: a pre-shared key
secret()
{
	(umask 077; head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$1")
}

peer_of()
{
	[ "$1" = alice ] && echo bob || echo alice
}

# address_of END: where the other one finds it
address_of()
{
	[ "$1" = alice ] && echo 10.1.0.1 || echo 10.1.0.2
}

# local_section END [CERTIFICATE]
local_section()
{
	cat <<END
[local]
name = $1.example
ca = $PKI/ca.pem
certificate = $PKI/${2:-$1}.pem
key = $PKI/${2:-$1}.key
listen = $(address_of "$1"):$PORT
END
}

# peer_section END [KEY = VALUE]...: who dials is alice, or DIALER
peer_section()
{
	local peer

	peer=$(peer_of "$1")
	echo "[peer $peer.example]"
	[ "$1" != "${DIALER:-alice}" ] || echo "connect = $(address_of "$peer"):$PORT"
	shift
	printf 'timeout = 3s\n'
	printf '%s\n' "$@"
}

# link_section END [LINK...]
link_section()
{
	local peer link

	peer=$(peer_of "$1")
	shift
	for link in "${@:-qkd0}"; do
		printf '[link %s]\npeer = %s.example\n' "$link" "$peer"
	done
}

# configure END: with certificates, and the link qkd0
configure()
{
	{
		local_section "$1"
		peer_section "$1"
		link_section "$1"
	} >"/run/qkd/$1.conf"
}

# start FILE COMMAND...: in the background, its process in FILE
start()
{
	local file=$1
	shift

	"$@" &
	echo $! >"$file"
}

# stop FILE SIGNAL: and wait until it has gone
stop()
{
	local pid

	pid=$(cat "$1" 2>/dev/null) || return 0
	rm "$1"
	kill "-$2" "$pid" 2>/dev/null
	wait_for 10 eval "! kill -0 $pid"
}

daemon_up()
{
	local end

	for end; do
		start "/run/qkd/pid.$end" ip netns exec "$end" \
			qkdd -c "/run/qkd/$end.conf" &>>"/run/qkd/log.$end"
	done
}

# daemon_down SIGNAL END...
daemon_down()
{
	local signal=$1 end
	shift

	for end; do
		stop "/run/qkd/pid.$end" "$signal"
	done
}

reload()
{
	kill -HUP "$(cat "/run/qkd/pid.$1")"
}

# feed END [OPTION...], feed_end: a supplier at that end; both gone
feed()
{
	local end=$1
	shift

	start "/run/qkd/pid.feed.$end" ip netns exec "$end" "$SUPPLIER" qkd0 \
		"${FEED_SEED:-$SEED}" feed size 16384 "$@" &>>"/run/qkd/log.feed.$end"
}

feed_end()
{
	stop /run/qkd/pid.feed.alice TERM
	stop /run/qkd/pid.feed.bob TERM
}

# mark: from here on logs are looked at
mark()
{
	local end

	for end in alice bob; do
		touch "/run/qkd/log.$end"
		wc -l <"/run/qkd/log.$end" >"/run/qkd/mark.$end"
	done
}

new_lines()
{
	tail -n "+$(($(cat "/run/qkd/mark.$1") + 1))" "/run/qkd/log.$1"
}

# said END TEXT: in a line that is new
said()
{
	new_lines "$1" | grep -qF -- "$2"
}

logs()
{
	local end

	for end in alice bob; do
		echo "$end:"
		tail -n 12 "/run/qkd/log.$end"
	done
}

# link_is END STATE LABEL
link_is()
{
	[ "$(link_field "$1" .state)" = "$2" ] &&
		{ [ $# -lt 3 ] || [ "$(link_field "$1" .label)" = "$3" ]; }
}

# both_are STATE LABEL
both_are()
{
	link_is alice "$@" && link_is bob "$@"
}

# users_up [PARAMETER...]: a link of type user at each end
users_up()
{
	in_alice qkd link add qkd0 type user role alice id "site a" peer-id "site b" \
		export export "$@" &&
		in_bob qkd link add qkd0 type user role bob id "site b" \
			peer-id "site a" export export "$@"
}

# per_stream END MEMBER
per_stream()
{
	link_field "$1" ".streams | map(.$2 // 0) | @csv"
}

# usable END: bytes that ever became so
usable()
{
	link_field "$1" '.streams | map(.supplied - .pending) | add'
}
