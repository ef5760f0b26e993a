// SPDX-License-Identifier: GPL-2.0-only
/*
 * HKDF-SHA-256 (RFC 5869) over units of a key stream, and tags under k_seg.
 *
 * HMAC comes from the crypto API. A segment's tfm is keyed once with its
 * k_seg; the keys that HKDF makes on the way use a tfm of the CPU's own, with
 * softirqs off, and leave it keyed with zeros.
 */
#include <crypto/hash.h>
#include <linux/percpu.h>

#include "core.h"

static struct crypto_shash * __percpu *qkd_expand_tfm;
static struct crypto_shash *qkd_sha256;

static const u8 qkd_zeros[32];

/**
 * qkd_prf_new - HMAC-SHA-256 under a key
 * @key: key
 * @len: its length in bytes
 *
 * Context: may sleep.
 * Return: tfm, or NULL.
 */
struct crypto_shash *qkd_prf_new(const u8 *key, u32 len)
{
	struct crypto_shash *tfm = crypto_alloc_shash("hmac(sha256)", 0, 0);
	int err;

	if (IS_ERR(tfm))
		return NULL;
	err = crypto_shash_setkey(tfm, key, len);
	qkd_wipe_stack(QKD_STACK_CRYPTO);
	if (err) {
		crypto_free_shash(tfm);
		return NULL;
	}
	return tfm;
}

/**
 * qkd_prf_free - free what qkd_prf_new() made
 * @prf: tfm or NULL; the crypto API wipes it
 */
void qkd_prf_free(struct crypto_shash *prf)
{
	if (prf)
		crypto_free_shash(prf);
}

/**
 * qkd_prf_kill - wipe the key of a tfm that may be in use
 * @prf: tfm or NULL
 */
void qkd_prf_kill(struct crypto_shash *prf)
{
	if (prf)
		crypto_shash_setkey(prf, qkd_zeros, sizeof(qkd_zeros));
}

/* A message for qkd_hmac() and where its HMAC goes. */
struct qkd_hmac {
	const u8 *data;
	u32 len;
	u8 *out;	/* 32 bytes */
};

/* HMACs under a key that lives only for the call. */
static int qkd_hmacs(const u8 key[32], const struct qkd_hmac *msg, u32 n)
{
	struct crypto_shash *tfm;
	int err;
	u32 i;

	local_bh_disable();
	tfm = *this_cpu_ptr(qkd_expand_tfm);
	err = crypto_shash_setkey(tfm, key, 32);
	for (i = 0; i < n && !err; i++)
		err = crypto_shash_tfm_digest(tfm, msg[i].data, msg[i].len,
					      msg[i].out);
	crypto_shash_setkey(tfm, qkd_zeros, sizeof(qkd_zeros));
	local_bh_enable();
	return err;
}

static int qkd_hmac(const u8 key[32], const u8 *data, u32 len, u8 out[32])
{
	const struct qkd_hmac msg = { .data = data, .len = len, .out = out };

	return qkd_hmacs(key, &msg, 1);
}

/* info of DESIGN section 3 rule 2, and the counter byte of HKDF-Expand */
struct qkd_key_info {
	char label[11];		/* with its NUL */
	u8 hash[QKD_HASH_LEN];
	u8 gen[QKD_HASH_LEN];
	u8 stream;
	u8 class;
	__be64 offset;
	__be32 size;
	u8 context_type;
	__be16 context_len;
	u8 context[QKD_CONTEXT_LEN + 1];
} __packed;

static u32 qkd_key_info(struct qkd_key_info *info, const struct qkd_slice *sl,
			const struct qkd_key_context *ctx, u32 size)
{
	const struct qkd_gen *gen = sl->seg->gen;

	BUILD_BUG_ON(sizeof("qkd key v1") != sizeof(info->label));
	memcpy(info->label, "qkd key v1", sizeof(info->label));
	memcpy(info->hash, gen->link->hash, sizeof(info->hash));
	memcpy(info->gen, gen->id, sizeof(info->gen));
	info->stream = sl->seg->stream->id;
	info->class = ctx->class;
	info->size = cpu_to_be32(size);
	info->context_type = ctx->type;
	info->context_len = cpu_to_be16(ctx->len);
	if (ctx->len)
		memcpy(info->context, ctx->data, ctx->len);
	info->context[ctx->len] = 1;
	return offsetof(struct qkd_key_info, context) + ctx->len + 1;
}

/**
 * qkd_kdf_key - derive a key from a slice of a key stream
 * @sl: the slice, a unit for each 32 bytes of the key or part of them
 * @ctx: class and context
 * @key: out: the key
 * @size: its bytes
 *
 * The result counts only if qkd_slice_is_free() or qkd_slice_done() says so
 * afterwards.
 *
 * Context: any, under rcu_read_lock().
 * Return: 0 or an errno of the crypto API.
 */
