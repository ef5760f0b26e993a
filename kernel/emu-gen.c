// SPDX-License-Identifier: GPL-2.0-only
/*
 * Generations of an emulated link, and where its bytes come from. The exact
 * encodings are in Documentation/emu.md, so that the bytes of a run can be
 * recomputed elsewhere; all integers in hashed text are big-endian, roles and
 * streams are one byte with the value of the uapi's enum:
 *
 *	S      = first 8 bytes of SHA-256("qkd emu" | seed), lower-case hex
 *	id     = "alice:" S or "bob:" S
 *	nonce  = first 16 bytes of
 *		 SHA-256("qkd emu nonce" | role (1) | seed | label (2))
 *	key    = SHA-256("qkd emu stream v1" | seed | G* (32) | stream (1))
 *	byte o = byte o of ChaCha20's keystream under key, with a 64-bit block
 *		 counter in state words 12 (low) and 13, words 14 and 15 zero
 *
 * The ends of a pair draw their nonces at random instead.
 */
#include <crypto/sha2.h>
#include <linux/list.h>
#include <linux/netlink.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "emu.h"

/* Longest text that is hashed. */
#define EMU_TEXT	(32 + QKD_SEED_LEN + QKD_HASH_LEN + 1)

/* SHA-256 of label, before, seed and after. */
static void emu_hash(const struct emu *emu, const char *label,
		     const void *before, u32 before_len,
		     const void *after, u32 after_len, u8 hash[QKD_HASH_LEN])
{
	u32 len = strlen(label);
	u8 text[EMU_TEXT];

	memcpy(text, label, len);
	memcpy(text + len, before, before_len);
	len += before_len;
	memcpy(text + len, emu->seed, emu->seed_len);
	len += emu->seed_len;
	memcpy(text + len, after, after_len);
	len += after_len;
	sha256(text, len, hash);
	memzero_explicit(text, sizeof(text));
}

/**
 * emu_identity() - the identity of an end
 * @emu: has its seed
 * @role: which end
 * @id: out
 * @size: bytes at @id
 */
void emu_identity(const struct emu *emu, u32 role, char *id, size_t size)
{
	u8 hash[QKD_HASH_LEN];

	emu_hash(emu, "qkd emu", "", 0, "", 0, hash);
	snprintf(id, size, "%s:%8phN",
		 role == QKD_ROLE_ALICE ? "alice" : "bob", hash);
}

static void emu_nonce(const struct emu *emu, u8 role, u16 label,
		      u8 nonce[EMU_NONCE])
{
	__be16 n = cpu_to_be16(label);
	u8 hash[QKD_HASH_LEN];

	if (emu->pair) {
		get_random_bytes(nonce, EMU_NONCE);
		return;
	}
	emu_hash(emu, "qkd emu nonce", &role, sizeof(role), &n, sizeof(n), hash);
	memcpy(nonce, hash, EMU_NONCE);
}

static void emu_stream_keys(struct emu *emu, const u8 id[QKD_HASH_LEN])
{
	u8 after[QKD_HASH_LEN + 1], hash[QKD_HASH_LEN];
	u8 stream;

	memcpy(after, id, QKD_HASH_LEN);
	for (stream = 0; stream < QKD_STREAMS; stream++) {
		after[QKD_HASH_LEN] = stream;
		emu_hash(emu, "qkd emu stream v1", "", 0, after,
			 sizeof(after), hash);
		memcpy(emu->key[stream], hash, sizeof(hash));
		le32_to_cpu_array(emu->key[stream], ARRAY_SIZE(emu->key[stream]));
	}
	memzero_explicit(hash, sizeof(hash));
}

/**
 * emu_bytes() - the bytes of a stream
 * @emu: in a generation
 * @stream: enum qkd_stream
 * @offset: of the first byte
 * @len: bytes, no more than EMU_BLOCK_MAX and not across a segment
 * @buf: EMU_BLOCK_MAX + CHACHA_BLOCK_SIZE bytes to work in
 *
 * Return: where in @buf they are; the caller wipes it.
 */
u8 *emu_bytes(const struct emu *emu, u32 stream, u64 offset, u32 len, u8 *buf)
{
	u64 block = offset / CHACHA_BLOCK_SIZE;
	u32 skip = offset % CHACHA_BLOCK_SIZE;
	u8 iv[CHACHA_IV_SIZE] = {};
	struct chacha_state state;

	/*
	 * The library counts in word 12 alone. That is enough: segments are
	 * aligned, so none straddles a multiple of 2^32 ChaCha20 blocks.
	 */
	put_unaligned_le64(block, iv);
	chacha_init(&state, emu->key[stream], iv);
	memset(buf, 0, skip + len);
	chacha20_crypt(&state, buf, buf, skip + len);
	memzero_explicit(&state, sizeof(state));
	return buf + skip;
}

