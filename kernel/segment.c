// SPDX-License-Identifier: GPL-2.0-only
/*
 * A segment: its bytes, the bitmap that says who owns them, its head's secret.
 *
 * A bit is set once and never cleared. Whoever sets it owns the step's bytes:
 * it alone uses, counts and wipes them. That is the only synchronisation
 * between allocation, commit, skipping, ageing and gaps.
 */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "core.h"

static u32 qkd_chunk_steps(const struct qkd_segment *seg)
{
	return QKD_CHUNK / seg->stream->step;
}

/**
 * struct qkd_span - steps of one bitmap word, while walking a range
 * @word: the word, NULL where the segment has no memory
 * @mask: the range's bits in it
 * @pos: byte in the segment of the word's first step
 */
struct qkd_span {
	unsigned long *word;
	unsigned long mask;
	u32 pos;
};

/* Fill @span with the word that holds @pos; return the first byte after it. */
static u32 qkd_span_at(const struct qkd_segment *seg, u32 pos, u32 end,
		       struct qkd_span *span)
{
	u32 step = seg->stream->step;
	/* pairs with the release in qkd_segment_grow() */
	struct qkd_chunk *chunk = smp_load_acquire(&seg->chunk[pos / QKD_CHUNK]);
	u32 first = pos % QKD_CHUNK / step;
	u32 word = first / BITS_PER_LONG;
	u32 next = pos - pos % (BITS_PER_LONG * step) + BITS_PER_LONG * step;
	u32 last = (min(next, end) - pos) / step + first % BITS_PER_LONG;

	span->word = chunk ? &chunk->taken[word] : NULL;
	span->mask = GENMASK(last - 1, first % BITS_PER_LONG);
	span->pos = pos - first % BITS_PER_LONG * step;
	return min(next, end);
}

static void qkd_span_wipe(const struct qkd_segment *seg,
			  const struct qkd_span *span, unsigned long bits)
{
	struct qkd_chunk *chunk = seg->chunk[span->pos / QKD_CHUNK];
	u32 step = seg->stream->step;
	unsigned int bit;

	if (bits == ~0UL) {
		memzero_explicit(chunk->bytes + span->pos % QKD_CHUNK,
				 BITS_PER_LONG * step);
		return;
	}
	for_each_set_bit(bit, &bits, BITS_PER_LONG)
		memzero_explicit(chunk->bytes + span->pos % QKD_CHUNK +
				 bit * step, step);
}

static unsigned long qkd_fetch_or(unsigned long *word, unsigned long mask)
{
	return atomic_long_fetch_or(mask, (atomic_long_t *)word);
}

/**
 * qkd_segment_new - a segment without bytes
 * @stream: its stream
 * @no: its number
 *
 * Context: may sleep, link->lock held.
 * Return: the segment or NULL.
 */
struct qkd_segment *qkd_segment_new(struct qkd_byte_stream *stream, u64 no)
{
	struct qkd_segment *seg = kzalloc(sizeof(*seg), GFP_KERNEL_ACCOUNT);

	if (!seg)
		return NULL;
	seg->gen = stream->gen;
	seg->stream = stream;
	seg->link = stream->gen->link;
	kref_get(&seg->link->ref);
	seg->no = no;
	return seg;
}

static struct qkd_chunk *qkd_chunk_new(struct qkd_segment *seg, u64 now)
{
	struct qkd_chunk *chunk;

	chunk = kzalloc(sizeof(*chunk), GFP_KERNEL_ACCOUNT);
	if (!chunk)
		return NULL;
	chunk->bytes = kvzalloc(QKD_CHUNK, GFP_KERNEL_ACCOUNT);
	if (!chunk->bytes) {
		kfree(chunk);
		return NULL;
	}
	chunk->born = now;
	return chunk;
}

/**
 * qkd_segment_grow - have memory for a range
 * @seg: segment
 * @pos: first byte
 * @end: byte after the last
 * @now: CLOCK_BOOTTIME in ns, the age of what will be written
 *
 * Context: may sleep, link->lock held.
 * Return: 0, -ENOMEM, or -EDQUOT at the namespace's cap.
 */
