// SPDX-License-Identifier: GPL-2.0-only
/*
 * Supply of a link of type user by a KME, whatever its protocol (supply.h).
 *
 * Each end is the master of the streams that it allocates from (tx) and the
 * slave of the others (rx). For one block of tx the master
 *
 *	IDLE	sees that a stream is below its mark,
 *	GETTING	gets new keys from its KME, in as many calls as that takes,
 *	OFFERED	tells the peer stream, offset, length and IDs (SUPPLY), and
 *		waits for its word (SUPPLIED),
 *	WRITING	if that is WRITTEN, writes tx.
 *
 * The slave gets the keys
 * by their IDs, writes rx and only then says WRITTEN: tx never has what rx has
 * not. That both ends wrote the same is proved afterwards, as for any block
 * (block.c).
 *
 * One block is on its way per direction. Its keys are concatenated in the order
 * of their IDs; the first @length bytes are the block, the next 16 the bytes
 * for its tag (if the link confirms), the rest is wiped.
 *
 * Where each end is in a stream, its kernel knows; nobody else keeps offsets,
 * and an end that was written never goes back. So whatever is lost, the next
 * SUPPLY finds out, and the end that is behind gives up what lies between by a
 * gap:
 *
 *	The slave is behind: it gaps up to the offset, then goes on.
 *	The slave is ahead: it says ELSEWHERE and where; the master gaps up to
 *	there and offers the same keys for the next offset. The slave's block
 *	there waits without a partner, and block.c gives it up (verdict lost).
 *	A gap over a segment's head takes the segment along; then the one who
 *	has made it is ahead, and the other follows by the same rules.
 *
 * Lost can be, at each step: the connection; either daemon; either KME; the
 * generation. What is left then:
 *
 *	master GETTING		No offset was used. The keys are wiped.
 *	SUPPLY under way, or
 *	slave gets the keys	Neither wrote. On a lost connection both wipe
 *				and forget; the next block has the same offset.
 *	slave wrote, SUPPLIED
 *	under way		The master does not know and wipes. rx is
 *				ahead: ELSEWHERE, gap in tx, verdict lost.
 *	master WRITING		The same.
 *	master wrote		Both have it; block.c goes on where it was.
 *
 * A KME that fails at the master delays it; one that fails at the slave delays
 * the slave, which asks for the same keys again, and the master waits. If it is
 * of no use to ask again, the slave says REFUSED, and the keys are given up at
 * both ends before any was written. If it cannot ask or write at all, it says
 * LATER, and the master offers the same keys again. The master says a number
 * with each SUPPLY, so that an answer to one that it has forgotten is not taken
 * for another's. A SUPPLY while the slave still works on one takes its place.
 *
 * A key that a KME gives twice would be one pad for two texts: its ID was seen.
 * What was seen is known as long as the daemon runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "../../lib/etsi014/etsi014.h"
#include "../common/log.h"
#include "qkdd.h"
#include "supply.h"

#define BACKOFF_MIN 250 /* ms after an error, twice that after the next, ... */
#define BACKOFF_MAX 30000
#define FILL_TIME \
	60000 /* ms to get a block's keys; then a shorter one will do */
#define PEER_TIME 10000 /* ms for the peer; then it is logged */
#define BLOCKS_AHEAD 16 /* blocks that wait for confirmation */
#define KEY_SEGMENT (64 << 10)
#define PAD_SEGMENT (1 << 20)
#define KEY_STEP 32
#define PAD_STEP 16

enum step {
	STEP_IDLE,
	STEP_GETTING,
	STEP_OFFERED,
	STEP_WRITING,
};

/**
 * struct pause - when a KME may be asked again
 * @ms: the last one, 0 after success
 * @until: as now_ms()
 */
struct pause {
	uint32_t ms;
	int64_t until;
};

/**
 * struct batch - a block's keys, at either end
 * @supply: whose
 * @call: of the supplier, or NULL
 * @keys: with room for @wanted of them; @keys->count have come
 * @wanted: how many it shall be
 * @stream: enum qkd_stream
 * @offset: of the block
 * @length: of the block
 * @label: of the generation
 * @number: of the SUPPLY
 * @since: when the first key came (master), or SUPPLY went out, as now_ms()
 * @pause: the KME failed
 * @failures: of the KME, since the last key
 * @error: of the KME, that was logged last
 */
