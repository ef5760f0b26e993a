// SPDX-License-Identifier: GPL-2.0-only
/*
 * A block, from light to key, at both ends at once:
 *
 *	light		trains, until there should be enough bits of the key basis; no end
 *			says anything of its bases before the last one
 *	sift		Bob tells, Alice answers
 *	reconcile	Bob's bits become Alice's
 *	verify		Alice tells a hash, Bob whether his key has the same
 *	amplify		Alice tells the seed of a Toeplitz matrix; what is left is secret
 *	feed		the first part becomes key of the tags, the rest goes into streams
 *
 * Both ends count alike, so both see alike whether a block is of use: then it is dropped
 * without a word. All other errors are one end's alone; the connection ends, and
 * with it the block at the other end.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "../../lib/kme/common.h"
#include "../common/log.h"
#include "amplify.h"
#include "end.h"
#include "stack.h"

#define TRAINS 8 /* of a block, about; more ... */
#define TRAIN_BITS (1 << 20) /* if one has more than so many bits, ... */
#define TRAIN_SECONDS 1.0 /* at most, where Eve may come or go, ... */
#define TRAINS_MOST \
	32 /* but no more than so many in a block: each costs tags */
#define PASS_SECONDS \
	10.0 /* at most, where a satellite passes; twice that if there are many */
#define DARK_STEP 1.0 /* seconds of the link's clock between two looks */
#define FULL \
	32 /* clicks for each bit that is wanted are more than there is memory for */
#define LEAST 1000 /* sifted bits: fewer are not worth the messages */
#define ENOUGH 2000 /* bits of the check basis, to give up a block early */
#define SIGMAS 5 /* that they have to be above the threshold */
#define TRUE_ZERO 1e-12 /* transmittance: between two passes */
#define QBER_LEAST 0.002 /* that reconciliation is told */
#define QBER_MOST 0.25

#define DROPPED 1 /* both ends know */

/* Besides trains and rounds: block, hash, matrix, and what feed_key() says. */
#define OTHERS 12
_Static_assert(TRAINS_MOST + RECON_ROUNDS + RECON_SEEDS + OTHERS <=
		       TALK_RESERVE,
	       "a block that is begun does not end for want of tags");

/**
 * struct block - one that is being made
 * @expected: bits that the light so far should have brought. What it did bring nobody
 *	looks at before there is enough of it, or Eve could choose when that is
 * @full: Bob has far more clicks than that, of any basis: it is noise
 * @out: what is kept, as bytes; locked
 * @out_size: of it
 * @refill: of these, the first are key of the tags
 */
struct block {
	struct end *end;
	struct sifted sifted;
	double expected;
	bool full;
	struct block_stat stat;
	uint8_t *out;
	size_t out_size;
	size_t refill;
};

static bool is_alice(const struct block *block)
{
	return block->end->set->alice;
}

static int drop(struct block *block, const char *why)
{
	block->stat.why = why;
	return DROPPED;
}

/* ---- Light ---- */

/* Of the check basis, by the signal alone: decoys are noisier. False: it has none that
 * would be like the key's. */
static bool check_qber(const struct block *block, double *qber,
		       uint64_t *compared)
{
	const struct counts *counts = &block->sifted.counts;
	enum protocol protocol = block->end->set->model.protocol;

	*compared = counts->compared[BASIS_CHECK][0];
	if (!*compared ||
	    (protocol != PROTOCOL_BB84 && protocol != PROTOCOL_BBM92))
		return false;
	*qber = (double)counts->errors[BASIS_CHECK][0] / *compared;
	return true;
}

/* Light that is disturbed so much that no more of it is of use. */
static bool is_hopeless(const struct block *block)
{
	double qber, sigma, limit = block->end->stats->threshold;
	uint64_t compared;

	if (!check_qber(block, &qber, &compared) || compared < ENOUGH)
		return false;
	sigma = sqrt(limit * (1 - limit) / compared);
	return qber > limit + SIGMAS * sigma;
}

/* What a block should bring: a little more, so that it is seldom less. */
static double wanted_bits(const struct block *block)
{
	double wanted = block->end->set->model.finite.block;

	return wanted + SIGMAS * sqrt(wanted);
}

static bool has_light(const struct block *block)
{
	return block->full || block->expected >= wanted_bits(block) ||
	       emitter_trains(block->end->emitter) >= TRAINS_MOST;
}

