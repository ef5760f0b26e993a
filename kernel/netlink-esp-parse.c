// SPDX-License-Identifier: GPL-2.0-only
/* What requests say about SAs, checked attribute by attribute. */
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
	cfg->on_empty = on_empty ? nla_get_u32(on_empty) : QKD_ON_EMPTY_BLOCK;
	return 0;
}

/**
 * qkd_nl_esp_id - what names an SA besides its link
 * @info: request
 * @dir: out: enum qkd_dir
 * @spi: out
 *
 * Return: 0 or -EINVAL, with its message.
 */
int qkd_nl_esp_id(struct genl_info *info, u32 *dir, __be32 *spi)
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
	static const u8 modes[] = {
		[QKD_ESP_MODE_TRANSPORT] = XFRM_MODE_TRANSPORT,
		[QKD_ESP_MODE_TUNNEL] = XFRM_MODE_TUNNEL,
		[QKD_ESP_MODE_BEET] = XFRM_MODE_BEET,
	};

	if (!qkd_nl_has(info, QKD_A_ESP_MODE))
		return -EINVAL;
	cfg->mode = modes[nla_get_u32(info->attrs[QKD_A_ESP_MODE])];
	if (cfg->mode != XFRM_MODE_TRANSPORT && cfg->dir == QKD_DIR_OUT &&
	    xfrm_addr_any(&cfg->src, cfg->family)) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[QKD_A_ESP_SRC],
				    "a tunnel's outer source is not given");
		return -EINVAL;
	}
	return 0;
}

/* Whoever takes epochs by their IVs must know which packets came before. */
static int parse_no_window(struct genl_info *info,
			   const struct qkd_esp_config *cfg)
{
	const struct nlattr *window = info->attrs[QKD_A_ESP_REPLAY_WINDOW];

	if (qkd_nl_esp_has_epochs(cfg->cipher, cfg->on_empty)) {
		NL_SET_ERR_MSG(info->extack,
			       "an inbound SA with AES keys needs a replay window");
		if (window)
			NL_SET_BAD_ATTR(info->extack, window);
		else
			NL_SET_ERR_ATTR_MISS(info->extack, NULL,
					     QKD_A_ESP_REPLAY_WINDOW);
		return -EINVAL;
	}
	if (cfg->esn) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    window ?: info->attrs[QKD_A_ESP_ESN],
				    "extended sequence numbers need a replay window");
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
	if (cfg->dir == QKD_DIR_IN && !cfg->replay_window)
		return parse_no_window(info, cfg);
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

/* The receiver makes the inner addresses out of the selector. */
static int parse_beet(struct genl_info *info, const struct qkd_esp_config *cfg)
{
	const struct xfrm_selector *sel = &cfg->sel;
	u8 full = sel->family == AF_INET ? 32 : 128;

	if (!qkd_nl_has(info, QKD_A_ESP_SEL))
		return -EINVAL;
	if (sel->prefixlen_s == full && sel->prefixlen_d == full)
		return 0;
	NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[QKD_A_ESP_SEL],
			    "mode beet needs a selector of one source and one destination");
	return -EINVAL;
}

static int parse_sel(struct genl_info *info, struct qkd_esp_config *cfg)
{
	const struct nlattr *nest = info->attrs[QKD_A_ESP_SEL];
	struct nlattr *tb[QKD_A_SEL_IFINDEX + 1];
	struct xfrm_selector *sel = &cfg->sel;
	u16 family = AF_UNSPEC;
	int err;

	if (!nest && cfg->mode == XFRM_MODE_BEET)
		return parse_beet(info, cfg);
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
	if (cfg->mode == XFRM_MODE_BEET)
		err = parse_beet(info, cfg);
	return err ?: parse_sel_ports(info, tb, sel);
}

