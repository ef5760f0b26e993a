// SPDX-License-Identifier: GPL-2.0-only
/* Public keys of WireGuard. */
#include <string.h>

#include <openssl/evp.h>

#include "wgkey.h"

const char *wg_key_format(const uint8_t key[QKD_WG_KEY_LEN],
			  char text[WG_KEY_TEXT_LEN + 1])
{
	EVP_EncodeBlock((uint8_t *)text, key, QKD_WG_KEY_LEN);
	return text;
}

bool wg_key_parse(const char *text, uint8_t key[QKD_WG_KEY_LEN])
{
	uint8_t raw[WG_KEY_TEXT_LEN / 4 * 3];
	char again[WG_KEY_TEXT_LEN + 1];

	if (strlen(text) != WG_KEY_TEXT_LEN ||
	    EVP_DecodeBlock(raw, (const uint8_t *)text, WG_KEY_TEXT_LEN) < 0 ||
	    strcmp(wg_key_format(raw, again), text))
		return false;
	memcpy(key, raw, QKD_WG_KEY_LEN);
	return true;
}
