// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A request on its way. Who has the pre-shared key is the provider, and nobody
 * else: a server that would rather show a certificate is none of ours. The
 * draft's suites are of TLS 1.2; where both ends have TLS 1.3, its external
 * pre-shared keys do the same, always with an ephemeral key exchange. OpenSSL
 * keeps the pre-shared key for as long as a connection lives, and wipes it then.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "internal.h"

/* With an ephemeral key first: who learns the key later reads nothing of it. */
#define SUITES "DHE-PSK-AES256-GCM-SHA384:PSK-AES256-GCM-SHA384"
/* Of SHA-256, which is an external pre-shared key's hash (RFC 8446, 4.2.11). */
#define SUITES_13 "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"

/**
 * struct skip_transfer - a request on its way
 * @http: how
 * @request: what is asked
 * @identity: of the pre-shared key
 * @psk: path of its file
 */
struct skip_transfer {
	struct kme_http *http;
	struct skip_request request;
	char *identity;
	char *psk;
};

static int transfer_index = -1;

static void make_index(void)
{
	transfer_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

/* During a handshake, which is over before its transfer is. */
static unsigned int use_psk(SSL *ssl, const char *hint, char *identity,
			    unsigned int identity_room, unsigned char *psk,
			    unsigned int psk_room)
{
	struct skip_transfer *t =
		SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), transfer_index);
	uint8_t key[SKIP_PSK_MAX];
	char text[SKIP_TEXT_LEN];
	int n;

	(void)hint; /* we have one */
	if (strlen(t->identity) >= identity_room || psk_room < sizeof(key))
		return 0;
	n = psk_read(t->psk, key, text);
	if (n > 0) {
		strcpy(identity, t->identity);
		memcpy(psk, key, n);
	}
	OPENSSL_cleanse(key, sizeof(key));
	return n > 0 ? n : 0;
}

static int refuse_certificate(X509_STORE_CTX *store, void *arg)
{
	(void)arg;
	X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	return 0;
}

/* libcurl has switched verification off: there is no certificate to see. Here
 * any that comes all the same ends the handshake.
 */
static CURLcode secure(CURL *curl, void *ctx, void *arg)
{
	(void)curl;
	if (!SSL_CTX_set_cipher_list(ctx, SUITES) ||
	    !SSL_CTX_set_ciphersuites(ctx, SUITES_13) ||
	    !SSL_CTX_set_ex_data(ctx, transfer_index, arg))
		return CURLE_SSL_CIPHER;
	SSL_CTX_set_psk_client_callback(ctx, use_psk);
	SSL_CTX_set_cert_verify_callback(ctx, refuse_certificate, NULL);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	return CURLE_OK;
}

/* TLS 1.3 calls the use of any pre-shared key a resumption. */
static const char *doubt(SSL *ssl)
{
	int nid = SSL_CIPHER_get_auth_nid(SSL_get_current_cipher(ssl));

	if (SSL_version(ssl) == TLS1_3_VERSION ? SSL_session_reused(ssl) :
						 nid == NID_auth_psk)
		return NULL;
	return "the provider did not use the pre-shared key";
}

/* See secure(). */
static CURLcode prepare(CURL *curl, const void *settings)
{
	CURLcode rc = curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);

	(void)settings;
	return rc ?: curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
}

static int set_up(struct skip_transfer *t, const struct skip *provider,
		  char text[SKIP_TEXT_LEN])
{
	char *url = skip_url(provider, &t->request);
	struct kme_http_request request = {
		.url = url,
		.connect_ms = provider->connect_ms,
		.total_ms = provider->total_ms,
		.limit = 65536,
		.prepare = prepare,
		.secure = secure,
		.arg = t,
		.doubt = doubt,
	};

	if (url)
		t->http = kme_http_new(&request, text);
	else
		say(text, 0, "out of memory");
	free(url);
	return t->http ? 0 : -ENOMEM;
}

static int copy_request(struct skip_transfer *t, const struct skip *provider,
			const struct skip_request *request)
{
	t->request = *request;
	t->identity = strdup(provider->identity);
	t->psk = strdup(provider->psk);
	return t->identity && t->psk ? 0 : -ENOMEM;
}

struct skip_transfer *skip_transfer_new(const struct skip *provider,
					const struct skip_request *request,
					char text[SKIP_TEXT_LEN])
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct skip_transfer *t = calloc(1, sizeof(*t));

	pthread_once(&once, make_index);
	if (!t || transfer_index < 0 || copy_request(t, provider, request))
		say(text, 0, "out of memory");
	else if (!set_up(t, provider, text))
		return t;
	skip_transfer_free(t);
	return NULL;
}

CURL *skip_transfer_handle(struct skip_transfer *transfer)
{
	return kme_http_handle(transfer->http);
}

int skip_transfer_end(struct skip_transfer *transfer, CURLcode result,
		      struct skip_answer *answer)
{
	struct kme_http_answer http;
	int err;

	memset(answer, 0, sizeof(*answer));
	err = kme_http_end(transfer->http, result, &http, answer->text);
	return err   ?:
		       skip_parse(&transfer->request, http.code, http.body,
				  http.size, answer);
}

void skip_transfer_free(struct skip_transfer *transfer)
{
	if (!transfer)
		return;
	kme_http_free(transfer->http);
	free(transfer->identity);
	free(transfer->psk);
	free(transfer);
}
