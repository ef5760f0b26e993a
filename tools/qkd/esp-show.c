// SPDX-License-Identifier: GPL-2.0-only
/* What qkd esp show prints of an SA. */
#include <net/if.h>
#include <netdb.h>
#include <string.h>

#include "qkd.h"

static bool has(const struct qkd_esp *esp, int attr)
{
	return esp->has & QKD_HAS(attr);
}

static void show_prefix(const char *key, const char *before,
			const struct qkd_addr *addr, uint32_t prefix)
{
	char length[32];

	out_addr(key, before, addr);
	snprintf(length, sizeof(length), "%s_prefix", key);
	out_uint(length, "/", prefix);
}

static void show_proto(uint32_t number)
{
	const struct protoent *proto = getprotobynumber(number);

	if (proto && !options.json)
		out_str("proto", " proto ", proto->p_name);
	else
		out_uint("proto", " proto ", number);
}

static void show_sel(const struct qkd_sel *sel)
{
	char name[IF_NAMESIZE];

	out_open("sel");
	out_text("    sel");
	if (sel->has & QKD_HAS(QKD_A_SEL_SRC))
		show_prefix("src", " src ", &sel->src, sel->src_prefix);
	if (sel->has & QKD_HAS(QKD_A_SEL_DST))
		show_prefix("dst", " dst ", &sel->dst, sel->dst_prefix);
	if (sel->has & QKD_HAS(QKD_A_SEL_PROTO))
		show_proto(sel->proto);
	if (sel->has & QKD_HAS(QKD_A_SEL_SPORT))
		out_uint("sport", " sport ", sel->sport);
	if (sel->has & QKD_HAS(QKD_A_SEL_DPORT))
		out_uint("dport", " dport ", sel->dport);
	if (sel->has & QKD_HAS(QKD_A_SEL_IFINDEX)) {
		if (if_indextoname(sel->ifindex, name))
			out_str("interface", " interface ", name);
		else
			out_uint("ifindex", " ifindex ", sel->ifindex);
	}
	out_text("\n");
	out_close();
}

/* How long the link's key lasts for this SA, as things go now. */
static void show_lasts(const struct qkd_esp *esp)
{
	uint64_t ms;

	if (!has(esp, QKD_A_ESP_KEY_LEFT) || !esp->interval ||
	    __builtin_mul_overflow(esp->key_left, esp->interval, &ms) ||
	    ms > INT64_MAX)
		return;
	if (ms > 10000)
		ms -= ms % 1000;
	out_time("lasts", " lasts ", ms);
}

static void show_epoch(const struct qkd_epoch *epoch)
{
	char text[QKD_KEY_ID_TEXT_LEN + 1];

	out_open("epoch");
	out_str("key_id", "    epoch key-id ",
		qkd_key_id_format(epoch->key_id, text));
	out_time("age", " age ", epoch->age);
	out_uint("packets", " packets ", epoch->packets);
	out_uint("bytes", " bytes ", epoch->bytes);
	if (epoch->has & QKD_HAS(QKD_A_EPOCH_SECRET_NUMBER))
		out_uint("secret_number", " secret-number ",
			 epoch->secret_number);
	out_text("\n");
	out_close();
}

static void show_epochs(const struct qkd_esp *esp)
{
	if (!has(esp, QKD_A_ESP_EPOCHS))
		return;
	out_uint("epochs", "    epochs ", esp->epochs);
	if (esp->interval)
		out_time("interval", " interval ", esp->interval);
	if (has(esp, QKD_A_ESP_KEY_LEFT))
		out_uint("key_left", " key-left ", esp->key_left);
	show_lasts(esp);
	out_uint("parked", " parked ", esp->parked);
	out_uint("fallback_packets", " fallback-packets ",
		 esp->fallback_packets);
	out_flag("fallback", " fallback", esp->fallback);
	out_text("\n");
	if (has(esp, QKD_A_ESP_EPOCH))
		show_epoch(&esp->epoch);
}

static void show_refused(const struct qkd_esp_refused *refused)
{
	out_open("refused");
	out_text("    refused:");
	out_uint("no_key", " no-key ", refused->no_key);
	out_uint("link", " link ", refused->link);
	out_uint("length", " length ", refused->length);
	out_uint("dir", " dir ", refused->dir);
	out_uint("cipher", " cipher ", refused->cipher);
	out_uint("stale", " stale ", refused->stale);
	out_uint("not_here", " not-here ", refused->not_here);
	out_uint("duplicate", " duplicate ", refused->duplicate);
	out_uint("icv", " icv ", refused->icv);
	out_uint("parked", " parked ", refused->parked);
	out_uint("throttled", " throttled ", refused->throttled);
	out_uint("phase", " phase ", refused->phase);
	out_uint("limit", " limit ", refused->limit);
	out_text("\n");
	out_close();
}

static void show_counters(const struct qkd_esp *esp)
{
	out_uint("packets", "    packets ", esp->packets);
	out_uint("bytes", " bytes ", esp->bytes);
	out_uint("key_bytes", " key-bytes ", esp->key_bytes);
	out_text("\n");
	show_epochs(esp);
	show_refused(&esp->refused);
}

