// SPDX-License-Identifier: GPL-2.0-only
/*
 * Link type "emu": an emulated QKD link, for tests and demonstrations alone.
 * Its bytes come from a seed by a PRF (emu-gen.c), not from physics.
 *
 * (a) A pair: two ends in this kernel, each in a network namespace, as veth
 *     has them. (b) A single end per machine, from a seed that both share,
 *     with no channel between them. Documentation/emu.md says what each can
 *     show and what it cannot.
 *
 * Lifetime. A struct emu belongs to its ends: each registered link holds a
 * reference through its priv, dropped by the callback dellink, after which no
 * callback of that link runs. The core adds and deletes links one at a time,
 * so a pair is never seen half there; either end's deletion, by the operator
 * or since its namespace ends, deletes both. The work touches the links only
 * while ready is set, under emu->lock. The end that is unregistered last may
 * still queue it by resume, so it is cancelled when the last reference goes.
 */
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>

#include "emu.h"

struct workqueue_struct *emu_wq;

static const struct qkd_link_ops emu_ops;

static void emu_put(struct emu *emu)
{
	if (!refcount_dec_and_test(&emu->ref))
		return;
	cancel_delayed_work_sync(&emu->work);
	mutex_destroy(&emu->lock);
	kfree_sensitive(emu);
}

/*
 * Parameters that can be set when a link is added and later on. The family's
 * policy bounds those that are not checked here.
 */
static int parse_settings(struct nlattr **tb, struct emu_settings *set,
			  struct netlink_ext_ack *extack)
{
	if (tb[QKD_A_EMU_RATE]) {
		set->rate = nla_get_u64(tb[QKD_A_EMU_RATE]);
		if (!set->rate || set->rate > EMU_RATE_MAX) {
			NL_SET_ERR_MSG_ATTR(extack, tb[QKD_A_EMU_RATE],
					    "rate is 0 or above 100 Gbit/s");
			return -ERANGE;
		}
	}
	if (tb[QKD_A_EMU_PROTOCOL])
		set->protocol = nla_get_u32(tb[QKD_A_EMU_PROTOCOL]);
	if (tb[QKD_A_EMU_QBER])
		set->qber = nla_get_u32(tb[QKD_A_EMU_QBER]);
	if (tb[QKD_A_EMU_STOPPED])
		set->stopped = !!nla_get_u32(tb[QKD_A_EMU_STOPPED]);
	if (tb[QKD_A_EMU_FLIP])
		set->flip = nla_get_u32(tb[QKD_A_EMU_FLIP]);
	if (tb[QKD_A_EMU_LOSE])
		set->lose = nla_get_u32(tb[QKD_A_EMU_LOSE]);
	return 0;
}

/* The operator's work may run meanwhile: single words, each valid. */
static void apply_settings(struct emu *emu, const struct emu_settings *set)
{
	WRITE_ONCE(emu->set.rate, set->rate);
	WRITE_ONCE(emu->set.qber, set->qber);
	WRITE_ONCE(emu->set.protocol, set->protocol);
	WRITE_ONCE(emu->set.stopped, set->stopped);
	WRITE_ONCE(emu->set.flip, set->flip);
	WRITE_ONCE(emu->set.lose, set->lose);
}

/* Refuse those of @types (a list that ends in 0) that were given. */
static int refuse(struct nlattr **tb, const u8 *types, const char *msg,
		  struct netlink_ext_ack *extack)
{
	for (; *types; types++)
		if (tb[*types]) {
			NL_SET_BAD_ATTR(extack, tb[*types]);
			if (extack)
				extack->_msg = msg;
			return -EINVAL;
		}
	return 0;
}

static const u8 shown_only[] = {
	QKD_A_EMU_THRESHOLD, QKD_A_EMU_PEER_INDEX, QKD_A_EMU_BLOCK, 0
};

static const u8 pair_only[] = {
	QKD_A_EMU_FLIP, QKD_A_EMU_LOSE, QKD_A_EMU_PEER_NETNS_FD, 0
};

