/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Objects of the core and the calls between its files.
 *
 * Contexts. "Packet path" means: under rcu_read_lock(), any of process and
 * softirq context, no lock of ours held, no allocation. Everything else is
 * process context and may sleep unless it says otherwise.
 *
 * Locks, outermost first:
 *   link->ops_lock (mutex)	callbacks of the link's type
 *   qkd_registry_lock (mutex)	the tables of links and types
 *   link->lock (mutex)		configuration, generation, supply, wiping by age
 *   link->handle_lock (mutex)	handles and peeks
 *   qkd_bindings.lock (mutex)	bound macsec devices, WireGuard peers: one each; inside
 *			RTNL, see binding.h
 *   RCU			everything that a packet or an allocation reads
 */
#ifndef _QKD_CORE_H
#define _QKD_CORE_H

#include <linux/atomic.h>
#include <linux/cdev.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <linux/xfrm.h>
#include <crypto/aead.h>
#include <net/xfrm.h>
#include <linux/qkd.h>

#include "compat.h"
#include "limits.h"

struct crypto_shash;
struct qkd_account;
struct qkd_aes;
struct qkd_link;
struct qkd_macsec_name;
struct qkd_secret;

enum qkd_kind {
	QKD_PAD,
	QKD_KEY,
};

enum qkd_cursor {
	QKD_BULK,
	QKD_CONTROL,
	QKD_CURSORS,
};

#define QKD_CURSOR_NONE	(~0ULL)

#define QKD_EVENT_TYPES	__QKD_EVENT_TYPE_MAX	/* enum qkd_event_type, and 0 */
static_assert(QKD_EVENT_TYPES <= BITS_PER_LONG);	/* link->noted */

/* link->refused[], in the order of enum qkd_a_refused */
enum qkd_refusal {
	QKD_REFUSED_NO_KEY,
	QKD_REFUSED_BAD_TAG,
	QKD_REFUSED_NOT_HERE,
	QKD_REFUSED_DUPLICATE,
	QKD_REFUSED_STALE,
	QKD_REFUSED_BURNT,
	QKD_REFUSED_MISMATCH,
	QKD_REFUSED_CLASS,
	QKD_REFUSED_ICV,
	QKD_REFUSALS,
};

/**
 * struct qkd_chunk - 64 KiB of a segment
 * @taken: a bit per step: handed out, lost, or the segment's head. Bits are
 *	only ever set; who sets one owns its bytes, counts and wipes them.
 * @born: CLOCK_BOOTTIME in ns when the first byte that counts arrived;
 *	link->lock
 * @bytes: the stream's bytes; written by supply above stream->usable, by the
 *	owner of a taken bit below
 */
struct qkd_chunk {
	unsigned long taken[QKD_CHUNK / QKD_PAD_GRANULE / BITS_PER_LONG];
	u64 born;
	u8 *bytes;
};

/**
 * struct qkd_segment - aligned part of a stream
 * @rwork: frees it after a grace period
 * @gen: generation; no reference, see qkd_gen
 * @stream: its stream in @gen
 * @no: number in the stream
 * @link: counted reference, for what outlives the generation
 * @used: steps whose bit is set
 * @dead: bytes are being wiped without a grace period: whatever was read is
 *	void. Set before the wipe, re-read after the last use of a byte.
 * @owner: enum qkd_cursor + 1 of who allocates here, 0 for none yet; cmpxchg
 * @icv_fail: bad ICVs that were checked with this segment's r
 * @secret: r (16 bytes) or k_seg (32), moved here when the head is supplied
 * @prf: key: HMAC-SHA-256 under k_seg
 * @chunk: published with release, never replaced
 * @high: rx key: end of the highest commit in this segment, in bytes
 * @bulk: rx key: a key of another class than control was committed here
 * @committed: rx key: CLOCK_BOOTTIME in ns of the last commit here
 */
struct qkd_segment {
	struct rcu_work rwork;
	struct qkd_gen *gen;
	struct qkd_byte_stream *stream;
	struct qkd_link *link;
	u64 no;
	atomic_t used;
	int dead;
	int owner;
	atomic_t icv_fail;
	u8 secret[QKD_KEY_HEAD];
	struct crypto_shash *prf;
	struct qkd_chunk *chunk[QKD_CHUNKS];
	atomic_t high;
	int bulk;
	u64 committed;
};

/**
 * struct qkd_block - a supplied block that is not confirmed yet
 * @list: in stream->pending, by offset
 * @offset: of its first byte
 * @length: in bytes
 * @s: one-time bytes for the tag, wiped once it is made or checked
 * @tag: rx: the tag once made, for a request that comes again
 * @verdict: tx: enum qkd_verdict of the peer's tag, 0 for not compared yet
 * @state: enum qkd_block_state
 */
