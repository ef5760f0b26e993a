// SPDX-License-Identifier: GPL-2.0-only
/*
 * The client of ETSI GS QKD 014 with a KME over TLS: who it believes, how each
 * fault ends and when, and that no byte of a key stays behind.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../lib/etsi014/etsi014.h"
#include "etsi014_kme.h"
#include "etsi014_traces.h"

#include "slow_harness.h"

static const struct etsi014_request status = { .call = ETSI014_STATUS };
static const struct etsi014_request enc = { .call = ETSI014_ENC_KEYS,
					    .number = 1,
					    .size = 256 };

FIXTURE(kme)
{
	pid_t pid;
	char url[64];
	struct etsi014 alice, bob;
};

FIXTURE_SETUP(kme)
{
	int port;

	etsi014_init();
	port = start_kme(&self->pid);
	ASSERT_LT(0, port);
	snprintf(self->url, sizeof(self->url), "https://127.0.0.1:%d", port);
	self->alice = (struct etsi014){ .url = self->url,
					.ca = DIR "/ca.pem",
					.cert = DIR "/alice.pem",
					.key = DIR "/alice.key",
					.name = "kme.example",
					.peer_sae = "bob",
					.connect_ms = 20000,
					.total_ms = 30000 };
	self->bob = self->alice;
	self->bob.cert = DIR "/bob.pem";
	self->bob.key = DIR "/bob.key";
	self->bob.peer_sae = "alice";
}

FIXTURE_TEARDOWN(kme)
{
	stop_kme(self->pid);
}

static int ask(const struct etsi014 *kme, const struct etsi014_request *request,
	       struct etsi014_answer *answer)
{
	struct etsi014_transfer *transfer;
	CURLcode result;
	int err;

	err = etsi014_check(kme, answer->text);
	if (err)
		return err;
	transfer = etsi014_transfer_new(kme, request, answer->text);
	if (!transfer)
		return -ENOMEM;
	result = curl_easy_perform(etsi014_transfer_handle(transfer));
	err = etsi014_transfer_end(transfer, result, answer);
	etsi014_transfer_free(transfer);
	return err;
}

TEST_F_TIMEOUT(kme, key_at_both_ends, 120)
{
	struct etsi014_request fetch = { .call = ETSI014_DEC_KEYS,
					 .number = 100,
					 .size = 1024 };
	struct etsi014_request get = { .call = ETSI014_ENC_KEYS,
				       .number = 100,
				       .size = 1024 };
	struct etsi014_answer a, b, c;

	ASSERT_EQ(0, ask(&self->alice, &get, &a));
	ASSERT_EQ(100, a.keys->count);
	ASSERT_EQ(128, a.keys->size);
	fetch.ids = a.keys->ids;
	/* the KME gives a key to the SAE that it is for, once */
	EXPECT_EQ(-EACCES, ask(&self->alice, &fetch, &c));
	ASSERT_EQ(0, ask(&self->bob, &fetch, &b));
	EXPECT_EQ(0, memcmp(a.keys->ids, b.keys->ids,
			    100 * sizeof(etsi014_key_id)));
	EXPECT_EQ(0, memcmp(a.keys->bytes, b.keys->bytes, 100 * 128));
	EXPECT_EQ(0, a.deviations | b.deviations);
	EXPECT_EQ(-ENOENT, ask(&self->bob, &fetch, &c));
	EXPECT_NE(NULL, strstr(c.text, "not found on KME"));
	etsi014_keys_free(a.keys);
	etsi014_keys_free(b.keys);
}

TEST_F(kme, status)
{
	struct etsi014_answer answer;

	ASSERT_EQ(0, ask(&self->alice, &status, &answer));
	EXPECT_STREQ("alice", answer.status.master_sae);
	EXPECT_STREQ("bob", answer.status.slave_sae);
	EXPECT_EQ(0, answer.deviations);
	set_fault("integers");
	EXPECT_EQ(0, ask(&self->alice, &status, &answer));
	EXPECT_EQ(ETSI014_DEV_INTEGER_ID, answer.deviations);
	set_fault("count");
	EXPECT_EQ(0, ask(&self->alice, &status, &answer));
	EXPECT_EQ(ETSI014_DEV_COUNT, answer.deviations);
}

