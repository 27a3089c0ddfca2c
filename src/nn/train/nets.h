/* SPDX-License-Identifier: Apache-2.0
 *
 * The nets that ship, in their training form, initialised from a seed, and their losses.
 *
 * Classifier ("signs48"): input N,3,48,48 standardised per image; output N,classes logits.
 * Detector ("center4"): input N,3,H,W with H and W multiples of 32, x = (v - 127.5)/64;
 * output N,5,H/4,W/4: channel 0 centre logit z, 1..4 l,t,r,b as 4 exp(clamp(v, -3, 4)) px
 * from the cell's centre (4 ix + 2, 4 iy + 2).
 * Init: dense conv N(0, 2/(k k Cout)); depthwise N(0, 2/9); BN gamma 1, beta 0, gamma of
 * the last BN of a residual branch 0.2; fully connected N(0, 0.01^2), bias 0; detector
 * output N(0, 0.01^2), bias z -4.6, box 1.5.
 * Owner: the caller. Thread: any.
 */
#pragma once
#include "nn/graph.h"
#include "nn/model.h"

struct sl_graph *sl_net_classifier(int classes, float dropout, uint64_t seed);
struct sl_graph *sl_net_detector(uint64_t seed);

/* Cross-entropy with label smoothing s: target 1-s+s/K on the class, s/K elsewhere; mean
 * over the batch. logits N,K; grad likewise. */
float sl_loss_smooth(const struct sl_tensor *logits, const int *label, float smoothing, struct sl_tensor *grad);

/* Boxes of one training crop in crop pixels (edges), for targets. */
struct sl_target_box {
	float x1, y1, x2, y2;
	bool ignored; /* cells under it are no negatives; no positive either */
};
struct sl_targets {
	struct sl_target_box *box;
	int n;
};
/* Centre focal loss and GIoU loss over N,5,h,w on the stride-4 grid; targets: one per
 * sample. norm: boxes in the batch (at least 1). parts[0] heat, parts[1] box;
 * total = heat + 2 box. */
float sl_loss_center(
	const struct sl_tensor *out, const struct sl_targets *targets, struct sl_tensor *grad, float parts[4]);
