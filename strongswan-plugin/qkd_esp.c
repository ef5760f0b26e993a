// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ESP transforms "qkdotp", "qkdaes" and "qkdhybrid": negotiation.
 *
 * charon negotiates them as it does any transform. Beside an SA payload that has
 * one goes N(QKD_SA), which says what else both ends must have in common: link,
 * generation, ciphers, what an empty link means. The bytes are in
 * Documentation/abi/ike.md. A responder that differs takes the SA payload out of
 * the request, and charon answers NO_PROPOSAL_CHOSEN. What counts is asked again
 * at either end when the SAs are installed: see qkd_install.c.
 */
#include "qkd_esp.h"

#include <collections/hashtable.h>
#include <encoding/payloads/notify_payload.h>
#include <encoding/payloads/sa_payload.h>
#include <threading/mutex.h>

#include "qkd_conn.h"
#include "qkd_vendor.h"

/* Of N(QKD_SA). */
#define SAY_VERSION 1

/* Of the Key Length attribute: bits of KEYMAT for each direction. */
#define KEY_BITS 256

/* Keywords of swanctl.conf, in the order of the transforms' numbers. */
static const struct {
	const char *keyword;
	uint32_t cipher;
} transforms[] = {
	{ "qkdotp", QKD_CIPHER_OTP },
	{ "qkdaes", QKD_CIPHER_AES },
	{ "qkdhybrid", QKD_CIPHER_HYBRID },
};

/* They begin at 0 until the first transform's number is known. */
ENUM_EXT(names, 0, 2, "QKD_OTP", "QKD_AES", "QKD_HYBRID");
ENUM_EXT(notify_names, QKD_SA_NOTIFY, QKD_SA_NOTIFY, "QKD_SA");
ENUM_EXT(notify_short_names, QKD_SA_NOTIFY, QKD_SA_NOTIFY, "QKD_SA");

static uint16_t first_transform;

/**
 * struct say - data of N(QKD_SA)
 * @version: SAY_VERSION
 * @ciphers: bit n: enum qkd_cipher n is offered, or chosen
 * @role: enum qkd_role of the sender
 * @on_empty: enum qkd_on_empty of the sender
 * @label: of the generation
 * @generation: first bytes of G*
 * @hash: L
 */
struct say {
	uint8_t version;
	uint8_t ciphers;
	uint8_t role;
	uint8_t on_empty;
	uint16_t label;
	uint8_t generation[8];
	uint8_t hash[QKD_HASH_LEN];
} __attribute__((packed));

/**
 * struct claim - what the peer said in its last message with transforms of ours
 * @ciphers: those in its SA payload, as in struct say
 * @spi: in its SA payload, network order
 * @said: there was a notify, of the right length
 * @refused: an SA was, and the log says why
 * @say: the notify
 */
struct claim {
	uint8_t ciphers;
	uint32_t spi;
	bool said;
	bool refused;
	struct say say;
};

/**
 * struct peer - of an IKE_SA
 * @request: what the peer said in its last request
 * @response: and in its last response
 *
 * There is one exchange at a time in each direction.
 */
struct peer {
	struct claim request;
	struct claim response;
};

/* Of struct peer, by unique ID of the IKE_SA; guarded by @lock. */
static hashtable_t *peers;
static mutex_t *lock;

uint32_t qkd_esp_cipher(uint16_t transform)
{
	if (transform < first_transform ||
	    transform - first_transform >= countof(transforms))
		return 0;
	return transforms[transform - first_transform].cipher;
}

bool qkd_esp_proposed(child_cfg_t *cfg, bool *others)
{
	linked_list_t *proposals = QKD_PROPOSALS(cfg, TRUE);
	bool ours = false, more = false;
	enumerator_t *all, *algs;
	proposal_t *proposal;
	uint16_t alg;

	all = proposals->create_enumerator(proposals);
	while (all->enumerate(all, &proposal)) {
		algs = proposal->create_enumerator(proposal,
						   ENCRYPTION_ALGORITHM);
		while (algs->enumerate(algs, &alg, NULL)) {
			ours |= qkd_esp_cipher(alg) != 0;
			more |= qkd_esp_cipher(alg) == 0;
		}
		algs->destroy(algs);
	}
	all->destroy(all);
	proposals->destroy_offset(proposals, offsetof(proposal_t, destroy));
	if (others)
		*others = more;
	return ours;
}

uint32_t qkd_esp_on_empty(peer_cfg_t *cfg)
{
	char *text = qkd_conn_setting(cfg, "on_empty");
	int value = text ? qkd_enum_value(QKD_ENUM_ON_EMPTY, text) :
			   QKD_ON_EMPTY_BLOCK;

	if (value > 0)
		return value;
	DBG1(DBG_CFG, "QKD: on_empty of connection %s is neither block nor aes",
	     cfg->get_name(cfg));
	return 0;
}

