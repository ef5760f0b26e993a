// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events, multicast to the group of the netlink family.
 *
 * Process context sends at once. Packet paths only note that something
 * happened; a work item tells it, at most once a second for each kind, with
 * the number of times.
 */
#include <linux/bitops.h>
#include <linux/timekeeping.h>

#include "macsec.h"
#include "netlink.h"
#include "wg.h"

static bool event_has_range(const struct qkd_event *ev)
{
	return ev->stream >= 0 && ev->length;
}

static int event_put_link(struct sk_buff *skb, const struct qkd_link *link,
			  const struct qkd_event *ev)
{
	u16 label = READ_ONCE(link->last_label);

	if (nla_put_u32(skb, QKD_A_EVENT_TYPE, ev->type) ||
	    nla_put_u32(skb, QKD_A_EVENT_LINK_INDEX, link->index) ||
	    nla_put_string(skb, QKD_A_EVENT_LINK_NAME, link->cfg.name) ||
	    nla_put_u64_64bit(skb, QKD_A_EVENT_TIME, ktime_get_boottime_ns(),
			      QKD_A_EVENT_PAD) ||
	    (label && nla_put_u32(skb, QKD_A_EVENT_LABEL, label)))
		return -EMSGSIZE;
	return 0;
}

static int event_put_detail(struct sk_buff *skb, const struct qkd_event *ev)
{
	if ((ev->stream >= 0 &&
	     nla_put_u32(skb, QKD_A_EVENT_STREAM, ev->stream)) ||
	    (event_has_range(ev) &&
	     (nla_put_u64_64bit(skb, QKD_A_EVENT_OFFSET, ev->offset,
				QKD_A_EVENT_PAD) ||
	      nla_put_u64_64bit(skb, QKD_A_EVENT_LENGTH, ev->length,
				QKD_A_EVENT_PAD))) ||
	    (ev->reason && nla_put_u32(skb, QKD_A_EVENT_REASON, ev->reason)) ||
	    ((ev->type == QKD_EVENT_TYPE_QBER_ALARM ||
	      ev->type == QKD_EVENT_TYPE_QBER_CLEAR) &&
	     nla_put_u32(skb, QKD_A_EVENT_QBER, ev->qber)) ||
	    (ev->spi && (nla_put_be32(skb, QKD_A_EVENT_SPI, ev->spi) ||
			 nla_put_u32(skb, QKD_A_EVENT_DIR, ev->dir))) ||
	    (ev->count && nla_put_u64_64bit(skb, QKD_A_EVENT_COUNT, ev->count,
					    QKD_A_EVENT_PAD)) ||
	    (ev->key_id && nla_put(skb, QKD_A_EVENT_KEY_ID, QKD_KEY_ID_LEN,
				   ev->key_id)))
		return -EMSGSIZE;
	return 0;
}

static int event_put_device(struct sk_buff *skb, const struct qkd_event *ev)
{
	const struct qkd_macsec_name *name = ev->macsec;

	if ((ev->ifindex &&
	     nla_put_u32(skb, QKD_A_EVENT_IFINDEX, ev->ifindex)) ||
	    (name && (nla_put_u32(skb, QKD_A_EVENT_DIR, name->dir) ||
		      nla_put_u32(skb, QKD_A_EVENT_AN, name->an) ||
		      nla_put_be64(skb, QKD_A_EVENT_SCI, name->sci,
				   QKD_A_EVENT_PAD))) ||
	    (ev->wg_peer &&
	     nla_put(skb, QKD_A_EVENT_WG_PEER, QKD_WG_KEY, ev->wg_peer)) ||
	    (ev->error && nla_put_u32(skb, QKD_A_EVENT_ERROR, ev->error)) ||
	    (ev->message &&
	     nla_put_string(skb, QKD_A_EVENT_MESSAGE, ev->message)))
		return -EMSGSIZE;
	return 0;
}

