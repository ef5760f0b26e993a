// SPDX-License-Identifier: GPL-2.0-only
/* qkd key */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qkd.h"

static const char help[] =
	"Usage: qkd key get dev NAME class { control | export } [ size BYTES ]\n"
	"                   [ count NUMBER ] [ CONTEXT ] [ to { FILE | - } ]\n"
	"       qkd key read dev NAME [ size BYTES ] [ count NUMBER ] [ nowait ]\n"
	"                   [ to { FILE | - } ]\n"
	"       qkd key claim dev NAME id UUID [ size BYTES ] [ CONTEXT ]\n"
	"                   to { FILE | - }\n"
	"       qkd key export dev NAME [ size BYTES ] [ id UUID ] to keyring\n"
	"       qkd key peek dev NAME id UUID [ size BYTES ] [ CONTEXT ]\n"
	"       qkd key status dev NAME [ class CLASS ] [ size BYTES ]\n"
	"       qkd key show UUID\n"
	"CONTEXT := [ context-type TYPE ] [ context { 0xHEX | TEXT } ]\n"
	"TYPE := { none | esp | macsec | sae | ppk | user | wireguard }\n"
	"CLASS := { control | rekey | export }\n"
	"Keys go to a new file of mode 0600, or with \"to -\" to a pipe on stdout.\n";

#define DEFAULT_SIZE 32

enum {
	GET = 1,
	READ = 2,
	CLAIM = 4,
	PEEK = 8,
	STATUS = 16,
	EXPORT = 32,
};

/* Bits of the words that are given. */
enum {
	HAS_DEV,
	HAS_CLASS,
	HAS_SIZE,
	HAS_COUNT,
	HAS_CONTEXT_TYPE,
	HAS_CONTEXT,
	HAS_ID,
	HAS_TO,
	HAS_NOWAIT,
};

/**
 * struct request - what the words of a command ask for
 * @has: which are given
 */
struct request {
	uint64_t has;
	char dev[QKD_NAME_LEN + 1];
	uint32_t class;
	uint32_t size;
	uint32_t count;
	uint32_t context_type;
	char context_text[2 * QKD_CONTEXT_LEN + 3];
	char id_text[QKD_KEY_ID_TEXT_LEN + 1];
	uint32_t nowait;
	char to[4096];

	uint8_t id[QKD_KEY_ID_LEN];
	uint8_t context_bytes[QKD_CONTEXT_LEN];
	struct qkd_context context;
};

#define WORD(word, kind, bit, member, constant, where) \
	KEYWORD(word, kind, bit, struct request, member, constant, where)

static const struct keyword words[] = {
	WORD("dev", STRING, HAS_DEV, dev, 0, ~0u),
	WORD("class", ENUM, HAS_CLASS, class, QKD_ENUM_CLASS, GET | STATUS),
	WORD("size", SIZE32, HAS_SIZE, size, 0, ~0u),
	WORD("count", U32, HAS_COUNT, count, 0, GET | READ),
	WORD("context-type", ENUM, HAS_CONTEXT_TYPE, context_type,
	     QKD_ENUM_CONTEXT_TYPE, GET | CLAIM | PEEK),
	WORD("context", STRING, HAS_CONTEXT, context_text, 0,
	     GET | CLAIM | PEEK),
	WORD("id", STRING, HAS_ID, id_text, 0, CLAIM | PEEK | EXPORT),
	WORD("to", STRING, HAS_TO, to, 0, GET | READ | CLAIM | EXPORT),
	WORD("--to", STRING, HAS_TO, to, 0, EXPORT),
	WORD("nowait", CONSTANT, HAS_NOWAIT, nowait, 1, READ),
};

static bool has(const struct request *req, int bit)
{
	return req->has & QKD_HAS(bit);
}

