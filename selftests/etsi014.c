// SPDX-License-Identifier: GPL-2.0-only
/*
 * The client of ETSI GS QKD 014: what it asks, every way in which an answer can
 * be wrong, and answers that were damaged at random. The client's sources are
 * compiled in, with AddressSanitizer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/etsi014/etsi014.h"
#include "damage.h"
#include "etsi014_traces.h"

#include "slow_harness.h"

/* From the standard. */
#define ID "bc490419-7d60-487f-adc1-4ddcc177c139"
#define KEY "wHHVxRwDJs3/bXd38GHP3oe4svTuRpZS0yCC7x4Ly+s="
#define ID2 "0a782fb5-3434-48fe-aa4d-14f41d46cf92"
#define KEY2 "OeGMPxh1+2RpJpNCYixWHFLYRubpOKCw94FcCI7VdJA="
#define ENTRY(id, key) "{\"key_ID\":\"" id "\",\"key\":\"" key "\"}"
#define KEYS(list) "{\"keys\":[" list "]}"

static const etsi014_key_id ids[] = { ID, ID2 };

static const struct etsi014_request enc = { .call = ETSI014_ENC_KEYS,
					    .number = 1,
					    .size = 256 };
static const struct etsi014_request enc2 = { .call = ETSI014_ENC_KEYS,
					     .number = 2,
					     .size = 256 };
static const struct etsi014_request dec = { .call = ETSI014_DEC_KEYS,
					    .number = 1,
					    .size = 256,
					    .ids = ids };
static const struct etsi014_request dec2 = { .call = ETSI014_DEC_KEYS,
					     .number = 2,
					     .size = 256,
					     .ids = ids };
static const struct etsi014_request status = { .call = ETSI014_STATUS };

static int parse(const struct etsi014_request *request, long code,
		 const char *body, struct etsi014_answer *answer)
{
	etsi014_init();
	return etsi014_parse(request, code, body, strlen(body), answer);
}

/* ---- What is asked ---- */

TEST(urls)
{
	static const struct {
		const char *url, *sae;
		enum etsi014_call call;
		const char *expected;
	} cases[] = {
		{ "https://kme.example", "bob", ETSI014_STATUS,
		  "https://kme.example/api/v1/keys/bob/status" },
		{ "https://kme.example:8443/", "bob", ETSI014_ENC_KEYS,
		  "https://kme.example:8443/api/v1/keys/bob/enc_keys" },
		{ "https://[::1]/site/a", "SAE 1/b?#%\xc3\xa9",
		  ETSI014_DEC_KEYS,
		  "https://[::1]/site/a/api/v1/keys/SAE%201%2Fb%3F%23%25%C3%A9/dec_keys" },
	};
	struct etsi014 kme = {};
	char *url;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		kme.url = cases[i].url;
		kme.peer_sae = cases[i].sae;
		url = etsi014_url(&kme, cases[i].call);
		EXPECT_STREQ(cases[i].expected, url);
		free(url);
	}
}

TEST(bodies)
{
	struct etsi014_request big = { .call = ETSI014_ENC_KEYS,
				       .number = 128,
				       .size = 1024 };
	static const char *const no_extensions[] = {
		"", "{}", "[]", "[1]", "[{}", "[{\"a\":1,\"a\":2}]", "[{}] x",
	};
	char text[ETSI014_TEXT_LEN];
	size_t i;
	char *body;

	etsi014_init();
	EXPECT_EQ(NULL, etsi014_body(&status));
	body = etsi014_body(&big);
	EXPECT_STREQ("{\"number\":128,\"size\":1024}", body);
	free(body);
	big.mandatory = "[ { \"abc_route_type\" : \"direct\" } ]";
	big.optional = "[{\"abc_max_age\":30000},{\"abc_x\":[1,{}]}]";
	EXPECT_EQ(0, etsi014_check_extension(big.mandatory, text));
	EXPECT_EQ(0, etsi014_check_extension(big.optional, text));
	body = etsi014_body(&big);
	EXPECT_STREQ(
		"{\"number\":128,\"size\":1024,"
		"\"extension_mandatory\":[{\"abc_route_type\":\"direct\"}],"
		"\"extension_optional\":[{\"abc_max_age\":30000},{\"abc_x\":[1,{}]}]}",
		body);
	free(body);
	for (i = 0; i < ARRAY_SIZE(no_extensions); i++)
		EXPECT_EQ(-EINVAL,
			  etsi014_check_extension(no_extensions[i], text));
	body = etsi014_body(&dec2);
	EXPECT_STREQ("{\"key_IDs\":[{\"key_ID\":\"" ID "\"},"
		     "{\"key_ID\":\"" ID2 "\"}]}",
		     body);
	free(body);
}

