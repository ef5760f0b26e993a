#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# qkdd feeds a link from two KMEs by ETSI GS QKD 004, with real TLS: a tunnel over
# chunks of their streams, and all that they can do wrong. No byte that the ends
# hold differently is ever used; traffic blocks, and resumes.
# timeout: 400

cd "$(dirname "$0")" || exit
exec python3 supply_004.py
