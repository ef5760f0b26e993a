#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Every command of Documentation/howto-fronthaul.md, as it stands there.
# timeout: 300

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/howto_lib.sh"

# shellcheck disable=SC2034
PAGE=$(dirname "$0")/doc/howto-fronthaul.md
# shellcheck disable=SC2034
BLOCKS="wire daemons look outage end"

sas()
{
	ip netns exec "$1" qkd -j -s macsec show macsec0 |
		jq -r ".[0].sas[] | select(.dir == \"$2\" and .macsec.key == \"same\") | .key_id"
}

# What one unit sends under the other receives under.
agree()
{
	[ -n "$(sort <(sas du tx) <(sas ru rx) | uniq -d)" ] &&
		[ -n "$(sort <(sas ru tx) <(sas du rx) | uniq -d)" ]
}

daemons()
{
	paste_block daemons >/run/qkd/daemons.log 2>&1 && wait_for 30 agree && return
	cat /run/qkd/daemons.log
	return 1
}

look()
{
	local said

	said=$(paste_block look 2>&1) && grep -q 'key same' <<<"$said" &&
		grep -q 'macsec-sa-new' <<<"$said" &&
		grep -q ' 20 received, 0% packet loss' <<<"$said" && return
	echo "$said"
	return 1
}

# The tag is in the clear, what is behind it is not.
tagged()
{
	ip netns exec du tcpdump -Q out -n -e -c 3 -i fh0 vlan 100 2>/dev/null >/run/qkd/tagged &
	sleep 2
	ip netns exec du ping -n -q -c 5 -i 0.2 10.20.0.2
	wait $!
	[ "$(grep -c 'vlan 100, .*ethertype 802.1AE MACsec' /run/qkd/tagged)" = 3 ] && return
	cat /run/qkd/tagged
	return 1
}

outage()
{
	local said

	said=$(paste_block outage 2>&1) && [ "$(grep -c ' 3 received, 0% packet loss' <<<"$said")" = 2 ] &&
		grep -q ' 0 received, ' <<<"$said" && agree && return
	echo "$said"
	return 1
}

ktap_print_header
ktap_set_plan 7
check "every block of the page is run here" all_are_run
check "the wire" paste_block wire
check "the daemons: both units have the same SAKs" daemons
check "what is shown; jumbo frames pass" look
check "the VLAN tag is in the clear" tagged
check "an outage: the last SAK serves on, then nothing passes, then it comes back" outage
check "the end" paste_block end
ktap_finished
