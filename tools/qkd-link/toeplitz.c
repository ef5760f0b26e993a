// SPDX-License-Identifier: GPL-2.0-only
/*
 * Privacy amplification: a Toeplitz matrix times the key, as the middle part of a
 * convolution, or of several that are added up. Documentation/link-amplification.md.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "amplify.h"
#include "convolve.h"

#define LENGTH_MAX ((size_t)1 << 26) /* if the result allows: 800 MB in all */

size_t amplify_seed_bits(size_t in, size_t out)
{
	return in + out - 1;
}

/* ---- pieces of a key ---- */

/**
 * struct cut - of a key into pieces that are multiplied one after the other
 * @piece: bits of one, a multiple of 64
 * @length: of a convolution that has the bits of the result behind those of a piece
 */
struct cut {
	size_t piece;
	size_t length;
};

static struct cut cut_into(size_t in, size_t out, size_t pieces)
{
	size_t piece = ((in + pieces - 1) / pieces + 63) / 64 * 64;

	return (struct cut){ piece, convolve_length(piece + out) };
}

/* Transforms there for each piece and its part of the seed, and one back; to get memory, and
 * to wipe it, takes as long as one more, or somewhat longer.
 */
static double work(struct cut cut, size_t in)
{
	size_t pieces = (in + cut.piece - 1) / cut.piece;

	return 2.0 * (pieces + 1) * cut.length * log2(cut.length);
}

/* The one that takes least work; more pieces than these never do. */
static struct cut best_cut(size_t in, size_t out)
{
	struct cut best = cut_into(in, out, 1), other;
	size_t pieces, most = in / out + 1;

	for (pieces = 2; pieces <= most && pieces <= 1000; pieces++) {
		other = cut_into(in, out, pieces);
		if (best.length > LENGTH_MAX ||
		    work(other, in) < work(best, in))
			best = other;
	}
	return best;
}

/* ---- multiplication ---- */

/* Bits @at and on of the key, a piece of it. */
static void key_window(uint64_t *word, size_t words, const struct bits *key,
		       size_t at, size_t piece)
{
	size_t i;

	for (i = 0; i < words; i++)
		word[i] = i < piece / 64 ? bits_word(key, at + 64 * i) : 0;
}

/* Bits @from and on of the seed, where there are some. Elsewhere nothing but zeros of the
 * key meets them: what is there has no pattern, either, so that errors are small.
 */
static void seed_window(uint64_t *word, size_t words, const struct bits *seed,
			ssize_t from)
{
	size_t all = (seed->count + 63) / 64, i;

	for (i = 0; i < words; i++, from += 64)
		if (from >= 0 && (size_t)from < seed->count)
			word[i] = bits_word(seed, from);
		else if (from < 0 && from > -64)
			word[i] = seed->word[0] << -from;
		else
			word[i] = seed->word[i % all];
}

static void take_result(const uint64_t *word, struct bits *out)
{
	memcpy(out->word, word, (out->count + 63) / 64 * 8);
	if (out->count % 64)
		out->word[out->count / 64] &=
			(UINT64_C(1) << (out->count % 64)) - 1;
}

/* Place @piece + i of the sum is bit i of the result: to place @at + k of the key belongs
 * place k of a window, and place count - 1 - @at - k + i of the seed, @piece - k + i of one.
 */
static int multiply(const struct bits *key, const struct bits *seed,
		    struct bits *out)
{
	struct cut cut = best_cut(key->count, out->count);
	size_t words = cut.length / 64, at;
	uint64_t *a = calloc(words, 8), *b = calloc(words, 8);
	struct convolve *convolve = NULL;
	int err = a && b ? convolve_new(&convolve, cut.length) : -ENOMEM;

	for (at = 0; !err && at < key->count; at += cut.piece) {
		key_window(a, words, key, at, cut.piece);
		seed_window(b, words, seed,
			    (ssize_t)(key->count - 1) -
				    (ssize_t)(at + cut.piece));
		convolve_add(convolve, a, b);
	}
	err = err ?: convolve_sum(convolve, a);
	if (!err)
		take_result(a + cut.piece / 64, out);
	convolve_free(convolve);
	OPENSSL_clear_free(a, 8 * words);
	free(b);
	return err;
}

/* ---- an equation that the result has to fulfil ---- */

static uint64_t reversed(uint64_t word)
{
	static const uint64_t mask[] = { 0x5555555555555555, 0x3333333333333333,
					 0x0f0f0f0f0f0f0f0f };
	unsigned int i;

	for (i = 0; i < 3; i++)
		word = (word >> (1 << i) & mask[i]) | (word & mask[i])
							      << (1 << i);
	return __builtin_bswap64(word);
}

/* Bit i of @before: the parity of bits 0 to i - 1. */
static int sum_up(const struct bits *bits, struct bits *before)
{
	uint64_t all = 0, word;
	size_t i, shift;

	if (bits_init(before, bits->count + 1))
		return -ENOMEM;
	for (i = 0; 64 * i < before->count; i++) {
		word = bits_word(bits, 64 * i);
		for (shift = 1; shift < 64; shift *= 2)
			word ^= word << shift;
		before->word[i] = word << 1 ^ all;
		all ^= -(word >> 63);
	}
	return 0;
}

/* Bit j of the key changes as many bits of the result as there are ones in its column:
 * @out bits of the seed from count - 1 - j on.
 */
static bool parity_of_product(const struct bits *key, const struct bits *before,
			      size_t out)
{
	size_t left = key->count, at = 0, take;
	uint64_t sum = 0, word;

	for (; left; left -= take, at += 64) {
		take = left < 64 ? left : 64;
		word = bits_word(key, left - take) << (64 - take);
		sum ^= reversed(word) &
		       (bits_word(before, at) ^ bits_word(before, at + out));
	}
	return __builtin_parityll(sum);
}

/* Rounding cannot be trusted by proof alone, so this is the sum of all rows by other means:
 * it differs if an odd number of bits is wrong.
 */
static int check(const struct bits *key, const struct bits *seed,
		 const struct bits *out)
{
	bool parity = bits_parity(out, 0, out->count);
	struct bits before;
	int err = sum_up(seed, &before);

	if (!err && parity_of_product(key, &before, out->count) != parity)
		err = -ERANGE;
	bits_free(&before);
	return err;
}

int amplify(const struct bits *key, const struct bits *seed, size_t out_bits,
	    struct bits *out)
{
	int err;

	if (!out_bits || out_bits > key->count ||
	    seed->count != amplify_seed_bits(key->count, out_bits))
		return -EINVAL;
	if (bits_init(out, out_bits))
		return -ENOMEM;
	err = multiply(key, seed, out) ?: check(key, seed, out);
	if (err)
		bits_free(out);
	return err;
}
