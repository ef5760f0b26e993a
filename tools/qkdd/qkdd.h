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
#include <net/if.h>
#include <sys/queue.h>

#include <openssl/ssl.h>
#include <qkd/qkd.h>

#include "../common/daemon.h"
#include "../common/ini.h"
#include "../common/log.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define NAME_LEN 63 /* of a daemon, and of a link between daemons */
#define ADDRESS_LEN 127
#define NONCE_LEN 16
#define STREAMS 4
#define AN_COUNT 4

/* config.c */

/**
 * struct peer_config - a section [peer NAME]
 * @name: what the peer calls itself
 * @connect: where it listens, or ""
 * @certificate_name: DNS name in its certificate
 * @psk: path of the pre-shared key, or "" where certificates are used
 * @timeout: ms of silence after which the connection is dead
 * @line: where the section begins
 */
struct peer_config {
	char name[NAME_LEN + 1];
	char connect[ADDRESS_LEN + 1];
	char certificate_name[256];
	char psk[256];
	uint32_t timeout;
	int line;
};

/**
 * struct link_config - a section [link NAME]
 * @name: of the kernel's link
 * @peer: who has its other end
 * @shared_name: what both daemons call it
 * @supply: name of the KME that supplies it, or ""
 * @line: where the section begins
 */
struct link_config {
	char name[QKD_NAME_LEN + 1];
	char peer[NAME_LEN + 1];
	char shared_name[NAME_LEN + 1];
	char supply[NAME_LEN + 1];
	int line;
};

#define KME_ANY_HOPS UINT32_MAX

/**
 * struct kme_config - a section [kme NAME]
 * @name: ours for it
 * @type: protocol
 * @url: where it is
 * @ca: path of the certificates that sign its own
 * @certificate: path of our certificate, which names our SAE
 * @key: path of its private key, or a PKCS#11 URI
 * @certificate_name: name in the KME's certificate, or ""
 * @sae: ID of our SAE, or ""
 * @peer_sae: ID of the SAE at the other end
 * @psk: skip: path of the pre-shared key
 * @psk_identity: skip: what it is called
 * @extension_mandatory: JSON, or ""
 * @extension_optional: likewise
 * @batch: keys of a block
 * @key_size: of a key, in bits
 * @connect_timeout: ms until there is a connection
 * @timeout: ms until there is an answer
 * @max_bps: etsi004: key rate in bit/s
 * @min_bps: likewise
 * @jitter: of it, likewise
 * @priority: etsi004: of its streams
 * @ttl: etsi004: ms for which the KME shall keep what nobody fetches
 * @max_hops: etsi004: nodes that may have seen a key, or KME_ANY_HOPS
 * @line: where the section begins
 */
struct kme_config {
	char name[NAME_LEN + 1];
	char type[16];
	char url[256];
	char ca[256];
	char certificate[256];
	char key[512];
	char certificate_name[256];
	char sae[256];
	char peer_sae[256];
	char psk[256];
	char psk_identity[128];
	char extension_mandatory[1000];
	char extension_optional[1000];
	uint32_t batch;
	uint32_t key_size;
	uint32_t connect_timeout;
	uint32_t timeout;
	uint32_t max_bps;
	uint32_t min_bps;
	uint32_t jitter;
	uint32_t priority;
	uint32_t ttl;
	uint32_t max_hops;
	int line;
};

/**
 * struct macsec_config - a section [macsec DEVICE]
 * @device: macsec device of the kernel
 * @link: name of the link whose key it gets; also in [link NAME]
 * @shared_name: what both daemons call it
 * @rekey_time: ms until the next SAK, 0 for as often as the link affords it
 * @rekey_packets: frames until then, or 0
 * @max_time: ms after which the kernel takes a SAK away
 * @line: where the section begins
 */
struct macsec_config {
	char device[IF_NAMESIZE];
	char link[QKD_NAME_LEN + 1];
	char shared_name[NAME_LEN + 1];
	uint32_t rekey_time;
	uint64_t rekey_packets;
	uint32_t max_time;
	int line;
};

#define MKA_PORTS 2

/**
 * struct mka_config - a section [mka BOND]
 * @bond: active-backup bond of two macsec devices
 * @link: name of the link whose key it gets; also in [link NAME]
 * @shared_name: what both daemons call it
 * @device: macsec device of port 1, and of port 2
 * @control: path of the control socket of the wpa_supplicant that runs it
 * @nports: how many were given
 * @rekey_time: ms until the next CAK
 * @max_time: ms after which a CAK is taken away
 * @line: where the section begins
 */
