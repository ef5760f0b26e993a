// SPDX-License-Identifier: GPL-2.0-only
/*
 * Final key into the four streams of the user link at both ends. qkdd(8) has the
 * handshake of the generation and confirms what was written (tools/qkdd/block.c).
 *
 * Both ends have the same key. They say which generation they are in and where each
 * stream is (TALK_FEED, state), and where that differs, who is behind gives up what
 * lies between by a gap; a gap over a segment's head takes the segment along, so they
 * say it again, a few times. Then Alice says which bytes of the key go where
 * (TALK_FEED, plan): stream, offset and length, in the order of the key, each piece
 * with the 16 bytes for its tag behind it if the link confirms. Each end
 * writes its rx streams, says which pieces it has written (TALK_FED), and
 * writes of its tx streams those that the other one has: tx never has what rx has
 * not. No byte of key is in two pieces, and what is in none, or could not be
 * written, is wiped with the rest.
 *
 * Nobody but the kernels keeps offsets. Whatever is lost on the way, the connection,
 * either process, the generation: what was written to rx alone is a stretch that
 * tx gives up by the next gap, and qkdd settles as lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/log.h"
#include "feed.h"

#define STREAMS 4
#define ROUNDS 4 /* until the ends are at the same offsets */
#define PIECES 256
#define PIECE_LEAST 1024 /* bytes; less only of a block that has no more */
#define PIECES_WAITING 64 /* that are not confirmed yet, of a stream */
#define KEY_SEGMENT (64 << 10)
#define PAD_SEGMENT (1 << 20)
#define ANSWER_MS 30000

enum { FEED_STATE, FEED_PLAN };

/* Why nothing can be fed; said once, until it is otherwise. */
enum complaint {
	SAID_LINK = 1 << 0,
	SAID_TYPE = 1 << 1,
	SAID_ROLE = 1 << 2,
	SAID_NODE = 1 << 3,
	SAID_WRITE = 1 << 4,
	SAID_REPORT = 1 << 5,
};

/**
 * struct feed - the link that is fed
 * @dev: its name, or "" in a dry run
 * @node: its node, or -1
 * @here: as it was looked at last
 * @ready: it has a generation, and @node
 * @said: enum complaint
 * @reported_qber, @reported_skr, @reported_alarms: what the kernel was told
 */
struct feed {
	struct qkd_ctx *ctx;
	char dev[QKD_NAME_LEN + 1];
	bool alice;
	int node;
	uint32_t node_index;
	struct qkd_link here;
	bool ready;
	unsigned int said;
	uint32_t reported_qber;
	uint64_t reported_skr;
	uint32_t reported_alarms;
};

/**
 * struct side - what an end says of its streams
 * @ready: it has a generation
 * @next: offset of the next byte
 * @live, @capacity, @low, @waiting: bytes, of its tx streams
 */
struct side {
	bool ready;
	uint32_t label;
	uint8_t generation[QKD_HASH_LEN];
	bool confirms;
	uint64_t next[STREAMS];
	uint64_t live[STREAMS];
	uint64_t capacity[STREAMS];
	uint64_t low[STREAMS];
	uint64_t waiting[STREAMS];
};

/* What goes where. */
struct part {
	uint32_t stream;
	uint64_t offset;
	uint32_t length;
	bool written; /* here, in rx; then the peer's */
};

struct plan {
	struct part piece[PIECES];
	size_t count;
};

static uint32_t step_of(uint32_t stream)
{
	return stream & 1 ? QKD_KEY_UNIT : QKD_PAD_GRANULE;
}

static uint64_t segment_of(uint32_t stream)
{
	return stream & 1 ? KEY_SEGMENT : PAD_SEGMENT;
}

/* Alice allocates from a2b. */
static bool is_tx(bool alice, uint32_t stream)
{
	return alice == (stream < QKD_STREAM_B2A_PAD);
}

/* ---- The link ---- */

int feed_open(struct feed **feed, const char *dev, bool alice)
{
	struct feed *new = calloc(1, sizeof(*new));
	int err;

	if (!new) {
		log_error("out of memory");
		return -1;
	}
	new->node = -1;
	new->alice = alice;
	*feed = new;
	if (!dev)
		return 0;
	strncpy(new->dev, dev, QKD_NAME_LEN);
	err = qkd_open(&new->ctx);
	if (!err)
		err = qkd_link_get(new->ctx, qkd_by_name(dev), &new->here);
	if (!err)
		return 0;
	log_error("%s: %s", dev,
		  new->ctx ? qkd_error_text(new->ctx) :
			     "the module qkd is not loaded");
	feed_close(new);
	*feed = NULL;
	return -1;
}

