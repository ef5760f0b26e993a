// SPDX-License-Identifier: GPL-2.0-only
/* Scenarios of an emulated optical link, for tools/qkd-link/scenario.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../tools/qkd-link/scenario.h"

/* At any time what holds is something, of a share of the light and messages. */
static void check(const struct scenario *scenario)
{
	static const double times[] = { 0, 0.5, 10, 3600, 1e9 };
	double fraction;
	enum tamper tamper;
	struct eve eve;
	size_t i;

	for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		scenario_at(scenario, times[i], &eve, &tamper, &fraction);
		if (eve.attack > ATTACK_NOISE || tamper > TAMPER_TRUNCATE)
			abort();
		if (!(eve.fraction >= 0 && eve.fraction <= 1))
			abort();
		if (!(fraction >= 0 && fraction <= 1))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("scenario", 0);
	struct scenario *scenario = NULL;
	char path[32], why[128] = "";

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!scenario_load(&scenario, path, why))
		check(scenario);
	else if (scenario || !*why || !memchr(why, '\0', sizeof(why)))
		abort();
	scenario_free(scenario);
	close(fd);
	return 0;
}
