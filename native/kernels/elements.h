/*
 * Elements of the types of gosset_cuda.h, read and written one at a time.
 */
#ifndef GOSSET_ELEMENTS_H
#define GOSSET_ELEMENTS_H

#include "platform.h"

namespace gosset {

constexpr int kF32 = 0, kF16 = 1, kF64 = 2, kBF16 = 3, kI8 = 4;

GOSSET_DEVICE float load_element(const void *x, int type, int64_t i) {
    return type == kF32 ? static_cast<const float *>(x)[i] : __half2float(static_cast<const __half *>(x)[i]);
}

/* The upper half of a float. */
GOSSET_DEVICE float from_bfloat16(unsigned bits) { return __uint_as_float(bits << 16); }

/* An element of a stored tensor: bfloat16 as well. */
GOSSET_DEVICE float load_stored(const void *x, int type, int64_t i) {
    return type == kBF16 ? from_bfloat16(static_cast<const uint16_t *>(x)[i]) : load_element(x, type, i);
}

GOSSET_DEVICE void store_element(void *x, int type, int64_t i, float v) {
    if (type == kF32) {
        static_cast<float *>(x)[i] = v;
    } else {
        static_cast<__half *>(x)[i] = __float2half_rn(v);
    }
}

}  // namespace gosset

#endif
