// SPDX-License-Identifier: LGPL-2.1-or-later
/* Memory that keys are in, which is wiped before it is given back. */
#include <string.h>
#include <sys/mman.h>

#include "common.h"

void *kme_secret_new(size_t size)
{
	void *secret = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (secret == MAP_FAILED)
		return NULL;
	(void)mlock(secret, size);
	(void)madvise(secret, size, MADV_DONTDUMP);
	return secret;
}

void kme_secret_free(void *secret, size_t size)
{
	if (!secret)
		return;
	explicit_bzero(secret, size);
	munmap(secret, size);
}
