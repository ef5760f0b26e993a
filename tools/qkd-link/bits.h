/* SPDX-License-Identifier: GPL-2.0-only */
/* Strings of bits: bit i is bit i % 64 of word i / 64. Unused bits are zero. */
#ifndef QKD_LINK_BITS_H
#define QKD_LINK_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct bits - a string of bits, most often secret
 * @word: 64-byte aligned, with room for @room bits
 * @count: bits
 * @room: a multiple of 512
 */
struct bits {
	uint64_t *word;
	size_t count;
	size_t room;
};

/* Zero bits. -ENOMEM. The caller ends it with bits_free(). */
int bits_init(struct bits *bits, size_t count);
/* Wiped, then freed. An all-zero struct is fine, too. */
void bits_free(struct bits *bits);
/* A bit more at the end; grows by doubling, and wipes what it leaves. -ENOMEM. */
int bits_push(struct bits *bits, bool bit);
/* All of @from behind those of @bits. -ENOMEM. */
int bits_append(struct bits *bits, const struct bits *from);
/* Takes the first @count bits away into @head (initialized here). -ENOMEM. */
int bits_cut(struct bits *bits, size_t count, struct bits *head);

static inline bool bits_get(const struct bits *bits, size_t i)
{
	return bits->word[i / 64] >> (i % 64) & 1;
}

static inline void bits_flip(struct bits *bits, size_t i)
{
	bits->word[i / 64] ^= UINT64_C(1) << (i % 64);
}

static inline void bits_put(struct bits *bits, size_t i, bool bit)
{
	uint64_t mask = UINT64_C(1) << (i % 64);

	bits->word[i / 64] = (bits->word[i / 64] & ~mask) | (bit ? mask : 0);
}

/* Bits @at to @at + 63; beyond the end they are zero. */
uint64_t bits_word(const struct bits *bits, size_t at);
/* Parity of bits @from to @to - 1. */
bool bits_parity(const struct bits *bits, size_t from, size_t to);
/* How many differ; both have the same count. */
size_t bits_distance(const struct bits *a, const struct bits *b);
/* As bytes, bit 0 first in the lowest bit of byte 0; (count + 7) / 8 of them. */
void bits_to_bytes(const struct bits *bits, uint8_t *bytes);
int bits_from_bytes(struct bits *bits, const uint8_t *bytes, size_t count);

#endif
