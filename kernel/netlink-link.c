// SPDX-License-Identifier: GPL-2.0-only
/* The operations link-new, -del, -set, -get and -dump. */
#include <linux/capability.h>
#include <linux/ctype.h>
#include <linux/kmod.h>
#include <linux/user_namespace.h>

#include "netlink.h"

/* Default low marks are a sixteenth of the default capacities. */
#define LOW_SHARE	16

/*
 * The request's memory may live on: in a tap's clone, or in the error ACK
 * that quotes it.
 */
static void wipe_seed(struct genl_info *info)
{
	struct nlattr *nest = info->attrs[QKD_A_LINK_EMU];
	struct nlattr *attr;
	int rest;

	if (!nest)
		return;
	nla_for_each_nested(attr, nest, rest)
		if (nla_type(attr) == QKD_A_EMU_SEED)
			memzero_explicit(nla_data(attr), nla_len(attr));
}

static int parse_name(struct genl_info *info, struct qkd_link_config *cfg)
{
	const struct nlattr *attr = info->attrs[QKD_A_LINK_NAME];
	const char *c;

	if (!qkd_nl_has(info, QKD_A_LINK_NAME))
		return -EINVAL;
	nla_strscpy(cfg->name, attr, sizeof(cfg->name));
	if (!*cfg->name || !strcmp(cfg->name, ".") || !strcmp(cfg->name, ".."))
		goto invalid;
	for (c = cfg->name; *c; c++)
		if (!isascii(*c) || !isgraph(*c) || *c == '/' || *c == ':')
			goto invalid;
	return 0;

invalid:
	NL_SET_ERR_MSG_ATTR(info->extack, attr,
			    "not a link name: letters, digits and signs but '/' and ':'");
	return -EINVAL;
}

static int parse_identity(struct genl_info *info, u32 type, char *to)
{
	const struct nlattr *attr = info->attrs[type];
	const char *c;

	if (!attr)
		return 0;
	nla_strscpy(to, attr, QKD_IDENTITY_LEN + 1);
	if (!*to) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr, "identity is empty");
		return -EINVAL;
	}
	for (c = to; *c; c++)
		if (iscntrl(*c)) {
			NL_SET_ERR_MSG_ATTR(info->extack, attr,
					    "identity has a control character");
			return -EINVAL;
		}
	return 0;
}

/* What can be given at creation alone. */
static int parse_ends(struct genl_info *info, struct qkd_link_config *cfg)
{
	struct nlattr **attrs = info->attrs;
	int err;

	if (attrs[QKD_A_LINK_ROLE])
		cfg->role = nla_get_u32(attrs[QKD_A_LINK_ROLE]);
	if (attrs[QKD_A_LINK_CONFIRM])
		cfg->confirm = nla_get_u32(attrs[QKD_A_LINK_CONFIRM]);
	err = parse_identity(info, QKD_A_LINK_ID, cfg->id);
	if (err)
		return err;
	err = parse_identity(info, QKD_A_LINK_PEER_ID, cfg->peer_id);
	if (err)
		return err;
	if (*cfg->id && !strcmp(cfg->id, cfg->peer_id)) {
		NL_SET_ERR_MSG_ATTR(info->extack, attrs[QKD_A_LINK_PEER_ID],
				    "the peer has this end's identity");
		return -EINVAL;
	}
	return 0;
}

static int parse_capacity(struct genl_info *info, u32 type, u64 max, u32 step,
			  u64 *capacity, u64 *low)
{
	const struct nlattr *attr = info->attrs[type];
	u64 bytes;

	if (!attr)
		return 0;
	bytes = nla_get_u64(attr);
	if (bytes < QKD_CAPACITY_MIN || bytes > max) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr,
				    "capacity is below 1 KiB or above 1 GiB (pad), 4 MiB (key)");
		return -ERANGE;
	}
	if (bytes % step) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr,
				    "capacity is no multiple of 16 (pad), 32 (key) bytes");
		return -EINVAL;
	}
	*capacity = bytes;
	*low = min(*low, div_u64(bytes, LOW_SHARE));
	return 0;
}

static int parse_low(struct genl_info *info, u32 type, u64 capacity, u64 *low)
{
	const struct nlattr *attr = info->attrs[type];

	if (!attr)
		return 0;
	if (nla_get_u64(attr) > capacity) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr,
				    "low mark is above the capacity");
		return -ERANGE;
	}
	*low = nla_get_u64(attr);
	return 0;
}

