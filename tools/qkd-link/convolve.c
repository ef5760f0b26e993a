// SPDX-License-Identifier: GPL-2.0-only
/*
 * Convolutions of strings of bits as convolutions of numbers, by FFTW in single precision.
 *
 * A bit of b stands for 1/2 or -1/2, so that sums stay near zero, one of a for 0 or 1. Half
 * of the ones of a, less the sum of a[j] b[i - j], is how many pairs of bits are both ones.
 * Documentation/link-amplification.md says how far rounding may lead away from that.
 *
 * Strings of 2 n bits are n complex numbers x[j] + i x[j + n]. Modulo X^n - i these have
 * the product that the bits have modulo X^2n + 1: what wraps around changes its sign.
 * Factors e^(2 pi i j / 4n), here weights and turns, make that a plain cyclic convolution.
 *
 * They are too many for the caches: a matrix whose columns are transformed, then its rows
 * (Bailey, FFTs in external or hierarchical memory, 1990). It is never transposed, since
 * nobody minds the order of what is multiplied place by place, and the way back begins
 * with rows.
 */
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <fftw3.h>
#include <openssl/crypto.h>

#include "convolve.h"

#define COLUMNS_MIN 64
#define BATCH 8 /* columns that are stored at once: a cache line of a row */
#define TILE 32 /* columns that are stored together: see struct convolve */
#define PAD 64 /* between tiles, lest they meet in the same cache lines */
#define AHEAD 32 /* rows, when columns are stored */
#define LENGTH_MAX ((size_t)1 << 31)
#define POWERS_MAX 512 /* tiles at LENGTH_MAX */

#ifdef __x86_64__
#define CLONES __attribute__((target_clones("default", "arch=x86-64-v3")))
#else
#define CLONES
#endif

struct number {
	float re;
	float im;
};

/**
 * struct convolve - a sum of convolutions
 * @rows, @columns: of the matrix. It is stored in tiles of some columns: first row 0 of a
 *	tile, then its row 1; so both columns and rows are read and written in few pages.
 * @tile: from one tile to the next
 * @ones: in all a
 * @empty: nothing has been added yet
 * @a, @b: what comes in
 * @sum: of products, if it is not @empty
 * @batch: columns, one after the other
 * @row_a, @row_b: the row at hand
 * @weight: of each row
 * @turn: of each column in the row at hand
 * @low, @high: columns of a tile: bits of real and of imaginary parts, by rows
 * @worst: of what rounding does, by rows
 */
struct convolve {
	size_t rows;
	size_t columns;
	size_t tile;
	size_t ones;
	bool empty;
	struct number *a;
	struct number *b;
	struct number *sum;
	struct number *batch;
	struct number *row_a;
	struct number *row_b;
	struct number *weight;
	struct number *turn;
	uint32_t *low;
	uint32_t *high;
	float *worst;
	fftwf_plan column_there;
	fftwf_plan column_back;
	fftwf_plan row_there;
	fftwf_plan row_back;
};

/* ---- sizes and memory ---- */

/* Columns: a power of two. Rows: as many, or up to four times; 4 to 7 times one. */
static size_t columns_for(size_t length)
{
	size_t columns = COLUMNS_MIN;

	while (8 * columns * columns < length)
		columns *= 2;
	return columns;
}

static size_t rows_for(size_t length, size_t columns)
{
	size_t least = (length + 2 * columns - 1) / (2 * columns);
	size_t unit = columns / 4;

	if (least < columns)
		least = columns;
	while (least > 8 * unit)
		unit *= 2;
	return (least + unit - 1) / unit * unit;
}

size_t convolve_length(size_t bits)
{
	size_t columns = columns_for(bits);

	return 2 * columns * rows_for(bits, columns);
}

static void *numbers(size_t count)
{
	return aligned_alloc(64, count * sizeof(struct number));
}

static void wipe(void *memory, size_t size)
{
	if (memory)
		OPENSSL_cleanse(memory, size);
	free(memory);
}

static inline struct number product(struct number a, struct number b)
{
	return (struct number){ a.re * b.re - a.im * b.im,
				a.re * b.im + a.im * b.re };
}

