// SPDX-License-Identifier: GPL-2.0-only
/*
 * Epochs of a receiver.
 *
 * The upper half of a packet's IV names its epoch. Those that are ready stand
 * in a table: verified ones, the units that follow the highest of them, and
 * those that packets asked for. A unit is taken only once a packet has verified
 * under its key; until then its epoch is a guess that costs nothing but work,
 * and forged packets can cause little of that: they must name a free unit
 * within the window with the right tag, no more than AES_TOKENS runs of units a
 * second are asked for, and no more than AES_BLOCKS are prepared at a time.
 */
#include <linux/bitfield.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "aes.h"

#define RX_OLD		(5LL * NSEC_PER_SEC)	/* an unused epoch below the newest goes */
#define RX_AHEAD	(60LL * NSEC_PER_SEC)	/* one above it */
#define RX_BLOCK	(100ULL * NSEC_PER_MSEC)	/* a guess holds its place */
#define RX_WORTH	(100ULL * NSEC_PER_MSEC)	/* of epochs to keep ready */
#define RX_SECRET	(60ULL * NSEC_PER_SEC)	/* the old one stays after the switch */
#define RX_MAX_AGE	((QKD_REKEY_TIME_MAX + 60LL * MSEC_PER_SEC) * NSEC_PER_MSEC)

static struct qkd_epoch *rx_find(struct qkd_aes *aes, u32 iv)
{
	u32 at = FIELD_GET(AES_IV_UNIT, iv), i;

	for (i = 0; i < AES_PROBES; i++) {
		struct qkd_aes_slot *slot = &aes->rx.table[(at + i) & aes->rx.mask];
		struct qkd_epoch *ep;

		/* pairs with the release in rx_insert() */
		if (smp_load_acquire(&slot->iv) != iv)
			continue;
		ep = READ_ONCE(slot->epoch);
		if (!ep || !qkd_epoch_get(ep))
			continue;
		if (ep->iv == iv && !qkd_epoch_is_void(ep))
			return ep;
		qkd_epoch_put(ep);
	}
	return NULL;
}

/* The whole offset of a unit, of which an IV has the low bits. */
static u64 rx_expand(const struct qkd_byte_stream *stream, u32 iv)
{
	u64 top = READ_ONCE(stream->next) / QKD_KEY_UNIT + AES_UNITS / 4 - 1;
	u64 low = FIELD_GET(AES_IV_UNIT, iv);

	if (top < AES_UNITS && low > top)
		return low;	/* before the beginning: refused as ahead of supply */
	return top - ((top - low) & (AES_UNITS - 1));
}

static bool rx_has_phase(const struct qkd_aes *aes, u32 iv)
{
	return READ_ONCE(aes->phases) & BIT(FIELD_GET(AES_IV_PHASE, iv));
}

/* Whether an epoch that is not in the table may be prepared. RCU. */
static int rx_check(struct qkd_aes *aes, u32 iv)
{
	struct qkd_link *link = aes->link;
	struct qkd_gen *gen = rcu_dereference(link->gen);
	struct qkd_byte_stream *stream;
	struct qkd_segment *seg;
	struct qkd_slice sl;
	u64 offset;
	u8 tag;
	int err;

	if (!gen)
		return -ENETDOWN;
	if ((gen->label & 3) != FIELD_GET(AES_IV_LABEL, iv)) {
		qkd_refuse(link, QKD_REFUSED_STALE);
		return -ESTALE;
	}
	if (!rx_has_phase(aes, iv))
		return -ENOPKG;
	stream = qkd_link_stream(link, gen, QKD_KEY, false);
	offset = rx_expand(stream, iv) * QKD_KEY_UNIT;
	seg = qkd_stream_segment(stream, offset >> stream->shift);
	if (!seg)
		return -ENOENT;
	err = qkd_kdf_epoch_tag(seg, aes->sa->spi, offset, &tag);
	if (err)
		return err;
	if (tag != FIELD_GET(AES_IV_TAG, iv)) {
		qkd_refuse(link, QKD_REFUSED_BAD_TAG);
		return -EBADMSG;
	}
	return qkd_stream_find(stream, offset, QKD_KEY_UNIT, &sl);
}

