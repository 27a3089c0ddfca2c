/* SPDX-License-Identifier: Apache-2.0
 *
 * A socket of 127.0.0.1 that plays a written part: an HTTP server with answers by order or by request.
 * Owner: the test. Thread: the test's; the stage has its own. Fails the test by CHECK.
 */
#pragma once
#include <pthread.h>
#include <stddef.h>

enum { STAGE_PARTS = 8, STAGE_REQUEST = 4096 };

/* The first line whose `of` is a part of the request's head or body, and that has not been said `times` times. */
struct stage_line {
	const char *of;
	const char *say; /* an answer; NULL: closes without one; "" never answers */
	int times; /* 0: always */
	int said;
};

struct stage {
	int fd, port;
	const char *part[STAGE_PARTS]; /* the answers in order, as `say`; then it closes */
	int nparts;
	struct stage_line *line; /* instead of parts; `of` NULL ends; nothing fits: 404 */
	_Atomic int asked, connections;
	char got[STAGE_PARTS][STAGE_REQUEST]; /* the first requests */
	pthread_t thread;
};

void stage_open(struct stage *s);
void stage_close(struct stage *s);
const char *stage_url(const struct stage *s, char *buf, size_t n, const char *path);
/* A 200 with the text, of the Content-Type; in buf. */
const char *stage_answer(char *buf, size_t n, const char *type, const char *text);