static int parse_keep(struct genl_info *info, u32 type, u32 *ms)
{
	const struct nlattr *attr = info->attrs[type];

	if (!attr)
		return 0;
	if (nla_get_u32(attr) < QKD_KEEP_MIN) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr,
				    "keep time is below 100 ms");
		return -ERANGE;
	}
	*ms = nla_get_u32(attr);
	return 0;
}

static int parse_max_age(struct genl_info *info, u64 *ms)
{
	const struct nlattr *attr = info->attrs[QKD_A_LINK_MAX_AGE];
	u64 age;

	if (!attr)
		return 0;
	age = nla_get_u64(attr);
	if (age && (age < QKD_KEEP_MIN || age > S64_MAX / NSEC_PER_MSEC)) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr,
				    "max-age is below 100 ms (0 is never), or too long");
		return -ERANGE;
	}
	*ms = age;
	return 0;
}

static int parse_reserves(struct genl_info *info, struct qkd_link_config *cfg)
{
	static const u8 types[QKD_CLASSES] = {
		[QKD_CLASS_CONTROL - 1] = QKD_A_LINK_RESERVE_CONTROL,
		[QKD_CLASS_REKEY - 1] = QKD_A_LINK_RESERVE_REKEY,
		[QKD_CLASS_EXPORT - 1] = QKD_A_LINK_RESERVE_EXPORT,
	};
	const struct nlattr *last = NULL;
	u64 sum = 0;
	int i;

	for (i = 0; i < QKD_CLASSES; i++) {
		const struct nlattr *attr = info->attrs[types[i]];

		if (attr) {
			cfg->reserve[i] = nla_get_u32(attr);
			last = attr;
		}
		if (cfg->reserve[i] > QKD_RESERVE_MAX ||
		    cfg->reserve[i] % QKD_KEY_UNIT) {
			NL_SET_ERR_MSG_ATTR(info->extack, attr,
					    "reserve is above 1 MiB or no multiple of 32 bytes");
			return -ERANGE;
		}
		sum += cfg->reserve[i];
	}
	if (sum > cfg->capacity[QKD_KEY]) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    last ?: info->attrs[QKD_A_LINK_KEY_CAPACITY],
				    "the reserves exceed the key capacity");
		return -ERANGE;
	}
	return 0;
}

/* What link-new and link-set have in common, over what @cfg holds. */
static int parse_settings(struct genl_info *info, struct qkd_link_config *cfg)
{
	int err;

	err = parse_max_age(info, &cfg->max_age);
	if (err)
		return err;
	err = parse_keep(info, QKD_A_LINK_PAD_KEEP, &cfg->pad_keep);
	if (err)
		return err;
	err = parse_keep(info, QKD_A_LINK_KEY_KEEP, &cfg->key_keep);
	if (err)
		return err;
	err = parse_low(info, QKD_A_LINK_PAD_LOW, cfg->capacity[QKD_PAD],
			&cfg->low[QKD_PAD]);
	if (err)
		return err;
	err = parse_low(info, QKD_A_LINK_KEY_LOW, cfg->capacity[QKD_KEY],
			&cfg->low[QKD_KEY]);
	if (err)
		return err;
	return parse_reserves(info, cfg);
}

static int parse_new(struct genl_info *info, struct qkd_link_config *cfg)
{
	const struct nlattr *export = info->attrs[QKD_A_LINK_EXPORT];
	int err;

	qkd_link_config_init(cfg);
	err = parse_name(info, cfg);
	if (err)
		return err;
	err = parse_ends(info, cfg);
	if (err)
		return err;
	err = parse_capacity(info, QKD_A_LINK_PAD_CAPACITY,
			     QKD_PAD_CAPACITY_MAX, QKD_PAD_GRANULE,
			     &cfg->capacity[QKD_PAD], &cfg->low[QKD_PAD]);
	if (err)
		return err;
	err = parse_capacity(info, QKD_A_LINK_KEY_CAPACITY,
			     QKD_KEY_CAPACITY_MAX, QKD_KEY_UNIT,
			     &cfg->capacity[QKD_KEY], &cfg->low[QKD_KEY]);
	if (err)
		return err;
	if (export)
		cfg->export = nla_get_u32(export);
	if (cfg->export && genl_info_net(info)->user_ns != &init_user_ns) {
		NL_SET_ERR_MSG_ATTR(info->extack, export,
				    "no key leaves a link outside the initial user namespace");
		return -EPERM;
	}
	return parse_settings(info, cfg);
}