/*
 * Single ends have nobody to draw fresh nonces with, so a generation that
 * began twice would be the same bytes twice. Hashes of what began, until the
 * module is unloaded.
 */
struct emu_used {
	struct list_head list;
	u8 hash[QKD_HASH_LEN];
};

static DEFINE_MUTEX(emu_used_lock);
static LIST_HEAD(emu_used_list);

static void emu_used_hash(const struct emu *emu, u16 label,
			  u8 hash[QKD_HASH_LEN])
{
	u8 after[3] = { emu->role, label >> 8, label };

	emu_hash(emu, "qkd emu used", "", 0, after, sizeof(after), hash);
}

static struct emu_used *emu_used_find(const u8 hash[QKD_HASH_LEN])
{
	struct emu_used *used;

	lockdep_assert_held(&emu_used_lock);
	list_for_each_entry(used, &emu_used_list, list)
		if (!memcmp(used->hash, hash, QKD_HASH_LEN))
			return used;
	return NULL;
}

/* Note that a generation begins; -EEXIST if it did before. */
static struct emu_used *emu_used_add(const struct emu *emu, u16 label)
{
	struct emu_used *used;
	int err = 0;

	used = kmalloc(sizeof(*used), GFP_KERNEL_ACCOUNT);
	if (!used)
		return ERR_PTR(-ENOMEM);
	emu_used_hash(emu, label, used->hash);
	mutex_lock(&emu_used_lock);
	if (emu_used_find(used->hash))
		err = -EEXIST;
	else
		list_add(&used->list, &emu_used_list);
	mutex_unlock(&emu_used_lock);
	if (!err)
		return used;
	kfree(used);
	return ERR_PTR(err);
}

/* It did not begin after all. */
static void emu_used_del(struct emu_used *used)
{
	mutex_lock(&emu_used_lock);
	list_del(&used->list);
	mutex_unlock(&emu_used_lock);
	kfree(used);
}

static bool emu_used_has(const struct emu *emu, u16 label)
{
	u8 hash[QKD_HASH_LEN];
	bool found;

	emu_used_hash(emu, label, hash);
	mutex_lock(&emu_used_lock);
	found = emu_used_find(hash);
	mutex_unlock(&emu_used_lock);
	return found;
}

/**
 * emu_used_free() - forget which generations began; the module goes
 */
void emu_used_free(void)
{
	struct emu_used *used, *next;

	list_for_each_entry_safe(used, next, &emu_used_list, list)
		kfree(used);
}

/**
 * emu_gen_check() - whether a single end may begin a generation
 * @emu: the end
 * @label: the operator's N
 * @extack: says why not
 *
 * Context: may sleep; emu->lock is held or nobody else knows @emu.
 * Return: 0 or an errno.
 */
int emu_gen_check(const struct emu *emu, u16 label,
		  struct netlink_ext_ack *extack)
{
	if (emu->label && label != qkd_label_next(emu->label)) {
		NL_SET_ERR_MSG(extack, "gen does not follow the last one");
		return -EINVAL;
	}
	if (emu_used_has(emu, label)) {
		NL_SET_ERR_MSG(extack,
			       "this seed, gen and role were used since the module was loaded");
		return -EEXIST;
	}
	return 0;
}

static void emu_forget(struct emu *emu)
{
	memzero_explicit(emu->key, sizeof(emu->key));
	memzero_explicit(emu->half, sizeof(emu->half));
}

/**
 * emu_gen_is_live() - whether there is a generation to supply
 * @emu: emulated link
 *
 * Notices what the callback ended only noted: if one end of a pair lost its
 * generation, the other end's goes too, at the peer's authenticated request
 * so to say.
 *
 * Context: may sleep, emu->lock held.
 */
bool emu_gen_is_live(struct emu *emu)
{
	if (test_and_clear_bit(EMU_ENDED, &emu->flags) && emu->live)
		emu_gen_end(emu, QKD_REASON_PEER);
	return emu->live;
}

/**
 * emu_gen_end() - end the generation at each end
 * @emu: emulated link
 * @reason: enum qkd_reason for an end that still has it
 *
 * Context: may sleep, emu->lock held.
 */
void emu_gen_end(struct emu *emu, u32 reason)
{
	int i;

	lockdep_assert_held(&emu->lock);
	emu->live = false;
	emu_forget(emu);
	/* An end whose generation is over already refuses; all the better. */
	for (i = 0; i < EMU_ENDS; i++)
		if (emu->link[i])
			qkd_link_gen_end(emu->link[i], emu->label, reason);
}

