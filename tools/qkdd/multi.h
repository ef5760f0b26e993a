/* SPDX-License-Identifier: GPL-2.0-only */
/* Suppliers over HTTP: libcurl's transfers in the event loop, and calls over them. */
#ifndef QKDD_MULTI_H
#define QKDD_MULTI_H

#include <stdbool.h>

#include <curl/curl.h>

#include "qkdd.h"
#include "supply.h"

struct multi;

/**
 * struct multi_supplier - a supplier, as one link uses it
 * @config: its section
 * @multi: its transfers
 * @stale: connections prove what files said that may say something else now
 * @known: what it says of itself was asked, since the connections are new
 *
 * The first member of what a protocol keeps of a supplier.
 */
struct multi_supplier {
	struct kme_config config;
	struct multi *multi;
	bool stale;
	bool known;
};

/**
 * struct multi_call - a supplier's call, which is one transfer after the other
 * @supplier: whose
 * @multi: where they run
 * @easy: the one under way, or NULL
 * @asks: it is about what the supplier says of itself; the request comes after it
 * @at_once: event: @err is to be said
 * @err: negative errno
 * @text: what is wrong
 * @done: to be told
 * @arg: of @done
 *
 * The first member of what a protocol keeps of the call.
 */
struct multi_call {
	struct multi_supplier *supplier;
	struct multi *multi;
	CURL *easy;
	bool asks;
	struct event *at_once;
	int err;
	char text[SUPPLY_TEXT_LEN];
	supply_done_fn done;
	void *arg;
};

/**
 * struct multi_ops - what the protocol does
 * @begin: makes the transfer of a call, as its @asks says; NULL, and its @text says
 *	why, if it cannot
 * @end: what came of the transfer, which it frees: 0 and @keys, or nothing if the
 *	call @asks and the supplier fits; else a negative errno and @text
 * @free: frees a call, and its transfer, which nobody uses any more
 */
struct multi_ops {
	CURL *(*begin)(struct multi_call *call);
	int (*end)(struct multi_call *call, CURLcode result,
		   struct supply_keys **keys, char text[SUPPLY_TEXT_LEN]);
	void (*free)(struct multi_call *call);
};

/* -1 if there is no memory. */
int multi_open(struct multi_supplier *supplier, const struct multi_ops *ops,
	       const struct kme_config *config);
/* There is no call left; connections that nobody uses end. */
void multi_close(struct multi_supplier *supplier);

/* A call of @size zeroed bytes. Connections that are stale and that nobody uses
 * make room for others. Without memory the process ends.
 */
void *multi_call_new(struct multi_supplier *supplier, size_t size,
		     supply_done_fn done, void *arg);
/* Begins with its transfer; with @ask, what the supplier says of itself comes first,
 * unless that is known.
 */
void multi_call_begin(struct multi_call *call, bool ask);
/* The end with @err, and what is in its text, but not before we are back in the
 * event loop.
 */
void multi_call_fail(struct multi_call *call, int err);

/* For struct supply_ops. */
void multi_cancel(void *supplier, void *call);
void multi_renew(void *supplier);

#endif /* QKDD_MULTI_H */
