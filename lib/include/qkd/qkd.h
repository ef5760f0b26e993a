/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libqkd: QKD links, their keys and the SAs that spend them, as the Linux
 * kernel holds them. See libqkd(3).
 *
 * Calls return 0, or a negative errno. What the kernel said beyond the errno
 * is in the context: qkd_error_text(), qkd_error_attribute().
 *
 * In structures, @has tells which members count: bit QKD_HAS(QKD_A_...) for
 * the attribute of that name. What a call fills it sets; what a call takes,
 * the caller sets. Reserved members are zero; zero a structure before use.
 */
#ifndef QKD_QKD_H
#define QKD_QKD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/qkd.h>
#include <linux/qkd_dev.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

#define QKD_HAS(attr) (UINT64_C(1) << (attr))

/* Length of a key ID as text (UUID), without the final NUL. */
#define QKD_KEY_ID_TEXT_LEN 36

/**
 * struct qkd_ref - which link
 * @name: its name in the network namespace, or NULL
 * @index: its index, if there is no name
 */
struct qkd_ref {
	const char *name;
	uint32_t index;
};

static inline struct qkd_ref qkd_by_name(const char *name)
{
	struct qkd_ref ref = { name, 0 };

	return ref;
}

static inline struct qkd_ref qkd_by_index(uint32_t index)
{
	struct qkd_ref ref = { NULL, index };

	return ref;
}

/* ---- Context: a socket and the last error ---- */

struct qkd_ctx;

/* The namespace is the one of the calling thread. -ENOENT: no module. */
int qkd_open(struct qkd_ctx **ctx);
/* Keys that were got and not fetched are burnt, peeked ones are let go. */
void qkd_close(struct qkd_ctx *ctx);

/* The kernel's words on the last call, "" if it had none. After success they
 * are a warning. Never NULL, and never key.
 */
const char *qkd_error_text(const struct qkd_ctx *ctx);
/* The attribute that it objected to, such as "rate" or "emu.seed", or "". */
const char *qkd_error_attribute(const struct qkd_ctx *ctx);

/* ---- Links ---- */

/**
 * struct qkd_emu - parameters of an emulated link
 * @has: QKD_HAS(QKD_A_EMU_...)
 * @rate: bit/s
 * @qber: millionths
 * @threshold: millionths
 * @protocol: enum qkd_emu_protocol
 * @gen: label of a single end's generation
 * @stopped: supply is stopped
 * @flip: coming blocks with a flipped bit
 * @lose: coming blocks that get lost
 * @peer_index: index of a pair's other end
 * @block: bytes in a block
 * @peer_netns_fd: namespace of a pair's other end
 * @peer_name: name of a pair's other end
 * @seed: of a single end; only ever sent, the caller wipes it
 * @seed_len: its bytes
 */
struct qkd_emu {
	uint64_t has;
	uint64_t rate;
	uint32_t qber;
	uint32_t threshold;
	uint32_t protocol;
	uint32_t gen;
	uint32_t stopped;
	uint32_t flip;
	uint32_t lose;
	uint32_t peer_index;
	uint32_t block;
	int peer_netns_fd;
	char peer_name[QKD_NAME_LEN + 1];
	const void *seed;
	size_t seed_len;
	uint64_t reserved[8];
};

/**
 * struct qkd_stat - accounts of a stream, in bytes
 *
 * supplied = taken + skipped + lost + head + live.
 */
struct qkd_stat {
	uint64_t has;
	uint32_t stream;
	uint32_t dir;
	uint64_t supplied;
	uint64_t pending;
	uint64_t taken;
	uint64_t skipped;
	uint64_t lost;
	uint64_t head;
	uint64_t live;
	uint64_t capacity;
	uint32_t segments;
	uint32_t reserved32;
	uint64_t reserved[4];
};

/**
 * struct qkd_refused - what a link refused, by reason
 */
struct qkd_refused {
	uint64_t has;
	uint64_t no_key;
	uint64_t bad_tag;
	uint64_t not_here;
	uint64_t duplicate;
	uint64_t stale;
	uint64_t burnt;
	uint64_t mismatch;
	uint64_t class_;
	uint64_t icv;
	uint64_t reserved[8];
};

