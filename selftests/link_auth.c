// SPDX-License-Identifier: GPL-2.0-only
/* The classical channel of qkd-link: what Eve may do to it, and what is left of its key. */
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>

#include <openssl/rand.h>

#include <qkd-link/talk.h>

#pragma GCC diagnostic ignored "-Wsign-compare"
#include "kselftest_harness.h"

#define SIZE 16384
#define SOON 100 /* ms */

FIXTURE(pair)
{
	uint8_t key[SIZE];
	struct talk *alice, *bob;
	struct buffer message;
	int raw; /* the other end of Bob's socket, when Eve has it */
};

FIXTURE_SETUP(pair)
{
	int fd[2];

	ASSERT_EQ(1, RAND_bytes(self->key, SIZE));
	ASSERT_EQ(0, talk_new(&self->alice, true, self->key, SIZE));
	ASSERT_EQ(0, talk_new(&self->bob, false, self->key, SIZE));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	talk_attach(self->alice, fd[0]);
	talk_attach(self->bob, fd[1]);
}

FIXTURE_TEARDOWN(pair)
{
	talk_free(self->alice);
	talk_free(self->bob);
	buffer_free(&self->message);
}

static uint64_t bad(const struct talk *talk)
{
	struct talk_account account;

	talk_account(talk, &account);
	return account.bad;
}

/* A message from one to the other. */
static int pass(struct talk *from, struct talk *to, struct buffer *message)
{
	return talk_send(from, TALK_RECON, "text", 4) ?:
		       talk_recv(to, TALK_RECON, message, SOON);
}

TEST_F(pair, both_ways)
{
	int i;

	for (i = 0; i < 10; i++) {
		EXPECT_EQ(0, pass(self->alice, self->bob, &self->message));
		EXPECT_EQ(4, self->message.size);
		EXPECT_EQ(0, pass(self->bob, self->alice, &self->message));
	}
	EXPECT_EQ(0, bad(self->alice) + bad(self->bob));
}

#define LARGE (8 << 20) /* much more than a socket holds */

static void *send_and_hear(void *talk)
{
	struct buffer message = { 0 };
	void *text = calloc(1, LARGE);
	int err = text ? talk_send(talk, TALK_AMPLIFY, text, LARGE) : -ENOMEM;

	err = err ?: talk_recv(talk, TALK_AMPLIFY, &message, 30000);
	if (!err && message.size != LARGE)
		err = -EIO;
	buffer_free(&message);
	free(text);
	return (void *)(intptr_t)err;
}

TEST_F(pair, both_at_once)
{
	pthread_t thread;
	void *at_alice, *at_bob;

	ASSERT_EQ(0, pthread_create(&thread, NULL, send_and_hear, self->alice));
	at_bob = send_and_hear(self->bob);
	ASSERT_EQ(0, pthread_join(thread, &at_alice));
	EXPECT_EQ(NULL, at_alice);
	EXPECT_EQ(NULL, at_bob);
}

TEST_F(pair, types)
{
	ASSERT_EQ(0, talk_send(self->alice, TALK_SIFT, NULL, 0));
	EXPECT_EQ(-EPROTO,
		  talk_recv(self->bob, TALK_RECON, &self->message, SOON));
	EXPECT_EQ(-ETIMEDOUT,
		  talk_recv(self->bob, TALK_RECON, &self->message, SOON));
	EXPECT_EQ(-EMSGSIZE, talk_send(self->alice, TALK_SIFT, NULL,
				       TALK_MAX + (size_t)1));
}

/* Each attack on one message: the next genuine one is heard, over the same connection. */
TEST_F(pair, attacks)
{
	enum tamper how;
	int err, refused, heard;

	for (how = TAMPER_ALTER; how <= TAMPER_TRUNCATE; how++) {
		refused = 0;
		heard = 0;
		talk_tamper(self->alice, how, 1);
		ASSERT_EQ(0, talk_send(self->alice, TALK_RECON, "first", 5));
		ASSERT_EQ(0, talk_send(self->alice, TALK_RECON, "first", 5));
		talk_tamper(self->alice, TAMPER_NONE, 0);
		ASSERT_EQ(0, talk_send(self->alice, TALK_RECON, "second", 6));
		do {
			err = talk_recv(self->bob, TALK_RECON, &self->message,
					SOON);
			refused += err == -EBADMSG;
			heard += !err && self->message.size == 6;
		} while (err != -ETIMEDOUT);
		EXPECT_EQ(1, heard);
		/* What never comes is seen by who waits for it; each_byte cuts. */
		if (how != TAMPER_DROP && how != TAMPER_TRUNCATE)
			EXPECT_LE(1, refused);
		EXPECT_EQ(0, pass(self->bob, self->alice, &self->message));
	}
}

/* Eve stands between them, and has each message in @wire. */
static ssize_t intercept(struct talk *alice, int from_alice, uint8_t wire[512])
{
	if (talk_send(alice, TALK_RECON, "text", 4))
		return -1;
	return recv(from_alice, wire, 512, 0);
}

