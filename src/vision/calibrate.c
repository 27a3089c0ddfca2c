/* SPDX-License-Identifier: Apache-2.0 */
#include "vision/calibrate.h"
#include "base/mem.h"
#include <math.h>
#include <string.h>

static float logit_of(float v, bool is_probability)
{
	return is_probability ? logf(fmaxf(v, 1e-20f)) : v;
}

/* Keeps the list sorted, best first; of equals the lower class stays in front. */
static void insert(struct sl_candidate *list, int *n, int cls, float v)
{
	int at = *n;

	while (at > 0 && list[at - 1].confidence < v)
		at--;
	if (at == SL_CANDIDATES)
		return;
	*n = SL_MIN(*n + 1, SL_CANDIDATES);
	memmove(list + at + 1, list + at, (*n - 1 - at) * sizeof *list);
	list[at] = (struct sl_candidate){cls, v};
}

int sl_calibrate(
	const float *logit, int n, bool is_probability, float temperature, struct sl_candidate ret[SL_CANDIDATES])
{
	int kept = 0;
	double sum = 0;

	for (int i = 0; i < n; i++) {
		float v = logit_of(logit[i], is_probability) / temperature;

		if (!isfinite(logit[i]) || !isfinite(v))
			return 0;
		insert(ret, &kept, i, v);
	}
	for (int i = 0; i < n; i++)
		sum += exp(logit_of(logit[i], is_probability) / temperature - ret[0].confidence);
	float most = kept ? ret[0].confidence : 0;
	for (int i = 0; i < kept; i++)
		ret[i].confidence = (float)(exp(ret[i].confidence - most) / sum);
	return kept;
}
