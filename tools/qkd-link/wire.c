// SPDX-License-Identifier: GPL-2.0-only
/* Bytes over a stream socket. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

#define PIECE 65536 /* bytes that are read at a time, at least */

int64_t wire_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

void wire_attach(struct wire *wire, int fd)
{
	if (wire->fd >= 0)
		close(wire->fd);
	wire->fd = fd;
	wire->ended = false;
	wire->size = 0;
}

void wire_free(struct wire *wire)
{
	wire_attach(wire, -1);
	free(wire->in);
	*wire = (struct wire){ .fd = -1 };
}

/* The connection is gone, or it is only not yet ready. */
static int wire_error(int err)
{
	switch (err) {
	case EAGAIN:
	case EINTR:
		return 0;
	case ECONNRESET:
	case ENOTCONN:
		return -EPIPE;
	default:
		return -err;
	}
}

/* Memory grows as bytes come, whatever a length says. */
static int wire_grow(struct wire *wire)
{
	size_t room = 2 * wire->room + PIECE;
	uint8_t *in;

	if (wire->room - wire->size >= PIECE)
		return 0;
	in = realloc(wire->in, room);
	if (!in)
		return -ENOMEM;
	wire->in = in;
	wire->room = room;
	return 0;
}

/* What is there, once. */
static int wire_take(struct wire *wire)
{
	ssize_t got;

	if (wire_grow(wire))
		return -ENOMEM;
	got = recv(wire->fd, wire->in + wire->size, wire->room - wire->size,
		   MSG_DONTWAIT);
	if (got < 0)
		return wire_error(errno);
	wire->ended = !got;
	wire->size += got;
	return 0;
}

/* Waits for @events until @deadline. 0: none; else which there are. */
static int wire_poll(struct wire *wire, short events, int64_t deadline)
{
	struct pollfd poll_fd = { .fd = wire->fd, .events = events };
	int64_t left = deadline - wire_now();
	int count = poll(&poll_fd, 1,
			 left < 0	  ? 0 :
			 left > INT32_MAX ? INT32_MAX :
					    left);

	if (count < 0)
		return errno == EINTR ? 0 : -errno;
	return count ? poll_fd.revents : 0;
}

int wire_write(struct wire *wire, const uint8_t *data, size_t size, int ms)
{
	int64_t deadline = wire_now() + ms;

	while (size) {
		bool reads = !wire->ended && wire->size < wire->limit;
		int err = 0, events;
		ssize_t done;

		if (wire->fd < 0)
			return -EPIPE;
		events = wire_poll(wire, POLLOUT | (reads ? POLLIN : 0),
				   deadline);
		if (events < 0)
			return events;
		if (events & POLLIN)
			err = wire_take(wire);
		if (err)
			return err;
		done = events & ~POLLIN ? send(wire->fd, data, size,
					       MSG_NOSIGNAL | MSG_DONTWAIT) :
					  0;
		if (done < 0)
			err = wire_error(errno);
		if (err)
			return err;
		if (done > 0) {
			data += done;
			size -= done;
			deadline = wire_now() + ms;
		} else if (wire_now() >= deadline) {
			return -ETIMEDOUT;
		}
	}
	return 0;
}

int wire_read(struct wire *wire, int64_t deadline)
{
	size_t size = wire->size;

	while (wire->size == size) {
		int events, err = 0;

		if (wire->fd < 0 || wire->ended)
			return -EPIPE;
		events = wire_poll(wire, POLLIN, deadline);
		if (events < 0)
			return events;
		if (events)
			err = wire_take(wire);
		if (err)
			return err;
		if (!events && wire_now() >= deadline)
			return -ETIMEDOUT;
	}
	return 0;
}

void wire_skip(struct wire *wire, size_t size)
{
	wire->size -= size;
	if (wire->size)
		memmove(wire->in, wire->in + size, wire->size);
}
