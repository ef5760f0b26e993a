#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Every command of Documentation/howto-aes-tunnel.md, as it stands there.
# timeout: 300

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/howto_lib.sh"

# shellcheck disable=SC2034
PAGE=$(dirname "$0")/doc/howto-aes-tunnel.md
# shellcheck disable=SC2034
BLOCKS="sites aes rekey auto outage hybrid next end"

out()
{
	ip netns exec alice qkd -j -s esp show | jq "first(.[] | select(.dir == \"out\"))$1"
}

answered()
{
	grep -q ' 3 received, 0% packet loss' <<<"$1"
}

aes()
{
	local said

	said=$(paste_block aes 2>&1) && answered "$said" && [ "$(out .epochs)" -eq 1 ]
}

rekeyed()
{
	local before

	before=$(out .epochs)
	paste_block rekey && [ "$(out .epochs)" -ge $((before + 5)) ] &&
		[ "$(out .refused.no_key)" -eq 0 ]
}

automatic()
{
	paste_block auto && [ "$(out .rekey_auto)" = true ] && [ "$(out .refused.no_key)" -eq 0 ]
}

outage()
{
	local said

	said=$(paste_block outage 2>&1) && answered "$said" && grep -q 'fallback$' <<<"$said" &&
		[ "$(out .fallback)" = false ] && return
	echo "$said"
	return 1
}

hybrid()
{
	local said

	said=$(paste_block hybrid 2>&1) && answered "$said" && [ "$(out .cipher)" = '"hybrid"' ] && return
	echo "$said"
	return 1
}

next()
{
	paste_block next && [ "$(out .epoch.secret_number)" -eq 2 ] &&
		[ "$(out '.refused | add')" -eq 0 ]
}

ktap_print_header
ktap_set_plan 9
check "every block of the page is run here" all_are_run
check "two sites and a link" paste_block sites
check "a tunnel under aes" aes
check "keys as often as said" rekeyed
check "rekey auto" automatic
check "an outage: the last key serves on" outage
check "a tunnel under hybrid" hybrid
check "the next external secret" next
check "the end" paste_block end
ktap_finished
