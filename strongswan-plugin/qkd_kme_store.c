// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Keys that came from a KME and are not taken yet, and the IDs of those that
 * are.
 */
#include "qkd_kme_store.h"

#include <collections/linked_list.h>
#include <threading/mutex.h>

#include "../lib/etsi014/etsi014.h"

#define KEEP 60 /* seconds */
#define KEPT_MAX 1024
#define TAKEN_MAX 1024

/**
 * struct kept - a key
 * @id: its ID
 * @secret: its bytes, secret
 * @until: monotonic seconds
 */
struct kept {
	etsi014_key_id id;
	uint8_t *secret;
	time_t until;
};

/**
 * struct qkd_kme_store_t - keys that are not taken, and IDs of those that are
 * @lock: guards what follows
 * @kept: of struct kept, the oldest first
 * @taken: the last IDs, around and around
 * @ntaken: how many there were
 */
struct qkd_kme_store_t {
	mutex_t *lock;
	linked_list_t *kept;
	etsi014_key_id taken[TAKEN_MAX];
	u_int ntaken;
};

static void wipe(struct kept *kept)
{
	etsi014_secret_free(kept->secret, QKD_SECRET_LEN);
	free(kept);
}

/* Called with the lock, as are the others without a prefix. */
static void expire(qkd_kme_store_t *this)
{
	time_t now = time_monotonic(NULL);
	struct kept *kept;

	while (this->kept->get_first(this->kept, (void **)&kept) == SUCCESS) {
		if (kept->until > now &&
		    this->kept->get_count(this->kept) <= KEPT_MAX)
			break;
		this->kept->remove_first(this->kept, (void **)&kept);
		wipe(kept);
	}
}

static struct kept *find(qkd_kme_store_t *this, const char *id)
{
	enumerator_t *all = this->kept->create_enumerator(this->kept);
	struct kept *kept, *found = NULL;

	while (!found && all->enumerate(all, &kept))
		if (streq(kept->id, id))
			found = kept;
	all->destroy(all);
	return found;
}

static bool is_taken(qkd_kme_store_t *this, const char *id)
{
	int i;

	for (i = 0; i < TAKEN_MAX; i++)
		if (streq(this->taken[i], id))
			return TRUE;
	return FALSE;
}

bool qkd_kme_store_add(qkd_kme_store_t *this, const char *id,
		       const uint8_t *secret)
{
	struct kept *kept;
	bool fresh;

	INIT(kept, .secret = etsi014_secret_new(QKD_SECRET_LEN),
	     .until = time_monotonic(NULL) + KEEP, );
	this->lock->lock(this->lock);
	fresh = kept->secret && !is_taken(this, id) && !find(this, id);
	if (fresh) {
		strcpy(kept->id, id);
		memcpy(kept->secret, secret, QKD_SECRET_LEN);
		this->kept->insert_last(this->kept, kept);
		expire(this);
	} else {
		wipe(kept);
	}
	this->lock->unlock(this->lock);
	return fresh;
}

enum qkd_kme_key_t qkd_kme_store_find(qkd_kme_store_t *this, const char *id,
				      uint8_t *secret)
{
	enum qkd_kme_key_t state = QKD_KME_UNKNOWN;
	struct kept *kept;

	this->lock->lock(this->lock);
	expire(this);
	kept = find(this, id);
	if (kept) {
		state = QKD_KME_KEPT;
		if (secret)
			memcpy(secret, kept->secret, QKD_SECRET_LEN);
	} else if (is_taken(this, id)) {
		state = QKD_KME_TAKEN;
	}
	this->lock->unlock(this->lock);
	return state;
}

bool qkd_kme_store_take(qkd_kme_store_t *this, const char *id)
{
	struct kept *kept;

	this->lock->lock(this->lock);
	expire(this);
	kept = find(this, id);
	if (kept) {
		this->kept->remove(this->kept, kept, NULL);
		strcpy(this->taken[this->ntaken++ % TAKEN_MAX], id);
		wipe(kept);
	}
	this->lock->unlock(this->lock);
	return kept != NULL;
}

bool qkd_kme_store_expire(qkd_kme_store_t *this)
{
	bool left;

	this->lock->lock(this->lock);
	expire(this);
	left = this->kept->get_count(this->kept) > 0;
	this->lock->unlock(this->lock);
	return left;
}

qkd_kme_store_t *qkd_kme_store_create(void)
{
	qkd_kme_store_t *this;

	INIT(this, .lock = mutex_create(MUTEX_TYPE_DEFAULT),
	     .kept = linked_list_create(), );
	return this;
}

void qkd_kme_store_destroy(qkd_kme_store_t *this)
{
	this->kept->destroy_function(this->kept, (void *)wipe);
	this->lock->destroy(this->lock);
	free(this);
}
