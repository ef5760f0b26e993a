// SPDX-License-Identifier: GPL-2.0-only
/* Scenarios: who disturbs a link, and when. Documentation/link-scenario.md has the format. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenario.h"

#define WHY 128
#define PATH 32 /* of it, at most, in an error */
#define NOISE_MAX 0.01 /* there all is noise, and more would only be slow */
#define BLANK " \t\r\n"

/**
 * struct step - from @time on
 * @set_eve, @set_tamper: what it changes; the other goes on
 */
struct step {
	double time;
	bool set_eve;
	bool set_tamper;
	struct eve eve;
	enum tamper tamper;
	double tamper_fraction;
};

struct scenario {
	struct step *step;
	size_t count;
};

/**
 * struct word - what a line can say
 * @light: it acts on light, else on messages; "off" on both
 */
static const struct word {
	const char *name;
	bool light;
	enum attack attack;
	enum tamper tamper;
} words[] = {
	{ .name = "off" },
	{ "intercept", true, ATTACK_INTERCEPT, TAMPER_NONE },
	{ "split", true, ATTACK_SPLIT, TAMPER_NONE },
	{ "blind", true, ATTACK_BLIND, TAMPER_NONE },
	{ "loss", true, ATTACK_LOSS, TAMPER_NONE },
	{ "noise", true, ATTACK_NOISE, TAMPER_NONE },
	{ "alter", false, ATTACK_NONE, TAMPER_ALTER },
	{ "drop", false, ATTACK_NONE, TAMPER_DROP },
	{ "replay", false, ATTACK_NONE, TAMPER_REPLAY },
	{ "reorder", false, ATTACK_NONE, TAMPER_REORDER },
	{ "truncate", false, ATTACK_NONE, TAMPER_TRUNCATE },
};

#define WORDS (sizeof(words) / sizeof(words[0]))

static const struct word *find_word(const char *name)
{
	size_t i;

	for (i = 0; i < WORDS; i++)
		if (!strcmp(words[i].name, name))
			return &words[i];
	return NULL;
}

/* Seconds of a number with its unit, or negative. */
static double read_time(const char *text)
{
	static const struct {
		const char *name;
		double seconds;
	} units[] = { { "", 1 },     { "s", 1 },    { "ms", 1e-3 },
		      { "min", 60 }, { "h", 3600 }, { "d", 86400 } };
	double time;
	char *end;
	size_t i;

	if (!isdigit((unsigned char)*text))
		return -1;
	time = strtod(text, &end);
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(end, units[i].name) && isfinite(time))
			return time * units[i].seconds;
	return -1;
}

static double read_fraction(const char *text)
{
	double fraction;
	char *end;

	if (!text)
		return 1;
	if (!isdigit((unsigned char)*text) && *text != '.')
		return -1;
	fraction = strtod(text, &end);
	return *end || !(fraction <= 1) ? -1 : fraction;
}

/* Returns what is wrong with the line, or NULL; @time is that of the line before. */
static const char *read_step(char *line, double time, struct step *step)
{
	char *rest, *at = strtok_r(line, BLANK, &rest);
	char *name = strtok_r(NULL, BLANK, &rest);
	char *share = strtok_r(NULL, BLANK, &rest);
	const struct word *word = name ? find_word(name) : NULL;
	double fraction = read_fraction(share);

	*step = (struct step){ .time = read_time(at) };
	if (step->time < 0)
		return "a line begins with a time, such as 90, 1.5min or 2h";
	if (step->time < time)
		return "lines have to be in the order of their times";
	if (!word)
		return "say off, intercept, split, blind, loss, noise, alter, drop, "
		       "replay, reorder or truncate";
	if (fraction < 0)
		return "a fraction is a number from 0 to 1";
	if (word->attack == ATTACK_NOISE && fraction > NOISE_MAX)
		return "noise is stray light per gate: from 0 to 0.01";
	if (strtok_r(NULL, BLANK, &rest) || (word == words && share))
		return "nothing may follow here but a comment after #";
	step->set_eve = word->light || word == words;
	step->set_tamper = !word->light;
	step->eve = (struct eve){ word->attack, word->light ? fraction : 0 };
	step->tamper = word->tamper;
	step->tamper_fraction = word->tamper == TAMPER_NONE ? 0 : fraction;
	return NULL;
}

static int append(struct scenario *scenario, const struct step *step)
{
	struct step *more = reallocarray(scenario->step, scenario->count + 1,
					 sizeof(*more));

	if (!more)
		return -ENOMEM;
	scenario->step = more;
	more[scenario->count++] = *step;
	return 0;
}

static int read_line(struct scenario *scenario, char *line, const char **wrong)
{
	double time =
		scenario->count ? scenario->step[scenario->count - 1].time : 0;
	struct step step;

	line[strcspn(line, "#")] = 0;
	if (!line[strspn(line, BLANK)])
		return 0;
	*wrong = read_step(line, time, &step);
	return *wrong ? -EINVAL : append(scenario, &step);
}

static int read_file(struct scenario *scenario, FILE *file, int *number,
		     const char **wrong)
{
	char *line = NULL;
	size_t room = 0;
	int err = 0;

	for (*number = 1; !err; ++*number) {
		errno = 0;
		if (getline(&line, &room, file) < 0) {
			/* EISDIR, EIO; at the end there is none. */
			err = -errno;
			break;
		}
		err = read_line(scenario, line, wrong);
		if (err)
			break;
	}
	free(line);
	return err;
}

int scenario_load(struct scenario **scenario, const char *path, char why[WHY])
{
	struct scenario *new = calloc(1, sizeof(*new));
	const char *wrong = NULL;
	FILE *file = NULL;
	int err = 0, number = 0;
	size_t skip;

	if (!new)
		err = -ENOMEM;
	else if (path && !(file = fopen(path, "re")))
		err = -errno;
	else if (path)
		err = read_file(new, file, &number, &wrong);
	if (file)
		fclose(file);
	if (!err) {
		*scenario = new;
		return 0;
	}
	scenario_free(new);
	/* The end of a long path says more than its beginning. */
	skip = path && strlen(path) > PATH ? strlen(path) - PATH : 0;
	if (wrong)
		snprintf(why, WHY, "%s:%d: %s", path + skip, number, wrong);
	else
		snprintf(why, WHY, "%s: %s", path ? path + skip : "scenario",
			 strerror(-err));
	return err;
}

void scenario_free(struct scenario *scenario)
{
	if (!scenario)
		return;
	free(scenario->step);
	free(scenario);
}

void scenario_at(const struct scenario *scenario, double time, struct eve *eve,
		 enum tamper *tamper, double *tamper_fraction)
{
	const struct step *step;
	size_t i;

	*eve = (struct eve){ ATTACK_NONE, 0 };
	*tamper = TAMPER_NONE;
	*tamper_fraction = 0;
	for (i = 0; i < scenario->count; i++) {
		step = scenario->step + i;
		if (step->time > time)
			break;
		if (step->set_eve)
			*eve = step->eve;
		if (step->set_tamper) {
			*tamper = step->tamper;
			*tamper_fraction = step->tamper_fraction;
		}
	}
}
