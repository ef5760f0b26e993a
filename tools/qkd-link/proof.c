// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is secret of a sifted key: a bound per protocol. Documentation/link-physics.md
 * says what each rests on, and derives those that are ours.
 */
#include <math.h>

#include "proof.h"

#define LIM_TERMS 21 /* into which Lim et al. divide eps_sec */

static double square(double x)
{
	return x * x;
}

static double positive(double x)
{
	return x > 0 ? x : 0;
}

/* Entropy of what is a coin from 1/2 on. */
static double entropy_to_half(double p)
{
	return p >= 0.5 ? 1 : binary_entropy(p);
}

/* ---- BB84 with two decoys: Lim et al., PRA 89, 022307 ---- */

/**
 * struct decoy - statistics of a basis
 * @low, @high: bounds of e^k / p_k times the clicks (or errors), per intensity
 */
struct decoy {
	double low[INTENSITIES];
	double high[INTENSITIES];
};

/* @eps: 0 for an infinite block. */
static void decoy_bounds(const struct source *s, const double *count,
			 double eps, struct decoy *decoy)
{
	double total = count[0] + count[1] + count[2];
	double delta = eps > 0 ? sqrt(total / 2 * log(LIM_TERMS / eps)) : 0;
	int k;

	for (k = 0; k < INTENSITIES; k++) {
		double factor = exp(s->intensity[k]) / s->share[k];

		decoy->low[k] = factor * positive(count[k] - delta);
		decoy->high[k] = factor * (count[k] + delta);
	}
}

/* Probability that a pulse has @n (0 or 1) photons. */
static double photons(const struct source *s, int n)
{
	double sum = 0;
	int k;

	for (k = 0; k < INTENSITIES; k++)
		sum += s->share[k] * exp(-s->intensity[k]) *
		       (n ? s->intensity[k] : 1);
	return sum;
}

/* Equation 2: clicks of empty pulses. */
static double decoy_vacuum(const struct source *s, const struct decoy *n)
{
	const double *mu = s->intensity;

	return positive(photons(s, 0) *
			(mu[1] * n->low[2] - mu[2] * n->high[1]) /
			(mu[1] - mu[2]));
}

/* Equation 3: clicks of single photons. */
static double decoy_single(const struct source *s, const struct decoy *n)
{
	const double *mu = s->intensity;
	double vacuum = decoy_vacuum(s, n) / photons(s, 0);
	double ratio = (square(mu[1]) - square(mu[2])) / square(mu[0]);

	return positive(
		photons(s, 1) * mu[0] *
		(n->low[1] - n->high[2] - ratio * (n->high[0] - vacuum)) /
		(mu[0] * (mu[1] - mu[2]) - square(mu[1]) + square(mu[2])));
}

/* Equation 5: what the rate of errors of @c clicks says of @d others. */
static double decoy_gamma(double eps, double b, double c, double d)
{
	double spread = (c + d) / (c * d);

	return sqrt(spread * (1 - b) * b / M_LN2 *
		    log2(spread / ((1 - b) * b) * square(LIM_TERMS / eps)));
}

static double decoy_phase_error(const struct source *s, const struct seen *seen,
				double single, double eps)
{
	struct decoy clicks, errors;
	double other, wrong, rate;

	decoy_bounds(s, seen->clicks[BASIS_CHECK], eps, &clicks);
	decoy_bounds(s, seen->errors[BASIS_CHECK], eps, &errors);
	other = decoy_single(s, &clicks);
	wrong = positive(photons(s, 1) * (errors.high[1] - errors.low[2]) /
			 (s->intensity[1] - s->intensity[2]));
	if (eps > 0 && wrong < 1)
		wrong = 1; /* gamma has no value at 0 */
	if (!(other > 0) || !(wrong < other / 2))
		return 0.5;
	rate = wrong / other;
	if (eps > 0)
		rate += decoy_gamma(eps, rate, other, single);
	/* of a large eps there is no such bound */
	return rate < 0.5 ? rate : 0.5;
}

/*
 * The paper also has the clicks of empty pulses as secret. But Bob's bit of an empty pulse
 * may be Eve's own, and reconciliation by Cascade, in the end, tells all where his bits
 * are wrong: then she has Alice's (arXiv 2307.00576). What is left knows of no such
 * thing: where bits are wrong says nothing of which phases are.
 */
