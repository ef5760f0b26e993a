/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Requests of ETSI GS QKD 014 V1.1.1 as they come over the wire: bytes in, a
 * structure out. Nothing here knows of sockets, settings or keys, and nothing is
 * kept between calls, so that all of it can be fuzzed.
 *
 * First the target, then the method with what follows it:
 *
 *	struct request request;
 *	struct problem problem;
 *
 *	request_target(&request, "/api/v1/keys/B/enc_keys?number=3", &problem) ||
 *	request_body(&request, REQUEST_GET, NULL, NULL, 0, &problem)
 *
 * Each returns 0, or the HTTP status of the refusal, whose text is in the
 * problem. A request that was refused is not to be used, but can be thrown away:
 * it owns no memory.
 */
#ifndef QKD_KME_REQUEST_H
#define QKD_KME_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SAE_LEN 127 /* of an ID */
#define NUMBER_MAX 64 /* keys in a call: as many as a link lets be looked at */
#define SLAVES_MAX 16 /* SAEs beside the one of the path */
#define BODY_MAX 32768
#define TARGET_MAX 1024
#define PROBLEM_LEN 159

enum request_call {
	CALL_STATUS,
	CALL_ENC_KEYS,
	CALL_DEC_KEYS,
	CALLS,
};

enum request_method {
	REQUEST_GET,
	REQUEST_POST,
	REQUEST_OTHER,
};

/**
 * struct request - what is asked
 * @call: which of the three
 * @sae: of the path: the other one
 * @query: what follows the path, or ""
 * @number: ENC_KEYS: of keys; 0 where the request did not say. DEC_KEYS: of @ids
 * @size: ENC_KEYS: of a key in bits; 0 where the request did not say
 * @slaves: ENC_KEYS: additional_slave_SAE_IDs
 * @nslaves: their number
 * @ids: DEC_KEYS: the key IDs, none of them twice
 */
struct request {
	enum request_call call;
	char sae[SAE_LEN + 1];
	char query[TARGET_MAX + 1];
	unsigned int number;
	unsigned int size;
	char slaves[SLAVES_MAX][SAE_LEN + 1];
	unsigned int nslaves;
	uint8_t ids[NUMBER_MAX][16];
};

/**
 * struct problem - why a request is refused
 * @message: of the Error: the standard's words where it has some
 * @extension: name of the extension that is meant, or ""; for @details
 */
struct problem {
	char message[PROBLEM_LEN + 1];
	char extension[64];
};

/* @target: path and query as they came, percent-encoded. 404: no call of the
 * standard.
 */
int request_target(struct request *request, const char *target,
		   struct problem *problem);
/* After request_target(). @type: the Content-Type, or NULL; @body: need not end
 * in a NUL.
 */
int request_body(struct request *request, enum request_method method,
		 const char *type, const void *body, size_t size,
		 struct problem *problem);
/* "status", "enc_keys" or "dec_keys". */
const char *request_call_name(enum request_call call);
/* Words for what is wrong with a request; returns 400. */
int request_bad(struct problem *problem, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif /* QKD_KME_REQUEST_H */
