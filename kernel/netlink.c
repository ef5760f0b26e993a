// SPDX-License-Identifier: GPL-2.0-only
/*
 * The generic netlink family: what its handlers share, and the operations
 * of a link's daemon on generations and blocks.
 *
 * Handlers run under genl's cb_lock and nothing else (the family is
 * parallel_ops). So none of them sends netlink requests, waits for a worker,
 * or loads a module that registers a family: each would deadlock with a
 * writer of cb_lock. No message carries bytes of key out of the kernel, since
 * replies are copied to nlmon and freed unwiped.
 */
#include <linux/capability.h>
#include <linux/user_namespace.h>

#include "netlink.h"

/* qkd_nl_link() reads the same two attributes in every set. */
static_assert(QKD_A_LINK_INDEX == 1 && QKD_A_LINK_NAME == 2);
static_assert(QKD_A_GEN_LINK_INDEX == 1 && QKD_A_GEN_LINK_NAME == 2);
static_assert(QKD_A_BLOCK_LINK_INDEX == 1 && QKD_A_BLOCK_LINK_NAME == 2);
static_assert(QKD_A_KEY_LINK_INDEX == 1 && QKD_A_KEY_LINK_NAME == 2);
static_assert(QKD_A_ESP_LINK_INDEX == 1 && QKD_A_ESP_LINK_NAME == 2);
static_assert(QKD_A_MACSEC_LINK_INDEX == 1 && QKD_A_MACSEC_LINK_NAME == 2);

/**
 * qkd_nl_admin - refuse a request without CAP_NET_ADMIN
 * @skb: the request
 * @extack: takes the message
 *
 * The capability counts in the user namespace that owns the socket's network
 * namespace: links of a container are its own root's business. (The spec's
 * admin-perm would ask for the initial user namespace.)
 *
 * Return: 0 or -EPERM.
 */
int qkd_nl_admin(struct sk_buff *skb, struct netlink_ext_ack *extack)
{
	struct net *net = sock_net(skb->sk);

	if (netlink_ns_capable(skb, net->user_ns, CAP_NET_ADMIN))
		return 0;
	NL_SET_ERR_MSG(extack,
		       "needs CAP_NET_ADMIN over the network namespace");
	return -EPERM;
}

/**
 * qkd_nl_dump_plain - refuse attributes in a dump's request
 * @cb: the dump
 *
 * Dumps have no policy, so genl ignores attributes. A filter that a later
 * kernel may know must not be answered with everything.
 *
 * Return: 0 or -EINVAL.
 */
int qkd_nl_dump_plain(struct netlink_callback *cb)
{
	if (!nlmsg_attrlen(cb->nlh, GENL_HDRLEN))
		return 0;
	NL_SET_ERR_MSG(cb->extack, "a dump takes no attributes");
	return -EINVAL;
}

/**
 * qkd_nl_has - check that a request has an attribute
 * @info: the request
 * @type: the attribute
 *
 * Return: false, with the message and the missing attribute's type set, if it
 * has not.
 */
bool qkd_nl_has(struct genl_info *info, u32 type)
{
	if (!GENL_REQ_ATTR_CHECK(info, type))
		return true;
	NL_SET_ERR_MSG(info->extack, "a required attribute is missing");
	return false;
}

/**
 * qkd_nl_blame - say which attribute the core refused
 * @info: the request
 * @type: the attribute; ignored if another one was named already
 */
void qkd_nl_blame(struct genl_info *info, u32 type)
{
	if (!info->extack->bad_attr)
		NL_SET_BAD_ATTR(info->extack, info->attrs[type]);
}

/**
 * qkd_nl_link - find the link that a request names
 * @info: a request with attributes of any set but events
 *
 * By index, by name, or by both if they agree; in the socket's network
 * namespace alone.
 *
 * Return: counted reference, -ENODEV if there is no such link, -EINVAL if the
 * request names none or two.
 */
struct qkd_link *qkd_nl_link(struct genl_info *info)
{
	struct nlattr *index = info->attrs[QKD_A_LINK_INDEX];
	struct nlattr *name = info->attrs[QKD_A_LINK_NAME];
	struct net *net = genl_info_net(info);
	struct qkd_link *link;

