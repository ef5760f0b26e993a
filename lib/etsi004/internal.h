/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between the files of ETSI GS QKD 004. */
#ifndef ETSI004_INTERNAL_H
#define ETSI004_INTERNAL_H

#include "../kme/kme.h"
#include "etsi004.h"

/* status.c */
const char *call_name(enum etsi004_call call);
/* As an errno; if it is one, the answer's text says so. */
int errno_of(enum etsi004_call call, struct etsi004_answer *answer);

/* metadata.c: nothing at all is metadata too */
int metadata_parse(const uint8_t *bytes, size_t size,
		   struct etsi004_metadata *metadata);

#endif /* ETSI004_INTERNAL_H */
