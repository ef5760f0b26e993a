// SPDX-License-Identifier: GPL-2.0-only
/* The file of a report, and gnuplot, which draws its pictures. */
#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report.h"

extern char **environ;

/* ---- gnuplot ---- */

/* All of a file in memory, with a NUL behind it; NULL if that fails. */
static char *read_all(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *text = size < 0 ? NULL : malloc(size + 1);
	off_t at = 0;
	ssize_t got;

	while (text && at < size) {
		got = pread(fd, text + at, size - at, at);
		if (got <= 0) {
			free(text);
			return NULL;
		}
		at += got;
	}
	if (text)
		text[size] = '\0';
	return text;
}

static int write_all(int fd, const char *text, size_t size)
{
	ssize_t done;

	while (size) {
		done = write(fd, text, size);
		if (done < 0)
			return -errno;
		text += done;
		size -= done;
	}
	return 0;
}

/* With those as its standard files and none of ours; none of the user's settings.
 * Its exit status, or a negative errno. */
static int run_gnuplot(const int fd[3])
{
	char *const argv[] = { "gnuplot", "--default-settings", NULL };
	posix_spawn_file_actions_t actions;
	int status, err, i;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	for (i = 0; i < 3; i++)
		posix_spawn_file_actions_adddup2(&actions, fd[i], i);
	posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	err = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (err)
		return -err;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void complain_of_gnuplot(int result, int output)
{
	char *said = read_all(output);
	size_t line = said ? strspn(said, "\n ") : 0;

	if (result == -ENOENT || result == 127)
		error(0, 0,
		      "--report: there is no gnuplot: install it (on Debian: gnuplot-nox)");
	else if (result < 0)
		error(0, -result, "--report: gnuplot");
	else
		error(0, 0, "--report: gnuplot fails: %.*s",
		      said ? (int)strcspn(said + line, "\n") : 0,
		      said ? said + line : "");
	free(said);
}

/* Script, picture and complaints are files in memory: neither waits for the other. */
char *report_gnuplot(const char *script)
{
	int fd[3], result = -EIO, i;
	char *svg = NULL, *from;

	for (i = 0; i < 3; i++)
		fd[i] = memfd_create("gnuplot", MFD_CLOEXEC);
	if (fd[0] >= 3 && fd[1] >= 3 && fd[2] >= 3)
		result = write_all(fd[0], script, strlen(script));
	if (!result) {
		lseek(fd[0], 0, SEEK_SET);
		result = run_gnuplot(fd);
	}
	if (!result)
		svg = read_all(fd[1]);
	from = svg ? strstr(svg, "<svg") : NULL;
	if (from) {
		memmove(svg, from, strlen(from) + 1);
	} else {
		complain_of_gnuplot(result, fd[2]);
		free(svg);
		svg = NULL;
	}
	for (i = 0; i < 3; i++)
		if (fd[i] >= 0)
			close(fd[i]);
	return svg;
}

/* ---- The file ---- */

static bool is_svg(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot && !strcmp(dot, ".svg");
}

static bool is_html(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot && !strcmp(dot, ".html");
}

static int complain_of(const char *path, int err)
{
	error(0, err, "--report: %s", path);
	return -err;
}

/* A file beside @path, whose name goes into *@name; free() it. */
static int temporary(const char *path, char **name)
{
	int fd;

	if (asprintf(name, "%s.XXXXXX", path) < 0) {
		*name = NULL;
		return -ENOMEM;
	}
	fd = mkostemp(*name, O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int report_check_name(const char *path)
{
	if (is_html(path) || is_svg(path))
		return 0;
	error(0, 0, "--report: \"%s\" should end in .html or .svg", path);
	return -EINVAL;
}

static int check_file(const char *path)
{
	struct stat status;
	char *name;
	int fd;

	if (report_check_name(path))
		return -EINVAL;
	if (!stat(path, &status) && S_ISDIR(status.st_mode))
		return complain_of(path, EISDIR);
	fd = temporary(path, &name);
	if (fd >= 0) {
		unlink(name);
		close(fd);
	}
	free(name);
	return fd < 0 ? complain_of(path, -fd) : 0;
}

int report_check(const char *path)
{
	int err = check_file(path);
	char *svg;

	if (err)
		return err;
	svg = report_gnuplot("set terminal svg\nplot 0\n");
	free(svg);
	return svg ? 0 : -ENOENT;
}

/* Under @path there is the old file or the new one, never half of it. */
static int write_file(const char *path, const struct stats *copy,
		      const char *svg)
{
	char *name;
	int fd = temporary(path, &name), err = 0;
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	if (!file) {
		err = fd < 0 ? -fd : errno;
		goto out;
	}
	fchmod(fd, 0644);
	if (is_svg(path))
		fprintf(file, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n%s",
			svg);
	else
		report_html(file, copy, svg);
	if (fflush(file) || ferror(file) || fsync(fd))
		err = errno ?: EIO;
	if (fclose(file) && !err)
		err = errno;
	if (!err && rename(name, path))
		err = errno;
	if (err)
		unlink(name);
out:
	free(name);
	return err ? complain_of(path, err) : 0;
}

int report_write(struct stats *stats, const char *path)
{
	struct stats *copy = malloc(sizeof(*copy));
	int err = -EIO;
	char *svg;

	if (!copy)
		return complain_of(path, ENOMEM);
	stats_copy(stats, copy);
	svg = report_plot(copy);
	if (svg)
		err = write_file(path, copy, svg);
	free(svg);
	free(copy);
	return err;
}
