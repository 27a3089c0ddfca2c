/* SPDX-License-Identifier: Apache-2.0
 *
 * Dead letters: a message that can never be taken goes to topic TOPIC.dead with the reason,
 * before the position of its topic moves past it. Its key there, "TOPIC-PARTITION-POSITION", is
 * the same each time, so that doing it twice is harmless; who reads them takes the last of a key.
 *
 * {"v":1,"topic","partition","position","key","reason","time" (when it was appended),
 *  "body" (text) or "body_base64" (bytes that are no UTF-8),
 *  "bytes" (of the body; "body" is cut at SL_DEAD_BODY)}
 *
 * Owner: the caller. Thread: any that may block. Also the metric signloop_dead_letters_total{topic}.
 */
#pragma once
#include "base/clock.h"
#include "store/log.h"

#define SL_TOPIC_DEAD ".dead" /* after the topic's name */
enum { SL_DEAD_BODY = 32768, SL_DEAD_SEND_MS = 10000 };

/* OK when it is durable there. AWAY, TIMEOUT, BUSY, IO of the log: the message has to come again. */
enum sl_status sl_dead_letter(struct sl_log *log, const struct sl_message *m, const char *reason, struct sl_err *err);
