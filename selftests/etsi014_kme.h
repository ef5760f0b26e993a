/* SPDX-License-Identifier: GPL-2.0-only */
/* A KME for a test: kme_server.py, in a process of its own. */
#ifndef ETSI014_KME_H
#define ETSI014_KME_H

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define DIR "/tmp/etsi014"

static void set_fault(const char *text)
{
	int fd = open(DIR "/fault", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		abort();
	close(fd);
}

/* Without faults. Returns the port, or 0. */
static int start_kme(pid_t *pid)
{
	int port = 0, out[2];
	FILE *file;

	if (access(DIR "/ca.pem", F_OK) &&
	    system("python3 kme_server.py certificates " DIR " alice bob"))
		return 0;
	set_fault("");
	unlink(DIR "/log");
	if (pipe(out))
		return 0;
	*pid = fork();
	if (!*pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], 1);
		execlp("python3", "python3", "kme_server.py", "serve", DIR,
		       "--fault", DIR "/fault", "--log", DIR "/log", NULL);
		_exit(127);
	}
	close(out[1]);
	file = fdopen(out[0], "r");
	if (fscanf(file, "ready %d", &port) != 1)
		port = 0;
	fclose(file);
	return port;
}

static void stop_kme(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

#endif /* ETSI014_KME_H */