int qkd_kdf_key(const struct qkd_slice *sl, const struct qkd_key_context *ctx,
		u8 *key, u32 size)
{
	u8 unit[QKD_KEY_UNIT], prk[32], out[32];
	struct qkd_key_info info;
	u32 len, off;
	int err = 0;

	len = qkd_key_info(&info, sl, ctx, size);
	for (off = 0; off < size && !err; off += QKD_KEY_UNIT) {
		qkd_slice_read(sl, off, unit, sizeof(unit));
		info.offset = cpu_to_be64(qkd_slice_offset(sl) + off);
		err = crypto_shash_tfm_digest(sl->seg->prf, unit, sizeof(unit),
					      prk);
		if (!err)
			err = qkd_hmac(prk, (u8 *)&info, len, out);
		if (!err)
			memcpy(key + off, out, min_t(u32, sizeof(out), size - off));
	}
	memzero_explicit(unit, sizeof(unit));
	memzero_explicit(prk, sizeof(prk));
	memzero_explicit(out, sizeof(out));
	qkd_wipe_stack(QKD_STACK_CRYPTO);
	if (err)
		memzero_explicit(key, size);
	return err;
}

/* Of a label that is longer by up to two bytes. */
#define QKD_INFO_MAX	(sizeof(struct qkd_key_info) + 2)

/* The info of what else comes from a key's PRK: another label and size. */
static u32 qkd_relabel(u8 to[QKD_INFO_MAX], const char *label,
		       const struct qkd_key_info *info, u32 len, u32 size)
{
	const u32 skip = sizeof(info->label), n = strlen(label) + 1;

	memcpy(to, label, n);
	memcpy(to + n, (const u8 *)info + skip, len - skip);
	put_unaligned_be32(size, to + n + offsetof(struct qkd_key_info, size) - skip);
	return n + len - skip;
}

/* HKDF-Extract of unit || len16 external secret, or of the unit alone. */
static int qkd_extract(struct crypto_shash *prf, const u8 unit[QKD_KEY_UNIT],
		       const struct qkd_secret *secret, u8 prk[32])
{
	SHASH_DESC_ON_STACK(desc, prf);
	__be16 len;
	int err;

	if (!secret)
		return crypto_shash_tfm_digest(prf, unit, QKD_KEY_UNIT, prk);
	len = cpu_to_be16(secret->len);
	desc->tfm = prf;
	err = crypto_shash_init(desc) ?:
	      crypto_shash_update(desc, unit, QKD_KEY_UNIT) ?:
	      crypto_shash_update(desc, (u8 *)&len, sizeof(len)) ?:
	      crypto_shash_finup(desc, secret->bytes, secret->len, prk);
	shash_desc_zero(desc);
	return err;
}

/**
 * qkd_kdf_epoch - key and nonce base of an ESP epoch
 * @sl: its unit
 * @ctx: class and context
 * @secret: external secret that goes in, or NULL
 * @key: out: 32 bytes
 * @nonce: out: 12 bytes
 *
 * As qkd_kdf_key(), of which this is the form for one unit.
 *
 * Context: any, under rcu_read_lock().
 * Return: 0 or an errno of the crypto API; then nothing is left in @key.
 */
int qkd_kdf_epoch(const struct qkd_slice *sl, const struct qkd_key_context *ctx,
		  const struct qkd_secret *secret, u8 key[32], u8 nonce[12])
{
	u8 unit[QKD_KEY_UNIT], prk[32], out[2][32];
	u8 nonce_info[QKD_INFO_MAX];
	struct qkd_key_info info;
	struct qkd_hmac msg[2] = {
		{ .data = (u8 *)&info, .out = out[0] },
		{ .data = nonce_info, .out = out[1] },
	};
	int err;

	msg[0].len = qkd_key_info(&info, sl, ctx, sizeof(out[0]));
	info.offset = cpu_to_be64(qkd_slice_offset(sl));
	msg[1].len = qkd_relabel(nonce_info, "qkd nonce v1", &info, msg[0].len, 12);
	qkd_slice_read(sl, 0, unit, sizeof(unit));
	err = qkd_extract(sl->seg->prf, unit, secret, prk);
	if (!err)
		err = qkd_hmacs(prk, msg, 2);
	memcpy(key, out[0], 32);
	memcpy(nonce, out[1], 12);
	if (err) {
		memzero_explicit(key, 32);
		memzero_explicit(nonce, 12);
	}
	memzero_explicit(unit, sizeof(unit));
	memzero_explicit(prk, sizeof(prk));
	memzero_explicit(out, sizeof(out));
	qkd_wipe_stack(QKD_STACK_CRYPTO);
	return err;
}

