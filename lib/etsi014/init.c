// SPDX-License-Identifier: LGPL-2.1-or-later
/* Before anything else. */
#include <pthread.h>
#include <string.h>

#include "../kme/kme.h"
#include "etsi014.h"

/* The first call of a library to another goes through the dynamic linker, which
 * puts vector registers, and the piece of a key that is in them, on the stack.
 * So the first key is none.
 */
static int rehearse(void)
{
	static const char body[] =
		"{\"keys\":[{\"key_ID\":\"00000000-0000-0000-0000-000000000000\","
		"\"key\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}]}";
	static const struct etsi014_request request = {
		.call = ETSI014_ENC_KEYS,
		.number = 1,
		.size = 256,
	};
	struct etsi014_answer answer;
	int err;

	etsi014_parse(&request, 200, body, strlen(body) - 20, &answer);
	err = etsi014_parse(&request, 200, body, strlen(body), &answer);
	etsi014_keys_free(answer.keys);
	return err;
}

static int init_result;

static void init(void)
{
	init_result = kme_init() ?: rehearse();
}

int etsi014_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, init);
	return init_result;
}
