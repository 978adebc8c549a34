/*
 * The randomized Hadamard transform. Vectors of up to kOneBlockTransform elements whose small matrix is small are one
 * block's work and one launch. Longer ones, and small matrices that would keep one block busy for long, take two launches
 * or more through a work buffer: Sylvester on chunks that fit into shared memory, the remaining Sylvester steps in
 * place, and the small matrix by many blocks.
 */
#include "transform.h"

#include "elements.h"

namespace gosset {

namespace {

constexpr int kThreads = 512;
constexpr int kChunk = 8192;
constexpr int kOutputs = 4;

/* One vector per block. Shared memory: the vector, padded. */
__global__ void __launch_bounds__(kThreads)
    transform_kernel(const void *x, int x_type, void *out, int out_type, int n, SmallMatrix small, int transpose,
                     const float *__restrict__ pre, const float *__restrict__ post, float scale) {
    GOSSET_SHARED(float, s);
    int64_t first = static_cast<int64_t>(blockIdx.x) * n;
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        float v = load_element(x, x_type, first + i);
        s[padded(i)] = pre == nullptr ? v : v * pre[i];
    }
    __syncthreads();
    int p = n / small.k;
    sylvester(s, n, p);
    if (small.k == 1) {
        for (int i = threadIdx.x; i < n; i += blockDim.x) {
            float v = s[padded(i)] * scale;
            store_element(out, out_type, first + i, post == nullptr ? v : v * post[i]);
        }
        return;
    }
    int slices = (small.k + kOutputs - 1) / kOutputs;
    for (int w = threadIdx.x; w < slices * p; w += blockDim.x) {
        int i0 = w / p * kOutputs, j = w % p;
        float sum[kOutputs];
        small_product(small, transpose != 0, i0, [=](int r) { return s[padded(r * p + j)]; }, sum);
#pragma unroll
        for (int o = 0; o < kOutputs; o++) {
            int i = (i0 + o) * p + j;
            if (i0 + o < small.k) {
                float v = sum[o] * scale;
                store_element(out, out_type, first + i, post == nullptr ? v : v * post[i]);
            }
        }
    }
}

/* Sylvester of order p (at most kChunk) on `length` elements of one vector per block, a multiple of p; y = work. */
__global__ void __launch_bounds__(kThreads)
    transform_chunk_kernel(const void *x, int x_type, float *work, int n, int p, int length,
                           const float *__restrict__ pre) {
    GOSSET_SHARED(float, s);
    int from = static_cast<int>(blockIdx.x) * length;
    int count = n - from < length ? n - from : length;
    int64_t first = static_cast<int64_t>(blockIdx.y) * n + from;
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        float v = load_element(x, x_type, first + i);
        s[padded(i)] = pre == nullptr ? v : v * pre[from + i];
    }
    __syncthreads();
    sylvester(s, count, p);
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        work[first + i] = s[padded(i)];
    }
}

/* One butterfly of step h, in place; a vector per blockIdx.y. */
__global__ void __launch_bounds__(kThreads) transform_step_kernel(float *work, int n, int h) {
    int w = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (w < n / 2) {
        float *at = work + static_cast<int64_t>(blockIdx.y) * n + ((w & ~(h - 1)) * 2 + (w & (h - 1)));
        float a = at[0], b = at[h];
        at[0] = a + b;
        at[h] = a - b;
    }
}

/* The small matrix, scale and post; a vector per blockIdx.y. */
__global__ void __launch_bounds__(kThreads)
    transform_small_kernel(const float *__restrict__ work, void *out, int out_type, int n, SmallMatrix small,
                           int transpose, const float *__restrict__ post, float scale) {
    int p = n / small.k;
    int64_t w = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    int64_t slices = (small.k + kOutputs - 1) / kOutputs;
    if (w >= slices * p) {
        return;
    }
    int i0 = static_cast<int>(w / p) * kOutputs, j = static_cast<int>(w % p);
    const float *in = work + static_cast<int64_t>(blockIdx.y) * n + j;
    float sum[kOutputs];
    small_product(small, transpose != 0, i0, [=](int r) { return in[static_cast<int64_t>(r) * p]; }, sum);
#pragma unroll
    for (int o = 0; o < kOutputs; o++) {
        if (i0 + o < small.k) {
            int i = (i0 + o) * p + j;
            float v = sum[o] * scale;
            store_element(out, out_type, static_cast<int64_t>(blockIdx.y) * n + i,
                          post == nullptr ? v : v * post[i]);
        }
    }
}

