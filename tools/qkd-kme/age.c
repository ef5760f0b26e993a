// SPDX-License-Identifier: GPL-2.0-only
/*
 * Since when key is there. The kernel does not note it; but keys are allocated in
 * the order in which they were supplied, so that what was supplied and what is left
 * of it say which byte is the next, and a look each second has seen when that came.
 * A key is never said to be younger than it is.
 */
#include <stdlib.h>
#include <string.h>

#include "kme.h"

#define SAMPLES \
	1024 /* of a link; when they are as many, every other one goes */

/**
 * struct sample - how much had come
 * @supplied: bytes
 * @until: when it was no more than that for the last time, as now_ms()
 */
struct sample {
	uint64_t supplied;
	int64_t until;
};

/**
 * struct history - what was supplied to a link, of key that we allocate
 * @list: of all of them
 * @link: its name
 * @generation: of the link: with another one it begins anew
 * @samples: the oldest first
 * @n: their number
 */
struct history {
	LIST_ENTRY(history) list;
	char link[QKD_NAME_LEN + 1];
	uint8_t generation[QKD_HASH_LEN];
	struct sample samples[SAMPLES];
	size_t n;
};

static LIST_HEAD(, history) histories = LIST_HEAD_INITIALIZER(histories);

static struct history *find(const char *link)
{
	struct history *history;

	LIST_FOREACH(history, &histories, list)
	if (!strcmp(history->link, link))
		break;
	return history;
}

/* The accounts of the stream that we allocate from, or NULL. */
static const struct qkd_stat *look(const char *name, struct qkd_link *link)
{
	uint32_t i;

	if (link_show(name, link))
		return NULL;
	for (i = 0; i < link->nstats; i++)
		if (link->stat[i].dir == QKD_DIR_OUT &&
		    (link->stat[i].stream == QKD_STREAM_A2B_KEY ||
		     link->stat[i].stream == QKD_STREAM_B2A_KEY))
			return &link->stat[i];
	return NULL;
}

static void thin_out(struct history *history)
{
	size_t i;

	for (i = 0; i < SAMPLES / 2; i++)
		history->samples[i] = history->samples[2 * i];
	history->n = SAMPLES / 2;
}

static void note(struct history *history, uint64_t supplied)
{
	if (!history->n ||
	    history->samples[history->n - 1].supplied != supplied) {
		if (history->n == SAMPLES)
			thin_out(history);
		history->samples[history->n++].supplied = supplied;
	}
	history->samples[history->n - 1].until = now_ms();
}

static void look_at(const char *name)
{
	struct history *history = find(name);
	struct qkd_link link;
	const struct qkd_stat *stat = look(name, &link);

	if (!history)
		history = calloc(1, sizeof(*history));
	if (!history)
		return;
	if (!*history->link) {
		strcpy(history->link, name);
		LIST_INSERT_HEAD(&histories, history, list);
	}
	if (!stat || memcmp(history->generation, link.generation,
			    sizeof(link.generation)))
		history->n = 0;
	if (!stat)
		return;
	memcpy(history->generation, link.generation, sizeof(link.generation));
	note(history, stat->supplied);
}

void ages_look(void)
{
	size_t i;

	for (i = 0; i < config->nlinks; i++)
		look_at(config->links[i].name);
}

int64_t age_next(const char *name)
{
	const struct history *history = find(name);
	struct qkd_link link;
	const struct qkd_stat *stat = look(name, &link);
	uint64_t before; /* the next key, heads of segments before it or not */
	size_t i;

	if (!history || !stat ||
	    memcmp(history->generation, link.generation,
		   sizeof(link.generation)))
		return -1;
	before = stat->live + (uint64_t)stat->segments * QKD_KEY_UNIT;
	before = stat->supplied > before ? stat->supplied - before : 0;
	for (i = history->n; i--;)
		if (history->samples[i].supplied <= before)
			return history->samples[i].until;
	return -1;
}

void ages_forget(void)
{
	struct history *history;

	while ((history = LIST_FIRST(&histories))) {
		LIST_REMOVE(history, list);
		free(history);
	}
}
