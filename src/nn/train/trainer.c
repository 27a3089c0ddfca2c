/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/train/trainer.h"
#include "base/mem.h"
#include "base/thread.h"
#include "nn/train/conv.h"
#include <math.h>
#include <stdio.h>

static void slice_of(const struct sl_trainer *t, int worker, size_t *lo, size_t *hi)
{
	size_t n = t->plan->nweight, parts = (size_t)t->o.workers;
	size_t each = (n / parts + 15) / 16 * 16;
	*lo = SL_MIN(n, each * (size_t)worker);
	*hi = worker == t->o.workers - 1 ? n : SL_MIN(n, *lo + each);
}

static enum sl_status compute(struct sl_worker *w)
{
	struct sl_trainer *t = w->t;
	uint64_t stream = (uint64_t)t->step * SL_TRAIN_WORKERS + (uint64_t)w->index;
	struct sl_replica *r = w->replica;
	enum sl_status s = t->source.fill(t->source.arg, w->index, t->step, sl_replica_input(r), &w->err);
	if (s != SL_OK)
		return s;
	s = sl_replica_forward(r, t->weights, stream, &w->err);
	if (s != SL_OK)
		return s;
	memset(w->parts, 0, sizeof(w->parts));
	w->loss =
		t->source.loss(t->source.arg, w->index, t->step, sl_replica_outputs(r), sl_replica_grads(r), w->parts);
	return sl_replica_backward(r, t->weights, t->grad[w->index], &w->err);
}

static bool all_well(const struct sl_trainer *t)
{
	for (int i = 0; i < t->o.workers; i++)
		if (t->worker[i].status != SL_OK)
			return false;
	return true;
}

static void update(struct sl_worker *w, float clip)
{
	struct sl_trainer *t = w->t;
	size_t lo, hi;
	slice_of(t, w->index, &lo, &hi);
	float rate = 1 - sl_ema_decay(t->step, t->o.ema);
	struct sl_adam a = {t->lr, t->o.beta1, t->o.beta2, t->o.eps, clip, t->step + 1, rate};
	struct sl_moments m = {t->weights, t->m, t->v, t->ema, t->decay};
	sl_adam_step(&a, &m, t->grad[0], lo, hi);
	if (w->index > 0)
		return;
	sl_ema_step(t->stats, sl_replica_stats(w->replica), t->plan->nstat, t->o.bn_momentum);
	sl_ema_step(t->ema_stats, t->stats, t->plan->nstat, rate);
}

/* After each barrier all workers see the same state and come to the same decision. */
static void one_step(struct sl_worker *w)
{
	struct sl_trainer *t = w->t;
	w->status = compute(w);
	pthread_barrier_wait(&t->barrier);
	bool well = all_well(t);
	if (well) {
		size_t lo, hi;
		slice_of(t, w->index, &lo, &hi);
		w->squares = sl_grad_mean(t->grad, t->o.workers, lo, hi);
	}
	pthread_barrier_wait(&t->barrier);
	double squares = 0;
	for (int i = 0; i < t->o.workers; i++)
		squares += t->worker[i].squares;
	double norm = sqrt(squares);
	if (w->index == 0) {
		t->norm = norm;
		t->is_refused = !well || !isfinite(norm);
	}
	if (well && isfinite(norm))
		update(w, sl_grad_clip(norm, t->o.clip_norm));
}

static void report_done(struct sl_trainer *t)
{
	pthread_mutex_lock(&t->lock);
	if (--t->running == 0)
		pthread_cond_signal(&t->done);
	pthread_mutex_unlock(&t->lock);
}

/* Waits for the command after `turn`; false: stop. */
static bool next_turn(struct sl_trainer *t, int64_t turn)
{
	pthread_mutex_lock(&t->lock);
	while (t->turn == turn && !t->is_stopping)
		pthread_cond_wait(&t->wake, &t->lock);
	bool go = !t->is_stopping;
	pthread_mutex_unlock(&t->lock);
	return go;
}

