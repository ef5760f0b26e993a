// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is secret of a sifted key: a bound per protocol. Documentation/link-physics.md
 * says what each rests on, and derives those that are ours.
 */
#include <math.h>

#include "proof.h"

/* Into how many shares eps_sec is divided: by Lim et al., and by our count of what may fail
 * in the way of Wiesemann et al.
 */
enum { LIM_TERMS = 21, WIESEMANN_TERMS = 19 };

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

/* ---- What chance may do to counts ---- */

#define ASYMPTOTIC(eps, text)                                               \
	((eps) > 0 ?                                                        \
		 "asymptotic, with deviations of what was counted, " text : \
		 "asymptotic, " text)

/*
 * Chernoff's bounds, each of which fails with probability @eps (0: there is no chance), for
 * things that come independently of each other.
 */
static double chance(double eps)
{
	return eps > 0 ? -log(eps) : 0;
}

/* The most that a number is in the mean of which @count was seen. */
static double mean_most(double count, double eps)
{
	double c = chance(eps);

	return count + c + sqrt(c * (c + 2 * count));
}

/* The least. */
static double mean_least(double count, double eps)
{
	double c = chance(eps);

	return positive(count + 2 * c / 3 - sqrt(2 * c * (2 * c / 9 + count)));
}

/* The most that is seen of what is @mean in the mean; @c: logarithm of 1 / eps. */
static double seen_most(double mean, double c)
{
	return mean + c / 3 + sqrt(c * (c / 9 + 2 * mean));
}

static double count_most(double mean, double eps)
{
	return seen_most(mean, chance(eps));
}

/* ---- BB84 with two decoys: Lim et al., PRA 89, 022307, and Wiesemann et al. ---- */

/**
 * struct decoy - statistics of a basis
 * @low, @high: bounds of e^k / p_k times the clicks (or errors), per intensity
 */
struct decoy {
	double low[INTENSITIES];
	double high[INTENSITIES];
};

