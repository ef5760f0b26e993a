// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who the client is: its certificate says so, and nothing else. Without one that
 * our CA signed there is no session, so that nobody else gets at what reads HTTP.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gnutls/x509.h>

#include "../common/private.h"
#include "kme.h"

#define KEY_FILE_MAX 65536

/**
 * struct tls - certificates and the key
 * @credentials: them
 * @users: sessions, and who says that new ones shall use these
 */
struct tls {
	gnutls_certificate_credentials_t credentials;
	unsigned int users;
};

static struct tls *current;
static LIST_HEAD(, tls_client) clients = LIST_HEAD_INITIALIZER(clients);

/* The file of our private key; the datum is for kme_secret_free(). */
static bool read_key(const char *path, gnutls_datum_t *key)
{
	int fd = open_private(path);
	ssize_t n;

	if (fd < 0)
		return false;
	key->data = kme_secret_new(KEY_FILE_MAX);
	n = key->data ? read(fd, key->data, KEY_FILE_MAX) : -1;
	close(fd);
	key->size = n > 0 ? n : 0;
	if (n > 0 && n < KEY_FILE_MAX)
		return true;
	log_error("%s: cannot be read, or is too long", path);
	kme_secret_free(key->data, KEY_FILE_MAX);
	return false;
}

static bool load_own(gnutls_certificate_credentials_t credentials,
		     const struct config *config)
{
	gnutls_datum_t certificate, key;
	int err;

	err = gnutls_load_file(config->certificate, &certificate);
	if (err < 0) {
		log_error("%s: %s", config->certificate, gnutls_strerror(err));
		return false;
	}
	if (!read_key(config->key, &key)) {
		gnutls_free(certificate.data);
		return false;
	}
	err = gnutls_certificate_set_x509_key_mem(credentials, &certificate,
						  &key, GNUTLS_X509_FMT_PEM);
	gnutls_free(certificate.data);
	kme_secret_free(key.data, KEY_FILE_MAX);
	if (err < 0)
		log_error("%s and %s: %s", config->certificate, config->key,
			  gnutls_strerror(err));
	return err >= 0;
}

static bool load_ca(gnutls_certificate_credentials_t credentials,
		    const struct config *config)
{
	int count = gnutls_certificate_set_x509_trust_file(
		credentials, config->ca, GNUTLS_X509_FMT_PEM);

	if (count > 0)
		return true;
	log_error("%s: %s", config->ca,
		  count ? gnutls_strerror(count) : "there is no certificate");
	return false;
}

/**
 * tls_load - read certificates and the key
 * @config: names their files
 *
 * Return: them, for tls_put(), or NULL after saying what is wrong.
 */
struct tls *tls_load(const struct config *config)
{
	struct tls *tls = calloc(1, sizeof(*tls));

	if (!tls ||
	    gnutls_certificate_allocate_credentials(&tls->credentials)) {
		log_error("out of memory");
		free(tls);
		return NULL;
	}
	tls->users = 1;
	if (load_ca(tls->credentials, config) &&
	    load_own(tls->credentials, config))
		return tls;
	tls_put(tls);
	return NULL;
}

/**
 * tls_put - one user less
 * @tls: or NULL
 */
void tls_put(struct tls *tls)
{
	if (!tls || --tls->users)
		return;
	gnutls_certificate_free_credentials(tls->credentials);
	free(tls);
}

/**
 * tls_use - new sessions use these from now on
 * @tls: becomes ours
 */
void tls_use(struct tls *tls)
{
	tls_put(current);
	current = tls;
}

static struct tls_client *client_of(gnutls_session_t session)
{
	struct tls_client *client;

	LIST_FOREACH(client, &clients, list)
	if (client->session == session)
		break;
	return client;
}

/* The own SAE of a certificate's name. */
static const struct sae_config *find_sae(const char *name, size_t length)
{
	const struct sae_config *sae;
	size_t i;

	for (i = 0; i < config->nsaes; i++) {
		sae = &config->saes[i];
		if (!*sae->link && strlen(sae->certificate_name) == length &&
		    !memcmp(sae->certificate_name, name, length))
			return sae;
	}
	return NULL;
}

/*
 * The common name: counts only where there is neither a DNS name nor a URI. One
 * with a NUL inside, or a second one, is none.
 */
