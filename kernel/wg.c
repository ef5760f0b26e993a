// SPDX-License-Identifier: GPL-2.0-only
/*
 * WireGuard peers whose preshared keys come from a link.
 *
 * One end allocates a key and holds it, the other installs it by its ID, then the
 * first one does, too, and has WireGuard begin a session: from then on what is sent
 * is under the new key. A handshake between the two steps, with different keys, just
 * fails; WireGuard tries again after 5 s, and goes on meanwhile under the session
 * that it has.
 *
 * Handlers only say what is wanted, and the work of the peer's binding does it:
 * binding.c says why. It also looks whether there was a handshake since: only that
 * proves that both ends have one key.
 *
 * No key is used for longer than the peer's max_time. Then, and when the link or the
 * peer is let go, the machine sleeps or is cloned, WireGuard gets a random key that
 * nobody knows: the peer blocks. Never is it without a key, nor has it an old one.
 *
 * Locks: RTNL, then that of the bindings. While WireGuard is spoken to, none is held.
 */
#include <linux/netdevice.h>
#include <linux/random.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <net/rtnetlink.h>

#include "wg.h"

#define WG_LOOK_MIN	(100 * NSEC_PER_MSEC)	/* between looks for a handshake */
#define WG_LOOK_MAX	(5 * NSEC_PER_SEC)
#define WG_HELD_LIFE	((u64)QKD_ALLOCATED_LIFE * NSEC_PER_MSEC)

static struct qkd_bindings wg_bindings;

/* Context of a key: what both ends must mean by it. */
struct wg_context {
	u8 alice[QKD_WG_KEY];
	u8 bob[QKD_WG_KEY];
} __packed;

static struct qkd_key_context key_context(const struct qkd_wg *wg,
					  const struct qkd_wg_device *device,
					  struct wg_context *data)
{
	bool alice = wg->base.link->cfg.role == QKD_ROLE_ALICE;

	memcpy(alice ? data->alice : data->bob, device->public, QKD_WG_KEY);
	memcpy(alice ? data->bob : data->alice, wg->name.peer, QKD_WG_KEY);
	return (struct qkd_key_context){
		.class = QKD_CLASS_REKEY,
		.type = QKD_CONTEXT_TYPE_WIREGUARD,
		.len = sizeof(*data),
		.data = (u8 *)data,
	};
}

/*
 * Peers
 */

static bool is_wireguard(const struct net_device *dev)
{
	return dev->rtnl_link_ops && dev->rtnl_link_ops->kind &&
	       !strcmp(dev->rtnl_link_ops->kind, "wireguard");
}

static struct qkd_wg *wg_find(const struct net *net, const struct qkd_wg_name *name)
{
	struct qkd_binding *b;

	lockdep_assert_held(&wg_bindings.lock);
	hash_for_each_possible(wg_bindings.table, b, hash, name->ifindex)
		if (qkd_binding_is_at(b, net, name->ifindex) &&
		    !memcmp(to_qkd_wg(b)->name.peer, name->peer, QKD_WG_KEY))
			return to_qkd_wg(b);
	return NULL;
}

static bool id_is_set(const u8 id[QKD_KEY_ID_LEN])
{
	return memchr_inv(id, 0, QKD_KEY_ID_LEN);
}

/* The caller holds the namespace. */
static void wg_tell(const struct qkd_wg *wg, u32 type, const u8 id[QKD_KEY_ID_LEN],
		    int error, const char *message)
{
	const struct qkd_event ev = {
		.type = type,
		.stream = -1,
		.ifindex = wg->name.ifindex,
		.wg_peer = wg->name.peer,
		.key_id = id && id_is_set(id) ? id : NULL,
		.error = -error,
		.message = message,
	};

	qkd_event_send(wg->base.link, &ev);
}

/* A key that was taken and will not be used. */
static void key_burn(struct qkd_wg *wg, struct qkd_wg_key *key)
{
	if (id_is_set(key->id))
		qkd_refuse(wg->base.link, QKD_REFUSED_BURNT);
	memzero_explicit(key, sizeof(*key));
}

/*
 * The work: what is asked for
 */

