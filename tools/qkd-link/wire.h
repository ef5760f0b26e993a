/* SPDX-License-Identifier: GPL-2.0-only */
/* Bytes over a stream socket, with timeouts. Nothing here is secret. */
#ifndef QKD_LINK_WIRE_H
#define QKD_LINK_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct wire - a connection
 * @fd: or -1
 * @ended: the peer sends no more
 * @in: what came and was not skipped: @size bytes
 * @room: of @in
 * @limit: with so many in @in nothing more is read while we write
 */
struct wire {
	int fd;
	bool ended;
	uint8_t *in;
	size_t size;
	size_t room;
	size_t limit;
};

/* Milliseconds of CLOCK_BOOTTIME. */
int64_t wire_now(void);
/* Takes @fd over; closes the one before, and forgets what came over it. */
void wire_attach(struct wire *wire, int fd);
void wire_free(struct wire *wire);
/* All of it; what comes meanwhile is kept, so that two ends that both write do not
 * wait for each other. -ETIMEDOUT: the peer took nothing for @ms. -EPIPE.
 */
int wire_write(struct wire *wire, const uint8_t *data, size_t size, int ms);
/* At least one byte more in @in. -ETIMEDOUT: none until @deadline. -EPIPE, -ENOMEM. */
int wire_read(struct wire *wire, int64_t deadline);
/* The first @size bytes of @in go. */
void wire_skip(struct wire *wire, size_t size);

#endif
