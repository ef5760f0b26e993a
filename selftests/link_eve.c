// SPDX-License-Identifier: GPL-2.0-only
/*
 * What each attack and fault does to a link, at five strengths and with each
 * protocol: clicks, errors, S and visibility are what the formulas here say, within
 * the error of counting, and so is whether there is key. What an attack does not
 * show is tested, too.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qkd-link/photon.h"
#include "qkd-link/proof.h"

#include "kselftest.h"
#include "scaled.h"

#define SIFTED 400000 /* bits, at full scale */
#define TRAIN 4000000 /* pulses */
#define SIGMAS 5.0
#define SAMPLES 100 /* of key by theory */
#define EDGE 0.02 /* of the sifted bits: less than that is none */

static const char *const presets[] = {
	"bb84-fibre-50km",  "b92-fibre-2km",	      "e91-fibre-20km",
	"bbm92-fibre-50km", "cow-variant-fibre-10km", "cow-fibre-2km",
};

static const double fractions[] = { 0.1, 0.25, 0.5, 0.75, 1 };
static const double strays[] = { 1e-6, 1e-5, 1e-4, 1e-3, 1e-2 };

#define PRESETS ARRAY_SIZE(presets)
#define STRENGTHS ARRAY_SIZE(fractions)

static const char *const attack_name[] = {
	[ATTACK_NONE] = "no attack", [ATTACK_INTERCEPT] = "intercept",
	[ATTACK_SPLIT] = "split",    [ATTACK_BLIND] = "blind",
	[ATTACK_LOSS] = "loss",	     [ATTACK_NOISE] = "noise",
};

/* ---- What should be seen ---- */

/*
 * Photon-number splitting at mean @mu: of single photons a share @single gets to Bob,
 * of n >= 2 n - 1 do, with probability @many; each is detected with @eta.
 */
static double split_gain(double mu, double eta, double single, double many)
{
	double none =
		eta < 1 ?
			exp(-mu) * (exp(mu * (1 - eta)) - 1 - mu * (1 - eta)) /
				(1 - eta) :
			0;

	return single * mu * exp(-mu) * eta +
	       many * (1 - exp(-mu) - mu * exp(-mu) - none);
}

/* She keeps the gain of the signal as it was, with what has many photons first. */
static void split_shares(const struct model *model, const struct state *state,
			 double *single, double *many)
{
	double mu = model->source.intensity[0],
	       eta = model->detector.efficiency;
	double gain = 1 - exp(-mu * eta * state->transmittance);
	double all = split_gain(mu, eta, 0, 1);

	*many = all > gain ? gain / all : 1;
	*single = all > gain ? 0 : (gain - all) / split_gain(mu, eta, 1, 0);
}

/* Gain of two detectors with dark counts @dark on top of light. */
static double with_dark(double light, double dark)
{
	return 1 - (1 - light) * (1 - dark) * (1 - dark);
}

/* Light of a kind at one of the lines, which has @share of it, when she takes @taken. */
static double split_light(const struct model *model, const struct state *state,
			  double mu, double share, double taken)
{
	double eta = model->detector.efficiency, single, many;

	split_shares(model, state, &single, &many);
	return (1 - taken) *
		       (1 - exp(-mu * eta * state->transmittance * share)) +
	       taken * split_gain(mu, eta * share, single, many);
}

static double dark_of(const struct model *model, const struct state *state)
{
	return 1 - (1 - model->detector.dark) * (1 - state->background);
}

/* Errors of light stay as they are per photon; the rest is coins. */
static void split_bb84(const struct model *model, const struct state *state,
		       double taken, struct expected *e)
{
	double dark = dark_of(model, state), light, sifted = 0, errors = 0;
	int b, k;

	for (k = 0; k < INTENSITIES; k++) {
		double gain;

		light = split_light(model, state, model->source.intensity[k], 1,
				    taken);
		gain = with_dark(light, dark);
		for (b = 0; b < BASES; b++) {
			e->gain[b][k] = gain;
			e->qber[b][k] = (light * model->detector.misalignment +
					 (gain - light) / 2) /
					gain;
		}
		sifted += model->source.share[k] * gain;
		errors += model->source.share[k] * gain * e->qber[BASIS_KEY][k];
	}
	e->sifted = sifted * model->source.key_basis * model->source.key_basis;
	e->error = errors / sifted;
}

