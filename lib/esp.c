// SPDX-License-Identifier: LGPL-2.1-or-later
/* ESP SAs. */
#include "internal.h"

static const struct attr_field sel_fields[] = {
	FIELD(ADDR, QKD_A_SEL_SRC, struct qkd_sel, src),
	FIELD(U32, QKD_A_SEL_SRC_PREFIX, struct qkd_sel, src_prefix),
	FIELD(ADDR, QKD_A_SEL_DST, struct qkd_sel, dst),
	FIELD(U32, QKD_A_SEL_DST_PREFIX, struct qkd_sel, dst_prefix),
	FIELD(U32, QKD_A_SEL_PROTO, struct qkd_sel, proto),
	FIELD(U32, QKD_A_SEL_SPORT, struct qkd_sel, sport),
	FIELD(U32, QKD_A_SEL_DPORT, struct qkd_sel, dport),
	FIELD(U32, QKD_A_SEL_IFINDEX, struct qkd_sel, ifindex),
};

static const struct attr_field refused_fields[] = {
	FIELD(U64, QKD_A_ESP_REFUSED_NO_KEY, struct qkd_esp_refused, no_key),
	FIELD(U64, QKD_A_ESP_REFUSED_LINK, struct qkd_esp_refused, link),
	FIELD(U64, QKD_A_ESP_REFUSED_LENGTH, struct qkd_esp_refused, length),
	FIELD(U64, QKD_A_ESP_REFUSED_DIR, struct qkd_esp_refused, dir),
	FIELD(U64, QKD_A_ESP_REFUSED_CIPHER, struct qkd_esp_refused, cipher),
	FIELD(U64, QKD_A_ESP_REFUSED_STALE, struct qkd_esp_refused, stale),
	FIELD(U64, QKD_A_ESP_REFUSED_NOT_HERE, struct qkd_esp_refused,
	      not_here),
	FIELD(U64, QKD_A_ESP_REFUSED_DUPLICATE, struct qkd_esp_refused,
	      duplicate),
	FIELD(U64, QKD_A_ESP_REFUSED_ICV, struct qkd_esp_refused, icv),
};

static const struct attr_field esp_fields[] = {
	FIELD(U32, QKD_A_ESP_LINK_INDEX, struct qkd_esp, link_index),
	FIELD(STRING, QKD_A_ESP_LINK_NAME, struct qkd_esp, link_name),
	FIELD(U32, QKD_A_ESP_CIPHER, struct qkd_esp, cipher),
	FIELD(U32, QKD_A_ESP_DIR, struct qkd_esp, dir),
	FIELD(BE32, QKD_A_ESP_SPI, struct qkd_esp, spi),
	FIELD(ADDR, QKD_A_ESP_SRC, struct qkd_esp, src),
	FIELD(ADDR, QKD_A_ESP_DST, struct qkd_esp, dst),
	FIELD(U32, QKD_A_ESP_MODE, struct qkd_esp, mode),
	FIELD(U32, QKD_A_ESP_REQID, struct qkd_esp, reqid),
	FIELD(U32, QKD_A_ESP_IF_ID, struct qkd_esp, if_id),
	FIELD(U32, QKD_A_ESP_MARK, struct qkd_esp, mark),
	FIELD(U32, QKD_A_ESP_MARK_MASK, struct qkd_esp, mark_mask),
	FIELD(U32, QKD_A_ESP_REPLAY_WINDOW, struct qkd_esp, replay_window),
	FIELD(FLAG, QKD_A_ESP_ESN, struct qkd_esp, esn),
	FIELD(U32, QKD_A_ESP_ON_EMPTY, struct qkd_esp, on_empty),
	FIELD(U64, QKD_A_ESP_SA, struct qkd_esp, sa),
	FIELD(U64, QKD_A_ESP_PACKETS, struct qkd_esp, packets),
	FIELD(U64, QKD_A_ESP_BYTES, struct qkd_esp, bytes),
	FIELD(U64, QKD_A_ESP_KEY_BYTES, struct qkd_esp, key_bytes),
	FIELD(FLAG, QKD_A_ESP_DEAD, struct qkd_esp, dead),
};

static int put_sel(struct nl_msg *msg, const struct qkd_sel *sel)
{
	struct nlattr *nest;
	int err;

	nest = nla_nest_start(msg, NLA_F_NESTED | QKD_A_ESP_SEL);
	if (!nest)
		return -ENOMEM;
	err = fields_put(msg, sel_fields, ARRAY_SIZE(sel_fields), sel,
			 sel->has);
	if (!err)
		nla_nest_end(msg, nest);
	return err;
}

static void get_sel(struct qkd_esp *esp, struct nlattr *nest)
{
	struct nlattr *attrs[QKD_A_SEL_MAX + 1];

	if (attrs_parse(attrs, QKD_A_SEL_MAX, nla_data(nest), nla_len(nest)))
		return;
	esp->sel.has = fields_get(sel_fields, ARRAY_SIZE(sel_fields), &esp->sel,
				  attrs, QKD_A_SEL_MAX);
	esp->has |= QKD_HAS(QKD_A_ESP_SEL);
}

