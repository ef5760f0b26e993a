// SPDX-License-Identifier: GPL-2.0-only
/*
 * Confirmation of blocks (DESIGN 3.6, 3.9). The rx end of a stream sends the
 * tags of the blocks that wait there. The tx end compares each when it has the
 * block, and tells the verdict; the block stays unusable there until the rx
 * end says that it has settled everything below an edge. So tx never has what
 * rx has not.
 *
 * What either end gave up is given up at both: a tag for a block that tx has
 * passed gets the verdict lost, and a block below the edge whose tag never came
 * is lost, too. The kernels keep blocks and verdicts, so that a daemon that is
 * started again, or a new connection, goes on where the last one ended.
 */
#include <errno.h>
#include <string.h>

#include "qkdd.h"

static struct qkd_ref ref(const struct link *link)
{
	return qkd_by_name(link->config.name);
}

static struct qkd_block block_of(const struct link *link, uint32_t stream,
				 uint64_t offset, uint32_t length)
{
	return (struct qkd_block){
		.label = link->here.label,
		.stream = stream,
		.offset = offset,
		.length = length,
	};
}

static void say_mismatch(const struct link *link, const struct qkd_block *block)
{
	log_error("%s: the ends hold %s %llu to %llu differently: given up",
		  link->config.name,
		  qkd_enum_name(QKD_ENUM_STREAM, block->stream),
		  (unsigned long long)block->offset,
		  (unsigned long long)(block->offset + block->length));
}

/* What concerns a block may be out of date: it, or its generation, has gone. */
static bool outdated(int err)
{
	return err == -ENOENT || err == -ESTALE || err == -ENETDOWN ||
	       err == -ENODEV;
}

static void check(struct link *link, int err)
{
	link_complain(link, SAID_BLOCK, err && !outdated(err),
		      "blocks are not confirmed: %s %s", strerror(-err),
		      qkd_error_text(ctx));
}

/* rx: the tags of blocks that came since we looked last. */
static void send_tags(struct link *link, uint32_t stream)
{
	struct qkd_waiting waiting[QKD_BLOCKS_LISTED];
	uint32_t i, n = QKD_BLOCKS_LISTED;
	struct stream *st = &link->stream[stream];
	struct qkd_block block;
	int err;

	err = qkd_block_list(ctx, ref(link), link->here.label, stream, waiting,
			     &n);
	for (i = 0; i < n && !err; i++) {
		struct msg msg = {
			.type = MSG_TAG,
			.label = link->here.label,
			.stream = stream,
			.offset = waiting[i].offset,
			.length = waiting[i].length,
		};

		if (msg.offset < st->sent)
			continue;
		block = block_of(link, stream, msg.offset, msg.length);
		err = qkd_block_tag(ctx, ref(link), &block, msg.tag);
		if (err)
			break;
		link_send(link, &msg);
		st->sent = msg.offset + msg.length;
	}
	check(link, err);
}

static bool rx_tick(struct link *link, const struct qkd_stat *stat)
{
	struct stream *st = &link->stream[stat->stream];
	struct msg msg = {
		.type = MSG_EDGE,
		.label = link->here.label,
		.stream = stat->stream,
		.offset = stat->supplied - stat->pending,
	};

	if (stat->pending)
		send_tags(link, stat->stream);
	if (msg.offset > st->edge) {
		st->edge = msg.offset;
		link_send(link, &msg);
	}
	return stat->pending;
}

/* tx: compare a tag of a block that we have, or had. Returns whether it is done. */
static bool judge(struct link *link, uint32_t stream, const struct tag *tag)
{
	struct msg msg = {
		.type = MSG_VERDICT,
		.label = link->here.label,
		.stream = stream,
		.offset = tag->offset,
		.length = tag->length,
	};
	struct qkd_block block =
		block_of(link, stream, tag->offset, tag->length);
	enum qkd_verdict verdict = QKD_VERDICT_LOST;
	int err;

	err = qkd_block_compare(ctx, ref(link), &block, tag->tag, &verdict);
	if (err == -ENOENT)
		err = 0;
	else if (!err && verdict == QKD_VERDICT_MISMATCH) {
		say_mismatch(link, &block);
		err = qkd_block_settle(ctx, ref(link), &block, verdict);
	}
	check(link, err);
	if (err)
		return outdated(err);
	msg.verdict = verdict;
	link_send(link, &msg);
	return true;
}

