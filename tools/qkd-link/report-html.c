// SPDX-License-Identifier: GPL-2.0-only
/* The page of a report: tables around a picture. It is XML, too. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

static void put_text(FILE *file, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<':
			fputs("&lt;", file);
			break;
		case '>':
			fputs("&gt;", file);
			break;
		case '&':
			fputs("&amp;", file);
			break;
		case '"':
			fputs("&quot;", file);
			break;
		default:
			putc(stats_char(*text), file);
		}
	}
}

__attribute__((format(printf, 3, 4))) static void
cell(FILE *file, const char *tag, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	fprintf(file, "<%s>", tag);
	put_text(file, text);
	fprintf(file, "</%s>", tag);
}

/* A heading, a table, and the names of its columns, which end with NULL. */
static void begin_table(FILE *file, const char *id, const char *heading, ...)
{
	const char *name;
	va_list ap;

	cell(file, "h2", "%s", heading);
	fprintf(file, "\n<table id=\"%s\">\n<tr>", id);
	va_start(ap, heading);
	while ((name = va_arg(ap, const char *)))
		cell(file, "th", "%s", name);
	va_end(ap);
	fputs("</tr>\n", file);
}

static void end_table(FILE *file)
{
	fputs("</table>\n", file);
}

/* ---- Tables ---- */

static void put_total(FILE *file, const char *name, double value,
		      const char *unit)
{
	fputs("<tr>", file);
	cell(file, "th", "%s", name);
	cell(file, "td", "%.15g%s%s", value, *unit ? " " : "", unit);
	fputs("</tr>\n", file);
}

static void put_totals(FILE *file, const struct stats *copy)
{
	begin_table(file, "totals", "In all", NULL);
	put_total(file, "The link's time", copy->clock, "s");
	put_total(file, "Time that took", copy->wall, "s");
	put_total(file, "Blocks kept", copy->blocks - copy->dropped, "");
	put_total(file, "Blocks dropped", copy->dropped, "");
	put_total(file, "Pulses", copy->pulses, "");
	put_total(file, "Sifted key", copy->sifted_bits, "bit");
	put_total(file, "Told about it", copy->leaked_bits, "bit");
	put_total(file, "Secret key", copy->key_bits, "bit");
	put_total(file, "Secret key rate, mean",
		  copy->clock > 0 ? copy->key_bits / copy->clock : 0, "bit/s");
	put_total(file, "Key that was fed", copy->fed_bits, "bit");
	put_total(file, "Key that was fed by time that took",
		  copy->wall > 0 ? copy->fed_bits / copy->wall : 0, "bit/s");
	put_total(file, "QBER, last", 100 * copy->qber, "%");
	put_total(file, "QBER, no key above", 100 * copy->threshold, "%");
	put_total(file, "Key of tags, used", copy->auth.used, "byte");
	put_total(file, "Bad messages", copy->auth.bad, "");
	end_table(file);
}

static void put_reasons(FILE *file, const struct stats *copy)
{
	size_t i;

	if (!copy->dropped)
		return;
	begin_table(file, "reasons", "Why blocks were dropped", "reason",
		    "blocks", NULL);
	for (i = 0; i < STATS_REASONS; i++) {
		if (!copy->reason[i].why)
			continue;
		fputs("<tr>", file);
		cell(file, "td", "%s", copy->reason[i].why);
		cell(file, "td", "%" PRIu64, copy->reason[i].blocks);
		fputs("</tr>\n", file);
	}
	end_table(file);
}

/* What was changed is marked: the preset's sources do not speak for it. */
static void put_model(FILE *file, const struct model *model)
{
	struct model preset;
	bool known = !model_preset(&preset, model->name);
	const char *name, *unit;
	double value, its = 0;
	size_t i;

	begin_table(file, "model", "Model", "figure", "value", "from", NULL);
	fputs("<tr><td>protocol</td>", file);
	cell(file, "td", "%s", protocol_name(model->protocol));
	cell(file, "td", "%s",
	     known && preset.protocol == model->protocol ? "preset" : "user");
	fputs("</tr>\n<tr><td>medium</td>", file);
	cell(file, "td", "%s", medium_name(model->channel.medium));
	cell(file, "td", "%s",
	     known && preset.channel.medium == model->channel.medium ?
		     "preset" :
		     "user");
	fputs("</tr>\n", file);
	for (i = 0; !model_figure(model, i, &name, &value, &unit); i++) {
		if (known)
			model_figure(&preset, i, &name, &its, &unit);
		fputs("<tr>", file);
		cell(file, "td", "%s", name);
		cell(file, "td", "%.15g%s%s", value, *unit ? " " : "", unit);
		cell(file, "td", "%s",
		     known && its == value ? "preset" : "user");
		fputs("</tr>\n", file);
	}
	end_table(file);
}

