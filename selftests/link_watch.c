// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shows made-up states of a link, for link_watch.py: link_watch STATE.json COMMAND ARG.
 *
 * Commands: metrics WHERE (until its input ends), draw COLUMNS ROWS [color] [utf8],
 * top HOW, report FILE, race BLOCKS.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include <qkd-link/metrics.h>
#include <qkd-link/report.h>
#include <qkd-link/top.h>

static struct stats stats;
static json_t *given;

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "link_watch: %s\n", what);
	exit(99);
}

/* ---- The state ---- */

static double number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void load_model(struct model *model)
{
	const char *key, *why;
	json_t *value;

	if (model_preset(model, text(given, "preset")))
		fail("no such preset");
	json_object_foreach(json_object_get(given, "model"), key,
			    value) if (model_set(model, key,
						 json_string_value(value),
						 &why)) fail(why);
	if (model_check(model, &why))
		fail(why);
	if (text(given, "model_name"))
		snprintf(model->name, sizeof(model->name), "%s",
			 text(given, "model_name"));
}

static void load_block(size_t i, const json_t *from)
{
	struct block_stat block = {
		.number = i,
		.time = number(from, "time"),
		.wall = number(from, "wall"),
		.pulses = number(from, "pulses"),
		.sifted = number(from, "sifted"),
		.leaked = number(from, "leaked"),
		.failed = number(from, "failed"),
		.measured = true,
		.qber = number(from, "qber"),
		.chsh = number(from, "chsh"),
		.visibility = number(from, "visibility"),
		.f = number(from, "f"),
		.key = number(from, "key"),
		.why = text(from, "why"),
		.secret = {
			.bits = number(from, "bits"),
			.proof = text(from, "proof"),
			.eps_sec = number(from, "eps_sec"),
			.eps_cor = number(from, "eps_cor"),
		},
	};

	stats_block(&stats, &block);
}

static void load(const char *path)
{
	struct model model;
	json_error_t error;
	json_t *block;
	size_t i;

	given = json_load_file(path, 0, &error);
	if (!given)
		fail(error.text);
	load_model(&model);
	if (stats_init(&stats, &model,
		       json_is_true(json_object_get(given, "alice")),
		       text(given, "link_name"), RECON_LDPC))
		fail("stats_init");
	stats_stage(&stats, number(given, "stage"), number(given, "progress"));
	json_array_foreach(json_object_get(given, "blocks"), i, block)
		load_block(i, block);
	stats.clock = number(given, "clock");
	stats.wall = number(given, "wall");
	stats.state.transmittance = number(given, "transmittance");
	stats.state.background = number(given, "background");
	stats.eve.attack = number(given, "attack");
	stats.eve.fraction = number(given, "fraction");
	stats.tamper = number(given, "tamper");
	stats.tamper_fraction = number(given, "tamper_fraction");
	stats.alarm = text(given, "alarm");
	stats.auth.left[0] = number(given, "auth_send");
	stats.auth.left[1] = number(given, "auth_receive");
	stats.auth.used = number(given, "auth_used");
	stats.auth.low = number(given, "auth_low");
	stats.auth.bad = number(given, "auth_bad");
	for (i = 0; i < 4; i++) {
		stats.level[i] = json_number_value(
			json_array_get(json_object_get(given, "level"), i));
		stats.capacity[i] = json_number_value(
			json_array_get(json_object_get(given, "capacity"), i));
	}
}

/* ---- Commands ---- */

static int serve(const char *where)
{
	char c;

	if (metrics_begin(&stats, where))
		return 1;
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	metrics_end();
	return 0;
}

static int draw(int argc, char **argv)
{
	struct top_look look = { .columns = atoi(argv[0]),
				 .rows = atoi(argv[1]) };
	struct stats *copy = malloc(sizeof(*copy));

	for (; argc > 2; argc--) {
		look.color |= !strcmp(argv[argc - 1], "color");
		look.utf8 |= !strcmp(argv[argc - 1], "utf8");
	}
	stats_copy(&stats, copy);
	top_draw(stdout, copy, &look);
	free(copy);
	return 0;
}

static volatile sig_atomic_t told;

static void tell(int signal)
{
	told = signal;
}

/* end: after two pictures or so; exit: leaves it to exit(); wait: for a signal; own:
 * for one that this program handles itself. */
static int show(const char *how)
{
	struct sigaction action = { .sa_handler = tell };

	if (!strcmp(how, "own"))
		sigaction(SIGTERM, &action, NULL);
	if (top_begin(&stats))
		return 1;
	if (!strcmp(how, "exit")) {
		sleep(2);
		exit(3);
	}
	while (strcmp(how, "end") && !told)
		pause();
	if (!told)
		sleep(2);
	top_end();
	return told ? 7 : 0;
}

static int report(const char *path)
{
	return report_check(path) || report_write(&stats, path);
}

/* ---- Blocks come while others look ---- */

static atomic_bool over;

/* Block i has i sifted bits; each third one is dropped. */
static void check_copy(const struct stats *copy)
{
	uint64_t n = copy->blocks, kept = 0, i;

	if (copy->sifted_bits != n * (n - 1) / 2 ||
	    copy->dropped != (n + 2) / 3)
		fail("a copy that is half a block ahead");
	for (i = 0; i < stats_blocks(copy); i++) {
		const struct block_stat *block = stats_block_at(copy, i);

		if (block->number != n - stats_blocks(copy) + i)
			fail("a block that is not in its place");
		kept += !block->why;
	}
	if (n <= STATS_HISTORY && copy->key_bits != 10 * kept)
		fail("bits that are not those of the blocks");
}

static void *look_on(void *arg)
{
	struct stats *copy = malloc(sizeof(*copy));
	struct top_look look = { .columns = 80, .rows = 24 };
	FILE *file = fopen("/dev/null", "w");

	while (!over) {
		stats_copy(&stats, copy);
		if (copy->blocks)
			check_copy(copy);
		metrics_print(file, copy);
		top_draw(file, copy, &look);
	}
	fclose(file);
	free(copy);
	return arg;
}

static int race(uint64_t blocks)
{
	pthread_t lookers[3];
	uint64_t i;

	for (i = 0; i < 3; i++)
		pthread_create(&lookers[i], NULL, look_on, NULL);
	for (i = 0; i < blocks; i++) {
		struct block_stat block = {
			.number = i,
			.time = i + 1,
			.sifted = i,
			.secret = { .bits = 10 },
			.why = i % 3 ? NULL : "test",
		};

		stats_stage(&stats, i % STAGES, 0.5);
		stats_block(&stats, &block);
	}
	over = true;
	for (i = 0; i < 3; i++)
		pthread_join(lookers[i], NULL);
	return stats.blocks != blocks;
}

int main(int argc, char **argv)
{
	if (argc < 4)
		fail("STATE.json COMMAND ARG");
	load(argv[1]);
	if (!strcmp(argv[2], "metrics"))
		return serve(argv[3]);
	if (!strcmp(argv[2], "draw") && argc > 4)
		return draw(argc - 3, argv + 3);
	if (!strcmp(argv[2], "top"))
		return show(argv[3]);
	if (!strcmp(argv[2], "report"))
		return report(argv[3]);
	if (!strcmp(argv[2], "race"))
		return race(strtoull(argv[3], NULL, 0));
	fail("no such command");
}
