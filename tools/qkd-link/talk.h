/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The classical channel: messages over a stream socket, each with a Wegman-Carter
 * tag whose key is used once. Documentation/link-auth.md has its words.
 */
#ifndef QKD_LINK_TALK_H
#define QKD_LINK_TALK_H

#include <stdbool.h>
#include <stdint.h>

#include "buffer.h"
#include "pool.h"
#include "wire.h"

struct talk;

/* Bytes of the body of a message, at most. */
#define TALK_MAX (UINT32_C(64) << 20)
/* Messages that an end may have to send for one block, so that it makes a refill. */
#define TALK_RESERVE 256
/* Bytes of key that make @messages tags each way. */
#define TALK_KEY(messages) \
	(POOL_NAME + HALVES * (WC_HASH + WC_PAD * (messages)))
/* A bootstrap key is good for a block and then some; a refill may be of a small block. */
#define TALK_KEY_MIN TALK_KEY(TALK_RESERVE + TALK_RESERVE / 2)
#define TALK_REFILL_MIN TALK_KEY(16)
#define TALK_KEY_MAX (UINT32_C(1) << 20)

/* Bytes of the body of a HELLO, at most. */
#define TALK_HELLO_MAX 8192
/* Bytes that each end draws for a connection. */
#define TALK_NONCE 16

/* What a message is; a type that is not expected is -EPROTO. */
enum talk_type {
	TALK_HELLO =
		1, /* nonce, model, block, at the beginning of a connection */
	TALK_BLOCK, /* a block begins: its number, the QBER that is expected */
	TALK_SIFT, /* Bob: sift_tell() */
	TALK_SIFTED, /* Alice: sift_answer() */
	TALK_RECON, /* of Cascade and LDPC */
	TALK_VERIFY, /* hash of the corrected key */
	TALK_AMPLIFY, /* seed of the Toeplitz matrix */
	TALK_FEED, /* where the ends are in their streams; what goes where */
	TALK_FED, /* what was written */
};

/**
 * struct talk_account - key of the tags, in bytes
 * @left: per direction: [0] what this end sends with, [1] what it hears with
 * @pending: of those refills, one direction, that the peer has not yet been heard to
 *	have; they are not in @left
 * @used: in all, both directions, also what was passed over or was of no use
 * @low: if one of @left is below it, no block begins until there is another bootstrap key
 * @bad: messages that were altered, replayed, out of order, cut
 * @forgery: bound on the probability that one of all that came was not the peer's,
 *	and was believed
 */
struct talk_account {
	uint64_t left[2];
	uint64_t pending;
	uint64_t used;
	uint64_t low;
	uint64_t bad;
	double forgery;
};

/* @key: the bootstrap key, the same at both ends, used once; wiped by the caller.
 * @first: this end sends with the first half of it. -EINVAL: not TALK_KEY_MIN to
 * TALK_KEY_MAX bytes; -ENOMEM: so much cannot be locked.
 */
int talk_new(struct talk **talk, bool first, const uint8_t *key, size_t size);
void talk_free(struct talk *talk);
/* A connection, or -1: the one there was is closed. The key goes on where it was. */
void talk_attach(struct talk *talk, int fd);
/* The same, of a connection over which something came already; it is taken over. */
void talk_adopt(struct talk *talk, struct wire *wire);
/* What came over a connection without a struct talk: 1: it begins with a message that may
 * be a HELLO, of whom ever; 0: more has to come; -EBADMSG: it does not.
 */
int talk_begins(const uint8_t *in, size_t size);
/* What the ends have drawn for this connection, @first by the one that is first: from here
 * on it is under each tag, so that what was said over another connection is refused, however
 * long Eve kept it.
 */
void talk_session(struct talk *talk, const uint8_t first[TALK_NONCE],
		  const uint8_t other[TALK_NONCE]);
/* More key for the tags, at the same moment of the protocol at both ends; used once and
 * wiped by the caller. It is in use as soon as a message shows that the peer has it, too;
 * what only one end got does no harm. -EINVAL: not TALK_REFILL_MIN to TALK_KEY_MAX bytes;
 * -EEXIST: it was given before; -ENOSPC: there is plenty; -ENOMEM. Nothing changes then.
 */
int talk_refill(struct talk *talk, const uint8_t *key, size_t size);
void talk_account(const struct talk *talk, struct talk_account *account);

/* -ENOKEY: no key for a tag is left; -EMSGSIZE: above TALK_MAX. -EPIPE, -ETIMEDOUT and
 * others: of the connection. Both ends may send at the same moment.
 */
int talk_send(struct talk *talk, enum talk_type type, const void *data,
	      size_t size);
/* The next message, which has to be of that type. -EPROTO: it is the peer's, and of another
 * type; it is gone. -ETIMEDOUT after @ms without a byte. -EBADMSG: what came is not the
 * peer's next message. Nothing but @bad of the account changes then, and the next call
 * finds the next genuine one: no new connection is needed. -EPIPE: one is.
 */
int talk_recv(struct talk *talk, enum talk_type type, struct buffer *message,
	      int ms);

/* Eve on the classical channel, for scenarios and tests: what goes out is changed
 * with that probability per message. */
enum tamper {
	TAMPER_NONE,
	TAMPER_ALTER,
	TAMPER_DROP,
	TAMPER_REPLAY,
	TAMPER_REORDER,
	TAMPER_TRUNCATE,
};

void talk_tamper(struct talk *talk, enum tamper tamper, double fraction);

#endif