/* When a new key is due, and beyond which limits none is used. */
static void show_rekey(const struct qkd_esp *esp)
{
	if (!has(esp, QKD_A_ESP_PARK_TIME))
		return;
	out_time("park_time", "    park-time ", esp->park_time);
	if (has(esp, QKD_A_ESP_SECRET_NUMBER))
		out_uint("secret_number", " secret-number ",
			 esp->secret_number);
	if (has(esp, QKD_A_ESP_WEIGHT))
		out_uint("weight", " weight ", esp->weight);
	if (has(esp, QKD_A_ESP_REKEY_PACKETS))
		out_uint("rekey_packets", " rekey-packets ",
			 esp->rekey_packets);
	if (has(esp, QKD_A_ESP_REKEY_BYTES))
		out_bytes("rekey_bytes", " rekey-bytes ", esp->rekey_bytes);
	if (has(esp, QKD_A_ESP_REKEY_TIME))
		out_time("rekey_time", " rekey-time ", esp->rekey_time);
	if (has(esp, QKD_A_ESP_REKEY_AUTO))
		out_flag("rekey_auto", " rekey auto", true);
	out_text("\n");
	if (!has(esp, QKD_A_ESP_EPOCH_PACKETS))
		return;
	out_uint("epoch_packets", "    epoch-packets ", esp->epoch_packets);
	out_bytes("epoch_bytes", " epoch-bytes ", esp->epoch_bytes);
	out_time("epoch_time", " epoch-time ", esp->epoch_time);
	out_text("\n");
}

static void show_encap(const struct qkd_encap *encap)
{
	out_open("encap");
	out_str("type", "    encap ", "espinudp");
	out_uint("sport", " ", encap->sport);
	out_uint("dport", " ", encap->dport);
	out_text("\n");
	out_close();
}

static void show_limit(const struct qkd_lifetime *lft, int attr,
		       const char *key, const char *word, uint64_t value)
{
	if (!(lft->has & QKD_HAS(attr)))
		return;
	out_text(" limit");
	out_uint(key, word, value);
}

static void show_lifetime(const struct qkd_lifetime *l)
{
	out_open("limit");
	out_text("   ");
	show_limit(l, QKD_A_LIFETIME_SOFT_BYTES, "byte_soft", " byte-soft ",
		   l->soft_bytes);
	show_limit(l, QKD_A_LIFETIME_HARD_BYTES, "byte_hard", " byte-hard ",
		   l->hard_bytes);
	show_limit(l, QKD_A_LIFETIME_SOFT_PACKETS, "packet_soft",
		   " packet-soft ", l->soft_packets);
	show_limit(l, QKD_A_LIFETIME_HARD_PACKETS, "packet_hard",
		   " packet-hard ", l->hard_packets);
	show_limit(l, QKD_A_LIFETIME_SOFT_ADD_TIME, "time_soft", " time-soft ",
		   l->soft_add_time);
	show_limit(l, QKD_A_LIFETIME_HARD_ADD_TIME, "time_hard", " time-hard ",
		   l->hard_add_time);
	show_limit(l, QKD_A_LIFETIME_SOFT_USE_TIME, "time_use_soft",
		   " time-use-soft ", l->soft_use_time);
	show_limit(l, QKD_A_LIFETIME_HARD_USE_TIME, "time_use_hard",
		   " time-use-hard ", l->hard_use_time);
	out_text("\n");
	out_close();
}

static void show_options(const struct qkd_esp *esp)
{
	char sa[24];

	out_uint("replay_window", "    replay-window ", esp->replay_window);
	out_flag("esn", " esn", esp->esn);
	if (has(esp, QKD_A_ESP_ON_EMPTY))
		out_str("on_empty", " on-empty ",
			qkd_enum_name(QKD_ENUM_ON_EMPTY, esp->on_empty));
	if (has(esp, QKD_A_ESP_IF_ID) && esp->if_id)
		out_hex("if_id", " if-id ", esp->if_id);
	if (has(esp, QKD_A_ESP_MARK) && (esp->mark || esp->mark_mask)) {
		out_hex("mark", " mark ", esp->mark);
		out_hex("mark_mask", "/", esp->mark_mask);
	}
	if (has(esp, QKD_A_ESP_SA)) {
		snprintf(sa, sizeof(sa), "0x%016llx",
			 (unsigned long long)esp->sa);
		out_str("sa", " sa ", sa);
	}
	out_text("\n");
}

/* One SA, with its counters if they were asked for. */
void show_esp(const struct qkd_esp *esp)
{
	out_open(NULL);
	out_addr("src", "src ", &esp->src);
	out_addr("dst", " dst ", &esp->dst);
	out_text("\n    proto esp spi 0x%08x", esp->spi);
	if (options.json)
		out_uint("spi", "", esp->spi);
	out_uint("reqid", " reqid ", esp->reqid);
	out_str("mode", " mode ", qkd_enum_name(QKD_ENUM_ESP_MODE, esp->mode));
	out_str("dir", " dir ", qkd_enum_name(QKD_ENUM_DIR, esp->dir));
	out_color(COLOR_NAME, "dev", " dev ", esp->link_name);
	out_str("cipher", " cipher ",
		qkd_enum_name(QKD_ENUM_CIPHER, esp->cipher));
	if (options.json)
		out_flag("dead", "", esp->dead);
	else if (esp->dead)
		out_color(COLOR_DOWN, NULL, " ", "dead");
	out_text("\n");
	show_options(esp);
	show_rekey(esp);
	if (has(esp, QKD_A_ESP_ENCAP))
		show_encap(&esp->encap);
	if (has(esp, QKD_A_ESP_LIFETIME))
		show_lifetime(&esp->lifetime);
	if (has(esp, QKD_A_ESP_SEL))
		show_sel(&esp->sel);
	if (options.statistics)
		show_counters(esp);
	out_close();
}
