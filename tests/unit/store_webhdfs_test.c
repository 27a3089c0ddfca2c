/* SPDX-License-Identifier: Apache-2.0
 *
 * The WebHDFS backend against servers that answer as no good one does: a put is never said to be
 * done without bytes, and a broken answer never is an empty one. The rest is in tests/contract and tests/servers.
 */
#include "base/mem.h"
#include "core/settings.h"
#include "harness.h"
#include "net/client.h"
#include "stage.h"
#include "store/artifacts.h"
#include <stdio.h>

#define HEAD(code, type, len) "HTTP/1.1 " code "\r\nContent-Type: " type "\r\nContent-Length: " #len "\r\n\r\n"
#define JSON "application/json"
#define YES HEAD("200 OK", JSON, 16) "{\"boolean\":true}"
#define NOTHING HEAD("200 OK", "application/octet-stream", 0)
#define PAGE HEAD("200 OK", "text/html", 12) "<html>hi</ht"
#define ABSENT \
	HEAD("404 Not Found", JSON, 74) \
	"{\"RemoteException\":{\"exception\":\"FileNotFoundException\",\"message\":\"gone\"}}"
#define STANDBY \
	HEAD("403 Forbidden", JSON, 72) \
	"{\"RemoteException\":{\"exception\":\"StandbyException\",\"message\":\"standby\"}}"

enum { TEXT = 1024 };

struct play {
	struct stage name, data;
	struct stage_line own[8]; /* of the test: before those of a good NameNode */
	struct stage_line line[24], bytes[2];
	char place[TEXT], folder[TEXT], list[TEXT], file[TEXT], sum[TEXT];
	char url[256];
	struct sl_config *cfg;
	struct sl_artifacts *a;
};

static void add(struct play *p, int *n, const char *of, const char *say)
{
	SL_ASSERT(*n < (int)SL_COUNT(p->line) - 1);
	p->line[(*n)++] = (struct stage_line){of, say, 0, 0};
}

/* Opens a store at a server that is good but for what `own` says (after opening). */
static void play_open(struct play *p, const char *answer_of_data)
{
	char text[TEXT / 2];
	int n = 0;

	p->bytes[0] = (struct stage_line){"PUT ", answer_of_data, 0, 0};
	p->data.line = p->bytes;
	stage_open(&p->data);
	snprintf(text, sizeof(text), "{\"Location\":\"http://127.0.0.1:%d/webhdfs/v1/x\"}", p->data.port);
	stage_answer(p->place, TEXT, JSON, text);
	stage_answer(p->folder, TEXT, JSON,
		"{\"FileStatus\":{\"type\":\"DIRECTORY\",\"length\":0,\"modificationTime\":200000000,\"fileId\":1}}");
	stage_answer(p->file, TEXT, JSON,
		"{\"FileStatus\":{\"type\":\"FILE\",\"length\":3,\"modificationTime\":5,\"fileId\":2}}");
	stage_answer(p->list, TEXT, JSON,
		"{\"DirectoryListing\":{\"partialListing\":{\"FileStatuses\":{\"FileStatus\":[]}},\"remainingEntries\":0}}");
	for (int i = 0; i < (int)SL_COUNT(p->own) && p->own[i].of; i++)
		p->line[n++] = p->own[i];
	add(p, &n, "op=MKDIRS", YES);
	add(p, &n, "op=DELETE", YES);
	add(p, &n, "op=CHECKACCESS", NOTHING);
	add(p, &n, "op=SETXATTR", NOTHING);
	add(p, &n, "op=RENAME", NOTHING);
	add(p, &n, "op=CREATE", p->place);
	add(p, &n, "op=LISTSTATUS_BATCH", p->list);
	add(p, &n, "/.tmp?op=GETFILESTATUS", p->folder);
	add(p, &n, "/.tmp/put-", p->file);
	add(p, &n, "op=GETFILESTATUS", ABSENT);
	p->name.line = p->line;
	stage_open(&p->name);
	p->cfg = sl_settings_new();
	snprintf(p->url, sizeof(p->url), "webhdfs://127.0.0.1:%d/root?tries=2&timeout_ms=20000", p->name.port);
	struct sl_err err;
	CHECK_OK(sl_artifacts_open(p->url, p->cfg, &p->a, &err));
}

static void play_close(struct play *p)
{
	sl_artifacts_close(p->a);
	sl_config_free(p->cfg);
	stage_close(&p->name);
	stage_close(&p->data);
}

