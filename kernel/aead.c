// SPDX-License-Identifier: GPL-2.0-only
/*
 * The AEADs qkd(otp), qkd(aes) and qkd(hybrid).
 *
 * Stock ESP asks for them by name (esp.c says how) and sees ciphers that make
 * their own IVs, as seqiv(...) does: the IV is the head of the text. They hold
 * no key that anybody has set: a tfm knows its link only because esp.c has
 * bound it to an SA. setkey() binds nothing, since the key that ESP hands it is
 * printed by "ip xfrm state": whoever else allocates such an AEAD, with whatever
 * key, has -ENOKEY for ever.
 */
#include <crypto/internal/aead.h>
#include <crypto/scatterwalk.h>
#include <linux/bitfield.h>
#include <linux/module.h>

#include "core.h"

enum {
	AEAD_KEY	= 16,	/* the SA's public handle */
	AEAD_IV		= 8,
	AEAD_ICV	= 16,
	AEAD_ASSOC	= 8,	/* SPI, sequence number */
	AEAD_ASSOC_ESN	= 12,
};

#define AEAD_IV_CIPHER	GENMASK_ULL(63, 62)

struct aead_ctx {
	struct qkd_sa *sa;	/* set once, by qkd_aead_bind() */
};

static struct qkd_sa *aead_sa(struct crypto_aead *tfm)
{
	struct aead_ctx *ctx = crypto_aead_ctx(tfm);

	/* pairs with the release in qkd_aead_bind() */
	return smp_load_acquire(&ctx->sa);
}

static int aead_refuse(struct qkd_sa *sa, enum qkd_sa_counter why, int err)
{
	qkd_sa_count(sa, why, 1);
	return err;
}

/**
 * qkd_sa_refused - count a packet that was refused
 * @sa: SA
 * @err: why
 *
 * Packet path.
 * Return: @err.
 */
int qkd_sa_refused(struct qkd_sa *sa, int err)
{
	switch (err) {
	case -ENOKEY:
		return aead_refuse(sa, QKD_SA_NO_KEY, err);
	case -EMSGSIZE:
		return aead_refuse(sa, QKD_SA_LENGTH, err);
	case -ESTALE:
		return aead_refuse(sa, QKD_SA_STALE, err);
	case -ENOENT:
	case -ENODATA:
	case -EINVAL:	/* no slice begins there */
		return aead_refuse(sa, QKD_SA_NOT_HERE, err);
	case -EALREADY:
		return aead_refuse(sa, QKD_SA_DUPLICATE, err);
	case -EBADMSG:
		return aead_refuse(sa, QKD_SA_ICV, err);
	default:
		return aead_refuse(sa, QKD_SA_LINK, err);
	}
}

/* Direction and lengths; @overhead is what of cryptlen is not text. */
static int aead_check(struct qkd_sa *sa, struct aead_request *req, u32 dir,
		      u32 overhead)
{
	if (READ_ONCE(sa->gone))
		return aead_refuse(sa, QKD_SA_LINK, -ENETDOWN);
	if (sa->dir != dir)
		return aead_refuse(sa, QKD_SA_DIR, -EINVAL);
	if (req->assoclen != AEAD_ASSOC && req->assoclen != AEAD_ASSOC_ESN)
		return aead_refuse(sa, QKD_SA_LENGTH, -EINVAL);
	if (req->cryptlen < overhead ||
	    req->cryptlen > QKD_PAD_SEGMENT - QKD_PAD_HEAD - QKD_PAD_GRANULE)
		return aead_refuse(sa, QKD_SA_LENGTH, -EMSGSIZE);
	return 0;
}

static int aead_encrypt(struct aead_request *req)
{
	struct qkd_sa *sa = aead_sa(crypto_aead_reqtfm(req));
	int err;

	if (!sa)
		return -ENOKEY;
	err = aead_check(sa, req, QKD_DIR_OUT, AEAD_IV);
	if (err)
		return err;
	if (sa->cipher != QKD_CIPHER_OTP)
		return qkd_aes_encrypt(sa, req);
	if (sa->aes)
		return qkd_fallback_encrypt(sa, req);
	err = qkd_otp_encrypt(sa, req);
	return err == -ENOKEY ? qkd_sa_refused(sa, err) : err;
}

static int aead_decrypt(struct aead_request *req)
{
	struct qkd_sa *sa = aead_sa(crypto_aead_reqtfm(req));
	__be64 be_iv;
	u32 cipher;
	u64 iv;
	int err;

	if (!sa)
		return -ENOKEY;
	err = aead_check(sa, req, QKD_DIR_IN, AEAD_IV + AEAD_ICV);
	if (err)
		return err;
	scatterwalk_map_and_copy(&be_iv, req->src, req->assoclen, AEAD_IV, 0);
	iv = be64_to_cpu(be_iv);
	cipher = FIELD_GET(AEAD_IV_CIPHER, iv);
	if (cipher == QKD_CIPHER_OTP && sa->cipher == QKD_CIPHER_OTP)
		return qkd_otp_decrypt(sa, req, iv);
	/* An SA under otp takes the other only with on-empty aes. */
	if (sa->aes && cipher == (sa->cipher == QKD_CIPHER_HYBRID ?
				  QKD_CIPHER_HYBRID : QKD_CIPHER_AES))
		return qkd_aes_decrypt(sa, req, iv);
	return aead_refuse(sa, QKD_SA_CIPHER, -EINVAL);
}

