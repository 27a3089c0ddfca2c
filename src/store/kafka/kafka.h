/* SPDX-License-Identifier: Apache-2.0
 *
 * The log on Kafka (librdkafka). Private to store/. Owner, threads, errors: store/log.h.
 *
 *   kafka://[USER:PASSWORD@]HOST:PORT[,HOST:PORT...][?option=value&...]
 *
 * option        default         range, meaning
 * prefix        ""              before the name of every topic and group: several installations on one cluster
 * partitions    4               1-1024, of topics that this handle makes
 * replication   -1              of topics that it makes; -1: what the broker says
 * min_insync    0               0-32, replicas that must have a message before it is answered; 0: what the broker says
 * retention_ms  -1              -1: for ever, so that fsck and a new group can read everything
 * connect_ms    5000            100-600000, how long opening waits for a broker
 * security      plaintext       plaintext, ssl, sasl_plaintext, sasl_ssl
 * ca cert key   system's        PEM files: authorities, own certificate and its key; key_password
 * verify_host   https           https: the certificate must name the host; none
 * mechanism     -               PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, GSSAPI, OAUTHBEARER; with user and password
 * client_id     signloop        as the broker's logs and quotas call us (a group's member adds the time it joined)
 * compression   none            none, gzip, snappy, lz4, zstd
 * linger_ms     0               0-1000, how long a message may wait for others to share its request; see below
 * batch_bytes   1000000         1000-16000000, of one request
 * buffer_kb     131072          1024-4194304, messages that wait to be sent; full: BUSY
 * timeout_ms    30000           1000-3600000, until a message that could not be delivered fails (TIMEOUT)
 * request_ms    10000           1000-300000, of one request; dial_ms (10000) of one connection
 * retries       2147483647      1-, of one message within timeout_ms; retry_ms (100) between them
 * backoff_ms    50              1-, first wait before connecting again; backoff_max_ms (1000) the longest
 * session_ms    10000           1000-1800000, silence after which a killed member's partitions go to others
 * heartbeat_ms  300             50-60000, how soon a member hears of a new one; below session_ms
 * fetch_wait_ms 100             0-60000, how long a broker keeps an idle fetch; new messages end it, a seek does not
 * fetch_bytes   1048576         1000-100000000, of one partition in one fetch
 * fetch_kb      16384           64-1048576, fetched ahead by one consumer
 * debug         ""              librdkafka's contexts (broker,cgrp,...); its lines go to our log at debug, `store`
 *
 * On the server: topic PREFIX + name with cleanup.policy=delete, message.timestamp.type=CreateTime; an existing
 * topic is taken as it is, whatever its partitions. Do not add partitions to a topic in use: a key's messages
 * would change their place and lose their order. Key and body are the message's; headers `schema`
 * (signloop.TOPIC.v1) and, where the key is a crop's, `traceparent` (W3C): all messages of a frame have one trace,
 * whose number is the frame's 24 digits and the first 8 of them again. Positions are Kafka's offsets.
 * Rights: Describe, Read, Write and (to make them) Create on topics PREFIX*, Read and Describe on groups PREFIX*.
 *
 * Durability: idempotent producer, acks=all: an answered message is on every in-sync replica. A retry inside the
 * client makes no duplicate; one by our caller after TIMEOUT or AWAY may. One request a broker is under way at a
 * time: with more, librdkafka 2.0.2 loses answered messages now and then (7 of 750 new topics with 16 writers, none
 * of 850 with one, log_contract.c: lost_answers_and_retries_lose_nothing): a whole first batch of a new producer is
 * missing, most likely sent again under numbers that another batch has had meanwhile, and its "duplicate" taken for an
 * answer. A producer that Kafka fenced or forgot is replaced by a new one.
 * Groups: range assignor, the oldest member first. Rebalances are served by a thread of the consumer at once,
 * whatever its owner does meanwhile; a position is committed (before the call returns) by the member that has the
 * partition, and stays its own through a rebalance that gives it the partition again while nobody else committed.
 *
 * Why linger_ms is 0 (bench/log_bench.c, one broker beside it on 2 cores, 2026-11-26, median of 3 rounds in turns):
 *   linger_ms                              0       1       5      20
 *   appends/s, one at a time            2687     650     166      47
 *   appends/s, 16 callers              11167    7652    2593     753
 *   ms from append to poll, 200/s, p50     0.9     1.9     6.0    20.9
 *     the same, p99                      4.1     3.1     7.3    22.7
 *   CPU us an append, 16 callers          43      39      46      63
 * A caller waits for its answer, so a delay only adds to it; what comes while a request is under way shares the
 * next one anyway. Raise it where many processes write to a far broker and its requests a second are the limit.
 *
 * Errors: no broker answers: AWAY. Wrong option, file, credentials or missing right: USAGE, not retriable, with
 * the broker's words. TOO_LARGE: one message is over the topic's max.message.bytes (a request that is goes again,
 * one message at a time). BUSY: buffer_kb is full. CORRUPT, once: a topic that a consumer reads was deleted and made
 * again; it goes on with its first message.
 */
#pragma once
#include "store/ops.h"

extern const struct sl_log_ops sl_kafka_log;