__global__ void __launch_bounds__(kThreads)
    convert_kernel(const void *x, int x_type, void *out, int out_type, int64_t count) {
    int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < count) {
        double v = x_type == kF64 ? static_cast<const double *>(x)[i] : load_stored(x, x_type, i);
        if (out_type == kF64) {
            static_cast<double *>(out)[i] = v;
        } else {
            store_element(out, out_type, i, static_cast<float>(v));
        }
    }
}

/* A padded vector up to its last element: the longest fits into the 99 KB that a block of any device may have. */
constexpr int64_t vector_bytes(int64_t n) { return 4 * (n + (n - 1) / 32); }
static_assert(vector_bytes(kOneBlockTransform) <= 99 << 10, "a transform fits into a block of any device");

unsigned blocks_for(int64_t threads) { return static_cast<unsigned>((threads + kThreads - 1) / kThreads); }

}  // namespace

cudaError_t transform(const void *x, int x_type, void *out, int out_type, int n, SmallMatrix small, int rows,
                      bool transpose, const float *pre, const float *post, float scale, float *work,
                      cudaStream_t stream) {
    int turn = transpose ? 1 : 0;
    if (work == nullptr) {
        size_t shared = static_cast<size_t>(vector_bytes(n));
        cudaError_t e = cudaFuncSetAttribute(transform_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                             static_cast<int>(vector_bytes(kOneBlockTransform)));
        if (e != cudaSuccess) {
            return e;
        }
        GOSSET_LAUNCH(transform_kernel, rows, kThreads, shared, stream, x, x_type, out, out_type, n, small, turn, pre,
                      post, scale);
        return cudaGetLastError();
    }
    int p = n / small.k;
    int chunk = p < kChunk ? p : kChunk;
    int length = kChunk / chunk * chunk;
    for (int row = 0; row < rows; row += 32768) {
        /* A grid has at most 65535 rows. */
        unsigned count = static_cast<unsigned>(rows - row < 32768 ? rows - row : 32768);
        int64_t first = static_cast<int64_t>(row) * n;
        const void *from = static_cast<const char *>(x) + first * (x_type == 0 ? 4 : 2);
        void *to = static_cast<char *>(out) + first * (out_type == 0 ? 4 : 2);
        float *buffer = work + first;
        unsigned chunks = static_cast<unsigned>((n + int64_t{length} - 1) / length);
        GOSSET_LAUNCH(transform_chunk_kernel, dim3(chunks, count), kThreads,
                      static_cast<size_t>(padded_bytes(length)), stream, from, x_type, buffer, n, chunk, length, pre);
        for (int64_t h = chunk; h < p; h *= 2) {
            int step = static_cast<int>(h);
            GOSSET_LAUNCH(transform_step_kernel, dim3(blocks_for(n / 2), count), kThreads, 0, stream, buffer, n, step);
        }
        int64_t items = (small.k == 1 ? int64_t{1} : (small.k + kOutputs - 1) / kOutputs) * p;
        GOSSET_LAUNCH(transform_small_kernel, dim3(blocks_for(items), count), kThreads, 0, stream, buffer, to, out_type,
                      n, small, turn, post, scale);
    }
    return cudaGetLastError();
}

cudaError_t convert(const void *x, int x_type, void *out, int out_type, int64_t count, cudaStream_t stream) {
    GOSSET_LAUNCH(convert_kernel, blocks_for(count), kThreads, 0, stream, x, x_type, out, out_type, count);
    return cudaGetLastError();
}

}  // namespace gosset
