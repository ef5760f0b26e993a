// SPDX-License-Identifier: GPL-2.0-only
/*
 * One-time pad and one-time Poly1305. An IV names a slice of the link's pad
 * stream.
 *
 * Packets may be sealed and opened in parallel, and one tfm used on all CPUs:
 * all state is on the stack or belongs to the slice.
 */
#include <crypto/algapi.h>
#include <crypto/poly1305.h>
#include <crypto/scatterwalk.h>
#include <linux/bitfield.h>
#include <linux/scatterlist.h>

#include "core.h"

enum {
	OTP_IV		= 8,
	OTP_ICV		= POLY1305_DIGEST_SIZE,
	OTP_ASSOC_ESN	= 12,	/* SPI, sequence number */
	OTP_S		= QKD_PAD_GRANULE,
};

#define OTP_IV_CIPHER	GENMASK_ULL(63, 62)
#define OTP_IV_LABEL	GENMASK_ULL(61, 60)
#define OTP_IV_GRANULE	GENMASK_ULL(59, 0)

/**
 * struct otp_text - a walk over the text of a request
 * @sl: the packet's slice: s, then the pad
 * @mac: Poly1305 over the ciphertext
 * @pos: of the step's first byte in the text
 */
struct otp_text {
	const struct qkd_slice *sl;
	struct poly1305_desc_ctx *mac;
	u32 pos;
};

static const u8 otp_zero[POLY1305_BLOCK_SIZE];

static void otp_xor(const struct otp_text *t, u8 *text, u32 len)
{
	u32 done, step, avail;

	for (done = 0; done < len; done += step) {
		const u8 *pad = qkd_slice_bytes(t->sl, OTP_S + t->pos + done,
						&avail);

		step = min(avail, len - done);
		crypto_xor(text + done, pad, step);
	}
}

static void otp_mac(const struct otp_text *t, u8 *text, u32 len)
{
	poly1305_update(t->mac, text, len);
}

static void otp_xor_mac(const struct otp_text *t, u8 *text, u32 len)
{
	otp_xor(t, text, len);
	otp_mac(t, text, len);
}

static void otp_wipe(const struct otp_text *t, u8 *text, u32 len)
{
	memzero_explicit(text, len);
}

/* Does @step on all of the text, which lies in @sg behind the IV. */
static int otp_walk(struct otp_text *t, struct aead_request *req,
		    struct scatterlist *sg, u32 len,
		    void (*step)(const struct otp_text *t, u8 *text, u32 len))
{
	struct sg_mapping_iter miter;
	u32 n;

	t->pos = 0;
	sg_miter_start(&miter, sg, sg_nents(sg),
		       SG_MITER_ATOMIC | SG_MITER_TO_SG);
	if (sg_miter_skip(&miter, req->assoclen + OTP_IV)) {
		while (t->pos < len && sg_miter_next(&miter)) {
			n = min_t(size_t, miter.length, len - t->pos);
			step(t, miter.addr, n);
			t->pos += n;
		}
	}
	sg_miter_stop(&miter);
	return t->pos == len ? 0 : -EINVAL;
}

/*
 * The one-time key of Poly1305: r of the segment, s of the slice. What an SA is
 * bound to is added to r, so that packets of another SA don't verify; r stays
 * uniform. It is clamped afterwards.
 */
static int otp_mac_key(const struct qkd_sa *sa, const struct qkd_slice *sl,
		       u8 key[POLY1305_KEY_SIZE])
{
	int err;

	err = qkd_slice_secret(sl, key, QKD_PAD_HEAD);
	if (err)
		return err;
	BUILD_BUG_ON(QKD_BIND_LEN != QKD_PAD_HEAD);
	crypto_xor(key, sa->bind, QKD_BIND_LEN);
	qkd_slice_read(sl, 0, key + QKD_PAD_HEAD, OTP_S);
	return 0;
}

