// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A request on its way: HTTP/1.1 over TLS with libcurl. Each connection is
 * proved from both ends, before a byte of an answer is believed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kme.h"

#define ROOM_MIN 16384

/**
 * struct kme_http - a request on its way
 * @curl: libcurl's side
 * @request: the caller's, without what is only of use to kme_http_new()
 * @headers: HTTP headers of the request
 * @body: of the answer, secret
 * @size: bytes of it
 * @room: for how many there is memory
 * @refused: why we ended the transfer, or NULL
 * @refusal: as an errno
 * @error: libcurl's words
 */
struct kme_http {
	CURL *curl;
	struct kme_http_request request;
	struct curl_slist *headers;
	uint8_t *body;
	size_t size;
	size_t room;
	const char *refused;
	int refusal;
	char error[CURL_ERROR_SIZE];
};

static CURLcode secure(CURL *curl, void *ctx, void *arg)
{
	struct kme_http *http = arg;

	SSL_CTX_set_options(ctx, SSL_OP_CLEANSE_PLAINTEXT);
	return http->request.secure(curl, ctx, http->request.arg);
}

static const char *doubt(struct kme_http *http)
{
	struct curl_tlssessioninfo *info;

	if (curl_easy_getinfo(http->curl, CURLINFO_TLS_SSL_PTR, &info) ||
	    !info || info->backend != CURLSSLBACKEND_OPENSSL ||
	    !info->internals)
		return "the answer came without TLS";
	return http->request.doubt(info->internals);
}

static int grow(struct kme_http *http, size_t size)
{
	size_t room = http->room ? http->room : ROOM_MIN;
	uint8_t *body;

	while (room < size)
		room *= 2;
	if (room == http->room)
		return 0;
	body = kme_secret_new(room);
	if (!body)
		return -ENOMEM;
	if (http->size)
		memcpy(body, http->body, http->size);
	kme_secret_free(http->body, http->room);
	http->body = body;
	http->room = room;
	return 0;
}

static int refuse(struct kme_http *http, int err, const char *why)
{
	http->refused = why;
	http->refusal = err;
	return err;
}

static int take(struct kme_http *http, const char *bytes, size_t size)
{
	const char *why = doubt(http);

	if (why)
		return refuse(http, -ECONNABORTED, why);
	if (size > http->request.limit - http->size)
		return refuse(http, -EMSGSIZE, "the answer is too long");
	if (grow(http, http->size + size))
		return refuse(http, -ENOMEM, "out of memory");
	memcpy(http->body + http->size, bytes, size);
	http->size += size;
	return 0;
}

/* The buffer is libcurl's, which is done with it and does not wipe it. */
static size_t receive(char *bytes, size_t one, size_t size, void *arg)
{
	int err = take(arg, bytes, size);

	(void)one; /* it is 1 */
	explicit_bzero(bytes, size);
	return err ? CURL_WRITEFUNC_ERROR : size;
}

static CURLcode set_tls(struct kme_http *http)
{
	CURL *curl = http->curl;
	CURLcode rc;

	rc = curl_easy_setopt(curl, CURLOPT_SSLVERSION,
			      (long)CURL_SSLVERSION_TLSv1_2);
	/* libcurl has a default for this */
	rc = rc ?: curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
	rc = rc ?: curl_easy_setopt(curl, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	rc = rc ?: curl_easy_setopt(curl, CURLOPT_SSL_CTX_FUNCTION, secure);
	return rc ?: curl_easy_setopt(curl, CURLOPT_SSL_CTX_DATA, http);
}

static CURLcode set_http(struct kme_http *http)
{
	CURL *curl = http->curl;
	CURLcode rc;

	rc = curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
	rc = rc	   ?:
		     curl_easy_setopt(curl, CURLOPT_HTTP_VERSION,
				      (long)CURL_HTTP_VERSION_1_1);
	rc = rc ?: curl_easy_setopt(curl, CURLOPT_PROXY, "");
	rc = rc ?: curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	rc = rc ?: curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	rc = rc	   ?:
		     curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
				      (long)http->request.connect_ms);
	rc = rc	   ?:
		     curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
				      (long)http->request.total_ms);
	rc = rc ?: curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, http->error);
	rc = rc ?: curl_easy_setopt(curl, CURLOPT_HTTPHEADER, http->headers);
	rc = rc ?: curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
	return rc ?: curl_easy_setopt(curl, CURLOPT_WRITEDATA, http);
}

static CURLcode set_request(struct kme_http *http,
			    const struct kme_http_request *request)
{
	CURLcode rc = curl_easy_setopt(http->curl, CURLOPT_URL, request->url);

	if (request->body)
		rc = rc	   ?:
			     curl_easy_setopt(http->curl,
					      CURLOPT_COPYPOSTFIELDS,
					      request->body);
	return rc;
}

static int add_headers(struct kme_http *http, bool has_body)
{
	static const char *const headers[] = {
		"Accept: application/json",
		"Content-Type: application/json",
	};
	struct curl_slist *list;
	int i, n = has_body ? 2 : 1;

	for (i = 0; i < n; i++) {
		list = curl_slist_append(http->headers, headers[i]);
		if (!list)
			return -ENOMEM;
		http->headers = list;
	}
	return 0;
}

static CURLcode set_up(struct kme_http *http,
		       const struct kme_http_request *request)
{
	CURLcode rc = CURLE_OUT_OF_MEMORY;

	http->request = *request;
	http->request.url = NULL;
	http->request.body = NULL;
	http->request.settings = NULL;
	http->curl = curl_easy_init();
	if (http->curl && !add_headers(http, request->body))
		rc = set_http(http);
	rc = rc ?: set_tls(http);
	rc = rc ?: set_request(http, request);
	return rc ?: request->prepare(http->curl, request->settings);
}

struct kme_http *kme_http_new(const struct kme_http_request *request,
			      char text[KME_TEXT_LEN])
{
	struct kme_http *http = calloc(1, sizeof(*http));
	CURLcode rc = http ? set_up(http, request) : CURLE_OUT_OF_MEMORY;

	if (!rc)
		return http;
	say(text, 0, "libcurl: %s", curl_easy_strerror(rc));
	kme_http_free(http);
	return NULL;
}

CURL *kme_http_handle(struct kme_http *http)
{
	return http->curl;
}

static int errno_of(CURLcode result)
{
	switch (result) {
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_ENGINE_INITFAILED:
	case CURLE_SSL_ENGINE_NOTFOUND:
	case CURLE_SSL_ENGINE_SETFAILED:
	case CURLE_SEND_ERROR: /* how TLS 1.3 refuses a certificate */
	case CURLE_RECV_ERROR:
		return -ECONNABORTED;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
		return -EHOSTUNREACH;
	default:
		return -EPROTO;
	}
}

int kme_http_end(struct kme_http *http, CURLcode result,
		 struct kme_http_answer *answer, char text[KME_TEXT_LEN])
{
	if (!result) {
		*answer = (struct kme_http_answer){ .body = http->body,
						    .size = http->size };
		curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE,
				  &answer->code);
		return 0;
	}
	if (http->refused)
		return say(text, http->refusal, "%s", http->refused);
	return say(text, errno_of(result), "%s",
		   *http->error ? http->error : curl_easy_strerror(result));
}

void kme_http_free(struct kme_http *http)
{
	if (!http)
		return;
	curl_easy_cleanup(http->curl);
	curl_slist_free_all(http->headers);
	kme_secret_free(http->body, http->room);
	free(http);
}
