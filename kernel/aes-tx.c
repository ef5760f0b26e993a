// SPDX-License-Identifier: GPL-2.0-only
/*
 * Epochs of a sender.
 *
 * A packet takes the current epoch and the next value of its counter. The
 * packet that finds the epoch due puts the next one in its place, from those
 * that are ready. Units are drawn in runs, no more than the SA is going to use
 * soon, and only when packets come: an idle SA costs nothing.
 *
 * Nonces: a counter is the result of one atomic addition to the epoch's own
 * count, so no two packets have the same, and those that reach the epoch's
 * limit are not used. Nothing else enters it: not ESP's sequence number, which
 * XFRM_MSG_NEWAE can set back.
 */
#include <linux/math64.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "aes.h"

#define TX_UNSPENT	(60ULL * NSEC_PER_SEC)	/* an unused epoch is wiped after this */
#define TX_AHEAD	(100ULL * NSEC_PER_MSEC)	/* worth of epochs to keep ready */
#define TX_SOON		(30 * MSEC_PER_SEC)	/* before its end: prepare the next */
#define TX_RETRY	(100ULL * NSEC_PER_MSEC)	/* after there was no key */
#define TX_POOL		3600			/* s: rekey auto spends a pool in this */

/* A time limit in ms wants more than ticks. */
static u64 tx_now(const struct qkd_aes *aes)
{
	return READ_ONCE(aes->tx.soft.time) < 10 * MSEC_PER_SEC ?
	       ktime_get_boottime_ns() : ktime_get_coarse_boottime_ns();
}

/* How long an epoch was used; under otp, how long it has had to do without pad. */
static u64 tx_age(const struct qkd_epoch *ep, u64 now)
{
	u64 began = ep->aes->sa->cipher == QKD_CIPHER_OTP ?
		    READ_ONCE(ep->aes->tx.since) : READ_ONCE(ep->began);

	return began && now > began ? now - began : 0;
}

static bool tx_is_due(const struct qkd_epoch *ep, const struct qkd_rekey *lim,
		      u32 len, u64 now)
{
	u64 packets = atomic64_read(&ep->packets);

	return packets >= READ_ONCE(lim->packets) ||
	       (packets &&
		atomic64_read(&ep->bytes) + len > READ_ONCE(lim->bytes)) ||
	       tx_age(ep, now) >= READ_ONCE(lim->time) * (u64)NSEC_PER_MSEC;
}

/* So far behind in the stream that the receiver may soon forget it. */
static bool tx_is_passed(const struct qkd_byte_stream *stream,
			 const struct qkd_epoch *ep)
{
	u64 at = atomic64_read(&stream->cursor[QKD_BULK]) / QKD_KEY_UNIT;

	return at > ep->unit + AES_PASSED;
}

/* A reference on @ep and a counter, unless a limit was reached. */
static bool tx_use(struct qkd_aes *aes, const struct qkd_byte_stream *stream,
		   struct qkd_epoch *ep, const struct qkd_rekey *lim, u32 len,
		   u64 now, u32 *counter)
{
	u64 n;

	if (!qkd_epoch_get(ep))
		return false;
	if (READ_ONCE(aes->tx.cur) != ep || qkd_epoch_is_void(ep) ||
	    tx_is_passed(stream, ep) || tx_is_due(ep, lim, len, now))
		goto out_put;
	n = atomic64_fetch_inc(&ep->packets);
	if (n >= READ_ONCE(lim->packets))
		goto out_put;
	*counter = n;
	atomic64_add(len, &ep->bytes);
	if (!READ_ONCE(ep->began))
		cmpxchg64(&ep->began, 0, now);
	return true;

out_put:
	qkd_epoch_put(ep);
	return false;
}

static void tx_need(struct qkd_aes *aes)
{
	if (!test_bit(AES_TX_NEED, &aes->tx.flags) &&
	    !test_and_set_bit(AES_TX_NEED, &aes->tx.flags))
		qkd_aes_kick(aes);
}

/* Will @n of @limit, reached in @age ms, become @limit soon? */
static bool tx_is_near(u64 limit, u64 n, u64 age)
{
	return n >= limit / 2 && (age < 16 || (limit - n) * age <= TX_SOON * n);
}

