#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# qkd-link, decoy-state BB84 down from a satellite: key comes while it passes, three times.
# In the gaps a tunnel lives on what the pool has.
# timeout: 600

cd "$(dirname "$0")" || exit
exec python3 link_satellite.py
