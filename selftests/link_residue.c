// SPDX-License-Identifier: GPL-2.0-only
/*
 * What depends on a key is not left in memory, in whatever form: two processes that differ
 * in their key alone do the same, and then all that they can write to is compared, byte by
 * byte. Two more of them tell what differs by itself.
 */
#include <err.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "qkd-link/amplify.h"
#include "qkd-link/stack.h"
#include "qkd-link/wc.h"

#define KEY_MAX 300000 /* bytes */
#define SHOWN 8 /* places, at most */

#define CHILDREN \
	4 /* one after the other, with one key and the other in turns */

/**
 * struct work - what is done with a key
 * @bytes: of the key
 * @out: bits of the final key, of amplify()
 */
struct work {
	const char *name;
	int (*run)(const struct work *work, const uint8_t *key);
	size_t bytes;
	size_t out;
};

/* Of each key: it is mapped to the same place, where nothing is compared. */
static int key_file[2];
static uint8_t *key_memory;
/* Both have it. */
static uint8_t seed_bytes[2 * KEY_MAX];

/* ---- What is done ---- */

static int amplified(const struct work *work, const uint8_t *bytes)
{
	struct bits key = { 0 }, seed = { 0 }, out = { 0 };
	size_t count = 8 * work->bytes;
	int err =
		bits_from_bytes(&key, bytes, count) ?:
			bits_from_bytes(&seed, seed_bytes, amplify_seed_bits(count, work->out)) ?:
			amplify(&key, &seed, work->out, &out);

	bits_free(&key);
	bits_free(&seed);
	bits_free(&out);
	return err;
}

static int verified(const struct work *work, const uint8_t *bytes)
{
	uint8_t tag[VERIFY_TAG];
	struct bits key = { 0 };
	int err = bits_from_bytes(&key, bytes, 8 * work->bytes) ?:
			  verify_hash(&key, seed_bytes, tag);

	bits_free(&key);
	OPENSSL_cleanse(tag, sizeof(tag));
	return err;
}

static int tagged(const struct work *work, const uint8_t *bytes)
{
	uint8_t tag[WC_TAG];
	int err = wc_tag(bytes, seed_bytes, 100, seed_bytes + 100, 5000, tag);

	(void)work;
	OPENSSL_cleanse(tag, sizeof(tag));
	return err;
}

/* Not the key itself, and 4 bytes only: what a test like this has to find. */
static int left(const struct work *work, const uint8_t *bytes)
{
	static volatile uint32_t sum;
	size_t i;

	for (i = 0; i < work->bytes; i++)
		sum = 31 * sum + bytes[i];
	return 0;
}

static int nothing(const struct work *work, const uint8_t *bytes)
{
	(void)work;
	(void)bytes;
	return 0;
}

/* ---- Processes ---- */

static uint8_t *map_key(int fd)
{
	int flags = MAP_SHARED | (key_memory ? MAP_FIXED : 0);
	void *memory =
		mmap(key_memory, KEY_MAX, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (memory == MAP_FAILED)
		err(1, "memory");
	return memory;
}

/* Where a thread runs is in its memory (rseq). */
static void stay_on_one_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "affinity");
}

static void draw_keys(void)
{
	int i;

	for (i = 0; i < 2; i++) {
		key_file[i] = memfd_create("key", MFD_CLOEXEC);
		if (key_file[i] < 0 || ftruncate(key_file[i], KEY_MAX))
			err(1, "memory");
		key_memory = map_key(key_file[i]);
		if (RAND_bytes(key_memory, KEY_MAX) != 1)
			errx(1, "no random numbers");
	}
}

/* It has done its work, and stands still. */
static pid_t child(const struct work *work, int key)
{
	pid_t pid;
	int status;

	key_memory = map_key(key_file[key]);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		if (work->run(work, key_memory))
			_exit(1);
		stack_wipe();
		raise(SIGSTOP);
		_exit(0);
	}
	if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status))
		errx(1, "%s: it did not work", work->name);
	return pid;
}

static FILE *open_of(pid_t pid, const char *what)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);
	file = fopen(path, "r");
	if (!file)
		err(1, "%s", path);
	return file;
}

