#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Debian's charon with our plugin against IKE daemons that know nothing of QKD, of
# unstable's strongSwan and Libreswan, with ML-KEM and with keys of a link as ordinary
# PPKs, either end initiating; and against unstable's strongSwan with the plugin.
# timeout: 900

cd "$(dirname "$0")" || exit
exec python3 ike_peers.py
