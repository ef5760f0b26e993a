// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reconciliation on one core: megabits of sifted key per second of computing, of each
 * end by itself, and the efficiency f.
 */
#include "../link_ends.h"
#include "link_bench.h"

#define BITS ((size_t)1 << 20)
#define BEST_OF 5 /* the machine has other things to do, too */

static void one(enum recon recon, double qber)
{
	static const struct published published = { 55, TOSHIBA };
	double cpu[2] = { INFINITY, INFINITY }, leaked = 0, least = 0;
	unsigned int i, j, messages = 0, failed = 0;

	for (i = 0; i < BEST_OF; i++) {
		struct end end[2] = {
			{ .recon = recon, .qber = qber },
			{ .recon = recon, .qber = qber },
		};
		size_t errors = make_keys(end, BITS, qber);

		run(end);
		if (end[0].err || end[1].err) {
			fprintf(stderr, "%s at %g: %d, %d\n", recon_name(recon),
				qber, end[0].err, end[1].err);
			exit(1);
		}
		for (j = 0; j < 2; j++)
			cpu[j] = fmin(cpu[j], end[j].cpu);
		leaked += end[0].result.leaked;
		least += BITS * entropy((double)errors / BITS);
		messages += end[0].result.messages;
		failed += end[0].result.failed;
		free_keys(end);
	}
	printf("%-7s QBER %.0f %%: f %.3f, %.0f messages per %zu bits, %u frames failed, Alice %.1f Mb/s, Bob ",
	       recon_name(recon), 100 * qber, leaked / least,
	       (double)messages / BEST_OF, BITS, failed, BITS / cpu[0] / 1e6);
	bench_end(BITS / cpu[1] / 1e6, "Mb/s", &published);
}

int main(void)
{
	static const double qber[] = { 0.01, 0.03, 0.05, 0.08 };
	enum recon recon;
	size_t i;

	for (recon = RECON_CASCADE; recon <= RECON_LDPC; recon++)
		for (i = 0; i < sizeof(qber) / sizeof(qber[0]); i++)
			one(recon, qber[i]);
	return 0;
}