int qkd_segment_grow(struct qkd_segment *seg, u32 pos, u32 end, u64 now)
{
	u32 i;
	int err;

	for (i = pos / QKD_CHUNK; i < DIV_ROUND_UP(end, QKD_CHUNK); i++) {
		struct qkd_chunk *chunk = seg->chunk[i];

		if (chunk) {
			if (!chunk->born)
				chunk->born = now;
			continue;
		}
		err = qkd_net_charge(seg->link, QKD_CHUNK);
		if (err)
			return err;
		chunk = qkd_chunk_new(seg, now);
		if (!chunk) {
			qkd_net_uncharge(seg->link, QKD_CHUNK);
			return -ENOMEM;
		}
		/* pairs with the acquire in qkd_span_at() */
		smp_store_release(&seg->chunk[i], chunk);
	}
	return 0;
}

/**
 * qkd_segment_set_head - take the segment's secret out of its first block
 * @seg: segment; its first chunk has memory
 * @head: the first bytes supplied
 *
 * The head's steps are marked taken, so the bytes are never handed out, and
 * never written to the chunk.
 *
 * Context: may sleep, link->lock held.
 * Return: 0 or -ENOMEM.
 */
int qkd_segment_set_head(struct qkd_segment *seg, const u8 *head)
{
	struct qkd_byte_stream *stream = seg->stream;

	if (stream->kind == QKD_KEY) {
		seg->prf = qkd_prf_new(head, stream->head);
		if (!seg->prf)
			return -ENOMEM;
	}
	memcpy(seg->secret, head, stream->head);
	qkd_segment_take(seg, 0, stream->head);
	atomic64_add(stream->head, &stream->heads);
	return 0;
}

/**
 * qkd_segment_write - write supplied bytes
 * @seg: segment; the range has memory
 * @pos: first byte
 * @bytes: what to write
 * @len: how much
 *
 * Nobody reads the range before stream->usable covers it.
 */
void qkd_segment_write(struct qkd_segment *seg, u32 pos, const u8 *bytes,
		       u32 len)
{
	while (len) {
		u32 n = min_t(u32, len, QKD_CHUNK - pos % QKD_CHUNK);

		memcpy(seg->chunk[pos / QKD_CHUNK]->bytes + pos % QKD_CHUNK,
		       bytes, n);
		pos += n;
		bytes += n;
		len -= n;
	}
}

/**
 * qkd_segment_free - wipe and free a segment that no reader can reach
 * @seg: segment
 *
 * Context: process, after a grace period since it was unpublished.
 */
void qkd_segment_free(struct qkd_segment *seg)
{
	struct qkd_link *link = seg->link;
	u32 i;

	for (i = 0; i < QKD_CHUNKS; i++) {
		if (!seg->chunk[i])
			continue;
		kvfree_sensitive(seg->chunk[i]->bytes, QKD_CHUNK);
		kfree(seg->chunk[i]);
		qkd_net_uncharge(link, QKD_CHUNK);
	}
	qkd_prf_free(seg->prf);
	kfree_sensitive(seg);
	qkd_link_put(link);
}

static void qkd_segment_free_work(struct work_struct *work)
{
	qkd_segment_free(container_of(to_rcu_work(work), struct qkd_segment,
				      rwork));
}

/**
 * qkd_segment_retire - unpublish a segment; wipe and free it later
 * @seg: segment
 *
 * Any number may try; one wins.
 *
 * Context: any, under rcu_read_lock() or link->lock.
 */
void qkd_segment_retire(struct qkd_segment *seg)
{
	struct qkd_byte_stream *stream = seg->stream;
	struct qkd_segment __rcu **slot = qkd_stream_slot(stream, seg->no);

	if (unrcu_pointer(cmpxchg(slot, RCU_INITIALIZER(seg), NULL)) != seg)
		return;
	INIT_RCU_WORK(&seg->rwork, qkd_segment_free_work);
	queue_rcu_work(qkd_free_wq, &seg->rwork);
}

/**
 * qkd_segment_kill - wipe a segment under its users' hands
 * @seg: segment
 *
 * For paths that cannot wait for a grace period: panic, VM fork. Users read
 * @seg->dead after their last use of a byte (qkd_slice_done()), so none counts
 * what it made of wiped bytes.
 *
 * Context: any, rcu_read_lock() or nobody else running.
 */
