// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a link is made of: figures by name, whether they hold together, and what
 * becomes of light on its way. Documentation/link-physics.md has the formulas.
 */
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

/* ---- Names ---- */

static const char *const protocol_names[PROTOCOLS] = {
	"bb84", "b92", "e91", "bbm92", "cow", "cow-variant",
};

static const char *const medium_names[MEDIA] = {
	"fibre",
	"free-space",
	"satellite",
	"terahertz",
};

static int by_name(const char *const *names, int count, const char *name)
{
	int i;

	for (i = 0; i < count; i++) {
		if (!strcmp(names[i], name))
			return i;
	}
	return -EINVAL;
}

const char *protocol_name(enum protocol protocol)
{
	return protocol_names[protocol];
}

int protocol_by_name(const char *name, enum protocol *protocol)
{
	int i = by_name(protocol_names, PROTOCOLS, name);

	if (i < 0)
		return i;
	*protocol = i;
	return 0;
}

bool protocol_pairs(enum protocol protocol)
{
	return protocol == PROTOCOL_E91 || protocol == PROTOCOL_BBM92;
}

bool protocol_cow(enum protocol protocol)
{
	return protocol == PROTOCOL_COW || protocol == PROTOCOL_COW_VARIANT;
}

const char *medium_name(enum medium medium)
{
	return medium_names[medium];
}

/* ---- Figures by name ---- */

struct unit {
	const char *name;
	double factor;
};

/* What a figure measures; the units of each, the first is what no unit means. */
enum measure {
	RATIO,
	LENGTH,
	TIME,
	FREQUENCY,
	ANGLE,
	DECIBEL,
	DECIBEL_PER_KM,
	TURBULENCE,
	COUNT,
	MEASURES,
};

static const struct measure_units {
	struct unit unit[6];
	const char *why;
} measures[MEASURES] = {
	[RATIO] = { { { "", 1 }, { "%", 0.01 } }, "a number, or one with %" },
	[LENGTH] = { { { "m", 1 },
		       { "km", 1e3 },
		       { "cm", 1e-2 },
		       { "mm", 1e-3 },
		       { "um", 1e-6 },
		       { "nm", 1e-9 } },
		     "a number with km, m, cm, mm, um or nm" },
	[TIME] = { { { "s", 1 },
		     { "ms", 1e-3 },
		     { "us", 1e-6 },
		     { "ns", 1e-9 },
		     { "ps", 1e-12 },
		     { "min", 60 } },
		   "a number with min, s, ms, us, ns or ps" },
	[FREQUENCY] = { { { "Hz", 1 },
			  { "kHz", 1e3 },
			  { "MHz", 1e6 },
			  { "GHz", 1e9 } },
			"a number with Hz, kHz, MHz or GHz" },
	[ANGLE] = { { { "rad", 1 },
		      { "mrad", 1e-3 },
		      { "urad", 1e-6 },
		      { "deg", M_PI / 180 } },
		    "a number with rad, mrad, urad or deg" },
	[DECIBEL] = { { { "dB", 1 } }, "a number with dB" },
	[DECIBEL_PER_KM] = { { { "dB/km", 1 } }, "a number with dB/km" },
	[TURBULENCE] = { { { "m^-2/3", 1 } }, "a number such as 1e-15" },
	[COUNT] = { { { "", 1 } }, "a whole number of bits" },
};

#define FIGURE(name, measure, member) \
	{ name, measure, offsetof(struct model, member) }

