// SPDX-License-Identifier: GPL-2.0-only
/*
 * What can get lost while two ends of qkd-link feed a user link: each message, each write
 * to the kernel, and either end before each message, behind it, and before each write. Whatever it
 * was, what the tx end has the rx end has, too, and it is the same; and the next key goes in at
 * both ends at the same offsets.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/rand.h>

#include <qkd/qkd.h>

#include "qkd-link/feed.h"
#include "link_wrap.h"

#pragma GCC diagnostic ignored "-Wsign-compare"
#include "kselftest_harness.h"

#define STREAMS 4
#define LABEL 3
#define KEY 16384 /* bytes that are fed at a time */
#define BOOT 32768
#define PAD_CAPACITY (4 << 20)
#define KEY_CAPACITY (1 << 20)
#define PATIENCE 2000 /* ms, for a message that was lost */
#define TRIES 4 /* until the ends are at the same offsets again */

enum { ALICE, BOB, ENDS };

enum fault {
	NONE,
	LOST, /* a message */
	REFUSED, /* a write, by the kernel */
	BEFORE, /* a message, the end dies */
	AFTER,
	WRITING, /* before a write to the kernel, the end dies */
};

/**
 * struct end - one of the two
 * @fault: what goes wrong at it, ...
 * @step: ... and at which message or write
 * @done: messages or writes so far
 * @fired: it has gone wrong
 * @dead: nothing works any more
 */
struct end {
	struct feed *feed;
	struct talk *talk;
	enum fault fault;
	int step;
	int done;
	bool fired;
	bool dead;
	const uint8_t *key;
	uint64_t fed;
	const char *why;
	int err;
};

static const char *const names[ENDS] = { "feeda", "feedb" };
static __thread struct end *self_end; /* whose thread this is */

int __real_qkd_node_supply(int fd, const struct qkd_block *block,
			   const void *bytes, const uint8_t *s);
int __wrap_qkd_node_supply(int fd, const struct qkd_block *block,
			   const void *bytes, const uint8_t *s);

static bool is_of_writes(enum fault fault)
{
	return fault == REFUSED || fault == WRITING;
}

static bool is_now(struct end *end)
{
	if (end->fault == NONE || end->fired || end->done++ != end->step)
		return false;
	end->fired = true;
	return true;
}

static int die(struct end *end)
{
	end->dead = true;
	talk_attach(end->talk, -1);
	return -EPIPE;
}

int __wrap_talk_send(struct talk *talk, enum talk_type type, const void *data,
		     size_t size)
{
	struct end *end = self_end;
	int err;

	if (end->dead)
		return -EPIPE;
	if (is_of_writes(end->fault) || !is_now(end))
		return __real_talk_send(talk, type, data, size);
	if (end->fault == BEFORE)
		return die(end);
	if (end->fault == LOST)
		talk_tamper(talk, TAMPER_DROP, 1);
	err = __real_talk_send(talk, type, data, size);
	talk_tamper(talk, TAMPER_NONE, 0);
	return end->fault == AFTER ? die(end) : err;
}

int __wrap_talk_recv(struct talk *talk, enum talk_type type,
		     struct buffer *message, int ms)
{
	(void)ms;
	return self_end->dead ? -EPIPE :
				__real_talk_recv(talk, type, message, PATIENCE);
}

int __wrap_qkd_node_supply(int fd, const struct qkd_block *block,
			   const void *bytes, const uint8_t *s)
{
	struct end *end = self_end;

	if (!end->dead && is_of_writes(end->fault) && is_now(end)) {
		if (end->fault == REFUSED)
			return -EAGAIN;
		die(end);
	}
	return end->dead ? -EAGAIN :
			   __real_qkd_node_supply(fd, block, bytes, s);
}

FIXTURE(ends)
{
	struct qkd_ctx *ctx;
	struct end end[ENDS];
	uint64_t equal;
};

static int add_link(struct qkd_ctx *ctx, int end)
{
	struct qkd_link link = {
		.has = QKD_HAS(QKD_A_LINK_ROLE) | QKD_HAS(QKD_A_LINK_ID) |
		       QKD_HAS(QKD_A_LINK_PEER_ID) | QKD_HAS(QKD_A_LINK_NAME) |
		       QKD_HAS(QKD_A_LINK_TYPE) |
		       QKD_HAS(QKD_A_LINK_PAD_CAPACITY) |
		       QKD_HAS(QKD_A_LINK_KEY_CAPACITY) |
		       QKD_HAS(QKD_A_LINK_KEY_LOW),
		.role = end == ALICE ? QKD_ROLE_ALICE : QKD_ROLE_BOB,
		.pad_capacity = PAD_CAPACITY,
		.key_capacity = KEY_CAPACITY,
		.key_low = KEY, /* so that there is some for the pads */
	};

	strcpy(link.name, names[end]);
	strcpy(link.type, "user");
	strcpy(link.id, end == ALICE ? "site a" : "site b");
	strcpy(link.peer_id, end == ALICE ? "site b" : "site a");
	return qkd_link_new(ctx, &link, NULL);
}

