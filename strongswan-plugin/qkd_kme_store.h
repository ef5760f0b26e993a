/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keys that came from a KME and are not taken yet, and the IDs of those that
 * are: the KME forgets a key when it gives it away, and some do not even that.
 */
#ifndef QKD_KME_STORE_H_
#define QKD_KME_STORE_H_

#include "qkd_source.h"

typedef struct qkd_kme_store_t qkd_kme_store_t;

enum qkd_kme_key_t {
	QKD_KME_UNKNOWN,
	QKD_KME_KEPT,
	QKD_KME_TAKEN,
};

qkd_kme_store_t *qkd_kme_store_create(void);
/* Wipes what is kept. */
void qkd_kme_store_destroy(qkd_kme_store_t *this);

/**
 * qkd_kme_store_add() - keep a key for a minute
 * @this: the store
 * @id: its ID, in lower case
 * @secret: its QKD_SECRET_LEN bytes
 *
 * Return: FALSE if there was one with this ID before
 */
bool qkd_kme_store_add(qkd_kme_store_t *this, const char *id,
		       const uint8_t *secret);

/**
 * qkd_kme_store_find() - whether a key is there
 * @this: the store
 * @id: its ID
 * @secret: room for its bytes if it is kept, or NULL
 *
 * Return: that
 */
enum qkd_kme_key_t qkd_kme_store_find(qkd_kme_store_t *this, const char *id,
				      uint8_t *secret);

/**
 * qkd_kme_store_take() - take a key for good
 * @this: the store
 * @id: its ID
 *
 * Return: FALSE if it is not kept: it is too old, or somebody else has it
 */
bool qkd_kme_store_take(qkd_kme_store_t *this, const char *id);

/* Wipe what is too old; TRUE if there are keys left. */
bool qkd_kme_store_expire(qkd_kme_store_t *this);

#endif /* QKD_KME_STORE_H_ */
