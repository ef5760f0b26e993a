// SPDX-License-Identifier: GPL-2.0-only
/*
 * MACsec devices whose keys come from a link.
 *
 * A device of the kernel's own macsec is bound to a link of its namespace. From
 * then on its SAs can be made from the link's key: transmit SAs from tx, receive
 * SAs from what the peer allocated, by key ID. The key goes to macsec and nowhere
 * else. Which SA frames are sent under, and when, is the operator's or his
 * daemon's business: that is set by rtnetlink, without a key.
 *
 * Handlers only say what is wanted, and the work of the device's binding does it:
 * binding.c says why. While an SA is pending nothing is taken from the link; the
 * work first asks macsec whether the AN is free, then takes the key, then hands it
 * over.
 *
 * No SA lives longer than the binding's max_time, whatever becomes of the link's
 * generation: its key was used once, and serves until then. If the link or the
 * binding goes, or the machine sleeps or is cloned, its SAs go at once.
 *
 * Locks: RTNL, then that of the bindings. While macsec is spoken to, none is held.
 */
#include <linux/if_macsec.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <net/rtnetlink.h>

#include "macsec.h"

static struct qkd_bindings macsec_bindings;

/**
 * struct macsec_suite - a cipher suite
 * @id: as IEEE 802.1AE has it
 * @len: bytes of a SAK
 * @xpn: extended packet numbers
 */
struct macsec_suite {
	u64 id;
	u32 len;
	bool xpn;
};

static const struct macsec_suite macsec_suites[] = {
	[QKD_MACSEC_SUITE_GCM_AES_128] = {
		.id = MACSEC_CIPHER_ID_GCM_AES_128, .len = 16,
	},
	[QKD_MACSEC_SUITE_GCM_AES_256] = {
		.id = MACSEC_CIPHER_ID_GCM_AES_256, .len = 32,
	},
	[QKD_MACSEC_SUITE_GCM_AES_XPN_128] = {
		.id = MACSEC_CIPHER_ID_GCM_AES_XPN_128, .len = 16, .xpn = true,
	},
	[QKD_MACSEC_SUITE_GCM_AES_XPN_256] = {
		.id = MACSEC_CIPHER_ID_GCM_AES_XPN_256, .len = 32, .xpn = true,
	},
};

/* Context of a key: what both ends must mean by it. */
struct macsec_context {
	__be64 sci;
	u8 an;
	__be64 suite;
} __packed;

static struct qkd_key_context sa_context(const struct qkd_macsec_sa *sa,
					 struct macsec_context *data)
{
	*data = (struct macsec_context){
		.sci = sa->name.sci,
		.an = sa->name.an,
		.suite = cpu_to_be64(macsec_suites[sa->suite].id),
	};
	return (struct qkd_key_context){
		.class = QKD_CLASS_REKEY,
		.type = QKD_CONTEXT_TYPE_MACSEC,
		.len = sizeof(*data),
		.data = (u8 *)data,
	};
}

/*
 * What a device says of itself
 */

static int secy_parse(struct nlattr **tb, struct qkd_secy *secy)
{
	u64 id;

	if (!tb[IFLA_MACSEC_SCI] || !tb[IFLA_MACSEC_CIPHER_SUITE] ||
	    !tb[IFLA_MACSEC_ENCODING_SA])
		return -EOPNOTSUPP;
	id = nla_get_u64(tb[IFLA_MACSEC_CIPHER_SUITE]);
	/* how macsec has called its default ever since the first draft */
	if (id == MACSEC_DEFAULT_CIPHER_ID)
		id = MACSEC_CIPHER_ID_GCM_AES_128;
	secy->sci = nla_get_be64(tb[IFLA_MACSEC_SCI]);
	secy->encoding = nla_get_u8(tb[IFLA_MACSEC_ENCODING_SA]);
	for (secy->suite = QKD_MACSEC_SUITE_GCM_AES_128;
	     secy->suite < ARRAY_SIZE(macsec_suites); secy->suite++)
		if (macsec_suites[secy->suite].id == id)
			return 0;
	return -EOPNOTSUPP;
}

