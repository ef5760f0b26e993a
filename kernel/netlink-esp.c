// SPDX-License-Identifier: GPL-2.0-only
/* The operations esp-add, -replace, -del, -get and -dump. */
#include <linux/inet.h>
#include <net/ipv6.h>

#include "netlink.h"

#define SPI_MIN		256	/* RFC 4303: those below are reserved */

static int parse_address(struct genl_info *info, const struct nlattr *attr,
			 xfrm_address_t *address, u16 *family)
{
	memset(address, 0, sizeof(*address));
	switch (nla_len(attr)) {
	case sizeof(struct in_addr):
		*family = AF_INET;
		break;
#if IS_ENABLED(CONFIG_IPV6)
	case sizeof(struct in6_addr):
		*family = AF_INET6;
		break;
#endif
	default:
		NL_SET_ERR_MSG_ATTR(info->extack, attr,
				    "not an address: 4 or 16 bytes");
		return -EINVAL;
	}
	memcpy(address, nla_data(attr), nla_len(attr));
	return 0;
}

static bool address_is_group(const xfrm_address_t *address, u16 family)
{
	if (family == AF_INET)
		return ipv4_is_multicast(address->a4) ||
		       ipv4_is_lbcast(address->a4);
	return ipv6_addr_is_multicast(&address->in6);
}

/* A pad has one reader: the peer. */
static int parse_ends(struct genl_info *info, struct qkd_esp_config *cfg)
{
	const struct nlattr *src = info->attrs[QKD_A_ESP_SRC];
	const struct nlattr *dst = info->attrs[QKD_A_ESP_DST];
	u16 family;
	int err;

	if (!qkd_nl_has(info, QKD_A_ESP_SRC) ||
	    !qkd_nl_has(info, QKD_A_ESP_DST))
		return -EINVAL;
	err = parse_address(info, src, &cfg->src, &family);
	if (err)
		return err;
	err = parse_address(info, dst, &cfg->dst, &cfg->family);
	if (err)
		return err;
	if (family != cfg->family) {
		NL_SET_ERR_MSG_ATTR(info->extack, dst,
				    "source and destination are of two families");
		return -EINVAL;
	}
	if (address_is_group(&cfg->src, family)) {
		NL_SET_ERR_MSG_ATTR(info->extack, src,
				    "source is not a unicast address");
		return -EINVAL;
	}
	if (address_is_group(&cfg->dst, family) ||
	    xfrm_addr_any(&cfg->dst, family)) {
		NL_SET_ERR_MSG_ATTR(info->extack, dst,
				    "destination is not a unicast address");
		return -EINVAL;
	}
	return 0;
}

static int parse_cipher(struct genl_info *info, struct qkd_esp_config *cfg)
{
	const struct nlattr *on_empty = info->attrs[QKD_A_ESP_ON_EMPTY];

	if (!qkd_nl_has(info, QKD_A_ESP_CIPHER))
		return -EINVAL;
	cfg->cipher = nla_get_u32(info->attrs[QKD_A_ESP_CIPHER]);
	if (cfg->cipher != QKD_CIPHER_OTP) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    info->attrs[QKD_A_ESP_CIPHER],
				    "cipher is not supported");
		return -EOPNOTSUPP;
	}
	cfg->on_empty = on_empty ? nla_get_u32(on_empty) : QKD_ON_EMPTY_BLOCK;
	if (cfg->on_empty != QKD_ON_EMPTY_BLOCK) {
		NL_SET_ERR_MSG_ATTR(info->extack, on_empty,
				    "only on-empty block is supported");
		return -EOPNOTSUPP;
	}
	return 0;
}

/* What names an SA besides its link. */
static int parse_id(struct genl_info *info, u32 *dir, __be32 *spi)
{
	const struct nlattr *attr = info->attrs[QKD_A_ESP_SPI];

	if (!qkd_nl_has(info, QKD_A_ESP_DIR) ||
	    !qkd_nl_has(info, QKD_A_ESP_SPI))
		return -EINVAL;
	*dir = nla_get_u32(info->attrs[QKD_A_ESP_DIR]);
	*spi = nla_get_be32(attr);
	if (ntohl(*spi) < SPI_MIN) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr, "SPI is below 256");
		return -EINVAL;
	}
	return 0;
}

