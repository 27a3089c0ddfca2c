/* SPDX-License-Identifier: Apache-2.0
 *
 * Reviews on MongoDB (4.4 and later, a replica set) by libmongoc. Private to store/.
 *
 *   mongodb://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]...][/DATABASE][?option=value&...]
 *
 * DATABASE is "signloop" when absent: letters, digits, "_" and "-". The options are those of a
 * MongoDB connection string, spelled as here (the table in client.c has ranges and defaults):
 * replicaSet; srv=1 for mongodb+srv (one HOST); directConnection; appName; tls, tlsCAFile,
 * tlsCertificateKeyFile, tlsCertificateKeyFilePassword; authSource, authMechanism; compressors;
 * maxPoolSize (64 connections), waitQueueTimeoutMS (5000); serverSelectionTimeoutMS (3000),
 * connectTimeoutMS (3000), socketTimeoutMS (5000), heartbeatFrequencyMS (10000), wtimeoutMS (4000);
 * retryWrites, retryReads (true). w, journal, readConcernLevel and readPreference may be given,
 * but only as they are: majority, true, majority, primary. Others are refused.
 *
 * Durability: every write waits for w=majority and j=true, every read has readConcern majority
 * from the primary. Layout (docs/formats.md has an example of each): `reviews`, one document a
 * review, with its vote log inside; `positions`, one a consumer and partition; `signloop`, the
 * format's version. Rights: readWrite on DATABASE (it makes collections and indexes).
 *
 * A change of a review (vote, undo, lease) reads the document, lets store/rules.c decide and
 * writes line, counts, verdict, leases and outbox by ONE update with the condition {_id, rev};
 * who misses reads again. So verdict, message and vote are one step without transactions.
 * Chosen by measurement (SecantusDB 0.7, 500 reviews, 1 and 16 callers, votes/s; no real mongod
 * was to be had): this 217 and 206; the same by findAndModify 84 and 78; `seq` from a counter
 * document 107 and 119; the log in a collection of its own 133 and 94, which also needs a
 * second write that a crash can separate from the first. The whole store, leases included, with
 * 1 and 16 callers on 4 reviews at a time, on a busy machine of 2 cores: SecantusDB 11 and 17
 * votes/s (it sorts without an index), mongo-java-server 1.47 142 and 228. Callers of one process
 * queue for a review by a lock, else their updates miss: 602 misses on 136 votes without it.
 *
 * A line's seq is ms since 1970 << 20 + a part that makes it unique (an index sees to it); it
 * grows within a review. Leases and lines take the time of the process that writes: clocks of
 * hosts must agree within seconds. A lease walks the open reviews from most votes down, by
 * index; those that the voter is past cost the server a look each.
 *
 * Errors, by code: AWAY (not reachable, no primary), TIMEOUT (written here, not by a majority in
 * time), BUSY (no free connection or a crowd on one review for too long), USAGE (log-in or rights
 * refused, wrong set name, an index or validator of another's making), IO (disk full, others).
 * Open makes one attempt; nothing here takes longer than a few of the times above.
 */
#pragma once
#include "store/ops.h"

extern const struct sl_reviews_ops sl_mongodb_reviews;
