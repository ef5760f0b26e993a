// SPDX-License-Identifier: GPL-2.0-only
/*
 * Links: the registry, their namespaces, generations, and the calls that
 * drivers make.
 */
#include <crypto/algapi.h>
#include <linux/hashtable.h>
#include <linux/jhash.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <net/netns/generic.h>

#include "core.h"

#define QKD_NAME_HASH_BITS	8

/**
 * struct qkd_account - bytes that the links of a namespace hold
 * @ref: the namespace and its links
 * @bytes: of pools
 * @max: cap of these
 * @parked: of packets that wait for their epoch
 */
struct qkd_account {
	struct kref ref;
	atomic64_t bytes;
	u64 max;
	atomic64_t parked;
};

/**
 * struct qkd_net - a namespace's part
 * @names: links by name; registry lock, RCU
 * @nlinks: their number; registry lock
 * @account: see above
 */
struct qkd_net {
	DECLARE_HASHTABLE(names, QKD_NAME_HASH_BITS);
	u32 nlinks;
	struct qkd_account *account;
};

struct qkd_link_type {
	struct list_head list;
	const struct qkd_link_ops *ops;
};

DEFINE_MUTEX(qkd_registry_lock);	/* tables of links and types */
struct workqueue_struct *qkd_wq;
/* wipes and frees; its works take no lock, so that anybody may wait for them */
struct workqueue_struct *qkd_free_wq;

/* links are added and deleted one at a time: a pair is never half there */
static DEFINE_MUTEX(qkd_newlink_lock);
static DEFINE_XARRAY_ALLOC(qkd_links);		/* by index; registry lock, RCU */
static LIST_HEAD(qkd_link_types);		/* registry lock */
static unsigned int qkd_net_id;
static bool qkd_held;				/* no generation may begin */

static ulong max_bytes;
module_param(max_bytes, ulong, 0644);
MODULE_PARM_DESC(max_bytes, "Bytes of key that the links of a network namespace hold at most (default: an eighth of memory)");

static void qkd_account_free(struct kref *ref)
{
	kfree(container_of(ref, struct qkd_account, ref));
}

/**
 * qkd_net_charge - charge a link's namespace for memory
 * @link: link
 * @bytes: how much
 *
 * Return: 0 or -EDQUOT.
 */
int qkd_net_charge(struct qkd_link *link, u64 bytes)
{
	struct qkd_account *account = link->account;

	if (atomic64_add_return(bytes, &account->bytes) <= account->max)
		return 0;
	atomic64_sub(bytes, &account->bytes);
	return -EDQUOT;
}

/**
 * qkd_net_uncharge - undo qkd_net_charge()
 * @link: link
 * @bytes: how much
 */
void qkd_net_uncharge(struct qkd_link *link, u64 bytes)
{
	atomic64_sub(bytes, &link->account->bytes);
}

/**
 * qkd_net_park - charge a link's namespace for a packet that waits
 * @link: link
 * @bytes: of the packet
 *
 * Context: any.
 * Return: false if too many wait.
 */
bool qkd_net_park(struct qkd_link *link, u32 bytes)
{
	if (atomic64_add_return(bytes + QKD_PARKED_SKB, &link->account->parked) <=
	    QKD_PARKED_NET)
		return true;
	qkd_net_unpark(link, bytes);
	return false;
}

/**
 * qkd_net_unpark - undo qkd_net_park()
 * @link: link
 * @bytes: of the packet
 */
void qkd_net_unpark(struct qkd_link *link, u32 bytes)
{
	atomic64_sub(bytes + QKD_PARKED_SKB, &link->account->parked);
}

static u32 qkd_name_hash(const char *name)
{
	return jhash(name, strlen(name), 0);
}

static void qkd_link_free(struct kref *ref)
{
	struct qkd_link *link = container_of(ref, struct qkd_link, ref);

	xa_destroy(&link->handles);
	xa_destroy(&link->sas[0]);
	xa_destroy(&link->sas[1]);
	kref_put(&link->account->ref, qkd_account_free);
	kfree_rcu(link, rcu);
}

/**
 * qkd_link_put - drop a reference
 * @link: link
 *
 * Context: any.
 */
void qkd_link_put(struct qkd_link *link)
{
	kref_put(&link->ref, qkd_link_free);
}

static struct qkd_link *qkd_link_tryget(struct qkd_link *link)
{
	return link && !READ_ONCE(link->gone) && kref_get_unless_zero(&link->ref) ?
	       link : NULL;
}

static struct qkd_link *__qkd_link_by_name(struct qkd_net *qn, const char *name)
{
	struct qkd_link *link;

	hash_for_each_possible_rcu(qn->names, link, hash_node,
				   qkd_name_hash(name),
				   lockdep_is_held(&qkd_registry_lock))
		if (!strcmp(link->cfg.name, name))
			return link;
	return NULL;
}

/**
 * qkd_link_get_by_name - find a link
 * @net: namespace
 * @name: its name
 *
 * Context: any.
 * Return: counted reference, or NULL.
 */
struct qkd_link *qkd_link_get_by_name(struct net *net, const char *name)
{
	struct qkd_link *link;

	rcu_read_lock();
	link = qkd_link_tryget(__qkd_link_by_name(net_generic(net, qkd_net_id),
						  name));
	rcu_read_unlock();
	return link;
}

/**
 * qkd_link_get_by_index - find a link
 * @net: namespace
 * @index: global index
 *
 * Context: any.
 * Return: counted reference, or NULL if there is none in @net.
 */
struct qkd_link *qkd_link_get_by_index(struct net *net, u32 index)
{
	struct qkd_link *link = qkd_link_get_by_minor(index);

	if (link && !net_eq(link->net, net)) {
		qkd_link_put(link);
		return NULL;
	}
	return link;
}

/**
 * qkd_link_get_by_minor - find a link of any namespace
 * @index: global index
 *
 * Context: any.
 * Return: counted reference, or NULL.
 */
struct qkd_link *qkd_link_get_by_minor(u32 index)
{
	struct qkd_link *link;

	rcu_read_lock();
	link = qkd_link_tryget(xa_load(&qkd_links, index));
	rcu_read_unlock();
	return link;
}

/**
 * qkd_link_next - walk the links of a namespace
 * @net: namespace
 * @index: in: the least index wanted; out: that of the link
 *
 * Context: any.
 * Return: counted reference, or NULL at the end.
 */
struct qkd_link *qkd_link_next(struct net *net, u32 *index)
{
	unsigned long at = *index;
	struct qkd_link *link;

	rcu_read_lock();
	for (link = xa_find(&qkd_links, &at, ULONG_MAX, XA_PRESENT); link;
	     link = xa_find_after(&qkd_links, &at, ULONG_MAX, XA_PRESENT)) {
		if (!net_eq(link->net, net) || !qkd_link_tryget(link))
			continue;
		*index = at;
		break;
	}
	rcu_read_unlock();
	return link;
}