static void bound_bb84(const struct model *model, const struct seen *seen,
		       double eps, struct bound *bound)
{
	const struct source *s = &model->source;
	struct decoy clicks;

	bound->proof = eps > 0 ? "finite key, general attacks: "
				 "Lim et al., Phys. Rev. A 89, 022307" :
				 "asymptotic, two decoys: "
				 "Lim et al., Phys. Rev. A 89, 022307";
	decoy_bounds(s, seen->clicks[BASIS_KEY], eps, &clicks);
	bound->single = decoy_single(s, &clicks);
	bound->phase_error = 0.5;
	if (!(bound->single > 0)) {
		bound->reason = "decoys leave no clicks of single photons";
		return;
	}
	bound->phase_error = decoy_phase_error(s, seen, bound->single, eps);
	if (bound->phase_error >= 0.5)
		bound->reason = "the phase error may be 1/2";
	bound->bits = bound->single * (1 - entropy_to_half(bound->phase_error));
	if (eps > 0)
		bound->cost = 6 * log2(LIM_TERMS / eps) +
			      log2(2 / model->finite.eps_cor);
}

/* ---- BBM92: Shor and Preskill; Tomamichel et al., Nat. Commun. 3, 634 ---- */

static void bound_bbm92(const struct model *model, const struct seen *seen,
			double eps, struct bound *bound)
{
	double n = seen->clicks[BASIS_KEY][0];
	double k = seen->clicks[BASIS_CHECK][0];

	bound->proof =
		eps > 0 ?
			"finite key, general attacks: "
			"Tomamichel et al., Nat. Commun. 3, 634" :
			"asymptotic: Ma, Fung and Lo, Phys. Rev. A 76, 012307";
	bound->single = n;
	bound->phase_error = 0.5;
	if (!(n > 0 && k > 0)) {
		bound->reason = "no coincidences in one of the bases";
		return;
	}
	bound->phase_error = seen->errors[BASIS_CHECK][0] / k;
	if (eps > 0) {
		bound->phase_error +=
			sqrt((n + k) / (n * k) * (k + 1) / k * log(4 / eps));
		bound->cost = log2(2 / (square(eps) * model->finite.eps_cor));
	}
	if (bound->phase_error >= 0.5)
		bound->reason = "the phase error may be 1/2";
	bound->bits = n * (1 - entropy_to_half(bound->phase_error));
}

/* ---- E91: Acin et al., PRL 98, 230501, of detectors that are trusted ---- */

double seen_chsh(const struct seen *seen)
{
	double sum = 0;
	int x, y;

	for (x = 0; x < 2; x++) {
		for (y = 0; y < 2; y++) {
			const double *count = seen->chsh[x][y];
			double all = count[0] + count[1];

			if (!(all > 0))
				return 0;
			sum += (count[0] - count[1]) / all * (x && y ? -1 : 1);
		}
	}
	return sum;
}

static void bound_e91(const struct seen *seen, struct bound *bound)
{
	double s = seen_chsh(seen), n = seen->clicks[BASIS_KEY][0];

	bound->proof = "asymptotic, CHSH, detectors trusted: "
		       "Acin et al., Phys. Rev. Lett. 98, 230501";
	bound->single = n;
	bound->phase_error = 0.5;
	if (s <= 2) {
		bound->reason = "CHSH: S is not above 2";
		return;
	}
	if (s > 2 * M_SQRT2)
		s = 2 * M_SQRT2; /* by chance */
	bound->phase_error = positive(1 - sqrt(square(s / 2) - 1)) / 2;
	bound->bits = n * (1 - binary_entropy(bound->phase_error));
}

/* ---- B92: ours, after Tamaki, Koashi and Imoto, PRL 90, 167904 ---- */

#define B92_SMALL ((1 - M_SQRT1_2) / 2) /* alpha^2 */
#define B92_LARGE ((1 + M_SQRT1_2) / 2) /* beta^2 */

/**
 * struct b92 - what is known of single photons, per photon sent
 * @clicks: at least
 * @fewest, @most: conclusive ones
 * @error: bit errors, at most
 * @multiplier: where the dual function is looked at: of errors, of clicks
 */
struct b92 {
	double clicks;
	double fewest;
	double most;
	double error;
	double multiplier[2];
};

/*
 * A dual function: for all multipliers (of errors @e, of clicks @t, of conclusive ones @g; that of
 * Alice's outcome 1 is the least that fits) its value is an upper bound on phase
 * errors, so that nothing rests on the search for the best ones.
 */