struct mka_config {
	char bond[IF_NAMESIZE];
	char link[QKD_NAME_LEN + 1];
	char shared_name[NAME_LEN + 1];
	char device[MKA_PORTS][IF_NAMESIZE];
	char control[MKA_PORTS][108];
	unsigned int nports;
	uint32_t rekey_time;
	uint32_t max_time;
	int line;
};

/**
 * struct wireguard_config - a section [wireguard DEVICE]
 * @device: WireGuard device of the kernel
 * @peer: public key of its peer
 * @link: name of the link whose keys it gets; also in [link NAME]
 * @shared_name: what both daemons call it
 * @rekey_time: ms until the next preshared key
 * @max_time: ms after which the kernel blocks the peer
 * @line: where the section begins
 */
struct wireguard_config {
	char device[IF_NAMESIZE];
	uint8_t peer[QKD_WG_KEY_LEN];
	char link[QKD_NAME_LEN + 1];
	char shared_name[NAME_LEN + 1];
	uint32_t rekey_time;
	uint32_t max_time;
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
 * @peers: the peers
 * @npeers: their number
 * @links: the links
 * @nlinks: their number
 * @kmes: the KMEs
 * @nkmes: their number
 * @macsecs: the macsec devices
 * @nmacsecs: their number
 * @mkas: the bonds of macsec devices that MKA runs
 * @nmkas: their number
 * @wireguards: the peers of WireGuard devices
 * @nwireguards: their number
 */
struct config {
	const char *path;
	char name[NAME_LEN + 1];
	char ca[256];
	char certificate[256];
	char key[256];
	struct ini_addresses listen;
	struct peer_config *peers;
	size_t npeers;
	struct link_config *links;
	size_t nlinks;
	struct kme_config *kmes;
	size_t nkmes;
	struct macsec_config *macsecs;
	size_t nmacsecs;
	struct mka_config *mkas;
	size_t nmkas;
	struct wireguard_config *wireguards;
	size_t nwireguards;
};

struct config *config_read(const char *path);
const struct kme_config *config_kme(const struct config *config,
				    const char *name);
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
#define FRAME_MAX 16384 /* bytes of a message, its length included */
#define IDS_MAX (FRAME_MAX - 512) /* bytes of the IDs of a message */

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
	MSG_SECY,
	MSG_SAK,
	MSG_ANSWER,
	MSG_SWITCH,
	MSG_DRAINED,
	MSG_MKA,
	MSG_SUPPLY,
	MSG_SUPPLIED,
	MSG_SUPPLIER,
	MSG_WIREGUARD,
	MSG_PSK,
	MSG_PSK_ANSWER,
	MSG_LAST = MSG_PSK_ANSWER,
};

enum link_kind {
	KIND_DAEMON = 1, /* the daemons run its generations and blocks */
	KIND_DRIVER,
};

enum sak_answer {
	ANSWER_INSTALLED = 1,
	ANSWER_REFUSED,
};

enum supply_answer {
	SUPPLY_WRITTEN = 1,
	SUPPLY_REFUSED,
	SUPPLY_LATER,
	SUPPLY_ELSEWHERE,
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
 * @device: shared name of a macsec device, a bond or a WireGuard peer
 * @sci: of the end that sends under the SAK
 * @suite: enum qkd_macsec_suite of the sender's device
 * @ready: it takes SAKs, or preshared keys
 * @an: association number
 * @key_id: of the SAK or preshared key
 * @answer: enum sak_answer
 * @cak1: key ID of port 1's CAK, zero for none
 * @cak2: of port 2's
 * @secured: ports on which MKA has installed SAs, a bit each
 * @active: port that frames are sent by, or 0
 * @number: of a block whose keys a KME has
 * @key_size: bytes of each
 * @nids: how many keys
 * @ids: their IDs, each a byte with its length, and as many; not in this structure,
 *	but in the frame or at the sender's
 * @ids_size: bytes of that
 * @supply_answer: enum supply_answer
 * @hello: what the supplier of the receiver's end has to know
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
	char device[NAME_LEN + 1];
	uint64_t sci;
	uint8_t suite;
	uint8_t ready;
	uint8_t an;
	uint8_t key_id[QKD_KEY_ID_LEN];
	uint8_t answer;
	uint8_t cak1[QKD_KEY_ID_LEN];
	uint8_t cak2[QKD_KEY_ID_LEN];
	uint8_t secured;
	uint8_t active;
	uint64_t number;
	uint32_t key_size;
	uint8_t nids;
	const uint8_t *ids;
	size_t ids_size;
	uint8_t supply_answer;
	char hello[NAME_LEN + 1];
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
 * @supply: where its key comes from, or NULL
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
	struct supply *supply;
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
	SAID_SUPPLY = 1 << 6,
};

