#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What comes from outside is parsed without an error of memory or arithmetic, and
# what is made of it holds: each target in fuzz/ begins with its corpus there, which
# are documented examples (talk: with what is recorded). A minute in all, an hour at full scale. An input that
# breaks something is kept, in fuzz/ beside the copy of this tree that is compiled.
# host
# timeout: 5400

. "$(dirname "$0")/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
work=$root/../fuzz
targets="etsi014 etsi004 skip kme peer config scenario link_config talk"

# All of an end of qkd-link but what is outside, which talk.c has instead.
link_sources()
{
	local file

	for file in "$root"/tools/qkd-link/*.c; do
		case $(basename "$file" .c) in
		main | config | join | pace | secret | metrics* | report* | top*) ;;
		*)	echo "tools/qkd-link/$(basename "$file")" ;;
		esac
	done
	echo selftests/fuzz/secret.c
}

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
	link_config)
		echo tools/qkd-link/{config,recon,model,preset,rate,proof}.c tools/common/ini.c ;;
	talk)	link_sources ;;
	esac
}

libraries()
{
	case $1 in
	etsi014 | etsi004 | skip)
		echo -lcurl -ljansson -lssl -lcrypto ;;
	kme)	echo -lmicrohttpd -ljansson ;;
	config)	echo -lcrypto ;;
	link_config)
		echo -lm ;;
	talk)	echo -lfftw3f -lcrypto -lm -lpthread ;;
	esac
}

# compile TARGET TREE PROGRAM ARG...: with the target's sources out of TREE
compile()
{
	local files=() file target=$1 tree=$2 program=$3
	shift 3

	for file in $(sources "$target"); do
		files+=("$tree/$file")
	done
	# shellcheck disable=SC2046
	clang -g -O1 -std=gnu11 -D_GNU_SOURCE -Wall -fno-omit-frame-pointer \
		-fno-sanitize-recover=undefined \
		-I"$root/lib/include" -I"$root/include/uapi" -I"$root/lib/$target" \
		$(pkg-config --cflags libnl-genl-3.0) \
		-o "$program" "$here/fuzz/$target.c" "${files[@]}" "$@" $(libraries "$target")
}

build()
{
	compile "$@" -fsanitize=fuzzer,address,undefined
}

# Those of talk are all that one end says to the other, of a block: made anew.
examples()
{
	if [ "$1" = talk ]; then
		echo "$work/talk_corpus"
	else
		echo "$here/fuzz/corpus/$1"
	fi
}

# fuzz TARGET PROGRAM ARG...: from its corpus; says what was wrong, if anything
fuzz()
{
	local target=$1 program=$2 corpus log=$2.log rc=0
	shift 2

	corpus=$(mktemp -d)
	"$program" -close_fd_mask=1 -timeout=60 -rss_limit_mb=1024 -max_len=4096 \
		-artifact_prefix="$work/$target." "$@" "$corpus" "$(examples "$target")" \
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
	local more=()

	# a block of light is long
	[ "$1" != talk ] || more=(-max_len=32768)
	build "$1" "$root" "$work/$1" &&
		fuzz "$1" "$work/$1" -max_total_time="$(share)" "${more[@]}"
}

# Or the parsers behind what was refused are not reached.
heard_to_the_end()
{
	compile talk "$root" "$work/talk_record" -fsanitize=address,undefined \
		-Wl,--wrap=talk_send,--wrap=light_send,--wrap=light_answer \
		"$here/fuzz/talk_record.c" &&
		rm -rf "$work/talk_corpus" && mkdir "$work/talk_corpus" &&
		"$work/talk_record" write "$work/talk_corpus" &&
		"$work/talk_record" check "$work"/talk_corpus/*
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
ktap_set_plan $(($(wc -w <<<$targets) + 2))
check "what an end of qkd-link says of a block, said again, becomes key" heard_to_the_end
for target in $targets; do
	check "$target: $(share) s" run_target "$target" &&
		ktap_print_msg "$(grep '^Done' "$work/$target.log")"
done
check "an overflow that was planted in proto.c is found" finds_overflow
ktap_finished