void feed_close(struct feed *feed)
{
	if (!feed)
		return;
	if (feed->node >= 0)
		close(feed->node);
	if (feed->ctx)
		qkd_close(feed->ctx);
	free(feed);
}

const uint8_t *feed_hash(const struct feed *feed)
{
	return feed->here.hash;
}

static void say(struct feed *feed, enum complaint what, bool wrong,
		const char *text, const char *more)
{
	complain(feed->dev, &feed->said, what, wrong, "%s%s", text, more);
}

static bool node_ready(struct feed *feed)
{
	int fd;

	if (feed->node >= 0 && feed->node_index == feed->here.index)
		return true;
	if (feed->node >= 0)
		close(feed->node);
	feed->node = -1;
	fd = qkd_node_open(feed->ctx, qkd_by_name(feed->dev),
			   O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	say(feed, SAID_NODE, fd < 0, "cannot open its node: ",
	    fd == -EBUSY ? "another program supplies it" : strerror(-fd));
	if (fd < 0)
		return false;
	feed->node = fd;
	feed->node_index = feed->here.index;
	feed->reported_qber = feed->reported_skr = feed->reported_alarms = 0;
	return true;
}

/* Is it what a supplier of this role can feed? */
static bool is_ours(struct feed *feed)
{
	bool user = !strcmp(feed->here.type, "user");
	bool alice = feed->here.role == QKD_ROLE_ALICE;

	say(feed, SAID_TYPE, !user, "it is not of type user", "");
	say(feed, SAID_ROLE, user && alice != feed->alice,
	    "its role is the other one than that of this end", "");
	return user && alice == feed->alice;
}

bool feed_ready(struct feed *feed)
{
	int err;

	feed->ready = true;
	if (!*feed->dev)
		return true;
	err = qkd_link_get(feed->ctx, qkd_by_name(feed->dev), &feed->here);
	say(feed, SAID_LINK, err,
	    "cannot look at it: ", qkd_error_text(feed->ctx));
	feed->ready = !err && is_ours(feed) && node_ready(feed) &&
		      feed->here.state != QKD_STATE_DOWN && feed->here.nstats;
	return feed->ready;
}

static uint64_t low_of(const struct feed *feed, uint32_t stream)
{
	return stream & 1 ? feed->here.key_low : feed->here.pad_low;
}

bool feed_needs(const struct feed *feed)
{
	uint32_t i;

	if (!*feed->dev)
		return true;
	for (i = 0; i < feed->here.nstats; i++) {
		const struct qkd_stat *stat = &feed->here.stat[i];

		if (stat->dir == QKD_DIR_OUT &&
		    (stat->live < low_of(feed, stat->stream) ||
		     stat->live < stat->capacity / 4 * 3))
			return true;
	}
	return false;
}

void feed_levels(const struct feed *feed, struct stats *stats)
{
	uint32_t i;

	for (i = 0; i < feed->here.nstats; i++) {
		const struct qkd_stat *stat = &feed->here.stat[i];

		if (stat->stream >= STREAMS)
			continue;
		stats->level[stat->stream] = stat->live;
		stats->capacity[stat->stream] = stat->capacity;
	}
}

void feed_report(struct feed *feed, double qber, double rate, uint32_t alarms)
{
	uint32_t qber_millionths = qber * 1e6;
	uint64_t bits = rate;
	int err;

	if (feed->node < 0 ||
	    (feed->reported_qber == qber_millionths &&
	     feed->reported_skr == bits && feed->reported_alarms == alarms))
		return;
	err = qkd_node_report(feed->node, qber_millionths, bits, alarms);
	say(feed, SAID_REPORT, err,
	    "its QBER and key rate cannot be told to the kernel: ",
	    strerror(-err));
	if (err)
		return;
	feed->reported_qber = qber_millionths;
	feed->reported_skr = bits;
	feed->reported_alarms = alarms;
}

/* ---- Where the ends are ---- */

static void look(struct feed *feed, struct side *side)
{
	uint32_t i;

	*side = (struct side){ .ready = *feed->dev && feed_ready(feed) };
	if (!side->ready)
		return;
	side->label = feed->here.label;
	memcpy(side->generation, feed->here.generation, QKD_HASH_LEN);
	side->confirms = feed->here.confirm == QKD_CONFIRM_TAG;
	for (i = 0; i < feed->here.nstats; i++) {
		const struct qkd_stat *stat = &feed->here.stat[i];

		if (stat->stream >= STREAMS)
			continue;
		side->next[stat->stream] = stat->supplied;
		side->live[stat->stream] = stat->live;
		side->capacity[stat->stream] = stat->capacity;
		side->low[stat->stream] = low_of(feed, stat->stream);
		side->waiting[stat->stream] = stat->pending;
	}
}

static int tell(struct talk *talk, enum talk_type type, struct buffer *message)
{
	int err = message->bad ?:
			  talk_send(talk, type, message->data, message->size);

	buffer_free(message);
	return err;
}

static int tell_side(struct talk *talk, const struct side *side)
{
	struct buffer message = { 0 };
	int i;

	buffer_put_number(&message, FEED_STATE, 1);
	buffer_put_number(&message, side->ready, 1);
	buffer_put_number(&message, side->label, 2);
	buffer_put(&message, side->generation, QKD_HASH_LEN);
	buffer_put_number(&message, side->confirms, 1);
	for (i = 0; i < STREAMS; i++) {
		buffer_put_number(&message, side->next[i], 8);
		buffer_put_number(&message, side->live[i], 8);
		buffer_put_number(&message, side->capacity[i], 8);
		buffer_put_number(&message, side->low[i], 8);
		buffer_put_number(&message, side->waiting[i], 8);
	}
	return tell(talk, TALK_FEED, &message);
}

static int hear_side(struct talk *talk, struct side *side)
{
	struct buffer message = { 0 };
	uint64_t kind;
	int err, i;

	err = talk_recv(talk, TALK_FEED, &message, ANSWER_MS);
	kind = buffer_get_number(&message, 1);
	side->ready = buffer_get_number(&message, 1);
	side->label = buffer_get_number(&message, 2);
	buffer_get(&message, side->generation, QKD_HASH_LEN);
	side->confirms = buffer_get_number(&message, 1);
	for (i = 0; i < STREAMS; i++) {
		side->next[i] = buffer_get_number(&message, 8);
		side->live[i] = buffer_get_number(&message, 8);
		side->capacity[i] = buffer_get_number(&message, 8);
		side->low[i] = buffer_get_number(&message, 8);
		side->waiting[i] = buffer_get_number(&message, 8);
	}
	if (!err)
		err = kind == FEED_STATE ? buffer_done(&message) : -EBADMSG;
	buffer_free(&message);
	return err;
}

static int exchange(struct feed *feed, struct talk *talk, struct side *mine,
		    struct side *theirs)
{
	int err;

	look(feed, mine);
	if (feed->alice)
		return tell_side(talk, mine) ?: hear_side(talk, theirs);
	err = hear_side(talk, theirs);
	return err ?: tell_side(talk, mine);
}

static bool same_generation(const struct side *a, const struct side *b)
{
	return a->ready && b->ready && a->label == b->label &&
	       a->confirms == b->confirms &&
	       !memcmp(a->generation, b->generation, QKD_HASH_LEN);
}

static bool same_offsets(const struct side *a, const struct side *b)
{
	return !memcmp(a->next, b->next, sizeof(a->next));
}

/* Up to where the peer is. Its offset is as far as any of its bytes, so that is
 * what was lost already. */
static void catch_up(struct feed *feed, const struct side *mine,
		     const struct side *theirs)
{
	uint32_t i;
	int err;

	for (i = 0; i < STREAMS; i++) {
		if (mine->next[i] >= theirs->next[i] ||
		    theirs->next[i] % step_of(i))
			continue;
		log_info(
			"%s: %s %llu to %llu is given up: only the peer has it",
			feed->dev, qkd_enum_name(QKD_ENUM_STREAM, i),
			(unsigned long long)mine->next[i],
			(unsigned long long)theirs->next[i]);
		err = qkd_node_gap(feed->node, mine->label, i, theirs->next[i]);
		say(feed, SAID_WRITE, err && err != -ESTALE,
		    "a gap cannot be written to its node: ", strerror(-err));
	}
}

/* 0: both are at the same place; 1: nothing can be fed, and *@why says why. */
static int agree(struct feed *feed, struct talk *talk, struct side *mine,
		 struct side *theirs, const char **why)
{
	int round, err;

	for (round = 0; round < ROUNDS; round++) {
		err = exchange(feed, talk, mine, theirs);
		if (err)
			return err;
		*why = "the link has no generation";
		if (!same_generation(mine, theirs))
			return 1;
		*why = "the ends are at different offsets";
		if (same_offsets(mine, theirs))
			return 0;
		catch_up(feed, mine, theirs);
	}
	return 1;
}

/* ---- What goes where ---- */

/* As of the end that allocates from it. */
static const struct side *tx_side(const struct feed *feed,
				  const struct side *mine,
				  const struct side *theirs, uint32_t stream)
{
	return is_tx(feed->alice, stream) ? mine : theirs;
}

/* Bytes that can go into a stream now, in one piece. */
static uint64_t room_of(const struct side *side, uint32_t stream, uint64_t most)
{
	uint64_t segment = segment_of(stream);
	uint64_t room = segment - side->next[stream] % segment;

	if (side->live[stream] >= side->capacity[stream] ||
	    side->waiting[stream] >= PIECES_WAITING * most)
		return 0;
	if (room > side->capacity[stream] - side->live[stream])
		room = side->capacity[stream] - side->live[stream];
	if (room > most)
		room = most;
	if (room > QKD_SUPPLY_LEN_MAX)
		room = QKD_SUPPLY_LEN_MAX;
	return room - room % step_of(stream);
}

/* Streams of key come first, up to their low mark (DESIGN 3.7); then the emptiest. */
static bool comes_before(const struct side *a, uint32_t i, const struct side *b,
			 uint32_t j)
{
	bool low_a = i & 1 && a->live[i] < a->low[i];
	bool low_b = j & 1 && b->live[j] < b->low[j];

	if (low_a != low_b)
		return low_a;
	return (double)a->live[i] * b->capacity[j] <
	       (double)b->live[j] * a->capacity[i];
}

static uint32_t choose(const struct feed *feed, struct side *mine,
		       struct side *theirs, uint64_t most)
{
	uint32_t i, best = STREAMS;
	const struct side *side, *of_best = NULL;

	for (i = 0; i < STREAMS; i++) {
		side = tx_side(feed, mine, theirs, i);
		if (!room_of(side, i, most) ||
		    (of_best && !comes_before(side, i, of_best, best)))
			continue;
		best = i;
		of_best = side;
	}
	return best;
}

/* Pieces are an eighth of what there is, so that all streams get some. */
static uint64_t piece_size(uint64_t all, uint64_t left, uint32_t tag)
{
	uint64_t size = all / 8 > PIECE_LEAST ? all / 8 : PIECE_LEAST;

	/* no small rest */
	if (left < tag + QKD_KEY_UNIT)
		return 0;
	left -= tag;
	return left < size + tag + PIECE_LEAST ? left : size;
}

/* @mine and @theirs follow what was planned. */
static void make_plan(const struct feed *feed, struct side *mine,
		      struct side *theirs, uint64_t size, struct plan *plan)
{
	uint32_t tag = mine->confirms ? QKD_TAG_LEN : 0, stream;
	uint64_t left = size, length;
	struct part *piece;
	struct side *side;

	for (plan->count = 0; plan->count < PIECES; plan->count++) {
		length = piece_size(size, left, tag);
		stream = choose(feed, mine, theirs, length);
		if (!length || stream == STREAMS)
			return;
		side = is_tx(feed->alice, stream) ? mine : theirs;
		length = room_of(side, stream, length);
		piece = &plan->piece[plan->count];
		*piece = (struct part){ stream, side->next[stream], length,
					false };
		side->next[stream] += length;
		side->live[stream] += length;
		side->waiting[stream] += length;
		left -= length + tag;
	}
}

static int tell_plan(struct talk *talk, const struct plan *plan)
{
	struct buffer message = { 0 };
	size_t i;

	buffer_put_number(&message, FEED_PLAN, 1);
	buffer_put_number(&message, plan->count, 2);
	for (i = 0; i < plan->count; i++) {
		buffer_put_number(&message, plan->piece[i].stream, 1);
		buffer_put_number(&message, plan->piece[i].offset, 8);
		buffer_put_number(&message, plan->piece[i].length, 4);
	}
	return tell(talk, TALK_FEED, &message);
}

/* Is a piece the next one of its stream, and can the kernel take it? */
static bool follows(const struct part *piece, uint64_t next[STREAMS])
{
	uint32_t stream = piece->stream;
	uint64_t segment;

	if (stream >= STREAMS || piece->offset != next[stream] ||
	    !piece->length || piece->length > QKD_SUPPLY_LEN_MAX ||
	    piece->length % step_of(stream))
		return false;
	segment = segment_of(stream);
	next[stream] += piece->length;
	return piece->offset % segment + piece->length <= segment;
}

static int hear_plan(struct talk *talk, const struct side *mine, uint64_t size,
		     struct plan *plan)
{
	uint32_t tag = mine->confirms ? QKD_TAG_LEN : 0;
	struct buffer message = { 0 };
	uint64_t next[STREAMS], left = size, kind;
	int err = talk_recv(talk, TALK_FEED, &message, ANSWER_MS);
	size_t i;

	memcpy(next, mine->next, sizeof(next));
	kind = buffer_get_number(&message, 1);
	plan->count = buffer_get_number(&message, 2);
	if (!err && (kind != FEED_PLAN || plan->count > PIECES))
		err = -EBADMSG;
	for (i = 0; i < plan->count && !err; i++) {
		struct part *piece = &plan->piece[i];

		piece->stream = buffer_get_number(&message, 1);
		piece->offset = buffer_get_number(&message, 8);
		piece->length = buffer_get_number(&message, 4);
		piece->written = false;
		if (!follows(piece, next) || piece->length + tag > left)
			err = -EBADMSG;
		left -= piece->length + tag;
	}
	err = err ?: buffer_done(&message);
	buffer_free(&message);
	return err;
}

/* ---- Writing ---- */

/* The rest of a segment that was given up, for its age, say, takes no block. */
static void leave_segment(struct feed *feed, uint32_t label,
			  const struct part *piece)
{
	uint64_t segment = segment_of(piece->stream);

	if (piece->offset % segment)
		(void)qkd_node_gap(feed->node, label, piece->stream,
				   (piece->offset / segment + 1) * segment);
}

static bool write_piece(struct feed *feed, const struct side *mine,
			const struct part *piece, const uint8_t *bytes)
{
	struct qkd_block block = {
		.label = mine->label,
		.stream = piece->stream,
		.offset = piece->offset,
		.length = piece->length,
	};
	int err =
		qkd_node_supply(feed->node, &block, bytes,
				mine->confirms ? bytes + piece->length : NULL);

	if (err == -ERANGE)
		leave_segment(feed, mine->label, piece);
	say(feed, SAID_WRITE, err && err != -ESTALE && err != -EAGAIN,
	    "a block cannot be written to its node: ", strerror(-err));
	return !err;
}

/* rx of this end, or tx of it where the peer's rx has the piece. Returns the bytes. */
static uint64_t write_all(struct feed *feed, const struct side *mine,
			  struct plan *plan, const uint8_t *key, bool tx)
{
	uint32_t tag = mine->confirms ? QKD_TAG_LEN : 0;
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < plan->count; i++) {
		struct part *piece = &plan->piece[i];
		bool here = is_tx(feed->alice, piece->stream) == tx;

		if (here && (!tx || piece->written)) {
			piece->written = write_piece(feed, mine, piece, key);
			sum += piece->written ? piece->length : 0;
		}
		key += piece->length + tag;
	}
	return sum;
}

