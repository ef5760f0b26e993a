// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CHILD_SAs with transforms of ours, in the kernel.
 *
 * charon->kernel adds them by libqkd instead of by kernel-netlink. They are SAs of
 * XFRM as any: kernel-netlink queries and deletes them, and hears of their
 * lifetimes. It could not move them to other addresses, so charon is told to
 * rekey them then.
 */
#include "qkd_install.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include <daemon.h>

#include "qkd_conn.h"
#include "qkd_esp.h"

/* IKE gives each SA one secret: another one comes with another SA. */
#define SECRET_NUMBER 1

/* charon's own, which the others go to. */
static status_t (*kernel_add_sa)(kernel_interface_t *this,
				 kernel_ipsec_sa_id_t *id,
				 kernel_ipsec_add_sa_t *data);
static status_t (*kernel_update_sa)(kernel_interface_t *this,
				    kernel_ipsec_sa_id_t *id,
				    kernel_ipsec_update_sa_t *data);

static void put_address(host_t *host, struct qkd_addr *address)
{
	chunk_t bytes = host->get_address(host);

	address->family = host->get_family(host);
	memcpy(address->bytes, bytes.ptr,
	       min(bytes.len, sizeof(address->bytes)));
}

static void put_id(const kernel_ipsec_sa_id_t *id, struct qkd_esp *esp)
{
	esp->spi = ntohl(id->spi);
	put_address(id->src, &esp->src);
	put_address(id->dst, &esp->dst);
	esp->has |= QKD_HAS(QKD_A_ESP_SPI) | QKD_HAS(QKD_A_ESP_SRC) |
		    QKD_HAS(QKD_A_ESP_DST);
	if (id->mark.value | id->mark.mask) {
		esp->mark = id->mark.value;
		esp->mark_mask = id->mark.mask;
		esp->has |= QKD_HAS(QKD_A_ESP_MARK) |
			    QKD_HAS(QKD_A_ESP_MARK_MASK);
	}
	if (id->if_id) {
		esp->if_id = id->if_id;
		esp->has |= QKD_HAS(QKD_A_ESP_IF_ID);
	}
}

/* Of the first two traffic selectors, without protocol and ports: others between
 * the same hosts may use this SA too.
 */
static bool put_selector(const kernel_ipsec_add_sa_t *data, struct qkd_esp *esp)
{
	traffic_selector_t *src, *dst;
	host_t *net;
	uint8_t mask;

	if (data->src_ts->get_first(data->src_ts, (void **)&src) != SUCCESS ||
	    data->dst_ts->get_first(data->dst_ts, (void **)&dst) != SUCCESS)
		return false;
	src->to_subnet(src, &net, &mask);
	put_address(net, &esp->sel.src);
	esp->sel.src_prefix = mask;
	net->destroy(net);
	dst->to_subnet(dst, &net, &mask);
	put_address(net, &esp->sel.dst);
	esp->sel.dst_prefix = mask;
	net->destroy(net);
	esp->sel.has = QKD_HAS(QKD_A_SEL_SRC) | QKD_HAS(QKD_A_SEL_SRC_PREFIX) |
		       QKD_HAS(QKD_A_SEL_DST) | QKD_HAS(QKD_A_SEL_DST_PREFIX);
	esp->has |= QKD_HAS(QKD_A_ESP_SEL);
	return true;
}

static bool put_mode(const kernel_ipsec_add_sa_t *data, struct qkd_esp *esp)
{
	esp->has |= QKD_HAS(QKD_A_ESP_MODE);
	switch (data->mode) {
	case MODE_TUNNEL:
		esp->mode = QKD_ESP_MODE_TUNNEL;
		return true;
	case MODE_TRANSPORT:
		esp->mode = QKD_ESP_MODE_TRANSPORT;
		return put_selector(data, esp);
	case MODE_BEET:
		esp->mode = QKD_ESP_MODE_BEET;
		return put_selector(data, esp);
	default:
		return false;
	}
}

