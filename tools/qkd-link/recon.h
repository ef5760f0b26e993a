/* SPDX-License-Identifier: GPL-2.0-only */
/* Reconciliation: Bob's bits become Alice's; each bit told about them is counted. */
#ifndef QKD_LINK_RECON_H
#define QKD_LINK_RECON_H

#include "bits.h"
#include "talk.h"

/* Messages of an end that reconciliation of a block takes, at most; and seeds. */
#define RECON_ROUNDS 200
#define RECON_SEEDS 8

enum recon {
	RECON_CASCADE,
	RECON_LDPC,
};

/**
 * struct recon_result - how it went; the same at both ends
 * @leaked: bits about the key that went over the channel, exactly
 * @errors: that were found
 * @messages: both ways
 * @failed: frames that LDPC could not correct; their bits are told and leave the key
 */
struct recon_result {
	uint64_t leaked;
	uint64_t errors;
	uint32_t messages;
	uint32_t failed;
};

/* @qber: what both ends expect, from the block before or the check basis. Frames that fail
 * leave the key at both ends; @leaked has all their bits, so that they are not to be taken
 * off the length that was sifted too. Keys that are short go by Cascade in any case. Errors
 * are those of talk.h, -EPROTO also for what the peer should not have said; @key is then of
 * no use, nor if the ends do not have the same length or @qber.
 */
int recon_alice(enum recon recon, struct talk *talk, struct bits *key,
		double qber, struct recon_result *result);
int recon_bob(enum recon recon, struct talk *talk, struct bits *key,
	      double qber, struct recon_result *result);

const char *recon_name(enum recon recon);
int recon_by_name(const char *name, enum recon *recon);

#endif