static int parse_mode(struct genl_info *info, struct qkd_esp_config *cfg)
{
	const struct nlattr *mode = info->attrs[QKD_A_ESP_MODE];

	if (!qkd_nl_has(info, QKD_A_ESP_MODE))
		return -EINVAL;
	if (nla_get_u32(mode) == QKD_ESP_MODE_TRANSPORT) {
		cfg->mode = XFRM_MODE_TRANSPORT;
		return 0;
	}
	cfg->mode = XFRM_MODE_TUNNEL;
	if (cfg->dir == QKD_DIR_OUT && xfrm_addr_any(&cfg->src, cfg->family)) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[QKD_A_ESP_SRC],
				    "a tunnel's outer source is not given");
		return -EINVAL;
	}
	return 0;
}

static int parse_replay(struct genl_info *info, struct qkd_esp_config *cfg)
{
	const struct nlattr *window = info->attrs[QKD_A_ESP_REPLAY_WINDOW];

	cfg->esn = nla_get_flag(info->attrs[QKD_A_ESP_ESN]);
	if (window)
		cfg->replay_window = nla_get_u32(window);
	if (cfg->dir == QKD_DIR_OUT && cfg->replay_window) {
		NL_SET_ERR_MSG_ATTR(info->extack, window,
				    "an outbound SA has no replay window");
		return -EINVAL;
	}
	if (cfg->dir == QKD_DIR_IN && cfg->esn && !cfg->replay_window) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    window ?: info->attrs[QKD_A_ESP_ESN],
				    "extended sequence numbers need a replay window");
		return -EINVAL;
	}
	return 0;
}

static int parse_mark(struct genl_info *info, struct qkd_esp_config *cfg)
{
	const struct nlattr *mark = info->attrs[QKD_A_ESP_MARK];
	const struct nlattr *mask = info->attrs[QKD_A_ESP_MARK_MASK];

	if (info->attrs[QKD_A_ESP_REQID])
		cfg->reqid = nla_get_u32(info->attrs[QKD_A_ESP_REQID]);
	if (info->attrs[QKD_A_ESP_IF_ID])
		cfg->if_id = nla_get_u32(info->attrs[QKD_A_ESP_IF_ID]);
	if (!mark && !mask)
		return 0;
	if (!qkd_nl_has(info, QKD_A_ESP_MARK))
		return -EINVAL;
	cfg->mark = nla_get_u32(mark);
	cfg->mark_mask = mask ? nla_get_u32(mask) : U32_MAX;
	if (cfg->mark & ~cfg->mark_mask) {
		NL_SET_ERR_MSG_ATTR(info->extack, mask,
				    "the mask hides bits of the mark");
		return -EINVAL;
	}
	return 0;
}

/* One side of a selector; @family is AF_UNSPEC until an address sets it. */
static int parse_sel_side(struct genl_info *info, const struct nlattr *attr,
			  const struct nlattr *prefix, xfrm_address_t *address,
			  u8 *length, u16 *family)
{
	u16 own;
	int err;

	if (!attr) {
		if (!prefix || !nla_get_u32(prefix))
			return 0;
		NL_SET_ERR_MSG_ATTR(info->extack, prefix,
				    "selector has a prefix length, but no address");
		return -EINVAL;
	}
	err = parse_address(info, attr, address, &own);
	if (err)
		return err;
	if (*family != AF_UNSPEC && *family != own) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr,
				    "selector's addresses are of two families");
		return -EINVAL;
	}
	*family = own;
	*length = prefix ? nla_get_u32(prefix) : 8 * nla_len(attr);
	if (*length <= 8 * nla_len(attr))
		return 0;
	NL_SET_ERR_MSG_ATTR(info->extack, prefix,
			    "selector's prefix is longer than its address");
	return -EINVAL;
}

static int parse_sel_ports(struct genl_info *info, struct nlattr **tb,
			   struct xfrm_selector *sel)
{
	const struct nlattr *ifindex = tb[QKD_A_SEL_IFINDEX];

	if (tb[QKD_A_SEL_PROTO])
		sel->proto = nla_get_u32(tb[QKD_A_SEL_PROTO]);
	if (tb[QKD_A_SEL_SPORT]) {
		sel->sport = htons(nla_get_u32(tb[QKD_A_SEL_SPORT]));
		sel->sport_mask = htons(U16_MAX);
	}
	if (tb[QKD_A_SEL_DPORT]) {
		sel->dport = htons(nla_get_u32(tb[QKD_A_SEL_DPORT]));
		sel->dport_mask = htons(U16_MAX);
	}
	if (!ifindex)
		return 0;
	if (nla_get_u32(ifindex) > INT_MAX) {
		NL_SET_ERR_MSG_ATTR(info->extack, ifindex,
				    "selector's ifindex is out of range");
		return -ERANGE;
	}
	sel->ifindex = nla_get_u32(ifindex);
	return 0;
}