/* e^(2 pi i @part / @whole) */
static struct number on_circle(size_t part, size_t whole)
{
	double angle = 2 * M_PI * (part % whole) / whole;

	return (struct number){ cos(angle), sin(angle) };
}

/* In place; estimated, since measuring takes longer than all of a block. */
static fftwf_plan plan(struct number *numbers, size_t count, int sign)
{
	fftwf_complex *in = (fftwf_complex *)numbers;

	return fftwf_plan_dft_1d(count, in, in, sign, FFTW_ESTIMATE);
}

static void transform(fftwf_plan plan, struct number *numbers)
{
	fftwf_execute_dft(plan, (fftwf_complex *)numbers,
			  (fftwf_complex *)numbers);
}

/* FFTW has buffers of its own, and frees them as they are: zeros go through them. */
static void wipe_buffers(struct convolve *c)
{
	memset(c->batch, 0, c->rows * sizeof(*c->batch));
	memset(c->row_a, 0, c->columns * sizeof(*c->row_a));
	transform(c->column_there, c->batch);
	transform(c->column_back, c->batch);
	transform(c->row_there, c->row_a);
	transform(c->row_back, c->row_a);
}

void convolve_free(struct convolve *convolve)
{
	size_t all, rows, columns;

	if (!convolve)
		return;
	if (!convolve->empty)
		wipe_buffers(convolve);
	rows = convolve->rows;
	columns = convolve->columns;
	all = columns / TILE * convolve->tile * sizeof(struct number);
	wipe(convolve->a, all);
	wipe(convolve->b, all);
	wipe(convolve->sum, all);
	wipe(convolve->batch, BATCH * rows * sizeof(struct number));
	wipe(convolve->row_a, columns * sizeof(struct number));
	wipe(convolve->row_b, columns * sizeof(struct number));
	wipe(convolve->low, rows * sizeof(*convolve->low));
	wipe(convolve->high, rows * sizeof(*convolve->high));
	wipe(convolve->worst, rows * sizeof(*convolve->worst));
	free(convolve->weight);
	free(convolve->turn);
	fftwf_destroy_plan(convolve->column_there);
	fftwf_destroy_plan(convolve->column_back);
	fftwf_destroy_plan(convolve->row_there);
	fftwf_destroy_plan(convolve->row_back);
	wipe(convolve, sizeof(*convolve));
}

static int allocate(struct convolve *c)
{
	size_t all = c->columns / TILE * c->tile;

	c->a = numbers(all);
	c->b = numbers(all);
	c->sum = numbers(all);
	c->batch = numbers(BATCH * c->rows);
	c->row_a = numbers(c->columns);
	c->row_b = numbers(c->columns);
	c->weight = numbers(c->rows);
	c->turn = numbers(c->columns);
	c->low = calloc(c->rows, sizeof(*c->low));
	c->high = calloc(c->rows, sizeof(*c->high));
	c->worst = calloc(c->rows, sizeof(*c->worst));
	if (!c->a || !c->b || !c->sum || !c->batch || !c->row_a || !c->row_b ||
	    !c->weight || !c->turn || !c->low || !c->high || !c->worst)
		return -ENOMEM;
	/* "Backward" is the sign that fits weights and turns. */
	c->column_there = plan(c->batch, c->rows, FFTW_BACKWARD);
	c->column_back = plan(c->batch, c->rows, FFTW_FORWARD);
	c->row_there = plan(c->row_a, c->columns, FFTW_BACKWARD);
	c->row_back = plan(c->row_a, c->columns, FFTW_FORWARD);
	return c->column_there && c->column_back && c->row_there &&
			       c->row_back ?
		       0 :
		       -ENOMEM;
}

int convolve_new(struct convolve **convolve, size_t length)
{
	struct convolve *c;
	size_t i;

	*convolve = NULL;
	if (length > LENGTH_MAX)
		return -EINVAL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->columns = columns_for(length);
	c->rows = length / (2 * c->columns);
	c->tile = c->rows * TILE + PAD;
	c->empty = true;
	if (allocate(c)) {
		convolve_free(c);
		return -ENOMEM;
	}
	for (i = 0; i < c->rows; i++)
		c->weight[i] = on_circle(i, 4 * c->rows);
	*convolve = c;
	return 0;
}