/**
 * struct qkd_link - a link
 * @has: QKD_HAS(QKD_A_LINK_...)
 * @max_age: ms, 0 is never
 * @pad_keep: ms
 * @key_keep: ms
 * @pad_capacity: bytes, as are the other capacities, marks and reserves
 * @qber: millionths
 * @skr: bit/s
 * @nstats: members of @stat that are filled
 * @node: it has a character device, /dev/qkd<index>
 *
 * The other members are those of the specification of the family.
 */
struct qkd_link {
	uint64_t has;
	uint32_t index;
	uint32_t role;
	char name[QKD_NAME_LEN + 1];
	char type[QKD_NAME_LEN + 1];
	char id[QKD_IDENTITY_LEN + 1];
	char peer_id[QKD_IDENTITY_LEN + 1];
	uint32_t confirm;
	uint32_t export_;
	uint64_t max_age;
	uint32_t pad_keep;
	uint32_t key_keep;
	uint64_t pad_capacity;
	uint64_t key_capacity;
	uint64_t pad_low;
	uint64_t key_low;
	uint32_t reserve_control;
	uint32_t reserve_rekey;
	uint32_t reserve_export;
	uint32_t admin;
	uint32_t state;
	uint32_t reason;
	uint32_t label;
	uint32_t qber;
	uint8_t generation[QKD_HASH_LEN];
	uint8_t hash[QKD_HASH_LEN];
	uint64_t skr;
	uint32_t sas;
	uint32_t handles;
	uint32_t node;
	uint32_t nstats;
	struct qkd_emu emu;
	struct qkd_stat stat[4];
	struct qkd_refused refused;
	uint64_t reserved[16];
};

/* Visitors of dumps: anything but 0 ends the dump, which returns it. They must
 * not call with the same context. A dump that returns -EINTR has visited all
 * it got, but the table changed meanwhile.
 */
typedef int (*qkd_link_fn)(const struct qkd_link *link, void *arg);

int qkd_link_new(struct qkd_ctx *ctx, const struct qkd_link *link,
		 uint32_t *index);
int qkd_link_del(struct qkd_ctx *ctx, struct qkd_ref ref);
int qkd_link_set(struct qkd_ctx *ctx, struct qkd_ref ref,
		 const struct qkd_link *link);
int qkd_link_get(struct qkd_ctx *ctx, struct qkd_ref ref,
		 struct qkd_link *link);
int qkd_link_dump(struct qkd_ctx *ctx, qkd_link_fn fn, void *arg);

/* ---- Generations and blocks: for suppliers that run the handshake ---- */

/**
 * struct qkd_gen - what the generation handshake agreed
 * @label: 1 to 65535
 * @peer_role: enum qkd_role
 * @generation: G*
 * @hash: L as the peer sees it
 * @pad_capacity: the peer's, in bytes
 * @key_capacity: the peer's, in bytes
 */
struct qkd_gen {
	uint64_t has;
	uint32_t label;
	uint32_t peer_role;
	uint8_t generation[QKD_HASH_LEN];
	uint8_t hash[QKD_HASH_LEN];
	uint64_t pad_capacity;
	uint64_t key_capacity;
	uint64_t reserved[8];
};

int qkd_gen_begin(struct qkd_ctx *ctx, struct qkd_ref ref,
		  const struct qkd_gen *gen);
int qkd_gen_open(struct qkd_ctx *ctx, struct qkd_ref ref, uint32_t label,
		 const uint8_t generation[QKD_HASH_LEN]);
int qkd_gen_end(struct qkd_ctx *ctx, struct qkd_ref ref, uint32_t label,
		enum qkd_reason reason);

/**
 * struct qkd_block - name of a supplied block
 * @label: of the generation
 * @stream: enum qkd_stream
 * @offset: of its first byte
 * @length: its bytes
 */
struct qkd_block {
	uint32_t label;
	uint32_t stream;
	uint64_t offset;
	uint32_t length;
	uint32_t reserved;
};

/* The tag of a block, at the rx end of its stream. */
int qkd_block_tag(struct qkd_ctx *ctx, struct qkd_ref ref,
		  const struct qkd_block *block, uint8_t tag[QKD_TAG_LEN]);
