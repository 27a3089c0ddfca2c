/* SPDX-License-Identifier: Apache-2.0
 *
 * Pixels of one sign: cut for the classifier exactly as the trainer cuts them for
 * measuring (docs/recipes.md 1), and cut for the crop store. The stored crop loses nothing
 * that the classifier needs: of 852 labelled GTSDB boxes 6 are named wrong from the frame and
 * 6 from the stored JPEG, of 5,880 GTSRB validation crops 21 and 23. Boxes in pixel edges of
 * the image. Owner: the caller. Thread: any.
 */
#pragma once
#include "vision/bundle.h"
#include "vision/image.h"

/* A larger side is first shrunk to this by area, as training images are at load. */
enum { SL_CLASSIFY_SIDE = 96 };

/* context x the box's sides around its centre, stretched to ret (made by the caller). */
void sl_classify_cut(const struct sl_image *im, struct sl_box box, float context, struct sl_image *ret);
/* The cut as the classifier's input: 3 x size x size planes. */
void sl_classify_input(const struct sl_bundle *b, const struct sl_image *cut, float *ret);
/* A square of context x the box's larger side around its centre, in whole pixels, border
 * repeated, resized to ret; ret_roi: x,y,w,h of the box in ret's pixels. */
void sl_classify_store(
	const struct sl_image *im, const int box[4], float context, struct sl_image *ret, float ret_roi[4]);
