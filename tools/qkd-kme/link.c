// SPDX-License-Identifier: GPL-2.0-only
/* The kernel's links: netlink names keys, and their bytes come by the node. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kme.h"

/**
 * struct node - the node of a link
 * @list: of all of them
 * @name: of the link
 * @fd: open, or -1
 * @said: that it cannot be opened was logged
 */
struct node {
	LIST_ENTRY(node) list;
	char name[QKD_NAME_LEN + 1];
	int fd;
	unsigned int said;
};

static struct qkd_ctx *ctx;
static LIST_HEAD(, node) nodes = LIST_HEAD_INITIALIZER(nodes);

/**
 * links_open - reach the kernel
 *
 * Return: whether it can be; if not, says why.
 */
bool links_open(void)
{
	int err = qkd_open(&ctx);

	if (err == -ENOENT)
		log_error("the kernel has no family qkd: modprobe qkd");
	else if (err)
		log_error("cannot open a netlink socket: %s", strerror(-err));
	return !err;
}

/* A link that was deleted and added again is another one, with another node. */
static void node_close(struct node *node)
{
	if (node->fd >= 0)
		close(node->fd);
	node->fd = -1;
}

void links_close(void)
{
	struct node *node;

	while (!LIST_EMPTY(&nodes)) {
		node = LIST_FIRST(&nodes);
		LIST_REMOVE(node, list);
		node_close(node);
		free(node);
	}
	qkd_close(ctx);
	ctx = NULL;
}

static struct node *node_find(const char *name)
{
	struct node *node;

	LIST_FOREACH(node, &nodes, list)
	if (!strcmp(node->name, name))
		return node;
	node = calloc(1, sizeof(*node));
	if (!node)
		return NULL;
	strcpy(node->name, name);
	node->fd = -1;
	LIST_INSERT_HEAD(&nodes, node, list);
	return node;
}

/* Open, or a negative errno. */
static int node_fd(const char *name)
{
	struct node *node = node_find(name);
	int err;

	if (!node)
		return -ENOMEM;
	if (node->fd >= 0)
		return node->fd;
	err = qkd_node_open(ctx, qkd_by_name(name), O_RDONLY);
	complain(name, &node->said, 1, err < 0, "%s",
		 *qkd_error_text(ctx) ? qkd_error_text(ctx) : strerror(-err));
	if (err >= 0)
		node->fd = err;
	return err;
}

/* Why there is no key for anybody is logged once. */
static int note(const char *name, int err)
{
	struct node *node = node_find(name);

	if (node)
		complain(name, &node->said, 2,
			 err == -ENETDOWN || err == -ENODEV || err == -EACCES ||
				 err == -EPERM,
			 "%s",
			 *qkd_error_text(ctx) ? qkd_error_text(ctx) :
						strerror(-err));
	return err;
}

int link_show(const char *name, struct qkd_link *link)
{
	return qkd_link_get(ctx, qkd_by_name(name), link);
}

int link_available(const char *name, uint32_t size, uint64_t *count)
{
	return qkd_key_status(ctx, qkd_by_name(name), QKD_CLASS_EXPORT, size,
			      count);
}

/**
 * link_get - allocate keys of class export
 * @name: of the link
 * @size: bytes of a key
 * @context: what for
 * @keys: out
 * @count: how many; out: how many there are
 *
 * The node is opened first: a key that cannot be fetched would be burnt.
 *
 * Return: 0 or a negative errno.
 */
int link_get(const char *name, uint32_t size, const struct qkd_context *context,
	     struct qkd_key *keys, uint32_t *count)
{
	int fd = node_fd(name);

	if (fd < 0)
		return fd;
	return note(name, qkd_key_get(ctx, qkd_by_name(name), QKD_CLASS_EXPORT,
				      size, context, keys, count));
}

/**
 * link_peek - look a key up
 * @name: of the link
 * @id: key ID
 * @size: bytes of the key
 * @context: what it is for
 * @key: out
 *
 * Return: 0 or a negative errno.
 */
int link_peek(const char *name, const uint8_t id[QKD_KEY_ID_LEN], uint32_t size,
	      const struct qkd_context *context, struct qkd_key *key)
{
	int fd = node_fd(name);

	if (fd < 0)
		return fd;
	return note(name, qkd_key_peek(ctx, qkd_by_name(name), id, size,
				       context, key));
}

int link_commit(const char *name, uint32_t handle)
{
	return qkd_key_commit(ctx, qkd_by_name(name), handle);
}

void link_drop(const char *name, uint32_t handle)
{
	(void)qkd_key_drop(ctx, qkd_by_name(name), handle);
}

/**
 * link_fetch - the bytes of a key
 * @name: of the link
 * @handle: of the key
 * @key: room for QKD_KEY_SIZE_MAX bytes, which the caller wipes
 * @size: that it has to be of
 *
 * Return: 0 or a negative errno.
 */
int link_fetch(const char *name, uint32_t handle, uint8_t *key, size_t size)
{
	size_t got = QKD_KEY_SIZE_MAX;
	int fd, err, tries;

	for (tries = 0; tries < 2; tries++) {
		fd = node_fd(name);
		if (fd < 0)
			return fd;
		err = qkd_node_fetch(fd, handle, key, &got);
		if (err != -ENODEV)
			break;
		node_close(node_find(name));
	}
	if (!err && got != size)
		return -EMSGSIZE;
	return err;
}

/**
 * link_owns - whether an ID is of this link at all
 * @name: of the link
 * @id: key ID
 */
bool link_owns(const char *name, const uint8_t id[QKD_KEY_ID_LEN])
{
	struct qkd_key_id fields;
	struct qkd_link link;

	return !qkd_key_id_fields(id, &fields) && !link_show(name, &link) &&
	       fields.link == (link.hash[0] << 8 | link.hash[1]) &&
	       fields.label == link.label && fields.class_ == QKD_CLASS_EXPORT;
}
