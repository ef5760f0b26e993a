// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sifting: Bob tells, Alice answers. What a click is told and answered as is the
 * protocol's; bits of the key are in neither.
 *
 * Told: first slot (8), slots (8), inconclusive clicks (varint), clicks (varint);
 * of each: 8 times the slots since the last one, plus what is told (varint).
 * Answer: first slot (8), slots (8), clicks (varint); of each what is answered, two in
 * a byte, the first in its low half.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "light.h"

#define TELLS 8

/**
 * struct sifting - a train's part, until it is known to be good
 * @click: slot, and what was told of it
 * @answer: to each of them
 */
struct sifting {
	struct sifted sifted;
	struct click *click;
	uint8_t *answer;
	size_t count;
};

static int sifting_init(struct sifting *sifting, size_t count)
{
	sifting->count = count;
	sifting->click = calloc(count + 1, sizeof(*sifting->click));
	sifting->answer = calloc(count + 1, 1);
	if (!sifting->click || !sifting->answer)
		return -ENOMEM;
	return bits_init(&sifting->sifted.key, 0);
}

static void sifting_free(struct sifting *sifting)
{
	bits_free(&sifting->sifted.key);
	OPENSSL_clear_free(sifting->click,
			   (sifting->count + 1) * sizeof(*sifting->click));
	free(sifting->answer);
}

/* Both ends count alike, from what was told and answered. */
static int sifting_count(struct sifting *sifting, const struct click *click,
			 const struct protocol_light *light)
{
	struct sifted *sifted = &sifting->sifted;
	size_t i;
	int key;

	for (i = 0; i < sifting->count; i++, click++) {
		key = light->count(&sifted->counts, click->tell,
				   sifting->answer[i]);
		if (key < 0)
			return key;
		if (key && bits_push(&sifted->key, click->bit))
			return -ENOMEM;
	}
	return 0;
}

static void add(uint64_t *to, const uint64_t *from, size_t count)
{
	while (count--)
		*to++ += *from++;
}

/* All of struct counts is numbers that add up. */
static int sifting_commit(const struct sifting *sifting, struct sifted *sifted)
{
	_Static_assert(sizeof(struct counts) % sizeof(uint64_t) == 0,
		       "counts are 64 bits each");
	if (bits_append(&sifted->key, &sifting->sifted.key))
		return -ENOMEM;
	add((uint64_t *)&sifted->counts,
	    (const uint64_t *)&sifting->sifted.counts,
	    sizeof(struct counts) / sizeof(uint64_t));
	return 0;
}

/* ---- Bob tells ---- */

/* Those of the train that is sifted. */
static const struct click *clicks_of(const struct receiver *receiver)
{
	return receiver->click ? receiver->click + receiver->past : NULL;
}

int sift_tell(struct receiver *receiver, struct buffer *told)
{
	const struct click *click = clicks_of(receiver);
	const struct heard *heard;
	uint64_t last;
	size_t i;

	if (!receiver_trains(receiver))
		return -EINVAL;
	heard = receiver->heard + receiver->finished;
	last = heard->start;
	buffer_reset(told);
	buffer_put_number(told, heard->start, 8);
	buffer_put_number(told, heard->slots, 8);
	buffer_put_varint(told, heard->inconclusive);
	buffer_put_varint(told, heard->clicks);
	for (i = 0; i < heard->clicks; i++, click++) {
		buffer_put_varint(told,
				  (click->slot - last) * TELLS + click->tell);
		last = click->slot;
	}
	return told->bad;
}

/* ---- Alice answers ---- */

/* Clicks are in order, and one a slot, or one a gate of it. */
static bool follows(const struct protocol_light *light,
		    const struct click *click)
{
	if (click->slot != click[-1].slot)
		return click->slot > click[-1].slot;
	return light->symbols && click->tell / 2 > click[-1].tell / 2;
}

/* The first train that is not answered is the one that is spoken of. */
static int pick_train(struct emitter *emitter)
{
	const struct sent *sent;

	if (!emitter_trains(emitter))
		return -EBADMSG;
	sent = emitter->sent + emitter->answered;
	emitter->start = sent->start;
	emitter->slots = sent->slots;
	emitter->laws.detect = sent->detect;
	return 0;
}

static int read_told(const struct emitter *emitter, struct buffer *told,
		     struct sifting *sifting)
{
	uint64_t start = buffer_get_number(told, 8);
	uint64_t slots = buffer_get_number(told, 8), slot = start, word;
	uint64_t inconclusive = buffer_get_varint(told);
	uint64_t count = buffer_get_varint(told);
	size_t i;

