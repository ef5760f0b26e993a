// SPDX-License-Identifier: GPL-2.0-only
/* What the user says: the configuration file, and words of the command line. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../common/ini.h"
#include "../common/log.h"
#include "join.h"
#include "link.h"
#include "report.h"

#define PRESET "bb84-fibre-50km"
#define KEYS_MAX 64 /* of a section, as ini.h has it */
#define BLOCK_MOST 200000000 /* bits: the seed of its matrix is one message */

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

void settings_default(struct settings *settings)
{
	*settings = (struct settings){ .pace = 1, .recon = RECON_CASCADE };
	(void)model_preset(&settings->model, PRESET);
}

#define PACES "real, fast or a factor up to 1000000"

static int read_pace(const char *text, double *pace)
{
	char *end;

	if (!strcmp(text, "real")) {
		*pace = 1;
		return 0;
	}
	if (!strcmp(text, "fast")) {
		*pace = 0;
		return 0;
	}
	*pace = strtod(text, &end);
	return end != text && !*end && *pace > 0 && *pace <= 1e6 ? 0 : -1;
}

int settings_pace(const char *text, double *pace)
{
	if (!read_pace(text, pace))
		return 0;
	log_error("pace \"%s\" is not " PACES, text);
	return -1;
}

int settings_recon(const char *text, enum recon *recon)
{
	if (!recon_by_name(text, recon))
		return 0;
	log_error("reconcile \"%s\" is neither cascade nor ldpc", text);
	return -1;
}

static int set_preset(struct settings *settings, const char *name)
{
	if (!model_preset(&settings->model, name))
		return 0;
	log_error("there is no preset \"%s\": see qkd-link --presets", name);
	return -1;
}

static int set_figure(struct settings *settings, const char *name,
		      const char *value)
{
	const char *why;

	if (!model_set(&settings->model, name, value, &why))
		return 0;
	log_error("%s \"%s\": %s", name, value, why);
	return -1;
}

/* ---- Words ---- */

static int copy_word(const char *what, const char *word, char *to, size_t size)
{
	if (*word && strlen(word) < size)
		return !strcpy(to, word);
	log_error("%s \"%s\" is not of 1 to %zu bytes", what, word, size - 1);
	return -1;
}

static int set_join(struct settings *settings, const char *word, char *value)
{
	if (*settings->address) {
		log_error("there is one of listen and connect");
		return -1;
	}
	settings->listens = !strcmp(word, "listen");
	return copy_word(word, value, settings->address,
			 sizeof(settings->address));
}

/* FIGURE=VALUE, at once, as the preset is there. */
static int set_equation(struct settings *settings, char *text)
{
	char *value = strchr(text, '=');

	if (!value) {
		log_error("set \"%s\" is not FIGURE=VALUE", text);
		return -1;
	}
	*value++ = '\0';
	return set_figure(settings, text, value);
}

static int set_word(struct settings *settings, const char *word, char *value)
{
	if (!strcmp(word, "listen") || !strcmp(word, "connect"))
		return set_join(settings, word, value);
	if (!strcmp(word, "key-file"))
		return copy_word(word, value, settings->key_file, PATH_MAX);
	if (!strcmp(word, "dev"))
		return copy_word(word, value, settings->dev,
				 sizeof(settings->dev));
	if (!strcmp(word, "preset") || !strcmp(word, "set"))
		return 0;
	log_error(
		"\"%s\" is none of listen, connect, key-file, dev, preset, set",
		word);
	return -1;
}

static int model_words(struct settings *settings, char **words)
{
	char **word;

	/* the figures come after the preset, wherever they stand */
	for (word = words; *word; word += 2) {
		if (!word[1]) {
			log_error("%s: what of it?", *word);
			return -1;
		}
		if (!strcmp(*word, "preset") && set_preset(settings, word[1]))
			return -1;
	}
	for (word = words; *word; word += 2)
		if (!strcmp(*word, "set") && set_equation(settings, word[1]))
			return -1;
	return 0;
}

int settings_model(struct settings *settings, char **words)
{
	char **word;

	if (model_words(settings, words))
		return -1;
	for (word = words; *word; word += 2)
		if (strcmp(*word, "preset") && strcmp(*word, "set")) {
			log_error("\"%s\" is neither preset nor set", *word);
			return -1;
		}
	return 0;
}

static int read_role(struct settings *settings, const char *word)
{
	settings->alice = !strcmp(word, "alice");
	settings->has_role = true;
	return settings->alice || !strcmp(word, "bob") ? 0 : -1;
}

static int set_role(struct settings *settings, const char *word)
{
	if (!read_role(settings, word))
		return 0;
	log_error("\"%s\" is neither alice nor bob", word);
	return -1;
}

int settings_words(struct settings *settings, char **words)
{
	char **word;

	if (set_role(settings, *words) || model_words(settings, words + 1))
		return -1;
	for (word = words + 1; *word; word += 2)
		if (set_word(settings, *word, word[1]))
			return -1;
	return 0;
}

/* ---- The file ---- */

static int ini_role(struct ini_reader *reader, const struct ini_key *key,
		    char *value)
{
	(void)key;
	if (!read_role(reader->config, value))
		return 0;
	return ini_bad(reader, reader->line,
		       "role \"%s\" is neither alice nor bob", value);
}

