/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/ref/ref.h"

enum sl_status sl_ref_eval(
	const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out, struct sl_err *err)
{
	switch (n->op) {
	case SL_OP_CONV:
		sl_ref_conv(n, in, out);
		return SL_OK;
	case SL_OP_BATCHNORM:
		sl_ref_batchnorm(n, in, out);
		return SL_OK;
	case SL_OP_RELU:
	case SL_OP_LEAKYRELU:
	case SL_OP_SIGMOID:
	case SL_OP_TANH:
	case SL_OP_EXP:
	case SL_OP_SQRT:
	case SL_OP_CLIP:
	case SL_OP_HARDSWISH:
	case SL_OP_HARDSIGMOID:
		return sl_ref_unary(n, in, out);
	case SL_OP_ADD:
	case SL_OP_SUB:
	case SL_OP_MUL:
	case SL_OP_DIV:
	case SL_OP_POW:
		return sl_ref_binary(n, in, out, err);
	case SL_OP_MAXPOOL:
	case SL_OP_AVGPOOL:
		sl_ref_pool(n, in, out);
		return SL_OK;
	case SL_OP_GLOBALAVGPOOL:
	case SL_OP_REDUCEMEAN:
		sl_ref_mean(n, in, out);
		return SL_OK;
	case SL_OP_GEMM:
		sl_ref_gemm(n, in, out);
		return SL_OK;
	case SL_OP_MATMUL:
		sl_ref_matmul(n, in, out);
		return SL_OK;
	case SL_OP_SOFTMAX:
		sl_ref_softmax(n, in, out);
		return SL_OK;
	case SL_OP_RESIZE:
	case SL_OP_UPSAMPLE:
		sl_ref_resize(n, in, out);
		return SL_OK;
	default:
		return sl_ref_move(n, in, out, err);
	}
}