struct qkd_block {
	struct list_head list;
	u64 offset;
	u64 length;
	u8 s[QKD_TAG_LEN];
	u8 tag[QKD_TAG_LEN];
	u8 verdict;
	enum qkd_block_state {
		QKD_BLOCK_NEW,
		QKD_BLOCK_TAGGED,	/* rx: made; tx: compared */
		QKD_BLOCK_EQUAL,
		QKD_BLOCK_LOST,
	} state;
};

/**
 * struct qkd_byte_stream - one of the four byte sequences of a generation
 * @gen: its generation
 * @id: enum qkd_stream
 * @kind: pad or key
 * @tx: this end allocates
 * @step: granule or unit in bytes
 * @head: bytes of a segment's head
 * @shift: log2 of the segment's size
 * @nslots: slots of @slot
 * @slot: segments by number modulo @nslots; published by supply (link->lock),
 *	cleared by whoever retires (cmpxchg); readers under RCU
 * @next: offset that the next block has; link->lock, read without
 * @usable: everything below is confirmed or lost; link->lock, read with acquire
 * @pending: blocks from @usable to @next; link->lock
 * @npending: their number
 * @capacity: tx: most bytes live; rx: ring
 * @cursor: tx: next offset to allocate, by enum qkd_cursor
 * @credit: tx key: usable bytes that no class has reserved
 * @reserve: tx key: what is left of each class's reserve
 * @high: rx: end of the highest commit; tx: unused
 * @bulk_high: rx key: the same for classes other than control
 * @history: rx: values of @high (pad) or @bulk_high (key) in the past, oldest
 *	last, a quarter of the keep time apart; link->lock
 * @keep_at: CLOCK_BOOTTIME in ns of the next entry; link->lock
 * @taken: bytes allocated or committed
 * @skipped: bytes given up because too few were left
 * @lost: bytes of gaps, mismatches, age, overlaps
 * @heads: bytes of heads
 * @low: tx: below its low mark, said once
 * @empty: tx: empty, said once
 */
struct qkd_byte_stream {
	struct qkd_gen *gen;
	u8 id;
	u8 kind;
	bool tx;
	u32 step;
	u32 head;
	u32 shift;
	u32 nslots;
	struct qkd_segment __rcu **slot;
	u64 next;
	u64 usable;
	struct list_head pending;
	u32 npending;
	u64 capacity;
	atomic64_t cursor[QKD_CURSORS];
	atomic64_t credit;
	atomic64_t reserve[QKD_CLASSES];
	atomic64_t high;
	atomic64_t bulk_high;
	u64 history[QKD_KEEP_STEPS + 1];
	u64 keep_at;
	atomic64_t taken;
	atomic64_t skipped;
	atomic64_t lost;
	atomic64_t heads;
	unsigned long low;
	unsigned long empty;
};

/**
 * struct qkd_gen - one life of a link's streams
 * @link: counted reference
 * @label: 1 to 65535
 * @open: tx may be used
 * @id: G*
 * @stream: by enum qkd_stream
 *
 * @rwork: wipes and frees it after a grace period
 *
 * Published in link->gen under link->lock. Ends by: unpublish, grace period,
 * wipe, free.
 */
struct qkd_gen {
	struct rcu_work rwork;
	struct qkd_link *link;
	u16 label;
	bool open;
	u8 id[QKD_HASH_LEN];
	struct qkd_byte_stream stream[QKD_STREAMS];
};

/**
 * struct qkd_link - the QKD association with one peer site
 * @ref: references; the registry holds one while the link is registered
 * @rcu: frees it
 * @ops: type
 * @priv: the type's own
 * @net: namespace; valid while registered
 * @user_net: outside the initial user namespace
 * @index: global index
 * @hash_node: in the namespace's table by name; registry lock, RCU
 * @cfg: configuration; link->lock, single words read without
 * @hash: L
 * @account: memory that the namespace's links hold; counted reference
 * @ops_lock: keeps the link registered while one of @ops runs on it
 * @lock: see the top of this file
 * @gone: unregistered; set under @ops_lock and @lock, read without
 * @gen: current generation or NULL; @lock, RCU
 * @admin: enum qkd_admin
 * @reason: enum qkd_reason of the state; @lock, read without
 * @last_label: label of the newest generation, 0 for none; @lock
 * @last_id: its G*
 * @mismatches: in a row; @lock
 * @qber: reported, in millionths
 * @skr: reported, in bit/s
 * @alarm: QKD_REPORT_* of a supplier in userspace; xchg
 * @refused: counters by enum qkd_refusal
 * @ahead: slices that were ahead of supply, since the last commit
 * @age_work: wiping by age
 * @readers: who waits for key or room, woken by supply, open, end
 * @writer: a file that supplies; cmpxchg
 * @handle_lock: protects @handles and @npeeks
 * @handles: struct qkd_handle by number
 * @npeeks: distinct IDs peeked
 * @nhandles: handles
 * @next_handle: cyclic allocation, from anywhere
 * @reap_work: drops handles whose time is over
 * @sas: ESP SAs by SPI, [dir - 1]
 * @nsas: their number
 * @weights: sum of the weights of those with rekey auto
 * @event_work: sends what packet paths noted
 * @noted: bits of enum qkd_event_type
 * @noted_count: how often
 * @noted_at: jiffies of the last of its kind sent; event_work alone
 * @noted_stream: stream of the last, by event type
 * @dev: the node /dev/qkd<index>, or NULL
 */