/**
 * qkd_links_for_each - call a function for each link
 * @net: namespace, NULL for all
 * @fn: function; may sleep
 * @arg: passed on
 *
 * Context: may sleep.
 */
void qkd_links_for_each(struct net *net,
			void (*fn)(struct qkd_link *link, const void *arg),
			const void *arg)
{
	struct qkd_link *link;
	unsigned long i;

	mutex_lock(&qkd_registry_lock);
	xa_for_each(&qkd_links, i, link)
		if (!net || net_eq(link->net, net))
			fn(link, arg);
	mutex_unlock(&qkd_registry_lock);
}

/**
 * qkd_links_walk - call a function for each link, from where nothing sleeps
 * @net: namespace
 * @fn: function; does not sleep
 * @arg: passed on
 *
 * Context: any.
 */
void qkd_links_walk(struct net *net,
		    void (*fn)(struct qkd_link *link, const void *arg),
		    const void *arg)
{
	struct qkd_link *link;
	unsigned long i;

	rcu_read_lock();
	xa_for_each(&qkd_links, i, link)
		if (net_eq(link->net, net))
			fn(link, arg);
	rcu_read_unlock();
}

/**
 * qkd_link_type_register - make a type of link known
 * @ops: the type
 *
 * Context: may sleep.
 * Return: 0, -EEXIST, -ENOMEM.
 */
int qkd_link_type_register(const struct qkd_link_ops *ops)
{
	struct qkd_link_type *type, *new;
	int err = -EEXIST;

	new = kzalloc(sizeof(*new), GFP_KERNEL);
	if (!new)
		return -ENOMEM;
	new->ops = ops;
	mutex_lock(&qkd_registry_lock);
	list_for_each_entry(type, &qkd_link_types, list)
		if (!strcmp(type->ops->type, ops->type))
			goto out_unlock;
	list_add_tail(&new->list, &qkd_link_types);
	new = NULL;
	err = 0;
out_unlock:
	mutex_unlock(&qkd_registry_lock);
	kfree(new);
	return err;
}
EXPORT_SYMBOL_GPL(qkd_link_type_register);

/**
 * qkd_link_type_unregister - undo qkd_link_type_register()
 * @ops: the type; no link of it is left, each holds its module
 *
 * Context: may sleep.
 */
void qkd_link_type_unregister(const struct qkd_link_ops *ops)
{
	struct qkd_link_type *type;

	mutex_lock(&qkd_registry_lock);
	list_for_each_entry(type, &qkd_link_types, list)
		if (type->ops == ops) {
			list_del(&type->list);
			kfree(type);
			break;
		}
	mutex_unlock(&qkd_registry_lock);
}
EXPORT_SYMBOL_GPL(qkd_link_type_unregister);

/**
 * qkd_link_type_get - find a type and hold its module
 * @type: its name
 *
 * Context: may sleep.
 * Return: the type, or NULL.
 */
const struct qkd_link_ops *qkd_link_type_get(const char *type)
{
	const struct qkd_link_ops *ops = NULL;
	struct qkd_link_type *t;

	mutex_lock(&qkd_registry_lock);
	list_for_each_entry(t, &qkd_link_types, list)
		if (!strcmp(t->ops->type, type) && try_module_get(t->ops->owner))
			ops = t->ops;
	mutex_unlock(&qkd_registry_lock);
	return ops;
}

/**
 * qkd_link_type_put - undo qkd_link_type_get()
 * @ops: the type
 */
void qkd_link_type_put(const struct qkd_link_ops *ops)
{
	module_put(ops->owner);
}

/**
 * qkd_link_config_init - the defaults of a new link
 * @cfg: out
 */
void qkd_link_config_init(struct qkd_link_config *cfg)
{
	*cfg = (struct qkd_link_config){
		.confirm = QKD_CONFIRM_TAG,
		.pad_keep = QKD_PAD_KEEP,
		.key_keep = QKD_KEY_KEEP,
		.capacity = { QKD_PAD_CAPACITY, QKD_KEY_CAPACITY },
		.low = { QKD_PAD_LOW, QKD_KEY_LOW },
		.reserve = { QKD_RESERVE, QKD_RESERVE, 0 },
	};
}

/*
 * Generations
 */

static void qkd_gen_free(struct qkd_gen *gen)
{
	int i;

	for (i = 0; i < QKD_STREAMS; i++)
		qkd_stream_free(&gen->stream[i]);
	qkd_link_put(gen->link);
	kfree_sensitive(gen);
}

static void qkd_gen_free_work(struct work_struct *work)
{
	qkd_gen_free(container_of(to_rcu_work(work), struct qkd_gen, rwork));
}

static struct qkd_gen *qkd_gen_new(struct qkd_link *link,
				   const struct qkd_gen_params *p)
{
	struct qkd_gen *gen = kzalloc(sizeof(*gen), GFP_KERNEL_ACCOUNT);
	int i, err = 0;

	if (!gen)
		return NULL;
	gen->link = link;
	gen->label = p->label;
	memcpy(gen->id, p->id, sizeof(gen->id));
	INIT_RCU_WORK(&gen->rwork, qkd_gen_free_work);
	for (i = 0; i < QKD_STREAMS && !err; i++) {
		bool tx = (i < QKD_STREAM_B2A_PAD) ==
			  (link->cfg.role == QKD_ROLE_ALICE);
		u32 kind = i & 1;

		err = qkd_stream_init(&gen->stream[i], gen, i, tx ?
				      link->cfg.capacity[kind] :
				      2 * p->capacity[kind]);
	}
	kref_get(&link->ref);
	if (!err)
		return gen;
	qkd_gen_free(gen);
	return NULL;
}

/*
 * End the link's generation: from here on nothing new begins on it, and after
 * a grace period it is wiped. Wait for that where the caller is about to say
 * that it was.
 */
static void qkd_link_drop_gen(struct qkd_link *link, bool wait)
{
	struct qkd_gen *gen = rcu_dereference_protected(link->gen,
					lockdep_is_held(&link->lock));

	if (!gen)
		return;
	RCU_INIT_POINTER(link->gen, NULL);
	qkd_esp_gen_gone(link);
	qkd_key_release_all(link);
	wake_up_interruptible_all(&link->readers);
	if (!wait) {
		queue_rcu_work(qkd_free_wq, &gen->rwork);
		return;
	}
	synchronize_rcu();
	qkd_gen_free(gen);
	/* segments that were on their way out already */
	rcu_barrier();
	flush_workqueue(qkd_free_wq);
}

static void qkd_link_event(struct qkd_link *link, u32 type, u32 reason)
{
	struct qkd_event ev = { .type = type, .stream = -1, .reason = reason };

	qkd_event_send(link, &ev);
}

static struct qkd_gen *qkd_link_gen(struct qkd_link *link, u16 label, int *err)
{
	struct qkd_gen *gen = rcu_dereference_protected(link->gen,
					lockdep_is_held(&link->lock));

