/* SPDX-License-Identifier: Apache-2.0
 *
 * A database of this test's own on the server of SIGNLOOP_TEST_MONGODB; see contract.h.
 */
#pragma once

const char *sl_test_mongodb(void);
void sl_test_mongodb_drop(void);
