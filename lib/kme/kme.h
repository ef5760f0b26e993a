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

/* json.c: NULL if it is no object, and text says why. */
json_t *kme_json_object(const void *body, size_t size, char text[KME_TEXT_LEN]);
/* Whether it is text that fits, of one byte at least and no control characters. */
bool kme_json_name(const json_t *value, char *name, size_t room);

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
 * @prepare: tells libcurl who proves the server, and how we prove ourselves
 * @settings: for @prepare
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
	CURLcode (*prepare)(CURL *curl, const void *settings);
	const void *settings;
	curl_ssl_ctx_callback secure;
	void *arg;
	const char *(*doubt)(SSL *ssl);
};

struct kme_http;

/**
 * struct kme_http_answer - what came
 * @code: HTTP's
 * @body: of the answer, which is struct kme_http's
 * @size: bytes of it
 */
struct kme_http_answer {
	long code;
	const void *body;
	size_t size;
};

/* http.c: only https, no proxy, no redirection, no TLS session of before. NULL,
 * and text says why, if that does not work.
 */
struct kme_http *kme_http_new(const struct kme_http_request *request,
			      char text[KME_TEXT_LEN]);
CURL *kme_http_handle(struct kme_http *http);
/* What came, once it is done: 0, or an errno as in etsi014.h and text. */
int kme_http_end(struct kme_http *http, CURLcode result,
		 struct kme_http_answer *answer, char text[KME_TEXT_LEN]);
void kme_http_free(struct kme_http *http);

#endif /* KME_H */