	*err = link->gone ? -ENODEV : !gen ? -ENETDOWN :
	       gen->label != label ? -ESTALE : 0;
	if (*err == -ESTALE)
		qkd_refuse(link, QKD_REFUSED_STALE);
	return *err ? NULL : gen;
}

/* End the generation under the link's lock; the caller calls ops->ended. */
static bool qkd_link_end_locked(struct qkd_link *link, u32 reason)
{
	if (!rcu_access_pointer(link->gen))
		return false;
	WRITE_ONCE(link->reason, reason);
	qkd_link_drop_gen(link, true);
	qkd_link_event(link, QKD_EVENT_TYPE_LINK_DOWN, reason);
	return true;
}

static void qkd_link_end(struct qkd_link *link, u32 reason)
{
	bool had;

	mutex_lock(&link->lock);
	had = qkd_link_end_locked(link, reason);
	mutex_unlock(&link->lock);
	if (had && link->ops->ended)
		link->ops->ended(link, reason);
}

/**
 * qkd_label_next - the successor of a generation's label
 * @label: 1 to 65535, or 0 for none
 */
u16 qkd_label_next(u16 label)
{
	return label == U16_MAX ? 1 : label + 1;
}
EXPORT_SYMBOL_GPL(qkd_label_next);

/* A generation that runs goes on: what clashes is not its peer. */
static int qkd_gen_clash(struct qkd_link *link)
{
	if (!rcu_access_pointer(link->gen))
		WRITE_ONCE(link->reason, QKD_REASON_ROLE_CLASH);
	qkd_link_event(link, QKD_EVENT_TYPE_ROLE_CLASH, QKD_REASON_ROLE_CLASH);
	return -EPROTO;
}

static int qkd_gen_check(struct qkd_link *link, const struct qkd_gen_params *p,
			 struct netlink_ext_ack *extack)
{
	static const u64 max[] = { QKD_PAD_CAPACITY_MAX, QKD_KEY_CAPACITY_MAX };
	int i;

	if (link->gone) {
		NL_SET_ERR_MSG(extack, "The link is being deleted");
		return -ENODEV;
	}
	if (link->admin != QKD_ADMIN_UP) {
		NL_SET_ERR_MSG(extack, "The link is down; set it up first");
		return -ENETDOWN;
	}
	if (READ_ONCE(qkd_held)) {
		NL_SET_ERR_MSG(extack, "The machine is about to sleep or stop");
		return -EBUSY;
	}
	if (p->peer_role != QKD_ROLE_ALICE + QKD_ROLE_BOB - link->cfg.role) {
		NL_SET_ERR_MSG(extack, "Both ends have the same role");
		return qkd_gen_clash(link);
	}
	if (memcmp(p->hash, link->hash, sizeof(link->hash))) {
		NL_SET_ERR_MSG(extack, "The ends disagree on their identities");
		return qkd_gen_clash(link);
	}
	for (i = 0; i < 2; i++)
		if (p->capacity[i] < QKD_CAPACITY_MIN || p->capacity[i] > max[i]) {
			NL_SET_ERR_MSG(extack, "The peer's capacity is out of range");
			return -ERANGE;
		}
	if (!p->label || (link->last_label &&
			  p->label != qkd_label_next(link->last_label))) {
		NL_SET_ERR_MSG(extack, "The label is not the successor of the last one");
		return -EINVAL;
	}
	if (link->last_label && !memcmp(p->id, link->last_id, sizeof(p->id))) {
		NL_SET_ERR_MSG(extack, "The generation is the last one again");
		return -EINVAL;
	}
	return 0;
}

/**
 * qkd_link_gen_begin - begin a generation
 * @link: link
 * @p: what the handshake agreed
 * @extack: for the reason of a refusal
 *
 * All bytes of the one before are wiped when this returns. Streams take
 * supply; tx stays closed until qkd_link_gen_open(). On a clash of roles or
 * identities the link stays as it is, and says so (DESIGN 3.8).
 *
 * Context: may sleep.
 * Return: 0; -EPROTO roles or identities clash, -EINVAL label or identity,
 * -ERANGE capacity, -ENETDOWN the operator has it down, -EBUSY the machine is
 * about to sleep, -ENODEV, -ENOMEM.
 */
int qkd_link_gen_begin(struct qkd_link *link, const struct qkd_gen_params *p,
		       struct netlink_ext_ack *extack)
{
	struct qkd_gen *gen;
	int err;

	mutex_lock(&link->lock);
	err = qkd_gen_check(link, p, extack);
	if (err)
		goto out_unlock;
	gen = qkd_gen_new(link, p);
	if (!gen) {
		err = -ENOMEM;
		goto out_unlock;
	}
	qkd_link_drop_gen(link, true);
	link->last_label = p->label;
	memcpy(link->last_id, p->id, sizeof(link->last_id));
	link->mismatches = 0;
	WRITE_ONCE(link->reason, QKD_REASON_NONE);
	rcu_assign_pointer(link->gen, gen);
	queue_delayed_work(qkd_wq, &link->age_work, 0);
out_unlock:
	mutex_unlock(&link->lock);
	return err;
}
EXPORT_SYMBOL_GPL(qkd_link_gen_begin);

/**
 * qkd_link_gen_open - open tx: the peer has confirmed that it wiped
 * @link: link
 * @label: of the generation
 * @extack: for the reason of a refusal
 *
 * Context: may sleep.
 * Return: 0; -ENODEV, -ENETDOWN no generation, -ESTALE another one, -EALREADY.
 */
int qkd_link_gen_open(struct qkd_link *link, u16 label,
		      struct netlink_ext_ack *extack)
{
	struct qkd_gen *gen;
	int err;

	mutex_lock(&link->lock);
	gen = qkd_link_gen(link, label, &err);
	if (!gen) {
		NL_SET_ERR_MSG(extack, "The generation has ended meanwhile");
	} else if (gen->open) {
		NL_SET_ERR_MSG(extack, "The generation is open already");
		err = -EALREADY;
	} else {
		/* pairs with the acquire in allocation */
		smp_store_release(&gen->open, true);
		wake_up_interruptible_all(&link->readers);
		qkd_link_event(link, QKD_EVENT_TYPE_LINK_UP, 0);
	}
	mutex_unlock(&link->lock);
	return err;
}
EXPORT_SYMBOL_GPL(qkd_link_gen_open);

/**
 * qkd_link_gen_end - end a generation: the peer asked for it, or the driver
 * @link: link
 * @label: of the generation
 * @reason: enum qkd_reason
 *
 * All bytes are wiped when this returns.
 *
 * Context: may sleep; not from the link's resume callback.
 * Return: 0; -ENODEV, -ENETDOWN no generation, -ESTALE another one.
 */
int qkd_link_gen_end(struct qkd_link *link, u16 label, u32 reason)
{
	int err;

	mutex_lock(&link->lock);
	if (qkd_link_gen(link, label, &err))
		qkd_link_end_locked(link, reason);
	mutex_unlock(&link->lock);
	if (!err && link->ops->ended)
		link->ops->ended(link, reason);
	return err;
}
EXPORT_SYMBOL_GPL(qkd_link_gen_end);

