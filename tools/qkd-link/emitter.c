// SPDX-License-Identifier: GPL-2.0-only
/*
 * Alice's light. Slots of which something may be detected are drawn by skips, at
 * the probability of the brightest pulse; then Alice's choice there decides.
 *
 * A train: protocol (1 byte), first slot (8), slots (8), stray light per gate and
 * detector in units of 2^-63 (8), records (8); then the records: slots since the
 * last one (varint), state and 16 times the photons less one (1).
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include <openssl/crypto.h>

#include "light.h"

#define HEADER_RECORDS 25 /* where their number is */

const struct protocol_light *light_of(enum protocol protocol)
{
	static const struct protocol_light *const all[PROTOCOLS] = {
		[PROTOCOL_BB84] = &light_bb84,
		[PROTOCOL_B92] = &light_b92,
		[PROTOCOL_E91] = &light_e91,
		[PROTOCOL_BBM92] = &light_bbm92,
		[PROTOCOL_COW] = &light_cow,
		[PROTOCOL_COW_VARIANT] = &light_cow_variant,
	};

	return all[protocol];
}

int emitter_new(struct emitter **emitter, const struct model *model)
{
	struct emitter *new = calloc(1, sizeof(*new));
	double share = 0;
	unsigned int i;
	int err;

	if (!new)
		return -ENOMEM;
	new->model = *model;
	new->light = light_of(model->protocol);
	new->key_limit = choice_limit(model->source.key_basis);
	for (i = 0; i < INTENSITIES - 1; i++) {
		share += model->source.share[i];
		new->share_limit[i] = fmin(ldexp(share, 32), UINT32_MAX);
	}
	err = noise_seed(&new->noise) ?: chooser_new(&new->chooser);
	if (err) {
		emitter_free(new);
		return err;
	}
	*emitter = new;
	return 0;
}

void emitter_free(struct emitter *emitter)
{
	if (!emitter)
		return;
	OPENSSL_clear_free(emitter->outcome,
			   emitter->outcome_room * sizeof(*emitter->outcome));
	free(emitter->sent);
	chooser_free(&emitter->chooser);
	OPENSSL_clear_free(emitter, sizeof(*emitter));
}

void emitter_attack(struct emitter *emitter, const struct eve *eve)
{
	emitter->eve = *eve;
	emitter->eve.fraction = fmin(fmax(eve->fraction, 0), 1);
}

unsigned int emitter_kind(const struct emitter *emitter,
			  const struct choice *choice)
{
	unsigned int kind;

	for (kind = 0; kind < INTENSITIES - 1; kind++)
		if (choice->share < emitter->share_limit[kind])
			break;
	/* The last limit is 2^32, less one, if nothing is left for the last kind. */
	if (emitter->model.source.share[kind] <= 0)
		kind = 0;
	return kind;
}

void emitter_record(struct emitter *emitter, uint64_t slot, unsigned int state,
		    unsigned int photons)
{
	buffer_put_varint(emitter->train, slot - emitter->last);
	buffer_put_number(emitter->train, state | (photons - 1) << 4, 1);
	emitter->last = slot;
	emitter->records++;
}

static int emit_pulses(struct emitter *emitter, const uint64_t *slot,
		       size_t count)
{
	struct choice choice[CHOICES];
	unsigned int photons, state;
	bool attacked;
	size_t i;
	int err = chooser_draw(&emitter->chooser, slot, count, choice);

	for (i = 0; !err && i < count; i++) {
		photons = eve_photons(&emitter->laws,
				      emitter_kind(emitter, &choice[i]),
				      &emitter->noise, &attacked);
		if (!photons)
			continue;
		state = emitter->light->pulse(emitter, &choice[i], photons,
					      attacked);
		emitter_record(emitter, slot[i], state, photons);
	}
	OPENSSL_cleanse(choice, sizeof(choice));
	return err;
}

/* The slots that may hold something, from @slot; returns how many. */
static size_t next_slots(struct emitter *emitter, uint64_t *at,
			 uint64_t slot[CHOICES])
{
	uint64_t end = emitter->start + emitter->slots, skip;
	size_t count;

	for (count = 0; count < CHOICES; count++) {
		skip = noise_skip(&emitter->noise, emitter->laws.highest);
		if (skip >= end - *at) {
			*at = end;
			break;
		}
		slot[count] = *at + skip;
		*at += skip + 1;
	}
	return count;
}

static int emit(struct emitter *emitter)
{
	uint64_t slot[CHOICES], at = emitter->start;
	uint64_t end = emitter->start + emitter->slots;
	size_t count;
	int err = 0;

	while (!err && at < end) {
		count = next_slots(emitter, &at, slot);
		if (count)
			err = (emitter->light->emit ?:
				       emit_pulses)(emitter, slot, count);
	}
	return err;
}

static void train_begin(struct emitter *emitter, struct buffer *train)
{
	double background = ldexp(emitter->laws.background, 63);

	buffer_reset(train);
	buffer_put_number(train, emitter->model.protocol, 1);
	buffer_put_number(train, emitter->start, 8);
	buffer_put_number(train, emitter->slots, 8);
	buffer_put_number(train, (uint64_t)background, 8);
	buffer_put_number(train, 0, 8);
	emitter->train = train;
	emitter->last = emitter->start;
	emitter->records = 0;
}

static void train_end(struct buffer *train, uint64_t records)
{
	unsigned int i;

	for (i = 0; i < 8; i++)
		train->data[HEADER_RECORDS + i] = records >> (8 * (7 - i));
}

/* The train that begins now. The key of the choices is that of all in its block. */
static int remember_train(struct emitter *emitter)
{
	size_t room = 2 * emitter->sent_room + 16;
	struct sent *more;

	if (emitter->sents == emitter->sent_room) {
		more = realloc(emitter->sent, room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		emitter->sent = more;
		emitter->sent_room = room;
	}
	if (!emitter->sents && chooser_rekey(&emitter->chooser))
		return -EIO;
	emitter->sent[emitter->sents++] = (struct sent){
		.start = emitter->start,
		.slots = emitter->slots,
		.detect = emitter->laws.detect,
	};
	return 0;
}

int emitter_train(struct emitter *emitter, const struct state *state,
		  uint64_t slots, struct buffer *train)
{
	int err;

	if (emitter->answered)
		return -EBUSY;
	if (!slots || slots > LIGHT_SLOTS - emitter->next)
		return -EINVAL;
	eve_laws(&emitter->eve, &emitter->model, state, &emitter->laws);
	if (slots * (emitter->laws.highest + 2 * emitter->laws.background +
		     2 * emitter->model.detector.dark) >
	    LIGHT_CLICKS)
		return -E2BIG;
	emitter->start = emitter->next;
	emitter->slots = slots;
	err = remember_train(emitter);
	if (err)
		return err;
	train_begin(emitter, train);
	err = emit(emitter) ?: train->bad;
	emitter->train = NULL;
	if (err) {
		emitter_drop(emitter);
		buffer_reset(train);
		return err;
	}
	train_end(train, emitter->records);
	emitter->next += slots;
	return 0;
}

size_t emitter_trains(const struct emitter *emitter)
{
	return emitter->sents - emitter->answered;
}

void emitter_drop(struct emitter *emitter)
{
	OPENSSL_cleanse(emitter->outcome,
			emitter->outcomes * sizeof(*emitter->outcome));
	emitter->outcomes = 0;
	emitter->outcome_at = 0;
	emitter->sents = 0;
	emitter->answered = 0;
	chooser_forget(&emitter->chooser);
}
