// SPDX-License-Identifier: GPL-2.0-only
/*
 * Key streams: who is at which end of one, and which key is which chunk. Who may
 * have keys, and how many, is keys.c's matter, as for the other face.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "stream.h"

#define STREAMS_MAX 1024
#define STREAMS_OF_SAE 32
#define CHUNK_STEP 8 /* bytes: sizes of chunks are multiples of it */
#define AHEAD 1024 /* chunks that the master may have before the other SAE */
#define TTL_MAX 3600 /* s */
#define TTL_NONE 600 /* s, where nobody has said */
#define AGE_MAX INT64_C(9999999999999) /* ms */
#define WAIT_MIN 50 /* ms until a chunk that is not there is looked for again */
#define WAIT_MAX 1000 /* ms, later on */

/**
 * struct chunk - a chunk that the other KME has not asked for
 * @index: of it
 * @kept: it is one
 * @id: of its key
 * @since: when the key was there, as now_ms(), or -1
 */
struct chunk {
	uint32_t index;
	bool kept;
	uint8_t id[QKD_KEY_ID_LEN];
	int64_t since;
};

/**
 * struct stream - a stream that one of our SAEs is at an end of
 * @list: of all of them
 * @id: Key_stream_ID
 * @master: SAE that has opened it
 * @slave: the other one
 * @link: between them
 * @ours: the master is an own SAE, so that we allocate
 * @qos: as it was opened
 * @master_in: the master is connected
 * @slave_in: the slave is
 * @next: index of the next chunk that can be allocated
 * @chunks: ours: by their index
 * @used: when it was used last, as now_ms()
 */
struct stream {
	LIST_ENTRY(stream) list;
	uint8_t id[ETSI004_STREAM_LEN];
	char master[SAE_LEN + 1];
	char slave[SAE_LEN + 1];
	char link[QKD_NAME_LEN + 1];
	bool ours;
	struct etsi004_qos qos;
	bool master_in;
	bool slave_in;
	uint64_t next;
	struct chunk *chunks;
	int64_t used;
};

/**
 * struct stream_asked - a call whose answer comes later
 * @request: of our SAE
 * @sae: its ID
 * @relay: the other KME is asked, or NULL
 * @timer: event: the chunk is looked for again; NULL if that cannot be
 * @deadline: as now_ms(): then there is an answer, whichever
 * @wait: ms until the next look
 * @done: who waits for it
 * @arg: for @done
 */
struct stream_asked {
	struct etsi004_request request;
	char sae[SAE_LEN + 1];
	struct relay_call *relay;
	struct event *timer;
	int64_t deadline;
	uint32_t wait;
	stream_done_fn done;
	void *arg;
};

static LIST_HEAD(, stream) streams = LIST_HEAD_INITIALIZER(streams);
static unsigned int nstreams;

static void say(stream_done_fn done, void *arg, uint32_t status)
{
	const struct etsi004_answer answer = { .status = status };

	done(arg, &answer);
}

/* The SAE of an application's URI: what is its authority, or all of it. */
static bool uri_sae(const char *uri, char sae[SAE_LEN + 1])
{
	const char *begin = strstr(uri, "://");
	size_t length;

	begin = begin ? begin + 3 : uri;
	length = strcspn(begin, "/?#");
	if (!length || length > SAE_LEN)
		return false;
	memcpy(sae, begin, length);
	sae[length] = '\0';
	return true;
}

/*
 * Streams
 */

static struct stream *find(const uint8_t id[ETSI004_STREAM_LEN])
{
	struct stream *stream;

	LIST_FOREACH(stream, &streams, list)
	if (!memcmp(stream->id, id, ETSI004_STREAM_LEN))
		break;
	return stream;
}

static void stream_free(struct stream *stream)
{
	LIST_REMOVE(stream, list);
	nstreams--;
	free(stream->chunks);
	free(stream);
}

/* Only those that are alive: there is a limit. */
static unsigned int count_of(const char *sae)
{
	const struct stream *stream;
	unsigned int n = 0;

	LIST_FOREACH(stream, &streams, list)
	n += !strcmp(stream->ours ? stream->master : stream->slave, sae);
	return n;
}