static bool type_is_valid(const char *type)
{
	const char *c;

	for (c = type; *c; c++)
		if (!islower(*c) && !isdigit(*c) && *c != '-')
			return false;
	return *type;
}

/*
 * A type's module is loaded for the administrator of the machine alone: root of
 * a container has no say in what code the kernel runs. Loading is allowed here
 * although cb_lock is held, since a link driver registers no netlink family.
 */
static const struct qkd_link_ops *find_type(struct sk_buff *skb,
					    struct genl_info *info)
{
	const struct nlattr *attr = info->attrs[QKD_A_LINK_TYPE];
	const struct qkd_link_ops *ops;
	const char *type;

	if (!qkd_nl_has(info, QKD_A_LINK_TYPE))
		return ERR_PTR(-EINVAL);
	type = nla_data(attr);
	if (!type_is_valid(type)) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr,
				    "not a link type: lower case, digits and '-'");
		return ERR_PTR(-EINVAL);
	}
	ops = qkd_link_type_get(type);
	if (!ops && netlink_capable(skb, CAP_NET_ADMIN)) {
		request_module("qkd-link-%s", type);
		ops = qkd_link_type_get(type);
	}
	if (ops)
		return ops;
	NL_SET_ERR_MSG_ATTR(info->extack, attr, "unknown link type");
	return ERR_PTR(-EOPNOTSUPP);
}

static int check_type(struct genl_info *info, const struct qkd_link_ops *ops)
{
	if (!ops->newlink) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[QKD_A_LINK_TYPE],
				    "links of this type come with their hardware");
		return -EOPNOTSUPP;
	}
	if (info->attrs[QKD_A_LINK_EMU] && !ops->setlink) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[QKD_A_LINK_EMU],
				    "links of this type have no parameters of their own");
		return -EINVAL;
	}
	if (ops->user_supply && (!qkd_nl_has(info, QKD_A_LINK_ROLE) ||
				 !qkd_nl_has(info, QKD_A_LINK_ID) ||
				 !qkd_nl_has(info, QKD_A_LINK_PEER_ID)))
		return -EINVAL;
	return 0;
}

/* The registry refuses a name that is in use; here it gets its attribute. */
static int check_name_is_free(struct genl_info *info, const char *name)
{
	struct qkd_link *link = qkd_link_get_by_name(genl_info_net(info), name);

	if (!link)
		return 0;
	qkd_link_put(link);
	NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[QKD_A_LINK_NAME],
			    "a link of this name exists");
	return -EEXIST;
}

/* Returns the new link's index. */
static int add_link(struct sk_buff *skb, struct genl_info *info,
		    struct qkd_link_config *cfg)
{
	const struct qkd_link_ops *ops;
	int err;

	ops = find_type(skb, info);
	if (IS_ERR(ops))
		return PTR_ERR(ops);
	err = check_type(info, ops);
	if (!err)
		err = check_name_is_free(info, cfg->name);
	if (!err)
		err = qkd_link_new(genl_info_net(info), ops, cfg,
				   info->attrs[QKD_A_LINK_EMU], skb,
				   info->extack);
	qkd_link_type_put(ops);
	return err;
}

static int link_new(struct sk_buff *skb, struct genl_info *info)
{
	struct qkd_link_config cfg;
	struct sk_buff *reply;
	void *hdr;
	int err;

	err = qkd_nl_admin(skb, info->extack);
	if (err)
		return err;
	err = parse_new(info, &cfg);
	if (err)
		return err;
	reply = qkd_nl_reply_new(info, &hdr);
	if (!reply)
		return -ENOMEM;
	err = add_link(skb, info, &cfg);
	if (err < 0)
		goto free_reply;
	/* A new message has room for these two. */
	nla_put_u32(reply, QKD_A_LINK_INDEX, err);
	nla_put_string(reply, QKD_A_LINK_NAME, cfg.name);
	genlmsg_end(reply, hdr);
	return genlmsg_reply(reply, info);

free_reply:
	nlmsg_free(reply);
	return err;
}

int qkd_nl_link_new_doit(struct sk_buff *skb, struct genl_info *info)
{
	int err = link_new(skb, info);

	wipe_seed(info);
	return err;
}

