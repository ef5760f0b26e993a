/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between the files of the library; nothing here is exported. */
#ifndef QKD_INTERNAL_H
#define QKD_INTERNAL_H

#include <errno.h>
#include <netlink/attr.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdbool.h>
#include <string.h>

#include <qkd/qkd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* ctx.c */

/**
 * struct qkd_ctx - a socket and what the kernel said last
 * @sk: generic netlink socket
 * @family: number of the family
 * @text: extended acknowledgement, "" for none
 * @attribute: name of the offending attribute, "" for none
 */
struct qkd_ctx {
	struct nl_sock *sk;
	int family;
	char text[256];
	char attribute[64];
};

/* Parses a reply's attributes; returns 0 or what ends the request. */
typedef int (*reply_fn)(struct nlattr *attrs, int length, void *arg);

int socket_open(struct nl_sock **sk, int *family);
int to_errno(int nle);
struct nl_msg *request_new_for(struct qkd_ctx *ctx, int family, int cmd,
			       int flags, int version);
struct nl_msg *request_new(struct qkd_ctx *ctx, int cmd, int flags);
void request_free(struct nl_msg *msg);
int request_run(struct qkd_ctx *ctx, struct nl_msg *msg, reply_fn fn,
		void *arg);
int request_end(struct qkd_ctx *ctx, struct nl_msg *msg, int err, reply_fn fn,
		void *arg);
int dump_run(struct qkd_ctx *ctx, int cmd, reply_fn fn, void *arg);
int put_ref(struct nl_msg *msg, int name, int index, struct qkd_ref ref);

/* attr.c */

/**
 * struct attr_field - where an attribute lives in a structure
 * @type: how it is stored
 * @attr: number of the attribute
 * @offset: of the member
 * @size: of the member, for strings and byte arrays
 */
struct attr_field {
	enum attr_type {
		FIELD_U32,
		FIELD_U64,
		FIELD_BE32,
		FIELD_BE64,
		FIELD_STRING,
		FIELD_BYTES,
		FIELD_FLAG,
		FIELD_ADDR,
	} type;
	int attr;
	size_t offset;
	size_t size;
};

#define FIELD(kind, number, object, member)   \
	{ .type = FIELD_##kind,               \
	  .attr = (number),                   \
	  .offset = offsetof(object, member), \
	  .size = sizeof(((object *)0)->member) }

int fields_put(struct nl_msg *msg, const struct attr_field *fields, size_t n,
	       const void *object, uint64_t has);
uint64_t fields_get(const struct attr_field *fields, size_t n, void *object,
		    struct nlattr **attrs, int max);
int fields_parse(const struct attr_field *fields, size_t n, void *object,
		 uint64_t *has, struct nlattr *head, int length);
int attrs_parse(struct nlattr **attrs, int max, struct nlattr *head,
		int length);
void attr_name_at(char *name, size_t size, const struct nlmsghdr *request,
		  uint32_t offset);
void attr_name_missing(char *name, size_t size, const struct nlmsghdr *request,
		       uint32_t nest, uint32_t type);

/* wait.c */

#define LOOK_AGAIN 1

/* Looks whether the kernel is done: LOOK_AGAIN, or what ends the wait. */
typedef int (*look_fn)(struct qkd_ctx *ctx, void *arg);

int wait_for(struct qkd_ctx *ctx, unsigned int timeout, look_fn look,
	     void *arg);

/* secret.c */

/**
 * struct secret - a secret that is in the process keyring
 * @serial: number of the key
 * @name: its description
 */
struct secret {
	int32_t serial;
	char name[40];
};

int secret_add(struct qkd_ctx *ctx, struct secret *secret, const void *bytes,
	       size_t length);
void secret_remove(const struct secret *secret);

#endif /* QKD_INTERNAL_H */
