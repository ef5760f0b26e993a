// SPDX-License-Identifier: LGPL-2.1-or-later
/* Links. */
#include "internal.h"

static const struct attr_field emu_fields[] = {
	FIELD(U64, QKD_A_EMU_RATE, struct qkd_emu, rate),
	FIELD(U32, QKD_A_EMU_QBER, struct qkd_emu, qber),
	FIELD(U32, QKD_A_EMU_THRESHOLD, struct qkd_emu, threshold),
	FIELD(U32, QKD_A_EMU_PROTOCOL, struct qkd_emu, protocol),
	FIELD(U32, QKD_A_EMU_GEN, struct qkd_emu, gen),
	FIELD(U32, QKD_A_EMU_STOPPED, struct qkd_emu, stopped),
	FIELD(U32, QKD_A_EMU_FLIP, struct qkd_emu, flip),
	FIELD(U32, QKD_A_EMU_LOSE, struct qkd_emu, lose),
	FIELD(STRING, QKD_A_EMU_PEER_NAME, struct qkd_emu, peer_name),
	FIELD(U32, QKD_A_EMU_PEER_NETNS_FD, struct qkd_emu, peer_netns_fd),
	FIELD(U32, QKD_A_EMU_PEER_INDEX, struct qkd_emu, peer_index),
	FIELD(U32, QKD_A_EMU_BLOCK, struct qkd_emu, block),
};

static const struct attr_field stat_fields[] = {
	FIELD(U32, QKD_A_STAT_STREAM, struct qkd_stat, stream),
	FIELD(U32, QKD_A_STAT_DIR, struct qkd_stat, dir),
	FIELD(U64, QKD_A_STAT_SUPPLIED, struct qkd_stat, supplied),
	FIELD(U64, QKD_A_STAT_PENDING, struct qkd_stat, pending),
	FIELD(U64, QKD_A_STAT_TAKEN, struct qkd_stat, taken),
	FIELD(U64, QKD_A_STAT_SKIPPED, struct qkd_stat, skipped),
	FIELD(U64, QKD_A_STAT_LOST, struct qkd_stat, lost),
	FIELD(U64, QKD_A_STAT_HEAD, struct qkd_stat, head),
	FIELD(U64, QKD_A_STAT_LIVE, struct qkd_stat, live),
	FIELD(U64, QKD_A_STAT_CAPACITY, struct qkd_stat, capacity),
	FIELD(U32, QKD_A_STAT_SEGMENTS, struct qkd_stat, segments),
};

static const struct attr_field refused_fields[] = {
	FIELD(U64, QKD_A_REFUSED_NO_KEY, struct qkd_refused, no_key),
	FIELD(U64, QKD_A_REFUSED_BAD_TAG, struct qkd_refused, bad_tag),
	FIELD(U64, QKD_A_REFUSED_NOT_HERE, struct qkd_refused, not_here),
	FIELD(U64, QKD_A_REFUSED_DUPLICATE, struct qkd_refused, duplicate),
	FIELD(U64, QKD_A_REFUSED_STALE, struct qkd_refused, stale),
	FIELD(U64, QKD_A_REFUSED_BURNT, struct qkd_refused, burnt),
	FIELD(U64, QKD_A_REFUSED_MISMATCH, struct qkd_refused, mismatch),
	FIELD(U64, QKD_A_REFUSED_CLASS, struct qkd_refused, class_),
	FIELD(U64, QKD_A_REFUSED_ICV, struct qkd_refused, icv),
};