/* A byte for each piece: 1 if it is in rx here. */
static int tell_written(struct talk *talk, const struct plan *plan)
{
	struct buffer message = { 0 };
	size_t i;

	for (i = 0; i < plan->count; i++)
		buffer_put_number(&message, plan->piece[i].written, 1);
	return tell(talk, TALK_FED, &message);
}

static int hear_written(struct feed *feed, struct talk *talk, struct plan *plan)
{
	struct buffer message = { 0 };
	int err = talk_recv(talk, TALK_FED, &message, ANSWER_MS);
	bool written;
	size_t i;

	for (i = 0; i < plan->count && !err; i++) {
		written = buffer_get_number(&message, 1);
		if (is_tx(feed->alice, plan->piece[i].stream))
			plan->piece[i].written = written;
	}
	err = err ?: buffer_done(&message);
	buffer_free(&message);
	return err;
}

/* rx before tx, at both ends at once. */
static int carry_out(struct feed *feed, struct talk *talk,
		     const struct side *mine, struct plan *plan,
		     const uint8_t *key, uint64_t *fed)
{
	int err;

	*fed = write_all(feed, mine, plan, key, false);
	err = tell_written(talk, plan) ?: hear_written(feed, talk, plan);
	if (!err)
		*fed += write_all(feed, mine, plan, key, true);
	return err;
}

int feed_key(struct feed *feed, struct talk *talk, const uint8_t *key,
	     size_t size, uint64_t *fed, const char **why)
{
	struct side mine, theirs, planned;
	struct plan plan;
	int err;

	*fed = 0;
	*why = NULL;
	err = agree(feed, talk, &mine, &theirs, why);
	if (err > 0 && !*feed->dev)
		*why = NULL; /* as it should be */
	if (err)
		return err < 0 ? err : 0;
	*why = NULL;
	planned = mine;
	if (feed->alice) {
		make_plan(feed, &planned, &theirs, size, &plan);
		err = tell_plan(talk, &plan);
	} else {
		err = hear_plan(talk, &mine, size, &plan);
	}
	return err ?: carry_out(feed, talk, &mine, &plan, key, fed);
}
