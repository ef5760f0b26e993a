// SPDX-License-Identifier: GPL-2.0-only
/* qkd-kme: a KME by ETSI GS QKD 014 and 004 in front of QKD links of the kernel. */
#include <stdio.h>

#include <systemd/sd-daemon.h>

#include "kme.h"
#include "stream.h"

#define CONFIG "/etc/qkd/qkd-kme.conf"

struct config *config;

static const char *path;

/* All or nothing: what is wrong with it was said. */
static bool configure(void)
{
	struct config *new = config_read(path);
	struct tls *tls = new ? tls_load(new) : NULL;

	if (!tls) {
		config_free(new);
		return false;
	}
	if (config)
		config_inherit(new, config);
	config_free(config);
	config = new;
	tls_use(tls);
	return true;
}

static void on_reload(evutil_socket_t signal, short what, void *arg)
{
	(void)signal;
	(void)what;
	(void)arg;
	if (!configure()) {
		log_error("%s: the old configuration stays", path);
		return;
	}
	log_info("%s: read again", path);
	http_renew();
	face004_renew();
}

static void on_stats(evutil_socket_t signal, short what, void *arg)
{
	(void)signal;
	(void)what;
	(void)arg;
	stats_log();
}

static int run(void)
{
	bool good;

	if (!daemon_begin())
		return EXIT_FAILED;
	if (etsi004_init()) { /* from now on jansson wipes what it frees */
		log_error("libcurl cannot start");
		return EXIT_FAILED;
	}
	if (!configure() || !links_open())
		return EXIT_FAILED;
	daemon_listen(on_reload, on_stats);
	good = face004_start(config) && http_start(config);
	if (good) {
		sd_notify(0, "READY=1");
		event_base_dispatch(base);
		sd_notify(0, "STOPPING=1");
	}
	face004_stop();
	http_stop();
	stats_log();
	group_flush();
	links_close();
	tls_use(NULL);
	daemon_end();
	config_free(config);
	return good ? EXIT_OK : EXIT_FAILED;
}

static int check_config(void)
{
	struct config *new = config_read(path);
	struct tls *tls = new ? tls_load(new) : NULL;
	bool good = tls;

	tls_put(tls);
	config_free(new);
	return config_checked(path, good);
}

int main(int argc, char **argv)
{
	struct command_line line = { .name = "qkd-kme", .path = CONFIG };
	int status = command_line_parse(&line, argc, argv);

	if (status >= 0)
		return status;
	path = line.path;
	return line.check ? check_config() : run();
}