/*
 * Share of the light, where two full slots meet, that still has its phase: to count
 * the photons of a symbol is to lose it. A slot of a decoy has half of its light.
 */
static double split_phase(const struct model *model, const struct state *state,
			  double taken)
{
	const struct source *s = &model->source;
	double mu = s->intensity[0], half = (1 - s->data) / 2,
	       alone = 1 - taken;
	double full = s->share[0] / 2 + s->share[1], light[2], kept, all;
	bool across = cow_meetings(model) > s->share[1];
	int i;

	/* [0]: as it was, [1]: as it is. */
	for (i = 0; i < 2; i++)
		light[i] = across * full * s->share[0] *
			   split_light(model, state, mu, half, i * taken);
	kept = alone * alone * light[0];
	all = light[1];
	for (i = 0; i < 2; i++)
		light[i] = s->share[1] *
			   split_light(model, state, 2 * mu, half, i * taken);
	kept += (alone + across * full * alone * alone) * light[0];
	all += (1 + across * full) * light[1];
	return kept / all;
}

static void split_cow(const struct model *model, const struct state *state,
		      double taken, struct expected *e)
{
	const struct source *s = &model->source;
	double dark = dark_of(model, state), light, gain, half, kept;
	int k;

	e->visibility *= split_phase(model, state, taken);
	for (k = 0; k < 2; k++) {
		double mu = s->intensity[0] * (k + 1);

		light = split_light(model, state, mu, s->data, taken);
		gain = with_dark(light, dark);
		e->gain[BASIS_KEY][k] = gain;
		e->qber[BASIS_KEY][k] = (light * model->detector.misalignment +
					 (gain - light) / 2) /
					gain;
		/* Half of the interferometer's light is where slots of a symbol meet. */
		half = (1 - s->data) / 2;
		light = split_light(model, state, mu, half, taken);
		kept = split_light(model, state, mu, half, 0) * (1 - taken);
		gain = with_dark(light, dark);
		e->gain[BASIS_CHECK][k] = gain;
		e->qber[BASIS_CHECK][k] =
			0.5 - (k ? s->visibility * kept / gain / 2 : 0);
	}
	e->sifted = s->share[0] * e->gain[BASIS_KEY][0];
	e->error = e->qber[BASIS_KEY][0];
}

/*
 * Share of wrong states that Eve sends in B92: in the basis that is not that of the
 * state, all n photons at Alice's exit have to go to one of two detectors. n is those
 * that Bob detects, one or more, and others.
 */
static double b92_wrong(const struct model *model, const struct state *state)
{
	double mu = model->source.intensity[0];
	double seen = mu * state->transmittance * model->detector.efficiency;
	double some = (exp(-seen / 2) - exp(-seen)) / (1 - exp(-seen));

	return 0.5 * some * exp(-(mu - seen) / 2);
}

/* Visibility of slots that meet within symbols, and across two, each left alone. */
static double left_alone(const struct model *model, double taken)
{
	const struct source *s = &model->source;
	double full = s->share[0] / 2 + s->share[1];
	double across = cow_meetings(model) > s->share[1] ? full * full : 0;
	double alone = 1 - taken;

	return (s->share[1] * alone + across * alone * alone) /
	       (s->share[1] + across);
}

static void intercepted(const struct model *model, const struct state *state,
			double taken, struct expected *e)
{
	/* Half of her bases are wrong, and then half of Bob's bits. */
	double coins = taken / 2;
	int b, k;

	if (model->protocol == PROTOCOL_B92)
		coins = 2 * taken * b92_wrong(model, state);
	if (protocol_cow(model->protocol)) {
		/* She knows in which slot a photon is, and sends it there. */
		e->qber[BASIS_CHECK][1] +=
			taken * (0.5 - e->qber[BASIS_CHECK][1]);
		e->visibility *= left_alone(model, taken);
		return;
	}
	for (b = 0; b < BASES; b++)
		for (k = 0; k < INTENSITIES; k++)
			e->qber[b][k] += coins * (0.5 - e->qber[b][k]);
	e->error += coins * (0.5 - e->error);
	e->chsh *= 1 - coins;
}

/* All clicks fall to a share, errors among them; noise is little beside the light. */
static void fewer(double share, struct expected *e)
{
	int b, k;

	for (b = 0; b < BASES; b++)
		for (k = 0; k < INTENSITIES; k++)
			e->gain[b][k] *= share;
	e->sifted *= share;
	e->inconclusive *= share;
}

