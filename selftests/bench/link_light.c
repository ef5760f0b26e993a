// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sifted bits per second of processor time, on one core that does the light of both
 * ends and their sifting. A line per protocol: name, number, unit. The best of some
 * turns counts: what disturbs a measurement only makes it slower.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "qkd-link/photon.h"

#define TURNS 3
#define SIFTED 200000 /* bits a turn, by the formulas */

static const char *const presets[] = {
	"bb84-fibre-50km",  "b92-fibre-2km", "e91-fibre-20km",
	"bbm92-fibre-50km", "cow-fibre-2km", "cow-variant-fibre-10km",
};

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec + now.tv_nsec * 1e-9;
}

static double turn(const struct model *model, const struct state *state)
{
	struct buffer train = { 0 }, told = { 0 }, answer = { 0 };
	struct sifted alice = { 0 }, bob = { 0 };
	struct emitter *emitter = NULL;
	struct receiver *receiver = NULL;
	struct expected expected;
	double begun, rate = 0;
	int err;

	rate_expected(model, state, &expected);
	err = emitter_new(&emitter, model) ?: receiver_new(&receiver, model);
	begun = seconds();
	err = err ?:
		      emitter_train(emitter, state, SIFTED / expected.sifted, &train) ?:
		      receiver_train(receiver, &train)		   ?:
		      sift_tell(receiver, &told)		   ?:
		      sift_answer(emitter, &told, &answer, &alice) ?:
		      sift_finish(receiver, &answer, &bob);
	if (!err)
		rate = bob.key.count / (seconds() - begun);
	bits_free(&alice.key);
	bits_free(&bob.key);
	buffer_free(&train);
	buffer_free(&told);
	buffer_free(&answer);
	emitter_free(emitter);
	receiver_free(receiver);
	return rate;
}

int main(void)
{
	struct model model;
	struct state state;
	double best, rate;
	unsigned int i, j;

	for (i = 0; i < sizeof(presets) / sizeof(presets[0]); i++) {
		if (model_preset(&model, presets[i]))
			return EXIT_FAILURE;
		model_state(&model, 0, &state);
		best = 0;
		for (j = 0; j < TURNS; j++) {
			rate = turn(&model, &state);
			best = rate > best ? rate : best;
		}
		if (!(best > 0))
			return EXIT_FAILURE;
		printf("light-%s %.2f Mb/s\n", protocol_name(model.protocol),
		       best / 1e6);
	}
	return 0;
}