struct qkd_link {
	struct kref ref;
	struct rcu_head rcu;
	const struct qkd_link_ops *ops;
	void *priv;
	struct net *net;
	bool user_net;
	u32 index;
	struct hlist_node hash_node;
	struct qkd_link_config cfg;
	u8 hash[QKD_HASH_LEN];
	struct qkd_account *account;
	struct mutex ops_lock;	/* callbacks of the type */
	struct mutex lock;	/* configuration, generation, supply */
	bool gone;
	struct qkd_gen __rcu *gen;
	u32 admin;
	u32 reason;
	u16 last_label;
	u8 last_id[QKD_HASH_LEN];
	u32 mismatches;
	u32 qber;
	u64 skr;
	u32 alarm;
	atomic64_t refused[QKD_REFUSALS];
	atomic_t ahead;
	struct delayed_work age_work;
	wait_queue_head_t readers;
	unsigned long writer;
	struct mutex handle_lock;	/* the next four members */
	struct xarray handles;
	u32 npeeks;
	u32 nhandles;
	u32 next_handle;
	struct delayed_work reap_work;
	struct xarray sas[2];
	atomic_t nsas;
	atomic_t weights;
	struct delayed_work event_work;
	unsigned long noted;
	atomic_t noted_count[QKD_EVENT_TYPES];
	unsigned long noted_at[QKD_EVENT_TYPES];
	u8 noted_stream[QKD_EVENT_TYPES];
	struct device *dev;
};

/**
 * qkd_link_stream - one of a generation's streams
 * @link: link
 * @gen: a generation of it
 * @kind: pad or key
 * @tx: the one that this end allocates from, or the peer's
 */
static inline struct qkd_byte_stream *qkd_link_stream(const struct qkd_link *link,
						      struct qkd_gen *gen,
						      enum qkd_kind kind, bool tx)
{
	bool from_alice = tx == (link->cfg.role == QKD_ROLE_ALICE);

	return &gen->stream[(from_alice ? QKD_STREAM_A2B_PAD : QKD_STREAM_B2A_PAD) +
			    kind];
}

/**
 * struct qkd_slice - contiguous range of one segment; valid under the RCU
 *	read lock it was made in
 * @seg: the segment
 * @pos: first byte in the segment
 * @len: bytes, a multiple of the step
 */
struct qkd_slice {
	struct qkd_segment *seg;
	u32 pos;
	u32 len;
};

static inline u64 qkd_slice_offset(const struct qkd_slice *sl)
{
	return (sl->seg->no << sl->seg->stream->shift) + sl->pos;
}

/* segment.c: bytes and bits */
struct qkd_segment *qkd_segment_new(struct qkd_byte_stream *stream, u64 no);
int qkd_segment_grow(struct qkd_segment *seg, u32 pos, u32 end, u64 now);
int qkd_segment_set_head(struct qkd_segment *seg, const u8 *head);
void qkd_segment_write(struct qkd_segment *seg, u32 pos, const u8 *bytes,
		       u32 len);
void qkd_segment_retire(struct qkd_segment *seg);
void qkd_segment_free(struct qkd_segment *seg);
void qkd_segment_kill(struct qkd_segment *seg);
u32 qkd_segment_take(struct qkd_segment *seg, u32 pos, u32 end);
bool qkd_segment_try_take(struct qkd_segment *seg, u32 pos, u32 len, u32 *burnt);
bool qkd_segment_is_free(const struct qkd_segment *seg, u32 pos, u32 len);
u32 qkd_segment_next_free(const struct qkd_segment *seg, u32 pos);
u64 qkd_segment_live(const struct qkd_segment *seg, u32 end);
void qkd_segment_used(struct qkd_segment *seg, u32 bytes);
void qkd_slice_wipe(const struct qkd_slice *sl);

/**
 * qkd_slice_bytes - the memory behind a slice
 * @sl: the slice
 * @off: byte in the slice
 * @avail: out: bytes that are contiguous from there
 */
