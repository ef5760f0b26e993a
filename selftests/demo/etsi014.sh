#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The demo's tunnel over a link that qkdd feeds from a KME at each site.
# guests: 2
# timeout: 600

export SUPPLY=etsi014
. "$(dirname "$0")/demo.sh"
