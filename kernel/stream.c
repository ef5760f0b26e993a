// SPDX-License-Identifier: GPL-2.0-only
/*
 * A stream: supply at one end, allocation or commit at the other, accounts.
 *
 * Supply, confirmation, gaps and ageing run under link->lock. Allocation and
 * commit take no lock: a cursor moves by compare-and-swap, and the segment's
 * bits decide where anything overlaps.
 */
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "core.h"

static u32 qkd_stream_size(const struct qkd_byte_stream *stream)
{
	return 1U << stream->shift;
}

static u64 qkd_stream_mask(const struct qkd_byte_stream *stream)
{
	return qkd_stream_size(stream) - 1;
}

static u64 qkd_stream_limit(const struct qkd_byte_stream *stream)
{
	if (stream->kind == QKD_KEY)
		return QKD_KEY_OFFSET_MAX * QKD_KEY_UNIT;
	/* within QKD_PAD_OFFSET_MAX granules, and 63 bits of bytes */
	return (u64)S64_MAX & ~qkd_stream_mask(stream);
}

/**
 * qkd_stream_init - set up a stream of a new generation
 * @stream: to fill; zeroed
 * @gen: its generation
 * @id: enum qkd_stream
 * @capacity: tx: most bytes live; rx: the ring
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int qkd_stream_init(struct qkd_byte_stream *stream, struct qkd_gen *gen, u32 id,
		    u64 capacity)
{
	bool from_alice = id < QKD_STREAM_B2A_PAD;
	int i;

	stream->gen = gen;
	stream->id = id;
	stream->kind = id & 1;
	stream->tx = from_alice == (gen->link->cfg.role == QKD_ROLE_ALICE);
	stream->step = stream->kind == QKD_KEY ? QKD_KEY_UNIT : QKD_PAD_GRANULE;
	stream->head = stream->kind == QKD_KEY ? QKD_KEY_HEAD : QKD_PAD_HEAD;
	stream->shift = ilog2(stream->kind == QKD_KEY ? QKD_KEY_SEGMENT :
						       QKD_PAD_SEGMENT);
	stream->capacity = capacity;
	INIT_LIST_HEAD(&stream->pending);
	for (i = 0; i < QKD_CURSORS; i++)
		atomic64_set(&stream->cursor[i], i == QKD_BULK ? 0 : QKD_CURSOR_NONE);
	/* a segment begun at each end, and one to take the next block */
	stream->nslots = (capacity >> stream->shift) + 3;
	stream->slot = kvcalloc(stream->nslots, sizeof(*stream->slot),
				GFP_KERNEL_ACCOUNT);
	return stream->slot ? 0 : -ENOMEM;
}

static void qkd_block_free(struct qkd_block *block)
{
	list_del(&block->list);
	kfree_sensitive(block);
}

/**
 * qkd_stream_free - wipe and free a stream that no reader can reach
 * @stream: stream
 *
 * Context: may sleep; a grace period has passed since it was unpublished.
 */
void qkd_stream_free(struct qkd_byte_stream *stream)
{
	struct qkd_block *block, *next;
	u32 i;

	list_for_each_entry_safe(block, next, &stream->pending, list)
		qkd_block_free(block);
	for (i = 0; stream->slot && i < stream->nslots; i++) {
		struct qkd_segment *seg = rcu_dereference_raw(stream->slot[i]);

		if (seg)
			qkd_segment_free(seg);
	}
	kvfree(stream->slot);
}

/**
 * qkd_stream_kill - wipe a stream under its users' hands
 * @stream: stream
 *
 * Context: any, under rcu_read_lock() or with nobody else running.
 */
void qkd_stream_kill(struct qkd_byte_stream *stream)
{
	u32 i;

	for (i = 0; i < stream->nslots; i++) {
		struct qkd_segment *seg = rcu_dereference_raw(stream->slot[i]);

		if (seg)
			qkd_segment_kill(seg);
	}
}

/**
 * qkd_stream_slot - where a segment is published
 * @stream: stream
 * @no: the segment's number
 *
 * Context: any.
 * Return: the slot, which may hold another segment, or none.
 */
struct qkd_segment __rcu **qkd_stream_slot(const struct qkd_byte_stream *stream,
					   u64 no)
{
	u32 slot;

	div_u64_rem(no, stream->nslots, &slot);
	return &stream->slot[slot];
}

static struct qkd_segment *qkd_stream_read(const struct qkd_byte_stream *stream,
					   struct qkd_segment __rcu **slot)
{
	return rcu_dereference_check(*slot,
				     lockdep_is_held(&stream->gen->link->lock));
}

/* Whichever segment holds the slot of segment @no. */
static struct qkd_segment *qkd_stream_holder(const struct qkd_byte_stream *stream,
					     u64 no)
{
	return qkd_stream_read(stream, qkd_stream_slot(stream, no));
}

/**
 * qkd_stream_segment - a segment by number
 * @stream: stream
 * @no: number
 *
 * Context: any, under rcu_read_lock() or link->lock.
 * Return: the segment; NULL if it was not supplied, or was retired.
 */
struct qkd_segment *qkd_stream_segment(const struct qkd_byte_stream *stream, u64 no)
{
	struct qkd_segment *seg = qkd_stream_holder(stream, no);

