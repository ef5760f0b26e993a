// SPDX-License-Identifier: GPL-2.0-only
/*
 * What we ask the KME at the other end of a link, by ETSI GS QKD 004, over mutual
 * TLS with the certificate that our clients see, too. One connection a link, one
 * call after the other.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stream.h"

#define CALLS_MAX 256 /* of a link, that wait */

/**
 * struct relay_call - a question
 * @list: of its relay
 * @relay: who asks
 * @request: what
 * @deadline: as now_ms()
 * @done: who is told
 * @arg: for it
 */
struct relay_call {
	TAILQ_ENTRY(relay_call) list;
	struct relay *relay;
	struct etsi004_request request;
	int64_t deadline;
	relay_done_fn done;
	void *arg;
};

/**
 * struct relay - the connection of a link
 * @list: of all of them
 * @link: name of the link
 * @calls: the oldest first
 * @ncalls: their number
 * @asking: the first of them is on its way
 * @fd: socket, or -1
 * @connecting: it is not connected yet
 * @conn: its TLS end
 * @io: event of the socket
 * @timer: event: the end of our patience with the first call
 * @said: that it does not work was logged
 */
struct relay {
	LIST_ENTRY(relay) list;
	char link[QKD_NAME_LEN + 1];
	TAILQ_HEAD(, relay_call) calls;
	unsigned int ncalls;
	bool asking;
	int fd;
	bool connecting;
	struct etsi004_conn *conn;
	struct event *io;
	struct event *timer;
	unsigned int said;
};

static LIST_HEAD(, relay) relays = LIST_HEAD_INITIALIZER(relays);

static void relay_run(struct relay *relay);

static struct relay_call *first(const struct relay *relay)
{
	return TAILQ_FIRST(&relay->calls);
}

static void hang_up(struct relay *relay)
{
	if (relay->io)
		event_free(relay->io);
	relay->io = NULL;
	etsi004_conn_free(relay->conn);
	relay->conn = NULL;
	if (relay->fd >= 0)
		close(relay->fd);
	relay->fd = -1;
	relay->connecting = false;
	relay->asking = false;
}

static void set_timer(struct relay *relay)
{
	struct timeval tv = {};
	int64_t ms;

	if (!first(relay)) {
		evtimer_del(relay->timer);
		return;
	}
	ms = first(relay)->deadline - now_ms();
	if (ms > 0)
		tv = (struct timeval){ ms / 1000, ms % 1000 * 1000 };
	evtimer_add(relay->timer, &tv);
}

static void *take_out(struct relay_call *call)
{
	void *arg = call->arg;

	TAILQ_REMOVE(&call->relay->calls, call, list);
	call->relay->ncalls--;
	free(call);
	return arg;
}

static void finish(struct relay *relay, int err,
		   const struct etsi004_answer *answer)
{
	relay_done_fn done = first(relay)->done;
	void *arg = take_out(first(relay));

	relay->asking = false;
	done(arg, err, answer);
}

/* Everybody who waits is told, so that no SAE waits for a KME that is away. */
static void broken(struct relay *relay, int err, struct etsi004_answer *answer)
{
	complain(relay->link, &relay->said, 1, true,
		 "the KME at its other end: %s", answer->text);
	hang_up(relay);
	while (first(relay))
		finish(relay, err, answer);
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	relay_run(arg);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct etsi004_answer answer = { .text = "it does not answer" };
	struct relay *relay = arg;

	(void)fd;
	(void)what;
	if (first(relay) && first(relay)->deadline <= now_ms())
		broken(relay, -ETIMEDOUT, &answer);
	else
		relay_run(relay);
}

static int say_errno(struct etsi004_answer *answer, int err)
{
	snprintf(answer->text, sizeof(answer->text), "%s", strerror(err));
	return -EHOSTUNREACH;
}

