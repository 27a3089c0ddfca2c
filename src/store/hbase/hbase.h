/* SPDX-License-Identifier: Apache-2.0
 *
 * Crops on HBase 2, through its REST gateway. Private to store/.
 *
 *   hbase://HOST:PORT[,HOST:PORT...][/TABLE][?option=value...]      TABLE: crops, or NAMESPACE:NAME
 *
 * Calls go round the gateways; one that fails is left alone for a while, and its call is
 * repeated at the next; one that refuses us (certificate, log-in) too, until all have. IPv6 as [::1]:8080.
 *
 *   option        default    range
 *   connections   16         1..256     open at most; a call waits for a free one
 *   timeout_ms    10000      100..600000  for one crop, repetitions within; for each page of keys
 *   connect_ms    3000       10..60000  to connect to one gateway
 *   tries         6          1..100     of one call, with growing random waits between
 *   jpeg          data:jpeg  FAMILY:QUALIFIER of the picture (data:1 for the original's readers)
 *   make          1          0, 1       make the table when it is absent
 *   compression   NONE       SNAPPY, ZSTD, LZ4, GZ, ...  of a table made here; JPEGs do not shrink
 *   ttl_s         -          1..2147483646  rows end by themselves; must be what a table has that is there
 *   tls           0          0, 1       https
 *   ca, cert, key -          PEM files: who signs the gateways; who we are (tls=1)
 *   user, password -         HTTP Basic
 *   negotiate     0          0, 1       SPNEGO with this process's Kerberos ticket
 *
 * Layout: a row a crop. Row key: the crop's key, whose first 4 hex digits are a hash: regions
 * split evenly (docs/formats.md says how to make a table with many). Columns: the picture (see
 * jpeg), data:meta the JSON object, data:sum the SHA-256 of picture and meta, 64 hex digits.
 * Rows whose key has other characters than letters, digits and "-._~" are someone else's: they are not
 * listed or counted, and such keys are refused.
 *
 * A put is one check-and-put: all cells of the row, if data:sum is absent (it is checked as the one
 * cell that is never empty: HBase takes an empty one for absent). So there is no half row and no second
 * winner. put_many and get_many share their rows over connections; each row is its own.
 * A put whose first answer was lost and that finds its own row there is EXISTS: there and durable.
 * A remove reads the row's time and deletes to that time, so that its tombstone hides no later put.
 * Scans are scanners of one gateway, deleted when done and opened anew behind the last key when lost. A page is asked
 * for over a connection of its own, so that it is never heard twice, which would lose one; of several gateways one
 * has half of the time. Where a scanner says that there is no more, and before a remove that there is no such row,
 * a request that fails where the gateway cannot read asks once more: it says the same then. A get is believed, for every
 * new frame asks for crops that are not there.
 * A count reads all keys up to SL_HBASE_COUNT_EXACT (200,000), from there on it is that many by the share of
 * the hash prefix they cover (off by 0.3 % or so), and is kept for a minute.
 *
 * Durable: when it is in the write-ahead log of the region server, which HDFS has in memory
 * of every replica (hflush), or on disk where hbase.wal.hsync is set.
 *
 * Errors: AWAY, no gateway, or none that reaches its region servers, or a proxy that says 404; TIMEOUT; BUSY, all
 * connections were in use until the deadline; USAGE, not
 * logged in, not allowed, no such table or family, wrong option; CORRUPT, a cell is missing or
 * data:sum does not fit; IO, an answer that is none of HBase's. Opening tries once, for connect_ms and
 * timeout_ms at most, and a minute to make the table.
 */
#pragma once
#include "store/ops.h"

extern const struct sl_crops_ops sl_hbase_crops;
