// SPDX-License-Identifier: GPL-2.0-only
/*
 * WireGuard peers of the configuration, and their preshared keys. The keys are the
 * module's: it takes them from the link and gives them to WireGuard; here they have
 * only names.
 *
 * The link's end alice leads. She has the module hold a key and tells the peer its
 * ID; he installs it and says so; then she does. What goes wrong before leaves the
 * last key in use, until the module blocks the peer after its max-time.
 *
 * What the kernel has is looked at anew each time, and is all that counts: a daemon
 * that was killed goes on from there. That both ends have one key is proved by the
 * next handshake, which the module looks for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../common/wgkey.h"
#include "qkdd.h"

#define LOOK_BUSY 20 /* ms between looks: when something is going on, and not */
#define LOOK_IDLE 200
#define OFFER_AGAIN \
	5000 /* ms until a peer that does not answer is asked again */
#define RETRY 2000 /* ms until the next attempt after one that failed */

static LIST_HEAD(, wireguard) wireguards = LIST_HEAD_INITIALIZER(wireguards);
static struct event *timer;

static bool has(const struct wireguard *wg, int attr)
{
	return wg->here && wg->now.has & QKD_HAS(attr);
}

/* Is this the key in use? */
static bool in_use(const struct wireguard *wg,
		   const uint8_t key_id[QKD_KEY_ID_LEN])
{
	return has(wg, QKD_A_WG_KEY_ID) &&
	       !memcmp(wg->now.key_id, key_id, QKD_KEY_ID_LEN);
}

static bool is_held(const struct wireguard *wg,
		    const uint8_t key_id[QKD_KEY_ID_LEN])
{
	return has(wg, QKD_A_WG_HELD) &&
	       !memcmp(wg->now.held, key_id, QKD_KEY_ID_LEN);
}

static struct wireguard *find_config(const struct wireguard_config *config)
{
	struct wireguard *wg;

	for (wg = LIST_FIRST(&wireguards); wg; wg = LIST_NEXT(wg, list))
		if (!strcmp(wg->config.device, config->device) &&
		    !memcmp(wg->config.peer, config->peer, QKD_WG_KEY_LEN))
			return wg;
	return NULL;
}

static struct wireguard *find_shared(const struct link *link, const char *name)
{
	struct wireguard *wg;

	for (wg = LIST_FIRST(&wireguards); wg; wg = LIST_NEXT(wg, list))
		if (!strcmp(wg->config.shared_name, name) &&
		    !strcmp(wg->config.link, link->config.name))
			return wg;
	return NULL;
}

/*
 * What the kernel has
 */

static int see(const struct qkd_wg *seen, void *arg)
{
	struct wireguard *wg;
	bool ours;

	(void)arg;
	for (wg = LIST_FIRST(&wireguards); wg; wg = LIST_NEXT(wg, list)) {
		if (wg->ifindex != seen->ifindex ||
		    memcmp(wg->config.peer, seen->peer, QKD_WG_KEY_LEN))
			continue;
		ours = !strcmp(seen->link_name, wg->config.link);
		wg_complain(wg, SAID_WG_LINK, !ours,
			    "its keys come from %s: try \"qkd wg del\"",
			    seen->link_name);
		wg->here = ours && seen->state != QKD_WG_STATE_DELETING;
		wg->now = *seen;
	}
	return 0;
}

/* Returns whether it could be seen. */
static bool refresh(void)
{
	struct wireguard *wg;
	int err;

	for (wg = LIST_FIRST(&wireguards); wg; wg = LIST_NEXT(wg, list)) {
		wg->ifindex = if_nametoindex(wg->config.device);
		wg->here = false;
	}
	err = qkd_wg_dump(ctx, see, NULL);
	return !err;
}

/* Asks the module for a key: that of an ID, or one to be held. */
static int ask(struct wireguard *wg, const uint8_t *key_id)
{
	struct qkd_wg want = {
		.has = QKD_HAS(QKD_A_WG_MAX_TIME) |
		       QKD_HAS(key_id ? QKD_A_WG_KEY_ID : QKD_A_WG_HOLD),
		.ifindex = wg->ifindex,
		.max_time = wg->config.max_time,
		.hold = !key_id,
	};
	int err;

	memcpy(want.peer, wg->config.peer, sizeof(want.peer));
	if (key_id)
		memcpy(want.key_id, key_id, sizeof(want.key_id));
	err = qkd_wg_set(ctx, qkd_by_name(wg->config.link), &want);
	wg->number = want.number;
	return err;
}