TEST(settings)
{
	static const struct {
		const char *url, *sae, *key, *says;
	} cases[] = {
		{ NULL, "b", "/dev/null", "no URL" },
		{ "http://kme", "b", "/dev/null", "https" },
		{ "kme.example", "b", "/dev/null", "https" },
		{ "https://", "b", "/dev/null", "is no URL" },
		{ "https://kme:99999", "b", "/dev/null", "is no URL" },
		{ "https://me:pw@kme", "b", "/dev/null", "no more" },
		{ "https://kme/?a=b", "b", "/dev/null", "no more" },
		{ "https://kme/#a", "b", "/dev/null", "no more" },
		{ "https://kme", NULL, "/dev/null", "SAE" },
		{ "https://kme", "", "/dev/null", "SAE" },
		{ "https://kme", "..", "/dev/null", "SAE" },
		{ "https://kme", "b", NULL, "no private key" },
		{ "https://kme", "b", "/nowhere", "private key /nowhere: No" },
	};
	struct etsi014 kme = { .ca = "/dev/null", .cert = "/dev/null" };
	char text[ETSI014_TEXT_LEN] = "", long_sae[300];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		kme.url = cases[i].url;
		kme.peer_sae = cases[i].sae;
		kme.key = cases[i].key;
		EXPECT_GT(0, etsi014_check(&kme, text));
		EXPECT_NE(NULL, strstr(text, cases[i].says))
		{
			TH_LOG("%zu: %s", i, text);
		}
	}
	kme.key = "pkcs11:object=sae";
	EXPECT_EQ(0, etsi014_check(&kme, text));
	kme.cert = NULL;
	EXPECT_GT(0, etsi014_check(&kme, text));
	kme.cert = kme.ca;
	kme.ca = NULL;
	EXPECT_GT(0, etsi014_check(&kme, text));
	kme.ca = kme.cert;
	memset(long_sae, 'x', sizeof(long_sae));
	long_sae[sizeof(long_sae) - 1] = '\0';
	kme.peer_sae = long_sae;
	EXPECT_GT(0, etsi014_check(&kme, text));
}

TEST(key_ids)
{
	static const char *const bad[] = {
		"",
		"bc490419",
		"bc4904197d60487fadc14ddcc177c139",
		ID "0",
		"bc490419-7d60-487f-adc1-4ddcc177c13g",
		"bc490419_7d60-487f-adc1-4ddcc177c139",
		"{bc490419-7d60-487f-adc1-4ddcc177c139}",
		"bc490419-7d60-487f-adc1-4ddcc177c13",
		"@c490419-7d60-487f-adc1-4ddcc177c139",
	};
	etsi014_key_id id;
	size_t i;

	EXPECT_EQ(0, etsi014_key_id_copy(
			     id, "BC490419-7D60-487f-ADC1-4ddcc177c139"));
	EXPECT_STREQ(ID, id);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_EQ(-EINVAL, etsi014_key_id_copy(id, bad[i]));
}

/* ---- What is answered ---- */

TEST(the_standards_key)
{
	static const uint8_t first[] = { 0xc0, 0x71, 0xd5, 0xc5 };
	struct etsi014_answer answer;

	ASSERT_EQ(0, parse(&enc, 200, KEYS(ENTRY(ID, KEY)), &answer));
	ASSERT_EQ(1, answer.keys->count);
	ASSERT_EQ(32, answer.keys->size);
	EXPECT_STREQ(ID, answer.keys->ids[0]);
	EXPECT_EQ(0, memcmp(answer.keys->bytes, first, sizeof(first)));
	EXPECT_EQ(0xeb, answer.keys->bytes[31]);
	EXPECT_EQ(0, answer.deviations);
	EXPECT_STREQ("", answer.text);
	etsi014_keys_free(answer.keys);
}

/* dec_keys: in the order of the request, whatever that of the answer. */
TEST(order)
{
	struct etsi014_answer answer;

	ASSERT_EQ(0, parse(&dec2, 200,
			   KEYS(ENTRY(ID2, KEY2) "," ENTRY(ID, KEY)), &answer));
	EXPECT_STREQ(ID, answer.keys->ids[0]);
	EXPECT_STREQ(ID2, answer.keys->ids[1]);
	EXPECT_EQ(0xc0, answer.keys->bytes[0]);
	EXPECT_EQ(0x39, answer.keys->bytes[32]);
	etsi014_keys_free(answer.keys);
}

