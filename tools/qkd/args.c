// SPDX-License-Identifier: GPL-2.0-only
/* Words of the command line. What makes no sense ends the program. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "qkd.h"

const char *arg_peek(const struct args *args)
{
	return args->left ? *args->next : NULL;
}

const char *arg_next(struct args *args)
{
	if (!args->left)
		return NULL;
	args->left--;
	return *args->next++;
}

/* Takes the next word if it is @word. */
bool arg_is(struct args *args, const char *word)
{
	if (!args->left || strcmp(*args->next, word))
		return false;
	arg_next(args);
	return true;
}

const char *arg_value(struct args *args, const char *word)
{
	if (!args->left)
		exit(usage_error("\"%s\" needs a value", word));
	return arg_next(args);
}

/* The index of a device whose name is the next word. @kind: what it has to be. */
uint32_t arg_ifindex(struct args *args, const char *kind)
{
	const char *name = arg_next(args);
	uint32_t ifindex;

	if (!name)
		exit(usage_error("the name of a %s device is needed", kind));
	ifindex = if_nametoindex(name);
	if (!ifindex)
		exit(usage_error("device \"%s\": %s", name, strerror(errno)));
	return ifindex;
}

/* Name of a link, after an optional @word as in "set dev qkd0 up". */
const char *arg_dev(struct args *args, const char *word)
{
	if (args->left > 1)
		arg_is(args, word);
	if (!args->left)
		exit(usage_error("the name of a link is needed"));
	return arg_name(args, word);
}

/* The name of a link that follows @word. */
const char *arg_name(struct args *args, const char *word)
{
	const char *name = arg_value(args, word);

	if (!*name || strlen(name) > QKD_NAME_LEN)
		exit(usage_error("\"%s\" is not a name of 1 to %d bytes", name,
				 QKD_NAME_LEN));
	return name;
}

int arg_unknown(struct args *args, const char *help)
{
	return usage_error("\"%s\" is unknown here, try \"qkd %s help\"",
			   arg_peek(args), help);
}

uint64_t arg_number(const char *word, const char *text, uint64_t max)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (*text < '0' || *text > '9' || *end)
		exit(usage_error("%s \"%s\" is not a number", word, text));
	if (errno || value > max)
		exit(usage_error("%s \"%s\" is more than %llu", word, text,
				 (unsigned long long)max));
	return value;
}

struct unit {
	const char *name;
	double factor;
};

/* A decimal number with one of the units, rounded to a whole one. */
static uint64_t scaled(const char *word, const char *text,
		       const struct unit *units, size_t n, uint64_t max,
		       const char *example)
{
	double value;
	char *end;
	size_t i;

	value = strtod(text, &end);
	if (*text < '0' || *text > '9' || end == text || strpbrk(text, "xX"))
		exit(usage_error("%s \"%s\" is not a number such as %s", word,
				 text, example));
	for (i = 0; i < n; i++)
		if (!strcasecmp(units[i].name, end))
			break;
	if (i == n)
		exit(usage_error("%s \"%s\" has no known unit, as %s has", word,
				 text, example));
	value = value * units[i].factor + 0.5;
	if (!(value < (double)max + 1) || value >= 0x1p63)
		exit(usage_error("%s \"%s\" is too large", word, text));
	return value;
}

uint64_t arg_size(const char *word, const char *text, uint64_t max)
{
	static const struct unit units[] = {
		{ "", 1 },	  { "b", 1 },	     { "k", 0x1p10 },
		{ "kb", 0x1p10 }, { "kib", 0x1p10 }, { "m", 0x1p20 },
		{ "mb", 0x1p20 }, { "mib", 0x1p20 }, { "g", 0x1p30 },
		{ "gb", 0x1p30 }, { "gib", 0x1p30 },
	};

	return scaled(word, text, units, ARRAY_SIZE(units), max, "64k or 1M");
}

