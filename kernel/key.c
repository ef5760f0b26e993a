// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keys of the key streams: allocate at tx, peek and commit at rx, and the
 * handles by which userspace names a key that waits in the kernel.
 */
#include <crypto/algapi.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "core.h"

enum qkd_handle_state {
	QKD_PEEKED,	/* nothing is taken yet */
	QKD_COMMITTED,
	QKD_ALLOCATED,
};

/**
 * struct qkd_handle - a key that waits to be fetched
 * @number: what userspace calls it
 * @state: see above
 * @fetched: a peeked key was copied out
 * @id: key ID
 * @class: enum qkd_class
 * @owner: whose death drops it
 * @expires: CLOCK_BOOTTIME in ns
 * @size: bytes of @key
 * @key: the key
 *
 * All under link->handle_lock.
 */
struct qkd_handle {
	u32 number;
	enum qkd_handle_state state;
	bool fetched;
	u8 id[QKD_KEY_ID_LEN];
	u32 class;
	struct qkd_owner owner;
	u64 expires;
	u32 size;
	u8 key[];
};

/**
 * qkd_key_may_leave - whether the export mask lets a class's keys out
 * @link: link
 * @class: enum qkd_class
 *
 * Return: 0 or -EACCES.
 */
int qkd_key_may_leave(struct qkd_link *link, u32 class)
{
	u32 export = READ_ONCE(link->cfg.export);

	if ((class == QKD_CLASS_CONTROL && export & QKD_EXPORT_MASK_CONTROL) ||
	    (class == QKD_CLASS_EXPORT && export & QKD_EXPORT_MASK_EXPORT))
		return 0;
	qkd_refuse(link, QKD_REFUSED_CLASS);
	return -EACCES;
}

/**
 * qkd_key_error - what an errno of a key operation means
 * @err: negative errno
 *
 * Return: words without a full stop, or NULL if it is none of these.
 */
const char *qkd_key_error(int err)
{
	switch (err) {
	case -ENOKEY:
		return "not enough key";
	case -EACCES:
		return "the link's export mask keeps keys of this class in the kernel";
	case -EKEYREJECTED:
		return "bad tag: of another context, class, direction or link, or damaged";
	case -ENOENT:
		return "the key was lost, or lies behind the window";
	case -ENODATA:
		return "the key lies ahead of what was supplied";
	case -EALREADY:
		return "the key was taken already";
	case -ESTALE:
		return "key ID of another generation";
	case -ENOSPC:
		return "too many keys are peeked or not yet fetched";
	case -EMSGSIZE:
		return "the ID names a key of another size";
	case -EKEYEXPIRED:
		return "the key was wiped meanwhile";
	case -EBADSLT:
		return "no such handle";
	case -ENETDOWN:
		return "the link is not up";
	case -ENODEV:
		return "the link is being deleted";
	case -EINVAL:
		return "malformed key ID";
	default:
		return NULL;
	}
}

/**
 * qkd_key_id_make - the ID of the key that a slice gives
 * @sl: slice of a key stream
 * @ctx: class and context
 * @id: out
 *
 * Context: any, under rcu_read_lock().
 * Return: 0 or an errno of the crypto API.
 */
int qkd_key_id_make(const struct qkd_slice *sl, const struct qkd_key_context *ctx,
		    u8 id[QKD_KEY_ID_LEN])
{
	const struct qkd_gen *gen = sl->seg->gen;
	struct qkd_key_id f = {
		.link = get_unaligned_be16(gen->link->hash),
		.label = gen->label,
		.stream = sl->seg->stream->id,
		.class = ctx->class,
		.units = sl->len / QKD_KEY_UNIT,
		.offset = qkd_slice_offset(sl) / QKD_KEY_UNIT,
	};
	u8 tag[8] = {};
	int err;

	qkd_key_id_pack(id, &f);
	err = qkd_kdf_id_tag(sl->seg, id, ctx, tag + 3);
	if (err)
		return err;
	f.tag = get_unaligned_be64(tag);
	qkd_key_id_pack(id, &f);
	return 0;
}

static void qkd_key_wipe(u8 *key, u32 size, struct qkd_xpn *xpn)
{
	memzero_explicit(key, size);
	if (xpn)
		memzero_explicit(xpn, sizeof(*xpn));
}

