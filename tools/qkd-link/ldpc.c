// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reconciliation by LDPC codes: Alice tells syndromes of all frames, Bob corrects what
 * he can and asks for more rows of the others. A frame that fails with all rows is told.
 * Documentation/link-recon.md has the messages and the accounting.
 */
#include <endian.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "ldpc.h"

#define SLICE ((size_t)1 << 24) /* bits of which a message tells syndromes */
#define FRAME ((size_t)LDPC_COLUMNS * LDPC_LIFT)
#define STAGES 6 /* of rows: those told at once, and five times more */
#define TIMEOUT 60000 /* ms; a long block takes the peer some time */

/**
 * struct frame - a part of the key
 * @at: where in the slice it begins
 * @size: bits
 * @bits: of the key; zeros behind the end
 * @syndrome: Alice: what she tells; Bob: that of the errors
 * @open: not corrected yet
 */
struct frame {
	size_t at;
	size_t size;
	uint64_t *bits;
	uint64_t *syndrome;
	bool open;
};

struct run {
	bool alice;
	struct talk *talk;
	struct bits *key;
	struct recon_result *result;
	struct ldpc_code code;
	struct ldpc_decoder *decoder;
	struct frame *frame;
	size_t frames;
	size_t open; /* of them */
	size_t bytes; /* of a frame */
	size_t size; /* of the slice, bits */
	uint64_t found; /* errors */
	uint64_t *errors;
	struct buffer out;
	struct buffer in;
};

/* ---- sizes ---- */

static double entropy(double p)
{
	return p > 0 && p < 1 ? -p * log2(p) - (1 - p) * log2(1 - p) : 0;
}

/* Rows to tell at once: with so many most frames can be corrected. The terms are what
 * the codes lack, more so if they have few rows, and a standard deviation of the errors.
 */
static unsigned int first_rows(double qber, size_t size, size_t lift)
{
	double rows, efficiency;

	qber = fmax(0.001, fmin(qber, 0.5));
	efficiency = 1.15 + 0.0006 / qber + 1 / sqrt(size * qber);
	rows = ceil(efficiency * entropy(qber) * size / lift);
	return fmax(8, fmin(rows, LDPC_FIRST));
}

/* Rows that have been told after a stage: each tells twice as many more as that before,
 * the last one all that there may be, which is cheaper than to lose the frame.
 */
static unsigned int rows_after(const struct ldpc_code *code, unsigned int stage)
{
	unsigned int rows =
		code->first + (code->first + 13) / 20 * ((1u << stage) - 1);

	return rows < LDPC_ROWS ? rows : LDPC_ROWS;
}

/* ---- frames ---- */

/* Bits @at to @at + @size - 1 of the key as words of their own, zeros behind. */
static void cut(const struct bits *key, size_t at, size_t size, uint64_t *word)
{
	size_t i, left;

	for (i = 0; i < size; i += 64) {
		size_t from = (at + i) / 64, shift = (at + i) % 64;

		word[i / 64] = key->word[from] >> shift;
		if (shift && from + 1 < key->room / 64)
			word[i / 64] |= key->word[from + 1] << (64 - shift);
		left = size - i;
		if (left < 64)
			word[i / 64] &= (UINT64_C(1) << left) - 1;
	}
}

/* Bob's bits become Alice's. */
static void correct(struct run *run, const struct frame *frame)
{
	size_t i;

	for (i = 0; i < frame->size; i++)
		if (run->errors[i / 64] >> (i % 64) & 1) {
			bits_flip(run->key, frame->at + i);
			run->found++;
		}
}

/* The first frame behind @frame, or of all, that is still open; NULL: none. */
static struct frame *next_open(const struct run *run, struct frame *frame)
{
	struct frame *end = run->frame + run->frames;

	for (frame = frame ? frame + 1 : run->frame; frame < end; frame++)
		if (frame->open)
			return frame;
	return NULL;
}

static size_t syndrome_words(const struct run *run, unsigned int rows)
{
	return rows * run->code.lift / 64;
}