static bool rx_was_seen(const struct qkd_epoch *ep, u32 counter)
{
	u32 top = READ_ONCE(ep->top), window = ep->aes->rx.window;

	if (!READ_ONCE(ep->verified) || counter > top)
		return false;
	return top - counter >= window || test_bit(counter % window, ep->seen);
}

/**
 * qkd_aes_rx_pick - the epoch of a packet
 * @aes: engine of an inbound SA
 * @iv: upper half of the IV; its cipher is the SA's
 * @counter: lower half
 * @epoch: out: with a reference
 *
 * Packet path.
 * Return: 0; -EAGAIN it can be prepared, or will be supplied; -EALREADY the
 * counter was seen, or the unit taken; -ENOENT, -EINVAL no unit is there;
 * -EBADMSG wrong tag; -ENOPKG no such secret; -ESTALE, -ENETDOWN.
 */
int qkd_aes_rx_pick(struct qkd_aes *aes, u32 iv, u32 counter, struct qkd_epoch **epoch)
{
	struct qkd_epoch *ep = rx_find(aes, iv);
	int err;

	if (!ep) {
		rcu_read_lock();
		err = rx_check(aes, iv);
		rcu_read_unlock();
		/* The unit may have been taken by its epoch just now. */
		if (err == -EALREADY)
			ep = rx_find(aes, iv);
		if (!ep)
			return !err || err == -ENODATA ? -EAGAIN : err;
	}
	if (rx_was_seen(ep, counter)) {
		qkd_epoch_put(ep);
		return -EALREADY;
	}
	*epoch = ep;
	return 0;
}

/* One of the units that are prepared sooner or later without being asked for. */
static bool rx_is_expected(struct qkd_aes *aes, u32 iv)
{
	s64 high = atomic64_read(&aes->rx.high);
	u64 ahead = (FIELD_GET(AES_IV_UNIT, iv) - high) & (AES_UNITS - 1);

	return high >= 0 && ahead && ahead <= AES_EXPECTED;
}

static bool rx_is_in_block(s64 block, u32 iv)
{
	return block >= 0 && (block & (AES_UNITS / AES_RUN - 1)) ==
			     FIELD_GET(AES_IV_UNIT, iv) / AES_RUN;
}

/* Another packet has paid for this run, or it is open. aes->lock. */
static bool rx_is_asked_for(struct qkd_aes *aes, u32 iv)
{
	struct qkd_aes_req *r;
	u32 i;

	for (i = 0; i < AES_BLOCKS; i++)
		if (rx_is_in_block(READ_ONCE(aes->rx.blocks[i]), iv))
			return true;
	list_for_each_entry(r, &aes->going, list)
		if (rx_is_in_block(FIELD_GET(AES_IV_UNIT, r->iv) / AES_RUN, iv))
			return true;
	list_for_each_entry(r, &aes->parked, list)
		if (rx_is_in_block(FIELD_GET(AES_IV_UNIT, r->iv) / AES_RUN, iv))
			return true;
	return false;
}

/**
 * qkd_aes_rx_may_ask - whether a packet may ask for an unknown epoch
 * @aes: engine of an inbound SA
 * @iv: upper half of its IV
 *
 * Context: aes->lock held.
 */
bool qkd_aes_rx_may_ask(struct qkd_aes *aes, u32 iv)
{
	struct qkd_aes_rx *rx = &aes->rx;
	unsigned long now = jiffies, more;

	lockdep_assert_held(&aes->lock);
	if (rx_is_expected(aes, iv) || rx_is_asked_for(aes, iv))
		return true;
	more = (now - rx->refilled) / (HZ / AES_TOKENS + 1);
	if (more) {
		rx->tokens = min_t(unsigned long, rx->tokens + more, AES_TOKENS);
		rx->refilled = now;
	}
	if (!rx->tokens)
		return false;
	rx->tokens--;
	return true;
}

/* The first packet of an epoch has verified: its unit is used now. ep->lock. */
static int rx_commit(struct qkd_epoch *ep)
{
	struct qkd_link *link = ep->aes->link;
	struct qkd_gen *gen;
	struct qkd_slice sl;
	int err = -ENETDOWN;

	rcu_read_lock();
	gen = rcu_dereference(link->gen);
	if (!gen || qkd_epoch_is_void(ep))
		goto out_unlock;
	err = qkd_stream_find(qkd_link_stream(link, gen, QKD_KEY, false),
			      ep->unit * QKD_KEY_UNIT, QKD_KEY_UNIT, &sl) ?:
	      qkd_slice_take(&sl);
	if (err)
		goto out_unlock;
	qkd_stream_committed(&sl, QKD_CLASS_REKEY);
	err = qkd_slice_done(&sl);
out_unlock:
	rcu_read_unlock();
	return err;
}

