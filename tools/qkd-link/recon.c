// SPDX-License-Identifier: GPL-2.0-only
/* Reconciliation by one method or the other. */
#include <errno.h>
#include <string.h>

#include "cascade.h"
#include "ldpc.h"
#include "recon.h"

static const char *const names[] = {
	[RECON_CASCADE] = "cascade",
	[RECON_LDPC] = "ldpc",
};

#define NAMES (sizeof(names) / sizeof(names[0]))

const char *recon_name(enum recon recon)
{
	return recon < NAMES ? names[recon] : "?";
}

int recon_by_name(const char *name, enum recon *recon)
{
	size_t i;

	for (i = 0; i < NAMES; i++)
		if (!strcmp(name, names[i])) {
			*recon = i;
			return 0;
		}
	return -EINVAL;
}

/* Short keys do not fill a frame of LDPC. */
static int reconcile(enum recon recon, bool alice, struct talk *talk,
		     struct bits *key, double qber, struct recon_result *result)
{
	if (recon == RECON_LDPC && key->count >= LDPC_LEAST)
		return ldpc(alice, talk, key, qber, result);
	return cascade(alice, talk, key, qber, result);
}

int recon_alice(enum recon recon, struct talk *talk, struct bits *key,
		double qber, struct recon_result *result)
{
	return reconcile(recon, true, talk, key, qber, result);
}

int recon_bob(enum recon recon, struct talk *talk, struct bits *key,
	      double qber, struct recon_result *result)
{
	return reconcile(recon, false, talk, key, qber, result);
}
