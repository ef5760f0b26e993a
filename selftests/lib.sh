# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Helpers for selftests written in shell. Sourced: . "$(dirname "$0")/lib.sh"
#
# The runner sets in the environment:
#   ROLE        alice or bob: which guest this is (alice if there is only one)
#   QKD_GUESTS  1 or 2
#   QKD_SCALE   percent of the full amount of work: see scaled
#   QKD_GEN     1..65535, drawn for this run, the same in both guests
#
# A selftest prints KTAP: ktap_print_header, ktap_set_plan N, one ktap_test_*
# (or check) per case, ktap_finished. The names are the kernel's own.

KSFT_SKIP=4
KTAP_PASS=0
KTAP_FAIL=0
KTAP_SKIP=0
KTAP_PLAN=

ktap_print_header()
{
	echo "TAP version 13"
}

ktap_print_msg()
{
	echo "# $*"
}

ktap_set_plan()
{
	KTAP_PLAN=$1
	echo "1..$KTAP_PLAN"
}

ktap_skip_all()
{
	echo "1..0 # SKIP $*"
	exit $KSFT_SKIP
}

ktap_number()
{
	echo $((KTAP_PASS + KTAP_FAIL + KTAP_SKIP))
}

ktap_test_pass()
{
	KTAP_PASS=$((KTAP_PASS + 1))
	echo "ok $(ktap_number) - $*"
}

ktap_test_fail()
{
	KTAP_FAIL=$((KTAP_FAIL + 1))
	echo "not ok $(ktap_number) - $*"
}

# ktap_test_skip DESCRIPTION REASON
ktap_test_skip()
{
	KTAP_SKIP=$((KTAP_SKIP + 1))
	echo "ok $(ktap_number) - $1 # SKIP ${2:-no reason given}"
}

# check DESCRIPTION COMMAND...: passes if the command does. Its output is shown
# (as comments) only if it fails.
check()
{
	local name=$1 output rc=0
	shift

	output=$("$@" 2>&1) || rc=$?
	if [ $rc -eq 0 ]; then
		ktap_test_pass "$name"
		return 0
	fi
	echo "# exit status $rc: $*"
	[ -z "$output" ] || tail -n 40 <<<"$output" | sed 's/^/#   /'
	ktap_test_fail "$name"
	return 1
}

# refuses DESCRIPTION TEXT COMMAND...: passes if the command fails and says TEXT.
refuses()
{
	local name=$1 text=$2 output rc=0
	shift 2

	output=$("$@" 2>&1) || rc=$?
	if [ $rc -ne 0 ] && grep -qF -- "$text" <<<"$output"; then
		ktap_test_pass "$name"
		return 0
	fi
	echo "# exit status $rc: $* (expected a failure that says \"$text\")"
	[ -z "$output" ] || tail -n 40 <<<"$output" | sed 's/^/#   /'
	ktap_test_fail "$name"
	return 1
}

ktap_finished()
{
	echo "# Totals: pass:$KTAP_PASS fail:$KTAP_FAIL skip:$KTAP_SKIP"
	[ -n "$KTAP_PLAN" ] && [ "$(ktap_number)" -eq "$KTAP_PLAN" ] &&
		[ $KTAP_FAIL -eq 0 ]
	exit
}

# scaled N: how many to do where the full test does N: N * QKD_SCALE percent,
# at least one. QKD_SCALE is 100 in test-long, 10 in test, 2 in test-debug.
scaled()
{
	local n=$(($1 * ${QKD_SCALE:-100} / 100))

	[ "$n" -gt 0 ] && echo "$n" || echo 1
}

# The debug kernel takes four times as long.
PATIENCE=1
[ ! -e /sys/kernel/debug/kmemleak ] || PATIENCE=4

# wait_for SECONDS COMMAND...: until the command succeeds; three times as long, as
# machines differ.
wait_for()
{
	local end=$((SECONDS + 3 * $1 * PATIENCE))
	shift

	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.2
	done
}

# host_request WORDS...: asks the runner for something, prints its answer.
host_request()
{
	local reply

	exec 9>/run/qkd/request.lock
	flock 9
	echo "#@ $*" >/dev/ttyS1
	IFS= read -r reply </dev/ttyS1
	exec 9>&-
	case $reply in
	ok*)	reply=${reply#ok}
		[ -z "$reply" ] || echo "${reply# }" ;;
	*)	echo "# $1: $reply" >&2
		return 1 ;;
	esac
}

# barrier NAME: returns when both guests have come here.
barrier()
{
	host_request barrier "$1"
}

# put_value NAME VALUE..., get_value NAME: hands a line to the other guest;
# get_value waits for it.
put_value()
{
	host_request put "$@"
}

get_value()
{
	host_request get "$1"
}

# dump_ram NAME: all of this guest's memory, to $QKD_FILES/$ROLE/NAME.dump, where
# selftests/TEST.host can look at it after the run.
dump_ram()
{
	sync
	host_request dump "$1"
}

# Why nothing sleeps there.
# shellcheck disable=SC2034
DEBUG_SLEEP="the debug kernel does not wake from suspend, with the module or without"

# wake_in SECONDS: the runner ends a suspend that begins now.
wake_in()
{
	host_request wake "$1"
}

# goes_down reboot|panic NAME: after this selftest the guest does not unload the
# modules but goes down over them, with links and processes as they are. Its RAM
# as it is then goes to NAME.dump. A selftest's last case.
goes_down()
{
	host_request goes-down "$@" && echo "$1" >/run/qkd/end
}

# Files put here reach the host, as $QKD_FILES/$ROLE/..., when the guest ends.
# shellcheck disable=SC2034
OUT=/run/qkd/out
