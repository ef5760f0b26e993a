// SPDX-License-Identifier: GPL-2.0-only
/*
 * Physics of the emulated optical link:
 *
 *	link_physics figures		figures by name, presets, what is refused
 *	link_physics light PROTOCOL	simulated light against the closed formulas
 *	link_physics ends		where a key ends
 *	link_physics finite		blocks of a size
 *	link_physics closed		no key rather than a doubtful one
 *	link_physics print		numbers for ref/qkd_rate.py
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <qkd-link/amplify.h>
#include <qkd-link/photon.h>
#include <qkd-link/proof.h>

#include "scaled.h"

static int failures;

#define EXPECT(condition, ...)                         \
	do {                                           \
		if (!(condition)) {                    \
			printf("line %d: ", __LINE__); \
			printf(__VA_ARGS__);           \
			putchar('\n');                 \
			failures++;                    \
		}                                      \
	} while (0)

static bool near(double a, double b, double relative)
{
	return fabs(a - b) <= relative * fmax(fabs(a), fabs(b));
}

static void must(int err, const char *what)
{
	if (!err)
		return;
	printf("%s: %s\n", what, strerror(-err));
	exit(1);
}

/* Figures such as "length=5 km;dark=1e-3". */
static void set(struct model *model, const char *figures)
{
	char copy[256], *rest = copy, *key, *value;
	const char *why = "";

	snprintf(copy, sizeof(copy), "%s", figures);
	while ((value = strsep(&rest, ";")) && *value) {
		key = strsep(&value, "=");
		must(model_set(model, key, value, &why), why);
	}
}

static struct model preset(const char *name, const char *figures)
{
	const char *why = name;
	struct model model;

	must(model_preset(&model, name), name);
	set(&model, figures);
	must(model_check(&model, &why), why);
	return model;
}

static struct expected expect(const struct model *model)
{
	struct expected e;
	struct state state;

	model_state(model, 0, &state);
	rate_expected(model, &state, &e);
	return e;
}

/* ---- Ten points per protocol ---- */

#define POINTS 10

static const char *const base_of[PROTOCOLS] = {
	"bb84-fibre-50km",  "b92-fibre-2km", "e91-fibre-20km",
	"bbm92-fibre-50km", "cow-fibre-2km", "cow-variant-fibre-10km",
};

/* The last two have what the formulas know to the first order. */
static const char *const points[PROTOCOLS][POINTS] = {
	[PROTOCOL_BB84] = {
		"length=50 km",
		"length=0 km",
		"length=120 km",
		"length=0 km;efficiency=1;misalignment=3 %",
		"length=20 km;dark=1e-3",
		"length=20 km;background=0.02",
		"length=20 km;misalignment=8 %;key-basis=50 %",
		"length=10 km;mu=0.8;nu1=0.1;nu2=0;key-basis=95 %",
		"length=10 km;dead=50 ns",
		"length=10 km;afterpulse=2 %;dead=10 ns",
	},
	[PROTOCOL_B92] = {
		"length=0 km",
		"length=2 km",
		"length=30 km",
		"length=0 km;mu=0.5;efficiency=1",
		"length=2 km;mu=0.1;dark=1e-3",
		"length=2 km;mu=0.1;background=0.005",
		"length=2 km;misalignment=5 %",
		"length=2 km;misalignment=0.1 %;dark=0;mu=0.2",
		"length=2 km;mu=0.05;dead=50 ns",
		"length=2 km;mu=0.05;afterpulse=2 %;dead=10 ns",
	},
	[PROTOCOL_E91] = {
		"length=20 km",
		"length=0 km;mu=0.3;efficiency=1;alice-efficiency=1",
		"length=100 km",
		"length=10 km;mu=0.1;alice-efficiency=0.1",
		"length=10 km;dark=1e-3",
		"length=10 km;background=0.005",
		"length=10 km;visibility=0.8;key-basis=50 %",
		"length=10 km;misalignment=8 %;mu=0.05",
		"length=10 km;mu=0.1;dead=50 ns",
		"length=10 km;mu=0.1;afterpulse=2 %;dead=10 ns",
	},
	[PROTOCOL_BBM92] = {
		"length=50 km",
		"length=0 km;mu=0.3;efficiency=1;alice-efficiency=1",
		"length=150 km",
		"length=10 km;mu=0.1;alice-efficiency=0.9",
		"length=10 km;dark=1e-3",
		"length=10 km;background=0.01",
		"length=10 km;visibility=0.8;key-basis=50 %",
		"length=10 km;misalignment=8 %;key-basis=90 %",
		"length=10 km;mu=0.2;dead=50 ns",
		"length=10 km;mu=0.2;afterpulse=2 %;dead=10 ns",
	},
	[PROTOCOL_COW] = {
		"length=2 km",
		"length=0 km;mu=0.5;nu1=0.5;efficiency=1",
		"length=80 km",
		"length=0 km;data=0.5;share-mu=0.5;share-nu1=0.5",
		"length=2 km;dark=1e-3;data=0.5",
		"length=2 km;background=0.003;data=0.6",
		"length=2 km;visibility=0.7;data=0.5",
		"length=2 km;misalignment=8 %",
		"length=2 km;data=0.5;dead=50 ns",
		"length=2 km;data=0.5;afterpulse=2 %;dead=10 ns",
	},
	[PROTOCOL_COW_VARIANT] = {
		"length=10 km",
		"length=0 km;mu=0.5;nu1=0.5;efficiency=1",
		"length=80 km",
		"length=0 km;mu=0.1;nu1=0.1;share-mu=0.4;share-nu1=0.4;share-nu2=0.2",
		"length=2 km;mu=0.1;nu1=0.1;dark=1e-3",
		"length=2 km;mu=0.1;nu1=0.1;background=0.003",
		"length=2 km;mu=0.1;nu1=0.1;visibility=0.7",
		"length=2 km;mu=0.1;nu1=0.1;misalignment=8 %;data=0.8",
		"length=2 km;mu=0.05;nu1=0.05;dead=50 ns",
		"length=2 km;mu=0.05;nu1=0.05;afterpulse=2 %;dead=10 ns",
	},
};

static struct model point(enum protocol protocol, int i)
{
	struct model model = preset(base_of[protocol], "dead=0;afterpulse=0");
	const char *why = "";

