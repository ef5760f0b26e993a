/* SPDX-License-Identifier: GPL-2.0-only */
/* Closed formulas: what a link should see, and how much of it is secret. */
#ifndef QKD_LINK_RATE_H
#define QKD_LINK_RATE_H

#include "model.h"

/*
 * What light, detectors and formulas agree on:
 *
 * Bob has two threshold detectors. Each clicks by itself with probability
 * d = 1 - (1 - dark)(1 - background) per gate, in all gates alike. A gate in which
 * both click counts as one click with a random outcome. A photon that comes to
 * Bob is detected with detector.efficiency. The number of photons of a pulse is
 * Poisson; each photon goes its way by itself. A click of either detector makes
 * both dead for the next floor(dead * rate) gates. After a click, with
 * probability afterpulse, the same detector clicks again in the first live gate.
 *
 * BB84: Alice's and Bob's basis are BASIS_KEY with probability key_basis each,
 *	independently; intensity does not depend on the basis. Same basis: the
 *	wrong detector with probability misalignment; else either with 1/2.
 * B92: Alice sends 0 deg (bit 0) or 45 deg (bit 1); Bob measures at {0, 90} or
 *	{45, -45}, 1/2 each. -45 says bit 0, 90 says bit 1; 0 and 45 say nothing.
 *	A photon takes the other outcome with probability misalignment, when the
 *	basis is that of its state. All conclusive bits are key. One detector is
 *	for 0 and 45, the other for 90 and -45.
 * Pairs: a gate has a Poisson number of pairs (mean intensity[0]), independent
 *	of each other; each is a Werner state of visibility v. Alice detects her
 *	photon with source.efficiency, Bob his with transmittance * efficiency.
 *	Outcomes of a pair at angles a, b are each random, and equal with
 *	probability (1 + E) / 2, E = v (1 - 2 misalignment) cos(2(a - b)). Alice's
 *	two detectors have dark counts (not background), no dead time and no
 *	afterpulses. A coincidence: both ends have a click in the same gate.
 * E91: either end takes its key basis (0 deg) with probability key_basis, else
 *	one of its test bases, 1/2 each: Alice {0, 45}, Bob {22.5, -22.5} deg.
 *	Key: both in the key basis. CHSH: both in a test basis. All else is
 *	dropped. S = E00 + E01 + E10 - E11.
 * BBM92: key basis 0 deg, check basis 45 deg, at both ends. S cannot be measured
 *	with these (no basis between): counts->chsh stays zero.
 * COW: a pulse is a symbol of two slots: bit 0 (full, empty), bit 1 (empty,
 *	full), decoy (full, full), and in the variant (empty, empty). Each slot is
 *	a gate of each detector. A share `data` of the light goes to the data
 *	line, with one detector: early 0, late 1, both: random. A share
 *	misalignment of a bit's light is in the other slot (decoys: none). The
 *	rest goes to the interferometer, which lays each slot over the one before:
 *	with mean photon numbers x, y of the two (after all losses) its detectors
 *	get (x + y +- 2 v sqrt(x y)) / 4, "+" where light belongs; misalignment
 *	is left out there. Both click: one of them at random. Where early and
 *	late of a symbol meet and there is a click, the data line's of that symbol
 *	is dropped. Dead time is
 *	in symbols, and a click of either line makes both dead; a symbol that
 *	begins live is live in both slots and both lines. An afterpulse comes in
 *	the first live symbol behind that of its click, in either slot. In the
 *	variant nothing across symbols is looked at.
 */

/* Bases: of the key, and the one that is only looked at. */
enum basis {
	BASIS_KEY,
	BASIS_CHECK,
	BASES,
};

/**
 * struct counts - what both ends know of a block after sifting
 * @pulses: in all
 * @clicks: by basis and intensity that Alice chose, of pulses where both chose the
 *	same basis, what Bob saw (pairs: coincidences; B92: conclusive, in the key
 *	basis; COW: of the data line, by kind of symbol).
 *	E91: of the check basis, both in a test basis. COW: of the check basis,
 *	the interferometer's where early and late of a symbol meet, by kind
 * @errors: of those that were compared, what differed. Of the key basis they
 *	are counted by reconciliation, and are of all intensities together in [0].
 *	COW: of the check basis, at the detector where light does not belong
 * @compared: how many were compared. Of the key basis in [0], with @errors;
 *	without it there is no key
 * @chsh: E91: coincidences by Alice's and Bob's test basis, then by equal (0)
 *	and different (1) outcomes
 * @visibility: COW: clicks of the interferometer where two full slots meet (not
 *	the variant: also across symbols), [0] at the detector where they belong,
 *	[1] at the other
 * @inconclusive: B92: clicks that said nothing
 */
struct counts {
	uint64_t pulses;
	uint64_t clicks[BASES][INTENSITIES];
	uint64_t errors[BASES][INTENSITIES];
	uint64_t compared[BASES][INTENSITIES];
	uint64_t chsh[2][2][2];
	uint64_t visibility[2];
	uint64_t inconclusive;
};

/**
 * struct expected - what the formulas say
 * @gain: clicks per pulse, by basis and intensity, with the choice of basis given
 * @qber: of those
 * @sifted: bits of sifted key per pulse sent
 * @error: QBER of the sifted key
 * @chsh: S, for pairs
 * @visibility: COW, where two full slots meet
 * @inconclusive: B92: clicks that say nothing, per pulse sent
 * @key: secret bits per pulse sent, asymptotically, with reconciliation at Shannon's limit
 */
struct expected {
	double gain[BASES][INTENSITIES];
	double qber[BASES][INTENSITIES];
	double sifted;
	double error;
	double chsh;
	double visibility;
	double inconclusive;
	double key;
};

/**
 * struct secret - how much of a block is secret, and why
 * @bits: that may be kept; 0 if none
 * @reason: why there are none, in a few words, or NULL
 * @proof: what @bits rests on: papers, "finite key" or "asymptotic"
 * @single: bound on the clicks from single photons
 * @phase_error: bound on their phase error, at most 1/2 (COW: 0, there is none)
 * @eps_sec, @eps_cor: of this block; 0: asymptotic
 */
struct secret {
	uint64_t bits;
	const char *reason;
	const char *proof;
	double single;
	double phase_error;
	double eps_sec;
	double eps_cor;
};

void rate_expected(const struct model *model, const struct state *state,
		   struct expected *expected);
/*
 * Bits that may be kept of @counts after @leaked bits were told in reconciliation and
 * verification (those of frames that left the key are in it). QBER of the key basis is
 * in @counts: see @compared.
 */
void rate_secret(const struct model *model, const struct counts *counts,
		 uint64_t leaked, struct secret *secret);
/* The QBER of the sifted key above which no key is left however large a block is. */
double rate_threshold(const struct model *model);

double binary_entropy(double p);

/*
 * Key rate against distance, at time 0, @steps + 1 lines from @from to @to metres, tab separated,
 * after comments ('#') with the proofs and a line of names: km, loss of channel and detector in
 * dB, sifted bits per second, QBER, S or visibility (0: none), secret bits per second
 * (asymptotic), and of a block of finite.block bits ("-": no proof_finite(), of no
 * block is anything known that is not asymptotic). Satellites: the distance is
 * the height of the orbit, the moment that of culmination. Distances at which the
 * model does not hold (turbulence is too strong) are left out. -EIO; -EINVAL if it holds at none, and
 * *@why says why not.
 */
int rate_table(FILE *file, const struct model *model, double from, double to,
	       unsigned int steps, const char **why);

#endif
