/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between the files of qkdd.
 *
 * A peer is another qkdd, with which there is one authenticated connection at
 * most (peer.c makes it, channel.c runs it, over tls.c). A link of the
 * configuration belongs to a peer and is matched by name with a link of the
 * kernel (link.c). Over the connection the two daemons agree on generations
 * (gen.c) and on blocks (block.c), in messages (proto.c).
 */
#ifndef QKDD_H
#define QKDD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <event2/event.h>
#include <openssl/ssl.h>
#include <qkd/qkd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define NAME_LEN 63 /* of a daemon, and of a link between daemons */
#define ADDRESS_LEN 127
#define NONCE_LEN 16
#define STREAMS 4
#define LISTEN_MAX 8

/* log.c */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* config.c */

/**
 * struct peer_config - a section [peer NAME]
 * @name: what the peer calls itself
 * @connect: where it listens, or ""
 * @certificate_name: DNS name in its certificate
 * @psk: path of the pre-shared key, or "" where certificates are used
 * @timeout: seconds of silence after which the connection is dead
 * @line: where the section begins
 */
struct peer_config {
	char name[NAME_LEN + 1];
	char connect[ADDRESS_LEN + 1];
	char certificate_name[256];
	char psk[256];
	unsigned int timeout;
	int line;
};

/**
 * struct link_config - a section [link NAME]
 * @name: of the kernel's link
 * @peer: who has its other end
 * @shared_name: what both daemons call it
 * @line: where the section begins
 */
struct link_config {
	char name[QKD_NAME_LEN + 1];
	char peer[NAME_LEN + 1];
	char shared_name[NAME_LEN + 1];
	int line;
};

/**
 * struct config - the configuration file
 * @path: of the file
 * @name: what this daemon calls itself
 * @ca: path of the certificates that sign the peers', or ""
 * @certificate: path of our certificate chain, or ""
 * @key: path of its private key, or ""
 * @listen: addresses to listen on
 * @nlisten: their number
 * @peers: the peers
 * @npeers: their number
 * @links: the links
 * @nlinks: their number
 */
struct config {
	const char *path;
	char name[NAME_LEN + 1];
	char ca[256];
	char certificate[256];
	char key[256];
	char listen[LISTEN_MAX][ADDRESS_LEN + 1];
	size_t nlisten;
	struct peer_config *peers;
	size_t npeers;
	struct link_config *links;
	size_t nlinks;
};

struct config *config_read(const char *path);
void config_free(struct config *config);

/* tls.c */
struct tls;

struct tls *tls_load(const struct config *config);
void tls_free(struct tls *tls);
SSL *tls_server(struct tls *tls, int fd);
SSL *tls_client(struct tls *tls, int fd, const char *peer);
const char *tls_peer(SSL *ssl);
const char *tls_error(SSL *ssl);

/* proto.c */
#define FRAME_MAX 1024 /* bytes of a message, its length included */

enum msg_type {
	MSG_HELLO = 1,
	MSG_PING,
	MSG_LINK,
	MSG_GONE,
	MSG_OFFER,
	MSG_BEGUN,
	MSG_TAG,
	MSG_VERDICT,
	MSG_EDGE,
};

enum link_kind {
	KIND_DAEMON = 1, /* the daemons run its generations and blocks */
	KIND_DRIVER,
};

/**
 * struct msg - a message, whatever its type
 * @type: enum msg_type; says which of the other members count
 * @seq: 1 for the first of a connection and direction, then one more each
 * @sender: name of a daemon
 * @receiver: likewise
 * @link: shared name of a link
 * @role: enum qkd_role of the sender
 * @kind: enum link_kind
 * @confirm: enum qkd_confirm
 * @admin: enum qkd_admin
 * @state: enum qkd_state
 * @reason: enum qkd_reason
 * @pad_capacity: of the sender's tx
 * @key_capacity: likewise
 * @hash: L
 * @label: of the generation; MSG_LINK: of the last one, or 0
 * @generation: G*, zero for none
 * @nonce: the sender's
 * @nonce_peer: the receiver's, as it came in MSG_LINK
 * @stream: enum qkd_stream
 * @offset: of a block; MSG_EDGE: below it everything is resolved
 * @length: of a block
 * @tag: of a block
 * @verdict: enum qkd_verdict
 */
struct msg {
	uint8_t type;
	uint64_t seq;
	char sender[NAME_LEN + 1];
	char receiver[NAME_LEN + 1];
	char link[NAME_LEN + 1];
	uint8_t role;
	uint8_t kind;
	uint8_t confirm;
	uint8_t admin;
	uint8_t state;
	uint8_t reason;
	uint64_t pad_capacity;
	uint64_t key_capacity;
	uint8_t hash[QKD_HASH_LEN];
	uint16_t label;
	uint8_t generation[QKD_HASH_LEN];
	uint8_t nonce[NONCE_LEN];
	uint8_t nonce_peer[NONCE_LEN];
	uint8_t stream;
	uint64_t offset;
	uint32_t length;
	uint8_t tag[QKD_TAG_LEN];
	uint8_t verdict;
};