/* ---- there: columns ---- */

/* Bits of a tile of columns. */
static void read_bits(struct convolve *c, const uint64_t *bits, size_t column)
{
	size_t step = c->columns / 64, half = c->rows * step, i;
	const uint64_t *word = bits + column / 64;

	for (i = 0; i < c->rows; i++, word += step) {
		c->low[i] = word[0] >> (column % 64);
		c->high[i] = word[half] >> (column % 64);
	}
}

/* Bit @which of each row as a number, with its weight. */
CLONES static void fill_column(struct number *restrict column,
			       const struct number *restrict weight,
			       const uint32_t *restrict low,
			       const uint32_t *restrict high,
			       unsigned int which, size_t rows, float zero,
			       float one)
{
	float more = one - zero;
	size_t i;

	for (i = 0; i < rows; i++) {
		struct number value = {
			zero + more * (int)(low[i] >> which & 1),
			zero + more * (int)(high[i] >> which & 1),
		};

		column[i] = product(value, weight[i]);
	}
}

static void store(const struct number *restrict batch,
		  struct number *restrict tile, size_t rows)
{
	size_t i, j;

	for (i = 0; i < rows; i++, tile += TILE) {
		__builtin_prefetch(tile + AHEAD * TILE, 1);
		for (j = 0; j < BATCH; j++)
			tile[j] = batch[j * rows + i];
	}
}

static void load(struct number *restrict batch,
		 const struct number *restrict tile, size_t rows)
{
	size_t i, j;

	for (i = 0; i < rows; i++, tile += TILE) {
		__builtin_prefetch(tile + AHEAD * TILE);
		for (j = 0; j < BATCH; j++)
			batch[j * rows + i] = tile[j];
	}
}

/* Columns @at to @at + BATCH - 1 of a tile. */
static void transform_batch(struct convolve *c, size_t at, float zero,
			    float one, struct number *tile)
{
	size_t i;

	for (i = 0; i < BATCH; i++) {
		struct number *column = c->batch + i * c->rows;

		fill_column(column, c->weight, c->low, c->high, at + i, c->rows,
			    zero, one);
		transform(c->column_there, column);
	}
	store(c->batch, tile + at, c->rows);
}

/* All columns of @bits, whose zeros and ones stand for these numbers. */
static void transform_columns(struct convolve *c, const uint64_t *bits,
			      float zero, float one, struct number *matrix)
{
	size_t column, at;

	for (column = 0; column < c->columns; column += TILE) {
		read_bits(c, bits, column);
		for (at = 0; at < TILE; at += BATCH)
			transform_batch(c, at, zero, one, matrix);
		matrix += c->tile;
	}
}

/* ---- rows ---- */

/* e^(2 pi i @part k / @whole) for each k below @count, in double precision by doubling. */
static void powers(struct number *power, size_t count, size_t part,
		   size_t whole)
{
	double re[POWERS_MAX] = { 1 }, im[POWERS_MAX] = { 0 };
	size_t have, i;

	for (have = 1; have < count; have *= 2, part = 2 * part % whole) {
		double angle = 2 * M_PI * part / whole;
		double step_re = cos(angle), step_im = sin(angle);

		for (i = 0; i < have; i++) {
			re[have + i] = re[i] * step_re - im[i] * step_im;
			im[have + i] = re[i] * step_im + im[i] * step_re;
		}
	}
	for (i = 0; i < count; i++)
		power[i] = (struct number){ re[i], im[i] };
}

CLONES static void outer_product(struct number *restrict turn,
				 const struct number *restrict coarse,
				 const struct number *restrict fine,
				 size_t count)
{
	size_t i, k;

	for (i = 0; i < count; i++)
		for (k = 0; k < TILE; k++)
			turn[i * TILE + k] = product(coarse[i], fine[k]);
}

