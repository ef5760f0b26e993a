// SPDX-License-Identifier: GPL-2.0-only
/* The operations esp-add, -replace, -set, -del, -flush, -get and -dump. */
#include "netlink.h"

static int esp_new(struct qkd_link *link, struct genl_info *info,
		   struct sk_buff *reply, bool replace)
{
	struct qkd_esp_config cfg = {};
	u64 number;
	int err;

	err = qkd_nl_esp_new(info, &cfg);
	if (err)
		return err;
	err = qkd_esp_add(link, &cfg, replace, &number, info->snd_portid,
			  info->snd_seq, info->extack);
	qkd_secret_free(cfg.secret);
	memzero_explicit(cfg.bind, sizeof(cfg.bind));
	if (err) {
		/* What falls back on an epoch takes its key at once. */
		qkd_nl_blame(info, err == -ENOKEY ? QKD_A_ESP_ON_EMPTY :
						    QKD_A_ESP_SPI);
		return err;
	}
	/* A new message has room for this. */
	nla_put_u64_64bit(reply, QKD_A_ESP_SA, number, QKD_A_ESP_PAD);
	return 0;
}

static int esp_add(struct qkd_link *link, struct genl_info *info,
		   struct sk_buff *reply)
{
	return esp_new(link, info, reply, false);
}

int qkd_nl_esp_add_doit(struct sk_buff *skb, struct genl_info *info)
{
	return qkd_nl_answer(qkd_nl_admin_link(skb, info), info, esp_add);
}

static int esp_replace(struct qkd_link *link, struct genl_info *info,
		       struct sk_buff *reply)
{
	return esp_new(link, info, reply, true);
}

int qkd_nl_esp_replace_doit(struct sk_buff *skb, struct genl_info *info)
{
	return qkd_nl_answer(qkd_nl_admin_link(skb, info), info, esp_replace);
}

/* What esp-set may change depends on what the SA is. */
static int esp_change(struct qkd_link *link, struct genl_info *info, u32 dir,
		      __be32 spi)
{
	struct qkd_esp_change change = {};
	struct qkd_esp_config cfg = {};
	struct qkd_rekey rekey = {};
	struct qkd_sa *sa;
	int err;

	sa = qkd_esp_get(link, dir, spi);
	err = sa ? qkd_esp_describe(sa, &cfg) : -ENOENT;
	if (sa)
		qkd_sa_put(sa);
	if (err) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[QKD_A_ESP_SPI],
				    "link has no SA with this SPI in this direction");
		return err;
	}
	err = qkd_nl_esp_change(info, &cfg, &rekey, &change);
	if (err)
		return err;
	err = qkd_esp_set(link, dir, spi, &change, info->extack);
	if (err)
		qkd_nl_blame(info, change.secret && err != -ENOENT ?
			     QKD_A_ESP_SECRET_NUMBER : QKD_A_ESP_SPI);
	qkd_secret_free(change.secret);
	return err;
}

int qkd_nl_esp_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct qkd_link *link = qkd_nl_admin_link(skb, info);
	__be32 spi;
	u32 dir;
	int err;

	if (IS_ERR(link))
		return PTR_ERR(link);
	err = qkd_nl_esp_id(info, &dir, &spi);
	if (!err)
		err = esp_change(link, info, dir, spi);
	qkd_link_put(link);
	return err;
}

int qkd_nl_esp_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct qkd_link *link = qkd_nl_admin_link(skb, info);
	__be32 spi;
	u32 dir;
	int err;

	if (IS_ERR(link))
		return PTR_ERR(link);
	err = qkd_nl_esp_id(info, &dir, &spi);
	if (err)
		goto put_link;
	err = qkd_esp_del(link, dir, spi, info->extack);
	if (err)
		qkd_nl_blame(info, QKD_A_ESP_SPI);
put_link:
	qkd_link_put(link);
	return err;
}

