// SPDX-License-Identifier: LGPL-2.1-or-later
/* The context: socket, requests, and what the kernel says about them. */
#include <linux/netlink.h>
#include <netlink/genl/ctrl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "internal.h"

/* Holds the largest request; attributes are at most 255 bytes each. */
#define REQUEST_SIZE 4096
/* The kernel fills dumps in steps of at most 32 KiB. */
#define RECEIVE_SIZE 65536

/* libnl's numbers are not errno's, and lose some. */
int to_errno(int nle)
{
	switch (nle < 0 ? -nle : nle) {
	case NLE_SUCCESS:
		return 0;
	case NLE_INTR:
	case NLE_DUMP_INTR:
		return -EINTR;
	case NLE_NOMEM:
	case NLE_MSGSIZE:
		return -ENOMEM;
	case NLE_AGAIN:
		return -EAGAIN;
	case NLE_PERM:
	case NLE_NOACCESS:
		return -EPERM;
	case NLE_OBJ_NOTFOUND:
	case NLE_NOADDR:
		return -ENOENT;
	case NLE_MSG_TRUNC:
	case NLE_MSG_TOOSHORT:
		return -EBADMSG;
	case NLE_AF_NOSUPPORT:
		return -EAFNOSUPPORT;
	case NLE_RANGE:
		return -ERANGE;
	case NLE_BAD_SOCK:
		return -EBADF;
	case NLE_PROTO_MISMATCH:
		return -EPROTONOSUPPORT;
	}
	return -EINVAL;
}

/* Makes a socket and asks for the family's number; the kernel loads the module
 * for who may load modules.
 */
int socket_open(struct nl_sock **out, int *family)
{
	static const int one = 1;
	struct nl_sock *sk;
	int fd, err;

	sk = nl_socket_alloc();
	if (!sk)
		return -ENOMEM;
	err = to_errno(genl_connect(sk));
	if (err)
		goto free_socket;
	err = to_errno(nl_socket_set_msg_buf_size(sk, RECEIVE_SIZE));
	if (err)
		goto free_socket;
	nl_socket_disable_msg_peek(sk);

	*family = genl_ctrl_resolve(sk, QKD_FAMILY_NAME);
	if (*family < 0) {
		err = to_errno(*family);
		goto free_socket;
	}

	/* Capped: an error must not carry the request, which may hold a seed. */
	fd = nl_socket_get_fd(sk);
	if (setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one))) {
		err = -errno;
		goto free_socket;
	}
	*out = sk;
	return 0;

free_socket:
	nl_socket_free(sk);
	return err;
}

int qkd_open(struct qkd_ctx **out)
{
	struct qkd_ctx *ctx;
	int err;

	ctx = calloc(1, sizeof(*ctx));
	if (!ctx)
		return -ENOMEM;
	err = socket_open(&ctx->sk, &ctx->family);
	if (err) {
		free(ctx);
		return err;
	}
	*out = ctx;
	return 0;
}

void qkd_close(struct qkd_ctx *ctx)
{
	if (!ctx)
		return;
	nl_socket_free(ctx->sk);
	free(ctx);
}

const char *qkd_error_text(const struct qkd_ctx *ctx)
{
	return ctx->text;
}

const char *qkd_error_attribute(const struct qkd_ctx *ctx)
{
	return ctx->attribute;
}

/* A request to another family than our own. */
struct nl_msg *request_new_for(struct qkd_ctx *ctx, int family, int cmd,
			       int flags, int version)
{
	struct nl_msg *msg;

	ctx->text[0] = '\0';
	ctx->attribute[0] = '\0';

	msg = nlmsg_alloc_size(REQUEST_SIZE);
	if (!msg)
		return NULL;
	if (!genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, flags, cmd,
			 version)) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

struct nl_msg *request_new(struct qkd_ctx *ctx, int cmd, int flags)
{
	return request_new_for(ctx, ctx->family, cmd, flags,
			       QKD_FAMILY_VERSION);
}

/* Wipes it as well: it may hold a seed. */
void request_free(struct nl_msg *msg)
{
	explicit_bzero(nlmsg_hdr(msg), nlmsg_get_max_size(msg));
	nlmsg_free(msg);
}

int put_ref(struct nl_msg *msg, int name, int index, struct qkd_ref ref)
{
	if (ref.name)
		return to_errno(nla_put_string(msg, name, ref.name));
	return to_errno(nla_put_u32(msg, index, ref.index));
}

/**
 * struct exchange - a request that waits for its answers
 * @ctx: the context
 * @request: what was sent
 * @fn: takes each reply
 * @arg: for @fn
 * @err: result
 * @done: the last answer came
 */
struct exchange {
	struct qkd_ctx *ctx;
	struct nlmsghdr *request;
	reply_fn fn;
	void *arg;
	int err;
	bool done;
};

static uint32_t get_u32(const struct nlattr *attr)
{
	return nla_len(attr) >= 4 ? nla_get_u32(attr) : 0;
}

/* Extended acknowledgement: the words, and which attribute they are about. */
static void take_tlvs(struct exchange *ex, struct nlattr *head, int length)
{
	struct nlattr *tlv[NLMSGERR_ATTR_MAX + 1];
	struct qkd_ctx *ctx = ex->ctx;

	if (nla_parse(tlv, NLMSGERR_ATTR_MAX, head, length, NULL) < 0)
		return;
	if (tlv[NLMSGERR_ATTR_MSG])
		nla_strlcpy(ctx->text, tlv[NLMSGERR_ATTR_MSG],
			    sizeof(ctx->text));
	if (tlv[NLMSGERR_ATTR_MISS_TYPE])
		attr_name_missing(
			ctx->attribute, sizeof(ctx->attribute), ex->request,
			tlv[NLMSGERR_ATTR_MISS_NEST] ?
				get_u32(tlv[NLMSGERR_ATTR_MISS_NEST]) :
				0,
			get_u32(tlv[NLMSGERR_ATTR_MISS_TYPE]));
	else if (tlv[NLMSGERR_ATTR_OFFS])
		attr_name_at(ctx->attribute, sizeof(ctx->attribute),
			     ex->request, get_u32(tlv[NLMSGERR_ATTR_OFFS]));
}

