// SPDX-License-Identifier: LGPL-2.1-or-later
/* Key IDs: a UUID of version 8, its text and its fields. They are public. */
#include <stdio.h>

#include "internal.h"

static uint64_t be(const uint8_t *p, int bytes)
{
	uint64_t value = 0;

	while (bytes--)
		value = value << 8 | *p++;
	return value;
}

int qkd_key_id_fields(const uint8_t id[QKD_KEY_ID_LEN],
		      struct qkd_key_id *fields)
{
	uint64_t a = be(id, 6), b = be(id + 6, 2), c = be(id + 8, 8);

	if (b >> 12 != 8 || c >> 62 != 2)
		return -EINVAL;
	memset(fields, 0, sizeof(*fields));
	fields->link = a >> 32;
	fields->label = a >> 16;
	fields->stream = a >> 14 & 3;
	fields->class_ = a >> 11 & 7;
	fields->offset = (a & 0x7ff) << 28 | (b & 0xfff) << 16 |
			 (c >> 46 & 0xffff);
	fields->units = c >> 40 & 0x3f;
	fields->tag = c & 0xffffffffff;
	return 0;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Hyphens follow these bytes of a UUID. */
static bool hyphen_after(int byte)
{
	return byte == 3 || byte == 5 || byte == 7 || byte == 9;
}

int qkd_key_id_parse(const char *text, uint8_t id[QKD_KEY_ID_LEN])
{
	int i, high, low;

	for (i = 0; i < QKD_KEY_ID_LEN; i++) {
		high = digit(text[0]);
		if (high < 0)
			return -EINVAL;
		low = digit(text[1]);
		if (low < 0)
			return -EINVAL;
		id[i] = high << 4 | low;
		text += 2;
		if (hyphen_after(i) && *text++ != '-')
			return -EINVAL;
	}
	return *text ? -EINVAL : 0;
}

char *qkd_key_id_format(const uint8_t id[QKD_KEY_ID_LEN],
			char text[QKD_KEY_ID_TEXT_LEN + 1])
{
	char *p = text;
	int i;

	for (i = 0; i < QKD_KEY_ID_LEN; i++) {
		p += sprintf(p, "%02x", id[i]);
		if (hyphen_after(i))
			*p++ = '-';
	}
	*p = '\0';
	return text;
}