	return seg && seg->no == no ? seg : NULL;
}

/**
 * qkd_stream_live - bytes supplied and not taken, counted in the bitmaps
 * @stream: stream
 *
 * Costs a pass over the bitmaps; not for packet paths.
 *
 * Context: any, under rcu_read_lock() or link->lock.
 */
u64 qkd_stream_live(const struct qkd_byte_stream *stream)
{
	u64 next = READ_ONCE(stream->next), live = 0;
	u32 i;

	for (i = 0; i < stream->nslots; i++) {
		struct qkd_segment *seg = qkd_stream_read(stream, &stream->slot[i]);
		u64 base;

		if (!seg)
			continue;
		base = seg->no << stream->shift;
		if (next > base)
			live += qkd_segment_live(seg,
				min_t(u64, next - base, qkd_stream_size(stream)));
	}
	return live;
}

/**
 * qkd_stream_tx_live - bytes supplied and not allocated, by the accounts
 * @stream: stream
 *
 * Context: any.
 * Return: bytes; exact at rest.
 */
u64 qkd_stream_tx_live(const struct qkd_byte_stream *stream)
{
	s64 live = READ_ONCE(stream->next) - atomic64_read(&stream->taken) -
		   atomic64_read(&stream->skipped) -
		   atomic64_read(&stream->lost) - atomic64_read(&stream->heads);

	return max_t(s64, live, 0);
}

/*
 * Whether the slot of a new segment @no is held by one that cannot go: at tx
 * by one that the bulk cursor has not passed, at rx by one with blocks that
 * wait for confirmation.
 */
static bool qkd_stream_blocked(const struct qkd_byte_stream *stream, u64 no)
{
	const struct qkd_segment *old = qkd_stream_holder(stream, no);

	if (!old || old->no == no)
		return false;
	if (!stream->tx)
		return stream->usable < (old->no + 1) << stream->shift;
	return READ_ONCE(old->owner) != QKD_CONTROL + 1 &&
	       atomic64_read(&stream->cursor[QKD_BULK]) >> stream->shift <= old->no;
}

/**
 * qkd_stream_room - bytes that a stream takes now
 * @stream: stream
 *
 * An rx ring makes room by giving up what is oldest.
 *
 * Context: link->lock or rcu_read_lock(); without the lock the answer may be
 * old.
 * Return: bytes, no more than the segment at stream->next has left.
 */
u64 qkd_stream_room(const struct qkd_byte_stream *stream)
{
	u64 next = READ_ONCE(stream->next);
	u64 room = qkd_stream_size(stream) - (next & qkd_stream_mask(stream));
	u64 live;

	if (READ_ONCE(stream->npending) >= QKD_BLOCKS_PENDING ||
	    qkd_stream_blocked(stream, next >> stream->shift))
		return 0;
	if (!stream->tx)
		return room;
	live = qkd_stream_tx_live(stream);
	return live >= stream->capacity ? 0 : min(room, stream->capacity - live);
}

/* Usable bytes of a tx key stream are credit until somebody takes them. */
static void qkd_stream_debit(struct qkd_byte_stream *stream, u64 bytes)
{
	if (stream->tx && stream->kind == QKD_KEY)
		atomic64_sub(bytes, &stream->credit);
}

/* New credit first makes up for debt, then fills each class's reserve. */
static void qkd_stream_credit(struct qkd_byte_stream *stream, s64 bytes)
{
	const struct qkd_link_config *cfg = &stream->gen->link->cfg;
	s64 debt = min_t(s64, atomic64_read(&stream->credit), 0);
	s64 spare = bytes + debt;
	int i;

	if (!stream->tx || stream->kind != QKD_KEY)
		return;
	for (i = 0; i < QKD_CLASSES && spare > 0; i++) {
		s64 want = cfg->reserve[i] - atomic64_read(&stream->reserve[i]);

		want = clamp_t(s64, want, 0, spare);
		atomic64_add(want, &stream->reserve[i]);
		bytes -= want;
		spare -= want;
	}
	atomic64_add(bytes, &stream->credit);
}

static s64 qkd_take_up_to(atomic64_t *from, s64 want)
{
	s64 have = atomic64_read(from), n;

	do {
		n = min(have, want);
		if (n <= 0)
			return 0;
	} while (!atomic64_try_cmpxchg(from, &have, have - n));
	return n;
}

/* What nobody reserved first, then the class's own reserve. */
static bool qkd_stream_charge(struct qkd_byte_stream *stream, u32 class, u32 len)
{
	s64 common = qkd_take_up_to(&stream->credit, len);
	s64 own = qkd_take_up_to(&stream->reserve[class - 1], len - common);

	if (common + own == len)
		return true;
	atomic64_add(common, &stream->credit);
	atomic64_add(own, &stream->reserve[class - 1]);
	return false;
}

