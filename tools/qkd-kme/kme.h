/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between the files of qkd-kme.
 *
 * One thread, one event loop. http.c runs libmicrohttpd, and over it TLS (tls.c
 * says who the client is); request.c reads what it asks, answer.c writes what it
 * gets. Who may have which key is keys.c's matter, which knows nothing of HTTP:
 * it takes keys from the links (link.c), and keeps those that several SAEs share
 * until each has had them (group.c). The other face is ETSI GS QKD 004: face004.c
 * has its connections, stream.c its streams, relay.c what the other KME is asked
 * about them, age.c how old keys are. stats.c counts.
 */
#ifndef QKD_KME_H
#define QKD_KME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <event2/listener.h>
#include <gnutls/gnutls.h>
#include <qkd/qkd.h>

#include "../../lib/kme/common.h"
#include "../common/daemon.h"
#include "../common/ini.h"
#include "../common/log.h"
#include "request.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define KME_LEN 127 /* of the ID of a KME */
#define PEERS_MAX 64 /* of an SAE */

/* config.c */

/**
 * struct link_config - a section [link NAME]
 * @name: of the kernel's link
 * @target_kme: ID of the KME at its other end
 * @target_004: where that one speaks ETSI GS QKD 004, or ""
 * @target_name: DNS name in its certificate
 * @key_size: in bits, where a request does not say
 * @line: where the section begins
 */
struct link_config {
	char name[QKD_NAME_LEN + 1];
	char target_kme[KME_LEN + 1];
	char target_004[128];
	char target_name[256];
	uint32_t key_size;
	int line;
};

/**
 * struct sae_config - a section [sae ID]
 * @id: of the SAE
 * @link: the link whose other end it is behind, or "" for one of our own
 * @certificate_name: own: what its certificate says
 * @peers: own: IDs of those that it may share keys with
 * @npeers: their number
 * @max_number: own: keys in a call
 * @quota: own: keys that it may ask for in @quota_time, 0 for any
 * @quota_time: own: ms
 * @spent: own: keys asked for lately, which fades
 * @spent_at: own: when that was
 * @line: where the section begins
 */
struct sae_config {
	char id[SAE_LEN + 1];
	char link[QKD_NAME_LEN + 1];
	char certificate_name[256];
	char (*peers)[SAE_LEN + 1];
	size_t npeers;
	uint32_t max_number;
	uint64_t quota;
	uint32_t quota_time;
	double spent;
	int64_t spent_at;
	int line;
};

/**
 * struct group_config - a section [group NAME]: SAEs that share keys
 * @name: for the log
 * @master: ID of the SAE that asks for them
 * @slaves: IDs of the others
 * @nslaves: their number
 * @keep_time: ms that a key waits for all of them
 * @line: where the section begins
 */
struct group_config {
	char name[64];
	char master[SAE_LEN + 1];
	char slaves[SLAVES_MAX][SAE_LEN + 1];
	size_t nslaves;
	uint32_t keep_time;
	int line;
};

/**
 * struct config - the configuration file
 * @path: of the file
 * @kme_id: our ID
 * @ca: path of the certificates that sign the SAEs'
 * @certificate: path of our certificate chain
 * @key: path of its private key
 * @listen: addresses to listen on
 * @listen_004: addresses for ETSI GS QKD 004
 * @connections: that there may be at once
 * @connections_per_address: likewise, from one address
 * @timeout: ms that a client may take
 * @links: the links
 * @nlinks: their number
 * @saes: the SAEs
 * @nsaes: their number
 * @groups: the groups
 * @ngroups: their number
 */
struct config {
	const char *path;
	char kme_id[KME_LEN + 1];
	char ca[256];
	char certificate[256];
	char key[256];
	struct ini_addresses listen;
	struct ini_addresses listen_004;
	uint32_t connections;
	uint32_t connections_per_address;
	uint32_t timeout;
	struct link_config *links;
	size_t nlinks;
	struct sae_config *saes;
	size_t nsaes;
	struct group_config *groups;
	size_t ngroups;
};

/* The one that holds. */
extern struct config *config;

struct config *config_read(const char *path);
void config_free(struct config *config);
/* What was spent under the old configuration counts under the new one. */
void config_inherit(struct config *config, const struct config *old);
struct sae_config *config_sae(const struct config *config, const char *id);
struct link_config *config_link(const struct config *config, const char *name);