/* At the tx end: check the peer's tag, *verdict is the result. */
int qkd_block_check(struct qkd_ctx *ctx, struct qkd_ref ref,
		    const struct qkd_block *block,
		    const uint8_t tag[QKD_TAG_LEN], enum qkd_verdict *verdict);
/* The same, but the block stays unusable until it is settled: when the peer has
 * it usable, so that nothing is sent that it could not open yet.
 */
int qkd_block_compare(struct qkd_ctx *ctx, struct qkd_ref ref,
		      const struct qkd_block *block,
		      const uint8_t tag[QKD_TAG_LEN],
		      enum qkd_verdict *verdict);
/* At the rx end: take the peer's verdict. At the tx end: that of
 * qkd_block_compare(). At either end: QKD_VERDICT_LOST gives the block up.
 */
int qkd_block_settle(struct qkd_ctx *ctx, struct qkd_ref ref,
		     const struct qkd_block *block, enum qkd_verdict verdict);

/**
 * struct qkd_waiting - a block that waits for confirmation
 * @offset: of its first byte
 * @length: its bytes
 * @verdict: at the tx end, what qkd_block_compare() found, or 0
 */
struct qkd_waiting {
	uint64_t offset;
	uint32_t length;
	uint32_t verdict;
};

/* Most that one qkd_block_list() tells. */
#define QKD_BLOCKS_LISTED 64

/* Blocks of a stream that wait, the oldest first. *count: room at @blocks; then
 * how many there are.
 */
int qkd_block_list(struct qkd_ctx *ctx, struct qkd_ref ref, uint32_t label,
		   enum qkd_stream stream, struct qkd_waiting *blocks,
		   uint32_t *count);

/* ---- Keys: IDs and handles; the bytes come by the link's node ---- */

/**
 * struct qkd_context - what a key is for; both ends must say the same
 * @type: enum qkd_context_type
 * @length: bytes at @data, at most QKD_CONTEXT_LEN
 * @data: opaque
 *
 * NULL in the place of a context is the type none and no bytes.
 */
struct qkd_context {
	uint32_t type;
	uint32_t length;
	const void *data;
};

/**
 * struct qkd_key - a key that was allocated or looked up
 * @id: its key ID
 * @handle: names it to qkd_node_fetch(), and to commit and drop
 * @size: bytes
 * @class_: enum qkd_class
 */
struct qkd_key {
	uint8_t id[QKD_KEY_ID_LEN];
	uint32_t handle;
	uint32_t size;
	uint32_t class_;
	uint32_t reserved[5];
};

/* Allocate @count keys of @size bytes; @count becomes how many were issued. */
int qkd_key_get(struct qkd_ctx *ctx, struct qkd_ref ref, enum qkd_class cls,
		uint32_t size, const struct qkd_context *context,
		struct qkd_key *keys, uint32_t *count);
/* @size 0 is all that the ID's units give. */
int qkd_key_peek(struct qkd_ctx *ctx, struct qkd_ref ref,
		 const uint8_t id[QKD_KEY_ID_LEN], uint32_t size,
		 const struct qkd_context *context, struct qkd_key *key);
int qkd_key_get_by_id(struct qkd_ctx *ctx, struct qkd_ref ref,
		      const uint8_t id[QKD_KEY_ID_LEN], uint32_t size,
		      const struct qkd_context *context, struct qkd_key *key);
int qkd_key_commit(struct qkd_ctx *ctx, struct qkd_ref ref, uint32_t handle);
int qkd_key_drop(struct qkd_ctx *ctx, struct qkd_ref ref, uint32_t handle);
/* How many keys of @size bytes the class could allocate now. */
int qkd_key_status(struct qkd_ctx *ctx, struct qkd_ref ref, enum qkd_class cls,
		   uint32_t size, uint64_t *available);

/**
 * struct qkd_key_id - fields of a key ID
 * @link: first two bytes of L
 * @label: of the generation
 * @stream: enum qkd_stream
 * @class_: enum qkd_class
 * @units: length in units of 32 bytes
 * @offset: in units
 * @tag: 40 bits
 */
struct qkd_key_id {
	uint16_t link;
	uint16_t label;
	uint8_t stream;
	uint8_t class_;
	uint8_t units;
	uint8_t reserved8;
	uint64_t offset;
	uint64_t tag;
	uint64_t reserved[2];
};