/**
 * qkd_link_state - enum qkd_state of a link
 * @link: link
 *
 * Context: any.
 */
u32 qkd_link_state(struct qkd_link *link)
{
	struct qkd_gen *gen;
	u32 state = QKD_STATE_DOWN;

	rcu_read_lock();
	gen = rcu_dereference(link->gen);
	if (gen)
		state = READ_ONCE(gen->open) ? QKD_STATE_UP : QKD_STATE_PENDING;
	rcu_read_unlock();
	return state;
}

/*
 * Supply
 */

static int qkd_gen_stream(struct qkd_gen *gen, u32 id,
			  struct qkd_byte_stream **stream)
{
	if (id >= QKD_STREAMS)
		return -EINVAL;
	*stream = &gen->stream[id];
	return 0;
}

/**
 * qkd_link_supply - add a block to a stream
 * @link: link
 * @label: of the generation
 * @stream: enum qkd_stream
 * @offset: of the block, the stream's next
 * @bytes: the block; the caller wipes it
 * @length: in bytes: a multiple of the step, at most 64 KiB, in one segment
 * @s: QKD_TAG_LEN one-time bytes for the tag; NULL on a link without
 *	confirmation
 *
 * A byte may enter tx only when the peer has it in rx (DESIGN 3.6).
 *
 * Context: may sleep.
 * Return: 0; -ENODEV, -ENETDOWN no generation, -ESTALE another one, -EINVAL,
 * -ERANGE not the next offset, -ENOBUFS no room, -EFBIG end of the stream,
 * -EDQUOT, -ENOMEM.
 */
int qkd_link_supply(struct qkd_link *link, u16 label, u32 stream, u64 offset,
		    const u8 *bytes, u32 length, const u8 *s)
{
	struct qkd_byte_stream *st;
	struct qkd_gen *gen;
	int err;

	mutex_lock(&link->lock);
	gen = qkd_link_gen(link, label, &err);
	if (gen)
		err = qkd_gen_stream(gen, stream, &st);
	if (!err && (s ? QKD_CONFIRM_TAG : QKD_CONFIRM_NONE) != link->cfg.confirm)
		err = -EINVAL;
	if (!err)
		err = qkd_stream_supply(st, offset, bytes, length, s);
	mutex_unlock(&link->lock);
	if (err == -EFBIG)
		qkd_event_note(link, QKD_EVENT_TYPE_SUPPLY_END, stream);
	return err;
}
EXPORT_SYMBOL_GPL(qkd_link_supply);

/**
 * qkd_link_gap - give up the stretch of a stream up to an offset
 * @link: link
 * @label: of the generation
 * @stream: enum qkd_stream
 * @offset: the next block's; extended to the end of the segment where the
 *	stretch covers the head of the segment that holds it
 *
 * Context: may sleep.
 * Return: as qkd_link_supply().
 */
int qkd_link_gap(struct qkd_link *link, u16 label, u32 stream, u64 offset)
{
	struct qkd_event ev = { .type = QKD_EVENT_TYPE_GAP, .stream = stream };
	struct qkd_byte_stream *st;
	struct qkd_gen *gen;
	int err;

	mutex_lock(&link->lock);
	gen = qkd_link_gen(link, label, &err);
	if (gen)
		err = qkd_gen_stream(gen, stream, &st);
	if (!err) {
		ev.offset = st->next;
		err = qkd_stream_gap(st, offset);
	}
	if (!err) {
		ev.length = st->next - ev.offset;
		qkd_event_send(link, &ev);
	}
	mutex_unlock(&link->lock);
	return err;
}
EXPORT_SYMBOL_GPL(qkd_link_gap);

/* The generation and stream that a request names; sets extack and *err if none. */
static struct qkd_gen *qkd_link_named_gen(struct qkd_link *link, u16 label,
					  u32 stream, struct qkd_byte_stream **st,
					  int *err, struct netlink_ext_ack *extack)
{
	struct qkd_gen *gen = qkd_link_gen(link, label, err);

	if (gen)
		*err = qkd_gen_stream(gen, stream, st);
	if (*err == -ESTALE)
		NL_SET_ERR_MSG(extack, "The label is of another generation");
	else if (*err == -EINVAL)
		NL_SET_ERR_MSG(extack, "No such stream");
	else if (*err)
		NL_SET_ERR_MSG(extack, "The link has no generation");
	return *err ? NULL : gen;
}

/* The pending block that a request names; sets extack and *err if none. */
static struct qkd_block *qkd_find_block(struct qkd_link *link, u16 label,
					u32 stream, u64 offset, u32 length,
					struct qkd_byte_stream **st, int *err,
					struct netlink_ext_ack *extack)
{
	struct qkd_block *block;

	if (!qkd_link_named_gen(link, label, stream, st, err, extack))
		return NULL;
	block = qkd_stream_block(*st, offset, length);
	if (!block || block->state == QKD_BLOCK_LOST) {
		NL_SET_ERR_MSG(extack, "No block of that offset and length waits");
		*err = -ENOENT;
		return NULL;
	}
	return block;
}

/**
 * qkd_link_block_tag - the tag of a supplied block, at the rx end
 * @link: link
 * @label: of the generation
 * @stream: enum qkd_stream, an rx one
 * @offset: of the block
 * @length: in bytes
 * @tag: out
 * @extack: for the reason of a refusal
 *
 * Context: may sleep.
 * Return: 0; -EOPNOTSUPP a tx stream, -ENOENT no such block, and as above.
 */
int qkd_link_block_tag(struct qkd_link *link, u16 label, u32 stream,
		       u64 offset, u32 length, u8 tag[QKD_TAG_LEN],
		       struct netlink_ext_ack *extack)
{
	struct qkd_byte_stream *st;
	struct qkd_block *block;
	int err;

	mutex_lock(&link->lock);
	block = qkd_find_block(link, label, stream, offset, length, &st, &err,
			       extack);
	if (!block)
		goto out_unlock;
	if (st->tx) {
		NL_SET_ERR_MSG(extack, "Only the rx end of a stream makes tags");
		err = -EOPNOTSUPP;
	} else if (block->state == QKD_BLOCK_NEW) {
		err = qkd_confirm_tag(st, offset, length, block->s, block->tag);
		if (!err)
			block->state = QKD_BLOCK_TAGGED;
		memzero_explicit(block->s, sizeof(block->s));
	}
	if (!err)
		memcpy(tag, block->tag, QKD_TAG_LEN);
out_unlock:
	mutex_unlock(&link->lock);
	return err;
}
EXPORT_SYMBOL_GPL(qkd_link_block_tag);

