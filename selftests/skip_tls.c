// SPDX-License-Identifier: GPL-2.0-only
/*
 * The client of SKIP with two providers over TLS: who it believes, how each fault
 * ends and when, and that no byte of a key stays behind.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../lib/skip/skip.h"
#include "etsi014_traces.h"

#define DIR "/tmp/skip"
#include "peer_server.h"

#include "slow_harness.h"

static const struct skip_request new_key = { .call = SKIP_NEW_KEY,
					     .size = 256 };

FIXTURE(kp)
{
	pid_t pid;
	char url[2][64];
	struct skip a, b;
};

FIXTURE_SETUP(kp)
{
	int ports[2], i;

	skip_init();
	if (access(DIR "/chain", F_OK))
		ASSERT_EQ(0, system("python3 skip_server.py keys " DIR));
	ASSERT_TRUE(start_server("skip_server.py", &self->pid, ports));
	for (i = 0; i < 2; i++)
		snprintf(self->url[i], sizeof(self->url[i]),
			 "https://127.0.0.1:%d", ports[i]);
	self->a = (struct skip){ .url = self->url[0],
				 .identity = "encryptor",
				 .psk = DIR "/psk",
				 .remote = "site-b",
				 .connect_ms = 20000,
				 .total_ms = 30000 };
	self->b = self->a;
	self->b.url = self->url[1];
	self->b.remote = "site-a";
}

FIXTURE_TEARDOWN(kp)
{
	stop_server(self->pid);
}

static int ask(const struct skip *provider, const struct skip_request *request,
	       struct skip_answer *answer)
{
	struct skip_transfer *transfer;
	CURLcode result;
	int err;

	memset(answer, 0, sizeof(*answer));
	err = skip_check(provider, answer->text);
	if (err)
		return err;
	transfer = skip_transfer_new(provider, request, answer->text);
	if (!transfer)
		return -ENOMEM;
	result = curl_easy_perform(skip_transfer_handle(transfer));
	err = skip_transfer_end(transfer, result, answer);
	skip_transfer_free(transfer);
	return err;
}

static int fetch(const struct skip *provider, const struct skip_answer *first,
		 struct skip_answer *answer)
{
	struct skip_request request = { .call = SKIP_KEY,
					.size = 8 * first->size };

	strcpy(request.key_id, first->key_id);
	return ask(provider, &request, answer);
}

TEST_F_TIMEOUT(kp, key_at_both_ends, 120)
{
	static const unsigned int sizes[] = { 128, 192, 256 };
	struct skip_request request = { .call = SKIP_NEW_KEY };
	struct skip_answer first, second, third;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		request.size = sizes[i];
		ASSERT_EQ(0, ask(&self->a, &request, &first))
		{
			TH_LOG("%s", first.text);
		}
		ASSERT_EQ(sizes[i] / 8, first.size);
		/* a key is for the other end, once */
		EXPECT_EQ(-ENOENT, fetch(&self->a, &first, &third));
		ASSERT_EQ(0, fetch(&self->b, &first, &second));
		EXPECT_EQ(0, memcmp(first.key, second.key, first.size));
		EXPECT_EQ(-ENOENT, fetch(&self->b, &first, &third));
		skip_answer_free(&first);
		skip_answer_free(&second);
	}
}

TEST_F(kp, capabilities_and_entropy)
{
	struct skip_request caps = { .call = SKIP_CAPABILITIES };
	struct skip_request entropy = { .call = SKIP_ENTROPY, .size = 256 };
	struct skip_answer answer;

	ASSERT_EQ(0, ask(&self->a, &caps, &answer));
	EXPECT_STREQ("site-a", answer.capabilities.local);
	EXPECT_TRUE(skip_serves(&answer.capabilities, "site-b"));
	EXPECT_FALSE(skip_serves(&answer.capabilities, "other-b"));
	ASSERT_EQ(0, ask(&self->a, &entropy, &answer));
	EXPECT_EQ(32, answer.size);
	skip_answer_free(&answer);
	set_fault("entropy 404");
	EXPECT_EQ(-EINVAL, ask(&self->a, &entropy, &answer));
}

