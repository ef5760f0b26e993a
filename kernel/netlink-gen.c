// SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/qkd.yaml */
/* YNL-GEN kernel source */

#include <net/netlink.h>
#include <net/genetlink.h>

#include "netlink-gen.h"

#include <uapi/linux/qkd.h>

/* Integer value ranges */
static const struct netlink_range_validation qkd_a_emu_qber_range = {
	.max	= 500000ULL,
};

static const struct netlink_range_validation qkd_a_emu_gen_range = {
	.min	= 1ULL,
	.max	= 65535ULL,
};

static const struct netlink_range_validation qkd_a_gen_label_range = {
	.min	= 1ULL,
	.max	= 65535ULL,
};

static const struct netlink_range_validation qkd_a_block_label_range = {
	.min	= 1ULL,
	.max	= 65535ULL,
};

static const struct netlink_range_validation qkd_a_esp_rekey_packets_range = {
	.min	= 1ULL,
	.max	= QKD_REKEY_PACKETS_MAX,
};

static const struct netlink_range_validation qkd_a_esp_rekey_bytes_range = {
	.min	= 1ULL,
	.max	= QKD_REKEY_BYTES_MAX,
};

static const struct netlink_range_validation qkd_a_esp_rekey_time_range = {
	.min	= 1ULL,
	.max	= QKD_REKEY_TIME_MAX,
};

static const struct netlink_range_validation qkd_a_esp_epoch_packets_range = {
	.min	= 1ULL,
	.max	= QKD_REKEY_PACKETS_MAX,
};

static const struct netlink_range_validation qkd_a_esp_epoch_bytes_range = {
	.min	= 1ULL,
	.max	= QKD_REKEY_BYTES_MAX,
};

static const struct netlink_range_validation qkd_a_esp_epoch_time_range = {
	.min	= 1ULL,
	.max	= QKD_REKEY_TIME_MAX,
};

static const struct netlink_range_validation qkd_a_esp_weight_range = {
	.min	= 1ULL,
	.max	= 65535ULL,
};

static const struct netlink_range_validation qkd_a_encap_sport_range = {
	.min	= 1ULL,
	.max	= 65535ULL,
};

static const struct netlink_range_validation qkd_a_encap_dport_range = {
	.min	= 1ULL,
	.max	= 65535ULL,
};

static const struct netlink_range_validation qkd_a_sel_sport_range = {
	.max	= 65535ULL,
};

static const struct netlink_range_validation qkd_a_sel_dport_range = {
	.max	= 65535ULL,
};

static const struct netlink_range_validation qkd_a_macsec_ifindex_range = {
	.min	= 1ULL,
	.max	= 2147483647ULL,
};

static const struct netlink_range_validation qkd_a_macsec_max_time_range = {
	.min	= 100ULL,
	.max	= QKD_MACSEC_TIME_MAX,
};

static const struct netlink_range_validation qkd_a_macsec_sa_ifindex_range = {
	.min	= 1ULL,
	.max	= 2147483647ULL,
};

static const struct netlink_range_validation qkd_a_wg_ifindex_range = {
	.min	= 1ULL,
	.max	= 2147483647ULL,
};

static const struct netlink_range_validation qkd_a_wg_max_time_range = {
	.min	= 100ULL,
	.max	= QKD_WG_TIME_MAX,
};

/* Common nested types */
const struct nla_policy qkd_emu_nl_policy[QKD_A_EMU_PAD + 1] = {
	[QKD_A_EMU_RATE] = { .type = NLA_U64, },
	[QKD_A_EMU_QBER] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_emu_qber_range),
	[QKD_A_EMU_THRESHOLD] = { .type = NLA_U32, },
	[QKD_A_EMU_PROTOCOL] = NLA_POLICY_RANGE(NLA_U32, 1, 6),
	[QKD_A_EMU_SEED] = { .type = NLA_BINARY, },
	[QKD_A_EMU_GEN] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_emu_gen_range),
	[QKD_A_EMU_STOPPED] = NLA_POLICY_MAX(NLA_U32, 1),
	[QKD_A_EMU_FLIP] = { .type = NLA_U32, },
	[QKD_A_EMU_LOSE] = { .type = NLA_U32, },
	[QKD_A_EMU_PEER_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
	[QKD_A_EMU_PEER_NETNS_FD] = { .type = NLA_U32, },
	[QKD_A_EMU_PEER_INDEX] = { .type = NLA_U32, },
	[QKD_A_EMU_BLOCK] = { .type = NLA_U32, },
};

const struct nla_policy qkd_encap_nl_policy[QKD_A_ENCAP_DPORT + 1] = {
	[QKD_A_ENCAP_SPORT] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_encap_sport_range),
	[QKD_A_ENCAP_DPORT] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_encap_dport_range),
};

