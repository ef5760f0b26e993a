// SPDX-License-Identifier: LGPL-2.1-or-later
/* The key that proves us and the provider to each other. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "internal.h"

/* A secret is for its owner alone: root or us. */
static int open_private(const char *path, char text[SKIP_TEXT_LEN])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	int err;

	if (fd < 0)
		return say(text, -errno, "pre-shared key %s: %s", path,
			   strerror(errno));
	if (fstat(fd, &st))
		err = say(text, -errno, "%s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		err = say(text, -EINVAL, "%s: it is no regular file", path);
	else if (st.st_mode & 077 || (st.st_uid && st.st_uid != geteuid()))
		err = say(
			text, -EPERM,
			"%s: others than its owner can get at it, or the owner is neither root nor us: chown, chmod 600",
			path);
	else
		return fd;
	close(fd);
	return err;
}

/* Without the spaces and line ends that follow. */
static ssize_t from_text(const char *text, ssize_t length,
			 uint8_t psk[SKIP_PSK_MAX])
{
	while (length > 0 && strchr(" \t\r\n", text[length - 1]))
		length--;
	if (length < 2 * SKIP_PSK_MIN)
		return -1;
	return kme_from_hex(text, length, psk, SKIP_PSK_MAX);
}

int psk_read(const char *path, uint8_t psk[SKIP_PSK_MAX],
	     char text[SKIP_TEXT_LEN])
{
	char digits[2 * SKIP_PSK_MAX + 16];
	ssize_t n;
	int fd;

	fd = open_private(path, text);
	if (fd < 0)
		return fd;
	n = from_text(digits, read(fd, digits, sizeof(digits)), psk);
	close(fd);
	OPENSSL_cleanse(digits, sizeof(digits));
	if (n < 0) {
		OPENSSL_cleanse(psk, SKIP_PSK_MAX);
		return say(text, -EINVAL,
			   "%s: it does not hold %d to %d bytes in hexadecimal",
			   path, SKIP_PSK_MIN, SKIP_PSK_MAX);
	}
	return n;
}
