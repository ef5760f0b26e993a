// SPDX-License-Identifier: GPL-2.0-only
/* qkd link */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qkd.h"

static const char help[] =
	"Usage: qkd link add NAME type emu [ EMU ] [ PARAMETERS ]\n"
	"                    peer name NAME [ netns NETNS ]\n"
	"       qkd link add NAME type emu role { alice | bob } seed-file { FILE | - }\n"
	"                    gen NUMBER [ EMU ] [ PARAMETERS ]\n"
	"       qkd link add NAME type user role { alice | bob } id ID peer-id ID\n"
	"                    [ PARAMETERS ]\n"
	"       qkd link del NAME\n"
	"       qkd link set NAME [ up | down ] [ PARAMETERS ] [ EMU ]\n"
	"                    [ stop | start ] [ flip NUMBER ] [ lose NUMBER ]\n"
	"                    [ gen NUMBER ]\n"
	"       qkd [ -s ] link show [ NAME ]\n"
	"PARAMETERS := [ confirm { tag | none } ] (add)\n"
	"              [ export { none | control | export | control,export } ]\n"
	"              [ max-age TIME ] [ pad-keep TIME ] [ key-keep TIME ]\n"
	"              [ pad-capacity SIZE ] [ key-capacity SIZE ] (add)\n"
	"              [ pad-low SIZE ] [ key-low SIZE ]\n"
	"              [ reserve-control SIZE ] [ reserve-rekey SIZE ]\n"
	"              [ reserve-export SIZE ]\n"
	"EMU := [ rate RATE ] [ qber QBER ] [ protocol PROTOCOL ]\n"
	"PROTOCOL := { bb84 | bb84-decoy | b92 | e91 | bbm92 | cow }\n"
	"TIME := 50ms, 300s, 5min, 1h, 1d; SIZE := bytes, 64k, 1M; RATE := 10mbit;\n"
	"QBER := 0.03 or 3%; NETNS := name, process or path\n";

enum {
	ADD = 1,
	SET = 2,
};

#define WORD(word, kind, number, member, constant, where)                 \
	KEYWORD(word, kind, QKD_A_LINK_##number, struct qkd_link, member, \
		constant, where)
#define EMU(word, kind, number, member, constant, where)                \
	KEYWORD(word, kind, QKD_A_EMU_##number, struct qkd_emu, member, \
		constant, where)

static const struct keyword words[] = {
	WORD("type", STRING, TYPE, type, 0, ADD),
	WORD("role", ENUM, ROLE, role, QKD_ENUM_ROLE, ADD),
	WORD("id", STRING, ID, id, 0, ADD),
	WORD("peer-id", STRING, PEER_ID, peer_id, 0, ADD),
	WORD("confirm", ENUM, CONFIRM, confirm, QKD_ENUM_CONFIRM, ADD),
	WORD("export", EXPORT, EXPORT, export_, 0, ADD | SET),
	WORD("max-age", TIME, MAX_AGE, max_age, 0, ADD | SET),
	WORD("pad-keep", TIME32, PAD_KEEP, pad_keep, 0, ADD | SET),
	WORD("key-keep", TIME32, KEY_KEEP, key_keep, 0, ADD | SET),
	WORD("pad-capacity", SIZE, PAD_CAPACITY, pad_capacity, 0, ADD),
	WORD("key-capacity", SIZE, KEY_CAPACITY, key_capacity, 0, ADD),
	WORD("pad-low", SIZE, PAD_LOW, pad_low, 0, ADD | SET),
	WORD("key-low", SIZE, KEY_LOW, key_low, 0, ADD | SET),
	WORD("reserve-control", SIZE32, RESERVE_CONTROL, reserve_control, 0,
	     ADD | SET),
	WORD("reserve-rekey", SIZE32, RESERVE_REKEY, reserve_rekey, 0,
	     ADD | SET),
	WORD("reserve-export", SIZE32, RESERVE_EXPORT, reserve_export, 0,
	     ADD | SET),
	WORD("up", CONSTANT, ADMIN, admin, QKD_ADMIN_UP, SET),
	WORD("down", CONSTANT, ADMIN, admin, QKD_ADMIN_DOWN, SET),
};

static const struct keyword emu_words[] = {
	EMU("rate", RATE, RATE, rate, 0, ADD | SET),
	EMU("qber", QBER, QBER, qber, 0, ADD | SET),
	EMU("protocol", ENUM, PROTOCOL, protocol, QKD_ENUM_EMU_PROTOCOL,
	    ADD | SET),
	EMU("gen", U32, GEN, gen, 0, ADD | SET),
	EMU("stop", CONSTANT, STOPPED, stopped, 1, SET),
	EMU("start", CONSTANT, STOPPED, stopped, 0, SET),
	EMU("flip", U32, FLIP, flip, 0, SET),
	EMU("lose", U32, LOSE, lose, 0, SET),
};

