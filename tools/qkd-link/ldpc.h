/* SPDX-License-Identifier: GPL-2.0-only */
/* Low-density parity-check codes, of recon.c: ldpc.c, ldpc_code.c, ldpc_decode.c. */
#ifndef QKD_LINK_LDPC_H
#define QKD_LINK_LDPC_H

#include "recon.h"

/* Both ends call it with the same @qber. @key of the end that is not @alice changes;
 * frames that fail leave it at both.
 */
int ldpc(bool alice, struct talk *talk, struct bits *key, double qber,
	 struct recon_result *result);

#define LDPC_LEAST 4096 /* bits; shorter keys go by Cascade */
#define LDPC_COLUMNS 256 /* of the base matrix, at most */
#define LDPC_ROWS 240 /* at most, extensions included */
#define LDPC_FIRST 150 /* rows that are told at once, at most */
#define LDPC_LIFT 256 /* at most; a multiple of 64 */

/**
 * struct ldpc_edge - a one of the base matrix: a rotated identity matrix
 * @column: where it is
 * @shift: row k of the rotated matrix has its one in column (k + @shift) % lift
 */
struct ldpc_edge {
	uint16_t column;
	uint16_t shift;
};

/**
 * struct ldpc_code - made from these three numbers, so that both ends have the same
 * @lift: rows and columns of a rotated matrix
 * @columns: of the base matrix
 * @first: rows that are told at once
 * @rows: that there are now: see ldpc_split()
 * @start: where in @edge a row begins
 * @weight: its ones
 * @edges: of all rows
 * @scale: 16ths of what min-sum says that the decoder believes
 * @offset: ... less so many 16ths, at first; a quarter of it goes with each iteration
 * @channel: what it believes of a bit before: no error
 */
struct ldpc_code {
	size_t lift;
	unsigned int columns;
	unsigned int first;
	unsigned int rows;
	unsigned int edges;
	unsigned int scale;
	int offset;
	int8_t channel;
	unsigned int start[LDPC_ROWS];
	unsigned int weight[LDPC_ROWS];
	struct ldpc_edge edge[LDPC_FIRST * LDPC_COLUMNS];
};

/* Makes the code that its first three members ask for. -ENOMEM. */
int ldpc_code(struct ldpc_code *code);
/* More rows: each halves one that there is, so that columns stay what they are. */
void ldpc_split(struct ldpc_code *code, unsigned int rows);
/* The row below @from that row @row is a piece of. */
unsigned int ldpc_origin(const struct ldpc_code *code, unsigned int row,
			 unsigned int from);
/* Rows @from to @to - 1 of the syndrome of a frame, added to @syndrome: lift / 64 words
 * of it are a row.
 */
void ldpc_syndrome(const struct ldpc_code *code, const uint64_t *frame,
		   unsigned int from, unsigned int to, uint64_t *syndrome);

struct ldpc_decoder;

int ldpc_decoder_new(struct ldpc_decoder **decoder,
		     const struct ldpc_code *code);
void ldpc_decoder_free(struct ldpc_decoder *decoder);
/* Errors whose syndrome is @syndrome, into @errors. Places from @size on have none.
 * False: not found.
 */
bool ldpc_decode(struct ldpc_decoder *decoder, const uint64_t *syndrome,
		 size_t size, uint64_t *errors);

#endif