static int begin(struct run *run, size_t at, size_t size, double qber)
{
	struct ldpc_code *code = &run->code;
	size_t i, frame_size;
	int err;

	run->size = size;
	run->frames = (size + FRAME - 1) / FRAME;
	frame_size = (size + run->frames - 1) / run->frames;
	for (code->lift = 64; code->lift * LDPC_COLUMNS < frame_size;)
		code->lift *= 2;
	code->columns = (frame_size + code->lift - 1) / code->lift;
	code->first = first_rows(qber, frame_size, code->lift);
	err = ldpc_code(code);
	err = err ?: ldpc_decoder_new(&run->decoder, code);
	run->bytes = code->columns * code->lift / 8;
	run->errors = calloc(run->bytes, 1);
	run->frame = calloc(run->frames, sizeof(*run->frame));
	if (err || !run->errors || !run->frame)
		return -ENOMEM;
	for (i = 0; i < run->frames; i++) {
		struct frame *frame = &run->frame[i];

		frame->at = at + size * i / run->frames;
		frame->size = at + size * (i + 1) / run->frames - frame->at;
		frame->open = true;
		frame->bits = calloc(run->bytes, 1);
		frame->syndrome = calloc(syndrome_words(run, LDPC_ROWS), 8);
		if (!frame->bits || !frame->syndrome)
			return -ENOMEM;
		cut(run->key, frame->at, frame->size, frame->bits);
	}
	run->open = run->frames;
	return 0;
}

static void end(struct run *run)
{
	size_t words = syndrome_words(run, LDPC_ROWS), i;

	for (i = 0; run->frame && i < run->frames; i++) {
		OPENSSL_clear_free(run->frame[i].bits, run->bytes);
		OPENSSL_clear_free(run->frame[i].syndrome, 8 * words);
	}
	free(run->frame);
	OPENSSL_clear_free(run->errors, run->bytes);
	ldpc_decoder_free(run->decoder);
	buffer_free(&run->in);
	buffer_free(&run->out);
}

/* ---- messages ---- */

static int say(struct run *run)
{
	int err = run->out.bad;

	err = err   ?:
		      talk_send(run->talk, TALK_RECON, run->out.data,
				run->out.size);
	buffer_reset(&run->out);
	run->result->messages++;
	return err;
}

static int hear(struct run *run)
{
	run->result->messages++;
	return talk_recv(run->talk, TALK_RECON, &run->in, TIMEOUT);
}

/* Words as bytes, bit 0 first in the lowest bit of the first. */
static void put_words(struct buffer *buffer, const uint64_t *word, size_t count)
{
	uint64_t little;
	size_t i;

	for (i = 0; i < count; i++) {
		little = htole64(word[i]);
		buffer_put(buffer, &little, sizeof(little));
	}
}

/* ... are added to what there is. */
static void add_words(struct buffer *buffer, uint64_t *word, size_t count)
{
	uint64_t little;
	size_t i;

	for (i = 0; i < count; i++) {
		buffer_get(buffer, &little, sizeof(little));
		word[i] ^= le64toh(little);
	}
}

/* ---- Alice ---- */

static int tell_rows(struct run *run, unsigned int from, unsigned int to)
{
	size_t words = syndrome_words(run, to - from);
	struct frame *frame;

	for (frame = next_open(run, NULL); frame;
	     frame = next_open(run, frame)) {
		memset(frame->syndrome, 0, 8 * words);
		ldpc_syndrome(&run->code, frame->bits, from, to,
			      frame->syndrome);
		put_words(&run->out, frame->syndrome, words);
	}
	return say(run);
}

/* How many errors Bob has found, behind what else there was. */
static int hear_found(struct run *run)
{
	run->found = buffer_get_number(&run->in, 8);
	if (buffer_done(&run->in) || run->found > run->size)
		return -EPROTO;
	return 0;
}

/* Which frames are still open, a bit for each that was; errors so far. */
static int hear_open(struct run *run)
{
	struct frame *frame;
	uint8_t byte = 0;
	size_t bit = 0;
	int err = hear(run);

	if (err)
		return err;
	for (frame = next_open(run, NULL); frame;
	     frame = next_open(run, frame)) {
		if (bit++ % 8 == 0)
			byte = buffer_get_number(&run->in, 1);
		frame->open = byte & 1;
		byte >>= 1;
		run->open -= !frame->open;
	}
	return byte ? -EPROTO : hear_found(run);
}

static int tell_bits(struct run *run)
{
	struct frame *frame;

	for (frame = next_open(run, NULL); frame; frame = next_open(run, frame))
		put_words(&run->out, frame->bits, (frame->size + 63) / 64);
	return say(run);
}

/* ---- Bob ---- */

/* New rows are pieces of old ones, which by that lose them. */
static void take_pieces(const struct run *run, struct frame *frame,
			unsigned int from, unsigned int to)
{
	size_t words = syndrome_words(run, 1), i;
	unsigned int row;

	for (row = from; from && row < to; row++) {
		uint64_t *piece = frame->syndrome + row * words;
		uint64_t *old = frame->syndrome +
				ldpc_origin(&run->code, row, from) * words;

		for (i = 0; i < words; i++)
			old[i] ^= piece[i];
	}
}

