#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Reconciliation, verification and privacy amplification of qkd-link, without a link.
# host
# timeout: 1800

. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")" || exit

# What it prints is shown in any case: efficiency and such.
part()
{
	"./$2" 2>&1 | sed 's/^/# /'
	if [ "${PIPESTATUS[0]}" -eq 0 ]; then
		ktap_test_pass "$1"
	else
		ktap_test_fail "$1"
	fi
}

ktap_print_header
ktap_set_plan 2
part "Cascade and LDPC: keys, efficiency, leakage, bad input" link_processing
part "verification and privacy amplification" link_amplify
ktap_finished
