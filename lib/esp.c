// SPDX-License-Identifier: LGPL-2.1-or-later
/* ESP SAs. */
#include "internal.h"

static const struct attr_field sel_fields[] = {
	FIELD(ADDR, QKD_A_SEL_SRC, struct qkd_sel, src),
	FIELD(U32, QKD_A_SEL_SRC_PREFIX, struct qkd_sel, src_prefix),
	FIELD(ADDR, QKD_A_SEL_DST, struct qkd_sel, dst),
	FIELD(U32, QKD_A_SEL_DST_PREFIX, struct qkd_sel, dst_prefix),
	FIELD(U32, QKD_A_SEL_PROTO, struct qkd_sel, proto),
	FIELD(U32, QKD_A_SEL_SPORT, struct qkd_sel, sport),
	FIELD(U32, QKD_A_SEL_DPORT, struct qkd_sel, dport),
	FIELD(U32, QKD_A_SEL_IFINDEX, struct qkd_sel, ifindex),
};

static const struct attr_field refused_fields[] = {
	FIELD(U64, QKD_A_ESP_REFUSED_NO_KEY, struct qkd_esp_refused, no_key),
	FIELD(U64, QKD_A_ESP_REFUSED_LINK, struct qkd_esp_refused, link),
	FIELD(U64, QKD_A_ESP_REFUSED_LENGTH, struct qkd_esp_refused, length),
	FIELD(U64, QKD_A_ESP_REFUSED_DIR, struct qkd_esp_refused, dir),
	FIELD(U64, QKD_A_ESP_REFUSED_CIPHER, struct qkd_esp_refused, cipher),
	FIELD(U64, QKD_A_ESP_REFUSED_STALE, struct qkd_esp_refused, stale),
	FIELD(U64, QKD_A_ESP_REFUSED_NOT_HERE, struct qkd_esp_refused,
	      not_here),
	FIELD(U64, QKD_A_ESP_REFUSED_DUPLICATE, struct qkd_esp_refused,
	      duplicate),
	FIELD(U64, QKD_A_ESP_REFUSED_ICV, struct qkd_esp_refused, icv),
	FIELD(U64, QKD_A_ESP_REFUSED_PARKED, struct qkd_esp_refused, parked),
	FIELD(U64, QKD_A_ESP_REFUSED_THROTTLED, struct qkd_esp_refused,
	      throttled),
	FIELD(U64, QKD_A_ESP_REFUSED_PHASE, struct qkd_esp_refused, phase),
	FIELD(U64, QKD_A_ESP_REFUSED_LIMIT, struct qkd_esp_refused, limit),
};

static const struct attr_field encap_fields[] = {
	FIELD(U32, QKD_A_ENCAP_SPORT, struct qkd_encap, sport),
	FIELD(U32, QKD_A_ENCAP_DPORT, struct qkd_encap, dport),
};

static const struct attr_field lifetime_fields[] = {
	FIELD(U64, QKD_A_LIFETIME_SOFT_BYTES, struct qkd_lifetime, soft_bytes),
	FIELD(U64, QKD_A_LIFETIME_HARD_BYTES, struct qkd_lifetime, hard_bytes),
	FIELD(U64, QKD_A_LIFETIME_SOFT_PACKETS, struct qkd_lifetime,
	      soft_packets),
	FIELD(U64, QKD_A_LIFETIME_HARD_PACKETS, struct qkd_lifetime,
	      hard_packets),
	FIELD(U64, QKD_A_LIFETIME_SOFT_ADD_TIME, struct qkd_lifetime,
	      soft_add_time),
	FIELD(U64, QKD_A_LIFETIME_HARD_ADD_TIME, struct qkd_lifetime,
	      hard_add_time),
	FIELD(U64, QKD_A_LIFETIME_SOFT_USE_TIME, struct qkd_lifetime,
	      soft_use_time),
	FIELD(U64, QKD_A_LIFETIME_HARD_USE_TIME, struct qkd_lifetime,
	      hard_use_time),
};

static const struct attr_field epoch_fields[] = {
	FIELD(BYTES, QKD_A_EPOCH_KEY_ID, struct qkd_epoch, key_id),
	FIELD(U64, QKD_A_EPOCH_AGE, struct qkd_epoch, age),
	FIELD(U64, QKD_A_EPOCH_PACKETS, struct qkd_epoch, packets),
	FIELD(U64, QKD_A_EPOCH_BYTES, struct qkd_epoch, bytes),
	FIELD(U32, QKD_A_EPOCH_SECRET_NUMBER, struct qkd_epoch, secret_number),
};

