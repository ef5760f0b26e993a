// SPDX-License-Identifier: GPL-2.0-only
/*
 * Coherent one-way, and its variant with empty symbols. A photon carries the slot
 * it is in, and whether the slots beside it have a fixed phase to it: that is what an
 * interferometer sees.
 *
 * Bob tells: 0: a click of the data line; 4, 5: of the interferometer in an early
 * gate, where light belongs and where not; 6, 7: in a late gate. Alice answers, to 0, 6
 * and 7, 1 + the kind of symbol; to 4 and 5: 1 if two full slots met across symbols,
 * else 0.
 */
#include <errno.h>
#include <stdlib.h>

#include <openssl/crypto.h>

#include "light.h"

enum kind {
	KIND_BIT,
	KIND_DECOY,
	KIND_EMPTY,
};

#define TELL_EARLY 4
#define TELL_LATE 6
#define DATA_AGAIN \
	4 /* the data line's detector in struct gate; 1, 2: the interferometer's */
#define BESIDE 3 /* choices per symbol: it, and those before and after */

/* ---- Alice ---- */

static bool is_full(const struct emitter *emitter, uint64_t symbol,
		    const struct choice *choice, bool late)
{
	if (symbol - emitter->start >= emitter->slots)
		return false;
	switch (emitter_kind(emitter, choice)) {
	case KIND_BIT:
		return (choice->bits & 1) == late;
	case KIND_DECOY:
		return true;
	default:
		return false;
	}
}

/* Choices of a symbol and those beside it. */
static int draw_beside(struct emitter *emitter, const uint64_t *symbol,
		       size_t count, struct choice *choice)
{
	uint64_t beside[CHOICES];
	size_t i;

	for (i = 0; i < count; i++) {
		beside[BESIDE * i] = symbol[i] - 1;
		beside[BESIDE * i + 1] = symbol[i];
		beside[BESIDE * i + 2] = symbol[i] + 1;
	}
	return chooser_draw(&emitter->chooser, beside, BESIDE * count, choice);
}

/* Is the phase between a photon and the slot beside it a fixed one, and seen? */
static bool keeps_phase(struct emitter *emitter, bool across)
{
	const struct eve *eve = &emitter->eve;
	double p = emitter->model.source.visibility;

	/* To look when photons come, or how many, is to lose the phase. */
	if (across &&
	    (eve->attack == ATTACK_INTERCEPT || eve->attack == ATTACK_SPLIT))
		p *= 1 - eve->fraction;
	return noise_chance(&emitter->noise, p);
}

static unsigned int state_of(struct emitter *emitter, uint64_t symbol,
			     const struct choice *choice, bool late)
{
	bool before = late ? is_full(emitter, symbol, choice, false) :
			     is_full(emitter, symbol - 1, choice - 1, true);
	bool after = late ? is_full(emitter, symbol + 1, choice + 1, false) :
			    is_full(emitter, symbol, choice, true);

	return (late ? LIGHT_LATE : 0) |
	       (before && keeps_phase(emitter, !late) ? LIGHT_BEFORE : 0) |
	       (after && keeps_phase(emitter, late) ? LIGHT_AFTER : 0);
}

static void emit_symbol(struct emitter *emitter, uint64_t symbol,
			const struct choice *choice)
{
	unsigned int kind = emitter_kind(emitter, choice), photons, state;
	bool attacked, late;

	photons = eve_photons(&emitter->laws, kind, &emitter->noise, &attacked);
	while (photons--) {
		late = kind == KIND_BIT ? choice->bits & 1 :
					  noise_word(&emitter->noise) >> 63;
		state = state_of(emitter, symbol, choice, late);
		/* Behind blinded detectors, Eve's own clicks are repeated. */
		if (attacked && emitter->eve.attack != ATTACK_BLIND)
			state &= LIGHT_LATE;
		emitter_record(emitter, symbol, state, 1);
	}
}

static int emit(struct emitter *emitter, const uint64_t *symbol, size_t count)
{
	struct choice choice[CHOICES];
	size_t i, n;
	int err = 0;

	for (; !err && count; count -= n, symbol += n) {
		n = count < CHOICES / BESIDE ? count : CHOICES / BESIDE;
		err = draw_beside(emitter, symbol, n, choice);
		for (i = 0; !err && i < n; i++)
			emit_symbol(emitter, symbol[i],
				    &choice[BESIDE * i + 1]);
	}
	OPENSSL_cleanse(choice, sizeof(choice));
	return err;
}

/* ---- Bob ---- */

/**
 * struct hit - something to be seen in a gate: 2 * symbol, + 1 if late
 * @seen: a bit per detector of the line
 */
struct hit {
	uint64_t gate;
	uint8_t seen;
};

/**
 * struct line - data or interferometer, in a train
 * @strays: probability per gate of one or more
 * @both: that it is both detectors, then
 * @stray: the gate of the next one
 * @at: the next hit to be looked at
 */
