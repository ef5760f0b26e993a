// SPDX-License-Identifier: GPL-2.0-only
/*
 * The corpus of talk.c: all that one end of qkd-link says to the other, of a block.
 *
 *	talk_record write FOLDER	makes it
 *	talk_record check FILE...	whoever is told these makes key: nothing of them is
 *					refused before its end
 */
#include <err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../../tools/qkd-link/end.h"
#include "talk.h"

/* Presets of fuzz_settings(). */
static const char *const protocols[] = { "bb84", "b92", "e91", "bbm92", "cow" };

static __thread FILE *record;

static void write_record(uint8_t kind, const void *first, size_t first_size,
			 const void *data, size_t size)
{
	size_t all = first_size + size;
	uint8_t head[FUZZ_HEAD] = { kind, all, all >> 8 };

	if (!record)
		return;
	if (all > UINT16_MAX)
		errx(1, "%zu bytes are too many for a record", all);
	fwrite(head, sizeof(head), 1, record);
	fwrite(first, 1, first_size, record);
	fwrite(data, 1, size, record);
}

/* ---- In the place of what sends ---- */

int __real_talk_send(struct talk *talk, enum talk_type type, const void *data,
		     size_t size);
int __wrap_talk_send(struct talk *talk, enum talk_type type, const void *data,
		     size_t size);
int __real_light_send(int fd, enum frame frame, double clock,
		      const struct buffer *train);
int __wrap_light_send(int fd, enum frame frame, double clock,
		      const struct buffer *train);
int __real_light_answer(int fd, uint8_t status);
int __wrap_light_answer(int fd, uint8_t status);

int __wrap_talk_send(struct talk *talk, enum talk_type type, const void *data,
		     size_t size)
{
	write_record(type, NULL, 0, data, size);
	return __real_talk_send(talk, type, data, size);
}

int __wrap_light_send(int fd, enum frame frame, double clock,
		      const struct buffer *train)
{
	struct buffer head = { 0 };

	buffer_put_number(&head, frame, 1);
	buffer_put_number(&head, clock * 1e9, 8);
	buffer_put_number(&head, train ? train->size : 0, 4);
	write_record(FUZZ_LIGHT, head.data, head.size,
		     train ? train->data : NULL, train ? train->size : 0);
	buffer_free(&head);
	return __real_light_send(fd, frame, clock, train);
}

int __wrap_light_answer(int fd, uint8_t status)
{
	write_record(FUZZ_LIGHT, NULL, 0, &status, 1);
	return __real_light_answer(fd, status);
}

/* ---- Two ends ---- */

/**
 * struct run - an end
 * @file: what it says goes there, or NULL
 */
struct run {
	uint8_t first;
	int talk;
	int light;
	FILE *file;
	uint64_t bits;
};

static void *run_end(void *data)
{
	struct run *run = data;
	struct settings settings;

	record = run->file;
	fuzz_settings(&settings, run->first);
	run->bits = fuzz_end(&settings, run->talk, run->light);
	return NULL;
}

/* What the peer of the end @first says, into @file. */
static void make(uint8_t first, FILE *file)
{
	struct run run[2] = { { .first = first },
			      { .first = first ^ FUZZ_ALICE, .file = file } };
	int talk[2], light[2], i;
	pthread_t thread[2];

	fputc(first, file);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, talk) ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, light))
		err(1, "socketpair");
	link_stop = 0;
	for (i = 0; i < 2; i++) {
		run[i].talk = talk[i];
		run[i].light = light[i];
		if (pthread_create(&thread[i], NULL, run_end, &run[i]))
			err(1, "thread");
	}
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	if (!run[0].bits || run[0].bits != run[1].bits)
		errx(1, "%d: no key, or not the same: %llu, %llu", first,
		     (unsigned long long)run[0].bits,
		     (unsigned long long)run[1].bits);
}

static void make_all(const char *folder)
{
	size_t count = sizeof(protocols) / sizeof(*protocols), i;
	char path[4096];
	uint8_t first;
	FILE *file;

	for (i = 0; i < 4 * count; i++) {
		first = i / 4 << FUZZ_PRESET | i % 4;
		if (first & FUZZ_LDPC && first >> FUZZ_PRESET)
			continue;
		snprintf(path, sizeof(path), "%s/%s-%s%s", folder,
			 first & FUZZ_ALICE ? "alice" : "bob", protocols[i / 4],
			 first & FUZZ_LDPC ? "-ldpc" : "");
		file = fopen(path, "w");
		if (!file)
			err(1, "%s", path);
		make(first, file);
		if (fclose(file))
			err(1, "%s", path);
	}
}

static int check(const char *path)
{
	static uint8_t data[UINT16_MAX + 1];
	FILE *file = fopen(path, "r");
	uint64_t bits;
	size_t size;

	if (!file)
		err(1, "%s", path);
	size = fread(data, 1, sizeof(data), file);
	fclose(file);
	bits = fuzz_input(data, size);
	printf("%s: %zu bytes, %llu bits of key\n", path, size,
	       (unsigned long long)bits);
	return !bits;
}

int main(int argc, char **argv)
{
	int i, failed = 0;

	if (argc == 3 && !strcmp(argv[1], "write")) {
		make_all(argv[2]);
		return 0;
	}
	if (argc < 3 || strcmp(argv[1], "check"))
		errx(2, "usage: see the beginning of the source");
	for (i = 2; i < argc; i++)
		failed += check(argv[i]);
	return failed;
}
