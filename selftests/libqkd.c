// SPDX-License-Identifier: GPL-2.0-only
/*
 * libqkd by its public header alone: every call, what it says about errors,
 * two ends of a user link from the handshake to the keys, events, and that no
 * copy of a seed stays behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <qkd/qkd.h>

/* What the harness makes of a test. */
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wclobbered"
#include "kselftest_harness.h"

#define BLOCK 4096
#define HAS_LINK(attr) QKD_HAS(QKD_A_LINK_##attr)

/* ---- without the kernel ---- */

TEST(key_id_text)
{
	static const char text[] = "0b51002a-5801-8e2c-8000-0196a1c3f477";
	static const char *const bad[] = {
		"",
		"0b51002a58018e2c80000196a1c3f477",
		"0b51002a-5801-8e2c-8000-0196a1c3f47",
		"0b51002a-5801-8e2c-8000-0196a1c3f4777",
		"0b51002a-5801-8e2c-8000-0196a1c3f47g",
		"0b51002a_5801-8e2c-8000-0196a1c3f477",
		" 0b51002a-5801-8e2c-8000-0196a1c3f477",
	};
	uint8_t id[QKD_KEY_ID_LEN];
	char out[QKD_KEY_ID_TEXT_LEN + 1];
	size_t i;

	ASSERT_EQ(0, qkd_key_id_parse(text, id));
	ASSERT_EQ(0x0b, id[0]);
	ASSERT_EQ(0x77, id[15]);
	ASSERT_STREQ(text, qkd_key_id_format(id, out));
	ASSERT_EQ(0,
		  qkd_key_id_parse("0B51002A-5801-8E2C-8000-0196A1C3F477", id));
	ASSERT_STREQ(text, qkd_key_id_format(id, out));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		EXPECT_EQ(-EINVAL, qkd_key_id_parse(bad[i], id));
}

/* Each field with all its bits set, and no other. */
TEST(key_id_fields)
{
	static const struct {
		const char *text;
		struct qkd_key_id fields;
	} cases[] = {
		{ "ffff0000-0000-8000-8000-000000000000", { .link = 0xffff } },
		{ "0000ffff-0000-8000-8000-000000000000", { .label = 0xffff } },
		{ "00000000-c000-8000-8000-000000000000", { .stream = 3 } },
		{ "00000000-3800-8000-8000-000000000000", { .class_ = 7 } },
		{ "00000000-07ff-8fff-bfff-c00000000000",
		  { .offset = (UINT64_C(1) << 39) - 1 } },
		{ "00000000-0000-8000-8000-3f0000000000", { .units = 63 } },
		{ "00000000-0000-8000-8000-00ffffffffff",
		  { .tag = (UINT64_C(1) << 40) - 1 } },
	};
	struct qkd_key_id fields;
	uint8_t id[QKD_KEY_ID_LEN];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ASSERT_EQ(0, qkd_key_id_parse(cases[i].text, id));
		ASSERT_EQ(0, qkd_key_id_fields(id, &fields));
		EXPECT_EQ(0, memcmp(&fields, &cases[i].fields, sizeof(fields)))
		{
			TH_LOG("%s", cases[i].text);
		}
	}
	id[6] = 0x70;
	EXPECT_EQ(-EINVAL, qkd_key_id_fields(id, &fields));
	id[6] = 0x80;
	id[8] = 0x40;
	EXPECT_EQ(-EINVAL, qkd_key_id_fields(id, &fields));
}

TEST(names)
{
	uint32_t which, value;
	const char *name;
	int found = 0;

	for (which = QKD_ENUM_ROLE; which <= QKD_ENUM_WG_STATE; which++) {
		for (value = 0; value < 64; value++) {
			name = qkd_enum_name(which, value);
			ASSERT_NE(NULL, name);
			if (!strcmp(name, "?"))
				continue;
			ASSERT_EQ((int)value, qkd_enum_value(which, name));
			found++;
		}
		EXPECT_EQ(-EINVAL, qkd_enum_value(which, "nothing"));
	}
	EXPECT_EQ(106, found);
	EXPECT_STREQ("supply-end", qkd_enum_name(QKD_ENUM_EVENT_TYPE,
						 QKD_EVENT_TYPE_SUPPLY_END));
	EXPECT_STREQ("sa-restored", qkd_enum_name(QKD_ENUM_EVENT_TYPE,
						  QKD_EVENT_TYPE_SA_RESTORED));
	EXPECT_STREQ("gcm-aes-xpn-256",
		     qkd_enum_name(QKD_ENUM_MACSEC_SUITE,
				   QKD_MACSEC_SUITE_GCM_AES_XPN_256));
	EXPECT_STREQ("deleting", qkd_enum_name(QKD_ENUM_MACSEC_STATE,
					       QKD_MACSEC_STATE_DELETING));
	EXPECT_STREQ("blocked",
		     qkd_enum_name(QKD_ENUM_WG_STATE, QKD_WG_STATE_BLOCKED));
	EXPECT_STREQ("?", qkd_enum_name(QKD_ENUM_WG_STATE + 1, 1));
}

/* ---- one context, any link ---- */

