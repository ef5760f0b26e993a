#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A refill of the key of the tags that only one end hears of, at either message.
# host
# timeout: 300

cd "$(dirname "$0")" || exit
export LD_LIBRARY_PATH=$PWD/../lib
exec ./link_refill
