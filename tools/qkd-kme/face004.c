// SPDX-License-Identifier: GPL-2.0-only
/*
 * The face of ETSI GS QKD 004: TLS by GnuTLS, and frames (lib/etsi004). Who the
 * client is, tls.c says, as for the other face; it is an own SAE, or the KME at the
 * other end of a link.
 */
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stream.h"

/**
 * struct conn - a connection
 * @list: of all of them
 * @fd: socket
 * @session: its TLS end
 * @client: who it is
 * @address: where it comes from
 * @ready: the handshake is done
 * @stale: it was made under another configuration
 * @io: event of the socket
 * @timer: event: the end of our patience
 * @in: what has come of a request
 * @in_size: bytes of it
 * @request: the one that is worked on
 * @call: its answer comes later
 * @waits: there is no answer yet
 * @out: the answer, secret
 * @out_size: bytes of it
 * @out_done: bytes that were written
 */
struct conn {
	LIST_ENTRY(conn) list;
	int fd;
	gnutls_session_t session;
	struct tls_client client;
	char address[NI_MAXHOST];
	bool ready;
	bool stale;
	struct event *io;
	struct event *timer;
	uint8_t in[ETSI004_REQUEST_MAX];
	size_t in_size;
	struct etsi004_request request;
	struct stream_asked *call;
	bool waits;
	uint8_t *out;
	size_t out_size;
	size_t out_done;
};

static LIST_HEAD(, conn) conns = LIST_HEAD_INITIALIZER(conns);
static unsigned int nconns;
static struct evconnlistener *listeners[INI_ADDRESSES];
static size_t nlisteners;

static void conn_run(struct conn *conn);

static void conn_free(struct conn *conn)
{
	if (conn->call)
		stream_cancel(conn->call);
	if (conn->session) {
		tls_end(&conn->client);
		gnutls_deinit(conn->session);
	}
	if (conn->io)
		event_free(conn->io);
	if (conn->timer)
		event_free(conn->timer);
	kme_secret_free(conn->out, ETSI004_ANSWER_MAX);
	explicit_bzero(conn->in, sizeof(conn->in));
	close(conn->fd);
	LIST_REMOVE(conn, list);
	nconns--;
	free(conn);
}

static const char *name_of(const struct conn *conn)
{
	return *conn->client.sae  ? conn->client.sae :
	       *conn->client.link ? conn->client.link :
				    "-";
}

/* The one line about a connection that ends for another reason than the client's. */
static void conn_refuse(struct conn *conn, enum counter counter,
			const char *why)
{
	stat_add(counter, 1);
	log_stranger(conn->address, why);
	conn_free(conn);
}

/* A request, an answer and a handshake take so long at most; and while the client
 * asks nothing it may be there.
 */
