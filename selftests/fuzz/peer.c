// SPDX-License-Identifier: GPL-2.0-only
/*
 * What comes from another qkdd, for tools/qkdd/proto.c: messages one after the
 * other, or the inside of one, without its length. What is taken for a message is
 * what would be written for it.
 */
#include <stdlib.h>
#include <string.h>

#include "../../tools/qkdd/qkdd.h"

#define LENGTH_LEN 4

static void read_all(const uint8_t *data, size_t size)
{
	uint8_t again[FRAME_MAX];
	struct msg msg;
	size_t took;

	for (; size; data += took, size -= took) {
		took = size;
		if (msg_unpack(&msg, data, &took) || !took)
			break;
		if (took > size || msg_pack(&msg, again) != took ||
		    memcmp(again, data, took))
			abort();
	}
}

/* A length that is right by chance would be rare. */
static void read_inside(const uint8_t *data, size_t size)
{
	uint8_t *frame = malloc(LENGTH_LEN + size);

	frame[0] = frame[1] = 0;
	frame[2] = size >> 8;
	frame[3] = size;
	memcpy(frame + LENGTH_LEN, data, size);
	read_all(frame, LENGTH_LEN + size);
	free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_all(data, size);
	if (size <= FRAME_MAX - LENGTH_LEN)
		read_inside(data, size);
	return 0;
}
