// SPDX-License-Identifier: GPL-2.0-only
/*
 * The client of SKIP: what it asks, every way in which an answer can be wrong,
 * and answers that were damaged at random. The client's sources are compiled in,
 * with AddressSanitizer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/skip/skip.h"
#include "damage.h"
#include "etsi014_traces.h"

#include "slow_harness.h"

#define ID "1726e9AA976a2b3b4c5d6e7f80912a3b"
#define KEY "ad229dfe8a276e74c1f3b5d7f9a1c3e5071829304152637485960718293a4b5c"
#define ANSWER(id, key) "{\"keyId\":\"" id "\",\"key\":\"" key "\"}"

static const struct skip_request new_key = { .call = SKIP_NEW_KEY,
					     .size = 256 };
static const struct skip_request key = { .call = SKIP_KEY,
					 .size = 256,
					 .key_id = ID };
static const struct skip_request caps = { .call = SKIP_CAPABILITIES };
static const struct skip_request entropy = { .call = SKIP_ENTROPY,
					     .size = 128 };

static int parse(const struct skip_request *request, long code,
		 const char *body, struct skip_answer *answer)
{
	skip_init();
	return skip_parse(request, code, body, strlen(body), answer);
}

/* ---- What is asked ---- */

TEST(urls)
{
	static const struct {
		const char *url, *remote;
		const struct skip_request *request;
		const char *expected;
	} cases[] = {
		{ "https://kp.example", "b", &caps,
		  "https://kp.example/capabilities" },
		{ "https://kp.example:8443/", "KP_BOB_LOC2", &new_key,
		  "https://kp.example:8443/key?remoteSystemID=KP_BOB_LOC2&size=256" },
		{ "https://[::1]/skip", "a b/?&#%\xc3\xa9", &key,
		  "https://[::1]/skip/key/" ID
		  "?remoteSystemID=a%20b%2F%3F%26%23%25%C3%A9" },
		{ "https://kp", "b", &entropy,
		  "https://kp/entropy?minentropy=128" },
	};
	struct skip provider = {};
	char *url;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		provider.url = cases[i].url;
		provider.remote = cases[i].remote;
		url = skip_url(&provider, cases[i].request);
		EXPECT_STREQ(cases[i].expected, url);
		free(url);
	}
}

#define PSK "/tmp/skip-psk"

static void write_psk(const char *text, mode_t mode)
{
	FILE *file = fopen(PSK, "we");

	fputs(text, file);
	fclose(file);
	chmod(PSK, mode);
}

#define PSK_16 "00112233445566778899aabbccddeeff"

TEST(settings)
{
	static const struct {
		const char *url, *identity, *psk, *remote, *says;
	} cases[] = {
		{ NULL, "me", PSK, "b", "no URL" },
		{ "http://kp", "me", PSK, "b", "https" },
		{ "https://kp/?a=b", "me", PSK, "b", "no more" },
		{ "https://kp", NULL, PSK, "b", "identity" },
		{ "https://kp", "", PSK, "b", "identity" },
		{ "https://kp", "me", NULL, "b", "no pre-shared key" },
		{ "https://kp", "me", "/nowhere", "b", "/nowhere: No" },
		{ "https://kp", "me", "/tmp", "b", "no regular file" },
		{ "https://kp", "me", PSK, NULL, "remote" },
		{ "https://kp", "me", PSK, "", "remote" },
	};
	struct skip kp = {};
	char text[SKIP_TEXT_LEN] = "", long_name[300];
	size_t i;

	write_psk(PSK_16 "\n", 0600);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		kp.url = cases[i].url;
		kp.identity = cases[i].identity;
		kp.psk = cases[i].psk;
		kp.remote = cases[i].remote;
		EXPECT_GT(0, skip_check(&kp, text));
		EXPECT_NE(NULL, strstr(text, cases[i].says))
		{
			TH_LOG("%zu: %s", i, text);
		}
	}
	kp.remote = "b";
	EXPECT_EQ(0, skip_check(&kp, text));
	memset(long_name, 'x', sizeof(long_name));
	long_name[sizeof(long_name) - 1] = '\0';
	kp.remote = long_name;
	EXPECT_GT(0, skip_check(&kp, text));
	kp.remote = "b";
	kp.identity = long_name;
	EXPECT_GT(0, skip_check(&kp, text));
}

