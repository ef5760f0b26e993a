// SPDX-License-Identifier: GPL-2.0-only
/* qkdd: agrees with its peers on what their QKD links hold. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include <systemd/sd-daemon.h>

#include "qkdd.h"

#define CONFIG "/etc/qkd/qkdd.conf"

enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE };

struct event_base *base;
struct qkd_ctx *ctx;

static const char *path = CONFIG;
static struct event *status_event;

static const char help[] = "Usage: qkdd [ -c FILE ]\n"
			   "       qkdd --check-config [ FILE ]\n"
			   "       qkdd { -V | -h }\n"
			   "The configuration is " CONFIG
			   " unless FILE is given.\n";

/**
 * now_ms - time since boot, suspend included
 */
int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

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
	unsigned int up, links, connected = 0, all = 0;
	struct peer *peer;

	(void)fd;
	(void)what;
	(void)arg;
	for (peer = LIST_FIRST(&peers); peer; peer = LIST_NEXT(peer, list)) {
		all++;
		connected += !!peer->conn;
	}
	links_count(&up, &links);
	sd_notifyf(0, "STATUS=%u of %u peers connected, %u of %u links up",
		   connected, all, up, links);
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	sd_notify(0, "WATCHDOG=1");
}

static void on_stop(evutil_socket_t signal, short what, void *arg)
{
	(void)signal;
	(void)what;
	(void)arg;
	event_base_loopbreak(base);
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

static struct event *persist(evutil_socket_t signal, event_callback_fn fn,
			     uint64_t usec)
{
	struct timeval tv = { usec / 1000000, usec % 1000000 };
	short what = EV_PERSIST | (signal < 0 ? 0 : EV_SIGNAL);
	struct event *event = event_new(base, signal, what, fn, NULL);

	if (event && !event_add(event, usec ? &tv : NULL))
		return event;
	log_error("out of memory");
	exit(EXIT_FAILED);
}

/* No core dump, no swap, no files that others can read. */
static void withdraw(void)
{
	struct rlimit limit;

	umask(077);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_DUMPABLE, 0);
	/* under a limit allocations would fail later on */
	if (getrlimit(RLIMIT_MEMLOCK, &limit) ||
	    limit.rlim_cur != RLIM_INFINITY ||
	    mlockall(MCL_CURRENT | MCL_FUTURE))
		log_info("memory is not locked: set LimitMEMLOCK=infinity");
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
	struct event *events[4] = {};
	uint64_t watchdog = 0;
	size_t i;

	withdraw();
	base = event_base_new();
	if (!base || !open_kernel() || links_start())
		return EXIT_FAILED;
	status_event = evtimer_new(base, on_status, NULL);
	if (!configure())
		return EXIT_FAILED;
	events[0] = persist(SIGTERM, on_stop, 0);
	events[1] = persist(SIGINT, on_stop, 0);
	events[2] = persist(SIGHUP, on_reload, 0);
	if (sd_watchdog_enabled(0, &watchdog) > 0)
		events[3] = persist(-1, on_watchdog, watchdog / 2);
	sd_notify(0, "READY=1");
	status_changed();
	event_base_dispatch(base);

	sd_notify(0, "STOPPING=1");
	peers_stop();
	macsecs_stop();
	mkas_stop();
	links_stop();
	for (i = 0; i < ARRAY_SIZE(events); i++)
		if (events[i])
			event_free(events[i]);
	event_free(status_event);
	event_base_free(base);
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
	if (good)
		printf("%s is good\n", path);
	return good ? EXIT_OK : EXIT_FAILED;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check-config", no_argument, NULL, 'C' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	bool check = false;
	int option;

	while ((option = getopt_long(argc, argv, "c:Vh", options, NULL)) >= 0) {
		switch (option) {
		case 'c':
			path = optarg;
			break;
		case 'C':
			check = true;
			break;
		case 'V':
			return puts("qkdd, " VERSION) < 0;
		case 'h':
			return fputs(help, stdout) < 0;
		default:
			fputs(help, stderr);
			return EXIT_USAGE;
		}
	}
	if (check && optind < argc)
		path = argv[optind++];
	if (optind < argc) {
		fputs(help, stderr);
		return EXIT_USAGE;
	}
	return check ? check_config() : run();
}
