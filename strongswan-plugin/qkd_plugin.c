// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The plugin "qkd" of strongSwan: QKD keys in IKEv2.
 */
#include "qkd_plugin.h"

#include <daemon.h>

#include "qkd_attempt.h"
#include "qkd_conn.h"
#include "qkd_esp.h"
#include "qkd_install.h"
#include "qkd_ke.h"
#include "qkd_mlkem.h"
#include "qkd_ppk.h"
#include "qkd_quiet.h"
#include "qkd_refuse.h"
#include "qkd_vendor.h"

/* In this order; ended in the other one. */
static const struct {
	void (*init)(void);
	void (*deinit)(void);
} parts[] = {
	{ qkd_quiet_init, qkd_quiet_deinit },
	{ qkd_conn_init, qkd_conn_deinit },
	{ qkd_attempt_init, qkd_attempt_deinit },
	{ qkd_ppk_init, qkd_ppk_deinit },
	{ qkd_ke_init, qkd_ke_deinit },
	{ qkd_vendor_init, qkd_vendor_deinit },
	{ qkd_esp_init, qkd_esp_deinit },
	{ qkd_refuse_init, qkd_refuse_deinit },
	{ qkd_install_init, qkd_install_deinit },
};

METHOD(plugin_t, get_name, char *, plugin_t *this)
{
	return "qkd";
}

static bool start_or_stop(plugin_t *plugin, plugin_feature_t *feature, bool reg,
			  void *data)
{
	int i;

	if (reg) {
		for (i = 0; i < countof(parts); i++)
			parts[i].init();
	} else {
		for (i = countof(parts); i-- > 0;)
			parts[i].deinit();
	}
	return TRUE;
}

METHOD(plugin_t, get_features, int, plugin_t *this,
       plugin_feature_t *features[])
{
	static plugin_feature_t f[] = {
		PLUGIN_CALLBACK((plugin_feature_callback_t)start_or_stop, NULL),
		PLUGIN_PROVIDE(CUSTOM, "qkd"),
		PLUGIN_REGISTER(KE, qkd_mlkem_create),
		/* Each after any other plugin's, which then comes first. */
		PLUGIN_PROVIDE(KE, ML_KEM_512),
		PLUGIN_SDEPEND(KE, ML_KEM_512),
		PLUGIN_PROVIDE(KE, ML_KEM_768),
		PLUGIN_SDEPEND(KE, ML_KEM_768),
		PLUGIN_PROVIDE(KE, ML_KEM_1024),
		PLUGIN_SDEPEND(KE, ML_KEM_1024),
	};

	*features = f;
	return countof(f);
}

METHOD(plugin_t, destroy, void, plugin_t *this)
{
	free(this);
}

/* From 6.0.3 on charon loads what was compiled for its own version alone. */
const char *qkd_plugin_version = VERSION;

plugin_t *qkd_plugin_create(void)
{
	plugin_t *this;

	INIT(this, .get_name = _get_name, .get_features = _get_features,
	     .destroy = _destroy, );
	return this;
}