static int do_help(struct args *args)
{
	(void)args;
	fputs(help, stdout);
	return EXIT_OK;
}

/* peer name NAME [ netns NETNS ] */
static void parse_peer(struct args *args, struct qkd_emu *emu)
{
	const char *name;

	if (!arg_is(args, "name"))
		exit(usage_error("\"peer\" needs \"name NAME\""));
	name = arg_name(args, "name");
	snprintf(emu->peer_name, sizeof(emu->peer_name), "%s", name);
	emu->has |= QKD_HAS(QKD_A_EMU_PEER_NAME);
	if (arg_is(args, "netns")) {
		emu->peer_netns_fd = arg_netns(arg_value(args, "netns"));
		emu->has |= QKD_HAS(QKD_A_EMU_PEER_NETNS_FD);
	}
}

/* The parameters of add and set; the path of the seed is left to the caller. */
static int parse(struct args *args, unsigned int where, struct qkd_link *link,
		 const char **seed_file)
{
	while (arg_peek(args)) {
		if (arg_keyword(args, words, ARRAY_SIZE(words), where, link,
				&link->has))
			continue;
		if (arg_keyword(args, emu_words, ARRAY_SIZE(emu_words), where,
				&link->emu, &link->emu.has))
			continue;
		if (where == ADD && arg_is(args, "peer"))
			parse_peer(args, &link->emu);
		else if (where == ADD && arg_is(args, "seed-file"))
			*seed_file = arg_value(args, "seed-file");
		else
			return arg_unknown(args, "link");
	}
	if (link->emu.has || *seed_file)
		link->has |= QKD_HAS(QKD_A_LINK_EMU);
	return EXIT_OK;
}

static int add(struct qkd_link *link)
{
	struct qkd_ctx *ctx = kernel();
	int err;

	err = qkd_link_new(ctx, link, NULL);
	if (err)
		return kernel_error(ctx, err);
	warn_if_said(ctx);
	return EXIT_OK;
}

static int add_seeded(struct qkd_link *link, const char *seed_file)
{
	int code = EXIT_USAGE;
	ssize_t length;
	void *seed;

	no_dumps();
	seed = secret_alloc(QKD_SEED_LEN);
	length = secret_read_file(seed_file, seed, QKD_SEED_LEN);
	if (!length)
		usage_error("%s: no seed in it", seed_file);
	if (length > 0) {
		link->emu.seed = seed;
		link->emu.seed_len = length;
		link->emu.has |= QKD_HAS(QKD_A_EMU_SEED);
		code = add(link);
	}
	secret_free(seed, QKD_SEED_LEN);
	return code;
}

static int do_add(struct args *args)
{
	const char *name = arg_dev(args, "name"), *seed_file = NULL;
	struct qkd_link link = { .has = QKD_HAS(QKD_A_LINK_NAME) };
	int code;

	snprintf(link.name, sizeof(link.name), "%s", name);
	code = parse(args, ADD, &link, &seed_file);
	if (code)
		return code;
	if (!(link.has & QKD_HAS(QKD_A_LINK_TYPE)))
		return usage_error(
			"a type is needed: \"type emu\" or \"type user\"");
	return seed_file ? add_seeded(&link, seed_file) : add(&link);
}

static int do_del(struct args *args)
{
	const char *name = arg_dev(args, "dev");
	struct qkd_ctx *ctx;
	int err;

	if (args->left)
		return arg_unknown(args, "link");
	ctx = kernel();
	err = qkd_link_del(ctx, qkd_by_name(name));
	return err ? kernel_error(ctx, err) : EXIT_OK;
}

static int do_set(struct args *args)
{
	const char *name = arg_dev(args, "dev"), *seed_file = NULL;
	struct qkd_link link = {};
	struct qkd_ctx *ctx;
	int code, err;

	code = parse(args, SET, &link, &seed_file);
	if (code)
		return code;
	if (!link.has)
		return usage_error("nothing to set");
	ctx = kernel();
	err = qkd_link_set(ctx, qkd_by_name(name), &link);
	if (err)
		return kernel_error(ctx, err);
	warn_if_said(ctx);
	return EXIT_OK;
}

static bool has(const struct qkd_link *link, int attr)
{
	return link->has & QKD_HAS(attr);
}

static void show_export(uint32_t mask)
{
	bool control = mask & QKD_EXPORT_MASK_CONTROL;
	bool export = mask & QKD_EXPORT_MASK_EXPORT;

	if (!options.json) {
		out_text(" export %s%s%s", control ? "control" : "",
			 control && export ? "," : "",
			 export	 ? "export" :
			 control ? "" :
				   "none");
		return;
	}
	out_array("export");
	if (control)
		out_str(NULL, "", "control");
	if (export)
		out_str(NULL, "", "export");
	out_close();
}

