/* SPDX-License-Identifier: Apache-2.0 */
#include "real.h"
#include "base/mem.h"
#include "contract.h"
#include "net/client.h"
#include <stdio.h>

static const char *kafka_with(const char *options)
{
	static char url[512];
	const char *base = sl_test_server("SIGNLOOP_TEST_KAFKA");
	snprintf(url, sizeof(url), "%s%cprefix=%s.&session_ms=3000&heartbeat_ms=100&%s", base,
		strchr(base, '?') ? '&' : '?', sl_test_unique(), options);
	return url;
}

const char *sl_test_kafka(void)
{
	return kafka_with("partitions=1");
}

const char *sl_test_kafka_parted(void)
{
	return kafka_with("partitions=4");
}

/* An HTTP DELETE of what the test has made; what stays does not hurt. */
static void drop_at(char *url)
{
	struct sl_client *c = sl_client_new(NULL);
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	(void)sl_client_call(
		c, &(struct sl_call){.method = "DELETE", .url = url, .deadline_us = sl_deadline_ms(20000)}, &r, NULL);
	sl_client_free(c);
	free(url);
}

const char *sl_test_webhdfs(void)
{
	static char url[512];
	snprintf(url, sizeof(url), "%s/%s", sl_test_server("SIGNLOOP_TEST_WEBHDFS"), sl_test_unique());
	return url;
}

void sl_test_webhdfs_drop(void)
{
	drop_at(sl_asprintf("http://%s/webhdfs/v1/%s?op=DELETE&recursive=true",
		sl_test_server("SIGNLOOP_TEST_WEBHDFS") + strlen("webhdfs://"), sl_test_unique()));
}

const char *sl_test_hbase(void)
{
	static char url[512];
	snprintf(url, sizeof(url), "%s/%s", sl_test_server("SIGNLOOP_TEST_HBASE"), sl_test_unique());
	return url;
}

void sl_test_hbase_drop(void)
{
	drop_at(sl_asprintf(
		"http://%s/%s/schema", sl_test_server("SIGNLOOP_TEST_HBASE") + strlen("hbase://"), sl_test_unique()));
}
