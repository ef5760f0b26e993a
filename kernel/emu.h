/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The emulated link's objects. It stands where the driver of QKD hardware
 * would, and uses include/linux/qkd.h alone.
 *
 * Locks, outermost first; those of the core that matter are in brackets:
 *   emu_mutex		the table of emulated links; adding and deleting
 *   [link->ops_lock]	held around setlink, begin and fill
 *   emu->lock		everything in struct emu that does not say otherwise
 *   emu_used_lock	which generations of which seeds began
 *   [registry lock, link->lock]
 * The callbacks resume and ended take none of ours: resume comes from packet
 * paths, and ended also from calls that are made with emu->lock held.
 */
#ifndef _QKD_EMU_H
#define _QKD_EMU_H

#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/workqueue.h>
#include <linux/qkd.h>

#include "limits.h"

enum emu_limits {
	EMU_SEED_MIN	= 16,
	EMU_NONCE	= 16,
	EMU_ENDS	= 2,
	EMU_BLOCK_MAX	= SZ_64K,
	EMU_BLOCK_MIN	= SZ_1K,
	EMU_BLOCK_STEP	= 32,		/* a whole number of either step */
	EMU_BLOCK_WAIT	= 60,		/* seconds; smaller blocks beyond */
	EMU_BLOCK_TIME	= 50,		/* ms; what a block takes if it can */
	EMU_TICK	= 20,		/* ms; between two runs of the work */
	EMU_BURST	= 200,		/* ms; lateness that is made up for */
	EMU_POLL	= 1000,		/* ms; between two reports */
	EMU_BLOCKS	= 256,		/* per run */
	EMU_FILLS	= 16,		/* per run, of a single end's rx */
	EMU_STALE	= 16,		/* slices ahead of supply, none taken */
};

#define EMU_RATE_DEFAULT	1000000ULL
#define EMU_RATE_MAX		100000000000ULL

/* emu->flags */
enum emu_flags {
	EMU_WAKE,	/* room that appears is news to the work */
	EMU_ENDED,	/* the core ended a generation */
};

/**
 * struct emu_settings - what the operator sets, also while it runs
 * @rate: secret key rate in bit/s, both directions and kinds together
 * @qber: in millionths
 * @protocol: enum qkd_emu_protocol
 * @stopped: fault: no supply
 * @flip: fault: coming blocks that get one bit flipped at the tx end
 * @lose: fault: coming blocks that become a gap at both ends
 */
struct emu_settings {
	u64 rate;
	u32 qber;
	u32 protocol;
	u32 stopped;
	u32 flip;
	u32 lose;
};

/**
 * struct emu_block - a block that only the rx end has yet
 * @offset: of its first byte
 * @length: 0 if there is none
 * @s: its one-time bytes
 */
struct emu_block {
	u64 offset;
	u32 length;
	u8 s[QKD_TAG_LEN];
};

/**
 * struct emu - an emulated link: a pair of ends in this kernel, or one end
 * @ref: one by each registered end, one by who adds it
 * @lock: protects what does not say otherwise
 * @work: supplies
 * @flags: enum emu_flags; atomic
 * @ready: both ends are registered, and none is being deleted
 * @pair: two ends; else the one of @role
 * @role: of the first end
 * @link: by role - 1; constant while @ready
 * @index: index of each; constant after it was added
 * @capacity: of tx, at either end
 * @s_len: bytes of s that a block has: none without confirmation
 * @set: settings; words are read without the lock
 * @live: a generation that we began and that nobody ended
 * @label: its label; the last one's if there is none
 * @begun: label that each end began last, 0 for none
 * @next_label: single: generation that the operator asked for, 0 for none
 * @key: ChaCha20 keys of the streams
 * @half: blocks that wait for room at the tx end
 * @clock: CLOCK_BOOTTIME in ns up to which the rate is used up
 * @bits: supplied since @reported_at
 * @reported_at: when QBER and SKR were last reported
 * @reported_qber: what was said
 * @reported_skr: likewise
 * @alarm: QBER is above the threshold; while @live
 * @stale: said that rx is stale in this generation
 * @seed_len: in bytes
 * @seed: shared by both ends, or random for a pair
 */
struct emu {
	refcount_t ref;
	struct mutex lock;	/* see the top of this file */
	struct delayed_work work;
	unsigned long flags;
	bool ready;
	bool pair;
	u32 role;
	struct qkd_link *link[EMU_ENDS];
	u32 index[EMU_ENDS];
	u64 capacity[2];
	u32 s_len;
	struct emu_settings set;
	bool live;
	u16 label;
	u16 begun[EMU_ENDS];
	u16 next_label;
	u32 key[QKD_STREAMS][8];
	struct emu_block half[QKD_STREAMS];
	u64 clock;
	u64 bits;
	u64 reported_at;
	u32 reported_qber;
	u64 reported_skr;
	bool alarm;
	bool stale;
	u32 seed_len;
	u8 seed[QKD_SEED_LEN];
};

/* emu.c */
extern struct workqueue_struct *emu_wq;

/* emu-gen.c: generations and the bytes of streams */
void emu_identity(const struct emu *emu, u32 role, char *id, size_t size);
int emu_gen_check(const struct emu *emu, u16 label,
		  struct netlink_ext_ack *extack);
int emu_gen_begin(struct emu *emu, u32 last, struct netlink_ext_ack *extack);
void emu_gen_end(struct emu *emu, u32 reason);
bool emu_gen_is_live(struct emu *emu);
u8 *emu_bytes(const struct emu *emu, u32 stream, u64 offset, u32 len, u8 *buf);
void emu_used_free(void);

/* emu-supply.c: rate, faults, reports */
u32 emu_threshold(u32 protocol);
u32 emu_block_size(const struct emu *emu);
void emu_kick(struct emu *emu, unsigned int ms);
void emu_qber_changed(struct emu *emu);
void emu_work(struct work_struct *work);

static inline bool emu_is_alarming(const struct emu *emu)
{
	return emu->set.qber > emu_threshold(emu->set.protocol);
}

#endif /* _QKD_EMU_H */