static void show_state(const struct qkd_link *link)
{
	const char *state = qkd_enum_name(QKD_ENUM_STATE, link->state);

	if (link->has & QKD_HAS(QKD_A_LINK_ADMIN))
		out_color(link->admin == QKD_ADMIN_UP ? COLOR_UP : COLOR_DOWN,
			  "admin", " admin ",
			  qkd_enum_name(QKD_ENUM_ADMIN, link->admin));
	out_color(link->state == QKD_STATE_UP ? COLOR_UP : COLOR_DOWN, "state",
		  " state ", state);
	/* why it is down, or what is wrong with it though it is up */
	if (has(link, QKD_A_LINK_REASON) && link->reason != QKD_REASON_NONE)
		out_str("reason", " reason ",
			qkd_enum_name(QKD_ENUM_REASON, link->reason));
	if (has(link, QKD_A_LINK_LABEL) && link->label)
		out_uint("label", " label ", link->label);
}

static void show_identity(const struct qkd_link *link)
{
	if (has(link, QKD_A_LINK_ID))
		out_str("id", "    id ", link->id);
	if (has(link, QKD_A_LINK_PEER_ID))
		out_str("peer_id", " peer-id ", link->peer_id);
	if (has(link, QKD_A_LINK_CONFIRM))
		out_str("confirm", " confirm ",
			qkd_enum_name(QKD_ENUM_CONFIRM, link->confirm));
	if (has(link, QKD_A_LINK_EXPORT))
		show_export(link->export_);
	out_text("\n");
}

static void show_limits(const struct qkd_link *link)
{
	out_time("max_age", "    max-age ", link->max_age);
	out_time("pad_keep", " pad-keep ", link->pad_keep);
	out_time("key_keep", " key-keep ", link->key_keep);
	out_bytes("pad_capacity", " pad-capacity ", link->pad_capacity);
	out_bytes("key_capacity", " key-capacity ", link->key_capacity);
	out_text("\n");
	out_bytes("pad_low", "    pad-low ", link->pad_low);
	out_bytes("key_low", " key-low ", link->key_low);
	out_bytes("reserve_control", " reserve-control ",
		  link->reserve_control);
	out_bytes("reserve_rekey", " reserve-rekey ", link->reserve_rekey);
	out_bytes("reserve_export", " reserve-export ", link->reserve_export);
	out_text("\n");
}

/* Bytes that a stream of ours holds: "pad 1.5M/16M". */
static void show_level(const struct qkd_link *link, bool key)
{
	const struct qkd_stat *stat = NULL;
	uint32_t i;

	for (i = 0; i < link->nstats; i++)
		if (link->stat[i].dir == QKD_DIR_OUT &&
		    (link->stat[i].stream & 1) == key)
			stat = &link->stat[i];
	if (!stat)
		return;
	out_bytes(key ? "key" : "pad", key ? " key " : " pad ",
		  stat->live - stat->pending);
	if (!options.json)
		out_bytes(NULL, "/", stat->capacity);
}

static void show_use(const struct qkd_link *link)
{
	out_qber("qber", "    qber ", link->qber);
	out_rate("skr", " skr ", link->skr);
	show_level(link, false);
	show_level(link, true);
	out_uint("sas", " sas ", link->sas);
	out_uint("handles", " handles ", link->handles);
	out_text("\n");
}

static void show_emu(const struct qkd_emu *emu)
{
	out_open("emu");
	out_text("    emu");
	if (emu->has & QKD_HAS(QKD_A_EMU_RATE))
		out_rate("rate", " rate ", emu->rate);
	if (emu->has & QKD_HAS(QKD_A_EMU_QBER))
		out_qber("qber", " qber ", emu->qber);
	if (emu->has & QKD_HAS(QKD_A_EMU_PROTOCOL))
		out_str("protocol", " protocol ",
			qkd_enum_name(QKD_ENUM_EMU_PROTOCOL, emu->protocol));
	if (emu->has & QKD_HAS(QKD_A_EMU_THRESHOLD))
		out_qber("threshold", " threshold ", emu->threshold);
	if (emu->has & QKD_HAS(QKD_A_EMU_BLOCK))
		out_bytes("block", " block ", emu->block);
	if (emu->has & QKD_HAS(QKD_A_EMU_GEN))
		out_uint("gen", " gen ", emu->gen);
	if (emu->has & QKD_HAS(QKD_A_EMU_PEER_NAME))
		out_color(COLOR_NAME, "peer_name", " peer ", emu->peer_name);
	if (emu->has & QKD_HAS(QKD_A_EMU_PEER_INDEX))
		out_uint("peer_index", " peer-index ", emu->peer_index);
	if (emu->has & QKD_HAS(QKD_A_EMU_STOPPED))
		out_flag("stopped", " stopped", emu->stopped);
	if (emu->has & QKD_HAS(QKD_A_EMU_FLIP))
		out_uint("flip", " flip ", emu->flip);
	if (emu->has & QKD_HAS(QKD_A_EMU_LOSE))
		out_uint("lose", " lose ", emu->lose);
	out_text("\n");
	out_close();
}

