// SPDX-License-Identifier: GPL-2.0-only
/*
 * An end of the link: meets the other one, agrees with it on what the link is, and then
 * makes block after block (block.c). Alice leads: she begins a block when both
 * ends have a use for key, and key for the tags that it takes.
 *
 * What goes wrong ends the connection, and with it the block that was being made.
 * The ends meet again after a while. Key of the tags goes on where it was.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "../../lib/kme/common.h"
#include "../common/log.h"
#include "end.h"

#define HELLO_VERSION 2
#define HELLO_MS 30000
#define MEET_MS 10000
#define ANSWER_LEAST 20000 /* ms for an answer, ... */
#define ANSWER_BITS 100 /* ... and one more for so many bits of a block */
#define ANSWER_MOST 3600000
#define RETRY_LEAST \
	0.1 /* seconds to the next try to meet, then twice that, ... */
#define RETRY_MOST 10.0
#define TURN 0.2 /* seconds between two looks, where there is nothing to do */
#define FRUITLESS 3 /* blocks without key that are an alarm */
#define APART_MOST 30.0 /* seconds after which it is an alarm */
#define AGAIN_LEAST \
	0.5 /* seconds to the next block then, then twice that, ... */
#define AGAIN_MOST 16.0
#define QBER_UNIT 1e6 /* of the QBER that is told */
#define ENDED 1 /* Alice makes no more blocks */
#define RENEWED 2 /* there is another key of the tags */
#define STRANGE 1 /* bit for complain(): the other end is not the peer */

volatile sig_atomic_t link_stop, link_renew;

static volatile sig_atomic_t wake_fd[2] = { -1, -1 };

void link_wake(void)
{
	int i;

	for (i = 0; i < 2; i++)
		if (wake_fd[i] >= 0)
			shutdown(wake_fd[i], SHUT_RDWR);
}

/* ---- What is shown ---- */

void end_show(struct end *end, enum stage stage, double progress)
{
	struct stats *stats = end->stats;

	pthread_mutex_lock(&stats->lock);
	stats->stage = stage;
	stats->progress = progress;
	stats->clock = end->pace.time;
	stats->wall = wall() - end->pace.begun;
	stats->alarm = end->alarm;
	if (end->talk)
		talk_account(end->talk, &stats->auth);
	feed_levels(end->feed, stats);
	pthread_mutex_unlock(&stats->lock);
}

/* Nothing else can. */
static void say_blinded(const struct end *end, const struct eve *eve)
{
	if (eve->attack != ATTACK_BLIND ||
	    end->stats->eve.attack == ATTACK_BLIND)
		return;
	log_info(
		"%s: Eve blinds Bob's detectors: no figure and no alarm shows it, and the key is no secret",
		end->stats->link_name);
}

void end_scene(struct end *end)
{
	enum tamper tamper;
	double fraction;
	struct eve eve;

	scenario_at(end->scenario, end->pace.time, &eve, &tamper, &fraction);
	if (end->emitter) {
		emitter_attack(end->emitter, &eve);
		say_blinded(end, &eve);
	}
	talk_tamper(end->talk, tamper, fraction);
	pthread_mutex_lock(&end->stats->lock);
	end->stats->eve = eve;
	end->stats->tamper = tamper;
	end->stats->tamper_fraction = fraction;
	pthread_mutex_unlock(&end->stats->lock);
}

static const char too_noisy[] = "QBER is above what the protocol can bear";
static const char fruitless[] =
	"block after block has no key, and not for its QBER";
static const char apart[] =
	"the ends have not met for half a minute: no key comes";
static const char stopped[] =
	"key of the tags is at its low mark: give both ends a new bootstrap key, see qkd-link(1)";

/* As the kernel is told it; the QBER that drained the key of the tags may be too high still. */
static uint32_t alarms_of(const struct end *end)
{
	uint32_t alarms = 0;

	if (!end->alarm)
		return 0;
	if (end->alarm == stopped)
		alarms |= QKD_REPORT_AUTH_LOW;
	if (end->copy->qber > end->copy->threshold)
		alarms |= QKD_REPORT_ALARM;
	return alarms ?: QKD_REPORT_NO_KEY;
}

/* To the kernel, which plans by it how fast key may be spent: so it is what came into the
 * streams, by the wall's clock, whatever the link's own does. It falls while nothing comes. */
static void report(struct end *end)
{
	pthread_mutex_lock(&end->stats->lock);
	end->stats->wall = wall() - end->pace.begun;
	pthread_mutex_unlock(&end->stats->lock);
	stats_copy(end->stats, end->copy);
	feed_report(end->feed, end->copy->qber,
		    end->alarm ? 0 : end->copy->fed_rate, alarms_of(end));
}

