/* SPDX-License-Identifier: GPL-2.0-only */
/* Verification by a universal hash, and privacy amplification by a Toeplitz matrix. */
#ifndef QKD_LINK_AMPLIFY_H
#define QKD_LINK_AMPLIFY_H

#include "bits.h"

#define VERIFY_SEED 16 /* bytes, drawn by Alice for each block, not secret */
#define VERIFY_TAG 16 /* bytes; bits(@verify_collision) of them are told */

/* Hash of @key under @seed, told over the channel: 8 * VERIFY_TAG bits leak. */
int verify_hash(const struct bits *key, const uint8_t seed[VERIFY_SEED],
		uint8_t tag[VERIFY_TAG]);
/* Probability that keys of @bits bits which differ have the same hash. */
double verify_collision(size_t bits);

/* Bits of a seed for that many bits in and out: in + out - 1. */
size_t amplify_seed_bits(size_t in, size_t out);
/* @out (initialized here) = Toeplitz matrix of @seed times @key. -EINVAL: @seed has not
 * amplify_seed_bits(), or they are too many; -ENOMEM; -ERANGE: rounding got in the way, as it does if @seed is not
 * random. Temporaries are wiped.
 */
int amplify(const struct bits *key, const struct bits *seed, size_t out_bits,
	    struct bits *out);

#endif
