/* SPDX-License-Identifier: Apache-2.0
 *
 * URLs of stores of this test's own on real servers, and how they are removed; see contract.h.
 */
#pragma once

const char *sl_test_kafka(void); /* topics stay: they are small */
const char *sl_test_kafka_parted(void);
const char *sl_test_hbase(void);
void sl_test_hbase_drop(void);
const char *sl_test_webhdfs(void);
void sl_test_webhdfs_drop(void);
const char *sl_test_mongodb(void); /* real_mongodb.c, built with MongoDB alone */
void sl_test_mongodb_drop(void);
