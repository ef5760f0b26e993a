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
	"                   mode { tunnel | transport | beet } [ reqid NUMBER ]\n"
	"                   [ if-id NUMBER ] [ mark MARK[/MASK] ]\n"
	"                   [ replay-window NUMBER ] [ esn ] [ on-empty { block | aes } ]\n"
	"                   [ REKEY ] [ epoch-packets NUMBER ] [ epoch-bytes SIZE ]\n"
	"                   [ epoch-time TIME ] [ SECRET ] [ limit LIMIT ]...\n"
	"                   [ encap espinudp SPORT DPORT ] [ sel SELECTOR ]\n"
	"       qkd esp set spi SPI dir { in | out } dev NAME [ REKEY ] [ SECRET ]\n"
	"       qkd esp del spi SPI dir { in | out } dev NAME\n"
	"       qkd esp flush [ dev NAME ]\n"
	"       qkd [ -s ] esp show [ dev NAME ] [ spi SPI ] [ dir { in | out } ]\n"
	"REKEY := [ rekey-packets NUMBER ] [ rekey-bytes SIZE ]\n"
	"         [ rekey-time TIME | rekey auto ] [ weight NUMBER ] [ park-time TIME ]\n"
	"SECRET := secret-file { FILE | - } [ secret-number NUMBER ]\n"
	"LIMIT := { byte-soft | byte-hard } SIZE | { packet-soft | packet-hard } NUMBER |\n"
	"         { time-soft | time-hard | time-use-soft | time-use-hard } SECONDS\n"
	"SELECTOR := [ src PREFIX ] [ dst PREFIX ] [ proto PROTO ] [ sport PORT ]\n"
	"            [ dport PORT ] [ interface IFNAME ]\n";

/* Longest external secret, in bytes. */
#define SECRET_MAX 1024

enum {
	ADD = 1,
	NAME = 2,
	SET = 4,
	FLUSH = 8,
};

/**
 * struct request - what the words of a command ask for
 * @esp: the SA
 * @secret_file: where its secret is, or NULL
 */
struct request {
	struct qkd_esp esp;
	const char *secret_file;
};

#define WORD(word, kind, number, member, constant, where)               \
	KEYWORD(word, kind, QKD_A_ESP_##number, struct qkd_esp, member, \
		constant, where)

static const struct keyword words[] = {
	WORD("dev", STRING, LINK_NAME, link_name, 0, ADD | NAME | SET | FLUSH),
	WORD("spi", U32, SPI, spi, 0, ADD | NAME | SET),
	WORD("dir", ENUM, DIR, dir, QKD_ENUM_DIR, ADD | NAME | SET),
	WORD("src", ADDR, SRC, src, 0, ADD),
	WORD("dst", ADDR, DST, dst, 0, ADD),
	WORD("cipher", ENUM, CIPHER, cipher, QKD_ENUM_CIPHER, ADD),
	WORD("mode", ENUM, MODE, mode, QKD_ENUM_ESP_MODE, ADD),
	WORD("reqid", U32, REQID, reqid, 0, ADD),
	WORD("if-id", U32, IF_ID, if_id, 0, ADD),
	WORD("replay-window", U32, REPLAY_WINDOW, replay_window, 0, ADD),
	WORD("esn", CONSTANT, ESN, esn, 1, ADD),
	WORD("on-empty", ENUM, ON_EMPTY, on_empty, QKD_ENUM_ON_EMPTY, ADD),
	WORD("rekey-packets", U64, REKEY_PACKETS, rekey_packets, 0, ADD | SET),
	WORD("rekey-bytes", SIZE, REKEY_BYTES, rekey_bytes, 0, ADD | SET),
	WORD("rekey-time", TIME32, REKEY_TIME, rekey_time, 0, ADD | SET),
	WORD("weight", U32, WEIGHT, weight, 0, ADD | SET),
	WORD("park-time", TIME32, PARK_TIME, park_time, 0, ADD | SET),
	WORD("epoch-packets", U64, EPOCH_PACKETS, epoch_packets, 0, ADD),
	WORD("epoch-bytes", SIZE, EPOCH_BYTES, epoch_bytes, 0, ADD),
	WORD("epoch-time", TIME32, EPOCH_TIME, epoch_time, 0, ADD),
	WORD("secret-number", U32, SECRET_NUMBER, secret_number, 0, ADD | SET),
};

#define LIMIT(word, kind, number, member)                                 \
	KEYWORD(word, kind, QKD_A_LIFETIME_##number, struct qkd_lifetime, \
		member, 0, ADD)

