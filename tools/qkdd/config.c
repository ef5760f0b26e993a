// SPDX-License-Identifier: GPL-2.0-only
/*
 * The configuration file: sections, "key = value" lines, comments after #.
 * What is wrong is said as FILE:LINE: WHAT, and all of it.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qkdd.h"

#define LINE_LEN 1024
#define SECOND 1000
#define HOUR (3600 * SECOND)

/**
 * struct reader - where we are in the file
 * @config: what was read so far
 * @line: number of the current line
 * @errors: their number
 * @section: name of the current section, NULL before the first
 * @object: what its keys set, NULL if the section is bad
 * @seen: which keys of the section there were
 */
struct reader {
	struct config *config;
	int line;
	int errors;
	const struct section *section;
	char *object;
	unsigned int seen;
};

struct key {
	const char *name;
	int (*set)(struct reader *reader, const struct key *key, char *value);
	size_t offset;
	size_t size;
	uint32_t min;
	uint32_t max;
};

struct section {
	const char *name;
	char *(*begin)(struct reader *reader, char *name);
	const struct key *keys;
	size_t nkeys;
};

static int bad(struct reader *reader, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int bad(struct reader *reader, int line, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	log_error("%s:%d: %s", reader->config->path, line, text);
	reader->errors++;
	return -1;
}

static int copy(struct reader *reader, const char *what, const char *value,
		char *to, size_t size)
{
	size_t length = strlen(value);

	if (!length || length >= size)
		return bad(reader, reader->line,
			   "%s \"%s\" is not of 1 to %zu bytes", what, value,
			   size - 1);
	memcpy(to, value, length + 1);
	return 0;
}

/* Names are shown in logs and sent to the peer. */
static int copy_name(struct reader *reader, const char *what, const char *value,
		     char *to, size_t size)
{
	const char *p;

	for (p = value; *p; p++)
		if (!isgraph((unsigned char)*p) || strchr("/\"[]", *p))
			return bad(reader, reader->line,
				   "%s \"%s\" is no plain word", what, value);
	return copy(reader, what, value, to, size);
}

static int set_string(struct reader *reader, const struct key *key, char *value)
{
	return copy(reader, key->name, value, reader->object + key->offset,
		    key->size);
}

static int set_name(struct reader *reader, const struct key *key, char *value)
{
	return copy_name(reader, key->name, value, reader->object + key->offset,
			 key->size);
}

/* ADDRESS:PORT or [ADDRESS]:PORT; whether it is an address shows later. */
static int check_address(struct reader *reader, const char *what,
			 const char *value)
{
	const char *port = strrchr(value, ':'), *end;

	if (*value == '[') {
		end = strchr(value, ']');
		port = end && end[1] == ':' ? end + 1 : NULL;
	} else if (port && strchr(value, ':') != port) {
		return bad(reader, reader->line,
			   "%s \"%s\": write an IPv6 address in brackets", what,
			   value);
	}
	if (!port || !port[1] ||
	    strspn(port + 1, "0123456789") != strlen(port + 1) ||
	    strtoul(port + 1, NULL, 10) - 1 >= 65535)
		return bad(reader, reader->line,
			   "%s \"%s\" is not ADDRESS:PORT", what, value);
	return 0;
}

static int set_address(struct reader *reader, const struct key *key,
		       char *value)
{
	return check_address(reader, key->name, value) ?:
		       set_string(reader, key, value);
}

static int add_listen(struct reader *reader, const struct key *key, char *value)
{
	struct config *config = reader->config;

	if (check_address(reader, key->name, value))
		return -1;
	if (config->nlisten == LISTEN_MAX)
		return bad(reader, reader->line, "more than %d addresses",
			   LISTEN_MAX);
	return copy(reader, key->name, value, config->listen[config->nlisten++],
		    sizeof(config->listen[0]));
}

/* A number and its unit; 0 if it is none. */
static uint64_t read_time(const char *text)
{
	static const struct {
		const char *unit;
		uint32_t ms;
	} units[] = {
		{ "ms", 1 },
		{ "s", SECOND },
		{ "m", 60 * SECOND },
		{ "h", HOUR },
	};
	unsigned long value;
	char *end;
	size_t i;

	if (*text < '0' || *text > '9')
		return 0;
	value = strtoul(text, &end, 10);
	for (i = 0; i < ARRAY_SIZE(units) && value <= UINT32_MAX; i++)
		if (!strcmp(end, units[i].unit))
			return (uint64_t)value * units[i].ms;
	return 0;
}

static const char *time_text(uint32_t ms, char text[32])
{
	if (ms % SECOND)
		snprintf(text, 32, "%ums", ms);
	else
		snprintf(text, 32, "%us", ms / SECOND);
	return text;
}

static int set_time(struct reader *reader, const struct key *key, char *value)
{
	uint64_t ms = read_time(value);
	char min[32], max[32];

	if (ms < key->min || ms > key->max)
		return bad(reader, reader->line,
			   "%s \"%s\" is not a time from %s to %s", key->name,
			   value, time_text(key->min, min),
			   time_text(key->max, max));
	*(uint32_t *)(reader->object + key->offset) = ms;
	return 0;
}

static int set_time_or_auto(struct reader *reader, const struct key *key,
			    char *value)
{
	if (strcmp(value, "auto"))
		return set_time(reader, key, value);
	*(uint32_t *)(reader->object + key->offset) = 0;
	return 0;
}

static int set_count(struct reader *reader, const struct key *key, char *value)
{
	uint64_t *to = (uint64_t *)(reader->object + key->offset);
	char *end;

	errno = 0;
	*to = strtoull(value, &end, 10);
	if (*value < '0' || *value > '9' || *end || errno || !*to)
		return bad(reader, reader->line,
			   "%s \"%s\" is not a number, 1 or more", key->name,
			   value);
	return 0;
}

/* DEVICE PATH */
static int add_port(struct reader *reader, const struct key *key, char *value)
{
	struct mka_config *mka = (struct mka_config *)reader->object;
	char *path = value + strcspn(value, " \t");
	unsigned int i = mka->nports;

	if (i == MKA_PORTS)
		return bad(reader, reader->line, "more than %d ports",
			   MKA_PORTS);
	if (*path)
		*path++ = '\0';
	path += strspn(path, " \t");
	if (*path != '/')
		return bad(reader, reader->line,
			   "%s \"%s\" is not DEVICE /PATH", key->name, value);
	mka->nports++;
	if (copy_name(reader, "device", value, mka->device[i],
		      sizeof(mka->device[i])))
		return -1;
	return copy(reader, "path", path, mka->control[i],
		    sizeof(mka->control[i]));
}

static char *begin_local(struct reader *reader, char *name)
{
	if (*name) {
		bad(reader, reader->line, "[local] takes no name");
		return NULL;
	}
	return (char *)reader->config;
}

static struct peer_config *find_peer(const struct config *config,
				     const char *name)
{
	size_t i;

	for (i = 0; i < config->npeers; i++)
		if (!strcmp(config->peers[i].name, name))
			return &config->peers[i];
	return NULL;
}

static struct macsec_config *find_macsec(const struct config *config,
					 const char *device)
{
	size_t i;

	for (i = 0; i < config->nmacsecs; i++)
		if (!strcmp(config->macsecs[i].device, device))
			return &config->macsecs[i];
	return NULL;
}

static struct mka_config *find_mka(const struct config *config,
				   const char *bond)
{
	size_t i;

	for (i = 0; i < config->nmkas; i++)
		if (!strcmp(config->mkas[i].bond, bond))
			return &config->mkas[i];
	return NULL;
}

static struct link_config *find_link(const struct config *config,
				     const char *name)
{
	size_t i;

	for (i = 0; i < config->nlinks; i++)
		if (!strcmp(config->links[i].name, name))
			return &config->links[i];
	return NULL;
}

/* One more element, zeroed. */
static void *grow(void *array, size_t *n, size_t size)
{
	char *bigger = realloc(array, (*n + 1) * size);

	if (!bigger) {
		log_error("out of memory");
		exit(1);
	}
	memset(bigger + *n * size, 0, size);
	++*n;
	return bigger;
}

static char *begin_peer(struct reader *reader, char *name)
{
	struct config *config = reader->config;
	struct peer_config peer = { .timeout = 15 * SECOND,
				    .line = reader->line };

	if (copy_name(reader, "peer", name, peer.name, sizeof(peer.name)))
		return NULL;
	if (find_peer(config, name)) {
		bad(reader, reader->line, "peer \"%s\" is there already", name);
		return NULL;
	}
	config->peers =
		grow(config->peers, &config->npeers, sizeof(*config->peers));
	config->peers[config->npeers - 1] = peer;
	return (char *)&config->peers[config->npeers - 1];
}

static char *begin_link(struct reader *reader, char *name)
{
	struct config *config = reader->config;
	struct link_config link = { .line = reader->line };

	if (copy_name(reader, "link", name, link.name, sizeof(link.name)))
		return NULL;
	if (find_link(config, name)) {
		bad(reader, reader->line, "link \"%s\" is there already", name);
		return NULL;
	}
	strcpy(link.shared_name, link.name);
	config->links =
		grow(config->links, &config->nlinks, sizeof(*config->links));
	config->links[config->nlinks - 1] = link;
	return (char *)&config->links[config->nlinks - 1];
}

static char *begin_macsec(struct reader *reader, char *name)
{
	struct config *config = reader->config;
	struct macsec_config macsec = { .max_time = HOUR,
					.line = reader->line };

	if (copy_name(reader, "macsec", name, macsec.device,
		      sizeof(macsec.device)))
		return NULL;
	if (find_macsec(config, name)) {
		bad(reader, reader->line, "macsec \"%s\" is there already",
		    name);
		return NULL;
	}
	strcpy(macsec.shared_name, macsec.device);
	config->macsecs = grow(config->macsecs, &config->nmacsecs,
			       sizeof(*config->macsecs));
	config->macsecs[config->nmacsecs - 1] = macsec;
	return (char *)&config->macsecs[config->nmacsecs - 1];
}

static char *begin_mka(struct reader *reader, char *name)
{
	struct config *config = reader->config;
	struct mka_config mka = { .rekey_time = HOUR,
				  .max_time = 3 * HOUR,
				  .line = reader->line };

	if (copy_name(reader, "mka", name, mka.bond, sizeof(mka.bond)))
		return NULL;
	if (find_mka(config, name)) {
		bad(reader, reader->line, "mka \"%s\" is there already", name);
		return NULL;
	}
	strcpy(mka.shared_name, mka.bond);
	config->mkas =
		grow(config->mkas, &config->nmkas, sizeof(*config->mkas));
	config->mkas[config->nmkas - 1] = mka;
	return (char *)&config->mkas[config->nmkas - 1];
}

#define KEY(word, fn, type, member)         \
	{ .name = (word),                   \
	  .set = (fn),                      \
	  .offset = offsetof(type, member), \
	  .size = sizeof(((type *)0)->member) }
#define TIME(word, fn, type, member, least, most) \
	{ .name = (word),                         \
	  .set = (fn),                            \
	  .offset = offsetof(type, member),       \
	  .min = (least),                         \
	  .max = (most) }

static const struct key local_keys[] = {
	KEY("name", set_name, struct config, name),
	KEY("ca", set_string, struct config, ca),
	KEY("certificate", set_string, struct config, certificate),
	KEY("key", set_string, struct config, key),
	KEY("listen", add_listen, struct config, listen),
};

static const struct key peer_keys[] = {
	KEY("connect", set_address, struct peer_config, connect),
	KEY("certificate-name", set_name, struct peer_config, certificate_name),
	KEY("psk", set_string, struct peer_config, psk),
	TIME("timeout", set_time, struct peer_config, timeout, 3 * SECOND,
	     HOUR),
};

static const struct key link_keys[] = {
	KEY("peer", set_name, struct link_config, peer),
	KEY("shared-name", set_name, struct link_config, shared_name),
};

static const struct key macsec_keys[] = {
	KEY("link", set_name, struct macsec_config, link),
	KEY("shared-name", set_name, struct macsec_config, shared_name),
	TIME("rekey-time", set_time_or_auto, struct macsec_config, rekey_time,
	     100, 12 * HOUR),
	KEY("rekey-packets", set_count, struct macsec_config, rekey_packets),
	TIME("max-time", set_time, struct macsec_config, max_time, 200,
	     24 * HOUR),
};

static const struct key mka_keys[] = {
	KEY("link", set_name, struct mka_config, link),
	KEY("shared-name", set_name, struct mka_config, shared_name),
	{ .name = "port", .set = add_port },
	TIME("rekey-time", set_time, struct mka_config, rekey_time, 10 * SECOND,
	     24 * HOUR),
	TIME("max-time", set_time, struct mka_config, max_time, 20 * SECOND,
	     72 * HOUR),
};

static const struct section sections[] = {
	{ "local", begin_local, local_keys, ARRAY_SIZE(local_keys) },
	{ "peer", begin_peer, peer_keys, ARRAY_SIZE(peer_keys) },
	{ "link", begin_link, link_keys, ARRAY_SIZE(link_keys) },
	{ "macsec", begin_macsec, macsec_keys, ARRAY_SIZE(macsec_keys) },
	{ "mka", begin_mka, mka_keys, ARRAY_SIZE(mka_keys) },
};

static char *trim(char *text)
{
	char *end = text + strlen(text);

	while (end > text && isspace((unsigned char)end[-1]))
		*--end = '\0';
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

/* [WORD] or [WORD NAME] */
static void read_section(struct reader *reader, char *text)
{
	char *end = strchr(text, ']'), *name;
	size_t i;

	reader->section = NULL;
	reader->object = NULL;
	reader->seen = 0;
	if (!end || end[1]) {
		bad(reader, reader->line, "\"%s\" does not end in ]", text);
		return;
	}
	*end = '\0';
	text = trim(text + 1);
	name = text + strcspn(text, " \t");
	if (*name)
		*name++ = '\0';
	name = trim(name);
	for (i = 0; i < ARRAY_SIZE(sections); i++)
		if (!strcmp(sections[i].name, text))
			reader->section = &sections[i];
	if (!reader->section)
		bad(reader, reader->line,
		    "section \"%s\" is none of local, peer, link, macsec, mka",
		    text);
	else
		reader->object = reader->section->begin(reader, name);
}

static void read_key(struct reader *reader, char *text)
{
	const struct section *section = reader->section;
	char *value = strchr(text, '=');
	size_t i;

	if (!value) {
		bad(reader, reader->line, "\"%s\" is no \"key = value\"", text);
		return;
	}
	*value++ = '\0';
	text = trim(text);
	if (!section) {
		bad(reader, reader->line, "\"%s\" is in no section", text);
		return;
	}
	if (!reader->object)
		return;
	for (i = 0; i < section->nkeys; i++)
		if (!strcmp(section->keys[i].name, text))
			break;
	if (i == section->nkeys) {
		bad(reader, reader->line, "[%s] has no key \"%s\"",
		    section->name, text);
		return;
	}
	if (reader->seen & 1U << i && section->keys[i].set != add_listen &&
	    section->keys[i].set != add_port) {
		bad(reader, reader->line, "\"%s\" was given already", text);
		return;
	}
	reader->seen |= 1U << i;
	section->keys[i].set(reader, &section->keys[i], trim(value));
}

static void read_line(struct reader *reader, char *line)
{
	line[strcspn(line, "#\n")] = '\0';
	line = trim(line);
	if (*line == '[')
		read_section(reader, line);
	else if (*line)
		read_key(reader, line);
}

static void check_peer(struct reader *reader, struct peer_config *peer)
{
	const struct config *config = reader->config;

	if (!strcmp(peer->name, config->name))
		bad(reader, peer->line, "peer \"%s\" has our own name",
		    peer->name);
	if (!*peer->connect && !config->nlisten)
		bad(reader, peer->line,
		    "peer \"%s\" has no \"connect\", and [local] no \"listen\"",
		    peer->name);
	if (*peer->psk && *peer->certificate_name)
		bad(reader, peer->line,
		    "peer \"%s\" has both \"psk\" and \"certificate-name\"",
		    peer->name);
	if (!*peer->psk &&
	    !(*config->ca && *config->certificate && *config->key))
		bad(reader, peer->line,
		    "peer \"%s\" has no \"psk\", and [local] not all of \"ca\", \"certificate\" and \"key\"",
		    peer->name);
	if (!*peer->certificate_name)
		strcpy(peer->certificate_name, peer->name);
}

static void check_link(struct reader *reader, const struct link_config *link)
{
	const struct config *config = reader->config;
	const struct link_config *other;

	if (!*link->peer)
		bad(reader, link->line, "link \"%s\" has no \"peer\"",
		    link->name);
	else if (!find_peer(config, link->peer))
		bad(reader, link->line, "link \"%s\": there is no [peer %s]",
		    link->name, link->peer);
	for (other = config->links; other < link; other++)
		if (!strcmp(other->peer, link->peer) &&
		    !strcmp(other->shared_name, link->shared_name))
			bad(reader, link->line,
			    "links \"%s\" and \"%s\" have one shared name",
			    other->name, link->name);
}

static void check_macsec(struct reader *reader,
			 const struct macsec_config *macsec)
{
	const struct config *config = reader->config;
	const struct macsec_config *other;

	if (!*macsec->link)
		bad(reader, macsec->line, "macsec \"%s\" has no \"link\"",
		    macsec->device);
	else if (!find_link(config, macsec->link))
		bad(reader, macsec->line,
		    "macsec \"%s\": there is no [link %s]", macsec->device,
		    macsec->link);
	if (macsec->rekey_time > macsec->max_time / 2)
		bad(reader, macsec->line,
		    "macsec \"%s\": \"rekey-time\" is more than half of \"max-time\"",
		    macsec->device);
	for (other = config->macsecs; other < macsec; other++)
		if (!strcmp(other->link, macsec->link) &&
		    !strcmp(other->shared_name, macsec->shared_name))
			bad(reader, macsec->line,
			    "macsec \"%s\" and \"%s\" have one shared name",
			    other->device, macsec->device);
}

static void check_mka(struct reader *reader, const struct mka_config *mka)
{
	const struct config *config = reader->config;
	const struct mka_config *other;

	if (!*mka->link)
		bad(reader, mka->line, "mka \"%s\" has no \"link\"", mka->bond);
	else if (!find_link(config, mka->link))
		bad(reader, mka->line, "mka \"%s\": there is no [link %s]",
		    mka->bond, mka->link);
	if (mka->nports != MKA_PORTS)
		bad(reader, mka->line, "mka \"%s\" has not two \"port\"s",
		    mka->bond);
	else if (!strcmp(mka->device[0], mka->device[1]) ||
		 !strcmp(mka->control[0], mka->control[1]))
		bad(reader, mka->line, "mka \"%s\": its ports are one",
		    mka->bond);
	if (mka->rekey_time > mka->max_time / 2)
		bad(reader, mka->line,
		    "mka \"%s\": \"rekey-time\" is more than half of \"max-time\"",
		    mka->bond);
	for (other = config->mkas; other < mka; other++)
		if (!strcmp(other->link, mka->link) &&
		    !strcmp(other->shared_name, mka->shared_name))
			bad(reader, mka->line,
			    "mka \"%s\" and \"%s\" have one shared name",
			    other->bond, mka->bond);
}

static void check_all(struct reader *reader)
{
	struct config *config = reader->config;
	size_t i;

	if (!*config->name)
		bad(reader, reader->line, "[local] has no \"name\"");
	for (i = 0; i < config->npeers; i++)
		check_peer(reader, &config->peers[i]);
	for (i = 0; i < config->nlinks; i++)
		check_link(reader, &config->links[i]);
	for (i = 0; i < config->nmacsecs; i++)
		check_macsec(reader, &config->macsecs[i]);
	for (i = 0; i < config->nmkas; i++)
		check_mka(reader, &config->mkas[i]);
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
	struct reader reader = { .config = config };
	char line[LINE_LEN];
	FILE *file;

	file = fopen(path, "re");
	if (!file || !config) {
		log_error("%s: %s", path, strerror(errno));
		free(config);
		return NULL;
	}
	config->path = path;
	while (fgets(line, sizeof(line), file)) {
		reader.line++;
		if (strlen(line) == sizeof(line) - 1) {
			bad(&reader, reader.line, "the line is too long");
			break;
		}
		read_line(&reader, line);
	}
	if (ferror(file))
		bad(&reader, reader.line, "%s", strerror(errno));
	fclose(file);
	check_all(&reader);
	if (!reader.errors)
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
	free(config->macsecs);
	free(config->mkas);
	free(config);
}
