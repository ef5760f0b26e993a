// SPDX-License-Identifier: LGPL-2.1-or-later
/* What an answer says. Nothing of it is believed that was not looked at. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "../kme/kme.h"
#include "etsi014.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

const char *etsi014_deviation_text(unsigned int deviation)
{
	switch (deviation) {
	case ETSI014_DEV_CODE:
		return "HTTP codes that it does not list";
	case ETSI014_DEV_COUNT:
		return "more keys stored than can be stored";
	case ETSI014_DEV_INTEGER_ID:
		return "IDs that are integers";
	case ETSI014_DEV_MEMBER:
		return "members that it does not name";
	case ETSI014_DEV_KEYS:
		return "\"Keys\" for \"keys\"";
	case ETSI014_DEV_FEWER:
		return "fewer keys than asked for";
	case ETSI014_DEV_ERROR:
		return "errors without their message, or 401 with one";
	default:
		return "something else";
	}
}

int etsi014_key_id_copy(etsi014_key_id id, const char *text)
{
	static const char digits[] = "0123456789abcdef";
	const char *digit;
	char lower;
	int i;

	for (i = 0; i < ETSI014_KEY_ID_LEN; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (text[i] != '-')
				return -EINVAL;
			id[i] = '-';
			continue;
		}
		lower = text[i] >= 'A' && text[i] <= 'F' ? text[i] | 0x20 :
							   text[i];
		digit = lower ? strchr(digits, lower) : NULL;
		if (!digit)
			return -EINVAL;
		id[i] = *digit;
	}
	id[i] = '\0';
	return text[i] ? -EINVAL : 0;
}

static void note_members(struct etsi014_answer *answer, json_t *object,
			 const char *const *names, size_t n)
{
	const char *name;
	json_t *value;
	size_t i;

	json_object_foreach(object, name, value)
	{
		for (i = 0; i < n && strcmp(name, names[i]); i++)
			;
		if (i == n)
			answer->deviations |= ETSI014_DEV_MEMBER;
	}
}

/*
 * Status
 */

static int get_name(struct etsi014_answer *answer, json_t *root,
		    const char *member, char name[ETSI014_NAME_LEN + 1])
{
	json_t *value = json_object_get(root, member);

	if (json_is_integer(value)) {
		answer->deviations |= ETSI014_DEV_INTEGER_ID;
		snprintf(name, ETSI014_NAME_LEN + 1, "%" JSON_INTEGER_FORMAT,
			 json_integer_value(value));
		return 0;
	}
	if (!kme_json_name(value, name, ETSI014_NAME_LEN + 1))
		return say(answer->text, -EPROTO, "%s is no ID", member);
	return 0;
}

static int get_count(struct etsi014_answer *answer, json_t *root,
		     const char *member, uint64_t *count)
{
	json_t *value = json_object_get(root, member);

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return say(answer->text, -EPROTO, "%s is no number", member);
	*count = json_integer_value(value);
	return 0;
}

static int parse_status(struct etsi014_answer *answer, json_t *root)
{
	static const char *const known[] = {
		"source_KME_ID",
		"target_KME_ID",
		"master_SAE_ID",
		"slave_SAE_ID",
		"key_size",
		"min_key_size",
		"max_key_size",
		"stored_key_count",
		"max_key_count",
		"max_SAE_ID_count",
		"max_key_per_request",
		"status_extension",
	};
	struct etsi014_status *s = &answer->status;
	char *const names[] = { s->source_kme, s->target_kme, s->master_sae,
				s->slave_sae };
	uint64_t *const counts[] = {
		&s->key_size,
		&s->min_key_size,
		&s->max_key_size,
		&s->stored_key_count,
		&s->max_key_count,
		&s->max_sae_id_count,
		&s->max_key_per_request,
	};
	size_t i;
	int err;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		err = get_name(answer, root, known[i], names[i]);
		if (err)
			return err;
	}
	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		err = get_count(answer, root, known[ARRAY_SIZE(names) + i],
				counts[i]);
		if (err)
			return err;
	}
	if (s->min_key_size > s->key_size || s->key_size > s->max_key_size)
		return say(answer->text, -EPROTO,
			   "the key sizes contradict each other");
	if (s->stored_key_count > s->max_key_count)
		answer->deviations |= ETSI014_DEV_COUNT;
	note_members(answer, root, known, ARRAY_SIZE(known));
	return 0;
}

