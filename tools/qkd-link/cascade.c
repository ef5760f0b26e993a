// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cascade: parities of blocks, bisection of those that differ, and what an error
 * found in one pass says about the blocks of the others. Documentation/link-recon.md
 * has the messages and where the sizes come from.
 *
 * Both ends keep the same books. Alice tells parities, Bob answers which differ from
 * his; from that both know what is asked next, so that no message has to name it.
 */
#include <endian.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "cascade.h"

#define SLICE ((size_t)1 << 25) /* bits that are corrected together */
#define FRAME ((size_t)1 << 18) /* bits that a permutation mixes */
#define PASSES 20
#define SEED 32
#define ROUND_COST 256 /* bits of key for the tags of its two messages */
#define TIMEOUT 60000 /* ms; a long block takes the peer some time */

/**
 * struct pass - an order of the bits of a frame
 * @size: of the blocks
 * @to: place in the frame of a position
 * @from: position of a place
 */
struct pass {
	size_t size;
	uint32_t *to;
	uint32_t *from;
};

/**
 * struct view - a frame in the order of a pass; bit i of each is position i
 * @bits: of the key
 * @known: a piece begins here (or the one before ends): its parity is known
 * @odd: it has an odd number of errors
 * @listed: it is in @open
 * @open: where pieces begin that may be odd
 */
struct view {
	struct bits bits;
	struct bits known;
	struct bits odd;
	struct bits listed;
	uint32_t *open;
	size_t count;
	size_t room;
};

/**
 * struct frame - a part of the key
 * @at: where in the key it begins
 * @size: bits
 * @fixed: places where an error was found
 */
struct frame {
	size_t at;
	size_t size;
	struct bits fixed;
	struct view view[PASSES];
};

/* Parity of positions @start to @mid - 1? */
struct question {
	uint32_t frame;
	uint32_t pass;
	uint32_t start;
	uint32_t mid;
};

struct cascade {
	bool alice;
	struct talk *talk;
	struct bits *key;
	struct recon_result *result;
	uint8_t seed[SEED];
	size_t size; /* of the longest frame */
	size_t pieces; /* that were open in this round */
	unsigned int parts; /* that they are split into */
	struct pass pass[PASSES];
	unsigned int passes;
	struct frame *frame;
	size_t frames;
	struct question *question;
	size_t questions;
	size_t room;
	uint8_t *answer; /* a bit per question: did it differ */
	struct buffer out;
	struct buffer in;
	unsigned int rounds;
	unsigned int budget; /* of them */
};

/* ---- permutations ---- */

/* Both ends draw the same numbers from the seed: AES-256 in counter mode. */
static int expand(const struct cascade *c, unsigned int pass, uint32_t *number,
		  size_t count)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t iv[16] = { pass };
	int len, err = -ENOMEM;

	memset(number, 0, count * sizeof(*number));
	if (ctx &&
	    EVP_EncryptInit_ex(ctx, EVP_aes_256_ctr(), NULL, c->seed, iv) ==
		    1 &&
	    EVP_EncryptUpdate(ctx, (uint8_t *)number, &len, (uint8_t *)number,
			      count * sizeof(*number)) == 1)
		err = 0;
	EVP_CIPHER_CTX_free(ctx);
	return err;
}

/* Fisher and Yates; numbers as little-endian bytes, so that ends of any kind agree. */
static int shuffle(const struct cascade *c, unsigned int index)
{
	const struct pass *pass = &c->pass[index];
	size_t i, j;
	int err = expand(c, index, pass->from, c->size);

	if (err)
		return err;
	for (i = 0; i < c->size; i++)
		pass->to[i] = i;
	for (i = c->size - 1; i > 0; i--) {
		uint32_t swap = pass->to[i];

		j = (uint64_t)le32toh(pass->from[i]) * (i + 1) >> 32;
		pass->to[i] = pass->to[j];
		pass->to[j] = swap;
	}
	for (i = 0; i < c->size; i++)
		pass->from[pass->to[i]] = i;
	return 0;
}

/* The frame's bits in the order of a pass. A frame that is a bit shorter than others
 * has a zero there, at both ends.
 */