	if (!index && !name) {
		GENL_REQ_ATTR_CHECK(info, QKD_A_LINK_NAME);
		NL_SET_ERR_MSG(info->extack, "neither link name nor index");
		return ERR_PTR(-EINVAL);
	}
	if (name && !*(const char *)nla_data(name)) {
		NL_SET_ERR_MSG_ATTR(info->extack, name, "link name is empty");
		return ERR_PTR(-EINVAL);
	}
	if (index)
		link = qkd_link_get_by_index(net, nla_get_u32(index));
	else
		link = qkd_link_get_by_name(net, nla_data(name));
	if (!link) {
		NL_SET_ERR_MSG_ATTR(info->extack, index ?: name,
				    "no such link in this network namespace");
		return ERR_PTR(-ENODEV);
	}
	if (name && nla_strcmp(name, link->cfg.name)) {
		NL_SET_ERR_MSG_ATTR(info->extack, name,
				    "link name and index are of two links");
		qkd_link_put(link);
		return ERR_PTR(-EINVAL);
	}
	return link;
}

/**
 * qkd_nl_admin_link - the link that an administrator's request names
 * @skb: request
 * @info: request
 *
 * Return: a counted reference, or ERR_PTR as of qkd_nl_admin(), qkd_nl_link().
 */
struct qkd_link *qkd_nl_admin_link(struct sk_buff *skb, struct genl_info *info)
{
	int err = qkd_nl_admin(skb, info->extack);

	return err ? ERR_PTR(err) : qkd_nl_link(info);
}

/**
 * qkd_nl_admin_net - the namespace of an administrator's request
 * @skb: request
 * @info: request
 *
 * Return: the namespace, which lives as long as the request, or ERR_PTR as of
 * qkd_nl_admin().
 */
struct net *qkd_nl_admin_net(struct sk_buff *skb, struct genl_info *info)
{
	int err = qkd_nl_admin(skb, info->extack);

	return err ? ERR_PTR(err) : genl_info_net(info);
}

/**
 * qkd_nl_reply_new - begin the reply to a request
 * @info: the request
 * @hdr: takes the header, for genlmsg_end()
 *
 * Return: the message or NULL.
 */
struct sk_buff *qkd_nl_reply_new(struct genl_info *info, void **hdr)
{
	struct sk_buff *reply = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);

	if (!reply)
		return NULL;
	*hdr = genlmsg_put_reply(reply, info, &qkd_nl_family, 0,
				 info->genlhdr->cmd);
	if (*hdr)
		return reply;
	nlmsg_free(reply);
	return NULL;
}

/**
 * qkd_nl_answer - make the reply to a request and send it
 * @link: whose reference goes, or ERR_PTR
 * @info: request
 * @fill: writes the attributes; says why if it cannot
 *
 * There is a reply before @fill changes anything: nothing may fail after it.
 *
 * Return: 0, @link's error, -ENOMEM, or what @fill returned.
 */
int qkd_nl_answer(struct qkd_link *link, struct genl_info *info,
		  int (*fill)(struct qkd_link *link, struct genl_info *info,
			      struct sk_buff *reply))
{
	struct sk_buff *reply;
	int err = -ENOMEM;
	void *hdr;

	if (IS_ERR(link))
		return PTR_ERR(link);
	reply = qkd_nl_reply_new(info, &hdr);
	if (!reply)
		goto put_link;
	err = fill(link, info, reply);
	if (err) {
		nlmsg_free(reply);
		goto put_link;
	}
	genlmsg_end(reply, hdr);
	err = genlmsg_reply(reply, info);
put_link:
	qkd_link_put(link);
	return err;
}

/* The link of a request that only the daemon of such a link may make. */
static struct qkd_link *daemon_link(struct sk_buff *skb, struct genl_info *info)
{
	struct qkd_link *link = qkd_nl_admin_link(skb, info);

	if (IS_ERR(link) || link->ops->user_supply)
		return link;
	NL_SET_ERR_MSG(info->extack,
		       "the link's driver runs its generations and blocks");
	qkd_link_put(link);
	return ERR_PTR(-EOPNOTSUPP);
}

static int gen_capacity(struct genl_info *info, u32 type, u64 max, u32 step,
			u64 *capacity)
{
	const struct nlattr *attr = info->attrs[type];

	if (!qkd_nl_has(info, type))
		return -EINVAL;
	*capacity = nla_get_u64(attr);
	if (*capacity >= QKD_CAPACITY_MIN && *capacity <= max &&
	    *capacity % step == 0)
		return 0;
	NL_SET_ERR_MSG_ATTR(info->extack, attr,
			    "the peer's capacity is out of range or no multiple of the step");
	return -ERANGE;
}

