// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests to qkd-kme, for its request.c: the method's first letter, the target up
 * to the end of the line, the body.
 */
#include <stdlib.h>
#include <string.h>

#include "../../tools/qkd-kme/request.h"

static void check(const struct request *request)
{
	unsigned int i, j;

	if (!memchr(request->sae, 0, sizeof(request->sae)) || !*request->sae ||
	    request->size % 8 || request->nslaves > SLAVES_MAX)
		abort();
	if (request->call != CALL_DEC_KEYS)
		return;
	if (!request->number || request->number > NUMBER_MAX)
		abort();
	for (i = 0; i < request->number; i++)
		for (j = 0; j < i; j++)
			if (!memcmp(request->ids[i], request->ids[j],
				    sizeof(request->ids[i])))
				abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct request request;
	struct problem problem;
	const uint8_t *end;
	char *target;
	int err;

	end = size ? memchr(data, '\n', size) : NULL;
	if (!end || end == data)
		return 0;
	target = strndup((const char *)data + 1, end - data - 1);
	size -= end + 1 - data;
	err = request_target(&request, target, &problem);
	if (!err)
		err = request_body(&request,
				   data[0] == 'P' ? REQUEST_POST : REQUEST_GET,
				   "application/json", end + 1, size, &problem);
	free(target);
	if (!err)
		check(&request);
	else if (!*problem.message ||
		 !memchr(problem.message, 0, sizeof(problem.message)))
		abort();
	return 0;
}