/* @eps: of a single bound; 0 for an infinite block. */
static void decoy_bounds(const struct source *s, const double *count,
			 double eps, struct decoy *decoy)
{
	double total = count[0] + count[1] + count[2];
	double delta = eps > 0 ? sqrt(total / 2 * log(1 / eps)) : 0;
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

/*
 * What the rate @b of errors of @c clicks may be more in @d others: equation 5, with
 * @eps a share of eps_sec.
 */
static double lim_gamma(double eps, double b, double c, double d)
{
	double spread = (c + d) / (c * d);

	return sqrt(spread * (1 - b) * b / M_LN2 *
		    log2(spread / ((1 - b) * b) / square(eps)));
}

/* The same by Serfling's inequality, for any rate: it fails with @eps squared, which is what
 * a smoothing of @eps asks for.
 */
static double serfling_gamma(double eps, double b, double c, double d)
{
	(void)b;
	return sqrt((c + d) / (c * d) * (c + 1) / c * log(1 / eps));
}

/**
 * struct account - how a proof counts what may go wrong in a block
 * @eps: of a single bound; 0 for an infinite block
 * @gamma: deviation of phase errors from errors of the check basis
 */
struct account {
	double eps;
	double (*gamma)(double eps, double b, double c, double d);
};

static double decoy_phase_error(const struct source *s, const struct seen *seen,
				double single, const struct account *account)
{
	struct decoy clicks, errors;
	double other, wrong, rate, eps = account->eps;

	decoy_bounds(s, seen->clicks[BASIS_CHECK], eps, &clicks);
	decoy_bounds(s, seen->errors[BASIS_CHECK], eps, &errors);
	other = decoy_single(s, &clicks);
	wrong = positive(photons(s, 1) * (errors.high[1] - errors.low[2]) /
			 (s->intensity[1] - s->intensity[2]));
	if (eps > 0 && wrong < 1)
		wrong = 1; /* equation 5 has no value at 0 */
	if (!(other > 0) || !(wrong < other / 2))
		return 0.5;
	rate = wrong / other;
	if (eps > 0)
		rate += account->gamma(eps, rate, other, single);
	/* of a large eps there is no such bound */
	return rate < 0.5 ? rate : 0.5;
}

/*
 * The papers also have the clicks of empty pulses as secret. But Bob's bit of an empty pulse
 * may be Eve's own, and reconciliation by Cascade, in the end, tells all where his bits
 * are wrong: then she has Alice's (arXiv 2307.00576). What is left knows of no such
 * thing: where bits are wrong says nothing of which phases are.
 */
static void bound_decoys(const struct source *s, const struct seen *seen,
			 const struct account *account, struct bound *bound)
{
	struct decoy clicks;

	decoy_bounds(s, seen->clicks[BASIS_KEY], account->eps, &clicks);
	bound->single = decoy_single(s, &clicks);
	bound->phase_error = 0.5;
	if (!(bound->single > 0)) {
		bound->reason = "decoys leave no clicks of single photons";
		return;
	}
	bound->phase_error = decoy_phase_error(s, seen, bound->single, account);
	if (bound->phase_error >= 0.5)
		bound->reason = "the phase error may be 1/2";
	bound->bits = bound->single * (1 - entropy_to_half(bound->phase_error));
}

void proof_bb84(const struct model *model, const struct seen *seen,
		struct bound *lim, struct bound *wiesemann)
{
	double eps = model->finite.eps_sec;
	struct account of_lim = { eps / LIM_TERMS, lim_gamma };
	struct account ours = { eps / WIESEMANN_TERMS, serfling_gamma };
	double verify = log2(2 / model->finite.eps_cor);

	*lim = *wiesemann = (struct bound){ 0 };
	bound_decoys(&model->source, seen, &of_lim, lim);
	lim->cost = 6 * log2(1 / of_lim.eps) + verify;
	/* hashing: 2 log2(1 / 2 eps), the chain rule: log2(2 / eps^2) */
	bound_decoys(&model->source, seen, &ours, wiesemann);
	wiesemann->cost = 4 * log2(1 / ours.eps) - 1 + verify;
}

/* The key of @a is shorter than that of @b; where there is none it is the shortest. */
static bool shorter(const struct bound *a, const struct bound *b)
{
	if (a->reason || b->reason)
		return a->reason && !b->reason;
	return a->bits - a->cost < b->bits - b->cost;
}

static void bound_bb84_block(const struct model *model, const struct seen *seen,
			     struct bound *bound)
{
	struct bound lim, wiesemann;

	proof_bb84(model, seen, &lim, &wiesemann);
	*bound = shorter(&lim, &wiesemann) ? lim : wiesemann;
	bound->proof = "finite key, general attacks: the shorter key of "
		       "Lim et al., Phys. Rev. A 89, 022307, and, with terms "
		       "for two decoys that were counted here, of "
		       "Wiesemann et al., arXiv 2405.16578";
}

static void bound_bb84(const struct model *model, const struct seen *seen,
		       double eps, struct bound *bound)
{
	struct account infinite = { 0 };

	if (eps > 0) {
		bound_bb84_block(model, seen, bound);
		return;
	}
	bound->proof = "asymptotic, two decoys: "
		       "Lim et al., Phys. Rev. A 89, 022307";
	bound_decoys(&model->source, seen, &infinite, bound);
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

/* By how much S may be above its mean: Hoeffding's inequality of four means of 1 and -1. */
static double chsh_deviation(const struct seen *seen, double eps)
{
	double sum = 0;
	int x, y;

	for (x = 0; x < 2; x++)
		for (y = 0; y < 2; y++)
			sum += 1 / (seen->chsh[x][y][0] + seen->chsh[x][y][1]);
	return eps > 0 ? sqrt(2 * chance(eps) * sum) : 0;
}

static void bound_e91(const struct seen *seen, double eps, struct bound *bound)
{
	double s = seen_chsh(seen) - chsh_deviation(seen, eps);
	double n = seen->clicks[BASIS_KEY][0];

	bound->proof = ASYMPTOTIC(eps,
				  "CHSH, detectors trusted: "
				  "Acin et al., Phys. Rev. Lett. 98, 230501");
	bound->single = n;
	bound->phase_error = 0.5;
	if (s <= 2) {
		bound->reason = "CHSH: S is not above 2";
		return;
	}
	if (s > 2 * M_SQRT2)
		s = 2 * M_SQRT2; /* by chance, or of rounding */
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
		      double eps, struct bound *bound)
{
	double mu = model->source.intensity[0], n = seen->pulses;
	double conclusive = seen->clicks[BASIS_KEY][0];
	double error = mean_most(seen->qber * conclusive, eps);
	double fewest = mean_least(conclusive, eps), phase;
	double sent = n * mu * exp(-mu);
	double many = n * (-expm1(-mu) - mu * exp(-mu));
	double clicks = mean_least(conclusive + seen->inconclusive, eps);

	bound->proof = ASYMPTOTIC(
		eps, "our bound for weak pulses, "
		     "after Tamaki et al., Phys. Rev. Lett. 90, 167904");
	bound->phase_error = 0.5;
	if (clicks <= n * -expm1(-mu * (1 - M_SQRT1_2))) {
		bound->reason = "loss: unambiguous discrimination works here";
		return;
	}
	/* Eve lets all pulses through of which she has photons left over; empty ones
	 * cost her errors. */
	bound->single =
		conclusive - count_most(many, eps) - count_most(2 * error, eps);
	fewest -= many + 2 * error;
	clicks -= many + 2 * error / B92_SMALL;
	if (bound->single <= 0 || fewest <= 0 || clicks <= 0) {
		bound->reason = "no clicks are certain to be of single photons";
		return;
	}
	phase = sent * b92_phase_errors(&(struct b92){
			       .clicks = clicks / sent,
			       .fewest = fewest / sent,
			       .most = mean_most(conclusive, eps) / sent,
			       .error = error / sent,
		       });
	bound->phase_error = count_most(phase, eps) / bound->single;
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
		      double eps, struct bound *bound)
{
	double mu = model->source.intensity[0], v, xi, known;
	double meetings = seen->visibility[0] + seen->visibility[1];
	double free =
		seen->clicks[BASIS_KEY][0] -
		count_most(seen->pulses * cow_attack(&model->source), eps);

	bound->proof = ASYMPTOTIC(eps,
				  "one collective attack only, no proof: "
				  "Branciard et al., New J. Phys. 10, 013031");
	if (!(meetings > 0)) {
		bound->reason = "visibility was not measured";
		return;
	}
	if (free <= 0) {
		bound->reason = "loss: a zero-error attack works here "
				"(arXiv 2006.16891)";
		return;
	}
	v = 1 - 2 * mean_most(seen->visibility[1], eps) / meetings;
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

/* ---- COW with empty symbols: ours ---- */

/*
 * Into how many shares what may fail is divided; how many exponents are tried; and the share
 * of symbols of which the proof, and nobody else, has Alice measure how much of what is left
 * (below) she sent.
 */
enum { VARIANT_TERMS = 13, TILTS = 40 };
#define MARKED 0.3

/**
 * struct doubt - logarithms of 1 / eps, of an infinite block 0
 * @once: of a number of things that come independently of each other
 * @chain: of those that may depend on all that came before; for all exponents together
 */
struct doubt {
	double once;
	double chain;
};

/* With sqrt(failures) smoothed twice, and eps_sec / 2 for hashing. */
static struct doubt doubt_of(double eps)
{
	struct doubt doubt = { 0 };

	if (eps > 0) {
		doubt.once = log(16 * VARIANT_TERMS) - 2 * log(eps);
		doubt.chain = doubt.once + log(TILTS);
	}
	return doubt;
}

/*
 * Of things that come with probabilities that depend on all that came before, the sum of
 * these, and how many came. The mean of exp(t count - (exp(t) - 1) sum) is 1 at most,
 * for each t, also below 0.
 */
static double tilt(int i)
{
	return exp2(2 - i / 2.0);
}

static double sum_most(double count, double c)
{
	double most = INFINITY, t;
	int i;

	if (!(c > 0))
		return count;
	for (i = 0; i < TILTS; i++) {
		t = tilt(i);
		most = fmin(most, (t * count + c) / -expm1(-t));
	}
	return most;
}

static double sum_least(double count, double c)
{
	double least = 0, t;
	int i;

	if (!(c > 0))
		return count;
	for (i = 0; i < TILTS; i++) {
		t = tilt(i);
		least = fmax(least, (t * count - c) / expm1(t));
	}
	return least;
}

static double came_most(double sum, double c)
{
	double most = INFINITY, t;
	int i;

	if (!(c > 0))
		return sum;
	for (i = 0; i < TILTS; i++) {
		t = tilt(i);
		most = fmin(most, (expm1(t) * sum + c) / t);
	}
	return most;
}

/**
 * struct yields - of symbols, if all were of one kind: those that click at the interferometer
 * @low: at least, at the bright detector
 * @high: at most, at the bright (0) and at the dim one (1)
 */
struct yields {
	double low;
	double high[2];
};

/* From the clicks of symbols that are not marked. */
static double yield_most(double clicks, double share, const struct doubt *doubt)
{
	double marked = MARKED * clicks;
	double count = clicks - marked + sqrt(2 * doubt->once * marked);

	return sum_most(count, doubt->chain) / (share * (1 - MARKED));
}

static double yield_least(double clicks, double share,
			  const struct doubt *doubt)
{
	double marked = seen_most(MARKED * clicks, doubt->once);

	return sum_least(positive(clicks - marked), doubt->chain) /
	       (share * (1 - MARKED));
}

static struct yields variant_yields(const struct model *model,
				    const struct seen *seen, int kind,
				    const struct doubt *doubt)
{
	double share = model->source.share[kind];
	double dim = seen->errors[BASIS_CHECK][kind];
	double bright = positive(seen->clicks[BASIS_CHECK][kind] - dim);

	return (struct yields){
		.low = yield_least(bright, share, doubt),
		.high = { yield_most(bright, share, doubt),
			  yield_most(dim, share, doubt) },
	};
}

/* The same of the state that is left when decoys and empty symbols are taken from
 * the one that is never sent; whatever Eve does, and whenever she makes a block end, Alice
 * finds it as often as she does.
 */
static double variant_rest(const struct source *s, double pulses,
			   const struct doubt *doubt)
{
	double half = s->intensity[0] / 2;
	double found = 1 / (4 / s->share[0] + exp(2 * half) / s->share[1] +
			    exp(-2 * half) / s->share[2]);
	double mean = MARKED * found * pulses * square(2 * sinh(half));

	return sum_most(came_most(mean, doubt->chain), doubt->chain) /
	       (MARKED * found);
}

/* Phase errors that the interferometer would show, of bits: a sum of probabilities. */
static double variant_phase_errors(const struct model *model,
				   const struct seen *seen,
				   const struct doubt *doubt)
{
	const struct source *s = &model->source;
	double half = s->intensity[0] / 2;
	double rest = sqrt(variant_rest(s, seen->pulses, doubt));
	struct yields one = variant_yields(model, seen, 0, doubt);
	struct yields two = variant_yields(model, seen, 1, doubt);
	struct yields none = variant_yields(model, seen, 2, doubt);
	double dim = exp(half) * sqrt(two.high[1]) +
		     exp(-half) * sqrt(none.high[1]) + rest;
	double bright = exp(half) * sqrt(two.low) -
			exp(-half) * sqrt(none.high[0]) - rest;

	return s->share[0] *
	       (one.high[0] + (square(dim) - square(positive(bright))) / 4);
}

/* The key has no more bits than its share of light allows: the interferometer is not dark. */
static bool variant_holds(const struct seen *seen, double ratio,
			  const struct doubt *doubt)
{
	double c = fmax(doubt->chain,
			25); /* also of counts that are taken as they are */

	return sum_least(seen->clicks[BASIS_KEY][0], c) <=
	       ratio * sum_most(seen->clicks[BASIS_CHECK][0], c);
}

static void bound_cow_variant(const struct model *model,
			      const struct seen *seen, double eps,
			      struct bound *bound)
{
	double data = model->source.data, n = seen->clicks[BASIS_KEY][0];
	bool finite = eps > 0 && proof_finite(model);
	double ratio = 2 * data / (1 - data), phase;
	struct doubt doubt = doubt_of(eps);

	bound->proof =
		finite ?
			"finite key, general attacks: our bound for COW "
			"with empty symbols, not reviewed" :
			ASYMPTOTIC(eps, "our bound for COW with empty symbols");
	bound->single = n;
	bound->phase_error = 0.5;
	if (!(n > 0 &&
	      seen->clicks[BASIS_CHECK][1] > seen->errors[BASIS_CHECK][1])) {
		bound->reason = "no clicks of one of the lines";
		return;
	}
	/* The data line gets another share of the light, all of it. */
	phase = variant_phase_errors(model, seen, &doubt) * ratio;
	if (phase < 0 || !variant_holds(seen, ratio, &doubt)) {
		bound->reason = "the counts contradict each other";
		return;
	}
	bound->phase_error = came_most(phase, doubt.chain) / n;
	if (!(bound->phase_error < 0.5)) {
		bound->reason =
			"loss or visibility: the phase error may be 1/2";
		return;
	}
	bound->bits = n * (1 - entropy_to_half(bound->phase_error));
	if (finite)
		bound->cost =
			2 * log2(1 / eps) + log2(2 / model->finite.eps_cor);
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
	/* Afterpulses tell which line of the variant it was. */
	return model->finite.eps_sec > 0 &&
	       (model->protocol == PROTOCOL_BB84 ||
		model->protocol == PROTOCOL_BBM92 ||
		(model->protocol == PROTOCOL_COW_VARIANT &&
		 !(model->detector.afterpulse > 0)));
}

void proof_bound(const struct model *model, const struct seen *seen,
		 bool counted, struct bound *bound)
{
	double eps = counted ? model->finite.eps_sec : 0;

	*bound = (struct bound){ 0 };
	switch (model->protocol) {
	case PROTOCOL_BB84:
		bound_bb84(model, seen, eps, bound);
		break;
	case PROTOCOL_B92:
		bound_b92(model, seen, eps, bound);
		break;
	case PROTOCOL_E91:
		bound_e91(seen, eps, bound);
		break;
	case PROTOCOL_BBM92:
		bound_bbm92(model, seen, eps, bound);
		break;
	case PROTOCOL_COW:
		bound_cow(model, seen, eps, bound);
		break;
	default:
		bound_cow_variant(model, seen, eps, bound);
		break;
	}
	if (bound->reason)
		bound->bits = 0;
	if (bound->phase_error > 0.5)
		bound->phase_error = 0.5;
}
