#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# ML-KEM in IKEv2 between two stock charons with our plugin: all sizes, as first and as
# additional key exchange, in IKE_SA_INIT and in rekeying; what is wrong is refused. No
# secret is in their logs, and they leave no core dump.
# timeout: 900

cd "$(dirname "$0")" || exit
exec python3 ike_mlkem.py
