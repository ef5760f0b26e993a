// SPDX-License-Identifier: GPL-2.0-only
/* Key rate against distance. */
#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "amplify.h"
#include "proof.h"
#include "rate.h"

/* What reconciliation tells, over Shannon's limit; as Lim et al. assume. */
#define TABLE_F 1.16

/* Secret bits per pulse, of blocks of their size; NAN: no bound knows of any. */
static double block_rate(const struct model *model,
			 const struct expected *expected)
{
	double block = model->finite.block, bits;
	struct bound bound;
	struct seen seen;

	if (!proof_finite(model))
		return NAN;
	if (!(expected->sifted > 0) || expected->error > model->finite.max_qber)
		return 0;
	rate_seen(model, expected, block / expected->sifted, &seen);
	proof_bound(model, &seen, true, &bound);
	bits = bound.bits - bound.cost -
	       TABLE_F * block * binary_entropy(expected->error) -
	       8 * VERIFY_TAG;
	return !bound.reason && bits > 0 ? bits / block * expected->sifted : 0;
}

static void table_proof(FILE *file, const struct model *model, bool finite)
{
	const struct seen nothing = { .pulses = 1 };
	struct bound bound;

	proof_bound(model, &nothing, finite, &bound);
	fprintf(file, "# proof: %s: %s\n", finite ? "key_block" : "key",
		bound.proof);
}

static void table_names(FILE *file, const struct model *model)
{
	table_proof(file, model, false);
	if (proof_finite(model))
		table_proof(file, model, true);
	else
		fputs("# proof: key_block: none\n", file);
	fputs("km\tdB\tsifted\tqber\tS_or_visibility\tkey\tkey_block\n", file);
}

static void table_line(FILE *file, const struct model *model)
{
	struct expected e;
	struct state state;
	double rate = model->source.rate, time = 0, loss, block;

	if (model->channel.medium == MEDIUM_SATELLITE)
		time = pass_duration(&model->channel) / 2;
	model_state(model, time, &state);
	rate_expected(model, &state, &e);
	loss = state.transmittance * model->detector.efficiency;
	fprintf(file, "%.6g\t%.4f\t%.6g\t%.6f\t%.5f\t%.6g\t",
		model->channel.length / 1e3,
		loss > 0 ? -10 * log10(loss) : INFINITY, e.sifted * rate,
		e.error, protocol_cow(model->protocol) ? e.visibility : e.chsh,
		e.key * rate);
	block = block_rate(model, &e);
	if (isnan(block))
		fputs("-\n", file);
	else
		fprintf(file, "%.6g\n", block * rate);
}

int rate_table(FILE *file, const struct model *model, double from, double to,
	       unsigned int steps, const char **why)
{
	struct model at = *model;
	unsigned int i, lines = 0;

	for (i = 0; i <= steps; i++) {
		at.channel.length = steps ? from + (to - from) * i / steps :
					    from;
		if (model_check(&at, why))
			continue;
		if (!lines++)
			table_names(file, &at);
		table_line(file, &at);
	}
	if (!lines)
		return -EINVAL;
	return ferror(file) ? -EIO : 0;
}