#define STATUS_IDS                                \
	"\"source_KME_ID\":\"AAAABBBBCCCCDDDD\"," \
	"\"target_KME_ID\":\"EEEEFFFFGGGGHHHH\"," \
	"\"master_SAE_ID\":\"IIIIJJJJKKKKLLLL\",\"slave_SAE_ID\":"
#define STATUS_COUNTS(key_size, stored)                           \
	",\"key_size\":" key_size ",\"stored_key_count\":" stored \
	",\"max_key_count\":100000,\"max_key_per_request\":128,"  \
	"\"max_key_size\":1024,\"min_key_size\":64,\"max_SAE_ID_count\":0"
#define STATUS(sae, size, stored) \
	"{" STATUS_IDS sae STATUS_COUNTS(size, stored) "}"
#define SAE "\"MMMMNNNNOOOOPPPP\""

TEST(the_standards_status)
{
	struct etsi014_answer answer;

	ASSERT_EQ(0, parse(&status, 200, STATUS(SAE, "352", "25000"), &answer));
	EXPECT_STREQ("AAAABBBBCCCCDDDD", answer.status.source_kme);
	EXPECT_STREQ("EEEEFFFFGGGGHHHH", answer.status.target_kme);
	EXPECT_STREQ("IIIIJJJJKKKKLLLL", answer.status.master_sae);
	EXPECT_STREQ("MMMMNNNNOOOOPPPP", answer.status.slave_sae);
	EXPECT_EQ(352, answer.status.key_size);
	EXPECT_EQ(64, answer.status.min_key_size);
	EXPECT_EQ(1024, answer.status.max_key_size);
	EXPECT_EQ(25000, answer.status.stored_key_count);
	EXPECT_EQ(100000, answer.status.max_key_count);
	EXPECT_EQ(128, answer.status.max_key_per_request);
	EXPECT_EQ(0, answer.status.max_sae_id_count);
	EXPECT_EQ(0, answer.deviations);
}

struct wrong {
	const struct etsi014_request *request;
	int err;
	const char *body, *says;
};

