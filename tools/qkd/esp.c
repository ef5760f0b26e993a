// SPDX-License-Identifier: GPL-2.0-only
/* qkd esp */
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "qkd.h"

static const char help[] =
	"Usage: qkd esp { add | replace } src ADDR dst ADDR spi SPI dir { in | out }\n"
	"                   dev NAME cipher { otp | aes | hybrid }\n"
	"                   mode { tunnel | transport } [ reqid NUMBER ]\n"
	"                   [ if-id NUMBER ] [ mark MARK[/MASK] ]\n"
	"                   [ replay-window NUMBER ] [ esn ] [ on-empty { block | aes } ]\n"
	"                   [ sel SELECTOR ]\n"
	"       qkd esp del spi SPI dir { in | out } dev NAME\n"
	"       qkd [ -s ] esp show [ dev NAME ] [ spi SPI ] [ dir { in | out } ]\n"
	"SELECTOR := [ src PREFIX ] [ dst PREFIX ] [ proto PROTO ] [ sport PORT ]\n"
	"            [ dport PORT ] [ interface IFNAME ]\n";

enum {
	ADD = 1,
	NAME = 2,
};

#define WORD(word, kind, number, member, constant, where)               \
	KEYWORD(word, kind, QKD_A_ESP_##number, struct qkd_esp, member, \
		constant, where)

static const struct keyword words[] = {
	WORD("dev", STRING, LINK_NAME, link_name, 0, ADD | NAME),
	WORD("spi", U32, SPI, spi, 0, ADD | NAME),
	WORD("dir", ENUM, DIR, dir, QKD_ENUM_DIR, ADD | NAME),
	WORD("src", ADDR, SRC, src, 0, ADD),
	WORD("dst", ADDR, DST, dst, 0, ADD),
	WORD("cipher", ENUM, CIPHER, cipher, QKD_ENUM_CIPHER, ADD),
	WORD("mode", ENUM, MODE, mode, QKD_ENUM_ESP_MODE, ADD),
	WORD("reqid", U32, REQID, reqid, 0, ADD),
	WORD("if-id", U32, IF_ID, if_id, 0, ADD),
	WORD("replay-window", U32, REPLAY_WINDOW, replay_window, 0, ADD),
	WORD("esn", CONSTANT, ESN, esn, 1, ADD),
	WORD("on-empty", ENUM, ON_EMPTY, on_empty, QKD_ENUM_ON_EMPTY, ADD),
};

static bool has(const struct qkd_esp *esp, int attr)
{
	return esp->has & QKD_HAS(attr);
}

static int do_help(struct args *args)
{
	(void)args;
	fputs(help, stdout);
	return EXIT_OK;
}

/* MARK[/MASK]; the mask is all ones if it is not given, as ip has it. */
static void parse_mark(struct args *args, struct qkd_esp *esp)
{
	const char *text = arg_value(args, "mark");
	const char *slash = strchr(text, '/');
	char mark[16];

	if (has(esp, QKD_A_ESP_MARK))
		exit(usage_error("\"mark\" was given already"));
	if (slash && slash - text >= (ptrdiff_t)sizeof(mark))
		exit(usage_error("mark \"%s\" is not a number", text));
	snprintf(mark, sizeof(mark), "%.*s",
		 slash ? (int)(slash - text) : (int)sizeof(mark) - 1, text);
	esp->mark = arg_number("mark", mark, UINT32_MAX);
	esp->mark_mask =
		slash ? arg_number("mark mask", slash + 1, UINT32_MAX) :
			UINT32_MAX;
	esp->has |= QKD_HAS(QKD_A_ESP_MARK) | QKD_HAS(QKD_A_ESP_MARK_MASK);
}

static uint32_t parse_proto(const char *text)
{
	const struct protoent *proto = getprotobyname(text);

	return proto ? (uint32_t)proto->p_proto :
		       arg_number("proto", text, 255);
}

static uint32_t parse_interface(const char *text)
{
	uint32_t index = if_nametoindex(text);

	if (!index)
		exit(usage_error("interface \"%s\": %s", text,
				 strerror(errno)));
	return index;
}

static bool parse_one_sel(struct args *args, struct qkd_sel *sel)
{
	if (arg_is(args, "src")) {
		arg_prefix("src", arg_value(args, "src"), &sel->src,
			   &sel->src_prefix);
		sel->has |= QKD_HAS(QKD_A_SEL_SRC) |
			    QKD_HAS(QKD_A_SEL_SRC_PREFIX);
	} else if (arg_is(args, "dst")) {
		arg_prefix("dst", arg_value(args, "dst"), &sel->dst,
			   &sel->dst_prefix);
		sel->has |= QKD_HAS(QKD_A_SEL_DST) |
			    QKD_HAS(QKD_A_SEL_DST_PREFIX);
	} else if (arg_is(args, "proto")) {
		sel->proto = parse_proto(arg_value(args, "proto"));
		sel->has |= QKD_HAS(QKD_A_SEL_PROTO);
	} else if (arg_is(args, "sport")) {
		sel->sport =
			arg_number("sport", arg_value(args, "sport"), 65535);
		sel->has |= QKD_HAS(QKD_A_SEL_SPORT);
	} else if (arg_is(args, "dport")) {
		sel->dport =
			arg_number("dport", arg_value(args, "dport"), 65535);
		sel->has |= QKD_HAS(QKD_A_SEL_DPORT);
	} else if (arg_is(args, "interface")) {
		sel->ifindex = parse_interface(arg_value(args, "interface"));
		sel->has |= QKD_HAS(QKD_A_SEL_IFINDEX);
	} else {
		return false;
	}
	return true;
}