static inline u8 *qkd_slice_bytes(const struct qkd_slice *sl, u32 off, u32 *avail)
{
	u32 pos = sl->pos + off;

	*avail = min_t(u32, QKD_CHUNK - pos % QKD_CHUNK, sl->len - off);
	return sl->seg->chunk[pos / QKD_CHUNK]->bytes + pos % QKD_CHUNK;
}

/* stream.c: supply, allocation, accounts */
int qkd_stream_init(struct qkd_byte_stream *stream, struct qkd_gen *gen, u32 id,
		    u64 capacity);
void qkd_stream_free(struct qkd_byte_stream *stream);
struct qkd_segment __rcu **qkd_stream_slot(const struct qkd_byte_stream *stream,
					   u64 no);
struct qkd_segment *qkd_stream_segment(const struct qkd_byte_stream *stream, u64 no);
int qkd_stream_supply(struct qkd_byte_stream *stream, u64 offset, const u8 *bytes,
		      u32 len, const u8 *s);
int qkd_stream_gap(struct qkd_byte_stream *stream, u64 to);
struct qkd_block *qkd_stream_block(const struct qkd_byte_stream *stream, u64 offset,
				   u32 length);
int qkd_stream_alloc(struct qkd_byte_stream *stream, enum qkd_cursor which, u32 len,
		     struct qkd_slice *sl);
int qkd_stream_alloc_key(struct qkd_byte_stream *stream, u32 class, u32 len,
			 struct qkd_slice *sl);
int qkd_stream_find(struct qkd_byte_stream *stream, u64 offset, u32 len,
		    struct qkd_slice *sl);
void qkd_stream_advance(struct qkd_byte_stream *stream);
void qkd_stream_lose_block(struct qkd_byte_stream *stream, struct qkd_block *block);
void qkd_stream_age(struct qkd_byte_stream *stream, u64 now);
void qkd_stream_kill(struct qkd_byte_stream *stream);
u64 qkd_stream_room(const struct qkd_byte_stream *stream);
void qkd_stream_committed(const struct qkd_slice *sl, u32 class);
u64 qkd_stream_available(const struct qkd_byte_stream *stream, u32 class);
int qkd_stream_dry(struct qkd_byte_stream *stream);
u64 qkd_stream_tx_live(const struct qkd_byte_stream *stream);
u64 qkd_stream_live(const struct qkd_byte_stream *stream);

/*
 * Slices, packet path.
 *
 * tx: qkd_pad_alloc(), use the bytes, qkd_slice_done().
 * rx: qkd_pad_find(), read s and r, verify, qkd_slice_take(), use the bytes,
 *     qkd_slice_done().
 * All in one RCU read-side section. The result counts only if
 * qkd_slice_done() returned 0: else the bytes were wiped under the user's
 * hands, and what it made with them must be thrown away.
 */
int qkd_pad_alloc(struct qkd_link *link, u32 len, struct qkd_slice *sl,
		  u16 *label);
int qkd_pad_find(struct qkd_link *link, u32 label_bits, u64 offset, u32 len,
		 struct qkd_slice *sl);
void qkd_slice_read(const struct qkd_slice *sl, u32 off, void *to, u32 len);
bool qkd_slice_is_free(const struct qkd_slice *sl);
int qkd_slice_take(const struct qkd_slice *sl);
int qkd_slice_secret(const struct qkd_slice *sl, u8 *secret, u32 len);
int qkd_slice_done(const struct qkd_slice *sl);

/* kdf.c: HKDF-SHA-256 and the tags of key IDs */
struct qkd_key_context {
	u8 class;
	u8 type;	/* enum qkd_context_type */
	u8 len;
	const u8 *data;
};

/**
 * struct qkd_xpn - what a MACsec SA with extended packet numbers has besides
 *	its key
 * @salt: of its nonces
 * @ssci: short SCI
 */
struct qkd_xpn {
	u8 salt[12];
	u8 ssci[4];
};

/* HMAC-SHA-256 goes 2.2 KiB deep, with an interrupt at its bottom. */
#define QKD_STACK_CRYPTO	3

void qkd_wipe_stack(u32 kib);

int qkd_kdf_init(void);
void qkd_kdf_exit(void);
struct crypto_shash *qkd_prf_new(const u8 *key, u32 len);
void qkd_prf_free(struct crypto_shash *prf);
void qkd_prf_kill(struct crypto_shash *prf);
int qkd_kdf_key(const struct qkd_slice *sl, const struct qkd_key_context *ctx,
		u8 *key, u32 size);
int qkd_kdf_epoch(const struct qkd_slice *sl, const struct qkd_key_context *ctx,
		  const struct qkd_secret *secret, u8 key[32], u8 nonce[12]);
