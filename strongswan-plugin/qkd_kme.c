// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A KME as a source of keys. It gives a key away when it is asked for it by ID,
 * so a key that the peer named and did not prove to know yet is kept here, for a
 * minute. What a key is for can't be bound into it: the KME knows SAEs alone.
 */
#include "qkd_source.h"

#include "../lib/etsi014/etsi014.h"
#include "qkd_kme_client.h"
#include "qkd_kme_store.h"

typedef struct kme_source_t kme_source_t;
typedef struct kme_key_t kme_key_t;

/**
 * struct kme_source_t - a KME
 * @public: its interface
 * @store: keys that are not taken
 * @client: what asks it
 * @name: of its section in strongswan.conf
 */
struct kme_source_t {
	qkd_source_t public;
	qkd_kme_store_t *store;
	qkd_kme_client_t *client;
	char *name;
};

/**
 * struct kme_key_t - a key of a KME
 * @public: its interface
 * @kme: where it is from
 * @taken: it is ours alone
 * @id: its ID
 * @secret: its bytes
 */
struct kme_key_t {
	qkd_key_t public;
	kme_source_t *kme;
	bool taken;
	char id[QKD_ID_LEN + 1];
	uint8_t *secret;
};

METHOD(qkd_key_t, get_id, const char *, kme_key_t *this)
{
	return this->id;
}

METHOD(qkd_key_t, get_secret, chunk_t, kme_key_t *this)
{
	return chunk_create(this->secret, QKD_SECRET_LEN);
}

METHOD(qkd_key_t, commit, bool, kme_key_t *this)
{
	if (!this->taken)
		this->taken = qkd_kme_store_take(this->kme->store, this->id);
	if (!this->taken)
		DBG1(DBG_CFG,
		     "QKD KME %s: key %s is taken already, or came too long ago",
		     this->kme->name, this->id);
	return this->taken;
}

METHOD(qkd_key_t, key_destroy, void, kme_key_t *this)
{
	etsi014_secret_free(this->secret, QKD_SECRET_LEN);
	free(this);
}

static kme_key_t *new_key(kme_source_t *this, const char *id)
{
	kme_key_t *key;

	INIT(key,
	     .public = {
		     .get_id = _get_id,
		     .get_secret = _get_secret,
		     .commit = _commit,
		     .destroy = _key_destroy,
	     },
	     .kme = this,
	     .secret = etsi014_secret_new(QKD_SECRET_LEN), );
	strcpy(key->id, id);
	if (key->secret &&
	    qkd_kme_store_find(this->store, id, key->secret) == QKD_KME_KEPT)
		return key;
	_key_destroy(key);
	return NULL;
}

static qkd_key_t *none(kme_source_t *this, const char *id, const char *why)
{
	DBG1(DBG_CFG, "QKD KME %s: key %s %s", this->name, id, why);
	return NULL;
}

METHOD(qkd_source_t, get, qkd_key_t *, kme_source_t *this, enum qkd_use_t use,
       chunk_t context)
{
	etsi014_key_id id = "";
	kme_key_t *key;

	if (!qkd_kme_client_fetch(this->client, id))
		return NULL;
	key = new_key(this, id);
	if (!key)
		return none(this, id, "came and went");
	if (!key->public.commit(&key->public)) {
		key->public.destroy(&key->public);
		return NULL;
	}
	return &key->public;
}

METHOD(qkd_source_t, peek, qkd_key_t *, kme_source_t *this, const char *text,
       enum qkd_use_t use, chunk_t context)
{
	etsi014_key_id id;
	kme_key_t *key;

	if (etsi014_key_id_copy(id, text)) /* the text is a stranger's */
		return none(this, "of the peer", "has no UUID for an ID");
	if (qkd_kme_store_find(this->store, id, NULL) == QKD_KME_UNKNOWN &&
	    !qkd_kme_client_fetch(this->client, id))
		return NULL;
	key = new_key(this, id);
	return key ? &key->public : none(this, id, "is taken already");
}

/* By their looks all UUIDs could be keys of a KME. */
METHOD(qkd_source_t, knows, bool, kme_source_t *this, const char *text)
{
	etsi014_key_id id;

	return !etsi014_key_id_copy(id, text);
}

METHOD(qkd_source_t, get_name, const char *, kme_source_t *this)
{
	return this->name;
}

METHOD(qkd_source_t, destroy, void, kme_source_t *this)
{
	if (this->client)
		qkd_kme_client_destroy(this->client);
	qkd_kme_store_destroy(this->store);
	free(this->name);
	free(this);
}

qkd_source_t *qkd_kme_source_create(const char *name)
{
	kme_source_t *this;

	INIT(this,
	     .public = {
		     .get_name = _get_name,
		     .knows = _knows,
		     .get = _get,
		     .peek = _peek,
		     .destroy = _destroy,
	     },
	     .store = qkd_kme_store_create(),
	     .name = strdup(name), );
	this->client = qkd_kme_client_create(name, this->store);
	if (this->client)
		return &this->public;
	_destroy(this);
	return NULL;
}