/* Pulses of the next train, of which @sifted bits each are to be expected. */
static uint64_t train_slots(const struct block *block, double sifted)
{
	const struct end *end = block->end;
	const struct model *model = &end->set->model;
	double rate = model->source.rate, least, seconds;
	double wanted = wanted_bits(block), bits = wanted - block->expected;
	size_t trains = emitter_trains(end->emitter);

	if (!(sifted > 0))
		return DARK_STEP * rate;
	bits = fmin(bits, fmin(wanted / TRAINS,
			       fmax(TRAIN_BITS, wanted / TRAINS_MOST)));
	seconds = bits / sifted / rate;
	least = wanted / TRAINS_MOST / sifted / rate;
	if (*end->set->scenario)
		seconds = fmin(seconds, fmax(TRAIN_SECONDS, least));
	if (model->channel.medium == MEDIUM_SATELLITE)
		seconds = fmin(seconds, trains < TRAINS_MOST / 2 ?
						PASS_SECONDS :
						2 * PASS_SECONDS);
	/* rounded up, so that the last of a block is the last */
	return seconds * rate + 1;
}

static int dark(void *arg)
{
	uint8_t status;

	return end_dark(arg, &status);
}

static void look_at_channel(struct end *end, struct state *state)
{
	model_state(&end->set->model, end->pace.time, state);
	pthread_mutex_lock(&end->stats->lock);
	end->stats->state = *state;
	pthread_mutex_unlock(&end->stats->lock);
}

static int alice_train(struct block *block)
{
	struct end *end = block->end;
	struct buffer train = { 0 };
	struct expected expected;
	struct state state;
	uint64_t slots;
	uint8_t status;
	int err;

	end_scene(end);
	look_at_channel(end, &state);
	if (state.transmittance < TRUE_ZERO)
		return pace_work(&end->pace, DARK_STEP, dark, end) ?: dark(end);
	rate_expected(&end->set->model, &state, &expected);
	slots = train_slots(block, expected.sifted);
	/* noise can be so strong that fewer pulses have to do */
	while ((err = emitter_train(end->emitter, &state, slots, &train)) ==
		       -E2BIG &&
	       slots > 1)
		slots /= 2;
	block->expected += slots * expected.sifted;
	if (!err)
		err = pace_work(&end->pace, slots / end->set->model.source.rate,
				dark, end);
	err = err   ?:
		      light_send(end->join.light, FRAME_TRAIN, end->pace.time,
				 &train);
	err = err ?: light_answered(end->join.light, &status, end->answer_ms);
	block->full = !err && status & BOB_FULL;
	buffer_free(&train);
	return err;
}

static int bob_train(struct block *block, struct buffer *train)
{
	struct end *end = block->end;

	double most = FULL * wanted_bits(block);
	int err = receiver_train(end->receiver, train);
	bool full = !err && receiver_clicks(end->receiver) > most;

	return err ?: light_answer(end->join.light, full ? BOB_FULL : 0);
}

static int alice_sifts(struct block *block)
{
	struct end *end = block->end;
	struct buffer told = { 0 }, answer = { 0 };
	int err = talk_recv(end->talk, TALK_SIFT, &told, end->answer_ms);

	err = err ?: sift_answer(end->emitter, &told, &answer, &block->sifted);
	err = err   ?:
		      talk_send(end->talk, TALK_SIFTED, answer.data,
				answer.size);
	buffer_free(&told);
	buffer_free(&answer);
	return err;
}

static int bob_sifts(struct block *block)
{
	struct end *end = block->end;
	struct buffer told = { 0 }, answer = { 0 };
	int err = sift_tell(end->receiver, &told);

	err = err ?: talk_send(end->talk, TALK_SIFT, told.data, told.size);
	err = err ?: talk_recv(end->talk, TALK_SIFTED, &answer, end->answer_ms);
	err = err ?: sift_finish(end->receiver, &answer, &block->sifted);
	buffer_free(&told);
	buffer_free(&answer);
	return err;
}

