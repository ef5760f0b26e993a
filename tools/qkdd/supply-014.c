// SPDX-License-Identifier: GPL-2.0-only
/*
 * Supplier: a KME by ETSI GS QKD 014, over lib/etsi014, with libcurl's transfers
 * in the daemon's event loop. What the KME says of itself (status) is asked
 * before the first key, and again when its certificates were renewed: how many
 * keys it gives at once, for one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../lib/etsi014/etsi014.h"
#include "../common/log.h"
#include "../common/private.h"
#include "multi.h"
#include "qkdd.h"
#include "supply.h"

#define FILES 3

/**
 * struct kme - a KME, as one link uses it
 * @common: what all suppliers over HTTP have; its section
 * @settings: the same for the library
 * @files: the files of the section, as they were when they were looked at last
 * @per_request: keys that it gives at once
 * @deviations: how often it deviated from the standard, by bit
 */
struct kme {
	struct multi_supplier common;
	struct etsi014 settings;
	struct stat files[FILES];
	uint64_t per_request;
	uint64_t deviations[ETSI014_DEVIATIONS];
};

/**
 * struct call - a request for keys
 * @common: what all calls have
 * @request: as it goes out
 * @ids: of it
 * @transfer: libcurl's side, or NULL
 */
struct call {
	struct multi_call common;
	struct etsi014_request request;
	etsi014_key_id ids[SUPPLY_KEYS_MAX];
	struct etsi014_transfer *transfer;
};

static struct kme *kme_of(const struct call *call)
{
	return (struct kme *)call->common.supplier;
}

static const char *or_null(const char *text)
{
	return *text ? text : NULL;
}

static struct etsi014 settings_of(const struct kme_config *config)
{
	return (struct etsi014){
		.url = or_null(config->url),
		.ca = or_null(config->ca),
		.cert = or_null(config->certificate),
		.key = or_null(config->key),
		.name = or_null(config->certificate_name),
		.peer_sae = or_null(config->peer_sae),
		.connect_ms = config->connect_timeout,
		.total_ms = config->timeout,
	};
}

static int check(const struct kme_config *config, char text[SUPPLY_TEXT_LEN])
{
	struct etsi014 settings = settings_of(config);
	int err = etsi014_check(&settings, text);
	int fd;

	if (!err && *config->extension_mandatory)
		err = etsi014_check_extension(config->extension_mandatory,
					      text);
	if (!err && *config->extension_optional)
		err = etsi014_check_extension(config->extension_optional, text);
	if (err || !strncmp(config->key, "pkcs11:", 7))
		return err;
	fd = open_private(config->key);
	if (fd >= 0)
		return close(fd);
	strcpy(text, "its private key cannot be used");
	return -1;
}

/*
 * Certificates
 */

