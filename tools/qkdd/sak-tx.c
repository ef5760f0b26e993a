// SPDX-License-Identifier: GPL-2.0-only
/*
 * The SAK that we send under, and the next one. The module makes an SA from key
 * that it allocates; the peer is told its key ID and installs it, too; only when
 * it has said so frames are sent under the new one. The old one goes when the
 * peer has seen the last frame under it, or after a while.
 *
 * What goes wrong before the switch leaves the old SA in use, until the module
 * takes that away after its max-time: then the device blocks.
 */
#include <errno.h>
#include <string.h>

#include <netlink/route/link.h>
#include <netlink/route/link/macsec.h>

#include "qkdd.h"

#define OFFER_AGAIN \
	5000 /* ms until a peer that does not answer is asked again */
#define RETRY 1000 /* ms until the next attempt after one that failed */
#define AUTO_MIN 100 /* ms that a SAK is used with rekey-time auto, at least */
#define POOL_TIME 3600 /* s in which that spends a full pool */
#define UNIT 32 /* bytes of key stream that a SAK costs */

/* Packet numbers that are left when the next SAK is due: a quarter. */
#define PN_DUE (UINT64_C(3) << 30)
#define XPN_DUE (UINT64_C(3) << 62)

/**
 * sak_tx_reset - nothing is known of the peer
 * @m: device
 */
void sak_tx_reset(struct macsec *m)
{
	m->tx.step = TX_IDLE;
	m->tx.agreed = false;
	m->tx.lost = false;
}

/* The SA that frames are sent under, or NULL if that is none of ours. */
static const struct sa *current(const struct macsec *m)
{
	return m->tx.encoding < 0 ? NULL : &m->tx.sa[m->tx.encoding];
}

static uint64_t last_pn(const struct macsec *m)
{
	bool xpn = m->here.suite == QKD_MACSEC_SUITE_GCM_AES_XPN_128 ||
		   m->here.suite == QKD_MACSEC_SUITE_GCM_AES_XPN_256;
	uint64_t due = xpn ? XPN_DUE : PN_DUE;

	return m->config.rekey_packets && m->config.rekey_packets < due ?
		       m->config.rekey_packets :
		       due;
}

/*
 * As rekey auto of ESP: spend what the link delivers for this direction while
 * its pool is above the low mark and proportionally less below, and a full pool
 * in an hour; of that, this device's share.
 */
static int64_t auto_interval(const struct macsec *m)
{
	const struct link *link = link_find(m->config.link);
	double rate = 0, live = 0, low; /* bytes per second, bytes */
	int64_t longest = m->config.max_time / 2;
	uint32_t i;

	if (!link || !link->present)
		return longest;
	for (i = 0; i < link->here.nstats; i++)
		if (link->here.stat[i].stream ==
		    (link->here.role == QKD_ROLE_ALICE ? QKD_STREAM_A2B_KEY :
							 QKD_STREAM_B2A_KEY))
			live = link->here.stat[i].live;
	low = link->here.key_low ? link->here.key_low : 1;
	rate = link->here.skr / 16.0 * (live < low ? live / low : 1) +
	       live / POOL_TIME;
	rate /= macsec_sharers(m->config.link);
	if (rate * longest <= UNIT * 1000.0)
		return longest;
	if (UNIT * 1000.0 <= rate * AUTO_MIN)
		return AUTO_MIN;
	return UNIT * 1000.0 / rate;
}

/* ms until another SAK is due. */
static int64_t due_in(const struct macsec *m)
{
	const struct sa *sa = current(m);
	int64_t wait = m->tx.retry_at - now_ms();
	int64_t interval;

	if (wait > 0)
		return wait;
	if (!sa || m->tx.lost || sa->pn > last_pn(m))
		return 0;
	interval = m->config.rekey_time ? m->config.rekey_time :
					  auto_interval(m);
	return interval > (int64_t)sa->age ? interval - (int64_t)sa->age : 0;
}

static int64_t failed(struct macsec *m, int err, const char *text)
{
	macsec_complain(m, SAID_NO_SAK, true, "no next SAK: %s",
			*text ? text : strerror(err));
	m->tx.step = TX_IDLE;
	m->tx.retry_at = now_ms() + RETRY;
	return RETRY;
}

static int64_t offer(struct macsec *m, uint8_t an)
{
	struct sak_tx *tx = &m->tx;

	tx->step = TX_OFFERED;
	tx->an = an;
	tx->offered_at = now_ms();
	macsec_send(m, MSG_SAK, an, tx->sa[an].key_id, 0);
	return MACSEC_IDLE;
}

static bool is_free(const struct sa *sa)
{
	return !sa->here || sa->state == QKD_MACSEC_STATE_FAILED;
}

static int64_t make(struct macsec *m)
{
	struct sak_tx *tx = &m->tx;
	struct qkd_macsec_sa sa = { .ifindex = m->ifindex, .dir = QKD_DIR_OUT };
	int err;

	sa.an = tx->an;
	do
		sa.an = (sa.an + 1) % AN_COUNT;
	while (!is_free(&tx->sa[sa.an]) && sa.an != tx->an);
	if (!is_free(&tx->sa[sa.an]))
		return MACSEC_BUSY; /* an old one has to go first */
	tx->an = sa.an;
	err = qkd_macsec_sa_add(ctx, &sa);
	if (err)
		return failed(m, -err, qkd_error_text(ctx));
	tx->number = sa.number;
	tx->step = TX_MAKING;
	return MACSEC_BUSY;
}