/* Column k of this row turns by k (@row + 1/4) / points: what is between the transforms of
 * columns and rows, and the quarter what weights left over.
 */
static void set_turns(struct convolve *c, size_t row)
{
	size_t whole = 4 * c->rows * c->columns, part = 4 * row + 1;
	size_t count = c->columns / TILE;
	struct number fine[TILE], coarse[POWERS_MAX];

	powers(fine, TILE, part, whole);
	powers(coarse, count, TILE * part % whole, whole);
	outer_product(c->turn, coarse, fine, count);
}

/* The row after one is next: its numbers in this tile. */
static inline void expect_next(const struct number *row)
{
	size_t k;

	for (k = TILE; k < 2 * TILE; k += BATCH)
		__builtin_prefetch(row + k, 1);
}

/* @row = that of @matrix, turned. */
CLONES static void take_row(struct number *restrict row,
			    const struct number *restrict matrix,
			    const struct number *restrict turn, size_t columns,
			    size_t tile)
{
	size_t i, k;

	for (i = 0; i < columns; i += TILE, matrix += tile) {
		expect_next(matrix);
		for (k = 0; k < TILE; k++)
			row[i + k] = product(matrix[k], turn[i + k]);
	}
}

/* That of @matrix = @a * @b. */
CLONES static void put_product(struct number *restrict matrix,
			       const struct number *restrict a,
			       const struct number *restrict b, size_t columns,
			       size_t tile)
{
	size_t i, k;

	for (i = 0; i < columns; i += TILE, matrix += tile)
		for (k = 0; k < TILE; k++)
			matrix[k] = product(a[i + k], b[i + k]);
}

CLONES static void add_product(struct number *restrict matrix,
			       const struct number *restrict a,
			       const struct number *restrict b, size_t columns,
			       size_t tile)
{
	size_t i, k;

	for (i = 0; i < columns; i += TILE, matrix += tile) {
		expect_next(matrix);
		for (k = 0; k < TILE; k++) {
			struct number more = product(a[i + k], b[i + k]);

			matrix[k].re += more.re;
			matrix[k].im += more.im;
		}
	}
}

/* Transforms of a row of a and of b. Their product is all there is, and goes to the place
 * of a; or it is added to the sum.
 */
static void add_row(struct convolve *c, size_t row)
{
	struct number *a = c->a + row * TILE, *b = c->b + row * TILE;

	set_turns(c, row);
	take_row(c->row_a, a, c->turn, c->columns, c->tile);
	take_row(c->row_b, b, c->turn, c->columns, c->tile);
	transform(c->row_there, c->row_a);
	transform(c->row_there, c->row_b);
	if (c->empty)
		put_product(a, c->row_a, c->row_b, c->columns, c->tile);
	else
		add_product(c->sum + row * TILE, c->row_a, c->row_b, c->columns,
			    c->tile);
}

/* ---- back: rows ---- */

static void take_sum(struct number *restrict row,
		     const struct number *restrict matrix, size_t columns,
		     size_t tile)
{
	size_t i;

	for (i = 0; i < columns; i += TILE, matrix += tile) {
		expect_next(matrix);
		memcpy(row + i, matrix, TILE * sizeof(*row));
	}
}

/* That of @matrix = @row, turned back. */
CLONES static void put_row(struct number *restrict matrix,
			   const struct number *restrict row,
			   const struct number *restrict turn, size_t columns,
			   size_t tile)
{
	size_t i, k;

	for (i = 0; i < columns; i += TILE, matrix += tile)
		for (k = 0; k < TILE; k++) {
			struct number back = { turn[i + k].re,
					       -turn[i + k].im };

			matrix[k] = product(row[i + k], back);
		}
}

static void row_back(struct convolve *c, size_t row)
{
	struct number *sum = c->sum + row * TILE;

	set_turns(c, row);
	take_sum(c->row_a, sum, c->columns, c->tile);
	transform(c->row_back, c->row_a);
	put_row(sum, c->row_a, c->turn, c->columns, c->tile);
}

/* ---- back: columns ---- */

/**
 * struct rounding - how numbers become bits
 * @scale: what a transform there and back multiplies them by
 * @half: of the ones of all a; a whole number more or less is no matter if it is even
 */
