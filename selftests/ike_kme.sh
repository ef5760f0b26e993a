#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# PPKs from KMEs over ETSI GS QKD 014: two charons, and what a KME can do wrong.
# Whatever it is, it fails closed, in time, with one line in the log, while another
# tunnel rekeys and loses nothing.
# timeout: 900

cd "$(dirname "$0")" || exit
exec python3 ike_kme.py