int qkd_kdf_xpn(const struct qkd_slice *sl, const struct qkd_key_context *ctx,
		struct qkd_xpn *xpn);
int qkd_kdf_epoch_tag(const struct qkd_segment *seg, __be32 spi, u64 offset, u8 *tag);
int qkd_kdf_id_tag(const struct qkd_segment *seg, const u8 id[QKD_KEY_ID_LEN],
		   const struct qkd_key_context *ctx, u8 tag[5]);
int qkd_kdf_confirm(const struct qkd_segment *seg, u8 r[16]);
void qkd_hash(u8 hash[QKD_HASH_LEN], const u8 *data, u32 len);
void qkd_hash_link(u8 hash[QKD_HASH_LEN], const char *id_alice,
		   const char *id_bob);

/* keyid.c: the fields of a key ID */
struct qkd_key_id {
	u16 link;
	u16 label;
	u8 stream;
	u8 class;
	u8 units;
	u64 offset;	/* units */
	u64 tag;	/* 40 bits */
};

void qkd_key_id_pack(u8 id[QKD_KEY_ID_LEN], const struct qkd_key_id *f);
int qkd_key_id_unpack(struct qkd_key_id *f, const u8 id[QKD_KEY_ID_LEN]);

/* confirm.c */
int qkd_confirm_tag(struct qkd_byte_stream *stream, u64 offset, u32 length,
		    const u8 s[QKD_TAG_LEN], u8 tag[QKD_TAG_LEN]);

/* key.c: keys by ID and handle */

/**
 * struct qkd_owner - whose handles they are
 * @net: of the socket
 * @portid: of the netlink socket, or 0
 * @file: character device, or NULL
 */
struct qkd_owner {
	const struct net *net;
	u32 portid;
	const struct file *file;
};

struct qkd_issued {
	u8 id[QKD_KEY_ID_LEN];
	u32 handle;
	u32 class;
	u32 size;
};

const char *qkd_key_error(int err);
int qkd_key_may_leave(struct qkd_link *link, u32 class);
int qkd_key_id_make(const struct qkd_slice *sl, const struct qkd_key_context *ctx,
		    u8 id[QKD_KEY_ID_LEN]);
int qkd_key_alloc(struct qkd_link *link, const struct qkd_key_context *ctx,
		  u32 size, u8 id[QKD_KEY_ID_LEN], u8 *key, struct qkd_xpn *xpn);
int qkd_key_get(struct qkd_link *link, const struct qkd_key_context *ctx,
		u32 size, const struct qkd_owner *owner, struct qkd_issued *out);
int qkd_key_peek(struct qkd_link *link, const u8 id[QKD_KEY_ID_LEN],
		 const struct qkd_key_context *ctx, u32 size,
		 const struct qkd_owner *owner, struct qkd_issued *out);
int qkd_key_commit(struct qkd_link *link, u32 handle);
int qkd_key_drop(struct qkd_link *link, u32 handle);
int qkd_key_fetch(struct qkd_link *link, u32 handle, u8 *key, u32 *size);
int qkd_key_check(struct qkd_link *link, const u8 id[QKD_KEY_ID_LEN],
		  const struct qkd_key_context *ctx, u32 size);
int qkd_key_claim(struct qkd_link *link, const u8 id[QKD_KEY_ID_LEN],
		  const struct qkd_key_context *ctx, u8 *key, u32 *size,
		  struct qkd_xpn *xpn);
void qkd_key_release_owner(struct qkd_link *link, const struct qkd_owner *owner);
void qkd_key_release_all(struct qkd_link *link);
void qkd_key_kill_all(struct qkd_link *link);
void qkd_key_reap(struct work_struct *work);
u64 qkd_key_available(struct qkd_link *link, u32 class, u32 size);
int qkd_key_check_supply(struct qkd_link *link, u32 class, u32 size, u32 count);

/* link.c: registry, generations */
extern struct mutex qkd_registry_lock;
extern struct workqueue_struct *qkd_wq;
extern struct workqueue_struct *qkd_free_wq;

int qkd_links_init(void);
void qkd_links_exit(void);
struct qkd_link *qkd_link_get_by_name(struct net *net, const char *name);
struct qkd_link *qkd_link_get_by_index(struct net *net, u32 index);
struct qkd_link *qkd_link_get_by_minor(u32 index);
struct qkd_link *qkd_link_next(struct net *net, u32 *index);
void qkd_link_put(struct qkd_link *link);
const struct qkd_link_ops *qkd_link_type_get(const char *type);
void qkd_link_type_put(const struct qkd_link_ops *ops);
void qkd_link_config_init(struct qkd_link_config *cfg);
int qkd_link_new(struct net *net, const struct qkd_link_ops *ops,
		 struct qkd_link_config *cfg, struct nlattr *data,
		 struct sk_buff *skb, struct netlink_ext_ack *extack);
