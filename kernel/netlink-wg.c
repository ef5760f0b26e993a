// SPDX-License-Identifier: GPL-2.0-only
/*
 * The operations wg-set, wg-del, wg-get and wg-dump.
 *
 * WireGuard asks for CAP_NET_ADMIN in the user namespace that owns the device's
 * network namespace, and cannot see for whom our work asks: the same is asked here.
 */
#include "netlink.h"
#include "wg.h"

static int parse_name(struct genl_info *info, struct qkd_wg_name *name)
{
	if (!qkd_nl_has(info, QKD_A_WG_IFINDEX) || !qkd_nl_has(info, QKD_A_WG_PEER))
		return -EINVAL;
	name->ifindex = nla_get_u32(info->attrs[QKD_A_WG_IFINDEX]);
	memcpy(name->peer, nla_data(info->attrs[QKD_A_WG_PEER]), sizeof(name->peer));
	return 0;
}

static int parse_request(struct genl_info *info, struct qkd_wg_request *request)
{
	const struct nlattr *time = info->attrs[QKD_A_WG_MAX_TIME];
	const struct nlattr *id = info->attrs[QKD_A_WG_KEY_ID];

	*request = (struct qkd_wg_request){
		.max_time = time ? nla_get_u32(time) : 0,
		.hold = info->attrs[QKD_A_WG_HOLD],
		.by_id = id,
	};
	if (id)
		memcpy(request->id, nla_data(id), sizeof(request->id));
	if (!id || !request->hold)
		return 0;
	NL_SET_ERR_MSG_ATTR(info->extack, id, "a key that is held is allocated, not named");
	return -EINVAL;
}

static int set(struct qkd_link *link, struct genl_info *info, struct sk_buff *reply)
{
	struct qkd_wg_request request;
	struct qkd_wg_name name;
	int err;

	err = parse_name(info, &name) ?: parse_request(info, &request);
	if (err)
		return err;
	err = qkd_wg_set(link, &name, &request, info->extack);
	if (err) {
		qkd_nl_blame(info, err == -EEXIST || err == -EBUSY ? QKD_A_WG_PEER :
								     QKD_A_WG_IFINDEX);
		return err;
	}
	/* a new message has room for that */
	nla_put_u64_64bit(reply, QKD_A_WG_NUMBER, request.number, QKD_A_WG_PAD);
	return 0;
}

int qkd_nl_wg_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	return qkd_nl_answer(qkd_nl_admin_link(skb, info), info, set);
}

int qkd_nl_wg_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct net *net = qkd_nl_admin_net(skb, info);
	struct qkd_wg_name name;
	int err;

	if (IS_ERR(net))
		return PTR_ERR(net);
	err = parse_name(info, &name);
	if (err)
		return err;
	err = qkd_wg_del(net, &name, info->extack);
	if (err)
		qkd_nl_blame(info, QKD_A_WG_PEER);
	return err;
}

static int put_u64(struct sk_buff *skb, int type, u64 value)
{
	return nla_put_u64_64bit(skb, type, value, QKD_A_WG_PAD);
}

static int put_id(struct sk_buff *skb, int type, const u8 id[QKD_KEY_ID_LEN])
{
	return memchr_inv(id, 0, QKD_KEY_ID_LEN) ? nla_put(skb, type, QKD_KEY_ID_LEN, id) :
						   0;
}

/* The key in use. */
static int fill_key(struct sk_buff *skb, const struct qkd_wg *wg)
{
	u64 age = ktime_get_boottime_ns() - wg->born;

	if (!wg->there || wg->blocked)
		return 0;
	if (put_id(skb, QKD_A_WG_KEY_ID, wg->id) ||
	    put_u64(skb, QKD_A_WG_AGE, div_u64(age, NSEC_PER_MSEC)) ||
	    (wg->confirmed && nla_put_flag(skb, QKD_A_WG_CONFIRMED)))
		return -EMSGSIZE;
	return 0;
}

static int fill(struct sk_buff *skb, const struct qkd_wg *wg)
{
	if (nla_put_u32(skb, QKD_A_WG_LINK_INDEX, wg->base.link->index) ||
	    nla_put_string(skb, QKD_A_WG_LINK_NAME, wg->base.link->cfg.name) ||
	    nla_put_u32(skb, QKD_A_WG_IFINDEX, wg->name.ifindex) ||
	    nla_put(skb, QKD_A_WG_PEER, sizeof(wg->name.peer), wg->name.peer) ||
	    nla_put_u32(skb, QKD_A_WG_MAX_TIME, wg->max_time) ||
	    fill_key(skb, wg) || put_id(skb, QKD_A_WG_HELD, wg->held.id) ||
	    put_u64(skb, QKD_A_WG_NUMBER, wg->request.number) ||
	    nla_put_u32(skb, QKD_A_WG_STATE, wg->state) ||
	    (wg->error && nla_put_u32(skb, QKD_A_WG_ERROR, -wg->error)) ||
	    (wg->message && nla_put_string(skb, QKD_A_WG_MESSAGE, wg->message)) ||
	    put_u64(skb, QKD_A_WG_INSTALLED, wg->installed) ||
	    put_u64(skb, QKD_A_WG_CONFIRMS, wg->confirms) ||
	    put_u64(skb, QKD_A_WG_FAILED, wg->failed) ||
	    put_u64(skb, QKD_A_WG_BLOCKS, wg->blocks))
		return -EMSGSIZE;
	return 0;
}

static int show(const struct qkd_wg *wg, void *arg)
{
	return fill(arg, wg);
}

int qkd_nl_wg_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct net *net = qkd_nl_admin_net(skb, info);
	struct qkd_wg_name name;
	struct sk_buff *reply;
	void *hdr;
	int err;

	if (IS_ERR(net))
		return PTR_ERR(net);
	err = parse_name(info, &name);
	if (err)
		return err;
	reply = qkd_nl_reply_new(info, &hdr);
	if (!reply)
		return -ENOMEM;
	err = qkd_wg_show(net, &name, show, reply);
	if (err) {
		nlmsg_free(reply);
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[QKD_A_WG_PEER],
				    "the peer's keys come from no link");
		return err;
	}
	genlmsg_end(reply, hdr);
	return genlmsg_reply(reply, info);
}

/**
 * struct wg_dumping - a step of a dump
 * @skb: its message
 * @cb: the dump
 */
struct wg_dumping {
	struct sk_buff *skb;
	struct netlink_callback *cb;
};

static int dump_peer(const struct qkd_binding *b, void *arg)
{
	const struct wg_dumping *d = arg;
	void *hdr = genlmsg_put(d->skb, NETLINK_CB(d->cb->skb).portid,
				d->cb->nlh->nlmsg_seq, &qkd_nl_family, NLM_F_MULTI,
				QKD_CMD_WG_DUMP);

	if (!hdr)
		return -EMSGSIZE;
	if (fill(d->skb, to_qkd_wg(b))) {
		genlmsg_cancel(d->skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(d->skb, hdr);
	return 0;
}

/* Goes on at the peer whose number is in cb->ctx. */
int qkd_nl_wg_dump_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct wg_dumping d = { .skb = skb, .cb = cb };
	u64 *number = (u64 *)cb->ctx;
	int err;

	err = qkd_nl_admin(cb->skb, cb->extack) ?: qkd_nl_dump_plain(cb);
	if (err)
		return err;
	err = qkd_wg_walk(sock_net(cb->skb->sk), number, dump_peer, &d);
	if (!err)
		*number = U64_MAX;
	return err && !skb->len ? err : skb->len;
}
