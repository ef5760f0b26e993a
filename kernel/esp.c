// SPDX-License-Identifier: GPL-2.0-only
/*
 * ESP SAs whose key comes from a link.
 *
 * The module makes XFRM states as XFRM_MSG_NEWSA does, and names its own AEAD
 * in them: x->geniv = "qkd" and the algorithm "otp" make ESP allocate qkd(otp).
 * All else is stock: policies, replay, ESN, tunnels, marks, xfrm interfaces.
 *
 * An XFRM state can be deleted by others at any time (ip xfrm, IKE, expiry), so
 * none is referenced here. An SA is found by its SPI in the link's table, and
 * its state by looking it up in XFRM and checking that its tfm is bound to this
 * very SA. The tfm holds the SA, the SA its link; when XFRM frees the state,
 * the tfm's end takes the SA out of the table.
 *
 * Only an SA that is in its link's table seals or opens packets, so there is
 * one for each SPI and direction of a link, whatever its address, family, mark
 * or interface: else one packet would verify on two of them.
 *
 * A state that XFRM clones (XFRM_MSG_MIGRATE) has a tfm that is bound to no SA:
 * it blocks. XFRM tells its key managers when it has moved states; we are one
 * to hear of that, and bind the clone to the SA of the state that it replaces.
 * Both are the same SA, with the same epochs and counters.
 */
#include <linux/percpu.h>
#include <linux/slab.h>

#include "core.h"

#define ESP_GENIV	"qkd"

enum {
	ESP_HANDLE	= 16,	/* bytes: zeros, then the SA's number */
	ESP_ICV_BITS	= 128,
	ESP_LEGACY_WINDOW = 32,	/* packets in struct xfrm_replay_state */
};

static atomic64_t esp_numbers = ATOMIC64_INIT(0);

static void sa_free_rcu(struct rcu_head *rcu)
{
	struct qkd_sa *sa = container_of(rcu, struct qkd_sa, rcu);

	free_percpu(sa->stats);
	kfree_sensitive(sa);
}

static void sa_release(struct kref *ref)
{
	struct qkd_sa *sa = container_of(ref, struct qkd_sa, ref);

	qkd_aes_free(sa->aes);
	qkd_link_put(sa->link);
	call_rcu(&sa->rcu, sa_free_rcu);
}

/**
 * qkd_sa_put - drop a reference on an SA
 * @sa: SA
 *
 * Process context, may sleep.
 */
void qkd_sa_put(struct qkd_sa *sa)
{
	kref_put(&sa->ref, sa_release);
}

static bool sa_has_epochs(const struct qkd_sa *sa)
{
	return sa->cipher != QKD_CIPHER_OTP || sa->on_empty == QKD_ON_EMPTY_AES;
}

static struct qkd_sa *sa_new(struct qkd_link *link,
			     const struct qkd_esp_config *cfg,
			     struct netlink_ext_ack *extack)
{
	struct qkd_sa *sa;
	int err;

	sa = kzalloc(sizeof(*sa), GFP_KERNEL_ACCOUNT);
	if (!sa)
		return ERR_PTR(-ENOMEM);
	sa->stats = alloc_percpu_gfp(struct qkd_sa_stats, GFP_KERNEL_ACCOUNT);
	if (!sa->stats) {
		kfree(sa);
		return ERR_PTR(-ENOMEM);
	}
	kref_init(&sa->ref);
	spin_lock_init(&sa->lock);
	kref_get(&link->ref);
	sa->link = link;
	sa->number = atomic64_inc_return(&esp_numbers);
	sa->spi = cfg->spi;
	sa->dir = cfg->dir;
	sa->cipher = cfg->cipher;
	sa->on_empty = cfg->on_empty;
	sa->daddr = cfg->dst;
	sa->family = cfg->family;
	sa->mark = cfg->mark & cfg->mark_mask;
	sa->has_bind = cfg->has_bind;
	memcpy(sa->bind, cfg->bind, sizeof(sa->bind));
	err = sa_has_epochs(sa) ? qkd_aes_new(sa, cfg, extack) : 0;
	if (!err)
		return sa;
	qkd_sa_put(sa);
	return ERR_PTR(err);
}

static struct xarray *sa_table(const struct qkd_sa *sa)
{
	return &sa->link->sas[sa->dir - 1];
}

