// SPDX-License-Identifier: LGPL-2.1-or-later
/* Attributes: between messages and structures, and their names. */
#include <stdio.h>
#include <sys/socket.h>

#include "internal.h"

static int put_addr(struct nl_msg *msg, int attr, const struct qkd_addr *addr)
{
	int length = addr->family == AF_INET6 ? 16 : 4;

	if (addr->family != AF_INET && addr->family != AF_INET6)
		return -NLE_AF_NOSUPPORT;
	return nla_put(msg, attr, length, addr->bytes);
}

static int field_put(struct nl_msg *msg, const struct attr_field *f,
		     const void *member)
{
	switch (f->type) {
	case FIELD_U32:
		return nla_put_u32(msg, f->attr, *(const uint32_t *)member);
	case FIELD_U64:
		return nla_put_u64(msg, f->attr, *(const uint64_t *)member);
	case FIELD_BE32:
		return nla_put_u32(msg, f->attr,
				   htobe32(*(const uint32_t *)member));
	case FIELD_BE64:
		return nla_put_u64(msg, f->attr,
				   htobe64(*(const uint64_t *)member));
	case FIELD_STRING:
		if (!memchr(member, '\0', f->size))
			return -NLE_RANGE;
		return nla_put_string(msg, f->attr, member);
	case FIELD_BYTES:
		return nla_put(msg, f->attr, f->size, member);
	case FIELD_FLAG:
		return *(const uint32_t *)member ? nla_put_flag(msg, f->attr) :
						   0;
	case FIELD_ADDR:
		return put_addr(msg, f->attr, member);
	}
	return -NLE_INVAL;
}

/* Puts the members that @has names. Returns 0 or a negative errno. */
int fields_put(struct nl_msg *msg, const struct attr_field *fields, size_t n,
	       const void *object, uint64_t has)
{
	size_t i;
	int err;

	for (i = 0; i < n; i++) {
		if (!(has & QKD_HAS(fields[i].attr)))
			continue;
		err = field_put(msg, &fields[i],
				(const char *)object + fields[i].offset);
		if (err)
			return to_errno(err);
	}
	return 0;
}

static bool field_get(const struct attr_field *f, void *member,
		      const struct nlattr *attr)
{
	size_t length = nla_len(attr);
	struct qkd_addr *addr;

	switch (f->type) {
	case FIELD_U32:
	case FIELD_BE32:
		if (length < sizeof(uint32_t))
			return false;
		*(uint32_t *)member = f->type == FIELD_BE32 ?
					      be32toh(nla_get_u32(attr)) :
					      nla_get_u32(attr);
		return true;
	case FIELD_U64:
	case FIELD_BE64:
		if (length < sizeof(uint64_t))
			return false;
		*(uint64_t *)member = f->type == FIELD_BE64 ?
					      be64toh(nla_get_u64(attr)) :
					      nla_get_u64(attr);
		return true;
	case FIELD_STRING:
		return nla_strlcpy(member, attr, f->size) < f->size;
	case FIELD_BYTES:
		if (length != f->size)
			return false;
		memcpy(member, nla_data(attr), length);
		return true;
	case FIELD_FLAG:
		*(uint32_t *)member = 1;
		return true;
	case FIELD_ADDR:
		addr = member;
		if (length != 4 && length != 16)
			return false;
		addr->family = length == 4 ? AF_INET : AF_INET6;
		memcpy(addr->bytes, nla_data(attr), length);
		return true;
	}
	return false;
}

/* Fills the members whose attributes are there; returns which. */
uint64_t fields_get(const struct attr_field *fields, size_t n, void *object,
		    struct nlattr **attrs, int max)
{
	uint64_t has = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (fields[i].attr > max || !attrs[fields[i].attr])
			continue;
		if (field_get(&fields[i], (char *)object + fields[i].offset,
			      attrs[fields[i].attr]))
			has |= QKD_HAS(fields[i].attr);
	}
	return has;
}

