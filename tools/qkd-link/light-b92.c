// SPDX-License-Identifier: GPL-2.0-only
/*
 * B92. Bob tells of clicks that say something (0), and how many did not. Alice
 * answers 1 to all.
 */
#include <errno.h>

#include "light.h"

#define ANGLE 2 /* 45 degrees between the states */

/*
 * Eve measures all photons in one of Bob's bases. If she learns nothing, she takes
 * the state for the one of her basis: that is wrong if all photons of the other
 * state went there, 1/2 each. Those that Bob will not detect come on top.
 */
static unsigned int resend(struct emitter *emitter, unsigned int state,
			   unsigned int photons)
{
	struct noise *noise = &emitter->noise;
	double lost =
		emitter->model.source.intensity[0] * (1 - emitter->laws.detect);
	uint64_t coins = noise_word(noise);

	photons += noise_poisson(noise, lost);
	if (coins & 1 || coins >> (64 - photons))
		return state;
	return ANGLE - state;
}

static unsigned int control(struct emitter *emitter, unsigned int state)
{
	unsigned int basis = noise_word(&emitter->noise) >> 63;

	return eve_measure(state, basis * ANGLE, &emitter->noise) |
	       LIGHT_CONTROL;
}

static unsigned int pulse(struct emitter *emitter, const struct choice *choice,
			  unsigned int photons, bool attacked)
{
	unsigned int state = (choice->bits & 1) * ANGLE;

	if (attacked && emitter->eve.attack == ATTACK_INTERCEPT)
		return resend(emitter, state, photons);
	if (attacked && emitter->eve.attack == ATTACK_BLIND)
		return control(emitter, state);
	return state;
}

static unsigned int setting(const struct receiver *receiver,
			    const struct choice *choice)
{
	(void)receiver;
	return choice->what >> 62 ? ANGLE : 0;
}

/* A crossed detector says that the state was not that of its basis. */
static int tell(struct receiver *receiver, unsigned int setting,
		unsigned int *bit)
{
	if (!*bit) {
		receiver->inconclusive++;
		return -1;
	}
	*bit = !setting;
	return 0;
}

static unsigned int answer(struct emitter *emitter, uint64_t slot,
			   unsigned int tell, const struct choice *choice,
			   unsigned int *bit)
{
	(void)emitter;
	(void)slot;
	(void)tell;
	*bit = choice->bits & 1;
	return 1;
}

static int count(struct counts *counts, unsigned int tell, unsigned int answer)
{
	if (tell || answer != 1)
		return -EBADMSG;
	counts->clicks[BASIS_KEY][0]++;
	return 1;
}

const struct protocol_light light_b92 = {
	.pulse = pulse,
	.setting = setting,
	.tell = tell,
	.answer = answer,
	.count = count,
};