static void delete_all(struct qkd_ctx *ctx)
{
	static const char *const names[] = { "la", "lb", "lc", "ld" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		qkd_link_del(ctx, qkd_by_name(names[i]));
}

FIXTURE(ctx)
{
	struct qkd_ctx *ctx;
};

FIXTURE_SETUP(ctx)
{
	ASSERT_EQ(0, qkd_open(&self->ctx));
	delete_all(self->ctx);
}

FIXTURE_TEARDOWN(ctx)
{
	delete_all(self->ctx);
	qkd_close(self->ctx);
}

static struct qkd_link user_link(const char *name, uint32_t role)
{
	struct qkd_link link = {
		.has = HAS_LINK(NAME) | HAS_LINK(TYPE) | HAS_LINK(ROLE) |
		       HAS_LINK(ID) | HAS_LINK(PEER_ID) | HAS_LINK(EXPORT),
		.type = "user",
		.role = role,
		.export_ = QKD_EXPORT_MASK_CONTROL | QKD_EXPORT_MASK_EXPORT,
	};

	snprintf(link.name, sizeof(link.name), "%s", name);
	strcpy(link.id, role == QKD_ROLE_ALICE ? "site A" : "site B");
	strcpy(link.peer_id, role == QKD_ROLE_ALICE ? "site B" : "site A");
	return link;
}

static struct qkd_link emu_pair(void)
{
	return (struct qkd_link){
		.has = HAS_LINK(NAME) | HAS_LINK(TYPE) | HAS_LINK(EMU),
		.name = "la",
		.type = "emu",
		.emu = {
			.has = QKD_HAS(QKD_A_EMU_PEER_NAME) |
			       QKD_HAS(QKD_A_EMU_RATE) |
			       QKD_HAS(QKD_A_EMU_QBER),
			.peer_name = "lb",
			.rate = 10000000,
			.qber = 12345,
		},
	};
}

TEST_F(ctx, errors_name_the_attribute)
{
	struct qkd_link link = {};

	EXPECT_EQ(-ENODEV, qkd_link_get(self->ctx, qkd_by_name("nope"), &link));
	EXPECT_STREQ("name", qkd_error_attribute(self->ctx));
	EXPECT_NE('\0', qkd_error_text(self->ctx)[0]);

	EXPECT_EQ(-ENODEV, qkd_link_del(self->ctx, qkd_by_index(4000000000u)));
	EXPECT_STREQ("index", qkd_error_attribute(self->ctx));

	/* by offset in a nest */
	link = emu_pair();
	link.emu.qber = 500001;
	EXPECT_EQ(-ERANGE, qkd_link_new(self->ctx, &link, NULL));
	EXPECT_STREQ("emu.qber", qkd_error_attribute(self->ctx));

	/* by the type of what is missing */
	link = user_link("la", QKD_ROLE_ALICE);
	link.has &= ~HAS_LINK(ROLE);
	EXPECT_EQ(-EINVAL, qkd_link_new(self->ctx, &link, NULL));
	EXPECT_STREQ("role", qkd_error_attribute(self->ctx));

	/* a good call clears them */
	link = user_link("la", QKD_ROLE_ALICE);
	EXPECT_EQ(0, qkd_link_new(self->ctx, &link, NULL));
	EXPECT_STREQ("", qkd_error_text(self->ctx));
	EXPECT_STREQ("", qkd_error_attribute(self->ctx));
}

TEST_F(ctx, strings_without_an_end_are_refused)
{
	struct qkd_link link = user_link("la", QKD_ROLE_ALICE);

	memset(link.id, 'x', sizeof(link.id));
	EXPECT_EQ(-ERANGE, qkd_link_new(self->ctx, &link, NULL));
	EXPECT_EQ(-ENODEV, qkd_link_get(self->ctx, qkd_by_name("la"), &link));
}

static int count_links(const struct qkd_link *link, void *arg)
{
	int *count = arg;

	if (!strcmp(link->name, "la") || !strcmp(link->name, "lb"))
		++*count;
	return 0;
}

static int stop_at_once(const struct qkd_link *link, void *arg)
{
	++*(int *)arg;
	return 42;
}

TEST_F(ctx, links)
{
	struct qkd_link link = emu_pair(), got;
	uint32_t index = ~0u;
	int count = 0;

	ASSERT_EQ(0, qkd_link_new(self->ctx, &link, &index));
	ASSERT_EQ(0, qkd_link_get(self->ctx, qkd_by_index(index), &got));
	EXPECT_STREQ("la", got.name);
	EXPECT_STREQ("emu", got.type);
	EXPECT_EQ(index, got.index);
	EXPECT_EQ(QKD_ROLE_ALICE, got.role);
	EXPECT_EQ(10000000, got.emu.rate);
	EXPECT_EQ(12345, got.emu.qber);
	EXPECT_EQ(4, got.nstats);
	EXPECT_EQ(1, got.node);
	EXPECT_TRUE(got.has & HAS_LINK(REFUSED));
	EXPECT_EQ(0, got.has & QKD_HAS(QKD_A_LINK_PAD));

	memset(&link, 0, sizeof(link));
	link.has = HAS_LINK(PAD_LOW) | HAS_LINK(EMU);
	link.pad_low = 65536;
	link.emu.has = QKD_HAS(QKD_A_EMU_RATE);
	link.emu.rate = 12345;
	ASSERT_EQ(0, qkd_link_set(self->ctx, qkd_by_name("la"), &link));
	ASSERT_EQ(0, qkd_link_get(self->ctx, qkd_by_name("la"), &got));
	EXPECT_EQ(65536, got.pad_low);
	EXPECT_EQ(12345, got.emu.rate);

	ASSERT_EQ(0, qkd_link_dump(self->ctx, count_links, &count));
	EXPECT_EQ(2, count);
	count = 0;
	EXPECT_EQ(42, qkd_link_dump(self->ctx, stop_at_once, &count));
	EXPECT_EQ(1, count);

	/* the socket is in order after that */
	ASSERT_EQ(0, qkd_link_del(self->ctx, qkd_by_name("lb")));
	count = 0;
	ASSERT_EQ(0, qkd_link_dump(self->ctx, count_links, &count));
	EXPECT_EQ(0, count);
}

/* How often @needle is in the heap. */
static int in_heap(const void *needle, size_t size)
{
	unsigned long start, end, at;
	char line[512], *heap, *p;
	int found = 0, mem;
	FILE *maps;

	maps = fopen("/proc/self/maps", "r");
	if (!maps)
		return -1;
	while (fgets(line, sizeof(line), maps))
		if (strstr(line, "[heap]"))
			break;
	fclose(maps);
	if (sscanf(line, "%lx-%lx", &start, &end) != 2)
		return -1;
	/* Not by malloc(): what is looked for must not move. */
	heap = (char *)start;
	mem = open("/proc/self/mem", O_RDONLY);
	if (mem < 0)
		return -1;
	close(mem);
	for (at = 0; at + size <= end - start; at = p - heap + 1) {
		p = memmem(heap + at, end - start - at, needle, size);
		if (!p)
			break;
		found++;
	}
	return found;
}

TEST_F(ctx, no_seed_stays_in_memory)
{
	static uint8_t seed[QKD_SEED_LEN];
	struct qkd_link link = {
		.has = HAS_LINK(NAME) | HAS_LINK(TYPE) | HAS_LINK(ROLE) |
		       HAS_LINK(EMU),
		.name = "la",
		.type = "emu",
		.role = QKD_ROLE_ALICE,
		.emu = {
			.has = QKD_HAS(QKD_A_EMU_SEED) | QKD_HAS(QKD_A_EMU_GEN),
			.seed = seed,
			.seed_len = sizeof(seed),
			.gen = 77,
		},
	};
	void *copy;

	ASSERT_EQ((ssize_t)sizeof(seed), getrandom(seed, sizeof(seed), 0));

	/* the search finds what is there */
	copy = malloc(sizeof(seed));
	ASSERT_NE(NULL, copy);
	memcpy(copy, seed, sizeof(seed));
	ASSERT_EQ(1, in_heap(seed, sizeof(seed)));
	explicit_bzero(copy, sizeof(seed));
	free(copy);
	ASSERT_EQ(0, in_heap(seed, sizeof(seed)));

	ASSERT_EQ(0, qkd_link_new(self->ctx, &link, NULL));
	EXPECT_EQ(0, in_heap(seed + 16, 16));
	/* nor after an error, which could carry the request back */
	EXPECT_EQ(-EEXIST, qkd_link_new(self->ctx, &link, NULL));
	EXPECT_EQ(0, in_heap(seed + 16, 16));

	link.emu.seed_len = QKD_SEED_LEN + 1;
	EXPECT_EQ(-ERANGE, qkd_link_new(self->ctx, &link, NULL));
}

/* ---- two ends of a user link ---- */

FIXTURE(pair)
{
	struct qkd_ctx *ctx;
	struct qkd_ref alice;
	struct qkd_ref bob;
	int fd_alice;
	int fd_bob;
	struct qkd_block next[4];
};

static int begin(struct qkd_ctx *ctx, struct qkd_ref ref, uint32_t label)
{
	struct qkd_gen gen = {
		.has = ~UINT64_C(0),
		.label = label,
		.pad_capacity = 1 << 20,
		.key_capacity = 256 << 10,
		.generation = "thirty-two bytes for tests only",
	};
	struct qkd_link link;
	int err;

	err = qkd_link_get(ctx, ref, &link);
	if (err)
		return err;
	memcpy(gen.hash, link.hash, sizeof(gen.hash));
	gen.peer_role = link.role == QKD_ROLE_ALICE ? QKD_ROLE_BOB :
						      QKD_ROLE_ALICE;
	gen.generation[31] = label;
	return qkd_gen_begin(ctx, ref, &gen);
}

static int open_gen(struct qkd_ctx *ctx, struct qkd_ref ref, uint32_t label)
{
	uint8_t generation[QKD_HASH_LEN] = "thirty-two bytes for tests only";

	generation[31] = label;
	return qkd_gen_open(ctx, ref, label, generation);
}

FIXTURE_SETUP(pair)
{
	struct qkd_link link;
	uint32_t i;

	self->alice = qkd_by_name("la");
	self->bob = qkd_by_name("lb");
	ASSERT_EQ(0, qkd_open(&self->ctx));
	delete_all(self->ctx);
	link = user_link("la", QKD_ROLE_ALICE);
	ASSERT_EQ(0, qkd_link_new(self->ctx, &link, NULL));
	link = user_link("lb", QKD_ROLE_BOB);
	ASSERT_EQ(0, qkd_link_new(self->ctx, &link, NULL));
	self->fd_alice = qkd_node_open(self->ctx, self->alice, O_RDWR);
	ASSERT_LE(0, self->fd_alice);
	self->fd_bob = qkd_node_open(self->ctx, self->bob, O_RDWR);
	ASSERT_LE(0, self->fd_bob);

	ASSERT_EQ(0, begin(self->ctx, self->alice, 1));
	ASSERT_EQ(0, begin(self->ctx, self->bob, 1));
	ASSERT_EQ(0, open_gen(self->ctx, self->alice, 1));
	ASSERT_EQ(0, open_gen(self->ctx, self->bob, 1));
	for (i = 0; i < 4; i++)
		self->next[i] = (struct qkd_block){
			.label = 1,
			.stream = i,
			.length = BLOCK,
		};
}

FIXTURE_TEARDOWN(pair)
{
	close(self->fd_alice);
	close(self->fd_bob);
	delete_all(self->ctx);
	qkd_close(self->ctx);
}

/* Supplies a block at both ends, with a flipped bit at bob's if @flip, and has
 * it confirmed. Alice sends on the a2b streams.
 */
static int supply(FIXTURE_DATA(pair) * self, uint32_t stream, bool flip,
		  enum qkd_verdict *verdict)
{
	struct qkd_block *block = &self->next[stream];
	bool a2b = stream < QKD_STREAM_B2A_PAD;
	struct qkd_ref tx = a2b ? self->alice : self->bob;
	struct qkd_ref rx = a2b ? self->bob : self->alice;
	uint8_t bytes[BLOCK], s[QKD_TAG_LEN], tag[QKD_TAG_LEN];
	int err;

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes) ||
	    getrandom(s, sizeof(s), 0) != sizeof(s))
		return -EIO;
	err = qkd_node_supply(self->fd_alice, block, bytes, s);
	bytes[100] ^= flip;
	if (!err)
		err = qkd_node_supply(self->fd_bob, block, bytes, s);
	if (!err)
		err = qkd_block_tag(self->ctx, rx, block, tag);
	if (!err)
		err = qkd_block_check(self->ctx, tx, block, tag, verdict);
	if (!err)
		err = qkd_block_settle(self->ctx, rx, block, *verdict);
	block->offset += BLOCK;
	return err;
}

