// SPDX-License-Identifier: GPL-2.0-only
/*
 * CAKs for MKA. wpa_supplicant cannot add a CAK to a secure channel that it runs:
 * another network takes down its KaY, and with it the SAs. So a bond has two
 * macsec devices on one wire, each with a wpa_supplicant of its own, and takes
 * what comes by either. The next CAK goes to the device that is idle; when MKA
 * has secured that at both ends, each end sends by it; when both do, the old CAK
 * goes.
 *
 * Alice says which CAK each device is to have, and bob follows. Both show each
 * other what they have (MSG_MKA) whenever that changes. What the wpa_supplicants
 * and the bond show is all that counts: a daemon that was killed goes on from
 * there, and the newest CAK is the one that was given last.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qkdd.h"

#define LOOK 250 /* ms between looks */
#define DRAIN 1000 /* ms that frames may be under way on the old device */
#define GIVE_UP 30000 /* ms until a CAK that MKA has not secured goes */
#define BEHIND 10000 /* ms that the peer may take to get a CAK */
#define RETRY 5000 /* ms until the next attempt after one that failed */

static LIST_HEAD(, mka) mkas = LIST_HEAD_INITIALIZER(mkas);
static struct event *timer;

static struct mka *find_bond(const char *bond)
{
	struct mka *m;

	for (m = LIST_FIRST(&mkas); m; m = LIST_NEXT(m, list))
		if (!strcmp(m->config.bond, bond))
			return m;
	return NULL;
}

static const uint8_t *told(const struct msg *msg, int i)
{
	return i ? msg->cak2 : msg->cak1;
}

static bool is_none(const uint8_t key_id[QKD_KEY_ID_LEN])
{
	static const uint8_t none[QKD_KEY_ID_LEN];

	return !memcmp(key_id, none, sizeof(none));
}

/* Index of the port that was given its CAK last, or -1. */
static int newest(const struct mka *m)
{
	const struct cak *a = &m->port[0].cak, *b = &m->port[1].cak;

	if (!a->here && !b->here)
		return -1;
	return b->here && (!a->here || b->set_at > a->set_at);
}

static int64_t age(const struct mka *m, int i)
{
	return now_ms() - m->port[i].cak.set_at;
}

static bool peer_has(const struct mka *m, int i)
{
	return !memcmp(told(&m->there, i), m->port[i].cak.key_id,
		       QKD_KEY_ID_LEN);
}

static bool both_secured(const struct mka *m, int i)
{
	return m->port[i].cak.secured && peer_has(m, i) &&
	       m->there.secured & 1 << i;
}

/*
 * What there is
 */

/*
 * One that does not answer keeps what it has; one that has gone has nothing, but
 * may have left its SAs behind: without a CAK the device is down.
 */
static void refresh_port(struct mka *m, int i)
{
	struct mka_port *port = &m->port[i];
	int err;

	if (now_ms() < port->ask_at)
		return;
	err = supplicant_read(m->config.control[i], &port->cak);
	mka_complain(m, SAID_CONTROL << i, err, "%s: %s", m->config.control[i],
		     strerror(-err));
	if (err)
		port->ask_at = now_ms() + RETRY;
	if (err && err != -EAGAIN)
		memset(&port->cak, 0, sizeof(port->cak));
	if (!port->cak.here)
		device_close(m->config.device[i]);
	else if (!device_is_up(m->config.device[i]))
		port->cak.secured = false;
}

static void refresh(struct mka *m)
{
	char device[IF_NAMESIZE];
	int i;

	m->active = -1;
	for (i = 0; i < MKA_PORTS; i++)
		refresh_port(m, i);
	if (!bond_active(m->config.bond, device))
		return;
	for (i = 0; i < MKA_PORTS; i++)
		if (!strcmp(device, m->config.device[i]))
			m->active = i;
}

static void show(struct mka *m, const struct link *link)
{
	struct msg msg = { .type = MSG_MKA }, sent;
	int i;

	strcpy(msg.device, m->config.shared_name);
	memcpy(msg.cak1, m->port[0].cak.key_id, sizeof(msg.cak1));
	memcpy(msg.cak2, m->port[1].cak.key_id, sizeof(msg.cak2));
	for (i = 0; i < MKA_PORTS; i++)
		msg.secured |= m->port[i].cak.secured << i;
	msg.active = m->active + 1;
	if (!memcmp(&msg, &m->shown, sizeof(msg)))
		return;
	m->shown = msg;
	sent = msg;
	link_send(link, &sent);
}

