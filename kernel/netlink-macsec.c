// SPDX-License-Identifier: GPL-2.0-only
/*
 * The operations macsec-bind, -unbind, -get, -dump, and macsec-sa-add, -del, -get,
 * -dump.
 *
 * macsec takes SAs only from who has CAP_NET_ADMIN in the initial user namespace.
 * It cannot see for whom our work asks, so that is checked here.
 */
#include "macsec.h"
#include "netlink.h"

/* The same for what macsec will do. */
static struct net *root_net(struct sk_buff *skb, struct genl_info *info)
{
	struct net *net = qkd_nl_admin_net(skb, info);

	if (IS_ERR(net) || netlink_capable(skb, CAP_NET_ADMIN))
		return net;
	NL_SET_ERR_MSG(info->extack,
		       "macsec needs CAP_NET_ADMIN in the initial user namespace");
	return ERR_PTR(-EPERM);
}

static int bind(struct qkd_link *link, struct genl_info *info)
{
	const struct nlattr *time = info->attrs[QKD_A_MACSEC_MAX_TIME];
	int err;

	if (!qkd_nl_has(info, QKD_A_MACSEC_IFINDEX))
		return -EINVAL;
	err = qkd_macsec_bind(link, nla_get_u32(info->attrs[QKD_A_MACSEC_IFINDEX]),
			      time ? nla_get_u32(time) : QKD_MACSEC_TIME, info->extack);
	if (err)
		qkd_nl_blame(info, QKD_A_MACSEC_IFINDEX);
	return err;
}

int qkd_nl_macsec_bind_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct net *net = root_net(skb, info);
	struct qkd_link *link;
	int err;

	if (IS_ERR(net))
		return PTR_ERR(net);
	link = qkd_nl_link(info);
	if (IS_ERR(link))
		return PTR_ERR(link);
	err = bind(link, info);
	qkd_link_put(link);
	return err;
}

int qkd_nl_macsec_unbind_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct net *net = root_net(skb, info);
	int err;

	if (IS_ERR(net))
		return PTR_ERR(net);
	if (!qkd_nl_has(info, QKD_A_MACSEC_IFINDEX))
		return -EINVAL;
	err = qkd_macsec_unbind(net, nla_get_u32(info->attrs[QKD_A_MACSEC_IFINDEX]),
				info->extack);
	if (err)
		qkd_nl_blame(info, QKD_A_MACSEC_IFINDEX);
	return err;
}

static int put_u64(struct sk_buff *skb, int type, u64 value)
{
	return nla_put_u64_64bit(skb, type, value, QKD_A_MACSEC_PAD);
}

static int fill_bound(struct sk_buff *skb, const struct qkd_macsec *b)
{
	if (nla_put_u32(skb, QKD_A_MACSEC_LINK_INDEX, b->base.link->index) ||
	    nla_put_string(skb, QKD_A_MACSEC_LINK_NAME, b->base.link->cfg.name) ||
	    nla_put_u32(skb, QKD_A_MACSEC_IFINDEX, b->base.ifindex) ||
	    nla_put_u32(skb, QKD_A_MACSEC_MAX_TIME, b->max_time) ||
	    nla_put_u32(skb, QKD_A_MACSEC_SUITE, b->secy.suite) ||
	    nla_put_be64(skb, QKD_A_MACSEC_SCI, b->secy.sci, QKD_A_MACSEC_PAD) ||
	    nla_put_u32(skb, QKD_A_MACSEC_SAS, b->nsas) ||
	    put_u64(skb, QKD_A_MACSEC_INSTALLED, b->installed) ||
	    put_u64(skb, QKD_A_MACSEC_REMOVED, b->removed) ||
	    put_u64(skb, QKD_A_MACSEC_FAILED, b->failed) ||
	    (b->base.leaving && nla_put_flag(skb, QKD_A_MACSEC_LEAVING)))
		return -EMSGSIZE;
	return 0;
}

