/* SPDX-License-Identifier: Apache-2.0
 *
 * From a URL to a backend: the one place that names them. Private to store/.
 * USAGE: unknown scheme or one that is no store of this kind. UNSUPPORTED: known, not in
 * this build. Thread: any.
 */
#pragma once
#include "store/ops.h"

enum sl_status sl_registry_log(
	const char *url, const struct sl_config *cfg, struct sl_log_impl *ret, struct sl_err *err);
enum sl_status sl_registry_crops(
	const char *url, const struct sl_config *cfg, struct sl_crops_impl *ret, struct sl_err *err);
enum sl_status sl_registry_reviews(
	const char *url, const struct sl_config *cfg, struct sl_reviews_impl *ret, struct sl_err *err);
enum sl_status sl_registry_artifacts(
	const char *url, const struct sl_config *cfg, struct sl_artifacts_impl *ret, struct sl_err *err);
/* A bit for each of these, in this order; 0: no such scheme. */
unsigned sl_registry_served(const char *scheme);
