// SPDX-License-Identifier: GPL-2.0-only
/*
 * Speaks the generic netlink family "macsec", by nlport.c.
 */
#include <linux/if_macsec.h>
#include <net/genetlink.h>

#include "macsec.h"

/* Room for the largest request, and not much more. */
#define SA_SIZE		(nla_total_size(sizeof(u8)) +		/* AN */	\
			 nla_total_size(sizeof(u8)) +		/* active */	\
			 nla_total_size(sizeof(u64)) +		/* PN */	\
			 nla_total_size(QKD_SAK_MAX) +				\
			 nla_total_size(MACSEC_KEYID_LEN) +			\
			 nla_total_size(sizeof(u32)) +		/* SSCI */	\
			 nla_total_size(MACSEC_SALT_LEN))
#define REQUEST_SIZE	(GENL_HDRLEN +						\
			 nla_total_size(sizeof(u32)) +		/* ifindex */	\
			 nla_total_size(nla_total_size(sizeof(u64))) +	/* SCI */ \
			 nla_total_size(SA_SIZE))

static struct sk_buff *request_new(struct qkd_port *port, u8 cmd)
{
	return qkd_port_request(port, NLM_F_ACK, cmd, MACSEC_GENL_VERSION, REQUEST_SIZE);
}

static int put_channel(struct sk_buff *skb, __be64 sci)
{
	struct nlattr *nest = nla_nest_start(skb, MACSEC_ATTR_RXSC_CONFIG);

	/* macsec asks for no alignment */
	if (!nest || nla_put(skb, MACSEC_RXSC_ATTR_SCI, sizeof(sci), &sci))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

/**
 * struct sa_change - what a request says about an SA
 * @active: -1 for nothing
 * @id: key ID, with @sak
 * @sak: key, or NULL
 */
struct sa_change {
	int active;
	const u8 *id;
	const struct qkd_sak *sak;
};

static int put_pn(struct sk_buff *skb, bool xpn)
{
	return xpn ? nla_put(skb, MACSEC_SA_ATTR_PN, sizeof(u64), &(u64){ 1 }) :
		     nla_put_u32(skb, MACSEC_SA_ATTR_PN, 1);
}

static int put_key(struct sk_buff *skb, const struct sa_change *change)
{
	const struct qkd_sak *sak = change->sak;

	/* The packet number is not the last: macsec reads 64 bits in any case. */
	if (put_pn(skb, sak->has_xpn) ||
	    nla_put(skb, MACSEC_SA_ATTR_KEYID, MACSEC_KEYID_LEN, change->id) ||
	    nla_put(skb, MACSEC_SA_ATTR_KEY, sak->len, sak->key))
		return -EMSGSIZE;
	if (!sak->has_xpn)
		return 0;
	if (nla_put(skb, MACSEC_SA_ATTR_SSCI, sizeof(sak->xpn.ssci), sak->xpn.ssci) ||
	    nla_put(skb, MACSEC_SA_ATTR_SALT, sizeof(sak->xpn.salt), sak->xpn.salt))
		return -EMSGSIZE;
	return 0;
}

static int put_sa(struct sk_buff *skb, u8 an, const struct sa_change *change)
{
	struct nlattr *nest = nla_nest_start(skb, MACSEC_ATTR_SA_CONFIG);

	BUILD_BUG_ON(QKD_KEY_ID_LEN != MACSEC_KEYID_LEN);
	BUILD_BUG_ON(sizeof_field(struct qkd_xpn, salt) != MACSEC_SALT_LEN);
	if (!nest || nla_put_u8(skb, MACSEC_SA_ATTR_AN, an) ||
	    (change->active >= 0 &&
	     nla_put_u8(skb, MACSEC_SA_ATTR_ACTIVE, change->active)) ||
	    (change->sak && put_key(skb, change)))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int run_sa(struct qkd_port *port, u8 cmd, u32 ifindex,
		  const struct qkd_macsec_name *name, const struct sa_change *change)
{
	struct sk_buff *skb = request_new(port, cmd);

	if (!skb)
		return -ENOMEM;
	if (nla_put_u32(skb, MACSEC_ATTR_IFINDEX, ifindex) ||
	    (name->dir == QKD_DIR_IN && put_channel(skb, name->sci)) ||
	    put_sa(skb, name->an, change) || (change->sak && !qkd_port_is_tight(skb))) {
		qkd_port_drop(skb);
		return -EMSGSIZE;
	}
	return qkd_port_run(port, skb, NULL, NULL);
}

/**
 * qkd_macsec_find - ask macsec whether it has an SA
 * @port: conversation
 * @ifindex: of the device
 * @name: which SA
 *
 * By a change of nothing, since macsec can only be asked for all SAs of all
 * devices.
 *
 * Process context without locks, may sleep.
 * Return: 0 if it has; -ENODEV if it has not, or has no such channel or device.
 */
int qkd_macsec_find(struct qkd_port *port, u32 ifindex,
		    const struct qkd_macsec_name *name)
{
	static const struct sa_change nothing = { .active = -1 };
	u8 cmd = name->dir == QKD_DIR_OUT ? MACSEC_CMD_UPD_TXSA : MACSEC_CMD_UPD_RXSA;

	return run_sa(port, cmd, ifindex, name, &nothing);
}

/**
 * qkd_macsec_find_channel - ask macsec whether it has a receive channel
 * @port: conversation
 * @ifindex: of the device
 * @sci: of the channel
 *
 * As qkd_macsec_find().
 */
int qkd_macsec_find_channel(struct qkd_port *port, u32 ifindex, __be64 sci)
{
	struct sk_buff *skb = request_new(port, MACSEC_CMD_UPD_RXSC);

	if (!skb)
		return -ENOMEM;
	if (nla_put_u32(skb, MACSEC_ATTR_IFINDEX, ifindex) || put_channel(skb, sci)) {
		qkd_port_drop(skb);
		return -EMSGSIZE;
	}
	return qkd_port_run(port, skb, NULL, NULL);
}

/**
 * qkd_macsec_install - give macsec an SA
 * @port: conversation
 * @ifindex: of the device
 * @name: which SA
 * @id: key ID
 * @sak: its key
 *
 * It is active, and begins with packet number 1.
 *
 * Process context without locks, may sleep.
 * Return: 0; -EBUSY the AN is in use, -ENODEV no such channel or device, -ENOMEM,
 * or what macsec said.
 */
int qkd_macsec_install(struct qkd_port *port, u32 ifindex,
		       const struct qkd_macsec_name *name, const u8 id[QKD_KEY_ID_LEN],
		       const struct qkd_sak *sak)
{
	const struct sa_change change = { .active = 1, .id = id, .sak = sak };
	u8 cmd = name->dir == QKD_DIR_OUT ? MACSEC_CMD_ADD_TXSA : MACSEC_CMD_ADD_RXSA;

	return run_sa(port, cmd, ifindex, name, &change);
}

/**
 * qkd_macsec_remove - take an SA from macsec
 * @port: conversation
 * @ifindex: of the device
 * @name: which SA
 *
 * Process context without locks, may sleep.
 * Return: 0; -ENODEV it has no such SA, or what macsec said.
 */
int qkd_macsec_remove(struct qkd_port *port, u32 ifindex,
		      const struct qkd_macsec_name *name)
{
	static const struct sa_change inactive = { .active = 0 };
	static const struct sa_change nothing = { .active = -1 };
	bool out = name->dir == QKD_DIR_OUT;
	int err;

	/* macsec does not remove one that is active */
	err = run_sa(port, out ? MACSEC_CMD_UPD_TXSA : MACSEC_CMD_UPD_RXSA, ifindex, name,
		     &inactive);
	if (err)
		return err;
	return run_sa(port, out ? MACSEC_CMD_DEL_TXSA : MACSEC_CMD_DEL_RXSA, ifindex, name,
		      &nothing);
}
