// SPDX-License-Identifier: LGPL-2.1-or-later
/* Events: a socket of their own, for the caller's event loop. */
#include <linux/netlink.h>
#include <netlink/genl/ctrl.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "internal.h"

/* Bursts wait here while the caller is busy. */
#define EVENT_BUFFER (1 << 20)

struct qkd_monitor {
	struct nl_sock *sk;
	struct nl_cb *cb;
	int family;
	qkd_event_fn fn;
	void *arg;
	int err;
};

static const struct attr_field event_fields[] = {
	FIELD(U32, QKD_A_EVENT_TYPE, struct qkd_event, type),
	FIELD(U32, QKD_A_EVENT_LINK_INDEX, struct qkd_event, link_index),
	FIELD(STRING, QKD_A_EVENT_LINK_NAME, struct qkd_event, link_name),
	FIELD(U32, QKD_A_EVENT_STREAM, struct qkd_event, stream),
	FIELD(U64, QKD_A_EVENT_OFFSET, struct qkd_event, offset),
	FIELD(U64, QKD_A_EVENT_LENGTH, struct qkd_event, length),
	FIELD(U32, QKD_A_EVENT_LABEL, struct qkd_event, label),
	FIELD(U32, QKD_A_EVENT_REASON, struct qkd_event, reason),
	FIELD(U32, QKD_A_EVENT_QBER, struct qkd_event, qber),
	FIELD(BE32, QKD_A_EVENT_SPI, struct qkd_event, spi),
	FIELD(U32, QKD_A_EVENT_DIR, struct qkd_event, dir),
	FIELD(U64, QKD_A_EVENT_COUNT, struct qkd_event, count),
	FIELD(U64, QKD_A_EVENT_TIME, struct qkd_event, time),
	FIELD(BYTES, QKD_A_EVENT_KEY_ID, struct qkd_event, key_id),
	FIELD(U32, QKD_A_EVENT_IFINDEX, struct qkd_event, ifindex),
	FIELD(U32, QKD_A_EVENT_AN, struct qkd_event, an),
	FIELD(BE64, QKD_A_EVENT_SCI, struct qkd_event, sci),
	FIELD(U32, QKD_A_EVENT_ERROR, struct qkd_event, error),
	FIELD(STRING, QKD_A_EVENT_MESSAGE, struct qkd_event, message),
	FIELD(BYTES, QKD_A_EVENT_WG_PEER, struct qkd_event, wg_peer),
};

static int on_event(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *hdr = nlmsg_hdr(msg);
	struct qkd_monitor *monitor = arg;
	struct qkd_event event = {};
	struct genlmsghdr *genl;

	if (hdr->nlmsg_type != monitor->family || !genlmsg_valid_hdr(hdr, 0))
		return NL_SKIP;
	genl = nlmsg_data(hdr);
	if (genl->cmd != QKD_CMD_EVENT ||
	    fields_parse(event_fields, ARRAY_SIZE(event_fields), &event,
			 &event.has, genlmsg_attrdata(genl, 0),
			 genlmsg_attrlen(genl, 0)))
		return NL_SKIP;
	monitor->err = monitor->fn(&event, monitor->arg);
	return monitor->err ? NL_STOP : NL_OK;
}

static int on_seq(struct nl_msg *msg, void *arg)
{
	(void)msg;
	(void)arg;
	return NL_OK;
}

static int join(struct qkd_monitor *monitor)
{
	int group, fd = nl_socket_get_fd(monitor->sk);

	group = genl_ctrl_resolve_grp(monitor->sk, QKD_FAMILY_NAME,
				      QKD_MCGRP_EVENTS);
	if (group < 0)
		return to_errno(group);
	nl_socket_set_buffer_size(monitor->sk, EVENT_BUFFER, 0);
	if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
		       sizeof(group)))
		return -errno;
	return to_errno(nl_socket_set_nonblocking(monitor->sk));
}

int qkd_monitor_open(struct qkd_monitor **out)
{
	struct qkd_monitor *monitor;
	int err;

	monitor = calloc(1, sizeof(*monitor));
	if (!monitor)
		return -ENOMEM;
	err = socket_open(&monitor->sk, &monitor->family);
	if (err)
		goto free_monitor;
	err = join(monitor);
	if (err)
		goto free_socket;
	monitor->cb = nl_cb_alloc(NL_CB_DEFAULT);
	if (!monitor->cb) {
		err = -ENOMEM;
		goto free_socket;
	}
	nl_cb_set(monitor->cb, NL_CB_VALID, NL_CB_CUSTOM, on_event, monitor);
	nl_cb_set(monitor->cb, NL_CB_SEQ_CHECK, NL_CB_CUSTOM, on_seq, NULL);
	*out = monitor;
	return 0;

free_socket:
	nl_socket_free(monitor->sk);
free_monitor:
	free(monitor);
	return err;
}

void qkd_monitor_close(struct qkd_monitor *monitor)
{
	if (!monitor)
		return;
	nl_cb_put(monitor->cb);
	nl_socket_free(monitor->sk);
	free(monitor);
}

int qkd_monitor_fd(const struct qkd_monitor *monitor)
{
	return nl_socket_get_fd(monitor->sk);
}

int qkd_monitor_read(struct qkd_monitor *monitor, qkd_event_fn fn, void *arg)
{
	int err;

	monitor->fn = fn;
	monitor->arg = arg;
	monitor->err = 0;
	for (;;) {
		err = nl_recvmsgs(monitor->sk, monitor->cb);
		if (monitor->err)
			return monitor->err;
		switch (err < 0 ? -err : 0) {
		case 0:
			break;
		case NLE_AGAIN:
			return 0;
		case NLE_NOMEM: /* libnl says this for ENOBUFS */
			return -ENOBUFS;
		default:
			return to_errno(err);
		}
	}
}