static const struct qkd_stat *stat_of(const struct qkd_link *link,
				      uint32_t stream)
{
	uint32_t i;

	for (i = 0; i < link->nstats; i++)
		if (link->stat[i].stream == stream)
			return &link->stat[i];
	return NULL;
}

TEST_F(pair, blocks)
{
	enum qkd_verdict verdict;
	const struct qkd_stat *stat;
	struct qkd_link link;
	uint8_t bytes[BLOCK] = {};

	ASSERT_EQ(0, supply(self, QKD_STREAM_A2B_KEY, false, &verdict));
	EXPECT_EQ(QKD_VERDICT_EQUAL, verdict);
	ASSERT_EQ(0, supply(self, QKD_STREAM_A2B_KEY, true, &verdict));
	EXPECT_EQ(QKD_VERDICT_MISMATCH, verdict);

	ASSERT_EQ(0, qkd_link_get(self->ctx, self->bob, &link));
	stat = stat_of(&link, QKD_STREAM_A2B_KEY);
	ASSERT_NE(NULL, stat);
	EXPECT_EQ(QKD_DIR_IN, stat->dir);
	EXPECT_EQ(2 * BLOCK, stat->supplied);
	EXPECT_EQ(BLOCK, stat->lost);
	EXPECT_EQ(32, stat->head);
	EXPECT_EQ(BLOCK - 32, stat->live);
	EXPECT_EQ(1, link.refused.mismatch);

	/* what is not next, of another generation, or forward by a gap */
	self->next[1].offset += BLOCK;
	EXPECT_EQ(-ERANGE, qkd_node_supply(self->fd_alice, &self->next[1],
					   bytes, bytes));
	self->next[1].label = 2;
	EXPECT_EQ(-ESTALE, qkd_node_supply(self->fd_alice, &self->next[1],
					   bytes, bytes));
	EXPECT_EQ(-ESTALE, qkd_node_gap(self->fd_alice, 2, QKD_STREAM_A2B_KEY,
					3 * BLOCK));
	EXPECT_EQ(-EINVAL, qkd_node_gap(self->fd_alice, 65537,
					QKD_STREAM_A2B_KEY, 3 * BLOCK));
	EXPECT_EQ(0, qkd_node_gap(self->fd_alice, 1, QKD_STREAM_A2B_KEY,
				  3 * BLOCK));
	ASSERT_EQ(0, qkd_link_get(self->ctx, self->alice, &link));
	EXPECT_EQ(2 * BLOCK, stat_of(&link, QKD_STREAM_A2B_KEY)->lost);
	EXPECT_EQ(3 * BLOCK, stat_of(&link, QKD_STREAM_A2B_KEY)->supplied);
}

TEST_F(pair, a_block_without_its_tag_is_unusable)
{
	struct qkd_block *block = &self->next[QKD_STREAM_A2B_KEY];
	uint8_t bytes[BLOCK] = { 1 }, tag[QKD_TAG_LEN];
	enum qkd_verdict verdict;
	uint64_t available = 1;

	ASSERT_EQ(0, qkd_node_supply(self->fd_alice, block, bytes, bytes));
	ASSERT_EQ(0, qkd_key_status(self->ctx, self->alice, QKD_CLASS_EXPORT,
				    32, &available));
	EXPECT_EQ(0, available);
	/* the tx end makes no tags */
	EXPECT_GT(0, qkd_block_tag(self->ctx, self->alice, block, tag));
	EXPECT_NE('\0', qkd_error_text(self->ctx)[0]);
	/* a forged one is a mismatch */
	memset(tag, 0x55, sizeof(tag));
	ASSERT_EQ(0, qkd_block_check(self->ctx, self->alice, block, tag,
				     &verdict));
	EXPECT_EQ(QKD_VERDICT_MISMATCH, verdict);
}