static const struct attr_field esp_fields[] = {
	FIELD(U32, QKD_A_ESP_LINK_INDEX, struct qkd_esp, link_index),
	FIELD(STRING, QKD_A_ESP_LINK_NAME, struct qkd_esp, link_name),
	FIELD(U32, QKD_A_ESP_CIPHER, struct qkd_esp, cipher),
	FIELD(U32, QKD_A_ESP_DIR, struct qkd_esp, dir),
	FIELD(BE32, QKD_A_ESP_SPI, struct qkd_esp, spi),
	FIELD(ADDR, QKD_A_ESP_SRC, struct qkd_esp, src),
	FIELD(ADDR, QKD_A_ESP_DST, struct qkd_esp, dst),
	FIELD(U32, QKD_A_ESP_MODE, struct qkd_esp, mode),
	FIELD(U32, QKD_A_ESP_REQID, struct qkd_esp, reqid),
	FIELD(U32, QKD_A_ESP_IF_ID, struct qkd_esp, if_id),
	FIELD(U32, QKD_A_ESP_MARK, struct qkd_esp, mark),
	FIELD(U32, QKD_A_ESP_MARK_MASK, struct qkd_esp, mark_mask),
	FIELD(U32, QKD_A_ESP_REPLAY_WINDOW, struct qkd_esp, replay_window),
	FIELD(FLAG, QKD_A_ESP_ESN, struct qkd_esp, esn),
	FIELD(U32, QKD_A_ESP_ON_EMPTY, struct qkd_esp, on_empty),
	FIELD(U64, QKD_A_ESP_SA, struct qkd_esp, sa),
	FIELD(U64, QKD_A_ESP_PACKETS, struct qkd_esp, packets),
	FIELD(U64, QKD_A_ESP_BYTES, struct qkd_esp, bytes),
	FIELD(U64, QKD_A_ESP_KEY_BYTES, struct qkd_esp, key_bytes),
	FIELD(FLAG, QKD_A_ESP_DEAD, struct qkd_esp, dead),
	FIELD(U64, QKD_A_ESP_REKEY_PACKETS, struct qkd_esp, rekey_packets),
	FIELD(U64, QKD_A_ESP_REKEY_BYTES, struct qkd_esp, rekey_bytes),
	FIELD(U32, QKD_A_ESP_REKEY_TIME, struct qkd_esp, rekey_time),
	FIELD(FLAG, QKD_A_ESP_REKEY_AUTO, struct qkd_esp, rekey_auto),
	FIELD(U64, QKD_A_ESP_EPOCH_PACKETS, struct qkd_esp, epoch_packets),
	FIELD(U64, QKD_A_ESP_EPOCH_BYTES, struct qkd_esp, epoch_bytes),
	FIELD(U32, QKD_A_ESP_EPOCH_TIME, struct qkd_esp, epoch_time),
	FIELD(U32, QKD_A_ESP_WEIGHT, struct qkd_esp, weight),
	FIELD(U32, QKD_A_ESP_PARK_TIME, struct qkd_esp, park_time),
	FIELD(U32, QKD_A_ESP_SECRET_NUMBER, struct qkd_esp, secret_number),
	FIELD(U64, QKD_A_ESP_EPOCHS, struct qkd_esp, epochs),
	FIELD(U64, QKD_A_ESP_INTERVAL, struct qkd_esp, interval),
	FIELD(U64, QKD_A_ESP_KEY_LEFT, struct qkd_esp, key_left),
	FIELD(FLAG, QKD_A_ESP_FALLBACK, struct qkd_esp, fallback),
	FIELD(U64, QKD_A_ESP_FALLBACK_PACKETS, struct qkd_esp,
	      fallback_packets),
	FIELD(U64, QKD_A_ESP_PARKED, struct qkd_esp, parked),
};

/**
 * struct nest - a structure of its own in struct qkd_esp, whose first member is
 *	its mask
 * @attr: attribute
 * @offset: of the structure
 * @fields: what is in it
 * @n: how many
 * @sent: it goes to the kernel too
 */
struct nest {
	int attr;
	size_t offset;
	const struct attr_field *fields;
	size_t n;
	bool sent;
};

#define NEST(number, member, array, to_kernel)        \
	{ .attr = (number),                           \
	  .offset = offsetof(struct qkd_esp, member), \
	  .fields = (array),                          \
	  .n = ARRAY_SIZE(array),                     \
	  .sent = (to_kernel) }

