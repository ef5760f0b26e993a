// SPDX-License-Identifier: GPL-2.0-only
/*
 * The combiner of the plugin's key exchanges against vectors/ike.json, which a
 * program made that shares no code with it; and each input counts.
 */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "../strongswan-plugin/qkd_combine.c"

/* What the harness makes of a test. */
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wclobbered"
#include "kselftest_harness.h"

#define VALUE_MAX 128

struct vector {
	uint16_t method;
	struct qkd_party i;
	struct qkd_party r;
	uint8_t value_i[VALUE_MAX];
	uint8_t value_r[VALUE_MAX];
	uint8_t kem[KEM_LEN_MAX];
	size_t kem_len;
	uint8_t secret[QKD_COMBINED_LEN];
};

/* The bytes of a member; 0 if there is none. */
static size_t bytes_of(json_t *from, const char *name, uint8_t *to, size_t room)
{
	const char *text = json_string_value(json_object_get(from, name));
	size_t len;

	for (len = 0; text && text[2 * len] && len < room; len++)
		if (sscanf(text + 2 * len, "%2hhx", to + len) != 1)
			break;
	return len;
}

static bool load(const char *section, struct vector *v)
{
	json_t *all = json_load_file("vectors/ike.json", 0, NULL);
	json_t *from = json_object_get(all, section);
	uint8_t method[2];
	bool done;

	memset(v, 0, sizeof(*v));
	v->i.value = v->value_i;
	v->r.value = v->value_r;
	v->i.len = bytes_of(from, "value_i", v->value_i, VALUE_MAX);
	v->r.len = bytes_of(from, "value_r", v->value_r, VALUE_MAX);
	v->kem_len = bytes_of(from, "ML-KEM", v->kem, KEM_LEN_MAX);
	done = bytes_of(from, "method", method, 2) == 2 &&
	       bytes_of(from, "key_i", v->i.secret, QKD_KEY_UNIT) ==
		       QKD_KEY_UNIT &&
	       bytes_of(from, "key_r", v->r.secret, QKD_KEY_UNIT) ==
		       QKD_KEY_UNIT &&
	       bytes_of(from, "secret", v->secret, QKD_COMBINED_LEN) ==
		       QKD_COMBINED_LEN;
	v->method = method[0] << 8 | method[1];
	json_decref(all);
	return done;
}

/* Whether the vector's inputs give its secret. */
static bool equal(const struct vector *v)
{
	uint8_t secret[QKD_COMBINED_LEN];

	return qkd_combine(v->method, &v->i, &v->r, v->kem_len ? v->kem : NULL,
			   v->kem_len, secret) &&
	       !memcmp(secret, v->secret, sizeof(secret));
}

TEST(qkd_alone)
{
	struct vector v;

	ASSERT_TRUE(load("key exchange qkd", &v));
	EXPECT_TRUE(equal(&v));
}

TEST(beside_ml_kem)
{
	struct vector v;

	ASSERT_TRUE(load("key exchange qkd_mlkem768", &v));
	EXPECT_TRUE(equal(&v));
}

/* One bit of any input gives another secret. */
TEST(each_input_counts)
{
	struct vector v;
	uint8_t *const inputs[] = {
		v.i.secret, v.r.secret, v.value_i,
		v.value_r,  v.kem,	v.value_i + QKD_KEY_ID_LEN,
	};
	size_t i;

	ASSERT_TRUE(load("key exchange qkd_mlkem768", &v));
	for (i = 0; i < sizeof(inputs) / sizeof(*inputs); i++) {
		inputs[i][0] ^= 1;
		EXPECT_FALSE(equal(&v)) TH_LOG("input %zu", i);
		inputs[i][0] ^= 1;
	}
	v.method++;
	EXPECT_FALSE(equal(&v));
	v.method--;
	v.r.len--;
	EXPECT_FALSE(equal(&v));
	v.r.len++;
	EXPECT_TRUE(equal(&v));
}

/* The ends' order counts, and a value moved from one to the other. */
TEST(order_counts)
{
	struct vector v;
	uint8_t secret[QKD_COMBINED_LEN];

	ASSERT_TRUE(load("key exchange qkd", &v));
	ASSERT_TRUE(qkd_combine(v.method, &v.r, &v.i, NULL, 0, secret));
	EXPECT_NE(0, memcmp(secret, v.secret, sizeof(secret)));
}

TEST(too_long_a_secret)
{
	struct vector v;
	uint8_t kem[KEM_LEN_MAX + 1] = {}, secret[QKD_COMBINED_LEN];

	ASSERT_TRUE(load("key exchange qkd", &v));
	EXPECT_FALSE(
		qkd_combine(v.method, &v.i, &v.r, kem, sizeof(kem), secret));
}

TEST_HARNESS_MAIN