	if (told->bad || start != emitter->start || slots != emitter->slots ||
	    inconclusive > slots ||
	    (inconclusive && emitter->model.protocol != PROTOCOL_B92) ||
	    count > told->size - told->at)
		return told->bad ?: -EBADMSG;
	if (sifting_init(sifting, count))
		return -ENOMEM;
	sifting->sifted.counts.pulses = slots;
	sifting->sifted.counts.inconclusive = inconclusive;
	for (i = 0; i < count; i++) {
		word = buffer_get_varint(told);
		if (word / TELLS >= start + slots - slot)
			return -EBADMSG;
		slot += word / TELLS;
		sifting->click[i].slot = slot;
		sifting->click[i].tell = word % TELLS;
		if (i && !follows(emitter->light, &sifting->click[i]))
			return -EBADMSG;
	}
	return buffer_done(told);
}

static int answer_all(struct emitter *emitter, struct sifting *sifting)
{
	struct click *click = sifting->click;
	struct choice choice[CHOICES];
	uint64_t slot[CHOICES];
	size_t i, n, done;
	unsigned int bit = 0;
	int err = 0;

	for (done = 0; !err && done < sifting->count; done += n) {
		n = sifting->count - done;
		n = n < CHOICES ? n : CHOICES;
		for (i = 0; i < n; i++)
			slot[i] = click[done + i].slot;
		err = chooser_draw(&emitter->chooser, slot, n, choice);
		for (i = 0; !err && i < n; i++, bit = 0) {
			sifting->answer[done + i] = emitter->light->answer(
				emitter, slot[i], click[done + i].tell,
				&choice[i], &bit);
			click[done + i].bit = bit;
		}
	}
	OPENSSL_cleanse(choice, sizeof(choice));
	return err;
}

static int write_answer(const struct emitter *emitter,
			const struct sifting *sifting, struct buffer *answer)
{
	size_t i;

	buffer_reset(answer);
	buffer_put_number(answer, emitter->start, 8);
	buffer_put_number(answer, emitter->slots, 8);
	buffer_put_varint(answer, sifting->count);
	/* There is room for one more, which is zero. */
	for (i = 0; i < sifting->count; i += 2)
		buffer_put_number(
			answer,
			sifting->answer[i] | sifting->answer[i + 1] << 4, 1);
	return answer->bad;
}

int sift_answer(struct emitter *emitter, struct buffer *told,
		struct buffer *answer, struct sifted *sifted)
{
	size_t outcome_at = emitter->outcome_at;
	struct sifting sifting = { 0 };
	int err;

	err = pick_train(emitter)					     ?:
		      read_told(emitter, told, &sifting)		     ?:
		      answer_all(emitter, &sifting)			     ?:
		      sifting_count(&sifting, sifting.click, emitter->light) ?:
		      write_answer(emitter, &sifting, answer)		     ?:
		      sifting_commit(&sifting, sifted);
	sifting_free(&sifting);
	if (err)
		emitter->outcome_at = outcome_at;
	else if (++emitter->answered == emitter->sents)
		emitter_drop(emitter);
	return err;
}

/* ---- Bob hears ---- */

static int read_answer(const struct receiver *receiver, struct buffer *answer,
		       struct sifting *sifting)
{
	const struct heard *heard;
	uint64_t start = buffer_get_number(answer, 8);
	uint64_t slots = buffer_get_number(answer, 8), count;
	size_t i;

	if (!receiver_trains(receiver))
		return -EBADMSG;
	heard = receiver->heard + receiver->finished;
	if (start != heard->start || slots != heard->slots)
		return answer->bad ?: -EBADMSG;
	if (sifting_init(sifting, heard->clicks))
		return -ENOMEM;
	sifting->sifted.counts.pulses = slots;
	sifting->sifted.counts.inconclusive = heard->inconclusive;
	count = buffer_get_varint(answer);
	if (count != heard->clicks)
		return answer->bad ?: -EBADMSG;
	for (i = 0; i < count; i += 2) {
		uint8_t byte = buffer_get_number(answer, 1);

		sifting->answer[i] = byte & 15;
		sifting->answer[i + 1] = byte >> 4;
	}
	/* Of the half that is left over. */
	if (sifting->answer[count])
		return -EBADMSG;
	return buffer_done(answer);
}

int sift_finish(struct receiver *receiver, struct buffer *answer,
		struct sifted *sifted)
{
	struct sifting sifting = { 0 };
	int err;

	err = read_answer(receiver, answer, &sifting) ?:
		      sifting_count(&sifting, clicks_of(receiver), receiver->light) ?:
		      sifting_commit(&sifting, sifted);
	sifting_free(&sifting);
	if (err)
		return err;
	receiver->past += receiver->heard[receiver->finished++].clicks;
	if (!receiver_trains(receiver))
		receiver_drop(receiver);
	return 0;
}
