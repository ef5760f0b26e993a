// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a KME means by a number. */
#include <errno.h>

#include "internal.h"

static const struct {
	int err;
	const char *text;
} statuses[ETSI004_STATUSES] = {
	[ETSI004_OK] = { 0, "it has succeeded" },
	[ETSI004_NO_PEER_YET] = { 0, "the peer has not connected yet" },
	[ETSI004_NO_KEY] = { -EAGAIN, "there is not enough key" },
	[ETSI004_PEER_NOT_CONNECTED] = { -ENOTCONN,
					 "the peer's application has not connected yet" },
	[ETSI004_NO_QKD] = { -ENETUNREACH, "there is no QKD connection" },
	[ETSI004_STREAM_IN_USE] = { -EADDRINUSE,
				    "the Key_stream_ID is in use" },
	[ETSI004_TIMEOUT] = { -ETIMEDOUT, "it has taken too long" },
	[ETSI004_QOS] = { -ERANGE, "the QoS cannot be met" },
	[ETSI004_METADATA_SIZE] = { -ENOBUFS,
				    "there is not enough room for the metadata" },
};

const char *etsi004_status_text(uint32_t status)
{
	return status < ETSI004_STATUSES ? statuses[status].text :
					   "the standard has no such status";
}

const char *call_name(enum etsi004_call call)
{
	switch (call) {
	case ETSI004_OPEN_CONNECT:
		return "OPEN_CONNECT";
	case ETSI004_GET_KEY:
		return "GET_KEY";
	default:
		return "CLOSE";
	}
}

int errno_of(enum etsi004_call call, struct etsi004_answer *answer)
{
	uint32_t status = answer->status;
	int err = -EPROTO;

	if (status < ETSI004_STATUSES)
		err = statuses[status].err;
	if (status == ETSI004_NO_PEER_YET && call != ETSI004_OPEN_CONNECT)
		err = -EPROTO;
	if (err)
		say(answer->text, 0, "%s: status %u: %s", call_name(call),
		    status, etsi004_status_text(status));
	return err;
}
