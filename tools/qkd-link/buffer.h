/* SPDX-License-Identifier: GPL-2.0-only */
/* Bytes of a message that grow at the end and are read from the beginning. */
#ifndef QKD_LINK_BUFFER_H
#define QKD_LINK_BUFFER_H

#include <stddef.h>
#include <stdint.h>

/**
 * struct buffer - the body of a message; numbers in it are big-endian
 * @data: @size bytes
 * @size: what is in it
 * @at: what was read of it
 * @room: what it can hold
 * @bad: something did not fit in or was not there; the rest reads as zeros
 */
struct buffer {
	uint8_t *data;
	size_t size;
	size_t at;
	size_t room;
	int bad;
};

/* Empty again; keeps its memory. */
void buffer_reset(struct buffer *buffer);
/* Wiped, then freed. */
void buffer_free(struct buffer *buffer);
/* An error shows in @bad alone, so that it is looked at once, at the end. */
void buffer_put(struct buffer *buffer, const void *data, size_t size);
void buffer_put_number(struct buffer *buffer, uint64_t number,
		       unsigned int bytes);
/* 7 bits a byte, the least first: for small numbers. */
void buffer_put_varint(struct buffer *buffer, uint64_t number);
void buffer_get(struct buffer *buffer, void *data, size_t size);
uint64_t buffer_get_number(struct buffer *buffer, unsigned int bytes);
uint64_t buffer_get_varint(struct buffer *buffer);
/* 0 if it was read to its end and nothing was bad, else -EBADMSG or -ENOMEM. */
int buffer_done(const struct buffer *buffer);

#endif
