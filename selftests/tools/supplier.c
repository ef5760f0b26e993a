// SPDX-License-Identifier: GPL-2.0-only
/*
 * A small supplier of "user" links, for tests: one process at each end, joined
 * by a TCP connection, with a seed that both have. What the driver daemon of
 * QKD hardware does, it does: the generation handshake, supply through the
 * link's node, confirmation.
 *
 *	supplier NAME SEED-FILE { listen PORT | connect ADDRESS PORT | feed }
 *		[ blocks N ] [ size BYTES ] [ flip N ] [ lose N ]
 *
 * The bytes of a stream are those of an emulated link (Documentation/emu.md).
 * The ends take turns; each supplies the streams that it allocates from: it
 * names a block, the peer puts it into rx and answers with the tag, it puts the
 * block into tx, checks the tag and tells the verdict. flip N and lose N spoil
 * the Nth block of this end. The connection is neither encrypted nor
 * authenticated, and whoever holds the seed has all the key.
 *
 * With "feed" there is no connection: each end puts blocks into all of its
 * streams, up to N into each, and qkdd(8) does the rest. It goes on over
 * generations.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <qkd/qkd.h>

#define SEED_MAX 64
#define NONCE 16
#define CHACHA_BLOCK 64
#define PAUSE_US 50000
#define AHEAD 16 /* blocks of a stream that wait for confirmation, when fed */

struct hello {
	uint32_t role;
	uint32_t label;
	uint64_t pad_capacity;
	uint64_t key_capacity;
	uint8_t hash[QKD_HASH_LEN];
	uint8_t nonce[NONCE];
};

struct message {
	enum {
		BEGUN = 1,
		BLOCK,
		LOST,
		TAG,
		VERDICT,
		PASS,
	} type;
	uint32_t stream;
	uint64_t offset;
	uint32_t length;
	uint32_t verdict;
	uint8_t tag[QKD_TAG_LEN];
};

static struct supplier {
	struct qkd_ctx *ctx;
	struct qkd_ref ref;
	struct qkd_link link;
	int node;
	int peer;
	uint8_t seed[SEED_MAX];
	size_t seed_len;
	uint8_t generation[QKD_HASH_LEN];
	uint32_t label;
	bool confirms;
	unsigned long blocks;
	unsigned long fed[4];
	unsigned long limit;
	unsigned long flip;
	unsigned long lose;
	uint32_t size;
} me;

static void check(int ret, const char *what)
{
	if (ret < 0)
		errx(1, "%s: %s: %s %s", me.ref.name, what, strerror(-ret),
		     qkd_error_text(me.ctx));
}

/* Whoever stops ends both, and that is no error. */
static void send_all(const void *data, size_t size)
{
	if (send(me.peer, data, size, MSG_NOSIGNAL) != (ssize_t)size)
		exit(0);
}

static void receive(void *data, size_t size)
{
	if (recv(me.peer, data, size, MSG_WAITALL) != (ssize_t)size)
		exit(0);
}

static struct message expect(unsigned int type)
{
	struct message m;

	receive(&m, sizeof(m));
	if (m.type != type)
		errx(1, "%s: message %u in the place of %u", me.ref.name,
		     m.type, type);
	return m;
}

static void sha256(uint8_t hash[QKD_HASH_LEN], const char *label, const void *a,
		   size_t a_len, const void *b, size_t b_len, const void *c,
		   size_t c_len)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();

	if (!md || !EVP_DigestInit(md, EVP_sha256()) ||
	    !EVP_DigestUpdate(md, label, strlen(label)) ||
	    !EVP_DigestUpdate(md, a, a_len) ||
	    !EVP_DigestUpdate(md, b, b_len) ||
	    !EVP_DigestUpdate(md, c, c_len) || !EVP_DigestFinal(md, hash, NULL))
		errx(1, "SHA-256");
	EVP_MD_CTX_free(md);
}

