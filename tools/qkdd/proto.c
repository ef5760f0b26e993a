// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages as bytes (Documentation/abi/qkdd-channel.md). Tables say of which
 * fields each is made and what values these may have; a message that is not
 * exactly that is none.
 */
#include <string.h>

#include "qkdd.h"
#include "supply.h"

#define VERSION_1 1
#define LENGTH_LEN 4

enum kind {
	FIELD_NUMBER, /* of @size bytes, big-endian, from @min to @max */
	FIELD_BYTES, /* @size of them */
	FIELD_NAME, /* a byte with its length, and as many */
	FIELD_IDS, /* a byte with their number, then each as a name */
};

/**
 * struct field - a field of a message
 * @kind: how it is written
 * @offset: of the member of struct msg
 * @size: of the member
 * @min: least value
 * @max: greatest value
 */
struct field {
	enum kind kind;
	size_t offset;
	size_t size;
	uint64_t min;
	uint64_t max;
};

#define FIELD(what, member, least, most)             \
	{ .kind = FIELD_##what,                      \
	  .offset = offsetof(struct msg, member),    \
	  .size = sizeof(((struct msg *)0)->member), \
	  .min = (least),                            \
	  .max = (most) }
#define NUMBER(member, least, most) FIELD(NUMBER, member, least, most)
#define BYTES(member) FIELD(BYTES, member, 0, 0)
#define NAME(member) FIELD(NAME, member, 0, 0)

static const struct field head[] = {
	NUMBER(type, MSG_HELLO, MSG_LAST),
	NUMBER(seq, 1, UINT64_MAX),
	NAME(sender),
	NAME(receiver),
};

static const struct field link_fields[] = {
	NAME(link),
	NUMBER(role, QKD_ROLE_ALICE, QKD_ROLE_BOB),
	NUMBER(kind, KIND_DAEMON, KIND_DRIVER),
	NUMBER(confirm, QKD_CONFIRM_TAG, QKD_CONFIRM_NONE),
	NUMBER(admin, QKD_ADMIN_DOWN, QKD_ADMIN_UP),
	NUMBER(state, QKD_STATE_DOWN, QKD_STATE_UP),
	NUMBER(reason, QKD_REASON_NONE, UINT8_MAX),
	NUMBER(pad_capacity, 0, UINT64_MAX),
	NUMBER(key_capacity, 0, UINT64_MAX),
	BYTES(hash),
	NUMBER(label, 0, UINT16_MAX),
	BYTES(generation),
	BYTES(nonce),
};

static const struct field gone_fields[] = {
	NAME(link),
};

static const struct field offer_fields[] = {
	NAME(link),
	NUMBER(label, 1, UINT16_MAX),
	BYTES(nonce),
	BYTES(nonce_peer),
};

static const struct field begun_fields[] = {
	NAME(link),
	NUMBER(label, 1, UINT16_MAX),
	BYTES(generation),
};

#define BLOCK_FIELDS                                             \
	NAME(link), NUMBER(label, 1, UINT16_MAX),                \
		NUMBER(stream, QKD_STREAM_A2B_PAD, STREAMS - 1), \
		NUMBER(offset, 0, INT64_MAX)

static const struct field tag_fields[] = {
	BLOCK_FIELDS,
	NUMBER(length, 1, UINT32_MAX),
	BYTES(tag),
};

static const struct field verdict_fields[] = {
	BLOCK_FIELDS,
	NUMBER(length, 1, UINT32_MAX),
	NUMBER(verdict, QKD_VERDICT_EQUAL, QKD_VERDICT_LOST),
};

static const struct field edge_fields[] = {
	BLOCK_FIELDS,
};

static const struct field secy_fields[] = {
	NAME(link),
	NAME(device),
	NUMBER(sci, 0, UINT64_MAX),
	NUMBER(suite, QKD_MACSEC_SUITE_GCM_AES_128,
	       QKD_MACSEC_SUITE_GCM_AES_XPN_256),
	NUMBER(ready, 0, 1),
};

#define SAK_FIELDS                                            \
	NAME(link), NAME(device), NUMBER(sci, 0, UINT64_MAX), \
		NUMBER(an, 0, AN_COUNT - 1), BYTES(key_id)

static const struct field sak_fields[] = {
	SAK_FIELDS,
};

static const struct field answer_fields[] = {
	SAK_FIELDS,
	NUMBER(answer, ANSWER_INSTALLED, ANSWER_REFUSED),
};

static const struct field mka_fields[] = {
	NAME(link),  NAME(device),	    BYTES(cak1),
	BYTES(cak2), NUMBER(secured, 0, 3), NUMBER(active, 0, MKA_PORTS),
};

