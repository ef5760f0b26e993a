// SPDX-License-Identifier: LGPL-2.1-or-later
/* Metadata of a chunk, as JSON. */
#include <errno.h>
#include <string.h>

#include "internal.h"

/* A member that is not there is unknown; one that is no such number is wrong. */
static int get_number(json_t *root, const char *member, uint64_t most,
		      bool *has, uint64_t *number)
{
	json_t *value = json_object_get(root, member);

	if (!value)
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    (uint64_t)json_integer_value(value) > most)
		return -EPROTO;
	*has = true;
	*number = json_integer_value(value);
	return 0;
}

int metadata_parse(const uint8_t *bytes, size_t size,
		   struct etsi004_metadata *metadata)
{
	uint64_t hops = 0;
	char text[KME_TEXT_LEN]; /* nobody asks */
	json_t *root;
	int err;

	/* the standard fills a buffer: what ends early is padded */
	while (size && !bytes[size - 1])
		size--;
	if (!size)
		return 0;
	root = kme_json_object(bytes, size, text);
	err = root ? 0 : -EPROTO;
	err = err   ?:
		      get_number(root, "age", INT64_MAX, &metadata->has_age,
				 &metadata->age);
	err = err   ?:
		      get_number(root, "hops", UINT32_MAX, &metadata->has_hops,
				 &hops);
	metadata->hops = hops;
	json_decref(root);
	return err;
}

size_t etsi004_pack_metadata(const struct etsi004_metadata *metadata,
			     char bytes[ETSI004_METADATA_MAX])
{
	json_t *root;
	size_t size = 0;

	if (!metadata->has_age && !metadata->has_hops)
		return 0;
	root = json_object();
	if (metadata->has_age)
		json_object_set_new(root, "age", json_integer(metadata->age));
	if (metadata->has_hops)
		json_object_set_new(root, "hops", json_integer(metadata->hops));
	size = json_dumpb(root, bytes, bytes ? ETSI004_METADATA_MAX : 0,
			  JSON_COMPACT);
	json_decref(root);
	return size;
}
