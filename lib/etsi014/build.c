// SPDX-License-Identifier: LGPL-2.1-or-later
/* What is asked: settings, URLs and bodies. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../kme/kme.h"
#include "etsi014.h"

static int check_sae(const char *sae, char error[ETSI014_TEXT_LEN])
{
	if (!sae || !*sae)
		return say(error, -EINVAL, "there is no ID of the peer's SAE");
	if (strlen(sae) > ETSI014_NAME_LEN)
		return say(error, -EINVAL, "the SAE ID is longer than %d bytes",
			   ETSI014_NAME_LEN);
	/* they would be other directories of the URL */
	if (!strcmp(sae, ".") || !strcmp(sae, ".."))
		return say(error, -EINVAL, "\"%s\" cannot be an SAE ID", sae);
	return 0;
}

int etsi014_check(const struct etsi014 *kme, char text[ETSI014_TEXT_LEN])
{
	int err;

	err = kme_check_url(kme->url, text);
	if (!err)
		err = check_sae(kme->peer_sae, text);
	if (!err)
		err = kme_check_file("CA certificate", kme->ca, text);
	if (!err)
		err = kme_check_file("certificate", kme->cert, text);
	if (!err && !(kme->key && !strncmp(kme->key, "pkcs11:", 7)))
		err = kme_check_file("private key", kme->key, text);
	return err;
}

char *etsi014_url(const struct etsi014 *kme, enum etsi014_call call)
{
	static const char *const names[] = {
		[ETSI014_STATUS] = "status",
		[ETSI014_ENC_KEYS] = "enc_keys",
		[ETSI014_DEC_KEYS] = "dec_keys",
	};
	char *sae = curl_easy_escape(NULL, kme->peer_sae, 0);
	int length = strlen(kme->url);
	char *url = NULL;

	while (length && kme->url[length - 1] == '/')
		length--;
	if (sae && asprintf(&url, "%.*s/api/v1/keys/%s/%s", length, kme->url,
			    sae, names[call]) < 0)
		url = NULL;
	curl_free(sae);
	return url;
}

static json_t *key_ids(const struct etsi014_request *request)
{
	json_t *ids = json_array();
	unsigned int i;

	for (i = 0; i < request->number; i++)
		json_array_append_new(ids, json_pack("{ss}", "key_ID",
						     request->ids[i]));
	if (json_array_size(ids) == request->number)
		return ids;
	json_decref(ids);
	return NULL;
}

static json_t *load_extension(const char *text)
{
	json_t *list = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *entry;
	size_t i;

	json_array_foreach(list, i, entry)
	{
		if (!json_is_object(entry))
			break;
	}
	if (json_array_size(list) && i == json_array_size(list))
		return list;
	json_decref(list);
	return NULL;
}

int etsi014_check_extension(const char *extension, char text[ETSI014_TEXT_LEN])
{
	json_t *list = load_extension(extension);

	json_decref(list);
	return list ? 0 :
		      say(text, -EINVAL,
			  "an extension is a JSON array of objects, [{...}]");
}

/* Returns false if there is no memory. */
static bool add_extension(json_t *root, const char *member, const char *text)
{
	return !text ||
	       !json_object_set_new(root, member, load_extension(text));
}

static json_t *key_request(const struct etsi014_request *request)
{
	json_t *root = json_pack("{sisi}", "number", (int)request->number,
				 "size", (int)request->size);

	if (root &&
	    add_extension(root, "extension_mandatory", request->mandatory) &&
	    add_extension(root, "extension_optional", request->optional))
		return root;
	json_decref(root);
	return NULL;
}

char *etsi014_body(const struct etsi014_request *request)
{
	json_t *root = NULL;
	char *body;

	if (request->call == ETSI014_ENC_KEYS)
		root = key_request(request);
	else if (request->call == ETSI014_DEC_KEYS)
		root = json_pack("{so}", "key_IDs", key_ids(request));
	body = root ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	return body;
}
