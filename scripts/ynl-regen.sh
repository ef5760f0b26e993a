#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Generate the uapi header and the kernel's policies from the netlink spec.
# usage: ynl-regen.sh LINUX_SOURCE [OUTPUT_TREE]
#
# LINUX_SOURCE holds tools/net/ynl and Documentation/netlink/genetlink.yaml
# (Debian: package linux-source-6.12). The generator wants the schema beside
# the specs and a file MAINTAINERS above them, so it runs in a scratch tree.
set -eu

linux=$(realpath "$1")
top=$(realpath "$(dirname "$0")/..")
out=${2:-$top}
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

mkdir -p "$tree/Documentation/netlink/specs" "$out/include/uapi/linux" "$out/kernel"
touch "$tree/MAINTAINERS"
cp "$linux/Documentation/netlink/genetlink.yaml" "$tree/Documentation/netlink/"
cp "$top/Documentation/netlink/specs/qkd.yaml" "$tree/Documentation/netlink/specs/"
cd "$tree"

gen()
{
	python3 "$linux/tools/net/ynl/ynl-gen-c.py" --mode "$1" "$2" \
		--spec Documentation/netlink/specs/qkd.yaml -o "$3"
}

gen uapi --header "$out/include/uapi/linux/qkd.h"
gen kernel --header "$out/kernel/netlink-gen.h"
gen kernel --source "$out/kernel/netlink-gen.c"
