// SPDX-License-Identifier: GPL-2.0-only
/* The configuration file: what is in its sections. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/util.h>

#include "kme.h"

#define KEY_SIZE_STEP 64 /* bits */
#define KEY_SIZE_MAX (QKD_KEY_SIZE_MAX * 8)
#define GROUPS_MAX 8 /* of one master: each may have to be tried */

/* A daemon that waits for a name server is no use to anybody. */
static int add_listen(struct ini_reader *reader, const struct ini_key *key,
		      char *value)
{
	struct sockaddr_storage address;
	int length = sizeof(address);

	if (ini_check_address(reader, key->name, value))
		return -1;
	if (evutil_parse_sockaddr_port(value, (struct sockaddr *)&address,
				       &length))
		return ini_bad(reader, reader->line,
			       "%s \"%s\" is no address in figures", key->name,
			       value);
	return ini_add_address(reader, key, value);
}

static int add_peer(struct ini_reader *reader, const struct ini_key *key,
		    char *value)
{
	struct sae_config *sae = (struct sae_config *)reader->object;

	if (sae->npeers == PEERS_MAX)
		return ini_bad(reader, reader->line, "more than %d peers",
			       PEERS_MAX);
	sae->peers = ini_grow(sae->peers, &sae->npeers, sizeof(*sae->peers));
	return ini_copy_name(reader, key->name, value,
			     sae->peers[sae->npeers - 1],
			     sizeof(sae->peers[0]));
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int add_slave(struct ini_reader *reader, const struct ini_key *key,
		     char *value)
{
	struct group_config *group = (struct group_config *)reader->object;
	size_t i;

	if (group->nslaves == SLAVES_MAX)
		return ini_bad(reader, reader->line, "more than %d slaves",
			       SLAVES_MAX);
	for (i = 0; i < group->nslaves; i++)
		if (!strcmp(group->slaves[i], value))
			return ini_bad(reader, reader->line,
				       "slave \"%s\" is there already", value);
	if (ini_copy_name(reader, key->name, value,
			  group->slaves[group->nslaves],
			  sizeof(group->slaves[0])))
		return -1;
	group->nslaves++;
	qsort(group->slaves, group->nslaves, sizeof(group->slaves[0]),
	      by_bytes);
	return 0;
}

/**
 * config_sae - find an SAE
 * @config: configuration
 * @id: of the SAE
 */
struct sae_config *config_sae(const struct config *config, const char *id)
{
	return ini_find(config->saes, config->nsaes, sizeof(*config->saes), id);
}

/**
 * config_link - find a link
 * @config: configuration
 * @name: of the link
 */
struct link_config *config_link(const struct config *config, const char *name)
{
	return ini_find(config->links, config->nlinks, sizeof(*config->links),
			name);
}

static char *begin_link(struct ini_reader *reader, char *name)
{
	struct config *config = reader->config;
	struct link_config link = { .key_size = 256, .line = reader->line };

	if (ini_take_name(reader, name, link.name, sizeof(link.name),
			  config_link(config, name)))
		return NULL;
	config->links =
		ini_append(config->links, &config->nlinks, sizeof(link), &link);
	return (char *)&config->links[config->nlinks - 1];
}

static char *begin_sae(struct ini_reader *reader, char *name)
{
	struct config *config = reader->config;
	struct sae_config sae = { .max_number = NUMBER_MAX,
				  .quota_time = 60 * INI_SECOND,
				  .line = reader->line };

	if (ini_take_name(reader, name, sae.id, sizeof(sae.id),
			  config_sae(config, name)))
		return NULL;
	config->saes =
		ini_append(config->saes, &config->nsaes, sizeof(sae), &sae);
	return (char *)&config->saes[config->nsaes - 1];
}

static char *begin_group(struct ini_reader *reader, char *name)
{
	struct config *config = reader->config;
	struct group_config group = { .keep_time = 300 * INI_SECOND,
				      .line = reader->line };

	if (ini_take_name(reader, name, group.name, sizeof(group.name), NULL))
		return NULL;
	config->groups = ini_append(config->groups, &config->ngroups,
				    sizeof(group), &group);
	return (char *)&config->groups[config->ngroups - 1];
}

static const struct ini_key local_keys[] = {
	INI_KEY("kme-id", ini_set_name, struct config, kme_id),
	INI_KEY("ca", ini_set_string, struct config, ca),
	INI_KEY("certificate", ini_set_string, struct config, certificate),
	INI_KEY("key", ini_set_string, struct config, key),
	INI_MANY("listen", add_listen, struct config, listen),
	INI_MANY("listen-004", add_listen, struct config, listen_004),
	INI_RANGE("connections", ini_set_number, struct config, connections, 1,
		  10000),
	INI_RANGE("connections-per-address", ini_set_number, struct config,
		  connections_per_address, 1, 10000),
	INI_RANGE("timeout", ini_set_time, struct config, timeout, INI_SECOND,
		  INI_HOUR),
};

static const struct ini_key link_keys[] = {
	INI_KEY("target-kme", ini_set_name, struct link_config, target_kme),
	INI_KEY("target-004", ini_set_address, struct link_config, target_004),
	INI_KEY("target-certificate-name", ini_set_name, struct link_config,
		target_name),
	INI_RANGE("key-size", ini_set_number, struct link_config, key_size,
		  KEY_SIZE_STEP, KEY_SIZE_MAX),
};

static const struct ini_key sae_keys[] = {
	INI_KEY("link", ini_set_name, struct sae_config, link),
	INI_KEY("certificate-name", ini_set_string, struct sae_config,
		certificate_name),
	INI_MANY("peer", add_peer, struct sae_config, peers),
	INI_RANGE("max-number", ini_set_number, struct sae_config, max_number,
		  1, NUMBER_MAX),
	INI_KEY("quota", ini_set_count, struct sae_config, quota),
	INI_RANGE("quota-time", ini_set_time, struct sae_config, quota_time,
		  INI_SECOND, 24 * INI_HOUR),
};

static const struct ini_key group_keys[] = {
	INI_KEY("master", ini_set_name, struct group_config, master),
	INI_MANY("slave", add_slave, struct group_config, slaves),
	INI_RANGE("keep-time", ini_set_time, struct group_config, keep_time,
		  INI_SECOND, INI_HOUR),
};

static const struct ini_section sections[] = {
	{ "local", ini_begin_only, local_keys, ARRAY_SIZE(local_keys) },
	{ "link", begin_link, link_keys, ARRAY_SIZE(link_keys) },
	{ "sae", begin_sae, sae_keys, ARRAY_SIZE(sae_keys) },
	{ "group", begin_group, group_keys, ARRAY_SIZE(group_keys) },
};

static void check_local(struct ini_reader *reader, const struct config *config)
{
	const struct {
		const char *name;
		const char *value;
	} needed[] = {
		{ "kme-id", config->kme_id },
		{ "ca", config->ca },
		{ "certificate", config->certificate },
		{ "key", config->key },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(needed); i++)
		if (!*needed[i].value)
			ini_bad(reader, reader->line, "[local] has no \"%s\"",
				needed[i].name);
}

static void check_link(struct ini_reader *reader, struct link_config *link)
{
	const struct config *config = reader->config;
	const struct link_config *other;

	if (!*link->target_name)
		strcpy(link->target_name, link->target_kme);
	for (other = config->links; other < link; other++)
		if (*link->target_004 && *other->target_004 &&
		    !strcmp(other->target_name, link->target_name))
			ini_bad(reader, link->line,
				"links \"%s\" and \"%s\" lead to one KME",
				other->name, link->name);
	if (!*link->target_kme)
		ini_bad(reader, link->line, "link \"%s\" has no \"target-kme\"",
			link->name);
	if (link->key_size % KEY_SIZE_STEP)
		ini_bad(reader, link->line,
			"link \"%s\": \"key-size\" is not a multiple of %d",
			link->name, KEY_SIZE_STEP);
}

/* Behind a link: another KME knows it. */
static void check_remote(struct ini_reader *reader,
			 const struct sae_config *sae)
{
	if (!config_link(reader->config, sae->link))
		ini_bad(reader, sae->line, "sae \"%s\": there is no [link %s]",
			sae->id, sae->link);
	if (sae->npeers || *sae->certificate_name || sae->quota)
		ini_bad(reader, sae->line,
			"sae \"%s\" has a \"link\", so no \"peer\", \"certificate-name\" or \"quota\"",
			sae->id);
}

static void check_own(struct ini_reader *reader, struct sae_config *sae)
{
	const struct config *config = reader->config;
	const struct sae_config *other;
	size_t i;

	if (!*sae->certificate_name)
		strcpy(sae->certificate_name, sae->id);
	for (other = config->saes; other < sae; other++)
		if (!*other->link &&
		    !strcmp(other->certificate_name, sae->certificate_name))
			ini_bad(reader, sae->line,
				"saes \"%s\" and \"%s\" have one certificate name",
				other->id, sae->id);
	if (!sae->npeers)
		ini_bad(reader, sae->line,
			"sae \"%s\" has neither \"link\" nor \"peer\"",
			sae->id);
	for (i = 0; i < sae->npeers; i++) {
		other = config_sae(config, sae->peers[i]);
		if (!other || !*other->link)
			ini_bad(reader, sae->line,
				"sae \"%s\": peer \"%s\" is no [sae] with a \"link\"",
				sae->id, sae->peers[i]);
	}
}

static bool are_peers(const struct sae_config *sae, const char *peer)
{
	size_t i;

	for (i = 0; i < sae->npeers; i++)
		if (!strcmp(sae->peers[i], peer))
			return true;
	return false;
}

static void check_slave(struct ini_reader *reader,
			const struct group_config *group,
			const struct sae_config *master, const char *id)
{
	const struct config *config = reader->config;
	const struct sae_config *slave = config_sae(config, id),
				*first = config_sae(config, group->slaves[0]);

	if (!slave)
		ini_bad(reader, group->line,
			"group \"%s\": there is no [sae %s]", group->name, id);
	else if (!*master->link && !are_peers(master, id))
		ini_bad(reader, group->line,
			"group \"%s\": \"%s\" is no peer of \"%s\"",
			group->name, id, master->id);
	else if (*master->link && !are_peers(slave, master->id))
		ini_bad(reader, group->line,
			"group \"%s\": \"%s\" is no peer of \"%s\"",
			group->name, master->id, id);
	else if (first && strcmp(slave->link, first->link))
		ini_bad(reader, group->line,
			"group \"%s\": its slaves are not behind one KME",
			group->name);
}

static void check_group(struct ini_reader *reader,
			const struct group_config *group)
{
	const struct config *config = reader->config;
	const struct sae_config *master = config_sae(config, group->master);
	const struct group_config *other;
	size_t i, before = 0;

	if (!master) {
		ini_bad(reader, group->line,
			"group \"%s\": its \"master\" is no [sae]",
			group->name);
		return;
	}
	if (group->nslaves < 2)
		ini_bad(reader, group->line,
			"group \"%s\" has not two \"slave\"s", group->name);
	for (i = 0; i < group->nslaves; i++)
		check_slave(reader, group, master, group->slaves[i]);
	for (other = config->groups; other < group; other++) {
		before += !strcmp(other->master, group->master);
		if (!strcmp(other->name, group->name))
			ini_bad(reader, group->line,
				"group \"%s\" is there already", group->name);
	}
	if (before == GROUPS_MAX)
		ini_bad(reader, group->line,
			"master \"%s\" has more than %d groups", group->master,
			GROUPS_MAX);
}

static void check_all(struct ini_reader *reader)
{
	struct config *config = reader->config;
	size_t i;

	check_local(reader, config);
	for (i = 0; i < config->nlinks; i++)
		check_link(reader, &config->links[i]);
	for (i = 0; i < config->nsaes; i++)
		if (*config->saes[i].link)
			check_remote(reader, &config->saes[i]);
		else
			check_own(reader, &config->saes[i]);
	for (i = 0; i < config->ngroups; i++)
		check_group(reader, &config->groups[i]);
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
	config->connections = 512;
	config->connections_per_address = 64;
	config->timeout = 30 * INI_SECOND;
	if (!ini_read(&reader))
		return config;
	config_free(config);
	return NULL;
}

void config_inherit(struct config *config, const struct config *old)
{
	const struct sae_config *before;
	size_t i;

	for (i = 0; i < config->nsaes; i++) {
		before = config_sae(old, config->saes[i].id);
		if (!before)
			continue;
		config->saes[i].spent = before->spent;
		config->saes[i].spent_at = before->spent_at;
	}
}

/**
 * config_free - undo config_read()
 * @config: or NULL
 */
void config_free(struct config *config)
{
	size_t i;

	if (!config)
		return;
	for (i = 0; i < config->nsaes; i++)
		free(config->saes[i].peers);
	free(config->saes);
	free(config->links);
	free(config->groups);
	free(config);
}
