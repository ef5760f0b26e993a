// SPDX-License-Identifier: GPL-2.0-only
/*
 * In the place of the libraries' own memory for keys, which is whole pages: here its
 * end counts.
 */
#include <stdlib.h>
#include <string.h>

#include "secret.h"

void *kme_secret_new(size_t size)
{
	return calloc(1, size);
}

void kme_secret_free(void *secret, size_t size)
{
	if (secret)
		explicit_bzero(secret, size);
	free(secret);
}
