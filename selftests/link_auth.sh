#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Tags of the classical channel of qkd-link, and Eve on it.
# host
# timeout: 120

exec "$(dirname "$0")/link_auth"
