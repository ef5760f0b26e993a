/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which source of keys a connection of swanctl.conf uses, and the sources.
 */
#ifndef QKD_CONN_H_
#define QKD_CONN_H_

#include <daemon.h>

#include "qkd_source.h"

/* What ppk_id begins with in swanctl.conf, if a name of a source follows. */
#define QKD_PREFIX "qkd:"

void qkd_conn_init(void);
void qkd_conn_deinit(void);

/**
 * qkd_conn_ppk_name() - the source of a connection's PPKs
 * @cfg: the connection
 *
 * Return: the name after "qkd:" in ppk_id, for the caller to free; NULL if the
 * connection has none such
 */
char *qkd_conn_ppk_name(peer_cfg_t *cfg);

/**
 * qkd_conn_source() - the source of a connection's keys
 * @cfg: the connection
 *
 * That of its ppk_id, else charon.plugins.qkd.connections.<name>.source.
 *
 * Return: the source, which lives until the plugin is unloaded; NULL if the
 * connection names none or it can't be had, then with a line in the log
 */
qkd_source_t *qkd_conn_source(peer_cfg_t *cfg);

/**
 * qkd_conn_source_of_id() - the source of the key that a peer named
 * @ike_sa: of the exchange; its connection may not be chosen yet
 * @id: key ID as text
 *
 * Return: as qkd_conn_source()
 */
qkd_source_t *qkd_conn_source_of_id(ike_sa_t *ike_sa, const char *id);

/* The source of a name; see qkd_conn_source(). */
qkd_source_t *qkd_conn_source_by_name(const char *name);

/* Its name, for the caller to free; NULL if the connection names none. */
char *qkd_conn_source_name(peer_cfg_t *cfg);

/* charon.plugins.qkd.connections.<name>.<key>, or NULL. */
char *qkd_conn_setting(peer_cfg_t *cfg, const char *key);

/**
 * qkd_conn_choose() - the connection that charon will choose for an IKE_AUTH
 * @ike_sa: of the exchange
 * @message: its first request; see load_cfg_candidates() in charon
 * @visit: is told every connection that it may choose, or NULL
 *
 * Return: a reference to it, or NULL
 */
peer_cfg_t *qkd_conn_choose(ike_sa_t *ike_sa, message_t *message,
			    void (*visit)(peer_cfg_t *cfg));

/* Whether the operator named a fallback: a connection that may do without. */
bool qkd_conn_may_fall_back(peer_cfg_t *cfg);

#endif /* QKD_CONN_H_ */