static void set_alarm(struct end *end, const char *alarm)
{
	if (alarm && alarm != end->alarm)
		log_error("%s: alarm: %s", end->stats->link_name, alarm);
	else if (!alarm && end->alarm)
		log_info("%s: the alarm is over", end->stats->link_name);
	end->alarm = alarm;
	pthread_mutex_lock(&end->stats->lock);
	end->stats->alarm = alarm;
	pthread_mutex_unlock(&end->stats->lock);
}

/* ---- Meeting ---- */

/* All that has to be the same at both ends, as lines. */
static void put_model(struct buffer *hello, const struct settings *set)
{
	const char *name, *unit;
	char line[80];
	double value;
	size_t i;

	snprintf(line, sizeof(line), "protocol %s\nmedium %s\nreconcile %s\n",
		 protocol_name(set->model.protocol),
		 medium_name(set->model.channel.medium),
		 recon_name(set->recon));
	buffer_put(hello, line, strlen(line));
	for (i = 0; !model_figure(&set->model, i, &name, &value, &unit); i++) {
		snprintf(line, sizeof(line), "%s %.17g\n", name, value);
		buffer_put(hello, line, strlen(line));
	}
}

static void put_hello(struct end *end, const uint8_t nonce[TALK_NONCE],
		      struct buffer *hello)
{
	buffer_put_number(hello, HELLO_VERSION, 1);
	buffer_put(hello, nonce, TALK_NONCE);
	buffer_put_number(hello, end->set->alice, 1);
	buffer_put_number(hello, end->set->dry_run, 1);
	buffer_put(hello, feed_hash(end->feed), QKD_HASH_LEN);
	buffer_put_number(hello, end->number, 8);
	put_model(hello, end->set);
}

/* The first line of the peer's that is not ours. */
static void say_difference(struct end *end, const struct buffer *theirs)
{
	struct buffer ours = { 0 };
	const char *line, *end_of_line;
	size_t at;

	put_model(&ours, end->set);
	for (at = theirs->at; at < theirs->size; at += end_of_line - line) {
		line = (const char *)theirs->data + at;
		end_of_line = memchr(line, '\n', theirs->size - at);
		if (!end_of_line)
			break;
		end_of_line++;
		if (!memmem(ours.data, ours.size, line, end_of_line - line)) {
			log_error(
				"%s: the peer has another model: %.*s there: give both ends the same",
				end->stats->link_name,
				(int)(end_of_line - line) - 1, line);
			break;
		}
	}
	buffer_free(&ours);
}

static int check_hello(struct end *end, struct buffer *theirs,
		       uint8_t nonce[TALK_NONCE])
{
	const char *name = end->stats->link_name;
	struct buffer ours = { 0 };
	uint8_t hash[QKD_HASH_LEN];
	uint64_t version, alice, dry, number;
	int err = 0;

	version = buffer_get_number(theirs, 1);
	buffer_get(theirs, nonce, TALK_NONCE);
	alice = buffer_get_number(theirs, 1);
	dry = buffer_get_number(theirs, 1);
	buffer_get(theirs, hash, sizeof(hash));
	number = buffer_get_number(theirs, 8);
	put_model(&ours, end->set);
	if (theirs->bad || version != HELLO_VERSION) {
		log_error("%s: the peer is of another version", name);
		err = -EPROTONOSUPPORT;
	} else if (alice == end->set->alice) {
		log_error("%s: the peer has the same role", name);
		err = -EINVAL;
	} else if (dry != end->set->dry_run) {
		log_error("%s: one end is --dry-run, the other is not", name);
		err = -EINVAL;
	} else if (memcmp(hash, feed_hash(end->feed), sizeof(hash))) {
		log_error(
			"%s: the peer feeds another link: id and peer-id differ",
			name);
		err = -EINVAL;
	} else if (ours.size != theirs->size - theirs->at ||
		   memcmp(ours.data, theirs->data + theirs->at, ours.size)) {
		say_difference(end, theirs);
		err = -EINVAL;
	}
	buffer_free(&ours);
	if (!err && number > end->number)
		end->number = number;
	return err;
}

