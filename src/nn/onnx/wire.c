/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/onnx/wire.h"
#include "base/mem.h"

static bool varint(struct sl_slice *s, uint64_t *ret)
{
	*ret = 0;
	for (int shift = 0; shift < 70; shift += 7) {
		uint8_t b;

		if (!s->len)
			return false;
		b = *s->ptr;
		s->ptr++;
		s->len--;
		if (shift < 64)
			*ret |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return true;
	}
	return false;
}

static const ProtobufCMessageDescriptor *message_of(const ProtobufCMessageDescriptor *d, uint64_t id)
{
	for (unsigned i = 0; i < d->n_fields; i++)
		if (d->fields[i].id == id)
			return d->fields[i].type == PROTOBUF_C_TYPE_MESSAGE ? d->fields[i].descriptor : NULL;
	return NULL;
}

/* Walks the bytes as protobuf-c will, to know that they are whole and not too deep. */
static enum sl_status scan(struct sl_slice s, const ProtobufCMessageDescriptor *d, int depth, struct sl_err *err)
{
	if (depth > SL_ONNX_DEPTH)
		return sl_fail(err, SL_INVALID, "messages more than %d deep", SL_ONNX_DEPTH);
	while (s.len) {
		const ProtobufCMessageDescriptor *inner;
		uint64_t tag, len = 0;
		bool whole = varint(&s, &tag);

		if (whole && (tag & 7) == 0)
			whole = varint(&s, &len), len = 0;
		else if (whole && (tag & 7) == 2)
			whole = varint(&s, &len);
		else if (whole && ((tag & 7) == 1 || (tag & 7) == 5))
			len = (tag & 7) == 1 ? 8 : 4;
		else
			whole = false;
		if (!whole || len > s.len)
			return sl_fail(err, SL_INVALID, "broken or truncated file");
		inner = (tag & 7) == 2 ? message_of(d, tag >> 3) : NULL;
		if (inner && scan(sl_slice(s.ptr, (size_t)len), inner, depth + 1, err) != SL_OK)
			return SL_INVALID;
		s.ptr += len;
		s.len -= (size_t)len;
	}
	return SL_OK;
}

static void *counted_alloc(void *arg, size_t size)
{
	struct sl_wire *w = arg;

	if (size > w->room - w->used)
		return NULL;
	w->used += size;
	return sl_alloc(SL_MAX(size, 1));
}

static void counted_free(void *arg, void *p)
{
	(void)arg; /* what was given back stays counted: the limit is on work, too */
	free(p);
}

enum sl_status sl_wire_read(struct sl_wire *w, struct sl_slice file, struct sl_err *err)
{
	enum sl_status st;

	*w = (struct sl_wire){.allocator = {counted_alloc, counted_free, w}};
	if (file.len > SL_ONNX_BYTES)
		return sl_fail(err, SL_TOO_LARGE, "ONNX file of %zu bytes; at most %d", file.len, (int)SL_ONNX_BYTES);
	if ((st = scan(file, &onnx__model_proto__descriptor, 1, err)) != SL_OK)
		return sl_prefix(err, st, "ONNX file");
	w->room = file.len * 8 + ((size_t)1 << 24);
	w->model = onnx__model_proto__unpack(&w->allocator, file.len, file.ptr);
	if (!w->model)
		return sl_fail(err, SL_INVALID,
			"ONNX file: not a ModelProto, or one that needs far more memory than its size");
	return SL_OK;
}

void sl_wire_done(struct sl_wire *w)
{
	if (w->model)
		onnx__model_proto__free_unpacked(w->model, &w->allocator);
	w->model = NULL;
}

static float half(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = h >> 10 & 31, frac = h & 0x3ff, bits;
	float f;

	if (exp == 0) { /* zero and subnormal: frac * 2^-24 */
		f = (float)frac * 0x1p-24f;
		return sign ? -f : f;
	}
	bits = sign | (exp == 31 ? 0xffu : exp + 112) << 23 | frac << 13;
	memcpy(&f, &bits, sizeof(f));
	return f;
}

