/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two connections join the ends: the classical channel (talk.h), and light. Light
 * goes from Alice to Bob in frames; to a dark one Bob answers what he is ready for.
 */
#ifndef QKD_LINK_JOIN_H
#define QKD_LINK_JOIN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "buffer.h"
#include "wire.h"

/* Where to listen or connect: a path, or else ADDRESS:PORT. */
static inline bool is_path(const char *address)
{
	return strchr(address, '/');
}

/**
 * struct join - how the ends meet
 * @listener: socket, or -1: this end connects to @address
 * @talk: the classical channel, and what came over it already
 * @light: socket, or -1
 */
struct join {
	bool listens;
	char address[128];
	int listener;
	struct wire talk;
	int light;
};

/* Listens, if it is to. An error was said. */
int join_open(struct join *join, bool listens, const char *address);
/* Whether who is at the other end of @talk and @light is the peer. At the end that listens
 * its first message has come. -EBADMSG: it is not; others: there is no use in a next one.
 */
typedef int (*join_prove_fn)(void *arg);
/* Both connections, within @ms, of one who proves it. The end that listens hears many at a
 * time, and lets go who is not the peer, or says nothing. -ETIMEDOUT, -EINTR and others.
 */
int join_meet(struct join *join, int ms, join_prove_fn prove, void *arg);
/* Both are closed. */
void join_part(struct join *join);
void join_close(struct join *join);

enum frame {
	FRAME_DARK, /* no light; Bob answers */
	FRAME_BLOCK, /* a block begins: TALK_BLOCK follows on the other connection */
	FRAME_TRAIN, /* light; Bob answers when he has measured it */
	FRAME_SIFT, /* that was the last of the block: Bob tells (TALK_SIFT) */
	FRAME_END, /* Alice has no more blocks */
	FRAMES,
};

/* What Bob answers: bits. */
#define BOB_READY 1 /* his streams take key */
#define BOB_NEEDS 2 /* and have room */
#define BOB_STOPPED 4 /* his key of the tags is at its low mark */
#define BOB_FULL \
	8 /* to a train: he has far more clicks than a block should have */

/* @clock: of the link, in seconds. */
int light_send(int fd, enum frame frame, double clock,
	       const struct buffer *train);
int light_recv(int fd, enum frame *frame, double *clock, struct buffer *train,
	       int ms);
int light_answer(int fd, uint8_t status);
int light_answered(int fd, uint8_t *status, int ms);

#endif