/* The verdict of the peer's tag, at the tx end; s serves once. */
static int qkd_link_compare(struct qkd_byte_stream *st, struct qkd_block *block,
			    const u8 tag[QKD_TAG_LEN])
{
	u8 own[QKD_TAG_LEN];
	int err;

	if (block->state != QKD_BLOCK_NEW)
		return 0;
	err = qkd_confirm_tag(st, block->offset, block->length, block->s, own);
	if (err)
		return err;
	block->verdict = crypto_memneq(own, tag, sizeof(own)) ?
			 QKD_VERDICT_MISMATCH : QKD_VERDICT_EQUAL;
	block->state = QKD_BLOCK_TAGGED;
	memzero_explicit(own, sizeof(own));
	memzero_explicit(block->s, sizeof(block->s));
	return 0;
}

/**
 * qkd_link_block_compare - check the peer's tag, at the tx end
 * @link: link
 * @label: of the generation
 * @stream: enum qkd_stream, a tx one
 * @offset: of the block
 * @length: in bytes
 * @tag: the peer's
 * @verdict: out: enum qkd_verdict; the first one, when it is asked again
 * @extack: for the reason of a refusal
 *
 * The block stays unusable until qkd_link_block_confirm() takes the verdict,
 * which is when the peer has it usable in rx (DESIGN 3.6).
 *
 * Context: may sleep.
 * Return: 0; -EOPNOTSUPP an rx stream, -ENOENT no such block, and as above.
 */
int qkd_link_block_compare(struct qkd_link *link, u16 label, u32 stream,
			   u64 offset, u32 length, const u8 tag[QKD_TAG_LEN],
			   u32 *verdict, struct netlink_ext_ack *extack)
{
	struct qkd_byte_stream *st;
	struct qkd_block *block;
	int err;

	mutex_lock(&link->lock);
	block = qkd_find_block(link, label, stream, offset, length, &st, &err,
			       extack);
	if (!block)
		goto out_unlock;
	if (!st->tx) {
		NL_SET_ERR_MSG(extack, "Only the tx end of a stream compares tags");
		err = -EOPNOTSUPP;
		goto out_unlock;
	}
	err = qkd_link_compare(st, block, tag);
	if (!err)
		*verdict = block->verdict;
out_unlock:
	mutex_unlock(&link->lock);
	return err;
}

/**
 * qkd_link_block_walk - call a function for the blocks of a stream that wait
 * @link: link
 * @label: of the generation
 * @stream: enum qkd_stream
 * @fn: called with offset, length, and the verdict if that is known, oldest
 *	block first; ends the walk by an errno
 * @arg: passed on
 * @extack: for the reason of a refusal
 *
 * Context: may sleep.
 * Return: 0, what @fn returned, and as above.
 */
int qkd_link_block_walk(struct qkd_link *link, u16 label, u32 stream,
			int (*fn)(u64 offset, u32 length, u32 verdict, void *arg),
			void *arg, struct netlink_ext_ack *extack)
{
	struct qkd_byte_stream *st;
	struct qkd_block *block;
	struct qkd_gen *gen;
	int err, n = 0;

	mutex_lock(&link->lock);
	gen = qkd_link_named_gen(link, label, stream, &st, &err, extack);
	if (!gen)
		goto out_unlock;
	list_for_each_entry(block, &st->pending, list) {
		if (block->state >= QKD_BLOCK_EQUAL)
			continue;
		if (n++ == QKD_BLOCKS_SHOWN)
			break;
		err = fn(block->offset, block->length, block->verdict, arg);
		if (err)
			break;
	}
out_unlock:
	mutex_unlock(&link->lock);
	return err;
}

/* One end never had the block, or gave it up. */
static void qkd_link_lose(struct qkd_link *link, struct qkd_byte_stream *st,
			  struct qkd_block *block)
{
	struct qkd_event ev = {
		.type = QKD_EVENT_TYPE_GAP,
		.stream = st->id,
		.offset = block->offset,
		.length = block->length,
	};

	qkd_stream_lose_block(st, block);
	qkd_event_send(link, &ev);
}

/* Give a block up; three in a row take the link down until the operator acts. */
static bool qkd_link_mismatch(struct qkd_link *link, struct qkd_byte_stream *st,
			      struct qkd_block *block)
{
	struct qkd_event ev = {
		.type = QKD_EVENT_TYPE_MISMATCH,
		.stream = st->id,
		.offset = block->offset,
		.length = block->length,
	};

	qkd_refuse(link, QKD_REFUSED_MISMATCH);
	ev.count = ++link->mismatches;
	qkd_stream_lose_block(st, block);
	qkd_event_send(link, &ev);
	if (link->mismatches < QKD_MISMATCHES)
		return false;
	WRITE_ONCE(link->admin, QKD_ADMIN_DOWN);
	return qkd_link_end_locked(link, QKD_REASON_MISMATCH);
}

/**
 * qkd_link_block_confirm - resolve a supplied block
 * @link: link
 * @label: of the generation
 * @stream: enum qkd_stream
 * @offset: of the block
 * @length: in bytes
 * @tag: tx: the peer's tag, if it was not compared yet; rx: NULL
 * @verdict: with @tag: out: enum qkd_verdict; else in: the peer's verdict, at
 *	the tx end that of qkd_link_block_compare(), or lost
 * @extack: for the reason of a refusal
 *
 * On a mismatch the block becomes a gap; the third in a row ends the
 * generation, and the next begins only when the operator sets the link up.
 *
 * Context: may sleep.
 * Return: 0, also for a mismatch; -EINVAL tag or verdict missing or not for
 * this end, -ENOENT no such block, and as above.
 */
int qkd_link_block_confirm(struct qkd_link *link, u16 label, u32 stream,
			   u64 offset, u32 length, const u8 *tag, u32 *verdict,
			   struct netlink_ext_ack *extack)
{
	struct qkd_byte_stream *st;
	struct qkd_block *block;
	bool ended = false;
	int err;

	mutex_lock(&link->lock);
	block = qkd_find_block(link, label, stream, offset, length, &st, &err,
			       extack);
	if (!block)
		goto out_unlock;
	err = -EINVAL;
	if (!st->tx && tag) {
		NL_SET_ERR_MSG(extack, "The rx end takes a verdict, not a tag");
		goto out_unlock;
	}
	if (st->tx && !tag && *verdict != QKD_VERDICT_LOST &&
	    *verdict != block->verdict) {
		NL_SET_ERR_MSG(extack, "The tx end needs the peer's tag");
		goto out_unlock;
	}
	err = 0;
	if (tag) {
		err = qkd_link_compare(st, block, tag);
		if (err)
			goto out_unlock;
		*verdict = block->verdict;
	}
	if (*verdict == QKD_VERDICT_EQUAL) {
		link->mismatches = 0;
		block->state = QKD_BLOCK_EQUAL;
		qkd_stream_advance(st);
	} else if (*verdict == QKD_VERDICT_LOST) {
		qkd_link_lose(link, st, block);
	} else {
		ended = qkd_link_mismatch(link, st, block);
	}
out_unlock:
	mutex_unlock(&link->lock);
	if (ended && link->ops->ended)
		link->ops->ended(link, QKD_REASON_MISMATCH);
	return err;
}
EXPORT_SYMBOL_GPL(qkd_link_block_confirm);

