#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Privacy amplification and verification of qkd-link: known answers, and the definition
# bit by bit; keys and seeds with patterns.
# host
# timeout: 900

cd "$(dirname "$0")" || exit
exec ./link_amplify
