/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the keys of an IKE_SA come from: a link in the kernel or a KME, by the
 * name that follows "qkd:" in swanctl.conf.
 */
#ifndef QKD_SOURCE_H_
#define QKD_SOURCE_H_

#include <library.h>
#include <linux/qkd.h>

/* Bytes of a key, and of the text of its ID without the final NUL. */
#define QKD_SECRET_LEN QKD_KEY_UNIT
#define QKD_ID_LEN 36

typedef struct qkd_key_t qkd_key_t;
typedef struct qkd_source_t qkd_source_t;

/**
 * enum qkd_use_t - what a key is for, bound into it where its source can
 */
enum qkd_use_t {
	QKD_USE_PPK,
	QKD_USE_KE,
};

/**
 * struct qkd_key_t - a key of QKD_SECRET_LEN bytes
 * @get_id: its ID, a UUID as text; not secret
 * @get_secret: its bytes; they belong to the key
 * @commit: take it for good, once the peer is verified. FALSE, with a line in the
 *	log, if somebody else has taken it; TRUE for a key that was got
 * @destroy: wipe it. One that was looked up and not committed stays usable
 */
struct qkd_key_t {
	const char *(*get_id)(qkd_key_t *this);
	chunk_t (*get_secret)(qkd_key_t *this);
	bool (*commit)(qkd_key_t *this);
	void (*destroy)(qkd_key_t *this);
};

/**
 * struct qkd_source_t - a link or a KME
 * @get_name: as in the configuration
 * @knows: a key of that ID could be one of its current keys, by its looks
 * @get: a fresh key, spent with the call. NULL, with a line in the log, if there
 *	is none
 * @peek: look up the key that the peer names. NULL, with a line in the log, if
 *	there is none of that ID for this use and context; then nothing is spent
 * @destroy: only the owner's
 *
 * Calls may come from any of charon's threads at once. They take microseconds
 * from the kernel; from a KME at most its time limit, and only so many threads
 * wait at a time that other IKE_SAs go on.
 */
struct qkd_source_t {
	const char *(*get_name)(qkd_source_t *this);
	bool (*knows)(qkd_source_t *this, const char *id);
	qkd_key_t *(*get)(qkd_source_t *this, enum qkd_use_t use,
			  chunk_t context);
	qkd_key_t *(*peek)(qkd_source_t *this, const char *id,
			   enum qkd_use_t use, chunk_t context);
	void (*destroy)(qkd_source_t *this);
};

/* A link of the kernel, by its name in charon's namespace. */
qkd_source_t *qkd_link_source_create(const char *name);
/* A KME, by the section charon.plugins.qkd.kme.<name>. NULL, with a line in the
 * log, if a setting is missing or wrong.
 */
qkd_source_t *qkd_kme_source_create(const char *name);

#endif /* QKD_SOURCE_H_ */