/* Tell users of tx how full it is; flags make each change one event. */
static void qkd_stream_watch(struct qkd_byte_stream *stream)
{
	struct qkd_link *link = stream->gen->link;
	u64 low = link->cfg.low[stream->kind];
	u64 live = qkd_stream_tx_live(stream);

	if (live >= low) {
		bool was_low = test_bit(0, &stream->low) &&
			       test_and_clear_bit(0, &stream->low);
		bool was_empty = test_bit(0, &stream->empty) &&
				 test_and_clear_bit(0, &stream->empty);

		if (was_low || was_empty)
			qkd_event_note(link, QKD_EVENT_TYPE_KEY_RESTORED, stream->id);
	} else if (!test_bit(0, &stream->low) &&
		   !test_and_set_bit(0, &stream->low)) {
		qkd_event_note(link, QKD_EVENT_TYPE_KEY_LOW, stream->id);
	}
}

/**
 * qkd_stream_dry - a request finds too little
 * @stream: tx stream
 *
 * Counts it, and tells the first one until there is enough again.
 *
 * Context: any.
 * Return: -ENOKEY.
 */
int qkd_stream_dry(struct qkd_byte_stream *stream)
{
	struct qkd_link *link = stream->gen->link;

	qkd_refuse(link, QKD_REFUSED_NO_KEY);
	if (!test_bit(0, &stream->empty) && !test_and_set_bit(0, &stream->empty))
		qkd_event_note(link, QKD_EVENT_TYPE_KEY_EMPTY, stream->id);
	return -ENOKEY;
}

static void qkd_stream_lost(struct qkd_byte_stream *stream, u64 bytes, bool usable)
{
	atomic64_add(bytes, &stream->lost);
	if (usable)
		qkd_stream_debit(stream, bytes);
}

/*
 * Give a segment up: everything in it that nobody took is lost, what was
 * never supplied too. Returns the offset after the segment.
 */
static u64 qkd_segment_give_up(struct qkd_segment *seg)
{
	struct qkd_byte_stream *stream = seg->stream;
	u32 size = qkd_stream_size(stream);
	u64 base = seg->no << stream->shift;
	u64 usable = stream->usable > base ? stream->usable - base : 0;
	u32 credited = min_t(u64, usable, size);
	u32 before, gained;

	gained = qkd_segment_take(seg, 0, credited);
	qkd_stream_lost(stream, gained, true);
	before = atomic_read(&seg->used);
	/* bits above the supply, and chunks that never got memory */
	qkd_segment_take(seg, credited, size);
	qkd_stream_lost(stream, size - before, false);
	qkd_segment_retire(seg);
	return base + size;
}

/*
 * tx: make room for a segment in a slot that a slow class still holds. Only
 * class control falls that far behind; the rest of its segment is skipped.
 */
static void qkd_stream_close(struct qkd_byte_stream *stream, struct qkd_segment *seg)
{
	s64 cursor = atomic64_read(&stream->cursor[QKD_CONTROL]);
	u32 gained;

	if ((u64)cursor >> stream->shift == seg->no)
		atomic64_cmpxchg(&stream->cursor[QKD_CONTROL], cursor,
				 QKD_CURSOR_NONE);
	gained = qkd_segment_take(seg, 0, qkd_stream_size(stream));
	atomic64_add(gained, &stream->skipped);
	qkd_stream_debit(stream, gained);
	qkd_segment_retire(seg);
}

static void qkd_stream_push_out(struct qkd_byte_stream *stream,
				struct qkd_segment *seg)
{
	struct qkd_event ev = {
		.type = QKD_EVENT_TYPE_RETIRED,
		.stream = stream->id,
		.offset = seg->no << stream->shift,
		.length = qkd_segment_live(seg, qkd_stream_size(stream)),
	};

	qkd_segment_give_up(seg);
	if (ev.length)
		qkd_event_send(stream->gen->link, &ev);
}

/* The segment for the next block, a new one if a segment begins there. */
static struct qkd_segment *qkd_stream_open_segment(struct qkd_byte_stream *stream)
{
	u64 no = stream->next >> stream->shift;
	struct qkd_segment *seg, *old;

	seg = qkd_stream_segment(stream, no);
	if (seg)
		return seg;
	if (stream->next & qkd_stream_mask(stream))
		return ERR_PTR(-ERANGE);	/* retired with its rest unsupplied */
	if (qkd_stream_blocked(stream, no))
		return ERR_PTR(-ENOBUFS);
	old = qkd_stream_holder(stream, no);
	if (old && stream->tx)
		qkd_stream_close(stream, old);
	else if (old)
		qkd_stream_push_out(stream, old);
	return qkd_segment_new(stream, no) ?: ERR_PTR(-ENOMEM);
}

static int qkd_stream_check_supply(const struct qkd_byte_stream *stream, u64 offset,
				   u32 len)
{
	u32 in = offset & qkd_stream_mask(stream);

	if (offset != stream->next)
		return -ERANGE;
	if (!len || len % stream->step || len > QKD_CHUNK ||
	    in + len > qkd_stream_size(stream))
		return -EINVAL;
	if (offset + len > qkd_stream_limit(stream))
		return -EFBIG;
	if (stream->npending >= QKD_BLOCKS_PENDING)
		return -ENOBUFS;
	if (stream->tx && qkd_stream_tx_live(stream) + len > stream->capacity)
		return -ENOBUFS;
	return 0;
}