/**
 * qkd_link_level - how full a stream is
 * @link: link
 * @stream: enum qkd_stream
 * @level: out
 *
 * Context: any.
 * Return: 0; -ENETDOWN no generation, -EINVAL no such stream.
 */
int qkd_link_level(struct qkd_link *link, u32 stream,
		   struct qkd_stream_level *level)
{
	struct qkd_byte_stream *st;
	struct qkd_gen *gen;
	int err = -ENETDOWN;

	rcu_read_lock();
	gen = rcu_dereference(link->gen);
	if (gen)
		err = qkd_gen_stream(gen, stream, &st);
	if (!err)
		*level = (struct qkd_stream_level){
			.stream = stream,
			.tx = st->tx,
			.next = READ_ONCE(st->next),
			.room = qkd_stream_room(st),
			.live = qkd_stream_tx_live(st),
			.high = atomic64_read(&st->high),
			.capacity = st->capacity,
		};
	rcu_read_unlock();
	return err;
}
EXPORT_SYMBOL_GPL(qkd_link_level);

/**
 * qkd_link_next_stream - which tx stream should get the next block
 * @link: link
 *
 * Key up to its low mark, then the emptier of pad and key (DESIGN 3.7).
 *
 * Context: any.
 * Return: enum qkd_stream, or -ENOBUFS if both are full, -ENETDOWN.
 */
int qkd_link_next_stream(struct qkd_link *link)
{
	u32 id = link->cfg.role == QKD_ROLE_ALICE ? QKD_STREAM_A2B_PAD :
						    QKD_STREAM_B2A_PAD;
	struct qkd_stream_level pad, key;
	int err;

	err = qkd_link_level(link, id + QKD_PAD, &pad) ?:
	      qkd_link_level(link, id + QKD_KEY, &key);
	if (err)
		return err;
	if (key.room && (key.live < READ_ONCE(link->cfg.low[QKD_KEY]) ||
			 !pad.room ||
			 key.live * pad.capacity < pad.live * key.capacity))
		return id + QKD_KEY;
	return pad.room ? (int)(id + QKD_PAD) : -ENOBUFS;
}
EXPORT_SYMBOL_GPL(qkd_link_next_stream);

/**
 * qkd_link_report - tell what a link measures
 * @link: link
 * @qber: quantum bit error rate in millionths
 * @skr: secret key rate in bit/s
 *
 * Context: any.
 */
void qkd_link_report(struct qkd_link *link, u32 qber, u64 skr)
{
	WRITE_ONCE(link->qber, qber);
	WRITE_ONCE(link->skr, skr);
}
EXPORT_SYMBOL_GPL(qkd_link_report);

/**
 * qkd_link_alarm - say that something is wrong with a link, or right again
 * @link: link
 * @event: enum qkd_event_type
 * @reason: enum qkd_reason that the link shows from now on
 *
 * Context: may sleep.
 */
void qkd_link_alarm(struct qkd_link *link, u32 event, u32 reason)
{
	struct qkd_event ev = {
		.type = event,
		.stream = -1,
		.reason = reason,
		.qber = READ_ONCE(link->qber),
	};

	WRITE_ONCE(link->reason, reason);
	qkd_event_send(link, &ev);
}
EXPORT_SYMBOL_GPL(qkd_link_alarm);

static void qkd_link_age(struct work_struct *work)
{
	struct qkd_link *link = container_of(to_delayed_work(work),
					     struct qkd_link, age_work);
	u64 now = ktime_get_boottime_ns();
	struct qkd_gen *gen;
	u64 period;
	int i;

	mutex_lock(&link->lock);
	gen = rcu_dereference_protected(link->gen,
					lockdep_is_held(&link->lock));
	for (i = 0; gen && i < QKD_STREAMS; i++)
		qkd_stream_age(&gen->stream[i], now);
	period = min(link->cfg.pad_keep, link->cfg.key_keep);
	if (link->cfg.max_age)
		period = min(period, link->cfg.max_age);
	period = clamp_t(u64, period / QKD_KEEP_STEPS, 20, MSEC_PER_SEC);
	if (gen && !link->gone)
		queue_delayed_work(qkd_wq, &link->age_work,
				   msecs_to_jiffies(period));
	mutex_unlock(&link->lock);
}

/**
 * qkd_link_ahead - how often the peer has named bytes ahead of supply
 * @link: link
 *
 * Since the last slice that was taken. A single emulated end tells from it
 * that it lags for good.
 *
 * Context: any.
 */
unsigned int qkd_link_ahead(const struct qkd_link *link)
{
	return atomic_read(&link->ahead);
}
EXPORT_SYMBOL_GPL(qkd_link_ahead);

/**
 * qkd_link_resume - bytes were taken: supply may have room
 * @link: link
 *
 * Packet path.
 */
void qkd_link_resume(struct qkd_link *link)
{
	if (wq_has_sleeper(&link->readers))
		wake_up_interruptible(&link->readers);
	if (link->ops->resume)
		link->ops->resume(link);
}

/*
 * Registration
 */

static int qkd_config_check(const struct qkd_link_config *cfg,
			    struct netlink_ext_ack *extack)
{
	if (cfg->role != QKD_ROLE_ALICE && cfg->role != QKD_ROLE_BOB) {
		NL_SET_ERR_MSG(extack, "A link needs a role");
		return -EINVAL;
	}
	if (!cfg->id[0] || !cfg->peer_id[0]) {
		NL_SET_ERR_MSG(extack, "A link needs both ends' identities");
		return -EINVAL;
	}
	if (!strcmp(cfg->id, cfg->peer_id)) {
		NL_SET_ERR_MSG(extack, "Both ends have the same identity");
		return -EINVAL;
	}
	return 0;
}

static struct qkd_link *qkd_link_alloc(struct net *net,
				       const struct qkd_link_ops *ops,
				       const struct qkd_link_config *cfg,
				       void *priv)
{
	struct qkd_link *link = kzalloc(sizeof(*link), GFP_KERNEL_ACCOUNT);
	bool alice = cfg->role == QKD_ROLE_ALICE;

	if (!link)
		return NULL;
	kref_init(&link->ref);
	link->ops = ops;
	link->priv = priv;
	link->net = net;
	link->user_net = net->user_ns != &init_user_ns;
	link->cfg = *cfg;
	/* no node, nothing to read: keys of user namespaces never leave */
	if (link->user_net)
		link->cfg.export = 0;
	qkd_hash_link(link->hash, alice ? cfg->id : cfg->peer_id,
		      alice ? cfg->peer_id : cfg->id);
	mutex_init(&link->ops_lock);
	mutex_init(&link->lock);
	mutex_init(&link->handle_lock);
	link->admin = QKD_ADMIN_UP;
	link->reason = QKD_REASON_NEVER_BEGUN;
	init_waitqueue_head(&link->readers);
	xa_init_flags(&link->handles, XA_FLAGS_ALLOC1);
	/* one of a link that has gone is none of the next by its name */
	link->next_handle = get_random_u32() >> 1;
	xa_init(&link->sas[0]);
	xa_init(&link->sas[1]);
	INIT_DELAYED_WORK(&link->age_work, qkd_link_age);
	INIT_DELAYED_WORK(&link->reap_work, qkd_key_reap);
	INIT_DELAYED_WORK(&link->event_work, qkd_event_work);
	return link;
}

