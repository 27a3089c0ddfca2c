/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to vision's scenes: the sign faces of taxonomy/de as polygons, made at build time
 * from its SVG files by tools/embed_signs.py. Coordinates are hundredths of a face 200 wide
 * and 200 high, y down. Contours of a path turn the same way; their union is filled.
 */
#pragma once
#include <stdint.h>

#define SL_FACE_SIDE 200.0f

struct sl_face_path {
	uint8_t rgb[3];
	int point, len, contours; /* first point, first length, how many contours */
};

struct sl_face {
	const char *code;
	int path, paths;
};

extern const int16_t sl_face_points[][2];
extern const uint16_t sl_face_lens[];
extern const struct sl_face_path sl_face_paths[];
extern const struct sl_face sl_faces[]; /* in the order of the taxonomy's classes */
extern const int sl_faces_count;
