// SPDX-License-Identifier: GPL-2.0-only
/* The configuration file: what is in its sections. */
#include <stdlib.h>
#include <string.h>

#include "../common/wgkey.h"
#include "qkdd.h"
#include "supply.h"

static int set_time_or_auto(struct ini_reader *reader,
			    const struct ini_key *key, char *value)
{
	if (strcmp(value, "auto"))
		return ini_set_time(reader, key, value);
	*(uint32_t *)(reader->object + key->offset) = 0;
	return 0;
}

/* DEVICE PATH */
static int add_port(struct ini_reader *reader, const struct ini_key *key,
		    char *value)
{
	struct mka_config *mka = (struct mka_config *)reader->object;
	char *path = value + strcspn(value, " \t");
	unsigned int i = mka->nports;

	if (i == MKA_PORTS)
		return ini_bad(reader, reader->line, "more than %d ports",
			       MKA_PORTS);
	if (*path)
		*path++ = '\0';
	path += strspn(path, " \t");
	if (*path != '/')
		return ini_bad(reader, reader->line,
			       "%s \"%s\" is not DEVICE /PATH", key->name,
			       value);
	mka->nports++;
	if (ini_copy_name(reader, "device", value, mka->device[i],
			  sizeof(mka->device[i])))
		return -1;
	return ini_copy(reader, "path", path, mka->control[i],
			sizeof(mka->control[i]));
}

static struct peer_config *find_peer(const struct config *config,
				     const char *name)
{
	return ini_find(config->peers, config->npeers, sizeof(*config->peers),
			name);
}

static struct macsec_config *find_macsec(const struct config *config,
					 const char *device)
{
	return ini_find(config->macsecs, config->nmacsecs,
			sizeof(*config->macsecs), device);
}

static struct mka_config *find_mka(const struct config *config,
				   const char *bond)
{
	return ini_find(config->mkas, config->nmkas, sizeof(*config->mkas),
			bond);
}

static struct link_config *find_link(const struct config *config,
				     const char *name)
{
	return ini_find(config->links, config->nlinks, sizeof(*config->links),
			name);
}

/**
 * config_kme - the section of a KME
 * @config: the configuration
 * @name: of the KME; "" is none
 *
 * Return: the section, or NULL.
 */
const struct kme_config *config_kme(const struct config *config,
				    const char *name)
{
	return ini_find(config->kmes, config->nkmes, sizeof(*config->kmes),
			name);
}

static char *begin_peer(struct ini_reader *reader, char *name)
{
	struct config *config = reader->config;
	struct peer_config peer = { .timeout = 15 * INI_SECOND,
				    .line = reader->line };

	if (ini_take_name(reader, name, peer.name, sizeof(peer.name),
			  find_peer(config, name)))
		return NULL;
	config->peers =
		ini_append(config->peers, &config->npeers, sizeof(peer), &peer);
	return (char *)&config->peers[config->npeers - 1];
}

static char *begin_link(struct ini_reader *reader, char *name)
{
	struct config *config = reader->config;
	struct link_config link = { .line = reader->line };

	if (ini_take_name(reader, name, link.name, sizeof(link.name),
			  find_link(config, name)))
		return NULL;
	strcpy(link.shared_name, link.name);
	config->links =
		ini_append(config->links, &config->nlinks, sizeof(link), &link);
	return (char *)&config->links[config->nlinks - 1];
}

static char *begin_kme(struct ini_reader *reader, char *name)
{
	struct config *config = reader->config;
	struct kme_config kme = { .batch = SUPPLY_KEYS_MAX,
				  .key_size = 256,
				  .connect_timeout = 5 * INI_SECOND,
				  .timeout = 10 * INI_SECOND,
				  .ttl = 600 * INI_SECOND,
				  .max_hops = KME_ANY_HOPS,
				  .line = reader->line };

	if (ini_take_name(reader, name, kme.name, sizeof(kme.name),
			  config_kme(config, name)))
		return NULL;
	config->kmes =
		ini_append(config->kmes, &config->nkmes, sizeof(kme), &kme);
	return (char *)&config->kmes[config->nkmes - 1];
}