static int qkd_link_enter(struct qkd_link *link, struct netlink_ext_ack *extack)
{
	struct qkd_net *qn = net_generic(link->net, qkd_net_id);
	u32 max = link->user_net ? QKD_LINKS_USER : QKD_LINKS;
	int err;

	lockdep_assert_held(&qkd_registry_lock);
	if (qn->nlinks >= max) {
		NL_SET_ERR_MSG(extack, "The namespace has too many links");
		return -ENOSPC;
	}
	if (__qkd_link_by_name(qn, link->cfg.name)) {
		NL_SET_ERR_MSG(extack, "The namespace has a link of that name");
		return -EEXIST;
	}
	err = xa_alloc(&qkd_links, &link->index, link,
		       XA_LIMIT(0, QKD_LINKS - 1), GFP_KERNEL);
	if (err) {
		NL_SET_ERR_MSG(extack, "No index is free");
		return err == -EBUSY ? -ENOSPC : err;
	}
	link->account = qn->account;
	kref_get(&link->account->ref);
	hash_add_rcu(qn->names, &link->hash_node,
		     qkd_name_hash(link->cfg.name));
	qn->nlinks++;
	return 0;
}

static void qkd_link_leave(struct qkd_link *link)
{
	struct qkd_net *qn = net_generic(link->net, qkd_net_id);

	lockdep_assert_held(&qkd_registry_lock);
	xa_erase(&qkd_links, link->index);
	hash_del_rcu(&link->hash_node);
	qn->nlinks--;
}

/*
 * Take a link out of everything. @known: its driver has got it, so that it
 * must hear that it goes.
 */
static void qkd_link_remove(struct qkd_link *link, bool known)
{
	const struct qkd_link_ops *ops = link->ops;

	mutex_lock(&link->ops_lock);
	mutex_lock(&link->lock);
	WRITE_ONCE(link->gone, true);
	WRITE_ONCE(link->reason, QKD_REASON_DELETED);
	qkd_link_drop_gen(link, false);
	mutex_unlock(&link->lock);
	mutex_unlock(&link->ops_lock);

	mutex_lock(&qkd_registry_lock);
	qkd_link_leave(link);
	mutex_unlock(&qkd_registry_lock);

	qkd_esp_link_gone(link);
	qkd_macsec_link_gone(link);
	qkd_wg_link_gone(link);
	qkd_key_release_all(link);
	wake_up_interruptible_all(&link->readers);
	qkd_chardev_del(link);
	/* packets that still see the link: resume callbacks, noted events */
	if (link->last_label)
		synchronize_rcu();
	cancel_delayed_work_sync(&link->age_work);
	cancel_delayed_work_sync(&link->reap_work);
	cancel_delayed_work_sync(&link->event_work);
	if (known) {
		qkd_link_event(link, QKD_EVENT_TYPE_LINK_DEL, 0);
		if (ops->dellink)
			ops->dellink(link);
	}
	qkd_link_put(link);
	module_put(ops->owner);
	module_put(THIS_MODULE);
}

/**
 * qkd_link_register - add a link
 * @net: namespace
 * @ops: type
 * @cfg: configuration, complete
 * @priv: the type's own, freed by its dellink callback
 * @extack: for the reason of a refusal
 *
 * Context: may sleep; in ops->newlink, or with the link's own module held.
 * Return: the link, valid until ops->dellink; or ERR_PTR: -EINVAL, -EEXIST,
 * -ENOSPC, -ENOMEM. On error dellink is not called.
 */
struct qkd_link *qkd_link_register(struct net *net,
				   const struct qkd_link_ops *ops,
				   const struct qkd_link_config *cfg,
				   void *priv, struct netlink_ext_ack *extack)
{
	struct qkd_link *link;
	int err;

	err = qkd_config_check(cfg, extack);
	if (err)
		return ERR_PTR(err);
	link = qkd_link_alloc(net, ops, cfg, priv);
	if (!link)
		return ERR_PTR(-ENOMEM);
	mutex_lock(&qkd_registry_lock);
	err = qkd_link_enter(link, extack);
	mutex_unlock(&qkd_registry_lock);
	if (err) {
		kfree(link);
		return ERR_PTR(err);
	}
	__module_get(THIS_MODULE);
	__module_get(ops->owner);
	err = qkd_chardev_add(link);
	if (err) {
		NL_SET_ERR_MSG(extack, "The device node cannot be made");
		qkd_link_remove(link, false);
		return ERR_PTR(err);
	}
	qkd_link_event(link, QKD_EVENT_TYPE_LINK_NEW, 0);
	return link;
}
EXPORT_SYMBOL_GPL(qkd_link_register);

/**
 * qkd_link_unregister - remove a link
 * @link: link
 *
 * Its SAs block, its files get ENODEV, its bytes are wiped. Calls ops->dellink
 * when no other callback runs or will.
 *
 * Context: may sleep.
 */
void qkd_link_unregister(struct qkd_link *link)
{
	qkd_link_remove(link, true);
}
EXPORT_SYMBOL_GPL(qkd_link_unregister);

/**
 * qkd_link_priv - what the driver gave to qkd_link_register()
 * @link: link
 */
void *qkd_link_priv(const struct qkd_link *link)
{
	return link->priv;
}
EXPORT_SYMBOL_GPL(qkd_link_priv);

/**
 * qkd_link_index - the global index of a link
 * @link: link
 */
u32 qkd_link_index(const struct qkd_link *link)
{
	return link->index;
}
EXPORT_SYMBOL_GPL(qkd_link_index);

/**
 * qkd_link_hash - L, the identity of a link
 * @link: link
 */
const u8 *qkd_link_hash(const struct qkd_link *link)
{
	return link->hash;
}
EXPORT_SYMBOL_GPL(qkd_link_hash);

/**
 * qkd_link_new - add a link of a type on behalf of a user
 * @net: namespace
 * @ops: type, held
 * @cfg: configuration
 * @data: the type's own parameters or NULL
 * @skb: the request, for capability checks
 * @extack: for the reason of a refusal
 *
 * Context: may sleep.
 * Return: index of the link or an errno.
 */
int qkd_link_new(struct net *net, const struct qkd_link_ops *ops,
		 struct qkd_link_config *cfg, struct nlattr *data,
		 struct sk_buff *skb, struct netlink_ext_ack *extack)
{
	int ret;

	if (!ops->newlink) {
		NL_SET_ERR_MSG(extack, "Links of this type come with their hardware");
		return -EOPNOTSUPP;
	}
	mutex_lock(&qkd_newlink_lock);
	ret = ops->newlink(net, cfg, data, skb, extack);
	mutex_unlock(&qkd_newlink_lock);
	return ret;
}

