/* SPDX-License-Identifier: Apache-2.0
 *
 * Artifacts on HDFS by its WebHDFS interface (also through HttpFS or Knox):
 *   webhdfs://NAMENODE:PORT[,NAMENODE:PORT...]/PATH[?option=value&...]
 * PORT is the NameNode's HTTP port (9870; with TLS 9871), not its RPC port. Of several
 * NameNodes (HA) the one that answers as the active is used, and is remembered; one whose
 * certificate is bad is passed over.
 *
 * | option      | default   | what                                                               |
 * |-------------|-----------|--------------------------------------------------------------------|
 * | user        | -         | user.name of a cluster without Kerberos; with password: HTTP Basic |
 * | password    | -         | for Knox or HttpFS behind a log-in; needs user                     |
 * | token       | -         | a delegation token (hdfs fetchdt --webservice)                     |
 * | negotiate   | 0         | 1: SPNEGO with this process's Kerberos ticket                      |
 * | tls         | 0         | 1: https, to NameNodes and DataNodes                               |
 * | ca          | -         | PEM file: who signs the servers (default: the system's)            |
 * | cert, key   | -         | PEM files: who we are                                              |
 * | gateway     | -         | path before /webhdfs/v1, such as /gateway/default (Knox)           |
 * | timeout_ms  | 60000     | 300..3600000: of a store call; 1 s more for each MiB it moves      |
 * | connect_ms  | 3000      | 100..600000: of a connection                                       |
 * | tries       | 8         | 1..100: of each step of a call, within its time                    |
 * | connections | 16        | 1..256: at once, to NameNodes and to DataNodes each                |
 * | replication | cluster's | 1..512                                                             |
 * | blocksize   | cluster's | bytes, 1 MiB..2 GiB; a space quota must have room for a whole one  |
 * | permission  | 644       | of objects, octal; folders get x where objects have r              |
 * | piece       | 8388608   | 4096..67108864: bytes of one range read                            |
 *
 * Layout: PATH/a/b is the object "a/b" as it was put, readable by anyone with a plain
 * GET .../webhdfs/v1/PATH/a/b?op=OPEN. Its SHA-256 in hex is its extended attribute
 * user.sha256. PATH/.tmp holds what is being put; left-overs older than a day are removed
 * at open and once an hour, after a put. Parts that begin with a dot are no objects, nor is any file with a
 * name that artifacts.h refuses.
 *
 * An object is written under a name of its own in .tmp, has the right size, gets its digest, and is renamed with
 * renameoptions=NONE, which never replaces and never moves into a folder: of several writers
 * one wins. (A gateway that knows the older rename only is recognised, and what it moved
 * into a folder is removed.) Where the answer of a rename was lost, it won if the temporary
 * name is gone and the object has our digest. A broken download goes on where it broke.
 *
 * Lasts: OK means that the replicas the cluster's minimum asks for have the bytes and that the
 * edit log is on disk. DataNodes write blocks to disk later, unless dfs.datanode.synconclose is true.
 *
 * Errors, beside those of artifacts.h. AWAY: no NameNode active, safe mode, no DataNode, a
 * connection broke (the same call may succeed later). BUSY: all connections were in use until
 * the deadline. IO: a quota is full, no permission, an answer that no NameNode gives.
 * USAGE: a wrong option, a log-in that was refused. CORRUPT: also an object without a digest. Open
 * makes PATH, and checks that it may write and that attributes are on.
 * Owner, threads: as artifacts.h. Private to store/.
 */
#pragma once
#include "store/ops.h"

extern const struct sl_artifacts_ops sl_webhdfs_artifacts;
