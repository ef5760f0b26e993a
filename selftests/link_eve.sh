#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Attacks on the light of qkd-link and faults of it, each at five strengths: what
# they show is what theory says, and so is whether there is key.
# host
# timeout: 600

cd "$(dirname "$0")" || exit
exec ./link_eve
