// SPDX-License-Identifier: GPL-2.0-only
/* Links that have a name, and where their figures come from. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model.h"

/* ---- Parts that presets share ---- */

#define ONE_INTENSITY(mean) .intensity = { mean }, .share = { 1 }
/* About the best for blocks of 10^6 bits. */
#define DECOYS                                                          \
	.intensity = { 0.48, 0.2, 2e-4 }, .share = { 0.2, 0.55, 0.25 }, \
	.key_basis = 0.8
#define SYMBOLS(mean, bits, decoys, empty) \
	.intensity = { mean, mean }, .share = { bits, decoys, empty }

#define FIBRE(km) \
	{ .medium = MEDIUM_FIBRE, .length = (km) * 1e3, .db_per_km = 0.2 }
#define FIBRE_TEXT "attenuation 0.2 dB/km: Lim et al. [1]"

/* InGaAs avalanche photodiodes. */
#define DIODES                         \
	{                              \
		.efficiency = 0.1,     \
		.dark = 6e-7,          \
		.afterpulse = 0.04,    \
		.misalignment = 0.005, \
	}
#define DIODES_TEXT                                                        \
	"efficiency 10 %, dark 6e-7, afterpulse 4 %, misalignment 0.5 %, " \
	"nu2 2e-4: [1], which has no dead time"

/* Those of entanglement over 144 km of air, which papers on fibre take, too. */
#define PAPERS                         \
	{                              \
		.efficiency = 0.145,   \
		.dark = 3.01e-6,       \
		.misalignment = 0.015, \
	}
#define PAPERS_TEXT                                                        \
	"efficiency 14.5 %, dark 3.01e-6 (half of 6.02e-6), misalignment " \
	"1.5 %: Lo et al. [2], who take them for fibre"

/* Superconducting nanowires. */
#define NANOWIRES                      \
	{                              \
		.efficiency = 0.9,     \
		.dark = 1e-7,          \
		.dead = 30e-9,         \
		.misalignment = 0.005, \
	}
#define NANOWIRES_TEXT                                                        \
	"efficiency 90 %: Marsili et al. [4]; misalignment 0.5 %: [1]",       \
		"dark 1e-7 (100 Hz at 1 GHz): below the 130 Hz of [5]; dead " \
		"30 ns: assumed: less than the 40 ns of [4]"

#define BLOCK(bits) \
	{ .block = bits, .eps_sec = 1e-10, .eps_cor = 1e-15, .max_qber = 0.11 }
#define CHOSEN                                                         \
	"length, rate, mu, nu1, nu2, share-mu, share-nu1, share-nu2, " \
	"key-basis, data, block, eps-sec, eps-cor, max-qber: chosen"

/* Two telescopes. */
#define AIR_TEXT                                                            \
	"wavelength 1550 nm: Liao et al. [6]; attenuation 0.6 dB/km: Wang " \
	"et al. [7]",                                                       \
		"loss, aperture-tx, aperture-rx, divergence, pointing: "    \
		"assumed: of telescopes of 10 cm that follow each other"

/**
 * struct preset - a link
 * @what: it is, in a line
 * @text: where its figures come from, NULL at the end
 */
struct preset {
	struct model model;
	const char *what;
	const char *text[8];
};

