#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Several WireGuard peers of one device, each with keys of its own out of one link; and a
# peer that goes while it is given one.
# timeout: 400
# cpus: 2

. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")" || exit
modprobe -qa wireguard	# unless it is built in
ip link add wg-try type wireguard 2>/dev/null || ktap_skip_all "this kernel has no WireGuard"
ip link del wg-try
exec python3 wireguard_peers.py
