/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The differences between the kernels we build on (6.1 to 7.x), and nothing
 * else. Included by every file on the command line.
 */
#ifndef _QKD_COMPAT_H
#define _QKD_COMPAT_H

#include <linux/version.h>
#include <net/genetlink.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define genl_split_ops	genl_ops
#define split_ops	ops
#define n_split_ops	n_ops
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
/* nla_policy's range is not const yet */
#undef NLA_POLICY_FULL_RANGE
#define NLA_POLICY_FULL_RANGE(tp, _range) {			\
	.type = NLA_ENSURE_UINT_TYPE(tp),			\
	.validation_type = NLA_VALIDATE_RANGE_PTR,		\
	.range = (struct netlink_range_validation *)(_range),	\
}
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

#include <linux/device/class.h>
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
#undef class_create
#define class_create(name)						\
({									\
	static struct lock_class_key __key;				\
									\
	__class_create(THIS_MODULE, name, &__key);			\
})
#endif

#include <crypto/chacha.h>
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 16, 0)
struct chacha_state {
	u32 x[CHACHA_STATE_WORDS];
};

#define chacha_init(state, key, iv)	chacha_init((state)->x, key, iv)
#define chacha20_crypt(state, dst, src, bytes) \
	chacha20_crypt((state)->x, dst, src, bytes)
#endif

#include <linux/crypto.h>
/* what a request's completion is called with */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#define QKD_DONE_ARG	struct crypto_async_request
static inline void *qkd_done_data(struct crypto_async_request *areq)
{
	return areq->data;
}
#else
#define QKD_DONE_ARG	void
static inline void *qkd_done_data(void *data)
{
	return data;
}
#endif

#include <net/xfrm.h>
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
enum {
	XFRM_SA_DIR_IN = 1,
	XFRM_SA_DIR_OUT = 2,
};

static inline void qkd_xfrm_set_dir(struct xfrm_state *x, u8 dir)
{
}

static inline u8 qkd_xfrm_dir(const struct xfrm_state *x)
{
	return 0;
}
#else
static inline void qkd_xfrm_set_dir(struct xfrm_state *x, u8 dir)
{
	x->dir = dir;
}

static inline u8 qkd_xfrm_dir(const struct xfrm_state *x)
{
	return x->dir;
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 0, 0)
static inline int qkd_xfrm_init_state(struct xfrm_state *x,
				      struct netlink_ext_ack *extack)
{
	return xfrm_init_state(x);
}
#else
static inline int qkd_xfrm_init_state(struct xfrm_state *x,
				      struct netlink_ext_ack *extack)
{
	return xfrm_init_state(x, extack);
}
#endif

#include <linux/net.h>
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0)
#define QKD_SOCKADDR	struct sockaddr
#else
#define QKD_SOCKADDR	struct sockaddr_unsized
#endif

#endif /* _QKD_COMPAT_H */