static int gen_begin_parse(struct genl_info *info, struct qkd_gen_params *p)
{
	struct nlattr **attrs = info->attrs;
	int err;

	if (!qkd_nl_has(info, QKD_A_GEN_LABEL) ||
	    !qkd_nl_has(info, QKD_A_GEN_GENERATION) ||
	    !qkd_nl_has(info, QKD_A_GEN_HASH) ||
	    !qkd_nl_has(info, QKD_A_GEN_PEER_ROLE))
		return -EINVAL;
	p->label = nla_get_u32(attrs[QKD_A_GEN_LABEL]);
	nla_memcpy(p->id, attrs[QKD_A_GEN_GENERATION], sizeof(p->id));
	nla_memcpy(p->hash, attrs[QKD_A_GEN_HASH], sizeof(p->hash));
	p->peer_role = nla_get_u32(attrs[QKD_A_GEN_PEER_ROLE]);
	err = gen_capacity(info, QKD_A_GEN_PAD_CAPACITY, QKD_PAD_CAPACITY_MAX,
			   QKD_PAD_GRANULE, &p->capacity[QKD_PAD]);
	if (err)
		return err;
	return gen_capacity(info, QKD_A_GEN_KEY_CAPACITY, QKD_KEY_CAPACITY_MAX,
			    QKD_KEY_UNIT, &p->capacity[QKD_KEY]);
}

static u32 gen_begin_culprit(const struct qkd_link *link,
			     const struct qkd_gen_params *p, int err)
{
	if (err == -EPROTO)
		return p->peer_role == link->cfg.role ? QKD_A_GEN_PEER_ROLE :
							QKD_A_GEN_HASH;
	if (err == -EINVAL &&
	    p->label == qkd_label_next(READ_ONCE(link->last_label)))
		return QKD_A_GEN_GENERATION;
	return QKD_A_GEN_LABEL;
}

int qkd_nl_gen_begin_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct qkd_gen_params p = {};
	struct qkd_link *link;
	int err;

	link = daemon_link(skb, info);
	if (IS_ERR(link))
		return PTR_ERR(link);
	err = gen_begin_parse(info, &p);
	if (err)
		goto put_link;
	err = qkd_link_gen_begin(link, &p, info->extack);
	if (err == -ENODEV)
		NL_SET_ERR_MSG(info->extack, "the link is being deleted");
	else if (err)
		qkd_nl_blame(info, gen_begin_culprit(link, &p, err));
put_link:
	qkd_link_put(link);
	return err;
}

/* The generation that is opened must be the one that the handshake agreed. */
static int gen_open(struct qkd_link *link, struct genl_info *info)
{
	const struct nlattr *id = info->attrs[QKD_A_GEN_GENERATION];
	const struct qkd_gen *gen;
	bool same;
	int err;

	if (!qkd_nl_has(info, QKD_A_GEN_LABEL) ||
	    !qkd_nl_has(info, QKD_A_GEN_GENERATION))
		return -EINVAL;
	rcu_read_lock();
	gen = rcu_dereference(link->gen);
	same = gen && !memcmp(gen->id, nla_data(id), sizeof(gen->id));
	rcu_read_unlock();
	if (!same) {
		NL_SET_ERR_MSG_ATTR(info->extack, id,
				    "not the link's generation");
		return -ESTALE;
	}
	err = qkd_link_gen_open(link, nla_get_u32(info->attrs[QKD_A_GEN_LABEL]),
				info->extack);
	if (err == -ESTALE)
		NL_SET_ERR_MSG(info->extack,
			       "the label is of another generation");
	if (err)
		qkd_nl_blame(info, QKD_A_GEN_LABEL);
	return err;
}

int qkd_nl_gen_open_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct qkd_link *link;
	int err;

	link = daemon_link(skb, info);
	if (IS_ERR(link))
		return PTR_ERR(link);
	err = gen_open(link, info);
	qkd_link_put(link);
	return err;
}