/* -EINVAL if it is no UUID of version 8. Not secret. */
int qkd_key_id_fields(const uint8_t id[QKD_KEY_ID_LEN],
		      struct qkd_key_id *fields);
int qkd_key_id_parse(const char *text, uint8_t id[QKD_KEY_ID_LEN]);
char *qkd_key_id_format(const uint8_t id[QKD_KEY_ID_LEN],
			char text[QKD_KEY_ID_TEXT_LEN + 1]);

/* ---- The link's node, /dev/qkd<index> ---- */

/* Buffers for key belong to the caller, who locks and wipes them: the library
 * keeps no copy. A file descriptor outlives the context.
 */

/* @flags as for open(2). Returns a file descriptor. */
int qkd_node_open(struct qkd_ctx *ctx, struct qkd_ref ref, int flags);
/* Allocate and read one key of @size bytes with its ID. */
int qkd_node_read(int fd, struct qkd_key_record *record, size_t size);
/* Take the key that an ID names. *size: room at @key; then its bytes. @want:
 * bytes of the key, 0 for all that its units give.
 */
int qkd_node_claim(int fd, const uint8_t id[QKD_KEY_ID_LEN], uint32_t want,
		   const struct qkd_context *context, void *key, size_t *size);
/* The key of a handle. *size: room at @key; then its bytes. */
int qkd_node_fetch(int fd, uint32_t handle, void *key, size_t *size);
/* Supply a block. @s: the bytes for its tag, NULL on a link without
 * confirmation.
 */
int qkd_node_supply(int fd, const struct qkd_block *block, const void *bytes,
		    const uint8_t s[QKD_TAG_LEN]);
/* Jump forward to @offset. */
int qkd_node_gap(int fd, uint32_t label, enum qkd_stream stream,
		 uint64_t offset);
/* What its supplier measures: QBER in millionths, bits of key that it supplies
 * per second. @flags: QKD_REPORT_*, alarms that last.
 */
int qkd_node_report(int fd, uint32_t qber, uint64_t skr, uint32_t flags);

/* ---- ESP SAs ---- */

/**
 * struct qkd_addr - address
 * @family: AF_INET or AF_INET6
 * @bytes: network order; 4 or 16
 */
struct qkd_addr {
	uint32_t family;
	uint8_t bytes[16];
};

/**
 * struct qkd_sel - selector of an SA
 * @has: QKD_HAS(QKD_A_SEL_...)
 */
struct qkd_sel {
	uint64_t has;
	struct qkd_addr src;
	struct qkd_addr dst;
	uint32_t src_prefix;
	uint32_t dst_prefix;
	uint32_t proto;
	uint32_t sport;
	uint32_t dport;
	uint32_t ifindex;
	uint64_t reserved[4];
};

/**
 * struct qkd_esp_refused - packets that an SA refused, by reason
 */
struct qkd_esp_refused {
	uint64_t has;
	uint64_t no_key;
	uint64_t link;
	uint64_t length;
	uint64_t dir;
	uint64_t cipher;
	uint64_t stale;
	uint64_t not_here;
	uint64_t duplicate;
	uint64_t icv;
	uint64_t parked;
	uint64_t throttled;
	uint64_t phase;
	uint64_t limit;
	uint64_t reserved[8];
};

/**
 * struct qkd_encap - ESP in UDP; both ports are needed
 * @has: QKD_HAS(QKD_A_ENCAP_...)
 */
struct qkd_encap {
	uint64_t has;
	uint32_t sport;
	uint32_t dport;
};

/**
 * struct qkd_lifetime - limits of an SA; 0 is none
 * @has: QKD_HAS(QKD_A_LIFETIME_...)
 * @soft_add_time: seconds, as are the other times
 */
struct qkd_lifetime {
	uint64_t has;
	uint64_t soft_bytes;
	uint64_t hard_bytes;
	uint64_t soft_packets;
	uint64_t hard_packets;
	uint64_t soft_add_time;
	uint64_t hard_add_time;
	uint64_t soft_use_time;
	uint64_t hard_use_time;
};

/**
 * struct qkd_epoch - an SA's current epoch: the packets under one AES key
 * @has: QKD_HAS(QKD_A_EPOCH_...)
 * @key_id: of its key
 * @secret_number: of the external secret in it, cipher hybrid
 * @age: ms since its first packet
 * @packets: under it so far
 * @bytes: of text, likewise
 */
