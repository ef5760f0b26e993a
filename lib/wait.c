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

struct patience patience_of(unsigned int timeout)
{
	return (struct patience){ .end = now_ms() + timeout, .step = 1 };
}

/* Returns 0, or -ETIMEDOUT when it is at its end. */
int wait_a_little(struct patience *patience)
{
	const struct timespec ts = { .tv_nsec = patience->step * 1000000L };

	if (now_ms() >= patience->end)
		return -ETIMEDOUT;
	nanosleep(&ts, NULL);
	if (patience->step < 50)
		patience->step *= 2;
	return 0;
}
