// SPDX-License-Identifier: GPL-2.0-only
/*
 * ETSI GS QKD 004's frames: the examples of its page, byte for byte, in both
 * directions; every way in which one can be wrong; and frames that were damaged at
 * random. The sources are compiled in, with AddressSanitizer.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/etsi004/etsi004.h"
#include "damage.h"
#include "etsi014_traces.h"

#include "slow_harness.h"

static const uint8_t stream[] = { 0x5a, 0x3c, 0x9e, 0x1f, 0x7b, 0x2d,
				  0x48, 0x06, 0xa1, 0xc4, 0xe9, 0xf2,
				  0x0b, 0x6d, 0x81, 0x37 };

static const struct etsi004_qos qos = {
	.key_chunk_size = 32,
	.max_bps = 40000,
	.min_bps = 5000,
	.jitter = 10,
	.timeout = 5000,
	.ttl = 3600,
	.mimetype = ETSI004_JSON,
};

static struct etsi004_request open_request(void)
{
	return (struct etsi004_request){ .call = ETSI004_OPEN_CONNECT,
					 .source = "qkd://alice/vpn",
					 .destination = "qkd://bob/vpn",
					 .qos = qos };
}

static struct etsi004_request get_request(void)
{
	struct etsi004_request request = { .call = ETSI004_GET_KEY,
					   .qos = qos,
					   .index = 7,
					   .metadata_size = 1024 };

	memcpy(request.stream, stream, sizeof(stream));
	return request;
}

static struct etsi004_request close_request(void)
{
	struct etsi004_request request = { .call = ETSI004_CLOSE };

	memcpy(request.stream, stream, sizeof(stream));
	return request;
}

/*
 * The page's examples: "XX" or "XX*N", until something else is on the line.
 */

static FILE *open_page(void)
{
	FILE *page = fopen("doc/etsi004.md", "re");

	return page ?: fopen("../Documentation/abi/etsi004.md", "re");
}

static size_t read_line(const char *line, uint8_t *frame, size_t size)
{
	unsigned int byte, times;
	int n;

	while (sscanf(line, " %2x%n", &byte, &n) == 1 &&
	       (isspace((unsigned char)line[n]) || line[n] == '*')) {
		line += n;
		times = 1;
		if (sscanf(line, "*%u%n", &times, &n) == 1)
			line += n;
		while (times--)
			frame[size++] = byte;
		if (!strncmp(line, "  ", 2))
			break;
	}
	return size;
}

static size_t example(const char *name, uint8_t frame[1024])
{
	char line[256], begin[64];
	FILE *page = open_page();
	bool inside = false;
	size_t size = 0;

	snprintf(begin, sizeof(begin), "```hex %s\n", name);
	while (page && fgets(line, sizeof(line), page)) {
		if (inside && !strncmp(line, "```", 3))
			break;
		if (inside)
			size = read_line(line, frame, size);
		if (!strcmp(line, begin))
			inside = true;
	}
	if (page)
		fclose(page);
	return size;
}

static int answer_of(const struct etsi004_request *request,
		     const uint8_t *frame, size_t size,
		     struct etsi004_answer *answer)
{
	uint8_t service, *payload;
	size_t length;
	int err;

	memset(answer, 0, sizeof(*answer));
	err = etsi004_parse_header(frame, &service, &length, answer->text);
	if (err)
		return err;
	payload = malloc(size - ETSI004_HEADER_LEN); /* the end is the end */
	memcpy(payload, frame + ETSI004_HEADER_LEN, size - ETSI004_HEADER_LEN);
	err = etsi004_parse_answer(request, service, payload,
				   size - ETSI004_HEADER_LEN, answer);
	free(payload);
	return err;
}

TEST(requests_of_the_page)
{
	static const char *const names[] = { "open-request", "get-request",
					     "close-request" };
	struct etsi004_request requests[] = { open_request(), get_request(),
					      close_request() };
	uint8_t wanted[1024], frame[ETSI004_REQUEST_MAX], service;
	struct etsi004_request got;
	char text[ETSI004_TEXT_LEN];
	size_t size, length, i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		size = example(names[i], wanted);
		ASSERT_LT(ETSI004_HEADER_LEN, size);
		ASSERT_EQ(size, etsi004_pack_request(&requests[i], frame));
		EXPECT_EQ(0, memcmp(frame, wanted, size));
		ASSERT_EQ(0, etsi004_parse_header(wanted, &service, &length,
						  text));
		EXPECT_EQ(requests[i].call, service);
		ASSERT_EQ(size - ETSI004_HEADER_LEN, length);
		ASSERT_EQ(0, etsi004_parse_request(service,
						   wanted + ETSI004_HEADER_LEN,
						   length, &got, text));
		if (service == ETSI004_GET_KEY) /* it is not sent */
			got.qos = requests[i].qos;
		EXPECT_EQ(0, memcmp(&got, &requests[i], sizeof(got)));
	}
}

