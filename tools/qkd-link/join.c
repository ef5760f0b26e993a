// SPDX-License-Identifier: GPL-2.0-only
/*
 * How the ends meet. Who connects begins each of his two connections with 24 bytes:
 * "qkdlink", then T (the classical channel) or L (light), then 16 that are the
 * same in both. Nothing of that is secret, nor is it believed: HELLO is.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "../common/log.h"
#include "join.h"
#include "talk.h"

#define PREAMBLE 24
#define KIND 7 /* its byte that says T or L */
#define GUESTS 64 /* that have not shown whose they are */
#define GUEST_MS 5000 /* for that */
#define SILENT_MS 20000 /* then a connection is lost */
#define TRAIN_MAX (256 << 20)
#define HEADER 13

static const char magic[] = "qkdlink";

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* ---- Sockets ---- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* A peer that is gone is noticed; a small message goes at once. */
static void tune(int fd)
{
	static const struct {
		int level;
		int name;
		int value;
	} options[] = {
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, 5 },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 5 },
		{ IPPROTO_TCP, TCP_KEEPCNT, 3 },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, SILENT_MS },
	};
	size_t i;

	/* a local socket has none of these, and needs none */
	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		(void)setsockopt(fd, options[i].level, options[i].name,
				 &options[i].value, sizeof(int));
}

typedef int (*with_address_fn)(int family, const struct sockaddr *address,
			       socklen_t size, int ms);

/* The first address of the text with which it works: a socket, or an error. */
static int with_address(const char *text, with_address_fn fn, int ms)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *all, *ai;
	const char *port = strrchr(text, ':');
	struct sockaddr_un path = { .sun_family = AF_UNIX };
	char host[128];
	int fd = -EINVAL;

	if (is_path(text)) {
		if (strlen(text) >= sizeof(path.sun_path))
			return -ENAMETOOLONG;
		strcpy(path.sun_path, text);
		return fn(AF_UNIX, (struct sockaddr *)&path, sizeof(path), ms);
	}
	if (!port || port == text)
		return -EINVAL;
	/* without the brackets of an IPv6 address */
	if (*text == '[' && port[-1] == ']')
		snprintf(host, sizeof(host), "%.*s", (int)(port - text) - 2,
			 text + 1);
	else
		snprintf(host, sizeof(host), "%.*s", (int)(port - text), text);
	if (getaddrinfo(host, port + 1, &hints, &all))
		return -EADDRNOTAVAIL;
	for (ai = all; ai && fd < 0; ai = ai->ai_next)
		fd = fn(ai->ai_family, ai->ai_addr, ai->ai_addrlen, ms);
	freeaddrinfo(all);
	return fd;
}

/* A socket that a dead process left; any other file stays, and is in the way. */
static void remove_dead(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (!lstat(address->sun_path, &st) && S_ISSOCK(st.st_mode) &&
	    connect(fd, (const struct sockaddr *)address, sizeof(*address)) &&
	    errno == ECONNREFUSED)
		unlink(address->sun_path);
	close(fd);
}

static int listen_at(int family, const struct sockaddr *address, socklen_t size,
		     int ms)
{
	int fd, one = 1, err;

	(void)ms;
	fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (family == AF_UNIX)
		remove_dead((const struct sockaddr_un *)address);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, address, size) || listen(fd, GUESTS)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int wait_for(int fd, short events, int ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };
	int n = poll(&poll_fd, 1, ms);

	return n < 0 ? -errno : n ? 0 : -ETIMEDOUT;
}

static int connect_to(int family, const struct sockaddr *address,
		      socklen_t size, int ms)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t length = sizeof(int);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, address, size))
		err = errno;
	if (err == EINPROGRESS) {
		err = -wait_for(fd, POLLOUT, ms);
		if (!err && getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &length))
			err = errno;
	}
	if (err) {
		close(fd);
		return -err;
	}
	tune(fd);
	return fd;
}

/* ---- Bytes, within a time ---- */

static int send_all(int fd, const void *data, size_t size, int ms)
{
	int64_t end = now() + ms;
	const uint8_t *p = data;
	ssize_t n;
	int err;

	while (size) {
		n = send(fd, p, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			p += n;
			size -= n;
			end = now() + ms;
			continue;
		}
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		err = wait_for(fd, POLLOUT, end > now() ? end - now() : 0);
		if (err)
			return err;
	}
	return 0;
}

