/* SPDX-License-Identifier: GPL-2.0-only */
/* --top: a view of a running link on the terminal. No key in it. */
#ifndef QKD_LINK_TOP_H
#define QKD_LINK_TOP_H

#include "stats.h"

/* Draws @stats on standard output once a second, in a thread of its own. An error
 * was said on stderr, -ENOTTY: there is no terminal that can be drawn on. What
 * comes on stderr meanwhile is soon drawn over: it should go elsewhere.
 *
 * Signals that end a process (SIGINT, SIGTERM, SIGHUP, SIGQUIT) put the terminal
 * right first and then do what they did when this was called; exit() does, too.
 */
int top_begin(struct stats *stats);
/* Puts the terminal right. Does nothing if it did not begin. */
void top_end(void);

/**
 * struct top_look - what there is to draw on
 * @columns, @rows: of the terminal
 * @color: in colours
 * @utf8: small bars are known to it
 */
struct top_look {
	unsigned int columns;
	unsigned int rows;
	bool color;
	bool utf8;
};

/* One picture, no more than fits in; takes a copy of stats_copy(). */
void top_draw(FILE *file, const struct stats *copy,
	      const struct top_look *look);

#endif
