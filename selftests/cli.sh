#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The qkd command: every subcommand and keyword, help, JSON, error lines, exit
# codes, and where key may be written.
# timeout: 600

. "$(dirname "$0")/lib.sh"

here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
cd "$dir" || exit 1
umask 022

# gives STATUS TEXT COMMAND...: exits so and says so.
gives()
{
	local status=$1 text=$2 output rc=0
	shift 2

	output=$("$@" 2>&1) || rc=$?
	if [ $rc -ne "$status" ] || ! grep -qF -- "$text" <<<"$output"; then
		echo "$*: exit status $rc (expected $status and \"$text\")"
		echo "$output"
		return 1
	fi
}

# table: lines of STATUS|TEXT|COMMAND on stdin, all of which must hold, and
# errors must be one line that begins "Error: " and ends in a full stop.
table()
{
	local status text command failed=0 output

	while IFS='|' read -r status text command; do
		eval "set -- $command"
		gives "$status" "$text" "$@" || failed=1
		[ "$status" != 0 ] || continue
		output=$("$@" 2>&1 </dev/null)
		grep -qE '^Error: .*\.$' <<<"$output" && [ "$(wc -l <<<"$output")" = 1 ] || {
			echo "not one line of error: $output"
			failed=1
		}
	done
	return $failed
}

# One Python for all of them: it takes an expression a line, and answers with a
# line. d is the JSON in the file output.
mkfifo question answer
python3 -u -c '
import json, sys, time
for line in sys.stdin:
    try:
        with open("output", encoding="utf-8") as file:
            d = json.load(file)
        ok = eval(line)
        print("true" if ok else "is false of " + json.dumps(d))
    except Exception as error:
        print(repr(error))' <question >answer &
exec 7>question 8<answer

# json EXPRESSION COMMAND...: its output is JSON, d, for which this is true.
json()
{
	local expression=$1 answer
	shift

	"$@" >output || return
	tr '\n' ' ' <<<"$expression" >&7
	echo >&7
	IFS= read -r answer <&8
	[ "$answer" = true ] && return
	echo "$expression: $answer"
	return 1
}

# set_and_read WORD VALUE EXPRESSION: of d, the link shown afterwards.
set_and_read()
{
	qkd link set qkd0 "$1" "$2" && json "d[0]$3" qkd -j link show qkd0
}

set_all()
{
	set_and_read rate 1.5mbit '["emu"]["rate"] == 1500000' &&
	set_and_read rate 500kbit/s '["emu"]["rate"] == 500000' &&
	set_and_read rate 2Mibit '["emu"]["rate"] == 2 << 20' &&
	set_and_read rate 64kbps '["emu"]["rate"] == 512000' &&
	set_and_read rate 20000000 '["emu"]["rate"] == 20000000' &&
	set_and_read qber 3% '["emu"]["qber"] == 0.03' &&
	set_and_read qber 0.0125 '["emu"]["qber"] == 0.0125' &&
	set_and_read protocol e91 '["emu"]["protocol"] == "e91"' &&
	set_and_read max-age 1h '["max_age"] == 3600000' &&
	set_and_read max-age 0 '["max_age"] == 0' &&
	set_and_read pad-keep 1500ms '["pad_keep"] == 1500' &&
	set_and_read key-keep 2min '["key_keep"] == 120000' &&
	set_and_read pad-low 2M '["pad_low"] == 2 << 20' &&
	set_and_read key-low 32KiB '["key_low"] == 32 << 10' &&
	set_and_read reserve-control 1k '["reserve_control"] == 1024' &&
	set_and_read reserve-rekey 2048 '["reserve_rekey"] == 2048' &&
	set_and_read reserve-export 512 '["reserve_export"] == 512'
}

stop_start()
{
	qkd link set qkd0 stop && json 'd[0]["emu"]["stopped"]' qkd -j link show qkd0 &&
	qkd link set qkd0 start && json 'not d[0]["emu"]["stopped"]' qkd -j link show qkd0
}

admin()
{
	qkd link set dev qkd0 down &&
	json 'd[0]["admin"] == "down" and d[0]["state"] == "down" and
	      d[0]["reason"] == "operator"' qkd -j link show dev qkd0 &&
	qkd link set qkd0 up &&
	wait_for 5 json 'd[0]["state"] == "up" and "reason" not in d[0]' qkd -j link show qkd0
}

# The pools begin anew, so that there is room for the blocks that go wrong.
faults()
{
	qkd link set qkd0 down && qkd link set qkd0 up && qkd link set qkd0 flip 1 lose 1 &&
	wait_for 10 json 'd[0]["refused"]["mismatch"] == 1 and
		sum(s["lost"] for s in d[0]["streams"]) > 0' qkd -j -s link show qkd0 &&
	json 'd[0]["emu"]["flip"] == 0 and d[0]["emu"]["lose"] == 0' qkd -j link show qkd0
}

has_key()
{
	json 'all(s["available"] > 100 for s in d)' qkd -j key status dev "$1" size 64
}

add_pair()
{
	qkd link add qkd0 type emu rate 20mbit export control,export pad-capacity 4M \
		key-capacity 512k confirm tag peer name qkd1
}

show_pair()
{
	json '[l["name"] for l in d] == ["qkd0", "qkd1"] and
	      [l["role"] for l in d] == ["alice", "bob"] and
	      all(l["type"] == "emu" and l["confirm"] == "tag" and
	          l["export"] == ["control", "export"] and
	          l["node"] == "/dev/qkd%d" % l["index"] and
	          l["pad_capacity"] == 4 << 20 and l["key_capacity"] == 512 << 10 and
	          l["emu"]["protocol"] == "bb84" and "streams" not in l for l in d)' \
		qkd -j link
}

statistics()
{
	json 'len(d[0]["streams"]) == 4 and "no_key" in d[0]["refused"] and
	      all(s["supplied"] == s["taken"] + s["skipped"] + s["lost"] + s["head"] +
	          s["live"] for s in d[0]["streams"]) and
	      [s["dir"] for s in d[0]["streams"]] == ["out", "out", "in", "in"]' \
		qkd -j -s link show qkd0 &&
	qkd -s link show qkd0 | grep -qE '^ +a2b-pad +out +[0-9]+' &&
	qkd -s link show qkd0 | grep -q 'refused: no-key 0'
}

# Text and JSON name the same link in their own ways.
text_output()
{
	qkd link show qkd0 >text &&
	grep -qE '^[0-9]+: qkd0: type emu role alice admin up state up label [0-9]+ node /dev/qkd[0-9]+$' text &&
	grep -qF 'export control,export' text && ! grep -q "$(printf '\033')" text
}

colors()
{
	local esc
	esc=$(printf '\033')

	qkd -c link | grep -qF "${esc}[36mqkd0${esc}[0m" &&
	qkd -color=always link | grep -qF "${esc}[" &&
	! qkd -c=auto link | grep -qF "${esc}[" &&
	! qkd -color=always -color=never link | grep -qF "${esc}[" &&
	! qkd -c -j link | grep -qF "${esc}["
}