/*
 * What is to be done
 */

static void clear(struct mka *m, int i)
{
	int err = supplicant_clear(m->config.control[i]);

	mka_complain(m, SAID_CONTROL << i, err, "%s: %s", m->config.control[i],
		     strerror(-err));
	refresh_port(m, i);
}

/* The bytes were just taken, and are given away or nowhere. */
static int give(struct mka *m, int i, bool alice,
		const uint8_t key_id[QKD_KEY_ID_LEN],
		const uint8_t cak[CAK_LEN])
{
	int err =
		supplicant_set(m->config.control[i], i + 1, alice, key_id, cak);

	mka_complain(m, SAID_CONTROL << i, err, "%s: %s", m->config.control[i],
		     err == -EREMOTEIO ? "it refuses a CAK" : strerror(-err));
	refresh_port(m, i);
	return err;
}

static void begin(struct mka *m, int i)
{
	uint8_t key_id[QKD_KEY_ID_LEN], cak[CAK_LEN];
	int err;

	if (now_ms() < m->retry_at || now_ms() < m->port[i].ask_at)
		return;
	err = cak_allocate(m->config.link, m->config.shared_name, key_id, cak);
	mka_complain(m, SAID_CAK, err, "no CAK: %s",
		     *qkd_error_text(ctx) ? qkd_error_text(ctx) :
					    strerror(-err));
	if (!err)
		err = give(m, i, true, key_id, cak);
	explicit_bzero(cak, sizeof(cak));
	if (err)
		m->retry_at = now_ms() + RETRY;
}

/* Both ends send by the newest, and nothing is under way on the other. */
static bool has_settled(struct mka *m, int i)
{
	if (m->active != i || m->there.active != i + 1 || !both_secured(m, i))
		m->settled_at = 0;
	else if (!m->settled_at)
		m->settled_at = now_ms();
	return m->settled_at && now_ms() - m->settled_at >= DRAIN;
}

/* MKA does not secure it; that both are not is a wire that was cut. */
static bool has_failed(const struct mka *m, int i)
{
	return age(m, i) >= GIVE_UP && !both_secured(m, i) &&
	       (both_secured(m, !i) || !peer_has(m, i));
}

static bool is_due(const struct mka *m, int i)
{
	return age(m, i) >= m->config.rekey_time ||
	       (age(m, i) >= BEHIND && !peer_has(m, i));
}

static void lead(struct mka *m)
{
	int i = newest(m);

	if (i < 0) {
		begin(m, now_ms() < m->port[0].ask_at);
	} else if (!m->port[!i].cak.here) {
		if (is_due(m, i))
			begin(m, !i);
	} else if (has_settled(m, i)) {
		clear(m, !i);
	} else if (has_failed(m, i) && now_ms() >= m->retry_at) {
		log_error("%s: MKA does not secure %s: its CAK goes",
			  m->config.bond, m->config.device[i]);
		clear(m, i);
		m->retry_at = now_ms() + RETRY;
	}
}

static void take(struct mka *m, int i, const uint8_t key_id[QKD_KEY_ID_LEN])
{
	struct mka_port *port = &m->port[i];
	uint8_t cak[CAK_LEN];
	int err;

	if (!memcmp(key_id, port->failed, QKD_KEY_ID_LEN) ||
	    now_ms() < port->ask_at)
		return;
	err = cak_claim(m->config.link, m->config.shared_name, key_id, cak);
	mka_complain(m, SAID_CAK, err, "the peer's CAK is not taken: %s",
		     strerror(-err));
	if (!err)
		err = give(m, i, false, key_id, cak);
	explicit_bzero(cak, sizeof(cak));
	if (err)
		memcpy(port->failed, key_id, QKD_KEY_ID_LEN);
}

static void follow(struct mka *m)
{
	int i;

	for (i = 0; i < MKA_PORTS; i++) {
		if (peer_has(m, i))
			continue;
		if (!is_none(told(&m->there, i)))
			take(m, i, told(&m->there, i));
		else if (m->port[i].cak.here)
			clear(m, i);
	}
}

/* The peer receives by either device. */
static void switch_over(struct mka *m)
{
	int i = newest(m), err;

	if (i < 0 || i == m->active || !both_secured(m, i))
		return;
	err = bond_activate(m->config.bond, m->config.device[i]);
	/* it takes the bond a while to see that a device is up */
	mka_complain(m, SAID_BOND, err && age(m, i) > GIVE_UP,
		     "cannot send by %s: %s", m->config.device[i],
		     strerror(-err));
	if (err)
		return;
	m->active = i;
	log_info("%s: sends by %s under a CAK of %s", m->config.bond,
		 m->config.device[i], m->config.link);
}