static int qkd_key_derive(const struct qkd_slice *sl, const struct qkd_key_context *ctx,
			  u8 *key, u32 size, struct qkd_xpn *xpn)
{
	int err = qkd_kdf_key(sl, ctx, key, size);

	if (!err && xpn)
		err = qkd_kdf_xpn(sl, ctx, xpn);
	return err;
}

/**
 * qkd_key_alloc - allocate a key
 * @link: link
 * @ctx: who asks, and what for
 * @size: bytes, 1 to QKD_KEY_SIZE_MAX
 * @id: out: key ID, for the peer
 * @key: out: the key; the caller wipes it
 * @xpn: out: salt and SSCI that go with it, likewise; NULL for none
 *
 * Context: any.
 * Return: 0; -ENETDOWN the link is not up, -ENOKEY, -EKEYEXPIRED wiped
 * meanwhile.
 */
int qkd_key_alloc(struct qkd_link *link, const struct qkd_key_context *ctx,
		  u32 size, u8 id[QKD_KEY_ID_LEN], u8 *key, struct qkd_xpn *xpn)
{
	struct qkd_slice sl;
	struct qkd_gen *gen;
	int err, done;

	if (!size || size > QKD_KEY_SIZE_MAX)
		return -EINVAL;
	rcu_read_lock();
	gen = rcu_dereference(link->gen);
	err = -ENETDOWN;
	/* pairs with the release in qkd_link_gen_open() */
	if (!gen || !smp_load_acquire(&gen->open))
		goto out_unlock;
	err = qkd_stream_alloc_key(qkd_link_stream(link, gen, QKD_KEY, true), ctx->class,
				   round_up(size, QKD_KEY_UNIT), &sl);
	if (err)
		goto out_unlock;
	err = qkd_key_id_make(&sl, ctx, id) ?: qkd_key_derive(&sl, ctx, key, size, xpn);
	done = qkd_slice_done(&sl);
	if (err || done) {
		qkd_key_wipe(key, size, xpn);
		qkd_refuse(link, QKD_REFUSED_BURNT);
		err = err ?: done;
	}
	qkd_link_resume(link);
out_unlock:
	rcu_read_unlock();
	return err;
}

/* What an ID names, its tag checked. Holds the RCU read lock. */
static int qkd_key_find(struct qkd_link *link, const u8 id[QKD_KEY_ID_LEN],
			const struct qkd_key_context *ctx, struct qkd_slice *sl)
{
	struct qkd_gen *gen = rcu_dereference(link->gen);
	u8 zero_tag[QKD_KEY_ID_LEN], tag[5];
	struct qkd_key_id f;
	int err;

	if (!gen)
		return -ENETDOWN;
	err = qkd_key_id_unpack(&f, id);
	if (err)
		return err;
	if (f.link != get_unaligned_be16(link->hash) || gen->stream[f.stream].tx)
		return -EKEYREJECTED;
	if (f.label != gen->label)
		return -ESTALE;
	err = qkd_stream_find(&gen->stream[f.stream], f.offset * QKD_KEY_UNIT,
			      f.units * QKD_KEY_UNIT, sl);
	if (err == -ENODATA)
		atomic_inc(&link->ahead);
	if (err)
		return err;
	f.tag = 0;
	qkd_key_id_pack(zero_tag, &f);
	err = qkd_kdf_id_tag(sl->seg, zero_tag, ctx, tag);
	if (err)
		return err;
	return crypto_memneq(tag, id + QKD_KEY_ID_LEN - 5, 5) ? -EKEYREJECTED : 0;
}

static void qkd_key_count_refusal(struct qkd_link *link, int err)
{
	if (err == -EALREADY)
		qkd_refuse(link, QKD_REFUSED_DUPLICATE);
	else if (err == -EKEYREJECTED || err == -EINVAL)
		qkd_refuse(link, QKD_REFUSED_BAD_TAG);
	else if (err == -ESTALE)
		qkd_refuse(link, QKD_REFUSED_STALE);
	else if (err)
		qkd_refuse(link, QKD_REFUSED_NOT_HERE);
}

