/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between the files of the SKIP client. */
#ifndef SKIP_INTERNAL_H
#define SKIP_INTERNAL_H

#include "../kme/kme.h"
#include "skip.h"

/* Bytes of the key in a file, at most SKIP_PSK_MAX, or an errno and text. */
int psk_read(const char *path, uint8_t psk[SKIP_PSK_MAX],
	     char text[SKIP_TEXT_LEN]);

#endif /* SKIP_INTERNAL_H */
