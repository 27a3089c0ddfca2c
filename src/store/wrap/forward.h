/* SPDX-License-Identifier: Apache-2.0
 *
 * How the forwarders of wrap/ ask their hook. Private to store/wrap/.
 */
#pragma once
#include "base/mem.h"
#include "store/wrap/wrap.h"

/* FORWARD("crops", "get", w->hook, expr, undo): the status of expr between enter and leave;
 * undo releases what expr gave when the answer is lost. err is the caller's. */
#define FORWARD(store, name, hook, expr, undo) \
	({ \
		struct sl_call c_ = {store, name, 0, false}; \
		struct sl_hook *h_ = (hook); \
		enum sl_status s_ = h_->enter(h_, &c_, err); \
		if (s_ == SL_OK) { \
			s_ = (expr); \
			if (s_ == SL_OK && c_.lost) { \
				undo; \
			} \
			s_ = h_->leave(h_, &c_, s_, err); \
		} \
		s_; \
	})