int qkd_nl_link_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct qkd_link *link = qkd_nl_admin_link(skb, info);
	int err;

	if (IS_ERR(link))
		return PTR_ERR(link);
	err = qkd_link_delete(link);
	if (err)
		NL_SET_ERR_MSG(info->extack, "the link is being deleted");
	qkd_link_put(link);
	return err;
}

static int parse_set(struct qkd_link *link, struct genl_info *info,
		     struct qkd_link_config *cfg)
{
	const struct nlattr *export = info->attrs[QKD_A_LINK_EXPORT];

	mutex_lock(&link->lock);
	*cfg = link->cfg;
	mutex_unlock(&link->lock);
	if (export && nla_get_u32(export) & ~cfg->export) {
		NL_SET_ERR_MSG_ATTR(info->extack, export,
				    "the export mask can only be narrowed");
		return -EPERM;
	}
	if (export)
		cfg->export = nla_get_u32(export);
	return parse_settings(info, cfg);
}

static void apply_set(struct qkd_link *link, const struct qkd_link_config *cfg)
{
	int i;

	mutex_lock(&link->lock);
	WRITE_ONCE(link->cfg.export, cfg->export);
	WRITE_ONCE(link->cfg.max_age, cfg->max_age);
	WRITE_ONCE(link->cfg.pad_keep, cfg->pad_keep);
	WRITE_ONCE(link->cfg.key_keep, cfg->key_keep);
	for (i = 0; i < ARRAY_SIZE(cfg->low); i++)
		WRITE_ONCE(link->cfg.low[i], cfg->low[i]);
	for (i = 0; i < QKD_CLASSES; i++)
		WRITE_ONCE(link->cfg.reserve[i], cfg->reserve[i]);
	mutex_unlock(&link->lock);
}

static int set_own(struct qkd_link *link, struct genl_info *info)
{
	struct nlattr *data = info->attrs[QKD_A_LINK_EMU];
	int err;

	if (!data)
		return 0;
	if (link->ops->setlink) {
		err = link->ops->setlink(link, data, info->extack);
		/* the driver may know before the core does */
		if (err == -ENODEV)
			NL_SET_ERR_MSG(info->extack, "the link is being deleted");
		return err;
	}
	NL_SET_ERR_MSG_ATTR(info->extack, data,
			    "links of this type have no parameters of their own");
	return -EINVAL;
}

/*
 * ops_lock is held from reading the settings to writing them, so that two
 * requests cannot add up to what each alone would be refused. What may fail
 * comes before what cannot; the operator's wish comes last, as it acts on
 * the settings.
 */
static int link_set(struct qkd_link *link, struct genl_info *info)
{
	const struct nlattr *admin = info->attrs[QKD_A_LINK_ADMIN];
	struct qkd_link_config cfg;
	int err;

	err = qkd_link_lock_ops(link);
	if (err) {
		NL_SET_ERR_MSG(info->extack, "the link is being deleted");
		return err;
	}
	err = parse_set(link, info, &cfg);
	if (!err)
		err = set_own(link, info);
	if (!err)
		apply_set(link, &cfg);
	qkd_link_unlock_ops(link);
	if (err || !admin)
		return err;
	err = qkd_link_set_admin(link, nla_get_u32(admin), info->extack);
	if (err == -ENODEV)
		NL_SET_ERR_MSG(info->extack, "the link is being deleted");
	else if (err)
		qkd_nl_blame(info, QKD_A_LINK_ADMIN);
	return err;
}

int qkd_nl_link_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct qkd_link *link = qkd_nl_admin_link(skb, info);
	int err = PTR_ERR_OR_ZERO(link);

	if (!err) {
		err = link_set(link, info);
		qkd_link_put(link);
	}
	wipe_seed(info);
	return err;
}

static int put_u64(struct sk_buff *skb, int type, u64 value)
{
	return nla_put_u64_64bit(skb, type, value, QKD_A_LINK_PAD);
}

static int fill_ends(struct sk_buff *skb, const struct qkd_link *link)
{
	const struct qkd_link_config *cfg = &link->cfg;

	if (nla_put_u32(skb, QKD_A_LINK_INDEX, link->index) ||
	    nla_put_string(skb, QKD_A_LINK_NAME, cfg->name) ||
	    nla_put_string(skb, QKD_A_LINK_TYPE, link->ops->type) ||
	    nla_put_u32(skb, QKD_A_LINK_ROLE, cfg->role) ||
	    nla_put_string(skb, QKD_A_LINK_ID, cfg->id) ||
	    nla_put_string(skb, QKD_A_LINK_PEER_ID, cfg->peer_id) ||
	    nla_put_u32(skb, QKD_A_LINK_CONFIRM, cfg->confirm) ||
	    nla_put(skb, QKD_A_LINK_HASH, sizeof(link->hash), link->hash) ||
	    (READ_ONCE(link->dev) && nla_put_flag(skb, QKD_A_LINK_NODE)))
		return -EMSGSIZE;
	return 0;
}