/* Who was called waits: so strangers do not cost key of the tags. */
static int hello(struct end *end)
{
	uint8_t nonce[TALK_NONCE], other[TALK_NONCE];
	struct buffer ours = { 0 }, theirs = { 0 };
	bool first = !end->set->listens, alice = end->set->alice;
	int err;

	if (RAND_bytes(nonce, sizeof(nonce)) != 1)
		return -EIO;
	put_hello(end, nonce, &ours);
	err = ours.bad;
	if (!err && first)
		err = talk_send(end->talk, TALK_HELLO, ours.data, ours.size);
	err = err ?: talk_recv(end->talk, TALK_HELLO, &theirs, HELLO_MS);
	if (!err && !first)
		err = talk_send(end->talk, TALK_HELLO, ours.data, ours.size);
	complain(
		end->stats->link_name, &end->said, STRANGE, err == -EBADMSG,
		"the peer's first message is not authentic: do both ends have the same bootstrap key, and was it new?");
	err = err ?: check_hello(end, &theirs, other);
	buffer_free(&ours);
	buffer_free(&theirs);
	if (!err)
		talk_session(end->talk, alice ? nonce : other,
			     alice ? other : nonce);
	return err;
}

static int light_up(struct end *end)
{
	return end->set->alice ? emitter_new(&end->emitter, &end->set->model) :
				 receiver_new(&end->receiver, &end->set->model);
}

static void part(struct end *end)
{
	wake_fd[0] = wake_fd[1] = -1;
	if (end->talk)
		talk_attach(end->talk, -1);
	join_part(&end->join);
	emitter_free(end->emitter);
	receiver_free(end->receiver);
	end->emitter = NULL;
	end->receiver = NULL;
}

static int take_key(struct end *end)
{
	struct talk_account account;
	struct talk *talk;
	size_t size;
	uint8_t *key = secret_take(end->set->key_file, &size);
	int err;

	if (!key)
		return -1;
	err = talk_new(&talk, end->set->alice, key, size);
	kme_secret_free(key, size);
	if (err) {
		log_error(
			"%s: it cannot be kept in locked memory: set LimitMEMLOCK=infinity",
			end->set->key_file);
		return -1;
	}
	talk_free(end->talk);
	end->talk = talk;
	talk_account(talk, &account);
	end->initial = account.left[0];
	return 0;
}

/* Who is there? */
static int greet(void *arg)
{
	struct end *end = arg;
	int err;

	/* used once: not before there is somebody */
	if (!end->talk && take_key(end))
		return -EKEYREJECTED;
	wake_fd[0] = end->join.talk.fd;
	wake_fd[1] = end->join.light;
	talk_adopt(end->talk, &end->join.talk);
	err = hello(end);
	if (err) {
		wake_fd[0] = wake_fd[1] = -1;
		talk_attach(end->talk, -1);
	}
	return err;
}

static int meet(struct end *end)
{
	return join_meet(&end->join, MEET_MS, greet, end) ?: light_up(end);
}

/* ---- Turns ---- */

static bool is_stopped(const struct end *end)
{
	struct talk_account account;

	if (!end->talk)
		return false;
	talk_account(end->talk, &account);
	return account.left[0] < account.low || account.left[1] < account.low;
}

static uint8_t what_i_need(struct end *end)
{
	return (feed_ready(end->feed) ? BOB_READY : 0) |
	       (feed_needs(end->feed) ? BOB_NEEDS : 0) |
	       (is_stopped(end) ? BOB_STOPPED : 0);
}

int end_dark(struct end *end, uint8_t *status)
{
	report(end);
	return light_send(end->join.light, FRAME_DARK, end->pace.time, NULL) ?:
		       light_answered(end->join.light, status, end->answer_ms);
}

static bool has_ended(const struct end *end)
{
	return end->set->blocks && end->ended >= end->set->blocks;
}

static void say_dropped(const struct end *end, const struct block_stat *block)
{
	char qber[32] = "";

	if (block->measured)
		snprintf(qber, sizeof(qber), ", QBER %.1f %%",
			 100 * block->qber);
	log_info("%s: block %llu is dropped: %s%s", end->stats->link_name,
		 (unsigned long long)block->number, block->why, qber);
}

/* What a key rests on, for who has to say how good it is. */
static void say_kept(struct end *end, const struct block_stat *block)
{
	const struct secret *secret = &block->secret;

	log_info(
		"%s: block %llu is kept: %llu pulses, %llu bits sifted, QBER %.2f %%, %llu bits told, %llu bits of key; %s, eps_sec %.3g, eps_cor %.3g",
		end->stats->link_name, (unsigned long long)block->number,
		(unsigned long long)block->pulses,
		(unsigned long long)block->sifted, 100 * block->qber,
		(unsigned long long)block->leaked,
		(unsigned long long)secret->bits, secret->proof,
		secret->eps_sec, secret->eps_cor);
}

