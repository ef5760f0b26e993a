#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# QKD and ML-KEM in one key exchange, between two stock charons: fewer messages than one
# after the other, rekeying, mismatches; what it spends, and that nothing of it leaks.
# timeout: 900

cd "$(dirname "$0")" || exit
exec python3 ike_hybrid.py
