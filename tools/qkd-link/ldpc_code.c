// SPDX-License-Identifier: GPL-2.0-only
/*
 * Quasi-cyclic codes, made on the spot by rules and a fixed sequence of numbers:
 * columns of weight 2 in a chain, then of 3 and more, each into the rows that have the
 * fewest; shifts such that there is no cycle of four. Documentation/link-recon.md.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ldpc.h"

/**
 * struct maker - a code under construction
 * @shift: of the base matrix, or -1
 * @weight: ones in a row
 * @taken: differences of shifts that a pair of rows has in some column
 */
struct maker {
	uint64_t random;
	unsigned int rows;
	size_t lift;
	int16_t shift[LDPC_FIRST][LDPC_COLUMNS];
	unsigned int weight[LDPC_FIRST];
	uint64_t taken[LDPC_FIRST][LDPC_FIRST][LDPC_LIFT / 64];
};

/* splitmix64: any sequence does that is the same everywhere. */
static unsigned int draw(struct maker *maker, unsigned int below)
{
	uint64_t z = maker->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z >> 32) % below;
}

static unsigned int difference(const struct maker *maker, unsigned int a,
			       unsigned int b)
{
	return (a + maker->lift - b) % maker->lift;
}

/* Would a one with this shift close a cycle of four? */
static bool closes(const struct maker *maker, unsigned int row,
		   unsigned int column, unsigned int shift)
{
	unsigned int i, d;

	for (i = 0; i < maker->rows; i++) {
		if (maker->shift[i][column] < 0)
			continue;
		d = difference(maker, shift, maker->shift[i][column]);
		if (maker->taken[row][i][d / 64] >> d % 64 & 1)
			return true;
	}
	return false;
}

static void place(struct maker *maker, unsigned int row, unsigned int column,
		  unsigned int shift)
{
	unsigned int i, d;

	for (i = 0; i < maker->rows; i++) {
		if (maker->shift[i][column] < 0)
			continue;
		d = difference(maker, shift, maker->shift[i][column]);
		maker->taken[row][i][d / 64] |= UINT64_C(1) << d % 64;
		d = difference(maker, maker->shift[i][column], shift);
		maker->taken[i][row][d / 64] |= UINT64_C(1) << d % 64;
	}
	maker->shift[row][column] = shift;
	maker->weight[row]++;
}

/* Codes with few rows and short rotations have no room without such cycles. */
static void add_edge(struct maker *maker, unsigned int row, unsigned int column)
{
	unsigned int shift, tries = 100;

	do
		shift = draw(maker, maker->lift);
	while (--tries && closes(maker, row, column, shift));
	place(maker, row, column, shift);
}

/* A row with the fewest ones, of those that have none in this column; any of them. */
static unsigned int lightest(struct maker *maker, unsigned int rows,
			     unsigned int column)
{
	unsigned int i, best = 0, found = 0, weight = ~0u;

	for (i = 0; i < rows; i++) {
		if (maker->shift[i][column] >= 0 || maker->weight[i] > weight)
			continue;
		if (maker->weight[i] < weight)
			found = 0;
		weight = maker->weight[i];
		if (!draw(maker, ++found))
			best = i;
	}
	return best;
}
/**
 * struct profile - how heavy columns are, for codes of some rates
 * @below: rows per column; the first profile that has more than a code is its own
 * @two: columns of weight 2, as a share of the rows
 * @middle, @heavy: shares of the columns whose weight is @middle_weight, @heavy_weight;
 *	all others have 3
 * @scale, @offset, @channel: see struct ldpc_code
 */
struct profile {
	double below;
	double two;
	double middle;
	unsigned int middle_weight;
	double heavy;
	unsigned int heavy_weight;
	unsigned int scale;
	int offset;
	int8_t channel;
};

/* What searches came to whose aim was few iterations at an efficiency of 1.14 to 1.25. */
static const struct profile profiles[] = {
	{ 0.085, 0.6, 0.14, 7, 0.20, 12, 13, 40, 14 },
	{ 0.12, 0.6, 0.14, 7, 0.20, 12, 12, 48, 13 },
	{ 0.20, 0.7, 0.09, 5, 0.22, 11, 12, 64, 11 },
	{ 0.31, 0.8, 0.06, 7, 0.15, 12, 13, 32, 11 },
	{ 0.38, 0.5, 0.08, 4, 0.12, 13, 14, 72, 9 },
	{ 0.44, 0.9, 0.20, 4, 0.13, 12, 14, 48, 9 },
	{ 9.99, 0.9, 0.11, 4, 0.11, 11, 15, 64, 7 },
};

