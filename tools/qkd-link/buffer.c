// SPDX-License-Identifier: GPL-2.0-only
/* Bytes of a message. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "buffer.h"

void buffer_reset(struct buffer *buffer)
{
	buffer->size = 0;
	buffer->at = 0;
	buffer->bad = 0;
}

void buffer_free(struct buffer *buffer)
{
	OPENSSL_clear_free(buffer->data, buffer->room);
	*buffer = (struct buffer){ 0 };
}

/* Room for @size bytes more. Old memory is wiped. */
static uint8_t *buffer_extend(struct buffer *buffer, size_t size)
{
	size_t room = buffer->room;
	uint8_t *data;

	if (size > room - buffer->size) {
		room = 2 * room + size;
		data = OPENSSL_clear_realloc(buffer->data, buffer->room, room);
		if (!data) {
			buffer->bad = -ENOMEM;
			return NULL;
		}
		buffer->data = data;
		buffer->room = room;
	}
	data = buffer->data + buffer->size;
	buffer->size += size;
	return data;
}

void buffer_put(struct buffer *buffer, const void *data, size_t size)
{
	uint8_t *to = size ? buffer_extend(buffer, size) : NULL;

	if (to)
		memcpy(to, data, size);
}

void buffer_put_number(struct buffer *buffer, uint64_t number,
		       unsigned int bytes)
{
	uint8_t *to = buffer_extend(buffer, bytes);

	while (to && bytes--)
		*to++ = number >> (8 * bytes);
}

void buffer_put_varint(struct buffer *buffer, uint64_t number)
{
	for (; number > 0x7f; number >>= 7)
		buffer_put_number(buffer, (number & 0x7f) | 0x80, 1);
	buffer_put_number(buffer, number, 1);
}

/* The next @size bytes, or NULL if there are fewer. */
static const uint8_t *buffer_take(struct buffer *buffer, size_t size)
{
	if (buffer->bad || size > buffer->size - buffer->at) {
		buffer->bad = buffer->bad ?: -EBADMSG;
		return NULL;
	}
	buffer->at += size;
	return buffer->data + buffer->at - size;
}

void buffer_get(struct buffer *buffer, void *data, size_t size)
{
	const uint8_t *from = size ? buffer_take(buffer, size) : NULL;

	if (from)
		memcpy(data, from, size);
	else
		memset(data, 0, size);
}

uint64_t buffer_get_number(struct buffer *buffer, unsigned int bytes)
{
	const uint8_t *from = buffer_take(buffer, bytes);
	uint64_t number = 0;

	while (from && bytes--)
		number = number << 8 | *from++;
	return number;
}

uint64_t buffer_get_varint(struct buffer *buffer)
{
	uint64_t number = 0;
	unsigned int shift;
	uint8_t byte;

	for (shift = 0; shift < 64; shift += 7) {
		byte = buffer_get_number(buffer, 1);
		number |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return number;
	}
	buffer->bad = -EBADMSG;
	return 0;
}

int buffer_done(const struct buffer *buffer)
{
	return buffer->bad ?: buffer->at == buffer->size ? 0 : -EBADMSG;
}
