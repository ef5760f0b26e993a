// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pictures of a report, as a script for gnuplot with its data in it. No text
 * in it comes from a user: gnuplot runs what is in backquotes.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

#define STEPS 60 /* of a curve */
#define GROWTH 1.25 /* from one distance that is tried to the next */
#define LOWEST_ORBIT 200e3 /* metres */

/**
 * struct curve - key rate of a protocol against distance
 * @protocol: which
 * @table: lines of rate_table(), without their names; NULL: no key anywhere
 * @known: there is a model of it on this channel
 * @finite: by a bound that knows of blocks, they have a key somewhere
 */
struct curve {
	enum protocol protocol;
	char *table;
	bool known;
	bool finite;
};

/* ---- Data ---- */

/* Time, QBER in percent, and secret bits per second since the block before. */
static void put_blocks(FILE *file, const struct stats *copy, bool dropped)
{
	size_t count = stats_blocks(copy), i;
	double since = count == copy->blocks ? 0 : NAN;

	fprintf(file, "$%s << EOD\n", dropped ? "dropped" : "kept");
	for (i = 0; i < count; i++) {
		const struct block_stat *block = stats_block_at(copy, i);
		double span = block->time - since;

		since = block->time;
		if (!block->why == dropped)
			continue;
		fprintf(file, "%.9g %.9g ", block->time,
			block->measured ? 100 * block->qber : NAN);
		/* of the block before the oldest one nothing is known */
		if (span > 0)
			fprintf(file, "%.9g\n",
				dropped ? 0 : block->secret.bits / span);
		else
			fprintf(file, "NaN\n");
	}
	fputs("EOD\n", file);
}

static bool has_key(const struct model *model, double length)
{
	struct expected expected;
	struct model at = *model;
	struct state state;

	at.channel.length = length;
	model_state(&at,
		    at.channel.medium == MEDIUM_SATELLITE ?
			    pass_duration(&at.channel) / 2 :
			    0,
		    &state);
	rate_expected(&at, &state, &expected);
	return expected.key > 0;
}

/* A little beyond the distance where there is no key, or the model is none. */
static double reach(const struct model *model)
{
	double length = model->channel.length, from = length;
	struct model at = *model;
	const char *why;
	int i;

	for (i = 0; i < 40; i++) {
		at.channel.length = length * GROWTH;
		if (model_check(&at, &why))
			return length;
		length *= GROWTH;
		if (length >= 2 * from && !has_key(model, length))
			break;
	}
	return length;
}

/* Does a column of a table have a rate in it? */
static bool has_rate(const char *table, int column)
{
	const char *line = table, *at;
	int i;

	for (; *line; line = strchr(line, '\n') + 1) {
		for (at = line, i = 0; i < column; i++)
			at = strchr(at, '\t') + 1;
		if (strtod(at, NULL) > 0)
			return true;
	}
	return false;
}

/* The first line of rates in a table, or NULL. */
static char *first_rates(char *table)
{
	while (table && *table == '#')
		table = strchr(table, '\n') + 1;
	table = table ? strchr(table, '\n') : NULL;
	return table ? table + 1 : NULL;
}

static void fill_curve(struct curve *curve, const struct model *model,
		       double to)
{
	bool satellite = model->channel.medium == MEDIUM_SATELLITE;
	char *table = NULL, *rates;
	size_t size = 0;
	FILE *file = open_memstream(&table, &size);
	const char *why;
	int err;

	if (!file)
		return;
	curve->known = true;
	err = rate_table(file, model, satellite ? LOWEST_ORBIT : to / STEPS, to,
			 STEPS - 1, &why);
	err |= fclose(file);
	rates = err ? NULL : first_rates(table);
	if (rates) {
		memmove(table, rates, strlen(rates) + 1);
		curve->finite = has_rate(table, 6);
		if (has_rate(table, 5)) {
			curve->table = table;
			table = NULL;
		}
	}
	free(table);
}

/* The source of a protocol's first preset with the link's own channel and detector.
 * false: none, or they do not go together. */
static bool other_model(const struct model *link, enum protocol protocol,
			struct model *model)
{
	const char *name, *why;
	unsigned int i;

	for (i = 0; (name = model_preset_name(i)); i++)
		if (!model_preset(model, name) && model->protocol == protocol)
			break;
	model->channel = link->channel;
	model->detector = link->detector;
	return name && !model_check(model, &why);
}

