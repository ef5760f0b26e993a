#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The demo's tunnel over a link whose key is made from light, by qkd-link, with an Eve.
# guests: 2
# timeout: 600

export SUPPLY=link
. "$(dirname "$0")/demo.sh"
