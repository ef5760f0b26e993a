/* SPDX-License-Identifier: GPL-2.0-only */
/* Between the files of the qkd command. */
#ifndef QKD_TOOL_H
#define QKD_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <qkd/qkd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

enum exit_code {
	EXIT_OK,
	EXIT_USAGE, /* words that make no sense, or a file that is not there */
	EXIT_REFUSED, /* the kernel said no */
};

/* qkd.c */
struct options {
	bool json;
	bool pretty;
	bool statistics;
	bool timestamp;
	bool color;
};

extern struct options options;

struct args {
	char **next;
	int left;
};

struct command {
	const char *name;
	int (*run)(struct args *args);
};

int run_command(const char *what, const struct command *commands, size_t n,
		struct args *args);
struct qkd_ctx *kernel(void);

/* link.c, key.c, esp.c, macsec.c, wg.c, monitor.c */
int do_link(struct args *args);
int do_key(struct args *args);
int do_esp(struct args *args);
int do_macsec(struct args *args);
int do_wg(struct args *args);
int do_monitor(struct args *args);

/* esp-show.c */
void show_esp(const struct qkd_esp *esp);

/* macsec-show.c */
void show_macsec_sa(const struct qkd_macsec_sa *sa);
void show_ifname(uint32_t ifindex);
int show_macsecs(struct qkd_ctx *ctx, const struct qkd_macsec *wanted);

/* error.c */
int usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
int kernel_error(const struct qkd_ctx *ctx, int err);
int node_error(int err);
void warn_if_said(const struct qkd_ctx *ctx);

/* args.c */
enum arg_kind {
	ARG_STRING,
	ARG_U32,
	ARG_U64,
	ARG_SIZE,
	ARG_SIZE32,
	ARG_TIME,
	ARG_TIME32,
	ARG_SECONDS,
	ARG_RATE,
	ARG_QBER,
	ARG_ENUM, /* @value: enum qkd_enum */
	ARG_EXPORT,
	ARG_ADDR,
	ARG_CONSTANT, /* no value follows; it is @value */
};

/**
 * struct keyword - a word of the grammar that sets a member of a structure
 * @name: the word
 * @kind: what follows it
 * @attr: bit of the structure's mask
 * @offset: of the member
 * @size: of the member
 * @value: see &enum arg_kind
 * @where: commands that take it, in a mask of the caller's
 */
struct keyword {
	const char *name;
	enum arg_kind kind;
	int attr;
	size_t offset;
	size_t size;
	uint32_t value;
	unsigned int where;
};

#define KEYWORD(word, what, number, object, member, constant, mask) \
	{ .name = (word),                                           \
	  .kind = ARG_##what,                                       \
	  .attr = (number),                                         \
	  .offset = offsetof(object, member),                       \
	  .size = sizeof(((object *)0)->member),                    \
	  .value = (constant),                                      \
	  .where = (mask) }

const char *arg_next(struct args *args);
const char *arg_peek(const struct args *args);
bool arg_is(struct args *args, const char *word);
uint32_t arg_ifindex(struct args *args, const char *kind);
const char *arg_value(struct args *args, const char *word);
const char *arg_name(struct args *args, const char *word);
const char *arg_dev(struct args *args, const char *word);
bool arg_keyword(struct args *args, const struct keyword *table, size_t n,
		 unsigned int where, void *object, uint64_t *has);
int arg_unknown(struct args *args, const char *help);
uint64_t arg_number(const char *word, const char *text, uint64_t max);
uint64_t arg_size(const char *word, const char *text, uint64_t max);
uint32_t arg_enum(const char *word, const char *text, enum qkd_enum which);
void arg_addr(const char *word, const char *text, struct qkd_addr *addr);
void arg_prefix(const char *word, const char *text, struct qkd_addr *addr,
		uint32_t *prefix);
int arg_netns(const char *text);

/* output.c: as JSON or as text, from the same calls */
enum color {
	COLOR_NONE,
	COLOR_NAME,
	COLOR_INET,
	COLOR_INET6,
	COLOR_UP,
	COLOR_DOWN,
};

void out_begin(void);
int out_end(void);
void out_open(const char *key);
void out_close(void);
void out_array(const char *key);
void out_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
void out_str(const char *key, const char *before, const char *value);
void out_color(enum color color, const char *key, const char *before,
	       const char *value);
void out_uint(const char *key, const char *before, uint64_t value);
void out_hex(const char *key, const char *before, uint32_t value);
void out_flag(const char *key, const char *text, bool value);
void out_bytes(const char *key, const char *before, uint64_t bytes);
void out_rate(const char *key, const char *before, uint64_t rate);
void out_time(const char *key, const char *before, uint64_t ms);
void out_qber(const char *key, const char *before, uint32_t millionths);
void out_addr(const char *key, const char *before, const struct qkd_addr *addr);
void out_binary(const char *key, const char *before, const uint8_t *bytes,
		size_t n);
int out_line(void);

/* secret.c */
struct sink {
	const char *path;
	int fd;
};

void no_dumps(void);
void *secret_alloc(size_t size);
void secret_free(void *secret, size_t size);
ssize_t secret_read_file(const char *path, void *secret, size_t room);
int sink_open(struct sink *sink, const char *path);
int sink_write(struct sink *sink, const void *key, size_t size);
int sink_close(struct sink *sink, bool good);
int32_t keyring_add(const char *description, const void *key, size_t size);

#endif /* QKD_TOOL_H */
