// SPDX-License-Identifier: GPL-2.0-only
/*
 * Alice keeps more of a block than is secret, as a bug in privacy amplification or in
 * the accounting of what was told would make her do. Bob counts for himself: no key
 * comes of it at either end. Without that, the same two ends make key.
 */
#include "link_pair.h"

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

static const struct pair_case cases[] = {
	{ "two ends that count alike make key", alike },
	{ "eight bits too many at one end: no key at either", eight_too_many },
	{ "no privacy amplification at one end: the same", all_kept },
};

int main(void)
{
	return run_cases(cases, sizeof(cases) / sizeof(cases[0]));
}
