// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mb/s of verification and privacy amplification, in processor time of one core:
 * link_amplify [MB...] for keys of so many million bits; else 1, 16 and 128.
 * Published for 128 Mb: 71.16, 54.08 and 39.15 Mb/s at ratios .125, .25 and .375
 * (Sci. Rep. 9, 15733).
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/rand.h>

#include <qkd-link/amplify.h>

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return time.tv_sec + 1e-9 * time.tv_nsec;
}

static int draw(struct bits *bits, size_t count)
{
	size_t bytes = (count + 7) / 8;
	uint8_t *data = malloc(bytes);
	int err = -1;

	if (data && RAND_bytes(data, bytes) == 1)
		err = bits_from_bytes(bits, data, count);
	free(data);
	return err;
}

static int verification(const struct bits *key)
{
	uint8_t seed[VERIFY_SEED] = { 1 }, tag[VERIFY_TAG];
	double begin = now();

	if (verify_hash(key, seed, tag))
		return -1;
	printf("verification %zu Mb: %.0f Mb/s\n", key->count / 1000000,
	       key->count / (now() - begin) / 1e6);
	return 0;
}

static int amplification(const struct bits *key, double ratio)
{
	size_t out_bits = ratio * key->count;
	struct bits seed = { 0 }, out;
	double begin;
	int err = draw(&seed, amplify_seed_bits(key->count, out_bits));

	begin = now();
	err = err ?: amplify(key, &seed, out_bits, &out);
	if (!err) {
		printf("amplification %zu Mb, ratio %.3f: %.2f Mb/s\n",
		       key->count / 1000000, ratio,
		       key->count / (now() - begin) / 1e6);
		fflush(stdout);
		bits_free(&out);
	}
	bits_free(&seed);
	return err;
}

static int measure(size_t count)
{
	static const double ratios[] = { .125, .25, .375 };
	struct bits key = { 0 };
	size_t i;
	int err = draw(&key, count) ?: verification(&key);

	for (i = 0; !err && i < sizeof(ratios) / sizeof(*ratios); i++)
		err = amplification(&key, ratios[i]);
	bits_free(&key);
	return err;
}

int main(int argc, char **argv)
{
	static const unsigned int sizes[] = { 1, 16, 128 };
	int i;

	for (i = 1; i < argc; i++)
		if (measure(strtoul(argv[i], NULL, 10) * 1000000))
			return 1;
	for (i = 0; argc == 1 && i < 3; i++)
		if (measure(sizes[i] * UINT64_C(1000000)))
			return 1;
	return 0;
}
