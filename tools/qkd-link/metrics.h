/* SPDX-License-Identifier: GPL-2.0-only */
/* --metrics: the state of a link for Prometheus, over HTTP. No key in it. */
#ifndef QKD_LINK_METRICS_H
#define QKD_LINK_METRICS_H

#include "stats.h"

/* Serves @stats at GET /metrics in a thread of its own; @where is ADDRESS:PORT,
 * [ADDRESS]:PORT or the path of a socket, with a slash in it. An error was said on
 * stderr. There is one of it in a process.
 */
int metrics_begin(struct stats *stats, const char *where);
/* Removes the socket, too. Does nothing if it did not begin. */
void metrics_end(void);
/* All of it in Prometheus' text format 0.0.4; takes a copy of stats_copy(). */
void metrics_print(FILE *file, const struct stats *copy);

#endif
