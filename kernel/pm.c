// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pools do not outlive the machine's state that they belong to: they are wiped
 * before suspend, hibernation, reboot and kexec, and as far as the kernel's
 * order allows on panic (kdump runs first) and after a VM fork (the clone runs
 * already). Documentation/security-model.md says what that leaves open.
 */
#include <linux/panic_notifier.h>
#include <linux/random.h>
#include <linux/reboot.h>
#include <linux/suspend.h>

#include "core.h"

static int qkd_pm_notify(struct notifier_block *nb, unsigned long action,
			 void *data)
{
	switch (action) {
	case PM_HIBERNATION_PREPARE:
	case PM_SUSPEND_PREPARE:
		qkd_links_hold(true);
		qkd_links_end(QKD_REASON_SUSPEND);
		qkd_macsec_stop("the machine sleeps", true);
		qkd_wg_stop("the machine sleeps", true);
		break;
	case PM_POST_HIBERNATION:
	case PM_POST_SUSPEND:
		qkd_links_hold(false);
		break;
	}
	return NOTIFY_DONE;
}

static int qkd_reboot_notify(struct notifier_block *nb, unsigned long action,
			     void *data)
{
	qkd_links_hold(true);
	qkd_links_end(QKD_REASON_SUSPEND);
	return NOTIFY_DONE;
}

static int qkd_panic_notify(struct notifier_block *nb, unsigned long action,
			    void *data)
{
	qkd_links_kill(true);
	return NOTIFY_DONE;
}

static int qkd_vm_fork_notify(struct notifier_block *nb, unsigned long action,
			      void *data)
{
	qkd_links_kill(false);
	qkd_links_end(QKD_REASON_VM_FORK);
	qkd_macsec_stop("the machine was cloned", false);
	qkd_wg_stop("the machine was cloned", false);
	return NOTIFY_DONE;
}

static struct notifier_block qkd_pm_nb = { .notifier_call = qkd_pm_notify };
static struct notifier_block qkd_reboot_nb = {
	.notifier_call = qkd_reboot_notify,
};

static struct notifier_block qkd_panic_nb = {
	.notifier_call = qkd_panic_notify,
};

static struct notifier_block qkd_vm_fork_nb = {
	.notifier_call = qkd_vm_fork_notify,
};

/**
 * qkd_pm_init - hear of what ends the machine's state
 *
 * Context: module init.
 */
int qkd_pm_init(void)
{
	int err;

	err = register_pm_notifier(&qkd_pm_nb);
	if (err)
		return err;
	err = register_reboot_notifier(&qkd_reboot_nb);
	if (err)
		goto err_unregister_pm;
	err = register_random_vmfork_notifier(&qkd_vm_fork_nb);
	if (err)
		goto err_unregister_reboot;
	atomic_notifier_chain_register(&panic_notifier_list, &qkd_panic_nb);
	return 0;

err_unregister_reboot:
	unregister_reboot_notifier(&qkd_reboot_nb);
err_unregister_pm:
	unregister_pm_notifier(&qkd_pm_nb);
	return err;
}

/**
 * qkd_pm_exit - undo qkd_pm_init()
 */
void qkd_pm_exit(void)
{
	atomic_notifier_chain_unregister(&panic_notifier_list, &qkd_panic_nb);
	unregister_random_vmfork_notifier(&qkd_vm_fork_nb);
	unregister_reboot_notifier(&qkd_reboot_nb);
	unregister_pm_notifier(&qkd_pm_nb);
}
