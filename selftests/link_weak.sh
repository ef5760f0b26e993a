#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Privacy amplification that is too weak at one end is caught by the other one's accounts,
# and a key that is wrong at one end by verification.
# host
# timeout: 300

cd "$(dirname "$0")" || exit
export LD_LIBRARY_PATH=$PWD/../lib
exec ./link_weak