static struct qkd_block *qkd_block_new(struct qkd_byte_stream *stream, u64 offset,
				       u64 length, const u8 *s)
{
	struct qkd_block *block = kzalloc(sizeof(*block), GFP_KERNEL_ACCOUNT);

	if (!block)
		return NULL;
	block->offset = offset;
	block->length = length;
	block->state = s ? QKD_BLOCK_NEW : QKD_BLOCK_LOST;
	if (s)
		memcpy(block->s, s, sizeof(block->s));
	INIT_LIST_HEAD(&block->list);
	return block;
}

static void qkd_stream_publish(struct qkd_byte_stream *stream,
			       struct qkd_segment *seg)
{
	rcu_assign_pointer(*qkd_stream_slot(stream, seg->no), seg);
}

/**
 * qkd_stream_supply - add a block
 * @stream: stream
 * @offset: must be stream->next
 * @bytes: the block
 * @len: a multiple of the step, at most 64 KiB, within one segment
 * @s: one-time bytes for the block's tag; NULL on a link without confirmation
 *
 * Context: may sleep, link->lock held.
 * Return: 0; -ERANGE not the next offset, -EINVAL bad length, -ENOBUFS no
 * room, -EFBIG end of the stream, -EDQUOT the namespace's cap, -ENOMEM.
 * Nothing has changed on error.
 */
int qkd_stream_supply(struct qkd_byte_stream *stream, u64 offset, const u8 *bytes,
		      u32 len, const u8 *s)
{
	u32 in = offset & qkd_stream_mask(stream);
	u64 now = ktime_get_boottime_ns();
	struct qkd_block *block = NULL;
	struct qkd_segment *seg;
	int err;

	lockdep_assert_held(&stream->gen->link->lock);
	err = qkd_stream_check_supply(stream, offset, len);
	if (err)
		return err;
	if (s) {
		block = qkd_block_new(stream, offset, len, s);
		if (!block)
			return -ENOMEM;
	}
	seg = qkd_stream_open_segment(stream);
	if (IS_ERR(seg)) {
		err = PTR_ERR(seg);
		goto err_free_block;
	}
	err = qkd_segment_grow(seg, in, in + len, now);
	if (!err && !in)
		err = qkd_segment_set_head(seg, bytes);
	if (err)
		goto err_free_segment;
	if (!in) {
		qkd_stream_publish(stream, seg);
		qkd_segment_write(seg, stream->head, bytes + stream->head,
				  len - stream->head);
	} else {
		qkd_segment_write(seg, in, bytes, len);
	}
	if (block) {
		list_add_tail(&block->list, &stream->pending);
		stream->npending++;
	}
	WRITE_ONCE(stream->next, offset + len);
	qkd_stream_advance(stream);
	return 0;

err_free_segment:
	if (!in)
		qkd_segment_free(seg);
err_free_block:
	kfree_sensitive(block);
	return err;
}

/* Bytes from @from to @to became usable: count those that can be allocated. */
static void qkd_stream_usable(struct qkd_byte_stream *stream, u64 from, u64 to)
{
	u64 bytes = to - from;

	if (!(from & qkd_stream_mask(stream)))
		bytes -= stream->head;
	qkd_stream_credit(stream, bytes);
}

/**
 * qkd_stream_advance - move the edge of what is usable
 * @stream: stream
 *
 * Over all blocks at the edge that are confirmed or lost; without
 * confirmation, to the end of supply.
 *
 * Context: link->lock held.
 */
void qkd_stream_advance(struct qkd_byte_stream *stream)
{
	struct qkd_block *block, *next;
	u64 from = stream->usable;

	list_for_each_entry_safe(block, next, &stream->pending, list) {
		if (block->state < QKD_BLOCK_EQUAL)
			break;
		if (block->state == QKD_BLOCK_EQUAL)
			qkd_stream_usable(stream, block->offset,
					  block->offset + block->length);
		/* pairs with the acquire of allocation and lookup */
		smp_store_release(&stream->usable, block->offset + block->length);
		qkd_block_free(block);
		stream->npending--;
	}
	if (list_empty(&stream->pending) && stream->usable != stream->next) {
		qkd_stream_usable(stream, stream->usable, stream->next);
		/* as above */
		smp_store_release(&stream->usable, stream->next);
	}
	if (stream->usable == from)
		return;
	if (stream->tx)
		qkd_stream_watch(stream);
	wake_up_interruptible(&stream->gen->link->readers);
}

/**
 * qkd_stream_gap - give up the stretch from stream->next to @to
 * @stream: stream
 * @to: a multiple of the step. Where the stretch covers the head of the
 *	segment that holds @to, it is extended to that segment's end.
 *
 * Context: may sleep, link->lock held.
 * Return: 0, -ERANGE not forward, -EINVAL alignment, -EFBIG end of the
 * stream, -ENOMEM, -EDQUOT.
 */
