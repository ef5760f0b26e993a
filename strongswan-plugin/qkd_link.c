// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A link of the kernel as a source of keys, by libqkd. A key's bytes come by
 * the link's node; its netlink family has names and handles alone.
 */
#include "qkd_source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <qkd/qkd.h>
#include <threading/mutex.h>

/* Context of a key for a key exchange, before the caller's. */
#define KE_LABEL "ike ke v1"

typedef struct link_source_t link_source_t;
typedef struct link_key_t link_key_t;

/**
 * struct link_source_t - a link
 * @public: its interface
 * @lock: guards what follows
 * @ctx: a socket of libqkd, NULL until needed and after the link has gone.
 *	Looked-up keys belong to it
 * @life: counts the sockets that have gone
 * @name: of the link
 */
struct link_source_t {
	qkd_source_t public;
	mutex_t *lock;
	struct qkd_ctx *ctx;
	uint32_t life;
	char name[QKD_NAME_LEN + 1];
};

/**
 * struct link_key_t - a key of a link
 * @public: its interface
 * @link: where it is from
 * @life: of the socket that its handle belongs to
 * @handle: of a key that was looked up and not committed, else 0
 * @id: its ID
 * @secret: its bytes
 */
struct link_key_t {
	qkd_key_t public;
	link_source_t *link;
	uint32_t life;
	uint32_t handle;
	char id[QKD_ID_LEN + 1];
	uint8_t secret[QKD_SECRET_LEN];
};

/* Called with the lock, as are the others that have a link and no METHOD. */
static void let_go(link_source_t *this)
{
	if (!this->ctx)
		return;
	qkd_close(this->ctx);
	this->ctx = NULL;
	this->life++;
}

static bool failed(link_source_t *this, const char *what, int err)
{
	const char *text = this->ctx ? qkd_error_text(this->ctx) : "";

	DBG1(DBG_CFG, "QKD link %s: %s: %s%s%s", this->name, what,
	     strerror(-err), *text ? ", " : "", text);
	/* What was looked up has gone with the link. */
	if (err == -ENODEV || err == -ENXIO || err == -EBADF)
		let_go(this);
	return false;
}

static bool ready(link_source_t *this)
{
	int err;

	if (this->ctx)
		return true;
	err = qkd_open(&this->ctx);
	if (!err)
		return true;
	this->ctx = NULL;
	return failed(this, "no QKD in this kernel", err);
}

/* Anew for each key, as a link of that name may have come again. */
static int open_node(link_source_t *this)
{
	int node;

	if (!ready(this))
		return -1;
	node = qkd_node_open(this->ctx, qkd_by_name(this->name),
			     O_RDONLY | O_CLOEXEC);
	if (node < 0)
		failed(this, "its node does not open", node);
	return node;
}

/* @room: for the context's bytes; QKD_CONTEXT_LEN of them. */
static bool bind_to(link_source_t *this, enum qkd_use_t use, chunk_t bytes,
		    uint8_t *room, struct qkd_context *context)
{
	size_t label = use == QKD_USE_KE ? strlen(KE_LABEL) : 0;

	if (label + bytes.len > QKD_CONTEXT_LEN) {
		DBG1(DBG_CFG,
		     "QKD link %s: an identity of %zu bytes is too long",
		     this->name, bytes.len);
		return false;
	}
	memcpy(room, KE_LABEL, label);
	memcpy(room + label, bytes.ptr, bytes.len);
	*context = (struct qkd_context){
		.type = use == QKD_USE_KE ? QKD_CONTEXT_TYPE_USER :
					    QKD_CONTEXT_TYPE_PPK,
		.length = label + bytes.len,
		.data = room,
	};
	return true;
}

METHOD(qkd_key_t, get_id, const char *, link_key_t *this)
{
	return this->id;
}

METHOD(qkd_key_t, get_secret, chunk_t, link_key_t *this)
{
	return chunk_from_thing(this->secret);
}

METHOD(qkd_key_t, commit, bool, link_key_t *this)
{
	link_source_t *link = this->link;
	bool done = true;
	int err;

	if (!this->handle)
		return true;
	link->lock->lock(link->lock);
	err = link->ctx && link->life == this->life ?
		      qkd_key_commit(link->ctx, qkd_by_name(link->name),
				     this->handle) :
		      -ENOENT;
	if (err) {
		DBG1(DBG_CFG, "key %s", this->id);
		done = failed(link, "the key can't be taken", err);
	}
	link->lock->unlock(link->lock);
	this->handle = 0;
	return done;
}

METHOD(qkd_key_t, key_destroy, void, link_key_t *this)
{
	link_source_t *link = this->link;

	if (this->handle) {
		link->lock->lock(link->lock);
		if (link->ctx && link->life == this->life)
			qkd_key_drop(link->ctx, qkd_by_name(link->name),
				     this->handle);
		link->lock->unlock(link->lock);
	}
	memwipe(this->secret, sizeof(this->secret));
	free(this);
}