/* Attributes that a later kernel adds are skipped. */
int attrs_parse(struct nlattr **attrs, int max, struct nlattr *head, int length)
{
	return to_errno(nla_parse(attrs, max, head, length, NULL));
}

/* Fills the members whose attributes came, and adds these to @has. */
int fields_parse(const struct attr_field *fields, size_t n, void *object,
		 uint64_t *has, struct nlattr *head, int length)
{
	struct nlattr *attrs[8 * sizeof(*has)];
	int err;

	err = attrs_parse(attrs, ARRAY_SIZE(attrs) - 1, head, length);
	if (!err)
		*has |= fields_get(fields, n, object, attrs,
				   ARRAY_SIZE(attrs) - 1);
	return err;
}

struct attr_set;

struct attr_desc {
	const char *name;
	const struct attr_set *nested;
};

struct attr_set {
	const struct attr_desc *desc;
	uint32_t n;
};

#define SET(array) { .desc = (array), .n = ARRAY_SIZE(array) }

static const struct attr_desc emu_attrs[] = {
	[QKD_A_EMU_RATE] = { .name = "rate" },
	[QKD_A_EMU_QBER] = { .name = "qber" },
	[QKD_A_EMU_THRESHOLD] = { .name = "threshold" },
	[QKD_A_EMU_PROTOCOL] = { .name = "protocol" },
	[QKD_A_EMU_SEED] = { .name = "seed" },
	[QKD_A_EMU_GEN] = { .name = "gen" },
	[QKD_A_EMU_STOPPED] = { .name = "stopped" },
	[QKD_A_EMU_FLIP] = { .name = "flip" },
	[QKD_A_EMU_LOSE] = { .name = "lose" },
	[QKD_A_EMU_PEER_NAME] = { .name = "peer-name" },
	[QKD_A_EMU_PEER_NETNS_FD] = { .name = "peer-netns-fd" },
	[QKD_A_EMU_PEER_INDEX] = { .name = "peer-index" },
	[QKD_A_EMU_BLOCK] = { .name = "block" },
};

static const struct attr_set emu_set = SET(emu_attrs);

static const struct attr_desc link_attrs[] = {
	[QKD_A_LINK_INDEX] = { .name = "index" },
	[QKD_A_LINK_NAME] = { .name = "name" },
	[QKD_A_LINK_TYPE] = { .name = "type" },
	[QKD_A_LINK_ROLE] = { .name = "role" },
	[QKD_A_LINK_ID] = { .name = "id" },
	[QKD_A_LINK_PEER_ID] = { .name = "peer-id" },
	[QKD_A_LINK_CONFIRM] = { .name = "confirm" },
	[QKD_A_LINK_EXPORT] = { .name = "export" },
	[QKD_A_LINK_MAX_AGE] = { .name = "max-age" },
	[QKD_A_LINK_PAD_KEEP] = { .name = "pad-keep" },
	[QKD_A_LINK_KEY_KEEP] = { .name = "key-keep" },
	[QKD_A_LINK_PAD_CAPACITY] = { .name = "pad-capacity" },
	[QKD_A_LINK_KEY_CAPACITY] = { .name = "key-capacity" },
	[QKD_A_LINK_PAD_LOW] = { .name = "pad-low" },
	[QKD_A_LINK_KEY_LOW] = { .name = "key-low" },
	[QKD_A_LINK_RESERVE_CONTROL] = { .name = "reserve-control" },
	[QKD_A_LINK_RESERVE_REKEY] = { .name = "reserve-rekey" },
	[QKD_A_LINK_RESERVE_EXPORT] = { .name = "reserve-export" },
	[QKD_A_LINK_ADMIN] = { .name = "admin" },
	[QKD_A_LINK_EMU] = { .name = "emu", .nested = &emu_set },
};