	set(&model, points[protocol][i]);
	must(model_check(&model, &why), why);
	return model;
}

/* ---- Light ---- */

/* What a sound simulation does not reach in a life of runs, nor a wrong one miss. */
#define SIGMAS 6
/* Below it, statistics are not those of a normal distribution. */
#define ENOUGH 100

/**
 * struct tally - of comparisons
 * @square: sum of squared deviations in sigmas
 */
struct tally {
	const char *what;
	int comparisons;
	double square;
	double worst;
};

static void compare(struct tally *tally, const char *name, double seen,
		    double expected, double sigma)
{
	double off = (seen - expected) / sigma;

	tally->comparisons++;
	tally->square += off * off;
	tally->worst = fmax(tally->worst, fabs(off));
	EXPECT(fabs(off) < SIGMAS, "%s: %s: %.6g, expected %.6g +- %.2g",
	       tally->what, name, seen, expected, sigma);
}

/* A number of rare things. */
static void compare_count(struct tally *tally, const char *name, double seen,
			  double expected)
{
	if (expected >= ENOUGH)
		compare(tally, name, seen, expected, sqrt(expected));
	else
		EXPECT(seen < ENOUGH + SIGMAS * sqrt(ENOUGH),
		       "%s: %s: %g, expected %g", tally->what, name, seen,
		       expected);
}

/* A share of @of things. */
static void compare_share(struct tally *tally, const char *name, double seen,
			  double of, double expected)
{
	double sigma = sqrt(expected * (1 - expected) / of);

	if (of * expected >= ENOUGH && of * (1 - expected) >= ENOUGH)
		compare(tally, name, seen / of, expected, sigma);
}

static void train(const struct model *model, uint64_t slots,
		  struct sifted *alice, struct sifted *bob)
{
	struct buffer light = { 0 }, told = { 0 }, answer = { 0 };
	struct emitter *emitter;
	struct receiver *receiver;
	struct state state;

	model_state(model, 0, &state);
	must(emitter_new(&emitter, model), "emitter");
	must(receiver_new(&receiver, model), "receiver");
	must(emitter_train(emitter, &state, slots, &light), "light");
	must(receiver_train(receiver, &light), "detectors");
	must(sift_tell(receiver, &told), "tell");
	must(sift_answer(emitter, &told, &answer, alice), "answer");
	must(sift_finish(receiver, &answer, bob), "finish");
	emitter_free(emitter);
	receiver_free(receiver);
	buffer_free(&light);
	buffer_free(&told);
	buffer_free(&answer);
}

static void compare_clicks(struct tally *tally, const struct model *model,
			   const struct expected *e, const struct seen *all,
			   const struct counts *counts)
{
	static const char *const bases[] = { "key", "check" };
	bool e91 = model->protocol == PROTOCOL_E91;
	char name[64];
	int b, i;

	for (b = 0; b < BASES; b++) {
		for (i = 0; i < INTENSITIES; i++) {
			snprintf(name, sizeof(name), "clicks, %s basis, %d",
				 bases[b], i);
			compare_count(tally, name, counts->clicks[b][i],
				      all->clicks[b][i]);
			snprintf(name, sizeof(name), "errors, %s basis, %d",
				 bases[b], i);
			if (b == BASIS_CHECK && !e91)
				compare_share(tally, name, counts->errors[b][i],
					      counts->clicks[b][i],
					      e->qber[b][i]);
		}
	}
}

static void compare_chsh(struct tally *tally, const struct expected *e,
			 const struct counts *counts)
{
	double sum = 0, variance = 0, n, each;
	int x, y;

	for (x = 0; x < 2; x++) {
		for (y = 0; y < 2; y++) {
			const uint64_t *count = counts->chsh[x][y];

			n = count[0] + count[1];
			each = ((double)count[0] - (double)count[1]) / n;
			sum += each * (x && y ? -1 : 1);
			variance += (1 - each * each) / n;
		}
	}
	compare(tally, "S", sum, e->chsh, sqrt(variance));
}

static void compare_all(struct tally *tally, const struct model *model,
			const struct sifted *alice, const struct sifted *bob)
{
	const struct counts *counts = &alice->counts;
	struct expected e = expect(model);
	double n = alice->key.count, meetings;
	struct seen all;

	rate_seen(model, &e, counts->pulses, &all);
	compare_clicks(tally, model, &e, &all, counts);
	compare_count(tally, "sifted", n, e.sifted * counts->pulses);
	compare_share(tally, "QBER", bits_distance(&alice->key, &bob->key), n,
		      e.error);
	if (model->protocol == PROTOCOL_B92)
		compare_count(tally, "inconclusive", counts->inconclusive,
			      all.inconclusive);
	if (model->protocol == PROTOCOL_E91)
		compare_chsh(tally, &e, counts);
	if (!protocol_cow(model->protocol))
		return;
	meetings = counts->visibility[0] + counts->visibility[1];
	compare_count(tally, "meetings", meetings,
		      all.visibility[0] + all.visibility[1]);
	compare_share(tally, "visibility", counts->visibility[0], meetings,
		      (1 + e.visibility) / 2);
}

static void light_point(enum protocol protocol, int i, double clicks,
			struct tally *total)
{
	struct model model = point(protocol, i);
	struct sifted alice = { 0 }, bob = { 0 };
	struct tally tally = { .what = points[protocol][i] };

	must(bits_init(&alice.key, 0), "key");
	must(bits_init(&bob.key, 0), "key");
	train(&model, clicks / expect(&model).sifted, &alice, &bob);
	EXPECT(alice.key.count == bob.key.count &&
		       !memcmp(&alice.counts, &bob.counts, sizeof(bob.counts)),
	       "%s: both ends do not count alike", tally.what);
	compare_all(&tally, &model, &alice, &bob);
	printf("%-60s %2d comparisons, worst %.1f sigma\n", tally.what,
	       tally.comparisons, tally.worst);
	total->comparisons += tally.comparisons;
	total->square += tally.square;
	bits_free(&alice.key);
	bits_free(&bob.key);
}

