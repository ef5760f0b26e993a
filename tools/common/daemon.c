// SPDX-License-Identifier: GPL-2.0-only
/* What the daemons' main() have in common. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <systemd/sd-daemon.h>

#include "daemon.h"
#include "log.h"
#include "private.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct event_base *base;

static struct event *events[5];

int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static int help(const struct command_line *line, FILE *to)
{
	return fprintf(to,
		       "Usage: %s [ -c FILE ]\n"
		       "       %s --check-config [ FILE ]\n"
		       "       %s { -V | -h }\n"
		       "The configuration is %s unless FILE is given.\n",
		       line->name, line->name, line->name, line->path) < 0;
}

int command_line_parse(struct command_line *line, int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check-config", no_argument, NULL, 'C' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	const struct command_line before = *line;
	int option;

	while ((option = getopt_long(argc, argv, "c:Vh", options, NULL)) >= 0) {
		switch (option) {
		case 'c':
			line->path = optarg;
			break;
		case 'C':
			line->check = true;
			break;
		case 'V':
			return printf("%s, %s\n", line->name, VERSION) < 0;
		case 'h':
			return help(&before, stdout);
		default:
			help(&before, stderr);
			return EXIT_USAGE;
		}
	}
	if (line->check && optind < argc)
		line->path = argv[optind++];
	if (optind == argc)
		return -1;
	help(&before, stderr);
	return EXIT_USAGE;
}

int config_checked(const char *path, bool good)
{
	if (good)
		printf("%s is good\n", path);
	return good ? EXIT_OK : EXIT_FAILED;
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

bool daemon_begin(void)
{
	withdraw();
	base = event_base_new();
	return base;
}

void daemon_listen(event_callback_fn on_reload, event_callback_fn on_report)
{
	uint64_t watchdog = 0;

	events[0] = persist(SIGTERM, on_stop, 0);
	events[1] = persist(SIGINT, on_stop, 0);
	events[2] = persist(SIGHUP, on_reload, 0);
	events[3] = persist(SIGUSR1, on_report, 0);
	if (sd_watchdog_enabled(0, &watchdog) > 0)
		events[4] = persist(-1, on_watchdog, watchdog / 2);
}

void daemon_end(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(events); i++)
		if (events[i])
			event_free(events[i]);
	event_base_free(base);
}