pretty()
{
	[ "$(qkd -j link | wc -l)" = 1 ] && [ "$(qkd -j -p link | wc -l)" -gt 20 ] &&
	json 'len(d) == 2' qkd -j -p link && json 'len(d) == 2' qkd -pretty -json link
}

# Has the process gone to a namespace of its own?
elsewhere()
{
	[ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]
}

# A namespace by name, by process and by path.
namespaces()
{
	local pid failed=0

	ip netns add bob || return
	ip netns exec bob sleep 600 &
	pid=$!
	wait_for 5 elsewhere $pid || failed=1
	qkd link add n0 type emu peer name e0 netns bob &&
	qkd link add n1 type emu peer name e1 netns /run/netns/bob &&
	qkd link add n2 type emu peer name e2 netns $pid || failed=1
	json '[l["name"] for l in d] == ["e0", "e1", "e2"]' ip netns exec bob qkd -j link || failed=1
	qkd link del n0 && qkd link del n1 && qkd link delete n2 || failed=1
	json 'd == []' ip netns exec bob qkd -j link || failed=1
	kill $pid
	ip netns del bob
	return $failed
}

# One end with a seed from a file and one from stdin. The file is warned of.
seeded()
{
	local failed=0

	head -c 32 /dev/urandom >seed
	qkd link add s0 type emu role alice seed-file seed gen "$QKD_GEN" 2>warning || return
	grep -q 'Warning: seed: Others may read this file.' warning || failed=1
	chmod 600 seed
	qkd link add s1 type emu role bob seed-file - gen "$QKD_GEN" <seed 2>warning || failed=1
	[ ! -s warning ] || failed=1
	json 'd[0]["role"] == "alice" and d[1]["role"] == "bob" and
	      d[0]["id"] == d[1]["peer_id"] and d[0]["generation"] == d[1]["generation"] and
	      d[0]["hash"] == d[1]["hash"] and d[0]["confirm"] == "none" and
	      d[0]["label"] == '"$QKD_GEN" seeds || failed=1
	qkd link del s0 && qkd link del s1 || failed=1
	return $failed
}

seeds()
{
	echo "[$(qkd -j link show s0 | sed 's/^\[//; s/]$//'),$(qkd -j link show s1 |
		sed 's/^\[//; s/]$//')]"
}

user_link()
{
	qkd link add u0 type user role bob id bob.example peer-id alice.example \
		confirm none export none max-age 300s pad-keep 1s key-keep 2s &&
	json 'd[0]["id"] == "bob.example" and d[0]["peer_id"] == "alice.example" and
	      d[0]["confirm"] == "none" and d[0]["export"] == [] and
	      d[0]["max_age"] == 300000 and d[0]["state"] == "down" and
	      d[0]["reason"] == "never-begun" and "emu" not in d[0]' \
		qkd -j link get u0 &&
	qkd link del u0
}

# Allocated at one end, claimed at the other: the same bytes, once.
claimed()
{
	local id

	rm -f a b c
	id=$(qkd key read dev qkd0 size 48 to a) || return
	id=${id%% *}
	json 'd[0]["class"] == "export" and d[0]["size"] == 64 and d[0]["handle"] > 0' \
		qkd -j key peek dev qkd1 id "$id" &&
	qkd key claim dev qkd1 id "$id" size 48 to b >/dev/null && cmp a b &&
	[ "$(stat -c %s a)" = 48 ] && [ "$(stat -c %a a b | uniq)" = 600 ] &&
	gives 2 'Error: The key was taken already.' qkd key claim dev qkd1 id "$id" to c &&
	[ ! -e c ] &&
	gives 2 'the key was taken already (attribute: id).' qkd key peek dev qkd1 id "$id"
}

with_context()
{
	local id

	rm -f a b c
	json 'len(d) == 2 and d[0]["class"] == "control" and d[0]["size"] == 40 and
	      d[0]["handle"] != d[1]["handle"]' \
		qkd -j key get dev qkd1 class control size 40 count 2 context-type ppk \
		context 'IKE of bob' to a || return
	id=$(grep -oE '"id":"[^"]+"' output | sed -n '2s/.*:"//;2s/"//p')
	[ "$(stat -c %s a)" = 80 ] &&
	gives 2 'of another context' qkd key claim dev qkd0 id "$id" size 40 to b &&
	gives 2 'of another context' qkd key claim dev qkd0 id "$id" size 40 to b \
		context-type ppk context 'IKE of eve' &&
	qkd key claim dev qkd0 id "$id" size 40 context-type ppk \
		context 0x494b45206f6620626f62 to b >/dev/null &&
	tail -c 40 a | cmp - b
}

