/* SPDX-License-Identifier: GPL-2.0-only */
/* What the consumers have in common that give the keys of links to network devices. */
#ifndef _QKD_BINDING_H
#define _QKD_BINDING_H

#include <linux/hashtable.h>
#include <linux/netdevice.h>

#include "core.h"

#define QKD_BINDINGS_BITS	8

struct qkd_binding;

/**
 * struct qkd_binding_ops - what is a consumer's own
 * @owns: is the device of its kind? Under RTNL
 * @leave: the binding is to go; under the lock
 * @stop: its keys are to go, but it is not; under the lock
 * @serve: does what there is to do in the namespace, which is held; returns 0, or an
 *	errno if it must be tried again
 * @done: nothing is left to do for a binding that leaves; under the lock
 * @due: when to serve it again, by CLOCK_BOOTTIME in ns, or U64_MAX; under the lock
 * @strip: takes the keys of a device that lives on under @ifindex in another
 *	namespace, which is held; returns 0, -ENODEV if the device or what had a key
 *	is not there, or an errno if it must be tried again
 * @gone: tells that the binding has gone
 * @free: wipes and frees it
 *
 * The last three are for a binding that nobody else knows any more.
 */
struct qkd_binding_ops {
	bool (*owns)(const struct net_device *dev);
	void (*leave)(struct qkd_binding *b, const char *why);
	void (*stop)(struct qkd_binding *b, const char *why);
	int (*serve)(struct qkd_binding *b, struct net *net);
	bool (*done)(const struct qkd_binding *b);
	u64 (*due)(const struct qkd_binding *b, u64 now);
	int (*strip)(struct qkd_binding *b, struct net *net, u32 ifindex);
	void (*gone)(struct qkd_binding *b);
	void (*free)(struct qkd_binding *b);
};

/**
 * struct qkd_bindings - the bindings of a consumer, which sets @lock, @list and @ops
 * @lock: protects the next three, and all that is not constant of the bindings and
 *	what hangs on them. Taken after RTNL; not held while a family is spoken to
 * @table: by ifindex
 * @list: by number
 * @number: of the last binding, or of a consumer's request
 * @ops: constant
 * @wq: does the bindings' work; from qkd_bindings_init() to qkd_bindings_exit()
 * @nb: hears of devices that go; likewise
 */
struct qkd_bindings {
	struct mutex lock;	/* of bindings and what hangs on them */
	DECLARE_HASHTABLE(table, QKD_BINDINGS_BITS);
	struct list_head list;
	u64 number;
	const struct qkd_binding_ops *ops;
	struct workqueue_struct *wq;
	struct notifier_block nb;
};

/**
 * struct qkd_binding - what takes its keys from a link, at a network device
 * @work: does all there is to do, and frees this in the end
 * @all: the bindings that this is one of; constant
 * @hash: in their table, while @bound
 * @list: in their list, while @bound
 * @number: counts them; constant
 * @link: counted reference; constant
 * @net: of the link and the device; constant. Not held: it lives while @bound, as it
 *	does not go before its devices, and those unbind this when they go
 * @ifindex: of the device; constant
 * @bound: it can be found; once it cannot, only @work uses it
 * @leaving: why it is to go, or NULL
 * @moved: the device, held, if it went to another namespace or away
 * @last_net: @net, held, for what is told in the end
 *
 * Holds the module. All under the lock of @all but what is constant.
 */
struct qkd_binding {
	struct delayed_work work;
	struct qkd_bindings *all;
	struct hlist_node hash;
	struct list_head list;
	u64 number;
	struct qkd_link *link;
	struct net *net;
	u32 ifindex;
	bool bound;
	const char *leaving;
	struct net_device *moved;
	struct net *last_net;
};

static inline bool qkd_binding_is_at(const struct qkd_binding *b, const struct net *net,
				     u32 ifindex)
{
	return b->ifindex == ifindex && net_eq(b->net, net);
}

void qkd_binding_init(struct qkd_binding *b, struct qkd_bindings *all,
		      struct qkd_link *link, u32 ifindex);
void qkd_binding_enter(struct qkd_binding *b);
void qkd_binding_kick(struct qkd_binding *b);
bool qkd_binding_has_left(struct qkd_binding *b);
void qkd_binding_leave(struct qkd_binding *b, const char *why);

/* Looks at a binding, under its lock; what it returns is returned. */
typedef int (*qkd_binding_fn)(const struct qkd_binding *b, void *arg);

int qkd_bindings_walk(struct qkd_bindings *all, struct net *net, u64 *number,
		      qkd_binding_fn fn, void *arg);
void qkd_bindings_link_gone(struct qkd_bindings *all, struct qkd_link *link);
void qkd_bindings_stop(struct qkd_bindings *all, const char *why, bool wait);
int qkd_bindings_init(struct qkd_bindings *all, const char *name);
void qkd_bindings_exit(struct qkd_bindings *all);

#endif /* _QKD_BINDING_H */
