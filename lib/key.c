// SPDX-License-Identifier: LGPL-2.1-or-later
/* Keys by ID and handle. No key byte passes here. */
#include "internal.h"

static struct nl_msg *key_request(struct qkd_ctx *ctx, int cmd,
				  struct qkd_ref ref)
{
	struct nl_msg *msg = request_new(ctx, cmd, 0);

	if (msg &&
	    put_ref(msg, QKD_A_KEY_LINK_NAME, QKD_A_KEY_LINK_INDEX, ref)) {
		request_free(msg);
		return NULL;
	}
	return msg;
}

static int put_context(struct nl_msg *msg, const struct qkd_context *context)
{
	int err;

	if (!context)
		return 0;
	if (context->length > QKD_CONTEXT_LEN)
		return -NLE_RANGE;
	err = nla_put_u32(msg, QKD_A_KEY_CONTEXT_TYPE, context->type);
	if (err || !context->length)
		return err;
	return nla_put(msg, QKD_A_KEY_CONTEXT, context->length, context->data);
}

struct issued {
	struct qkd_key *keys;
	uint32_t count;
	uint32_t room;
	uint32_t size;
	uint32_t class;
};

static int take_one_issued(struct issued *out, struct nlattr *nest)
{
	struct nlattr *attrs[QKD_A_ISSUED_MAX + 1];
	struct qkd_key *key;
	int err;

	err = attrs_parse(attrs, QKD_A_ISSUED_MAX, nla_data(nest),
			  nla_len(nest));
	if (err)
		return err;
	if (!attrs[QKD_A_ISSUED_ID] || !attrs[QKD_A_ISSUED_HANDLE] ||
	    nla_len(attrs[QKD_A_ISSUED_ID]) != QKD_KEY_ID_LEN ||
	    nla_len(attrs[QKD_A_ISSUED_HANDLE]) < 4)
		return -EBADMSG;
	if (out->count == out->room)
		return -EBADMSG;
	key = &out->keys[out->count++];
	memset(key, 0, sizeof(*key));
	memcpy(key->id, nla_data(attrs[QKD_A_ISSUED_ID]), QKD_KEY_ID_LEN);
	key->handle = nla_get_u32(attrs[QKD_A_ISSUED_HANDLE]);
	key->size = out->size;
	key->class_ = out->class;
	return 0;
}

static int take_issued(struct nlattr *head, int length, void *arg)
{
	struct nlattr *attr;
	int left, err;

	nla_for_each_attr(attr, head, length, left) {
		if (nla_type(attr) != QKD_A_KEY_ISSUED)
			continue;
		err = take_one_issued(arg, attr);
		if (err)
			return err;
	}
	return 0;
}

int qkd_key_get(struct qkd_ctx *ctx, struct qkd_ref ref, enum qkd_class cls,
		uint32_t size, const struct qkd_context *context,
		struct qkd_key *keys, uint32_t *count)
{
	struct issued out = {
		.keys = keys,
		.room = *count,
		.size = size,
		.class = cls,
	};
	struct nl_msg *msg = key_request(ctx, QKD_CMD_KEY_GET, ref);
	int err;

	*count = 0;
	if (!msg)
		return -ENOMEM;
	err = nla_put_u32(msg, QKD_A_KEY_CLASS, cls)		  ?:
		      nla_put_u32(msg, QKD_A_KEY_SIZE, size)	  ?:
		      nla_put_u32(msg, QKD_A_KEY_COUNT, out.room) ?:
		      put_context(msg, context);
	if (err) {
		request_free(msg);
		return to_errno(err);
	}
	err = request_run(ctx, msg, take_issued, &out);
	*count = err ? 0 : out.count;
	return err;
}