TEST_F(pair, keys)
{
	static const struct qkd_context context = {
		.type = QKD_CONTEXT_TYPE_USER,
		.length = 4,
		.data = "test",
	};
	struct qkd_key keys[3], key, again;
	uint8_t sent[64], got[64];
	enum qkd_verdict verdict;
	uint64_t before, after;
	uint32_t count = 3;
	size_t size;

	ASSERT_EQ(0, supply(self, QKD_STREAM_A2B_KEY, false, &verdict));
	ASSERT_EQ(0, qkd_key_status(self->ctx, self->alice, QKD_CLASS_CONTROL,
				    64, &before));
	ASSERT_EQ(0, qkd_key_get(self->ctx, self->alice, QKD_CLASS_CONTROL, 64,
				 &context, keys, &count));
	ASSERT_EQ(3, count);
	ASSERT_EQ(0, qkd_key_status(self->ctx, self->alice, QKD_CLASS_CONTROL,
				    64, &after));
	EXPECT_EQ(before - 3, after);

	/* peek, commit, fetch */
	size = sizeof(sent);
	ASSERT_EQ(0,
		  qkd_node_fetch(self->fd_alice, keys[0].handle, sent, &size));
	EXPECT_EQ(64, size);
	ASSERT_EQ(0, qkd_key_peek(self->ctx, self->bob, keys[0].id, 0, &context,
				  &key));
	EXPECT_EQ(QKD_CLASS_CONTROL, key.class_);
	EXPECT_EQ(64, key.size);
	ASSERT_EQ(0, qkd_key_peek(self->ctx, self->bob, keys[0].id, 64,
				  &context, &again));
	ASSERT_EQ(0, qkd_key_commit(self->ctx, self->bob, key.handle));
	EXPECT_EQ(-EALREADY,
		  qkd_key_commit(self->ctx, self->bob, again.handle));
	size = sizeof(got);
	ASSERT_EQ(0, qkd_node_fetch(self->fd_bob, key.handle, got, &size));
	EXPECT_EQ(0, memcmp(sent, got, sizeof(got)));
	size = sizeof(got);
	EXPECT_EQ(-EBADSLT,
		  qkd_node_fetch(self->fd_bob, key.handle, got, &size));

	/* get by ID; another context gets nothing */
	size = sizeof(sent);
	ASSERT_EQ(0,
		  qkd_node_fetch(self->fd_alice, keys[1].handle, sent, &size));
	EXPECT_EQ(-EKEYREJECTED, qkd_key_get_by_id(self->ctx, self->bob,
						   keys[1].id, 64, NULL, &key));
	EXPECT_STREQ("id", qkd_error_attribute(self->ctx));
	ASSERT_EQ(0, qkd_key_get_by_id(self->ctx, self->bob, keys[1].id, 64,
				       &context, &key));
	size = sizeof(got);
	ASSERT_EQ(0, qkd_node_fetch(self->fd_bob, key.handle, got, &size));
	EXPECT_EQ(0, memcmp(sent, got, sizeof(got)));

	/* a dropped key is burnt at tx, and can be had at rx */
	ASSERT_EQ(0, qkd_key_drop(self->ctx, self->alice, keys[2].handle));
	size = sizeof(sent);
	EXPECT_EQ(-EBADSLT,
		  qkd_node_fetch(self->fd_alice, keys[2].handle, sent, &size));
	ASSERT_EQ(0, qkd_key_peek(self->ctx, self->bob, keys[2].id, 0, &context,
				  &key));
	ASSERT_EQ(0, qkd_key_drop(self->ctx, self->bob, key.handle));
	size = sizeof(got);
	EXPECT_EQ(0, qkd_node_claim(self->fd_bob, keys[2].id, 64, &context, got,
				    &size));
	EXPECT_EQ(64, size);
}

TEST_F(pair, records)
{
	struct {
		struct qkd_key_record record;
		uint8_t room[48];
	} sent;
	enum qkd_verdict verdict;
	uint8_t got[48];
	size_t size;

	ASSERT_EQ(0, supply(self, QKD_STREAM_B2A_KEY, false, &verdict));
	ASSERT_EQ(0, qkd_node_read(self->fd_bob, &sent.record, 48));

	size = 47;
	EXPECT_GT(0, qkd_node_claim(self->fd_alice, sent.record.id, 48, NULL,
				    got, &size));
	size = sizeof(got);
	ASSERT_EQ(0, qkd_node_claim(self->fd_alice, sent.record.id, 48, NULL,
				    got, &size));
	EXPECT_EQ(48, size);
	EXPECT_EQ(0, memcmp(sent.record.key, got, sizeof(got)));
	EXPECT_EQ(-EALREADY, qkd_node_claim(self->fd_alice, sent.record.id, 48,
					    NULL, got, &size));
	EXPECT_EQ(-EINVAL, qkd_node_read(self->fd_bob, &sent.record, 0));
}

TEST_F(pair, handles_die_with_the_context)
{
	enum qkd_verdict verdict;
	struct qkd_ctx *other;
	struct qkd_link link;
	struct qkd_key key;
	uint32_t count = 1;
	uint8_t got[32];
	size_t size = 32;

	ASSERT_EQ(0, supply(self, QKD_STREAM_A2B_KEY, false, &verdict));
	ASSERT_EQ(0, qkd_open(&other));
	ASSERT_EQ(0, qkd_key_get(other, self->alice, QKD_CLASS_EXPORT, 32, NULL,
				 &key, &count));
	ASSERT_EQ(0, qkd_link_get(self->ctx, self->alice, &link));
	EXPECT_EQ(1, link.handles);
	qkd_close(other);
	EXPECT_EQ(-EBADSLT,
		  qkd_node_fetch(self->fd_alice, key.handle, got, &size));
	ASSERT_EQ(0, qkd_link_get(self->ctx, self->alice, &link));
	EXPECT_EQ(0, link.handles);
	EXPECT_EQ(1, link.refused.burnt);
}

TEST_F(pair, a_generation_ends)
{
	enum qkd_verdict verdict;
	struct qkd_link link;

	ASSERT_EQ(0, supply(self, QKD_STREAM_A2B_PAD, false, &verdict));
	EXPECT_EQ(-ESTALE,
		  qkd_gen_end(self->ctx, self->alice, 2, QKD_REASON_PEER));
	ASSERT_EQ(0, qkd_gen_end(self->ctx, self->alice, 1, QKD_REASON_PEER));
	ASSERT_EQ(0, qkd_link_get(self->ctx, self->alice, &link));
	EXPECT_EQ(QKD_STATE_DOWN, link.state);
	EXPECT_EQ(QKD_REASON_PEER, link.reason);
	/* the next label is the next one */
	EXPECT_GT(0, begin(self->ctx, self->alice, 1));
	EXPECT_STREQ("label", qkd_error_attribute(self->ctx));
	EXPECT_EQ(0, begin(self->ctx, self->alice, 2));
	ASSERT_EQ(0, qkd_link_get(self->ctx, self->alice, &link));
	EXPECT_EQ(QKD_STATE_PENDING, link.state);
	EXPECT_EQ(2, link.label);
}

/* ---- SAs ---- */

static int find_sa(const struct qkd_esp *esp, void *arg)
{
	if (esp->spi == 0xabc123)
		memcpy(arg, esp, sizeof(*esp));
	return 0;
}