/* Nothing is taken from any of them, and no key is quoted. */
TEST(wrong_answers)
{
	static const struct wrong cases[] = {
		{ &enc, -EPROTO, "", "malformed JSON" },
		{ &enc, -EPROTO, "<html>", "malformed JSON" },
		{ &enc, -EPROTO, "{\"keys\":[" ENTRY(ID, KEY), "malformed" },
		{ &enc, -EPROTO, "{\"keys\":[{\"key\":\"" KEY "x",
		  "malformed" },
		{ &enc, -EPROTO, KEYS(ENTRY(ID, KEY)) "x", "malformed" },
		{ &enc, -EPROTO,
		  KEYS("{\"key_ID\":\"" ID "\",\"key\":" KEY "}"),
		  "malformed" },
		{ &enc, -EPROTO,
		  KEYS("{\"key_ID\":\"" ID "\",\"key\":\"" KEY
		       "\",\"key\":\"" KEY2 "\"}"),
		  "malformed" },
		{ &enc, -EPROTO, "[" ENTRY(ID, KEY) "]", "no object" },
		{ &enc, -EPROTO, "{}", "no array" },
		{ &enc, -EPROTO, "{\"keys\":" ENTRY(ID, KEY) "}", "no array" },
		{ &enc, -EPROTO, "{\"keys\":null}", "no array" },
		{ &enc, -EPROTO, KEYS(""), "0 keys, not the 1" },
		{ &enc, -EPROTO, KEYS(ENTRY(ID, KEY) "," ENTRY(ID2, KEY2)),
		  "2 keys, not the 1" },
		{ &dec2, -EPROTO, KEYS(ENTRY(ID, KEY)), "1 keys, not the 2" },
		{ &enc2, -EPROTO, KEYS(ENTRY(ID, KEY) "," ENTRY(ID, KEY2)),
		  "twice" },
		{ &enc2, -EPROTO,
		  KEYS(ENTRY(ID, KEY) "," ENTRY(
			  "BC490419-7D60-487F-ADC1-4DDCC177C139", KEY2)),
		  "twice" },
		{ &dec2, -EPROTO, KEYS(ENTRY(ID, KEY) "," ENTRY(ID, KEY2)),
		  "twice" },
		{ &dec, -EPROTO, KEYS(ENTRY(ID2, KEY2)), "not asked for" },
		{ &enc, -EPROTO, KEYS(ENTRY("key-1", KEY)), "no UUID" },
		{ &enc, -EPROTO, KEYS("{\"key\":\"" KEY "\"}"), "no UUID" },
		{ &enc, -EPROTO, KEYS("{\"key_ID\":7,\"key\":\"" KEY "\"}"),
		  "no UUID" },
		{ &enc, -EPROTO, KEYS("\"" KEY "\""), "no UUID" },
		{ &enc, -EPROTO, KEYS("{\"key_ID\":\"" ID "\"}"), "no Base64" },
		{ &enc, -EPROTO, KEYS("{\"key_ID\":\"" ID "\",\"key\":[]}"),
		  "no Base64" },
		{ &enc, -EPROTO, KEYS(ENTRY(ID, "")), "no Base64" },
		/* URL-safe alphabet, spaces, line ends, padding, loose bits */
		{ &enc, -EPROTO,
		  KEYS(ENTRY(ID,
			     "wHHVxRwDJs3_bXd38GHP3oe4svTuRpZS0yCC7x4Ly-s=")),
		  "no Base64" },
		{ &enc, -EPROTO,
		  KEYS(ENTRY(ID,
			     " HHVxRwDJs3/bXd38GHP3oe4svTuRpZS0yCC7x4Ly+s=")),
		  "no Base64" },
		{ &enc, -EPROTO, KEYS(ENTRY(ID, KEY "\\n")), "no Base64" },
		{ &enc, -EPROTO,
		  KEYS(ENTRY(ID, "wHHVxRwDJs3/bXd38GHP3oe4svTuRpZS0yCC7x4Ly+s")),
		  "no Base64" },
		{ &enc, -EPROTO,
		  KEYS(ENTRY(ID,
			     "wHHVxRwDJs3/bXd38GHP3oe4svTuRpZS0yCC7x4Ly+t=")),
		  "no Base64" },
		{ &enc, -EPROTO,
		  KEYS(ENTRY(ID,
			     "wHHVxRwDJs3/bXd38GHP3oe4svTuRpZS0yCC7x4Ly===")),
		  "no Base64" },
		{ &enc, -EPROTO,
		  KEYS(ENTRY(ID,
			     "=HHVxRwDJs3/bXd38GHP3oe4svTuRpZS0yCC7x4Ly+s=")),
		  "no Base64" },
		/* 31, 33, 16 and 64 bytes */
		{ &enc, -EPROTO,
		  KEYS(ENTRY(ID,
			     "wHHVxRwDJs3/bXd38GHP3oe4svTuRpZS0yCC7x4Lyw==")),
		  "has 248 bits, not the 256" },
		{ &enc, -EPROTO,
		  KEYS(ENTRY(ID,
			     "wHHVxRwDJs3/bXd38GHP3oe4svTuRpZS0yCC7x4Ly+sA")),
		  "has 264 bits, not the 256" },
		{ &enc, -EPROTO, KEYS(ENTRY(ID, "wHHVxRwDJs3/bXd38GHP3g==")),
		  "has 128 bits, not the 256" },
		{ &enc2, -EPROTO,
		  KEYS(ENTRY(ID, KEY) "," ENTRY(ID2,
						"wHHVxRwDJs3/bXd38GHP3g==")),
		  "has 128 bits, not the 256" },
		{ &status, -EPROTO, "{}", "source_KME_ID is no ID" },
		{ &status, -EPROTO, STATUS("\"\"", "352", "1"),
		  "slave_SAE_ID is no ID" },
		{ &status, -EPROTO, STATUS("null", "352", "1"),
		  "slave_SAE_ID is no ID" },
		{ &status, -EPROTO, STATUS("\"a\\nb\"", "352", "1"),
		  "slave_SAE_ID is no ID" },
		{ &status, -EPROTO, STATUS(SAE, "\"352\"", "1"),
		  "key_size is no number" },
		{ &status, -EPROTO, STATUS(SAE, "352.5", "1"),
		  "key_size is no number" },
		{ &status, -EPROTO, STATUS(SAE, "99999999999999999999", "1"),
		  "malformed" },
		{ &status, -EPROTO, STATUS(SAE, "352", "-1"),
		  "stored_key_count is no number" },
		{ &status, -EPROTO, STATUS(SAE, "32", "1"), "contradict" },
		{ &status, -EPROTO, STATUS(SAE, "2048", "1"), "contradict" },
	};
	struct etsi014_answer answer;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		EXPECT_EQ(cases[i].err,
			  parse(cases[i].request, 200, cases[i].body, &answer));
		EXPECT_EQ(NULL, answer.keys);
		EXPECT_NE(NULL, strstr(answer.text, cases[i].says))
		{
			TH_LOG("%zu: %s", i, answer.text);
		}
		EXPECT_EQ(NULL, strstr(answer.text, "HHVx"));
	}
}