static void otp_mac_begin(struct poly1305_desc_ctx *mac,
			  const u8 key[POLY1305_KEY_SIZE],
			  struct aead_request *req, struct scatterlist *sg)
{
	u32 len = req->assoclen + OTP_IV;
	u8 aad[OTP_ASSOC_ESN + OTP_IV];

	scatterwalk_map_and_copy(aad, sg, 0, len, 0);
	poly1305_init(mac, key);
	poly1305_update(mac, aad, len);
	poly1305_update(mac, otp_zero, -len % POLY1305_BLOCK_SIZE);
}

static void otp_mac_end(struct poly1305_desc_ctx *mac,
			struct aead_request *req, u32 len, u8 icv[OTP_ICV])
{
	__le64 lengths[2] = {
		cpu_to_le64(req->assoclen + OTP_IV),
		cpu_to_le64(len),
	};

	poly1305_update(mac, otp_zero, -len % POLY1305_BLOCK_SIZE);
	poly1305_update(mac, (u8 *)lengths, sizeof(lengths));
	poly1305_final(mac, icv);
}

static u32 otp_slice_len(u32 len)
{
	return OTP_S + round_up(len, QKD_PAD_GRANULE);
}

static void otp_count(struct qkd_sa *sa, u32 len)
{
	qkd_sa_count(sa, QKD_SA_PACKETS, 1);
	qkd_sa_count(sa, QKD_SA_BYTES, len);
	qkd_sa_count(sa, QKD_SA_KEY_BYTES, otp_slice_len(len));
}

/* In place in req->dst, which already holds the plaintext. */
static int otp_seal(const struct qkd_sa *sa, struct aead_request *req,
		    const struct qkd_slice *sl, u16 label, u32 len)
{
	struct poly1305_desc_ctx mac;
	struct otp_text text = { .sl = sl, .mac = &mac };
	u8 key[POLY1305_KEY_SIZE];
	u8 icv[OTP_ICV];
	__be64 iv;
	int err;

	iv = cpu_to_be64(FIELD_PREP(OTP_IV_CIPHER, QKD_CIPHER_OTP) |
			 FIELD_PREP(OTP_IV_LABEL, label & 3) |
			 FIELD_PREP(OTP_IV_GRANULE,
				    qkd_slice_offset(sl) / QKD_PAD_GRANULE));
	scatterwalk_map_and_copy(&iv, req->dst, req->assoclen, OTP_IV, 1);

	err = otp_mac_key(sa, sl, key);
	if (err)
		goto out;
	otp_mac_begin(&mac, key, req, req->dst);
	err = otp_walk(&text, req, req->dst, len, otp_xor_mac);
	if (err)
		goto out;
	otp_mac_end(&mac, req, len, icv);
	scatterwalk_map_and_copy(icv, req->dst, req->assoclen + req->cryptlen,
				 OTP_ICV, 1);
out:
	memzero_explicit(&mac, sizeof(mac));
	memzero_explicit(key, sizeof(key));
	qkd_wipe_stack(1);
	return err;
}

/**
 * qkd_otp_encrypt - seal a packet
 * @sa: outbound SA
 * @req: request of ESP; its lengths were checked
 *
 * Packet path.
 * Return: 0; -ENOKEY: @req is as it was, and the caller counts it; or why not
 * (counted).
 */
int qkd_otp_encrypt(struct qkd_sa *sa, struct aead_request *req)
{
	u32 len = req->cryptlen - OTP_IV;
	struct otp_text text = {};
	struct qkd_slice sl;
	int err, wiped;
	u16 label;

	/* The linear part of an skb is in both lists: all first, then in place. */
	if (req->src != req->dst)
		memcpy_sglist(req->dst, req->src, req->assoclen + req->cryptlen);

	rcu_read_lock();
	err = qkd_pad_alloc(sa->link, otp_slice_len(len), &sl, &label);
	if (err)
		goto out;
	err = otp_seal(sa, req, &sl, label, len);
	wiped = qkd_slice_done(&sl);
	if (!err)
		err = wiped;
	/* The pad may have been zero: what stands there is then the payload. */
	if (err)
		otp_walk(&text, req, req->dst, len, otp_wipe);
out:
	rcu_read_unlock();
	if (err)
		return err == -ENOKEY ? err : qkd_sa_refused(sa, err);
	otp_count(sa, len);
	return 0;
}

