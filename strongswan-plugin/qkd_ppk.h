/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Postquantum Preshared Keys (RFC 8784) with a fresh PPK_ID each time.
 */
#ifndef QKD_PPK_H_
#define QKD_PPK_H_

void qkd_ppk_init(void);
void qkd_ppk_deinit(void);

#endif /* QKD_PPK_H_ */