static void put_lifetime(const lifetime_cfg_t *from, struct qkd_esp *esp)
{
	struct qkd_lifetime *to = &esp->lifetime;

	to->soft_bytes = from->bytes.rekey;
	to->hard_bytes = from->bytes.life;
	to->soft_packets = from->packets.rekey;
	to->hard_packets = from->packets.life;
	to->soft_add_time = from->time.rekey;
	to->hard_add_time = from->time.life;
	to->has = QKD_HAS(QKD_A_LIFETIME_SOFT_BYTES) |
		  QKD_HAS(QKD_A_LIFETIME_HARD_BYTES) |
		  QKD_HAS(QKD_A_LIFETIME_SOFT_PACKETS) |
		  QKD_HAS(QKD_A_LIFETIME_HARD_PACKETS) |
		  QKD_HAS(QKD_A_LIFETIME_SOFT_ADD_TIME) |
		  QKD_HAS(QKD_A_LIFETIME_HARD_ADD_TIME);
	esp->has |= QKD_HAS(QKD_A_ESP_LIFETIME);
}

static void put_replay(const kernel_ipsec_add_sa_t *data, struct qkd_esp *esp)
{
	if (data->inbound) {
		esp->replay_window = data->replay_window;
		esp->has |= QKD_HAS(QKD_A_ESP_REPLAY_WINDOW);
	}
	if (data->esn) {
		esp->esn = 1;
		esp->has |= QKD_HAS(QKD_A_ESP_ESN);
	}
}

static void put_encap(const kernel_ipsec_sa_id_t *id, struct qkd_esp *esp)
{
	esp->encap.sport = id->src->get_port(id->src);
	esp->encap.dport = id->dst->get_port(id->dst);
	esp->encap.has = QKD_HAS(QKD_A_ENCAP_SPORT) |
			 QKD_HAS(QKD_A_ENCAP_DPORT);
	esp->has |= QKD_HAS(QKD_A_ESP_ENCAP);
}

/* A number of the connection's settings; 0 if it is not there. */
static bool number(peer_cfg_t *cfg, const char *key, uint64_t max,
		   uint64_t *value)
{
	char *text = qkd_conn_setting(cfg, key), *end;

	*value = 0;
	if (!text)
		return true;
	errno = 0;
	*value = strtoull(text, &end, 10);
	if (!errno && isdigit(*text) && !*end && *value && *value <= max)
		return true;
	DBG1(DBG_CFG, "QKD: %s of connection %s is no number in its range", key,
	     cfg->get_name(cfg));
	return false;
}

/* When the sender takes a new AES key. */
static bool put_rekey(peer_cfg_t *cfg, struct qkd_esp *esp)
{
	char *automatic = qkd_conn_setting(cfg, "rekey_auto");
	uint64_t time;

	if (!number(cfg, "rekey_packets", UINT64_MAX, &esp->rekey_packets) ||
	    !number(cfg, "rekey_bytes", UINT64_MAX, &esp->rekey_bytes) ||
	    !number(cfg, "rekey_time", UINT32_MAX, &time))
		return false;
	esp->rekey_time = time;
	esp->rekey_auto = settings_value_as_bool(automatic, FALSE);
	if (esp->rekey_packets)
		esp->has |= QKD_HAS(QKD_A_ESP_REKEY_PACKETS);
	if (esp->rekey_bytes)
		esp->has |= QKD_HAS(QKD_A_ESP_REKEY_BYTES);
	if (esp->rekey_time)
		esp->has |= QKD_HAS(QKD_A_ESP_REKEY_TIME);
	if (esp->rekey_auto)
		esp->has |= QKD_HAS(QKD_A_ESP_REKEY_AUTO);
	return true;
}

bool qkd_install_can(peer_cfg_t *cfg)
{
	struct qkd_esp esp = {};

	return put_rekey(cfg, &esp);
}

/* The cipher, and what binds the SA to the peer that IKE authenticated. */
static bool put_cipher(peer_cfg_t *cfg, const kernel_ipsec_add_sa_t *data,
		       struct qkd_esp *esp)
{
	esp->cipher = qkd_esp_cipher(data->enc_alg);
	esp->has |= QKD_HAS(QKD_A_ESP_CIPHER);
	switch (esp->cipher) {
	case QKD_CIPHER_OTP:
	case QKD_CIPHER_AES:
		if (data->enc_key.len < QKD_BIND_LEN)
			return false;
		esp->bind = data->enc_key.ptr;
		esp->has |= QKD_HAS(QKD_A_ESP_BIND);
		break;
	case QKD_CIPHER_HYBRID:
		esp->secret = data->enc_key.ptr;
		esp->secret_len = data->enc_key.len;
		esp->secret_number = SECRET_NUMBER;
		esp->has |= QKD_HAS(QKD_A_ESP_SECRET) |
			    QKD_HAS(QKD_A_ESP_SECRET_NUMBER);
		break;
	default:
		return false;
	}
	esp->on_empty = qkd_esp_on_empty(cfg);
	esp->has |= QKD_HAS(QKD_A_ESP_ON_EMPTY);
	if (data->inbound || (esp->cipher == QKD_CIPHER_OTP &&
			      esp->on_empty == QKD_ON_EMPTY_BLOCK))
		return true;
	return put_rekey(cfg, esp);
}