TEST_F(pair, sas)
{
	struct qkd_esp esp = {
		.has = QKD_HAS(QKD_A_ESP_CIPHER) | QKD_HAS(QKD_A_ESP_DIR) |
		       QKD_HAS(QKD_A_ESP_SPI) | QKD_HAS(QKD_A_ESP_SRC) |
		       QKD_HAS(QKD_A_ESP_DST) | QKD_HAS(QKD_A_ESP_MODE) |
		       QKD_HAS(QKD_A_ESP_REQID) | QKD_HAS(QKD_A_ESP_SEL) |
		       QKD_HAS(QKD_A_ESP_REPLAY_WINDOW) |
		       QKD_HAS(QKD_A_ESP_ESN),
		.cipher = QKD_CIPHER_OTP,
		.dir = QKD_DIR_IN,
		.spi = 0xabc123,
		.src = { AF_INET6, { 0x20, 1, 0xd, 0xb8, [15] = 1 } },
		.dst = { AF_INET6, { 0x20, 1, 0xd, 0xb8, [15] = 2 } },
		.mode = QKD_ESP_MODE_TUNNEL,
		.reqid = 9,
		.replay_window = 64,
		.esn = 1,
		.sel = {
			.has = QKD_HAS(QKD_A_SEL_DST) |
			       QKD_HAS(QKD_A_SEL_DST_PREFIX) |
			       QKD_HAS(QKD_A_SEL_PROTO) |
			       QKD_HAS(QKD_A_SEL_DPORT),
			.dst = { AF_INET, { 10, 2 } },
			.dst_prefix = 16,
			.proto = 6,
			.dport = 443,
		},
	};
	struct qkd_esp got = {}, dumped = {};
	uint64_t sa = 0;

	ASSERT_EQ(0, qkd_esp_add(self->ctx, self->alice, &esp, &sa));
	EXPECT_NE(0, sa);
	ASSERT_EQ(0, qkd_esp_get(self->ctx, self->alice, QKD_DIR_IN, 0xabc123,
				 &got));
	EXPECT_EQ(sa, got.sa);
	EXPECT_STREQ("la", got.link_name);
	EXPECT_EQ(QKD_CIPHER_OTP, got.cipher);
	EXPECT_EQ(AF_INET6, got.src.family);
	EXPECT_EQ(0, memcmp(esp.src.bytes, got.src.bytes, 16));
	EXPECT_EQ(0, memcmp(esp.dst.bytes, got.dst.bytes, 16));
	EXPECT_EQ(9, got.reqid);
	EXPECT_EQ(1, got.esn);
	EXPECT_EQ(64, got.replay_window);
	EXPECT_EQ(QKD_ON_EMPTY_BLOCK, got.on_empty);
	EXPECT_EQ(AF_INET, got.sel.dst.family);
	EXPECT_EQ(16, got.sel.dst_prefix);
	EXPECT_EQ(443, got.sel.dport);
	EXPECT_EQ(0, got.packets);
	EXPECT_TRUE(got.has & QKD_HAS(QKD_A_ESP_REFUSED));

	EXPECT_EQ(-EEXIST, qkd_esp_add(self->ctx, self->alice, &esp, NULL));
	EXPECT_STREQ("spi", qkd_error_attribute(self->ctx));
	esp.replay_window = 128;
	EXPECT_EQ(0, qkd_esp_replace(self->ctx, self->alice, &esp, NULL));
	ASSERT_EQ(0, qkd_esp_dump(self->ctx, find_sa, &dumped));
	EXPECT_EQ(0xabc123, dumped.spi);

	esp.src.family = AF_UNIX;
	EXPECT_EQ(-EAFNOSUPPORT,
		  qkd_esp_add(self->ctx, self->alice, &esp, NULL));
	EXPECT_GT(0,
		  qkd_esp_del(self->ctx, self->alice, QKD_DIR_OUT, 0xabc123));
	EXPECT_EQ(0, qkd_esp_del(self->ctx, self->alice, QKD_DIR_IN, 0xabc123));
	memset(&dumped, 0, sizeof(dumped));
	ASSERT_EQ(0, qkd_esp_dump(self->ctx, find_sa, &dumped));
	EXPECT_EQ(0, dumped.spi);
}

static int count_sas(const struct qkd_esp *esp, void *arg)
{
	if (!strcmp(esp->link_name, "la") || !strcmp(esp->link_name, "lb"))
		++*(int *)arg;
	return 0;
}

static const struct qkd_esp sender = {
	.has = QKD_HAS(QKD_A_ESP_CIPHER) | QKD_HAS(QKD_A_ESP_DIR) |
	       QKD_HAS(QKD_A_ESP_SPI) | QKD_HAS(QKD_A_ESP_SRC) |
	       QKD_HAS(QKD_A_ESP_DST) | QKD_HAS(QKD_A_ESP_MODE),
	.cipher = QKD_CIPHER_AES,
	.dir = QKD_DIR_OUT,
	.spi = 0xabc124,
	.src = { AF_INET, { 192, 0, 2, 1 } },
	.dst = { AF_INET, { 192, 0, 2, 2 } },
	.mode = QKD_ESP_MODE_TUNNEL,
};

static int count_macsec(const struct qkd_macsec *macsec, void *arg)
{
	*(int *)arg += !strcmp(macsec->link_name, "la");
	return 0;
}

static int count_macsec_sa(const struct qkd_macsec_sa *sa, void *arg)
{
	*(int *)arg += sa->state == QKD_MACSEC_STATE_INSTALLED;
	return 0;
}

static int find_secy_sa(const struct qkd_secy_sa *sa, void *arg)
{
	struct qkd_secy_sa *wanted = arg;

	if (sa->ifindex != wanted->ifindex)
		return 0;
	*wanted = *sa;
	return 5;
}