static int dial(struct relay *relay, struct etsi004_answer *answer)
{
	const struct link_config *link = config_link(config, relay->link);
	struct sockaddr_storage addr;
	int length = sizeof(addr);

	if (!link ||
	    evutil_parse_sockaddr_port(link->target_004,
				       (struct sockaddr *)&addr, &length))
		return say_errno(answer, EDESTADDRREQ);
	relay->fd = socket(addr.ss_family,
			   SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (relay->fd < 0 ||
	    (connect(relay->fd, (struct sockaddr *)&addr, length) &&
	     errno != EINPROGRESS))
		return say_errno(answer, errno);
	relay->connecting = true;
	relay->io = event_new(base, relay->fd, EV_WRITE, on_io, relay);
	if (!relay->io || event_add(relay->io, NULL))
		return say_errno(answer, ENOMEM);
	return -EINPROGRESS;
}

static int connected(struct relay *relay, struct etsi004_answer *answer)
{
	const struct link_config *link = config_link(config, relay->link);
	struct etsi004 kme = { config->ca, config->certificate, config->key,
			       link ? link->target_name : "" };
	socklen_t size = sizeof(int);
	int err = 0;

	if (getsockopt(relay->fd, SOL_SOCKET, SO_ERROR, &err, &size))
		err = errno;
	if (err)
		return say_errno(answer, err);
	relay->connecting = false;
	relay->conn = etsi004_conn_new(&kme, relay->fd, answer->text);
	return relay->conn ? 0 : -EHOSTUNREACH;
}

/* -EINPROGRESS: the socket is waited for; 0: a call has an answer, or has begun. */
static int step(struct relay *relay, struct etsi004_answer *answer, bool *done)
{
	int err;

	*done = false;
	if (relay->fd < 0)
		return first(relay) ? dial(relay, answer) : -EINPROGRESS;
	if (relay->connecting)
		return connected(relay, answer);
	if (!relay->asking && first(relay)) {
		relay->asking = true;
		return etsi004_conn_ask(relay->conn, &first(relay)->request);
	}
	err = etsi004_conn_run(relay->conn, answer);
	if (err == -EINPROGRESS)
		return err;
	*done = relay->asking && (!err || answer->has_status);
	return *done || err ? err : -EPROTO;
}

static void wait_for_socket(struct relay *relay)
{
	short events = EV_READ;

	if (!relay->io || relay->connecting)
		return;
	if (etsi004_conn_events(relay->conn) == POLLOUT)
		events = EV_WRITE;
	event_del(relay->io);
	event_assign(relay->io, base, relay->fd, events, on_io, relay);
	event_add(relay->io, NULL);
}

static void relay_run(struct relay *relay)
{
	struct etsi004_answer answer;
	bool done;
	int err;

	for (;;) {
		memset(&answer, 0, sizeof(answer));
		err = step(relay, &answer, &done);
		if (done) {
			relay->said = 0;
			finish(relay, err, &answer);
			etsi004_answer_free(&answer);
		} else if (err && err != -EINPROGRESS) {
			if (first(relay))
				broken(relay, err, &answer);
			else
				hang_up(relay); /* an idle one may go */
			break;
		} else if (err) {
			wait_for_socket(relay);
			break;
		}
	}
	set_timer(relay);
}

static struct relay *relay_of(const char *link)
{
	struct relay *relay;

	LIST_FOREACH(relay, &relays, list)
	if (!strcmp(relay->link, link))
		return relay;
	relay = calloc(1, sizeof(*relay));
	if (!relay)
		return NULL;
	strcpy(relay->link, link);
	TAILQ_INIT(&relay->calls);
	relay->fd = -1;
	relay->timer = evtimer_new(base, on_timer, relay);
	if (!relay->timer) {
		free(relay);
		return NULL;
	}
	LIST_INSERT_HEAD(&relays, relay, list);
	return relay;
}

struct relay_call *relay_ask(const char *link,
			     const struct etsi004_request *request,
			     relay_done_fn done, void *arg)
{
	const struct link_config *target = config_link(config, link);
	struct relay *relay = relay_of(link);
	struct relay_call *call;
	struct timeval now = {};

	if (!target || !*target->target_004 || !relay ||
	    relay->ncalls == CALLS_MAX)
		return NULL;
	call = calloc(1, sizeof(*call));
	if (!call)
		return NULL;
	call->relay = relay;
	call->request = *request;
	call->deadline = now_ms() + config->timeout / 2;
	call->done = done;
	call->arg = arg;
	TAILQ_INSERT_TAIL(&relay->calls, call, list);
	relay->ncalls++;
	if (first(relay) == call)
		evtimer_add(relay->timer, &now);
	return call;
}

/* What comes for it would be taken for the next one's. */
void relay_cancel(struct relay_call *call)
{
	struct relay *relay = call->relay;
	bool busy = call == first(relay) && relay->asking;

	take_out(call);
	if (busy) {
		hang_up(relay);
		set_timer(relay);
		if (first(relay))
			event_active(relay->timer, EV_TIMEOUT, 0);
	}
}

void relays_renew(void)
{
	struct relay *relay;

	LIST_FOREACH(relay, &relays, list)
	if (!relay->asking && !relay->connecting)
		hang_up(relay);
}

void relays_stop(void)
{
	struct etsi004_answer answer = { .text = "we stop" };
	struct relay *relay;

	while (!LIST_EMPTY(&relays)) {
		relay = LIST_FIRST(&relays);
		hang_up(relay);
		while (first(relay))
			finish(relay, -ECONNABORTED, &answer);
		LIST_REMOVE(relay, list);
		event_free(relay->timer);
		free(relay);
	}
}
