/* SPDX-License-Identifier: Apache-2.0
 *
 * Artifacts as files of a folder: dir:PATH. PATH/a/b is the object "a/b" as it was put, and
 * PATH/a/b.sha256 its checksum in the form that `sha256sum -c` reads. Several processes may
 * use one folder. Private to store/.
 */
#pragma once
#include "store/ops.h"

extern const struct sl_artifacts_ops sl_dir_artifacts;