/*
 * Key container
 */

static struct etsi014_keys *keys_new(unsigned int count, size_t size)
{
	struct etsi014_keys *keys = calloc(1, sizeof(*keys));

	if (!keys)
		return NULL;
	keys->count = count;
	keys->size = size;
	keys->ids = calloc(count, sizeof(*keys->ids));
	keys->bytes = kme_secret_new(count * size);
	if (keys->ids && keys->bytes)
		return keys;
	free(keys->ids);
	kme_secret_free(keys->bytes, count * size);
	free(keys);
	return NULL;
}

void etsi014_keys_free(struct etsi014_keys *keys)
{
	if (!keys)
		return;
	kme_secret_free(keys->bytes, keys->count * keys->size);
	free(keys->ids);
	free(keys);
}

/* Returns how many bytes the text stands for, or -1 if it is not what these
 * bytes encode to: other alphabets, spaces, padding and bits that count for
 * nothing are all caught by that.
 */
static ssize_t decode(const char *text, size_t length, uint8_t *raw,
		      uint8_t *again)
{
	size_t padding = 0;

	if (!length || length % 4)
		return -1;
	while (padding < 2 && text[length - padding - 1] == '=')
		padding++;
	if (EVP_DecodeBlock(raw, (const uint8_t *)text, length) < 0)
		return -1;
	EVP_EncodeBlock(again, raw, length / 4 * 3 - padding);
	if (CRYPTO_memcmp(again, text, length))
		return -1;
	return length / 4 * 3 - padding;
}

/* Returns as decode(); the bytes only if they are as many as they should be. */
static ssize_t get_bytes(const json_t *value, uint8_t *bytes, size_t size)
{
	size_t length = json_string_length(value);
	uint8_t *raw = OPENSSL_malloc(length + 1);
	uint8_t *again = OPENSSL_malloc(length + 1);
	ssize_t n = -1;

	if (raw && again)
		n = decode(json_string_value(value), length, raw, again);
	if (n >= 0 && (size_t)n == size)
		memcpy(bytes, raw, size);
	OPENSSL_clear_free(raw, length + 1);
	OPENSSL_clear_free(again, length + 1);
	return n;
}

/* Where the key of this ID goes, or -1: it is new, or one that was asked for. */
static int place(const struct etsi014_request *request,
		 const struct etsi014_keys *keys, unsigned int seen,
		 const char *id)
{
	const etsi014_key_id *ids = keys->ids;
	unsigned int i, n = seen;

	if (request->call == ETSI014_DEC_KEYS) {
		ids = request->ids;
		n = request->number;
	}
	for (i = 0; i < n && strcmp(ids[i], id); i++)
		;
	if (request->call == ETSI014_DEC_KEYS)
		return i < n && !*keys->ids[i] ? (int)i : -1;
	return i < n ? -1 : (int)seen;
}

static int parse_key(const struct etsi014_request *request,
		     struct etsi014_answer *answer, json_t *entry,
		     unsigned int seen)
{
	static const char *const known[] = { "key_ID", "key",
					     "key_ID_extension",
					     "key_extension" };
	const char *text = json_string_value(json_object_get(entry, "key_ID"));
	struct etsi014_keys *keys = answer->keys;
	etsi014_key_id id;
	ssize_t n;
	int at;

	if (!text || etsi014_key_id_copy(id, text))
		return say(answer->text, -EPROTO, "the ID of key %u is no UUID",
			   seen + 1);
	at = place(request, keys, seen, id);
	if (at < 0)
		return say(answer->text, -EPROTO,
			   "key %s is there twice or was not asked for", id);
	n = get_bytes(json_object_get(entry, "key"),
		      keys->bytes + at * keys->size, keys->size);
	if (n < 0)
		return say(answer->text, -EPROTO, "key %s is no Base64", id);
	if ((size_t)n != keys->size)
		return say(answer->text, -EPROTO,
			   "key %s has %zd bits, not the %u asked for", id,
			   8 * n, request->size);
	memcpy(keys->ids[at], id, sizeof(id));
	note_members(answer, entry, known, ARRAY_SIZE(known));
	return 0;
}

