# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Shell functions for the host side of the QEMU runner. Sourced, not run.

set -eu -o pipefail
umask 022
export LC_ALL=C

qemu_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
src_dir=$(cd "$qemu_dir/../.." && pwd)
build_dir=${QKD_BUILD:-$src_dir/build}
logs_dir=$src_dir/build/logs
mkdir -p "$logs_dir" "$build_dir/locks"
build_dir=$(cd "$build_dir" && pwd)

die()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

# Everything here mounts, makes device nodes or installs packages.
need_root()
{
	[ "$(id -u)" = 0 ] && return
	command -v sudo >/dev/null || die "run as root, or install sudo"
	exec sudo --preserve-env=QKD_BUILD,QKD_SCALE,QKD_MIRROR,T,CI "$0" "$@"
}

# step TITLE LOG COMMAND...: run a long command, its output in build/logs/LOG,
# with a line of progress now and then and the log's tail if it fails.
step()
{
	local title=$1 log=$logs_dir/$2 start=$SECONDS last=$SECONDS pid rc=0
	shift 2

	echo "# $title ..."
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.2
		if [ $((SECONDS - last)) -ge 20 ]; then
			last=$SECONDS
			echo "# $title: $((SECONDS - start)) s," \
			     "$(tail -c 300 "$log" | tr '\r' '\n' | grep . | tail -n 1 | cut -c1-60)"
		fi
	done
	wait "$pid" || rc=$?
	if [ $rc -ne 0 ]; then
		tail -n 40 "$log"
		echo "# $title: failed, log in $log"
		return $rc
	fi
	echo "# $title: $((SECONDS - start)) s"
}

# lock NAME: hold build/locks/NAME until this shell exits.
lock()
{
	exec {lock_fd}>"$build_dir/locks/$1"
	flock -n "$lock_fd" && return
	echo "# waiting for another run that holds $1"
	flock "$lock_fd"
}

# Cached things are named by a hash of what they are made from.
rootfs_key()
{
	(cd "$qemu_dir" && sha256sum packages rootfs rootfs-setup initramfs-init) |
		sha256sum | cut -c1-12
}

# work_dir KERNEL: where this source tree is compiled for that kernel.
work_dir()
{
	local suffix=

	[ "$1" = stock ] || suffix=-$1
	echo "$build_dir/work-$(echo "$src_dir $(rootfs_key)" | sha256sum | cut -c1-12)$suffix"
}

# debug_dir: where the debug kernel is, keyed by what it is built from.
debug_dir()
{
	echo "$build_dir/debug-$(cat "$qemu_dir/debug-kernel" "$qemu_dir/debug-kernel.config" \
		"$build_dir/rootfs-$(rootfs_key)/release" | sha256sum | cut -c1-12)"
}
