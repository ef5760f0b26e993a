#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Blocks of qkd-link are over: no piece of their keys is in memory, freed or not.
# host
# timeout: 300

cd "$(dirname "$0")" || exit
export LD_LIBRARY_PATH=$PWD/../lib
exec ./link_memory