/* @shake: the peer has this key by now */
static int take_key(struct qkd_wg *wg, const struct qkd_wg_device *device,
		    const struct qkd_wg_request *request, struct qkd_wg_key *key,
		    bool *shake)
{
	struct wg_context data;
	struct qkd_key_context ctx = key_context(wg, device, &data);
	u32 size = sizeof(key->bytes);

	*shake = false;
	if (!request->by_id)
		return qkd_key_alloc(wg->base.link, &ctx, size, key->id, key->bytes, NULL);
	mutex_lock(&wg_bindings.lock);
	if (!memcmp(wg->held.id, request->id, sizeof(request->id))) {
		*key = wg->held;
		memzero_explicit(&wg->held, sizeof(wg->held));
		*shake = true;
	}
	mutex_unlock(&wg_bindings.lock);
	if (*shake)
		return 0;
	memcpy(key->id, request->id, sizeof(key->id));
	return qkd_key_claim(wg->base.link, key->id, &ctx, key->bytes, &size, NULL);
}

static int ask_for_peer(struct qkd_wg *wg, struct qkd_port *port,
			struct qkd_wg_device *device, const char **why)
{
	int err = qkd_wg_ask(port, &wg->name, device);

	*why = "WireGuard does not answer";
	if (!err && !device->has_keys) {
		*why = "the device has no private key";
		err = -ENOKEY;
	} else if (!err && !device->has_peer) {
		*why = "the device has no such peer";
		err = -ENODEV;
	}
	return err;
}

/*
 * Gives WireGuard a key. It does not tell then whether it has the peer. If it does not
 * tell when asked, either, or did not answer at all, the peer may have a key that counts
 * as burnt: it blocks.
 */
static int use_key(struct qkd_wg *wg, struct qkd_port *port, struct qkd_wg_key *key,
		   bool shake, struct qkd_wg_device *device, const char **why)
{
	int err = qkd_wg_give(port, &wg->name, key->bytes);

	if (err && err != -ENOMSG) {
		*why = "WireGuard refused the key";
		return err;
	}
	if (err)
		*why = "WireGuard does not answer";
	else
		err = ask_for_peer(wg, port, device, why);
	if (err == -ENODEV && device->has_keys && !device->has_peer)
		return err;
	mutex_lock(&wg_bindings.lock);
	wg->there = true;
	wg->blocked = false;
	if (err)
		wg->stopping = *why;
	mutex_unlock(&wg_bindings.lock);
	/* without it the key is used as soon as WireGuard wants a session */
	if (!err && shake)
		qkd_wg_shake(port, &wg->name, device->private);
	return err;
}

static void settle_failed(struct qkd_wg *wg, const struct qkd_wg_request *request,
			  int err, const char *why)
{
	mutex_lock(&wg_bindings.lock);
	wg->failed++;
	wg->error = err;
	wg->message = why;
	if (wg->state == QKD_WG_STATE_PENDING)
		wg->state = QKD_WG_STATE_FAILED;
	mutex_unlock(&wg_bindings.lock);
	wg_tell(wg, QKD_EVENT_TYPE_WG_FAILED, request->id, err, why);
}

static void settle_held(struct qkd_wg *wg, const struct qkd_wg_key *key)
{
	mutex_lock(&wg_bindings.lock);
	key_burn(wg, &wg->held);
	wg->held = *key;
	wg->held_at = ktime_get_boottime_ns();
	if (wg->state == QKD_WG_STATE_PENDING)
		wg->state = QKD_WG_STATE_HELD;
	mutex_unlock(&wg_bindings.lock);
	wg_tell(wg, QKD_EVENT_TYPE_WG_HELD, key->id, 0, NULL);
}

static void settle_installed(struct qkd_wg *wg, const struct qkd_wg_key *key,
			     s64 handshake)
{
	mutex_lock(&wg_bindings.lock);
	wg->installed++;
	memcpy(wg->id, key->id, sizeof(wg->id));
	wg->confirmed = false;
	wg->born = ktime_get_boottime_ns();
	wg->handshake = handshake;
	if (wg->state == QKD_WG_STATE_PENDING)
		wg->state = QKD_WG_STATE_INSTALLED;
	mutex_unlock(&wg_bindings.lock);
	wg_tell(wg, QKD_EVENT_TYPE_WG_INSTALLED, key->id, 0, NULL);
}