static void arrange(const struct cascade *c, const struct frame *frame,
		    const struct pass *pass, struct bits *bits)
{
	const uint64_t *key = c->key->word;
	size_t i, j, place;

	for (i = 0; i < c->size; i += 64) {
		uint64_t word = 0;

		for (j = 0; j < 64 && i + j < c->size; j++) {
			place = frame->at + pass->to[i + j];
			word |= (key[place / 64] >> (place % 64) & 1) << j;
		}
		bits->word[i / 64] = word;
	}
	if (frame->size < c->size)
		bits_put(bits, pass->from[frame->size], 0);
}

static int view_begin(const struct cascade *c, struct frame *frame,
		      unsigned int index)
{
	struct view *view = &frame->view[index];

	if (bits_init(&view->bits, c->size) ||
	    bits_init(&view->known, c->size + 1) ||
	    bits_init(&view->odd, c->size) || bits_init(&view->listed, c->size))
		return -ENOMEM;
	bits_put(&view->known, 0, 1);
	bits_put(&view->known, c->size, 1);
	arrange(c, frame, &c->pass[index], &view->bits);
	return 0;
}

static int pass_begin(struct cascade *c, size_t size)
{
	struct pass *pass = &c->pass[c->passes];
	size_t i;
	int err;

	pass->size = size < 2 ? 2 : size;
	pass->to = calloc(c->size, sizeof(*pass->to));
	pass->from = calloc(c->size, sizeof(*pass->from));
	c->passes++;
	if (!pass->to || !pass->from)
		return -ENOMEM;
	err = shuffle(c, c->passes - 1);
	for (i = 0; !err && i < c->frames; i++)
		err = view_begin(c, &c->frame[i], c->passes - 1);
	return err;
}

/* ---- pieces ---- */

static size_t next_known(const struct view *view, size_t at)
{
	size_t i = at / 64;
	uint64_t word = view->known.word[i] & ~UINT64_C(0) << (at % 64);

	while (!word)
		word = view->known.word[++i];
	return 64 * i + __builtin_ctzll(word);
}

static size_t last_known(const struct view *view, size_t at)
{
	size_t i = at / 64;
	uint64_t word = view->known.word[i] & ~UINT64_C(0) >> (63 - at % 64);

	while (!word)
		word = view->known.word[--i];
	return 64 * i + 63 - __builtin_clzll(word);
}

/* The piece goes on the list if it is odd and not there yet. */
static int list(struct view *view, size_t start)
{
	if (!bits_get(&view->odd, start) || bits_get(&view->listed, start))
		return 0;
	if (view->count == view->room) {
		size_t room = 2 * view->room + 16;
		uint32_t *open = realloc(view->open, room * sizeof(*open));

		if (!open)
			return -ENOMEM;
		view->open = open;
		view->room = room;
	}
	bits_flip(&view->listed, start);
	view->open[view->count++] = start;
	return 0;
}

/* An error at @place: the pieces around it have one less, in each pass. An honest peer
 * never has us find the same twice; this bounds what another can make us do.
 */
static int correct(struct cascade *c, struct frame *frame, size_t place)
{
	unsigned int i;

	if (place >= frame->size || bits_get(&frame->fixed, place))
		return -EPROTO;
	bits_flip(&frame->fixed, place);
	c->result->errors++;
	if (!c->alice)
		bits_flip(c->key, frame->at + place);
	for (i = 0; i < c->passes; i++) {
		struct view *view = &frame->view[i];
		size_t at = c->pass[i].from[place];
		size_t start = last_known(view, at);

		if (!c->alice)
			bits_flip(&view->bits, at);
		bits_flip(&view->odd, start);
		if (list(view, start))
			return -ENOMEM;
	}
	return 0;
}

static bool is_error(const struct view *view, size_t start)
{
	return bits_get(&view->known, start + 1) && bits_get(&view->odd, start);
}

/* Odd pieces of one bit are errors, and each may make others odd. */
static int fix(struct cascade *c, struct frame *frame)
{
	unsigned int i;
	uint64_t before;
	size_t j;
	int err = 0;

	do {
		before = c->result->errors;
		for (i = 0; i < c->passes; i++) {
			struct view *view = &frame->view[i];

			for (j = 0; !err && j < view->count; j++)
				if (is_error(view, view->open[j]))
					err = correct(
						c, frame,
						c->pass[i].to[view->open[j]]);
		}
	} while (!err && c->result->errors != before);
	return err;
}

