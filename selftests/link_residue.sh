#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What qkd-link and the libraries under it leave in memory of a key, in any form: two
# processes that differ in it alone are compared.
# host
# timeout: 900

cd "$(dirname "$0")" || exit
exec ./link_residue
