// SPDX-License-Identifier: GPL-2.0-only
/*
 * Alice keeps more of a block than is secret, as a bug in privacy amplification or in
 * the accounting of what was told would make her do. Bob counts for himself: no key
 * comes of it at either end. Without that, the same two ends make key. Nor does any of a
 * block in which reconciliation left a bit wrong.
 */
#include "link_pair.h"

#include "qkd-link/feed.h"

#define BLOCK "100000"
#define BLOCKS 2

/* Bits that this end keeps too much. */
static int too_many;

void __real_rate_secret(const struct model *model, const struct counts *counts,
			uint64_t leaked, struct secret *secret);
void __wrap_rate_secret(const struct model *model, const struct counts *counts,
			uint64_t leaked, struct secret *secret);

void __wrap_rate_secret(const struct model *model, const struct counts *counts,
			uint64_t leaked, struct secret *secret)
{
	__real_rate_secret(model, counts, leaked, secret);
	if (secret->bits)
		secret->bits += too_many;
}

/* Bob's key has a bit that is not Alice's. */
static bool wrong_bit;
/* Times that an end came to where a key goes out. */
static int fed;

int __real_recon_bob(enum recon recon, struct talk *talk, struct bits *key,
		     double qber, struct recon_result *result);
int __wrap_recon_bob(enum recon recon, struct talk *talk, struct bits *key,
		     double qber, struct recon_result *result);
int __real_feed_key(struct feed *feed, struct talk *talk, const uint8_t *key,
		    size_t size, uint64_t *into, const char **why);
int __wrap_feed_key(struct feed *feed, struct talk *talk, const uint8_t *key,
		    size_t size, uint64_t *into, const char **why);

int __wrap_recon_bob(enum recon recon, struct talk *talk, struct bits *key,
		     double qber, struct recon_result *result)
{
	int err = __real_recon_bob(recon, talk, key, qber, result);

	if (!err && wrong_bit)
		bits_flip(key, key->count / 2);
	return err;
}

int __wrap_feed_key(struct feed *feed, struct talk *talk, const uint8_t *key,
		    size_t size, uint64_t *into, const char **why)
{
	__atomic_fetch_add(&fed, 1, __ATOMIC_RELAXED);
	return __real_feed_key(feed, talk, key, size, into, why);
}

/* Both ends end with that status. */
static bool ends_with(int bits, int status)
{
	pid_t pid[2];

	write_keys(BOOT_MOST);
	pid[0] = start_end(false, BLOCK, BLOCKS);
	too_many = bits;
	pid[1] = start_end(true, BLOCK, BLOCKS);
	too_many = 0;
	return both_end(pid, status);
}

static bool alike(void)
{
	return ends_with(0, 0);
}

static bool eight_too_many(void)
{
	return ends_with(8, 2);
}

static bool all_kept(void)
{
	return ends_with(80000, 2);
}

static bool all_dropped(const struct stats *stats, const char *why)
{
	const struct reason_stat *reason = &stats->reason[0];

	printf("# %s: %llu blocks, %llu dropped, %llu bits of key: %s\n",
	       stats->alice ? "Alice" : "Bob",
	       (unsigned long long)stats->blocks,
	       (unsigned long long)stats->dropped,
	       (unsigned long long)stats->key_bits,
	       reason->why ? reason->why : "-");
	return stats->blocks == BLOCKS && stats->dropped == BLOCKS &&
	       !stats->key_bits && reason->blocks == BLOCKS &&
	       !strcmp(reason->why, why);
}

/* What verification says, at both ends, of all blocks; no key gets as far as to be fed. */
static bool differs(enum recon recon)
{
	static const char why[] = "the keys differ after reconciliation";
	static struct pair_end ends[2];
	bool good;

	fed = 0;
	wrong_bit = true;
	good = run_pair(ends, recon, BLOCK, BLOCKS, "bb84-fibre-50km",
			fast_bb84);
	wrong_bit = false;
	good &= all_dropped(&ends[0].stats, why);
	good &= all_dropped(&ends[1].stats, why);
	return good && !fed;
}

static bool cascade_differs(void)
{
	return differs(RECON_CASCADE);
}

static bool ldpc_differs(void)
{
	return differs(RECON_LDPC);
}

static const struct pair_case cases[] = {
	{ "two ends that count alike make key", alike },
	{ "eight bits too many at one end: no key at either", eight_too_many },
	{ "no privacy amplification at one end: the same", all_kept },
	{ "a bit is wrong after Cascade: both drop the block, and say why",
	  cascade_differs },
	{ "a bit is wrong after LDPC: the same", ldpc_differs },
};

int main(void)
{
	return run_cases(cases, sizeof(cases) / sizeof(cases[0]));
}
