// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packets of an SA under AES-256-GCM: the child's requests, packets that wait
 * for their epoch, and the work that makes epochs.
 *
 * The child (gcm(aes), whatever the kernel's best is) may answer at once or
 * later, and packets of one SA run on all CPUs. Whatever was sealed or opened
 * counts only if the epoch is not void afterwards.
 */
#include <crypto/internal/aead.h>
#include <crypto/scatterwalk.h>
#include <linux/bitfield.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "aes.h"

static struct qkd_aes *aes_of(const struct qkd_aes_req *r)
{
	return r->epoch->aes;
}

static bool aes_is_tx(const struct qkd_aes *aes)
{
	return aes->sa->dir == QKD_DIR_OUT;
}

/* Counts a refusal, and says it in a word that ESP and sockets know. */
static int aes_refused(struct qkd_aes *aes, int err)
{
	struct qkd_sa *sa = aes->sa;

	switch (err) {
	case -EDQUOT:
		qkd_sa_count(sa, QKD_SA_LIMIT, 1);
		return -ENOKEY;
	case -ENOPKG:
		qkd_sa_count(sa, QKD_SA_PHASE, 1);
		return -ENOKEY;
	case -EBUSY:
		qkd_sa_count(sa, QKD_SA_THROTTLED, 1);
		return -ENOSPC;
	case -ENOSPC:
	case -ETIMEDOUT:
		qkd_sa_count(sa, QKD_SA_PARKING, 1);
		return -ENOSPC;
	case -EALREADY:
		qkd_refuse(aes->link, QKD_REFUSED_DUPLICATE);
		return qkd_sa_refused(sa, err);
	case -ENOENT:
	case -EINVAL:
		qkd_refuse(aes->link, QKD_REFUSED_NOT_HERE);
		return qkd_sa_refused(sa, err);
	case -EBADMSG:
		qkd_refuse(aes->link, QKD_REFUSED_ICV);
		qkd_event_note(aes->link, QKD_EVENT_TYPE_ICV_FAIL, -1);
		return qkd_sa_refused(sa, err);
	default:
		return qkd_sa_refused(sa, err);
	}
}

static void aes_count(struct qkd_aes *aes, u32 len)
{
	qkd_sa_count(aes->sa, QKD_SA_PACKETS, 1);
	qkd_sa_count(aes->sa, QKD_SA_BYTES, len);
	/* The sender knows why, and counts it where it decides. */
	if (aes->sa->cipher == QKD_CIPHER_OTP && !aes_is_tx(aes))
		qkd_sa_count(aes->sa, QKD_SA_FALLBACK, 1);
}

/* The last step of a packet, whenever the child has answered. */
static int aes_finish(struct qkd_aes_req *r, int err)
{
	struct qkd_epoch *ep = r->epoch;
	struct qkd_aes *aes = aes_of(r);

	if (!err && !aes_is_tx(aes))
		err = qkd_aes_rx_accept(ep, r->counter, r->len);
	if (!err && qkd_epoch_is_void(ep))
		err = -EKEYEXPIRED;
	memzero_explicit(r->nonce, sizeof(r->nonce));
	if (err)
		err = aes_refused(aes, err);
	else
		aes_count(aes, r->len);
	qkd_epoch_put(ep);
	return err;
}

static void aes_done(QKD_DONE_ARG *areq, int err)
{
	struct qkd_aes_req *r = qkd_done_data(areq);
	struct aead_request *req = r->req;

	if (err == -EINPROGRESS)	/* it has left a backlog */
		return;
	aead_request_complete(req, aes_finish(r, err));
}

static void aes_child(struct qkd_aes_req *r, struct qkd_epoch *ep, u32 cryptlen)
{
	struct aead_request *req = r->req, *sub = &r->sub;
	__be32 counter = cpu_to_be32(r->counter);

	r->epoch = ep;
	memcpy(r->nonce, ep->nonce, AES_NONCE);
	crypto_xor(r->nonce + AES_NONCE - sizeof(counter), (u8 *)&counter,
		   sizeof(counter));
	aead_request_set_tfm(sub, ep->tfm);
	aead_request_set_callback(sub, req->base.flags, aes_done, r);
	aead_request_set_crypt(sub, req->src, req->dst, cryptlen, r->nonce);
	/* The kernel's associated data leaves the IV out; ours does not. */
	aead_request_set_ad(sub, req->assoclen + AES_IV);
}

/* Returns -EAGAIN if the epoch is not ready. */
static int aes_seal(struct qkd_aes *aes, struct qkd_aes_req *r)
{
	struct aead_request *req = r->req;
	struct qkd_epoch *ep;
	__be32 iv[2];
	int err;

	err = qkd_aes_tx_pick(aes, r->len, &ep, &r->counter);
	if (err)
		return err == -EAGAIN ? err : aes_refused(aes, err);
	aes_child(r, ep, req->cryptlen - AES_IV);
	iv[0] = cpu_to_be32(ep->iv);
	iv[1] = cpu_to_be32(r->counter);
	/* ESP has its header, IV included, in both lists. */
	scatterwalk_map_and_copy(iv, req->dst, req->assoclen, AES_IV, 1);
	if (req->src != req->dst)
		scatterwalk_map_and_copy(iv, req->src, req->assoclen, AES_IV, 1);
	err = crypto_aead_encrypt(&r->sub);
	return err == -EINPROGRESS ? err : aes_finish(r, err);
}

static int aes_open(struct qkd_aes *aes, struct qkd_aes_req *r)
{
	struct qkd_epoch *ep;
	int err;

	err = qkd_aes_rx_pick(aes, r->iv, r->counter, &ep);
	if (err)
		return err == -EAGAIN ? err : aes_refused(aes, err);
	aes_child(r, ep, r->req->cryptlen - AES_IV);
	err = crypto_aead_decrypt(&r->sub);
	return err == -EINPROGRESS ? err : aes_finish(r, err);
}

static int aes_try(struct qkd_aes *aes, struct qkd_aes_req *r)
{
	return aes_is_tx(aes) ? aes_seal(aes, r) : aes_open(aes, r);
}

/*
 * Packets that wait
 */

static void aes_unpark_account(struct qkd_aes *aes, u32 len)
{
	lockdep_assert_held(&aes->lock);
	WRITE_ONCE(aes->nparked, aes->nparked - 1);
	aes->parked_bytes -= len;
	qkd_net_unpark(aes->link, len);
}

static int aes_park_account(struct qkd_aes *aes, const struct qkd_aes_req *r)
{
	lockdep_assert_held(&aes->lock);
	if (aes->ended)
		return -ENETDOWN;
	if (!READ_ONCE(aes->park_time) || aes->nparked >= QKD_PARKED ||
	    aes->parked_bytes + r->len > QKD_PARKED_BYTES)
		return -ENOSPC;
	if (!aes_is_tx(aes) && !qkd_aes_rx_may_ask(aes, r->iv))
		return -EBUSY;
	if (!qkd_net_park(aes->link, r->len))
		return -ENOSPC;
	WRITE_ONCE(aes->nparked, aes->nparked + 1);
	aes->parked_bytes += r->len;
	return 0;
}

/* The request stays pending until aes_unpark(). */
static int aes_park(struct qkd_aes *aes, struct qkd_aes_req *r)
{
	int err;

	r->since = ktime_get_boottime_ns();
	spin_lock_bh(&aes->lock);
	err = aes_park_account(aes, r);
	if (!err)
		list_add_tail(&r->list, &aes->parked);
	spin_unlock_bh(&aes->lock);
	if (err)
		return aes_refused(aes, err);
	qkd_sa_count(aes->sa, QKD_SA_PARKED, 1);
	qkd_aes_kick(aes);
	return -EINPROGRESS;
}

/* One that has waited; -EAGAIN if it shall go on waiting. */
static int aes_retry(struct qkd_aes *aes, struct qkd_aes_req *r, u64 now)
{
	u64 patience = READ_ONCE(aes->park_time) * (u64)NSEC_PER_MSEC;
	u64 since = r->since;
	int err;

	/* While there is an epoch for each in its turn, a sender's need not hurry. */
	if (aes_is_tx(aes))
		since = max(since, READ_ONCE(aes->tx.made));

	if (READ_ONCE(aes->ended))
		return aes_refused(aes, -ENETDOWN);
	err = aes_try(aes, r);
	if (err == -EAGAIN && now > since && now - since >= patience)
		return aes_refused(aes, -ETIMEDOUT);
	return err;
}

/* The next one that the work takes out, or NULL. */
static struct qkd_aes_req *aes_take_parked(struct qkd_aes *aes)
{
	struct qkd_aes_req *r;

	spin_lock(&aes->lock);
	r = list_first_entry_or_null(&aes->going, struct qkd_aes_req, list);
	if (r)
		list_del(&r->list);
	aes->gone = r ? r->iv : 0;
	spin_unlock(&aes->lock);
	return r;
}

/*
 * Lets those go whose epochs are ready, in the order in which they came. A
 * sender's wait for one another; new ones queue up behind them meanwhile.
 */
static unsigned long aes_unpark(struct qkd_aes *aes)
{
	u64 now = ktime_get_boottime_ns();
	struct aead_request *req;
	bool waits = false, went = false;
	struct qkd_aes_req *r;
	LIST_HEAD(again);
	u32 len;
	int err;

	spin_lock_bh(&aes->lock);
	list_splice_init(&aes->parked, &aes->going);
	spin_unlock_bh(&aes->lock);

	local_bh_disable();
	while (!(waits && aes_is_tx(aes)) && (r = aes_take_parked(aes))) {
		req = r->req;
		len = r->len;
		err = aes_retry(aes, r, now);
		if (err == -EAGAIN) {
			list_add_tail(&r->list, &again);
			waits = true;
			continue;
		}
		went = true;
		/* From here on the request may be gone. */
		if (err != -EINPROGRESS)
			aead_request_complete(req, err);
		spin_lock(&aes->lock);
		aes_unpark_account(aes, len);
		spin_unlock(&aes->lock);
		/* one packet at a time with bottom halves off */
		local_bh_enable();
		local_bh_disable();
	}
	spin_lock(&aes->lock);
	aes->gone = 0;
	list_splice_init(&aes->going, &aes->parked);
	list_splice(&again, &aes->parked);
	spin_unlock(&aes->lock);
	local_bh_enable();
	if (waits && went)
		qkd_aes_kick(aes);
	return waits ? msecs_to_jiffies(2) : 0;
}

/* Does a packet of the same epoch wait, which came before? */
static bool aes_waits_before(struct qkd_aes *aes, u32 iv)
{
	struct qkd_aes_req *r;
	bool found;

	spin_lock_bh(&aes->lock);
	found = aes->gone == iv;
	list_for_each_entry(r, &aes->going, list)
		found |= r->iv == iv;
	list_for_each_entry(r, &aes->parked, list)
		found |= r->iv == iv;
	spin_unlock_bh(&aes->lock);
	return found;
}

/**
 * qkd_aes_kick - let the work run now
 * @aes: engine, of an SA that somebody holds
 *
 * Context: any.
 */
void qkd_aes_kick(struct qkd_aes *aes)
{
	mod_delayed_work(qkd_wq, &aes->work, 0);
}

static void aes_work(struct work_struct *work)
{
	struct qkd_aes *aes = container_of(to_delayed_work(work), struct qkd_aes, work);
	unsigned long delay = 0, wait;

	mutex_lock(&aes->mutex);
	if (!aes->ended)
		delay = aes_is_tx(aes) ? qkd_aes_tx_prepare(aes) :
					 qkd_aes_rx_prepare(aes);
	mutex_unlock(&aes->mutex);
	wait = aes_unpark(aes);
	mutex_lock(&aes->mutex);
	qkd_epochs_scrub(aes);
	mutex_unlock(&aes->mutex);
	if (wait && (!delay || wait < delay))
		delay = wait;
	if (delay)
		queue_delayed_work(qkd_wq, &aes->work, delay);
}

/*
 * For the AEADs
 */

static struct qkd_aes_req *aes_begin(struct aead_request *req, u32 len)
{
	struct qkd_aes_req *r = aead_request_ctx(req);

	r->req = req;
	r->len = len;
	r->iv = 0;
	return r;
}

/**
 * qkd_aes_encrypt - seal a packet
 * @sa: outbound SA with an engine
 * @req: request of ESP; its lengths were checked
 *
 * Packet path.
 * Return: 0, -EINPROGRESS, or why not (counted).
 */
int qkd_aes_encrypt(struct qkd_sa *sa, struct aead_request *req)
{
	struct qkd_aes_req *r = aes_begin(req, req->cryptlen - AES_IV);
	struct qkd_aes *aes = sa->aes;
	int err = -EAGAIN;

	if (!READ_ONCE(aes->nparked))
		err = aes_seal(aes, r);
	return err == -EAGAIN ? aes_park(aes, r) : err;
}

/**
 * qkd_aes_decrypt - open a packet
 * @sa: inbound SA with an engine
 * @req: request of ESP; its lengths were checked
 * @iv: the packet's, with a cipher that the SA takes
 *
 * Packet path.
 * Return: 0, -EINPROGRESS, or why not (counted).
 */
int qkd_aes_decrypt(struct qkd_sa *sa, struct aead_request *req, u64 iv)
{
	struct qkd_aes_req *r = aes_begin(req, req->cryptlen - AES_IV - AES_ICV);
	struct qkd_aes *aes = sa->aes;
	int err = -EAGAIN;

	r->iv = iv >> 32;
	r->counter = iv;
	if (!READ_ONCE(aes->nparked) || !aes_waits_before(aes, r->iv))
		err = aes_open(aes, r);
	return err == -EAGAIN ? aes_park(aes, r) : err;
}

/**
 * qkd_aes_reqsize - what ESP has to make room for in a request
 * @aes: engine
 */
u32 qkd_aes_reqsize(const struct qkd_aes *aes)
{
	return sizeof(struct qkd_aes_req) + aes->reqsize;
}

/*
 * Lifetime
 */

/* The first child says which driver, and how large its requests are. */
static int aes_choose_driver(struct qkd_aes *aes, struct netlink_ext_ack *extack)
{
	struct crypto_aead *tfm = crypto_alloc_aead("gcm(aes)", 0, 0);

	if (IS_ERR(tfm)) {
		NL_SET_ERR_MSG(extack, "the kernel has no AES-GCM");
		return PTR_ERR(tfm);
	}
	aes->driver = kstrdup(crypto_tfm_alg_driver_name(crypto_aead_tfm(tfm)),
			      GFP_KERNEL);
	aes->reqsize = crypto_aead_reqsize(tfm);
	crypto_free_aead(tfm);
	return aes->driver ? 0 : -ENOMEM;
}

/* The weight of an SA with rekey auto counts among its link's while it lives. */
static void aes_weigh(struct qkd_aes *aes, bool count)
{
	if (!aes_is_tx(aes) || !aes->rekey.automatic || count == aes->counted)
		return;
	aes->counted = count;
	if (count)
		atomic_add(aes->weight, &aes->link->weights);
	else
		atomic_sub(aes->weight, &aes->link->weights);
}

static int aes_start(struct qkd_aes *aes, const struct qkd_esp_config *cfg)
{
	int err;

	aes->rekey = cfg->rekey;
	aes->limits = cfg->limits;
	aes->weight = cfg->weight;
	aes->park_time = cfg->park_time;
	if (cfg->secret) {
		aes->secret = kmemdup(cfg->secret, sizeof(*cfg->secret),
				      GFP_KERNEL_ACCOUNT);
		if (!aes->secret)
			return -ENOMEM;
		aes->phases = BIT(cfg->secret->number & 1);
	} else {
		aes->phases = BIT(0);
	}
	if (!aes_is_tx(aes))
		return qkd_aes_rx_init(aes, cfg->replay_window);
	aes_weigh(aes, true);
	qkd_aes_tx_init(aes);
	if (cfg->cipher != QKD_CIPHER_OTP)
		return 0;
	/* What falls back on an epoch has one from the start. */
	mutex_lock(&aes->mutex);
	err = qkd_aes_tx_draw(aes, 1);
	mutex_unlock(&aes->mutex);
	return err;
}

/**
 * qkd_aes_new - the engine of an SA
 * @sa: SA that is being made; sa->aes is set
 * @cfg: what it is made with
 * @extack: says what was wrong
 *
 * Context: process, may sleep.
 * Return: 0; -ENOKEY an SA under otp needs a key to fall back on, -ENETDOWN its
 * link is not up, -ENOMEM, or what the crypto API said.
 */
int qkd_aes_new(struct qkd_sa *sa, const struct qkd_esp_config *cfg,
		struct netlink_ext_ack *extack)
{
	struct qkd_aes *aes = kzalloc(sizeof(*aes), GFP_KERNEL_ACCOUNT);
	int err;

	if (!aes)
		return -ENOMEM;
	sa->aes = aes;
	aes->sa = sa;
	aes->link = sa->link;
	aes->cipher = sa->cipher == QKD_CIPHER_HYBRID ? QKD_CIPHER_HYBRID :
							QKD_CIPHER_AES;
	mutex_init(&aes->mutex);
	spin_lock_init(&aes->lock);
	INIT_LIST_HEAD(&aes->epochs);
	INIT_LIST_HEAD(&aes->parked);
	INIT_LIST_HEAD(&aes->going);
	init_llist_head(&aes->idle);
	init_llist_head(&aes->used);
	INIT_DELAYED_WORK(&aes->work, aes_work);
	err = aes_choose_driver(aes, extack);
	if (!err)
		err = aes_start(aes, cfg);
	if (err == -ENOKEY)
		NL_SET_ERR_MSG(extack, "link has no key for the epoch to fall back on");
	else if (err == -ENETDOWN)
		NL_SET_ERR_MSG(extack, "link is not up: no key for the epoch to fall back on");
	return err;
}

/**
 * qkd_aes_void - no epoch made before this is used any more
 * @aes: engine
 *
 * Wipes nothing: that is qkd_aes_flush()'s.
 *
 * Context: any, panic included.
 */
void qkd_aes_void(struct qkd_aes *aes)
{
	WRITE_ONCE(aes->seq, READ_ONCE(aes->seq) + 1);
	smp_mb();	/* pairs with the barrier in qkd_epoch_is_void() */
}

static void aes_drop(struct qkd_aes *aes)
{
	lockdep_assert_held(&aes->mutex);
	qkd_aes_void(aes);
	if (aes_is_tx(aes))
		qkd_aes_tx_drop(aes);
	else
		qkd_aes_rx_drop(aes);
	qkd_epochs_scrub(aes);
}

/**
 * qkd_aes_flush - wipe all epochs
 * @aes: engine
 *
 * The key of an epoch that a packet uses right now is wiped when it lets go.
 *
 * Context: process, may sleep.
 */
void qkd_aes_flush(struct qkd_aes *aes)
{
	mutex_lock(&aes->mutex);
	aes_drop(aes);
	mutex_unlock(&aes->mutex);
}

/**
 * qkd_aes_end - the SA blocks from now on
 * @aes: engine
 *
 * Context: process, may sleep.
 */
void qkd_aes_end(struct qkd_aes *aes)
{
	mutex_lock(&aes->mutex);
	spin_lock_bh(&aes->lock);
	WRITE_ONCE(aes->ended, true);
	spin_unlock_bh(&aes->lock);
	aes_weigh(aes, false);
	aes_drop(aes);
	mutex_unlock(&aes->mutex);
	qkd_aes_kick(aes);	/* those that are parked */
}

/**
 * qkd_aes_free - free the engine of an SA that nobody holds
 * @aes: engine or NULL
 *
 * Context: process, may sleep.
 */
void qkd_aes_free(struct qkd_aes *aes)
{
	if (!aes)
		return;
	cancel_delayed_work_sync(&aes->work);
	aes_weigh(aes, false);
	if (!aes_is_tx(aes))
		qkd_aes_rx_free(aes);
	qkd_epochs_free(aes);
	kfree_sensitive(aes->secret);
	kfree(aes->driver);
	kfree(aes);
}

static int aes_set_secret(struct qkd_aes *aes, const struct qkd_secret *next,
			  struct netlink_ext_ack *extack)
{
	struct qkd_secret *secret;
	int err = 0;

	if (!aes->secret || next->number != aes->secret->number + 1) {
		NL_SET_ERR_MSG(extack, "the secret's number is not the next one");
		return -EINVAL;
	}
	secret = kmemdup(next, sizeof(*next), GFP_KERNEL_ACCOUNT);
	if (!secret)
		return -ENOMEM;
	if (!aes_is_tx(aes)) {
		err = qkd_aes_rx_secret(aes, secret, extack);
		if (err)
			kfree_sensitive(secret);
		return err;
	}
	kfree_sensitive(aes->secret);
	aes->secret = secret;
	WRITE_ONCE(aes->phases, BIT(secret->number & 1));
	qkd_aes_tx_switch(aes);
	return 0;
}

/**
 * qkd_aes_set - change an SA under traffic
 * @aes: engine
 * @change: what to change
 * @extack: says what was wrong
 *
 * Context: process, may sleep.
 * Return: 0; -EINVAL, -EBUSY, -ENOMEM; then nothing has changed.
 */
int qkd_aes_set(struct qkd_aes *aes, const struct qkd_esp_change *change,
		struct netlink_ext_ack *extack)
{
	int err = 0;

	mutex_lock(&aes->mutex);
	if (change->secret)
		err = aes_set_secret(aes, change->secret, extack);
	if (err)
		goto out_unlock;
	aes_weigh(aes, false);
	if (change->rekey)
		aes->rekey = *change->rekey;
	if (change->weight)
		WRITE_ONCE(aes->weight, change->weight);
	aes_weigh(aes, !aes->ended);
	if (change->has_park_time)
		WRITE_ONCE(aes->park_time, change->park_time);
	if (aes_is_tx(aes))
		qkd_aes_tx_configure(aes);
out_unlock:
	mutex_unlock(&aes->mutex);
	return err;
}

static void aes_describe_epoch(struct qkd_aes *aes, struct qkd_epoch *ep,
			       struct qkd_epoch_stats *stats)
{
	u64 now = ktime_get_boottime_ns(), began = READ_ONCE(ep->began);

	stats->has_epoch = true;
	memcpy(stats->id, ep->id, sizeof(stats->id));
	if (began && now > began)
		stats->age = div_u64(now - began, NSEC_PER_MSEC);
	stats->packets = min_t(u64, atomic64_read(&ep->packets), aes->limits.packets);
	stats->bytes = atomic64_read(&ep->bytes);
	stats->secret_number = ep->secret;
}

/**
 * qkd_aes_stats - tell of the current epoch
 * @aes: engine
 * @stats: out; zeroed by the caller
 *
 * Context: process, may sleep.
 */
void qkd_aes_stats(struct qkd_aes *aes, struct qkd_epoch_stats *stats)
{
	struct qkd_epoch *ep;

	mutex_lock(&aes->mutex);
	ep = aes_is_tx(aes) ? READ_ONCE(aes->tx.cur) : qkd_aes_rx_newest(aes);
	/* A packet may put it out of its place, but not reuse it: @mutex. */
	if (ep && !qkd_epoch_is_void(ep))
		aes_describe_epoch(aes, ep, stats);
	stats->interval = div_u64(aes_is_tx(aes) ? READ_ONCE(aes->tx.interval) :
						   READ_ONCE(aes->rx.interval),
				  NSEC_PER_MSEC);
	if (aes_is_tx(aes)) {
		stats->left = qkd_key_available(aes->link, QKD_CLASS_REKEY, AES_KEY);
		stats->fallback = test_bit(AES_TX_STARVED, &aes->tx.flags);
	}
	mutex_unlock(&aes->mutex);
}

/**
 * qkd_aes_describe - what an SA was made with
 * @aes: engine
 * @cfg: out
 *
 * Context: process, may sleep.
 */
void qkd_aes_describe(struct qkd_aes *aes, struct qkd_esp_config *cfg)
{
	mutex_lock(&aes->mutex);
	cfg->rekey = aes->rekey;
	cfg->limits = aes->limits;
	cfg->weight = aes->weight;
	cfg->park_time = aes->park_time;
	cfg->secret_number = aes->secret ? aes->secret->number : 0;
	mutex_unlock(&aes->mutex);
}
