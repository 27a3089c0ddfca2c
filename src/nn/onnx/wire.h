/* SPDX-License-Identifier: Apache-2.0
 *
 * Unpacking bytes from anywhere with protobuf-c, which itself limits neither the depth
 * of messages in messages (it recurses) nor what it allocates. Inside nn/onnx.
 */
#pragma once
#include "nn/onnx/onnx.h"
#include "onnx.pb-c.h"

struct sl_wire {
	ProtobufCAllocator allocator; /* counts, and refuses beyond `room` */
	size_t used, room;
	Onnx__ModelProto *model;
};
/* INVALID or TOO_LARGE. On OK w->model is set; sl_wire_done() in any case. */
enum sl_status sl_wire_read(struct sl_wire *w, struct sl_slice file, struct sl_err *err);
void sl_wire_done(struct sl_wire *w);

/* A tensor's content. name is for the error text. */
enum sl_status sl_wire_tensor(const Onnx__TensorProto *t, const char *name, struct sl_value *ret, struct sl_err *err);