TEST_F(pair, macsec)
{
	struct qkd_macsec macsec = { .has = QKD_HAS(QKD_A_MACSEC_MAX_TIME),
				     .max_time = 60000 };
	struct qkd_macsec_sa sa = { .dir = QKD_DIR_OUT, .an = 2 }, rx = {};
	struct qkd_secy_sa secy = {};
	enum qkd_verdict verdict;
	int count = 0;

	ASSERT_EQ(0, system("ip link add mv0 type dummy && "
			    "ip link add link mv0 mx0 type macsec port 1 && "
			    "ip link add link mv0 mx1 type macsec port 2"));
	ASSERT_EQ(0, supply(self, QKD_STREAM_A2B_KEY, false, &verdict));
	macsec.ifindex = if_nametoindex("mx0");
	ASSERT_EQ(0, qkd_macsec_bind(self->ctx, self->alice, &macsec));
	EXPECT_EQ(-EEXIST, qkd_macsec_bind(self->ctx, self->alice, &macsec));
	EXPECT_STREQ("ifindex", qkd_error_attribute(self->ctx));
	sa.ifindex = macsec.ifindex;
	rx.ifindex = if_nametoindex("mx1");
	macsec.ifindex = rx.ifindex;
	ASSERT_EQ(0, qkd_macsec_bind(self->ctx, self->bob, &macsec));

	ASSERT_EQ(0, qkd_macsec_sa_add(self->ctx, &sa));
	EXPECT_NE(0, sa.number);
	EXPECT_EQ(1, sa.sci & 0xffff);
	ASSERT_EQ(0, qkd_macsec_sa_wait(self->ctx, &sa, 30000));
	EXPECT_TRUE(sa.has & QKD_HAS(QKD_A_MACSEC_SA_KEY_ID));
	EXPECT_EQ(QKD_MACSEC_SUITE_GCM_AES_128, sa.suite);
	EXPECT_EQ(-EBUSY, qkd_macsec_sa_add(self->ctx, &sa));
	EXPECT_STREQ("an", qkd_error_attribute(self->ctx));

	rx.dir = QKD_DIR_IN;
	rx.an = 2;
	rx.sci = sa.sci;
	memcpy(rx.key_id, sa.key_id, sizeof(rx.key_id));
	EXPECT_EQ(-EINVAL, qkd_macsec_sa_add(self->ctx, &rx));
	EXPECT_STREQ("sci", qkd_error_attribute(self->ctx));
	rx.has = QKD_HAS(QKD_A_MACSEC_SA_SCI) | QKD_HAS(QKD_A_MACSEC_SA_KEY_ID);
	ASSERT_EQ(0, qkd_macsec_sa_add(self->ctx, &rx));
	/* nobody has made its channel */
	EXPECT_EQ(-ENODEV, qkd_macsec_sa_wait(self->ctx, &rx, 30000));
	EXPECT_STREQ("the device has no receive channel of this SCI",
		     qkd_error_text(self->ctx));
	EXPECT_EQ(0, qkd_secy_channel_add(self->ctx, rx.ifindex, sa.sci));
	EXPECT_EQ(-EEXIST, qkd_secy_channel_add(self->ctx, rx.ifindex, sa.sci));
	ASSERT_EQ(0, qkd_macsec_sa_add(self->ctx, &rx));
	EXPECT_EQ(0, qkd_macsec_sa_wait(self->ctx, &rx, 30000));
	EXPECT_EQ(0, qkd_secy_channel_del(self->ctx, rx.ifindex, sa.sci));
	EXPECT_EQ(-ENODEV, qkd_secy_channel_del(self->ctx, rx.ifindex, sa.sci));
	EXPECT_EQ(-ENODEV, qkd_secy_channel_add(self->ctx, 0, sa.sci));
	EXPECT_EQ(0, qkd_macsec_sa_del(self->ctx, &rx));
	EXPECT_EQ(0, qkd_macsec_sa_wait_gone(self->ctx, &rx, 30000));

	secy.ifindex = sa.ifindex;
	EXPECT_EQ(5, qkd_secy_dump(self->ctx, find_secy_sa, &secy));
	EXPECT_EQ(0, memcmp(secy.key_id, sa.key_id, sizeof(sa.key_id)));
	EXPECT_EQ(2, secy.an);
	EXPECT_EQ(1, secy.pn);
	EXPECT_EQ(sa.sci, secy.sci);
	EXPECT_EQ(0, qkd_macsec_dump(self->ctx, count_macsec, &count));
	EXPECT_EQ(1, count);
	count = 0;
	EXPECT_EQ(0, qkd_macsec_sa_dump(self->ctx, count_macsec_sa, &count));
	EXPECT_EQ(1, count);

	EXPECT_EQ(0, qkd_macsec_sa_del(self->ctx, &sa));
	EXPECT_EQ(0, qkd_macsec_sa_wait_gone(self->ctx, &sa, 30000));
	EXPECT_EQ(-ENOENT, qkd_macsec_sa_get(self->ctx, &sa));
	EXPECT_EQ(0, qkd_macsec_get(self->ctx, sa.ifindex, &macsec));
	EXPECT_EQ(60000, macsec.max_time);
	EXPECT_EQ(1, macsec.installed);
	EXPECT_EQ(1, macsec.removed);
	EXPECT_EQ(0, qkd_macsec_unbind(self->ctx, sa.ifindex));
	EXPECT_EQ(0, qkd_macsec_wait(self->ctx, sa.ifindex, 30000));
	EXPECT_EQ(-ENOENT, qkd_macsec_unbind(self->ctx, sa.ifindex));
	ASSERT_EQ(0, system("ip link del mv0"));
}

static int count_wg(const struct qkd_wg *wg, void *arg)
{
	*(int *)arg += !strcmp(wg->link_name, "la");
	return 0;
}

TEST_F(pair, wireguard)
{
	struct qkd_wg wg = { .has = QKD_HAS(QKD_A_WG_MAX_TIME) |
				    QKD_HAS(QKD_A_WG_HOLD),
			     .max_time = 60000,
			     .hold = 1 };
	struct qkd_wg other = wg;
	enum qkd_verdict verdict;
	int count = 0;

	memset(wg.peer, 0x42, sizeof(wg.peer));
	memset(other.peer, 0x43, sizeof(other.peer));
	ASSERT_EQ(0, system("ip link add wgl type wireguard"));
	ASSERT_EQ(0, supply(self, QKD_STREAM_A2B_KEY, false, &verdict));
	wg.ifindex = if_nametoindex("wgl");
	other.ifindex = wg.ifindex;
	ASSERT_EQ(0, qkd_wg_set(self->ctx, self->alice, &wg));
	EXPECT_NE(0, wg.number);
	EXPECT_EQ(-ENOKEY, qkd_wg_wait(self->ctx, &wg, 30000));
	EXPECT_STREQ("the device has no private key",
		     qkd_error_text(self->ctx));
	EXPECT_EQ(QKD_WG_STATE_FAILED, wg.state);

	/* the peer's key is 32 times B */
	ASSERT_EQ(
		0,
		system("umask 077; wg genkey >wgl.key && "
		       "wg set wgl private-key wgl.key && rm wgl.key && "
		       "wg set wgl peer QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI="));
	ASSERT_EQ(0, qkd_wg_set(self->ctx, self->alice, &other));
	EXPECT_EQ(-ENODEV, qkd_wg_wait(self->ctx, &other, 30000));
	EXPECT_STREQ("the device has no such peer", qkd_error_text(self->ctx));
	EXPECT_EQ(0, qkd_wg_del(self->ctx, &other));
	EXPECT_EQ(0, qkd_wg_wait_gone(self->ctx, &other, 30000));

	wg.has = QKD_HAS(QKD_A_WG_HOLD);
	wg.hold = 1;
	ASSERT_EQ(0, qkd_wg_set(self->ctx, self->alice, &wg));
	ASSERT_EQ(0, qkd_wg_wait(self->ctx, &wg, 30000));
	EXPECT_EQ(QKD_WG_STATE_HELD, wg.state);
	ASSERT_TRUE(wg.has & QKD_HAS(QKD_A_WG_HELD));
	EXPECT_FALSE(wg.has & QKD_HAS(QKD_A_WG_KEY_ID));
	EXPECT_EQ(60000, wg.max_time);
	EXPECT_EQ(-EEXIST, qkd_wg_set(self->ctx, self->bob, &wg));
	EXPECT_STREQ("peer", qkd_error_attribute(self->ctx));

	memcpy(wg.key_id, wg.held, sizeof(wg.key_id));
	wg.has = QKD_HAS(QKD_A_WG_KEY_ID);
	ASSERT_EQ(0, qkd_wg_set(self->ctx, self->alice, &wg));
	ASSERT_EQ(0, qkd_wg_wait(self->ctx, &wg, 30000));
	EXPECT_EQ(QKD_WG_STATE_INSTALLED, wg.state);
	EXPECT_EQ(1, wg.installed);
	EXPECT_EQ(0, wg.confirmed);
	EXPECT_EQ(0, qkd_wg_dump(self->ctx, count_wg, &count));
	EXPECT_EQ(1, count);
	EXPECT_EQ(0, qkd_wg_del(self->ctx, &wg));
	EXPECT_EQ(0, qkd_wg_wait_gone(self->ctx, &wg, 30000));
	EXPECT_EQ(-ENOENT, qkd_wg_get(self->ctx, &wg));
	EXPECT_EQ(-ENOENT, qkd_wg_del(self->ctx, &wg));
	ASSERT_EQ(0, system("ip link del wgl"));
}

