/* kernels/formula/typed.h - elements of any type, read and written as double or as whole numbers: what conversions mean, on every device. */
#ifndef NS_FORMULA_TYPED_H
#define NS_FORMULA_TYPED_H

#include "kernels/formula/inline.h"
#include "kernels/tensor.h"

NS_FORMULA int ns_typed_bytes(enum ns_dtype dtype)
{
	switch (dtype) {
	case NS_F64:
	case NS_U64:
	case NS_I64:
		return 8;
	case NS_F32:
	case NS_U32:
	case NS_I32:
		return 4;
	case NS_BF16:
	case NS_F16:
	case NS_U16:
	case NS_I16:
		return 2;
	default:
		return 1;
	}
}

NS_FORMULA int ns_typed_is_float(enum ns_dtype dtype)
{
	return dtype == NS_F32 || dtype == NS_BF16 || dtype == NS_F64 || dtype == NS_F16;
}

NS_FORMULA int64_t ns_typed_get_whole(const void *p, enum ns_dtype dtype, int64_t i)
{
	switch (dtype) {
	case NS_I8:
		return ((const int8_t *)p)[i];
	case NS_U16:
		return ((const uint16_t *)p)[i];
	case NS_I16:
		return ((const int16_t *)p)[i];
	case NS_U32:
		return ((const uint32_t *)p)[i];
	case NS_I32:
		return ((const int32_t *)p)[i];
	case NS_U64:
	case NS_I64:
		return ((const int64_t *)p)[i];
	default:
		return ((const uint8_t *)p)[i];
	}
}

NS_FORMULA void ns_typed_set_whole(void *p, enum ns_dtype dtype, int64_t i, int64_t v)
{
	switch (ns_typed_bytes(dtype)) {
	case 1:
		((uint8_t *)p)[i] = dtype == NS_BOOL ? v != 0 : (uint8_t)v;
		return;
	case 2:
		((uint16_t *)p)[i] = (uint16_t)v;
		return;
	case 4:
		((uint32_t *)p)[i] = (uint32_t)v;
		return;
	default:
		((int64_t *)p)[i] = v;
	}
}

/* Truncated; NaN is 0, what is outside the type is its nearest. */
NS_FORMULA int64_t ns_typed_whole_of(double v, enum ns_dtype dtype)
{
	int bits = ns_typed_bytes(dtype) * 8, is_signed = dtype == NS_I8 || dtype == NS_I16 || dtype == NS_I32 || dtype == NS_I64;
	double low = is_signed ? -ldexp(1.0, bits - 1) : 0, high = ldexp(1.0, is_signed ? bits - 1 : bits);

	if (!(v == v) || (v <= low && !is_signed))
		return 0;
	if (v >= high)
		return bits == 64 ? (is_signed ? INT64_MAX : -1) : (int64_t)high - 1;
	return v <= low ? (bits == 64 ? INT64_MIN : (int64_t)low) : v >= 0x1p63 ? (int64_t)(uint64_t)v : (int64_t)v;
}

NS_FORMULA double ns_typed_get(const void *p, enum ns_dtype dtype, int64_t i)
{
	switch (dtype) {
	case NS_U8:
	case NS_BOOL:
		return ((const uint8_t *)p)[i];
	case NS_F32:
		return (double)((const float *)p)[i];
	case NS_BF16:
		return (double)ns_f32_of_bf16(((const uint16_t *)p)[i]);
	case NS_F16:
		return (double)ns_f32_of_f16(((const uint16_t *)p)[i]);
	case NS_F64:
		return ((const double *)p)[i];
	default:
		return dtype == NS_U64 ? (double)((const uint64_t *)p)[i] : (double)ns_typed_get_whole(p, dtype, i);
	}
}

NS_FORMULA void ns_typed_set(void *p, enum ns_dtype dtype, int64_t i, double v)
{
	switch (dtype) {
	case NS_BOOL:
		((uint8_t *)p)[i] = v != 0;
		return;
	case NS_F32:
		((float *)p)[i] = (float)v;
		return;
	case NS_BF16:
		((uint16_t *)p)[i] = ns_bf16_of_f32((float)v);
		return;
	case NS_F16:
		((uint16_t *)p)[i] = ns_f16_of_f32((float)v);
		return;
	case NS_F64:
		((double *)p)[i] = v;
		return;
	default:
		ns_typed_set_whole(p, dtype, i, ns_typed_whole_of(v, dtype));
	}
}

#endif
