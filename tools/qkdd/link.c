// SPDX-License-Identifier: GPL-2.0-only
/*
 * Links of the configuration, each matched by name with one of the kernel,
 * which may come and go. What the kernel says of a link is looked at by a
 * timer, and when an event or a message tells that it has changed; the peer
 * hears of it in a message LINK.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "qkdd.h"

/* ms between looks at a link: with blocks that wait, with a peer, without */
#define LOOK_BUSY 20
#define LOOK_IDLE 200
#define LOOK_ALONE 1000

static LIST_HEAD(, link) links = LIST_HEAD_INITIALIZER(links);
static struct qkd_monitor *monitor;
static struct event *monitor_event;

/**
 * link_is_driven - does a driver of the kernel run its generations?
 * @link: link that is present
 */
bool link_is_driven(const struct link *link)
{
	return strcmp(link->here.type, "user");
}

/**
 * link_has_gen - does it have a generation?
 * @link: link
 */
bool link_has_gen(const struct link *link)
{
	return link->present && link->here.state != QKD_STATE_DOWN;
}

/**
 * link_same_gen - do both ends have the same generation?
 * @link: link
 */
bool link_same_gen(const struct link *link)
{
	return link_has_gen(link) && link->known &&
	       link->there.state != QKD_STATE_DOWN &&
	       !memcmp(link->here.generation, link->there.generation,
		       QKD_HASH_LEN);
}

/**
 * link_send - send a message about a link to its peer
 * @link: link
 * @msg: type and its own members
 */
void link_send(const struct link *link, struct msg *msg)
{
	struct peer *peer = peer_find(link->config.peer);

	strcpy(msg->link, link->config.shared_name);
	if (peer)
		peer_send(peer, msg);
}

/**
 * link_new_nonce - for the next generation
 * @link: link
 */
void link_new_nonce(struct link *link)
{
	if (RAND_bytes(link->nonce, sizeof(link->nonce)) == 1)
		return;
	log_error("no random bytes");
	exit(1);
}

/* What was said about blocks counts in one generation and connection. */
static void forget_blocks(struct link *link)
{
	memset(link->stream, 0, sizeof(link->stream));
}

/**
 * link_refresh - look at what the kernel says of a link
 * @link: link
 */
void link_refresh(struct link *link)
{
	struct qkd_link now;
	int err;

	err = qkd_link_get(ctx, qkd_by_name(link->config.name), &now);
	if (err && err != -ENODEV)
		log_error("%s: %s %s", link->config.name, strerror(-err),
			  qkd_error_text(ctx));
	if (!err && link->present && link->here.index == now.index &&
	    link->here.state != now.state)
		status_changed();
	if (err || !link->present || link->here.index != now.index ||
	    memcmp(link->here.generation, now.generation, QKD_HASH_LEN))
		forget_blocks(link);
	if (link->present != !err)
		status_changed();
	link->present = !err;
	if (!err)
		link->here = now;
}

static void describe(const struct link *link, struct msg *msg)
{
	const struct qkd_link *here = &link->here;

	*msg = (struct msg){
		.type = MSG_LINK,
		.role = here->role,
		.kind = link_is_driven(link) ? KIND_DRIVER : KIND_DAEMON,
		.confirm = here->confirm,
		.admin = here->admin,
		.state = here->state,
		.reason = here->reason,
		.pad_capacity = here->pad_capacity,
		.key_capacity = here->key_capacity,
		.label = here->label,
	};
	memcpy(msg->hash, here->hash, sizeof(msg->hash));
	if (link_has_gen(link))
		memcpy(msg->generation, here->generation,
		       sizeof(msg->generation));
	memcpy(msg->nonce, link->nonce, sizeof(msg->nonce));
}

/* Tell the peer what has changed. */
static void show(struct link *link)
{
	struct msg msg = { .type = MSG_GONE }, sent;

	if (link->present)
		describe(link, &msg);
	else if (link->shown.type != MSG_LINK)
		return;
	if (!memcmp(&msg, &link->shown, sizeof(msg)))
		return;
	link->shown = msg;
	sent = msg;
	link_send(link, &sent);
}

static void look_in(struct link *link, unsigned int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	evtimer_add(link->timer, &tv);
}

/**
 * link_soon - look after a link when the present event is done
 * @link: link
 */