/* Marks a counter; false if it was seen or is behind the window. ep->lock. */
static bool rx_mark(struct qkd_epoch *ep, u32 counter)
{
	u32 window = ep->aes->rx.window;

	if (!ep->verified || counter > ep->top) {
		u32 ahead = ep->verified ? counter - ep->top : window;

		if (ahead >= window)
			bitmap_zero(ep->seen, window);
		else
			for (; ahead; ahead--)
				__clear_bit((counter - ahead + 1) % window, ep->seen);
		WRITE_ONCE(ep->top, counter);
	} else if (ep->top - counter >= window) {
		return false;
	}
	return !__test_and_set_bit(counter % window, ep->seen);
}

/* Others may ask again, and the work may go on from here. */
static void rx_new_epoch(struct qkd_epoch *ep, u64 now)
{
	struct qkd_aes *aes = ep->aes;
	struct qkd_aes_rx *rx = &aes->rx;

	spin_lock(&aes->lock);
	rx->tokens = min_t(u32, rx->tokens + 1, AES_TOKENS);
	if (ep->tabled) {
		list_add_tail(&ep->ready, &rx->verified);
		rx->nverified++;
	}
	/* Not after qkd_aes_rx_drop() has forgotten it. */
	if (atomic64_read(&rx->high) < (s64)ep->unit && !qkd_epoch_is_void(ep)) {
		atomic64_set(&rx->high, ep->unit);
		if (rx->newest && now > rx->newest)
			rx->interval = qkd_aes_mean(rx->interval, now - rx->newest);
		rx->newest = now;
	}
	spin_unlock(&aes->lock);
	qkd_sa_count(aes->sa, QKD_SA_EPOCHS, 1);
	qkd_sa_count(aes->sa, QKD_SA_KEY_BYTES, QKD_KEY_UNIT);
	qkd_sa_tell(aes->sa, QKD_EVENT_TYPE_SA_REKEYED);
	if ((s64)ep->unit + READ_ONCE(rx->ahead) / 2 >= READ_ONCE(rx->edge))
		qkd_aes_kick(aes);
}

/**
 * qkd_aes_rx_accept - a packet has verified
 * @ep: its epoch
 * @counter: of its IV
 * @len: bytes of text
 *
 * Packet path, bottom halves off.
 * Return: 0; -EALREADY a copy was faster; -ENOENT, -ENETDOWN, -EKEYEXPIRED the
 * epoch's unit is not there any more.
 */
int qkd_aes_rx_accept(struct qkd_epoch *ep, u32 counter, u32 len)
{
	u64 now = ktime_get_boottime_ns();
	bool first;
	int err = 0;

	spin_lock_bh(&ep->lock);
	first = !ep->verified;
	if (first)
		err = rx_commit(ep);
	if (!err && !rx_mark(ep, counter))
		err = -EALREADY;
	if (!err) {
		WRITE_ONCE(ep->verified, true);
		WRITE_ONCE(ep->used, now);
		if (first)
			WRITE_ONCE(ep->began, now);
		atomic64_inc(&ep->packets);
		atomic64_add(len, &ep->bytes);
	}
	if (!err && first)
		rx_new_epoch(ep, now);
	spin_unlock_bh(&ep->lock);
	return err;
}

static void rx_remove(struct qkd_aes_slot *slot)
{
	struct qkd_epoch *ep = slot->epoch;
	struct qkd_aes *aes;

	if (!ep)
		return;
	aes = ep->aes;
	WRITE_ONCE(slot->iv, 0);
	WRITE_ONCE(slot->epoch, NULL);
	spin_lock_bh(&aes->lock);
	ep->tabled = false;
	if (!list_empty(&ep->ready)) {
		list_del_init(&ep->ready);
		aes->rx.nverified--;
	}
	spin_unlock_bh(&aes->lock);
	qkd_epoch_put(ep);
}

