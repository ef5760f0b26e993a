// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bodies of a KME's answers, for lib/etsi014. The first character of an input
 * says what was asked, the second the answer's HTTP code.
 */
#include <stdlib.h>
#include <string.h>

#include "etsi014.h"

static const long codes[] = { 200, 400, 401, 503 };
static const etsi014_key_id ids[] = {
	"bc490419-7d60-487f-adc1-4ddcc177c139",
	"0a782fb5-3434-48fe-aa4d-14f41d46cf92",
};

static void check_keys(const struct etsi014_keys *keys)
{
	unsigned int i;

	if (!keys->count || keys->count > 2 || keys->size != 32)
		abort();
	for (i = 0; i < keys->count; i++)
		if (strlen(keys->ids[i]) != ETSI014_KEY_ID_LEN)
			abort();
	if (keys->count == 2 && !strcmp(keys->ids[0], keys->ids[1]))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct etsi014_request request = {
		.number = 2,
		.size = 256,
		.ids = ids,
	};
	struct etsi014_answer answer;
	const char *p;
	int err;

	if (size < 2)
		return 0;
	request.call = data[0] % 3;
	err = etsi014_parse(&request, codes[data[1] % 4], data + 2, size - 2,
			    &answer);
	if (!!*answer.text != !!err)
		abort();
	for (p = answer.text; *p; p++)
		if (*p < ' ' || *p > '~')
			abort();
	if (err ? !!answer.keys :
		  !answer.keys == (request.call != ETSI014_STATUS))
		abort();
	if (answer.keys)
		check_keys(answer.keys);
	etsi014_keys_free(answer.keys);
	return 0;
}
