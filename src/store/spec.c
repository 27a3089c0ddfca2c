/* SPDX-License-Identifier: Apache-2.0 */
#include "store/spec.h"
#include "base/config.h"
#include "base/mem.h"

static const struct sl_url_spec embedded_log[] = {
	{"partitions", "1 to 64", "1", "of a topic that is made; topics that are there keep theirs"},
	{0},
};

static const struct sl_url_spec kafka[] = {
	{"prefix", "text", "", "before the name of every topic and group, for several installations on one cluster"},
	{"partitions", "1 to 1024", "4", "of topics that are made; topics that are there keep theirs"},
	{"replication", "-1, 1 to 32", "-1", "of topics that are made; -1: what the broker says"},
	{"min_insync", "0 to 32", "0",
		"replicas that must have a message before it is answered; 0: what the broker says"},
	{"retention_ms", "-1 or more", "-1",
		"of topics that are made; -1: for ever, so that fsck and new groups can read everything"},
	{"connect_ms", "100 to 600000", "5000", "ms that opening waits for a broker"},
	{"security", "plaintext, ssl, sasl_plaintext, sasl_ssl", "plaintext", "how brokers are spoken to"},
	{"ca", "file", "", "PEM: who signs the brokers; absent: the system's authorities"},
	{"cert", "file", "", "PEM: who we are; with key"},
	{"key", "file", "", "PEM: key of cert"},
	{"key_password", "text", "", "of key"},
	{"verify_host", "https, none", "https", "https: the broker's certificate must name its host"},
	{"mechanism", "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, GSSAPI, OAUTHBEARER", "", "of SASL"},
	{"user", "text", "", "of SASL; also USER:PASSWORD@ before the hosts"},
	{"password", "text", "", "of SASL"},
	{"client_id", "text", "signloop", "what the brokers' logs and quotas call us"},
	{"compression", "none, gzip, snappy, lz4, zstd", "none", "of requests"},
	{"linger_ms", "0 to 1000", "0", "ms that a message may wait for others to share its request"},
	{"batch_bytes", "1000 to 16000000", "1000000", "of one request"},
	{"buffer_kb", "1024 to 4194304", "131072", "KiB of messages that wait to be sent; more get BUSY"},
	{"timeout_ms", "1000 to 3600000", "30000", "ms until a message that could not be delivered fails"},
	{"request_ms", "1000 to 300000", "10000", "ms of one request"},
	{"dial_ms", "1000 to 300000", "10000", "ms of one connection being made"},
	{"retries", "1 to 2147483647", "2147483647", "of one message, within timeout_ms"},
	{"retry_ms", "1 to 300000", "100", "ms between them"},
	{"backoff_ms", "1 to 3600000", "50", "ms before a connection is made again, at first"},
	{"backoff_max_ms", "1 to 3600000", "1000", "ms before a connection is made again, at most"},
	{"session_ms", "1000 to 1800000", "10000",
		"ms of silence after which a killed member's partitions go to others"},
	{"heartbeat_ms", "50 to 60000", "300", "ms until a member hears of another; below session_ms"},
	{"fetch_wait_ms", "0 to 60000", "500", "ms that a broker keeps an idle fetch"},
	{"fetch_bytes", "1000 to 100000000", "1048576", "of one partition in one fetch"},
	{"fetch_kb", "64 to 1048576", "16384", "KiB fetched ahead by one reader"},
	{"debug", "text", "", "librdkafka's contexts, such as broker,cgrp; its lines go to the log at debug"},
	{0},
};

static const struct sl_url_spec hbase[] = {
	{"connections", "1 to 256", "16", "open at once; a call waits for a free one"},
	{"timeout_ms", "100 to 600000", "10000", "ms of one call, with its repetitions"},
	{"connect_ms", "10 to 60000", "3000", "ms to connect to one gateway"},
	{"tries", "1 to 100", "6", "of one call, with growing random waits between them"},
	{"jpeg", "FAMILY:QUALIFIER", "data:jpeg", "column of the picture; data:1 for the original's readers"},
	{"make", "0 or 1", "1", "make the table when it is absent"},
	{"compression", "NONE, SNAPPY, ZSTD, LZ4, GZ", "NONE", "of a table that is made; pictures do not shrink"},
	{"ttl_s", "1 to 2147483646", "", "s after which rows end by themselves; a table that is there must have it"},
	{"tls", "0 or 1", "0", "https"},
	{"ca", "file", "", "PEM: who signs the gateways"},
	{"cert", "file", "", "PEM: who we are; with key"},
	{"key", "file", "", "PEM: key of cert"},
	{"user", "text", "", "HTTP Basic; with password"},
	{"password", "text", "", "of user"},
	{"negotiate", "0 or 1", "0", "SPNEGO with this process's Kerberos ticket"},
	{0},
};

