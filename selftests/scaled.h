/* SPDX-License-Identifier: GPL-2.0-only */
/* How much of its full amount a selftest does. */
#ifndef SCALED_H
#define SCALED_H

#include <stdlib.h>

static inline double scale_percent(void)
{
	const char *scale = getenv("QKD_SCALE");

	return scale ? atof(scale) : 100;
}

/* How many of @n, which is the full amount; at least one. */
static inline size_t scaled(size_t n)
{
	n = n * scale_percent() / 100;
	return n ?: 1;
}

#endif