static const struct preset presets[] = {
	{
		{ "bb84-fibre-50km",
		  PROTOCOL_BB84,
		  { .rate = 1e9, DECOYS, .visibility = 1 },
		  FIBRE(50),
		  DIODES,
		  BLOCK(1000000) },
		"BB84 with two decoys, 50 km of fibre, avalanche photodiodes",
		{ FIBRE_TEXT, DIODES_TEXT, CHOSEN },
	},
	{
		{ "bb84-fibre-100km",
		  PROTOCOL_BB84,
		  { .rate = 1e9, DECOYS, .visibility = 1 },
		  FIBRE(100),
		  DIODES,
		  BLOCK(1000000) },
		"the same at 100 km",
		{ FIBRE_TEXT, DIODES_TEXT, CHOSEN },
	},
	{
		{ "bb84-metro",
		  PROTOCOL_BB84,
		  { .rate = 1e9, DECOYS, .visibility = 1 },
		  FIBRE(10),
		  NANOWIRES,
		  BLOCK(10000000) },
		"BB84 with two decoys, 10 km of fibre, nanowires",
		{ FIBRE_TEXT, NANOWIRES_TEXT, CHOSEN },
	},
	{
		{ "bb84-free-space-night",
		  PROTOCOL_BB84,
		  { .rate = 100e6, DECOYS, .visibility = 1 },
		  { .medium = MEDIUM_FREE_SPACE,
		    .length = 5e3,
		    .db_per_km = 0.6,
		    .fixed_db = 3,
		    .aperture_tx = 0.1,
		    .aperture_rx = 0.1,
		    .wavelength = 1550e-9,
		    .divergence = 20e-6,
		    .cn2 = 1e-15,
		    .pointing = 5e-6,
		    .background = 1e-8 },
		  DIODES,
		  BLOCK(1000000) },
		"BB84 with two decoys, 5 km of air at night, avalanche photodiodes",
		{ DIODES_TEXT, AIR_TEXT, "cn2 1e-15: [7]",
		  "background 1e-8: assumed: next to none beside the dark counts",
		  CHOSEN },
	},
	{
		{ "bb84-free-space-day",
		  PROTOCOL_BB84,
		  { .rate = 100e6, DECOYS, .visibility = 1 },
		  { .medium = MEDIUM_FREE_SPACE,
		    .length = 2e3,
		    .db_per_km = 0.6,
		    .fixed_db = 3,
		    .aperture_tx = 0.1,
		    .aperture_rx = 0.1,
		    .wavelength = 1550e-9,
		    .divergence = 20e-6,
		    .cn2 = 1e-14,
		    .pointing = 5e-6,
		    .background = 1.2e-4 },
		  DIODES,
		  BLOCK(1000000) },
		"BB84 with two decoys, 2 km of air in daylight, avalanche photodiodes",
		{ DIODES_TEXT, AIR_TEXT,
		  "cn2 1e-14: assumed: ten times that of [7], for sunlit ground",
		  "background 1.2e-4: assumed: sky of 5 W/(m^2 sr um), 0.1 nm, half "
		  "angle 50 urad, 1 ns, one polarization",
		  CHOSEN },
	},
	{
		{ "bb84-satellite",
		  PROTOCOL_BB84,
		  { .rate = 100e6,
		    .intensity = { 0.8, 0.1, 0 },
		    .share = { 0.5, 0.25, 0.25 },
		    .key_basis = 0.5,
		    .visibility = 1 },
		  { .medium = MEDIUM_SATELLITE,
		    .length = 500e3,
		    .fixed_db = 8,
		    .aperture_tx = 0.3,
		    .aperture_rx = 1,
		    .wavelength = 850e-9,
		    .divergence = 5e-6,
		    .pointing = 1.2e-6,
		    .zenith_db = 3,
		    .min_elevation = 10 * M_PI / 180,
		    .max_elevation = 70 * M_PI / 180,
		    .period = 5677,
		    .background = 1e-6 },
		  { .efficiency = 0.5, .dark = 2.5e-8, .misalignment = 0.01 },
		  BLOCK(1000000) },
		"BB84 with two decoys, down from a satellite at 500 km",
		{ "length, rate, mu, nu1, share-mu, share-nu1, share-nu2, key-basis, "
		  "aperture-tx, aperture-rx, wavelength, divergence, pointing, loss: "
		  "after Liao et al. [3]",
		  "dark 2.5e-8 (25 Hz, 1 ns): after [3]; efficiency 50 %: after [3], "
		  "and Anisimova et al. [8]",
		  "period 5677 s: assumed: that of the orbit, and a still earth",
		  "zenith-loss 3 dB: assumed: half of the light, in clear air; "
		  "min-elevation, max-elevation: assumed: a pass of the better sort",
		  "background 1e-6: assumed: a night without a moon; misalignment "
		  "1 %: assumed: between those of [1] and [2]",
		  "block, eps-sec, eps-cor, max-qber: chosen" },
	},
	{
		{ "bb84-indoor",
		  PROTOCOL_BB84,
		  { .rate = 100e6, DECOYS, .visibility = 1 },
		  { .medium = MEDIUM_FREE_SPACE,
		    .length = 5,
		    .fixed_db = 3,
		    .aperture_tx = 0.005,
		    .aperture_rx = 0.02,
		    .wavelength = 850e-9,
		    .divergence = 5e-3,
		    .pointing = 1e-3,
		    .background = 1e-5 },
		  { .efficiency = 0.5, .dark = 1e-6, .misalignment = 0.015 },
		  BLOCK(1000000) },
		"BB84 with two decoys, light across a room",
		{ "efficiency 50 %: silicon of [8]; dark 1e-6 (100 Hz): assumed: 1 Hz "
		  "in [8], which is cooled",
		  "misalignment 1.5 %: [2]; wavelength 850 nm: after [3]",
		  "loss, aperture-tx, aperture-rx, divergence, pointing: assumed: a "
		  "sender in the hand, a lens on the wall",
		  "background 1e-5: assumed: a lit room behind a narrow filter",
		  CHOSEN },
	},
	{
		{ "bb84-terahertz",
		  PROTOCOL_BB84,
		  { .rate = 100e6, DECOYS, .visibility = 1 },
		  { .medium = MEDIUM_TERAHERTZ,
		    .length = 10,
		    .db_per_km = 1,
		    .aperture_tx = 0.05,
		    .aperture_rx = 0.05,
		    .wavelength = 10e-6,
		    .pointing = 1e-4,
		    .background = 8.3e-3 },
		  { .efficiency = 0.5, .dark = 1e-6, .misalignment = 0.015 },
		  BLOCK(3000000) },
		"BB84 with two decoys at 30 THz across a room: what may once be",
		{ "wavelength 10 um (30 THz): of the 0.1 to 50 THz of Ottaviani et "
		  "al. [9]",
		  "background 8.3e-3: Planck's photons of a mode at 300 K (at 1 THz "
		  "there are 5.8, and no key: thermal noise, as [9] says)",
		  "efficiency, dark: assumed: as of silicon: there is none to buy; "
		  "misalignment 1.5 %: [2]",
		  "attenuation, aperture-tx, aperture-rx, pointing: assumed: next to "
		  "no loss in a room",
		  CHOSEN },
	},
	{
		{ "b92-fibre-2km",
		  PROTOCOL_B92,
		  { .rate = 1e9, ONE_INTENSITY(0.007), .visibility = 1 },
		  FIBRE(2),
		  NANOWIRES,
		  BLOCK(1000000) },
		"B92 with weak pulses; beyond a few dB of loss there is no key",
		{ FIBRE_TEXT, NANOWIRES_TEXT, CHOSEN },
	},
	{
		{ "e91-fibre-20km",
		  PROTOCOL_E91,
		  { .rate = 1e9,
		    ONE_INTENSITY(0.02),
		    .key_basis = 0.8,
		    .visibility = 0.98,
		    .efficiency = 0.5 },
		  FIBRE(20),
		  NANOWIRES,
		  BLOCK(1000000) },
		"E91 with a CHSH test, 20 km of fibre (not device-independent)",
		{ FIBRE_TEXT, NANOWIRES_TEXT,
		  "visibility 98 %, alice-efficiency 50 %: assumed: of a good source",
		  CHOSEN },
	},
	{
		{ "bbm92-fibre-50km",
		  PROTOCOL_BBM92,
		  { .rate = 1e9,
		    ONE_INTENSITY(0.05),
		    .key_basis = 0.8,
		    .visibility = 1,
		    .efficiency = 0.145 },
		  FIBRE(50),
		  PAPERS,
		  BLOCK(1000000) },
		"BBM92, 50 km of fibre",
		{ FIBRE_TEXT, PAPERS_TEXT, "alice-efficiency 14.5 %: [2]",
		  "visibility 100 %: assumed: misalignment stands for all of it",
		  CHOSEN },
	},
	{
		{ "cow-fibre-2km",
		  PROTOCOL_COW,
		  { .rate = 1e9,
		    SYMBOLS(0.05, 0.9, 0.1, 0),
		    .data = 0.9,
		    .visibility = 0.99 },
		  FIBRE(2),
		  NANOWIRES,
		  BLOCK(1000000) },
		"the original COW, 2 km of fibre; not proven secure, no key from 76 km on",
		{ FIBRE_TEXT, NANOWIRES_TEXT,
		  "visibility 99 %: assumed: an interferometer that is kept in tune",
		  CHOSEN },
	},
	{
		{ "cow-variant-fibre-10km",
		  PROTOCOL_COW_VARIANT,
		  { .rate = 1e9,
		    SYMBOLS(0.002, 0.7, 0.2, 0.1),
		    .data = 0.5,
		    .visibility = 0.99 },
		  FIBRE(10),
		  NANOWIRES,
		  BLOCK(10000000) },
		"COW with empty symbols, 10 km of fibre",
		{ FIBRE_TEXT, NANOWIRES_TEXT,
		  "visibility 99 %: assumed: an interferometer that is kept in tune",
		  CHOSEN },
	},
};