/* From here on src and dst are the selector's. */
static int parse_sel(struct args *args, struct qkd_esp *esp)
{
	if (has(esp, QKD_A_ESP_SEL))
		return usage_error("\"sel\" was given already");
	while (parse_one_sel(args, &esp->sel))
		;
	if (!esp->sel.has)
		return usage_error("\"sel\" needs a selector");
	esp->has |= QKD_HAS(QKD_A_ESP_SEL);
	return EXIT_OK;
}

static int parse(struct args *args, unsigned int where, struct qkd_esp *esp)
{
	int code;

	while (arg_peek(args)) {
		if (arg_keyword(args, words, ARRAY_SIZE(words), where, esp,
				&esp->has))
			continue;
		if (where == ADD && arg_is(args, "mark")) {
			parse_mark(args, esp);
		} else if (where == ADD && arg_is(args, "sel")) {
			code = parse_sel(args, esp);
			if (code)
				return code;
		} else {
			return arg_unknown(args, "esp");
		}
	}
	return EXIT_OK;
}

/* What must be given, in the order of the help. */
static int require(const struct qkd_esp *esp, unsigned int where)
{
	static const int order[] = {
		QKD_A_ESP_SRC,	QKD_A_ESP_DST,	     QKD_A_ESP_SPI,
		QKD_A_ESP_DIR,	QKD_A_ESP_LINK_NAME, QKD_A_ESP_CIPHER,
		QKD_A_ESP_MODE,
	};
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(order); i++) {
		if (has(esp, order[i]))
			continue;
		for (j = 0; j < ARRAY_SIZE(words); j++)
			if (words[j].attr == order[i] && words[j].where & where)
				return usage_error("\"%s\" is needed",
						   words[j].name);
	}
	return EXIT_OK;
}

static int add(struct args *args, bool replace)
{
	struct qkd_esp esp = {};
	struct qkd_ctx *ctx;
	int code, err;

	code = parse(args, ADD, &esp) ?: require(&esp, ADD);
	if (code)
		return code;
	ctx = kernel();
	err = (replace ? qkd_esp_replace : qkd_esp_add)(
		ctx, qkd_by_name(esp.link_name), &esp, NULL);
	if (err)
		return kernel_error(ctx, err);
	warn_if_said(ctx);
	return EXIT_OK;
}

static int do_add(struct args *args)
{
	return add(args, false);
}

static int do_replace(struct args *args)
{
	return add(args, true);
}

static int do_del(struct args *args)
{
	struct qkd_esp esp = {};
	struct qkd_ctx *ctx;
	int code, err;

	code = parse(args, NAME, &esp) ?: require(&esp, NAME);
	if (code)
		return code;
	ctx = kernel();
	err = qkd_esp_del(ctx, qkd_by_name(esp.link_name), esp.dir, esp.spi);
	return err ? kernel_error(ctx, err) : EXIT_OK;
}

static void show_prefix(const char *key, const char *before,
			const struct qkd_addr *addr, uint32_t prefix)
{
	char length[32];

	out_addr(key, before, addr);
	snprintf(length, sizeof(length), "%s_prefix", key);
	out_uint(length, "/", prefix);
}

static void show_proto(uint32_t number)
{
	const struct protoent *proto = getprotobynumber(number);

	if (proto && !options.json)
		out_str("proto", " proto ", proto->p_name);
	else
		out_uint("proto", " proto ", number);
}

static void show_sel(const struct qkd_sel *sel)
{
	char name[IF_NAMESIZE];

	out_open("sel");
	out_text("    sel");
	if (sel->has & QKD_HAS(QKD_A_SEL_SRC))
		show_prefix("src", " src ", &sel->src, sel->src_prefix);
	if (sel->has & QKD_HAS(QKD_A_SEL_DST))
		show_prefix("dst", " dst ", &sel->dst, sel->dst_prefix);
	if (sel->has & QKD_HAS(QKD_A_SEL_PROTO))
		show_proto(sel->proto);
	if (sel->has & QKD_HAS(QKD_A_SEL_SPORT))
		out_uint("sport", " sport ", sel->sport);
	if (sel->has & QKD_HAS(QKD_A_SEL_DPORT))
		out_uint("dport", " dport ", sel->dport);
	if (sel->has & QKD_HAS(QKD_A_SEL_IFINDEX)) {
		if (if_indextoname(sel->ifindex, name))
			out_str("interface", " interface ", name);
		else
			out_uint("ifindex", " ifindex ", sel->ifindex);
	}
	out_text("\n");
	out_close();
}