/* Returns false if it is out of the table already. */
static bool sa_unlink(struct qkd_sa *sa)
{
	if (xa_cmpxchg(sa_table(sa), ntohl(sa->spi), sa, NULL, 0) != sa)
		return false;
	WRITE_ONCE(sa->gone, true);
	atomic_dec(&sa->link->nsas);
	if (sa->aes)
		qkd_aes_end(sa->aes);
	qkd_sa_put(sa);
	return true;
}

/**
 * qkd_sa_sum - a counter of an SA over all CPUs
 * @sa: SA
 * @what: counter
 *
 * Context: any.
 */
u64 qkd_sa_sum(const struct qkd_sa *sa, enum qkd_sa_counter what)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(sa->stats, cpu)->n[what]);
	return sum;
}

static void sa_tell(const struct qkd_sa *sa, u32 type)
{
	const struct qkd_event ev = {
		.type = type,
		.stream = -1,
		.spi = sa->spi,
		.dir = sa->dir,
	};
	struct qkd_link *link = sa->link;

	/* While it is held the link has its namespace, or is marked gone. */
	mutex_lock(&link->lock);
	if (!link->gone)
		qkd_event_send(link, &ev);
	mutex_unlock(&link->lock);
}

/**
 * qkd_sa_tell - remember that something happened to an SA, to be told soon
 * @sa: SA
 * @type: enum qkd_event_type, of those from SA_REKEYED on
 *
 * Context: any.
 */
void qkd_sa_tell(struct qkd_sa *sa, u32 type)
{
	u32 bit = type - QKD_EVENT_TYPE_SA_REKEYED;

	if (!test_bit(bit, &sa->noted))
		set_bit(bit, &sa->noted);
	qkd_event_note(sa->link, type, -1);
}

static void sa_tell_noted(struct qkd_sa *sa, u32 type)
{
	struct qkd_epoch_stats stats = {};
	struct qkd_event ev = { .type = type, .stream = -1 };
	u64 epochs;

	if (!test_and_clear_bit(type - QKD_EVENT_TYPE_SA_REKEYED, &sa->noted))
		return;
	if (type == QKD_EVENT_TYPE_SA_REKEYED) {
		epochs = qkd_sa_sum(sa, QKD_SA_EPOCHS);
		ev.count = epochs - sa->told;
		sa->told = epochs;
	}
	qkd_aes_stats(sa->aes, &stats);
	/* Kinds are told apart from one another; the last word is how things are. */
	if (type == QKD_EVENT_TYPE_SA_RESTORED && stats.fallback)
		return;
	if (type == QKD_EVENT_TYPE_SA_FALLBACK && !stats.fallback)
		qkd_sa_tell(sa, QKD_EVENT_TYPE_SA_RESTORED);
	if (stats.has_epoch)
		ev.key_id = stats.id;
	ev.spi = sa->spi;
	ev.dir = sa->dir;
	qkd_event_send(sa->link, &ev);
}

/**
 * qkd_esp_tell - tell what qkd_sa_tell() remembered
 * @link: link
 * @type: enum qkd_event_type, of those from SA_REKEYED on
 *
 * Context: link->event_work, which keeps the link's namespace.
 */
void qkd_esp_tell(struct qkd_link *link, u32 type)
{
	struct qkd_sa *sa;
	unsigned long spi;
	u32 dir;

	for (dir = QKD_DIR_IN; dir <= QKD_DIR_OUT; dir++) {
		for (spi = 0; (sa = qkd_esp_next(link, dir, &spi)); spi++) {
			if (sa->aes)
				sa_tell_noted(sa, type);
			qkd_sa_put(sa);
		}
	}
}

static void sa_end(struct qkd_sa *sa)
{
	if (sa_unlink(sa))
		sa_tell(sa, QKD_EVENT_TYPE_SA_DEL);
}

/**
 * qkd_sa_hold_bound - a tfm is being bound to an SA
 * @sa: SA; takes a reference
 *
 * Context: any.
 */
void qkd_sa_hold_bound(struct qkd_sa *sa)
{
	kref_get(&sa->ref);
	atomic_inc(&sa->bound);
}

/**
 * qkd_sa_drop_bound - undo qkd_sa_hold_bound()
 * @sa: SA, of which the caller holds another reference
 *
 * Context: any.
 */
void qkd_sa_drop_bound(struct qkd_sa *sa)
{
	atomic_dec(&sa->bound);
	qkd_sa_put(sa);
}

/**
 * qkd_sa_unbind - the tfm that was bound to an SA is being freed
 * @sa: SA; the tfm's reference goes
 *
 * Process context, may sleep: XFRM frees states from its own work.
 */
