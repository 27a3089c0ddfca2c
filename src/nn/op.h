/* SPDX-License-Identifier: Apache-2.0
 *
 * The operators of a graph: those of ONNX opset 13 that road-sign nets are made of, with
 * HardSwish (opset 14) and Upsample (gone since opset 10) beside them. Adding one: a row
 * here; its rules in graph_check.c, shapes in node_shape.c, naive code in ref/; a case in
 * tests/unit/nn_ops_test.c and a use in tests/golden/onnx_models.py (tests demand both).
 * oneDNN's executor runs the naive code until dnnl/lower_*.c knows it, too.
 * Thread: any.
 */
#pragma once

/* clang-format off */
/* X(C name, ONNX name) */
#define SL_OP_MAP(X) \
	X(CONV, "Conv") X(BATCHNORM, "BatchNormalization") X(RELU, "Relu") X(LEAKYRELU, "LeakyRelu") \
	X(SIGMOID, "Sigmoid") X(TANH, "Tanh") X(EXP, "Exp") X(SQRT, "Sqrt") X(CLIP, "Clip") X(HARDSWISH, "HardSwish") \
	X(HARDSIGMOID, "HardSigmoid") \
	X(ADD, "Add") X(SUB, "Sub") X(MUL, "Mul") X(DIV, "Div") X(POW, "Pow") \
	X(MAXPOOL, "MaxPool") X(AVGPOOL, "AveragePool") X(GLOBALAVGPOOL, "GlobalAveragePool") \
	X(REDUCEMEAN, "ReduceMean") X(GEMM, "Gemm") X(MATMUL, "MatMul") X(SOFTMAX, "Softmax") \
	X(RESIZE, "Resize") X(UPSAMPLE, "Upsample") X(CONCAT, "Concat") X(SPLIT, "Split") X(SLICE, "Slice") \
	X(RESHAPE, "Reshape") X(FLATTEN, "Flatten") X(TRANSPOSE, "Transpose") X(SQUEEZE, "Squeeze") \
	X(UNSQUEEZE, "Unsqueeze") X(PAD, "Pad") X(IDENTITY, "Identity") X(DROPOUT, "Dropout") \
	X(CAST, "Cast") X(SHAPE, "Shape") X(GATHER, "Gather") X(CONSTANTOFSHAPE, "ConstantOfShape") \
	X(RANGE, "Range") X(EXPAND, "Expand")

enum sl_op {
#define SL_X(name, onnx) SL_OP_##name,
	SL_OP_MAP(SL_X)
#undef SL_X
	SL_OP_COUNT
};
/* clang-format on */

const char *sl_op_name(enum sl_op op); /* ONNX's */