bool qkd_esp_link(peer_cfg_t *cfg, struct qkd_link *link)
{
	char *name = qkd_conn_source_name(cfg);
	struct qkd_ctx *ctx;
	int err;

	if (!name) {
		DBG1(DBG_CFG,
		     "QKD: connection %s has no link for its CHILD_SAs",
		     cfg->get_name(cfg));
		return false;
	}
	err = qkd_open(&ctx);
	if (!err) {
		err = qkd_link_get(ctx, qkd_by_name(name), link);
		qkd_close(ctx);
	}
	if (err)
		DBG1(DBG_CFG, "QKD link %s, for CHILD_SAs: %s", name,
		     strerror(-err));
	free(name);
	return !err;
}

/* The transforms of ours in an SA payload, and the SPI that comes with them. */
static uint8_t offered(sa_payload_t *payload, uint32_t *spi)
{
	linked_list_t *proposals = payload->get_proposals(payload);
	enumerator_t *all, *algs;
	proposal_t *proposal;
	uint8_t ciphers = 0;
	uint16_t alg;

	all = proposals->create_enumerator(proposals);
	while (all->enumerate(all, &proposal)) {
		if (proposal->get_protocol(proposal) != PROTO_ESP)
			continue;
		algs = proposal->create_enumerator(proposal,
						   ENCRYPTION_ALGORITHM);
		while (algs->enumerate(algs, &alg, NULL)) {
			if (!qkd_esp_cipher(alg))
				continue;
			ciphers |= 1 << qkd_esp_cipher(alg);
			*spi = proposal->get_spi(proposal);
		}
		algs->destroy(algs);
	}
	all->destroy(all);
	proposals->destroy_offset(proposals, offsetof(proposal_t, destroy));
	return ciphers;
}

/* In what this end and the peer differ, NULL if in nothing. */
static const char *difference(const struct claim *claim,
			      const struct qkd_link *link, uint32_t on_empty)
{
	const struct say *say = &claim->say;

	if (!claim->said)
		return "the peer sent no valid N(QKD_SA)";
	if (say->ciphers != claim->ciphers)
		return "the peer has other numbers for the ciphers";
	if (memcmp(say->hash, link->hash, sizeof(say->hash)))
		return "the peer is at another link";
	if (say->role + link->role != QKD_ROLE_ALICE + QKD_ROLE_BOB)
		return "both ends have the same role";
	if (!link->label)
		return "the link has no generation";
	if (ntohs(say->label) != link->label ||
	    memcmp(say->generation, link->generation, sizeof(say->generation)))
		return "the peer is in another generation";
	if (say->on_empty != on_empty)
		return "on_empty is not the same at both ends";
	return NULL;
}

static bool fits(const struct claim *claim, const struct qkd_link *link,
		 peer_cfg_t *cfg)
{
	uint32_t on_empty = qkd_esp_on_empty(cfg);
	const char *what;

	if (!on_empty)
		return false;
	what = difference(claim, link, on_empty);
	if (!what)
		return true;
	DBG1(DBG_CHD, "QKD link %s: no CHILD_SA: %s", link->name, what);
	return false;
}

/* What the peer said with the SA. @refused: note that it was refused. */
static struct claim claim_of(uintptr_t ike_sa, bool initiator, bool refused)
{
	struct claim none = {}, *claim = &none;
	struct peer *peer;

	lock->lock(lock);
	peer = peers->get(peers, (void *)ike_sa);
	if (peer)
		claim = initiator ? &peer->response : &peer->request;
	claim->refused |= refused;
	none = *claim;
	lock->unlock(lock);
	return none;
}

bool qkd_esp_agreed(ike_sa_t *ike_sa, const struct qkd_link *link,
		    const kernel_ipsec_sa_id_t *id,
		    const kernel_ipsec_add_sa_t *data)
{
	uintptr_t key = ike_sa->get_unique_id(ike_sa);
	struct claim claim = claim_of(key, data->initiator, false);

	/* A rekeyed outbound SA may come after other exchanges; the inbound one
	 * came first, in its own. In the same one it is refused if that was.
	 */
	if (!data->inbound && claim.spi != id->spi)
		return true;
	if (!claim.refused && fits(&claim, link, ike_sa->get_peer_cfg(ike_sa)))
		return true;
	claim_of(key, data->initiator, true);
	return false;
}

static void note(ike_sa_t *ike_sa, const struct claim *claim, bool request)
{
	uintptr_t key = ike_sa->get_unique_id(ike_sa);
	struct peer *peer;

	lock->lock(lock);
	peer = peers->get(peers, (void *)key);
	if (!peer) {
		INIT(peer);
		peers->put(peers, (void *)key, peer);
	}
	if (request)
		peer->request = *claim;
	else
		peer->response = *claim;
	lock->unlock(lock);
}

static void forget(ike_sa_t *ike_sa)
{
	uintptr_t key = ike_sa->get_unique_id(ike_sa);

	lock->lock(lock);
	free(peers->remove(peers, (void *)key));
	lock->unlock(lock);
}