/*
 * Read the key that an ID names; take nothing. *size is what the caller wants,
 * 0 for all that the units give.
 */
static int qkd_key_read(struct qkd_link *link, const u8 id[QKD_KEY_ID_LEN],
			const struct qkd_key_context *ctx, u8 *key, u32 *size,
			struct qkd_xpn *xpn)
{
	struct qkd_slice sl;
	int err;

	rcu_read_lock();
	err = qkd_key_find(link, id, ctx, &sl);
	if (err)
		goto out_unlock;
	if (!*size)
		*size = sl.len;
	err = -EMSGSIZE;
	if (round_up(*size, QKD_KEY_UNIT) != sl.len)
		goto out_unlock;
	err = qkd_key_derive(&sl, ctx, key, *size, xpn);
	if (!err && !qkd_slice_is_free(&sl))
		err = -EALREADY;
	if (err)
		qkd_key_wipe(key, *size, xpn);
out_unlock:
	rcu_read_unlock();
	if (err != -EMSGSIZE)
		qkd_key_count_refusal(link, err);
	return err;
}

/**
 * qkd_key_check - whether a key could be claimed now; take nothing
 * @link: link
 * @id: key ID
 * @ctx: class and context under which the peer allocated
 * @size: bytes
 *
 * Context: any.
 * Return: as qkd_key_peek(); -EKEYREJECTED of another class, too.
 */
int qkd_key_check(struct qkd_link *link, const u8 id[QKD_KEY_ID_LEN],
		  const struct qkd_key_context *ctx, u32 size)
{
	struct qkd_slice sl;
	struct qkd_key_id f;
	int err;

	rcu_read_lock();
	err = qkd_key_id_unpack(&f, id);
	if (!err && f.class != ctx->class)
		err = -EKEYREJECTED;
	if (!err)
		err = qkd_key_find(link, id, ctx, &sl);
	if (!err && !qkd_slice_is_free(&sl))
		err = -EALREADY;
	if (!err && round_up(size, QKD_KEY_UNIT) != sl.len)
		err = -EMSGSIZE;
	rcu_read_unlock();
	if (err != -EMSGSIZE)
		qkd_key_count_refusal(link, err);
	return err;
}

/* Take the units that a verified ID names. */
static int qkd_key_take(struct qkd_link *link, const u8 id[QKD_KEY_ID_LEN])
{
	struct qkd_slice sl;
	struct qkd_key_id f;
	struct qkd_gen *gen;
	int err;

	rcu_read_lock();
	gen = rcu_dereference(link->gen);
	err = qkd_key_id_unpack(&f, id);
	if (!err && (!gen || gen->label != f.label))
		err = -ESTALE;
	if (!err)
		err = qkd_stream_find(&gen->stream[f.stream],
				      f.offset * QKD_KEY_UNIT,
				      f.units * QKD_KEY_UNIT, &sl);
	if (!err)
		err = qkd_slice_take(&sl);
	if (!err) {
		qkd_stream_committed(&sl, f.class);
		err = qkd_slice_done(&sl);
	}
	rcu_read_unlock();
	qkd_key_count_refusal(link, err);
	return err;
}

/**
 * qkd_key_claim - peek and commit in one
 * @link: link
 * @id: key ID
 * @ctx: context under which the peer allocated; its class is read from @id
 * @key: out: the key, room for QKD_KEY_SIZE_MAX bytes; the caller wipes it
 * @size: in: bytes wanted, 0 for all; out: bytes
 * @xpn: out: salt and SSCI that go with it; NULL for none; likewise
 *
 * Context: any.
 * Return: 0, or why not; then nothing was taken.
 */
int qkd_key_claim(struct qkd_link *link, const u8 id[QKD_KEY_ID_LEN],
		  const struct qkd_key_context *ctx, u8 *key, u32 *size,
		  struct qkd_xpn *xpn)
{
	int err = qkd_key_read(link, id, ctx, key, size, xpn);

	if (err)
		return err;
	err = qkd_key_take(link, id);
	if (err)
		qkd_key_wipe(key, *size, xpn);
	return err;
}

