/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The plugin "qkd" of strongSwan.
 */
#ifndef QKD_PLUGIN_H_
#define QKD_PLUGIN_H_

#include <plugins/plugin.h>

/* strongSwan finds them by the plugin's name. */
__attribute__((visibility("default"))) extern const char *qkd_plugin_version;
__attribute__((visibility("default"))) plugin_t *qkd_plugin_create(void);

#endif /* QKD_PLUGIN_H_ */