static const struct attr_desc gen_attrs[] = {
	[QKD_A_GEN_LINK_INDEX] = { .name = "link-index" },
	[QKD_A_GEN_LINK_NAME] = { .name = "link-name" },
	[QKD_A_GEN_LABEL] = { .name = "label" },
	[QKD_A_GEN_GENERATION] = { .name = "generation" },
	[QKD_A_GEN_HASH] = { .name = "hash" },
	[QKD_A_GEN_PEER_ROLE] = { .name = "peer-role" },
	[QKD_A_GEN_PAD_CAPACITY] = { .name = "pad-capacity" },
	[QKD_A_GEN_KEY_CAPACITY] = { .name = "key-capacity" },
	[QKD_A_GEN_REASON] = { .name = "reason" },
};

static const struct attr_desc block_attrs[] = {
	[QKD_A_BLOCK_LINK_INDEX] = { .name = "link-index" },
	[QKD_A_BLOCK_LINK_NAME] = { .name = "link-name" },
	[QKD_A_BLOCK_LABEL] = { .name = "label" },
	[QKD_A_BLOCK_STREAM] = { .name = "stream" },
	[QKD_A_BLOCK_OFFSET] = { .name = "offset" },
	[QKD_A_BLOCK_LENGTH] = { .name = "length" },
	[QKD_A_BLOCK_TAG] = { .name = "tag" },
	[QKD_A_BLOCK_VERDICT] = { .name = "verdict" },
};

static const struct attr_desc key_attrs[] = {
	[QKD_A_KEY_LINK_INDEX] = { .name = "link-index" },
	[QKD_A_KEY_LINK_NAME] = { .name = "link-name" },
	[QKD_A_KEY_CLASS] = { .name = "class" },
	[QKD_A_KEY_SIZE] = { .name = "size" },
	[QKD_A_KEY_COUNT] = { .name = "count" },
	[QKD_A_KEY_CONTEXT_TYPE] = { .name = "context-type" },
	[QKD_A_KEY_CONTEXT] = { .name = "context" },
	[QKD_A_KEY_ID] = { .name = "id" },
	[QKD_A_KEY_HANDLE] = { .name = "handle" },
};

static const struct attr_desc sel_attrs[] = {
	[QKD_A_SEL_SRC] = { .name = "src" },
	[QKD_A_SEL_SRC_PREFIX] = { .name = "src-prefix" },
	[QKD_A_SEL_DST] = { .name = "dst" },
	[QKD_A_SEL_DST_PREFIX] = { .name = "dst-prefix" },
	[QKD_A_SEL_PROTO] = { .name = "proto" },
	[QKD_A_SEL_SPORT] = { .name = "sport" },
	[QKD_A_SEL_DPORT] = { .name = "dport" },
	[QKD_A_SEL_IFINDEX] = { .name = "ifindex" },
};

static const struct attr_desc encap_attrs[] = {
	[QKD_A_ENCAP_SPORT] = { .name = "sport" },
	[QKD_A_ENCAP_DPORT] = { .name = "dport" },
};

static const struct attr_desc lifetime_attrs[] = {
	[QKD_A_LIFETIME_SOFT_BYTES] = { .name = "soft-bytes" },
	[QKD_A_LIFETIME_HARD_BYTES] = { .name = "hard-bytes" },
	[QKD_A_LIFETIME_SOFT_PACKETS] = { .name = "soft-packets" },
	[QKD_A_LIFETIME_HARD_PACKETS] = { .name = "hard-packets" },
	[QKD_A_LIFETIME_SOFT_ADD_TIME] = { .name = "soft-add-time" },
	[QKD_A_LIFETIME_HARD_ADD_TIME] = { .name = "hard-add-time" },
	[QKD_A_LIFETIME_SOFT_USE_TIME] = { .name = "soft-use-time" },
	[QKD_A_LIFETIME_HARD_USE_TIME] = { .name = "hard-use-time" },
};

static const struct attr_set sel_set = SET(sel_attrs);
static const struct attr_set encap_set = SET(encap_attrs);
static const struct attr_set lifetime_set = SET(lifetime_attrs);