static void do_request(struct qkd_wg *wg, struct qkd_port *port)
{
	/* stays as it is while it is pending, and no longer */
	const struct qkd_wg_request request = wg->request;
	struct qkd_wg_device device;
	struct qkd_wg_key key = {};
	const char *why;
	bool shake;
	int err;

	err = ask_for_peer(wg, port, &device, &why);
	if (!err) {
		err = take_key(wg, &device, &request, &key, &shake);
		why = qkd_key_error(err);
		if (err)
			memzero_explicit(&key, sizeof(key));
	}
	if (!err && !request.hold)
		err = use_key(wg, port, &key, shake, &device, &why);
	if (err)
		settle_failed(wg, &request, err, why);
	else if (request.hold)
		settle_held(wg, &key);
	else
		settle_installed(wg, &key, device.handshake);
	if (err)
		key_burn(wg, &key);
	memzero_explicit(&key, sizeof(key));
	memzero_explicit(&device, sizeof(device));
}

/*
 * The work: what ends
 */

/* A key that nobody knows, and no more packets under the sessions that there are. */
static int block(struct qkd_port *port, const struct qkd_wg_name *name)
{
	struct qkd_wg_device device;
	u8 key[QKD_WG_KEY];
	int err;

	get_random_bytes_wait(key, sizeof(key));
	err = qkd_wg_give(port, name, key);
	memzero_explicit(key, sizeof(key));
	if (err)
		return err;
	err = qkd_wg_ask(port, name, &device);
	if (!err && device.has_keys)
		err = qkd_wg_shake(port, name, device.private);
	memzero_explicit(&device, sizeof(device));
	return err;
}

/*
 * Returns 0, or an errno if it must be tried again: -ENODEV, too, as the device may be
 * on its way to another namespace, with its key.
 */
static int do_block(struct qkd_wg *wg, struct qkd_port *port, const char *why)
{
	int err = block(port, &wg->name);

	if (err)
		return err;
	mutex_lock(&wg_bindings.lock);
	wg->blocks++;
	wg->blocked = true;
	wg->there = true;
	wg->stopping = NULL;
	key_burn(wg, &wg->held);
	memset(wg->id, 0, sizeof(wg->id));
	wg->message = why;
	if (wg->state != QKD_WG_STATE_PENDING && wg->state != QKD_WG_STATE_DELETING)
		wg->state = QKD_WG_STATE_BLOCKED;
	mutex_unlock(&wg_bindings.lock);
	wg_tell(wg, QKD_EVENT_TYPE_WG_BLOCKED, NULL, 0, why);
	return 0;
}

/* Was there a handshake under the key in use? */
static void do_look(struct qkd_wg *wg, struct qkd_port *port)
{
	struct qkd_wg_device device;
	u8 id[QKD_KEY_ID_LEN];
	bool confirmed = false;

	if (!qkd_wg_ask(port, &wg->name, &device) && device.has_peer)
		confirmed = device.handshake != wg->handshake;
	memzero_explicit(&device, sizeof(device));
	if (!confirmed)
		return;
	mutex_lock(&wg_bindings.lock);
	wg->confirms++;
	wg->confirmed = true;
	if (wg->state == QKD_WG_STATE_INSTALLED)
		wg->state = QKD_WG_STATE_CONFIRMED;
	memcpy(id, wg->id, sizeof(id));
	mutex_unlock(&wg_bindings.lock);
	wg_tell(wg, QKD_EVENT_TYPE_WG_CONFIRMED, id, 0, NULL);
}

/*
 * The work: what is due
 */

static u64 wg_end_of_time(const struct qkd_wg *wg)
{
	return wg->born + (u64)wg->max_time * NSEC_PER_MSEC;
}

static bool wg_is_unconfirmed(const struct qkd_wg *wg)
{
	return wg->there && !wg->blocked && !wg->confirmed;
}

/* Why the peer has to block, or NULL. */
static const char *wg_must_block(const struct qkd_wg *wg, u64 now)
{
	if (wg->blocked)
		return NULL;
	if (wg->base.leaving || wg->stopping) /* what never got a key of ours is not ours */
		return !wg->there ? NULL : wg->base.leaving ? wg->base.leaving : wg->stopping;
	return now >= wg_end_of_time(wg) ? "its time is over" : NULL;
}

