// SPDX-License-Identifier: GPL-2.0-only
/* What a link should see. Documentation/link-physics.md has the formulas. */
#include <math.h>
#include <string.h>

#include "proof.h"
#include "rate.h"

double binary_entropy(double p)
{
	if (!(p > 0 && p < 1))
		return 0;
	return -p * log2(p) - (1 - p) * log2(1 - p);
}

/* ---- Two threshold detectors ---- */

/**
 * struct gate - a kind of gate: how often, and what light comes to each detector
 * @share: of all gates
 * @mean: mean number of photons that would be detected
 */
struct gate {
	double share;
	double mean[2];
};

/**
 * struct noise - of two detectors, all gates together
 * @dark: probability of a click without light, with afterpulses
 * @live: share of the gates in which they are live
 */
struct noise {
	double dark[2];
	double live;
};

/**
 * struct click - of a kind of gate, while the detectors are live
 * @gain: either clicks
 * @balance: outcome 0 less outcome 1, where a double click is half of each
 */
struct click {
	double gain;
	double balance;
};

static struct click click_of(const struct noise *noise, double mean0,
			     double mean1)
{
	double silent0 = (1 - noise->dark[0]) * exp(-mean0);
	double silent1 = (1 - noise->dark[1]) * exp(-mean1);

	return (struct click){
		.gain = -expm1(log1p(-noise->dark[0]) + log1p(-noise->dark[1]) -
			       mean0 - mean1),
		.balance = silent1 - silent0,
	};
}

/* Share of outcome 1 among the clicks. */
static double share_of_1(struct click click)
{
	return click.gain > 0 ? (1 - click.balance / click.gain) / 2 : 0;
}

/* Share of the pulses that find live detectors, if those that do click with probability @gain. */
static double live_share(const struct model *model, double gain)
{
	return 1 /
	       (1 + floor(model->detector.dead * model->source.rate) * gain);
}

/*
 * Afterpulses raise dark counts of all gates alike, by as much as a detector clicks: to the
 * first order in afterpulses. Dead time takes its share after each gate that clicks.
 */
static void settle(const struct model *model, double dark,
		   const struct gate *gate, int gates, struct noise *noise)
{
	const struct detector *detector = &model->detector;
	double gain, clicks[2];
	int i, d, round;

	noise->dark[0] = noise->dark[1] = dark;
	for (round = 0; round < 20; round++) {
		gain = clicks[0] = clicks[1] = 0;
		for (i = 0; i < gates; i++) {
			const double *mean = gate[i].mean;

			gain += gate[i].share *
				click_of(noise, mean[0], mean[1]).gain;
			for (d = 0; d < 2; d++)
				clicks[d] += gate[i].share *
					     (1 - (1 - noise->dark[d]) *
							  exp(-mean[d]));
		}
		for (d = 0; d < 2; d++)
			noise->dark[d] =
				1 - (1 - dark) * (1 - detector->afterpulse *
							      clicks[d]);
	}
	noise->live = live_share(model, gain);
}

/* ---- BB84 ---- */

static void expect_bb84(const struct model *model, double eta, double dark,
			struct expected *e)
{
	const struct source *s = &model->source;
	double wrong = model->detector.misalignment;
	double match = s->key_basis * s->key_basis +
		       (1 - s->key_basis) * (1 - s->key_basis);
	struct gate gate[3 * INTENSITIES];
	struct noise noise;
	double sifted = 0, errors = 0;
	int i, b;

	for (i = 0; i < INTENSITIES; i++) {
		double mean = s->intensity[i] * eta, share = s->share[i];

		gate[3 * i] =
			(struct gate){ share * match / 2,
				       { mean * (1 - wrong), mean * wrong } };
		gate[3 * i + 1] =
			(struct gate){ share * match / 2,
				       { mean * wrong, mean * (1 - wrong) } };
		gate[3 * i + 2] = (struct gate){ share * (1 - match),
						 { mean / 2, mean / 2 } };
	}
	settle(model, dark, gate, 3 * INTENSITIES, &noise);
	for (i = 0; i < INTENSITIES; i++) {
		double mean = s->intensity[i] * eta;
		struct click click =
			click_of(&noise, mean * (1 - wrong), mean * wrong);

		for (b = 0; b < BASES; b++) {
			e->gain[b][i] = noise.live * click.gain;
			e->qber[b][i] = share_of_1(click);
		}
		sifted += s->share[i] * e->gain[BASIS_KEY][i];
		errors += s->share[i] * e->gain[BASIS_KEY][i] *
			  e->qber[BASIS_KEY][i];
	}
	e->sifted = s->key_basis * s->key_basis * sifted;
	e->error = sifted > 0 ? errors / sifted : 0;
}