/**
 * qkd_event_send - tell the link's namespace that something happened
 * @link: a registered link, or one whose namespace is kept by its unregistration
 *	or the caller
 * @ev: what happened
 *
 * Process context, may sleep. An event that cannot be sent for lack of memory
 * is lost; listeners whose buffer is full see ENOBUFS on their socket.
 */
void qkd_event_send(struct qkd_link *link, const struct qkd_event *ev)
{
	struct net *net = link->net;
	struct sk_buff *skb;
	void *hdr;

	might_sleep();
	if (!genl_has_listeners(&qkd_nl_family, net, QKD_NLGRP_EVENTS))
		return;
	skb = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!skb)
		return;
	hdr = genlmsg_put(skb, 0, 0, &qkd_nl_family, 0, QKD_CMD_EVENT);
	if (!hdr || event_put_link(skb, link, ev) || event_put_detail(skb, ev) ||
	    event_put_device(skb, ev)) {
		nlmsg_free(skb);
		return;
	}
	genlmsg_end(skb, hdr);
	genlmsg_multicast_netns(&qkd_nl_family, net, skb, 0, QKD_NLGRP_EVENTS,
				GFP_KERNEL);
}

/**
 * qkd_event_note - remember that something happened, to be told soon
 * @link: the link
 * @type: enum qkd_event_type
 * @stream: enum qkd_stream, or -1 for none
 *
 * Any context. Nothing is queued once link->gone is set and a grace period
 * has passed: then unregistration can cancel the work for good.
 */
void qkd_event_note(struct qkd_link *link, u32 type, int stream)
{
	rcu_read_lock();
	if (!READ_ONCE(link->gone)) {
		WRITE_ONCE(link->noted_stream[type],
			   stream < 0 ? QKD_STREAMS : stream);
		/* The count comes before the bit here, and the work clears
		 * the bit before it takes the count: none is left untold.
		 * test_and_set_bit() and atomic_xchg() are full barriers.
		 */
		atomic_inc(&link->noted_count[type]);
		if (!test_and_set_bit(type, &link->noted))
			queue_delayed_work(qkd_wq, &link->event_work, 0);
	}
	rcu_read_unlock();
}

/* Returns jiffies until the event may be sent; 0 if it was. */
static unsigned long event_tell(struct qkd_link *link, u32 type)
{
	unsigned long next = link->noted_at[type] +
			     msecs_to_jiffies(QKD_EVENT_GAP);
	struct qkd_event ev = { .type = type };
	u8 stream;

	if (link->noted_at[type] && time_before(jiffies, next))
		return next - jiffies;
	clear_bit(type, &link->noted);
	ev.count = atomic_xchg(&link->noted_count[type], 0);
	if (!ev.count)
		return 0;
	link->noted_at[type] = jiffies;
	if (type >= QKD_EVENT_TYPE_SA_REKEYED) {
		qkd_esp_tell(link, type);
		return 0;
	}
	stream = READ_ONCE(link->noted_stream[type]);
	ev.stream = stream < QKD_STREAMS ? stream : -1;
	qkd_event_send(link, &ev);
	return 0;
}

/**
 * qkd_event_work - send what qkd_event_note() remembered
 * @work: a link's event_work
 *
 * Never runs twice at a time for one link. Unregistration cancels it before
 * it lets go of the namespace.
 */
void qkd_event_work(struct work_struct *work)
{
	struct qkd_link *link = container_of(to_delayed_work(work),
					     struct qkd_link, event_work);
	unsigned long noted = READ_ONCE(link->noted);
	unsigned long delay = ULONG_MAX;
	u32 type;

	for_each_set_bit(type, &noted, QKD_EVENT_TYPES) {
		unsigned long wait = event_tell(link, type);

		if (wait)
			delay = min(delay, wait);
	}
	if (delay != ULONG_MAX)
		queue_delayed_work(qkd_wq, &link->event_work, delay);
}
