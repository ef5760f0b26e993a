// SPDX-License-Identifier: GPL-2.0-only
/*
 * KMEs as a source of keys for the strongSwan plugin, without charon: who gets a
 * key, how often the KME is asked, and how each fault ends.
 *
 * timeout: 900
 */
#include <pthread.h>
#include <stdarg.h>
#include <time.h>

#include <library.h>
#include <processing/processor.h>

#include "../strongswan-plugin/qkd_source.h"
#include "etsi014_kme.h"
#include "etsi014_traces.h"

#undef ARRAY_SIZE
#include "slow_harness.h"

#define TIMEOUT 10000 /* ms */

static char said[512];
static int lines;

static void listen_to(debug_t group, level_t level, char *format, ...)
{
	va_list args;

	if (level != 1 || group != DBG_CFG)
		return;
	va_start(args, format);
	vsnprintf(said, sizeof(said), format, args);
	va_end(args);
	__atomic_add_fetch(&lines, 1, __ATOMIC_SEQ_CST);
}

static void hush(void)
{
	*said = '\0';
	lines = 0;
}

static void set(const char *kme, const char *key, const char *value)
{
	lib->settings->set_str(lib->settings, "%s.plugins.qkd.kme.%s.%s",
			       (char *)value, lib->ns, kme, key);
}

