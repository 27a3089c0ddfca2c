/* SPDX-License-Identifier: Apache-2.0
 *
 * What a backend is: one const table a contract, named sl_BACKEND_CONTRACT. Private to
 * store/. The functions are those of the contract's header with the same promises; what the
 * contract's own .c file checks first (names, sizes, ranges) they need not check again.
 * To add a backend: a folder, its tables, rows in registry.c, its name in the lists of
 * tests/contract/contract.c.
 */
#pragma once
#include "store/artifacts.h"
#include "store/crops.h"
#include "store/log.h"
#include "store/reviews.h"
#include "store/url.h"

#define SL_OPEN_FN \
	enum sl_status (*open)(struct sl_url * url, const struct sl_config *cfg, void **ret, struct sl_err *err)

struct sl_log_ops {
	SL_OPEN_FN;
	void (*close)(void *self);
	enum sl_status (*append)(void *self, const struct sl_entry *e, int n, int64_t deadline_us, struct sl_err *err);
	enum sl_status (*consumer_open)(
		void *self, const char *group, const char *topic, void **ret, struct sl_err *err);
	void (*consumer_close)(void *consumer);
	enum sl_status (*poll)(void *consumer, int max, int64_t deadline_us, struct sl_batch *ret, struct sl_err *err);
	enum sl_status (*commit)(void *consumer, struct sl_err *err);
	enum sl_status (*seek)(void *consumer, int partition, int64_t position, struct sl_err *err);
	int (*partitions)(void *self, const char *topic);
	enum sl_status (*read)(void *self, const char *topic, int partition, int64_t position, int max,
		struct sl_batch *ret, struct sl_err *err);
	enum sl_status (*lag)(void *self, const char *group, const char *topic, int64_t *ret, struct sl_err *err);
	enum sl_status (*make)(void *self, const char *topic, int partitions, struct sl_err *err);
	enum sl_status (*last)(void *self, const char *topic, int partition, int64_t *ret, struct sl_err *err);
	enum sl_status (*restore)(
		void *self, const struct sl_message *m, int n, int64_t deadline_us, struct sl_err *err);
	enum sl_status (*committed)(
		void *self, const char *group, const char *topic, int partition, int64_t *ret, struct sl_err *err);
	enum sl_status (*commit_to)(
		void *self, const char *group, const char *topic, int partition, int64_t position, struct sl_err *err);
	enum sl_status (*idle)(void *self, struct sl_err *err); /* NULL: UNSUPPORTED */
};

/* sl_batch.own points at one of these, at the start of what the backend keeps. */
struct sl_batch_own {
	void (*free)(struct sl_batch_own *own);
};

struct sl_crops_ops {
	SL_OPEN_FN;
	void (*close)(void *self);
	/* one: EXISTS if the crop is there; else it is no error. */
	enum sl_status (*put)(void *self, const struct sl_crop_put *put, int n, bool one, struct sl_err *err);
	enum sl_status (*get)(void *self, const char *const *keys, int n, struct sl_crop *ret, struct sl_err *err);
	enum sl_status (*scan)(void *self, const char *prefix, const char *after, int max, char (*ret)[SL_KEY],
		int *ret_n, struct sl_err *err);
	enum sl_status (*remove)(void *self, const char *key, struct sl_err *err);
	enum sl_status (*count)(void *self, int64_t *ret, struct sl_err *err);
};

struct sl_reviews_ops {
	SL_OPEN_FN;
	void (*close)(void *self);
	enum sl_status (*add)(
		void *self, const struct sl_review *r, int n, const struct sl_origin *from, struct sl_err *err);
	enum sl_status (*position)(void *self, const char *group, int partition, int64_t *ret, struct sl_err *err);
	enum sl_status (*lease)(
		void *self, const char *voter, int n, struct sl_review *ret, int *ret_n, struct sl_err *err);
	enum sl_status (*vote)(
		void *self, const char *key, const struct sl_vote *vote, struct sl_verdict *ret, struct sl_err *err);
	enum sl_status (*undo)(
		void *self, const char *key, const char *voter, struct sl_verdict *ret, struct sl_err *err);
	enum sl_status (*expire)(void *self, int *ret_n, struct sl_err *err);
	enum sl_status (*get)(void *self, const char *key, struct sl_review *ret, struct sl_vote *votes,
		int *ret_nvotes, struct sl_err *err);
	enum sl_status (*scan)(
		void *self, int state, const char *after, int max, char (*ret)[SL_KEY], int *ret_n, struct sl_err *err);
	enum sl_status (*pending_out)(void *self, int max, struct sl_review *ret, int *ret_n, struct sl_err *err);
	enum sl_status (*sent)(void *self, char (*keys)[SL_KEY], int n, struct sl_err *err);
	enum sl_status (*votes)(
		void *self, int64_t after_seq, int max, struct sl_vote_line *ret, int *ret_n, struct sl_err *err);
	enum sl_status (*stats)(void *self, struct sl_review_stats *ret, struct sl_err *err);
	enum sl_status (*voter)(void *self, const char *voter, int64_t *ret_votes, int64_t *ret_decided,
		int64_t *ret_agreed, struct sl_err *err);
	enum sl_status (*order)(void *self, char *cursor, int max, char (*ret)[SL_KEY], int *ret_n, struct sl_err *err);
	enum sl_status (*history)(
		void *self, char (*keys)[SL_KEY], int n, struct sl_review_history *ret, struct sl_err *err);
	enum sl_status (*restore)(void *self, const struct sl_review_history *h, int n, struct sl_err *err);
};

struct sl_artifacts_ops {
	SL_OPEN_FN;
	void (*close)(void *self);
	enum sl_status (*put)(void *self, const char *path, struct sl_slice bytes, struct sl_err *err);
	enum sl_status (*get)(void *self, const char *path, struct sl_buf *ret, struct sl_err *err);
	/* Any order; store/artifacts.c sorts. */
	enum sl_status (*list)(void *self, const char *prefix, struct sl_artifact_list *ret, struct sl_err *err);
	enum sl_status (*remove)(void *self, const char *path, struct sl_err *err);
};

/* A backend or a decorator around one. */
struct sl_log_impl {
	const struct sl_log_ops *ops;
	void *self;
};
struct sl_crops_impl {
	const struct sl_crops_ops *ops;
	void *self;
};
struct sl_reviews_impl {
	const struct sl_reviews_ops *ops;
	void *self;
};
struct sl_artifacts_impl {
	const struct sl_artifacts_ops *ops;
	void *self;
};
