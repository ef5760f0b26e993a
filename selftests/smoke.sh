#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The modules load, say nothing alarming, unload and load again.
# timeout: 120

. "$(dirname "$0")/lib.sh"

quiet_log()
{
	! dmesg | grep -E 'qkd.*(unknown|disagrees|fail|error|taint)' |
		grep -vE 'out-of-tree module taints|module verification failed'
}

ktap_print_header
ktap_set_plan 4
check "the modules load" modprobe -a qkd qkd_emu
check "they unload" modprobe -r qkd_emu qkd
check "they load again" modprobe -a qkd qkd_emu
check "the kernel log has no complaint" quiet_log
ktap_finished