static void emu_gen_nonces(const struct emu *emu, struct qkd_gen_params *p)
{
	u8 alice[EMU_NONCE], bob[EMU_NONCE];

	emu_nonce(emu, QKD_ROLE_ALICE, p->label, alice);
	emu_nonce(emu, QKD_ROLE_BOB, p->label, bob);
	qkd_gen_identity(p->id, qkd_link_hash(emu->link[emu->role - 1]), alice,
			 bob);
}

/* One end wipes and begins. */
static int emu_begin_end(struct emu *emu, u32 i, struct qkd_gen_params *p,
			 struct netlink_ext_ack *extack)
{
	struct qkd_link *link = emu->link[i], *peer = emu->link[!i] ?: link;
	int err;

	memcpy(p->hash, qkd_link_hash(peer), sizeof(p->hash));
	p->peer_role = i + 1 == QKD_ROLE_ALICE ? QKD_ROLE_BOB : QKD_ROLE_ALICE;
	err = qkd_link_gen_begin(link, p, extack);
	if (err)
		return err;
	emu->begun[i] = p->label;
	return 0;
}

/*
 * Labels go up by one at each end. One that had no memory for a label when the
 * other began takes it now, and never opens it.
 */
static int emu_catch_up(struct emu *emu, u32 i, const struct qkd_gen_params *p,
			struct netlink_ext_ack *extack)
{
	struct qkd_gen_params missed = *p;
	int err = 0;

	if (!emu->begun[i])
		return 0;
	for (;;) {
		missed.label = qkd_label_next(emu->begun[i]);
		if (err || missed.label == p->label)
			return err;
		emu_gen_nonces(emu, &missed);
		err = emu_begin_end(emu, i, &missed, extack);
	}
}

/* The handshake: both ends wipe and begin, the end @last as the second. */
static int emu_handshake(struct emu *emu, struct qkd_gen_params *p, u32 last,
			 struct netlink_ext_ack *extack)
{
	u32 order[EMU_ENDS] = { !last, last };
	int n, err;

	for (n = 0; n < EMU_ENDS; n++) {
		if (!emu->link[order[n]])
			continue;
		err = emu_catch_up(emu, order[n], p, extack) ?:
		      emu_begin_end(emu, order[n], p, extack);
		if (err)
			return err;
		emu->label = p->label;
	}
	for (n = 0; n < EMU_ENDS; n++) {
		if (!emu->link[n])
			continue;
		err = qkd_link_gen_open(emu->link[n], p->label, extack);
		if (err)
			return err;
	}
	return 0;
}

/* The generation before may have ended by our beginning this one. */
static void emu_gen_start(struct emu *emu, const struct qkd_gen_params *p)
{
	emu_stream_keys(emu, p->id);
	clear_bit(EMU_ENDED, &emu->flags);
	emu->live = true;
	emu->stale = false;
	emu->clock = ktime_get_boottime_ns();
	emu->reported_at = emu->clock;
	emu->bits = 0;
	emu->alarm = false;
	emu_qber_changed(emu);
}

static int emu_gen_try(struct emu *emu, u16 label, u32 last,
		       struct netlink_ext_ack *extack)
{
	struct qkd_gen_params p = {
		.label = label,
		.capacity = { emu->capacity[0], emu->capacity[1] },
	};
	int err;

	emu->live = false;
	emu_forget(emu);
	emu_gen_nonces(emu, &p);
	err = emu_handshake(emu, &p, last, extack);
	if (!err)
		emu_gen_start(emu, &p);
	else if (emu->label == label)
		emu_gen_end(emu, QKD_REASON_DRIVER);
	return err;
}

static int emu_single_begin(struct emu *emu, struct netlink_ext_ack *extack)
{
	u16 label = emu->next_label;
	struct emu_used *used;
	int err;

	if (!label) {
		NL_SET_ERR_MSG(extack,
			       "a single end needs a new gen, the same at both ends");
		return -EINVAL;
	}
	err = emu_gen_check(emu, label, extack);
	if (err)
		return err;
	used = emu_used_add(emu, label);
	if (IS_ERR(used))
		return PTR_ERR(used);
	err = emu_gen_try(emu, label, emu->role - 1, extack);
	if (emu->label == label)
		emu->next_label = 0;
	else
		emu_used_del(used);
	return err;
}

/**
 * emu_gen_begin() - begin the next generation
 * @emu: emulated link; a single end's label is in next_label
 * @last: index of the end that begins last: one that is up, so that a pair
 *	whose other end is down stays as it is
 * @extack: says why not
 *
 * Context: may sleep, emu->lock held.
 * Return: 0 or an errno; -ENETDOWN if the operator has an end down.
 */
int emu_gen_begin(struct emu *emu, u32 last, struct netlink_ext_ack *extack)
{
	lockdep_assert_held(&emu->lock);
	if (!emu->pair)
		return emu_single_begin(emu, extack);
	return emu_gen_try(emu, qkd_label_next(emu->label), last, extack);
}