static int fill_sa(struct sk_buff *skb, const struct qkd_macsec *b,
		   const struct qkd_macsec_sa *sa)
{
	u64 age = sa->there ? ktime_get_boottime_ns() - sa->born : 0;

	if (nla_put_u32(skb, QKD_A_MACSEC_SA_LINK_INDEX, b->base.link->index) ||
	    nla_put_string(skb, QKD_A_MACSEC_SA_LINK_NAME, b->base.link->cfg.name) ||
	    nla_put_u32(skb, QKD_A_MACSEC_SA_IFINDEX, b->base.ifindex) ||
	    nla_put_u32(skb, QKD_A_MACSEC_SA_DIR, sa->name.dir) ||
	    nla_put_u32(skb, QKD_A_MACSEC_SA_AN, sa->name.an) ||
	    nla_put_be64(skb, QKD_A_MACSEC_SA_SCI, sa->name.sci, QKD_A_MACSEC_SA_PAD) ||
	    nla_put_u32(skb, QKD_A_MACSEC_SA_SUITE, sa->suite) ||
	    nla_put_u64_64bit(skb, QKD_A_MACSEC_SA_NUMBER, sa->number,
			      QKD_A_MACSEC_SA_PAD) ||
	    nla_put_u32(skb, QKD_A_MACSEC_SA_STATE, sa->state) ||
	    (sa->error && nla_put_u32(skb, QKD_A_MACSEC_SA_ERROR, -sa->error)) ||
	    (sa->message &&
	     nla_put_string(skb, QKD_A_MACSEC_SA_MESSAGE, sa->message)) ||
	    (sa->there && nla_put_u64_64bit(skb, QKD_A_MACSEC_SA_AGE,
					    div_u64(age, NSEC_PER_MSEC),
					    QKD_A_MACSEC_SA_PAD)))
		return -EMSGSIZE;
	/* a transmit SA has none until it has taken a key */
	if (memchr_inv(sa->id, 0, sizeof(sa->id)) &&
	    nla_put(skb, QKD_A_MACSEC_SA_KEY_ID, sizeof(sa->id), sa->id))
		return -EMSGSIZE;
	return 0;
}

/* Sends the reply that a handler made, or frees it. */
static int answer(struct genl_info *info, struct sk_buff *reply, void *hdr, int err)
{
	if (err) {
		nlmsg_free(reply);
		return err;
	}
	genlmsg_end(reply, hdr);
	return genlmsg_reply(reply, info);
}

static int show_bound(const struct qkd_macsec *b, void *arg)
{
	return fill_bound(arg, b);
}

int qkd_nl_macsec_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct net *net = qkd_nl_admin_net(skb, info);
	struct sk_buff *reply;
	void *hdr;
	int err;

	if (IS_ERR(net))
		return PTR_ERR(net);
	if (!qkd_nl_has(info, QKD_A_MACSEC_IFINDEX))
		return -EINVAL;
	reply = qkd_nl_reply_new(info, &hdr);
	if (!reply)
		return -ENOMEM;
	err = qkd_macsec_show(net, nla_get_u32(info->attrs[QKD_A_MACSEC_IFINDEX]),
			      show_bound, reply);
	if (err == -ENOENT)
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[QKD_A_MACSEC_IFINDEX],
				    "the device is not bound to a link");
	return answer(info, reply, hdr, err);
}

/*
 * Which SA a request names. A transmit SA has its device's SCI, and needs none.
 */
