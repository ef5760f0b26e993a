// SPDX-License-Identifier: GPL-2.0-only
/*
 * MACsec devices of the configuration. Their SAs are the module's: it takes the
 * keys from the link and gives them to the kernel's macsec; here they have only
 * names. Each end rotates the SAK that it sends under (sak-tx.c) and installs
 * what the peer sends under (sak-rx.c).
 *
 * What the kernel has is looked at anew each time, and is all that counts: a
 * daemon that was killed goes on from there. A look is due by a timer, after a
 * message, and when the module tells of an SA.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qkdd.h"

static LIST_HEAD(, macsec) macsecs = LIST_HEAD_INITIALIZER(macsecs);
static struct event *timer;

static struct macsec *find_device(const char *device)
{
	struct macsec *m;

	for (m = LIST_FIRST(&macsecs); m; m = LIST_NEXT(m, list))
		if (!strcmp(m->config.device, device))
			return m;
	return NULL;
}

static struct macsec *find_ifindex(uint32_t ifindex)
{
	struct macsec *m;

	for (m = LIST_FIRST(&macsecs); m; m = LIST_NEXT(m, list))
		if (m->ifindex == ifindex)
			return m;
	return NULL;
}

static struct macsec *find_shared(const struct link *link, const char *name)
{
	struct macsec *m;

	for (m = LIST_FIRST(&macsecs); m; m = LIST_NEXT(m, list))
		if (!strcmp(m->config.shared_name, name) &&
		    !strcmp(m->config.link, link->config.name))
			return m;
	return NULL;
}

/**
 * macsec_sharers - how many devices share what a link can afford
 * @link: its name
 *
 * Return: their number.
 */
unsigned int macsec_sharers(const char *link)
{
	unsigned int n = 0;
	struct macsec *m;

	for (m = LIST_FIRST(&macsecs); m; m = LIST_NEXT(m, list))
		n += !m->config.rekey_time && !strcmp(m->config.link, link);
	return n;
}

/*
 * What the kernel has
 */

static int see_device(const struct qkd_macsec *seen, void *arg)
{
	struct macsec *m = find_ifindex(seen->ifindex);
	bool ours;

	(void)arg;
	if (!m)
		return 0;
	ours = !strcmp(seen->link_name, m->config.link) &&
	       seen->max_time == m->config.max_time;
	macsec_complain(
		m, SAID_BOUND, !seen->leaving && !ours,
		"bound to %s with max-time %ums: try \"qkd macsec unbind %s\"",
		seen->link_name, seen->max_time, m->config.device);
	m->bound = ours && !seen->leaving;
	m->here = *seen;
	return 0;
}

static int see_sa(const struct qkd_macsec_sa *seen, void *arg)
{
	struct macsec *m = find_ifindex(seen->ifindex);
	struct sa *sa;

	(void)arg;
	if (!m || !m->bound || seen->an >= AN_COUNT)
		return 0;
	if (seen->dir == QKD_DIR_IN && !m->sci_there)
		m->sci_there = seen->sci;
	if (seen->dir == QKD_DIR_IN && seen->sci != m->sci_there) {
		m->stray = *seen;
		return 0;
	}
	sa = seen->dir == QKD_DIR_OUT ? &m->tx.sa[seen->an] :
					&m->rx.sa[seen->an];
	*sa = (struct sa){
		.here = true,
		.state = seen->state,
		.error = seen->error,
		.number = seen->number,
		.age = seen->age,
	};
	memcpy(sa->key_id, seen->key_id, sizeof(sa->key_id));
	strcpy(sa->message, seen->message);
	return 0;
}

static int see_secy(const struct qkd_secy_sa *seen, void *arg)
{
	struct macsec *m = find_ifindex(seen->ifindex);
	struct sa *sa;

	(void)arg;
	if (!m || !m->bound || seen->an >= AN_COUNT ||
	    (seen->dir == QKD_DIR_IN && seen->sci != m->sci_there))
		return 0;
	sa = seen->dir == QKD_DIR_OUT ? &m->tx.sa[seen->an] :
					&m->rx.sa[seen->an];
	if (!sa->here || memcmp(sa->key_id, seen->key_id, QKD_KEY_ID_LEN))
		return 0;
	sa->same = true;
	sa->pn = seen->pn;
	sa->frames = seen->frames;
	if (seen->encoding && seen->active)
		m->tx.encoding = seen->an;
	return 0;
}