struct batch {
	struct supply *supply;
	void *call;
	struct supply_keys *keys;
	unsigned int wanted;
	uint32_t label;
	uint32_t stream;
	uint64_t offset;
	uint32_t length;
	uint64_t number;
	int64_t since;
	struct pause pause;
	uint64_t failures;
	int error;
};

enum supply_complaint {
	SAID_GET = 1 << 0,
	SAID_BY_IDS = 1 << 1,
	SAID_NODE = 1 << 2,
	SAID_WRITE = 1 << 3,
	SAID_PEER = 1 << 4,
	SAID_PEER_SLOW = 1 << 5,
	SAID_DRIVEN = 1 << 6,
	SAID_HELLO = 1 << 7,
	SAID_IDS = 1 << 8,
};

/**
 * struct supply - supply of a link
 * @link: the link
 * @config: section of its KME
 * @ops: of the KME's protocol
 * @supplier: of @ops, or NULL
 * @node: the link's node, or -1
 * @node_index: of the link that it belongs to
 * @generation: G* that the batches are for
 * @step: of the master
 * @tx: the master's batch
 * @rx: the slave's batch; @rx.keys is NULL if there is none
 * @refused: the peer did not take the last batch, or we could not write it
 * @told: what the peer's supplier was told on this connection
 * @written: blocks that this end has written, by enum qkd_stream
 * @said: complaints that were logged, enum supply_complaint
 */
struct supply {
	struct link *link;
	struct kme_config config;
	const struct supply_ops *ops;
	void *supplier;
	int node;
	uint32_t node_index;
	uint8_t generation[QKD_HASH_LEN];
	enum step step;
	struct batch tx;
	struct batch rx;
	struct pause refused;
	char told[NAME_LEN + 1];
	uint64_t written[STREAMS];
	unsigned int said;
};

/* IDs that were used, whatever link it was for. */
static struct seen *seen;

/* Of the last SUPPLY, whatever link it was about. */
static uint64_t last_number;

