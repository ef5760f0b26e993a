#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Physics of the emulated optical link: simulated light against closed formulas at ten
# points per protocol, the formulas against another way to them, and where keys end.
# host
# timeout: 900

. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")" || exit

# What the formulas say, to the reference; pipefail: both have to be content.
reference()
{
	set -o pipefail
	./link_physics print | python3 ref/qkd_rate.py
}

ktap_print_header
ktap_set_plan 11
check "figures by name, presets, what is refused" ./link_physics figures
check "gains, errors, bounds, key rates, passes: as another way to them says" reference
check "keys end where theory says, and fall with distance" ./link_physics ends
check "blocks: never above infinite ones, and near them when large" ./link_physics finite
check "no key rather than a doubtful one" ./link_physics closed
for protocol in bb84 b92 e91 bbm92 cow cow-variant; do
	check "$protocol: light is as the formulas say" ./link_physics light $protocol
done
ktap_finished