static int gen_end(struct qkd_link *link, struct genl_info *info)
{
	const struct nlattr *attr = info->attrs[QKD_A_GEN_REASON];
	u32 reason = attr ? nla_get_u32(attr) : QKD_REASON_PEER;
	int err;

	switch (reason) {
	case QKD_REASON_ROLE_CLASH:
	case QKD_REASON_MISMATCH:
	case QKD_REASON_QBER:
	case QKD_REASON_STALE:
	case QKD_REASON_PEER:
		break;
	default:
		NL_SET_ERR_MSG_ATTR(info->extack, attr,
				    "not a reason that a peer can give");
		return -EINVAL;
	}
	if (!qkd_nl_has(info, QKD_A_GEN_LABEL))
		return -EINVAL;
	err = qkd_link_gen_end(link, nla_get_u32(info->attrs[QKD_A_GEN_LABEL]),
			       reason);
	if (err)
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[QKD_A_GEN_LABEL],
				    "the link has no generation of this label");
	return err;
}

int qkd_nl_gen_end_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct qkd_link *link;
	int err;

	link = daemon_link(skb, info);
	if (IS_ERR(link))
		return PTR_ERR(link);
	err = gen_end(link, info);
	qkd_link_put(link);
	return err;
}

static bool block_is_named(struct genl_info *info)
{
	return qkd_nl_has(info, QKD_A_BLOCK_LABEL) &&
	       qkd_nl_has(info, QKD_A_BLOCK_STREAM) &&
	       qkd_nl_has(info, QKD_A_BLOCK_OFFSET) &&
	       qkd_nl_has(info, QKD_A_BLOCK_LENGTH);
}

static u32 block_culprit(struct genl_info *info, int err)
{
	switch (err) {
	case -ENOENT:
		return QKD_A_BLOCK_OFFSET;
	case -EOPNOTSUPP:
		return QKD_A_BLOCK_STREAM;
	case -EINVAL:
		return info->attrs[QKD_A_BLOCK_TAG] ? QKD_A_BLOCK_TAG :
						      QKD_A_BLOCK_VERDICT;
	default:
		return QKD_A_BLOCK_LABEL;
	}
}

static int block_tag(struct qkd_link *link, struct genl_info *info,
		     struct sk_buff *reply)
{
	struct nlattr **attrs = info->attrs;
	u8 tag[QKD_TAG_LEN];
	int err;

	if (!block_is_named(info))
		return -EINVAL;
	err = qkd_link_block_tag(link, nla_get_u32(attrs[QKD_A_BLOCK_LABEL]),
				 nla_get_u32(attrs[QKD_A_BLOCK_STREAM]),
				 nla_get_u64(attrs[QKD_A_BLOCK_OFFSET]),
				 nla_get_u32(attrs[QKD_A_BLOCK_LENGTH]),
				 tag, info->extack);
	if (err) {
		qkd_nl_blame(info, block_culprit(info, err));
		return err;
	}
	return nla_put(reply, QKD_A_BLOCK_TAG, sizeof(tag), tag);
}

static int block_confirm(struct qkd_link *link, struct genl_info *info,
			 struct sk_buff *reply)
{
	const struct nlattr *given = info->attrs[QKD_A_BLOCK_VERDICT];
	const struct nlattr *tag = info->attrs[QKD_A_BLOCK_TAG];
	struct nlattr **attrs = info->attrs;
	u32 verdict = given ? nla_get_u32(given) : 0;
	int err;

	if (!block_is_named(info))
		return -EINVAL;
	if (!tag && !given) {
		GENL_REQ_ATTR_CHECK(info, QKD_A_BLOCK_TAG);
		NL_SET_ERR_MSG(info->extack, "neither tag nor verdict");
		return -EINVAL;
	}
	if (tag && given) {
		NL_SET_ERR_MSG_ATTR(info->extack, given,
				    "the verdict on a tag is the kernel's");
		return -EINVAL;
	}
	err = qkd_link_block_confirm(link,
				     nla_get_u32(attrs[QKD_A_BLOCK_LABEL]),
				     nla_get_u32(attrs[QKD_A_BLOCK_STREAM]),
				     nla_get_u64(attrs[QKD_A_BLOCK_OFFSET]),
				     nla_get_u32(attrs[QKD_A_BLOCK_LENGTH]),
				     tag ? nla_data(tag) : NULL, &verdict,
				     info->extack);
	if (err) {
		qkd_nl_blame(info, block_culprit(info, err));
		return err;
	}
	return nla_put_u32(reply, QKD_A_BLOCK_VERDICT, verdict);
}

