// SPDX-License-Identifier: GPL-2.0-only
/*
 * What takes its keys from a link, at a network device: a macsec device, a peer of a
 * WireGuard device. Both are given their keys over generic netlink alone, and a handler
 * of ours runs under a lock of generic netlink that their handlers take too. So handlers
 * only say what is wanted, and the binding's work item does it.
 *
 * A binding ends when it is done leaving, or at once when its device leaves the
 * namespace: then it cannot be found any more, and the work, which alone still uses it,
 * frees it.
 *
 * Locks: RTNL, then the consumer's. While a family is spoken to, none is held.
 */
#include <linux/module.h>
#include <linux/rtnetlink.h>
#include <linux/timekeeping.h>

#include "binding.h"

#define BINDING_RETRY	NSEC_PER_SEC	/* when a family could not be spoken to */

/**
 * qkd_binding_kick - have a binding served now
 * @b: binding, under its lock
 */
void qkd_binding_kick(struct qkd_binding *b)
{
	lockdep_assert_held(&b->all->lock);
	mod_delayed_work(b->all->wq, &b->work, 0);
}

/**
 * qkd_binding_leave - have a binding go, unless it is going
 * @b: binding, under its lock
 * @why: what is told
 */
void qkd_binding_leave(struct qkd_binding *b, const char *why)
{
	lockdep_assert_held(&b->all->lock);
	if (b->leaving)
		return;
	b->leaving = why;
	b->all->ops->leave(b, why);
	qkd_binding_kick(b);
}

/**
 * qkd_binding_has_left - has the device left its namespace?
 * @b: binding, in its work
 *
 * Tells the work that was told -ENODEV what is not there. While a device moves it
 * cannot be found, neither where it was nor where it will be.
 *
 * Process context without locks, may sleep; takes RTNL.
 */
bool qkd_binding_has_left(struct qkd_binding *b)
{
	bool left;

	rtnl_lock();
	mutex_lock(&b->all->lock);
	left = !b->bound;
	mutex_unlock(&b->all->lock);
	rtnl_unlock();
	return left;
}

/* From here on only the work knows it. */
static void binding_unlist(struct qkd_binding *b)
{
	lockdep_assert_held(&b->all->lock);
	hash_del(&b->hash);
	list_del(&b->list);
	b->bound = false;
}

/* Where a device is, which may have moved: that is held, or NULL if it has gone. */
static struct net *whereabouts(const struct net_device *dev, u32 *ifindex)
{
	struct net *net = NULL;

	rtnl_lock();
	if (dev->reg_state == NETREG_REGISTERED) {
		net = maybe_get_net(dev_net(dev));
		*ifindex = dev->ifindex;
	}
	rtnl_unlock();
	return net;
}

static bool device_is_at(const struct net_device *dev, const struct net *net, u32 ifindex)
{
	bool same;

	rtnl_lock();
	same = net_eq(dev_net(dev), net) && dev->ifindex == ifindex;
	rtnl_unlock();
	return same;
}

/*
 * The device has left its namespace. If it lives on in another one, its keys must
 * not: no link there answers for them. Returns false if it must be tried again.
 */
static bool binding_follow(struct qkd_binding *b)
{
	u32 ifindex = 0;
	struct net *net = whereabouts(b->moved, &ifindex);
	int err;

	if (!net)
		return true;
	err = b->all->ops->strip(b, net, ifindex);
	/* somebody else took them, unless the device has moved on meanwhile */
	if (err == -ENODEV && device_is_at(b->moved, net, ifindex))
		err = 0;
	put_net(net);
	return !err;
}

static void binding_end(struct qkd_binding *b, struct net *net)
{
	struct qkd_link *link = b->link;

	dev_put(b->moved);
	if (net)
		b->all->ops->gone(b);
	/* queued when it was unlisted, by somebody who came just before us */
	cancel_delayed_work(&b->work);
	b->all->ops->free(b);
	qkd_link_put(link);
	module_put(THIS_MODULE);
}

static void binding_arm(struct qkd_binding *b, bool again)
{
	u64 now = ktime_get_boottime_ns();
	u64 due = again ? now + BINDING_RETRY : b->all->ops->due(b, now);

	if (due == U64_MAX)
		return;
	due = due > now ? due - now : 0;
	queue_delayed_work(b->all->wq, &b->work, due ? nsecs_to_jiffies(due) + 1 : 0);
}

/*
 * Holds the namespace. Nothing does between the runs of the work, but it does not
 * go before its devices, and those are unbound when they go.
 */
static struct net *binding_begin(struct qkd_binding *b, bool *bound)
{
	struct net *net;

	mutex_lock(&b->all->lock);
	*bound = b->bound;
	net = b->bound ? maybe_get_net(b->net) : b->last_net;
	mutex_unlock(&b->all->lock);
	return net;
}

/* Returns false if nothing is left but to end it. */
static bool binding_serve(struct qkd_binding *b, struct net *net)
{
	int err = b->all->ops->serve(b, net);
	bool end;

	mutex_lock(&b->all->lock);
	end = b->bound && !err && b->leaving && b->all->ops->done(b);
	if (end)
		binding_unlist(b);
	else if (b->bound)
		binding_arm(b, err);
	mutex_unlock(&b->all->lock);
	return !end;
}

static void binding_work(struct work_struct *work)
{
	struct qkd_binding *b = container_of(to_delayed_work(work), struct qkd_binding,
					     work);
	struct net *net;
	bool bound;

	net = binding_begin(b, &bound);
	/* a namespace that is on its way out unbinds its devices itself */
	if (bound && !net)
		return;
	if (!bound && b->moved && !binding_follow(b)) {
		queue_delayed_work(b->all->wq, &b->work, nsecs_to_jiffies(BINDING_RETRY));
		return;		/* and it still holds what it holds */
	}
	if (!bound || !binding_serve(b, net))
		binding_end(b, net);
	if (net)
		put_net(net);
}