static int secy_ask(const struct net_device *dev, struct qkd_secy *secy)
{
	struct nlattr *tb[IFLA_MACSEC_MAX + 1];
	struct sk_buff *skb;
	int err;

	skb = alloc_skb(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!skb)
		return -ENOMEM;
	err = dev->rtnl_link_ops->fill_info(skb, dev);
	if (!err)
		err = nla_parse_deprecated(tb, IFLA_MACSEC_MAX, (struct nlattr *)skb->data,
					   skb->len, NULL, NULL);
	if (!err)
		err = secy_parse(tb, secy);
	kfree_skb(skb);
	return err;
}

/* Under RTNL. */
static int secy_read(struct net *net, u32 ifindex, struct qkd_secy *secy,
		     struct netlink_ext_ack *extack)
{
	const struct net_device *dev = __dev_get_by_index(net, ifindex);
	int err;

	ASSERT_RTNL();
	if (!dev) {
		NL_SET_ERR_MSG(extack, "no such device in this network namespace");
		return -ENODEV;
	}
	if (!netif_is_macsec(dev) || !dev->rtnl_link_ops ||
	    !dev->rtnl_link_ops->fill_info) {
		NL_SET_ERR_MSG(extack, "not a macsec device");
		return -EOPNOTSUPP;
	}
	err = secy_ask(dev, secy);
	if (err == -EOPNOTSUPP)
		NL_SET_ERR_MSG(extack, "the device's cipher suite is unknown");
	return err;
}

static int secy_read_locked(struct net *net, u32 ifindex, struct qkd_secy *secy,
			    struct netlink_ext_ack *extack)
{
	int err;

	rtnl_lock();
	err = secy_read(net, ifindex, secy, extack);
	rtnl_unlock();
	return err;
}

/*
 * Bound devices and their SAs
 */

static struct qkd_macsec *macsec_find(const struct net *net, u32 ifindex)
{
	struct qkd_binding *b;

	lockdep_assert_held(&macsec_bindings.lock);
	hash_for_each_possible(macsec_bindings.table, b, hash, ifindex)
		if (qkd_binding_is_at(b, net, ifindex))
			return to_qkd_macsec(b);
	return NULL;
}

/* Sets extack if there is none. */
static struct qkd_macsec *macsec_get(const struct net *net, u32 ifindex,
				     struct netlink_ext_ack *extack)
{
	struct qkd_macsec *b = macsec_find(net, ifindex);

	if (!b)
		NL_SET_ERR_MSG(extack, "the device is not bound to a link");
	return b;
}

/* The SCI of a transmit SA is its device's, and says nothing. */
static bool same_name(const struct qkd_macsec_name *a, const struct qkd_macsec_name *b)
{
	return a->dir == b->dir && a->an == b->an &&
	       (a->dir == QKD_DIR_OUT || a->sci == b->sci);
}

static struct qkd_macsec_sa *sa_find(const struct qkd_macsec *b,
				     const struct qkd_macsec_name *name)
{
	struct qkd_macsec_sa *sa;

	list_for_each_entry(sa, &b->sas, list)
		if (same_name(&sa->name, name))
			return sa;
	return NULL;
}

static struct qkd_macsec_sa *sa_by_number(const struct qkd_macsec *b, u64 number)
{
	struct qkd_macsec_sa *sa;

	list_for_each_entry(sa, &b->sas, list)
		if (sa->number == number)
			return sa;
	return NULL;
}

static void sa_drop(struct qkd_macsec *b, struct qkd_macsec_sa *sa)
{
	lockdep_assert_held(&macsec_bindings.lock);
	list_del(&sa->list);
	b->nsas--;
	kfree(sa);
}

static void sa_leave(struct qkd_macsec_sa *sa, const char *why)
{
	sa->state = QKD_MACSEC_STATE_DELETING;
	sa->message = why;
}