void link_soon(struct link *link)
{
	look_in(link, 0);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct link *link = arg;
	const struct peer *peer = peer_find(link->config.peer);
	bool busy = false;

	(void)fd;
	(void)what;
	link_refresh(link);
	if (!link->present)
		supply_drop(link);
	if (!peer || !peer->conn) {
		look_in(link, LOOK_ALONE);
		return;
	}
	show(link);
	if (link->present && link->known) {
		gen_tick(link);
		supply_tick(link);
		busy = block_tick(link);
		show(link);
	}
	look_in(link, busy ? LOOK_BUSY : LOOK_IDLE);
}

/* Nothing is known of the other end. */
static void forget_there(struct link *link)
{
	link->known = false;
	supply_drop(link);
	memset(&link->offer, 0, sizeof(link->offer));
	link->offer_at = 0;
	link->differs = 0;
	link->said = 0;
	forget_blocks(link);
}

/**
 * links_connected - a peer is there
 * @peer: the peer
 */
void links_connected(const struct peer *peer)
{
	struct link *link;

	for (link = LIST_FIRST(&links); link; link = LIST_NEXT(link, list))
		if (!strcmp(link->config.peer, peer->config.name))
			link_soon(link);
	macsec_soon();
	wireguard_soon();
}

/**
 * links_disconnected - a peer is gone; generations go on
 * @peer: the peer
 */
void links_disconnected(const struct peer *peer)
{
	struct link *link;

	for (link = LIST_FIRST(&links); link; link = LIST_NEXT(link, list))
		if (!strcmp(link->config.peer, peer->config.name)) {
			forget_there(link);
			macsecs_disconnected(link);
			mkas_disconnected(link);
			wireguards_disconnected(link);
			memset(&link->shown, 0, sizeof(link->shown));
			link_new_nonce(link);
		}
}

static struct link *find_shared(const struct peer *peer, const char *name)
{
	struct link *link;

	for (link = LIST_FIRST(&links); link; link = LIST_NEXT(link, list))
		if (!strcmp(link->config.shared_name, name) &&
		    !strcmp(link->config.peer, peer->config.name))
			return link;
	return NULL;
}

/* The first time it is told, the peer may not have heard of our end. */
static void take_link(struct link *link, const struct msg *msg)
{
	if (!link->known)
		memset(&link->shown, 0, sizeof(link->shown));
	link->known = true;
	link->there = *msg;
}

/**
 * links_message - a peer has sent a message about a link
 * @peer: the peer
 * @msg: what it has sent
 */
void links_message(struct peer *peer, const struct msg *msg)
{
	struct link *link = find_shared(peer, msg->link);

	if (!link) {
		if (msg->type == MSG_LINK)
			log_error("%s: it has a link \"%s\", and we do not",
				  peer->config.name, msg->link);
		return;
	}
	switch (msg->type) {
	case MSG_LINK:
		take_link(link, msg);
		break;
	case MSG_GONE:
		gen_gone(link);
		forget_there(link);
		break;
	case MSG_OFFER:
	case MSG_BEGUN:
		gen_message(link, msg);
		break;
	case MSG_TAG:
	case MSG_VERDICT:
	case MSG_EDGE:
		block_message(link, peer, msg);
		break;
	case MSG_SUPPLIER:
		supply_hello(link, msg);
		break;
	case MSG_SUPPLY:
	case MSG_SUPPLIED:
		supply_message(link, peer, msg);
		break;
	case MSG_WIREGUARD:
	case MSG_PSK:
	case MSG_PSK_ANSWER:
		wireguard_message(link, peer, msg);
		return;
	case MSG_MKA:
		mka_message(link, msg);
		return;
	default:
		macsec_message(link, peer, msg);
		return;
	}
	link_soon(link);
}

/**
 * links_count - for the status
 * @up: out: links that are up
 * @all: out: links of the configuration
 * @wrong: out: links whose supply does not come
 */
void links_count(unsigned int *up, unsigned int *all, unsigned int *wrong)
{
	struct link *link;

	*up = *all = *wrong = 0;
	for (link = LIST_FIRST(&links); link; link = LIST_NEXT(link, list)) {
		++*all;
		*up += link->present && link->here.state == QKD_STATE_UP;
		*wrong += supply_wrong(link);
	}
}

/**
 * links_tell - how their supply is, to the log
 */
void links_tell(void)
{
	struct link *link;

	for (link = LIST_FIRST(&links); link; link = LIST_NEXT(link, list))
		supply_tell(link);
}

