// SPDX-License-Identifier: GPL-2.0-only
/*
 * Load for the benchmarks:
 *   load sas LINK N	add N outbound SAs that no policy uses
 *   load keys LINK PEER NETNS N
 *			N keys of 32 bytes: allocated, and peeked and committed
 *			at the peer's end in NETNS; prints rates per second
 */
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <qkd/qkd.h>

#define BATCH 64
#define SPI_FIRST 0x100000

static struct qkd_ctx *open_in(const char *netns)
{
	struct qkd_ctx *ctx;
	int rc;

	if (netns) {
		char path[256];
		int fd;

		snprintf(path, sizeof(path), "/run/netns/%s", netns);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || setns(fd, CLONE_NEWNET))
			err(1, "%s", path);
		close(fd);
	}
	rc = qkd_open(&ctx);
	if (rc)
		errx(1, "qkd: %s", strerror(-rc));
	return ctx;
}

static void must(struct qkd_ctx *ctx, const char *what, int err)
{
	if (err)
		errx(1, "%s: %s %s", what, strerror(-err), qkd_error_text(ctx));
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void add_sas(const char *link, unsigned int n)
{
	struct qkd_ctx *ctx = open_in(NULL);
	struct qkd_esp esp = {
		.has = QKD_HAS(QKD_A_ESP_CIPHER) | QKD_HAS(QKD_A_ESP_DIR) |
		       QKD_HAS(QKD_A_ESP_SPI) | QKD_HAS(QKD_A_ESP_SRC) |
		       QKD_HAS(QKD_A_ESP_DST) | QKD_HAS(QKD_A_ESP_MODE),
		.cipher = QKD_CIPHER_OTP,
		.dir = QKD_DIR_OUT,
		.mode = QKD_ESP_MODE_TUNNEL,
		.src = { .family = AF_INET },
		.dst = { .family = AF_INET },
	};
	double start = now();
	unsigned int i;

	inet_pton(AF_INET, "198.51.100.1", esp.src.bytes);
	for (i = 0; i < n; i++) {
		uint32_t dst = htonl(0x0a000001 + i);

		memcpy(esp.dst.bytes, &dst, sizeof(dst));
		esp.spi = SPI_FIRST + i;
		must(ctx, "esp add",
		     qkd_esp_add(ctx, qkd_by_name(link), &esp, NULL));
	}
	printf("%.0f\n", n / (now() - start));
	qkd_close(ctx);
}

static void keys(const char *link, const char *peer, const char *netns,
		 unsigned int n)
{
	struct qkd_ctx *tx = open_in(NULL), *rx = open_in(netns);
	double get = 0, commit = 0, start;
	struct qkd_key key[BATCH], peeked;
	unsigned int done, i;

	for (done = 0; done < n; done += BATCH) {
		uint32_t count = BATCH;

		start = now();
		must(tx, "key get",
		     qkd_key_get(tx, qkd_by_name(link), QKD_CLASS_CONTROL, 32,
				 NULL, key, &count));
		get += now() - start;
		start = now();
		for (i = 0; i < count; i++) {
			must(rx, "peek",
			     qkd_key_peek(rx, qkd_by_name(peer), key[i].id, 0,
					  NULL, &peeked));
			must(rx, "commit",
			     qkd_key_commit(rx, qkd_by_name(peer),
					    peeked.handle));
			must(rx, "drop",
			     qkd_key_drop(rx, qkd_by_name(peer),
					  peeked.handle));
		}
		commit += now() - start;
		for (i = 0; i < count; i++)
			must(tx, "drop",
			     qkd_key_drop(tx, qkd_by_name(link),
					  key[i].handle));
	}
	printf("%.0f %.0f\n", done / get, done / commit);
	qkd_close(tx);
	qkd_close(rx);
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "sas"))
		add_sas(argv[2], atoi(argv[3]));
	else if (argc == 6 && !strcmp(argv[1], "keys"))
		keys(argv[2], argv[3], argv[4], atoi(argv[5]));
	else
		errx(2, "usage: load { sas LINK N | keys LINK PEER NETNS N }");
	return 0;
}