/* 0x and digits in pairs are bytes; anything else is text as it stands. */
static void parse_context(struct request *req)
{
	const char *text = req->context_text;
	size_t length = strlen(text), i;
	char pair[3] = "";

	req->context.type = req->context_type;
	req->context.data = req->context_bytes;
	if (strncmp(text, "0x", 2)) {
		if (length > QKD_CONTEXT_LEN)
			exit(usage_error("context is longer than %d bytes",
					 QKD_CONTEXT_LEN));
		memcpy(req->context_bytes, text, length);
		req->context.length = length;
		return;
	}
	text += 2;
	length -= 2;
	if (length % 2 || strspn(text, "0123456789abcdefABCDEF") != length)
		exit(usage_error("context \"0x%s\" is not hexadecimal", text));
	for (i = 0; i < length / 2; i++) {
		memcpy(pair, text + 2 * i, 2);
		req->context_bytes[i] = strtoul(pair, NULL, 16);
	}
	req->context.length = length / 2;
}

static int parse(struct args *args, unsigned int where, struct request *req)
{
	*req = (struct request){ .size = DEFAULT_SIZE, .count = 1 };

	while (arg_peek(args))
		if (!arg_keyword(args, words, ARRAY_SIZE(words), where, req,
				 &req->has))
			return arg_unknown(args, "key");
	if (!has(req, HAS_DEV))
		return usage_error("a link is needed: \"dev NAME\"");
	if (!req->size || req->size > QKD_KEY_SIZE_MAX)
		return usage_error("size is 1 to %d bytes", QKD_KEY_SIZE_MAX);
	if (!req->count || req->count > QKD_KEYS_PER_REQUEST)
		return usage_error("count is 1 to %d", QKD_KEYS_PER_REQUEST);
	if (where & (CLAIM | PEEK) && !has(req, HAS_ID))
		return usage_error("a key is needed: \"id UUID\"");
	if (has(req, HAS_ID) && qkd_key_id_parse(req->id_text, req->id))
		return usage_error("id \"%s\" is not a UUID", req->id_text);
	parse_context(req);
	return EXIT_OK;
}

static int do_help(struct args *args)
{
	(void)args;
	fputs(help, stdout);
	return EXIT_OK;
}

static void show_key(const struct qkd_key *key, bool handle)
{
	char text[QKD_KEY_ID_TEXT_LEN + 1];

	out_open(NULL);
	out_str("id", "", qkd_key_id_format(key->id, text));
	if (handle)
		out_uint("handle", " handle ", key->handle);
	if (key->class_)
		out_str("class", " class ",
			qkd_enum_name(QKD_ENUM_CLASS, key->class_));
	out_uint("size", " size ", key->size);
	out_text("\n");
	out_close();
}

/* Fetches what the handles name, in their order. */
static int fetch(int fd, const struct qkd_key *keys, uint32_t n,
		 struct sink *sink)
{
	uint8_t *secret = secret_alloc(QKD_KEY_SIZE_MAX);
	int code = EXIT_OK, err;
	size_t size;
	uint32_t i;

	for (i = 0; i < n && !code; i++) {
		size = QKD_KEY_SIZE_MAX;
		err = qkd_node_fetch(fd, keys[i].handle, secret, &size);
		code = err ? node_error(err) : sink_write(sink, secret, size);
	}
	secret_free(secret, QKD_KEY_SIZE_MAX);
	return code;
}

static int get(struct qkd_ctx *ctx, const struct request *req, int fd,
	       struct sink *sink)
{
	struct qkd_key keys[QKD_KEYS_PER_REQUEST];
	uint32_t count = req->count, i;
	int err, code;

	err = qkd_key_get(ctx, qkd_by_name(req->dev), req->class, req->size,
			  &req->context, keys, &count);
	if (err)
		return kernel_error(ctx, err);
	if (sink) {
		code = fetch(fd, keys, count, sink);
		if (code)
			return code;
	}
	out_begin();
	for (i = 0; i < count; i++)
		show_key(&keys[i], true);
	return out_end();
}

static int open_node(const struct request *req, int flags)
{
	struct qkd_ctx *ctx = kernel();
	int fd;

	fd = qkd_node_open(ctx, qkd_by_name(req->dev), flags);
	if (fd < 0)
		exit(kernel_error(ctx, fd));
	return fd;
}