/* The next epoch shall be ready before this one is due. */
static void tx_look_ahead(struct qkd_aes *aes, const struct qkd_epoch *ep, u64 now)
{
	const struct qkd_rekey *lim = &aes->tx.soft;
	u64 age = tx_age(ep, now) / NSEC_PER_MSEC;
	u32 time = READ_ONCE(lim->time);

	if (READ_ONCE(aes->tx.nready) || now < READ_ONCE(aes->tx.dry))
		return;
	if (age + min_t(u32, time / 2, TX_SOON) >= time ||
	    tx_is_near(lim->packets, min_t(u64, atomic64_read(&ep->packets),
					   lim->packets), age) ||
	    tx_is_near(lim->bytes, min_t(u64, atomic64_read(&ep->bytes),
					 lim->bytes), age))
		tx_need(aes);
}

/* Puts the next epoch in the place of @old; false if none is ready. */
static bool tx_next(struct qkd_aes *aes, struct qkd_epoch *old, u64 now)
{
	struct qkd_aes_tx *tx = &aes->tx;
	struct qkd_epoch *next;
	u64 age;
	bool few;

	spin_lock_bh(&aes->lock);
	if (tx->cur != old) {
		spin_unlock_bh(&aes->lock);
		return true;
	}
	next = list_first_entry_or_null(&tx->ready, struct qkd_epoch, ready);
	if (next) {
		list_del_init(&next->ready);
		WRITE_ONCE(tx->nready, tx->nready - 1);
		age = old ? tx_age(old, now) : 0;
		if (age)
			tx->interval = qkd_aes_mean(tx->interval, age);
		WRITE_ONCE(tx->cur, next);
		WRITE_ONCE(tx->told, now);	/* by the packet that is here */
		clear_bit(AES_TX_RENEW, &tx->flags);
	}
	few = 2 * tx->nready < tx->depth;
	spin_unlock_bh(&aes->lock);

	/* What was prepared because it was near does not call for more. */
	if (next ? few && tx->depth > 1 : now >= READ_ONCE(tx->dry))
		tx_need(aes);
	if (!next)
		return false;
	if (old)
		qkd_epoch_put(old);
	qkd_sa_count(aes->sa, QKD_SA_EPOCHS, 1);
	qkd_sa_tell(aes->sa, QKD_EVENT_TYPE_SA_REKEYED);
	if (aes->sa->cipher != QKD_CIPHER_OTP &&
	    test_and_clear_bit(AES_TX_STARVED, &tx->flags))
		qkd_sa_tell(aes->sa, QKD_EVENT_TYPE_SA_RESTORED);
	return true;
}

/* The epoch is due and none is ready. */
static int tx_starve(struct qkd_aes *aes, const struct qkd_byte_stream *stream,
		     struct qkd_epoch *ep, u32 len, u64 now, u32 *counter)
{
	struct qkd_sa *sa = aes->sa;
	struct qkd_rekey late = aes->tx.soft;

	if (now >= READ_ONCE(aes->tx.dry) &&
	    qkd_stream_available(stream, QKD_CLASS_REKEY) >= QKD_KEY_UNIT) {
		/* A time may pass before the work comes to it; a count may not. */
		late.time = min(late.time + READ_ONCE(aes->park_time), aes->limits.time);
		return ep && tx_use(aes, stream, ep, &late, len, now, counter) ? 0 : -EAGAIN;
	}
	if (sa->on_empty != QKD_ON_EMPTY_AES)
		return -ENOKEY;
	if (!ep || !tx_use(aes, stream, ep, &aes->limits, len, now, counter))
		return -EDQUOT;
	/* Under otp it is the pad that counts. */
	if (sa->cipher != QKD_CIPHER_OTP) {
		qkd_sa_count(sa, QKD_SA_FALLBACK, 1);
		if (!test_and_set_bit(AES_TX_STARVED, &aes->tx.flags))
			qkd_sa_tell(sa, QKD_EVENT_TYPE_SA_FALLBACK);
	}
	return 0;
}

static bool tx_shall_renew(const struct qkd_aes *aes)
{
	return test_bit(AES_TX_RENEW, &aes->tx.flags) && READ_ONCE(aes->tx.nready);
}

