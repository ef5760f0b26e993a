/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A KME, asked over ETSI GS QKD 014 by a thread of its own. Whoever waits for
 * an answer waits no longer than the KME's time limit.
 */
#ifndef QKD_KME_CLIENT_H_
#define QKD_KME_CLIENT_H_

#include "qkd_kme_store.h"

typedef struct qkd_kme_client_t qkd_kme_client_t;

/**
 * qkd_kme_client_create() - by the section charon.plugins.qkd.kme.<name>
 * @name: of the section
 * @store: where keys go, which outlives the client
 *
 * Return: NULL, with a line in the log, if a setting is missing or wrong
 */
qkd_kme_client_t *qkd_kme_client_create(const char *name,
					qkd_kme_store_t *store);
/* Nobody may wait for it then. */
void qkd_kme_client_destroy(qkd_kme_client_t *this);

/**
 * qkd_kme_client_fetch() - let the KME give a key, which is or was in the store
 * @this: the KME
 * @id: ID of the key as text; or "", and it becomes that of a fresh key
 *
 * Return: FALSE, with a line in the log, if there is none
 */
bool qkd_kme_client_fetch(qkd_kme_client_t *this, char id[QKD_ID_LEN + 1]);

#endif /* QKD_KME_CLIENT_H_ */
