#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What can go wrong between two charons with the plugin, or be made to: no key, no
# link, keys that are not there, IDs that are none, floods, and thousands of
# completed exchanges with forged IDs. Nothing of that costs key, or stops others.
# timeout: 1800

cd "$(dirname "$0")" || exit
exec python3 ike_faults.py