TEST(answers_of_the_page)
{
	struct etsi004_request open = open_request(), get = get_request(),
			       close = close_request();
	uint8_t frame[1024], again[ETSI004_ANSWER_MAX];
	struct etsi004_answer answer;
	size_t size;

	etsi004_init();
	size = example("open-answer", frame);
	ASSERT_EQ(0, answer_of(&open, frame, size, &answer));
	EXPECT_TRUE(answer.has_status);
	EXPECT_EQ(ETSI004_NO_PEER_YET, answer.status);
	EXPECT_EQ(0, memcmp(&qos, &answer.qos, sizeof(qos)));
	EXPECT_EQ(0, memcmp(stream, answer.stream, sizeof(stream)));
	ASSERT_EQ(size, etsi004_pack_answer(&open, &answer, again));
	EXPECT_EQ(0, memcmp(frame, again, size));

	size = example("get-answer", frame);
	ASSERT_EQ(0, answer_of(&get, frame, size, &answer));
	EXPECT_EQ(ETSI004_OK, answer.status);
	EXPECT_EQ(7, answer.index);
	ASSERT_EQ(32, answer.size);
	EXPECT_EQ(0xa0, answer.key[0]);
	EXPECT_EQ(0xbf, answer.key[31]);
	EXPECT_TRUE(answer.metadata.has_age);
	EXPECT_EQ(1200, answer.metadata.age);
	EXPECT_TRUE(answer.metadata.has_hops);
	EXPECT_EQ(0, answer.metadata.hops);
	ASSERT_EQ(size, etsi004_pack_answer(&get, &answer, again));
	EXPECT_EQ(0, memcmp(frame, again, size));
	etsi004_answer_free(&answer);

	size = example("get-refusal", frame);
	EXPECT_EQ(-EAGAIN, answer_of(&get, frame, size, &answer));
	EXPECT_EQ(NULL, answer.key);
	EXPECT_STREQ("GET_KEY: status 2: there is not enough key", answer.text);
	size = example("get-refusal-long", frame);
	EXPECT_EQ(-EAGAIN, answer_of(&get, frame, size, &answer));
	EXPECT_TRUE(answer.has_status);
	ASSERT_EQ(size, etsi004_pack_answer(&get, &answer, again));
	EXPECT_EQ(0, memcmp(frame, again, size));
	size = example("get-room", frame);
	EXPECT_EQ(-ENOBUFS, answer_of(&get, frame, size, &answer));
	EXPECT_EQ(21, answer.metadata_size);
	ASSERT_EQ(size, etsi004_pack_answer(&get, &answer, again));
	EXPECT_EQ(0, memcmp(frame, again, size));

	size = example("close-answer", frame);
	EXPECT_EQ(0, answer_of(&close, frame, size, &answer));
	ASSERT_EQ(size, etsi004_pack_answer(&close, &answer, again));
	EXPECT_EQ(0, memcmp(frame, again, size));
}

TEST(statuses)
{
	static const int open[] = {
		0,	     0,		 -EAGAIN, -ENOTCONN, -ENETUNREACH,
		-EADDRINUSE, -ETIMEDOUT, -ERANGE, -ENOBUFS,  -EPROTO
	};
	struct etsi004_request request = open_request(), get = get_request();
	struct etsi004_answer answer, said;
	uint8_t frame[ETSI004_ANSWER_MAX];
	size_t size;
	int status;

	for (status = 0; status < ARRAY_SIZE(open); status++) {
		said = (struct etsi004_answer){ .status = status,
						.has_qos = true,
						.qos = qos };
		memcpy(said.stream, stream, sizeof(stream));
		size = etsi004_pack_answer(&request, &said, frame);
		EXPECT_EQ(open[status],
			  answer_of(&request, frame, size, &answer));
		EXPECT_EQ(open[status] != -EPROTO, answer.has_status);
		EXPECT_EQ(open[status] == 0, !*answer.text);
		/* without more than the status */
		EXPECT_EQ(open[status] ?: -EPROTO,
			  answer_of(&request, frame, 12, &answer));
		if (status == 0)
			continue;
		said.size = 0;
		size = etsi004_pack_answer(&get, &said, frame);
		EXPECT_EQ(open[status] ?: -EPROTO,
			  answer_of(&get, frame, size, &answer));
		EXPECT_NE(0, strncmp(answer.text, "OPEN", 4));
	}
}