struct qkd_epoch {
	uint64_t has;
	uint8_t key_id[QKD_KEY_ID_LEN];
	uint32_t secret_number;
	uint32_t reserved32;
	uint64_t age;
	uint64_t packets;
	uint64_t bytes;
	uint64_t reserved[4];
};

/**
 * struct qkd_esp - an ESP SA
 * @has: QKD_HAS(QKD_A_ESP_...)
 * @spi: host order
 * @esn: extended sequence numbers
 * @dead: its link has gone
 * @sa: number, the last 8 bytes of the handle that ip-xfrm(8) shows
 * @packets: that passed
 * @bytes: of text, ESP trailer included
 * @key_bytes: spent
 * @rekey_packets: a new key after so many
 * @rekey_bytes: of text, likewise
 * @rekey_time: ms, likewise
 * @rekey_auto: the time follows the link's key rate
 * @epoch_packets: no key protects more
 * @epoch_bytes: of text, likewise
 * @epoch_time: ms, likewise
 * @weight: share of the link's key under @rekey_auto
 * @park_time: ms that a packet waits for its key
 * @secret: external secret for cipher hybrid, 32 to 1024 bytes; only ever sent,
 *	the caller wipes it. NULL: the key of type logon that @secret_name names
 * @secret_len: its bytes
 * @secret_name: description of a key of the caller's, such as "vpn:2026-1"
 * @secret_number: which secret that is
 * @bind: what an SA of cipher otp or aes is bound to, 16 bytes; likewise. NULL: the
 *	key that @bind_name names
 * @bind_name: as @secret_name
 * @epochs: begun (out) or verified (in)
 * @epoch: the current one
 * @interval: mean time between epochs in ms, 0 for unknown
 * @key_left: epochs that the link has key for
 * @fallback: it has no key and goes on as on-empty says
 * @fallback_packets: that went so
 * @parked: packets that waited for their key
 */
struct qkd_esp {
	uint64_t has;
	uint32_t link_index;
	char link_name[QKD_NAME_LEN + 1];
	uint32_t cipher;
	uint32_t dir;
	uint32_t spi;
	struct qkd_addr src;
	struct qkd_addr dst;
	uint32_t mode;
	uint32_t reqid;
	uint32_t if_id;
	uint32_t mark;
	uint32_t mark_mask;
	uint32_t replay_window;
	uint32_t esn;
	uint32_t on_empty;
	uint32_t dead;
	struct qkd_sel sel;
	uint64_t sa;
	uint64_t packets;
	uint64_t bytes;
	uint64_t key_bytes;
	struct qkd_esp_refused refused;
	uint64_t rekey_packets;
	uint64_t rekey_bytes;
	uint32_t rekey_time;
	uint32_t rekey_auto;
	uint64_t epoch_packets;
	uint64_t epoch_bytes;
	uint32_t epoch_time;
	uint32_t weight;
	uint32_t park_time;
	uint32_t secret_number;
	const void *secret;
	size_t secret_len;
	const char *secret_name;
	struct qkd_encap encap;
	struct qkd_lifetime lifetime;
	uint64_t epochs;
	struct qkd_epoch epoch;
	uint64_t interval;
	uint64_t key_left;
	uint64_t fallback_packets;
	uint64_t parked;
	uint32_t fallback;
	uint32_t reserved32;
	const void *bind;
	const char *bind_name;
	uint64_t reserved[14];
};

typedef int (*qkd_esp_fn)(const struct qkd_esp *esp, void *arg);

/* @ref, not the link of @esp, names the link; @sa may be NULL. */
int qkd_esp_add(struct qkd_ctx *ctx, struct qkd_ref ref,
		const struct qkd_esp *esp, uint64_t *sa);
int qkd_esp_replace(struct qkd_ctx *ctx, struct qkd_ref ref,
		    const struct qkd_esp *esp, uint64_t *sa);
/* Of @esp: the rekey intervals, all of them if one is given; weight, park time,
 * and another external secret under its own number.
 */
int qkd_esp_set(struct qkd_ctx *ctx, struct qkd_ref ref, enum qkd_dir dir,
		uint32_t spi, const struct qkd_esp *esp);
