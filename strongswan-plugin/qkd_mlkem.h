/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ML-KEM-512, -768 and -1024 as key exchange methods, by OpenSSL.
 */
#ifndef QKD_MLKEM_H_
#define QKD_MLKEM_H_

#include <crypto/key_exchange.h>

/**
 * qkd_mlkem_create() - a key exchange by ML-KEM
 * @method: ML_KEM_512, ML_KEM_768 or ML_KEM_1024
 *
 * Return: the exchange, or NULL if OpenSSL (3.5 or later) has no ML-KEM
 */
key_exchange_t *qkd_mlkem_create(key_exchange_method_t method, ...);

#endif /* QKD_MLKEM_H_ */