#define PRESETS (sizeof(presets) / sizeof(*presets))

static const char sources[] =
	"[1] C. C. W. Lim et al., Phys. Rev. A 89, 022307 (2014)\n"
	"[2] H.-K. Lo, M. Curty, B. Qi, Phys. Rev. Lett. 108, 130503 (2012)\n"
	"[3] S.-K. Liao et al., Nature 549, 43 (2017)\n"
	"[4] F. Marsili et al., Nat. Photonics 7, 210 (2013): over 90 %, 40 ns\n"
	"[5] I. Esmaeil Zadeh et al., arXiv 1611.02726: 92 %, 130 Hz, 150 MHz\n"
	"[6] S.-K. Liao et al., Nat. Photonics 11, 509 (2017): 53 km by day\n"
	"[7] L. Wang et al., Chin. Phys. B 24, 120307 (2015): a calculation\n"
	"[8] E. Anisimova et al., arXiv 2007.12768: cooled silicon, about 50 %\n"
	"[9] C. Ottaviani et al., arXiv 1805.03514\n"
	"Of [4] to [9] the abstracts were read, of [7] the text of a figure.\n"
	"assumed: of the usual order, from no paper; chosen: the operator's\n"
	"to choose. No figure is of a product. What is not there is 0.\n";

static const struct preset *find(const char *name)
{
	size_t i;

	for (i = 0; i < PRESETS; i++)
		if (!strcmp(presets[i].model.name, name))
			return &presets[i];
	return NULL;
}

