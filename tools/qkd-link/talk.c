// SPDX-License-Identifier: GPL-2.0-only
/* Messages with tags over a stream socket. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "tamper.h"
#include "wire.h"

/* A message is this, the body, and a tag over both. */
struct header {
	uint8_t start[7];
	uint8_t version;
	uint8_t type;
	uint8_t direction; /* 0: of the end that is first, 1: of the other */
	uint8_t zero[2];
	uint8_t size[4]; /* of the body */
	uint8_t number[4]; /* of the pad, in its pool */
	uint8_t pool[4]; /* its name */
	uint8_t pools[POOLS][4]; /* names of all that the sender has */
};

#define WIRE_VERSION 1
#define REST_MAX (TALK_MAX + WC_TAG)
#define MESSAGE_MAX (sizeof(struct header) + REST_MAX)
#define SEND_MS 30000 /* that the peer may take nothing while we send */
#define LONGEST_MS \
	60000 /* that a message may take if its bytes come one by one */

static const uint8_t start[7] = "QKDLINK";

/**
 * struct talk - an end of the classical channel
 * @first: it sends with the first half of each key
 * @lost: where in the stream the next message begins is not known
 * @pools: key of the tags
 * @wire: the connection
 * @session: nonces of it, zeros until they are known
 * @out: what goes out
 * @tampering: what Eve does with it
 * @bad, @forgery: for talk_account()
 */
struct talk {
	bool first;
	bool lost;
	struct pools pools;
	struct wire wire;
	uint8_t session[2 * TALK_NONCE];
	struct buffer out;
	struct tampering tampering;
	uint64_t bad;
	double forgery;
};

static uint32_t get_number(const uint8_t from[4])
{
	return (uint32_t)from[0] << 24 | from[1] << 16 | from[2] << 8 | from[3];
}

/* ---- Key, connection ---- */

int talk_new(struct talk **talk, bool first, const uint8_t *key, size_t size)
{
	struct talk *new;
	int err;

	if (size < TALK_KEY_MIN || size > TALK_KEY_MAX)
		return -EINVAL;
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->first = first;
	new->wire = (struct wire){ .fd = -1, .limit = MESSAGE_MAX };
	err = pools_add(&new->pools, first, true, key, size);
	if (err)
		free(new);
	else
		*talk = new;
	return err;
}

void talk_free(struct talk *talk)
{
	if (!talk)
		return;
	pools_free(&talk->pools);
	wire_free(&talk->wire);
	buffer_free(&talk->out);
	tamper_free(&talk->tampering);
	free(talk);
}

int talk_refill(struct talk *talk, const uint8_t *key, size_t size)
{
	if (size < TALK_REFILL_MIN || size > TALK_KEY_MAX)
		return -EINVAL;
	return pools_add(&talk->pools, talk->first, false, key, size);
}

void talk_attach(struct talk *talk, int fd)
{
	wire_attach(&talk->wire, fd);
	memset(talk->session, 0, sizeof(talk->session));
	tamper_reset(&talk->tampering);
	talk->lost = false;
}

void talk_adopt(struct talk *talk, struct wire *wire)
{
	talk_attach(talk, -1);
	wire_free(&talk->wire);
	talk->wire = *wire;
	talk->wire.limit = MESSAGE_MAX;
	*wire = (struct wire){ .fd = -1 };
}

int talk_begins(const uint8_t *in, size_t size)
{
	const struct header *header = (const struct header *)in;

	if (memcmp(in, start, size < sizeof(start) ? size : sizeof(start)))
		return -EBADMSG;
	if (size < sizeof(*header))
		return 0;
	if (get_number(header->size) > TALK_HELLO_MAX)
		return -EBADMSG;
	return size >= sizeof(*header) + get_number(header->size) + WC_TAG;
}

void talk_session(struct talk *talk, const uint8_t first[TALK_NONCE],
		  const uint8_t other[TALK_NONCE])
{
	memcpy(talk->session, first, TALK_NONCE);
	memcpy(talk->session + TALK_NONCE, other, TALK_NONCE);
}

void talk_account(const struct talk *talk, struct talk_account *account)
{
	const struct pools *pools = &talk->pools;

	*account = (struct talk_account){
		.left = { pools_left(pools, HALF_SEND, true),
			  pools_left(pools, HALF_HEAR, true) },
		.pending = pools_left(pools, HALF_SEND, false),
		.used = pools_used(pools),
		.low = WC_PAD * TALK_RESERVE,
		.bad = talk->bad,
		.forgery = talk->forgery,
	};
}

void talk_tamper(struct talk *talk, enum tamper tamper, double fraction)
{
	talk->tampering.how = tamper;
	talk->tampering.fraction = fraction;
}

/* ---- Sending ---- */

static void put_header(struct talk *talk, enum talk_type type, size_t size,
		       const struct piece *piece)
{
	struct buffer *out = &talk->out;
	uint32_t names[POOLS];
	unsigned int i;

	pools_names(&talk->pools, names);
	buffer_reset(out);
	buffer_put(out, start, sizeof(start));
	buffer_put_number(out, WIRE_VERSION, 1);
	buffer_put_number(out, type, 1);
	buffer_put_number(out, talk->first ? 0 : 1, 1);
	buffer_put_number(out, 0, 2);
	buffer_put_number(out, size, 4);
	buffer_put_number(out, piece->number, 4);
	buffer_put_number(out, piece->pool, 4);
	for (i = 0; i < POOLS; i++)
		buffer_put_number(out, names[i], 4);
}