/* What comes on the light's connection; *@over: it was the last. */
static int bob_looks(struct block *block, bool *over)
{
	struct end *end = block->end;
	struct buffer train = { 0 };
	struct state state;
	enum frame frame;
	double time;
	int err;

	err = light_recv(end->join.light, &frame, &time, &train,
			 end->answer_ms);
	if (!err) {
		pace_follow(&end->pace, time);
		end_scene(end);
		look_at_channel(end, &state);
		if (frame == FRAME_DARK)
			err = light_answer(end->join.light, 0);
		else if (frame == FRAME_TRAIN)
			err = bob_train(block, &train);
		else if (frame == FRAME_SIFT)
			*over = true;
		else
			err = -EPROTO;
	}
	buffer_free(&train);
	return err;
}

static int alice_light(struct block *block)
{
	struct end *end = block->end;
	int err = 0;

	while (!err && !has_light(block)) {
		end_show(end, STAGE_LIGHT,
			 block->expected / wanted_bits(block));
		err = link_stop ? -EINTR : alice_train(block);
	}
	return err   ?:
		       light_send(end->join.light, FRAME_SIFT, end->pace.time,
				  NULL);
}

static int bob_light(struct block *block)
{
	struct end *end = block->end;
	bool over = false;
	int err = 0;

	while (!err && !over) {
		end_show(end, STAGE_LIGHT,
			 fmin((double)receiver_trains(end->receiver) / TRAINS,
			      1));
		err = link_stop ? -EINTR : bob_looks(block, &over);
	}
	return err;
}

static size_t trains_left(const struct block *block)
{
	const struct end *end = block->end;

	return is_alice(block) ? emitter_trains(end->emitter) :
				 receiver_trains(end->receiver);
}

/* If it is hopeless, the rest is of no use to either end. */
static int sift(struct block *block)
{
	int err = 0;

	while (!err && trains_left(block) && !is_hopeless(block)) {
		err = is_alice(block) ? alice_sifts(block) : bob_sifts(block);
		if (link_stop)
			err = -EINTR;
	}
	block->stat.pulses = block->sifted.counts.pulses;
	block->stat.sifted = block->sifted.key.count;
	return err;
}

/* ---- Reconciliation, verification ---- */

/* What both ends expect, from the same counts: of this block, else of the last. */
static double expected_qber(const struct block *block)
{
	double qber = block->end->qber;
	uint64_t compared;

	(void)check_qber(block, &qber, &compared);
	return fmin(fmax(qber, QBER_LEAST), QBER_MOST);
}

static int look_at_light(struct block *block)
{
	double qber;
	uint64_t compared;

	if (block->stat.sifted < LEAST)
		return drop(block, "hardly any light came");
	if (!is_hopeless(block))
		return 0;
	check_qber(block, &qber, &compared);
	block->stat.measured = true;
	block->stat.qber = qber;
	return drop(block, "QBER of the check basis is too high");
}

/* E91 and COW have a figure besides. */
static void measure(struct block *block)
{
	const struct counts *counts = &block->sifted.counts;
	double e[2][2], all;
	double light = counts->visibility[0] + counts->visibility[1];
	int a, b;

	for (a = 0; a < 2; a++)
		for (b = 0; b < 2; b++) {
			all = counts->chsh[a][b][0] + counts->chsh[a][b][1];
			e[a][b] = all ? ((double)counts->chsh[a][b][0] -
					 counts->chsh[a][b][1]) /
						  all :
					0;
		}
	block->stat.chsh = e[0][0] + e[0][1] + e[1][0] - e[1][1];
	if (light)
		block->stat.visibility = ((double)counts->visibility[0] -
					  counts->visibility[1]) /
					 light;
}

static int reconcile(struct block *block)
{
	struct end *end = block->end;
	struct counts *counts = &block->sifted.counts;
	uint64_t bits = block->sifted.key.count;
	struct recon_result result = { 0 };
	double qber = expected_qber(block), entropy;
	int err;

	end_show(end, STAGE_RECON, 0);
	err = is_alice(block) ? recon_alice(end->set->recon, end->talk,
					    &block->sifted.key, qber, &result) :
				recon_bob(end->set->recon, end->talk,
					  &block->sifted.key, qber, &result);
	if (err)
		return err;
	counts->errors[BASIS_KEY][0] = result.errors;
	counts->compared[BASIS_KEY][0] = bits;
	block->stat.leaked = result.leaked;
	block->stat.failed = result.failed;
	block->stat.measured = true;
	block->stat.qber = (double)result.errors / bits;
	end->qber = block->stat.qber;
	entropy = bits * binary_entropy(block->stat.qber);
	block->stat.f = entropy > 0 ? result.leaked / entropy : 0;
	return 0;
}

