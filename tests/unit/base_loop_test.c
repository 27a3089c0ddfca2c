/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"
#include "base/mem.h"
#include "harness.h"
#include <stdatomic.h>

struct probe {
	struct sl_loop loop;
	_Atomic int turns;
	bool fails;
	int64_t longest_pause; /* the loop's; read after it ended */
};

static void work(void *arg)
{
	struct probe *p = arg;
	while (sl_loop_goes_on(&p->loop)) {
		p->turns++;
		if (p->fails)
			sl_loop_pause(&p->loop, "the test");
		else
			sl_loop_rest(&p->loop, SL_FOREVER);
		p->longest_pause = SL_LOOP_PAUSE_MAX_MS < p->loop.pause_ms ? -1 : p->loop.pause_ms;
	}
}

static void until_turns(struct probe *p, int n)
{
	while (p->turns < n)
		sched_yield();
}

TEST(loop, rests_until_it_is_woken_and_a_wake_is_never_lost)
{
	struct probe p = {.turns = 0};
	sl_loop_init(&p.loop);
	sl_loop_wake(&p.loop); /* before it rests */
	sl_loop_start(&p.loop, "probe", work, &p);
	until_turns(&p, 2);
	sl_loop_wake(&p.loop);
	until_turns(&p, 3);
	CHECK_STATUS(sl_loop_drain(&p.loop, SL_FOREVER), SL_OK);
	CHECK_EQ(p.turns, 3);
	sl_loop_stop(&p.loop);
}

TEST(loop, a_pause_grows_and_drain_ends_it)
{
	struct probe p = {.fails = true};
	sl_loop_init(&p.loop);
	sl_loop_start(&p.loop, "probe", work, &p);
	until_turns(&p, 3);
	sl_loop_stop(&p.loop);
	CHECK(p.longest_pause >= 4 * SL_LOOP_PAUSE_MS / 2);
}

TEST(loop, back_off_doubles_to_its_limit_and_parts_those_that_failed_together)
{
	static const int64_t want[] = {50, 100, 200, 300, 300};
	int64_t pause_ms = 0;
	for (size_t i = 0; i < SL_COUNT(want); i++) {
		int64_t before = sl_mono_us(), at = sl_back_off(&pause_ms, 50, 300), after = sl_mono_us();
		CHECK_EQ(pause_ms, want[i]);
		CHECK(at >= before + pause_ms * 500 && at < after + pause_ms * 1000);
	}
}

TEST(loop, says_why_its_last_turn_failed_until_one_goes_well)
{
	struct sl_loop l;
	char why[SL_LOOP_WHY] = "untouched";
	sl_loop_init(&l);
	CHECK_STATUS(sl_loop_drain(&l, 0), SL_TIMEOUT); /* so that it does not wait */
	CHECK(sl_loop_is_fine(&l, why));
	CHECK_STR(why, "untouched");
	sl_loop_pause(&l, "the store is away");
	CHECK(!sl_loop_is_fine(&l, why));
	CHECK_STR(why, "the store is away");
	sl_loop_is_well(&l);
	CHECK(sl_loop_is_fine(&l, why));
	CHECK_EQ(l.pause_ms, 0);
	sl_loop_done(&l);
}