static int fill_settings(struct sk_buff *skb, const struct qkd_link *link)
{
	const struct qkd_link_config *cfg = &link->cfg;

	if (nla_put_u32(skb, QKD_A_LINK_EXPORT, READ_ONCE(cfg->export)) ||
	    put_u64(skb, QKD_A_LINK_MAX_AGE, READ_ONCE(cfg->max_age)) ||
	    nla_put_u32(skb, QKD_A_LINK_PAD_KEEP, READ_ONCE(cfg->pad_keep)) ||
	    nla_put_u32(skb, QKD_A_LINK_KEY_KEEP, READ_ONCE(cfg->key_keep)) ||
	    put_u64(skb, QKD_A_LINK_PAD_CAPACITY, cfg->capacity[QKD_PAD]) ||
	    put_u64(skb, QKD_A_LINK_KEY_CAPACITY, cfg->capacity[QKD_KEY]) ||
	    put_u64(skb, QKD_A_LINK_PAD_LOW, READ_ONCE(cfg->low[QKD_PAD])) ||
	    put_u64(skb, QKD_A_LINK_KEY_LOW, READ_ONCE(cfg->low[QKD_KEY])) ||
	    nla_put_u32(skb, QKD_A_LINK_RESERVE_CONTROL,
			READ_ONCE(cfg->reserve[QKD_CLASS_CONTROL - 1])) ||
	    nla_put_u32(skb, QKD_A_LINK_RESERVE_REKEY,
			READ_ONCE(cfg->reserve[QKD_CLASS_REKEY - 1])) ||
	    nla_put_u32(skb, QKD_A_LINK_RESERVE_EXPORT,
			READ_ONCE(cfg->reserve[QKD_CLASS_EXPORT - 1])))
		return -EMSGSIZE;
	return 0;
}

static int fill_state(struct sk_buff *skb, struct qkd_link *link)
{
	u16 label = READ_ONCE(link->last_label);

	if (nla_put_u32(skb, QKD_A_LINK_ADMIN, READ_ONCE(link->admin)) ||
	    nla_put_u32(skb, QKD_A_LINK_STATE, qkd_link_state(link)) ||
	    nla_put_u32(skb, QKD_A_LINK_REASON, READ_ONCE(link->reason)) ||
	    (label && nla_put_u32(skb, QKD_A_LINK_LABEL, label)) ||
	    nla_put_u32(skb, QKD_A_LINK_QBER, READ_ONCE(link->qber)) ||
	    put_u64(skb, QKD_A_LINK_SKR, READ_ONCE(link->skr)) ||
	    nla_put_u32(skb, QKD_A_LINK_SAS, atomic_read(&link->nsas)) ||
	    nla_put_u32(skb, QKD_A_LINK_HANDLES, READ_ONCE(link->nhandles)))
		return -EMSGSIZE;
	return 0;
}

static u32 count_segments(const struct qkd_byte_stream *stream)
{
	u32 i, n = 0;

	for (i = 0; i < stream->nslots; i++)
		n += !!rcu_access_pointer(stream->slot[i]);
	return n;
}

static int put_account(struct sk_buff *skb, int type, u64 value)
{
	return nla_put_u64_64bit(skb, type, value, QKD_A_STAT_PAD);
}

static int fill_accounts(struct sk_buff *skb, const struct qkd_byte_stream *stream)
{
	u64 usable = READ_ONCE(stream->usable);
	u64 next = READ_ONCE(stream->next);

	if (put_account(skb, QKD_A_STAT_SUPPLIED, next) ||
	    put_account(skb, QKD_A_STAT_PENDING,
			next > usable ? next - usable : 0) ||
	    put_account(skb, QKD_A_STAT_TAKEN, atomic64_read(&stream->taken)) ||
	    put_account(skb, QKD_A_STAT_SKIPPED,
			atomic64_read(&stream->skipped)) ||
	    put_account(skb, QKD_A_STAT_LOST, atomic64_read(&stream->lost)) ||
	    put_account(skb, QKD_A_STAT_HEAD, atomic64_read(&stream->heads)) ||
	    put_account(skb, QKD_A_STAT_LIVE, qkd_stream_live(stream)) ||
	    put_account(skb, QKD_A_STAT_CAPACITY, stream->capacity))
		return -EMSGSIZE;
	return 0;
}

