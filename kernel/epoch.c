// SPDX-License-Identifier: GPL-2.0-only
/*
 * Epochs: where they come from, their keys, and what becomes of those.
 */
#include <linux/bitfield.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "aes.h"

static const u8 epoch_zeros[AES_KEY];

static struct crypto_aead *epoch_tfm_new(const struct qkd_aes *aes)
{
	struct crypto_aead *tfm = crypto_alloc_aead(aes->driver, 0, 0);

	if (IS_ERR(tfm))
		return NULL;
	/* ESP has made room in its requests for what the SA asked then. */
	if (crypto_aead_reqsize(tfm) > aes->reqsize ||
	    crypto_aead_setauthsize(tfm, AES_ICV) ||
	    crypto_aead_setkey(tfm, epoch_zeros, AES_KEY)) {
		crypto_free_aead(tfm);
		return NULL;
	}
	return tfm;
}

/* One more, idle. */
static struct qkd_epoch *epoch_add(struct qkd_aes *aes)
{
	struct qkd_epoch *ep;

	if (aes->nepochs >= aes->max_epochs)
		return NULL;
	ep = kzalloc(sizeof(*ep), GFP_KERNEL_ACCOUNT);
	if (!ep)
		return NULL;
	if (aes->sa->dir == QKD_DIR_IN) {
		ep->seen = bitmap_zalloc(aes->rx.window, GFP_KERNEL_ACCOUNT);
		if (!ep->seen)
			goto err_free;
	}
	ep->tfm = epoch_tfm_new(aes);
	if (!ep->tfm)
		goto err_free_seen;
	ep->aes = aes;
	INIT_LIST_HEAD(&ep->ready);
	spin_lock_init(&ep->lock);
	list_add(&ep->list, &aes->epochs);
	aes->nepochs++;
	return ep;

err_free_seen:
	bitmap_free(ep->seen);
err_free:
	kfree(ep);
	return NULL;
}

static struct qkd_epoch *epoch_pop(struct llist_head *list)
{
	struct llist_node *node = llist_del_first(list);

	return node ? llist_entry(node, struct qkd_epoch, idle) : NULL;
}

/**
 * qkd_epoch_new - an epoch to be prepared
 * @aes: engine
 *
 * It has no reference yet; qkd_epoch_set() gives it the first, or
 * qkd_epoch_void() takes it back.
 *
 * Context: process, aes->mutex held, may sleep.
 * Return: the epoch, or NULL: no memory, or the SA has as many as it may.
 */
struct qkd_epoch *qkd_epoch_new(struct qkd_aes *aes)
{
	lockdep_assert_held(&aes->mutex);
	return epoch_pop(&aes->used) ?: epoch_pop(&aes->idle) ?: epoch_add(aes);
}

/**
 * qkd_epoch_void - let go of an epoch that was not set
 * @ep: from qkd_epoch_new()
 *
 * Context: any.
 */
void qkd_epoch_void(struct qkd_epoch *ep)
{
	memzero_explicit(ep->nonce, sizeof(ep->nonce));
	llist_add(&ep->idle, &ep->aes->used);
}

/**
 * qkd_epoch_set - give an epoch its key
 * @ep: from qkd_epoch_new(), filled by qkd_epoch_derive()
 * @key: of 32 bytes; the caller wipes it
 *
 * Context: process, aes->mutex held, may sleep.
 * Return: 0, then the caller has the first reference; or an errno, then the
 * epoch is void.
 */
int qkd_epoch_set(struct qkd_epoch *ep, const u8 key[AES_KEY])
{
	int err;

	lockdep_assert_held(&ep->aes->mutex);
	err = crypto_aead_setkey(ep->tfm, key, AES_KEY);
	qkd_wipe_stack(QKD_STACK_CRYPTO);
	if (err) {
		qkd_epoch_void(ep);
		return err;
	}
	ep->made = ktime_get_boottime_ns();
	ep->began = 0;
	ep->used = ep->made;
	atomic64_set(&ep->packets, 0);
	atomic64_set(&ep->bytes, 0);
	ep->verified = false;
	ep->top = 0;
	if (ep->seen)
		bitmap_zero(ep->seen, ep->aes->rx.window);
	/* Whoever gets a reference from now on sees all of the above. */
	smp_wmb();
	refcount_set(&ep->ref, 1);
	return 0;
}

