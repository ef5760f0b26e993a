/* SPDX-License-Identifier: GPL-2.0-only */
/* Channels, devices and protocols: what a link is made of, in numbers. */
#ifndef QKD_LINK_MODEL_H
#define QKD_LINK_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A vacuum decoy or the weakest is the last. */
#define INTENSITIES 3

enum protocol {
	PROTOCOL_BB84, /* weak coherent pulses, two decoys, biased bases */
	PROTOCOL_B92, /* weak coherent pulses, two states */
	PROTOCOL_E91, /* entangled pairs, three bases an end, CHSH test */
	PROTOCOL_BBM92, /* entangled pairs, two bases an end, no CHSH test */
	PROTOCOL_COW, /* the original: zero key beyond its bound */
	PROTOCOL_COW_VARIANT, /* with empty symbols, too */
	PROTOCOLS,
};

enum medium {
	MEDIUM_FIBRE,
	MEDIUM_FREE_SPACE,
	MEDIUM_SATELLITE,
	MEDIUM_TERAHERTZ,
	MEDIA,
};

/**
 * struct source - Alice's light, or the source of pairs that stands with her
 * @rate: pulses (gates in which pairs may come; COW: symbols of two slots) per
 *	second
 * @intensity: mean photon number of a pulse; [0] is the signal. Pairs: [0] is
 *	the mean number of pairs. COW: [0] and [1] are the same, [2] is 0
 * @share: of the pulses, per intensity; they sum to 1. B92 and pairs: [0] is 1.
 *	COW: [0] bits, [1] decoys (both slots full), [2] both empty (variant only)
 * @key_basis: share of the pulses in the basis that makes the key (both ends).
 *	B92, COW: not used
 * @data: COW: share of Bob's light that goes to the data line
 * @visibility: of the pairs (Werner state) or of neighbouring pulses (COW)
 * @efficiency: pairs: of Alice's own arm with her detectors
 */
struct source {
	double rate;
	double intensity[INTENSITIES];
	double share[INTENSITIES];
	double key_basis;
	double data;
	double visibility;
	double efficiency;
};

/**
 * struct detector - Bob's; of Alice's, where she has some, only @dark counts
 * @efficiency: of a photon that arrives
 * @dark: probability of a dark count per gate and detector (COW: per slot)
 * @dead: seconds; a click of either of two detectors stops both
 * @afterpulse: probability that a click makes another one, of the same
 *	detector, in the first gate in which it is live again
 * @misalignment: probability that a photon takes the wrong detector (COW: that
 *	it is in the wrong slot of a bit)
 */
struct detector {
	double efficiency;
	double dark;
	double dead;
	double afterpulse;
	double misalignment;
};

/**
 * struct channel - what light goes through
 * @medium: which of the following count
 * @length: metres. Satellite: height of the orbit
 * @db_per_km: fibre: attenuation; free space, terahertz: absorption
 * @fixed_db: all that does not depend on the length: receiver, connectors
 * @aperture_tx: metres, diameter; free space, satellite, terahertz
 * @aperture_rx: metres, diameter
 * @wavelength: metres
 * @divergence: radians, half angle of what leaves the telescope
 * @cn2: m^(-2/3), turbulence along the way; 0: none
 * @pointing: radians, rms of the jitter per axis
 * @zenith_db: satellite: loss of the atmosphere straight up
 * @min_elevation: radians; below it nothing is sent
 * @max_elevation: radians, greatest elevation of a pass
 * @period: seconds from one pass to the next
 * @background: stray photons per gate and detector, before its efficiency
 */
struct channel {
	enum medium medium;
	double length;
	double db_per_km;
	double fixed_db;
	double aperture_tx;
	double aperture_rx;
	double wavelength;
	double divergence;
	double cn2;
	double pointing;
	double zenith_db;
	double min_elevation;
	double max_elevation;
	double period;
	double background;
};

/**
 * struct finite - how sure a key is
 * @block: sifted bits of the key basis per block
 * @eps_sec: secrecy; 0: asymptotic, where the user asks for it
 * @eps_cor: correctness
 * @max_qber: above it the link goes down, whatever the rate formula says
 */
struct finite {
	uint64_t block;
	double eps_sec;
	double eps_cor;
	double max_qber;
};

struct model {
	char name[32];
	enum protocol protocol;
	struct source source;
	struct channel channel;
	struct detector detector;
	struct finite finite;
};

/**
 * struct state - of the channel at a moment
 * @transmittance: from Alice's exit to Bob's detectors, without their efficiency
 * @background: probability of a stray count per gate and detector
 */
struct state {
	double transmittance;
	double background;
};

/* A preset by its name, or -ENOENT. */
int model_preset(struct model *model, const char *name);
/* The presets by number, or NULL behind the last. */
const char *model_preset_name(unsigned int number);
/* The presets: a line each, then one of its figures, and where they come from. */
void model_presets(FILE *file);
/* Where those of the preset of that name come from; without one, the papers alone. */
void model_sources(FILE *file, const char *name);
/* One figure by its name, such as "length = 50 km"; units are the man page's.
 * -EINVAL, and *@why says in a few words what would do.
 */
int model_set(struct model *model, const char *key, const char *value,
	      const char **why);
/* The figures by number: name, and value in the unit that no unit means; -ENOENT
 * behind the last. */
int model_figure(const struct model *model, size_t number, const char **name,
		 double *value, const char **unit);
/* Does it hold together? -EINVAL, and *@why says what does not. */
int model_check(const struct model *model, const char **why);
/* The channel at @time, seconds since the link began. */
void model_state(const struct model *model, double time, struct state *state);

/* Satellite: seconds of a pass, the first of which begins at time 0; elevation in
 * radians, and range in metres, at a time (-pi/2 between passes). */
double pass_duration(const struct channel *channel);
double pass_elevation(const struct channel *channel, double time,
		      double *range);

const char *protocol_name(enum protocol protocol);
int protocol_by_name(const char *name, enum protocol *protocol);
bool protocol_pairs(enum protocol protocol); /* E91, BBM92 */
bool protocol_cow(enum protocol protocol); /* COW and its variant */
const char *medium_name(enum medium medium);

#endif