int qkd_nl_esp_flush_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct net *net = genl_info_net(info);
	struct qkd_link *link;
	u32 index;
	int err;

	err = qkd_nl_admin(skb, info->extack);
	if (err)
		return err;
	if (info->attrs[QKD_A_ESP_LINK_INDEX] ||
	    info->attrs[QKD_A_ESP_LINK_NAME]) {
		link = qkd_nl_link(info);
		if (IS_ERR(link))
			return PTR_ERR(link);
		qkd_esp_flush(link);
		qkd_link_put(link);
		return 0;
	}
	for (index = 0; (link = qkd_link_next(net, &index)); index++) {
		qkd_esp_flush(link);
		qkd_link_put(link);
	}
	return 0;
}

static int put_u64(struct sk_buff *skb, int type, u64 value)
{
	return nla_put_u64_64bit(skb, type, value, QKD_A_ESP_PAD);
}

static int put_address(struct sk_buff *skb, int type,
		       const xfrm_address_t *address, u16 family)
{
	return nla_put(skb, type, family == AF_INET ? sizeof(address->a4) :
		       sizeof(address->in6), address);
}

static int fill_refused(struct sk_buff *skb, const struct qkd_sa *sa)
{
	static const struct {
		u8 counter;
		u8 attr;
	} refusals[] = {
		{ QKD_SA_NO_KEY, QKD_A_ESP_REFUSED_NO_KEY },
		{ QKD_SA_LINK, QKD_A_ESP_REFUSED_LINK },
		{ QKD_SA_LENGTH, QKD_A_ESP_REFUSED_LENGTH },
		{ QKD_SA_DIR, QKD_A_ESP_REFUSED_DIR },
		{ QKD_SA_CIPHER, QKD_A_ESP_REFUSED_CIPHER },
		{ QKD_SA_STALE, QKD_A_ESP_REFUSED_STALE },
		{ QKD_SA_NOT_HERE, QKD_A_ESP_REFUSED_NOT_HERE },
		{ QKD_SA_DUPLICATE, QKD_A_ESP_REFUSED_DUPLICATE },
		{ QKD_SA_ICV, QKD_A_ESP_REFUSED_ICV },
		{ QKD_SA_PARKING, QKD_A_ESP_REFUSED_PARKED },
		{ QKD_SA_THROTTLED, QKD_A_ESP_REFUSED_THROTTLED },
		{ QKD_SA_PHASE, QKD_A_ESP_REFUSED_PHASE },
		{ QKD_SA_LIMIT, QKD_A_ESP_REFUSED_LIMIT },
	};
	struct nlattr *nest;
	u32 i;

	BUILD_BUG_ON(ARRAY_SIZE(refusals) != QKD_SA_EPOCHS - QKD_SA_NO_KEY);
	nest = nla_nest_start(skb, QKD_A_ESP_REFUSED);
	if (!nest)
		return -EMSGSIZE;
	for (i = 0; i < ARRAY_SIZE(refusals); i++)
		if (nla_put_u64_64bit(skb, refusals[i].attr,
				      qkd_sa_sum(sa, refusals[i].counter),
				      QKD_A_ESP_REFUSED_PAD))
			return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int fill_counters(struct sk_buff *skb, const struct qkd_sa *sa)
{
	if (put_u64(skb, QKD_A_ESP_PACKETS, qkd_sa_sum(sa, QKD_SA_PACKETS)) ||
	    put_u64(skb, QKD_A_ESP_BYTES, qkd_sa_sum(sa, QKD_SA_BYTES)) ||
	    put_u64(skb, QKD_A_ESP_KEY_BYTES,
		    qkd_sa_sum(sa, QKD_SA_KEY_BYTES)))
		return -EMSGSIZE;
	return fill_refused(skb, sa);
}

static int fill_epoch(struct sk_buff *skb, const struct qkd_sa *sa,
		      const struct qkd_epoch_stats *stats)
{
	struct nlattr *nest = nla_nest_start(skb, QKD_A_ESP_EPOCH);

	if (!nest ||
	    nla_put(skb, QKD_A_EPOCH_KEY_ID, sizeof(stats->id), stats->id) ||
	    nla_put_u64_64bit(skb, QKD_A_EPOCH_AGE, stats->age,
			      QKD_A_EPOCH_PAD) ||
	    nla_put_u64_64bit(skb, QKD_A_EPOCH_PACKETS, stats->packets,
			      QKD_A_EPOCH_PAD) ||
	    nla_put_u64_64bit(skb, QKD_A_EPOCH_BYTES, stats->bytes,
			      QKD_A_EPOCH_PAD) ||
	    (sa->cipher == QKD_CIPHER_HYBRID &&
	     nla_put_u32(skb, QKD_A_EPOCH_SECRET_NUMBER, stats->secret_number)))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int fill_epochs(struct sk_buff *skb, struct qkd_sa *sa)
{
	struct qkd_epoch_stats stats = {};

	if (!qkd_nl_esp_has_epochs(sa->cipher, sa->on_empty))
		return 0;
	qkd_esp_epoch(sa, &stats);
	if (put_u64(skb, QKD_A_ESP_EPOCHS, qkd_sa_sum(sa, QKD_SA_EPOCHS)) ||
	    put_u64(skb, QKD_A_ESP_PARKED, qkd_sa_sum(sa, QKD_SA_PARKED)) ||
	    put_u64(skb, QKD_A_ESP_FALLBACK_PACKETS,
		    qkd_sa_sum(sa, QKD_SA_FALLBACK)) ||
	    put_u64(skb, QKD_A_ESP_INTERVAL, stats.interval) ||
	    (sa->dir == QKD_DIR_OUT &&
	     put_u64(skb, QKD_A_ESP_KEY_LEFT, stats.left)) ||
	    (stats.fallback && nla_put_flag(skb, QKD_A_ESP_FALLBACK)))
		return -EMSGSIZE;
	return stats.has_epoch ? fill_epoch(skb, sa, &stats) : 0;
}

static int fill_sel(struct sk_buff *skb, const struct xfrm_selector *sel)
{
	struct nlattr *nest = nla_nest_start(skb, QKD_A_ESP_SEL);

	if (!nest ||
	    put_address(skb, QKD_A_SEL_SRC, &sel->saddr, sel->family) ||
	    nla_put_u32(skb, QKD_A_SEL_SRC_PREFIX, sel->prefixlen_s) ||
	    put_address(skb, QKD_A_SEL_DST, &sel->daddr, sel->family) ||
	    nla_put_u32(skb, QKD_A_SEL_DST_PREFIX, sel->prefixlen_d) ||
	    (sel->proto && nla_put_u32(skb, QKD_A_SEL_PROTO, sel->proto)) ||
	    (sel->sport_mask &&
	     nla_put_u32(skb, QKD_A_SEL_SPORT, ntohs(sel->sport))) ||
	    (sel->dport_mask &&
	     nla_put_u32(skb, QKD_A_SEL_DPORT, ntohs(sel->dport))) ||
	    (sel->ifindex &&
	     nla_put_u32(skb, QKD_A_SEL_IFINDEX, sel->ifindex)))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

/* What an SA with AES keys goes by. */
static int fill_rekey(struct sk_buff *skb, const struct qkd_esp_config *cfg)
{
	const struct qkd_rekey *limits = &cfg->limits;
	const struct qkd_rekey *rekey = &cfg->rekey;

	if (nla_put_u32(skb, QKD_A_ESP_PARK_TIME, cfg->park_time) ||
	    (cfg->cipher == QKD_CIPHER_HYBRID &&
	     nla_put_u32(skb, QKD_A_ESP_SECRET_NUMBER, cfg->secret_number)))
		return -EMSGSIZE;
	if (cfg->dir != QKD_DIR_OUT)
		return 0;
	if ((rekey->packets &&
	     put_u64(skb, QKD_A_ESP_REKEY_PACKETS, rekey->packets)) ||
	    (rekey->bytes &&
	     put_u64(skb, QKD_A_ESP_REKEY_BYTES, rekey->bytes)) ||
	    (rekey->time &&
	     nla_put_u32(skb, QKD_A_ESP_REKEY_TIME, rekey->time)) ||
	    (rekey->automatic && nla_put_flag(skb, QKD_A_ESP_REKEY_AUTO)) ||
	    put_u64(skb, QKD_A_ESP_EPOCH_PACKETS, limits->packets) ||
	    put_u64(skb, QKD_A_ESP_EPOCH_BYTES, limits->bytes) ||
	    nla_put_u32(skb, QKD_A_ESP_EPOCH_TIME, limits->time) ||
	    nla_put_u32(skb, QKD_A_ESP_WEIGHT, cfg->weight))
		return -EMSGSIZE;
	return 0;
}

static int fill_encap(struct sk_buff *skb, const struct qkd_esp_config *cfg)
{
	struct nlattr *nest;

	if (!cfg->encap_sport)
		return 0;
	nest = nla_nest_start(skb, QKD_A_ESP_ENCAP);
	if (!nest ||
	    nla_put_u32(skb, QKD_A_ENCAP_SPORT, ntohs(cfg->encap_sport)) ||
	    nla_put_u32(skb, QKD_A_ENCAP_DPORT, ntohs(cfg->encap_dport)))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

/* Limits that are none are left out, and all of it if there are none. */
static int fill_lifetime(struct sk_buff *skb,
			 const struct xfrm_lifetime_cfg *lft)
{
	const u64 limits[] = {
		[QKD_A_LIFETIME_SOFT_BYTES] = lft->soft_byte_limit,
		[QKD_A_LIFETIME_HARD_BYTES] = lft->hard_byte_limit,
		[QKD_A_LIFETIME_SOFT_PACKETS] = lft->soft_packet_limit,
		[QKD_A_LIFETIME_HARD_PACKETS] = lft->hard_packet_limit,
		[QKD_A_LIFETIME_SOFT_ADD_TIME] = lft->soft_add_expires_seconds,
		[QKD_A_LIFETIME_HARD_ADD_TIME] = lft->hard_add_expires_seconds,
		[QKD_A_LIFETIME_SOFT_USE_TIME] = lft->soft_use_expires_seconds,
		[QKD_A_LIFETIME_HARD_USE_TIME] = lft->hard_use_expires_seconds,
	};
	struct nlattr *nest;
	bool any = false;
	u32 i;

	nest = nla_nest_start(skb, QKD_A_ESP_LIFETIME);
	if (!nest)
		return -EMSGSIZE;
	for (i = QKD_A_LIFETIME_SOFT_BYTES; i < ARRAY_SIZE(limits); i++) {
		if (!limits[i] || limits[i] == XFRM_INF)
			continue;
		if (nla_put_u64_64bit(skb, i, limits[i], QKD_A_LIFETIME_PAD))
			return -EMSGSIZE;
		any = true;
	}
	if (any)
		nla_nest_end(skb, nest);
	else
		nla_nest_cancel(skb, nest);
	return 0;
}

static u32 config_mode(const struct qkd_esp_config *cfg)
{
	switch (cfg->mode) {
	case XFRM_MODE_TUNNEL:
		return QKD_ESP_MODE_TUNNEL;
	case XFRM_MODE_BEET:
		return QKD_ESP_MODE_BEET;
	default:
		return QKD_ESP_MODE_TRANSPORT;
	}
}

static int fill_config(struct sk_buff *skb, const struct qkd_esp_config *cfg)
{
	int err;

	if (put_address(skb, QKD_A_ESP_SRC, &cfg->src, cfg->family) ||
	    put_address(skb, QKD_A_ESP_DST, &cfg->dst, cfg->family) ||
	    nla_put_u32(skb, QKD_A_ESP_MODE, config_mode(cfg)) ||
	    nla_put_u32(skb, QKD_A_ESP_REQID, cfg->reqid) ||
	    nla_put_u32(skb, QKD_A_ESP_IF_ID, cfg->if_id) ||
	    nla_put_u32(skb, QKD_A_ESP_MARK, cfg->mark) ||
	    nla_put_u32(skb, QKD_A_ESP_MARK_MASK, cfg->mark_mask) ||
	    nla_put_u32(skb, QKD_A_ESP_REPLAY_WINDOW, cfg->replay_window) ||
	    (cfg->esn && nla_put_flag(skb, QKD_A_ESP_ESN)))
		return -EMSGSIZE;
	err = cfg->has_sel ? fill_sel(skb, &cfg->sel) : 0;
	err = err ?: fill_encap(skb, cfg) ?: fill_lifetime(skb, &cfg->lft);
	if (!err && qkd_nl_esp_has_epochs(cfg->cipher, cfg->on_empty))
		err = fill_rekey(skb, cfg);
	return err;
}

static int fill_sa(struct sk_buff *skb, struct qkd_sa *sa)
{
	struct qkd_link *link = sa->link;
	struct qkd_esp_config cfg = {};
	int err;

	if (nla_put_u32(skb, QKD_A_ESP_LINK_INDEX, link->index) ||
	    nla_put_string(skb, QKD_A_ESP_LINK_NAME, link->cfg.name) ||
	    nla_put_u32(skb, QKD_A_ESP_CIPHER, sa->cipher) ||
	    nla_put_u32(skb, QKD_A_ESP_DIR, sa->dir) ||
	    nla_put_be32(skb, QKD_A_ESP_SPI, sa->spi) ||
	    nla_put_u32(skb, QKD_A_ESP_ON_EMPTY, sa->on_empty) ||
	    put_u64(skb, QKD_A_ESP_SA, sa->number) ||
	    (READ_ONCE(link->gone) && nla_put_flag(skb, QKD_A_ESP_DEAD)))
		return -EMSGSIZE;
	err = fill_counters(skb, sa) ?: fill_epochs(skb, sa);
	if (err)
		return err;
	/* XFRM may have deleted its state; then the rest is unknown. */
	if (qkd_esp_describe(sa, &cfg))
		return 0;
	return fill_config(skb, &cfg);
}

static int esp_get(struct qkd_link *link, struct genl_info *info,
		   struct sk_buff *reply)
{
	struct qkd_sa *sa;
	__be32 spi;
	u32 dir;
	int err;

	err = qkd_nl_esp_id(info, &dir, &spi);
	if (err)
		return err;
	sa = qkd_esp_get(link, dir, spi);
	if (!sa) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[QKD_A_ESP_SPI],
				    "link has no SA with this SPI in this direction");
		return -ENOENT;
	}
	err = fill_sa(reply, sa);
	qkd_sa_put(sa);
	return err;
}

int qkd_nl_esp_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	return qkd_nl_answer(qkd_nl_admin_link(skb, info), info, esp_get);
}

/**
 * struct esp_dump - what a dump shows next
 * @index: of the link
 * @dir: enum qkd_dir, 0 before the first SA of a link
 * @spi: least key in the link's table
 */
struct esp_dump {
	u32 index;
	u32 dir;
	unsigned long spi;
};

static int dump_sa(struct sk_buff *skb, struct netlink_callback *cb,
		   struct qkd_sa *sa)
{
	void *hdr;
	int err;

	hdr = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			  &qkd_nl_family, NLM_F_MULTI, QKD_CMD_ESP_DUMP);
	if (!hdr)
		return -EMSGSIZE;
	err = fill_sa(skb, sa);
	if (err) {
		genlmsg_cancel(skb, hdr);
		return err;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

/* Leaves *@dump at the SA that did not fit, or reset for the next link. */
static int dump_sas(struct sk_buff *skb, struct netlink_callback *cb,
		    struct qkd_link *link, struct esp_dump *dump)
{
	struct qkd_sa *sa;
	int err;

	for (dump->dir = max_t(u32, dump->dir, QKD_DIR_IN);
	     dump->dir <= QKD_DIR_OUT; dump->dir++) {
		while ((sa = qkd_esp_next(link, dump->dir, &dump->spi))) {
			err = dump_sa(skb, cb, sa);
			qkd_sa_put(sa);
			if (err)
				return err;
			dump->spi++;
		}
		dump->spi = 0;
	}
	dump->dir = 0;
	return 0;
}

int qkd_nl_esp_dump_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct net *net = sock_net(cb->skb->sk);
	struct esp_dump *dump = (void *)cb->ctx;
	struct qkd_link *link;
	u32 index;
	int err;

	BUILD_BUG_ON(sizeof(*dump) > sizeof(cb->ctx));
	err = qkd_nl_admin(cb->skb, cb->extack);
	if (!err)
		err = qkd_nl_dump_plain(cb);
	if (err)
		return err;
	for (index = dump->index; (link = qkd_link_next(net, &index)); index++) {
		if (index != dump->index) {
			/* The link that was half shown has gone. */
			dump->index = index;
			dump->dir = 0;
			dump->spi = 0;
		}
		err = dump_sas(skb, cb, link, dump);
		qkd_link_put(link);
		if (err)
			break;
	}
	if (!err)
		dump->index = U32_MAX;
	return err && !skb->len ? err : skb->len;
}
