/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CHILD_SAs that are configured as they can't be.
 */
#ifndef QKD_REFUSE_H_
#define QKD_REFUSE_H_

void qkd_refuse_init(void);
void qkd_refuse_deinit(void);

#endif /* QKD_REFUSE_H_ */
