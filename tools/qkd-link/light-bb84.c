// SPDX-License-Identifier: GPL-2.0-only
/*
 * BB84 with decoys. Bob tells: 0: a click in the key basis; 2, 3: in the check
 * basis, with its bit. Alice answers: 0: her basis was the other one; else 1 +
 * intensity, and 8 if a bit of the check basis was wrong.
 */
#include <errno.h>

#include "light.h"

#define CHECK_ANGLE 2 /* 45 degrees */
#define TELL_CHECK 2
#define ANSWER_WRONG 8

static enum basis basis_of(uint64_t key_limit, const struct choice *choice)
{
	return choice->what < key_limit ? BASIS_KEY : BASIS_CHECK;
}

static unsigned int state_of(const struct emitter *emitter,
			     const struct choice *choice)
{
	unsigned int basis = basis_of(emitter->key_limit, choice);

	return basis * CHECK_ANGLE + (choice->bits & 1) * LIGHT_CROSSED;
}

static unsigned int resend(struct emitter *emitter, unsigned int state)
{
	unsigned int basis = noise_word(&emitter->noise) >> 63;

	state = eve_measure(state, basis * CHECK_ANGLE, &emitter->noise);
	return state |
	       (emitter->eve.attack == ATTACK_BLIND ? LIGHT_CONTROL : 0);
}

static unsigned int pulse(struct emitter *emitter, const struct choice *choice,
			  unsigned int photons, bool attacked)
{
	unsigned int state = state_of(emitter, choice);

	(void)photons;
	if (attacked && emitter->eve.attack != ATTACK_SPLIT)
		return resend(emitter, state);
	return state;
}

static unsigned int setting(const struct receiver *receiver,
			    const struct choice *choice)
{
	return basis_of(receiver->key_limit, choice) * CHECK_ANGLE;
}

static int tell(struct receiver *receiver, unsigned int setting,
		unsigned int *bit)
{
	(void)receiver;
	return setting ? TELL_CHECK | *bit : 0;
}

static unsigned int answer(struct emitter *emitter, uint64_t slot,
			   unsigned int tell, const struct choice *choice,
			   unsigned int *bit)
{
	enum basis basis = basis_of(emitter->key_limit, choice);
	unsigned int kind = emitter_kind(emitter, choice);

	(void)slot;
	*bit = choice->bits & 1;
	if (basis != (tell ? BASIS_CHECK : BASIS_KEY))
		return 0;
	return (kind + 1) | (tell && (tell & 1) != *bit ? ANSWER_WRONG : 0);
}

static int count(struct counts *counts, unsigned int tell, unsigned int answer)
{
	enum basis basis = tell ? BASIS_CHECK : BASIS_KEY;
	unsigned int kind = (answer & ~ANSWER_WRONG) - 1;

	if (tell == 1 || tell > (TELL_CHECK | 1))
		return -EBADMSG;
	if (!answer)
		return 0;
	if (kind >= INTENSITIES || (!tell && answer & ANSWER_WRONG))
		return -EBADMSG;
	counts->clicks[basis][kind]++;
	if (basis == BASIS_KEY)
		return 1;
	counts->compared[basis][kind]++;
	if (answer & ANSWER_WRONG)
		counts->errors[basis][kind]++;
	return 0;
}

const struct protocol_light light_bb84 = {
	.pulse = pulse,
	.setting = setting,
	.tell = tell,
	.answer = answer,
	.count = count,
};
