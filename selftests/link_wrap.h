/* SPDX-License-Identifier: GPL-2.0-only */
/* The linker puts a selftest's __wrap_NAME in the place of NAME, which is __real_NAME then. */
#ifndef LINK_WRAP_H
#define LINK_WRAP_H

#include "qkd-link/talk.h"

int __real_talk_send(struct talk *talk, enum talk_type type, const void *data,
		     size_t size);
int __wrap_talk_send(struct talk *talk, enum talk_type type, const void *data,
		     size_t size);
int __real_talk_recv(struct talk *talk, enum talk_type type,
		     struct buffer *message, int ms);
int __wrap_talk_recv(struct talk *talk, enum talk_type type,
		     struct buffer *message, int ms);

#endif
