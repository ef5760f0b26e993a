// SPDX-License-Identifier: GPL-2.0-only
/* Verification: a universal hash of the corrected key. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "amplify.h"
#include "wc.h"

#define COUNT 8 /* bytes of the number of bits, behind them */

int verify_hash(const struct bits *key, const uint8_t seed[VERIFY_SEED],
		uint8_t tag[VERIFY_TAG])
{
	size_t size = (key->count + 7) / 8;
	uint8_t *bytes = malloc(size + COUNT);
	uint8_t hash[WC_KEY] = { 0 }; /* and no pad */
	int i, err;

	if (!bytes)
		return -ENOMEM;
	memcpy(hash, seed, VERIFY_SEED);
	bits_to_bytes(key, bytes);
	for (i = 0; i < COUNT; i++)
		bytes[size + i] = (uint64_t)key->count >> (8 * (COUNT - 1 - i));
	err = wc_tag(hash, bytes, size + COUNT, NULL, 0, tag);
	OPENSSL_cleanse(bytes, size + COUNT);
	free(bytes);
	return err;
}

double verify_collision(size_t bits)
{
	return wc_epsilon((bits + 7) / 8 + COUNT);
}
