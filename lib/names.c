// SPDX-License-Identifier: LGPL-2.1-or-later
/* Names of values, as the specification of the family has them. */
#include "internal.h"

static const char *const role[] = {
	[QKD_ROLE_ALICE] = "alice",
	[QKD_ROLE_BOB] = "bob",
};

static const char *const stream[] = {
	[QKD_STREAM_A2B_PAD] = "a2b-pad",
	[QKD_STREAM_A2B_KEY] = "a2b-key",
	[QKD_STREAM_B2A_PAD] = "b2a-pad",
	[QKD_STREAM_B2A_KEY] = "b2a-key",
};

static const char *const key_class[] = {
	[QKD_CLASS_CONTROL] = "control",
	[QKD_CLASS_REKEY] = "rekey",
	[QKD_CLASS_EXPORT] = "export",
};

static const char *const confirm[] = {
	[QKD_CONFIRM_TAG] = "tag",
	[QKD_CONFIRM_NONE] = "none",
};

static const char *const admin[] = {
	[QKD_ADMIN_DOWN] = "down",
	[QKD_ADMIN_UP] = "up",
};

static const char *const state[] = {
	[QKD_STATE_DOWN] = "down",
	[QKD_STATE_PENDING] = "pending",
	[QKD_STATE_UP] = "up",
};

static const char *const reason[] = {
	[QKD_REASON_NONE] = "none",
	[QKD_REASON_OPERATOR] = "operator",
	[QKD_REASON_NEVER_BEGUN] = "never-begun",
	[QKD_REASON_ROLE_CLASH] = "role-clash",
	[QKD_REASON_MISMATCH] = "mismatch",
	[QKD_REASON_QBER] = "qber",
	[QKD_REASON_STALE] = "stale",
	[QKD_REASON_SUSPEND] = "suspend",
	[QKD_REASON_VM_FORK] = "vm-fork",
	[QKD_REASON_PEER] = "peer",
	[QKD_REASON_DELETED] = "deleted",
	[QKD_REASON_DRIVER] = "driver",
	[QKD_REASON_NO_KEY] = "no-key",
	[QKD_REASON_AUTH_LOW] = "auth-low",
};

static const char *const context_type[] = {
	[QKD_CONTEXT_TYPE_NONE] = "none",
	[QKD_CONTEXT_TYPE_ESP] = "esp",
	[QKD_CONTEXT_TYPE_MACSEC] = "macsec",
	[QKD_CONTEXT_TYPE_SAE] = "sae",
	[QKD_CONTEXT_TYPE_PPK] = "ppk",
	[QKD_CONTEXT_TYPE_USER] = "user",
	[QKD_CONTEXT_TYPE_WIREGUARD] = "wireguard",
};

static const char *const verdict[] = {
	[QKD_VERDICT_EQUAL] = "equal",
	[QKD_VERDICT_MISMATCH] = "mismatch",
	[QKD_VERDICT_LOST] = "lost",
};

static const char *const cipher[] = {
	[QKD_CIPHER_OTP] = "otp",
	[QKD_CIPHER_AES] = "aes",
	[QKD_CIPHER_HYBRID] = "hybrid",
};

static const char *const dir[] = {
	[QKD_DIR_IN] = "in",
	[QKD_DIR_OUT] = "out",
};

static const char *const esp_mode[] = {
	[QKD_ESP_MODE_TRANSPORT] = "transport",
	[QKD_ESP_MODE_TUNNEL] = "tunnel",
	[QKD_ESP_MODE_BEET] = "beet",
};

static const char *const on_empty[] = {
	[QKD_ON_EMPTY_BLOCK] = "block",
	[QKD_ON_EMPTY_AES] = "aes",
};

static const char *const emu_protocol[] = {
	[QKD_EMU_PROTOCOL_BB84] = "bb84",
	[QKD_EMU_PROTOCOL_BB84_DECOY] = "bb84-decoy",
	[QKD_EMU_PROTOCOL_B92] = "b92",
	[QKD_EMU_PROTOCOL_E91] = "e91",
	[QKD_EMU_PROTOCOL_BBM92] = "bbm92",
	[QKD_EMU_PROTOCOL_COW] = "cow",
};

