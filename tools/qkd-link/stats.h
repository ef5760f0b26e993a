/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a running link shows: --top, --report, Prometheus. No key in it.
 *
 * The pipeline writes: stats_init(), then stats_stage() and stats_block(), and
 * the other members under @lock, each as it changes. Who shows it takes a copy
 * by stats_copy(). Strings in it (@alarm, @why) are constants, or stay as long
 * as the struct does.
 */
#ifndef QKD_LINK_STATS_H
#define QKD_LINK_STATS_H

#include <pthread.h>

#include <qkd/qkd.h>

#include "model.h"
#include "photon.h"
#include "rate.h"
#include "recon.h"
#include "talk.h"

enum stage {
	STAGE_CONNECT, /* waits for the other end */
	STAGE_WAIT, /* pools are full, or the link has no generation */
	STAGE_LIGHT, /* pulses and sifting */
	STAGE_RECON,
	STAGE_VERIFY,
	STAGE_AMPLIFY,
	STAGE_FEED,
	STAGE_STOPPED, /* key of the tags is at its low mark */
	STAGES,
};

/**
 * struct block_stat - a block, when it is over
 * @number: of the block
 * @time: seconds of the link's own clock (pulses / rate) when it ended
 * @wall: and by the wall's, since the link began
 * @sifted, @leaked: bits
 * @failed: frames that LDPC could not correct: their bits are told, and no key
 * @measured: there is a QBER
 * @qber: of the key basis (0..1), or of the check basis if that was too high
 * @chsh, @visibility: of pairs, of COW; else 0
 * @f: leaked / (sifted * h(qber)); 0 if there was no error
 * @secret: what was kept
 * @key: bytes that went into streams
 * @why: it was dropped: in a few words; else NULL
 */
struct block_stat {
	uint64_t number;
	double time;
	double wall;
	uint64_t pulses;
	uint64_t sifted;
	uint64_t leaked;
	uint32_t failed;
	bool measured;
	double qber;
	double chsh;
	double visibility;
	double f;
	struct secret secret;
	uint64_t key;
	const char *why;
};

/* Blocks that are remembered for --top and --report. */
#define STATS_HISTORY 4096
/* Rates are those of so many blocks. */
#define STATS_RECENT 16
/* Reasons that are counted each by itself; the last one stands for all others. */
#define STATS_REASONS 16

/**
 * struct reason_stat - how often blocks were dropped for a reason
 * @why: as in struct block_stat
 * @blocks: dropped for it
 */
struct reason_stat {
	const char *why;
	uint64_t blocks;
};

/**
 * struct stats - of a link, under @lock
 * @model: does not change
 * @alice: this end is Alice's
 * @link_name: of the user link that is fed
 * @recon: Cascade or LDPC
 * @stage: what it does now
 * @progress: of that stage, 0..1
 * @clock: seconds of the link's own time
 * @wall: seconds that took
 * @state: of the channel now
 * @eve: what the scenario has switched on, on the light
 * @tamper: and on the messages
 * @tamper_fraction: of the messages
 * @threshold: of the QBER: above it there is no key, by the formulas or by
 *	finite.max_qber. Of stats_init()
 * @block: the newest is at (@blocks - 1) % STATS_HISTORY
 * @blocks: that have ended
 * @dropped: of those, without a key; @reason says why
 * @pulses, @sifted_bits, @leaked_bits, @failed_frames: in all blocks
 * @key_bits: secret bits in all
 * @fed_bits: of these, those that went into streams: not those that became key of the
 *	tags, nor those that were wiped
 * @sifted_rate: bits per second of the link's clock, over the last blocks and
 *	the time since. Of stats_copy()
 * @skr: secret ones, likewise
 * @fed_rate: bits that went into streams per second of the wall's clock, likewise
 * @qber: of the last block in which it was measured
 * @alarm: why no key comes, or NULL
 * @auth: key of the tags
 * @level: live bytes of the four streams, @capacity: what they can hold
 */
struct stats {
	pthread_mutex_t lock;
	struct model model;
	bool alice;
	char link_name[QKD_NAME_LEN + 1];
	enum recon recon;
	enum stage stage;
	double progress;
	double clock;
	double wall;
	struct state state;
	struct eve eve;
	enum tamper tamper;
	double tamper_fraction;
	double threshold;
	struct block_stat block[STATS_HISTORY];
	uint64_t blocks;
	uint64_t dropped;
	struct reason_stat reason[STATS_REASONS];
	uint64_t pulses;
	uint64_t sifted_bits;
	uint64_t leaked_bits;
	uint64_t failed_frames;
	uint64_t key_bits;
	uint64_t fed_bits;
	double sifted_rate;
	double skr;
	double fed_rate;
	double qber;
	const char *alarm;
	struct talk_account auth;
	uint64_t level[4];
	uint64_t capacity[4];
};

/* All zero but what is given here. -ENOMEM and others: of the lock. */
int stats_init(struct stats *stats, const struct model *model, bool alice,
	       const char *link_name, enum recon recon);
void stats_end(struct stats *stats);
/* These two take @lock. */
void stats_stage(struct stats *stats, enum stage stage, double progress);
void stats_block(struct stats *stats, const struct block_stat *block);
/* All but the lock, which @copy does not have; takes that of @stats. */
void stats_copy(struct stats *stats, struct stats *copy);

/* How many of @block there are, and one of them; 0 is the oldest. */
size_t stats_blocks(const struct stats *copy);
const struct block_stat *stats_block_at(const struct stats *copy, size_t i);

/* Names come from users: a character of one as it is shown anywhere. */
static inline char stats_char(char c)
{
	return c >= ' ' && c <= '~' ? c : '?';
}

/* In a word or two. */
const char *stage_name(enum stage stage);
const char *attack_name(enum attack attack);
const char *tamper_name(enum tamper tamper);

#endif