/* Returns whether it could be seen. */
static bool refresh(void)
{
	struct macsec *m;
	int err;

	for (m = LIST_FIRST(&macsecs); m; m = LIST_NEXT(m, list)) {
		m->ifindex = if_nametoindex(m->config.device);
		m->bound = false;
		m->stray.ifindex = 0;
		m->tx.encoding = -1;
		memset(m->tx.sa, 0, sizeof(m->tx.sa));
		memset(m->rx.sa, 0, sizeof(m->rx.sa));
	}
	err = qkd_macsec_dump(ctx, see_device, NULL);
	if (!err)
		err = qkd_macsec_sa_dump(ctx, see_sa, NULL);
	if (!err)
		err = qkd_secy_dump(ctx, see_secy, NULL);
	return !err || err == -ENOENT;
}

/**
 * macsec_sa_del - have an SA removed
 * @m: device
 * @dir: enum qkd_dir
 * @an: association number
 *
 * Return: 0 or a negative errno.
 */
int macsec_sa_del(const struct macsec *m, uint32_t dir, uint8_t an)
{
	const struct qkd_macsec_sa sa = {
		.has = QKD_HAS(QKD_A_MACSEC_SA_SCI),
		.ifindex = m->ifindex,
		.dir = dir,
		.an = an,
		.sci = m->sci_there,
	};

	return qkd_macsec_sa_del(ctx, &sa);
}

static void bind_device(struct macsec *m)
{
	const struct qkd_macsec want = {
		.has = QKD_HAS(QKD_A_MACSEC_MAX_TIME),
		.ifindex = m->ifindex,
		.max_time = m->config.max_time,
	};
	int err = qkd_macsec_bind(ctx, qkd_by_name(m->config.link), &want);

	if (err != -EEXIST && err != -EBUSY)
		macsec_complain(m, SAID_BOUND, err, "not bound to %s: %s %s",
				m->config.link, strerror(-err),
				qkd_error_text(ctx));
}

/*
 * The peer
 */

static struct peer *peer_of(const struct macsec *m)
{
	const struct link *link = link_find(m->config.link);

	return link ? peer_find(link->config.peer) : NULL;
}

/**
 * macsec_peer_is_ready - is there another end that takes SAKs?
 * @m: device
 */
bool macsec_peer_is_ready(const struct macsec *m)
{
	return m->bound && m->there.ready && m->there.suite == m->here.suite;
}

/**
 * macsec_send - send a message about an SA
 * @m: its device
 * @type: MSG_SAK, MSG_ANSWER, MSG_SWITCH or MSG_DRAINED
 * @an: its association number
 * @key_id: its key
 * @answer: for MSG_ANSWER
 */
void macsec_send(const struct macsec *m, enum msg_type type, uint8_t an,
		 const uint8_t key_id[QKD_KEY_ID_LEN], enum sak_answer answer)
{
	const struct link *link = link_find(m->config.link);
	bool ours = type == MSG_SAK || type == MSG_SWITCH;
	struct msg msg = {
		.type = type,
		.sci = ours ? m->here.sci : m->sci_there,
		.an = an,
		.answer = answer,
	};

	strcpy(msg.device, m->config.shared_name);
	memcpy(msg.key_id, key_id, sizeof(msg.key_id));
	if (link)
		link_send(link, &msg);
}

/* Tell the peer what has changed. */
static void show(struct macsec *m, bool ready)
{
	const struct link *link = link_find(m->config.link);
	const struct peer *peer = peer_of(m);
	struct msg msg = { .type = MSG_SECY, .ready = ready }, sent;

	if (!peer || !peer->conn)
		return;
	if (!ready && m->shown.type != MSG_SECY)
		return;
	msg.sci = m->here.sci;
	msg.suite = m->here.suite;
	strcpy(msg.device, m->config.shared_name);
	if (!memcmp(&msg, &m->shown, sizeof(msg)))
		return;
	m->shown = msg;
	sent = msg;
	link_send(link, &sent);
}

/*
 * The peer's channel goes with its SAs if the peer has got another address. If it
 * was not ready, it may not have heard of our device.
 */
static void take_secy(struct macsec *m, const struct msg *msg)
{
	if (msg->ready && !m->there.ready)
		memset(&m->shown, 0, sizeof(m->shown));
	if (m->sci_there && m->sci_there != msg->sci)
		qkd_secy_channel_del(ctx, m->ifindex, m->sci_there);
	m->there = *msg;
	m->sci_there = msg->sci;
	macsec_complain(m, SAID_SUITE,
			msg->ready && m->bound && msg->suite != m->here.suite,
			"cipher %s here, %s there",
			qkd_enum_name(QKD_ENUM_MACSEC_SUITE, m->here.suite),
			qkd_enum_name(QKD_ENUM_MACSEC_SUITE, msg->suite));
}

/**
 * macsec_message - a message about a macsec device has come
 * @link: link that it names
 * @peer: who has sent it
 * @msg: MSG_SECY and following
 */