void links_configure(const struct config *config);
int links_start(void);
void links_stop(void);
void links_connected(const struct peer *peer);
void links_disconnected(const struct peer *peer);
void links_message(struct peer *peer, const struct msg *msg);
void links_count(unsigned int *up, unsigned int *all, unsigned int *wrong);
void links_tell(void);
struct link *link_find(const char *name);
void link_refresh(struct link *link);
void link_soon(struct link *link);
void link_new_nonce(struct link *link);
bool link_is_driven(const struct link *link);
bool link_has_gen(const struct link *link);
bool link_same_gen(const struct link *link);
void link_send(const struct link *link, struct msg *msg);

#define link_complain(link, what, wrong, ...)                         \
	complain((link)->config.name, &(link)->said, (what), (wrong), \
		 __VA_ARGS__)

/* gen.c */
void gen_tick(struct link *link);
void gen_gone(struct link *link);
void gen_message(struct link *link, const struct msg *msg);

/* block.c */
bool block_tick(struct link *link);
void block_message(struct link *link, struct peer *peer, const struct msg *msg);

/* supply.c */
void supply_configure(struct link *link, const struct kme_config *kme);
void supply_tick(struct link *link);
void supply_drop(struct link *link);
void supply_message(struct link *link, struct peer *peer,
		    const struct msg *msg);
void supply_hello(struct link *link, const struct msg *msg);
bool supply_wrong(const struct link *link);
void supply_tell(const struct link *link);

/* macsec.c */

/**
 * struct sa - an SA that the module made for a device, as it was shown last
 * @here: there is one with this AN, @state and so on count
 * @same: macsec has it, under this key
 * @state: enum qkd_macsec_state
 * @error: positive errno, in state failed
 * @number: of the request that made it
 * @age: ms since it was installed
 * @key_id: of its key
 * @message: what @error means
 * @pn: next packet number
 * @frames: sent, or received and accepted
 */
struct sa {
	bool here;
	bool same;
	uint32_t state;
	uint32_t error;
	uint64_t number;
	uint64_t age;
	uint8_t key_id[QKD_KEY_ID_LEN];
	char message[QKD_MESSAGE_LEN];
	uint64_t pn;
	uint64_t frames;
};

enum tx_step {
	TX_IDLE,
	TX_MAKING, /* the module installs it */
	TX_OFFERED, /* the peer has not answered */
};

/**
 * struct sak_tx - SAs that we send under
 * @sa: by AN
 * @encoding: AN of the one that frames are sent under; -1 if it is not ours
 * @step: of the next one
 * @an: of the next one, or the last
 * @number: of the request that makes it
 * @offered_at: when the peer was asked last, as now_ms()
 * @retry_at: no new one before
 * @switched_at: when @encoding was set
 * @agreed: on this connection the peer has said that it receives under @encoding
 * @lost: it does not
 */
struct sak_tx {
	struct sa sa[AN_COUNT];
	int encoding;
	enum tx_step step;
	uint8_t an;
	uint64_t number;
	int64_t offered_at;
	int64_t retry_at;
	int64_t switched_at;
	bool agreed;
	bool lost;
};

/**
 * struct drain - a receive SA that nothing is sent under any more
 * @old: it is one
 * @frames: that it had when they were counted last
 * @since: when the peer has switched, as now_ms()
 * @last: when one came last, or @since
 */
struct drain {
	bool old;
	uint64_t frames;
	int64_t since;
	int64_t last;
};

/**
 * struct sak_rx - SAs that we receive under
 * @sa: by AN
 * @wanted: the peer waits for an answer about @want
 * @want: key IDs that the peer asked for last
 * @drain: those that are to go
 * @current: AN that the peer sends under, or -1 if that is not known
 * @late: ms that frames came after a switch, at worst, lately
 */
