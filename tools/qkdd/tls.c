// SPDX-License-Identifier: GPL-2.0-only
/*
 * TLS 1.3 with OpenSSL: who the other end is. Either both ends have a
 * certificate of a CA that the other one trusts, or they share a key; each
 * peer has one of the two, and is not believed by the other.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "../common/private.h"
#include "qkdd.h"

#define SUITE "TLS_AES_256_GCM_SHA384"
#define GROUP "X25519MLKEM768"
#define PSK_MIN 32
#define PSK_MAX 64

static const uint8_t suite_id[] = { 0x13, 0x02 };

/**
 * struct tls_peer - what proves a peer
 * @name: of the peer
 * @certificate_name: in its certificate
 * @psk: session that holds the shared key, or NULL; each connection takes a copy
 */
struct tls_peer {
	char name[NAME_LEN + 1];
	char certificate_name[256];
	SSL_SESSION *psk;
};

/**
 * struct tls - what proves us, and our peers
 * @ctx: for both directions
 * @name: our own
 * @peers: the peers
 * @npeers: their number
 */
struct tls {
	SSL_CTX *ctx;
	char name[NAME_LEN + 1];
	struct tls_peer *peers;
	size_t npeers;
};

static struct tls *tls_of(SSL *ssl)
{
	return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

static struct tls_peer *find(struct tls *tls, const char *name, size_t length)
{
	size_t i;

	for (i = 0; i < tls->npeers; i++)
		if (strlen(tls->peers[i].name) == length &&
		    !memcmp(tls->peers[i].name, name, length))
			return &tls->peers[i];
	return NULL;
}

/* The client's side: who dials says its own name as the key's. */
static int use_psk(SSL *ssl, const EVP_MD *md, const unsigned char **id,
		   size_t *length, SSL_SESSION **session)
{
	struct tls_peer *peer = SSL_get_app_data(ssl);
	struct tls *tls = tls_of(ssl);

	*session = NULL;
	if (!peer || !peer->psk ||
	    (md && md != EVP_sha384() && !EVP_MD_is_a(md, "SHA384")))
		return 1;
	*id = (const unsigned char *)tls->name;
	*length = strlen(tls->name);
	*session = SSL_SESSION_dup(peer->psk);
	return *session != NULL;
}

/* The server's side. */
static int find_psk(SSL *ssl, const unsigned char *id, size_t length,
		    SSL_SESSION **session)
{
	struct tls_peer *peer = find(tls_of(ssl), (const char *)id, length);

	*session = NULL;
	if (!peer || !peer->psk)
		return 1;
	SSL_set_app_data(ssl, peer);
	*session = SSL_SESSION_dup(peer->psk);
	return *session != NULL;
}

/* Returns the bytes that the text stands for, or -1. */
static ssize_t from_hex(const char *text, size_t length, uint8_t *bytes)
{
	static const char digits[] = "0123456789abcdef";
	const char *high, *low;
	size_t i;

	while (length && isspace((unsigned char)text[length - 1]))
		length--;
	if (length % 2 || length < 2 * PSK_MIN || length > 2 * PSK_MAX)
		return -1;
	for (i = 0; i < length; i += 2) {
		high = memchr(digits, tolower((unsigned char)text[i]), 16);
		low = memchr(digits, tolower((unsigned char)text[i + 1]), 16);
		if (!high || !low)
			return -1;
		bytes[i / 2] = (high - digits) << 4 | (low - digits);
	}
	return length / 2;
}

static SSL_SESSION *make_session(SSL_CTX *ctx, const uint8_t *key,
				 size_t length)
{
	SSL_SESSION *session = SSL_SESSION_new();
	SSL *ssl = SSL_new(ctx);
	const SSL_CIPHER *suite = ssl ? SSL_CIPHER_find(ssl, suite_id) : NULL;

	if (!session || !suite ||
	    !SSL_SESSION_set1_master_key(session, key, length) ||
	    !SSL_SESSION_set_cipher(session, suite) ||
	    !SSL_SESSION_set1_id_context(session, suite_id, sizeof(suite_id)) ||
	    !SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION)) {
		SSL_SESSION_free(session);
		session = NULL;
	}
	SSL_free(ssl);
	return session;
}

/* The key's only copy that stays is the one in the session. */
static SSL_SESSION *load_psk(SSL_CTX *ctx, const char *path)
{
	uint8_t key[PSK_MAX];
	SSL_SESSION *session = NULL;
	char text[2 * PSK_MAX + 16];
	ssize_t n;
	int fd;

	fd = open_private(path);
	if (fd < 0)
		return NULL;
	n = read(fd, text, sizeof(text));
	close(fd);
	if (n > 0)
		n = from_hex(text, n, key);
	if (n > 0)
		session = make_session(ctx, key, n);
	OPENSSL_cleanse(text, sizeof(text));
	OPENSSL_cleanse(key, sizeof(key));
	if (!session)
		log_error("%s: it does not hold %d to %d bytes in hex", path,
			  PSK_MIN, PSK_MAX);
	return session;
}

static bool say(const char *path)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	log_error("%s: %s", path, reason ? reason : "OpenSSL refuses it");
	ERR_clear_error();
	return false;
}

