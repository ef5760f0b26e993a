// SPDX-License-Identifier: GPL-2.0-only
/*
 * HTTP: connections and requests, by libmicrohttpd, run by our event loop. What is
 * asked for is read in request.c, and decided in keys.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <event2/util.h>
#include <gnutls/abstract.h>
#include <microhttpd.h>
#include <netdb.h>
#include <systemd/sd-daemon.h>

#include "kme.h"
#include "stream.h"

#define MEMORY 16384 /* of a connection: a request's head has to fit in */
#define FILES_MORE 64 /* than connections */
#define LINES 20 /* in the log, a second, of those who are not clients */

/**
 * struct conn - a connection
 * @list: of all of them
 * @fd: its socket
 * @address: of the client
 * @client: who that is
 * @deadline: when it ends, unless something is done with it
 * @busy: a request is under way
 * @stale: of an old configuration: ends with the request
 */
struct conn {
	LIST_ENTRY(conn) list;
	int fd;
	char address[64];
	struct tls_client client;
	int64_t deadline;
	bool busy;
	bool stale;
};

/**
 * struct exchange - a request and its answer
 * @request: what is asked
 * @problem: why it is refused
 * @status: HTTP's, of the answer; 0 as long as there is nothing against it
 * @error: the same, of keys.c
 * @keys: that leave with the answer
 * @begun: the head of the request was seen
 * @body: of the request
 * @size: its bytes
 */
struct exchange {
	struct request request;
	struct problem problem;
	int status;
	enum key_error error;
	unsigned int keys;
	bool begun;
	char *body;
	size_t size;
};

static LIST_HEAD(, conn) conns = LIST_HEAD_INITIALIZER(conns);
static struct MHD_Daemon *mhd;
static struct event *mhd_event, *mhd_timer, *second_timer;
static struct evconnlistener *listeners[INI_ADDRESSES];
static size_t nlisteners;
static uint32_t timeout;
static unsigned int lines;

/* Who is no client of ours must not fill the log. */
void log_stranger(const char *address, const char *what)
{
	if (lines++ < LINES)
		log_error("%s: %s", address, what);
}

/* ---- Answers ---- */

static enum MHD_Result reply(struct MHD_Connection *connection, int status,
			     struct answer *answer)
{
	struct MHD_Response *response;
	enum MHD_Result result;

	/* the body is not copied, and wiped when it is out or lost */
	response = MHD_create_response_from_buffer_with_free_callback_cls(
		answer ? answer->length : 0, answer ? answer->text : "",
		answer_free, answer);
	if (!response) {
		answer_free(answer);
		return MHD_NO;
	}
	if (answer)
		MHD_add_response_header(response, "Content-Type",
					"application/json");
	MHD_add_response_header(response, "Cache-Control", "no-store");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, "Allow", "GET, POST");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

/* What keys.c says, in HTTP's and the standard's words. */
static int refuse(struct exchange *exchange, const struct sae_config *sae)
{
	struct problem *problem = &exchange->problem;

	switch (exchange->error) {
	case KEY_FORBIDDEN:
		return 401;
	case KEY_NOT_FOUND:
		return request_bad(
			problem,
			"one or more keys specified are not found on KME");
	case KEY_NO_GROUP:
		return request_bad(
			problem,
			"these SAEs share no keys (see max_SAE_ID_count)");
	case KEY_BAD_SIZE:
		return request_bad(
			problem,
			"size shall be a multiple of 64 and %d at most (max_key_size)",
			QKD_KEY_SIZE_MAX * 8);
	case KEY_BAD_NUMBER:
		return request_bad(
			problem,
			"number shall be %u at most (max_key_per_request)",
			sae->max_number);
	case KEY_QUOTA:
		request_bad(problem, "the quota of this SAE is used up");
		return 503;
	case KEY_EMPTY:
		request_bad(problem, "there are not enough keys");
		return 503;
	case KEY_BUSY:
		request_bad(problem, "too much at once");
		return 503;
	default:
		request_bad(problem, "the QKD link is down");
		return 503;
	}
}

static struct answer *ask_pool(struct exchange *exchange, const char *sae)
{
	struct pool pool;

	exchange->error = keys_pool(sae, exchange->request.sae, &pool);
	return exchange->error ? NULL :
				 answer_pool(sae, exchange->request.sae, &pool);
}

static struct answer *ask_keys(struct exchange *exchange, const char *sae)
{
	const struct request *request = &exchange->request;
	struct keys *keys = keys_begin();
	struct answer *answer = NULL;

