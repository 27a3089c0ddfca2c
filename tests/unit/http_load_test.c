/* SPDX-License-Identifier: Apache-2.0
 *
 * Many connections at once, drain under load, event streams.
 */
#include "base/mem.h"
#include "base/thread.h"
#include "harness.h"
#include "http/internal.h"
#include "http_rig.h"
#include <stdio.h>
#include <sys/socket.h>

enum { CONNECTIONS = 64, REQUESTS = 10000 };

struct load {
	struct rig *rig;
	_Atomic int left, wrong, answered, lost;
};

static bool one_round(struct ask_conn *c, int i, struct load *l)
{
	struct ask_answer a = {0};
	char body[32], close[8];
	snprintf(body, sizeof(body), "round %d", i);
	switch (i % 3) {
	case 0:
		ask_request(c, "GET /hello", NULL, sl_slice("", 0), NULL);
		break;
	case 1:
		ask_request(c, "POST /work", "text/plain", sl_slice_str(body), NULL);
		break;
	default:
		ask_request(c, "GET /show/me?q=1", NULL, sl_slice("", 0), NULL);
	}
	bool read = ask_read(c, false, &a);
	if (read) {
		l->answered++;
		l->wrong += a.code != 200 || (i % 3 == 1 && strcmp((char *)a.body.ptr, body) != 0);
	} else {
		l->lost++;
	}
	bool go_on = read && !ask_header(&a, "Connection", close, sizeof(close));
	ask_done(&a);
	return go_on;
}

static void *load_main(void *arg)
{
	struct load *l = arg;
	struct ask_conn c = ask_open(l->rig->port);
	for (int i; (i = l->left--) > 0;)
		if (!one_round(&c, i, l))
			break;
	ask_close(&c);
	return NULL;
}

static void run_load(struct load *l, pthread_t t[CONNECTIONS])
{
	for (int i = 0; i < CONNECTIONS; i++)
		t[i] = sl_thread_start("load", load_main, l);
}

static void join_load(pthread_t t[CONNECTIONS])
{
	for (int i = 0; i < CONNECTIONS; i++)
		pthread_join(t[i], NULL);
}

static void ten_thousand(const char *threads)
{
	struct rig g;
	pthread_t t[CONNECTIONS];
	rig_open(&g, (const char *const[]){threads, NULL});
	struct load l = {.rig = &g, .left = REQUESTS};
	run_load(&l, t);
	join_load(t);
	CHECK_EQ(l.answered, REQUESTS);
	CHECK_EQ(l.wrong, 0);
	CHECK_EQ(l.lost, 0);
	rig_close(&g);
}

TEST(http_load, ten_thousand_requests_one_event_thread)
{
	ten_thousand("http.threads=1");
}

TEST(http_load, ten_thousand_requests_three_event_threads)
{
	ten_thousand("http.threads=3");
}

static void drain_loses_nothing(const char *threads)
{
	struct rig g;
	pthread_t t[CONNECTIONS];
	rig_open(&g, (const char *const[]){threads, NULL});
	struct load l = {.rig = &g, .left = 1 << 30}; /* ends by the drain alone */
	run_load(&l, t);
	while (l.answered < 2000)
		sched_yield();
	rig_close(&g);
	join_load(t);
	CHECK_EQ(l.wrong, 0);
	CHECK_EQ(l.lost, 0);
}

TEST(http_load, drain_under_load_loses_no_request)
{
	drain_loses_nothing("http.threads=1");
}

TEST(http_load, drain_under_load_loses_no_request_with_three_event_threads)
{
	drain_loses_nothing("http.threads=3");
}

/* A connection for each request, until one is refused. */
static void *newcomer_main(void *arg)
{
	struct load *l = arg;
	struct ask_conn c;
	while (ask_try_open(l->rig->port, &c)) {
		struct ask_answer a = {0};
		ask_request(&c, "POST /work", "text/plain", sl_slice_str("new"), NULL);
		if (!ask_read(&c, false, &a))
			l->lost++;
		else
			l->answered += a.code == 200;
		ask_done(&a);
		ask_close(&c);
	}
	return NULL;
}

