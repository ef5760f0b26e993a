/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ETSI GS QKD 004 V2.1.1 in the framing that its implementations share
 * (Documentation/abi/etsi004.md): what goes over the wire, for clients and for
 * servers, and a client's connection that the caller's own loop runs. There is no
 * thread, no lock, no loop and no timer in here, and the socket is the caller's.
 *
 * Calls return 0, or a negative errno and one line of text:
 *	-EAGAIN		status 2: not enough key now
 *	-ENOTCONN	status 3: the peer's application has not come yet
 *	-ENETUNREACH	status 4: there is no QKD connection
 *	-EADDRINUSE	status 5: somebody else has that Key_stream_ID
 *	-ETIMEDOUT	status 6
 *	-ERANGE		status 7: not with that QoS; the answer has one that goes
 *	-ENOBUFS	status 8: the metadata is longer than was asked for
 *	-ECONNABORTED	TLS: one of the two ends does not accept the other, or
 *			leaves
 *	-EPROTO		the answer is not what the standard says
 *	-EMSGSIZE	it is longer than it could be
 *	-ENOMEM
 * With status 1 OPEN_CONNECT has succeeded: the peer is still to come.
 *
 * Key bytes are only in memory that is wiped before it is given back; the text
 * never holds any.
 */
#ifndef ETSI004_H
#define ETSI004_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../kme/common.h"

#define ETSI004_TEXT_LEN KME_TEXT_LEN
#define ETSI004_PORT "25575"
#define ETSI004_HEADER_LEN 8
#define ETSI004_STREAM_LEN 16
#define ETSI004_URI_LEN 1023
#define ETSI004_MIMETYPE_LEN 255
#define ETSI004_CHUNK_MAX 65536 /* bytes */
#define ETSI004_METADATA_MAX 4096
#define ETSI004_QOS_LEN (7 * 4 + ETSI004_MIMETYPE_LEN + 1)
/* longest frames, with their headers */
#define ETSI004_REQUEST_MAX                                                 \
	(ETSI004_HEADER_LEN + 2 * (ETSI004_URI_LEN + 1) + ETSI004_QOS_LEN + \
	 ETSI004_STREAM_LEN)
#define ETSI004_ANSWER_MAX \
	(ETSI004_HEADER_LEN + 16 + ETSI004_CHUNK_MAX + ETSI004_METADATA_MAX)

#define ETSI004_JSON "application/json"

/* The service octet of a request; that of its answer is one more. */
enum etsi004_call {
	ETSI004_OPEN_CONNECT = 2,
	ETSI004_GET_KEY = 4,
	ETSI004_CLOSE = 8,
};

enum etsi004_status {
	ETSI004_OK,
	ETSI004_NO_PEER_YET,
	ETSI004_NO_KEY,
	ETSI004_PEER_NOT_CONNECTED,
	ETSI004_NO_QKD,
	ETSI004_STREAM_IN_USE,
	ETSI004_TIMEOUT,
	ETSI004_QOS,
	ETSI004_METADATA_SIZE,
	ETSI004_STATUSES,
};

/**
 * struct etsi004_qos - quality of service
 * @key_chunk_size: bytes that each GET_KEY gives
 * @max_bps: key rate in bit/s
 * @min_bps: likewise
 * @jitter: of it, likewise
 * @priority: among streams
 * @timeout: ms after which a call gives up
 * @ttl: s for which key is kept
 * @mimetype: of the metadata; "" for none
 */
struct etsi004_qos {
	uint32_t key_chunk_size;
	uint32_t max_bps;
	uint32_t min_bps;
	uint32_t jitter;
	uint32_t priority;
	uint32_t timeout;
	uint32_t ttl;
	char mimetype[ETSI004_MIMETYPE_LEN + 1];
};

/**
 * struct etsi004_request - what is asked
 * @call: which call
 * @source: OPEN_CONNECT: URI of the application that asks
 * @destination: of its peer
 * @qos: OPEN_CONNECT: what it wants; GET_KEY: what was agreed on, not sent
 * @stream: Key_stream_ID; OPEN_CONNECT: zero for a new one
 * @index: GET_KEY: of the chunk
 * @metadata_size: GET_KEY: for how many bytes there is room
 */
struct etsi004_request {
	enum etsi004_call call;
	char source[ETSI004_URI_LEN + 1];
	char destination[ETSI004_URI_LEN + 1];
	struct etsi004_qos qos;
	uint8_t stream[ETSI004_STREAM_LEN];
	uint32_t index;
	uint32_t metadata_size;
};

