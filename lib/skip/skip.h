/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A client of a key provider by SKIP (draft-cisco-skip): what to ask and what an
 * answer says, and a transfer between them that the caller's own loop runs with
 * libcurl, over TLS with a pre-shared key. There is no thread, no lock and no
 * loop in here.
 *
 * Calls return 0, or a negative errno and one line of text:
 *	-EAGAIN		the provider is overloaded: later
 *	-ETIMEDOUT	no answer in time
 *	-EHOSTUNREACH	no connection
 *	-ECONNABORTED	TLS: the two ends do not share that key, or one leaves
 *	-EACCES		401 or 403: this encryptor may not
 *	-ENOENT		the provider does not have that key
 *	-EINVAL		the provider refuses the request
 *	-EREMOTEIO	the provider or its peer is broken, by its own account
 *	-EPROTO		the answer is not what the draft says
 *	-EMSGSIZE	it is longer than it could be
 *	-ENOMEM
 *
 * Key bytes are only in memory that is wiped before it is given back; the text
 * never holds any. The draft has bytes in hexadecimal, in either case.
 */
#ifndef SKIP_H
#define SKIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>

#include "../kme/common.h"

#define SKIP_TEXT_LEN KME_TEXT_LEN
#define SKIP_KEY_ID_LEN 254 /* digits at most, an even number; usual: 32 */
#define SKIP_NAME_LEN 255 /* of the ID of a system */
#define SKIP_IDENTITY_LEN 127 /* of a pre-shared key */
#define SKIP_PSK_MIN 16 /* bytes */
#define SKIP_PSK_MAX 64
#define SKIP_REMOTES_MAX 64 /* patterns that are kept */
#define SKIP_SIZE_MAX 256 /* of a key and of randomness, in bits */

typedef char skip_key_id[SKIP_KEY_ID_LEN + 1];

/**
 * struct skip - a key provider, and a system that shares keys through it
 * @url: https://HOST[:PORT][/PATH], before /key
 * @identity: what our pre-shared key is called
 * @psk: path of that key, in hexadecimal; only its owner can read the file
 * @remote: ID of the other system's provider: remoteSystemID
 * @connect_ms: until there is a connection
 * @total_ms: until there is an answer
 *
 * The strings belong to the caller. The file is read at each connection.
 * Connections outlive a transfer in the multi handle that ran it: use one multi
 * handle for one struct skip.
 */
struct skip {
	const char *url;
	const char *identity;
	const char *psk;
	const char *remote;
	unsigned int connect_ms;
	unsigned int total_ms;
};

enum skip_call {
	SKIP_CAPABILITIES,
	SKIP_NEW_KEY, /* and its ID */
	SKIP_KEY, /* of an ID that the other system has got */
	SKIP_ENTROPY,
};

/**
 * struct skip_request - what to ask
 * @call: which call
 * @size: of the key in bits: 128, 192 or 256; ENTROPY: least that it shall have
 * @key_id: KEY: which one
 */
struct skip_request {
	enum skip_call call;
	unsigned int size;
	skip_key_id key_id;
};

/**
 * struct skip_capabilities - the answer to SKIP_CAPABILITIES
 * @entropy: it has /entropy
 * @key: it has /key
 * @algorithm: how it comes by its keys
 * @local: what it calls itself
 * @remotes: with whom it shares keys; patterns, of which * stands for any text
 * @nremotes: their number
 */
struct skip_capabilities {
	bool entropy;
	bool key;
	char algorithm[SKIP_NAME_LEN + 1];
	char local[SKIP_NAME_LEN + 1];
	char remotes[SKIP_REMOTES_MAX][SKIP_NAME_LEN + 1];
	unsigned int nremotes;
};

/**
 * struct skip_answer - what came back
 * @capabilities: CAPABILITIES: the provider's
 * @key_id: NEW_KEY, KEY: of the key, as the provider writes it
 * @key: NEW_KEY, KEY: the key; ENTROPY: the randomness. For skip_answer_free();
 *	NULL if there was an error
 * @size: bytes of it
 * @text: what was wrong, "" if nothing
 */
struct skip_answer {
	struct skip_capabilities capabilities;
	skip_key_id key_id;
	uint8_t *key;
	size_t size;
	char text[SKIP_TEXT_LEN];
};

/* Once, before anything else: kme_init(), and a first key that is none. */
int skip_init(void);

/* ---- Without a network ---- */

/* Whether the settings can work; if not, text says why. */
int skip_check(const struct skip *provider, char text[SKIP_TEXT_LEN]);
/* To be freed; NULL if there is no memory. */
char *skip_url(const struct skip *provider, const struct skip_request *request);
/* What an answer with this HTTP code and body says. */
int skip_parse(const struct skip_request *request, long code, const void *body,
	       size_t size, struct skip_answer *answer);
void skip_answer_free(struct skip_answer *answer);
/* An even number of hexadecimal digits, in either case; -EINVAL if it is none. */
int skip_key_id_copy(skip_key_id id, const char *text);
/* Whether it is the same, whatever the case of its digits. */
bool skip_key_id_equal(const char *a, const char *b);
/* Whether a provider shares keys with the one of this ID. */
bool skip_serves(const struct skip_capabilities *capabilities,
		 const char *remote);

/* ---- Over a network ---- */

struct skip_transfer;

/* The settings are those that skip_check() has passed. NULL, and text says why,
 * if there is no memory or libcurl lacks something.
 */
struct skip_transfer *skip_transfer_new(const struct skip *provider,
					const struct skip_request *request,
					char text[SKIP_TEXT_LEN]);
/* For curl_multi_add_handle() or curl_easy_perform(). CURLOPT_PRIVATE is the
 * caller's.
 */
CURL *skip_transfer_handle(struct skip_transfer *transfer);
/* What came of it, once it is done; as skip_parse(). */
int skip_transfer_end(struct skip_transfer *transfer, CURLcode result,
		      struct skip_answer *answer);
/* Not while it is in a multi handle. */
void skip_transfer_free(struct skip_transfer *transfer);

#endif /* SKIP_H */