/*
 * The peer
 */

static void send_about(const struct wireguard *wg, struct msg *msg)
{
	const struct link *link = link_find(wg->config.link);

	strcpy(msg->device, wg->config.shared_name);
	if (link)
		link_send(link, msg);
}

static void send_key(const struct wireguard *wg, enum msg_type type,
		     const uint8_t key_id[QKD_KEY_ID_LEN],
		     enum sak_answer answer)
{
	struct msg msg = { .type = type, .answer = answer };

	memcpy(msg.key_id, key_id, sizeof(msg.key_id));
	send_about(wg, &msg);
}

/* Tell the peer whether there is a device. */
static void show(struct wireguard *wg, bool ready)
{
	const struct link *link = link_find(wg->config.link);
	const struct peer *peer = link ? peer_find(link->config.peer) : NULL;
	struct msg msg = { .type = MSG_WIREGUARD, .ready = ready };

	if (!peer || !peer->conn)
		return;
	if (wg->shown.type ? wg->shown.ready == ready : !ready)
		return;
	wg->shown = msg;
	send_about(wg, &msg);
}

/* If he was not ready, he may not have heard that we are. */
static void take_ready(struct wireguard *wg, const struct msg *msg)
{
	if (msg->ready && !wg->there.ready)
		memset(&wg->shown, 0, sizeof(wg->shown));
	wg->there = *msg;
}

/*
 * Alice
 */

static int64_t failed(struct wireguard *wg, int err, const char *text)
{
	wg_complain(wg, SAID_WG_KEY, true, "no next preshared key: %s",
		    *text ? text : strerror(err));
	wg->step = WG_IDLE;
	wg->retry_at = now_ms() + RETRY;
	return RETRY;
}

static int64_t offer(struct wireguard *wg, const uint8_t *key_id)
{
	wg->step = WG_OFFERED;
	memmove(wg->offered, key_id, sizeof(wg->offered));
	wg->offered_at = now_ms();
	send_key(wg, MSG_PSK, wg->offered, 0);
	return LOOK_IDLE;
}

/* ms until another key is due. */
static int64_t due_in(const struct wireguard *wg)
{
	int64_t wait = wg->retry_at - now_ms(), age = wg->now.age;

	if (wait > 0)
		return wait;
	if (!has(wg, QKD_A_WG_KEY_ID) || wg->lost)
		return 0;
	return wg->config.rekey_time > age ? wg->config.rekey_time - age : 0;
}

static int64_t make(struct wireguard *wg)
{
	int err;

	wg_complain(wg, SAID_WG_HANDSHAKE,
		    has(wg, QKD_A_WG_KEY_ID) && !wg->now.confirmed,
		    "no handshake under the last key: is there traffic?");
	err = ask(wg, NULL);
	if (err)
		return failed(wg, -err, qkd_error_text(ctx));
	wg->step = WG_HOLDING;
	return LOOK_BUSY;
}

static int64_t idle(struct wireguard *wg)
{
	int64_t wait;

	if (has(wg, QKD_A_WG_HELD) && !is_held(wg, wg->refused))
		return offer(wg, wg->now.held);
	if (has(wg, QKD_A_WG_KEY_ID) && !wg->agreed)
		return offer(wg, wg->now.key_id);
	wait = due_in(wg);
	return wait ? wait : make(wg);
}

/* The module is at our request. */
static int64_t asked(struct wireguard *wg)
{
	if (!wg->here || wg->now.number != wg->number) {
		wg->step = WG_IDLE; /* the device or the peer has gone */
		return LOOK_BUSY;
	}
	switch (wg->now.state) {
	case QKD_WG_STATE_PENDING:
		return LOOK_BUSY;
	case QKD_WG_STATE_HELD:
		return offer(wg, wg->now.held);
	case QKD_WG_STATE_FAILED:
	case QKD_WG_STATE_BLOCKED:
		return failed(wg, wg->now.error, wg->now.message);
	}
	if (!wg->agreed || wg->lost)
		log_info("%s: its preshared key comes from %s",
			 wg->config.device, wg->config.link);
	wg->step = WG_IDLE;
	wg->agreed = true;
	wg->lost = false;
	wg->said &= ~(SAID_WG_KEY | SAID_WG_REFUSED);
	return LOOK_IDLE;
}