/* tls.c: who the client is */

/* Of TLS 1.2 only what is forward secret and authenticated encryption. */
#define TLS_PRIORITIES                                              \
	"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"                \
	":-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA"                          \
	":-CIPHER-ALL:+AES-256-GCM:+CHACHA20-POLY1305:+AES-128-GCM" \
	":%PROFILE_MEDIUM"

struct tls;

/**
 * struct tls_client - the client of a session
 * @list: of all of them
 * @session: its session
 * @tls: what it was checked with
 * @checked: its certificate is one that our CA signed
 * @sae: ID of the own SAE that the certificate names, or ""
 * @link: or the link to the KME that it names, or ""
 * @why: what is wrong with it, or ""
 */
struct tls_client {
	LIST_ENTRY(tls_client) list;
	gnutls_session_t session;
	struct tls *tls;
	bool checked;
	char sae[SAE_LEN + 1];
	char link[QKD_NAME_LEN + 1];
	char why[256];
};

/* The certificates and the key; NULL after saying what is wrong. */
struct tls *tls_load(const struct config *config);
void tls_put(struct tls *tls);
/* New sessions use these from now on. */
void tls_use(struct tls *tls);
/* Before a session's handshake: it shall have a client, whom we know. */
void tls_begin(struct tls_client *client, gnutls_session_t session);
void tls_end(struct tls_client *client);

/* link.c: the kernel's links */

/* Bytes of key, wiped and in locked memory: a page that keys pass through. */
struct key_buffer {
	uint8_t bytes[QKD_KEY_SIZE_MAX];
};

bool links_open(void);
void links_close(void);
/* The calls return 0 or a negative errno, as those of libqkd do. */
int link_show(const char *name, struct qkd_link *link);
int link_available(const char *name, uint32_t size, uint64_t *count);
int link_get(const char *name, uint32_t size, const struct qkd_context *context,
	     struct qkd_key *keys, uint32_t *count);
int link_peek(const char *name, const uint8_t id[QKD_KEY_ID_LEN], uint32_t size,
	      const struct qkd_context *context, struct qkd_key *key);
int link_commit(const char *name, uint32_t handle);
void link_drop(const char *name, uint32_t handle);
/* @key: room for QKD_KEY_SIZE_MAX bytes, which the caller wipes. */
int link_fetch(const char *name, uint32_t handle, uint8_t *key, size_t size);
/* Whether an ID is of this link at all, whoever it is for. */
bool link_owns(const char *name, const uint8_t id[QKD_KEY_ID_LEN]);

/* age.c: since when key is there */

/* Each second. */
void ages_look(void);
/* Since when the next key of a link is there, as now_ms(), or -1: before we looked. */
int64_t age_next(const char *name);
void ages_forget(void);

/* keys.c: who gets which key; for any face of the KME */

/**
 * enum key_error - why there is no key
 * @KEY_OK: there is
 * @KEY_FORBIDDEN: this SAE may not
 * @KEY_NOT_FOUND: no such key, or not any more
 * @KEY_NO_GROUP: no group of these SAEs
 * @KEY_BAD_SIZE: the size is none that we give
 * @KEY_BAD_NUMBER: more keys than the SAE may ask for at once
 * @KEY_QUOTA: more than it may ask for now
 * @KEY_EMPTY: the pool has not so many
 * @KEY_DOWN: the link is down, or there is none
 * @KEY_BUSY: too much at once
 */
enum key_error {
	KEY_OK,
	KEY_FORBIDDEN,
	KEY_NOT_FOUND,
	KEY_NO_GROUP,
	KEY_BAD_SIZE,
	KEY_BAD_NUMBER,
	KEY_QUOTA,
	KEY_EMPTY,
	KEY_DOWN,
	KEY_BUSY,
	KEY_ERRORS,
};

/**
 * struct keys - keys that were taken, and leave now
 * @number: of keys
 * @size: of each in bytes
 * @ids: their IDs
 * @bytes: theirs, QKD_KEY_SIZE_MAX apart, in locked memory
 */
struct keys {
	unsigned int number;
	uint32_t size[NUMBER_MAX];
	uint8_t ids[NUMBER_MAX][QKD_KEY_ID_LEN];
	struct key_buffer *bytes;
};

