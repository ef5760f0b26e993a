// SPDX-License-Identifier: LGPL-2.1-or-later
/* WireGuard peers that take their preshared keys from a link. */
#include <stdio.h>

#include "internal.h"

static const struct attr_field wg_fields[] = {
	FIELD(U32, QKD_A_WG_LINK_INDEX, struct qkd_wg, link_index),
	FIELD(STRING, QKD_A_WG_LINK_NAME, struct qkd_wg, link_name),
	FIELD(U32, QKD_A_WG_IFINDEX, struct qkd_wg, ifindex),
	FIELD(BYTES, QKD_A_WG_PEER, struct qkd_wg, peer),
	FIELD(U32, QKD_A_WG_MAX_TIME, struct qkd_wg, max_time),
	FIELD(BYTES, QKD_A_WG_KEY_ID, struct qkd_wg, key_id),
	FIELD(FLAG, QKD_A_WG_HOLD, struct qkd_wg, hold),
	FIELD(BYTES, QKD_A_WG_HELD, struct qkd_wg, held),
	FIELD(U64, QKD_A_WG_NUMBER, struct qkd_wg, number),
	FIELD(U32, QKD_A_WG_STATE, struct qkd_wg, state),
	FIELD(U32, QKD_A_WG_ERROR, struct qkd_wg, error),
	FIELD(STRING, QKD_A_WG_MESSAGE, struct qkd_wg, message),
	FIELD(U64, QKD_A_WG_AGE, struct qkd_wg, age),
	FIELD(FLAG, QKD_A_WG_CONFIRMED, struct qkd_wg, confirmed),
	FIELD(U64, QKD_A_WG_INSTALLED, struct qkd_wg, installed),
	FIELD(U64, QKD_A_WG_CONFIRMS, struct qkd_wg, confirms),
	FIELD(U64, QKD_A_WG_FAILED, struct qkd_wg, failed),
	FIELD(U64, QKD_A_WG_BLOCKS, struct qkd_wg, blocks),
};

#define NAME (QKD_HAS(QKD_A_WG_IFINDEX) | QKD_HAS(QKD_A_WG_PEER))
#define MORE                                                     \
	(QKD_HAS(QKD_A_WG_MAX_TIME) | QKD_HAS(QKD_A_WG_KEY_ID) | \
	 QKD_HAS(QKD_A_WG_HOLD))

/* Only what a reply tells changes. */
static int take_wg(struct nlattr *head, int length, void *arg)
{
	struct qkd_wg *wg = arg;

	return fields_parse(wg_fields, ARRAY_SIZE(wg_fields), wg, &wg->has,
			    head, length);
}

static int run_put(struct qkd_ctx *ctx, struct nl_msg *msg,
		   const struct qkd_wg *wg, uint64_t has, reply_fn fn,
		   void *arg)
{
	int err = fields_put(msg, wg_fields, ARRAY_SIZE(wg_fields), wg, has);

	return request_end(ctx, msg, err, fn, arg);
}

int qkd_wg_set(struct qkd_ctx *ctx, struct qkd_ref ref, struct qkd_wg *wg)
{
	struct nl_msg *msg = request_new(ctx, QKD_CMD_WG_SET, 0);
	int err;

	if (!msg)
		return -ENOMEM;
	err = put_ref(msg, QKD_A_WG_LINK_NAME, QKD_A_WG_LINK_INDEX, ref);
	if (!err)
		return run_put(ctx, msg, wg, NAME | (wg->has & MORE), take_wg,
			       wg);
	request_free(msg);
	return err;
}

int qkd_wg_del(struct qkd_ctx *ctx, const struct qkd_wg *wg)
{
	struct nl_msg *msg = request_new(ctx, QKD_CMD_WG_DEL, 0);

	return msg ? run_put(ctx, msg, wg, NAME, NULL, NULL) : -ENOMEM;
}

int qkd_wg_get(struct qkd_ctx *ctx, struct qkd_wg *wg)
{
	struct nl_msg *msg = request_new(ctx, QKD_CMD_WG_GET, 0);
	struct qkd_wg found = {};
	int err;

	if (!msg)
		return -ENOMEM;
	err = run_put(ctx, msg, wg, NAME, take_wg, &found);
	if (!err)
		*wg = found;
	return err;
}

static int wg_result(struct qkd_ctx *ctx, const struct qkd_wg *wg)
{
	if (wg->state != QKD_WG_STATE_FAILED &&
	    wg->state != QKD_WG_STATE_BLOCKED)
		return 0;
	snprintf(ctx->text, sizeof(ctx->text), "%s", wg->message);
	return wg->error ? -(int)wg->error : -EIO;
}

/**
 * struct look - what is waited for
 * @wg: out; its name
 * @number: of the request
 */
struct look {
	struct qkd_wg *wg;
	uint64_t number;
};

static int look_at_wg(struct qkd_ctx *ctx, void *arg)
{
	const struct look *look = arg;
	int err;

	err = qkd_wg_get(ctx, look->wg);
	if (err)
		return err;
	if (look->wg->number != look->number)
		return -ENOENT;
	return look->wg->state == QKD_WG_STATE_PENDING ?
		       LOOK_AGAIN :
		       wg_result(ctx, look->wg);
}

int qkd_wg_wait(struct qkd_ctx *ctx, struct qkd_wg *wg, unsigned int timeout)
{
	struct look look = { .wg = wg, .number = wg->number };

	return wait_for(ctx, timeout, look_at_wg, &look);
}

static int look_whether_gone(struct qkd_ctx *ctx, void *arg)
{
	struct qkd_wg wg = *(const struct qkd_wg *)arg;
	int err = qkd_wg_get(ctx, &wg);

	return !err ? LOOK_AGAIN : err == -ENOENT ? 0 : err;
}

int qkd_wg_wait_gone(struct qkd_ctx *ctx, const struct qkd_wg *name,
		     unsigned int timeout)
{
	return wait_for(ctx, timeout, look_whether_gone, (void *)name);
}

struct visit {
	qkd_wg_fn fn;
	void *arg;
};

static int visit_wg(struct nlattr *head, int length, void *arg)
{
	const struct visit *visit = arg;
	struct qkd_wg wg = {};
	int err;

	err = take_wg(head, length, &wg);
	return err ?: visit->fn(&wg, visit->arg);
}

int qkd_wg_dump(struct qkd_ctx *ctx, qkd_wg_fn fn, void *arg)
{
	struct visit visit = { .fn = fn, .arg = arg };

	return dump_run(ctx, QKD_CMD_WG_DUMP, visit_wg, &visit);
}