/* Offset of a byte of an example, and what it is then. */
struct change {
	const char *example;
	int offset;
	uint8_t value;
	int err;
	const char *says;
};

TEST(wrong_answers)
{
	static const struct change cases[] = {
		{ "open-answer", 0, 2, -EPROTO, "version 2.0.1" },
		{ "open-answer", 2, 0, -EPROTO, "version 1.0.0" },
		{ "open-answer", 3, 6, -EPROTO, "no service 6" },
		{ "open-answer", 3, 0, -EPROTO, "no service 0" },
		{ "open-answer", 3, 255, -EPROTO, "no service 255" },
		{ "open-answer", 3, 5, -EPROTO, "answer of service 5" },
		{ "open-answer", 3, 2, -EPROTO, "answer of service 2" },
		{ "open-answer", 4, 1, -EMSGSIZE, "bytes for service 3" },
		{ "open-answer", 12, 1, -EPROTO, "chunks of" },
		{ "open-answer", 15, 0, -EPROTO, "chunks of 0" },
		{ "open-answer", 41, 7, -EPROTO, "malformed" },
		{ "get-answer", 15, 6, -EPROTO, "index 6 after 7" },
		{ "get-answer", 16, 255, -EPROTO, "chunk of 4278190112" },
		{ "get-answer", 19, 31, -EPROTO, "chunk of 31" },
		{ "get-answer", 19, 33, -EPROTO, "chunk of 33" },
		{ "get-answer", 52, 255, -EPROTO, "metadata, more than" },
		{ "get-answer", 55, 20, -EPROTO, "malformed" },
		{ "get-answer", 55, 22, -EPROTO, "malformed" },
		{ "get-answer", 56, '[', -EPROTO, "metadata is malformed" },
		{ "get-answer", 63, '-', -EPROTO, "metadata is malformed" },
		{ "get-refusal-long", 19, 1, -EPROTO, "malformed" },
	};
	struct etsi004_request open = open_request(), get = get_request();
	struct etsi004_answer answer;
	uint8_t frame[1024];
	size_t size, i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		size = example(cases[i].example, frame);
		ASSERT_LT(cases[i].offset, size);
		frame[cases[i].offset] = cases[i].value;
		EXPECT_EQ(cases[i].err,
			  answer_of(*cases[i].example == 'o' ? &open : &get,
				    frame, size, &answer))
		{
			TH_LOG("%zu: %s", i, answer.text);
		}
		EXPECT_FALSE(answer.has_status);
		EXPECT_EQ(NULL, answer.key);
		EXPECT_NE(NULL, strstr(answer.text, cases[i].says))
		{
			TH_LOG("%zu: %s", i, answer.text);
		}
	}
}

/* Each example, cut anywhere and with a byte too many. */
TEST(wrong_lengths)
{
	static const char *const names[] = { "open-request",  "get-request",
					     "close-request", "open-answer",
					     "get-answer",    "close-answer" };
	struct etsi004_request requests[] = { open_request(), get_request(),
					      close_request() };
	struct etsi004_request request;
	struct etsi004_answer answer;
	uint8_t frame[1025], *payload;
	char text[ETSI004_TEXT_LEN];
	size_t size, cut, i;
	int err;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		size = example(names[i], frame) - ETSI004_HEADER_LEN;
		frame[ETSI004_HEADER_LEN + size] = 0;
		for (cut = 0; cut <= size + 1; cut++) {
			payload = malloc(cut);
			memcpy(payload, frame + ETSI004_HEADER_LEN, cut);
			err = i < 3 ? etsi004_parse_request(frame[3], payload,
							    cut, &request,
							    text) :
				      etsi004_parse_answer(&requests[i - 3],
							   frame[3], payload,
							   cut, &answer);
			free(payload);
			EXPECT_EQ(cut == size ? 0 : -EPROTO, err)
			{
				TH_LOG("%s: %zu of %zu", names[i], cut, size);
			}
			if (i >= 3)
				etsi004_answer_free(&answer);
		}
	}
}