/* Where Eve would have to make more clicks than she can, they fall short. */
static double short_of(double honest, double most, double taken)
{
	return most < honest ? 1 - taken * (1 - most / honest) : 1;
}

/* B92: unambiguous discrimination of a pulse, and one photon in its place. */
static double split_b92(const struct model *model, const struct state *state,
			double taken)
{
	double mu = model->source.intensity[0],
	       eta = model->detector.efficiency;

	return short_of(1 - exp(-mu * eta * state->transmittance),
			(1 - exp(-mu * (1 - M_SQRT1_2))) * eta, taken);
}

/* Bob's basis is hers in one of two or three of those cases in which she has a photon. */
static double blinded(const struct model *model, const struct state *state,
		      double taken)
{
	double mu = model->source.intensity[0], bases = 2;

	if (protocol_cow(model->protocol))
		return 1;
	if (model->protocol == PROTOCOL_E91)
		bases = 3;
	return short_of(1 - exp(-mu * model->detector.efficiency *
				state->transmittance),
			(1 - exp(-mu)) / bases, taken);
}

/* What both ends should see. */
static void theory(const struct model *model, const struct state *state,
		   const struct eve *eve, struct expected *e)
{
	enum protocol protocol = model->protocol;
	struct state now = *state;
	double taken = eve->fraction;

	if (eve->attack == ATTACK_LOSS)
		now.transmittance *= 1 - taken;
	if (eve->attack == ATTACK_NOISE)
		now.background += taken * (1 - now.background);
	rate_expected(model, &now, e);
	if (eve->attack == ATTACK_INTERCEPT)
		intercepted(model, state, taken, e);
	if (eve->attack == ATTACK_BLIND)
		fewer(blinded(model, state, taken), e);
	if (eve->attack != ATTACK_SPLIT)
		return;
	if (protocol == PROTOCOL_BB84)
		split_bb84(model, state, taken, e);
	else if (protocol == PROTOCOL_B92)
		fewer(split_b92(model, state, taken), e);
	else if (protocol_cow(protocol))
		split_cow(model, state, taken, e);
	/* Photons of independent pairs tell nothing of each other. */
}

/* ---- What is seen ---- */

/* A block from Alice to Bob; false if the ends do not agree on it. */
static bool run(const struct model *model, const struct state *state,
		const struct eve *eve, uint64_t pulses, struct counts *counts)
{
	struct buffer train = { 0 }, told = { 0 }, answer = { 0 };
	struct sifted alice = { 0 }, bob = { 0 };
	struct emitter *emitter;
	struct receiver *receiver;
	uint64_t slots;
	int err = 0;
	bool same;

	if (emitter_new(&emitter, model) || receiver_new(&receiver, model))
		ksft_exit_fail_msg("no light\n");
	emitter_attack(emitter, eve);
	for (; !err && pulses; pulses -= slots) {
		slots = pulses < TRAIN ? pulses : TRAIN;
		err = emitter_train(emitter, state, slots, &train)	   ?:
			      receiver_train(receiver, &train)		   ?:
			      sift_tell(receiver, &told)		   ?:
			      sift_answer(emitter, &told, &answer, &alice) ?:
			      sift_finish(receiver, &answer, &bob);
	}
	same = !err && alice.key.count == bob.key.count &&
	       !memcmp(&alice.counts, &bob.counts, sizeof(alice.counts));
	*counts = alice.counts;
	if (same && alice.key.count) {
		/* As reconciliation counts them. */
		counts->compared[BASIS_KEY][0] = alice.key.count;
		counts->errors[BASIS_KEY][0] =
			bits_distance(&alice.key, &bob.key);
	}
	bits_free(&alice.key);
	bits_free(&bob.key);
	buffer_free(&train);
	buffer_free(&told);
	buffer_free(&answer);
	emitter_free(emitter);
	receiver_free(receiver);
	return same;
}

/* ---- Whether they are the same ---- */

static int wrong;
static char doing[64];

/* @seen against @expected, which has a standard deviation. */
static void near(double seen, double expected, double deviation,
		 const char *what)
{
	if (fabs(seen - expected) <= SIGMAS * deviation)
		return;
	wrong++;
	ksft_print_msg("%s: %s: %.6g, not %.6g +- %.2g\n", doing, what, seen,
		       expected, deviation);
}

static void near_count(double seen, double expected, const char *what)
{
	/* A Poisson number; where few are expected, one more is no wonder. */
	near(seen, expected, sqrt(expected) + 1, what);
}

