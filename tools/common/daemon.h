/* SPDX-License-Identifier: GPL-2.0-only */
/* What the daemons' main() have in common. */
#ifndef COMMON_DAEMON_H
#define COMMON_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE };

/* The event loop; made by daemon_begin(). */
extern struct event_base *base;

/* Time since boot, suspend included. */
int64_t now_ms(void);

/**
 * struct command_line - what a daemon was called with
 * @name: of the daemon
 * @path: of its configuration; before: where that is if nothing is said
 * @check: only check it
 */
struct command_line {
	const char *name;
	const char *path;
	bool check;
};

/* -1, or the exit status of a call that has been answered. */
int command_line_parse(struct command_line *line, int argc, char **argv);
/* --check-config: what is wrong was said. Returns the exit status. */
int config_checked(const char *path, bool good);

/* Withdraws, and makes the event loop. */
bool daemon_begin(void);
/* SIGTERM and SIGINT end the loop, SIGHUP and SIGUSR1 call these, and systemd's
 * watchdog is kept quiet. Without memory the process ends.
 */
void daemon_listen(event_callback_fn on_reload, event_callback_fn on_report);
void daemon_end(void);

#endif /* COMMON_DAEMON_H */