static int parse_name(struct genl_info *info, u32 *ifindex, struct qkd_macsec_name *name)
{
	const struct nlattr *sci = info->attrs[QKD_A_MACSEC_SA_SCI];

	if (!qkd_nl_has(info, QKD_A_MACSEC_SA_IFINDEX) ||
	    !qkd_nl_has(info, QKD_A_MACSEC_SA_DIR) ||
	    !qkd_nl_has(info, QKD_A_MACSEC_SA_AN))
		return -EINVAL;
	*ifindex = nla_get_u32(info->attrs[QKD_A_MACSEC_SA_IFINDEX]);
	name->dir = nla_get_u32(info->attrs[QKD_A_MACSEC_SA_DIR]);
	name->an = nla_get_u32(info->attrs[QKD_A_MACSEC_SA_AN]);
	if (name->dir == QKD_DIR_OUT && sci) {
		NL_SET_ERR_MSG_ATTR(info->extack, sci,
				    "a transmit SA has the device's SCI");
		return -EINVAL;
	}
	if (name->dir == QKD_DIR_IN && !qkd_nl_has(info, QKD_A_MACSEC_SA_SCI))
		return -EINVAL;
	if (sci)
		name->sci = nla_get_be64(sci);
	return 0;
}

static int parse_key_id(struct genl_info *info, struct qkd_macsec_sa *sa)
{
	const struct nlattr *id = info->attrs[QKD_A_MACSEC_SA_KEY_ID];

	if (sa->name.dir == QKD_DIR_OUT && id) {
		NL_SET_ERR_MSG_ATTR(info->extack, id,
				    "the key of a transmit SA is allocated, not named");
		return -EINVAL;
	}
	if (sa->name.dir == QKD_DIR_IN && !qkd_nl_has(info, QKD_A_MACSEC_SA_KEY_ID))
		return -EINVAL;
	if (id)
		memcpy(sa->id, nla_data(id), sizeof(sa->id));
	return 0;
}

static u32 sa_culprit(const struct genl_info *info, const struct qkd_macsec_sa *sa,
		      int err)
{
	/* the same errno's are about devices too, with other words */
	if (sa->name.dir == QKD_DIR_IN && info->extack->_msg == qkd_key_error(err))
		return QKD_A_MACSEC_SA_KEY_ID;
	switch (err) {
	case -EBUSY:
		return QKD_A_MACSEC_SA_AN;
	case -EINVAL:
		return QKD_A_MACSEC_SA_SCI;
	default:
		return QKD_A_MACSEC_SA_IFINDEX;
	}
}

static int sa_add(struct net *net, struct genl_info *info, struct sk_buff *reply)
{
	struct qkd_macsec_sa sa = {};
	u32 ifindex;
	int err;

	err = parse_name(info, &ifindex, &sa.name) ?: parse_key_id(info, &sa);
	if (err)
		return err;
	err = qkd_macsec_sa_add(net, ifindex, &sa, info->extack);
	if (err) {
		qkd_nl_blame(info, sa_culprit(info, &sa, err));
		return err;
	}
	/* A new message has room for these four. */
	nla_put_u32(reply, QKD_A_MACSEC_SA_AN, sa.name.an);
	nla_put_be64(reply, QKD_A_MACSEC_SA_SCI, sa.name.sci, QKD_A_MACSEC_SA_PAD);
	nla_put_u32(reply, QKD_A_MACSEC_SA_SUITE, sa.suite);
	nla_put_u64_64bit(reply, QKD_A_MACSEC_SA_NUMBER, sa.number, QKD_A_MACSEC_SA_PAD);
	return 0;
}

int qkd_nl_macsec_sa_add_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct net *net = root_net(skb, info);
	struct sk_buff *reply;
	void *hdr;

	if (IS_ERR(net))
		return PTR_ERR(net);
	reply = qkd_nl_reply_new(info, &hdr);
	if (!reply)
		return -ENOMEM;
	return answer(info, reply, hdr, sa_add(net, info, reply));
}

int qkd_nl_macsec_sa_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct net *net = root_net(skb, info);
	struct qkd_macsec_name name = {};
	u32 ifindex;
	int err;

	if (IS_ERR(net))
		return PTR_ERR(net);
	err = parse_name(info, &ifindex, &name);
	if (err)
		return err;
	err = qkd_macsec_sa_del(net, ifindex, &name, info->extack);
	if (err)
		qkd_nl_blame(info, err == -ENODEV || err == -EOPNOTSUPP ?
				   QKD_A_MACSEC_SA_IFINDEX : QKD_A_MACSEC_SA_AN);
	return err;
}