static const struct attr_field link_fields[] = {
	FIELD(U32, QKD_A_LINK_INDEX, struct qkd_link, index),
	FIELD(STRING, QKD_A_LINK_NAME, struct qkd_link, name),
	FIELD(STRING, QKD_A_LINK_TYPE, struct qkd_link, type),
	FIELD(U32, QKD_A_LINK_ROLE, struct qkd_link, role),
	FIELD(STRING, QKD_A_LINK_ID, struct qkd_link, id),
	FIELD(STRING, QKD_A_LINK_PEER_ID, struct qkd_link, peer_id),
	FIELD(U32, QKD_A_LINK_CONFIRM, struct qkd_link, confirm),
	FIELD(U32, QKD_A_LINK_EXPORT, struct qkd_link, export_),
	FIELD(U64, QKD_A_LINK_MAX_AGE, struct qkd_link, max_age),
	FIELD(U32, QKD_A_LINK_PAD_KEEP, struct qkd_link, pad_keep),
	FIELD(U32, QKD_A_LINK_KEY_KEEP, struct qkd_link, key_keep),
	FIELD(U64, QKD_A_LINK_PAD_CAPACITY, struct qkd_link, pad_capacity),
	FIELD(U64, QKD_A_LINK_KEY_CAPACITY, struct qkd_link, key_capacity),
	FIELD(U64, QKD_A_LINK_PAD_LOW, struct qkd_link, pad_low),
	FIELD(U64, QKD_A_LINK_KEY_LOW, struct qkd_link, key_low),
	FIELD(U32, QKD_A_LINK_RESERVE_CONTROL, struct qkd_link,
	      reserve_control),
	FIELD(U32, QKD_A_LINK_RESERVE_REKEY, struct qkd_link, reserve_rekey),
	FIELD(U32, QKD_A_LINK_RESERVE_EXPORT, struct qkd_link, reserve_export),
	FIELD(U32, QKD_A_LINK_ADMIN, struct qkd_link, admin),
	FIELD(U32, QKD_A_LINK_STATE, struct qkd_link, state),
	FIELD(U32, QKD_A_LINK_REASON, struct qkd_link, reason),
	FIELD(U32, QKD_A_LINK_LABEL, struct qkd_link, label),
	FIELD(BYTES, QKD_A_LINK_GENERATION, struct qkd_link, generation),
	FIELD(BYTES, QKD_A_LINK_HASH, struct qkd_link, hash),
	FIELD(U32, QKD_A_LINK_QBER, struct qkd_link, qber),
	FIELD(U64, QKD_A_LINK_SKR, struct qkd_link, skr),
	FIELD(U32, QKD_A_LINK_SAS, struct qkd_link, sas),
	FIELD(U32, QKD_A_LINK_HANDLES, struct qkd_link, handles),
	FIELD(FLAG, QKD_A_LINK_NODE, struct qkd_link, node),
};

static int put_emu(struct nl_msg *msg, const struct qkd_emu *emu)
{
	struct nlattr *nest;
	int err;

	nest = nla_nest_start(msg, NLA_F_NESTED | QKD_A_LINK_EMU);
	if (!nest)
		return -ENOMEM;
	err = fields_put(msg, emu_fields, ARRAY_SIZE(emu_fields), emu,
			 emu->has);
	if (err)
		return err;
	if (emu->has & QKD_HAS(QKD_A_EMU_SEED)) {
		if (emu->seed_len > QKD_SEED_LEN)
			return -ERANGE;
		err = nla_put(msg, QKD_A_EMU_SEED, emu->seed_len, emu->seed);
		if (err)
			return to_errno(err);
	}
	nla_nest_end(msg, nest);
	return 0;
}

static int put_link(struct nl_msg *msg, const struct qkd_link *link,
		    uint64_t has)
{
	int err;

	err = fields_put(msg, link_fields, ARRAY_SIZE(link_fields), link, has);
	if (!err && has & QKD_HAS(QKD_A_LINK_EMU))
		err = put_emu(msg, &link->emu);
	return err;
}

static void get_stat(struct qkd_link *link, struct nlattr *nest)
{
	struct nlattr *attrs[QKD_A_STAT_MAX + 1];
	struct qkd_stat *stat;

	if (link->nstats == ARRAY_SIZE(link->stat) ||
	    attrs_parse(attrs, QKD_A_STAT_MAX, nla_data(nest), nla_len(nest)))
		return;
	stat = &link->stat[link->nstats++];
	stat->has = fields_get(stat_fields, ARRAY_SIZE(stat_fields), stat,
			       attrs, QKD_A_STAT_MAX);
	link->has |= QKD_HAS(QKD_A_LINK_STAT);
}

static void get_emu(struct qkd_link *link, struct nlattr *nest)
{
	struct nlattr *attrs[QKD_A_EMU_MAX + 1];

	if (attrs_parse(attrs, QKD_A_EMU_MAX, nla_data(nest), nla_len(nest)))
		return;
	link->emu.has = fields_get(emu_fields, ARRAY_SIZE(emu_fields),
				   &link->emu, attrs, QKD_A_EMU_MAX);
	link->has |= QKD_HAS(QKD_A_LINK_EMU);
}

