#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Keys for the kernel's macsec: all cipher suites, proved on the wire; rotation
# under traffic; what is refused, and costs no key; what becomes of SAs whose
# device, link or namespace goes; and that no SAK is seen on netlink.
# timeout: 900
# cpus: 2

cd "$(dirname "$0")" || exit
modprobe -qa macsec nlmon	# unless they are built in
exec python3 macsec_feed.py