int qkd_stream_gap(struct qkd_byte_stream *stream, u64 to)
{
	u64 mask = qkd_stream_mask(stream), from = stream->next;
	u64 first_end = (from | mask) + 1;	/* of the segment at @from */
	bool begun = from & mask;
	struct qkd_segment *seg = qkd_stream_segment(stream, from >> stream->shift);
	struct qkd_block *block;
	u64 gained = 0;
	int err;

	lockdep_assert_held(&stream->gen->link->lock);
	if (to % stream->step)
		return -EINVAL;
	if (to <= from)
		return -ERANGE;
	if (!begun || to > first_end)
		to = (to + mask) & ~mask;
	if (to > qkd_stream_limit(stream))
		return -EFBIG;
	block = qkd_block_new(stream, from, to - from, NULL);
	if (!block)
		return -ENOMEM;
	if (begun && seg) {
		u64 end = min(to, first_end) - (seg->no << stream->shift);

		err = qkd_segment_grow(seg, from & mask, end,
				       ktime_get_boottime_ns());
		if (err) {
			kfree(block);
			return err;
		}
		gained = qkd_segment_take(seg, from & mask, end);
	}
	/* what has no segment was never there; its bytes are lost all the same */
	qkd_stream_lost(stream, begun && seg ?
			gained + (to > first_end ? to - first_end : 0) : to - from,
			false);
	list_add_tail(&block->list, &stream->pending);
	stream->npending++;
	WRITE_ONCE(stream->next, to);
	qkd_stream_advance(stream);
	return 0;
}

/**
 * qkd_stream_block - a block that waits for confirmation
 * @stream: stream
 * @offset: of its first byte
 * @length: in bytes
 *
 * Context: link->lock held.
 * Return: the block or NULL.
 */
struct qkd_block *qkd_stream_block(const struct qkd_byte_stream *stream, u64 offset,
				   u32 length)
{
	struct qkd_block *block;

	list_for_each_entry(block, &stream->pending, list)
		if (block->offset == offset && block->length == length)
			return block;
	return NULL;
}

/* A head was lost with its block: nothing in the segment can be used. */
static void qkd_stream_lose_segment(struct qkd_byte_stream *stream,
				    struct qkd_segment *seg)
{
	u64 end = qkd_segment_give_up(seg);
	struct qkd_block *block;

	list_for_each_entry(block, &stream->pending, list)
		if (block->offset >> stream->shift == seg->no)
			block->state = QKD_BLOCK_LOST;
	if (stream->next >= end)
		return;
	/* what is left of the segment goes with it, as in a gap */
	block = list_last_entry(&stream->pending, struct qkd_block, list);
	block->length = end - block->offset;
	WRITE_ONCE(stream->next, end);
}

/**
 * qkd_stream_lose_block - give up a block that the ends hold differently
 * @stream: stream
 * @block: in stream->pending; freed
 *
 * A block that carries its segment's head takes the segment along.
 *
 * Context: link->lock held.
 */
void qkd_stream_lose_block(struct qkd_byte_stream *stream, struct qkd_block *block)
{
	struct qkd_segment *seg = qkd_stream_segment(stream,
						     block->offset >> stream->shift);
	u32 in = block->offset & qkd_stream_mask(stream);

	block->state = QKD_BLOCK_LOST;
	if (seg && !in)
		qkd_stream_lose_segment(stream, seg);
	else if (seg)
		qkd_stream_lost(stream, qkd_segment_take(seg, in, in + block->length),
				false);
	qkd_stream_advance(stream);
}

/* The first place from @pos on where @len bytes fit behind a head. */
static u64 qkd_stream_fit(const struct qkd_byte_stream *stream, u64 pos, u32 len)
{
	u64 in = pos & qkd_stream_mask(stream), base = pos - in;

	if (in < stream->head)
		in = stream->head;
	if (in + len > qkd_stream_size(stream)) {
		base += qkd_stream_size(stream);
		in = stream->head;
	}
	return base + in;
}

/* The rest of the segment at @pos is too short: nobody will ask for it. */
static void qkd_stream_skip(struct qkd_byte_stream *stream, u64 pos)
{
	struct qkd_segment *seg = qkd_stream_segment(stream, pos >> stream->shift);
	u32 in = pos & qkd_stream_mask(stream), gained;

	if (!in || !seg)
		return;
	gained = qkd_segment_take(seg, in, qkd_stream_size(stream));
	atomic64_add(gained, &stream->skipped);
	qkd_stream_debit(stream, gained);
}

static bool qkd_segment_claim(struct qkd_segment *seg, enum qkd_cursor which)
{
	int owner = READ_ONCE(seg->owner);

	if (!owner)
		owner = cmpxchg(&seg->owner, 0, which + 1) ?: (int)which + 1;
	return owner == (int)which + 1;
}

/* Take [pos, pos + len) after the cursor was moved over it. */
static bool qkd_stream_win(struct qkd_byte_stream *stream, struct qkd_segment *seg,
			   u32 pos, u32 len, struct qkd_slice *sl)
{
	u32 burnt;

	if (unlikely(!qkd_segment_try_take(seg, pos, len, &burnt))) {
		qkd_stream_lost(stream, burnt, true);
		return false;
	}
	*sl = (struct qkd_slice){ .seg = seg, .pos = pos, .len = len };
	atomic64_add(len, &stream->taken);
	qkd_segment_used(seg, len);
	return true;
}

/**
 * qkd_stream_alloc - take the next slice
 * @stream: tx stream
 * @which: cursor that moves
 * @len: bytes, a multiple of the step
 * @sl: out: the slice; the caller's until it leaves the read-side section
 *
 * Lock-free. Where a gap, age or a closing segment overlaps, what was taken is
 * burnt and the next slice is tried.
 *
 * Packet path.
 * Return: 0, -ENOKEY, -EMSGSIZE if no segment could hold it.
 */
