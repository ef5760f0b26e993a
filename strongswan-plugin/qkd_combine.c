// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The combiner of the key exchange methods: as for an epoch of cipher hybrid, with
 * the initiator's key in the place of k_seg and the responder's in that of the
 * unit.
 */
#include "qkd_combine.h"

#include <arpa/inet.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#define LABEL "qkd ike v1"
#define HASH_LEN 32

/* Of a secret of ML-KEM; others have no method here. */
#define KEM_LEN_MAX 32

struct info {
	char label[sizeof(LABEL)];
	uint16_t method;
	uint8_t id_i[QKD_KEY_ID_LEN];
	uint8_t id_r[QKD_KEY_ID_LEN];
	uint8_t transcript[HASH_LEN];
} __attribute__((packed));

static bool add_value(EVP_MD_CTX *ctx, const struct qkd_party *party)
{
	uint32_t len = htonl(party->len);

	return EVP_DigestUpdate(ctx, &len, sizeof(len)) &&
	       EVP_DigestUpdate(ctx, party->value, party->len);
}

/* SHA-256(len32 value_i, value_i, len32 value_r, value_r) */
static bool transcript(const struct qkd_party *i, const struct qkd_party *r,
		       uint8_t hash[HASH_LEN])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool done;

	done = ctx && EVP_DigestInit(ctx, EVP_sha256()) && add_value(ctx, i) &&
	       add_value(ctx, r) && EVP_DigestFinal(ctx, hash, NULL);
	EVP_MD_CTX_free(ctx);
	return done;
}

/* RFC 5869 */
static bool hkdf(const uint8_t *salt, const uint8_t *ikm, size_t len,
		 struct info *info, uint8_t *key)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
						 (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT,
						  (void *)salt, QKD_KEY_UNIT),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
						  (void *)ikm, len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info,
						  sizeof(*info)),
		OSSL_PARAM_construct_end(),
	};
	bool done;

	done = ctx && EVP_KDF_derive(ctx, key, QKD_COMBINED_LEN, params) == 1;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return done;
}

bool qkd_combine(uint16_t method, const struct qkd_party *i,
		 const struct qkd_party *r, const uint8_t *kem, size_t kem_len,
		 uint8_t secret[QKD_COMBINED_LEN])
{
	uint8_t ikm[QKD_KEY_UNIT + sizeof(uint16_t) + KEM_LEN_MAX];
	struct info info = { .label = LABEL, .method = htons(method) };
	uint16_t len16 = htons(kem_len);
	size_t len = QKD_KEY_UNIT;
	bool done;

	if (kem_len > KEM_LEN_MAX || !transcript(i, r, info.transcript))
		return false;
	memcpy(info.id_i, i->value, sizeof(info.id_i));
	memcpy(info.id_r, r->value, sizeof(info.id_r));
	memcpy(ikm, r->secret, QKD_KEY_UNIT);
	if (kem) {
		memcpy(ikm + len, &len16, sizeof(len16));
		memcpy(ikm + len + sizeof(len16), kem, kem_len);
		len += sizeof(len16) + kem_len;
	}
	done = hkdf(i->secret, ikm, len, &info, secret);
	OPENSSL_cleanse(ikm, sizeof(ikm));
	return done;
}
