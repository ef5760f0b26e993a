// SPDX-License-Identifier: GPL-2.0-only
/* The bootstrap key: read once, and gone. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "../common/log.h"
#include "../common/private.h"
#include "link.h"

#define SECRET_MAX (16 << 20)

uint8_t *secret_new(size_t size)
{
	uint8_t *secret = mmap(NULL, size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (secret == MAP_FAILED)
		return NULL;
	/* Short of lockable memory it may be swapped, never dumped. */
	(void)mlock(secret, size);
	(void)madvise(secret, size, MADV_DONTDUMP);
	return secret;
}

void secret_free(uint8_t *secret, size_t size)
{
	if (!secret)
		return;
	OPENSSL_cleanse(secret, size);
	munmap(secret, size);
}

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

/* What was read may be somewhere else still: a file system that copies, flash. */
static bool destroy(const char *path, size_t size)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	bool good = fd >= 0 && write_zeros(fd, size) && !unlink(path);

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

	if (fstat(fd, &st) || st.st_size < 1 || st.st_size > SECRET_MAX) {
		log_error("%s: it has to have 1 byte to 16 MiB", path);
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
		secret = secret_new(*size);
	if (secret && (!read_all(fd, secret, *size) || !destroy(path, *size))) {
		secret_free(secret, *size);
		secret = NULL;
	}
	close(fd);
	return secret;
}