/**
 * qkd_aes_tx_pick - the epoch and counter of a packet
 * @aes: engine of an outbound SA
 * @len: bytes of text
 * @epoch: out: with a reference
 * @counter: out: nobody else gets it under this epoch
 *
 * Packet path.
 * Return: 0; -EAGAIN the next epoch is being prepared, -ENOKEY, -EDQUOT no key,
 * and the last epoch is at its limits; -ENETDOWN the link is not up.
 */
int qkd_aes_tx_pick(struct qkd_aes *aes, u32 len, struct qkd_epoch **epoch,
		    u32 *counter)
{
	struct qkd_byte_stream *stream;
	u64 now = tx_now(aes);
	struct qkd_gen *gen;
	struct qkd_epoch *ep;
	int err = -ENETDOWN;

	rcu_read_lock();
	gen = rcu_dereference(aes->link->gen);
	/* pairs with the release in qkd_link_gen_open() */
	if (!gen || !smp_load_acquire(&gen->open))
		goto out_unlock;
	stream = qkd_link_stream(aes->link, gen, QKD_KEY, true);
	do {
		ep = READ_ONCE(aes->tx.cur);
		if (ep && !tx_shall_renew(aes) &&
		    tx_use(aes, stream, ep, &aes->tx.soft, len, now, counter)) {
			tx_look_ahead(aes, ep, now);
			err = 0;
			break;
		}
	} while (tx_next(aes, ep, now));
	if (err)
		err = tx_starve(aes, stream, ep, len, now, counter);
	*epoch = ep;
out_unlock:
	rcu_read_unlock();
	return err;
}

static void tx_publish(struct qkd_aes *aes, struct qkd_epoch *ep)
{
	bool late;

	spin_lock_bh(&aes->lock);
	late = aes->ended || qkd_epoch_is_void(ep);
	if (!late) {
		list_add_tail(&ep->ready, &aes->tx.ready);
		WRITE_ONCE(aes->tx.nready, aes->tx.nready + 1);
		WRITE_ONCE(aes->tx.made, ep->made);
		/* Under otp a packet takes it up now, and so shows it. */
		WRITE_ONCE(aes->tx.told, 0);
	}
	spin_unlock_bh(&aes->lock);
	if (late)
		qkd_epoch_put(ep);
}

/**
 * struct tx_unit - an epoch on its way
 * @ep: epoch
 * @key: its key
 */
struct tx_unit {
	struct qkd_epoch *ep;
	u8 key[AES_KEY];
};

/* Take a run and derive from it. Returns its units, or an errno. */
static int tx_take_run(struct qkd_aes *aes, struct tx_unit *units, u32 n)
{
	struct qkd_byte_stream *stream;
	struct qkd_slice run, unit;
	struct qkd_gen *gen;
	int err = -ENETDOWN;
	u32 i;

	rcu_read_lock();
	gen = rcu_dereference(aes->link->gen);
	/* pairs with the release in qkd_link_gen_open() */
	if (!gen || !smp_load_acquire(&gen->open))
		goto out_unlock;
	stream = qkd_link_stream(aes->link, gen, QKD_KEY, true);
	n = clamp_t(u64, qkd_stream_available(stream, QKD_CLASS_REKEY) / QKD_KEY_UNIT,
		    1, n);
	err = qkd_stream_alloc_key(stream, QKD_CLASS_REKEY, n * QKD_KEY_UNIT, &run);
	if (err && n > 1) {
		n = 1;
		err = qkd_stream_alloc_key(stream, QKD_CLASS_REKEY, QKD_KEY_UNIT, &run);
	}
	if (err)
		goto out_unlock;
	for (i = 0; i < n && !err; i++) {
		unit = (struct qkd_slice){
			.seg = run.seg,
			.pos = run.pos + i * QKD_KEY_UNIT,
			.len = QKD_KEY_UNIT,
		};
		err = qkd_epoch_derive(aes, &unit, gen->label, aes->secret,
				       units[i].ep, units[i].key);
	}
	err = qkd_slice_done(&run) ?: err;
	if (err)
		qkd_refuse(aes->link, QKD_REFUSED_BURNT);
	qkd_link_resume(aes->link);
out_unlock:
	rcu_read_unlock();
	return err ?: n;
}

/**
 * qkd_aes_tx_draw - prepare epochs
 * @aes: engine of an outbound SA
 * @n: how many, up to AES_RUN
 *
 * Context: process, aes->mutex held, may sleep.
 * Return: 0 if there is one more at least; -ENOKEY, -ENETDOWN, -ENOMEM,
 * -EKEYEXPIRED.
 */