/* How often Bob refuses before he hears a message, or no more comes: then -1. */
static int refused_before(struct talk *bob, struct buffer *message)
{
	int err, refused = 0;

	while ((err = talk_recv(bob, TALK_RECON, message, 10)) == -EBADMSG)
		refused++;
	return err ? -1 : refused;
}

/* Each byte changed, each length cut, and the same message twice. */
TEST_F(pair, each_byte)
{
	uint8_t wire[512];
	ssize_t size;
	int i, to_bob[2], from_alice[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, to_bob));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, from_alice));
	talk_attach(self->alice, from_alice[0]);
	talk_attach(self->bob, to_bob[1]);
	size = intercept(self->alice, from_alice[1], wire);
	ASSERT_LT(4 + WC_TAG, size);
	for (i = 0; i < size; i++) {
		wire[i] ^= 0x10;
		ASSERT_EQ(size, send(to_bob[0], wire, size, 0));
		ASSERT_EQ(size, intercept(self->alice, from_alice[1], wire));
		ASSERT_EQ(size, send(to_bob[0], wire, size, 0));
		EXPECT_LE(1, refused_before(self->bob, &self->message));
		EXPECT_EQ(4, self->message.size);
	}
	/* The last one, once more. */
	ASSERT_EQ(size, send(to_bob[0], wire, size, 0));
	EXPECT_EQ(-EBADMSG,
		  talk_recv(self->bob, TALK_RECON, &self->message, 10));
	for (i = 1; i < size; i++) {
		ASSERT_EQ(size, intercept(self->alice, from_alice[1], wire));
		ASSERT_EQ(size, send(to_bob[0], wire, size, 0));
		EXPECT_LE(0, refused_before(self->bob, &self->message));
		ASSERT_EQ(size, intercept(self->alice, from_alice[1], wire));
		ASSERT_EQ(i, send(to_bob[0], wire, i, 0));
		EXPECT_EQ(-EBADMSG,
			  talk_recv(self->bob, TALK_RECON, &self->message, 10));
	}
	close(to_bob[0]);
	close(from_alice[1]);
}

/* What is seen of a first message before there is an end that hears it. */
TEST_F(pair, begins)
{
	uint8_t wire[512];
	ssize_t size, i;
	int fd[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	talk_attach(self->alice, fd[0]);
	size = intercept(self->alice, fd[1], wire);
	ASSERT_LT(4 + WC_TAG, size);
	for (i = 0; i < size; i++)
		EXPECT_EQ(0, talk_begins(wire, i));
	EXPECT_EQ(1, talk_begins(wire, size));
	EXPECT_EQ(1, talk_begins(wire, sizeof(wire)));
	wire[13] = 1; /* of its length */
	EXPECT_EQ(-EBADMSG, talk_begins(wire, size));
	wire[0]++;
	EXPECT_EQ(-EBADMSG, talk_begins(wire, 1));
	close(fd[1]);
}

/* What one end said over a connection, and Eve has kept, is nothing over the next; nor is
 * what she sends back to who said it.
 */
TEST_F(pair, held_back)
{
	uint8_t one[TALK_NONCE] = { 1 }, two[TALK_NONCE] = { 2 };
	int to_bob[2], from_alice[2];
	uint8_t wire[512];
	ssize_t size;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, from_alice));
	talk_attach(self->alice, from_alice[0]);
	talk_session(self->alice, one, one);
	size = intercept(self->alice, from_alice[1], wire);
	ASSERT_LT(0, size);
	ASSERT_EQ(size, send(from_alice[1], wire, size, 0));
	EXPECT_EQ(-EBADMSG,
		  talk_recv(self->alice, TALK_RECON, &self->message, 10));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, to_bob));
	talk_attach(self->bob, to_bob[1]);
	talk_session(self->bob, one, two);
	ASSERT_EQ(size, send(to_bob[0], wire, size, 0));
	EXPECT_EQ(-EBADMSG,
		  talk_recv(self->bob, TALK_RECON, &self->message, 10));
	/* It is good where it belongs. */
	talk_session(self->bob, one, one);
	ASSERT_EQ(size, send(to_bob[0], wire, size, 0));
	EXPECT_EQ(0, talk_recv(self->bob, TALK_RECON, &self->message, 10));
	close(to_bob[0]);
	close(from_alice[1]);
}

/* Who alters all gets the key used up, and nothing else. */
TEST_F(pair, drained)
{
	struct talk_account account;
	int err, sent = 0;

	talk_tamper(self->alice, TAMPER_ALTER, 1);
	while (!(err = talk_send(self->alice, TALK_RECON, NULL, 0))) {
		sent++;
		err = talk_recv(self->bob, TALK_RECON, &self->message, 0);
		ASSERT_NE(0, err);
	}
	EXPECT_EQ(-ENOKEY, err);
	EXPECT_EQ((SIZE - POOL_NAME) / HALVES / WC_PAD - 1, sent);
	talk_account(self->alice, &account);
	EXPECT_EQ(0, account.left[0]);
	EXPECT_LT(account.left[0], account.low);
	talk_account(self->bob, &account);
	EXPECT_EQ(WC_PAD * sent, account.left[1]);
}