/* After a block: does key come, and if not, why? */
static void judge(struct end *end)
{
	const struct block_stat *last;

	stats_copy(end->stats, end->copy);
	last = stats_block_at(end->copy, stats_blocks(end->copy) - 1);
	if (!last->why) {
		end->without = 0;
		end->why = NULL;
		say_kept(end, last);
		set_alarm(end, NULL);
		report(end);
		return;
	}
	end->without++;
	if (!end->why || strcmp(end->why, last->why))
		say_dropped(end, last);
	end->why = last->why;
	if (last->qber > end->stats->threshold)
		set_alarm(end, too_noisy);
	else if ((end->without >= FRUITLESS && !end->alarm) ||
		 (last->measured && end->alarm == too_noisy))
		set_alarm(end, fruitless);
	report(end);
}

/* Seconds until a block is tried again, after so many without key. */
static double pause_after(unsigned int without)
{
	double seconds = AGAIN_LEAST;

	while (without-- > FRUITLESS && seconds < AGAIN_MOST)
		seconds *= 2;
	return seconds < AGAIN_MOST ? seconds : AGAIN_MOST;
}

static int next_block(struct end *end)
{
	int err = block_run(end);

	judge(end);
	if (end->alarm)
		end->again = wall() + pause_after(end->without);
	return err;
}

static int alice_begins(struct end *end)
{
	struct buffer message = { 0 };
	int err;

	end_scene(end);
	buffer_put_number(&message, ++end->number, 8);
	buffer_put_number(&message, end->qber * QBER_UNIT, 4);
	end->qber = floor(end->qber * QBER_UNIT) / QBER_UNIT;
	err = light_send(end->join.light, FRAME_BLOCK, end->pace.time, NULL) ?:
		      talk_send(end->talk, TALK_BLOCK, message.data,
				message.size);
	buffer_free(&message);
	return err ?: next_block(end);
}

static int alice_turn(struct end *end)
{
	uint8_t mine = what_i_need(end), theirs, both;
	bool stop;
	int err;

	if (has_ended(end))
		return light_send(end->join.light, FRAME_END, end->pace.time, NULL) ?:
			       ENDED;
	err = end_dark(end, &theirs);
	if (err)
		return err;
	both = mine & theirs;
	stop = (mine | theirs) & BOB_STOPPED;
	/* what Bob says there has no tag: it can stop, and sounds no alarm */
	if (mine & BOB_STOPPED)
		set_alarm(end, stopped);
	if (!stop && both & BOB_READY && (mine | theirs) & BOB_NEEDS &&
	    wall() >= end->again)
		return alice_begins(end);
	end_show(end, stop ? STAGE_STOPPED : STAGE_WAIT, 0);
	pace_idle(&end->pace, TURN);
	return 0;
}

static int bob_begins(struct end *end)
{
	struct buffer message = { 0 };
	uint64_t number, qber;
	int err = talk_recv(end->talk, TALK_BLOCK, &message, end->answer_ms);

	number = buffer_get_number(&message, 8);
	qber = buffer_get_number(&message, 4);
	err = err ?: buffer_done(&message);
	if (!err && (number <= end->number || qber > QBER_UNIT))
		err = -EBADMSG;
	buffer_free(&message);
	if (err)
		return err;
	end->number = number;
	/* hers, since an end that began anew knows of no block before */
	end->qber = qber / QBER_UNIT;
	return next_block(end);
}

/* Alice has made all that she was to. */
static int over(struct end *end)
{
	if (!has_ended(end))
		log_info("%s: the other end makes no more blocks",
			 end->stats->link_name);
	return end->set->blocks ? ENDED : -EPIPE;
}

static int bob_turn(struct end *end)
{
	struct buffer train = { 0 };
	enum frame frame;
	uint8_t mine;
	double time;
	int err = light_recv(end->join.light, &frame, &time, &train,
			     end->answer_ms);

	buffer_free(&train);
	if (err)
		return err;
	pace_follow(&end->pace, time);
	end_scene(end);
	if (frame == FRAME_BLOCK)
		return bob_begins(end);
	if (frame == FRAME_END)
		return over(end);
	if (frame != FRAME_DARK)
		return -EPROTO;
	mine = what_i_need(end);
	if (mine & BOB_STOPPED)
		set_alarm(end, stopped);
	end_show(end, mine & BOB_STOPPED ? STAGE_STOPPED : STAGE_WAIT, 0);
	report(end);
	return light_answer(end->join.light, mine);
}

/* ---- All of it ---- */

static int load_scenario(struct end *end)
{
	const char *path = *end->set->scenario ? end->set->scenario : NULL;
	struct scenario *scenario;
	char why[128];

	if (scenario_load(&scenario, path, why)) {
		log_error("%s", why);
		return -1;
	}
	scenario_free(end->scenario);
	end->scenario = scenario;
	return 0;
}