static int parse_sel(struct genl_info *info, struct qkd_esp_config *cfg)
{
	const struct nlattr *nest = info->attrs[QKD_A_ESP_SEL];
	struct nlattr *tb[QKD_A_SEL_IFINDEX + 1];
	struct xfrm_selector *sel = &cfg->sel;
	u16 family = AF_UNSPEC;
	int err;

	if (!nest)
		return 0;
	err = nla_parse_nested(tb, QKD_A_SEL_IFINDEX, nest, qkd_sel_nl_policy,
			       info->extack);
	if (err)
		return err;
	err = parse_sel_side(info, tb[QKD_A_SEL_SRC],
			     tb[QKD_A_SEL_SRC_PREFIX], &sel->saddr,
			     &sel->prefixlen_s, &family);
	if (err)
		return err;
	err = parse_sel_side(info, tb[QKD_A_SEL_DST],
			     tb[QKD_A_SEL_DST_PREFIX], &sel->daddr,
			     &sel->prefixlen_d, &family);
	if (err)
		return err;
	sel->family = family == AF_UNSPEC ? cfg->family : family;
	if (cfg->mode == XFRM_MODE_TRANSPORT && sel->family != cfg->family) {
		NL_SET_ERR_MSG_ATTR(info->extack, nest,
				    "selector is of another family than a transport SA");
		return -EINVAL;
	}
	cfg->has_sel = true;
	return parse_sel_ports(info, tb, sel);
}

static int parse_esp(struct genl_info *info, struct qkd_esp_config *cfg)
{
	int err;

	err = parse_cipher(info, cfg);
	if (err)
		return err;
	err = parse_id(info, &cfg->dir, &cfg->spi);
	if (err)
		return err;
	err = parse_ends(info, cfg);
	if (err)
		return err;
	err = parse_mode(info, cfg);
	if (err)
		return err;
	err = parse_replay(info, cfg);
	if (err)
		return err;
	err = parse_mark(info, cfg);
	if (err)
		return err;
	return parse_sel(info, cfg);
}

/* The link of a request by an administrator. */
static struct qkd_link *admin_link(struct sk_buff *skb, struct genl_info *info)
{
	int err = qkd_nl_admin(skb, info->extack);

	return err ? ERR_PTR(err) : qkd_nl_link(info);
}

static int esp_new(struct sk_buff *skb, struct genl_info *info, bool replace)
{
	struct qkd_esp_config cfg = {};
	struct sk_buff *reply;
	struct qkd_link *link;
	u64 number;
	void *hdr;
	int err;

	link = admin_link(skb, info);
	if (IS_ERR(link))
		return PTR_ERR(link);
	err = parse_esp(info, &cfg);
	if (err)
		goto put_link;
	err = -ENOMEM;
	reply = qkd_nl_reply_new(info, &hdr);
	if (!reply)
		goto put_link;
	err = qkd_esp_add(link, &cfg, replace, &number, info->snd_portid,
			  info->snd_seq, info->extack);
	if (err) {
		qkd_nl_blame(info, QKD_A_ESP_SPI);
		goto free_reply;
	}
	/* A new message has room for this. */
	nla_put_u64_64bit(reply, QKD_A_ESP_SA, number, QKD_A_ESP_PAD);
	genlmsg_end(reply, hdr);
	qkd_link_put(link);
	return genlmsg_reply(reply, info);

free_reply:
	nlmsg_free(reply);
put_link:
	qkd_link_put(link);
	return err;
}

int qkd_nl_esp_add_doit(struct sk_buff *skb, struct genl_info *info)
{
	return esp_new(skb, info, false);
}

int qkd_nl_esp_replace_doit(struct sk_buff *skb, struct genl_info *info)
{
	return esp_new(skb, info, true);
}

int qkd_nl_esp_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct qkd_link *link;
	__be32 spi;
	u32 dir;
	int err;

	link = admin_link(skb, info);
	if (IS_ERR(link))
		return PTR_ERR(link);
	err = parse_id(info, &dir, &spi);
	if (err)
		goto put_link;
	err = qkd_esp_del(link, dir, spi, info->extack);
	if (err)
		qkd_nl_blame(info, QKD_A_ESP_SPI);
