// SPDX-License-Identifier: GPL-2.0-only
/* qkd: shows and changes QKD links, keys and SAs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qkd.h"

struct options options;

static struct qkd_ctx *ctx;

static const char help[] =
	"Usage: qkd [ OPTIONS ] OBJECT { COMMAND | help }\n"
	"       qkd [ OPTIONS ] monitor [ dev NAME ]\n"
	"where  OBJECT := { link | key | esp | macsec | wg }\n"
	"       OPTIONS := { -j[son] | -p[retty] | -s[tatistics] |\n"
	"                    -t[imestamp] | -c[olor][={ always | auto | never }] |\n"
	"                    -V[ersion] | -h[elp] }\n";

static int do_help(struct args *args)
{
	(void)args;
	fputs(help, stdout);
	return EXIT_OK;
}

static const struct command objects[] = {
	{ "link", do_link },	 { "key", do_key }, { "esp", do_esp },
	{ "macsec", do_macsec }, { "wg", do_wg },   { "monitor", do_monitor },
	{ "help", do_help },
};

static void close_kernel(void)
{
	qkd_close(ctx);
}

/* The netlink socket, made when it is first needed. */
struct qkd_ctx *kernel(void)
{
	int err;

	if (ctx)
		return ctx;
	err = qkd_open(&ctx);
	if (err == -ENOENT) {
		fprintf(stderr,
			"Error: The kernel has no family qkd. Try: modprobe qkd.\n");
		exit(EXIT_REFUSED);
	}
	if (err) {
		fprintf(stderr, "Error: Cannot open a netlink socket: %s.\n",
			strerror(-err));
		exit(EXIT_REFUSED);
	}
	atexit(close_kernel);
	return ctx;
}

/* The command that a word names or begins, if it is only one. */
static const struct command *find(const char *what, const char *word,
				  const struct command *commands, size_t n)
{
	const struct command *found = NULL;
	size_t i;

	for (i = 0; i < n; i++)
		if (!strcmp(commands[i].name, word))
			return &commands[i];
	for (i = 0; i < n; i++) {
		if (strncmp(commands[i].name, word, strlen(word)))
			continue;
		if (found && found->run != commands[i].run) {
			usage_error("%s \"%s\" is short for \"%s\" and \"%s\"",
				    what, word, found->name, commands[i].name);
			return NULL;
		}
		found = &commands[i];
	}
	if (!found)
		usage_error("%s \"%s\" is unknown, try \"help\"", what, word);
	return found;
}

int run_command(const char *what, const struct command *commands, size_t n,
		struct args *args)
{
	const struct command *command;

	command = find(what, arg_next(args), commands, n);
	return command ? command->run(args) : EXIT_USAGE;
}

static void set_color(const char *when)
{
	if (!*when || !strcmp(when, "=always"))
		options.color = true;
	else if (!strcmp(when, "=auto"))
		options.color = isatty(STDOUT_FILENO);
	else if (!strcmp(when, "=never"))
		options.color = false;
	else
		exit(usage_error("option -color%s is unknown", when));
}

/* Is @opt the first letters of @name? */
static bool is_option(const char *opt, const char *name)
{
	return !strncmp(name, opt, strlen(opt));
}

static void set_option(const char *opt)
{
	size_t length = strcspn(opt, "=");

	if (length && !strncmp("color", opt, length))
		set_color(opt + length);
	else if (!*opt)
		exit(usage_error("option \"-\" is unknown"));
	else if (is_option(opt, "json"))
		options.json = true;
	else if (is_option(opt, "pretty"))
		options.pretty = true;
	else if (is_option(opt, "statistics") || is_option(opt, "stats"))
		options.statistics = true;
	else if (is_option(opt, "timestamp"))
		options.timestamp = true;
	else if (is_option(opt, "Version"))
		exit(puts("qkd utility, " VERSION) < 0);
	else if (is_option(opt, "help"))
		exit(fputs(help, stdout) < 0);
	else
		exit(usage_error("option \"-%s\" is unknown, try \"qkd help\"",
				 opt));
}

int main(int argc, char **argv)
{
	struct args args = { .next = argv + 1, .left = argc - 1 };
	const char *word;

	while ((word = arg_peek(&args)) && word[0] == '-') {
		arg_next(&args);
		if (!strcmp(word, "--"))
			break;
		set_option(word + (word[1] == '-' ? 2 : 1));
	}
	if (options.json)
		options.color = false;
	if (!args.left) {
		fputs(help, stderr);
		return EXIT_USAGE;
	}
	return run_command("object", objects, ARRAY_SIZE(objects), &args);
}