/* Bytes of a stream: ChaCha20, a 64-bit block counter and no nonce. */
static void stream_bytes(const struct qkd_block *block, uint8_t *bytes)
{
	uint8_t key[QKD_HASH_LEN], iv[16] = {}, stream = block->stream;
	uint32_t skip = block->offset % CHACHA_BLOCK;
	uint64_t counter = block->offset / CHACHA_BLOCK;
	static uint8_t zero[QKD_SUPPLY_LEN_MAX];
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t skipped[CHACHA_BLOCK];
	int i, n;

	sha256(key, "qkd emu stream v1", me.seed, me.seed_len, me.generation,
	       sizeof(me.generation), &stream, sizeof(stream));
	for (i = 0; i < 8; i++)
		iv[i] = counter >> 8 * i;
	if (!c || !EVP_EncryptInit(c, EVP_chacha20(), key, iv) ||
	    !EVP_EncryptUpdate(c, skipped, &n, zero, skip) ||
	    !EVP_EncryptUpdate(c, bytes, &n, zero, block->length))
		errx(1, "ChaCha20");
	EVP_CIPHER_CTX_free(c);
	explicit_bzero(key, sizeof(key));
	explicit_bzero(skipped, sizeof(skipped));
}

/* The one-time bytes for a block's tag. */
static void block_s(const struct qkd_block *block, uint8_t s[QKD_TAG_LEN])
{
	uint8_t name[QKD_HASH_LEN + 9], mac[EVP_MAX_MD_SIZE];
	int i;

	memcpy(name, me.generation, QKD_HASH_LEN);
	name[QKD_HASH_LEN] = block->stream;
	for (i = 0; i < 8; i++)
		name[QKD_HASH_LEN + 1 + i] = block->offset >> 8 * i;
	if (!HMAC(EVP_sha256(), me.seed, me.seed_len, name, sizeof(name), mac,
		  NULL))
		errx(1, "HMAC");
	memcpy(s, mac, QKD_TAG_LEN);
	explicit_bzero(mac, sizeof(mac));
}

static int put(const struct qkd_block *block, bool flip)
{
	static uint8_t bytes[QKD_SUPPLY_LEN_MAX];
	uint8_t s[QKD_TAG_LEN];
	int err;

	stream_bytes(block, bytes);
	block_s(block, s);
	bytes[block->length / 2] ^= flip;
	err = qkd_node_supply(me.node, block, bytes, me.confirms ? s : NULL);
	explicit_bzero(bytes, sizeof(bytes));
	explicit_bzero(s, sizeof(s));
	return err;
}

static void supply(const struct qkd_block *block, bool flip)
{
	check(put(block, flip), "supply");
}

static struct qkd_block block_of(const struct message *m)
{
	return (struct qkd_block){
		.label = me.label,
		.stream = m->stream,
		.offset = m->offset,
		.length = m->length,
	};
}

static void lose(const struct message *m)
{
	check(qkd_node_gap(me.node, me.label, m->stream, m->offset + m->length),
	      "gap");
}

/*
 * The stream that needs a block most: key to its low mark, then the emptier.
 * Returns false if none has room.
 */
static bool choose(struct message *m)
{
	const struct qkd_stat *best = NULL;
	uint32_t i;

	check(qkd_link_get(me.ctx, me.ref, &me.link), "link");
	if (me.link.state == QKD_STATE_DOWN)
		errx(1, "%s: the link is down", me.ref.name);
	for (i = 0; i < me.link.nstats; i++) {
		const struct qkd_stat *st = &me.link.stat[i];

		if (st->dir != QKD_DIR_OUT || st->live + me.size > st->capacity)
			continue;
		if (!best || (st->stream & 1 && st->live < me.link.key_low) ||
		    (!(best->stream & 1 && best->live < me.link.key_low) &&
		     st->live * best->capacity < best->live * st->capacity))
			best = st;
	}
	if (!best)
		return false;
	m->stream = best->stream;
	m->offset = best->supplied;
	m->length = me.size;
	return true;
}

/* Our turn: one block for a stream that we allocate from. */
static bool give(void)
{
	struct message m = { .type = BLOCK }, reply;
	enum qkd_verdict verdict;
	struct qkd_block block;

	if (me.blocks == me.limit || !choose(&m)) {
		m.type = PASS;
		send_all(&m, sizeof(m));
		return false;
	}
	me.blocks++;
	if (me.blocks == me.lose) {
		m.type = LOST;
		send_all(&m, sizeof(m));
		lose(&m);
		return true;
	}
	block = block_of(&m);
	send_all(&m, sizeof(m));
	/* rx before tx: the peer has it when it answers */
	reply = expect(TAG);
	supply(&block, me.blocks == me.flip);
	if (!me.confirms)
		return true;
	check(qkd_block_check(me.ctx, me.ref, &block, reply.tag, &verdict),
	      "check");
	m.type = VERDICT;
	m.verdict = verdict;
	send_all(&m, sizeof(m));
	return true;
}