static bool load_certificates(struct tls *tls, const struct config *config)
{
	int fd;

	if (*config->ca &&
	    !SSL_CTX_load_verify_locations(tls->ctx, config->ca, NULL))
		return say(config->ca);
	if (*config->certificate && SSL_CTX_use_certificate_chain_file(
					    tls->ctx, config->certificate) != 1)
		return say(config->certificate);
	if (!*config->key)
		return true;
	fd = open_private(config->key);
	if (fd < 0)
		return false;
	close(fd);
	if (SSL_CTX_use_PrivateKey_file(tls->ctx, config->key,
					SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(tls->ctx) != 1)
		return say(config->key);
	return true;
}

static bool load_peers(struct tls *tls, const struct config *config)
{
	const struct peer_config *from;
	struct tls_peer *peer;

	tls->peers = calloc(config->npeers + 1, sizeof(*tls->peers));
	if (!tls->peers)
		return false;
	for (; tls->npeers < config->npeers; tls->npeers++) {
		from = &config->peers[tls->npeers];
		peer = &tls->peers[tls->npeers];
		strcpy(peer->name, from->name);
		strcpy(peer->certificate_name, from->certificate_name);
		if (!*from->psk)
			continue;
		peer->psk = load_psk(tls->ctx, from->psk);
		if (!peer->psk)
			return false;
	}
	return true;
}

/* No resumption: each connection proves itself anew. */
static bool set_up(struct tls *tls)
{
	SSL_CTX *ctx = tls->ctx;

	if (!SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) ||
	    !SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) ||
	    !SSL_CTX_set_ciphersuites(ctx, SUITE) ||
	    !SSL_CTX_set1_groups_list(ctx, GROUP) ||
	    !SSL_CTX_set_num_tickets(ctx, 0))
		return say("TLS");
	/* OpenSSL wants the same here as in a pre-shared key's session */
	SSL_CTX_set_session_id_context(ctx, suite_id, sizeof(suite_id));
	SSL_CTX_set_app_data(ctx, tls);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_verify(
		ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_psk_use_session_callback(ctx, use_psk);
	SSL_CTX_set_psk_find_session_callback(ctx, find_psk);
	return true;
}

/**
 * tls_load - load certificates and keys
 * @config: names their files
 *
 * Says what is wrong.
 *
 * Return: for tls_free(), or NULL.
 */
struct tls *tls_load(const struct config *config)
{
	struct tls *tls = calloc(1, sizeof(*tls));

	if (!tls)
		return NULL;
	strcpy(tls->name, config->name);
	tls->ctx = SSL_CTX_new(TLS_method());
	if (tls->ctx && set_up(tls) && load_certificates(tls, config) &&
	    load_peers(tls, config))
		return tls;
	tls_free(tls);
	return NULL;
}

/**
 * tls_free - undo tls_load()
 * @tls: or NULL; no connection of it is left
 */
void tls_free(struct tls *tls)
{
	if (!tls)
		return;
	while (tls->npeers)
		SSL_SESSION_free(tls->peers[--tls->npeers].psk);
	free(tls->peers);
	SSL_CTX_free(tls->ctx);
	free(tls);
}

static SSL *make(struct tls *tls, int fd)
{
	SSL *ssl = SSL_new(tls->ctx);

	if (ssl && SSL_set_fd(ssl, fd))
		return ssl;
	SSL_free(ssl);
	return NULL;
}

/**
 * tls_server - the TLS end of a connection that came
 * @tls: certificates and keys
 * @fd: its socket
 */
SSL *tls_server(struct tls *tls, int fd)
{
	SSL *ssl = make(tls, fd);

	if (ssl)
		SSL_set_accept_state(ssl);
	return ssl;
}

/**
 * tls_client - the TLS end of a connection that we make
 * @tls: certificates and keys
 * @fd: its socket
 * @name: of the peer
 */
SSL *tls_client(struct tls *tls, int fd, const char *name)
{
	struct tls_peer *peer = find(tls, name, strlen(name));
	SSL *ssl = peer ? make(tls, fd) : NULL;

	if (!ssl)
		return NULL;
	SSL_set_app_data(ssl, peer);
	SSL_set_connect_state(ssl);
	if (!peer->psk) {
		SSL_set_hostflags(ssl,
				  X509_CHECK_FLAG_NO_WILDCARDS |
					  X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
		SSL_set1_host(ssl, peer->certificate_name);
	}
	return ssl;
}

static const struct tls_peer *peer_by_certificate(SSL *ssl)
{
	const unsigned int flags = X509_CHECK_FLAG_NO_WILDCARDS |
				   X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
	X509 *certificate = SSL_get0_peer_certificate(ssl);
	struct tls *tls = tls_of(ssl);
	size_t i;

	for (i = 0; certificate && i < tls->npeers; i++)
		if (!tls->peers[i].psk &&
		    X509_check_host(certificate, tls->peers[i].certificate_name,
				    0, flags, NULL) == 1)
			return &tls->peers[i];
	return NULL;
}

/**
 * tls_peer - who the other end has proved to be
 * @ssl: after the handshake
 *
 * Return: name of the peer, or NULL if it is none of ours, or has proved it
 * otherwise than we want.
 */
const char *tls_peer(SSL *ssl)
{
	const struct tls_peer *wanted = SSL_get_app_data(ssl), *peer;

	/* the session was the shared key's; tickets there are none */
	if (SSL_session_reused(ssl))
		peer = wanted && wanted->psk ? wanted : NULL;
	else
		peer = peer_by_certificate(ssl);
	if (!peer || (!SSL_is_server(ssl) && peer != wanted))
		return NULL;
	return peer->name;
}

/**
 * tls_error - why a call of OpenSSL failed
 * @ssl: connection
 */
const char *tls_error(SSL *ssl)
{
	unsigned long err = ERR_peek_error();
	const char *reason = ERR_reason_error_string(err);

	ERR_clear_error();
	if (ERR_GET_REASON(err) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		return X509_verify_cert_error_string(
			SSL_get_verify_result(ssl));
	if (reason)
		return reason;
	return errno ? strerror(errno) : "connection closed";
}
