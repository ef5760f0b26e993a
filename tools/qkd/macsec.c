// SPDX-License-Identifier: GPL-2.0-only
/* qkd macsec */
#include <stdlib.h>
#include <string.h>

#include "qkd.h"

static const char help[] =
	"Usage: qkd macsec bind DEV dev NAME [ max-time TIME ]\n"
	"       qkd macsec unbind DEV\n"
	"       qkd macsec tx DEV an NUMBER\n"
	"       qkd macsec rx DEV CHANNEL an NUMBER id ID\n"
	"       qkd macsec del DEV { tx | rx CHANNEL } an NUMBER\n"
	"       qkd [ -s ] macsec show [ DEV ] [ dev NAME ]\n"
	"CHANNEL := { sci SCI | address LLADDR port NUMBER }\n";

/* How long macsec may take, in ms. The first SA may load the cipher's module. */
#define PATIENCE 30000

enum {
	BIND = 1,
	SHOW = 2,
	TX = 4,
	RX = 8,
};

#define WORD(word, kind, number, member, where)                               \
	KEYWORD(word, kind, QKD_A_MACSEC_##number, struct qkd_macsec, member, \
		0, where)

static const struct keyword words[] = {
	WORD("dev", STRING, LINK_NAME, link_name, BIND | SHOW),
	WORD("max-time", TIME32, MAX_TIME, max_time, BIND),
};

static int do_help(struct args *args)
{
	(void)args;
	fputs(help, stdout);
	return EXIT_OK;
}

static void parse_bound(struct args *args, unsigned int where,
			struct qkd_macsec *macsec)
{
	while (arg_peek(args))
		if (!arg_keyword(args, words, ARRAY_SIZE(words), where, macsec,
				 &macsec->has))
			exit(arg_unknown(args, "macsec"));
}

/* As "ip macsec" has it: 16 digits. */
static uint64_t parse_sci(const char *text)
{
	if (strlen(text) != 16 ||
	    strspn(text, "0123456789abcdefABCDEF") != strlen(text))
		exit(usage_error("sci \"%s\" is not of 16 hex digits", text));
	return strtoull(text, NULL, 16);
}

static uint64_t parse_address(const char *text)
{
	unsigned int byte[6], i;
	uint64_t address = 0;
	int end = 0;

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &byte[0], &byte[1],
		   &byte[2], &byte[3], &byte[4], &byte[5], &end) != 6 ||
	    text[end])
		exit(usage_error("address \"%s\" is not a link layer address",
				 text));
	for (i = 0; i < 6; i++)
		address = address << 8 | byte[i];
	return address;
}

static bool parse_channel(struct args *args, struct qkd_macsec_sa *sa)
{
	const uint64_t bit = QKD_HAS(QKD_A_MACSEC_SA_SCI);

	if (arg_is(args, "sci")) {
		sa->sci = parse_sci(arg_value(args, "sci"));
	} else if (arg_is(args, "address")) {
		sa->sci = parse_address(arg_value(args, "address")) << 16;
		if (!arg_is(args, "port"))
			exit(usage_error("\"address\" needs a \"port\""));
		sa->sci |= arg_number("port", arg_value(args, "port"), 65535);
	} else {
		return false;
	}
	if (sa->has & bit)
		exit(usage_error("the channel was given already"));
	sa->has |= bit;
	return true;
}

/* A UUID, or as macsec shows it, without hyphens. */
static void parse_id(const char *text, struct qkd_macsec_sa *sa)
{
	char uuid[QKD_KEY_ID_TEXT_LEN + 1];

	if (strlen(text) == 2 * QKD_KEY_ID_LEN) {
		snprintf(uuid, sizeof(uuid), "%.8s-%.4s-%.4s-%.4s-%.12s", text,
			 text + 8, text + 12, text + 16, text + 20);
		text = uuid;
	}
	if (qkd_key_id_parse(text, sa->key_id))
		exit(usage_error("id \"%s\" is not a UUID", text));
	sa->has |= QKD_HAS(QKD_A_MACSEC_SA_KEY_ID);
}

static void need(const struct qkd_macsec_sa *sa, int attr, const char *word)
{
	if (!(sa->has & QKD_HAS(attr)))
		exit(usage_error("\"%s\" is needed", word));
}