void qkd_segment_kill(struct qkd_segment *seg)
{
	u32 i;

	WRITE_ONCE(seg->dead, 1);
	smp_wmb();	/* pairs with smp_rmb() in qkd_slice_done() */
	memzero_explicit(seg->secret, sizeof(seg->secret));
	qkd_prf_kill(seg->prf);
	for (i = 0; i < QKD_CHUNKS; i++)
		if (seg->chunk[i])
			memzero_explicit(seg->chunk[i]->bytes, QKD_CHUNK);
}

/**
 * qkd_segment_used - count bytes whose bits were set; retire what is used up
 * @seg: segment
 * @bytes: how many
 *
 * Context: any, under rcu_read_lock() or link->lock.
 */
void qkd_segment_used(struct qkd_segment *seg, u32 bytes)
{
	const struct qkd_byte_stream *stream = seg->stream;
	u32 total = 1U << stream->shift;

	if (bytes && atomic_add_return(bytes, &seg->used) == total)
		qkd_segment_retire(seg);
}

/**
 * qkd_segment_take - take whatever is free in a range, and wipe it
 * @seg: segment
 * @pos: first byte
 * @end: byte after the last
 *
 * Parts of the range without memory are passed over.
 *
 * Context: any, under rcu_read_lock() or link->lock.
 * Return: bytes that this call took.
 */
u32 qkd_segment_take(struct qkd_segment *seg, u32 pos, u32 end)
{
	struct qkd_span span;
	u32 gained = 0;

	while (pos < end) {
		unsigned long bits;

		pos = qkd_span_at(seg, pos, end, &span);
		if (!span.word)
			continue;
		bits = span.mask & ~qkd_fetch_or(span.word, span.mask);
		qkd_span_wipe(seg, &span, bits);
		gained += hweight_long(bits) * seg->stream->step;
	}
	qkd_segment_used(seg, gained);
	return gained;
}

/**
 * qkd_segment_try_take - take a range whole
 * @seg: segment
 * @pos: first byte
 * @len: bytes
 * @burnt: out: where it fails, bytes that were taken all the same and wiped;
 *	the caller counts them
 *
 * Where two overlap both may fail: bits are only ever set.
 *
 * Context: any, under rcu_read_lock().
 * Return: whether the range is the caller's. Its bytes are not counted with
 * qkd_segment_used() yet.
 */
bool qkd_segment_try_take(struct qkd_segment *seg, u32 pos, u32 len, u32 *burnt)
{
	u32 at = pos, end = pos + len;
	struct qkd_span span;

	*burnt = 0;
	while (at < end) {
		u32 next = qkd_span_at(seg, at, end, &span);
		unsigned long old, bits;

		if (!span.word)
			break;
		old = qkd_fetch_or(span.word, span.mask);
		if (likely(!(old & span.mask))) {
			at = next;
			continue;
		}
		bits = span.mask & ~old;
		qkd_span_wipe(seg, &span, bits);
		*burnt = hweight_long(bits) * seg->stream->step;
		break;
	}
	if (likely(at == end))
		return true;
	if (at > pos) {
		struct qkd_slice won = { .seg = seg, .pos = pos, .len = at - pos };

		qkd_slice_wipe(&won);
		*burnt += won.len;
	}
	qkd_segment_used(seg, *burnt);
	return false;
}

/**
 * qkd_segment_is_free - whether nobody took any of a range
 * @seg: segment
 * @pos: first byte
 * @len: bytes
 *
 * Context: any, under rcu_read_lock().
 */
bool qkd_segment_is_free(const struct qkd_segment *seg, u32 pos, u32 len)
{
	u32 end = pos + len;
	struct qkd_span span;

	while (pos < end) {
		pos = qkd_span_at(seg, pos, end, &span);
		if (!span.word || (READ_ONCE(*span.word) & span.mask))
			return false;
	}
	return true;
}

/**
 * qkd_segment_next_free - first byte of the first free step from @pos on
 * @seg: segment
 * @pos: where to begin
 *
 * Context: any, under rcu_read_lock().
 * Return: a position, the segment's size if there is none.
 */
