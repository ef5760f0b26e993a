/* SPDX-License-Identifier: GPL-2.0-only */
/* What secret.c gives to the libraries. */
#ifndef FUZZ_SECRET_H
#define FUZZ_SECRET_H

#include <stddef.h>

void *kme_secret_new(size_t size);
void kme_secret_free(void *secret, size_t size);

#endif /* FUZZ_SECRET_H */
