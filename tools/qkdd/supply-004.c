// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keys of a KME by ETSI GS QKD 004: the chunks of streams. Each end opens a
 * stream of its own, from which it gets new keys, and connects to that of the
 * peer, from which it gets what the peer has got. The ID of a key is the
 * Key_stream_ID in hexadecimal, "/", and the chunk's index.
 *
 * A KME gives a chunk when both applications are there, so the peer has to know
 * our stream before there is a first key: that is what we say to it (hello). A
 * chunk is asked for once. If the answer is lost, nobody knows who has it: it is
 * given up, here by going on to the next index, and by its ID as if it were not
 * there.
 *
 * Each of the two streams has a connection, on which a call may wait for the KME
 * without keeping the other one from its keys.
 */
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../lib/etsi004/etsi004.h"
#include "../common/log.h"
#include "qkdd.h"
#include "supply.h"

#define HEX_LEN (2 * ETSI004_STREAM_LEN)
#define PEER_MS 250 /* until a KME is asked again whether the peer is there */
#define REDIAL_MS \
	2000 /* until a connection that waits for its use is made again */
#define PATIENCE 6000 /* ms for the peer to come, and for a chunk at its end */
#define ROOM 1024 /* for metadata, where nothing else is known */

enum state {
	STATE_CLOSED,
	STATE_CONNECTING,
	STATE_OPENING, /* OPEN_CONNECT */
	STATE_OPEN,
	STATE_GETTING, /* GET_KEY */
};

struct kme004;

/**
 * struct call - a key that is wanted
 * @list: of its side
 * @side: whose
 * @index: by its ID: of the chunk
 * @stream: likewise
 * @wrong: the ID is none
 * @size: bytes
 * @since: as now_ms()
 * @done: who is told
 * @arg: for it
 */
struct call {
	TAILQ_ENTRY(call) list;
	struct side *side;
	uint32_t index;
	uint8_t stream[ETSI004_STREAM_LEN];
	bool wrong;
	size_t size;
	int64_t since;
	supply_done_fn done;
	void *arg;
};

/**
 * struct side - a stream and its connection
 * @kme: whose
 * @own: it is we who have opened it
 * @calls: what is wanted of it, the oldest first
 * @state: how far it is
 * @fd: socket, or -1
 * @conn: its TLS end
 * @io: event of the socket
 * @timer: event: the end of our patience, or time to go on
 * @known: @stream counts
 * @stream: Key_stream_ID
 * @size: of its chunks
 * @index: own: of the next chunk; else of the one that is asked for
 * @room: for metadata
 * @lost: not own: the answer about chunk @index was lost
 * @refused: not own: chunk @index is not there, since when, or 0
 * @waits: for the peer's application
 */
struct side {
	struct kme004 *kme;
	bool own;
	TAILQ_HEAD(, call) calls;
	enum state state;
	int fd;
	struct etsi004_conn *conn;
	struct event *io;
	struct event *timer;
	bool known;
	uint8_t stream[ETSI004_STREAM_LEN];
	size_t size;
	uint32_t index;
	uint32_t room;
	bool lost;
	int64_t refused;
	bool waits;
};

/**
 * struct kme004 - a KME
 * @config: its section
 * @ours: the stream that we have opened
 * @peers: the one that the peer has
 * @hello: what the peer has to be told, or ""
 * @told: metadata of a chunk was logged
 * @metadata: of the last chunk
 */
struct kme004 {
	struct kme_config config;
	struct side ours;
	struct side peers;
	char hello[HEX_LEN + 1];
	bool told;
	struct etsi004_metadata metadata;
};

static void side_run(struct side *side);

/*
 * IDs
 */

static void stream_text(const uint8_t stream[ETSI004_STREAM_LEN],
			char text[HEX_LEN + 1])
{
	int i;

	for (i = 0; i < ETSI004_STREAM_LEN; i++)
		sprintf(text + 2 * i, "%02x", stream[i]);
}

/* Returns what follows, or NULL. In lower case, as stream_text() writes it. */
static const char *stream_parse(const char *text,
				uint8_t stream[ETSI004_STREAM_LEN])
{
	unsigned int byte;
	int i;

	if (strspn(text, "0123456789abcdef") != HEX_LEN)
		return NULL;
	for (i = 0; i < ETSI004_STREAM_LEN; i++) {
		sscanf(text + 2 * i, "%2x", &byte);
		stream[i] = byte;
	}
	return text + HEX_LEN;
}

