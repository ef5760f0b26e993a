// SPDX-License-Identifier: LGPL-2.1-or-later
/* MACsec devices that take their keys from a link, and their SAs. */
#include <stdio.h>

#include "internal.h"

static const struct attr_field macsec_fields[] = {
	FIELD(U32, QKD_A_MACSEC_LINK_INDEX, struct qkd_macsec, link_index),
	FIELD(STRING, QKD_A_MACSEC_LINK_NAME, struct qkd_macsec, link_name),
	FIELD(U32, QKD_A_MACSEC_IFINDEX, struct qkd_macsec, ifindex),
	FIELD(U32, QKD_A_MACSEC_MAX_TIME, struct qkd_macsec, max_time),
	FIELD(U32, QKD_A_MACSEC_SUITE, struct qkd_macsec, suite),
	FIELD(BE64, QKD_A_MACSEC_SCI, struct qkd_macsec, sci),
	FIELD(U32, QKD_A_MACSEC_SAS, struct qkd_macsec, sas),
	FIELD(U64, QKD_A_MACSEC_INSTALLED, struct qkd_macsec, installed),
	FIELD(U64, QKD_A_MACSEC_REMOVED, struct qkd_macsec, removed),
	FIELD(U64, QKD_A_MACSEC_FAILED, struct qkd_macsec, failed),
	FIELD(FLAG, QKD_A_MACSEC_LEAVING, struct qkd_macsec, leaving),
};

static const struct attr_field sa_fields[] = {
	FIELD(U32, QKD_A_MACSEC_SA_LINK_INDEX, struct qkd_macsec_sa,
	      link_index),
	FIELD(STRING, QKD_A_MACSEC_SA_LINK_NAME, struct qkd_macsec_sa,
	      link_name),
	FIELD(U32, QKD_A_MACSEC_SA_IFINDEX, struct qkd_macsec_sa, ifindex),
	FIELD(U32, QKD_A_MACSEC_SA_DIR, struct qkd_macsec_sa, dir),
	FIELD(U32, QKD_A_MACSEC_SA_AN, struct qkd_macsec_sa, an),
	FIELD(BE64, QKD_A_MACSEC_SA_SCI, struct qkd_macsec_sa, sci),
	FIELD(BYTES, QKD_A_MACSEC_SA_KEY_ID, struct qkd_macsec_sa, key_id),
	FIELD(U32, QKD_A_MACSEC_SA_SUITE, struct qkd_macsec_sa, suite),
	FIELD(U64, QKD_A_MACSEC_SA_NUMBER, struct qkd_macsec_sa, number),
	FIELD(U32, QKD_A_MACSEC_SA_STATE, struct qkd_macsec_sa, state),
	FIELD(U32, QKD_A_MACSEC_SA_ERROR, struct qkd_macsec_sa, error),
	FIELD(STRING, QKD_A_MACSEC_SA_MESSAGE, struct qkd_macsec_sa, message),
	FIELD(U64, QKD_A_MACSEC_SA_AGE, struct qkd_macsec_sa, age),
};

static int take_macsec(struct nlattr *head, int length, void *arg)
{
	struct qkd_macsec *m = arg;

	memset(m, 0, sizeof(*m));
	return fields_parse(macsec_fields, ARRAY_SIZE(macsec_fields), m,
			    &m->has, head, length);
}

/* Only what a reply tells changes. */
static int take_sa(struct nlattr *head, int length, void *arg)
{
	struct qkd_macsec_sa *sa = arg;

	return fields_parse(sa_fields, ARRAY_SIZE(sa_fields), sa, &sa->has,
			    head, length);
}

int qkd_macsec_bind(struct qkd_ctx *ctx, struct qkd_ref ref,
		    const struct qkd_macsec *macsec)
{
	const uint64_t has = QKD_HAS(QKD_A_MACSEC_IFINDEX) |
			     (macsec->has & QKD_HAS(QKD_A_MACSEC_MAX_TIME));
	struct nl_msg *msg = request_new(ctx, QKD_CMD_MACSEC_BIND, 0);
	int err;

	if (!msg)
		return -ENOMEM;
	err = put_ref(msg, QKD_A_MACSEC_LINK_NAME, QKD_A_MACSEC_LINK_INDEX,
		      ref);
	if (!err)
		err = fields_put(msg, macsec_fields, ARRAY_SIZE(macsec_fields),
				 macsec, has);
	return request_end(ctx, msg, err, NULL, NULL);
}

static int run_named(struct qkd_ctx *ctx, int cmd, uint32_t ifindex,
		     reply_fn fn, void *arg)
{
	struct nl_msg *msg = request_new(ctx, cmd, 0);

	if (!msg)
		return -ENOMEM;
	if (nla_put_u32(msg, QKD_A_MACSEC_IFINDEX, ifindex)) {
		request_free(msg);
		return -ENOMEM;
	}
	return request_run(ctx, msg, fn, arg);
}

int qkd_macsec_unbind(struct qkd_ctx *ctx, uint32_t ifindex)
{
	return run_named(ctx, QKD_CMD_MACSEC_UNBIND, ifindex, NULL, NULL);
}

int qkd_macsec_get(struct qkd_ctx *ctx, uint32_t ifindex,
		   struct qkd_macsec *macsec)
{
	return run_named(ctx, QKD_CMD_MACSEC_GET, ifindex, take_macsec, macsec);
}