static struct stream *stream_new(const char *master, const char *slave,
				 bool ours, const struct etsi004_qos *qos)
{
	const char *own = ours ? master : slave, *peer = ours ? slave : master;
	struct stream *stream;

	if (nstreams == STREAMS_MAX || count_of(own) == STREAMS_OF_SAE)
		return NULL;
	stream = calloc(1, sizeof(*stream));
	if (stream && ours)
		stream->chunks = calloc(AHEAD, sizeof(*stream->chunks));
	if (!stream || (ours && !stream->chunks)) {
		free(stream);
		return NULL;
	}
	strcpy(stream->master, master);
	strcpy(stream->slave, slave);
	strcpy(stream->link, config_sae(config, peer)->link);
	stream->ours = ours;
	stream->qos = *qos;
	stream->used = now_ms();
	LIST_INSERT_HEAD(&streams, stream, list);
	nstreams++;
	return stream;
}

/* UUIDv4, by chance. */
static bool draw_id(uint8_t id[ETSI004_STREAM_LEN])
{
	if (RAND_bytes(id, ETSI004_STREAM_LEN) != 1)
		return false;
	id[6] = (id[6] & 0x0f) | 0x40;
	id[8] = (id[8] & 0x3f) | 0x80;
	return true;
}

/* Whether a link still leads to where a stream goes: the configuration may be
 * another one by now.
 */
static bool is_allowed(const struct stream *stream)
{
	const char *own = stream->ours ? stream->master : stream->slave;
	const char *peer = stream->ours ? stream->slave : stream->master;
	const struct sae_config *other = config_sae(config, peer);
	struct pool pool;

	return keys_pool(own, peer, &pool) != KEY_FORBIDDEN &&
	       !strcmp(other->link, stream->link);
}

void streams_expire(void)
{
	struct stream *stream, *next;
	int64_t now = now_ms();
	uint32_t ttl;

	for (stream = LIST_FIRST(&streams); stream; stream = next) {
		next = LIST_NEXT(stream, list);
		ttl = stream->qos.ttl ? stream->qos.ttl : TTL_NONE;
		if (ttl > TTL_MAX)
			ttl = TTL_MAX;
		if (now - stream->used > ttl * INT64_C(1000))
			stream_free(stream);
	}
}

void streams_flush(void)
{
	while (!LIST_EMPTY(&streams))
		stream_free(LIST_FIRST(&streams));
}

/*
 * Calls whose answer comes later
 */

/* NULL after saying that there is no memory. */
static struct stream_asked *asked_new(const char *sae,
				      const struct etsi004_request *request,
				      stream_done_fn done, void *arg)
{
	struct stream_asked *asked = calloc(1, sizeof(*asked));

	if (!asked) {
		say(done, arg, ETSI004_NO_QKD);
		return NULL;
	}
	asked->request = *request;
	strcpy(asked->sae, sae);
	asked->done = done;
	asked->arg = arg;
	return asked;
}

static void asked_free(struct stream_asked *asked)
{
	if (asked->relay)
		relay_cancel(asked->relay);
	if (asked->timer)
		event_free(asked->timer);
	free(asked);
}

static void asked_done(struct stream_asked *asked,
		       const struct etsi004_answer *answer)
{
	stream_done_fn done = asked->done;
	void *arg = asked->arg;

	asked_free(asked);
	done(arg, answer);
}

static void asked_say(struct stream_asked *asked, uint32_t status)
{
	const struct etsi004_answer answer = { .status = status };

	asked_done(asked, &answer);
}

/* What our SAE asks goes on to the other KME. Returns @asked, or NULL after saying
 * that it cannot.
 */
static struct stream_asked *pass_on(struct stream_asked *asked,
				    const char *link,
				    const struct etsi004_request *passed,
				    relay_done_fn then)
{
	asked->relay = relay_ask(link, passed, then, asked);
	if (asked->relay)
		return asked;
	asked_say(asked, ETSI004_NO_QKD);
	return NULL;
}

/*
 * OPEN_CONNECT
 */

