/* SPDX-License-Identifier: GPL-2.0-only */
/* Every limit, size and lifetime of the module. */
#ifndef _QKD_LIMITS_H
#define _QKD_LIMITS_H

#include <linux/bits.h>
#include <linux/sizes.h>

enum qkd_limits {
	/* streams */
	QKD_PAD_SEGMENT		= SZ_1M,
	QKD_KEY_SEGMENT		= SZ_64K,
	QKD_CHUNK		= SZ_64K,	/* memory arrives in these */
	QKD_CHUNKS		= QKD_PAD_SEGMENT / QKD_CHUNK,
	QKD_PAD_HEAD		= 16,		/* r */
	QKD_KEY_HEAD		= 32,		/* k_seg */
	QKD_BLOCKS_PENDING	= 256,		/* unconfirmed, per stream */
	QKD_BLOCKS_SHOWN	= 64,		/* by one block-get */
	QKD_MISMATCHES		= 3,		/* in a row: link down */

	/* capacities in bytes; a ring is twice the peer's capacity */
	QKD_CAPACITY_MIN	= SZ_1K,
	QKD_PAD_CAPACITY	= SZ_16M,
	QKD_PAD_CAPACITY_MAX	= SZ_1G,
	QKD_KEY_CAPACITY	= SZ_1M,
	QKD_KEY_CAPACITY_MAX	= SZ_4M,
	QKD_PAD_LOW		= SZ_1M,
	QKD_KEY_LOW		= SZ_64K,
	QKD_RESERVE		= 512,		/* classes control and rekey */
	QKD_RESERVE_MAX		= SZ_1M,
	QKD_CONTROL_SEGMENTS	= 4,		/* whole ones, before class control gets its own */

	/* lifetimes in ms */
	QKD_PAD_KEEP		= 60 * 1000,
	QKD_KEY_KEEP		= 300 * 1000,
	QKD_KEEP_MIN		= 100,
	QKD_KEEP_STEPS		= 4,
	QKD_PEEK_LIFE		= 30 * 1000,
	QKD_ALLOCATED_LIFE	= 60 * 1000,
	QKD_EVENT_GAP		= 1000,		/* between two of a kind from packet paths */

	/* keys */
	QKD_PEEKS		= 64,		/* distinct IDs per link */
	QKD_HANDLES		= 1024,		/* per link */

	/* ESP */
	QKD_ICV_ALARM		= 1 << 20,	/* bad ICVs on one segment */
	QKD_SAS			= 1 << 20,	/* per link */
	QKD_SECRET_MIN		= 32,
	QKD_SECRET_MAX		= 1024,
	QKD_PARK_TIME		= 50,		/* ms */
	QKD_PARKED		= 256,		/* packets per SA */
	QKD_PARKED_BYTES	= SZ_1M,	/* per SA */
	QKD_PARKED_NET		= SZ_16M,	/* bytes per namespace, with ... */
	QKD_PARKED_SKB		= SZ_1K,	/* ... this for what is around each packet */

	/* MACsec */
	QKD_MACSEC_TIME		= 3600 * 1000,	/* ms that an SA is used */
	QKD_MACSEC_SAS		= 1024,		/* per device */

	/* WireGuard */
	QKD_WG_TIME		= 3600 * 1000,	/* ms that a key is used */
	QKD_WG_PEERS		= 1024,		/* per link */

	/* per namespace; the second of each outside the initial user namespace */
	QKD_LINKS		= 16384,
	QKD_LINKS_USER		= 64,
	QKD_BYTES_USER		= SZ_16M,
};

#define QKD_KEY_OFFSET_MAX	BIT_ULL(39)	/* units */
#define QKD_PAD_OFFSET_MAX	BIT_ULL(60)	/* granules */

#endif /* _QKD_LIMITS_H */
