// SPDX-License-Identifier: GPL-2.0-only
/*
 * Peers of the configuration: those that we dial, and the addresses on which
 * we listen for them. An address that does not work now may do so later, when
 * its device has come.
 */
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/listener.h>

#include "qkdd.h"

#define BACKOFF_MAX 30 /* seconds between attempts to connect */
#define RELISTEN 5 /* seconds until an address is tried again */

struct listener {
	char address[ADDRESS_LEN + 1];
	struct evconnlistener *evl;
	struct event *retry;
	bool told;
};

struct peers peers = LIST_HEAD_INITIALIZER(peers);

static struct listener listeners[INI_ADDRESSES];

/**
 * peer_find - the peer of a name
 * @name: what it calls itself
 *
 * Return: the peer or NULL.
 */
struct peer *peer_find(const char *name)
{
	struct peer *peer;

	for (peer = LIST_FIRST(&peers); peer; peer = LIST_NEXT(peer, list))
		if (!strcmp(peer->config.name, name))
			return peer;
	return NULL;
}

/**
 * peer_dial - try to connect, after a while if that has failed before
 * @peer: the peer, of which nothing is done if there is a connection
 */
void peer_dial(struct peer *peer)
{
	struct timeval tv = { .tv_sec = peer->backoff };

	if (!*peer->config.connect || peer->conn || peer->dial)
		return;
	event_add(peer->dial_timer, &tv);
	peer->backoff = peer->backoff ? peer->backoff * 2 : 1;
	if (peer->backoff > BACKOFF_MAX)
		peer->backoff = BACKOFF_MAX;
}

static struct addrinfo *resolve(const char *text, int *err)
{
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
	}, *ai = NULL;
	char host[ADDRESS_LEN + 1], *port;

	strcpy(host, text + (*text == '['));
	port = strrchr(host, ':');
	*port++ = '\0';
	if (*text == '[')
		host[strcspn(host, "]")] = '\0';
	*err = getaddrinfo(host, port, &hints, &ai);
	return ai;
}

/* An address that does not work now may do so later: a device comes. */
static void dial_failed(struct peer *peer, const char *why)
{
	if (!peer->told)
		log_error("%s at %s: no connection: %s", peer->config.name,
			  peer->config.connect, why);
	peer->told = true;
	peer_dial(peer);
}

static void on_dial(evutil_socket_t none, short what, void *arg)
{
	struct peer *peer = arg;
	struct addrinfo *ai;
	int err, fd;

	(void)none;
	(void)what;
	ai = resolve(peer->config.connect, &err);
	if (!ai) {
		dial_failed(peer, gai_strerror(err));
		return;
	}
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
		    0);
	if (fd < 0 || (connect(fd, ai->ai_addr, ai->ai_addrlen) &&
		       errno != EINPROGRESS)) {
		err = errno;
		if (fd >= 0)
			close(fd);
		freeaddrinfo(ai);
		dial_failed(peer, strerror(err));
		return;
	}
	peer->dial = conn_new(fd, ai->ai_addr, ai->ai_addrlen, peer);
	freeaddrinfo(ai);
	if (!peer->dial)
		peer_dial(peer);
}

static void on_accept(struct evconnlistener *evl, evutil_socket_t fd,
		      struct sockaddr *sa, int size, void *arg)
{
	(void)evl;
	(void)arg;
	conn_new(fd, sa, size, NULL);
}

static void on_listen(evutil_socket_t fd, short what, void *arg)
{
	struct timeval tv = { .tv_sec = RELISTEN };
	struct listener *l = arg;
	struct addrinfo *ai;
	int err;

	(void)fd;
	(void)what;
	ai = resolve(l->address, &err);
	if (ai)
		l->evl = evconnlistener_new_bind(
			base, on_accept, l,
			LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC |
				LEV_OPT_REUSEABLE,
			-1, ai->ai_addr, ai->ai_addrlen);
	if (l->evl) {
		log_info("listening on %s", l->address);
		l->told = false;
	} else {
		if (!l->told)
			log_error("cannot listen on %s yet: %s", l->address,
				  ai ? strerror(errno) : gai_strerror(err));
		l->told = true;
		event_add(l->retry, &tv);
	}
	if (ai)
		freeaddrinfo(ai);
}

