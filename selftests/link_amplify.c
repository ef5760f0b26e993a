// SPDX-License-Identifier: GPL-2.0-only
/* Verification and privacy amplification, against what they are by definition. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <openssl/rand.h>

#include <qkd-link/amplify.h>

#include "scaled.h"

#pragma GCC diagnostic ignored "-Wsign-compare"
#include "kselftest_harness.h"

/* Of a test that takes seconds at full scale, on a slow machine. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 600

#define LARGE 100000007 /* bits, at full scale */

static int draw(struct bits *bits, size_t count)
{
	size_t bytes = (count + 7) / 8;
	uint8_t *data = malloc(bytes);
	int err = -EIO;

	if (data && RAND_bytes(data, bytes) == 1)
		err = bits_from_bytes(bits, data, count);
	free(data);
	return err;
}

/* Row @i of the matrix times the key, bit by bit. */
static bool naive(const struct bits *key, const struct bits *seed, size_t i)
{
	bool sum = false;
	size_t j;

	for (j = 0; j < key->count; j++)
		sum ^= bits_get(seed, i + key->count - 1 - j) &
		       bits_get(key, j);
	return sum;
}

/* How many bits are not those of the definition; -1: it did not work. */
static long compare(size_t in, size_t out_bits)
{
	struct bits key = { 0 }, seed = { 0 }, out = { 0 };
	long wrong = -1;
	size_t i;

	if (!draw(&key, in) && !draw(&seed, amplify_seed_bits(in, out_bits)) &&
	    !amplify(&key, &seed, out_bits, &out))
		for (i = 0, wrong = 0; i < out_bits; i++)
			wrong += bits_get(&out, i) != naive(&key, &seed, i);
	bits_free(&key);
	bits_free(&seed);
	bits_free(&out);
	return wrong;
}

TEST(by_hand)
{
	/* Rows 110 and 011 (seed 0110 from the lower left corner up and right) times 101. */
	static const uint8_t key_bytes[] = { 0x5 }, seed_bytes[] = { 0x6 };
	struct bits key, seed, out;

	ASSERT_EQ(0, bits_from_bytes(&key, key_bytes, 3));
	ASSERT_EQ(0, bits_from_bytes(&seed, seed_bytes, 4));
	ASSERT_EQ(0, amplify(&key, &seed, 2, &out));
	/* Row 0: seed 2, 1, 0 = 1, 1, 0. Row 1: seed 3, 2, 1 = 0, 1, 1. */
	EXPECT_EQ(1, bits_get(&out, 0));
	EXPECT_EQ(1, bits_get(&out, 1));
	bits_free(&key);
	bits_free(&seed);
	bits_free(&out);
}

TEST(as_naive_at_word_borders)
{
	static const size_t sizes[] = { 1,   2,	  63,  64,  65,	  127, 128,
					129, 511, 512, 513, 4095, 4097 };
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		for (j = 0; j <= i; j++)
			EXPECT_EQ(0, compare(sizes[i], sizes[j]));
}

TEST(as_naive_in_pieces)
{
	/* The key is many times as long as the result: several transforms. */
	EXPECT_EQ(0, compare(100003, 1));
	EXPECT_EQ(0, compare(100003, 1009));
	EXPECT_EQ(0, compare(65536, 64));
}

/* How many of some rows of the result are wrong; -1: it did not work. */
static long compare_some(const struct bits *key, const struct bits *seed,
			 size_t out_bits)
{
	struct bits out;
	size_t i, step = out_bits / 20 + 1;
	long wrong = 0;

	if (amplify(key, seed, out_bits, &out))
		return -1;
	for (i = 0; i < out_bits; i += step)
		wrong += bits_get(&out, i) != naive(key, seed, i);
	wrong += bits_get(&out, out_bits - 1) != naive(key, seed, out_bits - 1);
	bits_free(&out);
	return wrong;
}

/* Megabytes of addresses. */
static size_t in_use(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	if (!file || fscanf(file, "%lu", &pages) != 1)
		abort();
	fclose(file);
	return (pages * sysconf(_SC_PAGESIZE) >> 20) + 1;
}

static void fill(struct bits *bits, uint64_t pattern)
{
	size_t i;

	for (i = 0; i < bits->count; i++)
		bits_put(bits, i, pattern >> i % 64 & 1);
}

static const uint64_t patterns[] = { 0, ~UINT64_C(0), 0xaaaaaaaaaaaaaaaa,
				     0xffffffff, 1 };

/* Sums are large, and so is rounding, when the key has many ones; whatever it is. */
TEST(any_key_of_a_block)
{
	size_t in = 3000017, out_bits = 375001, i;
	struct bits key, seed;

	ASSERT_EQ(0, draw(&key, in));
	ASSERT_EQ(0, draw(&seed, amplify_seed_bits(in, out_bits)));
	EXPECT_EQ(0, compare_some(&key, &seed, out_bits));
	for (i = 0; i < ARRAY_SIZE(patterns); i++) {
		fill(&key, patterns[i]);
		EXPECT_EQ(0, compare_some(&key, &seed, out_bits));
	}
	bits_free(&key);
	bits_free(&seed);
}

