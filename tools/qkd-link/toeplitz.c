// SPDX-License-Identifier: GPL-2.0-only
/*
 * Privacy amplification: a Toeplitz matrix times the key, as the middle part of
 * a convolution, by FFTW. Documentation/link-amplification.md has the argument
 * that its rounding errors stay far below what would change a bit.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include <fftw3.h>
#include <openssl/crypto.h>

#include "amplify.h"

/* Points of a transform for a small key; above, what the key and the result need. */
#define POINTS_MIN 4096

/**
 * struct work - the transforms of one multiplication
 * @points: of a transform
 * @piece: bits of the key that go into one
 * @key, @seed: a piece of each, and then its transform, in place
 * @sum: of the products of the transforms
 * @forward: of @key or @seed
 * @backward: of @sum
 */
struct work {
	size_t points;
	size_t piece;
	double *key;
	double *seed;
	double *sum;
	fftw_plan forward;
	fftw_plan backward;
};

size_t amplify_seed_bits(size_t in, size_t out)
{
	return in + out - 1;
}

/* The least 2^a or 3 * 2^a that is no smaller: FFTW is fast there. */
static size_t good_size(size_t least)
{
	size_t points = POINTS_MIN;

	while (points < least) {
		if (points / 2 * 3 >= least)
			return points / 2 * 3;
		points *= 2;
	}
	return points;
}

static size_t row(const struct work *work)
{
	return work->points + 2; /* of a transform in place */
}

static void work_free(struct work *work)
{
	double *arrays[] = { work->key, work->seed, work->sum };
	size_t i;

	for (i = 0; i < sizeof(arrays) / sizeof(*arrays); i++) {
		if (arrays[i])
			OPENSSL_cleanse(arrays[i], row(work) * sizeof(double));
		fftw_free(arrays[i]);
	}
	fftw_destroy_plan(work->forward);
	fftw_destroy_plan(work->backward);
}

/* Transforms for pieces of a key of @in bits, at least as long as the result. */
static int work_init(struct work *work, size_t in, size_t out)
{
	size_t all = good_size(in + out), some = good_size(2 * out);
	size_t points = all < some ? all : some;

	*work = (struct work){ .points = points, .piece = points - out + 1 };
	if (points > INT32_MAX)
		return -EINVAL;
	work->key = fftw_alloc_real(row(work));
	work->seed = fftw_alloc_real(row(work));
	work->sum = fftw_alloc_real(row(work));
	if (!work->key || !work->seed || !work->sum)
		return -ENOMEM;
	work->forward = fftw_plan_dft_r2c_1d(
		points, work->key, (fftw_complex *)work->key, FFTW_ESTIMATE);
	work->backward = fftw_plan_dft_c2r_1d(points, (fftw_complex *)work->sum,
					      work->sum, FFTW_ESTIMATE);
	if (!work->forward || !work->backward)
		return -ENOMEM;
	memset(work->sum, 0, row(work) * sizeof(double));
	return 0;
}

/* Bits from @from on, which may be before the first; where there are none, zeros. */
static void load(double *row, size_t points, const struct bits *bits,
		 ssize_t from, size_t count)
{
	size_t i = from < 0 ? -from : 0, end = bits->count - from;

	memset(row, 0, points * sizeof(*row));
	if (end > count)
		end = count;
	for (; i < end; i++)
		row[i] = bits_get(bits, from + i);
}

/* @sum += @key * @seed, of complex numbers. */
static void add_product(struct work *work)
{
	size_t i;

	for (i = 0; i < row(work); i += 2) {
		double re = work->key[i], im = work->key[i + 1];

		work->sum[i] += re * work->seed[i] - im * work->seed[i + 1];
		work->sum[i + 1] += re * work->seed[i + 1] + im * work->seed[i];
	}
}

/* Bits @at to @at + @piece - 1 of the key, with the columns of the matrix that are theirs. */
static void add_piece(struct work *work, const struct bits *key,
		      const struct bits *seed, size_t at, size_t out)
{
	size_t piece = work->piece;

	load(work->key, work->points, key, at, piece);
	load(work->seed, work->points, seed,
	     (ssize_t)(key->count - at) - (ssize_t)piece, piece + out - 1);
	fftw_execute_dft_r2c(work->forward, work->key,
			     (fftw_complex *)work->key);
	fftw_execute_dft_r2c(work->forward, work->seed,
			     (fftw_complex *)work->seed);
	add_product(work);
}

/* Sums of the bits of each row are whole numbers: their last bits are the result. One that
 * is not near a whole number is no result.
 */
static int round_off(const struct work *work, struct bits *out)
{
	const double *sum = work->sum + work->piece - 1;
	double worst = 0;
	size_t i;

	for (i = 0; i < out->count; i++) {
		double value = sum[i] / work->points, whole = rint(value);
		double error = fabs(value - whole);

		out->word[i / 64] |= (uint64_t)((int64_t)whole & 1) << i % 64;
		worst = error > worst ? error : worst;
	}
	return worst < .125 ? 0 : -ERANGE;
}

int amplify(const struct bits *key, const struct bits *seed, size_t out_bits,
	    struct bits *out)
{
	struct work work;
	size_t at;
	int err;

	if (!out_bits || out_bits > key->count ||
	    seed->count != amplify_seed_bits(key->count, out_bits))
		return -EINVAL;
	if (bits_init(out, out_bits))
		return -ENOMEM;
	err = work_init(&work, key->count, out_bits);
	for (at = 0; !err && at < key->count; at += work.piece)
		add_piece(&work, key, seed, at, out_bits);
	if (!err) {
		fftw_execute(work.backward);
		err = round_off(&work, out);
	}
	work_free(&work);
	if (err)
		bits_free(out);
	return err;
}
