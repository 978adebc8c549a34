/*
 * y = W x for weights that are not quantized to 2, 3 or 4 bits: the head of a model, mostly. Reading the weights is what it
 * costs, so each is read once, in 16-byte pieces, for all of up to 16 rows of x. The tensor cores do it (dense_batch.cu), except
 * for F32 and for rows of W that are not made of whole pieces. A row's sums are the same whatever the other rows are: which kernel runs, and
 * in which rounds, does not depend on how many there are.
 *
 * A warp takes kHeight rows of W and walks along them, two pieces of each under way; the block keeps its columns of x in
 * shared memory, in the order in which lanes need them. Blocks stay and go from tile to tile. Where x does not fit, the
 * columns are taken in several rounds and y is added up.
 */
#include "elements.h"
#include "kernels.h"
#include "reductions.h"

namespace gosset {

namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kLanes;
constexpr int kHeight = 4;
constexpr int kTile = kWarps * kHeight;
constexpr int kMaxRows = 16;
/* What x may take of shared memory, so that several blocks share a multiprocessor. */
constexpr int kShared = 64 << 10;

template <int type>
constexpr int kElementsOf = type == kF32 ? 4 : type == kI8 ? 16 : 8;

/* Elements 4 quarter .. 4 quarter + 3 of a 16-byte piece. */
template <int type>
GOSSET_DEVICE void widen(const uint4 &piece, int quarter, float (&f)[4]) {
    const uint32_t words[4] = {piece.x, piece.y, piece.z, piece.w};
    if (type == kF32) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            f[i] = __uint_as_float(words[i]);
        }
    } else if (type == kF16) {
        unpack_halves(words[2 * quarter], f[0], f[1]);
        unpack_halves(words[2 * quarter + 1], f[2], f[3]);
    } else if (type == kBF16) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            f[2 * i] = __uint_as_float(words[2 * quarter + i] << 16);
            f[2 * i + 1] = __uint_as_float(words[2 * quarter + i] & 0xffff0000u);
        }
    } else {
        /* 0x4b0000uu is the float 2^23 + uu: conversions proper run at a quarter of the speed. */
        uint32_t biased = words[quarter] ^ 0x80808080u;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            uint32_t bits = permute_bytes(biased, 0x4b000000u, 0x7440u + static_cast<uint32_t>(i));
            f[i] = __uint_as_float(bits) - 8388736.0f;
        }
    }
}

/* The piece at column c of a row of n elements that is not made of whole pieces. */
template <int type>
GOSSET_DEVICE uint4 gather(const void *w, int64_t row_start, int c, int n) {
    constexpr int kBytes = 16 / kElementsOf<type>;
    uint32_t words[4] = {0, 0, 0, 0};
    const unsigned char *bytes = static_cast<const unsigned char *>(w) + (row_start + c) * kBytes;
#pragma unroll
    for (int i = 0; i < 16; i++) {
        if (c + i / kBytes < n) {
            words[i / 4] |= static_cast<uint32_t>(bytes[i]) << 8 * (i % 4);
        }
    }
    return make_uint4(words[0], words[1], words[2], words[3]);
}

/*
 * The sums over the 32 lanes of N values: each exchange halves how many values a lane is left with. v[i] of a lane is in the
 * end the sum of value number (returned) + i; lanes that differ only in what the exchange no longer needed agree.
 */
template <int N>
GOSSET_DEVICE int exchange_sums(float (&v)[N], int lane) {
    int first = 0, left = N;
#pragma unroll
    for (int step = kLanes / 2; step > 0; step /= 2) {
        if (left > 1) {
            left /= 2;
            bool upper = (lane & step) != 0;
#pragma unroll
            for (int i = 0; i < N / 2; i++) {
                if (i < left) {
                    float keep = upper ? v[i + left] : v[i], give = upper ? v[i] : v[i + left];
                    v[i] = keep + __shfl_xor_sync(kWarp, give, step);
                }
            }
            first += upper ? left : 0;
        } else {
            v[0] += __shfl_xor_sync(kWarp, v[0], step);
        }
    }
    return first;
}

/*
 * Shared memory: R x columns floats; columns is a multiple of what a warp reads at a time. whole: rows of W are made of
 * whole 16-byte pieces.
 */