/* 10^8 bits at full scale. Sums are largest where all of the key are ones. */
TEST(any_key_of_the_largest_block)
{
	size_t in = scaled(LARGE), out_bits = 3 * in / 8;
	struct bits key, seed;

	ASSERT_EQ(0, draw(&key, in));
	ASSERT_EQ(0, draw(&seed, amplify_seed_bits(in, out_bits)));
	EXPECT_EQ(0, compare_some(&key, &seed, out_bits));
	fill(&key, ~UINT64_C(0));
	EXPECT_EQ(0, compare_some(&key, &seed, out_bits));
	bits_free(&key);
	bits_free(&seed);
}

/* Whatever of it cannot be had, it is an error. */
TEST(no_memory)
{
	size_t in = 16000000, out_bits = 2000000, room, ended = 0;
	struct rlimit limit;
	struct bits key, seed, out;
	int err;

	ASSERT_EQ(0, draw(&key, in));
	ASSERT_EQ(0, draw(&seed, amplify_seed_bits(in, out_bits)));
	ASSERT_EQ(0, getrlimit(RLIMIT_AS, &limit));
	for (room = 0; room < 100; room++) {
		limit.rlim_cur = (in_use() + 4 * room) << 20;
		ASSERT_EQ(0, setrlimit(RLIMIT_AS, &limit));
		err = amplify(&key, &seed, out_bits, &out);
		limit.rlim_cur = limit.rlim_max;
		ASSERT_EQ(0, setrlimit(RLIMIT_AS, &limit));
		if (!err)
			break;
		EXPECT_EQ(-ENOMEM, err);
		ended++;
	}
	EXPECT_EQ(0, err);
	/* tens of MB in several pieces */
	EXPECT_LT(3, ended);
	bits_free(&out);
	bits_free(&key);
	bits_free(&seed);
}

/* Nobody draws such a seed. What rounding does to the sums may be refused, but not hidden. */
TEST(seeds_with_a_pattern)
{
	size_t in = 16000000, out_bits = 2000000, i;
	struct bits key, seed, out;

	ASSERT_EQ(0, draw(&key, in));
	ASSERT_EQ(0, draw(&seed, amplify_seed_bits(in, out_bits)));
	for (i = 0; i < ARRAY_SIZE(patterns); i++) {
		fill(&seed, patterns[i]);
		EXPECT_GE(0, compare_some(&key, &seed, out_bits));
	}
	/* Half of the ones of the key, 4 million, are more than a float is trusted with. */
	fill(&seed, 0);
	EXPECT_EQ(-ERANGE, amplify(&key, &seed, out_bits, &out));
	bits_free(&key);
	bits_free(&seed);
}

TEST(linear)
{
	struct bits a, b, seed, of_a, of_b, of_both;
	size_t i, wrong = 0;

	ASSERT_EQ(0, draw(&a, 20011));
	ASSERT_EQ(0, draw(&b, 20011));
	ASSERT_EQ(0, draw(&seed, amplify_seed_bits(20011, 3001)));
	ASSERT_EQ(0, amplify(&a, &seed, 3001, &of_a));
	ASSERT_EQ(0, amplify(&b, &seed, 3001, &of_b));
	for (i = 0; i < 20011; i++)
		bits_put(&a, i, bits_get(&a, i) ^ bits_get(&b, i));
	ASSERT_EQ(0, amplify(&a, &seed, 3001, &of_both));
	for (i = 0; i < 3001; i++)
		wrong += bits_get(&of_both, i) !=
			 (bits_get(&of_a, i) ^ bits_get(&of_b, i));
	EXPECT_EQ(0, wrong);
	bits_free(&a);
	bits_free(&b);
	bits_free(&seed);
	bits_free(&of_a);
	bits_free(&of_b);
	bits_free(&of_both);
}

TEST(wrong_sizes)
{
	struct bits key, seed, out;

	ASSERT_EQ(0, draw(&key, 100));
	ASSERT_EQ(0, draw(&seed, 149));
	EXPECT_EQ(-EINVAL, amplify(&key, &seed, 49, &out));
	EXPECT_EQ(-EINVAL, amplify(&key, &seed, 51, &out));
	EXPECT_EQ(-EINVAL, amplify(&key, &seed, 0, &out));
	EXPECT_EQ(-EINVAL, amplify(&key, &seed, 101, &out));
	bits_free(&key);
	bits_free(&seed);
}

TEST(verification)
{
	uint8_t seed[VERIFY_SEED], tag[VERIFY_TAG], other[VERIFY_TAG];
	struct bits key;
	size_t i;

	ASSERT_EQ(1, RAND_bytes(seed, sizeof(seed)));
	ASSERT_EQ(0, draw(&key, 1001));
	ASSERT_EQ(0, verify_hash(&key, seed, tag));
	ASSERT_EQ(0, verify_hash(&key, seed, other));
	EXPECT_EQ(0, memcmp(tag, other, sizeof(tag)));
	for (i = 0; i < key.count; i++) {
		bits_flip(&key, i);
		ASSERT_EQ(0, verify_hash(&key, seed, other));
		EXPECT_NE(0, memcmp(tag, other, sizeof(tag)));
		bits_flip(&key, i);
	}
	/* A zero more at the end is another key, too. */
	ASSERT_EQ(0, bits_push(&key, false));
	ASSERT_EQ(0, verify_hash(&key, seed, other));
	EXPECT_NE(0, memcmp(tag, other, sizeof(tag)));
	/* 8 * ceil(L / 16) / 2^106, for 10^8 bits and the 8 bytes of their number. */
	EXPECT_EQ(1, verify_collision(100000000) == 8.0 * 781251 / 0x1p106);
	bits_free(&key);
}

TEST_HARNESS_MAIN