static char *begin_macsec(struct ini_reader *reader, char *name)
{
	struct config *config = reader->config;
	struct macsec_config macsec = { .max_time = INI_HOUR,
					.line = reader->line };

	if (ini_take_name(reader, name, macsec.device, sizeof(macsec.device),
			  find_macsec(config, name)))
		return NULL;
	strcpy(macsec.shared_name, macsec.device);
	config->macsecs = ini_append(config->macsecs, &config->nmacsecs,
				     sizeof(macsec), &macsec);
	return (char *)&config->macsecs[config->nmacsecs - 1];
}

static char *begin_mka(struct ini_reader *reader, char *name)
{
	struct config *config = reader->config;
	struct mka_config mka = { .rekey_time = INI_HOUR,
				  .max_time = 3 * INI_HOUR,
				  .line = reader->line };

	if (ini_take_name(reader, name, mka.bond, sizeof(mka.bond),
			  find_mka(config, name)))
		return NULL;
	strcpy(mka.shared_name, mka.bond);
	config->mkas =
		ini_append(config->mkas, &config->nmkas, sizeof(mka), &mka);
	return (char *)&config->mkas[config->nmkas - 1];
}

/* A device may have many peers. */
static char *begin_wireguard(struct ini_reader *reader, char *name)
{
	struct config *config = reader->config;
	struct wireguard_config wireguard = { .rekey_time = 120 * INI_SECOND,
					      .max_time = INI_HOUR,
					      .line = reader->line };

	if (ini_take_name(reader, name, wireguard.device,
			  sizeof(wireguard.device), NULL))
		return NULL;
	strcpy(wireguard.shared_name, wireguard.device);
	config->wireguards = ini_append(config->wireguards,
					&config->nwireguards, sizeof(wireguard),
					&wireguard);
	return (char *)&config->wireguards[config->nwireguards - 1];
}

static int set_wg_peer(struct ini_reader *reader, const struct ini_key *key,
		       char *value)
{
	if (wg_key_parse(value, (uint8_t *)reader->object + key->offset))
		return 0;
	return ini_bad(reader, reader->line,
		       "%s \"%s\" is not a public key in Base64", key->name,
		       value);
}

static const struct ini_key local_keys[] = {
	INI_KEY("name", ini_set_name, struct config, name),
	INI_KEY("ca", ini_set_string, struct config, ca),
	INI_KEY("certificate", ini_set_string, struct config, certificate),
	INI_KEY("key", ini_set_string, struct config, key),
	INI_MANY("listen", ini_add_address, struct config, listen),
};

static const struct ini_key peer_keys[] = {
	INI_KEY("connect", ini_set_address, struct peer_config, connect),
	INI_KEY("certificate-name", ini_set_name, struct peer_config,
		certificate_name),
	INI_KEY("psk", ini_set_string, struct peer_config, psk),
	INI_RANGE("timeout", ini_set_time, struct peer_config, timeout,
		  3 * INI_SECOND, INI_HOUR),
};

static const struct ini_key link_keys[] = {
	INI_KEY("peer", ini_set_name, struct link_config, peer),
	INI_KEY("shared-name", ini_set_name, struct link_config, shared_name),
	INI_KEY("supply", ini_set_name, struct link_config, supply),
};

