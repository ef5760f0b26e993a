// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connectivity association keys (CAK) of MKA: keys of class control, whose bytes
 * come by the link's node, and whose names (CKN) are made from their key IDs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "qkdd.h"

#define LABEL "qkd mka v1"

/**
 * cak_ckn - the name of a CAK in MKA
 * @key_id: of the CAK
 * @ckn: out: SHA-256 over a label and the key ID
 */
void cak_ckn(const uint8_t key_id[QKD_KEY_ID_LEN], uint8_t ckn[CKN_LEN])
{
	uint8_t text[sizeof(LABEL) - 1 + QKD_KEY_ID_LEN];
	unsigned int size = CKN_LEN;

	memcpy(text, LABEL, sizeof(LABEL) - 1);
	memcpy(text + sizeof(LABEL) - 1, key_id, QKD_KEY_ID_LEN);
	EVP_Digest(text, sizeof(text), ckn, &size, EVP_sha256(), NULL);
}

/* The label and the shared name. */
struct context {
	struct qkd_context qkd;
	char text[sizeof(LABEL) + NAME_LEN + 1];
};

static void context_make(struct context *context, const char *name)
{
	int length = snprintf(context->text, sizeof(context->text), "%s %s",
			      LABEL, name);

	context->qkd = (struct qkd_context){
		.type = QKD_CONTEXT_TYPE_USER,
		.length = length,
		.data = context->text,
	};
}

static struct qkd_ref ref_of(const char *link)
{
	return (struct qkd_ref){ .name = link };
}

/**
 * cak_allocate - a new CAK
 * @link: name of the kernel's link
 * @name: shared name of what it is for
 * @key_id: out
 * @cak: out, to be wiped
 *
 * Return: 0 or a negative errno.
 */
int cak_allocate(const char *link, const char *name,
		 uint8_t key_id[QKD_KEY_ID_LEN], uint8_t cak[CAK_LEN])
{
	struct context context;
	struct qkd_key key;
	size_t size = CAK_LEN;
	uint32_t count = 1;
	int fd, err;

	fd = qkd_node_open(ctx, ref_of(link), O_RDONLY);
	if (fd < 0)
		return fd;
	context_make(&context, name);
	err = qkd_key_get(ctx, ref_of(link), QKD_CLASS_CONTROL, CAK_LEN,
			  &context.qkd, &key, &count);
	if (!err && !count)
		err = -ENOKEY;
	if (!err) {
		memcpy(key_id, key.id, QKD_KEY_ID_LEN);
		err = qkd_node_fetch(fd, key.handle, cak, &size);
		if (err)
			qkd_key_drop(ctx, ref_of(link), key.handle);
	}
	close(fd);
	return err;
}

/**
 * cak_claim - the CAK that the peer has allocated
 * @link: name of the kernel's link
 * @name: shared name of what it is for
 * @key_id: of the CAK
 * @cak: out, to be wiped
 *
 * Return: 0 or a negative errno.
 */
int cak_claim(const char *link, const char *name,
	      const uint8_t key_id[QKD_KEY_ID_LEN], uint8_t cak[CAK_LEN])
{
	struct context context;
	size_t size = CAK_LEN;
	int fd, err;

	fd = qkd_node_open(ctx, ref_of(link), O_RDONLY);
	if (fd < 0)
		return fd;
	context_make(&context, name);
	err = qkd_node_claim(fd, key_id, CAK_LEN, &context.qkd, cak, &size);
	close(fd);
	return err;
}
