/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SAs under AES-256-GCM: epochs, and how packets get at them.
 *
 * An epoch is a stretch of packets under one key. Keys are set in process
 * context, by a work item of the SA that runs ahead of the packets (prepare);
 * packet paths only pick epochs that are ready. A packet whose epoch is not
 * ready is parked: its request stays pending until the work has made it, and
 * then goes the way it would have gone.
 *
 * Struct qkd_epoch is never freed while its SA lives, only used again. Who
 * finds one takes a reference that fails at zero, and looks again whether it
 * is what he wanted. The last reference puts it on the SA's list of used
 * ones; the work sets another key or zeros before anybody gets it again.
 *
 * When a generation ends, or keys are wiped at once, aes->seq moves on: each
 * epoch made before is void from then on, and what was made with one while it
 * moved is thrown away.
 */
#ifndef _QKD_AES_H
#define _QKD_AES_H

#include <linux/llist.h>
#include <linux/refcount.h>

#include "core.h"

enum {
	AES_IV		= 8,
	AES_ICV		= 16,
	AES_KEY		= 32,
	AES_NONCE	= 12,
	AES_CONTEXT	= 9,	/* cipher, SPI, number of the external secret; bind */
	AES_RUN		= 32,	/* units of a run; epochs prepared ahead */
	AES_TABLE	= 64,	/* verified epochs that a receiver keeps, at least */
	AES_PROBES	= 8,	/* slots of the table where an epoch may be */
	AES_BLOCKS	= 2,	/* runs that no verified packet has named yet */
	AES_TOKENS	= 32,	/* unknown runs at once, and more per second */
	AES_EXPECTED	= QKD_PARKED,	/* units after the newest that need no token */
};

/* IV of aes and hybrid, upper and lower half */
#define AES_IV_CIPHER	GENMASK(31, 30)
#define AES_IV_LABEL	GENMASK(29, 28)
#define AES_IV_PHASE	BIT(27)
#define AES_IV_UNIT	GENMASK(26, 8)
#define AES_IV_TAG	GENMASK(7, 0)

#define AES_UNITS	BIT_ULL(19)	/* offsets in the IV are modulo this */
#define AES_BEHIND	(BIT_ULL(18))	/* units: a receiver has forgotten it */
#define AES_PASSED	(BIT_ULL(17))	/* units: a sender ends its epoch */

/**
 * struct qkd_epoch - a stretch of an SA's packets under one key
 * @aes: the SA's engine
 * @list: in aes->epochs
 * @tfm: gcm(aes) with the epoch's key, zeros when it is idle; set by prepare
 * @ref: the table or queue that holds it, and requests in flight; 0: idle
 * @idle: in aes->used or aes->idle, while @ref is 0
 * @ready: tx: in tx.ready; rx: in rx.verified; aes->lock
 * @tabled: rx: a slot holds it; aes->lock
 * @iv: upper half of the packets' IV
 * @unit: offset of its unit
 * @seq: aes->seq when it was made
 * @secret: number of the external secret in it
 * @nonce: base of the nonces
 * @id: key ID
 * @made: CLOCK_BOOTTIME in ns when it was prepared
 * @began: of its first packet, 0 for none; cmpxchg
 * @used: rx: of its last packet, or @made
 * @packets: tx: the counter; rx: packets accepted
 * @bytes: of text
 * @lock: rx: protects the members below; bottom halves
 * @verified: a packet has verified, and the unit was taken
 * @top: highest counter accepted
 * @seen: bitmap of the counters from @top down, by counter modulo its size
 */
struct qkd_epoch {
	struct qkd_aes *aes;
	struct list_head list;
	struct crypto_aead *tfm;
	refcount_t ref;
	struct llist_node idle;
	struct list_head ready;
	bool tabled;
	u32 iv;
	u64 unit;
	u32 seq;
	u32 secret;
	u8 nonce[AES_NONCE];
	u8 id[QKD_KEY_ID_LEN];
	u64 made;
	u64 began;
	u64 used;
	atomic64_t packets;
	atomic64_t bytes;
	spinlock_t lock;	/* see above */
	bool verified;
	u32 top;
	unsigned long *seen;
};

