#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The core through its interfaces, against the reference: see core.py.
# timeout: 900

exec python3 "$(dirname "$0")/core.py"