static void start_charon(void)
{
	library_init(NULL, "kme-source");
	dbg = listen_to;
	lib->processor->set_threads(lib->processor, 16);
	hush();
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* How often the KME was asked so. */
static int asked(const char *what)
{
	FILE *log = fopen(DIR "/log", "r");
	char line[256];
	int n = 0;

	while (log && fgets(line, sizeof(line), log))
		n += strstr(line, what) != NULL;
	if (log)
		fclose(log);
	return n;
}

FIXTURE(source)
{
	pid_t pid;
	qkd_source_t *alice, *bob;
};

static void configure(const char *name, const char *peer, int port)
{
	char text[64];

	snprintf(text, sizeof(text), "https://127.0.0.1:%d", port);
	set(name, "url", text);
	set(name, "sae", peer);
	set(name, "ca", DIR "/ca.pem");
	snprintf(text, sizeof(text), DIR "/%s.pem", name);
	set(name, "cert", text);
	snprintf(text, sizeof(text), DIR "/%s.key", name);
	set(name, "key", text);
	set(name, "certificate_name", "kme.example");
	snprintf(text, sizeof(text), "%d", TIMEOUT);
	set(name, "timeout", text);
}

FIXTURE_SETUP(source)
{
	int port = start_kme(&self->pid);

	ASSERT_LT(0, port);
	start_charon();
	configure("alice", "bob", port);
	configure("bob", "alice", port);
	self->alice = qkd_kme_source_create("alice");
	self->bob = qkd_kme_source_create("bob");
	ASSERT_TRUE(self->alice && self->bob);
	ASSERT_EQ(0, lines);
}

FIXTURE_TEARDOWN(source)
{
	self->alice->destroy(self->alice);
	self->bob->destroy(self->bob);
	stop_kme(self->pid);
}

static qkd_key_t *get(qkd_source_t *source)
{
	return source->get(source, QKD_USE_PPK, chunk_empty);
}

static qkd_key_t *peek(qkd_source_t *source, const char *id)
{
	return source->peek(source, id, QKD_USE_PPK, chunk_empty);
}

TEST_F(source, key_at_both_ends)
{
	qkd_key_t *a = get(self->alice), *b;

	ASSERT_NE(NULL, a);
	EXPECT_STREQ("alice", self->alice->get_name(self->alice));
	EXPECT_EQ(36, strlen(a->get_id(a)));
	EXPECT_EQ(32, a->get_secret(a).len);
	EXPECT_TRUE(self->bob->knows(self->bob, a->get_id(a)));
	EXPECT_FALSE(self->bob->knows(self->bob, "qkd"));
	b = peek(self->bob, a->get_id(a));
	ASSERT_NE(NULL, b);
	EXPECT_TRUE(chunk_equals(a->get_secret(a), b->get_secret(b)));
	EXPECT_STREQ(a->get_id(a), b->get_id(b));
	EXPECT_TRUE(b->commit(b));
	EXPECT_TRUE(b->commit(b));
	EXPECT_TRUE(a->commit(a));
	b->destroy(b);
	EXPECT_EQ(0, lines);
	/* once */
	EXPECT_EQ(NULL, peek(self->bob, a->get_id(a)));
	EXPECT_NE(NULL, strstr(said, "is taken already"));
	/* nor does it come back to whom it is from */
	EXPECT_EQ(NULL, peek(self->alice, a->get_id(a)));
	EXPECT_EQ(2, lines);
	EXPECT_EQ(1, asked("enc_keys"));
	EXPECT_EQ(1, asked("dec_keys"));
	a->destroy(a);
}

/* What a peer named and did not prove is there for who proves it. */
TEST_F(source, authentication_fails)
{
	qkd_key_t *a = get(self->alice), *b, *c;

	ASSERT_NE(NULL, a);
	b = peek(self->bob, a->get_id(a));
	ASSERT_NE(NULL, b);
	b->destroy(b);
	b = peek(self->bob, a->get_id(a));
	c = peek(self->bob, a->get_id(a));
	ASSERT_TRUE(b && c);
	EXPECT_EQ(1, asked("dec_keys"));
	EXPECT_TRUE(chunk_equals(a->get_secret(a), b->get_secret(b)));
	EXPECT_TRUE(c->commit(c));
	EXPECT_EQ(0, lines);
	EXPECT_FALSE(b->commit(b));
	EXPECT_NE(NULL, strstr(said, "is taken already, or"));
	a->destroy(a);
	b->destroy(b);
	c->destroy(c);
}

struct racer {
	pthread_t thread;
	qkd_source_t *source;
	char id[QKD_ID_LEN + 1];
	bool found;
	bool won;
};

static void *race(void *arg)
{
	struct racer *racer = arg;
	qkd_key_t *key = peek(racer->source, racer->id);

	racer->found = key != NULL;
	if (key) {
		racer->won = key->commit(key);
		key->destroy(key);
	}
	return NULL;
}

#define RACERS 4

/* A key that many ask for at once is fetched once and has one winner. */
TEST_F_TIMEOUT(source, one_winner, 300)
{
	struct racer racers[RACERS] = {};
	int round, i, won, rounds = 20;
	qkd_key_t *key;

	for (round = 0; round < rounds; round++) {
		key = get(self->alice);
		ASSERT_NE(NULL, key);
		won = 0;
		for (i = 0; i < RACERS; i++) {
			racers[i] = (struct racer){ .source = self->bob };
			strcpy(racers[i].id, key->get_id(key));
			pthread_create(&racers[i].thread, NULL, race,
				       &racers[i]);
		}
		for (i = 0; i < RACERS; i++) {
			pthread_join(racers[i].thread, NULL);
			won += racers[i].won;
		}
		ASSERT_EQ(1, won);
		key->destroy(key);
	}
	EXPECT_EQ(rounds, asked("dec_keys"));
}

TEST_F_TIMEOUT(source, faults, 300)
{
	static const struct {
		const char *fault, *says;
	} cases[] = {
		{ "401", "HTTP 401" },
		{ "400 size shall be a multiple of 8", "multiple of 8" },
		{ "malformed", "malformed JSON" },
		{ "html", "malformed JSON" },
		{ "short", "has 128 bits" },
		{ "base64", "no Base64" },
		{ "more", "2 keys" },
		{ "503", "HTTP 503" },
		{ "reset", "unexpected eof" },
		{ "other-ca", "issuer" },
		{ "no-ask", "did not ask" },
	};
	qkd_source_t *source;
	qkd_key_t *key;
	size_t i;
	long ms;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		/* a new one, which has no connection and was not refused yet */
		source = qkd_kme_source_create("alice");
		ASSERT_NE(NULL, source);
		set_fault(cases[i].fault);
		hush();
		ms = now_ms();
		EXPECT_EQ(NULL, get(source));
		EXPECT_GT(TIMEOUT, now_ms() - ms);
		EXPECT_EQ(1, lines);
		EXPECT_EQ(0, strncmp(said, "QKD KME alice: no key: ", 23));
		EXPECT_NE(NULL, strstr(said, cases[i].says))
		{
			TH_LOG("%s: %s", cases[i].fault, said);
		}
		source->destroy(source);
	}
	set_fault("");
	key = get(self->alice);
	ASSERT_NE(NULL, key);
	set_fault("other-id");
	hush();
	EXPECT_EQ(NULL, peek(self->bob, key->get_id(key)));
	EXPECT_EQ(1, lines);
	EXPECT_NE(NULL, strstr(said, "was not asked for"));
	key->destroy(key);
}

