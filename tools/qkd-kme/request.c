// SPDX-License-Identifier: GPL-2.0-only
/* Requests of ETSI GS QKD 014: see request.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>
#include <microhttpd.h>
#include <qkd/qkd.h>

#include "request.h"

#define PREFIX "/api/v1/keys/"

static const char *const calls[CALLS] = {
	[CALL_STATUS] = "status",
	[CALL_ENC_KEYS] = "enc_keys",
	[CALL_DEC_KEYS] = "dec_keys",
};

const char *request_call_name(enum request_call call)
{
	return calls[call];
}

int request_bad(struct problem *problem, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(problem->message, sizeof(problem->message), format, ap);
	va_end(ap);
	return 400;
}

static int no_call(struct problem *problem)
{
	request_bad(problem, "there is no such call");
	return 404;
}

/* Percent-decoded in its place. A %00 would cut it short, so it is none. */
static bool decode(char *text)
{
	return MHD_http_unescape(text) == strlen(text);
}

static bool find_call(struct request *request, const char *name)
{
	int i;

	for (i = 0; i < CALLS; i++)
		if (!strcmp(name, calls[i])) {
			request->call = i;
			return true;
		}
	return false;
}

int request_target(struct request *request, const char *target,
		   struct problem *problem)
{
	char text[TARGET_MAX + 1], *sae = text + strlen(PREFIX), *call, *query;

	memset(request, 0, sizeof(*request));
	memset(problem, 0, sizeof(*problem));
	if (strlen(target) > TARGET_MAX)
		return request_bad(problem,
				   "the target is longer than %d bytes",
				   TARGET_MAX);
	strcpy(text, target);
	query = strchr(text, '?');
	if (query) {
		*query++ = '\0';
		strcpy(request->query, query);
	}
	if (strncmp(text, PREFIX, strlen(PREFIX)))
		return no_call(problem);
	call = strchr(sae, '/');
	if (!call)
		return no_call(problem);
	*call++ = '\0';
	if (!find_call(request, call))
		return no_call(problem);
	if (!decode(sae) || !*sae || strlen(sae) > SAE_LEN)
		return request_bad(problem,
				   "the SAE ID is not of 1 to %d characters",
				   SAE_LEN);
	strcpy(request->sae, sae);
	return 0;
}

static int bad_number(struct problem *problem, const char *name)
{
	return request_bad(problem, "%s shall be an integer, 1 or more", name);
}

/* In a query: digits alone. */
static int query_number(const char *name, const char *value,
			unsigned int *number, struct problem *problem)
{
	if (strspn(value, "0123456789") != strlen(value) || !*value ||
	    strlen(value) > 9 || *number)
		return bad_number(problem, name);
	*number = strtoul(value, NULL, 10);
	return *number ? 0 : bad_number(problem, name);
}

/* One more key ID. */
static int take_id(struct request *request, const char *text,
		   struct problem *problem)
{
	unsigned int i;

	if (request->number == NUMBER_MAX)
		return request_bad(problem,
				   "more than %d key IDs (max_key_per_request)",
				   NUMBER_MAX);
	if (qkd_key_id_parse(text, request->ids[request->number]))
		return request_bad(problem, "a key_ID shall be a UUID");
	for (i = 0; i < request->number; i++)
		if (!memcmp(request->ids[i], request->ids[request->number],
			    sizeof(request->ids[0])))
			return request_bad(problem, "a key_ID is there twice");
	request->number++;
	return 0;
}

static int query_parameter(struct request *request, char *name,
			   struct problem *problem)
{
	char *value = strchr(name, '=');

	if (!value)
		return request_bad(problem, "the query is malformed");
	*value++ = '\0';
	if (!decode(name) || !decode(value))
		return request_bad(problem, "the query is malformed");
	if (request->call == CALL_ENC_KEYS && !strcmp(name, "number"))
		return query_number(name, value, &request->number, problem);
	if (request->call == CALL_ENC_KEYS && !strcmp(name, "size"))
		return query_number(name, value, &request->size, problem);
	if (request->call != CALL_DEC_KEYS || strcmp(name, "key_ID"))
		return request_bad(problem,
				   "the query has an unknown parameter");
	if (request->number)
		return request_bad(problem,
				   "use POST for more than one key_ID");
	return take_id(request, value, problem);
}

static int parse_query(struct request *request, struct problem *problem)
{
	char *rest = request->query, *parameter;
	int err = 0;

	while (!err && rest && *rest) {
		parameter = strsep(&rest, "&");
		err = query_parameter(request, parameter, problem);
	}
	if (!err && request->call == CALL_DEC_KEYS && !request->number)
		return request_bad(problem, "there is no key_ID");
	return err;
}

static int body_number(json_t *root, const char *name, unsigned int *number,
		       struct problem *problem)
{
	json_t *value = json_object_get(root, name);

	if (!value)
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < 1 ||
	    json_integer_value(value) > 999999999)
		return bad_number(problem, name);
	*number = json_integer_value(value);
	return 0;
}

static int check_size(const struct request *request, struct problem *problem)
{
	if (request->size % 8)
		return request_bad(problem, "size shall be a multiple of 8");
	return 0;
}

