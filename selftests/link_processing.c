// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reconciliation of qkd-link: both ends as threads, over the link's own messages, which
 * are counted and changed on their way into talk_send(). The linker puts that wrapper
 * there, and one around free() that looks for pieces of the key.
 */
#include <malloc.h>

#include "qkd-link/amplify.h"
#include "link_ends.h"
#include "link_wrap.h"
#include "scaled.h"

/* What the harness makes of a test. */
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wclobbered"
#include "kselftest_harness.h"

/* It ends as soon as it is done, not before: what is slow is no error. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 100000

#define BLOCKS 10000 /* at full scale, in all */
#define BLOCK_BITS (1 << 17)

/* ---- what goes out of an end ---- */

enum change {
	CHANGE_NONE,
	CHANGE_SHORT,
	CHANGE_LONG,
	CHANGE_HUGE,
	CHANGE_EMPTY,
	CHANGE_ONES,
	CHANGE_NOISE,
	CHANGES,
};

/**
 * struct tap - on what an end sends
 * @sent: bytes of its messages
 * @messages: of them
 * @parities: that it has computed
 * @change: what is done to message @at
 */
struct tap {
	uint64_t sent;
	unsigned int messages;
	uint64_t parities;
	enum change change;
	unsigned int at;
};

static struct tap taps[2]; /* Alice's, Bob's */

static size_t changed_size(enum change change, size_t size)
{
	switch (change) {
	case CHANGE_SHORT:
		return size ? size - 1 : 1;
	case CHANGE_LONG:
		return size + 1;
	case CHANGE_HUGE:
		return size + 100000;
	case CHANGE_EMPTY:
		return size ? 0 : 1;
	default:
		return size;
	}
}

static int send_changed(struct talk *talk, enum talk_type type,
			const void *data, size_t size, enum change change)
{
	size_t changed = changed_size(change, size), i;
	uint8_t *copy = calloc(changed + 1, 1);
	int err;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, changed < size ? changed : size);
	for (i = 0; i < changed; i++)
		if (change == CHANGE_ONES)
			copy[i] = 0xff;
		else if (change == CHANGE_NOISE)
			copy[i] = draw();
	err = __real_talk_send(talk, type, copy, changed);
	free(copy);
	return err;
}

int __wrap_talk_send(struct talk *talk, enum talk_type type, const void *data,
		     size_t size)
{
	struct tap *tap = &taps[!self->alice];

	tap->sent += size;
	if (tap->messages++ == tap->at)
		return send_changed(talk, type, data, size, tap->change);
	return __real_talk_send(talk, type, data, size);
}

bool __real_bits_parity(const struct bits *bits, size_t from, size_t to);
bool __wrap_bits_parity(const struct bits *bits, size_t from, size_t to);

bool __wrap_bits_parity(const struct bits *bits, size_t from, size_t to)
{
	taps[!self->alice].parities++;
	return __real_bits_parity(bits, from, to);
}

/* ---- no piece of a key in memory that is freed ---- */

static const struct bits *watched;
static unsigned int left_behind;

void __real_free(void *memory);
void __wrap_free(void *memory);

void __wrap_free(void *memory)
{
	size_t words = memory && watched ? malloc_usable_size(memory) / 8 : 0;
	size_t i;

	/* One word in the middle of the first frame stands for all. */
	for (i = 0; i < words; i++)
		if (((uint64_t *)memory)[i] == watched->word[100]) {
			__atomic_fetch_add(&left_behind, 1, __ATOMIC_RELAXED);
			break;
		}
	__real_free(memory);
}

/* ---- keys, efficiency, leakage ---- */

static void run_tapped(struct end end[2])
{
	taps[0].sent = taps[1].sent = 0;
	taps[0].messages = taps[1].messages = 0;
	taps[0].parities = taps[1].parities = 0;
	run(end);
}

static bool same_result(const struct end end[2])
{
	const struct recon_result *a = &end[0].result, *b = &end[1].result;

	return a->leaked == b->leaked && a->errors == b->errors &&
	       a->messages == b->messages && a->failed == b->failed;
}

static bool same_key(const struct end end[2])
{
	return end[0].key.count == end[1].key.count &&
	       !bits_distance(&end[0].key, &end[1].key);
}

