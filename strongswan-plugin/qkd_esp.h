/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ESP transforms "qkdotp", "qkdaes" and "qkdhybrid": what is agreed on.
 */
#ifndef QKD_ESP_H_
#define QKD_ESP_H_

#include <daemon.h>

#include <qkd/qkd.h>

/* Private use (RFC 7296, 3.3.2); charon.plugins.qkd.esp_cipher has another one. */
#define QKD_ESP_CIPHER 1170

/* Status type for private use (RFC 7296, 3.10.1) */
#define QKD_SA_NOTIFY 41170

void qkd_esp_init(void);
void qkd_esp_deinit(void);

/* enum qkd_cipher of a transform, 0 if it is none of ours. */
uint32_t qkd_esp_cipher(uint16_t transform);

/**
 * qkd_esp_proposed() - what the esp_proposals of a CHILD_SA have
 * @cfg: its configuration
 * @others: out: there are other transforms than ours; may be NULL
 *
 * Return: there are transforms of ours
 */
bool qkd_esp_proposed(child_cfg_t *cfg, bool *others);

/* enum qkd_on_empty of a connection; 0, with a line in the log, if it is wrong. */
uint32_t qkd_esp_on_empty(peer_cfg_t *cfg);

/* The link of a connection as it is now. FALSE, with a line in the log, if there
 * is none.
 */
bool qkd_esp_link(peer_cfg_t *cfg, struct qkd_link *link);

/**
 * qkd_esp_agreed() - whether the peer has said what this end has
 * @ike_sa: of the exchange
 * @link: this end's, as it is now
 * @id: of the SA that is to be installed
 * @data: likewise
 *
 * Return: FALSE, with a line in the log, if the two ends differ
 */
bool qkd_esp_agreed(ike_sa_t *ike_sa, const struct qkd_link *link,
		    const kernel_ipsec_sa_id_t *id,
		    const kernel_ipsec_add_sa_t *data);

#endif /* QKD_ESP_H_ */
