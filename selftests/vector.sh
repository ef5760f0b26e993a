#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The worked example of Documentation/wire-format.md: see vector.py.
# timeout: 300

exec python3 "$(dirname "$0")/vector.py"