static int put_waiting(u64 offset, u32 length, u32 verdict, void *arg)
{
	struct sk_buff *reply = arg;
	struct nlattr *nest = nla_nest_start(reply, QKD_A_BLOCK_WAITING);

	if (!nest ||
	    nla_put_u64_64bit(reply, QKD_A_WAITING_OFFSET, offset,
			      QKD_A_WAITING_PAD) ||
	    nla_put_u32(reply, QKD_A_WAITING_LENGTH, length) ||
	    (verdict && nla_put_u32(reply, QKD_A_WAITING_VERDICT, verdict)))
		return -EMSGSIZE;
	nla_nest_end(reply, nest);
	return 0;
}

static int block_get(struct qkd_link *link, struct genl_info *info,
		     struct sk_buff *reply)
{
	struct nlattr **attrs = info->attrs;
	int err;

	if (!qkd_nl_has(info, QKD_A_BLOCK_LABEL) ||
	    !qkd_nl_has(info, QKD_A_BLOCK_STREAM))
		return -EINVAL;
	err = qkd_link_block_walk(link, nla_get_u32(attrs[QKD_A_BLOCK_LABEL]),
				  nla_get_u32(attrs[QKD_A_BLOCK_STREAM]),
				  put_waiting, reply, info->extack);
	if (err)
		qkd_nl_blame(info, QKD_A_BLOCK_LABEL);
	return err;
}

static int block_compare(struct qkd_link *link, struct genl_info *info,
			 struct sk_buff *reply)
{
	struct nlattr **attrs = info->attrs;
	u32 verdict;
	int err;

	if (!block_is_named(info) || !qkd_nl_has(info, QKD_A_BLOCK_TAG))
		return -EINVAL;
	err = qkd_link_block_compare(link,
				     nla_get_u32(attrs[QKD_A_BLOCK_LABEL]),
				     nla_get_u32(attrs[QKD_A_BLOCK_STREAM]),
				     nla_get_u64(attrs[QKD_A_BLOCK_OFFSET]),
				     nla_get_u32(attrs[QKD_A_BLOCK_LENGTH]),
				     nla_data(attrs[QKD_A_BLOCK_TAG]), &verdict,
				     info->extack);
	if (err) {
		qkd_nl_blame(info, block_culprit(info, err));
		return err;
	}
	return nla_put_u32(reply, QKD_A_BLOCK_VERDICT, verdict);
}

int qkd_nl_block_tag_doit(struct sk_buff *skb, struct genl_info *info)
{
	return qkd_nl_answer(daemon_link(skb, info), info, block_tag);
}

int qkd_nl_block_confirm_doit(struct sk_buff *skb, struct genl_info *info)
{
	return qkd_nl_answer(daemon_link(skb, info), info, block_confirm);
}

int qkd_nl_block_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	return qkd_nl_answer(daemon_link(skb, info), info, block_get);
}

int qkd_nl_block_compare_doit(struct sk_buff *skb, struct genl_info *info)
{
	return qkd_nl_answer(daemon_link(skb, info), info, block_compare);
}

/* The generated table has no flags: events tell of traffic and key spent. */
static const struct genl_multicast_group netlink_mcgrps[] = {
	[QKD_NLGRP_EVENTS] = {
		.name = QKD_MCGRP_EVENTS,
		.flags = GENL_MCAST_CAP_NET_ADMIN,
	},
};

/**
 * qkd_netlink_init - register the family
 *
 * The last step of the module's initialisation: requests come at once.
 *
 * Return: 0 or an errno.
 */
int __init qkd_netlink_init(void)
{
	int err;

	err = qkd_nl_owners_init();
	if (err)
		return err;
	qkd_nl_family.mcgrps = netlink_mcgrps;
	qkd_nl_family.n_mcgrps = ARRAY_SIZE(netlink_mcgrps);
	err = genl_register_family(&qkd_nl_family);
	if (err)
		qkd_nl_owners_exit();
	return err;
}

/**
 * qkd_netlink_exit - unregister the family
 *
 * Requests that run come to their end first.
 */
void qkd_netlink_exit(void)
{
	genl_unregister_family(&qkd_nl_family);
	qkd_nl_owners_exit();
}
