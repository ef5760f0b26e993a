// SPDX-License-Identifier: GPL-2.0-only
/* What is answered, as JSON. */
#include <string.h>

#include <jansson.h>
#include <openssl/evp.h>

#include "kme.h"

#define BASE64_LEN(size) (((size) + 2) / 3 * 4)

void answer_free(void *p)
{
	struct answer *answer = p;

	if (answer)
		kme_secret_free(answer, answer->size);
}

/* Takes the JSON; @room: that is enough for its text. */
static struct answer *write_down(json_t *root, size_t room)
{
	size_t size = sizeof(struct answer) + room;
	struct answer *answer = root ? kme_secret_new(size) : NULL;

	if (answer) {
		answer->size = size;
		answer->length =
			json_dumpb(root, answer->text, room, JSON_COMPACT);
	}
	json_decref(root);
	if (answer && (!answer->length || answer->length > room)) {
		answer_free(answer);
		return NULL;
	}
	return answer;
}

struct answer *answer_error(const struct problem *problem)
{
	json_t *root = json_pack("{ss}", "message", problem->message);
	json_t *details;

	/* none if the name of the extension is cut inside of a character */
	if (root && *problem->extension) {
		details = json_pack("[{so}]", "extension_mandatory_unsupported",
				    json_sprintf("%s is not supported",
						 problem->extension));
		if (details)
			json_object_set_new(root, "details", details);
	}
	return write_down(root, 1024);
}

struct answer *answer_pool(const char *sae, const char *peer,
			   const struct pool *pool)
{
	json_t *root =
		json_pack("{ss ss ss ss sI sI sI sI sI sI sI}", "source_KME_ID",
			  config->kme_id, "target_KME_ID", pool->target_kme,
			  "master_SAE_ID", sae, "slave_SAE_ID", peer,
			  "key_size", (json_int_t)pool->key_size,
			  "stored_key_count", (json_int_t)pool->stored,
			  "max_key_count", (json_int_t)pool->capacity,
			  "max_key_per_request", (json_int_t)pool->max_number,
			  "max_key_size", (json_int_t)pool->max_key_size,
			  "min_key_size", (json_int_t)pool->min_key_size,
			  "max_SAE_ID_count", (json_int_t)pool->max_slaves);

	return write_down(root, 4096);
}

static json_t *entry(const struct keys *keys, unsigned int i)
{
	unsigned char text[BASE64_LEN(QKD_KEY_SIZE_MAX) + 1];
	char id[QKD_KEY_ID_TEXT_LEN + 1];
	json_t *object;

	EVP_EncodeBlock(text, keys->bytes[i].bytes, keys->size[i]);
	object = json_pack("{ss ss}", "key_ID",
			   qkd_key_id_format(keys->ids[i], id), "key", text);
	explicit_bzero(text, sizeof(text));
	return object;
}

struct answer *answer_keys(const struct keys *keys)
{
	json_t *array = json_array();
	size_t room = 32;
	unsigned int i;

	for (i = 0; i < keys->number; i++) {
		json_array_append_new(array, entry(keys, i));
		room += QKD_KEY_ID_TEXT_LEN + BASE64_LEN(keys->size[i]) + 32;
	}
	if (json_array_size(array) != keys->number) {
		json_decref(array);
		return NULL;
	}
	return write_down(json_pack("{so}", "keys", array), room);
}