/* Under a seed that is drawn for the block, as Alice does. */
static bool same_hash(const struct end end[2])
{
	uint8_t seed[VERIFY_SEED], hash[2][VERIFY_TAG];
	size_t i;

	for (i = 0; i < sizeof(seed); i++)
		seed[i] = draw() >> 56;
	if (verify_hash(&end[0].key, seed, hash[0]) ||
	    verify_hash(&end[1].key, seed, hash[1]))
		abort();
	return !memcmp(hash[0], hash[1], sizeof(hash[0]));
}

/* A block passes verification if its keys are equal, and only then; with one more bit
 * changed, wherever it is, the other way round.
 */
static bool verified_if_equal(struct end end[2])
{
	bool good = same_hash(end) == same_key(end);
	size_t place;

	if (!end[1].key.count)
		return good;
	place = draw() % end[1].key.count;
	bits_flip(&end[1].key, place);
	good &= same_hash(end) == same_key(end);
	bits_flip(&end[1].key, place);
	return good;
}

static const double qbers[] = { 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.1 };

#define QBERS (sizeof(qbers) / sizeof(qbers[0]))

/**
 * struct sum - of the blocks of a point
 * @bits: before
 * @left: behind
 * @differ: blocks whose keys differ at the end, for verification to find
 */
struct sum {
	double bits;
	double left;
	double errors;
	double leaked;
	double messages;
	unsigned int failed;
	unsigned int differ;
};

/* Bits that Alice told. Of Cascade: the parities that she computed, and all that she sent
 * but the seed of a slice; the last byte of each message may have up to seven unused.
 */
static bool leaks_what_was_told(const struct end *alice)
{
	double sent = 8.0 * taps[0].sent, leaked = alice->result.leaked;

	if (alice->recon == RECON_CASCADE)
		return leaked == taps[0].parities && leaked <= sent - 256 &&
		       leaked >= sent - 256 - 7.0 * taps[0].messages;
	return alice->result.failed ? leaked <= sent : leaked == sent;
}

/* Shannon: the errors are one of about 2^(n h) patterns, and a key that was told less can
 * only be guessed. Of a frame that failed all is told, which is more.
 */
static bool within_shannon(const struct end *end, size_t errors)
{
	return end->result.leaked >=
	       BLOCK_BITS * entropy((double)errors / BLOCK_BITS);
}

static bool one_block(enum recon recon, double qber, struct sum *sum)
{
	struct end end[2] = {
		{ .recon = recon, .qber = qber },
		{ .recon = recon, .qber = qber },
	};
	size_t errors = make_keys(end, BLOCK_BITS, qber);
	bool good;

	run_tapped(end);
	good = !end[0].err && !end[1].err && same_result(end) &&
	       end[0].key.count == end[1].key.count &&
	       taps[0].messages + taps[1].messages == end[0].result.messages &&
	       leaks_what_was_told(&end[0]) && verified_if_equal(end);
	sum->bits += BLOCK_BITS;
	sum->left += end[0].key.count;
	sum->errors += errors;
	sum->leaked += end[0].result.leaked;
	sum->messages += end[0].result.messages;
	sum->failed += end[0].result.failed;
	if (good && !same_key(end))
		sum->differ++;
	else
		good = good && end[0].result.errors == errors &&
		       within_shannon(&end[0], errors);
	free_keys(end);
	return good;
}

static bool one_point(enum recon recon, double qber, unsigned int blocks)
{
	struct sum sum = { 0 };
	double least;
	bool good = true;
	unsigned int i;

	for (i = 0; good && i < blocks; i++)
		good = one_block(recon, qber, &sum);
	least = sum.bits * entropy(sum.errors / sum.bits);
	printf("# %-7s QBER %4.1f %%: %u blocks of %d bits, f %.3f, %.0f messages, %u frames failed (%.2f %% of the bits), %u blocks differ\n",
	       recon_name(recon), 100 * qber, i, BLOCK_BITS, sum.leaked / least,
	       sum.messages / i, sum.failed, 100 - 100 * sum.left / sum.bits,
	       sum.differ);
	fflush(stdout);
	return good && sum.differ <= 1 + blocks / 1000;
}

static bool all_points(enum recon recon)
{
	bool good = true;
	size_t i;

	for (i = 0; i < QBERS; i++)
		good &= one_point(recon, qbers[i], scaled(BLOCKS / 2 / QBERS));
	return good;
}

TEST(cascade)
{
	EXPECT_TRUE(all_points(RECON_CASCADE));
}

