/* SPDX-License-Identifier: GPL-2.0-only */
/* What Alice's and Bob's halves of the simulated light have in common; of these files alone. */
#ifndef QKD_LINK_LIGHT_H
#define QKD_LINK_LIGHT_H

#include <openssl/evp.h>

#include "photon.h"

/* ---- noise.c: random numbers that never become key: losses, strays, Eve's ---- */

struct noise {
	uint64_t word[4];
};

/* From OpenSSL's generator. -EIO. */
int noise_seed(struct noise *noise);
uint64_t noise_word(struct noise *noise);
/* 0 <= x < 1 */
double noise_unit(struct noise *noise);
bool noise_chance(struct noise *noise, double p);
/* Failures before the next success of probability @p; UINT64_MAX: it never comes. */
uint64_t noise_skip(struct noise *noise, double p);
/* By the mean, at most LIGHT_PHOTONS: for means about 1 and less. */
unsigned int noise_poisson(struct noise *noise, double mean);

/* ---- choice.c: secret choices, one of 128 bits a slot, in any order ---- */

#define CHOICES 512 /* that are drawn at once */

/**
 * struct choice - what was chosen in a slot, from AES-256 of its number under a key
 *	of that block
 * @what: 63 bits for a choice with probabilities, the highest first: basis, setting
 * @bits: 32 bits: [0] Alice's bit, or how pairs came out
 * @share: 32 bits for the intensity
 */
struct choice {
	uint64_t what;
	uint32_t bits;
	uint32_t share;
};

struct chooser {
	EVP_CIPHER_CTX *cipher;
};

/* Without a key yet. -ENOMEM. */
int chooser_new(struct chooser *chooser);
void chooser_free(struct chooser *chooser);
/* A fresh key from OpenSSL's generator. -EIO. */
int chooser_rekey(struct chooser *chooser);
/* The key is wiped: nothing can be drawn, not even what was. */
void chooser_forget(struct chooser *chooser);
/* At most CHOICES of them; the same slot gets the same again. -EIO. */
int chooser_draw(struct chooser *chooser, const uint64_t *slot, size_t count,
		 struct choice *choice);

/* A probability as a limit for choice.what. */
uint64_t choice_limit(double p);

/* ---- Light ---- */

#define LIGHT_PHOTONS 16 /* of a record; more are as good as these */
#define LIGHT_SLOTS \
	(UINT64_C(1) << 60) /* of a link; its tellings are 8 times that */
#define LIGHT_CLICKS \
	0x1p26 /* of a train, expected: more are a mistake or an attack */

/* Angles of polarization, in steps of 22.5 degrees; 8 of them are a half turn. */
#define LIGHT_ANGLES 8
#define LIGHT_CROSSED 4 /* 90 degrees */
#define LIGHT_CONTROL 8 /* Eve's bright light, which rules a blinded detector */
/* COW: where in a symbol, and with which slots beside it there is a fixed phase. */
#define LIGHT_LATE 1
#define LIGHT_BEFORE 2
#define LIGHT_AFTER 4

/**
 * struct law - of how many photons of a pulse will be detected
 * @upto: probability of 1 to k + 1 of them
 */
struct law {
	double upto[LIGHT_PHOTONS];
};

/**
 * struct laws - the same, of a channel and an Eve
 * @detect: of a photon at Alice's exit, by Bob
 * @background: stray light, per gate and detector
 * @honest: per kind of pulse, times the share that Eve leaves alone
 * @attacked: times the share that she takes
 * @highest: probability that something is detected, of the brightest kind
 */
struct laws {
	double detect;
	double background;
	struct law honest[INTENSITIES];
	struct law attacked[INTENSITIES];
	double highest;
};

/* Mean photon number of a kind of pulse. */
double light_mean(const struct model *model, unsigned int kind);
void eve_laws(const struct eve *eve, const struct model *model,
	      const struct state *state, struct laws *laws);
/* Photons of a pulse of that @kind that may hold some; 0: it holds none. */
unsigned int eve_photons(const struct laws *laws, unsigned int kind,
			 struct noise *noise, bool *attacked);
/* What a photon is after someone looked at it in a basis. */
unsigned int eve_measure(unsigned int state, unsigned int basis,
			 struct noise *noise);
/* Probability that a photon of @state is at the second detector of a @basis. */
double light_crossed(unsigned int state, unsigned int basis);

/* ---- Alice ---- */

/**
 * struct outcome - pairs: what Alice's detectors said in a slot of which Bob may
 *	have a photon
 */
struct outcome {
	uint64_t slot : 60;
	uint64_t click : 1;
	uint64_t bit : 1;
};