/**
 * qkd_kdf_xpn - salt and SSCI of a MACsec SA
 * @sl: slice of its key
 * @ctx: class and context
 * @xpn: out
 *
 * As qkd_kdf_key(), from the PRK of the key's first unit.
 *
 * Context: any, under rcu_read_lock().
 * Return: 0 or an errno of the crypto API; then nothing is left in @xpn.
 */
int qkd_kdf_xpn(const struct qkd_slice *sl, const struct qkd_key_context *ctx,
		struct qkd_xpn *xpn)
{
	u8 unit[QKD_KEY_UNIT], prk[32], salt[32], ssci[32];
	u8 salt_info[QKD_INFO_MAX], ssci_info[QKD_INFO_MAX];
	struct qkd_hmac msg[2] = {
		{ .data = salt_info, .out = salt },
		{ .data = ssci_info, .out = ssci },
	};
	struct qkd_key_info info;
	int err;
	u32 len;

	len = qkd_key_info(&info, sl, ctx, 0);
	info.offset = cpu_to_be64(qkd_slice_offset(sl));
	msg[0].len = qkd_relabel(salt_info, "qkd salt v1", &info, len, sizeof(xpn->salt));
	msg[1].len = qkd_relabel(ssci_info, "qkd ssci v1", &info, len, sizeof(xpn->ssci));
	qkd_slice_read(sl, 0, unit, sizeof(unit));
	err = crypto_shash_tfm_digest(sl->seg->prf, unit, sizeof(unit), prk);
	if (!err)
		err = qkd_hmacs(prk, msg, 2);
	memcpy(xpn->salt, salt, sizeof(xpn->salt));
	memcpy(xpn->ssci, ssci, sizeof(xpn->ssci));
	if (err)
		memzero_explicit(xpn, sizeof(*xpn));
	memzero_explicit(unit, sizeof(unit));
	memzero_explicit(prk, sizeof(prk));
	memzero_explicit(salt, sizeof(salt));
	memzero_explicit(ssci, sizeof(ssci));
	qkd_wipe_stack(QKD_STACK_CRYPTO);
	return err;
}

/**
 * qkd_kdf_epoch_tag - what makes a forged epoch cheap to refuse
 * @seg: segment that holds the unit
 * @spi: of the SA
 * @offset: of the unit in the stream, in bytes
 * @tag: out
 *
 * No other HMAC under k_seg is over 24 bytes that begin so: an ID's seventh
 * byte begins with its version.
 *
 * Context: any, under rcu_read_lock().
 * Return: 0 or an errno of the crypto API.
 */
int qkd_kdf_epoch_tag(const struct qkd_segment *seg, __be32 spi, u64 offset, u8 *tag)
{
	struct {
		char label[12];
		__be32 spi;
		__be64 offset;
	} __packed msg;
	u8 out[32];
	int err;

	memcpy(msg.label, "qkd epoch v1", sizeof(msg.label));
	msg.spi = spi;
	msg.offset = cpu_to_be64(offset);
	err = crypto_shash_tfm_digest(seg->prf, (u8 *)&msg, sizeof(msg), out);
	*tag = out[0];
	memzero_explicit(out, sizeof(out));
	qkd_wipe_stack(QKD_STACK_CRYPTO);
	return err;
}

/**
 * qkd_kdf_id_tag - the tag of a key ID
 * @seg: segment that the ID names
 * @id: the ID with a zero tag
 * @ctx: context of the key
 * @tag: out: 40 bits
 *
 * Context: any, under rcu_read_lock().
 * Return: 0 or an errno of the crypto API.
 */
int qkd_kdf_id_tag(const struct qkd_segment *seg, const u8 id[QKD_KEY_ID_LEN],
		   const struct qkd_key_context *ctx, u8 tag[5])
{
	struct {
		u8 id[QKD_KEY_ID_LEN];
		u8 type;
		__be16 len;
		u8 data[QKD_CONTEXT_LEN];
	} __packed msg;
	u8 out[32];
	int err;

	memcpy(msg.id, id, sizeof(msg.id));
	msg.type = ctx->type;
	msg.len = cpu_to_be16(ctx->len);
	if (ctx->len)
		memcpy(msg.data, ctx->data, ctx->len);
	err = crypto_shash_tfm_digest(seg->prf, (u8 *)&msg,
				      offsetof(typeof(msg), data) + ctx->len, out);
	memcpy(tag, out, 5);
	memzero_explicit(out, sizeof(out));
	qkd_wipe_stack(QKD_STACK_CRYPTO);
	return err;
}