void qkd_sa_unbind(struct qkd_sa *sa)
{
	if (atomic_dec_and_test(&sa->bound))
		sa_end(sa);
	qkd_sa_put(sa);
}

static struct xfrm_state *esp_lookup(struct qkd_sa *sa)
{
	xfrm_address_t daddr;
	u16 family;

	spin_lock_bh(&sa->lock);
	daddr = sa->daddr;
	family = sa->family;
	spin_unlock_bh(&sa->lock);
	return xfrm_state_lookup(sa->link->net, sa->mark, &daddr, sa->spi,
				 IPPROTO_ESP, family);
}

/* Larval states have no tfm. */
static bool esp_is_state_of(const struct xfrm_state *x, const struct qkd_sa *sa)
{
	return x->data && qkd_aead_sa(x->data) == sa;
}

/* The XFRM state of @sa with a reference, or NULL. */
static struct xfrm_state *esp_state_get(struct qkd_sa *sa)
{
	struct xfrm_state *x = esp_lookup(sa);

	if (x && !esp_is_state_of(x, sa)) {
		xfrm_state_put(x);
		return NULL;
	}
	return x;
}

static void esp_notify(struct xfrm_state *x, u32 event, u32 portid, u32 seq)
{
	struct km_event c = {
		.seq = seq,
		.portid = portid,
		.event = event,
	};

	km_state_notify(x, &c);
}

static void esp_delete(struct qkd_sa *sa)
{
	struct xfrm_state *x = esp_state_get(sa);
	int err;

	sa_end(sa);
	if (!x)
		return;
	err = xfrm_state_delete(x);
	xfrm_audit_state_delete(x, !err, true);
	if (!err)
		esp_notify(x, XFRM_MSG_DELSA, 0, 0);
	xfrm_state_put(x);
}

/* Whoever deleted its state did not tell us, and XFRM has not freed it yet. */
static bool sa_is_stale(struct qkd_sa *sa)
{
	struct xfrm_state *x = esp_lookup(sa);

	if (!x)
		return true;
	xfrm_state_put(x);
	return false;
}

static int sa_try_link(struct qkd_sa *sa, struct netlink_ext_ack *extack)
{
	struct qkd_link *link = sa->link;
	int err;

	mutex_lock(&link->lock);
	if (link->gone) {
		NL_SET_ERR_MSG(extack, "link is being deleted");
		err = -ENODEV;
		goto out;
	}
	if (atomic_read(&link->nsas) >= QKD_SAS) {
		NL_SET_ERR_MSG(extack, "link has too many SAs");
		err = -ENOSPC;
		goto out;
	}
	err = xa_insert(sa_table(sa), ntohl(sa->spi), sa, GFP_KERNEL_ACCOUNT);
	if (!err) {
		kref_get(&sa->ref);
		atomic_inc(&link->nsas);
	}
out:
	mutex_unlock(&link->lock);
	return err;
}

static int sa_link(struct qkd_sa *sa, struct netlink_ext_ack *extack)
{
	struct qkd_sa *holder;
	int err;

	err = sa_try_link(sa, extack);
	if (err != -EBUSY)
		return err;

	holder = qkd_esp_get(sa->link, sa->dir, sa->spi);
	if (holder) {
		if (sa_is_stale(holder))
			sa_end(holder);
		qkd_sa_put(holder);
	}
	err = sa_try_link(sa, extack);
	if (err == -EBUSY) {
		NL_SET_ERR_MSG(extack,
			       "link has an SA with this SPI in this direction");
		err = -EEXIST;
	}
	return err;
}

static int esp_set_replay(struct xfrm_state *x,
			  const struct qkd_esp_config *cfg)
{
	u32 window = cfg->replay_window;
	struct xfrm_replay_state_esn *esn;
	u32 words;

	if (!cfg->esn && window <= ESP_LEGACY_WINDOW) {
		x->props.replay_window = window;
		return 0;
	}
	/* Outbound has none, but 6.1 wants it all the same. */
	if (cfg->dir == QKD_DIR_OUT)
		window = 1;
	words = DIV_ROUND_UP(window, 32);
	esn = kzalloc(struct_size(esn, bmp, words), GFP_KERNEL_ACCOUNT);
	if (!esn)
		return -ENOMEM;
	esn->bmp_len = words;
	esn->replay_window = window;
	x->replay_esn = esn;
	x->preplay_esn = kmemdup(esn, struct_size(esn, bmp, words),
				 GFP_KERNEL_ACCOUNT);
	if (!x->preplay_esn)
		return -ENOMEM;
	if (cfg->esn)
		x->props.flags |= XFRM_STATE_ESN;
	return 0;
}

