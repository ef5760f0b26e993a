// SPDX-License-Identifier: GPL-2.0-only
/* The bootstrap key: read once, and gone. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/log.h"
#include "../common/private.h"
#include "../../lib/kme/common.h"
#include "link.h"

static bool read_all(int fd, uint8_t *to, size_t size)
{
	ssize_t n;

	for (; size; to += n, size -= n) {
		n = read(fd, to, size);
		if (n <= 0)
			return false;
	}
	return true;
}

static bool write_zeros(int fd, size_t size)
{
	static const uint8_t zeros[4096];
	ssize_t n;

	for (; size; size -= n) {
		n = write(fd, zeros, size < 4096 ? size : 4096);
		if (n <= 0)
			return false;
	}
	return !fsync(fd);
}

/* It is the file that was read, and has no other name. */
static bool is_alone(int fd, int read)
{
	struct stat st, other;

	if (fstat(fd, &st) || fstat(read, &other))
		return false;
	errno = st.st_dev != other.st_dev || st.st_ino != other.st_ino ?
			ESTALE :
			EMLINK;
	return st.st_dev == other.st_dev && st.st_ino == other.st_ino &&
	       st.st_nlink == 1;
}

/* So that the name does not come back when power is lost. */
static bool sync_folder(const char *path)
{
	char folder[PATH_MAX];
	int fd;
	bool good;

	snprintf(folder, sizeof(folder), "%s", path);
	fd = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	good = fd >= 0 && !fsync(fd);
	if (fd >= 0)
		close(fd);
	return good;
}

/* First its name: whenever this ends, the file is there and was not used, or is not there.
 * Of two who have read it one removes it. What was read may be somewhere else still: a file
 * system that copies, flash.
 */
static bool destroy(const char *path, int read, size_t size)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	bool good = fd >= 0 && is_alone(fd, read) && !unlink(path) &&
		    sync_folder(path) && write_zeros(fd, size);

	if (!good)
		log_error(
			"%s: the key cannot be used, as its file cannot be removed: %s",
			path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return good;
}

static int size_of(const char *path, int fd, size_t *size)
{
	struct stat st;

	/* before it is destroyed: it may be quite another file */
	if (fstat(fd, &st) || st.st_size < TALK_KEY_MIN ||
	    st.st_size > TALK_KEY_MAX) {
		log_error(
			"%s: not a bootstrap key: it has to have %u to %u bytes",
			path, (unsigned int)TALK_KEY_MIN,
			(unsigned int)TALK_KEY_MAX);
		return -1;
	}
	*size = st.st_size;
	return 0;
}

int secret_check(const char *path)
{
	int fd = open_private(path), err;
	size_t size;

	if (fd < 0)
		return -1;
	err = size_of(path, fd, &size);
	close(fd);
	return err;
}

uint8_t *secret_take(const char *path, size_t *size)
{
	int fd = open_private(path);
	uint8_t *secret = NULL;

	if (fd < 0)
		return NULL;
	if (!size_of(path, fd, size))
		secret = kme_secret_new(*size);
	if (secret &&
	    (!read_all(fd, secret, *size) || !destroy(path, fd, *size))) {
		kme_secret_free(secret, *size);
		secret = NULL;
	}
	close(fd);
	return secret;
}