static void near_rate(double errors, double count, double rate,
		      const char *what)
{
	if (count > 0)
		near(errors / count, rate,
		     (sqrt(rate * (1 - rate) * count) + 0.5) / count, what);
}

static double chsh(const struct counts *counts, double *deviation)
{
	double sum = 0, square = 0;
	int x, y;

	for (x = 0; x < 2; x++) {
		for (y = 0; y < 2; y++) {
			double n =
				counts->chsh[x][y][0] + counts->chsh[x][y][1];
			double e = ((double)counts->chsh[x][y][0] -
				    (double)counts->chsh[x][y][1]) /
				   n;

			sum += e * (x && y ? -1 : 1);
			square += (1 - e * e) / n;
		}
	}
	*deviation = sqrt(square);
	return sum;
}

static void compare(const struct model *model, const struct expected *e,
		    const struct counts *counts)
{
	static const char *const basis_name[] = { "key", "check" };
	struct seen seen;
	double deviation, s;
	char what[64];
	int b, k;

	rate_seen(model, e, counts->pulses, &seen);
	for (b = 0; b < BASES; b++) {
		for (k = 0; k < INTENSITIES; k++) {
			snprintf(what, sizeof(what),
				 "clicks, %s basis, kind %d", basis_name[b], k);
			near_count(counts->clicks[b][k], seen.clicks[b][k],
				   what);
			if (b == BASIS_KEY || model->protocol == PROTOCOL_E91)
				continue;
			snprintf(what, sizeof(what), "errors, kind %d", k);
			near_rate(counts->errors[b][k], counts->clicks[b][k],
				  e->qber[b][k], what);
		}
	}
	near_rate(counts->errors[BASIS_KEY][0], counts->compared[BASIS_KEY][0],
		  e->error, "QBER");
	if (model->protocol == PROTOCOL_E91 &&
	    counts->clicks[BASIS_CHECK][0] > 100) {
		s = chsh(counts, &deviation);
		near(s, e->chsh, deviation, "S");
	}
	if (model->protocol == PROTOCOL_B92)
		near_count(counts->inconclusive, seen.inconclusive,
			   "inconclusive");
}

/* ---- Whether there is key ---- */

/* Bits of an infinite block in these proportions, reconciled at Shannon's limit. */
static uint64_t key_of(const struct model *model, const struct counts *counts,
		       const char **reason)
{
	struct model asymptotic = *model;
	uint64_t n = counts->compared[BASIS_KEY][0];
	struct secret secret;
	double leaked;

	asymptotic.finite.eps_sec = 0;
	leaked = n ? n * binary_entropy((double)counts->errors[BASIS_KEY][0] /
					n) :
		     0;
	rate_secret(&asymptotic, counts, ceil(leaked), &secret);
	*reason = secret.reason;
	return secret.bits;
}

/* As often as it may come out where @mean is expected. */
static uint64_t drawn(double mean)
{
	double normal =
		sqrt(-2 * log(1 - drand48())) * cos(2 * M_PI * drand48());

	return fmax(rint(mean + sqrt(mean) * normal), 0);
}

static uint64_t errors_of(uint64_t clicks, double rate)
{
	uint64_t errors = drawn(clicks * rate);

	return errors < clicks ? errors : clicks;
}

/* A block by theory. */
static void draw_counts(const struct model *model, const struct expected *e,
			uint64_t pulses, struct counts *counts)
{
	uint64_t n = 0;
	struct seen seen;
	int b, k, x, y;

	*counts = (struct counts){ .pulses = pulses };
	rate_seen(model, e, pulses, &seen);
	for (b = 0; b < BASES; b++) {
		for (k = 0; k < INTENSITIES; k++) {
			counts->clicks[b][k] = drawn(seen.clicks[b][k]);
			counts->errors[b][k] =
				errors_of(counts->clicks[b][k], e->qber[b][k]);
		}
	}
	for (x = 0; x < 2; x++)
		for (y = 0; y < 2; y++)
			for (k = 0; k < 2; k++)
				counts->chsh[x][y][k] =
					drawn(seen.chsh[x][y][k]);
	for (k = 0; k < 2; k++)
		counts->visibility[k] = drawn(seen.visibility[k]);
	counts->inconclusive = drawn(seen.inconclusive);
	for (k = 0; k < (protocol_cow(model->protocol) ? 1 : INTENSITIES); k++)
		n += counts->clicks[BASIS_KEY][k];
	counts->compared[BASIS_KEY][0] = n;
	counts->errors[BASIS_KEY][0] = errors_of(n, e->error);
}