const struct nla_policy qkd_lifetime_nl_policy[QKD_A_LIFETIME_PAD + 1] = {
	[QKD_A_LIFETIME_SOFT_BYTES] = { .type = NLA_U64, },
	[QKD_A_LIFETIME_HARD_BYTES] = { .type = NLA_U64, },
	[QKD_A_LIFETIME_SOFT_PACKETS] = { .type = NLA_U64, },
	[QKD_A_LIFETIME_HARD_PACKETS] = { .type = NLA_U64, },
	[QKD_A_LIFETIME_SOFT_ADD_TIME] = { .type = NLA_U64, },
	[QKD_A_LIFETIME_HARD_ADD_TIME] = { .type = NLA_U64, },
	[QKD_A_LIFETIME_SOFT_USE_TIME] = { .type = NLA_U64, },
	[QKD_A_LIFETIME_HARD_USE_TIME] = { .type = NLA_U64, },
};

const struct nla_policy qkd_sel_nl_policy[QKD_A_SEL_IFINDEX + 1] = {
	[QKD_A_SEL_SRC] = { .type = NLA_BINARY, },
	[QKD_A_SEL_SRC_PREFIX] = NLA_POLICY_MAX(NLA_U32, 128),
	[QKD_A_SEL_DST] = { .type = NLA_BINARY, },
	[QKD_A_SEL_DST_PREFIX] = NLA_POLICY_MAX(NLA_U32, 128),
	[QKD_A_SEL_PROTO] = NLA_POLICY_MAX(NLA_U32, 255),
	[QKD_A_SEL_SPORT] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_sel_sport_range),
	[QKD_A_SEL_DPORT] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_sel_dport_range),
	[QKD_A_SEL_IFINDEX] = { .type = NLA_U32, },
};

