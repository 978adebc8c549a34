/*
 * Pieces of the transform (M (x) S) that work on a vector in shared memory, for the kernels that do nothing else and for
 * those that fuse it. All threads of the block call them together.
 */
#ifndef GOSSET_TRANSFORM_H
#define GOSSET_TRANSFORM_H

#include "kernels.h"

namespace gosset {

/* One float in 33 is a gap, so that threads that are 8 or 32 elements apart meet different banks. */
GOSSET_DEVICE int padded(int i) { return i + (i >> 5); }
inline int64_t padded_bytes(int64_t n) { return 4 * (n + n / 32 + 1); }

template <int radix>
GOSSET_DEVICE void butterfly(float (&v)[radix]) {
#pragma unroll
    for (int h = 1; h < radix; h *= 2) {
#pragma unroll
        for (int i = 0; i < radix; i++) {
            if ((i & h) == 0) {
                float a = v[i], b = v[i + h];
                v[i] = a + b;
                v[i + h] = a - b;
            }
        }
    }
}

template <int radix>
GOSSET_DEVICE void sylvester_pass(float *s, int n, int h) {
    for (int w = threadIdx.x; w < n / radix; w += blockDim.x) {
        /* h is a power of two. */
        int base = (w & ~(h - 1)) * radix + (w & (h - 1));
        float v[radix];
#pragma unroll
        for (int j = 0; j < radix; j++) {
            v[j] = s[padded(base + j * h)];
        }
        butterfly(v);
#pragma unroll
        for (int j = 0; j < radix; j++) {
            s[padded(base + j * h)] = v[j];
        }
    }
    __syncthreads();
}

/*
 * Each of the n / p rows of p elements in s (padded) is multiplied by the Sylvester matrix, from step `from` on. s must
 * be complete (a barrier behind it); it is complete afterwards.
 */
GOSSET_DEVICE void sylvester(float *s, int n, int p) {
    int h = 1;
    for (; h * 8 <= p; h *= 8) {
        sylvester_pass<8>(s, n, h);
    }
    if (p / h == 4) {
        sylvester_pass<4>(s, n, h);
    } else if (p / h == 2) {
        sylvester_pass<2>(s, n, h);
    }
}

/*
 * small_product for a matrix of +-1 whose order is a multiple of 4, as QuIP#'s all are: 16 entries by four reads of four
 * bytes. Four outputs; sum is zero beforehand.
 */
template <int outputs, class Reader>
GOSSET_DEVICE void small_product_by_words(const SmallMatrix &small, bool transpose, int i0, Reader in,
                                          float (&sum)[outputs]) {
    int k = small.k;
    const uint32_t *words = static_cast<const uint32_t *>(small.data);
    int row = k / 4;
    for (int r = 0; r < k; r += 4) {
        uint32_t word[4];
        unsigned v[4];
#pragma unroll
        for (int j = 0; j < 4; j++) {
            /* Transposed: row r + j, columns i0 to i0 + 3; else row i0 + j, columns r to r + 3. */
            word[j] = transpose ? words[(r + j) * row + i0 / 4] : words[(i0 + j) * row + r / 4];
            v[j] = __float_as_uint(in(r + j));
        }
#pragma unroll
        for (int j = 0; j < 4; j++) {
#pragma unroll
            for (int o = 0; o < outputs; o++) {
                /* The top bit of an int8 -1 flips the sign of v. */
                uint32_t sign = transpose ? word[j] << (24 - 8 * (o % 4)) : word[o % 4] << (24 - 8 * j);
                sum[o] += __uint_as_float(v[j] ^ (sign & 0x80000000u));
            }
        }
    }
}

/*
 * sum[o] = row i0 + o of M, or of M^T, times column j of the k x p array `in`: Outputs of them, so that an element is
 * read once for all. Reader gives element (row, j). Rows beyond k - 1 are computed as the last one.
 */
template <int outputs, class Reader>
GOSSET_DEVICE void small_product(const SmallMatrix &small, bool transpose, int i0, Reader in, float (&sum)[outputs]) {
    int k = small.k;
#pragma unroll
    for (int o = 0; o < outputs; o++) {
        sum[o] = 0;
    }
    if (small.kind == 0) {
        sum[0] = in(0);
    } else if (small.kind == 1) {
        if (outputs == 4 && k % 4 == 0) {
            small_product_by_words(small, transpose, i0, in, sum);
            return;
        }
        const signed char *matrix = static_cast<const signed char *>(small.data);
        const signed char *row[outputs];
#pragma unroll
        for (int o = 0; o < outputs; o++) {
            int i = i0 + o < k ? i0 + o : k - 1;
            row[o] = matrix + (transpose ? i : static_cast<int64_t>(i) * k);
        }
        int step = transpose ? k : 1;
        for (int r = 0, at = 0; r < k; r++, at += step) {
            unsigned v = __float_as_uint(in(r));
#pragma unroll
            for (int o = 0; o < outputs; o++) {
                /* The sign bit of an int8 -1 flips the sign of v. */
                sum[o] += __uint_as_float(v ^ (static_cast<unsigned>(static_cast<int>(row[o][at])) & 0x80000000u));
            }
        }
    } else {
        const float *cas = static_cast<const float *>(small.data);
        int at[outputs], step[outputs];
#pragma unroll
        for (int o = 0; o < outputs; o++) {
            step[o] = i0 + o < k ? i0 + o : k - 1;
            at[o] = 0;
        }
        for (int r = 0; r < k; r++) {
            float v = in(r);
#pragma unroll
            for (int o = 0; o < outputs; o++) {
                sum[o] += cas[at[o]] * v;
                at[o] += step[o];
                at[o] -= at[o] >= k ? k : 0;
            }
        }
    }
}

/*
 * The small matrix on a k x p array: from a (padded, complete) to b, complete; a itself where k is 1. The result's place
 * is returned.
 */
GOSSET_DEVICE float *small_block(float *a, float *b, int p, const SmallMatrix &small, bool transpose) {
    if (small.k == 1) {
        return a;
    }
    constexpr int kOutputs = 4;
    int slices = (small.k + kOutputs - 1) / kOutputs;
    for (int w = threadIdx.x; w < slices * p; w += blockDim.x) {
        int i0 = w / p * kOutputs, j = w % p;
        float sum[kOutputs];
        small_product(small, transpose, i0, [=](int r) { return a[padded(r * p + j)]; }, sum);
#pragma unroll
        for (int o = 0; o < kOutputs; o++) {
            if (i0 + o < small.k) {
                b[padded((i0 + o) * p + j)] = sum[o];
            }
        }
    }
    __syncthreads();
    return b;
}

/*
 * The whole unscaled transform of the n elements in a (padded, complete). The result is in the returned one of a and b,
 * complete; b is needed where small.k > 1.
 */
GOSSET_DEVICE float *transform_block(float *a, float *b, int n, const SmallMatrix &small, bool transpose) {
    int p = n / small.k;
    sylvester(a, n, p);
    return small_block(a, b, p, small, transpose);
}

}  // namespace gosset

#endif