/* Each way to fail has its errno and its line of text. */
TEST_F_TIMEOUT(kme, faults, 200)
{
	static const struct {
		const char *fault;
		int err;
		const char *says;
	} cases[] = {
		{ "503 no more", -EAGAIN, "HTTP 503: no more" },
		{ "401", -EACCES, "HTTP 401" },
		{ "418", -EPROTO, "HTTP 418" },
		{ "redirect", -EPROTO, "HTTP 302" },
		{ "reset", -ECONNABORTED, "unexpected eof" },
		{ "html", -EPROTO, "malformed JSON" },
		{ "empty", -EPROTO, "malformed JSON" },
		{ "malformed", -EPROTO, "malformed JSON" },
		{ "garbage", -EPROTO, "malformed JSON" },
		{ "huge", -EMSGSIZE, "too long" },
		{ "short", -EPROTO, "128 bits" },
		{ "long", -EPROTO, "264 bits" },
		{ "more", -EPROTO, "2 keys" },
		{ "none", -EPROTO, "0 keys" },
		{ "no-ask", -ECONNABORTED, "did not ask" },
		{ "other-ca", -ECONNABORTED, "issuer" },
	};
	struct etsi014_answer answer;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		set_fault(cases[i].fault);
		EXPECT_EQ(cases[i].err, ask(&self->alice, &enc, &answer))
		{
			TH_LOG("%s: %s", cases[i].fault, answer.text);
		}
		EXPECT_EQ(NULL, answer.keys);
		EXPECT_NE(NULL, strstr(answer.text, cases[i].says))
		{
			TH_LOG("%s: %s", cases[i].fault, answer.text);
		}
		EXPECT_EQ(NULL, strchr(answer.text, '\n'));
	}
	set_fault("other-id");
	EXPECT_EQ(0, ask(&self->alice, &enc, &answer)); /* who could tell */
	etsi014_keys_free(answer.keys);
	set_fault("dec_keys other-id");
	ASSERT_EQ(0, ask(&self->alice, &enc, &answer));
	EXPECT_EQ(-EPROTO, ask(&self->bob,
			       &(struct etsi014_request){
				       .call = ETSI014_DEC_KEYS,
				       .number = 1,
				       .size = 256,
				       .ids = answer.keys->ids,
			       },
			       &(struct etsi014_answer){}));
	etsi014_keys_free(answer.keys);
}

static long ask_ms(const struct etsi014 *kme, int *err,
		   struct etsi014_answer *answer)
{
	struct timespec from, to;

	clock_gettime(CLOCK_MONOTONIC, &from);
	*err = ask(kme, &enc, answer);
	clock_gettime(CLOCK_MONOTONIC, &to);
	return (to.tv_sec - from.tv_sec) * 1000 +
	       (to.tv_nsec - from.tv_nsec) / 1000000;
}

/* A KME that is silent at any stage costs as long as it may, and no more. */
TEST_F_TIMEOUT(kme, time_limits, 120)
{
	static const char *const faults[] = { "hang", "cut", "silent-tls",
					      "slow 60000" };
	struct etsi014_answer answer;
	size_t i;
	long ms;
	int err;

	self->alice.connect_ms = 3000;
	self->alice.total_ms = 3000;
	for (i = 0; i < ARRAY_SIZE(faults); i++) {
		set_fault(faults[i]);
		ms = ask_ms(&self->alice, &err, &answer);
		EXPECT_EQ(-ETIMEDOUT, err)
		{
			TH_LOG("%s: %s", faults[i], answer.text);
		}
		EXPECT_LT(2800, ms);
		EXPECT_GT(20000, ms);
	}
	self->alice.url = "https://127.0.0.1:1";
	EXPECT_EQ(-EHOSTUNREACH, ask(&self->alice, &enc, &answer));
	self->alice.url = "https://nowhere.invalid";
	EXPECT_EQ(-EHOSTUNREACH, ask(&self->alice, &enc, &answer));
}

/* Who the KME is, and who we are. */
TEST_F(kme, certificates)
{
	struct etsi014 kme = self->alice;
	struct etsi014_answer answer;

	kme.name = "other.example";
	EXPECT_EQ(-ECONNABORTED, ask(&kme, &enc, &answer));
	EXPECT_NE(NULL, strstr(answer.text, "ostname"));
	kme.name = NULL; /* 127.0.0.1 is not in it either */
	EXPECT_EQ(-ECONNABORTED, ask(&kme, &enc, &answer));
	kme = self->alice;
	kme.ca = DIR "/other-ca.pem";
	EXPECT_EQ(-ECONNABORTED, ask(&kme, &enc, &answer));
	kme = self->alice;
	kme.cert = DIR "/stranger.pem";
	kme.key = DIR "/stranger.key";
	EXPECT_EQ(-ECONNABORTED, ask(&kme, &enc, &answer));
	kme.key = DIR "/alice.key"; /* of another certificate */
	EXPECT_EQ(-ECONNABORTED, ask(&kme, &enc, &answer));
	kme.cert = "/dev/null";
	EXPECT_EQ(-ECONNABORTED, ask(&kme, &enc, &answer));
	/* an encrypted key, whose password nobody is asked for */
	ASSERT_EQ(0, system("openssl ec -in " DIR "/alice.key -aes256 -out " DIR
			    "/locked.key -passout pass:secret 2>/dev/null"));
	kme = self->alice;
	kme.key = DIR "/locked.key";
	EXPECT_EQ(-ECONNABORTED, ask(&kme, &enc, &answer));
}

