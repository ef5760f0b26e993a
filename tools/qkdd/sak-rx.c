// SPDX-License-Identifier: GPL-2.0-only
/*
 * SAKs that the peer sends under: installed when it asks, by key ID; removed when
 * it has gone over to the next one and nothing comes under the old one any more.
 *
 * How long that takes is measured: frames may lie in queues while the peer's word
 * has arrived by another way. An old SA goes when frames have come under the new
 * one, and none under the old one for four times the longest that one was late; or
 * when nothing comes at all.
 */
#include <errno.h>
#include <string.h>

#include "qkdd.h"

#define LATE_AT_FIRST 250 /* ms, as long as nothing was measured */
#define QUIET_MIN 100
#define QUIET_MAX 2000

/**
 * sak_rx_reset - nothing is known of the peer; what drains goes on to
 * @m: device
 */
void sak_rx_reset(struct macsec *m)
{
	if (!m->rx.late)
		m->rx.late = LATE_AT_FIRST;
	memset(m->rx.wanted, 0, sizeof(m->rx.wanted));
	m->rx.current = -1;
}

static void answer(struct macsec *m, uint8_t an, enum sak_answer what)
{
	m->rx.wanted[an] = false;
	macsec_send(m, MSG_ANSWER, an, m->rx.want[an], what);
}

static void refuse(struct macsec *m, uint8_t an, int err, const char *text)
{
	macsec_complain(m, SAID_INSTALL, true,
			"the peer's SAK is not installed: %s",
			*text ? text : strerror(err));
	answer(m, an, ANSWER_REFUSED);
}

static void install(struct macsec *m, uint8_t an)
{
	struct qkd_macsec_sa sa = {
		.has = QKD_HAS(QKD_A_MACSEC_SA_SCI) |
		       QKD_HAS(QKD_A_MACSEC_SA_KEY_ID),
		.ifindex = m->ifindex,
		.dir = QKD_DIR_IN,
		.an = an,
		.sci = m->sci_there,
	};
	int err;

	memcpy(sa.key_id, m->rx.want[an], sizeof(sa.key_id));
	err = qkd_secy_channel_add(ctx, m->ifindex, m->sci_there);
	if (!err || err == -EEXIST)
		err = qkd_macsec_sa_add(ctx, &sa);
	if (err)
		refuse(m, an, -err, qkd_error_text(ctx));
}

/* The peer waits for an answer. */
static void serve(struct macsec *m, uint8_t an)
{
	const struct sa *sa = &m->rx.sa[an];
	bool same = sa->here &&
		    !memcmp(sa->key_id, m->rx.want[an], QKD_KEY_ID_LEN);

	m->rx.drain[an].old = false;
	if (sa->state == QKD_MACSEC_STATE_DELETING)
		return;
	if (same && sa->state == QKD_MACSEC_STATE_FAILED) {
		refuse(m, an, sa->error, sa->message);
		macsec_sa_del(m, QKD_DIR_IN, an);
	} else if (same && sa->state == QKD_MACSEC_STATE_INSTALLED &&
		   sa->same) {
		m->said &= ~SAID_INSTALL;
		answer(m, an, ANSWER_INSTALLED);
	} else if (!sa->here || sa->state == QKD_MACSEC_STATE_FAILED) {
		install(m, an);
	} else if (sa->state == QKD_MACSEC_STATE_INSTALLED) {
		macsec_sa_del(m, QKD_DIR_IN, an);
	}
}

static int64_t clamp(int64_t value, int64_t min, int64_t max)
{
	return value < min ? min : value > max ? max : value;
}

/* Late ones count at once, and are forgotten slowly. */
static void learn(struct sak_rx *rx, const struct drain *drain)
{
	uint32_t late = drain->last - drain->since;

	if (late < rx->late)
		rx->late -= (rx->late - late) / 4;
	else
		rx->late = late;
}

static bool has_drained(struct sak_rx *rx, uint8_t an, int64_t now)
{
	const struct drain *drain = &rx->drain[an];
	int64_t quiet = clamp(4 * (int64_t)rx->late, QUIET_MIN, QUIET_MAX);

	if (now - drain->since >= DRAIN_MAX || now - drain->last >= QUIET_MAX)
		return true;
	return rx->current >= 0 && rx->sa[rx->current].frames &&
	       now - drain->last >= quiet;
}

static void drain(struct macsec *m, uint8_t an)
{
	struct drain *drain = &m->rx.drain[an];
	const struct sa *sa = &m->rx.sa[an];
	int64_t now = now_ms();

	if (sa->frames != drain->frames) {
		drain->frames = sa->frames;
		drain->last = now;
	}
	if (sa->state == QKD_MACSEC_STATE_DELETING ||
	    !has_drained(&m->rx, an, now))
		return;
	learn(&m->rx, drain);
	drain->old = false;
	macsec_sa_del(m, QKD_DIR_IN, an);
	macsec_send(m, MSG_DRAINED, an, sa->key_id, 0);
}

/* The module, or somebody, has removed the SA that the peer sends under. */
static void lose(struct macsec *m, uint8_t an)
{
	m->rx.current = -1;
	if (m->rx.sa[an].state == QKD_MACSEC_STATE_INSTALLED)
		macsec_sa_del(m, QKD_DIR_IN, an);
	answer(m, an, ANSWER_REFUSED);
}

/**
 * sak_rx_tick - see to the SAKs that the peer sends under
 * @m: device that is bound
 *
 * Return: ms until it has to be done again.
 */
int64_t sak_rx_tick(struct macsec *m)
{
	int64_t next = MACSEC_IDLE;
	uint8_t an;

	for (an = 0; an < AN_COUNT; an++) {
		if (m->rx.wanted[an])
			serve(m, an);
		else if (m->rx.current == an && !m->rx.sa[an].same)
			lose(m, an);
		else if (!m->rx.sa[an].here)
			m->rx.drain[an].old = false;
		else if (m->rx.drain[an].old)
			drain(m, an);
		if (m->rx.wanted[an] || m->rx.drain[an].old)
			next = MACSEC_BUSY;
	}
	return next;
}

/**
 * sak_rx_ask - the peer wants to send under a SAK
 * @m: device
 * @msg: MSG_SAK
 */
void sak_rx_ask(struct macsec *m, const struct msg *msg)
{
	m->rx.wanted[msg->an] = true;
	memcpy(m->rx.want[msg->an], msg->key_id, QKD_KEY_ID_LEN);
	if (!m->bound)
		answer(m, msg->an, ANSWER_REFUSED);
}

/**
 * sak_rx_switch - the peer sends under a SAK, and under no other any more
 * @m: device
 * @msg: MSG_SWITCH
 */
void sak_rx_switch(struct macsec *m, const struct msg *msg)
{
	struct sak_rx *rx = &m->rx;
	int64_t now = now_ms();
	uint8_t an;

	if (rx->wanted[msg->an] ||
	    memcmp(msg->key_id, rx->want[msg->an], QKD_KEY_ID_LEN))
		return;
	rx->current = msg->an;
	for (an = 0; an < AN_COUNT; an++) {
		if (an == msg->an)
			rx->drain[an].old = false;
		else if (!rx->drain[an].old)
			rx->drain[an] = (struct drain){
				.old = rx->sa[an].here,
				.frames = rx->sa[an].frames,
				.since = now,
				.last = now,
			};
	}
}