static int begin(struct qkd_ctx *ctx)
{
	struct qkd_gen gen = {
		.has = ~UINT64_C(0),
		.label = LABEL,
		.pad_capacity = PAD_CAPACITY,
		.key_capacity = KEY_CAPACITY,
	};
	struct qkd_link link;
	int end, err = 0;

	RAND_bytes(gen.generation, sizeof(gen.generation));
	for (end = 0; end < ENDS && !err; end++) {
		err = qkd_link_get(ctx, qkd_by_name(names[end]), &link);
		memcpy(gen.hash, link.hash, sizeof(gen.hash));
		gen.peer_role = end == ALICE ? QKD_ROLE_BOB : QKD_ROLE_ALICE;
		err = err ?: qkd_gen_begin(ctx, qkd_by_name(names[end]), &gen);
	}
	for (end = 0; end < ENDS && !err; end++)
		err = qkd_gen_open(ctx, qkd_by_name(names[end]), LABEL,
				   gen.generation);
	return err;
}

/* Both ends have processes, with a new bootstrap key. */
static int start(struct end end[ENDS])
{
	static uint8_t boot[BOOT];
	int i, err = 0;

	RAND_bytes(boot, sizeof(boot));
	for (i = 0; i < ENDS && !err; i++) {
		memset(&end[i], 0, sizeof(end[i]));
		err = feed_open(&end[i].feed, names[i], i == ALICE) ?:
			      talk_new(&end[i].talk, i == ALICE, boot,
				       sizeof(boot));
	}
	return err;
}

static void stop(struct end end[ENDS])
{
	int i;

	for (i = 0; i < ENDS; i++) {
		talk_free(end[i].talk);
		feed_close(end[i].feed);
	}
}

static void *feeding(void *arg)
{
	struct end *end = arg;

	self_end = end;
	end->err = feed_key(end->feed, end->talk, end->key, KEY, &end->fed,
			    &end->why);
	talk_attach(end->talk, -1);
	return NULL;
}

/* Both at once, over a new connection. */
static void feed_both(struct end end[ENDS])
{
	static uint8_t key[KEY];
	pthread_t thread[ENDS];
	int fd[ENDS], i;

	RAND_bytes(key, sizeof(key));
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd))
		abort();
	for (i = 0; i < ENDS; i++) {
		talk_attach(end[i].talk, fd[i]);
		end[i].key = key;
		if (pthread_create(&thread[i], NULL, feeding, &end[i]))
			abort();
	}
	for (i = 0; i < ENDS; i++)
		pthread_join(thread[i], NULL);
}

/* Of what waits in a stream at an end, the first; how many there are, or -1. */
static int first_waiting(FIXTURE_DATA(ends) * self, struct qkd_ref ref,
			 struct qkd_block *block)
{
	struct qkd_waiting waiting[QKD_BLOCKS_LISTED];
	uint32_t count = QKD_BLOCKS_LISTED;

	if (qkd_block_list(self->ctx, ref, LABEL, block->stream, waiting,
			   &count))
		return -1;
	block->offset = waiting[0].offset;
	block->length = waiting[0].length;
	return count;
}

/* What qkdd does: what the tx end has is proved equal, and the rest of rx given up. -1: the tx
 * end has what the rx end has not, or has other bytes. */
static int confirm(FIXTURE_DATA(ends) * self, uint32_t stream)
{
	bool a2b = stream < QKD_STREAM_B2A_PAD;
	struct qkd_ref tx = qkd_by_name(names[a2b ? ALICE : BOB]);
	struct qkd_ref rx = qkd_by_name(names[a2b ? BOB : ALICE]);
	struct qkd_block block = { .label = LABEL, .stream = stream };
	uint8_t tag[QKD_TAG_LEN];
	enum qkd_verdict verdict;
	int count;

	for (; (count = first_waiting(self, tx, &block)) > 0; self->equal++)
		if (qkd_block_tag(self->ctx, rx, &block, tag) ||
		    qkd_block_check(self->ctx, tx, &block, tag, &verdict) ||
		    verdict != QKD_VERDICT_EQUAL ||
		    qkd_block_settle(self->ctx, rx, &block, verdict))
			return -1;
	/* one with the head of a segment takes the others of it along */
	while (!count && (count = first_waiting(self, rx, &block)) > 0)
		count = qkd_block_settle(self->ctx, rx, &block,
					 QKD_VERDICT_LOST);
	return count;
}