static const struct ini_key kme_keys[] = {
	INI_KEY("type", ini_set_name, struct kme_config, type),
	INI_KEY("url", ini_set_string, struct kme_config, url),
	INI_KEY("ca", ini_set_string, struct kme_config, ca),
	INI_KEY("certificate", ini_set_string, struct kme_config, certificate),
	INI_KEY("key", ini_set_string, struct kme_config, key),
	INI_KEY("certificate-name", ini_set_string, struct kme_config,
		certificate_name),
	INI_KEY("sae", ini_set_string, struct kme_config, sae),
	INI_KEY("peer-sae", ini_set_string, struct kme_config, peer_sae),
	INI_KEY("psk", ini_set_string, struct kme_config, psk),
	INI_KEY("psk-identity", ini_set_string, struct kme_config,
		psk_identity),
	INI_KEY("extension-mandatory", ini_set_string, struct kme_config,
		extension_mandatory),
	INI_KEY("extension-optional", ini_set_string, struct kme_config,
		extension_optional),
	INI_RANGE("batch", ini_set_number, struct kme_config, batch, 1,
		  SUPPLY_KEYS_MAX),
	INI_RANGE("key-size", ini_set_number, struct kme_config, key_size, 64,
		  65536),
	INI_RANGE("connect-timeout", ini_set_time, struct kme_config,
		  connect_timeout, 100, 60 * INI_SECOND),
	INI_RANGE("timeout", ini_set_time, struct kme_config, timeout, 100,
		  300 * INI_SECOND),
	INI_RANGE("max-bps", ini_set_number, struct kme_config, max_bps, 0,
		  UINT32_MAX),
	INI_RANGE("min-bps", ini_set_number, struct kme_config, min_bps, 0,
		  UINT32_MAX),
	INI_RANGE("jitter", ini_set_number, struct kme_config, jitter, 0,
		  UINT32_MAX),
	INI_RANGE("priority", ini_set_number, struct kme_config, priority, 0,
		  UINT32_MAX),
	INI_RANGE("ttl", ini_set_time, struct kme_config, ttl, INI_SECOND,
		  24 * INI_HOUR),
	INI_RANGE("max-hops", ini_set_number, struct kme_config, max_hops, 0,
		  255),
};

static const struct ini_key macsec_keys[] = {
	INI_KEY("link", ini_set_name, struct macsec_config, link),
	INI_KEY("shared-name", ini_set_name, struct macsec_config, shared_name),
	INI_RANGE("rekey-time", set_time_or_auto, struct macsec_config,
		  rekey_time, 100, 12 * INI_HOUR),
	INI_KEY("rekey-packets", ini_set_count, struct macsec_config,
		rekey_packets),
	INI_RANGE("max-time", ini_set_time, struct macsec_config, max_time, 200,
		  24 * INI_HOUR),
};

static const struct ini_key mka_keys[] = {
	INI_KEY("link", ini_set_name, struct mka_config, link),
	INI_KEY("shared-name", ini_set_name, struct mka_config, shared_name),
	INI_MANY("port", add_port, struct mka_config, control),
	INI_RANGE("rekey-time", ini_set_time, struct mka_config, rekey_time,
		  10 * INI_SECOND, 24 * INI_HOUR),
	INI_RANGE("max-time", ini_set_time, struct mka_config, max_time,
		  20 * INI_SECOND, 72 * INI_HOUR),
};

static const struct ini_key wireguard_keys[] = {
	INI_KEY("peer", set_wg_peer, struct wireguard_config, peer),
	INI_KEY("link", ini_set_name, struct wireguard_config, link),
	INI_KEY("shared-name", ini_set_name, struct wireguard_config,
		shared_name),
	INI_RANGE("rekey-time", ini_set_time, struct wireguard_config,
		  rekey_time, 5 * INI_SECOND, 12 * INI_HOUR),
	INI_RANGE("max-time", ini_set_time, struct wireguard_config, max_time,
		  10 * INI_SECOND, 24 * INI_HOUR),
};

static const struct ini_section sections[] = {
	{ "local", ini_begin_only, local_keys, ARRAY_SIZE(local_keys) },
	{ "peer", begin_peer, peer_keys, ARRAY_SIZE(peer_keys) },
	{ "link", begin_link, link_keys, ARRAY_SIZE(link_keys) },
	{ "kme", begin_kme, kme_keys, ARRAY_SIZE(kme_keys) },
	{ "macsec", begin_macsec, macsec_keys, ARRAY_SIZE(macsec_keys) },
	{ "mka", begin_mka, mka_keys, ARRAY_SIZE(mka_keys) },
	{ "wireguard", begin_wireguard, wireguard_keys,
	  ARRAY_SIZE(wireguard_keys) },
};

static void check_peer(struct ini_reader *reader, struct peer_config *peer)
{
	const struct config *config = reader->config;

	if (!strcmp(peer->name, config->name))
		ini_bad(reader, peer->line, "peer \"%s\" has our own name",
			peer->name);
	if (!*peer->connect && !config->listen.n)
		ini_bad(reader, peer->line,
			"peer \"%s\" has no \"connect\", and [local] no \"listen\"",
			peer->name);
	if (*peer->psk && *peer->certificate_name)
		ini_bad(reader, peer->line,
			"peer \"%s\" has both \"psk\" and \"certificate-name\"",
			peer->name);
	if (!*peer->psk &&
	    !(*config->ca && *config->certificate && *config->key))
		ini_bad(reader, peer->line,
			"peer \"%s\" has no \"psk\", and [local] not all of \"ca\", \"certificate\" and \"key\"",
			peer->name);
	if (!*peer->certificate_name)
		strcpy(peer->certificate_name, peer->name);
}

