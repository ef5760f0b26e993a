#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Every command of Documentation/howto-otp-tunnel.md, as it stands there.
# guests: 2
# timeout: 400

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/howto_lib.sh"

# shellcheck disable=SC2034
PAGE=$(dirname "$0")/doc/howto-otp-tunnel.md

# It stays in the background: not with the pipe that check reads.
start_supplier()
{
	paste_block "supplier-$ROLE" >/run/qkd/supplier 2>&1
}

give_seed()
{
	paste_block seed && put_value seed "$(od -An -v -tx1 /root/qkd-seed | tr -d ' \n')"
}

take_seed()
{
	umask 077
	printf '%b' "$(get_value seed | sed 's/../\\x&/g')" >/root/qkd-seed
}

# shellcheck disable=SC2034
BLOCKS="load one one-end seed supplier-alice supplier-bob two-alice two-bob two-end
two-try user-alice user-bob"

one_machine()
{
	paste_block one >/run/qkd/one 2>&1 || {
		cat /run/qkd/one
		return 1
	}
	cat /run/qkd/one
	[ "$(grep -c ' 3 received, 0% packet loss' /run/qkd/one)" = 2 ] &&
		grep -q ' 0 received, 100% packet loss' /run/qkd/one &&
		grep -qE 'refused: no-key [1-9]' /run/qkd/one
}

fed()
{
	wait_for 60 sh -c 'qkd -j link show qkd0 | jq -e ".[0].pad > 65536"'
}

alice()
{
	ktap_set_plan 11
	check "every block of the page is run here" all_are_run
	check "load" paste_block load
	check "both ends on one machine" one_machine
	check "and their end" paste_block one-end
	check "a seed" give_seed
	barrier seed
	check "two machines: alice" paste_block two-alice
	barrier two
	check "two machines: traffic" paste_block two-try
	barrier tried
	check "two machines: the end" paste_block two-end
	check "a user link: alice" paste_block user-alice
	barrier user
	check "its supplier" start_supplier
	check "key comes" fed
	barrier fed
}

bob()
{
	ktap_set_plan 6
	check "load" paste_block load
	take_seed
	barrier seed
	check "two machines: bob" paste_block two-bob
	barrier two
	barrier tried
	check "two machines: the end" paste_block two-end
	check "a user link: bob" paste_block user-bob
	check "its supplier" start_supplier
	wait_for 10 sh -c "ss -ltn | grep -q :7001"
	barrier user
	check "key comes" fed
	barrier fed
}

ktap_print_header
"$ROLE"
# Who started it, ends it: the supplier's own process.
for pid in $(pidof supplier); do
	kill "$pid"
done
wait_for 10 sh -c '! pidof supplier'
qkd link del qkd0
ktap_finished