static double b92_dual(double g, struct b92 *b92)
{
	double e = b92->multiplier[0], t = b92->multiplier[1], other, alice;
	double cross = square(e / 2) * B92_SMALL * B92_LARGE;
	double both_0 = (g - e / 2) * B92_SMALL + t;
	double bob_1 = (1 + g - e / 2) * B92_LARGE + t;

	if (!(both_0 < 0 && bob_1 < 0))
		return INFINITY;
	alice = (g - e / 2) * B92_LARGE + t - cross / both_0;
	other = (1 + g - e / 2) * B92_SMALL + t - cross / bob_1;
	alice = positive(other > alice ? other : alice);
	return e * b92->error + alice * B92_SMALL - t * b92->clicks -
	       g * (g > 0 ? b92->fewest : b92->most);
}

/* Least value of a function that has one minimum between @low and @high. */
static double minimum(double (*function)(double at, struct b92 *b92),
		      struct b92 *b92, double low, double high)
{
	const double golden = 0.6180339887498949;
	double x[2] = { high - golden * (high - low),
			low + golden * (high - low) };
	double y[2] = { function(x[0], b92), function(x[1], b92) };
	int i, worse;

	for (i = 0; i < 50; i++) {
		worse = y[0] < y[1];
		*(worse ? &high : &low) = x[worse];
		x[worse] = x[!worse];
		y[worse] = y[!worse];
		x[!worse] = worse ? high - golden * (high - low) :
				    low + golden * (high - low);
		y[!worse] = function(x[!worse], b92);
	}
	return y[0] < y[1] ? y[0] : y[1];
}

static double b92_over_conclusive(double t, struct b92 *b92)
{
	double e = b92->multiplier[0];
	double high = e / 2 - t / B92_SMALL;
	double other = e / 2 - 1 - t / B92_LARGE;

	b92->multiplier[1] = t;
	if (other < high)
		high = other;
	return minimum(b92_dual, b92, high - 3 * e, high);
}

static double b92_over_clicks(double log_e, struct b92 *b92)
{
	double e = exp(log_e);

	b92->multiplier[0] = e;
	return minimum(b92_over_conclusive, b92, 0, e * B92_LARGE / 2);
}

/* The most phase errors, per photon sent. */
static double b92_phase_errors(struct b92 *b92)
{
	return minimum(b92_over_clicks, b92, log(2.001), log(1e6));
}

static void bound_b92(const struct model *model, const struct seen *seen,
		      struct bound *bound)
{
	double mu = model->source.intensity[0], n = seen->pulses;
	double conclusive = seen->clicks[BASIS_KEY][0];
	double error = seen->qber * conclusive, phase;
	double sent = n * mu * exp(-mu);
	double many = n * (-expm1(-mu) - mu * exp(-mu));
	double clicks = conclusive + seen->inconclusive;

	bound->proof = "asymptotic, our bound for weak pulses, "
		       "after Tamaki et al., Phys. Rev. Lett. 90, 167904";
	bound->phase_error = 0.5;
	if (clicks <= n * -expm1(-mu * (1 - M_SQRT1_2))) {
		bound->reason = "loss: unambiguous discrimination works here";
		return;
	}
	/* Eve lets all pulses through of which she has photons left over; empty ones
	 * cost her errors. */
	bound->single = conclusive - many - 2 * error;
	clicks -= many + 2 * error / B92_SMALL;
	if (bound->single <= 0 || clicks <= 0) {
		bound->reason = "no clicks are certain to be of single photons";
		return;
	}
	phase = sent * b92_phase_errors(&(struct b92){
			       .clicks = clicks / sent,
			       .fewest = bound->single / sent,
			       .most = conclusive / sent,
			       .error = error / sent,
		       });
	bound->phase_error = phase / bound->single;
	if (bound->phase_error >= 0.5) {
		bound->reason = "loss or errors: the phase error may be 1/2";
		return;
	}
	bound->bits = bound->single * (1 - binary_entropy(bound->phase_error));
}

/* ---- COW ---- */

/*
 * Bits per symbol that a zero-error attack delivers, and knows. Eve tells symbols
 * apart without error, bits with probability p each and decoys with d, of which one
 * may be more where the other is less (their matrix of overlaps less both stays
 * positive). She sends on stretches of such symbols that begin and end with an
 * empty slot, so that no coherence is missed.
 */
static double cow_attack(const struct source *s)
{
	double e = exp(-s->intensity[0]), best = 0;
	int i, steps = 1000;

	for (i = 0; i < steps; i++) {
		double d = (1 - e) / (1 + e) * i / steps;
		double p = fmin(1 - e, 1 + e - 2 * e / (1 - d));
		double edge = p * s->share[0] / 2;
		double told = 2 * edge + d * s->share[1];

		best = fmax(best, 2 * edge * edge / (1 - told + edge));
	}
	return best;
}