int qkd_stream_alloc(struct qkd_byte_stream *stream, enum qkd_cursor which, u32 len,
		     struct qkd_slice *sl)
{
	atomic64_t *cursor = &stream->cursor[which];
	u64 mask = qkd_stream_mask(stream);

	if (len > qkd_stream_size(stream) - stream->head)
		return -EMSGSIZE;
	for (;;) {
		s64 pos = atomic64_read(cursor);
		u64 start = qkd_stream_fit(stream, pos, len), base = start & ~mask;
		/* pairs with the release in qkd_stream_advance() */
		u64 usable = smp_load_acquire(&stream->usable);
		struct qkd_segment *seg;

		if (start + len > usable)
			return -ENOKEY;
		seg = qkd_stream_segment(stream, start >> stream->shift);
		if (!seg || !qkd_segment_claim(seg, which)) {
			/* lost, or another cursor's: on to the next segment */
			if (atomic64_cmpxchg(cursor, pos, base + mask + 1) == pos &&
			    base > (u64)pos)
				qkd_stream_skip(stream, pos);
			continue;
		}
		start = qkd_stream_fit(stream, base +
				       qkd_segment_next_free(seg, start & mask), len);
		if (start + len > usable)
			return -ENOKEY;
		if ((start & ~mask) != base) {
			/* the rest of this segment is too short or gone */
			if (atomic64_cmpxchg(cursor, pos, base + mask + 1) == pos) {
				if (base > (u64)pos)
					qkd_stream_skip(stream, pos);
				qkd_stream_skip(stream, max_t(u64, pos, base + stream->head));
			}
			continue;
		}
		if (atomic64_cmpxchg(cursor, pos, start + len) != pos)
			continue;
		if (base > (u64)pos)
			qkd_stream_skip(stream, pos);
		if (qkd_stream_win(stream, seg, start & mask, len, sl))
			return 0;
	}
}

/*
 * A whole segment for class control, so that fast rekeying, which moves the
 * window, does not push its keys out. Only while tx holds enough of them.
 */
static bool qkd_stream_claim_control(struct qkd_byte_stream *stream)
{
	u64 bulk = atomic64_read(&stream->cursor[QKD_BULK]);
	u64 first = (bulk + qkd_stream_mask(stream)) >> stream->shift;
	/* pairs with the release in qkd_stream_advance() */
	u64 end = smp_load_acquire(&stream->usable) >> stream->shift;
	u64 no;

	if (end < first + QKD_CONTROL_SEGMENTS)
		return false;
	for (no = first; no < end; no++) {
		struct qkd_segment *seg = qkd_stream_segment(stream, no);
		u64 start = (no << stream->shift) + stream->head;

		if (!seg || cmpxchg(&seg->owner, 0, QKD_CONTROL + 1))
			continue;
		if (atomic64_cmpxchg(&stream->cursor[QKD_CONTROL], QKD_CURSOR_NONE,
				     start) == QKD_CURSOR_NONE)
			return true;
		/* another CPU claimed one: this goes back */
		WRITE_ONCE(seg->owner, 0);
		return true;
	}
	return false;
}

static int qkd_stream_alloc_control(struct qkd_byte_stream *stream, u32 len,
				    struct qkd_slice *sl)
{
	atomic64_t *cursor = &stream->cursor[QKD_CONTROL];
	u64 mask = qkd_stream_mask(stream);

	for (;;) {
		s64 pos = atomic64_read(cursor);
		struct qkd_segment *seg;

		if ((u64)pos == QKD_CURSOR_NONE) {
			if (!qkd_stream_claim_control(stream))
				return qkd_stream_alloc(stream, QKD_BULK, len, sl);
			continue;
		}
		/* its end is the next segment's start: look at the byte before */
		seg = qkd_stream_segment(stream, (pos - 1) >> stream->shift);
		if (!seg || ((pos - 1) & mask) + 1 + len > mask + 1) {
			if (atomic64_cmpxchg(cursor, pos, QKD_CURSOR_NONE) == pos)
				qkd_stream_skip(stream, pos);
			continue;
		}
		if (atomic64_cmpxchg(cursor, pos, pos + len) == pos &&
		    qkd_stream_win(stream, seg, pos & mask, len, sl))
			return 0;
	}
}

/**
 * qkd_stream_alloc_key - take the next slice of a key stream for a class
 * @stream: tx key stream
 * @class: enum qkd_class
 * @len: bytes, a multiple of the unit
 * @sl: out: the slice
 *
 * Context: any, under rcu_read_lock().
 * Return: 0, -ENOKEY: nothing but what other classes have reserved is left.
 */
int qkd_stream_alloc_key(struct qkd_byte_stream *stream, u32 class, u32 len,
			 struct qkd_slice *sl)
{
	int err;

	if (!qkd_stream_charge(stream, class, len))
		return qkd_stream_dry(stream);
	if (class == QKD_CLASS_CONTROL)
		err = qkd_stream_alloc_control(stream, len, sl);
	else
		err = qkd_stream_alloc(stream, QKD_BULK, len, sl);
	if (err) {
		atomic64_add(len, &stream->credit);
		return err == -ENOKEY ? qkd_stream_dry(stream) : err;
	}
	qkd_stream_watch(stream);
	return 0;
}