static void rx_insert(struct qkd_aes *aes, struct qkd_epoch *ep)
{
	struct qkd_aes_slot *slot, *best = NULL;
	u32 i;

	for (i = 0; i < AES_PROBES; i++) {
		slot = &aes->rx.table[(ep->unit + i) & aes->rx.mask];
		if (!slot->iv) {
			best = slot;
			break;
		}
		if (!best || slot->epoch->unit < best->epoch->unit)
			best = slot;
	}
	rx_remove(best);
	ep->tabled = true;	/* no packet has seen it yet */
	WRITE_ONCE(best->epoch, ep);
	/* pairs with the acquire in rx_find() */
	smp_store_release(&best->iv, ep->iv);
}

static struct qkd_secret *rx_secret(struct qkd_aes *aes, u32 phase)
{
	if (aes->secret && (aes->secret->number & 1) == phase)
		return aes->secret;
	return aes->rx.old;	/* rx_check() has seen to it that it is there */
}

/* Read a free unit and derive from it; nothing is taken. */
static int rx_derive(struct qkd_aes *aes, u64 offset, u32 phase, struct qkd_epoch *ep,
		     u8 key[AES_KEY])
{
	struct qkd_slice sl;
	struct qkd_gen *gen;
	int err = -ENETDOWN;

	rcu_read_lock();
	gen = rcu_dereference(aes->link->gen);
	if (!gen)
		goto out_unlock;
	err = qkd_stream_find(qkd_link_stream(aes->link, gen, QKD_KEY, false),
			      offset, QKD_KEY_UNIT, &sl) ?:
	      qkd_epoch_derive(aes, &sl, gen->label, rx_secret(aes, phase), ep, key);
	if (!err && !qkd_slice_is_free(&sl)) {
		memzero_explicit(key, AES_KEY);
		err = -EALREADY;
	}
out_unlock:
	rcu_read_unlock();
	return err;
}

static bool rx_is_known(struct qkd_aes *aes, u64 unit, u32 phase)
{
	u32 i;

	for (i = 0; i < AES_PROBES; i++) {
		struct qkd_aes_slot *slot = &aes->rx.table[(unit + i) & aes->rx.mask];

		if (slot->iv && slot->epoch->unit == unit &&
		    FIELD_GET(AES_IV_PHASE, slot->iv) == phase &&
		    !qkd_epoch_is_void(slot->epoch))
			return true;
	}
	return false;
}

/* Prepares the epoch of a unit. aes->mutex. */
static int rx_make(struct qkd_aes *aes, u64 unit, u32 phase)
{
	u32 seq = READ_ONCE(aes->seq);
	struct qkd_epoch *ep;
	u8 key[AES_KEY];
	int err;

	if (rx_is_known(aes, unit, phase))
		return 0;
	ep = qkd_epoch_new(aes);
	if (!ep)
		return -ENOMEM;
	ep->seq = seq;
	smp_mb();	/* @seq before the generation */
	err = rx_derive(aes, unit * QKD_KEY_UNIT, phase, ep, key);
	if (err) {
		qkd_epoch_void(ep);
		return err;
	}
	err = qkd_epoch_set(ep, key);
	memzero_explicit(key, sizeof(key));
	if (!err)
		rx_insert(aes, ep);
	return err;
}

/* Up to @n units from @unit on, as long as they are there. */
static u64 rx_make_run(struct qkd_aes *aes, u64 unit, u32 n, u32 phase)
{
	const u64 per_segment = QKD_KEY_SEGMENT / QKD_KEY_UNIT;
	u64 end = min(unit + n, round_down(unit, per_segment) + per_segment);
	int err;

	for (; unit < end; unit++) {
		err = rx_make(aes, unit, phase);
		if (err && err != -EALREADY)
			break;
	}
	return unit;
}

/* What follows the newest verified epoch. */
static void rx_go_ahead(struct qkd_aes *aes)
{
	struct qkd_aes_rx *rx = &aes->rx;
	struct qkd_epoch *newest = qkd_aes_rx_newest(aes);
	u64 interval = READ_ONCE(rx->interval);
	u32 ahead;

	if (!newest)
		return;
	ahead = interval ? clamp_t(u64, div64_u64(RX_WORTH, interval), 1, AES_RUN) : 1;
	WRITE_ONCE(rx->ahead, ahead);
	WRITE_ONCE(rx->edge, rx_make_run(aes, newest->unit + 1, ahead,
					 newest->secret & 1) - 1);
}