TEST_F(pair, sas_with_aes_keys)
{
	struct qkd_esp esp = sender, got = {};
	enum qkd_verdict verdict;
	int count = 0;

	ASSERT_EQ(0, supply(self, QKD_STREAM_A2B_KEY, false, &verdict));
	esp.has |= QKD_HAS(QKD_A_ESP_REKEY_PACKETS) |
		   QKD_HAS(QKD_A_ESP_REKEY_TIME) |
		   QKD_HAS(QKD_A_ESP_EPOCH_BYTES) | QKD_HAS(QKD_A_ESP_WEIGHT) |
		   QKD_HAS(QKD_A_ESP_PARK_TIME) | QKD_HAS(QKD_A_ESP_ENCAP) |
		   QKD_HAS(QKD_A_ESP_LIFETIME);
	esp.rekey_packets = 1000;
	esp.rekey_time = 100;
	esp.epoch_bytes = UINT64_C(1) << 35;
	esp.weight = 3;
	esp.park_time = 20;
	esp.encap = (struct qkd_encap){
		.has = QKD_HAS(QKD_A_ENCAP_SPORT) | QKD_HAS(QKD_A_ENCAP_DPORT),
		.sport = 4500,
		.dport = 4501,
	};
	esp.lifetime = (struct qkd_lifetime){
		.has = QKD_HAS(QKD_A_LIFETIME_SOFT_BYTES) |
		       QKD_HAS(QKD_A_LIFETIME_HARD_USE_TIME),
		.soft_bytes = 12345678901,
		.hard_use_time = 3600,
	};
	ASSERT_EQ(0, qkd_esp_add(self->ctx, self->alice, &esp, NULL));
	ASSERT_EQ(0, qkd_esp_get(self->ctx, self->alice, QKD_DIR_OUT, esp.spi,
				 &got));
	EXPECT_EQ(QKD_CIPHER_AES, got.cipher);
	EXPECT_EQ(1000, got.rekey_packets);
	EXPECT_EQ(100, got.rekey_time);
	EXPECT_EQ(0, got.has & QKD_HAS(QKD_A_ESP_REKEY_BYTES));
	EXPECT_EQ(0, got.has & QKD_HAS(QKD_A_ESP_REKEY_AUTO));
	EXPECT_EQ(QKD_REKEY_PACKETS_MAX, got.epoch_packets);
	EXPECT_EQ(UINT64_C(1) << 35, got.epoch_bytes);
	EXPECT_EQ(QKD_REKEY_TIME_MAX, got.epoch_time);
	EXPECT_EQ(3, got.weight);
	EXPECT_EQ(20, got.park_time);
	EXPECT_EQ(4500, got.encap.sport);
	EXPECT_EQ(4501, got.encap.dport);
	EXPECT_EQ(esp.lifetime.has, got.lifetime.has);
	EXPECT_EQ(12345678901, got.lifetime.soft_bytes);
	EXPECT_EQ(3600, got.lifetime.hard_use_time);
	EXPECT_TRUE(got.has & QKD_HAS(QKD_A_ESP_EPOCHS));
	EXPECT_EQ(0, got.epochs);
	EXPECT_EQ(0, got.has & QKD_HAS(QKD_A_ESP_EPOCH));
	EXPECT_LT(0, got.key_left);
	EXPECT_TRUE(got.refused.has & QKD_HAS(QKD_A_ESP_REFUSED_LIMIT));

	/* of the intervals, those that are not given end */
	esp.has = QKD_HAS(QKD_A_ESP_REKEY_AUTO) | QKD_HAS(QKD_A_ESP_WEIGHT);
	esp.rekey_auto = 1;
	esp.weight = 4;
	ASSERT_EQ(0, qkd_esp_set(self->ctx, self->alice, QKD_DIR_OUT, esp.spi,
				 &esp));
	ASSERT_EQ(0, qkd_esp_get(self->ctx, self->alice, QKD_DIR_OUT, esp.spi,
				 &got));
	EXPECT_EQ(1, got.rekey_auto);
	EXPECT_EQ(0, got.rekey_packets);
	EXPECT_EQ(4, got.weight);
	EXPECT_EQ(20, got.park_time);

	/* errors name what is in a nest, and what an operation does not take */
	esp = sender;
	esp.spi++;
	esp.has |= QKD_HAS(QKD_A_ESP_LIFETIME);
	esp.lifetime.has = QKD_HAS(QKD_A_LIFETIME_SOFT_BYTES) |
			   QKD_HAS(QKD_A_LIFETIME_HARD_BYTES);
	esp.lifetime.soft_bytes = 2;
	esp.lifetime.hard_bytes = 1;
	EXPECT_EQ(-EINVAL, qkd_esp_add(self->ctx, self->alice, &esp, NULL));
	EXPECT_STREQ("lifetime.soft-bytes", qkd_error_attribute(self->ctx));
	esp = sender;
	esp.has |= QKD_HAS(QKD_A_ESP_ENCAP);
	esp.encap.has = QKD_HAS(QKD_A_ENCAP_SPORT);
	esp.encap.sport = 4500;
	EXPECT_EQ(-EINVAL, qkd_esp_add(self->ctx, self->alice, &esp, NULL));
	EXPECT_STREQ("encap.dport", qkd_error_attribute(self->ctx));
	EXPECT_EQ(-EINVAL, qkd_esp_set(self->ctx, self->alice, QKD_DIR_OUT,
				       sender.spi, &sender));

	ASSERT_EQ(0, qkd_esp_add(self->ctx, self->bob,
				 &(struct qkd_esp){
					 .has = sender.has,
					 .cipher = QKD_CIPHER_OTP,
					 .dir = QKD_DIR_OUT,
					 .spi = 0xabc125,
					 .src = sender.dst,
					 .dst = sender.src,
					 .mode = sender.mode,
				 },
				 NULL));
	ASSERT_EQ(0, qkd_esp_flush(self->ctx, &self->alice));
	ASSERT_EQ(0, qkd_esp_dump(self->ctx, count_sas, &count));
	EXPECT_EQ(1, count);
	ASSERT_EQ(0, qkd_esp_flush(self->ctx, NULL));
	count = 0;
	ASSERT_EQ(0, qkd_esp_dump(self->ctx, count_sas, &count));
	EXPECT_EQ(0, count);
}

/* How many keys that the library made the kernel shows. */
static int count_keys(void)
{
	char line[512];
	int count = 0;
	FILE *keys;

	keys = fopen("/proc/keys", "r");
	if (!keys)
		return -1;
	while (fgets(line, sizeof(line), keys))
		if (strstr(line, "logon") && strstr(line, "qkd:"))
			count++;
	fclose(keys);
	return count;
}

/* Removed keys go from there a moment later. */
static int count_keys_after_a_while(void)
{
	int i;

	for (i = 0; i < 50 && count_keys(); i++)
		usleep(100000);
	return count_keys();
}

