/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CHILD_SAs with transforms of ours, in the kernel.
 */
#ifndef QKD_INSTALL_H_
#define QKD_INSTALL_H_

#include <daemon.h>

void qkd_install_init(void);
void qkd_install_deinit(void);

/* Whether a connection's settings make sense; else there is a line in the log. */
bool qkd_install_can(peer_cfg_t *cfg);

#endif /* QKD_INSTALL_H_ */