static void get_refused(struct qkd_link *link, struct nlattr *nest)
{
	struct nlattr *attrs[QKD_A_REFUSED_MAX + 1];

	if (attrs_parse(attrs, QKD_A_REFUSED_MAX, nla_data(nest),
			nla_len(nest)))
		return;
	link->refused.has =
		fields_get(refused_fields, ARRAY_SIZE(refused_fields),
			   &link->refused, attrs, QKD_A_REFUSED_MAX);
	link->has |= QKD_HAS(QKD_A_LINK_REFUSED);
}

static int get_link(struct nlattr *head, int length, struct qkd_link *link)
{
	struct nlattr *attrs[QKD_A_LINK_MAX + 1], *attr;
	int left, err;

	err = attrs_parse(attrs, QKD_A_LINK_MAX, head, length);
	if (err)
		return err;
	memset(link, 0, sizeof(*link));
	link->has = fields_get(link_fields, ARRAY_SIZE(link_fields), link,
			       attrs, QKD_A_LINK_MAX);
	if (attrs[QKD_A_LINK_EMU])
		get_emu(link, attrs[QKD_A_LINK_EMU]);
	if (attrs[QKD_A_LINK_REFUSED])
		get_refused(link, attrs[QKD_A_LINK_REFUSED]);
	nla_for_each_attr(attr, head, length, left)
		if (nla_type(attr) == QKD_A_LINK_STAT)
			get_stat(link, attr);
	return 0;
}

static int take_index(struct nlattr *head, int length, void *arg)
{
	struct qkd_link link;
	int err;

	err = get_link(head, length, &link);
	if (!err)
		*(uint32_t *)arg = link.index;
	return err;
}

int qkd_link_new(struct qkd_ctx *ctx, const struct qkd_link *link,
		 uint32_t *index)
{
	uint32_t unused;
	struct nl_msg *msg;
	int err;

	msg = request_new(ctx, QKD_CMD_LINK_NEW, 0);
	if (!msg)
		return -ENOMEM;
	err = put_link(msg, link, link->has);
	return request_end(ctx, msg, err, take_index, index ?: &unused);
}

static struct nl_msg *named_request(struct qkd_ctx *ctx, int cmd,
				    struct qkd_ref ref)
{
	struct nl_msg *msg = request_new(ctx, cmd, 0);

	if (msg && put_ref(msg, QKD_A_LINK_NAME, QKD_A_LINK_INDEX, ref)) {
		request_free(msg);
		return NULL;
	}
	return msg;
}

int qkd_link_del(struct qkd_ctx *ctx, struct qkd_ref ref)
{
	struct nl_msg *msg = named_request(ctx, QKD_CMD_LINK_DEL, ref);

	return msg ? request_run(ctx, msg, NULL, NULL) : -ENOMEM;
}

int qkd_link_set(struct qkd_ctx *ctx, struct qkd_ref ref,
		 const struct qkd_link *link)
{
	struct nl_msg *msg = named_request(ctx, QKD_CMD_LINK_SET, ref);
	int err;

	if (!msg)
		return -ENOMEM;
	err = put_link(msg, link,
		       link->has & ~(QKD_HAS(QKD_A_LINK_NAME) |
				     QKD_HAS(QKD_A_LINK_INDEX)));
	return request_end(ctx, msg, err, NULL, NULL);
}

static int take_link(struct nlattr *head, int length, void *arg)
{
	return get_link(head, length, arg);
}

int qkd_link_get(struct qkd_ctx *ctx, struct qkd_ref ref, struct qkd_link *link)
{
	struct nl_msg *msg = named_request(ctx, QKD_CMD_LINK_GET, ref);

	return msg ? request_run(ctx, msg, take_link, link) : -ENOMEM;
}

struct visit {
	qkd_link_fn fn;
	void *arg;
};

static int visit_link(struct nlattr *head, int length, void *arg)
{
	const struct visit *visit = arg;
	struct qkd_link link;
	int err;

	err = get_link(head, length, &link);
	return err ?: visit->fn(&link, visit->arg);
}

int qkd_link_dump(struct qkd_ctx *ctx, qkd_link_fn fn, void *arg)
{
	struct visit visit = { .fn = fn, .arg = arg };

	return dump_run(ctx, QKD_CMD_LINK_DUMP, visit_link, &visit);
}