static const struct figure {
	const char *name;
	enum measure measure;
	size_t offset;
} figures[] = {
	FIGURE("rate", FREQUENCY, source.rate),
	FIGURE("mu", RATIO, source.intensity[0]),
	FIGURE("nu1", RATIO, source.intensity[1]),
	FIGURE("nu2", RATIO, source.intensity[2]),
	FIGURE("share-mu", RATIO, source.share[0]),
	FIGURE("share-nu1", RATIO, source.share[1]),
	FIGURE("share-nu2", RATIO, source.share[2]),
	FIGURE("key-basis", RATIO, source.key_basis),
	FIGURE("data", RATIO, source.data),
	FIGURE("visibility", RATIO, source.visibility),
	FIGURE("alice-efficiency", RATIO, source.efficiency),
	FIGURE("efficiency", RATIO, detector.efficiency),
	FIGURE("dark", RATIO, detector.dark),
	FIGURE("dead", TIME, detector.dead),
	FIGURE("afterpulse", RATIO, detector.afterpulse),
	FIGURE("misalignment", RATIO, detector.misalignment),
	FIGURE("length", LENGTH, channel.length),
	FIGURE("attenuation", DECIBEL_PER_KM, channel.db_per_km),
	FIGURE("loss", DECIBEL, channel.fixed_db),
	FIGURE("aperture-tx", LENGTH, channel.aperture_tx),
	FIGURE("aperture-rx", LENGTH, channel.aperture_rx),
	FIGURE("wavelength", LENGTH, channel.wavelength),
	FIGURE("divergence", ANGLE, channel.divergence),
	FIGURE("cn2", TURBULENCE, channel.cn2),
	FIGURE("pointing", ANGLE, channel.pointing),
	FIGURE("zenith-loss", DECIBEL, channel.zenith_db),
	FIGURE("min-elevation", ANGLE, channel.min_elevation),
	FIGURE("max-elevation", ANGLE, channel.max_elevation),
	FIGURE("period", TIME, channel.period),
	FIGURE("background", RATIO, channel.background),
	FIGURE("block", COUNT, finite.block),
	FIGURE("eps-sec", RATIO, finite.eps_sec),
	FIGURE("eps-cor", RATIO, finite.eps_cor),
	FIGURE("max-qber", RATIO, finite.max_qber),
};

/* A number and its unit, with or without a space between. */
static int parse(const char *text, enum measure measure, double *number)
{
	const struct unit *unit = measures[measure].unit;
	char *end;
	int i;

	*number = strtod(text, &end);
	if (end == text || !isfinite(*number) || *number < 0)
		return -EINVAL;
	end += strspn(end, " \t");
	if (!*end)
		return 0;
	for (i = 0; i < 6 && unit[i].name; i++) {
		if (!strcmp(end, unit[i].name)) {
			*number *= unit[i].factor;
			return 0;
		}
	}
	return -EINVAL;
}

static int set_name(struct model *model, const char *key, const char *value,
		    const char **why)
{
	int i;

	if (!strcmp(key, "protocol")) {
		*why = "bb84, b92, e91, bbm92, cow or cow-variant";
		return protocol_by_name(value, &model->protocol);
	}
	*why = "fibre, free-space, satellite or terahertz";
	i = by_name(medium_names, MEDIA, value);
	if (i < 0)
		return i;
	model->channel.medium = i;
	return 0;
}

int model_set(struct model *model, const char *key, const char *value,
	      const char **why)
{
	const struct figure *figure = NULL;
	double number;
	size_t i;

	if (!strcmp(key, "protocol") || !strcmp(key, "medium"))
		return set_name(model, key, value, why);
	for (i = 0; i < sizeof(figures) / sizeof(*figures); i++) {
		if (!strcmp(figures[i].name, key))
			figure = &figures[i];
	}
	*why = "no figure has this name: see qkd-link(1)";
	if (!figure)
		return -EINVAL;
	*why = measures[figure->measure].why;
	if (parse(value, figure->measure, &number))
		return -EINVAL;
	if (figure->measure == COUNT) {
		if (number != floor(number) || number > 1e12)
			return -EINVAL;
		*(uint64_t *)((char *)model + figure->offset) = number;
	} else {
		*(double *)((char *)model + figure->offset) = number;
	}
	return 0;
}

int model_figure(const struct model *model, size_t number, const char **name,
		 double *value, const char **unit)
{
	const struct figure *figure = figures + number;
	const char *at = (const char *)model;

	if (number >= sizeof(figures) / sizeof(*figures))
		return -ENOENT;
	at += figure->offset;
	*name = figure->name;
	*unit = measures[figure->measure].unit[0].name;
	*value = figure->measure == COUNT ? *(const uint64_t *)at :
					    *(const double *)at;
	return 0;
}

