/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to dataset: the readers behind sl_formats[]. Contract: source.h.
 */
#pragma once
#include "dataset/source.h"

#define SL_IMPORTER(name) \
	enum sl_status name( \
		struct sl_source *s, const char *path, const struct sl_source_options *o, struct sl_err *err)

SL_IMPORTER(sl_read_gtsrb);
SL_IMPORTER(sl_read_gtsdb);
SL_IMPORTER(sl_read_tt100k);
SL_IMPORTER(sl_read_imagefolder);
SL_IMPORTER(sl_read_webdataset);
SL_IMPORTER(sl_read_csv);
SL_IMPORTER(sl_read_coco);
SL_IMPORTER(sl_read_yolo);
SL_IMPORTER(sl_read_aihub);
SL_IMPORTER(sl_read_dataset);
