/* SPDX-License-Identifier: GPL-2.0-only */
/* One end of the link at work: what pipeline.c, block.c and pace.c share. */
#ifndef QKD_LINK_END_H
#define QKD_LINK_END_H

#include "feed.h"
#include "join.h"
#include "link.h"
#include "scenario.h"

/**
 * struct pace - the link's own clock against that of the wall
 * @speed: seconds of the link per second; 0: as fast as it can
 * @time: of the link, in seconds
 * @due: when it may be so late, by the wall
 * @begun: by the wall
 * @idle: by the wall, seconds in which there was nothing to do
 * @slow: it was said that this machine does not keep up
 */
struct pace {
	double speed;
	double time;
	double due;
	double begun;
	double idle;
	bool slow;
};

/**
 * struct end - an end
 * @copy: of @stats, to look at
 * @initial: key of the tags per direction that there was at first
 * @answer_ms: for what the peer may have to compute first
 * @number: of the last block
 * @ended: blocks
 * @qber: of the last block that was reconciled, or what is expected
 * @without: blocks without key since the last one with
 * @alarm: no key can be had, and why
 * @again: by the wall, when the next block may begin after one without key
 * @why: the last block was dropped for, that was said
 * @said: for complain()
 * @unmet: why the ends did not meet the last time
 * @together: when they were together last, or began
 * @retry: seconds until they try again
 */
struct end {
	const struct settings *set;
	struct stats *stats;
	struct stats *copy;
	struct join join;
	struct talk *talk;
	uint64_t initial;
	struct emitter *emitter;
	struct receiver *receiver;
	struct feed *feed;
	struct scenario *scenario;
	struct pace pace;
	int answer_ms;
	uint64_t number;
	uint64_t ended;
	double qber;
	unsigned int without;
	const char *alarm;
	double again;
	const char *why;
	unsigned int said;
	int unmet;
	double together;
	double retry;
};

/* ---- pace.c ---- */

/* Seconds that only go forward. */
double wall(void);
void pace_begin(struct pace *pace, double speed);
/* Seconds of the link's clock have passed in work: waits until they may have. Says once
 * if the machine is late by more than a tenth. @dark is called each second. */
int pace_work(struct pace *pace, double seconds, int (*dark)(void *arg),
	      void *arg);
/* A while in which nothing is done: the link's clock goes on. */
void pace_idle(struct pace *pace, double seconds);
/* Alice's clock, at Bob's. */
void pace_follow(struct pace *pace, double time);

/* ---- pipeline.c ---- */

void end_show(struct end *end, enum stage stage, double progress);
/* What the scenario has at this moment. */
void end_scene(struct end *end);
/* Alice: no light for a moment; hears what Bob is ready for. */
int end_dark(struct end *end, uint8_t *status);

/* ---- block.c ---- */

/* A block, at both ends at once, into the stats: 0, kept or dropped. An error is of the
 * connection, or of what the peer says, and the block is dropped. */
int block_run(struct end *end);

#endif
