// SPDX-License-Identifier: GPL-2.0-only
/*
 * How an emulated link supplies: at the operator's rate, into the emptiest tx
 * stream, rx before tx, confirmed. One work item per link does it all, and
 * sleeps while no stream has room; the core's callback resume wakes it.
 *
 * QBER is modelled as a switch: at or below the protocol's threshold the
 * effective secret key rate is the rate that was set, above it is zero.
 */
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "emu.h"

/*
 * QBER above which a protocol yields no key, in millionths; where the figures
 * come from is in Documentation/emu.md.
 */
static const u32 emu_thresholds[] = {
	[QKD_EMU_PROTOCOL_BB84]		= 110000,
	[QKD_EMU_PROTOCOL_BB84_DECOY]	=  98000,
	[QKD_EMU_PROTOCOL_B92]		=  34000,
	[QKD_EMU_PROTOCOL_E91]		=  71000,
	[QKD_EMU_PROTOCOL_BBM92]	= 110000,
	[QKD_EMU_PROTOCOL_COW]		=  50000,
};

/**
 * emu_threshold() - QBER above which a protocol yields no key
 * @protocol: enum qkd_emu_protocol, within the family's policy
 *
 * Return: in millionths.
 */
u32 emu_threshold(u32 protocol)
{
	return emu_thresholds[protocol];
}

/**
 * emu_block_size() - bytes of a block at the link's rate
 * @emu: emulated link
 *
 * About 50 ms of key, 1 to 64 KiB; less than 1 KiB only where that would take
 * more than a minute. A power of two, as a segment is, so that no small
 * remainder is left at a segment's end.
 *
 * Context: any.
 */
u32 emu_block_size(const struct emu *emu)
{
	u64 rate = READ_ONCE(emu->set.rate);
	u64 least = min_t(u64, rate * EMU_BLOCK_WAIT / BITS_PER_BYTE,
			  EMU_BLOCK_MIN);
	u64 bytes = div_u64(rate * EMU_BLOCK_TIME, MSEC_PER_SEC * BITS_PER_BYTE);

	bytes = clamp_t(u64, bytes, max_t(u64, least, EMU_BLOCK_STEP),
			EMU_BLOCK_MAX);
	return rounddown_pow_of_two(bytes);
}

/**
 * emu_kick() - have the work run soon
 * @emu: emulated link
 * @ms: from now
 *
 * Context: any.
 */
void emu_kick(struct emu *emu, unsigned int ms)
{
	mod_delayed_work(emu_wq, &emu->work, msecs_to_jiffies(ms));
}

/*
 * Time that a block takes: s counts too, and a single end has half the rate,
 * as the other end's direction needs the other half.
 */
static u64 emu_bits(const struct emu *emu, u32 len)
{
	return (u64)(len + emu->s_len) * BITS_PER_BYTE * (emu->pair ? 1 : 2);
}

static u64 emu_cost(const struct emu *emu, u32 len)
{
	return div64_u64(emu_bits(emu, len) * NSEC_PER_SEC, emu->set.rate);
}

static void emu_charge(struct emu *emu, u32 len)
{
	/* The first of a burst after a pause begins what is measured. */
	if (!emu->bits && !emu->reported_skr)
		emu->reported_at = ktime_get_boottime_ns();
	emu->clock += emu_cost(emu, len);
	emu->bits += emu_bits(emu, len);
}

/*
 * Bytes of the next block of a tx stream: a whole one, or what its segment has
 * left, as blocks never cross segments. Small streams get smaller blocks, so
 * that one fits before the stream is empty. 0 if there is no room for it.
 */
static u32 emu_next_len(const struct emu *emu,
			const struct qkd_stream_level *level)
{
	u32 size = level->stream & 1 ? QKD_KEY_SEGMENT : QKD_PAD_SEGMENT;
	u64 quarter = rounddown_pow_of_two(level->capacity / 4);
	u32 len = min_t(u64, emu_block_size(emu), quarter);

	len = min_t(u32, len, size - level->next % size);
	return len <= level->room ? len : 0;
}

/*
 * The tx stream of an end that gets the next block, and its length. The core
 * says which needs it most; if that one has no room for a block, the other
 * may have.
 */
static u32 emu_pick_stream(const struct emu *emu, struct qkd_link *link,
			   struct qkd_stream_level *level)
{
	int stream = qkd_link_next_stream(link);
	u32 len;