/*
 * The key of a block against those of some blocks that theory makes: it has a
 * distribution that nobody would like to write down. Where a key just ends, most of
 * them have none, and how far a block may be from that they do not tell: then it is
 * @widest, the deviation at weaker attacks.
 */
static uint64_t compare_key(const struct model *model, const struct expected *e,
			    const struct counts *counts, double *widest)
{
	double key, sum = 0, square = 0, mean, deviation;
	struct counts sample;
	const char *reason;
	uint64_t seen;
	int i;

	for (i = 0; i < SAMPLES; i++) {
		draw_counts(model, e, counts->pulses, &sample);
		key = key_of(model, &sample, &reason);
		sum += key;
		square += key * key;
	}
	mean = sum / SAMPLES;
	deviation = sqrt(fmax(square / SAMPLES - mean * mean, 0));
	*widest = fmax(*widest, deviation);
	if (sum)
		deviation = *widest;
	seen = key_of(model, counts, &reason);
	near(seen, mean,
	     deviation + EDGE * counts->compared[BASIS_KEY][0] / SIGMAS,
	     "bits of key");
	ksft_print_msg(
		"%s: QBER %.2f %%, %llu bits of key, %.0f +- %.0f by theory%s%s\n",
		doing,
		100.0 * counts->errors[BASIS_KEY][0] /
			fmax(counts->compared[BASIS_KEY][0], 1),
		(unsigned long long)seen, mean, deviation, reason ? ": " : "",
		reason ?: "");
	return seen;
}

/* ---- All of them ---- */

static uint64_t pulses_for(const struct model *model, const struct state *state)
{
	struct expected e;

	rate_expected(model, state, &e);
	return SIFTED * scale_percent() / 100 / e.sifted;
}

/**
 * struct result - of a block under full attack
 * @key: bits
 */
struct result {
	struct counts counts;
	struct expected expected;
	uint64_t key;
};

static void setup(unsigned int preset, struct model *model, struct state *state)
{
	if (model_preset(model, presets[preset]))
		ksft_exit_fail_msg("no preset %s\n", presets[preset]);
	/* Theirs are link_physics's; here they would couple what is apart. */
	model->detector.dead = 0;
	model->detector.afterpulse = 0;
	/* So much loss that Eve makes up for two pairs at once, too, to blind Bob: they
	 * make errors, which would be fewer. */
	if (model->protocol == PROTOCOL_E91)
		model->channel.length = 40e3;
	model_state(model, 0, state);
}

static void one(const struct model *model, const struct state *state,
		const struct eve *eve, double *widest, struct result *result)
{
	snprintf(doing, sizeof(doing), "%s, %s %g",
		 protocol_name(model->protocol), attack_name[eve->attack],
		 eve->fraction);
	theory(model, state, eve, &result->expected);
	if (!run(model, state, eve, pulses_for(model, state),
		 &result->counts)) {
		ksft_print_msg("%s: the ends do not agree\n", doing);
		wrong++;
		return;
	}
	compare(model, &result->expected, &result->counts);
	result->key =
		compare_key(model, &result->expected, &result->counts, widest);
}

/* Leaves the result of the strongest. */
static void five(enum attack attack, unsigned int preset, struct result *result)
{
	struct eve eve = { .attack = attack };
	struct model model;
	struct state state;
	double widest = 0;
	unsigned int i;

	setup(preset, &model, &state);
	wrong = 0;
	for (i = 0; i < STRENGTHS; i++) {
		eve.fraction = attack == ATTACK_NOISE ? strays[i] :
							fractions[i];
		one(&model, &state, &eve, &widest, result);
	}
	ksft_test_result(!wrong, "%s: %s at five strengths\n",
			 protocol_name(model.protocol), attack_name[attack]);
}

/* ---- What users are told of each ---- */

static double qber(const struct counts *counts, double *deviation)
{
	double n = counts->compared[BASIS_KEY][0];
	double rate = counts->errors[BASIS_KEY][0] / n;

	*deviation = sqrt(rate * (1 - rate) / n);
	return rate;
}

/* Of decoys, of which nothing lies across symbols. */
static double visibility(const struct counts *counts, double *deviation)
{
	double n = counts->clicks[BASIS_CHECK][1];

	*deviation = 1 / sqrt(n);
	return 1 - 2 * counts->errors[BASIS_CHECK][1] / n;
}