static int alice_verifies(struct block *block)
{
	struct end *end = block->end;
	uint8_t text[VERIFY_SEED + VERIFY_TAG];
	struct buffer answer = { 0 };
	uint64_t same;
	int err = 0;

	if (RAND_bytes(text, VERIFY_SEED) != 1)
		err = -EIO;
	err = err ?: verify_hash(&block->sifted.key, text, text + VERIFY_SEED);
	err = err ?: talk_send(end->talk, TALK_VERIFY, text, sizeof(text));
	err = err ?: talk_recv(end->talk, TALK_VERIFY, &answer, end->answer_ms);
	same = buffer_get_number(&answer, 1);
	err = err ?: buffer_done(&answer);
	buffer_free(&answer);
	if (!err && same != 1)
		return drop(block, "the keys differ after reconciliation");
	return err;
}

static int bob_verifies(struct block *block)
{
	struct end *end = block->end;
	uint8_t seed[VERIFY_SEED], theirs[VERIFY_TAG], ours[VERIFY_TAG], same;
	struct buffer message = { 0 };
	int err = talk_recv(end->talk, TALK_VERIFY, &message, end->answer_ms);

	buffer_get(&message, seed, sizeof(seed));
	buffer_get(&message, theirs, sizeof(theirs));
	err = err ?: buffer_done(&message);
	buffer_free(&message);
	err = err ?: verify_hash(&block->sifted.key, seed, ours);
	same = !err && !CRYPTO_memcmp(ours, theirs, sizeof(ours));
	err = err ?: talk_send(end->talk, TALK_VERIFY, &same, 1);
	if (!err && !same)
		return drop(block, "the keys differ after reconciliation");
	return err;
}

static int verify(struct block *block)
{
	end_show(block->end, STAGE_VERIFY, 0);
	block->stat.leaked += 8 * VERIFY_TAG;
	return is_alice(block) ? alice_verifies(block) : bob_verifies(block);
}

/* ---- Amplification ---- */

static int take_secret(struct block *block)
{
	struct secret *secret = &block->stat.secret;

	rate_secret(&block->end->set->model, &block->sifted.counts,
		    block->stat.leaked, secret);
	/* whole bytes, and no more than there is after frames that were told */
	if (secret->bits > block->sifted.key.count)
		secret->bits = block->sifted.key.count;
	secret->bits -= secret->bits % 8;
	if (!secret->bits)
		return drop(block, secret->reason ? secret->reason :
						    "nothing of it is secret");
	block->out_size = secret->bits / 8;
	block->out = kme_secret_new(block->out_size);
	return block->out ? 0 : -ENOMEM;
}

static int apply_seed(struct block *block, const uint8_t *seed)
{
	size_t in = block->sifted.key.count, bits = block->stat.secret.bits;
	struct bits matrix = { 0 }, out = { 0 };
	int err;

	err = bits_from_bytes(&matrix, seed, amplify_seed_bits(in, bits)) ?:
		      amplify(&block->sifted.key, &matrix, bits, &out);
	if (!err)
		bits_to_bytes(&out, block->out);
	bits_free(&out);
	bits_free(&matrix);
	bits_free(&block->sifted.key);
	return err;
}

/* Bytes that become key of the tags: what was used, when that is a quarter of what there
 * was at first; so there are a few refills at a time, not many. */
static size_t refill_wanted(const struct block *block)
{
	struct talk_account account;
	uint64_t left, used;

	talk_account(block->end->talk, &account);
	left = account.left[0] < account.left[1] ? account.left[0] :
						   account.left[1];
	left += account.pending;
	used = left < block->end->initial ? block->end->initial - left : 0;
	if (used < block->end->initial / 4)
		return 0;
	used = TALK_KEY(used / WC_PAD + 1);
	if (used > block->out_size)
		used = block->out_size;
	if (used > TALK_KEY_MAX)
		used = TALK_KEY_MAX;
	return used < TALK_REFILL_MIN ? 0 : used;
}