static int aead_setkey(struct crypto_aead *tfm, const u8 *key, unsigned int len)
{
	return len == AEAD_KEY ? 0 : -EINVAL;
}

static int aead_setauthsize(struct crypto_aead *tfm, unsigned int size)
{
	return size == AEAD_ICV ? 0 : -EINVAL;
}

static void aead_exit(struct crypto_aead *tfm)
{
	struct qkd_sa *sa = aead_sa(tfm);

	if (sa)
		qkd_sa_unbind(sa);
}

/*
 * Wrappers such as pcrypt(qkd-otp) take the name of what they wrap at a priority
 * somewhat above, and any user can create one: ESP would then get it for each
 * later SA. Above INT_MAX there is nothing, their sum is refused.
 */
#define AEAD(_name, _driver) {						\
	.setkey		= aead_setkey,					\
	.setauthsize	= aead_setauthsize,				\
	.encrypt	= aead_encrypt,					\
	.decrypt	= aead_decrypt,					\
	.exit		= aead_exit,					\
	.ivsize		= AEAD_IV,					\
	.maxauthsize	= AEAD_ICV,					\
	.base = {							\
		.cra_name		= _name,			\
		.cra_driver_name	= _driver,			\
		.cra_priority		= INT_MAX,			\
		.cra_flags		= CRYPTO_ALG_ASYNC,		\
		.cra_blocksize		= 1,				\
		.cra_ctxsize		= sizeof(struct aead_ctx),	\
		.cra_module		= THIS_MODULE,			\
	},								\
}

/* In the order of enum qkd_cipher. */
static struct aead_alg aead_algs[] = {
	AEAD("qkd(otp)", "qkd-otp"),
	AEAD("qkd(aes)", "qkd-aes"),
	AEAD("qkd(hybrid)", "qkd-hybrid"),
};

/**
 * qkd_aead_name - the name of a cipher, as ESP asks for it behind "qkd"
 * @cipher: enum qkd_cipher
 */
const char *qkd_aead_name(u32 cipher)
{
	static const char * const names[] = {
		[QKD_CIPHER_OTP] = "otp",
		[QKD_CIPHER_AES] = "aes",
		[QKD_CIPHER_HYBRID] = "hybrid",
	};

	return names[cipher];
}

static bool aead_is_ours(struct crypto_aead *tfm)
{
	const struct aead_alg *alg = crypto_aead_alg(tfm);

	return alg >= aead_algs && alg < aead_algs + ARRAY_SIZE(aead_algs);
}

/**
 * qkd_aead_bind - let a tfm spend the key of an SA's link
 * @tfm: that ESP has allocated
 * @sa: the SA
 *
 * Takes a reference on @sa, which the tfm drops when it is freed.
 *
 * Context: any.
 * Return: false if the tfm is not ours (anything else may have been registered
 * under the name), is another cipher's, or is bound already.
 */
bool qkd_aead_bind(struct crypto_aead *tfm, struct qkd_sa *sa)
{
	struct aead_ctx *ctx = crypto_aead_ctx(tfm);

	if (!aead_is_ours(tfm) ||
	    crypto_aead_alg(tfm) != &aead_algs[sa->cipher - QKD_CIPHER_OTP])
		return false;
	if (sa->aes)
		crypto_aead_set_reqsize(tfm, qkd_aes_reqsize(sa->aes));
	qkd_sa_hold_bound(sa);
	if (!cmpxchg_release(&ctx->sa, NULL, sa))
		return true;
	qkd_sa_drop_bound(sa);
	return false;
}

/**
 * qkd_aead_sa - the SA that a tfm is bound to
 * @tfm: any AEAD
 *
 * Context: any; the caller holds the tfm, which holds the SA.
 * Return: NULL for a tfm that is not ours or not bound.
 */
struct qkd_sa *qkd_aead_sa(struct crypto_aead *tfm)
{
	return aead_is_ours(tfm) ? aead_sa(tfm) : NULL;
}

/**
 * qkd_aead_init - register the AEADs
 *
 * Return: 0 or an errno.
 */
int qkd_aead_init(void)
{
	return crypto_register_aeads(aead_algs, ARRAY_SIZE(aead_algs));
}

/**
 * qkd_aead_exit - unregister the AEADs
 *
 * Each tfm holds the module, so none is left.
 */
void qkd_aead_exit(void)
{
	crypto_unregister_aeads(aead_algs, ARRAY_SIZE(aead_algs));
	rcu_barrier();	/* SAs are freed by RCU */
}