static void esp_set_selector(struct xfrm_state *x,
			     const struct qkd_esp_config *cfg)
{
	if (cfg->has_sel)
		x->sel = cfg->sel;
	else if (cfg->mode != XFRM_MODE_TRANSPORT)
		x->props.flags |= XFRM_STATE_AF_UNSPEC;
	if (!x->sel.family && !(x->props.flags & XFRM_STATE_AF_UNSPEC))
		x->sel.family = cfg->family;
}

/* What ESP takes for algorithm and key, and "ip xfrm state" prints. */
static int esp_set_handle(struct xfrm_state *x, const struct qkd_sa *sa)
{
	struct xfrm_algo_aead *aead;

	aead = kzalloc(sizeof(*aead) + ESP_HANDLE, GFP_KERNEL_ACCOUNT);
	if (!aead)
		return -ENOMEM;
	strscpy(aead->alg_name, qkd_aead_name(sa->cipher), sizeof(aead->alg_name));
	aead->alg_key_len = ESP_HANDLE * BITS_PER_BYTE;
	aead->alg_icv_len = ESP_ICV_BITS;
	put_unaligned_be64(sa->number,
			   aead->alg_key + ESP_HANDLE - sizeof(sa->number));
	x->aead = aead;
	x->geniv = ESP_GENIV;
	return 0;
}

static int esp_set_encap(struct xfrm_state *x, const struct qkd_esp_config *cfg)
{
	if (!cfg->encap_sport)
		return 0;
	x->encap = kzalloc(sizeof(*x->encap), GFP_KERNEL_ACCOUNT);
	if (!x->encap)
		return -ENOMEM;
	x->encap->encap_type = UDP_ENCAP_ESPINUDP;
	x->encap->encap_sport = cfg->encap_sport;
	x->encap->encap_dport = cfg->encap_dport;
	return 0;
}

static void esp_set_props(struct xfrm_state *x,
			  const struct qkd_esp_config *cfg)
{
	struct net *net = xs_net(x);

	x->id.daddr = cfg->dst;
	x->id.spi = cfg->spi;
	x->id.proto = IPPROTO_ESP;
	x->props.saddr = cfg->src;
	x->props.family = cfg->family;
	x->props.mode = cfg->mode;
	x->props.reqid = cfg->reqid;
	x->mark.v = cfg->mark;
	x->mark.m = cfg->mark_mask;
	x->if_id = cfg->if_id;
	x->lft = cfg->lft;
	x->replay_maxdiff = net->xfrm.sysctl_aevent_rseqth;
	x->replay_maxage = net->xfrm.sysctl_aevent_etime * HZ / XFRM_AE_ETH_M;
	qkd_xfrm_set_dir(x, cfg->dir == QKD_DIR_OUT ? XFRM_SA_DIR_OUT :
						      XFRM_SA_DIR_IN);
}

/*
 * ESP's software GSO leaks the segments before one that fails, and an SA
 * without key fails them all. Without the offload type XFRM segments first.
 */
static void esp_drop_offload(struct xfrm_state *x)
{
	if (!x->type_offload)
		return;
	module_put(x->type_offload->owner);
	x->type_offload = NULL;
}

/**
 * struct esp_offload - what stands in for ESP's offload type in clones
 * @type: as @stock, with another xmit
 * @stock: of the family
 *
 * A clone is in use before we hear of it. Its offload type cannot be dropped
 * then: packets that have seen it are on their way, and may lie in a queue.
 */
struct esp_offload {
	struct xfrm_type_offload type;
	const struct xfrm_type_offload *stock;
};

static struct esp_offload esp_offloads[2];	/* IPv4, IPv6 */
static DEFINE_SPINLOCK(esp_offload_lock);

/*
 * XFRM leaks the segments before one that fails, but goes on if it is told that
 * the segment will come later. So it is freed here.
 */
static int esp_offload_xmit(struct xfrm_state *x, struct sk_buff *skb,
			    netdev_features_t features)
{
	const struct esp_offload *offload =
		container_of(x->type_offload, struct esp_offload, type);
	int err = offload->stock->xmit(x, skb, features);

	if (!err || err == -EINPROGRESS)
		return err;
	XFRM_INC_STATS(xs_net(x), LINUX_MIB_XFRMOUTSTATEPROTOERROR);
	kfree_skb(skb);
	return -EINPROGRESS;
}

