/* SPDX-License-Identifier: Apache-2.0
 *
 * What the original's consumers read: each message on `labels`, `reviews` or `models` as the one
 * they know. docs/formats.md, "Topics of the original".
 *
 *   labels   -> good_acc_label  {"image_rowkey","label"}
 *   reviews  -> bad_acc_label   {"image_rowkey","labels":[{"label","accuracy"}]}
 *   models   -> parameter       {"url"}   (alias live only)
 *
 * A label was the Korean name of the class there. So it is here, where the message has it; else
 * the class's code, else its index.
 *
 * Owner: json_t values that are made here are new references. Thread: any.
 */
#pragma once
#include "core/message.h"

#define SL_TOPIC_GOOD "good_acc_label"
#define SL_TOPIC_BAD "bad_acc_label"
#define SL_TOPIC_PARAMETER "parameter"

/* url: pattern of the parameter's: "{digest}" and "{path}" (in the artifact store) are filled in.
 * *ret is NULL when there is nothing to say: a crop of no class, another alias, another topic.
 * INVALID, UNSUPPORTED: body is no message of its topic. */
enum sl_status sl_compat_message(
	const char *topic, json_t *body, const char *url, const char **ret_topic, json_t **ret, struct sl_err *err);
/* USAGE: not http:// or https://, or without {digest} and {path}. */
enum sl_status sl_compat_check_url(const char *url, struct sl_err *err);
