#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# qkdd feeds a link from KMEs over ETSI GS QKD 014, with real TLS: what the KMEs,
# the daemons and the network between them can do wrong. No byte that the ends
# hold differently is ever used; traffic blocks, and resumes.
# timeout: 600

cd "$(dirname "$0")" || exit
exec python3 supply_014.py