/* All its SAs go. */
static void macsec_clear(struct qkd_binding *base, const char *why)
{
	struct qkd_macsec_sa *sa;

	list_for_each_entry(sa, &to_qkd_macsec(base)->sas, list)
		sa_leave(sa, why);
}

/* @sa: an SA, or NULL for the device as a whole. The caller holds the namespace. */
static void macsec_tell(const struct qkd_macsec *b, u32 type,
			const struct qkd_macsec_sa *sa)
{
	struct qkd_event ev = { .type = type, .stream = -1, .ifindex = b->base.ifindex };

	if (sa) {
		ev.macsec = &sa->name;
		ev.message = sa->message;
		ev.error = -sa->error;
	}
	if (sa && memchr_inv(sa->id, 0, sizeof(sa->id)))
		ev.key_id = sa->id;
	qkd_event_send(b->base.link, &ev);
}

/*
 * The work
 */

static int sa_take_key(struct qkd_link *link, struct qkd_macsec_sa *sa,
		       struct qkd_sak *sak)
{
	const struct macsec_suite *suite = &macsec_suites[sa->suite];
	struct qkd_xpn *xpn = suite->xpn ? &sak->xpn : NULL;
	struct macsec_context data;
	struct qkd_key_context ctx = sa_context(sa, &data);

	sak->len = suite->len;
	sak->has_xpn = suite->xpn;
	if (sa->name.dir == QKD_DIR_OUT)
		return qkd_key_alloc(link, &ctx, suite->len, sa->id, sak->key, xpn);
	return qkd_key_claim(link, sa->id, &ctx, sak->key, &sak->len, xpn);
}

static int sa_refused(struct qkd_macsec_sa *sa, int err, const char *why)
{
	sa->error = err;
	sa->message = why;
	return err;
}

/* Nothing is taken unless macsec has room for the SA. */
static int sa_check_room(struct qkd_macsec *b, struct qkd_port *port,
			 struct qkd_macsec_sa *sa)
{
	int err = 0;

	if (sa->name.dir == QKD_DIR_IN)
		err = qkd_macsec_find_channel(port, b->base.ifindex, sa->name.sci);
	if (err == -ENODEV)
		return sa_refused(sa, err, "the device has no receive channel of this SCI");
	if (!err)
		err = qkd_macsec_find(port, b->base.ifindex, &sa->name);
	if (!err)
		return sa_refused(sa, -EBUSY, "macsec has an SA with this AN");
	if (err != -ENODEV)
		return sa_refused(sa, err, "macsec does not answer");
	return 0;
}

static int sa_install(struct qkd_macsec *b, struct qkd_port *port,
		      struct qkd_macsec_sa *sa)
{
	struct qkd_sak sak;
	int err, left;

	err = sa_check_room(b, port, sa);
	if (err)
		return err;
	err = sa_take_key(b->base.link, sa, &sak);
	if (err) {
		memzero_explicit(&sak, sizeof(sak));
		return sa_refused(sa, err, qkd_key_error(err));
	}
	err = qkd_macsec_install(port, b->base.ifindex, &sa->name, sa->id, &sak);
	memzero_explicit(&sak, sizeof(sak));
	sa->there = !err;
	if (!err)
		return 0;
	qkd_refuse(b->base.link, QKD_REFUSED_BURNT);
	if (err != -ENOMSG)
		return sa_refused(sa, err, "macsec refused the SA");
	/* it may have it, under a key that counts as burnt */
	left = qkd_macsec_remove(port, b->base.ifindex, &sa->name);
	sa->there = left && left != -ENODEV;
	return sa_refused(sa, err, "macsec does not answer");
}