static bool put_sa(peer_cfg_t *cfg, const kernel_ipsec_sa_id_t *id,
		   const kernel_ipsec_add_sa_t *data, struct qkd_esp *esp)
{
	esp->dir = data->inbound ? QKD_DIR_IN : QKD_DIR_OUT;
	esp->reqid = data->reqid;
	esp->has = QKD_HAS(QKD_A_ESP_DIR) | QKD_HAS(QKD_A_ESP_REQID);
	put_id(id, esp);
	put_lifetime(data->lifetime, esp);
	put_replay(data, esp);
	if (data->encap)
		put_encap(id, esp);
	return put_mode(data, esp) && put_cipher(cfg, data, esp);
}

static status_t install(const struct qkd_link *link, const struct qkd_esp *esp,
			bool update)
{
	struct qkd_ref ref = qkd_by_index(link->index);
	struct qkd_ctx *ctx;
	const char *text;
	int err;

	err = qkd_open(&ctx);
	if (err) {
		DBG1(DBG_KNL, "QKD: %s", strerror(-err));
		return FAILED;
	}
	err = update ? qkd_esp_replace(ctx, ref, esp, NULL) :
		       qkd_esp_add(ctx, ref, esp, NULL);
	text = qkd_error_text(ctx);
	if (err)
		DBG1(DBG_KNL, "QKD link %s: SA with SPI %.8x: %s%s%s",
		     link->name, esp->spi, strerror(-err), *text ? ", " : "",
		     text);
	qkd_close(ctx);
	return err ? FAILED : SUCCESS;
}

static status_t add_sa(kernel_interface_t *this, kernel_ipsec_sa_id_t *id,
		       kernel_ipsec_add_sa_t *data)
{
	ike_sa_t *ike_sa = charon->bus->get_sa(charon->bus);
	struct qkd_link link = {};
	struct qkd_esp esp = {};
	peer_cfg_t *cfg;

	if (!qkd_esp_cipher(data->enc_alg))
		return kernel_add_sa(this, id, data);
	cfg = ike_sa ? ike_sa->get_peer_cfg(ike_sa) : NULL;
	if (!cfg || !qkd_esp_link(cfg, &link))
		return FAILED;
	if (!qkd_esp_agreed(ike_sa, &link, id, data) ||
	    !put_sa(cfg, id, data, &esp))
		return FAILED;
	return install(&link, &esp, data->update);
}

/* Found by its SPI and destination, as by XFRM. */
static int is_it(const struct qkd_esp *esp, void *arg)
{
	const kernel_ipsec_sa_id_t *id = arg;
	struct qkd_addr dst = {};

	put_address(id->dst, &dst);
	return esp->spi == ntohl(id->spi) && esp->dst.family == dst.family &&
	       !memcmp(esp->dst.bytes, dst.bytes, sizeof(dst.bytes));
}

static bool is_ours(kernel_ipsec_sa_id_t *id)
{
	struct qkd_ctx *ctx;
	int found;

	if (id->proto != IPPROTO_ESP || qkd_open(&ctx))
		return false;
	do
		found = qkd_esp_dump(ctx, is_it, id);
	while (found == -EINTR);
	qkd_close(ctx);
	return found > 0;
}

static status_t update_sa(kernel_interface_t *this, kernel_ipsec_sa_id_t *id,
			  kernel_ipsec_update_sa_t *data)
{
	return is_ours(id) ? NOT_SUPPORTED : kernel_update_sa(this, id, data);
}

void qkd_install_init(void)
{
	kernel_add_sa = charon->kernel->add_sa;
	kernel_update_sa = charon->kernel->update_sa;
	charon->kernel->add_sa = add_sa;
	charon->kernel->update_sa = update_sa;
}

void qkd_install_deinit(void)
{
	charon->kernel->add_sa = kernel_add_sa;
	charon->kernel->update_sa = kernel_update_sa;
}
