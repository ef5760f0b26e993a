#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Wipes, generations, age, starvation, deletion of SAs and links at random
# moments under traffic on both CPUs: nothing leaves in clear, not even 16
# bytes, and nothing is delivered garbled.
# timeout: 600
# cpus: 2

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/esp_lib.sh"

HERE=$(dirname "$0")

# The one that addresses says, and another between the same gateways for aes.
tunnels_up()
{
	tunnel_up 4 tunnel 0 || return
	ip -n alice addr add 10.3.1.1/32 dev lo
	ip -n bob addr add 10.3.2.1/32 dev lo
	ip -n alice route add 10.3.2.1/32 via 10.1.0.2 src 10.3.1.1
	ip -n bob route add 10.3.1.1/32 via 10.1.0.1 src 10.3.2.1
	# shellcheck disable=SC2034
	IN_A=10.3.1.1 IN_B=10.3.2.1 SA_OUT=(rekey-packets 1)
	CIPHER=aes REQID=2 SPI_A2B=0x2001 SPI_B2A=0x2002 between tunnel 64
}

both_answer()
{
	answers && IN_B=10.3.2.1 answers
}

# The link's bytes are wiped on the way into suspend, under traffic.
suspends()
{
	local before floods=() to

	before=$(link_field alice .label)
	for to in "$IN_B" 10.3.2.1; do
		ip netns exec alice ping -n -q -f -w 30 -s 1400 "$to" >/dev/null 2>&1 &
		floods+=($!)
	done
	sleep 1
	wake_in 8 && echo mem >/sys/power/state || return
	kill "${floods[@]}"
	wait "${floods[@]}"
	in_alice qkd link set qkd0 up
	wait_for 20 link_is_up && [ "$(link_field alice .label)" != "$before" ] && both_answer
}

ktap_print_header
ktap_set_plan 11
wire_up
addresses 4 tunnel
check "a link comes up" link_up 400mbit pad-capacity 2M
check "tunnels come up" tunnels_up
python_checks "$HERE/races.py" "$(scaled 500)"
check "traffic passes afterwards" both_answer
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
