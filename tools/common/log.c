// SPDX-License-Identifier: GPL-2.0-only
/* One line for each thing, on stderr; with its priority for the journal. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

#include "log.h"

static void log_line(int priority, const char *format, va_list ap)
{
	char line[1024];

	vsnprintf(line, sizeof(line), format, ap);
	if (getenv("JOURNAL_STREAM"))
		fprintf(stderr, "<%d>%s\n", priority, line);
	else
		fprintf(stderr, "%s: %s\n", program_invocation_short_name,
			line);
}

/**
 * log_error - say what went wrong, or was refused
 * @format: as for printf(), without a newline
 */
void log_error(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	log_line(LOG_ERR, format, ap);
	va_end(ap);
}

/**
 * complain - log what is wrong with something once, until it is right again
 * @name: of what it is about
 * @said: complaints about it that were logged
 * @what: bit of this one
 * @wrong: it is wrong now
 * @format: what is, as for printf(), without a newline
 */
void complain(const char *name, unsigned int *said, unsigned int what,
	      bool wrong, const char *format, ...)
{
	char text[512];
	va_list ap;

	if (wrong && !(*said & what)) {
		va_start(ap, format);
		vsnprintf(text, sizeof(text), format, ap);
		va_end(ap);
		log_error("%s: %s", name, text);
	}
	*said = wrong ? *said | what : *said & ~what;
}

/**
 * log_info - say what happened
 * @format: as for printf(), without a newline
 */
void log_info(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	log_line(LOG_INFO, format, ap);
	va_end(ap);
}