static int do_get(struct args *args)
{
	struct request req;
	struct sink sink;
	int code, fd, end;

	code = parse(args, GET, &req);
	if (code)
		return code;
	if (!has(&req, HAS_CLASS))
		return usage_error(
			"a class is needed: \"class control\" or \"class export\"");
	if (!has(&req, HAS_TO))
		return get(kernel(), &req, -1, NULL);

	no_dumps();
	fd = open_node(&req, O_RDONLY);
	code = sink_open(&sink, req.to);
	if (code)
		return code;
	code = get(kernel(), &req, fd, &sink);
	end = sink_close(&sink, !code);
	close(fd);
	return code ?: end;
}

static int read_keys(int fd, const struct request *req, struct sink *sink)
{
	const size_t room = sizeof(struct qkd_key_record) + req->size;
	struct qkd_key_record *record = secret_alloc(room);
	struct qkd_key key = { .size = req->size };
	int code = EXIT_OK, err;
	uint32_t i;

	out_begin();
	for (i = 0; i < req->count && !code; i++) {
		err = qkd_node_read(fd, record, req->size);
		if (err) {
			code = node_error(err);
			break;
		}
		memcpy(key.id, record->id, sizeof(key.id));
		code = sink_write(sink, record->key, req->size);
		show_key(&key, false);
	}
	secret_free(record, room);
	return code ?: out_end();
}

static int do_read(struct args *args)
{
	struct request req;
	struct sink sink;
	int code, fd, end;

	code = parse(args, READ, &req);
	if (code)
		return code;
	no_dumps();
	fd = open_node(&req, O_RDONLY | (req.nowait ? O_NONBLOCK : 0));
	code = sink_open(&sink, has(&req, HAS_TO) ? req.to : "-");
	if (code)
		return code;
	code = read_keys(fd, &req, &sink);
	end = sink_close(&sink, !code);
	close(fd);
	return code ?: end;
}

static int claim(int fd, const struct request *req, struct sink *sink)
{
	struct qkd_key key = {};
	size_t size = QKD_KEY_SIZE_MAX;
	uint8_t *secret = secret_alloc(size);
	int code, err;

	memcpy(key.id, req->id, sizeof(key.id));
	err = qkd_node_claim(fd, req->id, has(req, HAS_SIZE) ? req->size : 0,
			     &req->context, secret, &size);
	code = err ? node_error(err) : sink_write(sink, secret, size);
	secret_free(secret, QKD_KEY_SIZE_MAX);
	if (code)
		return code;
	key.size = size;
	out_begin();
	show_key(&key, false);
	return out_end();
}

static int do_claim(struct args *args)
{
	struct request req;
	struct sink sink;
	int code, fd, end;

	code = parse(args, CLAIM, &req);
	if (code)
		return code;
	if (!has(&req, HAS_TO))
		return usage_error(
			"a place is needed: \"to FILE\" or \"to -\"");
	no_dumps();
	fd = open_node(&req, O_RDONLY);
	code = sink_open(&sink, req.to);
	if (code)
		return code;
	code = claim(fd, &req, &sink);
	end = sink_close(&sink, !code);
	close(fd);
	return code ?: end;
}

/* A key of this end's allocation, or of an ID. */
static int take(int fd, const struct request *req,
		struct qkd_key_record *record, size_t *size)
{
	if (!has(req, HAS_ID)) {
		*size = req->size;
		return qkd_node_read(fd, record, *size);
	}
	memcpy(record->id, req->id, sizeof(record->id));
	return qkd_node_claim(fd, req->id, has(req, HAS_SIZE) ? req->size : 0,
			      &req->context, record->key, size);
}