int model_preset(struct model *model, const char *name)
{
	const struct preset *preset = find(name);

	if (!preset)
		return -ENOENT;
	*model = preset->model;
	return 0;
}

const char *model_preset_name(unsigned int number)
{
	return number < PRESETS ? presets[number].model.name : NULL;
}

/* Those that are not 0. */
static void put_figures(FILE *file, const struct model *model)
{
	const char *name, *unit;
	double value;
	size_t i;

	fprintf(file, "    protocol %s, medium %s",
		protocol_name(model->protocol),
		medium_name(model->channel.medium));
	for (i = 0; !model_figure(model, i, &name, &value, &unit); i++)
		if (value != 0)
			fprintf(file, ", %s %.6g%s%s", name, value,
				*unit ? " " : "", unit);
	putc('\n', file);
}

static void put_what(FILE *file, const struct preset *preset)
{
	fprintf(file, "%s: %s\n", preset->model.name, preset->what);
}

static void put_text(FILE *file, const struct preset *preset)
{
	int i;

	for (i = 0; preset->text[i]; i++)
		fprintf(file, "    %s\n", preset->text[i]);
}

void model_presets(FILE *file)
{
	size_t i;

	for (i = 0; i < PRESETS; i++) {
		put_what(file, &presets[i]);
		put_figures(file, &presets[i].model);
		put_text(file, &presets[i]);
	}
	fputs(sources, file);
}

void model_sources(FILE *file, const char *name)
{
	const struct preset *preset = find(name);

	if (preset) {
		put_what(file, preset);
		put_text(file, preset);
	}
	fputs(sources, file);
}
