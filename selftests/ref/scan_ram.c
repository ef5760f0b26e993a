// SPDX-License-Identifier: GPL-2.0-only
/*
 * scan_ram DUMP SECRETS: finds runs of at least 16 bytes of SECRETS in DUMP, at
 * any alignment. Prints "address offset length" in decimal for each.
 *
 * A run of 16 equal bytes holds a whole 8-byte word that is aligned in SECRETS.
 * All of these words go into a table; each window of 8 bytes of the dump is
 * looked up there, behind a bitmap that says no to nearly all.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RUN 16
#define WORD 8

struct file {
	const uint8_t *bytes;
	size_t size;
};

struct table {
	uint64_t *sieve;
	uint32_t *slot; /* index of a word + 1 */
	unsigned int bits;
};

static struct file map(const char *path)
{
	struct file file;
	struct stat st;
	void *bytes;
	int fd;

	fd = open(path, O_RDONLY);
	if (fd < 0 || fstat(fd, &st)) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(2);
	}
	file.size = st.st_size;
	bytes = file.size ?
			mmap(NULL, file.size, PROT_READ, MAP_PRIVATE, fd, 0) :
			NULL;
	if (bytes == MAP_FAILED) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(2);
	}
	file.bytes = bytes;
	close(fd);
	return file;
}

static uint64_t load(const uint8_t *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

static uint64_t hash(uint64_t word)
{
	return word * 0x9e3779b97f4a7c15ull;
}

static void fill(struct table *table, struct file secrets)
{
	uint64_t words = secrets.size / WORD, mask, i, h, at;

	for (table->bits = 16; (1ull << table->bits) < words * 2; table->bits++)
		;
	table->sieve = calloc(1ull << table->bits, 2); /* 16 bits a slot */
	table->slot = calloc(1ull << table->bits, sizeof(*table->slot));
	if (!table->sieve || !table->slot || words >= UINT32_MAX) {
		fprintf(stderr, "scan_ram: out of memory\n");
		exit(2);
	}
	mask = (1ull << table->bits) - 1;
	for (i = 0; i < words; i++) {
		h = hash(load(secrets.bytes + i * WORD));
		at = h >> (64 - table->bits - 4);
		table->sieve[at / 64] |= 1ull << at % 64;
		for (at = h >> (64 - table->bits); table->slot[at];
		     at = (at + 1) & mask)
			;
		table->slot[at] = i + 1;
	}
}

/* Prints the run about dump[at], which equals the word at @where. */
static void report(struct file dump, struct file secrets, size_t at,
		   size_t where, size_t *end)
{
	size_t back = 0, length = WORD;

	while (back < at && back < where &&
	       dump.bytes[at - back - 1] == secrets.bytes[where - back - 1])
		back++;
	while (at + length < dump.size && where + length < secrets.size &&
	       dump.bytes[at + length] == secrets.bytes[where + length])
		length++;
	if (back + length < RUN || at + length <= *end)
		return;
	*end = at + length;
	printf("%zu %zu %zu\n", at - back, where - back, back + length);
}

int main(int argc, char **argv)
{
	struct file dump, secrets;
	struct table table;
	size_t at, end = 0;
	uint64_t word, h, i;

	if (argc != 3) {
		fprintf(stderr, "usage: scan_ram DUMP SECRETS\n");
		return 2;
	}
	dump = map(argv[1]);
	secrets = map(argv[2]);
	fill(&table, secrets);
	for (at = 0; at + WORD <= dump.size; at++) {
		word = load(dump.bytes + at);
		h = hash(word);
		i = h >> (64 - table.bits - 4);
		if (!(table.sieve[i / 64] >> i % 64 & 1))
			continue;
		for (i = h >> (64 - table.bits); table.slot[i];
		     i = (i + 1) & ((1ull << table.bits) - 1))
			if (load(secrets.bytes +
				 (table.slot[i] - 1ull) * WORD) == word)
				report(dump, secrets, at,
				       (table.slot[i] - 1ull) * WORD, &end);
	}
	return 0;
}
