/* SPDX-License-Identifier: GPL-2.0-only */
/* Eve on the classical channel: she has what goes out, and no key. */
#ifndef QKD_LINK_TAMPER_H
#define QKD_LINK_TAMPER_H

#include "talk.h"

/**
 * struct tampering - what she does
 * @how: she does it
 * @fraction: to this part of the messages
 * @old: the message before, for REPLAY
 * @held: a message that waits for the next one, for REORDER
 */
struct tampering {
	enum tamper how;
	double fraction;
	struct buffer old;
	struct buffer held;
};

/* Makes of @message what she lets through instead: nothing, one, or two. */
int tamper_message(struct tampering *tampering, struct buffer *message);
/* A new connection: she holds nothing of it yet. */
void tamper_reset(struct tampering *tampering);
void tamper_free(struct tampering *tampering);

#endif
