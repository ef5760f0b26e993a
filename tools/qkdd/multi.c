// SPDX-License-Identifier: GPL-2.0-only
/* libcurl's transfers in the event loop: it says which sockets and what time. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "multi.h"
#include "qkdd.h"

/**
 * struct watch - a socket of libcurl's
 * @list: all of a multi handle
 * @event: event
 */
struct watch {
	LIST_ENTRY(watch) list;
	struct event *event;
};

/**
 * struct multi - transfers that share connections
 * @curl: libcurl's handle
 * @timer: libcurl's
 * @watches: libcurl's sockets
 * @ops: the protocol's
 * @calls: their number
 */
struct multi {
	CURLM *curl;
	struct event *timer;
	LIST_HEAD(, watch) watches;
	const struct multi_ops *ops;
	unsigned int calls;
};

static void call_ended(struct multi_call *call, CURLcode result);

static void finish_transfers(struct multi *multi)
{
	struct multi_call *call;
	struct CURLMsg *msg;
	CURLcode result;
	char *private;
	int left;

	while ((msg = curl_multi_info_read(multi->curl, &left))) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		result = msg->data.result;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &private);
		call = (struct multi_call *)private;
		curl_multi_remove_handle(multi->curl, call->easy);
		call->easy = NULL;
		call_ended(call, result);
	}
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	int mask = (what & EV_READ ? CURL_CSELECT_IN : 0) |
		   (what & EV_WRITE ? CURL_CSELECT_OUT : 0);
	struct multi *multi = arg;
	int running;

	curl_multi_socket_action(multi->curl, fd, mask, &running);
	finish_transfers(multi);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct multi *multi = arg;
	int running;

	(void)fd;
	(void)what;
	curl_multi_socket_action(multi->curl, CURL_SOCKET_TIMEOUT, 0, &running);
	finish_transfers(multi);
}

static void unwatch(struct watch *watch)
{
	if (watch->event)
		event_free(watch->event);
	LIST_REMOVE(watch, list);
	free(watch);
}

static struct watch *watch_new(struct multi *multi)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (watch)
		LIST_INSERT_HEAD(&multi->watches, watch, list);
	return watch;
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg,
			void *old)
{
	short events = EV_PERSIST | (what & CURL_POLL_IN ? EV_READ : 0) |
		       (what & CURL_POLL_OUT ? EV_WRITE : 0);
	struct multi *multi = arg;
	struct watch *watch = old;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (watch)
			unwatch(watch);
		return 0;
	}
	if (!watch)
		watch = watch_new(multi);
	if (!watch)
		return -1;
	if (watch->event)
		event_free(watch->event);
	watch->event = event_new(base, fd, events, on_socket, multi);
	if (!watch->event || event_add(watch->event, NULL))
		return -1;
	return curl_multi_assign(multi->curl, fd, watch) ? -1 : 0;
}

static int set_timer(CURLM *curl, long ms, void *arg)
{
	struct timeval tv = { .tv_sec = ms / 1000,
			      .tv_usec = ms % 1000 * 1000 };
	struct multi *multi = arg;

	(void)curl;
	return ms < 0 ? evtimer_del(multi->timer) :
			evtimer_add(multi->timer, &tv);
}

/* Sockets that libcurl still watches then, as it closes connections in its own
 * time, it closes with its handle.
 */
static void end_curl(struct multi *multi)
{
	struct watch *watch;

	curl_multi_setopt(multi->curl, CURLMOPT_SOCKETFUNCTION, NULL);
	curl_multi_setopt(multi->curl, CURLMOPT_TIMERFUNCTION, NULL);
	curl_multi_cleanup(multi->curl);
	while ((watch = LIST_FIRST(&multi->watches)))
		unwatch(watch);
}

static void multi_free(struct multi *multi)
{
	if (!multi)
		return;
	if (multi->curl)
		end_curl(multi);
	if (multi->timer)
		event_free(multi->timer);
	free(multi);
}

static struct multi *multi_new(const struct multi_ops *ops)
{
	struct multi *multi = calloc(1, sizeof(*multi));

