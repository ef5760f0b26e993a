// SPDX-License-Identifier: GPL-2.0-only
/*
 * The operations on keys, and status. They return key IDs and handles; the
 * bytes leave by the character device.
 *
 * A handle belongs to the socket that asked for it and goes when that closes.
 */
#include <linux/notifier.h>
#include <linux/xarray.h>
#include <net/netns/generic.h>

#include "netlink.h"

/**
 * struct owners - sockets of a namespace that may own handles
 * @sockets: a value at each socket's port ID, so that closing any other socket
 *	costs nothing
 */
struct owners {
	struct xarray sockets;
};

static unsigned int owners_id;

static struct owners *net_owners(const struct net *net)
{
	return net_generic(net, owners_id);
}

/* Before the first handle: from now on, closing the socket releases them. */
static int owner_begin(struct genl_info *info, struct qkd_owner *owner)
{
	struct owners *owners = net_owners(genl_info_net(info));

	owner->net = genl_info_net(info);
	owner->portid = info->snd_portid;
	owner->file = NULL;
	if (xa_load(&owners->sockets, owner->portid))
		return 0;
	return xa_err(xa_store(&owners->sockets, owner->portid,
			       xa_mk_value(1), GFP_KERNEL));
}

static void release_on_link(struct qkd_link *link, const void *owner)
{
	qkd_key_release_owner(link, owner);
}

/*
 * No request of the socket can be under way: it holds the socket's file, and
 * this runs when the last reference to that has gone.
 */
static int owner_notify(struct notifier_block *nb, unsigned long event,
			void *data)
{
	struct netlink_notify *notify = data;
	struct qkd_owner owner = {
		.net = notify->net,
		.portid = notify->portid,
	};

	if (event != NETLINK_URELEASE || notify->protocol != NETLINK_GENERIC)
		return NOTIFY_DONE;
	if (xa_erase(&net_owners(notify->net)->sockets, owner.portid))
		qkd_links_for_each(notify->net, release_on_link, &owner);
	return NOTIFY_DONE;
}

static struct notifier_block owner_notifier = {
	.notifier_call = owner_notify,
};

static int __net_init owners_net_init(struct net *net)
{
	xa_init_flags(&net_owners(net)->sockets, XA_FLAGS_ACCOUNT);
	return 0;
}

static void __net_exit owners_net_exit(struct net *net)
{
	xa_destroy(&net_owners(net)->sockets);
}

static struct pernet_operations owners_net_ops = {
	.init = owners_net_init,
	.exit = owners_net_exit,
	.id = &owners_id,
	.size = sizeof(struct owners),
};

/**
 * qkd_nl_owners_init - watch for sockets that close
 *
 * Return: 0 or an errno.
 */
int __init qkd_nl_owners_init(void)
{
	int err;

	err = register_pernet_subsys(&owners_net_ops);
	if (err)
		return err;
	err = netlink_register_notifier(&owner_notifier);
	if (err)
		unregister_pernet_subsys(&owners_net_ops);
	return err;
}

/**
 * qkd_nl_owners_exit - the reverse
 */
void qkd_nl_owners_exit(void)
{
	netlink_unregister_notifier(&owner_notifier);
	unregister_pernet_subsys(&owners_net_ops);
}

/* Says what a key operation's errno means. */
static int key_refused(struct genl_info *info, const struct nlattr *attr,
		       int err)
{
	const char *why = qkd_key_error(err);

	if (why)
		info->extack->_msg = why;
	if (why && err != -ENETDOWN && err != -ENODEV)
		NL_SET_BAD_ATTR(info->extack, attr);
	return err;
}

static int check_class(struct qkd_link *link, struct genl_info *info,
		       const struct nlattr *attr, u32 class)
{
	int err;

	if (class == QKD_CLASS_REKEY) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr,
				    "keys of class rekey never leave the kernel");
		return -EACCES;
	}
	err = qkd_key_may_leave(link, class);
	return err ? key_refused(info, attr, err) : 0;
}

static int parse_context(struct genl_info *info, struct qkd_key_context *ctx)
{
	const struct nlattr *type = info->attrs[QKD_A_KEY_CONTEXT_TYPE];
	const struct nlattr *data = info->attrs[QKD_A_KEY_CONTEXT];

	if (type)
		ctx->type = nla_get_u32(type);
	if (!data)
		return 0;
	if (!type) {
		GENL_REQ_ATTR_CHECK(info, QKD_A_KEY_CONTEXT_TYPE);
		NL_SET_ERR_MSG(info->extack, "a context needs its type");
		return -EINVAL;
	}
	if (nla_len(data) > QKD_CONTEXT_LEN) {
		NL_SET_ERR_MSG_ATTR(info->extack, data,
				    "context is longer than 255 bytes");
		return -EMSGSIZE;
	}
	ctx->data = nla_data(data);
	ctx->len = nla_len(data);
	return 0;
}