int qkd_esp_del(struct qkd_ctx *ctx, struct qkd_ref ref, enum qkd_dir dir,
		uint32_t spi);
/* All SAs of a link; of all links of the namespace if @ref is NULL. */
int qkd_esp_flush(struct qkd_ctx *ctx, const struct qkd_ref *ref);
int qkd_esp_get(struct qkd_ctx *ctx, struct qkd_ref ref, enum qkd_dir dir,
		uint32_t spi, struct qkd_esp *esp);
int qkd_esp_dump(struct qkd_ctx *ctx, qkd_esp_fn fn, void *arg);

/* ---- MACsec ---- */

/* Longest words that the kernel has on an SA, with the final NUL. */
#define QKD_MESSAGE_LEN 96

/**
 * struct qkd_macsec - a macsec device that takes its keys from a link
 * @has: QKD_HAS(QKD_A_MACSEC_...)
 * @ifindex: of the device
 * @max_time: ms that an SA is used
 * @suite: enum qkd_macsec_suite
 * @sci: of its transmit channel, as a number: "ip macsec show" has it in hex
 * @sas: its SAs, in whatever state
 * @installed: SAs so far
 * @removed: likewise
 * @failed: SAs that could not be installed or removed
 * @leaving: it is being unbound
 */
struct qkd_macsec {
	uint64_t has;
	uint32_t link_index;
	char link_name[QKD_NAME_LEN + 1];
	uint32_t ifindex;
	uint32_t max_time;
	uint32_t suite;
	uint64_t sci;
	uint64_t installed;
	uint64_t removed;
	uint64_t failed;
	uint32_t sas;
	uint32_t leaving;
	uint64_t reserved[8];
};

/**
 * struct qkd_macsec_sa - an SA of such a device
 * @has: QKD_HAS(QKD_A_MACSEC_SA_...)
 * @dir: enum qkd_dir: out is a transmit SA
 * @an: association number, 0 to 3
 * @sci: of its channel; the peer's, if it is a receive SA
 * @key_id: of its key, which is also macsec's key identifier
 * @suite: enum qkd_macsec_suite
 * @number: of the request that made it
 * @state: enum qkd_macsec_state
 * @error: positive errno, in state failed
 * @message: what it means
 * @age: ms since it was installed
 */
struct qkd_macsec_sa {
	uint64_t has;
	uint32_t link_index;
	char link_name[QKD_NAME_LEN + 1];
	uint32_t ifindex;
	uint32_t dir;
	uint32_t an;
	uint64_t sci;
	uint8_t key_id[QKD_KEY_ID_LEN];
	uint32_t suite;
	uint32_t state;
	uint64_t number;
	uint64_t age;
	uint32_t error;
	char message[QKD_MESSAGE_LEN];
	uint32_t reserved32;
	uint64_t reserved[8];
};

typedef int (*qkd_macsec_fn)(const struct qkd_macsec *macsec, void *arg);
typedef int (*qkd_macsec_sa_fn)(const struct qkd_macsec_sa *sa, void *arg);

/* Of @macsec: ifindex, and max_time if @has says so. */
int qkd_macsec_bind(struct qkd_ctx *ctx, struct qkd_ref ref,
		    const struct qkd_macsec *macsec);
/* Done when the device is not found any more: see qkd_macsec_wait(). */
int qkd_macsec_unbind(struct qkd_ctx *ctx, uint32_t ifindex);
int qkd_macsec_get(struct qkd_ctx *ctx, uint32_t ifindex,
		   struct qkd_macsec *macsec);
int qkd_macsec_dump(struct qkd_ctx *ctx, qkd_macsec_fn fn, void *arg);
/* Until the device is unbound. @timeout is in ms: then -ETIMEDOUT. */
int qkd_macsec_wait(struct qkd_ctx *ctx, uint32_t ifindex,
		    unsigned int timeout);

/* An SA is named by ifindex, dir, an, and if dir is in, sci. Adding a receive SA
 * also takes the key ID; @sa then has what the kernel chose: number, sci, suite.
 * It is pending: see qkd_macsec_sa_wait(), or wait for the event.
 */
