/* SPDX-License-Identifier: Apache-2.0 */
#include "role/role.h"

/* Readers of a topic before its writers, and the bundle before the frames that need it. */
const struct sl_role *const sl_roles[] = {&sl_role_rollout, &sl_role_curate, &sl_role_learning, &sl_role_labeling,
	&sl_role_intake, &sl_role_frames, NULL};
