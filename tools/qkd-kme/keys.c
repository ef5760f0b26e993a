// SPDX-License-Identifier: GPL-2.0-only
/* Who gets which key. Nothing here knows how the question came. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "kme.h"

#define SIZE_STEP 8 /* bytes: sizes of keys are multiples of it */
#define SIZES (QKD_KEY_UNIT / SIZE_STEP) /* that one number of units can mean */
#define CONTEXT_LEN 34

/* Between a look-up and its taking. */
struct found {
	struct qkd_key key;
	const struct group_config *group; /* whose key it is, or NULL */
	struct group_key *kept; /* it was taken for another of the group */
};

static struct keys keys;

struct keys *keys_begin(void)
{
	if (!keys.bytes)
		keys.bytes = kme_secret_new(NUMBER_MAX * sizeof(*keys.bytes));
	keys.number = 0;
	return keys.bytes ? &keys : NULL;
}

void keys_end(struct keys *keys)
{
	explicit_bzero(keys->bytes, NUMBER_MAX * sizeof(*keys->bytes));
	keys->number = 0;
}

/* A string behind its length in 16 bits. */
static uint8_t *put_string(uint8_t *at, const char *text)
{
	size_t length = strlen(text);

	*at++ = length >> 8;
	*at++ = length;
	return (uint8_t *)mempcpy(at, text, length);
}

/**
 * keys_context - the context under which a key is allocated and claimed
 * @master: ID of the SAE that asks for it
 * @slaves: IDs of the others, sorted by their bytes
 * @nslaves: their number
 * @size: bytes of the key, which an ID does not tell
 * @data: out
 */
void keys_context(const char *master, const char *const *slaves, size_t nslaves,
		  uint32_t size, uint8_t data[CONTEXT_LEN])
{
	static const char label[] = "qkd sae v1";
	uint8_t text[sizeof(label) + (1 + SLAVES_MAX) * (2 + SAE_LEN)];
	uint8_t *at = mempcpy(text, label, strlen(label));
	size_t i;

	at = put_string(at, master);
	for (i = 0; i < nslaves; i++)
		at = put_string(at, slaves[i]);
	EVP_Digest(text, at - text, data, NULL, EVP_sha256(), NULL);
	data[32] = size >> 8;
	data[33] = size;
}

static enum key_error error_of(int err)
{
	switch (err) {
	case 0:
		return KEY_OK;
	case -ENOKEY:
		return KEY_EMPTY;
	case -ENOSPC:
	case -ENOMEM:
		return KEY_BUSY;
	case -EKEYREJECTED:
	case -ENOENT:
	case -ENODATA:
	case -EALREADY:
	case -ESTALE:
	case -EMSGSIZE:
	case -EKEYEXPIRED:
	case -EBADSLT:
	case -EINVAL:
		return KEY_NOT_FOUND;
	default:
		return KEY_DOWN;
	}
}

/* An own SAE, and one of those that it may share keys with; else NULL. */
static struct sae_config *find_pair(const char *id, const char *peer,
				    const struct sae_config **other)
{
	struct sae_config *sae = config_sae(config, id);
	size_t i;

	if (!sae || *sae->link)
		return NULL;
	for (i = 0; i < sae->npeers; i++)
		if (!strcmp(sae->peers[i], peer)) {
			*other = config_sae(config, peer);
			return sae;
		}
	return NULL;
}

static bool group_has(const struct group_config *group, const char *slave)
{
	size_t i;

	for (i = 0; i < group->nslaves; i++)
		if (!strcmp(group->slaves[i], slave))
			return true;
	return false;
}

