// SPDX-License-Identifier: LGPL-2.1-or-later
/* Settings that several clients have. */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "kme.h"

/* Whether a part that may not be there is there. */
static bool has_part(CURLU *url, CURLUPart part)
{
	char *value = NULL;

	curl_url_get(url, part, &value, 0);
	curl_free(value);
	return value;
}

int kme_check_url(const char *text, char error[KME_TEXT_LEN])
{
	CURLU *url;
	int err = 0;

	if (!text)
		return say(error, -EINVAL, "there is no URL");
	url = curl_url();
	if (!url)
		return say(error, -ENOMEM, "out of memory");
	if (strncasecmp(text, "https://", 8))
		err = say(error, -EINVAL, "the URL must begin with https://");
	else if (curl_url_set(url, CURLUPART_URL, text, 0))
		err = say(error, -EINVAL, "\"%s\" is no URL", text);
	else if (has_part(url, CURLUPART_USER) ||
		 has_part(url, CURLUPART_PASSWORD) ||
		 has_part(url, CURLUPART_QUERY) ||
		 has_part(url, CURLUPART_FRAGMENT))
		err = say(error, -EINVAL,
			  "the URL has a host, a port and a path, no more");
	curl_url_cleanup(url);
	return err;
}

int kme_check_file(const char *what, const char *path, char error[KME_TEXT_LEN])
{
	if (!path)
		return say(error, -EINVAL, "there is no %s", what);
	if (access(path, R_OK))
		return say(error, -errno, "%s %s: %s", what, path,
			   strerror(errno));
	return 0;
}