static const struct keyword limits[] = {
	LIMIT("byte-soft", SIZE, SOFT_BYTES, soft_bytes),
	LIMIT("byte-hard", SIZE, HARD_BYTES, hard_bytes),
	LIMIT("packet-soft", U64, SOFT_PACKETS, soft_packets),
	LIMIT("packet-hard", U64, HARD_PACKETS, hard_packets),
	LIMIT("time-soft", SECONDS, SOFT_ADD_TIME, soft_add_time),
	LIMIT("time-hard", SECONDS, HARD_ADD_TIME, hard_add_time),
	LIMIT("time-use-soft", SECONDS, SOFT_USE_TIME, soft_use_time),
	LIMIT("time-use-hard", SECONDS, HARD_USE_TIME, hard_use_time),
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
static void parse_sel(struct args *args, struct qkd_esp *esp)
{
	if (has(esp, QKD_A_ESP_SEL))
		exit(usage_error("\"sel\" was given already"));
	while (parse_one_sel(args, &esp->sel))
		;
	if (!esp->sel.has)
		exit(usage_error("\"sel\" needs a selector"));
	esp->has |= QKD_HAS(QKD_A_ESP_SEL);
}

static void parse_limit(struct args *args, struct qkd_esp *esp)
{
	struct qkd_lifetime *lft = &esp->lifetime;

	if (!args->left)
		exit(usage_error("\"limit\" needs a value"));
	if (!arg_keyword(args, limits, ARRAY_SIZE(limits), ADD, lft, &lft->has))
		exit(usage_error("limit \"%s\" is unknown", arg_peek(args)));
	esp->has |= QKD_HAS(QKD_A_ESP_LIFETIME);
}

static void parse_encap(struct args *args, struct qkd_esp *esp)
{
	if (has(esp, QKD_A_ESP_ENCAP))
		exit(usage_error("\"encap\" was given already"));
	if (!arg_is(args, "espinudp") || args->left < 2)
		exit(usage_error("\"encap\" needs \"espinudp SPORT DPORT\""));
	esp->encap.sport = arg_number("sport", arg_next(args), 65535);
	esp->encap.dport = arg_number("dport", arg_next(args), 65535);
	esp->encap.has = QKD_HAS(QKD_A_ENCAP_SPORT) |
			 QKD_HAS(QKD_A_ENCAP_DPORT);
	esp->has |= QKD_HAS(QKD_A_ESP_ENCAP);
}

static void parse_rekey(struct args *args, struct qkd_esp *esp)
{
	if (!arg_is(args, "auto"))
		exit(usage_error("\"rekey\" needs \"auto\""));
	if (has(esp, QKD_A_ESP_REKEY_AUTO))
		exit(usage_error("\"rekey\" was given already"));
	esp->rekey_auto = 1;
	esp->has |= QKD_HAS(QKD_A_ESP_REKEY_AUTO);
}

/* Words of more than one value. */
static bool parse_special(struct args *args, unsigned int where,
			  struct request *req)
{
	struct qkd_esp *esp = &req->esp;

	if (where & (ADD | SET) && arg_is(args, "rekey")) {
		parse_rekey(args, esp);
	} else if (where & (ADD | SET) && arg_is(args, "secret-file")) {
		if (req->secret_file)
			exit(usage_error("\"secret-file\" was given already"));
		req->secret_file = arg_value(args, "secret-file");
	} else if (where & ADD && arg_is(args, "mark")) {
		parse_mark(args, esp);
	} else if (where & ADD && arg_is(args, "limit")) {
		parse_limit(args, esp);
	} else if (where & ADD && arg_is(args, "encap")) {
		parse_encap(args, esp);
	} else if (where & ADD && arg_is(args, "sel")) {
		parse_sel(args, esp);
	} else {
		return false;
	}
	return true;
}

static int parse(struct args *args, unsigned int where, struct request *req)
{
	struct qkd_esp *esp = &req->esp;

	while (arg_peek(args))
		if (!arg_keyword(args, words, ARRAY_SIZE(words), where, esp,
				 &esp->has) &&
		    !parse_special(args, where, req))
			return arg_unknown(args, "esp");
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

/* Reads the secret, if there is one, to memory that secret_free() wants back. */
static int read_secret(struct request *req)
{
	ssize_t length;
	void *secret;

	if (!req->secret_file)
		return EXIT_OK;
	no_dumps();
	secret = secret_alloc(SECRET_MAX);
	length = secret_read_file(req->secret_file, secret, SECRET_MAX);
	if (length <= 0) {
		secret_free(secret, SECRET_MAX);
		return length < 0 ? EXIT_USAGE :
				    usage_error("%s: no secret in it",
						req->secret_file);
	}
	req->esp.secret = secret;
	req->esp.secret_len = length;
	req->esp.has |= QKD_HAS(QKD_A_ESP_SECRET);
	return EXIT_OK;
}

typedef int (*send_fn)(struct qkd_ctx *ctx, const struct qkd_esp *esp);

static int send_add(struct qkd_ctx *ctx, const struct qkd_esp *esp)
{
	return qkd_esp_add(ctx, qkd_by_name(esp->link_name), esp, NULL);
}

static int send_replace(struct qkd_ctx *ctx, const struct qkd_esp *esp)
{
	return qkd_esp_replace(ctx, qkd_by_name(esp->link_name), esp, NULL);
}

static int send_set(struct qkd_ctx *ctx, const struct qkd_esp *esp)
{
	return qkd_esp_set(ctx, qkd_by_name(esp->link_name), esp->dir, esp->spi,
			   esp);
}

static int run(struct args *args, unsigned int where, send_fn send)
{
	struct request req = {};
	struct qkd_ctx *ctx;
	int code, err;

	code = parse(args, where, &req) ?: require(&req.esp, where);
	if (code)
		return code;
	ctx = kernel();
	code = read_secret(&req);
	if (code)
		return code;
	err = send(ctx, &req.esp);
	if (req.esp.secret)
		secret_free((void *)req.esp.secret, SECRET_MAX);
	if (err)
		return kernel_error(ctx, err);
	warn_if_said(ctx);
	return EXIT_OK;
}

static int do_add(struct args *args)
{
	return run(args, ADD, send_add);
}

static int do_replace(struct args *args)
{
	return run(args, ADD, send_replace);
}

static int do_set(struct args *args)
{
	return run(args, SET, send_set);
}

static int do_del(struct args *args)
{
	struct request req = {};
	struct qkd_ctx *ctx;
	int code, err;

	code = parse(args, NAME, &req) ?: require(&req.esp, NAME);
	if (code)
		return code;
	ctx = kernel();
	err = qkd_esp_del(ctx, qkd_by_name(req.esp.link_name), req.esp.dir,
			  req.esp.spi);
	return err ? kernel_error(ctx, err) : EXIT_OK;
}

static int do_flush(struct args *args)
{
	struct request req = {};
	struct qkd_ctx *ctx;
	struct qkd_ref ref;
	int code, err;

	code = parse(args, FLUSH, &req);
	if (code)
		return code;
	ref = qkd_by_name(req.esp.link_name);
	ctx = kernel();
	err = qkd_esp_flush(ctx, req.esp.has ? &ref : NULL);
	return err ? kernel_error(ctx, err) : EXIT_OK;
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
	show_esp(esp);
	return 0;
}

/* One SA if it is named in full, else those of a dump that fit. */
static int do_show(struct args *args)
{
	const uint64_t name = QKD_HAS(QKD_A_ESP_LINK_NAME) |
			      QKD_HAS(QKD_A_ESP_SPI) | QKD_HAS(QKD_A_ESP_DIR);
	struct request req = {};
	struct qkd_esp *wanted = &req.esp, esp;
	struct qkd_ctx *ctx;
	int code, err;

	code = parse(args, NAME, &req);
	if (code)
		return code;
	ctx = kernel();
	out_begin();
	if (wanted->has == name) {
		err = qkd_esp_get(ctx, qkd_by_name(wanted->link_name),
				  wanted->dir, wanted->spi, &esp);
		if (!err)
			show_esp(&esp);
	} else {
		err = qkd_esp_dump(ctx, show_if, wanted);
	}
	if (err && err != -EINTR)
		return kernel_error(ctx, err);
	code = out_end();
	return err ? kernel_error(ctx, err) : code;
}

static const struct command commands[] = {
	{ "add", do_add },   { "replace", do_replace }, { "set", do_set },
	{ "del", do_del },   { "delete", do_del },	{ "flush", do_flush },
	{ "show", do_show }, { "list", do_show },	{ "get", do_show },
	{ "help", do_help },
};

int do_esp(struct args *args)
{
	if (!args->left)
		return do_show(args);
	return run_command("command", commands, ARRAY_SIZE(commands), args);
}
