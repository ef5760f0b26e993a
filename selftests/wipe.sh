#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# memory: 512
# timeout: 420
#
# What ends a pool wipes it: a single emulated end is filled from a seed, then
# its link is deleted, set down, put to sleep, or left to age, and the guest's
# RAM is dumped. wipe.host recomputes the streams and looks for them. A link
# that lives on is the control: its bytes must be found.
#
# Each case has its own seed; gen N is the same.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wipe_lib.sh"

mkdir -p "$OUT"

ends_by()
{
	local name=$1 what=$2
	shift 2

	check "a link is filled, to be $what" filled "$name"
	check "it is $what" "$@"
	check "RAM is dumped" dump_ram "$name"
}

sleeps()
{
	wake_in 8 || return
	echo mem >/sys/power/state || return
	qkd link show suspend | grep -q 'state down reason suspend'
}

aged()
{
	qkd link set age stop && qkd link set age max-age 1s &&
		wait_for 30 is_empty age
}

ktap_print_header
ktap_set_plan 15

check "a link is filled, and lives on" filled control
check "RAM is dumped" dump_ram control
check "it is deleted" qkd link del control

ends_by delete deleted qkd link del delete
ends_by down "set down" qkd link set down down
ends_by age "left to age" aged
if [ -e /sys/kernel/debug/kmemleak ]; then
	for name in "a link is filled, to be put to sleep" "it is put to sleep" \
			"RAM is dumped"; do
		ktap_test_skip "$name" "$DEBUG_SLEEP"
	done
else
	ends_by suspend "put to sleep" sleeps
	qkd link del suspend
fi

for name in down age; do
	qkd link del $name
done
ktap_finished
