/* SPDX-License-Identifier: GPL-2.0-only */
/* Two ends of qkd-link, in a dry run, for selftests that look into them. */
#ifndef LINK_PAIR_H
#define LINK_PAIR_H

#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "qkd-link/link.h"

static char folder[] = "/tmp/link_pair.XXXXXX";

/* Detectors of superconducting nanowires: names, values, NULL. */
static const char *const fast_bb84[] = {
	"efficiency", "80%",	      "dark",	   "1e-8", "afterpulse",
	"0",	      "misalignment", "0.3%",	   "mu",   "0.5",
	"nu1",	      "0.15",	      "key-basis", "0.6",  NULL,
};

static inline void set_figure(struct settings *settings, const char *name,
			      const char *value)
{
	const char *why;

	if (model_set(&settings->model, name, value, &why))
		errx(1, "%s: %s", name, why);
}

/* The end of that role, for @blocks of @block bits, of a preset with other figures. */
static inline void set_end(struct settings *settings, bool alice,
			   uint64_t blocks, const char *block,
			   const char *preset, const char *const *figures)
{
	settings_default(settings);
	settings->alice = alice;
	settings->listens = !alice;
	settings->dry_run = true;
	settings->pace = 0;
	settings->blocks = blocks;
	if (model_preset(&settings->model, preset))
		errx(1, "%s", preset);
	for (; *figures; figures += 2)
		set_figure(settings, figures[0], figures[1]);
	set_figure(settings, "block", block);
	snprintf(settings->address, sizeof(settings->address), "%s/socket",
		 folder);
	snprintf(settings->key_file, sizeof(settings->key_file), "%s/%d",
		 folder, alice);
}

#define BOOT_MOST 32768

/* A bootstrap key of @size bytes, the same in both files. */
static inline void write_keys(size_t size)
{
	static uint8_t key[BOOT_MOST];
	char path[64];
	int end, fd;

	RAND_bytes(key, sizeof(key));
	for (end = 0; end < 2; end++) {
		snprintf(path, sizeof(path), "%s/%d", folder, end);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
		if (fd < 0 || write(fd, key, size) != (ssize_t)size)
			err(1, "%s", path);
		close(fd);
	}
	explicit_bzero(key, sizeof(key));
}

/* A process, which does not outlive this one: @blocks blocks of @block bits; 0: no end. Its
 * exit status is 0 if all of them gave key, 2 if none did, 3 if some. */
static inline pid_t start_end(bool alice, const char *block, uint64_t blocks)
{
	static struct settings settings;
	static struct stats stats;
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	set_end(&settings, alice, blocks, block, "bb84-fibre-50km", fast_bb84);
	if (stats_init(&stats, &settings.model, alice, "pair",
		       settings.recon) ||
	    link_run(&settings, &stats) || stats.blocks < blocks)
		_exit(1);
	_exit(!stats.key_bits ? 2 : !stats.dropped ? 0 : 3);
}

/* Waits for both; they end with that status. */
static inline bool both_end(const pid_t pid[2], int status)
{
	int got[2] = { 0 }, end;

	for (end = 0; end < 2; end++)
		waitpid(pid[end], &got[end], 0);
	printf("# exit status %d, %d\n", WEXITSTATUS(got[0]),
	       WEXITSTATUS(got[1]));
	return WIFEXITED(got[0]) && WEXITSTATUS(got[0]) == status &&
	       WIFEXITED(got[1]) && WEXITSTATUS(got[1]) == status;
}

/**
 * struct pair_end - an end that is a thread
 * @err: what link_run() came to
 */
struct pair_end {
	struct settings settings;
	struct stats stats;
	int err;
};

static inline void *run_pair_end(void *data)
{
	struct pair_end *end = data;

	end->err = link_run(&end->settings, &end->stats);
	return NULL;
}

/* Both of them, Bob is @ends[0]; false if one came to an error. The caller reads what is in
 * their stats, of which only the locks are gone.
 */
static inline bool run_pair(struct pair_end ends[2], enum recon recon,
			    const char *block, uint64_t blocks,
			    const char *preset, const char *const *figures)
{
	pthread_t thread[2];
	int i;

	link_stop = 0;
	write_keys(BOOT_MOST);
	for (i = 0; i < 2; i++) {
		struct settings *settings = &ends[i].settings;

		set_end(settings, i, blocks, block, preset, figures);
		settings->recon = recon;
		if (stats_init(&ends[i].stats, &settings->model, i, "pair",
			       recon) ||
		    pthread_create(&thread[i], NULL, run_pair_end, &ends[i]))
			err(1, "thread");
	}
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	for (i = 0; i < 2; i++)
		stats_end(&ends[i].stats);
	return !ends[0].err && !ends[1].err;
}

struct pair_case {
	const char *what;
	bool (*is_so)(void);
};

/* Returns what to exit with. */
static inline int run_cases(const struct pair_case *cases, size_t n)
{
	size_t i, failed = 0;

	if (!mkdtemp(folder))
		err(1, "mkdtemp");
	printf("TAP version 13\n1..%zu\n", n);
	for (i = 0; i < n; i++) {
		bool good = cases[i].is_so();

		printf("%sok %zu - %s\n", good ? "" : "not ", i + 1,
		       cases[i].what);
		fflush(stdout);
		failed += !good;
	}
	rmdir(folder);
	return failed != 0;
}

#endif