TEST(pre_shared_keys)
{
	static const struct {
		const char *text;
		mode_t mode;
		int err;
	} cases[] = {
		{ PSK_16, 0600, 0 },
		{ PSK_16 PSK_16 PSK_16 PSK_16 "\r\n", 0400, 0 },
		{ "00112233445566778899AABBCCDDEEFF", 0600, 0 },
		{ PSK_16, 0640, -EPERM },
		{ PSK_16, 0604, -EPERM },
		{ "", 0600, -EINVAL },
		{ "\n", 0600, -EINVAL },
		{ "00112233445566778899aabbccddee\n", 0600, -EINVAL },
		{ PSK_16 "0\n", 0600, -EINVAL },
		{ PSK_16 "0g\n", 0600, -EINVAL },
		{ "g0" PSK_16 "\n", 0600, -EINVAL },
		{ PSK_16 "\n" PSK_16, 0600, -EINVAL },
		{ PSK_16 PSK_16 PSK_16 PSK_16 "00\n", 0600, -EINVAL },
		{ PSK_16 PSK_16 PSK_16 PSK_16 PSK_16 PSK_16 PSK_16, 0600,
		  -EINVAL },
	};
	struct skip kp = {
		.url = "https://kp", .identity = "me", .psk = PSK, .remote = "b"
	};
	char text[SKIP_TEXT_LEN];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		write_psk(cases[i].text, cases[i].mode);
		EXPECT_EQ(cases[i].err, skip_check(&kp, text))
		{
			TH_LOG("%zu: %s", i, text);
		}
		EXPECT_EQ(NULL, strstr(text, "0011"));
	}
}

TEST(key_ids)
{
	static const char *const bad[] = { "",	  "0",	"abc", "0g",
					   "00 ", "-1", "0x00" };
	char text[SKIP_KEY_ID_LEN + 3];
	skip_key_id id;
	size_t i;

	EXPECT_EQ(0, skip_key_id_copy(id, ID));
	EXPECT_STREQ(ID, id);
	EXPECT_TRUE(skip_key_id_equal("aBcD", "AbCd"));
	EXPECT_FALSE(skip_key_id_equal("abcd", "abcdef"));
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_EQ(-EINVAL, skip_key_id_copy(id, bad[i]));
	memset(text, '0', sizeof(text));
	text[SKIP_KEY_ID_LEN] = '\0';
	EXPECT_EQ(0, skip_key_id_copy(id, text));
	text[SKIP_KEY_ID_LEN] = '0';
	text[SKIP_KEY_ID_LEN + 2] = '\0';
	EXPECT_EQ(-EINVAL, skip_key_id_copy(id, text));
}

/* ---- What is answered ---- */

TEST(a_key)
{
	static const uint8_t first[] = { 0xad, 0x22, 0x9d, 0xfe };
	const struct skip_request *requests[] = { &new_key, &key };
	struct skip_answer answer;
	int i;

	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, parse(requests[i], 200, ANSWER(ID, KEY), &answer));
		EXPECT_STREQ(ID, answer.key_id);
		ASSERT_EQ(32, answer.size);
		EXPECT_EQ(0, memcmp(answer.key, first, sizeof(first)));
		EXPECT_EQ(0x5c, answer.key[31]);
		EXPECT_STREQ("", answer.text);
		skip_answer_free(&answer);
		EXPECT_EQ(NULL, answer.key);
	}
}

#define CAPS(remotes)                                            \
	"{\"entropy\":true,\"key\":false,\"algorithm\":\"QKD\"," \
	"\"localSystemID\":\"KP_A\",\"remoteSystemID\":" remotes "}"

TEST(capabilities)
{
	struct skip_answer answer;
	struct skip_capabilities *c = &answer.capabilities;

	ASSERT_EQ(0,
		  parse(&caps, 200, CAPS("[\"KP_B\",\"KP_*_LOC2\"]"), &answer));
	EXPECT_TRUE(c->entropy);
	EXPECT_FALSE(c->key);
	EXPECT_STREQ("QKD", c->algorithm);
	EXPECT_STREQ("KP_A", c->local);
	EXPECT_EQ(2, c->nremotes);
	EXPECT_TRUE(skip_serves(c, "KP_B"));
	EXPECT_TRUE(skip_serves(c, "KP_BOB_LOC2"));
	EXPECT_FALSE(skip_serves(c, "KP_BOB_LOC3"));
	EXPECT_FALSE(skip_serves(c, ""));
	EXPECT_EQ(NULL, answer.key);
}