static const u8 single_only[] = { QKD_A_EMU_SEED, QKD_A_EMU_GEN, 0 };

static const u8 new_only[] = {
	QKD_A_EMU_SEED, QKD_A_EMU_PEER_NAME, QKD_A_EMU_PEER_NETNS_FD, 0
};

static int parse_nest(struct nlattr **tb, struct nlattr *data,
		      struct netlink_ext_ack *extack)
{
	int err;

	if (!data) {
		memset(tb, 0, sizeof(*tb) * (QKD_A_EMU_MAX + 1));
		return 0;
	}
	/* The family's policy was applied to the nest already. */
	err = nla_parse_nested(tb, QKD_A_EMU_MAX, data, NULL, extack);
	if (err)
		return err;
	return refuse(tb, shown_only, "this is only shown", extack);
}

static int parse_seed(struct emu *emu, struct nlattr **tb,
		      struct netlink_ext_ack *extack)
{
	const struct nlattr *seed = tb[QKD_A_EMU_SEED];
	const struct nlattr *gen = tb[QKD_A_EMU_GEN];

	if (!gen) {
		NL_SET_ERR_MSG_ATTR(extack, seed,
				    "a seed needs gen, a number that was not used with it before");
		return -EINVAL;
	}
	if (nla_len(seed) < EMU_SEED_MIN || nla_len(seed) > QKD_SEED_LEN) {
		NL_SET_ERR_MSG_ATTR(extack, seed,
				    "seed is shorter than 16 or longer than 64 bytes");
		return -EINVAL;
	}
	emu->seed_len = nla_len(seed);
	memcpy(emu->seed, nla_data(seed), emu->seed_len);
	emu->next_label = nla_get_u32(gen);
	return emu_gen_check(emu, emu->next_label, extack);
}

/* A single end proves nothing to its peer, so nothing is confirmed. */
static int init_single(struct emu *emu, struct qkd_link_config *cfg,
		       struct nlattr **tb, struct netlink_ext_ack *extack)
{
	int err;

	err = refuse(tb, pair_only, "only a pair has this", extack);
	if (err)
		return err;
	if (!cfg->role) {
		NL_SET_ERR_MSG(extack, "a single end needs a role, alice or bob");
		return -EINVAL;
	}
	emu->role = cfg->role;
	cfg->confirm = QKD_CONFIRM_NONE;
	return parse_seed(emu, tb, extack);
}

static int init_pair(struct emu *emu, struct qkd_link_config *cfg,
		     struct nlattr **tb, struct netlink_ext_ack *extack)
{
	int err;

	err = refuse(tb, single_only, "a pair makes its own", extack);
	if (err)
		return err;
	if (!cfg->role)
		cfg->role = QKD_ROLE_ALICE;
	emu->pair = true;
	emu->role = cfg->role;
	emu->seed_len = QKD_HASH_LEN;
	get_random_bytes(emu->seed, emu->seed_len);
	if (cfg->confirm == QKD_CONFIRM_TAG)
		emu->s_len = QKD_TAG_LEN;
	return 0;
}

static int init_kind(struct emu *emu, struct qkd_link_config *cfg,
		     struct nlattr **tb, struct netlink_ext_ack *extack)
{
	if (*cfg->id || *cfg->peer_id) {
		NL_SET_ERR_MSG(extack,
			       "an emulated link makes its own identities");
		return -EINVAL;
	}
	if (tb[QKD_A_EMU_PEER_NAME])
		return init_pair(emu, cfg, tb, extack);
	if (tb[QKD_A_EMU_SEED])
		return init_single(emu, cfg, tb, extack);
	NL_SET_ERR_MSG(extack,
		       "needs the peer's name (a pair), or a seed and gen (a single end)");
	return -EINVAL;
}

static struct emu *emu_new(struct qkd_link_config *cfg, struct nlattr **tb,
			   struct netlink_ext_ack *extack)
{
	struct emu *emu;
	int err;

