/* SPDX-License-Identifier: Apache-2.0
 *
 * ONNX files (opset 13 to 17 read, 13 written; IR version 7 written), through
 * protobuf-c and Debian's onnx.proto. Only user of protobuf-c.
 *
 * Parsing is not validation: what is read passes sl_graph_check() before it is
 * returned. Read: initializers and Constant nodes of float, double, float16, bfloat16
 * (all become f32), int64, int32, int8, uint8 and bool (all become int64), as raw_data
 * or typed lists. External data, sparse tensors, subgraphs, functions, custom domains
 * and operators outside SL_OP_MAP are UNSUPPORTED and named; broken files are INVALID.
 * Written: HardSwish as HardSigmoid and Mul, Upsample as Resize (neither is in opset 13).
 *
 * Owner: the caller. Thread: any.
 */
#pragma once
#include "nn/graph.h"

enum {
	SL_ONNX_BYTES = 1 << 29, /* largest file; TOO_LARGE beyond */
	SL_ONNX_DEPTH = 16, /* messages in messages; a net without subgraphs needs 7 */
	SL_ONNX_OPSET_MIN = 13,
	SL_ONNX_OPSET_MAX = 17,
};

enum sl_status sl_onnx_read(struct sl_slice file, struct sl_graph **ret, struct sl_err *err);
enum sl_status sl_onnx_write(const struct sl_graph *g, struct sl_buf *ret, struct sl_err *err); /* appended */