/* The peer's turn. */
static bool take(void)
{
	struct qkd_block block;
	struct message m;

	receive(&m, sizeof(m));
	block = block_of(&m);
	switch (m.type) {
	case PASS:
		return false;
	case LOST:
		lose(&m);
		return true;
	case BLOCK:
		break;
	default:
		errx(1, "%s: unexpected message", me.ref.name);
	}
	supply(&block, false);
	if (me.confirms)
		check(qkd_block_tag(me.ctx, me.ref, &block, m.tag), "tag");
	m.type = TAG;
	send_all(&m, sizeof(m));
	if (!me.confirms)
		return true;
	m = expect(VERDICT);
	check(qkd_block_settle(me.ctx, me.ref, &block, m.verdict), "settle");
	return true;
}

static uint32_t next_label(uint32_t label)
{
	return label % 0xffff + 1;
}

/* Both name themselves; the label follows the one that either had last. */
static void handshake(void)
{
	struct hello mine = {
		.role = me.link.role,
		.label = me.link.has & QKD_HAS(QKD_A_LINK_LABEL) ?
			 me.link.label : 0,
		.pad_capacity = me.link.pad_capacity,
		.key_capacity = me.link.key_capacity,
	}, peer;
	struct qkd_gen gen = {
		.has = QKD_HAS(QKD_A_GEN_LABEL) | QKD_HAS(QKD_A_GEN_PEER_ROLE) |
		       QKD_HAS(QKD_A_GEN_GENERATION) | QKD_HAS(QKD_A_GEN_HASH) |
		       QKD_HAS(QKD_A_GEN_PAD_CAPACITY) |
		       QKD_HAS(QKD_A_GEN_KEY_CAPACITY),
	};
	struct message m = { .type = BEGUN };
	bool alice = mine.role == QKD_ROLE_ALICE;

	memcpy(mine.hash, me.link.hash, sizeof(mine.hash));
	if (RAND_bytes(mine.nonce, sizeof(mine.nonce)) != 1)
		errx(1, "no random bytes");
	send_all(&mine, sizeof(mine));
	receive(&peer, sizeof(peer));

	sha256(me.generation, "qkd gen v1", me.link.hash, QKD_HASH_LEN,
	       alice ? mine.nonce : peer.nonce, NONCE,
	       alice ? peer.nonce : mine.nonce, NONCE);
	me.label = next_label(mine.label ? mine.label : peer.label);
	gen.label = me.label;
	gen.peer_role = peer.role;
	gen.pad_capacity = peer.pad_capacity;
	gen.key_capacity = peer.key_capacity;
	memcpy(gen.hash, peer.hash, sizeof(gen.hash));
	memcpy(gen.generation, me.generation, sizeof(gen.generation));
	check(qkd_gen_begin(me.ctx, me.ref, &gen), "begin");
	/* tx opens when the peer has wiped, too */
	send_all(&m, sizeof(m));
	expect(BEGUN);
	check(qkd_gen_open(me.ctx, me.ref, me.label, me.generation), "open");
}

static void run(void)
{
	bool ours = me.link.role == QKD_ROLE_ALICE, moved = true, before;

	for (;; ours = !ours) {
		before = moved;
		moved = ours ? give() : take();
		if (ours && !moved && !before)
			usleep(PAUSE_US);
	}
}

static void feed_stream(const struct qkd_stat *st)
{
	bool tx = st->dir == QKD_DIR_OUT;
	struct qkd_block block = {
		.label = me.label,
		.stream = st->stream,
		.offset = st->supplied,
		.length = me.size,
	};
	int err;

	if (me.fed[st->stream] == me.limit || st->pending >= AHEAD * me.size ||
	    (tx && st->live + me.size > st->capacity))
		return;
	if (me.blocks + 1 == me.lose)
		err = qkd_node_gap(me.node, me.label, block.stream,
				   block.offset + block.length);
	else
		err = put(&block, me.blocks + 1 == me.flip);
	/* others move the stream, too: by a gap, by another generation */
	if (err == -ERANGE || err == -ESTALE || err == -ENETDOWN)
		return;
	check(err, "feed");
	me.blocks++;
	me.fed[st->stream]++;
}

