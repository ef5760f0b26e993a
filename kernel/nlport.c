// SPDX-License-Identifier: GPL-2.0-only
/*
 * Speaks other generic netlink families from inside the kernel, which is the only
 * way there is to give a macsec device a key, or WireGuard.
 *
 * No byte of a key may be seen by anybody else:
 *  - The request is sent from the namespace's own kernel socket of generic
 *    netlink. What goes between two kernel sockets is not copied to nlmon.
 *  - That socket has NETLINK_CAP_ACK, else an error's acknowledgment would
 *    quote the request. It sends no other requests, so nobody else notices.
 *  - Answers go to a socket of ours, which has an address and only receives.
 *    WireGuard's hold keys, too. Once it is connected that socket calls itself one of a
 *    protocol that nlmon does not ask for; answers are read where they lie, and
 *    wiped there.
 *  - A request has just the room that it needs, else netlink would copy it to
 *    a smaller one and free the first as it is.
 *  - We hold the request while it is handled, and wipe it then.
 *
 * A kernel thread passes every capability check: whoever asks for all this is
 * checked when he asks.
 *
 * Process context without any lock: the families' handlers take generic netlink's
 * lock and RTNL.
 */
#include <linux/genetlink.h>
#include <linux/net.h>
#include <linux/sockptr.h>
#include <net/sock.h>

#include "nlport.h"

/* Room for a family's name. */
#define FAMILY_SIZE	(GENL_HDRLEN + nla_total_size(GENL_NAMSIZ))

static struct sk_buff *request_new(struct qkd_port *port, u16 type, u16 flags, u8 cmd,
				   u8 version, size_t size)
{
	struct sk_buff *skb = nlmsg_new(size, GFP_KERNEL);
	struct genlmsghdr *genl;
	struct nlmsghdr *nlh;

	if (!skb)
		return NULL;
	nlh = nlmsg_put(skb, port->portid, ++port->seq, type, GENL_HDRLEN,
			NLM_F_REQUEST | flags);
	if (!nlh) {
		kfree_skb(skb);
		return NULL;
	}
	genl = nlmsg_data(nlh);
	*genl = (struct genlmsghdr){ .cmd = cmd, .version = version };
	return skb;
}

/**
 * qkd_port_request - begin a request
 * @port: conversation
 * @flags: NLM_F_ACK or NLM_F_DUMP
 * @cmd: of the family
 * @version: of the family
 * @size: of all that follows, GENL_HDRLEN included
 *
 * Process context, may sleep.
 * Return: the request, for qkd_port_run() or qkd_port_drop(), or NULL.
 */
struct sk_buff *qkd_port_request(struct qkd_port *port, u16 flags, u8 cmd, u8 version,
				 size_t size)
{
	return request_new(port, port->family, flags, cmd, version, size);
}

static void skb_wipe(struct sk_buff *skb)
{
	memzero_explicit(skb->head, skb_end_offset(skb));
}

/**
 * qkd_port_drop - wipe and free a request
 * @skb: request
 */
void qkd_port_drop(struct sk_buff *skb)
{
	skb_wipe(skb);
	kfree_skb(skb);
}

/**
 * qkd_port_is_tight - would netlink_trim() leave a request as it is?
 * @skb: request that is complete
 */
bool qkd_port_is_tight(const struct sk_buff *skb)
{
	return 2 * skb_tailroom(skb) < skb->truesize;
}

/* Nobody but us takes from the queue, so the first stays where it is. */
static struct sk_buff *first_answer(struct qkd_port *port)
{
	struct sk_buff_head *queue = &port->sock->sk->sk_receive_queue;
	struct sk_buff *skb;

	spin_lock_irq(&queue->lock);
	skb = skb_peek(queue);
	spin_unlock_irq(&queue->lock);
	return skb;
}

/* After which netlink makes the next one, if it is dumping. */
static int discard_answer(struct qkd_port *port)
{
	u8 nothing[16];
	struct kvec iov = { .iov_base = nothing, .iov_len = sizeof(nothing) };
	struct msghdr msg = {};

	return kernel_recvmsg(port->sock, &msg, &iov, 1, sizeof(nothing), MSG_DONTWAIT);
}

/* Is it the last message of an answer? Then @result is what it says. */
static bool is_last(const struct nlmsghdr *nlh, int *result)
{
	if (nlh->nlmsg_type != NLMSG_ERROR && nlh->nlmsg_type != NLMSG_DONE)
		return false;
	/* an errno is the first that both have */
	*result = nlmsg_len(nlh) < (int)sizeof(int) ? -EBADMSG : *(int *)nlmsg_data(nlh);
	return true;
}

