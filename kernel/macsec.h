/* SPDX-License-Identifier: GPL-2.0-only */
/* The MACsec consumer: its objects, and the calls between its files. */
#ifndef _QKD_MACSEC_H
#define _QKD_MACSEC_H

#include "binding.h"
#include "nlport.h"

#define QKD_SAK_MAX	32	/* bytes */

/**
 * struct qkd_secy - what a macsec device says of itself
 * @suite: enum qkd_macsec_suite
 * @sci: of its transmit channel
 * @encoding: AN that it sends under
 */
struct qkd_secy {
	u32 suite;
	__be64 sci;
	u8 encoding;
};

/**
 * struct qkd_macsec_name - which SA of a device
 * @dir: enum qkd_dir
 * @an: association number
 * @sci: of the channel; with @dir out, the device's own
 */
struct qkd_macsec_name {
	u32 dir;
	u8 an;
	__be64 sci;
};

/**
 * struct qkd_macsec_sa - an SA of a bound device
 * @list: in the device's @sas, by @number
 * @name: which one; constant
 * @suite: enum qkd_macsec_suite; constant
 * @number: of the request; constant
 * @id: key ID; for a transmit SA, once it is installed
 * @state: enum qkd_macsec_state
 * @there: macsec has it from us
 * @error: negative errno, in state failed
 * @message: why it failed, or is to be removed
 * @born: CLOCK_BOOTTIME in ns when it was installed
 *
 * All under the lock of the bindings.
 */
struct qkd_macsec_sa {
	struct list_head list;
	struct qkd_macsec_name name;
	u32 suite;
	u64 number;
	u8 id[QKD_KEY_ID_LEN];
	u32 state;
	bool there;
	int error;
	const char *message;
	u64 born;
};

/**
 * struct qkd_macsec - a macsec device that takes its keys from a link
 * @base: the binding; its work installs and removes SAs
 * @max_time: in ms that an SA is used; constant
 * @secy: what the device said last
 * @sas: struct qkd_macsec_sa
 * @nsas: their number
 * @installed: SAs so far
 * @removed: likewise
 * @failed: likewise
 *
 * All under the lock of the bindings but what is constant.
 */
struct qkd_macsec {
	struct qkd_binding base;
	u32 max_time;
	struct qkd_secy secy;
	struct list_head sas;
	u32 nsas;
	u64 installed;
	u64 removed;
	u64 failed;
};

#define to_qkd_macsec(b)	container_of(b, struct qkd_macsec, base)

/**
 * struct qkd_sak - the key of an SA; whoever holds one wipes it
 * @key: SAK
 * @len: its bytes, as the suite has them
 * @xpn: salt and SSCI
 * @has_xpn: the suite has these, and long packet numbers
 */
struct qkd_sak {
	u8 key[QKD_SAK_MAX];
	u32 len;
	struct qkd_xpn xpn;
	bool has_xpn;
};

/* macsec.c */
int qkd_macsec_bind(struct qkd_link *link, u32 ifindex, u32 max_time,
		    struct netlink_ext_ack *extack);
int qkd_macsec_unbind(struct net *net, u32 ifindex, struct netlink_ext_ack *extack);
int qkd_macsec_sa_add(struct net *net, u32 ifindex, struct qkd_macsec_sa *sa,
		      struct netlink_ext_ack *extack);
int qkd_macsec_sa_del(struct net *net, u32 ifindex, const struct qkd_macsec_name *name,
		      struct netlink_ext_ack *extack);

/* Look at a bound device, under its lock; what they return is returned. */
typedef int (*qkd_macsec_fn)(const struct qkd_macsec *b, void *arg);
typedef int (*qkd_macsec_sa_fn)(const struct qkd_macsec *b,
				const struct qkd_macsec_sa *sa, void *arg);

int qkd_macsec_show(struct net *net, u32 ifindex, qkd_macsec_fn fn, void *arg);
int qkd_macsec_sa_show(struct net *net, u32 ifindex, const struct qkd_macsec_name *name,
		       qkd_macsec_sa_fn fn, void *arg);
int qkd_macsec_walk(struct net *net, u64 *number, qkd_binding_fn fn, void *arg);
int qkd_macsec_sa_walk(const struct qkd_macsec *b, u64 *number, qkd_macsec_sa_fn fn,
		       void *arg);

/* macsec-msg.c: speak with macsec */

int qkd_macsec_find(struct qkd_port *port, u32 ifindex,
		    const struct qkd_macsec_name *name);
int qkd_macsec_find_channel(struct qkd_port *port, u32 ifindex, __be64 sci);
int qkd_macsec_install(struct qkd_port *port, u32 ifindex,
		       const struct qkd_macsec_name *name, const u8 id[QKD_KEY_ID_LEN],
		       const struct qkd_sak *sak);
int qkd_macsec_remove(struct qkd_port *port, u32 ifindex,
		      const struct qkd_macsec_name *name);

#endif /* _QKD_MACSEC_H */
