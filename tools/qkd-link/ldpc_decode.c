// SPDX-License-Identifier: GPL-2.0-only
/*
 * Decoder: normalized min-sum in layers, a row of the base matrix at a time, on bytes
 * that stay within their range by themselves, so that the compiler can take as many at
 * once as the machine has lanes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "ldpc.h"

#define ITERATIONS 40
#define LANES 64 /* at a time; divides every lift */
/* A belief is the sum of what comes in, at most LIMIT + MESSAGE, and one message. */
#define MESSAGE 31
#define LIMIT 65

#ifdef __x86_64__
#define CLONES __attribute__((target_clones("default", "avx2")))
#else
#define CLONES
#endif

/**
 * struct row - of the layer at hand, for each check
 * @least, @next: the smallest two of what comes in
 * @sign: in its top bit, the sign that what goes out has in all
 * @parity: in its top bit, whether beliefs do not fit the syndrome
 */
struct row {
	int8_t least[LDPC_LIFT];
	int8_t next[LDPC_LIFT];
	int8_t sign[LDPC_LIFT];
	int8_t parity[LDPC_LIFT];
};

/**
 * struct ldpc_decoder - memory of decoding; secret, since it has the errors
 * @belief: per column, positive: no error. Twice, so that a rotation is an offset. A
 *	column is kept as the last row that used it left it.
 * @message: per edge, from check to bit
 * @in: per edge of a row, from bit to check
 * @turn: per edge, rotation since the last row that used this column
 * @left: per column, rotation in which the last row leaves it
 * @offset: 16ths that are taken off what checks say, in this iteration
 */
struct ldpc_decoder {
	const struct ldpc_code *code;
	unsigned int rows; /* of the code that @turn is for */
	int8_t belief[LDPC_COLUMNS][2 * LDPC_LIFT];
	int8_t in[LDPC_COLUMNS][LDPC_LIFT];
	struct row row;
	int8_t target[LDPC_ROWS][LDPC_LIFT];
	uint16_t left[LDPC_COLUMNS];
	uint16_t *turn;
	int8_t *message;
	int offset;
};

int ldpc_decoder_new(struct ldpc_decoder **decoder,
		     const struct ldpc_code *code)
{
	size_t edges = code->edges;
	struct ldpc_decoder *d = aligned_alloc(64, (sizeof(*d) + 63) / 64 * 64);

	*decoder = d;
	if (!d)
		return -ENOMEM;
	d->code = code;
	d->rows = 0;
	d->turn = malloc(edges * sizeof(*d->turn));
	d->message = aligned_alloc(64, edges * code->lift);
	if (d->turn && d->message)
		return 0;
	ldpc_decoder_free(d);
	*decoder = NULL;
	return -ENOMEM;
}

void ldpc_decoder_free(struct ldpc_decoder *decoder)
{
	const struct ldpc_code *code;

	if (!decoder)
		return;
	code = decoder->code;
	if (decoder->message)
		OPENSSL_cleanse(decoder->message, code->edges * code->lift);
	free(decoder->message);
	free(decoder->turn);
	OPENSSL_cleanse(decoder, sizeof(*decoder));
	free(decoder);
}

/* How far a row turns the columns that it uses. */
static void turn_row(struct ldpc_decoder *d, unsigned int row)
{
	const struct ldpc_code *code = d->code;
	unsigned int i, first = code->start[row];

	for (i = first; i < first + code->weight[row]; i++) {
		const struct ldpc_edge *edge = &code->edge[i];

		d->turn[i] =
			(edge->shift + code->lift - d->left[edge->column]) %
			code->lift;
		d->left[edge->column] = edge->shift;
	}
}

static void turn_all(struct ldpc_decoder *d)
{
	unsigned int row, rows = d->code->rows;

	if (d->rows == rows)
		return;
	d->rows = rows;
	/* Twice: the first time finds out how the last row leaves a column. */
	memset(d->left, 0, sizeof(d->left));
	for (row = 0; row < 2 * rows; row++)
		turn_row(d, row % rows);
}

/* From bits to checks: what is believed without what this check said. */
CLONES static void gather(struct row *restrict row,
			  const int8_t *restrict belief,
			  const int8_t *restrict message, int8_t *restrict in,
			  size_t lift)
{
	size_t i, k;

	for (i = 0; i < lift; i += LANES)
		for (k = i; k < i + LANES; k++) {
			int8_t value = belief[k] - message[k], size, larger;

			value = value > LIMIT ? LIMIT : value;
			value = value < -LIMIT ? -LIMIT : value;
			in[k] = value;
			size = value < 0 ? -value : value;
			larger = size > row->least[k] ? size : row->least[k];
			row->next[k] = larger < row->next[k] ? larger :
							       row->next[k];
			row->least[k] = size < row->least[k] ? size :
							       row->least[k];
			row->sign[k] ^= value;
			row->parity[k] ^= belief[k];
		}
}

