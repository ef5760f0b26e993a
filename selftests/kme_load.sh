#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# memory: 2048
# timeout: 1800
#
# Many clients of qkd-kme at once: see kme_load.py.

cd "$(dirname "$0")" && exec python3 kme_load.py
