// SPDX-License-Identifier: GPL-2.0-only
/*
 * Speaks the generic netlink family "macsec" from inside the kernel, which is
 * the only way there is to give a macsec device a key.
 *
 * No byte of a SAK may be seen by anybody else:
 *  - The request is sent from the namespace's own kernel socket of generic
 *    netlink. What goes between two kernel sockets is not copied to nlmon.
 *  - That socket has NETLINK_CAP_ACK, else an error's acknowledgment would
 *    quote the request. It sends no other requests, so nobody else notices.
 *  - Answers go to a socket of ours, which has an address and only receives.
 *  - The message has just the room that it needs, else netlink would copy it to
 *    a smaller one and free the first as it is.
 *  - We hold the message while it is handled, and wipe it then.
 *
 * A kernel thread passes every capability check: whoever asks for all this is
 * checked when he asks.
 *
 * Process context without any lock: macsec's handlers take generic netlink's
 * lock and RTNL.
 */
#include <linux/genetlink.h>
#include <linux/if_macsec.h>
#include <linux/net.h>
#include <linux/slab.h>
#include <linux/sockptr.h>
#include <net/netlink.h>
#include <net/sock.h>

#include "macsec.h"

/* Holds the description of the family, which is the longest answer. */
#define ANSWER_SIZE	4096

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

static struct sk_buff *request_new(struct qkd_macsec_port *port, u16 type, u8 cmd,
				   u8 version)
{
	struct sk_buff *skb = nlmsg_new(REQUEST_SIZE, GFP_KERNEL);
	struct genlmsghdr *genl;
	struct nlmsghdr *nlh;

	if (!skb)
		return NULL;
	nlh = nlmsg_put(skb, port->portid, ++port->seq, type, GENL_HDRLEN,
			NLM_F_REQUEST | NLM_F_ACK);
	if (!nlh) {
		kfree_skb(skb);
		return NULL;
	}
	genl = nlmsg_data(nlh);
	*genl = (struct genlmsghdr){ .cmd = cmd, .version = version };
	return skb;
}

static void request_free(struct sk_buff *skb)
{
	memzero_explicit(skb->head, skb_end_offset(skb));
	kfree_skb(skb);
}

/*
 * The next message that the kernel has sent to our socket. What others send
 * there does not count.
 */
static int receive(struct qkd_macsec_port *port, struct nlmsghdr **nlh)
{
	struct sockaddr_nl from;
	struct kvec iov = { .iov_base = port->answer, .iov_len = ANSWER_SIZE };
	struct msghdr msg = { .msg_name = &from };
	int len;

	do {
		from.nl_pid = 0;
		len = kernel_recvmsg(port->sock, &msg, &iov, 1, ANSWER_SIZE, MSG_DONTWAIT);
		if (len < 0)
			return len;
	} while (from.nl_pid);
	*nlh = (struct nlmsghdr *)port->answer;
	return nlmsg_ok(*nlh, len) ? 0 : -EBADMSG;
}

/*
 * Requests are handled before netlink_unicast() returns, so that their answers
 * wait here. @fn gets those that come before the acknowledgment.
 */
static int take_answers(struct qkd_macsec_port *port,
			void (*fn)(struct qkd_macsec_port *port, struct nlmsghdr *nlh))
{
	const struct nlmsgerr *ack;
	struct nlmsghdr *nlh;
	int err;

	for (;;) {
		err = receive(port, &nlh);
		if (err)
			return err;
		if (nlh->nlmsg_seq != port->seq)
			continue;
		if (nlh->nlmsg_type == NLMSG_ERROR)
			break;
		if (fn)
			fn(port, nlh);
	}
	if (nlmsg_len(nlh) < (int)sizeof(*ack))
		return -EBADMSG;
	ack = nlmsg_data(nlh);
	return ack->error;
}

/* Sends a request and wipes it. Returns what its acknowledgment says. */
static int request_run(struct qkd_macsec_port *port, struct sk_buff *skb,
		       void (*fn)(struct qkd_macsec_port *port, struct nlmsghdr *nlh))
{
	int err;

	nlmsg_end(skb, nlmsg_hdr(skb));
	NETLINK_CB(skb).portid = port->portid;
	/* else the capability check looks at a file that is not there */
	NETLINK_CB(skb).flags = NETLINK_SKB_DST;
	err = netlink_unicast(port->net->genl_sock, skb_get(skb), 0, MSG_DONTWAIT);
	request_free(skb);
	return err < 0 ? err : take_answers(port, fn);
}

