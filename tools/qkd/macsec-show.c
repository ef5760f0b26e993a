// SPDX-License-Identifier: GPL-2.0-only
/* What qkd macsec show prints: our word, and beside it macsec's own. */
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "qkd.h"

/**
 * struct table - what the two families say of the SAs of all devices
 * @wanted: which device and link to show
 * @ours: SAs of our making
 * @n_ours: their number
 * @secy: SAs as macsec has them
 * @n_secy: their number
 */
struct table {
	const struct qkd_macsec *wanted;
	struct qkd_macsec_sa *ours;
	size_t n_ours;
	struct qkd_secy_sa *secy;
	size_t n_secy;
};

/* Makes room for one more at the end of an array that doubles. */
static void *grow(void *array, size_t n, size_t size)
{
	if (n & (n - 1))
		return array;
	array = reallocarray(array, n ? 2 * n : 1, size);
	if (!array) {
		fputs("Error: Out of memory.\n", stderr);
		exit(EXIT_REFUSED);
	}
	return array;
}

static int keep_ours(const struct qkd_macsec_sa *sa, void *arg)
{
	struct table *table = arg;

	table->ours = grow(table->ours, table->n_ours, sizeof(*sa));
	table->ours[table->n_ours++] = *sa;
	return 0;
}

static int keep_secy(const struct qkd_secy_sa *sa, void *arg)
{
	struct table *table = arg;

	table->secy = grow(table->secy, table->n_secy, sizeof(*sa));
	table->secy[table->n_secy++] = *sa;
	return 0;
}

static const char *word_of(uint32_t dir)
{
	return dir == QKD_DIR_OUT ? "tx" : "rx";
}

static void show_sci(const char *before, uint64_t sci)
{
	char text[17];

	snprintf(text, sizeof(text), "%016llx", (unsigned long long)sci);
	out_str("sci", before, text);
}

static void show_key_id(const char *before, const uint8_t *key_id)
{
	char text[QKD_KEY_ID_TEXT_LEN + 1];

	out_str("key_id", before, qkd_key_id_format(key_id, text));
}

/* A device, by its name if it has one here. */
void show_ifname(uint32_t ifindex)
{
	char name[IF_NAMESIZE];

	if (options.json)
		out_uint("ifindex", "", ifindex);
	if (if_indextoname(ifindex, name))
		out_color(COLOR_NAME, "ifname", "", name);
	else
		out_text("%u", ifindex);
}

/* An SA, without the end of its line. */
static void show_sa(const struct qkd_macsec_sa *sa)
{
	out_str("dir", " ", word_of(sa->dir));
	out_uint("an", " an ", sa->an);
	show_sci(" sci ", sa->sci);
	out_str("state", " state ",
		qkd_enum_name(QKD_ENUM_MACSEC_STATE, sa->state));
	if (sa->has & QKD_HAS(QKD_A_MACSEC_SA_KEY_ID))
		show_key_id(" key-id ", sa->key_id);
	if (sa->has & QKD_HAS(QKD_A_MACSEC_SA_AGE))
		out_time("age", " age ", sa->age);
	if (sa->has & QKD_HAS(QKD_A_MACSEC_SA_MESSAGE))
		out_str("message", ": ", sa->message);
}

/* One SA for itself. */
void show_macsec_sa(const struct qkd_macsec_sa *sa)
{
	out_open(NULL);
	show_ifname(sa->ifindex);
	out_text(":");
	show_sa(sa);
	out_text("\n");
	out_close();
}

static void show_secy(const struct qkd_secy_sa *secy)
{
	out_uint("pn", " pn ", secy->pn);
	out_uint("frames", " frames ", secy->frames);
	if (secy->dir == QKD_DIR_IN)
		out_uint("refused", " refused ", secy->refused);
	out_flag("active", " active", secy->active);
	if (secy->dir == QKD_DIR_OUT) {
		out_flag("encoding", " encoding", secy->encoding);
		out_flag("operational", " operational", secy->operational);
	}
}

static bool is_of(const struct qkd_secy_sa *secy,
		  const struct qkd_macsec_sa *sa)
{
	return secy->ifindex == sa->ifindex && secy->dir == sa->dir &&
	       secy->an == sa->an && secy->sci == sa->sci;
}