static bool qkd_peeked_elsewhere(struct qkd_link *link,
				 const u8 id[QKD_KEY_ID_LEN],
				 const struct qkd_handle *but)
{
	struct qkd_handle *h;
	unsigned long i;

	xa_for_each(&link->handles, i, h)
		if (h != but && h->state == QKD_PEEKED &&
		    !memcmp(h->id, id, QKD_KEY_ID_LEN))
			return true;
	return false;
}

static void qkd_handle_free(struct qkd_link *link, struct qkd_handle *h)
{
	lockdep_assert_held(&link->handle_lock);
	xa_erase(&link->handles, h->number);
	link->nhandles--;
	if (h->state == QKD_PEEKED && !qkd_peeked_elsewhere(link, h->id, h))
		link->npeeks--;
	kfree_sensitive(h);
}

static struct qkd_handle *qkd_handle_new(const struct qkd_owner *owner,
					 u32 size, enum qkd_handle_state state)
{
	struct qkd_handle *h = kzalloc(sizeof(*h) + size, GFP_KERNEL_ACCOUNT);
	u32 life = state == QKD_PEEKED ? QKD_PEEK_LIFE : QKD_ALLOCATED_LIFE;

	if (!h)
		return NULL;
	h->state = state;
	h->owner = *owner;
	h->size = size;
	h->expires = ktime_get_boottime_ns() + (u64)life * NSEC_PER_MSEC;
	return h;
}

/* Enter a handle in the link's table. The table's limits are checked here. */
static int qkd_handle_add(struct qkd_link *link, struct qkd_handle *h)
{
	bool distinct;
	int err;

	lockdep_assert_held(&link->handle_lock);
	if (READ_ONCE(link->gone))
		return -ENODEV;
	distinct = h->state == QKD_PEEKED && !qkd_peeked_elsewhere(link, h->id, h);
	if (link->nhandles >= QKD_HANDLES ||
	    (distinct && link->npeeks >= QKD_PEEKS))
		return -ENOSPC;
	err = xa_alloc_cyclic(&link->handles, &h->number, h,
			      XA_LIMIT(1, INT_MAX), &link->next_handle, GFP_KERNEL);
	if (err < 0)
		return err;
	link->nhandles++;
	link->npeeks += distinct;
	/* once a second while there are any */
	queue_delayed_work(qkd_wq, &link->reap_work, HZ);
	return 0;
}

static void qkd_handle_describe(const struct qkd_handle *h,
				struct qkd_issued *out)
{
	memcpy(out->id, h->id, sizeof(out->id));
	out->handle = h->number;
	out->class = h->class;
	out->size = h->size;
}

/**
 * qkd_key_get - allocate a key and keep it for a handle
 * @link: link
 * @ctx: who asks, and what for
 * @size: bytes
 * @owner: whose death drops the handle
 * @out: out: the key's name
 *
 * Context: may sleep.
 * Return: as qkd_key_alloc(); -ENOSPC too many handles, -ENODEV link gone.
 */
int qkd_key_get(struct qkd_link *link, const struct qkd_key_context *ctx,
		u32 size, const struct qkd_owner *owner, struct qkd_issued *out)
{
	struct qkd_handle *h = qkd_handle_new(owner, size, QKD_ALLOCATED);
	int err;

	if (!h)
		return -ENOMEM;
	h->class = ctx->class;
	mutex_lock(&link->handle_lock);
	/* before the key, so that a full table burns none */
	err = qkd_handle_add(link, h);
	if (err)
		goto err_free;
	err = qkd_key_alloc(link, ctx, size, h->id, h->key, NULL);
	if (err) {
		qkd_handle_free(link, h);
		goto out_unlock;
	}
	qkd_handle_describe(h, out);
out_unlock:
	mutex_unlock(&link->handle_lock);
	return err;
err_free:
	mutex_unlock(&link->handle_lock);
	kfree_sensitive(h);
	return err;
}

/**
 * qkd_key_peek - look a key up and keep it for a handle; take nothing
 * @link: link
 * @id: key ID
 * @ctx: context under which the peer allocated
 * @size: bytes, 0 for all that the ID's units give
 * @owner: whose death drops the handle
 * @out: out: the key's name
 *
 * Context: may sleep.
 * Return: 0; -EINVAL no key ID, -EKEYREJECTED of another link, direction or
 * context, -ESTALE generation, -ENODATA ahead of supply, -ENOENT gone,
 * -EALREADY taken, -EMSGSIZE not its size, -ENOSPC too many peeks, -ENODEV.
 */
