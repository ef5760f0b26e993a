/* SPDX-License-Identifier: GPL-2.0-only */
/* Speak with other generic netlink families from inside the kernel, in secret. */
#ifndef _QKD_NLPORT_H
#define _QKD_NLPORT_H

#include <linux/skbuff.h>
#include <net/net_namespace.h>
#include <net/netlink.h>

/**
 * struct qkd_port - a conversation with a family
 * @net: namespace, which the caller holds
 * @sock: receives the answers; sends nothing
 * @portid: its address
 * @family: number of the family
 * @seq: of the last request
 */
struct qkd_port {
	struct net *net;
	struct socket *sock;
	u32 portid;
	u16 family;
	u32 seq;
};

/* Looks at a message of an answer, which is wiped then. */
typedef void (*qkd_port_fn)(const struct nlmsghdr *nlh, void *arg);

int qkd_port_open(struct qkd_port *port, struct net *net, const char *family);
void qkd_port_close(struct qkd_port *port);
struct sk_buff *qkd_port_request(struct qkd_port *port, u16 flags, u8 cmd, u8 version,
				 size_t size);
bool qkd_port_is_tight(const struct sk_buff *skb);
void qkd_port_drop(struct sk_buff *skb);
int qkd_port_run(struct qkd_port *port, struct sk_buff *skb, qkd_port_fn fn, void *arg);

#endif /* _QKD_NLPORT_H */