/* The state's reference on the stock type's module is now the stand-in's. */
static void esp_replace_offload(struct xfrm_state *x)
{
	struct esp_offload *offload = &esp_offloads[x->props.family == AF_INET6];
	const struct xfrm_type_offload *stock = x->type_offload;
	struct xfrm_type_offload type;

	if (!stock || stock == &offload->type)
		return;
	type = *stock;
	type.xmit = esp_offload_xmit;
	/* If it is in use, that module is loaded, and nothing changes. */
	spin_lock(&esp_offload_lock);
	offload->type = type;
	offload->stock = stock;
	spin_unlock(&esp_offload_lock);
	smp_wmb();	/* the packet path depends on what it points to */
	WRITE_ONCE(x->type_offload, &offload->type);
}

static void esp_state_free(struct xfrm_state *x)
{
	x->km.state = XFRM_STATE_DEAD;
	xfrm_state_put(x);
}

/* A state that is in no table yet, its tfm bound to @sa. */
static struct xfrm_state *esp_state_new(struct qkd_sa *sa,
					const struct qkd_esp_config *cfg,
					struct netlink_ext_ack *extack)
{
	struct xfrm_state *x;
	int err;

	x = xfrm_state_alloc(sa->link->net);
	if (!x)
		return ERR_PTR(-ENOMEM);
	esp_set_props(x, cfg);
	esp_set_selector(x, cfg);
	err = esp_set_replay(x, cfg);
	if (err)
		goto err_free;
	err = esp_set_handle(x, sa) ?: esp_set_encap(x, cfg);
	if (err)
		goto err_free;
	err = qkd_xfrm_init_state(x, extack);
	if (err) {
		if (!extack->_msg)
			NL_SET_ERR_MSG(extack, "XFRM refused the SA");
		goto err_free;
	}
	esp_drop_offload(x);
	if (!qkd_aead_bind(x->data, sa)) {
		NL_SET_ERR_MSG(extack, "ESP was given another cipher");
		err = -EINVAL;
		goto err_free;
	}
	return x;

err_free:
	esp_state_free(x);
	return ERR_PTR(err);
}

/*
 * For replace: the link's SA with this SPI and direction goes. What would stand
 * in the way of the new one is looked for first, so that a refusal changes
 * nothing. Packets that come in between are dropped.
 */
static int esp_make_room(struct qkd_sa *sa, struct netlink_ext_ack *extack)
{
	struct qkd_sa *old = qkd_esp_get(sa->link, sa->dir, sa->spi);
	struct xfrm_state *x = esp_lookup(sa);
	int err = 0;

	if (x && x->km.state != XFRM_STATE_ACQ &&
	    !(old && esp_is_state_of(x, old))) {
		NL_SET_ERR_MSG(extack,
			       "SPI belongs to an SA that is not of this link and direction");
		err = -EEXIST;
	} else if (old) {
		esp_delete(old);
	}
	if (x)
		xfrm_state_put(x);
	if (old)
		qkd_sa_put(old);
	return err;
}

/* Puts @x in XFRM's tables; the caller's reference on it goes in any case. */
static int esp_install(struct xfrm_state *x, struct qkd_sa *sa, bool replace,
		       u32 portid, u32 seq, struct netlink_ext_ack *extack)
{
	struct xfrm_state *larval = replace ? esp_lookup(sa) : NULL;
	u32 event = larval ? XFRM_MSG_UPDSA : XFRM_MSG_NEWSA;
	int err;

	xfrm_state_hold(x);
	if (!larval) {
		err = xfrm_state_add(x);
	} else if (larval->km.state == XFRM_STATE_ACQ) {
		/* IKE reserved the SPI, maybe without a direction. */
		qkd_xfrm_set_dir(x, qkd_xfrm_dir(larval));
		err = xfrm_state_update(x);
	} else {
		err = -EEXIST;
	}
	if (larval)
		xfrm_state_put(larval);
	/* Updated meanwhile: XFRM kept the other state, and let go of ours. */
	if (!err && x->km.state == XFRM_STATE_DEAD) {
		err = -EEXIST;
		goto out;
	}
	xfrm_audit_state_add(x, !err, true);
	if (err) {
		x->km.state = XFRM_STATE_DEAD;
		__xfrm_state_put(x);
		goto out;
	}
	esp_notify(x, event, portid, seq);
out:
	xfrm_state_put(x);
	if (err == -EEXIST)
		NL_SET_ERR_MSG(extack,
			       "an SA with this SPI and destination exists");
	else if (err)
		NL_SET_ERR_MSG(extack, "XFRM refused the SA");
	return err;
}

