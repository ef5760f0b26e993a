// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is left in memory when blocks are over: no piece of sifted, reconciled or final key,
 * in bits that follow each other, or one in each byte, word or number of an array. Both
 * ends run as threads; the linker puts wrappers around what has a key, which keep masked
 * pieces of it. All that this process can write to is searched, so that also
 * what was freed is.
 */
#include <stdlib.h>

#include "qkd-link/amplify.h"
#include "link_pair.h"

#define BLOCKS 2
#define PIECE 64 /* bits: none comes up by chance */
#define PIECES 6 /* of each kind that are kept, at most */
#define MASK UINT64_C(0x96a5c3f00f3c5a69)

enum what { SIFTED, RECONCILED, FINAL, WHATS };

static const char *const whats[WHATS] = { "sifted", "reconciled", "final" };

/* 64 bits each, masked. */
static uint64_t pieces[WHATS][PIECES];
static size_t count[WHATS];

static void keep(enum what what, uint64_t word)
{
	size_t at = __atomic_fetch_add(&count[what], 1, __ATOMIC_RELAXED);

	if (at < PIECES)
		pieces[what][at] = word ^ MASK;
}

/* ---- Around what has a key ---- */

int __real_recon_alice(enum recon recon, struct talk *talk, struct bits *key,
		       double qber, struct recon_result *result);
int __wrap_recon_alice(enum recon recon, struct talk *talk, struct bits *key,
		       double qber, struct recon_result *result);
int __real_verify_hash(const struct bits *key, const uint8_t seed[VERIFY_SEED],
		       uint8_t tag[VERIFY_TAG]);
int __wrap_verify_hash(const struct bits *key, const uint8_t seed[VERIFY_SEED],
		       uint8_t tag[VERIFY_TAG]);
void __real_kme_secret_free(void *secret, size_t size);
void __wrap_kme_secret_free(void *secret, size_t size);

/* The first, one in the middle, and one near the end. */
static void keep_bits(enum what what, const struct bits *key)
{
	size_t words = key->count / 64;

	if (words < 4)
		return;
	keep(what, key->word[1]);
	keep(what, key->word[words / 2]);
	keep(what, key->word[words - 1]);
}

int __wrap_recon_alice(enum recon recon, struct talk *talk, struct bits *key,
		       double qber, struct recon_result *result)
{
	keep_bits(SIFTED, key);
	return __real_recon_alice(recon, talk, key, qber, result);
}

int __wrap_verify_hash(const struct bits *key, const uint8_t seed[VERIFY_SEED],
		       uint8_t tag[VERIFY_TAG])
{
	keep_bits(RECONCILED, key);
	return __real_verify_hash(key, seed, tag);
}

void __wrap_kme_secret_free(void *secret, size_t size)
{
	uint64_t word;

	if (secret && size >= 3 * sizeof(word)) {
		memcpy(&word, (uint8_t *)secret + size / 2, sizeof(word));
		keep(FINAL, word);
	}
	__real_kme_secret_free(secret, size);
}

/* ---- The search ---- */

/* One bit, so that the whole of it is in no register that is saved somewhere. */
static unsigned int bit_of(const volatile uint64_t *masked, int i)
{
	return (*masked >> i ^ MASK >> i) & 1;
}

/* Bits that follow each other, wherever they begin. */
static bool is_packed(const uint8_t *at, uint64_t masked)
{
	unsigned int shift;
	uint64_t low, word;

	memcpy(&low, at, sizeof(low));
	for (shift = 0; shift < 8; shift++) {
		word = low >> shift;
		if (shift)
			word |= (uint64_t)at[8] << (64 - shift);
		if ((word ^ MASK) == masked)
			return true;
	}
	return false;
}

/* One bit in each so many bytes, always the same of them. */
static bool is_spread(const uint8_t *at, size_t stride, uint64_t masked)
{
	uint8_t differs = 0; /* which bits of the bytes do */
	unsigned int i;

	for (i = 0; i < PIECE && differs != 0xff; i++)
		differs |= at[i * stride] ^ -bit_of(&masked, i);
	return differs != 0xff;
}

