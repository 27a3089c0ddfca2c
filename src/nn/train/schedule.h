/* SPDX-License-Identifier: Apache-2.0
 *
 * Learning rates by progress. Pure functions. Thread: any.
 * progress: 0 at the first step, 1 at the end of the budget; clamped to [0, 1].
 */
#pragma once

/* Linear from 0 to 2 * half_peak over the first `warmup` part, then half_peak * (1 + cos(pi t)),
 * t = progress of the rest. The recipe: half_peak 0.002, warmup 0.1. */
float sl_lr_classifier(double progress, double half_peak, double warmup);

/* peak * (0.5 (1 + cos(pi t)) + 0.002) * min(1, t / 0.04 + 0.01). The recipe: peak 0.003 at
 * batch 8, 0.004 at batch 16. */
float sl_lr_detector(double progress, double peak);
