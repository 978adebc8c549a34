/*
 * The small steps of a decoder around its products: rows of a table, norms, gates, rotation and the way into the cache.
 * In decoding there are few rows, so that a row has a block or several; in prefill there are many.
 */
#include "elements.h"
#include "kernels.h"
#include "reductions.h"

namespace gosset {

namespace {

constexpr int kThreads = 256;
constexpr int kNormThreads = 1024;
constexpr int kGridRows = 32768;

__global__ void __launch_bounds__(kThreads)
    embed_kernel(const void *__restrict__ table, int type, int vocabulary, int n, const int32_t *__restrict__ tokens,
                 const int32_t *__restrict__ positions, float *__restrict__ out) {
    int64_t row = blockIdx.x;
    if (positions != nullptr && positions[row] < 0) {
        return;
    }
    int token = tokens[row];
    bool known = token >= 0 && token < vocabulary;
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        out[row * n + i] = known ? load_stored(table, type, static_cast<int64_t>(token) * n + i) : 0.0f;
    }
}

/* A row per block. A thread reads again in the second pass only what it wrote in the first. */
__global__ void __launch_bounds__(kNormThreads)
    residual_norm_kernel(float *residual, const float *__restrict__ h, const float *__restrict__ weight, float epsilon,
                         int n, void *out, int out_type) {
    GOSSET_SHARED(float, box);
    int64_t first = static_cast<int64_t>(blockIdx.x) * n;
    float squares = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        float r = residual[first + i];
        if (h != nullptr) {
            r += h[first + i];
            residual[first + i] = r;
        }
        squares += r * r;
    }
    if (out == nullptr) {
        return;
    }
    float factor = 1.0f / sqrtf(block_sum(squares, box) / static_cast<float>(n) + epsilon);
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        store_element(out, out_type, first + i, residual[first + i] * factor * weight[i]);
    }
}

__global__ void __launch_bounds__(kThreads)
    gate_kernel(const float *__restrict__ h, int n, int rows, void *__restrict__ out, int out_type) {
    int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    for (int64_t row = blockIdx.y; row < rows && i < n; row += gridDim.y) {
        float up = h[row * 2 * n + i], gate = h[row * 2 * n + n + i];
        store_element(out, out_type, row * n + i, up * gate / (1.0f + expf(-gate)));
    }
}

__global__ void __launch_bounds__(kThreads)
    add_bias_kernel(float *__restrict__ x, const float *__restrict__ bias, int n, int rows) {
    int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    for (int64_t row = blockIdx.y; row < rows && i < n; row += gridDim.y) {
        x[row * n + i] += bias[i];
    }
}

/* A warp per head of a row; a lane has up to kPairs pairs (i, i + dim / 2). */
__global__ void __launch_bounds__(kThreads) rotate_store_kernel(RotateStore p) {
    constexpr int kPairs = kMaxDim / 2 / kLanes;
    int head = static_cast<int>((blockIdx.x * blockDim.x + threadIdx.x) / kLanes);
    int lane = static_cast<int>(threadIdx.x) % kLanes, half = p.dim / 2;
    int units = p.heads + 2 * p.kv_heads;
    bool is_query = head < p.heads, is_value = head >= p.heads + p.kv_heads;
    for (int row = static_cast<int>(blockIdx.y); row < p.rows && head < units; row += static_cast<int>(gridDim.y)) {
        int position = p.positions[row];
        if (position < 0 || position >= p.capacity) {
            continue;
        }
        const float *from = p.qkv + (static_cast<int64_t>(row) * units + head) * p.dim;
        float a[kPairs], b[kPairs], squares = 0;
#pragma unroll
        for (int j = 0; j < kPairs; j++) {
            int i = lane + j * kLanes;
            a[j] = i < half ? from[i] : 0.0f;
            b[j] = i < half ? from[i + half] : 0.0f;
            if (p.bias != nullptr && i < half) {
                a[j] += p.bias[static_cast<int64_t>(head) * p.dim + i];
                b[j] += p.bias[static_cast<int64_t>(head) * p.dim + i + half];
            }
            squares += a[j] * a[j] + b[j] * b[j];
        }
        const float *norm = is_query ? p.q_norm : p.k_norm;
        if (!is_value && norm != nullptr) {
            float factor = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(p.dim) + p.epsilon);
#pragma unroll
            for (int j = 0; j < kPairs; j++) {
                int i = lane + j * kLanes;
                a[j] *= i < half ? factor * norm[i] : 0.0f;
                b[j] *= i < half ? factor * norm[i + half] : 0.0f;
            }
        }
        void *to = p.queries;
        int type = p.query_type;
        int64_t at = (static_cast<int64_t>(row) * p.heads + head) * p.dim;
        if (!is_query) {
            int kv = head - p.heads - (is_value ? p.kv_heads : 0);
            int64_t sequence = p.sequences == nullptr ? row : p.sequences[row];
            to = is_value ? p.values : p.keys;
            type = kF16;
            if (p.tables == nullptr) {
                at = ((sequence * p.kv_heads + kv) * p.capacity + position) * p.dim;
            } else {
                int64_t block = p.tables[sequence * (p.capacity / kCacheBlock) + position / kCacheBlock];
                at = ((block * p.kv_heads + kv) * kCacheBlock + position % kCacheBlock) * p.dim;
            }
        }
#pragma unroll
        for (int j = 0; j < kPairs; j++) {
            int i = lane + j * kLanes;
            if (i < half) {
                float x = a[j], y = b[j];
                if (!is_value) {
                    const float *angle = p.angles + 2 * (static_cast<int64_t>(position) * half + i);
                    float c = angle[0], s = angle[1];
                    x = a[j] * c - b[j] * s;
                    y = b[j] * c + a[j] * s;
                }
                store_element(to, type, at + i, x);
                store_element(to, type, at + i + half, y);
            }
        }
    }
}

