#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Speed of the parts of qkd-link, each on one core, without a guest.
# host
# timeout: 1800

cd "$(dirname "$0")" || exit
export LD_LIBRARY_PATH=$PWD/../../lib
for program in ./link_*; do
	[ ! -x "$program" ] || "$program" || exit
done