static int parse_encap(struct genl_info *info, struct qkd_esp_config *cfg)
{
	const struct nlattr *nest = info->attrs[QKD_A_ESP_ENCAP];
	struct nlattr *tb[QKD_A_ENCAP_DPORT + 1];
	int err;

	if (!nest)
		return 0;
	err = nla_parse_nested(tb, QKD_A_ENCAP_DPORT, nest, qkd_encap_nl_policy,
			       info->extack);
	if (err)
		return err;
	if (NL_REQ_ATTR_CHECK(info->extack, nest, tb, QKD_A_ENCAP_SPORT) ||
	    NL_REQ_ATTR_CHECK(info->extack, nest, tb, QKD_A_ENCAP_DPORT)) {
		NL_SET_ERR_MSG(info->extack, "encapsulation needs both ports");
		return -EINVAL;
	}
	cfg->encap_sport = htons(nla_get_u32(tb[QKD_A_ENCAP_SPORT]));
	cfg->encap_dport = htons(nla_get_u32(tb[QKD_A_ENCAP_DPORT]));
	return 0;
}

/* A soft and a hard limit; 0 is @none. */
static int parse_limits(struct genl_info *info, struct nlattr *soft,
			struct nlattr *hard, u64 none, u64 max, u64 *limit)
{
	u64 value[2] = {
		soft ? nla_get_u64(soft) : 0,
		hard ? nla_get_u64(hard) : 0,
	};

	if (value[0] > max || value[1] > max) {
		NL_SET_ERR_MSG_ATTR(info->extack, value[0] > max ? soft : hard,
				    "lifetime is out of range");
		return -ERANGE;
	}
	if (value[1] && value[0] > value[1]) {
		NL_SET_ERR_MSG_ATTR(info->extack, soft,
				    "soft limit is above the hard one");
		return -EINVAL;
	}
	limit[0] = value[0] ?: none;
	limit[1] = value[1] ?: none;
	return 0;
}

static int parse_lifetime(struct genl_info *info, struct xfrm_lifetime_cfg *lft)
{
	const struct nlattr *nest = info->attrs[QKD_A_ESP_LIFETIME];
	struct nlattr *tb[QKD_A_LIFETIME_PAD + 1] = {};
	u64 b[2], p[2], a[2], u[2];
	int err = 0;

	if (nest)
		err = nla_parse_nested(tb, QKD_A_LIFETIME_PAD, nest,
				       qkd_lifetime_nl_policy, info->extack);
	if (err)
		return err;
	err = parse_limits(info, tb[QKD_A_LIFETIME_SOFT_BYTES],
			   tb[QKD_A_LIFETIME_HARD_BYTES], XFRM_INF, U64_MAX, b) ?:
	      parse_limits(info, tb[QKD_A_LIFETIME_SOFT_PACKETS],
			   tb[QKD_A_LIFETIME_HARD_PACKETS], XFRM_INF, U64_MAX, p) ?:
	      parse_limits(info, tb[QKD_A_LIFETIME_SOFT_ADD_TIME],
			   tb[QKD_A_LIFETIME_HARD_ADD_TIME], 0, U32_MAX, a) ?:
	      parse_limits(info, tb[QKD_A_LIFETIME_SOFT_USE_TIME],
			   tb[QKD_A_LIFETIME_HARD_USE_TIME], 0, U32_MAX, u);
	if (err)
		return err;
	*lft = (struct xfrm_lifetime_cfg){
		.soft_byte_limit = b[0],
		.hard_byte_limit = b[1],
		.soft_packet_limit = p[0],
		.hard_packet_limit = p[1],
		.soft_add_expires_seconds = a[0],
		.hard_add_expires_seconds = a[1],
		.soft_use_expires_seconds = u[0],
		.hard_use_expires_seconds = u[1],
	};
	return 0;
}

/* Attributes that only SAs with AES keys have, and of these maybe outbound. */
static int parse_epochs_allowed(struct genl_info *info,
				const struct qkd_esp_config *cfg)
{
	static const struct {
		u8 attr;
		bool in;
	} words[] = {
		{ QKD_A_ESP_REKEY_PACKETS },
		{ QKD_A_ESP_REKEY_BYTES },
		{ QKD_A_ESP_REKEY_TIME },
		{ QKD_A_ESP_REKEY_AUTO },
		{ QKD_A_ESP_EPOCH_PACKETS },
		{ QKD_A_ESP_EPOCH_BYTES },
		{ QKD_A_ESP_EPOCH_TIME },
		{ QKD_A_ESP_WEIGHT },
		{ QKD_A_ESP_PARK_TIME, .in = true },
	};
	bool epochs = qkd_nl_esp_has_epochs(cfg->cipher, cfg->on_empty);
	const struct nlattr *attr;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(words); i++) {
		attr = info->attrs[words[i].attr];
		if (!attr || (epochs && (words[i].in || cfg->dir == QKD_DIR_OUT)))
			continue;
		if (epochs)
			NL_SET_ERR_MSG_ATTR(info->extack, attr,
					    "the sender alone decides on new keys");
		else
			NL_SET_ERR_MSG_ATTR(info->extack, attr,
					    "this SA has no AES keys");
		return -EINVAL;
	}
	return 0;
}

