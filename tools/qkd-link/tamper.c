// SPDX-License-Identifier: GPL-2.0-only
/* Eve on the classical channel. */
#include <errno.h>
#include <math.h>

#include <openssl/rand.h>

#include "tamper.h"

/* From 0 to 1, without 1. */
static double draw(void)
{
	uint64_t number = 0;

	if (RAND_bytes((unsigned char *)&number, sizeof(number)) != 1)
		return 0;
	return ldexp(number >> 11, -53);
}

static void swap(struct buffer *a, struct buffer *b)
{
	struct buffer old = *a;

	*a = *b;
	*b = old;
}

/* @first, and behind it @message. */
static int prepend(struct buffer *message, struct buffer *first)
{
	buffer_put(first, message->data, message->size);
	if (first->bad)
		return first->bad;
	swap(message, first);
	return 0;
}

/* The message before once more, and then this one. */
static int replay(struct buffer *message, const struct buffer *old)
{
	struct buffer first = { 0 };
	int err;

	buffer_put(&first, old->data, old->size);
	err = first.bad ?: prepend(message, &first);
	buffer_free(&first);
	return err;
}

static int change(struct tampering *tampering, struct buffer *message)
{
	switch (tampering->how) {
	case TAMPER_ALTER:
		message->data[(size_t)(draw() * message->size)] ^=
			1 << (int)(8 * draw());
		return 0;
	case TAMPER_DROP:
		buffer_reset(message);
		return 0;
	case TAMPER_REPLAY:
		return replay(message, &tampering->old);
	case TAMPER_REORDER:
		swap(message, &tampering->held);
		buffer_reset(message);
		return 0;
	case TAMPER_TRUNCATE:
		message->size = draw() * message->size;
		return 0;
	default:
		return 0;
	}
}

/* The message that was held comes behind the one that was to follow it. */
static int release(struct tampering *tampering, struct buffer *message)
{
	struct buffer *held = &tampering->held;

	buffer_put(message, held->data, held->size);
	buffer_reset(held);
	return message->bad;
}

int tamper_message(struct tampering *tampering, struct buffer *message)
{
	struct buffer now = { 0 };
	int err;

	if (tampering->held.size)
		return release(tampering, message);
	if (tampering->how == TAMPER_NONE)
		return 0;
	buffer_put(&now, message->data, message->size);
	err = now.bad;
	if (!err && draw() < tampering->fraction)
		err = change(tampering, message);
	swap(&tampering->old, &now);
	buffer_free(&now);
	return err;
}

void tamper_reset(struct tampering *tampering)
{
	buffer_reset(&tampering->old);
	buffer_reset(&tampering->held);
}

void tamper_free(struct tampering *tampering)
{
	buffer_free(&tampering->old);
	buffer_free(&tampering->held);
}