	if (!multi)
		return NULL;
	multi->ops = ops;
	multi->timer = evtimer_new(base, on_timer, multi);
	multi->curl = curl_multi_init();
	if (multi->timer && multi->curl &&
	    !curl_multi_setopt(multi->curl, CURLMOPT_SOCKETFUNCTION,
			       watch_socket) &&
	    !curl_multi_setopt(multi->curl, CURLMOPT_SOCKETDATA, multi) &&
	    !curl_multi_setopt(multi->curl, CURLMOPT_TIMERFUNCTION,
			       set_timer) &&
	    !curl_multi_setopt(multi->curl, CURLMOPT_TIMERDATA, multi))
		return multi;
	multi_free(multi);
	return NULL;
}

int multi_open(struct multi_supplier *supplier, const struct multi_ops *ops,
	       const struct kme_config *config)
{
	supplier->config = *config;
	supplier->multi = multi_new(ops);
	return supplier->multi ? 0 : -1;
}

void multi_close(struct multi_supplier *supplier)
{
	multi_free(supplier->multi);
}

void multi_renew(void *arg)
{
	struct multi_supplier *supplier = arg;

	supplier->stale = true;
}

static bool renew_connections(struct multi_supplier *supplier)
{
	const struct multi_ops *ops = supplier->multi->ops;

	if (!supplier->stale || supplier->multi->calls)
		return true;
	multi_free(supplier->multi);
	supplier->multi = multi_new(ops);
	supplier->stale = false;
	supplier->known = false;
	return supplier->multi;
}

/*
 * Calls
 */

static void call_free(struct multi_call *call)
{
	struct multi *multi = call->multi;

	if (call->easy)
		curl_multi_remove_handle(multi->curl, call->easy);
	event_free(call->at_once);
	multi->calls--;
	multi->ops->free(call);
}

void multi_cancel(void *supplier, void *call)
{
	(void)supplier;
	call_free(call);
}

/* The end: frees it, and tells. */
static void call_done(struct multi_call *call, int err, const char *text,
		      struct supply_keys *keys)
{
	supply_done_fn done = call->done;
	char why[SUPPLY_TEXT_LEN];
	void *arg = call->arg;
	char *p;

	snprintf(why, sizeof(why), "%s", text);
	for (p = why; *p; p++) /* names that the KME gives itself are in it */
		if (*p < ' ' || *p > '~')
			*p = '?';
	call_free(call);
	done(arg, err, why, keys);
}

static void on_at_once(evutil_socket_t fd, short what, void *arg)
{
	struct multi_call *call = arg;

	(void)fd;
	(void)what;
	call_done(call, call->err, call->text, NULL);
}

void multi_call_fail(struct multi_call *call, int err)
{
	struct timeval now = {};

	call->err = err;
	evtimer_add(call->at_once, &now);
}

void *multi_call_new(struct multi_supplier *supplier, size_t size,
		     supply_done_fn done, void *arg)
{
	struct multi_call *call = calloc(1, size);

	if (call && renew_connections(supplier))
		call->at_once = evtimer_new(base, on_at_once, call);
	if (!call || !call->at_once) {
		log_error("out of memory");
		exit(1);
	}
	call->supplier = supplier;
	call->multi = supplier->multi;
	call->done = done;
	call->arg = arg;
	call->multi->calls++;
	return call;
}

static void transfer(struct multi_call *call, CURL *easy)
{
	curl_easy_setopt(easy, CURLOPT_PRIVATE, (char *)call);
	if (!curl_multi_add_handle(call->multi->curl, easy)) {
		call->easy = easy;
		return;
	}
	strcpy(call->text, "libcurl does not take the request");
	multi_call_fail(call, -ENOMEM);
}

void multi_call_begin(struct multi_call *call, bool ask)
{
	CURL *easy;

	call->asks = ask && !call->supplier->known;
	easy = call->multi->ops->begin(call);
	if (easy)
		transfer(call, easy);
	else
		multi_call_fail(call, -ENOMEM);
}

static void call_ended(struct multi_call *call, CURLcode result)
{
	struct supply_keys *keys = NULL;
	char text[SUPPLY_TEXT_LEN];
	int err;

	err = call->multi->ops->end(call, result, &keys, text);
	if (!err && call->asks) {
		call->supplier->known = true;
		multi_call_begin(call, false);
		return;
	}
	call_done(call, err, text, keys);
}