static int64_t offered(struct wireguard *wg)
{
	if (!is_held(wg, wg->offered) && !in_use(wg, wg->offered))
		wg->step = WG_IDLE;
	else if (now_ms() - wg->offered_at >= OFFER_AGAIN)
		return offer(wg, wg->offered);
	return LOOK_IDLE;
}

static int64_t lead(struct wireguard *wg)
{
	if (!wg->there.ready) {
		wg->step = WG_IDLE;
		return LOOK_IDLE;
	}
	if (wg->now.confirmed)
		wg->said &= ~SAID_WG_HANDSHAKE;
	switch (wg->step) {
	case WG_IDLE:
		return idle(wg);
	case WG_OFFERED:
		return offered(wg);
	default:
		return asked(wg);
	}
}

static void take_refusal(struct wireguard *wg)
{
	wg_complain(wg, SAID_WG_REFUSED, true,
		    "the peer does not have the preshared key");
	wg->step = WG_IDLE;
	wg->retry_at = now_ms() + RETRY;
	memcpy(wg->refused, wg->offered, sizeof(wg->refused));
	if (in_use(wg, wg->offered))
		wg->agreed = wg->lost = true;
}

static void take_answer(struct wireguard *wg, const struct msg *msg)
{
	int err;

	if (msg->answer == ANSWER_REFUSED && in_use(wg, msg->key_id))
		wg->lost = true;
	if (wg->step != WG_OFFERED ||
	    memcmp(msg->key_id, wg->offered, QKD_KEY_ID_LEN))
		return;
	if (msg->answer == ANSWER_REFUSED) {
		take_refusal(wg);
	} else if (in_use(wg, wg->offered)) {
		wg->step = WG_IDLE;
		wg->agreed = true;
	} else {
		err = ask(wg, wg->offered);
		wg->step = WG_INSTALLING;
		if (err)
			failed(wg, -err, qkd_error_text(ctx));
	}
}

/*
 * Bob
 */

static void answer(struct wireguard *wg, enum sak_answer what)
{
	wg->wanted = false;
	wg->given = what == ANSWER_INSTALLED;
	wg->number = 0;
	send_key(wg, MSG_PSK_ANSWER, wg->want, what);
}

static void refuse(struct wireguard *wg, int err, const char *text)
{
	wg_complain(wg, SAID_WG_KEY, true,
		    "the peer's preshared key is not installed: %s",
		    *text ? text : strerror(err));
	answer(wg, ANSWER_REFUSED);
}

/* Alice waits for an answer. */
static void serve(struct wireguard *wg)
{
	bool mine = wg->here && wg->number && wg->now.number == wg->number;
	int err;

	if (in_use(wg, wg->want)) {
		wg->said &= ~SAID_WG_KEY;
		answer(wg, ANSWER_INSTALLED);
	} else if (mine && wg->now.state == QKD_WG_STATE_PENDING) {
		return;
	} else if (mine) {
		refuse(wg, wg->now.error, wg->now.message);
	} else {
		err = ask(wg, wg->want);
		if (err)
			refuse(wg, -err, qkd_error_text(ctx));
	}
}

static int64_t follow(struct wireguard *wg)
{
	if (wg->wanted)
		serve(wg);
	else if (wg->given && !in_use(wg, wg->want))
		answer(wg, ANSWER_REFUSED); /* it has gone */
	return wg->wanted ? LOOK_BUSY : LOOK_IDLE;
}

static void take_key(struct wireguard *wg, const struct msg *msg)
{
	wg->wanted = true;
	wg->number = 0;
	memcpy(wg->want, msg->key_id, sizeof(wg->want));
}

/**
 * wireguard_message - a message about a WireGuard peer has come
 * @link: link that it names
 * @peer: who has sent it
 * @msg: MSG_WIREGUARD and following
 */
