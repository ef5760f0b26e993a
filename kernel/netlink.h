/* SPDX-License-Identifier: GPL-2.0-only */
/* What the handlers of the netlink family share. */
#ifndef _QKD_NETLINK_H
#define _QKD_NETLINK_H

#include "core.h"
#include "netlink-gen.h"

/* netlink.c */
int qkd_nl_admin(struct sk_buff *skb, struct netlink_ext_ack *extack);
int qkd_nl_dump_plain(struct netlink_callback *cb);
bool qkd_nl_has(struct genl_info *info, u32 type);
void qkd_nl_blame(struct genl_info *info, u32 type);
struct qkd_link *qkd_nl_link(struct genl_info *info);
struct qkd_link *qkd_nl_admin_link(struct sk_buff *skb, struct genl_info *info);
struct sk_buff *qkd_nl_reply_new(struct genl_info *info, void **hdr);
int qkd_nl_answer(struct qkd_link *link, struct genl_info *info,
		  int (*fill)(struct qkd_link *link, struct genl_info *info,
			      struct sk_buff *reply));

/* netlink-key.c */
int qkd_nl_owners_init(void);
void qkd_nl_owners_exit(void);

#endif /* _QKD_NETLINK_H */
