#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Every command of Documentation/howto-wireguard.md, as it stands there.
# timeout: 400

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/howto_lib.sh"

# shellcheck disable=SC2034
PAGE=$(dirname "$0")/doc/howto-wireguard.md
# shellcheck disable=SC2034
BLOCKS="sites tunnel hand configure start rotate outage end"

ktap_print_header
modprobe -qa wireguard	# unless it is built in
ip link add wg-try type wireguard 2>/dev/null || ktap_skip_all "this kernel has no WireGuard"
ip link del wg-try

# Two more keys were confirmed, and others were in use meanwhile.
rotates()
{
	local said confirms

	said=$(paste_block rotate 2>&1) || { echo "$said"; return 1; }
	echo "$said"
	mapfile -t confirms < <(grep -o '"confirms":[0-9]*' <<<"$said" | cut -d: -f2)
	[ "${confirms[-1]}" -ge $((confirms[0] + 2)) ] &&
		[ "$(grep -o '"key_id":"[^"]*"' <<<"$said" | sort -u | wc -l)" -ge 2 ]
}

ktap_set_plan 9
check "every block of the page is run here" all_are_run
check "two sites and a link" paste_block sites
check "a tunnel through which nothing passes" says tunnel "nothing passes, as it should be"
check "a key by hand" says hand " 3 received, 0% packet loss"
check "the configuration is good" says configure "siteA.conf is good" "siteB.conf is good"
check "qkdd gives keys" says start "siteB at 192.0.2.2:7676: connected" \
	" dev qkd0 max-time 20s"
check "they rotate" rotates
check "without key nothing passes, and with it again" says outage "state blocked: its time is over" \
	"nothing passes" " 3 received, 0% packet loss"
check "the end" says end "nothing passes"
ktap_finished