int qkd_macsec_sa_add(struct qkd_ctx *ctx, struct qkd_macsec_sa *sa);
/* Done when the SA is not found any more: see qkd_macsec_sa_wait_gone(). */
int qkd_macsec_sa_del(struct qkd_ctx *ctx, const struct qkd_macsec_sa *sa);
int qkd_macsec_sa_get(struct qkd_ctx *ctx, struct qkd_macsec_sa *sa);
int qkd_macsec_sa_dump(struct qkd_ctx *ctx, qkd_macsec_sa_fn fn, void *arg);
/* Until an SA that was added is installed, and @sa has its key ID; or until it has
 * failed: then the result is why, and qkd_error_text() has the words. -ENOENT if
 * it has gone. @timeout is in ms: then -ETIMEDOUT.
 */
int qkd_macsec_sa_wait(struct qkd_ctx *ctx, struct qkd_macsec_sa *sa,
		       unsigned int timeout);
/* Until an SA is gone that is being removed, or why macsec keeps it. */
int qkd_macsec_sa_wait_gone(struct qkd_ctx *ctx,
			    const struct qkd_macsec_sa *name,
			    unsigned int timeout);

/**
 * struct qkd_secy_sa - an SA as the kernel's macsec has it, whoever made it
 * @ifindex: of the device
 * @dir: enum qkd_dir
 * @an: association number
 * @active: it may be used
 * @encoding: frames are sent under it
 * @operational: the device sends
 * @sci: of its channel
 * @pn: next packet number
 * @key_id: key identifier
 * @frames: sent, or received and accepted
 * @refused: received and not
 */
struct qkd_secy_sa {
	uint32_t ifindex;
	uint32_t dir;
	uint32_t an;
	uint32_t active;
	uint32_t encoding;
	uint32_t operational;
	uint64_t sci;
	uint64_t pn;
	uint8_t key_id[QKD_KEY_ID_LEN];
	uint64_t frames;
	uint64_t refused;
	uint64_t reserved[8];
};

typedef int (*qkd_secy_fn)(const struct qkd_secy_sa *sa, void *arg);

/* The SAs of all macsec devices of the namespace. -ENOENT: no macsec module. */
int qkd_secy_dump(struct qkd_ctx *ctx, qkd_secy_fn fn, void *arg);
/* A receive channel of a macsec device, active. -EEXIST: it is there. */
int qkd_secy_channel_add(struct qkd_ctx *ctx, uint32_t ifindex, uint64_t sci);
/* It goes with its SAs. */
int qkd_secy_channel_del(struct qkd_ctx *ctx, uint32_t ifindex, uint64_t sci);

/* ---- WireGuard ---- */

#define QKD_WG_KEY_LEN 32 /* of a public key */

/**
 * struct qkd_wg - a peer of a WireGuard device whose preshared keys come from a link
 * @has: QKD_HAS(QKD_A_WG_...)
 * @ifindex: of the device
 * @peer: its public key
 * @max_time: ms that a key is used
 * @key_id: of the key in use, or to be used
 * @hold: allocate a key and do no more
 * @held: ID of the key that is held
 * @number: of the last request
 * @state: enum qkd_wg_state
 * @error: positive errno, in state failed
 * @message: what it means, or why the peer is blocked
 * @age: ms since the key in use was installed
 * @confirmed: there was a handshake under it
 * @installed: keys so far
 * @confirms: those that there was a handshake under
 * @failed: requests that failed
 * @blocks: times that the peer was blocked
 */
struct qkd_wg {
	uint64_t has;
	uint32_t link_index;
	char link_name[QKD_NAME_LEN + 1];
	uint32_t ifindex;
	uint8_t peer[QKD_WG_KEY_LEN];
	uint32_t max_time;
	uint32_t hold;
	uint8_t key_id[QKD_KEY_ID_LEN];
	uint8_t held[QKD_KEY_ID_LEN];
	uint64_t number;
	uint32_t state;
	uint32_t error;
	char message[QKD_MESSAGE_LEN];
	uint64_t age;
	uint64_t installed;
	uint64_t confirms;
	uint64_t failed;
	uint64_t blocks;
	uint32_t confirmed;
	uint32_t reserved32;
	uint64_t reserved[8];
};

typedef int (*qkd_wg_fn)(const struct qkd_wg *wg, void *arg);