struct line {
	double strays;
	double both;
	uint64_t stray;
	struct hit *hit;
	size_t hits;
	size_t room;
	size_t at;
};

static int line_hit(struct line *line, uint64_t gate, unsigned int seen)
{
	size_t size = sizeof(*line->hit), i;
	struct hit *more;

	if (line->hits == line->room) {
		more = OPENSSL_clear_realloc(line->hit, line->room * size,
					     (2 * line->room + CHOICES) * size);
		if (!more)
			return -ENOMEM;
		line->hit = more;
		line->room = 2 * line->room + CHOICES;
	}
	/* In order, bar what comes by the long arm. */
	for (i = line->hits++; i && line->hit[i - 1].gate > gate; i--)
		line->hit[i] = line->hit[i - 1];
	line->hit[i] = (struct hit){ .gate = gate, .seen = seen };
	return 0;
}

static uint64_t next_stray(struct noise *noise, const struct line *line,
			   uint64_t from)
{
	uint64_t skip = noise_skip(noise, line->strays);

	return skip < 2 * LIGHT_SLOTS ? from + skip : UINT64_MAX;
}

/* Strays of the gates before @end. */
static int line_strays(struct line *line, struct noise *noise, uint64_t end)
{
	int err = 0;

	while (!err && line->stray < end) {
		unsigned int seen = 1;

		if (line->both > 0)
			seen = noise_chance(noise, line->both) ?
				       3 :
				       1 + (noise_word(noise) >> 63);
		err = line_hit(line, line->stray, seen);
		line->stray = next_stray(noise, line, line->stray + 1);
	}
	return err;
}

/* A photon takes one of the lines. */
static int photon(struct receiver *receiver, const struct arrival *arrival,
		  struct line *data, struct line *monitor)
{
	struct noise *noise = &receiver->noise;
	bool late = arrival->state & LIGHT_LATE, longer, wrong;
	uint64_t gate = 2 * arrival->slot;

	if (noise_chance(noise, receiver->model.source.data)) {
		wrong = noise_chance(noise,
				     receiver->model.detector.misalignment);
		return line_hit(data, gate + (late ^ wrong), 1);
	}
	longer = noise_word(noise) >> 63;
	wrong = false;
	if (!(arrival->state & (longer ? LIGHT_AFTER : LIGHT_BEFORE)))
		wrong = noise_word(noise) >> 63;
	return line_hit(monitor, gate + late + longer, 1 << wrong);
}

static int photons(struct receiver *receiver, const struct arrival *arrival,
		   size_t count, struct line *data, struct line *monitor)
{
	uint64_t end = 2 * (receiver->start + receiver->slots);
	unsigned int i;
	int err = 0;

	for (; !err && count; count--, arrival++) {
		err = line_strays(data, &receiver->noise, 2 * arrival->slot) ?:
			      line_strays(monitor, &receiver->noise,
					  2 * arrival->slot);
		for (i = 0; !err && i < arrival->photons; i++)
			err = photon(receiver, arrival, data, monitor);
	}
	return err						?:
		       line_strays(data, &receiver->noise, end) ?:
		       line_strays(monitor, &receiver->noise, end);
}

static uint64_t line_next(const struct line *line)
{
	return line->at < line->hits ? line->hit[line->at].gate / 2 :
				       UINT64_MAX;
}

/* The next symbol of which there is something. */
static uint64_t next_symbol(const struct gate *gate, const struct line *data,
			    const struct line *monitor)
{
	uint64_t symbol = line_next(data), other = line_next(monitor);

	if (other < symbol)
		symbol = other;
	if (gate->again && gate->live < symbol)
		symbol = gate->live;
	return symbol;
}

/* What a line has of a symbol, early and late. */
static void line_take(struct line *line, uint64_t symbol, unsigned int seen[2])
{
	seen[0] = 0;
	seen[1] = 0;
	for (; line->at < line->hits; line->at++) {
		const struct hit *hit = &line->hit[line->at];

		if (hit->gate / 2 != symbol)
			break;
		seen[hit->gate % 2] |= hit->seen;
	}
}

static int data_symbol(struct receiver *receiver, uint64_t symbol,
		       const unsigned int seen[2], bool key)
{
	unsigned int bit = !seen[0];
	struct choice choice = { 0 };
	int err = 0;

	if (!(seen[0] | seen[1]))
		return 0;
	if (seen[0] && seen[1]) {
		err = chooser_draw(&receiver->chooser, &symbol, 1, &choice);
		bit = choice.bits & 1;
		OPENSSL_cleanse(&choice, sizeof(choice));
	}
	receiver_dead(receiver, symbol, DATA_AGAIN);
	if (key && !err)
		err = receiver_click(receiver, symbol, 0, bit);
	return err;
}