static u64 get_uint(struct genl_info *info, u32 type, u64 value)
{
	const struct nlattr *attr = info->attrs[type];

	if (!attr)
		return value;
	return nla_len(attr) == sizeof(u64) ? nla_get_u64(attr) :
					      nla_get_u32(attr);
}

/* When epochs are due; @limits are those of the SA. */
static int parse_rekey(struct genl_info *info, const struct qkd_rekey *limits,
		       struct qkd_rekey *rekey)
{
	u32 bad = 0;

	rekey->packets = get_uint(info, QKD_A_ESP_REKEY_PACKETS, 0);
	rekey->bytes = get_uint(info, QKD_A_ESP_REKEY_BYTES, 0);
	rekey->time = get_uint(info, QKD_A_ESP_REKEY_TIME, 0);
	rekey->automatic = nla_get_flag(info->attrs[QKD_A_ESP_REKEY_AUTO]);
	if (rekey->automatic && rekey->time) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    info->attrs[QKD_A_ESP_REKEY_TIME],
				    "rekey-auto decides on the time");
		return -EINVAL;
	}
	if (rekey->packets > limits->packets)
		bad = QKD_A_ESP_REKEY_PACKETS;
	else if (rekey->bytes > limits->bytes)
		bad = QKD_A_ESP_REKEY_BYTES;
	else if (rekey->time > limits->time)
		bad = QKD_A_ESP_REKEY_TIME;
	if (!bad)
		return 0;
	NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[bad],
			    "rekey interval is above the limit of an epoch");
	return -EINVAL;
}

static int parse_epochs(struct genl_info *info, struct qkd_esp_config *cfg)
{
	struct qkd_rekey *limits = &cfg->limits;
	int err;

	err = parse_epochs_allowed(info, cfg);
	if (err)
		return err;
	limits->packets = get_uint(info, QKD_A_ESP_EPOCH_PACKETS,
				   QKD_REKEY_PACKETS_MAX);
	limits->bytes = get_uint(info, QKD_A_ESP_EPOCH_BYTES,
				 QKD_REKEY_BYTES_MAX);
	limits->time = get_uint(info, QKD_A_ESP_EPOCH_TIME, QKD_REKEY_TIME_MAX);
	cfg->weight = get_uint(info, QKD_A_ESP_WEIGHT, 1);
	cfg->park_time = get_uint(info, QKD_A_ESP_PARK_TIME, QKD_PARK_TIME);
	return parse_rekey(info, limits, &cfg->rekey);
}

/* Fetches the secret that a request names; NULL if it names none. */
static struct qkd_secret *parse_secret(struct genl_info *info, u32 cipher)
{
	const struct nlattr *name = info->attrs[QKD_A_ESP_SECRET];
	const struct nlattr *number = info->attrs[QKD_A_ESP_SECRET_NUMBER];
	struct qkd_secret *secret;

	if ((name || number) && cipher != QKD_CIPHER_HYBRID) {
		NL_SET_ERR_MSG_ATTR(info->extack, name ?: number,
				    "only cipher hybrid has external secrets");
		return ERR_PTR(-EINVAL);
	}
	if (!name && number) {
		NL_SET_ERR_MSG_ATTR(info->extack, number,
				    "a secret's number without a secret");
		return ERR_PTR(-EINVAL);
	}
	if (!name)
		return NULL;
	secret = qkd_secret_get(nla_data(name), number ? nla_get_u32(number) : 1,
				info->extack);
	if (IS_ERR(secret))
		qkd_nl_blame(info, QKD_A_ESP_SECRET);
	return secret;
}