/* The end that should have asked for it has not. */
static void drop_held(struct qkd_wg *wg)
{
	u64 now = ktime_get_boottime_ns();
	bool told = true;

	mutex_lock(&wg_bindings.lock);
	if (id_is_set(wg->held.id) && now >= wg->held_at + WG_HELD_LIFE) {
		key_burn(wg, &wg->held);
		told = wg->state != QKD_WG_STATE_HELD;
	}
	if (!told) {
		wg->state = QKD_WG_STATE_FAILED;
		wg->error = -ETIMEDOUT;
		wg->message = "the key that was held was not asked for";
		wg->failed++;
	}
	mutex_unlock(&wg_bindings.lock);
	if (!told)
		wg_tell(wg, QKD_EVENT_TYPE_WG_FAILED, NULL, -ETIMEDOUT,
			"the key that was held was not asked for");
}

/* What has to be done at once; false if that is nothing. */
static bool wg_next(struct qkd_wg *wg, bool *pending, const char **why)
{
	mutex_lock(&wg_bindings.lock);
	*pending = wg->state == QKD_WG_STATE_PENDING;
	*why = wg_must_block(wg, ktime_get_boottime_ns());
	mutex_unlock(&wg_bindings.lock);
	return *pending || *why;
}

/* Returns 0, or an errno if WireGuard could not be spoken to. */
static int speak(struct qkd_wg *wg, struct net *net)
{
	struct qkd_port port;
	const char *why;
	bool pending;
	int err = 0;

	drop_held(wg);
	if (!wg_next(wg, &pending, &why) && !wg_is_unconfirmed(wg))
		return 0;
	err = qkd_wg_open(&port, net);
	if (err)
		return err;
	while (!err && wg_next(wg, &pending, &why)) {
		if (pending)
			do_request(wg, &port);
		else
			err = do_block(wg, &port, why);
	}
	if (!err && wg_is_unconfirmed(wg))
		do_look(wg, &port);
	qkd_port_close(&port);
	return err;
}

static int wg_serve(struct qkd_binding *base, struct net *net)
{
	struct qkd_wg *wg = to_qkd_wg(base);
	int err = speak(wg, net);

	mutex_lock(&wg_bindings.lock);
	if (wg->stopping && !wg->there)
		wg->stopping = NULL;
	mutex_unlock(&wg_bindings.lock);
	return err;
}

static int wg_strip(struct qkd_binding *base, struct net *net, u32 ifindex)
{
	const struct qkd_wg *wg = to_qkd_wg(base);
	struct qkd_wg_name name = wg->name;
	struct qkd_port port;
	int err;

	if (!wg->there || wg->blocked)
		return 0;
	err = qkd_wg_open(&port, net);
	if (err)
		return err;
	name.ifindex = ifindex;
	err = block(&port, &name);
	qkd_port_close(&port);
	return err;
}

static void wg_gone(struct qkd_binding *base)
{
	wg_tell(to_qkd_wg(base), QKD_EVENT_TYPE_WG_DEL, NULL, 0, base->leaving);
}

static void wg_free(struct qkd_binding *base)
{
	struct qkd_wg *wg = to_qkd_wg(base);

	key_burn(wg, &wg->held);
	kfree_sensitive(wg);
}

static void wg_leave(struct qkd_binding *base, const char *why)
{
	to_qkd_wg(base)->state = QKD_WG_STATE_DELETING;
}

static void wg_stop(struct qkd_binding *base, const char *why)
{
	to_qkd_wg(base)->stopping = why;
}

static bool wg_done(const struct qkd_binding *base)
{
	const struct qkd_wg *wg = to_qkd_wg(base);

	return wg->blocked || !wg->there;
}

/* When there is something to be done again, or U64_MAX. */
static u64 wg_due(const struct qkd_binding *base, u64 now)
{
	const struct qkd_wg *wg = to_qkd_wg(base);
	u64 due = U64_MAX;

	if (wg->state == QKD_WG_STATE_PENDING || wg->base.leaving || wg->stopping)
		return now;
	if (!wg->blocked)
		due = wg_end_of_time(wg);
	if (id_is_set(wg->held.id))
		due = min(due, wg->held_at + WG_HELD_LIFE);
	if (wg_is_unconfirmed(wg))
		due = min_t(u64, due, now + clamp_t(u64, (now - wg->born) / 4,
						    WG_LOOK_MIN, WG_LOOK_MAX));
	return due;
}