/**
 * qkd_esp_add - add an SA
 * @link: its link; of the caller's namespace, which lives through the call
 * @cfg: the SA, checked field by field
 * @replace: over a reserved SPI, or over an SA of this link with the same SPI
 *	and direction, if there is one
 * @number: out: its public number
 * @portid: of the request, for XFRM's own notification
 * @seq: of the request
 * @extack: says what was wrong
 *
 * Process context, may sleep.
 * Return: 0; -EEXIST the SPI is in use, -ENODEV the link is going, -ENOSPC it has
 * too many SAs, -ENOKEY or -ENETDOWN there is no key for an epoch to fall back on,
 * -ENOMEM or what XFRM said.
 */
int qkd_esp_add(struct qkd_link *link, const struct qkd_esp_config *cfg,
		bool replace, u64 *number, u32 portid, u32 seq,
		struct netlink_ext_ack *extack)
{
	struct xfrm_state *x;
	struct qkd_sa *sa;
	int err;

	sa = sa_new(link, cfg, extack);
	if (IS_ERR(sa))
		return PTR_ERR(sa);
	x = esp_state_new(sa, cfg, extack);
	if (IS_ERR(x)) {
		err = PTR_ERR(x);
		goto out_put;
	}
	if (replace)
		err = esp_make_room(sa, extack);
	if (!err)
		err = sa_link(sa, extack);
	if (err) {
		esp_state_free(x);
		goto out_put;
	}
	err = esp_install(x, sa, replace, portid, seq, extack);
	if (err) {
		sa_unlink(sa);
		goto out_put;
	}
	*number = sa->number;
	sa_tell(sa, QKD_EVENT_TYPE_SA_NEW);
out_put:
	qkd_sa_put(sa);
	return err;
}

/**
 * qkd_esp_del - delete an SA and its XFRM state
 * @link: its link, of the caller's namespace
 * @dir: enum qkd_dir
 * @spi: SPI
 * @extack: says what was wrong
 *
 * Process context, may sleep.
 * Return: 0 or -ENOENT.
 */
int qkd_esp_del(struct qkd_link *link, u32 dir, __be32 spi,
		struct netlink_ext_ack *extack)
{
	struct qkd_sa *sa = qkd_esp_get(link, dir, spi);

	if (!sa) {
		NL_SET_ERR_MSG(extack,
			       "link has no SA with this SPI in this direction");
		return -ENOENT;
	}
	esp_delete(sa);
	qkd_sa_put(sa);
	return 0;
}

/**
 * qkd_esp_set - change an SA under traffic
 * @link: its link, of the caller's namespace
 * @dir: enum qkd_dir
 * @spi: SPI
 * @change: what to change, checked field by field
 * @extack: says what was wrong
 *
 * Process context, may sleep.
 * Return: 0; -ENOENT no such SA, -EOPNOTSUPP it has no epochs, -EINVAL or -EBUSY
 * the secret cannot be its next one, -ENOMEM.
 */
int qkd_esp_set(struct qkd_link *link, u32 dir, __be32 spi,
		const struct qkd_esp_change *change,
		struct netlink_ext_ack *extack)
{
	struct qkd_sa *sa = qkd_esp_get(link, dir, spi);
	int err = -EOPNOTSUPP;

	if (!sa) {
		NL_SET_ERR_MSG(extack,
			       "link has no SA with this SPI in this direction");
		return -ENOENT;
	}
	if (!sa->aes)
		NL_SET_ERR_MSG(extack, "SA has no AES epochs");
	else if ((change->rekey || change->weight) && dir == QKD_DIR_IN)
		NL_SET_ERR_MSG(extack, "the sender says when an epoch is due");
	else if (change->secret && sa->cipher != QKD_CIPHER_HYBRID)
		NL_SET_ERR_MSG(extack, "only cipher hybrid takes an external secret");
	else
		err = qkd_aes_set(sa->aes, change, extack);
	qkd_sa_put(sa);
	return err;
}

/**
 * qkd_esp_flush - delete all SAs of a link
 * @link: link, of the caller's namespace
 *
 * Process context, may sleep.
 */
void qkd_esp_flush(struct qkd_link *link)
{
	struct qkd_sa *sa;
	unsigned long spi;
	u32 dir;

	for (dir = QKD_DIR_IN; dir <= QKD_DIR_OUT; dir++) {
		for (spi = 0; (sa = qkd_esp_next(link, dir, &spi)); spi++) {
			esp_delete(sa);
			qkd_sa_put(sa);
		}
	}
}

