// SPDX-License-Identifier: GPL-2.0-only
#include <linux/module.h>
static int __init qkd_init(void)
{
	return 0;
}
static void __exit qkd_exit(void)
{
}
module_init(qkd_init);
module_exit(qkd_exit);
MODULE_DESCRIPTION("QKD key store for IPsec and MACsec");
MODULE_LICENSE("GPL");