static const char *const event_type[] = {
	[QKD_EVENT_TYPE_LINK_NEW] = "link-new",
	[QKD_EVENT_TYPE_LINK_DEL] = "link-del",
	[QKD_EVENT_TYPE_LINK_UP] = "link-up",
	[QKD_EVENT_TYPE_LINK_DOWN] = "link-down",
	[QKD_EVENT_TYPE_KEY_LOW] = "key-low",
	[QKD_EVENT_TYPE_KEY_EMPTY] = "key-empty",
	[QKD_EVENT_TYPE_KEY_RESTORED] = "key-restored",
	[QKD_EVENT_TYPE_QBER_ALARM] = "qber-alarm",
	[QKD_EVENT_TYPE_QBER_CLEAR] = "qber-clear",
	[QKD_EVENT_TYPE_ROLE_CLASH] = "role-clash",
	[QKD_EVENT_TYPE_MISMATCH] = "mismatch",
	[QKD_EVENT_TYPE_GAP] = "gap",
	[QKD_EVENT_TYPE_STALE] = "stale",
	[QKD_EVENT_TYPE_RETIRED] = "retired",
	[QKD_EVENT_TYPE_ICV_FAIL] = "icv-fail",
	[QKD_EVENT_TYPE_SA_NEW] = "sa-new",
	[QKD_EVENT_TYPE_SA_DEL] = "sa-del",
	[QKD_EVENT_TYPE_SUPPLY_END] = "supply-end",
	[QKD_EVENT_TYPE_SA_REKEYED] = "sa-rekeyed",
	[QKD_EVENT_TYPE_SA_FALLBACK] = "sa-fallback",
	[QKD_EVENT_TYPE_SA_RESTORED] = "sa-restored",
	[QKD_EVENT_TYPE_MACSEC_BOUND] = "macsec-bound",
	[QKD_EVENT_TYPE_MACSEC_UNBOUND] = "macsec-unbound",
	[QKD_EVENT_TYPE_MACSEC_SA_NEW] = "macsec-sa-new",
	[QKD_EVENT_TYPE_MACSEC_SA_DEL] = "macsec-sa-del",
	[QKD_EVENT_TYPE_MACSEC_FAILED] = "macsec-failed",
	[QKD_EVENT_TYPE_WG_NEW] = "wg-new",
	[QKD_EVENT_TYPE_WG_DEL] = "wg-del",
	[QKD_EVENT_TYPE_WG_HELD] = "wg-held",
	[QKD_EVENT_TYPE_WG_INSTALLED] = "wg-installed",
	[QKD_EVENT_TYPE_WG_CONFIRMED] = "wg-confirmed",
	[QKD_EVENT_TYPE_WG_FAILED] = "wg-failed",
	[QKD_EVENT_TYPE_WG_BLOCKED] = "wg-blocked",
	[QKD_EVENT_TYPE_SUPPLY_ALARM] = "supply-alarm",
	[QKD_EVENT_TYPE_SUPPLY_CLEAR] = "supply-clear",
};

static const char *const macsec_suite[] = {
	[QKD_MACSEC_SUITE_GCM_AES_128] = "gcm-aes-128",
	[QKD_MACSEC_SUITE_GCM_AES_256] = "gcm-aes-256",
	[QKD_MACSEC_SUITE_GCM_AES_XPN_128] = "gcm-aes-xpn-128",
	[QKD_MACSEC_SUITE_GCM_AES_XPN_256] = "gcm-aes-xpn-256",
};

static const char *const macsec_state[] = {
	[QKD_MACSEC_STATE_PENDING] = "pending",
	[QKD_MACSEC_STATE_INSTALLED] = "installed",
	[QKD_MACSEC_STATE_FAILED] = "failed",
	[QKD_MACSEC_STATE_DELETING] = "deleting",
};

static const char *const wg_state[] = {
	[QKD_WG_STATE_PENDING] = "pending",
	[QKD_WG_STATE_HELD] = "held",
	[QKD_WG_STATE_INSTALLED] = "installed",
	[QKD_WG_STATE_CONFIRMED] = "confirmed",
	[QKD_WG_STATE_FAILED] = "failed",
	[QKD_WG_STATE_BLOCKED] = "blocked",
	[QKD_WG_STATE_DELETING] = "deleting",
};

struct table {
	const char *const *names;
	uint32_t n;
};

#define TABLE(array) { .names = (array), .n = ARRAY_SIZE(array) }

static const struct table tables[] = {
	[QKD_ENUM_ROLE] = TABLE(role),
	[QKD_ENUM_STREAM] = TABLE(stream),
	[QKD_ENUM_CLASS] = TABLE(key_class),
	[QKD_ENUM_CONFIRM] = TABLE(confirm),
	[QKD_ENUM_ADMIN] = TABLE(admin),
	[QKD_ENUM_STATE] = TABLE(state),
	[QKD_ENUM_REASON] = TABLE(reason),
	[QKD_ENUM_CONTEXT_TYPE] = TABLE(context_type),
	[QKD_ENUM_VERDICT] = TABLE(verdict),
	[QKD_ENUM_CIPHER] = TABLE(cipher),
	[QKD_ENUM_DIR] = TABLE(dir),
	[QKD_ENUM_ESP_MODE] = TABLE(esp_mode),
	[QKD_ENUM_ON_EMPTY] = TABLE(on_empty),
	[QKD_ENUM_EMU_PROTOCOL] = TABLE(emu_protocol),
	[QKD_ENUM_EVENT_TYPE] = TABLE(event_type),
	[QKD_ENUM_MACSEC_SUITE] = TABLE(macsec_suite),
	[QKD_ENUM_MACSEC_STATE] = TABLE(macsec_state),
	[QKD_ENUM_WG_STATE] = TABLE(wg_state),
};

const char *qkd_enum_name(enum qkd_enum which, uint32_t value)
{
	if (which >= ARRAY_SIZE(tables) || value >= tables[which].n ||
	    !tables[which].names[value])
		return "?";
	return tables[which].names[value];
}

int qkd_enum_value(enum qkd_enum which, const char *name)
{
	uint32_t i;

	if (which >= ARRAY_SIZE(tables))
		return -EINVAL;
	for (i = 0; i < tables[which].n; i++)
		if (tables[which].names[i] &&
		    !strcmp(tables[which].names[i], name))
			return i;
	return -EINVAL;
}