/* A peer is named by ifindex and peer. Of max_time, key_id and hold, those that
 * @has names count; @wg then has the number of the request. It is pending: see
 * qkd_wg_wait(), or wait for the event.
 */
int qkd_wg_set(struct qkd_ctx *ctx, struct qkd_ref ref, struct qkd_wg *wg);
/* Done when the peer is not found any more: see qkd_wg_wait_gone(). */
int qkd_wg_del(struct qkd_ctx *ctx, const struct qkd_wg *wg);
int qkd_wg_get(struct qkd_ctx *ctx, struct qkd_wg *wg);
int qkd_wg_dump(struct qkd_ctx *ctx, qkd_wg_fn fn, void *arg);
/* Until the key of a request is held or installed, or the request has failed: then
 * the result is why, and qkd_error_text() has the words. -ENOENT if there was
 * another request since. @timeout is in ms: then -ETIMEDOUT.
 */
int qkd_wg_wait(struct qkd_ctx *ctx, struct qkd_wg *wg, unsigned int timeout);
int qkd_wg_wait_gone(struct qkd_ctx *ctx, const struct qkd_wg *name,
		     unsigned int timeout);

/* ---- Events ---- */

/**
 * struct qkd_event - something happened on a link
 * @has: QKD_HAS(QKD_A_EVENT_...)
 * @type: enum qkd_event_type
 * @time: CLOCK_BOOTTIME in ns
 * @key_id: of an SA's newest epoch, of a MACsec SA or a WireGuard peer
 * @ifindex: of a macsec or WireGuard device
 * @an: of its SA
 * @sci: likewise
 * @error: positive errno
 * @message: why
 * @wg_peer: public key of the peer of a WireGuard device
 */
struct qkd_event {
	uint64_t has;
	uint32_t type;
	uint32_t link_index;
	char link_name[QKD_NAME_LEN + 1];
	uint32_t stream;
	uint32_t label;
	uint64_t offset;
	uint64_t length;
	uint32_t reason;
	uint32_t qber;
	uint32_t spi;
	uint32_t dir;
	uint64_t count;
	uint64_t time;
	uint8_t key_id[QKD_KEY_ID_LEN];
	uint64_t sci;
	uint32_t ifindex;
	uint32_t an;
	uint32_t error;
	char message[QKD_MESSAGE_LEN];
	uint32_t reserved32;
	uint8_t wg_peer[QKD_WG_KEY_LEN];
	uint64_t reserved[2];
};

struct qkd_monitor;

typedef int (*qkd_event_fn)(const struct qkd_event *event, void *arg);

/* Needs CAP_NET_ADMIN. */
int qkd_monitor_open(struct qkd_monitor **monitor);
void qkd_monitor_close(struct qkd_monitor *monitor);
/* To poll for POLLIN. */
int qkd_monitor_fd(const struct qkd_monitor *monitor);
/* Calls @fn for each event that waits, and does not wait for more. Ends with
 * what @fn returned if that is not 0. -ENOBUFS: events were lost; read on.
 */
int qkd_monitor_read(struct qkd_monitor *monitor, qkd_event_fn fn, void *arg);

/* ---- Names of values ---- */

enum qkd_enum {
	QKD_ENUM_ROLE,
	QKD_ENUM_STREAM,
	QKD_ENUM_CLASS,
	QKD_ENUM_CONFIRM,
	QKD_ENUM_ADMIN,
	QKD_ENUM_STATE,
	QKD_ENUM_REASON,
	QKD_ENUM_CONTEXT_TYPE,
	QKD_ENUM_VERDICT,
	QKD_ENUM_CIPHER,
	QKD_ENUM_DIR,
	QKD_ENUM_ESP_MODE,
	QKD_ENUM_ON_EMPTY,
	QKD_ENUM_EMU_PROTOCOL,
	QKD_ENUM_EVENT_TYPE,
	QKD_ENUM_MACSEC_SUITE,
	QKD_ENUM_MACSEC_STATE,
	QKD_ENUM_WG_STATE,
};

/* The specification's name of a value, or "?" for one that is not known. */
const char *qkd_enum_name(enum qkd_enum which, uint32_t value);
/* The value of a name, or -EINVAL. */
int qkd_enum_value(enum qkd_enum which, const char *name);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* QKD_QKD_H */