static int alice_amplifies(struct block *block)
{
	struct end *end = block->end;
	size_t size = (amplify_seed_bits(block->sifted.key.count,
					 block->stat.secret.bits) +
		       7) /
		      8;
	struct buffer message = { 0 };
	uint8_t *seed = malloc(size);
	int err = seed ? 0 : -ENOMEM;

	if (seed && RAND_bytes(seed, size) != 1)
		err = -EIO;
	err = err ?: apply_seed(block, seed);
	block->refill = err ? 0 : refill_wanted(block);
	if (block->refill && talk_refill(end->talk, block->out, block->refill))
		block->refill = 0;
	buffer_put_number(&message, block->stat.secret.bits, 8);
	buffer_put_number(&message, block->refill, 4);
	buffer_put(&message, seed, err ? 0 : size);
	err = err		  ?:
		      message.bad ?:
		      talk_send(end->talk, TALK_AMPLIFY, message.data,
				message.size);
	free(seed);
	err = err   ?:
		      talk_recv(end->talk, TALK_AMPLIFY, &message,
				end->answer_ms);
	err = err ?: buffer_done(&message);
	buffer_free(&message);
	return err;
}

static int bob_amplifies(struct block *block)
{
	struct end *end = block->end;
	size_t size = (amplify_seed_bits(block->sifted.key.count,
					 block->stat.secret.bits) +
		       7) /
		      8;
	struct buffer message = { 0 };
	int err = talk_recv(end->talk, TALK_AMPLIFY, &message, end->answer_ms);
	uint64_t bits;

	bits = buffer_get_number(&message, 8);
	block->refill = buffer_get_number(&message, 4);
	if (!err && bits != block->stat.secret.bits)
		block->stat.why = "the ends differ in how much of it is secret";
	if (!err && (bits != block->stat.secret.bits ||
		     block->refill > block->out_size ||
		     message.size - message.at != size))
		err = message.bad ?: -EBADMSG;
	err = err ?: apply_seed(block, message.data + message.at);
	buffer_free(&message);
	/* if that fails here, the peer will hear of it, and not use his */
	if (!err && block->refill)
		(void)talk_refill(end->talk, block->out, block->refill);
	return err ?: talk_send(end->talk, TALK_AMPLIFY, NULL, 0);
}

static int amplify_block(struct block *block)
{
	end_show(block->end, STAGE_AMPLIFY, 0);
	return is_alice(block) ? alice_amplifies(block) : bob_amplifies(block);
}

static int feed_block(struct block *block)
{
	const char *why;
	int err;

	end_show(block->end, STAGE_FEED, 0);
	err = feed_key(block->end->feed, block->end->talk,
		       block->out + block->refill,
		       block->out_size - block->refill, &block->stat.key, &why);
	if (!err && why)
		log_info("%s: the key of block %llu is wiped: %s",
			 block->end->stats->link_name,
			 (unsigned long long)block->stat.number, why);
	return err;
}

/* ---- All of it ---- */

static const char *error_text(int err)
{
	switch (err) {
	case -EBADMSG:
		return "a message was not the peer's, or made no sense";
	case -ETIMEDOUT:
		return "the peer was silent";
	case -ENOKEY:
		return "the key of the tags is used up";
	case -EPROTO:
		return "the peer has given it up";
	case -EINTR:
		return "it was ended";
	case -ENOMEM:
		return "out of memory";
	case -ERANGE:
		return "amplification could not be computed exactly: its seed has a pattern";
	default:
		return "the connection was lost";
	}
}

static int steps(struct block *block)
{
	int err = is_alice(block) ? alice_light(block) : bob_light(block);

	err = err ?: sift(block) ?: look_at_light(block);
	if (err)
		return err;
	measure(block);
	return reconcile(block)		    ?:
		       verify(block)	    ?:
		       take_secret(block)   ?:
		       amplify_block(block) ?:
					      feed_block(block);
}

int block_run(struct end *end)
{
	struct block block = { .end = end, .stat.number = end->number };
	int err = bits_init(&block.sifted.key, 0) ?: steps(&block);

	if (err < 0 && !block.stat.why)
		block.stat.why = error_text(err);
	if (block.stat.why)
		block.stat.secret.bits = 0;
	block.stat.time = end->pace.time;
	block.stat.wall = wall() - end->pace.begun;
	if (end->emitter)
		emitter_drop(end->emitter);
	if (end->receiver)
		receiver_drop(end->receiver);
	bits_free(&block.sifted.key);
	kme_secret_free(block.out, block.out_size);
	stack_wipe();
	stats_block(end->stats, &block.stat);
	end->ended++;
	return err < 0 ? err : 0;
}
