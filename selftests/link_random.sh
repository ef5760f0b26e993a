#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Statistical tests (dieharder's) of key that qkd-link makes, which never is in a file; the
# same of key whose amplification was weakened, which they find.
# host
# timeout: 900

cd "$(dirname "$0")" || exit
export LD_LIBRARY_PATH=$PWD/../lib
exec python3 link_random.py
