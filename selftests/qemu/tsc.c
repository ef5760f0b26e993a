// SPDX-License-Identifier: GPL-2.0-only
/*
 * Prints this machine's TSC frequency in kHz. Emulated guests see the host's
 * TSC; on a busy host their own calibration can be wrong by an order of
 * magnitude, and with it their idea of time.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

/* The TSC and the time of the same instant, as closely as can be had. */
static void sample(uint64_t *tsc, int64_t *ns)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 1000; i++) {
		uint64_t before = __rdtsc(), after;
		struct timespec now;

		clock_gettime(CLOCK_MONOTONIC_RAW, &now);
		after = __rdtsc();
		if (after - before < best) {
			best = after - before;
			*tsc = before + best / 2;
			*ns = now.tv_sec * 1000000000LL + now.tv_nsec;
		}
	}
}

int main(void)
{
	uint64_t tsc[2];
	int64_t ns[2];

	sample(&tsc[0], &ns[0]);
	usleep(100000);
	sample(&tsc[1], &ns[1]);
	printf("%.0f\n", (tsc[1] - tsc[0]) * 1e6 / (ns[1] - ns[0]));
	return 0;
}