static const struct nest nests[] = {
	NEST(QKD_A_ESP_SEL, sel, sel_fields, true),
	NEST(QKD_A_ESP_ENCAP, encap, encap_fields, true),
	NEST(QKD_A_ESP_LIFETIME, lifetime, lifetime_fields, true),
	NEST(QKD_A_ESP_REFUSED, refused, refused_fields, false),
	NEST(QKD_A_ESP_EPOCH, epoch, epoch_fields, false),
};

static int put_nest(struct nl_msg *msg, const struct nest *nest,
		    const struct qkd_esp *esp)
{
	const char *object = (const char *)esp + nest->offset;
	struct nlattr *head;
	int err;

	head = nla_nest_start(msg, NLA_F_NESTED | nest->attr);
	if (!head)
		return -ENOMEM;
	err = fields_put(msg, nest->fields, nest->n, object,
			 *(const uint64_t *)object);
	if (!err)
		nla_nest_end(msg, head);
	return err;
}

static int put_esp(struct nl_msg *msg, const struct qkd_esp *esp, uint64_t has)
{
	size_t i;
	int err;

	err = fields_put(msg, esp_fields, ARRAY_SIZE(esp_fields), esp, has);
	for (i = 0; i < ARRAY_SIZE(nests) && !err; i++)
		if (nests[i].sent && has & QKD_HAS(nests[i].attr))
			err = put_nest(msg, &nests[i], esp);
	return err;
}

static void get_nest(struct qkd_esp *esp, const struct nest *nest,
		     struct nlattr *head)
{
	char *object = (char *)esp + nest->offset;

	if (!fields_parse(nest->fields, nest->n, object, (uint64_t *)object,
			  nla_data(head), nla_len(head)))
		esp->has |= QKD_HAS(nest->attr);
}

static int get_esp(struct nlattr *head, int length, struct qkd_esp *esp)
{
	struct nlattr *attrs[QKD_A_ESP_MAX + 1];
	size_t i;
	int err;

	err = attrs_parse(attrs, QKD_A_ESP_MAX, head, length);
	if (err)
		return err;
	memset(esp, 0, sizeof(*esp));
	esp->has = fields_get(esp_fields, ARRAY_SIZE(esp_fields), esp, attrs,
			      QKD_A_ESP_MAX);
	for (i = 0; i < ARRAY_SIZE(nests); i++)
		if (attrs[nests[i].attr])
			get_nest(esp, &nests[i], attrs[nests[i].attr]);
	return 0;
}

static int take_esp(struct nlattr *head, int length, void *arg)
{
	return get_esp(head, length, arg);
}

static struct nl_msg *esp_request(struct qkd_ctx *ctx, int cmd,
				  struct qkd_ref ref)
{
	struct nl_msg *msg = request_new(ctx, cmd, 0);

	if (msg &&
	    put_ref(msg, QKD_A_ESP_LINK_NAME, QKD_A_ESP_LINK_INDEX, ref)) {
		request_free(msg);
		return NULL;
	}
	return msg;
}

/* What is a key of the process while a request runs, or NULLs. */
struct hidden {
	int attr;
	const void *bytes;
	size_t length;
	const char *name;
	struct secret secret;
};

static int hide(struct qkd_ctx *ctx, struct nl_msg *msg, struct hidden *hidden)
{
	const char *name = hidden->name;
	int err;

	if (hidden->bytes) {
		err = secret_add(ctx, &hidden->secret, hidden->bytes,
				 hidden->length);
		if (err) {
			hidden->bytes = NULL;
			return err;
		}
		name = hidden->secret.name;
	}
	return name ? to_errno(nla_put_string(msg, hidden->attr, name)) :
		      -EINVAL;
}

/* Sends a request with what @has names of @esp. A secret given as bytes is a
 * key of the process for as long as that takes, and so is a bind.
 */
static int run_with(struct qkd_ctx *ctx, int cmd, struct qkd_ref ref,
		    const struct qkd_esp *esp, uint64_t has,
		    struct qkd_esp *reply)
{
	struct nl_msg *msg = esp_request(ctx, cmd, ref);
	struct hidden hidden[] = {
		{ .attr = QKD_A_ESP_SECRET,
		  .bytes = esp->secret,
		  .length = esp->secret_len,
		  .name = esp->secret_name },
		{ .attr = QKD_A_ESP_BIND,
		  .bytes = esp->bind,
		  .length = QKD_BIND_LEN,
		  .name = esp->bind_name },
	};
	size_t i, n = 0;
	int err;

