#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 400
#
# The face of qkd-kme that is ETSI GS QKD 004, at both ends of an emulated link, as
# applications see it: see kme_004.py.

cd "$(dirname "$0")" && exec python3 kme_004.py