static bool id_parse(const char *id, struct call *call)
{
	const char *rest = stream_parse(id, call->stream);
	char again[16];

	if (!rest || *rest++ != '/')
		return false;
	call->index = strtoul(rest, NULL, 10);
	snprintf(again, sizeof(again), "%u", call->index);
	return !strcmp(rest, again);
}

/*
 * What becomes of calls
 */

static struct call *first(const struct side *side)
{
	return TAILQ_FIRST(&side->calls);
}

static void finish(struct call *call, int err, const char *text,
		   struct supply_keys *keys)
{
	supply_done_fn done = call->done;
	void *arg = call->arg;

	TAILQ_REMOVE(&call->side->calls, call, list);
	free(call);
	done(arg, err, text, keys);
}

static void side_wait(struct side *side, int64_t ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	event_add(side->timer, &tv);
}

/* The stream is still known, and is opened again when it is wanted. */
static void hang_up(struct side *side)
{
	if (side->state == STATE_GETTING && side->own)
		side->index++;
	else if (side->state == STATE_GETTING)
		side->lost = true;
	if (side->io)
		event_free(side->io);
	side->io = NULL;
	etsi004_conn_free(side->conn);
	side->conn = NULL;
	if (side->fd >= 0)
		close(side->fd);
	side->fd = -1;
	side->state = STATE_CLOSED;
}

/* Whether there is anything to do: a key to get, or a stream of the peer that we
 * have to come to.
 */
static bool is_wanted(const struct side *side)
{
	return first(side) || (!side->own && side->known);
}

/* Whoever has waited longest is told; the rest is tried again after a while. */
static void fail(struct side *side, int err, const char *text)
{
	event_del(side->timer);
	side->waits = false;
	if (first(side))
		finish(first(side), err, text, NULL);
	if (is_wanted(side))
		side_wait(side, first(side) ? PEER_MS : REDIAL_MS);
}

static void broken(struct side *side, int err, const char *text)
{
	hang_up(side);
	fail(side, err, text);
}

/* A KME that does not know our stream any more gives us another one; the peer's is
 * what it is.
 */
static void forget_stream(struct side *side)
{
	if (!side->own)
		return;
	side->known = false;
	side->index = 0;
	*side->kme->hello = '\0';
}

/* What the KME says no to. The peer's chunk may be late, and may never come, if the
 * KME has forgotten it: for a while it is asked for again.
 */
static int refused(struct side *side, int err)
{
	if (side->own)
		return err;
	if (!side->refused)
		side->refused = now_ms();
	return now_ms() - side->refused > PATIENCE ? -ENOENT : err;
}

/*
 * Metadata
 */

static void say_metadata(const struct kme004 *kme)
{
	const struct etsi004_metadata *m = &kme->metadata;
	char age[32] = "of unknown age", hops[32] = "an unknown number of";

	if (m->has_age)
		snprintf(age, sizeof(age), "%" PRIu64 " ms old", m->age);
	if (m->has_hops)
		snprintf(hops, sizeof(hops), "%u", m->hops);
	log_info("KME %s: the last key was %s, and %s nodes have seen it",
		 kme->config.name, age, hops);
}

/* It is kept, and said when the way that keys take is another one. */
static void note_metadata(struct kme004 *kme, const struct etsi004_metadata *m)
{
	bool news = !kme->told || m->has_hops != kme->metadata.has_hops ||
		    m->hops != kme->metadata.hops;

	kme->told = true;
	kme->metadata = *m;
	if (news)
		say_metadata(kme);
}

/* Whether the way that a key has taken is one that the operator trusts. */
static int check_hops(const struct kme004 *kme,
		      const struct etsi004_metadata *m,
		      char text[SUPPLY_TEXT_LEN])
{
	if (kme->config.max_hops == KME_ANY_HOPS)
		return 0;
	if (m->has_hops && m->hops <= kme->config.max_hops)
		return 0;
	if (m->has_hops)
		snprintf(text, SUPPLY_TEXT_LEN,
			 "%u nodes have seen it, more than \"max-hops\"",
			 m->hops);
	else
		snprintf(
			text, SUPPLY_TEXT_LEN,
			"it does not say how many nodes have seen it, and there is \"max-hops\"");
	return -EACCES;
}

