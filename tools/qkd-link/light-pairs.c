// SPDX-License-Identifier: GPL-2.0-only
/*
 * E91 and BBM92: pairs from a source that stands with Alice. She measures her
 * photons, and Bob's are then in the state that she found, or in the other one where a
 * Werner state has noise.
 *
 * Bob tells: 0: the key basis; BBM92: 2, 3: the check basis, with his bit; E91:
 * 4 to 7: 4, twice which test basis, his bit. Alice answers: 0: does not count; 1:
 * it does, and BBM92: 8: her bit of the check basis is another; E91: for a test
 * basis 4, twice which of hers, 1 if her bit is another.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "light.h"

#define CHECK_ANGLE 2 /* 45 degrees */
#define TELL_CHECK 2
#define TELL_TEST 4
#define ANSWER_WRONG 8

/* Alice's are at 0 and 45 degrees, Bob's at 22.5 and -22.5. */
static const uint8_t test_of_alice[] = { 0, 2 }, test_of_bob[] = { 1, 7 };

static bool is_key(uint64_t key_limit, const struct choice *choice)
{
	return choice->what < key_limit;
}

/* Which of two test bases: a bit that says nothing about the limit. */
static unsigned int test_of(const struct choice *choice)
{
	return choice->share >> 31;
}

static unsigned int angle_of_alice(const struct emitter *emitter,
				   const struct choice *choice)
{
	if (is_key(emitter->key_limit, choice))
		return 0;
	if (emitter->model.protocol == PROTOCOL_BBM92)
		return CHECK_ANGLE;
	return test_of_alice[test_of(choice)];
}

/*
 * Alice's detectors: @twins of the photons that go to Bob, of which pair i came out
 * as bit i of choice->bits, others of which Bob has nothing, and dark counts.
 * Returns 0 if nothing clicks, else 2 and her bit.
 */
static unsigned int alice_clicks(struct emitter *emitter,
				 const struct choice *choice,
				 unsigned int twins)
{
	const struct model *model = &emitter->model;
	double efficiency = model->source.efficiency;
	double dark = model->detector.dark;
	double others = model->source.intensity[0] * (1 - emitter->laws.detect);
	unsigned int seen = 0, i, more;

	for (i = 0; i < twins; i++)
		if (noise_chance(&emitter->noise, efficiency))
			seen |= 1 << (choice->bits >> i & 1);
	more = i + noise_poisson(&emitter->noise, others * efficiency);
	for (; i < more && i < 30; i++)
		seen |= 1 << (choice->bits >> i & 1);
	if (noise_chance(&emitter->noise, dark * (2 - dark)))
		seen |= noise_chance(&emitter->noise, dark / (2 - dark)) ?
				3 :
				1 << (choice->bits >> 30 & 1);
	if (!seen)
		return 0;
	return 2 | (seen == 3 ? choice->bits >> 31 : seen >> 1);
}

static int remember(struct emitter *emitter, uint64_t slot, unsigned int clicks)
{
	size_t room = emitter->outcome_room, size = sizeof(struct outcome);
	struct outcome *more;

	if (emitter->outcomes == room) {
		more = OPENSSL_clear_realloc(emitter->outcome, room * size,
					     (2 * room + CHOICES) * size);
		if (!more)
			return -ENOMEM;
		emitter->outcome = more;
		emitter->outcome_room = 2 * room + CHOICES;
	}
	emitter->outcome[emitter->outcomes++] = (struct outcome){
		.slot = slot,
		.click = clicks >> 1,
		.bit = clicks & 1,
	};
	return 0;
}

/* Eve measures Bob's photon: as Alice and he do, or, to rule him, as he does. */
static unsigned int resend(struct emitter *emitter, unsigned int state)
{
	static const uint8_t of_bob[] = { 0, 1, 7 };
	struct noise *noise = &emitter->noise;
	bool blind = emitter->eve.attack == ATTACK_BLIND;
	unsigned int basis;

	if (blind && emitter->model.protocol == PROTOCOL_E91)
		basis = of_bob[noise_word(noise) % 3];
	else
		basis = (noise_word(noise) >> 63) * CHECK_ANGLE;
	return eve_measure(state, basis, noise) | (blind ? LIGHT_CONTROL : 0);
}

static int emit_slot(struct emitter *emitter, uint64_t slot,
		     const struct choice *choice)
{
	double disturbed = 1 - emitter->model.source.visibility;
	unsigned int photons, state, i;
	bool attacked, other;

	photons = eve_photons(&emitter->laws, 0, &emitter->noise, &attacked);
	for (i = 0; i < photons; i++) {
		other = choice->bits >> i & 1;
		if (noise_chance(&emitter->noise, disturbed))
			other = noise_word(&emitter->noise) >> 63;
		state = angle_of_alice(emitter, choice) + other * LIGHT_CROSSED;
		if (attacked && emitter->eve.attack != ATTACK_SPLIT)
			state = resend(emitter, state);
		emitter_record(emitter, slot, state, 1);
	}
	if (!photons)
		return 0;
	return remember(emitter, slot, alice_clicks(emitter, choice, photons));
}

