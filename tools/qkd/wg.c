// SPDX-License-Identifier: GPL-2.0-only
/* qkd wg */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../common/wgkey.h"
#include "qkd.h"

static const char help[] =
	"Usage: qkd wg set DEV peer KEY dev NAME [ hold | id ID ] [ max-time TIME ]\n"
	"       qkd wg del DEV peer KEY\n"
	"       qkd [ -s ] wg show [ DEV ] [ dev NAME ]\n";

/* How long WireGuard may take, in ms. */
#define PATIENCE 30000

enum {
	SET = 1,
	SHOW = 2,
};

#define WORD(word, kind, number, member, constant, where)             \
	KEYWORD(word, kind, QKD_A_WG_##number, struct qkd_wg, member, \
		constant, where)

static const struct keyword words[] = {
	WORD("dev", STRING, LINK_NAME, link_name, 0, SET | SHOW),
	WORD("max-time", TIME32, MAX_TIME, max_time, 0, SET),
	WORD("hold", CONSTANT, HOLD, hold, 1, SET),
};

static int do_help(struct args *args)
{
	(void)args;
	fputs(help, stdout);
	return EXIT_OK;
}

static void parse_name(struct args *args, struct qkd_wg *wg)
{
	const char *text;

	wg->ifindex = arg_ifindex(args, "WireGuard");
	if (!arg_is(args, "peer"))
		exit(usage_error("\"peer\" is needed"));
	text = arg_value(args, "peer");
	if (!wg_key_parse(text, wg->peer))
		exit(usage_error("peer \"%s\" is not a public key in Base64",
				 text));
}

static void parse_rest(struct args *args, unsigned int where, struct qkd_wg *wg)
{
	while (arg_peek(args)) {
		if (where & SET && arg_is(args, "id")) {
			if (qkd_key_id_parse(arg_value(args, "id"), wg->key_id))
				exit(usage_error("id is not a UUID"));
			wg->has |= QKD_HAS(QKD_A_WG_KEY_ID);
		} else if (!arg_keyword(args, words, ARRAY_SIZE(words), where,
					wg, &wg->has)) {
			exit(arg_unknown(args, "wg"));
		}
	}
}

static void show_id(const char *key, const char *before, const uint8_t *id)
{
	char text[QKD_KEY_ID_TEXT_LEN + 1];

	out_str(key, before, qkd_key_id_format(id, text));
}

static void show_peer(const struct qkd_wg *wg)
{
	char peer[WG_KEY_TEXT_LEN + 1];

	out_open(NULL);
	show_ifname(wg->ifindex);
	out_str("peer", ": peer ", wg_key_format(wg->peer, peer));
	out_color(COLOR_NAME, "dev", " dev ", wg->link_name);
	out_time("max_time", " max-time ", wg->max_time);
	out_text("\n");
	out_str("state", "    state ",
		qkd_enum_name(QKD_ENUM_WG_STATE, wg->state));
	if (wg->has & QKD_HAS(QKD_A_WG_KEY_ID)) {
		show_id("key_id", " key-id ", wg->key_id);
		out_time("age", " age ", wg->age);
		out_flag("confirmed", " confirmed", wg->confirmed);
	}
	if (wg->has & QKD_HAS(QKD_A_WG_HELD))
		show_id("held", " held ", wg->held);
	if (wg->has & QKD_HAS(QKD_A_WG_MESSAGE))
		out_str("message", ": ", wg->message);
	out_text("\n");
	if (options.statistics) {
		out_uint("installed", "    installed ", wg->installed);
		out_uint("confirms", " confirmed ", wg->confirms);
		out_uint("failed", " failed ", wg->failed);
		out_uint("blocks", " blocked ", wg->blocks);
		out_text("\n");
	}
	out_close();
}

static int do_set(struct args *args)
{
	struct qkd_wg wg = {};
	struct qkd_ctx *ctx;
	int err;

	parse_name(args, &wg);
	parse_rest(args, SET, &wg);
	if (!(wg.has & QKD_HAS(QKD_A_WG_LINK_NAME)))
		return usage_error("\"dev\" is needed");
	if (wg.hold && wg.has & QKD_HAS(QKD_A_WG_KEY_ID))
		return usage_error("\"hold\" and \"id\" exclude each other");
	ctx = kernel();
	err = qkd_wg_set(ctx, qkd_by_name(wg.link_name), &wg);
	if (!err)
		err = qkd_wg_wait(ctx, &wg, PATIENCE);
	if (err)
		return kernel_error(ctx, err);
	out_begin();
	show_peer(&wg);
	return out_end();
}

static int do_del(struct args *args)
{
	struct qkd_wg wg = {};
	struct qkd_ctx *ctx;
	int err;

	parse_name(args, &wg);
	if (args->left)
		return arg_unknown(args, "wg");
	ctx = kernel();
	err = qkd_wg_del(ctx, &wg);
	if (!err)
		err = qkd_wg_wait_gone(ctx, &wg, PATIENCE);
	return err ? kernel_error(ctx, err) : EXIT_OK;
}

static int show_wanted(const struct qkd_wg *wg, void *arg)
{
	const struct qkd_wg *wanted = arg;

	if ((!wanted->ifindex || wanted->ifindex == wg->ifindex) &&
	    (!*wanted->link_name || !strcmp(wanted->link_name, wg->link_name)))
		show_peer(wg);
	return 0;
}

static int do_show(struct args *args)
{
	struct qkd_wg wanted = {};
	const char *word = arg_peek(args);
	struct qkd_ctx *ctx;
	int err, code;

	if (word && strcmp(word, "dev"))
		wanted.ifindex = arg_ifindex(args, "WireGuard");
	parse_rest(args, SHOW, &wanted);
	ctx = kernel();
	out_begin();
	err = qkd_wg_dump(ctx, show_wanted, &wanted);
	if (err && err != -EINTR)
		return kernel_error(ctx, err);
	code = out_end();
	return err ? kernel_error(ctx, err) : code;
}

static const struct command commands[] = {
	{ "set", do_set },   { "del", do_del },	  { "delete", do_del },
	{ "show", do_show }, { "list", do_show }, { "get", do_show },
	{ "help", do_help },
};

int do_wg(struct args *args)
{
	if (!args->left)
		return do_show(args);
	return run_command("command", commands, ARRAY_SIZE(commands), args);
}