TEST(deviations)
{
	static const struct {
		const struct etsi014_request *request;
		const char *body;
		unsigned int deviations;
	} cases[] = {
		{ &enc2, KEYS(ENTRY(ID, KEY)), ETSI014_DEV_FEWER },
		{ &enc, "{\"Keys\":[" ENTRY(ID, KEY) "]}", ETSI014_DEV_KEYS },
		{ &dec,
		  KEYS("{\"key_ID\":\"" ID "\",\"key\":\"" KEY
		       "\",\"master_SAE_ID\":\"alice\"}"),
		  ETSI014_DEV_MEMBER },
		{ &enc, "{\"more\":1,\"keys\":[" ENTRY(ID, KEY) "]}",
		  ETSI014_DEV_MEMBER },
		{ &enc,
		  "{\"key_container_extension\":{\"a_b\":1},\"keys\":["
		  "{\"key_ID\":\"" ID "\",\"key\":\"" KEY
		  "\",\"key_ID_extension\":{},\"key_extension\":{}}]}",
		  0 },
		{ &status, STATUS("4711", "352", "1"), ETSI014_DEV_INTEGER_ID },
		{ &status, STATUS(SAE, "352", "100001"), ETSI014_DEV_COUNT },
	};
	struct etsi014_answer answer;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		EXPECT_EQ(0,
			  parse(cases[i].request, 200, cases[i].body, &answer));
		EXPECT_EQ(cases[i].deviations, answer.deviations)
		{
			TH_LOG("%zu: %x %s", i, answer.deviations, answer.text);
		}
		etsi014_keys_free(answer.keys);
	}
	parse(&status, 200, STATUS("4711", "352", "1"), &answer);
	EXPECT_STREQ("4711", answer.status.slave_sae);
	for (i = 0; i < ETSI014_DEVIATIONS; i++)
		EXPECT_STRNE("something else", etsi014_deviation_text(1 << i));
	EXPECT_STREQ("something else", etsi014_deviation_text(1 << i));
}

#define ERROR(text) "{\"message\":\"" text "\",\"details\":[{\"a\":\"b\"}]}"
#define NOT_FOUND "one or more keys specified are not found on KME"

TEST(errors)
{
	static const struct {
		const struct etsi014_request *request;
		long code;
		int err;
		const char *body, *text;
		unsigned int deviations;
	} cases[] = {
		{ &enc, 400, -EINVAL, ERROR("size shall be a multiple of 8"),
		  "HTTP 400: size shall be a multiple of 8", 0 },
		{ &dec, 400, -ENOENT, ERROR(NOT_FOUND), "HTTP 400: " NOT_FOUND,
		  0 },
		{ &enc, 401, -EACCES, "", "HTTP 401", 0 },
		{ &enc, 401, -EACCES, ERROR("no"), "HTTP 401: no",
		  ETSI014_DEV_ERROR },
		{ &enc, 503, -EAGAIN, ERROR("later"), "HTTP 503: later", 0 },
		{ &enc, 503, -EAGAIN, "<html>", "HTTP 503", ETSI014_DEV_ERROR },
		{ &enc, 503, -EAGAIN, "[]", "HTTP 503", ETSI014_DEV_ERROR },
		{ &enc, 404, -ENOENT, ERROR("x"), "HTTP 404: x",
		  ETSI014_DEV_CODE },
		{ &enc, 409, -EINVAL, ERROR("x"), "HTTP 409: x",
		  ETSI014_DEV_CODE },
		{ &enc, 412, -EINVAL, ERROR("x"), "HTTP 412: x",
		  ETSI014_DEV_CODE },
		{ &enc, 500, -EREMOTEIO, ERROR("x"), "HTTP 500: x",
		  ETSI014_DEV_CODE },
		{ &enc, 504, -EAGAIN, ERROR("x"), "HTTP 504: x",
		  ETSI014_DEV_CODE },
		{ &enc, 302, -EPROTO, "", "HTTP 302", ETSI014_DEV_ERROR },
		{ &enc, 201, -EPROTO, KEYS(ENTRY(ID, KEY)), "HTTP 201",
		  ETSI014_DEV_ERROR },
		/* one line of printable text, whatever the KME says */
		{ &enc, 503, -EAGAIN, ERROR("a\\nb\\u001b[1mc\xc3\xa9"),
		  "HTTP 503: a?b?[1mc??", 0 },
	};
	char body[2000] = "{\"message\":\"";
	struct etsi014_answer answer;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		EXPECT_EQ(cases[i].err, parse(cases[i].request, cases[i].code,
					      cases[i].body, &answer));
		EXPECT_STREQ(cases[i].text, answer.text);
		EXPECT_EQ(cases[i].deviations, answer.deviations);
		EXPECT_EQ(NULL, answer.keys);
	}
	memset(body + 12, 'x', 1900);
	strcpy(body + 1912, "\"}");
	EXPECT_EQ(-EAGAIN, parse(&enc, 503, body, &answer));
	EXPECT_GT(ETSI014_TEXT_LEN, strlen(answer.text));
}

