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
	if (err) {
		request_free(msg);
		return err;
	}
	return request_run(ctx, msg, NULL, NULL);
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

int qkd_block_check(struct qkd_ctx *ctx, struct qkd_ref ref,
		    const struct qkd_block *block,
		    const uint8_t tag[QKD_TAG_LEN], enum qkd_verdict *verdict)
{
	struct nl_msg *msg;

	msg = block_request(ctx, QKD_CMD_BLOCK_CONFIRM, ref, block);
	if (!msg)
		return -ENOMEM;
	if (nla_put(msg, QKD_A_BLOCK_TAG, QKD_TAG_LEN, tag)) {
		request_free(msg);
		return -ENOMEM;
	}
	return request_run(ctx, msg, take_verdict, verdict);
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