static uint64_t arg_rate(const char *word, const char *text)
{
	static const struct unit units[] = {
		{ "", 1 },	     { "bit", 1 },	  { "bit/s", 1 },
		{ "kbit", 1e3 },     { "kbit/s", 1e3 },	  { "mbit", 1e6 },
		{ "mbit/s", 1e6 },   { "gbit", 1e9 },	  { "gbit/s", 1e9 },
		{ "tbit", 1e12 },    { "tbit/s", 1e12 },  { "kibit", 0x1p10 },
		{ "mibit", 0x1p20 }, { "gibit", 0x1p30 }, { "bps", 8 },
		{ "kbps", 8e3 },     { "mbps", 8e6 },	  { "gbps", 8e9 },
	};

	return scaled(word, text, units, ARRAY_SIZE(units), INT64_MAX,
		      "500kbit or 10mbit");
}

/* In ms. Only 0 needs no unit. */
static uint64_t arg_time(const char *word, const char *text, uint64_t max)
{
	static const struct unit units[] = {
		{ "ms", 1 },	 { "msec", 1 },	   { "s", 1e3 },
		{ "sec", 1e3 },	 { "m", 60e3 },	   { "min", 60e3 },
		{ "h", 3600e3 }, { "d", 86400e3 },
	};

	if (!strcmp(text, "0"))
		return 0;
	return scaled(word, text, units, ARRAY_SIZE(units), max,
		      "300s or 50ms");
}

/* As ip has it: a number alone is of seconds. */
static uint64_t arg_seconds(const char *word, const char *text)
{
	uint64_t ms;

	if (*text && strspn(text, "0123456789") == strlen(text))
		return arg_number(word, text, INT64_MAX);
	ms = arg_time(word, text, INT64_MAX);
	if (ms % 1000)
		exit(usage_error("%s \"%s\" is not a number of seconds", word,
				 text));
	return ms / 1000;
}

/* In millionths. */
static uint32_t arg_qber(const char *word, const char *text)
{
	static const struct unit units[] = { { "", 1e6 }, { "%", 1e4 } };

	return scaled(word, text, units, ARRAY_SIZE(units), 500000,
		      "0.03 or 3%");
}

uint32_t arg_enum(const char *word, const char *text, enum qkd_enum which)
{
	char known[256] = "";
	const char *name;
	uint32_t i;
	int value;

	value = qkd_enum_value(which, text);
	if (value >= 0)
		return value;
	for (i = 0; i < 64; i++) {
		name = qkd_enum_name(which, i);
		if (!strcmp(name, "?"))
			continue;
		strncat(known, *known ? ", " : "",
			sizeof(known) - strlen(known) - 1);
		strncat(known, name, sizeof(known) - strlen(known) - 1);
	}
	exit(usage_error("%s \"%s\" is none of %s", word, text, known));
}

/* Names with commas between them, or none. */
static uint32_t arg_export(const char *word, const char *text)
{
	static const char *const names[] = { "control", "export" };
	static const uint32_t bits[] = { QKD_EXPORT_MASK_CONTROL,
					 QKD_EXPORT_MASK_EXPORT };
	const char *p = text;
	uint32_t mask = 0;
	size_t length, i;

	if (!strcmp(text, "none"))
		return 0;
	for (;;) {
		length = strcspn(p, ",");
		for (i = 0; i < ARRAY_SIZE(names); i++)
			if (length == strlen(names[i]) &&
			    !strncmp(names[i], p, length))
				break;
		if (i == ARRAY_SIZE(names))
			exit(usage_error(
				"%s \"%s\" is not none, control, export or control,export",
				word, text));
		mask |= bits[i];
		if (!p[length])
			return mask;
		p += length + 1;
	}
}

static bool parse_addr(const char *text, struct qkd_addr *addr)
{
	if (inet_pton(AF_INET, text, addr->bytes) == 1)
		addr->family = AF_INET;
	else if (inet_pton(AF_INET6, text, addr->bytes) == 1)
		addr->family = AF_INET6;
	else
		return false;
	return true;
}