static void take_ack(struct exchange *ex, struct nlmsghdr *hdr)
{
	const struct nlmsgerr *ack = nlmsg_data(hdr);
	int length = sizeof(*ack);

	if (!(hdr->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(hdr->nlmsg_flags & NLM_F_CAPPED))
		length += ack->msg.nlmsg_len - sizeof(ack->msg);
	length = NLMSG_ALIGN(length);
	if (length < nlmsg_datalen(hdr))
		take_tlvs(ex, (struct nlattr *)((char *)ack + length),
			  nlmsg_datalen(hdr) - length);
}

static int on_valid(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *hdr = nlmsg_hdr(msg);
	struct exchange *ex = arg;
	struct genlmsghdr *genl;

	if (!genlmsg_valid_hdr(hdr, 0)) {
		ex->err = ex->err ?: -EBADMSG;
		return NL_OK;
	}
	genl = nlmsg_data(hdr);
	if (ex->fn && !ex->err)
		ex->err = ex->fn(genlmsg_attrdata(genl, 0),
				 genlmsg_attrlen(genl, 0), ex->arg);
	return NL_OK;
}

static int on_ack(struct nl_msg *msg, void *arg)
{
	struct exchange *ex = arg;

	take_ack(ex, nlmsg_hdr(msg));
	ex->done = true;
	return NL_STOP;
}

static int on_error(struct sockaddr_nl *addr, struct nlmsgerr *err, void *arg)
{
	struct exchange *ex = arg;

	(void)addr;
	take_ack(ex, (struct nlmsghdr *)((char *)err - NLMSG_HDRLEN));
	ex->err = err->error;
	ex->done = true;
	return NL_STOP;
}

/* End of a dump, with an error in it if one came up on the way. */
static int on_finish(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *hdr = nlmsg_hdr(msg);
	const int length = NLMSG_ALIGN(sizeof(int));
	struct exchange *ex = arg;
	int err = 0;

	if (nlmsg_datalen(hdr) >= (int)sizeof(int))
		err = *(int *)nlmsg_data(hdr);
	if (err < 0) {
		ex->err = err;
		if (hdr->nlmsg_flags & NLM_F_ACK_TLVS &&
		    nlmsg_datalen(hdr) > length)
			take_tlvs(ex,
				  (struct nlattr *)((char *)nlmsg_data(hdr) +
						    length),
				  nlmsg_datalen(hdr) - length);
	}
	ex->done = true;
	return NL_STOP;
}

/* Answers to an earlier request, which was given up, are not ours. */
static int on_seq(struct nl_msg *msg, void *arg)
{
	struct exchange *ex = arg;

	return nlmsg_hdr(msg)->nlmsg_seq == ex->request->nlmsg_seq ? NL_OK :
								     NL_SKIP;
}

static int receive(struct exchange *ex)
{
	bool interrupted = false;
	struct nl_cb *cb;
	int err;

	cb = nl_cb_alloc(NL_CB_DEFAULT);
	if (!cb)
		return -ENOMEM;
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, ex);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_ack, ex);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_finish, ex);
	nl_cb_set(cb, NL_CB_SEQ_CHECK, NL_CB_CUSTOM, on_seq, ex);
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, ex);

	while (!ex->done) {
		err = nl_recvmsgs(ex->ctx->sk, cb);
		if (ex->done && err != -NLE_DUMP_INTR)
			break;
		if (err == -NLE_DUMP_INTR)
			interrupted = true;
		else if (err < 0) {
			ex->err = to_errno(err);
			break;
		}
	}
	nl_cb_put(cb);
	if (!ex->err && interrupted)
		ex->err = -EINTR;
	return ex->err;
}

/**
 * request_run - send a request and take its answers
 * @ctx: the context
 * @msg: the request, which is freed
 * @fn: takes each reply, or NULL
 * @arg: for @fn
 *
 * Return: 0, what @fn returned, or a negative errno.
 */
int request_run(struct qkd_ctx *ctx, struct nl_msg *msg, reply_fn fn, void *arg)
{
	struct exchange ex = { .ctx = ctx, .fn = fn, .arg = arg };
	int err;

	ex.request = nlmsg_hdr(msg);
	err = nl_send_auto(ctx->sk, msg);
	err = err < 0 ? to_errno(err) : receive(&ex);

	request_free(msg);
	return err;
}

/**
 * request_end - send a request that was put together, or free what could not be
 * @ctx: the context
 * @msg: the request, which is freed
 * @err: 0, or what was in the way
 * @fn: takes each reply, or NULL
 * @arg: for @fn
 *
 * Return: @err, or what request_run() returns.
 */
int request_end(struct qkd_ctx *ctx, struct nl_msg *msg, int err, reply_fn fn,
		void *arg)
{
	if (!err)
		return request_run(ctx, msg, fn, arg);
	request_free(msg);
	return err;
}

/**
 * dump_run - ask for all objects of a kind
 * @ctx: the context
 * @cmd: number of the command
 * @fn: takes each
 * @arg: for @fn
 *
 * Return: as request_run().
 */
int dump_run(struct qkd_ctx *ctx, int cmd, reply_fn fn, void *arg)
{
	struct nl_msg *msg = request_new(ctx, cmd, NLM_F_DUMP);

	return msg ? request_run(ctx, msg, fn, arg) : -ENOMEM;
}
