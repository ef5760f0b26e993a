// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ML-KEM-512, -768 and -1024 (FIPS 203) as key exchange methods of IKEv2
 * (draft-ietf-ipsecme-ikev2-mlkem), by OpenSSL: for charons that have none.
 *
 * OpenSSL checks what comes: an encapsulation key of another length or with
 * coefficients out of range is refused; a ciphertext of the right length always
 * gives a secret (implicit rejection), and a wrong one shows in AUTH.
 */
#include "qkd_mlkem.h"

#include <openssl/evp.h>
#include <utils/debug.h>

typedef struct private_mlkem_t private_mlkem_t;

/**
 * struct private_mlkem_t - an exchange
 * @public: its interface
 * @method: its number
 * @key: of the initiator: its own pair, or at the responder the public half
 * @ciphertext: of the responder, what it sends
 * @secret: shared, once there is one
 */
struct private_mlkem_t {
	key_exchange_t public;
	key_exchange_method_t method;
	EVP_PKEY *key;
	chunk_t ciphertext;
	chunk_t secret;
};

static const char *name_of(key_exchange_method_t method)
{
	switch (method) {
	case ML_KEM_512:
		return "ML-KEM-512";
	case ML_KEM_768:
		return "ML-KEM-768";
	default:
		return "ML-KEM-1024";
	}
}

/* The sizes are asked for first, then filled. */
static bool encapsulate(private_mlkem_t *this)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, this->key, NULL);
	size_t text = 0, secret = 0;
	bool done;

	done = ctx && EVP_PKEY_encapsulate_init(ctx, NULL) == 1 &&
	       EVP_PKEY_encapsulate(ctx, NULL, &text, NULL, &secret) == 1;
	if (done) {
		this->ciphertext = chunk_alloc(text);
		this->secret = chunk_alloc(secret);
		done = EVP_PKEY_encapsulate(ctx, this->ciphertext.ptr, &text,
					    this->secret.ptr, &secret) == 1;
	}
	EVP_PKEY_CTX_free(ctx);
	return done;
}

static bool decapsulate(private_mlkem_t *this, chunk_t text)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, this->key, NULL);
	size_t secret = 0;
	bool done;

	chunk_clear(&this->secret);
	done = ctx && EVP_PKEY_decapsulate_init(ctx, NULL) == 1 &&
	       EVP_PKEY_decapsulate(ctx, NULL, &secret, text.ptr, text.len) ==
		       1;
	if (done) {
		this->secret = chunk_alloc(secret);
		done = EVP_PKEY_decapsulate(ctx, this->secret.ptr, &secret,
					    text.ptr, text.len) == 1;
	}
	EVP_PKEY_CTX_free(ctx);
	return done;
}

/* Called without a key by the responder alone: with the initiator's. */
METHOD(key_exchange_t, set_public_key, bool, private_mlkem_t *this,
       chunk_t value)
{
	const char *name = name_of(this->method);
	bool done;

	if (this->key && !this->ciphertext.ptr) {
		done = decapsulate(this, value);
	} else {
		EVP_PKEY_free(this->key);
		this->key = EVP_PKEY_new_raw_public_key_ex(
			NULL, name, NULL, value.ptr, value.len);
		chunk_free(&this->ciphertext);
		chunk_clear(&this->secret);
		done = this->key && encapsulate(this);
	}
	if (!done) {
		chunk_clear(&this->secret);
		DBG1(DBG_IKE, "%s: public value of %zu bytes is refused", name,
		     value.len);
	}
	return done;
}

METHOD(key_exchange_t, get_public_key, bool, private_mlkem_t *this,
       chunk_t *value)
{
	size_t len = 0;

	if (this->ciphertext.ptr) {
		*value = chunk_clone(this->ciphertext);
		return TRUE;
	}
	if (!this->key)
		this->key =
			EVP_PKEY_Q_keygen(NULL, NULL, name_of(this->method));
	if (!this->key ||
	    EVP_PKEY_get_raw_public_key(this->key, NULL, &len) != 1)
		return FALSE;
	*value = chunk_alloc(len);
	if (EVP_PKEY_get_raw_public_key(this->key, value->ptr, &len) == 1)
		return TRUE;
	chunk_free(value);
	return FALSE;
}

METHOD(key_exchange_t, get_shared_secret, bool, private_mlkem_t *this,
       chunk_t *secret)
{
	*secret = chunk_clone(this->secret);
	return this->secret.ptr != NULL;
}

METHOD(key_exchange_t, get_method, key_exchange_method_t, private_mlkem_t *this)
{
	return this->method;
}

METHOD(key_exchange_t, destroy, void, private_mlkem_t *this)
{
	EVP_PKEY_free(this->key);
	chunk_free(&this->ciphertext);
	chunk_clear(&this->secret);
	free(this);
}

key_exchange_t *qkd_mlkem_create(key_exchange_method_t method, ...)
{
	EVP_KEYMGMT *known = EVP_KEYMGMT_fetch(NULL, name_of(method), NULL);
	private_mlkem_t *this;

	if (!known)
		return NULL;
	EVP_KEYMGMT_free(known);
	INIT(this,
	     .public = {
		     .get_shared_secret = _get_shared_secret,
		     .set_public_key = _set_public_key,
		     .get_public_key = _get_public_key,
		     .get_method = _get_method,
		     .destroy = _destroy,
	     },
	     .method = method, );
	return &this->public;
}
