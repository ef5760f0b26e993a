// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connections with peers: TCP, TLS, then a HELLO in each direction. Who has
 * not come that far gets nothing, and a line in the log. What does not follow
 * the rules ends the connection, with one line that says why.
 *
 * Both ends may dial. Of two connections the one that the end whose name sorts
 * first has made goes on, and of two that the same end made the newer one.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <openssl/err.h>

#include "qkdd.h"

#define HANDSHAKE_MS 10000 /* from the connection to the peer's HELLO */
#define STRANGERS 64 /* connections that have not come that far */
#define OUT_MAX (1 << 20) /* bytes that wait for the peer to read */
#define STEADY_MS 10000 /* a connection that lived longer was a good one */

enum stage {
	STAGE_CONNECT,
	STAGE_TLS,
	STAGE_HELLO,
	STAGE_OPEN,
};

/**
 * struct conn - a connection
 * @list: connections that came and are not open
 * @peer: whose it is; NULL until that is proved
 * @dialed: we have made it
 * @stage: how far it has come
 * @fd: socket
 * @ssl: its TLS end
 * @read: event
 * @write: event, on where there is something to write
 * @timer: event: the end of our patience, or time for a PING
 * @where: the other end's address, for the log
 * @in: bytes that came and are no whole message yet
 * @in_size: their number
 * @out: bytes that wait to be written
 * @in_seq: number of the last message that came
 * @out_seq: number of the last message sent
 * @born: when it was made, CLOCK_BOOTTIME in ms
 * @heard: when something came last
 */
struct conn {
	LIST_ENTRY(conn) list;
	struct peer *peer;
	bool dialed;
	enum stage stage;
	int fd;
	SSL *ssl;
	struct event *read;
	struct event *write;
	struct event *timer;
	char where[NI_MAXHOST + NI_MAXSERV + 4];
	uint8_t in[FRAME_MAX];
	size_t in_size;
	struct evbuffer *out;
	uint64_t in_seq;
	uint64_t out_seq;
	int64_t born;
	int64_t heard;
};

static LIST_HEAD(, conn) strangers = LIST_HEAD_INITIALIZER(strangers);
static unsigned int nstrangers;
static struct tls *tls;
static char own_name[NAME_LEN + 1];

static void conn_step(struct conn *conn);

/* What OpenSSL says next is about the next call. */
static void forget_errors(void)
{
	errno = 0;
	ERR_clear_error();
}

static void stranger_done(struct conn *conn)
{
	if (conn->dialed || conn->stage == STAGE_OPEN)
		return;
	LIST_REMOVE(conn, list);
	nstrangers--;
}

static void conn_free(struct conn *conn)
{
	stranger_done(conn);
	if (conn->read)
		event_free(conn->read);
	if (conn->write)
		event_free(conn->write);
	if (conn->timer)
		event_free(conn->timer);
	if (conn->out)
		evbuffer_free(conn->out);
	if (conn->stage >= STAGE_HELLO)
		SSL_shutdown(conn->ssl);
	SSL_free(conn->ssl);
	close(conn->fd);
	free(conn);
}

/**
 * conn_end - end a connection
 * @conn: connection; what was to be said about it has been said
 */
void conn_end(struct conn *conn)
{
	struct peer *peer = conn->peer;
	bool open = peer && peer->conn == conn;

	if (open) {
		peer->conn = NULL;
		if (now_ms() - conn->born > STEADY_MS)
			peer->backoff = 1;
		links_disconnected(peer);
		status_changed();
	}
	if (peer && peer->dial == conn)
		peer->dial = NULL;
	conn_free(conn);
	if (peer)
		peer_dial(peer);
}

