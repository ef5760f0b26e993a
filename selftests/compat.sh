#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The modules compile without a warning (W=1) against the kernels of Debian 12,
# Debian 13 and its backports.
# host
# timeout: 1200

. "$(dirname "$0")/lib.sh"
src=$(cd "$(dirname "$0")/.." && pwd)
releases="$(cat /usr/src/qkd/compat /usr/src/qkd/release)"

# compiles RELEASE: in a copy of its own, so that the one of the guests stays.
compiles()
{
	local dir=$src/../compat-$1 log

	mkdir -p "$dir"
	(cd "$src" && cp -ru --parents Kbuild kernel include "$dir")
	log=$(make -C "/usr/src/linux-headers-$1" M="$(realpath "$dir")" W=1 -j"$(nproc)" modules 2>&1) ||
		{ echo "$log"; return 1; }
	! grep -E 'warning:|WARNING:' <<<"$log"
}

ktap_print_header
# shellcheck disable=SC2086
ktap_set_plan "$(wc -w <<<$releases)"
for release in $releases; do
	check "modules for $release" compiles "$release"
done
ktap_finished
