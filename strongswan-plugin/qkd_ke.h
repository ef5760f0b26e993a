/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Key exchange methods "qkd", "qkd_mlkem768" and "qkd_mlkem1024".
 */
#ifndef QKD_KE_H_
#define QKD_KE_H_

/* Private use (RFC 7296, 3.3.2); charon.plugins.qkd.ke_method has another one. */
#define QKD_KE_METHOD 1170

void qkd_ke_init(void);
void qkd_ke_deinit(void);

#endif /* QKD_KE_H_ */
