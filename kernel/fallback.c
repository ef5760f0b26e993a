// SPDX-License-Identifier: GPL-2.0-only
/*
 * SAs under otp with on-empty aes: which packet goes under the pad, and which
 * under the epoch that the SA owns for when there is no pad.
 *
 * The receiver takes an epoch's unit when a packet has verified under it, and
 * forgets what it has not seen for long. So the SA's first packet, the first one
 * under each new epoch and one a minute go under the epoch although there is
 * pad.
 */
#include <linux/timekeeping.h>

#include "aes.h"

#define FALLBACK_SHOW	(60ULL * NSEC_PER_SEC)	/* between packets that show the epoch */
#define FALLBACK_BACK	SZ_16K			/* pad that brings it back, at least */

static struct qkd_byte_stream *fallback_pad(struct qkd_link *link)
{
	struct qkd_gen *gen = rcu_dereference(link->gen);

	return gen ? qkd_link_stream(link, gen, QKD_PAD, true) : NULL;
}

/*
 * Back to the pad when it is enough for a second of what the SA sends, or a
 * quarter full: else a slow link would change the cipher with each packet.
 */
static bool fallback_may_end(struct qkd_aes *aes, u64 now)
{
	u64 ms = div_u64(now - READ_ONCE(aes->tx.since), NSEC_PER_MSEC) + 1;
	u64 second = div64_u64(atomic64_read(&aes->tx.bytes) * MSEC_PER_SEC, ms);
	struct qkd_byte_stream *pad;
	bool enough = false;

	rcu_read_lock();
	pad = fallback_pad(aes->link);
	if (pad)
		enough = qkd_stream_tx_live(pad) >=
			 clamp_t(u64, second, min_t(u64, FALLBACK_BACK, pad->capacity / 4),
				 pad->capacity / 4);
	rcu_read_unlock();
	return enough;
}

static bool fallback_is_on(struct qkd_aes *aes, u64 now)
{
	struct qkd_aes_tx *tx = &aes->tx;

	if (!test_bit(AES_TX_STARVED, &tx->flags))
		return false;
	if (!fallback_may_end(aes, now))
		return true;
	if (test_and_clear_bit(AES_TX_STARVED, &tx->flags)) {
		WRITE_ONCE(tx->since, 0);
		qkd_sa_tell(aes->sa, QKD_EVENT_TYPE_SA_RESTORED);
		/* An epoch that was used is replaced. */
		qkd_aes_tx_renew(aes);
	}
	return false;
}

static void fallback_begin(struct qkd_aes *aes, u64 now)
{
	struct qkd_aes_tx *tx = &aes->tx;

	if (test_bit(AES_TX_STARVED, &tx->flags))
		return;
	atomic64_set(&tx->bytes, 0);
	WRITE_ONCE(tx->since, now);
	if (!test_and_set_bit(AES_TX_STARVED, &tx->flags))
		qkd_sa_tell(aes->sa, QKD_EVENT_TYPE_SA_FALLBACK);
}

/* Is it time to show the receiver the epoch? One packet a time does. */
static bool fallback_shall_show(struct qkd_aes *aes, u64 now)
{
	u64 told = READ_ONCE(aes->tx.told);

	return (!told || now - told >= FALLBACK_SHOW) &&
	       cmpxchg64(&aes->tx.told, told, now) == told;
}

/**
 * qkd_fallback_encrypt - seal a packet
 * @sa: outbound SA under otp with on-empty aes
 * @req: request of ESP; its lengths were checked
 *
 * Packet path.
 * Return: 0, -EINPROGRESS, or why not (counted).
 */
int qkd_fallback_encrypt(struct qkd_sa *sa, struct aead_request *req)
{
	u64 now = ktime_get_coarse_boottime_ns();
	struct qkd_aes *aes = sa->aes;
	int err;

	if (!fallback_is_on(aes, now)) {
		if (fallback_shall_show(aes, now))
			return qkd_aes_encrypt(sa, req);
		err = qkd_otp_encrypt(sa, req);
		if (err != -ENOKEY)
			return err;
		fallback_begin(aes, now);
	}
	atomic64_add(req->cryptlen, &aes->tx.bytes);
	qkd_sa_count(sa, QKD_SA_FALLBACK, 1);
	return qkd_aes_encrypt(sa, req);
}
