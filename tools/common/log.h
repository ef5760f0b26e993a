/* SPDX-License-Identifier: GPL-2.0-only */
/* The log of a daemon. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void complain(const char *name, unsigned int *said, unsigned int what,
	      bool wrong, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

#endif /* COMMON_LOG_H */
