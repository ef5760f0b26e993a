#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Key exchange method "qkd" between two stock charons: as an additional exchange, in
# rekeying, refused as the first one; what it spends, and that nothing of it leaks.
# timeout: 900

cd "$(dirname "$0")" || exit
exec python3 ike_ke.py
