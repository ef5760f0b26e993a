// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages of qkd-link's light and sifting that are not what they should be: out of
 * range, cut, replayed, damaged at random. They are refused and nothing changes; the right
 * one is taken afterwards. Choices that were dropped cannot be asked for. Scenarios.
 * The sources are compiled in, with sanitizers.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qkd-link/photon.h"
#include "qkd-link/scenario.h"
#include "scaled.h"

#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wclobbered"
#include "kselftest_harness.h"

#define SLOTS 200000
#define MUTATIONS 5000 /* of each message, at full scale */

static const char *const presets[] = {
	"bb84-fibre-50km",  "b92-fibre-2km", "e91-fibre-20km",
	"bbm92-fibre-50km", "cow-fibre-2km", "cow-variant-fibre-10km",
};

FIXTURE(light)
{
	struct emitter *emitter;
	struct receiver *receiver;
	struct state state;
	struct buffer train, told, answer;
	struct sifted alice, bob;
};

FIXTURE_VARIANT(light)
{
	unsigned int preset;
};

/* clang-format off */
FIXTURE_VARIANT_ADD(light, bb84) { 0 };
FIXTURE_VARIANT_ADD(light, b92) { 1 };
FIXTURE_VARIANT_ADD(light, e91) { 2 };
FIXTURE_VARIANT_ADD(light, bbm92) { 3 };
FIXTURE_VARIANT_ADD(light, cow) { 4 };
FIXTURE_VARIANT_ADD(light, cow_variant) { 5 };
/* clang-format on */

FIXTURE_SETUP(light)
{
	struct model model;

	ASSERT_EQ(0, model_preset(&model, presets[variant->preset]));
	/* So much light that few slots have all kinds of clicks. */
	model.source.intensity[0] *= 4;
	if (protocol_cow(model.protocol))
		model.source.intensity[1] = model.source.intensity[0];
	self->state =
		(struct state){ .transmittance = 0.5, .background = 1e-3 };
	ASSERT_EQ(0, emitter_new(&self->emitter, &model));
	ASSERT_EQ(0, receiver_new(&self->receiver, &model));
	ASSERT_EQ(0, emitter_train(self->emitter, &self->state, SLOTS,
				   &self->train));
}

FIXTURE_TEARDOWN(light)
{
	emitter_free(self->emitter);
	receiver_free(self->receiver);
	buffer_free(&self->train);
	buffer_free(&self->told);
	buffer_free(&self->answer);
	bits_free(&self->alice.key);
	bits_free(&self->bob.key);
}

static void copy(struct buffer *to, const struct buffer *from)
{
	buffer_reset(to);
	buffer_put(to, from->data, from->size);
}

/* A train that goes right, in two steps. */
static int tell(FIXTURE_DATA(light) * self)
{
	self->train.at = 0;
	return receiver_train(self->receiver, &self->train) ?:
		       sift_tell(self->receiver, &self->told);
}

static int finish(FIXTURE_DATA(light) * self)
{
	self->told.at = 0;
	return sift_answer(self->emitter, &self->told, &self->answer, &self->alice) ?:
		       sift_finish(self->receiver, &self->answer, &self->bob);
}

static bool untouched(const struct sifted *sifted)
{
	static const struct counts zero;

	return !sifted->key.count &&
	       !memcmp(&sifted->counts, &zero, sizeof(zero));
}

TEST_F(light, goes_right)
{
	ASSERT_EQ(0, tell(self));
	ASSERT_EQ(0, finish(self));
	EXPECT_LT(0, self->alice.key.count);
	EXPECT_EQ(self->alice.key.count, self->bob.key.count);
	EXPECT_EQ(0, memcmp(&self->alice.counts, &self->bob.counts,
			    sizeof(self->bob.counts)));
}

/* ---- Damage of a kind ---- */

static void set(struct buffer *buffer, size_t at, size_t size, uint8_t value)
{
	memset(buffer->data + at, value, size);
}

TEST_F(light, train_fields)
{
	/* Protocol, first slot, slots, stray light, records. */
	static const struct {
		size_t at, size;
		uint8_t value;
	} bad[] = { { 0, 1, 99 }, { 1, 8, 0xff },  { 9, 8, 0xff },
		    { 9, 8, 0 },  { 17, 8, 0xff }, { 25, 8, 0xff },
		    { 25, 8, 0 } };
	struct buffer damaged = { 0 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		copy(&damaged, &self->train);
		set(&damaged, bad[i].at, bad[i].size, bad[i].value);
		EXPECT_EQ(-EBADMSG, receiver_train(self->receiver, &damaged));
		EXPECT_EQ(-EINVAL, sift_tell(self->receiver, &damaged));
	}
	buffer_free(&damaged);
	EXPECT_EQ(0, tell(self));
	EXPECT_EQ(0, finish(self));
}