TEST(ldpc)
{
	EXPECT_TRUE(all_points(RECON_LDPC));
}

/* ---- keys of any length, expectations that are wrong ---- */

static bool odd_case(enum recon recon, size_t count, double qber, double expect)
{
	struct end end[2] = {
		{ .recon = recon, .qber = expect },
		{ .recon = recon, .qber = expect },
	};
	bool good;

	make_keys(end, count, qber);
	run_tapped(end);
	good = !end[0].err && !end[1].err && same_result(end) &&
	       same_key(end) && verified_if_equal(end);
	/* If every frame is told, so is every bit, and no more than that. */
	if (!end[0].key.count && end[0].result.leaked != count)
		good = false;
	if (!good)
		printf("# %s: %zu bits, QBER %g, expected %g: %d, %d, %zu and %zu bits left\n",
		       recon_name(recon), count, qber, expect, end[0].err,
		       end[1].err, end[0].key.count, end[1].key.count);
	free_keys(end);
	return good;
}

TEST(lengths)
{
	static const size_t count[] = { 0,    1,     2,	    3,	    63,	   64,
					65,   100,   1000,  4095,   4096,  4097,
					9999, 16385, 65537, 131073, 300001 };
	enum recon recon;
	size_t i;

	for (recon = RECON_CASCADE; recon <= RECON_LDPC; recon++)
		for (i = 0; i < sizeof(count) / sizeof(count[0]); i++)
			EXPECT_TRUE(odd_case(recon, count[i], 0.03, 0.03));
}

TEST(expectations)
{
	static const double qber[][2] = {
		{ 0, 0 },	{ 0, 0.03 },	{ 0.03, 0 },	 { 0.03, 0.01 },
		{ 0.06, 0.02 }, { 0.09, 0.03 }, { 0.003, 0.03 }, { 0.01, 0.1 },
		{ 0.03, 0.5 },	{ 0.03, 1 },	{ 0.03, NAN },	 { 0.03, -1 },
		{ 0.5, 0.03 },
	};
	enum recon recon;
	size_t i;

	for (recon = RECON_CASCADE; recon <= RECON_LDPC; recon++)
		for (i = 0; i < sizeof(qber) / sizeof(qber[0]); i++)
			EXPECT_TRUE(
				odd_case(recon, 70000, qber[i][0], qber[i][1]));
}

/* ---- messages of a peer that is broken ---- */

/* Message @at of end @who is changed. Both ends come back; a wrong length is refused. */
static bool broken(enum recon recon, int who, unsigned int at,
		   enum change change)
{
	struct end end[2] = {
		{ .recon = recon, .qber = 0.01 },
		{ .recon = recon, .qber = 0.01 },
	};
	int refused;

	make_keys(end, 70000, 0.02);
	taps[who].change = change;
	taps[who].at = at;
	run_tapped(end);
	taps[who].change = CHANGE_NONE;
	refused = end[!who].err;
	free_keys(end);
	if (taps[who].messages <= at || change == CHANGE_ONES ||
	    change == CHANGE_NOISE)
		return true;
	return refused == -EPROTO || refused == -EBADMSG;
}

TEST(malformed)
{
	enum recon recon;
	enum change change;
	unsigned int at;
	int who;

	for (recon = RECON_CASCADE; recon <= RECON_LDPC; recon++)
		for (who = 0; who < 2; who++)
			for (at = 0; at < 12; at++)
				for (change = CHANGE_SHORT; change < CHANGES;
				     change++)
					EXPECT_TRUE(
						broken(recon, who, at, change));
}

/* ---- memory ---- */

TEST(wiped)
{
	enum recon recon;

	for (recon = RECON_CASCADE; recon <= RECON_LDPC; recon++) {
		struct end end[2] = {
			{ .recon = recon, .qber = 0.02 },
			{ .recon = recon, .qber = 0.02 },
		};

		make_keys(end, 1 << 18, 0.02);
		/* A copy, since the key's own memory changes. */
		struct bits copy = { 0 };

		ASSERT_EQ(0, bits_append(&copy, &end[0].key));
		left_behind = 0;
		watched = &copy;
		run_tapped(end);
		free_keys(end);
		watched = NULL;
		EXPECT_EQ(0, left_behind);
		bits_free(&copy);
	}
}

TEST_HARNESS_MAIN
