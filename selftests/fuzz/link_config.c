// SPDX-License-Identifier: GPL-2.0-only
/*
 * Configuration files of qkd-link, for tools/qkd-link/config.c; of a model that is allowed
 * there are formulas, and what they say is a number.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../tools/qkd-link/cascade.h"
#include "../../tools/qkd-link/ldpc.h"
#include "../../tools/qkd-link/link.h"
#include "../../tools/qkd-link/report.h"

static int errors;

/* In the place of log.c, which prints them. */
void log_error(const char *format, ...)
{
	char text[8192];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	errors++;
}

/* In the place of report.c. */
int report_check_name(const char *path)
{
	return *path ? 0 : -1;
}

/* recon.c has the names of these, and nobody runs them. */
int cascade(bool alice, struct talk *talk, struct bits *key, double qber,
	    struct recon_result *result)
{
	(void)alice;
	(void)talk;
	(void)key;
	(void)qber;
	(void)result;
	abort();
}

int ldpc(bool alice, struct talk *talk, struct bits *key, double qber,
	 struct recon_result *result)
{
	return cascade(alice, talk, key, qber, result);
}

static bool is_share(double x)
{
	return x >= 0 && x <= 1;
}

static void check_model(const struct model *model)
{
	static const double times[] = { 0, 100, 1e6 };
	struct expected expected;
	struct state state;
	size_t i;

	for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		model_state(model, times[i], &state);
		if (!is_share(state.transmittance) ||
		    !is_share(state.background))
			abort();
		rate_expected(model, &state, &expected);
		if (!is_share(expected.sifted) || !is_share(expected.error) ||
		    !(expected.key >= 0 && expected.key <= expected.sifted))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("config", 0), err;
	struct settings settings;
	char path[32];

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	errors = 0;
	settings_default(&settings);
	err = settings_read(&settings, path);
	if (!err != !errors)
		abort();
	if (!err && !settings_check(&settings))
		check_model(&settings.model);
	close(fd);
	return 0;
}