static void rx_forget_block(struct qkd_aes *aes, s64 block)
{
	u32 i;

	for (i = 0; i <= aes->rx.mask; i++) {
		struct qkd_aes_slot *slot = &aes->rx.table[i];

		if (slot->iv && !READ_ONCE(slot->epoch->verified) &&
		    slot->epoch->unit / AES_RUN == block)
			rx_remove(slot);
	}
}

/* May a guess be made in this block? */
static bool rx_open_block(struct qkd_aes *aes, s64 block, u64 now)
{
	struct qkd_aes_rx *rx = &aes->rx;
	u32 i, oldest = 0;

	for (i = 0; i < AES_BLOCKS; i++) {
		if (rx->blocks[i] == block)
			return true;
		if (rx->block_at[i] < rx->block_at[oldest])
			oldest = i;
	}
	if (now - rx->block_at[oldest] < RX_BLOCK)
		return false;
	if (rx->blocks[oldest] >= 0)
		rx_forget_block(aes, rx->blocks[oldest]);
	WRITE_ONCE(rx->blocks[oldest], block);
	rx->block_at[oldest] = now;
	return true;
}

/* A block in which a packet verified is no guess any more. */
static void rx_close_blocks(struct qkd_aes *aes)
{
	struct qkd_aes_rx *rx = &aes->rx;
	u32 i, at;

	for (i = 0; i <= rx->mask; i++) {
		struct qkd_aes_slot *slot = &rx->table[i];

		if (!slot->iv || !READ_ONCE(slot->epoch->verified))
			continue;
		for (at = 0; at < AES_BLOCKS; at++)
			if (rx->blocks[at] == slot->epoch->unit / AES_RUN) {
				WRITE_ONCE(rx->blocks[at], -1);
				rx->block_at[at] = 0;
			}
	}
}

/* A packet asks for an epoch that nobody expected. */
static void rx_guess(struct qkd_aes *aes, u32 iv, u64 now)
{
	u32 phase = FIELD_GET(AES_IV_PHASE, iv);
	struct qkd_gen *gen;
	u64 unit = 0, block_end;
	int err;

	rcu_read_lock();
	err = rx_check(aes, iv);
	gen = rcu_dereference(aes->link->gen);
	if (!err && gen)
		unit = rx_expand(qkd_link_stream(aes->link, gen, QKD_KEY, false), iv);
	rcu_read_unlock();
	if (err || !gen || rx_is_known(aes, unit, phase))
		return;
	if (rx_is_expected(aes, iv)) {
		rx_make(aes, unit, phase);
		return;
	}
	if (!rx_open_block(aes, unit / AES_RUN, now))
		return;
	block_end = round_down(unit, AES_RUN) + AES_RUN;
	rx_make_run(aes, unit, min_t(u64, 1 + aes->rx.ahead, block_end - unit), phase);
}

/* The epochs that parked packets ask for, each once if they come in a row. */
static u32 rx_asked(struct qkd_aes *aes, u32 asked[QKD_PARKED])
{
	struct qkd_aes_req *r;
	u32 n = 0;

	spin_lock_bh(&aes->lock);
	list_for_each_entry(r, &aes->parked, list)
		if (n < QKD_PARKED && (!n || asked[n - 1] != r->iv))
			asked[n++] = r->iv;
	spin_unlock_bh(&aes->lock);
	return n;
}

static void rx_serve(struct qkd_aes *aes, u64 now)
{
	u32 *asked, i, n;

	if (!READ_ONCE(aes->nparked))
		return;
	asked = kmalloc_array(QKD_PARKED, sizeof(*asked), GFP_KERNEL);
	if (!asked)
		return;		/* they are asked again */
	n = rx_asked(aes, asked);
	rx_close_blocks(aes);
	for (i = 0; i < n; i++)
		rx_guess(aes, asked[i], now);
	kfree(asked);
}

