/* SPDX-License-Identifier: Apache-2.0
 *
 * Crop keys: "PPPP-FFFFFFFFFFFFFFFFFFFFFFFF-XxYxWxH". F: the first 24 hex digits of the
 * SHA-256 of the frame's bytes; X,Y,W,H: the box in whole pixels; P: the first 4 hex
 * digits of the SHA-256 of the rest, so that keys spread evenly over regions and shards.
 * The same frame gives the same keys. Characters: 0-9 a-f x and '-': safe in a URL, a
 * row key, a file name and a WebDataset member.
 * Thread: any.
 */
#pragma once
#include "base/status.h"
#include <stdint.h>

enum { SL_KEY = 64, SL_FRAME_ID = 25 };

void sl_key_make(char ret[SL_KEY], const char *frame_sha256_hex, int x, int y, int w, int h);
bool sl_key_is_valid(const char *key); /* form and prefix */
/* The frame's 24 digits and the box; false when not valid. */
bool sl_key_parse(const char *key, char ret_frame[SL_FRAME_ID], int ret_box[4]);