/**
 * qkd_esp_epoch - tell of an SA's current epoch
 * @sa: SA
 * @stats: out
 *
 * Process context, may sleep.
 */
void qkd_esp_epoch(struct qkd_sa *sa, struct qkd_epoch_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	if (sa->aes)
		qkd_aes_stats(sa->aes, stats);
}

/**
 * qkd_esp_get - find an SA
 * @link: its link
 * @dir: enum qkd_dir
 * @spi: SPI
 *
 * Context: any.
 * Return: the SA with a reference, or NULL.
 */
struct qkd_sa *qkd_esp_get(struct qkd_link *link, u32 dir, __be32 spi)
{
	struct qkd_sa *sa;

	rcu_read_lock();
	sa = xa_load(&link->sas[dir - 1], ntohl(spi));
	if (sa && !kref_get_unless_zero(&sa->ref))
		sa = NULL;
	rcu_read_unlock();
	return sa;
}

/**
 * qkd_esp_next - walk a link's SAs in the order of their SPIs
 * @link: the link
 * @dir: enum qkd_dir
 * @spi: the first SPI to look at, in host order; out: the SPI found
 *
 * Context: any.
 * Return: the SA with a reference, or NULL at the end.
 */
struct qkd_sa *qkd_esp_next(struct qkd_link *link, u32 dir, unsigned long *spi)
{
	struct xarray *sas = &link->sas[dir - 1];
	struct qkd_sa *sa;

	rcu_read_lock();
	sa = xa_find(sas, spi, U32_MAX, XA_PRESENT);
	while (sa && !kref_get_unless_zero(&sa->ref))
		sa = xa_find_after(sas, spi, U32_MAX, XA_PRESENT);
	rcu_read_unlock();
	return sa;
}

/**
 * qkd_esp_describe - what an SA's XFRM state says now
 * @sa: SA, of a link in the caller's namespace
 * @cfg: out
 *
 * XFRM's own tools change states of ours too (XFRM_MSG_UPDSA), so nothing is
 * told from memory.
 *
 * Process context.
 * Return: 0, -ENOENT if the state is gone.
 */
int qkd_esp_describe(struct qkd_sa *sa, struct qkd_esp_config *cfg)
{
	struct xfrm_state *x = esp_state_get(sa);

	if (!x)
		return -ENOENT;
	spin_lock_bh(&x->lock);
	*cfg = (struct qkd_esp_config){
		.cipher = sa->cipher,
		.dir = sa->dir,
		.on_empty = sa->on_empty,
		.spi = x->id.spi,
		.family = x->props.family,
		.src = x->props.saddr,
		.dst = x->id.daddr,
		.mode = x->props.mode,
		.reqid = x->props.reqid,
		.if_id = x->if_id,
		.mark = x->mark.v,
		.mark_mask = x->mark.m,
		.esn = x->props.flags & XFRM_STATE_ESN,
		.has_sel = x->sel.family != AF_UNSPEC,
		.sel = x->sel,
		.lft = x->lft,
	};
	if (x->encap) {
		cfg->encap_sport = x->encap->encap_sport;
		cfg->encap_dport = x->encap->encap_dport;
	}
	if (sa->dir == QKD_DIR_IN)
		cfg->replay_window = x->replay_esn ?
				     x->replay_esn->replay_window :
				     x->props.replay_window;
	spin_unlock_bh(&x->lock);
	xfrm_state_put(x);
	if (sa->aes)
		qkd_aes_describe(sa->aes, cfg);
	return 0;
}

static void esp_for_each(struct qkd_link *link, void (*fn)(struct qkd_aes *aes))
{
	struct qkd_sa *sa;
	unsigned long spi;
	u32 dir;

	for (dir = QKD_DIR_IN; dir <= QKD_DIR_OUT; dir++) {
		for (spi = 0; (sa = qkd_esp_next(link, dir, &spi)); spi++) {
			if (sa->aes)
				fn(sa->aes);
			qkd_sa_put(sa);
		}
	}
}

/**
 * qkd_esp_gen_gone - the link's generation has ended: epochs end with it
 * @link: link, its generation unpublished
 *
 * Process context, may sleep. Called with @link->lock held.
 */
void qkd_esp_gen_gone(struct qkd_link *link)
{
	esp_for_each(link, qkd_aes_flush);
}

