// SPDX-License-Identifier: GPL-2.0-only
/* What Prometheus is told: names, units and text of its format 0.0.4. */
#include <stdarg.h>

#include "metrics.h"

/**
 * struct page - what is being written
 * @file: where to
 * @copy: what of
 * @name: of the metric whose samples come now, without its prefix
 */
struct page {
	FILE *file;
	const struct stats *copy;
	const char *name;
};

/* A metric begins. */
static void metric(struct page *page, const char *name, const char *type,
		   const char *help)
{
	page->name = name;
	fprintf(page->file, "# HELP qkd_link_%s %s\n# TYPE qkd_link_%s %s\n",
		name, help, name, type);
}

static void put_label(FILE *file, const char *label, const char *value)
{
	fprintf(file, "%s=\"", label);
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			putc('\\', file);
		if (*value == '\n')
			fputs("\\n", file);
		else
			putc(stats_char(*value), file);
	}
	putc('"', file);
}

/* A value of the metric, under pairs of a label and its value that end with NULL. */
static void sample(struct page *page, double value, ...)
{
	const char *label;
	va_list ap;

	fprintf(page->file, "qkd_link_%s{", page->name);
	put_label(page->file, "link", page->copy->link_name);
	va_start(ap, value);
	while ((label = va_arg(ap, const char *))) {
		putc(',', page->file);
		put_label(page->file, label, va_arg(ap, const char *));
	}
	va_end(ap);
	fprintf(page->file, "} %.15g\n", value);
}

static void gauge(struct page *page, const char *name, double value,
		  const char *help)
{
	metric(page, name, "gauge", help);
	sample(page, value, NULL);
}

static void counter(struct page *page, const char *name, double value,
		    const char *help)
{
	metric(page, name, "counter", help);
	sample(page, value, NULL);
}

static void print_link(struct page *page)
{
	const struct stats *copy = page->copy;
	enum stage stage;

	metric(page, "info", "gauge", "What the link is; always 1.");
	sample(page, 1, "role", copy->alice ? "alice" : "bob", "protocol",
	       protocol_name(copy->model.protocol), "model", copy->model.name,
	       "reconcile", recon_name(copy->recon), NULL);
	metric(page, "stage", "gauge", "1 for what the pipeline does now.");
	for (stage = 0; stage < STAGES; stage++)
		sample(page, stage == copy->stage, "stage", stage_name(stage),
		       NULL);
	gauge(page, "stage_progress_ratio", copy->progress,
	      "How far the stage is.");
	gauge(page, "alarm", !!copy->alarm,
	      "1 while an alarm lasts: no key comes.");
	counter(page, "clock_seconds_total", copy->clock,
		"The link's own time, pulses by their rate.");
	counter(page, "wall_seconds_total", copy->wall,
		"The time that this took.");
}

static void print_light(struct page *page)
{
	const struct stats *copy = page->copy;

	gauge(page, "transmittance_ratio", copy->state.transmittance,
	      "Of the channel now, without the detectors.");
	gauge(page, "background_ratio", copy->state.background,
	      "Probability of a stray count per gate and detector.");
	metric(page, "attack_ratio", "gauge",
	       "Share of the light that the scenario's attack or fault takes.");
	sample(page, copy->eve.fraction, "attack",
	       attack_name(copy->eve.attack), NULL);
	metric(page, "tamper_ratio", "gauge",
	       "Share of the messages that the scenario tampers with.");
	sample(page, copy->tamper_fraction, "tamper", tamper_name(copy->tamper),
	       NULL);
	gauge(page, "qber_ratio", copy->qber,
	      "Error rate of the last block's sifted key.");
	gauge(page, "qber_threshold_ratio", copy->threshold,
	      "Error rate above which there is no key.");
}

