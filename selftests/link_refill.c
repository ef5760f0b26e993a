// SPDX-License-Identifier: GPL-2.0-only
/*
 * Alice takes a part of a block as key of the tags, and tells Bob by a message; Bob takes it
 * and answers. Either message is lost: the block is dropped, the link goes on, and later refills
 * work. The bootstrap key is so small that the ends would stop without them.
 */
#include "link_pair.h"

#include "qkd-link/talk.h"

#define BLOCK "100000"
#define BLOCKS 40
#define BOOT 20000
#define WAIT_MS 3000 /* for a message that was lost */
#define LIMIT 120 /* seconds for all blocks; more is none */

/* The message with the first refill of this end is lost. */
static bool loses;
static bool refilled;

int __real_talk_send(struct talk *talk, enum talk_type type, const void *data,
		     size_t size);
int __wrap_talk_send(struct talk *talk, enum talk_type type, const void *data,
		     size_t size);
int __real_talk_recv(struct talk *talk, enum talk_type type,
		     struct buffer *message, int ms);
int __wrap_talk_recv(struct talk *talk, enum talk_type type,
		     struct buffer *message, int ms);
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
	int want = alice_loses || bob_loses ? 3 : 0;
	int got[2] = { 0 }, end;
	pid_t pid[2];

	write_keys(BOOT);
	pid[0] = start(false, bob_loses);
	pid[1] = start(true, alice_loses);
	alarm(LIMIT);
	for (end = 0; end < 2; end++)
		waitpid(pid[end], &got[end], 0);
	alarm(0);
	printf("# exit status %d, %d\n", WEXITSTATUS(got[0]),
	       WEXITSTATUS(got[1]));
	return WIFEXITED(got[0]) && WEXITSTATUS(got[0]) == want &&
	       WIFEXITED(got[1]) && WEXITSTATUS(got[1]) == want;
}

int main(void)
{
	static const struct {
		bool alice;
		bool bob;
		const char *what;
	} cases[] = {
		{ false, false, "nothing is lost: refills carry the link" },
		{ true, false, "Bob does not hear of a refill" },
		{ false, true, "Alice does not hear that Bob has it" },
	};
	size_t i, n = sizeof(cases) / sizeof(cases[0]), failed = 0;

	if (!mkdtemp(folder))
		err(1, "mkdtemp");
	printf("TAP version 13\n1..%zu\n", n);
	for (i = 0; i < n; i++) {
		bool good = goes_on(cases[i].alice, cases[i].bob);

		printf("%sok %zu - %s\n", good ? "" : "not ", i + 1,
		       cases[i].what);
		fflush(stdout);
		failed += !good;
	}
	rmdir(folder);
	return failed != 0;
}
