// SPDX-License-Identifier: LGPL-2.1-or-later
/* JSON that may hold a key. */
#include <string.h>

#include "kme.h"

json_t *kme_json_object(const void *body, size_t size, char text[KME_TEXT_LEN])
{
	json_error_t error;
	json_t *root = json_loadb(body, size, JSON_REJECT_DUPLICATES, &error);
	int position = error.position;

	/* jansson's own words on what is wrong may be a piece of a key */
	explicit_bzero(&error, sizeof(error));
	if (json_is_object(root))
		return root;
	if (root)
		say(text, 0, "the answer is no object");
	else
		say(text, 0, "malformed JSON at byte %d", position);
	json_decref(root);
	return NULL;
}

bool kme_json_name(const json_t *value, char *name, size_t room)
{
	size_t i, length = json_string_length(value);

	if (!length || length >= room)
		return false;
	memcpy(name, json_string_value(value), length + 1);
	for (i = 0; i < length; i++)
		if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
			return false;
	return true;
}
