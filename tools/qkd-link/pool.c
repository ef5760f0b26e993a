// SPDX-License-Identifier: GPL-2.0-only
/* Key of the tags. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <openssl/crypto.h>

#include "pool.h"

/* Locked, and in no core dump and no child; else there is no pool. */
static uint8_t *memory_new(size_t size)
{
	uint8_t *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	if (!mlock(memory, size) && !madvise(memory, size, MADV_DONTDUMP) &&
	    !madvise(memory, size, MADV_DONTFORK))
		return memory;
	munmap(memory, size);
	return NULL;
}

static uint8_t *pad_at(const struct pool *pool, enum half half, uint32_t number)
{
	return pool->hash[half] + WC_HASH + (size_t)WC_PAD * number;
}

/* Pads up to @number are used or passed over. After the last its hash goes, too. */
static void half_pass(struct pool *pool, enum half half, uint32_t number)
{
	uint32_t next = pool->next[half];

	if (!pool->hash[half])
		return;
	OPENSSL_cleanse(pad_at(pool, half, next),
			(size_t)WC_PAD * (number + 1 - next));
	pool->next[half] = number + 1;
	if (pool->next[half] == pool->count) {
		OPENSSL_cleanse(pool->hash[half], WC_HASH);
		pool->hash[half] = NULL;
	}
}

static void half_end(struct pool *pool, enum half half)
{
	half_pass(pool, half, pool->count - 1);
}

static void pool_free(struct pool *pool)
{
	if (pool->memory) {
		OPENSSL_cleanse(pool->memory, pool->size);
		munmap(pool->memory, pool->size);
	}
	*pool = (struct pool){ 0 };
}

/* Pools with both halves gone leave the row. */
static void pools_sweep(struct pools *pools)
{
	unsigned int i, kept = 0;

	for (i = 0; i < pools->count; i++) {
		struct pool *pool = &pools->pool[i];

		if (!pool->hash[HALF_SEND] && !pool->hash[HALF_HEAR])
			pool_free(pool);
		else
			pools->pool[kept++] = *pool;
	}
	for (i = kept; i < pools->count; i++)
		pools->pool[i] = (struct pool){ 0 };
	pools->count = kept;
}

static struct pool *pools_find(const struct pools *pools, uint32_t name)
{
	unsigned int i;

	for (i = 0; i < pools->count; i++)
		if (pools->pool[i].name == name)
			return (struct pool *)&pools->pool[i];
	return NULL;
}

static uint32_t name_of(const uint8_t *key)
{
	uint32_t name = (uint32_t)key[0] << 24 | key[1] << 16 | key[2] << 8 |
			key[3];

	return name ?: 1; /* 0 is no name */
}

int pools_add(struct pools *pools, bool first, bool common, const uint8_t *key,
	      size_t size)
{
	size_t half = (size - POOL_NAME) / HALVES / WC_PAD * WC_PAD;
	struct pool *pool = &pools->pool[pools->count];

	if (pools->count == POOLS)
		return -ENOSPC;
	if (pools_find(pools, name_of(key)))
		return -EEXIST;
	pool->memory = memory_new(HALVES * half);
	if (!pool->memory)
		return -ENOMEM;
	pool->size = HALVES * half;
	memcpy(pool->memory, key + POOL_NAME, pool->size);
	pool->name = name_of(key);
	pool->common = common;
	pool->count = (half - WC_HASH) / WC_PAD;
	pool->hash[HALF_SEND] = pool->memory + (first ? 0 : half);
	pool->hash[HALF_HEAR] = pool->memory + (first ? half : 0);
	pools->count++;
	pools->brought += (uint64_t)HALVES * WC_PAD * pool->count;
	return 0;
}

void pools_free(struct pools *pools)
{
	unsigned int i;

	for (i = 0; i < pools->count; i++)
		pool_free(&pools->pool[i]);
	pools->count = 0;
}

static void piece_copy(const struct pool *pool, enum half half,
		       struct piece *piece)
{
	memcpy(piece->key, pool->hash[half], WC_HASH);
	memcpy(piece->key + WC_HASH, pad_at(pool, half, piece->number), WC_PAD);
}

int pools_take(struct pools *pools, struct piece *piece)
{
	unsigned int i;

	for (i = 0; i < pools->count; i++) {
		struct pool *pool = &pools->pool[i];

		if (!pool->common || !pool->hash[HALF_SEND])
			continue;
		piece->pool = pool->name;
		piece->number = pool->next[HALF_SEND];
		piece_copy(pool, HALF_SEND, piece);
		half_pass(pool, HALF_SEND, piece->number);
		pools_sweep(pools);
		return 0;
	}
	return -ENOKEY;
}

int pools_peek(const struct pools *pools, struct piece *piece)
{
	const struct pool *pool = pools_find(pools, piece->pool);

	if (!pool || !pool->hash[HALF_HEAR] || piece->number >= pool->count ||
	    piece->number < pool->next[HALF_HEAR])
		return -ENOENT;
	piece_copy(pool, HALF_HEAR, piece);
	return 0;
}

void pools_heard(struct pools *pools, const struct piece *piece)
{
	struct pool *pool = pools->pool;

	for (; pool->name != piece->pool; pool++)
		half_end(pool, HALF_HEAR);
	half_pass(pool, HALF_HEAR, piece->number);
	pool->common = true;
	pools_sweep(pools);
}

void pools_names(const struct pools *pools, uint32_t names[POOLS])
{
	unsigned int i;

	for (i = 0; i < POOLS; i++)
		names[i] = i < pools->count ? pools->pool[i].name : 0;
}

static bool is_among(uint32_t name, const uint32_t names[POOLS])
{
	unsigned int i;

	for (i = 0; i < POOLS; i++)
		if (names[i] == name)
			return true;
	return false;
}

void pools_told(struct pools *pools, const uint32_t names[POOLS])
{
	unsigned int i = pools->count;
	bool newer = false;

	while (i--) {
		struct pool *pool = &pools->pool[i];

		if (is_among(pool->name, names)) {
			pool->common = true;
			newer = true;
		} else if (newer && !pool->common) {
			half_end(pool, HALF_SEND);
			half_end(pool, HALF_HEAR);
		}
	}
	pools_sweep(pools);
}

uint64_t pools_left(const struct pools *pools, enum half half, bool common)
{
	uint64_t left = 0;
	unsigned int i;

	for (i = 0; i < pools->count; i++) {
		const struct pool *pool = &pools->pool[i];

		if (pool->common == common && pool->hash[half])
			left += WC_PAD * (pool->count - pool->next[half]);
	}
	return left;
}

uint64_t pools_used(const struct pools *pools)
{
	uint64_t left = 0;
	int common;

	for (common = 0; common < 2; common++)
		left += pools_left(pools, HALF_SEND, common) +
			pools_left(pools, HALF_HEAR, common);
	return pools->brought - left;
}
