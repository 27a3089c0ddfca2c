/* SPDX-License-Identifier: Apache-2.0
 *
 * The sign classes of one country: index, code, names. Parsed from taxonomy/NAME.json:
 * {"v":1,"name":"de","source":"...","classes":[{"index","code","en","ko","shape"}...]},
 * indexes 0..n-1 in order. The pictogram of a class is taxonomy/NAME/CODE.svg.
 * Owner: the caller. Thread: any may read.
 */
#pragma once
#include "base/json.h"

enum { SL_CLASSES_MAX = 1000, SL_CODE = 24, SL_NAME = 96 };

struct sl_class {
	char code[SL_CODE]; /* letters, digits, '.', '-', '_' */
	char en[SL_NAME], ko[SL_NAME];
	char shape[12]; /* circle, triangle, inverted, diamond, octagon, square */
};

struct sl_taxonomy {
	char name[SL_CODE];
	int n;
	struct sl_class *cls;
};

enum sl_status sl_taxonomy_parse(struct sl_slice json, struct sl_taxonomy **ret, struct sl_err *err);
void sl_taxonomy_free(struct sl_taxonomy *t);
/* Index of a code, or of a decimal index in range; -1 otherwise. */
int sl_taxonomy_find(const struct sl_taxonomy *t, const char *code_or_index);
