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

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

#endif /* _QKD_COMPAT_H */
