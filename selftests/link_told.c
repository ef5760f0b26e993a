// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two ends make key, and print what was told about it over their channel and what each of
 * them counts, for link_told.py to compare: lines of an end, a word and numbers.
 *
 *	link_told METHOD BLOCK BLOCKS [failing] [-BITS]
 *
 *	failing		half of one frame of Bob's bits is wrong: LDPC cannot correct it
 *	-BITS		both ends count so many bits less than were told
 */
#include <inttypes.h>

#include "link_pair.h"
#include "link_wrap.h"

#include "qkd-link/amplify.h"
#include "qkd-link/ldpc.h"

#define FRAME ((size_t)LDPC_COLUMNS * LDPC_LIFT)
#define FOUND 8 /* bytes behind the frames in what Bob says: errors so far */

static bool failing;
static uint64_t uncounted;

/* Whose thread this is, while it makes a block. */
static __thread const char *self;
static __thread bool is_alice;
static __thread uint64_t parities;

/* ---- what is told ---- */

/* Of LDPC: frames that Bob asks for more of. */
static unsigned int open_frames(const uint8_t *data, size_t size)
{
	unsigned int open = 0;
	size_t i;

	for (i = 0; i + FOUND < size; i++)
		open += __builtin_popcount(data[i]);
	return open;
}

static void note(bool by_alice, enum talk_type type, const uint8_t *data,
		 size_t size)
{
	if (!self)
		return;
	if (type == TALK_RECON && by_alice)
		printf("%s told %zu\n", self, size);
	else if (type == TALK_RECON)
		printf("%s open %u\n", self, open_frames(data, size));
	else if (type == TALK_VERIFY && by_alice)
		printf("%s hash %zu\n", self, size - VERIFY_SEED);
}

int __wrap_talk_send(struct talk *talk, enum talk_type type, const void *data,
		     size_t size)
{
	note(is_alice, type, data, size);
	return __real_talk_send(talk, type, data, size);
}

int __wrap_talk_recv(struct talk *talk, enum talk_type type,
		     struct buffer *message, int ms)
{
	int err = __real_talk_recv(talk, type, message, ms);

	if (!err)
		note(!is_alice, type, message->data, message->size);
	return err;
}

bool __real_bits_parity(const struct bits *bits, size_t from, size_t to);
bool __wrap_bits_parity(const struct bits *bits, size_t from, size_t to);

bool __wrap_bits_parity(const struct bits *bits, size_t from, size_t to)
{
	parities++;
	return __real_bits_parity(bits, from, to);
}

/* ---- reconciliation ---- */

int __real_recon_alice(enum recon recon, struct talk *talk, struct bits *key,
		       double qber, struct recon_result *result);
int __wrap_recon_alice(enum recon recon, struct talk *talk, struct bits *key,
		       double qber, struct recon_result *result);
int __real_recon_bob(enum recon recon, struct talk *talk, struct bits *key,
		     double qber, struct recon_result *result);
int __wrap_recon_bob(enum recon recon, struct talk *talk, struct bits *key,
		     double qber, struct recon_result *result);

static void begin(const char *name, bool alice, const struct bits *key)
{
	self = name;
	is_alice = alice;
	parities = 0;
	printf("%s block %zu %zu\n", self, key->count,
	       (key->count + FRAME - 1) / FRAME);
}

/* Every other bit of the first frame, about. */
static void spoil(struct bits *key)
{
	size_t size = key->count / ((key->count + FRAME - 1) / FRAME), i;
	uint8_t noise[FRAME];

	RAND_bytes(noise, size);
	for (i = 0; i < size; i++)
		if (noise[i] & 1)
			bits_flip(key, i);
}

int __wrap_recon_alice(enum recon recon, struct talk *talk, struct bits *key,
		       double qber, struct recon_result *result)
{
	int err;

	begin("alice", true, key);
	err = __real_recon_alice(recon, talk, key, qber, result);
	printf("%s parities %" PRIu64 "\n", self, parities);
	return err;
}

int __wrap_recon_bob(enum recon recon, struct talk *talk, struct bits *key,
		     double qber, struct recon_result *result)
{
	begin("bob", false, key);
	if (failing)
		spoil(key);
	return __real_recon_bob(recon, talk, key, qber, result);
}

/* ---- what is counted, and what is kept ---- */

void __real_rate_secret(const struct model *model, const struct counts *counts,
			uint64_t leaked, struct secret *secret);
void __wrap_rate_secret(const struct model *model, const struct counts *counts,
			uint64_t leaked, struct secret *secret);
int __real_amplify(const struct bits *key, const struct bits *seed,
		   size_t out_bits, struct bits *out);
int __wrap_amplify(const struct bits *key, const struct bits *seed,
		   size_t out_bits, struct bits *out);

static void print_counts(const char *what, uint64_t count[BASES][INTENSITIES])
{
	printf("%s %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
	       " %" PRIu64 "\n",
	       self, what, count[0][0], count[0][1], count[0][2], count[1][0],
	       count[1][1], count[1][2]);
}

static void print_model(const struct model *model)
{
	const struct source *s = &model->source;

	printf("%s mu %.17g %.17g %.17g\n", self, s->intensity[0],
	       s->intensity[1], s->intensity[2]);
	printf("%s share %.17g %.17g %.17g\n", self, s->share[0], s->share[1],
	       s->share[2]);
	printf("%s eps %.17g %.17g\n", self, model->finite.eps_sec,
	       model->finite.eps_cor);
}

void __wrap_rate_secret(const struct model *model, const struct counts *counts,
			uint64_t leaked, struct secret *secret)
{
	struct counts copy = *counts;

	leaked -= uncounted < leaked ? uncounted : leaked;
	__real_rate_secret(model, counts, leaked, secret);
	print_model(model);
	print_counts("clicks", copy.clicks);
	print_counts("errors", copy.errors);
	printf("%s leaked %" PRIu64 "\n", self, leaked);
}

int __wrap_amplify(const struct bits *key, const struct bits *seed,
		   size_t out_bits, struct bits *out)
{
	printf("%s amplify %zu %zu\n", self, key->count, out_bits);
	return __real_amplify(key, seed, out_bits, out);
}

int main(int argc, char **argv)
{
	static struct pair_end ends[2];
	enum recon recon;
	bool good;
	int i;

	if (argc < 4 || recon_by_name(argv[1], &recon) || !mkdtemp(folder))
		errx(1, "see the beginning of the source");
	for (i = 4; i < argc; i++)
		if (*argv[i] == '-')
			uncounted = strtoull(argv[i] + 1, NULL, 10);
		else
			failing = true;
	good = run_pair(ends, recon, argv[2], atoi(argv[3]), "bb84-fibre-50km",
			fast_bb84);
	rmdir(folder);
	return !good || ends[0].stats.dropped || ends[1].stats.dropped;
}
