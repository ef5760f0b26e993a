#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# RFC 8784 with a fresh PPK_ID each time, between two stock charons: each IKE_SA has
# a key of its own, spent once it is authenticated; a charon without the plugin can
# hold it as an ordinary PPK; nothing goes on without.
# timeout: 900

cd "$(dirname "$0")" || exit
exec python3 ike_ppk.py
