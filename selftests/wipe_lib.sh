# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# For selftests of what wipes a pool: a single emulated end is filled from a
# seed in the guest, and its bytes are looked for outside, in dumps of the
# guest's RAM. Sourced; in the guest after lib.sh.

# filled CASE [PARAMETER...]: link CASE, tx and rx full
filled()
{
	local name=$1
	shift

	head -c 32 /dev/urandom >"$OUT/$name.seed"
	qkd link add "$name" type emu role "$ROLE" seed-file "$OUT/$name.seed" \
		gen "$QKD_GEN" rate 1gbit pad-capacity 256k key-capacity 64k \
		pad-low 64k key-low 16k "$@" || return
	wait_for 60 is_full "$name"
}

# live NAME EXPRESSION: true of the live bytes of a stream, as b
live()
{
	qkd -j -s link show "$1" | python3 -c '
import json, sys
for s in json.load(sys.stdin)[0].get("streams", []):
    b, tx = s["live"], s["dir"] == "out"
    if not ('"$2"'):
        sys.exit(1)'
}

is_full() { live "$1" 'b > (0.7 * s["capacity"] if tx else 0.2 * s["capacity"])'; }
is_empty() { live "$1" 'b == 0'; }

# From here on: for NAME.host. FILES is the folder that a guest left.

# scan SEED DUMP none|found OPTION...: the options of ref.py say what for
scan()
{
	local seed=$1 dump=$2 expect=$3
	shift 3

	python3 "$(dirname "$0")/ref/ref.py" scan-ram --seed-file "$FILES/$seed.seed" \
		--gen "$QKD_GEN" --dump "$FILES/$dump.dump" --expect "$expect" "$@" |
		sed 's/^/# /'
	return "${PIPESTATUS[0]}"
}

# all_streams SEED DUMP none|found [PAD_OFFSET]: as far as tx and rx were filled
all_streams()
{
	local rc=0 stream offset end

	for stream in a2b-pad b2a-pad a2b-key b2a-key; do
		case $stream in
		*pad)	offset=${4:-0} end=262144 ;;
		*key)	offset=0 end=65536 ;;
		esac
		scan "$1" "$2" "$3" --stream $stream --offset "$offset" \
			--length $((end - offset)) || rc=1
	done
	return $rc
}
