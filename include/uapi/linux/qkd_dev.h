/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * Records and ioctls of the character device /dev/qkdN
 * (Documentation/abi/chardev.md).
 */
#ifndef _UAPI_LINUX_QKD_DEV_H
#define _UAPI_LINUX_QKD_DEV_H

#include <linux/ioctl.h>
#include <linux/types.h>

#include <linux/qkd.h>

/**
 * struct qkd_key_record - what read() returns
 * @id: key ID, for the peer
 * @key: the key; as many bytes as the read's size minus the ID
 */
struct qkd_key_record {
	__u8 id[QKD_KEY_ID_LEN];
	__u8 key[];
};

/* struct qkd_supply_record, @flags */
#define QKD_SUPPLY_GAP		(1 << 0)	/* no bytes: jump forward to @offset */

#define QKD_SUPPLY_LEN_MAX	65536

/**
 * struct qkd_supply_record - what write() takes; native endian
 * @generation: label of the link's generation, else ESTALE
 * @stream: enum qkd_stream
 * @flags: QKD_SUPPLY_*
 * @length: bytes of the stream; a multiple of its step
 * @offset: offset of the first byte; must be the stream's next one, or ahead
 *	of it with QKD_SUPPLY_GAP
 * @bytes: @length bytes of the stream. On a link with confirmation (struct
 *	qkd_supply_record::flags without QKD_SUPPLY_GAP) QKD_TAG_LEN one-time
 *	bytes for the tag follow; they have no offset in the stream.
 */
struct qkd_supply_record {
	__u16 generation;
	__u8 stream;
	__u8 flags;
	__u32 length;
	__aligned_u64 offset;
	__u8 bytes[];
};

/**
 * struct qkd_ioc_claim - take a key by its ID
 * @id: in: key ID
 * @context_type: in: enum qkd_context_type
 * @context_len: in: length of @context
 * @size: in: bytes of the key, 0 for all that the ID's units give; out: its
 *	bytes
 * @room: in: bytes at @key
 * @key: in: where the key is written
 * @context: in: the context under which the peer allocated it
 */
struct qkd_ioc_claim {
	__u8 id[QKD_KEY_ID_LEN];
	__u8 context_type;
	__u8 context_len;
	__u16 size;
	__u32 room;
	__aligned_u64 key;
	__u8 context[256];
};

/**
 * struct qkd_ioc_key - fetch the key of a handle
 * @handle: in: from key-get, key-peek or key-get-by-id
 * @size: in: bytes at @key; out: bytes of the key
 * @key: in: where the key is written
 *
 * The handle of an allocated or committed key goes with the call; that of a
 * peeked one stays until it is committed or dropped.
 */
struct qkd_ioc_key {
	__u32 handle;
	__u32 size;
	__aligned_u64 key;
};

/* struct qkd_ioc_report, @flags: alarms, while they last */
#define QKD_REPORT_ALARM	(1 << 0)	/* QBER is more than the protocol can bear */
#define QKD_REPORT_NO_KEY	(1 << 1)	/* no key comes, for another reason */
#define QKD_REPORT_AUTH_LOW	(1 << 2)	/* too little key is left for tags */

/**
 * struct qkd_ioc_report - what a supplier measures
 * @qber: in: quantum bit error rate, in millionths, at most 1000000
 * @flags: in: QKD_REPORT_*
 * @skr: in: bits of key that are supplied per second of real time
 *
 * Of the file that is open for writing. An alarm is an event and the link's
 * reason; it neither ends the generation nor touches key that was supplied.
 */
struct qkd_ioc_report {
	__u32 qber;
	__u32 flags;
	__aligned_u64 skr;
};

#define QKD_IOC_MAGIC	'Q'
#define QKD_IOC_CLAIM	_IOWR(QKD_IOC_MAGIC, 0x40, struct qkd_ioc_claim)
#define QKD_IOC_KEY	_IOWR(QKD_IOC_MAGIC, 0x41, struct qkd_ioc_key)
#define QKD_IOC_REPORT	_IOW(QKD_IOC_MAGIC, 0x42, struct qkd_ioc_report)

#endif /* _UAPI_LINUX_QKD_DEV_H */
