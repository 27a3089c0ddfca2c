/* SPDX-License-Identifier: Apache-2.0
 *
 * The crop store: small JPEGs by key, with what was known when they were cut.
 * Owner: the caller. Thread: any that may block (never http). Concurrent writes share
 * one disk write. Errors: NOT_FOUND, EXISTS, AWAY/TIMEOUT (outcome of a put unknown: put
 * again), BUSY (no connection was free: nothing was done), CORRUPT.
 */
#pragma once
#include "base/buf.h"
#include "base/config.h"
#include "core/key.h"

enum { SL_CROP_MAX = 256 * 1024, SL_CROP_META_MAX = 16 * 1024, SL_SCAN_MAX = 1000 };

struct sl_crops;

struct sl_crop {
	char key[SL_KEY];
	struct sl_buf jpeg;
	struct sl_buf meta; /* JSON object: {"v":1,"frame","device","time","box":[x,y,w,h],"roi":[x,y,w,h] (in the
			     * crop's own pixels),"bundle","class","confidence","candidates",...} */
};
void sl_crop_done(struct sl_crop *c);

enum sl_status sl_crops_open(const char *url, const struct sl_config *cfg, struct sl_crops **ret, struct sl_err *err);
void sl_crops_close(struct sl_crops *s);

/* Durable on OK; EXISTS leaves what is there (and it is durable). */
enum sl_status sl_crops_put(
	struct sl_crops *s, const char *key, struct sl_slice jpeg, struct sl_slice meta, struct sl_err *err);
/* As n puts, one disk write; a crop that is there already is no error. */
struct sl_crop_put {
	const char *key;
	struct sl_slice jpeg, meta;
};
enum sl_status sl_crops_put_many(struct sl_crops *s, const struct sl_crop_put *put, int n, struct sl_err *err);
enum sl_status sl_crops_get(struct sl_crops *s, const char *key, struct sl_crop *ret, struct sl_err *err);
/* ret[i].key is empty where keys[i] is absent. */
enum sl_status sl_crops_get_many(
	struct sl_crops *s, const char *const *keys, int n, struct sl_crop *ret, struct sl_err *err);
/* Keys that start with prefix, greater than after, in byte order; *ret_n < max: the end. */
enum sl_status sl_crops_scan(struct sl_crops *s, const char *prefix, const char *after, int max, char (*ret)[SL_KEY],
	int *ret_n, struct sl_err *err);
enum sl_status sl_crops_remove(struct sl_crops *s, const char *key, struct sl_err *err); /* absent is OK */
enum sl_status sl_crops_count(struct sl_crops *s, int64_t *ret, struct sl_err *err); /* may be a minute old */
