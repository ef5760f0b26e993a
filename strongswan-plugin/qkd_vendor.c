// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The vendor ID: peers that know our numbers for private use.
 *
 * An initiator sends it in IKE_SA_INIT where proposals of the connection have such
 * numbers, a responder to whom it was sent. Others never see it, nor
 * N(QKD_SA), whose number may mean anything to them.
 */
#include "qkd_vendor.h"

#include <encoding/payloads/vendor_id_payload.h>

/* Of ike_extension_t, none of charon's: an IKE_SA's successor inherits it. */
#define EXT_QKD (1 << 30)

/* The first bytes of SHA-256("qkd ipsec v1") */
static const uint8_t vendor_id[16] = { 0xde, 0x9e, 0x4f, 0xb2, 0x8c, 0x41,
				       0x83, 0xa9, 0x7b, 0x7a, 0xb2, 0x6c,
				       0x54, 0x6c, 0xee, 0x37 };

bool qkd_vendor_is_ours(ike_sa_t *ike_sa)
{
	return ike_sa->supports_extension(ike_sa, EXT_QKD);
}

/* Algorithms for private use (RFC 7296, 3.3.2). */
#define PRIVATE 1024

static bool is_private(proposal_t *proposal, transform_type_t type)
{
	bool found = false;
	enumerator_t *all;
	uint16_t alg;

	all = proposal->create_enumerator(proposal, type);
	while (!found && all->enumerate(all, &alg, NULL))
		found = alg >= PRIVATE;
	all->destroy(all);
	return found;
}

/* Takes over the list. */
static bool any_private(linked_list_t *proposals)
{
	enumerator_t *all = proposals->create_enumerator(proposals);
	proposal_t *proposal;
	bool found = false;
	int i;

	while (!found && all->enumerate(all, &proposal)) {
		found = is_private(proposal, ENCRYPTION_ALGORITHM) ||
			is_private(proposal, KEY_EXCHANGE_METHOD);
		for (i = ADDITIONAL_KEY_EXCHANGE_1;
		     i <= ADDITIONAL_KEY_EXCHANGE_7; i++)
			found |= is_private(proposal, i);
	}
	all->destroy(all);
	proposals->destroy_offset(proposals, offsetof(proposal_t, destroy));
	return found;
}

static bool is_configured(peer_cfg_t *cfg)
{
	ike_cfg_t *ike_cfg = cfg->get_ike_cfg(cfg);
	bool configured = any_private(QKD_PROPOSALS(ike_cfg));
	enumerator_t *children;
	child_cfg_t *child;

	children = cfg->create_child_cfg_enumerator(cfg);
	while (!configured && children->enumerate(children, &child))
		configured = any_private(QKD_PROPOSALS(child, FALSE));
	children->destroy(children);
	return configured;
}

static void outgoing(ike_sa_t *ike_sa, message_t *message)
{
	chunk_t id = chunk_from_thing(vendor_id);
	peer_cfg_t *cfg = ike_sa->get_peer_cfg(ike_sa);
	vendor_id_payload_t *payload;
	bool tell = qkd_vendor_is_ours(ike_sa);

	if (message->get_request(message))
		tell = cfg && is_configured(cfg);
	if (!tell)
		return;
	payload =
		vendor_id_payload_create_data(PLV2_VENDOR_ID, chunk_clone(id));
	message->add_payload(message, (payload_t *)payload);
}

/* charon takes numbers for private use from strongSwans alone, which they tell
 * only where charon.send_vendor_id is set; its default that the plugin sets is
 * gone after swanctl --reload-settings.
 */
static void incoming(ike_sa_t *ike_sa, message_t *message)
{
	vendor_id_payload_t *vendor;
	enumerator_t *payloads;
	payload_t *payload;

	payloads = message->create_payload_enumerator(message);
	while (payloads->enumerate(payloads, &payload)) {
		if (payload->get_type(payload) != PLV2_VENDOR_ID)
			continue;
		vendor = (vendor_id_payload_t *)payload;
		if (!chunk_equals(vendor->get_data(vendor),
				  chunk_from_thing(vendor_id)))
			continue;
		ike_sa->enable_extension(ike_sa, EXT_QKD);
		ike_sa->enable_extension(ike_sa, EXT_STRONGSWAN);
	}
	payloads->destroy(payloads);
}

static bool on_message(listener_t *this, ike_sa_t *ike_sa, message_t *message,
		       bool is_incoming, bool plain)
{
	if (!plain || message->get_major_version(message) != 2 ||
	    message->get_exchange_type(message) != IKE_SA_INIT)
		return TRUE;
	if (is_incoming)
		incoming(ike_sa, message);
	else
		outgoing(ike_sa, message);
	return TRUE;
}

static listener_t listener = {
	.message = on_message,
};

void qkd_vendor_init(void)
{
	charon->bus->add_listener(charon->bus, &listener);
}

void qkd_vendor_deinit(void)
{
	charon->bus->remove_listener(charon->bus, &listener);
}
