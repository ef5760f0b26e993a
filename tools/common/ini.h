/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reader of configuration files: sections [WORD] or [WORD NAME], lines
 * "key = value" in them, comments after #. What is wrong is said as
 * FILE:LINE: WHAT, and all of it.
 */
#ifndef COMMON_INI_H
#define COMMON_INI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INI_ADDRESSES 8 /* in a list of them */
#define INI_SECOND 1000 /* times are in ms */
#define INI_HOUR (3600 * INI_SECOND)

/**
 * struct ini_addresses - where to listen
 * @n: number of them
 * @list: ADDRESS:PORT
 */
struct ini_addresses {
	size_t n;
	char list[INI_ADDRESSES][128];
};

struct ini_section;

/**
 * struct ini_reader - where we are in the file
 * @config: what is read; the caller's
 * @path: of the file
 * @sections: that there can be
 * @nsections: their number
 * @check: looks at what was read, with ini_bad() for what is wrong; or NULL
 * @line: number of the current line
 * @errors: their number
 * @section: the current section, NULL before the first
 * @object: what its keys set, NULL if the section is bad
 * @seen: which keys of the section there were
 *
 * The caller sets the first five.
 */
struct ini_reader {
	void *config;
	const char *path;
	const struct ini_section *sections;
	size_t nsections;
	void (*check)(struct ini_reader *reader);
	int line;
	int errors;
	const struct ini_section *section;
	char *object;
	uint64_t seen;
};

/**
 * struct ini_key - a key of a section
 * @name: as in the file
 * @set: takes its value; returns 0, or -1 after ini_bad()
 * @offset: of its member in the section's object
 * @size: of that member
 * @min: least value, for ini_set_time() and ini_set_number()
 * @max: most, likewise
 * @many: may be given more than once
 */
struct ini_key {
	const char *name;
	int (*set)(struct ini_reader *reader, const struct ini_key *key,
		   char *value);
	size_t offset;
	size_t size;
	uint32_t min;
	uint32_t max;
	bool many;
};

/**
 * struct ini_section - a section
 * @name: its word
 * @begin: gives the object that its keys set, or NULL after ini_bad(). @name is
 *	"" for [WORD].
 * @keys: that it can have, 64 at most
 * @nkeys: their number
 */
struct ini_section {
	const char *name;
	char *(*begin)(struct ini_reader *reader, char *name);
	const struct ini_key *keys;
	size_t nkeys;
};

#define INI_KEY(word, fn, type, member)     \
	{ .name = (word),                   \
	  .set = (fn),                      \
	  .offset = offsetof(type, member), \
	  .size = sizeof(((type *)0)->member) }
#define INI_RANGE(word, fn, type, member, least, most) \
	{ .name = (word),                              \
	  .set = (fn),                                 \
	  .offset = offsetof(type, member),            \
	  .min = (least),                              \
	  .max = (most) }
#define INI_MANY(word, fn, type, member)    \
	{ .name = (word),                   \
	  .set = (fn),                      \
	  .offset = offsetof(type, member), \
	  .many = true }

/* Reads all of the file, and has it checked; -1 if anything is wrong. */
int ini_read(struct ini_reader *reader);
int ini_bad(struct ini_reader *reader, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Arrays: one more element, zeroed, or a copy of that one. */
void *ini_grow(void *array, size_t *n, size_t size);
void *ini_append(void *array, size_t *n, size_t size, const void *element);
/* The element of that name, which is a string at the beginning of each. */
void *ini_find(const void *array, size_t n, size_t size, const char *name);

/* What is wrong with ADDRESS:PORT or [ADDRESS]:PORT, or NULL; whether it is an address
 * shows later.
 */
const char *address_wrong(const char *text);

/* Values: of a string that fits, of a plain word that does, of ADDRESS:PORT. */
int ini_copy(struct ini_reader *reader, const char *what, const char *value,
	     char *to, size_t size);
int ini_copy_name(struct ini_reader *reader, const char *what,
		  const char *value, char *to, size_t size);
int ini_check_address(struct ini_reader *reader, const char *what,
		      const char *value);

/* For struct ini_section: [WORD] alone, whose object is the configuration. */
char *ini_begin_only(struct ini_reader *reader, char *name);
/* The name of [WORD NAME]: a plain word that fits, and there is no @other yet. */
int ini_take_name(struct ini_reader *reader, const char *name, char *to,
		  size_t size, const void *other);

/* For struct ini_key: members are char[]; uint32_t in ms or of a number; uint64_t
 * of a number, 1 or more; and struct ini_addresses.
 */
int ini_set_string(struct ini_reader *reader, const struct ini_key *key,
		   char *value);
int ini_set_name(struct ini_reader *reader, const struct ini_key *key,
		 char *value);
int ini_set_address(struct ini_reader *reader, const struct ini_key *key,
		    char *value);
int ini_set_time(struct ini_reader *reader, const struct ini_key *key,
		 char *value);
int ini_set_number(struct ini_reader *reader, const struct ini_key *key,
		   char *value);
int ini_set_count(struct ini_reader *reader, const struct ini_key *key,
		  char *value);
int ini_add_address(struct ini_reader *reader, const struct ini_key *key,
		    char *value);

#endif /* COMMON_INI_H */