static struct etsi004_answer opened(const struct stream *stream)
{
	struct etsi004_answer answer = {
		.status = stream->master_in && stream->slave_in ?
				  ETSI004_OK :
				  ETSI004_NO_PEER_YET,
		.has_qos = true,
		.qos = stream->qos,
	};

	memcpy(answer.stream, stream->id, sizeof(answer.stream));
	return answer;
}

static void say_open(stream_done_fn done, void *arg,
		     const struct stream *stream)
{
	const struct etsi004_answer answer = opened(stream);

	done(arg, &answer);
}

/* What we cannot do is answered with what we can. */
static bool qos_fits(struct etsi004_qos *qos)
{
	bool fits = true;

	if (!qos->key_chunk_size || qos->key_chunk_size % CHUNK_STEP ||
	    qos->key_chunk_size > QKD_KEY_SIZE_MAX) {
		fits = false;
		qos->key_chunk_size -= qos->key_chunk_size % CHUNK_STEP;
		if (!qos->key_chunk_size)
			qos->key_chunk_size = CHUNK_STEP;
		if (qos->key_chunk_size > QKD_KEY_SIZE_MAX)
			qos->key_chunk_size = QKD_KEY_SIZE_MAX;
	}
	if (*qos->mimetype && strcmp(qos->mimetype, ETSI004_JSON)) {
		fits = false;
		strcpy(qos->mimetype, ETSI004_JSON);
	}
	return fits;
}

static void open_new(const char *sae, const char *peer,
		     const struct etsi004_request *request, stream_done_fn done,
		     void *arg)
{
	struct etsi004_answer offer = { .status = ETSI004_QOS,
					.has_qos = true,
					.qos = request->qos };
	struct stream *stream;
	struct pool pool;

	if (keys_pool(sae, peer, &pool)) {
		say(done, arg, ETSI004_NO_QKD);
		return;
	}
	if (!qos_fits(&offer.qos)) {
		done(arg, &offer);
		return;
	}
	stream = stream_new(sae, peer, true, &request->qos);
	if (!stream || !draw_id(stream->id)) {
		say(done, arg, ETSI004_NO_QKD);
		return;
	}
	stream->master_in = true;
	say_open(done, arg, stream);
}

static void on_open(void *arg, int err, const struct etsi004_answer *said)
{
	struct stream_asked *asked = arg;
	struct etsi004_answer answer;
	struct stream *stream = NULL;
	char master[SAE_LEN + 1];

	asked->relay = NULL;
	if (!err && uri_sae(asked->request.destination, master) &&
	    !find(asked->request.stream))
		stream = stream_new(master, asked->sae, false, &said->qos);
	if (stream) {
		memcpy(stream->id, asked->request.stream, sizeof(stream->id));
		stream->slave_in = true;
		stream->master_in = said->status == ETSI004_OK;
		answer = opened(stream);
		asked_done(asked, &answer);
	} else {
		asked_say(asked,
			  err == -ETIMEDOUT ? ETSI004_TIMEOUT : ETSI004_NO_QKD);
	}
}

static bool is_zero(const uint8_t id[ETSI004_STREAM_LEN])
{
	static const uint8_t zero[ETSI004_STREAM_LEN];

	return !memcmp(id, zero, sizeof(zero));
}

/* An own SAE opens a stream, or comes to one. */
static struct stream_asked *open_sae(const char *sae,
				     const struct etsi004_request *request,
				     stream_done_fn done, void *arg)
{
	char source[SAE_LEN + 1], peer[SAE_LEN + 1];
	struct stream *stream = find(request->stream);
	struct stream_asked *asked;
	struct pool pool;

	if (!uri_sae(request->source, source) || strcmp(source, sae) ||
	    !uri_sae(request->destination, peer)) {
		say(done, arg, ETSI004_NO_QKD);
	} else if (is_zero(request->stream)) {
		open_new(sae, peer, request, done, arg);
	} else if (stream &&
		   strcmp(stream->ours ? stream->master : stream->slave, sae)) {
		say(done, arg, ETSI004_STREAM_IN_USE);
	} else if (stream && stream->ours) {
		stream->master_in = true;
		say_open(done, arg, stream);
	} else if (keys_pool(sae, peer, &pool)) {
		say(done, arg, ETSI004_NO_QKD);
	} else {
		if (stream) /* it is opened again */
			stream_free(stream);
		asked = asked_new(sae, request, done, arg);
		return asked ? pass_on(asked, config_sae(config, peer)->link,
				       request, on_open) :
			       NULL;
	}
	return NULL;
}

