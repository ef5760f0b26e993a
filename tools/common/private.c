// SPDX-License-Identifier: GPL-2.0-only
/* A daemon that holds keys keeps itself, and them, from others. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "private.h"

/* No core dump, no swap, no files that others can read. */
void withdraw(void)
{
	struct rlimit limit;

	umask(077);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_DUMPABLE, 0);
	/* under a limit allocations would fail later on */
	if (getrlimit(RLIMIT_MEMLOCK, &limit) ||
	    limit.rlim_cur != RLIM_INFINITY ||
	    mlockall(MCL_CURRENT | MCL_FUTURE))
		log_info("memory is not locked: set LimitMEMLOCK=infinity");
}

/* A secret is for its owner alone: root or us. */
int open_private(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st)) {
		log_error("%s: %s", path, strerror(errno));
		goto fail;
	}
	if (!S_ISREG(st.st_mode)) {
		log_error("%s: it is no regular file", path);
		goto fail;
	}
	if (st.st_mode & 077 || (st.st_uid && st.st_uid != geteuid())) {
		log_error(
			"%s: others than its owner can get at it, or the owner is neither root nor us: chown, chmod 600",
			path);
		goto fail;
	}
	return fd;

fail:
	if (fd >= 0)
		close(fd);
	return -1;
}