/* The group of a master and exactly these slaves. */
static const struct group_config *find_group(const char *master,
					     const char *slave,
					     const char (*more)[SAE_LEN + 1],
					     size_t nmore)
{
	const struct group_config *group;
	size_t i, j;

	for (i = 0; i < config->ngroups; i++) {
		group = &config->groups[i];
		if (strcmp(group->master, master) ||
		    group->nslaves != nmore + 1 || !group_has(group, slave))
			continue;
		for (j = 0; j < nmore; j++)
			if (!group_has(group, more[j]))
				break;
		if (j == nmore)
			return group;
	}
	return NULL;
}

static uint32_t max_slaves(const char *master, const char *slave)
{
	uint32_t most = 0;
	size_t i;

	for (i = 0; i < config->ngroups; i++)
		if (!strcmp(config->groups[i].master, master) &&
		    group_has(&config->groups[i], slave) &&
		    config->groups[i].nslaves - 1 > most)
			most = config->groups[i].nslaves - 1;
	return most;
}

static uint32_t round_up(uint32_t size)
{
	return (size + QKD_KEY_UNIT - 1) / QKD_KEY_UNIT * QKD_KEY_UNIT;
}

/**
 * keys_pool - what there is for two SAEs
 * @id: of an own SAE
 * @peer: of another one
 * @pool: out
 */
enum key_error keys_pool(const char *id, const char *peer, struct pool *pool)
{
	const struct sae_config *other, *sae = find_pair(id, peer, &other);
	const struct link_config *link;
	struct qkd_link shown;
	int err;

	if (!sae)
		return KEY_FORBIDDEN;
	link = config_link(config, other->link);
	*pool = (struct pool){
		.target_kme = link->target_kme,
		.key_size = link->key_size,
		.min_key_size = SIZE_STEP * 8,
		.max_key_size = QKD_KEY_SIZE_MAX * 8,
		.max_number = sae->max_number,
		.max_slaves = max_slaves(id, peer),
	};
	err = link_show(link->name, &shown);
	if (err)
		return KEY_DOWN;
	pool->capacity = shown.key_capacity / round_up(link->key_size / 8);
	err = link_available(link->name, link->key_size / 8, &pool->stored);
	return err ? KEY_DOWN : KEY_OK;
}

/* What was asked for fades, so that "quota" keys are free after "quota-time". */
static bool within_quota(struct sae_config *sae, unsigned int number)
{
	int64_t now = now_ms();

	if (!sae->quota)
		return true;
	sae->spent -=
		(double)(now - sae->spent_at) * sae->quota / sae->quota_time;
	if (sae->spent < 0)
		sae->spent = 0;
	sae->spent_at = now;
	return sae->spent + number <= sae->quota;
}

static enum key_error check_get(struct sae_config *sae, unsigned int number,
				unsigned int bits)
{
	if (bits % (SIZE_STEP * 8) || bits > QKD_KEY_SIZE_MAX * 8)
		return KEY_BAD_SIZE;
	if (number > sae->max_number)
		return KEY_BAD_NUMBER;
	return within_quota(sae, number) ? KEY_OK : KEY_QUOTA;
}

/* The bytes of keys that are allocated or committed; all, or all are burnt. */
static enum key_error fetch(const char *link, const struct qkd_key *issued,
			    unsigned int number, uint32_t size,
			    struct keys *keys)
{
	unsigned int i, j;
	int err;

	for (i = 0; i < number; i++) {
		err = link_fetch(link, issued[i].handle, keys->bytes[i].bytes,
				 size);
		if (err)
			break;
		memcpy(keys->ids[i], issued[i].id, QKD_KEY_ID_LEN);
		keys->size[i] = size;
	}
	if (i == number) {
		keys->number = number;
		return KEY_OK;
	}
	for (j = i; j < number; j++)
		link_drop(link, issued[j].handle);
	stat_add(STAT_KEYS_BURNT, number);
	return KEY_DOWN;
}