	if (stream < 0 || qkd_link_level(link, stream, level))
		return 0;
	len = emu_next_len(emu, level);
	if (len || qkd_link_level(link, stream ^ 1, level))
		return len;
	return emu_next_len(emu, level);
}

static bool emu_is_emptier(const struct qkd_stream_level *a,
			   const struct qkd_stream_level *b)
{
	return a->live * b->capacity < b->live * a->capacity;
}

/* Likewise of a pair: the emptier of what the two ends ask for. */
static u32 emu_pick(const struct emu *emu, struct qkd_stream_level *best)
{
	struct qkd_stream_level level;
	u32 len, best_len = 0;
	int i;

	for (i = 0; i < EMU_ENDS; i++) {
		if (!emu->link[i])
			continue;
		len = emu_pick_stream(emu, emu->link[i], &level);
		if (!len || (best_len && !emu_is_emptier(&level, best)))
			continue;
		*best = level;
		best_len = len;
	}
	return best_len;
}

static struct qkd_link *emu_tx_end(const struct emu *emu, u32 stream)
{
	return emu->link[stream < QKD_STREAM_B2A_PAD ? 0 : 1];
}

static struct qkd_link *emu_rx_end(const struct emu *emu, u32 stream)
{
	return emu->link[stream < QKD_STREAM_B2A_PAD ? 1 : 0];
}

/* Fault: the stretch never arrives, and both ends give it up. */
static int emu_lose(struct emu *emu, const struct qkd_stream_level *level,
		    u32 len)
{
	u64 to = level->next + len;
	int err;

	err = qkd_link_gap(emu_rx_end(emu, level->stream), emu->label,
			   level->stream, to);
	if (!err)
		err = qkd_link_gap(emu_tx_end(emu, level->stream), emu->label,
				   level->stream, to);
	if (err)
		return err;
	WRITE_ONCE(emu->set.lose, emu->set.lose - 1);
	emu_charge(emu, len);
	return 0;
}

/* The rx end proves that it holds the block, the tx end judges. */
static int emu_confirm(struct emu *emu, u32 stream, const struct emu_block *b)
{
	struct qkd_link *tx = emu_tx_end(emu, stream);
	struct qkd_link *rx = emu_rx_end(emu, stream);
	u8 tag[QKD_TAG_LEN];
	u32 verdict = 0;
	int err;

	if (!emu->s_len)
		return 0;
	err = qkd_link_block_tag(rx, emu->label, stream, b->offset, b->length,
				 tag, NULL);
	if (err)
		return err;
	err = qkd_link_block_confirm(tx, emu->label, stream, b->offset,
				     b->length, tag, &verdict, NULL);
	if (err)
		return err;
	return qkd_link_block_confirm(rx, emu->label, stream, b->offset,
				      b->length, NULL, &verdict, NULL);
}

/* First half of a block: the rx end gets it. */
static int emu_supply_rx(struct emu *emu, u32 stream, struct emu_block *b,
			 u8 *buf)
{
	u8 *bytes = emu_bytes(emu, stream, b->offset, b->length, buf);

	if (emu->s_len)
		get_random_bytes(b->s, sizeof(b->s));
	return qkd_link_supply(emu_rx_end(emu, stream), emu->label, stream,
			       b->offset, bytes, b->length,
			       emu->s_len ? b->s : NULL);
}

/* Second half: now the peer has it, tx may. */
static int emu_supply_tx(struct emu *emu, u32 stream, struct emu_block *b,
			 u8 *buf)
{
	u8 *bytes = emu_bytes(emu, stream, b->offset, b->length, buf);
	int err;

	if (emu->set.flip)
		bytes[b->length - 1] ^= 1;
	err = qkd_link_supply(emu_tx_end(emu, stream), emu->label, stream,
			      b->offset, bytes, b->length,
			      emu->s_len ? b->s : NULL);
	if (err)
		return err;
	if (emu->set.flip)
		WRITE_ONCE(emu->set.flip, emu->set.flip - 1);
	err = emu_confirm(emu, stream, b);
	emu_charge(emu, b->length);
	memzero_explicit(b, sizeof(*b));
	return err;
}

/*
 * One block for a pair. A block that only the rx end has, since the tx end had
 * no memory for it, comes before any other of its stream.
 */
