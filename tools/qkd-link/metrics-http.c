// SPDX-License-Identifier: GPL-2.0-only
/* Where Prometheus asks: a port or a socket, by libmicrohttpd. */
#include <errno.h>
#include <error.h>
#include <netdb.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <microhttpd.h>

#include "join.h"
#include "metrics.h"

#define CONNECTIONS 16
#define TIMEOUT 10 /* seconds in which nothing is said */

/* @copy is the server's thread's own. */
static struct {
	struct MHD_Daemon *mhd;
	struct stats *stats;
	struct stats *copy;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
} server;

/* ---- Answers ---- */

static enum MHD_Result reply(struct MHD_Connection *connection,
			     unsigned int status, char *text, size_t size)
{
	struct MHD_Response *response;
	enum MHD_Result result;

	response = MHD_create_response_from_buffer_with_free_callback(
		size, text, free);
	if (!response) {
		free(text);
		return MHD_NO;
	}
	if (status == MHD_HTTP_OK)
		MHD_add_response_header(response, "Content-Type",
					"text/plain; version=0.0.4");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, "Allow", "GET, HEAD");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result answer(void *cls, struct MHD_Connection *connection,
			      const char *url, const char *method,
			      const char *version, const char *upload,
			      size_t *upload_size, void **state)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file;

	(void)cls;
	(void)version;
	(void)upload;
	(void)upload_size;
	(void)state;
	if (strcmp(url, "/metrics"))
		return reply(connection, MHD_HTTP_NOT_FOUND, NULL, 0);
	if (strcmp(method, "GET") && strcmp(method, "HEAD"))
		return reply(connection, MHD_HTTP_METHOD_NOT_ALLOWED, NULL, 0);
	file = open_memstream(&text, &size);
	if (!file)
		return MHD_NO;
	stats_copy(server.stats, server.copy);
	metrics_print(file, server.copy);
	if (fclose(file)) {
		free(text);
		return MHD_NO;
	}
	return reply(connection, MHD_HTTP_OK, text, size);
}

/* ---- Sockets ---- */

static int complain_of(const char *where, int err)
{
	error(0, err, "--metrics: %s", where);
	return -err;
}

static int listen_at(const char *where, const struct sockaddr *address,
		     socklen_t size)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1, err;

	if (fd < 0)
		return complain_of(where, errno);
	if (address->sa_family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, address, size) || listen(fd, CONNECTIONS)) {
		err = errno;
		close(fd);
		return complain_of(where, err);
	}
	return fd;
}

/* Of a process that is gone: it is a socket, and nobody listens. */
static void remove_stale(const struct sockaddr_un *address)
{
	struct stat status;
	int fd;

	if (lstat(address->sun_path, &status) || !S_ISSOCK(status.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const void *)address, sizeof(*address)) &&
	    errno == ECONNREFUSED)
		unlink(address->sun_path);
	close(fd);
}

static int listen_path(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return complain_of(path, ENAMETOOLONG);
	strcpy(address.sun_path, path);
	remove_stale(&address);
	fd = listen_at(path, (const void *)&address, sizeof(address));
	if (fd >= 0)
		strcpy(server.path, path);
	return fd;
}

/* ADDRESS:PORT or [ADDRESS]:PORT into @host and *@port. */
static int split(const char *where, char host[256], const char **port)
{
	const char *colon = strrchr(where, ':');
	bool bracket = *where == '[';
	char *end;
	long number;

	if (!colon || (bracket && (colon == where || colon[-1] != ']')))
		return -EINVAL;
	number = strtol(colon + 1, &end, 10);
	if (colon[1] < '0' || colon[1] > '9' || *end || number < 1 ||
	    number > UINT16_MAX)
		return -EINVAL;
	snprintf(host, 256, "%.*s", (int)(colon - where - 2 * bracket),
		 where + bracket);
	*port = colon + 1;
	/* without brackets it cannot be told where the port begins */
	return !*host || (!bracket && strchr(host, ':')) ? -EINVAL : 0;
}

static int listen_port(const char *where)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICSERV,
				  .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	const char *port;
	char host[256];
	int err;

	if (split(where, host, &port)) {
		error(0, 0,
		      "--metrics: \"%s\" should be ADDRESS:PORT, such as 127.0.0.1:9101 or [::1]:9101, or the path of a socket with a / in it",
		      where);
		return -EINVAL;
	}
	err = getaddrinfo(host, port, &hints, &found);
	if (err) {
		error(0, 0, "--metrics: %s: %s", host, gai_strerror(err));
		return -EADDRNOTAVAIL;
	}
	err = listen_at(where, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	return err;
}

/* Signals are for other threads. */
static struct MHD_Daemon *start(int fd)
{
	struct MHD_Daemon *mhd;
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	mhd = MHD_start_daemon(MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD,
			       0, NULL, NULL, answer, NULL,
			       MHD_OPTION_LISTEN_SOCKET, fd,
			       MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS,
			       MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT,
			       MHD_OPTION_END);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return mhd;
}

int metrics_begin(struct stats *stats, const char *where)
{
	int fd;

	server.stats = stats;
	server.copy = malloc(sizeof(*server.copy));
	if (!server.copy)
		return complain_of(where, ENOMEM);
	fd = is_path(where) ? listen_path(where) : listen_port(where);
	if (fd < 0) {
		metrics_end();
		return fd;
	}
	server.mhd = start(fd);
	if (!server.mhd) {
		close(fd);
		metrics_end();
		error(0, 0, "--metrics: %s: the HTTP server does not start",
		      where);
		return -EIO;
	}
	return 0;
}

void metrics_end(void)
{
	if (server.mhd)
		MHD_stop_daemon(server.mhd);
	if (*server.path)
		unlink(server.path);
	free(server.copy);
	memset(&server, 0, sizeof(server));
}
