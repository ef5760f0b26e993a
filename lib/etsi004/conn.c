// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A client's connection: mutual TLS, then one call after the other. Who the KME
 * is, is proved at each connection; one that does not want to know who we are is
 * not believed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "internal.h"

/**
 * struct etsi004_conn - a connection
 * @ssl: its TLS end
 * @ready: the handshake is done
 * @dead: it has failed
 * @events: what it waits for
 * @asked: a call is on its way
 * @request: the call
 * @out: its frame
 * @out_size: bytes of it
 * @out_done: bytes that are written
 * @header: of the answer
 * @header_done: bytes of it that have come
 * @in: payload of the answer, secret
 * @in_size: bytes of it
 * @in_done: bytes that have come
 */
struct etsi004_conn {
	SSL *ssl;
	bool ready;
	bool dead;
	short events;
	bool asked;
	struct etsi004_request request;
	uint8_t out[ETSI004_REQUEST_MAX];
	size_t out_size;
	size_t out_done;
	uint8_t header[ETSI004_HEADER_LEN];
	size_t header_done;
	uint8_t *in;
	size_t in_size;
	size_t in_done;
};

int etsi004_init(void)
{
	return kme_init();
}

int etsi004_check(const struct etsi004 *kme, char text[ETSI004_TEXT_LEN])
{
	int err;

	err = kme_check_file("CA certificate", kme->ca, text);
	err = err ?: kme_check_file("certificate", kme->cert, text);
	err = err ?: kme_check_file("private key", kme->key, text);
	if (!err && (!kme->name || !*kme->name))
		err = say(text, -EINVAL,
			  "there is no name in the KME's certificate");
	return err;
}

/* Nobody is asked for the password of an encrypted key. */
static int no_password(char *buffer, int size, int writing, void *arg)
{
	(void)buffer;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static int refuse_file(const char *path, char text[ETSI004_TEXT_LEN])
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return say(text, -EINVAL, "%s: %s", path,
		   reason ? reason : "OpenSSL refuses it");
}

