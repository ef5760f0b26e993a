// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A KME, asked over ETSI GS QKD 014 by a thread of its own. Whoever waits for
 * an answer waits no longer than the KME's time limit.
 */
#include "qkd_kme_client.h"

#include <errno.h>

#include <collections/linked_list.h>
#include <threading/condvar.h>
#include <threading/mutex.h>
#include <threading/thread.h>

#include "../lib/etsi014/etsi014.h"

#define SETTINGS "%s.plugins.qkd.kme.%s."

/* ms: the time limit unless it is set, and its bounds */
#define TIMEOUT 2000
#define TIMEOUT_MIN 100
#define TIMEOUT_MAX 60000

/* ms during which a KME that failed is not asked again: at first, at most */
#define BACKOFF_MIN 250
#define BACKOFF_MAX 8000

/* ms after which the thread looks for keys that are too old, if there are keys */
#define SWEEP 1000
#define IDLE 60000

/**
 * struct job - a request for a key, and its result
 * @client: the KME
 * @request: as it goes out
 * @id: ID of the key, "" while it is not known
 * @transfer: libcurl's side; the thread's, once it has seen the job
 * @seen: the thread has
 * @refs: those who wait, and the thread
 * @done: what follows counts
 * @err: negative errno, or 0
 * @text: what was wrong
 */
struct job {
	qkd_kme_client_t *client;
	struct etsi014_request request;
	etsi014_key_id id;
	struct etsi014_transfer *transfer;
	bool seen;
	u_int refs;
	bool done;
	int err;
	char text[ETSI014_TEXT_LEN];
};

/**
 * struct qkd_kme_client_t - a KME
 * @kme: its settings
 * @name: of its section
 * @timeout: ms
 * @store: where keys go
 * @multi: libcurl's handle, the thread's but for curl_multi_wakeup()
 * @thread: that asks
 * @lock: guards what follows
 * @changed: a job is done
 * @jobs: of struct job, those that are not done
 * @stop: the thread shall end
 * @backoff: ms, 0 after an answer
 * @retry_at: not before, monotonic
 * @failure: why
 * @told: deviations that are in the log already
 */
struct qkd_kme_client_t {
	struct etsi014 kme;
	char *name;
	u_int timeout;
	qkd_kme_store_t *store;
	CURLM *multi;
	thread_t *thread;
	mutex_t *lock;
	condvar_t *changed;
	linked_list_t *jobs;
	bool stop;
	u_int backoff;
	timeval_t retry_at;
	char failure[ETSI014_TEXT_LEN];
	u_int told;
};

/* Threads of charon that wait, whatever the KME. */
static refcount_t waiting;

/*
 * The thread
 */

static void put(struct job *job)
{
	if (!--job->refs)
		free(job);
}

static void tell_deviations(qkd_kme_client_t *this, u_int deviations)
{
	u_int bit;

	for (bit = 1; bit < 1 << ETSI014_DEVIATIONS; bit <<= 1)
		if (deviations & ~this->told & bit)
			DBG1(DBG_CFG,
			     "QKD KME %s deviates from the standard: %s",
			     this->name, etsi014_deviation_text(bit));
	this->told |= deviations;
}

/* A KME that is not there, or has too much to do, is left alone for a while. That
 * it does not have a key, or not for us, is an answer: the key's ID may be one
 * that a stranger made up.
 */
static void back_off(qkd_kme_client_t *this, int err, const char *text)
{
	timeval_t now;

	switch (err) {
	case -EAGAIN:
	case -ETIMEDOUT:
	case -EHOSTUNREACH:
	case -ECONNABORTED:
		break;
	default:
		this->backoff = 0;
		return;
	}
	time_monotonic(&now);
	if (this->backoff && timercmp(&now, &this->retry_at, <))
		return;
	this->backoff = max(BACKOFF_MIN, min(2 * this->backoff, BACKOFF_MAX));
	this->retry_at = now;
	timeval_add_ms(&this->retry_at,
		       this->backoff / 2 + random() % (this->backoff / 2 + 1));
	strcpy(this->failure, text);
}

/* The key of an answer goes to the store even if nobody waits for it any more: the
 * KME does not have it any more. Called with the lock.
 */
static int keep(struct job *job, struct etsi014_answer *answer)
{
	const char *id = answer->keys->ids[0];

	if (!qkd_kme_store_add(job->client->store, id, answer->keys->bytes)) {
		snprintf(answer->text, sizeof(answer->text),
			 "it gave key %s before", id);
		return -EPROTO;
	}
	strcpy(job->id, id);
	return 0;
}

