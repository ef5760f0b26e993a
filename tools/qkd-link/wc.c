// SPDX-License-Identifier: GPL-2.0-only
/* Wegman-Carter tags. */
#include <errno.h>
#include <math.h>

#include <openssl/evp.h>

#include "wc.h"

/* Not a key: OpenSSL's context forgets the one before when it gets another. */
static const uint8_t none[WC_KEY];

int wc_tag(const uint8_t key[WC_KEY], const void *head, size_t head_size,
	   const void *body, size_t body_size, uint8_t tag[WC_TAG])
{
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "POLY1305", NULL);
	EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
	size_t size = 0;
	int err = -EIO;

	if (ctx && EVP_MAC_init(ctx, key, WC_KEY, NULL) &&
	    EVP_MAC_update(ctx, head, head_size) &&
	    (!body_size || EVP_MAC_update(ctx, body, body_size)) &&
	    EVP_MAC_final(ctx, tag, &size, WC_TAG) && size == WC_TAG)
		err = 0;
	if (ctx)
		EVP_MAC_init(ctx, none, sizeof(none), NULL);
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(mac);
	return err;
}

/* Bernstein, The Poly1305-AES message-authentication code, FSE 2005, theorem 3.3. */
double wc_epsilon(size_t size)
{
	return ldexp(8.0 * ((size + 15) / 16), -106);
}
