// SPDX-License-Identifier: GPL-2.0-only
/*
 * The generation handshake (Documentation/abi/qkdd-channel.md). Each end has
 * shown its link. If they have no generation in common, alice offers one; bob
 * begins it and says so; then alice begins it, says so, and opens; then bob
 * opens. To begin is to wipe, so nobody's tx is open before both have wiped.
 * Nothing is kept on disk: what either end forgets makes the next generation.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "qkdd.h"

#define OFFER_AGAIN \
	5000 /* ms until an offer that was not answered is made anew */
#define DIFFERS_FOR 3000 /* ms that a driver may take at both ends */
#define LABELS 65535
#define CATCH_UP 16 /* labels that an end may lie behind */

static uint16_t next_label(uint16_t label)
{
	return label == LABELS ? 1 : label + 1;
}

/*
 * The label that follows at both ends. They may have different ones behind
 * them if a handshake was cut off; then the one that is ahead counts.
 */
static uint16_t common_label(uint16_t here, uint16_t there)
{
	uint16_t ahead = (there + LABELS - here) % LABELS;

	if (!here || (there && ahead <= LABELS / 2))
		return next_label(there);
	return next_label(here);
}

static void make_generation(const struct link *link, const uint8_t *alice,
			    const uint8_t *bob, uint8_t id[QKD_HASH_LEN])
{
	static const char label[] = "qkd gen v1";
	EVP_MD_CTX *md = EVP_MD_CTX_new();

	if (!md || !EVP_DigestInit(md, EVP_sha256()) ||
	    !EVP_DigestUpdate(md, label, strlen(label)) ||
	    !EVP_DigestUpdate(md, link->here.hash, QKD_HASH_LEN) ||
	    !EVP_DigestUpdate(md, alice, NONCE_LEN) ||
	    !EVP_DigestUpdate(md, bob, NONCE_LEN) ||
	    !EVP_DigestFinal(md, id, NULL)) {
		log_error("no SHA-256");
		exit(1);
	}
	EVP_MD_CTX_free(md);
}

static int begin_one(struct link *link, uint16_t label,
		     const uint8_t id[QKD_HASH_LEN])
{
	struct qkd_gen gen = {
		.has = QKD_HAS(QKD_A_GEN_LABEL) | QKD_HAS(QKD_A_GEN_PEER_ROLE) |
		       QKD_HAS(QKD_A_GEN_GENERATION) | QKD_HAS(QKD_A_GEN_HASH) |
		       QKD_HAS(QKD_A_GEN_PAD_CAPACITY) |
		       QKD_HAS(QKD_A_GEN_KEY_CAPACITY),
		.label = label,
		.peer_role = link->there.role,
		.pad_capacity = link->there.pad_capacity,
		.key_capacity = link->there.key_capacity,
	};

	memcpy(gen.generation, id, sizeof(gen.generation));
	memcpy(gen.hash, link->there.hash, sizeof(gen.hash));
	return qkd_gen_begin(ctx, qkd_by_name(link->config.name), &gen);
}

/* The kernel knows only successors: labels that the peer had alone are spent. */
static int catch_up(struct link *link, uint16_t label)
{
	uint16_t last = link->here.label;
	uint8_t id[QKD_HASH_LEN];
	int err, n;

	for (n = 0; last && next_label(last) != label; n++) {
		if (n == CATCH_UP)
			return -ERANGE;
		last = next_label(last);
		if (RAND_bytes(id, sizeof(id)) != 1)
			return -EIO;
		err = begin_one(link, last, id) ?:
			      qkd_gen_end(ctx, qkd_by_name(link->config.name),
					  last, QKD_REASON_PEER);
		if (err)
			return err;
	}
	return 0;
}

/* Wipes what the link holds and begins; returns whether it has. */
static bool begin(struct link *link, uint16_t label,
		  const uint8_t id[QKD_HASH_LEN])
{
	int err = catch_up(link, label);

	if (err == -ERANGE)
		link_complain(
			link, SAID_BEGIN, true,
			"labels are too far apart: delete the link at one end and add it again");
	else if (!err)
		err = begin_one(link, label, id);
	link_complain(link, SAID_BEGIN, err,
		      "the generation cannot begin: %s %s", strerror(-err),
		      qkd_error_text(ctx));
	link_refresh(link);
	if (err)
		return false;
	link_new_nonce(link);
	log_info("%s: generation %u has begun", link->config.name, label);
	return true;
}

static void say_begun(struct link *link)
{
	struct msg msg = { .type = MSG_BEGUN, .label = link->here.label };

	memcpy(msg.generation, link->here.generation, sizeof(msg.generation));
	link_send(link, &msg);
}

static void offer(struct link *link)
{
	struct msg msg = {
		.type = MSG_OFFER,
		.label = common_label(link->here.label, link->there.label),
	};

	memcpy(msg.nonce, link->nonce, NONCE_LEN);
	memcpy(msg.nonce_peer, link->there.nonce, NONCE_LEN);
	link->offer_at = now_ms() + OFFER_AGAIN;
	link->offer = msg;
	make_generation(link, msg.nonce, msg.nonce_peer,
			link->offer.generation);
	link_send(link, &msg);
}