/* The other KME's SAE comes to a stream of ours. */
static void open_kme(const char *link, const struct etsi004_request *request,
		     stream_done_fn done, void *arg)
{
	char source[SAE_LEN + 1], destination[SAE_LEN + 1];
	struct stream *stream = find(request->stream);

	if (!stream || !stream->ours || strcmp(stream->link, link) ||
	    !uri_sae(request->source, source) ||
	    !uri_sae(request->destination, destination) ||
	    strcmp(stream->slave, source) ||
	    strcmp(stream->master, destination) || !is_allowed(stream)) {
		say(done, arg, ETSI004_NO_QKD);
		return;
	}
	stream->slave_in = true;
	stream->used = now_ms();
	say_open(done, arg, stream);
}

/*
 * GET_KEY
 */

static uint32_t status_of(enum key_error err)
{
	switch (err) {
	case KEY_OK:
		return ETSI004_OK;
	case KEY_EMPTY:
	case KEY_QUOTA:
	case KEY_NOT_FOUND:
	case KEY_BUSY:
		return ETSI004_NO_KEY;
	default:
		return ETSI004_NO_QKD;
	}
}

/* @since: when the key was there, as now_ms(), or -1 */
static struct etsi004_metadata age_of(int64_t since)
{
	int64_t age = now_ms() - since;

	return (struct etsi004_metadata){
		.has_age = since >= 0,
		.age = age > AGE_MAX ? AGE_MAX : age,
	};
}

static struct etsi004_metadata metadata_of(const struct stream *stream,
					   int64_t since)
{
	struct etsi004_metadata metadata = {};

	if (!*stream->qos.mimetype)
		return metadata;
	metadata = age_of(since);
	metadata.has_hops = true; /* the link is all of the way */
	return metadata;
}

/* Nothing is taken if there is no room for what belongs to it. */
static bool has_room(const struct stream *stream,
		     const struct etsi004_request *request, stream_done_fn done,
		     void *arg)
{
	struct etsi004_metadata metadata = metadata_of(stream, -1);
	struct etsi004_answer answer = {
		.status = ETSI004_METADATA_SIZE,
		.index = request->index,
	};

	/* how old the key is shows when it is taken */
	metadata.has_age = metadata.has_hops;
	metadata.age = AGE_MAX;
	answer.metadata_size = etsi004_pack_metadata(&metadata, NULL);
	if (answer.metadata_size <= request->metadata_size)
		return true;
	done(arg, &answer);
	return false;
}

static void say_chunk(struct stream_asked *asked, const struct stream *stream,
		      enum key_error err, struct keys *keys, int64_t since)
{
	struct etsi004_answer answer = {
		.status = status_of(err),
		.index = asked->request.index,
		.metadata = metadata_of(stream, since),
	};

	if (err)
		stat_add(STAT_REFUSED_FIRST_KEY_ERROR + err, 1);
	if (!err) {
		answer.key = keys->bytes[0].bytes;
		answer.size = keys->size[0];
	}
	asked_done(asked, &answer);
}

/* Whether the chunk is looked for again: it may still come, and the QoS has time. */
static bool wait_for_chunk(struct stream_asked *asked)
{
	int64_t left = asked->deadline - now_ms();
	struct timeval tv;

	if (left <= 0 || !asked->timer)
		return false;
	if (left > asked->wait)
		left = asked->wait;
	tv = (struct timeval){ left / 1000, left % 1000 * 1000 };
	asked->wait = asked->wait < WAIT_MAX / 2 ? 2 * asked->wait : WAIT_MAX;
	return !evtimer_add(asked->timer, &tv);
}

/* The master's: a key is allocated, and the other KME will ask which one. */
static struct stream_asked *get_master(struct stream_asked *asked,
				       struct stream *stream)
{
	uint32_t index = asked->request.index;
	struct chunk *chunk = &stream->chunks[index % AHEAD];
	struct keys *keys;
	enum key_error err;
	int64_t since;
	bool waits;