/* QKD_CMD_LINK_NEW - do */
static const struct nla_policy qkd_link_new_nl_policy[QKD_A_LINK_EMU + 1] = {
	[QKD_A_LINK_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
	[QKD_A_LINK_TYPE] = { .type = NLA_NUL_STRING, .len = 15, },
	[QKD_A_LINK_ROLE] = NLA_POLICY_RANGE(NLA_U32, 1, 2),
	[QKD_A_LINK_ID] = { .type = NLA_NUL_STRING, .len = 255, },
	[QKD_A_LINK_PEER_ID] = { .type = NLA_NUL_STRING, .len = 255, },
	[QKD_A_LINK_CONFIRM] = NLA_POLICY_RANGE(NLA_U32, 1, 2),
	[QKD_A_LINK_EXPORT] = NLA_POLICY_MASK(NLA_U32, 0x3),
	[QKD_A_LINK_MAX_AGE] = { .type = NLA_U64, },
	[QKD_A_LINK_PAD_KEEP] = { .type = NLA_U32, },
	[QKD_A_LINK_KEY_KEEP] = { .type = NLA_U32, },
	[QKD_A_LINK_PAD_CAPACITY] = { .type = NLA_U64, },
	[QKD_A_LINK_KEY_CAPACITY] = { .type = NLA_U64, },
	[QKD_A_LINK_PAD_LOW] = { .type = NLA_U64, },
	[QKD_A_LINK_KEY_LOW] = { .type = NLA_U64, },
	[QKD_A_LINK_RESERVE_CONTROL] = { .type = NLA_U32, },
	[QKD_A_LINK_RESERVE_REKEY] = { .type = NLA_U32, },
	[QKD_A_LINK_RESERVE_EXPORT] = { .type = NLA_U32, },
	[QKD_A_LINK_EMU] = NLA_POLICY_NESTED(qkd_emu_nl_policy),
};

/* QKD_CMD_LINK_DEL - do */
static const struct nla_policy qkd_link_del_nl_policy[QKD_A_LINK_NAME + 1] = {
	[QKD_A_LINK_INDEX] = { .type = NLA_U32, },
	[QKD_A_LINK_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
};

/* QKD_CMD_LINK_SET - do */
static const struct nla_policy qkd_link_set_nl_policy[QKD_A_LINK_EMU + 1] = {
	[QKD_A_LINK_INDEX] = { .type = NLA_U32, },
	[QKD_A_LINK_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
	[QKD_A_LINK_EXPORT] = NLA_POLICY_MASK(NLA_U32, 0x3),
	[QKD_A_LINK_MAX_AGE] = { .type = NLA_U64, },
	[QKD_A_LINK_PAD_KEEP] = { .type = NLA_U32, },
	[QKD_A_LINK_KEY_KEEP] = { .type = NLA_U32, },
	[QKD_A_LINK_PAD_LOW] = { .type = NLA_U64, },
	[QKD_A_LINK_KEY_LOW] = { .type = NLA_U64, },
	[QKD_A_LINK_RESERVE_CONTROL] = { .type = NLA_U32, },
	[QKD_A_LINK_RESERVE_REKEY] = { .type = NLA_U32, },
	[QKD_A_LINK_RESERVE_EXPORT] = { .type = NLA_U32, },
	[QKD_A_LINK_ADMIN] = NLA_POLICY_RANGE(NLA_U32, 1, 2),
	[QKD_A_LINK_EMU] = NLA_POLICY_NESTED(qkd_emu_nl_policy),
};

/* QKD_CMD_LINK_GET - do */
static const struct nla_policy qkd_link_get_nl_policy[QKD_A_LINK_NAME + 1] = {
	[QKD_A_LINK_INDEX] = { .type = NLA_U32, },
	[QKD_A_LINK_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
};

/* QKD_CMD_GEN_BEGIN - do */
static const struct nla_policy qkd_gen_begin_nl_policy[QKD_A_GEN_KEY_CAPACITY + 1] = {
	[QKD_A_GEN_LINK_INDEX] = { .type = NLA_U32, },
	[QKD_A_GEN_LINK_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
	[QKD_A_GEN_LABEL] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_gen_label_range),
	[QKD_A_GEN_GENERATION] = NLA_POLICY_EXACT_LEN(32),
	[QKD_A_GEN_HASH] = NLA_POLICY_EXACT_LEN(32),
	[QKD_A_GEN_PEER_ROLE] = NLA_POLICY_RANGE(NLA_U32, 1, 2),
	[QKD_A_GEN_PAD_CAPACITY] = { .type = NLA_U64, },
	[QKD_A_GEN_KEY_CAPACITY] = { .type = NLA_U64, },
};

/* QKD_CMD_GEN_OPEN - do */
static const struct nla_policy qkd_gen_open_nl_policy[QKD_A_GEN_GENERATION + 1] = {
	[QKD_A_GEN_LINK_INDEX] = { .type = NLA_U32, },
	[QKD_A_GEN_LINK_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
	[QKD_A_GEN_LABEL] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_gen_label_range),
	[QKD_A_GEN_GENERATION] = NLA_POLICY_EXACT_LEN(32),
};

/* QKD_CMD_GEN_END - do */
static const struct nla_policy qkd_gen_end_nl_policy[QKD_A_GEN_REASON + 1] = {
	[QKD_A_GEN_LINK_INDEX] = { .type = NLA_U32, },
	[QKD_A_GEN_LINK_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
	[QKD_A_GEN_LABEL] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_gen_label_range),
	[QKD_A_GEN_REASON] = NLA_POLICY_MAX(NLA_U32, 13),
};

/* QKD_CMD_BLOCK_TAG - do */
static const struct nla_policy qkd_block_tag_nl_policy[QKD_A_BLOCK_LENGTH + 1] = {
	[QKD_A_BLOCK_LINK_INDEX] = { .type = NLA_U32, },
	[QKD_A_BLOCK_LINK_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
	[QKD_A_BLOCK_LABEL] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_block_label_range),
	[QKD_A_BLOCK_STREAM] = NLA_POLICY_MAX(NLA_U32, 3),
	[QKD_A_BLOCK_OFFSET] = { .type = NLA_U64, },
	[QKD_A_BLOCK_LENGTH] = { .type = NLA_U32, },
};

/* QKD_CMD_BLOCK_CONFIRM - do */
static const struct nla_policy qkd_block_confirm_nl_policy[QKD_A_BLOCK_VERDICT + 1] = {
	[QKD_A_BLOCK_LINK_INDEX] = { .type = NLA_U32, },
	[QKD_A_BLOCK_LINK_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
	[QKD_A_BLOCK_LABEL] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_block_label_range),
	[QKD_A_BLOCK_STREAM] = NLA_POLICY_MAX(NLA_U32, 3),
	[QKD_A_BLOCK_OFFSET] = { .type = NLA_U64, },
	[QKD_A_BLOCK_LENGTH] = { .type = NLA_U32, },
	[QKD_A_BLOCK_TAG] = NLA_POLICY_EXACT_LEN(16),
	[QKD_A_BLOCK_VERDICT] = NLA_POLICY_RANGE(NLA_U32, 1, 3),
};

/* QKD_CMD_KEY_GET - do */
static const struct nla_policy qkd_key_get_nl_policy[QKD_A_KEY_CONTEXT + 1] = {
	[QKD_A_KEY_LINK_INDEX] = { .type = NLA_U32, },
	[QKD_A_KEY_LINK_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
	[QKD_A_KEY_CLASS] = NLA_POLICY_RANGE(NLA_U32, 1, 3),
	[QKD_A_KEY_SIZE] = NLA_POLICY_RANGE(NLA_U32, 1, 2016),
	[QKD_A_KEY_COUNT] = NLA_POLICY_RANGE(NLA_U32, 1, 64),
	[QKD_A_KEY_CONTEXT_TYPE] = NLA_POLICY_MAX(NLA_U32, 6),
	[QKD_A_KEY_CONTEXT] = { .type = NLA_BINARY, },
};

/* QKD_CMD_KEY_PEEK - do */
static const struct nla_policy qkd_key_peek_nl_policy[QKD_A_KEY_ID + 1] = {
	[QKD_A_KEY_LINK_INDEX] = { .type = NLA_U32, },
	[QKD_A_KEY_LINK_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
	[QKD_A_KEY_ID] = NLA_POLICY_EXACT_LEN(16),
	[QKD_A_KEY_SIZE] = NLA_POLICY_RANGE(NLA_U32, 1, 2016),
	[QKD_A_KEY_CONTEXT_TYPE] = NLA_POLICY_MAX(NLA_U32, 6),
	[QKD_A_KEY_CONTEXT] = { .type = NLA_BINARY, },
};

/* QKD_CMD_KEY_COMMIT - do */
static const struct nla_policy qkd_key_commit_nl_policy[QKD_A_KEY_HANDLE + 1] = {
	[QKD_A_KEY_LINK_INDEX] = { .type = NLA_U32, },
	[QKD_A_KEY_LINK_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
	[QKD_A_KEY_HANDLE] = { .type = NLA_U32, },
};

/* QKD_CMD_KEY_DROP - do */
static const struct nla_policy qkd_key_drop_nl_policy[QKD_A_KEY_HANDLE + 1] = {
	[QKD_A_KEY_LINK_INDEX] = { .type = NLA_U32, },
	[QKD_A_KEY_LINK_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
	[QKD_A_KEY_HANDLE] = { .type = NLA_U32, },
};

/* QKD_CMD_KEY_GET_BY_ID - do */
static const struct nla_policy qkd_key_get_by_id_nl_policy[QKD_A_KEY_ID + 1] = {
	[QKD_A_KEY_LINK_INDEX] = { .type = NLA_U32, },
	[QKD_A_KEY_LINK_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
	[QKD_A_KEY_ID] = NLA_POLICY_EXACT_LEN(16),
	[QKD_A_KEY_SIZE] = NLA_POLICY_RANGE(NLA_U32, 1, 2016),
	[QKD_A_KEY_CONTEXT_TYPE] = NLA_POLICY_MAX(NLA_U32, 6),
	[QKD_A_KEY_CONTEXT] = { .type = NLA_BINARY, },
};

/* QKD_CMD_STATUS - do */
static const struct nla_policy qkd_status_nl_policy[QKD_A_KEY_SIZE + 1] = {
	[QKD_A_KEY_LINK_INDEX] = { .type = NLA_U32, },
	[QKD_A_KEY_LINK_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
	[QKD_A_KEY_CLASS] = NLA_POLICY_RANGE(NLA_U32, 1, 3),
	[QKD_A_KEY_SIZE] = NLA_POLICY_RANGE(NLA_U32, 1, 2016),
};

/* QKD_CMD_ESP_ADD - do */
static const struct nla_policy qkd_esp_add_nl_policy[QKD_A_ESP_BIND + 1] = {
	[QKD_A_ESP_LINK_INDEX] = { .type = NLA_U32, },
	[QKD_A_ESP_LINK_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
	[QKD_A_ESP_CIPHER] = NLA_POLICY_RANGE(NLA_U32, 1, 3),
	[QKD_A_ESP_DIR] = NLA_POLICY_RANGE(NLA_U32, 1, 2),
	[QKD_A_ESP_SPI] = { .type = NLA_U32, },
	[QKD_A_ESP_SRC] = { .type = NLA_BINARY, },
	[QKD_A_ESP_DST] = { .type = NLA_BINARY, },
	[QKD_A_ESP_MODE] = NLA_POLICY_RANGE(NLA_U32, 1, 3),
	[QKD_A_ESP_REQID] = { .type = NLA_U32, },
	[QKD_A_ESP_IF_ID] = { .type = NLA_U32, },
	[QKD_A_ESP_MARK] = { .type = NLA_U32, },
	[QKD_A_ESP_MARK_MASK] = { .type = NLA_U32, },
	[QKD_A_ESP_REPLAY_WINDOW] = NLA_POLICY_MAX(NLA_U32, 4096),
	[QKD_A_ESP_ESN] = { .type = NLA_FLAG, },
	[QKD_A_ESP_ON_EMPTY] = NLA_POLICY_RANGE(NLA_U32, 1, 2),
	[QKD_A_ESP_SEL] = NLA_POLICY_NESTED(qkd_sel_nl_policy),
	[QKD_A_ESP_REKEY_PACKETS] = NLA_POLICY_FULL_RANGE(NLA_U64, &qkd_a_esp_rekey_packets_range),
	[QKD_A_ESP_REKEY_BYTES] = NLA_POLICY_FULL_RANGE(NLA_U64, &qkd_a_esp_rekey_bytes_range),
	[QKD_A_ESP_REKEY_TIME] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_esp_rekey_time_range),
	[QKD_A_ESP_REKEY_AUTO] = { .type = NLA_FLAG, },
	[QKD_A_ESP_EPOCH_PACKETS] = NLA_POLICY_FULL_RANGE(NLA_U64, &qkd_a_esp_epoch_packets_range),
	[QKD_A_ESP_EPOCH_BYTES] = NLA_POLICY_FULL_RANGE(NLA_U64, &qkd_a_esp_epoch_bytes_range),
	[QKD_A_ESP_EPOCH_TIME] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_esp_epoch_time_range),
	[QKD_A_ESP_WEIGHT] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_esp_weight_range),
	[QKD_A_ESP_PARK_TIME] = NLA_POLICY_MAX(NLA_U32, 1000),
	[QKD_A_ESP_SECRET] = { .type = NLA_NUL_STRING, .len = 255, },
	[QKD_A_ESP_SECRET_NUMBER] = { .type = NLA_U32, },
	[QKD_A_ESP_ENCAP] = NLA_POLICY_NESTED(qkd_encap_nl_policy),
	[QKD_A_ESP_LIFETIME] = NLA_POLICY_NESTED(qkd_lifetime_nl_policy),
	[QKD_A_ESP_BIND] = { .type = NLA_NUL_STRING, .len = 255, },
};

/* QKD_CMD_ESP_REPLACE - do */
static const struct nla_policy qkd_esp_replace_nl_policy[QKD_A_ESP_BIND + 1] = {
	[QKD_A_ESP_LINK_INDEX] = { .type = NLA_U32, },
	[QKD_A_ESP_LINK_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
	[QKD_A_ESP_CIPHER] = NLA_POLICY_RANGE(NLA_U32, 1, 3),
	[QKD_A_ESP_DIR] = NLA_POLICY_RANGE(NLA_U32, 1, 2),
	[QKD_A_ESP_SPI] = { .type = NLA_U32, },
	[QKD_A_ESP_SRC] = { .type = NLA_BINARY, },
	[QKD_A_ESP_DST] = { .type = NLA_BINARY, },
	[QKD_A_ESP_MODE] = NLA_POLICY_RANGE(NLA_U32, 1, 3),
	[QKD_A_ESP_REQID] = { .type = NLA_U32, },
	[QKD_A_ESP_IF_ID] = { .type = NLA_U32, },
	[QKD_A_ESP_MARK] = { .type = NLA_U32, },
	[QKD_A_ESP_MARK_MASK] = { .type = NLA_U32, },
	[QKD_A_ESP_REPLAY_WINDOW] = NLA_POLICY_MAX(NLA_U32, 4096),
	[QKD_A_ESP_ESN] = { .type = NLA_FLAG, },
	[QKD_A_ESP_ON_EMPTY] = NLA_POLICY_RANGE(NLA_U32, 1, 2),
	[QKD_A_ESP_SEL] = NLA_POLICY_NESTED(qkd_sel_nl_policy),
	[QKD_A_ESP_REKEY_PACKETS] = NLA_POLICY_FULL_RANGE(NLA_U64, &qkd_a_esp_rekey_packets_range),
	[QKD_A_ESP_REKEY_BYTES] = NLA_POLICY_FULL_RANGE(NLA_U64, &qkd_a_esp_rekey_bytes_range),
	[QKD_A_ESP_REKEY_TIME] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_esp_rekey_time_range),
	[QKD_A_ESP_REKEY_AUTO] = { .type = NLA_FLAG, },
	[QKD_A_ESP_EPOCH_PACKETS] = NLA_POLICY_FULL_RANGE(NLA_U64, &qkd_a_esp_epoch_packets_range),
	[QKD_A_ESP_EPOCH_BYTES] = NLA_POLICY_FULL_RANGE(NLA_U64, &qkd_a_esp_epoch_bytes_range),
	[QKD_A_ESP_EPOCH_TIME] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_esp_epoch_time_range),
	[QKD_A_ESP_WEIGHT] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_esp_weight_range),
	[QKD_A_ESP_PARK_TIME] = NLA_POLICY_MAX(NLA_U32, 1000),
	[QKD_A_ESP_SECRET] = { .type = NLA_NUL_STRING, .len = 255, },
	[QKD_A_ESP_SECRET_NUMBER] = { .type = NLA_U32, },
	[QKD_A_ESP_ENCAP] = NLA_POLICY_NESTED(qkd_encap_nl_policy),
	[QKD_A_ESP_LIFETIME] = NLA_POLICY_NESTED(qkd_lifetime_nl_policy),
	[QKD_A_ESP_BIND] = { .type = NLA_NUL_STRING, .len = 255, },
};

/* QKD_CMD_ESP_DEL - do */
static const struct nla_policy qkd_esp_del_nl_policy[QKD_A_ESP_SPI + 1] = {
	[QKD_A_ESP_LINK_INDEX] = { .type = NLA_U32, },
	[QKD_A_ESP_LINK_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
	[QKD_A_ESP_DIR] = NLA_POLICY_RANGE(NLA_U32, 1, 2),
	[QKD_A_ESP_SPI] = { .type = NLA_U32, },
};

/* QKD_CMD_ESP_GET - do */
static const struct nla_policy qkd_esp_get_nl_policy[QKD_A_ESP_SPI + 1] = {
	[QKD_A_ESP_LINK_INDEX] = { .type = NLA_U32, },
	[QKD_A_ESP_LINK_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
	[QKD_A_ESP_DIR] = NLA_POLICY_RANGE(NLA_U32, 1, 2),
	[QKD_A_ESP_SPI] = { .type = NLA_U32, },
};

/* QKD_CMD_ESP_SET - do */
static const struct nla_policy qkd_esp_set_nl_policy[QKD_A_ESP_SECRET_NUMBER + 1] = {
	[QKD_A_ESP_LINK_INDEX] = { .type = NLA_U32, },
	[QKD_A_ESP_LINK_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
	[QKD_A_ESP_DIR] = NLA_POLICY_RANGE(NLA_U32, 1, 2),
	[QKD_A_ESP_SPI] = { .type = NLA_U32, },
	[QKD_A_ESP_REKEY_PACKETS] = NLA_POLICY_FULL_RANGE(NLA_U64, &qkd_a_esp_rekey_packets_range),
	[QKD_A_ESP_REKEY_BYTES] = NLA_POLICY_FULL_RANGE(NLA_U64, &qkd_a_esp_rekey_bytes_range),
	[QKD_A_ESP_REKEY_TIME] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_esp_rekey_time_range),
	[QKD_A_ESP_REKEY_AUTO] = { .type = NLA_FLAG, },
	[QKD_A_ESP_WEIGHT] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_esp_weight_range),
	[QKD_A_ESP_PARK_TIME] = NLA_POLICY_MAX(NLA_U32, 1000),
	[QKD_A_ESP_SECRET] = { .type = NLA_NUL_STRING, .len = 255, },
	[QKD_A_ESP_SECRET_NUMBER] = { .type = NLA_U32, },
};

/* QKD_CMD_ESP_FLUSH - do */
static const struct nla_policy qkd_esp_flush_nl_policy[QKD_A_ESP_LINK_NAME + 1] = {
	[QKD_A_ESP_LINK_INDEX] = { .type = NLA_U32, },
	[QKD_A_ESP_LINK_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
};

/* QKD_CMD_BLOCK_GET - do */
static const struct nla_policy qkd_block_get_nl_policy[QKD_A_BLOCK_STREAM + 1] = {
	[QKD_A_BLOCK_LINK_INDEX] = { .type = NLA_U32, },
	[QKD_A_BLOCK_LINK_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
	[QKD_A_BLOCK_LABEL] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_block_label_range),
	[QKD_A_BLOCK_STREAM] = NLA_POLICY_MAX(NLA_U32, 3),
};

/* QKD_CMD_BLOCK_COMPARE - do */
static const struct nla_policy qkd_block_compare_nl_policy[QKD_A_BLOCK_TAG + 1] = {
	[QKD_A_BLOCK_LINK_INDEX] = { .type = NLA_U32, },
	[QKD_A_BLOCK_LINK_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
	[QKD_A_BLOCK_LABEL] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_block_label_range),
	[QKD_A_BLOCK_STREAM] = NLA_POLICY_MAX(NLA_U32, 3),
	[QKD_A_BLOCK_OFFSET] = { .type = NLA_U64, },
	[QKD_A_BLOCK_LENGTH] = { .type = NLA_U32, },
	[QKD_A_BLOCK_TAG] = NLA_POLICY_EXACT_LEN(16),
};

/* QKD_CMD_MACSEC_BIND - do */
static const struct nla_policy qkd_macsec_bind_nl_policy[QKD_A_MACSEC_MAX_TIME + 1] = {
	[QKD_A_MACSEC_LINK_INDEX] = { .type = NLA_U32, },
	[QKD_A_MACSEC_LINK_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
	[QKD_A_MACSEC_IFINDEX] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_macsec_ifindex_range),
	[QKD_A_MACSEC_MAX_TIME] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_macsec_max_time_range),
};

/* QKD_CMD_MACSEC_UNBIND - do */
static const struct nla_policy qkd_macsec_unbind_nl_policy[QKD_A_MACSEC_IFINDEX + 1] = {
	[QKD_A_MACSEC_IFINDEX] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_macsec_ifindex_range),
};

/* QKD_CMD_MACSEC_GET - do */
static const struct nla_policy qkd_macsec_get_nl_policy[QKD_A_MACSEC_IFINDEX + 1] = {
	[QKD_A_MACSEC_IFINDEX] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_macsec_ifindex_range),
};

/* QKD_CMD_MACSEC_SA_ADD - do */
static const struct nla_policy qkd_macsec_sa_add_nl_policy[QKD_A_MACSEC_SA_KEY_ID + 1] = {
	[QKD_A_MACSEC_SA_IFINDEX] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_macsec_sa_ifindex_range),
	[QKD_A_MACSEC_SA_DIR] = NLA_POLICY_RANGE(NLA_U32, 1, 2),
	[QKD_A_MACSEC_SA_AN] = NLA_POLICY_MAX(NLA_U32, 3),
	[QKD_A_MACSEC_SA_SCI] = { .type = NLA_U64, },
	[QKD_A_MACSEC_SA_KEY_ID] = NLA_POLICY_EXACT_LEN(16),
};

/* QKD_CMD_MACSEC_SA_DEL - do */
static const struct nla_policy qkd_macsec_sa_del_nl_policy[QKD_A_MACSEC_SA_SCI + 1] = {
	[QKD_A_MACSEC_SA_IFINDEX] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_macsec_sa_ifindex_range),
	[QKD_A_MACSEC_SA_DIR] = NLA_POLICY_RANGE(NLA_U32, 1, 2),
	[QKD_A_MACSEC_SA_AN] = NLA_POLICY_MAX(NLA_U32, 3),
	[QKD_A_MACSEC_SA_SCI] = { .type = NLA_U64, },
};

/* QKD_CMD_MACSEC_SA_GET - do */
static const struct nla_policy qkd_macsec_sa_get_nl_policy[QKD_A_MACSEC_SA_SCI + 1] = {
	[QKD_A_MACSEC_SA_IFINDEX] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_macsec_sa_ifindex_range),
	[QKD_A_MACSEC_SA_DIR] = NLA_POLICY_RANGE(NLA_U32, 1, 2),
	[QKD_A_MACSEC_SA_AN] = NLA_POLICY_MAX(NLA_U32, 3),
	[QKD_A_MACSEC_SA_SCI] = { .type = NLA_U64, },
};

/* QKD_CMD_WG_SET - do */
static const struct nla_policy qkd_wg_set_nl_policy[QKD_A_WG_HOLD + 1] = {
	[QKD_A_WG_LINK_INDEX] = { .type = NLA_U32, },
	[QKD_A_WG_LINK_NAME] = { .type = NLA_NUL_STRING, .len = 15, },
	[QKD_A_WG_IFINDEX] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_wg_ifindex_range),
	[QKD_A_WG_PEER] = NLA_POLICY_EXACT_LEN(32),
	[QKD_A_WG_MAX_TIME] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_wg_max_time_range),
	[QKD_A_WG_KEY_ID] = NLA_POLICY_EXACT_LEN(16),
	[QKD_A_WG_HOLD] = { .type = NLA_FLAG, },
};

