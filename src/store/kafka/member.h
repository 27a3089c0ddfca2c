/* SPDX-License-Identifier: Apache-2.0
 *
 * A member of a group: member.c is its own thread, which joins, serves rebalances and leaves
 * when the owner is silent; group.c is what the owner calls. Private to kafka/.
 *
 * Two locks. `lock` guards what the member has; holding it stops a rebalance from going on, so
 * that a commit is of this generation, and what is popped is of this assignment. `wake_lock`
 * guards growth alone and is taken by librdkafka's threads: nothing of librdkafka is called
 * with it held.
 */
#pragma once
#include "store/kafka/client.h"
#include <stdatomic.h>

enum sl_phase { SL_OUT, SL_JOINING, SL_IN }; /* no handle; waits for partitions; has what it gets */

struct sl_share { /* one partition */
	bool mine; /* now */
	bool held; /* cursor means something: mine, or it was before the rebalance that is going on */
	bool lost; /* another member went on; the next commit says so */
	bool seeks; /* the stream does not stand at cursor yet */
	bool sought; /* the owner chose cursor, and there may be no such message yet */
	int64_t cursor, known, tried; /* position polled; committed as last known; last sent to be committed */
};

struct sl_member {
	struct sl_trouble trouble; /* first: the handle's opaque */
	struct sl_kafka *k;
	char group[SL_MESSAGE_KEY], topic[SL_TOPIC], full[SL_KAFKA_NAME];

	pthread_mutex_t lock;
	enum sl_phase phase;
	rd_kafka_t *rk;
	rd_kafka_queue_t *messages; /* of all its partitions */
	struct sl_share part[SL_KAFKA_PARTITIONS];
	int nparts; /* all that were ever seen are below */
	bool refused; /* `why` says that joining makes no sense */
	struct sl_err why;
	int64_t commit_no; /* of the last commit sent; its answer: */
	bool commit_done;
	rd_kafka_resp_err_t commit_code;

	pthread_mutex_t wake_lock;
	pthread_cond_t wake; /* messages came, or the phase changed, or the thread is wanted */
	uint64_t growth;

	pthread_t thread;
	_Atomic bool quits, rejoins;
	_Atomic int inside; /* calls of the owner that are going on */
	_Atomic int64_t seen_ms; /* wall time of the last one */
};

void *sl_member_main(void *member);
void sl_member_wake(struct sl_member *m);
uint64_t sl_member_growth(struct sl_member *m);
/* Until growth is not `seen` any more; false at the deadline. */
bool sl_member_wait(struct sl_member *m, uint64_t seen, int64_t deadline_us);
