#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# qkd-link: what both ends count as told is what went over the channel, and what they keep is
# no more than the bound less that.
# host
# timeout: 300

cd "$(dirname "$0")" || exit
export LD_LIBRARY_PATH=$PWD/../lib
exec python3 link_told.py
