// SPDX-License-Identifier: GPL-2.0-only
/*
 * IDs of keys that were used, so that a KME that gives a key twice does not
 * bring it into a link twice. The last ones are kept, as hashes, in a ring with
 * chains through it.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "supply.h"

#define SEEN (1 << 18)
#define HEADS 65536
#define NONE UINT32_MAX
#define HASH_LEN 16

/**
 * struct seen - the IDs
 * @hash: of each
 * @older: one with the same head, or NONE
 * @head: the newest, by the first two bytes of its hash
 * @count: how many were ever added
 */
struct seen {
	uint8_t hash[SEEN][HASH_LEN];
	uint32_t older[SEEN];
	uint32_t head[HEADS];
	uint64_t count;
};

struct seen *seen_new(void)
{
	struct seen *seen = calloc(1, sizeof(*seen));

	if (seen)
		memset(seen->head, 0xff, sizeof(seen->head));
	return seen;
}

static void hash_of(const char *id, uint8_t hash[EVP_MAX_MD_SIZE])
{
	if (!EVP_Digest(id, strlen(id), hash, NULL, EVP_sha256(), NULL))
		abort();
}

static uint32_t head_of(const uint8_t *hash)
{
	return hash[0] << 8 | hash[1];
}

bool seen_has(const struct seen *seen, const char *id)
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	uint32_t i;

	hash_of(id, hash);
	for (i = seen->head[head_of(hash)]; i != NONE; i = seen->older[i])
		if (!memcmp(seen->hash[i], hash, HASH_LEN))
			return true;
	return false;
}

/* The oldest is the last of its chain, as chains are in the order of age. */
static void forget_oldest(struct seen *seen, uint32_t slot)
{
	uint32_t *at = &seen->head[head_of(seen->hash[slot])];

	while (*at != slot)
		at = &seen->older[*at];
	*at = NONE;
}

void seen_add(struct seen *seen, const char *id)
{
	uint32_t slot = seen->count % SEEN, *head;
	uint8_t hash[EVP_MAX_MD_SIZE];

	hash_of(id, hash);
	if (seen->count >= SEEN)
		forget_oldest(seen, slot);
	seen->count++;
	memcpy(seen->hash[slot], hash, HASH_LEN);
	head = &seen->head[head_of(hash)];
	seen->older[slot] = *head;
	*head = slot;
}