static int ini_join(struct ini_reader *reader, const struct ini_key *key,
		    char *value)
{
	struct settings *settings = reader->config;

	if (*settings->address)
		return ini_bad(reader, reader->line,
			       "there is one of listen and connect");
	settings->listens = !strcmp(key->name, "listen");
	if (!is_path(value) && ini_check_address(reader, key->name, value))
		return -1;
	return ini_copy(reader, key->name, value, settings->address,
			sizeof(settings->address));
}

static int ini_recon(struct ini_reader *reader, const struct ini_key *key,
		     char *value)
{
	struct settings *settings = reader->config;

	(void)key;
	if (!recon_by_name(value, &settings->recon))
		return 0;
	return ini_bad(reader, reader->line,
		       "reconcile \"%s\" is neither cascade nor ldpc", value);
}

static int ini_pace(struct ini_reader *reader, const struct ini_key *key,
		    char *value)
{
	struct settings *settings = reader->config;

	(void)key;
	if (!read_pace(value, &settings->pace))
		return 0;
	return ini_bad(reader, reader->line, "pace \"%s\" is not " PACES,
		       value);
}

static int ini_preset(struct ini_reader *reader, const struct ini_key *key,
		      char *value)
{
	struct settings *settings = reader->config;

	(void)key;
	if (!model_preset(&settings->model, value))
		return 0;
	return ini_bad(reader, reader->line,
		       "there is no preset \"%s\": see qkd-link --presets",
		       value);
}

static int ini_figure(struct ini_reader *reader, const struct ini_key *key,
		      char *value)
{
	struct settings *settings = reader->config;
	const char *why;

	if (!model_set(&settings->model, key->name, value, &why))
		return 0;
	return ini_bad(reader, reader->line, "%s \"%s\": %s", key->name, value,
		       why);
}

static char *begin_link(struct ini_reader *reader, char *name)
{
	struct settings *settings = reader->config;

	if (*settings->dev) {
		ini_bad(reader, reader->line, "there is one link");
		return NULL;
	}
	if (ini_copy_name(reader, "link", name, settings->dev,
			  sizeof(settings->dev)))
		return NULL;
	return reader->config;
}

static char *begin_model(struct ini_reader *reader, char *preset)
{
	struct settings *settings = reader->config;

	if (settings->has_model) {
		ini_bad(reader, reader->line, "there is one model");
		return NULL;
	}
	settings->has_model = true;
	if (*preset && ini_preset(reader, NULL, preset))
		return NULL;
	return reader->config;
}

static const struct ini_key link_keys[] = {
	{ .name = "role", .set = ini_role },
	{ .name = "listen", .set = ini_join },
	{ .name = "connect", .set = ini_join },
	INI_KEY("key-file", ini_set_string, struct settings, key_file),
	{ .name = "reconcile", .set = ini_recon },
	{ .name = "pace", .set = ini_pace },
	INI_KEY("scenario", ini_set_string, struct settings, scenario),
	INI_KEY("report", ini_set_string, struct settings, report),
	INI_KEY("metrics", ini_set_string, struct settings, metrics),
};

/* [model PRESET] has the figures of the model, by their names. */
static size_t model_keys(struct ini_key keys[KEYS_MAX])
{
	struct model model = { 0 };
	const char *name, *unit;
	double value;
	size_t n = 0;

	keys[n++] = (struct ini_key){ .name = "protocol", .set = ini_figure };
	keys[n++] = (struct ini_key){ .name = "medium", .set = ini_figure };
	while (n < KEYS_MAX &&
	       !model_figure(&model, n - 2, &name, &value, &unit))
		keys[n++] = (struct ini_key){ .name = name, .set = ini_figure };
	return n;
}

int settings_read(struct settings *settings, const char *path)
{
	struct ini_key keys[KEYS_MAX];
	size_t nkeys = model_keys(keys);
	const struct ini_section sections[] = {
		{ "link", begin_link, link_keys, ARRAY_SIZE(link_keys) },
		{ "model", begin_model, keys, nkeys },
	};
	struct ini_reader reader = {
		.config = settings,
		.path = path,
		.sections = sections,
		.nsections = ARRAY_SIZE(sections),
	};

	return ini_read(&reader);
}

/* ---- Does it hold together? ---- */

static int miss(const char *what)
{
	log_error("%s is missing", what);
	return -1;
}

static int check_address(const char *what, const char *text)
{
	const char *wrong = is_path(text) ? NULL : address_wrong(text);

	if (!wrong)
		return 0;
	log_error("%s \"%s\" %s", what, text, wrong);
	return -1;
}

static int check_model(const struct model *model)
{
	const char *why;

	if (model_check(model, &why)) {
		log_error("the model does not hold together: %s", why);
		return -1;
	}
	if (model->finite.block > BLOCK_MOST) {
		log_error("block is more than %d bits: one has to do in memory",
			  BLOCK_MOST);
		return -1;
	}
	return 0;
}

int settings_check(const struct settings *settings)
{
	if (!settings->has_role)
		return miss("role");
	if (!*settings->address)
		return miss("listen or connect");
	if (check_address(settings->listens ? "listen" : "connect",
			  settings->address))
		return -1;
	if (!*settings->key_file)
		return miss("key-file");
	if (!*settings->dev && !settings->dry_run)
		return miss("dev, the link that is fed (or --dry-run)");
	if (*settings->report && report_check_name(settings->report))
		return -1;
	if (*settings->metrics && check_address("metrics", settings->metrics))
		return -1;
	return check_model(&settings->model);
}
