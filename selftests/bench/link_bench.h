/* SPDX-License-Identifier: GPL-2.0-only */
/* What benchmarks of qkd-link share: processor time, and a line per figure. */
#ifndef LINK_BENCH_H
#define LINK_BENCH_H

#include <stdio.h>
#include <time.h>

/**
 * struct published - a figure of others for the same work, with its source
 * @value: in the unit of the line
 */
struct published {
	double value;
	const char *where;
};

/* Modules of a real-time system, each by itself. */
#define TOSHIBA "arXiv 1807.04484"

/* Processor time of this process, in seconds. */
static inline double bench_seconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return time.tv_sec + 1e-9 * time.tv_nsec;
}

/* Ends the line that @value is the figure of. @published: or NULL */
static inline void bench_end(double value, const char *unit,
			     const struct published *published)
{
	printf("%.2f %s", value, unit);
	if (published)
		printf(", published %.2f (%s): %.2f times", published->value,
		       published->where, value / published->value);
	printf("\n");
	fflush(stdout);
}

#endif