static void expire(struct mka *m)
{
	int i;

	for (i = 0; i < MKA_PORTS; i++)
		if (m->port[i].cak.here && now_ms() >= m->port[i].ask_at &&
		    age(m, i) >= m->config.max_time) {
			log_error("%s: the time of the CAK of %s is over",
				  m->config.bond, m->config.device[i]);
			clear(m, i);
		}
}

static void look_at(struct mka *m)
{
	const struct link *link = link_find(m->config.link);

	refresh(m);
	expire(m);
	if (!link || !link->present || !link->known)
		return;
	show(m, link);
	if (!m->there.type)
		return;
	if (link->here.role == QKD_ROLE_ALICE)
		lead(m);
	else
		follow(m);
	switch_over(m);
	show(m, link);
}

static void look_in(int64_t ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	evtimer_add(timer, &tv);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct mka *m;

	(void)fd;
	(void)what;
	(void)arg;
	for (m = LIST_FIRST(&mkas); m; m = LIST_NEXT(m, list))
		look_at(m);
	if (!LIST_EMPTY(&mkas))
		look_in(LOOK);
}

/*
 * The peer
 */

/**
 * mka_message - a peer shows what CAKs it has
 * @link: link that they come from
 * @msg: MSG_MKA
 */
void mka_message(struct link *link, const struct msg *msg)
{
	struct mka *m;

	for (m = LIST_FIRST(&mkas); m; m = LIST_NEXT(m, list))
		if (!strcmp(m->config.shared_name, msg->device) &&
		    !strcmp(m->config.link, link->config.name)) {
			/* what was sent before may not have been understood */
			if (!m->there.type)
				memset(&m->shown, 0, sizeof(m->shown));
			m->there = *msg;
			look_in(0);
		}
}

/**
 * mkas_disconnected - nothing is known of a link's other end
 * @link: link
 */
void mkas_disconnected(const struct link *link)
{
	struct mka *m;

	for (m = LIST_FIRST(&mkas); m; m = LIST_NEXT(m, list)) {
		if (strcmp(m->config.link, link->config.name))
			continue;
		memset(&m->shown, 0, sizeof(m->shown));
		memset(&m->there, 0, sizeof(m->there));
	}
}

/*
 * The configuration
 */

static void mka_add(const struct mka_config *config)
{
	struct mka *m = calloc(1, sizeof(*m));

	if (!m) {
		log_error("out of memory");
		exit(1);
	}
	m->config = *config;
	m->active = -1;
	LIST_INSERT_HEAD(&mkas, m, list);
}

static bool same_mka(const struct mka_config *a, const struct mka_config *b)
{
	return !strcmp(a->link, b->link) &&
	       !strcmp(a->shared_name, b->shared_name) &&
	       !memcmp(a->device, b->device, sizeof(a->device)) &&
	       !memcmp(a->control, b->control, sizeof(a->control));
}

/**
 * mkas_configure - take over a configuration, the first or another one
 * @config: stays with the caller
 *
 * CAKs of a bond that is not in it stay with their wpa_supplicants.
 */
void mkas_configure(const struct config *config)
{
	const struct mka_config *c;
	struct mka *m, *next;

	for (c = config->mkas; c < config->mkas + config->nmkas; c++) {
		m = find_bond(c->bond);
		if (m && same_mka(&m->config, c)) {
			m->config = *c;
			m->keep = true;
		}
	}
	for (m = LIST_FIRST(&mkas); m; m = next) {
		next = LIST_NEXT(m, list);
		if (!m->keep) {
			LIST_REMOVE(m, list);
			free(m);
		} else {
			m->keep = false;
		}
	}
	for (c = config->mkas; c < config->mkas + config->nmkas; c++)
		if (!find_bond(c->bond))
			mka_add(c);
	if (!timer)
		timer = evtimer_new(base, on_look, NULL);
	if (!LIST_EMPTY(&mkas))
		look_in(0);
}

/**
 * mkas_stop - undo mkas_configure(); the wpa_supplicants go on
 */
void mkas_stop(void)
{
	struct mka *m;

	while ((m = LIST_FIRST(&mkas))) {
		LIST_REMOVE(m, list);
		free(m);
	}
	if (timer)
		event_free(timer);
	timer = NULL;
}