	if (!stream->slave_in) {
		asked_say(asked, ETSI004_PEER_NOT_CONNECTED);
		return NULL;
	}
	if (index < stream->next) { /* it was taken */
		asked_say(asked, ETSI004_NO_KEY);
		return NULL;
	}
	since = age_next(stream->link);
	keys = keys_begin();
	err = keys ? keys_get(stream->master, stream->slave, NULL, 0, 1,
			      stream->qos.key_chunk_size * 8, keys) :
		     KEY_BUSY;
	if (!err) {
		chunk->index = index;
		chunk->kept = true;
		memcpy(chunk->id, keys->ids[0], sizeof(chunk->id));
		chunk->since = since;
		stream->next = index + UINT64_C(1);
	}
	waits = err == KEY_EMPTY && wait_for_chunk(asked);
	if (!waits)
		say_chunk(asked, stream, err, keys, since);
	if (keys)
		keys_end(keys);
	return waits ? asked : NULL;
}

/* The other KME's: which key it is. */
static void get_kme(struct stream *stream,
		    const struct etsi004_request *request, stream_done_fn done,
		    void *arg)
{
	struct chunk *chunk = &stream->chunks[request->index % AHEAD];
	struct etsi004_answer answer = {
		.status = ETSI004_NO_KEY,
		.index = request->index,
	};

	/* what is behind the next one will never be there, and says so */
	if (request->index < stream->next && stream->next <= UINT32_MAX)
		answer.index = stream->next;
	if (chunk->kept && chunk->index == request->index) {
		chunk->kept = false;
		answer.status = ETSI004_OK;
		answer.index = request->index;
		answer.key = chunk->id;
		answer.size = sizeof(chunk->id);
		answer.metadata = age_of(chunk->since);
	}
	if (etsi004_pack_metadata(&answer.metadata, NULL) >
	    request->metadata_size)
		answer.metadata.has_age = false;
	done(arg, &answer);
}

static uint32_t status_of_relay(int err, const struct etsi004_answer *answer)
{
	if (err == -ENOMEM)
		return ETSI004_NO_KEY;
	if (answer->has_status)
		return answer->status;
	return err == -ETIMEDOUT ? ETSI004_TIMEOUT : ETSI004_NO_QKD;
}

/* The other KME has said which key it is. */
static void take_chunk(struct stream_asked *asked, struct stream *stream,
		       const struct etsi004_answer *answer)
{
	int64_t since = answer->metadata.has_age ?
				now_ms() - (int64_t)answer->metadata.age :
				-1;
	struct keys *keys = keys_begin();
	enum key_error wrong = KEY_BUSY;
	uint8_t id[1][QKD_KEY_ID_LEN];

	memcpy(id[0], answer->key, QKD_KEY_ID_LEN);
	if (keys)
		wrong = keys_take(stream->slave, stream->master,
				  (const uint8_t(*)[QKD_KEY_ID_LEN])id, 1,
				  keys);
	if (!wrong && keys->size[0] != stream->qos.key_chunk_size)
		wrong = KEY_NOT_FOUND;
	say_chunk(asked, stream, wrong, keys, since);
	if (keys)
		keys_end(keys);
}

static void on_chunk(void *arg, int err, const struct etsi004_answer *answer)
{
	struct stream_asked *asked = arg;
	struct stream *stream = find(asked->request.stream);
	bool to_come = answer->has_status && answer->status == ETSI004_NO_KEY &&
		       answer->index <= asked->request.index;

	asked->relay = NULL;
	if (!stream || stream->ours || strcmp(stream->slave, asked->sae)) {
		asked_say(asked, ETSI004_NO_QKD);
	} else if (!err) {
		take_chunk(asked, stream, answer);
	} else if (!to_come || !wait_for_chunk(asked)) {
		if (err == -ENETUNREACH) /* it does not know the stream */
			stream_free(stream);
		asked_say(asked, status_of_relay(err, answer));
	}
}