/**
 * qkd_kdf_confirm - r of the confirmation tags of a key segment
 * @seg: segment
 * @r: out
 *
 * Context: process, link->lock held.
 * Return: 0 or an errno of the crypto API.
 */
int qkd_kdf_confirm(const struct qkd_segment *seg, u8 r[16])
{
	struct {
		char label[14];
		u8 gen[QKD_HASH_LEN];
		u8 stream;
		u8 one;
	} __packed info;
	u8 prk[32], out[32];
	int err;

	BUILD_BUG_ON(sizeof("qkd confirm v1") != sizeof(info.label) + 1);
	memcpy(info.label, "qkd confirm v1", sizeof(info.label));
	memcpy(info.gen, seg->gen->id, sizeof(info.gen));
	info.stream = seg->stream->id;
	info.one = 1;
	err = qkd_hmac(qkd_zeros, seg->secret, QKD_KEY_HEAD, prk);
	if (!err)
		err = qkd_hmac(prk, (u8 *)&info, sizeof(info), out);
	if (!err)
		memcpy(r, out, 16);
	memzero_explicit(prk, sizeof(prk));
	memzero_explicit(out, sizeof(out));
	qkd_wipe_stack(QKD_STACK_CRYPTO);
	return err;
}

/**
 * qkd_hash - SHA-256
 * @hash: out
 * @data: what to hash
 * @len: its length in bytes
 */
void qkd_hash(u8 hash[QKD_HASH_LEN], const u8 *data, u32 len)
{
	/* fails for no input: the tfm has no key and does not sleep */
	WARN_ON_ONCE(crypto_shash_tfm_digest(qkd_sha256, data, len, hash));
}

/**
 * qkd_hash_link - L, the identity of a link
 * @hash: out
 * @id_alice: identity of alice
 * @id_bob: identity of bob
 */
void qkd_hash_link(u8 hash[QKD_HASH_LEN], const char *id_alice,
		   const char *id_bob)
{
	static const char label[] = "qkd link v1";
	u8 buf[sizeof(label) + 2 * (2 + QKD_IDENTITY_LEN)];
	u32 len_a = strlen(id_alice), len_b = strlen(id_bob);
	u8 *p = buf;

	memcpy(p, label, sizeof(label) - 1);
	p += sizeof(label) - 1;
	put_unaligned_be16(len_a, p);
	memcpy(p + 2, id_alice, len_a);
	p += 2 + len_a;
	put_unaligned_be16(len_b, p);
	memcpy(p + 2, id_bob, len_b);
	p += 2 + len_b;
	qkd_hash(hash, buf, p - buf);
}

/**
 * qkd_gen_identity - G*, the identity of a generation
 * @id: out
 * @hash: L
 * @nonce_alice: alice's nonce
 * @nonce_bob: bob's nonce
 */
void qkd_gen_identity(u8 id[QKD_HASH_LEN], const u8 hash[QKD_HASH_LEN],
		      const u8 nonce_alice[16], const u8 nonce_bob[16])
{
	struct {
		char label[10];
		u8 hash[QKD_HASH_LEN];
		u8 nonce[2][16];
	} __packed msg;

	memcpy(msg.label, "qkd gen v1", sizeof(msg.label));
	memcpy(msg.hash, hash, sizeof(msg.hash));
	memcpy(msg.nonce[0], nonce_alice, 16);
	memcpy(msg.nonce[1], nonce_bob, 16);
	qkd_hash(id, (u8 *)&msg, sizeof(msg));
}
EXPORT_SYMBOL_GPL(qkd_gen_identity);

/**
 * qkd_kdf_init - set up the tfms
 *
 * Context: module init.
 */
int qkd_kdf_init(void)
{
	int cpu;

	qkd_sha256 = crypto_alloc_shash("sha256", 0, 0);
	if (IS_ERR(qkd_sha256))
		return PTR_ERR(qkd_sha256);
	qkd_expand_tfm = alloc_percpu(struct crypto_shash *);
	if (!qkd_expand_tfm)
		goto err_free_sha256;
	for_each_possible_cpu(cpu) {
		struct crypto_shash *tfm = qkd_prf_new(qkd_zeros, 32);

		if (!tfm)
			goto err_exit;
		*per_cpu_ptr(qkd_expand_tfm, cpu) = tfm;
	}
	return 0;

err_exit:
	qkd_kdf_exit();
	return -ENOMEM;
err_free_sha256:
	crypto_free_shash(qkd_sha256);
	return -ENOMEM;
}

/**
 * qkd_kdf_exit - undo qkd_kdf_init()
 */
void qkd_kdf_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		qkd_prf_free(*per_cpu_ptr(qkd_expand_tfm, cpu));
	free_percpu(qkd_expand_tfm);
	crypto_free_shash(qkd_sha256);
}
