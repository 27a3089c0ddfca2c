/* SPDX-License-Identifier: Apache-2.0
 *
 * What an executor gives: a store shared by the sessions of a model (weights in its own
 * layout) and a program per graph and input shapes. Inside nn/.
 *
 * Owner: model.c; a program does not outlive its store, nor a store its graph. Thread:
 * store by any (it locks), program by one at a time.
 */
#pragma once
#include "nn/model.h"
#include "nn/shape.h"

struct sl_exec {
	const char *name;
	/* Decides the precision: AUTO comes in, F32 or BF16 goes out. May set *ret_store to NULL. */
	enum sl_status (*store_new)(
		const struct sl_graph *g, enum sl_precision *precision, void **ret_store, struct sl_err *err);
	void (*store_free)(void *store);
	int64_t (*store_bytes)(void *store);
	/* w is taken in any case (moved; the caller's copy is emptied). TOO_LARGE past SL_SESSION_BYTES. */
	enum sl_status (*compile)(
		void *store, struct sl_walk *w, enum sl_precision precision, void **ret_program, struct sl_err *err);
	/* Inputs have the shapes that it was compiled for; ret as in sl_session_run(). */
	enum sl_status (*run)(void *program, const struct sl_tensor *in, struct sl_tensor *ret, struct sl_err *err);
	/* NULL where run() does: see sl_session_run_pixels(). */
	enum sl_status (*run_pixels)(
		void *program, const struct sl_pixels *in, struct sl_tensor *ret, struct sl_err *err);
	int64_t (*program_bytes)(const void *program);
	void (*program_free)(void *program);
};

/* Fills a zeroed 1,3,H,W tensor from pixels. */
void sl_pixels_plain(const struct sl_pixels *im, float *ret);

extern const struct sl_exec sl_exec_ref, sl_exec_dnnl;