	if (!keys)
		return NULL;
	if (request->call == CALL_ENC_KEYS)
		exchange->error = keys_get(sae, request->sae, request->slaves,
					   request->nslaves, request->number,
					   request->size, keys);
	else
		exchange->error = keys_take(sae, request->sae, request->ids,
					    request->number, keys);
	if (!exchange->error) {
		answer = answer_keys(keys);
		exchange->keys = keys->number;
	}
	keys_end(keys);
	return answer;
}

/* The answer to a request that is complete; sets its status. */
static struct answer *answer_to(struct conn *conn, struct exchange *exchange)
{
	const struct sae_config *sae = config_sae(config, conn->client.sae);
	struct answer *answer;

	if (!sae || *sae->link) {
		stat_add(STAT_REFUSED_NO_SAE, 1);
		exchange->status = 401;
		return NULL;
	}
	if (exchange->status) {
		stat_add(STAT_REFUSED_REQUEST, 1);
		return answer_error(&exchange->problem);
	}
	answer = exchange->request.call == CALL_STATUS ?
			 ask_pool(exchange, sae->id) :
			 ask_keys(exchange, sae->id);
	if (exchange->error) {
		stat_add(STAT_REFUSED_FIRST_KEY_ERROR + exchange->error, 1);
		exchange->status = refuse(exchange, sae);
		return exchange->status == 401 ?
			       NULL :
			       answer_error(&exchange->problem);
	}
	exchange->status = answer ? 200 : 500;
	return answer;
}

/* ---- Requests ---- */

static struct conn *conn_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static void *on_target(void *arg, const char *target,
		       struct MHD_Connection *connection)
{
	struct exchange *exchange = calloc(1, sizeof(*exchange));
	struct conn *conn = conn_of(connection);

	(void)arg;
	conn->busy = true;
	conn->deadline = now_ms() + timeout;
	if (exchange)
		exchange->status = request_target(&exchange->request, target,
						  &exchange->problem);
	return exchange;
}

static enum request_method method_of(const char *method)
{
	if (!strcmp(method, MHD_HTTP_METHOD_GET))
		return REQUEST_GET;
	return strcmp(method, MHD_HTTP_METHOD_POST) ? REQUEST_OTHER :
						      REQUEST_POST;
}

/* Whether the body is said to be longer than any that is good. */
static bool is_too_long(struct MHD_Connection *connection)
{
	const char *length = MHD_lookup_connection_value(
		connection, MHD_HEADER_KIND, "Content-Length");

	return length && strtoull(length, NULL, 10) > BODY_MAX;
}

static bool take_piece(struct exchange *exchange, const char *data, size_t size)
{
	if (!exchange->body)
		exchange->body = malloc(BODY_MAX);
	if (!exchange->body || size > BODY_MAX - exchange->size)
		return false;
	memcpy(exchange->body + exchange->size, data, size);
	exchange->size += size;
	return true;
}

static void read_body(struct MHD_Connection *connection,
		      struct exchange *exchange, const char *method)
{
	const char *type = MHD_lookup_connection_value(
		connection, MHD_HEADER_KIND, "Content-Type");

	if (!exchange->status)
		exchange->status = request_body(&exchange->request,
						method_of(method), type,
						exchange->body, exchange->size,
						&exchange->problem);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection,
				  const char *url, const char *method,
				  const char *version, const char *data,
				  size_t *size, void **context)
{
	struct exchange *exchange = *context;
	struct answer *answer;

	(void)arg;
	(void)url;
	(void)version;
	if (!exchange)
		return MHD_NO;
	if (!exchange->begun) {
		exchange->begun = true;
		if (!is_too_long(connection))
			return MHD_YES;
		exchange->status = request_bad(
			&exchange->problem, "the body is longer than %d bytes",
			BODY_MAX);
	} else if (*size) {
		if (!take_piece(exchange, data, *size)) {
			exchange->status = 400;
			stat_add(STAT_REFUSED_REQUEST, 1);
			return MHD_NO;
		}
		*size = 0;
		return MHD_YES;
	} else {
		read_body(connection, exchange, method);
	}
	answer = answer_to(conn_of(connection), exchange);
	return reply(connection, exchange->status, answer);
}

/* One line for each request. Nothing in it is from the client's request as it is,
 * but for an SAE ID that we know.
 */
static void log_request(const struct conn *conn,
			const struct exchange *exchange, bool completed)
{
	const struct request *request = &exchange->request;
	const char *peer = config_sae(config, request->sae) ? request->sae :
							      "-";

	log_info("%s %s %s %s keys %u %d%s%s%s", conn->address,
		 *conn->client.sae ? conn->client.sae : "-",
		 exchange->status == 404 ? "-" :
					   request_call_name(request->call),
		 peer, exchange->keys, exchange->status,
		 *exchange->problem.message ? " " : "",
		 exchange->problem.message,
		 completed ? "" : " (not delivered)");
}

