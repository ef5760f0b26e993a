// SPDX-License-Identifier: GPL-2.0-only
/*
 * Supplier: a key provider by SKIP (draft-cisco-skip), over lib/skip. It gives
 * one key at a time. What it can do, and for whom, is asked before the first key,
 * and again when the pre-shared key may be another one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/skip/skip.h"
#include "../common/log.h"
#include "multi.h"
#include "qkdd.h"
#include "supply.h"

/**
 * struct provider - a key provider, as one link uses it
 * @config: its section
 * @settings: the same for the library
 * @multi: its transfers
 * @stale: connections were made with a pre-shared key that may be another now
 * @known: what it can do was asked
 */
struct provider {
	struct kme_config config;
	struct skip settings;
	struct multi *multi;
	bool stale;
	bool known;
};

/**
 * struct call - a request for a key
 * @common: what all calls have
 * @provider: who is asked
 * @request: as it goes out
 * @transfer: libcurl's side, or NULL
 * @asks: the transfer is about the capabilities; the request comes after it
 */
struct call {
	struct multi_call common;
	struct provider *provider;
	struct skip_request request;
	struct skip_transfer *transfer;
	bool asks;
};

static const struct multi_ops ops;

static struct skip settings_of(const struct kme_config *config)
{
	return (struct skip){
		.url = *config->url ? config->url : NULL,
		.identity = config->psk_identity,
		.psk = *config->psk ? config->psk : NULL,
		.remote = config->peer_sae,
		.connect_ms = config->connect_timeout,
		.total_ms = config->timeout,
	};
}

static int check(const struct kme_config *config, char text[SUPPLY_TEXT_LEN])
{
	struct skip settings = settings_of(config);

	if (config->key_size != 128 && config->key_size != 192 &&
	    config->key_size != 256) {
		snprintf(text, SUPPLY_TEXT_LEN,
			 "\"key-size\" %u is none of 128, 192, 256",
			 config->key_size);
		return -1;
	}
	return skip_check(&settings, text);
}

/* Connections go when nobody uses them; the next ones read the file anew. */
static bool renew_connections(struct provider *provider)
{
	if (!provider->stale || multi_is_used(provider->multi))
		return true;
	multi_free(provider->multi);
	provider->multi = multi_new(&ops);
	provider->stale = false;
	provider->known = false;
	return provider->multi;
}

/*
 * Calls
 */

static void call_free(struct multi_call *common)
{
	struct call *call = (struct call *)common;

	skip_transfer_free(call->transfer);
	free(call);
}

/* What it can do comes before the first request for a new key. */
static void call_begin(struct call *call)
{
	static const struct skip_request capabilities = {
		.call = SKIP_CAPABILITIES
	};
	struct provider *provider = call->provider;

	call->asks = call->request.call == SKIP_NEW_KEY && !provider->known;
	call->transfer = skip_transfer_new(
		&provider->settings,
		call->asks ? &capabilities : &call->request, call->common.text);
	if (call->transfer)
		multi_call_transfer(&call->common,
				    skip_transfer_handle(call->transfer));
	else
		multi_call_fail(&call->common, -ENOMEM);
}

static struct call *call_new(struct provider *provider, supply_done_fn done,
			     void *arg)
{
	struct call *call = calloc(1, sizeof(*call));

	if (!call || !renew_connections(provider)) {
		log_error("out of memory");
		exit(1);
	}
	multi_call_init(provider->multi, &call->common, done, arg);
	call->provider = provider;
	return call;
}

/* What the provider says of itself has to fit what we are going to ask. */
static int take_capabilities(struct provider *provider,
			     struct skip_answer *answer)
{
	const struct skip_capabilities *c = &answer->capabilities;
	const struct kme_config *config = &provider->config;

	if (!c->key) {
		strcpy(answer->text, "it says that it gives no keys");
		return -EINVAL;
	}
	if (*config->sae && strcmp(config->sae, c->local)) {
		snprintf(answer->text, sizeof(answer->text),
			 "it is the system %.64s, not %.64s", c->local,
			 config->sae);
		return -EACCES;
	}
	if (!skip_serves(c, config->peer_sae)) {
		snprintf(answer->text, sizeof(answer->text),
			 "it has no keys for the system %.64s",
			 config->peer_sae);
		return -EACCES;
	}
	provider->known = true;
	return 0;
}

static struct supply_keys *keys_of(const struct skip_answer *answer)
{
	struct supply_keys *keys = supply_keys_new(1, answer->size);

	if (!keys)
		return NULL;
	strcpy(keys->ids[0], answer->key_id);
	memcpy(keys->bytes, answer->key, answer->size);
	return keys;
}

static void on_transfer(struct multi_call *common, CURLcode result)
{
	struct call *call = (struct call *)common;
	struct supply_keys *keys = NULL;
	struct skip_answer answer;
	int err;

	err = skip_transfer_end(call->transfer, result, &answer);
	skip_transfer_free(call->transfer);
	call->transfer = NULL;
	if (!err && call->asks) {
		err = take_capabilities(call->provider, &answer);
		if (!err) {
			call_begin(call);
			return;
		}
	} else if (!err) {
		keys = keys_of(&answer);
		skip_answer_free(&answer);
		err = keys ? 0 : -ENOMEM;
	}
	multi_call_done(common, err, answer.text, keys);
}

static const struct multi_ops ops = {
	.ended = on_transfer,
	.free = call_free,
};

static void *get(void *supplier, unsigned int number, size_t size,
		 supply_done_fn done, void *arg)
{
	struct call *call = call_new(supplier, done, arg);

	(void)number; /* one will do */
	call->request.call = SKIP_NEW_KEY;
	call->request.size = 8 * size;
	call_begin(call);
	return call;
}

/* The ID is the peer's word, and goes into a URL. */
static void *by_ids(void *supplier, const supply_id *ids, unsigned int number,
		    size_t size, supply_done_fn done, void *arg)
{
	struct call *call = call_new(supplier, done, arg);

	(void)number; /* it is 1, as per_call says */
	call->request.call = SKIP_KEY;
	call->request.size = 8 * size;
	if (!skip_key_id_copy(call->request.key_id, ids[0])) {
		call_begin(call);
	} else {
		strcpy(call->common.text,
		       "the peer's ID of a key is no hexadecimal");
		multi_call_fail(&call->common, -EINVAL);
	}
	return call;
}

static void cancel(void *supplier, void *call)
{
	(void)supplier;
	multi_call_cancel(call);
}

static void close_provider(void *supplier)
{
	struct provider *provider = supplier;

	multi_free(provider->multi);
	free(provider);
}

static void *open_provider(const struct kme_config *config,
			   char text[SUPPLY_TEXT_LEN])
{
	struct provider *provider = calloc(1, sizeof(*provider));

	strcpy(text, "out of memory");
	if (!provider || skip_init()) {
		free(provider);
		return NULL;
	}
	provider->config = *config;
	provider->settings = settings_of(&provider->config);
	provider->multi = multi_new(&ops);
	if (provider->multi)
		return provider;
	free(provider);
	return NULL;
}

static void renew(void *supplier)
{
	struct provider *provider = supplier;

	provider->stale = true;
}

const struct supply_ops supply_skip = {
	.type = "skip",
	.per_call = 1,
	.check = check,
	.open = open_provider,
	.close = close_provider,
	.renew = renew,
	.get = get,
	.by_ids = by_ids,
	.cancel = cancel,
};
