// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Keys of IKE_SAs that are not authenticated yet: taken when they are, and not
 * before.
 */
#include "qkd_attempt.h"

#include "qkd_conn.h"

#include <processing/jobs/callback_job.h>
#include <threading/mutex.h>

/* For so long, in seconds, a key waits for an authenticated answer. */
#define PATIENCE 60

/**
 * struct entry - a key that waits
 * @ike: unique ID of its IKE_SA; 0: of an attempt that has ended
 * @own: it is ours; else the peer named it
 * @taken: an exchange of the current attempt uses it
 * @until: monotonic seconds, of a key of ours
 * @source: where it is from
 * @use: what it is for
 * @context: bound into it
 * @key: the key, NULL in the note of a PPK's ID
 * @id: its ID
 */
struct entry {
	uint32_t ike;
	bool own;
	bool taken;
	time_t until;
	qkd_source_t *source;
	enum qkd_use_t use;
	chunk_t context;
	qkd_key_t *key;
	char id[QKD_ID_LEN + 1];
};

/* Of struct entry; guarded by @lock. There are as many as attempts that are going
 * on, or went on within the last minute.
 */
static linked_list_t *entries;
static mutex_t *lock;

static void destroy(struct entry *entry)
{
	if (entry->key)
		entry->key->destroy(entry->key);
	chunk_free(&entry->context);
	free(entry);
}

static struct entry *add(uint32_t ike, qkd_source_t *source, enum qkd_use_t use,
			 chunk_t context, qkd_key_t *key)
{
	struct entry *entry;

	INIT(entry, .ike = ike, .source = source, .use = use, .key = key,
	     .context = chunk_clone(context), );
	if (key)
		strcpy(entry->id, key->get_id(key));
	entries->insert_last(entries, entry);
	return entry;
}

/* Authenticated before this exchange, so that there is nothing to wait for. The
 * condition is inherited by an IKE_SA that replaces another.
 */
static bool authenticated(ike_sa_t *ike_sa)
{
	return ike_sa->has_condition(ike_sa, COND_AUTHENTICATED);
}

static job_requeue_t sweep(void *unused)
{
	time_t now = time_monotonic(NULL);
	enumerator_t *all;
	struct entry *entry;

	lock->lock(lock);
	all = entries->create_enumerator(entries);
	while (all->enumerate(all, &entry)) {
		if (!entry->own || entry->until > now)
			continue;
		entries->remove_at(entries, all);
		destroy(entry);
	}
	all->destroy(all);
	lock->unlock(lock);
	return JOB_REQUEUE_NONE;
}

/* Two exchanges of one attempt never share a key; but a PPK is asked for again
 * when its message is. One of a link or generation that has gone is of no use.
 */
static struct entry *find_own(uint32_t ike, qkd_source_t *source,
			      enum qkd_use_t use, chunk_t context)
{
	time_t now = time_monotonic(NULL);
	struct entry *entry, *found = NULL;
	enumerator_t *all;

	all = entries->create_enumerator(entries);
	while (!found && all->enumerate(all, &entry)) {
		if (entry->own && entry->until > now && entry->use == use &&
		    entry->source == source &&
		    chunk_equals(entry->context, context) &&
		    (entry->ike == ike ? !entry->taken || use == QKD_USE_PPK :
					 !entry->ike) &&
		    source->knows(source, entry->id))
			found = entry;
	}
	all->destroy(all);
	return found;
}

static void copy_secret(qkd_key_t *key, uint8_t secret[QKD_SECRET_LEN])
{
	memcpy(secret, key->get_secret(key).ptr, QKD_SECRET_LEN);
}

bool qkd_attempt_own(qkd_source_t *source, enum qkd_use_t use, chunk_t context,
		     char id[QKD_ID_LEN + 1], uint8_t secret[QKD_SECRET_LEN])
{
	ike_sa_t *ike_sa = charon->bus->get_sa(charon->bus);
	struct entry *entry = NULL;
	qkd_key_t *key = NULL;
	bool waits = !authenticated(ike_sa);
	uint32_t ike = ike_sa->get_unique_id(ike_sa);

	lock->lock(lock);
	if (waits)
		entry = find_own(ike, source, use, context);
	if (entry) {
		key = entry->key;
		entry->ike = ike;
		entry->taken = true;
		strcpy(id, entry->id);
		copy_secret(key, secret);
	}
	lock->unlock(lock);
	if (key)
		return true;

	key = source->get(source, use, context);
	if (!key)
		return false;
	strcpy(id, key->get_id(key));
	copy_secret(key, secret);
	if (!waits) {
		key->destroy(key);
		return true;
	}
	lock->lock(lock);
	entry = add(ike, source, use, context, key);
	entry->own = true;
	entry->taken = true;
	entry->until = time_monotonic(NULL) + PATIENCE;
	lock->unlock(lock);
	lib->scheduler->schedule_job(lib->scheduler,
				     (job_t *)callback_job_create(sweep, NULL,
								  NULL, NULL),
				     PATIENCE + 1);
	return true;
}

