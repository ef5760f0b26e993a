#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# How a link is watched: see link_watch.py.
# host
# timeout: 300

cd "$(dirname "$0")" || exit
LD_LIBRARY_PATH=$PWD/../lib exec python3 link_watch.py