put_link:
	qkd_link_put(link);
	return err;
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

static u64 sum_counter(const struct qkd_sa *sa, enum qkd_sa_counter what)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(sa->stats, cpu)->n[what]);
	return sum;
}

static int fill_counters(struct sk_buff *skb, const struct qkd_sa *sa)
{
	struct nlattr *nest;
	u32 i;

	BUILD_BUG_ON(QKD_SA_ICV - QKD_SA_NO_KEY !=
		     QKD_A_ESP_REFUSED_ICV - QKD_A_ESP_REFUSED_NO_KEY);
	if (put_u64(skb, QKD_A_ESP_PACKETS, sum_counter(sa, QKD_SA_PACKETS)) ||
	    put_u64(skb, QKD_A_ESP_BYTES, sum_counter(sa, QKD_SA_BYTES)) ||
	    put_u64(skb, QKD_A_ESP_KEY_BYTES,
		    sum_counter(sa, QKD_SA_KEY_BYTES)))
		return -EMSGSIZE;
	nest = nla_nest_start(skb, QKD_A_ESP_REFUSED);
	if (!nest)
		return -EMSGSIZE;
	for (i = QKD_SA_NO_KEY; i < QKD_SA_COUNTERS; i++)
		if (nla_put_u64_64bit(skb, QKD_A_ESP_REFUSED_NO_KEY + i -
				      QKD_SA_NO_KEY, sum_counter(sa, i),
				      QKD_A_ESP_REFUSED_PAD))
			return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
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

static int fill_config(struct sk_buff *skb, const struct qkd_esp_config *cfg)
{
	u32 mode = cfg->mode == XFRM_MODE_TUNNEL ? QKD_ESP_MODE_TUNNEL :
						   QKD_ESP_MODE_TRANSPORT;

	if (put_address(skb, QKD_A_ESP_SRC, &cfg->src, cfg->family) ||
	    put_address(skb, QKD_A_ESP_DST, &cfg->dst, cfg->family) ||
	    nla_put_u32(skb, QKD_A_ESP_MODE, mode) ||
	    nla_put_u32(skb, QKD_A_ESP_REQID, cfg->reqid) ||
	    nla_put_u32(skb, QKD_A_ESP_IF_ID, cfg->if_id) ||
	    nla_put_u32(skb, QKD_A_ESP_MARK, cfg->mark) ||
	    nla_put_u32(skb, QKD_A_ESP_MARK_MASK, cfg->mark_mask) ||
	    nla_put_u32(skb, QKD_A_ESP_REPLAY_WINDOW, cfg->replay_window) ||
	    (cfg->esn && nla_put_flag(skb, QKD_A_ESP_ESN)))
		return -EMSGSIZE;
	return cfg->has_sel ? fill_sel(skb, &cfg->sel) : 0;
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
	err = fill_counters(skb, sa);
	if (err)
		return err;
	/* XFRM may have deleted its state; then the rest is unknown. */
	if (qkd_esp_describe(sa, &cfg))
		return 0;
	return fill_config(skb, &cfg);
}

static int reply_sa(struct genl_info *info, struct qkd_sa *sa)
{
	struct sk_buff *reply;
	void *hdr;
	int err;

	reply = qkd_nl_reply_new(info, &hdr);
	if (!reply)
		return -ENOMEM;
	err = fill_sa(reply, sa);
	if (err) {
		nlmsg_free(reply);
		return err;
	}
	genlmsg_end(reply, hdr);
	return genlmsg_reply(reply, info);
}

int qkd_nl_esp_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct qkd_link *link;
	struct qkd_sa *sa;
	__be32 spi;
	u32 dir;
	int err;

	link = admin_link(skb, info);
	if (IS_ERR(link))
		return PTR_ERR(link);
	err = parse_id(info, &dir, &spi);
	if (err)
		goto put_link;
	sa = qkd_esp_get(link, dir, spi);
	if (!sa) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[QKD_A_ESP_SPI],
				    "link has no SA with this SPI in this direction");
		err = -ENOENT;
		goto put_link;
	}
	err = reply_sa(info, sa);
	qkd_sa_put(sa);
put_link:
	qkd_link_put(link);
	return err;
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
