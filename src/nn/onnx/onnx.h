/* SPDX-License-Identifier: Apache-2.0
 *
 * ONNX files (opset 13 to 17 read, 13 written; IR version 7 written), through
 * protobuf-c and Debian's onnx.proto. Only user of protobuf-c.
 * Parsing is not validation: what is read passes sl_graph_check() before it is
 * returned. External data, subgraphs and custom domains are UNSUPPORTED, named.
 * Owner: the caller. Thread: any.
 */
#pragma once
#include "nn/graph.h"

enum sl_status sl_onnx_read(struct sl_slice file, struct sl_graph **ret, struct sl_err *err);
enum sl_status sl_onnx_write(const struct sl_graph *g, struct sl_buf *ret, struct sl_err *err);
