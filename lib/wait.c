// SPDX-License-Identifier: LGPL-2.1-or-later
/* Waiting for what the kernel does after it has answered. */
#include <time.h>

#include "internal.h"

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Looks ever less often, for so many ms; then the end is -ETIMEDOUT. */
int wait_for(struct qkd_ctx *ctx, unsigned int timeout, look_fn look, void *arg)
{
	const uint64_t end = now_ms() + timeout;
	unsigned int step = 1; /* ms */
	int err;

	while ((err = look(ctx, arg)) == LOOK_AGAIN) {
		const struct timespec ts = { .tv_nsec = step * 1000000L };

		if (now_ms() >= end)
			return -ETIMEDOUT;
		nanosleep(&ts, NULL);
		if (step < 50)
			step *= 2;
	}
	return err;
}