	emu = kzalloc(sizeof(*emu), GFP_KERNEL_ACCOUNT);
	if (!emu)
		return ERR_PTR(-ENOMEM);
	refcount_set(&emu->ref, 1);
	mutex_init(&emu->lock);
	INIT_DELAYED_WORK(&emu->work, emu_work);
	emu->set.rate = EMU_RATE_DEFAULT;
	emu->set.protocol = QKD_EMU_PROTOCOL_BB84;
	emu->capacity[0] = cfg->capacity[0];
	emu->capacity[1] = cfg->capacity[1];
	err = init_kind(emu, cfg, tb, extack);
	if (!err)
		err = parse_settings(tb, &emu->set, extack);
	if (!err)
		return emu;
	emu_put(emu);
	return ERR_PTR(err);
}

/* Add one end; its name is in @cfg. */
static int add_end(struct emu *emu, struct net *net, struct qkd_link_config *cfg,
		   u32 role, struct netlink_ext_ack *extack)
{
	u32 peer = role == QKD_ROLE_ALICE ? QKD_ROLE_BOB : QKD_ROLE_ALICE;
	struct qkd_link *link;

	cfg->role = role;
	emu_identity(emu, role, cfg->id, sizeof(cfg->id));
	emu_identity(emu, peer, cfg->peer_id, sizeof(cfg->peer_id));
	refcount_inc(&emu->ref);
	link = qkd_link_register(net, &emu_ops, cfg, emu, extack);
	if (IS_ERR(link)) {
		refcount_dec(&emu->ref);
		return PTR_ERR(link);
	}
	emu->link[role - 1] = link;
	WRITE_ONCE(emu->index[role - 1], qkd_link_index(link));
	return 0;
}

/* The caller holds a reference of @emu. */
static void remove_ends(struct emu *emu)
{
	int i;

	mutex_lock(&emu->lock);
	emu->ready = false;
	mutex_unlock(&emu->lock);
	for (i = 0; i < EMU_ENDS; i++)
		if (emu->link[i])
			qkd_link_unregister(emu->link[i]);
}

static int add_peer(struct emu *emu, struct net *net,
		    const struct qkd_link_config *cfg, const struct nlattr *name,
		    struct netlink_ext_ack *extack)
{
	struct qkd_link_config peer = *cfg;
	int err;

	nla_strscpy(peer.name, name, sizeof(peer.name));
	err = add_end(emu, net, &peer,
		      cfg->role == QKD_ROLE_ALICE ? QKD_ROLE_BOB :
						    QKD_ROLE_ALICE, extack);
	if (err)
		NL_SET_BAD_ATTR(extack, name);
	return err;
}

static int start(struct emu *emu, struct netlink_ext_ack *extack)
{
	int err;

	mutex_lock(&emu->lock);
	emu->ready = true;
	err = emu_gen_begin(emu, emu->role - 1, extack);
	if (!err)
		emu_kick(emu, 0);
	mutex_unlock(&emu->lock);
	return err;
}

/*
 * Namespace of the peer, counted. As for veth, adding a link there takes
 * CAP_NET_ADMIN there.
 */
static struct net *peer_net(struct net *net, const struct nlattr *fd,
			    struct sk_buff *skb, struct netlink_ext_ack *extack)
{
	struct net *peer;

	if (!fd)
		return get_net(net);
	peer = get_net_ns_by_fd(nla_get_u32(fd));
	if (IS_ERR(peer)) {
		NL_SET_ERR_MSG_ATTR(extack, fd, "not a network namespace");
		return peer;
	}
	if (netlink_ns_capable(skb, peer->user_ns, CAP_NET_ADMIN))
		return peer;
	put_net(peer);
	NL_SET_ERR_MSG_ATTR(extack, fd,
			    "no CAP_NET_ADMIN in the peer's namespace");
	return ERR_PTR(-EPERM);
}

/* Returns the first end's index. */
static int add_ends(struct emu *emu, struct net *net, struct net *other,
		    struct qkd_link_config *cfg, struct nlattr **tb,
		    struct netlink_ext_ack *extack)
{
	int err;

