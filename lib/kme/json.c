// SPDX-License-Identifier: LGPL-2.1-or-later
/* JSON that may hold a key. */
#include <string.h>

#include "kme.h"

/* jansson's own words on what is wrong may be a piece of a key. */
json_t *kme_json_load(const void *body, size_t size, int *position)
{
	json_error_t error;
	json_t *root = json_loadb(body, size, JSON_REJECT_DUPLICATES, &error);

	*position = root ? 0 : error.position;
	explicit_bzero(&error, sizeof(error));
	return root;
}
