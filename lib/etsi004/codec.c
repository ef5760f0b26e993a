// SPDX-License-Identifier: LGPL-2.1-or-later
/* Frames: header, then a payload whose length nothing in it may contradict. */
#include <errno.h>
#include <string.h>

#include "internal.h"

static const uint8_t version[] = { 1, 0, 1 };

/*
 * Bytes, one after the other. Whoever reads past the end reads zeros, and is told
 * at the end.
 */
struct reader {
	const uint8_t *at;
	size_t left;
	bool failed;
};

static const uint8_t *get_bytes(struct reader *reader, size_t size)
{
	const uint8_t *bytes = reader->at;

	if (reader->failed || size > reader->left) {
		reader->failed = true;
		return NULL;
	}
	reader->at += size;
	reader->left -= size;
	return bytes;
}

static uint32_t get_u32(struct reader *reader)
{
	const uint8_t *b = get_bytes(reader, 4);

	return b ? (uint32_t)b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3] : 0;
}

/* Printable text that ends in a NUL within the next @room bytes. */
static void get_text(struct reader *reader, char *text, size_t room)
{
	size_t left = reader->left < room ? reader->left : room, length;
	const uint8_t *end = reader->failed ? NULL :
					      memchr(reader->at, 0, left);

	*text = '\0';
	if (!end) {
		reader->failed = true;
		return;
	}
	length = end - reader->at;
	memcpy(text, get_bytes(reader, length + 1), length + 1);
	while (length--)
		if (text[length] < ' ' || text[length] > '~')
			reader->failed = true;
}

static void get_stream(struct reader *reader,
		       uint8_t stream[ETSI004_STREAM_LEN])
{
	const uint8_t *bytes = get_bytes(reader, ETSI004_STREAM_LEN);

	if (bytes)
		memcpy(stream, bytes, ETSI004_STREAM_LEN);
}

static void get_qos(struct reader *reader, struct etsi004_qos *qos)
{
	const size_t room = ETSI004_MIMETYPE_LEN + 1;
	const uint8_t *mimetype;
	struct reader inner;

	qos->key_chunk_size = get_u32(reader);
	qos->max_bps = get_u32(reader);
	qos->min_bps = get_u32(reader);
	qos->jitter = get_u32(reader);
	qos->priority = get_u32(reader);
	qos->timeout = get_u32(reader);
	qos->ttl = get_u32(reader);
	mimetype = get_bytes(reader, room);
	inner = (struct reader){ mimetype, mimetype ? room : 0, !mimetype };
	get_text(&inner, qos->mimetype, room);
	reader->failed |= inner.failed;
}

static bool is_done(const struct reader *reader)
{
	return !reader->failed && !reader->left;
}

static uint8_t *put_bytes(uint8_t *at, const void *bytes, size_t size)
{
	memcpy(at, bytes, size);
	return at + size;
}

static uint8_t *put_u32(uint8_t *at, uint32_t value)
{
	const uint8_t bytes[] = { value >> 24, value >> 16, value >> 8, value };

	return put_bytes(at, bytes, sizeof(bytes));
}

static uint8_t *put_qos(uint8_t *at, const struct etsi004_qos *qos)
{
	at = put_u32(at, qos->key_chunk_size);
	at = put_u32(at, qos->max_bps);
	at = put_u32(at, qos->min_bps);
	at = put_u32(at, qos->jitter);
	at = put_u32(at, qos->priority);
	at = put_u32(at, qos->timeout);
	at = put_u32(at, qos->ttl);
	memset(at, 0, ETSI004_MIMETYPE_LEN + 1);
	memcpy(at, qos->mimetype, strlen(qos->mimetype));
	return at + ETSI004_MIMETYPE_LEN + 1;
}

/* Returns the frame's size, whose payload ends @at. */
static size_t put_header(uint8_t *frame, uint8_t service, const uint8_t *at)
{
	size_t size = at - frame;

	memcpy(frame, version, sizeof(version));
	frame[3] = service;
	put_u32(frame + 4, size - ETSI004_HEADER_LEN);
	return size;
}

static bool is_request(uint8_t service)
{
	return service == ETSI004_OPEN_CONNECT || service == ETSI004_GET_KEY ||
	       service == ETSI004_CLOSE;
}