static const struct field supply_fields[] = {
	BLOCK_FIELDS,
	NUMBER(length, 1, UINT32_MAX),
	NUMBER(number, 1, UINT64_MAX),
	NUMBER(key_size, 1, 8192),
	FIELD(IDS, nids, 1, SUPPLY_KEYS_MAX),
};

static const struct field supplied_fields[] = {
	BLOCK_FIELDS,
	NUMBER(number, 1, UINT64_MAX),
	NUMBER(supply_answer, SUPPLY_WRITTEN, SUPPLY_ELSEWHERE),
};

static const struct field supplier_fields[] = {
	NAME(link),
	NAME(hello),
};

#define PSK_FIELDS NAME(link), NAME(device), BYTES(key_id)

static const struct field wireguard_fields[] = {
	NAME(link),
	NAME(device),
	NUMBER(ready, 0, 1),
};

static const struct field psk_fields[] = {
	PSK_FIELDS,
};

static const struct field psk_answer_fields[] = {
	PSK_FIELDS,
	NUMBER(answer, ANSWER_INSTALLED, ANSWER_REFUSED),
};

struct shape {
	const struct field *fields;
	size_t n;
};

static const struct shape shapes[] = {
	[MSG_HELLO] = { NULL, 0 },
	[MSG_PING] = { NULL, 0 },
	[MSG_LINK] = { link_fields, ARRAY_SIZE(link_fields) },
	[MSG_GONE] = { gone_fields, ARRAY_SIZE(gone_fields) },
	[MSG_OFFER] = { offer_fields, ARRAY_SIZE(offer_fields) },
	[MSG_BEGUN] = { begun_fields, ARRAY_SIZE(begun_fields) },
	[MSG_TAG] = { tag_fields, ARRAY_SIZE(tag_fields) },
	[MSG_VERDICT] = { verdict_fields, ARRAY_SIZE(verdict_fields) },
	[MSG_EDGE] = { edge_fields, ARRAY_SIZE(edge_fields) },
	[MSG_SECY] = { secy_fields, ARRAY_SIZE(secy_fields) },
	[MSG_SAK] = { sak_fields, ARRAY_SIZE(sak_fields) },
	[MSG_ANSWER] = { answer_fields, ARRAY_SIZE(answer_fields) },
	[MSG_SWITCH] = { sak_fields, ARRAY_SIZE(sak_fields) },
	[MSG_DRAINED] = { sak_fields, ARRAY_SIZE(sak_fields) },
	[MSG_MKA] = { mka_fields, ARRAY_SIZE(mka_fields) },
	[MSG_SUPPLY] = { supply_fields, ARRAY_SIZE(supply_fields) },
	[MSG_SUPPLIED] = { supplied_fields, ARRAY_SIZE(supplied_fields) },
	[MSG_SUPPLIER] = { supplier_fields, ARRAY_SIZE(supplier_fields) },
	[MSG_WIREGUARD] = { wireguard_fields, ARRAY_SIZE(wireguard_fields) },
	[MSG_PSK] = { psk_fields, ARRAY_SIZE(psk_fields) },
	[MSG_PSK_ANSWER] = { psk_answer_fields, ARRAY_SIZE(psk_answer_fields) },
};

/* Members that are numbers have 1, 2, 4 or 8 bytes. */
static uint64_t member_get(const void *member, size_t size)
{
	switch (size) {
	case 1:
		return *(const uint8_t *)member;
	case 2:
		return *(const uint16_t *)member;
	case 4:
		return *(const uint32_t *)member;
	default:
		return *(const uint64_t *)member;
	}
}

static void member_set(void *member, size_t size, uint64_t value)
{
	switch (size) {
	case 1:
		*(uint8_t *)member = value;
		break;
	case 2:
		*(uint16_t *)member = value;
		break;
	case 4:
		*(uint32_t *)member = value;
		break;
	default:
		*(uint64_t *)member = value;
		break;
	}
}

static uint8_t *put_number(uint8_t *p, uint64_t value, size_t size)
{
	while (size--)
		*p++ = value >> 8 * size;
	return p;
}

static uint64_t get_number(const uint8_t *p, size_t size)
{
	uint64_t value = 0;

	while (size--)
		value = value << 8 | *p++;
	return value;
}

