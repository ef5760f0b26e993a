#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# qkd-link, decoy-state BB84 over 50 km of fibre, feeds a link whose key goes to MACsec and to
# an otp tunnel with on-empty aes. Eve measures the light: no key comes, MACsec blocks when its
# last SAK's time is over, and the tunnel goes on under AES. She goes, and both have key again.
# timeout: 600

cd "$(dirname "$0")" || exit
modprobe -qa macsec	# unless it is built in
exec python3 link_macsec.py
