// SPDX-License-Identifier: GPL-2.0-only
/*
 * Key that two ends of qkd-link make goes to stdout, a pipe, until nobody reads it any more:
 * what Alice would write to the kernel. With a word on the command line privacy
 * amplification is replaced by a worse one:
 *
 *	biased	each 64th bit is set
 *	short	the seed of the matrix comes from a shift register of 31 bits
 */
#include "link_pair.h"

#include "qkd-link/amplify.h"
#include "qkd-link/feed.h"

#define BLOCK "1000000"
#define REGISTER 31 /* x^31 + x^3 + 1 */
#define TAP 28

static const char *weakness = "";
static bool is_alice;

int __real_feed_key(struct feed *feed, struct talk *talk, const uint8_t *key,
		    size_t size, uint64_t *fed, const char **why);
int __wrap_feed_key(struct feed *feed, struct talk *talk, const uint8_t *key,
		    size_t size, uint64_t *fed, const char **why);
int __real_amplify(const struct bits *key, const struct bits *seed,
		   size_t out_bits, struct bits *out);
int __wrap_amplify(const struct bits *key, const struct bits *seed,
		   size_t out_bits, struct bits *out);

int __wrap_feed_key(struct feed *feed, struct talk *talk, const uint8_t *key,
		    size_t size, uint64_t *fed, const char **why)
{
	size_t done = 0;
	ssize_t n;

	while (is_alice && done < size) {
		n = write(STDOUT_FILENO, key + done, size - done);
		if (n < 0)
			_exit(1);
		done += n;
	}
	return __real_feed_key(feed, talk, key, size, fed, why);
}

static void bias(struct bits *out)
{
	size_t i;

	for (i = 0; i < out->count; i += 64)
		if (!bits_get(out, i))
			bits_flip(out, i);
}

static void shift(struct bits *seed)
{
	size_t i;

	for (i = REGISTER; i < seed->count; i++)
		if (bits_get(seed, i) !=
		    (bits_get(seed, i - REGISTER) ^ bits_get(seed, i - TAP)))
			bits_flip(seed, i);
}

int __wrap_amplify(const struct bits *key, const struct bits *seed,
		   size_t out_bits, struct bits *out)
{
	int err;

	if (!strcmp(weakness, "short"))
		shift((struct bits *)seed);
	err = __real_amplify(key, seed, out_bits, out);
	if (!err && !strcmp(weakness, "biased"))
		bias(out);
	return err;
}

int main(int argc, char **argv)
{
	pid_t bob, alice;

	if (argc > 1)
		weakness = argv[1];
	if (isatty(STDOUT_FILENO) || !mkdtemp(folder))
		errx(1, "stdout has to be a pipe");
	write_keys(BOOT_MOST);
	bob = start_end(false, BLOCK, 0);
	is_alice = true;
	alice = start_end(true, BLOCK, 0);
	/* Alice ends by SIGPIPE. */
	waitpid(alice, NULL, 0);
	kill(bob, SIGKILL);
	waitpid(bob, NULL, 0);
	chdir(folder);
	unlink("socket");
	rmdir(folder);
	return 0;
}
