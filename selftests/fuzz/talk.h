/* SPDX-License-Identifier: GPL-2.0-only */
/* What a peer of qkd-link sends, as talk.c takes it and talk_record.c writes it. */
#ifndef FUZZ_TALK_H
#define FUZZ_TALK_H

#include <stdbool.h>
#include <stdint.h>

#include "../../tools/qkd-link/link.h"

/* The first byte: which end the peer speaks to, of which protocol, by which method. */
#define FUZZ_ALICE 1
#define FUZZ_LDPC 2
#define FUZZ_PRESET 2 /* and above: number of a preset */
/* Then records: a kind, the size (2 bytes, the least first), so many bytes. A kind is a
 * type of message, which gets a tag, or one of these.
 */
#define FUZZ_LIGHT 0 /* bytes of the light's connection */
#define FUZZ_RAW 255 /* bytes of the other one, without a tag */
#define FUZZ_HEAD 3

void fuzz_settings(struct settings *settings, uint8_t first);
/* This thread's random numbers begin anew: so each end always says the same. */
void fuzz_seed(bool alice);
/* It runs, to the end of what the peer says on the sockets. Returns the bits of key. */
uint64_t fuzz_end(const struct settings *settings, int talk, int light);
/* The same of an input. */
uint64_t fuzz_input(const uint8_t *data, size_t size);

#endif /* FUZZ_TALK_H */
