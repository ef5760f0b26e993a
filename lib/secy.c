// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the kernel's macsec says of its SAs, over its own netlink family. */
#include <linux/if_macsec.h>
#include <netlink/genl/ctrl.h>

#include "internal.h"

struct visit {
	qkd_secy_fn fn;
	void *arg;
};

static int parse_nest(struct nlattr **attrs, int max, struct nlattr *nest)
{
	return attrs_parse(attrs, max, nla_data(nest), nla_len(nest));
}

static uint64_t get_sci(const struct nlattr *attr)
{
	return attr && nla_len(attr) >= 8 ? be64toh(nla_get_u64(attr)) : 0;
}

static uint32_t get_u8(const struct nlattr *attr)
{
	return attr && nla_len(attr) >= 1 ? nla_get_u8(attr) : 0;
}

static uint32_t get_u32(const struct nlattr *attr)
{
	return attr && nla_len(attr) >= 4 ? nla_get_u32(attr) : 0;
}

/* 32 bits, or 64 with extended packet numbers. */
static uint64_t get_pn(const struct nlattr *attr)
{
	return attr && nla_len(attr) >= 8 ? nla_get_u64(attr) : get_u32(attr);
}

static void get_stats(struct qkd_secy_sa *sa, struct nlattr *nest)
{
	struct nlattr *st[MACSEC_SA_STATS_ATTR_MAX + 1];

	if (!nest || parse_nest(st, MACSEC_SA_STATS_ATTR_MAX, nest))
		return;
	if (sa->dir == QKD_DIR_OUT) {
		sa->frames =
			(uint64_t)get_u32(
				st[MACSEC_SA_STATS_ATTR_OUT_PKTS_PROTECTED]) +
			get_u32(st[MACSEC_SA_STATS_ATTR_OUT_PKTS_ENCRYPTED]);
		return;
	}
	sa->frames = get_u32(st[MACSEC_SA_STATS_ATTR_IN_PKTS_OK]);
	sa->refused =
		(uint64_t)get_u32(st[MACSEC_SA_STATS_ATTR_IN_PKTS_INVALID]) +
		get_u32(st[MACSEC_SA_STATS_ATTR_IN_PKTS_NOT_VALID]) +
		get_u32(st[MACSEC_SA_STATS_ATTR_IN_PKTS_NOT_USING_SA]) +
		get_u32(st[MACSEC_SA_STATS_ATTR_IN_PKTS_UNUSED_SA]);
}

/* @sa has what the SAs of a channel have in common. */
static int visit_sa(struct qkd_secy_sa sa, uint32_t encoding,
		    struct nlattr *nest, const struct visit *visit)
{
	struct nlattr *attrs[MACSEC_SA_ATTR_MAX + 1], *id;
	int err;

	err = parse_nest(attrs, MACSEC_SA_ATTR_MAX, nest);
	if (err)
		return err;
	sa.an = get_u8(attrs[MACSEC_SA_ATTR_AN]);
	sa.active = get_u8(attrs[MACSEC_SA_ATTR_ACTIVE]);
	sa.encoding = sa.dir == QKD_DIR_OUT && sa.an == encoding;
	sa.pn = get_pn(attrs[MACSEC_SA_ATTR_PN]);
	id = attrs[MACSEC_SA_ATTR_KEYID];
	if (id && nla_len(id) == QKD_KEY_ID_LEN)
		memcpy(sa.key_id, nla_data(id), QKD_KEY_ID_LEN);
	get_stats(&sa, attrs[MACSEC_SA_ATTR_STATS]);
	return visit->fn(&sa, visit->arg);
}

static int visit_sas(const struct qkd_secy_sa *common, uint32_t encoding,
		     struct nlattr *list, const struct visit *visit)
{
	struct nlattr *nest;
	int left, err = 0;

	if (!list)
		return 0;
	nla_for_each_nested(nest, list, left) {
		err = visit_sa(*common, encoding, nest, visit);
		if (err)
			break;
	}
	return err;
}