/* ---- Do they hold together? ---- */

struct rule {
	bool broken;
	const char *why;
};

/* The first rule that is broken. */
static int check_rules(const struct rule *rule, size_t count, const char **why)
{
	for (; count--; rule++) {
		if (rule->broken) {
			*why = rule->why;
			return -EINVAL;
		}
	}
	return 0;
}

#define CHECK_RULES(why, ...)                                      \
	check_rules((const struct rule[]){ __VA_ARGS__ },          \
		    sizeof((const struct rule[]){ __VA_ARGS__ }) / \
			    sizeof(struct rule),                   \
		    why)

static bool not_probability(double p)
{
	return !(p >= 0 && p <= 1);
}

static bool not_positive(double number)
{
	return !(number > 0 && isfinite(number));
}

static bool negative(double number)
{
	return !(number >= 0 && isfinite(number));
}

static int check_source(const struct model *model, const char **why)
{
	const struct source *s = &model->source;
	const double *share = s->share;

	return CHECK_RULES(
		why, { not_positive(s->rate), "rate must be above 0" },
		{ s->rate > 1e12, "rate must be at most 1000 GHz" },
		{ not_positive(s->intensity[0]) || s->intensity[0] > 10,
		  "mu must be above 0, and at most 10" },
		{ not_probability(share[0]) || not_probability(share[1]) ||
			  not_probability(share[2]),
		  "a share must be 0 to 1" },
		{ !(fabs(share[0] + share[1] + share[2] - 1) <= 1e-9),
		  "share-mu, share-nu1 and share-nu2 must sum to 1" },
		{ not_probability(s->visibility),
		  "visibility must be 0 to 1" });
}

/* What the decoy bounds of Lim et al. ask for. */
static int check_bb84(const struct model *model, const char **why)
{
	const struct source *s = &model->source;
	const double *mu = s->intensity;

	return CHECK_RULES(
		why,
		{ !(mu[1] > mu[2] && mu[2] >= 0), "nu1 must be above nu2" },
		{ !(mu[0] > mu[1] + mu[2]), "mu must be above nu1 + nu2" },
		{ !(s->share[0] > 0 && s->share[1] > 0 && s->share[2] > 0),
		  "each intensity must have a share" },
		{ !(s->key_basis > 0 && s->key_basis < 1),
		  "key-basis must be above 0 and below 1" });
}

static int check_protocol(const struct model *model, const char **why)
{
	const struct source *s = &model->source;
	const double *share = s->share;
	bool cow = protocol_cow(model->protocol);
	bool pairs = protocol_pairs(model->protocol);

	if (model->protocol == PROTOCOL_BB84)
		return check_bb84(model, why);
	return CHECK_RULES(
		why,
		{ !cow && share[0] != 1,
		  "share-mu must be 1: this protocol has one intensity" },
		{ pairs && !(s->key_basis > 0 && s->key_basis < 1),
		  "key-basis must be above 0 and below 1" },
		{ pairs && !(s->efficiency > 0 && s->efficiency <= 1),
		  "alice-efficiency must be above 0, and at most 1" },
		{ cow && !(s->data > 0 && s->data < 1),
		  "data must be above 0 and below 1" },
		{ cow && !(share[0] > 0 && share[1] > 0),
		  "share-mu (bits) and share-nu1 (decoys) must be above 0" },
		{ cow && (s->intensity[1] != s->intensity[0] ||
			  s->intensity[2] != 0),
		  "nu1 (decoys) must be mu, and nu2 (empty symbols) 0" },
		{ model->protocol == PROTOCOL_COW && share[2] != 0,
		  "share-nu2 must be 0: only cow-variant has empty symbols" },
		{ model->protocol == PROTOCOL_COW_VARIANT && !(share[2] > 0),
		  "share-nu2 (empty symbols) must be above 0" },
		{ model->protocol == PROTOCOL_COW_VARIANT && s->data < 1 / 3.0,
		  "data must be 1/3 or more" });
}

