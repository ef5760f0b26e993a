/* SPDX-License-Identifier: GPL-2.0-only */
/* libcurl's transfers in the event loop, and the calls of suppliers over them. */
#ifndef QKDD_MULTI_H
#define QKDD_MULTI_H

#include <stdbool.h>

#include <curl/curl.h>

#include "supply.h"

struct multi;

/**
 * struct multi_call - a supplier's call, which is one transfer after the other
 * @multi: where they run
 * @easy: the one under way, or NULL
 * @at_once: event: @err is to be said
 * @err: negative errno
 * @text: what is wrong
 * @done: to be told
 * @arg: of @done
 *
 * The first member of what the supplier keeps of the call.
 */
struct multi_call {
	struct multi *multi;
	CURL *easy;
	struct event *at_once;
	int err;
	char text[SUPPLY_TEXT_LEN];
	supply_done_fn done;
	void *arg;
};

/**
 * struct multi_ops - what the supplier does
 * @ended: a call's transfer has come to its end; called by the event loop, may
 *	begin another one
 * @free: frees a call, and its transfer, which nobody uses any more
 */
struct multi_ops {
	void (*ended)(struct multi_call *call, CURLcode result);
	void (*free)(struct multi_call *call);
};

/* NULL if there is no memory. */
struct multi *multi_new(const struct multi_ops *ops);
/* There is no call left; connections that nobody uses end. */
void multi_free(struct multi *multi);
/* Whether there are calls. */
bool multi_is_used(const struct multi *multi);

/* Without memory the process ends. */
void multi_call_init(struct multi *multi, struct multi_call *call,
		     supply_done_fn done, void *arg);
/* Begins a transfer; if it cannot, the call fails. */
void multi_call_transfer(struct multi_call *call, CURL *easy);
/* The end with @err, and what is in its text, but not before we are back in the
 * event loop.
 */
void multi_call_fail(struct multi_call *call, int err);
/* The end: frees it, and tells. */
void multi_call_done(struct multi_call *call, int err, const char *text,
		     struct supply_keys *keys);
/* Frees it, and nobody is told. */
void multi_call_cancel(struct multi_call *call);

#endif /* QKDD_MULTI_H */
