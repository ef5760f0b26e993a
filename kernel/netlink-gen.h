/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/qkd.yaml */
/* YNL-GEN kernel header */

#ifndef _LINUX_QKD_GEN_H
#define _LINUX_QKD_GEN_H

#include <net/netlink.h>
#include <net/genetlink.h>

#include <uapi/linux/qkd.h>

/* Common nested types */
extern const struct nla_policy qkd_emu_nl_policy[QKD_A_EMU_PAD + 1];
extern const struct nla_policy qkd_encap_nl_policy[QKD_A_ENCAP_DPORT + 1];
extern const struct nla_policy qkd_lifetime_nl_policy[QKD_A_LIFETIME_PAD + 1];
extern const struct nla_policy qkd_sel_nl_policy[QKD_A_SEL_IFINDEX + 1];

int qkd_nl_link_new_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_link_del_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_link_set_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_link_get_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_link_dump_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int qkd_nl_gen_begin_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_gen_open_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_gen_end_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_block_tag_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_block_confirm_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_key_get_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_key_peek_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_key_commit_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_key_drop_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_key_get_by_id_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_status_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_esp_add_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_esp_replace_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_esp_del_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_esp_get_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_esp_dump_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int qkd_nl_esp_set_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_esp_flush_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_block_get_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_block_compare_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_macsec_bind_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_macsec_unbind_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_macsec_get_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_macsec_dump_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int qkd_nl_macsec_sa_add_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_macsec_sa_del_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_macsec_sa_get_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_macsec_sa_dump_dumpit(struct sk_buff *skb,
				 struct netlink_callback *cb);
int qkd_nl_wg_set_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_wg_del_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_wg_get_doit(struct sk_buff *skb, struct genl_info *info);
int qkd_nl_wg_dump_dumpit(struct sk_buff *skb, struct netlink_callback *cb);

enum {
	QKD_NLGRP_EVENTS,
};

extern struct genl_family qkd_nl_family;

#endif /* _LINUX_QKD_GEN_H */