/* ---- questions ---- */

static int ask(struct cascade *c, uint32_t frame, uint32_t pass, size_t start,
	       size_t mid)
{
	if (c->questions == c->room) {
		size_t room = 2 * c->room + 1024; /* in eights */
		struct question *more =
			realloc(c->question, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		c->question = more;
		OPENSSL_clear_free(c->answer, c->room / 8);
		c->answer = malloc(room / 8);
		c->room = c->answer ? room : 0;
		if (!c->answer)
			return -ENOMEM;
	}
	c->question[c->questions++] =
		(struct question){ frame, pass, start, mid };
	return 0;
}

/* What a round is worth, in bits: more and more when rounds get few. */
static size_t round_worth(const struct cascade *c)
{
	unsigned int calm = c->budget / 3;

	return c->rounds < calm ? ROUND_COST :
				  (size_t)ROUND_COST << (c->rounds - calm) / 4;
}

/* Parts of a piece: halves, or more if few pieces are open. The parities of 2^n parts cost
 * 2^n - 1 bits instead of n, but n - 1 rounds less, each of two messages whose tags cost
 * key, too.
 */
static unsigned int parts(const struct cascade *c)
{
	size_t worth = round_worth(c);
	unsigned int n = 2;

	while (n < 64 && (n - 1) * c->pieces <= worth)
		n *= 2;
	return n;
}

static int ask_parts(struct cascade *c, uint32_t frame, unsigned int pass,
		     size_t start, size_t size)
{
	size_t step = (size + c->parts - 1) / c->parts, i;
	int err = 0;

	c->pieces++;
	for (i = step; !err && i < size; i += step)
		err = ask(c, frame, pass, start + i - step, start + i);
	return err;
}

/* What to ask about a frame in this round: all its odd pieces are bisected. */
static int bisect(struct cascade *c, uint32_t index, unsigned int pass)
{
	struct view *view = &c->frame[index].view[pass];
	size_t i, start, kept = 0;
	int err = 0;

	for (i = 0; i < view->count; i++) {
		start = view->open[i];
		if (!bits_get(&view->odd, start)) {
			bits_flip(&view->listed, start);
			continue;
		}
		view->open[kept++] = start;
		err = err   ?:
			      ask_parts(c, index, pass, start,
					next_known(view, start + 1) - start);
	}
	view->count = kept;
	return err;
}

static int choose(struct cascade *c, uint32_t index)
{
	unsigned int i;
	int err = fix(c, &c->frame[index]);

	for (i = 0; !err && i < c->passes; i++)
		err = bisect(c, index, i);
	return err;
}

/* ---- a round: Alice tells parities, Bob which are not his ---- */

static bool own_parity(const struct cascade *c, const struct question *q)
{
	return bits_parity(&c->frame[q->frame].view[q->pass].bits, q->start,
			   q->mid);
}

/* Own parities, added to what is in @bits. */
static void add_parities(const struct cascade *c, uint8_t *bits)
{
	size_t i;

	for (i = 0; i < c->questions; i++)
		bits[i / 8] ^= own_parity(c, &c->question[i]) << (i % 8);
}

static int hear(struct cascade *c)
{
	size_t size = (c->questions + 7) / 8;
	int err = talk_recv(c->talk, TALK_RECON, &c->in, TIMEOUT);

	if (err)
		return err;
	buffer_get(&c->in, c->answer, size);
	if (buffer_done(&c->in))
		return -EPROTO;
	if (c->questions % 8 && c->answer[size - 1] >> (c->questions % 8))
		return -EPROTO;
	return 0;
}

static int say(struct cascade *c)
{
	buffer_put(&c->out, c->answer, (c->questions + 7) / 8);
	if (c->out.bad)
		return c->out.bad;
	return talk_send(c->talk, TALK_RECON, c->out.data, c->out.size);
}

static int exchange(struct cascade *c)
{
	int err;

	if (++c->rounds > c->budget)
		return -EPROTO;
	memset(c->answer, 0, (c->questions + 7) / 8);
	if (c->alice) {
		add_parities(c, c->answer);
		err = say(c);
		err = err ?: hear(c);
	} else {
		err = hear(c);
		if (err)
			return err;
		add_parities(c, c->answer);
		err = say(c);
	}
	buffer_reset(&c->out);
	c->result->leaked += c->questions;
	c->result->messages += 2;
	return err;
}

/* The piece is split at @mid: how many errors its halves have is now known. Of one that
 * ends there (a whole frame) just that is known.
 */
static int settle_one(struct cascade *c, const struct question *q, bool differs)
{
	struct view *view = &c->frame[q->frame].view[q->pass];
	bool odd = bits_get(&view->odd, q->start);
	int err;

	bits_put(&view->odd, q->start, differs);
	err = list(view, q->start);
	if (err || bits_get(&view->known, q->mid))
		return err;
	bits_put(&view->known, q->mid, 1);
	bits_put(&view->odd, q->mid, odd ^ differs);
	return list(view, q->mid);
}

static int settle(struct cascade *c)
{
	size_t i;
	int err = c->questions ? exchange(c) : 0;

	for (i = 0; !err && i < c->questions; i++)
		err = settle_one(c, &c->question[i],
				 c->answer[i / 8] >> (i % 8) & 1);
	c->questions = 0;
	return err;
}

/* ---- passes ---- */

/* Asks for the blocks of a pass from its @step'th on: parity of the last one follows from
 * that of the whole frame. To halve blocks whose parity is known, @stride is two of them.
 */
static int ask_blocks(struct cascade *c, unsigned int pass, size_t size,
		      size_t stride)
{
	size_t i, start;
	int err = 0;

	for (i = 0; i < c->frames; i++)
		for (start = 0; !err && start + size < c->size; start += stride)
			err = ask(c, i, pass, start, start + size);
	return err;
}

static size_t count_odd(const struct frame *frame, unsigned int pass)
{
	const struct bits *odd = &frame->view[pass].odd;
	size_t i, sum = 0;

	for (i = 0; i < (odd->count + 63) / 64; i++)
		sum += __builtin_popcountll(odd->word[i]);
	return sum;
}

/* Are blocks of the first pass too long for the errors there are? */
static bool too_odd(const struct cascade *c)
{
	size_t i, odd = 0, size = c->pass[0].size;
	double blocks = c->frames * ((c->size + size - 1) / size);

	for (i = 0; i < c->frames; i++)
		odd += count_odd(&c->frame[i], 0);
	return odd > (1 - exp(-2 * 1.1)) / 2 * blocks + sqrt(blocks) / 2;
}

/* 2^n or 3 * 2^n, with at most 0.7 errors in a block. */
static size_t first_size(double qber)
{
	size_t size = 4;

	while (size < 1024 && 2 * size * qber <= 0.7)
		size *= 2;
	return 3 * size / 2 * qber <= 0.7 ? 3 * size / 2 : size;
}

/* If so many blocks are odd that they seem to have more than 1.1 errors, they are halved,
 * which costs no more than had they been so from the beginning.
 */
static int first_pass(struct cascade *c, double qber)
{
	struct pass *pass = &c->pass[0];
	size_t i;
	int err = pass_begin(c, first_size(qber));

	for (i = 0; !err && i < c->frames; i++)
		err = ask(c, i, 0, 0, c->size);
	err = err ?: ask_blocks(c, 0, pass->size, pass->size);
	err = err ?: settle(c);
	while (!err && pass->size > 4 && too_odd(c)) {
		pass->size /= 2;
		err = ask_blocks(c, 0, pass->size, 2 * pass->size);
		err = err ?: settle(c);
	}
	return err;
}

static int until_even(struct cascade *c)
{
	size_t i;
	int err = 0;

	c->pieces = c->key->count; /* not known yet: many */
	do {
		c->parts = parts(c);
		c->pieces = 0;
		for (i = 0; !err && i < c->frames; i++)
			err = choose(c, i);
		if (err || !c->questions)
			return err;
		err = settle(c);
	} while (!err);
	return err;
}

/* @count passes more, of blocks of @size. */
static int next_passes(struct cascade *c, unsigned int count, size_t size)
{
	unsigned int i, first = c->passes;
	int err = 0;

	if (size > c->size / 2)
		size = c->size / 2;
	for (i = first; !err && i < first + count; i++) {
		err = pass_begin(c, size);
		err = err ?: ask_blocks(c, i, c->pass[i].size, c->pass[i].size);
	}
	err = err ?: settle(c);
	return err ?: until_even(c);
}

/* Blocks grow, since errors that are left get fewer. The last passes tell a few bits
 * each, all at once, so that an even number of errors cannot hide in all of them.
 */
static int passes(struct cascade *c, double qber)
{
	size_t blocks = c->size / 4096;
	unsigned int last;
	int err = first_pass(c, qber);

	err = err ?: until_even(c);
	err = err ?: next_passes(c, 1, 4 * c->pass[0].size);
	err = err ?: next_passes(c, 1, 32 * c->pass[0].size);
	blocks = blocks < 2 ? 2 : blocks > 16 ? 16 : blocks;
	last = ceil(16 / log2(blocks));
	return err ?: next_passes(c, last, (c->size + blocks - 1) / blocks);
}

/* ---- the whole ---- */

static int begin(struct cascade *c, size_t at, size_t size)
{
	size_t i;

	c->frames = (size + FRAME - 1) / FRAME;
	c->size = (size + c->frames - 1) / c->frames;
	c->frame = calloc(c->frames, sizeof(*c->frame));
	if (!c->frame)
		return -ENOMEM;
	for (i = 0; i < c->frames; i++) {
		struct frame *frame = &c->frame[i];

		frame->at = at + size * i / c->frames;
		frame->size = at + size * (i + 1) / c->frames - frame->at;
		if (bits_init(&frame->fixed, c->size))
			return -ENOMEM;
	}
	return 0;
}

static void end(struct cascade *c)
{
	size_t i, j;

	for (i = 0; c->frame && i < c->frames; i++) {
		for (j = 0; j < PASSES; j++) {
			struct view *view = &c->frame[i].view[j];

			bits_free(&view->bits);
			bits_free(&view->known);
			bits_free(&view->odd);
			bits_free(&view->listed);
			free(view->open);
		}
		bits_free(&c->frame[i].fixed);
	}
	for (j = 0; j < PASSES; j++) {
		free(c->pass[j].to);
		free(c->pass[j].from);
	}
	free(c->frame);
	free(c->question);
	OPENSSL_clear_free(c->answer, c->room / 8);
	buffer_free(&c->in);
	buffer_free(&c->out);
}

/* Alice draws the permutations when Bob has measured, so that no one else could have
 * put errors where they are not found.
 */
static int agree(struct cascade *c)
{
	int err;

	if (c->alice) {
		if (RAND_bytes(c->seed, SEED) != 1)
			return -EIO;
		return talk_send(c->talk, TALK_RECON, c->seed, SEED);
	}
	err = talk_recv(c->talk, TALK_RECON, &c->in, TIMEOUT);
	if (err)
		return err;
	buffer_get(&c->in, c->seed, SEED);
	return buffer_done(&c->in) ? -EPROTO : 0;
}

static int slice(bool alice, struct talk *talk, struct bits *key, size_t at,
		 size_t size, double qber, unsigned int budget,
		 struct recon_result *result)
{
	struct cascade c = {
		.alice = alice,
		.talk = talk,
		.key = key,
		.result = result,
		.budget = budget,
	};
	int err = begin(&c, at, size);

	result->messages++;
	err = err ?: agree(&c);
	err = err ?: passes(&c, qber);
	end(&c);
	return err;
}

int cascade(bool alice, struct talk *talk, struct bits *key, double qber,
	    struct recon_result *result)
{
	size_t slices = (key->count + SLICE - 1) / SLICE, i, at, next;
	int err = 0;

	*result = (struct recon_result){ 0 };
	for (i = 0; !err && i < slices; i++) {
		at = key->count * i / slices;
		next = key->count * (i + 1) / slices;
		err = slice(alice, talk, key, at, next - at, qber,
			    RECON_ROUNDS / slices, result);
	}
	return err;
}