/* Looks for a chunk. Returns @asked if the answer comes later, or NULL after it. */
static struct stream_asked *get_sae(struct stream_asked *asked)
{
	struct stream *stream = find(asked->request.stream);
	struct etsi004_request passed = asked->request;

	if (!stream ||
	    strcmp(stream->ours ? stream->master : stream->slave, asked->sae)) {
		asked_say(asked, ETSI004_NO_QKD);
		return NULL;
	}
	stream->used = now_ms();
	if (stream->ours)
		return get_master(asked, stream);
	passed.metadata_size = ETSI004_METADATA_MAX;
	passed.qos.key_chunk_size = QKD_KEY_ID_LEN;
	return pass_on(asked, stream->link, &passed, on_chunk);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	get_sae(arg);
}

/* An own SAE waits no longer than the stream's Timeout says, and not so long that
 * we take it for one that is slow.
 */
static struct stream_asked *get_first(const char *sae,
				      const struct stream *stream,
				      const struct etsi004_request *request,
				      stream_done_fn done, void *arg)
{
	struct stream_asked *asked = asked_new(sae, request, done, arg);
	uint32_t timeout = stream->qos.timeout;

	if (!asked)
		return NULL;
	if (timeout > config->timeout / 3)
		timeout = config->timeout / 3;
	asked->deadline = now_ms() + timeout;
	asked->wait = WAIT_MIN;
	asked->timer = evtimer_new(base, on_again, asked);
	return get_sae(asked);
}

static struct stream_asked *get(const struct caller *caller,
				const struct etsi004_request *request,
				stream_done_fn done, void *arg)
{
	struct stream *stream = find(request->stream);
	bool is_kme = stream && stream->ours && *caller->link &&
		      !strcmp(stream->link, caller->link);
	bool is_sae = stream && *caller->sae &&
		      !strcmp(stream->ours ? stream->master : stream->slave,
			      caller->sae);

	if (is_kme) {
		stream->used = now_ms();
		get_kme(stream, request, done, arg);
	} else if (!is_sae) {
		say(done, arg, ETSI004_NO_QKD);
	} else if (has_room(stream, request, done, arg)) {
		return get_first(caller->sae, stream, request, done, arg);
	}
	return NULL;
}

/*
 * CLOSE
 */

static void on_close(void *arg, int err, const struct etsi004_answer *answer)
{
	struct stream_asked *asked = arg;

	(void)answer;
	(void)err; /* the other KME's end goes by its TTL, too */
	asked->relay = NULL;
	asked_say(asked, ETSI004_OK);
}

/* A stream is there until both have left it. */
static struct stream_asked *leave(const struct caller *caller,
				  const struct etsi004_request *request,
				  stream_done_fn done, void *arg)
{
	struct stream *stream = find(request->stream);
	bool ours = stream && stream->ours;
	struct stream_asked *asked;
	char link[QKD_NAME_LEN + 1];

	if (ours && *caller->sae && !strcmp(stream->master, caller->sae)) {
		stream->master_in = false;
	} else if (ours && *caller->link &&
		   !strcmp(stream->link, caller->link)) {
		stream->slave_in = false;
	} else if (stream && !ours && !strcmp(stream->slave, caller->sae)) {
		strcpy(link, stream->link);
		stream_free(stream);
		asked = asked_new(caller->sae, request, done, arg);
		return asked ? pass_on(asked, link, request, on_close) : NULL;
	} else {
		say(done, arg, ETSI004_NO_QKD);
		return NULL;
	}
	if (!stream->master_in && !stream->slave_in)
		stream_free(stream);
	say(done, arg, ETSI004_OK);
	return NULL;
}

struct stream_asked *stream_call(const struct caller *caller,
				 const struct etsi004_request *request,
				 stream_done_fn done, void *arg)
{
	switch (request->call) {
	case ETSI004_OPEN_CONNECT:
		if (*caller->sae)
			return open_sae(caller->sae, request, done, arg);
		open_kme(caller->link, request, done, arg);
		return NULL;
	case ETSI004_GET_KEY:
		return get(caller, request, done, arg);
	default:
		return leave(caller, request, done, arg);
	}
}

void stream_cancel(struct stream_asked *asked)
{
	asked_free(asked);
}
