#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Style and staleness: checkpatch, sparse, clang-format, shellcheck, mandoc,
# the files generated from the netlink spec, licence tags, systemd's units; the
# reference.
# host
# timeout: 900

. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/.." || exit
linux=${LINUX:-/usr/src/qkd}

# All files of the project, or those whose names match: files [REGEX]
files()
{
	python3 -c 'import json; print("\n".join(json.load(open("../src.manifest"))))' |
		grep -E -- "${1:-.}" | sort
}

# Says nothing at all, or it is a complaint.
silent()
{
	local output

	output=$("$@" 2>&1)
	[ -z "$output" ] && return
	echo "$output"
	return 1
}

checkpatch()
{
	# Types that concern patches, and what an out-of-tree module has to do;
	# LINUX_VERSION_CODE is taken for a constant on the wrong side.
	files '^(kernel|include)/.*\.[ch]$' | grep -v -- '-gen\.[ch]$' |
		xargs perl "$linux/scripts/checkpatch.pl" --no-tree --strict --terse \
		--no-summary --show-types \
		--ignore FILE_PATH_CHANGES,LINUX_VERSION_CODE,CONSTANT_COMPARISON -f
}

sparse()
{
	make -s C=2 KDIR="/lib/modules/$(cat /usr/src/qkd/release)/build" modules 2>&1 |
		grep -E '(kernel|include)/[^ ]*: (warning|error)'
}

format()
{
	files '^(lib|tools|strongswan-plugin|selftests)/.*\.[ch]$' |
		xargs clang-format --style="file:$linux/.clang-format" --dry-run 2>&1 |
		grep warning:
}

shell()
{
	{
		files '^selftests/.*\.sh$'
		files | xargs grep -lE '^#!.*/(ba)?sh'
	} | sort -u | xargs shellcheck -S warning -f gcc -e SC1091,SC2154
}

manpages()
{
	files '\.[1-8]$' | xargs mandoc -T lint -W warning
}

generated()
{
	local dir=/tmp/ynl file

	scripts/ynl-regen.sh "$linux" $dir
	for file in include/uapi/linux/qkd.h kernel/netlink-gen.h kernel/netlink-gen.c; do
		cmp "$dir/$file" $file || echo "$file is stale: run scripts/ynl-regen.sh"
	done
}

licences()
{
	files '\.(c|h|sh|py|yaml|S)$|(^|/)(Makefile|Kbuild|build|chroot|init|run|rootfs|setup|sync)$' |
		while read -r file; do
			head -n 3 "$file" | grep -q SPDX-License-Identifier ||
				echo "$file: no SPDX-License-Identifier in its first lines"
		done
}

# The units as they were installed, and where; systemd-analyze wants to write to /run.
units()
{
	local dir=/tmp/units stage=$PWD/../stage

	mountpoint -q /run || mount -t tmpfs tmpfs /run
	mkdir -p $dir
	for unit in "$stage"/usr/lib/systemd/system/*; do
		sed "s,/usr/sbin,$stage/usr/sbin," "$unit" >"$dir/${unit##*/}"
	done
	echo $dir/*
}

verify()
{
	# shellcheck disable=SC2046
	systemd-analyze verify --man=no $(units)
}

# Of 10: what netlink and a network cost each, and qkd-kme the nodes of links.
exposure()
{
	local dir

	dir=$(dirname "$(units | cut -d' ' -f1)")
	systemd-analyze security --offline=true --no-pager --threshold=15 \
		"$dir/qkdd.service" &&
		systemd-analyze security --offline=true --no-pager --threshold=18 \
			"$dir/qkd-kme.service"
}

ktap_print_header
ktap_set_plan 10
check "checkpatch --strict on the kernel's side" silent checkpatch
check "sparse on the modules" silent sparse
check "clang-format on userspace" silent format
check "shellcheck on the scripts" silent shell
if [ -n "$(files '\.[1-8]$')" ]; then
	check "mandoc lint on the man pages" silent manpages
else
	ktap_test_skip "mandoc lint on the man pages" "there are none"
fi
check "generated files are what the spec says" silent generated
check "every file has a licence tag" silent licences
check "systemd-analyze on the units" silent verify
check "the services are confined as they were" exposure
check "the reference against published vectors" python3 selftests/ref/ref.py selftest
ktap_finished