static int emu_pair_block(struct emu *emu, u8 *buf)
{
	struct qkd_stream_level level;
	struct emu_block *b;
	u32 len;
	int err;

	len = emu_pick(emu, &level);
	if (!len)
		return -ENOBUFS;
	b = &emu->half[level.stream];
	if (!b->length) {
		struct emu_block new = { .offset = level.next, .length = len };

		if (emu->set.lose)
			return emu_lose(emu, &level, len);
		err = emu_supply_rx(emu, level.stream, &new, buf);
		if (!err)
			*b = new;
		memzero_explicit(&new, sizeof(new));
		if (err)
			return err;
	}
	return emu_supply_tx(emu, level.stream, b, buf);
}

/* One block for the tx of a single end; its peer's rx has it already. */
static int emu_single_block(struct emu *emu, u8 *buf)
{
	struct qkd_stream_level level;
	u32 len;
	int err;

	len = emu_pick(emu, &level);
	if (!len)
		return -ENOBUFS;
	err = qkd_link_supply(emu_tx_end(emu, level.stream), emu->label,
			      level.stream, level.next,
			      emu_bytes(emu, level.stream, level.next, len, buf),
			      len, NULL);
	if (!err)
		emu_charge(emu, len);
	return err;
}

/*
 * One block for an rx stream of a single end, which is kept filled up to what
 * the peer's tx can hold beyond the highest commit. The other half of the ring
 * stays behind, for packets that come late.
 */
static int emu_fill_block(struct emu *emu, u32 stream, u8 *buf)
{
	struct qkd_link *link = emu_rx_end(emu, stream);
	struct qkd_stream_level level;
	u64 end;
	u32 len;
	int err;

	err = qkd_link_level(link, stream, &level);
	if (err)
		return err;
	end = round_down(level.high + emu->capacity[stream & 1], EMU_BLOCK_STEP);
	if (level.next >= end)
		return -ENOBUFS;
	len = min3((u64)EMU_BLOCK_MAX, end - level.next, level.room);
	if (!len)
		return -ENOBUFS;
	return qkd_link_supply(link, emu->label, stream, level.next,
			       emu_bytes(emu, stream, level.next, len, buf),
			       len, NULL);
}

/* Key first: there is less of it. */
static int emu_fill(struct emu *emu, u8 *buf)
{
	u32 stream = emu->role == QKD_ROLE_ALICE ? QKD_STREAM_B2A_KEY :
						   QKD_STREAM_A2B_KEY;
	int n, err, full = 0;

	for (n = 0; n < EMU_FILLS && full < 2; n++) {
		err = emu_fill_block(emu, stream - full, buf);
		if (err == -ENOBUFS)
			full++;
		else if (err)
			return err;
		cond_resched();
	}
	if (full < 2)
		emu_kick(emu, 0);
	return 0;
}

/* Blocks whose time has come. */
static int emu_drain(struct emu *emu, u8 *buf)
{
	u64 now = ktime_get_boottime_ns();
	u64 late = max_t(u64, emu_cost(emu, emu_block_size(emu)),
			 EMU_BURST * NSEC_PER_MSEC);
	int n, err;

	emu->clock = max(emu->clock, now - min(now, late));
	for (n = 0; n < EMU_BLOCKS; n++) {
		if (emu->clock + emu_cost(emu, emu_block_size(emu)) > now)
			return 0;
		err = emu->pair ? emu_pair_block(emu, buf) :
				  emu_single_block(emu, buf);
		if (err)
			return err;
		cond_resched();
	}
	return 0;
}

static bool emu_is_transient(int err)
{
	return err == -ENOBUFS || err == -ENOMEM || err == -EDQUOT ||
	       err == -EFBIG;
}

static int emu_supply(struct emu *emu)
{
	u8 *buf;
	int err = 0;

	if (emu->set.stopped || emu->alarm)
		return -ENOBUFS;
	buf = kvmalloc(EMU_BLOCK_MAX + CHACHA_BLOCK_SIZE, GFP_KERNEL_ACCOUNT);
	if (!buf)
		return -ENOMEM;
	if (!emu->pair)
		err = emu_fill(emu, buf);
	/* rx may be short of memory; tx is served all the same */
	if (!err || emu_is_transient(err))
		err = emu_drain(emu, buf) ?: err;
	kvfree_sensitive(buf, EMU_BLOCK_MAX + CHACHA_BLOCK_SIZE);
	return err;
}