/**
 * struct qkd_aes_tx - a sender's part
 * @cur: the epoch that packets get, and a reference; replaced under aes->lock
 * @ready: epochs that come next, in order; aes->lock
 * @nready: their number
 * @depth: how many prepare keeps ready; aes->mutex, read without
 * @flags: enum qkd_aes_tx_flags
 * @soft: when an epoch is due, none of it zero; aes->mutex, words read without
 * @dry: CLOCK_BOOTTIME in ns until which drawing is not tried again
 * @interval: mean time between epochs in ns, 0 for unknown; aes->lock
 * @told: otp: CLOCK_BOOTTIME in ns when a packet last showed the peer the
 *	fallback epoch, 0 if none has; cmpxchg
 * @since: otp: when the pad ran out
 * @made: CLOCK_BOOTTIME in ns when an epoch was last made; aes->lock, read without
 * @bytes: otp: text since then
 */
struct qkd_aes_tx {
	struct qkd_epoch *cur;
	struct list_head ready;
	u32 nready;
	u32 depth;
	unsigned long flags;
	struct qkd_rekey soft;
	u64 dry;
	u64 interval;
	u64 told;
	u64 since;
	u64 made;
	atomic64_t bytes;
};

enum qkd_aes_tx_flags {
	AES_TX_NEED,	/* prepare shall draw more */
	AES_TX_STARVED,	/* there is no key, and on-empty keeps the SA going */
	AES_TX_RENEW,	/* take the next epoch as soon as there is one */
};

/**
 * struct qkd_aes_slot - where packets look for an epoch
 * @iv: upper half of the IV; 0 if there is none
 * @epoch: the epoch, and a reference
 *
 * Written under aes->mutex, read without.
 */
struct qkd_aes_slot {
	u32 iv;
	struct qkd_epoch *epoch;
};

/**
 * struct qkd_aes_rx - a receiver's part
 * @table: an epoch is in one of AES_PROBES slots from its unit's number on
 * @mask: number of slots - 1
 * @keep: verified epochs that it keeps
 * @verified: those, in the order in which they were; aes->lock
 * @nverified: their number
 * @floor: highest unit of those that it did not keep; aes->mutex
 * @window: counters that an epoch remembers
 * @high: highest unit that was verified, -1 for none; aes->lock, read without
 * @newest: CLOCK_BOOTTIME in ns when @high was last raised; aes->lock
 * @interval: mean time between verified epochs in ns, 0 for unknown; aes->lock
 * @ahead: epochs to prepare behind @high; aes->mutex, read without
 * @edge: highest unit prepared behind @high; likewise
 * @blocks: runs of AES_RUN units, by number, that were prepared because a
 *	packet named one of them, -1 for none; aes->mutex, read without
 * @block_at: CLOCK_BOOTTIME in ns when they were; aes->mutex
 * @tokens: unknown runs that packets may still ask for; aes->lock
 * @refilled: jiffies when @tokens was last raised; aes->lock
 * @old: the secret before the current one, or NULL; aes->mutex
 * @old_until: CLOCK_BOOTTIME in ns when it goes, 0 while no packet has used
 *	the current one
 */
struct qkd_aes_rx {
	struct qkd_aes_slot *table;
	u32 mask;
	u32 keep;
	struct list_head verified;
	u32 nverified;
	u64 floor;
	u32 window;
	atomic64_t high;
	u64 newest;
	u64 interval;
	u32 ahead;
	s64 edge;
	s64 blocks[AES_BLOCKS];
	u64 block_at[AES_BLOCKS];
	u32 tokens;
	unsigned long refilled;
	struct qkd_secret *old;
	u64 old_until;
};

/**
 * struct qkd_aes - AES-256-GCM of an SA
 * @sa: the SA; it owns this
 * @link: its link
 * @cipher: QKD_CIPHER_AES or _HYBRID, in the IV
 * @driver: of the epochs' tfms, one for all
 * @reqsize: of their requests, at most
 * @seq: epochs made before it moved are void
 * @mutex: prepare, flush, and changes of the configuration
 * @work: prepare, then the parked packets
 * @epochs: all there are; @mutex
 * @nepochs: their number
 * @max_epochs: there will be no more
 * @idle: keyed with zeros; @mutex
 * @used: to be keyed with zeros
 * @rekey: when an epoch is due; @mutex, words read without
 * @limits: beyond which none is used; constant
 * @weight: of the SA; @mutex, read without
 * @park_time: in ms; likewise
 * @secret: the current external secret or NULL; @mutex
 * @phases: bits of the phases that there are secrets for; @mutex, read without
 * @counted: @weight is in link->weights; @mutex
 * @lock: the ready epochs and parked packets; bottom halves
 * @parked: struct qkd_aes_req that wait, oldest first
 * @going: those that the work is taking out
 * @gone: rx: upper half of the IV of the one that it has just taken
 * @nparked: those, and the one that is being taken out
 * @parked_bytes: their text
 * @ended: nothing is prepared or parked any more; @mutex and @lock
 */
