/* SPDX-License-Identifier: Apache-2.0
 *
 * n pieces of work that wait on a server, shared between the caller and the helpers of a
 * pool. Inside hbase/. Owner: the caller. Thread: any that may block.
 */
#pragma once
#include "base/thread.h"

/* Runs fn(arg, i) for i from 0 to n - 1, in any order; returns when none runs any more. After the
 * first failure, which it gives, no new one is begun. Without idle helpers the caller does all. */
enum sl_status sl_hbase_each(struct sl_pool *helpers, int nhelpers, int n,
	enum sl_status (*fn)(void *arg, int i, struct sl_err *err), void *arg, struct sl_err *err);