struct rounding {
	float scale;
	float half;
};

/* The whole number next to one below 2^22: its last bit is that of what a float has after
 * this is added. A larger one is as bad as one that is far from whole.
 */
#define ROUND 0x1.8p23f
#define LARGEST 0x1p21f
#define DOUBT .125f

static inline uint32_t last_bit(float value, float *worst)
{
	float moved = value + ROUND, off = fabsf(value - (moved - ROUND));
	float size = fabsf(value) * (DOUBT / LARGEST);
	uint32_t raw;

	memcpy(&raw, &moved, sizeof(raw));
	off = off > size ? off : size;
	*worst = off > *worst ? off : *worst;
	return raw & 1;
}

CLONES static void round_column(const struct number *restrict column,
				const struct number *restrict weight,
				uint32_t *restrict low, uint32_t *restrict high,
				float *restrict worst, unsigned int which,
				size_t rows, struct rounding rounding)
{
	size_t i;

	for (i = 0; i < rows; i++) {
		struct number back = { weight[i].re, -weight[i].im };
		struct number sum = product(column[i], back);
		float re = rounding.half - rounding.scale * sum.re;
		float im = rounding.half - rounding.scale * sum.im;

		low[i] |= last_bit(re, &worst[i]) << which;
		high[i] |= last_bit(im, &worst[i]) << which;
	}
}

/* Bits of a tile of columns, added to what there is. */
static void write_bits(struct convolve *c, uint64_t *bits, size_t column)
{
	size_t step = c->columns / 64, half = c->rows * step, i;
	uint64_t *word = bits + column / 64;

	for (i = 0; i < c->rows; i++, word += step) {
		word[0] |= (uint64_t)c->low[i] << (column % 64);
		word[half] |= (uint64_t)c->high[i] << (column % 64);
	}
}

static void batch_back(struct convolve *c, size_t at, struct rounding rounding,
		       const struct number *tile)
{
	size_t i;

	load(c->batch, tile + at, c->rows);
	for (i = 0; i < BATCH; i++) {
		struct number *column = c->batch + i * c->rows;

		transform(c->column_back, column);
		round_column(column, c->weight, c->low, c->high, c->worst,
			     at + i, c->rows, rounding);
	}
}

static void columns_back(struct convolve *c, uint64_t *bits)
{
	struct rounding rounding = { 1.0f / (c->rows * c->columns),
				     c->ones % 4 / 2.0f };
	const struct number *tile = c->sum;
	size_t column, at;

	memset(bits, 0, c->rows * c->columns / 4);
	for (column = 0; column < c->columns; column += TILE) {
		memset(c->low, 0, c->rows * sizeof(*c->low));
		memset(c->high, 0, c->rows * sizeof(*c->high));
		for (at = 0; at < TILE; at += BATCH)
			batch_back(c, at, rounding, tile);
		write_bits(c, bits, column);
		tile += c->tile;
	}
}

/* ---- a sum ---- */

void convolve_add(struct convolve *convolve, const uint64_t *a,
		  const uint64_t *b)
{
	size_t words = convolve->rows * convolve->columns / 32, i;
	struct number *product = convolve->a;

	for (i = 0; i < words; i++)
		convolve->ones += __builtin_popcountll(a[i]);
	transform_columns(convolve, a, 0, 1, convolve->a);
	transform_columns(convolve, b, .5f, -.5f, convolve->b);
	for (i = 0; i < convolve->rows; i++)
		add_row(convolve, i);
	if (!convolve->empty)
		return;
	convolve->a = convolve->sum;
	convolve->sum = product;
	convolve->empty = false;
}

int convolve_sum(struct convolve *convolve, uint64_t *sum)
{
	float worst = 0;
	size_t i;

	for (i = 0; i < convolve->rows; i++)
		row_back(convolve, i);
	columns_back(convolve, sum);
	for (i = 0; i < convolve->rows; i++)
		worst = fmaxf(worst, convolve->worst[i]);
	return worst < DOUBT ? 0 : -ERANGE;
}