static void show_counters(const struct qkd_esp *esp)
{
	const struct qkd_esp_refused *refused = &esp->refused;

	out_uint("packets", "    packets ", esp->packets);
	out_uint("bytes", " bytes ", esp->bytes);
	out_uint("key_bytes", " key-bytes ", esp->key_bytes);
	out_text("\n");
	out_open("refused");
	out_text("    refused:");
	out_uint("no_key", " no-key ", refused->no_key);
	out_uint("link", " link ", refused->link);
	out_uint("length", " length ", refused->length);
	out_uint("dir", " dir ", refused->dir);
	out_uint("cipher", " cipher ", refused->cipher);
	out_uint("stale", " stale ", refused->stale);
	out_uint("not_here", " not-here ", refused->not_here);
	out_uint("duplicate", " duplicate ", refused->duplicate);
	out_uint("icv", " icv ", refused->icv);
	out_text("\n");
	out_close();
}

static void show_options(const struct qkd_esp *esp)
{
	char sa[24];

	out_uint("replay_window", "    replay-window ", esp->replay_window);
	out_flag("esn", " esn", esp->esn);
	if (has(esp, QKD_A_ESP_ON_EMPTY))
		out_str("on_empty", " on-empty ",
			qkd_enum_name(QKD_ENUM_ON_EMPTY, esp->on_empty));
	if (has(esp, QKD_A_ESP_IF_ID) && esp->if_id)
		out_hex("if_id", " if-id ", esp->if_id);
	if (has(esp, QKD_A_ESP_MARK) && (esp->mark || esp->mark_mask)) {
		out_hex("mark", " mark ", esp->mark);
		out_hex("mark_mask", "/", esp->mark_mask);
	}
	if (has(esp, QKD_A_ESP_SA)) {
		snprintf(sa, sizeof(sa), "0x%016llx",
			 (unsigned long long)esp->sa);
		out_str("sa", " sa ", sa);
	}
	out_text("\n");
}

static void show_one(const struct qkd_esp *esp)
{
	out_open(NULL);
	out_addr("src", "src ", &esp->src);
	out_addr("dst", " dst ", &esp->dst);
	out_text("\n    proto esp spi 0x%08x", esp->spi);
	if (options.json)
		out_uint("spi", "", esp->spi);
	out_uint("reqid", " reqid ", esp->reqid);
	out_str("mode", " mode ", qkd_enum_name(QKD_ENUM_ESP_MODE, esp->mode));
	out_str("dir", " dir ", qkd_enum_name(QKD_ENUM_DIR, esp->dir));
	out_color(COLOR_NAME, "dev", " dev ", esp->link_name);
	out_str("cipher", " cipher ",
		qkd_enum_name(QKD_ENUM_CIPHER, esp->cipher));
	if (options.json)
		out_flag("dead", "", esp->dead);
	else if (esp->dead)
		out_color(COLOR_DOWN, NULL, " ", "dead");
	out_text("\n");
	show_options(esp);
	if (has(esp, QKD_A_ESP_SEL))
		show_sel(&esp->sel);
	if (options.statistics)
		show_counters(esp);
	out_close();
}

static int show_if(const struct qkd_esp *esp, void *arg)
{
	const struct qkd_esp *wanted = arg;

	if (has(wanted, QKD_A_ESP_LINK_NAME) &&
	    strcmp(wanted->link_name, esp->link_name))
		return 0;
	if (has(wanted, QKD_A_ESP_SPI) && wanted->spi != esp->spi)
		return 0;
	if (has(wanted, QKD_A_ESP_DIR) && wanted->dir != esp->dir)
		return 0;
	show_one(esp);
	return 0;
}

/* One SA if it is named in full, else those of a dump that fit. */
static int do_show(struct args *args)
{
	const uint64_t name = QKD_HAS(QKD_A_ESP_LINK_NAME) |
			      QKD_HAS(QKD_A_ESP_SPI) | QKD_HAS(QKD_A_ESP_DIR);
	struct qkd_esp wanted = {}, esp;
	struct qkd_ctx *ctx;
	int code, err;

	code = parse(args, NAME, &wanted);
	if (code)
		return code;
	ctx = kernel();
	out_begin();
	if (wanted.has == name) {
		err = qkd_esp_get(ctx, qkd_by_name(wanted.link_name),
				  wanted.dir, wanted.spi, &esp);
		if (!err)
			show_one(&esp);
	} else {
		err = qkd_esp_dump(ctx, show_if, &wanted);
	}
	if (err && err != -EINTR)
		return kernel_error(ctx, err);
	code = out_end();
	return err ? kernel_error(ctx, err) : code;
}

static const struct command commands[] = {
	{ "add", do_add },    { "replace", do_replace }, { "del", do_del },
	{ "delete", do_del }, { "show", do_show },	 { "list", do_show },
	{ "get", do_show },   { "help", do_help },
};

int do_esp(struct args *args)
{
	if (!args->left)
		return do_show(args);
	return run_command("command", commands, ARRAY_SIZE(commands), args);
}