/* Where and how the copy @done of an SA ended up. */
static void sa_settle(struct qkd_macsec *b, const struct qkd_macsec_sa *done)
{
	struct qkd_macsec_sa *sa;

	mutex_lock(&macsec_bindings.lock);
	sa = sa_by_number(b, done->number);
	memcpy(sa->id, done->id, sizeof(sa->id));
	sa->there = done->there;
	sa->born = done->born;
	sa->error = done->error;
	/* it may have been told to go meanwhile */
	if (sa->state == QKD_MACSEC_STATE_PENDING) {
		sa->state = done->error ? QKD_MACSEC_STATE_FAILED :
					  QKD_MACSEC_STATE_INSTALLED;
		sa->message = done->message;
	}
	if (done->error)
		b->failed++;
	else
		b->installed++;
	mutex_unlock(&macsec_bindings.lock);
}

static void do_install(struct qkd_macsec *b, struct qkd_port *port,
		       struct qkd_macsec_sa *sa)
{
	int err = sa_install(b, port, sa);

	if (!err)
		sa->born = ktime_get_boottime_ns();
	sa_settle(b, sa);
	macsec_tell(b, err ? QKD_EVENT_TYPE_MACSEC_FAILED : QKD_EVENT_TYPE_MACSEC_SA_NEW, sa);
}

static void sa_settle_removed(struct qkd_macsec *b, const struct qkd_macsec_sa *done)
{
	struct qkd_macsec_sa *sa;

	mutex_lock(&macsec_bindings.lock);
	sa = sa_by_number(b, done->number);
	if (!done->error) {
		b->removed += done->there;
		sa_drop(b, sa);
	} else {
		b->failed++;
		sa->state = QKD_MACSEC_STATE_FAILED;
		sa->error = done->error;
		sa->message = done->message;
	}
	mutex_unlock(&macsec_bindings.lock);
}

/* Returns -ENODEV if the device took the SA with it: macsec_strip() removes it then. */
static int do_remove(struct qkd_macsec *b, struct qkd_port *port,
		     struct qkd_macsec_sa *sa)
{
	int err = sa->there ? qkd_macsec_remove(port, b->base.ifindex, &sa->name) : 0;

	if (err == -ENODEV && qkd_binding_has_left(&b->base))
		return err;
	sa->error = 0;
	/* somebody else has removed it, or its channel */
	if (err && err != -ENODEV)
		sa_refused(sa, err, "macsec did not remove the SA");
	sa_settle_removed(b, sa);
	if (sa->there)
		macsec_tell(b, sa->error ? QKD_EVENT_TYPE_MACSEC_FAILED :
					   QKD_EVENT_TYPE_MACSEC_SA_DEL, sa);
	return 0;
}

static u64 sa_end(const struct qkd_macsec *b, const struct qkd_macsec_sa *sa)
{
	return sa->born + (u64)b->max_time * NSEC_PER_MSEC;
}

/* A copy of the next SA that something is to be done about. */
static bool macsec_next(struct qkd_macsec *b, struct qkd_macsec_sa *next)
{
	u64 now = ktime_get_boottime_ns();
	struct qkd_macsec_sa *sa;
	bool found = false;

	mutex_lock(&macsec_bindings.lock);
	list_for_each_entry(sa, &b->sas, list) {
		if (sa->state == QKD_MACSEC_STATE_INSTALLED && now >= sa_end(b, sa))
			sa_leave(sa, "its time is over");
		if (sa->state != QKD_MACSEC_STATE_PENDING &&
		    sa->state != QKD_MACSEC_STATE_DELETING)
			continue;
		*next = *sa;
		found = true;
		break;
	}
	mutex_unlock(&macsec_bindings.lock);
	return found;
}

static int macsec_serve(struct qkd_binding *base, struct net *net)
{
	struct qkd_macsec *b = to_qkd_macsec(base);
	struct qkd_macsec_sa sa;
	struct qkd_port port;
	int err;

	if (!macsec_next(b, &sa))
		return 0;
	err = qkd_port_open(&port, net, MACSEC_GENL_NAME);
	if (err)
		return err;
	do {
		if (sa.state == QKD_MACSEC_STATE_PENDING)
			do_install(b, &port, &sa);
		else
			err = do_remove(b, &port, &sa);
	} while (!err && macsec_next(b, &sa));
	qkd_port_close(&port);
	return err;
}