static int show_sa(const struct qkd_macsec *b, const struct qkd_macsec_sa *sa, void *arg)
{
	return fill_sa(arg, b, sa);
}

int qkd_nl_macsec_sa_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct net *net = qkd_nl_admin_net(skb, info);
	struct qkd_macsec_name name = {};
	struct sk_buff *reply;
	u32 ifindex;
	void *hdr;
	int err;

	if (IS_ERR(net))
		return PTR_ERR(net);
	err = parse_name(info, &ifindex, &name);
	if (err)
		return err;
	reply = qkd_nl_reply_new(info, &hdr);
	if (!reply)
		return -ENOMEM;
	err = qkd_macsec_sa_show(net, ifindex, &name, show_sa, reply);
	if (err == -ENOENT)
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[QKD_A_MACSEC_SA_AN],
				    "the device has no such SA of our making");
	return answer(info, reply, hdr, err);
}

/**
 * struct macsec_dump - where a dump goes on, in cb->ctx
 * @number: of the device
 * @sa: number of the SA, 0 for the device's first
 */
struct macsec_dump {
	u64 number;
	u64 sa;
};

/**
 * struct macsec_dumping - a step of a dump
 * @skb: its message
 * @cb: the dump
 */
struct macsec_dumping {
	struct sk_buff *skb;
	struct netlink_callback *cb;
};

static void *dump_begin(const struct macsec_dumping *d, u8 cmd)
{
	return genlmsg_put(d->skb, NETLINK_CB(d->cb->skb).portid, d->cb->nlh->nlmsg_seq,
			   &qkd_nl_family, NLM_F_MULTI, cmd);
}

static int dump_end(const struct macsec_dumping *d, void *hdr, int err)
{
	if (err)
		genlmsg_cancel(d->skb, hdr);
	else
		genlmsg_end(d->skb, hdr);
	return err;
}

static int dump_bound(const struct qkd_binding *b, void *arg)
{
	const struct macsec_dumping *d = arg;
	void *hdr = dump_begin(d, QKD_CMD_MACSEC_DUMP);

	return hdr ? dump_end(d, hdr, fill_bound(d->skb, to_qkd_macsec(b))) : -EMSGSIZE;
}

static int dump_sa(const struct qkd_macsec *b, const struct qkd_macsec_sa *sa, void *arg)
{
	const struct macsec_dumping *d = arg;
	void *hdr = dump_begin(d, QKD_CMD_MACSEC_SA_DUMP);

	return hdr ? dump_end(d, hdr, fill_sa(d->skb, b, sa)) : -EMSGSIZE;
}

static int dump_sas(const struct qkd_binding *b, void *arg)
{
	const struct macsec_dumping *d = arg;
	struct macsec_dump *at = (void *)d->cb->ctx;

	/* The device that was half shown has gone. */
	if (b->number != at->number)
		at->sa = 0;
	at->number = b->number;
	return qkd_macsec_sa_walk(to_qkd_macsec(b), &at->sa, dump_sa, arg);
}

static int dump(struct sk_buff *skb, struct netlink_callback *cb, qkd_binding_fn fn)
{
	struct macsec_dumping d = { .skb = skb, .cb = cb };
	struct macsec_dump *at = (void *)cb->ctx;
	u64 number = at->number;
	int err;

	BUILD_BUG_ON(sizeof(*at) > sizeof(cb->ctx));
	err = qkd_nl_admin(cb->skb, cb->extack);
	if (!err)
		err = qkd_nl_dump_plain(cb);
	if (err)
		return err;
	err = qkd_macsec_walk(sock_net(cb->skb->sk), &number, fn, &d);
	at->number = err ? number : U64_MAX;
	return err && !skb->len ? err : skb->len;
}

int qkd_nl_macsec_dump_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	return dump(skb, cb, dump_bound);
}

int qkd_nl_macsec_sa_dump_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	return dump(skb, cb, dump_sas);
}