static const struct qkd_binding_ops wg_ops = {
	.owns = is_wireguard,
	.leave = wg_leave,
	.stop = wg_stop,
	.serve = wg_serve,
	.done = wg_done,
	.due = wg_due,
	.strip = wg_strip,
	.gone = wg_gone,
	.free = wg_free,
};

static struct qkd_bindings wg_bindings = {
	.lock = __MUTEX_INITIALIZER(wg_bindings.lock),
	.list = LIST_HEAD_INIT(wg_bindings.list),
	.ops = &wg_ops,
};

/*
 * What is asked for
 */

static int check_key(struct qkd_link *link, const struct qkd_wg_request *request,
		     struct netlink_ext_ack *extack)
{
	int err = qkd_key_check_supply(link, QKD_CLASS_REKEY, QKD_WG_KEY, !request->by_id);

	if (err)
		extack->_msg = qkd_key_error(err);
	return err;
}

/* Could a request be made? */
static int check_peer(const struct qkd_link *link, const struct qkd_wg *wg,
		      struct netlink_ext_ack *extack)
{
	if (READ_ONCE(link->gone)) {
		NL_SET_ERR_MSG(extack, "link is being deleted");
		return -ENODEV;
	}
	if (wg && wg->base.link != link) {
		NL_SET_ERR_MSG(extack, "the peer's keys come from another link");
		return -EEXIST;
	}
	if (wg && wg->base.leaving) {
		NL_SET_ERR_MSG(extack, "the peer is being let go");
		return -EBUSY;
	}
	if (wg && wg->state == QKD_WG_STATE_PENDING) {
		NL_SET_ERR_MSG(extack, "the last request is still pending");
		return -EBUSY;
	}
	return 0;
}

static int count_peers(const struct qkd_link *link)
{
	const struct qkd_binding *b;
	int n = 0;

	list_for_each_entry(b, &wg_bindings.list, list)
		n += b->link == link;
	return n;
}

/* Its time begins before it has a key: what there is now must not go on for ever. */
static struct qkd_wg *wg_new(struct qkd_link *link, const struct qkd_wg_name *name)
{
	struct qkd_wg *wg = kzalloc(sizeof(*wg), GFP_KERNEL_ACCOUNT);

	if (!wg)
		return NULL;
	qkd_binding_init(&wg->base, &wg_bindings, link, name->ifindex);
	wg->name = *name;
	wg->max_time = QKD_WG_TIME;
	wg->born = ktime_get_boottime_ns();
	qkd_binding_enter(&wg->base);
	/* before anything can happen to it */
	wg_tell(wg, QKD_EVENT_TYPE_WG_NEW, NULL, 0, NULL);
	return wg;
}

static int wg_enter(struct qkd_link *link, const struct qkd_wg_name *name,
		    struct qkd_wg_request *request, struct netlink_ext_ack *extack)
{
	struct qkd_wg *wg = wg_find(link->net, name);
	int err;

	err = check_peer(link, wg, extack) ?: check_key(link, request, extack);
	if (err)
		return err;
	if (!wg && count_peers(link) >= QKD_WG_PEERS) {
		NL_SET_ERR_MSG(extack, "the link has too many peers");
		return -ENOSPC;
	}
	if (!wg)
		wg = wg_new(link, name);
	if (!wg)
		return -ENOMEM;
	if (request->max_time)
		wg->max_time = request->max_time;
	request->number = ++wg_bindings.number;
	wg->request = *request;
	wg->state = QKD_WG_STATE_PENDING;
	wg->error = 0;
	wg->message = NULL;
	qkd_binding_kick(&wg->base);
	return 0;
}

/**
 * qkd_wg_set - ask for another preshared key of a peer
 * @link: link, of the caller's namespace, which lives through the call
 * @name: of the peer
 * @request: which key; out: its number
 * @extack: says what was wrong
 *
 * It comes later, and is taken then: events and qkd_wg_show() tell. The peer takes
 * its keys from @link from now on.
 *
 * Process context, may sleep; takes RTNL.
 * Return: 0; -ENODEV no such device, or the link is going, -EOPNOTSUPP not a
 * WireGuard device, -EEXIST the peer has another link, -EBUSY it is at another
 * request or being let go, -ENETDOWN, -ENOKEY, -ENOSPC, -ENOMEM.
 */
