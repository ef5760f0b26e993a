/* SPDX-License-Identifier: GPL-2.0-only */
/* An end of a link, as a whole: what it was told, and what it works with. */
#ifndef QKD_LINK_LINK_H
#define QKD_LINK_LINK_H

#include <limits.h>
#include <signal.h>

#include "model.h"
#include "photon.h"
#include "recon.h"
#include "stats.h"

#define ADDRESS_LEN 128

/**
 * struct settings - what the user said
 * @has_role, @has_model: which is not a default
 * @alice: role
 * @listens: else it connects
 * @address: ADDRESS:PORT, [ADDRESS]:PORT, or a path with a slash in it
 * @key_file: bootstrap key of the tags
 * @dev: the user link that is fed; "" with @dry_run
 * @dry_run: key is wiped when it is made
 * @scenario, @report, @metrics: of these options, or ""
 * @top: draw
 * @pace: seconds of the link's clock per second; 0: as fast as it can
 * @blocks: end after so many; 0: never
 */
struct settings {
	bool has_role;
	bool has_model;
	bool alice;
	bool listens;
	char address[ADDRESS_LEN];
	char key_file[PATH_MAX];
	char dev[QKD_NAME_LEN + 1];
	bool dry_run;
	struct model model;
	enum recon recon;
	char scenario[PATH_MAX];
	char report[PATH_MAX];
	char metrics[PATH_MAX];
	bool top;
	double pace;
	uint64_t blocks;
};

/* ---- config.c ---- */

void settings_default(struct settings *settings);
/* All that is wrong was said, and is -1. */
int settings_read(struct settings *settings, const char *path);
/* Words of the command line; the first is the role. */
int settings_words(struct settings *settings, char **words);
/* Words that are preset and set alone. */
int settings_model(struct settings *settings, char **words);
/* A word of each kind, for options, too. -1: it was said. */
int settings_pace(const char *text, double *pace);
int settings_recon(const char *text, enum recon *recon);
/* Does it hold together? */
int settings_check(const struct settings *settings);

/* ---- secret.c ---- */

/* The bootstrap key of a file, which is removed and overwritten: it is used once. For
 * kme_secret_free(). NULL: it was said why. */
uint8_t *secret_take(const char *path, size_t *size);
/* May it be taken? 0 or -1: it was said. */
int secret_check(const char *path);

/* ---- pipeline.c ---- */

/* Set by signals: end; read scenario and bootstrap key again. */
extern volatile sig_atomic_t link_stop, link_renew;

/* Until link_stop, or @settings->blocks have ended. 0 or -1: it was said. */
int link_run(const struct settings *settings, struct stats *stats);
/* Breaks what waits; may be called by a handler of signals. */
void link_wake(void);

#endif