/* A refill that one end alone got is never used, and does no harm to the one after it. */
TEST_F(pair, refill_at_one_end)
{
	uint8_t lost[TALK_KEY_MIN], more[TALK_KEY_MIN];
	struct talk_account account;
	int i;

	ASSERT_EQ(1, RAND_bytes(lost, sizeof(lost)));
	ASSERT_EQ(1, RAND_bytes(more, sizeof(more)));
	EXPECT_EQ(-EINVAL, talk_refill(self->alice, lost, TALK_REFILL_MIN - 1));
	ASSERT_EQ(0, talk_refill(self->alice, lost, sizeof(lost)));
	EXPECT_EQ(-EEXIST, talk_refill(self->alice, lost, sizeof(lost)));
	EXPECT_EQ(0, pass(self->alice, self->bob, &self->message));
	EXPECT_EQ(0, pass(self->bob, self->alice, &self->message));
	talk_account(self->alice, &account);
	EXPECT_LT(0, account.pending);
	ASSERT_EQ(0, talk_refill(self->alice, more, sizeof(more)));
	ASSERT_EQ(0, talk_refill(self->bob, more, sizeof(more)));
	/* Beyond what the bootstrap key has. */
	for (i = 0; i < SIZE / WC_PAD / HALVES + 100; i++) {
		ASSERT_EQ(0, pass(self->alice, self->bob, &self->message));
		ASSERT_EQ(0, pass(self->bob, self->alice, &self->message));
	}
	talk_account(self->alice, &account);
	EXPECT_EQ(0, account.pending);
	EXPECT_EQ(0, account.bad);
}

TEST_F(pair, other_key)
{
	int fd[2];

	talk_free(self->bob);
	self->bob = NULL;
	EXPECT_EQ(-EINVAL,
		  talk_new(&self->bob, false, self->key, TALK_KEY_MIN - 1));
	EXPECT_EQ(-EINVAL,
		  talk_new(&self->bob, false, self->key, TALK_KEY_MAX + 1));
	ASSERT_EQ(1, RAND_bytes(self->key, SIZE));
	ASSERT_EQ(0, talk_new(&self->bob, false, self->key, SIZE));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	talk_attach(self->alice, fd[0]);
	talk_attach(self->bob, fd[1]);
	EXPECT_EQ(-EBADMSG, pass(self->alice, self->bob, &self->message));
	EXPECT_EQ(-EBADMSG, pass(self->bob, self->alice, &self->message));
}

#define MASK 0xa5

/* Whether @piece, which is masked so that it is not found here, is in that memory. */
static bool is_in(const uint8_t *memory, size_t size,
		  const uint8_t piece[WC_PAD])
{
	size_t i, j;

	for (i = 0; i + WC_PAD <= size; i++) {
		for (j = 0; j < WC_PAD && (memory[i + j] ^ MASK) == piece[j];
		     j++)
			;
		if (j == WC_PAD)
			return true;
	}
	return false;
}

/* All that this process may write to. */
static bool is_in_memory(const uint8_t piece[WC_PAD])
{
	unsigned long from, to;
	bool found = false;
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "r");

	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx rw", &from, &to) == 2 &&
		    strstr(line, " rw") && !strstr(line, "[v"))
			found |= is_in((uint8_t *)from, to - from, piece);
	if (maps)
		fclose(maps);
	return found;
}

/* Pads that were used are nowhere; one that was not is in the pool, so the search works. */
TEST_F(pair, wiped)
{
	enum { USED = 3, LAST = (SIZE - POOL_NAME) / HALVES / WC_PAD - 1 };
	static uint8_t masked[SIZE];
	const uint8_t *hash = masked + POOL_NAME;
	int i;

	for (i = 0; i < SIZE; i++)
		masked[i] = self->key[i] ^ MASK;
	explicit_bzero(self->key, SIZE);
	for (i = 0; i < USED; i++)
		ASSERT_EQ(0, pass(self->alice, self->bob, &self->message));
	for (i = 0; i < USED; i++)
		EXPECT_FALSE(is_in_memory(hash + WC_HASH + WC_PAD * i));
	EXPECT_TRUE(is_in_memory(hash + WC_HASH + WC_PAD * (LAST - 1)));
	EXPECT_TRUE(is_in_memory(hash));
	while (!talk_send(self->alice, TALK_RECON, NULL, 0))
		ASSERT_EQ(0, talk_recv(self->bob, TALK_RECON, &self->message,
				       SOON));
	EXPECT_FALSE(is_in_memory(hash));
	EXPECT_FALSE(is_in_memory(hash + WC_HASH + WC_PAD * (LAST - 1)));
}

TEST_F(pair, connection_gone)
{
	talk_attach(self->alice, -1);
	EXPECT_EQ(-EPIPE,
		  talk_recv(self->bob, TALK_RECON, &self->message, SOON));
	EXPECT_EQ(-EPIPE, talk_send(self->alice, TALK_RECON, NULL, 0));
}

TEST_HARNESS_MAIN