static void check_link(struct ini_reader *reader,
		       const struct link_config *link)
{
	const struct config *config = reader->config;
	const struct link_config *other;

	if (!*link->peer)
		ini_bad(reader, link->line, "link \"%s\" has no \"peer\"",
			link->name);
	else if (!find_peer(config, link->peer))
		ini_bad(reader, link->line,
			"link \"%s\": there is no [peer %s]", link->name,
			link->peer);
	if (*link->supply && !config_kme(config, link->supply))
		ini_bad(reader, link->line, "link \"%s\": there is no [kme %s]",
			link->name, link->supply);
	for (other = config->links; other < link; other++)
		if (!strcmp(other->peer, link->peer) &&
		    !strcmp(other->shared_name, link->shared_name))
			ini_bad(reader, link->line,
				"links \"%s\" and \"%s\" have one shared name",
				other->name, link->name);
}

/* What the section lacks, its protocol says. */
static void check_kme(struct ini_reader *reader, const struct kme_config *kme)
{
	const struct supply_ops *ops = supply_ops_of(kme->type);
	uint64_t bytes = (uint64_t)kme->batch * kme->key_size / 8;
	char text[SUPPLY_TEXT_LEN] = "";

	if (!*kme->type)
		ini_bad(reader, kme->line, "kme \"%s\" has no \"type\"",
			kme->name);
	else if (!ops)
		ini_bad(reader, kme->line,
			"kme \"%s\": type \"%s\" is none of etsi014, etsi004, skip",
			kme->name, kme->type);
	else if (ops->check(kme, text))
		ini_bad(reader, kme->line, "kme \"%s\": %s", kme->name, text);
	if (kme->max_hops != KME_ANY_HOPS && ops && ops != &supply_004)
		ini_bad(reader, kme->line,
			"kme \"%s\": with its type, nobody says what \"max-hops\" is about",
			kme->name);
	if (kme->key_size % 8)
		ini_bad(reader, kme->line,
			"kme \"%s\": \"key-size\" is not a multiple of 8",
			kme->name);
	else if (bytes < SUPPLY_BYTES_MIN || bytes > SUPPLY_BYTES_MAX)
		ini_bad(reader, kme->line,
			"kme \"%s\": \"batch\" keys of \"key-size\" are %llu bytes, not %d to %d",
			kme->name, (unsigned long long)bytes, SUPPLY_BYTES_MIN,
			SUPPLY_BYTES_MAX);
}

static void check_macsec(struct ini_reader *reader,
			 const struct macsec_config *macsec)
{
	const struct config *config = reader->config;
	const struct macsec_config *other;

	if (!*macsec->link)
		ini_bad(reader, macsec->line, "macsec \"%s\" has no \"link\"",
			macsec->device);
	else if (!find_link(config, macsec->link))
		ini_bad(reader, macsec->line,
			"macsec \"%s\": there is no [link %s]", macsec->device,
			macsec->link);
	if (macsec->rekey_time > macsec->max_time / 2)
		ini_bad(reader, macsec->line,
			"macsec \"%s\": \"rekey-time\" is more than half of \"max-time\"",
			macsec->device);
	for (other = config->macsecs; other < macsec; other++)
		if (!strcmp(other->link, macsec->link) &&
		    !strcmp(other->shared_name, macsec->shared_name))
			ini_bad(reader, macsec->line,
				"macsec \"%s\" and \"%s\" have one shared name",
				other->device, macsec->device);
}