static void light(const char *name)
{
	double clicks = 1e4 * scale_percent(), n;
	struct tally total = { .what = name };
	enum protocol protocol;
	int i;

	must(protocol_by_name(name, &protocol), name);
	for (i = 0; i < POINTS; i++)
		light_point(protocol, i, clicks, &total);
	/* None is far off, but all together? */
	n = total.comparisons;
	EXPECT(total.square < n + SIGMAS * sqrt(2 * n),
	       "%s: chi^2 %.1f of %.0f", name, total.square, n);
	printf("%s: chi^2 %.1f of %.0f\n", name, total.square, n);
}

/* ---- Figures ---- */

static void refused(const char *base, const char *key, const char *value,
		    const char *says)
{
	struct model model, before;
	const char *why = NULL;
	int err;

	must(model_preset(&model, base), base);
	before = model;
	err = model_set(&model, key, value, &why);
	if (err)
		EXPECT(!memcmp(&model, &before, sizeof(model)),
		       "%s = %s: refused, but changed", key, value);
	else
		err = model_check(&model, &why);
	EXPECT(err == -EINVAL && why && strstr(why, says),
	       "%s: %s = %s: %d, \"%s\", not \"%s\"", base, key, value, err,
	       why ? why : "", says);
}

static void figures_refused(void)
{
	static const char bb84[] = "bb84-fibre-50km",
			  day[] = "bb84-free-space-day";
	static const char orbit[] = "bb84-satellite", cow[] = "cow-fibre-2km";

	refused(bb84, "lenght", "5 km", "qkd-link(1)");
	refused(bb84, "length", "", "km");
	refused(bb84, "length", "5 parsec", "km");
	refused(bb84, "length", "-5 km", "km");
	refused(bb84, "length", "nan", "km");
	refused(bb84, "length", "inf", "km");
	refused(bb84, "length", "5 km 6", "km");
	refused(bb84, "rate", "1 s", "GHz");
	refused(bb84, "rate", "0", "above 0");
	refused(bb84, "block", "1e6.5", "whole");
	refused(bb84, "block", "1000.5", "whole");
	refused(bb84, "block", "1e300", "whole");
	refused(bb84, "block", "10", "1000");
	refused(bb84, "protocol", "bb85", "cow-variant");
	refused(bb84, "medium", "ether", "satellite");
	refused(bb84, "share-mu", "50 %", "sum to 1");
	refused(bb84, "share-mu", "2", "0 to 1");
	refused(bb84, "mu", "0.2", "nu1 + nu2");
	refused(bb84, "nu1", "0", "above nu2");
	refused(bb84, "key-basis", "100 %", "below 1");
	refused(bb84, "efficiency", "110 %", "at most 1");
	refused(bb84, "efficiency", "0", "above 0");
	refused(bb84, "dark", "1", "below 1");
	refused(bb84, "dead", "10 s", "10^9");
	refused(bb84, "afterpulse", "1", "0.5");
	refused(bb84, "misalignment", "60 %", "0.5");
	refused(bb84, "eps-sec", "1", "eps-sec");
	refused(bb84, "eps-cor", "0", "eps-cor");
	refused(bb84, "max-qber", "0", "max-qber");
	refused(day, "cn2", "1e-12", "Rytov");
	refused(day, "divergence", "1 urad", "divergence");
	refused(day, "background", "2", "background");
	refused(day, "wavelength", "0", "wavelength");
	refused(orbit, "length", "500 m", "orbit");
	refused(orbit, "min-elevation", "1 deg", "5 deg");
	refused(orbit, "max-elevation", "5 deg", "max-elevation");
	refused(orbit, "period", "10 s", "pass");
	refused(orbit, "cn2", "1e-16", "free-space");
	refused(cow, "share-nu2", "1 %", "sum to 1");
	refused(cow, "nu1", "0.1", "must be mu");
	refused(cow, "data", "1", "below 1");
	refused("b92-fibre-2km", "share-mu", "0.5", "sum to 1");
	refused("e91-fibre-20km", "alice-efficiency", "0", "above 0");
	refused("cow-variant-fibre-10km", "protocol", "cow", "share-nu2");
	refused("cow-variant-fibre-10km", "data", "0.33", "1/3 or more");
}

/* Is there a statement that has the name, and a source or what stands for one? */
static bool has_source(const char *sources, const char *name)
{
	char *text = strdup(sources), *rest = text, *line, *at;
	size_t size = strlen(name);
	bool found = false;

	while (!found && (line = strsep(&rest, "\n;")))
		for (at = line; !found && (at = strstr(at, name)); at += size)
			found = at > line && at[-1] == ' ' &&
				strchr(" ,:", at[size]) &&
				(strchr(at, '[') || strstr(at, ": assumed: ") ||
				 strstr(at, ": chosen"));
	free(text);
	return found;
}

static void figures_sourced(const struct model *model)
{
	const char *name, *unit;
	char *text, *list;
	size_t size, i;
	double value;
	FILE *file = open_memstream(&text, &size);

	model_sources(file, model->name);
	fclose(file);
	list = strstr(text, "\n[1]");
	if (list)
		*list = 0;
	for (i = 0; !model_figure(model, i, &name, &value, &unit); i++)
		/* no other protocol looks at neighbours or pairs */
		if (value != 0 && (strcmp(name, "visibility") ||
				   (model->protocol != PROTOCOL_BB84 &&
				    model->protocol != PROTOCOL_B92)))
			EXPECT(has_source(text, name), "%s: %s has no source",
			       model->name, name);
	free(text);
}

static void figures(void)
{
	struct model model;
	const char *name, *why;
	char *text;
	size_t size;
	FILE *file = open_memstream(&text, &size);
	int i;

	model_presets(file);
	fclose(file);
	for (i = 0; (name = model_preset_name(i)); i++) {
		must(model_preset(&model, name), name);
		EXPECT(!model_check(&model, &why), "%s: %s", name, why);
		EXPECT(expect(&model).key > 0 ||
			       model.channel.medium == MEDIUM_SATELLITE,
		       "%s: no key", name);
		EXPECT(strstr(text, name), "%s is not listed", name);
		figures_sourced(&model);
	}
	free(text);
	EXPECT(i >= 10, "%d presets", i);
	EXPECT(model_preset(&model, "bb84-fibre") == -ENOENT, "a stranger");
	figures_refused();
	model = preset("bb84-free-space-day",
		       "length=1.5km;wavelength=850 nm;dead=40 ns;rate=0.5 GHz;"
		       "divergence=0.001 deg;dark=0.01 %;loss=2 dB");
	EXPECT(near(model.channel.length, 1500, 1e-12) &&
		       near(model.channel.wavelength, 850e-9, 1e-12) &&
		       near(model.detector.dead, 40e-9, 1e-12) &&
		       near(model.source.rate, 5e8, 1e-12) &&
		       near(model.channel.divergence, M_PI / 180e3, 1e-12) &&
		       near(model.detector.dark, 1e-4, 1e-12) &&
		       near(model.channel.fixed_db, 2, 1e-12),
	       "units");
}