int qkd_wg_set(struct qkd_link *link, const struct qkd_wg_name *name,
	       struct qkd_wg_request *request, struct netlink_ext_ack *extack)
{
	const struct net_device *dev;
	int err;

	/* the device cannot go unnoticed in between */
	rtnl_lock();
	dev = __dev_get_by_index(link->net, name->ifindex);
	if (!dev) {
		NL_SET_ERR_MSG(extack, "no such device in this network namespace");
		err = -ENODEV;
	} else if (!is_wireguard(dev)) {
		NL_SET_ERR_MSG(extack, "not a WireGuard device");
		err = -EOPNOTSUPP;
	} else {
		mutex_lock(&wg_bindings.lock);
		err = wg_enter(link, name, request, extack);
		mutex_unlock(&wg_bindings.lock);
	}
	rtnl_unlock();
	return err;
}

/**
 * qkd_wg_del - block a peer that has a key of ours, and let it go
 * @net: namespace, which lives through the call
 * @name: of the peer
 * @extack: says what was wrong
 *
 * All of this comes later; then the peer is not found any more.
 *
 * Process context, may sleep.
 * Return: 0 or -ENOENT.
 */
int qkd_wg_del(struct net *net, const struct qkd_wg_name *name,
	       struct netlink_ext_ack *extack)
{
	struct qkd_wg *wg;

	mutex_lock(&wg_bindings.lock);
	wg = wg_find(net, name);
	if (wg)
		qkd_binding_leave(&wg->base, "by request");
	else
		NL_SET_ERR_MSG(extack, "the peer's keys come from no link");
	mutex_unlock(&wg_bindings.lock);
	return wg ? 0 : -ENOENT;
}

/*
 * What is shown
 */

/**
 * qkd_wg_show - look at a peer
 * @net: namespace
 * @name: of the peer
 * @fn: looks at it
 * @arg: for @fn
 *
 * Process context, may sleep.
 * Return: what @fn returned, or -ENOENT.
 */
int qkd_wg_show(struct net *net, const struct qkd_wg_name *name, qkd_wg_fn fn, void *arg)
{
	const struct qkd_wg *wg;
	int err = -ENOENT;

	mutex_lock(&wg_bindings.lock);
	wg = wg_find(net, name);
	if (wg)
		err = fn(wg, arg);
	mutex_unlock(&wg_bindings.lock);
	return err;
}

/**
 * qkd_wg_walk - look at the peers of a namespace
 * @net: namespace
 * @number: least to look at; out: that of the peer where @fn ended it
 * @fn: looks at one; anything but 0 ends the walk
 * @arg: for @fn
 *
 * Process context, may sleep.
 * Return: 0 or what @fn returned.
 */
int qkd_wg_walk(struct net *net, u64 *number, qkd_binding_fn fn, void *arg)
{
	return qkd_bindings_walk(&wg_bindings, net, number, fn, arg);
}

/*
 * What ends
 */

/**
 * qkd_wg_link_gone - the link has been unregistered: its peers block
 * @link: as of qkd_bindings_link_gone()
 */
void qkd_wg_link_gone(struct qkd_link *link)
{
	qkd_bindings_link_gone(&wg_bindings, link);
}

/**
 * qkd_wg_stop - block all peers, until there is another key
 * @why: as of qkd_bindings_stop()
 * @wait: likewise
 */
void qkd_wg_stop(const char *why, bool wait)
{
	qkd_bindings_stop(&wg_bindings, why, wait);
}

/**
 * qkd_wg_init - hear of devices that go
 *
 * Context: module init.
 * Return: 0 or an errno.
 */
int qkd_wg_init(void)
{
	return qkd_bindings_init(&wg_bindings, "qkd-wg");
}

/**
 * qkd_wg_exit - undo qkd_wg_init(); there are no peers
 */
void qkd_wg_exit(void)
{
	qkd_bindings_exit(&wg_bindings);
}
