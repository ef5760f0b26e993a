// SPDX-License-Identifier: GPL-2.0-only
/*
 * The client of ETSI GS QKD 004 with two KMEs over TLS: streams with both ends, who
 * it believes, how each fault ends, and that no byte of a key stays behind.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../lib/etsi004/etsi004.h"
#include "etsi014_traces.h"

#define DIR "/tmp/etsi004"
#include "peer_server.h"

#include "slow_harness.h"

/* An application and its connection. */
struct app {
	struct etsi004 kme;
	int port;
	int fd;
	struct etsi004_conn *conn;
	struct etsi004_request open, get;
	int timeout;
};

FIXTURE(kme)
{
	pid_t pid;
	struct app alice, bob;
};

static void prepare(struct app *app, int port, const char *cert,
		    const char *key)
{
	*app = (struct app){
		.kme = { DIR "/ca.pem", cert, key, "kme.example" },
		.port = port,
		.fd = -1,
		.timeout = 30000,
		.open = { .call = ETSI004_OPEN_CONNECT,
			  .source = "qkd://a",
			  .destination = "qkd://b",
			  .qos = { .key_chunk_size = 64,
				   .timeout = 1000,
				   .ttl = 60,
				   .mimetype = ETSI004_JSON } },
		.get = { .call = ETSI004_GET_KEY, .metadata_size = 1024 },
	};
	app->get.qos = app->open.qos;
}

static void hang_up(struct app *app)
{
	etsi004_conn_free(app->conn);
	app->conn = NULL;
	if (app->fd >= 0)
		close(app->fd);
	app->fd = -1;
}

FIXTURE_SETUP(kme)
{
	int ports[2];

	signal(SIGPIPE, SIG_IGN);
	etsi004_init();
	if (access(DIR "/ca.pem", F_OK))
		ASSERT_EQ(0, system("python3 kme_server.py certificates " DIR
				    " alice bob"));
	ASSERT_TRUE(start_server("etsi004_server.py", &self->pid, ports));
	prepare(&self->alice, ports[0], DIR "/alice.pem", DIR "/alice.key");
	prepare(&self->bob, ports[1], DIR "/bob.pem", DIR "/bob.key");
}

FIXTURE_TEARDOWN(kme)
{
	hang_up(&self->alice);
	hang_up(&self->bob);
	stop_server(self->pid);
}

static int dial(struct app *app, char text[ETSI004_TEXT_LEN])
{
	struct sockaddr_in where = { .sin_family = AF_INET,
				     .sin_port = htons(app->port),
				     .sin_addr.s_addr =
					     htonl(INADDR_LOOPBACK) };

	app->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(app->fd, (struct sockaddr *)&where, sizeof(where)))
		return -errno;
	fcntl(app->fd, F_SETFL, O_NONBLOCK);
	app->conn = etsi004_conn_new(&app->kme, app->fd, text);
	return app->conn ? 0 : -EINVAL;
}

/* As a loop would run it. */
static int run(struct app *app, struct etsi004_answer *answer)
{
	long end = now_ms() + app->timeout;
	struct pollfd pollfd = { .fd = app->fd };
	int err;

	while ((err = etsi004_conn_run(app->conn, answer)) == -EINPROGRESS) {
		pollfd.events = etsi004_conn_events(app->conn);
		if (now_ms() >= end || poll(&pollfd, 1, end - now_ms()) < 1)
			return -ETIME;
	}
	return err;
}

/* Dials where there is no connection, and hangs up after what ends one. */
static int ask(struct app *app, const struct etsi004_request *request,
	       struct etsi004_answer *answer)
{
	int err;

	memset(answer, 0, sizeof(*answer));
	if (!app->conn) {
		err = dial(app, answer->text);
		if (err)
			return err;
	}
	err = etsi004_conn_ask(app->conn, request) ?: run(app, answer);
	if (err && !answer->has_status)
		hang_up(app);
	return err;
}

/* Both ends of a stream. */
static int open_both(struct app *alice, struct app *bob)
{
	struct etsi004_answer answer;
	int err = ask(alice, &alice->open, &answer);

	if (err || answer.status != ETSI004_NO_PEER_YET)
		return err ?: -EALREADY;
	memcpy(bob->open.stream, answer.stream, sizeof(answer.stream));
	memcpy(bob->get.stream, answer.stream, sizeof(answer.stream));
	memcpy(alice->get.stream, answer.stream, sizeof(answer.stream));
	err = ask(bob, &bob->open, &answer);
	return err ?: (int)answer.status;
}

