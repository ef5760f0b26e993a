// SPDX-License-Identifier: GPL-2.0-only
/* The terminal of --top: taken, drawn on, and given back as it was. */
#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "top.h"

#define PERIOD 1000 /* ms */
#define PATIENCE 200 /* ms for a terminal that takes nothing */

/* Another screen, no cursor; and back. */
#define ENTER "\033[?1049h\033[?25l\033[2J"
#define LEAVE "\033[0m\033[?25h\033[?1049l"

static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
#define ENDS (sizeof(ends) / sizeof(ends[0]))

/*
 * @copy is the thread's own; @tty never blocks; @wake ends the thread. @left: the
 * terminal is not ours (any more); @drawing: the thread may be writing to it.
 */
static struct {
	struct stats *stats;
	struct stats *copy;
	pthread_t thread;
	int tty;
	int wake;
	struct termios before;
	struct sigaction old[ENDS];
	struct top_look look;
} top;
static atomic_bool left = true, drawing;

/* As much as the terminal takes in time. Signal handlers come here, too. */
static void put(const char *text, size_t size)
{
	struct pollfd ready = { .fd = top.tty, .events = POLLOUT };
	ssize_t done;

	while (size && poll(&ready, 1, PATIENCE) == 1) {
		done = write(top.tty, text, size);
		if (done < 0 && errno != EAGAIN && errno != EINTR)
			return;
		if (done > 0) {
			text += done;
			size -= done;
		}
	}
}

/* The terminal as it was; once. A picture that is half drawn goes first. */
static void leave(void)
{
	int patience = PATIENCE;

	if (atomic_exchange(&left, true))
		return;
	while (atomic_load(&drawing) && patience--)
		poll(NULL, 0, 1);
	put(LEAVE, strlen(LEAVE));
	tcsetattr(top.tty, TCSANOW, &top.before);
}

/* Then the signal does what it did without us, as soon as this returns. */
static void end_by_signal(int signal)
{
	int err = errno;
	size_t i;

	leave();
	for (i = 0; i < ENDS; i++)
		if (ends[i] == signal)
			sigaction(signal, &top.old[i], NULL);
	raise(signal);
	errno = err;
}

static void catch_signals(void)
{
	struct sigaction ours = { .sa_handler = end_by_signal };
	size_t i;

	for (i = 0; i < ENDS; i++) {
		sigaction(ends[i], NULL, &top.old[i]);
		if (top.old[i].sa_handler == SIG_IGN)
			continue;
		ours.sa_flags = top.old[i].sa_flags & SA_RESTART;
		sigaction(ends[i], &ours, NULL);
	}
}

/* But not those that somebody else has set since. */
static void release_signals(void)
{
	struct sigaction now;
	size_t i;

	for (i = 0; i < ENDS; i++) {
		sigaction(ends[i], NULL, &now);
		if (now.sa_handler == end_by_signal)
			sigaction(ends[i], &top.old[i], NULL);
	}
}

static void draw(void)
{
	struct winsize window;
	char *text = NULL;
	size_t size = 0;
	FILE *file;

	if (!ioctl(top.tty, TIOCGWINSZ, &window) && window.ws_col) {
		top.look.columns = window.ws_col;
		top.look.rows = window.ws_row;
	}
	file = open_memstream(&text, &size);
	if (!file)
		return;
	stats_copy(top.stats, top.copy);
	top_draw(file, top.copy, &top.look);
	if (!fclose(file)) {
		atomic_store(&drawing, true);
		if (!atomic_load(&left))
			put(text, size);
		atomic_store(&drawing, false);
	}
	free(text);
}

static void *run(void *arg)
{
	struct pollfd wake = { .fd = top.wake, .events = POLLIN };

	(void)arg;
	do {
		draw();
	} while (poll(&wake, 1, PERIOD) == 0);
	return NULL;
}

static bool is_utf8(void)
{
	const char *name = getenv("LC_ALL");

	if (!name || !*name)
		name = getenv("LC_CTYPE");
	if (!name || !*name)
		name = getenv("LANG");
	return name && (strcasestr(name, "utf-8") || strcasestr(name, "utf8"));
}

/* Is there a terminal that can do it? */
static int look(void)
{
	const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");

	if (!isatty(STDOUT_FILENO)) {
		error(0, 0, "--top: standard output is not a terminal");
		return -ENOTTY;
	}
	if (!term || !*term || !strcmp(term, "dumb")) {
		error(0, 0,
		      "--top: TERM does not name a terminal that can be drawn on");
		return -ENOTTY;
	}
	top.look.columns = 80;
	top.look.rows = 24;
	top.look.color = !no_color || !*no_color;
	top.look.utf8 = is_utf8();
	return 0;
}

static void top_free(void)
{
	if (top.tty >= 0)
		close(top.tty);
	if (top.wake >= 0)
		close(top.wake);
	free(top.copy);
	top.stats = NULL;
	top.copy = NULL;
}

/* No echo into the picture; and a link is not stopped by a key for that, nor is
 * the picture. */
static int enter(void)
{
	struct termios now;

	if (tcgetattr(top.tty, &top.before))
		return -errno;
	now = top.before;
	now.c_lflag &= ~ECHO;
	now.c_iflag &= ~IXON;
	now.c_cc[VSUSP] = _POSIX_VDISABLE;
	if (tcsetattr(top.tty, TCSANOW, &now))
		return -errno;
	atomic_store(&left, false);
	catch_signals();
	put(ENTER, strlen(ENTER));
	return 0;
}

/* Signals are for other threads. */
static int start(void)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = -pthread_create(&top.thread, NULL, run, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return err;
}

int top_begin(struct stats *stats)
{
	static bool at_exit;
	int err = look();

	if (err)
		return err;
	top.stats = stats;
	top.copy = malloc(sizeof(*top.copy));
	/* an open file of its own: others do not expect that it does not block */
	top.tty = open("/proc/self/fd/1",
		       O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	top.wake = eventfd(0, EFD_CLOEXEC);
	if (!top.copy || top.tty < 0 || top.wake < 0)
		err = -errno;
	else
		err = enter();
	if (!err && !at_exit)
		at_exit = !atexit(leave);
	if (!err)
		err = start();
	if (err) {
		leave();
		release_signals();
		top_free();
		error(0, -err, "--top: the terminal");
	}
	return err;
}

void top_end(void)
{
	if (!top.stats)
		return;
	eventfd_write(top.wake, 1);
	pthread_join(top.thread, NULL);
	leave();
	release_signals();
	top_free();
}