/* The message with its tag, in @out. */
static int compose(struct talk *talk, enum talk_type type, const void *data,
		   size_t size, const struct piece *piece)
{
	struct buffer *out = &talk->out;
	uint8_t tag[WC_TAG];
	int err;

	put_header(talk, type, size, piece);
	buffer_put(out, data, size);
	err = out->bad ?:
			 wc_tag(piece->key, talk->session, sizeof(talk->session),
				out->data, out->size, tag);
	if (err)
		return err;
	buffer_put(out, tag, sizeof(tag));
	return out->bad;
}

int talk_send(struct talk *talk, enum talk_type type, const void *data,
	      size_t size)
{
	struct piece piece;
	int err;

	if (size > TALK_MAX)
		return -EMSGSIZE;
	if (talk->wire.fd < 0)
		return -EPIPE;
	err = pools_take(&talk->pools, &piece);
	if (err)
		return err;
	err = compose(talk, type, data, size, &piece);
	OPENSSL_cleanse(&piece, sizeof(piece));
	err = err ?: tamper_message(&talk->tampering, &talk->out);
	return err   ?:
		       wire_write(&talk->wire, talk->out.data, talk->out.size,
				  SEND_MS);
}

/* ---- Hearing ---- */

/* What is at this place is no message. The next one is looked for behind its first byte,
 * since its length may be a lie, and what it covers may hold genuine messages.
 */
static int refuse(struct talk *talk)
{
	talk->bad++;
	talk->lost = true;
	wire_skip(&talk->wire, 1);
	return -EBADMSG;
}

/* Goes to where a message may begin. Bytes before it are bad, but only once. */
static int find_start(struct talk *talk)
{
	struct wire *wire = &talk->wire;
	size_t at = 0, left = wire->size;

	while (left && memcmp(wire->in + at, start,
			      left < sizeof(start) ? left : sizeof(start))) {
		const uint8_t *next =
			memchr(wire->in + at + 1, start[0], left - 1);

		at = next ? (size_t)(next - wire->in) : wire->size;
		left = wire->size - at;
	}
	if (!at)
		return 0;
	wire_skip(wire, at);
	if (talk->lost)
		return 0;
	talk->bad++;
	talk->lost = true;
	return -EBADMSG;
}

/* Is it one that may come now? Then @piece is the key of its tag. */
static bool header_fits(const struct talk *talk, const struct header *header,
			struct piece *piece)
{
	if (header->version != WIRE_VERSION || header->zero[0] ||
	    header->zero[1] || header->direction != (talk->first ? 1 : 0) ||
	    get_number(header->size) > TALK_MAX)
		return false;
	piece->pool = get_number(header->pool);
	piece->number = get_number(header->number);
	return !pools_peek(&talk->pools, piece);
}

/* It is genuine: so is what it says of the key that the peer has. */
static void header_take(struct talk *talk, const struct header *header,
			const struct piece *piece)
{
	uint32_t names[POOLS];
	unsigned int i;

	for (i = 0; i < POOLS; i++)
		names[i] = get_number(header->pools[i]);
	pools_heard(&talk->pools, piece);
	pools_told(&talk->pools, names);
	talk->lost = false;
}

/* Whether the message that begins @in, of which all is there, has the right tag. */
static int check_tag(struct talk *talk, size_t size, const struct piece *piece)
{
	const uint8_t *in = talk->wire.in;
	uint8_t tag[WC_TAG];
	int err = wc_tag(piece->key, talk->session, sizeof(talk->session), in,
			 size, tag);

	if (!err) {
		talk->forgery += wc_epsilon(sizeof(talk->session) + size);
		if (CRYPTO_memcmp(tag, in + size, WC_TAG))
			err = refuse(talk);
	}
	OPENSSL_cleanse(tag, sizeof(tag));
	return err;
}

/* The message that begins @in. 0: more has to come; 1: it is genuine, and @header and the
 * body behind it are to be taken out.
 */
static int hear(struct talk *talk, struct header *header)
{
	struct wire *wire = &talk->wire;
	struct piece piece;
	size_t size;
	int err = find_start(talk);

	if (err || wire->size < sizeof(*header))
		return err;
	memcpy(header, wire->in, sizeof(*header));
	if (!header_fits(talk, header, &piece))
		return refuse(talk);
	size = sizeof(*header) + get_number(header->size);
	if (wire->size >= size + WC_TAG) {
		err = check_tag(talk, size, &piece);
		if (!err)
			header_take(talk, header, &piece);
		err = err ?: 1;
	}
	OPENSSL_cleanse(&piece, sizeof(piece));
	return err;
}

/* A genuine message is in @header; now it is in @message, too, or of no use. */
static int deliver(struct talk *talk, enum talk_type type,
		   const struct header *header, struct buffer *message)
{
	size_t size = get_number(header->size);

	buffer_reset(message);
	if (header->type == type)
		buffer_put(message, talk->wire.in + sizeof(*header), size);
	wire_skip(&talk->wire, sizeof(*header) + size + WC_TAG);
	if (message->bad)
		return message->bad;
	return header->type == type ? 0 : -EPROTO;
}

int talk_recv(struct talk *talk, enum talk_type type, struct buffer *message,
	      int ms)
{
	int64_t last = wire_now() + ms + LONGEST_MS;
	struct header header;

	for (;;) {
		int64_t deadline = wire_now() + ms;
		int err = hear(talk, &header);

		if (err < 0)
			return err;
		if (err)
			return deliver(talk, type, &header, message);
		err = wire_read(&talk->wire, deadline < last ? deadline : last);
		if (err == -ETIMEDOUT && talk->wire.size)
			return refuse(talk); /* cut */
		if (err)
			return err;
	}
}
