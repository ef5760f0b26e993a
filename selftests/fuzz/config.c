// SPDX-License-Identifier: GPL-2.0-only
/* Configuration files of qkdd, for tools/qkdd/config.c. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../tools/qkdd/qkdd.h"
#include "../../tools/qkdd/supply.h"

static int errors;

/* In the place of log.c, which prints them. */
void log_error(const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	errors++;
}

static int check(const struct kme_config *config, char text[SUPPLY_TEXT_LEN])
{
	if (*config->url)
		return 0;
	strcpy(text, "there is no \"url\"");
	return -1;
}

/* In the place of supply.c and its protocols: they want an URL and no more. */
const struct supply_ops supply_014 = { .type = "etsi014", .check = check };
const struct supply_ops supply_004 = { .type = "etsi004", .check = check };

const struct supply_ops *supply_ops_of(const char *type)
{
	if (!strcmp(type, supply_004.type))
		return &supply_004;
	return strcmp(type, supply_014.type) ? NULL : &supply_014;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("config", 0);
	struct config *config;
	char path[32];

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	errors = 0;
	config = config_read(path);
	if (!config != !!errors)
		abort();
	config_free(config);
	close(fd);
	return 0;
}
