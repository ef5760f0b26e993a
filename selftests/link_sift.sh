#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Messages of the light of qkd-link that are cut, replayed, damaged: refused, and
# nothing changes. Under sanitizers. Scenarios, right and wrong.
# host
# timeout: 900

cd "$(dirname "$0")" || exit
exec ./link_sift
