// SPDX-License-Identifier: GPL-2.0-only
/* Output: the same calls print text or build JSON. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "qkd.h"

#define DEPTH 8

static json_t *stack[DEPTH];
static int depth;

static void out_of_memory(void)
{
	fputs("Error: Out of memory.\n", stderr);
	exit(EXIT_REFUSED);
}

/* Puts a value under a key, or at the end of an array. Takes the reference. */
static void put(const char *key, json_t *value)
{
	json_t *into = stack[depth - 1];
	int err;

	if (!value)
		out_of_memory();
	if (json_is_array(into))
		err = json_array_append_new(into, value);
	else
		err = json_object_set_new_nocheck(into, key, value);
	if (err)
		out_of_memory();
}

static void push(const char *key, json_t *value)
{
	if (!value || depth == DEPTH)
		out_of_memory();
	if (depth)
		put(key, value);
	stack[depth++] = value;
}

/* The output is a list, as ip's is. */
void out_begin(void)
{
	if (options.json)
		push(NULL, json_array());
}

static size_t flags(void)
{
	return options.pretty ? JSON_INDENT(4) : JSON_COMPACT;
}

static int flush(void)
{
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "Error: Cannot write: %s.\n", strerror(errno));
		return EXIT_USAGE;
	}
	return EXIT_OK;
}

/* Ends what was begun or opened last at the root, and prints it. */
int out_end(void)
{
	if (options.json) {
		json_dumpf(stack[0], stdout, flags());
		putchar('\n');
		json_decref(stack[0]);
		depth = 0;
	}
	return flush();
}

void out_open(const char *key)
{
	if (options.json)
		push(key, json_object());
}

void out_array(const char *key)
{
	if (options.json)
		push(key, json_array());
}

void out_close(void)
{
	if (options.json)
		depth--;
}

/* Ends one line of a stream of them. */
int out_line(void)
{
	if (options.json)
		return out_end();
	putchar('\n');
	return flush();
}

/* For text alone. */
void out_text(const char *format, ...)
{
	va_list ap;

	if (options.json)
		return;
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
}

void out_color(enum color color, const char *key, const char *before,
	       const char *value)
{
	static const char *const codes[] = {
		[COLOR_NAME] = "\033[36m",  [COLOR_INET] = "\033[35m",
		[COLOR_INET6] = "\033[34m", [COLOR_UP] = "\033[32m",
		[COLOR_DOWN] = "\033[31m",
	};

	if (options.json)
		put(key, json_string(value) ?: json_string("(not UTF-8)"));
	else if (options.color && color != COLOR_NONE)
		printf("%s%s%s\033[0m", before, codes[color], value);
	else
		printf("%s%s", before, value);
}

void out_str(const char *key, const char *before, const char *value)
{
	out_color(COLOR_NONE, key, before, value);
}

void out_uint(const char *key, const char *before, uint64_t value)
{
	if (options.json)
		put(key, json_integer(value));
	else
		printf("%s%" PRIu64, before, value);
}

void out_hex(const char *key, const char *before, uint32_t value)
{
	if (options.json)
		put(key, json_integer(value));
	else
		printf("%s0x%x", before, value);
}

/* @text is printed if it is true. */
void out_flag(const char *key, const char *text, bool value)
{
	if (options.json)
		put(key, json_boolean(value));
	else if (value)
		fputs(text, stdout);
}

/* The largest unit that leaves a whole number, else four digits of it. */
static void print_scaled(const char *before, uint64_t value, uint64_t step,
			 const char *const *units, size_t n)
{
	uint64_t factor = 1;
	size_t i = 0;

	while (i + 1 < n && value / factor >= step) {
		factor *= step;
		i++;
	}
	if (value % factor)
		printf("%s%.4g%s", before, (double)value / factor, units[i]);
	else
		printf("%s%" PRIu64 "%s", before, value / factor, units[i]);
}

void out_bytes(const char *key, const char *before, uint64_t bytes)
{
	static const char *const units[] = { "", "K", "M", "G", "T" };

	if (options.json)
		put(key, json_integer(bytes));
	else
		print_scaled(before, bytes, 1024, units, ARRAY_SIZE(units));
}

void out_rate(const char *key, const char *before, uint64_t rate)
{
	static const char *const units[] = { "bit", "Kbit", "Mbit", "Gbit",
					     "Tbit" };

	if (options.json)
		put(key, json_integer(rate));
	else
		print_scaled(before, rate, 1000, units, ARRAY_SIZE(units));
}

void out_time(const char *key, const char *before, uint64_t ms)
{
	if (options.json)
		put(key, json_integer(ms));
	else if (ms % 1000)
		printf("%s%" PRIu64 "ms", before, ms);
	else if (ms)
		printf("%s%" PRIu64 "s", before, ms / 1000);
	else
		printf("%s0", before);
}

/* A fraction in JSON, percent in text. */
void out_qber(const char *key, const char *before, uint32_t millionths)
{
	if (options.json)
		put(key, json_real(millionths / 1e6));
	else
		printf("%s%.6g%%", before, millionths / 1e4);
}

void out_addr(const char *key, const char *before, const struct qkd_addr *addr)
{
	char text[INET6_ADDRSTRLEN] = "?";

	inet_ntop(addr->family, addr->bytes, text, sizeof(text));
	out_color(addr->family == AF_INET ? COLOR_INET : COLOR_INET6, key,
		  before, text);
}

/* Public bytes such as hashes, in hexadecimal. */
void out_binary(const char *key, const char *before, const uint8_t *bytes,
		size_t n)
{
	char text[2 * QKD_CONTEXT_LEN + 1];
	size_t i;

	for (i = 0; i < n && i < QKD_CONTEXT_LEN; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	text[2 * i] = '\0';
	out_str(key, before, text);
}