int qkd_key_peek(struct qkd_link *link, const u8 id[QKD_KEY_ID_LEN],
		 const struct qkd_key_context *ctx, u32 size,
		 const struct qkd_owner *owner, struct qkd_issued *out)
{
	struct qkd_key_id f;
	struct qkd_handle *h;
	int err;

	err = qkd_key_id_unpack(&f, id);
	if (err) {
		qkd_refuse(link, QKD_REFUSED_BAD_TAG);
		return err;
	}
	h = qkd_handle_new(owner, size ?: f.units * QKD_KEY_UNIT, QKD_PEEKED);
	if (!h)
		return -ENOMEM;
	memcpy(h->id, id, sizeof(h->id));
	h->class = f.class;
	mutex_lock(&link->handle_lock);
	err = qkd_key_read(link, id, &(struct qkd_key_context){
			   .class = f.class, .type = ctx->type,
			   .len = ctx->len, .data = ctx->data },
			   h->key, &h->size, NULL);
	if (!err)
		err = qkd_handle_add(link, h);
	if (!err)
		qkd_handle_describe(h, out);
	mutex_unlock(&link->handle_lock);
	if (err)
		kfree_sensitive(h);
	return err;
}

/**
 * qkd_key_commit - take a peeked key
 * @link: link
 * @handle: from qkd_key_peek()
 *
 * Context: may sleep.
 * Return: 0; -EBADSLT no such handle, -EALREADY another one took it or it is
 * committed, -ENOENT it was wiped. On -EALREADY and -ENOENT the handle is gone.
 */
int qkd_key_commit(struct qkd_link *link, u32 handle)
{
	struct qkd_handle *h;
	int err = -EBADSLT;

	mutex_lock(&link->handle_lock);
	h = xa_load(&link->handles, handle);
	if (!h)
		goto out_unlock;
	err = -EALREADY;
	if (h->state != QKD_PEEKED)
		goto out_unlock;
	err = qkd_key_take(link, h->id);
	if (!err && !h->fetched) {
		if (!qkd_peeked_elsewhere(link, h->id, h))
			link->npeeks--;
		h->state = QKD_COMMITTED;
	} else {
		qkd_handle_free(link, h);
	}
out_unlock:
	mutex_unlock(&link->handle_lock);
	return err;
}

static void qkd_handle_drop(struct qkd_link *link, struct qkd_handle *h)
{
	if (h->state != QKD_PEEKED)
		qkd_refuse(link, QKD_REFUSED_BURNT);
	qkd_handle_free(link, h);
}

/**
 * qkd_key_drop - let a peeked key go, burn another
 * @link: link
 * @handle: of the key
 *
 * Context: may sleep.
 * Return: 0 or -EBADSLT.
 */
int qkd_key_drop(struct qkd_link *link, u32 handle)
{
	struct qkd_handle *h;

	mutex_lock(&link->handle_lock);
	h = xa_load(&link->handles, handle);
	if (h)
		qkd_handle_drop(link, h);
	mutex_unlock(&link->handle_lock);
	return h ? 0 : -EBADSLT;
}

/**
 * qkd_key_fetch - copy the key of a handle
 * @link: link
 * @handle: of the key
 * @key: out; the caller wipes it
 * @size: in: room; out: bytes of the key
 *
 * The handle of an allocated or committed key goes.
 *
 * Context: may sleep.
 * Return: 0; -EBADSLT, -EMSGSIZE (@size tells), -EACCES by the export mask.
 */
int qkd_key_fetch(struct qkd_link *link, u32 handle, u8 *key, u32 *size)
{
	struct qkd_handle *h;
	int err = -EBADSLT;
	u32 room = *size;

	mutex_lock(&link->handle_lock);
	h = xa_load(&link->handles, handle);
	if (!h)
		goto out_unlock;
	err = qkd_key_may_leave(link, h->class);
	if (err)
		goto out_unlock;
	*size = h->size;
	err = -EMSGSIZE;
	if (room < h->size)
		goto out_unlock;
	err = 0;
	memcpy(key, h->key, h->size);
	if (h->state == QKD_PEEKED)
		h->fetched = true;
	else
		qkd_handle_free(link, h);
out_unlock:
	mutex_unlock(&link->handle_lock);
	return err;
}