static int macsec_strip(struct qkd_binding *base, struct net *net, u32 ifindex)
{
	struct qkd_port port;
	struct qkd_macsec_sa *sa;
	int err = qkd_port_open(&port, net, MACSEC_GENL_NAME);
	int result = 0;

	if (err)
		return err;
	list_for_each_entry(sa, &to_qkd_macsec(base)->sas, list) {
		err = sa->there ? qkd_macsec_remove(&port, ifindex, &sa->name) : 0;
		if (!err)
			sa->there = false;
		else if (!result || result == -ENODEV)
			result = err;
	}
	qkd_port_close(&port);
	return result;
}

static void macsec_gone(struct qkd_binding *base)
{
	macsec_tell(to_qkd_macsec(base), QKD_EVENT_TYPE_MACSEC_UNBOUND, NULL);
}

static void macsec_free(struct qkd_binding *base)
{
	struct qkd_macsec *b = to_qkd_macsec(base);
	struct qkd_macsec_sa *sa, *n;

	list_for_each_entry_safe(sa, n, &b->sas, list)
		kfree(sa);
	kfree(b);
}

/* What is left of a device that is being unbound are SAs that macsec keeps. */
static bool macsec_done(const struct qkd_binding *base)
{
	const struct qkd_macsec_sa *sa;

	list_for_each_entry(sa, &to_qkd_macsec(base)->sas, list)
		if (sa->state != QKD_MACSEC_STATE_FAILED)
			return false;
	return true;
}

/* When the next SA's time is over. */
static u64 macsec_due(const struct qkd_binding *base, u64 now)
{
	const struct qkd_macsec *b = to_qkd_macsec(base);
	const struct qkd_macsec_sa *sa;
	u64 due = U64_MAX;

	list_for_each_entry(sa, &b->sas, list)
		if (sa->state == QKD_MACSEC_STATE_INSTALLED)
			due = min(due, sa_end(b, sa));
	return due;
}

static const struct qkd_binding_ops macsec_ops = {
	.owns = netif_is_macsec,
	.leave = macsec_clear,
	.stop = macsec_clear,
	.serve = macsec_serve,
	.done = macsec_done,
	.due = macsec_due,
	.strip = macsec_strip,
	.gone = macsec_gone,
	.free = macsec_free,
};

static struct qkd_bindings macsec_bindings = {
	.lock = __MUTEX_INITIALIZER(macsec_bindings.lock),
	.list = LIST_HEAD_INIT(macsec_bindings.list),
	.ops = &macsec_ops,
};

/*
 * What is asked for
 */

static int macsec_enter(struct qkd_macsec *b, struct netlink_ext_ack *extack)
{
	const struct qkd_macsec *old;
	int err = 0;

	mutex_lock(&macsec_bindings.lock);
	old = macsec_find(b->base.net, b->base.ifindex);
	if (READ_ONCE(b->base.link->gone)) {
		NL_SET_ERR_MSG(extack, "link is being deleted");
		err = -ENODEV;
	} else if (old && old->base.leaving) {
		NL_SET_ERR_MSG(extack, "the device is still being unbound");
		err = -EBUSY;
	} else if (old) {
		NL_SET_ERR_MSG(extack, "the device is bound to a link");
		err = -EEXIST;
	} else {
		qkd_binding_enter(&b->base);
		/* before anything can happen to it */
		macsec_tell(b, QKD_EVENT_TYPE_MACSEC_BOUND, NULL);
	}
	mutex_unlock(&macsec_bindings.lock);
	return err;
}

/**
 * qkd_macsec_bind - let a macsec device take its keys from a link
 * @link: link, of the caller's namespace, which lives through the call
 * @ifindex: of the device
 * @max_time: in ms that an SA is used
 * @extack: says what was wrong
 *
 * Process context, may sleep; takes RTNL.
 * Return: 0; -ENODEV no such device, or the link is going, -EOPNOTSUPP not a
 * macsec device, -EEXIST it is bound, -EBUSY it is being unbound, -ENOMEM.
 */