static void take_family(struct qkd_macsec_port *port, struct nlmsghdr *nlh)
{
	const struct nlattr *id;

	if (nlh->nlmsg_type != GENL_ID_CTRL || nlmsg_len(nlh) < GENL_HDRLEN)
		return;
	id = nlmsg_find_attr(nlh, GENL_HDRLEN, CTRL_ATTR_FAMILY_ID);
	if (id && nla_len(id) == sizeof(u16))
		port->family = nla_get_u16(id);
}

static int find_family(struct qkd_macsec_port *port)
{
	struct sk_buff *skb = request_new(port, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1);
	int err;

	if (!skb)
		return -ENOMEM;
	if (nla_put_string(skb, CTRL_ATTR_FAMILY_NAME, MACSEC_GENL_NAME)) {
		request_free(skb);
		return -EMSGSIZE;
	}
	err = request_run(port, skb, take_family);
	if (!err && !port->family)
		err = -EBADMSG;
	return err;
}

/* See the top of this file. */
static int cap_acks(struct net *net)
{
	struct socket *sock = net->genl_sock->sk_socket;
	int one = 1;

	return sock->ops->setsockopt(sock, SOL_NETLINK, NETLINK_CAP_ACK,
				     KERNEL_SOCKPTR(&one), sizeof(one));
}

static int listen_for_answers(struct qkd_macsec_port *port)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	int err;

	err = kernel_bind(port->sock, (QKD_BIND_ADDR *)&addr, sizeof(addr));
	if (err)
		return err;
	err = kernel_getsockname(port->sock, (struct sockaddr *)&addr);
	if (err < 0)
		return err;
	port->portid = addr.nl_pid;
	return 0;
}

/**
 * qkd_macsec_open - begin to speak with macsec
 * @port: out
 * @net: namespace; the caller holds it until qkd_macsec_close()
 *
 * Process context without locks, may sleep.
 * Return: 0; -ENOENT there is no macsec, -ENOMEM, or what netlink said.
 */
int qkd_macsec_open(struct qkd_macsec_port *port, struct net *net)
{
	int err;

	*port = (struct qkd_macsec_port){ .net = net };
	port->answer = kmalloc(ANSWER_SIZE, GFP_KERNEL);
	if (!port->answer)
		return -ENOMEM;
	/* takes no reference on the namespace */
	err = sock_create_kern(net, AF_NETLINK, SOCK_RAW, NETLINK_GENERIC, &port->sock);
	if (err)
		goto err_free;
	err = cap_acks(net) ?: listen_for_answers(port) ?: find_family(port);
	if (!err)
		return 0;
	sock_release(port->sock);
err_free:
	kfree(port->answer);
	return err;
}

/**
 * qkd_macsec_close - undo qkd_macsec_open()
 * @port: conversation
 */
void qkd_macsec_close(struct qkd_macsec_port *port)
{
	sock_release(port->sock);
	kfree(port->answer);
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

/* Would netlink_trim() leave it as it is? */
static bool is_tight(const struct sk_buff *skb)
{
	return 2 * skb_tailroom(skb) < skb->truesize;
}

static int run_sa(struct qkd_macsec_port *port, u8 cmd, u32 ifindex,
		  const struct qkd_macsec_name *name, const struct sa_change *change)
{
	struct sk_buff *skb = request_new(port, port->family, cmd, MACSEC_GENL_VERSION);

	if (!skb)
		return -ENOMEM;
	if (nla_put_u32(skb, MACSEC_ATTR_IFINDEX, ifindex) ||
	    (name->dir == QKD_DIR_IN && put_channel(skb, name->sci)) ||
	    put_sa(skb, name->an, change) || (change->sak && !is_tight(skb))) {
		request_free(skb);
		return -EMSGSIZE;
	}
	return request_run(port, skb, NULL);
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
int qkd_macsec_find(struct qkd_macsec_port *port, u32 ifindex,
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
int qkd_macsec_find_channel(struct qkd_macsec_port *port, u32 ifindex, __be64 sci)
{
	struct sk_buff *skb = request_new(port, port->family, MACSEC_CMD_UPD_RXSC,
					  MACSEC_GENL_VERSION);

	if (!skb)
		return -ENOMEM;
	if (nla_put_u32(skb, MACSEC_ATTR_IFINDEX, ifindex) || put_channel(skb, sci)) {
		request_free(skb);
		return -EMSGSIZE;
	}
	return request_run(port, skb, NULL);
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
int qkd_macsec_install(struct qkd_macsec_port *port, u32 ifindex,
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
int qkd_macsec_remove(struct qkd_macsec_port *port, u32 ifindex,
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