int qkd_aes_tx_draw(struct qkd_aes *aes, u32 n)
{
	u32 seq = READ_ONCE(aes->seq), i;
	struct tx_unit *units;
	int got;

	lockdep_assert_held(&aes->mutex);
	units = kcalloc(n, sizeof(*units), GFP_KERNEL);
	if (!units)
		return -ENOMEM;
	smp_mb();	/* @seq before the generation */
	for (i = 0; i < n; i++) {
		units[i].ep = qkd_epoch_new(aes);
		if (!units[i].ep)
			break;
		units[i].ep->seq = seq;
	}
	n = i;
	got = n ? tx_take_run(aes, units, n) : -ENOMEM;
	for (i = 0; i < n; i++) {
		if ((int)i >= got)
			qkd_epoch_void(units[i].ep);
		else if (!qkd_epoch_set(units[i].ep, units[i].key))
			tx_publish(aes, units[i].ep);
	}
	kfree_sensitive(units);
	if (got <= 0)
		return got;
	qkd_sa_count(aes->sa, QKD_SA_KEY_BYTES, (u64)got * QKD_KEY_UNIT);
	return 0;
}

static void tx_drop_ready(struct qkd_aes *aes)
{
	struct qkd_epoch *ep, *next;
	LIST_HEAD(old);

	spin_lock_bh(&aes->lock);
	list_splice_init(&aes->tx.ready, &old);
	WRITE_ONCE(aes->tx.nready, 0);
	spin_unlock_bh(&aes->lock);
	list_for_each_entry_safe(ep, next, &old, ready)
		qkd_epoch_put(ep);
}

static void tx_drop_current(struct qkd_aes *aes)
{
	struct qkd_epoch *ep;

	spin_lock_bh(&aes->lock);
	ep = aes->tx.cur;
	WRITE_ONCE(aes->tx.cur, NULL);
	spin_unlock_bh(&aes->lock);
	if (ep)
		qkd_epoch_put(ep);
}

/* Epochs that were drawn and not used are given up; the units are gone. */
static void tx_expire(struct qkd_aes *aes, u64 now)
{
	struct qkd_epoch *ep, *next;
	LIST_HEAD(old);

	spin_lock_bh(&aes->lock);
	list_for_each_entry_safe(ep, next, &aes->tx.ready, ready)
		if (now - ep->made >= TX_UNSPENT || qkd_epoch_is_void(ep)) {
			list_move(&ep->ready, &old);
			WRITE_ONCE(aes->tx.nready, aes->tx.nready - 1);
		}
	spin_unlock_bh(&aes->lock);
	list_for_each_entry_safe(ep, next, &old, ready)
		qkd_epoch_put(ep);
}

/* An epoch beyond its limits need not wait for the next packet to be wiped. */
static void tx_retire(struct qkd_aes *aes, u64 now)
{
	const struct qkd_epoch *ep = READ_ONCE(aes->tx.cur);

	if (ep && aes->sa->cipher != QKD_CIPHER_OTP &&
	    tx_age(ep, now) >= aes->limits.time * (u64)NSEC_PER_MSEC)
		tx_drop_current(aes);
}

/*
 * rekey auto: spend, of this SA's share, what the link delivers for this
 * direction while its pool is above the low mark and proportionally less below,
 * and a full pool in an hour. That never takes the last of it.
 */
static u32 tx_auto_time(struct qkd_aes *aes)
{
	struct qkd_link *link = aes->link;
	u64 low = max_t(u64, READ_ONCE(link->cfg.low[QKD_KEY]), QKD_KEY_UNIT);
	u64 live = qkd_key_available(link, QKD_CLASS_REKEY, QKD_KEY_UNIT) * QKD_KEY_UNIT;
	u32 weights = max_t(u32, atomic_read(&link->weights), 1);
	u64 rate;	/* 1/1000 byte per second */

	/* half of the secret key rate is this direction's; 8 bits a byte */
	rate = mul_u64_u64_div_u64(READ_ONCE(link->skr) * 125 / 2, min(live, low), low) +
	       div_u64(live * 1000, TX_POOL);
	rate = div_u64(rate * READ_ONCE(aes->weight), weights);
	if (!rate)
		return aes->limits.time;
	return clamp_t(u64, div64_u64(QKD_KEY_UNIT * 1000ULL * MSEC_PER_SEC, rate),
		       1, aes->limits.time);
}