/**
 * qkd_link_delete - delete a link on behalf of a user
 * @link: link, counted reference
 *
 * Context: may sleep.
 * Return: 0, or -ENODEV if somebody else did.
 */
int qkd_link_delete(struct qkd_link *link)
{
	int err = -ENODEV;

	mutex_lock(&qkd_newlink_lock);
	if (!link->gone) {
		const struct qkd_link_ops *ops = link->ops;

		err = 0;
		/* the link's own hold goes before the callback has returned */
		__module_get(ops->owner);
		if (ops->delete)
			ops->delete(link);
		else
			qkd_link_unregister(link);
		module_put(ops->owner);
	}
	mutex_unlock(&qkd_newlink_lock);
	return err;
}

/**
 * qkd_link_lock_ops - keep a link registered while its type is called
 * @link: link, counted reference
 *
 * Context: may sleep.
 * Return: 0, or -ENODEV and no lock held.
 */
int qkd_link_lock_ops(struct qkd_link *link)
{
	mutex_lock(&link->ops_lock);
	if (!link->gone)
		return 0;
	mutex_unlock(&link->ops_lock);
	return -ENODEV;
}

/**
 * qkd_link_unlock_ops - undo qkd_link_lock_ops()
 * @link: link
 */
void qkd_link_unlock_ops(struct qkd_link *link)
{
	mutex_unlock(&link->ops_lock);
}

/**
 * qkd_link_set_admin - the operator wants a link up or down
 * @link: link, counted reference; ops_lock not held
 * @admin: enum qkd_admin
 * @extack: for the reason of a refusal
 *
 * Down ends the generation. Up lets the next begin, and where the type makes
 * it itself, begins it.
 *
 * Context: may sleep.
 * Return: 0, -ENODEV, or what the type says.
 */
int qkd_link_set_admin(struct qkd_link *link, u32 admin,
		       struct netlink_ext_ack *extack)
{
	bool begin;
	int err;

	err = qkd_link_lock_ops(link);
	if (err)
		return err;
	mutex_lock(&link->lock);
	WRITE_ONCE(link->admin, admin);
	begin = admin == QKD_ADMIN_UP && !rcu_access_pointer(link->gen);
	if (!rcu_access_pointer(link->gen))
		WRITE_ONCE(link->reason, begin ? QKD_REASON_NEVER_BEGUN :
			   QKD_REASON_OPERATOR);
	mutex_unlock(&link->lock);
	if (begin && link->ops->begin)
		err = link->ops->begin(link, extack);
	else if (admin == QKD_ADMIN_DOWN)
		qkd_link_end(link, QKD_REASON_OPERATOR);
	qkd_link_unlock_ops(link);
	return err;
}

/*
 * All links at once
 */

static void qkd_link_end_one(struct qkd_link *link, const void *reason)
{
	qkd_link_end(link, *(const u32 *)reason);
}

/**
 * qkd_links_hold - refuse to begin generations
 * @hold: whether to
 *
 * Context: any.
 */
void qkd_links_hold(bool hold)
{
	WRITE_ONCE(qkd_held, hold);
}

/**
 * qkd_links_end - end all generations: suspend, reboot, VM fork
 * @reason: enum qkd_reason
 *
 * Context: may sleep.
 */
void qkd_links_end(u32 reason)
{
	qkd_links_for_each(NULL, qkd_link_end_one, &reason);
	/* those of links that were deleted just now */
	rcu_barrier();
	flush_workqueue(qkd_free_wq);
}

/**
 * qkd_links_kill - wipe all bytes now
 * @alone: no other CPU runs: the keys of handles too, which their lock's
 *	holder could free else
 *
 * Context: any, panic included: takes no lock.
 */
void qkd_links_kill(bool alone)
{
	struct qkd_link *link;
	struct qkd_gen *gen;
	unsigned long i;
	int s;

	rcu_read_lock();
	xa_for_each(&qkd_links, i, link) {
		gen = rcu_dereference(link->gen);
		qkd_esp_void(link);
		for (s = 0; gen && s < QKD_STREAMS; s++)
			qkd_stream_kill(&gen->stream[s]);
		if (alone)
			qkd_key_kill_all(link);
	}
	rcu_read_unlock();
}

static int __net_init qkd_net_init(struct net *net)
{
	struct qkd_net *qn = net_generic(net, qkd_net_id);

	hash_init(qn->names);
	qn->nlinks = 0;
	qn->account = kzalloc(sizeof(*qn->account), GFP_KERNEL);
	if (!qn->account)
		return -ENOMEM;
	kref_init(&qn->account->ref);
	if (net->user_ns != &init_user_ns)
		qn->account->max = QKD_BYTES_USER;
	else
		qn->account->max = max_bytes ?: totalram_pages() * PAGE_SIZE / 8;
	return 0;
}

static void __net_exit qkd_net_exit(struct net *net)
{
	struct qkd_net *qn = net_generic(net, qkd_net_id);
	struct qkd_link *link;
	u32 index = 0;

	while ((link = qkd_link_next(net, &index))) {
		qkd_link_delete(link);
		qkd_link_put(link);
	}
	/* one that somebody else is deleting */
	mutex_lock(&qkd_newlink_lock);
	mutex_unlock(&qkd_newlink_lock);
	kref_put(&qn->account->ref, qkd_account_free);
}

static struct pernet_operations qkd_net_ops = {
	.init = qkd_net_init,
	.exit = qkd_net_exit,
	.id = &qkd_net_id,
	.size = sizeof(struct qkd_net),
};

/**
 * qkd_links_init - set up the registry
 *
 * Context: module init.
 */
int qkd_links_init(void)
{
	int err = -ENOMEM;

	qkd_wq = alloc_workqueue("qkd", WQ_MEM_RECLAIM | WQ_UNBOUND | WQ_SYSFS, 0);
	if (!qkd_wq)
		return err;
	qkd_free_wq = alloc_workqueue("qkd-free", WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	if (!qkd_free_wq)
		goto err_destroy_wq;
	err = register_pernet_subsys(&qkd_net_ops);
	if (err)
		goto err_destroy_free_wq;
	err = qkd_link_type_register(&qkd_user_ops);
	if (err)
		goto err_unregister_pernet;
	return 0;

err_unregister_pernet:
	unregister_pernet_subsys(&qkd_net_ops);
err_destroy_free_wq:
	destroy_workqueue(qkd_free_wq);
err_destroy_wq:
	destroy_workqueue(qkd_wq);
	return err;
}

/**
 * qkd_links_exit - undo qkd_links_init(); no link is left
 */
void qkd_links_exit(void)
{
	qkd_link_type_unregister(&qkd_user_ops);
	unregister_pernet_subsys(&qkd_net_ops);
	/* segments and generations on their way through a grace period */
	rcu_barrier();
	destroy_workqueue(qkd_free_wq);
	destroy_workqueue(qkd_wq);
	/* links that the last of them held */
	rcu_barrier();
}
