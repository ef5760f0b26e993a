// SPDX-License-Identifier: GPL-2.0-only
/* Strings of bits. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "bits.h"

#define UNIT 512 /* bits of a cache line */

static size_t bytes_of(size_t room)
{
	return room / 8;
}

int bits_init(struct bits *bits, size_t count)
{
	size_t room = (count / UNIT + 1) * UNIT;

	*bits = (struct bits){ 0 };
	bits->word = aligned_alloc(UNIT / 8, bytes_of(room));
	if (!bits->word)
		return -ENOMEM;
	memset(bits->word, 0, bytes_of(room));
	bits->count = count;
	bits->room = room;
	return 0;
}

void bits_free(struct bits *bits)
{
	if (bits->word) {
		OPENSSL_cleanse(bits->word, bytes_of(bits->room));
		free(bits->word);
	}
	*bits = (struct bits){ 0 };
}

static int bits_reserve(struct bits *bits, size_t count)
{
	struct bits more;

	if (count <= bits->room)
		return 0;
	if (bits_init(&more, count < 2 * bits->room ? 2 * bits->room : count))
		return -ENOMEM;
	if (bits->word)
		memcpy(more.word, bits->word, bytes_of(bits->room));
	more.count = bits->count;
	bits_free(bits);
	*bits = more;
	return 0;
}

int bits_push(struct bits *bits, bool bit)
{
	if (bits->count == bits->room && bits_reserve(bits, bits->count + 1))
		return -ENOMEM;
	bits->count++;
	bits_put(bits, bits->count - 1, bit);
	return 0;
}

uint64_t bits_word(const struct bits *bits, size_t at)
{
	size_t i = at / 64, shift = at % 64, words = bits->room / 64;
	uint64_t word = i < words ? bits->word[i] >> shift : 0;

	if (shift && i + 1 < words)
		word |= bits->word[i + 1] << (64 - shift);
	return word;
}

/* Bits behind the end are zero. */
static void bits_trim(struct bits *bits)
{
	size_t i = bits->count / 64;

	if (i == bits->room / 64)
		return;
	bits->word[i] &= (UINT64_C(1) << (bits->count % 64)) - 1;
	OPENSSL_cleanse(bits->word + i + 1, bytes_of(bits->room) - 8 * (i + 1));
}

int bits_append(struct bits *bits, const struct bits *from)
{
	size_t shift = bits->count % 64, i = bits->count / 64, done;

	if (bits_reserve(bits, bits->count + from->count))
		return -ENOMEM;
	for (done = 0; done < from->count; done += 64, i++) {
		uint64_t word = bits_word(from, done);

		bits->word[i] |= word << shift;
		if (shift && i + 1 < bits->room / 64)
			bits->word[i + 1] = word >> (64 - shift);
		else if (!shift)
			bits->word[i] = word;
	}
	bits->count += from->count;
	bits_trim(bits);
	return 0;
}

int bits_cut(struct bits *bits, size_t count, struct bits *head)
{
	size_t i, words;

	if (bits_init(head, count))
		return -ENOMEM;
	memcpy(head->word, bits->word, (count + 63) / 64 * 8);
	bits_trim(head);
	bits->count -= count;
	words = (bits->count + 63) / 64;
	for (i = 0; i < words; i++)
		bits->word[i] = bits_word(bits, count + 64 * i);
	bits_trim(bits);
	return 0;
}

bool bits_parity(const struct bits *bits, size_t from, size_t to)
{
	size_t i = from / 64, last = to / 64;
	uint64_t sum, low = ~UINT64_C(0) << (from % 64);
	uint64_t high = (UINT64_C(1) << (to % 64)) - 1;

	if (i == last)
		return __builtin_parityll(bits->word[i] & low & high);
	sum = bits->word[i] & low;
	while (++i < last)
		sum ^= bits->word[i];
	if (high)
		sum ^= bits->word[last] & high;
	return __builtin_parityll(sum);
}

size_t bits_distance(const struct bits *a, const struct bits *b)
{
	size_t i, sum = 0;

	for (i = 0; i < (a->count + 63) / 64; i++)
		sum += __builtin_popcountll(a->word[i] ^ b->word[i]);
	return sum;
}

void bits_to_bytes(const struct bits *bits, uint8_t *bytes)
{
	size_t i;

	for (i = 0; i < (bits->count + 7) / 8; i++)
		bytes[i] = bits->word[i / 8] >> (i % 8 * 8);
}

int bits_from_bytes(struct bits *bits, const uint8_t *bytes, size_t count)
{
	size_t i;

	if (bits_init(bits, count))
		return -ENOMEM;
	for (i = 0; i < (count + 7) / 8; i++)
		bits->word[i / 8] |= (uint64_t)bytes[i] << (i % 8 * 8);
	bits_trim(bits);
	return 0;
}