struct sak_rx {
	struct sa sa[AN_COUNT];
	bool wanted[AN_COUNT];
	uint8_t want[AN_COUNT][QKD_KEY_ID_LEN];
	struct drain drain[AN_COUNT];
	int current;
	uint32_t late;
};

/**
 * struct macsec - a macsec device of the configuration
 * @list: all devices
 * @config: its section
 * @ifindex: of the kernel's device, 0 if there is none
 * @bound: to the link, so that the module makes its SAs; the next two count
 * @here: as the module showed it last
 * @stray: receive SA of another SCI than @sci_there; ifindex 0 if there is none
 * @shown: what of @here the peer was told last
 * @there: what the peer has told of its own; type 0 if nothing
 * @sci_there: its SCI, also when it is away; 0 if it was never heard of
 * @tx: SAs that we send under
 * @rx: SAs that we receive under
 * @said: complaints that were logged, enum macsec_complaint
 * @keep: found in the new configuration, while one is loaded
 */
struct macsec {
	LIST_ENTRY(macsec) list;
	struct macsec_config config;
	uint32_t ifindex;
	bool bound;
	struct qkd_macsec here;
	struct qkd_macsec_sa stray;
	struct msg shown;
	struct msg there;
	uint64_t sci_there;
	struct sak_tx tx;
	struct sak_rx rx;
	unsigned int said;
	bool keep;
};

enum macsec_complaint {
	SAID_BOUND = 1 << 0,
	SAID_SUITE = 1 << 1,
	SAID_NO_SAK = 1 << 2,
	SAID_REFUSED = 1 << 3,
	SAID_ENCODING = 1 << 4,
	SAID_INSTALL = 1 << 5,
};

#define macsec_complain(m, what, wrong, ...) \
	complain((m)->config.device, &(m)->said, (what), (wrong), __VA_ARGS__)

/* ms between looks at a device: when something is going on, and not */
#define MACSEC_BUSY 20
#define MACSEC_IDLE 100
#define DRAIN_MAX 5000 /* ms until an old SA goes, whatever comes under it */

void macsecs_configure(const struct config *config);
void macsecs_stop(void);
void macsecs_disconnected(const struct link *link);
void macsec_message(struct link *link, struct peer *peer,
		    const struct msg *msg);
void macsec_soon(void);
unsigned int macsec_sharers(const char *link);
bool macsec_peer_is_ready(const struct macsec *m);
int macsec_sa_del(const struct macsec *m, uint32_t dir, uint8_t an);
void macsec_send(const struct macsec *m, enum msg_type type, uint8_t an,
		 const uint8_t key_id[QKD_KEY_ID_LEN], enum sak_answer answer);

/* sak-tx.c */
int64_t sak_tx_tick(struct macsec *m);
void sak_tx_reset(struct macsec *m);
void sak_tx_answer(struct macsec *m, const struct msg *msg);
void sak_tx_drained(struct macsec *m, const struct msg *msg);

/* sak-rx.c */
int64_t sak_rx_tick(struct macsec *m);
void sak_rx_reset(struct macsec *m);
void sak_rx_ask(struct macsec *m, const struct msg *msg);
void sak_rx_switch(struct macsec *m, const struct msg *msg);

/* cak.c */
#define CAK_LEN 32
#define CKN_LEN 32

void cak_ckn(const uint8_t key_id[QKD_KEY_ID_LEN], uint8_t ckn[CKN_LEN]);
int cak_allocate(const char *link, const char *name,
		 uint8_t key_id[QKD_KEY_ID_LEN], uint8_t cak[CAK_LEN]);
int cak_claim(const char *link, const char *name,
	      const uint8_t key_id[QKD_KEY_ID_LEN], uint8_t cak[CAK_LEN]);

/* supplicant.c */

/**
 * struct cak - what a wpa_supplicant has been given
 * @here: there is a CAK
 * @key_id: of the CAK, zero for none
 * @set_at: when it was given, as now_ms()
 * @secured: MKA has agreed on SAKs under it
 */
struct cak {
	bool here;
	uint8_t key_id[QKD_KEY_ID_LEN];
	int64_t set_at;
	bool secured;
};

int supplicant_read(const char *control, struct cak *cak);
int supplicant_set(const char *control, unsigned int port, bool alice,
		   const uint8_t key_id[QKD_KEY_ID_LEN],
		   const uint8_t cak[CAK_LEN]);
int supplicant_clear(const char *control);