static int take_slave(struct request *request, json_t *value,
		      struct problem *problem)
{
	const char *id = json_string_value(value);
	unsigned int i;

	if (!id || !*id || strlen(id) > SAE_LEN)
		return request_bad(
			problem,
			"additional_slave_SAE_IDs shall be an array of SAE IDs");
	if (request->nslaves == SLAVES_MAX)
		return request_bad(
			problem,
			"more than %d additional_slave_SAE_IDs (max_SAE_ID_count)",
			SLAVES_MAX);
	for (i = 0; i < request->nslaves; i++)
		if (!strcmp(request->slaves[i], id))
			break;
	if (i < request->nslaves || !strcmp(request->sae, id))
		return request_bad(problem,
				   "additional_slave_SAE_IDs has an SAE twice");
	strcpy(request->slaves[request->nslaves++], id);
	return 0;
}

static int body_slaves(struct request *request, json_t *root,
		       struct problem *problem)
{
	json_t *slaves = json_object_get(root, "additional_slave_SAE_IDs"),
	       *slave;
	size_t i;
	int err;

	if (!slaves)
		return 0;
	if (!json_is_array(slaves))
		return request_bad(
			problem,
			"additional_slave_SAE_IDs shall be an array of SAE IDs");
	json_array_foreach(slaves, i, slave)
	{
		err = take_slave(request, slave, problem);
		if (err)
			return err;
	}
	return 0;
}

/* An array of objects, or not there. */
static bool is_extensions(json_t *array)
{
	json_t *extension;
	size_t i;

	if (array && !json_is_array(array))
		return false;
	json_array_foreach(
		array, i,
		extension) if (!json_is_object(extension)) return false;
	return true;
}

/* We have none: those that are mandatory cannot be met, others need not be. */
static int body_extensions(json_t *root, struct problem *problem)
{
	json_t *mandatory = json_object_get(root, "extension_mandatory"),
	       *first;
	const char *name;

	if (!is_extensions(mandatory))
		return request_bad(
			problem,
			"extension_mandatory shall be an array of objects");
	if (!is_extensions(json_object_get(root, "extension_optional")))
		return request_bad(
			problem,
			"extension_optional shall be an array of objects");
	if (!json_array_size(mandatory))
		return 0;
	first = json_array_get(mandatory, 0);
	name = json_object_iter_key(json_object_iter(first));
	if (name)
		snprintf(problem->extension, sizeof(problem->extension), "%s",
			 name);
	return request_bad(
		problem,
		"not all extension_mandatory parameters are supported");
}

static int key_request(struct request *request, json_t *root,
		       struct problem *problem)
{
	return body_number(root, "number", &request->number, problem)	  ?:
		       body_number(root, "size", &request->size, problem) ?:
		       body_slaves(request, root, problem)		  ?:
		       body_extensions(root, problem);
}

static int key_ids(struct request *request, json_t *root,
		   struct problem *problem)
{
	json_t *ids = json_object_get(root, "key_IDs"), *entry, *id;
	size_t i;
	int err;

	if (!json_is_array(ids) || !json_array_size(ids))
		return request_bad(
			problem,
			"key_IDs shall be an array of objects, one at least");
	json_array_foreach(ids, i, entry)
	{
		id = json_object_get(entry, "key_ID");
		if (!json_is_string(id))
			return request_bad(
				problem, "an object of key_IDs has no key_ID");
		err = take_id(request, json_string_value(id), problem);
		if (err)
			return err;
	}
	return 0;
}

/* "application/json", whatever parameters follow. */
static bool is_json_type(const char *type)
{
	static const char json[] = "application/json";
	size_t length = strlen(json);

	return type && !strncasecmp(type, json, length) &&
	       (!type[length] || strchr("; \t", type[length]));
}

static int parse_body(struct request *request, const char *type,
		      const void *body, size_t size, struct problem *problem)
{
	json_error_t error;
	json_t *root;
	int err;

	if (*request->query)
		return request_bad(problem, "POST takes no query");
	if (!is_json_type(type))
		return request_bad(
			problem, "the content type shall be application/json");
	if (size > BODY_MAX)
		return request_bad(problem, "the body is longer than %d bytes",
				   BODY_MAX);
	root = json_loadb(body ?: "", size, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(root))
		err = request_bad(problem, "the body is no JSON object");
	else if (request->call == CALL_ENC_KEYS)
		err = key_request(request, root, problem);
	else
		err = key_ids(request, root, problem);
	json_decref(root);
	return err;
}

int request_body(struct request *request, enum request_method method,
		 const char *type, const void *body, size_t size,
		 struct problem *problem)
{
	int err;

	memset(problem, 0, sizeof(*problem));
	if (method == REQUEST_OTHER ||
	    (method == REQUEST_POST && request->call == CALL_STATUS)) {
		request_bad(problem, "the method is not of this call");
		return 405;
	}
	if (method == REQUEST_POST)
		err = parse_body(request, type, body, size, problem);
	else if (size)
		err = request_bad(problem, "GET takes no body");
	else
		err = parse_query(request, problem);
	return err ?: check_size(request, problem);
}