	err = add_end(emu, net, cfg, emu->role, extack);
	if (!err && emu->pair)
		err = add_peer(emu, other, cfg, tb[QKD_A_EMU_PEER_NAME], extack);
	if (!err)
		err = start(emu, extack);
	if (err)
		remove_ends(emu);
	return err ?: emu->index[emu->role - 1];
}

static int emu_newlink(struct net *net, struct qkd_link_config *cfg,
		       struct nlattr *data, struct sk_buff *skb,
		       struct netlink_ext_ack *extack)
{
	struct nlattr *tb[QKD_A_EMU_MAX + 1];
	struct net *other;
	struct emu *emu;
	int err;

	err = parse_nest(tb, data, extack);
	if (err)
		return err;
	emu = emu_new(cfg, tb, extack);
	if (IS_ERR(emu))
		return PTR_ERR(emu);
	other = peer_net(net, tb[QKD_A_EMU_PEER_NETNS_FD], skb, extack);
	err = PTR_ERR_OR_ZERO(other);
	if (!err) {
		err = add_ends(emu, net, other, cfg, tb, extack);
		put_net(other);
	}
	emu_put(emu);
	return err;
}

/* An end is deleted, and with it the other. */
static void emu_delete(struct qkd_link *link)
{
	struct emu *emu = qkd_link_priv(link);

	refcount_inc(&emu->ref);
	remove_ends(emu);
	emu_put(emu);
}

static void emu_dellink(struct qkd_link *link)
{
	emu_put(qkd_link_priv(link));
}

/*
 * The operator wants an end up. If the pair's other end is down, this one
 * waits for that, as a network device waits for its carrier.
 */
static int emu_begin(struct qkd_link *link, struct netlink_ext_ack *extack)
{
	struct emu *emu = qkd_link_priv(link);
	int err = 0;

	mutex_lock(&emu->lock);
	if (!emu->ready)
		err = -ENODEV;
	else if (!emu_gen_is_live(emu))
		err = emu_gen_begin(emu, emu->link[1] == link, extack);
	emu_kick(emu, 0);
	mutex_unlock(&emu->lock);
	if (err != -ENETDOWN || !emu->pair)
		return err;
	if (extack)
		extack->_msg = NULL;
	return 0;
}

static void emu_ended(struct qkd_link *link, u32 reason)
{
	struct emu *emu = qkd_link_priv(link);

	set_bit(EMU_ENDED, &emu->flags);
	emu_kick(emu, 0);
}

static void emu_resume(struct qkd_link *link)
{
	struct emu *emu = qkd_link_priv(link);

	if (test_bit(EMU_WAKE, &emu->flags) &&
	    test_and_clear_bit(EMU_WAKE, &emu->flags))
		emu_kick(emu, EMU_TICK);
}

/*
 * A single end that is up begins the generation that it is given; one that is
 * down begins it when the operator wants it up.
 */
static int set_gen(struct emu *emu, const struct nlattr *gen,
		   struct netlink_ext_ack *extack)
{
	int err;

	err = emu_gen_check(emu, nla_get_u32(gen), extack);
	if (err) {
		NL_SET_BAD_ATTR(extack, gen);
		return err;
	}
	emu->next_label = nla_get_u32(gen);
	return emu_gen_is_live(emu) ?
	       emu_gen_begin(emu, emu->role - 1, extack) : 0;
}

static int change(struct emu *emu, struct nlattr **tb,
		  struct netlink_ext_ack *extack)
{
	struct emu_settings set = emu->set;
	int err;

	if (!emu->ready)
		return -ENODEV;
	err = refuse(tb, emu->pair ? single_only : pair_only,
		     emu->pair ? "only a single end has this" :
				 "only a pair has this", extack);
	if (!err)
		err = parse_settings(tb, &set, extack);
	if (!err && tb[QKD_A_EMU_GEN])
		err = set_gen(emu, tb[QKD_A_EMU_GEN], extack);
	if (err)
		return err;
	apply_settings(emu, &set);
	if (tb[QKD_A_EMU_QBER] || tb[QKD_A_EMU_PROTOCOL])
		emu_qber_changed(emu);
	emu_kick(emu, 0);
	return 0;
}

