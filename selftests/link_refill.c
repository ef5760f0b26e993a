// SPDX-License-Identifier: GPL-2.0-only
/*
 * Alice takes a part of a block as key of the tags, and tells Bob by a message; Bob takes it
 * and answers. Either message is lost: the block is dropped, the link goes on, and later refills
 * work. The bootstrap key is so small that the ends would stop without them.
 */
#include "link_pair.h"
#include "link_wrap.h"

#define BLOCK "100000"
#define BLOCKS 40
#define BOOT 20000
#define WAIT_MS 3000 /* for a message that was lost */
#define LIMIT 120 /* seconds for all blocks; more is none */

/* The message with the first refill of this end is lost. */
static bool loses;
static bool refilled;

int __real_talk_refill(struct talk *talk, const uint8_t *key, size_t size);
int __wrap_talk_refill(struct talk *talk, const uint8_t *key, size_t size);

int __wrap_talk_refill(struct talk *talk, const uint8_t *key, size_t size)
{
	int err = __real_talk_refill(talk, key, size);

	refilled = !err;
	return err;
}

int __wrap_talk_send(struct talk *talk, enum talk_type type, const void *data,
		     size_t size)
{
	bool lost = loses && refilled && type == TALK_AMPLIFY;
	int err;

	if (lost)
		talk_tamper(talk, TAMPER_DROP, 1);
	err = __real_talk_send(talk, type, data, size);
	if (lost) {
		talk_tamper(talk, TAMPER_NONE, 0);
		loses = false;
	}
	return err;
}

int __wrap_talk_recv(struct talk *talk, enum talk_type type,
		     struct buffer *message, int ms)
{
	return __real_talk_recv(talk, type, message,
				ms < WAIT_MS ? ms : WAIT_MS);
}

static pid_t start(bool alice, bool lost)
{
	pid_t pid;

	loses = lost;
	pid = start_end(alice, BLOCK, BLOCKS);
	loses = false;
	return pid;
}

/* All blocks end, with key in all of them, or in all but the one that was lost. */
static bool goes_on(bool alice_loses, bool bob_loses)
{
	pid_t pid[2];
	bool good;

	write_keys(BOOT);
	pid[0] = start(false, bob_loses);
	pid[1] = start(true, alice_loses);
	alarm(LIMIT);
	good = both_end(pid, alice_loses || bob_loses ? 3 : 0);
	alarm(0);
	return good;
}

static bool nothing_lost(void)
{
	return goes_on(false, false);
}

static bool bob_unaware(void)
{
	return goes_on(true, false);
}

static bool alice_unaware(void)
{
	return goes_on(false, true);
}

static const struct pair_case cases[] = {
	{ "nothing is lost: refills carry the link", nothing_lost },
	{ "Bob does not hear of a refill", bob_unaware },
	{ "Alice does not hear that Bob has it", alice_unaware },
};

int main(void)
{
	return run_cases(cases, sizeof(cases) / sizeof(cases[0]));
}
