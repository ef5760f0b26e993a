// SPDX-License-Identifier: LGPL-2.1-or-later
/* Generations and the confirmation of blocks. */
#include "internal.h"

static const struct attr_field gen_fields[] = {
	FIELD(U32, QKD_A_GEN_LABEL, struct qkd_gen, label),
	FIELD(BYTES, QKD_A_GEN_GENERATION, struct qkd_gen, generation),
	FIELD(BYTES, QKD_A_GEN_HASH, struct qkd_gen, hash),
	FIELD(U32, QKD_A_GEN_PEER_ROLE, struct qkd_gen, peer_role),
	FIELD(U64, QKD_A_GEN_PAD_CAPACITY, struct qkd_gen, pad_capacity),
	FIELD(U64, QKD_A_GEN_KEY_CAPACITY, struct qkd_gen, key_capacity),
};

static const struct attr_field block_fields[] = {
	FIELD(U32, QKD_A_BLOCK_LABEL, struct qkd_block, label),
	FIELD(U32, QKD_A_BLOCK_STREAM, struct qkd_block, stream),
	FIELD(U64, QKD_A_BLOCK_OFFSET, struct qkd_block, offset),
	FIELD(U32, QKD_A_BLOCK_LENGTH, struct qkd_block, length),
};

static struct nl_msg *gen_request(struct qkd_ctx *ctx, int cmd,
				  struct qkd_ref ref)
{
	struct nl_msg *msg = request_new(ctx, cmd, 0);

	if (msg &&
	    put_ref(msg, QKD_A_GEN_LINK_NAME, QKD_A_GEN_LINK_INDEX, ref)) {
		request_free(msg);
		return NULL;
	}
	return msg;
}

static int gen_run(struct qkd_ctx *ctx, int cmd, struct qkd_ref ref,
		   const struct qkd_gen *gen)
{
	struct nl_msg *msg = gen_request(ctx, cmd, ref);
	int err;

	if (!msg)
		return -ENOMEM;
	err = fields_put(msg, gen_fields, ARRAY_SIZE(gen_fields), gen,
			 gen->has);
	return request_end(ctx, msg, err, NULL, NULL);
}

int qkd_gen_begin(struct qkd_ctx *ctx, struct qkd_ref ref,
		  const struct qkd_gen *gen)
{
	return gen_run(ctx, QKD_CMD_GEN_BEGIN, ref, gen);
}

int qkd_gen_open(struct qkd_ctx *ctx, struct qkd_ref ref, uint32_t label,
		 const uint8_t generation[QKD_HASH_LEN])
{
	struct qkd_gen gen = {
		.has = QKD_HAS(QKD_A_GEN_LABEL) | QKD_HAS(QKD_A_GEN_GENERATION),
		.label = label,
	};

	memcpy(gen.generation, generation, sizeof(gen.generation));
	return gen_run(ctx, QKD_CMD_GEN_OPEN, ref, &gen);
}

int qkd_gen_end(struct qkd_ctx *ctx, struct qkd_ref ref, uint32_t label,
		enum qkd_reason reason)
{
	struct nl_msg *msg = gen_request(ctx, QKD_CMD_GEN_END, ref);
	int err;

	if (!msg)
		return -ENOMEM;
	err = nla_put_u32(msg, QKD_A_GEN_LABEL, label) ?:
		      nla_put_u32(msg, QKD_A_GEN_REASON, reason);
	if (err) {
		request_free(msg);
		return to_errno(err);
	}
	return request_run(ctx, msg, NULL, NULL);
}

static struct nl_msg *block_request(struct qkd_ctx *ctx, int cmd,
				    struct qkd_ref ref,
				    const struct qkd_block *block)
{
	struct nl_msg *msg = request_new(ctx, cmd, 0);

	if (!msg)
		return NULL;
	if (put_ref(msg, QKD_A_BLOCK_LINK_NAME, QKD_A_BLOCK_LINK_INDEX, ref) ||
	    fields_put(msg, block_fields, ARRAY_SIZE(block_fields), block,
		       ~UINT64_C(0))) {
		request_free(msg);
		return NULL;
	}
	return msg;
}

static int take_tag(struct nlattr *head, int length, void *arg)
{
	struct nlattr *attrs[QKD_A_BLOCK_MAX + 1];
	int err;

	err = attrs_parse(attrs, QKD_A_BLOCK_MAX, head, length);
	if (err)
		return err;
	if (!attrs[QKD_A_BLOCK_TAG] ||
	    nla_len(attrs[QKD_A_BLOCK_TAG]) != QKD_TAG_LEN)
		return -EBADMSG;
	memcpy(arg, nla_data(attrs[QKD_A_BLOCK_TAG]), QKD_TAG_LEN);
	return 0;
}