/*
 * Answers
 */

static struct supply_keys *keys_of(const struct side *side,
				   const struct etsi004_answer *answer)
{
	struct supply_keys *keys = supply_keys_new(1, answer->size);
	char stream[HEX_LEN + 1];

	if (!keys)
		return NULL;
	stream_text(side->stream, stream);
	snprintf(keys->ids[0], sizeof(keys->ids[0]), "%s/%u", stream,
		 answer->index);
	memcpy(keys->bytes, answer->key, answer->size);
	return keys;
}

static void on_chunk(struct side *side, struct etsi004_answer *answer)
{
	struct supply_keys *keys = NULL;
	char text[SUPPLY_TEXT_LEN] = "out of memory";
	int err;

	note_metadata(side->kme, &answer->metadata);
	err = check_hops(side->kme, &answer->metadata, text);
	if (!err && !side->own && answer->index != side->index) {
		snprintf(text, sizeof(text), "chunk %u came for chunk %u",
			 answer->index, side->index);
		err = -EPROTO;
	}
	if (!err) {
		keys = keys_of(side, answer);
		err = keys ? 0 : -ENOMEM;
	}
	if (side->own)
		side->index = answer->index + 1;
	side->refused = 0;
	etsi004_answer_free(answer);
	if (first(side))
		finish(first(side), err, err ? text : "", keys);
	else
		supply_keys_free(keys);
}

/* A chunk that is not there now. */
static void on_no_chunk(struct side *side, int err,
			const struct etsi004_answer *answer)
{
	struct call *call = first(side);

	if (err == -ENOBUFS && answer->metadata_size > side->room &&
	    answer->metadata_size <= ETSI004_METADATA_MAX) {
		side->room = answer->metadata_size;
		return;
	}
	if (err == -ENOTCONN && call && now_ms() - call->since < PATIENCE) {
		side->waits = true;
		return;
	}
	if (err == -ENETUNREACH || err == -EADDRINUSE || err == -ENOTCONN) {
		forget_stream(side);
		hang_up(side);
	}
	fail(side, refused(side, err), answer->text);
}

static void on_get(struct side *side, int err, struct etsi004_answer *answer)
{
	side->state = STATE_OPEN;
	side->waits = false;
	if (err)
		on_no_chunk(side, err, answer);
	else
		on_chunk(side, answer);
}

static void on_open(struct side *side, int err, struct etsi004_answer *answer)
{
	char text[SUPPLY_TEXT_LEN];

	if (err) {
		forget_stream(side);
		broken(side, refused(side, err), answer->text);
		return;
	}
	if (answer->qos.key_chunk_size != side->size) {
		snprintf(
			text, sizeof(text),
			"its chunks have %u bytes, not the %zu of \"key-size\"",
			answer->qos.key_chunk_size, side->size);
		broken(side, -EINVAL, text);
		return;
	}
	side->state = STATE_OPEN;
	side->known = true;
	memcpy(side->stream, answer->stream, sizeof(side->stream));
	if (side->own)
		stream_text(side->stream, side->kme->hello);
}

/*
 * Questions
 */

static int ask_open(struct side *side)
{
	const struct kme_config *config = &side->kme->config;
	struct etsi004_request request = {
		.call = ETSI004_OPEN_CONNECT,
		.qos = {
			.key_chunk_size = config->key_size / 8,
			.max_bps = config->max_bps,
			.min_bps = config->min_bps,
			.jitter = config->jitter,
			.priority = config->priority,
			.timeout = config->timeout / 2,
			.ttl = config->ttl / 1000,
			.mimetype = ETSI004_JSON,
		},
	};

	side->size = request.qos.key_chunk_size;
	strcpy(request.source, config->sae);
	strcpy(request.destination, config->peer_sae);
	if (side->known)
		memcpy(request.stream, side->stream, sizeof(request.stream));
	side->state = STATE_OPENING;
	return etsi004_conn_ask(side->conn, &request);
}

