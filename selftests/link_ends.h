/* SPDX-License-Identifier: GPL-2.0-only */
/* Two ends of qkd-link as threads that reconcile their keys over a socket. */
#ifndef LINK_ENDS_H
#define LINK_ENDS_H

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "qkd-link/recon.h"

#define BOOT (1 << 18) /* bytes of key for the tags: enough for any run */

static uint64_t draw_state;

/* xorshift64*: what is shown does not depend on how good it is. */
static inline uint64_t draw(void)
{
	uint64_t *x = &draw_state;

	if (!*x && getrandom(x, sizeof(*x), 0) != sizeof(*x))
		abort();
	*x ^= *x >> 12;
	*x ^= *x << 25;
	*x ^= *x >> 27;
	return *x * UINT64_C(0x2545f4914f6cdd1d);
}

static inline double entropy(double p)
{
	return p > 0 && p < 1 ? -p * log2(p) - (1 - p) * log2(1 - p) : 0;
}

/**
 * struct end - one of the two
 * @cpu: seconds that its thread has computed
 */
struct end {
	bool alice;
	enum recon recon;
	struct talk *talk;
	struct bits key;
	double qber;
	struct recon_result result;
	int err;
	double cpu;
};

/* Whose thread this is. */
static __thread struct end *self;

static void *run_end(void *data)
{
	struct end *end = data;
	struct timespec cpu;

	self = end;
	end->err = (end->alice ? recon_alice : recon_bob)(
		end->recon, end->talk, &end->key, end->qber, &end->result);
	/* So that the other end does not wait for what will not come. */
	talk_attach(end->talk, -1);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
	end->cpu = cpu.tv_sec + 1e-9 * cpu.tv_nsec;
	return NULL;
}

/* The ends @end[0], Alice, and @end[1] with their keys talk to each other. */
static inline void run(struct end end[2])
{
	uint8_t *boot = calloc(1, BOOT);
	pthread_t thread[2];
	int fd[2], i;

	if (!boot || socketpair(AF_UNIX, SOCK_STREAM, 0, fd))
		abort();
	for (i = 0; i < 2; i++) {
		end[i].alice = !i;
		if (talk_new(&end[i].talk, !i, boot, BOOT))
			abort();
		talk_attach(end[i].talk, fd[i]);
		if (pthread_create(&thread[i], NULL, run_end, &end[i]))
			abort();
	}
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	for (i = 0; i < 2; i++)
		talk_free(end[i].talk);
	free(boot);
}

/* Keys that differ in each place with probability @qber; how many differ. */
static inline size_t make_keys(struct end end[2], size_t count, double qber)
{
	double place = -1;
	size_t i, errors = 0;

	if (bits_init(&end[0].key, count) || bits_init(&end[1].key, count))
		abort();
	for (i = 0; i < count; i += 64) {
		uint64_t word = draw();

		if (count - i < 64)
			word &= (UINT64_C(1) << (count - i)) - 1;
		end[0].key.word[i / 64] = word;
		end[1].key.word[i / 64] = word;
	}
	while (qber > 0) {
		/* From one error to the next. */
		place += 1 + floor(log((draw() >> 11) * 0x1p-53 + 0x1p-54) /
				   log1p(-qber));
		if (place >= count)
			break;
		bits_flip(&end[1].key, place);
		errors++;
	}
	return errors;
}

static inline void free_keys(struct end end[2])
{
	bits_free(&end[0].key);
	bits_free(&end[1].key);
}

#endif