static void remove_sa(message_t *message)
{
	enumerator_t *payloads = message->create_payload_enumerator(message);
	payload_t *payload;

	while (payloads->enumerate(payloads, &payload)) {
		if (payload->get_type(payload) != PLV2_SECURITY_ASSOCIATION)
			continue;
		message->remove_payload_at(message, payloads);
		payload->destroy(payload);
	}
	payloads->destroy(payloads);
}

/* Connections without a link are charon's business: it has none of ours to choose. */
static void check_request(ike_sa_t *ike_sa, message_t *message,
			  const struct claim *claim)
{
	peer_cfg_t *cfg = ike_sa->get_peer_cfg(ike_sa);
	struct qkd_link link = {};
	char *name;

	cfg = cfg ? cfg->get_ref(cfg) : qkd_conn_choose(ike_sa, message, NULL);
	if (!cfg)
		return;
	name = qkd_conn_source_name(cfg);
	if (name && !(qkd_esp_link(cfg, &link) && fits(claim, &link, cfg)))
		remove_sa(message);
	free(name);
	cfg->destroy(cfg);
}

static void incoming(ike_sa_t *ike_sa, message_t *message, struct claim *claim)
{
	notify_payload_t *notify = message->get_notify(message, QKD_SA_NOTIFY);
	bool request = message->get_request(message);
	chunk_t data;

	if (notify && qkd_vendor_is_ours(ike_sa)) {
		data = notify->get_notification_data(notify);
		claim->said = data.len == sizeof(claim->say) &&
			      data.ptr[0] == SAY_VERSION;
		if (claim->said)
			memcpy(&claim->say, data.ptr, sizeof(claim->say));
	}
	note(ike_sa, claim, request);
	if (request)
		check_request(ike_sa, message, claim);
}

static void outgoing(ike_sa_t *ike_sa, message_t *message, uint8_t ciphers)
{
	peer_cfg_t *cfg = ike_sa->get_peer_cfg(ike_sa);
	struct qkd_link link = {};
	struct say say = {
		.version = SAY_VERSION,
		.ciphers = ciphers,
	};

	if (!cfg || !qkd_vendor_is_ours(ike_sa) || !qkd_esp_link(cfg, &link))
		return;
	say.role = link.role;
	say.on_empty = qkd_esp_on_empty(cfg);
	say.label = htons(link.label);
	memcpy(say.generation, link.generation, sizeof(say.generation));
	memcpy(say.hash, link.hash, sizeof(say.hash));
	message->add_notify(message, FALSE, QKD_SA_NOTIFY,
			    chunk_from_thing(say));
}

static bool on_message(listener_t *this, ike_sa_t *ike_sa, message_t *message,
		       bool is_incoming, bool plain)
{
	struct claim claim = {};
	sa_payload_t *sa;

	if (!plain || message->get_major_version(message) != 2)
		return TRUE;
	switch (message->get_exchange_type(message)) {
	case IKE_AUTH:
	case CREATE_CHILD_SA:
		break;
	default:
		return TRUE;
	}
	sa = (sa_payload_t *)message->get_payload(message,
						  PLV2_SECURITY_ASSOCIATION);
	claim.ciphers = sa ? offered(sa, &claim.spi) : 0;
	if (!claim.ciphers)
		return TRUE;
	if (is_incoming)
		incoming(ike_sa, message, &claim);
	else
		outgoing(ike_sa, message, claim.ciphers);
	return TRUE;
}

static bool ike_state_change(listener_t *this, ike_sa_t *ike_sa,
			     ike_sa_state_t state)
{
	if (state == IKE_DESTROYING)
		forget(ike_sa);
	return TRUE;
}

static listener_t listener = {
	.message = on_message,
	.ike_state_change = ike_state_change,
};

static void add_names(void)
{
	names->first = first_transform;
	names->last = first_transform + countof(transforms) - 1;
	enum_add_enum_names(encryption_algorithm_names, names);
	enum_add_enum_names(notify_type_names, notify_names);
	enum_add_enum_names(notify_type_short_names, notify_short_names);
}

void qkd_esp_init(void)
{
	int i;

	first_transform = lib->settings->get_int(lib->settings,
						 "%s.plugins.qkd.esp_cipher",
						 QKD_ESP_CIPHER, lib->ns);
	add_names();
	for (i = 0; i < countof(transforms); i++)
		lib->proposal->register_token(lib->proposal,
					      transforms[i].keyword,
					      ENCRYPTION_ALGORITHM,
					      first_transform + i, KEY_BITS);
	peers = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr, 8);
	lock = mutex_create(MUTEX_TYPE_DEFAULT);
	charon->bus->add_listener(charon->bus, &listener);
}

static void destroy(void *value, const void *key)
{
	free(value);
}

void qkd_esp_deinit(void)
{
	charon->bus->remove_listener(charon->bus, &listener);
	peers->destroy_function(peers, destroy);
	lock->destroy(lock);
	enum_remove_enum_names(encryption_algorithm_names, names);
	enum_remove_enum_names(notify_type_names, notify_names);
	enum_remove_enum_names(notify_type_short_names, notify_short_names);
}