static void on_completed(void *arg, struct MHD_Connection *connection,
			 void **context, enum MHD_RequestTerminationCode code)
{
	struct exchange *exchange = *context;
	struct conn *conn = conn_of(connection);
	bool completed = code == MHD_REQUEST_TERMINATED_COMPLETED_OK;

	(void)arg;
	conn->busy = false;
	conn->deadline = now_ms() + timeout;
	if (conn->stale)
		shutdown(conn->fd, SHUT_RDWR);
	if (!exchange)
		return;
	stat_add(STAT_REQUESTS, 1);
	/* they are gone from the pool, and nobody has them */
	if (!completed)
		stat_add(STAT_KEYS_BURNT, exchange->keys);
	if (!exchange->status) {
		stat_add(STAT_REFUSED_REQUEST, 1);
		request_bad(&exchange->problem,
			    "too long, no HTTP, or not completed");
	}
	log_request(conn, exchange, completed);
	free(exchange->body);
	free(exchange);
	*context = NULL;
}

/* ---- Connections ---- */

static void address_text(const struct sockaddr *address, socklen_t length,
			 char text[64])
{
	if (getnameinfo(address, length, text, 64, NULL, 0, NI_NUMERICHOST))
		strcpy(text, "?");
}

static struct conn *conn_new(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info;
	struct conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	conn->deadline = now_ms() + timeout;
	info = MHD_get_connection_info(connection,
				       MHD_CONNECTION_INFO_CONNECTION_FD);
	conn->fd = info->connect_fd;
	info = MHD_get_connection_info(connection,
				       MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	address_text(info->client_addr, sizeof(struct sockaddr_storage),
		     conn->address);
	info = MHD_get_connection_info(connection,
				       MHD_CONNECTION_INFO_GNUTLS_SESSION);
	tls_begin(&conn->client, info->tls_session);
	LIST_INSERT_HEAD(&conns, conn, list);
	return conn;
}

static void conn_free(struct conn *conn)
{
	if (!conn->client.checked) {
		stat_add(STAT_REFUSED_TLS, 1);
		log_stranger(conn->address,
			     *conn->client.why ? conn->client.why :
						 "no TLS with a certificate");
	}
	tls_end(&conn->client);
	LIST_REMOVE(conn, list);
	free(conn);
}

static void on_connection(void *arg, struct MHD_Connection *connection,
			  void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	(void)arg;
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		stat_add(STAT_CONNECTIONS, 1);
		*context = conn_new(connection);
	} else if (*context) {
		conn_free(*context);
		*context = NULL;
	}
}

/* Never called: each session has credentials of its own, see tls_begin(). */
static int no_certificate(gnutls_session_t session,
			  const struct gnutls_cert_retr_st *info,
			  gnutls_pcert_st **certificate, unsigned int *length,
			  gnutls_ocsp_data_st **ocsp, unsigned int *ocsp_length,
			  gnutls_privkey_t *key, unsigned int *flags)
{
	(void)session;
	(void)info;
	(void)certificate;
	(void)length;
	(void)ocsp;
	(void)ocsp_length;
	(void)key;
	(void)flags;
	return -1;
}

/* ---- The event loop ---- */

static void run(void)
{
	struct timeval tv;
	uint64_t ms;

	MHD_run(mhd);
	if (MHD_get_timeout64(mhd, &ms) != MHD_YES) {
		evtimer_del(mhd_timer);
		return;
	}
	tv = (struct timeval){ ms / 1000, ms % 1000 * 1000 };
	evtimer_add(mhd_timer, &tv);
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	run();
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd,
		      struct sockaddr *address, int length, void *arg)
{
	char text[64];

	(void)listener;
	(void)arg;
	/* closes the socket if it does not take it */
	if (MHD_add_connection(mhd, fd, address, length) != MHD_YES) {
		stat_add(STAT_REFUSED_LIMIT, 1);
		address_text(address, length, text);
		log_stranger(text, "as many connections as there may be");
	}
	run();
}

/* Whoever sends or takes his bytes one by one does not hold us up. */
static void on_second(evutil_socket_t fd, short what, void *arg)
{
	int64_t now = now_ms();
	struct conn *conn;

	(void)fd;
	(void)what;
	(void)arg;
	group_expire();
	streams_expire();
	if (config->listen_004.n)
		ages_look();
	if (lines > LINES)
		log_error("%u more such lines", lines - LINES);
	lines = 0;
	LIST_FOREACH(conn, &conns, list)
	if (now > conn->deadline) {
		if (conn->busy || !conn->client.checked)
			stat_add(STAT_REFUSED_TIMEOUT, 1);
		conn->deadline = INT64_MAX;
		shutdown(conn->fd, SHUT_RDWR);
	}
}

