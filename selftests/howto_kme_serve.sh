#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Every command of Documentation/howto-kme-serve.md, as it stands there.
# timeout: 300

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/howto_lib.sh"

# shellcheck disable=SC2034
PAGE=$(dirname "$0")/doc/howto-kme-serve.md
# shellcheck disable=SC2034
BLOCKS="link certificates configure serve ask take three look renew end"

# says BLOCK TEXT...: its output has all of these. A function that one block makes
# others use.
says()
{
	local name=$1 said text
	shift

	said=$({ block ask | sed '/^as enc/,$d'; block "$name"; } >/run/qkd/commands &&
		cd /opt/qkd && bash -eu /run/qkd/commands 2>&1) || { echo "$said"; return 1; }
	for text in "$@"; do
		grep -qF -- "$text" <<<"$said" || { echo "$said"; echo "no \"$text\""; return 1; }
	done
}

renewed()
{
	paste_block renew && wait_for 10 grep -q 'read again' /run/qkd-kme.siteA.log
}

ktap_print_header
ktap_set_plan 11
check "every block of the page is run here" all_are_run
check "the link" paste_block link
check "the certificates" paste_block certificates
check "the configuration is good" says configure "siteA.conf is good" "siteB.conf is good"
check "both KMEs run" paste_block serve
check "encryptorA asks" says ask '"source_KME_ID": "kmeA"' '"max_SAE_ID_count": 1'
check "encryptorB takes the same keys" says take "the same keys at both sites"
check "a key for three" says three "encryptorB has it" "encryptorC has it"
check "the counters" says look "keys allocated 3" "no such key 0"
check "a renewed certificate" renewed
check "the end" paste_block end
ktap_finished