bool qkd_attempt_peer(qkd_source_t *source, const char *id, enum qkd_use_t use,
		      chunk_t context, uint8_t secret[QKD_SECRET_LEN])
{
	ike_sa_t *ike_sa = charon->bus->get_sa(charon->bus);
	qkd_key_t *key = source->peek(source, id, use, context);
	bool done;

	if (!key)
		return false;
	if (authenticated(ike_sa)) {
		done = key->commit(key);
		if (done)
			copy_secret(key, secret);
		key->destroy(key);
		return done;
	}
	copy_secret(key, secret);
	lock->lock(lock);
	add(ike_sa->get_unique_id(ike_sa), source, use, context, key);
	lock->unlock(lock);
	return true;
}

void qkd_attempt_note(ike_sa_t *ike_sa, const char *id)
{
	struct entry *entry;

	lock->lock(lock);
	entry = add(ike_sa->get_unique_id(ike_sa), NULL, QKD_USE_PPK,
		    chunk_empty, NULL);
	strcpy(entry->id, id);
	lock->unlock(lock);
}

/* The newest, which is that of the current message. */
static bool find_ppk(ike_sa_t *ike_sa, bool own, char id[QKD_ID_LEN + 1])
{
	uint32_t ike = ike_sa->get_unique_id(ike_sa);
	struct entry *entry;
	enumerator_t *all;
	bool found = false;

	lock->lock(lock);
	all = entries->create_enumerator(entries);
	while (all->enumerate(all, &entry)) {
		if (entry->ike != ike || entry->use != QKD_USE_PPK ||
		    (own ? !entry->own : entry->key != NULL))
			continue;
		strcpy(id, entry->id);
		found = true;
	}
	all->destroy(all);
	lock->unlock(lock);
	return found;
}

bool qkd_attempt_noted(ike_sa_t *ike_sa, char id[QKD_ID_LEN + 1])
{
	return find_ppk(ike_sa, false, id);
}

bool qkd_attempt_ppk(ike_sa_t *ike_sa, char id[QKD_ID_LEN + 1])
{
	return find_ppk(ike_sa, true, id);
}

/* Whoever has the IKE_SA must be who has the keys: the connection that was chosen
 * uses the link that they are from.
 */
static bool take(struct entry *entry, qkd_source_t *source)
{
	if (!entry->key)
		return true;
	if (entry->source != source) {
		DBG1(DBG_CFG,
		     "key %s is of QKD source %s, which the connection "
		     "does not use",
		     entry->id, entry->source->get_name(entry->source));
		return false;
	}
	return entry->key->commit(entry->key);
}

/* Of an IKE_SA: take those of the peer, and let go of ours, which are spent. */
static bool take_all(uint32_t ike, qkd_source_t *source)
{
	enumerator_t *all;
	struct entry *entry;
	bool done = true;

	lock->lock(lock);
	all = entries->create_enumerator(entries);
	while (all->enumerate(all, &entry)) {
		if (entry->ike != ike)
			continue;
		entries->remove_at(entries, all);
		done &= take(entry, source);
		destroy(entry);
	}
	all->destroy(all);
	lock->unlock(lock);
	return done;
}

/* The attempt has ended: ours wait for the next one, unless @again is this one. */
static void leave_all(uint32_t ike, bool again)
{
	enumerator_t *all;
	struct entry *entry;

	lock->lock(lock);
	all = entries->create_enumerator(entries);
	while (all->enumerate(all, &entry)) {
		if (entry->ike != ike)
			continue;
		if (entry->own) {
			entry->ike = again ? ike : 0;
			entry->taken = false;
		} else {
			entries->remove_at(entries, all);
			destroy(entry);
		}
	}
	all->destroy(all);
	lock->unlock(lock);
}

/* After the last round of authentication, at either end: the peer has proved that
 * it has the keys of the exchanges before, and the PPK if that was in use.
 */
static bool authorize(listener_t *this, ike_sa_t *ike_sa, bool final,
		      bool *success)
{
	if (final && *success &&
	    !take_all(ike_sa->get_unique_id(ike_sa),
		      qkd_conn_source(ike_sa->get_peer_cfg(ike_sa))))
		*success = FALSE;
	return TRUE;
}

static bool ike_state_change(listener_t *this, ike_sa_t *ike_sa,
			     ike_sa_state_t state)
{
	if (state == IKE_CREATED || state == IKE_DESTROYING)
		leave_all(ike_sa->get_unique_id(ike_sa), state == IKE_CREATED);
	return TRUE;
}

static listener_t listener = {
	.authorize = authorize,
	.ike_state_change = ike_state_change,
};

void qkd_attempt_init(void)
{
	entries = linked_list_create();
	lock = mutex_create(MUTEX_TYPE_DEFAULT);
	charon->bus->add_listener(charon->bus, &listener);
}

void qkd_attempt_deinit(void)
{
	charon->bus->remove_listener(charon->bus, &listener);
	entries->destroy_function(entries, (void *)destroy);
	lock->destroy(lock);
}
