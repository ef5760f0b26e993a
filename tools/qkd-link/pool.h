/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Key of the tags, in locked memory: pools in the order in which they came. A
 * pool has a name, which is told, and per direction a key of the hash and pads
 * with numbers. What is used or passed over is wiped at once.
 */
#ifndef QKD_LINK_POOL_H
#define QKD_LINK_POOL_H

#include <stdbool.h>

#include "wc.h"

#define POOLS 8
#define POOL_NAME 4 /* bytes of the key that become its name */

enum half {
	HALF_SEND,
	HALF_HEAR,
	HALVES,
};

/**
 * struct pool - what one bootstrap or refill brought
 * @name: the same at both ends; not 0
 * @common: the peer is known to have it
 * @memory: a mapping of its own
 * @size: of @memory
 * @hash: per half: key of the hash; the pads are behind it. NULL: all are gone
 * @next: per half: the first pad that was not used
 * @count: of the pads of a half
 */
struct pool {
	uint32_t name;
	bool common;
	uint8_t *memory;
	size_t size;
	uint8_t *hash[HALVES];
	uint32_t next[HALVES];
	uint32_t count;
};

/**
 * struct pools - all of them
 * @pool: the oldest first
 * @count: of @pool
 * @brought: bytes of pads that there ever were
 */
struct pools {
	struct pool pool[POOLS];
	unsigned int count;
	uint64_t brought;
};

/**
 * struct piece - key of one tag; to be wiped after use
 * @pool: name of the pool it is of
 * @number: of the pad
 */
struct piece {
	uint32_t pool;
	uint32_t number;
	uint8_t key[WC_KEY];
};

/* A pool of @size bytes of @key. @first: this end sends with its first half. @common: the
 * peer has it for sure.
 * -ENOMEM; -ENOSPC: there are POOLS already; -EEXIST: one of them has its name.
 */
int pools_add(struct pools *pools, bool first, bool common, const uint8_t *key,
	      size_t size);
void pools_free(struct pools *pools);
/* Key to send with, which is then gone. -ENOKEY. */
int pools_take(struct pools *pools, struct piece *piece);
/* Key to hear with, by its name and number. -ENOENT: none such, or no more. */
int pools_peek(const struct pools *pools, struct piece *piece);
/* A message under that piece was genuine: it, and all before it, is gone. */
void pools_heard(struct pools *pools, const struct piece *piece);
/* Names of all there are, the oldest first, then zeros. */
void pools_names(const struct pools *pools, uint32_t names[POOLS]);
/* The peer has these. Older ones that it has not will never be of use. */
void pools_told(struct pools *pools, const uint32_t names[POOLS]);
/* Bytes of pads in pools that the peer has, too, or is not known to have. */
uint64_t pools_left(const struct pools *pools, enum half half, bool common);
/* Bytes of pads that are gone. */
uint64_t pools_used(const struct pools *pools);

#endif
