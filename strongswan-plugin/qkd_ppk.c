// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Postquantum Preshared Keys (RFC 8784) with a fresh PPK_ID each time.
 *
 * charon knows "ppk_id = qkd:LINK" as the name of one PPK. When the initiator
 * asks for it, it gets a new key of that link, and the PPK_IDENTITY that leaves
 * has that key's ID in the place of the name: AUTH does not cover this notify.
 * When the responder receives one, its ID is noted and replaced by the name that
 * the connection has, so that charon's comparison with its own ppk_id holds and
 * it asks for the PPK of that name, which is the key that the ID noted names.
 */
#include "qkd_ppk.h"

#include <credentials/sets/callback_cred.h>
#include <encoding/payloads/notify_payload.h>
#include <qkd/qkd.h>

#include "qkd_attempt.h"
#include "qkd_conn.h"

/* RFC 8784, 5.1 */
#define PPK_ID_FIXED 2

static callback_cred_t *creds;

/* What a key for @id is bound to: the initiator's identity, as in its payload. */
static chunk_t context_of(identification_t *id)
{
	uint8_t type = id->get_type(id);

	return chunk_cat("cc", chunk_from_thing(type), id->get_encoding(id));
}

/* The identity that charon is about to send, which it sets after it asks for the
 * PPK: that of the first round, else its certificate's, else the address.
 */
static identification_t *own_identity(ike_sa_t *ike_sa, peer_cfg_t *cfg)
{
	enumerator_t *rounds = cfg->create_auth_cfg_enumerator(cfg, TRUE);
	identification_t *id = NULL;
	certificate_t *cert = NULL;
	auth_cfg_t *first;
	host_t *host;

	if (rounds->enumerate(rounds, &first)) {
		id = first->get(first, AUTH_RULE_IDENTITY);
		cert = first->get(first, AUTH_RULE_SUBJECT_CERT);
	}
	rounds->destroy(rounds);
	if ((!id || id->get_type(id) == ID_ANY) && cert)
		id = cert->get_subject(cert);
	if (id && id->get_type(id) != ID_ANY)
		return id->clone(id);
	host = ike_sa->get_my_host(ike_sa);
	return identification_create_from_sockaddr(host->get_sockaddr(host));
}

/* For the initiator a fresh one, for the responder the one that was named. */
static bool get_ppk(ike_sa_t *ike_sa, qkd_source_t *source,
		    uint8_t secret[QKD_SECRET_LEN])
{
	ike_sa_id_t *spis = ike_sa->get_id(ike_sa);
	char id[QKD_ID_LEN + 1];
	identification_t *idi;
	chunk_t context;
	bool found;

	if (spis->is_initiator(spis)) {
		idi = own_identity(ike_sa, ike_sa->get_peer_cfg(ike_sa));
		context = context_of(idi);
		idi->destroy(idi);
		found = qkd_attempt_own(source, QKD_USE_PPK, context, id,
					secret);
	} else {
		context = context_of(ike_sa->get_other_id(ike_sa));
		found = qkd_attempt_noted(ike_sa, id) &&
			qkd_attempt_peer(source, id, QKD_USE_PPK, context,
					 secret);
	}
	chunk_free(&context);
	return found;
}

/* Any connection with such a PPK: then a responder says that it supports them. */
static bool configured(void)
{
	enumerator_t *cfgs;
	bool found = false;
	peer_cfg_t *cfg;
	char *name;

	cfgs = charon->backends->create_peer_cfg_enumerator(
		charon->backends, NULL, NULL, NULL, NULL, IKEV2);
	while (!found && cfgs->enumerate(cfgs, &cfg)) {
		name = qkd_conn_ppk_name(cfg);
		found = name != NULL;
		free(name);
	}
	cfgs->destroy(cfgs);
	return found;
}

static shared_key_t *find(void *unused, shared_key_type_t type,
			  identification_t *me, identification_t *other,
			  id_match_t *match_me, id_match_t *match_other)
{
	ike_sa_t *ike_sa = charon->bus->get_sa(charon->bus);
	uint8_t secret[QKD_SECRET_LEN];
	shared_key_t *key = NULL;
	qkd_source_t *source;
	peer_cfg_t *cfg;
	char *name;

	if (type != SHARED_PPK)
		return NULL;
	if (!me)
		return configured() ? shared_key_create(type, chunk_empty) :
				      NULL;
	cfg = ike_sa ? ike_sa->get_peer_cfg(ike_sa) : NULL;
	if (!cfg || !cfg->get_ppk_id(cfg) ||
	    !me->equals(me, cfg->get_ppk_id(cfg)))
		return NULL;
	name = qkd_conn_ppk_name(cfg);
	source = name ? qkd_conn_source_by_name(name) : NULL;
	free(name);
	if (!source || !get_ppk(ike_sa, source, secret))
		return NULL;
	key = shared_key_create(type, chunk_clone(chunk_from_thing(secret)));
	memwipe(secret, sizeof(secret));
	if (match_me)
		*match_me = ID_MATCH_PERFECT;
	if (match_other)
		*match_other = ID_MATCH_PERFECT;
	return key;
}

