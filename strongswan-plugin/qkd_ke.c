// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Key exchange methods "qkd", "qkd_mlkem768" and "qkd_mlkem1024": each end names
 * a key of its own, alone or beside ML-KEM in the same message. The bytes are in
 * Documentation/abi/ike.md, why they are so in Documentation/combiner.md.
 *
 * Neither end spends key for a peer that has proved nothing: as the first
 * exchange of an IKE_SA they are refused (charon.plugins.qkd.ke_first allows it),
 * a responder looks the initiator's key up, by its tag, before it takes one of
 * its own, and before AUTH looking up takes nothing (qkd_attempt.h).
 */
#include "qkd_ke.h"

#include <qkd/qkd.h>

#include "qkd_attempt.h"
#include "qkd_combine.h"
#include "qkd_conn.h"

/* Keywords of swanctl.conf, in the order of the methods' numbers. */
static const struct {
	const char *keyword;
	key_exchange_method_t kem;
} methods[] = {
	{ "qkd", KE_NONE },
	{ "qkd_mlkem768", ML_KEM_768 },
	{ "qkd_mlkem1024", ML_KEM_1024 },
};

/* They begin at 0 until the first method's number is known. */
ENUM_EXT(long_names, 0, 2, "QKD", "QKD_ML_KEM_768", "QKD_ML_KEM_1024");
ENUM_EXT(short_names, 0, 2, "qkd", "qkd_mlkem768", "qkd_mlkem1024");

static uint16_t first_method;

typedef struct private_ke_t private_ke_t;

/**
 * struct private_ke_t - an exchange
 * @public: its interface
 * @method: its number
 * @context: the same, network order: what both keys are bound to, where their
 *	source can
 * @kem: ML-KEM, or NULL
 * @source: where the keys are from
 * @initiator: this end's value came first
 * @own: of this end
 * @peer: of the peer
 */
struct private_ke_t {
	key_exchange_t public;
	key_exchange_method_t method;
	uint16_t context;
	key_exchange_t *kem;
	qkd_source_t *source;
	bool initiator;
	struct qkd_party own;
	struct qkd_party peer;
};

/* In IKE_SA_INIT nobody has proved anything, and the key IDs are in clear. */
static bool too_early(ike_sa_t *ike_sa)
{
	bool initiator =
		ike_sa->get_id(ike_sa)->is_initiator(ike_sa->get_id(ike_sa));

	if (ike_sa->has_condition(ike_sa, COND_AUTHENTICATED) ||
	    ike_sa->get_message_id(ike_sa, initiator) ||
	    lib->settings->get_bool(lib->settings, "%s.plugins.qkd.ke_first",
				    FALSE, lib->ns))
		return false;
	DBG1(DBG_IKE, "QKD as the first key exchange is refused: have it as "
		      "ke1_qkd, or set charon.plugins.qkd.ke_first");
	return true;
}

/* The connection's; a responder without one yet goes by the peer's key ID. */
static bool find_source(private_ke_t *this, ike_sa_t *ike_sa, const char *id)
{
	peer_cfg_t *cfg = ike_sa->get_peer_cfg(ike_sa);

	if (!this->source)
		this->source = cfg ? qkd_conn_source(cfg) :
				     qkd_conn_source_of_id(ike_sa, id);
	if (!this->source && id && !cfg)
		DBG1(DBG_IKE,
		     "no QKD source of this peer's connections has "
		     "a key such as %s",
		     id);
	else if (!this->source)
		DBG1(DBG_IKE, "no QKD source for this key exchange: the "
			      "connection needs ppk_id = qkd:LINK, or a source "
			      "in charon.plugins.qkd.connections");
	return this->source != NULL;
}

static void set_value(struct qkd_party *party, chunk_t value)
{
	party->value = value.ptr;
	party->len = value.len;
}

static bool set_own(private_ke_t *this)
{
	chunk_t kem = chunk_empty;
	uint8_t id[QKD_KEY_ID_LEN];
	char text[QKD_ID_LEN + 1];
	bool done;

	done = (!this->kem || this->kem->get_public_key(this->kem, &kem)) &&
	       qkd_attempt_own(this->source, QKD_USE_KE,
			       chunk_from_thing(this->context), text,
			       this->own.secret) &&
	       !qkd_key_id_parse(text, id);
	if (done)
		set_value(&this->own,
			  chunk_cat("cc", chunk_from_thing(id), kem));
	chunk_free(&kem);
	return done;
}

METHOD(key_exchange_t, get_public_key, bool, private_ke_t *this, chunk_t *value)
{
	ike_sa_t *ike_sa = charon->bus->get_sa(charon->bus);

	if (!this->own.value) {
		this->initiator = !this->peer.value;
		if (!ike_sa || too_early(ike_sa) ||
		    !find_source(this, ike_sa, NULL) || !set_own(this))
			return FALSE;
	}
	*value = chunk_clone(chunk_create(this->own.value, this->own.len));
	return TRUE;
}