/* What names an SA, and for a receive SA that is added, its key. */
static void parse_sa(struct args *args, unsigned int where,
		     struct qkd_macsec_sa *sa)
{
	sa->dir = where & TX ? QKD_DIR_OUT : QKD_DIR_IN;
	while (arg_peek(args)) {
		if (arg_is(args, "an")) {
			sa->an = arg_number("an", arg_value(args, "an"), 3);
			sa->has |= QKD_HAS(QKD_A_MACSEC_SA_AN);
		} else if (where == RX && arg_is(args, "id")) {
			parse_id(arg_value(args, "id"), sa);
		} else if (where & TX || !parse_channel(args, sa)) {
			exit(arg_unknown(args, "macsec"));
		}
	}
	if (!(where & TX))
		need(sa, QKD_A_MACSEC_SA_SCI, "sci");
	need(sa, QKD_A_MACSEC_SA_AN, "an");
	if (where == RX)
		need(sa, QKD_A_MACSEC_SA_KEY_ID, "id");
}

static int do_bind(struct args *args)
{
	struct qkd_macsec macsec = { .ifindex = arg_ifindex(args, "macsec") };
	struct qkd_ctx *ctx;
	int err;

	parse_bound(args, BIND, &macsec);
	if (!(macsec.has & QKD_HAS(QKD_A_MACSEC_LINK_NAME)))
		return usage_error("\"dev\" is needed");
	ctx = kernel();
	err = qkd_macsec_bind(ctx, qkd_by_name(macsec.link_name), &macsec);
	return err ? kernel_error(ctx, err) : EXIT_OK;
}

static int do_unbind(struct args *args)
{
	uint32_t ifindex = arg_ifindex(args, "macsec");
	struct qkd_ctx *ctx;
	int err;

	if (args->left)
		return arg_unknown(args, "macsec");
	ctx = kernel();
	err = qkd_macsec_unbind(ctx, ifindex);
	if (!err)
		err = qkd_macsec_wait(ctx, ifindex, PATIENCE);
	return err ? kernel_error(ctx, err) : EXIT_OK;
}

/* Adds an SA and waits for macsec. */
static int add(struct args *args, unsigned int where)
{
	struct qkd_macsec_sa sa = { .ifindex = arg_ifindex(args, "macsec") };
	struct qkd_ctx *ctx;
	int err;

	parse_sa(args, where, &sa);
	ctx = kernel();
	err = qkd_macsec_sa_add(ctx, &sa);
	if (!err)
		err = qkd_macsec_sa_wait(ctx, &sa, PATIENCE);
	if (err)
		return kernel_error(ctx, err);
	out_begin();
	show_macsec_sa(&sa);
	return out_end();
}

static int do_tx(struct args *args)
{
	return add(args, TX);
}

static int do_rx(struct args *args)
{
	return add(args, RX);
}

static int do_del(struct args *args)
{
	struct qkd_macsec_sa sa = { .ifindex = arg_ifindex(args, "macsec") };
	struct qkd_ctx *ctx;
	unsigned int where;
	int err;

	if (arg_is(args, "tx"))
		where = TX;
	else if (arg_is(args, "rx"))
		where = 0;
	else
		return usage_error("\"tx\" or \"rx\" is needed");
	parse_sa(args, where, &sa);
	ctx = kernel();
	err = qkd_macsec_sa_del(ctx, &sa);
	if (!err)
		err = qkd_macsec_sa_wait_gone(ctx, &sa, PATIENCE);
	return err ? kernel_error(ctx, err) : EXIT_OK;
}

static int do_show(struct args *args)
{
	struct qkd_macsec wanted = {};
	const char *word = arg_peek(args);

	if (word && strcmp(word, "dev")) {
		wanted.ifindex = arg_ifindex(args, "macsec");
		wanted.has = QKD_HAS(QKD_A_MACSEC_IFINDEX);
	}
	parse_bound(args, SHOW, &wanted);
	return show_macsecs(kernel(), &wanted);
}

static const struct command commands[] = {
	{ "bind", do_bind }, { "unbind", do_unbind }, { "tx", do_tx },
	{ "rx", do_rx },     { "del", do_del },	      { "delete", do_del },
	{ "show", do_show }, { "list", do_show },     { "get", do_show },
	{ "help", do_help },
};

int do_macsec(struct args *args)
{
	if (!args->left)
		return do_show(args);
	return run_command("command", commands, ARRAY_SIZE(commands), args);
}