static int recv_all(int fd, void *data, size_t size, int ms)
{
	int64_t end = now() + ms;
	uint8_t *p = data;
	ssize_t n;
	int err;

	while (size) {
		n = recv(fd, p, size, MSG_DONTWAIT);
		if (n > 0) {
			p += n;
			size -= n;
			end = now() + ms;
			continue;
		}
		if (!n)
			return -EPIPE;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		err = wait_for(fd, POLLIN, end > now() ? end - now() : 0);
		if (err)
			return err;
	}
	return 0;
}

/* ---- Meeting ---- */

int join_open(struct join *join, bool listens, const char *address)
{
	*join = (struct join){ .listens = listens };
	snprintf(join->address, sizeof(join->address), "%s", address);
	join->talk.fd = join->listener = join->light = -1;
	if (!listens)
		return 0;
	join->listener = with_address(address, listen_at, 0);
	if (join->listener >= 0)
		return 0;
	log_error("listen %s: %s", address, strerror(-join->listener));
	return -1;
}

static int call(struct join *join, int ms)
{
	uint8_t text[PREAMBLE];
	int err;

	memcpy(text, magic, KIND);
	if (RAND_bytes(text + KIND + 1, PREAMBLE - KIND - 1) != 1)
		return -EIO;
	join->talk.fd = with_address(join->address, connect_to, ms);
	if (join->talk.fd < 0)
		return join->talk.fd;
	join->light = with_address(join->address, connect_to, ms);
	if (join->light < 0)
		return join->light;
	text[KIND] = 'T';
	err = send_all(join->talk.fd, text, PREAMBLE, ms);
	text[KIND] = 'L';
	return err ?: send_all(join->light, text, PREAMBLE, ms);
}

/**
 * struct guest - a connection that has not shown whose it is
 * @wire: and what came over it: a preamble, and of T a first message
 * @until: it has time
 */
struct guest {
	struct wire wire;
	int64_t until;
};