static void *work(void *arg)
{
	struct sl_worker *w = arg;
	struct sl_trainer *t = w->t;
	int64_t turn = 0;
	w->status = sl_replica_new(t->plan, t->half, t->o.seed, &w->replica, &w->err);
	report_done(t);
	while (next_turn(t, turn)) {
		turn++;
		one_step(w);
		report_done(t);
	}
	sl_replica_free(w->replica); /* primitives end on the thread that made them */
	return NULL;
}

static void wait_all(struct sl_trainer *t)
{
	pthread_mutex_lock(&t->lock);
	while (t->running > 0)
		pthread_cond_wait(&t->done, &t->lock);
	pthread_mutex_unlock(&t->lock);
}

static enum sl_status first_failure(const struct sl_trainer *t, struct sl_err *err)
{
	for (int i = 0; i < t->o.workers; i++)
		if (t->worker[i].status != SL_OK) {
			if (err)
				*err = t->worker[i].err;
			return t->worker[i].status;
		}
	return SL_OK;
}

static void take_weights(struct sl_trainer *t)
{
	const struct sl_plan *p = t->plan;
	size_t nw = p->nweight, ns = p->nstat;
	float **all[] = {&t->weights, &t->m, &t->v, &t->decay, &t->ema};
	for (size_t i = 0; i < SL_COUNT(all); i++)
		*all[i] = sl_aligned(sizeof(float) * SL_MAX(nw, 16));
	t->stats = sl_aligned(sizeof(float) * SL_MAX(ns, 16));
	t->ema_stats = sl_aligned(sizeof(float) * SL_MAX(ns, 16));
	for (int i = 0; i < p->nparam; i++) {
		const struct sl_param *q = &p->param[i];
		memcpy((q->is_stat ? t->stats : t->weights) + q->at, p->g->value[q->value].f32, sizeof(float) * q->n);
		for (size_t k = 0; !q->is_stat && k < q->n; k++)
			t->decay[q->at + k] = q->decays ? t->o.weight_decay : 0;
	}
	memcpy(t->ema, t->weights, sizeof(float) * nw);
	memcpy(t->ema_stats, t->stats, sizeof(float) * ns);
	t->grad = SL_NEW_N(float *, t->o.workers);
	for (int i = 0; i < t->o.workers; i++)
		t->grad[i] = sl_aligned(sizeof(float) * SL_MAX(nw, 16));
}

static enum sl_status check_options(const struct sl_train_options *o, const struct sl_shape *batch, struct sl_err *err)
{
	if (o->workers < 1 || o->workers > SL_TRAIN_WORKERS)
		return sl_fail(err, SL_INVALID, "training with %d workers: 1 to %d are possible", o->workers,
			SL_TRAIN_WORKERS);
	if (batch->rank < 2 || batch->dim[0] < 1 || batch->dim[0] % o->workers)
		return sl_fail(err, SL_INVALID, "a batch of %lld cannot be shared by %d workers: make it a multiple",
			(long long)batch->dim[0], o->workers);
	if (!(o->beta1 >= 0 && o->beta1 < 1 && o->beta2 >= 0 && o->beta2 < 1 && o->eps > 0))
		return sl_fail(err, SL_INVALID, "training needs beta1 and beta2 in [0, 1) and eps above 0");
	if (!(o->ema >= 0 && o->ema <= 1 && o->bn_momentum >= 0 && o->bn_momentum <= 1))
		return sl_fail(err, SL_INVALID, "training needs ema and bn_momentum in [0, 1]");
	if (!(o->weight_decay >= 0 && o->clip_norm >= 0))
		return sl_fail(err, SL_INVALID, "training needs weight_decay and clip_norm of 0 or more");
	return SL_OK;
}