static int confirm_all(FIXTURE_DATA(ends) * self)
{
	uint32_t stream;

	for (stream = 0; stream < STREAMS; stream++)
		if (confirm(self, stream))
			return -1;
	return 0;
}

/* Both ends have as much, at the same offsets. */
static bool are_alike(FIXTURE_DATA(ends) * self)
{
	struct qkd_link link[ENDS];
	uint32_t i, j;
	int end;

	for (end = 0; end < ENDS; end++)
		if (qkd_link_get(self->ctx, qkd_by_name(names[end]),
				 &link[end]) ||
		    link[end].nstats != STREAMS || link[end].refused.mismatch)
			return false;
	for (i = 0; i < STREAMS; i++)
		for (j = 0; j < STREAMS; j++) {
			const struct qkd_stat *a = &link[ALICE].stat[i];
			const struct qkd_stat *b = &link[BOB].stat[j];

			if (a->stream == b->stream &&
			    (a->supplied != b->supplied || a->live != b->live ||
			     a->pending || b->pending))
				return false;
		}
	return true;
}

FIXTURE_SETUP(ends)
{
	int end;

	ASSERT_EQ(0, qkd_open(&self->ctx));
	for (end = 0; end < ENDS; end++) {
		qkd_link_del(self->ctx, qkd_by_name(names[end]));
		ASSERT_EQ(0, add_link(self->ctx, end));
	}
	ASSERT_EQ(0, begin(self->ctx));
	ASSERT_EQ(0, start(self->end));
}

FIXTURE_TEARDOWN(ends)
{
	int end;

	stop(self->end);
	for (end = 0; end < ENDS; end++)
		qkd_link_del(self->ctx, qkd_by_name(names[end]));
	qkd_close(self->ctx);
}

/* Key goes in at both ends. */
static int goes_on(FIXTURE_DATA(ends) * self)
{
	uint64_t before = self->equal;
	int tries;

	for (tries = 0; tries < TRIES; tries++) {
		feed_both(self->end);
		if (self->end[ALICE].err || self->end[BOB].err ||
		    confirm_all(self))
			return -1;
		if (self->equal > before && are_alike(self))
			return 0;
	}
	return -1;
}

/* Something goes wrong at one end, at a step. 1: it has no such step; -1: it did harm. */
static int goes_wrong(FIXTURE_DATA(ends) * self, int at, enum fault fault,
		      int step)
{
	struct end *end = &self->end[at];

	end->fault = fault;
	end->step = step;
	end->done = 0;
	end->fired = false;
	feed_both(self->end);
	end->fault = NONE;
	if (confirm_all(self))
		return -1;
	if (!end->fired)
		return 1;
	if (fault > REFUSED) {
		stop(self->end);
		if (start(self->end))
			return -1;
	}
	return goes_on(self);
}

/* At each step of both ends; how many there are. */
static int at_each_step(FIXTURE_DATA(ends) * self, enum fault fault)
{
	int at, step, err, steps = 0;

	for (at = 0; at < ENDS; at++) {
		for (step = 0; !(err = goes_wrong(self, at, fault, step));
		     step++)
			steps++;
		if (err < 0) {
			printf("# %s, step %d\n", names[at], step);
			return -1;
		}
	}
	printf("# %d steps\n", steps);
	return steps;
}

TEST_F_TIMEOUT(ends, nothing_lost, 150)
{
	EXPECT_EQ(0, goes_on(self));
	EXPECT_LT(0, self->end[ALICE].fed);
	EXPECT_EQ(self->end[ALICE].fed, self->end[BOB].fed);
}

/* Where it is, what goes where, what was written; Bob has no plan. */
TEST_F_TIMEOUT(ends, message_lost, 150)
{
	EXPECT_LE(3 + 2, at_each_step(self, LOST));
}

/* An eighth of the key is a piece, as each end writes it. */
TEST_F_TIMEOUT(ends, write_refused, 150)
{
	EXPECT_LE(2 * 7, at_each_step(self, REFUSED));
}

TEST_F_TIMEOUT(ends, killed_before_message, 150)
{
	EXPECT_LE(3 + 2, at_each_step(self, BEFORE));
}

TEST_F_TIMEOUT(ends, killed_after_message, 150)
{
	EXPECT_LE(3 + 2, at_each_step(self, AFTER));
}

TEST_F_TIMEOUT(ends, killed_before_write, 150)
{
	EXPECT_LE(2 * 7, at_each_step(self, WRITING));
}

TEST_HARNESS_MAIN
