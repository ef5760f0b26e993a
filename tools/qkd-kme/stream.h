/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The key streams of ETSI GS QKD 004, and the face that gives them.
 *
 * The SAE that opens a stream without a Key_stream_ID is its master, and its KME
 * the one that allocates: chunk i is a key of the link, whose ID is kept until the
 * other KME asks for it. The other KME, whose SAE comes with the Key_stream_ID,
 * speaks ETSI GS QKD 004 to the first one (relay.c), as its SAE's deputy: it
 * connects to the stream, and gets the ID of a chunk in the place of the chunk.
 * With that it takes the key from its own end of the link. No key passes between
 * KMEs; an ID that is wrong is refused by its tag.
 */
#ifndef QKD_KME_STREAM_H
#define QKD_KME_STREAM_H

#include "../../lib/etsi004/etsi004.h"
#include "kme.h"

struct relay_call;
struct stream_asked;

/**
 * struct caller - who asks
 * @sae: ID of an own SAE, or ""
 * @link: or of the KME at the other end of that link, or ""
 */
struct caller {
	const char *sae;
	const char *link;
};

/**
 * stream_done_fn - the answer to a call
 * @arg: as it was given with the call
 * @answer: what to say; the key in it is the caller's until this returns
 */
typedef void (*stream_done_fn)(void *arg, const struct etsi004_answer *answer);

/* Calls @done before it returns, or later; then it returns what has to be given to
 * stream_cancel() if nobody waits for the answer any more.
 */
struct stream_asked *stream_call(const struct caller *caller,
				 const struct etsi004_request *request,
				 stream_done_fn done, void *arg);
void stream_cancel(struct stream_asked *asked);
/* Streams that nobody has used for as long as their TTL says go. */
void streams_expire(void);
void streams_flush(void);

/* relay.c: the KME at the other end of a link */

typedef void (*relay_done_fn)(void *arg, int err,
			      const struct etsi004_answer *answer);

/* @done is called later, once, unless the call is cancelled. NULL: there is no
 * other KME, or too many wait for it.
 */
struct relay_call *relay_ask(const char *link,
			     const struct etsi004_request *request,
			     relay_done_fn done, void *arg);
void relay_cancel(struct relay_call *call);
/* Connections that were made with another configuration end. */
void relays_renew(void);
void relays_stop(void);

/* face004.c */

bool face004_start(const struct config *config);
void face004_renew(void);
void face004_stop(void);

#endif /* QKD_KME_STREAM_H */
