// SPDX-License-Identifier: LGPL-2.1-or-later
/* Lines of text for people, and hexadecimal. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kme.h"

int say(char text[KME_TEXT_LEN], int err, const char *format, ...)
{
	va_list args;
	char *p;

	va_start(args, format);
	vsnprintf(text, KME_TEXT_LEN, format, args);
	va_end(args);
	for (p = text; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	return err;
}

/* Without a table and without a branch on the digit: it may be a key's. */
static int nibble(unsigned char c)
{
	int digit = c - '0', letter = (c | 0x20) - 'a';
	int is_digit = (digit | (9 - digit)) >= 0;
	int is_letter = (letter | (5 - letter)) >= 0;

	return is_digit * digit + is_letter * (letter + 10) -
	       !(is_digit | is_letter);
}

ssize_t kme_from_hex(const char *text, size_t length, uint8_t *bytes,
		     size_t room)
{
	int high, low, wrong = 0;
	size_t i;

	if (length % 2 || length / 2 > room)
		return -1;
	for (i = 0; i < length; i += 2) {
		high = nibble(text[i]);
		low = nibble(text[i + 1]);
		wrong |= high | low;
		bytes[i / 2] = (unsigned int)high << 4 | low;
	}
	return wrong < 0 ? -1 : (ssize_t)(length / 2);
}