/* ---- B92 ---- */

/* Detector 0 is that of the states' own angles, 1 the one that says something. */
static void expect_b92(const struct model *model, double eta, double dark,
		       struct expected *e)
{
	double mean = model->source.intensity[0] * eta;
	double wrong = model->detector.misalignment;
	const struct gate gate[] = {
		{ 0.5, { mean * (1 - wrong), mean * wrong } },
		{ 0.5, { mean / 2, mean / 2 } },
	};
	struct click own, other;
	struct noise noise;
	double error, right;

	settle(model, dark, gate, 2, &noise);
	own = click_of(&noise, gate[0].mean[0], gate[0].mean[1]);
	other = click_of(&noise, gate[1].mean[0], gate[1].mean[1]);
	error = noise.live * own.gain * share_of_1(own) / 2;
	right = noise.live * other.gain * share_of_1(other) / 2;
	e->sifted = error + right;
	e->error = e->sifted > 0 ? error / e->sifted : 0;
	e->gain[BASIS_KEY][0] = e->sifted;
	e->qber[BASIS_KEY][0] = e->error;
	e->inconclusive = noise.live * (own.gain + other.gain) / 2 - e->sifted;
}

/* ---- Pairs ---- */

/**
 * struct ends - what the coincidences of a pair source come from
 * @pairs: mean number of them
 * @eta: of Alice's and Bob's photon
 * @alice: dark counts of each of her detectors
 * @bob: noise of his
 */
struct ends {
	double pairs;
	double eta[2];
	double alice;
	struct noise bob;
};

/* Both click; and equal less different outcomes, of pairs whose photons correlate by
 * @correlation. Exact for independent pairs: nothing but silence of sets of detectors is
 * needed, and that is Poisson. */
static struct click coincidence(const struct ends *ends, double correlation)
{
	double a = ends->eta[0], b = ends->eta[1], pairs = ends->pairs;
	double alice = log1p(-ends->alice), bob = log1p(-ends->bob.dark[0]);
	double none_a = 2 * alice - pairs * a;
	double none_b = 2 * bob - pairs * b;
	double both = pairs * a * b;

	return (struct click){
		.gain = expm1(none_a) * expm1(none_b) +
			exp(none_a + none_b) * expm1(both),
		.balance = 4 * exp((none_a + none_b) / 2 + both / 4) *
			   sinh(both * correlation / 4),
	};
}

static void expect_pairs(const struct model *model, double eta, double dark,
			 struct expected *e)
{
	const struct source *s = &model->source;
	double pure = s->visibility * (1 - 2 * model->detector.misalignment);
	double mean = s->intensity[0] * eta / 2, q = s->key_basis;
	const struct gate gate = { 1, { mean, mean } };
	struct ends ends = { .pairs = s->intensity[0],
			     .eta = { s->efficiency, eta },
			     .alice = model->detector.dark };
	struct click key, test;

	settle(model, dark, &gate, 1, &ends.bob);
	key = coincidence(&ends, pure);
	e->gain[BASIS_KEY][0] = e->gain[BASIS_CHECK][0] =
		ends.bob.live * key.gain;
	e->qber[BASIS_KEY][0] = share_of_1(key);
	if (model->protocol == PROTOCOL_BBM92) {
		e->qber[BASIS_CHECK][0] = e->qber[BASIS_KEY][0];
	} else {
		test = coincidence(&ends, pure * M_SQRT1_2);
		e->chsh = test.gain > 0 ? 4 * test.balance / test.gain : 0;
	}
	e->sifted = q * q * e->gain[BASIS_KEY][0];
	e->error = e->qber[BASIS_KEY][0];
}