static void test_intercept(const struct result *result, enum protocol protocol)
{
	const struct counts *counts = &result->counts;
	double deviation, rate = qber(counts, &deviation), s;
	const char *name = protocol_name(protocol);

	if (protocol == PROTOCOL_E91) {
		s = chsh(counts, &deviation);
		ksft_test_result(
			fabs(s) <= M_SQRT2 + SIGMAS * deviation && !result->key,
			"%s: all intercepted: S %.3f, no key\n", name, s);
	} else if (protocol_cow(protocol)) {
		near(rate, result->expected.error, deviation, "QBER");
		s = visibility(counts, &deviation);
		ksft_test_result(
			fabs(s) <= SIGMAS * deviation && !result->key,
			"%s: all intercepted: QBER %.2f %%, visibility %.3f, no key\n",
			name, 100 * rate, s);
	} else {
		/* A quarter, and half of the errors that there are. */
		ksft_test_result(rate >= 0.25 - SIGMAS * deviation &&
					 !result->key,
				 "%s: all intercepted: QBER %.1f %%, no key\n",
				 name, 100 * rate);
	}
}

/* Decoys of BB84: the gain of signals is what it was, that of decoys is not. */
static void test_split(const struct result *result)
{
	const struct counts *counts = &result->counts;
	struct eve none = { ATTACK_NONE, 0 };
	double deviation, rate = qber(counts, &deviation), decoy, off;
	struct expected honest;
	struct model model;
	struct state state;
	struct seen seen;

	setup(0, &model, &state);
	theory(&model, &state, &none, &honest);
	rate_seen(&model, &honest, counts->pulses, &seen);
	wrong = 0;
	snprintf(doing, sizeof(doing), "bb84, all split");
	near_count(counts->clicks[BASIS_KEY][0], seen.clicks[BASIS_KEY][0],
		   "clicks of the signal");
	decoy = counts->clicks[BASIS_KEY][1];
	off = fabs(decoy - seen.clicks[BASIS_KEY][1]) /
	      sqrt(seen.clicks[BASIS_KEY][1]);
	ksft_test_result(
		!wrong && off > 2 * SIGMAS && !result->key &&
			rate < model.finite.max_qber,
		"bb84: all split: QBER %.2f %%, decoys %.0f of %.0f clicks, no key\n",
		100 * rate, decoy, seen.clicks[BASIS_KEY][1]);
}

/* With loss enough, and seen as if there was no Eve: what a user has to know. */
static void test_hidden(enum attack attack, unsigned int preset)
{
	struct eve eve = { attack, 1 }, none = { ATTACK_NONE, 0 };
	struct counts counts;
	struct expected e;
	struct model model;
	struct state state;
	const char *name;

	setup(preset, &model, &state);
	name = protocol_name(model.protocol);
	/* Less than an Eve needs: a third of one or two photons, 1 - cos(45 deg). */
	state.transmittance = fmin(state.transmittance, 0.15);
	theory(&model, &state, &none, &e);
	wrong = 0;
	snprintf(doing, sizeof(doing), "%s, %s, hidden", name,
		 attack_name[attack]);
	if (!run(&model, &state, &eve, pulses_for(&model, &state), &counts))
		wrong++;
	compare(&model, &e, &counts);
	ksft_test_result(!wrong, "%s: %s: all of it, and nothing shows\n", name,
			 attack_name[attack]);
}

int main(void)
{
	static struct result results[ATTACK_NOISE + 1][PRESETS];
	enum attack attack;
	unsigned int i;

	ksft_print_header();
	ksft_set_plan(ATTACK_NOISE * PRESETS + PRESETS + 1 + PRESETS + 1);
	for (attack = ATTACK_INTERCEPT; attack <= ATTACK_NOISE; attack++)
		for (i = 0; i < PRESETS; i++)
			five(attack, i, &results[attack][i]);
	for (i = 0; i < PRESETS; i++) {
		struct model model;

		model_preset(&model, presets[i]);
		test_intercept(&results[ATTACK_INTERCEPT][i], model.protocol);
	}
	test_split(&results[ATTACK_SPLIT][0]);
	for (i = 0; i < PRESETS; i++)
		test_hidden(ATTACK_BLIND, i);
	test_hidden(ATTACK_SPLIT, 1);
	ksft_finished();
}
