// SPDX-License-Identifier: LGPL-2.1-or-later
/* What is asked: settings, key IDs and URLs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#include "internal.h"

static int check_psk(const struct skip *provider, char text[SKIP_TEXT_LEN])
{
	const char *identity = provider->identity;
	uint8_t psk[SKIP_PSK_MAX];
	int n;

	if (!identity || !*identity)
		return say(text, -EINVAL,
			   "there is no identity of the pre-shared key");
	if (strlen(identity) > SKIP_IDENTITY_LEN)
		return say(text, -EINVAL,
			   "the identity is longer than %d bytes",
			   SKIP_IDENTITY_LEN);
	if (!provider->psk)
		return say(text, -EINVAL, "there is no pre-shared key");
	n = psk_read(provider->psk, psk, text);
	OPENSSL_cleanse(psk, sizeof(psk));
	return n < 0 ? n : 0;
}

int skip_check(const struct skip *provider, char text[SKIP_TEXT_LEN])
{
	int err = kme_check_url(provider->url, text);

	if (err)
		return err;
	if (!provider->remote || !*provider->remote)
		return say(text, -EINVAL,
			   "there is no ID of the remote system");
	if (strlen(provider->remote) > SKIP_NAME_LEN)
		return say(text, -EINVAL,
			   "the remote system's ID is longer than %d bytes",
			   SKIP_NAME_LEN);
	return check_psk(provider, text);
}

int skip_key_id_copy(skip_key_id id, const char *text)
{
	size_t length = strlen(text);

	if (!length || length % 2 || length > SKIP_KEY_ID_LEN ||
	    strspn(text, "0123456789abcdefABCDEF") != length)
		return -EINVAL;
	memcpy(id, text, length + 1);
	return 0;
}

bool skip_key_id_equal(const char *a, const char *b)
{
	return !strcasecmp(a, b);
}

static int format(const struct skip_request *request, char **url, int length,
		  const char *base, const char *remote)
{
	switch (request->call) {
	case SKIP_CAPABILITIES:
		return asprintf(url, "%.*s/capabilities", length, base);
	case SKIP_NEW_KEY:
		return asprintf(url, "%.*s/key?remoteSystemID=%s&size=%u",
				length, base, remote, request->size);
	case SKIP_KEY:
		return asprintf(url, "%.*s/key/%s?remoteSystemID=%s", length,
				base, request->key_id, remote);
	default:
		return asprintf(url, "%.*s/entropy?minentropy=%u", length, base,
				request->size);
	}
}

char *skip_url(const struct skip *provider, const struct skip_request *request)
{
	char *remote = curl_easy_escape(NULL, provider->remote, 0);
	int length = strlen(provider->url);
	char *url = NULL;

	while (length && provider->url[length - 1] == '/')
		length--;
	if (remote && format(request, &url, length, provider->url, remote) < 0)
		url = NULL;
	curl_free(remote);
	return url;
}
