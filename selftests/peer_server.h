/* SPDX-License-Identifier: GPL-2.0-only */
/* A server of key for a test, in a process of its own: see peer_server.py. */
#ifndef PEER_SERVER_H
#define PEER_SERVER_H

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* DIR is defined by who includes this. */

static void set_fault(const char *text)
{
	int fd = open(DIR "/fault", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		abort();
	close(fd);
}

/* Without faults, at two ports. Returns false if it does not come up. */
static bool start_server(const char *script, pid_t *pid, int ports[2])
{
	int out[2], n;
	FILE *file;

	set_fault("");
	unlink(DIR "/log");
	if (pipe(out))
		return false;
	*pid = fork();
	if (!*pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], 1);
		execlp("python3", "python3", script, "serve", DIR, "--fault",
		       DIR "/fault", "--log", DIR "/log", NULL);
		_exit(127);
	}
	close(out[1]);
	file = fdopen(out[0], "r");
	n = fscanf(file, "ready %d %d", &ports[0], &ports[1]);
	fclose(file);
	return n == 2;
}

static void stop_server(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#endif /* PEER_SERVER_H */
