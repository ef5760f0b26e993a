#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What happens to MACsec under rotating SAKs when daemons are killed at any step,
# their channel loses or delays what they say, the cable is cut, keys run out, a
# device goes, or a machine starts anew.
# timeout: 900

cd "$(dirname "$0")" || exit
modprobe -qa macsec sch_netem	# unless they are built in
exec python3 macsec_faults.py