static int close_stream(struct app *app)
{
	struct etsi004_request request = { .call = ETSI004_CLOSE };
	struct etsi004_answer answer;

	memcpy(request.stream, app->get.stream, sizeof(request.stream));
	return ask(app, &request, &answer);
}

TEST_F_TIMEOUT(kme, key_at_both_ends, 120)
{
	struct etsi004_answer a, b;
	int i;

	ASSERT_EQ(0, open_both(&self->alice, &self->bob));
	for (i = 0; i < 20; i++) {
		self->alice.get.index = i;
		self->bob.get.index = i;
		ASSERT_EQ(0, ask(&self->alice, &self->alice.get, &a))
		{
			TH_LOG("%s", a.text);
		}
		ASSERT_EQ(0, ask(&self->bob, &self->bob.get, &b));
		ASSERT_EQ(64, a.size);
		EXPECT_EQ(i, a.index);
		EXPECT_EQ(0, memcmp(a.key, b.key, 64));
		EXPECT_TRUE(b.metadata.has_hops);
		EXPECT_EQ(0, b.metadata.hops);
		EXPECT_EQ(1200, b.metadata.age);
		etsi004_answer_free(&a);
		etsi004_answer_free(&b);
	}
	/* each end gets a chunk once */
	EXPECT_EQ(-EAGAIN, ask(&self->alice, &self->alice.get, &a));
	EXPECT_EQ(0, close_stream(&self->alice));
	EXPECT_EQ(0, close_stream(&self->bob));
	EXPECT_EQ(-ENETUNREACH, ask(&self->bob, &self->bob.get, &b));
}

TEST_F_TIMEOUT(kme, streams, 120)
{
	struct app *alice = &self->alice, *bob = &self->bob;
	struct etsi004_answer answer;
	struct app other;

	ASSERT_EQ(0, ask(alice, &alice->open, &answer));
	memcpy(alice->get.stream, answer.stream, sizeof(answer.stream));
	memcpy(bob->open.stream, answer.stream, sizeof(answer.stream));
	/* nothing before the peer is there; nobody else at an end */
	EXPECT_EQ(-ENOTCONN, ask(alice, &alice->get, &answer));
	prepare(&other, alice->port, DIR "/bob.pem", DIR "/bob.key");
	memcpy(other.open.stream, bob->open.stream, sizeof(answer.stream));
	EXPECT_EQ(-EADDRINUSE, ask(&other, &other.open, &answer));
	hang_up(&other);
	/* the QoS is the registered one */
	bob->open.qos.key_chunk_size = 4096;
	EXPECT_EQ(0, ask(bob, &bob->open, &answer));
	EXPECT_EQ(64, answer.qos.key_chunk_size);
	/* a counter-proposal */
	bob->open.qos.key_chunk_size = 1 << 20;
	memset(bob->open.stream, 0, sizeof(bob->open.stream));
	EXPECT_EQ(-ERANGE, ask(bob, &bob->open, &answer));
	EXPECT_TRUE(answer.has_qos);
	EXPECT_EQ(16384, answer.qos.key_chunk_size);
	bob->open.qos.key_chunk_size = 64;
	strcpy(bob->open.qos.mimetype, "application/xml");
	EXPECT_EQ(-ERANGE, ask(bob, &bob->open, &answer));
	EXPECT_STREQ(ETSI004_JSON, answer.qos.mimetype);
	/* room for the metadata: nothing is lost */
	alice->get.metadata_size = 10;
	EXPECT_EQ(-ENOBUFS, ask(alice, &alice->get, &answer));
	EXPECT_LT(10, answer.metadata_size);
	alice->get.metadata_size = answer.metadata_size;
	EXPECT_EQ(0, ask(alice, &alice->get, &answer))
	{
		TH_LOG("%s", answer.text);
	}
	etsi004_answer_free(&answer);
}

struct fault {
	const char *fault;
	int err;
	const char *says;
};

