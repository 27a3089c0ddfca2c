/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads, conditions on the monotonic clock, a bounded queue, and a pool of
 * workers over it. Header comments name threads in these words: `http` (an HTTP
 * event thread: never blocks, never runs a net), `infer` (runs nets, owns its
 * scratch), `store` (a worker that may block on a store), `any`.
 */
#pragma once
#include "base/clock.h"
#include "base/status.h"
#include <pthread.h>

/* Starts fn(arg) on a new thread named `name` (15 characters shown). Signals that
 * end the process are blocked in it. SL_BUG when the system refuses. */
pthread_t sl_thread_start(const char *name, void *(*fn)(void *), void *arg);
void sl_cond_init(pthread_cond_t *c); /* on CLOCK_MONOTONIC */
/* false when the deadline passed. */
bool sl_cond_wait_until(pthread_cond_t *c, pthread_mutex_t *m, int64_t deadline_us);

/* Bounded queue of pointers, many producers and consumers. Owner: the caller; the
 * items are not freed by it. Thread: any. */
struct sl_queue;
struct sl_queue *sl_queue_new(size_t cap);
void sl_queue_free(struct sl_queue *q); /* must be empty or its items forgotten; NULL is fine */
/* Takes the item on OK. BUSY at the cap, CLOSED after sl_queue_close(). Never blocks. */
enum sl_status sl_queue_push(struct sl_queue *q, void *item);
/* OK with an item; TIMEOUT; CLOSED when closed and empty. */
enum sl_status sl_queue_pop(struct sl_queue *q, void **ret, int64_t deadline_us);
void sl_queue_close(struct sl_queue *q); /* no more pushes; what is in it can be popped */
size_t sl_queue_len(struct sl_queue *q);
size_t sl_queue_cap(const struct sl_queue *q);

/* A pool: n threads that run jobs in the order they came. */
struct sl_pool;
struct sl_pool *sl_pool_start(const char *name, unsigned threads, size_t queue_cap);
/* BUSY when the queue is full, CLOSED when draining; fn is then not called. */
enum sl_status sl_pool_run(struct sl_pool *p, void (*fn)(void *arg), void *arg);
size_t sl_pool_queued(struct sl_pool *p);
/* Refuses new jobs, runs the accepted ones, joins. TIMEOUT if some still run at the
 * deadline (they go on; sl_pool_free waits for them). */
enum sl_status sl_pool_drain(struct sl_pool *p, int64_t deadline_us);
void sl_pool_free(struct sl_pool *p); /* drains without deadline; NULL is fine */