static int said(const struct play *p, const char *of)
{
	for (const struct stage_line *l = p->line; l->of; l++)
		if (!strcmp(l->of, of))
			return l->said;
	return -1;
}

static enum sl_status put(const struct play *p, struct sl_err *err)
{
	return sl_artifacts_put(p->a, "a/b", sl_slice_str("abc"), err);
}

#define CREATED "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"

TEST(store_webhdfs, a_put_is_done_when_the_bytes_are_there)
{
	struct play p = {0};
	struct sl_err err = {0};

	play_open(&p, CREATED);
	CHECK_OK(put(&p, &err));
	CHECK_EQ(said(&p, "op=RENAME"), 1);
	CHECK_EQ(p.data.asked, 1);
	CHECK(strstr(p.data.got[0], "\r\n\r\nabc"));
	play_close(&p);
}

TEST(store_webhdfs, a_create_that_names_no_place_stores_nothing)
{
	static const char *const answer[] = {NOTHING, CREATED, PAGE, YES};

	for (size_t i = 0; i < SL_COUNT(answer); i++) {
		struct play p = {.own = {{"op=CREATE", answer[i], 0, 0}}};
		struct sl_err err = {0};

		play_open(&p, CREATED);
		CHECK_STATUS(put(&p, &err), SL_IO);
		CHECK(strstr(err.text, "no place"));
		CHECK_EQ(said(&p, "op=RENAME"), 0);
		CHECK_EQ(p.data.asked, 0);
		play_close(&p);
	}
}

TEST(store_webhdfs, bytes_that_are_not_there_are_not_published)
{
	struct play p = {0};
	struct sl_err err = {0};

	play_open(&p, CREATED);
	stage_answer(p.file, TEXT, JSON,
		"{\"FileStatus\":{\"type\":\"FILE\",\"length\":0,\"modificationTime\":5,\"fileId\":2}}");
	CHECK_STATUS(put(&p, &err), SL_IO);
	CHECK(strstr(err.text, "3 bytes were sent"));
	CHECK_EQ(said(&p, "op=RENAME"), 0);
	play_close(&p);
}

TEST(store_webhdfs, a_page_is_no_answer)
{
	static const char *const op[] = {"op=RENAME", "op=GETFILESTATUS", "op=LISTSTATUS_BATCH"};
	struct sl_artifact_list l;

	for (size_t i = 0; i < SL_COUNT(op); i++) {
		struct play p = {.own = {{op[i], PAGE, 0, 0}}};
		struct sl_err err = {0};

		play_open(&p, CREATED);
		CHECK_STATUS(i < 2 ? put(&p, &err) : sl_artifacts_list(p.a, "", &l, &err), SL_IO);
		play_close(&p);
	}
}

TEST(store_webhdfs, a_list_is_whole_and_goes_on_or_is_none)
{
	static const struct {
		const char *list, *text;
	} wrong[] = {
		{"{}", "no FileStatus"},
		{"{\"DirectoryListing\":{\"remainingEntries\":0}}", "no FileStatus"},
		{"{\"DirectoryListing\":{\"partialListing\":{\"FileStatuses\":{\"FileStatus\":[]}},\"remainingEntries\":1}}",
			"more follows"},
		{"{\"DirectoryListing\":{\"partialListing\":{\"FileStatuses\":{\"FileStatus\":[{\"pathSuffix\":\"a\","
		 "\"type\":\"FILE\",\"length\":1,\"modificationTime\":1}]}},\"remainingEntries\":1}}",
			"does not go on"},
		{"{\"DirectoryListing\":{\"partialListing\":{\"FileStatuses\":{\"FileStatus\":[{\"pathSuffix\":\"a\","
		 "\"type\":\"FILE\",\"length\":-1,\"modificationTime\":1}]}},\"remainingEntries\":0}}",
			"negative"},
	};
	struct play p = {0};
	struct sl_artifact_list l;
	struct sl_err err = {0};

	play_open(&p, CREATED);
	for (size_t i = 0; i < SL_COUNT(wrong); i++) {
		stage_answer(p.list, TEXT, JSON, wrong[i].list);
		CHECK_STATUS(sl_artifacts_list(p.a, "", &l, &err), SL_IO);
		CHECK(strstr(err.text, wrong[i].text));
	}
	stage_answer(p.list, TEXT, JSON,
		"{\"DirectoryListing\":{\"partialListing\":{\"FileStatuses\":{\"FileStatus\":["
		"{\"pathSuffix\":\"a b\",\"type\":\"FILE\",\"length\":1,\"modificationTime\":1},"
		"{\"pathSuffix\":\"good\",\"type\":\"FILE\",\"length\":1,\"modificationTime\":1},"
		"{\"pathSuffix\":\"x.sha256\",\"type\":\"FILE\",\"length\":1,\"modificationTime\":1}"
		"]}},\"remainingEntries\":0}}");
	CHECK_OK(sl_artifacts_list(p.a, "", &l, &err));
	CHECK_EQ(l.n, 1); /* the others have names that no object can have */
	CHECK_STR(l.path[0], "good");
	sl_artifact_list_done(&l);
	play_close(&p);
}