/* 16 bytes per thread; a head of keys or values per blockIdx.y. */
__global__ void __launch_bounds__(kThreads)
    collect_kernel(const uint4 *__restrict__ cache, const int32_t *__restrict__ table, int kv_heads, int pieces, int from,
                   int count, int64_t step, uint4 *__restrict__ out) {
    int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    int kv = static_cast<int>(blockIdx.y);
    if (i < static_cast<int64_t>(count) * pieces) {
        int position = from + static_cast<int>(i / pieces);
        int64_t block = table[position / kCacheBlock];
        int64_t row = (block * kv_heads + kv) * kCacheBlock + position % kCacheBlock;
        out[kv * step + i] = cache[row * pieces + i % pieces];
    }
}

unsigned blocks_for(int64_t threads) { return static_cast<unsigned>((threads + kThreads - 1) / kThreads); }
unsigned grid_rows(int rows) { return static_cast<unsigned>(rows < kGridRows ? rows : kGridRows); }

}  // namespace

cudaError_t embed(const void *table, int table_type, int vocabulary, int n, const int32_t *tokens,
                  const int32_t *positions, int rows, float *out, cudaStream_t stream) {
    GOSSET_LAUNCH(embed_kernel, static_cast<unsigned>(rows), kThreads, 0, stream, table, table_type, vocabulary, n,
                  tokens, positions, out);
    return cudaGetLastError();
}

cudaError_t residual_norm(float *residual, const float *h, const float *weight, float epsilon, int n, int rows,
                          void *out, int out_type, cudaStream_t stream) {
    GOSSET_LAUNCH(residual_norm_kernel, static_cast<unsigned>(rows), n < kNormThreads ? kThreads : kNormThreads,
                  4 * kLanes, stream, residual, h, weight, epsilon, n, out, out_type);
    return cudaGetLastError();
}

cudaError_t gate(const float *h, int n, int rows, void *out, int out_type, cudaStream_t stream) {
    GOSSET_LAUNCH(gate_kernel, dim3(blocks_for(n), grid_rows(rows)), kThreads, 0, stream, h, n, rows, out, out_type);
    return cudaGetLastError();
}

cudaError_t add_bias(float *x, const float *bias, int n, int rows, cudaStream_t stream) {
    GOSSET_LAUNCH(add_bias_kernel, dim3(blocks_for(n), grid_rows(rows)), kThreads, 0, stream, x, bias, n, rows);
    return cudaGetLastError();
}

cudaError_t rotate_store(const RotateStore &r, cudaStream_t stream) {
    RotateStore copy = r;
    int64_t units = r.heads + int64_t{2} * r.kv_heads;
    GOSSET_LAUNCH(rotate_store_kernel, dim3(blocks_for(units * kLanes), grid_rows(r.rows)), kThreads, 0, stream, copy);
    return cudaGetLastError();
}

cudaError_t collect(const __half *cache, const int32_t *table, int kv_heads, int dim, int from, int count,
                    int64_t step, __half *out, cudaStream_t stream) {
    int pieces = dim / 8;
    int64_t apart = step / 8;
    const uint4 *source = reinterpret_cast<const uint4 *>(cache);
    uint4 *to = reinterpret_cast<uint4 *>(out);
    GOSSET_LAUNCH(collect_kernel, dim3(blocks_for(static_cast<int64_t>(count) * pieces), static_cast<unsigned>(kv_heads)),
                  kThreads, 0, stream, source, table, kv_heads, pieces, from, count, apart, to);
    return cudaGetLastError();
}

}  // namespace gosset
