// SPDX-License-Identifier: GPL-2.0-only
/* What a running link shows, kept for those who show it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "stats.h"

static const char *const stages[STAGES] = {
	[STAGE_CONNECT] = "connect", [STAGE_WAIT] = "wait",
	[STAGE_LIGHT] = "light",     [STAGE_RECON] = "reconcile",
	[STAGE_VERIFY] = "verify",   [STAGE_AMPLIFY] = "amplify",
	[STAGE_FEED] = "feed",	     [STAGE_STOPPED] = "stopped",
};

const char *stage_name(enum stage stage)
{
	return stage < STAGES ? stages[stage] : "?";
}

const char *attack_name(enum attack attack)
{
	switch (attack) {
	case ATTACK_NONE:
		return "none";
	case ATTACK_INTERCEPT:
		return "intercept-resend";
	case ATTACK_SPLIT:
		return "photon-number splitting";
	case ATTACK_BLIND:
		return "blinding";
	case ATTACK_LOSS:
		return "loss";
	case ATTACK_NOISE:
		return "noise";
	}
	return "?";
}

const char *tamper_name(enum tamper tamper)
{
	switch (tamper) {
	case TAMPER_NONE:
		return "none";
	case TAMPER_ALTER:
		return "alter";
	case TAMPER_DROP:
		return "drop";
	case TAMPER_REPLAY:
		return "replay";
	case TAMPER_REORDER:
		return "reorder";
	case TAMPER_TRUNCATE:
		return "truncate";
	}
	return "?";
}

int stats_init(struct stats *stats, const struct model *model, bool alice,
	       const char *link_name, enum recon recon)
{
	double threshold = rate_threshold(model);
	int err;

	memset(stats, 0, sizeof(*stats));
	err = pthread_mutex_init(&stats->lock, NULL);
	if (err)
		return -err;
	stats->model = *model;
	stats->alice = alice;
	snprintf(stats->link_name, sizeof(stats->link_name), "%s", link_name);
	stats->recon = recon;
	stats->threshold = threshold < model->finite.max_qber ?
				   threshold :
				   model->finite.max_qber;
	return 0;
}

void stats_end(struct stats *stats)
{
	pthread_mutex_destroy(&stats->lock);
}

void stats_stage(struct stats *stats, enum stage stage, double progress)
{
	pthread_mutex_lock(&stats->lock);
	stats->stage = stage;
	stats->progress = progress;
	pthread_mutex_unlock(&stats->lock);
}

/* The entry of a reason, or the last one if there are too many. */
static void count_reason(struct stats *stats, const char *why)
{
	struct reason_stat *reason = stats->reason;
	struct reason_stat *others = reason + STATS_REASONS - 1;

	while (reason < others && reason->why && strcmp(reason->why, why))
		reason++;
	reason->why = reason == others ? "other reasons" : why;
	reason->blocks++;
}

void stats_block(struct stats *stats, const struct block_stat *block)
{
	pthread_mutex_lock(&stats->lock);
	stats->block[stats->blocks % STATS_HISTORY] = *block;
	stats->blocks++;
	stats->pulses += block->pulses;
	stats->sifted_bits += block->sifted;
	stats->leaked_bits += block->leaked;
	stats->failed_frames += block->failed;
	if (block->why) {
		stats->dropped++;
		count_reason(stats, block->why);
	} else {
		stats->key_bits += block->secret.bits;
	}
	stats->fed_bits += 8 * block->key;
	/* a block that was lost on its way has none */
	if (block->measured)
		stats->qber = block->qber;
	pthread_mutex_unlock(&stats->lock);
}

size_t stats_blocks(const struct stats *copy)
{
	return copy->blocks < STATS_HISTORY ? copy->blocks : STATS_HISTORY;
}

const struct block_stat *stats_block_at(const struct stats *copy, size_t i)
{
	uint64_t first = copy->blocks - stats_blocks(copy);

	return copy->block + (first + i) % STATS_HISTORY;
}

static double per_second(double bits, double since, double until)
{
	return until > since ? bits / (until - since) : 0;
}

/* Of the last blocks, and of the time since: none come while there is no light. */
static void count_rates(struct stats *copy)
{
	size_t count = stats_blocks(copy), i;
	size_t first = count > STATS_RECENT ? count - STATS_RECENT : 0;
	const struct block_stat *before =
		first ? stats_block_at(copy, first - 1) : NULL;
	double until = copy->clock, wall = copy->wall;
	double sifted = 0, secret = 0, fed = 0;

	for (i = first; i < count; i++) {
		const struct block_stat *block = stats_block_at(copy, i);

		sifted += block->sifted;
		secret += block->why ? 0 : block->secret.bits;
		fed += 8 * block->key;
		if (block->time > until)
			until = block->time;
		if (block->wall > wall)
			wall = block->wall;
	}
	copy->sifted_rate =
		per_second(sifted, before ? before->time : 0, until);
	copy->skr = per_second(secret, before ? before->time : 0, until);
	copy->fed_rate = per_second(fed, before ? before->wall : 0, wall);
}

void stats_copy(struct stats *stats, struct stats *copy)
{
	pthread_mutex_lock(&stats->lock);
	memcpy((char *)copy + sizeof(copy->lock),
	       (char *)stats + sizeof(stats->lock),
	       sizeof(*stats) - sizeof(stats->lock));
	pthread_mutex_unlock(&stats->lock);
	count_rates(copy);
}