METHOD(key_exchange_t, set_public_key, bool, private_ke_t *this, chunk_t value)
{
	ike_sa_t *ike_sa = charon->bus->get_sa(charon->bus);
	char id[QKD_KEY_ID_TEXT_LEN + 1];
	chunk_t kem;
	bool done;

	if (this->peer.value || !ike_sa || value.len < QKD_KEY_ID_LEN ||
	    (!this->kem && value.len > QKD_KEY_ID_LEN)) {
		DBG1(DBG_IKE, "QKD key exchange with a value of %zu bytes",
		     value.len);
		return FALSE;
	}
	qkd_key_id_format(value.ptr, id);
	kem = chunk_skip(value, QKD_KEY_ID_LEN);
	done = !too_early(ike_sa) && find_source(this, ike_sa, id) &&
	       qkd_attempt_peer(this->source, id, QKD_USE_KE,
				chunk_from_thing(this->context),
				this->peer.secret) &&
	       (!this->kem || this->kem->set_public_key(this->kem, kem));
	if (done)
		set_value(&this->peer, chunk_clone(value));
	return done;
}

/* Roles to the order that both ends agree on. */
static bool combine(private_ke_t *this, chunk_t kem, chunk_t *secret)
{
	struct qkd_party *i = this->initiator ? &this->own : &this->peer;
	struct qkd_party *r = this->initiator ? &this->peer : &this->own;
	char id_i[QKD_ID_LEN + 1], id_r[QKD_ID_LEN + 1];

	DBG1(DBG_IKE, "%N of QKD keys '%s' and '%s'", key_exchange_method_names,
	     this->method, qkd_key_id_format(i->value, id_i),
	     qkd_key_id_format(r->value, id_r));
	*secret = chunk_alloc(QKD_COMBINED_LEN);
	if (qkd_combine(this->method, i, r, kem.ptr, kem.len, secret->ptr))
		return true;
	chunk_clear(secret);
	return false;
}

METHOD(key_exchange_t, get_shared_secret, bool, private_ke_t *this,
       chunk_t *secret)
{
	chunk_t kem = chunk_empty;
	bool done;

	done = this->own.value && this->peer.value &&
	       (!this->kem || this->kem->get_shared_secret(this->kem, &kem)) &&
	       combine(this, kem, secret);
	chunk_clear(&kem);
	return done;
}

METHOD(key_exchange_t, get_method, key_exchange_method_t, private_ke_t *this)
{
	return this->method;
}

METHOD(key_exchange_t, destroy, void, private_ke_t *this)
{
	free(this->own.value);
	free(this->peer.value);
	memwipe(&this->own, sizeof(this->own));
	memwipe(&this->peer, sizeof(this->peer));
	DESTROY_IF(this->kem);
	free(this);
}

static key_exchange_t *create(key_exchange_method_t method, ...)
{
	key_exchange_method_t kem = methods[method - first_method].kem;
	private_ke_t *this;

	INIT(this,
	     .public = {
		     .get_shared_secret = _get_shared_secret,
		     .set_public_key = _set_public_key,
		     .get_public_key = _get_public_key,
		     .get_method = _get_method,
		     .destroy = _destroy,
	     },
	     .method = method,
	     .context = htons(method), );
	if (kem != KE_NONE) {
		this->kem = lib->crypto->create_ke(lib->crypto, kem);
		if (!this->kem) {
			destroy(this);
			return NULL;
		}
	}
	return &this->public;
}

static void move_names(enum_name_t *names)
{
	names->first = first_method;
	names->last = first_method + countof(methods) - 1;
}

void qkd_ke_init(void)
{
	int i;

	first_method = lib->settings->get_int(lib->settings,
					      "%s.plugins.qkd.ke_method",
					      QKD_KE_METHOD, lib->ns);
	move_names(long_names);
	move_names(short_names);
	enum_add_enum_names(key_exchange_method_names, long_names);
	enum_add_enum_names(key_exchange_method_names_short, short_names);
	for (i = 0; i < countof(methods); i++) {
		lib->crypto->add_ke(lib->crypto, first_method + i, "qkd",
				    create);
		lib->proposal->register_token(lib->proposal, methods[i].keyword,
					      KEY_EXCHANGE_METHOD,
					      first_method + i, 0);
	}
	/* Else charon takes numbers for private use from strongSwans alone, which
	 * they tell only when charon.send_vendor_id is set.
	 */
	lib->settings->set_default_str(lib->settings, "%s.accept_private_algs",
				       "yes", lib->ns);
}

void qkd_ke_deinit(void)
{
	lib->crypto->remove_ke(lib->crypto, create);
	enum_remove_enum_names(key_exchange_method_names, long_names);
	enum_remove_enum_names(key_exchange_method_names_short, short_names);
}
