#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Two ends of qkd-link, without a kernel's link (--dry-run): light to key, who disturbs it,
# what an end is told wrong, and what becomes of the bootstrap key.
# host
# timeout: 600

cd "$(dirname "$0")" || exit
export LD_LIBRARY_PATH=$PWD/../lib
exec python3 link_pair.py
