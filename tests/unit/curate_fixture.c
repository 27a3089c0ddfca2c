/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "dataset_fixture.h"
#include "harness.h"
#include "role/curator.h"

void fixture_curate(struct fixture *f)
{
	struct sl_curator *c;
	struct sl_err err;
	int64_t lag = 1;
	CHECK_OK(sl_curator_new(f->cfg, &f->st, &c, &err));
	while (lag) {
		CHECK_OK(sl_curator_turn(c, sl_deadline_ms(50), &err));
		CHECK_OK(sl_log_lag(f->st.log, "curate", "labels", &lag, &err));
	}
	sl_curator_free(c);
}
