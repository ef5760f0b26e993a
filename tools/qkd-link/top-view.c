// SPDX-License-Identifier: GPL-2.0-only
/* The picture of --top, line by line. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "top.h"

#define LABEL 9 /* columns before what a line says */
#define BAR 20

enum color {
	PLAIN = 0,
	BOLD = 1,
	RED = 31,
	GREEN = 32,
	YELLOW = 33,
};

/**
 * struct view - a picture that is being drawn
 * @file: where to
 * @look: of the terminal
 * @rows: that are left, with the one begun
 * @columns: that are left in it
 */
struct view {
	FILE *file;
	const struct top_look *look;
	unsigned int rows;
	unsigned int columns;
};

static void color(struct view *view, enum color color)
{
	if (view->look->color)
		fprintf(view->file, "\033[%dm", color);
}

/* One column, if it is there; @cell may be several bytes. */
static void put_cell(struct view *view, const char *cell)
{
	if (!view->columns)
		return;
	view->columns--;
	fputs(cell, view->file);
}

__attribute__((format(printf, 3, 4))) static void
put(struct view *view, enum color shade, const char *format, ...)
{
	char text[512], cell[2] = "";
	const char *at;
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (shade != PLAIN)
		color(view, shade);
	for (at = text; *at; at++) {
		*cell = stats_char(*at);
		put_cell(view, cell);
	}
	if (shade != PLAIN)
		color(view, PLAIN);
}

/* A line begins; the last column stays free, where terminals differ. */
static void begin(struct view *view, const char *label)
{
	view->columns = 0;
	if (view->rows <= 1)
		return;
	view->rows--;
	view->columns = view->look->columns - 1;
	fputs("\033[K\r\n\033[K", view->file);
	put(view, BOLD, "%-*s", LABEL, label);
}

static void put_bar(struct view *view, double share, enum color shade)
{
	int i;

	put(view, PLAIN, "[");
	color(view, shade);
	for (i = 0; i < BAR; i++)
		put_cell(view, (i + 0.5) / BAR < share ? "#" : "-");
	color(view, PLAIN);
	put(view, PLAIN, "]");
}

/* "1.23 M" and the like. */
static void put_scaled(struct view *view, double value, double step,
		       const char *const prefix[6], const char *unit)
{
	int i = 0;

	while (value >= step && i < 5) {
		value /= step;
		i++;
	}
	put(view, PLAIN,
	    value < 100 && value != floor(value) ? "%.2f %s%s" : "%.0f %s%s",
	    value, prefix[i], unit);
}

static void put_bits(struct view *view, double value, const char *unit)
{
	static const char *const prefix[6] = { "", "k", "M", "G", "T", "P" };

	put_scaled(view, value, 1000, prefix, unit);
}

static void put_bytes(struct view *view, uint64_t value)
{
	static const char *const prefix[6] = {
		"", "Ki", "Mi", "Gi", "Ti", "Pi"
	};

	put_scaled(view, value, 1024, prefix, "B");
}

static void put_time(struct view *view, double seconds)
{
	uint64_t all = seconds;

	put(view, PLAIN, "%" PRIu64 ":%02u:%02u", all / 3600,
	    (unsigned int)(all / 60 % 60), (unsigned int)(all % 60));
}

/* ---- Lines ---- */

static void draw_head(struct view *view, const struct stats *copy)
{
	const struct model *model = &copy->model;

	put(view, BOLD, "qkd-link %s", copy->link_name);
	put(view, PLAIN, "  %s, %s, %s, %s", copy->alice ? "Alice" : "Bob",
	    protocol_name(model->protocol), model->name,
	    recon_name(copy->recon));
	begin(view, "time");
	put_time(view, copy->clock);
	put(view, PLAIN, " of the link in ");
	put_time(view, copy->wall);
	begin(view, "alarm");
	if (copy->alarm)
		put(view, RED, "%s", copy->alarm);
	else
		put(view, GREEN, "none");
}

static void draw_stage(struct view *view, const struct stats *copy)
{
	enum stage stage;

	begin(view, "stage");
	for (stage = 0; stage < STAGES; stage++) {
		if (stage == copy->stage)
			put(view, stage == STAGE_STOPPED ? RED : GREEN,
			    "[%s %.0f %%]", stage_name(stage),
			    100 * copy->progress);
		else
			put(view, PLAIN, "%s", stage_name(stage));
		put(view, PLAIN, " ");
	}
}

static void draw_rates(struct view *view, const struct stats *copy)
{
	bool over = copy->qber > copy->threshold;

	begin(view, "sifted");
	put_bits(view, copy->sifted_rate, "bit/s");
	put(view, PLAIN, ", in all ");
	put_bits(view, copy->sifted_bits, "bit");
	begin(view, "secret");
	put_bits(view, copy->skr, "bit/s");
	put(view, PLAIN, ", in all ");
	put_bits(view, copy->key_bits, "bit");
	begin(view, "fed");
	put_bits(view, copy->fed_rate, "bit/s");
	put(view, PLAIN, " by the wall, in all ");
	put_bits(view, copy->fed_bits, "bit");
	begin(view, "QBER");
	put_bar(view, copy->threshold > 0 ? copy->qber / copy->threshold : 1,
		over ? RED : GREEN);
	put(view, over ? RED : PLAIN, " %.2f %%", 100 * copy->qber);
	put(view, PLAIN, ", no key above %.2f %%", 100 * copy->threshold);
}

