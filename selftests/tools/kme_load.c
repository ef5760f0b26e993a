// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clients of two KMEs, with this project's client of ETSI GS QKD 014:
 *   kme_load once DIR PORT NETNS_A NETNS_B
 *			each call once, and errors; says "good"
 *   kme_load run DIR PORT NETNS_A NETNS_B CLIENTS KEYS NUMBER
 *			CLIENTS at once get KEYS in all, NUMBER in a call, each at A
 *			and then at B; prints what came of it as JSON
 * SAEs are a1 at A and b1 at B, with certificates in DIR.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "etsi014/etsi014.h"

#define NUMBER_MAX 64
#define SIZE 32
#define PATIENCE_MS 600000

/* A KME as one client sees it: its connection stays. */
struct end {
	struct etsi014 kme;
	char url[64], cert[128], key[128];
	int netns;
	CURLM *multi;
};

struct key {
	etsi014_key_id id;
	uint8_t bytes[SIZE];
};

struct client {
	pthread_t thread;
	struct end a, b;
	struct key *keys;
	unsigned int want;
	unsigned int got;
	unsigned int retries;
	double *enc_ms, *dec_ms;
	unsigned int calls;
};

static const char *dir, *port, *ca;
static int netns_a, netns_b;
static unsigned int number;
static pthread_barrier_t start;

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static int open_netns(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static void end_init(struct end *end, const char *sae, const char *peer,
		     int netns)
{
	snprintf(end->url, sizeof(end->url), "https://127.0.0.1:%s", port);
	snprintf(end->cert, sizeof(end->cert), "%s/%s.pem", dir, sae);
	snprintf(end->key, sizeof(end->key), "%s/%s.key", dir, sae);
	end->kme = (struct etsi014){
		.url = end->url,
		.ca = ca,
		.cert = end->cert,
		.key = end->key,
		.name = "kme.example",
		.peer_sae = peer,
		.connect_ms = PATIENCE_MS,
		.total_ms = PATIENCE_MS,
	};
	end->netns = netns;
	end->multi = curl_multi_init();
}

static CURLcode perform(CURLM *multi)
{
	CURLMsg *message;
	int running, left;

	do {
		curl_multi_perform(multi, &running);
		if (running)
			curl_multi_poll(multi, NULL, 0, 1000, NULL);
	} while (running);
	message = curl_multi_info_read(multi, &left);
	return message ? message->data.result : CURLE_FAILED_INIT;
}

/* The sockets of a thread are made in the namespace that it is in. */
static int ask(struct end *end, const struct etsi014_request *request,
	       struct etsi014_answer *answer)
{
	struct etsi014_transfer *transfer;
	CURL *handle;
	int rc;

	if (setns(end->netns, CLONE_NEWNET))
		err(1, "setns");
	transfer = etsi014_transfer_new(&end->kme, request, answer->text);
	if (!transfer)
		errx(1, "%s", answer->text);
	handle = etsi014_transfer_handle(transfer);
	curl_multi_add_handle(end->multi, handle);
	rc = etsi014_transfer_end(transfer, perform(end->multi), answer);
	curl_multi_remove_handle(end->multi, handle);
	etsi014_transfer_free(transfer);
	return rc;
}

/* ---- once ---- */

static void must(const char *what, int rc, int want,
		 const struct etsi014_answer *answer)
{
	if (rc != want || answer->deviations)
		errx(1, "%s: %d, not %d: %s (deviations %x)", what, rc, want,
		     answer->text, answer->deviations);
}

static int once(void)
{
	struct etsi014_request status = { .call = ETSI014_STATUS };
	struct etsi014_request enc = { ETSI014_ENC_KEYS, 3, 1024, NULL };
	struct etsi014_request dec = { ETSI014_DEC_KEYS, 3, 1024, NULL };
	struct etsi014_answer a, b, c;
	struct end at_a = {}, at_b = {}, wrong = {};

	end_init(&at_a, "a1", "b1", netns_a);
	end_init(&at_b, "b1", "a1", netns_b);
	end_init(&wrong, "b2", "a1", netns_b);
	must("status", ask(&at_a, &status, &c), 0, &c);
	if (strcmp(c.status.slave_sae, "b1") || c.status.key_size != 256)
		errx(1, "status says something else");
	must("enc_keys", ask(&at_a, &enc, &a), 0, &a);
	dec.ids = a.keys->ids;
	must("of another", ask(&wrong, &dec, &c), -EACCES, &c);
	must("dec_keys", ask(&at_b, &dec, &b), 0, &b);
	if (memcmp(a.keys->bytes, b.keys->bytes, 3 * 128))
		errx(1, "the keys differ");
	must("again", ask(&at_b, &dec, &c), -ENOENT, &c);
	enc.size = 8;
	must("a bad size", ask(&at_a, &enc, &c), -EINVAL, &c);
	etsi014_keys_free(a.keys);
	etsi014_keys_free(b.keys);
	puts("good");
	return 0;
}

/* ---- run ---- */

/* Without key, another time: the link delivers. */
static void keep_asking(struct client *client, struct end *end,
			const struct etsi014_request *request,
			struct etsi014_answer *answer, double *ms)
{
	double begun;
	int rc;

	for (;;) {
		begun = now_ms();
		rc = ask(end, request, answer);
		*ms = now_ms() - begun;
		if (rc != -EAGAIN)
			break;
		client->retries++;
		usleep(20000);
	}
	if (rc)
		errx(1, "%s: %d: %s", end->cert, rc, answer->text);
}

static void get_some(struct client *client)
{
	unsigned int left = client->want - client->got, i;
	struct etsi014_request enc = { ETSI014_ENC_KEYS,
				       left < number ? left : number, SIZE * 8,
				       NULL };
	struct etsi014_request dec = enc;
	struct etsi014_answer a, b;
	struct key *key;

	keep_asking(client, &client->a, &enc, &a,
		    &client->enc_ms[client->calls]);
	dec.call = ETSI014_DEC_KEYS;
	dec.ids = a.keys->ids;
	keep_asking(client, &client->b, &dec, &b,
		    &client->dec_ms[client->calls]);
	client->calls++;
	if (a.keys->count != enc.number || b.keys->count != enc.number ||
	    memcmp(a.keys->bytes, b.keys->bytes, enc.number * SIZE))
		errx(1, "the ends have different keys");
	for (i = 0; i < enc.number; i++) {
		key = &client->keys[client->got++];
		memcpy(key->id, a.keys->ids[i], sizeof(key->id));
		memcpy(key->bytes, a.keys->bytes + i * SIZE, SIZE);
	}
	etsi014_keys_free(a.keys);
	etsi014_keys_free(b.keys);
}

static void *run_client(void *arg)
{
	struct etsi014_request status = { .call = ETSI014_STATUS };
	struct client *client = arg;
	struct etsi014_answer answer;

	/* connected, all of them, before the first begins */
	if (ask(&client->a, &status, &answer) ||
	    ask(&client->b, &status, &answer))
		errx(1, "%s", answer.text);
	pthread_barrier_wait(&start);
	while (client->got < client->want)
		get_some(client);
	return NULL;
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct key *)a)->id, ((const struct key *)b)->id);
}