static void put_sources(FILE *file, const struct model *model)
{
	char *text = NULL, *line, *rest;
	size_t size = 0;
	FILE *all = open_memstream(&text, &size);

	if (!all)
		return;
	model_sources(all, model->name);
	if (fclose(all)) {
		free(text);
		return;
	}
	cell(file, "h2", "Sources of the preset");
	fputs("\n<pre id=\"sources\">", file);
	for (rest = text; (line = strsep(&rest, "\n")) && rest;) {
		put_text(file, line);
		putc('\n', file);
	}
	fputs("</pre>\n", file);
	free(text);
}

static void put_block(FILE *file, const struct block_stat *block)
{
	const struct secret *secret = &block->secret;

	fprintf(file, "<tr%s>", block->why ? " class=\"dropped\"" : "");
	cell(file, "td", "%" PRIu64, block->number);
	cell(file, "td", "%.9g", block->time);
	cell(file, "td", "%" PRIu64, block->pulses);
	cell(file, "td", "%" PRIu64, block->sifted);
	if (block->measured)
		cell(file, "td", "%.6g", 100 * block->qber);
	else
		cell(file, "td", "none");
	cell(file, "td", "%.6g", block->chsh);
	cell(file, "td", "%.6g", block->visibility);
	cell(file, "td", "%" PRIu64, block->leaked);
	cell(file, "td", "%.5g", block->f);
	cell(file, "td", "%" PRIu64, block->why ? 0 : secret->bits);
	cell(file, "td", "%" PRIu64, block->key);
	cell(file, "td", "%.6g", secret->eps_sec);
	cell(file, "td", "%.6g", secret->eps_cor);
	cell(file, "td", "%s", secret->proof ?: "");
	cell(file, "td", "%s", block->why ?: "");
	fputs("</tr>\n", file);
}

static void put_blocks(FILE *file, const struct stats *copy)
{
	size_t count = stats_blocks(copy), i;

	begin_table(file, "blocks", "Blocks", "block", "time, s", "pulses",
		    "sifted, bit", "QBER, %", "S", "visibility", "told, bit",
		    "f", "secret, bit", "into streams, byte", "eps_sec",
		    "eps_cor", "proof", "dropped for", NULL);
	for (i = 0; i < count; i++)
		put_block(file, stats_block_at(copy, i));
	end_table(file);
	fprintf(file,
		"<p>The last %zu of %" PRIu64
		" blocks. f is what was told by Shannon's bound; eps_sec and "
		"eps_cor of 0: an asymptotic rate, of which no finite block is "
		"sure. Light that blinds Bob's detectors shows in none of these "
		"numbers.</p>\n",
		count, copy->blocks);
}

void report_html(FILE *file, const struct stats *copy, const char *svg)
{
	fputs("<!DOCTYPE html>\n"
	      "<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n"
	      "<head>\n<meta charset=\"utf-8\"/>\n<title>qkd-link ",
	      file);
	put_text(file, copy->link_name);
	fputs("</title>\n<style>\n"
	      "body { font-family: sans-serif; margin: 2em; }\n"
	      "table { border-collapse: collapse; }\n"
	      "th, td { border: 1px solid #bbb; padding: 2px 8px; text-align: left; }\n"
	      ".dropped, .alarm { background: #fdd; }\n"
	      "svg { max-width: 60em; height: auto; }\n"
	      "</style>\n</head>\n<body>\n<h1>",
	      file);
	put_text(file, copy->link_name);
	fprintf(file, ": %s, ", copy->alice ? "Alice" : "Bob");
	put_text(file, copy->model.name);
	fprintf(file,
		"</h1>\n<p>An emulated link: protocol %s, reconciliation by %s.</p>\n",
		protocol_name(copy->model.protocol), recon_name(copy->recon));
	if (copy->alarm) {
		fputs("<p class=\"alarm\" id=\"alarm\">", file);
		put_text(file, copy->alarm);
		fputs("</p>\n", file);
	}
	put_totals(file, copy);
	cell(file, "h2", "Over time, and against distance");
	fprintf(file,
		"\n%s\n<p>Against distance: asymptotic rates by formula at the "
		"link's first moment (a satellite's culmination), without Eve; "
		"of other protocols with the source of their first preset; "
		"the dotted line is where this link is.</p>\n",
		svg);
	put_reasons(file, copy);
	put_model(file, &copy->model);
	put_sources(file, &copy->model);
	put_blocks(file, copy);
	fputs("</body>\n</html>\n", file);
}