/* QKD_CMD_WG_DEL - do */
static const struct nla_policy qkd_wg_del_nl_policy[QKD_A_WG_PEER + 1] = {
	[QKD_A_WG_IFINDEX] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_wg_ifindex_range),
	[QKD_A_WG_PEER] = NLA_POLICY_EXACT_LEN(32),
};

/* QKD_CMD_WG_GET - do */
static const struct nla_policy qkd_wg_get_nl_policy[QKD_A_WG_PEER + 1] = {
	[QKD_A_WG_IFINDEX] = NLA_POLICY_FULL_RANGE(NLA_U32, &qkd_a_wg_ifindex_range),
	[QKD_A_WG_PEER] = NLA_POLICY_EXACT_LEN(32),
};

/* Ops table for qkd */
static const struct genl_split_ops qkd_nl_ops[] = {
	{
		.cmd		= QKD_CMD_LINK_NEW,
		.doit		= qkd_nl_link_new_doit,
		.policy		= qkd_link_new_nl_policy,
		.maxattr	= QKD_A_LINK_EMU,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_LINK_DEL,
		.doit		= qkd_nl_link_del_doit,
		.policy		= qkd_link_del_nl_policy,
		.maxattr	= QKD_A_LINK_NAME,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_LINK_SET,
		.doit		= qkd_nl_link_set_doit,
		.policy		= qkd_link_set_nl_policy,
		.maxattr	= QKD_A_LINK_EMU,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_LINK_GET,
		.doit		= qkd_nl_link_get_doit,
		.policy		= qkd_link_get_nl_policy,
		.maxattr	= QKD_A_LINK_NAME,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd	= QKD_CMD_LINK_DUMP,
		.dumpit	= qkd_nl_link_dump_dumpit,
		.flags	= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= QKD_CMD_GEN_BEGIN,
		.doit		= qkd_nl_gen_begin_doit,
		.policy		= qkd_gen_begin_nl_policy,
		.maxattr	= QKD_A_GEN_KEY_CAPACITY,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_GEN_OPEN,
		.doit		= qkd_nl_gen_open_doit,
		.policy		= qkd_gen_open_nl_policy,
		.maxattr	= QKD_A_GEN_GENERATION,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_GEN_END,
		.doit		= qkd_nl_gen_end_doit,
		.policy		= qkd_gen_end_nl_policy,
		.maxattr	= QKD_A_GEN_REASON,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_BLOCK_TAG,
		.doit		= qkd_nl_block_tag_doit,
		.policy		= qkd_block_tag_nl_policy,
		.maxattr	= QKD_A_BLOCK_LENGTH,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_BLOCK_CONFIRM,
		.doit		= qkd_nl_block_confirm_doit,
		.policy		= qkd_block_confirm_nl_policy,
		.maxattr	= QKD_A_BLOCK_VERDICT,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_KEY_GET,
		.doit		= qkd_nl_key_get_doit,
		.policy		= qkd_key_get_nl_policy,
		.maxattr	= QKD_A_KEY_CONTEXT,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_KEY_PEEK,
		.doit		= qkd_nl_key_peek_doit,
		.policy		= qkd_key_peek_nl_policy,
		.maxattr	= QKD_A_KEY_ID,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_KEY_COMMIT,
		.doit		= qkd_nl_key_commit_doit,
		.policy		= qkd_key_commit_nl_policy,
		.maxattr	= QKD_A_KEY_HANDLE,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_KEY_DROP,
		.doit		= qkd_nl_key_drop_doit,
		.policy		= qkd_key_drop_nl_policy,
		.maxattr	= QKD_A_KEY_HANDLE,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_KEY_GET_BY_ID,
		.doit		= qkd_nl_key_get_by_id_doit,
		.policy		= qkd_key_get_by_id_nl_policy,
		.maxattr	= QKD_A_KEY_ID,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_STATUS,
		.doit		= qkd_nl_status_doit,
		.policy		= qkd_status_nl_policy,
		.maxattr	= QKD_A_KEY_SIZE,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_ESP_ADD,
		.doit		= qkd_nl_esp_add_doit,
		.policy		= qkd_esp_add_nl_policy,
		.maxattr	= QKD_A_ESP_BIND,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_ESP_REPLACE,
		.doit		= qkd_nl_esp_replace_doit,
		.policy		= qkd_esp_replace_nl_policy,
		.maxattr	= QKD_A_ESP_BIND,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_ESP_DEL,
		.doit		= qkd_nl_esp_del_doit,
		.policy		= qkd_esp_del_nl_policy,
		.maxattr	= QKD_A_ESP_SPI,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_ESP_GET,
		.doit		= qkd_nl_esp_get_doit,
		.policy		= qkd_esp_get_nl_policy,
		.maxattr	= QKD_A_ESP_SPI,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd	= QKD_CMD_ESP_DUMP,
		.dumpit	= qkd_nl_esp_dump_dumpit,
		.flags	= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= QKD_CMD_ESP_SET,
		.doit		= qkd_nl_esp_set_doit,
		.policy		= qkd_esp_set_nl_policy,
		.maxattr	= QKD_A_ESP_SECRET_NUMBER,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_ESP_FLUSH,
		.doit		= qkd_nl_esp_flush_doit,
		.policy		= qkd_esp_flush_nl_policy,
		.maxattr	= QKD_A_ESP_LINK_NAME,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_BLOCK_GET,
		.doit		= qkd_nl_block_get_doit,
		.policy		= qkd_block_get_nl_policy,
		.maxattr	= QKD_A_BLOCK_STREAM,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_BLOCK_COMPARE,
		.doit		= qkd_nl_block_compare_doit,
		.policy		= qkd_block_compare_nl_policy,
		.maxattr	= QKD_A_BLOCK_TAG,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_MACSEC_BIND,
		.doit		= qkd_nl_macsec_bind_doit,
		.policy		= qkd_macsec_bind_nl_policy,
		.maxattr	= QKD_A_MACSEC_MAX_TIME,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_MACSEC_UNBIND,
		.doit		= qkd_nl_macsec_unbind_doit,
		.policy		= qkd_macsec_unbind_nl_policy,
		.maxattr	= QKD_A_MACSEC_IFINDEX,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_MACSEC_GET,
		.doit		= qkd_nl_macsec_get_doit,
		.policy		= qkd_macsec_get_nl_policy,
		.maxattr	= QKD_A_MACSEC_IFINDEX,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd	= QKD_CMD_MACSEC_DUMP,
		.dumpit	= qkd_nl_macsec_dump_dumpit,
		.flags	= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= QKD_CMD_MACSEC_SA_ADD,
		.doit		= qkd_nl_macsec_sa_add_doit,
		.policy		= qkd_macsec_sa_add_nl_policy,
		.maxattr	= QKD_A_MACSEC_SA_KEY_ID,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_MACSEC_SA_DEL,
		.doit		= qkd_nl_macsec_sa_del_doit,
		.policy		= qkd_macsec_sa_del_nl_policy,
		.maxattr	= QKD_A_MACSEC_SA_SCI,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_MACSEC_SA_GET,
		.doit		= qkd_nl_macsec_sa_get_doit,
		.policy		= qkd_macsec_sa_get_nl_policy,
		.maxattr	= QKD_A_MACSEC_SA_SCI,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd	= QKD_CMD_MACSEC_SA_DUMP,
		.dumpit	= qkd_nl_macsec_sa_dump_dumpit,
		.flags	= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= QKD_CMD_WG_SET,
		.doit		= qkd_nl_wg_set_doit,
		.policy		= qkd_wg_set_nl_policy,
		.maxattr	= QKD_A_WG_HOLD,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_WG_DEL,
		.doit		= qkd_nl_wg_del_doit,
		.policy		= qkd_wg_del_nl_policy,
		.maxattr	= QKD_A_WG_PEER,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= QKD_CMD_WG_GET,
		.doit		= qkd_nl_wg_get_doit,
		.policy		= qkd_wg_get_nl_policy,
		.maxattr	= QKD_A_WG_PEER,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd	= QKD_CMD_WG_DUMP,
		.dumpit	= qkd_nl_wg_dump_dumpit,
		.flags	= GENL_CMD_CAP_DUMP,
	},
};

static const struct genl_multicast_group qkd_nl_mcgrps[] = {
	[QKD_NLGRP_EVENTS] = { "events", },
};

struct genl_family qkd_nl_family __ro_after_init = {
	.name		= QKD_FAMILY_NAME,
	.version	= QKD_FAMILY_VERSION,
	.netnsok	= true,
	.parallel_ops	= true,
	.module		= THIS_MODULE,
	.split_ops	= qkd_nl_ops,
	.n_split_ops	= ARRAY_SIZE(qkd_nl_ops),
	.mcgrps		= qkd_nl_mcgrps,
	.n_mcgrps	= ARRAY_SIZE(qkd_nl_mcgrps),
};
