# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Runs the commands of a how-to, $PAGE, as they stand there. Sourced after lib.sh.

# block NAME: the lines of all fenced blocks of that name
block()
{
	awk -v "begin=\`\`\`sh $1" '
		$0 == begin { inside = 1; found = 1; next }
		/^```/ { inside = 0 }
		inside
		END { exit !found }' "$PAGE"
}

# paste NAME: runs them, in the folder that holds selftests/
paste_block()
{
	local commands

	commands=$(block "$1") || return
	(cd /opt/qkd && bash -euc "$commands")
}

# says BLOCK TEXT...: its output has all of these
says()
{
	local name=$1 said text
	shift

	said=$(paste_block "$name" 2>&1) || { echo "$said"; return 1; }
	for text in "$@"; do
		grep -qF -- "$text" <<<"$said" || { echo "$said"; echo "no \"$text\""; return 1; }
	done
}

# $BLOCKS names all of them.
all_are_run()
{
	diff <(tr ' ' '\n' <<<"$BLOCKS" | sort) \
		<(sed -n 's/^```sh //p' "$PAGE" | sort -u) &&
		! grep -qx '```sh' "$PAGE"
}