static bool rx_is_over(struct qkd_aes *aes, const struct qkd_epoch *ep, u64 now,
		       u64 behind)
{
	s64 high = atomic64_read(&aes->rx.high);
	s64 idle = now - READ_ONCE(ep->used);	/* packets do not wait for us */

	if (qkd_epoch_is_void(ep) || ep->unit < behind)
		return true;
	if ((s64)ep->unit > high)
		return idle > RX_AHEAD;
	if (ep->unit < aes->rx.floor && !READ_ONCE(ep->verified))
		return true;
	if ((s64)ep->unit < high)
		return idle > RX_OLD;
	/* The fallback epoch of an SA under otp is there for when it is needed. */
	return aes->sa->cipher != QKD_CIPHER_OTP && READ_ONCE(ep->verified) &&
	       (s64)(now - READ_ONCE(ep->began)) > RX_MAX_AGE;
}

static u64 rx_behind(struct qkd_aes *aes)
{
	struct qkd_byte_stream *stream;
	struct qkd_gen *gen;
	u64 high = 0;

	rcu_read_lock();
	gen = rcu_dereference(aes->link->gen);
	if (gen) {
		stream = qkd_link_stream(aes->link, gen, QKD_KEY, false);
		high = atomic64_read(&stream->high) / QKD_KEY_UNIT;
	}
	rcu_read_unlock();
	return high > AES_BEHIND ? high - AES_BEHIND : 0;
}

/* Returns the number of epochs that are left. */
static u32 rx_retire(struct qkd_aes *aes, u64 now)
{
	u64 behind = rx_behind(aes);
	u32 i, left = 0;

	for (i = 0; i <= aes->rx.mask; i++) {
		struct qkd_aes_slot *slot = &aes->rx.table[i];

		if (!slot->iv)
			continue;
		if (rx_is_over(aes, slot->epoch, now, behind))
			rx_remove(slot);
		else
			left++;
	}
	return left;
}

/* The slot of the verified epoch that is next to go, or NULL. */
static struct qkd_aes_slot *rx_first_to_go(struct qkd_aes *aes)
{
	struct qkd_aes_rx *rx = &aes->rx;
	struct qkd_epoch *ep = NULL;
	u32 i;

	spin_lock_bh(&aes->lock);
	if (rx->nverified > rx->keep) {
		ep = list_first_entry(&rx->verified, struct qkd_epoch, ready);
		/* The newest stays, however early it came. */
		if (ep->unit == atomic64_read(&rx->high)) {
			list_move_tail(&ep->ready, &rx->verified);
			ep = list_first_entry(&rx->verified, struct qkd_epoch, ready);
		}
	}
	spin_unlock_bh(&aes->lock);
	for (i = 0; ep && i < AES_PROBES; i++) {
		struct qkd_aes_slot *slot = &rx->table[(ep->unit + i) & rx->mask];

		if (slot->epoch == ep)
			return slot;
	}
	return NULL;
}

/* No more than @keep, and none that was skipped before those that went. */
static void rx_limit(struct qkd_aes *aes)
{
	struct qkd_aes_slot *slot;

	while ((slot = rx_first_to_go(aes))) {
		aes->rx.floor = max(aes->rx.floor, slot->epoch->unit);
		rx_remove(slot);
	}
}

/* The old external secret goes some time after the new one came into use. */
static void rx_age_secret(struct qkd_aes *aes, u64 now)
{
	struct qkd_aes_rx *rx = &aes->rx;
	struct qkd_epoch *newest;

	if (!rx->old)
		return;
	newest = qkd_aes_rx_newest(aes);
	if (!rx->old_until && newest && newest->secret == aes->secret->number)
		rx->old_until = now + RX_SECRET;
	if (!rx->old_until || now < rx->old_until)
		return;
	WRITE_ONCE(aes->phases, BIT(aes->secret->number & 1));
	kfree_sensitive(rx->old);
	rx->old = NULL;
	rx->old_until = 0;
}

/**
 * qkd_aes_rx_newest - the newest verified epoch
 * @aes: engine of an inbound SA
 *
 * Context: process, aes->mutex held.
 * Return: the epoch, held by the table, or NULL.
 */
struct qkd_epoch *qkd_aes_rx_newest(struct qkd_aes *aes)
{
	s64 high = atomic64_read(&aes->rx.high);
	u32 i;

