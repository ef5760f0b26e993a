#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What comes from outside is parsed without an error of memory or arithmetic, and
# what is made of it holds: each target in fuzz/ begins with its corpus there, which
# are documented examples. A minute in all, an hour at full scale. An input that
# breaks something is kept, in fuzz/ beside the copy of this tree that is compiled.
# host
# timeout: 5400

. "$(dirname "$0")/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
work=$root/../fuzz
targets="etsi014 etsi004 skip kme peer config scenario"

# What is compiled with a target, relative to the tree, and what it is linked with.
# Memory for keys is secret.c's in fuzz/.
sources()
{
	case $1 in
	etsi014 | etsi004 | skip)
		(cd "$root" && echo lib/{kme,"$1"}/*.c | sed 's,lib/kme/secret.c,selftests/fuzz/secret.c,') ;;
	kme)	echo tools/qkd-kme/request.c lib/keyid.c ;;
	peer)	echo tools/qkdd/proto.c ;;
	config)	echo tools/qkdd/config.c tools/common/{ini,wgkey}.c ;;
	scenario)
		echo tools/qkd-link/scenario.c ;;
	esac
}

libraries()
{
	case $1 in
	etsi014 | etsi004 | skip)
		echo -lcurl -ljansson -lssl -lcrypto ;;
	kme)	echo -lmicrohttpd -ljansson ;;
	config)	echo -lcrypto ;;
	esac
}

# build TARGET TREE PROGRAM: with the target's sources out of TREE
build()
{
	local files=() file

	for file in $(sources "$1"); do
		files+=("$2/$file")
	done
	# shellcheck disable=SC2046
	clang -g -O1 -std=gnu11 -D_GNU_SOURCE -Wall -fno-omit-frame-pointer \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
		-I"$root/lib/include" -I"$root/include/uapi" -I"$root/lib/$1" \
		$(pkg-config --cflags libnl-genl-3.0) \
		-o "$3" "$here/fuzz/$1.c" "${files[@]}" $(libraries "$1")
}

# fuzz TARGET PROGRAM ARG...: from its corpus; says what was wrong, if anything
fuzz()
{
	local target=$1 program=$2 corpus log=$2.log rc=0
	shift 2

	corpus=$(mktemp -d)
	"$program" -close_fd_mask=1 -timeout=60 -rss_limit_mb=1024 -max_len=4096 \
		-artifact_prefix="$work/$target." "$@" "$corpus" "$here/fuzz/corpus/$target" \
		>"$log" 2>&1 || rc=$?
	grep -E '^Done|ERROR|SUMMARY|Test unit' "$log"
	rm -r "$corpus"
	return $rc
}

# seconds for each target
share()
{
	local all=60

	[ "${QKD_SCALE:-100}" -lt 100 ] || all=3600
	echo $((all / $(wc -w <<<"$targets")))
}

run_target()
{
	build "$1" "$root" "$work/$1" &&
		fuzz "$1" "$work/$1" -max_total_time="$(share)"
}

# A field is read without a look at what is left: the target has to find that.
finds_overflow()
{
	local broken=$work/broken

	mkdir "$broken"
	cp -r "$root/tools" "$broken"
	sed -i 's/if (left < size)/if (0)/' "$broken/tools/qkdd/proto.c"
	! cmp -s "$root/tools/qkdd/proto.c" "$broken/tools/qkdd/proto.c" || return
	build peer "$broken" "$work/planted" || return
	! fuzz peer "$work/planted" -seed=1 -runs=2000000 -artifact_prefix="$broken/" || return
	grep AddressSanitizer "$work/planted.log"
}

rm -rf "$work/broken"
mkdir -p "$work"
ktap_print_header
# shellcheck disable=SC2086
ktap_set_plan $(($(wc -w <<<$targets) + 1))
for target in $targets; do
	check "$target: $(share) s" run_target "$target" &&
		ktap_print_msg "$(grep '^Done' "$work/$target.log")"
done
check "an overflow that was planted in proto.c is found" finds_overflow
ktap_finished