static void fill_curves(struct curve curve[PROTOCOLS], const struct model *link,
			double to)
{
	enum protocol protocol;
	struct model model;

	for (protocol = 0; protocol < PROTOCOLS; protocol++) {
		curve[protocol] = (struct curve){ .protocol = protocol };
		if (protocol == link->protocol)
			fill_curve(curve + protocol, link, to);
		else if (other_model(link, protocol, &model))
			fill_curve(curve + protocol, &model, to);
	}
}

/* ---- The script ---- */

static void put_times(FILE *file, const struct stats *copy)
{
	size_t count = stats_blocks(copy);
	double last = count ? stats_block_at(copy, count - 1)->time : 0;
	double first = count && count < copy->blocks ?
			       stats_block_at(copy, 0)->time :
			       0;

	put_blocks(file, copy, false);
	put_blocks(file, copy, true);
	fprintf(file, "set xrange [%.9g:%.9g]\n", first,
		last > first ? last : first + 1);
	fputs("set xlabel \"the link's time, s\"\n"
	      "set yrange [0:*]\n"
	      "set title 'QBER'\nset ylabel '%'\nplot ",
	      file);
	fprintf(file,
		"%.9g with lines lc 'red' title 'threshold', "
		"$kept using 1:2 with points pt 7 ps 0.4 lc 1 title 'kept', "
		"$dropped using 1:2 with points pt 2 ps 0.6 lc 'red' title 'dropped'\n",
		100 * copy->threshold);
	fputs("set title 'Secret key rate, by block'\nset ylabel 'bit/s'\nplot "
	      "0 with lines lc 'grey' notitle, "
	      "$kept using 1:3 with points pt 7 ps 0.4 lc 1 title 'kept', "
	      "$dropped using 1:3 with points pt 2 ps 0.6 lc 'red' title 'dropped'\n",
	      file);
}

/* One item of a plot; what has no key is in its key, too. */
static void put_curve(FILE *file, const struct curve *curve, bool ours)
{
	const char *name = protocol_name(curve->protocol);
	int i = curve->protocol;

	if (i)
		fputs(", ", file);
	if (!curve->table)
		fprintf(file, "NaN with lines lc %d title '%s: %s'", i + 1,
			name, curve->known ? "no key" : "not on this channel");
	else
		fprintf(file,
			"$rate%d using 1:6 with lines lw %d lc %d title '%s'",
			i, ours ? 3 : 1, i + 1, name);
	if (curve->table && ours && curve->finite)
		fprintf(file,
			", $rate%d using 1:7 with lines dt 2 lc %d title '%s, finite blocks'",
			i, i + 1, name);
}

static void put_curves(FILE *file, const struct curve curve[PROTOCOLS],
		       const struct model *link, double to)
{
	bool any = false;
	int i;

	for (i = 0; i < PROTOCOLS; i++) {
		if (curve[i].table)
			fprintf(file, "$rate%d << EOD\n%sEOD\n", i,
				curve[i].table);
		any |= !!curve[i].table;
	}
	fprintf(file,
		"set title 'Secret key rate against distance, on this channel and detector'\n"
		"set xlabel 'km'\nset xrange [0:%.9g]\nset yrange [*:*]\n",
		to / 1e3);
	if (!any) {
		fputs("plot 0 with lines lc 'grey' title 'no key at any distance'\n",
		      file);
		return;
	}
	fprintf(file,
		"set logscale y\nset format y '10^{%%T}'\n"
		"set arrow from first %.9g, graph 0 to first %.9g, graph 1 nohead dt 3\nplot ",
		link->channel.length / 1e3, link->channel.length / 1e3);
	for (i = 0; i < PROTOCOLS; i++)
		put_curve(file, curve + i, i == (int)link->protocol);
	fputc('\n', file);
}

char *report_plot(const struct stats *copy)
{
	struct curve curve[PROTOCOLS];
	double to = reach(&copy->model);
	char *script = NULL, *svg = NULL;
	size_t size = 0;
	FILE *file;
	int i;

	fill_curves(curve, &copy->model, to);
	file = open_memstream(&script, &size);
	if (file) {
		fputs("set terminal svg size 900,1100 dynamic enhanced "
		      "font 'sans-serif,13' background 'white'\n"
		      "set key outside right\nset grid\n"
		      "set multiplot layout 3,1\n",
		      file);
		put_times(file, copy);
		put_curves(file, curve, &copy->model, to);
		fputs("unset multiplot\n", file);
		if (!fclose(file))
			svg = report_gnuplot(script);
	}
	free(script);
	for (i = 0; i < PROTOCOLS; i++)
		free(curve[i].table);
	return svg;
}
