// SPDX-License-Identifier: GPL-2.0-only
/*
 * External secrets of hybrid SAs, and what other SAs are bound to, out of the
 * caller's keyrings.
 *
 * They come as keys of type logon, which userspace can make but never read, so
 * that the secret is in no netlink message: those are copied to nlmon and
 * quoted by errors.
 */
#include <keys/user-type.h>
#include <linux/key.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "netlink.h"

#if IS_ENABLED(CONFIG_KEYS)
/* Returns how many bytes; -ERANGE is the caller's to explain. */
static int secret_copy(const struct key *key, u8 *bytes, u32 min, u32 max,
		       struct netlink_ext_ack *extack)
{
	const struct user_key_payload *payload = user_key_payload_locked(key);

	/* Revoked since it was found. */
	if (!payload) {
		NL_SET_ERR_MSG(extack, "the secret's key is revoked");
		return -EKEYREVOKED;
	}
	if (payload->datalen < min || payload->datalen > max)
		return -ERANGE;
	if (!memchr_inv(payload->data, 0, payload->datalen)) {
		NL_SET_ERR_MSG(extack, "secret is all zero");
		return -EINVAL;
	}
	memcpy(bytes, payload->data, payload->datalen);
	return payload->datalen;
}

/* Takes what there is: waits for nobody, and asks nobody to make it. */
static struct key *secret_find(const char *description,
			       struct netlink_ext_ack *extack)
{
	struct key *key;
	int err;

	rcu_read_lock();
	key = request_key_rcu(&key_type_logon, description, NULL);
	rcu_read_unlock();
	if (IS_ERR(key)) {
		err = PTR_ERR(key);
	} else {
		err = key_validate(key) ?: key_is_positive(key) ? 0 : -ENOKEY;
		if (!err)
			return key;
		key_put(key);
	}
	switch (err) {
	case -EKEYREVOKED:
		NL_SET_ERR_MSG(extack, "the secret's key is revoked");
		break;
	case -EKEYEXPIRED:
		NL_SET_ERR_MSG(extack, "the secret's key has expired");
		break;
	case -EACCES:
		NL_SET_ERR_MSG(extack, "the secret's key may not be searched for");
		break;
	default:
		NL_SET_ERR_MSG(extack,
			       "no valid key of type logon with this description in the caller's keyrings");
	}
	return ERR_PTR(err);
}

static int secret_read(const char *description, u8 *bytes, u32 min, u32 max,
		       struct netlink_ext_ack *extack)
{
	struct key *key = secret_find(description, extack);
	int ret;

	if (IS_ERR(key))
		return PTR_ERR(key);
	down_read(&key->sem);
	ret = secret_copy(key, bytes, min, max, extack);
	up_read(&key->sem);
	key_put(key);
	return ret;
}
#else
static int secret_read(const char *description, u8 *bytes, u32 min, u32 max,
		       struct netlink_ext_ack *extack)
{
	NL_SET_ERR_MSG(extack, "this kernel has no keyrings to take a secret from");
	return -EOPNOTSUPP;
}
#endif

/**
 * qkd_secret_get - copy an external secret out of the caller's keyrings
 * @description: of a key of type logon
 * @number: which secret this is
 * @extack: says what was wrong
 *
 * Process context of the caller, whose credentials count. May sleep.
 * Return: the secret, for qkd_secret_free(); -ENOKEY there is none, or it has
 * expired, -EKEYREVOKED it is revoked, -ERANGE it is too short or too long,
 * -EINVAL it is all zero, -EOPNOTSUPP the kernel has no keyrings, -ENOMEM.
 */
struct qkd_secret *qkd_secret_get(const char *description, u32 number,
				  struct netlink_ext_ack *extack)
{
	struct qkd_secret *secret;
	int ret;

	secret = kzalloc(sizeof(*secret), GFP_KERNEL_ACCOUNT);
	if (!secret)
		return ERR_PTR(-ENOMEM);
	ret = secret_read(description, secret->bytes, QKD_SECRET_MIN, QKD_SECRET_MAX,
			  extack);
	if (ret == -ERANGE)
		NL_SET_ERR_MSG(extack, "secret is not of 32 to 1024 bytes");
	if (ret < 0) {
		qkd_secret_free(secret);
		return ERR_PTR(ret);
	}
	secret->number = number;
	secret->len = ret;
	return secret;
}

/**
 * qkd_bind_get - copy what an SA is bound to out of the caller's keyrings
 * @description: of a key of type logon
 * @bind: out; the caller wipes it
 * @extack: says what was wrong
 *
 * Return: 0, or as qkd_secret_get().
 */
int qkd_bind_get(const char *description, u8 bind[QKD_BIND_LEN],
		 struct netlink_ext_ack *extack)
{
	int ret = secret_read(description, bind, QKD_BIND_LEN, QKD_BIND_LEN, extack);

	if (ret == -ERANGE)
		NL_SET_ERR_MSG(extack, "what the SA is bound to is not of 16 bytes");
	return min(ret, 0);
}

/**
 * qkd_secret_free - wipe and free a secret
 * @secret: secret or NULL
 *
 * Context: any.
 */
void qkd_secret_free(const struct qkd_secret *secret)
{
	kfree_sensitive(secret);
}