/**
 * link_find - the link of a name
 * @name: of the kernel's link
 *
 * Return: the link, or NULL.
 */
struct link *link_find(const char *name)
{
	struct link *link;

	for (link = LIST_FIRST(&links); link; link = LIST_NEXT(link, list))
		if (!strcmp(link->config.name, name))
			return link;
	return NULL;
}

static void link_add(const struct link_config *config)
{
	struct link *link = calloc(1, sizeof(*link));

	if (link)
		link->timer = evtimer_new(base, on_look, link);
	if (!link || !link->timer) {
		log_error("out of memory");
		exit(1);
	}
	link->config = *config;
	link_new_nonce(link);
	LIST_INSERT_HEAD(&links, link, list);
	link_soon(link);
}

/*
 * The kernel's link stays as it is. That the peer knows it from this connection
 * must not count if it is added again.
 */
static void link_remove(struct link *link)
{
	struct peer *peer = peer_find(link->config.peer);

	if (peer)
		peer_renew(peer);
	supply_configure(link, NULL);
	event_free(link->timer);
	LIST_REMOVE(link, list);
	free(link);
}

static bool same_link(const struct link_config *a, const struct link_config *b)
{
	return !strcmp(a->peer, b->peer) &&
	       !strcmp(a->shared_name, b->shared_name);
}

/**
 * links_configure - take over a configuration, the first or another one
 * @config: stays with the caller
 *
 * Links whose section has not changed go on.
 */
void links_configure(const struct config *config)
{
	struct link *link, *next;
	size_t i;

	for (i = 0; i < config->nlinks; i++) {
		link = link_find(config->links[i].name);
		if (link)
			link->keep =
				same_link(&link->config, &config->links[i]);
	}
	for (link = LIST_FIRST(&links); link; link = next) {
		next = LIST_NEXT(link, list);
		if (!link->keep)
			link_remove(link);
		else
			link->keep = false;
	}
	for (i = 0; i < config->nlinks; i++) {
		if (!link_find(config->links[i].name))
			link_add(&config->links[i]);
		supply_configure(link_find(config->links[i].name),
				 config_kme(config, config->links[i].supply));
	}
}

static int take_event(const struct qkd_event *event, void *arg)
{
	struct link *link = link_find(event->link_name);

	(void)arg;
	switch (event->type) {
	case QKD_EVENT_TYPE_LINK_NEW:
	case QKD_EVENT_TYPE_LINK_DEL:
	case QKD_EVENT_TYPE_LINK_UP:
	case QKD_EVENT_TYPE_LINK_DOWN:
		if (link)
			link_soon(link);
		break;
	case QKD_EVENT_TYPE_MACSEC_SA_NEW:
	case QKD_EVENT_TYPE_MACSEC_SA_DEL:
	case QKD_EVENT_TYPE_MACSEC_FAILED:
		macsec_soon();
		break;
	case QKD_EVENT_TYPE_WG_NEW ... QKD_EVENT_TYPE_WG_BLOCKED:
		wireguard_soon();
	}
	return 0;
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct link *link;
	int err;

	(void)fd;
	(void)what;
	(void)arg;
	err = qkd_monitor_read(monitor, take_event, NULL);
	if (!err)
		return;
	if (err != -ENOBUFS)
		log_error("events of the kernel: %s", strerror(-err));
	for (link = LIST_FIRST(&links); link; link = LIST_NEXT(link, list))
		link_soon(link);
	macsec_soon();
}

/**
 * links_start - listen to the kernel
 *
 * Return: 0, or -1 and it was said why.
 */
int links_start(void)
{
	int err;

	err = qkd_monitor_open(&monitor);
	if (err) {
		log_error("cannot receive the kernel's events: %s%s",
			  strerror(-err),
			  err == -EPERM ? ": CAP_NET_ADMIN is needed" : "");
		return -1;
	}
	monitor_event = event_new(base, qkd_monitor_fd(monitor),
				  EV_READ | EV_PERSIST, on_event, NULL);
	return monitor_event ? event_add(monitor_event, NULL) : -1;
}

/**
 * links_stop - undo links_start() and links_configure()
 */
void links_stop(void)
{
	struct link *link;

	while ((link = LIST_FIRST(&links))) {
		supply_configure(link, NULL);
		event_free(link->timer);
		LIST_REMOVE(link, list);
		free(link);
	}
	if (monitor_event)
		event_free(monitor_event);
	qkd_monitor_close(monitor);
}