TEST(http_load, drain_serves_every_connection_that_was_made)
{
	for (int round = 0; round < 5; round++) {
		struct rig g;
		pthread_t t[16];
		rig_open(&g, (const char *const[]){round % 2 ? "http.threads=2" : "http.threads=1", NULL});
		struct load l = {.rig = &g};
		for (size_t i = 0; i < SL_COUNT(t); i++)
			t[i] = sl_thread_start("new", newcomer_main, &l);
		while (l.answered < 500)
			sched_yield();
		rig_close(&g);
		for (size_t i = 0; i < SL_COUNT(t); i++)
			pthread_join(t[i], NULL);
		CHECK_EQ(l.lost, 0);
	}
}

static void *drain_main(void *arg)
{
	struct rig *g = arg;
	rig_close(g);
	return NULL;
}

/* More connections than there is room for: those that wait in the kernel's queue are served as room comes. */
static void drain_with_more_than_room(const char *threads)
{
	enum { ROOM = 3, ALL = 9 };
	struct rig g;
	struct ask_conn c[ALL];
	rig_open(&g, (const char *const[]){"http.connections=3", threads, NULL});
	for (int i = 0; i < ALL; i++) {
		c[i] = ask_open(g.port);
		ask_request(&c[i], "GET /gate", NULL, sl_slice("", 0), NULL);
		if (i == ROOM - 1)
			rig_wait_waiting(&g, ROOM);
	}
	pthread_t t = sl_thread_start("drain", drain_main, &g);
	while (!g.server->draining)
		sched_yield();
	rig_open_gate(&g);
	for (int i = 0; i < ALL; i++) {
		struct ask_answer a = {0};
		CHECK(ask_read(&c[i], false, &a));
		CHECK_EQ(a.code, 200);
		ask_done(&a);
		ask_close(&c[i]);
	}
	pthread_join(t, NULL);
}

TEST(http_load, drain_serves_those_that_wait_for_room)
{
	drain_with_more_than_room("http.threads=1");
	drain_with_more_than_room("http.threads=3");
}

/* Nobody of them leaves, so there is nothing to wait for. */
TEST(http_load, drain_ends_with_idle_connections_and_one_that_waits)
{
	enum { ROOM = 3, TEN_MINUTES = 600000 };
	struct rig g;
	struct ask_conn c[ROOM + 1];
	struct ask_answer a = {0};
	rig_open(&g, (const char *const[]){"http.connections=3", NULL});
	for (int i = 0; i <= ROOM; i++) {
		c[i] = ask_open(g.port);
		ask_request(&c[i], "GET /hello", NULL, sl_slice("", 0), NULL);
		if (i < ROOM)
			CHECK(ask_read(&c[i], false, &a));
	}
	CHECK_STATUS(
		sl_server_drain(g.server, sl_deadline_ms(TEN_MINUTES)), SL_OK); /* the test's own limit is shorter */
	CHECK(!ask_read(&c[ROOM], false, &a));
	for (int i = 0; i <= ROOM; i++)
		ask_close(&c[i]);
	ask_done(&a);
	rig_close(&g);
}

TEST(http_load, drain_waits_for_running_requests)
{
	struct rig g;
	struct ask_answer a = {0};
	rig_open(&g, NULL);
	struct ask_conn busy = ask_open(g.port), late = ask_open(g.port);
	ask_request(&busy, "GET /gate", NULL, sl_slice("", 0), NULL);
	ask_request(&late, "GET /later", NULL, sl_slice("", 0), NULL);
	rig_wait_waiting(&g, 1);
	struct sl_request *r = rig_wait_kept(&g);
	pthread_t t = sl_thread_start("drain", drain_main, &g);
	rig_open_gate(&g);
	CHECK(ask_read(&busy, false, &a));
	CHECK_EQ(a.code, 200);
	sl_answer_json(r, 200, json_object());
	CHECK(ask_read(&late, false, &a));
	CHECK_EQ(a.code, 200);
	pthread_join(t, NULL);
	CHECK(!ask_read(&late, false, &a)); /* closed */
	ask_done(&a);
	ask_close(&busy);
	ask_close(&late);
}

