/* SPDX-License-Identifier: GPL-2.0-only */
/* Public keys of WireGuard as wg(8) writes them: in Base64. */
#ifndef COMMON_WGKEY_H
#define COMMON_WGKEY_H

#include <stdbool.h>
#include <stdint.h>

#include <qkd/qkd.h>

#define WG_KEY_TEXT_LEN 44 /* without the final NUL */

/* Returns @text. */
const char *wg_key_format(const uint8_t key[QKD_WG_KEY_LEN],
			  char text[WG_KEY_TEXT_LEN + 1]);
/* Only what a key encodes to is one: no spaces, no other padding. */
bool wg_key_parse(const char *text, uint8_t key[QKD_WG_KEY_LEN]);

#endif /* COMMON_WGKEY_H */
