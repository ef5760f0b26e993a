/* SPDX-License-Identifier: GPL-2.0-only */
/* Bounds on what Eve may know, of counts or of what is expected of them. */
#ifndef QKD_LINK_PROOF_H
#define QKD_LINK_PROOF_H

#include "rate.h"

/**
 * struct seen - struct counts in real numbers: of a block, or per pulse
 * @qber: of the sifted key
 */
struct seen {
	double pulses;
	double clicks[BASES][INTENSITIES];
	double errors[BASES][INTENSITIES];
	double chsh[2][2][2];
	double visibility[2];
	double inconclusive;
	double qber;
};

/**
 * struct bound - what is secret of the sifted key before it is reconciled
 * @bits: lower bound; 0 or less: none
 * @cost: bits that the finite key costs besides
 * @reason: why there are none, or NULL
 * @single, @phase_error: of struct secret
 * @proof: what this rests on
 */
struct bound {
	double bits;
	double cost;
	const char *reason;
	const char *proof;
	double single;
	double phase_error;
};

/* Bits of sifted key in @seen. */
double seen_sifted(const struct model *model, const struct seen *seen);
/* Does the bound know the size of a block, and promise the epsilons of the model? */
bool proof_finite(const struct model *model);
/* @counted: of a block, and what chance may do to its counts is in it: with the epsilons of
 * the model where there is such a bound, else each deviation for eps_sec. Else, and where that
 * is 0, of infinitely many pulses in these proportions. */
void proof_bound(const struct model *model, const struct seen *seen,
		 bool counted, struct bound *bound);
/**
 * proof_bb84() - the two bounds of a block of which proof_bound() takes the shorter key
 * @model: link, of BB84, whose eps_sec is above 0
 * @seen: counts of the block
 * @lim: by Lim et al., Phys. Rev. A 89, 022307
 * @wiesemann: after Wiesemann et al., arXiv 2405.16578; terms for two decoys are ours
 *
 * Both estimate single photons by the same equations. Shares of eps_sec, what is paid for
 * smoothing, and the inequality for phase errors differ. @proof of both stays NULL.
 */
void proof_bb84(const struct model *model, const struct seen *seen,
		struct bound *lim, struct bound *wiesemann);
/* S of these coincidences, or 0 if one of the four settings has none. */
double seen_chsh(const struct seen *seen);
/* What is seen of @pulses pulses where all is as expected. */
void rate_seen(const struct model *model, const struct expected *expected,
	       double pulses, struct seen *seen);
/* Share of slots of COW's interferometer, per symbol, in which two full slots meet. */
double cow_meetings(const struct model *model);

#endif