TEST(randomness)
{
	struct skip_answer answer;

	ASSERT_EQ(0, parse(&entropy, 200,
			   "{\"randomStr\":\"" PSK_16 "\",\"minentropy\":128}",
			   &answer));
	EXPECT_EQ(16, answer.size);
	EXPECT_EQ(0xff, answer.key[15]);
	skip_answer_free(&answer);
}

/* Nothing is taken from any of them, and no key is quoted. */
TEST(wrong_answers)
{
	static const struct {
		const struct skip_request *request;
		const char *body, *says;
	} cases[] = {
		{ &new_key, "", "malformed JSON" },
		{ &new_key, "<html>", "malformed JSON" },
		{ &new_key, "{\"keyId\":\"" ID "\",\"key\":\"" KEY,
		  "malformed" },
		{ &new_key, ANSWER(ID, KEY) "x", "malformed" },
		{ &new_key,
		  "{\"keyId\":\"" ID "\",\"key\":\"" KEY "\",\"key\":\"" KEY
		  "\"}",
		  "malformed" },
		{ &new_key, "[" ANSWER(ID, KEY) "]", "no object" },
		{ &new_key, "{}", "keyId" },
		{ &new_key, "{\"key\":\"" KEY "\"}", "keyId" },
		{ &new_key, "{\"keyId\":7,\"key\":\"" KEY "\"}", "keyId" },
		{ &new_key, ANSWER("", KEY), "keyId" },
		{ &new_key, ANSWER("123", KEY), "keyId" },
		{ &new_key, ANSWER("bc490419-7d60-487f-adc1-4ddcc177c139", KEY),
		  "keyId" },
		{ &key, ANSWER("00", KEY), "not asked for" },
		{ &new_key, "{\"keyId\":\"" ID "\"}", "no hexadecimal" },
		{ &new_key, "{\"keyId\":\"" ID "\",\"key\":7}",
		  "no hexadecimal" },
		{ &new_key, ANSWER(ID, ""), "no hexadecimal" },
		{ &new_key, ANSWER(ID, KEY "0"), "no hexadecimal" },
		{ &new_key, ANSWER(ID, KEY "0g"), "no hexadecimal" },
		{ &new_key, ANSWER(ID, "/:@G`g" KEY), "no hexadecimal" },
		{ &new_key, ANSWER(ID, KEY "00"), "264 bits, not 256" },
		{ &new_key, ANSWER(ID, PSK_16), "128 bits, not 256" },
		{ &caps, "{}", "entropy is no boolean" },
		{ &caps, CAPS("null"), "no array" },
		{ &caps, CAPS("[7]"), "no name" },
		{ &caps, CAPS("[\"\"]"), "no name" },
		{ &caps, CAPS("[\"a\\nb\"]"), "no name" },
		{ &entropy, "{\"minentropy\":128}", "no hexadecimal" },
		{ &entropy, "{\"randomStr\":\"" PSK_16 "\"}", "less than" },
		{ &entropy, "{\"randomStr\":\"" PSK_16 "\",\"minentropy\":127}",
		  "less than" },
		{ &entropy, "{\"randomStr\":\"0011\",\"minentropy\":128}",
		  "less than" },
	};
	struct skip_answer answer;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		EXPECT_EQ(-EPROTO,
			  parse(cases[i].request, 200, cases[i].body, &answer));
		EXPECT_EQ(NULL, answer.key);
		EXPECT_NE(NULL, strstr(answer.text, cases[i].says))
		{
			TH_LOG("%zu: %s", i, answer.text);
		}
		EXPECT_EQ(NULL, strstr(answer.text, "ad22"));
	}
}