# What stdout may be: a pipe or a file of ours, never a terminal.
places()
{
	local old new

	rm -f a
	[ "$(qkd key read dev qkd0 size 24 2>id | wc -c)" = 24 ] && grep -q 'size 24' id &&
	[ "$(qkd key get dev qkd0 class export size 24 to - 2>id | wc -c)" = 24 ] &&
	grep -q 'class export size 24' id &&
	(umask 077; qkd key read dev qkd0 2>/dev/null >mine) && [ "$(stat -c %s mine)" = 32 ] || return
	old=$(taken)
	refuse 'others may read stdout' qkd key read dev qkd0 '>theirs' &&
	[ ! -s theirs ] &&
	refuse 'not written to a terminal' python3 -c '"
import os, pty, sys
code = pty.spawn([\"qkd\", \"key\", \"read\", \"dev\", \"qkd0\"])
sys.exit(os.waitstatus_to_exitcode(code))"' &&
	refuse 'mine: File exists' qkd key read dev qkd0 to mine &&
	ln -s nowhere link && refuse 'link: File exists' qkd key read dev qkd0 to link &&
	refuse 'No such file or directory' qkd key read dev qkd0 to no/where || return
	new=$(taken)
	[ "$old" = "$new" ] || { echo "refusals took key: $old, $new"; return 1; }
}

# refuse TEXT WORDS...: as a shell command; exit status 1.
refuse()
{
	local text=$1
	shift

	gives 1 "$text" bash -c "$*"
}

taken()
{
	qkd -s link show qkd0 | awk '$2 == "out" { print $5, $6 }'
}

id_fields()
{
	local id

	id=$(qkd key get dev qkd0 class control size 100) || return
	json 'd[0]["class"] == "control" and d[0]["stream"] == "a2b-key" and
	      d[0]["size"] == 128 and d[0]["offset"] % 32 == 0 and
	      len(d[0]["link"]) == 4' qkd -j key show "${id%% *}" &&
	json 'True' qkd -j -p key show "${id%% *}"
}

# Nobody may look into a process that waits for key; it leaves no core either.
no_dumps()
{
	local pid owner

	qkd link set qkd0 stop
	qkd link add w0 type user role alice id a peer-id b export export || return
	chmod 666 "$(node w0)"
	setpriv --reuid=65534 --regid=65534 --clear-groups sh -c \
		'ulimit -c unlimited; exec qkd key read dev w0' 2>/dev/null | cat >/dev/null &
	wait_for 5 pgrep -u 65534 -x qkd
	pid=$(pgrep -u 65534 -x qkd)
	owner=$(stat -c %u "/proc/$pid/mem")
	kill "$pid"
	wait
	qkd link del w0
	qkd link set qkd0 start
	[ "$owner" = 0 ]
}

# Interrupted while it waits, it leaves no empty file.
interrupted()
{
	local pid failed=0

	rm -f a
	qkd link add w0 type user role alice id a peer-id b export export || return
	qkd key read dev w0 to a 2>/dev/null &
	pid=$!
	wait_for 5 [ -e a ] || failed=1
	sleep 0.5
	[ "$(stat -c %a a)" = 600 ] || failed=1
	kill $pid
	wait $pid
	[ $? = 2 ] || failed=1
	[ ! -e a ] || failed=1
	qkd link del w0
	return $failed
}

mode_of()
{
	[ "$(stat -c '%U:%G %a' "$(node w0)")" = "$*" ]
}

# The installed rule gives the node to the group, and its members may read it.
udev()
{
	local failed=0 member

	systemd-sysusers /usr/lib/sysusers.d/qkd.conf && getent group qkd &&
	udevadm verify /usr/lib/udev/rules.d/60-qkd.rules &&
	/usr/lib/systemd/systemd-udevd --daemon && udevadm control --ping || return
	qkd link add w0 type user role alice id a peer-id b export export || return
	wait_for 10 mode_of root:qkd 660 || failed=1
	member="setpriv --reuid=65534 --regid=65534 --groups=$(getent group qkd | cut -d: -f3)"
	gives 2 'not enough key now' $member qkd key read dev w0 nowait || failed=1
	qkd link del w0
	udevadm control --exit
	return $failed
}

node()
{
	qkd link show "$1" | grep -oE '/dev/qkd[0-9]+'
}

sa()
{
	qkd esp "$1" src 192.0.2.1 dst 192.0.2.9 spi "$2" dir "$3" dev qkd0 cipher otp "${@:4}"
}

esp_add()
{
	sa add 0x1001 out mode tunnel reqid 7 if-id 5 mark 0x10/0xff on-empty block esn \
		sel src 10.1.0.0/16 dst 10.2.0.0/24 proto udp sport 5000 dport 53 &&
	sa add 0x1002 in mode transport replay-window 64 &&
	qkd esp add src 2001:db8::1 dst 2001:db8::9 spi 4099 dir in dev qkd0 cipher otp \
		mode tunnel replay-window 128 esn sel src 2001:db8:1::/48 interface lo &&
	json 'len(d) == 3 and
	      sorted(s["spi"] for s in d) == [0x1001, 0x1002, 0x1003] and
	      all(s["dev"] == "qkd0" and s["cipher"] == "otp" and not s["dead"] and
	          "packets" not in s for s in d)' qkd -j esp show
}

esp_show()
{
	json 'len(d) == 1 and d[0]["src"] == "192.0.2.1" and d[0]["dst"] == "192.0.2.9" and
	      d[0]["mode"] == "tunnel" and d[0]["dir"] == "out" and d[0]["reqid"] == 7 and
	      d[0]["if_id"] == 5 and d[0]["mark"] == 0x10 and d[0]["mark_mask"] == 0xff and
	      d[0]["esn"] and d[0]["on_empty"] == "block" and
	      d[0]["sel"] == {"src": "10.1.0.0", "src_prefix": 16, "dst": "10.2.0.0",
	                      "dst_prefix": 24, "proto": 17, "sport": 5000, "dport": 53} and
	      d[0]["packets"] == 0 and d[0]["key_bytes"] == 0 and
	      d[0]["refused"]["icv"] == 0' \
		qkd -j -s esp show spi 0x1001 dir out dev qkd0 &&
	json 'len(d) == 2' qkd -j esp show dir in &&
	json 'd == []' qkd -j esp show dev qkd1 &&
	json 'd[0]["sel"]["interface"] == "lo" and d[0]["sel"]["src_prefix"] == 48 and
	      d[0]["replay_window"] == 128' qkd -j esp show spi 0x1003 &&
	qkd -s esp show spi 0x1002 | grep -qF 'proto esp spi 0x00001002 reqid 0 mode transport dir in dev qkd0 cipher otp' &&
	json 'd[0]["sas"] == 3' qkd -j link show qkd0
}

# The number that is shown is the end of the handle that ip shows.
esp_handle()
{
	local number

	number=$(qkd esp show spi 0x1001 | sed -nE 's/.* sa 0x([0-9a-f]{16})$/\1/p') &&
	ip xfrm state get src 192.0.2.1 dst 192.0.2.9 proto esp spi 0x1001 mark 0x10 mask 0xff |
		grep -qE "aead otp 0x[0-9a-f]{16}$number 128"
}

esp_del()
{
	sa replace 0x1002 in mode transport replay-window 32 &&
	json 'd[0]["replay_window"] == 32' qkd -j esp show spi 0x1002 &&
	qkd esp del spi 0x1001 dir out dev qkd0 && qkd esp del spi 0x1002 dir in dev qkd0 &&
	qkd esp delete dev qkd0 dir in spi 0x1003 && json 'd == []' qkd -j esp
}

# What an SA with AES keys is told comes back, in the words that were given.
esp_epochs()
{
	qkd esp add src 192.0.2.1 dst 192.0.2.9 spi 0x2001 dir out dev qkd0 cipher aes \
		mode tunnel reqid 7 rekey-packets 2 rekey-bytes 4k rekey-time 1500ms \
		epoch-packets 1000 epoch-bytes 1g epoch-time 1h weight 3 park-time 20ms \
		on-empty block encap espinudp 4500 4501 \
		limit byte-soft 1G limit byte-hard 2g limit packet-soft 100000 \
		limit packet-hard 0x100000 limit time-soft 3600 limit time-hard 2h \
		limit time-use-soft 30m limit time-use-hard 1800s &&
	qkd esp add src 192.0.2.9 dst 192.0.2.1 spi 0x2002 dir in dev qkd0 cipher otp \
		mode beet replay-window 64 on-empty aes park-time 0 \
		sel src 10.9.0.1 dst 10.9.0.2 &&
	json 'd[0]["cipher"] == "aes" and d[0]["rekey_packets"] == 2 and
	      d[0]["rekey_bytes"] == 4096 and d[0]["rekey_time"] == 1500 and
	      d[0]["epoch_packets"] == 1000 and d[0]["epoch_bytes"] == 1 << 30 and
	      d[0]["epoch_time"] == 3600000 and d[0]["weight"] == 3 and
	      d[0]["park_time"] == 20 and "rekey_auto" not in d[0] and
	      d[0]["encap"] == {"type": "espinudp", "sport": 4500, "dport": 4501} and
	      d[0]["limit"] == {"byte_soft": 1 << 30, "byte_hard": 2 << 30,
	                        "packet_soft": 100000, "packet_hard": 1 << 20,
	                        "time_soft": 3600, "time_hard": 7200,
	                        "time_use_soft": 1800, "time_use_hard": 1800}' \
		qkd -j esp show spi 0x2001 &&
	json 'd[0]["mode"] == "beet" and d[0]["on_empty"] == "aes" and
	      d[0]["park_time"] == 0 and "weight" not in d[0] and
	      "limit" not in d[0] and "encap" not in d[0]' qkd -j esp show spi 0x2002 || return
	qkd esp show spi 0x2001 >text
	grep -qE '^ +park-time 20ms weight 3 rekey-packets 2 rekey-bytes 4K rekey-time 1500ms$' text &&
	grep -qE '^ +epoch-packets 1000 epoch-bytes 1G epoch-time 3600s$' text &&
	grep -qE '^ +encap espinudp 4500 4501$' text &&
	grep -qE '^ +limit byte-soft 1073741824 limit byte-hard .* limit time-use-hard 1800$' text ||
		{ cat text; return 1; }
}

# What set does not name stays, except for the other rekey words.
esp_set()
{
	qkd esp set spi 0x2001 dir out dev qkd0 rekey auto weight 9 &&
	json 'd[0]["rekey_auto"] and "rekey_packets" not in d[0] and d[0]["weight"] == 9 and
	      "rekey_time" not in d[0] and d[0]["park_time"] == 20' \
		qkd -j esp show spi 0x2001 &&
	qkd esp show spi 0x2001 | grep -qF 'weight 9 rekey auto' &&
	qkd esp set spi 0x2002 dir in dev qkd0 park-time 1s &&
	json 'd[0]["park_time"] == 1000' qkd -j esp show spi 0x2002 &&
	gives 2 'nothing to change' qkd esp set spi 0x2001 dir out dev qkd0 &&
	qkd esp set spi 0x2001 dir out dev qkd0 rekey-packets 2 &&
	json 'd[0]["rekey_packets"] == 2 and "rekey_auto" not in d[0]' \
		qkd -j esp show spi 0x2001
}

# Packets to nowhere, through the SA of reqid 7.
traffic()
{
	ip link add d0 type dummy && ip addr add 192.0.2.1/24 dev d0 && ip link set d0 up &&
	ip route add 10.9.0.0/16 dev d0 &&
	ip xfrm policy add dst 10.9.0.0/16 dir out tmpl src 192.0.2.1 dst 192.0.2.9 \
		proto esp reqid 7 mode tunnel || return
	ping -q -c 6 -i 0.3 -W 1 10.9.0.1
	json 'd[0]["packets"] >= 6' qkd -j -s esp show spi 0x2001
}

esp_statistics()
{
	json 'd[0]["epochs"] >= 3 and d[0]["epochs"] == (d[0]["packets"] + 1) // 2 and
	      d[0]["key_bytes"] >= 32 * d[0]["epochs"] and d[0]["interval"] > 0 and
	      d[0]["key_left"] > 0 and d[0]["lasts"] > 0 and
	      abs(d[0]["lasts"] - d[0]["key_left"] * d[0]["interval"]) <= 1000 and
	      not d[0]["fallback"] and d[0]["fallback_packets"] == 0 and
	      len(d[0]["epoch"]["key_id"]) == 36 and 1 <= d[0]["epoch"]["packets"] <= 2 and
	      d[0]["epoch"]["bytes"] > 84 and 0 <= d[0]["epoch"]["age"] < 60000 and
	      set(d[0]["refused"].values()) == {0} and len(d[0]["refused"]) == 13' \
		qkd -j -s esp show spi 0x2001 &&
	json '"epochs" not in d[0] and "epoch" not in d[0]' qkd -j esp show spi 0x2001 || return
	qkd -s esp show spi 0x2001 >text
	grep -qE '^ +epochs [0-9]+ interval [0-9]+m?s key-left [0-9]+ lasts [0-9]+m?s parked [0-9]+ fallback-packets 0$' text &&
	grep -qE '^ +epoch key-id [0-9a-f-]{36} age [0-9]+m?s packets [12] bytes [0-9]+$' text &&
	grep -qE '^ +refused: no-key 0 .* parked 0 throttled 0 phase 0 limit 0$' text ||
		{ cat text; return 1; }
}

# A line at most once a second, with how many and the newest one's ID.
rekey_events()
{
	local pids failed=0 id

	qkd monitor >events.text &
	pids=$!
	qkd -j monitor >events.json &
	pids="$pids $!"
	sleep 1
	ping -q -c 8 -i 0.05 -w 2 10.9.0.1 >/dev/null
	wait_for 5 grep -qE 'qkd0: sa-rekeyed .*spi 0x00002001 dir out count [0-9]+ key-id [0-9a-f-]{36}$' \
		events.text || failed=1
	sleep 1.5
	id=$(qkd -s esp show spi 0x2001 | sed -nE 's/.* key-id ([0-9a-f-]+) .*/\1/p')
	# shellcheck disable=SC2086
	kill $pids
	wait
	[ "$(sed -nE 's/.* key-id ([0-9a-f-]+)$/\1/p' events.text | tail -n 1)" = "$id" ] || failed=1
	json 'd[0]["class"] == "rekey" and d[0]["size"] == 32' qkd -j key show "$id" || failed=1
	json 'sum(e["count"] for e in d if e["event"] == "sa-rekeyed") >= 4 and
	      all(len(e["key_id"]) == 36 and e["spi"] == 0x2001 for e in d)' \
		eval 'echo "[$(grep sa-rekeyed events.json | paste -sd,)]"' || failed=1
	[ $failed = 0 ] || cat events.text
	return $failed
}

# An SA that runs out of pad says so, and that it has some again.
esp_fallback()
{
	local pid failed=0

	qkd esp replace src 192.0.2.1 dst 192.0.2.9 spi 0x2001 dir out dev qkd0 cipher otp \
		mode tunnel reqid 7 on-empty aes && ip link set d0 mtu 9000 || return
	qkd monitor >events.text &
	pid=$!
	sleep 1
	qkd link set qkd0 stop
	wait_for 30 eval 'ping -q -f -s 8900 -c 200 -w 5 10.9.0.1
		grep -q "qkd0: sa-fallback .*spi 0x00002001 dir out" events.text' || failed=1
	json 'd[0]["fallback"] and d[0]["fallback_packets"] > 0 and
	      d[0]["refused"]["no_key"] == 0 and d[0]["epoch"]["packets"] > 0' \
		qkd -j -s esp show spi 0x2001 || failed=1
	qkd -s esp show spi 0x2001 | grep -qE 'fallback-packets [0-9]+ fallback$' || failed=1
	qkd link set qkd0 start
	wait_for 30 eval 'ping -q -c 1 -w 1 10.9.0.1
		grep -q "qkd0: sa-restored .*spi 0x00002001 dir out" events.text' || failed=1
	json 'not d[0]["fallback"]' qkd -j -s esp show spi 0x2001 || failed=1
	kill $pid
	wait
	[ $failed = 0 ] || cat events.text
	return $failed
}

hybrid()
{
	qkd esp add src 192.0.2.9 dst 192.0.2.1 spi 0x2003 dir in dev qkd0 cipher hybrid \
		mode tunnel replay-window 64 "$@"
}

# Bytes as they are: nothing is decoded, and a newline counts.
esp_secret()
{
	(umask 077; head -c 48 /dev/urandom >secret; printf '%031d\n' 7 >newline
		printf '%031d' 7 >shorter)
	hybrid secret-file secret 2>warning && [ ! -s warning ] &&
	json 'd[0]["secret_number"] == 1 and "secret" not in d[0]' \
		qkd -j esp show spi 0x2003 &&
	qkd esp show spi 0x2003 | grep -qF 'park-time 50ms secret-number 1' &&
	qkd esp set spi 0x2003 dir in dev qkd0 secret-file - secret-number 2 <newline &&
	gives 2 'secret is not of 32 to 1024 bytes (attribute: secret).' \
		qkd esp set spi 0x2003 dir in dev qkd0 secret-file shorter secret-number 2 &&
	qkd esp del spi 0x2003 dir in dev qkd0 && chmod 644 secret &&
	hybrid secret-file secret secret-number 4294967295 2>warning &&
	grep -qF 'Warning: secret: Others may read this file.' warning &&
	json 'd[0]["secret_number"] == 4294967295' qkd -j esp show spi 0x2003
}

# Nobody may look into a process that reads a secret, or finds a key of it.
esp_secret_no_dumps()
{
	local pid owner keys

	mkfifo pipe
	setpriv --reuid=65534 --regid=65534 --clear-groups sh -c \
		'ulimit -c unlimited
		 exec qkd esp set spi 0x2003 dir in dev qkd0 secret-number 3 secret-file -' \
		<pipe 2>refused &
	exec 9>pipe
	wait_for 5 pgrep -u 65534 -x qkd
	pid=$(pgrep -u 65534 -x qkd)
	wait_for 5 eval '[ "$(stat -c %u /proc/'"$pid"'/mem)" = 0 ]'
	owner=$(stat -c %u "/proc/$pid/mem")
	head -c 64 /dev/urandom >&9
	exec 9>&-
	wait "$pid"
	wait_for 5 eval '! grep -q "logon *qkd:" /proc/keys'
	keys=$(grep -c 'logon *qkd:' /proc/keys)
	grep -q CAP_NET_ADMIN refused && [ "$owner" = 0 ] && [ "$keys" = 0 ]
}

esp_flush()
{
	sa add 0x3001 out mode tunnel &&
	qkd esp add src 192.0.2.1 dst 192.0.2.8 spi 0x3001 dir out dev qkd1 cipher otp \
		mode tunnel &&
	json 'len(d) == 5' qkd -j esp && qkd esp flush dev qkd0 &&
	json '[s["dev"] for s in d] == ["qkd1"]' qkd -j esp &&
	qkd esp flush && json 'd == []' qkd -j esp && qkd esp flush && [ -z "$(ip xfrm state)" ]
	local rc=$?
	ip xfrm policy flush
	ip link del d0
	return $rc
}

# Events come out at once, a line each, though stdout is a file.
monitor()
{
	local pids failed=0

	qkd -j -t monitor >events.json &
	pids=$!
	qkd -t monitor dev qkd1 >events.time &
	pids="$pids $!"
	qkd monitor >events.text &
	pids="$pids $!"
	sleep 1
	qkd link set qkd0 down
	wait_for 5 grep -q 'qkd0: link-down label' events.text || failed=1
	qkd link set qkd0 up
	wait_for 5 grep -q 'qkd0: link-up label' events.text || failed=1
	wait_for 5 grep -qE '^\[ *[0-9]+\.[0-9]{6}\] [0-9]+: qkd1: link-up' events.time || failed=1
	wait_for 5 grep -q '"name":"qkd1".*"event":"link-up"' events.json || failed=1
	# shellcheck disable=SC2086
	kill $pids
	wait
	grep -q qkd0 events.time && failed=1
	json '[e["reason"] for e in d if e["event"] == "link-down" and e["name"] == "qkd0"] ==
	      ["operator"] and
	      all(0 <= time.clock_gettime_ns(time.CLOCK_BOOTTIME) - e["time"] < 60e9 for e in d)' \
		eval 'echo "[$(paste -sd, events.json)]"' || failed=1
	return $failed
}

# A thing that only qkd_emu and root can do is refused to others, with words.
unprivileged()
{
	local nobody="setpriv --reuid=65534 --regid=65534 --clear-groups"

	gives 2 'CAP_NET_ADMIN' $nobody qkd link add x type emu peer name y &&
	gives 2 'CAP_NET_ADMIN' $nobody qkd link set qkd0 down &&
	gives 2 'CAP_NET_ADMIN' $nobody qkd esp flush &&
	gives 2 'CAP_NET_ADMIN is needed.' $nobody qkd monitor &&
	gives 2 'Be root or a member of the group qkd.' $nobody qkd key read dev qkd0 &&
	$nobody qkd link show qkd0 >/dev/null
}

# Into the keyring at each end: the bytes that the other end has, for nobody to read.
exported()
{
	local id serial

	modprobe -qa algif_hash
	rm -f a id
	id=$(qkd key export dev qkd0 size 40 to keyring | cut -d ' ' -f 1) || return
	serial=$(keyctl search @u logon "qkd:$id") &&
	gives 1 'not supported' keyctl read "$serial" &&
	qkd key claim dev qkd1 id "$id" size 40 to a >/dev/null &&
	python3 "$here/keyring_mac.py" "$serial" a &&
	! python3 "$here/keyring_mac.py" "$serial" /etc/passwd &&
	keyctl unlink "$serial" @u && rm a || return

	qkd key read dev qkd1 to a 2>/dev/null >id &&
	id=$(cut -d ' ' -f 1 id) &&
	json "d[0]['description'] == 'qkd:$id' and d[0]['size'] == 32" \
		qkd -j key export dev qkd0 id "$id" to keyring &&
	serial=$(keyctl search @u logon "qkd:$id") &&
	python3 "$here/keyring_mac.py" "$serial" a &&
	gives 2 'The key was taken already' qkd key export dev qkd0 id "$id" to keyring &&
	keyctl unlink "$serial" @u && rm a id
}

helps()
{
	local object

	for object in link key esp macsec wg monitor; do
		gives 0 "Usage: qkd" qkd $object help || return
	done
	gives 0 'Usage: qkd [ OPTIONS ] OBJECT' qkd help && gives 0 'Usage: qkd' qkd -h &&
	gives 0 'Usage: qkd' qkd --help && gives 0 'qkd utility, ' qkd -V &&
	gives 1 'Usage: qkd [ OPTIONS ] OBJECT' qkd && gives 1 'Usage: qkd key' qkd key &&
	[ -z "$(qkd 2>/dev/null)" ] && [ -z "$(qkd help 2>&1 >/dev/null)" ]
}

words_of()
{
	grep -ohE '\b[a-z][a-z0-9]+(-[a-z0-9]+)*\b' "$@" | sort -u
}

# Every word of the help is in the manual and known to completion, except for
# those of its own sentences.
words_agree()
{
	local object missing failed=0

	words_of /usr/share/bash-completion/completions/qkd >completed
	tr ' ' '\n' <<<"add or hex bytes name process path to new of mode file with pipe
		on stdout go qkd" | words_of >sentences
	for object in link key esp macsec wg; do
		words_of "/usr/share/man/man8/qkd-$object.8" >manual
		qkd $object help | words_of | comm -23 - sentences >words
		[ "$(wc -l <words)" -gt 6 ] || failed=1
		missing=$(comm -23 words manual; comm -23 words completed)
		[ -z "$missing" ] || {
			echo "$object: not in the manual or not completed:" $missing
			failed=1
		}
	done
	return $failed
}

# The same of qkd-link; and its figures, which are those of its configuration.
link_words_agree()
{
	local missing

	words_of /usr/share/bash-completion/completions/qkd-link >completed
	words_of /usr/share/man/man1/qkd-link.1 >manual
	qkd-link --help | sed 's/Without words.*//; s/{html|svg}//' | words_of >words
	[ "$(wc -l <words)" -gt 20 ] || return
	sed -n '/^.Ss .model/,/^.El/s/^.It Cm //p' /usr/share/man/man5/qkd-link.conf.5 |
		tr -d ' ' | tr ',' '\n' | sort >figures
	missing=$(comm -23 words manual; comm -23 words completed; comm -23 figures completed)
	[ -z "$missing" ] && [ "$(wc -l <figures)" -gt 30 ] && return
	echo "not in the manual or not completed:" $missing
	return 1
}

# complete_words WORDS...: what completion offers for the last of them.
complete_words()
{
	bash -c '
. /usr/share/bash-completion/bash_completion
. "/usr/share/bash-completion/completions/$1"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
"_${1//-/_}"
echo "${COMPREPLY[@]}"' bash "$@"
}

# completes EXPECTED WORDS...
completes()
{
	local expected=$1 output
	shift

	output=$(complete_words "$@" | tr ' ' '\n' | sort | xargs)
	[ "$output" = "$expected" ] || {
		echo "$*: $output (expected $expected)"
		return 1
	}
}

completion()
{
	completes 'esp help key link macsec monitor wg' qkd '' && completes link qkd li &&
	completes link qkd -j -s l && completes '-json' qkd -j &&
	completes 'set show' qkd link s && completes 'qkd0 qkd1' qkd link show q &&
	completes 'bb84 bb84-decoy' qkd link set qkd0 protocol bb8 &&
	completes 'max-age' qkd link set qkd0 m &&
	completes 'control export' qkd key get dev qkd0 class '' &&
	completes 'transport tunnel' qkd esp add dev qkd0 mode t &&
	completes 'add del flush help replace set show' qkd esp '' &&
	completes 'byte-hard byte-soft' qkd esp add limit b &&
	completes 'rekey rekey-bytes rekey-packets rekey-time' qkd esp set spi 5 rek &&
	completes auto qkd esp set rekey '' && completes espinudp qkd esp add encap '' &&
	completes dev qkd esp flush '' &&
	completes 'bind del help rx show tx unbind' qkd macsec '' &&
	completes 'address an id port sci' qkd macsec rx macsec0 '' &&
	completes 'dev max-time' qkd macsec bind macsec0 '' &&
	completes '0 1 2 3' qkd macsec tx macsec0 an '' &&
	completes 'del help set show' qkd wg '' &&
	completes 'dev hold id max-time peer' qkd wg set wg0 '' &&
	completes keyring qkd key export dev qkd0 to '' &&
	completes 'qkd0 qkd1' qkd esp add src 192.0.2.1 dev '' &&
	completes 'in out' qkd esp show dir '' && completes 'dev help' qkd monitor ''
}

link_completion()
{
	completes 'alice bob' qkd-link --dry-run '' &&
	completes '--reconcile --report' qkd-link --re && completes 'cascade ldpc' qkd-link --reconcile '' &&
	completes fast qkd-link --pace = f && completes '' qkd-link --blocks '' &&
	completes 'connect dev key-file listen preset set' qkd-link alice '' &&
	completes 'preset set' qkd-link --distance 0,100 '' &&
	completes 'qkd0 qkd1' qkd-link bob dev '' &&
	completes 'bb84-fibre-100km bb84-fibre-50km' qkd-link bob preset bb84-fi &&
	completes 'nu1= nu2=' qkd-link bob set nu && completes '' qkd-link bob set nu1 = &&
	completes 'cow cow-variant' qkd-link bob set protocol = c &&
	completes 'fibre free-space satellite terahertz' qkd-link bob set medium = &&
	completes "$PWD/huge" qkd-link bob key-file "$PWD/hu"
}

abbreviations()
{
	[ "$(qkd l sh qkd0 | head -n 1)" = "$(qkd link show qkd0 | head -n 1)" ] &&
	[ "$(qkd -j li li)" != '' ] && [ "$(qkd e)" = "$(qkd esp show)" ] &&
	gives 1 'command "s" is short for "set" and "show"' qkd link s &&
	gives 1 'command "re" is unknown' qkd link re
}

ktap_print_header
ktap_set_plan 51

check "help and version" helps
check "a pair is added" add_pair
check "it is shown" show_pair
check "its supply arrives" wait_for 20 has_key qkd0
wait_for 20 has_key qkd1
check "-s shows accounts that add up" statistics
check "text" text_output
check "colours where they are asked for" colors
check "-p prints the same over many lines" pretty
check "abbreviations" abbreviations
check "each setting is read back" set_all
check "stop and start" stop_start
check "down and up" admin
check "the export mask narrows" eval \
	'qkd link add x0 type emu export control,export peer name x1 &&
	 qkd link set x0 export control && json "d[0][\"export\"] == [\"control\"]" qkd -j link show x0 &&
	 gives 2 "(attribute: export)" qkd link set x0 export export; rc=$?; qkd link del x0; [ $rc = 0 ]'
check "a flipped bit and a lost block are asked for" faults
wait_for 20 has_key qkd0
wait_for 20 has_key qkd1
check "peers in namespaces" namespaces
check "single ends from a seed" seeded
check "a user link" user_link
check "status by class" json \
	'[s["class"] for s in d] == ["control", "rekey", "export"] and
	 d[2]["size"] == 100 and d[2]["available"] < d[0]["available"] + 1' \
	qkd -j key status dev qkd0 size 100
check "status of one class" json 'len(d) == 1 and d[0]["class"] == "rekey"' \
	qkd -j key status dev qkd0 class rekey
check "a key is read, peeked at and claimed once" claimed
check "keys under a context" with_context
check "keys in the keyring" exported
check "key goes to new files and pipes alone, and refusing takes none" places
check "the fields of a key ID" id_fields
check "who waits for key cannot be dumped" no_dumps
check "interrupted, it clears away what it began" interrupted
check "udev gives the node to the group qkd" udev
check "SAs are added" esp_add
check "and shown" esp_show
check "under the handle that ip shows" esp_handle
check "replaced and deleted" esp_del
check "SAs with AES keys" esp_epochs
check "changed" esp_set
check "sent through" traffic
check "their epochs in numbers" esp_statistics
check "and as events" rekey_events
check "without pad" esp_fallback
check "external secrets" esp_secret
check "who reads a secret cannot be dumped" esp_secret_no_dumps
check "flush" esp_flush
check "monitor" monitor
(umask 077; head -c 65 /dev/zero >long; echo secret >short; head -c 1025 /dev/urandom >huge)
# shellcheck disable=SC2034 # by the tables
public=xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
# shellcheck disable=SC2034 # by the tables
esp='qkd esp add src 192.0.2.1 dst 192.0.2.2 spi 256 dev qkd0 mode tunnel'
check "words that make no sense: exit status 1" table <<'TABLE'
1|object "foo" is unknown|qkd foo
1|command "foo" is unknown|qkd link foo
1|option "-x" is unknown|qkd -x link
1|option -color=maybe is unknown|qkd -color=maybe link
1|"foo" is unknown here, try "qkd link help"|qkd link set qkd0 foo
1|the name of a link is needed|qkd link add
1|a type is needed|qkd link add x
1|"rate" needs a value|qkd link set qkd0 rate
1|nothing to set|qkd link set qkd0
1|"rate" was given already|qkd link set qkd0 rate 1mbit rate 2mbit
1|"down" was given already|qkd link set qkd0 up down
1|rate "10zbit" has no known unit|qkd link set qkd0 rate 10zbit
1|rate "-1" is not a number|qkd link set qkd0 rate -1
1|rate "inf" is not a number|qkd link set qkd0 rate inf
1|rate "1e40" is too large|qkd link set qkd0 rate 1e40
1|qber "51%" is too large|qkd link set qkd0 qber 51%
1|qber "3z" has no known unit|qkd link set qkd0 qber 3z
1|pad-low "64q" has no known unit|qkd link set qkd0 pad-low 64q
1|reserve-control "4G" is too large|qkd link set qkd0 reserve-control 4G
1|max-age "5" has no known unit|qkd link set qkd0 max-age 5
1|export "raw" is not none, control|qkd link set qkd0 export raw
1|protocol "bb85" is none of bb84|qkd link set qkd0 protocol bb85
1|role "carol" is none of alice, bob|qkd link add x type emu role carol
1|is not a name of 1 to 15 bytes|qkd link add sixteen-letters-x type emu
1|"peer" needs "name NAME"|qkd link add x type emu peer y
1|netns "nowhere": No such file|qkd link add x type emu peer name y netns nowhere
1|nothing: No such file|qkd link add x type emu role alice gen 1 seed-file nothing
1|no seed in it|qkd link add x type emu role alice gen 1 seed-file /dev/null
1|more than 64 bytes|qkd link add x type emu role alice gen 1 seed-file long
1|"type" is unknown here|qkd link set qkd0 type emu
1|a link is needed|qkd key status
1|a class is needed|qkd key get dev qkd0
1|size is 1 to 2016 bytes|qkd key read dev qkd0 size 2017
1|count is 1 to 64|qkd key read dev qkd0 count 65
1|a key is needed|qkd key peek dev qkd0
1|is not a UUID|qkd key peek dev qkd0 id 1234
1|is not a UUID of version 8|qkd key show 4b1d0007-0b00-4001-8000-000000000000
1|a place is needed|qkd key claim dev qkd0 id 4b1d0007-0b00-8001-8000-000000000000
1|context "0x123" is not hexadecimal|qkd key get dev qkd0 class export context 0x123
1|"src" is needed|qkd esp add
1|"mode" is needed|qkd esp add src 192.0.2.1 dst 192.0.2.2 spi 256 dir in dev qkd0 cipher otp
1|"spi" is needed|qkd esp del dev qkd0
1|src "192.0.2" is not an address|qkd esp add src 192.0.2
1|spi "x" is not a number|qkd esp add spi x
1|spi "4294967296" is more than|qkd esp add spi 4294967296
1|mark mask "z" is not a number|qkd esp add mark 1/z
1|prefix length "33" is more than 32|qkd esp add sel src 192.0.2.0/33
1|"sel" needs a selector|qkd esp add sel
1|sport "65536" is more than|qkd esp add sel sport 65536
1|interface "none0": No such device|qkd esp add sel interface none0
1|mode "beat" is none of transport, tunnel, beet|qkd esp add mode beat
1|on-empty "drop" is none of block, aes|qkd esp add on-empty drop
1|rekey-packets "x" is not a number|qkd esp add rekey-packets x
1|rekey-bytes "1q" has no known unit|qkd esp add rekey-bytes 1q
1|rekey-time "5" has no known unit|qkd esp set rekey-time 5
1|"rekey" needs "auto"|qkd esp add rekey 5
1|"rekey" needs "auto"|qkd esp set rekey
1|"rekey" was given already|qkd esp set rekey auto rekey auto
1|epoch-time "2000h" is too large|qkd esp add epoch-time 2000h
1|"epoch-time" is unknown here|qkd esp set epoch-time 5s
1|weight "4294967296" is more than|qkd esp add weight 4294967296
1|"limit" needs a value|qkd esp add limit
1|limit "bytes" is unknown|qkd esp add limit bytes 5
1|"byte-soft" needs a value|qkd esp add limit byte-soft
1|"byte-soft" was given already|qkd esp add limit byte-soft 1 limit byte-soft 2
1|time-soft "1500ms" is not a number of seconds|qkd esp add limit time-soft 1500ms
1|time-hard "x" is not a number|qkd esp add limit time-hard x
1|"encap" needs "espinudp SPORT DPORT"|qkd esp add encap espinudp 4500
1|"encap" needs "espinudp SPORT DPORT"|qkd esp add encap espintcp 4500 4500
1|dport "65536" is more than|qkd esp add encap espinudp 1 65536
1|"encap" was given already|qkd esp add encap espinudp 1 2 encap espinudp 1 2
1|"secret-file" needs a value|qkd esp add secret-file
1|"secret-file" was given already|qkd esp set secret-file short secret-file short
1|nothing: No such file|$esp dir out cipher hybrid secret-file nothing
1|no secret in it|$esp dir out cipher hybrid secret-file /dev/null
1|huge: more than 1024 bytes|$esp dir out cipher hybrid secret-file huge
1|"spi" is needed|qkd esp set
1|"dir" is needed|qkd esp set spi 256 weight 5
1|"spi" is unknown here, try "qkd esp help"|qkd esp flush spi 256
1|the name of a macsec device is needed|qkd macsec bind
1|device "nope": No such device|qkd macsec tx nope an 0
1|"dev" is needed|qkd macsec bind lo
1|max-time "5" has no known unit|qkd macsec bind lo dev qkd0 max-time 5
1|"an" is needed|qkd macsec tx lo
1|an "4" is more than 3|qkd macsec tx lo an 4
1|"id" is unknown here, try "qkd macsec help"|qkd macsec tx lo id x
1|sci "12" is not of 16 hex digits|qkd macsec rx lo sci 12
1|address "02:00" is not a link layer address|qkd macsec rx lo address 02:00
1|"address" needs a "port"|qkd macsec rx lo address 02:00:00:00:00:01 an 0
1|port "65536" is more than|qkd macsec rx lo address 02:00:00:00:00:01 port 65536
1|the channel was given already|qkd macsec rx lo sci 0200000000010001 sci 0200000000010001
1|id "x" is not a UUID|qkd macsec rx lo id x
1|"sci" is needed|qkd macsec rx lo an 0
1|"id" is needed|qkd macsec rx lo sci 0200000000010001 an 0
1|"tx" or "rx" is needed|qkd macsec del lo an 0
1|the name of a WireGuard device is needed|qkd wg set
1|device "nope": No such device|qkd wg set nope
1|"peer" is needed|qkd wg del lo
1|peer "x" is not a public key in Base64|qkd wg set lo peer x
1|is not a public key in Base64|qkd wg set lo peer xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dh=
1|"dev" is needed|qkd wg set lo peer $public
1|id is not a UUID|qkd wg set lo peer $public dev qkd0 id x
1|"hold" and "id" exclude each other|qkd wg set lo peer $public dev qkd0 hold id 05a20006-5000-8000-8000-c1deb3ef2df7
1|device "hold": No such device|qkd wg show hold
1|a place is needed: "to keyring"|qkd key export dev qkd0
1|a place is needed: "to keyring"|qkd key export dev qkd0 to file
1|id "x" is not a UUID|qkd key export dev qkd0 id x to keyring
1|"x" is unknown here|qkd monitor x
TABLE
check "what the kernel refuses: exit status 2, its words, the attribute" table <<'TABLE'
2|no such link in this network namespace (attribute: name). Links are listed|qkd link show nope
2|no such link|qkd link del nope
2|no such link|qkd key status dev nope
2|no such link in this network namespace (attribute: link-name)|qkd esp show dev nope spi 256 dir in
2|a link of this name exists (attribute: name)|qkd link add qkd0 type emu peer name z
2|unknown link type (attribute: type)|qkd link add x type nothing
2|(attribute: role)|qkd link add x type user id a peer-id b
2|(attribute: emu)|qkd link add x type user role alice id a peer-id b rate 1mbit
2|(attribute: emu.gen)|qkd link add x type emu role alice gen 0 seed-file short
2|(attribute: key-capacity)|qkd link add x type emu key-capacity 1G peer name y
2|(attribute: class)|qkd key get dev qkd0 class rekey
2|malformed key ID (attribute: id)|qkd key peek dev qkd0 id 00000000-0000-4000-8000-000000000000
2|(attribute: spi)|qkd esp add src 192.0.2.1 dst 192.0.2.2 spi 255 dir in dev qkd0 cipher otp mode tunnel
2|needs a replay window (attribute: replay-window).|$esp dir in cipher aes
2|no AES keys (attribute: rekey-packets).|$esp dir out cipher otp rekey-packets 5
2|(attribute: rekey-time).|$esp dir out cipher aes rekey-time 2s epoch-time 1s
2|(attribute: epoch-time).|$esp dir out cipher aes epoch-time 2h
2|(attribute: weight).|$esp dir out cipher aes weight 0
2|(attribute: lifetime.soft-bytes).|$esp dir out cipher aes limit byte-soft 5 limit byte-hard 4
2|(attribute: encap.sport).|$esp dir out cipher aes encap espinudp 0 4500
2|(attribute: secret).|$esp dir out cipher hybrid
2|(attribute: secret).|$esp dir out cipher aes secret-file short
2|secret is not of 32 to 1024 bytes (attribute: secret).|$esp dir out cipher hybrid secret-file short
2|secret is all zero (attribute: secret).|$esp dir out cipher hybrid secret-file long
2|link has no SA with this SPI in this direction (attribute: spi).|qkd esp set dev qkd0 spi 0x7777 dir in weight 5
2|no such link in this network namespace (attribute: link-name).|qkd esp flush dev nope
2|(attribute: sel.dst)|qkd esp add src 192.0.2.1 dst 192.0.2.2 spi 256 dir in dev qkd0 cipher otp mode tunnel sel src 10.1.0.0/16 dst 2001:db8::/32
2|(attribute: spi)|qkd esp del dev qkd0 spi 0x7777 dir in
2|not a macsec device (attribute: ifindex).|qkd macsec bind lo dev qkd0
2|(attribute: max-time).|qkd macsec bind lo dev qkd0 max-time 99ms
2|the device is not bound to a link (attribute: ifindex).|qkd macsec unbind lo
2|the device is not bound to a link|qkd macsec show lo
2|not a macsec device (attribute: ifindex).|qkd macsec tx lo an 0
2|not a WireGuard device (attribute: ifindex).|qkd wg set lo peer $public dev qkd0
2|(attribute: max-time).|qkd wg set lo peer $public dev qkd0 max-time 99ms
2|no such link in this network namespace (attribute: link-name).|qkd wg set lo peer $public dev nope
2|the peer's keys come from no link (attribute: peer).|qkd wg del lo peer $public
2|not a macsec device (attribute: ifindex).|qkd macsec del lo rx sci 0200000000010001 an 0
TABLE
check "without privilege" unprivileged
check "no refusal changed anything" json 'len(d) == 2 and d[0]["sas"] == 0' qkd -j link
check "an unwritable stdout is an error" gives 1 'Cannot write' bash -c 'qkd -j link >/dev/full'
check "completion" completion
check "completion of qkd-link" link_completion
check "help, manual and completion have the same words" words_agree
check "those of qkd-link have the same words, too" link_words_agree
check "the pair is deleted from one end" eval \
	'qkd link del qkd1 && json "d == []" qkd -j link show && [ -z "$(qkd link)" ]'

exec 7>&- 8<&-
rm -rf "$dir"
ktap_finished