static int put_issued(struct sk_buff *skb, const struct qkd_issued *issued)
{
	struct nlattr *nest = nla_nest_start(skb, QKD_A_KEY_ISSUED);

	if (!nest ||
	    nla_put(skb, QKD_A_ISSUED_ID, sizeof(issued->id), issued->id) ||
	    nla_put_u32(skb, QKD_A_ISSUED_HANDLE, issued->handle))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static void drop_keys(struct qkd_link *link, const u32 *handles, u32 count)
{
	while (count--)
		qkd_key_drop(link, handles[count]);
}

/*
 * Allocates up to @count keys. Since what was taken cannot be put back, a
 * shortage that comes up on the way shortens the answer.
 * Returns how many there are, or an errno and none.
 */
static int issue_keys(struct qkd_link *link, struct genl_info *info,
		      const struct qkd_key_context *ctx, u32 count,
		      struct sk_buff *reply, u32 *handles)
{
	u32 size = nla_get_u32(info->attrs[QKD_A_KEY_SIZE]);
	struct qkd_issued issued;
	struct qkd_owner owner;
	u32 i;
	int err;

	err = owner_begin(info, &owner);
	if (err)
		return err;
	for (i = 0; i < count; i++) {
		err = qkd_key_get(link, ctx, size, &owner, &issued);
		if (err)
			break;
		handles[i] = issued.handle;
		err = put_issued(reply, &issued);
		if (err) {
			drop_keys(link, handles, i + 1);
			return err;
		}
	}
	return i ? i : err;
}

/* Several keys are all there at first, or none is taken. */
static int check_supply(struct qkd_link *link, struct genl_info *info,
			u32 class, u32 size, u32 count)
{
	int err;

	if (count == 1)
		return 0;
	err = qkd_key_check_supply(link, class, size, count);
	if (!err)
		return 0;
	return key_refused(info, err == -ENOKEY ? info->attrs[QKD_A_KEY_COUNT] : NULL, err);
}

static int get_keys(struct qkd_link *link, struct genl_info *info,
		    struct sk_buff *reply, void *hdr)
{
	const struct nlattr *n = info->attrs[QKD_A_KEY_COUNT];
	u32 count = n ? nla_get_u32(n) : 1;
	struct qkd_key_context ctx = {};
	u32 handles[QKD_KEYS_PER_REQUEST];
	int err;

	if (!qkd_nl_has(info, QKD_A_KEY_CLASS) ||
	    !qkd_nl_has(info, QKD_A_KEY_SIZE))
		err = -EINVAL;
	else
		err = parse_context(info, &ctx);
	if (err)
		goto free_reply;
	ctx.class = nla_get_u32(info->attrs[QKD_A_KEY_CLASS]);
	err = check_class(link, info, info->attrs[QKD_A_KEY_CLASS], ctx.class);
	if (err)
		goto free_reply;
	err = check_supply(link, info, ctx.class,
			   nla_get_u32(info->attrs[QKD_A_KEY_SIZE]), count);
	if (err)
		goto free_reply;
	err = issue_keys(link, info, &ctx, count, reply, handles);
	if (err < 0) {
		key_refused(info, info->attrs[QKD_A_KEY_SIZE], err);
		goto free_reply;
	}
	count = err;
	genlmsg_end(reply, hdr);
	err = genlmsg_reply(reply, info);
	if (err)
		drop_keys(link, handles, count);
	return err;

free_reply:
	nlmsg_free(reply);
	return err;
}

/* Checks the class that an ID names, before anything is looked up. */
static int check_id(struct qkd_link *link, struct genl_info *info)
{
	const struct nlattr *attr = info->attrs[QKD_A_KEY_ID];
	struct qkd_key_id id;
	int err;

	if (!qkd_nl_has(info, QKD_A_KEY_ID))
		return -EINVAL;
	err = qkd_key_id_unpack(&id, nla_data(attr));
	if (err) {
		qkd_refuse(link, QKD_REFUSED_BAD_TAG);
		return key_refused(info, attr, err);
	}
	return check_class(link, info, attr, id.class);
}

static int peek(struct qkd_link *link, struct genl_info *info,
		struct qkd_issued *issued)
{
	const struct nlattr *size = info->attrs[QKD_A_KEY_SIZE];
	struct qkd_key_context ctx = {};
	struct qkd_owner owner;
	int err;

	err = check_id(link, info);
	if (err)
		return err;
	err = parse_context(info, &ctx);
	if (err)
		return err;
	err = owner_begin(info, &owner);
	if (err)
		return err;
	err = qkd_key_peek(link, nla_data(info->attrs[QKD_A_KEY_ID]), &ctx,
			   size ? nla_get_u32(size) : 0, &owner, issued);
	return err ? key_refused(info, info->attrs[QKD_A_KEY_ID], err) : 0;
}

static int reply_found(struct genl_info *info, struct sk_buff *reply, void *hdr,
		       const struct qkd_issued *issued)
{
	/* A new message has room for these four. */
	nla_put(reply, QKD_A_KEY_ID, sizeof(issued->id), issued->id);
	nla_put_u32(reply, QKD_A_KEY_CLASS, issued->class);
	nla_put_u32(reply, QKD_A_KEY_SIZE, issued->size);
	nla_put_u32(reply, QKD_A_KEY_HANDLE, issued->handle);
	genlmsg_end(reply, hdr);
	return genlmsg_reply(reply, info);
}

static int peek_by_id(struct qkd_link *link, struct genl_info *info,
		      struct sk_buff *reply, void *hdr)
{
	struct qkd_issued issued;
	int err;

	err = peek(link, info, &issued);
	if (err) {
		nlmsg_free(reply);
		return err;
	}
	err = reply_found(info, reply, hdr, &issued);
	if (err)
		qkd_key_drop(link, issued.handle);
	return err;
}

static int take_by_id(struct qkd_link *link, struct genl_info *info,
		      struct sk_buff *reply, void *hdr)
{
	struct qkd_issued issued;
	int err;

	err = peek(link, info, &issued);
	if (err)
		goto free_reply;
	err = qkd_key_commit(link, issued.handle);
	if (err) {
		key_refused(info, info->attrs[QKD_A_KEY_ID], err);
		goto free_reply;
	}
	err = reply_found(info, reply, hdr, &issued);
	if (err)
		qkd_key_drop(link, issued.handle);
	return err;

free_reply:
	nlmsg_free(reply);
	return err;
}

/* @fn consumes the reply. */
static int key_do(struct sk_buff *skb, struct genl_info *info,
		  int (*fn)(struct qkd_link *link, struct genl_info *info,
			    struct sk_buff *reply, void *hdr))
{
	struct qkd_link *link = qkd_nl_admin_link(skb, info);
	struct sk_buff *reply;
	void *hdr;
	int err;

	if (IS_ERR(link))
		return PTR_ERR(link);
	reply = qkd_nl_reply_new(info, &hdr);
	err = reply ? fn(link, info, reply, hdr) : -ENOMEM;
	qkd_link_put(link);
	return err;
}

int qkd_nl_key_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	return key_do(skb, info, get_keys);
}

