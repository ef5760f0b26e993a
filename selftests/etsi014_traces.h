/* SPDX-License-Identifier: GPL-2.0-only */
/* Looks for a key in the process's own memory without having it there. */
#ifndef ETSI014_TRACES_H
#define ETSI014_TRACES_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#define NEEDLE 12
#define MASK 0xa5

/* How often the masked bytes are in our memory, unmasked. */
__attribute__((no_sanitize("address"))) static int
search(const volatile uint8_t *start, const volatile uint8_t *end,
       const uint8_t *masked)
{
	int i, found = 0;

	for (; start + NEEDLE <= end; start++) {
		for (i = 0; i < NEEDLE; i++)
			if ((start[i] ^ MASK) != masked[i])
				break;
		found += i == NEEDLE;
	}
	return found;
}

static int count_copies(const uint8_t *masked)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long start, end;
	char line[512], mode[5];
	int found = 0;

	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %4s", &start, &end, mode) != 3)
			continue;
		/* the sanitizer's shadow is huge and empty */
		if (mode[0] == 'r' && mode[1] == 'w' && end - start < 1 << 28)
			found += search((uint8_t *)start, (uint8_t *)end,
					masked);
	}
	fclose(maps);
	return found;
}

/* The beginning of a key, as bytes and as Base64, masked. */
struct traces {
	uint8_t raw[NEEDLE];
	uint8_t text[NEEDLE];
};

static void remember(struct traces *traces, const uint8_t *key)
{
	uint8_t text[NEEDLE / 3 * 4 + 1];
	int i;

	EVP_EncodeBlock(text, key, NEEDLE);
	for (i = 0; i < NEEDLE; i++) {
		traces->raw[i] = key[i] ^ MASK;
		traces->text[i] = text[i] ^ MASK;
	}
	explicit_bzero(text, sizeof(text));
}

#endif /* ETSI014_TRACES_H */