static int export(int fd, const struct request *req)
{
	const size_t room = sizeof(struct qkd_key_record) + QKD_KEY_SIZE_MAX;
	struct qkd_key_record *record = secret_alloc(room);
	char id[QKD_KEY_ID_TEXT_LEN + 1], description[64];
	size_t size = QKD_KEY_SIZE_MAX;
	int32_t serial = -1;
	int err;

	err = take(fd, req, record, &size);
	if (!err) {
		snprintf(description, sizeof(description), "qkd:%s",
			 qkd_key_id_format(record->id, id));
		serial = keyring_add(description, record->key, size);
	}
	secret_free(record, room);
	if (err)
		return node_error(err);
	if (serial < 0)
		return EXIT_REFUSED;
	out_begin();
	out_open(NULL);
	out_str("id", "", id);
	out_uint("size", " size ", size);
	out_uint("serial", " serial ", serial);
	out_str("description", " description ", description);
	out_text("\n");
	out_close();
	return out_end();
}

static int do_export(struct args *args)
{
	struct request req;
	int code, fd;

	code = parse(args, EXPORT, &req);
	if (code)
		return code;
	if (strcmp(req.to, "keyring"))
		return usage_error("a place is needed: \"to keyring\"");
	no_dumps();
	fd = open_node(&req, O_RDONLY);
	code = export(fd, &req);
	close(fd);
	return code;
}

/* Looks a key up; the end of the program lets it go. */
static int do_peek(struct args *args)
{
	struct request req;
	struct qkd_key key;
	struct qkd_ctx *ctx;
	int code, err;

	code = parse(args, PEEK, &req);
	if (code)
		return code;
	ctx = kernel();
	err = qkd_key_peek(ctx, qkd_by_name(req.dev), req.id,
			   has(&req, HAS_SIZE) ? req.size : 0, &req.context,
			   &key);
	if (err)
		return kernel_error(ctx, err);
	out_begin();
	show_key(&key, true);
	return out_end();
}

static int do_status(struct args *args)
{
	struct request req;
	struct qkd_ctx *ctx;
	uint64_t available;
	uint32_t cls;
	int code, err;

	code = parse(args, STATUS, &req);
	if (code)
		return code;
	ctx = kernel();
	out_begin();
	for (cls = QKD_CLASS_CONTROL; cls <= QKD_CLASS_EXPORT; cls++) {
		if (has(&req, HAS_CLASS) && cls != req.class)
			continue;
		err = qkd_key_status(ctx, qkd_by_name(req.dev), cls, req.size,
				     &available);
		if (err)
			return kernel_error(ctx, err);
		out_open(NULL);
		out_str("class", "", qkd_enum_name(QKD_ENUM_CLASS, cls));
		out_uint("size", " size ", req.size);
		out_uint("available", " available ", available);
		out_text("\n");
		out_close();
	}
	return out_end();
}

/* What a key ID says of itself; no kernel is asked. */
static int do_show(struct args *args)
{
	const char *text = arg_value(args, "show");
	uint8_t id[QKD_KEY_ID_LEN];
	struct qkd_key_id f;
	char hex[16];

	if (qkd_key_id_parse(text, id) || qkd_key_id_fields(id, &f))
		return usage_error("\"%s\" is not a UUID of version 8", text);
	if (args->left)
		return arg_unknown(args, "key");
	out_begin();
	out_open(NULL);
	out_str("id", "", text);
	snprintf(hex, sizeof(hex), "%04x", f.link);
	out_str("link", " link ", hex);
	out_uint("label", " label ", f.label);
	out_str("stream", " stream ", qkd_enum_name(QKD_ENUM_STREAM, f.stream));
	out_str("class", " class ", qkd_enum_name(QKD_ENUM_CLASS, f.class_));
	out_uint("offset", " offset ", f.offset * QKD_KEY_UNIT);
	out_uint("size", " size ", (uint64_t)f.units * QKD_KEY_UNIT);
	out_text("\n");
	out_close();
	return out_end();
}

static const struct command commands[] = {
	{ "get", do_get },	 { "read", do_read }, { "claim", do_claim },
	{ "peek", do_peek },	 { "show", do_show }, { "status", do_status },
	{ "export", do_export }, { "help", do_help },
};

int do_key(struct args *args)
{
	if (!args->left) {
		fputs(help, stderr);
		return EXIT_USAGE;
	}
	return run_command("command", commands, ARRAY_SIZE(commands), args);
}
