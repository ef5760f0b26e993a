// SPDX-License-Identifier: GPL-2.0-only
/* How much of a block may be kept, and where a key ends. */
#include <math.h>

#include "amplify.h"
#include "proof.h"
#include "rate.h"

static void to_seen(const struct counts *counts, struct seen *seen)
{
	int b, i, x, y;

	*seen = (struct seen){ .pulses = counts->pulses,
			       .inconclusive = counts->inconclusive };
	for (b = 0; b < BASES; b++) {
		for (i = 0; i < INTENSITIES; i++) {
			seen->clicks[b][i] = counts->clicks[b][i];
			seen->errors[b][i] = counts->errors[b][i];
		}
	}
	for (x = 0; x < 2; x++) {
		for (y = 0; y < 2; y++) {
			seen->chsh[x][y][0] = counts->chsh[x][y][0];
			seen->chsh[x][y][1] = counts->chsh[x][y][1];
		}
	}
	seen->visibility[0] = counts->visibility[0];
	seen->visibility[1] = counts->visibility[1];
	if (counts->compared[BASIS_KEY][0])
		seen->qber = (double)counts->errors[BASIS_KEY][0] /
			     counts->compared[BASIS_KEY][0];
}

/* Counts that no link has: more errors than were compared, more clicks than pulses. */
static bool absurd(const struct counts *counts)
{
	uint64_t most = counts->pulses;
	int b, i;

	for (b = 0; b < BASES; b++) {
		for (i = 0; i < INTENSITIES; i++) {
			if (counts->clicks[b][i] > most)
				return true;
		}
	}
	for (i = 0; i < INTENSITIES; i++) {
		if (counts->errors[BASIS_CHECK][i] >
		    counts->clicks[BASIS_CHECK][i])
			return true;
	}
	return counts->inconclusive > most ||
	       counts->errors[BASIS_KEY][0] > counts->compared[BASIS_KEY][0];
}

static const char *refuse(const struct model *model,
			  const struct counts *counts, const struct seen *seen)
{
	if (absurd(counts))
		return "the counts contradict each other";
	if (!(seen_sifted(model, seen) > 0))
		return "no sifted bits";
	if (!counts->compared[BASIS_KEY][0])
		return "the error rate was not measured";
	if (seen->qber > model->finite.max_qber)
		return "the error rate is above max-qber";
	return NULL;
}

/* What a hash costs of bits that are certain to be secret (leftover hash lemma). Bounds of
 * blocks have that among their own terms.
 */
static double hash_cost(const struct finite *finite)
{
	return finite->eps_sec > 0 ? 2 * log2(1 / finite->eps_sec) : 0;
}

void rate_secret(const struct model *model, const struct counts *counts,
		 uint64_t leaked, struct secret *secret)
{
	bool finite = proof_finite(model);
	struct bound bound;
	struct seen seen;
	double bits, sifted;

	to_seen(counts, &seen);
	sifted = seen_sifted(model, &seen);
	*secret = (struct secret){ .reason = refuse(model, counts, &seen) };
	proof_bound(model, &seen, true, &bound);
	secret->proof = bound.proof;
	if (finite) {
		secret->eps_sec = model->finite.eps_sec;
		secret->eps_cor =
			fmax(model->finite.eps_cor, verify_collision(sifted));
	}
	if (secret->reason)
		return;
	secret->single = bound.single;
	secret->phase_error = bound.phase_error;
	secret->reason = bound.reason;
	if (secret->reason)
		return;
	if (!finite)
		bound.cost += hash_cost(&model->finite);
	bits = floor(bound.bits - bound.cost - (double)leaked);
	if (bits >= 1 && bits <= sifted)
		secret->bits = bits;
	else
		secret->reason = "reconciliation told more than was secret";
}

/* ---- Where a key ends ---- */

/* Secret share of the sifted key of a link without loss, noise or any but single photons,
 * whose errors are @qber in each basis. */
static double perfect_share(const struct model *model, double qber)
{
	struct model perfect = *model;
	double flat = 2 * qber; /* share of what is noise alone */
	struct seen seen = { .pulses = 1, .qber = qber };
	struct bound bound;
	double mu = 1e-9;

	perfect.source.intensity[0] = mu;
	switch (model->protocol) {
	case PROTOCOL_E91:
		rate_seen(
			&perfect,
			&(struct expected){ .gain = { { 1 }, { 1 } },
					    .chsh = 2 * M_SQRT2 * (1 - flat) },
			1, &seen);
		break;
	case PROTOCOL_B92:
		/* White noise of weight w: QBER is w / (1 + w). */
		flat = qber / (1 - qber);
		seen.clicks[BASIS_KEY][0] = mu * (1 + flat) / 4;
		seen.inconclusive = mu * (3 - flat) / 4;
		break;
	case PROTOCOL_COW:
		seen.clicks[BASIS_KEY][0] = mu;
		seen.visibility[0] = 1 - qber;
		seen.visibility[1] = qber;
		break;
	default:
		return 1 - 2 * binary_entropy(qber);
	}
	seen.qber = qber;
	proof_bound(&perfect, &seen, false, &bound);
	if (bound.reason)
		return -1;
	return bound.bits / seen_sifted(&perfect, &seen) - binary_entropy(qber);
}

double rate_threshold(const struct model *model)
{
	double low = 0, high = 0.5, middle;
	int i;

	for (i = 0; i < 60; i++) {
		middle = (low + high) / 2;
		if (perfect_share(model, middle) > 0)
			low = middle;
		else
			high = middle;
	}
	return low;
}
