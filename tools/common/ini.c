// SPDX-License-Identifier: GPL-2.0-only
/* Reader of configuration files: see ini.h. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ini.h"
#include "log.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define LINE_LEN 1024

int ini_bad(struct ini_reader *reader, int line, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	log_error("%s:%d: %s", reader->path, line, text);
	reader->errors++;
	return -1;
}

int ini_copy(struct ini_reader *reader, const char *what, const char *value,
	     char *to, size_t size)
{
	size_t length = strlen(value);

	if (!length || length >= size)
		return ini_bad(reader, reader->line,
			       "%s \"%s\" is not of 1 to %zu bytes", what,
			       value, size - 1);
	memcpy(to, value, length + 1);
	return 0;
}

/* Names are shown in logs and sent to peers. */
int ini_copy_name(struct ini_reader *reader, const char *what,
		  const char *value, char *to, size_t size)
{
	const char *p;

	for (p = value; *p; p++)
		if (!isgraph((unsigned char)*p) || strchr("/\"[]", *p))
			return ini_bad(reader, reader->line,
				       "%s \"%s\" is no plain word", what,
				       value);
	return ini_copy(reader, what, value, to, size);
}

int ini_set_string(struct ini_reader *reader, const struct ini_key *key,
		   char *value)
{
	return ini_copy(reader, key->name, value, reader->object + key->offset,
			key->size);
}

int ini_set_name(struct ini_reader *reader, const struct ini_key *key,
		 char *value)
{
	return ini_copy_name(reader, key->name, value,
			     reader->object + key->offset, key->size);
}

const char *address_wrong(const char *text)
{
	const char *port = strrchr(text, ':'), *end;

	if (*text == '[') {
		end = strchr(text, ']');
		port = end && end[1] == ':' ? end + 1 : NULL;
	} else if (port && strchr(text, ':') != port) {
		return "is not ADDRESS:PORT: write an IPv6 address in brackets";
	}
	if (!port || port == text || !port[1] ||
	    strspn(port + 1, "0123456789") != strlen(port + 1) ||
	    strtoul(port + 1, NULL, 10) - 1 >= 65535)
		return "is not ADDRESS:PORT";
	return NULL;
}

int ini_check_address(struct ini_reader *reader, const char *what,
		      const char *value)
{
	const char *wrong = address_wrong(value);

	return wrong ? ini_bad(reader, reader->line, "%s \"%s\" %s", what,
			       value, wrong) :
		       0;
}

int ini_set_address(struct ini_reader *reader, const struct ini_key *key,
		    char *value)
{
	return ini_check_address(reader, key->name, value) ?:
		       ini_set_string(reader, key, value);
}

/* A number and its unit; 0 if it is none. */
static uint64_t read_time(const char *text)
{
	static const struct {
		const char *unit;
		uint32_t ms;
	} units[] = {
		{ "ms", 1 },
		{ "s", INI_SECOND },
		{ "m", 60 * INI_SECOND },
		{ "h", INI_HOUR },
	};
	unsigned long value;
	char *end;
	size_t i;

	if (*text < '0' || *text > '9')
		return 0;
	value = strtoul(text, &end, 10);
	for (i = 0; i < ARRAY_SIZE(units) && value <= UINT32_MAX; i++)
		if (!strcmp(end, units[i].unit))
			return (uint64_t)value * units[i].ms;
	return 0;
}

static const char *time_text(uint32_t ms, char text[32])
{
	if (ms % INI_SECOND)
		snprintf(text, 32, "%ums", ms);
	else
		snprintf(text, 32, "%us", ms / INI_SECOND);
	return text;
}

int ini_set_time(struct ini_reader *reader, const struct ini_key *key,
		 char *value)
{
	uint64_t ms = read_time(value);
	char min[32], max[32];

	if (ms < key->min || ms > key->max)
		return ini_bad(reader, reader->line,
			       "%s \"%s\" is not a time from %s to %s",
			       key->name, value, time_text(key->min, min),
			       time_text(key->max, max));
	*(uint32_t *)(reader->object + key->offset) = ms;
	return 0;
}

int ini_set_number(struct ini_reader *reader, const struct ini_key *key,
		   char *value)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(value, &end, 10);
	if (*value < '0' || *value > '9' || *end || errno ||
	    number < key->min || number > key->max)
		return ini_bad(reader, reader->line,
			       "%s \"%s\" is not a number from %u to %u",
			       key->name, value, key->min, key->max);
	*(uint32_t *)(reader->object + key->offset) = number;
	return 0;
}

int ini_set_count(struct ini_reader *reader, const struct ini_key *key,
		  char *value)
{
	uint64_t *to = (uint64_t *)(reader->object + key->offset);
	char *end;

	errno = 0;
	*to = strtoull(value, &end, 10);
	if (*value < '0' || *value > '9' || *end || errno || !*to)
		return ini_bad(reader, reader->line,
			       "%s \"%s\" is not a number, 1 or more",
			       key->name, value);
	return 0;
}