void arg_addr(const char *word, const char *text, struct qkd_addr *addr)
{
	if (!parse_addr(text, addr))
		exit(usage_error("%s \"%s\" is not an address", word, text));
}

/* ADDRESS[/LENGTH] */
void arg_prefix(const char *word, const char *text, struct qkd_addr *addr,
		uint32_t *prefix)
{
	char address[INET6_ADDRSTRLEN];
	size_t length = strcspn(text, "/");
	uint32_t max;

	if (length >= sizeof(address))
		exit(usage_error("%s \"%s\" is not an address", word, text));
	memcpy(address, text, length);
	address[length] = '\0';
	if (!parse_addr(address, addr))
		exit(usage_error("%s \"%s\" is not an address", word, text));
	max = addr->family == AF_INET ? 32 : 128;
	*prefix = text[length] ?
			  arg_number("prefix length", text + length + 1, max) :
			  max;
}

/* A name below /run/netns, a process or a path. Returns a file descriptor. */
int arg_netns(const char *text)
{
	char path[4096];
	int fd;

	if (strchr(text, '/'))
		snprintf(path, sizeof(path), "%s", text);
	else
		snprintf(path, sizeof(path), "/run/netns/%s", text);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT &&
	    strspn(text, "0123456789") == strlen(text)) {
		snprintf(path, sizeof(path), "/proc/%s/ns/net", text);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0)
		exit(usage_error("netns \"%s\": %s", text, strerror(errno)));
	return fd;
}

static void set_string(const struct keyword *k, const char *text, void *member)
{
	size_t length = strlen(text);

	if (!length || length >= k->size)
		exit(usage_error("%s \"%s\" is not of 1 to %zu bytes", k->name,
				 text, k->size - 1));
	memcpy(member, text, length + 1);
}

static void set_member(const struct keyword *k, const char *text, void *member)
{
	uint64_t *wide = member;
	uint32_t *word = member;

	switch (k->kind) {
	case ARG_STRING:
		set_string(k, text, member);
		break;
	case ARG_U32:
		*word = arg_number(k->name, text, UINT32_MAX);
		break;
	case ARG_U64:
		*wide = arg_number(k->name, text, UINT64_MAX);
		break;
	case ARG_SIZE:
		*wide = arg_size(k->name, text, INT64_MAX);
		break;
	case ARG_SIZE32:
		*word = arg_size(k->name, text, UINT32_MAX);
		break;
	case ARG_TIME:
		*wide = arg_time(k->name, text, INT64_MAX);
		break;
	case ARG_TIME32:
		*word = arg_time(k->name, text, UINT32_MAX);
		break;
	case ARG_SECONDS:
		*wide = arg_seconds(k->name, text);
		break;
	case ARG_RATE:
		*wide = arg_rate(k->name, text);
		break;
	case ARG_QBER:
		*word = arg_qber(k->name, text);
		break;
	case ARG_ENUM:
		*word = arg_enum(k->name, text, k->value);
		break;
	case ARG_EXPORT:
		*word = arg_export(k->name, text);
		break;
	case ARG_ADDR:
		arg_addr(k->name, text, member);
		break;
	case ARG_CONSTANT:
		*word = k->value;
		break;
	}
}

/* Takes the next word, and its value, if the table has it for @where. */
bool arg_keyword(struct args *args, const struct keyword *table, size_t n,
		 unsigned int where, void *object, uint64_t *has)
{
	const char *word = arg_peek(args), *text = NULL;
	const struct keyword *k;

	for (k = table; k < table + n; k++)
		if (k->where & where && !strcmp(k->name, word))
			break;
	if (k == table + n)
		return false;
	arg_next(args);
	if (*has & QKD_HAS(k->attr))
		exit(usage_error("\"%s\" was given already", word));
	if (k->kind != ARG_CONSTANT)
		text = arg_value(args, word);
	set_member(k, text, (char *)object + k->offset);
	*has |= QKD_HAS(k->attr);
	return true;
}