int qkd_nl_key_peek_doit(struct sk_buff *skb, struct genl_info *info)
{
	return key_do(skb, info, peek_by_id);
}

int qkd_nl_key_get_by_id_doit(struct sk_buff *skb, struct genl_info *info)
{
	return key_do(skb, info, take_by_id);
}

static int handle_do(struct sk_buff *skb, struct genl_info *info,
		     int (*fn)(struct qkd_link *link, u32 handle))
{
	const struct nlattr *handle = info->attrs[QKD_A_KEY_HANDLE];
	struct qkd_link *link = qkd_nl_admin_link(skb, info);
	int err = -EINVAL;

	if (IS_ERR(link))
		return PTR_ERR(link);
	if (!qkd_nl_has(info, QKD_A_KEY_HANDLE))
		goto put_link;
	err = fn(link, nla_get_u32(handle));
	if (err)
		key_refused(info, handle, err);
put_link:
	qkd_link_put(link);
	return err;
}

int qkd_nl_key_commit_doit(struct sk_buff *skb, struct genl_info *info)
{
	return handle_do(skb, info, qkd_key_commit);
}

int qkd_nl_key_drop_doit(struct sk_buff *skb, struct genl_info *info)
{
	return handle_do(skb, info, qkd_key_drop);
}

static int key_status(struct qkd_link *link, struct genl_info *info,
		      struct sk_buff *reply)
{
	u32 class = nla_get_u32(info->attrs[QKD_A_KEY_CLASS]);
	u32 size = nla_get_u32(info->attrs[QKD_A_KEY_SIZE]);

	/* A new message has room for these three. */
	nla_put_u32(reply, QKD_A_KEY_CLASS, class);
	nla_put_u32(reply, QKD_A_KEY_SIZE, size);
	nla_put_u64_64bit(reply, QKD_A_KEY_AVAILABLE,
			  qkd_key_available(link, class, size), QKD_A_KEY_PAD);
	return 0;
}

/* Free to all: it tells less than link-get. */
int qkd_nl_status_doit(struct sk_buff *skb, struct genl_info *info)
{
	if (!qkd_nl_has(info, QKD_A_KEY_CLASS) ||
	    !qkd_nl_has(info, QKD_A_KEY_SIZE))
		return -EINVAL;
	return qkd_nl_answer(qkd_nl_link(info), info, key_status);
}