static void feed(void)
{
	uint32_t i;

	for (;; usleep(PAUSE_US / 10)) {
		check(qkd_link_get(me.ctx, me.ref, &me.link), "link");
		if (me.link.state == QKD_STATE_DOWN)
			continue;
		me.label = me.link.label;
		memcpy(me.generation, me.link.generation, QKD_HASH_LEN);
		for (i = 0; i < me.link.nstats; i++)
			feed_stream(&me.link.stat[i]);
	}
}

static int listen_at(const struct addrinfo *ai)
{
	int fd = socket(ai->ai_family, ai->ai_socktype, 0), one = 1, peer;

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, 1))
		err(1, "listen");
	peer = accept(fd, NULL, NULL);
	if (peer < 0)
		err(1, "accept");
	close(fd);
	return peer;
}

static int connect_to(const struct addrinfo *ai)
{
	int fd, tries;

	for (tries = 0; tries < 200; tries++) {
		fd = socket(ai->ai_family, ai->ai_socktype, 0);
		if (fd < 0)
			err(1, "socket");
		if (!connect(fd, ai->ai_addr, ai->ai_addrlen))
			return fd;
		close(fd);
		usleep(PAUSE_US);
	}
	err(1, "connect");
}

static void join(const char *address, const char *port)
{
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV |
			    (address ? 0 : AI_PASSIVE),
	}, *ai;

	if (getaddrinfo(address, port, &hints, &ai))
		errx(1, "no address: %s port %s", address ? address : "any",
		     port);
	me.peer = address ? connect_to(ai) : listen_at(ai);
	freeaddrinfo(ai);
}

static void read_seed(const char *path)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, me.seed, sizeof(me.seed));

	if (n <= 0)
		err(1, "%s", path);
	me.seed_len = n;
	close(fd);
}

static void options(char **args)
{
	static const struct {
		const char *name;
		unsigned long *value;
	} words[] = {
		{ "blocks", &me.limit },
		{ "flip", &me.flip },
		{ "lose", &me.lose },
	};
	size_t i;

	for (; args[0]; args += 2) {
		if (!args[1])
			errx(2, "%s: of how much?", args[0]);
		if (!strcmp(args[0], "size")) {
			me.size = strtoul(args[1], NULL, 0);
			continue;
		}
		for (i = 0; i < sizeof(words) / sizeof(*words); i++)
			if (!strcmp(args[0], words[i].name))
				break;
		if (i == sizeof(words) / sizeof(*words))
			errx(2, "%s: unknown option", args[0]);
		*words[i].value = strtoul(args[1], NULL, 0);
	}
}

int main(int argc, char **argv)
{
	bool listens = argc > 4 && !strcmp(argv[3], "listen");
	bool connects = argc > 5 && !strcmp(argv[3], "connect");
	bool feeds = argc > 3 && !strcmp(argv[3], "feed");

	if (!listens && !connects && !feeds)
		errx(2,
		     "usage: supplier NAME SEED-FILE { listen PORT | connect ADDRESS PORT | feed } [ blocks N ] [ size BYTES ] [ flip N ] [ lose N ]");
	me.ref = qkd_by_name(argv[1]);
	me.limit = ~0UL;
	me.size = 4096;
	read_seed(argv[2]);
	options(argv + (feeds ? 4 : listens ? 5 : 6));

	if (qkd_open(&me.ctx))
		errx(1, "no module qkd");
	check(qkd_link_get(me.ctx, me.ref, &me.link), "link");
	me.confirms = me.link.confirm == QKD_CONFIRM_TAG;
	me.node = qkd_node_open(me.ctx, me.ref, O_WRONLY);
	check(me.node, "node");
	if (feeds)
		feed();
	join(listens ? NULL : argv[4], argv[listens ? 4 : 5]);
	handshake();
	run();
}
