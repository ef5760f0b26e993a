#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Every command of Documentation/howto-kme.md, as it stands there.
# timeout: 400

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/howto_lib.sh"

# shellcheck disable=SC2034
PAGE=$(dirname "$0")/doc/howto-kme.md
# shellcheck disable=SC2034
BLOCKS="sites kmes ask link configure start tunnel outage third through end"

ktap_print_header
ktap_set_plan 12
check "every block of the page is run here" all_are_run
check "three sites" paste_block sites
check "their KMEs" paste_block kmes
check "the KME answers" says ask '"source_KME_ID": "kmeA"' '"slave_SAE_ID": "hostB"'
check "a link" paste_block link
check "the configuration is good" says configure "qkddA.conf is good" "qkddB.conf is good"
check "it is fed" says start "state up" "supply by KME kmeA: "
check "packets pass under the pad" says tunnel " 3 received, 0% packet loss"
check "an outage, and its end" says outage "KME kmeA does not give " \
	" 3 received, 0% packet loss" " again, after "
check "a third site" says third "qkd1: type user role alice admin up state up"
check "from the first to the third" says through " 3 received, 0% packet loss"
check "the end" paste_block end
ktap_finished