/* ---- Comparison ---- */

static uint8_t *read_memory(FILE *memory, unsigned long from, size_t size)
{
	uint8_t *data = malloc(size);

	if (!data || fseeko(memory, from, SEEK_SET) ||
	    fread(data, 1, size, memory) != size)
		err(1, "memory");
	return data;
}

static bool depends(uint8_t *const data[CHILDREN], size_t i)
{
	return data[0][i] == data[2][i] && data[1][i] == data[3][i] &&
	       data[0][i] != data[1][i];
}

/* Places of a mapping that depend on the key. */
static size_t compare(uint8_t *const data[CHILDREN], size_t size,
		      const char *line)
{
	size_t found = 0, i;

	for (i = 0; i < size; i++)
		if (depends(data, i) && found++ < SHOWN)
			printf("# byte %zx of %s", i, line);
	return found;
}

static size_t compare_mapping(FILE *const memory[CHILDREN], const char *line)
{
	uint8_t *data[CHILDREN];
	unsigned long from, to;
	char rights[5];
	size_t found, i;

	if (sscanf(line, "%lx-%lx %4s", &from, &to, rights) != 3 ||
	    strcmp(rights, "rw-p"))
		return 0;
	for (i = 0; i < CHILDREN; i++)
		data[i] = read_memory(memory[i], from, to - from);
	found = compare(data, to - from, line);
	for (i = 0; i < CHILDREN; i++)
		free(data[i]);
	return found;
}

static size_t compare_all(FILE *const maps[CHILDREN],
			  FILE *const memory[CHILDREN])
{
	char line[512], other[512];
	size_t found = 0, same, i;

	while (fgets(line, sizeof(line), maps[0])) {
		same = strcspn(line, " ");
		for (i = 1; i < CHILDREN; i++)
			if (!fgets(other, sizeof(other), maps[i]) ||
			    strncmp(line, other, same))
				errx(1, "they are mapped in other ways");
		found += compare_mapping(memory, line);
	}
	return found;
}

/* How many bytes depend on the key. */
static size_t residue(const struct work *work)
{
	FILE *maps[CHILDREN], *memory[CHILDREN];
	pid_t pid[CHILDREN];
	size_t found, i;

	for (i = 0; i < CHILDREN; i++)
		pid[i] = child(work, i % 2);
	for (i = 0; i < CHILDREN; i++) {
		maps[i] = open_of(pid[i], "maps");
		memory[i] = open_of(pid[i], "mem");
	}
	found = compare_all(maps, memory);
	for (i = 0; i < CHILDREN; i++) {
		fclose(maps[i]);
		fclose(memory[i]);
		kill(pid[i], SIGKILL);
		waitpid(pid[i], NULL, 0);
	}
	return found;
}

int main(void)
{
	static const struct work works[] = {
		{ "amplification of 800 bits", amplified, 100, 200 },
		{ "amplification of 80 kb", amplified, 10000, 30000 },
		{ "amplification of 2 Mb, in one piece", amplified, 250000,
		  500000 },
		{ "amplification of 2 Mb, in several", amplified, 250000,
		  20000 },
		{ "verification", verified, 100000, 0 },
		{ "a tag", tagged, WC_KEY, 0 },
	};
	static const struct work control = { "four bytes", left, 1000, 0 };
	static const struct work idle = { "nothing", nothing, 0, 0 };
	unsigned int failed = 0, i;
	size_t found;

	stay_on_one_cpu();
	draw_keys();
	RAND_bytes(seed_bytes, sizeof(seed_bytes));
	printf("TAP version 13\n1..%zu\n", sizeof(works) / sizeof(*works) + 1);
	failed = residue(&idle) != 0 || residue(&control) != 4;
	printf("%sok 1 - four bytes are found, and nothing where nothing is\n",
	       failed ? "not " : "");
	for (i = 0; i < sizeof(works) / sizeof(*works); i++) {
		found = residue(&works[i]);
		failed += found != 0;
		printf("%sok %u - %s: %zu bytes depend on the key\n",
		       found ? "not " : "", i + 2, works[i].name, found);
	}
	return failed != 0;
}