static int hear_rows(struct run *run, unsigned int from, unsigned int to)
{
	size_t skip = syndrome_words(run, from);
	struct frame *frame;
	int err = hear(run);

	if (err)
		return err;
	for (frame = next_open(run, NULL); frame;
	     frame = next_open(run, frame)) {
		ldpc_syndrome(&run->code, frame->bits, from, to,
			      frame->syndrome + skip);
		add_words(&run->in, frame->syndrome + skip,
			  syndrome_words(run, to - from));
		take_pieces(run, frame, from, to);
	}
	return buffer_done(&run->in) ? -EPROTO : 0;
}

static int tell_open(struct run *run)
{
	struct frame *frame;
	uint8_t byte = 0;
	size_t bit = 0;

	for (frame = next_open(run, NULL); frame;
	     frame = next_open(run, frame)) {
		frame->open = !ldpc_decode(run->decoder, frame->syndrome,
					   frame->size, run->errors);
		if (!frame->open)
			correct(run, frame);
		run->open -= !frame->open;
		byte |= frame->open << (bit % 8);
		if (++bit % 8 == 0) {
			buffer_put_number(&run->out, byte, 1);
			byte = 0;
		}
	}
	if (bit % 8)
		buffer_put_number(&run->out, byte, 1);
	buffer_put_number(&run->out, run->found, 8);
	return say(run);
}

/* The frames that failed leave the key, but their errors count. */
static int hear_bits(struct run *run)
{
	struct frame *frame;
	size_t i, words;
	int err = hear(run);

	if (err)
		return err;
	for (frame = next_open(run, NULL); frame;
	     frame = next_open(run, frame)) {
		words = (frame->size + 63) / 64;
		add_words(&run->in, frame->bits, words);
		for (i = 0; i < words; i++)
			run->found += __builtin_popcountll(frame->bits[i]);
	}
	return buffer_done(&run->in) || run->found > run->size ? -EPROTO : 0;
}

static int tell_found(struct run *run)
{
	buffer_put_number(&run->out, run->found, 8);
	return say(run);
}

/* ---- both ---- */

/* Frames that are open after all rows: of each all is told, which says all that its
 * syndrome said, too.
 */
static int give_up(struct run *run, unsigned int rows)
{
	struct frame *frame;
	int err;

	run->result->failed += run->open;
	for (frame = next_open(run, NULL); frame;
	     frame = next_open(run, frame)) {
		run->result->leaked += frame->size;
		run->result->leaked -= rows * run->code.lift;
	}
	if (run->alice) {
		err = tell_bits(run) ?: hear(run);
		return err ?: hear_found(run);
	}
	return hear_bits(run) ?: tell_found(run);
}

static int stages(struct run *run)
{
	unsigned int stage, to, from = 0;
	int err = 0;

	for (stage = 0; !err && run->open && stage < STAGES; stage++) {
		to = rows_after(&run->code, stage);
		if (to == from)
			break;
		ldpc_split(&run->code, to);
		run->result->leaked += run->open * (to - from) * run->code.lift;
		if (run->alice)
			err = tell_rows(run, from, to) ?: hear_open(run);
		else
			err = hear_rows(run, from, to) ?: tell_open(run);
		from = to;
	}
	if (!err && run->open)
		err = give_up(run, from);
	return err;
}

/* What is left of the key goes behind @kept. */
static int keep(const struct run *run, struct bits *kept)
{
	size_t i;
	int err = 0;

	for (i = 0; !err && i < run->frames; i++) {
		const struct frame *frame = &run->frame[i];
		struct bits bits;

		if (frame->open)
			continue;
		err = bits_init(&bits, frame->size);
		if (err)
			break;
		cut(run->key, frame->at, frame->size, bits.word);
		err = bits_append(kept, &bits);
		bits_free(&bits);
	}
	return err;
}

static int slice(struct run *run, size_t at, size_t size, double qber,
		 struct bits *kept)
{
	int err = begin(run, at, size, qber);

	err = err ?: stages(run);
	err = err ?: keep(run, kept);
	end(run);
	run->result->errors += run->found;
	return err;
}

int ldpc(bool alice, struct talk *talk, struct bits *key, double qber,
	 struct recon_result *result)
{
	size_t slices = (key->count + SLICE - 1) / SLICE, i, at, next;
	struct bits kept;
	int err = bits_init(&kept, 0);

	*result = (struct recon_result){ 0 };
	for (i = 0; !err && i < slices; i++) {
		struct run *run = calloc(1, sizeof(*run));

		if (!run) {
			err = -ENOMEM;
			break;
		}
		run->alice = alice;
		run->talk = talk;
		run->key = key;
		run->result = result;
		at = key->count * i / slices;
		next = key->count * (i + 1) / slices;
		err = slice(run, at, next - at, qber, &kept);
		free(run);
	}
	if (err) {
		bits_free(&kept);
		return err;
	}
	bits_free(key);
	*key = kept;
	return 0;
}
