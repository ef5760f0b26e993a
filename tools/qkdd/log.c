// SPDX-License-Identifier: GPL-2.0-only
/* One line for each thing, on stderr; with its priority for the journal. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

#include "qkdd.h"

static void log_line(int priority, const char *format, va_list ap)
{
	char line[1024];

	vsnprintf(line, sizeof(line), format, ap);
	if (getenv("JOURNAL_STREAM"))
		fprintf(stderr, "<%d>%s\n", priority, line);
	else
		fprintf(stderr, "qkdd: %s\n", line);
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