static int fill_stream(struct sk_buff *skb, const struct qkd_byte_stream *stream)
{
	struct nlattr *nest = nla_nest_start(skb, QKD_A_LINK_STAT);

	if (!nest ||
	    nla_put_u32(skb, QKD_A_STAT_STREAM, stream->id) ||
	    nla_put_u32(skb, QKD_A_STAT_DIR,
			stream->tx ? QKD_DIR_OUT : QKD_DIR_IN) ||
	    nla_put_u32(skb, QKD_A_STAT_SEGMENTS, count_segments(stream)) ||
	    fill_accounts(skb, stream))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int fill_generation(struct sk_buff *skb, struct qkd_link *link)
{
	const struct qkd_gen *gen;
	int err = 0;
	u32 i;

	rcu_read_lock();
	gen = rcu_dereference(link->gen);
	if (gen)
		err = nla_put(skb, QKD_A_LINK_GENERATION, sizeof(gen->id),
			      gen->id);
	for (i = 0; gen && !err && i < QKD_STREAMS; i++)
		err = fill_stream(skb, &gen->stream[i]);
	rcu_read_unlock();
	return err;
}

static int fill_refused(struct sk_buff *skb, const struct qkd_link *link)
{
	struct nlattr *nest = nla_nest_start(skb, QKD_A_LINK_REFUSED);
	u32 i;

	BUILD_BUG_ON(QKD_A_REFUSED_NO_KEY + QKD_REFUSALS != QKD_A_REFUSED_PAD);
	if (!nest)
		return -EMSGSIZE;
	for (i = 0; i < QKD_REFUSALS; i++)
		if (nla_put_u64_64bit(skb, QKD_A_REFUSED_NO_KEY + i,
				      atomic64_read(&link->refused[i]),
				      QKD_A_REFUSED_PAD))
			return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

/* The type's own nest; -ENODEV if the link went away meanwhile. */
static int fill_own(struct sk_buff *skb, struct qkd_link *link)
{
	int err;

	if (!link->ops->fill)
		return 0;
	err = qkd_link_lock_ops(link);
	if (err)
		return err;
	err = link->ops->fill(link, skb);
	qkd_link_unlock_ops(link);
	return err;
}

static int fill_link(struct sk_buff *skb, struct qkd_link *link)
{
	int err;

	err = fill_ends(skb, link);
	if (!err)
		err = fill_settings(skb, link);
	if (!err)
		err = fill_state(skb, link);
	if (!err)
		err = fill_own(skb, link);
	if (!err)
		err = fill_generation(skb, link);
	if (!err)
		err = fill_refused(skb, link);
	return err;
}

static int get_link(struct qkd_link *link, struct genl_info *info,
		    struct sk_buff *reply)
{
	int err = fill_link(reply, link);

	if (err == -ENODEV)
		NL_SET_ERR_MSG(info->extack, "the link is being deleted");
	return err;
}

int qkd_nl_link_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	return qkd_nl_answer(qkd_nl_link(info), info, get_link);
}

static int dump_link(struct sk_buff *skb, struct netlink_callback *cb,
		     struct qkd_link *link)
{
	void *hdr;
	int err;

	hdr = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			  &qkd_nl_family, NLM_F_MULTI, QKD_CMD_LINK_DUMP);
	if (!hdr)
		return -EMSGSIZE;
	err = fill_link(skb, link);
	if (!err) {
		genlmsg_end(skb, hdr);
		return 0;
	}
	genlmsg_cancel(skb, hdr);
	return err == -ENODEV ? 0 : err;
}

/* cb->args[0] is the least index that was not shown yet. */
int qkd_nl_link_dump_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct net *net = sock_net(cb->skb->sk);
	u32 index = cb->args[0];
	struct qkd_link *link;
	int err;

	err = qkd_nl_dump_plain(cb);
	if (err)
		return err;
	while ((link = qkd_link_next(net, &index))) {
		err = dump_link(skb, cb, link);
		qkd_link_put(link);
		if (err)
			break;
		index++;
	}
	cb->args[0] = index;
	return err && !skb->len ? err : skb->len;
}