/**
 * qkd_aes_tx_configure - work out when epochs are due
 * @aes: engine of an outbound SA
 *
 * Context: process, aes->mutex held.
 */
void qkd_aes_tx_configure(struct qkd_aes *aes)
{
	const struct qkd_rekey *want = &aes->rekey, *lim = &aes->limits;
	struct qkd_rekey *soft = &aes->tx.soft;
	u32 time = want->automatic ? tx_auto_time(aes) : want->time;

	WRITE_ONCE(soft->packets, min(want->packets ?: lim->packets, lim->packets));
	WRITE_ONCE(soft->bytes, min(want->bytes ?: lim->bytes, lim->bytes));
	WRITE_ONCE(soft->time, min(time ?: lim->time, lim->time));
}

/* A tenth of a second's worth, and what the packets that wait will need. */
static u32 tx_wanted(struct qkd_aes *aes)
{
	struct qkd_aes_tx *tx = &aes->tx;
	u64 interval = READ_ONCE(tx->interval);
	u64 parked = READ_ONCE(aes->nparked);

	WRITE_ONCE(tx->depth, interval ?
		   clamp_t(u64, div64_u64(TX_AHEAD, interval), 1, AES_RUN) : 1);
	return clamp_t(u64, div64_u64(parked, tx->soft.packets) + 1, tx->depth, AES_RUN);
}

/**
 * qkd_aes_tx_prepare - what the work does for a sender
 * @aes: engine
 *
 * Context: process, aes->mutex held, may sleep.
 * Return: jiffies until it has to be done again, 0 for not by itself.
 */
unsigned long qkd_aes_tx_prepare(struct qkd_aes *aes)
{
	struct qkd_aes_tx *tx = &aes->tx;
	u64 now = ktime_get_boottime_ns();
	u32 nready, want;

	qkd_aes_tx_configure(aes);
	tx_expire(aes, now);
	tx_retire(aes, now);
	if (test_bit(AES_TX_NEED, &tx->flags)) {
		want = tx_wanted(aes);
		nready = READ_ONCE(tx->nready);
		if (nready < want && qkd_aes_tx_draw(aes, want - nready) == -ENOKEY)
			WRITE_ONCE(tx->dry, now + TX_RETRY);
		clear_bit(AES_TX_NEED, &tx->flags);
	}
	if (READ_ONCE(tx->nready))
		return nsecs_to_jiffies(TX_UNSPENT);
	if (!READ_ONCE(tx->cur))
		return 0;
	return aes->rekey.automatic ? HZ : msecs_to_jiffies(aes->limits.time);
}

/**
 * qkd_aes_tx_drop - let go of all epochs
 * @aes: engine of an outbound SA
 *
 * Context: process, aes->mutex held.
 */
void qkd_aes_tx_drop(struct qkd_aes *aes)
{
	tx_drop_current(aes);
	tx_drop_ready(aes);
}

/**
 * qkd_aes_tx_switch - the external secret is another one from here on
 * @aes: engine of an outbound SA
 *
 * The next packet begins an epoch with it. If there is no key for one, the
 * current epoch goes on until there is.
 *
 * Context: process, aes->mutex held.
 */
void qkd_aes_tx_switch(struct qkd_aes *aes)
{
	tx_drop_ready(aes);
	if (!READ_ONCE(aes->tx.cur))
		return;		/* idle: the first packet will see to it */
	qkd_aes_tx_draw(aes, 1);
	qkd_aes_tx_renew(aes);
}

/**
 * qkd_aes_tx_renew - the next packet shall have another epoch, if there is one
 * @aes: engine of an outbound SA
 *
 * Packet path.
 */
void qkd_aes_tx_renew(struct qkd_aes *aes)
{
	set_bit(AES_TX_RENEW, &aes->tx.flags);
	tx_need(aes);
}

/**
 * qkd_aes_tx_init - set up a sender's part
 * @aes: engine
 */
void qkd_aes_tx_init(struct qkd_aes *aes)
{
	INIT_LIST_HEAD(&aes->tx.ready);
	aes->tx.depth = 1;
	aes->max_epochs = 3 * AES_RUN;
	qkd_aes_tx_configure(aes);
}