int ini_add_address(struct ini_reader *reader, const struct ini_key *key,
		    char *value)
{
	struct ini_addresses *to =
		(struct ini_addresses *)(reader->object + key->offset);

	if (ini_check_address(reader, key->name, value))
		return -1;
	if (to->n == INI_ADDRESSES)
		return ini_bad(reader, reader->line, "more than %d addresses",
			       INI_ADDRESSES);
	return ini_copy(reader, key->name, value, to->list[to->n++],
			sizeof(to->list[0]));
}

char *ini_begin_only(struct ini_reader *reader, char *name)
{
	if (!*name)
		return reader->config;
	ini_bad(reader, reader->line, "[%s] takes no name",
		reader->section->name);
	return NULL;
}

int ini_take_name(struct ini_reader *reader, const char *name, char *to,
		  size_t size, const void *other)
{
	const char *word = reader->section->name;

	if (ini_copy_name(reader, word, name, to, size))
		return -1;
	if (!other)
		return 0;
	return ini_bad(reader, reader->line, "%s \"%s\" is there already", word,
		       name);
}

void *ini_grow(void *array, size_t *n, size_t size)
{
	char *bigger = realloc(array, (*n + 1) * size);

	if (!bigger) {
		log_error("out of memory");
		exit(1);
	}
	memset(bigger + *n * size, 0, size);
	++*n;
	return bigger;
}

void *ini_append(void *array, size_t *n, size_t size, const void *element)
{
	char *bigger = ini_grow(array, n, size);

	memcpy(bigger + (*n - 1) * size, element, size);
	return bigger;
}

void *ini_find(const void *array, size_t n, size_t size, const char *name)
{
	const char *element = array;
	size_t i;

	for (i = 0; i < n; i++, element += size)
		if (!strcmp(element, name))
			return (void *)element;
	return NULL;
}

static char *trim(char *text)
{
	char *end = text + strlen(text);

	while (end > text && isspace((unsigned char)end[-1]))
		*--end = '\0';
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

static void no_section(struct ini_reader *reader, const char *name)
{
	char known[256] = "";
	size_t i, at = 0;

	for (i = 0; i < reader->nsections && at < sizeof(known); i++)
		at += snprintf(known + at, sizeof(known) - at, "%s%s",
			       i ? ", " : "", reader->sections[i].name);
	ini_bad(reader, reader->line, "section \"%s\" is none of %s", name,
		known);
}

/* [WORD] or [WORD NAME] */
static void read_section(struct ini_reader *reader, char *text)
{
	char *end = strchr(text, ']'), *name;
	size_t i;

	reader->section = NULL;
	reader->object = NULL;
	reader->seen = 0;
	if (!end || end[1]) {
		ini_bad(reader, reader->line, "\"%s\" does not end in ]", text);
		return;
	}
	*end = '\0';
	text = trim(text + 1);
	name = text + strcspn(text, " \t");
	if (*name)
		*name++ = '\0';
	name = trim(name);
	for (i = 0; i < reader->nsections; i++)
		if (!strcmp(reader->sections[i].name, text))
			reader->section = &reader->sections[i];
	if (reader->section)
		reader->object = reader->section->begin(reader, name);
	else
		no_section(reader, text);
}

static void read_key(struct ini_reader *reader, char *text)
{
	const struct ini_section *section = reader->section;
	char *value = strchr(text, '=');
	size_t i;

	if (!value) {
		ini_bad(reader, reader->line, "\"%s\" is no \"key = value\"",
			text);
		return;
	}
	*value++ = '\0';
	text = trim(text);
	if (!section) {
		ini_bad(reader, reader->line, "\"%s\" is in no section", text);
		return;
	}
	if (!reader->object)
		return;
	for (i = 0; i < section->nkeys; i++)
		if (!strcmp(section->keys[i].name, text))
			break;
	if (i == section->nkeys) {
		ini_bad(reader, reader->line, "[%s] has no key \"%s\"",
			section->name, text);
		return;
	}
	if (reader->seen & UINT64_C(1) << i && !section->keys[i].many) {
		ini_bad(reader, reader->line, "\"%s\" was given already", text);
		return;
	}
	reader->seen |= UINT64_C(1) << i;
	section->keys[i].set(reader, &section->keys[i], trim(value));
}

static void read_line(struct ini_reader *reader, char *line)
{
	line[strcspn(line, "#\n")] = '\0';
	line = trim(line);
	if (*line == '[')
		read_section(reader, line);
	else if (*line)
		read_key(reader, line);
}

int ini_read(struct ini_reader *reader)
{
	FILE *file = fopen(reader->path, "re");
	char line[LINE_LEN];

	if (!file) {
		log_error("%s: %s", reader->path, strerror(errno));
		return -1;
	}
	while (fgets(line, sizeof(line), file)) {
		reader->line++;
		if (strlen(line) == sizeof(line) - 1) {
			ini_bad(reader, reader->line, "the line is too long");
			break;
		}
		read_line(reader, line);
	}
	if (ferror(file))
		ini_bad(reader, reader->line, "%s", strerror(errno));
	fclose(file);
	if (reader->check)
		reader->check(reader);
	return reader->errors ? -1 : 0;
}