/* The scenario again, and a bootstrap key if there is another one. Key of the tags ends the
 * connection, the scenario does not. */
static void renew(struct end *end)
{
	link_renew = 0;
	if (*end->set->scenario && !load_scenario(end))
		log_info("%s: %s: read again", end->stats->link_name,
			 end->set->scenario);
	if (access(end->set->key_file, F_OK) ||
	    secret_check(end->set->key_file))
		return;
	part(end);
	if (take_key(end))
		return;
	log_info("%s: a new bootstrap key was taken", end->stats->link_name);
	if (end->alarm == stopped)
		set_alarm(end, NULL);
}

static int connected(struct end *end)
{
	int err = 0;

	log_info("%s: connected to the other end", end->stats->link_name);
	while (!err && !link_stop) {
		err = end->set->alice ? alice_turn(end) : bob_turn(end);
		if (link_renew)
			renew(end);
		if (!err && !end->emitter && !end->receiver)
			err = RENEWED;
	}
	return err;
}

static void say_lost(struct end *end, int err)
{
	if (link_stop || err > 0)
		return;
	log_info("%s: the connection is given up: %s", end->stats->link_name,
		 strerror(-err));
}

/* Why the ends do not meet, once. What is wrong with what the other one said was said. */
static void say_unmet(struct end *end, int err)
{
	bool unsaid = err && err != -EBADMSG && err != -EINVAL &&
		      err != -ENOKEY && err != -EPROTONOSUPPORT &&
		      err != -EKEYREJECTED && err != -EINTR &&
		      !(end->set->listens && err == -ETIMEDOUT);

	if (err != end->unmet && unsaid && !link_stop)
		log_error("%s: cannot meet the other end at %s: %s",
			  end->stats->link_name, end->set->address,
			  err == -EADDRNOTAVAIL ? "there is no such host" :
						  strerror(-err));
	end->unmet = err;
}

/* Until the ends do not meet, or part. */
static int meeting(struct end *end)
{
	int err;

	if (link_renew)
		renew(end);
	end_show(end, is_stopped(end) ? STAGE_STOPPED : STAGE_CONNECT, 0);
	err = is_stopped(end) ? -ENOKEY : meet(end);
	say_unmet(end, err);
	if (err == -ENOKEY)
		set_alarm(end, stopped);
	if (!err) {
		end->retry = RETRY_LEAST;
		if (end->alarm == apart)
			set_alarm(end, NULL);
		err = connected(end);
		say_lost(end, err);
		end->together = wall();
	} else if (!end->alarm && wall() - end->together > APART_MOST) {
		set_alarm(end, apart);
	}
	part(end);
	report(end);
	return err;
}

static int run(struct end *end)
{
	int err = 0;

	end->retry = RETRY_LEAST;
	end->together = wall();
	while (!link_stop) {
		err = meeting(end);
		if (err == ENDED)
			break;
		if (err == -EKEYREJECTED)
			return -1;
		if (link_stop)
			break;
		pace_idle(&end->pace, end->retry);
		/* who is called has waited already */
		if (!end->set->listens)
			end->retry = fmin(2 * end->retry, RETRY_MOST);
	}
	return 0;
}

/* It depends on the block how long its steps take. */
static int answer_ms(const struct settings *set)
{
	double ms =
		ANSWER_LEAST + (double)set->model.finite.block / ANSWER_BITS;

	return ms < ANSWER_MOST ? ms : ANSWER_MOST;
}

static int open_all(struct end *end)
{
	const struct settings *set = end->set;
	struct expected expected;
	struct state state;

	if (load_scenario(end) ||
	    feed_open(&end->feed, set->dry_run ? NULL : set->dev, set->alice) ||
	    join_open(&end->join, set->listens, set->address))
		return -1;
	model_state(&set->model, 0, &state);
	rate_expected(&set->model, &state, &expected);
	end->qber = expected.error;
	end->answer_ms = answer_ms(set);
	return 0;
}

int link_run(const struct settings *settings, struct stats *stats)
{
	struct end end = {
		.set = settings,
		.stats = stats,
		.copy = calloc(1, sizeof(*stats)),
		.join = { .listener = -1, .talk.fd = -1, .light = -1 },
	};
	int err = end.copy ? open_all(&end) : -1;

	if (!err) {
		pace_begin(&end.pace, settings->pace);
		err = run(&end);
		end_show(&end, STAGE_CONNECT, 0);
	}
	part(&end);
	talk_free(end.talk);
	feed_close(end.feed);
	scenario_free(end.scenario);
	join_close(&end.join);
	free(end.copy);
	return err;
}