/* Is the ICV right? Takes nothing. */
static int otp_verify(const struct qkd_sa *sa, struct aead_request *req,
		      const struct qkd_slice *sl, u32 len)
{
	struct poly1305_desc_ctx mac;
	struct otp_text text = { .sl = sl, .mac = &mac };
	u8 key[POLY1305_KEY_SIZE];
	u8 icv[OTP_ICV], want[OTP_ICV];
	int err;

	err = otp_mac_key(sa, sl, key);
	if (err)
		goto out;
	/*
	 * Another CPU may have verified a copy of this packet, and wiped s
	 * while it was read here. It has set the bits before: without this
	 * look every duplicate would count as a forgery.
	 */
	if (!qkd_slice_is_free(sl)) {
		err = -EALREADY;
		goto out;
	}
	otp_mac_begin(&mac, key, req, req->src);
	err = otp_walk(&text, req, req->src, len, otp_mac);
	if (err)
		goto out;
	otp_mac_end(&mac, req, len, want);
	scatterwalk_map_and_copy(icv, req->src,
				 req->assoclen + OTP_IV + len, OTP_ICV, 0);
	if (crypto_memneq(icv, want, OTP_ICV))
		err = -EBADMSG;
out:
	memzero_explicit(&mac, sizeof(mac));
	memzero_explicit(key, sizeof(key));
	memzero_explicit(want, sizeof(want));
	qkd_wipe_stack(1);
	return err;
}

static void otp_bad_icv(struct qkd_link *link, const struct qkd_slice *sl)
{
	struct qkd_segment *seg = sl->seg;

	qkd_refuse(link, QKD_REFUSED_ICV);
	qkd_event_note(link, QKD_EVENT_TYPE_ICV_FAIL, seg->stream->id);
	if (!((u32)atomic_inc_return(&seg->icv_fail) % QKD_ICV_ALARM))
		pr_warn_ratelimited("%s: %u bad ICVs checked with one secret\n",
				    link->cfg.name, QKD_ICV_ALARM);
}

static int otp_open(const struct qkd_sa *sa, struct aead_request *req,
		    const struct qkd_slice *sl, u32 len)
{
	struct otp_text text = { .sl = sl };
	int err, wiped;

	err = otp_verify(sa, req, sl, len);
	if (err == -EBADMSG)
		otp_bad_icv(sa->link, sl);
	if (err)
		return err;

	err = qkd_slice_take(sl);
	if (err)
		return err;
	if (req->src != req->dst)
		memcpy_sglist(req->dst, req->src, req->assoclen + OTP_IV + len);
	err = otp_walk(&text, req, req->dst, len, otp_xor);
	wiped = qkd_slice_done(sl);
	if (!err)
		err = wiped;
	if (err)
		otp_walk(&text, req, req->dst, len, otp_wipe);
	qkd_wipe_stack(1);
	return err;
}

/**
 * qkd_otp_decrypt - open a packet
 * @sa: inbound SA
 * @req: request of ESP; its lengths were checked
 * @iv: the packet's, of cipher otp
 *
 * Packet path.
 * Return: 0, or why not (counted).
 */
int qkd_otp_decrypt(struct qkd_sa *sa, struct aead_request *req, u64 iv)
{
	u32 len = req->cryptlen - OTP_IV - OTP_ICV;
	struct qkd_slice sl;
	int err;

	rcu_read_lock();
	err = qkd_pad_find(sa->link, FIELD_GET(OTP_IV_LABEL, iv),
			   FIELD_GET(OTP_IV_GRANULE, iv) * QKD_PAD_GRANULE,
			   otp_slice_len(len), &sl);
	if (!err)
		err = otp_open(sa, req, &sl, len);
	rcu_read_unlock();
	if (err)
		return qkd_sa_refused(sa, err);
	otp_count(sa, len);
	return 0;
}
