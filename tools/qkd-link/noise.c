// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random numbers for what nature and Eve do, many millions a second. Nothing of
 * them becomes key. The generator is Blackman's and Vigna's xoshiro256++
 * (arXiv 1805.01407).
 */
#include <errno.h>
#include <math.h>

#include <openssl/rand.h>

#include "light.h"

int noise_seed(struct noise *noise)
{
	if (RAND_bytes((uint8_t *)noise->word, sizeof(noise->word)) != 1)
		return -EIO;
	return 0;
}

static uint64_t rotate(uint64_t word, unsigned int by)
{
	return word << by | word >> (64 - by);
}

uint64_t noise_word(struct noise *noise)
{
	uint64_t *s = noise->word;
	uint64_t word = rotate(s[0] + s[3], 23) + s[0], shifted = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= shifted;
	s[3] = rotate(s[3], 45);
	return word;
}

double noise_unit(struct noise *noise)
{
	return (double)(noise_word(noise) >> 11) * 0x1p-53;
}

bool noise_chance(struct noise *noise, double p)
{
	return noise_unit(noise) < p;
}

uint64_t noise_skip(struct noise *noise, double p)
{
	double skip;

	if (p <= 0)
		return UINT64_MAX;
	if (p >= 1)
		return 0;
	skip = log(1 - noise_unit(noise)) / log1p(-p);
	return skip < 0x1p63 ? skip : UINT64_MAX;
}

unsigned int noise_poisson(struct noise *noise, double mean)
{
	double left = noise_unit(noise), p = exp(-mean);
	unsigned int k;

	for (k = 0; k < LIGHT_PHOTONS && left >= p; k++) {
		left -= p;
		p *= mean / (k + 1);
	}
	return k;
}
