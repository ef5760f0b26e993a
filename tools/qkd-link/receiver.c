// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bob's detectors: strays, dead time, afterpulses, and what polarized light does
 * in his basis. rate.h has the model in words.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "light.h"

int receiver_new(struct receiver **receiver, const struct model *model)
{
	struct receiver *new = calloc(1, sizeof(*new));
	int err;

	if (!new)
		return -ENOMEM;
	new->model = *model;
	new->light = light_of(model->protocol);
	new->key_limit = choice_limit(model->source.key_basis);
	new->dead = model->detector.dead * model->source.rate;
	err = noise_seed(&new->noise) ?: chooser_new(&new->chooser);
	if (err) {
		receiver_free(new);
		return err;
	}
	*receiver = new;
	return 0;
}

void receiver_free(struct receiver *receiver)
{
	if (!receiver)
		return;
	OPENSSL_clear_free(receiver->click,
			   receiver->click_room * sizeof(*receiver->click));
	free(receiver->heard);
	chooser_free(&receiver->chooser);
	OPENSSL_clear_free(receiver, sizeof(*receiver));
}

size_t receiver_trains(const struct receiver *receiver)
{
	return receiver->heards - receiver->finished;
}

size_t receiver_clicks(const struct receiver *receiver)
{
	return receiver->clicks;
}

void receiver_drop(struct receiver *receiver)
{
	OPENSSL_cleanse(receiver->click,
			receiver->clicks * sizeof(*receiver->click));
	receiver->clicks = 0;
	receiver->past = 0;
	/* Nobody vouches for when those were that are not finished: what they left
	 * behind goes, too. */
	if (receiver_trains(receiver)) {
		receiver->next = receiver->heard[receiver->finished].start;
		receiver->gate = (struct gate){ 0 };
	}
	receiver->heards = 0;
	receiver->finished = 0;
	chooser_forget(&receiver->chooser);
}

int receiver_click(struct receiver *receiver, uint64_t slot, unsigned int tell,
		   unsigned int bit)
{
	size_t room = receiver->click_room, size = sizeof(struct click);
	struct click *more;

	if (receiver->clicks == room) {
		more = OPENSSL_clear_realloc(receiver->click, room * size,
					     (2 * room + CHOICES) * size);
		if (!more)
			return -ENOMEM;
		receiver->click = more;
		receiver->click_room = 2 * room + CHOICES;
	}
	receiver->click[receiver->clicks++] = (struct click){
		.slot = slot,
		.tell = tell,
		.bit = bit,
	};
	return 0;
}

void receiver_dead(struct receiver *receiver, uint64_t slot, uint8_t again)
{
	receiver->gate.live = slot + 1 + receiver->dead;
	if (noise_chance(&receiver->noise, receiver->model.detector.afterpulse))
		receiver->gate.again |= again;
}

/* ---- Light by its angle ---- */

/* Which detectors see photons of that state: a bit each. */
static unsigned int detect(struct receiver *receiver,
			   const struct arrival *arrival, unsigned int setting)
{
	double wrong = receiver->model.detector.misalignment, p;
	unsigned int state = arrival->state % LIGHT_ANGLES, i, seen = 0;

	p = light_crossed(state, setting);
	if (arrival->state & LIGHT_CONTROL) {
		/* A blinded detector clicks if all the light is its own. Eve's
		 * optics are as good as Bob's. */
		if (p > 0 && p < 1)
			return 0;
		return 1 << ((p > 0) ^ noise_chance(&receiver->noise, wrong));
	}
	p = p * (1 - 2 * wrong) + wrong;
	for (i = 0; i < arrival->photons; i++)
		seen |= 1 << noise_chance(&receiver->noise, p);
	return seen;
}

