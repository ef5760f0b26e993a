#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# In two guests: qkd-link, decoy-state BB84 over 50 km of fibre, feeds a link whose key
# protects an otp tunnel and an aes tunnel. Eve measures the light: the QBER rises, the link
# alarms, no key comes, and the tunnels stop when theirs is spent. She goes, and they resume.
# guests: 2
# timeout: 600

cd "$(dirname "$0")" || exit
exec python3 link_ipsec.py