#define TRUSTED "/etc/ssl/certs/etsi014-test.pem"
/* A CA that the system trusts is not the KME's. */
TEST_F_TIMEOUT(kme, only_its_ca, 120)
{
	struct etsi014_answer answer;

	set_fault("other-ca");
	ASSERT_EQ(0, system("cp " DIR "/other-ca.pem " TRUSTED
			    " && openssl rehash /etc/ssl/certs 2>/dev/null"));
	EXPECT_EQ(0, system("openssl verify -CApath /etc/ssl/certs " DIR
			    "/other.pem >/dev/null"));
	EXPECT_EQ(-ECONNABORTED, ask(&self->alice, &enc, &answer));
	ASSERT_EQ(0, system("rm " TRUSTED
			    "; openssl rehash /etc/ssl/certs 2>/dev/null"));
	/* nor does a proxy get to see anything */
	set_fault("");
	setenv("https_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	EXPECT_EQ(0, ask(&self->alice, &enc, &answer));
	etsi014_keys_free(answer.keys);
}

/* A private key that is in a token and does not leave it. */
TEST_F_TIMEOUT(kme, pkcs11, 120)
{
	struct etsi014_answer answer;

	if (access("/usr/bin/softhsm2-util", X_OK))
		SKIP(return, "there is no softhsm2-util");
	setenv("SOFTHSM2_CONF", DIR "/softhsm.conf", 1);
	setenv("PKCS11_PROVIDER_MODULE", "/usr/lib/softhsm/libsofthsm2.so", 1);
	ASSERT_EQ(0, system("rm -rf " DIR "/tokens && mkdir " DIR "/tokens && "
			    "echo directories.tokendir=" DIR "/tokens >" DIR
			    "/softhsm.conf && "
			    "softhsm2-util --init-token --free --label sae "
			    "--pin 1234 --so-pin 1234 >/dev/null && "
			    "softhsm2-util --import " DIR "/alice.key "
			    "--token sae --label alice --id 01 --pin 1234 "
			    ">/dev/null"));
	self->alice.key =
		"pkcs11:token=sae;object=alice;type=private?pin-value=1234";
	EXPECT_EQ(0, ask(&self->alice, &enc, &answer))
	{
		TH_LOG("%s", answer.text);
	}
	etsi014_keys_free(answer.keys);
	self->alice.key =
		"pkcs11:token=sae;object=alice;type=private?pin-value=6789";
	EXPECT_EQ(-ECONNABORTED, ask(&self->alice, &enc, &answer));
	EXPECT_EQ(NULL, strstr(answer.text, "6789"));
}

/* A transfer in a multi handle, to its end; what curl says of it then. */
static struct CURLMsg *transferred(CURLM *multi,
				   struct etsi014_transfer *transfer)
{
	int running, left;

	curl_multi_add_handle(multi, etsi014_transfer_handle(transfer));
	do {
		curl_multi_perform(multi, &running);
		curl_multi_poll(multi, NULL, 0, 100, NULL);
	} while (running);
	return curl_multi_info_read(multi, &left);
}

/* One connection for many requests, and after the KME closed it another. */
TEST_F(kme, many_transfers_of_a_multi_handle)
{
	struct etsi014_transfer *transfer;
	struct etsi014_answer answer;
	int i, used = 0;
	char text[ETSI014_TEXT_LEN];
	CURLM *multi = curl_multi_init();
	struct CURLMsg *msg;
	long connects;

	for (i = 0; i < 20; i++) {
		transfer = etsi014_transfer_new(&self->alice, &enc, text);
		ASSERT_NE(NULL, transfer);
		msg = transferred(multi, transfer);
		ASSERT_NE(NULL, msg);
		curl_easy_getinfo(msg->easy_handle, CURLINFO_NUM_CONNECTS,
				  &connects);
		used += connects;
		EXPECT_EQ(0, etsi014_transfer_end(transfer, msg->data.result,
						  &answer));
		curl_multi_remove_handle(multi,
					 etsi014_transfer_handle(transfer));
		etsi014_transfer_free(transfer);
		etsi014_keys_free(answer.keys);
	}
	EXPECT_EQ(1, used);
	curl_multi_cleanup(multi);
}

/* After a transfer, and while its connection lives. */
TEST_F(kme, transfer_leaves_nothing)
{
	struct etsi014_transfer *transfer;
	struct etsi014_answer answer;
	char text[ETSI014_TEXT_LEN];
	CURLM *multi = curl_multi_init();
	struct traces traces;
	struct CURLMsg *msg;

	transfer = etsi014_transfer_new(&self->alice, &enc, text);
	ASSERT_NE(NULL, transfer);
	msg = transferred(multi, transfer);
	ASSERT_EQ(0, etsi014_transfer_end(transfer, msg->data.result, &answer));
	remember(&traces, answer.keys->bytes);
	/* the search finds what is there: the key, and the answer's text */
	EXPECT_EQ(1, count_copies(traces.raw));
	EXPECT_EQ(1, count_copies(traces.text));
	etsi014_keys_free(answer.keys);
	curl_multi_remove_handle(multi, etsi014_transfer_handle(transfer));
	etsi014_transfer_free(transfer);
	EXPECT_EQ(0, count_copies(traces.raw));
	EXPECT_EQ(0, count_copies(traces.text));
	curl_multi_cleanup(multi);
}

TEST_HARNESS_MAIN