TEST(wrong_requests)
{
	struct etsi004_request request = open_request(), got;
	uint8_t frame[ETSI004_REQUEST_MAX], *end;
	char text[ETSI004_TEXT_LEN];
	size_t size;

	/* the longest */
	memset(request.source, 'x', ETSI004_URI_LEN);
	memset(request.destination, 'y', ETSI004_URI_LEN);
	memset(request.qos.mimetype, 'z', ETSI004_MIMETYPE_LEN);
	size = etsi004_pack_request(&request, frame);
	EXPECT_EQ(ETSI004_REQUEST_MAX, size);
	ASSERT_EQ(0, etsi004_parse_request(2, frame + 8, size - 8, &got, text));
	EXPECT_EQ(0, memcmp(&request, &got, sizeof(got)));
	/* a URI, or a type, without an end; a byte that is no text */
	end = memchr(frame + 8, 0, size);
	*end = 'x';
	EXPECT_EQ(-EPROTO,
		  etsi004_parse_request(2, frame + 8, size - 8, &got, text));
	*end = 0;
	frame[8] = '\n';
	EXPECT_EQ(-EPROTO,
		  etsi004_parse_request(2, frame + 8, size - 8, &got, text));
	frame[8] = 'x';
	frame[size - ETSI004_STREAM_LEN - 1] = 'z';
	EXPECT_EQ(-EPROTO,
		  etsi004_parse_request(2, frame + 8, size - 8, &got, text));
	frame[size - ETSI004_STREAM_LEN - 1] = 0;
	EXPECT_EQ(0, etsi004_parse_request(2, frame + 8, size - 8, &got, text));
	EXPECT_EQ(-EPROTO,
		  etsi004_parse_request(3, frame + 8, size - 8, &got, text));
	/* what is too long is not said */
	memset(request.source, 'x', sizeof(request.source));
	EXPECT_EQ(0, etsi004_pack_request(&request, frame));
}

/* The stream that was asked for, and no other. */
TEST(streams)
{
	struct etsi004_request request = open_request();
	struct etsi004_answer answer;
	uint8_t frame[1024];
	size_t size = example("open-answer", frame);

	memcpy(request.stream, stream, sizeof(stream));
	EXPECT_EQ(0, answer_of(&request, frame, size, &answer));
	request.stream[15] ^= 1;
	EXPECT_EQ(-EPROTO, answer_of(&request, frame, size, &answer));
	memset(request.stream, 0, sizeof(request.stream));
	memset(frame + size - 16, 0, 16);
	EXPECT_EQ(-EPROTO, answer_of(&request, frame, size, &answer));
}

TEST(metadata)
{
	static const struct {
		const char *text;
		int age, hops; /* -1: unknown; -2: the answer is wrong */
	} cases[] = {
		{ "", -1, -1 },
		{ "{}", -1, -1 },
		{ "{\"age\":0}", 0, -1 },
		{ "{\"hops\":3,\"vendor\":[1]}", -1, 3 },
		{ " { \"hops\" : 0, \"age\" : 12 } ", 12, 0 },
		{ "{\"hops\":\"0\"}", -2, -2 },
		{ "{\"hops\":-1}", -2, -2 },
		{ "{\"hops\":0.5}", -2, -2 },
		{ "{\"hops\":null}", -2, -2 },
		{ "{\"hops\":4294967296}", -2, -2 },
		{ "{\"hops\":1,\"hops\":0}", -2, -2 },
		{ "{\"age\":99999999999999999999}", -2, -2 },
		{ "[]", -2, -2 },
		{ "0", -2, -2 },
		{ "x", -2, -2 },
	};
	struct etsi004_request get = get_request();
	uint8_t frame[1024] = {}, *at;
	struct etsi004_answer answer;
	size_t length, i, padding;
	int err;

	example("get-answer", frame);
	for (i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		padding = i % 2 * 9;
		length = strlen(cases[i / 2].text);
		at = frame + 52;
		memset(at, 0, sizeof(frame) - 52);
		at[3] = length + padding;
		memcpy(at + 4, cases[i / 2].text, length);
		err = answer_of(&get, frame, 56 + length + padding, &answer);
		EXPECT_EQ(cases[i / 2].age == -2 ? -EPROTO : 0, err)
		{
			TH_LOG("%s: %s", cases[i / 2].text, answer.text);
		}
		if (err)
			continue;
		EXPECT_EQ(cases[i / 2].age,
			  answer.metadata.has_age ? answer.metadata.age : -1);
		EXPECT_EQ(cases[i / 2].hops,
			  answer.metadata.has_hops ? answer.metadata.hops : -1);
		etsi004_answer_free(&answer);
	}
}