static void draw_channel(struct view *view, const struct stats *copy)
{
	begin(view, "channel");
	if (copy->state.transmittance > 0)
		put(view, PLAIN, "%.2f dB",
		    -10 * log10(copy->state.transmittance));
	else
		put(view, YELLOW, "no light");
	put(view, PLAIN, ", background %.1e a gate", copy->state.background);
	begin(view, "scenario");
	if (copy->eve.attack == ATTACK_NONE && copy->tamper == TAMPER_NONE)
		put(view, PLAIN, "none");
	if (copy->eve.attack != ATTACK_NONE)
		put(view, RED, "%s %.3g ", attack_name(copy->eve.attack),
		    copy->eve.fraction);
	if (copy->eve.attack == ATTACK_BLIND)
		put(view, RED, "(no figure here shows it) ");
	if (copy->tamper != TAMPER_NONE)
		put(view, RED, "messages: %s %.3g", tamper_name(copy->tamper),
		    copy->tamper_fraction);
}

static void draw_blocks(struct view *view, const struct stats *copy)
{
	size_t count = stats_blocks(copy);
	const struct block_stat *last =
		count ? stats_block_at(copy, count - 1) : NULL;

	begin(view, "blocks");
	put(view, PLAIN, "%" PRIu64 " kept, ", copy->blocks - copy->dropped);
	put(view, copy->dropped ? YELLOW : PLAIN, "%" PRIu64 " dropped",
	    copy->dropped);
	if (last && last->why)
		put(view, RED, ", the last one: %s", last->why);
	else if (last)
		put(view, PLAIN, ", the last one: %" PRIu64 " bit, f %.3f",
		    last->secret.bits, last->f);
	begin(view, "proof");
	if (last && !last->why)
		put(view, PLAIN, "%s, eps_sec %.3g, eps_cor %.3g",
		    last->secret.proof ?: "none", last->secret.eps_sec,
		    last->secret.eps_cor);
}

static void draw_stores(struct view *view, const struct stats *copy)
{
	const struct talk_account *auth = &copy->auth;
	bool low = auth->left[0] < auth->low || auth->left[1] < auth->low;
	uint32_t i;

	begin(view, "tags");
	put(view, low ? RED : PLAIN, "key for ");
	put_bytes(view, auth->left[0]);
	put(view, PLAIN, " out, ");
	put_bytes(view, auth->left[1]);
	put(view, PLAIN, " in, low mark ");
	put_bytes(view, auth->low);
	put(view, auth->bad ? RED : PLAIN, ", %" PRIu64 " bad messages",
	    auth->bad);
	for (i = 0; i < 4; i++) {
		double share = copy->capacity[i] ? (double)copy->level[i] /
							   copy->capacity[i] :
						   0;

		begin(view, qkd_enum_name(QKD_ENUM_STREAM, i));
		put_bar(view, share, share < 0.1 ? RED : GREEN);
		put(view, PLAIN, " ");
		put_bytes(view, copy->level[i]);
		put(view, PLAIN, " of ");
		put_bytes(view, copy->capacity[i]);
	}
}

/* ---- History ---- */

static double qber_of(const struct block_stat *block)
{
	return 100 * block->qber;
}

static double secret_of(const struct block_stat *block)
{
	return block->why ? 0 : block->secret.bits;
}

/* A small bar for each of the last blocks, red for those that were dropped. */
static void draw_history(struct view *view, const struct stats *copy,
			 const char *label,
			 double (*value)(const struct block_stat *),
			 const char *unit)
{
	static const char *const bars[] = { "▁", "▂", "▃", "▄",
					    "▅", "▆", "▇", "█" };
	static const char *const plain[] = { "_", ".", ":", "-",
					     "=", "+", "*", "#" };
	size_t count = stats_blocks(copy), cells, first, i;
	double most = 0;
	int bar;

	begin(view, label);
	cells = view->columns > 24 ? view->columns - 24 : 0;
	first = count > cells ? count - cells : 0;
	for (i = first; i < count; i++)
		most = fmax(most, value(stats_block_at(copy, i)));
	for (i = first; i < count; i++) {
		const struct block_stat *block = stats_block_at(copy, i);

		bar = value(block) > 0 ? 7 * value(block) / most + 0.5 : 0;
		color(view, block->why ? RED : GREEN);
		put_cell(view, view->look->utf8 ? bars[bar] : plain[bar]);
	}
	color(view, PLAIN);
	put(view, PLAIN, " up to %.4g %s", most, unit);
}

void top_draw(FILE *file, const struct stats *copy, const struct top_look *look)
{
	struct view view = {
		.file = file,
		.look = look,
		.rows = look->rows,
		.columns = look->columns ? look->columns - 1 : 0,
	};

	fputs("\033[H", file);
	draw_head(&view, copy);
	draw_stage(&view, copy);
	draw_rates(&view, copy);
	draw_channel(&view, copy);
	draw_blocks(&view, copy);
	draw_stores(&view, copy);
	draw_history(&view, copy, "QBERs", qber_of, "%");
	draw_history(&view, copy, "keys", secret_of, "bit");
	fputs("\033[K\033[J", file);
}