int qkd_link_delete(struct qkd_link *link);
int qkd_link_set_admin(struct qkd_link *link, u32 admin,
		       struct netlink_ext_ack *extack);
u32 qkd_link_state(struct qkd_link *link);
int qkd_net_charge(struct qkd_link *link, u64 bytes);
void qkd_net_uncharge(struct qkd_link *link, u64 bytes);
bool qkd_net_park(struct qkd_link *link, u32 bytes);
void qkd_net_unpark(struct qkd_link *link, u32 bytes);
int qkd_link_lock_ops(struct qkd_link *link);
void qkd_link_unlock_ops(struct qkd_link *link);
void qkd_links_kill(bool alone);
void qkd_link_resume(struct qkd_link *link);
void qkd_links_hold(bool hold);
void qkd_links_end(u32 reason);
void qkd_links_for_each(struct net *net,
			void (*fn)(struct qkd_link *link, const void *arg),
			const void *arg);
void qkd_links_walk(struct net *net,
		    void (*fn)(struct qkd_link *link, const void *arg),
		    const void *arg);
int qkd_link_block_compare(struct qkd_link *link, u16 label, u32 stream,
			   u64 offset, u32 length, const u8 tag[QKD_TAG_LEN],
			   u32 *verdict, struct netlink_ext_ack *extack);
int qkd_link_block_walk(struct qkd_link *link, u16 label, u32 stream,
			int (*fn)(u64 offset, u32 length, u32 verdict, void *arg),
			void *arg, struct netlink_ext_ack *extack);

static inline void qkd_refuse(struct qkd_link *link, enum qkd_refusal why)
{
	atomic64_inc(&link->refused[why]);
}

/* event.c */

/**
 * struct qkd_event - fields of an event; those not set are left out
 * @type: enum qkd_event_type
 * @stream: -1 for none
 * @offset: with @length
 * @length: in bytes
 * @reason: enum qkd_reason, 0 for none
 * @qber: in millionths
 * @spi: of an SA, 0 for none
 * @dir: enum qkd_dir
 * @count: 0 for none
 * @key_id: of an epoch, a MACsec SA or a WireGuard peer, NULL for none
 * @ifindex: of a macsec or WireGuard device, 0 for none
 * @macsec: which of its SAs, NULL for none
 * @wg_peer: public key of which of its peers, NULL for none
 * @error: positive errno, 0 for none
 * @message: why, NULL for none
 */
struct qkd_event {
	u32 type;
	int stream;
	u64 offset;
	u64 length;
	u32 reason;
	u32 qber;
	__be32 spi;
	u32 dir;
	u64 count;
	const u8 *key_id;
	u32 ifindex;
	const struct qkd_macsec_name *macsec;
	const u8 *wg_peer;
	u32 error;
	const char *message;
};

void qkd_event_send(struct qkd_link *link, const struct qkd_event *ev);
void qkd_event_note(struct qkd_link *link, u32 type, int stream);
void qkd_event_work(struct work_struct *work);

/* chardev.c */
int qkd_chardev_init(void);
void qkd_chardev_exit(void);
int qkd_chardev_add(struct qkd_link *link);
void qkd_chardev_del(struct qkd_link *link);

/* user.c, netlink.c, pm.c */
extern const struct qkd_link_ops qkd_user_ops;
int qkd_netlink_init(void);
void qkd_netlink_exit(void);
int qkd_pm_init(void);
void qkd_pm_exit(void);

/* esp.c: SAs */

/**
 * struct qkd_sa_stats - one CPU's counters of an SA
 */
enum qkd_sa_counter {
	QKD_SA_PACKETS,
	QKD_SA_BYTES,
	QKD_SA_KEY_BYTES,
	/* refusals, in the order of enum qkd_a_esp_refused */
	QKD_SA_NO_KEY,
	QKD_SA_LINK,
	QKD_SA_LENGTH,
	QKD_SA_DIR,
	QKD_SA_CIPHER,
	QKD_SA_STALE,
	QKD_SA_NOT_HERE,
	QKD_SA_DUPLICATE,
	QKD_SA_ICV,
	QKD_SA_PARKING,		/* QKD_A_ESP_REFUSED_PARKED */
	QKD_SA_THROTTLED,
	QKD_SA_PHASE,
	QKD_SA_LIMIT,
	/* no refusals */
	QKD_SA_EPOCHS,
	QKD_SA_PARKED,
	QKD_SA_FALLBACK,
	QKD_SA_COUNTERS,
};

struct qkd_sa_stats {
	u64 n[QKD_SA_COUNTERS];
};

