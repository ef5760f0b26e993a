#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# qkdd(8) gives two wpa_supplicants at each end CAKs from QKD and rolls them over
# under traffic: no frame is lost or late; daemons that are killed go on; without
# a peer the bond blocks when the CAK's time is over, and goes on by itself.
# timeout: 900

cd "$(dirname "$0")" || exit
modprobe -qa macsec bonding	# unless they are built in
exec python3 macsec_mka.py
