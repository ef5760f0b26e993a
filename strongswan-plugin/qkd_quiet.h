/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * No secret leaves charon by its logs or a core dump.
 */
#ifndef QKD_QUIET_H_
#define QKD_QUIET_H_

void qkd_quiet_init(void);
void qkd_quiet_deinit(void);

#endif /* QKD_QUIET_H_ */
