// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CHILD_SAs that are configured as they can't be.
 *
 * swanctl loads what it understands and asks no plugin. So esp_proposals that mix
 * transforms of ours with others, which could end without QKD, and options that
 * the kernel's SAs of ours have not, are refused where charon narrows traffic
 * selectors: transform and configuration are known then, and nothing is installed
 * yet. No selectors left means TS_UNACCEPTABLE to charon; what leaves is
 * NO_PROPOSAL_CHOSEN. An initiator deletes the CHILD_SA.
 */
#include "qkd_refuse.h"

#include <daemon.h>
#include <encoding/payloads/notify_payload.h>

#include "qkd_conn.h"
#include "qkd_esp.h"
#include "qkd_install.h"

/* Whose CHILD_SA this thread refuses: it has the IKE_SA until the answer leaves. */
static __thread ike_sa_t *refused;

/* Options of a CHILD_SA that the kernel's SAs of ours do not have, by keyword. */
static const char *unsupported(child_cfg_t *cfg, proposal_t *proposal)
{
	mark_t in = cfg->get_set_mark(cfg, TRUE);
	mark_t out = cfg->get_set_mark(cfg, FALSE);

	if (proposal->get_algorithm(proposal, INTEGRITY_ALGORITHM, NULL, NULL))
		return "integrity algorithm";
	if (cfg->has_option(cfg, OPT_IPCOMP))
		return "ipcomp";
	if (cfg->get_hw_offload(cfg) != HW_OFFLOAD_NO &&
	    cfg->get_hw_offload(cfg) != HW_OFFLOAD_AUTO)
		return "hw_offload";
	if (in.value | in.mask)
		return "set_mark_in";
	if (out.value | out.mask)
		return "set_mark_out";
	if (cfg->get_tfc(cfg))
		return "tfc_padding";
	if (cfg->get_label(cfg))
		return "label";
	if (cfg->has_option(cfg, OPT_NO_COPY_DF))
		return "copy_df";
	if (cfg->has_option(cfg, OPT_NO_COPY_ECN))
		return "copy_ecn";
	if (cfg->get_copy_dscp(cfg) != DSCP_COPY_OUT_ONLY)
		return "copy_dscp";
	return NULL;
}

static bool may_mix(peer_cfg_t *cfg)
{
	return settings_value_as_bool(qkd_conn_setting(cfg, "esp_fallback"),
				      FALSE);
}

static bool can_be(ike_sa_t *ike_sa, child_sa_t *child_sa)
{
	child_cfg_t *cfg = child_sa->get_config(child_sa);
	proposal_t *proposal = child_sa->get_proposal(child_sa);
	peer_cfg_t *peer_cfg = ike_sa->get_peer_cfg(ike_sa);
	struct qkd_link link = {};
	const char *option;
	bool ours, others;
	uint16_t alg;

	ours = qkd_esp_proposed(cfg, &others);
	if (ours && others && !may_mix(peer_cfg)) {
		DBG1(DBG_CHD,
		     "QKD: no CHILD_SA %s: its esp_proposals mix qkd* "
		     "with others, and there is no esp_fallback",
		     child_sa->get_name(child_sa));
		return false;
	}
	if (!proposal ||
	    !proposal->get_algorithm(proposal, ENCRYPTION_ALGORITHM, &alg,
				     NULL) ||
	    !qkd_esp_cipher(alg))
		return true;
	option = unsupported(cfg, proposal);
	if (!option)
		return qkd_esp_link(peer_cfg, &link) &&
		       qkd_install_can(peer_cfg);
	DBG1(DBG_CHD, "QKD: no CHILD_SA %s: %N has no %s",
	     child_sa->get_name(child_sa), encryption_algorithm_names, alg,
	     option);
	return false;
}

static void clear(linked_list_t *selectors)
{
	traffic_selector_t *selector;

	while (selectors->remove_last(selectors, (void **)&selector) == SUCCESS)
		selector->destroy(selector);
}

static bool on_narrow(listener_t *this, ike_sa_t *ike_sa, child_sa_t *child_sa,
		      narrow_hook_t type, linked_list_t *local,
		      linked_list_t *remote)
{
	switch (type) {
	case NARROW_RESPONDER:
	case NARROW_INITIATOR_POST_AUTH:
	case NARROW_INITIATOR_POST_NOAUTH:
		break;
	default:
		return TRUE;
	}
	if (ike_sa->get_version(ike_sa) != IKEV2 || can_be(ike_sa, child_sa))
		return TRUE;
	clear(local);
	clear(remote);
	if (type == NARROW_RESPONDER)
		refused = ike_sa;
	return TRUE;
}

static bool on_message(listener_t *this, ike_sa_t *ike_sa, message_t *message,
		       bool incoming, bool plain)
{
	notify_payload_t *notify;

	if (!plain || incoming || message->get_request(message))
		return TRUE;
	notify = message->get_notify(message, TS_UNACCEPTABLE);
	if (notify && refused == ike_sa)
		notify->set_notify_type(notify, NO_PROPOSAL_CHOSEN);
	refused = NULL;
	return TRUE;
}

static listener_t listener = {
	.message = on_message,
	.narrow = on_narrow,
};

void qkd_refuse_init(void)
{
	charon->bus->add_listener(charon->bus, &listener);
}

void qkd_refuse_deinit(void)
{
	charon->bus->remove_listener(charon->bus, &listener);
}
