/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the bundle that ships lies. Thread: any.
 */
#pragma once
#include "base/config.h"

/* Setting "bundle", else the first models/NAME.bundle beside the binary, above it, or in
 * ../share/signloop; NULL when there is none. free(). */
char *sl_shipped_bundle(const struct sl_config *cfg);
