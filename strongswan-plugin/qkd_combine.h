/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The combiner of the key exchange methods.
 */
#ifndef QKD_COMBINE_H_
#define QKD_COMBINE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/qkd.h>

#define QKD_COMBINED_LEN 32

/**
 * struct qkd_party - what one end gave
 * @value: its public value: 16 bytes of key ID, then what ML-KEM has
 * @len: its bytes
 * @secret: the key
 */
struct qkd_party {
	uint8_t *value;
	size_t len;
	uint8_t secret[QKD_KEY_UNIT];
};

/**
 * qkd_combine() - the secret of an exchange
 * @method: its number
 * @i: the initiator
 * @r: the responder
 * @kem: secret of ML-KEM, or NULL
 * @kem_len: its bytes
 * @secret: the result
 *
 * See Documentation/combiner.md.
 *
 * Return: false if OpenSSL failed
 */
bool qkd_combine(uint16_t method, const struct qkd_party *i,
		 const struct qkd_party *r, const uint8_t *kem, size_t kem_len,
		 uint8_t secret[QKD_COMBINED_LEN]);

#endif /* QKD_COMBINE_H_ */