static const char likely[] = "{}[]\",:\\0-9eu=+/\n\xff";

/* What came was damaged a little; what is made of it is whole or nothing. */
TEST(damaged)
{
	static const struct {
		const struct etsi014_request *request;
		long code;
		const char *body;
	} cases[] = {
		{ &enc2, 200, KEYS(ENTRY(ID, KEY) "," ENTRY(ID2, KEY2)) },
		{ &dec2, 200, KEYS(ENTRY(ID, KEY) "," ENTRY(ID2, KEY2)) },
		{ &status, 200, STATUS(SAE, "352", "25000") },
		{ &dec, 400, ERROR(NOT_FOUND) },
	};
	unsigned int seed = getpid(), i, which, times, good = 0;
	struct etsi014_answer answer;
	etsi014_key_id id;
	size_t length;
	char *body;
	int err;

	TH_LOG("seed %u", seed);
	etsi014_init();
	for (i = 0; i < scaled(200000); i++) {
		which = i % ARRAY_SIZE(cases);
		length = strlen(cases[which].body);
		body = malloc(length); /* no NUL, so that the end is the end */
		memcpy(body, cases[which].body, length);
		for (times = 1 + rand_r(&seed) % 3; times; times--)
			length = damage(body, length, likely, sizeof(likely),
					&seed);
		err = etsi014_parse(cases[which].request, cases[which].code,
				    body, length, &answer);
		free(body);
		ASSERT_EQ(NULL, strstr(answer.text, "HHVx"));
		ASSERT_EQ(NULL, strstr(answer.text, "eGMP"));
		if (cases[which].code != 200 || err ||
		    cases[which].request == &status) {
			ASSERT_EQ(NULL, answer.keys);
			continue;
		}
		good++;
		ASSERT_EQ(32, answer.keys->size);
		ASSERT_EQ(0, etsi014_key_id_copy(id, answer.keys->ids[0]));
		etsi014_keys_free(answer.keys);
	}
	EXPECT_LT(0, good);
	TH_LOG("%u answers, %u of them still with keys", i, good);
}

/* Whole, and cut in the key. */
TEST(parser_leaves_nothing)
{
	static const char *const formats[] = { KEYS(ENTRY(ID, "%s")),
					       "{\"keys\":[{\"key\":\"%.40s" };
	struct etsi014_answer answer;
	uint8_t key[32], text[45];
	struct traces traces;
	char body[200];
	int i, length;

	etsi014_init();
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, getentropy(key, sizeof(key)));
		remember(&traces, key);
		EVP_EncodeBlock(text, key, sizeof(key));
		length = snprintf(body, sizeof(body), formats[i], text);
		EXPECT_EQ(1, count_copies(traces.raw));
		explicit_bzero(key, sizeof(key));
		explicit_bzero(text, sizeof(text));
		EXPECT_EQ(1, count_copies(traces.text));
		EXPECT_EQ(i ? -EPROTO : 0,
			  etsi014_parse(&enc, 200, body, length, &answer));
		explicit_bzero(body, length);
		EXPECT_EQ(!i, count_copies(traces.raw));
		etsi014_keys_free(answer.keys);
		EXPECT_EQ(0, count_copies(traces.raw));
		EXPECT_EQ(0, count_copies(traces.text));
	}
}

TEST_HARNESS_MAIN
