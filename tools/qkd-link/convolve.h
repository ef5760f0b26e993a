/* SPDX-License-Identifier: GPL-2.0-only */
/* Convolutions of strings of bits, mod 2, by Fourier transforms. */
#ifndef QKD_LINK_CONVOLVE_H
#define QKD_LINK_CONVOLVE_H

#include <stddef.h>
#include <stdint.h>

struct convolve;

/* The least length of strings, in bits, that is no less than @bits and that there are good
 * transforms for: a multiple of 64.
 */
size_t convolve_length(size_t bits);
/* A sum of convolutions of strings of @length bits, as convolve_length() has it. -EINVAL:
 * more than 2^31; -ENOMEM.
 */
int convolve_new(struct convolve **convolve, size_t length);
/* Wiped, then freed. NULL is fine, too. */
void convolve_free(struct convolve *convolve);
/* One more. @a may be any string; @b has no pattern, or the sum may be refused. */
void convolve_add(struct convolve *convolve, const uint64_t *a,
		  const uint64_t *b);
/* Once, at the end. Bit i of @sum: the sum over j of @a[j] & @b[i - j], mod 2, if @a has no
 * ones behind place i. -ERANGE: it may be wrong, by rounding.
 */
int convolve_sum(struct convolve *convolve, uint64_t *sum);

#endif
