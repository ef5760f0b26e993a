#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# guests: 2
# memory: 512
# timeout: 420
#
# Before the machine reboots, and as far as it can when it panics, the module
# wipes its pools: alice reboots and bob panics, each with a link full of bytes
# and a key that waits to be fetched. RAM is dumped before, as the control, and
# when the machine has stopped. reboot.host looks for the bytes in both.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wipe_lib.sh"

mkdir -p "$OUT"

# A process that outlives the selftest keeps the handle of a key, never the key.
key_waits()
{
	cd "$(dirname "$0")/ref" || return
	setsid python3 - >"$OUT/live.ids" 2>/run/qkd/key_waits <<'END' &
import signal
import genl
qkd = genl.Qkd()
[issued] = qkd.do('key-get', **{'link-name': 'live', 'class': 'export', 'size': 64})['issued']
print(issued['id'].hex(), flush=True)
signal.pause()
END
	wait_for 20 test -s "$OUT/live.ids" || {
		cat /run/qkd/key_waits
		return 1
	}
}

ktap_print_header
ktap_set_plan 4
check "a link is filled" filled live export export
check "a key waits" key_waits
check "RAM is dumped" dump_ram before
if [ "$ROLE" = alice ]; then
	check "the next is a reboot" goes_down reboot after
else
	check "the next is a panic" goes_down panic after
fi
ktap_finished
