// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which source of keys a connection of swanctl.conf uses, and the sources.
 */
#include "qkd_conn.h"

#include <collections/hashtable.h>
#include <encoding/payloads/id_payload.h>
#include <threading/mutex.h>

#define SETTINGS "%s.plugins.qkd."

/* Of qkd_source_t, by name; guarded by @lock. Sources stay until unload, so that
 * whoever has one needs no reference.
 */
static hashtable_t *sources;
static mutex_t *lock;

static qkd_source_t *create(const char *name)
{
	enumerator_t *sections;
	const char *section;
	bool kme = false;

	sections = lib->settings->create_section_enumerator(
		lib->settings, SETTINGS "kme", lib->ns);
	while (sections->enumerate(sections, &section))
		kme |= streq(section, name);
	sections->destroy(sections);
	return kme ? qkd_kme_source_create(name) : qkd_link_source_create(name);
}

qkd_source_t *qkd_conn_source_by_name(const char *name)
{
	qkd_source_t *source;

	lock->lock(lock);
	source = sources->get(sources, name);
	if (!source) {
		source = create(name);
		if (source)
			sources->put(sources, source->get_name(source), source);
	}
	lock->unlock(lock);
	return source;
}

char *qkd_conn_ppk_name(peer_cfg_t *cfg)
{
	identification_t *id = cfg->get_ppk_id(cfg);
	size_t prefix = strlen(QKD_PREFIX);
	chunk_t text;

	if (!id)
		return NULL;
	text = id->get_encoding(id);
	if (text.len <= prefix || !strneq((char *)text.ptr, QKD_PREFIX, prefix))
		return NULL;
	return strndup((char *)text.ptr + prefix, text.len - prefix);
}

char *qkd_conn_setting(peer_cfg_t *cfg, const char *key)
{
	return lib->settings->get_str(lib->settings,
				      SETTINGS "connections.%s.%s", NULL,
				      lib->ns, cfg->get_name(cfg), key);
}

char *qkd_conn_source_name(peer_cfg_t *cfg)
{
	char *name = qkd_conn_ppk_name(cfg);

	return name ?: strdupnull(qkd_conn_setting(cfg, "source"));
}

qkd_source_t *qkd_conn_source(peer_cfg_t *cfg)
{
	qkd_source_t *source = NULL;
	char *name = qkd_conn_source_name(cfg);

	if (name)
		source = qkd_conn_source_by_name(name);
	free(name);
	return source;
}

qkd_source_t *qkd_conn_source_of_id(ike_sa_t *ike_sa, const char *id)
{
	qkd_source_t *source, *found = NULL;
	enumerator_t *cfgs;
	peer_cfg_t *cfg;

	cfgs = charon->backends->create_peer_cfg_enumerator(
		charon->backends, ike_sa->get_my_host(ike_sa),
		ike_sa->get_other_host(ike_sa), NULL, NULL, IKEV2);
	while (!found && cfgs->enumerate(cfgs, &cfg)) {
		source = qkd_conn_source(cfg);
		if (source && source->knows(source, id))
			found = source;
	}
	cfgs->destroy(cfgs);
	return found;
}

bool qkd_conn_may_fall_back(peer_cfg_t *cfg)
{
	char *fallback = qkd_conn_setting(cfg, "fallback");

	return fallback && streq(fallback, "no-ppk");
}

static identification_t *identity_in(message_t *message, payload_type_t type)
{
	id_payload_t *payload;

	payload = (id_payload_t *)message->get_payload(message, type);
	return payload ? payload->get_identification(payload) : NULL;
}

peer_cfg_t *qkd_conn_choose(ike_sa_t *ike_sa, message_t *message,
			    void (*visit)(peer_cfg_t *cfg))
{
	identification_t *me = identity_in(message, PLV2_ID_RESPONDER);
	identification_t *other = identity_in(message, PLV2_ID_INITIATOR);
	proposal_t *proposal = ike_sa->get_proposal(ike_sa);
	peer_cfg_t *cfg, *chosen = NULL;
	enumerator_t *cfgs;
	ike_cfg_t *ike_cfg;

	cfgs = charon->backends->create_peer_cfg_enumerator(
		charon->backends, ike_sa->get_my_host(ike_sa),
		ike_sa->get_other_host(ike_sa), me, other, IKEV2);
	while (cfgs->enumerate(cfgs, &cfg)) {
		if (visit)
			visit(cfg);
		ike_cfg = cfg->get_ike_cfg(cfg);
		if (!chosen && ike_cfg->has_proposal(ike_cfg, proposal, TRUE))
			chosen = cfg->get_ref(cfg);
	}
	cfgs->destroy(cfgs);
	DESTROY_IF(me);
	DESTROY_IF(other);
	return chosen;
}

void qkd_conn_init(void)
{
	sources = hashtable_create(hashtable_hash_str, hashtable_equals_str, 4);
	lock = mutex_create(MUTEX_TYPE_DEFAULT);
}

static void destroy(void *value, const void *key)
{
	qkd_source_t *source = value;

	source->destroy(source);
}

void qkd_conn_deinit(void)
{
	sources->destroy_function(sources, destroy);
	lock->destroy(lock);
}