static void conn_close(struct conn *conn, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The one line about a connection that ends. */
static void conn_close(struct conn *conn, const char *format, ...)
{
	const char *name = conn->peer ? conn->peer->config.name : NULL;
	char why[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(why, sizeof(why), format, ap);
	va_end(ap);
	if (conn->stage == STAGE_OPEN)
		log_error("%s at %s: connection closed: %s", name, conn->where,
			  why);
	else if (!conn->dialed)
		log_error("%s%s%s: refused: %s", name ? name : "",
			  name ? " at " : "", conn->where, why);
	else if (!conn->peer->told)
		log_error("%s at %s: no connection: %s", name, conn->where,
			  why);
	if (conn->dialed && conn->stage != STAGE_OPEN)
		conn->peer->told = true;
	conn_end(conn);
}

/* Returns false if the connection is no more. */
static bool conn_flush(struct conn *conn)
{
	size_t size;
	int n;

	while ((size = evbuffer_get_contiguous_space(conn->out))) {
		forget_errors();
		n = SSL_write(conn->ssl, evbuffer_pullup(conn->out, size),
			      size);
		if (n > 0) {
			evbuffer_drain(conn->out, n);
			continue;
		}
		switch (SSL_get_error(conn->ssl, n)) {
		case SSL_ERROR_WANT_WRITE:
			event_add(conn->write, NULL);
			return true;
		case SSL_ERROR_WANT_READ:
			return true;
		default:
			conn_close(conn, "%s", tls_error(conn->ssl));
			return false;
		}
	}
	return true;
}

/* Errors of writing are seen by who reads: callers keep the connection. */
static void conn_send(struct conn *conn, struct msg *msg)
{
	uint8_t frame[FRAME_MAX];
	size_t size;

	msg->seq = ++conn->out_seq;
	strcpy(msg->sender, own_name);
	strcpy(msg->receiver, conn->peer->config.name);
	size = msg_pack(msg, frame);
	if (evbuffer_get_length(conn->out) + size <= OUT_MAX)
		evbuffer_add(conn->out, frame, size);
	else
		conn->heard = 0; /* it does not read: the timer ends it */
	event_active(conn->write, EV_WRITE, 0);
}

static void on_write(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;

	(void)fd;
	(void)what;
	if (conn->stage >= STAGE_HELLO)
		conn_flush(conn);
	else
		conn_step(conn);
}

static void set_timer(struct conn *conn, int64_t ms)
{
	struct timeval tv = {
		.tv_sec = ms / 1000,
		.tv_usec = ms % 1000 * 1000,
	};

	event_add(conn->timer, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct msg ping = { .type = MSG_PING };
	struct conn *conn = arg;
	int64_t patience;

	(void)fd;
	(void)what;
	if (conn->stage != STAGE_OPEN) {
		conn_close(conn, "it says nothing");
		return;
	}
	patience = conn->peer->config.timeout;
	if (now_ms() - conn->heard > patience) {
		conn_close(conn, "silent for %lld s",
			   (long long)patience / 1000);
		return;
	}
	conn_send(conn, &ping);
	set_timer(conn, patience / 3);
}

static void say_hello(struct conn *conn)
{
	struct msg hello = { .type = MSG_HELLO };

	conn->stage = STAGE_HELLO;
	conn_send(conn, &hello);
}

/* Does a new connection take the place of one that is open? */
static bool wins(const struct conn *conn, const struct peer *peer)
{
	bool ours_first = strcmp(own_name, peer->config.name) < 0;

	return !peer->conn || peer->conn->dialed == conn->dialed ||
	       conn->dialed == ours_first;
}

/* Returns false if the connection is no more. */
static bool conn_open(struct conn *conn)
{
	struct peer *peer = conn->peer;
	struct conn *old = peer->conn;

	if (!wins(conn, peer)) {
		conn_end(conn);
		return false;
	}
	stranger_done(conn);
	conn->stage = STAGE_OPEN;
	if (peer->dial == conn)
		peer->dial = NULL;
	peer->conn = conn;
	event_del(peer->dial_timer);
	if (old) {
		links_disconnected(peer);
		conn_free(old);
	}
	peer->told = false;
	log_info("%s at %s: connected%s", peer->config.name, conn->where,
		 old ? " anew" : "");
	set_timer(conn, peer->config.timeout / 3);
	links_connected(peer);
	status_changed();
	return true;
}

/* Returns what is wrong with a message's place and names, or NULL. */
static const char *check_message(const struct conn *conn, const struct msg *msg)
{
	if (msg->seq <= conn->in_seq)
		return "was sent before";
	if (msg->seq != conn->in_seq + 1)
		return "is not the next one";
	if (strcmp(msg->sender, conn->peer->config.name))
		return "names another sender";
	if (strcmp(msg->receiver, own_name))
		return "names another receiver";
	if ((msg->type == MSG_HELLO) != (conn->stage == STAGE_HELLO))
		return "has no place here";
	return NULL;
}

/* Returns false if the connection is no more. */
static bool conn_message(struct conn *conn, const struct msg *msg)
{
	const char *wrong = check_message(conn, msg);
	struct peer *peer = conn->peer;

	if (wrong) {
		conn_close(conn, "message %llu %s",
			   (unsigned long long)msg->seq, wrong);
		return false;
	}
	conn->in_seq = msg->seq;
	conn->heard = now_ms();
	if (msg->type == MSG_HELLO)
		return conn_open(conn);
	if (msg->type != MSG_PING)
		links_message(peer, msg);
	return peer->conn == conn;
}

/* Returns false if the connection is no more. */
static bool conn_messages(struct conn *conn)
{
	const char *wrong;
	struct msg msg;
	size_t size;

	for (;;) {
		size = conn->in_size;
		wrong = msg_unpack(&msg, conn->in, &size);
		if (wrong) {
			conn_close(conn, "message %llu %s",
				   (unsigned long long)conn->in_seq + 1, wrong);
			return false;
		}
		if (!size)
			return true;
		if (!conn_message(conn, &msg))
			return false;
		conn->in_size -= size;
		memmove(conn->in, conn->in + size, conn->in_size);
	}
}

static void conn_lost(struct conn *conn, int n)
{
	bool end = SSL_get_error(conn->ssl, n) == SSL_ERROR_ZERO_RETURN;

	if (conn->in_size)
		conn_close(conn, "message %llu is cut short",
			   (unsigned long long)conn->in_seq + 1);
	else
		conn_close(conn, "%s",
			   end ? "by the peer" : tls_error(conn->ssl));
}

/* After a call of OpenSSL that returned @n: does it go on once the socket can? */
static bool conn_waits(struct conn *conn, int n)
{
	switch (SSL_get_error(conn->ssl, n)) {
	case SSL_ERROR_WANT_READ:
		return true;
	case SSL_ERROR_WANT_WRITE:
		event_add(conn->write, NULL);
		return true;
	default:
		return false;
	}
}

static void conn_read(struct conn *conn)
{
	int n;

	for (;;) {
		forget_errors();
		n = SSL_read(conn->ssl, conn->in + conn->in_size,
			     sizeof(conn->in) - conn->in_size);
		if (n <= 0)
			break;
		conn->in_size += n;
		if (!conn_messages(conn))
			return;
	}
	if (!conn_waits(conn, n))
		conn_lost(conn, n);
}

/* Returns false if the connection is no more. */
static bool conn_proved(struct conn *conn)
{
	const char *name = tls_peer(conn->ssl);
	struct peer *peer = name ? peer_find(name) : NULL;

	if (!peer) {
		conn_close(conn,
			   conn->dialed ?
				   "it did not prove its name" :
				   "no peer has the name in its certificate");
		return false;
	}
	conn->peer = peer;
	say_hello(conn);
	return true;
}

static void conn_handshake(struct conn *conn)
{
	int n;

	forget_errors();
	n = SSL_do_handshake(conn->ssl);
	if (n == 1) {
		if (conn_proved(conn))
			conn_read(conn);
		return;
	}
	if (!conn_waits(conn, n))
		conn_close(conn, "%s", tls_error(conn->ssl));
}

/* The socket can do something: go on where we were. */
static void conn_step(struct conn *conn)
{
	socklen_t size = sizeof(int);
	int err = 0;

	switch (conn->stage) {
	case STAGE_CONNECT:
		getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &err, &size);
		if (err) {
			conn_close(conn, "%s", strerror(err));
			break;
		}
		conn->stage = STAGE_TLS;
		event_add(conn->read, NULL);
		conn_handshake(conn);
		break;
	case STAGE_TLS:
		conn_handshake(conn);
		break;
	default:
		conn_read(conn);
	}
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	conn_step(arg);
}

static void name_address(struct conn *conn, const struct sockaddr *sa, int size)
{
	char host[NI_MAXHOST], port[NI_MAXSERV];

	if (getnameinfo(sa, size, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV))
		strcpy(conn->where, "an unknown address");
	else
		snprintf(conn->where, sizeof(conn->where),
			 strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

/**
 * conn_new - take over a socket
 * @fd: socket, closed also if this fails
 * @sa: the other end's address
 * @size: of @sa
 * @peer: who was dialed; NULL if the connection came
 *
 * Return: the connection, or NULL.
 */
struct conn *conn_new(int fd, const struct sockaddr *sa, int size,
		      struct peer *peer)
{
	struct conn *conn = calloc(1, sizeof(*conn));
	int one = 1;

	if (!conn || (!peer && nstrangers >= STRANGERS)) {
		close(fd);
		free(conn);
		return NULL;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	conn->fd = fd;
	conn->peer = peer;
	conn->dialed = peer;
	conn->stage = peer ? STAGE_CONNECT : STAGE_TLS;
	conn->born = now_ms();
	conn->heard = conn->born;
	name_address(conn, sa, size);
	if (!conn->dialed) {
		LIST_INSERT_HEAD(&strangers, conn, list);
		nstrangers++;
	}
	conn->ssl = peer ? tls_client(tls, fd, peer->config.name) :
			   tls_server(tls, fd);
	conn->out = evbuffer_new();
	conn->read = event_new(base, fd, EV_READ | EV_PERSIST, on_read, conn);
	conn->write = event_new(base, fd, EV_WRITE, on_write, conn);
	conn->timer = evtimer_new(base, on_timer, conn);
	if (!conn->ssl || !conn->out || !conn->read || !conn->write ||
	    !conn->timer) {
		log_error("%s: out of memory", conn->where);
		conn_free(conn);
		return NULL;
	}
	event_add(peer ? conn->write : conn->read, NULL);
	set_timer(conn, HANDSHAKE_MS);
	return conn;
}

/**
 * peer_renew - end the connection: what it was about has changed
 * @peer: the peer
 */
void peer_renew(struct peer *peer)
{
	if (peer->conn)
		conn_close(peer->conn, "the configuration has changed");
}

/**
 * channel_become - from now on, we are that
 * @name: of this daemon
 * @new_tls: certificates and keys; the channel frees them, or NULL
 *
 * Connections that have not come so far that their peer is known end, and all
 * others if the name is another one.
 */
void channel_become(const char *name, struct tls *new_tls)
{
	bool renamed = strcmp(own_name, name);
	struct conn *conn, *next;
	struct peer *peer;

	for (conn = LIST_FIRST(&strangers); conn; conn = next) {
		next = LIST_NEXT(conn, list);
		conn_end(conn);
	}
	for (peer = LIST_FIRST(&peers); peer; peer = LIST_NEXT(peer, list)) {
		if (peer->dial)
			conn_end(peer->dial);
		if (renamed)
			peer_renew(peer);
	}
	tls_free(tls); /* what goes on holds what it needs */
	tls = new_tls;
	strcpy(own_name, name);
}

/**
 * peer_send - send a message
 * @peer: to whom
 * @msg: type and its own members; the rest is filled in
 *
 * Return: false if there is no connection.
 */
bool peer_send(struct peer *peer, struct msg *msg)
{
	if (!peer->conn)
		return false;
	conn_send(peer->conn, msg);
	return true;
}

/**
 * peer_refuse - end the connection for what the peer has sent
 * @peer: peer with a connection
 * @format: what is wrong with it
 */
void peer_refuse(struct peer *peer, const char *format, ...)
{
	char why[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(why, sizeof(why), format, ap);
	va_end(ap);
	conn_close(peer->conn, "message %llu %s",
		   (unsigned long long)peer->conn->in_seq, why);
}