/* ---- COW ---- */

/* Probability that a slot of a symbol is full. */
static double full(const struct source *s)
{
	return s->share[0] / 2 + s->share[1];
}

double cow_meetings(const struct model *model)
{
	const struct source *s = &model->source;

	/* Across symbols, too; not in the variant, which looks at its symbols alone. */
	return s->share[1] +
	       (model->protocol == PROTOCOL_COW ? full(s) * full(s) : 0);
}

/**
 * struct cow - Bob's two lines
 * @slot: light of a full slot at the data line
 * @meet: at the interferometer's detectors, where that many full slots meet
 * @data: noise of the data line: early and late take the place of two detectors
 * @monitor: noise of the interferometer
 * @live: share of the symbols in which both are live
 */
struct cow {
	double slot;
	double meet[3][2];
	struct noise data;
	struct noise monitor;
	double live;
};

static double silent(const struct noise *noise, const double mean[2])
{
	return 1 - click_of(noise, mean[0], mean[1]).gain;
}

/* Probability that no detector clicks in a symbol. */
static double cow_silent(const struct source *s, const struct cow *cow)
{
	double f = full(s), meet[3], early[2];
	int i;

	for (i = 0; i < 3; i++)
		meet[i] = silent(&cow->monitor, cow->meet[i]);
	/* Where the symbol's first slot, empty or full, meets the one before. */
	for (i = 0; i < 2; i++)
		early[i] = f * meet[i + 1] + (1 - f) * meet[i];
	return silent(&cow->data, (double[]){ 0, 0 }) *
	       (s->share[0] * exp(-cow->slot) * meet[1] *
			(early[0] + early[1]) / 2 +
		s->share[1] * exp(-2 * cow->slot) * meet[2] * early[1] +
		s->share[2] * meet[0] * early[0]);
}

static void settle_data(const struct model *model, double dark, struct cow *cow)
{
	const struct source *s = &model->source;
	double wrong = model->detector.misalignment * cow->slot;
	double right = cow->slot - wrong;
	const struct gate gate[] = {
		{ s->share[0] / 2, { right, wrong } },
		{ s->share[0] / 2, { wrong, right } },
		{ s->share[1], { cow->slot, cow->slot } },
		{ s->share[2], { 0, 0 } },
	};

	settle(model, dark, gate, 4, &cow->data);
}

static void settle_monitor(const struct model *model, double dark,
			   struct cow *cow)
{
	const struct source *s = &model->source;
	const double *one = cow->meet[1], *two = cow->meet[2];
	double f = full(s);
	const struct gate gate[] = {
		/* Two slots a symbol: what meets in them is two, one or no pulses. */
		{ (s->share[1] + f * f) / 2, { two[0], two[1] } },
		{ (s->share[0] + 2 * f * (1 - f)) / 2, { one[0], one[1] } },
		{ (s->share[2] + (1 - f) * (1 - f)) / 2, { 0, 0 } },
	};

	settle(model, dark, gate, 3, &cow->monitor);
}

static struct cow cow_of(const struct model *model, double eta, double dark)
{
	const struct source *s = &model->source;
	double mean = s->intensity[0] * eta * (1 - s->data);
	struct cow cow = {
		.slot = s->intensity[0] * eta * s->data,
		.meet = { { 0, 0 },
			  { mean / 4, mean / 4 },
			  { mean * (1 + s->visibility) / 2,
			    mean * (1 - s->visibility) / 2 } },
	};

	settle_data(model, dark, &cow);
	settle_monitor(model, dark, &cow);
	cow.live = live_share(model, 1 - cow_silent(s, &cow));
	return cow;
}

static void expect_cow(const struct model *model, double eta, double dark,
		       struct expected *e)
{
	/* Bits have one pulse, decoys two, empty symbols none. */
	static const int pulses[INTENSITIES] = { 1, 2, 0 };
	struct cow cow = cow_of(model, eta, dark);
	double wrong = model->detector.misalignment;
	struct click click;
	int kind;