/* From checks to bits: the smallest of the others, with the sign that fits. */
CLONES static void scatter(const struct row *restrict row,
			   const int8_t *restrict out_least,
			   const int8_t *restrict out_next,
			   int8_t *restrict belief, int8_t *restrict message,
			   const int8_t *restrict in, size_t lift)
{
	size_t i, k;

	for (i = 0; i < lift; i += LANES)
		for (k = i; k < i + LANES; k++) {
			int8_t value = in[k];
			int8_t size = value < 0 ? -value : value;
			int8_t sign = row->sign[k] ^ value;
			int8_t least = out_least[k], next = out_next[k];
			int8_t out = size == row->least[k] ? next : least;

			out = sign < 0 ? -out : out;
			message[k] = out;
			belief[k] = value + out;
			belief[k + lift] = value + out;
		}
}

/* The usual corrections of min-sum, which promises too much. */
CLONES static void normalize(const int8_t *restrict in, int8_t *restrict out,
			     size_t lift, int16_t scale, int16_t offset)
{
	size_t i, k;

	for (i = 0; i < lift; i += LANES)
		for (k = i; k < i + LANES; k++) {
			int16_t value = in[k] * scale - offset;

			value = value < 0 ? 0 : value >> 4;
			out[k] = value > MESSAGE ? MESSAGE : value;
		}
}

/* A row of the base matrix. True: what was believed before fits the syndrome. */
static bool layer(struct ldpc_decoder *d, unsigned int index)
{
	const struct ldpc_code *code = d->code;
	size_t lift = code->lift, k;
	int8_t least[LDPC_LIFT], next[LDPC_LIFT], bad = 0;
	unsigned int i, first = code->start[index];
	unsigned int last = first + code->weight[index];

	memset(d->row.least, LIMIT, sizeof(d->row.least));
	memset(d->row.next, LIMIT, sizeof(d->row.next));
	memcpy(d->row.sign, d->target[index], lift);
	memcpy(d->row.parity, d->target[index], lift);
	for (i = first; i < last; i++)
		gather(&d->row, d->belief[code->edge[i].column] + d->turn[i],
		       d->message + i * lift, d->in[i - first], lift);
	normalize(d->row.least, least, lift, code->scale, d->offset);
	normalize(d->row.next, next, lift, code->scale, d->offset);
	for (i = first; i < last; i++)
		scatter(&d->row, least, next, d->belief[code->edge[i].column],
			d->message + i * lift, d->in[i - first], lift);
	for (k = 0; k < lift; k++)
		bad |= d->row.parity[k];
	OPENSSL_cleanse(least, sizeof(least));
	OPENSSL_cleanse(next, sizeof(next));
	return bad >= 0;
}

/* Nothing is known but that errors are rare, and that there are none behind the end. */
static void start(struct ldpc_decoder *d, const uint64_t *syndrome, size_t size)
{
	const struct ldpc_code *code = d->code;
	size_t lift = code->lift, i, k, place;

	for (i = 0; i < code->columns; i++) {
		memset(d->belief[i], code->channel, 2 * lift);
		for (k = 0; (i + 1) * lift > size && k < lift; k++) {
			place = i * lift + (k + d->left[i]) % lift;
			if (place < size)
				continue;
			d->belief[i][k] = LIMIT;
			d->belief[i][k + lift] = LIMIT;
		}
	}
	for (i = 0; i < d->rows; i++)
		for (k = 0; k < lift; k++) {
			place = i * lift + k;
			d->target[i][k] = (syndrome[place / 64] >> place % 64)
					  << 7;
		}
	memset(d->message, 0, code->edges * lift);
}

static void decide(const struct ldpc_decoder *d, uint64_t *errors)
{
	size_t lift = d->code->lift, i, j, k;

	for (i = 0; i < d->code->columns; i++) {
		/* Turned back. */
		const int8_t *belief = d->belief[i] + (lift - d->left[i]);

		for (j = 0; j < lift; j += 64, errors++)
			for (*errors = 0, k = 0; k < 64; k++)
				*errors |= (uint64_t)(belief[j + k] < 0) << k;
	}
}

/* Beliefs fitted each row when its turn came; now do they fit all at once? */
static bool fits(const struct ldpc_decoder *d, const uint64_t *syndrome,
		 const uint64_t *errors)
{
	size_t words = d->rows * d->code->lift / 64;
	uint64_t sum[LDPC_ROWS * LDPC_LIFT / 64];
	bool same;

	memcpy(sum, syndrome, words * 8);
	ldpc_syndrome(d->code, errors, 0, d->rows, sum);
	while (words > 0 && !sum[words - 1])
		words--;
	same = !words;
	OPENSSL_cleanse(sum, sizeof(sum));
	return same;
}

bool ldpc_decode(struct ldpc_decoder *decoder, const uint64_t *syndrome,
		 size_t size, uint64_t *errors)
{
	unsigned int i, row;
	bool good;

	turn_all(decoder);
	start(decoder, syndrome, size);
	decoder->offset = decoder->code->offset;
	for (i = 0; i < ITERATIONS;
	     i++, decoder->offset -= decoder->offset / 4) {
		good = true;
		for (row = 0; row < decoder->rows; row++)
			good &= layer(decoder, row);
		if (!good)
			continue;
		decide(decoder, errors);
		if (fits(decoder, syndrome, errors))
			return true;
	}
	return false;
}