struct evconnlistener *listen_on(const char *key, const char *address,
				 evconnlistener_cb on_accept)
{
	struct sockaddr_storage addr;
	int length = sizeof(addr);
	struct evconnlistener *listener;

	/* as the reader of the configuration has seen it */
	evutil_parse_sockaddr_port(address, (struct sockaddr *)&addr, &length);
	listener = evconnlistener_new_bind(
		base, on_accept, NULL,
		LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC |
			LEV_OPT_REUSEABLE,
		SOMAXCONN, (struct sockaddr *)&addr, length);
	if (!listener)
		log_error("%s %s: %s", key, address, strerror(errno));
	return listener;
}

/* Those of systemd's socket unit, if there are any, and else our own. */
static bool listen_all(const struct config *config)
{
	int given = sd_listen_fds(1), i;
	size_t j;

	for (i = 0; i < given && nlisteners < INI_ADDRESSES; i++) {
		evutil_make_socket_nonblocking(SD_LISTEN_FDS_START + i);
		listeners[nlisteners] = evconnlistener_new(
			base, on_accept, NULL,
			LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0,
			SD_LISTEN_FDS_START + i);
		if (!listeners[nlisteners])
			return false;
		nlisteners++;
	}
	for (j = 0; given <= 0 && j < config->listen.n; j++) {
		listeners[nlisteners] =
			listen_on("listen", config->listen.list[j], on_accept);
		if (!listeners[nlisteners])
			return false;
		nlisteners++;
	}
	if (!nlisteners)
		log_error(
			"%s: [local] has no \"listen\", and there is no socket unit",
			config->path);
	return nlisteners;
}

static bool enough_files(unsigned int connections)
{
	rlim_t needed = connections + FILES_MORE;
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= needed)
		return true;
	limit.rlim_cur = needed;
	if (limit.rlim_max >= needed && !setrlimit(RLIMIT_NOFILE, &limit))
		return true;
	log_error("%u connections need %llu open files: set LimitNOFILE",
		  connections, (unsigned long long)needed);
	return false;
}

/**
 * http_start - listen
 * @config: configuration
 *
 * Return: whether it does; if not, says why.
 */
bool http_start(const struct config *config)
{
	const union MHD_DaemonInfo *info;
	struct timeval second = { 1, 0 };

	if (!enough_files(config->connections))
		return false;
	timeout = config->timeout;
	mhd = MHD_start_daemon(
		MHD_USE_TLS | MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET |
			MHD_USE_NO_THREAD_SAFETY,
		0, NULL, NULL, on_request, NULL, MHD_OPTION_HTTPS_PRIORITIES,
		TLS_PRIORITIES, MHD_OPTION_HTTPS_CERT_CALLBACK2, no_certificate,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, NULL,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
		MHD_OPTION_URI_LOG_CALLBACK, on_target, NULL,
		MHD_OPTION_CONNECTION_LIMIT, config->connections,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		config->connections_per_address,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY,
		MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1,
		MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
	if (!mhd) {
		log_error("cannot start libmicrohttpd");
		return false;
	}
	info = MHD_get_daemon_info(mhd, MHD_DAEMON_INFO_EPOLL_FD);
	mhd_event = event_new(base, info->epoll_fd, EV_READ | EV_PERSIST,
			      on_ready, NULL);
	mhd_timer = evtimer_new(base, on_ready, NULL);
	second_timer = event_new(base, -1, EV_PERSIST, on_second, NULL);
	if (!mhd_event || !mhd_timer || !second_timer ||
	    event_add(mhd_event, NULL) || event_add(second_timer, &second))
		return false;
	return listen_all(config);
}

/**
 * http_renew - end connections that were made under another configuration
 */
void http_renew(void)
{
	struct conn *conn;

	LIST_FOREACH(conn, &conns, list)
	{
		conn->stale = true;
		if (!conn->busy)
			shutdown(conn->fd, SHUT_RDWR);
	}
}

/**
 * http_stop - undo http_start()
 */
void http_stop(void)
{
	while (nlisteners)
		evconnlistener_free(listeners[--nlisteners]);
	if (mhd)
		MHD_stop_daemon(mhd);
	if (mhd_event)
		event_free(mhd_event);
	if (mhd_timer)
		event_free(mhd_timer);
	if (second_timer)
		event_free(second_timer);
	mhd = NULL;
}