/* Each way to fail has its errno and its line of text. */
TEST_F_TIMEOUT(kp, faults, 200)
{
	static const struct {
		const char *fault;
		int err;
		const char *says;
	} cases[] = {
		{ "400", -EINVAL, "HTTP 400" },
		{ "401", -EACCES, "HTTP 401" },
		{ "405", -EPROTO, "HTTP 405" },
		{ "418", -EPROTO, "HTTP 418" },
		{ "500", -EREMOTEIO, "HTTP 500" },
		{ "503", -EAGAIN, "HTTP 503" },
		{ "reset", -ECONNABORTED, "eof" },
		{ "html", -EPROTO, "malformed JSON" },
		{ "empty", -EPROTO, "malformed JSON" },
		{ "malformed", -EPROTO, "malformed JSON" },
		{ "garbage", -EPROTO, "malformed JSON" },
		{ "twice", -EPROTO, "malformed JSON" },
		{ "huge", -EMSGSIZE, "too long" },
		{ "array", -EPROTO, "no object" },
		{ "short", -EPROTO, "128 bits" },
		{ "long", -EPROTO, "264 bits" },
		{ "odd", -EPROTO, "no hexadecimal" },
		{ "no-hex", -EPROTO, "no hexadecimal" },
		{ "no-id", -EPROTO, "keyId" },
		{ "key other-id", 0, "" },
	};
	struct skip_answer answer;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		set_fault(cases[i].fault);
		EXPECT_EQ(cases[i].err, ask(&self->a, &new_key, &answer))
		{
			TH_LOG("%s: %s", cases[i].fault, answer.text);
		}
		EXPECT_EQ(!cases[i].err, answer.key != NULL);
		EXPECT_NE(NULL, strstr(answer.text, cases[i].says))
		{
			TH_LOG("%s: %s", cases[i].fault, answer.text);
		}
		EXPECT_EQ(NULL, strchr(answer.text, '\n'));
		skip_answer_free(&answer);
	}
}

TEST_F(kp, other_id_and_other_writing)
{
	struct skip_answer first, second;

	ASSERT_EQ(0, ask(&self->a, &new_key, &first));
	set_fault("key other-id");
	EXPECT_EQ(-EPROTO, fetch(&self->b, &first, &second));
	EXPECT_NE(NULL, strstr(second.text, "not asked for"));
	set_fault("key upper");
	ASSERT_EQ(0, fetch(&self->b, &first, &second));
	EXPECT_EQ(0, memcmp(first.key, second.key, 32));
	skip_answer_free(&first);
	skip_answer_free(&second);
	set_fault("new id-48");
	ASSERT_EQ(0, ask(&self->a, &new_key, &first));
	EXPECT_EQ(48, strlen(first.key_id));
	skip_answer_free(&first);
}

/* A provider that is silent at any stage costs as long as it may, and no more. */
TEST_F_TIMEOUT(kp, time_limits, 120)
{
	static const char *const faults[] = { "hang", "cut", "silent-tls",
					      "slow 60000" };
	struct skip_answer answer;
	long from, ms;
	size_t i;

	self->a.connect_ms = 3000;
	self->a.total_ms = 3000;
	for (i = 0; i < ARRAY_SIZE(faults); i++) {
		set_fault(faults[i]);
		from = now_ms();
		EXPECT_EQ(-ETIMEDOUT, ask(&self->a, &new_key, &answer))
		{
			TH_LOG("%s: %s", faults[i], answer.text);
		}
		ms = now_ms() - from;
		EXPECT_LT(2800, ms);
	}
	self->a.url = "https://127.0.0.1:1";
	EXPECT_EQ(-EHOSTUNREACH, ask(&self->a, &new_key, &answer));
}

static bool logged(const char *text)
{
	char command[200];

	snprintf(command, sizeof(command), "grep -q '%s' " DIR "/log", text);
	return !system(command);
}

