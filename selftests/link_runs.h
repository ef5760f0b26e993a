/* SPDX-License-Identifier: GPL-2.0-only */
/* Two ends of qkd-link that run to their end, in a folder of their own. */
#ifndef LINK_RUNS_H
#define LINK_RUNS_H

#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "qkd-link/link.h"

/* Detectors of superconducting nanowires, and small blocks: names, values, NULL. */
static const char *const fast_bb84[] = {
	"efficiency",	"80%",	"dark",	 "1e-8",   "afterpulse", "0",
	"misalignment", "0.3%", "mu",	 "0.5",	   "nu1",	 "0.15",
	"key-basis",	"0.6",	"block", "100000", NULL,
};

/* The end of that role, for @blocks of a preset with other figures. */
static inline void set_end(struct settings *settings, const char *folder,
			   bool alice, unsigned int blocks, const char *preset,
			   const char *const *figures)
{
	const char *why;

	*settings = (struct settings){
		.alice = alice,
		.listens = !alice,
		.dry_run = true,
		.blocks = blocks,
	};
	if (model_preset(&settings->model, preset))
		errx(1, "%s", preset);
	for (; *figures; figures += 2)
		if (model_set(&settings->model, figures[0], figures[1], &why))
			errx(1, "%s: %s", figures[0], why);
	snprintf(settings->address, sizeof(settings->address), "%s/socket",
		 folder);
	snprintf(settings->key_file, sizeof(settings->key_file), "%s/%d",
		 folder, alice);
}

/* A bootstrap key, the same in both files. */
static inline void write_keys(const char *folder)
{
	uint8_t key[32768];
	char path[64];
	int end, fd;

	RAND_bytes(key, sizeof(key));
	for (end = 0; end < 2; end++) {
		snprintf(path, sizeof(path), "%s/%d", folder, end);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
		if (fd < 0 || write(fd, key, sizeof(key)) != sizeof(key))
			err(1, "%s", path);
		close(fd);
	}
	explicit_bzero(key, sizeof(key));
}

#endif