static void show_stat(const struct qkd_stat *stat)
{
	const char *stream = qkd_enum_name(QKD_ENUM_STREAM, stat->stream);
	const char *dir = qkd_enum_name(QKD_ENUM_DIR, stat->dir);

	if (!options.json) {
		printf("    %-8s %-3s %12" PRIu64 " %10" PRIu64 " %12" PRIu64
		       " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %10" PRIu64
		       " %10" PRIu64 "\n",
		       stream, dir, stat->supplied, stat->pending, stat->taken,
		       stat->skipped, stat->lost, stat->head, stat->live,
		       stat->capacity);
		return;
	}
	out_open(NULL);
	out_str("stream", "", stream);
	out_str("dir", "", dir);
	out_uint("supplied", "", stat->supplied);
	out_uint("pending", "", stat->pending);
	out_uint("taken", "", stat->taken);
	out_uint("skipped", "", stat->skipped);
	out_uint("lost", "", stat->lost);
	out_uint("head", "", stat->head);
	out_uint("live", "", stat->live);
	out_uint("capacity", "", stat->capacity);
	out_uint("segments", "", stat->segments);
	out_close();
}

static void show_stats(const struct qkd_link *link)
{
	uint32_t i;

	out_text("    %-8s %-3s %12s %10s %12s %8s %8s %8s %10s %10s\n",
		 "stream", "dir", "supplied", "pending", "taken", "skipped",
		 "lost", "head", "live", "capacity");
	out_array("streams");
	for (i = 0; i < link->nstats; i++)
		show_stat(&link->stat[i]);
	out_close();
}

static void show_refused(const struct qkd_refused *refused)
{
	out_open("refused");
	out_text("    refused:");
	out_uint("no_key", " no-key ", refused->no_key);
	out_uint("bad_tag", " bad-tag ", refused->bad_tag);
	out_uint("not_here", " not-here ", refused->not_here);
	out_uint("duplicate", " duplicate ", refused->duplicate);
	out_uint("stale", " stale ", refused->stale);
	out_uint("burnt", " burnt ", refused->burnt);
	out_uint("mismatch", " mismatch ", refused->mismatch);
	out_uint("class", " class ", refused->class_);
	out_uint("icv", " icv ", refused->icv);
	out_text("\n");
	out_close();
}

static int show(const struct qkd_link *link, void *arg)
{
	char node[32];

	(void)arg;
	out_open(NULL);
	out_uint("index", "", link->index);
	out_color(COLOR_NAME, "name", ": ", link->name);
	out_str("type", ": type ", link->type);
	out_str("role", " role ", qkd_enum_name(QKD_ENUM_ROLE, link->role));
	show_state(link);
	if (link->node) {
		snprintf(node, sizeof(node), "/dev/qkd%u", link->index);
		out_str("node", " node ", node);
	}
	out_text("\n");
	show_identity(link);
	show_use(link);
	show_limits(link);
	if (has(link, QKD_A_LINK_EMU))
		show_emu(&link->emu);
	if (has(link, QKD_A_LINK_GENERATION))
		out_binary("generation", "    generation ", link->generation,
			   sizeof(link->generation));
	if (has(link, QKD_A_LINK_GENERATION))
		out_text("\n");
	if (options.json && has(link, QKD_A_LINK_HASH))
		out_binary("hash", "", link->hash, sizeof(link->hash));
	if (options.statistics) {
		show_stats(link);
		show_refused(&link->refused);
	}
	out_close();
	return 0;
}

static int do_show(struct args *args)
{
	const char *name = args->left ? arg_dev(args, "dev") : NULL;
	struct qkd_ctx *ctx;
	struct qkd_link link;
	int err, code;

	if (args->left)
		return arg_unknown(args, "link");
	ctx = kernel();
	out_begin();
	if (name)
		err = qkd_link_get(ctx, qkd_by_name(name), &link) ?:
			      show(&link, NULL);
	else
		err = qkd_link_dump(ctx, show, NULL);
	if (err && err != -EINTR)
		return kernel_error(ctx, err);
	code = out_end();
	return err ? kernel_error(ctx, err) : code;
}

static const struct command commands[] = {
	{ "add", do_add },  { "del", do_del },	 { "delete", do_del },
	{ "set", do_set },  { "show", do_show }, { "list", do_show },
	{ "get", do_show }, { "help", do_help },
};

int do_link(struct args *args)
{
	if (!args->left)
		return do_show(args);
	return run_command("command", commands, ARRAY_SIZE(commands), args);
}