TEST_F(source, silence)
{
	long ms = now_ms();

	set_fault("hang");
	EXPECT_EQ(NULL, get(self->alice));
	ms = now_ms() - ms;
	EXPECT_LT(TIMEOUT * 8 / 10, ms);
	EXPECT_GT(TIMEOUT * 15 / 10, ms);
	EXPECT_EQ(1, lines);
	EXPECT_NE(NULL, strstr(said, "timed out"));
}

static void *wait_in_vain(void *arg)
{
	long ms = now_ms();

	get(arg);
	return (void *)(now_ms() - ms);
}

/* A quarter of charon's threads may wait, over all KMEs. */
TEST_F(source, others_go_on)
{
	pthread_t threads[8];
	int i, waited = 0, refused = 0;
	void *ms;

	set_fault("hang");
	for (i = 0; i < 8; i++) {
		pthread_create(&threads[i], NULL, wait_in_vain,
			       i % 2 ? self->alice : self->bob);
		usleep(20000);
	}
	for (i = 0; i < 100 && __atomic_load_n(&lines, __ATOMIC_SEQ_CST) < 4;
	     i++)
		usleep(20000);
	EXPECT_EQ(4, lines);
	EXPECT_NE(NULL, strstr(said, "as many threads as may wait"));
	for (i = 0; i < 8; i++) {
		pthread_join(threads[i], &ms);
		waited += (long)ms > TIMEOUT / 2;
		refused += (long)ms < TIMEOUT / 4;
	}
	EXPECT_EQ(4, waited);
	EXPECT_EQ(4, refused);
	EXPECT_EQ(8, lines);
}

/* A KME that fails is left alone for a moment, and longer the more it does; that
 * it does not know an ID is no failure.
 */
TEST_F_TIMEOUT(source, back_off, 120)
{
	char id[] = "00000000-0000-4000-8000-000000000000";
	long end = now_ms() + 5000;
	qkd_key_t *key;
	int i;

	set_fault("503 no key left");
	while (now_ms() < end) {
		EXPECT_EQ(NULL, get(self->alice));
		usleep(10000);
	}
	EXPECT_NE(NULL, strstr(said, "no key left"));
	EXPECT_LT(3, asked("enc_keys"));
	EXPECT_GT(9, asked("enc_keys"));
	set_fault("");
	for (key = NULL, i = 0; !key && i < 100; i++) {
		usleep(100000);
		key = get(self->alice);
	}
	ASSERT_NE(NULL, key);
	for (i = 0; i < 20; i++) {
		sprintf(id + 24, "%012d", i);
		EXPECT_EQ(NULL, peek(self->bob, id));
		EXPECT_NE(NULL, strstr(said, "not found"));
	}
	EXPECT_EQ(20, asked("dec_keys"));
	hush();
	EXPECT_EQ(NULL, peek(self->bob, "no such\nkey"));
	EXPECT_NE(NULL, strstr(said, "no UUID"));
	EXPECT_EQ(NULL, strchr(said, '\n'));
	key->destroy(key);
}