TEST(codes)
{
	static const struct {
		const struct skip_request *request;
		long code;
		int err;
	} cases[] = {
		{ &new_key, 400, -EINVAL },    { &key, 400, -ENOENT },
		{ &new_key, 404, -EINVAL },    { &key, 404, -ENOENT },
		{ &key, 401, -EACCES },	       { &key, 403, -EACCES },
		{ &key, 405, -EPROTO },	       { &key, 500, -EREMOTEIO },
		{ &new_key, 500, -EREMOTEIO }, { &key, 503, -EAGAIN },
		{ &key, 504, -EAGAIN },	       { &key, 201, -EPROTO },
		{ &key, 302, -EPROTO },	       { &key, 0, -EPROTO },
	};
	struct skip_answer answer;
	char text[32];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		EXPECT_EQ(cases[i].err, parse(cases[i].request, cases[i].code,
					      ANSWER(ID, KEY), &answer));
		EXPECT_EQ(NULL, answer.key);
		snprintf(text, sizeof(text), "HTTP %ld", cases[i].code);
		EXPECT_STREQ(text, answer.text);
	}
}

static const char likely[] = "{}[]\",:\\0-9eag\n\xff";

/* What came was damaged a little; what is made of it is whole or nothing. */
TEST(damaged)
{
	static const struct {
		const struct skip_request *request;
		const char *body;
	} cases[] = {
		{ &new_key, ANSWER(ID, KEY) },
		{ &key, ANSWER(ID, KEY) },
		{ &caps, CAPS("[\"KP_B\",\"KP_*_LOC2\"]") },
	};
	unsigned int seed = getpid(), i, which, times, good = 0;
	struct skip_answer answer;
	size_t length;
	char *body;
	int err;

	TH_LOG("seed %u", seed);
	skip_init();
	for (i = 0; i < scaled(200000); i++) {
		which = i % ARRAY_SIZE(cases);
		length = strlen(cases[which].body);
		body = malloc(length); /* no NUL, so that the end is the end */
		memcpy(body, cases[which].body, length);
		for (times = 1 + rand_r(&seed) % 3; times; times--)
			length = damage(body, length, likely, sizeof(likely),
					&seed);
		err = skip_parse(cases[which].request, 200, body, length,
				 &answer);
		free(body);
		ASSERT_EQ(NULL, strstr(answer.text, "ad229d"));
		ASSERT_EQ(!err && cases[which].request != &caps,
			  answer.key != NULL);
		if (answer.key) {
			good++;
			ASSERT_EQ(32, answer.size);
		}
		skip_answer_free(&answer);
	}
	EXPECT_LT(0, good);
	TH_LOG("%u answers, %u of them still with keys", i, good);
}

/* The beginning of a key in hexadecimal, masked. */
static void remember_hex(uint8_t text[NEEDLE], const uint8_t *bytes)
{
	static const char digits[] = "0123456789abcdef";
	int i;

	for (i = 0; i < NEEDLE; i++)
		text[i] =
			digits[i % 2 ? bytes[i / 2] & 15 : bytes[i / 2] >> 4] ^
			MASK;
}

/* Whole, and cut in the key. */
TEST(parser_leaves_nothing)
{
	static const char format[] = "{\"keyId\":\"00\",\"key\":\"%s%s";
	struct skip_answer answer;
	uint8_t bytes[32], hex[NEEDLE];
	struct traces traces;
	char body[200], text[65];
	int i, j, length;

	skip_init();
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, getentropy(bytes, sizeof(bytes)));
		remember(&traces, bytes);
		remember_hex(hex, bytes);
		for (j = 0; j < 32; j++)
			sprintf(text + 2 * j, "%02x", bytes[j]);
		length = snprintf(body, sizeof(body), format, text,
				  i ? "" : "\"}");
		EXPECT_EQ(1, count_copies(traces.raw));
		explicit_bzero(bytes, sizeof(bytes));
		explicit_bzero(text, sizeof(text));
		EXPECT_EQ(1, count_copies(hex));
		EXPECT_EQ(i ? -EPROTO : 0,
			  skip_parse(&new_key, 200, body, length, &answer));
		explicit_bzero(body, length);
		EXPECT_EQ(!i, count_copies(traces.raw));
		skip_answer_free(&answer);
		EXPECT_EQ(0, count_copies(traces.raw));
		EXPECT_EQ(0, count_copies(hex));
	}
}

TEST_HARNESS_MAIN
