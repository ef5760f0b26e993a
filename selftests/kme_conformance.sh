#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 600
#
# qkd-kme at both ends of an emulated link, as SAEs see it: see kme_conformance.py.

cd "$(dirname "$0")" && exec python3 kme_conformance.py