TEST_F(light, cut)
{
	struct buffer cut = { 0 };
	size_t size, step;

	step = self->train.size / 50 + 1;
	for (size = 0; size < self->train.size; size += step) {
		copy(&cut, &self->train);
		cut.size = size;
		EXPECT_EQ(-EBADMSG, receiver_train(self->receiver, &cut));
	}
	ASSERT_EQ(0, tell(self));
	step = self->told.size / 50 + 1;
	for (size = 0; size < self->told.size; size += step) {
		copy(&cut, &self->told);
		cut.size = size;
		EXPECT_EQ(-EBADMSG, sift_answer(self->emitter, &cut,
						&self->answer, &self->alice));
	}
	EXPECT_TRUE(untouched(&self->alice));
	ASSERT_EQ(0, sift_answer(self->emitter, &self->told, &self->answer,
				 &self->alice));
	step = self->answer.size / 50 + 1;
	for (size = 0; size < self->answer.size; size += step) {
		copy(&cut, &self->answer);
		cut.size = size;
		EXPECT_EQ(-EBADMSG,
			  sift_finish(self->receiver, &cut, &self->bob));
	}
	EXPECT_TRUE(untouched(&self->bob));
	EXPECT_EQ(0, sift_finish(self->receiver, &self->answer, &self->bob));
	buffer_free(&cut);
}

TEST_F(light, longer)
{
	ASSERT_EQ(0, tell(self));
	buffer_put_number(&self->told, 0, 1);
	EXPECT_EQ(-EBADMSG, sift_answer(self->emitter, &self->told,
					&self->answer, &self->alice));
	EXPECT_TRUE(untouched(&self->alice));
	self->told.size--;
	self->told.at = 0;
	ASSERT_EQ(0, sift_answer(self->emitter, &self->told, &self->answer,
				 &self->alice));
	buffer_put_number(&self->answer, 0, 1);
	EXPECT_EQ(-EBADMSG,
		  sift_finish(self->receiver, &self->answer, &self->bob));
	EXPECT_TRUE(untouched(&self->bob));
}

TEST_F(light, told_fields)
{
	struct buffer bad = { 0 };
	unsigned int i;

	ASSERT_EQ(0, tell(self));
	/* Another first slot, another number of them, more clicks than fit. */
	for (i = 0; i < 3; i++) {
		/* Any number of B92's inconclusive clicks is a number. */
		if (i == 2 && variant->preset == 1)
			break;
		copy(&bad, &self->told);
		set(&bad, 8 * i, i < 2 ? 8 : 1, i < 2 ? 1 : 0xff);
		EXPECT_EQ(-EBADMSG, sift_answer(self->emitter, &bad,
						&self->answer, &self->alice));
	}
	/* A click behind the train, one twice, one that nobody can tell. */
	for (i = 0; i < 3; i++) {
		static const uint64_t word[] = { 8ull * SLOTS, 0, 1 };

		buffer_reset(&bad);
		buffer_put(&bad, self->told.data, 16);
		buffer_put_varint(&bad, 0);
		buffer_put_varint(&bad, 2);
		buffer_put_varint(&bad, 0);
		buffer_put_varint(&bad, i == 2 ? 8 + word[2] : word[i]);
		EXPECT_EQ(-EBADMSG, sift_answer(self->emitter, &bad,
						&self->answer, &self->alice));
	}
	EXPECT_TRUE(untouched(&self->alice));
	EXPECT_EQ(0, finish(self));
	buffer_free(&bad);
}

TEST_F(light, answer_fields)
{
	struct buffer bad = { 0 };
	size_t at;

	ASSERT_EQ(0, tell(self));
	ASSERT_EQ(0, sift_answer(self->emitter, &self->told, &self->answer,
				 &self->alice));
	for (at = 0; at < 16; at += 8) {
		copy(&bad, &self->answer);
		set(&bad, at, 8, 1);
		EXPECT_EQ(-EBADMSG,
			  sift_finish(self->receiver, &bad, &self->bob));
	}
	/* One click more or less; an answer that there is not. */
	copy(&bad, &self->answer);
	bad.data[16] ^= 1;
	EXPECT_EQ(-EBADMSG, sift_finish(self->receiver, &bad, &self->bob));
	copy(&bad, &self->answer);
	bad.data[bad.size - 2] = 0xff;
	EXPECT_EQ(-EBADMSG, sift_finish(self->receiver, &bad, &self->bob));
	EXPECT_TRUE(untouched(&self->bob));
	EXPECT_EQ(0, sift_finish(self->receiver, &self->answer, &self->bob));
	buffer_free(&bad);
}

