#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The netlink family, by the kernel's own client of netlink specs and by
# messages made by hand: each operation, each refusal, and what must not change
# by it; capabilities, namespaces, malformed messages, dumps of many objects.
# memory: 2048
# timeout: 1800
# cpus: 2

cd "$(dirname "$0")" || exit
exec python3 netlink_test.py