template <int type, int R, bool whole>
__global__ void __launch_bounds__(kThreads) dense_kernel(Dense p, int columns) {
    GOSSET_SHARED(float4, xs);
    constexpr int kElements = kElementsOf<type>, kQuarters = kElements / 4, kStep = kLanes * kElements;
    constexpr int kSums = kHeight * R, kLeft = kSums > kLanes ? kSums / kLanes : 1;
    int lane = static_cast<int>(threadIdx.x) % kLanes, warp = static_cast<int>(threadIdx.x) / kLanes;
    int tiles = (p.m + kTile - 1) / kTile;
    for (int c0 = 0; c0 < p.n; c0 += columns) {
        int width = columns < p.n - c0 ? columns : p.n - c0, steps = (width + kStep - 1) / kStep;
        if (c0 > 0) {
            __syncthreads();
        }
        for (int i = threadIdx.x; i < R * steps * kQuarters * kLanes; i += kThreads) {
            int l = i % kLanes, quarter = i / kLanes % kQuarters, step = i / kLanes / kQuarters % steps;
            int r = i / kLanes / kQuarters / steps, c = c0 + step * kStep + l * kElements + 4 * quarter;
            const float *x = p.x + static_cast<int64_t>(r) * p.n;
            float4 v;
            v.x = r < p.rows && c < p.n ? x[c] : 0.0f;
            v.y = r < p.rows && c + 1 < p.n ? x[c + 1] : 0.0f;
            v.z = r < p.rows && c + 2 < p.n ? x[c + 2] : 0.0f;
            v.w = r < p.rows && c + 3 < p.n ? x[c + 3] : 0.0f;
            xs[i] = v;
        }
        __syncthreads();
        for (int tile = static_cast<int>(blockIdx.x); tile < tiles; tile += static_cast<int>(gridDim.x)) {
            int i0 = tile * kTile + warp * kHeight;
            if (i0 >= p.m) {
                continue;
            }
            int64_t start[kHeight];
#pragma unroll
            for (int h = 0; h < kHeight; h++) {
                start[h] = static_cast<int64_t>(i0 + h < p.m ? i0 + h : p.m - 1) * p.n;
            }
            auto load = [&](int step, uint4(&piece)[kHeight]) {
                int c = c0 + step * kStep + lane * kElements;
#pragma unroll
                for (int h = 0; h < kHeight; h++) {
                    if (step >= steps || c >= p.n) {
                        piece[h] = make_uint4(0, 0, 0, 0);
                    } else if constexpr (whole) {
                        constexpr int kBytes = 16 / kElements;
                        piece[h] = load_once(reinterpret_cast<const uint4 *>(static_cast<const char *>(p.w) +
                                                                             (start[h] + c) * kBytes));
                    } else {
                        piece[h] = gather<type>(p.w, start[h], c, p.n);
                    }
                }
            };
            float sums[kSums];
#pragma unroll
            for (int i = 0; i < kSums; i++) {
                sums[i] = 0;
            }
            uint4 piece[kHeight], next[kHeight];
            load(0, piece);
            for (int step = 0; step < steps; step++) {
                load(step + 1, next);
#pragma unroll
                for (int quarter = 0; quarter < kQuarters; quarter++) {
                    float w[kHeight][4];
#pragma unroll
                    for (int h = 0; h < kHeight; h++) {
                        widen<type>(piece[h], quarter, w[h]);
                    }
#pragma unroll
                    for (int r = 0; r < R; r++) {
                        float4 x = xs[((r * steps + step) * kQuarters + quarter) * kLanes + lane];
#pragma unroll
                        for (int h = 0; h < kHeight; h++) {
                            float &sum = sums[h * R + r];
                            sum += w[h][0] * x.x;
                            sum += w[h][1] * x.y;
                            sum += w[h][2] * x.z;
                            sum += w[h][3] * x.w;
                        }
                    }
                }
#pragma unroll
                for (int h = 0; h < kHeight; h++) {
                    piece[h] = next[h];
                }
            }
            int first = exchange_sums(sums, lane);
            /* Where there are fewer sums than lanes, the upper bits of the lane number them. */
            bool writes = lane % (kLanes / (kSums < kLanes ? kSums : kLanes)) == 0;
#pragma unroll
            for (int k = 0; k < kLeft; k++) {
                int i = i0 + (first + k) / R, r = (first + k) % R;
                if (writes && i < p.m && r < p.rows) {
                    float *y = p.y + static_cast<int64_t>(r) * p.m + i;
                    float v = type == kI8 ? sums[k] * p.scales[i] : sums[k];
                    *y = v + (c0 > 0 ? *y : p.bias != nullptr ? p.bias[i] : 0.0f);
                }
            }
        }
    }
}