static void start(struct sl_trainer *t)
{
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->wake, NULL);
	pthread_cond_init(&t->done, NULL);
	pthread_barrier_init(&t->barrier, NULL, (unsigned)t->o.workers);
	t->worker = SL_NEW_N(struct sl_worker, t->o.workers);
	t->running = t->o.workers;
	for (int i = 0; i < t->o.workers; i++) {
		char name[32];
		snprintf(name, sizeof(name), "train-%d", i);
		t->worker[i] = (struct sl_worker){.t = t, .index = i};
		t->worker[i].thread = sl_thread_start(name, work, &t->worker[i]);
		t->worker[i].is_started = true;
	}
	wait_all(t);
}

enum sl_status sl_trainer_new(const struct sl_graph *g, struct sl_shape batch_input, const struct sl_train_options *o,
	const struct sl_batch_source *source, struct sl_trainer **ret, struct sl_err *err)
{
	enum sl_status s = check_options(o, &batch_input, err);
	if (s != SL_OK)
		return s;
	struct sl_trainer *t = SL_NEW(struct sl_trainer);
	t->o = *o;
	t->source = *source;
	t->half = o->precision == SL_PRECISION_BF16 || (o->precision == SL_PRECISION_AUTO && sl_conv_has_bf16());
	batch_input.dim[0] /= o->workers;
	s = sl_plan_new(g, batch_input, &t->plan, err);
	if (s == SL_OK) {
		take_weights(t);
		start(t);
		s = first_failure(t, err);
	}
	if (s != SL_OK) {
		sl_trainer_free(t);
		return s;
	}
	*ret = t;
	return SL_OK;
}

static void stop(struct sl_trainer *t)
{
	pthread_mutex_lock(&t->lock);
	t->is_stopping = true;
	pthread_cond_broadcast(&t->wake);
	pthread_mutex_unlock(&t->lock);
	for (int i = 0; i < t->o.workers; i++)
		pthread_join(t->worker[i].thread, NULL);
	pthread_barrier_destroy(&t->barrier);
	pthread_cond_destroy(&t->wake);
	pthread_cond_destroy(&t->done);
	pthread_mutex_destroy(&t->lock);
}

void sl_trainer_free(struct sl_trainer *t)
{
	if (!t)
		return;
	if (t->worker)
		stop(t);
	for (int i = 0; t->grad && i < t->o.workers; i++)
		free(t->grad[i]);
	float *all[] = {t->weights, t->stats, t->m, t->v, t->decay, t->ema, t->ema_stats};
	for (size_t i = 0; i < SL_COUNT(all); i++)
		free(all[i]);
	free(t->grad);
	free(t->worker);
	sl_plan_free(t->plan);
	free(t);
}

enum sl_status sl_trainer_step(struct sl_trainer *t, float lr, struct sl_step_result *ret, struct sl_err *err)
{
	pthread_mutex_lock(&t->lock);
	t->lr = lr;
	t->turn++;
	t->running = t->o.workers;
	pthread_cond_broadcast(&t->wake);
	pthread_mutex_unlock(&t->lock);
	wait_all(t);
	enum sl_status s = first_failure(t, err);
	if (s != SL_OK)
		return s;
	if (t->is_refused)
		return sl_fail(err, SL_REFUSED, "the gradient of step %lld is not finite: lower the learning rate",
			(long long)t->step);
	*ret = (struct sl_step_result){.grad_norm = (float)t->norm};
	for (int i = 0; i < t->o.workers; i++) {
		ret->loss += t->worker[i].loss / (float)t->o.workers;
		for (int k = 0; k < 4; k++)
			ret->parts[k] += t->worker[i].parts[k] / (float)t->o.workers;
	}
	t->step++;
	return SL_OK;
}

int64_t sl_trainer_steps(const struct sl_trainer *t)
{
	return t->step;
}

struct sl_graph *sl_trainer_graph(struct sl_trainer *t, bool ema)
{
	struct sl_graph *g = sl_graph_clone(t->plan->g);
	for (int i = 0; i < t->plan->nparam; i++) {
		const struct sl_param *q = &t->plan->param[i];
		const float *from = q->is_stat ? (ema ? t->ema_stats : t->stats) : (ema ? t->ema : t->weights);
		memcpy(g->value[q->value].f32, from + q->at, sizeof(float) * q->n);
	}
	return g;
}