static const struct sl_url_spec mongodb[] = {
	{"replicaSet", "text", "", "name of the set; needed wherever there is one"},
	{"srv", "0 or 1", "0", "one HOST, whose SRV records name the servers (mongodb+srv)"},
	{"directConnection", "true or false", "false", "this server alone"},
	{"appName", "text", "signloop", "what the server's logs call us"},
	{"tls", "true or false", "false", "TLS"},
	{"tlsCAFile", "file", "", "PEM: who signs the servers"},
	{"tlsCertificateKeyFile", "file", "", "PEM: certificate and key, who we are"},
	{"tlsCertificateKeyFilePassword", "text", "", "of that key"},
	{"authSource", "text", "", "database of the user"},
	{"authMechanism", "SCRAM-SHA-1, SCRAM-SHA-256, MONGODB-X509, PLAIN, GSSAPI, MONGODB-AWS", "",
		"how the user logs in"},
	{"compressors", "text", "", "such as zstd,snappy,zlib"},
	{"maxPoolSize", "1 to 1000", "64", "connections"},
	{"waitQueueTimeoutMS", "10 to 60000", "5000", "ms that a call waits for a free connection; then BUSY"},
	{"serverSelectionTimeoutMS", "100 to 60000", "3000", "ms to find a primary; then AWAY"},
	{"connectTimeoutMS", "100 to 60000", "3000", "ms to connect to one server"},
	{"socketTimeoutMS", "100 to 300000", "5000", "ms of one answer"},
	{"heartbeatFrequencyMS", "500 to 60000", "10000", "ms between looks at each server"},
	{"wtimeoutMS", "100 to 60000", "4000", "ms until a majority must have a write; then TIMEOUT"},
	{"retryWrites", "true or false", "true", "a write is sent again once after a change of primary"},
	{"retryReads", "true or false", "true", "a read likewise"},
	{"w", "majority", "majority", "no choice: stated for those who look for it"},
	{"journal", "true", "true", "no choice"},
	{"readConcernLevel", "majority", "majority", "no choice"},
	{"readPreference", "primary", "primary", "no choice"},
	{0},
};

static const struct sl_url_spec webhdfs[] = {
	{"user", "text", "", "user.name of a cluster without Kerberos; with password: HTTP Basic"},
	{"password", "text", "", "for Knox or HttpFS behind a log-in"},
	{"token", "text", "", "a delegation token (hdfs fetchdt --webservice)"},
	{"negotiate", "0 or 1", "0", "SPNEGO with this process's Kerberos ticket"},
	{"tls", "0 or 1", "0", "https, to NameNodes and DataNodes"},
	{"ca", "file", "", "PEM: who signs the servers"},
	{"cert", "file", "", "PEM: who we are; with key"},
	{"key", "file", "", "PEM: key of cert"},
	{"gateway", "path", "", "before /webhdfs/v1, such as /gateway/default of Knox"},
	{"timeout_ms", "300 to 3600000", "60000", "ms of one call; 1 s more for each MiB that it moves"},
	{"connect_ms", "100 to 600000", "3000", "ms of one connection"},
	{"tries", "1 to 100", "8", "of each step of a call, within its time"},
	{"connections", "1 to 256", "16", "at once, to NameNodes and to DataNodes each"},
	{"replication", "1 to 512", "", "of objects; absent: the cluster's"},
	{"blocksize", "1048576 to 2147483648", "", "bytes; absent: the cluster's"},
	{"permission", "three octal digits", "644", "of objects; folders get x where objects have r"},
	{"piece", "4096 to 67108864", "8388608", "bytes of one range read"},
	{0},
};

const struct sl_url_spec *sl_spec_of(const char *kind, const char *scheme)
{
	static const struct {
		const char *kind, *scheme;
		const struct sl_url_spec *spec;
	} of[] = {{"log", "mem", embedded_log}, {"log", "sqlite", embedded_log}, {"log", "kafka", kafka},
		{"crop store", "hbase", hbase}, {"review store", "mongodb", mongodb},
		{"artifact store", "webhdfs", webhdfs}};
	for (size_t i = 0; i < SL_COUNT(of); i++)
		if (!strcmp(kind, of[i].kind) && !strcmp(scheme, of[i].scheme))
			return of[i].spec;
	return NULL;
}

enum sl_status sl_spec_check(const struct sl_url_spec *spec, const struct sl_url *u, struct sl_err *err)
{
	const char *names[SL_SPEC_MAX];
	size_t n = 0;
	for (; spec && spec[n].name; n++)
		names[n] = spec[n].name;
	for (int i = 0; i < u->noption; i++) {
		const char *name = u->option[i].name, *near = sl_nearest(name, names, n);
		if (u->option[i].used || (near && !strcmp(near, name)))
			continue;
		return sl_fail(err, SL_USAGE,
			"store URL '%s': %s stores have no option '%s'%s%s%s; 'signloop help stores' lists them",
			u->text, u->scheme, name, near ? "; did you mean '" : "", near ? near : "", near ? "'" : "");
	}
	return SL_OK;
}
