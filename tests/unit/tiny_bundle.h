/* SPDX-License-Identifier: Apache-2.0
 *
 * A bundle small enough to be made in a test and good enough to see: its detector finds
 * red squares of 32 px whose centre is at 4 i + 2, its classifier says 0 ("red") or 1
 * ("orange"), unsure of what lies between. All weights are written down, none learned.
 */
#pragma once
#include "vision/bundle.h"
#include "vision/image.h"

enum { TINY_CLASSES = 2, TINY_SIGN = 32 };
extern const char tiny_taxonomy[];

struct sl_graph *tiny_detector(void);
struct sl_graph *tiny_classifier(int classes);
json_t *tiny_info(const char *name);
/* The file; two names give two digests. */
void tiny_bundle_file(const char *name, struct sl_buf *ret);
void tiny_bundle_file_of(json_t *info /* taken */, struct sl_buf *ret);
struct sl_bundle *tiny_bundle(const char *name);
struct sl_bundle *tiny_bundle_of(json_t *info /* taken */);

/* A grey scene; tiny_sign() paints one square with its left top corner at x,y. */
struct sl_image tiny_scene(int w, int h);
void tiny_sign(struct sl_image *im, int x, int y, uint8_t green);
enum { TINY_SURE = 30, TINY_UNSURE = 125, TINY_ORANGE = 200 }; /* green of a sign */
void tiny_jpeg(const struct sl_image *im, struct sl_buf *ret);
