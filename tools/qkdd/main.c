// SPDX-License-Identifier: GPL-2.0-only
/* qkdd: agrees with its peers on what their QKD links hold. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-daemon.h>

#include "../../lib/etsi014/etsi014.h"
#include "qkdd.h"

#define CONFIG "/etc/qkd/qkdd.conf"

struct qkd_ctx *ctx;

static const char *path;
static struct event *status_event;

/**
 * status_changed - tell systemd how we are, when the present event is done
 */
void status_changed(void)
{
	struct timeval soon = {};

	if (status_event)
		evtimer_add(status_event, &soon);
}

static void on_status(evutil_socket_t fd, short what, void *arg)
{
	unsigned int up, links, wrong, connected = 0, all = 0;
	char supply[64] = "";
	struct peer *peer;

	(void)fd;
	(void)what;
	(void)arg;
	for (peer = LIST_FIRST(&peers); peer; peer = LIST_NEXT(peer, list)) {
		all++;
		connected += !!peer->conn;
	}
	links_count(&up, &links, &wrong);
	if (wrong)
		snprintf(supply, sizeof(supply), ", supply of %u is wrong",
			 wrong);
	sd_notifyf(0, "STATUS=%u of %u peers connected, %u of %u links up%s",
		   connected, all, up, links, supply);
}

/* All or nothing: what is wrong with it was said. */
static bool configure(void)
{
	struct config *config = config_read(path);
	struct tls *tls = config ? tls_load(config) : NULL;

	if (tls) {
		peers_configure(config, tls);
		links_configure(config);
		macsecs_configure(config);
		mkas_configure(config);
		wireguards_configure(config);
	}
	config_free(config);
	return tls;
}

static void on_reload(evutil_socket_t signal, short what, void *arg)
{
	(void)signal;
	(void)what;
	(void)arg;
	if (configure())
		log_info("%s: read again", path);
	else
		log_error("%s: the old configuration stays", path);
	status_changed();
}

static void on_tell(evutil_socket_t signal, short what, void *arg)
{
	(void)signal;
	(void)what;
	(void)arg;
	links_tell();
}

static bool open_kernel(void)
{
	int err = qkd_open(&ctx);

	if (err == -ENOENT)
		log_error("the kernel has no family qkd: modprobe qkd");
	else if (err)
		log_error("cannot open a netlink socket: %s", strerror(-err));
	return !err;
}

static int run(void)
{
	if (!daemon_begin())
		return EXIT_FAILED;
	if (etsi014_init()) {
		log_error("libcurl cannot start");
		return EXIT_FAILED;
	}
	if (!open_kernel() || links_start())
		return EXIT_FAILED;
	status_event = evtimer_new(base, on_status, NULL);
	if (!configure())
		return EXIT_FAILED;
	daemon_listen(on_reload, on_tell);
	sd_notify(0, "READY=1");
	status_changed();
	event_base_dispatch(base);

	sd_notify(0, "STOPPING=1");
	peers_stop();
	macsecs_stop();
	mkas_stop();
	wireguards_stop();
	links_stop();
	event_free(status_event);
	daemon_end();
	qkd_close(ctx);
	return EXIT_OK;
}

static int check_config(void)
{
	struct config *config = config_read(path);
	struct tls *tls = config ? tls_load(config) : NULL;
	bool good = tls;

	tls_free(tls);
	config_free(config);
	return config_checked(path, good);
}

int main(int argc, char **argv)
{
	struct command_line line = { .name = "qkdd", .path = CONFIG };
	int status = command_line_parse(&line, argc, argv);

	if (status >= 0)
		return status;
	path = line.path;
	return line.check ? check_config() : run();
}
