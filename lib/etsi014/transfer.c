// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A request on its way, over mutual TLS: only the CA of the settings counts.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/x509v3.h>

#include "../kme/kme.h"
#include "etsi014.h"

/**
 * struct etsi014_transfer - a request on its way
 * @http: how
 * @request: what is asked
 * @ids: copy of its IDs
 * @name: name in the KME's certificate, "" for that in the URL
 */
struct etsi014_transfer {
	struct kme_http *http;
	struct etsi014_request request;
	etsi014_key_id *ids;
	char *name;
};

static CURLcode secure(CURL *curl, void *ctx, void *arg)
{
	struct etsi014_transfer *t = arg;

	(void)curl;
	if (kme_tls_note_asked(ctx))
		return CURLE_OUT_OF_MEMORY;
	if (*t->name &&
	    !X509_VERIFY_PARAM_set1_host(SSL_CTX_get0_param(ctx), t->name, 0))
		return CURLE_OUT_OF_MEMORY;
	return CURLE_OK;
}

static const char *doubt(SSL *ssl)
{
	return kme_tls_has_asked(ssl) ?
		       NULL :
		       "the KME did not ask for our certificate";
}

static CURLcode prepare(CURL *curl, const void *settings)
{
	const struct etsi014 *kme = settings;
	bool is_uri = !strncmp(kme->key, "pkcs11:", 7);
	CURLcode rc;

	rc = curl_easy_setopt(curl, CURLOPT_CAINFO, kme->ca);
	rc = rc ?: curl_easy_setopt(curl, CURLOPT_SSLCERT, kme->cert);
	rc = rc	   ?:
		     curl_easy_setopt(curl, CURLOPT_SSLKEYTYPE,
				      is_uri ? "PROV" : "PEM");
	rc = rc ?: curl_easy_setopt(curl, CURLOPT_SSLKEY, kme->key);
	/* or OpenSSL asks at the terminal for that of an encrypted one */
	if (!is_uri)
		rc = rc ?: curl_easy_setopt(curl, CURLOPT_KEYPASSWD, "");
	rc = rc ?: curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
	/* another name than the URL's is OpenSSL's to check: secure() */
	return rc    ?:
		       curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST,
					kme->name && *kme->name ? 0L : 2L);
}

static int copy_request(struct etsi014_transfer *t, const struct etsi014 *kme,
			const struct etsi014_request *request)
{
	size_t size = request->number * sizeof(*request->ids);

	t->request = *request;
	t->name = strdup(kme->name ?: "");
	if (!t->name)
		return -ENOMEM;
	if (request->call != ETSI014_DEC_KEYS)
		return 0;
	t->ids = malloc(size);
	if (!t->ids)
		return -ENOMEM;
	memcpy(t->ids, request->ids, size);
	t->request.ids = t->ids;
	return 0;
}

static size_t limit_of(const struct etsi014_request *request)
{
	if (request->call == ETSI014_STATUS)
		return 16384;
	return 16384 + request->number * (request->size / 6 + 1024UL);
}

static int set_up(struct etsi014_transfer *t, const struct etsi014 *kme,
		  char text[ETSI014_TEXT_LEN])
{
	char *url = etsi014_url(kme, t->request.call);
	char *body = etsi014_body(&t->request);
	struct kme_http_request request = {
		.url = url,
		.body = body,
		.connect_ms = kme->connect_ms,
		.total_ms = kme->total_ms,
		.limit = limit_of(&t->request),
		.prepare = prepare,
		.settings = kme,
		.secure = secure,
		.arg = t,
		.doubt = doubt,
	};

	if (url && (body || t->request.call == ETSI014_STATUS))
		t->http = kme_http_new(&request, text);
	else
		say(text, 0, "out of memory");
	free(url);
	free(body);
	return t->http ? 0 : -ENOMEM;
}

struct etsi014_transfer *
etsi014_transfer_new(const struct etsi014 *kme,
		     const struct etsi014_request *request,
		     char text[ETSI014_TEXT_LEN])
{
	struct etsi014_transfer *t = calloc(1, sizeof(*t));

	if (!t || copy_request(t, kme, request))
		say(text, 0, "out of memory");
	else if (!set_up(t, kme, text))
		return t;
	etsi014_transfer_free(t);
	return NULL;
}

CURL *etsi014_transfer_handle(struct etsi014_transfer *transfer)
{
	return kme_http_handle(transfer->http);
}

int etsi014_transfer_end(struct etsi014_transfer *transfer, CURLcode result,
			 struct etsi014_answer *answer)
{
	struct kme_http_answer http;
	int err;

	memset(answer, 0, sizeof(*answer));
	err = kme_http_end(transfer->http, result, &http, answer->text);
	return err   ?:
		       etsi014_parse(&transfer->request, http.code, http.body,
				     http.size, answer);
}

void etsi014_transfer_free(struct etsi014_transfer *transfer)
{
	if (!transfer)
		return;
	kme_http_free(transfer->http);
	free(transfer->ids);
	free(transfer->name);
	free(transfer);
}