static bool is_in(const uint8_t *memory, size_t size, uint64_t masked)
{
	static const size_t strides[] = { 1, 2, 4, 8, 16 };
	size_t i, s;

	for (i = 0; i + sizeof(masked) < size; i++) {
		if (is_packed(memory + i, masked))
			return true;
		for (s = 0; s < sizeof(strides) / sizeof(*strides); s++)
			if (i + PIECE * strides[s] <= size &&
			    is_spread(memory + i, strides[s], masked))
				return true;
	}
	return false;
}

static bool is_in_memory(uint64_t masked)
{
	unsigned long from, to;
	bool found = false;
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "r");

	if (!maps)
		err(1, "maps");
	while (!found && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx", &from, &to) == 2 &&
		    strstr(line, " rw") && !strstr(line, "[v"))
			found = is_in((uint8_t *)from, to - from, masked);
	fclose(maps);
	return found;
}

/* ---- Two ends ---- */

/* Blocks that become key, and nothing of them is left. */
static bool leaves_nothing(const char *preset, enum recon recon,
			   const char *block, const char *const *figures)
{
	static struct pair_end ends[2];
	size_t i, what;
	bool good;

	memset(count, 0, sizeof(count));
	good = run_pair(ends, recon, block, BLOCKS, preset, figures) &&
	       ends[0].stats.key_bits && ends[1].stats.key_bits;
	if (!good)
		printf("# no key\n");
	for (what = 0; what < WHATS; what++) {
		good &= count[what] > 0;
		for (i = 0; i < count[what] && i < PIECES; i++) {
			if (!is_in_memory(pieces[what][i]))
				continue;
			printf("# piece %zu of %s key is left\n", i,
			       whats[what]);
			good = false;
		}
	}
	return good;
}

/* ---- What is there is found ---- */

static bool finds(void)
{
	uint8_t *memory = calloc(4096, 1);
	double *numbers = calloc(2 * PIECE, sizeof(*numbers));
	uint64_t word; /* masked: that of random bytes is as random */
	bool good;
	int i;

	RAND_bytes((uint8_t *)&word, sizeof(word));
	good = !is_in_memory(word);
	/* in bits 3 to 66 of some byte */
	for (i = 0; i < PIECE; i++)
		memory[1001 + (i + 3) / 8] |= bit_of(&word, i) << (i + 3) % 8;
	good &= is_in_memory(word);
	explicit_bzero(memory, 4096);
	for (i = 0; i < PIECE; i++)
		numbers[7 + i] = bit_of(&word, i);
	good &= is_in_memory(word);
	explicit_bzero(numbers, 2 * PIECE * sizeof(*numbers));
	good &= !is_in_memory(word);
	free(memory);
	free(numbers);
	return good;
}

/* All clicks that say something are key: their array is one of its bits. */
static const char *const b92[] = {
	"efficiency", "90%",	      "dark", "0",	    "afterpulse",
	"0",	      "misalignment", "0",    "background", "0",
	"length",     "1 km",	      NULL,
};

static void say(bool good, const char *what, unsigned int *n,
		unsigned int *failed)
{
	printf("%sok %u - %s\n", good ? "" : "not ", ++*n, what);
	fflush(stdout);
	*failed += !good;
}

int main(void)
{
	unsigned int n = 0, failed = 0;

	if (!mkdtemp(folder))
		err(1, "mkdtemp");
	printf("TAP version 13\n1..4\n");
	say(finds(), "what is in memory is found, what was wiped is not", &n,
	    &failed);
	say(leaves_nothing("bb84-fibre-50km", RECON_CASCADE, "100000",
			   fast_bb84),
	    "bb84, Cascade: nothing is left of any key", &n, &failed);
	say(leaves_nothing("bb84-fibre-50km", RECON_LDPC, "100000", fast_bb84),
	    "bb84, LDPC: the same", &n, &failed);
	say(leaves_nothing("b92-fibre-2km", RECON_CASCADE, "20000", b92),
	    "b92: the same", &n, &failed);
	rmdir(folder);
	return failed != 0;
}