static int ask_get(struct side *side)
{
	struct etsi004_request request = {
		.call = ETSI004_GET_KEY,
		.qos.key_chunk_size = side->size,
		.index = side->index,
		.metadata_size = side->room,
	};

	memcpy(request.stream, side->stream, sizeof(request.stream));
	side->state = STATE_GETTING;
	return etsi004_conn_ask(side->conn, &request);
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
	struct side *side = arg;

	(void)fd;
	(void)what;
	side_run(side);
}

/* tls://ADDRESS:PORT, tls://[ADDRESS]:PORT; NULL for anything else. */
static struct addrinfo *resolve(const char *url)
{
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
	}, *ai = NULL;
	char host[sizeof(((struct kme_config *)0)->url)], *port;
	bool brackets;

	if (strncmp(url, "tls://", 6))
		return NULL;
	brackets = url[6] == '[';
	strcpy(host, url + 6 + brackets);
	port = strrchr(host, ':');
	if (!port)
		return NULL;
	*port++ = '\0';
	if (brackets && (port - host < 2 || port[-2] != ']'))
		return NULL;
	if (brackets)
		port[-2] = '\0';
	return getaddrinfo(host, port, &hints, &ai) ? NULL : ai;
}

static int dial(struct side *side, char text[SUPPLY_TEXT_LEN])
{
	struct addrinfo *ai;
	int err;

	ai = resolve(side->kme->config.url);
	if (!ai) {
		snprintf(text, SUPPLY_TEXT_LEN, "out of memory");
		return -ENOMEM;
	}
	side->fd = socket(ai->ai_family,
			  SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (side->fd >= 0 && connect(side->fd, ai->ai_addr, ai->ai_addrlen) &&
	    errno != EINPROGRESS) {
		err = errno;
		close(side->fd);
		side->fd = -1;
		errno = err;
	}
	freeaddrinfo(ai);
	if (side->fd < 0) {
		snprintf(text, SUPPLY_TEXT_LEN, "%s", strerror(errno));
		return -EHOSTUNREACH;
	}
	side->state = STATE_CONNECTING;
	side->io = event_new(base, side->fd, EV_WRITE, on_io, side);
	return side->io && !event_add(side->io, NULL) ? 0 : -ENOMEM;
}

static const char *or_null(const char *text)
{
	return *text ? text : NULL;
}

static struct etsi004 settings_of(const struct kme_config *config)
{
	return (struct etsi004){
		.ca = or_null(config->ca),
		.cert = or_null(config->certificate),
		.key = or_null(config->key),
		.name = or_null(config->certificate_name),
	};
}

static int connected(struct side *side, char text[SUPPLY_TEXT_LEN])
{
	struct etsi004 kme = settings_of(&side->kme->config);
	socklen_t size = sizeof(int);
	int err = 0;

	if (getsockopt(side->fd, SOL_SOCKET, SO_ERROR, &err, &size))
		err = errno;
	if (err) {
		snprintf(text, SUPPLY_TEXT_LEN, "%s", strerror(err));
		return -EHOSTUNREACH;
	}
	side->conn = etsi004_conn_new(&kme, side->fd, text);
	return side->conn ? 0 : -EINVAL;
}

/*
 * The state machine: as far as it goes now.
 */

static void use_stream(struct side *side,
		       const uint8_t stream[ETSI004_STREAM_LEN])
{
	hang_up(side);
	event_del(side->timer);
	side->lost = false;
	side->refused = 0;
	memcpy(side->stream, stream, sizeof(side->stream));
	side->known = true;
}

/* By its ID, a call may be for another stream than the last one. */
static int prepare(struct side *side, char text[SUPPLY_TEXT_LEN])
{
	const struct call *call = first(side);

	if (!call)
		return 0;
	if (call->size != side->kme->config.key_size / 8) {
		snprintf(
			text, SUPPLY_TEXT_LEN,
			"keys of %zu bytes are wanted, which is not \"key-size\"",
			call->size);
		return -EINVAL;
	}
	if (side->own)
		return 0;
	if (call->wrong) {
		snprintf(text, SUPPLY_TEXT_LEN,
			 "the peer's ID of a key is none of ETSI GS QKD 004");
		return -EINVAL;
	}
	if (!side->known ||
	    memcmp(side->stream, call->stream, sizeof(side->stream)))
		use_stream(side, call->stream);
	if (side->index != call->index) {
		side->index = call->index;
		side->lost = false;
		side->refused = 0;
	}
	if (!side->lost)
		return 0;
	snprintf(text, SUPPLY_TEXT_LEN,
		 "the answer about chunk %u was lost, and with it the key",
		 side->index);
	return -ENOENT;
}

/* -EINPROGRESS: wait for the socket. */
static int step(struct side *side, struct etsi004_answer *answer)
{
	int err;

	switch (side->state) {
	case STATE_CLOSED:
		err = dial(side, answer->text);
		return err ?: -EINPROGRESS;
	case STATE_CONNECTING:
		err = connected(side, answer->text);
		return err ?: ask_open(side);
	case STATE_OPEN:
		if (side->waits || !first(side)) /* does it go away? */
			return etsi004_conn_run(side->conn, answer);
		return ask_get(side);
	default:
		return etsi004_conn_run(side->conn, answer);
	}
}

static bool is_asking(enum state state)
{
	return state == STATE_OPENING || state == STATE_GETTING;
}

static void wait_for_socket(struct side *side)
{
	short events = EV_READ;

	if (side->conn && etsi004_conn_events(side->conn) == POLLOUT)
		events = EV_WRITE;
	if (side->state == STATE_CONNECTING)
		events = EV_WRITE;
	event_del(side->io);
	event_assign(side->io, base, side->fd, events, on_io, side);
	event_add(side->io, NULL);
	if (side->state != STATE_OPEN) {
		if (!evtimer_pending(side->timer, NULL))
			side_wait(side, side->kme->config.timeout);
	} else if (side->waits) {
		side_wait(side, PEER_MS);
	}
}

/* One step; false when the rest has to wait. */
static bool advance(struct side *side)
{
	struct etsi004_answer answer = {};
	enum state state;
	int err;

	err = prepare(side, answer.text);
	if (err) {
		fail(side, err, answer.text);
		return true;
	}
	if (side->state == STATE_CLOSED && !is_wanted(side))
		return false; /* until it is */
	state = side->state;
	err = step(side, &answer);
	if (err == -EINPROGRESS) {
		wait_for_socket(side);
		return false;
	}
	if (!is_asking(state)) {
		if (!err)
			return true; /* it has begun to ask */
		broken(side, err, answer.text);
		return false;
	}
	event_del(side->timer);
	if (err && !answer.has_status)
		broken(side, err, answer.text);
	else if (state == STATE_OPENING)
		on_open(side, err, &answer);
	else
		on_get(side, err, &answer);
	return side->state != STATE_CLOSED &&
	       !evtimer_pending(side->timer, NULL);
}

static void side_run(struct side *side)
{
	while (advance(side))
		;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct side *side = arg;

	(void)fd;
	(void)what;
	if (side->state == STATE_CLOSED || side->state == STATE_OPEN) {
		side->waits = false;
		side_run(side);
		return;
	}
	broken(side, -ETIMEDOUT, "the KME does not answer");
}

/*
 * For supply.c
 */

static void side_init(struct side *side, struct kme004 *kme, bool own)
{
	TAILQ_INIT(&side->calls);
	side->kme = kme;
	side->own = own;
	side->fd = -1;
	side->room = ROOM;
	side->timer = evtimer_new(base, on_timer, side);
}

/* The KME is told if that does not take waiting for. */
static void side_free(struct side *side)
{
	struct etsi004_request request = { .call = ETSI004_CLOSE };
	struct etsi004_answer answer;

	memcpy(request.stream, side->stream, sizeof(request.stream));
	if (side->state == STATE_OPEN &&
	    !etsi004_conn_ask(side->conn, &request))
		etsi004_conn_run(side->conn, &answer);
	hang_up(side);
	if (side->timer)
		event_free(side->timer);
}

static int check(const struct kme_config *config, char text[SUPPLY_TEXT_LEN])
{
	struct etsi004 kme = settings_of(config);
	struct addrinfo *ai = resolve(config->url);

	if (!ai) {
		snprintf(text, SUPPLY_TEXT_LEN,
			 "\"url\" is not tls://ADDRESS:PORT");
		return -1;
	}
	freeaddrinfo(ai);
	if (!*config->sae || !*config->peer_sae) {
		snprintf(text, SUPPLY_TEXT_LEN,
			 "it has not both \"sae\" and \"peer-sae\"");
		return -1;
	}
	return etsi004_check(&kme, text) ? -1 : 0;
}

static void close_kme(void *supplier)
{
	struct kme004 *kme = supplier;

	side_free(&kme->ours);
	side_free(&kme->peers);
	free(kme);
}

static void *open_kme(const struct kme_config *config,
		      char text[SUPPLY_TEXT_LEN])
{
	struct kme004 *kme = calloc(1, sizeof(*kme));

	snprintf(text, SUPPLY_TEXT_LEN, "out of memory");
	if (!kme || etsi004_init()) {
		free(kme);
		return NULL;
	}
	kme->config = *config;
	side_init(&kme->ours, kme, true);
	side_init(&kme->peers, kme, false);
	if (kme->ours.timer && kme->peers.timer)
		return kme;
	close_kme(kme);
	return NULL;
}

/* Certificates are read at each connection: where nothing is under way, now. */
static void renew(void *supplier)
{
	struct kme004 *kme = supplier;
	struct side *const sides[] = { &kme->ours, &kme->peers };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sides); i++) {
		if (sides[i]->state != STATE_OPEN)
			continue;
		hang_up(sides[i]);
		side_wait(sides[i], 0);
	}
}