/* What came was damaged a little; what is made of it is whole or nothing. */
TEST(damaged)
{
	static const char *const names[] = { "open-answer",  "get-answer",
					     "close-answer", "open-request",
					     "get-request",  "close-request" };
	struct etsi004_request requests[] = { open_request(), get_request(),
					      close_request() };
	unsigned int seed = getpid(), i, which, times, good = 0;
	uint8_t examples[ARRAY_SIZE(names)][1024], frame[1024];
	size_t sizes[ARRAY_SIZE(names)], length, size;
	struct etsi004_request request;
	struct etsi004_answer answer;
	char text[ETSI004_TEXT_LEN];
	uint8_t service;
	int err;

	TH_LOG("seed %u", seed);
	for (i = 0; i < ARRAY_SIZE(names); i++)
		sizes[i] = example(names[i], examples[i]);
	for (i = 0; i < scaled(500000); i++) {
		which = i % ARRAY_SIZE(names);
		memcpy(frame, examples[which], sizes[which]);
		size = sizes[which];
		for (times = 1 + rand_r(&seed) % 3; times; times--)
			frame[rand_r(&seed) % size] = rand_r(&seed);
		if (etsi004_parse_header(frame, &service, &length, text))
			continue;
		if (size - ETSI004_HEADER_LEN < length)
			continue; /* it would be waited for */
		size = ETSI004_HEADER_LEN + length;
		if (which >= 3) {
			good += !etsi004_parse_request(
				service, frame + ETSI004_HEADER_LEN, length,
				&request, text);
			continue;
		}
		err = answer_of(&requests[which], frame, size, &answer);
		ASSERT_EQ(!err && which == 1, answer.key != NULL);
		good += answer.key != NULL;
		if (answer.key)
			ASSERT_EQ(32, answer.size);
		etsi004_answer_free(&answer);
	}
	EXPECT_LT(0, good);
	TH_LOG("%u frames, %u of them still good", i, good);
}

TEST(parser_leaves_nothing)
{
	struct etsi004_request get = get_request();
	struct etsi004_answer answer;
	struct traces traces;
	uint8_t frame[1024];
	size_t size, i;

	etsi004_init();
	for (i = 0; i < 3; i++) {
		size = example("get-answer", frame);
		ASSERT_EQ(0, getentropy(frame + 20, 32));
		remember(&traces, frame + 20);
		EXPECT_EQ(1, count_copies(traces.raw));
		if (i == 1)
			frame[56] = 'x'; /* of the metadata */
		if (i == 2)
			frame[15] = 6; /* the index */
		EXPECT_EQ(i ? -EPROTO : 0,
			  etsi004_parse_answer(&get, frame[3], frame + 8,
					       size - 8, &answer));
		explicit_bzero(frame, size);
		EXPECT_EQ(!i, count_copies(traces.raw));
		etsi004_answer_free(&answer);
		EXPECT_EQ(0, count_copies(traces.raw));
	}
}

TEST(settings)
{
	static const struct {
		struct etsi004 kme;
		const char *says;
	} cases[] = {
		{ { NULL, "/dev/null", "/dev/null", "kme" },
		  "no CA certificate" },
		{ { "/dev/null", NULL, "/dev/null", "kme" }, "no certificate" },
		{ { "/dev/null", "/dev/null", NULL, "kme" }, "no private key" },
		{ { "/nowhere", "/dev/null", "/dev/null", "kme" },
		  "/nowhere: No" },
		{ { "/dev/null", "/dev/null", "/dev/null", NULL }, "no name" },
		{ { "/dev/null", "/dev/null", "/dev/null", "" }, "no name" },
	};
	static const struct etsi004 good = { "/dev/null", "/dev/null",
					     "/dev/null", "kme" };
	char text[ETSI004_TEXT_LEN] = "";
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		EXPECT_GT(0, etsi004_check(&cases[i].kme, text));
		EXPECT_NE(NULL, strstr(text, cases[i].says))
		{
			TH_LOG("%zu: %s", i, text);
		}
	}
	EXPECT_EQ(0, etsi004_check(&good, text));
	/* files that are there and are nothing of the kind */
	EXPECT_EQ(NULL, etsi004_conn_new(&good, 0, text));
	EXPECT_NE(NULL, strstr(text, "/dev/null: "));
}

TEST_HARNESS_MAIN