static const struct attr_desc esp_attrs[] = {
	[QKD_A_ESP_LINK_INDEX] = { .name = "link-index" },
	[QKD_A_ESP_LINK_NAME] = { .name = "link-name" },
	[QKD_A_ESP_CIPHER] = { .name = "cipher" },
	[QKD_A_ESP_DIR] = { .name = "dir" },
	[QKD_A_ESP_SPI] = { .name = "spi" },
	[QKD_A_ESP_SRC] = { .name = "src" },
	[QKD_A_ESP_DST] = { .name = "dst" },
	[QKD_A_ESP_MODE] = { .name = "mode" },
	[QKD_A_ESP_REQID] = { .name = "reqid" },
	[QKD_A_ESP_IF_ID] = { .name = "if-id" },
	[QKD_A_ESP_MARK] = { .name = "mark" },
	[QKD_A_ESP_MARK_MASK] = { .name = "mark-mask" },
	[QKD_A_ESP_REPLAY_WINDOW] = { .name = "replay-window" },
	[QKD_A_ESP_ESN] = { .name = "esn" },
	[QKD_A_ESP_ON_EMPTY] = { .name = "on-empty" },
	[QKD_A_ESP_SEL] = { .name = "sel", .nested = &sel_set },
	[QKD_A_ESP_REKEY_PACKETS] = { .name = "rekey-packets" },
	[QKD_A_ESP_REKEY_BYTES] = { .name = "rekey-bytes" },
	[QKD_A_ESP_REKEY_TIME] = { .name = "rekey-time" },
	[QKD_A_ESP_REKEY_AUTO] = { .name = "rekey-auto" },
	[QKD_A_ESP_EPOCH_PACKETS] = { .name = "epoch-packets" },
	[QKD_A_ESP_EPOCH_BYTES] = { .name = "epoch-bytes" },
	[QKD_A_ESP_EPOCH_TIME] = { .name = "epoch-time" },
	[QKD_A_ESP_WEIGHT] = { .name = "weight" },
	[QKD_A_ESP_PARK_TIME] = { .name = "park-time" },
	[QKD_A_ESP_BIND] = { .name = "bind" },
	[QKD_A_ESP_SECRET] = { .name = "secret" },
	[QKD_A_ESP_SECRET_NUMBER] = { .name = "secret-number" },
	[QKD_A_ESP_ENCAP] = { .name = "encap", .nested = &encap_set },
	[QKD_A_ESP_LIFETIME] = { .name = "lifetime", .nested = &lifetime_set },
};

static const struct attr_desc macsec_attrs[] = {
	[QKD_A_MACSEC_LINK_INDEX] = { .name = "link-index" },
	[QKD_A_MACSEC_LINK_NAME] = { .name = "link-name" },
	[QKD_A_MACSEC_IFINDEX] = { .name = "ifindex" },
	[QKD_A_MACSEC_MAX_TIME] = { .name = "max-time" },
};

static const struct attr_desc macsec_sa_attrs[] = {
	[QKD_A_MACSEC_SA_IFINDEX] = { .name = "ifindex" },
	[QKD_A_MACSEC_SA_DIR] = { .name = "dir" },
	[QKD_A_MACSEC_SA_AN] = { .name = "an" },
	[QKD_A_MACSEC_SA_SCI] = { .name = "sci" },
	[QKD_A_MACSEC_SA_KEY_ID] = { .name = "key-id" },
};

static const struct attr_desc wg_attrs[] = {
	[QKD_A_WG_LINK_INDEX] = { .name = "link-index" },
	[QKD_A_WG_LINK_NAME] = { .name = "link-name" },
	[QKD_A_WG_IFINDEX] = { .name = "ifindex" },
	[QKD_A_WG_PEER] = { .name = "peer" },
	[QKD_A_WG_MAX_TIME] = { .name = "max-time" },
	[QKD_A_WG_KEY_ID] = { .name = "key-id" },
	[QKD_A_WG_HOLD] = { .name = "hold" },
};