/* Is what macsec has what we installed? */
static void compare(const struct table *table, const struct qkd_macsec_sa *sa)
{
	const struct qkd_secy_sa *secy = table->secy;
	const struct qkd_secy_sa *end = secy + table->n_secy;
	bool same;

	while (secy < end && !is_of(secy, sa))
		secy++;
	out_open("macsec");
	if (secy == end) {
		out_str("key", "        macsec: key ", "absent");
	} else {
		same = !memcmp(secy->key_id, sa->key_id, sizeof(sa->key_id));
		out_str("key", "        macsec: key ",
			same ? "same" : "differs");
		if (!same || options.json)
			show_key_id(" key-id ", secy->key_id);
		show_secy(secy);
	}
	out_text("\n");
	out_close();
}

static void show_sas(const struct table *table, const struct qkd_macsec *macsec)
{
	const struct qkd_macsec_sa *sa;

	out_array("sas");
	for (sa = table->ours; sa < table->ours + table->n_ours; sa++) {
		if (sa->ifindex != macsec->ifindex)
			continue;
		out_open(NULL);
		out_text("   ");
		show_sa(sa);
		out_text("\n");
		if (options.statistics &&
		    sa->has & QKD_HAS(QKD_A_MACSEC_SA_AGE))
			compare(table, sa);
		out_close();
	}
	out_close();
}

static bool is_ours(const struct table *table, const struct qkd_secy_sa *secy)
{
	const struct qkd_macsec_sa *sa;

	for (sa = table->ours; sa < table->ours + table->n_ours; sa++)
		if (is_of(secy, sa))
			return true;
	return false;
}

/* SAs on the device that somebody else made. */
static void show_others(const struct table *table,
			const struct qkd_macsec *macsec)
{
	const struct qkd_secy_sa *secy;

	out_array("others");
	for (secy = table->secy; secy < table->secy + table->n_secy; secy++) {
		if (secy->ifindex != macsec->ifindex || is_ours(table, secy))
			continue;
		out_open(NULL);
		out_str("dir", "    not ours: ", word_of(secy->dir));
		out_uint("an", " an ", secy->an);
		show_sci(" sci ", secy->sci);
		show_key_id(" key-id ", secy->key_id);
		show_secy(secy);
		out_text("\n");
		out_close();
	}
	out_close();
}

static bool is_wanted(const struct qkd_macsec *macsec,
		      const struct qkd_macsec *wanted)
{
	if (wanted->has & QKD_HAS(QKD_A_MACSEC_IFINDEX) &&
	    wanted->ifindex != macsec->ifindex)
		return false;
	return !(wanted->has & QKD_HAS(QKD_A_MACSEC_LINK_NAME)) ||
	       !strcmp(wanted->link_name, macsec->link_name);
}

static int show_macsec(const struct qkd_macsec *macsec, void *arg)
{
	const struct table *table = arg;

	if (!is_wanted(macsec, table->wanted))
		return 0;
	out_open(NULL);
	show_ifname(macsec->ifindex);
	out_color(COLOR_NAME, "dev", ": dev ", macsec->link_name);
	out_str("suite", " suite ",
		qkd_enum_name(QKD_ENUM_MACSEC_SUITE, macsec->suite));
	show_sci(" sci ", macsec->sci);
	out_time("max_time", " max-time ", macsec->max_time);
	out_flag("leaving", " leaving", macsec->leaving);
	out_text("\n");
	if (options.statistics) {
		out_uint("installed", "    installed ", macsec->installed);
		out_uint("removed", " removed ", macsec->removed);
		out_uint("failed", " failed ", macsec->failed);
		out_text("\n");
	}
	show_sas(table, macsec);
	if (options.statistics)
		show_others(table, macsec);
	out_close();
	return 0;
}

/* The bound devices that fit @wanted; with -s, compared with macsec. */
int show_macsecs(struct qkd_ctx *ctx, const struct qkd_macsec *wanted)
{
	struct table table = { .wanted = wanted };
	struct qkd_macsec one;
	int code, err;

	err = qkd_macsec_sa_dump(ctx, keep_ours, &table);
	if (!err && options.statistics)
		err = qkd_secy_dump(ctx, keep_secy, &table);
	/* without the module there are no SAs */
	if (err && err != -EINTR && err != -ENOENT)
		return kernel_error(ctx, err);
	out_begin();
	if (wanted->has == QKD_HAS(QKD_A_MACSEC_IFINDEX)) {
		err = qkd_macsec_get(ctx, wanted->ifindex, &one);
		if (!err)
			show_macsec(&one, &table);
	} else {
		err = qkd_macsec_dump(ctx, show_macsec, &table);
	}
	free(table.ours);
	free(table.secy);
	if (err && err != -EINTR)
		return kernel_error(ctx, err);
	code = out_end();
	return err ? kernel_error(ctx, err) : code;
}
