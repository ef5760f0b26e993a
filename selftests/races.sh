#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Wipes, generations, age, starvation, deletion of SAs and links at random
# moments under traffic on both CPUs: nothing leaves in clear, not even 16
# bytes, and nothing is delivered garbled.
# timeout: 600

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/esp_lib.sh"

HERE=$(dirname "$0")

answers()
{
	in_alice ping -n -q -c 3 -i 0.2 -w 10 "$IN_B"
}

# The link's bytes are wiped on the way into suspend, under traffic.
suspends()
{
	local before

	before=$(link_field alice .label)
	ip netns exec alice ping -n -q -f -w 30 -s 1400 "$IN_B" >/tmp/flood 2>&1 &
	sleep 1
	wake_in 8 && echo mem >/sys/power/state || return
	kill $!
	wait $!
	in_alice qkd link set qkd0 up
	wait_for 20 link_is_up && [ "$(link_field alice .label)" != "$before" ] && answers
}

ends_agree()
{
	in_alice qkd link set qkd0 stop
	sleep 1
	in_alice qkd -j -s link show qkd0 >/tmp/alice.json
	in_bob qkd -j -s link show qkd0 >/tmp/bob.json
	python3 "$HERE/ref/ref.py" accounts /tmp/alice.json /tmp/bob.json
}

ktap_print_header
ktap_set_plan 10
wire_up
addresses 4 tunnel
check "a link comes up" link_up 400mbit pad-capacity 2M
check "a tunnel comes up" tunnel_up 4 tunnel 0
python_checks "$HERE/races.py" "$(scaled 500)"
check "traffic passes afterwards" answers
if [ -e /sys/kernel/debug/kmemleak ]; then
	ktap_test_skip "a suspend under traffic begins a new generation" \
		"$DEBUG_SLEEP"
else
	check "a suspend under traffic begins a new generation" suspends
fi
check "the ends' accounts agree" ends_agree
tunnel_down
link_down
ktap_finished
