/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration table of the whole program: every setting and every limit that an
 * operator may want to change, with default, range and reason. `signloop help config`
 * prints it. Thread: any.
 */
#pragma once
#include "base/config.h"

extern const struct sl_config_row sl_settings[];
extern const size_t sl_settings_count;
/* A new configuration with every default. */
struct sl_config *sl_settings_new(void);