#ifdef PEER_CFG_HAS_OPTION
/* The same for all connections. */
static bool (*has_option_before)(peer_cfg_t *this, peer_cfg_option_t option);

static bool has_option(peer_cfg_t *this, peer_cfg_option_t option)
{
	return option == OPT_PPK_REQUIRED || has_option_before(this, option);
}

static void set_required(peer_cfg_t *cfg)
{
	if (cfg->has_option == has_option)
		return;
	has_option_before = cfg->has_option;
	cfg->has_option = has_option;
}
#else
static bool ppk_is_required(peer_cfg_t *this)
{
	return true;
}

static void set_required(peer_cfg_t *cfg)
{
	cfg->ppk_required = ppk_is_required;
}
#endif

static bool is_ours(peer_cfg_t *cfg)
{
	char *name = qkd_conn_ppk_name(cfg);

	free(name);
	return name != NULL;
}

/* "ppk_id = qkd:LINK" implies it: charon would go on without a PPK otherwise. */
static void require(peer_cfg_t *cfg)
{
	if (is_ours(cfg) && !qkd_conn_may_fall_back(cfg))
		set_required(cfg);
}

/* The ID in a PPK_IDENTITY, if it has the form of those of ours: no other bytes of
 * a peer who may be anybody get into the log.
 */
static bool id_in(notify_payload_t *notify, char id[QKD_ID_LEN + 1])
{
	chunk_t data = notify->get_notification_data(notify);
	uint8_t raw[QKD_KEY_ID_LEN];

	if (data.len != 1 + QKD_ID_LEN || data.ptr[0] != PPK_ID_FIXED)
		return false;
	snprintf(id, QKD_ID_LEN + 1, "%.*s", QKD_ID_LEN, data.ptr + 1);
	return !qkd_key_id_parse(id, raw);
}

static void set_id(notify_payload_t *notify, chunk_t id)
{
	uint8_t type = PPK_ID_FIXED;
	chunk_t data = chunk_cata("cc", chunk_from_thing(type), id);

	notify->set_notification_data(notify, data);
}

static void incoming_auth(ike_sa_t *ike_sa, message_t *message)
{
	notify_payload_t *notify = message->get_notify(message, PPK_IDENTITY);
	peer_cfg_t *cfg = ike_sa->get_peer_cfg(ike_sa);
	char id[QKD_ID_LEN + 1];
	identification_t *name;

	/* Chosen with the first message; EAP has more. */
	cfg = cfg ? cfg->get_ref(cfg) :
		    qkd_conn_choose(ike_sa, message, require);
	if (!cfg)
		return;
	if (notify && is_ours(cfg) && id_in(notify, id)) {
		name = cfg->get_ppk_id(cfg);
		DBG1(DBG_IKE, "received PPK_ID '%s'", id);
		qkd_attempt_note(ike_sa, id);
		set_id(notify, name->get_encoding(name));
	}
	cfg->destroy(cfg);
}

static void outgoing_auth(ike_sa_t *ike_sa, message_t *message)
{
	notify_payload_t *notify = message->get_notify(message, PPK_IDENTITY);
	char id[QKD_ID_LEN + 1];

	if (notify && qkd_attempt_ppk(ike_sa, id)) {
		DBG1(DBG_IKE, "sending PPK_ID '%s'", id);
		set_id(notify, chunk_from_str(id));
	}
}

static bool on_message(listener_t *this, ike_sa_t *ike_sa, message_t *message,
		       bool incoming, bool plain)
{
	peer_cfg_t *cfg;

	if (!plain || !message->get_request(message))
		return TRUE;
	switch (message->get_exchange_type(message)) {
	case IKE_SA_INIT:
		cfg = ike_sa->get_peer_cfg(ike_sa);
		if (!incoming && cfg)
			require(cfg);
		break;
	case IKE_AUTH:
		if (incoming)
			incoming_auth(ike_sa, message);
		else
			outgoing_auth(ike_sa, message);
		break;
	default:
		break;
	}
	return TRUE;
}

static listener_t listener = {
	.message = on_message,
};

void qkd_ppk_init(void)
{
	creds = callback_cred_create_shared(find, NULL);
	lib->credmgr->add_set(lib->credmgr, &creds->set);
	charon->bus->add_listener(charon->bus, &listener);
}

void qkd_ppk_deinit(void)
{
	charon->bus->remove_listener(charon->bus, &listener);
	lib->credmgr->remove_set(lib->credmgr, &creds->set);
	creds->destroy(creds);
}