static int parse_new_secret(struct genl_info *info, struct qkd_esp_config *cfg)
{
	struct qkd_secret *secret;

	if (cfg->cipher == QKD_CIPHER_HYBRID &&
	    !info->attrs[QKD_A_ESP_SECRET_NUMBER] &&
	    !qkd_nl_has(info, QKD_A_ESP_SECRET))
		return -EINVAL;
	secret = parse_secret(info, cfg->cipher);
	if (IS_ERR(secret))
		return PTR_ERR(secret);
	cfg->secret = secret;
	return 0;
}

static int parse_bind(struct genl_info *info, struct qkd_esp_config *cfg)
{
	const struct nlattr *name = info->attrs[QKD_A_ESP_BIND];
	int err;

	if (!name)
		return 0;
	if (cfg->cipher == QKD_CIPHER_HYBRID) {
		NL_SET_ERR_MSG_ATTR(info->extack, name,
				    "cipher hybrid is bound by its external secret");
		return -EINVAL;
	}
	err = qkd_bind_get(nla_data(name), cfg->bind, info->extack);
	if (err)
		qkd_nl_blame(info, QKD_A_ESP_BIND);
	cfg->has_bind = !err;
	return err;
}

/**
 * qkd_nl_esp_new - what an SA is to be added with
 * @info: request
 * @cfg: out, was zero; the caller frees its secret and wipes its bind
 *
 * Return: 0; else a negative errno with its message, and @cfg has neither.
 */
int qkd_nl_esp_new(struct genl_info *info, struct qkd_esp_config *cfg)
{
	int err;

	err = parse_cipher(info, cfg);
	if (err)
		return err;
	err = qkd_nl_esp_id(info, &cfg->dir, &cfg->spi);
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
	err = parse_sel(info, cfg);
	if (err)
		return err;
	err = parse_encap(info, cfg);
	if (err)
		return err;
	err = parse_lifetime(info, &cfg->lft);
	if (err)
		return err;
	err = parse_epochs(info, cfg);
	if (err)
		return err;
	err = parse_bind(info, cfg) ?: parse_new_secret(info, cfg);
	if (err)
		memzero_explicit(cfg->bind, sizeof(cfg->bind));
	return err;
}

static int parse_next_secret(struct genl_info *info, u32 cipher,
			     struct qkd_esp_change *change)
{
	struct qkd_secret *secret;

	if (info->attrs[QKD_A_ESP_SECRET] && cipher == QKD_CIPHER_HYBRID &&
	    !qkd_nl_has(info, QKD_A_ESP_SECRET_NUMBER))
		return -EINVAL;
	secret = parse_secret(info, cipher);
	if (IS_ERR(secret))
		return PTR_ERR(secret);
	change->secret = secret;
	return 0;
}

/**
 * qkd_nl_esp_change - what is to change about an SA
 * @info: request
 * @cfg: what the SA is
 * @rekey: room for the new intervals
 * @change: out, was zero; the caller frees its secret
 *
 * Return: 0; else a negative errno with its message, and @change has no secret.
 */
int qkd_nl_esp_change(struct genl_info *info, const struct qkd_esp_config *cfg,
		      struct qkd_rekey *rekey, struct qkd_esp_change *change)
{
	int err;

	err = parse_epochs_allowed(info, cfg);
	if (err)
		return err;
	if (info->attrs[QKD_A_ESP_REKEY_PACKETS] ||
	    info->attrs[QKD_A_ESP_REKEY_BYTES] ||
	    info->attrs[QKD_A_ESP_REKEY_TIME] ||
	    info->attrs[QKD_A_ESP_REKEY_AUTO]) {
		err = parse_rekey(info, &cfg->limits, rekey);
		if (err)
			return err;
		change->rekey = rekey;
	}
	change->weight = get_uint(info, QKD_A_ESP_WEIGHT, 0);
	change->has_park_time = info->attrs[QKD_A_ESP_PARK_TIME];
	change->park_time = get_uint(info, QKD_A_ESP_PARK_TIME, 0);
	err = parse_next_secret(info, cfg->cipher, change);
	if (err)
		return err;
	if (change->rekey || change->weight || change->has_park_time ||
	    change->secret)
		return 0;
	NL_SET_ERR_MSG(info->extack, "nothing to change");
	return -EINVAL;
}
