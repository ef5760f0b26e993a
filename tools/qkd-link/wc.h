/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Wegman-Carter tags: a polynomial hash (Poly1305), and a one-time pad over it.
 * Documentation/link-auth.md says how sure they are, and why.
 */
#ifndef QKD_LINK_WC_H
#define QKD_LINK_WC_H

#include <stddef.h>
#include <stdint.h>

#define WC_HASH 16 /* bytes of the key of the hash */
#define WC_PAD 16 /* bytes of the pad, never used again */
#define WC_KEY (WC_HASH + WC_PAD)
#define WC_TAG 16

/* Tag of @head and then @body. -EIO: OpenSSL would not. */
int wc_tag(const uint8_t key[WC_KEY], const void *head, size_t head_size,
	   const void *body, size_t body_size, uint8_t tag[WC_TAG]);
/* Probability that a try at a message of @size bytes or less passes. */
double wc_epsilon(size_t size);

#endif
