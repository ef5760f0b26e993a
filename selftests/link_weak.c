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
	int got[2] = { 0 }, end;
	pid_t pid[2];

	write_keys(BOOT_MOST);
	pid[0] = start_end(false, BLOCK, BLOCKS);
	too_many = bits;
	pid[1] = start_end(true, BLOCK, BLOCKS);
	too_many = 0;
	for (end = 0; end < 2; end++)
		waitpid(pid[end], &got[end], 0);
	printf("# %d bits too many: exit status %d, %d\n", bits,
	       WEXITSTATUS(got[0]), WEXITSTATUS(got[1]));
	return WIFEXITED(got[0]) && WEXITSTATUS(got[0]) == status &&
	       WIFEXITED(got[1]) && WEXITSTATUS(got[1]) == status;
}

int main(void)
{
	static const struct {
		int bits;
		int status;
		const char *what;
	} cases[] = {
		{ 0, 0, "two ends that count alike make key" },
		{ 8, 2, "eight bits too many at one end: no key at either" },
		{ 80000, 2, "no privacy amplification at one end: the same" },
	};
	size_t i, n = sizeof(cases) / sizeof(cases[0]), failed = 0;

	if (!mkdtemp(folder))
		err(1, "mkdtemp");
	printf("TAP version 13\n1..%zu\n", n);
	for (i = 0; i < n; i++) {
		bool good = ends_with(cases[i].bits, cases[i].status);

		printf("%sok %zu - %s\n", good ? "" : "not ", i + 1,
		       cases[i].what);
		fflush(stdout);
		failed += !good;
	}
	rmdir(folder);
	return failed != 0;
}