TEST_F(light, replayed)
{
	struct buffer train = { 0 }, told = { 0 }, answer = { 0 };

	ASSERT_EQ(0, tell(self));
	copy(&train, &self->train);
	copy(&told, &self->told);
	ASSERT_EQ(0, finish(self));
	copy(&answer, &self->answer);
	EXPECT_EQ(-EBADMSG, receiver_train(self->receiver, &train));
	ASSERT_EQ(0, emitter_train(self->emitter, &self->state, SLOTS,
				   &self->train));
	ASSERT_EQ(0, tell(self));
	EXPECT_EQ(-EBADMSG, sift_answer(self->emitter, &told, &self->answer,
					&self->alice));
	EXPECT_EQ(-EBADMSG, sift_finish(self->receiver, &answer, &self->bob));
	EXPECT_EQ(0, finish(self));
	EXPECT_EQ(2 * SLOTS, self->bob.counts.pulses);
	buffer_free(&train);
	buffer_free(&told);
	buffer_free(&answer);
}

TEST_F(light, dropped)
{
	ASSERT_EQ(0, tell(self));
	emitter_drop(self->emitter);
	EXPECT_EQ(-EBADMSG, sift_answer(self->emitter, &self->told,
					&self->answer, &self->alice));
	receiver_drop(self->receiver);
	EXPECT_EQ(-EINVAL, sift_tell(self->receiver, &self->told));
	ASSERT_EQ(0, emitter_train(self->emitter, &self->state, SLOTS,
				   &self->train));
	ASSERT_EQ(0, tell(self));
	EXPECT_EQ(0, finish(self));
	EXPECT_EQ(SLOTS, self->alice.counts.pulses);
}

#define TRAINS 3

/* A block of several trains: none is sifted before the last was sent, and then one
 * after the other, in their order; no light comes between.
 */
TEST_F(light, several)
{
	struct buffer told[TRAINS] = { 0 }, answer = { 0 };
	size_t bits = 0;
	int i;

	for (i = 0; i < TRAINS; i++) {
		if (i)
			ASSERT_EQ(0,
				  emitter_train(self->emitter, &self->state,
						SLOTS / TRAINS, &self->train));
		self->train.at = 0;
		ASSERT_EQ(0, receiver_train(self->receiver, &self->train));
	}
	EXPECT_EQ(TRAINS, emitter_trains(self->emitter));
	for (i = 0; i < TRAINS; i++) {
		ASSERT_EQ(0, sift_tell(self->receiver, &told[i]));
		if (i)
			EXPECT_EQ(-EBADMSG, sift_answer(self->emitter, &told[0],
							&answer, &self->alice));
		ASSERT_EQ(0, sift_answer(self->emitter, &told[i], &answer,
					 &self->alice));
		ASSERT_EQ(0, sift_finish(self->receiver, &answer, &self->bob));
		if (i < TRAINS - 1) {
			EXPECT_EQ(-EBUSY,
				  emitter_train(self->emitter, &self->state,
						SLOTS, &self->train));
			EXPECT_EQ(-EBUSY,
				  receiver_train(self->receiver, &self->train));
		}
		EXPECT_LT(bits, self->bob.key.count);
		bits = self->bob.key.count;
		told[0].at = 0;
	}
	EXPECT_EQ(0, emitter_trains(self->emitter));
	EXPECT_EQ(0, receiver_trains(self->receiver));
	EXPECT_EQ(0, memcmp(&self->alice.counts, &self->bob.counts,
			    sizeof(self->bob.counts)));
	ASSERT_EQ(self->alice.key.count, self->bob.key.count);
	/* Each train's bits are in their place. */
	EXPECT_GT(self->bob.key.count * 2 / 5,
		  bits_distance(&self->alice.key, &self->bob.key));
	for (i = 0; i < TRAINS; i++)
		buffer_free(&told[i]);
	buffer_free(&answer);
}

/* ---- Damage at random: refused, or taken as another message; never worse ---- */

static void mutate(struct buffer *to, const struct buffer *from)
{
	unsigned int changes = 1 + rand() % 3;
	size_t head = from->size < 40 ? from->size : 40;

	copy(to, from);
	while (changes--) {
		size_t at = rand() % (rand() % 2 ? head : to->size);

		/* A train that is allowed, and very long, is only slow. */
		if (at >= 9 && at < 14)
			at = 0;
		if (rand() % 8 && at < to->size)
			to->data[at] ^= 1 << rand() % 8;
		else if (to->size > head)
			to->size -= rand() % (to->size - head);
	}
}

