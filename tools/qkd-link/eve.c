// SPDX-License-Identifier: GPL-2.0-only
/*
 * Eve, and the channel: how many photons of a pulse Bob will detect, and what they
 * are after she had them. She stands at Alice's exit, counts photons without
 * loss, and has a line without loss to Bob; his detectors are his own.
 */
#include <math.h>

#include "light.h"

/* Photons that a pulse may have at Alice's exit; means are about 1 and less. */
#define EXIT 64

double light_mean(const struct model *model, unsigned int kind)
{
	bool two = protocol_cow(model->protocol) && kind == 1;

	/* Both slots of a decoy are full. */
	return model->source.intensity[kind] * (two ? 2 : 1);
}

static void law_of_poisson(struct law *law, double mean, double share)
{
	double p = share * exp(-mean), sum = 0;
	unsigned int k;

	for (k = 0; k < LIGHT_PHOTONS; k++) {
		p *= mean / (k + 1);
		sum += p;
		law->upto[k] = sum;
	}
}

/* One photon more on its way: dist[k] is the probability that k are detected. */
static void one_more(double dist[LIGHT_PHOTONS + 1], double detect)
{
	unsigned int k;

	dist[LIGHT_PHOTONS] += dist[LIGHT_PHOTONS - 1] * detect;
	for (k = LIGHT_PHOTONS - 1; k; k--)
		dist[k] += (dist[k - 1] - dist[k]) * detect;
	dist[0] -= dist[0] * detect;
}

/*
 * Photon-number splitting: of n >= 2 photons she keeps one and sends n - 1, with
 * probability @many; of single ones she lets a share @single pass.
 */
static void law_of_split(struct law *law, double mean, double efficiency,
			 double single, double many)
{
	double dist[LIGHT_PHOTONS + 1] = { 1 }, sum[LIGHT_PHOTONS + 1] = { 0 };
	double p = mean * exp(-mean), upto = 0;
	unsigned int n, k;

	sum[1] = p * single * efficiency;
	for (n = 2; n < EXIT; n++) {
		p *= mean / n;
		one_more(dist, efficiency);
		for (k = 1; k <= LIGHT_PHOTONS; k++)
			sum[k] += p * many * dist[k];
	}
	for (k = 0; k < LIGHT_PHOTONS; k++) {
		upto += sum[k + 1];
		law->upto[k] = upto;
	}
}

/* What she lets pass so that signal pulses click as often as ever, if she can. */
static void split_shares(const struct model *model, double detect,
			 double *single, double *many)
{
	double mean = model->source.intensity[0], gain = -expm1(-mean * detect);
	double efficiency = model->detector.efficiency, all;
	double one = mean * exp(-mean) * efficiency;
	struct law law;

	law_of_split(&law, mean, efficiency, 0, 1);
	all = law.upto[LIGHT_PHOTONS - 1];
	*many = all > gain ? gain / all : 1;
	*single = all > gain ? 0 : fmin(1, (gain - all) / one);
}

/* Never more than one photon, with probability @p. */
static void law_of_one(struct law *law, double p)
{
	unsigned int k;

	for (k = 0; k < LIGHT_PHOTONS; k++)
		law->upto[k] = p;
}

/*
 * B92's two states are told apart for certain with probability 1 - cos(45 deg)^n
 * of n photons. She sends one photon of the state on, and nothing where she does not
 * know; no more often than Bob would have clicked.
 */
static void law_of_discrimination(struct law *law, double mean, double detect,
				  double efficiency)
{
	double known = -expm1(-mean * (1 - M_SQRT1_2));

	law_of_one(law, fmin(known * efficiency, -expm1(-mean * detect)));
}

/*
 * Blinded detectors click if Bob's basis, of @bases, is hers: she rules them that
 * much more often than they would have clicked.
 */