static void look_at_files(const struct kme *kme, struct stat files[FILES])
{
	const char *const paths[FILES] = { kme->common.config.ca,
					   kme->common.config.certificate,
					   kme->common.config.key };
	int i;

	memset(files, 0, FILES * sizeof(*files));
	for (i = 0; i < FILES; i++)
		if (stat(paths[i], &files[i])) /* such as a PKCS#11 URI */
			memset(&files[i], 0, sizeof(files[i]));
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Connections prove what the files said when they were made: away with them. */
static void check_files(struct kme *kme)
{
	struct stat files[FILES];
	int i;

	look_at_files(kme, files);
	for (i = 0; i < FILES; i++)
		if (!same_file(&files[i], &kme->files[i]))
			multi_renew(kme);
	memcpy(kme->files, files, sizeof(files));
}

/*
 * Calls
 */

static void call_free(struct multi_call *common)
{
	struct call *call = (struct call *)common;

	etsi014_transfer_free(call->transfer);
	free(call);
}

static CURL *begin_transfer(struct multi_call *common)
{
	static const struct etsi014_request status = { .call = ETSI014_STATUS };
	struct call *call = (struct call *)common;
	struct kme *kme = kme_of(call);

	if (kme->common.known && call->request.number > kme->per_request)
		call->request.number = kme->per_request;
	call->transfer = etsi014_transfer_new(
		&kme->settings, common->asks ? &status : &call->request,
		common->text);
	return call->transfer ? etsi014_transfer_handle(call->transfer) : NULL;
}

static void note_deviations(struct kme *kme, unsigned int deviations)
{
	unsigned int i;

	for (i = 0; i < ETSI014_DEVIATIONS; i++) {
		if (!(deviations & 1U << i))
			continue;
		if (!kme->deviations[i]++)
			log_info("KME %s deviates from the standard: %s",
				 kme->common.config.name,
				 etsi014_deviation_text(1U << i));
	}
}

/* What the KME says of itself has to fit what we are going to ask. */
static int take_status(struct kme *kme, struct etsi014_answer *answer)
{
	const struct etsi014_status *status = &answer->status;
	const struct kme_config *config = &kme->common.config;

	if (*config->sae && strcmp(config->sae, status->master_sae)) {
		snprintf(answer->text, sizeof(answer->text),
			 "it takes us for the SAE %.64s, not %.64s",
			 status->master_sae, config->sae);
		return -EACCES;
	}
	if (config->key_size < status->min_key_size ||
	    config->key_size > status->max_key_size) {
		snprintf(answer->text, sizeof(answer->text),
			 "its keys have %llu to %llu bits: \"key-size\" is %u",
			 (unsigned long long)status->min_key_size,
			 (unsigned long long)status->max_key_size,
			 config->key_size);
		return -EINVAL;
	}
	kme->per_request = status->max_key_per_request ?: 1;
	return 0;
}

static struct supply_keys *keys_of(const struct etsi014_keys *from)
{
	struct supply_keys *keys = supply_keys_new(from->count, from->size);
	unsigned int i;

	if (!keys)
		return NULL;
	for (i = 0; i < from->count; i++)
		strcpy(keys->ids[i], from->ids[i]);
	memcpy(keys->bytes, from->bytes, from->count * from->size);
	return keys;
}

static int end_transfer(struct multi_call *common, CURLcode result,
			struct supply_keys **keys, char text[SUPPLY_TEXT_LEN])
{
	struct call *call = (struct call *)common;
	struct etsi014_answer answer;
	int err;

	err = etsi014_transfer_end(call->transfer, result, &answer);
	etsi014_transfer_free(call->transfer);
	call->transfer = NULL;
	note_deviations(kme_of(call), answer.deviations);
	if (!err && common->asks) {
		err = take_status(kme_of(call), &answer);
	} else if (!err) {
		*keys = keys_of(answer.keys);
		etsi014_keys_free(answer.keys);
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

static struct call *call_new(struct kme *kme, supply_done_fn done, void *arg)
{
	check_files(kme);
	return multi_call_new(&kme->common, sizeof(struct call), done, arg);
}

static void *get(void *supplier, unsigned int number, size_t size,
		 supply_done_fn done, void *arg)
{
	struct kme *kme = supplier;
	struct call *call = call_new(kme, done, arg);

	call->request = (struct etsi014_request){
		.call = ETSI014_ENC_KEYS,
		.number = number,
		.size = 8 * size,
		.mandatory = or_null(kme->common.config.extension_mandatory),
		.optional = or_null(kme->common.config.extension_optional),
	};
	multi_call_begin(&call->common, true);
	return call;
}

/* The IDs are the peer's words. */
static bool take_ids(struct call *call, const supply_id *ids,
		     unsigned int number)
{
	unsigned int i, j;

	for (i = 0; i < number; i++) {
		if (etsi014_key_id_copy(call->ids[i], ids[i]))
			return false;
		for (j = 0; j < i; j++)
			if (!strcmp(call->ids[j], call->ids[i]))
				return false;
	}
	return true;
}

static void *by_ids(void *supplier, const supply_id *ids, unsigned int number,
		    size_t size, supply_done_fn done, void *arg)
{
	struct call *call = call_new(supplier, done, arg);

	call->request = (struct etsi014_request){
		.call = ETSI014_DEC_KEYS,
		.number = number,
		.size = 8 * size,
		.ids = call->ids,
	};
	if (take_ids(call, ids, number)) {
		multi_call_begin(&call->common, true);
	} else {
		strcpy(call->common.text,
		       "the peer's IDs are no different UUIDs");
		multi_call_fail(&call->common, -EINVAL);
	}
	return call;
}

static void close_kme(void *supplier)
{
	struct kme *kme = supplier;
	unsigned int i;

	for (i = 0; i < ETSI014_DEVIATIONS; i++)
		if (kme->deviations[i] > 1)
			log_info("KME %s has deviated %llu times: %s",
				 kme->common.config.name,
				 (unsigned long long)kme->deviations[i],
				 etsi014_deviation_text(1U << i));
	multi_close(&kme->common);
	free(kme);
}

static void *open_kme(const struct kme_config *config,
		      char text[SUPPLY_TEXT_LEN])
{
	struct kme *kme = calloc(1, sizeof(*kme));

	if (!kme || multi_open(&kme->common, &ops, config)) {
		strcpy(text, "out of memory");
		free(kme);
		return NULL;
	}
	kme->settings = settings_of(&kme->common.config);
	look_at_files(kme, kme->files);
	return kme;
}

const struct supply_ops supply_014 = {
	.type = "etsi014",
	.per_call = SUPPLY_KEYS_MAX,
	.check = check,
	.open = open_kme,
	.close = close_kme,
	.renew = multi_renew,
	.get = get,
	.by_ids = by_ids,
	.cancel = multi_cancel,
};