/* A row per block. */
__global__ void __launch_bounds__(kThreads)
    quantize_rows_kernel(const void *__restrict__ w, int type, int n, int8_t *__restrict__ out,
                         float *__restrict__ scales) {
    GOSSET_SHARED(float, box);
    int64_t first = static_cast<int64_t>(blockIdx.x) * n;
    float largest = 0;
    for (int i = threadIdx.x; i < n; i += kThreads) {
        largest = fmaxf(largest, fabsf(load_stored(w, type, first + i)));
    }
    largest = block_max(largest, box);
    /* Where 127 / largest overflows, the row is nothing. */
    float steps = largest > 1e-30f ? 127.0f / largest : 0.0f;
    for (int i = threadIdx.x; i < n; i += kThreads) {
        out[first + i] = static_cast<int8_t>(__float2int_rn(load_stored(w, type, first + i) * steps));
    }
    if (threadIdx.x == 0) {
        scales[blockIdx.x] = steps > 0 ? largest / 127.0f : 0.0f;
    }
}

template <int type, int R, bool whole = true>
cudaError_t launch(const Dense &d, const Limits &limits, cudaStream_t stream) {
    constexpr int kStep = kLanes * kElementsOf<type>;
    int room = limits.shared_bytes < kShared ? limits.shared_bytes : kShared;
    int most = room / (4 * kMaxRows) / kStep * kStep, all = (d.n + kStep - 1) / kStep * kStep;
    int columns = all < most ? all : most;
    size_t shared = 4 * static_cast<size_t>(R) * static_cast<size_t>(columns);
    auto kernel = dense_kernel<type, R, whole>;
    cudaError_t e = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared);
    if (e != cudaSuccess) {
        return e;
    }
    int tiles = (d.m + kTile - 1) / kTile;
    int fit = limits.shared_bytes / (static_cast<int>(shared) + 1024);
    int resident = limits.multiprocessors * (fit < 1 ? 1 : fit > 4 ? 4 : fit);
    Dense copy = d;
    GOSSET_LAUNCH(kernel, static_cast<unsigned>(tiles < resident ? tiles : resident), kThreads, shared, stream, copy,
                  columns);
    return cudaGetLastError();
}

template <int type>
cudaError_t launch(const Dense &d, const Limits &limits, cudaStream_t stream) {
    if constexpr (type == kF32) {
        if (d.n % kElementsOf<type> == 0) {
            return d.rows == 1   ? launch<type, 1>(d, limits, stream)
                   : d.rows == 2 ? launch<type, 2>(d, limits, stream)
                   : d.rows <= 4 ? launch<type, 4>(d, limits, stream)
                   : d.rows <= 8 ? launch<type, 8>(d, limits, stream)
                                 : launch<type, kMaxRows>(d, limits, stream);
        }
    }
    /* Hardly ever, and slow. */
    return launch<type, kMaxRows, false>(d, limits, stream);
}

}  // namespace

cudaError_t dense(const Dense &d, const Limits &limits, cudaStream_t stream) {
    if (takes_dense_batch(d)) {
        return dense_batch(d, limits, stream);
    }
    switch (d.type) {
        case kF32: return launch<kF32>(d, limits, stream);
        case kF16: return launch<kF16>(d, limits, stream);
        case kBF16: return launch<kBF16>(d, limits, stream);
        default: return launch<kI8>(d, limits, stream);
    }
}

cudaError_t quantize_rows(const void *w, int type, int m, int n, int8_t *out, float *scales, cudaStream_t stream) {
    GOSSET_LAUNCH(quantize_rows_kernel, static_cast<unsigned>(m), kThreads, 4 * kLanes, stream, w, type, n, out,
                  scales);
    return cudaGetLastError();
}

}  // namespace gosset
