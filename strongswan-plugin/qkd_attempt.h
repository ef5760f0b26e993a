/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keys of IKE_SAs that are not authenticated yet: taken when they are, and not
 * before.
 */
#ifndef QKD_ATTEMPT_H_
#define QKD_ATTEMPT_H_

#include <daemon.h>

#include "qkd_source.h"

void qkd_attempt_init(void);
void qkd_attempt_deinit(void);

/**
 * qkd_attempt_own() - a key of ours for the IKE_SA of this thread
 * @source: where from
 * @use: what for
 * @context: bound into it
 * @id: its ID
 * @secret: a copy of its QKD_SECRET_LEN bytes, for the caller to wipe
 *
 * While the peer is not authenticated, an attempt that failed leaves its key to
 * the next one to the same @source, for a minute at most: so whoever answers in
 * the peer's place can't make us spend more.
 *
 * Return: FALSE, with a line in the log, if there is none
 */
bool qkd_attempt_own(qkd_source_t *source, enum qkd_use_t use, chunk_t context,
		     char id[QKD_ID_LEN + 1], uint8_t secret[QKD_SECRET_LEN]);

/**
 * qkd_attempt_peer() - the key that the peer of this thread's IKE_SA named
 * @source: where from
 * @id: its ID
 * @use: what for
 * @context: bound into it
 * @secret: a copy of its QKD_SECRET_LEN bytes, for the caller to wipe
 *
 * It is taken when the peer is authenticated, or at once if it is already. If
 * somebody else has it by then, the IKE_SA is refused.
 *
 * Return: FALSE, with a line in the log, if there is no such key
 */
bool qkd_attempt_peer(qkd_source_t *source, const char *id, enum qkd_use_t use,
		      chunk_t context, uint8_t secret[QKD_SECRET_LEN]);

/* The ID of the PPK that the peer of an IKE_SA named: remember it, find it. */
void qkd_attempt_note(ike_sa_t *ike_sa, const char *id);
bool qkd_attempt_noted(ike_sa_t *ike_sa, char id[QKD_ID_LEN + 1]);

/* The ID of our PPK in the current attempt of an IKE_SA. */
bool qkd_attempt_ppk(ike_sa_t *ike_sa, char id[QKD_ID_LEN + 1]);

#endif /* QKD_ATTEMPT_H_ */