static int monitor_symbol(struct receiver *receiver, uint64_t symbol,
			  const unsigned int seen[2])
{
	unsigned int late, wrong;
	int err = 0;

	for (late = 0; !err && late < 2; late++) {
		if (!seen[late])
			continue;
		wrong = seen[late] == 3 ? noise_word(&receiver->noise) >> 63 :
					  seen[late] >> 1;
		receiver_dead(receiver, symbol, 1 << wrong);
		err = receiver_click(receiver, symbol,
				     (late ? TELL_LATE : TELL_EARLY) | wrong,
				     0);
	}
	return err;
}

/*
 * A click of either line makes both dead. Where the interferometer tells of a symbol, what the
 * data line has of it is not for the key.
 */
static int one_symbol(struct receiver *receiver, struct line *data,
		      struct line *monitor, uint64_t symbol)
{
	struct gate *gate = &receiver->gate;
	unsigned int at_data[2], at_monitor[2], again, late;

	line_take(data, symbol, at_data);
	line_take(monitor, symbol, at_monitor);
	if (symbol < gate->live)
		return 0;
	again = symbol == gate->live ? gate->again : 0;
	gate->again = 0;
	if (again) {
		/* An afterpulse is in either slot. */
		late = noise_word(&receiver->noise) >> 63;
		at_data[late] |= !!(again & DATA_AGAIN);
		at_monitor[late] |= again & ~DATA_AGAIN;
	}
	return data_symbol(receiver, symbol, at_data, !at_monitor[1]) ?:
		       monitor_symbol(receiver, symbol, at_monitor);
}

static int receive(struct receiver *receiver, const struct arrival *arrival,
		   size_t count)
{
	double d = receiver->stray;
	struct line data = { .strays = d };
	struct line monitor = { .strays = d * (2 - d), .both = d / (2 - d) };
	uint64_t end = receiver->start + receiver->slots, symbol;
	int err;

	data.stray = next_stray(&receiver->noise, &data, 2 * receiver->start);
	monitor.stray =
		next_stray(&receiver->noise, &monitor, 2 * receiver->start);
	if (receiver->gate.live < receiver->start)
		receiver->gate.again = 0;
	err = photons(receiver, arrival, count, &data, &monitor);
	while (!err) {
		symbol = next_symbol(&receiver->gate, &data, &monitor);
		if (symbol >= end)
			break;
		err = one_symbol(receiver, &data, &monitor, symbol);
	}
	OPENSSL_clear_free(data.hit, data.room * sizeof(*data.hit));
	OPENSSL_clear_free(monitor.hit, monitor.room * sizeof(*monitor.hit));
	return err;
}

/* ---- Sifting ---- */

static unsigned int answer(struct emitter *emitter, uint64_t symbol,
			   unsigned int tell, const struct choice *choice,
			   unsigned int *bit)
{
	struct choice before = { 0 };
	uint64_t last = symbol - 1;
	bool meet;

	*bit = choice->bits & 1;
	if (!tell || tell >= TELL_LATE)
		return 1 + emitter_kind(emitter, choice);
	/* A choice that cannot be drawn is one of no light. */
	meet = !chooser_draw(&emitter->chooser, &last, 1, &before) &&
	       is_full(emitter, symbol, choice, false) &&
	       is_full(emitter, last, &before, true);
	OPENSSL_cleanse(&before, sizeof(before));
	return meet;
}

static int count_late(struct counts *counts, bool wrong, unsigned int kind)
{
	counts->clicks[BASIS_CHECK][kind]++;
	counts->compared[BASIS_CHECK][kind]++;
	counts->errors[BASIS_CHECK][kind] += wrong;
	if (kind == KIND_DECOY)
		counts->visibility[wrong]++;
	return 0;
}

static int count(struct counts *counts, unsigned int tell, unsigned int answer)
{
	unsigned int kind = answer - 1;

	if (tell && tell < TELL_EARLY)
		return -EBADMSG;
	if (tell && tell < TELL_LATE) {
		if (answer > 1)
			return -EBADMSG;
		counts->visibility[tell & 1] += answer;
		return 0;
	}
	if (kind > KIND_EMPTY)
		return -EBADMSG;
	if (tell)
		return count_late(counts, tell & 1, kind);
	counts->clicks[BASIS_KEY][kind]++;
	return kind == KIND_BIT;
}

const struct protocol_light light_cow = {
	.symbols = true,
	.emit = emit,
	.receive = receive,
	.answer = answer,
	.count = count,
};

/* Nothing across symbols is looked at: there is nothing to answer to 4 and 5. */
static unsigned int answer_variant(struct emitter *emitter, uint64_t symbol,
				   unsigned int tell,
				   const struct choice *choice,
				   unsigned int *bit)
{
	if (tell == TELL_EARLY || tell == (TELL_EARLY | 1))
		return 0;
	return answer(emitter, symbol, tell, choice, bit);
}

static int count_variant(struct counts *counts, unsigned int tell,
			 unsigned int answer)
{
	if (tell && tell < TELL_LATE && answer)
		return -EBADMSG;
	return count(counts, tell, answer);
}

const struct protocol_light light_cow_variant = {
	.symbols = true,
	.emit = emit,
	.receive = receive,
	.answer = answer_variant,
	.count = count_variant,
};
