/* SPDX-License-Identifier: GPL-2.0-only */
/* --report: how a link went, as a page or as a picture. No key in it. */
#ifndef QKD_LINK_REPORT_H
#define QKD_LINK_REPORT_H

#include "stats.h"

/* Does @path end in .html or .svg? An error was said. */
int report_check_name(const char *path);
/* Before a run: can report_write() do it? @path ends in .html or .svg, its folder takes
 * a file, and there is gnuplot. An error was said on stderr. */
int report_check(const char *path);
/* After it. The file is there as a whole, or as it was before. An error was said. */
int report_write(struct stats *stats, const char *path);

/* ---- Between the parts of it ---- */

/* What gnuplot makes of a script: an SVG picture, from "<svg" on; free() it. An error
 * was said, and is NULL. */
char *report_gnuplot(const char *script);
/* QBER and key rate over time, key rate against distance. Of a copy of stats_copy(). */
char *report_plot(const struct stats *copy);
/* The page around that picture. */
void report_html(FILE *file, const struct stats *copy, const char *svg);

#endif