/* A KME that gives a key twice gives it once. */
TEST_F(source, repeated)
{
	qkd_key_t *a = get(self->alice), *b;

	ASSERT_NE(NULL, a);
	set_fault("repeat");
	EXPECT_EQ(NULL, get(self->alice));
	EXPECT_NE(NULL, strstr(said, "before"));
	set_fault("reusable");
	b = peek(self->bob, a->get_id(a));
	ASSERT_NE(NULL, b);
	EXPECT_TRUE(b->commit(b));
	EXPECT_EQ(NULL, peek(self->bob, a->get_id(a)));
	EXPECT_NE(NULL, strstr(said, "taken already"));
	a->destroy(a);
	b->destroy(b);
}

/* Each deviation is in the log once, and does not hinder. */
TEST_F(source, deviations)
{
	qkd_key_t *key;
	int i;

	set_fault("member");
	for (i = 0; i < 3; i++) {
		key = get(self->alice);
		ASSERT_NE(NULL, key);
		key->destroy(key);
	}
	EXPECT_EQ(1, lines);
	EXPECT_NE(NULL, strstr(said, "deviates"));
	set_fault("keys");
	key = get(self->alice);
	ASSERT_NE(NULL, key);
	key->destroy(key);
	EXPECT_EQ(2, lines);
}

/* After a minute nobody needs it, and it is gone from memory. */
TEST_F_TIMEOUT(source, too_old, 180)
{
	qkd_key_t *a = get(self->alice), *b;
	struct traces traces;

	ASSERT_NE(NULL, a);
	b = peek(self->bob, a->get_id(a));
	ASSERT_NE(NULL, b);
	remember(&traces, a->get_secret(a).ptr);
	EXPECT_EQ(3, count_copies(traces.raw)); /* the third is kept */
	sleep(62);
	EXPECT_EQ(2, count_copies(traces.raw));
	EXPECT_FALSE(b->commit(b));
	a->destroy(a);
	b->destroy(b);
	EXPECT_EQ(0, count_copies(traces.raw));
	EXPECT_EQ(0, count_copies(traces.text));
}

/* The plugin goes while the KME owes an answer. */
TEST_F(source, goes_while_it_waits)
{
	char text[16];
	qkd_source_t *source;

	snprintf(text, sizeof(text), "%d", 200);
	set("alice", "timeout", text);
	source = qkd_kme_source_create("alice");
	ASSERT_NE(NULL, source);
	set_fault("hang");
	EXPECT_EQ(NULL, get(source));
	set_fault("silent-tls");
	usleep(300000);
	EXPECT_EQ(NULL, get(source));
	source->destroy(source);
}

TEST(settings)
{
	static const struct {
		const char *key, *value, *says;
	} cases[] = {
		{ "url", "http://127.0.0.1", "https" },
		{ "url", NULL, "no URL" },
		{ "sae", NULL, "SAE" },
		{ "ca", NULL, "no CA certificate" },
		{ "cert", NULL, "no certificate" },
		{ "key", NULL, "no private key" },
		{ "key", "/nowhere", "/nowhere" },
		{ "timeout", "0", "100 to 60000" },
		{ "timeout", "60001", "100 to 60000" },
	};
	size_t i;
	pid_t pid;

	ASSERT_LT(0, start_kme(&pid)); /* for the certificates */
	stop_kme(pid);
	start_charon();
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		configure("alice", "bob", 1);
		set("alice", cases[i].key, cases[i].value);
		hush();
		EXPECT_EQ(NULL, qkd_kme_source_create("alice"));
		EXPECT_EQ(1, lines);
		EXPECT_NE(NULL, strstr(said, cases[i].says))
		{
			TH_LOG("%zu: %s", i, said);
		}
	}
}

TEST_HARNESS_MAIN
