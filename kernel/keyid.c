// SPDX-License-Identifier: GPL-2.0-only
/*
 * Key IDs: a UUID version 8 (RFC 9562 5.8) that names a slice of a key stream.
 *
 * custom_a (48 bits): link 16, label 16, stream 2, class 3, offset 38..28
 * custom_b (12 bits): offset 27..16
 * custom_c (62 bits): offset 15..0, units 6, tag 40
 */
#include "core.h"

#define QKD_UUID_VERSION	0x8000ULL
#define QKD_UUID_VARIANT	2ULL

/**
 * qkd_key_id_pack - write a key ID
 * @id: out
 * @f: its fields
 */
void qkd_key_id_pack(u8 id[QKD_KEY_ID_LEN], const struct qkd_key_id *f)
{
	u64 hi, lo;

	hi = (u64)f->link << 48 | (u64)f->label << 32 | (u64)f->stream << 30 |
	     (u64)f->class << 27 | (f->offset >> 28 & 0x7ff) << 16 |
	     QKD_UUID_VERSION | (f->offset >> 16 & 0xfff);
	lo = QKD_UUID_VARIANT << 62 | (f->offset & 0xffff) << 46 |
	     (u64)f->units << 40 | f->tag;
	put_unaligned_be64(hi, id);
	put_unaligned_be64(lo, id + 8);
}

/**
 * qkd_key_id_unpack - read a key ID
 * @f: out: its fields
 * @id: the ID
 *
 * Return: 0, or -EINVAL if it is no ID of ours: version, variant, a pad
 * stream, an unknown class, or no units.
 */
int qkd_key_id_unpack(struct qkd_key_id *f, const u8 id[QKD_KEY_ID_LEN])
{
	u64 hi = get_unaligned_be64(id), lo = get_unaligned_be64(id + 8);

	if ((hi & 0xf000) != QKD_UUID_VERSION || lo >> 62 != QKD_UUID_VARIANT)
		return -EINVAL;
	f->link = hi >> 48;
	f->label = hi >> 32;
	f->stream = hi >> 30 & 3;
	f->class = hi >> 27 & 7;
	f->offset = (hi >> 16 & 0x7ff) << 28 | (hi & 0xfff) << 16 |
		    (lo >> 46 & 0xffff);
	f->units = lo >> 40 & 0x3f;
	f->tag = lo & GENMASK_ULL(39, 0);
	if (!(f->stream & QKD_KEY) || !f->units ||
	    f->class < QKD_CLASS_CONTROL || f->class > QKD_CLASS_EXPORT)
		return -EINVAL;
	return 0;
}
