// SPDX-License-Identifier: GPL-2.0-only
/* qkd monitor */
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "../common/wgkey.h"
#include "qkd.h"

static const char help[] = "Usage: qkd [ -j ] [ -t ] monitor [ dev NAME ]\n";

static bool has(const struct qkd_event *event, int attr)
{
	return event->has & QKD_HAS(attr);
}

static void show_where(const struct qkd_event *event)
{
	if (has(event, QKD_A_EVENT_LABEL))
		out_uint("label", " label ", event->label);
	if (has(event, QKD_A_EVENT_STREAM))
		out_str("stream", " stream ",
			qkd_enum_name(QKD_ENUM_STREAM, event->stream));
	if (has(event, QKD_A_EVENT_OFFSET))
		out_uint("offset", " offset ", event->offset);
	if (has(event, QKD_A_EVENT_LENGTH))
		out_uint("length", " length ", event->length);
	if (has(event, QKD_A_EVENT_SPI)) {
		out_text(" spi 0x%08x", event->spi);
		if (options.json)
			out_uint("spi", "", event->spi);
	}
	if (has(event, QKD_A_EVENT_DIR))
		out_str("dir", " dir ",
			qkd_enum_name(QKD_ENUM_DIR, event->dir));
}

/* A macsec or WireGuard device, and maybe one of its SAs or peers. */
static void show_device(const struct qkd_event *event)
{
	char name[IF_NAMESIZE], sci[17], peer[WG_KEY_TEXT_LEN + 1];

	if (!has(event, QKD_A_EVENT_IFINDEX))
		return;
	if (options.json)
		out_uint("ifindex", "", event->ifindex);
	if (if_indextoname(event->ifindex, name))
		out_str("ifname", " ifname ", name);
	else
		out_text(" ifindex %u", event->ifindex);
	if (has(event, QKD_A_EVENT_WG_PEER))
		out_str("peer", " peer ", wg_key_format(event->wg_peer, peer));
	if (!has(event, QKD_A_EVENT_AN))
		return;
	out_uint("an", " an ", event->an);
	snprintf(sci, sizeof(sci), "%016llx", (unsigned long long)event->sci);
	out_str("sci", " sci ", sci);
}

static void show_why(const struct qkd_event *event)
{
	char id[QKD_KEY_ID_TEXT_LEN + 1];

	if (has(event, QKD_A_EVENT_REASON))
		out_str("reason", " reason ",
			qkd_enum_name(QKD_ENUM_REASON, event->reason));
	if (has(event, QKD_A_EVENT_QBER))
		out_qber("qber", " qber ", event->qber);
	if (has(event, QKD_A_EVENT_COUNT))
		out_uint("count", " count ", event->count);
	if (has(event, QKD_A_EVENT_KEY_ID))
		out_str("key_id", " key-id ",
			qkd_key_id_format(event->key_id, id));
	if (has(event, QKD_A_EVENT_ERROR))
		out_uint("error", " error ", event->error);
	if (has(event, QKD_A_EVENT_MESSAGE))
		out_str("message", ": ", event->message);
}

static void show_time(const struct qkd_event *event)
{
	if (options.json)
		out_uint("time", "", event->time);
	else if (options.timestamp)
		printf("[%5llu.%06llu] ",
		       (unsigned long long)(event->time / 1000000000),
		       (unsigned long long)(event->time / 1000 % 1000000));
}

static int show(const struct qkd_event *event, void *arg)
{
	const char *dev = arg;

	if (dev && strcmp(dev, event->link_name))
		return 0;
	out_open(NULL);
	if (has(event, QKD_A_EVENT_TIME))
		show_time(event);
	if (has(event, QKD_A_EVENT_LINK_INDEX))
		out_uint("index", "", event->link_index);
	out_color(COLOR_NAME, "name", ": ", event->link_name);
	out_str("event", ": ", qkd_enum_name(QKD_ENUM_EVENT_TYPE, event->type));
	show_where(event);
	show_device(event);
	show_why(event);
	return out_line();
}

static int watch(struct qkd_monitor *monitor, const char *dev)
{
	struct pollfd pfd = {
		.fd = qkd_monitor_fd(monitor),
		.events = POLLIN,
	};
	int err;

	for (;;) {
		if (poll(&pfd, 1, -1) < 0)
			return usage_error("poll: %s", strerror(errno));
		err = qkd_monitor_read(monitor, show, (void *)dev);
		if (err == -ENOBUFS)
			fputs("Warning: Events were lost.\n", stderr);
		else if (err < 0)
			return usage_error("cannot read events: %s",
					   strerror(-err));
		else if (err)
			return err;
	}
}

int do_monitor(struct args *args)
{
	struct qkd_monitor *monitor;
	const char *dev = NULL;
	int err, code;

	if (args->left &&
	    !strncmp("help", arg_peek(args), strlen(arg_peek(args)))) {
		fputs(help, stdout);
		return EXIT_OK;
	}
	if (arg_is(args, "dev"))
		dev = arg_name(args, "dev");
	if (args->left)
		return arg_unknown(args, "monitor");

	kernel();
	err = qkd_monitor_open(&monitor);
	if (err) {
		fprintf(stderr, "Error: Cannot receive events: %s.%s\n",
			strerror(-err),
			err == -EPERM ? " CAP_NET_ADMIN is needed." : "");
		return EXIT_REFUSED;
	}
	code = watch(monitor, dev);
	qkd_monitor_close(monitor);
	return code;
}
