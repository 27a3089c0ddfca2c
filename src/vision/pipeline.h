/* SPDX-License-Identifier: Apache-2.0
 *
 * One frame to its signs: decode, detect, crop to 64x64, classify, calibrate.
 * Owner: an infer thread, which makes one and keeps it. Thread: infer. Times in us.
 * The stored crop covers SL_CROP_CONTEXT x the box's larger side (square, around its
 * centre, whole pixels), 64x64 px, JPEG quality SL_CROP_QUALITY with full chroma; roi says
 * where the box is in it. The classifier sees the bundle's context (1.15) of the same box,
 * cut from the frame itself as the trainer cuts for measuring (vision/classify.h).
 */
#pragma once
#include "core/key.h"
#include "core/review.h"
#include "vision/bundle.h"
#include "vision/detect.h"
#include "vision/image.h"

enum { SL_CROP_STORED = 64, SL_CROP_QUALITY = 95, SL_SIGNS_MAX = 100 };
#define SL_CROP_CONTEXT 1.5f

enum sl_stage { SL_STAGE_DECODE, SL_STAGE_DETECT, SL_STAGE_CROP, SL_STAGE_CLASSIFY, SL_STAGES };

struct sl_sign {
	char key[SL_KEY];
	int box[4]; /* x,y,w,h in frame pixels */
	float roi[4]; /* the box in the crop's pixels */
	float score; /* detector's */
	struct sl_candidate candidate[SL_CANDIDATES]; /* best first; confidences calibrated */
	int ncandidate;
	bool accepted; /* candidate[0] passes its class's threshold */
	struct sl_buf jpeg;
};

struct sl_seen {
	char frame[SL_FRAME_ID];
	int w, h;
	struct sl_sign sign[SL_SIGNS_MAX];
	int n;
	int64_t us[SL_STAGES];
};
void sl_seen_done(struct sl_seen *s);

struct sl_pipeline;
struct sl_pipeline *sl_pipeline_new(void);
void sl_pipeline_free(struct sl_pipeline *p);
/* TIMEOUT when the deadline passed between stages; UNSUPPORTED, UNREADABLE, TOO_LARGE as
 * sl_image_decode. Sessions are kept per bundle digest, the last two. */
enum sl_status sl_pipeline_run(struct sl_pipeline *p, struct sl_bundle *b, struct sl_slice image, int64_t max_pixels,
	int64_t deadline_us, struct sl_seen *ret, struct sl_err *err);
/* One image of a sign alone (no detection): class candidates. */
enum sl_status sl_pipeline_classify(struct sl_pipeline *p, struct sl_bundle *b, const struct sl_image *im,
	struct sl_box roi, struct sl_candidate ret[SL_CANDIDATES], int *ret_n, struct sl_err *err);
/* The detector alone, from min_score on and best first, to measure the whole curve. */
enum sl_status sl_pipeline_detect(struct sl_pipeline *p, struct sl_bundle *b, const struct sl_image *im,
	float min_score, struct sl_detection ret[SL_SIGNS_MAX], int *ret_n, struct sl_err *err);
/* One of the bundle's nets on numbers as they are, in sessions of its own, so that foreign
 * shapes do not push out those of frames. ret: its outputs, as sl_session_run(). */
enum sl_net { SL_NET_DETECTOR, SL_NET_CLASSIFIER, SL_NETS };
enum sl_status sl_pipeline_infer(struct sl_pipeline *p, struct sl_bundle *b, enum sl_net net,
	const struct sl_tensor *in, struct sl_tensor *ret, struct sl_err *err);
/* Loads nothing, proves the bundle works: a grey frame and a drawn sign run through both
 * nets, give finite numbers of the right shape, and warm the caches. */
enum sl_status sl_pipeline_selftest(struct sl_pipeline *p, struct sl_bundle *b, struct sl_err *err);
