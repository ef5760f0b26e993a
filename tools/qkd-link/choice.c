// SPDX-License-Identifier: GPL-2.0-only
/*
 * Secret choices. A source at a gigahertz chooses far more often than anyone can
 * draw, and nearly all of it is never asked for. So a choice is AES-256 of its
 * slot's number, under a key from OpenSSL's generator: it is made when it counts.
 */
#include <endian.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "light.h"

#define KEY 32
#define BLOCK 16

int chooser_new(struct chooser *chooser)
{
	chooser->cipher = EVP_CIPHER_CTX_new();
	return chooser->cipher ? 0 : -ENOMEM;
}

void chooser_free(struct chooser *chooser)
{
	EVP_CIPHER_CTX_free(chooser->cipher);
	chooser->cipher = NULL;
}

void chooser_forget(struct chooser *chooser)
{
	/* Wipes the key, and what the cipher made of it. */
	EVP_CIPHER_CTX_reset(chooser->cipher);
}

int chooser_rekey(struct chooser *chooser)
{
	uint8_t key[KEY];
	int err = -EIO;

	if (RAND_priv_bytes(key, sizeof(key)) == 1 &&
	    EVP_EncryptInit_ex2(chooser->cipher, EVP_aes_256_ecb(), key, NULL,
				NULL) == 1 &&
	    EVP_CIPHER_CTX_set_padding(chooser->cipher, 0) == 1)
		err = 0;
	OPENSSL_cleanse(key, sizeof(key));
	return err;
}

int chooser_draw(struct chooser *chooser, const uint64_t *slot, size_t count,
		 struct choice *choice)
{
	uint8_t block[CHOICES * BLOCK];
	int size, err = 0;
	size_t i;

	_Static_assert(sizeof(*choice) == BLOCK, "a block is a choice");
	memset(choice, 0, count * sizeof(*choice));
	for (i = 0; i < count; i++)
		choice[i].what = htobe64(slot[i]);
	if (EVP_EncryptUpdate(chooser->cipher, block, &size,
			      (const uint8_t *)choice, count * BLOCK) != 1)
		err = -EIO;
	for (i = 0; !err && i < count; i++) {
		memcpy(&choice[i], block + i * BLOCK, BLOCK);
		choice[i].what >>= 1;
	}
	OPENSSL_cleanse(block, count * BLOCK);
	return err;
}

uint64_t choice_limit(double p)
{
	return p >= 1 ? UINT64_MAX : p <= 0 ? 0 : (uint64_t)ldexp(p, 63);
}