/* The key of a handle, which stays only if it was looked up. */
static link_key_t *fetch(link_source_t *this, int node,
			 const struct qkd_key *found, bool looked_up)
{
	size_t size = QKD_SECRET_LEN;
	link_key_t *key;
	int err;

	INIT(key,
	     .public = {
		     .get_id = _get_id,
		     .get_secret = _get_secret,
		     .commit = _commit,
		     .destroy = _key_destroy,
	     },
	     .link = this,
	     .life = this->life, );
	qkd_key_id_format(found->id, key->id);
	err = qkd_node_fetch(node, found->handle, key->secret, &size);
	if (!err && size == QKD_SECRET_LEN) {
		key->handle = looked_up ? found->handle : 0;
		return key;
	}
	memwipe(key->secret, sizeof(key->secret));
	free(key);
	failed(this, "no key from its node", err ?: -EMSGSIZE);
	return NULL;
}

METHOD(qkd_source_t, get, qkd_key_t *, link_source_t *this, enum qkd_use_t use,
       chunk_t bytes)
{
	struct qkd_ref ref = qkd_by_name(this->name);
	uint8_t room[QKD_CONTEXT_LEN];
	link_key_t *key = NULL;
	struct qkd_context context;
	struct qkd_key found = {};
	uint32_t count = 1;
	int node, err;

	if (!bind_to(this, use, bytes, room, &context))
		return NULL;
	this->lock->lock(this->lock);
	node = open_node(this);
	if (node >= 0) {
		err = qkd_key_get(this->ctx, ref, QKD_CLASS_CONTROL,
				  QKD_SECRET_LEN, &context, &found, &count);
		if (err)
			failed(this, "no key", err);
		else
			key = fetch(this, node, &found, false);
		close(node);
	}
	this->lock->unlock(this->lock);
	return key ? &key->public : NULL;
}

/* Keys of other classes are for others, whom an administrator trusts with less. */
static link_key_t *look_up(link_source_t *this, int node, const char *text,
			   const struct qkd_context *context)
{
	struct qkd_ref ref = qkd_by_name(this->name);
	uint8_t id[QKD_KEY_ID_LEN];
	struct qkd_key found = {};
	link_key_t *key = NULL;
	int err;

	err = qkd_key_id_parse(text, id);
	if (!err)
		err = qkd_key_peek(this->ctx, ref, id, QKD_SECRET_LEN, context,
				   &found);
	if (err) {
		failed(this, "no such key", err);
		return NULL;
	}
	if (found.class_ == QKD_CLASS_CONTROL)
		key = fetch(this, node, &found, true);
	else
		DBG1(DBG_CFG, "QKD link %s: key %s is not of class control",
		     this->name, text);
	if (!key && this->ctx)
		qkd_key_drop(this->ctx, ref, found.handle);
	return key;
}

METHOD(qkd_source_t, peek, qkd_key_t *, link_source_t *this, const char *text,
       enum qkd_use_t use, chunk_t bytes)
{
	uint8_t room[QKD_CONTEXT_LEN];
	link_key_t *key = NULL;
	struct qkd_context context;
	int node;

	if (!bind_to(this, use, bytes, room, &context))
		return NULL;
	this->lock->lock(this->lock);
	node = open_node(this);
	if (node >= 0) {
		key = look_up(this, node, text, &context);
		close(node);
	}
	this->lock->unlock(this->lock);
	return key ? &key->public : NULL;
}

METHOD(qkd_source_t, knows, bool, link_source_t *this, const char *text)
{
	struct qkd_key_id fields;
	uint8_t id[QKD_KEY_ID_LEN];
	struct qkd_link link = {};
	bool known = false;

	if (qkd_key_id_parse(text, id) || qkd_key_id_fields(id, &fields))
		return false;
	this->lock->lock(this->lock);
	if (ready(this) &&
	    !qkd_link_get(this->ctx, qkd_by_name(this->name), &link))
		known = fields.link == (link.hash[0] << 8 | link.hash[1]) &&
			fields.label == link.label;
	this->lock->unlock(this->lock);
	return known;
}

METHOD(qkd_source_t, get_name, const char *, link_source_t *this)
{
	return this->name;
}

METHOD(qkd_source_t, destroy, void, link_source_t *this)
{
	let_go(this);
	this->lock->destroy(this->lock);
	free(this);
}

qkd_source_t *qkd_link_source_create(const char *name)
{
	link_source_t *this;

	if (strlen(name) > QKD_NAME_LEN) {
		DBG1(DBG_CFG, "QKD: '%s' is no name of a link", name);
		return NULL;
	}
	INIT(this,
	     .public = {
		     .get_name = _get_name,
		     .knows = _knows,
		     .get = _get,
		     .peek = _peek,
		     .destroy = _destroy,
	     },
	     .lock = mutex_create(MUTEX_TYPE_DEFAULT), );
	strcpy(this->name, name);
	return &this->public;
}