/**
 * qkd_epoch_put - drop a reference
 * @ep: epoch
 *
 * Context: any.
 */
void qkd_epoch_put(struct qkd_epoch *ep)
{
	struct qkd_aes *aes = ep->aes;

	if (!refcount_dec_and_test(&ep->ref))
		return;
	if (llist_add(&ep->idle, &aes->used))
		qkd_aes_kick(aes);
}

/**
 * qkd_epochs_scrub - zero the keys of all epochs that nobody uses
 * @aes: engine
 *
 * Context: process, aes->mutex held, may sleep.
 */
void qkd_epochs_scrub(struct qkd_aes *aes)
{
	struct qkd_epoch *ep;

	lockdep_assert_held(&aes->mutex);
	while ((ep = epoch_pop(&aes->used))) {
		memzero_explicit(ep->nonce, sizeof(ep->nonce));
		WARN_ON_ONCE(crypto_aead_setkey(ep->tfm, epoch_zeros, AES_KEY));
		llist_add(&ep->idle, &aes->idle);
	}
}

/**
 * qkd_epochs_free - free all epochs
 * @aes: engine whose SA nobody uses any more
 *
 * Context: process, may sleep.
 */
void qkd_epochs_free(struct qkd_aes *aes)
{
	struct qkd_epoch *ep, *next;

	list_for_each_entry_safe(ep, next, &aes->epochs, list) {
		crypto_free_aead(ep->tfm);	/* wipes its key */
		bitmap_free(ep->seen);
		kfree_sensitive(ep);
	}
}

/* Returns its length. What the SA is bound to is last, if it is. */
static u32 epoch_context(const struct qkd_aes *aes, const struct qkd_secret *secret,
			 u8 context[AES_CONTEXT + QKD_BIND_LEN])
{
	const struct qkd_sa *sa = aes->sa;

	context[0] = aes->cipher;
	memcpy(context + 1, &sa->spi, sizeof(sa->spi));
	put_unaligned_be32(secret ? secret->number : 0, context + 5);
	memcpy(context + AES_CONTEXT, sa->bind, QKD_BIND_LEN);
	return AES_CONTEXT + (sa->has_bind ? QKD_BIND_LEN : 0);
}

/**
 * qkd_epoch_derive - what follows from a unit
 * @aes: engine
 * @sl: the unit
 * @label: of the generation
 * @secret: external secret for cipher hybrid, else NULL
 * @ep: out: IV, nonce base and key ID are filled in
 * @key: out; the caller wipes it
 *
 * Counts only if qkd_slice_is_free() or qkd_slice_done() says so afterwards.
 *
 * Context: under rcu_read_lock(), aes->mutex held.
 * Return: 0 or an errno of the crypto API; then @key is wiped.
 */
int qkd_epoch_derive(const struct qkd_aes *aes, const struct qkd_slice *sl, u16 label,
		     const struct qkd_secret *secret, struct qkd_epoch *ep,
		     u8 key[AES_KEY])
{
	u8 context[AES_CONTEXT + QKD_BIND_LEN], tag;
	const struct qkd_key_context ctx = {
		.class = QKD_CLASS_REKEY,
		.type = QKD_CONTEXT_TYPE_ESP,
		.len = epoch_context(aes, secret, context),
		.data = context,
	};
	int err;

	err = qkd_key_id_make(sl, &ctx, ep->id);
	if (!err)
		err = qkd_kdf_epoch_tag(sl->seg, aes->sa->spi,
					qkd_slice_offset(sl), &tag);
	if (!err)
		err = qkd_kdf_epoch(sl, &ctx, secret, key, ep->nonce);
	memzero_explicit(context, sizeof(context));
	if (err)
		return err;
	ep->unit = qkd_slice_offset(sl) / QKD_KEY_UNIT;
	ep->secret = secret ? secret->number : 0;
	ep->iv = FIELD_PREP(AES_IV_CIPHER, aes->cipher) |
		 FIELD_PREP(AES_IV_LABEL, label & 3) |
		 FIELD_PREP(AES_IV_PHASE, ep->secret & 1) |
		 FIELD_PREP(AES_IV_UNIT, ep->unit % AES_UNITS) |
		 FIELD_PREP(AES_IV_TAG, tag);
	return 0;
}
