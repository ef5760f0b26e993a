// SPDX-License-Identifier: LGPL-2.1-or-later
/* Whether a server wanted to know who we are. */
#include <errno.h>
#include <pthread.h>

#include "kme.h"

static int asked_index = -1;

static void make_index(void)
{
	asked_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

/* The server wants to see our certificate. */
static int note_asked(SSL *ssl, void *arg)
{
	(void)arg;
	return SSL_set_ex_data(ssl, asked_index, ssl);
}

int kme_tls_note_asked(SSL_CTX *ctx)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_index);
	if (asked_index < 0)
		return -ENOMEM;
	SSL_CTX_set_cert_cb(ctx, note_asked, NULL);
	return 0;
}

bool kme_tls_has_asked(const SSL *ssl)
{
	return asked_index >= 0 && SSL_get_ex_data(ssl, asked_index);
}