TEST(http_load, drain_that_must_cut_answers_503)
{
	struct rig g;
	struct ask_answer a = {0};
	rig_open(&g, NULL);
	struct ask_conn c = ask_open(g.port);
	ask_request(&c, "GET /later", NULL, sl_slice("", 0), NULL);
	struct sl_request *r = rig_wait_kept(&g);
	CHECK_STATUS(sl_server_drain(g.server, sl_mono_us()), SL_TIMEOUT);
	CHECK(ask_read(&c, false, &a));
	rig_check_error(&a, 503, "CLOSED");
	sl_answer_json(r, 200, json_object()); /* too late, and harmless */
	ask_done(&a);
	ask_close(&c);
	rig_close(&g);
}

TEST(http_load, stream_carries_events_and_ends)
{
	struct rig g;
	rig_open(&g, NULL);
	struct ask_conn c = ask_open(g.port);
	ask_request(&c, "GET /events", NULL, sl_slice("", 0), NULL);
	struct sl_stream *s = rig_wait_stream(&g);
	CHECK(ask_wait_text(&c, "text/event-stream"));
	CHECK(ask_wait_text(&c, "retry: 2000\n\n"));
	for (int i = 0; i < 500; i++) {
		char text[64], want[96];
		snprintf(text, sizeof(text), "{\"i\":%d}", i);
		snprintf(want, sizeof(want), "event: tick\ndata: %s\n\n", text);
		CHECK(sl_stream_send(s, "tick", sl_slice_str(text)));
		CHECK(ask_wait_text(&c, want));
	}
	CHECK(sl_stream_send(s, NULL, sl_slice_str("two\nlines")));
	CHECK(ask_wait_text(&c, "data: two\ndata: lines\n\n"));
	sl_stream_end(s);
	CHECK(ask_wait_text(&c, "0\r\n\r\n"));
	ask_close(&c);
	rig_close(&g);
}

TEST(http_load, slow_listener_loses_the_oldest_and_holds_up_nobody)
{
	struct rig g;
	rig_open(&g, NULL);
	struct ask_conn c = ask_open(g.port);
	ask_request(&c, "GET /events", NULL, sl_slice("", 0), NULL);
	struct sl_stream *s = rig_wait_stream(&g);
	char *big = sl_zalloc(20000);
	memset(big, 'x', 20000);
	for (int i = 0; i < 2000; i++) { /* 40 MB to one who does not read */
		snprintf(big, 20, "number %d.", i);
		big[strlen(big)] = 'x';
		CHECK(sl_stream_send(s, "e", sl_slice(big, 20000)));
		if (i == 0)
			CHECK(ask_wait_text(&c, "number 0."));
	}
	CHECK(ask_wait_text(&c, "number 1999."));
	free(big);
	sl_stream_end(s);
	ask_close(&c);
	rig_close(&g);
}

TEST(http_load, gone_listener_is_noticed_and_drain_ends_streams)
{
	struct rig g;
	rig_open(&g, NULL);
	struct ask_conn c = ask_open(g.port), d = ask_open(g.port);
	ask_request(&c, "GET /events", NULL, sl_slice("", 0), NULL);
	struct sl_stream *s = rig_wait_stream(&g);
	ask_close(&c);
	while (sl_stream_send(s, "e", sl_slice_str("are you there?")))
		sched_yield();
	sl_stream_end(s);
	ask_request(&d, "GET /events", NULL, sl_slice("", 0), NULL);
	s = rig_wait_stream(&g);
	CHECK_STATUS(sl_server_drain(g.server, sl_deadline_ms(20000)), SL_OK);
	CHECK(!sl_stream_send(s, "e", sl_slice_str("too late")));
	sl_stream_end(s);
	CHECK(ask_wait_text(&d, "0\r\n\r\n"));
	ask_close(&d);
	rig_close(&g);
}