/* Fewer than asked for are none. */
static enum key_error allocate(const char *link, uint32_t size,
			       const struct qkd_context *context,
			       unsigned int number, struct keys *keys)
{
	struct qkd_key issued[NUMBER_MAX];
	uint32_t count = number, i;
	int err;

	err = link_get(link, size, context, issued, &count);
	if (err)
		return error_of(err);
	if (count == number)
		return fetch(link, issued, number, size, keys);
	for (i = 0; i < count; i++)
		link_drop(link, issued[i].handle);
	stat_add(STAT_KEYS_BURNT, count);
	return KEY_EMPTY;
}

static void context_of(struct qkd_context *context, uint8_t data[CONTEXT_LEN],
		       const char *master, const char *slave,
		       const struct group_config *group, uint32_t size)
{
	const char *slaves[SLAVES_MAX] = { slave };
	size_t i, n = 1;

	if (group) {
		n = group->nslaves;
		for (i = 0; i < n; i++)
			slaves[i] = group->slaves[i];
	}
	keys_context(master, slaves, n, size, data);
	*context =
		(struct qkd_context){ QKD_CONTEXT_TYPE_SAE, CONTEXT_LEN, data };
}

/**
 * keys_get - an SAE allocates keys that it shares with others
 * @id: of the SAE
 * @peer: of the other one
 * @slaves: of more of them
 * @nslaves: their number
 * @number: of keys, 0 for one
 * @bits: of a key, 0 for the link's default
 * @keys: out
 *
 * Nothing is taken unless all is.
 */
enum key_error keys_get(const char *id, const char *peer,
			const char (*slaves)[SAE_LEN + 1], size_t nslaves,
			unsigned int number, unsigned int bits,
			struct keys *keys)
{
	const struct sae_config *other;
	struct sae_config *sae = find_pair(id, peer, &other);
	const struct group_config *group = NULL;
	struct qkd_context context;
	uint8_t data[CONTEXT_LEN];
	enum key_error err;

	if (!sae)
		return KEY_FORBIDDEN;
	if (nslaves) {
		group = find_group(id, peer, slaves, nslaves);
		if (!group)
			return KEY_NO_GROUP;
	}
	number = number ?: 1;
	bits = bits ?: config_link(config, other->link)->key_size;
	err = check_get(sae, number, bits);
	if (err)
		return err;
	context_of(&context, data, id, peer, group, bits / 8);
	err = allocate(other->link, bits / 8, &context, number, keys);
	if (err)
		return err;
	if (sae->quota)
		sae->spent += number;
	stat_add(STAT_KEYS_ALLOCATED, number);
	return KEY_OK;
}

/*
 * An ID tells the units of a key, and not its bytes, which are in the context:
 * whole units first, since most keys are of these. A wrong one is refused by the
 * ID's tag, and takes nothing.
 */
static int peek_sizes(const char *link, const uint8_t *id, const char *master,
		      const char *slave, const struct group_config *group,
		      struct found *found)
{
	struct qkd_context context;
	uint8_t data[CONTEXT_LEN];
	struct qkd_key_id fields;
	uint32_t size, i;
	int err;

	if (qkd_key_id_fields(id, &fields) || !fields.units ||
	    fields.class_ != QKD_CLASS_EXPORT)
		return -EINVAL;
	for (i = 0; i < SIZES; i++) {
		size = fields.units * QKD_KEY_UNIT - i * SIZE_STEP;
		context_of(&context, data, master, slave, group, size);
		err = link_peek(link, id, size, &context, &found->key);
		found->group = group;
		found->key.size = size;
		if (err != -EKEYREJECTED)
			break;
	}
	return err;
}

static int peek(const char *link, const uint8_t *id, const char *master,
		const char *slave, struct found *found)
{
	const struct group_config *group;
	size_t i;
	int err;

	err = peek_sizes(link, id, master, slave, NULL, found);
	for (i = 0; i < config->ngroups && err == -EKEYREJECTED; i++) {
		group = &config->groups[i];
		if (strcmp(group->master, master) || !group_has(group, slave))
			continue;
		err = peek_sizes(link, id, master, slave, group, found);
	}
	return err;
}

