// SPDX-License-Identifier: GPL-2.0-only
/* Memory and files for key: locked, never dumped, wiped. */
#include <errno.h>
#include <fcntl.h>
#include <keyutils.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qkd.h"

/* No core file, and no other process of the user looks in. */
void no_dumps(void)
{
	const struct rlimit none = { 0, 0 };

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) || setrlimit(RLIMIT_CORE, &none))
		exit(usage_error("cannot disable core dumps: %s",
				 strerror(errno)));
}

void *secret_alloc(size_t size)
{
	void *secret;

	secret = mmap(NULL, size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (secret == MAP_FAILED)
		exit(usage_error("out of memory"));
	if (mlock(secret, size))
		fprintf(stderr, "Warning: Key may be swapped to disk: %s.\n",
			strerror(errno));
	return secret;
}

void secret_free(void *secret, size_t size)
{
	explicit_bzero(secret, size);
	munmap(secret, size);
}

/* The whole file, or stdin for "-". Its length, or -1 with a message. */
ssize_t secret_read_file(const char *path, void *secret, size_t room)
{
	bool is_stdin = !strcmp(path, "-");
	size_t length = 0;
	struct stat st;
	ssize_t n = 0;
	char extra;
	int fd;

	fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		usage_error("%s: %s", path, strerror(errno));
		return -1;
	}
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_mode & 077)
		fprintf(stderr, "Warning: %s: Others may read this file.\n",
			is_stdin ? "stdin" : path);

	while (length < room) {
		n = read(fd, (char *)secret + length, room - length);
		if (n <= 0)
			break;
		length += n;
	}
	if (n >= 0 && length == room) {
		n = read(fd, &extra, 1);
		explicit_bzero(&extra, 1);
		if (n > 0) {
			usage_error("%s: more than %zu bytes", path, room);
			length = 0;
			n = -1;
			goto close_file;
		}
	}
	if (n < 0)
		usage_error("%s: %s", path, strerror(errno));

close_file:
	if (!is_stdin)
		close(fd);
	return n < 0 ? -1 : (ssize_t)length;
}

/* Who else may read what is written to stdout? */
static int check_stdout(void)
{
	struct stat st;

	if (fstat(STDOUT_FILENO, &st))
		return usage_error("stdout: %s", strerror(errno));
	if (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))
		return EXIT_OK;
	if (S_ISREG(st.st_mode) && !(st.st_mode & 077))
		return EXIT_OK;
	if (isatty(STDOUT_FILENO))
		return usage_error(
			"key is not written to a terminal, use \"to FILE\" or a pipe");
	return usage_error("others may read stdout, use \"to FILE\" or a pipe");
}

static void interrupted(int sig)
{
	(void)sig;
}

/* Who waits for key is woken, so that what was begun is cleared away. */
static void catch_signals(void)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGTERM };
	const struct sigaction action = { .sa_handler = interrupted };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
}

/* Opened before a key is taken, so that none is lost for want of a place. */
int sink_open(struct sink *sink, const char *path)
{
	int err;

	sink->path = NULL;
	sink->fd = STDOUT_FILENO;
	if (!strcmp(path, "-")) {
		err = check_stdout();
		if (err)
			return err;
		/* What is not key goes elsewhere. */
		fflush(stdout);
		sink->fd = dup(STDOUT_FILENO);
		if (sink->fd < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
			return usage_error("stdout: %s", strerror(errno));
		return EXIT_OK;
	}
	sink->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (sink->fd < 0)
		return usage_error("%s: %s", path, strerror(errno));
	sink->path = path;
	catch_signals();
	return EXIT_OK;
}

int sink_write(struct sink *sink, const void *key, size_t size)
{
	const char *p = key;
	ssize_t n;

	while (size) {
		n = write(sink->fd, p, size);
		if (n < 0)
			return usage_error("%s: %s", sink->path ?: "stdout",
					   strerror(errno));
		p += n;
		size -= n;
	}
	return EXIT_OK;
}

/* A file without its key is not left behind. */
int sink_close(struct sink *sink, bool good)
{
	int err = EXIT_OK;

	if (close(sink->fd) && good) {
		err = usage_error("%s: %s", sink->path ?: "stdout",
				  strerror(errno));
		good = false;
	}
	if (!good && sink->path)
		unlink(sink->path);
	return err;
}

/* A key that nobody can read again, in the user's keyring. Its number, or -1. */
int32_t keyring_add(const char *description, const void *key, size_t size)
{
	int32_t serial;

	serial =
		add_key("logon", description, key, size, KEY_SPEC_USER_KEYRING);
	if (serial < 0)
		usage_error(
			"the user's keyring does not take the key, which is lost: %s",
			strerror(errno));
	return serial;
}