/* Each way to fail has its errno and its line of text. */
TEST_F_TIMEOUT(kme, faults, 250)
{
	static const struct fault cases[] = {
		{ "get short", -EPROTO, "a chunk of 63 bytes" },
		{ "get long", -EPROTO, "a chunk of 65 bytes" },
		{ "get half", -EPROTO, "a chunk of 32 bytes" },
		{ "get cut-key", -EPROTO, "malformed" },
		{ "get trailing", -EPROTO, "malformed" },
		{ "get bad-metadata", -EPROTO, "the metadata is malformed" },
		{ "get odd-metadata", -EPROTO, "the metadata is malformed" },
		{ "get more-metadata", -EPROTO, "metadata, more than" },
		{ "get back", -EPROTO, "index 12 after 13" },
		{ "get version", -EPROTO, "version 1.0.0" },
		{ "get service", -EPROTO, "no service 6" },
		{ "get other-service", -EPROTO, "an answer of service 3" },
		{ "get huge", -EMSGSIZE, "4294967295 bytes" },
		{ "get empty", -EPROTO, "an answer of 0 bytes" },
		{ "get html", -EPROTO, "version 72.84.84" },
		{ "get cut", -ECONNABORTED, "eof" },
		{ "get reset", -ECONNABORTED, "eof" },
		{ "get status-1", -EPROTO, "status 1" },
		{ "get status-2", -EAGAIN, "status 2" },
		{ "get status-3", -ENOTCONN, "status 3" },
		{ "get status-4", -ENETUNREACH, "status 4" },
		{ "get status-5", -EADDRINUSE, "status 5" },
		{ "get status-6", -ETIMEDOUT, "status 6" },
		{ "get status-7", -ERANGE, "status 7" },
		{ "get status-8 99", -ENOBUFS, "status 8" },
		{ "get status-9", -EPROTO, "status 9: the standard has no" },
		{ "get status-4294967295", -EPROTO, "no such status" },
		{ "open status-2", -EAGAIN, "OPEN_CONNECT: status 2" },
		{ "open status-7", -ERANGE, "OPEN_CONNECT: status 7" },
		{ "open other-stream", -EPROTO, "another one than asked" },
		{ "open no-stream", -EPROTO, "Key_stream_ID is none" },
	};
	struct app *alice = &self->alice;
	struct etsi004_answer answer;
	bool open;
	size_t i;

	ASSERT_EQ(0, open_both(alice, &self->bob));
	memcpy(alice->open.stream, alice->get.stream, sizeof(answer.stream));
	alice->get.index = 5;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		open = *cases[i].fault == 'o';
		set_fault(cases[i].fault);
		EXPECT_EQ(cases[i].err,
			  ask(alice, open ? &alice->open : &alice->get,
			      &answer))
		{
			TH_LOG("%s: %s", cases[i].fault, answer.text);
		}
		EXPECT_EQ(NULL, answer.key);
		EXPECT_NE(NULL, strstr(answer.text, cases[i].says))
		{
			TH_LOG("%s: %s", cases[i].fault, answer.text);
		}
		EXPECT_EQ(NULL, strchr(answer.text, '\n'));
		EXPECT_EQ(answer.has_status, alice->conn != NULL);
		alice->get.index++; /* the server has given that chunk away */
	}
}

/* What is odd and does no harm. */
TEST_F_TIMEOUT(kme, deviations, 120)
{
	struct app *alice = &self->alice;
	struct etsi004_answer answer;

	ASSERT_EQ(0, open_both(alice, &self->bob));
	set_fault("get no-metadata");
	EXPECT_EQ(0, ask(alice, &alice->get, &answer));
	EXPECT_FALSE(answer.metadata.has_hops);
	etsi004_answer_free(&answer);
	set_fault("get hops");
	alice->get.index++;
	EXPECT_EQ(0, ask(alice, &alice->get, &answer));
	EXPECT_EQ(3, answer.metadata.hops);
	etsi004_answer_free(&answer);
	set_fault("get jump 10");
	alice->get.index++;
	EXPECT_EQ(0, ask(alice, &alice->get, &answer));
	EXPECT_EQ(12, answer.index);
	etsi004_answer_free(&answer);
	set_fault("get drip"); /* a byte at a time */
	alice->get.index = 13;
	EXPECT_EQ(0, ask(alice, &alice->get, &answer));
	etsi004_answer_free(&answer);
	/* the second of two answers is to nothing */
	set_fault("get twice");
	alice->get.index++;
	EXPECT_EQ(0, ask(alice, &alice->get, &answer));
	etsi004_answer_free(&answer);
	EXPECT_EQ(-EPROTO, run(alice, &answer));
	EXPECT_NE(NULL, strstr(answer.text, "nobody asked"));
	EXPECT_EQ(-ECONNABORTED, run(alice, &answer));
}