/* What an ID names, for this slave. */
static enum key_error look_up(const char *link, const uint8_t *id,
			      const char *master, const char *slave,
			      struct found *found)
{
	bool known;
	int err;

	*found =
		(struct found){ .kept = group_find(id, slave, master, &known) };
	if (found->kept)
		return KEY_OK;
	if (known)
		return KEY_FORBIDDEN;
	err = peek(link, id, master, slave, found);
	/* there, but not for this one: the standard tells the two apart */
	if (err == -EKEYREJECTED && link_owns(link, id))
		return KEY_FORBIDDEN;
	return error_of(err);
}

static void let_go(const char *link, const struct found *found,
		   unsigned int number)
{
	while (number--)
		if (!found[number].kept)
			link_drop(link, found[number].key.handle);
}

static enum key_error look_all_up(const char *link,
				  const uint8_t (*ids)[QKD_KEY_ID_LEN],
				  unsigned int number, const char *master,
				  const char *slave, struct found *found)
{
	enum key_error err = KEY_OK;
	unsigned int i, shared = 0;

	for (i = 0; i < number && !err; i++) {
		err = look_up(link, ids[i], master, slave, &found[i]);
		shared += !err && found[i].group;
	}
	if (!err && !group_room(shared))
		err = KEY_BUSY;
	else if (err)
		i--;
	if (err)
		let_go(link, found, i);
	return err;
}

/* One that was looked up; the others of its group will come for it, too. */
static enum key_error take(const char *link, const struct found *found,
			   const char *slave, const uint8_t *id, uint8_t *bytes)
{
	int err;

	if (found->kept) {
		group_take(found->kept, slave, bytes);
		return KEY_OK;
	}
	err = link_commit(link, found->key.handle);
	if (!err)
		err = link_fetch(link, found->key.handle, bytes,
				 found->key.size);
	if (err)
		return error_of(err);
	if (found->group)
		group_keep(found->group, slave, id, bytes, found->key.size);
	return KEY_OK;
}

static enum key_error take_all(const char *link, const struct found *found,
			       const uint8_t (*ids)[QKD_KEY_ID_LEN],
			       unsigned int number, const char *slave,
			       struct keys *keys)
{
	enum key_error err;
	unsigned int i;

	for (i = 0; i < number; i++) {
		keys->size[i] = found[i].kept ? group_key_size(found[i].kept) :
						found[i].key.size;
		memcpy(keys->ids[i], ids[i], QKD_KEY_ID_LEN);
		err = take(link, &found[i], slave, ids[i],
			   keys->bytes[i].bytes);
		if (err)
			break;
	}
	if (i == number) {
		keys->number = number;
		return KEY_OK;
	}
	/* somebody else took one in between: what was taken is burnt */
	stat_add(STAT_KEYS_BURNT, i);
	let_go(link, found + i, number - i);
	return err;
}

/**
 * keys_take - an SAE takes keys that another one allocated
 * @id: of the SAE
 * @master: who allocated them
 * @ids: of the keys, none of them twice
 * @number: of them, NUMBER_MAX at most
 * @keys: out
 *
 * Nothing is taken unless all is.
 */
enum key_error keys_take(const char *id, const char *master,
			 const uint8_t (*ids)[QKD_KEY_ID_LEN],
			 unsigned int number, struct keys *keys)
{
	const struct sae_config *other, *sae = find_pair(id, master, &other);
	struct found found[NUMBER_MAX];
	enum key_error err;

	if (!sae)
		return KEY_FORBIDDEN;
	if (number > sae->max_number)
		return KEY_BAD_NUMBER;
	err = look_all_up(other->link, ids, number, master, id, found);
	if (!err)
		err = take_all(other->link, found, ids, number, id, keys);
	if (!err)
		stat_add(STAT_KEYS_CLAIMED, number);
	return err;
}
