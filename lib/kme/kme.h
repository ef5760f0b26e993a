/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the clients of KMEs have in common (etsi014, etsi004, skip): memory that
 * is wiped, a line of text about what was wrong, JSON that leaves no traces, and
 * HTTP whose answers are secret. Each of the three libraries contains it.
 */
#ifndef KME_H
#define KME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <curl/curl.h>
#include <jansson.h>
#include <openssl/ssl.h>

#include "common.h"

/* Once, before anything else: libcurl, and a jansson that wipes what it frees,
 * in all of the process.
 */
int kme_init(void); /* init.c */

/* text.c: puts a line together, of printable ASCII; returns @err. */
int say(char text[KME_TEXT_LEN], int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Bytes that stand in hexadecimal, in either case, or -1 if that is none, or
 * they are more than @room.
 */
ssize_t kme_from_hex(const char *text, size_t length, uint8_t *bytes,
		     size_t room);

/* check.c: whether settings can work; if not, text says why. */
int kme_check_url(const char *url, char text[KME_TEXT_LEN]);
int kme_check_file(const char *what, const char *path, char text[KME_TEXT_LEN]);

/* json.c: NULL if it is none, and @position says where. */
json_t *kme_json_load(const void *body, size_t size, int *position);

/* tls.c: a server that does not ask for our certificate serves anybody. */
int kme_tls_note_asked(SSL_CTX *ctx);
bool kme_tls_has_asked(const SSL *ssl);

/**
 * struct kme_http_request - what to ask, and of whom
 * @url: https
 * @body: to POST; NULL: GET
 * @connect_ms: until there is a connection
 * @total_ms: until there is an answer
 * @limit: longest answer, in bytes
 * @secure: has a word in the settings of TLS, last
 * @arg: for @secure
 * @doubt: why a connection whose handshake is done is not to be believed, or NULL
 *
 * The URL and the body are copied.
 */
struct kme_http_request {
	const char *url;
	const char *body;
	unsigned int connect_ms;
	unsigned int total_ms;
	size_t limit;
	curl_ssl_ctx_callback secure;
	void *arg;
	const char *(*doubt)(SSL *ssl);
};

struct kme_http;

/* http.c: only https, no proxy, no redirection, no TLS session of before. Who
 * proves the server is the caller's to set on the handle. NULL, and @rc says
 * why, if that does not work.
 */
struct kme_http *kme_http_new(const struct kme_http_request *request,
			      CURLcode *rc);
CURL *kme_http_handle(struct kme_http *http);
/* What came, once it is done: 0, HTTP's code and a body that is @http's; or an
 * errno as in etsi014.h, and text.
 */
int kme_http_end(struct kme_http *http, CURLcode result, long *code,
		 const void **body, size_t *size, char text[KME_TEXT_LEN]);
void kme_http_free(struct kme_http *http);

#endif /* KME_H */
