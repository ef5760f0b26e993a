/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Suppliers: where the key of a link of type user comes from. supply.c runs the
 * link's two ends over one of these, whatever protocol it speaks.
 *
 * A supplier shares keys with the supplier at the peer's end. One end gets new
 * keys, and each has an ID; the other end gets the same keys by these IDs. An
 * ID is text for the supplier at the other end and for nobody else: 1 to 255
 * bytes, '!' to '~'. It is not secret. Where the protocol has a stream and an
 * index, the ID holds both.
 */
#ifndef QKDD_SUPPLY_H
#define QKDD_SUPPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SUPPLY_ID_LEN 255
#define SUPPLY_KEYS_MAX 128 /* of a block */
#define SUPPLY_BYTES_MIN 64 /* of a block's keys */
#define SUPPLY_BYTES_MAX (65536 + 16)
#define SUPPLY_TEXT_LEN 256

struct kme_config;

typedef char supply_id[SUPPLY_ID_LEN + 1];

/**
 * struct supply_keys - keys that a supplier gives
 * @count: their number
 * @size: of each, in bytes
 * @ids: their IDs, in the order of the bytes
 * @bytes: key after key, in memory of etsi014_secret_new(@count * @size)
 *
 * From supply_keys_new(), to supply_keys_free(), which wipes it.
 */
struct supply_keys {
	unsigned int count;
	size_t size;
	supply_id *ids;
	uint8_t *bytes;
};

struct supply_keys *supply_keys_new(unsigned int count, size_t size);
void supply_keys_free(struct supply_keys *keys);

/**
 * supply_done_fn - a call has come to its end
 * @arg: as it was given with the call
 * @err: 0, or a negative errno as in lib/etsi014/etsi014.h
 * @text: what is wrong, "" if nothing; one printable line, never any key
 * @keys: what came, owned by who is called; NULL if @err
 *
 * Called exactly once for each call that was not cancelled: by the event loop,
 * never out of the function that began or cancelled it. The call is no more
 * when this is called.
 */
typedef void (*supply_done_fn)(void *arg, int err, const char *text,
			       struct supply_keys *keys);

/**
 * struct supply_ops - a protocol
 * @type: its name in the configuration
 * @per_call: keys that one call can give, 1 to SUPPLY_KEYS_MAX
 * @check: whether a section can work, without a network; else says why in
 *	@text and returns -1. Runs with --check-config, too.
 * @open: make a supplier; it keeps no pointer to @config. NULL, and @text says
 *	why, if that fails. It must not wait for a network.
 * @close: its end. There is no call left.
 * @renew: files that the section names, such as certificates, may have other
 *	contents: from the next call on these count.
 * @get: ask for @number new keys of @size bytes. It may give fewer, but one,
 *	and is then called again. Keys of one answer have different IDs.
 * @by_ids: ask for the keys with these @number IDs, which are the caller's and
 *	may come from a peer that makes them up. Gives the first of them, in
 *	this order, all or one at least, or an error; is then called again for
 *	the rest.
 * @cancel: the call ends, and what it may get is wiped.
 * @hello: what the supplier at the other end has to know before there can be a
 *	key, "" for nothing yet: 1 to 63 bytes, '!' to '~'. NULL if there is
 *	never anything. It may change.
 * @heard: the supplier at the other end has said that; false if it means nothing.
 * @tell: say in the log what is known of its keys, or NULL.
 *
 * @number is never more than @per_call. @get and @by_ids return the call, for
 * @cancel, and never NULL: what is wrong at once is said by @done as well. Any
 * number of calls may run at a time. -ENOENT, -EACCES, -EINVAL, -EPROTO and
 * -EMSGSIZE mean that to ask once more for the same keys is of no use; after
 * other errors by_ids is tried again, with the same IDs.
 */
struct supply_ops {
	const char *type;
	unsigned int per_call;
	int (*check)(const struct kme_config *config,
		     char text[SUPPLY_TEXT_LEN]);
	void *(*open)(const struct kme_config *config,
		      char text[SUPPLY_TEXT_LEN]);
	void (*close)(void *supplier);
	void (*renew)(void *supplier);
	void *(*get)(void *supplier, unsigned int number, size_t size,
		     supply_done_fn done, void *arg);
	void *(*by_ids)(void *supplier, const supply_id *ids,
			unsigned int number, size_t size, supply_done_fn done,
			void *arg);
	void (*cancel)(void *supplier, void *call);
	const char *(*hello)(void *supplier);
	bool (*heard)(void *supplier, const char *text);
	void (*tell)(const void *supplier);
};

extern const struct supply_ops supply_004, supply_014, supply_skip;

/* The protocol of that name, or NULL. */
const struct supply_ops *supply_ops_of(const char *type);

/* seen.c: IDs that were used, the last 262144 of them */
struct seen;

struct seen *seen_new(void);
/* Whether the ID is among them. */
bool seen_has(const struct seen *seen, const char *id);
void seen_add(struct seen *seen, const char *id);

#endif /* QKDD_SUPPLY_H */
