// SPDX-License-Identifier: GPL-2.0-only
/*
 * Link type "user": a daemon runs the handshake over netlink and supplies
 * through the character device. For QKD systems whose keys arrive in
 * userspace.
 */
#include "core.h"

static int qkd_user_newlink(struct net *net, struct qkd_link_config *cfg,
			    struct nlattr *data, struct sk_buff *skb,
			    struct netlink_ext_ack *extack)
{
	struct qkd_link *link;

	link = qkd_link_register(net, &qkd_user_ops, cfg, NULL, extack);
	return IS_ERR(link) ? PTR_ERR(link) : qkd_link_index(link);
}

const struct qkd_link_ops qkd_user_ops = {
	.type		= "user",
	.owner		= THIS_MODULE,
	.newlink	= qkd_user_newlink,
	.user_supply	= true,
};