struct qkd_aes {
	struct qkd_sa *sa;
	struct qkd_link *link;
	u32 cipher;
	const char *driver;
	u32 reqsize;
	u32 seq;
	struct mutex mutex;	/* see above */
	struct delayed_work work;
	struct list_head epochs;
	u32 nepochs;
	u32 max_epochs;
	struct llist_head idle;
	struct llist_head used;
	struct qkd_rekey rekey;
	struct qkd_rekey limits;
	u32 weight;
	u32 park_time;
	struct qkd_secret *secret;
	u32 phases;
	bool counted;
	spinlock_t lock;	/* see above */
	struct list_head parked;
	struct list_head going;
	u32 gone;
	u32 nparked;
	u32 parked_bytes;
	bool ended;
	union {
		struct qkd_aes_tx tx;
		struct qkd_aes_rx rx;
	};
};

/**
 * struct qkd_aes_req - the context of a request
 * @list: in aes->parked
 * @req: the request
 * @epoch: whose key it uses; a reference
 * @since: CLOCK_BOOTTIME in ns when it was parked
 * @len: bytes of text
 * @iv: rx: upper half of the IV
 * @counter: its lower half
 * @nonce: for the child
 * @sub: the child's request; last
 */
struct qkd_aes_req {
	struct list_head list;
	struct aead_request *req;
	struct qkd_epoch *epoch;
	u64 since;
	u32 len;
	u32 iv;
	u32 counter;
	u8 nonce[16];
	struct aead_request sub;
};

static inline bool qkd_epoch_get(struct qkd_epoch *ep)
{
	return refcount_inc_not_zero(&ep->ref);
}

static inline bool qkd_epoch_is_void(const struct qkd_epoch *ep)
{
	smp_rmb();	/* pairs with the barrier in qkd_aes_void() */
	return unlikely(ep->seq != READ_ONCE(ep->aes->seq));
}

/* Shorter at once, longer by and by: what is prepared must do for the next burst. */
static inline u64 qkd_aes_mean(u64 mean, u64 value)
{
	return value < mean || !mean ? value : mean + min(value - mean, mean) / 8;
}

/* epoch.c */
struct qkd_epoch *qkd_epoch_new(struct qkd_aes *aes);
int qkd_epoch_set(struct qkd_epoch *ep, const u8 key[AES_KEY]);
void qkd_epoch_put(struct qkd_epoch *ep);
void qkd_epoch_void(struct qkd_epoch *ep);
void qkd_epochs_scrub(struct qkd_aes *aes);
void qkd_epochs_free(struct qkd_aes *aes);
int qkd_epoch_derive(const struct qkd_aes *aes, const struct qkd_slice *sl, u16 label,
		     const struct qkd_secret *secret, struct qkd_epoch *ep,
		     u8 key[AES_KEY]);

/* aes.c */
void qkd_aes_kick(struct qkd_aes *aes);

/* aes-tx.c */
void qkd_aes_tx_init(struct qkd_aes *aes);
int qkd_aes_tx_pick(struct qkd_aes *aes, u32 len, struct qkd_epoch **epoch,
		    u32 *counter);
void qkd_aes_tx_configure(struct qkd_aes *aes);
unsigned long qkd_aes_tx_prepare(struct qkd_aes *aes);
int qkd_aes_tx_draw(struct qkd_aes *aes, u32 n);
void qkd_aes_tx_drop(struct qkd_aes *aes);
void qkd_aes_tx_switch(struct qkd_aes *aes);
void qkd_aes_tx_renew(struct qkd_aes *aes);

/* aes-rx.c */
int qkd_aes_rx_init(struct qkd_aes *aes, u32 window);
void qkd_aes_rx_free(struct qkd_aes *aes);
int qkd_aes_rx_pick(struct qkd_aes *aes, u32 iv, u32 counter, struct qkd_epoch **epoch);
bool qkd_aes_rx_may_ask(struct qkd_aes *aes, u32 iv);
int qkd_aes_rx_accept(struct qkd_epoch *ep, u32 counter, u32 len);
unsigned long qkd_aes_rx_prepare(struct qkd_aes *aes);
void qkd_aes_rx_drop(struct qkd_aes *aes);
int qkd_aes_rx_secret(struct qkd_aes *aes, struct qkd_secret *secret,
		      struct netlink_ext_ack *extack);
struct qkd_epoch *qkd_aes_rx_newest(struct qkd_aes *aes);

#endif /* _QKD_AES_H */
