// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a peer of qkd-link says, for all of tools/qkd-link that hears it: light, messages
 * whose tag is wrong, and messages with a tag, for which the peer here has the key as any
 * peer would. So what comes behind the tags is reached: sifting, reconciliation, verification,
 * amplification, and which bytes go into which stream.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/rand.h>

#define join_open real_join_open
#define join_meet real_join_meet
#define join_part real_join_part
#define join_close real_join_close
#include "../../tools/qkd-link/join.c"
#undef join_open
#undef join_meet
#undef join_part
#undef join_close

#include "../../tools/qkd-link/end.h"
#include "secret.h"
#include "talk.h"

#define KEY_SIZE 32768
#define STREAMS 4
/* Where a train has its stray light: much of it is allowed, and only slow. */
#define STRAY_AT (HEADER + 17)
#define STRAY_SIZE 8

static uint8_t key[KEY_SIZE];
static __thread uint64_t drawn;
static __thread int sockets[2];

/* ---- In the place of what is not to be chance, or outside ---- */

void log_error(const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
}

void log_info(const char *format, ...)
{
	(void)format;
}

void complain(const char *name, unsigned int *said, unsigned int what,
	      bool wrong, const char *format, ...)
{
	(void)name;
	(void)format;
	*said = wrong ? *said | what : *said & ~what;
}

void fuzz_seed(bool alice)
{
	drawn = alice;
}

int RAND_bytes(unsigned char *to, int size)
{
	while (size--) {
		drawn = drawn * UINT64_C(6364136223846793005) +
			1442695040888963407;
		*to++ = drawn >> 56;
	}
	return 1;
}

int RAND_priv_bytes(unsigned char *to, int size)
{
	return RAND_bytes(to, size);
}

/* ---- tools/qkd-link/secret.c: the key is known ---- */

int secret_check(const char *path)
{
	return *path ? 0 : -1;
}

uint8_t *secret_take(const char *path, size_t *size)
{
	uint8_t *secret = kme_secret_new(KEY_SIZE);

	(void)path;
	memcpy(secret, key, KEY_SIZE);
	*size = KEY_SIZE;
	return secret;
}

/* ---- pace.c: no time passes ---- */

double wall(void)
{
	return 0;
}

void pace_begin(struct pace *pace, double speed)
{
	pace->speed = speed;
}

int pace_work(struct pace *pace, double seconds, int (*dark)(void *arg),
	      void *arg)
{
	(void)dark;
	(void)arg;
	pace->time += seconds;
	return 0;
}

void pace_idle(struct pace *pace, double seconds)
{
	pace->time += seconds;
}

void pace_follow(struct pace *pace, double time)
{
	pace->time = time;
}

/* ---- join.c: the ends meet once ---- */

int join_open(struct join *join, bool listens, const char *address)
{
	(void)address;
	join->listens = listens;
	return 0;
}

int join_meet(struct join *join, int ms, join_prove_fn prove, void *arg)
{
	(void)ms;
	if (sockets[0] < 0)
		return -EINTR;
	wire_attach(&join->talk, sockets[0]);
	join->light = sockets[1];
	sockets[0] = -1;
	return prove(arg);
}

void join_part(struct join *join)
{
	real_join_part(join);
	if (sockets[0] < 0)
		link_stop = 1;
}

void join_close(struct join *join)
{
	real_join_part(join);
}

/* ---- libqkd: a link that takes all ---- */

int qkd_open(struct qkd_ctx **ctx)
{
	*ctx = NULL;
	return 0;
}

void qkd_close(struct qkd_ctx *ctx)
{
	(void)ctx;
}

const char *qkd_error_text(const struct qkd_ctx *ctx)
{
	(void)ctx;
	return "";
}

const char *qkd_enum_name(enum qkd_enum which, uint32_t value)
{
	(void)which;
	(void)value;
	return "";
}

static __thread bool is_alice;

int qkd_link_get(struct qkd_ctx *ctx, struct qkd_ref ref, struct qkd_link *link)
{
	uint32_t i;

	(void)ctx;
	(void)ref;
	*link = (struct qkd_link){
		.role = is_alice ? QKD_ROLE_ALICE : QKD_ROLE_BOB,
		.type = "user",
		.state = QKD_STATE_UP,
		.label = 1,
		.confirm = QKD_CONFIRM_TAG,
		.nstats = STREAMS,
	};
	for (i = 0; i < STREAMS; i++)
		link->stat[i] = (struct qkd_stat){
			.stream = i,
			.dir = is_alice == (i < QKD_STREAM_B2A_PAD) ?
				       QKD_DIR_OUT :
				       QKD_DIR_IN,
			.capacity = 65536,
		};
	return 0;
}

int qkd_node_open(struct qkd_ctx *ctx, struct qkd_ref ref, int flags)
{
	(void)ctx;
	(void)ref;
	(void)flags;
	return dup(STDERR_FILENO);
}

int qkd_node_report(int fd, uint32_t qber, uint64_t skr, uint32_t flags)
{
	(void)fd;
	(void)skr;
	(void)flags;
	if (qber > 1000000)
		abort();
	return 0;
}

int qkd_node_gap(int fd, uint32_t label, enum qkd_stream stream,
		 uint64_t offset)
{
	(void)fd;
	(void)label;
	(void)offset;
	if (stream >= STREAMS)
		abort();
	return 0;
}