/* What was left behind by a rotation that was cut off, or is still draining. */
static void drop_old(const struct macsec *m)
{
	uint8_t an;

	if (now_ms() - m->tx.switched_at <= DRAIN_MAX)
		return;
	for (an = 0; an < AN_COUNT; an++)
		if (an != m->tx.encoding &&
		    m->tx.sa[an].state == QKD_MACSEC_STATE_INSTALLED)
			macsec_sa_del(m, QKD_DIR_OUT, an);
}

static int64_t idle(struct macsec *m)
{
	int64_t wait;

	drop_old(m);
	if (current(m) && !m->tx.agreed)
		return offer(m, m->tx.encoding);
	wait = due_in(m);
	return wait ? wait : make(m);
}

static int64_t making(struct macsec *m)
{
	const struct sa *sa = &m->tx.sa[m->tx.an];

	if (!sa->here || sa->number != m->tx.number)
		m->tx.step = TX_IDLE; /* the device or the SA has gone */
	else if (sa->state == QKD_MACSEC_STATE_FAILED)
		return failed(m, sa->error, sa->message);
	else if (sa->state == QKD_MACSEC_STATE_INSTALLED)
		return offer(m, m->tx.an);
	return MACSEC_BUSY;
}

static int64_t offered(struct macsec *m)
{
	if (!m->tx.sa[m->tx.an].same)
		m->tx.step = TX_IDLE;
	else if (now_ms() - m->tx.offered_at >= OFFER_AGAIN)
		return offer(m, m->tx.an);
	return MACSEC_IDLE;
}

/**
 * sak_tx_tick - see to the SAK that we send under
 * @m: device that is bound
 *
 * Return: ms until it has to be done again.
 */
int64_t sak_tx_tick(struct macsec *m)
{
	if (!macsec_peer_is_ready(m)) {
		m->tx.step = TX_IDLE;
		return MACSEC_IDLE;
	}
	switch (m->tx.step) {
	case TX_IDLE:
		return idle(m);
	case TX_MAKING:
		return making(m);
	default:
		return offered(m);
	}
}

static int set_encoding(const struct macsec *m, uint8_t an)
{
	struct rtnl_link *link = rtnl_link_macsec_alloc();
	struct nl_sock *sk = nl_socket_alloc();
	int err = -NLE_NOMEM;

	if (link && sk) {
		rtnl_link_set_ifindex(link, m->ifindex);
		rtnl_link_macsec_set_encoding_sa(link, an);
		err = nl_connect(sk, NETLINK_ROUTE);
		if (!err)
			err = rtnl_link_change(sk, link, link, 0);
	}
	if (sk)
		nl_socket_free(sk);
	if (link)
		rtnl_link_put(link);
	return err;
}

/* The peer receives under the SA that it was offered. */
static void switch_over(struct macsec *m)
{
	struct sak_tx *tx = &m->tx;
	bool blocked = !current(m) || tx->lost;
	int err = 0;

	tx->step = TX_IDLE;
	if (tx->encoding != tx->an)
		err = set_encoding(m, tx->an);
	macsec_complain(m, SAID_ENCODING, err, "cannot set its encodingsa: %s",
			nl_geterror(err));
	if (err) {
		tx->retry_at = now_ms() + RETRY;
		return;
	}
	if (tx->encoding != tx->an)
		tx->switched_at = now_ms();
	if (blocked)
		log_info("%s: sends under key of %s", m->config.device,
			 m->config.link);
	tx->encoding = tx->an;
	tx->agreed = true;
	tx->lost = false;
	m->said &= ~(SAID_NO_SAK | SAID_REFUSED);
	macsec_send(m, MSG_SWITCH, tx->an, tx->sa[tx->an].key_id, 0);
}

static void refused(struct macsec *m)
{
	struct sak_tx *tx = &m->tx;

	tx->step = TX_IDLE;
	macsec_complain(m, SAID_REFUSED, true,
			"the peer does not receive under the SAK of AN %u",
			tx->an);
	if (tx->an == tx->encoding) {
		tx->agreed = true;
		tx->lost = true;
		return;
	}
	macsec_sa_del(m, QKD_DIR_OUT, tx->an);
	tx->retry_at = now_ms() + RETRY;
}

static bool is_about(const struct macsec *m, int an, const struct msg *msg)
{
	return an >= 0 && msg->an == an && msg->sci == m->here.sci &&
	       m->tx.sa[an].here &&
	       !memcmp(msg->key_id, m->tx.sa[an].key_id, QKD_KEY_ID_LEN);
}

/**
 * sak_tx_answer - the peer receives under a SAK, or does not
 * @m: device
 * @msg: MSG_ANSWER
 */
void sak_tx_answer(struct macsec *m, const struct msg *msg)
{
	bool offered = m->tx.step == TX_OFFERED && is_about(m, m->tx.an, msg);

	if (offered && msg->answer == ANSWER_INSTALLED)
		switch_over(m);
	else if (offered)
		refused(m);
	else if (msg->answer == ANSWER_REFUSED &&
		 is_about(m, m->tx.encoding, msg))
		m->tx.lost = true;
}

/**
 * sak_tx_drained - the peer has removed an old SA
 * @m: device
 * @msg: MSG_DRAINED
 */
void sak_tx_drained(struct macsec *m, const struct msg *msg)
{
	if (msg->an != m->tx.encoding && is_about(m, msg->an, msg) &&
	    (m->tx.step == TX_IDLE || msg->an != m->tx.an))
		macsec_sa_del(m, QKD_DIR_OUT, msg->an);
}