TEST_F(pair, secrets)
{
	static uint8_t secret[1025];
	struct qkd_esp esp = sender, got;
	enum qkd_verdict verdict;

	ASSERT_EQ(0, supply(self, QKD_STREAM_A2B_KEY, false, &verdict));
	ASSERT_EQ((ssize_t)sizeof(secret),
		  getrandom(secret, sizeof(secret), 0));
	ASSERT_EQ(0, count_keys_after_a_while());
	esp.cipher = QKD_CIPHER_HYBRID;
	EXPECT_EQ(-EINVAL, qkd_esp_add(self->ctx, self->alice, &esp, NULL));
	EXPECT_STREQ("secret", qkd_error_attribute(self->ctx));

	esp.has |= QKD_HAS(QKD_A_ESP_SECRET);
	EXPECT_EQ(-EINVAL, qkd_esp_add(self->ctx, self->alice, &esp, NULL));
	esp.secret_name = "qkd:nothing";
	EXPECT_EQ(-ENOKEY, qkd_esp_add(self->ctx, self->alice, &esp, NULL));
	EXPECT_STREQ("secret", qkd_error_attribute(self->ctx));
	EXPECT_NE('\0', qkd_error_text(self->ctx)[0]);
	esp.secret_name = NULL;
	esp.secret = secret;
	esp.secret_len = 0;
	EXPECT_EQ(-EINVAL, qkd_esp_add(self->ctx, self->alice, &esp, NULL));
	EXPECT_STREQ("secret", qkd_error_attribute(self->ctx));
	EXPECT_NE('\0', qkd_error_text(self->ctx)[0]);
	for (esp.secret_len = 31; esp.secret_len < 2000;
	     esp.secret_len += 1025 - 31) {
		EXPECT_EQ(-ERANGE,
			  qkd_esp_add(self->ctx, self->alice, &esp, NULL));
		EXPECT_STREQ("secret", qkd_error_attribute(self->ctx));
	}

	esp.secret_len = 1024;
	ASSERT_EQ(0, qkd_esp_add(self->ctx, self->alice, &esp, NULL));
	ASSERT_EQ(0, qkd_esp_get(self->ctx, self->alice, QKD_DIR_OUT, esp.spi,
				 &got));
	EXPECT_EQ(QKD_CIPHER_HYBRID, got.cipher);
	EXPECT_EQ(1, got.secret_number);
	EXPECT_EQ(0, got.has & QKD_HAS(QKD_A_ESP_SECRET));

	esp.has = QKD_HAS(QKD_A_ESP_SECRET) | QKD_HAS(QKD_A_ESP_SECRET_NUMBER);
	esp.secret_len = 32;
	esp.secret_number = 2;
	EXPECT_EQ(0, qkd_esp_set(self->ctx, self->alice, QKD_DIR_OUT, esp.spi,
				 &esp));
	EXPECT_EQ(0, in_heap(secret, 16));
	EXPECT_EQ(0, in_heap(secret + 1008, 16));
	EXPECT_EQ(0, count_keys_after_a_while());
	EXPECT_EQ(0, qkd_esp_flush(self->ctx, &self->alice));
}

TEST_F(pair, binds)
{
	struct qkd_esp esp = sender, got;
	uint8_t bind[QKD_BIND_LEN];

	ASSERT_EQ((ssize_t)sizeof(bind), getrandom(bind, sizeof(bind), 0));
	ASSERT_EQ(0, count_keys_after_a_while());
	esp.has |= QKD_HAS(QKD_A_ESP_BIND);
	EXPECT_EQ(-EINVAL, qkd_esp_add(self->ctx, self->alice, &esp, NULL));
	esp.bind_name = "qkd:nothing";
	EXPECT_EQ(-ENOKEY, qkd_esp_add(self->ctx, self->alice, &esp, NULL));
	EXPECT_STREQ("bind", qkd_error_attribute(self->ctx));

	esp.bind = bind;
	ASSERT_EQ(0, qkd_esp_add(self->ctx, self->alice, &esp, NULL));
	ASSERT_EQ(0, qkd_esp_get(self->ctx, self->alice, QKD_DIR_OUT, esp.spi,
				 &got));
	EXPECT_EQ(0, got.has & QKD_HAS(QKD_A_ESP_BIND));
	EXPECT_EQ(0, in_heap(bind, sizeof(bind)));
	EXPECT_EQ(0, count_keys_after_a_while());

	esp.cipher = QKD_CIPHER_HYBRID;
	esp.spi++;
	esp.secret = (const uint8_t[32]){ 1 };
	esp.secret_len = 32;
	esp.has |= QKD_HAS(QKD_A_ESP_SECRET);
	EXPECT_EQ(-EINVAL, qkd_esp_add(self->ctx, self->alice, &esp, NULL));
	EXPECT_STREQ("bind", qkd_error_attribute(self->ctx));
	EXPECT_EQ(0, count_keys_after_a_while());
	EXPECT_EQ(0, qkd_esp_flush(self->ctx, &self->alice));
}

/* ---- events ---- */

struct seen {
	uint64_t types;
	uint64_t last_time;
	bool ordered;
};

static int see(const struct qkd_event *event, void *arg)
{
	struct seen *seen = arg;

	if (strcmp(event->link_name, "la"))
		return 0;
	seen->types |= UINT64_C(1) << event->type;
	if (event->time < seen->last_time)
		seen->ordered = false;
	seen->last_time = event->time;
	return event->type == QKD_EVENT_TYPE_LINK_DEL ? 7 : 0;
}

TEST(events)
{
	struct seen seen = { .ordered = true };
	struct qkd_monitor *monitor;
	struct pollfd pfd = { .events = POLLIN };
	struct qkd_link link = emu_pair();
	struct qkd_ctx *ctx;
	int err = 0;

	ASSERT_EQ(0, qkd_open(&ctx));
	delete_all(ctx);
	ASSERT_EQ(0, qkd_monitor_open(&monitor));
	pfd.fd = qkd_monitor_fd(monitor);
	/* it does not wait */
	ASSERT_EQ(0, qkd_monitor_read(monitor, see, &seen));

	ASSERT_EQ(0, qkd_link_new(ctx, &link, NULL));
	memset(&link, 0, sizeof(link));
	link.has = HAS_LINK(ADMIN);
	link.admin = QKD_ADMIN_DOWN;
	ASSERT_EQ(0, qkd_link_set(ctx, qkd_by_name("la"), &link));
	ASSERT_EQ(0, qkd_link_del(ctx, qkd_by_name("la")));
	while (!err && poll(&pfd, 1, 5000) == 1)
		err = qkd_monitor_read(monitor, see, &seen);
	EXPECT_EQ(7, err);
	EXPECT_TRUE(seen.ordered);
	EXPECT_NE(0, seen.last_time);
	EXPECT_TRUE(seen.types & UINT64_C(1) << QKD_EVENT_TYPE_LINK_NEW);
	EXPECT_TRUE(seen.types & UINT64_C(1) << QKD_EVENT_TYPE_LINK_UP);
	EXPECT_TRUE(seen.types & UINT64_C(1) << QKD_EVENT_TYPE_LINK_DOWN);
	qkd_monitor_close(monitor);
	qkd_close(ctx);
}

/* Whoever may not listen is told so. */
TEST(events_need_privilege)
{
	struct qkd_monitor *monitor;

	ASSERT_EQ(0, setegid(65534));
	ASSERT_EQ(0, seteuid(65534));
	EXPECT_EQ(-EPERM, qkd_monitor_open(&monitor));
}

TEST(closing_nothing)
{
	qkd_close(NULL);
	qkd_monitor_close(NULL);
}

TEST_HARNESS_MAIN