/* ---- Where a key ends ---- */

/* Distance at which the key ends, or 0: nowhere up to @to. */
static double ends_at(struct model *model, double to)
{
	double low = 0, high = to, key = INFINITY, next;
	int i;

	for (i = 0; i <= 100; i++) {
		model->channel.length = to * i / 100;
		next = expect(model).key;
		EXPECT(next <= key, "%s: more key at %g m than before it",
		       model->name, model->channel.length);
		key = next;
	}
	if (key > 0)
		return 0;
	for (i = 0; i < 60; i++) {
		model->channel.length = (low + high) / 2;
		if (expect(model).key > 0)
			low = model->channel.length;
		else
			high = model->channel.length;
	}
	return low;
}

/* Root of a function that falls. */
static double root(double (*function)(double), double low, double high)
{
	double middle;
	int i;

	for (i = 0; i < 100; i++) {
		middle = (low + high) / 2;
		if (function(middle) > 0)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static double shor_preskill(double q)
{
	return 1 - 2 * binary_entropy(q);
}

static double holevo_chsh(double q)
{
	double s = 2 * M_SQRT2 * (1 - 2 * q);

	if (s <= 2)
		return -1;
	return 1 - binary_entropy(q) -
	       binary_entropy((1 + sqrt(s * s / 4 - 1)) / 2);
}

/* QBER just where the key ends. */
static double last_error(struct model *model, double to)
{
	model->channel.length = ends_at(model, to);
	EXPECT(model->channel.length > 0, "%s: the key does not end",
	       model->name);
	return expect(model).error;
}

static void ends(void)
{
	struct model model;
	double db, km;

	/* Single pairs: errors alone end the key, at textbook rates. */
	model = preset("bbm92-fibre-50km", "mu=1e-4");
	EXPECT(near(last_error(&model, 400e3), root(shor_preskill, 0, 0.5),
		    1e-3),
	       "BBM92 ends at %g", expect(&model).error);
	EXPECT(near(rate_threshold(&model), root(shor_preskill, 0, 0.5), 1e-6),
	       "threshold of BBM92");
	model = preset("e91-fibre-20km", "mu=1e-4");
	EXPECT(near(last_error(&model, 400e3), root(holevo_chsh, 0, 0.5), 1e-3),
	       "E91 ends at %g", expect(&model).error);
	EXPECT(near(rate_threshold(&model), root(holevo_chsh, 0, 0.5), 1e-6),
	       "threshold of E91");
	/* Without errors, loss alone: unambiguous discrimination. */
	model = preset("b92-fibre-2km",
		       "mu=1e-5;dark=0;misalignment=0;efficiency=1;dead=0");
	db = ends_at(&model, 60e3) / 1e3 * model.channel.db_per_km;
	EXPECT(near(db, -10 * log10(1 - M_SQRT1_2), 1e-3),
	       "B92 ends at %g dB, not %g", db, -10 * log10(1 - M_SQRT1_2));
	model = preset("bb84-fibre-50km", "");
	EXPECT(ends_at(&model, 400e3) > 0, "BB84 does not end");
	EXPECT(near(rate_threshold(&model), root(shor_preskill, 0, 0.5), 1e-6),
	       "threshold of BB84");
	model = preset("cow-fibre-2km", "");
	km = ends_at(&model, 400e3) / 1e3;
	EXPECT(km > 75 && km < 76, "COW ends at %g km", km);
	model = preset("cow-variant-fibre-10km", "");
	EXPECT(ends_at(&model, 400e3) > 0, "the variant does not end");
	/* No noise, no loss, all in one basis but a little: sifted is secret. */
	model = preset("bbm92-fibre-50km",
		       "mu=1e-6;dark=0;misalignment=0;efficiency=1;length=0;"
		       "alice-efficiency=1;key-basis=0.999999");
	EXPECT(near(expect(&model).key, 1e-6, 1e-4), "a perfect link: %g",
	       expect(&model).key);
}

/* The best the original and the variant of COW can do goes with the square of what
 * comes: ten times the loss, a hundredth of the key. */
static void ends_cow(const char *name)
{
	double best[2] = { 0 }, mu;
	int i;

	for (i = 0; i < 2; i++) {
		struct model model = preset(name, "dark=0;dead=0;efficiency=1");

		model.channel.length = i ? 250e3 : 200e3;
		for (mu = 1e-7; mu < 1; mu *= 1.05) {
			double key;

			model.source.intensity[0] = mu;
			model.source.intensity[1] = mu;
			key = expect(&model).key;
			if (key > best[i])
				best[i] = key;
		}
	}
	EXPECT(best[0] > 0 && near(best[0], 100 * best[1], 0.05),
	       "%s: %g, and %g behind ten times the loss", name, best[0],
	       best[1]);
}

/* ---- Blocks of a size ---- */

/* Counts of a block of @block sifted bits where all is as expected. */
static struct counts block_counts(const struct model *model, double block)
{
	struct expected e = expect(model);
	struct counts counts = { 0 };
	struct seen seen;
	int b, i, x, y;

	rate_seen(model, &e, block / e.sifted, &seen);
	counts.pulses = seen.pulses;
	for (b = 0; b < BASES; b++) {
		for (i = 0; i < INTENSITIES; i++) {
			counts.clicks[b][i] = rint(seen.clicks[b][i]);
			counts.errors[b][i] = b ? rint(seen.errors[b][i]) : 0;
			counts.compared[b][i] = b ? counts.clicks[b][i] : 0;
		}
	}
	for (x = 0; x < 2; x++) {
		for (y = 0; y < 2; y++) {
			counts.chsh[x][y][0] = rint(seen.chsh[x][y][0]);
			counts.chsh[x][y][1] = rint(seen.chsh[x][y][1]);
		}
	}
	counts.visibility[0] = rint(seen.visibility[0]);
	counts.visibility[1] = rint(seen.visibility[1]);
	counts.inconclusive = rint(seen.inconclusive);
	counts.compared[BASIS_KEY][0] = block;
	counts.errors[BASIS_KEY][0] = rint(block * e.error);
	return counts;
}

static double kept(const struct model *model, double block,
		   struct secret *secret)
{
	struct counts counts = block_counts(model, block);
	double leaked = block * binary_entropy(expect(model).error);

	rate_secret(model, &counts, leaked, secret);
	EXPECT(!secret->bits == !!secret->reason, "%s: %" PRIu64 " bits, %s",
	       model->name, secret->bits,
	       secret->reason ? secret->reason : "no reason");
	return secret->bits / block;
}

/* Of these a bound knows blocks. */
static bool has_blocks(enum protocol protocol)
{
	return protocol == PROTOCOL_BB84 || protocol == PROTOCOL_BBM92 ||
	       protocol == PROTOCOL_COW_VARIANT;
}

static void finite_protocol(enum protocol protocol)
{
	struct model model = preset(base_of[protocol], "");
	bool finite = has_blocks(protocol);
	struct expected e = expect(&model);
	double most = e.key / e.sifted, share = 0, last = -1, block;
	struct secret secret;

	for (block = 1e4; block < 1e16; block *= 10) {
		share = kept(&model, block, &secret);
		EXPECT(share <= most * (1 + 1e-6) + 2 / block,
		       "%s: block of %g: %g, above %g", model.name, block,
		       share, most);
		EXPECT(share >= last - 2 / block, "%s: less of a block of %g",
		       model.name, block);
		last = share;
	}
	EXPECT(near(share, most, 1e-3), "%s: large blocks give %g, not %g",
	       model.name, share, most);
	EXPECT(finite == !!strstr(secret.proof, "finite key") &&
		       finite == !strstr(secret.proof, "asymptotic") &&
		       finite == (secret.eps_sec == model.finite.eps_sec &&
				  secret.eps_cor == model.finite.eps_cor) &&
		       finite == (secret.eps_sec > 0),
	       "%s: %s, eps %g and %g", model.name, secret.proof,
	       secret.eps_sec, secret.eps_cor);
	EXPECT(finite == !strstr(secret.proof, "deviations"), "%s: %s",
	       model.name, secret.proof);
	EXPECT(kept(&model, 2e3, &secret) == 0, "%s: key of a tiny block",
	       model.name);
	set(&model, "eps-sec=0");
	EXPECT(near(kept(&model, 1e8, &secret), most, 1e-3) &&
		       strstr(secret.proof, "asymptotic") && !secret.eps_sec,
	       "%s: asymptotic", model.name);
}

/* Blocks as presets have them are large enough for a key. A satellite's are of its passes. */
static void finite_presets(void)
{
	struct secret secret;
	struct model model;
	const char *name;
	int i;

	for (i = 0; (name = model_preset_name(i)); i++) {
		must(model_preset(&model, name), name);
		EXPECT(model.channel.medium == MEDIUM_SATELLITE ||
			       kept(&model, model.finite.block, &secret) > 0,
		       "%s: no key of its own blocks", name);
	}
}

/*
 * Whatever chance makes of few counts, they are no key: all coincidences as they should be,
 * so that S is 4; no click at a dark detector, nor of an empty symbol.
 */
static void finite_lucky(enum protocol protocol)
{
	struct model model = preset(base_of[protocol], "");
	struct counts counts = block_counts(&model, 1000);
	struct secret secret;
	int x, y;

	for (x = 0; x < 2; x++) {
		for (y = 0; y < 2; y++) {
			counts.chsh[x][y][x && y] +=
				counts.chsh[x][y][!(x && y)];
			counts.chsh[x][y][!(x && y)] = 0;
		}
	}
	memset(counts.errors, 0, sizeof(counts.errors));
	counts.visibility[1] = 0;
	if (protocol == PROTOCOL_COW_VARIANT)
		counts.clicks[BASIS_CHECK][2] = 0;
	rate_secret(&model, &counts, 0, &secret);
	EXPECT(!secret.bits && secret.reason,
	       "%s: %" PRIu64 " bits of a lucky block", model.name,
	       secret.bits);
}

static struct seen both_seen(const struct counts *counts)
{
	struct seen seen = { .pulses = counts->pulses };
	int b, i;

	for (b = 0; b < BASES; b++) {
		for (i = 0; i < INTENSITIES; i++) {
			seen.clicks[b][i] = counts->clicks[b][i];
			seen.errors[b][i] = counts->errors[b][i];
		}
	}
	return seen;
}

/* No more key than either bound has, and both papers are named. */
static void finite_both(const char *figures)
{
	struct model model = preset("bb84-fibre-50km", figures);
	struct counts counts;
	struct bound lim, ours;
	struct secret secret;
	struct seen seen;
	double block;

	for (block = 1e4; block < 1e13; block *= 3) {
		counts = block_counts(&model, block);
		seen = both_seen(&counts);
		proof_bb84(&model, &seen, &lim, &ours);
		rate_secret(&model, &counts, 0, &secret);
		EXPECT(secret.bits <= fmax(lim.bits - lim.cost, 0) &&
			       secret.bits <= fmax(ours.bits - ours.cost, 0),
		       "%s, block of %g: %" PRIu64
		       " bits, more than a proof has",
		       figures, block, secret.bits);
		EXPECT(!secret.bits || (!lim.reason && !ours.reason),
		       "%s, block of %g: key that a proof has not", figures,
		       block);
	}
	EXPECT(strstr(secret.proof, "022307") &&
		       strstr(secret.proof, "2405.16578"),
	       "not both papers: %s", secret.proof);
}

/* Each bit that was told is a bit less, until there are none. */
static void finite_leaked(void)
{
	struct model model = preset("bb84-fibre-50km", "");
	struct counts counts = block_counts(&model, 1e6);
	struct secret none, some;
	uint64_t told;

	rate_secret(&model, &counts, 0, &none);
	for (told = 1; told < none.bits; told = 3 * told + 1) {
		rate_secret(&model, &counts, told, &some);
		EXPECT(some.bits == none.bits - told, "%" PRIu64 " bits told",
		       told);
	}
	rate_secret(&model, &counts, none.bits - 1, &some);
	EXPECT(some.bits == 1, "one is left");
	rate_secret(&model, &counts, none.bits, &some);
	EXPECT(!some.bits && some.reason, "none is left");
	rate_secret(&model, &counts, UINT64_MAX, &some);
	EXPECT(!some.bits && some.reason, "all was told");
	set(&model, "eps-sec=1e-20");
	rate_secret(&model, &counts, 0, &some);
	EXPECT(some.bits && some.bits < none.bits,
	       "more secrecy, as many bits");
}

/* What is promised is what was done, and where a bound has no value there is no key. */
static void finite_promises(void)
{
	struct model model = preset("bb84-fibre-50km", "eps-cor=1e-40");
	struct counts counts = block_counts(&model, 1e7);
	struct secret secret;

	rate_secret(&model, &counts, 0, &secret);
	EXPECT(secret.bits && secret.eps_cor >= verify_collision(1e7),
	       "verification is not as good as %g", secret.eps_cor);
	/* so large a block, and eps, that the deviation would be imaginary */
	set(&model, "eps-sec=0.099");
	counts = block_counts(&model, 1e12);
	rate_secret(&model, &counts, 0, &secret);
	EXPECT(secret.phase_error <= 0.5 &&
		       (!secret.bits || secret.phase_error > 0),
	       "phase error %g, %" PRIu64 " bits", secret.phase_error,
	       secret.bits);
}

/* Afterpulses tell which of two lines it was that clicked: no proof has that. */
static void finite_afterpulse(void)
{
	struct model model = preset("cow-variant-fibre-10km", "afterpulse=1 %");
	struct secret secret;

	EXPECT(kept(&model, 1e8, &secret) > 0 && !secret.eps_sec &&
		       strstr(secret.proof, "deviations") &&
		       !strstr(secret.proof, "finite key"),
	       "%s, eps %g", secret.proof, secret.eps_sec);
}

/* An epsilon whose square is no number any more is no epsilon of 0. */
static void finite_tiny(enum protocol protocol)
{
	struct model model = preset(base_of[protocol], "");
	struct counts counts = block_counts(&model, 1e7);
	struct secret some, fewer;

	rate_secret(&model, &counts, 0, &some);
	set(&model, "eps-sec=1e-200");
	rate_secret(&model, &counts, 0, &fewer);
	EXPECT(some.bits && fewer.bits < some.bits,
	       "%s: %" PRIu64 " bits, not fewer than %" PRIu64, model.name,
	       fewer.bits, some.bits);
}

/* Also where no bound knows blocks, the hash has its price. */
static void finite_hash(enum protocol protocol)
{
	struct model model = preset(base_of[protocol], "eps-sec=0");
	struct counts counts = block_counts(&model, 1e7);
	struct secret free, secret;

	rate_secret(&model, &counts, 0, &free);
	set(&model, "eps-sec=1e-10");
	rate_secret(&model, &counts, 0, &secret);
	EXPECT(secret.bits && free.bits - secret.bits >= 2 * log2(1e10) - 1,
	       "%s: %" PRIu64 " bits, %" PRIu64 " for nothing", model.name,
	       secret.bits, free.bits);
}

/*
 * Where Bob's bits are wrong is told. If his bits of empty pulses are Eve's, she has
 * Alice's then: whatever clicks there are of pulses that are empty, they are no key.
 */
static void finite_empty(void)
{
	struct model model = preset("bb84-fibre-50km", "");
	struct counts counts = block_counts(&model, 1e7);
	struct secret secret;

	rate_secret(&model, &counts, 0, &secret);
	EXPECT(secret.bits &&
		       secret.bits <=
			       secret.single *
				       (1 - binary_entropy(secret.phase_error)),
	       "%" PRIu64 " bits, of %g single photons", secret.bits,
	       secret.single);
	set(&model, "eps-sec=0");
	rate_secret(&model, &counts, 0, &secret);
	EXPECT(secret.bits &&
		       secret.bits <=
			       secret.single *
				       (1 - binary_entropy(secret.phase_error)),
	       "%" PRIu64 " bits, of %g single photons", secret.bits,
	       secret.single);
}

/* What --distance says of the link where it is. */
static char *table_of(const struct model *model)
{
	double length = model->channel.length;
	const char *why = "";
	char *text;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	must(rate_table(file, model, length, length, 0, &why), why);
	fclose(file);
	return text;
}

/* The table's blocks are those that rate_secret() would keep, or there are none. */
static void finite_table(enum protocol protocol)
{
	static const char none[] = "# proof: key_block: none\n";
	struct model model = preset(base_of[protocol], "");
	bool finite = has_blocks(protocol);
	struct expected e = expect(&model);
	double block = model.finite.block, bits;
	struct counts counts = block_counts(&model, block);
	char *text = table_of(&model), *last = strrchr(text, '\t') + 1;
	struct secret secret;

	rate_secret(&model, &counts,
		    1.16 * block * binary_entropy(e.error) + 8 * VERIFY_TAG,
		    &secret);
	bits = strtod(last, NULL) / model.source.rate / e.sifted * block;
	EXPECT(strstr(text, "# proof: key: asymptotic") == text,
	       "%s: what is asymptotic?\n%s", model.name, text);
	EXPECT(finite == !!strstr(text, "# proof: key_block: finite key") &&
		       finite == !strstr(text, none),
	       "%s: the proof of blocks\n%s", model.name, text);
	EXPECT(finite == !!strcmp(last, "-\n"), "%s: blocks\n%s", model.name,
	       text);
	/* of six digits, and whole counts, some of them small */
	EXPECT(!finite || (secret.bits && near(bits, secret.bits, 2e-4)),
	       "%s: a block of %g, not %" PRIu64, model.name, bits,
	       secret.bits);
	free(text);
	set(&model, "eps-sec=0");
	text = table_of(&model);
	EXPECT(strstr(text, none) && strstr(text, "\t-\n"),
	       "%s: blocks without an epsilon\n%s", model.name, text);
	free(text);
}

/* ---- No key rather than a doubtful one ---- */

static void none(const struct model *model, const struct counts *counts,
		 const char *says)
{
	struct secret secret;

	rate_secret(model, counts, 0, &secret);
	EXPECT(!secret.bits && secret.reason && strstr(secret.reason, says),
	       "%s: %" PRIu64 " bits, \"%s\", not \"%s\"", model->name,
	       secret.bits, secret.reason ? secret.reason : "", says);
}

static void closed_counts(enum protocol protocol)
{
	struct model model = preset(base_of[protocol], "");
	struct counts good = block_counts(&model, 1e7), counts = { 0 };
	struct secret secret;

	rate_secret(&model, &good, 0, &secret);
	EXPECT(secret.bits > 0, "%s: %s", model.name, secret.reason);
	none(&model, &counts, "no sifted bits");
	counts = good;
	counts.compared[BASIS_KEY][0] = 0;
	counts.errors[BASIS_KEY][0] = 0;
	none(&model, &counts, "not measured");
	counts = good;
	counts.errors[BASIS_KEY][0] = 0.12 * counts.compared[BASIS_KEY][0];
	none(&model, &counts, "max-qber");
	counts = good;
	counts.errors[BASIS_KEY][0] = counts.compared[BASIS_KEY][0] + 1;
	none(&model, &counts, "contradict");
	counts = good;
	counts.pulses = 1000;
	none(&model, &counts, "contradict");
}

static void closed_pairs_and_decoys(void)
{
	struct model model = preset("e91-fibre-20km", "");
	struct counts good = block_counts(&model, 1e7), counts = good;
	int x, y;

	/* All four just classical: E = 1/2 each. */
	for (x = 0; x < 2; x++) {
		for (y = 0; y < 2; y++) {
			counts.chsh[x][y][x && y] = 3000;
			counts.chsh[x][y][!(x && y)] = 1000;
		}
	}
	none(&model, &counts, "S is not above 2");
	counts = good;
	counts.chsh[1][0][0] = counts.chsh[1][0][1] = 0;
	none(&model, &counts, "S is not above 2");

	model = preset("bbm92-fibre-50km", "");
	counts = block_counts(&model, 1e7);
	counts.errors[BASIS_CHECK][0] = counts.clicks[BASIS_CHECK][0] / 2;
	none(&model, &counts, "phase error");
	counts.clicks[BASIS_CHECK][0] = counts.errors[BASIS_CHECK][0] = 0;
	none(&model, &counts, "no coincidences");

	model = preset("bb84-fibre-50km", "");
	good = block_counts(&model, 1e7);
	counts = good;
	/* Photon-number splitting: weak pulses come less than their share. */
	counts.clicks[BASIS_KEY][1] /= 4;
	none(&model, &counts, "single photons");
	counts = good;
	counts.errors[BASIS_CHECK][1] = counts.clicks[BASIS_CHECK][1] / 2;
	none(&model, &counts, "phase error");
	counts = good;
	memset(counts.clicks[BASIS_CHECK], 0, sizeof(counts.clicks[0]));
	memset(counts.errors[BASIS_CHECK], 0, sizeof(counts.errors[0]));
	none(&model, &counts, "phase error");
}

static void closed_loss(void)
{
	struct model model = preset("b92-fibre-2km", "length=40 km");
	struct counts counts = block_counts(&model, 1e7);

	none(&model, &counts, "unambiguous discrimination");
	model = preset("b92-fibre-2km", "");
	counts = block_counts(&model, 1e7);
	counts.errors[BASIS_KEY][0] = 0.1 * counts.compared[BASIS_KEY][0];
	none(&model, &counts, "");

	model = preset("cow-fibre-2km", "length=100 km");
	counts = block_counts(&model, 1e7);
	none(&model, &counts, "zero-error attack");
	model = preset("cow-fibre-2km", "");
	counts = block_counts(&model, 1e7);
	counts.visibility[0] = 3 * counts.visibility[1] / 2;
	none(&model, &counts, "visibility is too low");
	counts.visibility[0] = counts.visibility[1] = 0;
	none(&model, &counts, "not measured");

	model = preset("cow-variant-fibre-10km", "length=120 km");
	counts = block_counts(&model, 1e7);
	none(&model, &counts, "phase error");
	model = preset("cow-variant-fibre-10km", "");
	counts = block_counts(&model, 1e7);
	counts.errors[BASIS_CHECK][1] = counts.clicks[BASIS_CHECK][1] / 2;
	none(&model, &counts, "phase error");
	/* Decoys brighter than light can be, bits that the interferometer does not see, and
	 * hardly anything there: a broken arm.
	 */
	counts.errors[BASIS_CHECK][1] = 0;
	counts.clicks[BASIS_CHECK][1] *= 2;
	none(&model, &counts, "contradict");
	counts = block_counts(&model, 1e7);
	counts.clicks[BASIS_CHECK][0] = counts.errors[BASIS_CHECK][0] = 0;
	none(&model, &counts, "contradict");
	set(&model, "eps-sec=0");
	memset(counts.clicks[BASIS_CHECK], 0, sizeof(counts.clicks[0]));
	memset(counts.errors[BASIS_CHECK], 0, sizeof(counts.errors[0]));
	counts.clicks[BASIS_CHECK][1] = 1;
	none(&model, &counts, "");
	set(&model, "eps-sec=1e-10");
	none(&model, &counts, "");
	/* A share that is no number any more. */
	model = preset("cow-variant-fibre-10km",
		       "share-nu1=0.3;share-nu2=1e-310;eps-sec=0");
	counts = block_counts(&model, 1e7);
	none(&model, &counts, "");
	model = preset("cow-variant-fibre-10km", "");
	/* Empty symbols that click tell of light that Alice did not send. */
	counts = block_counts(&model, 1e7);
	counts.clicks[BASIS_CHECK][2] = counts.clicks[BASIS_CHECK][0] / 2;
	counts.errors[BASIS_CHECK][2] = counts.clicks[BASIS_CHECK][2] / 2;
	none(&model, &counts, "phase error");
}

/* ---- Numbers for the reference ---- */

static void print_list(const char *name, const double *list, int count)
{
	printf("%s", name);
	while (count--)
		printf(" %.17g", *list++);
	putchar('\n');
}

static void print_counts(const char *name, const uint64_t *list, int count)
{
	printf("%s", name);
	while (count--)
		printf(" %" PRIu64, *list++);
	putchar('\n');
}

static void print_model(const struct model *model, const struct state *state)
{
	const struct source *s = &model->source;
	const struct detector *d = &model->detector;
	const struct channel *c = &model->channel;

	printf("protocol %s\nmedium %s\n", protocol_name(model->protocol),
	       medium_name(c->medium));
	print_list("mu", s->intensity, INTENSITIES);
	print_list("share", s->share, INTENSITIES);
	printf("rate %.17g\nq %.17g\ndata %.17g\nvisibility %.17g\nalice %.17g\n",
	       s->rate, s->key_basis, s->data, s->visibility, s->efficiency);
	printf("efficiency %.17g\ndark %.17g\ndead %.17g\nafterpulse %.17g\n",
	       d->efficiency, d->dark, d->dead, d->afterpulse);
	printf("misalignment %.17g\nlength %.17g\nattenuation %.17g\n",
	       d->misalignment, c->length, c->db_per_km);
	printf("loss %.17g\ntx %.17g\nrx %.17g\nwavelength %.17g\n",
	       c->fixed_db, c->aperture_tx, c->aperture_rx, c->wavelength);
	printf("divergence %.17g\ncn2 %.17g\npointing %.17g\nzenith %.17g\n",
	       c->divergence, c->cn2, c->pointing, c->zenith_db);
	printf("min_elevation %.17g\nmax_elevation %.17g\nperiod %.17g\n",
	       c->min_elevation, c->max_elevation, c->period);
	printf("background %.17g\neps_sec %.17g\neps_cor %.17g\n",
	       c->background, model->finite.eps_sec, model->finite.eps_cor);
	printf("transmittance %.17g\nstray %.17g\n", state->transmittance,
	       state->background);
}

static void print_expected(const struct model *model, const struct expected *e)
{
	struct bound bound;
	struct seen seen;

	print_list("gain", e->gain[0], BASES * INTENSITIES);
	print_list("qber", e->qber[0], BASES * INTENSITIES);
	printf("sifted %.17g\nerror %.17g\nchsh %.17g\nvisible %.17g\n",
	       e->sifted, e->error, e->chsh, e->visibility);
	printf("inconclusive %.17g\nkey %.17g\n", e->inconclusive, e->key);
	rate_seen(model, e, 1, &seen);
	proof_bound(model, &seen, false, &bound);
	printf("bits %.17g\nsingle %.17g\nphase_error %.17g\nreason %s\n",
	       bound.bits, bound.single, bound.phase_error,
	       bound.reason ? bound.reason : "-");
}

static void print_bound(const char *name, const struct bound *bound)
{
	printf("%s %.17g\n%s_phase %.17g\n", name, bound->bits - bound->cost,
	       name, bound->phase_error);
}

/* Both bounds, also the one that has the longer key. */
static void print_both(const struct model *model, const struct counts *counts)
{
	struct seen seen = both_seen(counts);
	struct bound lim, wiesemann;

	proof_bb84(model, &seen, &lim, &wiesemann);
	print_bound("lim", &lim);
	print_bound("wiesemann", &wiesemann);
}

static void print_block(const struct model *model)
{
	struct counts counts = block_counts(model, 1e7);
	struct secret secret;

	if (model->protocol == PROTOCOL_BB84)
		print_both(model, &counts);
	rate_secret(model, &counts, 1234567, &secret);
	printf("pulses %" PRIu64 "\n", counts.pulses);
	print_counts("clicks", counts.clicks[0], BASES * INTENSITIES);
	print_counts("errors", counts.errors[0], BASES * INTENSITIES);
	print_counts("compared", counts.compared[0], BASES * INTENSITIES);
	print_counts("coincidences", counts.chsh[0][0], 8);
	print_counts("meetings", counts.visibility, 2);
	print_counts("nothing", &counts.inconclusive, 1);
	printf("secret %" PRIu64 "\n", secret.bits);
}

static void print_point(const char *name, const struct model *model,
			double time)
{
	struct expected e;
	struct state state;

	printf("point %s\ntime %.17g\n", name, time);
	model_state(model, time, &state);
	print_model(model, &state);
	if (time == 0 && model->channel.medium != MEDIUM_SATELLITE) {
		rate_expected(model, &state, &e);
		print_expected(model, &e);
		if (e.sifted > 0)
			print_block(model);
	}
	puts("end");
}

static void print(void)
{
	struct model model;
	const char *name;
	double time;
	int i, p;

	for (i = 0; (name = model_preset_name(i)); i++) {
		must(model_preset(&model, name), name);
		print_point(name, &model, 0);
		if (model.channel.medium != MEDIUM_SATELLITE)
			continue;
		for (time = 20; time < 2.5 * model.channel.period; time += 97)
			print_point(name, &model, time);
	}
	for (p = 0; p < PROTOCOLS; p++) {
		for (i = 0; i < POINTS; i++) {
			model = point(p, i);
			print_point(points[p][i], &model, 0);
		}
		model = preset(base_of[p], "dead=0;afterpulse=0");
		printf("point end of %s\nends %.17g\n", model.name,
		       ends_at(&model, 400e3));
		print_point("there", &model, 0);
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int p;

	if (!strcmp(what, "figures")) {
		figures();
	} else if (!strcmp(what, "light") && argc == 3) {
		light(argv[2]);
	} else if (!strcmp(what, "ends")) {
		ends();
		ends_cow("cow-fibre-2km");
		ends_cow("cow-variant-fibre-10km");
	} else if (!strcmp(what, "finite")) {
		for (p = 0; p < PROTOCOLS; p++)
			finite_protocol(p);
		for (p = 0; p < PROTOCOLS; p++)
			finite_hash(p);
		for (p = 0; p < PROTOCOLS; p++)
			finite_tiny(p);
		for (p = 0; p < PROTOCOLS; p++)
			finite_table(p);
		for (p = 0; p < PROTOCOLS; p++)
			finite_lucky(p);
		finite_both("");
		finite_both("key-basis=0.5;misalignment=4 %");
		finite_both("eps-sec=1e-20");
		finite_afterpulse();
		finite_leaked();
		finite_presets();
		finite_promises();
		finite_empty();
	} else if (!strcmp(what, "closed")) {
		for (p = 0; p < PROTOCOLS; p++)
			closed_counts(p);
		closed_pairs_and_decoys();
		closed_loss();
	} else if (!strcmp(what, "print")) {
		print();
	} else {
		fprintf(stderr, "usage: see the beginning of the source\n");
		return 2;
	}
	return failures ? 1 : 0;
}