/**
 * qkd_binding_init - make a binding of zeroed memory
 * @b: out
 * @all: that it is to be one of
 * @link: where its keys come from
 * @ifindex: of the device, in the link's namespace
 *
 * Takes no reference yet.
 */
void qkd_binding_init(struct qkd_binding *b, struct qkd_bindings *all,
		      struct qkd_link *link, u32 ifindex)
{
	INIT_DELAYED_WORK(&b->work, binding_work);
	b->all = all;
	b->link = link;
	b->net = link->net;
	b->ifindex = ifindex;
}

/**
 * qkd_binding_enter - let a binding be found
 * @b: binding, under its lock and RTNL, so that its device has not gone unnoticed;
 *	its link is not gone
 */
void qkd_binding_enter(struct qkd_binding *b)
{
	struct qkd_bindings *all = b->all;

	ASSERT_RTNL();
	lockdep_assert_held(&all->lock);
	b->number = ++all->number;
	hash_add(all->table, &b->hash, b->ifindex);
	list_add_tail(&b->list, &all->list);
	b->bound = true;
	/* the link holds the module until qkd_bindings_link_gone() */
	kref_get(&b->link->ref);
	__module_get(THIS_MODULE);
}

/**
 * qkd_bindings_walk - look at the bindings of a namespace
 * @all: of a consumer
 * @net: namespace
 * @number: least number to look at; out: that of the binding where @fn ended it
 * @fn: looks at one; anything but 0 ends the walk
 * @arg: for @fn
 *
 * Process context, may sleep.
 * Return: 0 or what @fn returned.
 */
int qkd_bindings_walk(struct qkd_bindings *all, struct net *net, u64 *number,
		      qkd_binding_fn fn, void *arg)
{
	const struct qkd_binding *b;
	int err = 0;

	mutex_lock(&all->lock);
	list_for_each_entry(b, &all->list, list) {
		if (b->number < *number || !net_eq(b->net, net))
			continue;
		*number = b->number;
		err = fn(b, arg);
		if (err)
			break;
	}
	mutex_unlock(&all->lock);
	return err;
}

/**
 * qkd_bindings_link_gone - the link has been unregistered: its bindings go
 * @all: of a consumer
 * @link: link, with @link->gone set, so that nothing is bound to it any more
 *
 * Process context, may sleep. They go later, as another family must be asked.
 */
void qkd_bindings_link_gone(struct qkd_bindings *all, struct qkd_link *link)
{
	struct qkd_binding *b;

	mutex_lock(&all->lock);
	list_for_each_entry(b, &all->list, list)
		if (b->link == link)
			qkd_binding_leave(b, "the link was deleted");
	mutex_unlock(&all->lock);
}

/**
 * qkd_bindings_stop - take away all keys; what has had them stays bound
 * @all: of a consumer
 * @why: what the events say
 * @wait: until they are gone; without locks, not from a handler of generic netlink
 *
 * Process context, may sleep.
 */
void qkd_bindings_stop(struct qkd_bindings *all, const char *why, bool wait)
{
	struct qkd_binding *b;

	mutex_lock(&all->lock);
	list_for_each_entry(b, &all->list, list) {
		all->ops->stop(b, why);
		qkd_binding_kick(b);
	}
	mutex_unlock(&all->lock);
	if (wait)
		flush_workqueue(all->wq);
}

/* The device is being deleted, or leaves its namespace. Under RTNL. */
static void device_gone(struct qkd_bindings *all, struct net_device *dev)
{
	struct net *net = dev_net(dev);
	struct qkd_binding *b;
	struct hlist_node *next;

	mutex_lock(&all->lock);
	hash_for_each_possible_safe(all->table, b, next, hash, dev->ifindex) {
		if (!qkd_binding_is_at(b, net, dev->ifindex))
			continue;
		dev_hold(dev);
		b->moved = dev;
		b->last_net = maybe_get_net(net);
		if (!b->leaving)
			b->leaving = "the device has gone";
		binding_unlist(b);
		qkd_binding_kick(b);
	}
	mutex_unlock(&all->lock);
}

static int netdev_event(struct notifier_block *nb, unsigned long event, void *ptr)
{
	struct qkd_bindings *all = container_of(nb, struct qkd_bindings, nb);
	struct net_device *dev = netdev_notifier_info_to_dev(ptr);

	if (event == NETDEV_UNREGISTER && all->ops->owns(dev))
		device_gone(all, dev);
	return NOTIFY_DONE;
}

/**
 * qkd_bindings_init - be ready to do work, and hear of devices that go
 * @all: of a consumer
 * @name: of the workqueue
 *
 * Context: module init.
 * Return: 0 or an errno.
 */
int qkd_bindings_init(struct qkd_bindings *all, const char *name)
{
	int err;

	all->wq = alloc_workqueue("%s", WQ_UNBOUND, 0, name);
	if (!all->wq)
		return -ENOMEM;
	all->nb.notifier_call = netdev_event;
	err = register_netdevice_notifier(&all->nb);
	if (err)
		destroy_workqueue(all->wq);
	return err;
}

/**
 * qkd_bindings_exit - undo qkd_bindings_init(); nothing is bound
 * @all: of a consumer
 *
 * Each binding has held the module; the last work that let go of it may not yet have
 * returned.
 */
void qkd_bindings_exit(struct qkd_bindings *all)
{
	unregister_netdevice_notifier(&all->nb);
	destroy_workqueue(all->wq);
}