static void get_refused(struct qkd_esp *esp, struct nlattr *nest)
{
	struct nlattr *attrs[QKD_A_ESP_REFUSED_MAX + 1];

	if (attrs_parse(attrs, QKD_A_ESP_REFUSED_MAX, nla_data(nest),
			nla_len(nest)))
		return;
	esp->refused.has = fields_get(refused_fields,
				      ARRAY_SIZE(refused_fields), &esp->refused,
				      attrs, QKD_A_ESP_REFUSED_MAX);
	esp->has |= QKD_HAS(QKD_A_ESP_REFUSED);
}

static int get_esp(struct nlattr *head, int length, struct qkd_esp *esp)
{
	struct nlattr *attrs[QKD_A_ESP_MAX + 1];
	int err;

	err = attrs_parse(attrs, QKD_A_ESP_MAX, head, length);
	if (err)
		return err;
	memset(esp, 0, sizeof(*esp));
	esp->has = fields_get(esp_fields, ARRAY_SIZE(esp_fields), esp, attrs,
			      QKD_A_ESP_MAX);
	if (attrs[QKD_A_ESP_SEL])
		get_sel(esp, attrs[QKD_A_ESP_SEL]);
	if (attrs[QKD_A_ESP_REFUSED])
		get_refused(esp, attrs[QKD_A_ESP_REFUSED]);
	return 0;
}

static int take_esp(struct nlattr *head, int length, void *arg)
{
	return get_esp(head, length, arg);
}

static struct nl_msg *esp_request(struct qkd_ctx *ctx, int cmd,
				  struct qkd_ref ref)
{
	struct nl_msg *msg = request_new(ctx, cmd, 0);

	if (msg &&
	    put_ref(msg, QKD_A_ESP_LINK_NAME, QKD_A_ESP_LINK_INDEX, ref)) {
		request_free(msg);
		return NULL;
	}
	return msg;
}

static int run_new(struct qkd_ctx *ctx, int cmd, struct qkd_ref ref,
		   const struct qkd_esp *esp, uint64_t *sa)
{
	const uint64_t has = esp->has & ~(QKD_HAS(QKD_A_ESP_LINK_INDEX) |
					  QKD_HAS(QKD_A_ESP_LINK_NAME));
	struct nl_msg *msg = esp_request(ctx, cmd, ref);
	struct qkd_esp reply = {};
	int err;

	if (!msg)
		return -ENOMEM;
	err = fields_put(msg, esp_fields, ARRAY_SIZE(esp_fields), esp, has);
	if (!err && has & QKD_HAS(QKD_A_ESP_SEL))
		err = put_sel(msg, &esp->sel);
	if (err) {
		request_free(msg);
		return err;
	}
	err = request_run(ctx, msg, take_esp, &reply);
	if (!err && sa)
		*sa = reply.sa;
	return err;
}

int qkd_esp_add(struct qkd_ctx *ctx, struct qkd_ref ref,
		const struct qkd_esp *esp, uint64_t *sa)
{
	return run_new(ctx, QKD_CMD_ESP_ADD, ref, esp, sa);
}

int qkd_esp_replace(struct qkd_ctx *ctx, struct qkd_ref ref,
		    const struct qkd_esp *esp, uint64_t *sa)
{
	return run_new(ctx, QKD_CMD_ESP_REPLACE, ref, esp, sa);
}

static int run_named(struct qkd_ctx *ctx, int cmd, struct qkd_ref ref,
		     enum qkd_dir dir, uint32_t spi, reply_fn fn, void *arg)
{
	const struct qkd_esp name = { .dir = dir, .spi = spi };
	struct nl_msg *msg = esp_request(ctx, cmd, ref);
	int err;

	if (!msg)
		return -ENOMEM;
	err = fields_put(msg, esp_fields, ARRAY_SIZE(esp_fields), &name,
			 QKD_HAS(QKD_A_ESP_DIR) | QKD_HAS(QKD_A_ESP_SPI));
	if (err) {
		request_free(msg);
		return err;
	}
	return request_run(ctx, msg, fn, arg);
}

int qkd_esp_del(struct qkd_ctx *ctx, struct qkd_ref ref, enum qkd_dir dir,
		uint32_t spi)
{
	return run_named(ctx, QKD_CMD_ESP_DEL, ref, dir, spi, NULL, NULL);
}

int qkd_esp_get(struct qkd_ctx *ctx, struct qkd_ref ref, enum qkd_dir dir,
		uint32_t spi, struct qkd_esp *esp)
{
	return run_named(ctx, QKD_CMD_ESP_GET, ref, dir, spi, take_esp, esp);
}

struct visit {
	qkd_esp_fn fn;
	void *arg;
};

static int visit_esp(struct nlattr *head, int length, void *arg)
{
	const struct visit *visit = arg;
	struct qkd_esp esp;
	int err;

	err = get_esp(head, length, &esp);
	return err ?: visit->fn(&esp, visit->arg);
}

int qkd_esp_dump(struct qkd_ctx *ctx, qkd_esp_fn fn, void *arg)
{
	struct visit visit = { .fn = fn, .arg = arg };
	struct nl_msg *msg;

	msg = request_new(ctx, QKD_CMD_ESP_DUMP, NLM_F_DUMP);
	return msg ? request_run(ctx, msg, visit_esp, &visit) : -ENOMEM;
}
