#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# ESP transforms that IKE negotiates, between two stock charons: CHILD_SAs of each
# cipher and mode carry packets, are rekeyed under traffic, and are shown and taken
# down as any; where the ends do not fit together there is none.
# timeout: 900

cd "$(dirname "$0")" || exit
exec python3 ike_esp.py
