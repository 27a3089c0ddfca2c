/* SPDX-License-Identifier: Apache-2.0
 *
 * A thread that goes round until it is told to end: it works a turn, rests, and after an error
 * waits longer each time. The parts that every such thread needs, so that all end alike.
 *
 *	while (sl_loop_goes_on(&l))
 *		if (turn() == SL_OK)
 *			sl_loop_is_well(&l);
 *		else
 *			sl_loop_pause(&l, err.text);
 *
 * Owner: whoever holds the struct, from init to done. Thread: goes_on, rest, pause and is_well
 * belong to the loop's own thread; start, drain and stop to the owner's; wake is for any. lock
 * may guard a few things of the owner's too; hold it shortly, and call nothing of here under it.
 */
#pragma once
#include "base/thread.h"

enum { SL_LOOP_PAUSE_MS = 50, SL_LOOP_PAUSE_MAX_MS = 5000 }; /* after the first error; it doubles up to the second */
enum { SL_LOOP_WHY = 128 };

struct sl_loop {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool draining, ended, woken; /* under lock */
	int64_t pause_ms; /* 0 when all is well */
	char why[SL_LOOP_WHY]; /* under lock: what the last turn failed with; "" when all is well */
	pthread_t thread;
	void (*fn)(void *arg);
	void *arg;
};

/* When to try again after an error: a deadline half to all of *pause_ms away (so that those that failed
 * together do not come back together), which is set to first_ms after 0 and else doubles up to max_ms. */
int64_t sl_back_off(int64_t *pause_ms, int64_t first_ms, int64_t max_ms);

void sl_loop_init(struct sl_loop *l);
void sl_loop_start(struct sl_loop *l, const char *name, void (*fn)(void *arg), void *arg);
bool sl_loop_goes_on(struct sl_loop *l); /* false once it drains */
/* Until the deadline, the next wake or drain. A wake before it counts. */
void sl_loop_rest(struct sl_loop *l, int64_t deadline_us);
void sl_loop_wake(struct sl_loop *l);
/* After an error, why: waits, wake or not, about twice as long as the last time (half to all
 * of it, so that processes that failed together do not come back together); ended by drain. */
void sl_loop_pause(struct sl_loop *l, const char *why);
void sl_loop_is_well(struct sl_loop *l); /* the next pause is a short one */
/* For readiness, from any thread: true when the last turn went well, else why it did not. */
bool sl_loop_is_fine(struct sl_loop *l, char why[SL_LOOP_WHY]);
/* Asks it to end. TIMEOUT when it still runs at the deadline; it goes on ending. */
enum sl_status sl_loop_drain(struct sl_loop *l, int64_t deadline_us);
void sl_loop_stop(struct sl_loop *l); /* drains without deadline, joins, and is done */
void sl_loop_done(struct sl_loop *l); /* of one that was never started */