static int count_keys(const struct etsi014_request *request,
		      struct etsi014_answer *answer, json_t *list)
{
	size_t n = json_array_size(list);

	if (!json_is_array(list))
		return say(answer->text, -EPROTO, "there is no array of keys");
	if (!n || n > request->number ||
	    (n < request->number && request->call == ETSI014_DEC_KEYS))
		return say(answer->text, -EPROTO,
			   "%zu keys, not the %u asked for", n,
			   request->number);
	if (n < request->number)
		answer->deviations |= ETSI014_DEV_FEWER;
	return 0;
}

static int parse_keys(const struct etsi014_request *request,
		      struct etsi014_answer *answer, json_t *root)
{
	static const char *const known[] = { "keys", "Keys",
					     "key_container_extension" };
	json_t *list = json_object_get(root, "keys"), *entry;
	unsigned int i;
	int err;

	if (!list) {
		list = json_object_get(root, "Keys");
		if (list)
			answer->deviations |= ETSI014_DEV_KEYS;
	}
	err = count_keys(request, answer, list);
	if (err)
		return err;
	note_members(answer, root, known, ARRAY_SIZE(known));
	answer->keys = keys_new(json_array_size(list), request->size / 8);
	if (!answer->keys)
		return say(answer->text, -ENOMEM, "out of memory");
	json_array_foreach(list, i, entry)
	{
		err = parse_key(request, answer, entry, i);
		if (err)
			return err;
	}
	return 0;
}

/*
 * Error
 */

static int refusal(const struct etsi014_request *request, long code,
		   const char *message)
{
	switch (code) {
	case 400:
		if (request->call == ETSI014_DEC_KEYS && message &&
		    strstr(message, "not found"))
			return -ENOENT;
		return -EINVAL;
	case 401:
		return -EACCES;
	case 404:
		return -ENOENT;
	case 409:
	case 412:
		return -EINVAL;
	case 500:
		return -EREMOTEIO;
	case 503:
	case 504:
		return -EAGAIN;
	default:
		return -EPROTO;
	}
}

static int parse_refusal(const struct etsi014_request *request, long code,
			 json_t *root, size_t size,
			 struct etsi014_answer *answer)
{
	const char *message =
		json_string_value(json_object_get(root, "message"));

	if (code == 404 || code == 409 || code == 412 || code == 500 ||
	    code == 504)
		answer->deviations |= ETSI014_DEV_CODE;
	if (code == 401 ? size != 0 : !message)
		answer->deviations |= ETSI014_DEV_ERROR;
	say(answer->text, 0, "HTTP %ld%s%.200s", code, message ? ": " : "",
	    message ? message : "");
	return refusal(request, code, message);
}

static int parse(const struct etsi014_request *request, json_t *root,
		 struct etsi014_answer *answer)
{
	if (!root)
		return -EPROTO; /* as its text says */
	if (request->call == ETSI014_STATUS)
		return parse_status(answer, root);
	return parse_keys(request, answer, root);
}

int etsi014_parse(const struct etsi014_request *request, long code,
		  const void *body, size_t size, struct etsi014_answer *answer)
{
	json_t *root;
	int err;

	memset(answer, 0, sizeof(*answer));
	root = kme_json_object(body, size, answer->text);
	if (code == 200)
		err = parse(request, root, answer);
	else
		err = parse_refusal(request, code, root, size, answer);
	json_decref(root);
	if (err) { /* of an answer that is wrong somewhere nothing is used */
		etsi014_keys_free(answer->keys);
		answer->keys = NULL;
	}
	return err;
}
