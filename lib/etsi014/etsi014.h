/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A client of a KME by ETSI GS QKD 014 V1.1.1: what to ask and what an answer
 * says, and a transfer between them that the caller's own loop runs with
 * libcurl. There is no thread, no lock and no loop in here.
 *
 * Calls return 0, or a negative errno and one line of text:
 *	-EAGAIN		the KME has no key now, or is overloaded: later
 *	-ETIMEDOUT	no answer in time
 *	-EHOSTUNREACH	no connection
 *	-ECONNABORTED	TLS: one of the two ends does not accept the other, or
 *			leaves
 *	-EACCES		401: this SAE may not
 *	-ENOENT		the KME does not have that key
 *	-EINVAL		the KME refuses the request
 *	-EREMOTEIO	the KME is broken, by its own account
 *	-EPROTO		the answer is not what the standard says
 *	-EMSGSIZE	it is longer than it could be
 *	-ENOMEM
 *
 * Key bytes are only in memory that is wiped before it is given back; the text
 * never holds any. What libcurl hands over is wiped in its own buffer, OpenSSL
 * wipes what it has decrypted, and so does jansson what it frees.
 */
#ifndef ETSI014_H
#define ETSI014_H

#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>

#include "../kme/common.h"

#define ETSI014_KEY_ID_LEN 36 /* of a UUID as text, without the final NUL */
#define ETSI014_NAME_LEN 255 /* of the ID of an SAE or KME */
#define ETSI014_TEXT_LEN KME_TEXT_LEN
#define ETSI014_KEYS_MAX 1024 /* in a call */
#define ETSI014_SIZE_MAX 65536 /* of a key, in bits */

typedef char etsi014_key_id[ETSI014_KEY_ID_LEN + 1];

/**
 * struct etsi014 - a KME, and an SAE that shares keys through it
 * @url: https://HOST[:PORT][/PATH], before /api/v1
 * @ca: path of the certificates that sign the KME's; no others count
 * @cert: path of our certificate, which names our SAE
 * @key: path of its private key, not encrypted, or a PKCS#11 URI
 * @name: DNS name or common name in the KME's certificate; NULL: the host in @url
 * @peer_sae: ID of the other SAE
 * @connect_ms: until there is a connection
 * @total_ms: until there is an answer
 *
 * The strings belong to the caller. Connections outlive a transfer in the multi
 * handle that ran it: use one multi handle for one struct etsi014.
 */
struct etsi014 {
	const char *url;
	const char *ca;
	const char *cert;
	const char *key;
	const char *name;
	const char *peer_sae;
	unsigned int connect_ms;
	unsigned int total_ms;
};

enum etsi014_call {
	ETSI014_STATUS,
	ETSI014_ENC_KEYS,
	ETSI014_DEC_KEYS,
};

/**
 * struct etsi014_request - what to ask
 * @call: which call
 * @number: of keys, 1 to ETSI014_KEYS_MAX
 * @size: of each in bits, a multiple of 8
 * @ids: DEC_KEYS: their @number IDs
 * @mandatory: ENC_KEYS: extensions that the KME must heed, a JSON array of
 *	objects that etsi014_check_extension() has passed, or NULL
 * @optional: likewise, that it may heed
 */
struct etsi014_request {
	enum etsi014_call call;
	unsigned int number;
	unsigned int size;
	const etsi014_key_id *ids;
	const char *mandatory;
	const char *optional;
};

/* What a KME does that the standard does not say, and that does no harm. */
enum etsi014_deviation {
	ETSI014_DEV_CODE = 1 << 0, /* HTTP 404, 409, 412, 500 or 504 */
	ETSI014_DEV_COUNT = 1 << 1, /* more keys stored than it can store */
	ETSI014_DEV_INTEGER_ID = 1 << 2,
	ETSI014_DEV_MEMBER = 1
			     << 3, /* members that the standard does not name */
	ETSI014_DEV_KEYS = 1 << 4, /* "Keys", as its Table 11 prints it */
	ETSI014_DEV_FEWER = 1 << 5, /* fewer keys than asked for */
	ETSI014_DEV_ERROR =
		1 << 6, /* an error without its message, or 401 with one */
	ETSI014_DEVIATIONS = 7,
};