static const struct profile *find_profile(const struct ldpc_code *code)
{
	const struct profile *profile = profiles;

	while (code->first >= profile->below * code->columns)
		profile++;
	return profile;
}

/* Ones of a column: the light ones first. */
static unsigned int degree(const struct ldpc_code *code, unsigned int column)
{
	const struct profile *profile = find_profile(code);
	unsigned int two = profile->two * code->first, degree = 3;
	unsigned int heavy = profile->heavy * code->columns;
	unsigned int middle = profile->middle * code->columns;
	unsigned int from_end = code->columns - column;

	if (column < two)
		return 2;
	if (from_end <= heavy)
		degree = profile->heavy_weight;
	else if (from_end <= heavy + middle)
		degree = profile->middle_weight;
	return degree < code->first ? degree : code->first;
}

static void fill(struct maker *maker, const struct ldpc_code *code)
{
	unsigned int i, j, weight;

	for (i = 0; i < code->columns; i++) {
		weight = degree(code, i);
		for (j = 0; j < weight; j++)
			add_edge(maker,
				 weight == 2 ? i + j :
					       lightest(maker, code->first, i),
				 i);
	}
}

/* The edges of a row in any order, so that its halves have some of each kind. */
static unsigned int copy_row(struct maker *maker, unsigned int row,
			     unsigned int columns, struct ldpc_edge *edge)
{
	unsigned int i, other, count = 0;

	for (i = 0; i < columns; i++) {
		if (maker->shift[row][i] < 0)
			continue;
		other = draw(maker, count + 1);
		edge[count++] = edge[other];
		edge[other] = (struct ldpc_edge){ i, maker->shift[row][i] };
	}
	return count;
}

int ldpc_code(struct ldpc_code *code)
{
	struct maker *maker = calloc(1, sizeof(*maker));
	unsigned int i;

	if (!maker)
		return -ENOMEM;
	maker->rows = code->first;
	maker->lift = code->lift;
	memset(maker->shift, 0xff, sizeof(maker->shift));
	fill(maker, code);
	code->scale = find_profile(code)->scale;
	code->offset = find_profile(code)->offset;
	code->channel = find_profile(code)->channel;
	code->rows = code->first;
	code->edges = 0;
	for (i = 0; i < code->first; i++) {
		code->start[i] = code->edges;
		code->weight[i] = copy_row(maker, i, code->columns,
					   code->edge + code->edges);
		code->edges += code->weight[i];
	}
	free(maker);
	return 0;
}

/* Rows are halved one after the other, then the halves. */
static unsigned int parent(const struct ldpc_code *code, unsigned int row)
{
	unsigned int level = code->first;

	while (2 * level <= row)
		level *= 2;
	return row - level;
}

void ldpc_split(struct ldpc_code *code, unsigned int rows)
{
	unsigned int i, from, half;

	for (i = code->rows; i < rows; i++) {
		from = parent(code, i);
		half = (code->weight[from] + 1) / 2;
		code->start[i] = code->start[from] + half;
		code->weight[i] = code->weight[from] - half;
		code->weight[from] = half;
	}
	code->rows = rows;
}

unsigned int ldpc_origin(const struct ldpc_code *code, unsigned int row,
			 unsigned int from)
{
	while (row >= from)
		row = parent(code, row);
	return row;
}

/* Bits k of @sum are changed by bits (k + @shift) % lift of @column. */
static void add_rotated(uint64_t *sum, const uint64_t *column, size_t words,
			unsigned int shift)
{
	size_t i, at = shift / 64;
	unsigned int low = shift % 64;

	for (i = 0; i < words; i++, at++) {
		uint64_t word = column[at % words] >> low;

		if (low)
			word |= column[(at + 1) % words] << (64 - low);
		sum[i] ^= word;
	}
}

void ldpc_syndrome(const struct ldpc_code *code, const uint64_t *frame,
		   unsigned int from, unsigned int to, uint64_t *syndrome)
{
	size_t words = code->lift / 64;
	unsigned int i, j;

	for (i = from; i < to; i++, syndrome += words)
		for (j = 0; j < code->weight[i]; j++) {
			const struct ldpc_edge *edge =
				&code->edge[code->start[i] + j];

			add_rotated(syndrome, frame + edge->column * words,
				    words, edge->shift);
		}
}