/* Bob: the offer has to answer what we showed last. */
static void take_offer(struct link *link, const struct msg *msg)
{
	uint8_t id[QKD_HASH_LEN];

	if (link->here.role != QKD_ROLE_BOB ||
	    memcmp(msg->nonce_peer, link->nonce, NONCE_LEN))
		return;
	make_generation(link, msg->nonce, link->nonce, id);
	if (begin(link, msg->label, id))
		say_begun(link);
}

/* Alice: bob has wiped; so do we. Either end: the peer is in that generation. */
static void take_begun(struct link *link, const struct msg *msg)
{
	const struct msg *offered = &link->offer;

	if (link->here.role == QKD_ROLE_ALICE) {
		if (offered->label != msg->label ||
		    memcmp(offered->generation, msg->generation, QKD_HASH_LEN))
			return;
		if (!begin(link, msg->label, msg->generation))
			return;
		memset(&link->offer, 0, sizeof(link->offer));
		link->offer_at = 0;
		say_begun(link);
	}
	link->there.state = QKD_STATE_PENDING;
	link->there.label = msg->label;
	memcpy(link->there.generation, msg->generation, QKD_HASH_LEN);
}

/**
 * gen_message - a message of the handshake has come
 * @link: link that it names
 * @msg: MSG_OFFER or MSG_BEGUN
 */
void gen_message(struct link *link, const struct msg *msg)
{
	link_refresh(link);
	if (!link->present || !link->known || link_is_driven(link) ||
	    link->there.role == link->here.role)
		return;
	if (msg->type == MSG_OFFER)
		take_offer(link, msg);
	else
		take_begun(link, msg);
}

/* The kernel is told once, so that it says so, too (event role-clash). */
static bool clashes(struct link *link)
{
	bool role = link->there.role == link->here.role;
	bool wrong = role ||
		     memcmp(link->there.hash, link->here.hash, QKD_HASH_LEN);
	uint8_t id[QKD_HASH_LEN] = { 0 };

	if (wrong && !(link->said & SAID_CLASH) && !link_is_driven(link))
		begin_one(link, next_label(link->here.label), id);
	if (role)
		link_complain(link, SAID_CLASH, wrong,
			      "refused: both ends are %s",
			      qkd_enum_name(QKD_ENUM_ROLE, link->here.role));
	else
		link_complain(link, SAID_CLASH, wrong,
			      "refused: the ends disagree on their identities");
	return wrong;
}

/* Can the two ends have a generation in common at all? */
static bool fits(struct link *link)
{
	bool kind = (link->there.kind == KIND_DRIVER) != link_is_driven(link);
	bool confirm = link->there.confirm != link->here.confirm;

	link_complain(link, SAID_KIND, kind,
		      "refused: a driver runs one end, and not the other");
	link_complain(link, SAID_CONFIRM, confirm,
		      "refused: one end confirms blocks, the other does not");
	return !kind && !confirm && !clashes(link);
}

/* A driver runs both ends: only see that they are in step. */
static void compare(struct link *link)
{
	bool differs = link_has_gen(link) &&
		       link->there.state != QKD_STATE_DOWN &&
		       !link_same_gen(link);

	if (!differs)
		link->differs = 0;
	else if (!link->differs)
		link->differs = now_ms();
	link_complain(
		link, SAID_DIFFERS,
		differs && now_ms() - link->differs > DIFFERS_FOR,
		"the ends are in different generations: %u here, %u there",
		link->here.label, link->there.label);
}

/* The peer's operator, or its kernel, has ended it for good. */
static void end(struct link *link)
{
	enum qkd_reason reason = QKD_REASON_PEER;

	if (link->there.state == QKD_STATE_DOWN &&
	    link->there.reason == QKD_REASON_MISMATCH)
		reason = QKD_REASON_MISMATCH;
	log_info("%s: the peer has ended generation %u: %s", link->config.name,
		 link->here.label, qkd_enum_name(QKD_ENUM_REASON, reason));
	qkd_gen_end(ctx, qkd_by_name(link->config.name), link->here.label,
		    reason);
	link_refresh(link);
}

/**
 * gen_gone - the peer's link was deleted, and what it held wiped
 * @link: link that is known at the peer, so far
 */
void gen_gone(struct link *link)
{
	link_refresh(link);
	if (link_same_gen(link) && !link_is_driven(link))
		end(link);
}

/* Both ends have begun it. */
static void open_tx(struct link *link)
{
	int err;

	err = qkd_gen_open(ctx, qkd_by_name(link->config.name),
			   link->here.label, link->here.generation);
	if (err && err != -EALREADY)
		return;
	log_info("%s: generation %u is open", link->config.name,
		 link->here.label);
	link_refresh(link);
}

/**
 * gen_tick - see to the generation of a link
 * @link: link that is present, and known at the peer
 */
void gen_tick(struct link *link)
{
	if (!fits(link))
		return;
	if (link_is_driven(link)) {
		compare(link);
		return;
	}
	if (link->there.admin == QKD_ADMIN_DOWN) {
		if (link_has_gen(link))
			end(link);
	} else if (link_same_gen(link)) {
		if (link->here.state == QKD_STATE_PENDING)
			open_tx(link);
	} else if (link->here.role == QKD_ROLE_ALICE &&
		   link->here.admin == QKD_ADMIN_UP &&
		   now_ms() >= link->offer_at) {
		offer(link);
	}
}