/**
 * struct etsi014_status - the answer to ETSI014_STATUS
 * @source_kme: the KME that answers
 * @target_kme: the one at the other end
 * @master_sae: who asks
 * @slave_sae: whom it asked about
 * @key_size: default, in bits
 * @min_key_size: in bits
 * @max_key_size: in bits
 * @stored_key_count: keys that are there
 * @max_key_count: that it can store
 * @max_key_per_request: of one call
 * @max_sae_id_count: SAEs that may share a key beside those two
 */
struct etsi014_status {
	char source_kme[ETSI014_NAME_LEN + 1];
	char target_kme[ETSI014_NAME_LEN + 1];
	char master_sae[ETSI014_NAME_LEN + 1];
	char slave_sae[ETSI014_NAME_LEN + 1];
	uint64_t key_size;
	uint64_t min_key_size;
	uint64_t max_key_size;
	uint64_t stored_key_count;
	uint64_t max_key_count;
	uint64_t max_key_per_request;
	uint64_t max_sae_id_count;
};

/**
 * struct etsi014_keys - keys that came
 * @count: their number
 * @size: of each, in bytes
 * @ids: their IDs, in lower case; DEC_KEYS: in the order of the request
 * @bytes: key after key
 */
struct etsi014_keys {
	unsigned int count;
	size_t size;
	etsi014_key_id *ids;
	uint8_t *bytes;
};

/**
 * struct etsi014_answer - what came back
 * @status: ETSI014_STATUS: the KME's
 * @keys: otherwise: keys, none of them twice and all as long as asked for; to be
 *	freed; NULL if there was an error
 * @deviations: enum etsi014_deviation, a bit each
 * @text: what was wrong, "" if nothing
 */
struct etsi014_answer {
	struct etsi014_status status;
	struct etsi014_keys *keys;
	unsigned int deviations;
	char text[ETSI014_TEXT_LEN];
};

/* Once, before anything else: kme_init(), and a first key that is none. */
int etsi014_init(void);

/* ---- Without a network ---- */

/* Whether the settings can work; if not, text says why. */
int etsi014_check(const struct etsi014 *kme, char text[ETSI014_TEXT_LEN]);
/* Whether a text is a JSON array of objects; if not, text says so. */
int etsi014_check_extension(const char *extension, char text[ETSI014_TEXT_LEN]);
/* To be freed; NULL if there is no memory. */
char *etsi014_url(const struct etsi014 *kme, enum etsi014_call call);
/* To be freed; NULL for ETSI014_STATUS, and if there is no memory. */
char *etsi014_body(const struct etsi014_request *request);
/* What an answer with this HTTP code and body says. The keys are the caller's. */
int etsi014_parse(const struct etsi014_request *request, long code,
		  const void *body, size_t size, struct etsi014_answer *answer);
void etsi014_keys_free(struct etsi014_keys *keys);
/* A UUID as text, in either case, to lower case; -EINVAL if it is none. */
int etsi014_key_id_copy(etsi014_key_id id, const char *text);
/* Words for one bit of enum etsi014_deviation. */
const char *etsi014_deviation_text(unsigned int deviation);

#define etsi014_secret_new kme_secret_new
#define etsi014_secret_free kme_secret_free

/* ---- Over a network ---- */

struct etsi014_transfer;

/* The settings are those that etsi014_check() has passed. NULL, and text says
 * why, if there is no memory or libcurl lacks something.
 */
struct etsi014_transfer *
etsi014_transfer_new(const struct etsi014 *kme,
		     const struct etsi014_request *request,
		     char text[ETSI014_TEXT_LEN]);
/* For curl_multi_add_handle() or curl_easy_perform(). CURLOPT_PRIVATE is the
 * caller's.
 */
CURL *etsi014_transfer_handle(struct etsi014_transfer *transfer);
/* What came of it, once it is done; as etsi014_parse(). */
int etsi014_transfer_end(struct etsi014_transfer *transfer, CURLcode result,
			 struct etsi014_answer *answer);
/* Not while it is in a multi handle. */
void etsi014_transfer_free(struct etsi014_transfer *transfer);

#endif /* ETSI014_H */