static int check_detector(const struct model *model, const char **why)
{
	const struct detector *d = &model->detector;

	return CHECK_RULES(
		why,
		{ !(d->efficiency > 0 && d->efficiency <= 1),
		  "efficiency must be above 0, and at most 1" },
		{ !(d->dark >= 0 && d->dark < 1), "dark must be 0 to below 1" },
		{ negative(d->dead) || d->dead * model->source.rate > 1e9,
		  "dead must be 0 to 10^9 pulses" },
		{ !(d->afterpulse >= 0 && d->afterpulse <= 0.5),
		  "afterpulse must be 0 to 0.5" },
		{ !(d->misalignment >= 0 && d->misalignment <= 0.5),
		  "misalignment must be 0 to 0.5" });
}

static int check_finite(const struct finite *f, const char **why)
{
	return CHECK_RULES(why,
			   { f->block < 1000 ||
				     f->block > UINT64_C(1000000000000),
			     "block must be 1000 to 10^12 bits" },
			   { !(f->eps_sec >= 0 && f->eps_sec < 0.1),
			     "eps-sec must be below 0.1 (0: asymptotic)" },
			   { !(f->eps_cor > 0 && f->eps_cor < 0.1),
			     "eps-cor must be above 0 and below 0.1" },
			   { !(f->max_qber > 0 && f->max_qber <= 0.5),
			     "max-qber must be above 0, and at most 0.5" });
}

/* Rytov variance of a plane wave: how strong turbulence is. */
static double rytov(const struct channel *c)
{
	double k = 2 * M_PI / c->wavelength;

	return 1.23 * c->cn2 * pow(k, 7.0 / 6) * pow(c->length, 11.0 / 6);
}

static int check_telescopes(const struct channel *c, const char **why)
{
	double limit = 2 * c->wavelength / (M_PI * c->aperture_tx);
	bool satellite = c->medium == MEDIUM_SATELLITE;
	bool terahertz = c->medium == MEDIUM_TERAHERTZ;

	return CHECK_RULES(
		why,
		{ not_positive(c->wavelength), "wavelength must be above 0" },
		{ not_positive(c->aperture_tx) || not_positive(c->aperture_rx),
		  "aperture-tx and aperture-rx must be above 0" },
		{ negative(c->pointing) || c->pointing > 0.1,
		  "pointing must be 0 to 0.1 rad" },
		{ !terahertz && !(c->divergence >= 0.999 * limit &&
				  c->divergence < 0.1),
		  "divergence must be at least 2 wavelength / (pi aperture-tx)" },
		{ negative(c->cn2), "cn2 must be 0 or above" },
		{ c->medium == MEDIUM_FREE_SPACE && !(rytov(c) <= 1),
		  "turbulence is too strong: the Rytov variance must be below 1" },
		{ c->medium != MEDIUM_FREE_SPACE && c->cn2 != 0,
		  "cn2 is of free-space alone" },
		{ satellite && negative(c->zenith_db),
		  "zenith-loss must be 0 or above" },
		{ satellite && !(c->min_elevation >= 5 * M_PI / 180),
		  "min-elevation must be at least 5 deg" },
		{ satellite && !(c->max_elevation > c->min_elevation &&
				 c->max_elevation <= M_PI / 2),
		  "max-elevation must be above min-elevation, at most 90 deg" },
		{ satellite && !(c->length >= 150e3 && c->length <= 36000e3),
		  "length (height of the orbit) must be 150 to 36000 km" },
		{ satellite && !(c->period >= pass_duration(c)),
		  "period must be longer than a pass" });
}

static int check_channel(const struct channel *c, const char **why)
{
	int error = CHECK_RULES(
		why, { negative(c->length), "length must be 0 or above" },
		{ negative(c->db_per_km), "attenuation must be 0 or above" },
		{ negative(c->fixed_db), "loss must be 0 or above" },
		{ negative(c->background) || c->background > 1,
		  "background must be 0 to 1" });

	if (error || c->medium == MEDIUM_FIBRE)
		return error;
	return check_telescopes(c, why);
}

