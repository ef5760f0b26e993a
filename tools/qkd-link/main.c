// SPDX-License-Identifier: GPL-2.0-only
/* qkd-link: an end of an emulated optical link that feeds a link of type user. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/log.h"
#include "../common/private.h"
#include "link.h"
#include "metrics.h"
#include "report.h"
#include "scenario.h"
#include "top.h"

#define CONFIG "/etc/qkd/qkd-link.conf"
#define STEPS 50 /* of --distance */

enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE };

enum option_code {
	OPTION_CHECK = 256,
	OPTION_RECONCILE,
	OPTION_SCENARIO,
	OPTION_TOP,
	OPTION_REPORT,
	OPTION_METRICS,
	OPTION_PACE,
	OPTION_BLOCKS,
	OPTION_PRESETS,
	OPTION_DISTANCE,
	OPTION_DRY_RUN,
};

static const char help[] =
	"Usage: qkd-link [ OPTIONS ] { alice | bob } { listen | connect } { ADDRESS:PORT | PATH }\n"
	"                key-file FILE [ dev LINK ] [ preset NAME ] [ set FIGURE=VALUE ]...\n"
	"       qkd-link [ OPTIONS ] [ -c FILE ]\n"
	"       qkd-link --check-config [ FILE ]\n"
	"       qkd-link --presets\n"
	"       qkd-link --distance FROM,TO [ -c FILE ] [ preset NAME ] [ set FIGURE=VALUE ]...\n"
	"OPTIONS: --reconcile { cascade | ldpc }  --pace { real | fast | FACTOR }\n"
	"         --scenario FILE  --blocks N  --dry-run\n"
	"         --top  --report FILE.{html|svg}  --metrics { ADDRESS:PORT | PATH }\n"
	"Without words the configuration is " CONFIG ".\n";

static struct settings settings;
static struct stats stats;

static void on_stop(int signal)
{
	(void)signal;
	link_stop = 1;
	link_wake();
}

static void on_renew(int signal)
{
	(void)signal;
	link_renew = 1;
}

static void handle(int signal, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler };

	sigaction(signal, &action, NULL);
}

static int distance(const char *range, const struct model *model)
{
	const char *why = NULL;
	double from, to;
	int end = 0, err;

	if (sscanf(range, "%lf,%lf%n", &from, &to, &end) != 2 || range[end] ||
	    !(from >= 0 && to >= from && isfinite(to))) {
		log_error(
			"--distance \"%s\" is not FROM,TO in kilometres, such as 0,100",
			range);
		return EXIT_USAGE;
	}
	err = rate_table(stdout, model, from * 1e3, to * 1e3,
			 from < to ? STEPS : 0, &why);
	if (err == -EINVAL) {
		log_error("the model does not hold together: %s", why);
		return EXIT_USAGE;
	}
	return err || fflush(stdout) ? EXIT_FAILED : EXIT_OK;
}

static int presets(char **words)
{
	if (*words) {
		log_error("--presets: \"%s\" is one word too many", *words);
		return EXIT_USAGE;
	}
	model_presets(stdout);
	return fflush(stdout) ? EXIT_FAILED : EXIT_OK;
}

static int watch(void)
{
	if (*settings.report && report_check(settings.report))
		return -1;
	if (*settings.metrics && metrics_begin(&stats, settings.metrics))
		return -1;
	return settings.top ? top_begin(&stats) : 0;
}

static int run(void)
{
	int err;

	withdraw();
	handle(SIGTERM, on_stop);
	handle(SIGINT, on_stop);
	handle(SIGHUP, on_renew);
	if (stats_init(&stats, &settings.model, settings.alice,
		       settings.dry_run ? "dry-run" : settings.dev,
		       settings.recon))
		return EXIT_FAILED;
	err = watch() ?: link_run(&settings, &stats);
	top_end();
	metrics_end();
	if (!err && *settings.report)
		err = report_write(&stats, settings.report);
	stats_end(&stats);
	return err ? EXIT_FAILED : EXIT_OK;
}

static int set_blocks(const char *text)
{
	char *end;

	errno = 0;
	settings.blocks = strtoull(text, &end, 10);
	if (*text >= '1' && *text <= '9' && !*end && !errno)
		return 0;
	log_error("--blocks \"%s\" is not a number, 1 or more", text);
	return -1;
}

static int set_path(const char *what, char *to, const char *from)
{
	if (strlen(from) < PATH_MAX)
		return !strcpy(to, from);
	log_error("%s: the path is too long", what);
	return -1;
}