/* Returns whether the answer is complete. */
static bool look_at(struct qkd_port *port, const struct sk_buff *skb, qkd_port_fn fn,
		    void *arg, int *result)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)skb->data;
	int left = skb->len;

	for (; nlmsg_ok(nlh, left); nlh = nlmsg_next(nlh, &left)) {
		if (nlh->nlmsg_seq != port->seq)
			continue;
		if (is_last(nlh, result))
			return true;
		if (fn)
			fn(nlh, arg);
	}
	return false;
}

/*
 * Requests are handled before netlink_unicast() returns, so that their answers
 * wait here, unless there was no memory for them. What others may have sent before
 * the socket was connected does not count.
 */
static int take_answers(struct qkd_port *port, qkd_port_fn fn, void *arg)
{
	struct sk_buff *skb;
	bool done = false;
	int result = 0;

	while (!done) {
		skb = first_answer(port);
		if (skb && !NETLINK_CB(skb).portid) {
			done = look_at(port, skb, fn, arg, &result);
			skb_wipe(skb);
		}
		if (discard_answer(port) < 0)
			return -ENOMSG;
	}
	return result;
}

/**
 * qkd_port_run - send a request, wipe it, and take the answer
 * @port: conversation
 * @skb: request; gone afterwards
 * @fn: looks at the messages of the answer, or NULL
 * @arg: for @fn
 *
 * Process context without locks, may sleep.
 * Return: what the acknowledgment says, or the end of the dump; -ENOMSG if neither came:
 * what was asked for may have been done; or what netlink said, and it has not.
 */
int qkd_port_run(struct qkd_port *port, struct sk_buff *skb, qkd_port_fn fn, void *arg)
{
	int err;

	nlmsg_end(skb, nlmsg_hdr(skb));
	NETLINK_CB(skb).portid = port->portid;
	/* else the capability check looks at a file that is not there */
	NETLINK_CB(skb).flags = NETLINK_SKB_DST;
	err = netlink_unicast(port->net->genl_sock, skb_get(skb), 0, MSG_DONTWAIT);
	qkd_port_drop(skb);
	return err < 0 ? err : take_answers(port, fn, arg);
}

static void take_family(const struct nlmsghdr *nlh, void *arg)
{
	struct qkd_port *port = arg;
	const struct nlattr *id;

	if (nlh->nlmsg_type != GENL_ID_CTRL || nlmsg_len(nlh) < GENL_HDRLEN)
		return;
	id = nlmsg_find_attr(nlh, GENL_HDRLEN, CTRL_ATTR_FAMILY_ID);
	if (id && nla_len(id) == sizeof(u16))
		port->family = nla_get_u16(id);
}

static int find_family(struct qkd_port *port, const char *name)
{
	struct sk_buff *skb = request_new(port, GENL_ID_CTRL, NLM_F_ACK,
					  CTRL_CMD_GETFAMILY, 1, FAMILY_SIZE);
	int err;

	if (!skb)
		return -ENOMEM;
	if (nla_put_string(skb, CTRL_ATTR_FAMILY_NAME, name)) {
		qkd_port_drop(skb);
		return -EMSGSIZE;
	}
	err = qkd_port_run(port, skb, take_family, port);
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

static int listen_for_answers(struct qkd_port *port)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	int err;

	/* to the kernel, so that nobody else can fill it; that binds it, too */
	err = kernel_connect(port->sock, (QKD_SOCKADDR *)&addr, sizeof(addr), 0);
	if (err)
		return err;
	err = kernel_getsockname(port->sock, (struct sockaddr *)&addr);
	if (err < 0)
		return err;
	port->portid = addr.nl_pid;
	/* for nlmon alone: by now it has its place among those of generic netlink */
	port->sock->sk->sk_protocol = NETLINK_UNUSED;
	return 0;
}

static void stop_listening(struct qkd_port *port)
{
	port->sock->sk->sk_protocol = NETLINK_GENERIC;
	sock_release(port->sock);
}

/**
 * qkd_port_open - begin to speak with a family
 * @port: out
 * @net: namespace; the caller holds it until qkd_port_close()
 * @family: its name
 *
 * Process context without locks, may sleep.
 * Return: 0; -ENOENT there is no such family, -ENOMEM, or what netlink said.
 */
int qkd_port_open(struct qkd_port *port, struct net *net, const char *family)
{
	int err;

	*port = (struct qkd_port){ .net = net };
	/* takes no reference on the namespace */
	err = sock_create_kern(net, AF_NETLINK, SOCK_RAW, NETLINK_GENERIC, &port->sock);
	if (err)
		return err;
	err = cap_acks(net) ?: listen_for_answers(port) ?: find_family(port, family);
	if (err)
		stop_listening(port);
	return err;
}

/**
 * qkd_port_close - undo qkd_port_open()
 * @port: conversation
 */
void qkd_port_close(struct qkd_port *port)
{
	stop_listening(port);
}