int qkd_block_tag(struct qkd_ctx *ctx, struct qkd_ref ref,
		  const struct qkd_block *block, uint8_t tag[QKD_TAG_LEN])
{
	struct nl_msg *msg;

	msg = block_request(ctx, QKD_CMD_BLOCK_TAG, ref, block);
	return msg ? request_run(ctx, msg, take_tag, tag) : -ENOMEM;
}

static int take_verdict(struct nlattr *head, int length, void *arg)
{
	struct nlattr *attrs[QKD_A_BLOCK_MAX + 1];
	enum qkd_verdict *verdict = arg;
	int err;

	err = attrs_parse(attrs, QKD_A_BLOCK_MAX, head, length);
	if (err)
		return err;
	if (!attrs[QKD_A_BLOCK_VERDICT] ||
	    nla_len(attrs[QKD_A_BLOCK_VERDICT]) < 4)
		return -EBADMSG;
	*verdict = nla_get_u32(attrs[QKD_A_BLOCK_VERDICT]);
	return 0;
}

static int judge(struct qkd_ctx *ctx, int cmd, struct qkd_ref ref,
		 const struct qkd_block *block, const uint8_t tag[QKD_TAG_LEN],
		 enum qkd_verdict *verdict)
{
	struct nl_msg *msg = block_request(ctx, cmd, ref, block);

	if (!msg)
		return -ENOMEM;
	if (nla_put(msg, QKD_A_BLOCK_TAG, QKD_TAG_LEN, tag)) {
		request_free(msg);
		return -ENOMEM;
	}
	return request_run(ctx, msg, take_verdict, verdict);
}

int qkd_block_check(struct qkd_ctx *ctx, struct qkd_ref ref,
		    const struct qkd_block *block,
		    const uint8_t tag[QKD_TAG_LEN], enum qkd_verdict *verdict)
{
	return judge(ctx, QKD_CMD_BLOCK_CONFIRM, ref, block, tag, verdict);
}

int qkd_block_compare(struct qkd_ctx *ctx, struct qkd_ref ref,
		      const struct qkd_block *block,
		      const uint8_t tag[QKD_TAG_LEN], enum qkd_verdict *verdict)
{
	return judge(ctx, QKD_CMD_BLOCK_COMPARE, ref, block, tag, verdict);
}

int qkd_block_settle(struct qkd_ctx *ctx, struct qkd_ref ref,
		     const struct qkd_block *block, enum qkd_verdict verdict)
{
	struct nl_msg *msg;

	msg = block_request(ctx, QKD_CMD_BLOCK_CONFIRM, ref, block);
	if (!msg)
		return -ENOMEM;
	if (nla_put_u32(msg, QKD_A_BLOCK_VERDICT, verdict)) {
		request_free(msg);
		return -ENOMEM;
	}
	return request_run(ctx, msg, NULL, NULL);
}

static const struct attr_field waiting_fields[] = {
	FIELD(U64, QKD_A_WAITING_OFFSET, struct qkd_waiting, offset),
	FIELD(U32, QKD_A_WAITING_LENGTH, struct qkd_waiting, length),
	FIELD(U32, QKD_A_WAITING_VERDICT, struct qkd_waiting, verdict),
};

struct waiting {
	struct qkd_waiting *blocks;
	uint32_t count;
	uint32_t room;
};

static int take_waiting(struct nlattr *head, int length, void *arg)
{
	struct nlattr *attrs[QKD_A_WAITING_MAX + 1], *nest;
	struct waiting *out = arg;
	struct qkd_waiting *block;
	int left, err;

	nla_for_each_attr(nest, head, length, left) {
		if (nla_type(nest) != QKD_A_BLOCK_WAITING)
			continue;
		if (out->count == out->room)
			break;
		err = attrs_parse(attrs, QKD_A_WAITING_MAX, nla_data(nest),
				  nla_len(nest));
		if (err)
			return err;
		block = &out->blocks[out->count++];
		memset(block, 0, sizeof(*block));
		fields_get(waiting_fields, ARRAY_SIZE(waiting_fields), block,
			   attrs, QKD_A_WAITING_MAX);
	}
	return 0;
}

int qkd_block_list(struct qkd_ctx *ctx, struct qkd_ref ref, uint32_t label,
		   enum qkd_stream stream, struct qkd_waiting *blocks,
		   uint32_t *count)
{
	struct nl_msg *msg = request_new(ctx, QKD_CMD_BLOCK_GET, 0);
	struct waiting out = { .blocks = blocks, .room = *count };
	int err;

	*count = 0;
	if (!msg)
		return -ENOMEM;
	if (put_ref(msg, QKD_A_BLOCK_LINK_NAME, QKD_A_BLOCK_LINK_INDEX, ref) ||
	    nla_put_u32(msg, QKD_A_BLOCK_LABEL, label) ||
	    nla_put_u32(msg, QKD_A_BLOCK_STREAM, stream)) {
		request_free(msg);
		return -ENOMEM;
	}
	err = request_run(ctx, msg, take_waiting, &out);
	*count = err ? 0 : out.count;
	return err;
}
