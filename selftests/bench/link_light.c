// SPDX-License-Identifier: GPL-2.0-only
/*
 * Per second of processor time, on one core: sifted bits if it does the light of both
 * ends and their sifting, and clicks of each end's sifting alone. The best of some
 * turns counts: what disturbs a measurement only makes it slower.
 */
#include <math.h>
#include <stdlib.h>

#include "qkd-link/photon.h"

#include "link_bench.h"

#define TURNS 3
#define SIFTED 200000 /* bits a turn, by the formulas */

static const char *const presets[] = {
	"bb84-fibre-50km",  "b92-fibre-2km", "e91-fibre-20km",
	"bbm92-fibre-50km", "cow-fibre-2km", "cow-variant-fibre-10km",
};

/**
 * struct speed - of a turn, or the best of several
 * @bits: sifted bits per second of light and sifting
 * @alice: clicks per second of her sifting
 * @bob: of his
 */
struct speed {
	double bits;
	double alice;
	double bob;
};

static int sift(struct emitter *emitter, struct receiver *receiver,
		struct speed *speed)
{
	struct buffer told = { 0 }, answer = { 0 };
	struct sifted alice = { 0 }, bob = { 0 };
	size_t clicks = receiver_clicks(receiver);
	double begun = bench_seconds(), told_at, answered_at = 0;
	int err = sift_tell(receiver, &told);

	told_at = bench_seconds();
	if (!err) {
		err = sift_answer(emitter, &told, &answer, &alice);
		answered_at = bench_seconds();
	}
	err = err ?: sift_finish(receiver, &answer, &bob);
	speed->alice = clicks / (answered_at - told_at);
	speed->bob = clicks / (bench_seconds() - answered_at + told_at - begun);
	speed->bits = bob.key.count;
	bits_free(&alice.key);
	bits_free(&bob.key);
	buffer_free(&told);
	buffer_free(&answer);
	return err;
}

static int turn(const struct model *model, const struct state *state,
		struct speed *speed)
{
	struct buffer train = { 0 };
	struct emitter *emitter = NULL;
	struct receiver *receiver = NULL;
	struct expected expected;
	double begun;
	int err;

	rate_expected(model, state, &expected);
	err = emitter_new(&emitter, model) ?: receiver_new(&receiver, model);
	begun = bench_seconds();
	err = err ?:
		      emitter_train(emitter, state, SIFTED / expected.sifted, &train) ?:
		      receiver_train(receiver, &train) ?:
		      sift(emitter, receiver, speed);
	speed->bits /= bench_seconds() - begun;
	buffer_free(&train);
	emitter_free(emitter);
	receiver_free(receiver);
	return err;
}

static int measure(const char *preset)
{
	static const struct published published = { 60, TOSHIBA };
	struct speed best = { 0 }, speed = { 0 };
	struct model model;
	struct state state;
	unsigned int i;
	int err = model_preset(&model, preset);

	if (!err)
		model_state(&model, 0, &state);
	for (i = 0; !err && i < TURNS; i++) {
		err = turn(&model, &state, &speed);
		best.bits = fmax(best.bits, speed.bits);
		best.alice = fmax(best.alice, speed.alice);
		best.bob = fmax(best.bob, speed.bob);
	}
	if (err)
		return err;
	printf("light and sifting, %s: ", protocol_name(model.protocol));
	bench_end(best.bits / 1e6, "Mb/s", NULL);
	printf("sifting, %s: Bob %.2f Mcounts/s, Alice ",
	       protocol_name(model.protocol), best.bob / 1e6);
	bench_end(best.alice / 1e6, "Mcounts/s", &published);
	return 0;
}

int main(void)
{
	unsigned int i;

	for (i = 0; i < sizeof(presets) / sizeof(presets[0]); i++)
		if (measure(presets[i]))
			return EXIT_FAILURE;
	return EXIT_SUCCESS;
}