static int visit_channels(struct qkd_secy_sa common, struct nlattr *list,
			  const struct visit *visit)
{
	struct nlattr *attrs[MACSEC_RXSC_ATTR_MAX + 1], *nest;
	int left, err = 0;

	if (!list)
		return 0;
	common.dir = QKD_DIR_IN;
	nla_for_each_nested(nest, list, left) {
		err = parse_nest(attrs, MACSEC_RXSC_ATTR_MAX, nest);
		if (err)
			break;
		common.sci = get_sci(attrs[MACSEC_RXSC_ATTR_SCI]);
		err = visit_sas(&common, 0, attrs[MACSEC_RXSC_ATTR_SA_LIST],
				visit);
		if (err)
			break;
	}
	return err;
}

static int visit_device(struct nlattr *head, int length, void *arg)
{
	struct nlattr *attrs[MACSEC_ATTR_MAX + 1];
	struct nlattr *secy[MACSEC_SECY_ATTR_MAX + 1];
	struct qkd_secy_sa common = { .dir = QKD_DIR_OUT };
	int err;

	err = attrs_parse(attrs, MACSEC_ATTR_MAX, head, length);
	if (err)
		return err;
	if (!attrs[MACSEC_ATTR_IFINDEX] || !attrs[MACSEC_ATTR_SECY])
		return -EBADMSG;
	err = parse_nest(secy, MACSEC_SECY_ATTR_MAX, attrs[MACSEC_ATTR_SECY]);
	if (err)
		return err;
	common.ifindex = get_u32(attrs[MACSEC_ATTR_IFINDEX]);
	common.sci = get_sci(secy[MACSEC_SECY_ATTR_SCI]);
	common.operational = get_u8(secy[MACSEC_SECY_ATTR_OPER]);
	err = visit_sas(&common, get_u8(secy[MACSEC_SECY_ATTR_ENCODING_SA]),
			attrs[MACSEC_ATTR_TXSA_LIST], arg);
	return err ?: visit_channels(common, attrs[MACSEC_ATTR_RXSC_LIST], arg);
}

int qkd_secy_dump(struct qkd_ctx *ctx, qkd_secy_fn fn, void *arg)
{
	struct visit visit = { .fn = fn, .arg = arg };
	struct nl_msg *msg;
	int family;

	family = genl_ctrl_resolve(ctx->sk, MACSEC_GENL_NAME);
	if (family < 0)
		return to_errno(family);
	msg = request_new_for(ctx, family, MACSEC_CMD_GET_TXSC, NLM_F_DUMP,
			      MACSEC_GENL_VERSION);
	return msg ? request_run(ctx, msg, visit_device, &visit) : -ENOMEM;
}

static int run_channel(struct qkd_ctx *ctx, int cmd, uint32_t ifindex,
		       uint64_t sci)
{
	struct nlattr *nest;
	struct nl_msg *msg;
	int family;

	family = genl_ctrl_resolve(ctx->sk, MACSEC_GENL_NAME);
	if (family < 0)
		return to_errno(family);
	msg = request_new_for(ctx, family, cmd, 0, MACSEC_GENL_VERSION);
	if (!msg)
		return -ENOMEM;
	if (nla_put_u32(msg, MACSEC_ATTR_IFINDEX, ifindex))
		goto full;
	nest = nla_nest_start(msg, MACSEC_ATTR_RXSC_CONFIG);
	if (!nest || nla_put_u64(msg, MACSEC_RXSC_ATTR_SCI, htobe64(sci)) ||
	    nla_put_u8(msg, MACSEC_RXSC_ATTR_ACTIVE, 1))
		goto full;
	nla_nest_end(msg, nest);
	return request_run(ctx, msg, NULL, NULL);
full:
	request_free(msg);
	return -ENOMEM;
}

int qkd_secy_channel_add(struct qkd_ctx *ctx, uint32_t ifindex, uint64_t sci)
{
	return run_channel(ctx, MACSEC_CMD_ADD_RXSC, ifindex, sci);
}

int qkd_secy_channel_del(struct qkd_ctx *ctx, uint32_t ifindex, uint64_t sci)
{
	return run_channel(ctx, MACSEC_CMD_DEL_RXSC, ifindex, sci);
}
