# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
# What the demo does otherwise with SUPPLY=etsi014. Sourced by demo.sh.

SOURCE=kme0
CHUNKS=5
CHUNK_KIB=128
KME=/run/qkd/kme

# kme_certificate NAME: by this site's own CA, as only this site's machines meet
kme_certificate()
{
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
		-CA $KME/ca.pem -CAkey $KME/ca.key -subj "/CN=$1" \
		-addext "subjectAltName=DNS:$1.example" -addext basicConstraints=CA:FALSE \
		-keyout "$KME/$1.key" -out "$KME/$1.pem" 2>/dev/null
}

# The QKD system of this site: an emulated link, and a KME in front of it.
kme_up()
{
	tell "alice and bob are two machines, joined by an Ethernet."
	title "A QKD system: an emulated link, and a KME by ETSI GS QKD 014 at each site"
	run qkd link add kme0 type emu role "$ROLE" seed-file $SEED gen "$QKD_GEN" \
		rate $RATE key-capacity 64K export export
	mkdir -p $KME
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
		-subj "/CN=ca" -addext keyUsage=critical,keyCertSign \
		-keyout $KME/ca.key -out $KME/ca.pem 2>/dev/null
	kme_certificate kme
	kme_certificate host
	cat >$KME/qkd-kme.conf <<-END
		[local]
		kme-id = kme-$ROLE
		ca = $KME/ca.pem
		certificate = $KME/kme.pem
		key = $KME/kme.key
		listen = 127.0.0.1:8443
		[link kme0]
		target-kme = kme-$PEER
		[sae $PEER]
		link = kme0
		[sae $ROLE]
		certificate-name = host.example
		peer = $PEER
	END
	tell "$ROLE# qkd-kme -c $KME/qkd-kme.conf &"
	qkd-kme -c $KME/qkd-kme.conf 2>/run/qkd/qkd-kme.log &
	wait_for 20 sh -c "ss -ltn | grep -q 127.0.0.1:8443" ||
		die "qkd-kme: $(tail -n 1 /run/qkd/qkd-kme.log)"
	run curl -sS --cacert $KME/ca.pem --cert $KME/host.pem --key $KME/host.key \
		--resolve kme.example:8443:127.0.0.1 \
		"https://kme.example:8443/api/v1/keys/$PEER/status"
	tell ""
	together kme
}

# The link itself: qkdd takes keys from the KME.
fed_link_up()
{
	title "A link that qkdd feeds: new keys from one KME, the same by their IDs from the other"
	run qkd link add qkd0 type user role "$ROLE" id "site $ROLE" peer-id "site $PEER"
	run qkd link set qkd0 pad-low 256k key-low 16k
	qkd monitor dev qkd0 >$EVENTS 2>&1 &
	daemon_config <<-END
		supply = kme
		[kme kme]
		type = etsi014
		url = https://127.0.0.1:8443
		ca = $KME/ca.pem
		certificate = $KME/host.pem
		key = $KME/host.key
		certificate-name = kme.example
		sae = $ROLE
		peer-sae = $PEER
	END
	tell "$ROLE# tail -n 12 /run/qkd/qkdd.conf" "$(tail -n 12 /run/qkd/qkdd.conf | sed 's/^/    /')" \
		"$ROLE# qkdd -c /run/qkd/qkdd.conf &"
	qkdd -c /run/qkd/qkdd.conf 2>/run/qkd/qkdd.log &
	tell "    key arrives ..."
	wait_for 120 level_is $((500 << 10)) || die "no key arrives: $(tail -n 1 /run/qkd/qkdd.log)"
	run qkd link show qkd0
	together link
}

# After the outage: that its reason is told.
kme_said()
{
	if [ "$ROLE" = alice ]; then
		wait_for 20 grep -q "KME kme does not give keys" /run/qkd/qkdd.log ||
			die "qkdd does not say why no key comes"
		tell "alice# grep KME /run/qkd/qkdd.log" \
			"$(grep "KME kme does not give keys" /run/qkd/qkdd.log | tail -n 1 | sed 's/^/    /')"
	fi
	together said
}

kme_summary()
{
	sum_clear || return 0
	title "Summary"
	tell "kme     two KMEs over an emulated link; each key left them once at each site, over mutual TLS" \
	     "link    qkd0, fed by qkdd: $((($(stream pad supplied) + $(stream key supplied)) >> 10)) KiB came to alice's end, each block proved equal first" \
	     "tunnel  ESP under a one-time pad: $PINGS, a file of $((CHUNKS * CHUNK_KIB)) KiB unchanged" \
	     "key     $(($(sa key_bytes) >> 10)) KiB for $(sa packets) packets, each byte once; accounts add up" \
	     "wire    ESP only, $CLEAR packets in clear; ip xfrm state shows no key" \
	     "outage  without key traffic stopped ($REFUSED packets refused), with key it came back"
}