int etsi004_parse_header(const uint8_t header[ETSI004_HEADER_LEN],
			 uint8_t *service, size_t *size,
			 char text[ETSI004_TEXT_LEN])
{
	struct reader reader = { header + 4, 4, false };
	size_t limit;

	if (memcmp(header, version, sizeof(version)))
		return say(text, -EPROTO, "version %u.%u.%u, not 1.0.1",
			   header[0], header[1], header[2]);
	*service = header[3];
	*size = get_u32(&reader);
	if (is_request(*service))
		limit = ETSI004_REQUEST_MAX - ETSI004_HEADER_LEN;
	else if (is_request(*service - 1))
		limit = ETSI004_ANSWER_MAX - ETSI004_HEADER_LEN;
	else
		return say(text, -EPROTO, "there is no service %u", *service);
	if (*size > limit)
		return say(text, -EMSGSIZE, "%zu bytes for service %u", *size,
			   *service);
	return 0;
}

/*
 * Requests
 */

static bool fits(const char *text, size_t length)
{
	return strnlen(text, length + 1) <= length;
}

size_t etsi004_pack_request(const struct etsi004_request *request,
			    uint8_t frame[ETSI004_REQUEST_MAX])
{
	uint8_t *at = frame + ETSI004_HEADER_LEN;

	if (request->call == ETSI004_OPEN_CONNECT) {
		if (!fits(request->source, ETSI004_URI_LEN) ||
		    !fits(request->destination, ETSI004_URI_LEN) ||
		    !fits(request->qos.mimetype, ETSI004_MIMETYPE_LEN))
			return 0;
		at = put_bytes(at, request->source,
			       strlen(request->source) + 1);
		at = put_bytes(at, request->destination,
			       strlen(request->destination) + 1);
		at = put_qos(at, &request->qos);
	}
	at = put_bytes(at, request->stream, ETSI004_STREAM_LEN);
	if (request->call == ETSI004_GET_KEY) {
		at = put_u32(at, request->index);
		at = put_u32(at, request->metadata_size);
	}
	return put_header(frame, request->call, at);
}

int etsi004_parse_request(uint8_t service, const uint8_t *payload, size_t size,
			  struct etsi004_request *request,
			  char text[ETSI004_TEXT_LEN])
{
	struct reader reader = { payload, size, false };

	memset(request, 0, sizeof(*request));
	if (!is_request(service))
		return say(text, -EPROTO, "service %u is no request", service);
	request->call = service;
	if (service == ETSI004_OPEN_CONNECT) {
		get_text(&reader, request->source, sizeof(request->source));
		get_text(&reader, request->destination,
			 sizeof(request->destination));
		get_qos(&reader, &request->qos);
	}
	get_stream(&reader, request->stream);
	if (service == ETSI004_GET_KEY) {
		request->index = get_u32(&reader);
		request->metadata_size = get_u32(&reader);
	}
	if (!is_done(&reader))
		return say(text, -EPROTO,
			   "a request of service %u is malformed", service);
	return 0;
}

/*
 * Answers. One that says no ends after the status, or has what it would have
 * otherwise, without a key.
 */

size_t etsi004_pack_answer(const struct etsi004_request *request,
			   const struct etsi004_answer *answer,
			   uint8_t frame[ETSI004_ANSWER_MAX])
{
	char metadata[ETSI004_METADATA_MAX];
	uint8_t *at = frame + ETSI004_HEADER_LEN;
	size_t size;

	at = put_u32(at, answer->status);
	if (request->call == ETSI004_OPEN_CONNECT && answer->has_qos) {
		if (!fits(answer->qos.mimetype, ETSI004_MIMETYPE_LEN))
			return 0;
		at = put_qos(at, &answer->qos);
		at = put_bytes(at, answer->stream, ETSI004_STREAM_LEN);
	} else if (request->call == ETSI004_GET_KEY) {
		if (answer->size > ETSI004_CHUNK_MAX)
			return 0;
		at = put_u32(at, answer->index);
		at = put_u32(at, answer->size);
		if (answer->size)
			at = put_bytes(at, answer->key, answer->size);
		size = etsi004_pack_metadata(&answer->metadata, metadata);
		at = put_u32(at, answer->status ? answer->metadata_size : size);
		if (!answer->status)
			at = put_bytes(at, metadata, size);
	}
	return put_header(frame, request->call + 1, at);
}

static bool is_zero(const uint8_t stream[ETSI004_STREAM_LEN])
{
	static const uint8_t zero[ETSI004_STREAM_LEN];

	return !memcmp(stream, zero, sizeof(zero));
}

