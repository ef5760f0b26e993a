// SPDX-License-Identifier: GPL-2.0-only
/*
 * Speaks the generic netlink family "wireguard", by nlport.c.
 *
 * WireGuard answers for a device with all its keys, private and preshared: nothing
 * of an answer outlives the call but what is asked for, and that is the caller's to
 * wipe.
 */
#include <linux/wireguard.h>
#include <net/genetlink.h>

#include "wg.h"

/* Room for the largest request, and not much more. */
#define PEER_SIZE	(nla_total_size(QKD_WG_KEY) +		/* public */	\
			 nla_total_size(sizeof(u32)) +		/* flags */	\
			 nla_total_size(QKD_WG_KEY))		/* preshared */
#define REQUEST_SIZE	(GENL_HDRLEN +						\
			 nla_total_size(sizeof(u32)) +		/* ifindex */	\
			 nla_total_size(nla_total_size(PEER_SIZE)))

/**
 * qkd_wg_open - begin to speak with WireGuard
 * @port: out, for qkd_port_close()
 * @net: as of qkd_port_open()
 *
 * Return: as qkd_port_open().
 */
int qkd_wg_open(struct qkd_port *port, struct net *net)
{
	return qkd_port_open(port, net, WG_GENL_NAME);
}

static struct sk_buff *request_new(struct qkd_port *port, u16 flags, u8 cmd,
				   const struct qkd_wg_name *name)
{
	struct sk_buff *skb = qkd_port_request(port, flags, cmd, WG_GENL_VERSION,
					       REQUEST_SIZE);

	/* a new message has room for that */
	if (skb)
		nla_put_u32(skb, WGDEVICE_A_IFINDEX, name->ifindex);
	return skb;
}

/**
 * struct asking - what is made of an answer
 * @name: of the peer
 * @device: out
 */
struct asking {
	const struct qkd_wg_name *name;
	struct qkd_wg_device *device;
};

static void take_peer(struct asking *asking, const struct nlattr *peer)
{
	const struct nlattr *public, *time;
	struct __kernel_timespec ts;

	public = nla_find_nested(peer, WGPEER_A_PUBLIC_KEY);
	if (!public || nla_len(public) != QKD_WG_KEY ||
	    memcmp(nla_data(public), asking->name->peer, QKD_WG_KEY))
		return;
	asking->device->has_peer = true;
	/* a peer of many addresses comes in pieces, and only the first has a time */
	time = nla_find_nested(peer, WGPEER_A_LAST_HANDSHAKE_TIME);
	if (!time || nla_len(time) != sizeof(ts))
		return;
	memcpy(&ts, nla_data(time), sizeof(ts));
	asking->device->handshake = ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static void take_device(const struct nlmsghdr *nlh, void *arg)
{
	const struct nlattr *private, *public, *peers, *peer;
	struct asking *asking = arg;
	int left;

	if (nlmsg_len(nlh) < GENL_HDRLEN)
		return;
	private = nlmsg_find_attr(nlh, GENL_HDRLEN, WGDEVICE_A_PRIVATE_KEY);
	public = nlmsg_find_attr(nlh, GENL_HDRLEN, WGDEVICE_A_PUBLIC_KEY);
	if (private && nla_len(private) == QKD_WG_KEY &&
	    public && nla_len(public) == QKD_WG_KEY) {
		asking->device->has_keys = true;
		memcpy(asking->device->private, nla_data(private), QKD_WG_KEY);
		memcpy(asking->device->public, nla_data(public), QKD_WG_KEY);
	}
	peers = nlmsg_find_attr(nlh, GENL_HDRLEN, WGDEVICE_A_PEERS);
	if (peers)
		nla_for_each_nested(peer, peers, left)
			take_peer(asking, peer);
}

/**
 * qkd_wg_ask - ask a device for its keys and after a peer
 * @port: conversation
 * @name: of the device and the peer
 * @device: out, to be wiped even after an error
 *
 * Process context without locks, may sleep.
 * Return: 0; -ENODEV there is no such device, -ENOMEM, or what WireGuard said.
 */
int qkd_wg_ask(struct qkd_port *port, const struct qkd_wg_name *name,
	       struct qkd_wg_device *device)
{
	struct asking asking = { .name = name, .device = device };
	struct sk_buff *skb = request_new(port, NLM_F_DUMP, WG_CMD_GET_DEVICE, name);

	memset(device, 0, sizeof(*device));
	return skb ? qkd_port_run(port, skb, take_device, &asking) : -ENOMEM;
}

static int put_peer(struct sk_buff *skb, const struct qkd_wg_name *name,
		    const u8 key[QKD_WG_KEY])
{
	struct nlattr *peers = nla_nest_start(skb, WGDEVICE_A_PEERS);
	struct nlattr *peer = peers ? nla_nest_start(skb, 0) : NULL;

	if (!peer || nla_put(skb, WGPEER_A_PUBLIC_KEY, QKD_WG_KEY, name->peer) ||
	    nla_put_u32(skb, WGPEER_A_FLAGS, WGPEER_F_UPDATE_ONLY) ||
	    nla_put(skb, WGPEER_A_PRESHARED_KEY, QKD_WG_KEY, key))
		return -EMSGSIZE;
	nla_nest_end(skb, peer);
	nla_nest_end(skb, peers);
	return 0;
}

static int run_secret(struct qkd_port *port, struct sk_buff *skb, int err)
{
	if (err || !qkd_port_is_tight(skb)) {
		qkd_port_drop(skb);
		return -EMSGSIZE;
	}
	return qkd_port_run(port, skb, NULL, NULL);
}

/**
 * qkd_wg_give - give a peer a preshared key
 * @port: conversation
 * @name: of the peer
 * @key: the key
 *
 * It counts from the next handshake on. WireGuard does not say whether it has such a
 * peer: ask.
 *
 * Process context without locks, may sleep.
 * Return: 0; -ENODEV there is no such device, -ENOMEM, or what WireGuard said; -ENOMSG if
 * it said nothing: the peer may have the key.
 */
int qkd_wg_give(struct qkd_port *port, const struct qkd_wg_name *name,
		const u8 key[QKD_WG_KEY])
{
	struct sk_buff *skb = request_new(port, NLM_F_ACK, WG_CMD_SET_DEVICE, name);

	return skb ? run_secret(port, skb, put_peer(skb, name, key)) : -ENOMEM;
}

/**
 * qkd_wg_shake - let a device send no more under the sessions that it has
 * @port: conversation
 * @name: of the device
 * @private: its private key
 *
 * The next packet to each of its peers waits for a handshake. What the peers send
 * under the old sessions is still received, so that nothing is lost. WireGuard does
 * that when it is given a private key that is not, bit for bit, the one that it
 * has; this one is the same to X25519, which ignores the top bit.
 *
 * Process context without locks, may sleep.
 * Return: 0; -ENODEV there is no such device, -ENOMEM, or what WireGuard said.
 */
int qkd_wg_shake(struct qkd_port *port, const struct qkd_wg_name *name,
		 const u8 private[QKD_WG_KEY])
{
	struct sk_buff *skb = request_new(port, NLM_F_ACK, WG_CMD_SET_DEVICE, name);
	struct nlattr *key;

	if (!skb)
		return -ENOMEM;
	key = nla_reserve(skb, WGDEVICE_A_PRIVATE_KEY, QKD_WG_KEY);
	if (key) {
		memcpy(nla_data(key), private, QKD_WG_KEY);
		((u8 *)nla_data(key))[QKD_WG_KEY - 1] ^= BIT(7);
	}
	return run_secret(port, skb, key ? 0 : -EMSGSIZE);
}