static void law_of_blinding(struct law *law, double mean, double detect,
			    unsigned int bases)
{
	double p = exp(-mean), miss = 1, sum = 0;
	unsigned int n;

	for (n = 1; n < EXIT; n++) {
		p *= mean / n;
		miss *= 1 - detect;
		sum += p * fmin(1, bases * (1 - miss));
	}
	law_of_one(law, sum);
}

static void law_attacked(const struct eve *eve, const struct model *model,
			 double detect, unsigned int kind, struct law *law)
{
	double mean = light_mean(model, kind), single, many;
	enum protocol protocol = model->protocol;

	if (eve->attack == ATTACK_SPLIT && protocol == PROTOCOL_B92) {
		law_of_discrimination(law, mean, detect,
				      model->detector.efficiency);
	} else if (eve->attack == ATTACK_SPLIT && !protocol_pairs(protocol)) {
		split_shares(model, detect, &single, &many);
		law_of_split(law, mean, model->detector.efficiency, single,
			     many);
	} else if (eve->attack == ATTACK_BLIND && !protocol_cow(protocol)) {
		law_of_blinding(law, mean, detect,
				protocol == PROTOCOL_E91 ? 3 : 2);
	} else {
		law_of_poisson(law, mean * detect, 1);
	}
}

void eve_laws(const struct eve *eve, const struct model *model,
	      const struct state *state, struct laws *laws)
{
	bool attacks = eve->attack == ATTACK_INTERCEPT ||
		       eve->attack == ATTACK_SPLIT ||
		       eve->attack == ATTACK_BLIND;
	double taken = attacks ? eve->fraction : 0, sum;
	unsigned int i, k;

	laws->detect = state->transmittance * model->detector.efficiency;
	laws->background = state->background;
	if (eve->attack == ATTACK_LOSS)
		laws->detect *= 1 - eve->fraction;
	if (eve->attack == ATTACK_NOISE)
		laws->background += (1 - laws->background) * eve->fraction;
	laws->highest = 0;
	for (i = 0; i < INTENSITIES; i++) {
		law_of_poisson(&laws->honest[i],
			       light_mean(model, i) * laws->detect, 1 - taken);
		law_attacked(eve, model, laws->detect, i, &laws->attacked[i]);
		for (k = 0; k < LIGHT_PHOTONS; k++)
			laws->attacked[i].upto[k] *= taken;
		sum = laws->honest[i].upto[LIGHT_PHOTONS - 1] +
		      laws->attacked[i].upto[LIGHT_PHOTONS - 1];
		laws->highest = fmax(laws->highest, sum);
	}
}

unsigned int eve_photons(const struct laws *laws, unsigned int kind,
			 struct noise *noise, bool *attacked)
{
	double at = noise_unit(noise) * laws->highest;
	const struct law *law = &laws->honest[kind];
	unsigned int k;

	*attacked = at >= law->upto[LIGHT_PHOTONS - 1];
	if (*attacked) {
		at -= law->upto[LIGHT_PHOTONS - 1];
		law = &laws->attacked[kind];
	}
	for (k = 0; k < LIGHT_PHOTONS; k++)
		if (at < law->upto[k])
			return k + 1;
	return 0;
}

double light_crossed(unsigned int state, unsigned int basis)
{
	/* sin^2 of 0, 22.5, 45, ... degrees */
	static const double crossed[LIGHT_ANGLES] = {
		0, (1 - M_SQRT1_2) / 2, 0.5, (1 + M_SQRT1_2) / 2,
		1, (1 + M_SQRT1_2) / 2, 0.5, (1 - M_SQRT1_2) / 2,
	};

	return crossed[(state - basis) % LIGHT_ANGLES];
}

unsigned int eve_measure(unsigned int state, unsigned int basis,
			 struct noise *noise)
{
	bool crossed = noise_chance(noise, light_crossed(state, basis));

	return (basis + crossed * LIGHT_CROSSED) % LIGHT_ANGLES;
}