static void listener_stop(struct listener *l)
{
	if (l->evl)
		evconnlistener_free(l->evl);
	if (l->retry)
		event_free(l->retry);
	memset(l, 0, sizeof(*l));
}

static bool config_has(const struct config *config, const char *address)
{
	size_t i;

	for (i = 0; i < config->listen.n; i++)
		if (!strcmp(config->listen.list[i], address))
			return true;
	return false;
}

static void listen_at(const char *address)
{
	struct listener *l, *unused = NULL;

	for (l = listeners; l < listeners + INI_ADDRESSES; l++) {
		if (!strcmp(l->address, address))
			return;
		if (!*l->address && !unused)
			unused = l;
	}
	strcpy(unused->address, address);
	unused->retry = evtimer_new(base, on_listen, unused);
	on_listen(-1, 0, unused);
}

static void peer_remove(struct peer *peer)
{
	*peer->config.connect = '\0'; /* no more dialing */
	peer_renew(peer);
	if (peer->dial)
		conn_end(peer->dial);
	event_free(peer->dial_timer);
	LIST_REMOVE(peer, list);
	free(peer);
}

static void peer_add(const struct peer_config *config)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (peer)
		peer->dial_timer = evtimer_new(base, on_dial, peer);
	if (!peer || !peer->dial_timer) {
		log_error("out of memory");
		exit(1);
	}
	peer->config = *config;
	LIST_INSERT_HEAD(&peers, peer, list);
	peer_dial(peer);
}

/* A peer whose section says the same keeps its connection. */
static bool same_peer(const struct peer_config *a, const struct peer_config *b)
{
	return !strcmp(a->connect, b->connect) && !strcmp(a->psk, b->psk) &&
	       !strcmp(a->certificate_name, b->certificate_name) &&
	       a->timeout == b->timeout;
}

static void update_peers(const struct config *config)
{
	struct peer *peer, *next;
	size_t i;

	for (i = 0; i < config->npeers; i++) {
		peer = peer_find(config->peers[i].name);
		if (peer)
			peer->keep =
				same_peer(&peer->config, &config->peers[i]);
	}
	for (peer = LIST_FIRST(&peers); peer; peer = next) {
		next = LIST_NEXT(peer, list);
		if (!peer->keep)
			peer_remove(peer);
		else
			peer->keep = false;
	}
	for (i = 0; i < config->npeers; i++)
		if (!peer_find(config->peers[i].name))
			peer_add(&config->peers[i]);
}

/**
 * peers_configure - take over a configuration, the first or another one
 * @config: stays with the caller
 * @tls: certificates and keys, owned from now on
 *
 * Connections with peers whose section has not changed go on.
 */
void peers_configure(const struct config *config, struct tls *tls)
{
	struct listener *l;
	size_t i;

	channel_become(config->name, tls);
	for (l = listeners; l < listeners + INI_ADDRESSES; l++)
		if (*l->address && !config_has(config, l->address))
			listener_stop(l);
	for (i = 0; i < config->listen.n; i++)
		listen_at(config->listen.list[i]);
	update_peers(config);
}

/**
 * peers_stop - close all connections
 */
void peers_stop(void)
{
	struct config none = {};
	struct listener *l;
	struct peer *peer;

	for (l = listeners; l < listeners + INI_ADDRESSES; l++)
		listener_stop(l);
	for (peer = LIST_FIRST(&peers); peer; peer = LIST_NEXT(peer, list))
		if (peer->conn)
			conn_end(peer->conn);
	update_peers(&none);
	channel_become("", NULL);
}