/* The name of an SA, and what else @more names of it. */
static int run_sa(struct qkd_ctx *ctx, int cmd, const struct qkd_macsec_sa *sa,
		  uint64_t more, reply_fn fn, void *arg)
{
	uint64_t has = QKD_HAS(QKD_A_MACSEC_SA_IFINDEX) |
		       QKD_HAS(QKD_A_MACSEC_SA_DIR) |
		       QKD_HAS(QKD_A_MACSEC_SA_AN);
	struct nl_msg *msg = request_new(ctx, cmd, 0);
	int err;

	if (!msg)
		return -ENOMEM;
	/* the device has only one to send under */
	if (sa->dir != QKD_DIR_OUT)
		has |= sa->has & (more | QKD_HAS(QKD_A_MACSEC_SA_SCI));
	err = fields_put(msg, sa_fields, ARRAY_SIZE(sa_fields), sa, has);
	return request_end(ctx, msg, err, fn, arg);
}

int qkd_macsec_sa_add(struct qkd_ctx *ctx, struct qkd_macsec_sa *sa)
{
	return run_sa(ctx, QKD_CMD_MACSEC_SA_ADD, sa,
		      QKD_HAS(QKD_A_MACSEC_SA_KEY_ID), take_sa, sa);
}

int qkd_macsec_sa_del(struct qkd_ctx *ctx, const struct qkd_macsec_sa *sa)
{
	return run_sa(ctx, QKD_CMD_MACSEC_SA_DEL, sa, 0, NULL, NULL);
}

int qkd_macsec_sa_get(struct qkd_ctx *ctx, struct qkd_macsec_sa *sa)
{
	struct qkd_macsec_sa found = {};
	int err;

	err = run_sa(ctx, QKD_CMD_MACSEC_SA_GET, sa, 0, take_sa, &found);
	if (!err)
		*sa = found;
	return err;
}

static int sa_result(struct qkd_ctx *ctx, const struct qkd_macsec_sa *sa)
{
	if (sa->state != QKD_MACSEC_STATE_FAILED)
		return 0;
	snprintf(ctx->text, sizeof(ctx->text), "%s", sa->message);
	return sa->error ? -(int)sa->error : -EIO;
}

/**
 * struct look - what is waited for
 * @sa: out; its name
 * @number: of the request
 */
struct look {
	struct qkd_macsec_sa *sa;
	uint64_t number;
};

static int look_at_sa(struct qkd_ctx *ctx, void *arg)
{
	const struct look *look = arg;
	const struct qkd_macsec_sa *sa = look->sa;
	int err;

	err = qkd_macsec_sa_get(ctx, look->sa);
	if (err)
		return err;
	if (sa->number != look->number)
		return -ENOENT;
	if (sa->state == QKD_MACSEC_STATE_INSTALLED ||
	    sa->state == QKD_MACSEC_STATE_FAILED)
		return sa_result(ctx, sa);
	return LOOK_AGAIN;
}

int qkd_macsec_sa_wait(struct qkd_ctx *ctx, struct qkd_macsec_sa *sa,
		       unsigned int timeout)
{
	struct look look = { .sa = sa, .number = sa->number };

	return wait_for(ctx, timeout, look_at_sa, &look);
}

static int look_whether_sa_is_gone(struct qkd_ctx *ctx, void *arg)
{
	struct qkd_macsec_sa sa = *(const struct qkd_macsec_sa *)arg;
	int err = qkd_macsec_sa_get(ctx, &sa);

	if (err)
		return err == -ENOENT ? 0 : err;
	return sa.state == QKD_MACSEC_STATE_DELETING ? LOOK_AGAIN :
						       sa_result(ctx, &sa);
}

int qkd_macsec_sa_wait_gone(struct qkd_ctx *ctx,
			    const struct qkd_macsec_sa *name,
			    unsigned int timeout)
{
	return wait_for(ctx, timeout, look_whether_sa_is_gone, (void *)name);
}

static int look_whether_gone(struct qkd_ctx *ctx, void *arg)
{
	struct qkd_macsec macsec;
	int err = qkd_macsec_get(ctx, *(const uint32_t *)arg, &macsec);

	return !err ? LOOK_AGAIN : err == -ENOENT ? 0 : err;
}

int qkd_macsec_wait(struct qkd_ctx *ctx, uint32_t ifindex, unsigned int timeout)
{
	return wait_for(ctx, timeout, look_whether_gone, &ifindex);
}

struct visit {
	qkd_macsec_fn fn;
	qkd_macsec_sa_fn sa_fn;
	void *arg;
};

static int visit_macsec(struct nlattr *head, int length, void *arg)
{
	const struct visit *visit = arg;
	struct qkd_macsec macsec;
	int err;

	err = take_macsec(head, length, &macsec);
	return err ?: visit->fn(&macsec, visit->arg);
}

static int visit_sa(struct nlattr *head, int length, void *arg)
{
	const struct visit *visit = arg;
	struct qkd_macsec_sa sa = {};
	int err;

	err = take_sa(head, length, &sa);
	return err ?: visit->sa_fn(&sa, visit->arg);
}

int qkd_macsec_dump(struct qkd_ctx *ctx, qkd_macsec_fn fn, void *arg)
{
	struct visit visit = { .fn = fn, .arg = arg };

	return dump_run(ctx, QKD_CMD_MACSEC_DUMP, visit_macsec, &visit);
}

int qkd_macsec_sa_dump(struct qkd_ctx *ctx, qkd_macsec_sa_fn fn, void *arg)
{
	struct visit visit = { .sa_fn = fn, .arg = arg };

	return dump_run(ctx, QKD_CMD_MACSEC_SA_DUMP, visit_sa, &visit);
}