static void emu_tell(struct emu *emu, u64 skr)
{
	int i;

	emu->reported_qber = emu->set.qber;
	emu->reported_skr = skr;
	for (i = 0; i < EMU_ENDS; i++)
		if (emu->link[i])
			qkd_link_report(emu->link[i], emu->set.qber, skr);
}

static void emu_sound(struct emu *emu, u32 event, u32 reason)
{
	int i;

	for (i = 0; i < EMU_ENDS; i++)
		if (emu->link[i])
			qkd_link_alarm(emu->link[i], event, reason);
}

/**
 * emu_qber_changed() - act on a QBER or protocol that was set
 * @emu: emulated link
 *
 * Whether that is an alarm matters while there is a generation to supply; the
 * next one looks anew.
 *
 * Context: may sleep, emu->lock held.
 */
void emu_qber_changed(struct emu *emu)
{
	bool alarm = emu_is_alarming(emu);

	lockdep_assert_held(&emu->lock);
	emu_tell(emu, alarm ? 0 : emu->reported_skr);
	if (!emu->live || alarm == emu->alarm)
		return;
	emu->alarm = alarm;
	emu->bits = 0;
	emu_sound(emu, alarm ? QKD_EVENT_TYPE_QBER_ALARM :
			       QKD_EVENT_TYPE_QBER_CLEAR,
		  alarm ? QKD_REASON_QBER : QKD_REASON_NONE);
}

/* About once a second: what the key rate was. Returns whether any was left. */
static bool emu_report(struct emu *emu)
{
	u64 now = ktime_get_boottime_ns(), passed = now - emu->reported_at;
	u64 skr;

	if (passed < EMU_POLL * NSEC_PER_MSEC)
		return emu->bits || emu->reported_skr;
	skr = div64_u64(emu->bits * MSEC_PER_SEC, div_u64(passed, NSEC_PER_MSEC));
	if (skr != emu->reported_skr)
		emu_tell(emu, skr);
	emu->bits = 0;
	emu->reported_at = now;
	return skr;
}

/*
 * A single end whose peer is further ahead than the ring reaches will never
 * see a commit again, and cannot know how far to jump.
 */
static void emu_check_stale(struct emu *emu)
{
	if (emu->pair || emu->stale ||
	    qkd_link_ahead(emu->link[emu->role - 1]) < EMU_STALE)
		return;
	emu->stale = true;
	emu_sound(emu, QKD_EVENT_TYPE_STALE, QKD_REASON_STALE);
}

/* When to run again, in ms; 0 for when something happens. */
static unsigned int emu_next_run(struct emu *emu, int err, bool reporting)
{
	u64 now = ktime_get_boottime_ns();
	u64 due = emu->clock + emu_cost(emu, emu_block_size(emu));
	u64 wait = due > now ? div_u64(due - now, NSEC_PER_MSEC) + 1 : 0;

	if (err)	/* no room or no memory: resume may or may not come */
		wait = err == -ENOBUFS && !reporting && emu->pair ? 0 : EMU_POLL;
	else
		wait = clamp_t(u64, wait, EMU_TICK, EMU_POLL);
	return wait;
}

static void emu_run(struct emu *emu)
{
	unsigned int ms;
	bool reporting;
	int err;

	set_bit(EMU_WAKE, &emu->flags);
	/* Before looking for room: what appears from here on is news. */
	smp_mb__after_atomic();
	if (!emu_gen_is_live(emu))
		return;
	err = emu_supply(emu);
	if (err && !emu_is_transient(err)) {
		/* Somebody ended the generation, or the ends differ. */
		emu_gen_end(emu, err == -ESTALE || err == -ENETDOWN ?
			    QKD_REASON_PEER : QKD_REASON_DRIVER);
		emu_tell(emu, 0);
		return;
	}
	reporting = emu_report(emu);
	emu_check_stale(emu);
	ms = emu_next_run(emu, err, reporting);
	if (ms)
		queue_delayed_work(emu_wq, &emu->work, msecs_to_jiffies(ms));
}

/**
 * emu_work() - supply what is due
 * @work: of a struct emu
 */
void emu_work(struct work_struct *work)
{
	struct emu *emu = container_of(to_delayed_work(work), struct emu, work);

	mutex_lock(&emu->lock);
	if (emu->ready)
		emu_run(emu);
	mutex_unlock(&emu->lock);
}