/**
 * struct pool - what the keys between two SAEs come from
 * @target_kme: the KME of the other one
 * @key_size: in bits, as are the others
 * @min_key_size: least
 * @max_key_size: most
 * @stored: keys of @key_size that there are
 * @capacity: that there could be
 * @max_number: in a call
 * @max_slaves: SAEs that can share a key beside the two
 */
struct pool {
	const char *target_kme;
	uint32_t key_size;
	uint32_t min_key_size;
	uint32_t max_key_size;
	uint64_t stored;
	uint64_t capacity;
	uint32_t max_number;
	uint32_t max_slaves;
};

/* Memory for keys on their way out; one set of it, since there is one thread. */
struct keys *keys_begin(void);
/* Wipes them. */
void keys_end(struct keys *keys);

enum key_error keys_pool(const char *sae, const char *peer, struct pool *pool);
/* @sae allocates for @peer and @slaves. Nothing is taken unless all is. */
enum key_error keys_get(const char *sae, const char *peer,
			const char (*slaves)[SAE_LEN + 1], size_t nslaves,
			unsigned int number, unsigned int bits,
			struct keys *keys);
/* @sae takes what @master allocated. Nothing is taken unless all is. */
enum key_error keys_take(const char *sae, const char *master,
			 const uint8_t (*ids)[QKD_KEY_ID_LEN],
			 unsigned int number, struct keys *keys);
/* The context of a key: who shares it, and its bytes. */
void keys_context(const char *master, const char *const *slaves, size_t nslaves,
		  uint32_t size, uint8_t data[34]);

/* group.c: keys that several SAEs here share, until each has had them */

struct group_key;

/* The key of an ID that waits for @sae, or NULL. *known: it is here at all. */
struct group_key *group_find(const uint8_t id[QKD_KEY_ID_LEN], const char *sae,
			     const char *master, bool *known);
uint32_t group_key_size(const struct group_key *key);
/* Copies it out, and forgets it when @sae was the last. */
void group_take(struct group_key *key, const char *sae, uint8_t *bytes);
/* Whether there is room for so many more. */
bool group_room(unsigned int number);
/* Keeps a key for the slaves of a group but @sae, who has it. */
void group_keep(const struct group_config *group, const char *sae,
		const uint8_t id[QKD_KEY_ID_LEN], const uint8_t *bytes,
		uint32_t size);
/* Those that waited too long go. */
void group_expire(void);
void group_flush(void);

/* http.c */

bool http_start(const struct config *config);
/* NULL after saying why not. @key: of the configuration, that has the address. */
struct evconnlistener *listen_on(const char *key, const char *address,
				 evconnlistener_cb on_accept);
/* A line about who is no client, if there are not too many of them. */
void log_stranger(const char *address, const char *what);
/* Lets connections end that were made under another configuration. */
void http_renew(void);
void http_stop(void);

/* answer.c: bodies, in memory that is wiped when it is freed */

/**
 * struct answer - a body
 * @length: its bytes
 * @size: of this
 * @text: the bytes
 */
struct answer {
	size_t length;
	size_t size;
	char text[];
};

/* As jansson does it; NULL: out of memory. */
struct answer *answer_error(const struct problem *problem);
struct answer *answer_pool(const char *sae, const char *peer,
			   const struct pool *pool);
struct answer *answer_keys(const struct keys *keys);
void answer_free(void *answer);

/* stats.c */

enum counter {
	STAT_CONNECTIONS,
	STAT_REQUESTS,
	STAT_KEYS_ALLOCATED,
	STAT_KEYS_CLAIMED,
	STAT_KEYS_BURNT,
	STAT_KEYS_EXPIRED,
	STAT_REFUSED_LIMIT,
	STAT_REFUSED_TLS,
	STAT_REFUSED_NO_SAE,
	STAT_REFUSED_TIMEOUT,
	STAT_REFUSED_REQUEST,
	STAT_REFUSED_FIRST_KEY_ERROR,
	STATS = STAT_REFUSED_FIRST_KEY_ERROR + KEY_ERRORS,
};

void stat_add(enum counter counter, unsigned int n);
void stats_log(void);

#endif /* QKD_KME_H */