/**
 * qkd_stream_available - bytes of a key stream that a class can allocate now
 * @stream: tx key stream
 * @class: enum qkd_class
 *
 * Context: any.
 */
u64 qkd_stream_available(const struct qkd_byte_stream *stream, u32 class)
{
	return max_t(s64, atomic64_read(&stream->credit), 0) +
	       atomic64_read(&stream->reserve[class - 1]);
}

/**
 * qkd_stream_find - the slice that an offset names
 * @stream: rx stream
 * @offset: of the first byte, as the peer sent it
 * @len: bytes
 * @sl: out: the slice; nothing is taken
 *
 * Packet path.
 * Return: 0; -EINVAL no slice can be there, -ENODATA ahead of supply, -ENOENT
 * behind the window or lost, -EALREADY taken.
 */
int qkd_stream_find(struct qkd_byte_stream *stream, u64 offset, u32 len,
		    struct qkd_slice *sl)
{
	u32 in = offset & qkd_stream_mask(stream);
	struct qkd_segment *seg;

	if (offset % stream->step || !len || len % stream->step ||
	    len > qkd_stream_size(stream) || in < stream->head ||
	    in + len > qkd_stream_size(stream))
		return -EINVAL;
	/* pairs with the release in qkd_stream_advance() */
	if (offset >= S64_MAX || offset + len > smp_load_acquire(&stream->usable))
		return -ENODATA;
	seg = qkd_stream_segment(stream, offset >> stream->shift);
	if (!seg)
		return -ENOENT;
	if (!qkd_segment_is_free(seg, in, len))
		return -EALREADY;
	*sl = (struct qkd_slice){ .seg = seg, .pos = in, .len = len };
	return 0;
}

static void qkd_raise(atomic64_t *to, s64 value)
{
	s64 old = atomic64_read(to);

	while (old < value && !atomic64_try_cmpxchg(to, &old, value))
		;
}

/**
 * qkd_slice_take - take a slice that was found and verified
 * @sl: slice
 *
 * Packet path. One of all who found it wins.
 * Return: 0 or -EALREADY.
 */
int qkd_slice_take(const struct qkd_slice *sl)
{
	struct qkd_segment *seg = sl->seg;
	struct qkd_byte_stream *stream = seg->stream;
	struct qkd_link *link = stream->gen->link;
	u32 burnt;

	if (!qkd_segment_try_take(seg, sl->pos, sl->len, &burnt)) {
		qkd_stream_lost(stream, burnt, false);
		return -EALREADY;
	}
	atomic64_add(sl->len, &stream->taken);
	qkd_raise(&stream->high, qkd_slice_offset(sl) + sl->len);
	qkd_segment_used(seg, sl->len);
	if (atomic_read(&link->ahead))
		atomic_set(&link->ahead, 0);
	qkd_link_resume(link);
	return 0;
}

/**
 * qkd_stream_committed - note which class a committed key was of
 * @sl: slice of a key, just taken
 * @class: enum qkd_class
 *
 * Class control may have segments of its own far behind the others, so what
 * it committed says nothing about them, and they nothing about it.
 *
 * Context: any, under rcu_read_lock().
 */
void qkd_stream_committed(const struct qkd_slice *sl, u32 class)
{
	struct qkd_segment *seg = sl->seg;
	int end = sl->pos + sl->len, old = atomic_read(&seg->high);

	while (old < end && !atomic_try_cmpxchg(&seg->high, &old, end))
		;
	WRITE_ONCE(seg->committed, ktime_get_boottime_ns());
	if (class == QKD_CLASS_CONTROL)
		return;
	WRITE_ONCE(seg->bulk, 1);
	qkd_raise(&seg->stream->bulk_high, qkd_slice_offset(sl) + sl->len);
}

static void qkd_segment_lose_below(struct qkd_segment *seg, u32 end)
{
	qkd_stream_lost(seg->stream, qkd_segment_take(seg, 0, end), true);
}

/* rx: what lies below an old commit belongs to packets that never came. */
static void qkd_segment_settle(struct qkd_segment *seg, u64 now, u64 keep)
{
	struct qkd_byte_stream *stream = seg->stream;
	u64 base = seg->no << stream->shift;
	u64 settled = stream->history[QKD_KEEP_STEPS];
	u64 end = 0;

	if (settled > base)
		end = min_t(u64, settled - base, qkd_stream_size(stream));
	if (stream->kind == QKD_KEY && !READ_ONCE(seg->bulk)) {
		u64 committed = READ_ONCE(seg->committed);

		end = committed && now - committed > keep ?
		      atomic_read(&seg->high) : 0;
	}
	if (end)
		qkd_segment_lose_below(seg, end);
}