/* Bytes of one element in raw_data; 0: a type that is not handled. */
static size_t raw_size(int type)
{
	switch (type) {
	case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT:
	case ONNX__TENSOR_PROTO__DATA_TYPE__INT32:
		return 4;
	case ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE:
	case ONNX__TENSOR_PROTO__DATA_TYPE__INT64:
		return 8;
	case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16:
	case ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16:
		return 2;
	case ONNX__TENSOR_PROTO__DATA_TYPE__INT8:
	case ONNX__TENSOR_PROTO__DATA_TYPE__UINT8:
	case ONNX__TENSOR_PROTO__DATA_TYPE__BOOL:
		return 1;
	default:
		return 0;
	}
}

static bool is_float(int type)
{
	return type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT || type == ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE ||
	       type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16 || type == ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16;
}

/* Element i as one of the two types we have; little-endian as ONNX and this machine are. */
static void element(const Onnx__TensorProto *t, int type, size_t i, float *f, int64_t *v)
{
	const uint8_t *raw = t->has_raw_data ? t->raw_data.data + i * raw_size(type) : NULL;
	uint64_t bits = 0;
	double d;

	if (raw)
		memcpy(&bits, raw, raw_size(type));
	switch (type) {
	case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT:
		if (raw)
			memcpy(f, raw, sizeof(*f));
		else
			*f = t->float_data[i];
		break;
	case ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE:
		memcpy(&d, &bits, sizeof(d));
		*f = (float)(raw ? d : t->double_data[i]);
		break;
	case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16:
		*f = half(raw ? (uint16_t)bits : (uint16_t)t->int32_data[i]);
		break;
	case ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16:
		bits = (raw ? bits : (uint16_t)t->int32_data[i]) << 16;
		memcpy(f, &bits, sizeof(*f));
		break;
	case ONNX__TENSOR_PROTO__DATA_TYPE__INT64:
		*v = raw ? (int64_t)bits : t->int64_data[i];
		break;
	case ONNX__TENSOR_PROTO__DATA_TYPE__INT8:
		*v = raw ? (int8_t)bits : t->int32_data[i];
		break;
	default:
		*v = raw ? (int64_t)(int32_t)bits : t->int32_data[i];
		break;
	}
}

static size_t elements_there(const Onnx__TensorProto *t, int type)
{
	if (t->has_raw_data)
		return t->raw_data.len % raw_size(type) ? SIZE_MAX : t->raw_data.len / raw_size(type);
	if (type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT)
		return t->n_float_data;
	if (type == ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE)
		return t->n_double_data;
	if (type == ONNX__TENSOR_PROTO__DATA_TYPE__INT64)
		return t->n_int64_data;
	return t->n_int32_data;
}

enum sl_status sl_wire_tensor(const Onnx__TensorProto *t, const char *name, struct sl_value *ret, struct sl_err *err)
{
	int type = t->has_data_type ? t->data_type : 0;
	struct sl_shape shape = {0};
	int64_t count;

	if (t->n_external_data ||
		(t->has_data_location && t->data_location != ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT))
		return sl_fail(
			err, SL_UNSUPPORTED, "tensor \"%.60s\": external data; save the model as one file", name);
	if (t->segment || !raw_size(type))
		return sl_fail(err, SL_UNSUPPORTED, "tensor \"%.60s\": data type %d or segment", name, type);
	if (t->n_dims > SL_RANK)
		return sl_fail(err, SL_UNSUPPORTED, "tensor \"%.60s\": rank %zu; at most %d", name, t->n_dims, SL_RANK);
	shape.rank = (int)t->n_dims;
	for (int i = 0; i < shape.rank; i++)
		shape.dim[i] = t->dims[i];
	count = sl_shape_count(&shape);
	if (count < 0 || (size_t)count != elements_there(t, type))
		return sl_fail(err, SL_INVALID,
			"tensor \"%.60s\": its shape needs another number of elements than it has", name);
	ret->kind = SL_VALUE_WEIGHT;
	ret->shape = shape;
	ret->dtype = is_float(type) ? SL_F32 : SL_I64;
	if (ret->dtype == SL_F32)
		ret->f32 = sl_calloc((size_t)count + 1, sizeof(float));
	else
		ret->i64 = sl_calloc((size_t)count + 1, sizeof(int64_t));
	for (int64_t i = 0; i < count; i++)
		element(t, type, (size_t)i, ret->f32 ? &ret->f32[i] : NULL, ret->i64 ? &ret->i64[i] : NULL);
	return SL_OK;
}