int qkd_macsec_bind(struct qkd_link *link, u32 ifindex, u32 max_time,
		    struct netlink_ext_ack *extack)
{
	struct qkd_macsec *b;
	int err;

	b = kzalloc(sizeof(*b), GFP_KERNEL_ACCOUNT);
	if (!b)
		return -ENOMEM;
	qkd_binding_init(&b->base, &macsec_bindings, link, ifindex);
	INIT_LIST_HEAD(&b->sas);
	b->max_time = max_time;
	/* the device cannot go unnoticed in between */
	rtnl_lock();
	err = secy_read(b->base.net, ifindex, &b->secy, extack) ?: macsec_enter(b, extack);
	rtnl_unlock();
	if (err)
		kfree(b);
	return err;
}

/**
 * qkd_macsec_unbind - remove a device's SAs of our making and let it go
 * @net: namespace, which lives through the call
 * @ifindex: of the device
 * @extack: says what was wrong
 *
 * All of this comes later; then the device is not found any more.
 *
 * Process context, may sleep.
 * Return: 0 or -ENOENT.
 */
int qkd_macsec_unbind(struct net *net, u32 ifindex, struct netlink_ext_ack *extack)
{
	struct qkd_macsec *b;

	mutex_lock(&macsec_bindings.lock);
	b = macsec_get(net, ifindex, extack);
	if (b)
		qkd_binding_leave(&b->base, "the device was unbound");
	mutex_unlock(&macsec_bindings.lock);
	return b ? 0 : -ENOENT;
}

/* Is there key for an SA? Takes none. */
static int sa_check_key(struct qkd_link *link, const struct qkd_macsec_sa *sa,
			struct netlink_ext_ack *extack)
{
	u32 len = macsec_suites[sa->suite].len;
	struct macsec_context data;
	struct qkd_key_context ctx = sa_context(sa, &data);
	int err;

	if (sa->name.dir == QKD_DIR_IN)
		err = qkd_key_check(link, sa->id, &ctx, len);
	else
		err = qkd_key_check_supply(link, QKD_CLASS_REKEY, len, 1);
	if (err)
		extack->_msg = qkd_key_error(err);
	return err;
}

/* Could the SA be added? One that failed makes room for it. */
static int sa_check(struct qkd_macsec *b, const struct qkd_macsec_sa *sa,
		    struct netlink_ext_ack *extack)
{
	struct qkd_macsec_sa *old = sa_find(b, &sa->name);

	if (b->base.leaving) {
		NL_SET_ERR_MSG(extack, "the device is being unbound");
		return -EBUSY;
	}
	if (sa->name.dir == QKD_DIR_IN && sa->name.sci == b->secy.sci) {
		NL_SET_ERR_MSG(extack, "the SCI is the device's own");
		return -EINVAL;
	}
	if (old && old->state == QKD_MACSEC_STATE_DELETING) {
		NL_SET_ERR_MSG(extack, "the SA with this AN is still being removed");
		return -EBUSY;
	}
	if (old && (old->state != QKD_MACSEC_STATE_FAILED || old->there)) {
		NL_SET_ERR_MSG(extack, "the device has an SA with this AN; remove it first");
		return -EBUSY;
	}
	if (!old && b->nsas >= QKD_MACSEC_SAS) {
		NL_SET_ERR_MSG(extack, "the device has too many SAs");
		return -ENOSPC;
	}
	return sa_check_key(b->base.link, sa, extack);
}

static void sa_enter(struct qkd_macsec *b, struct qkd_macsec_sa *sa)
{
	struct qkd_macsec_sa *old = sa_find(b, &sa->name);

	if (old)
		sa_drop(b, old);
	sa->number = ++macsec_bindings.number;
	list_add_tail(&sa->list, &b->sas);
	b->nsas++;
	qkd_binding_kick(&b->base);
}