static int load(SSL_CTX *ctx, const struct etsi004 *kme,
		char text[ETSI004_TEXT_LEN])
{
	SSL_CTX_set_default_passwd_cb(ctx, no_password);
	if (!SSL_CTX_load_verify_locations(ctx, kme->ca, NULL))
		return refuse_file(kme->ca, text);
	if (SSL_CTX_use_certificate_chain_file(ctx, kme->cert) != 1)
		return refuse_file(kme->cert, text);
	if (SSL_CTX_use_PrivateKey_file(ctx, kme->key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1)
		return refuse_file(kme->key, text);
	return 0;
}

/* No session of before: each connection proves itself anew. */
static SSL_CTX *make_ctx(const struct etsi004 *kme, char text[ETSI004_TEXT_LEN])
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (!ctx || kme_tls_note_asked(ctx) ||
	    !SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION)) {
		say(text, 0, "out of memory");
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_options(ctx, SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	if (!load(ctx, kme, text))
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

static bool set_name(SSL *ssl, const char *name)
{
	unsigned char address[16];

	if (inet_pton(AF_INET, name, address) == 1 ||
	    inet_pton(AF_INET6, name, address) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name);
	return SSL_set1_host(ssl, name) && SSL_set_tlsext_host_name(ssl, name);
}

struct etsi004_conn *etsi004_conn_new(const struct etsi004 *kme, int fd,
				      char text[ETSI004_TEXT_LEN])
{
	struct etsi004_conn *conn = calloc(1, sizeof(*conn));
	SSL_CTX *ctx = make_ctx(kme, text);

	if (!conn || !ctx)
		goto fail;
	conn->ssl = SSL_new(ctx);
	if (!conn->ssl || !SSL_set_fd(conn->ssl, fd) ||
	    !set_name(conn->ssl, kme->name)) {
		say(text, 0, "out of memory");
		goto fail;
	}
	SSL_CTX_free(ctx);
	SSL_set_connect_state(conn->ssl);
	conn->events = POLLOUT;
	return conn;

fail:
	SSL_CTX_free(ctx);
	etsi004_conn_free(conn);
	return NULL;
}

static void forget_answer(struct etsi004_conn *conn)
{
	kme_secret_free(conn->in, conn->in_size);
	conn->in = NULL;
	conn->in_size = 0;
	conn->in_done = 0;
	conn->header_done = 0;
}

void etsi004_conn_free(struct etsi004_conn *conn)
{
	if (!conn)
		return;
	if (conn->ready && !conn->dead)
		SSL_shutdown(conn->ssl);
	SSL_free(conn->ssl);
	forget_answer(conn);
	free(conn);
}

int etsi004_conn_ask(struct etsi004_conn *conn,
		     const struct etsi004_request *request)
{
	if (conn->asked)
		return -EBUSY;
	conn->out_size = etsi004_pack_request(request, conn->out);
	if (!conn->out_size)
		return -EINVAL;
	conn->out_done = 0;
	conn->request = *request;
	conn->asked = true;
	return 0;
}

short etsi004_conn_events(const struct etsi004_conn *conn)
{
	return conn->events;
}

/* What a call of OpenSSL that did not succeed means. */
static int failure(struct etsi004_conn *conn, int rc,
		   char text[ETSI004_TEXT_LEN])
{
	long verdict = SSL_get_verify_result(conn->ssl);
	const char *why;

	switch (SSL_get_error(conn->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		conn->events = POLLIN;
		return -EINPROGRESS;
	case SSL_ERROR_WANT_WRITE:
		conn->events = POLLOUT;
		return -EINPROGRESS;
	case SSL_ERROR_ZERO_RETURN:
		why = "the KME has closed the connection";
		break;
	default:
		why = errno ? strerror(errno) : NULL;
		if (ERR_peek_last_error())
			why = ERR_reason_error_string(ERR_peek_last_error());
	}
	if (!conn->ready && verdict != X509_V_OK)
		why = X509_verify_cert_error_string(verdict);
	return say(text, -ECONNABORTED, "%s",
		   why ? why : "the KME has gone without a word");
}

static void forget_errors(void)
{
	errno = 0;
	ERR_clear_error();
}

static int handshake(struct etsi004_conn *conn, char text[ETSI004_TEXT_LEN])
{
	int rc;

	if (conn->ready)
		return 0;
	forget_errors();
	rc = SSL_do_handshake(conn->ssl);
	if (rc != 1)
		return failure(conn, rc, text);
	if (!kme_tls_has_asked(conn->ssl))
		return say(text, -ECONNABORTED,
			   "the KME did not ask for our certificate");
	conn->ready = true;
	return 0;
}

static int write_all(struct etsi004_conn *conn, char text[ETSI004_TEXT_LEN])
{
	int n;

	while (conn->out_done < conn->out_size) {
		forget_errors();
		n = SSL_write(conn->ssl, conn->out + conn->out_done,
			      conn->out_size - conn->out_done);
		if (n <= 0)
			return failure(conn, n, text);
		conn->out_done += n;
	}
	return 0;
}

static int read_all(struct etsi004_conn *conn, uint8_t *bytes, size_t size,
		    size_t *done, char text[ETSI004_TEXT_LEN])
{
	int n;

	while (*done < size) {
		forget_errors();
		n = SSL_read(conn->ssl, bytes + *done, size - *done);
		if (n <= 0)
			return failure(conn, n, text);
		*done += n;
	}
	return 0;
}

static int read_answer(struct etsi004_conn *conn, struct etsi004_answer *answer)
{
	uint8_t service;
	size_t size;
	int err;

	err = read_all(conn, conn->header, sizeof(conn->header),
		       &conn->header_done, answer->text);
	if (err)
		return err;
	err = etsi004_parse_header(conn->header, &service, &size, answer->text);
	if (err)
		return err;
	if (!conn->in) {
		conn->in = kme_secret_new(size + 1);
		if (!conn->in)
			return say(answer->text, -ENOMEM, "out of memory");
		conn->in_size = size + 1;
	}
	err = read_all(conn, conn->in, size, &conn->in_done, answer->text);
	if (err)
		return err;
	return etsi004_parse_answer(&conn->request, service, conn->in, size,
				    answer);
}

/* A KME says nothing that it is not asked. */
static int watch(struct etsi004_conn *conn, char text[ETSI004_TEXT_LEN])
{
	uint8_t byte;
	int n;

	forget_errors();
	n = SSL_read(conn->ssl, &byte, 1);
	if (n <= 0)
		return failure(conn, n, text);
	return say(text, -EPROTO, "the KME has said what nobody asked for");
}

static int step(struct etsi004_conn *conn, struct etsi004_answer *answer)
{
	int err = handshake(conn, answer->text);

	if (err)
		return err;
	if (!conn->asked)
		return watch(conn, answer->text);
	err = write_all(conn, answer->text);
	return err ?: read_answer(conn, answer);
}

int etsi004_conn_run(struct etsi004_conn *conn, struct etsi004_answer *answer)
{
	int err;

	memset(answer, 0, sizeof(*answer));
	if (conn->dead)
		return say(answer->text, -ECONNABORTED,
			   "the connection has failed");
	err = step(conn, answer);
	if (err == -EINPROGRESS)
		return err;
	conn->asked = false;
	forget_answer(conn);
	if (err && !answer->has_status)
		conn->dead = true;
	conn->events = POLLIN;
	return err;
}
