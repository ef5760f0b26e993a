// SPDX-License-Identifier: GPL-2.0-only
/* What was done, and what was refused and why: a line in the log on SIGUSR1. */
#include <stdio.h>

#include "kme.h"

static uint64_t stats[STATS];

static const char *const names[STATS] = {
	[STAT_CONNECTIONS] = "connections",
	[STAT_REQUESTS] = "requests",
	[STAT_KEYS_ALLOCATED] = "keys allocated",
	[STAT_KEYS_CLAIMED] = "claimed",
	[STAT_KEYS_BURNT] = "burnt",
	[STAT_KEYS_EXPIRED] = "expired",
	[STAT_REFUSED_LIMIT] = "refused: connection limit",
	[STAT_REFUSED_TLS] = "TLS",
	[STAT_REFUSED_NO_SAE] = "not an SAE",
	[STAT_REFUSED_TIMEOUT] = "timeout",
	[STAT_REFUSED_REQUEST] = "bad request",
	[STAT_REFUSED_FIRST_KEY_ERROR + KEY_FORBIDDEN] = "not allowed",
	[STAT_REFUSED_FIRST_KEY_ERROR + KEY_NOT_FOUND] = "no such key",
	[STAT_REFUSED_FIRST_KEY_ERROR + KEY_NO_GROUP] = "no such group",
	[STAT_REFUSED_FIRST_KEY_ERROR + KEY_BAD_SIZE] = "size",
	[STAT_REFUSED_FIRST_KEY_ERROR + KEY_BAD_NUMBER] = "number",
	[STAT_REFUSED_FIRST_KEY_ERROR + KEY_QUOTA] = "quota",
	[STAT_REFUSED_FIRST_KEY_ERROR + KEY_EMPTY] = "no key left",
	[STAT_REFUSED_FIRST_KEY_ERROR + KEY_DOWN] = "link down",
	[STAT_REFUSED_FIRST_KEY_ERROR + KEY_BUSY] = "busy",
};

/**
 * stat_add - count
 * @counter: what
 * @n: how many
 */
void stat_add(enum counter counter, unsigned int n)
{
	stats[counter] += n;
}

/**
 * stats_log - say all counts
 */
void stats_log(void)
{
	char line[768];
	size_t i, at = 0;

	for (i = 0; i < STATS; i++)
		if (names[i] && at < sizeof(line))
			at += snprintf(line + at, sizeof(line) - at,
				       "%s%s %llu", at ? ", " : "", names[i],
				       (unsigned long long)stats[i]);
	log_info("%s", line);
}