void wireguard_message(struct link *link, struct peer *peer,
		       const struct msg *msg)
{
	bool alice = link->present && link->here.role == QKD_ROLE_ALICE;
	struct wireguard *wg = find_shared(link, msg->device);

	if (!wg) {
		if (msg->type == MSG_WIREGUARD && msg->ready)
			log_error(
				"%s: %s has a WireGuard device \"%s\", and we do not",
				link->config.name, peer->config.name,
				msg->device);
		return;
	}
	if (msg->type == MSG_WIREGUARD)
		take_ready(wg, msg);
	else if (msg->type == MSG_PSK && !alice)
		take_key(wg, msg);
	else if (msg->type == MSG_PSK_ANSWER && alice)
		take_answer(wg, msg);
	else
		peer_refuse(peer, "leads, and does not have the role for it");
	wireguard_soon();
}

static void forget_there(struct wireguard *wg)
{
	memset(&wg->shown, 0, sizeof(wg->shown));
	memset(&wg->there, 0, sizeof(wg->there));
	wg->step = WG_IDLE;
	wg->agreed = wg->lost = false;
	wg->wanted = wg->given = false;
}

/**
 * wireguards_disconnected - a link's peer is gone; keys go on
 * @link: the link
 */
void wireguards_disconnected(const struct link *link)
{
	struct wireguard *wg;

	for (wg = LIST_FIRST(&wireguards); wg; wg = LIST_NEXT(wg, list))
		if (!strcmp(wg->config.link, link->config.name))
			forget_there(wg);
}

/*
 * Looks
 */

/* Returns ms until the next one. */
static int64_t look_at(struct wireguard *wg)
{
	const struct link *link = link_find(wg->config.link);
	int64_t wait;

	show(wg, wg->ifindex);
	if (!wg->ifindex || !link || !link->present)
		return LOOK_IDLE;
	wait = link->here.role == QKD_ROLE_ALICE ? lead(wg) : follow(wg);
	return wait < LOOK_IDLE ? wait : LOOK_IDLE;
}

static void look_in(int64_t ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	evtimer_add(timer, &tv);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	int64_t next = LOOK_IDLE, ms;
	struct wireguard *wg;

	(void)fd;
	(void)what;
	(void)arg;
	if (refresh())
		for (wg = LIST_FIRST(&wireguards); wg;
		     wg = LIST_NEXT(wg, list)) {
			ms = look_at(wg);
			next = ms < next ? ms : next;
		}
	if (!LIST_EMPTY(&wireguards))
		look_in(next);
}

/**
 * wireguard_soon - look at the peers when the present event is done
 */
void wireguard_soon(void)
{
	if (timer && !LIST_EMPTY(&wireguards))
		look_in(0);
}

/*
 * The configuration
 */

static void wireguard_add(const struct wireguard_config *config)
{
	struct wireguard *wg = calloc(1, sizeof(*wg));

	if (!wg) {
		log_error("out of memory");
		exit(1);
	}
	wg->config = *config;
	LIST_INSERT_HEAD(&wireguards, wg, list);
}

/* The module's keys last for their time. */
static void wireguard_remove(struct wireguard *wg)
{
	show(wg, false);
	LIST_REMOVE(wg, list);
	free(wg);
}

static bool same_wireguard(const struct wireguard_config *a,
			   const struct wireguard_config *b)
{
	return !strcmp(a->link, b->link) &&
	       !strcmp(a->shared_name, b->shared_name);
}

/**
 * wireguards_configure - take over a configuration, the first or another one
 * @config: stays with the caller
 */
void wireguards_configure(const struct config *config)
{
	const struct wireguard_config *c, *end;
	struct wireguard *wg, *next;

	end = config->wireguards + config->nwireguards;
	for (c = config->wireguards; c < end; c++) {
		wg = find_config(c);
		if (wg && same_wireguard(&wg->config, c)) {
			wg->config = *c;
			wg->keep = true;
		}
	}
	for (wg = LIST_FIRST(&wireguards); wg; wg = next) {
		next = LIST_NEXT(wg, list);
		if (!wg->keep)
			wireguard_remove(wg);
		else
			wg->keep = false;
	}
	for (c = config->wireguards; c < end; c++)
		if (!find_config(c))
			wireguard_add(c);
	if (!timer)
		timer = evtimer_new(base, on_look, NULL);
	wireguard_soon();
}

/**
 * wireguards_stop - undo wireguards_configure(); the module's keys stay
 */
void wireguards_stop(void)
{
	struct wireguard *wg;

	while ((wg = LIST_FIRST(&wireguards))) {
		LIST_REMOVE(wg, list);
		free(wg);
	}
	if (timer)
		event_free(timer);
	timer = NULL;
}
