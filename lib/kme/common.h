/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What users of any client of KMEs see; secret.c is qkd-link's, too, and needs nothing. */
#ifndef KME_COMMON_H
#define KME_COMMON_H

#include <stddef.h>

#define KME_TEXT_LEN 256

/* Zeroed memory that is in no core dump and, where the limit on locked memory
 * allows, in no swap; it is wiped when it is freed. NULL if there is none.
 */
void *kme_secret_new(size_t size);
void kme_secret_free(void *secret, size_t size);

#endif /* KME_COMMON_H */