	for (kind = 0; kind < INTENSITIES; kind++) {
		const double *light = cow.meet[pulses[kind]];
		double slots = cow.slot * pulses[kind];

		click = click_of(&cow.data, slots * (1 - wrong), slots * wrong);
		e->gain[BASIS_KEY][kind] =
			cow.live * click.gain * silent(&cow.monitor, light);
		if (!kind)
			e->qber[BASIS_KEY][kind] = share_of_1(click);
		click = click_of(&cow.monitor, light[0], light[1]);
		e->gain[BASIS_CHECK][kind] = cow.live * click.gain;
		e->qber[BASIS_CHECK][kind] = share_of_1(click);
	}
	e->sifted = model->source.share[0] * e->gain[BASIS_KEY][0];
	e->error = e->qber[BASIS_KEY][0];
	click = click_of(&cow.monitor, cow.meet[2][0], cow.meet[2][1]);
	e->visibility = click.gain > 0 ? click.balance / click.gain : 0;
}

/* ---- All of them ---- */

static void expect_light(const struct model *model, const struct state *state,
			 struct expected *e)
{
	double eta = state->transmittance * model->detector.efficiency;
	double dark = 1 - (1 - model->detector.dark) * (1 - state->background);

	*e = (struct expected){ 0 };
	switch (model->protocol) {
	case PROTOCOL_BB84:
		expect_bb84(model, eta, dark, e);
		break;
	case PROTOCOL_B92:
		expect_b92(model, eta, dark, e);
		break;
	case PROTOCOL_E91:
	case PROTOCOL_BBM92:
		expect_pairs(model, eta, dark, e);
		break;
	default:
		expect_cow(model, eta, dark, e);
		break;
	}
}

/* Of the pulses, those that were sent and measured so. */
static double weight(const struct model *model, int basis, int intensity)
{
	double q = model->source.key_basis;

	if (basis == BASIS_CHECK)
		q = 1 - q;
	if (model->protocol == PROTOCOL_B92)
		return basis == BASIS_KEY && !intensity;
	if (protocol_pairs(model->protocol))
		return intensity ? 0 : q * q;
	if (protocol_cow(model->protocol))
		return model->source.share[intensity];
	return q * q * model->source.share[intensity];
}

void rate_seen(const struct model *model, const struct expected *expected,
	       double pulses, struct seen *seen)
{
	double v = expected->visibility, meet, clicks;
	int b, i, x, y;

	*seen = (struct seen){ .pulses = pulses, .qber = expected->error };
	for (b = 0; b < BASES; b++) {
		for (i = 0; i < INTENSITIES; i++) {
			clicks = pulses * weight(model, b, i) *
				 expected->gain[b][i];
			seen->clicks[b][i] = clicks;
			seen->errors[b][i] = clicks * expected->qber[b][i];
		}
	}
	seen->inconclusive = pulses * expected->inconclusive;
	clicks = model->protocol == PROTOCOL_E91 ?
			 seen->clicks[BASIS_CHECK][0] :
			 0;
	for (x = 0; x < 2; x++) {
		for (y = 0; y < 2; y++) {
			v = expected->chsh / 4 * (x && y ? -1 : 1);
			seen->chsh[x][y][0] = clicks / 4 * (1 + v) / 2;
			seen->chsh[x][y][1] = clicks / 4 * (1 - v) / 2;
		}
	}
	if (!protocol_cow(model->protocol))
		return;
	meet = pulses * cow_meetings(model) * expected->gain[BASIS_CHECK][1];
	v = expected->visibility;
	seen->visibility[0] = meet * (1 + v) / 2;
	seen->visibility[1] = meet * (1 - v) / 2;
}

void rate_expected(const struct model *model, const struct state *state,
		   struct expected *expected)
{
	struct bound bound;
	struct seen seen;
	double key;

	expect_light(model, state, expected);
	rate_seen(model, expected, 1, &seen);
	proof_bound(model, &seen, false, &bound);
	key = bound.bits - expected->sifted * binary_entropy(expected->error);
	expected->key = !bound.reason && key > 0 ? key : 0;
}
