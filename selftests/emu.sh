#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The emulated link, pairs and single ends: see emu.py.
# timeout: 600

exec python3 "$(dirname "$0")/emu.py"
