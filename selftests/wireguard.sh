#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Preshared keys of WireGuard out of a link: by hand and by qkdd(8), under traffic of
# which nothing is lost; what ends them; and that nobody else gets to see one.
# timeout: 600
# cpus: 2

. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")" || exit
modprobe -qa wireguard	# unless it is built in
ip link add wg-try type wireguard 2>/dev/null || ktap_skip_all "this kernel has no WireGuard"
ip link del wg-try
exec python3 wireguard_test.py