TEST(store_webhdfs, what_the_active_said_is_told_and_not_that_another_is_standby)
{
	struct play p = {0};
	struct sl_artifact_list l;
	struct sl_err err = {0};
	struct stage_line only[] = {{"op=", STANDBY, 0, 0}, {0}};
	struct stage standby = {.line = only};

	stage_open(&standby);
	play_open(&p, CREATED);
	sl_artifacts_close(p.a);
	snprintf(p.url, sizeof(p.url), "webhdfs://127.0.0.1:%d,127.0.0.1:%d/root?tries=1&timeout_ms=20000",
		standby.port, p.name.port);
	CHECK_OK(sl_artifacts_open(p.url, p.cfg, &p.a, &err));
	int before = standby.asked;
	CHECK_EQ(before, 1); /* and never again: the other one is the active */
	snprintf(p.list, TEXT, "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
	CHECK_STATUS(sl_artifacts_list(p.a, "", &l, &err), SL_AWAY);
	CHECK(strstr(err.text, "HTTP 500"));
	CHECK_EQ(standby.asked, 2);
	stage_answer(p.list, TEXT, JSON,
		"{\"DirectoryListing\":{\"partialListing\":{\"FileStatuses\":{\"FileStatus\":[]}},\"remainingEntries\":0}}");
	CHECK_OK(sl_artifacts_list(p.a, "", &l, &err)); /* still first: that failure made no other one the active */
	CHECK_EQ(standby.asked, 2);
	play_close(&p);
	stage_close(&standby);
}

TEST(store_webhdfs, a_temporary_is_a_day_old_by_the_clock_of_the_server)
{
	char list[TEXT];
	struct play p = {
		.own = {{"op=LISTSTATUS_BATCH", list, 0, 0}, {"DELETE /webhdfs/v1/root/.tmp/put-old?", YES, 0, 0},
			{"DELETE /webhdfs/v1/root/.tmp/put-new?", YES, 0, 0}}};

	stage_answer(list, TEXT, JSON,
		"{\"DirectoryListing\":{\"partialListing\":{\"FileStatuses\":{\"FileStatus\":["
		"{\"pathSuffix\":\"put-new\",\"type\":\"FILE\",\"length\":1,\"modificationTime\":199000000},"
		"{\"pathSuffix\":\"put-old\",\"type\":\"FILE\",\"length\":1,\"modificationTime\":100000000}"
		"]}},\"remainingEntries\":0}}");
	play_open(&p, CREATED); /* its folder's time is 200000000 ms */
	CHECK_EQ(said(&p, p.own[1].of), 1);
	CHECK_EQ(said(&p, p.own[2].of), 0);
	play_close(&p);
}

TEST(store_webhdfs, a_missing_digest_is_corrupt_whatever_the_exception)
{
	static const char *const answer[] = {
		HEAD("403 Forbidden", JSON,
			114) "{\"RemoteException\":{\"exception\":\"IOException\",\"message\":\"At least one of the attributes provided was not found.\"}}",
		HEAD("403 Forbidden", JSON,
			71) "{\"RemoteException\":{\"exception\":\"XAttrNotFoundException\",\"message\":\"\"}}",
	};

	for (size_t i = 0; i < SL_COUNT(answer); i++) {
		struct play p = {.own = {{"/a/b?op=GETFILESTATUS", NULL, 0, 0}, {"op=GETXATTRS", answer[i], 0, 0}}};
		SL_AUTO(sl_buf_done) struct sl_buf got = {0};
		struct sl_err err = {0};

		p.own[0].say = p.file;
		play_open(&p, CREATED);
		CHECK_STATUS(sl_artifacts_get(p.a, "a/b", &got, &err), SL_CORRUPT);
		play_close(&p);
	}
}
