/* SPDX-License-Identifier: GPL-2.0-only */
/* A scenario: lines of "TIME WHAT [FRACTION]", by the link's own clock. */
#ifndef QKD_LINK_SCENARIO_H
#define QKD_LINK_SCENARIO_H

#include "photon.h"
#include "talk.h"

struct scenario;

/* NULL @path: an empty one. -EINVAL and others: *@why says which line and what. */
int scenario_load(struct scenario **scenario, const char *path, char why[128]);
void scenario_free(struct scenario *scenario);
/* What holds at @time. */
void scenario_at(const struct scenario *scenario, double time, struct eve *eve,
		 enum tamper *tamper, double *tamper_fraction);

#endif