static int by_bytes(const void *a, const void *b)
{
	return memcmp(((const struct key *)a)->bytes,
		      ((const struct key *)b)->bytes, SIZE);
}

/* How many are there more than once. */
static unsigned int count_twice(struct key *keys, unsigned int n,
				int (*compare)(const void *, const void *))
{
	unsigned int i, twice = 0;

	qsort(keys, n, sizeof(*keys), compare);
	for (i = 1; i < n; i++)
		twice += !compare(&keys[i - 1], &keys[i]);
	return twice;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_times(const char *name, double *ms, unsigned int n)
{
	qsort(ms, n, sizeof(*ms), by_value);
	printf(", \"%s_ms\": [%.3f, %.3f]", name, ms[n / 2], ms[n * 99 / 100]);
}

static void report(const struct client *clients, unsigned int n,
		   struct key *keys, unsigned int total, double ms)
{
	double *enc = calloc(total, sizeof(*enc)),
	       *dec = calloc(total, sizeof(*dec));
	unsigned int i, calls = 0, retries = 0;

	for (i = 0; i < n; i++) {
		memcpy(enc + calls, clients[i].enc_ms,
		       clients[i].calls * sizeof(*enc));
		memcpy(dec + calls, clients[i].dec_ms,
		       clients[i].calls * sizeof(*dec));
		calls += clients[i].calls;
		retries += clients[i].retries;
	}
	printf("{\"keys\": %u, \"calls\": %u, \"retries\": %u, \"per_second\": %.1f",
	       total, calls, retries, total / ms * 1e3);
	printf(", \"ids_twice\": %u, \"keys_twice\": %u",
	       count_twice(keys, total, by_id),
	       count_twice(keys, total, by_bytes));
	print_times("enc", enc, calls);
	print_times("dec", dec, calls);
	puts("}");
	free(enc);
	free(dec);
}

static int run(unsigned int n, unsigned int total)
{
	struct client *clients = calloc(n, sizeof(*clients));
	struct key *keys = calloc(total, sizeof(*keys));
	unsigned int i, share;
	double begun;

	pthread_barrier_init(&start, NULL, n + 1);
	for (i = 0; i < n; i++) {
		share = total / n + (i < total % n);
		clients[i].want = share;
		clients[i].keys = keys + (size_t)i * (total / n) +
				  (i < total % n ? i : total % n);
		clients[i].enc_ms = calloc(share + 1, sizeof(double));
		clients[i].dec_ms = calloc(share + 1, sizeof(double));
		end_init(&clients[i].a, "a1", "b1", netns_a);
		end_init(&clients[i].b, "b1", "a1", netns_b);
		if (pthread_create(&clients[i].thread, NULL, run_client,
				   &clients[i]))
			errx(1, "no thread");
	}
	pthread_barrier_wait(&start);
	begun = now_ms();
	for (i = 0; i < n; i++)
		pthread_join(clients[i].thread, NULL);
	report(clients, n, keys, total, now_ms() - begun);
	return 0;
}

int main(int argc, char **argv)
{
	static char path[128];

	if (argc < 6)
		errx(2,
		     "usage: kme_load { once | run } DIR PORT NETNS_A NETNS_B [CLIENTS KEYS NUMBER]");
	dir = argv[2];
	port = argv[3];
	netns_a = open_netns(argv[4]);
	netns_b = open_netns(argv[5]);
	snprintf(path, sizeof(path), "%s/ca.pem", dir);
	ca = path;
	if (etsi014_init())
		errx(1, "libcurl");
	if (!strcmp(argv[1], "once"))
		return once();
	number = atoi(argv[8]);
	return run(atoi(argv[6]), atoi(argv[7]));
}
