/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The quantum channel. Alice's process sends trains of light to Bob's over a
 * connection of its own; whoever reads that connection has all the key: it is
 * an emulation. Only pulses of which something arrives are in a train, so that
 * what it costs goes with the clicks and not with the pulses.
 */
#ifndef QKD_LINK_PHOTON_H
#define QKD_LINK_PHOTON_H

#include "bits.h"
#include "buffer.h"
#include "model.h"
#include "rate.h"

struct emitter;
struct receiver;

/* ---- Eve, and faults; the scenario sets them, they act at Alice's exit ---- */

enum attack {
	ATTACK_NONE,
	ATTACK_INTERCEPT, /* measures and sends on a fraction of the pulses */
	ATTACK_SPLIT, /* photon-number splitting, on a fraction */
	ATTACK_BLIND, /* Bob's detectors click as she likes */
	ATTACK_LOSS, /* no attack: @fraction of the light is lost more */
	ATTACK_NOISE, /* no attack: stray light, @fraction per gate and detector */
};

struct eve {
	enum attack attack;
	double fraction;
};

/* ---- Alice ---- */

/* Choices come from OpenSSL's generator. -ENOMEM. */
int emitter_new(struct emitter **emitter, const struct model *model);
void emitter_free(struct emitter *emitter);
void emitter_attack(struct emitter *emitter, const struct eve *eve);
/* The next @slots pulses, at a channel in @state, into @train; Alice's choices are kept
 * until sift_answer(). -EBUSY: trains before are being sifted; -E2BIG: more than 2^26
 * clicks are to be expected of so many. */
int emitter_train(struct emitter *emitter, const struct state *state,
		  uint64_t slots, struct buffer *train);

/* ---- Bob ---- */

int receiver_new(struct receiver **receiver, const struct model *model);
void receiver_free(struct receiver *receiver);
/* A train through Bob's optics and detectors; clicks are kept until sift_finish().
 * -EBUSY: as above. */
int receiver_train(struct receiver *receiver, struct buffer *train);

/*
 * Sifting, of as many trains as there are, when the last was sent: one message each
 * way per train, in their order. Nobody outside knows a basis while there is light, so
 * that Eve cannot fit what she does to what was a sample before.
 */

/**
 * struct sifted - what one end has of a block so far
 * @key: sifted bits of the key basis, secret
 * @counts: the same at both ends
 */
struct sifted {
	struct bits key;
	struct counts counts;
};

/* Trains that are not sifted yet. */
size_t emitter_trains(const struct emitter *emitter);
size_t receiver_trains(const struct receiver *receiver);
/* In all of them, in any basis. */
size_t receiver_clicks(const struct receiver *receiver);
/* Bob: when he saw something, and in which basis; the bits of the check basis. */
int sift_tell(struct receiver *receiver, struct buffer *told);
/* Alice: which of those count, their intensities, which of the check basis were wrong. */
int sift_answer(struct emitter *emitter, struct buffer *told,
		struct buffer *answer, struct sifted *sifted);
/* Bob: what Alice says. -EBADMSG: it does not fit what he told. */
int sift_finish(struct receiver *receiver, struct buffer *answer,
		struct sifted *sifted);
/* Trains are over or given up: their choices and clicks are wiped. */
void emitter_drop(struct emitter *emitter);
void receiver_drop(struct receiver *receiver);

#endif