static uint8_t *pack_field(const struct field *f, const struct msg *msg,
			   uint8_t *p)
{
	const char *member = (const char *)msg + f->offset;
	size_t length;

	switch (f->kind) {
	case FIELD_NUMBER:
		return put_number(p, member_get(member, f->size), f->size);
	case FIELD_BYTES:
		memcpy(p, member, f->size);
		return p + f->size;
	case FIELD_NAME:
		length = strlen(member);
		*p++ = length;
		memcpy(p, member, length);
		return p + length;
	case FIELD_IDS:
		*p++ = msg->nids;
		memcpy(p, msg->ids, msg->ids_size);
		return p + msg->ids_size;
	}
	return p;
}

/**
 * msg_pack - write a message
 * @msg: the message
 * @frame: out
 *
 * Return: its bytes.
 */
size_t msg_pack(const struct msg *msg, uint8_t frame[FRAME_MAX])
{
	const struct shape *shape = &shapes[msg->type];
	uint8_t *p = frame + LENGTH_LEN;
	size_t i;

	*p++ = VERSION_1;
	for (i = 0; i < ARRAY_SIZE(head); i++)
		p = pack_field(&head[i], msg, p);
	for (i = 0; i < shape->n; i++)
		p = pack_field(&shape->fields[i], msg, p);
	put_number(frame, p - frame - LENGTH_LEN, LENGTH_LEN);
	return p - frame;
}

/* Names go to the log: printable, no blanks. */
static bool name_is_plain(const uint8_t *p, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		if (p[i] <= ' ' || p[i] > '~')
			return false;
	return length > 0;
}

/* They stay where they are. Returns the bytes that they took, or 0. */
static size_t unpack_ids(const struct field *f, struct msg *msg,
			 const uint8_t *p, size_t left)
{
	size_t took = 1;
	unsigned int i;

	if (!left || p[0] < f->min || p[0] > f->max)
		return 0;
	for (i = 0; i < p[0]; i++) {
		if (took >= left || p[took] >= left - took ||
		    !name_is_plain(p + took + 1, p[took]))
			return 0;
		took += 1 + p[took];
	}
	msg->nids = p[0];
	msg->ids = p + 1;
	msg->ids_size = took - 1;
	return took;
}

/* Returns the bytes that the field took, or 0. */
static size_t unpack_field(const struct field *f, struct msg *msg,
			   const uint8_t *p, size_t left)
{
	char *member = (char *)msg + f->offset;
	size_t size = f->size;
	uint64_t value;

	if (f->kind == FIELD_NAME) {
		if (!left || p[0] >= f->size || p[0] >= left ||
		    !name_is_plain(p + 1, p[0]))
			return 0;
		memcpy(member, p + 1, p[0]);
		member[p[0]] = '\0';
		return 1 + p[0];
	}
	if (f->kind == FIELD_IDS)
		return unpack_ids(f, msg, p, left);
	if (left < size)
		return 0;
	if (f->kind == FIELD_BYTES) {
		memcpy(member, p, size);
		return size;
	}
	value = get_number(p, size);
	if (value < f->min || value > f->max)
		return 0;
	member_set(member, size, value);
	return size;
}

static bool unpack_fields(const struct field *fields, size_t n, struct msg *msg,
			  const uint8_t **p, size_t *left)
{
	size_t i, took;

	for (i = 0; i < n; i++) {
		took = unpack_field(&fields[i], msg, *p, *left);
		if (!took)
			return false;
		*p += took;
		*left -= took;
	}
	return true;
}

/**
 * msg_unpack - read a message
 * @msg: out
 * @frame: bytes that came
 * @size: in: their number; out: those of the message, 0 if more must come
 *
 * IDs stay in the frame: @msg points there.
 *
 * Return: NULL, or what is wrong with the message.
 */
const char *msg_unpack(struct msg *msg, const uint8_t *frame, size_t *size)
{
	size_t room = *size, left;
	const uint8_t *p = frame + LENGTH_LEN;

	*size = 0;
	if (room < LENGTH_LEN)
		return NULL;
	left = get_number(frame, LENGTH_LEN);
	if (left > FRAME_MAX - LENGTH_LEN)
		return "is too long";
	if (!left)
		return "is empty";
	if (room < LENGTH_LEN + left)
		return NULL;
	*size = LENGTH_LEN + left;
	if (*p != VERSION_1)
		return "is of an unknown version";
	if (left > 1 && (p[1] < MSG_HELLO || p[1] > MSG_LAST))
		return "is of an unknown type";
	memset(msg, 0, sizeof(*msg));
	p++;
	left--;
	if (!unpack_fields(head, ARRAY_SIZE(head), msg, &p, &left) ||
	    !unpack_fields(shapes[msg->type].fields, shapes[msg->type].n, msg,
			   &p, &left))
		return "is malformed";
	return left ? "has bytes too many" : NULL;
}
