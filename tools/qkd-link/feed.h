/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Final key into the streams of the user link at both ends, by need. qkdd(8) runs
 * beside it: the generation and the confirmation of blocks are its own.
 */
#ifndef QKD_LINK_FEED_H
#define QKD_LINK_FEED_H

#include "stats.h"
#include "talk.h"

struct feed;

/* @dev: NULL: key is wiped (--dry-run). -1: an error was said. */
int feed_open(struct feed **feed, const char *dev, bool alice);
void feed_close(struct feed *feed);
/* L of the link, zeros in a dry run. */
const uint8_t *feed_hash(const struct feed *feed);
/* Looks at the link: has it a generation, and is its node ours? Says in the log when that
 * changes. */
bool feed_ready(struct feed *feed);
/* As it was looked at last: has a stream that this end allocates from room? */
bool feed_needs(const struct feed *feed);
void feed_levels(const struct feed *feed, struct stats *stats);
/* Both ends at once: @key into streams. *@fed: bytes of it that are in one here, @why: why that
 * is none. An error is of the connection. @key is the caller's to wipe. */
int feed_key(struct feed *feed, struct talk *talk, const uint8_t *key,
	     size_t size, uint64_t *fed, const char **why);
/* To the kernel, for who looks at the link: QBER (0..1), bits of key that come into streams
 * per second, and why none does: QKD_REPORT_*. */
void feed_report(struct feed *feed, double qber, double rate, uint32_t alarms);

#endif