/**
 * qkd_macsec_sa_add - ask for an SA
 * @net: namespace, which lives through the call
 * @ifindex: of the device
 * @sa: direction, AN; for a receive SA also SCI and key ID; out: the rest
 * @extack: says what was wrong
 *
 * It is installed later, and a key is taken then: events and qkd_macsec_sa_show()
 * tell.
 *
 * Process context, may sleep; takes RTNL.
 * Return: 0; -ENOENT the device is not bound, -ENODEV it has gone, -EBUSY there is
 * an SA with this AN, -EINVAL the SCI is the device's own, -ENOSPC too many SAs,
 * -ENOMEM, or what qkd_key_error() knows.
 */
int qkd_macsec_sa_add(struct net *net, u32 ifindex, struct qkd_macsec_sa *sa,
		      struct netlink_ext_ack *extack)
{
	struct qkd_macsec_sa *new;
	struct qkd_macsec *b;
	struct qkd_secy secy;
	int err;

	err = secy_read_locked(net, ifindex, &secy, extack);
	if (err)
		return err;
	if (sa->name.dir == QKD_DIR_OUT)
		sa->name.sci = secy.sci;
	sa->suite = secy.suite;
	sa->state = QKD_MACSEC_STATE_PENDING;
	new = kmemdup(sa, sizeof(*sa), GFP_KERNEL_ACCOUNT);
	if (!new)
		return -ENOMEM;

	mutex_lock(&macsec_bindings.lock);
	b = macsec_get(net, ifindex, extack);
	err = b ? 0 : -ENOENT;
	if (!err) {
		b->secy = secy;
		err = sa_check(b, new, extack);
	}
	if (!err) {
		sa_enter(b, new);
		sa->number = new->number;
	}
	mutex_unlock(&macsec_bindings.lock);
	if (err)
		kfree(new);
	return err;
}

/* One that macsec does not have goes at once, unless the work is at it. */
static int sa_del(struct qkd_macsec *b, const struct qkd_macsec_name *name, u8 encoding,
		  struct netlink_ext_ack *extack)
{
	struct qkd_macsec_sa *sa = sa_find(b, name);

	if (!sa) {
		NL_SET_ERR_MSG(extack, "the device has no such SA of our making");
		return -ENOENT;
	}
	if (sa->there && name->dir == QKD_DIR_OUT && name->an == encoding) {
		NL_SET_ERR_MSG(extack,
			       "frames are sent under this AN; set another encodingsa first");
		return -EBUSY;
	}
	if (sa->state == QKD_MACSEC_STATE_FAILED && !sa->there) {
		sa_drop(b, sa);
		return 0;
	}
	sa_leave(sa, "by request");
	qkd_binding_kick(&b->base);
	return 0;
}

/**
 * qkd_macsec_sa_del - ask for an SA to be removed
 * @net: namespace, which lives through the call
 * @ifindex: of the device
 * @name: which SA
 * @extack: says what was wrong
 *
 * It goes later; then it is not found any more.
 *
 * Process context, may sleep; takes RTNL.
 * Return: 0; -ENOENT no such SA, or the device is not bound, -ENODEV it has gone,
 * -EBUSY frames are sent under it, -ENOMEM.
 */
int qkd_macsec_sa_del(struct net *net, u32 ifindex, const struct qkd_macsec_name *name,
		      struct netlink_ext_ack *extack)
{
	struct qkd_macsec *b;
	struct qkd_secy secy;
	int err;

	err = secy_read_locked(net, ifindex, &secy, extack);
	if (err)
		return err;
	mutex_lock(&macsec_bindings.lock);
	b = macsec_get(net, ifindex, extack);
	err = b ? sa_del(b, name, secy.encoding, extack) : -ENOENT;
	mutex_unlock(&macsec_bindings.lock);
	return err;
}

/*
 * What is shown
 */