/* Only who has the key is the provider; and a wrong one gets no request. */
TEST_F_TIMEOUT(kp, who_is_believed, 120)
{
	struct skip_answer answer;
	struct skip kp = self->a;

	set_fault("certificate");
	EXPECT_EQ(-ECONNABORTED, ask(&self->a, &new_key, &answer))
	{
		TH_LOG("%s", answer.text);
	}
	/* not even one that the system trusts */
	setenv("SSL_CERT_FILE", DIR "/chain", 1);
	EXPECT_EQ(-ECONNABORTED, ask(&self->a, &new_key, &answer));
	unsetenv("SSL_CERT_FILE");
	set_fault("other-psk");
	EXPECT_EQ(-ECONNABORTED, ask(&self->a, &new_key, &answer));
	set_fault("");
	kp.psk = DIR "/other";
	EXPECT_EQ(-ECONNABORTED, ask(&kp, &new_key, &answer));
	kp = self->a;
	kp.identity = "stranger";
	EXPECT_EQ(-ECONNABORTED, ask(&kp, &new_key, &answer));
	EXPECT_FALSE(logged("/key"));
	EXPECT_EQ(0, ask(&self->a, &new_key, &answer));
	skip_answer_free(&answer);
	EXPECT_TRUE(logged("/key"));
	/* nor does a proxy get to see anything */
	setenv("https_proxy", "http://127.0.0.1:1", 1);
	EXPECT_EQ(0, ask(&self->a, &new_key, &answer));
	skip_answer_free(&answer);
}

/* What is agreed on: suites of the draft under TLS 1.2; TLS 1.3 if it must be. */
TEST_F(kp, suites)
{
	static const char *const cases[][2] = {
		{ "", "TLSv1.2 DHE-PSK-AES256-GCM-SHA384" },
		{ "psk-only", "TLSv1.2 PSK-AES256-GCM-SHA384" },
		{ "tls13", "TLSv1.3 TLS_" },
	};
	struct skip_answer answer;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		set_fault(cases[i][0]);
		EXPECT_EQ(0, ask(&self->a, &new_key, &answer))
		{
			TH_LOG("%s: %s", cases[i][1], answer.text);
		}
		skip_answer_free(&answer);
		EXPECT_TRUE(logged(cases[i][1]));
	}
}

/* Returns how often it was in memory while it was read. */
static int remember_psk(struct traces *psk)
{
	FILE *file = fopen(DIR "/psk", "re");
	unsigned int byte;
	uint8_t bytes[32];
	int i, found;

	setvbuf(file, NULL, _IONBF, 0);
	for (i = 0; i < 32 && fscanf(file, "%2x", &byte) == 1; i++)
		bytes[i] = byte;
	fclose(file);
	remember(psk, bytes);
	found = count_copies(psk->raw);
	explicit_bzero(bytes, sizeof(bytes));
	return found;
}

/* After a transfer, and while its connection lives. */
TEST_F(kp, transfer_leaves_nothing)
{
	struct skip_transfer *transfer;
	struct traces traces, psk;
	struct skip_answer answer;
	char text[SKIP_TEXT_LEN];
	CURLM *multi = curl_multi_init();
	int left;

	transfer = skip_transfer_new(&self->a, &new_key, text);
	ASSERT_NE(NULL, transfer);
	curl_multi_add_handle(multi, skip_transfer_handle(transfer));
	do {
		curl_multi_perform(multi, &left);
		curl_multi_poll(multi, NULL, 0, 100, NULL);
	} while (left);
	ASSERT_EQ(0, skip_transfer_end(
			     transfer,
			     curl_multi_info_read(multi, &left)->data.result,
			     &answer));
	remember(&traces, answer.key);
	EXPECT_EQ(1, count_copies(traces.raw));
	skip_answer_free(&answer);
	curl_multi_remove_handle(multi, skip_transfer_handle(transfer));
	skip_transfer_free(transfer);
	EXPECT_EQ(0, count_copies(traces.raw));
	/* OpenSSL has the pre-shared key for as long as the connection lives */
	EXPECT_LE(1, remember_psk(&psk));
	curl_multi_cleanup(multi);
	EXPECT_EQ(0, count_copies(psk.raw));
}

TEST_HARNESS_MAIN