/**
 * struct sent - a train that is not sifted yet
 * @detect: of a photon, by Bob
 */
struct sent {
	uint64_t start;
	uint64_t slots;
	double detect;
};

struct emitter {
	struct model model;
	const struct protocol_light *light;
	struct eve eve;
	struct noise noise;
	struct chooser chooser;
	uint64_t key_limit;
	uint32_t share_limit[INTENSITIES - 1];
	uint64_t next;
	/* Of the trains that are not sifted yet: */
	struct sent *sent;
	size_t sents;
	size_t sent_room;
	size_t answered; /* of them */
	/* Of the one that is sent, or answered for: */
	uint64_t start;
	uint64_t slots;
	struct laws laws;
	/* Of all of them: */
	struct outcome *outcome;
	size_t outcomes;
	size_t outcome_room;
	size_t outcome_at;
	/* Where it is being written: */
	struct buffer *train;
	uint64_t last;
	uint64_t records;
};

/* Alice's intensity in a slot. */
unsigned int emitter_kind(const struct emitter *emitter,
			  const struct choice *choice);
/* Light of a slot; slots come in order. */
void emitter_record(struct emitter *emitter, uint64_t slot, unsigned int state,
		    unsigned int photons);

/* ---- Bob ---- */

struct arrival {
	uint64_t slot;
	uint8_t state;
	uint8_t photons;
};

/**
 * struct click - of Bob's, after he has chosen
 * @tell: what he says of it: 0 is a bit of key
 * @bit: what he does not say then
 */
struct click {
	uint64_t slot : 60;
	uint64_t tell : 3;
	uint64_t bit : 1;
};

/**
 * struct heard - a train that is not sifted yet
 * @clicks: of it; they follow those of the one before
 */
struct heard {
	uint64_t start;
	uint64_t slots;
	uint64_t inconclusive;
	size_t clicks;
};

/**
 * struct gate - the detectors; they are dead together
 * @live: first slot in which they are live
 * @again: afterpulses in that slot, a bit per detector
 */
struct gate {
	uint64_t live;
	uint8_t again;
};

struct receiver {
	struct model model;
	const struct protocol_light *light;
	struct noise noise;
	struct chooser chooser;
	uint64_t key_limit;
	uint64_t dead;
	uint64_t next;
	struct gate gate;
	/* Of the trains that are not sifted yet: */
	struct heard *heard;
	size_t heards;
	size_t heard_room;
	size_t finished; /* of them */
	size_t past; /* of their clicks */
	/* Of the one that is measured: */
	uint64_t start;
	uint64_t slots;
	double stray;
	uint64_t inconclusive;
	/* Of all of them: */
	struct click *click;
	size_t clicks;
	size_t click_room;
};

int receiver_click(struct receiver *receiver, uint64_t slot, unsigned int tell,
		   unsigned int bit);
/* After a click: all are dead; perhaps an afterpulse of that detector, a bit of @again. */
void receiver_dead(struct receiver *receiver, uint64_t slot, uint8_t again);

/* ---- Protocols ---- */

/**
 * struct protocol_light - how the light of a protocol is made, seen and sifted
 * @emit: light of some slots that may hold some; NULL: of each by itself, with the next one
 * @pulse: state of a pulse of so many photons at Alice's exit
 * @receive: NULL: by angles, with the following two
 * @setting: Bob's basis in a slot: an angle
 * @tell: what he says of a click there (negative: nothing); from the detector that
 *	clicked to the bit
 * @answer: what Alice says to it (0: does not count), and her bit
 * @symbols: COW: a slot is a symbol with several gates; bases share the pulses
 * @count: at both ends; 1: it is a bit of key, -EBADMSG: that cannot be told or answered
 */
struct protocol_light {
	bool symbols;
	int (*emit)(struct emitter *emitter, const uint64_t *slot,
		    size_t count);
	unsigned int (*pulse)(struct emitter *emitter,
			      const struct choice *choice, unsigned int photons,
			      bool attacked);
	int (*receive)(struct receiver *receiver, const struct arrival *arrival,
		       size_t count);
	unsigned int (*setting)(const struct receiver *receiver,
				const struct choice *choice);
	int (*tell)(struct receiver *receiver, unsigned int setting,
		    unsigned int *bit);
	unsigned int (*answer)(struct emitter *emitter, uint64_t slot,
			       unsigned int tell, const struct choice *choice,
			       unsigned int *bit);
	int (*count)(struct counts *counts, unsigned int tell,
		     unsigned int answer);
};

extern const struct protocol_light light_bb84, light_b92, light_e91,
	light_bbm92, light_cow, light_cow_variant;

const struct protocol_light *light_of(enum protocol protocol);

#endif