/* A call takes as long as the caller's loop lets it; one at a time. */
TEST_F_TIMEOUT(kme, waiting, 120)
{
	static const char *const faults[] = { "get hang", "silent-tls" };
	struct app *alice = &self->alice;
	struct etsi004_answer answer;
	size_t i;

	ASSERT_EQ(0, open_both(alice, &self->bob));
	alice->timeout = 1000;
	for (i = 0; i < ARRAY_SIZE(faults); i++) {
		set_fault(faults[i]);
		EXPECT_EQ(-ETIME, ask(alice, &alice->get, &answer));
	}
	ASSERT_EQ(0, dial(alice, answer.text));
	EXPECT_EQ(0, etsi004_conn_ask(alice->conn, &alice->get));
	EXPECT_EQ(-EBUSY, etsi004_conn_ask(alice->conn, &alice->get));
	/* an idle connection that the KME ends */
	hang_up(alice);
	set_fault("");
	alice->timeout = 30000;
	ASSERT_EQ(0, ask(alice, &alice->get, &answer));
	etsi004_answer_free(&answer);
	EXPECT_EQ(-EINPROGRESS, etsi004_conn_run(alice->conn, &answer));
	stop_server(self->pid);
	EXPECT_EQ(-ECONNABORTED, run(alice, &answer));
}

/* Who the KME is, and who we are. */
TEST_F_TIMEOUT(kme, certificates, 120)
{
	struct app *alice = &self->alice;
	static const char *const faults[] = { "no-ask", "other-ca" };
	struct etsi004_answer answer;
	struct etsi004 kme = alice->kme;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(faults); i++) {
		set_fault(faults[i]);
		EXPECT_EQ(-ECONNABORTED, ask(alice, &alice->open, &answer));
		EXPECT_NE(NULL, strstr(answer.text, i ? "issuer" : "did not"))
		{
			TH_LOG("%s: %s", faults[i], answer.text);
		}
	}
	set_fault("");
	alice->kme.name = "other.example";
	EXPECT_EQ(-ECONNABORTED, ask(alice, &alice->open, &answer));
	EXPECT_NE(NULL, strstr(answer.text, "ostname"));
	alice->kme.name = "127.0.0.1";
	EXPECT_EQ(-ECONNABORTED, ask(alice, &alice->open, &answer));
	alice->kme = kme;
	alice->kme.ca = DIR "/other-ca.pem";
	EXPECT_EQ(-ECONNABORTED, ask(alice, &alice->open, &answer));
	alice->kme = kme;
	alice->kme.cert = DIR "/stranger.pem";
	alice->kme.key = DIR "/stranger.key";
	EXPECT_EQ(-ECONNABORTED, ask(alice, &alice->open, &answer));
	alice->kme.key = DIR "/alice.key"; /* of another certificate */
	EXPECT_EQ(-EINVAL, ask(alice, &alice->open, &answer));
	EXPECT_NE(NULL, strstr(answer.text, DIR "/alice.key: "));
	hang_up(alice);
	/* an encrypted key, whose password nobody is asked for */
	ASSERT_EQ(0, system("openssl ec -in " DIR "/alice.key -aes256 -out " DIR
			    "/locked.key -passout pass:secret 2>/dev/null"));
	alice->kme = kme;
	alice->kme.key = DIR "/locked.key";
	EXPECT_EQ(-EINVAL, ask(alice, &alice->open, &answer));
	hang_up(alice);
	alice->kme = kme;
	EXPECT_EQ(0, ask(alice, &alice->open, &answer));
}

/* While the connection lives, and after one that ended within an answer. */
TEST_F_TIMEOUT(kme, client_leaves_nothing, 120)
{
	struct app *alice = &self->alice;
	struct etsi004_answer answer;
	struct traces traces;

	ASSERT_EQ(0, open_both(alice, &self->bob));
	ASSERT_EQ(0, ask(alice, &alice->get, &answer));
	etsi004_answer_free(&answer);
	alice->get.index++;
	ASSERT_EQ(0, ask(alice, &alice->get, &answer));
	remember(&traces, answer.key);
	EXPECT_EQ(1, count_copies(traces.raw));
	etsi004_answer_free(&answer);
	EXPECT_EQ(0, count_copies(traces.raw));
	/* the peer's end gets the same chunk, and its answer is cut */
	self->bob.get.index = alice->get.index;
	set_fault("take cut");
	EXPECT_EQ(-ECONNABORTED, ask(&self->bob, &self->bob.get, &answer));
	EXPECT_EQ(0, count_copies(traces.raw));
}

TEST_HARNESS_MAIN