static int take_key(struct nlattr *head, int length, void *arg)
{
	static const struct attr_field fields[] = {
		FIELD(BYTES, QKD_A_KEY_ID, struct qkd_key, id),
		FIELD(U32, QKD_A_KEY_CLASS, struct qkd_key, class_),
		FIELD(U32, QKD_A_KEY_SIZE, struct qkd_key, size),
		FIELD(U32, QKD_A_KEY_HANDLE, struct qkd_key, handle),
	};
	struct qkd_key *key = arg;
	uint64_t has = 0;
	int err;

	memset(key, 0, sizeof(*key));
	err = fields_parse(fields, ARRAY_SIZE(fields), key, &has, head, length);
	if (err)
		return err;
	return has & QKD_HAS(QKD_A_KEY_HANDLE) ? 0 : -EBADMSG;
}

static int run_by_id(struct qkd_ctx *ctx, int cmd, struct qkd_ref ref,
		     const uint8_t *id, uint32_t size,
		     const struct qkd_context *context, struct qkd_key *key)
{
	struct nl_msg *msg = key_request(ctx, cmd, ref);
	int err;

	if (!msg)
		return -ENOMEM;
	err = nla_put(msg, QKD_A_KEY_ID, QKD_KEY_ID_LEN, id);
	if (!err && size)
		err = nla_put_u32(msg, QKD_A_KEY_SIZE, size);
	if (!err)
		err = put_context(msg, context);
	if (err) {
		request_free(msg);
		return to_errno(err);
	}
	return request_run(ctx, msg, take_key, key);
}

int qkd_key_peek(struct qkd_ctx *ctx, struct qkd_ref ref,
		 const uint8_t id[QKD_KEY_ID_LEN], uint32_t size,
		 const struct qkd_context *context, struct qkd_key *key)
{
	return run_by_id(ctx, QKD_CMD_KEY_PEEK, ref, id, size, context, key);
}

int qkd_key_get_by_id(struct qkd_ctx *ctx, struct qkd_ref ref,
		      const uint8_t id[QKD_KEY_ID_LEN], uint32_t size,
		      const struct qkd_context *context, struct qkd_key *key)
{
	return run_by_id(ctx, QKD_CMD_KEY_GET_BY_ID, ref, id, size, context,
			 key);
}

static int run_by_handle(struct qkd_ctx *ctx, int cmd, struct qkd_ref ref,
			 uint32_t handle)
{
	struct nl_msg *msg = key_request(ctx, cmd, ref);

	if (!msg)
		return -ENOMEM;
	if (nla_put_u32(msg, QKD_A_KEY_HANDLE, handle)) {
		request_free(msg);
		return -ENOMEM;
	}
	return request_run(ctx, msg, NULL, NULL);
}

int qkd_key_commit(struct qkd_ctx *ctx, struct qkd_ref ref, uint32_t handle)
{
	return run_by_handle(ctx, QKD_CMD_KEY_COMMIT, ref, handle);
}

int qkd_key_drop(struct qkd_ctx *ctx, struct qkd_ref ref, uint32_t handle)
{
	return run_by_handle(ctx, QKD_CMD_KEY_DROP, ref, handle);
}

static int take_available(struct nlattr *head, int length, void *arg)
{
	struct nlattr *attrs[QKD_A_KEY_MAX + 1];
	int err;

	err = attrs_parse(attrs, QKD_A_KEY_MAX, head, length);
	if (err)
		return err;
	if (!attrs[QKD_A_KEY_AVAILABLE] ||
	    nla_len(attrs[QKD_A_KEY_AVAILABLE]) < 8)
		return -EBADMSG;
	*(uint64_t *)arg = nla_get_u64(attrs[QKD_A_KEY_AVAILABLE]);
	return 0;
}

int qkd_key_status(struct qkd_ctx *ctx, struct qkd_ref ref, enum qkd_class cls,
		   uint32_t size, uint64_t *available)
{
	struct nl_msg *msg = key_request(ctx, QKD_CMD_STATUS, ref);
	int err;

	if (!msg)
		return -ENOMEM;
	err = nla_put_u32(msg, QKD_A_KEY_CLASS, cls) ?:
		      nla_put_u32(msg, QKD_A_KEY_SIZE, size);
	if (err) {
		request_free(msg);
		return to_errno(err);
	}
	return request_run(ctx, msg, take_available, available);
}