/* bond.c */
bool bond_active(const char *bond, char device[IF_NAMESIZE]);
int bond_activate(const char *bond, const char *device);
bool device_is_up(const char *device);
void device_close(const char *device);

/* mka.c */

/**
 * struct mka_port - one of the two macsec devices of a bond
 * @cak: as its wpa_supplicant showed it last
 * @ask_at: it did not answer; ask again then
 * @failed: key ID that could not be taken or given, not tried again
 */
struct mka_port {
	struct cak cak;
	int64_t ask_at;
	uint8_t failed[QKD_KEY_ID_LEN];
};

/**
 * struct mka - a bond of the configuration
 * @list: all of them
 * @config: its section
 * @port: its devices
 * @active: index of the one that frames are sent by, or -1
 * @settled_at: since when both ends send by the newest, or 0
 * @retry_at: no new CAK before
 * @shown: what the peer was told last
 * @there: what the peer has told; type 0 if nothing
 * @said: complaints that were logged, enum mka_complaint
 * @keep: found in the new configuration, while one is loaded
 */
struct mka {
	LIST_ENTRY(mka) list;
	struct mka_config config;
	struct mka_port port[MKA_PORTS];
	int active;
	int64_t settled_at;
	int64_t retry_at;
	struct msg shown;
	struct msg there;
	unsigned int said;
	bool keep;
};

enum mka_complaint {
	SAID_CONTROL = 1 << 0, /* and 1 << 1: of port 2 */
	SAID_CAK = 1 << 2,
	SAID_BOND = 1 << 3,
};

#define mka_complain(m, what, wrong, ...) \
	complain((m)->config.bond, &(m)->said, (what), (wrong), __VA_ARGS__)

void mkas_configure(const struct config *config);
void mkas_stop(void);
void mkas_disconnected(const struct link *link);
void mka_message(struct link *link, const struct msg *msg);

/* wireguard.c */

enum wg_step {
	WG_IDLE,
	WG_HOLDING, /* the module allocates it */
	WG_OFFERED, /* the peer has not answered */
	WG_INSTALLING, /* the module installs it */
};

/**
 * struct wireguard - a peer of a WireGuard device of the configuration
 * @list: all peers
 * @config: its section
 * @ifindex: of the kernel's device, 0 if there is none
 * @here: the module has it, with our link; @now counts
 * @now: as the module showed it last
 * @number: of the request that the module is at, or 0
 * @shown: what the peer was told last
 * @there: what he has told; type 0 if nothing
 * @step: alice: of the next key
 * @offered: its ID
 * @offered_at: when the peer was asked last, as now_ms()
 * @refused: ID of one that the peer did not take
 * @retry_at: no new one before
 * @agreed: on this connection the peer has said that he has the key in use
 * @lost: he does not
 * @wanted: bob: the peer waits for an answer about @want
 * @want: key ID that she asked for last
 * @given: it was answered that this is installed
 * @said: complaints that were logged, enum wg_complaint
 * @keep: found in the new configuration, while one is loaded
 */
struct wireguard {
	LIST_ENTRY(wireguard) list;
	struct wireguard_config config;
	uint32_t ifindex;
	bool here;
	struct qkd_wg now;
	uint64_t number;
	struct msg shown;
	struct msg there;
	enum wg_step step;
	uint8_t offered[QKD_KEY_ID_LEN];
	int64_t offered_at;
	uint8_t refused[QKD_KEY_ID_LEN];
	int64_t retry_at;
	bool agreed;
	bool lost;
	bool wanted;
	uint8_t want[QKD_KEY_ID_LEN];
	bool given;
	unsigned int said;
	bool keep;
};

enum wg_complaint {
	SAID_WG_LINK = 1 << 0,
	SAID_WG_KEY = 1 << 1,
	SAID_WG_REFUSED = 1 << 2,
	SAID_WG_HANDSHAKE = 1 << 3,
};

#define wg_complain(wg, what, wrong, ...) \
	complain((wg)->config.device, &(wg)->said, (what), (wrong), __VA_ARGS__)

void wireguards_configure(const struct config *config);
void wireguards_stop(void);
void wireguards_disconnected(const struct link *link);
void wireguard_message(struct link *link, struct peer *peer,
		       const struct msg *msg);
void wireguard_soon(void);

/* main.c */
extern struct qkd_ctx *ctx;

void status_changed(void);

#endif /* QKDD_H */