static int emit(struct emitter *emitter, const uint64_t *slot, size_t count)
{
	struct choice choice[CHOICES];
	size_t i;
	int err = chooser_draw(&emitter->chooser, slot, count, choice);

	for (i = 0; !err && i < count; i++)
		err = emit_slot(emitter, slot[i], &choice[i]);
	OPENSSL_cleanse(choice, sizeof(choice));
	return err;
}

/* What Alice saw in a slot; slots come in order. */
static bool recall(struct emitter *emitter, uint64_t slot,
		   const struct choice *choice, unsigned int *bit)
{
	const struct outcome *outcome = emitter->outcome + emitter->outcome_at;
	const struct outcome *end = emitter->outcome + emitter->outcomes;
	unsigned int clicks;

	while (outcome < end && outcome->slot < slot)
		outcome++;
	emitter->outcome_at = outcome - emitter->outcome;
	if (outcome < end && outcome->slot == slot) {
		*bit = outcome->bit;
		return outcome->click;
	}
	/* Bob has a stray there. */
	clicks = alice_clicks(emitter, choice, 0);
	*bit = clicks & 1;
	return clicks;
}

/* ---- BBM92 ---- */

static unsigned int setting_bbm92(const struct receiver *receiver,
				  const struct choice *choice)
{
	return is_key(receiver->key_limit, choice) ? 0 : CHECK_ANGLE;
}

static int tell_bbm92(struct receiver *receiver, unsigned int setting,
		      unsigned int *bit)
{
	(void)receiver;
	return setting ? TELL_CHECK | *bit : 0;
}

static unsigned int answer_bbm92(struct emitter *emitter, uint64_t slot,
				 unsigned int tell, const struct choice *choice,
				 unsigned int *bit)
{
	if (!recall(emitter, slot, choice, bit) ||
	    is_key(emitter->key_limit, choice) != !tell)
		return 0;
	return 1 | (tell && (tell & 1) != *bit ? ANSWER_WRONG : 0);
}

static int count_bbm92(struct counts *counts, unsigned int tell,
		       unsigned int answer)
{
	enum basis basis = tell ? BASIS_CHECK : BASIS_KEY;

	if (tell == 1 || tell > (TELL_CHECK | 1))
		return -EBADMSG;
	if (!answer)
		return 0;
	if (answer != 1 && (!tell || answer != (1 | ANSWER_WRONG)))
		return -EBADMSG;
	counts->clicks[basis][0]++;
	if (basis == BASIS_KEY)
		return 1;
	counts->compared[basis][0]++;
	if (answer & ANSWER_WRONG)
		counts->errors[basis][0]++;
	return 0;
}

const struct protocol_light light_bbm92 = {
	.emit = emit,
	.setting = setting_bbm92,
	.tell = tell_bbm92,
	.answer = answer_bbm92,
	.count = count_bbm92,
};

/* ---- E91 ---- */

static unsigned int setting_e91(const struct receiver *receiver,
				const struct choice *choice)
{
	if (is_key(receiver->key_limit, choice))
		return 0;
	return test_of_bob[test_of(choice)];
}

static int tell_e91(struct receiver *receiver, unsigned int setting,
		    unsigned int *bit)
{
	(void)receiver;
	if (!setting)
		return 0;
	return TELL_TEST | (setting == test_of_bob[1]) << 1 | *bit;
}

static unsigned int answer_e91(struct emitter *emitter, uint64_t slot,
			       unsigned int tell, const struct choice *choice,
			       unsigned int *bit)
{
	if (!recall(emitter, slot, choice, bit) ||
	    is_key(emitter->key_limit, choice) != !tell)
		return 0;
	return tell ? 4 | test_of(choice) << 1 | ((tell & 1) != *bit) : 1;
}

static int count_e91(struct counts *counts, unsigned int tell,
		     unsigned int answer)
{
	bool test = tell >= TELL_TEST;

	if ((tell && !test) || tell > (TELL_TEST | 3))
		return -EBADMSG;
	if (!answer)
		return 0;
	if (test ? answer < 4 || answer > 7 : answer != 1)
		return -EBADMSG;
	counts->clicks[test ? BASIS_CHECK : BASIS_KEY][0]++;
	if (!test)
		return 1;
	counts->chsh[answer >> 1 & 1][tell >> 1 & 1][answer & 1]++;
	counts->compared[BASIS_CHECK][0]++;
	counts->errors[BASIS_CHECK][0] += answer & 1;
	return 0;
}

const struct protocol_light light_e91 = {
	.emit = emit,
	.setting = setting_e91,
	.tell = tell_e91,
	.answer = answer_e91,
	.count = count_e91,
};