u32 qkd_segment_next_free(const struct qkd_segment *seg, u32 pos)
{
	u32 size = 1U << seg->stream->shift, steps = qkd_chunk_steps(seg);

	while (pos < size) {
		u32 base = pos - pos % QKD_CHUNK, bit = steps;
		struct qkd_chunk *chunk;

		/* pairs with the release in qkd_segment_grow() */
		chunk = smp_load_acquire(&seg->chunk[pos / QKD_CHUNK]);
		if (chunk)
			bit = find_next_zero_bit(chunk->taken, steps,
						 (pos - base) / seg->stream->step);
		if (bit < steps)
			return base + bit * seg->stream->step;
		pos = base + QKD_CHUNK;
	}
	return size;
}

/**
 * qkd_segment_live - bytes below @end that nobody took, counted in the bitmap
 * @seg: segment
 * @end: bytes from the start that were supplied
 *
 * Context: any, under rcu_read_lock().
 */
u64 qkd_segment_live(const struct qkd_segment *seg, u32 end)
{
	struct qkd_span span;
	u64 live = 0;
	u32 pos = 0;

	while (pos < end) {
		pos = qkd_span_at(seg, pos, end, &span);
		if (span.word)
			live += hweight_long(span.mask & ~READ_ONCE(*span.word));
	}
	return live * seg->stream->step;
}

/**
 * qkd_slice_wipe - zero the bytes of a slice whose bits the caller set
 * @sl: slice
 */
void qkd_slice_wipe(const struct qkd_slice *sl)
{
	u32 off, avail;

	for (off = 0; off < sl->len; off += avail) {
		u8 *bytes = qkd_slice_bytes(sl, off, &avail);

		memzero_explicit(bytes, avail);
	}
}

/**
 * qkd_slice_read - copy bytes out of a slice
 * @sl: slice
 * @off: first byte
 * @to: where to
 * @len: how many
 *
 * Packet path. What was read counts only if qkd_slice_is_free() (before the
 * slice is taken) or qkd_slice_done() (after) says so.
 */
void qkd_slice_read(const struct qkd_slice *sl, u32 off, void *to, u32 len)
{
	while (len) {
		u32 avail, n;
		const u8 *bytes = qkd_slice_bytes(sl, off, &avail);

		n = min(len, avail);
		memcpy(to, bytes, n);
		to += n;
		off += n;
		len -= n;
	}
}

/**
 * qkd_slice_is_free - whether bytes that were read were still whole
 * @sl: slice
 *
 * Packet path.
 */
bool qkd_slice_is_free(const struct qkd_slice *sl)
{
	smp_rmb();	/* the read of the bytes before that of the bits */
	return qkd_segment_is_free(sl->seg, sl->pos, sl->len) &&
	       !READ_ONCE(sl->seg->dead);
}

/**
 * qkd_slice_secret - copy the secret of a slice's segment
 * @sl: slice
 * @secret: where to
 * @len: how much of it
 *
 * Packet path.
 * Return: 0, or -EKEYEXPIRED if it was being wiped.
 */
int qkd_slice_secret(const struct qkd_slice *sl, u8 *secret, u32 len)
{
	memcpy(secret, sl->seg->secret, len);
	smp_rmb();	/* pairs with smp_wmb() in qkd_segment_kill() */
	if (likely(!READ_ONCE(sl->seg->dead)))
		return 0;
	memzero_explicit(secret, len);
	return -EKEYEXPIRED;
}

/**
 * qkd_slice_done - the last step with a slice that was taken
 * @sl: slice
 *
 * Wipes the bytes, and tells whether they were whole while they were used.
 *
 * Packet path.
 * Return: 0, or -EKEYEXPIRED: throw away what was made with the slice.
 */
int qkd_slice_done(const struct qkd_slice *sl)
{
	smp_rmb();	/* pairs with smp_wmb() in qkd_segment_kill() */
	if (unlikely(READ_ONCE(sl->seg->dead))) {
		qkd_slice_wipe(sl);
		return -EKEYEXPIRED;
	}
	qkd_slice_wipe(sl);
	return 0;
}