static void set_timer(struct conn *conn)
{
	struct timeval tv = { config->timeout / 1000,
			      config->timeout % 1000 * 1000 };

	if (!conn->ready || conn->in_size || conn->out_size || conn->waits) {
		if (!evtimer_pending(conn->timer, NULL))
			evtimer_add(conn->timer, &tv);
	} else {
		evtimer_del(conn->timer);
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;

	(void)fd;
	(void)what;
	conn_refuse(conn, STAT_REFUSED_TIMEOUT, "it takes too long");
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	conn_run(arg);
}

static void log_call(const struct conn *conn,
		     const struct etsi004_answer *answer)
{
	static const char *const calls[] = {
		[ETSI004_OPEN_CONNECT] = "open_connect",
		[ETSI004_GET_KEY] = "get_key",
		[ETSI004_CLOSE] = "close",
	};

	log_info("%s %s %s status %u", conn->address, name_of(conn),
		 calls[conn->request.call], answer->status);
}

static void on_answer(void *arg, const struct etsi004_answer *answer)
{
	struct conn *conn = arg;
	bool later = conn->call;

	conn->call = NULL;
	conn->waits = false;
	conn->out_size = etsi004_pack_answer(&conn->request, answer, conn->out);
	conn->out_done = 0;
	stat_add(STAT_REQUESTS, 1);
	log_call(conn, answer);
	if (later)
		event_active(conn->io, EV_WRITE, 0);
}

/* 0: a whole request is there; -EAGAIN: more has to come. */
static int parse(struct conn *conn, char text[ETSI004_TEXT_LEN])
{
	uint8_t service;
	size_t size;
	int err;

	if (conn->in_size < ETSI004_HEADER_LEN)
		return -EAGAIN;
	err = etsi004_parse_header(conn->in, &service, &size, text);
	if (err)
		return err;
	if (size > sizeof(conn->in) - ETSI004_HEADER_LEN) {
		strcpy(text, "an answer in the place of a request");
		return -EPROTO;
	}
	if (conn->in_size < ETSI004_HEADER_LEN + size)
		return -EAGAIN;
	err = etsi004_parse_request(service, conn->in + ETSI004_HEADER_LEN,
				    size, &conn->request, text);
	conn->in_size -= ETSI004_HEADER_LEN + size;
	memmove(conn->in, conn->in + ETSI004_HEADER_LEN + size, conn->in_size);
	return err;
}

static bool secret_ready(struct conn *conn)
{
	if (!conn->out)
		conn->out = kme_secret_new(ETSI004_ANSWER_MAX);
	return conn->out;
}

/* GnuTLS's word on what it does next; false if the connection is no more. */
static bool wait_for(struct conn *conn)
{
	short events =
		conn->out_size || gnutls_record_get_direction(conn->session) ?
			EV_WRITE :
			EV_READ;

	if (conn->ready && !conn->out_size)
		events = EV_READ;
	event_del(conn->io);
	event_assign(conn->io, base, conn->fd, events, on_io, conn);
	if (!conn->waits)
		event_add(conn->io, NULL);
	set_timer(conn);
	return true;
}

static bool is_again(ssize_t n)
{
	return n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED;
}

/* Each of these: 1 to go on, 0 to wait, -1 if the connection is no more. */
static int handshake(struct conn *conn)
{
	int err = gnutls_handshake(conn->session);

	if (is_again(err) || (err < 0 && !gnutls_error_is_fatal(err)))
		return wait_for(conn) ? 0 : -1;
	if (err < 0) {
		conn_refuse(conn, STAT_REFUSED_TLS,
			    *conn->client.why ? conn->client.why :
						gnutls_strerror(err));
		return -1;
	}
	if (!*conn->client.sae && !*conn->client.link) {
		conn_refuse(conn, STAT_REFUSED_NO_SAE,
			    "its certificate is of no SAE and no KME");
		return -1;
	}
	conn->ready = true;
	evtimer_del(conn->timer);
	return 1;
}

static int write_out(struct conn *conn)
{
	ssize_t n;

	while (conn->out_done < conn->out_size) {
		n = gnutls_record_send(conn->session,
				       conn->out + conn->out_done,
				       conn->out_size - conn->out_done);
		if (is_again(n))
			return wait_for(conn) ? 0 : -1;
		if (n < 0) {
			conn_free(conn);
			return -1;
		}
		conn->out_done += n;
	}
	explicit_bzero(conn->out, conn->out_size);
	conn->out_size = 0;
	evtimer_del(conn->timer);
	if (!conn->stale)
		return 1;
	conn_free(conn);
	return -1;
}

static int read_in(struct conn *conn)
{
	ssize_t n;

	n = gnutls_record_recv(conn->session, conn->in + conn->in_size,
			       sizeof(conn->in) - conn->in_size);
	if (is_again(n))
		return wait_for(conn) ? 0 : -1;
	if (n <= 0) {
		conn_free(conn);
		return -1;
	}
	conn->in_size += n;
	return 1;
}

static int serve(struct conn *conn)
{
	struct caller caller = { conn->client.sae, conn->client.link };
	char text[ETSI004_TEXT_LEN];
	int err = parse(conn, text);

	if (err == -EAGAIN)
		return read_in(conn);
	if (err || !secret_ready(conn)) {
		conn_refuse(conn, STAT_REFUSED_REQUEST,
			    err ? text : "out of memory");
		return -1;
	}
	conn->waits = true;
	conn->call = stream_call(&caller, &conn->request, on_answer, conn);
	if (!conn->waits)
		return 1;
	return wait_for(conn) ? 0 : -1;
}

static void conn_run(struct conn *conn)
{
	int more;

	do {
		if (!conn->ready)
			more = handshake(conn);
		else if (conn->out_size)
			more = write_out(conn);
		else if (conn->waits)
			more = 0;
		else
			more = serve(conn);
	} while (more > 0);
}

static bool too_many_from(const char *address)
{
	const struct conn *conn;
	unsigned int n = 0;

	LIST_FOREACH(conn, &conns, list)
	n += !strcmp(conn->address, address);
	return n > config->connections_per_address;
}

static bool tls_ready(struct conn *conn)
{
	if (gnutls_init(&conn->session, GNUTLS_SERVER | GNUTLS_NONBLOCK |
						GNUTLS_NO_TICKETS |
						GNUTLS_NO_SIGNAL)) {
		conn->session = NULL;
		return false;
	}
	tls_begin(&conn->client, conn->session);
	gnutls_transport_set_int(conn->session, conn->fd);
	return !gnutls_priority_set_direct(conn->session, TLS_PRIORITIES, NULL);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd,
		      struct sockaddr *address, int length, void *arg)
{
	struct conn *conn = NULL;

	(void)listener;
	(void)arg;
	if (nconns < config->connections)
		conn = calloc(1, sizeof(*conn));
	if (!conn) {
		stat_add(STAT_REFUSED_LIMIT, 1);
		log_stranger("connection refused", "as many as there may be");
		close(fd);
		return;
	}
	stat_add(STAT_CONNECTIONS, 1);
	conn->fd = fd;
	LIST_INSERT_HEAD(&conns, conn, list);
	nconns++;
	if (getnameinfo(address, length, conn->address, sizeof(conn->address),
			NULL, 0, NI_NUMERICHOST))
		strcpy(conn->address, "?");
	if (too_many_from(conn->address)) {
		conn_refuse(conn, STAT_REFUSED_LIMIT,
			    "as many as there may be from one address");
		return;
	}
	conn->io = event_new(base, fd, EV_READ, on_io, conn);
	conn->timer = evtimer_new(base, on_timer, conn);
	if (conn->io && conn->timer && tls_ready(conn))
		conn_run(conn);
	else
		conn_refuse(conn, STAT_REFUSED_TLS, "out of memory");
}

/**
 * face004_start - listen
 * @config: configuration
 *
 * Return: whether it does, or does not have to; if not, says why.
 */
bool face004_start(const struct config *config)
{
	size_t i;

	for (i = 0; i < config->listen_004.n; i++) {
		listeners[i] = listen_on("listen-004",
					 config->listen_004.list[i], on_accept);
		if (!listeners[i])
			return false;
		nlisteners++;
	}
	return true;
}

/**
 * face004_renew - end connections that were made under another configuration
 */
void face004_renew(void)
{
	struct conn *conn, *next;

	for (conn = LIST_FIRST(&conns); conn; conn = next) {
		next = LIST_NEXT(conn, list);
		conn->stale = true;
		if (!conn->waits && !conn->out_size && !conn->in_size)
			conn_free(conn);
	}
	relays_renew();
}

/**
 * face004_stop - undo face004_start()
 */
void face004_stop(void)
{
	while (nlisteners)
		evconnlistener_free(listeners[--nlisteners]);
	while (!LIST_EMPTY(&conns))
		conn_free(LIST_FIRST(&conns));
	relays_stop();
	streams_flush();
	ages_forget();
}
