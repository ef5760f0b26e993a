// SPDX-License-Identifier: LGPL-2.1-or-later
/* Memory that keys are in, which is wiped before it is given back. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kme.h"

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

/* jansson keeps a string twice, while it is read and for good, and moves it
 * when it grows. What malloc() has given may come here, and the reverse.
 */
static void wipe_and_free(void *p)
{
	if (p)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

static int init_result;

static void init(void)
{
	json_set_alloc_funcs(malloc, wipe_and_free);
	init_result = curl_global_init(CURL_GLOBAL_DEFAULT) ? -ENOMEM : 0;
}

int kme_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, init);
	return init_result;
}
