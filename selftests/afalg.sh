#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# An unprivileged user who binds our AEAD, directly or through a wrapper, with
# any key that can be seen, gets -ENOKEY, and later SAs still get our AEAD.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/esp_lib.sh"

# alg NAME FIELD: of /proc/crypto
alg()
{
	awk -v name="$1" -v field="$2" '
		$1 == "driver" { this = $3 }
		$1 == field && this == name { print $3 }' /proc/crypto
}

only_ours()
{
	[ "$(grep -c '^name *: qkd(otp)$' /proc/crypto)" -eq 1 ] &&
		[ -n "$(alg qkd-otp refcnt)" ] &&
		[ "$(alg qkd-otp priority)" -eq 2147483647 ]
}

passes()
{
	in_alice ping -n -q -c 3 -i 0.2 -W 2 $IN_B && same_at_both_ends
}

sas_use_ours()
{
	local before

	before=$(alg qkd-otp refcnt)
	tunnel_up 4 tunnel 32 || return
	[ "$(alg qkd-otp refcnt)" -eq $((before + 4)) ] || {
		grep -B1 -A8 '^name *: qkd' /proc/crypto
		return 1
	}
	passes
}

# An open socket holds a tfm, so the module stays.
module_is_held()
{
	local rc=1

	python3 - >/dev/null 2>&1 <<'END' &
import socket, time
s = socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)
s.bind(('aead', 'qkd(otp)'))
open('/tmp/bound', 'w').close()
time.sleep(60)
END
	wait_for 10 test -e /tmp/bound
	rmmod qkd_emu
	rmmod qkd 2>/tmp/why || rc=0
	kill $!
	wait $!
	[ $rc -eq 0 ] && grep -q 'in use' /tmp/why
}


ktap_print_header
ktap_set_plan 35
addresses 4 tunnel
wire_up
check "a link comes up" link_up 50mbit
check "SAs use qkd-otp, and traffic passes" sas_use_ours
handle=$(in_alice ip xfrm state | awk '/aead/ { print $3; exit }')
spent=$(sa alice out .key_bytes)
python_checks "$(dirname "$0")/afalg.py" "$handle"
check "the algorithm is the only one of its name" only_ours
check "no pad was spent by it" test "$(sa alice out .key_bytes)" = "$spent"
check "the SAs that were there still pass traffic" passes
tunnel_down
check "later SAs use qkd-otp, and traffic passes" sas_use_ours
tunnel_down
link_down
check "an open socket keeps the module" module_is_held
ktap_finished
