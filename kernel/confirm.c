// SPDX-License-Identifier: GPL-2.0-only
/*
 * Confirmation: a supplied block is unusable until both ends have proved it
 * equal by a one-time tag.
 *
 * A block's s may serve one tag only: with two tags under one (r, s) over
 * messages that differ in a known way, r can be solved for. So the rx end of a
 * stream alone makes tags, one per block, and the tx end, which is the one
 * that spends the bytes, alone checks them. The rx end then takes the verdict
 * as told: were it forged, rx would hold bytes that tx never uses, or miss some
 * that it does; either way packets are refused, never misread.
 *
 * The tag's message is the block's name in 48 bytes, then the block, head
 * included where it has one. G* stands for both identities.
 */
#include <crypto/poly1305.h>
#include <linux/slab.h>

#include "core.h"

struct qkd_block_name {
	u8 gen[QKD_HASH_LEN];
	u8 stream;
	__be64 offset;
	__be32 length;
	u8 sender;		/* enum qkd_role: the rx end */
	u8 receiver;		/* the tx end */
	u8 zero;
} __packed;

static void qkd_block_name(struct qkd_block_name *name,
			   const struct qkd_byte_stream *stream, u64 offset,
			   u32 length)
{
	bool from_alice = stream->id < QKD_STREAM_B2A_PAD;

	BUILD_BUG_ON(sizeof(*name) % 16);
	memcpy(name->gen, stream->gen->id, sizeof(name->gen));
	name->stream = stream->id;
	name->offset = cpu_to_be64(offset);
	name->length = cpu_to_be32(length);
	name->sender = from_alice ? QKD_ROLE_BOB : QKD_ROLE_ALICE;
	name->receiver = from_alice ? QKD_ROLE_ALICE : QKD_ROLE_BOB;
	name->zero = 0;
}

static int qkd_confirm_key(const struct qkd_segment *seg, const u8 *s,
			   u8 key[32])
{
	memcpy(key + 16, s, 16);
	if (seg->stream->kind == QKD_KEY)
		return qkd_kdf_confirm(seg, key);
	memcpy(key, seg->secret, 16);
	return 0;
}

/**
 * qkd_confirm_tag - the tag of a block
 * @stream: its stream
 * @offset: of the block
 * @length: in bytes
 * @s: the block's one-time bytes
 * @tag: out
 *
 * Context: may sleep, link->lock held.
 * Return: 0; -ENOENT if the segment is gone.
 */
int qkd_confirm_tag(struct qkd_byte_stream *stream, u64 offset, u32 length,
		    const u8 s[QKD_TAG_LEN], u8 tag[QKD_TAG_LEN])
{
	struct qkd_segment *seg = qkd_stream_segment(stream,
						     offset >> stream->shift);
	u32 in = offset & ((1U << stream->shift) - 1), off = 0, avail;
	struct poly1305_desc_ctx desc;
	struct qkd_block_name name;
	struct qkd_slice sl;
	u8 key[32];
	int err;

	if (!seg)
		return -ENOENT;
	err = qkd_confirm_key(seg, s, key);
	if (err)
		return err;
	poly1305_init(&desc, key);
	memzero_explicit(key, sizeof(key));
	qkd_block_name(&name, stream, offset, length);
	poly1305_update(&desc, (u8 *)&name, sizeof(name));
	if (!in) {
		/* the head was moved out of the bytes */
		poly1305_update(&desc, seg->secret, stream->head);
		off = stream->head;
	}
	sl = (struct qkd_slice){ .seg = seg, .pos = in, .len = length };
	for (; off < length; off += avail) {
		const u8 *bytes = qkd_slice_bytes(&sl, off, &avail);

		poly1305_update(&desc, bytes, avail);
	}
	poly1305_final(&desc, tag);
	memzero_explicit(&desc, sizeof(desc));
	return 0;
}