/* Whether a stream can be used as it was opened. */
static int check_opened(const struct etsi004_request *request,
			struct etsi004_answer *answer)
{
	if (!answer->has_qos)
		return say(answer->text, -EPROTO,
			   "OPEN_CONNECT: an answer without a stream");
	if (is_zero(answer->stream) ||
	    (!is_zero(request->stream) &&
	     memcmp(request->stream, answer->stream, ETSI004_STREAM_LEN)))
		return say(
			answer->text, -EPROTO,
			"OPEN_CONNECT: the Key_stream_ID is none, or another one than asked for");
	if (!answer->qos.key_chunk_size ||
	    answer->qos.key_chunk_size > ETSI004_CHUNK_MAX)
		return say(answer->text, -EPROTO,
			   "OPEN_CONNECT: chunks of %u bytes",
			   answer->qos.key_chunk_size);
	return 0;
}

static void parse_open(struct reader *reader, struct etsi004_answer *answer)
{
	if (!reader->left) /* check_opened() says whether that will do */
		return;
	get_qos(reader, &answer->qos);
	get_stream(reader, answer->stream);
	answer->has_qos = true;
}

static int take_key(const struct etsi004_request *request,
		    struct reader *reader, struct etsi004_answer *answer)
{
	const uint8_t *bytes, *metadata;
	uint32_t size;

	answer->index = get_u32(reader);
	size = get_u32(reader);
	if (!reader->failed && size != request->qos.key_chunk_size)
		return say(answer->text, -EPROTO,
			   "GET_KEY: a chunk of %u bytes, not %u", size,
			   request->qos.key_chunk_size);
	bytes = get_bytes(reader, size);
	size = get_u32(reader);
	if (!reader->failed && size > request->metadata_size)
		return say(answer->text, -EPROTO,
			   "GET_KEY: %u bytes of metadata, more than %u", size,
			   request->metadata_size);
	metadata = get_bytes(reader, size);
	if (!is_done(reader))
		return say(answer->text, -EPROTO,
			   "GET_KEY: the answer is malformed");
	if (answer->index < request->index)
		return say(answer->text, -EPROTO, "GET_KEY: index %u after %u",
			   answer->index, request->index);
	if (metadata_parse(metadata, size, &answer->metadata))
		return say(answer->text, -EPROTO,
			   "GET_KEY: the metadata is malformed");
	answer->size = request->qos.key_chunk_size;
	answer->key = kme_secret_new(answer->size);
	if (!answer->key)
		return say(answer->text, -ENOMEM, "out of memory");
	memcpy(answer->key, bytes, answer->size);
	return 0;
}

/* A refusal has no key, whatever else it has. */
static void parse_no_key(struct reader *reader, struct etsi004_answer *answer)
{
	if (!reader->left)
		return;
	answer->index = get_u32(reader);
	reader->failed |= get_u32(reader) != 0;
	answer->metadata_size = get_u32(reader);
}

static int parse_status(const struct etsi004_request *request,
			struct reader *reader, struct etsi004_answer *answer)
{
	int err = 0;

	if (request->call == ETSI004_OPEN_CONNECT)
		parse_open(reader, answer);
	else if (request->call == ETSI004_GET_KEY && answer->status)
		parse_no_key(reader, answer);
	else if (request->call == ETSI004_GET_KEY)
		err = take_key(request, reader, answer);
	if (!err && !is_done(reader))
		err = say(answer->text, -EPROTO, "%s: the answer is malformed",
			  call_name(request->call));
	if (!err)
		err = errno_of(request->call, answer);
	if (!err && request->call == ETSI004_OPEN_CONNECT)
		err = check_opened(request, answer);
	return err;
}

int etsi004_parse_answer(const struct etsi004_request *request, uint8_t service,
			 const uint8_t *payload, size_t size,
			 struct etsi004_answer *answer)
{
	struct reader reader = { payload, size, false };
	int err;

	memset(answer, 0, sizeof(*answer));
	if (service != request->call + 1)
		return say(answer->text, -EPROTO, "%s: an answer of service %u",
			   call_name(request->call), service);
	answer->status = get_u32(&reader);
	if (reader.failed)
		return say(answer->text, -EPROTO, "%s: an answer of %zu bytes",
			   call_name(request->call), size);
	err = parse_status(request, &reader, answer);
	answer->has_status = err != -EPROTO && err != -ENOMEM;
	if (err)
		etsi004_answer_free(answer);
	return err;
}

void etsi004_answer_free(struct etsi004_answer *answer)
{
	kme_secret_free(answer->key, answer->size);
	answer->key = NULL;
	answer->size = 0;
}
