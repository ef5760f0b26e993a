// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bodies of a SKIP provider's answers, for lib/skip. The first character of an input
 * says what was asked, the second the answer's HTTP code.
 */
#include <stdlib.h>
#include <string.h>

#include "skip.h"

static const long codes[] = { 200, 400, 404, 503 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct skip_request request = { .size = 256, .key_id = "1726e9ab" };
	static struct skip_answer answer;
	const char *p;
	int err;

	if (size < 2)
		return 0;
	request.call = data[0] % 4;
	err = skip_parse(&request, codes[data[1] % 4], data + 2, size - 2,
			 &answer);
	for (p = answer.text; *p; p++)
		if (*p < ' ' || *p > '~')
			abort();
	if (err ? !!answer.key :
		  !answer.key == (request.call != SKIP_CAPABILITIES))
		abort();
	if (answer.key && answer.size != 32 &&
	    (request.call != SKIP_ENTROPY || answer.size < 32))
		abort();
	skip_answer_free(&answer);
	return 0;
}