static void supply_complain(struct supply *s, unsigned int what, bool wrong,
			    const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* systemd hears of it, too. */
static void supply_complain(struct supply *s, unsigned int what, bool wrong,
			    const char *format, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (wrong != !!(s->said & what))
		status_changed();
	complain(s->link->config.name, &s->said, what, wrong, "%s", text);
}

/**
 * supply_ops_of - the protocol of a name
 * @type: its name
 *
 * Return: the protocol, or NULL.
 */
const struct supply_ops *supply_ops_of(const char *type)
{
	static const struct supply_ops *const all[] = { &supply_014,
							&supply_004,
							&supply_skip };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		if (!strcmp(all[i]->type, type))
			return all[i];
	return NULL;
}

/**
 * supply_keys_new - room for keys
 * @count: how many
 * @size: of each, in bytes
 *
 * Return: keys for supply_keys_free(), or NULL.
 */
struct supply_keys *supply_keys_new(unsigned int count, size_t size)
{
	struct supply_keys *keys = calloc(1, sizeof(*keys));

	if (!keys)
		return NULL;
	keys->count = count;
	keys->size = size;
	keys->ids = calloc(count, sizeof(*keys->ids));
	keys->bytes = etsi014_secret_new(count * size);
	if (keys->ids && keys->bytes)
		return keys;
	supply_keys_free(keys);
	return NULL;
}

/**
 * supply_keys_free - wipe keys
 * @keys: or NULL
 */
void supply_keys_free(struct supply_keys *keys)
{
	if (!keys)
		return;
	etsi014_secret_free(keys->bytes, keys->count * keys->size);
	free(keys->ids);
	free(keys);
}

/*
 * What both ends do
 */

static uint32_t step_of(uint32_t stream)
{
	return stream & 1 ? KEY_STEP : PAD_STEP;
}

static uint64_t segment_of(uint32_t stream)
{
	return stream & 1 ? KEY_SEGMENT : PAD_SEGMENT;
}

/* Bytes behind a block, for its tag. */
static uint32_t tag_len(const struct link *link)
{
	return link->here.confirm == QKD_CONFIRM_TAG ? QKD_TAG_LEN : 0;
}

static const struct qkd_stat *stat_of(const struct supply *s, uint32_t stream)
{
	const struct qkd_link *here = &s->link->here;
	uint32_t i;

	for (i = 0; i < here->nstats; i++)
		if (here->stat[i].stream == stream)
			return &here->stat[i];
	return NULL;
}

/* A while, up to half of which is chance: not all ask at the same time. */
static void pause_more(struct pause *pause)
{
	uint32_t chance = 0;

	pause->ms = pause->ms ? pause->ms * 2 : BACKOFF_MIN;
	if (pause->ms > BACKOFF_MAX)
		pause->ms = BACKOFF_MAX;
	RAND_bytes((unsigned char *)&chance, sizeof(chance));
	pause->until = now_ms() + pause->ms - chance % (pause->ms / 2);
}

static bool pause_is_over(const struct pause *pause)
{
	return now_ms() >= pause->until;
}

/* The batch's keys are given up; a pause outlives that. */
static void batch_drop(struct batch *batch)
{
	struct supply *s = batch->supply;

	if (batch->call)
		s->ops->cancel(s->supplier, batch->call);
	batch->call = NULL;
	if (batch->keys) /* wiped as a whole, however many have come */
		batch->keys->count = batch->wanted;
	supply_keys_free(batch->keys);
	batch->keys = NULL;
}

static bool batch_new(struct batch *batch, unsigned int wanted, size_t size)
{
	batch->keys = supply_keys_new(wanted, size);
	if (!batch->keys)
		return false;
	batch->wanted = wanted;
	batch->keys->count = 0;
	return true;
}

static void batch_take(struct batch *batch, const struct supply_keys *keys)
{
	struct supply_keys *all = batch->keys;

	memcpy(all->ids + all->count, keys->ids,
	       keys->count * sizeof(*keys->ids));
	memcpy(all->bytes + all->count * all->size, keys->bytes,
	       keys->count * keys->size);
	all->count += keys->count;
}

/* A KME that works again, or does not, or in another way than before. */
static void kme_result(struct batch *batch, int err, const char *text)
{
	struct supply *s = batch->supply;
	bool tx = batch == &s->tx;
	unsigned int what = tx ? SAID_GET : SAID_BY_IDS;

	if (!err && s->said & what)
		log_info("%s: KME %s gives %s again, after %llu failures",
			 s->link->config.name, s->config.name,
			 tx ? "keys" : "the peer's keys",
			 (unsigned long long)batch->failures);
	if (err != batch->error)
		s->said &= ~what;
	batch->error = err;
	batch->failures = err ? batch->failures + 1 : 0;
	supply_complain(s, what, err, "KME %s does not give %s: %s",
			s->config.name, tx ? "keys" : "the peer's keys", text);
	if (err)
		pause_more(&batch->pause);
	else
		batch->pause = (struct pause){};
}

static int write_gap(struct supply *s, uint32_t stream, uint32_t label,
		     uint64_t offset)
{
	int err = qkd_node_gap(s->node, label, stream, offset);

	supply_complain(s, SAID_WRITE, err,
			"a gap cannot be written to its node: %s",
			strerror(-err));
	return err;
}

/* A stream stands still in a segment that was given up, for its age, say: the
 * rest of it is no place for a block.
 */
static void leave_segment(struct supply *s, const struct batch *batch)
{
	uint64_t segment = segment_of(batch->stream);

	if (batch->offset % segment)
		write_gap(s, batch->stream, batch->label,
			  (batch->offset / segment + 1) * segment);
}

static int write_block(struct supply *s, const struct batch *batch)
{
	struct qkd_block block = {
		.label = batch->label,
		.stream = batch->stream,
		.offset = batch->offset,
		.length = batch->length,
	};
	const uint8_t *bytes = batch->keys->bytes;
	int err;

	err = qkd_node_supply(s->node, &block, bytes,
			      tag_len(s->link) ? bytes + batch->length : NULL);
	supply_complain(s, SAID_WRITE, err && err != -ESTALE,
			"a block cannot be written to its node: %s",
			strerror(-err));
	if (!err)
		s->written[batch->stream]++;
	else if (err == -ERANGE)
		leave_segment(s, batch);
	return err;
}

static void mark_seen(const struct supply_keys *keys)
{
	unsigned int i;

	for (i = 0; i < keys->count; i++)
		seen_add(seen, keys->ids[i]);
}

static const char *find_seen(const struct supply_keys *keys)
{
	unsigned int i;

	for (i = 0; i < keys->count; i++)
		if (seen_has(seen, keys->ids[i]))
			return keys->ids[i];
	return NULL;
}

/*
 * The master
 */

static void tx_reset(struct supply *s)
{
	batch_drop(&s->tx);
	s->step = STEP_IDLE;
	s->said &= ~SAID_PEER_SLOW;
}

/* How long a block may be that these bytes are for, there and now. */
static uint32_t block_length(const struct supply *s,
			     const struct qkd_stat *stat, uint64_t bytes)
{
	uint64_t segment = segment_of(stat->stream);
	uint64_t left = segment - stat->supplied % segment;
	uint32_t tag = tag_len(s->link);

	if (bytes <= tag || stat->live >= stat->capacity)
		return 0;
	bytes -= tag;
	if (bytes > left)
		bytes = left;
	if (bytes > stat->capacity - stat->live)
		bytes = stat->capacity - stat->live;
	if (bytes > QKD_SUPPLY_LEN_MAX)
		bytes = QKD_SUPPLY_LEN_MAX;
	return bytes - bytes % step_of(stat->stream);
}

static uint64_t low_of(const struct supply *s, uint32_t stream)
{
	return stream & 1 ? s->link->here.key_low : s->link->here.pad_low;
}

/* Fills to twice the low mark, and no further. */
static bool is_full(const struct supply *s, const struct qkd_stat *stat)
{
	uint64_t block = (uint64_t)s->config.batch * s->config.key_size / 8;

	return stat->live >= 2 * low_of(s, stat->stream) ||
	       stat->pending >= BLOCKS_AHEAD * block ||
	       !block_length(s, stat, block);
}

/* The tx stream that gets the next block: key to its low mark, then pad to its
 * own, then the emptier (DESIGN 3.7). NULL if none needs one.
 */
static const struct qkd_stat *choose(const struct supply *s)
{
	uint32_t first = s->link->here.role == QKD_ROLE_ALICE ?
				 QKD_STREAM_A2B_PAD :
				 QKD_STREAM_B2A_PAD;
	const struct qkd_stat *pad = stat_of(s, first);
	const struct qkd_stat *key = stat_of(s, first + 1);
	uint64_t pad_low = low_of(s, first), key_low = low_of(s, first + 1);

	if (!pad || !key)
		return NULL;
	if (is_full(s, key))
		return is_full(s, pad) ? NULL : pad;
	if (is_full(s, pad) || key->live < key_low)
		return key;
	if (pad->live < pad_low)
		return pad;
	return key->live * pad_low < pad->live * key_low ? key : pad;
}

static void on_keys(void *arg, int err, const char *text,
		    struct supply_keys *keys);

static void get_more(struct supply *s)
{
	struct batch *tx = &s->tx;
	unsigned int number = tx->wanted - tx->keys->count;

	if (number > s->ops->per_call)
		number = s->ops->per_call;
	tx->call = s->ops->get(s->supplier, number, tx->keys->size, on_keys, s);
}

static void begin_get(struct supply *s, const struct qkd_stat *stat)
{
	size_t size = s->config.key_size / 8;
	uint32_t length = block_length(s, stat, s->config.batch * size);

	if (!batch_new(&s->tx, (length + tag_len(s->link) + size - 1) / size,
		       size))
		return;
	s->tx.stream = stat->stream;
	s->step = STEP_GETTING;
	get_more(s);
}

static size_t pack_ids(const struct supply_keys *keys, uint8_t *to, size_t room)
{
	uint8_t *p = to;
	unsigned int i;
	size_t length;

	for (i = 0; i < keys->count; i++) {
		length = strlen(keys->ids[i]);
		if (1 + length > room)
			return 0;
		*p++ = length;
		memcpy(p, keys->ids[i], length);
		p += length;
		room -= 1 + length;
	}
	return p - to;
}

/* Of a block of the keys that have come. */
static uint32_t tx_length(const struct supply *s, const struct qkd_stat *stat)
{
	const struct supply_keys *keys = s->tx.keys;

	return block_length(s, stat, keys->count * keys->size);
}

/* The keys are there: which block they are, the stream says now. */
static void offer(struct supply *s)
{
	const struct qkd_stat *stat = stat_of(s, s->tx.stream);
	struct batch *tx = &s->tx;
	uint8_t ids[IDS_MAX];
	struct msg msg = {
		.type = MSG_SUPPLY,
		.label = s->link->here.label,
		.stream = tx->stream,
		.key_size = tx->keys->size,
		.number = ++last_number,
		.nids = tx->keys->count,
		.ids = ids,
		.ids_size = pack_ids(tx->keys, ids, sizeof(ids)),
	};

	supply_complain(
		s, SAID_IDS, !msg.ids_size,
		"the key IDs of KME %s do not fit: \"batch\" is too large",
		s->config.name);
	if (!msg.ids_size)
		pause_more(&s->refused);
	tx->length = stat ? tx_length(s, stat) : 0;
	if (!msg.ids_size || !tx->length) {
		tx_reset(s);
		return;
	}
	tx->offset = msg.offset = stat->supplied;
	msg.length = tx->length;
	tx->label = msg.label;
	tx->number = msg.number;
	tx->since = now_ms();
	s->step = STEP_OFFERED;
	link_send(s->link, &msg);
}

static void on_keys(void *arg, int err, const char *text,
		    struct supply_keys *keys)
{
	struct supply *s = arg;
	const char *twice = NULL;
	char why[SUPPLY_TEXT_LEN];

	s->tx.call = NULL;
	if (!err)
		twice = find_seen(keys);
	if (twice) {
		err = -EPROTO;
		snprintf(why, sizeof(why), "it gave key %.64s before", twice);
		text = why;
	}
	kme_result(&s->tx, err, text);
	if (!err) {
		if (!s->tx.keys->count)
			s->tx.since = now_ms();
		batch_take(&s->tx, keys);
		mark_seen(keys);
	}
	supply_keys_free(keys);
	link_soon(s->link);
}

/* Keys have come, but not all of them: more, or a block of those. */
static void tx_fill(struct supply *s)
{
	const struct qkd_stat *stat = stat_of(s, s->tx.stream);
	struct batch *tx = &s->tx;
	bool all = tx->keys->count == tx->wanted;
	bool late = tx->keys->count && now_ms() - tx->since > FILL_TIME;

	if (tx->call)
		return;
	if (all || (late && stat && tx_length(s, stat))) {
		if (pause_is_over(&s->refused))
			offer(s);
	} else if (pause_is_over(&tx->pause)) {
		get_more(s);
	}
}

/* The peer has the block. Where tx has no room for a moment, we have time. */
static void tx_write(struct supply *s)
{
	int err = write_block(s, &s->tx);

	if (err == -EAGAIN)
		return;
	if (err)
		pause_more(&s->refused);
	else
		s->refused = (struct pause){};
	tx_reset(s);
	link_soon(s->link);
}

static void tx_tick(struct supply *s)
{
	const struct qkd_stat *stat;

	switch (s->step) {
	case STEP_IDLE:
		stat = choose(s);
		if (stat && pause_is_over(&s->tx.pause) &&
		    pause_is_over(&s->refused))
			begin_get(s, stat);
		break;
	case STEP_GETTING:
		tx_fill(s);
		break;
	case STEP_OFFERED:
		supply_complain(s, SAID_PEER_SLOW,
				now_ms() - s->tx.since > PEER_TIME,
				"the peer does not get its keys: see its log");
		break;
	case STEP_WRITING:
		tx_write(s);
		break;
	}
}

/* The slave has bytes that we have not: give them up, here too. */
static void tx_elsewhere(struct supply *s, struct peer *peer, uint64_t next)
{
	if (next <= s->tx.offset || next % step_of(s->tx.stream)) {
		peer_refuse(peer, "moves a stream back");
		return;
	}
	log_info("%s: %s %llu to %llu is given up: only the peer has it",
		 s->link->config.name,
		 qkd_enum_name(QKD_ENUM_STREAM, s->tx.stream),
		 (unsigned long long)s->tx.offset, (unsigned long long)next);
	if (write_gap(s, s->tx.stream, s->tx.label, next)) {
		pause_more(&s->refused);
		tx_reset(s);
		return;
	}
	link_refresh(s->link);
	offer(s);
}

/* The peer's word on the block that was offered. */
static void tx_answer(struct supply *s, struct peer *peer,
		      const struct msg *msg)
{
	bool refused = msg->supply_answer == SUPPLY_REFUSED ||
		       msg->supply_answer == SUPPLY_LATER;

	if (s->step != STEP_OFFERED || msg->number != s->tx.number ||
	    msg->stream != s->tx.stream)
		return;
	supply_complain(s, SAID_PEER, refused,
			"the peer does not take keys of KME %s: see its log",
			s->config.name);
	if (refused)
		pause_more(&s->refused);
	switch (msg->supply_answer) {
	case SUPPLY_WRITTEN:
		if (msg->offset != s->tx.offset + s->tx.length) {
			peer_refuse(peer, "is about another block");
			break;
		}
		s->step = STEP_WRITING;
		tx_write(s);
		break;
	case SUPPLY_REFUSED:
		tx_reset(s);
		break;
	case SUPPLY_LATER:
		s->step = STEP_GETTING;
		break;
	case SUPPLY_ELSEWHERE:
		tx_elsewhere(s, peer, msg->offset);
		break;
	}
}

/*
 * The slave
 */

static void answer_to(const struct link *link, const struct msg *to,
		      enum supply_answer answer, uint64_t offset)
{
	struct msg msg = {
		.type = MSG_SUPPLIED,
		.label = to->label,
		.stream = to->stream,
		.number = to->number,
		.offset = offset,
		.supply_answer = answer,
	};

	link_send(link, &msg);
}

static void rx_answer(struct supply *s, enum supply_answer answer,
		      uint64_t offset)
{
	struct msg to = {
		.label = s->rx.label,
		.stream = s->rx.stream,
		.number = s->rx.number,
	};

	batch_drop(&s->rx);
	answer_to(s->link, &to, answer, offset);
}

static void on_peers_keys(void *arg, int err, const char *text,
			  struct supply_keys *keys);

static void rx_get(struct supply *s)
{
	struct batch *rx = &s->rx;
	unsigned int number = rx->wanted - rx->keys->count;

	if (number > s->ops->per_call)
		number = s->ops->per_call;
	rx->call = s->ops->by_ids(
		s->supplier, (const supply_id *)rx->keys->ids + rx->keys->count,
		number, rx->keys->size, on_peers_keys, s);
}

/* All of the block is there. Whatever else may have moved rx meanwhile, the
 * kernel takes it at its offset or not at all.
 */
static void rx_write(struct supply *s)
{
	enum supply_answer answer = SUPPLY_WRITTEN;

	if (write_block(s, &s->rx))
		answer = SUPPLY_REFUSED;
	mark_seen(s->rx.keys);
	rx_answer(s, answer, s->rx.offset + s->rx.length);
}

static bool is_final(int err)
{
	return err == -ENOENT || err == -EACCES || err == -EINVAL ||
	       err == -EPROTO || err == -EMSGSIZE;
}

static void on_peers_keys(void *arg, int err, const char *text,
			  struct supply_keys *keys)
{
	struct supply *s = arg;

	s->rx.call = NULL;
	kme_result(&s->rx, err, text);
	if (!err)
		batch_take(&s->rx, keys);
	supply_keys_free(keys);
	if (is_final(err))
		rx_answer(s, SUPPLY_REFUSED, s->rx.offset);
	else if (s->rx.keys->count == s->rx.wanted)
		rx_write(s);
	link_soon(s->link);
}

static void rx_tick(struct supply *s)
{
	if (s->rx.keys && !s->rx.call && pause_is_over(&s->rx.pause))
		rx_get(s);
}

/* Where rx is, after a gap up to the offset where that lies ahead. */
static uint64_t rx_position(struct supply *s, uint32_t stream, uint64_t offset)
{
	const struct qkd_stat *stat = stat_of(s, stream);

	if (!stat || stat->supplied >= offset)
		return stat ? stat->supplied : 0;
	log_info("%s: %s %llu to %llu is given up: only the peer has it",
		 s->link->config.name, qkd_enum_name(QKD_ENUM_STREAM, stream),
		 (unsigned long long)stat->supplied,
		 (unsigned long long)offset);
	if (write_gap(s, stream, s->link->here.label, offset))
		return 0;
	link_refresh(s->link);
	stat = stat_of(s, stream);
	return stat ? stat->supplied : 0;
}

/* The IDs of a SUPPLY, which are well-formed; false if one was used before. */
static bool rx_ids(struct supply *s, const struct msg *msg)
{
	const uint8_t *p = msg->ids;
	unsigned int i;

	for (i = 0; i < msg->nids; i++, p += 1 + *p) {
		memcpy(s->rx.keys->ids[i], p + 1, *p);
		if (!seen_has(seen, s->rx.keys->ids[i]))
			continue;
		log_error("%s: the peer names key %.64s, which was used",
			  s->link->config.name, s->rx.keys->ids[i]);
		return false;
	}
	return true;
}

/* Whether the message can be a block at all. */
static bool names_block(const struct link *link, const struct msg *msg)
{
	uint64_t bytes = (uint64_t)msg->nids * msg->key_size;

	return msg->length <= QKD_SUPPLY_LEN_MAX &&
	       msg->length % step_of(msg->stream) == 0 &&
	       msg->offset % step_of(msg->stream) == 0 &&
	       msg->length + tag_len(link) <= bytes;
}

static bool supply_ready(struct supply *s);

/* The peer has keys for us. */
static void rx_begin(struct supply *s, const struct msg *msg)
{
	uint64_t at;

	batch_drop(&s->rx);
	at = supply_ready(s) ? rx_position(s, msg->stream, msg->offset) : 0;
	if (!supply_ready(s) || at != msg->offset) {
		answer_to(s->link, msg,
			  at > msg->offset ? SUPPLY_ELSEWHERE : SUPPLY_LATER,
			  at);
		return;
	}
	s->rx.label = msg->label;
	s->rx.stream = msg->stream;
	s->rx.offset = msg->offset;
	s->rx.length = msg->length;
	s->rx.number = msg->number;
	if (batch_new(&s->rx, msg->nids, msg->key_size) && rx_ids(s, msg))
		rx_tick(s);
	else
		rx_answer(s, SUPPLY_REFUSED, msg->offset);
}

/**
 * supply_message - a message about supply has come
 * @link: link that it names
 * @peer: who has sent it
 * @msg: MSG_SUPPLY or MSG_SUPPLIED
 *
 * What is about another generation than ours was sent before the peer knew.
 */
void supply_message(struct link *link, struct peer *peer, const struct msg *msg)
{
	bool from_alice = msg->stream < QKD_STREAM_B2A_PAD;
	struct supply *s = link->supply;
	bool tx;

	link_refresh(link);
	tx = from_alice == (link->here.role == QKD_ROLE_ALICE);
	if (!link_same_gen(link) || link_is_driven(link) ||
	    msg->label != link->here.label)
		return;
	if (tx != (msg->type == MSG_SUPPLIED)) {
		peer_refuse(peer, "is for the other end of the stream");
	} else if (!tx && !names_block(link, msg)) {
		peer_refuse(peer, "names no block");
	} else if (!s) {
		link_complain(
			link, SAID_SUPPLY, true,
			"the peer has keys of a KME, but this end has no \"supply\"");
		if (!tx)
			answer_to(link, msg, SUPPLY_LATER, 0);
	} else if (tx) {
		tx_answer(s, peer, msg);
	} else {
		rx_begin(s, msg);
	}
}

/*
 * Both again
 */

static void say_node(struct supply *s, int err)
{
	supply_complain(s, SAID_NODE, err, "cannot open its node: %s%s",
			strerror(-err),
			err == -EBUSY  ? ": another program supplies it" :
			err == -EACCES ? ": the daemon has to be in group qkd" :
					 "");
}

static bool node_ready(struct supply *s)
{
	int fd;

	if (s->node >= 0 && s->node_index == s->link->here.index)
		return true;
	if (s->node >= 0)
		close(s->node);
	s->node = -1;
	fd = qkd_node_open(ctx, qkd_by_name(s->link->config.name),
			   O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	say_node(s, fd < 0 ? fd : 0);
	if (fd < 0)
		return false;
	s->node = fd;
	s->node_index = s->link->here.index;
	return true;
}

/* Can blocks be written now? What was for another generation is forgotten. */
static bool supply_ready(struct supply *s)
{
	struct link *link = s->link;

	supply_complain(
		s, SAID_DRIVEN, link->present && link_is_driven(link),
		"it has a driver: \"supply\" is for links of type user");
	if (!link_same_gen(link) || link_is_driven(link)) {
		supply_drop(link);
		return false;
	}
	if (memcmp(s->generation, link->here.generation, QKD_HASH_LEN)) {
		supply_drop(link);
		memcpy(s->generation, link->here.generation, QKD_HASH_LEN);
	}
	return node_ready(s);
}

/* The suppliers of both ends may have to know of each other before keys come. */
static void tell_supplier(struct supply *s)
{
	const char *hello = s->ops->hello ? s->ops->hello(s->supplier) : "";
	struct msg msg = { .type = MSG_SUPPLIER };

	if (!*hello || !strcmp(hello, s->told))
		return;
	strcpy(s->told, hello);
	strcpy(msg.hello, hello);
	link_send(s->link, &msg);
}

/**
 * supply_hello - the supplier at the other end of a link has something to say
 * @link: link
 * @msg: MSG_SUPPLIER
 */
void supply_hello(struct link *link, const struct msg *msg)
{
	struct supply *s = link->supply;

	if (s)
		supply_complain(
			s, SAID_HELLO,
			!s->ops->heard ||
				!s->ops->heard(s->supplier, msg->hello),
			"the peer's supplier is another one than KME %s",
			s->config.name);
}

/**
 * supply_tick - see to the supply of a link
 * @link: link that was looked at just now
 */
void supply_tick(struct link *link)
{
	struct supply *s = link->supply;

	if (!s || !supply_ready(s))
		return;
	tell_supplier(s);
	rx_tick(s);
	tx_tick(s);
}

/**
 * supply_drop - forget what is under way: the peer or the generation is gone
 * @link: link
 */
void supply_drop(struct link *link)
{
	struct supply *s = link->supply;

	if (!s)
		return;
	tx_reset(s);
	batch_drop(&s->rx);
	*s->told = '\0';
}

static void supply_free(struct supply *s)
{
	if (s->rx.keys) /* the peer waits for a word */
		rx_answer(s, SUPPLY_REFUSED, s->rx.offset);
	tx_reset(s);
	if (s->supplier)
		s->ops->close(s->supplier);
	if (s->node >= 0)
		close(s->node);
	free(s);
}

static struct supply *supply_new(struct link *link,
				 const struct kme_config *config)
{
	struct supply *s = calloc(1, sizeof(*s));
	char text[SUPPLY_TEXT_LEN];

	if (!seen)
		seen = seen_new();
	if (!s || !seen) {
		log_error("out of memory");
		exit(1);
	}
	s->link = link;
	s->config = *config;
	s->node = -1;
	s->tx.supply = s->rx.supply = s;
	s->ops = supply_ops_of(config->type);
	s->supplier = s->ops->open(&s->config, text);
	if (s->supplier)
		return s;
	log_error("%s: KME %s: %s", link->config.name, config->name, text);
	supply_free(s);
	return NULL;
}

/* Sections are zeroed before they are filled; their line does not count. */
static bool same_kme(const struct kme_config *a, const struct kme_config *b)
{
	struct kme_config moved = *b;

	moved.line = a->line;
	return !memcmp(a, &moved, sizeof(moved));
}

/**
 * supply_configure - take over a configuration, the first or another one
 * @link: link
 * @kme: section of its KME, NULL for none; stays with the caller
 *
 * One whose section says the same goes on, with the certificates that its files
 * hold now.
 */
void supply_configure(struct link *link, const struct kme_config *kme)
{
	struct supply *s = link->supply;

	if (s && kme && same_kme(&s->config, kme)) {
		s->ops->renew(s->supplier);
		return;
	}
	if (s)
		supply_free(s);
	link->supply = kme ? supply_new(link, kme) : NULL;
}

/**
 * supply_wrong - is something wrong with the supply of a link?
 * @link: link
 */
bool supply_wrong(const struct link *link)
{
	return link->supply && link->supply->said;
}

static const char *doing(const struct supply *s)
{
	switch (s->step) {
	case STEP_GETTING:
		return s->tx.call ? "its KME is asked" :
				    "its KME is left alone";
	case STEP_OFFERED:
		return "the peer gets its keys";
	case STEP_WRITING:
		return "tx has no room";
	default:
		return choose(s) ? "a block is due" : "nothing is due";
	}
}

/**
 * supply_tell - one line about a link's supply, for the log
 * @link: link
 */
void supply_tell(const struct link *link)
{
	const struct supply *s = link->supply;

	if (!s)
		return;
	log_info(
		"%s: supply by KME %s: %s; blocks written: a2b-pad %llu a2b-key %llu b2a-pad %llu b2a-key %llu; failures of the KME since the last keys: %llu, %llu by ID%s",
		link->config.name, s->config.name, doing(s),
		(unsigned long long)s->written[QKD_STREAM_A2B_PAD],
		(unsigned long long)s->written[QKD_STREAM_A2B_KEY],
		(unsigned long long)s->written[QKD_STREAM_B2A_PAD],
		(unsigned long long)s->written[QKD_STREAM_B2A_KEY],
		(unsigned long long)s->tx.failures,
		(unsigned long long)s->rx.failures,
		s->said ? "; something is wrong, see above" : "");
	if (s->ops->tell)
		s->ops->tell(s->supplier);
}
