// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * No secret leaves charon by its logs or a core dump.
 *
 * At level 4 charon logs what keys are made of: "key exchange secret", "SK_d
 * secret" and so on. With this plugin that would be QKD key, so messages of that
 * level are dropped, in whatever log and group; all others pass. And as SK_d and
 * the keys of SAs are in charon's memory for as long as there are SAs, it
 * does not dump core, and others of its user can't attach to it.
 */
#include "qkd_quiet.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <daemon.h>

static void (*vlog_before)(bus_t *bus, debug_t group, level_t level,
			   char *format, va_list args);
static void (*log_before)(bus_t *bus, debug_t group, level_t level,
			  char *format, ...);

static void quiet_vlog(bus_t *bus, debug_t group, level_t level, char *format,
		       va_list args)
{
	if (level < LEVEL_PRIVATE)
		vlog_before(bus, group, level, format, args);
}

static void quiet_log(bus_t *bus, debug_t group, level_t level, char *format,
		      ...)
{
	va_list args;

	va_start(args, format);
	quiet_vlog(bus, group, level, format, args);
	va_end(args);
}

void qkd_quiet_init(void)
{
	static const struct rlimit none;

	/* What charon's own messages and those of the library come through. */
	vlog_before = charon->bus->vlog;
	log_before = charon->bus->log;
	charon->bus->vlog = quiet_vlog;
	charon->bus->log = quiet_log;
	if (prctl(PR_SET_DUMPABLE, 0) || setrlimit(RLIMIT_CORE, &none))
		DBG1(DBG_DMN, "QKD: core dumps can't be turned off: %s",
		     strerror(errno));
	DBG1(DBG_DMN,
	     "QKD: no core dumps, and no log messages of level %d, "
	     "which have keys",
	     LEVEL_PRIVATE);
}

void qkd_quiet_deinit(void)
{
	charon->bus->vlog = vlog_before;
	charon->bus->log = log_before;
}
