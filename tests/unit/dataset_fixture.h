/* SPDX-License-Identifier: Apache-2.0
 *
 * In-memory stores with crops, labels and the settings of a test.
 */
#pragma once
#include "base/digest.h"
#include "base/json.h"
#include "core/settings.h"
#include "store/stores.h"

struct fixture {
	struct sl_config *cfg;
	struct sl_stores st;
};
struct fixture fixture_open(void);
void fixture_close(struct fixture *f);
void fixture_set(struct fixture *f, const char *name, const char *value);
void fixture_key(int i, char ret[SL_KEY]); /* of frame i */
/* A 16x16 JPEG of a colour that i chooses, in the crop store under key i, with frame and
 * device in its meta. */
void fixture_crop(struct fixture *f, int i);
/* A message of topic labels; class -1: not_a_sign. */
void fixture_label(struct fixture *f, int i, int cls, const char *source);
/* Runs a curator until all labels are stored. */
void fixture_curate(struct fixture *f);
