/* SPDX-License-Identifier: Apache-2.0
 *
 * Random changes to training images. The formulas and numbers are those of
 * docs/recipes.md, section by section. Everything is a function of the generator it is
 * given; sl_augment_rng() makes one for each sample, so that a run can be repeated or
 * taken up in the middle.
 * Owner: the caller. Thread: any. Angles in degrees, sizes in pixels.
 */
#pragma once
#include "base/rng.h"
#include "nn/train/nets.h"
#include "vision/image.h"

enum { SL_SIGN_SIDE = 48, SL_CROP_SIDE = 320 };

struct sl_rng sl_augment_rng(uint64_t seed, int64_t step, int worker, int sample);

/* A sign for the classifier: warp of the crop, then pixels. ret: made by the caller, square. */
void sl_augment_sign(const struct sl_image *src, struct sl_box roi, struct sl_rng *r, struct sl_image *ret);
/* The same without chance: a box with the ROI's centre and `scale` x its sides (1.15 for measuring). */
void sl_crop_sign(const struct sl_image *src, struct sl_box roi, float scale, struct sl_image *ret);

/* Pieces, in the order in which they are applied. */
struct sl_colour_range { /* gamma exp(U), contrast exp(U), brightness U, cast U per channel */
	float gamma, contrast_lo, contrast_hi, brightness, cast;
};
void sl_augment_colour(struct sl_image *im, const struct sl_colour_range *c, struct sl_rng *r);
void sl_augment_motion(struct sl_image *im, int length, float angle);
void sl_augment_coarse(struct sl_image *im, int side); /* area-down so that width is `side`, bilinear up */
void sl_augment_noise(struct sl_image *im, float sigma, struct sl_rng *r);
void sl_augment_jpeg(struct sl_image *im, int quality);
void sl_augment_cutout(struct sl_image *im, struct sl_rng *r);

/* What detector crops are cut from. */
struct sl_scene {
	const struct sl_image *image;
	const struct sl_target_box *box; /* ignored ones too */
	int nbox;
};
enum sl_sign_shape { SL_SHAPE_ELLIPSE, SL_SHAPE_TRIANGLE, SL_SHAPE_TRIANGLE_DOWN, SL_SHAPE_DIAMOND, SL_SHAPE_OCTAGON };
struct sl_paste {
	const struct sl_image *image;
	struct sl_box roi;
	enum sl_sign_shape shape;
};
struct sl_scene_set {
	const struct sl_scene *scene;
	int nscene;
	const int *scene_of_box; /* scene numbers, one entry a labelled box: a uniform box is a uniform entry */
	const int *index_of_box; /* its place in that scene */
	int nbox;
	const struct sl_paste *sign[2]; /* taken with .85 and .15; an empty one leaves all to the other */
	int nsign[2];
	const struct sl_image *const *negative;
	int nnegative;
};
enum { SL_CROP_BOXES = 64 };

/* One crop of ret's size (square) with its boxes, at most SL_CROP_BOXES. */
void sl_augment_crop(const struct sl_scene_set *set, struct sl_rng *r, struct sl_image *ret,
	struct sl_target_box ret_box[SL_CROP_BOXES], int *ret_n);

enum sl_sign_shape sl_shape_of_gtsrb(int cls);
/* Coverage 0..1 of a shape that fills w x h, edges softened; made by sl_zalloc(), w*h values. */
float *sl_shape_mask(enum sl_sign_shape shape, int w, int h);
/* Scene pixels to crop pixels, x' = (x - x0) * sx, mirrored if flip: the box clipped to the
 * crop and kept, ignored (little of it visible, or small) or gone (false). */
bool sl_crop_box(const struct sl_target_box *b, float x0, float y0, float sx, float sy, bool flip, int side,
	struct sl_target_box *ret);
/* Solves the perspective that takes the square [-1,1]^2 (order: -1-1, 1-1, 11, -11) to 4 points. */
void sl_square_to_quad(const double quad[4][2], double ret[9]);
