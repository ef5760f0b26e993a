/* SPDX-License-Identifier: GPL-2.0-only */
/* Cascade, of recon.c. */
#ifndef QKD_LINK_CASCADE_H
#define QKD_LINK_CASCADE_H

#include "recon.h"

/* Both ends call it with the same @qber; @key of the end that is not @alice changes. */
int cascade(bool alice, struct talk *talk, struct bits *key, double qber,
	    struct recon_result *result);

#endif