/**
 * struct qkd_sa - an ESP SA whose key comes from a link
 * @ref: one by the link's table, one by the tfm
 * @rcu: frees it
 * @link: counted reference
 * @number: public handle, in alg_key
 * @spi: network order
 * @dir: enum qkd_dir
 * @cipher: enum qkd_cipher
 * @on_empty: enum qkd_on_empty
 * @mark: of the xfrm_state
 * @has_bind: @bind is set; cipher hybrid is bound by its secret instead
 * @bind: ciphers otp and aes: goes into what packets are verified with, zeros
 *	for none
 * @aes: what makes its epochs, or NULL for otp without on-empty aes; its own
 * @lock: protects @daddr and @family
 * @daddr: destination, with @family and @mark finds the xfrm_state again;
 *	changes with XFRM_MSG_MIGRATE
 * @family: AF_INET or AF_INET6
 * @bound: tfms that are bound to it; two while XFRM migrates its state
 * @gone: out of the link's table: it blocks
 * @noted: events to be sent, bits from QKD_EVENT_TYPE_SA_REKEYED on
 * @told: epochs that an event has told of; link->event_work alone
 * @stats: per CPU
 *
 * The fields up to @aes are constant once the SA is published.
 */
struct qkd_sa {
	struct kref ref;
	struct rcu_head rcu;
	struct qkd_link *link;
	u64 number;
	__be32 spi;
	u32 dir;
	u32 cipher;
	u32 on_empty;
	u32 mark;
	bool has_bind;
	u8 bind[QKD_BIND_LEN];
	struct qkd_aes *aes;
	spinlock_t lock;	/* the next two members */
	xfrm_address_t daddr;
	u16 family;
	atomic_t bound;
	bool gone;
	unsigned long noted;
	u64 told;
	struct qkd_sa_stats __percpu *stats;
};

static inline void qkd_sa_count(struct qkd_sa *sa, enum qkd_sa_counter what,
				u64 n)
{
	this_cpu_add(sa->stats->n[what], n);
}

/**
 * struct qkd_rekey - when the next epoch of an SA is due
 * @packets: after so many, 0 for no such limit
 * @bytes: of text, likewise
 * @time: in ms after the epoch's first packet, likewise
 * @automatic: @time follows the key rate
 */
struct qkd_rekey {
	u64 packets;
	u64 bytes;
	u32 time;
	bool automatic;
};

/**
 * struct qkd_secret - an external secret of a hybrid SA
 * @number: which one; its low bit is the phase in the IV
 * @len: bytes of @bytes, 0 for none
 * @bytes: the secret; whoever holds a copy wipes it
 */
struct qkd_secret {
	u32 number;
	u16 len;
	u8 bytes[QKD_SECRET_MAX];
};

/**
 * struct qkd_esp_config - what an SA is added with
 * @rekey: when an epoch is due; all zero: @limits alone
 * @limits: beyond which no epoch is used; never zero
 * @weight: share of the link's key, for rekey.automatic
 * @park_time: in ms
 * @secret: cipher hybrid: by esp-add, NULL when an SA is described
 * @secret_number: when an SA is described
 * @has_bind: ciphers otp and aes: by esp-add, false when an SA is described
 * @bind: whoever holds a copy wipes it
 * @encap_sport: UDP encapsulation, 0 for none
 * @encap_dport: likewise
 * @lft: lifetimes; XFRM_INF for none
 */
struct qkd_esp_config {
	u32 cipher;
	u32 dir;
	u32 on_empty;
	__be32 spi;
	u16 family;
	xfrm_address_t src;
	xfrm_address_t dst;
	u8 mode;		/* XFRM_MODE_* */
	u32 reqid;
	u32 if_id;
	u32 mark;
	u32 mark_mask;
	u32 replay_window;
	bool esn;
	bool has_sel;
	struct xfrm_selector sel;
	struct qkd_rekey rekey;
	struct qkd_rekey limits;
	u32 weight;
	u32 park_time;
	const struct qkd_secret *secret;
	u32 secret_number;
	bool has_bind;
	u8 bind[QKD_BIND_LEN];
	__be16 encap_sport;
	__be16 encap_dport;
	struct xfrm_lifetime_cfg lft;
};

/**
 * struct qkd_esp_change - what esp-set changes; what is not set stays
 * @rekey: NULL, or the new intervals
 * @weight: 0 or new
 * @has_park_time: @park_time is new
 * @park_time: in ms
 * @secret: NULL, or the next external secret
 */
struct qkd_esp_change {
	const struct qkd_rekey *rekey;
	u32 weight;
	bool has_park_time;
	u32 park_time;
	const struct qkd_secret *secret;
};