/**
 * qkd_esp_void - no epoch of the link's SAs is used any more
 * @link: link
 *
 * Context: any, panic included: takes no lock.
 */
void qkd_esp_void(struct qkd_link *link)
{
	struct qkd_sa *sa;
	unsigned long spi;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(link->sas); i++)
		xa_for_each(&link->sas[i], spi, sa)
			if (sa->aes)
				qkd_aes_void(sa->aes);
}

/**
 * qkd_esp_link_gone - the link has been unregistered: its SAs block
 * @link: link, with @link->gone set, so that none is added any more
 *
 * The XFRM states stay, each bound to an SA that refuses all packets, until
 * somebody deletes them or the namespace goes.
 *
 * Process context, may sleep. Called without @link->lock.
 */
void qkd_esp_link_gone(struct qkd_link *link)
{
	struct qkd_sa *sa;
	unsigned long spi;
	u32 dir;

	for (dir = QKD_DIR_IN; dir <= QKD_DIR_OUT; dir++) {
		spi = 0;
		while ((sa = qkd_esp_next(link, dir, &spi))) {
			sa_unlink(sa);
			qkd_sa_put(sa);
		}
	}
}

/*
 * XFRM's key managers
 */

/* Is @x, found where the SA's state has moved to, the clone of that state? */
static bool esp_is_clone(const struct xfrm_state *x, const struct qkd_sa *sa)
{
	const struct xfrm_algo_aead *aead = x->aead;

	return x->data && aead && aead->alg_key_len == ESP_HANDLE * BITS_PER_BYTE &&
	       x->geniv && !strcmp(x->geniv, ESP_GENIV) &&
	       get_unaligned_be64(aead->alg_key + ESP_HANDLE - sizeof(u64)) ==
			sa->number;
}

static void esp_move(struct qkd_sa *sa, struct net *net, const struct xfrm_migrate *m)
{
	struct xfrm_state *x;

	x = xfrm_state_lookup(net, sa->mark, &m->new_daddr, sa->spi, IPPROTO_ESP,
			      m->new_family);
	if (!x)
		return;
	if (esp_is_clone(x, sa)) {
		esp_replace_offload(x);
		spin_lock_bh(&sa->lock);
		if (qkd_aead_bind(x->data, sa)) {
			sa->daddr = m->new_daddr;
			sa->family = m->new_family;
		}
		spin_unlock_bh(&sa->lock);
	}
	xfrm_state_put(x);
}

struct esp_migrate {
	const struct xfrm_migrate *m;
	int n;
};

/* Under RCU. */
static void esp_migrate_link(struct qkd_link *link, const void *arg)
{
	const struct esp_migrate *move = arg;
	struct qkd_sa *sa;
	unsigned long spi;
	u32 i;
	int n;

	for (i = 0; i < ARRAY_SIZE(link->sas); i++)
		xa_for_each(&link->sas[i], spi, sa)
			for (n = 0; n < move->n; n++)
				if (move->m[n].old_family == sa->family &&
				    xfrm_addr_equal(&move->m[n].old_daddr,
						    &sa->daddr, sa->family))
					esp_move(sa, link->net, &move->m[n]);
}

static int esp_migrate(const struct xfrm_selector *sel, u8 dir, u8 type,
		       const struct xfrm_migrate *m, int num_bundles,
		       const struct xfrm_kmaddress *k, struct net *net,
		       const struct xfrm_encap_tmpl *encap)
{
	const struct esp_migrate move = { .m = m, .n = num_bundles };

	qkd_links_walk(net, esp_migrate_link, &move);
	return 0;
}

/* SAs are somebody else's to ask for. */
static int esp_acquire(struct xfrm_state *x, struct xfrm_tmpl *tmpl,
		       struct xfrm_policy *policy)
{
	return -EINVAL;
}

/* So are sockets' policies: what another manager has said in @dir stays. */
static struct xfrm_policy *esp_compile_policy(struct sock *sk, int opt, u8 *data,
					      int len, int *dir)
{
	return NULL;
}

static struct xfrm_mgr esp_manager = {
	.acquire	= esp_acquire,
	.compile_policy	= esp_compile_policy,
	.migrate	= esp_migrate,
};

/**
 * qkd_esp_init - hear of states that move
 */
void qkd_esp_init(void)
{
	xfrm_register_km(&esp_manager);
}

/**
 * qkd_esp_exit - undo qkd_esp_init()
 */
void qkd_esp_exit(void)
{
	xfrm_unregister_km(&esp_manager);
}
