// SPDX-License-Identifier: LGPL-2.1-or-later
/* External secrets on their way to the kernel: as a key, not in a message. */
#include <keyutils.h>
#include <stdio.h>
#include <sys/random.h>

#include "internal.h"

static int cannot(struct qkd_ctx *ctx)
{
	int err = errno == ENOSYS ? EOPNOTSUPP : errno;

	snprintf(ctx->text, sizeof(ctx->text),
		 "cannot put the secret into the process keyring: %s",
		 strerror(err));
	snprintf(ctx->attribute, sizeof(ctx->attribute), "secret");
	return -err;
}

/**
 * secret_add - make a secret a key of type logon of this process
 * @ctx: takes words about an error
 * @secret: out: for secret_remove()
 * @bytes: the secret
 * @length: its bytes
 *
 * Nobody can read such a key, and the process's other threads and children do
 * not see it by accident: its name is drawn.
 *
 * Return: 0 or a negative errno.
 */
int secret_add(struct qkd_ctx *ctx, struct secret *secret, const void *bytes,
	       size_t length)
{
	unsigned char name[16];
	size_t i;
	int at;

	if (getrandom(name, sizeof(name), 0) != sizeof(name))
		return cannot(ctx);
	at = snprintf(secret->name, sizeof(secret->name), "qkd:");
	for (i = 0; i < sizeof(name); i++)
		at += snprintf(secret->name + at, sizeof(secret->name) - at,
			       "%02x", name[i]);
	secret->serial = add_key("logon", secret->name, bytes, length,
				 KEY_SPEC_PROCESS_KEYRING);
	return secret->serial < 0 ? cannot(ctx) : 0;
}

/* The kernel wipes the key when its last user has gone. */
void secret_remove(const struct secret *secret)
{
	keyctl_unlink(secret->serial, KEY_SPEC_PROCESS_KEYRING);
}