static void finish(struct job *job, CURLcode result)
{
	qkd_kme_client_t *this = job->client;
	struct etsi014_answer answer;
	int err;

	err = etsi014_transfer_end(job->transfer, result, &answer);
	etsi014_transfer_free(job->transfer);

	this->lock->lock(this->lock);
	if (!err)
		err = keep(job, &answer);
	etsi014_keys_free(answer.keys);
	tell_deviations(this, answer.deviations);
	back_off(this, err, answer.text);
	job->err = err;
	strcpy(job->text, answer.text);
	job->done = TRUE;
	this->jobs->remove(this->jobs, job, NULL);
	this->changed->broadcast(this->changed);
	put(job);
	this->lock->unlock(this->lock);
}

/* Starts what is new; returns FALSE when the thread shall end. */
static bool start_jobs(qkd_kme_client_t *this)
{
	enumerator_t *all;
	struct job *job;
	bool go_on;

	this->lock->lock(this->lock);
	go_on = !this->stop;
	all = this->jobs->create_enumerator(this->jobs);
	while (go_on && all->enumerate(all, &job)) {
		if (job->seen)
			continue;
		job->seen = TRUE;
		curl_multi_add_handle(this->multi,
				      etsi014_transfer_handle(job->transfer));
	}
	all->destroy(all);
	this->lock->unlock(this->lock);
	return go_on;
}

static void finish_jobs(qkd_kme_client_t *this)
{
	struct CURLMsg *msg;
	CURLcode result;
	char *job;
	CURL *easy;
	int left;

	while ((msg = curl_multi_info_read(this->multi, &left))) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		easy = msg->easy_handle;
		result = msg->data.result;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, &job);
		curl_multi_remove_handle(this->multi, easy);
		finish((struct job *)job, result);
	}
}

static void *run(void *arg)
{
	qkd_kme_client_t *this = arg;
	int running, ms;

	while (start_jobs(this)) {
		curl_multi_perform(this->multi, &running);
		finish_jobs(this);
		ms = qkd_kme_store_expire(this->store) ? SWEEP : IDLE;
		curl_multi_poll(this->multi, NULL, 0, ms, NULL);
	}
	return NULL;
}

/*
 * Those who wait
 */

static bool refuse(qkd_kme_client_t *this, const char *why)
{
	DBG1(DBG_CFG, "QKD KME %s: no key: %s", this->name, why);
	return FALSE;
}

/* Called with the lock, as are the others until fetch(). */
static struct job *find_job(qkd_kme_client_t *this, const char *id)
{
	enumerator_t *all = this->jobs->create_enumerator(this->jobs);
	struct job *job, *found = NULL;

	while (*id && !found && all->enumerate(all, &job))
		if (job->request.ids && streq(job->id, id))
			found = job;
	all->destroy(all);
	return found;
}

static struct job *new_job(qkd_kme_client_t *this, const char *id,
			   char text[ETSI014_TEXT_LEN])
{
	struct job *job;

	INIT(job,
	     .client = this,
	     .request = {
		     .call = *id ? ETSI014_DEC_KEYS : ETSI014_ENC_KEYS,
		     .number = 1,
		     .size = 8 * QKD_SECRET_LEN,
	     },
	     .refs = 1, );
	strcpy(job->id, id);
	if (*id)
		job->request.ids = &job->id;
	job->transfer = etsi014_transfer_new(&this->kme, &job->request, text);
	if (!job->transfer) {
		free(job);
		return NULL;
	}
	curl_easy_setopt(etsi014_transfer_handle(job->transfer),
			 CURLOPT_PRIVATE, (char *)job);
	this->jobs->insert_last(this->jobs, job);
	curl_multi_wakeup(this->multi);
	return job;
}

/* One that others wait for already, or a new one; NULL, and text says why not. */
static struct job *get_job(qkd_kme_client_t *this, const char *id,
			   char text[ETSI014_TEXT_LEN])
{
	struct job *job = find_job(this, id);
	timeval_t now;

	if (job)
		return job;
	time_monotonic(&now);
	if (this->backoff && timercmp(&now, &this->retry_at, <)) {
		snprintf(text, ETSI014_TEXT_LEN,
			 "not asked again yet, after: %.200s", this->failure);
		return NULL;
	}
	return new_job(this, id, text);
}

static bool wait_for(qkd_kme_client_t *this, struct job *job,
		     char text[ETSI014_TEXT_LEN])
{
	timeval_t until;

	time_monotonic(&until);
	timeval_add_ms(&until, this->timeout);
	while (!job->done)
		if (this->changed->timed_wait_abs(this->changed, this->lock,
						  until))
			break;
	if (!job->done)
		snprintf(text, ETSI014_TEXT_LEN, "no answer in %u ms",
			 this->timeout);
	else
		strcpy(text, job->text);
	return job->done && !job->err;
}

