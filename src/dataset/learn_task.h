/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to dataset: what learn.c asks of a kind of net.
 */
#pragma once
#include "dataset/learn.h"
#include "nn/train/train.h"

struct sl_learn_part { /* one opened source and who is in which part */
	struct sl_source *source;
	bool *train, *val;
};

struct sl_learn_data {
	struct sl_learn_part part[SL_LEARN_SOURCES];
	int n;
	int ntrain, nval; /* samples that are trained on and measured on */
};

struct sl_task {
	const char *recipe;
	struct sl_graph *graph;
	struct sl_shape input; /* of one step's whole batch */
	struct sl_batch_source batch;
	float bn_momentum, clip_norm;
	int64_t recipe_steps; /* for this much data */
	double samples_an_epoch;
	float (*rate)(double progress, int batch);
	/* Score on the validation part; info gets figures, text one line. */
	enum sl_status (*measure)(struct sl_task *t, const struct sl_model *net, int threads, json_t *info,
		double *ret_score, char text[SL_ERR_TEXT], struct sl_err *err);
	const struct sl_learn_data *data;
	void *priv;
	void (*free_priv)(void *priv);
};

/* Gives t's graph the weights of the net in path (learn_from.c). INVALID: another net. */
enum sl_status sl_learn_from(struct sl_task *t, int workers, const char *path, char ret_sha256[65], struct sl_err *err);

/* data stays borrowed. */
enum sl_status sl_task_classifier(
	const struct sl_learn_options *o, const struct sl_learn_data *d, struct sl_task *ret, struct sl_err *err);
enum sl_status sl_task_detector(
	const struct sl_learn_options *o, const struct sl_learn_data *d, struct sl_task *ret, struct sl_err *err);
