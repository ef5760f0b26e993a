/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vendor ID: peers that know our numbers for private use.
 */
#ifndef QKD_VENDOR_H_
#define QKD_VENDOR_H_

#include <daemon.h>

void qkd_vendor_init(void);
void qkd_vendor_deinit(void);

/* Lists of proposals; strongSwan 6.1 asks whether to log them. */
#ifdef GET_PROPOSALS_LOGS
#define QKD_PROPOSALS(cfg, ...) (cfg)->get_proposals(cfg, ##__VA_ARGS__, FALSE)
#else
#define QKD_PROPOSALS(cfg, ...) (cfg)->get_proposals(cfg, ##__VA_ARGS__)
#endif

/* The peer has sent it. */
bool qkd_vendor_is_ours(ike_sa_t *ike_sa);

#endif /* QKD_VENDOR_H_ */
