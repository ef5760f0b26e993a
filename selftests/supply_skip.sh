#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# qkdd feeds a link from two key providers by SKIP, with real TLS-PSK: a tunnel over
# their keys, and all that they can do wrong. No byte that the ends hold differently
# is ever used; traffic blocks, and resumes.
# timeout: 400

cd "$(dirname "$0")" || exit
exec python3 supply_skip.py
