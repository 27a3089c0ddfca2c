/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256 (FIPS 180-4), hexadecimal and base64 (RFC 4648), FNV-1a, random identifiers.
 * Thread: any. Only user of nettle.
 */
#pragma once
#include "base/buf.h"

enum { SL_SHA256 = 32, SL_HEX_SHA256 = 65 }; /* bytes; characters with NUL */

void sl_sha256(const void *p, size_t n, uint8_t ret[SL_SHA256]);
void sl_sha256_hex(const void *p, size_t n, char ret[SL_HEX_SHA256]);

/* The same in pieces. */
struct sl_sha256;
struct sl_sha256 *sl_sha256_new(void);
void sl_sha256_add(struct sl_sha256 *h, const void *p, size_t n);
void sl_sha256_end_hex(struct sl_sha256 *h, char ret[SL_HEX_SHA256]); /* and starts anew */
void sl_sha256_free(struct sl_sha256 *h);

uint32_t sl_fnv1a(const char *s); /* 32 bits; for tables and shares, never against malice */

bool sl_is_sha256_hex(const char *s); /* 64 lower-case hex digits, no more */

/* Appends the decoded bytes; white space is skipped, a leading "data:...;base64,"
 * is not. INVALID for anything else, TOO_LARGE at ret's cap. */
enum sl_status sl_base64_decode(struct sl_slice text, struct sl_buf *ret, struct sl_err *err);
enum sl_status sl_base64_encode(struct sl_slice bytes, struct sl_buf *ret);

void sl_random(void *p, size_t n); /* from the kernel */
void sl_random_id(char ret[33]); /* 128 random bits, 32 hex digits and NUL */
