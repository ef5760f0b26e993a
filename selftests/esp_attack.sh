#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The known forgeries against SAs with epochs, run for real between two
# namespaces: see esp_attack.py.
# timeout: 900

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/esp_lib.sh"

HERE=$(dirname "$0")

# sas_up CIPHER REKEY-PACKETS [MORE...]: a tunnel; MORE is for both ends
sas_up()
{
	local rekey=
	local in="replay-window 64"
	CIPHER=$1
	[ "$2" -eq 0 ] || rekey="rekey-packets $2 park-time 1s"
	[ "$CIPHER $3" = "otp " ] || in="$in park-time 1s"
	shift 2

	addresses 4 tunnel
	sa_add alice out $SPI_A2B $A $B tunnel $rekey "$@" &&
		sa_add bob in $SPI_A2B $A $B tunnel $in "$@" &&
		sa_add bob out $SPI_B2A $B $A tunnel $rekey "$@" &&
		sa_add alice in $SPI_B2A $B $A tunnel $in "$@" || return
	policies alice tunnel $A $B $IN_A $IN_B
	policies bob tunnel $B $A $IN_B $IN_A
}

# The second SA is bob's alone: all that it gets is forged.
u1_up()
{
	sas_up otp 0 on-empty aes && CIPHER=aes \
		sa_add bob in 0x2001 $A $B tunnel replay-window 64 park-time 1s
}

attacks()
{
	python_checks "$HERE/esp_attack.py" /tmp/seed "$QKD_GEN" "$@"
}

ktap_print_header
ktap_set_plan $((1 + 7 + 1 + 7 + 1 + 13 + 2 + 5 + 5 + 4 + 1 + 2 + 1 + 1 + 2 + 2 + 1 + 9))
head -c 32 /dev/urandom >/tmp/seed
for i in 1 2 3; do
	head -c 32 /dev/zero | tr '\0' "\\00$i" >/tmp/secret.$i
done
wire_up
check "single ends with a seed come up" seeded_up 100mbit /tmp/seed "$QKD_GEN"

check "aes, three packets an epoch" sas_up aes 3
attacks iv_bits ciphers hybrid_for_aes unallocated reflected two_addresses copies
tunnel_down
check "aes, an epoch per packet" sas_up aes 1
attacks flood
tunnel_down
check "aes with ESN, ten packets an epoch" sas_up aes 10 esn
attacks iv_bits rewound
tunnel_down
check "aes, ten packets an epoch" sas_up aes 10
attacks rewound control
tunnel_down

check "otp with on-empty aes, and an aes SA of the same link" u1_up
attacks pad_as_epoch
tunnel_down
check "otp" sas_up otp 0
attacks aes_for_otp
tunnel_down
check "hybrid, three packets an epoch" \
	sas_up hybrid 3 secret-file /tmp/secret.1 secret-number 1
attacks phases
tunnel_down
check "the ends' accounts agree" ends_agree
link_down
ktap_finished