void macsec_message(struct link *link, struct peer *peer, const struct msg *msg)
{
	struct macsec *m = find_shared(link, msg->device);

	if (!m) {
		if (msg->type == MSG_SECY && msg->ready)
			log_error(
				"%s: %s has a macsec device \"%s\", and we do not",
				link->config.name, peer->config.name,
				msg->device);
		return;
	}
	if ((msg->type == MSG_SAK || msg->type == MSG_SWITCH) &&
	    msg->sci != m->there.sci) {
		peer_refuse(peer, "names another SCI");
		return;
	}
	switch (msg->type) {
	case MSG_SECY:
		take_secy(m, msg);
		break;
	case MSG_SAK:
		sak_rx_ask(m, msg);
		break;
	case MSG_ANSWER:
		sak_tx_answer(m, msg);
		break;
	case MSG_SWITCH:
		sak_rx_switch(m, msg);
		break;
	default:
		sak_tx_drained(m, msg);
	}
	macsec_soon();
}

/**
 * macsecs_disconnected - a link's peer is gone; its SAs go on
 * @link: the link
 */
void macsecs_disconnected(const struct link *link)
{
	struct macsec *m;

	for (m = LIST_FIRST(&macsecs); m; m = LIST_NEXT(m, list)) {
		if (strcmp(m->config.link, link->config.name))
			continue;
		memset(&m->shown, 0, sizeof(m->shown));
		memset(&m->there, 0, sizeof(m->there));
		sak_tx_reset(m);
		sak_rx_reset(m);
	}
}

/*
 * Looks
 */

/* Returns ms until the next one. */
static int64_t look_at(struct macsec *m)
{
	int64_t rx, tx;

	if (m->stray.ifindex)
		qkd_macsec_sa_del(ctx, &m->stray);
	show(m, m->bound);
	if (m->ifindex && !m->bound)
		bind_device(m);
	if (!m->bound)
		return MACSEC_IDLE;
	rx = sak_rx_tick(m);
	tx = sak_tx_tick(m);
	return rx < tx ? rx : tx;
}

static void look_in(int64_t ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	evtimer_add(timer, &tv);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	int64_t next = MACSEC_IDLE, ms;
	struct macsec *m;

	(void)fd;
	(void)what;
	(void)arg;
	if (refresh())
		for (m = LIST_FIRST(&macsecs); m; m = LIST_NEXT(m, list)) {
			ms = look_at(m);
			next = ms < next ? ms : next;
		}
	look_in(next);
}

/**
 * macsec_soon - look at the devices when the present event is done
 */
void macsec_soon(void)
{
	if (timer && !LIST_EMPTY(&macsecs))
		look_in(0);
}

/*
 * The configuration
 */

static void macsec_add(const struct macsec_config *config)
{
	struct macsec *m = calloc(1, sizeof(*m));

	if (!m) {
		log_error("out of memory");
		exit(1);
	}
	m->config = *config;
	sak_tx_reset(m);
	sak_rx_reset(m);
	LIST_INSERT_HEAD(&macsecs, m, list);
}

/* The kernel's device stays bound: its SAs last for their time. */
static void macsec_remove(struct macsec *m)
{
	show(m, false);
	LIST_REMOVE(m, list);
	free(m);
}

static bool same_macsec(const struct macsec_config *a,
			const struct macsec_config *b)
{
	return !strcmp(a->link, b->link) &&
	       !strcmp(a->shared_name, b->shared_name);
}

/**
 * macsecs_configure - take over a configuration, the first or another one
 * @config: stays with the caller
 */
void macsecs_configure(const struct config *config)
{
	const struct macsec_config *c;
	struct macsec *m, *next;

	for (c = config->macsecs; c < config->macsecs + config->nmacsecs; c++) {
		m = find_device(c->device);
		if (m && same_macsec(&m->config, c)) {
			m->config = *c;
			m->keep = true;
		}
	}
	for (m = LIST_FIRST(&macsecs); m; m = next) {
		next = LIST_NEXT(m, list);
		if (!m->keep)
			macsec_remove(m);
		else
			m->keep = false;
	}
	for (c = config->macsecs; c < config->macsecs + config->nmacsecs; c++)
		if (!find_device(c->device))
			macsec_add(c);
	if (!timer)
		timer = evtimer_new(base, on_look, NULL);
	macsec_soon();
}

/**
 * macsecs_stop - undo macsecs_configure(); the kernel's devices stay as they are
 */
void macsecs_stop(void)
{
	struct macsec *m;

	while ((m = LIST_FIRST(&macsecs))) {
		LIST_REMOVE(m, list);
		free(m);
	}
	if (timer)
		event_free(timer);
	timer = NULL;
}