int model_check(const struct model *model, const char **why)
{
	return check_source(model, why)			 ?:
		       check_protocol(model, why)	 ?:
		       check_detector(model, why)	 ?:
		       check_finite(&model->finite, why) ?:
		       check_channel(&model->channel, why);
}

/* ---- The way ---- */

#define EARTH_RADIUS 6371e3 /* m, mean; IUGG */
#define EARTH_GM 3.986004418e14 /* m^3/s^2; WGS 84 */

static double from_db(double db)
{
	return pow(10, -db / 10);
}

/* Angle at the centre of the earth between a station and a satellite. */
static double central_angle(const struct channel *c, double elevation)
{
	double ratio = EARTH_RADIUS / (EARTH_RADIUS + c->length);

	return acos(ratio * cos(elevation)) - elevation;
}

double pass_duration(const struct channel *c)
{
	double orbit = EARTH_RADIUS + c->length;
	double omega = sqrt(EARTH_GM / (orbit * orbit * orbit));

	return 2 *
	       acos(cos(central_angle(c, c->min_elevation)) /
		    cos(central_angle(c, c->max_elevation))) /
	       omega;
}

double pass_elevation(const struct channel *c, double time, double *range)
{
	double orbit = EARTH_RADIUS + c->length;
	double omega = sqrt(EARTH_GM / (orbit * orbit * orbit));
	double since = fmod(time, c->period) - pass_duration(c) / 2;
	double cosine =
		cos(central_angle(c, c->max_elevation)) * cos(omega * since);

	*range = sqrt(EARTH_RADIUS * EARTH_RADIUS + orbit * orbit -
		      2 * EARTH_RADIUS * orbit * cosine);
	if (since > pass_duration(c) / 2)
		return -M_PI / 2;
	return asin((orbit * cosine - EARTH_RADIUS) / *range);
}

/* Share of a Gaussian beam of @radius (1/e^2) that falls on @aperture. */
static double collected(double radius, double aperture)
{
	return -expm1(-aperture * aperture / (2 * radius * radius));
}

/* Radius of the beam at the receiver, on the average over jitter. */
static double beam_radius(const struct channel *c, double length)
{
	double radius = c->aperture_tx / 2 + c->divergence * length;
	double jitter = 2 * c->pointing * length;
	double k = 2 * M_PI / c->wavelength, lambda;

	if (c->cn2 > 0 && length > 0) {
		lambda = 2 * length / (k * radius * radius);
		radius *= sqrt(1 + 1.33 * rytov(c) * pow(lambda, 5.0 / 6));
	}
	return hypot(radius, jitter);
}

/* A beam as narrow as diffraction allows. */
static double diffracted(const struct channel *c)
{
	double waist = c->aperture_tx / 2;
	double rayleigh = M_PI * waist * waist / c->wavelength;
	double radius = waist * hypot(1, c->length / rayleigh);

	return hypot(radius, 2 * c->pointing * c->length);
}

static double satellite(const struct channel *c, double time)
{
	double range, elevation = pass_elevation(c, time, &range);

	if (elevation < c->min_elevation - 1e-9)
		return 0;
	return collected(beam_radius(c, range), c->aperture_rx) *
	       from_db(c->zenith_db / sin(elevation));
}

void model_state(const struct model *model, double time, struct state *state)
{
	const struct channel *c = &model->channel;
	double way = from_db(c->db_per_km * c->length / 1e3);

	switch (c->medium) {
	case MEDIUM_FREE_SPACE:
		way *= collected(beam_radius(c, c->length), c->aperture_rx);
		break;
	case MEDIUM_SATELLITE:
		way = satellite(c, time);
		break;
	case MEDIUM_TERAHERTZ:
		way *= collected(diffracted(c), c->aperture_rx);
		break;
	default:
		break;
	}
	state->transmittance = way * from_db(c->fixed_db);
	state->background = -expm1(-c->background * model->detector.efficiency);
}