	lockdep_assert_held(&aes->mutex);
	for (i = 0; high >= 0 && i < AES_PROBES; i++) {
		struct qkd_aes_slot *slot = &aes->rx.table[(high + i) & aes->rx.mask];

		if (slot->iv && slot->epoch->unit == high &&
		    READ_ONCE(slot->epoch->verified) &&
		    !qkd_epoch_is_void(slot->epoch))
			return slot->epoch;
	}
	return NULL;
}

/**
 * qkd_aes_rx_prepare - what the work does for a receiver
 * @aes: engine
 *
 * Context: process, aes->mutex held, may sleep.
 * Return: jiffies until it has to be done again, 0 for not by itself.
 */
unsigned long qkd_aes_rx_prepare(struct qkd_aes *aes)
{
	u64 now = ktime_get_boottime_ns();
	u32 left;

	rx_age_secret(aes, now);
	rx_limit(aes);
	left = rx_retire(aes, now);
	rx_go_ahead(aes);
	rx_serve(aes, now);
	if (left > 1)
		return nsecs_to_jiffies(RX_OLD);
	return left || aes->rx.old ? nsecs_to_jiffies(RX_AHEAD) : 0;
}

/**
 * qkd_aes_rx_drop - let go of all epochs
 * @aes: engine of an inbound SA
 *
 * Context: process, aes->mutex held.
 */
void qkd_aes_rx_drop(struct qkd_aes *aes)
{
	struct qkd_aes_rx *rx = &aes->rx;
	u32 i;

	for (i = 0; i <= rx->mask; i++)
		if (rx->table[i].iv)
			rx_remove(&rx->table[i]);
	for (i = 0; i < AES_BLOCKS; i++) {
		WRITE_ONCE(rx->blocks[i], -1);
		rx->block_at[i] = 0;
	}
	spin_lock_bh(&aes->lock);
	atomic64_set(&rx->high, -1);
	spin_unlock_bh(&aes->lock);
	WRITE_ONCE(rx->edge, -1);
	rx->floor = 0;
}

/**
 * qkd_aes_rx_secret - the next external secret
 * @aes: engine of an inbound SA of cipher hybrid
 * @secret: taken over if this succeeds
 * @extack: says what was wrong
 *
 * Context: process, aes->mutex held.
 * Return: 0; -EBUSY two are in use, -EINVAL not the next number.
 */
int qkd_aes_rx_secret(struct qkd_aes *aes, struct qkd_secret *secret,
		      struct netlink_ext_ack *extack)
{
	if (aes->rx.old) {
		NL_SET_ERR_MSG(extack,
			       "two secrets are in use: the peer switched less than a minute ago, or not yet");
		return -EBUSY;
	}
	aes->rx.old = aes->secret;
	aes->rx.old_until = 0;
	aes->secret = secret;
	WRITE_ONCE(aes->phases, BIT(0) | BIT(1));
	return 0;
}

/**
 * qkd_aes_rx_init - set up a receiver's part
 * @aes: engine
 * @window: of the SA, in packets
 *
 * Context: process, may sleep.
 * Return: 0 or -ENOMEM.
 */
int qkd_aes_rx_init(struct qkd_aes *aes, u32 window)
{
	struct qkd_aes_rx *rx = &aes->rx;
	u32 i;

	rx->window = roundup_pow_of_two(clamp_t(u32, window, BITS_PER_LONG, 4096));
	rx->keep = max_t(u32, window, AES_TABLE);
	/* verified, expected, guessed, and in the hands of packets */
	aes->max_epochs = rx->keep + AES_EXPECTED + (AES_BLOCKS + 1) * AES_RUN;
	rx->mask = roundup_pow_of_two(aes->max_epochs) - 1;
	rx->table = kvcalloc(rx->mask + 1, sizeof(*rx->table), GFP_KERNEL_ACCOUNT);
	if (!rx->table)
		return -ENOMEM;
	INIT_LIST_HEAD(&rx->verified);
	atomic64_set(&rx->high, -1);
	rx->edge = -1;
	rx->tokens = AES_TOKENS;
	rx->refilled = jiffies;
	for (i = 0; i < AES_BLOCKS; i++)
		rx->blocks[i] = -1;
	return 0;
}

/**
 * qkd_aes_rx_free - undo qkd_aes_rx_init()
 * @aes: engine
 */
void qkd_aes_rx_free(struct qkd_aes *aes)
{
	kvfree(aes->rx.table);
	kfree_sensitive(aes->rx.old);
}