TEST_F_TIMEOUT(light, mutated, 600)
{
	unsigned int i, refused = 0, n = scaled(MUTATIONS) + 1;
	struct buffer bad = { 0 }, out = { 0 };
	struct sifted sifted = { 0 };
	struct emitter *emitter = self->emitter;

	srand(variant->preset + 1);
	buffer_free(&self->train);
	emitter_drop(emitter);
	for (i = 0; i < n; i++) {
		ASSERT_EQ(0, emitter_train(emitter, &self->state, 300,
					   &self->train));
		mutate(&bad, &self->train);
		refused += receiver_train(self->receiver, &bad) < 0;
		receiver_drop(self->receiver);
		self->train.at = 0;
		if (receiver_train(self->receiver, &self->train)) {
			/* A damaged one was taken, and took the slots. */
			emitter_drop(emitter);
			continue;
		}
		ASSERT_EQ(0, sift_tell(self->receiver, &self->told));
		mutate(&bad, &self->told);
		if (!sift_answer(emitter, &bad, &out, &sifted)) {
			receiver_drop(self->receiver);
			continue;
		}
		refused++;
		self->told.at = 0;
		ASSERT_EQ(0, sift_answer(emitter, &self->told, &self->answer,
					 &sifted));
		mutate(&bad, &self->answer);
		refused += sift_finish(self->receiver, &bad, &sifted) < 0;
		receiver_drop(self->receiver);
	}
	EXPECT_LT(n / 4, refused);
	bits_free(&sifted.key);
	buffer_free(&bad);
	buffer_free(&out);
}

/* ---- Scenarios ---- */

static int load(struct scenario **scenario, const char *text, char why[128])
{
	char path[] = "/tmp/scenarioXXXXXX";
	int fd = mkstemp(path), err;

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return -EIO;
	close(fd);
	err = scenario_load(scenario, path, why);
	unlink(path);
	return err;
}

TEST(scenario)
{
	double fraction;
	struct scenario *scenario;
	enum tamper tamper;
	struct eve eve;
	char why[128];

	ASSERT_EQ(0, load(&scenario,
			  "# Eve\n\n10 intercept 0.25 # some\n1min drop 0.5\n"
			  "2min split\n150s off\n",
			  why));
	scenario_at(scenario, 9.9, &eve, &tamper, &fraction);
	EXPECT_EQ(ATTACK_NONE, eve.attack);
	scenario_at(scenario, 10, &eve, &tamper, &fraction);
	EXPECT_EQ(ATTACK_INTERCEPT, eve.attack);
	EXPECT_EQ(0.25, eve.fraction);
	EXPECT_EQ(TAMPER_NONE, tamper);
	scenario_at(scenario, 130, &eve, &tamper, &fraction);
	EXPECT_EQ(ATTACK_SPLIT, eve.attack);
	EXPECT_EQ(1, eve.fraction);
	EXPECT_EQ(TAMPER_DROP, tamper);
	EXPECT_EQ(0.5, fraction);
	scenario_at(scenario, 150, &eve, &tamper, &fraction);
	EXPECT_EQ(ATTACK_NONE, eve.attack);
	EXPECT_EQ(TAMPER_NONE, tamper);
	scenario_free(scenario);
	ASSERT_EQ(0, scenario_load(&scenario, NULL, why));
	scenario_at(scenario, 1e9, &eve, &tamper, &fraction);
	EXPECT_EQ(ATTACK_NONE, eve.attack);
	scenario_free(scenario);
}

TEST(scenario_errors)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{ "intercept 1\n", ":1: a line begins with a time" },
		{ "-1 off\n", ":1: a line begins with a time" },
		{ "1week off\n", ":1: a line begins with a time" },
		{ "# x\n5 off\n4 off\n", ":3: lines have to be in the order" },
		{ "5 tickle\n", ":1: say off, intercept, split, blind" },
		{ "5\n", ":1: say off, intercept, split, blind" },
		{ "5 blind 1.5\n", ":1: a fraction is a number from 0 to 1" },
		{ "5 blind -1\n", ":1: a fraction is a number from 0 to 1" },
		{ "5 blind nan\n", ":1: a fraction is a number from 0 to 1" },
		{ "5 noise\n", ":1: noise is stray light per gate" },
		{ "5 blind 1 2\n", ":1: nothing may follow here" },
		{ "5 off 1\n", ":1: nothing may follow here" },
	};
	struct scenario *scenario;
	char why[128];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, load(&scenario, bad[i].text, why));
		EXPECT_NE(NULL, strstr(why, bad[i].why)) TH_LOG("%s", why);
	}
	EXPECT_EQ(-ENOENT, scenario_load(&scenario, "/nonexistent", why));
	EXPECT_NE(NULL, strstr(why, "/nonexistent: No such file"));
	EXPECT_EQ(-EISDIR, scenario_load(&scenario, "/", why));
}

TEST_HARNESS_MAIN