/**
 * qkd_key_release_owner - drop the handles of a socket or file that closed
 * @link: link
 * @owner: whose
 *
 * Context: may sleep.
 */
void qkd_key_release_owner(struct qkd_link *link, const struct qkd_owner *owner)
{
	struct qkd_handle *h;
	unsigned long i;

	mutex_lock(&link->handle_lock);
	xa_for_each(&link->handles, i, h)
		if (h->owner.net == owner->net &&
		    h->owner.portid == owner->portid &&
		    h->owner.file == owner->file)
			qkd_handle_drop(link, h);
	mutex_unlock(&link->handle_lock);
}

/**
 * qkd_key_release_all - drop all handles: the generation ends
 * @link: link
 *
 * Context: may sleep.
 */
void qkd_key_release_all(struct qkd_link *link)
{
	struct qkd_handle *h;
	unsigned long i;

	mutex_lock(&link->handle_lock);
	xa_for_each(&link->handles, i, h)
		qkd_handle_drop(link, h);
	mutex_unlock(&link->handle_lock);
}

/**
 * qkd_key_kill_all - wipe the keys of all handles
 * @link: link
 *
 * Context: panic: no other CPU runs, and whoever held the lock does not either.
 */
void qkd_key_kill_all(struct qkd_link *link)
{
	struct qkd_handle *h;
	unsigned long i;

	xa_for_each(&link->handles, i, h)
		memzero_explicit(h->key, h->size);
}

/**
 * qkd_key_reap - drop the handles whose time is over
 * @work: link->reap_work
 */
void qkd_key_reap(struct work_struct *work)
{
	struct qkd_link *link = container_of(to_delayed_work(work),
					     struct qkd_link, reap_work);
	u64 now = ktime_get_boottime_ns();
	struct qkd_handle *h;
	unsigned long i;

	mutex_lock(&link->handle_lock);
	xa_for_each(&link->handles, i, h)
		if (now >= h->expires)
			qkd_handle_drop(link, h);
	if (link->nhandles && !READ_ONCE(link->gone))
		queue_delayed_work(qkd_wq, &link->reap_work, HZ);
	mutex_unlock(&link->handle_lock);
}

/**
 * qkd_key_available - keys that a class can allocate now
 * @link: link
 * @class: enum qkd_class
 * @size: bytes of a key
 *
 * Context: any.
 */
u64 qkd_key_available(struct qkd_link *link, u32 class, u32 size)
{
	struct qkd_gen *gen;
	u64 bytes = 0;

	rcu_read_lock();
	gen = rcu_dereference(link->gen);
	/* pairs with the release in qkd_link_gen_open() */
	if (gen && smp_load_acquire(&gen->open))
		bytes = qkd_stream_available(qkd_link_stream(link, gen, QKD_KEY, true),
					     class);
	rcu_read_unlock();
	return div_u64(bytes, round_up(size, QKD_KEY_UNIT));
}

/**
 * qkd_key_check_supply - is there key for a request?
 * @link: link
 * @class: enum qkd_class
 * @size: bytes of a key
 * @count: how many are asked for
 *
 * Takes none. If there is too little it is counted and told, as where a key is
 * allocated.
 *
 * Context: any.
 * Return: 0, -ENETDOWN, -ENOKEY.
 */
int qkd_key_check_supply(struct qkd_link *link, u32 class, u32 size, u32 count)
{
	struct qkd_gen *gen;
	int err;

	if (qkd_link_state(link) != QKD_STATE_UP)
		return -ENETDOWN;
	if (qkd_key_available(link, class, size) >= count)
		return 0;
	rcu_read_lock();
	gen = rcu_dereference(link->gen);
	err = gen ? qkd_stream_dry(qkd_link_stream(link, gen, QKD_KEY, true)) : -ENETDOWN;
	rcu_read_unlock();
	return err;
}