static void let_in(const struct join *join, struct guest *guests)
{
	int fd = accept4(join->listener, NULL, NULL,
			 SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct guest *oldest = guests;
	size_t i;

	if (fd < 0)
		return;
	for (i = 0; i < GUESTS; i++)
		if (guests[i].wire.fd < 0 ||
		    (oldest->wire.fd >= 0 && guests[i].until < oldest->until))
			oldest = &guests[i];
	wire_attach(&oldest->wire, fd);
	tune(fd);
	oldest->until = now() + GUEST_MS;
}

/* 1: it has said all that it has to before it is answered; 0: more has to come. */
static int has_said_all(const struct guest *guest)
{
	const uint8_t *in = guest->wire.in;
	size_t size = guest->wire.size;

	if (size < PREAMBLE)
		return 0;
	if (memcmp(in, magic, KIND))
		return -EBADMSG;
	if (in[KIND] == 'T')
		return talk_begins(in + PREAMBLE, size - PREAMBLE);
	return in[KIND] == 'L' && size == PREAMBLE ? 1 : -EBADMSG;
}

static void hear_out(struct guest *guest)
{
	int err;

	if (has_said_all(guest) > 0)
		return;
	err = wire_read(&guest->wire, 0);
	if ((err && err != -ETIMEDOUT) || has_said_all(guest) < 0)
		wire_free(&guest->wire);
}

/* Two of one caller. */
static bool find_pair(struct join *join, struct guest *guests)
{
	struct guest *a, *b, *end = guests + GUESTS;

	for (a = guests; a < end; a++)
		for (b = guests; b < end; b++) {
			if (has_said_all(a) <= 0 || has_said_all(b) <= 0 ||
			    a->wire.in[KIND] != 'T' ||
			    b->wire.in[KIND] != 'L' ||
			    memcmp(a->wire.in + KIND + 1, b->wire.in + KIND + 1,
				   PREAMBLE - KIND - 1))
				continue;
			join->talk = a->wire;
			wire_skip(&join->talk, PREAMBLE);
			a->wire = (struct wire){ .fd = -1 };
			join->light = b->wire.fd;
			b->wire.fd = -1;
			wire_free(&b->wire);
			return true;
		}
	return false;
}

static int receive_guests(struct join *join, struct guest *guests, int64_t end)
{
	struct pollfd fds[GUESTS + 1];
	size_t i;

	while (!find_pair(join, guests)) {
		for (i = 0; i < GUESTS; i++)
			fds[i] = (struct pollfd){
				.fd = has_said_all(&guests[i]) ?
					      -1 :
					      guests[i].wire.fd,
				.events = POLLIN,
			};
		fds[GUESTS] = (struct pollfd){ .fd = join->listener,
					       .events = POLLIN };
		if (now() >= end)
			return -ETIMEDOUT;
		if (poll(fds, GUESTS + 1,
			 end - now() < 200 ? end - now() : 200) < 0)
			return -errno;
		for (i = 0; i < GUESTS; i++) {
			if (fds[i].revents)
				hear_out(&guests[i]);
			if (guests[i].until < now())
				wire_free(&guests[i].wire);
		}
		if (fds[GUESTS].revents)
			let_in(join, guests);
	}
	return 0;
}

/* Who is not the peer goes, and the others stay. */
static int be_called(struct join *join, int ms, join_prove_fn prove, void *arg)
{
	struct guest guests[GUESTS];
	int64_t end = now() + ms;
	size_t i;
	int err;

	for (i = 0; i < GUESTS; i++)
		guests[i] = (struct guest){ .wire.fd = -1 };
	do {
		join_part(join);
		err = receive_guests(join, guests, end) ?: prove(arg);
	} while (err == -EBADMSG);
	for (i = 0; i < GUESTS; i++)
		wire_free(&guests[i].wire);
	return err;
}

int join_meet(struct join *join, int ms, join_prove_fn prove, void *arg)
{
	int err;

	if (join->listens)
		err = be_called(join, ms, prove, arg);
	else
		err = call(join, ms) ?: prove(arg);
	if (err)
		join_part(join);
	return err;
}

void join_part(struct join *join)
{
	wire_free(&join->talk);
	close_fd(&join->light);
}

void join_close(struct join *join)
{
	join_part(join);
	if (join->listener >= 0 && is_path(join->address))
		unlink(join->address);
	close_fd(&join->listener);
}

/* ---- Light: frame (1), clock in ns (8), size of the train (4), train ---- */

int light_send(int fd, enum frame frame, double clock,
	       const struct buffer *train)
{
	struct buffer header = { 0 };
	int err;

	buffer_put_number(&header, frame, 1);
	buffer_put_number(&header, clock * 1e9, 8);
	buffer_put_number(&header, train ? train->size : 0, 4);
	err = header.bad ?: send_all(fd, header.data, header.size, SILENT_MS);
	if (!err && train)
		err = send_all(fd, train->data, train->size, SILENT_MS);
	buffer_free(&header);
	return err;
}

/* A train into @train, piece by piece: its size is what somebody said. */
static int recv_train(int fd, struct buffer *train, size_t size, int ms)
{
	uint8_t piece[16384];
	size_t n;
	int err = 0;

	buffer_reset(train);
	for (; size && !err; size -= n) {
		n = size < sizeof(piece) ? size : sizeof(piece);
		err = recv_all(fd, piece, n, ms);
		if (!err)
			buffer_put(train, piece, n);
	}
	OPENSSL_cleanse(piece, sizeof(piece));
	return err ?: train->bad;
}

int light_recv(int fd, enum frame *frame, double *clock, struct buffer *train,
	       int ms)
{
	uint8_t bytes[HEADER];
	struct buffer header = { .data = bytes, .size = HEADER };
	size_t size;
	int err = recv_all(fd, bytes, HEADER, ms);

	if (err)
		return err;
	*frame = buffer_get_number(&header, 1);
	*clock = buffer_get_number(&header, 8) / 1e9;
	size = buffer_get_number(&header, 4);
	if (*frame >= FRAMES || size > TRAIN_MAX ||
	    (size && *frame != FRAME_TRAIN))
		return -EBADMSG;
	return recv_train(fd, train, size, ms);
}

int light_answer(int fd, uint8_t status)
{
	return send_all(fd, &status, 1, SILENT_MS);
}

int light_answered(int fd, uint8_t *status, int ms)
{
	return recv_all(fd, status, 1, ms);
}