size_t msg_pack(const struct msg *msg, uint8_t frame[FRAME_MAX]);
const char *msg_unpack(struct msg *msg, const uint8_t *frame, size_t *size);

/* peer.c */
struct conn;

/**
 * struct peer - another qkdd
 * @list: all peers
 * @config: its section
 * @conn: the connection with it, once it is authenticated
 * @dial: a connection that we try to make
 * @dial_timer: when to try next
 * @backoff: seconds until then
 * @told: that it cannot be reached was logged
 * @keep: found in the new configuration, while one is loaded
 */
struct peer {
	LIST_ENTRY(peer) list;
	struct peer_config config;
	struct conn *conn;
	struct conn *dial;
	struct event *dial_timer;
	unsigned int backoff;
	bool told;
	bool keep;
};

LIST_HEAD(peers, peer);
extern struct peers peers;

void peers_configure(const struct config *config, struct tls *tls);
void peers_stop(void);
struct peer *peer_find(const char *name);
void peer_dial(struct peer *peer);

/* channel.c */
struct sockaddr;

void channel_become(const char *name, struct tls *new_tls);
struct conn *conn_new(int fd, const struct sockaddr *sa, int size,
		      struct peer *peer);
void conn_end(struct conn *conn);
void peer_renew(struct peer *peer);
bool peer_send(struct peer *peer, struct msg *msg);
void peer_refuse(struct peer *peer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* link.c */

/**
 * struct tag - a block's tag that waits for us to have the block
 * @offset: of the block
 * @length: of the block
 * @tag: the peer's
 */
struct tag {
	uint64_t offset;
	uint32_t length;
	uint8_t tag[QKD_TAG_LEN];
};

/**
 * struct stream - what we know of a stream on this connection
 * @sent: rx: tags of blocks below this offset were sent
 * @edge: rx: as it was sent last; tx: as the peer sent it last
 * @tags: tx: tags of blocks that we do not have yet
 * @ntags: their number
 */
struct stream {
	uint64_t sent;
	uint64_t edge;
	struct tag tags[QKD_BLOCKS_LISTED];
	unsigned int ntags;
};

/**
 * struct link - a link of the configuration
 * @list: all links
 * @config: its section
 * @timer: looks after it
 * @present: the kernel has it; @here counts
 * @here: as the kernel showed it last
 * @shown: what of @here the peer was told last
 * @known: the peer has told; @there counts
 * @there: as the peer told it last
 * @nonce: ours, until a generation has begun with it
 * @offer: what alice has offered and bob has not answered: label, G*
 * @offer_at: when she may offer next, CLOCK_BOOTTIME in ms
 * @differs: since when a driver's generations have differed, or 0
 * @said: complaints about this link that were logged, enum complaint
 * @stream: by enum qkd_stream
 * @keep: found in the new configuration, while one is loaded
 */
struct link {
	LIST_ENTRY(link) list;
	struct link_config config;
	struct event *timer;
	bool present;
	struct qkd_link here;
	struct msg shown;
	bool known;
	struct msg there;
	uint8_t nonce[NONCE_LEN];
	struct msg offer;
	int64_t offer_at;
	int64_t differs;
	unsigned int said;
	struct stream stream[STREAMS];
	bool keep;
};

enum complaint {
	SAID_CLASH = 1 << 0,
	SAID_KIND = 1 << 1,
	SAID_CONFIRM = 1 << 2,
	SAID_DIFFERS = 1 << 3,
	SAID_BEGIN = 1 << 4,
	SAID_BLOCK = 1 << 5,
};

void links_configure(const struct config *config);
int links_start(void);
void links_stop(void);
void links_connected(const struct peer *peer);
void links_disconnected(const struct peer *peer);
void links_message(struct peer *peer, const struct msg *msg);
void links_count(unsigned int *up, unsigned int *all);
void link_refresh(struct link *link);
void link_soon(struct link *link);
void link_new_nonce(struct link *link);
bool link_is_driven(const struct link *link);
bool link_has_gen(const struct link *link);
bool link_same_gen(const struct link *link);
void link_send(const struct link *link, struct msg *msg);
void link_complain(struct link *link, enum complaint what, bool wrong,
		   const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* gen.c */
void gen_tick(struct link *link);
void gen_gone(struct link *link);
void gen_message(struct link *link, const struct msg *msg);

/* block.c */
bool block_tick(struct link *link);
void block_message(struct link *link, struct peer *peer, const struct msg *msg);

/* main.c */
extern struct event_base *base;
extern struct qkd_ctx *ctx;

int64_t now_ms(void);
void status_changed(void);

#endif /* QKDD_H */