	if (!msg)
		return -ENOMEM;
	err = put_esp(msg, esp, has);
	for (i = 0; i < ARRAY_SIZE(hidden) && !err; i++) {
		if (!(has & QKD_HAS(hidden[i].attr)))
			continue;
		hidden[n] = hidden[i];
		err = hide(ctx, msg, &hidden[n++]);
	}
	if (err)
		request_free(msg);
	else
		err = request_run(ctx, msg, reply ? take_esp : NULL, reply);
	while (n--)
		if (hidden[n].bytes)
			secret_remove(&hidden[n].secret);
	return err;
}

static int run_new(struct qkd_ctx *ctx, int cmd, struct qkd_ref ref,
		   const struct qkd_esp *esp, uint64_t *sa)
{
	const uint64_t has = esp->has & ~(QKD_HAS(QKD_A_ESP_LINK_INDEX) |
					  QKD_HAS(QKD_A_ESP_LINK_NAME));
	struct qkd_esp reply = {};
	int err;

	err = run_with(ctx, cmd, ref, esp, has, &reply);
	if (!err && sa)
		*sa = reply.sa;
	return err;
}

int qkd_esp_add(struct qkd_ctx *ctx, struct qkd_ref ref,
		const struct qkd_esp *esp, uint64_t *sa)
{
	return run_new(ctx, QKD_CMD_ESP_ADD, ref, esp, sa);
}

int qkd_esp_replace(struct qkd_ctx *ctx, struct qkd_ref ref,
		    const struct qkd_esp *esp, uint64_t *sa)
{
	return run_new(ctx, QKD_CMD_ESP_REPLACE, ref, esp, sa);
}

static int run_named(struct qkd_ctx *ctx, int cmd, struct qkd_ref ref,
		     enum qkd_dir dir, uint32_t spi, reply_fn fn, void *arg)
{
	const struct qkd_esp name = { .dir = dir, .spi = spi };
	struct nl_msg *msg = esp_request(ctx, cmd, ref);
	int err;

	if (!msg)
		return -ENOMEM;
	err = fields_put(msg, esp_fields, ARRAY_SIZE(esp_fields), &name,
			 QKD_HAS(QKD_A_ESP_DIR) | QKD_HAS(QKD_A_ESP_SPI));
	return request_end(ctx, msg, err, fn, arg);
}

int qkd_esp_del(struct qkd_ctx *ctx, struct qkd_ref ref, enum qkd_dir dir,
		uint32_t spi)
{
	return run_named(ctx, QKD_CMD_ESP_DEL, ref, dir, spi, NULL, NULL);
}

int qkd_esp_get(struct qkd_ctx *ctx, struct qkd_ref ref, enum qkd_dir dir,
		uint32_t spi, struct qkd_esp *esp)
{
	return run_named(ctx, QKD_CMD_ESP_GET, ref, dir, spi, take_esp, esp);
}

int qkd_esp_set(struct qkd_ctx *ctx, struct qkd_ref ref, enum qkd_dir dir,
		uint32_t spi, const struct qkd_esp *esp)
{
	const uint64_t name = QKD_HAS(QKD_A_ESP_DIR) | QKD_HAS(QKD_A_ESP_SPI);
	struct qkd_esp change = *esp;

	change.dir = dir;
	change.spi = spi;
	change.has &=
		~(QKD_HAS(QKD_A_ESP_LINK_INDEX) | QKD_HAS(QKD_A_ESP_LINK_NAME));
	return run_with(ctx, QKD_CMD_ESP_SET, ref, &change, change.has | name,
			NULL);
}

int qkd_esp_flush(struct qkd_ctx *ctx, const struct qkd_ref *ref)
{
	struct nl_msg *msg;

	msg = ref ? esp_request(ctx, QKD_CMD_ESP_FLUSH, *ref) :
		    request_new(ctx, QKD_CMD_ESP_FLUSH, 0);
	return msg ? request_run(ctx, msg, NULL, NULL) : -ENOMEM;
}

struct visit {
	qkd_esp_fn fn;
	void *arg;
};

static int visit_esp(struct nlattr *head, int length, void *arg)
{
	const struct visit *visit = arg;
	struct qkd_esp esp;
	int err;

	err = get_esp(head, length, &esp);
	return err ?: visit->fn(&esp, visit->arg);
}

int qkd_esp_dump(struct qkd_ctx *ctx, qkd_esp_fn fn, void *arg)
{
	struct visit visit = { .fn = fn, .arg = arg };

	return dump_run(ctx, QKD_CMD_ESP_DUMP, visit_esp, &visit);
}