/* Wipe chunks whose oldest byte is over age; link->lock. */
static void qkd_segment_age(struct qkd_segment *seg, u64 now, u64 max_age)
{
	struct qkd_byte_stream *stream = seg->stream;
	u64 base = seg->no << stream->shift;
	u32 end, i;

	if (stream->usable <= base)
		return;
	end = min_t(u64, stream->usable - base, qkd_stream_size(stream));
	for (i = 0; i * QKD_CHUNK < end; i++) {
		struct qkd_chunk *chunk = seg->chunk[i];

		if (!chunk || !chunk->born || now - chunk->born < max_age)
			continue;
		chunk->born = 0;
		qkd_stream_lost(stream,
				qkd_segment_take(seg, i * QKD_CHUNK,
						 min_t(u32, end, (i + 1) * QKD_CHUNK)),
				true);
	}
}

/* Unconfirmed blocks age too. */
static void qkd_stream_age_pending(struct qkd_byte_stream *stream, u64 now,
				   u64 max_age)
{
	struct qkd_block *block = list_first_entry_or_null(&stream->pending,
							   struct qkd_block, list);
	struct qkd_segment *seg;
	struct qkd_chunk *chunk;

	if (!block || block->state >= QKD_BLOCK_EQUAL)
		return;
	seg = qkd_stream_segment(stream, block->offset >> stream->shift);
	chunk = seg ? seg->chunk[(block->offset & qkd_stream_mask(stream)) /
				 QKD_CHUNK] : NULL;
	if (!chunk || !chunk->born || now - chunk->born >= max_age)
		qkd_stream_lose_block(stream, block);
}

/**
 * qkd_stream_age - wipe what lay too long
 * @stream: stream
 * @now: CLOCK_BOOTTIME in ns
 *
 * By the link's max-age, and at rx by its keep times.
 *
 * Context: link->lock held.
 */
void qkd_stream_age(struct qkd_byte_stream *stream, u64 now)
{
	const struct qkd_link_config *cfg = &stream->gen->link->cfg;
	u64 max_age = cfg->max_age * NSEC_PER_MSEC;
	u64 keep = (stream->kind == QKD_KEY ? cfg->key_keep : cfg->pad_keep) *
		   (u64)NSEC_PER_MSEC;
	u32 i;

	lockdep_assert_held(&stream->gen->link->lock);
	if (max_age)
		qkd_stream_age_pending(stream, now, max_age);
	if (!stream->tx && now >= stream->keep_at) {
		memmove(stream->history + 1, stream->history,
			QKD_KEEP_STEPS * sizeof(stream->history[0]));
		stream->history[0] = atomic64_read(stream->kind == QKD_KEY ?
						   &stream->bulk_high :
						   &stream->high);
		stream->keep_at = now + keep / QKD_KEEP_STEPS;
	}
	for (i = 0; i < stream->nslots; i++) {
		struct qkd_segment *seg = qkd_stream_read(stream, &stream->slot[i]);

		if (!seg)
			continue;
		if (max_age)
			qkd_segment_age(seg, now, max_age);
		if (!stream->tx)
			qkd_segment_settle(seg, now, keep);
	}
}

/**
 * qkd_pad_alloc - take pad for a packet
 * @link: link
 * @len: bytes, a multiple of QKD_PAD_GRANULE
 * @sl: out: the slice
 * @label: out: the generation's label
 *
 * Packet path.
 * Return: 0; -ENETDOWN the link is not up, -ENOKEY, -EMSGSIZE.
 */
int qkd_pad_alloc(struct qkd_link *link, u32 len, struct qkd_slice *sl,
		  u16 *label)
{
	struct qkd_gen *gen = rcu_dereference(link->gen);
	struct qkd_byte_stream *stream;
	int err;

	/* pairs with the release in qkd_link_gen_open() */
	if (!gen || !smp_load_acquire(&gen->open))
		return -ENETDOWN;
	stream = qkd_link_stream(link, gen, QKD_PAD, true);
	err = qkd_stream_alloc(stream, QKD_BULK, len, sl);
	if (err)
		return err == -ENOKEY ? qkd_stream_dry(stream) : err;
	*label = gen->label;
	qkd_stream_watch(stream);
	qkd_link_resume(link);
	return 0;
}

/**
 * qkd_pad_find - the pad that a packet's IV names
 * @link: link
 * @label_bits: low two bits of the generation's label
 * @offset: of the first byte
 * @len: bytes, a multiple of QKD_PAD_GRANULE
 * @sl: out: the slice; nothing is taken
 *
 * Packet path.
 * Return: 0; -ENETDOWN no generation, -ESTALE of another one, and what
 * qkd_stream_find() returns.
 */
int qkd_pad_find(struct qkd_link *link, u32 label_bits, u64 offset, u32 len,
		 struct qkd_slice *sl)
{
	struct qkd_gen *gen = rcu_dereference(link->gen);
	int err;

	if (!gen)
		return -ENETDOWN;
	if ((gen->label & 3) != label_bits) {
		qkd_refuse(link, QKD_REFUSED_STALE);
		return -ESTALE;
	}
	err = qkd_stream_find(qkd_link_stream(link, gen, QKD_PAD, false),
			      offset, len, sl);
	if (err == -EALREADY)
		qkd_refuse(link, QKD_REFUSED_DUPLICATE);
	else if (err)
		qkd_refuse(link, QKD_REFUSED_NOT_HERE);
	if (err == -ENODATA)
		atomic_inc(&link->ahead);
	return err;
}