static void check_mka(struct ini_reader *reader, const struct mka_config *mka)
{
	const struct config *config = reader->config;
	const struct mka_config *other;

	if (!*mka->link)
		ini_bad(reader, mka->line, "mka \"%s\" has no \"link\"",
			mka->bond);
	else if (!find_link(config, mka->link))
		ini_bad(reader, mka->line, "mka \"%s\": there is no [link %s]",
			mka->bond, mka->link);
	if (mka->nports != MKA_PORTS)
		ini_bad(reader, mka->line, "mka \"%s\" has not two \"port\"s",
			mka->bond);
	else if (!strcmp(mka->device[0], mka->device[1]) ||
		 !strcmp(mka->control[0], mka->control[1]))
		ini_bad(reader, mka->line, "mka \"%s\": its ports are one",
			mka->bond);
	if (mka->rekey_time > mka->max_time / 2)
		ini_bad(reader, mka->line,
			"mka \"%s\": \"rekey-time\" is more than half of \"max-time\"",
			mka->bond);
	for (other = config->mkas; other < mka; other++)
		if (!strcmp(other->link, mka->link) &&
		    !strcmp(other->shared_name, mka->shared_name))
			ini_bad(reader, mka->line,
				"mka \"%s\" and \"%s\" have one shared name",
				other->bond, mka->bond);
}

static void check_wireguard(struct ini_reader *reader,
			    const struct wireguard_config *wg)
{
	static const uint8_t none[QKD_WG_KEY_LEN];
	const struct config *config = reader->config;
	const struct wireguard_config *other;

	if (!memcmp(wg->peer, none, sizeof(none)))
		ini_bad(reader, wg->line, "wireguard \"%s\" has no \"peer\"",
			wg->device);
	if (!*wg->link)
		ini_bad(reader, wg->line, "wireguard \"%s\" has no \"link\"",
			wg->device);
	else if (!find_link(config, wg->link))
		ini_bad(reader, wg->line,
			"wireguard \"%s\": there is no [link %s]", wg->device,
			wg->link);
	if (wg->rekey_time > wg->max_time / 2)
		ini_bad(reader, wg->line,
			"wireguard \"%s\": \"rekey-time\" is more than half of \"max-time\"",
			wg->device);
	for (other = config->wireguards; other < wg; other++) {
		if (!strcmp(other->device, wg->device) &&
		    !memcmp(other->peer, wg->peer, sizeof(wg->peer)))
			ini_bad(reader, wg->line,
				"wireguard \"%s\" has this peer already",
				wg->device);
		if (!strcmp(other->link, wg->link) &&
		    !strcmp(other->shared_name, wg->shared_name))
			ini_bad(reader, wg->line,
				"wireguard \"%s\" and \"%s\" have one shared name",
				other->device, wg->device);
	}
}

static void check_all(struct ini_reader *reader)
{
	struct config *config = reader->config;
	size_t i;

	if (!*config->name)
		ini_bad(reader, reader->line, "[local] has no \"name\"");
	for (i = 0; i < config->npeers; i++)
		check_peer(reader, &config->peers[i]);
	for (i = 0; i < config->nlinks; i++)
		check_link(reader, &config->links[i]);
	for (i = 0; i < config->nkmes; i++)
		check_kme(reader, &config->kmes[i]);
	for (i = 0; i < config->nmacsecs; i++)
		check_macsec(reader, &config->macsecs[i]);
	for (i = 0; i < config->nmkas; i++)
		check_mka(reader, &config->mkas[i]);
	for (i = 0; i < config->nwireguards; i++)
		check_wireguard(reader, &config->wireguards[i]);
}

/**
 * config_read - read and check a configuration file
 * @path: of the file; stays with the caller
 *
 * Says what is wrong with it.
 *
 * Return: the configuration, for config_free(), or NULL.
 */
struct config *config_read(const char *path)
{
	struct config *config = calloc(1, sizeof(*config));
	struct ini_reader reader = {
		.config = config,
		.path = path,
		.sections = sections,
		.nsections = ARRAY_SIZE(sections),
		.check = check_all,
	};

	if (!config) {
		log_error("out of memory");
		return NULL;
	}
	config->path = path;
	if (!ini_read(&reader))
		return config;
	config_free(config);
	return NULL;
}

/**
 * config_free - undo config_read()
 * @config: or NULL
 */
void config_free(struct config *config)
{
	if (!config)
		return;
	free(config->peers);
	free(config->links);
	free(config->kmes);
	free(config->macsecs);
	free(config->mkas);
	free(config->wireguards);
	free(config);
}