/**
 * struct etsi004_metadata - what is known about a chunk
 * @has_age: @age is known
 * @has_hops: @hops is known
 * @age: ms for which the chunk has been there
 * @hops: nodes that saw it in clear on its way, 0 for none
 */
struct etsi004_metadata {
	bool has_age;
	bool has_hops;
	uint64_t age;
	uint32_t hops;
};

/**
 * struct etsi004_answer - what comes back
 * @has_status: the KME has answered; otherwise the connection is of no more use
 * @status: enum etsi004_status, or another number
 * @has_qos: @qos and @stream count
 * @qos: OPEN_CONNECT: what is agreed on, or would do
 * @stream: OPEN_CONNECT: Key_stream_ID
 * @index: GET_KEY: of the chunk, not below that asked for
 * @key: GET_KEY: the chunk, for etsi004_answer_free(); NULL if there was an error
 * @size: bytes of it
 * @metadata: GET_KEY: the chunk's
 * @metadata_size: status 8: how many bytes it takes
 * @text: what was wrong, "" if nothing
 */
struct etsi004_answer {
	bool has_status;
	uint32_t status;
	bool has_qos;
	struct etsi004_qos qos;
	uint8_t stream[ETSI004_STREAM_LEN];
	uint32_t index;
	uint8_t *key;
	size_t size;
	struct etsi004_metadata metadata;
	uint32_t metadata_size;
	char text[ETSI004_TEXT_LEN];
};

/* Once, before anything else: kme_init(). */
int etsi004_init(void);

/* ---- Frames ---- */

/* Of either direction: what follows, and how long it is. */
int etsi004_parse_header(const uint8_t header[ETSI004_HEADER_LEN],
			 uint8_t *service, size_t *size,
			 char text[ETSI004_TEXT_LEN]);

/* Client: bytes of the frame, 0 if the request cannot be said. */
size_t etsi004_pack_request(const struct etsi004_request *request,
			    uint8_t frame[ETSI004_REQUEST_MAX]);
/* Client: what the payload of an answer says. */
int etsi004_parse_answer(const struct etsi004_request *request, uint8_t service,
			 const uint8_t *payload, size_t size,
			 struct etsi004_answer *answer);
void etsi004_answer_free(struct etsi004_answer *answer);

/* Server: what the payload of a request says. */
int etsi004_parse_request(uint8_t service, const uint8_t *payload, size_t size,
			  struct etsi004_request *request,
			  char text[ETSI004_TEXT_LEN]);
/* Server: bytes of the frame, 0 if the answer cannot be said. */
size_t etsi004_pack_answer(const struct etsi004_request *request,
			   const struct etsi004_answer *answer,
			   uint8_t frame[ETSI004_ANSWER_MAX]);
/* Server: bytes that the metadata takes as JSON; without @bytes it only counts. */
size_t etsi004_pack_metadata(const struct etsi004_metadata *metadata,
			     char bytes[ETSI004_METADATA_MAX]);

/* Words for a status. */
const char *etsi004_status_text(uint32_t status);

/* ---- Over a network ---- */

/**
 * struct etsi004 - a KME, and an application that asks it
 * @ca: path of the certificates that sign the KME's; no others count
 * @cert: path of our certificate chain
 * @key: path of its private key, not encrypted
 * @name: DNS name or address in the KME's certificate
 */
struct etsi004 {
	const char *ca;
	const char *cert;
	const char *key;
	const char *name;
};

struct etsi004_conn;

/* Whether the settings can work; if not, text says why. */
int etsi004_check(const struct etsi004 *kme, char text[ETSI004_TEXT_LEN]);
/* On a connected socket that does not block; it stays the caller's. The files are
 * read now. NULL, and text says why, if they do not do.
 */
struct etsi004_conn *etsi004_conn_new(const struct etsi004 *kme, int fd,
				      char text[ETSI004_TEXT_LEN]);
void etsi004_conn_free(struct etsi004_conn *conn);
/* One call at a time; may be made before the handshake is done. -EBUSY, -EINVAL. */
int etsi004_conn_ask(struct etsi004_conn *conn,
		     const struct etsi004_request *request);
/* Goes on as far as the socket allows: when it can be read or written, as
 * etsi004_conn_events() says, and after etsi004_conn_ask(). -EINPROGRESS until the
 * call is done; SIGPIPE is ignored by the caller.
 */
int etsi004_conn_run(struct etsi004_conn *conn, struct etsi004_answer *answer);
/* What it waits for: POLLIN or POLLOUT. */
short etsi004_conn_events(const struct etsi004_conn *conn);

#endif /* ETSI004_H */
