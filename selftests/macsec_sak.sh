#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# qkdd(8) rotates the SAKs of both directions under traffic: no frame is lost or
# late, in any suite, by time, packets, packet numbers or what the link affords;
# and no SAK is in the daemon's memory.
# timeout: 900

cd "$(dirname "$0")" || exit
modprobe -qa macsec	# unless it is built in
exec python3 macsec_sak.py