/**
 * struct qkd_epoch_stats - an SA's current epoch
 * @has_epoch: the fields up to @secret_number are set
 * @id: key ID
 * @age: in ms since its first packet
 * @packets: under it
 * @bytes: under it
 * @secret_number: hybrid: of the external secret in it
 * @interval: mean time between epochs in ms, 0 for unknown
 * @left: out: epochs that the link has key for
 * @fallback: out: goes on without key, as on-empty says
 */
struct qkd_epoch_stats {
	bool has_epoch;
	u8 id[QKD_KEY_ID_LEN];
	u64 age;
	u64 packets;
	u64 bytes;
	u32 secret_number;
	u64 interval;
	u64 left;
	bool fallback;
};

int qkd_esp_add(struct qkd_link *link, const struct qkd_esp_config *cfg,
		bool replace, u64 *number, u32 portid, u32 seq,
		struct netlink_ext_ack *extack);
int qkd_esp_set(struct qkd_link *link, u32 dir, __be32 spi,
		const struct qkd_esp_change *change,
		struct netlink_ext_ack *extack);
int qkd_esp_del(struct qkd_link *link, u32 dir, __be32 spi,
		struct netlink_ext_ack *extack);
void qkd_esp_flush(struct qkd_link *link);
void qkd_esp_epoch(struct qkd_sa *sa, struct qkd_epoch_stats *stats);
struct qkd_sa *qkd_esp_get(struct qkd_link *link, u32 dir, __be32 spi);
struct qkd_sa *qkd_esp_next(struct qkd_link *link, u32 dir, unsigned long *spi);
int qkd_esp_describe(struct qkd_sa *sa, struct qkd_esp_config *cfg);
void qkd_sa_put(struct qkd_sa *sa);
void qkd_sa_hold_bound(struct qkd_sa *sa);
void qkd_sa_drop_bound(struct qkd_sa *sa);
void qkd_sa_unbind(struct qkd_sa *sa);
u64 qkd_sa_sum(const struct qkd_sa *sa, enum qkd_sa_counter what);
void qkd_sa_tell(struct qkd_sa *sa, u32 type);
void qkd_esp_tell(struct qkd_link *link, u32 type);
void qkd_esp_gen_gone(struct qkd_link *link);
void qkd_esp_void(struct qkd_link *link);
void qkd_esp_link_gone(struct qkd_link *link);
void qkd_esp_init(void);
void qkd_esp_exit(void);

/* aead.c: the AEADs qkd(otp), qkd(aes), qkd(hybrid) */
int qkd_aead_init(void);
void qkd_aead_exit(void);
const char *qkd_aead_name(u32 cipher);
bool qkd_aead_bind(struct crypto_aead *tfm, struct qkd_sa *sa);
struct qkd_sa *qkd_aead_sa(struct crypto_aead *tfm);
int qkd_sa_refused(struct qkd_sa *sa, int err);

/* otp.c: packets under the pad; fallback.c: under what is there; aes.c: in epochs */
int qkd_otp_encrypt(struct qkd_sa *sa, struct aead_request *req);
int qkd_otp_decrypt(struct qkd_sa *sa, struct aead_request *req, u64 iv);
int qkd_fallback_encrypt(struct qkd_sa *sa, struct aead_request *req);
int qkd_aes_encrypt(struct qkd_sa *sa, struct aead_request *req);
int qkd_aes_decrypt(struct qkd_sa *sa, struct aead_request *req, u64 iv);

int qkd_aes_new(struct qkd_sa *sa, const struct qkd_esp_config *cfg,
		struct netlink_ext_ack *extack);
void qkd_aes_free(struct qkd_aes *aes);
void qkd_aes_end(struct qkd_aes *aes);
void qkd_aes_void(struct qkd_aes *aes);
void qkd_aes_flush(struct qkd_aes *aes);
u32 qkd_aes_reqsize(const struct qkd_aes *aes);
int qkd_aes_set(struct qkd_aes *aes, const struct qkd_esp_change *change,
		struct netlink_ext_ack *extack);
void qkd_aes_describe(struct qkd_aes *aes, struct qkd_esp_config *cfg);
void qkd_aes_stats(struct qkd_aes *aes, struct qkd_epoch_stats *stats);

/* macsec.c: keys of macsec devices; macsec.h has the rest */
void qkd_macsec_link_gone(struct qkd_link *link);
void qkd_macsec_stop(const char *why, bool wait);
int qkd_macsec_init(void);
void qkd_macsec_exit(void);

/* wg.c: keys of WireGuard peers; wg.h has the rest */
void qkd_wg_link_gone(struct qkd_link *link);
void qkd_wg_stop(const char *why, bool wait);
int qkd_wg_init(void);
void qkd_wg_exit(void);

#endif /* _QKD_CORE_H */
