// SPDX-License-Identifier: LGPL-2.1-or-later
/* The libraries that clients of KMEs use, made ready. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kme.h"

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