/* A gate that is live, with the light of @count records and @seen so far. */
static int measure(struct receiver *receiver, uint64_t slot,
		   const struct choice *choice, unsigned int seen,
		   const struct arrival *arrival, size_t count)
{
	unsigned int setting = receiver->light->setting(receiver, choice), bit;
	int tell;

	for (; count; count--)
		seen |= detect(receiver, arrival++, setting);
	if (!seen)
		return 0;
	bit = seen == 3 ? choice->bits & 1 : seen >> 1;
	receiver_dead(receiver, slot, 1 << bit);
	tell = receiver->light->tell(receiver, setting, &bit);
	return tell < 0 ? 0 : receiver_click(receiver, slot, tell, bit);
}

/* The afterpulse that is due before slot @before, if it is not over. */
static int measure_again(struct receiver *receiver, uint64_t before)
{
	struct gate *gate = &receiver->gate;
	struct choice choice;
	uint64_t slot;
	unsigned int seen;
	int err = 0;

	/* It may make another one. */
	while (!err && gate->again && gate->live < before) {
		seen = gate->again;
		gate->again = 0;
		slot = gate->live;
		if (slot < receiver->start)
			break;
		err = chooser_draw(&receiver->chooser, &slot, 1, &choice) ?:
			      measure(receiver, slot, &choice, seen, NULL, 0);
		OPENSSL_cleanse(&choice, sizeof(choice));
	}
	return err;
}

/**
 * struct event - a slot in which something may be seen
 * @stray: detectors that click by themselves, a bit each
 * @arrival: the first of @count records
 */
struct event {
	uint8_t stray;
	size_t count;
	const struct arrival *arrival;
};

/* Arrivals and strays that are to come. */
struct events {
	const struct arrival *arrival;
	const struct arrival *end;
	uint64_t stray;
};

static uint64_t next_stray(struct receiver *receiver, uint64_t from)
{
	double p = receiver->stray * (2 - receiver->stray);
	uint64_t skip = noise_skip(&receiver->noise, p);

	return skip < LIGHT_SLOTS ? from + skip : UINT64_MAX;
}

static uint64_t next_event(struct receiver *receiver, struct events *events,
			   struct event *event)
{
	uint64_t slot = events->stray;
	double both = receiver->stray / (2 - receiver->stray);

	if (events->arrival < events->end && events->arrival->slot < slot)
		slot = events->arrival->slot;
	*event = (struct event){ .arrival = events->arrival };
	if (slot == events->stray) {
		event->stray = noise_chance(&receiver->noise, both) ?
				       3 :
				       1 + (noise_word(&receiver->noise) >> 63);
		events->stray = next_stray(receiver, slot + 1);
	}
	while (events->arrival < events->end && events->arrival->slot == slot) {
		events->arrival++;
		event->count++;
	}
	return slot;
}

static int measure_event(struct receiver *receiver, uint64_t slot,
			 const struct choice *choice, const struct event *event)
{
	struct gate *gate = &receiver->gate;
	unsigned int seen = event->stray;
	int err = measure_again(receiver, slot);

	if (err || slot < gate->live)
		return err;
	/* An afterpulse that is due now; else none is left. */
	seen |= gate->again;
	gate->again = 0;
	return measure(receiver, slot, choice, seen, event->arrival,
		       event->count);
}

static int receive_angles(struct receiver *receiver,
			  const struct arrival *arrival, size_t count)
{
	uint64_t end = receiver->start + receiver->slots, slot[CHOICES];
	struct events events = {
		.arrival = arrival,
		.end = arrival + count,
		.stray = next_stray(receiver, receiver->start),
	};
	struct choice choice[CHOICES];
	struct event event[CHOICES];
	size_t i, n;
	int err = 0;

	do {
		for (n = 0; n < CHOICES; n++) {
			if (events.arrival == events.end && events.stray >= end)
				break;
			slot[n] = next_event(receiver, &events, &event[n]);
		}
		err = chooser_draw(&receiver->chooser, slot, n, choice);
		for (i = 0; !err && i < n; i++)
			err = measure_event(receiver, slot[i], &choice[i],
					    &event[i]);
	} while (!err && n == CHOICES);
	OPENSSL_cleanse(choice, sizeof(choice));
	return err ?: measure_again(receiver, end);
}