static const struct sae_config *common_name(gnutls_x509_crt_t certificate)
{
	char name[256], other[256];
	size_t size = sizeof(name), more = sizeof(other);

	if (gnutls_x509_crt_get_dn_by_oid(certificate,
					  GNUTLS_OID_X520_COMMON_NAME, 0, 0,
					  name, &size) ||
	    gnutls_x509_crt_get_dn_by_oid(
		    certificate, GNUTLS_OID_X520_COMMON_NAME, 1, 0, other,
		    &more) != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
		return NULL;
	return find_sae(name, size);
}

/*
 * Who a certificate is of: the SAE whose certificate-name is among its DNS names
 * and URIs. One that names two of them is of none.
 */
static const struct sae_config *identify(gnutls_x509_crt_t certificate)
{
	const struct sae_config *found = NULL, *sae;
	bool named = false;
	unsigned int i;
	char name[256];
	size_t size;
	int type;

	for (i = 0;; i++) {
		size = sizeof(name);
		type = gnutls_x509_crt_get_subject_alt_name(certificate, i,
							    name, &size, NULL);
		if (type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		if (type == GNUTLS_E_SHORT_MEMORY_BUFFER)
			return NULL;
		if (type != GNUTLS_SAN_DNSNAME && type != GNUTLS_SAN_URI)
			continue;
		named = true;
		sae = find_sae(name, size);
		if (found && sae && sae != found)
			return NULL;
		found = sae ?: found;
	}
	return named ? found : common_name(certificate);
}

/* The link to the KME that a certificate is of: by a DNS name, and one alone. */
static const struct link_config *identify_kme(gnutls_x509_crt_t certificate)
{
	const struct link_config *found = NULL;
	size_t i;

	for (i = 0; i < config->nlinks; i++) {
		if (!*config->links[i].target_004 ||
		    !gnutls_x509_crt_check_hostname2(
			    certificate, config->links[i].target_name,
			    GNUTLS_VERIFY_DO_NOT_ALLOW_WILDCARDS))
			continue;
		if (found)
			return NULL;
		found = &config->links[i];
	}
	return found;
}

static void take_identity(struct tls_client *client)
{
	const gnutls_datum_t *chain;
	const struct link_config *link;
	const struct sae_config *sae;
	gnutls_x509_crt_t certificate;
	unsigned int length;

	chain = gnutls_certificate_get_peers(client->session, &length);
	if (!chain || gnutls_x509_crt_init(&certificate))
		return;
	if (!gnutls_x509_crt_import(certificate, chain, GNUTLS_X509_FMT_DER)) {
		sae = identify(certificate);
		link = sae ? NULL : identify_kme(certificate);
		if (sae)
			strcpy(client->sae, sae->id);
		else if (link)
			strcpy(client->link, link->name);
	}
	gnutls_x509_crt_deinit(certificate);
}

/* Why it is not believed, for the log. */
static void explain(struct tls_client *client, int err, unsigned int status)
{
	gnutls_datum_t text;

	if (err < 0) {
		snprintf(client->why, sizeof(client->why), "%s",
			 gnutls_strerror(err));
		return;
	}
	if (gnutls_certificate_verification_status_print(
		    status, GNUTLS_CRT_X509, &text, 0))
		return;
	snprintf(client->why, sizeof(client->why), "%s", text.data);
	gnutls_free(text.data);
}

/* Nonzero ends the handshake; the client is told why. */
static int verify(gnutls_session_t session)
{
	gnutls_typed_vdata_st purpose = {
		.type = GNUTLS_DT_KEY_PURPOSE_OID,
		.data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT,
	};
	struct tls_client *client = client_of(session);
	unsigned int status = 0;
	int err;

	if (!client)
		return -1;
	err = gnutls_certificate_verify_peers(session, &purpose, 1, &status);
	if (err >= 0 && !status) {
		client->checked = true;
		take_identity(client);
		return 0;
	}
	explain(client, err, status);
	gnutls_alert_send(session, GNUTLS_AL_FATAL,
			  status & GNUTLS_CERT_EXPIRED ?
				  GNUTLS_A_CERTIFICATE_EXPIRED :
			  status & GNUTLS_CERT_SIGNER_NOT_FOUND ?
				  GNUTLS_A_UNKNOWN_CA :
				  GNUTLS_A_BAD_CERTIFICATE);
	return -1;
}

void tls_begin(struct tls_client *client, gnutls_session_t session)
{
	client->session = session;
	client->tls = current;
	current->users++;
	LIST_INSERT_HEAD(&clients, client, list);
	gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE,
			       current->credentials);
	gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
	gnutls_session_set_verify_function(session, verify);
}

void tls_end(struct tls_client *client)
{
	LIST_REMOVE(client, list);
	tls_put(client->tls);
}
