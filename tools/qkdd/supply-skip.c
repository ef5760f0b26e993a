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
 * @common: what all suppliers over HTTP have; its section
 * @settings: the same for the library
 */
struct provider {
	struct multi_supplier common;
	struct skip settings;
};

/**
 * struct call - a request for a key
 * @common: what all calls have
 * @request: as it goes out
 * @transfer: libcurl's side, or NULL
 */
struct call {
	struct multi_call common;
	struct skip_request request;
	struct skip_transfer *transfer;
};

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

/*
 * Calls
 */

static void call_free(struct multi_call *common)
{
	struct call *call = (struct call *)common;

	skip_transfer_free(call->transfer);
	free(call);
}

static CURL *begin_transfer(struct multi_call *common)
{
	static const struct skip_request capabilities = {
		.call = SKIP_CAPABILITIES
	};
	struct provider *provider = (struct provider *)common->supplier;
	struct call *call = (struct call *)common;

	call->transfer = skip_transfer_new(
		&provider->settings,
		common->asks ? &capabilities : &call->request, common->text);
	return call->transfer ? skip_transfer_handle(call->transfer) : NULL;
}

/* What the provider says of itself has to fit what we are going to ask. */
static int take_capabilities(const struct kme_config *config,
			     struct skip_answer *answer)
{
	const struct skip_capabilities *c = &answer->capabilities;

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

static int end_transfer(struct multi_call *common, CURLcode result,
			struct supply_keys **keys, char text[SUPPLY_TEXT_LEN])
{
	struct call *call = (struct call *)common;
	struct skip_answer answer;
	int err;

	err = skip_transfer_end(call->transfer, result, &answer);
	skip_transfer_free(call->transfer);
	call->transfer = NULL;
	if (!err && common->asks) {
		err = take_capabilities(&common->supplier->config, &answer);
	} else if (!err) {
		*keys = keys_of(&answer);
		skip_answer_free(&answer);
		err = *keys ? 0 : -ENOMEM;
	}
	strcpy(text, answer.text);
	return err;
}

static const struct multi_ops ops = {
	.begin = begin_transfer,
	.end = end_transfer,
	.free = call_free,
};

static void *get(void *supplier, unsigned int number, size_t size,
		 supply_done_fn done, void *arg)
{
	struct call *call = multi_call_new(supplier, sizeof(*call), done, arg);

	(void)number; /* one will do */
	call->request.call = SKIP_NEW_KEY;
	call->request.size = 8 * size;
	/* what it can do comes before the first request for a new key */
	multi_call_begin(&call->common, true);
	return call;
}

/* The ID is the peer's word, and goes into a URL. */
static void *by_ids(void *supplier, const supply_id *ids, unsigned int number,
		    size_t size, supply_done_fn done, void *arg)
{
	struct call *call = multi_call_new(supplier, sizeof(*call), done, arg);

	(void)number; /* it is 1, as per_call says */
	call->request.call = SKIP_KEY;
	call->request.size = 8 * size;
	if (!skip_key_id_copy(call->request.key_id, ids[0])) {
		multi_call_begin(&call->common, false);
	} else {
		strcpy(call->common.text,
		       "the peer's ID of a key is no hexadecimal");
		multi_call_fail(&call->common, -EINVAL);
	}
	return call;
}

static void close_provider(void *supplier)
{
	struct provider *provider = supplier;

	multi_close(&provider->common);
	free(provider);
}

static void *open_provider(const struct kme_config *config,
			   char text[SUPPLY_TEXT_LEN])
{
	struct provider *provider = calloc(1, sizeof(*provider));

	if (!provider || skip_init() ||
	    multi_open(&provider->common, &ops, config)) {
		strcpy(text, "out of memory");
		free(provider);
		return NULL;
	}
	provider->settings = settings_of(&provider->common.config);
	return provider;
}

const struct supply_ops supply_skip = {
	.type = "skip",
	.per_call = 1,
	.check = check,
	.open = open_provider,
	.close = close_provider,
	.renew = multi_renew,
	.get = get,
	.by_ids = by_ids,
	.cancel = multi_cancel,
};
