/*
 * What stands between two quantized products, in one launch per step: output transform, scale, residual, RMSNorm or gate,
 * input transform, rounding to 16-bit activations. A decoding step has several of these per layer and little data in
 * each, so that launches are what they cost. One block per vector, everything in shared memory.
 */
#include "codebook.h"
#include "packing.h"
#include "reductions.h"
#include "transform.h"

namespace gosset {

namespace {

constexpr int kThreads = 1024;

/*
 * Rounds n values, read by `value(i)`, to 16 bits and stores them as vector `vector` of `batch`; see packing.h. The
 * columns from n to the end of the last unit become 0.
 */
template <class Value>
GOSSET_DEVICE void store_activations(Value value, int n, int vector, int batch, uint2 *activations, float *scale,
                                     float *box) {
    float largest = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        largest = fmaxf(largest, fabsf(value(i)));
    }
    largest = block_max(largest, box);
    float step = largest / kActivationSteps;
    /* Where largest is tiny, 1 / step overflows; those values are nothing beside any other error. */
    float steps = largest > 1e-30f ? kActivationSteps / largest : 0.0f;
    int groups = (n + kUnitColumns - 1) / kUnitColumns * kUnitCodes;
    for (int group = threadIdx.x; group < groups; group += blockDim.x) {
        uint32_t high[2] = {0, 0}, low[2] = {0, 0};
        for (int k = 0; k < 8; k++) {
            int i = 8 * group + coordinate_of(k);
            int rounded = i < n ? __float2int_rn(value(i) * steps) : 0;
            int upper = (rounded + 128) >> 8;
            high[k / 4] |= static_cast<uint32_t>(upper & 255) << 8 * (k % 4);
            low[k / 4] |= static_cast<uint32_t>((rounded - 256 * upper) & 255) << 8 * (k % 4);
        }
        uint2 *to = activations + static_cast<int64_t>(group) * 2 * batch + 2 * vector;
        to[0] = make_uint2(high[0], high[1]);
        to[1] = make_uint2(low[0], low[1]);
    }
    if (threadIdx.x == 0) {
        scale[vector] = step;
    }
}

__global__ void __launch_bounds__(kThreads)
    quantize_kernel(const float *__restrict__ x, int n, int batch, uint2 *__restrict__ activations,
                    float *__restrict__ scale) {
    GOSSET_SHARED(float, box);
    const float *mine = x + static_cast<int64_t>(blockIdx.x) * n;
    store_activations([=](int i) { return mine[i]; }, n, static_cast<int>(blockIdx.x), batch, activations, scale, box);
}

/* Shared memory: 32 floats, a padded vector of max(m, n), and a second one where a small matrix is at work. */
__global__ void __launch_bounds__(kThreads) between_kernel(Between p, int length) {
    GOSSET_SHARED(float, box);
    float *a = box + kLanes;
    float *b = a + padded(length) + 1;
    int vector = static_cast<int>(blockIdx.x), n = p.n;
    int incoming = p.m > 0 ? p.m : p.kind == 2 ? 2 * n : n;

    const float *z = p.z + static_cast<int64_t>(vector) * incoming;
    bool reads_z = p.m > 0 || p.kind != 1;
    if (reads_z) {
        for (int i = threadIdx.x; i < incoming; i += blockDim.x) {
            a[padded(i)] = z[i];
        }
        __syncthreads();
    }
    if (p.m > 0) {
        float norm = 1.0f / sqrtf(static_cast<float>(p.m));
        float *h = transform_block(a, b, p.m, p.m_small, false);
        b = h == a ? b : a;
        a = h;
        for (int i = threadIdx.x; i < p.m; i += blockDim.x) {
            a[padded(i)] *= norm * p.post[i];
        }
        __syncthreads();
    }
    if (p.kind == 1) {
        float *residual = p.residual + static_cast<int64_t>(vector) * n;
        float squares = 0;
        for (int i = threadIdx.x; i < n; i += blockDim.x) {
            float r = residual[i];
            if (p.m > 0) {
                r += a[padded(i)];
                residual[i] = r;
            }
            a[padded(i)] = r;
            squares += r * r;
        }
        squares = block_sum(squares, box);
        float factor = 1.0f / sqrtf(squares / static_cast<float>(n) + p.epsilon);
        for (int i = threadIdx.x; i < n; i += blockDim.x) {
            a[padded(i)] *= factor * p.weight[i] * p.pre[i];
        }
    } else if (p.kind == 2) {
        for (int i = threadIdx.x; i < n; i += blockDim.x) {
            float up = a[padded(i)], gate = a[padded(n + i)];
            a[padded(i)] = up * gate / (1.0f + expf(-gate)) * p.pre[i];
        }
    } else {
        for (int i = threadIdx.x; i < n; i += blockDim.x) {
            a[padded(i)] *= p.pre[i];
        }
    }
    __syncthreads();
    float *t = transform_block(a, b, n, p.n_small, true);
    float norm = 1.0f / sqrtf(static_cast<float>(n));
    store_activations([=](int i) { return t[padded(i)] * norm; }, n, vector, p.batch,
                      static_cast<uint2 *>(p.activations), p.scale, box);
}

int between_length(const Between &b) {
    int incoming = b.m > 0 ? b.m : b.kind == 2 ? 2 * b.n : b.n;
    return incoming > b.n ? incoming : b.n;
}

}  // namespace

int64_t between_shared_bytes(const Between &b) {
    int64_t buffers = (b.m > 0 && b.m_small.k > 1) || b.n_small.k > 1 ? 2 : 1;
    return 4 * kLanes + buffers * padded_bytes(between_length(b));
}

cudaError_t between(const Between &b, cudaStream_t stream) {
    int64_t shared = between_shared_bytes(b);
    cudaError_t e =
        cudaFuncSetAttribute(between_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
    if (e != cudaSuccess) {
        return e;
    }
    int length = between_length(b);
    Between copy = b;
    GOSSET_LAUNCH(between_kernel, b.batch, kThreads, static_cast<size_t>(shared), stream, copy, length);
    return cudaGetLastError();
}

cudaError_t quantize_activations(const float *x, int n, int batch, void *activations, float *scale,
                                 cudaStream_t stream) {
    uint2 *to = static_cast<uint2 *>(activations);
    GOSSET_LAUNCH(quantize_kernel, batch, kThreads, 4 * kLanes, stream, x, n, batch, to, scale);
    return cudaGetLastError();
}

}  // namespace gosset