static void judge_all(struct link *link, const struct qkd_stat *stat)
{
	struct stream *st = &link->stream[stat->stream];
	unsigned int i, left = 0;

	for (i = 0; i < st->ntags; i++)
		if (st->tags[i].offset >= stat->supplied ||
		    !judge(link, stat->stream, &st->tags[i]))
			st->tags[left++] = st->tags[i];
	st->ntags = left;
}

/* tx: the peer has settled what is below its edge, or never had it. */
static void settle(struct link *link, uint32_t stream)
{
	struct qkd_waiting waiting[QKD_BLOCKS_LISTED];
	uint32_t i, n = QKD_BLOCKS_LISTED;
	enum qkd_verdict verdict;
	struct qkd_block block;
	int err;

	err = qkd_block_list(ctx, ref(link), link->here.label, stream, waiting,
			     &n);
	for (i = 0; i < n && !err; i++) {
		if (waiting[i].offset >= link->stream[stream].edge)
			break;
		block = block_of(link, stream, waiting[i].offset,
				 waiting[i].length);
		verdict = waiting[i].verdict ?: QKD_VERDICT_LOST;
		err = qkd_block_settle(ctx, ref(link), &block, verdict);
	}
	check(link, err);
}

static bool tx_tick(struct link *link, const struct qkd_stat *stat)
{
	struct stream *st = &link->stream[stat->stream];

	if (st->ntags)
		judge_all(link, stat);
	if (stat->pending && st->edge > stat->supplied - stat->pending)
		settle(link, stat->stream);
	return stat->pending || st->ntags;
}

/**
 * block_tick - see to the blocks of a link
 * @link: link that is present
 *
 * Return: whether there are some that wait.
 */
bool block_tick(struct link *link)
{
	bool busy = false;
	uint32_t i;

	if (!link_same_gen(link) || link_is_driven(link) ||
	    link->here.confirm != QKD_CONFIRM_TAG)
		return false;
	for (i = 0; i < link->here.nstats; i++) {
		const struct qkd_stat *stat = &link->here.stat[i];

		if (stat->stream >= STREAMS)
			continue;
		busy |= stat->dir == QKD_DIR_IN ? rx_tick(link, stat) :
						  tx_tick(link, stat);
	}
	return busy;
}

static void take_tag(struct link *link, struct peer *peer,
		     const struct msg *msg)
{
	struct stream *st = &link->stream[msg->stream];
	struct tag *tag = &st->tags[st->ntags];

	if (st->ntags == QKD_BLOCKS_LISTED) {
		peer_refuse(peer, "is a tag too many");
		return;
	}
	tag->offset = msg->offset;
	tag->length = msg->length;
	memcpy(tag->tag, msg->tag, sizeof(tag->tag));
	st->ntags++;
}

static void take_edge(struct link *link, struct peer *peer,
		      const struct msg *msg)
{
	struct stream *st = &link->stream[msg->stream];

	if (msg->offset < st->edge)
		peer_refuse(peer, "moves an edge back");
	else
		st->edge = msg->offset;
}

static void take_verdict(struct link *link, const struct msg *msg)
{
	struct qkd_block block =
		block_of(link, msg->stream, msg->offset, msg->length);
	int err;

	err = qkd_block_settle(ctx, ref(link), &block, msg->verdict);
	check(link, err);
	if (!err && msg->verdict == QKD_VERDICT_MISMATCH)
		say_mismatch(link, &block);
}

/**
 * block_message - a message about a block has come
 * @link: link that it names
 * @peer: who has sent it
 * @msg: MSG_TAG, MSG_VERDICT or MSG_EDGE
 *
 * What is about another generation than ours was sent before the peer knew.
 */
void block_message(struct link *link, struct peer *peer, const struct msg *msg)
{
	bool from_alice = msg->stream < QKD_STREAM_B2A_PAD;
	bool tx = from_alice == (link->here.role == QKD_ROLE_ALICE);

	if (!link_same_gen(link) || link_is_driven(link) ||
	    msg->label != link->here.label)
		return;
	if (tx == (msg->type == MSG_VERDICT))
		peer_refuse(peer, "is for the other end of the stream");
	else if (msg->type == MSG_TAG)
		take_tag(link, peer, msg);
	else if (msg->type == MSG_EDGE)
		take_edge(link, peer, msg);
	else
		take_verdict(link, msg);
}