static void bound_cow(const struct model *model, const struct seen *seen,
		      struct bound *bound)
{
	double mu = model->source.intensity[0], v, xi, known;
	double meetings = seen->visibility[0] + seen->visibility[1];
	double free = seen->clicks[BASIS_KEY][0] -
		      seen->pulses * cow_attack(&model->source);

	bound->proof = "asymptotic, one collective attack only, no proof: "
		       "Branciard et al., New J. Phys. 10, 013031";
	if (!(meetings > 0)) {
		bound->reason = "visibility was not measured";
		return;
	}
	if (free <= 0) {
		bound->reason = "loss: a zero-error attack works here "
				"(arXiv 2006.16891)";
		return;
	}
	v = (seen->visibility[0] - seen->visibility[1]) / meetings;
	bound->single = free;
	xi = (2 * v - 1) * exp(-mu) -
	     2 * sqrt(positive(v * (1 - v))) * sqrt(-expm1(-2 * mu));
	if (v <= 0.5 || xi <= 0) {
		bound->reason = "visibility is too low";
		return;
	}
	known = seen->qber + (1 - seen->qber) * binary_entropy((1 + xi) / 2);
	bound->bits = free * (1 - known);
}

/* Share of the symbols of a kind that click at a detector of the interferometer. */
static double cow_yield(const struct model *model, const struct seen *seen,
			int kind, int detector)
{
	double clicks = seen->clicks[BASIS_CHECK][kind];
	double dim = seen->errors[BASIS_CHECK][kind];

	return positive(detector ? dim : clicks - dim) /
	       (seen->pulses * model->source.share[kind]);
}

static void bound_cow_variant(const struct model *model,
			      const struct seen *seen, struct bound *bound)
{
	const struct source *s = &model->source;
	double half = s->intensity[0] / 2, rest = 2 * sinh(half), phase, n;
	double two[2], none[2], one = cow_yield(model, seen, 0, 0);
	int d;

	bound->proof = "asymptotic, our bound for COW with empty symbols";
	n = seen->clicks[BASIS_KEY][0];
	bound->single = n;
	bound->phase_error = 0.5;
	for (d = 0; d < 2; d++) {
		two[d] = exp(half) * sqrt(cow_yield(model, seen, 1, d));
		none[d] = exp(-half) * sqrt(cow_yield(model, seen, 2, d));
	}
	if (!(n > 0 && two[0] > 0)) {
		bound->reason = "no clicks of one of the lines";
		return;
	}
	phase = one + (square(two[1] + none[1] + rest) -
		       square(positive(two[0] - none[0] - rest))) /
			      4;
	/* As many as the data line has: it gets another share of the light, all of it. */
	phase *= 2 * s->data / (1 - s->data);
	bound->phase_error = phase * seen->pulses * s->share[0] / n;
	if (bound->phase_error >= 0.5) {
		bound->reason =
			"loss or visibility: the phase error may be 1/2";
		return;
	}
	bound->bits = n * (1 - entropy_to_half(bound->phase_error));
}

/* ---- All of them ---- */

double seen_sifted(const struct model *model, const struct seen *seen)
{
	const double *clicks = seen->clicks[BASIS_KEY];

	if (model->protocol == PROTOCOL_BB84)
		return clicks[0] + clicks[1] + clicks[2];
	return clicks[0];
}

bool proof_finite(const struct model *model)
{
	return model->finite.eps_sec > 0 && (model->protocol == PROTOCOL_BB84 ||
					     model->protocol == PROTOCOL_BBM92);
}

void proof_bound(const struct model *model, const struct seen *seen,
		 bool finite, struct bound *bound)
{
	double eps = finite ? model->finite.eps_sec : 0;

	*bound = (struct bound){ 0 };
	switch (model->protocol) {
	case PROTOCOL_BB84:
		bound_bb84(model, seen, eps, bound);
		break;
	case PROTOCOL_B92:
		bound_b92(model, seen, bound);
		break;
	case PROTOCOL_E91:
		bound_e91(seen, bound);
		break;
	case PROTOCOL_BBM92:
		bound_bbm92(model, seen, eps, bound);
		break;
	case PROTOCOL_COW:
		bound_cow(model, seen, bound);
		break;
	default:
		bound_cow_variant(model, seen, bound);
		break;
	}
	if (bound->reason)
		bound->bits = 0;
	if (bound->phase_error > 0.5)
		bound->phase_error = 0.5;
}