/* What is said on the command line comes before what the configuration says. */
static int set_option(int option, const char *value)
{
	switch (option) {
	case OPTION_RECONCILE:
		return settings_recon(value, &settings.recon);
	case OPTION_SCENARIO:
		return set_path("--scenario", settings.scenario, value);
	case OPTION_TOP:
		settings.top = true;
		return 0;
	case OPTION_REPORT:
		return set_path("--report", settings.report, value);
	case OPTION_METRICS:
		return set_path("--metrics", settings.metrics, value);
	case OPTION_PACE:
		return settings_pace(value, &settings.pace);
	case OPTION_BLOCKS:
		return set_blocks(value);
	case OPTION_DRY_RUN:
		settings.dry_run = true;
		return 0;
	default:
		return -1;
	}
}

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "check-config", no_argument, NULL, OPTION_CHECK },
	{ "reconcile", required_argument, NULL, OPTION_RECONCILE },
	{ "scenario", required_argument, NULL, OPTION_SCENARIO },
	{ "top", no_argument, NULL, OPTION_TOP },
	{ "report", required_argument, NULL, OPTION_REPORT },
	{ "metrics", required_argument, NULL, OPTION_METRICS },
	{ "pace", required_argument, NULL, OPTION_PACE },
	{ "blocks", required_argument, NULL, OPTION_BLOCKS },
	{ "presets", no_argument, NULL, OPTION_PRESETS },
	{ "distance", required_argument, NULL, OPTION_DISTANCE },
	{ "dry-run", no_argument, NULL, OPTION_DRY_RUN },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{},
};

/**
 * struct wish - what the command line wants done
 */
struct wish {
	const char *path;
	const char *distance;
	bool check;
	bool presets;
};

/* 0; or 1 more than what to exit with. */
static int read_options(int argc, char **argv, bool apply, struct wish *wish)
{
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "c:Vh", options, NULL)) >= 0) {
		switch (option) {
		case 'c':
			wish->path = optarg;
			break;
		case OPTION_CHECK:
			wish->check = true;
			break;
		case OPTION_PRESETS:
			wish->presets = true;
			break;
		case OPTION_DISTANCE:
			wish->distance = optarg;
			break;
		case 'V':
			return 1 + (puts("qkd-link, " VERSION) < 0);
		case 'h':
			return 1 + (fputs(help, stdout) < 0);
		case '?':
			fputs(help, stderr);
			return 1 + EXIT_USAGE;
		default:
			if (apply && set_option(option, optarg))
				return 1 + EXIT_USAGE;
		}
	}
	return 0;
}

/* What the configuration and the words say: 0, or what to exit with. */
static int read_settings(struct wish *wish, char **words)
{
	if (wish->check && *words)
		wish->path = *words++;
	if (wish->distance) {
		if (wish->path && settings_read(&settings, wish->path))
			return EXIT_FAILED;
		return settings_model(&settings, words) ? EXIT_USAGE : 0;
	}
	if (*words && wish->path) {
		log_error("either a configuration or words");
		return EXIT_USAGE;
	}
	if (*words)
		return settings_words(&settings, words) ? EXIT_USAGE : 0;
	wish->path = wish->path ?: CONFIG;
	return settings_read(&settings, wish->path) ? EXIT_FAILED : 0;
}

/* What link_run() would find. */
static int check_scenario(void)
{
	struct scenario *scenario;
	char why[128];

	if (!*settings.scenario)
		return 0;
	if (scenario_load(&scenario, settings.scenario, why)) {
		log_error("%s", why);
		return -1;
	}
	scenario_free(scenario);
	return 0;
}

int main(int argc, char **argv)
{
	struct wish wish = { 0 };
	int done = read_options(argc, argv, false, &wish);

	if (done)
		return done - 1;
	if (wish.presets)
		return presets(argv + optind);
	settings_default(&settings);
	done = read_settings(&wish, argv + optind);
	if (done)
		return done;
	if (wish.distance)
		return distance(wish.distance, &settings.model);
	done = read_options(argc, argv, true, &wish);
	if (done)
		return done - 1;
	if (settings_check(&settings))
		return wish.path ? EXIT_FAILED : EXIT_USAGE;
	if (secret_check(settings.key_file))
		return EXIT_FAILED;
	if (!wish.check)
		return run();
	if (check_scenario())
		return EXIT_FAILED;
	printf("%s is good\n", wish.path);
	return EXIT_OK;
}