static bool fetch(qkd_kme_client_t *this, char id[QKD_ID_LEN + 1])
{
	char text[ETSI014_TEXT_LEN] = "";
	struct job *job;
	bool done;

	this->lock->lock(this->lock);
	/* somebody else's request may have brought it meanwhile */
	done = *id &&
	       qkd_kme_store_find(this->store, id, NULL) != QKD_KME_UNKNOWN;
	job = done ? NULL : get_job(this, id, text);
	if (job) {
		job->refs++;
		done = wait_for(this, job, text);
		if (done)
			strcpy(id, job->id);
		put(job);
	}
	this->lock->unlock(this->lock);
	return done ? TRUE : refuse(this, text);
}

bool qkd_kme_client_fetch(qkd_kme_client_t *this, char id[QKD_ID_LEN + 1])
{
	u_int threads = lib->processor->get_total_threads(lib->processor);
	bool done;

	if (ref_get(&waiting) > max(threads / 4, 1))
		done = refuse(
			this,
			"as many threads as may wait for KMEs do so already");
	else
		done = fetch(this, id);
	ignore_result(ref_put(&waiting));
	return done;
}

/*
 * Settings
 */

static const char *setting(const char *name, const char *key)
{
	return strdupnull(lib->settings->get_str(lib->settings, SETTINGS "%s",
						 NULL, lib->ns, name, key));
}

static bool configure(qkd_kme_client_t *this)
{
	char text[ETSI014_TEXT_LEN];
	int timeout;

	this->kme = (struct etsi014){
		.url = setting(this->name, "url"),
		.ca = setting(this->name, "ca"),
		.cert = setting(this->name, "cert"),
		.key = setting(this->name, "key"),
		.name = setting(this->name, "certificate_name"),
		.peer_sae = setting(this->name, "sae"),
	};
	timeout = lib->settings->get_int(lib->settings, SETTINGS "timeout",
					 TIMEOUT, lib->ns, this->name);
	this->timeout = timeout;
	/* before those who wait give up, so that the log says what it was */
	this->kme.total_ms = timeout - timeout / 10;
	this->kme.connect_ms = this->kme.total_ms;
	if (timeout < TIMEOUT_MIN || timeout > TIMEOUT_MAX) {
		DBG1(DBG_CFG, "QKD KME %s: timeout is %d to %d ms", this->name,
		     TIMEOUT_MIN, TIMEOUT_MAX);
		return FALSE;
	}
	if (!etsi014_check(&this->kme, text))
		return TRUE;
	DBG1(DBG_CFG, "QKD KME %s: %s", this->name, text);
	return FALSE;
}

static void end(qkd_kme_client_t *this)
{
	if (!this->thread)
		return;
	this->lock->lock(this->lock);
	this->stop = TRUE;
	this->lock->unlock(this->lock);
	curl_multi_wakeup(this->multi);
	this->thread->join(this->thread);
}

static void drop(struct job *job)
{
	if (job->seen)
		curl_multi_remove_handle(
			job->client->multi,
			etsi014_transfer_handle(job->transfer));
	etsi014_transfer_free(job->transfer);
	free(job);
}

void qkd_kme_client_destroy(qkd_kme_client_t *this)
{
	end(this);
	this->jobs->destroy_function(this->jobs, (void *)drop);
	curl_multi_cleanup(this->multi);
	this->changed->destroy(this->changed);
	this->lock->destroy(this->lock);
	free((char *)this->kme.url);
	free((char *)this->kme.ca);
	free((char *)this->kme.cert);
	free((char *)this->kme.key);
	free((char *)this->kme.name);
	free((char *)this->kme.peer_sae);
	free(this->name);
	free(this);
}

qkd_kme_client_t *qkd_kme_client_create(const char *name,
					qkd_kme_store_t *store)
{
	qkd_kme_client_t *this;

	INIT(this, .name = strdup(name), .store = store,
	     .lock = mutex_create(MUTEX_TYPE_DEFAULT),
	     .changed = condvar_create(CONDVAR_TYPE_DEFAULT),
	     .jobs = linked_list_create(), );
	if (configure(this) && !etsi014_init()) {
		this->multi = curl_multi_init();
		if (this->multi)
			this->thread = thread_create(run, this);
	}
	if (this->thread)
		return this;
	qkd_kme_client_destroy(this);
	return NULL;
}
