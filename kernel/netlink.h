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
struct net *qkd_nl_admin_net(struct sk_buff *skb, struct genl_info *info);
struct sk_buff *qkd_nl_reply_new(struct genl_info *info, void **hdr);
int qkd_nl_answer(struct qkd_link *link, struct genl_info *info,
		  int (*fill)(struct qkd_link *link, struct genl_info *info,
			      struct sk_buff *reply));

/* netlink-esp-parse.c */
int qkd_nl_esp_id(struct genl_info *info, u32 *dir, __be32 *spi);
int qkd_nl_esp_new(struct genl_info *info, struct qkd_esp_config *cfg);
int qkd_nl_esp_change(struct genl_info *info, const struct qkd_esp_config *cfg,
		      struct qkd_rekey *rekey, struct qkd_esp_change *change);

/* Can packets of such an SA be under AES keys? */
static inline bool qkd_nl_esp_has_epochs(u32 cipher, u32 on_empty)
{
	return cipher != QKD_CIPHER_OTP || on_empty == QKD_ON_EMPTY_AES;
}

/* secret.c */
struct qkd_secret *qkd_secret_get(const char *description, u32 number,
				  struct netlink_ext_ack *extack);
int qkd_bind_get(const char *description, u8 bind[QKD_BIND_LEN],
		 struct netlink_ext_ack *extack);
void qkd_secret_free(const struct qkd_secret *secret);

/* netlink-key.c */
int qkd_nl_owners_init(void);
void qkd_nl_owners_exit(void);

#endif /* _QKD_NETLINK_H */
