/* SPDX-License-Identifier: GPL-2.0-only */
/* Examples that are damaged at random, for what parses them. */
#ifndef DAMAGE_H
#define DAMAGE_H

#include <stdlib.h>
#include <string.h>

#include "scaled.h"

/* One byte is another, or gone, or the rest is. @likely: bytes that mean something, of
 * which the last may be 0. Returns the new length.
 */
static inline size_t damage(char *body, size_t length, const char *likely,
			    size_t likelies, unsigned int *seed)
{
	size_t at = rand_r(seed) % length;

	switch (rand_r(seed) % 4) {
	case 0:
		body[at] = rand_r(seed);
		break;
	case 1:
		body[at] = likely[rand_r(seed) % likelies];
		break;
	case 2:
		return at ?: 1;
	default:
		memmove(body + at, body + at + 1, length - at - 1);
		return length - 1 ?: 1;
	}
	return length;
}

#endif