/* ---- Trains ---- */

/**
 * struct train - what it says
 * @stray: clicks without a photon of it, per gate and detector
 */
struct train {
	uint64_t start;
	uint64_t slots;
	double stray;
	struct arrival *arrival;
	size_t count;
};

static int train_header(const struct receiver *receiver, struct buffer *buffer,
			struct train *train)
{
	uint64_t protocol = buffer_get_number(buffer, 1), background, count;
	double dark = receiver->model.detector.dark;

	train->start = buffer_get_number(buffer, 8);
	train->slots = buffer_get_number(buffer, 8);
	background = buffer_get_number(buffer, 8);
	count = buffer_get_number(buffer, 8);
	if (buffer->bad)
		return buffer->bad;
	if (protocol != receiver->model.protocol ||
	    train->start < receiver->next || train->start > LIGHT_SLOTS ||
	    !train->slots || train->slots > LIGHT_SLOTS - train->start ||
	    background > UINT64_C(1) << 63)
		return -EBADMSG;
	/* A record has two bytes or more. */
	if (count > (buffer->size - buffer->at) / 2)
		return -EBADMSG;
	train->count = count;
	train->stray = dark + (1 - dark) * ldexp(background, -63);
	/* Or there is no end to counting strays. */
	return 2 * train->slots * train->stray > LIGHT_CLICKS ? -EBADMSG : 0;
}

static int train_records(const struct receiver *receiver, struct buffer *buffer,
			 struct train *train)
{
	uint64_t slot = train->start, end = train->start + train->slots, skip;
	bool angles = !receiver->light->receive;
	struct arrival *arrival = train->arrival;
	unsigned int byte;
	size_t i;

	for (i = 0; i < train->count; i++, arrival++) {
		skip = buffer_get_varint(buffer);
		byte = buffer_get_number(buffer, 1);
		if (skip >= end - slot)
			return -EBADMSG;
		slot += skip;
		arrival->slot = slot;
		arrival->state = byte & 15;
		arrival->photons = (byte >> 4) + 1;
		if (!angles && arrival->state & LIGHT_CONTROL)
			return -EBADMSG;
	}
	return buffer_done(buffer);
}

/* It is measured from here on. The key of the choices is that of all in its block. */
static int begin_train(struct receiver *receiver, const struct train *train)
{
	size_t room = 2 * receiver->heard_room + 16;
	struct heard *more;

	if (receiver->heards == receiver->heard_room) {
		more = realloc(receiver->heard, room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		receiver->heard = more;
		receiver->heard_room = room;
	}
	if (!receiver->heards && chooser_rekey(&receiver->chooser))
		return -EIO;
	receiver->start = train->start;
	receiver->slots = train->slots;
	receiver->stray = train->stray;
	receiver->inconclusive = 0;
	receiver->heard[receiver->heards++] = (struct heard){
		.start = train->start,
		.slots = train->slots,
	};
	receiver->next = train->start + train->slots;
	return 0;
}

int receiver_train(struct receiver *receiver, struct buffer *buffer)
{
	struct train train = { 0 };
	size_t before = receiver->clicks;
	struct heard *heard;
	int err;

	if (receiver->finished)
		return -EBUSY;
	err = train_header(receiver, buffer, &train);
	if (err)
		return err;
	train.arrival = calloc(train.count + 1, sizeof(*train.arrival));
	if (!train.arrival)
		return -ENOMEM;
	err = train_records(receiver, buffer, &train) ?:
		      begin_train(receiver, &train);
	if (!err) {
		err = (receiver->light->receive ?: receive_angles)(
			receiver, train.arrival, train.count);
		heard = &receiver->heard[receiver->heards - 1];
		heard->clicks = receiver->clicks - before;
		heard->inconclusive = receiver->inconclusive;
		if (err)
			receiver_drop(receiver);
	}
	OPENSSL_clear_free(train.arrival,
			   (train.count + 1) * sizeof(*train.arrival));
	return err;
}