static const struct attr_set link_set = SET(link_attrs);
static const struct attr_set gen_set = SET(gen_attrs);
static const struct attr_set block_set = SET(block_attrs);
static const struct attr_set key_set = SET(key_attrs);
static const struct attr_set esp_set = SET(esp_attrs);
static const struct attr_set macsec_set = SET(macsec_attrs);
static const struct attr_set macsec_sa_set = SET(macsec_sa_attrs);
static const struct attr_set wg_set = SET(wg_attrs);

static const struct attr_set *set_of(uint8_t cmd)
{
	switch (cmd) {
	case QKD_CMD_LINK_NEW ... QKD_CMD_LINK_DUMP:
		return &link_set;
	case QKD_CMD_GEN_BEGIN ... QKD_CMD_GEN_END:
		return &gen_set;
	case QKD_CMD_BLOCK_TAG ... QKD_CMD_BLOCK_CONFIRM:
		return &block_set;
	case QKD_CMD_KEY_GET ... QKD_CMD_STATUS:
		return &key_set;
	case QKD_CMD_ESP_ADD ... QKD_CMD_ESP_DUMP:
	case QKD_CMD_ESP_SET ... QKD_CMD_ESP_FLUSH:
		return &esp_set;
	case QKD_CMD_MACSEC_BIND ... QKD_CMD_MACSEC_DUMP:
		return &macsec_set;
	case QKD_CMD_MACSEC_SA_ADD ... QKD_CMD_MACSEC_SA_DUMP:
		return &macsec_sa_set;
	case QKD_CMD_WG_SET ... QKD_CMD_WG_DUMP:
		return &wg_set;
	}
	return NULL;
}

static void append(char *name, size_t size, const struct attr_set *set,
		   uint32_t type)
{
	size_t used = strlen(name);

	if (!set || type >= set->n || !set->desc[type].name)
		snprintf(name + used, size - used, "%s%u", used ? "." : "",
			 type);
	else
		snprintf(name + used, size - used, "%s%s", used ? "." : "",
			 set->desc[type].name);
}

/* Names the attribute that begins at @offset of the request, with its nest
 * before it: "emu.rate". Returns the set of what is nested in it.
 */
static const struct attr_set *
find(char *name, size_t size, const struct nlmsghdr *request, uint32_t offset)
{
	const struct genlmsghdr *genl = nlmsg_data(request);
	const struct attr_set *set = set_of(genl->cmd), *nested;
	struct nlattr *attr = genlmsg_attrdata(genl, 0);
	int left = genlmsg_attrlen(genl, 0);
	uint32_t start, type;

	name[0] = '\0';
	while (nla_ok(attr, left)) {
		start = (const char *)attr - (const char *)request;
		type = nla_type(attr);
		nested = set && type < set->n ? set->desc[type].nested : NULL;

		if (offset == start) {
			append(name, size, set, type);
			return nested;
		}
		if (nested && offset > start &&
		    offset < start + attr->nla_len) {
			append(name, size, set, type);
			set = nested;
			left = nla_len(attr);
			attr = nla_data(attr);
			continue;
		}
		attr = nla_next(attr, &left);
	}
	return NULL;
}

void attr_name_at(char *name, size_t size, const struct nlmsghdr *request,
		  uint32_t offset)
{
	find(name, size, request, offset);
}

/* @nest: offset of the nest that lacks it, 0 for the top. */
void attr_name_missing(char *name, size_t size, const struct nlmsghdr *request,
		       uint32_t nest, uint32_t type)
{
	const struct genlmsghdr *genl = nlmsg_data(request);
	const struct attr_set *set = set_of(genl->cmd);

	name[0] = '\0';
	if (nest)
		set = find(name, size, request, nest);
	append(name, size, set, type);
}