static int emu_setlink(struct qkd_link *link, struct nlattr *data,
		       struct netlink_ext_ack *extack)
{
	struct emu *emu = qkd_link_priv(link);
	struct nlattr *tb[QKD_A_EMU_MAX + 1];
	int err;

	err = parse_nest(tb, data, extack);
	if (!err)
		err = refuse(tb, new_only, "this is set when a link is added",
			     extack);
	if (err)
		return err;
	mutex_lock(&emu->lock);
	err = change(emu, tb, extack);
	mutex_unlock(&emu->lock);
	return err;
}

static int put_settings(struct sk_buff *skb, const struct emu *emu)
{
	u32 protocol = READ_ONCE(emu->set.protocol);

	if (nla_put_u64_64bit(skb, QKD_A_EMU_RATE, READ_ONCE(emu->set.rate),
			      QKD_A_EMU_PAD) ||
	    nla_put_u32(skb, QKD_A_EMU_QBER, READ_ONCE(emu->set.qber)) ||
	    nla_put_u32(skb, QKD_A_EMU_THRESHOLD, emu_threshold(protocol)) ||
	    nla_put_u32(skb, QKD_A_EMU_PROTOCOL, protocol) ||
	    nla_put_u32(skb, QKD_A_EMU_STOPPED, READ_ONCE(emu->set.stopped)) ||
	    nla_put_u32(skb, QKD_A_EMU_BLOCK, emu_block_size(emu)))
		return -EMSGSIZE;
	return 0;
}

/* What only a pair or only a single end has. The seed is never shown. */
static int put_kind(struct sk_buff *skb, const struct emu *emu,
		    struct qkd_link *link)
{
	u32 index = qkd_link_index(link);

	if (!emu->pair)
		return nla_put_u32(skb, QKD_A_EMU_GEN, READ_ONCE(emu->label));
	if (nla_put_u32(skb, QKD_A_EMU_FLIP, READ_ONCE(emu->set.flip)) ||
	    nla_put_u32(skb, QKD_A_EMU_LOSE, READ_ONCE(emu->set.lose)) ||
	    nla_put_u32(skb, QKD_A_EMU_PEER_INDEX,
			READ_ONCE(emu->index[emu->index[0] == index])))
		return -EMSGSIZE;
	return 0;
}

static int emu_link_fill(struct qkd_link *link, struct sk_buff *skb)
{
	struct emu *emu = qkd_link_priv(link);
	struct nlattr *nest;

	nest = nla_nest_start(skb, QKD_A_LINK_EMU);
	if (!nest || put_settings(skb, emu) || put_kind(skb, emu, link))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static const struct qkd_link_ops emu_ops = {
	.type		= "emu",
	.owner		= THIS_MODULE,
	.newlink	= emu_newlink,
	.setlink	= emu_setlink,
	.begin		= emu_begin,
	.ended		= emu_ended,
	.resume		= emu_resume,
	.fill		= emu_link_fill,
	.dellink	= emu_dellink,
	.delete		= emu_delete,
};

static int __init emu_init(void)
{
	int err;

	emu_wq = alloc_workqueue("qkd_emu", WQ_UNBOUND, 0);
	if (!emu_wq)
		return -ENOMEM;
	err = qkd_link_type_register(&emu_ops);
	if (err) {
		destroy_workqueue(emu_wq);
		return err;
	}
	pr_info("qkd_emu: emulated QKD links are for tests: their key comes from a PRF, not from physics\n");
	return 0;
}

static void __exit emu_exit(void)
{
	qkd_link_type_unregister(&emu_ops);
	destroy_workqueue(emu_wq);
	emu_used_free();
}

module_init(emu_init);
module_exit(emu_exit);

MODULE_DESCRIPTION("Emulated QKD link, for tests only");
MODULE_LICENSE("GPL");
MODULE_ALIAS("qkd-link-emu");