/* A block that the kernel would take, of bytes that are there. */
int qkd_node_supply(int fd, const struct qkd_block *block, const void *bytes,
		    const uint8_t s[QKD_TAG_LEN])
{
	uint8_t copy[QKD_SUPPLY_LEN_MAX];

	(void)fd;
	if (block->stream >= STREAMS || block->length > sizeof(copy))
		abort();
	memcpy(copy, bytes, block->length);
	memcpy(copy, s, QKD_TAG_LEN);
	return 0;
}

/* ---- An end ---- */

void fuzz_settings(struct settings *settings, uint8_t first)
{
	static const char *const presets[] = {
		"bb84-fibre-50km",  "b92-fibre-2km",	      "e91-fibre-20km",
		"bbm92-fibre-50km", "cow-variant-fibre-10km",
	};
	static const char *const figures[][2] = {
		{ "efficiency", "80%" }, { "dark", "0" },
		{ "afterpulse", "0" },	 { "background", "0" },
		{ "length", "1 km" },	 { "visibility", "1" },
		{ "eps-sec", "0" },
	};
	size_t preset =
		(first >> FUZZ_PRESET) % (sizeof(presets) / sizeof(presets[0]));
	const char *why;
	size_t i;

	*settings = (struct settings){
		.alice = first & FUZZ_ALICE,
		.listens = !(first & FUZZ_ALICE),
		.dev = "qkd0",
		.recon = first & FUZZ_LDPC ? RECON_LDPC : RECON_CASCADE,
		.blocks = 1,
	};
	if (model_preset(&settings->model, presets[preset]))
		abort();
	for (i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
		if (model_set(&settings->model, figures[i][0], figures[i][1],
			      &why))
			abort();
	/* LDPC is for keys of 4096 bits and more. Others than BB84 bear no errors in so
	 * short a block.
	 */
	if (model_set(&settings->model, "block",
		      first & FUZZ_LDPC ? "4500" : "1000", &why) ||
	    model_set(&settings->model, "misalignment", preset ? "0" : "1%",
		      &why) ||
	    model_check(&settings->model, &why))
		abort();
}

/* Threshold of a protocol: it takes longer to compute than a block. */
static double threshold_of(const struct model *model)
{
	static __thread double known[PROTOCOLS];

	if (!known[model->protocol])
		known[model->protocol] = rate_threshold(model);
	return known[model->protocol];
}

uint64_t fuzz_end(const struct settings *settings, int talk, int light)
{
	static __thread struct stats stats;

	memset(&stats, 0, sizeof(stats));
	stats.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	stats.model = settings->model;
	stats.alice = settings->alice;
	stats.recon = settings->recon;
	stats.threshold = threshold_of(&settings->model);
	is_alice = settings->alice;
	sockets[0] = talk;
	sockets[1] = light;
	fuzz_seed(settings->alice);
	if (link_run(settings, &stats))
		abort();
	return stats.key_bits;
}

/* ---- What the peer says ---- */

static void say(struct talk *talk, int fd, uint8_t kind, const uint8_t *bytes,
		size_t size, const uint8_t ours[TALK_NONCE])
{
	uint8_t theirs[TALK_NONCE];

	if (kind == FUZZ_RAW) {
		(void)!send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
		return;
	}
	(void)talk_send(talk, kind, bytes, size);
	if (kind != TALK_HELLO || size <= TALK_NONCE)
		return;
	memcpy(theirs, bytes + 1, TALK_NONCE);
	if (is_alice)
		talk_session(talk, ours, theirs);
	else
		talk_session(talk, theirs, ours);
}

static void shine(int fd, const uint8_t *bytes, size_t size)
{
	uint8_t frame[UINT16_MAX];

	memcpy(frame, bytes, size);
	if (size >= STRAY_AT + STRAY_SIZE && frame[0] == FRAME_TRAIN)
		memset(frame + STRAY_AT, 0, STRAY_SIZE);
	(void)!send(fd, frame, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void say_all(const uint8_t *data, size_t size, int talk_fd, int light_fd)
{
	uint8_t ours[TALK_NONCE];
	struct talk *talk;
	size_t length;

	fuzz_seed(is_alice);
	RAND_bytes(ours, sizeof(ours));
	if (talk_new(&talk, !is_alice, key, KEY_SIZE))
		abort();
	talk_attach(talk, dup(talk_fd));
	for (; size >= FUZZ_HEAD; data += length, size -= length) {
		uint8_t kind = data[0];

		length = data[1] | data[2] << 8;
		data += FUZZ_HEAD;
		size -= FUZZ_HEAD;
		if (length > size)
			length = size;
		if (kind == FUZZ_LIGHT)
			shine(light_fd, data, length);
		else
			say(talk, talk_fd, kind, data, length, ours);
	}
	talk_free(talk);
}

/* Sockets that hold all that is said before it is heard. */
static void make_pair(int fd[2])
{
	int size = 4 << 20, i;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd))
		abort();
	for (i = 0; i < 2; i++)
		(void)setsockopt(fd[i], SOL_SOCKET, SO_SNDBUFFORCE, &size,
				 sizeof(size));
}

uint64_t fuzz_input(const uint8_t *data, size_t size)
{
	struct settings settings;
	int talk[2], light[2];
	uint64_t bits;

	if (!size || size > UINT16_MAX)
		return 0;
	fuzz_settings(&settings, *data);
	is_alice = settings.alice;
	make_pair(talk);
	make_pair(light);
	say_all(data + 1, size - 1, talk[1], light[1]);
	shutdown(talk[1], SHUT_WR);
	shutdown(light[1], SHUT_WR);
	link_stop = 0;
	bits = fuzz_end(&settings, talk[0], light[0]);
	close(talk[1]);
	close(light[1]);
	return bits;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_input(data, size);
	return 0;
}