static struct call *call_new(struct side *side, size_t size,
			     supply_done_fn done, void *arg)
{
	struct call *call = calloc(1, sizeof(*call));

	if (!call) {
		log_error("out of memory");
		exit(1);
	}
	call->side = side;
	call->size = size;
	call->since = now_ms();
	call->done = done;
	call->arg = arg;
	TAILQ_INSERT_TAIL(&side->calls, call, list);
	if (side->state == STATE_CLOSED || side->state == STATE_OPEN)
		side_wait(side, 0);
	return call;
}

static void *get(void *supplier, unsigned int number, size_t size,
		 supply_done_fn done, void *arg)
{
	struct kme004 *kme = supplier;

	(void)number; /* one will do */
	return call_new(&kme->ours, size, done, arg);
}

static void *by_ids(void *supplier, const supply_id *ids, unsigned int number,
		    size_t size, supply_done_fn done, void *arg)
{
	struct kme004 *kme = supplier;
	struct call *call = call_new(&kme->peers, size, done, arg);

	(void)number; /* it is 1, as per_call says */
	call->wrong = !id_parse(ids[0], call);
	return call;
}

/* What comes for it would be taken for the next one's. */
static void cancel(void *supplier, void *cancelled)
{
	struct call *call = cancelled;
	struct side *side = call->side;
	bool busy = call == first(side) && side->state == STATE_GETTING;

	(void)supplier;
	TAILQ_REMOVE(&side->calls, call, list);
	free(call);
	if (!busy)
		return;
	hang_up(side);
	event_del(side->timer);
	if (is_wanted(side))
		side_wait(side, 0);
}

static const char *hello(void *supplier)
{
	const struct kme004 *kme = supplier;

	return kme->hello;
}

/* The peer has opened a stream, and gets nothing of it before we come. */
static bool heard(void *supplier, const char *text)
{
	struct kme004 *kme = supplier;
	struct side *side = &kme->peers;
	uint8_t stream[ETSI004_STREAM_LEN];
	const char *rest = stream_parse(text, stream);

	if (!rest || *rest)
		return false;
	if (side->known && !memcmp(side->stream, stream, sizeof(stream)))
		return true;
	use_stream(side, stream);
	side_wait(side, 0);
	return true;
}

static void tell(const void *supplier)
{
	const struct kme004 *kme = supplier;

	if (kme->told)
		say_metadata(kme);
}

const struct supply_ops supply_004 = {
	.type = "etsi004",
	.per_call = 1,
	.check = check,
	.open = open_kme,
	.close = close_kme,
	.renew = renew,
	.get = get,
	.by_ids = by_ids,
	.cancel = cancel,
	.hello = hello,
	.heard = heard,
	.tell = tell,
};
