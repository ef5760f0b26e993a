// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frames of ETSI GS QKD 004, for lib/etsi004: requests as a server reads them, and
 * answers as a client does.
 */
#include <stdlib.h>
#include <string.h>

#include "etsi004.h"

/* A request that is understood can be said again, and is understood then. */
static void read_request(uint8_t service, const uint8_t *payload, size_t size)
{
	static uint8_t frame[ETSI004_REQUEST_MAX];
	struct etsi004_request request = {}, again = {};
	char text[ETSI004_TEXT_LEN];
	size_t length;

	if (etsi004_parse_request(service, payload, size, &request, text))
		return;
	length = etsi004_pack_request(&request, frame);
	if (!length)
		return;
	if (length > sizeof(frame) ||
	    etsi004_parse_request(frame[3], frame + ETSI004_HEADER_LEN,
				  length - ETSI004_HEADER_LEN, &again, text) ||
	    again.call != request.call || again.index != request.index)
		abort();
}

static void read_answer(uint8_t service, const uint8_t *payload, size_t size)
{
	struct etsi004_request request = {
		.call = service - 1,
		.qos = { .key_chunk_size = 32, .mimetype = ETSI004_JSON },
		.metadata_size = 256,
	};
	struct etsi004_answer answer = {};
	int err;

	err = etsi004_parse_answer(&request, service, payload, size, &answer);
	if (err ? !!answer.key :
		  !answer.key == (request.call == ETSI004_GET_KEY))
		abort();
	if (answer.key && answer.size != 32)
		abort();
	etsi004_answer_free(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[ETSI004_TEXT_LEN];
	size_t length;
	uint8_t service;

	if (size < ETSI004_HEADER_LEN ||
	    etsi004_parse_header(data, &service, &length, text))
		return 0;
	if (length > ETSI004_ANSWER_MAX)
		abort();
	/* whatever the header says of it, the rest is what there is */
	data += ETSI004_HEADER_LEN;
	size -= ETSI004_HEADER_LEN;
	if (service % 2)
		read_answer(service, data, size);
	else
		read_request(service, data, size);
	return 0;
}
