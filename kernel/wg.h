/* SPDX-License-Identifier: GPL-2.0-only */
/* The WireGuard consumer: its object, and the calls between its files. */
#ifndef _QKD_WG_H
#define _QKD_WG_H

#include "binding.h"
#include "nlport.h"

#define QKD_WG_KEY	32	/* bytes of a preshared key, and of a public one */

/**
 * struct qkd_wg_name - a peer of a WireGuard device
 * @ifindex: of the device
 * @peer: its public key
 */
struct qkd_wg_name {
	u32 ifindex;
	u8 peer[QKD_WG_KEY];
};

/**
 * struct qkd_wg_request - what is asked for
 * @max_time: in ms that a key is used, 0 for what it was, or the default
 * @hold: allocate a key, and keep it until it is asked for by its ID
 * @by_id: install the key of @id; else one is allocated
 * @id: key ID
 * @number: out: of the request
 */
struct qkd_wg_request {
	u32 max_time;
	bool hold;
	bool by_id;
	u8 id[QKD_KEY_ID_LEN];
	u64 number;
};

/**
 * struct qkd_wg_key - a preshared key; whoever holds one wipes it
 * @id: key ID, zero for none
 * @bytes: the key
 */
struct qkd_wg_key {
	u8 id[QKD_KEY_ID_LEN];
	u8 bytes[QKD_WG_KEY];
};

/**
 * struct qkd_wg - a peer whose preshared keys come from a link
 * @base: the binding; its work does what is asked for
 * @name: which peer, of the binding's device; constant
 * @stopping: why its key is to go, or NULL
 * @max_time: in ms that a key is used
 * @request: the last one
 * @state: enum qkd_wg_state, of the last request or of its key
 * @error: negative errno, in state failed
 * @message: why, in state failed or blocked
 * @held: key that waits to be asked for, of a zero ID if there is none
 * @held_at: since when, CLOCK_BOOTTIME in ns
 * @id: of the key in use, zero for none
 * @there: WireGuard has a key of ours, or an unknown one
 * @blocked: the unknown one
 * @confirmed: there was a handshake under the key in use
 * @born: when the key in use was installed, or this was made
 * @handshake: WireGuard's last one when the key in use was installed
 * @installed: keys so far
 * @confirms: those that there was a handshake under
 * @failed: requests that failed
 * @blocks: times that the peer was blocked
 *
 * All under the lock of the bindings but what is constant. While a request is pending
 * or this is not bound, the rest belongs to the work.
 */
struct qkd_wg {
	struct qkd_binding base;
	struct qkd_wg_name name;
	const char *stopping;
	u32 max_time;
	struct qkd_wg_request request;
	u32 state;
	int error;
	const char *message;
	struct qkd_wg_key held;
	u64 held_at;
	u8 id[QKD_KEY_ID_LEN];
	bool there;
	bool blocked;
	bool confirmed;
	u64 born;
	s64 handshake;
	u64 installed;
	u64 confirms;
	u64 failed;
	u64 blocks;
};

#define to_qkd_wg(b)	container_of(b, struct qkd_wg, base)

/* wg.c */
int qkd_wg_set(struct qkd_link *link, const struct qkd_wg_name *name,
	       struct qkd_wg_request *request, struct netlink_ext_ack *extack);
int qkd_wg_del(struct net *net, const struct qkd_wg_name *name,
	       struct netlink_ext_ack *extack);

/* Looks at a peer, under its lock; what it returns is returned. */
typedef int (*qkd_wg_fn)(const struct qkd_wg *wg, void *arg);

int qkd_wg_show(struct net *net, const struct qkd_wg_name *name, qkd_wg_fn fn, void *arg);
int qkd_wg_walk(struct net *net, u64 *number, qkd_binding_fn fn, void *arg);

/* wg-msg.c: speak with WireGuard */

/**
 * struct qkd_wg_device - what a device says of itself and of a peer; whoever holds
 *	one wipes it
 * @has_keys: it has a private key, and the next two
 * @private: its private key
 * @public: its public key
 * @has_peer: it has this peer
 * @handshake: time of the last handshake with the peer, in ns; 0 for none
 */
struct qkd_wg_device {
	bool has_keys;
	u8 private[QKD_WG_KEY];
	u8 public[QKD_WG_KEY];
	bool has_peer;
	s64 handshake;
};

int qkd_wg_open(struct qkd_port *port, struct net *net);
int qkd_wg_ask(struct qkd_port *port, const struct qkd_wg_name *name,
	       struct qkd_wg_device *device);
int qkd_wg_give(struct qkd_port *port, const struct qkd_wg_name *name,
		const u8 key[QKD_WG_KEY]);
int qkd_wg_shake(struct qkd_port *port, const struct qkd_wg_name *name,
		 const u8 private[QKD_WG_KEY]);

#endif /* _QKD_WG_H */
