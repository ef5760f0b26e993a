// SPDX-License-Identifier: GPL-2.0-only
/* Order of init and exit. */
#include <linux/fips.h>
#include <linux/module.h>

#include "core.h"

/* crypto_register_alg() panics for an unsigned module in FIPS mode */
static bool qkd_fips_would_panic(void)
{
#ifdef CONFIG_MODULE_SIG
	return fips_enabled && !THIS_MODULE->sig_ok;
#else
	return false;
#endif
}

static int __init qkd_init(void)
{
	int err;

	if (qkd_fips_would_panic()) {
		pr_err("qkd: refused: FIPS mode takes signed modules only\n");
		return -EOPNOTSUPP;
	}
	err = qkd_kdf_init();
	if (err)
		return err;
	err = qkd_links_init();
	if (err)
		goto err_kdf;
	err = qkd_chardev_init();
	if (err)
		goto err_links;
	err = qkd_aead_init();
	if (err)
		goto err_chardev;
	err = qkd_pm_init();
	if (err)
		goto err_aead;
	qkd_esp_init();
	err = qkd_macsec_init();
	if (err)
		goto err_esp;
	err = qkd_wg_init();
	if (err)
		goto err_macsec;
	err = qkd_netlink_init();	/* last: users come in */
	if (err)
		goto err_wg;
	return 0;

err_wg:
	qkd_wg_exit();
err_macsec:
	qkd_macsec_exit();
err_esp:
	qkd_esp_exit();
	qkd_pm_exit();
err_aead:
	qkd_aead_exit();
err_chardev:
	qkd_chardev_exit();
err_links:
	qkd_links_exit();
err_kdf:
	qkd_kdf_exit();
	return err;
}

static void __exit qkd_exit(void)
{
	qkd_netlink_exit();
	qkd_wg_exit();
	qkd_macsec_exit();
	qkd_esp_exit();
	qkd_pm_exit();
	qkd_aead_exit();
	qkd_chardev_exit();
	qkd_links_exit();
	qkd_kdf_exit();
}

module_init(qkd_init);
module_exit(qkd_exit);
MODULE_DESCRIPTION("QKD keys for IPsec and MACsec");
MODULE_LICENSE("GPL");
MODULE_SOFTDEP("pre: sha256 hmac gcm");
