// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keys that several SAEs behind this KME share. The kernel gives a key once, so it
 * is kept here, in locked memory, until each of them has had it or its time is
 * over.
 */
#include <stdlib.h>
#include <string.h>

#include "kme.h"

#define KEPT_MAX 1024

/**
 * struct group_key - a key that waits for some SAEs
 * @list: of all of them
 * @id: its ID
 * @master: ID of the SAE that allocated it
 * @slaves: IDs of those that share it
 * @had: whether each had it
 * @nslaves: their number
 * @expires: when it goes
 * @size: bytes of the key
 * @key: the key
 */
struct group_key {
	LIST_ENTRY(group_key) list;
	uint8_t id[QKD_KEY_ID_LEN];
	char master[SAE_LEN + 1];
	char slaves[SLAVES_MAX][SAE_LEN + 1];
	bool had[SLAVES_MAX];
	size_t nslaves;
	int64_t expires;
	uint32_t size;
	uint8_t key[QKD_KEY_SIZE_MAX];
};

static LIST_HEAD(, group_key) kept = LIST_HEAD_INITIALIZER(kept);
static unsigned int nkept;

static void forget(struct group_key *key)
{
	LIST_REMOVE(key, list);
	nkept--;
	kme_secret_free(key, sizeof(*key));
}

/* Index of an SAE, or -1. */
static int index_of(const struct group_key *key, const char *sae)
{
	size_t i;

	for (i = 0; i < key->nslaves; i++)
		if (!strcmp(key->slaves[i], sae))
			return i;
	return -1;
}

struct group_key *group_find(const uint8_t id[QKD_KEY_ID_LEN], const char *sae,
			     const char *master, bool *known)
{
	struct group_key *key;
	int i;

	*known = false;
	group_expire();
	LIST_FOREACH(key, &kept, list)
	if (!memcmp(key->id, id, QKD_KEY_ID_LEN))
		break;
	if (!key)
		return NULL;
	i = index_of(key, sae);
	*known = i < 0 || strcmp(key->master, master);
	return *known || key->had[i] ? NULL : key;
}

uint32_t group_key_size(const struct group_key *key)
{
	return key->size;
}

static bool all_had(const struct group_key *key)
{
	size_t i;

	for (i = 0; i < key->nslaves; i++)
		if (!key->had[i])
			return false;
	return true;
}

void group_take(struct group_key *key, const char *sae, uint8_t *bytes)
{
	memcpy(bytes, key->key, key->size);
	key->had[index_of(key, sae)] = true;
	if (all_had(key))
		forget(key);
}

bool group_room(unsigned int number)
{
	return nkept + number <= KEPT_MAX;
}

void group_keep(const struct group_config *group, const char *sae,
		const uint8_t id[QKD_KEY_ID_LEN], const uint8_t *bytes,
		uint32_t size)
{
	struct group_key *key = kme_secret_new(sizeof(*key));

	if (!key) {
		log_error(
			"group %s: out of memory: a key is lost for its others",
			group->name);
		stat_add(STAT_KEYS_BURNT, 1);
		return;
	}
	memcpy(key->id, id, QKD_KEY_ID_LEN);
	strcpy(key->master, group->master);
	memcpy(key->slaves, group->slaves, sizeof(key->slaves));
	key->nslaves = group->nslaves;
	key->had[index_of(key, sae)] = true;
	key->expires = now_ms() + group->keep_time;
	key->size = size;
	memcpy(key->key, bytes, size);
	LIST_INSERT_HEAD(&kept, key, list);
	nkept++;
}

void group_expire(void)
{
	struct group_key *key = LIST_FIRST(&kept), *next;
	int64_t now = nkept ? now_ms() : 0;

	for (; key; key = next) {
		next = LIST_NEXT(key, list);
		if (now < key->expires)
			continue;
		stat_add(STAT_KEYS_EXPIRED, 1);
		forget(key);
	}
}

void group_flush(void)
{
	while (!LIST_EMPTY(&kept))
		forget(LIST_FIRST(&kept));
}
