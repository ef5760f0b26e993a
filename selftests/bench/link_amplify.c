// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mb/s of verification and privacy amplification, in processor time of one core:
 * link_amplify [MB...] for keys of so many million bits; else 1, 16 and 128.
 */
#include <stdlib.h>

#include <openssl/rand.h>

#include <qkd-link/amplify.h>

#include "link_bench.h"

/* Of the final key from one of the sifted key; the figures are for @count bits. */
static const struct ratio {
	double ratio;
	size_t count;
	struct published published;
} ratios[] = {
	{ .125, 128000000, { 71.16, "Sci. Rep. 9, 15733" } },
	{ .25, 128000000, { 54.08, "Sci. Rep. 9, 15733" } },
	{ .375, 128000000, { 39.15, "Sci. Rep. 9, 15733" } },
};

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
	double begin = bench_seconds();

	if (verify_hash(key, seed, tag))
		return -1;
	printf("verification %zu Mb: ", key->count / 1000000);
	bench_end(key->count / (bench_seconds() - begin) / 1e6, "Mb/s", NULL);
	return 0;
}

static int amplification(const struct bits *key, const struct ratio *ratio)
{
	size_t out_bits = ratio->ratio * key->count;
	struct bits seed = { 0 }, out;
	double begin;
	int err = draw(&seed, amplify_seed_bits(key->count, out_bits));

	begin = bench_seconds();
	err = err ?: amplify(key, &seed, out_bits, &out);
	if (!err) {
		printf("amplification %zu Mb, ratio %.3f: ",
		       key->count / 1000000, ratio->ratio);
		bench_end(key->count / (bench_seconds() - begin) / 1e6, "Mb/s",
			  key->count == ratio->count ? &ratio->published :
						       NULL);
		bits_free(&out);
	}
	bits_free(&seed);
	return err;
}

static int measure(size_t count)
{
	struct bits key = { 0 };
	size_t i;
	int err = draw(&key, count) ?: verification(&key);

	for (i = 0; !err && i < sizeof(ratios) / sizeof(*ratios); i++)
		err = amplification(&key, &ratios[i]);
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