static void print_bits(struct page *page)
{
	const struct stats *copy = page->copy;

	counter(page, "pulses_total", copy->pulses, "Pulses sent.");
	counter(page, "sifted_bits_total", copy->sifted_bits,
		"Sifted key, of all blocks.");
	counter(page, "leaked_bits_total", copy->leaked_bits,
		"Told about keys in reconciliation and verification.");
	counter(page, "failed_frames_total", copy->failed_frames,
		"Frames that LDPC could not correct: all their bits were told.");
	counter(page, "secret_bits_total", copy->key_bits,
		"Secret key, of the blocks that were kept.");
	counter(page, "fed_bits_total", copy->fed_bits,
		"Secret key that went into the link's streams.");
	gauge(page, "sifted_key_rate_bits_per_second", copy->sifted_rate,
	      "Sifted key by the link's clock, over the last blocks.");
	gauge(page, "secret_key_rate_bits_per_second", copy->skr,
	      "Secret key by the link's clock, over the last blocks.");
	gauge(page, "fed_key_rate_bits_per_second", copy->fed_rate,
	      "Key that went into streams by the wall's clock, likewise.");
}

static void print_blocks(struct page *page)
{
	const struct stats *copy = page->copy;
	const struct reason_stat *reason;
	const struct block_stat *last;
	size_t blocks = stats_blocks(copy), i;

	metric(page, "blocks_total", "counter",
	       "Blocks that ended, and why those that were dropped were.");
	sample(page, copy->blocks - copy->dropped, "result", "ok", "reason", "",
	       NULL);
	for (i = 0; i < STATS_REASONS; i++) {
		reason = copy->reason + i;
		if (reason->why)
			sample(page, reason->blocks, "result", "dropped",
			       "reason", reason->why, NULL);
	}
	if (!blocks)
		return;
	last = stats_block_at(copy, blocks - 1);
	gauge(page, "block_reconciliation_efficiency_ratio", last->f,
	      "Leaked bits of the last block by Shannon's bound; 0: no error.");
	if (last->secret.proof) {
		metric(page, "block_proof", "gauge",
		       "What the last block's bound rests on; always 1.");
		sample(page, 1, "proof", last->secret.proof, NULL);
	}
	gauge(page, "block_secrecy_epsilon", last->secret.eps_sec,
	      "How far the last block may be from a secret; 0: asymptotic.");
	gauge(page, "block_correctness_epsilon", last->secret.eps_cor,
	      "How likely its ends differ; 0: asymptotic.");
	if (copy->model.protocol == PROTOCOL_E91)
		gauge(page, "block_chsh", last->chsh, "S of the last block.");
	if (copy->model.protocol == PROTOCOL_COW ||
	    copy->model.protocol == PROTOCOL_COW_VARIANT)
		gauge(page, "block_visibility_ratio", last->visibility,
		      "Of the last block's interference.");
}

static void print_stores(struct page *page)
{
	const struct stats *copy = page->copy;
	uint32_t stream;

	metric(page, "auth_key_bytes", "gauge",
	       "Key that is left for tags of messages.");
	sample(page, copy->auth.left[0], "direction", "send", NULL);
	sample(page, copy->auth.left[1], "direction", "receive", NULL);
	gauge(page, "auth_key_low_bytes", copy->auth.low,
	      "Low mark: below it no block begins.");
	counter(page, "auth_key_used_bytes_total", copy->auth.used,
		"Key that tags have used, in both directions.");
	counter(page, "bad_messages_total", copy->auth.bad,
		"Messages that were altered, replayed, out of order or cut.");
	metric(page, "pool_bytes", "gauge", "Key that is left in a stream.");
	for (stream = 0; stream < 4; stream++)
		sample(page, copy->level[stream], "stream",
		       qkd_enum_name(QKD_ENUM_STREAM, stream), NULL);
	metric(page, "pool_capacity_bytes", "gauge", "What a stream can hold.");
	for (stream = 0; stream < 4; stream++)
		sample(page, copy->capacity[stream], "stream",
		       qkd_enum_name(QKD_ENUM_STREAM, stream), NULL);
}

void metrics_print(FILE *file, const struct stats *copy)
{
	struct page page = { .file = file, .copy = copy };

	print_link(&page);
	print_light(&page);
	print_bits(&page);
	print_blocks(&page);
	print_stores(&page);
}
