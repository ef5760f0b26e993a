// SPDX-License-Identifier: LGPL-2.1-or-later
/* What an answer says. Nothing of it is believed that was not looked at. */
#include <errno.h>
#include <fnmatch.h>
#include <pthread.h>
#include <string.h>

#include "internal.h"

/*
 * Capabilities
 */

static int get_name(struct skip_answer *answer, const json_t *value,
		    const char *member, char name[SKIP_NAME_LEN + 1])
{
	if (!kme_json_name(value, name, SKIP_NAME_LEN + 1))
		return say(answer->text, -EPROTO, "%s is no name", member);
	return 0;
}

static int get_flag(struct skip_answer *answer, json_t *root,
		    const char *member, bool *flag)
{
	json_t *value = json_object_get(root, member);

	if (!json_is_boolean(value))
		return say(answer->text, -EPROTO, "%s is no boolean", member);
	*flag = json_boolean_value(value);
	return 0;
}

static int get_remotes(struct skip_answer *answer, json_t *root)
{
	struct skip_capabilities *c = &answer->capabilities;
	json_t *list = json_object_get(root, "remoteSystemID"), *entry;
	size_t i;
	int err;

	if (!json_is_array(list))
		return say(answer->text, -EPROTO, "remoteSystemID is no array");
	if (json_array_size(list) > SKIP_REMOTES_MAX)
		return say(answer->text, -EPROTO, "%zu remoteSystemIDs",
			   json_array_size(list));
	json_array_foreach(list, i, entry)
	{
		err = get_name(answer, entry, "remoteSystemID", c->remotes[i]);
		if (err)
			return err;
		c->nremotes++;
	}
	return 0;
}

static int parse_capabilities(struct skip_answer *answer, json_t *root)
{
	struct skip_capabilities *c = &answer->capabilities;
	json_t *algorithm = json_object_get(root, "algorithm");
	int err;

	err = get_flag(answer, root, "entropy", &c->entropy);
	err = err ?: get_flag(answer, root, "key", &c->key);
	if (algorithm) /* says nothing that anybody could rely on */
		err = err   ?:
			      get_name(answer, algorithm, "algorithm",
				       c->algorithm);
	err = err   ?:
		      get_name(answer, json_object_get(root, "localSystemID"),
			       "localSystemID", c->local);
	return err ?: get_remotes(answer, root);
}

bool skip_serves(const struct skip_capabilities *capabilities,
		 const char *remote)
{
	unsigned int i;

	for (i = 0; i < capabilities->nremotes; i++)
		if (!fnmatch(capabilities->remotes[i], remote, FNM_NOESCAPE))
			return true;
	return false;
}

/*
 * Keys and randomness
 */

static int get_bytes(struct skip_answer *answer, json_t *root,
		     const char *member)
{
	json_t *value = json_object_get(root, member);
	size_t length = json_string_length(value);

	if (!length || length % 2)
		return say(answer->text, -EPROTO, "%s is no hexadecimal",
			   member);
	answer->size = length / 2;
	answer->key = kme_secret_new(answer->size);
	if (!answer->key)
		return say(answer->text, -ENOMEM, "out of memory");
	if (kme_from_hex(json_string_value(value), length, answer->key,
			 answer->size) < 0)
		return say(answer->text, -EPROTO, "%s is no hexadecimal",
			   member);
	return 0;
}

static int parse_key(const struct skip_request *request,
		     struct skip_answer *answer, json_t *root)
{
	const char *id = json_string_value(json_object_get(root, "keyId"));
	int err;

	if (!id || skip_key_id_copy(answer->key_id, id))
		return say(
			answer->text, -EPROTO,
			"keyId is not an even number of up to %d hexadecimal digits",
			SKIP_KEY_ID_LEN);
	if (request->call == SKIP_KEY &&
	    !skip_key_id_equal(answer->key_id, request->key_id))
		return say(answer->text, -EPROTO, "key %.64s was not asked for",
			   answer->key_id);
	err = get_bytes(answer, root, "key");
	if (!err && answer->size != request->size / 8)
		err = say(answer->text, -EPROTO,
			  "key %.64s has %zu bits, not %u", answer->key_id,
			  8 * answer->size, request->size);
	return err;
}

static int parse_entropy(const struct skip_request *request,
			 struct skip_answer *answer, json_t *root)
{
	json_t *least = json_object_get(root, "minentropy");
	int err = get_bytes(answer, root, "randomStr");

	if (!err && (!json_is_integer(least) ||
		     json_integer_value(least) < request->size ||
		     8 * answer->size < request->size))
		err = say(answer->text, -EPROTO,
			  "the randomness has less than %u bits",
			  request->size);
	return err;
}

static int parse(const struct skip_request *request, json_t *root,
		 struct skip_answer *answer)
{
	if (!root)
		return -EPROTO; /* as its text says */
	switch (request->call) {
	case SKIP_CAPABILITIES:
		return parse_capabilities(answer, root);
	case SKIP_ENTROPY:
		return parse_entropy(request, answer, root);
	default:
		return parse_key(request, answer, root);
	}
}

/*
 * Errors. The draft gives them no body: what some providers put there is not
 * repeated.
 */

static int refusal(const struct skip_request *request, long code)
{
	switch (code) {
	case 400:
	case 404:
		return request->call == SKIP_KEY ? -ENOENT : -EINVAL;
	case 401:
	case 403:
		return -EACCES;
	case 500:
		return -EREMOTEIO;
	case 503:
	case 504:
		return -EAGAIN;
	default:
		return -EPROTO;
	}
}

int skip_parse(const struct skip_request *request, long code, const void *body,
	       size_t size, struct skip_answer *answer)
{
	json_t *root;
	int err;

	memset(answer, 0, sizeof(*answer));
	if (code != 200)
		return say(answer->text, refusal(request, code), "HTTP %ld",
			   code);
	root = kme_json_object(body, size, answer->text);
	err = parse(request, root, answer);
	json_decref(root);
	if (err) /* of an answer that is wrong somewhere nothing is used */
		skip_answer_free(answer);
	return err;
}

void skip_answer_free(struct skip_answer *answer)
{
	kme_secret_free(answer->key, answer->size);
	answer->key = NULL;
	answer->size = 0;
}

/*
 * As etsi014_init(): the first call of a library to another leaves pieces of
 * what it is about on the stack, so the first key is none.
 */

static int init_result;

static void init(void)
{
	static const char body[] =
		"{\"keyId\":\"00\",\"key\":\"00000000000000000000000000000000\"}";
	static const struct skip_request request = { .call = SKIP_NEW_KEY,
						     .size = 128 };
	struct skip_answer answer;

	init_result = kme_init();
	if (init_result)
		return;
	skip_parse(&request, 200, body, strlen(body) - 8, &answer);
	init_result = skip_parse(&request, 200, body, strlen(body), &answer);
	skip_answer_free(&answer);
}

int skip_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, init);
	return init_result;
}
