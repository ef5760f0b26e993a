#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Reconciliation of qkd-link, without a link: Cascade and LDPC make equal keys, at which
# efficiency, and what they leak; bad input. What follows it is in link_amplify.
# host
# timeout: 1800

cd "$(dirname "$0")" || exit
exec ./link_processing
