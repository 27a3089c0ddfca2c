/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole training run: open sources, split, train, validate, write the net and what is to be
 * known about it. Recipes: docs/recipes.md. Commands and the learning role call it.
 *
 * Writes OUT (ONNX, the averaged weights, folded), OUT.json (recipe, seed, digests of the data,
 * split, validation figures) and, while it runs, OUT.checkpoint. Everything random comes
 * from (seed, step, worker, sample) and the schedule from the step number, so a run that was stopped
 * and resumed ends with the same net, byte by byte, as one that was not.
 *
 * Owner: the caller. Thread: one calls sl_learn_run(), which starts `workers` more;
 * progress() is called on the caller's; *stop may be set by any, also by a signal handler.
 */
#pragma once
#include "base/json.h"
#include "dataset/measure.h"

enum { SL_LEARN_SOURCES = 16, SL_LEARN_WORKERS = 64 };

struct sl_learn_progress {
	enum { SL_LEARN_NOTE, SL_LEARN_STEP, SL_LEARN_SCORE } kind;
	const char *text; /* NOTE, SCORE: one line for people; valid during the call */
	int64_t step, steps;
	double epoch, epochs;
	float loss, parts[4], lr, grad_norm; /* STEP: loss and parts are running means */
	double left_s; /* STEP: estimated time to the end */
	double score; /* SCORE: accuracy or AP on validation */
};

struct sl_learn_options {
	bool detector;
	const char *data[SL_LEARN_SOURCES]; /* FORMAT:PATH */
	int ndata;
	const char *out; /* FILE.onnx */
	const char *checkpoint; /* NULL: OUT.checkpoint */
	const char *from; /* ONNX file of a net of this kind to start from; NULL: random weights */
	bool resume; /* go on from the checkpoint; CONFLICT if it is of another run */
	/* Length: the first that is set of steps, epochs, minutes (measured, then counted in
	 * steps); else the recipe's. An epoch is as many samples as are trained on. */
	int64_t steps;
	double epochs, minutes;
	int batch, workers; /* 0: the recipe's */
	enum sl_precision precision;
	uint64_t seed;
	int limit; /* samples a source; 0: all */
	bool validate; /* hold a part back and measure on it */
	int classes; /* at least so many outputs; 0: what the data has */
	int (*class_of)(void *arg, const char *code); /* as in source.h */
	void *class_arg;
	const struct sl_config *cfg; /* as in source.h */
	volatile int *stop; /* non-zero: write a checkpoint, return CANCELLED. May be NULL */
	void (*progress)(void *arg, const struct sl_learn_progress *p); /* may be NULL */
	void *progress_arg;
};
struct sl_learn_options sl_learn_defaults(bool detector); /* the recipe, no data */

/* ret_info: OUT.json's content, new. CANCELLED: stopped, the checkpoint is written. */
enum sl_status sl_learn_run(const struct sl_learn_options *o, json_t **ret_info, struct sl_err *err);
