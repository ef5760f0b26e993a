/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * In-kernel interface for link drivers: what the driver of QKD hardware calls.
 *
 * A driver registers a link, runs the generation handshake or has a daemon run
 * it, and supplies bytes to the streams in order. kernel/emu.c is one;
 * kernel/user.c, fed through the character device, the smallest.
 */
#ifndef _LINUX_QKD_H
#define _LINUX_QKD_H

#include <linux/netlink.h>
#include <linux/types.h>
#include <net/net_namespace.h>

#include <uapi/linux/qkd.h>

struct qkd_link;
struct sk_buff;

#define QKD_CLASSES	3	/* enum qkd_class - 1 is an index */
#define QKD_STREAMS	4

/**
 * struct qkd_link_config - what a link is added with
 * @name: name in the network namespace
 * @role: enum qkd_role
 * @id: identity of this end, NUL-terminated
 * @peer_id: identity of the other end
 * @confirm: enum qkd_confirm
 * @export: mask of enum qkd_export_mask
 * @max_age: in ms, 0 for never
 * @pad_keep: in ms
 * @key_keep: in ms
 * @capacity: most bytes that tx holds, [0] pad and [1] key
 * @low: low marks of tx in bytes, likewise
 * @reserve: bytes of tx key that only one class may take, by class - 1
 */
struct qkd_link_config {
	char name[QKD_NAME_LEN + 1];
	u32 role;
	char id[QKD_IDENTITY_LEN + 1];
	char peer_id[QKD_IDENTITY_LEN + 1];
	u32 confirm;
	u32 export;
	u64 max_age;
	u32 pad_keep;
	u32 key_keep;
	u64 capacity[2];
	u64 low[2];
	u32 reserve[QKD_CLASSES];
};

/**
 * struct qkd_link_ops - a type of link
 * @type: its name in ``qkd link add NAME type TYPE``
 * @owner: the driver's module; each link of the type holds a reference
 * @newlink: add a link in @net by calling qkd_link_register(), for a pair
 *	twice; @data is the nest of the type's own parameters or NULL. @cfg
 *	is filled with what the request gave over the defaults, @cfg->role is
 *	0 and the identities empty where it gave none. Returns the index of
 *	the link or an errno. May sleep. NULL if links come from the driver's
 *	own probe alone.
 * @setlink: change the type's own parameters. May sleep.
 * @begin: the operator wants the link up: begin the next generation, or do
 *	nothing where a daemon will. May sleep. Optional.
 * @ended: the link's generation has ended (@reason): stop supplying. May
 *	sleep; the link's lock is not held. Optional.
 * @resume: bytes of a tx stream were taken, or rx was committed: supply may
 *	have room. Any context that holds no lock of the driver. Optional.
 * @fill: put the type's parameters in a link message. Holds no lock.
 * @dellink: the link is going: qkd_link_unregister() was called and no
 *	other callback runs or will. May sleep. The driver frees what
 *	qkd_link_priv() names.
 * @delete: the operator deletes the link: unregister it, and for a pair the
 *	other end too. Optional; default qkd_link_unregister().
 * @user_supply: write() on the character device supplies.
 */
struct qkd_link_ops {
	const char *type;
	struct module *owner;
	int (*newlink)(struct net *net, struct qkd_link_config *cfg,
		       struct nlattr *data, struct sk_buff *skb,
		       struct netlink_ext_ack *extack);
	int (*setlink)(struct qkd_link *link, struct nlattr *data,
		       struct netlink_ext_ack *extack);
	int (*begin)(struct qkd_link *link, struct netlink_ext_ack *extack);
	void (*ended)(struct qkd_link *link, u32 reason);
	void (*resume)(struct qkd_link *link);
	int (*fill)(struct qkd_link *link, struct sk_buff *skb);
	void (*dellink)(struct qkd_link *link);
	void (*delete)(struct qkd_link *link);
	bool user_supply;
};

/**
 * struct qkd_gen_params - what the generation handshake agreed
 * @label: 1 to 65535, the successor of the one before
 * @id: G*
 * @hash: L as the peer computed it
 * @peer_role: the peer's role
 * @capacity: the peer's tx capacities, [0] pad and [1] key; size the rx rings
 */
struct qkd_gen_params {
	u16 label;
	u8 id[QKD_HASH_LEN];
	u8 hash[QKD_HASH_LEN];
	u32 peer_role;
	u64 capacity[2];
};

int qkd_link_type_register(const struct qkd_link_ops *ops);
void qkd_link_type_unregister(const struct qkd_link_ops *ops);

struct qkd_link *qkd_link_register(struct net *net,
				   const struct qkd_link_ops *ops,
				   const struct qkd_link_config *cfg,
				   void *priv, struct netlink_ext_ack *extack);
void qkd_link_unregister(struct qkd_link *link);
void *qkd_link_priv(const struct qkd_link *link);
u32 qkd_link_index(const struct qkd_link *link);
const u8 *qkd_link_hash(const struct qkd_link *link);

u16 qkd_label_next(u16 label);
void qkd_gen_identity(u8 id[QKD_HASH_LEN], const u8 hash[QKD_HASH_LEN],
		      const u8 nonce_alice[16], const u8 nonce_bob[16]);

int qkd_link_gen_begin(struct qkd_link *link, const struct qkd_gen_params *p,
		       struct netlink_ext_ack *extack);
int qkd_link_gen_open(struct qkd_link *link, u16 label,
		      struct netlink_ext_ack *extack);
int qkd_link_gen_end(struct qkd_link *link, u16 label, u32 reason);

int qkd_link_supply(struct qkd_link *link, u16 label, u32 stream, u64 offset,
		    const u8 *bytes, u32 length, const u8 *s);
int qkd_link_gap(struct qkd_link *link, u16 label, u32 stream, u64 offset);
int qkd_link_block_tag(struct qkd_link *link, u16 label, u32 stream,
		       u64 offset, u32 length, u8 tag[QKD_TAG_LEN],
		       struct netlink_ext_ack *extack);
int qkd_link_block_confirm(struct qkd_link *link, u16 label, u32 stream,
			   u64 offset, u32 length, const u8 *tag, u32 *verdict,
			   struct netlink_ext_ack *extack);

/**
 * struct qkd_stream_level - how full a stream is
 * @stream: enum qkd_stream
 * @tx: this end allocates from it
 * @next: offset that the next block must have
 * @room: bytes that it takes now, up to the end of the segment at @next
 * @live: bytes supplied and not yet taken; upper bound
 * @high: rx: end of the highest commit
 * @capacity: tx: capacity; rx: ring
 */
struct qkd_stream_level {
	u32 stream;
	bool tx;
	u64 next;
	u64 room;
	u64 live;
	u64 high;
	u64 capacity;
};

int qkd_link_level(struct qkd_link *link, u32 stream,
		   struct qkd_stream_level *level);
int qkd_link_next_stream(struct qkd_link *link);
unsigned int qkd_link_ahead(const struct qkd_link *link);
void qkd_link_report(struct qkd_link *link, u32 qber, u64 skr);
void qkd_link_alarm(struct qkd_link *link, u32 event, u32 reason);

#endif /* _LINUX_QKD_H */