/**
 * qkd_macsec_show - look at a bound device
 * @net: namespace
 * @ifindex: of the device
 * @fn: looks at it
 * @arg: for @fn
 *
 * Process context, may sleep.
 * Return: what @fn returned, or -ENOENT.
 */
int qkd_macsec_show(struct net *net, u32 ifindex, qkd_macsec_fn fn, void *arg)
{
	const struct qkd_macsec *b;
	int err = -ENOENT;

	mutex_lock(&macsec_bindings.lock);
	b = macsec_find(net, ifindex);
	if (b)
		err = fn(b, arg);
	mutex_unlock(&macsec_bindings.lock);
	return err;
}

/**
 * qkd_macsec_sa_show - look at an SA
 * @net: namespace
 * @ifindex: of the device
 * @name: which SA
 * @fn: looks at it
 * @arg: for @fn
 *
 * Process context, may sleep.
 * Return: what @fn returned, or -ENOENT.
 */
int qkd_macsec_sa_show(struct net *net, u32 ifindex, const struct qkd_macsec_name *name,
		       qkd_macsec_sa_fn fn, void *arg)
{
	const struct qkd_macsec_sa *sa;
	const struct qkd_macsec *b;
	int err = -ENOENT;

	mutex_lock(&macsec_bindings.lock);
	b = macsec_find(net, ifindex);
	sa = b ? sa_find(b, name) : NULL;
	if (sa)
		err = fn(b, sa, arg);
	mutex_unlock(&macsec_bindings.lock);
	return err;
}

/**
 * qkd_macsec_walk - look at the bound devices of a namespace
 * @net: namespace
 * @number: least number to look at; out: that of the device where @fn ended it
 * @fn: looks at one; anything but 0 ends the walk
 * @arg: for @fn
 *
 * Process context, may sleep.
 * Return: 0 or what @fn returned.
 */
int qkd_macsec_walk(struct net *net, u64 *number, qkd_binding_fn fn, void *arg)
{
	return qkd_bindings_walk(&macsec_bindings, net, number, fn, arg);
}

/**
 * qkd_macsec_sa_walk - look at the SAs of a device, from qkd_macsec_fn
 * @b: device
 * @number: least number to look at; out: that of the SA where @fn ended it, 0 if
 *	it looked at all
 * @fn: looks at one; anything but 0 ends the walk
 * @arg: for @fn
 *
 * Return: 0 or what @fn returned.
 */
int qkd_macsec_sa_walk(const struct qkd_macsec *b, u64 *number, qkd_macsec_sa_fn fn,
		       void *arg)
{
	const struct qkd_macsec_sa *sa;
	int err;

	lockdep_assert_held(&macsec_bindings.lock);
	list_for_each_entry(sa, &b->sas, list) {
		if (sa->number < *number)
			continue;
		*number = sa->number;
		err = fn(b, sa, arg);
		if (err)
			return err;
	}
	*number = 0;
	return 0;
}

/*
 * What ends
 */

/**
 * qkd_macsec_link_gone - the link has been unregistered: its devices block
 * @link: as of qkd_bindings_link_gone()
 */
void qkd_macsec_link_gone(struct qkd_link *link)
{
	qkd_bindings_link_gone(&macsec_bindings, link);
}

/**
 * qkd_macsec_stop - remove all SAs of all devices, which stay bound
 * @why: as of qkd_bindings_stop()
 * @wait: likewise
 */
void qkd_macsec_stop(const char *why, bool wait)
{
	qkd_bindings_stop(&macsec_bindings, why, wait);
}

/**
 * qkd_macsec_init - hear of devices that go
 *
 * Context: module init.
 * Return: 0 or an errno.
 */
int qkd_macsec_init(void)
{
	return qkd_bindings_init(&macsec_bindings, "qkd-macsec");
}

/**
 * qkd_macsec_exit - undo qkd_macsec_init(); no device is bound
 */
void qkd_macsec_exit(void)
{
	qkd_bindings_exit(&macsec_bindings);
}
