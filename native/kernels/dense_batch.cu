/*
 * y = W x for 1 to 16 rows of x on the tensor cores, W in F16, BF16 or int8, with the precision of float activations: x is cut
 * into two halves (22 bits; scaled by a power of two, so that none of them is lost below 2^-24) or three bfloat16 (24 bits), each
 * multiplied by the exact weights, and everything is added in float. Tensor cores cut off what they add to, instead of
 * rounding it, so that they add up a step's products only; the steps are added by the general units.
 *
 * A warp takes 16 rows of W. Lane 4 g + t reads 16 bytes of row g and of row g + 8 at a time, kDepth steps ahead. The tensor
 * cores do not mind in which order columns come as long as A and B agree, so the 8 (16) columns that a lane has read are
 * its columns of A, and its part of B is the same 8 (16) columns of vector g: one (two) 16-byte reads of shared memory.
 */
#include "elements.h"
#include "kernels.h"
#include "reductions.h"

namespace gosset {

namespace {

constexpr int kThreads = 512;
constexpr int kWarps = kThreads / kLanes;
constexpr int kHeight = 16;
constexpr int kVectors = 8;
constexpr int kDepth = 4;
constexpr int kMaxVectors = 16;

template <int type>
constexpr int kElementsOf = type == kI8 ? 16 : 8;
template <int type>
constexpr int kPieces = type == kBF16 ? 3 : 2;
/* Columns of one step of a warp, and of a round of steps. */
template <int type>
constexpr int kStepColumns = 4 * kElementsOf<type>;
template <int type>
constexpr int kRound = kDepth * kStepColumns<type>;

/* 16-byte pieces from one vector to the next in shared memory: those that lanes read together meet different banks. */
template <int type>
GOSSET_BOTH inline int vector_stride(int columns) {
    return columns / 8 + (type == kI8 ? 1 : 4);
}

/* The 16-bit pieces of x; their sum is x but for what is beyond the last one. */
template <int type>
GOSSET_DEVICE void cut(float x, uint32_t (&piece)[3]) {
#pragma unroll
    for (int i = 0; i < kPieces<type>; i++) {
        if (type == kBF16) {
            unsigned bits = __float_as_uint(x);
            bits += 0x7fffu + (bits >> 16 & 1u);
            piece[i] = bits >> 16;
            x -= __uint_as_float(bits & 0xffff0000u);
        } else {
            float low, high;
            piece[i] = half_bits(x);
            unpack_halves(piece[i], low, high);
            x -= low;
        }
    }
}

/* Weights 4 part .. 4 part + 3 of a 16-byte piece as two registers of A for one row: two columns each. */
template <int type>
GOSSET_DEVICE void fragment(const uint4 &piece, int part, uint32_t &first, uint32_t &second) {
    const uint32_t words[4] = {piece.x, piece.y, piece.z, piece.w};
    if (type == kI8) {
        /* 0x64uu is the half 1024 + uu. */
        uint32_t biased = words[part] ^ 0x80808080u;
        first = subtract_halves(permute_bytes(biased, 0x64646464u, 0x4140u), 0x64806480u);
        second = subtract_halves(permute_bytes(biased, 0x64646464u, 0x4342u), 0x64806480u);
    } else {
        first = words[2 * part];
        second = words[2 * part + 1];
    }
}

/* Shared memory: kMaxVectors exponents and a box, then kPieces x 8 T vectors of 16-bit pieces. */
template <int type, int T>
__global__ void __launch_bounds__(kThreads, 1) dense_batch_kernel(Dense p, int columns) {
    GOSSET_SHARED(float, box);
    float *unscale = box + kLanes;
    uint4 *xs = reinterpret_cast<uint4 *>(unscale + kMaxVectors);
    constexpr int kElements = kElementsOf<type>, kBytes = 16 / kElements, kParts = kElements / 4;
    int thread = static_cast<int>(threadIdx.x), lane = thread % kLanes, warp = thread / kLanes;
    int g = lane / 4, t = lane % 4;
    int stride = vector_stride<type>(columns), tiles = (p.m + kHeight - 1) / kHeight;

    for (int r = 0; r < T * kVectors; r++) {
        float largest = 0;
        for (int i = thread; type != kBF16 && r < p.rows && i < p.n; i += kThreads) {
            largest = fmaxf(largest, fabsf(p.x[static_cast<int64_t>(r) * p.n + i]));
        }
        if (type != kBF16) {
            largest = block_max(largest, box);
        }
        if (thread == 0) {
            /* The power of two that brings the largest to 2^14 .. 2^15, undone afterwards; 1 where that is no number. */
            int exponent = static_cast<int>(__float_as_uint(largest) >> 23) - 127 - 14;
            unscale[r] = type == kBF16 || exponent < -126 || exponent > 113
                             ? 1.0f
                             : __uint_as_float(static_cast<unsigned>(exponent + 127) << 23);
        }
    }
    __syncthreads();

    for (int c0 = 0; c0 < p.n; c0 += columns) {
        int width = columns < p.n - c0 ? columns : p.n - c0;
        int steps = (width + kRound<type> - 1) / kRound<type> * kDepth;
        int groups = steps * kStepColumns<type> / 8;
        if (c0 > 0) {
            __syncthreads();
        }
        for (int i = thread; i < T * kVectors * groups; i += kThreads) {
            int r = i / groups, at = i % groups, c = c0 + 8 * at;
            float scale = 1.0f / unscale[r];
            uint32_t words[kPieces<type>][4] = {};
#pragma unroll
            for (int k = 0; k < 8; k++) {
                uint32_t piece[3];
                cut<type>(r < p.rows && c + k < p.n ? p.x[static_cast<int64_t>(r) * p.n + c + k] * scale : 0.0f, piece);
#pragma unroll
                for (int j = 0; j < kPieces<type>; j++) {
                    words[j][k / 2] |= piece[j] << 16 * (k % 2);
                }
            }
#pragma unroll
            for (int j = 0; j < kPieces<type>; j++) {
                xs[(j * T * kVectors + r) * stride + at] = make_uint4(words[j][0], words[j][1], words[j][2], words[j][3]);
            }
        }
        __syncthreads();
        for (int tile = static_cast<int>(blockIdx.x) * kWarps + warp; tile < tiles;
             tile += static_cast<int>(gridDim.x) * kWarps) {
            int i0 = tile * kHeight + g, i1 = i0 + 8;
            const char *w = static_cast<const char *>(p.w);
            const char *row0 = w + static_cast<int64_t>(i0 < p.m ? i0 : p.m - 1) * p.n * kBytes;
            const char *row1 = w + static_cast<int64_t>(i1 < p.m ? i1 : p.m - 1) * p.n * kBytes;
            auto load = [&](int step, uint4(&piece)[2]) {
                int c = c0 + step * kStepColumns<type> + t * kElements;
                bool there = step < steps && c < p.n;
                piece[0] = there ? load_once(reinterpret_cast<const uint4 *>(row0 + static_cast<int64_t>(c) * kBytes))
                                 : make_uint4(0, 0, 0, 0);
                piece[1] = there ? load_once(reinterpret_cast<const uint4 *>(row1 + static_cast<int64_t>(c) * kBytes))
                                 : make_uint4(0, 0, 0, 0);
            };
            float sums[T][4] = {};
            uint4 ahead[kDepth][2];
#pragma unroll
            for (int d = 0; d < kDepth; d++) {
                load(d, ahead[d]);
            }
            for (int first = 0; first < steps; first += kDepth) {
#pragma unroll
                for (int d = 0; d < kDepth; d++) {
                    uint4 piece[2] = {ahead[d][0], ahead[d][1]};
                    load(first + d + kDepth, ahead[d]);
                    const uint4 *at = xs + g * stride + ((first + d) * kStepColumns<type> + t * kElements) / 8;
                    float products[T][4] = {};
#pragma unroll
                    for (int part = 0; part < kParts; part += 2) {
                        uint32_t a[2][4];
#pragma unroll
                        for (int k = 0; k < 2; k++) {
                            fragment<type>(piece[0], part + k, a[k][0], a[k][2]);
                            fragment<type>(piece[1], part + k, a[k][1], a[k][3]);
                        }
#pragma unroll
                        for (int j = 0; j < kPieces<type>; j++) {
#pragma unroll
                            for (int v = 0; v < T; v++) {
                                uint4 x = at[(j * T + v) * kVectors * stride + part / 2];
                                const uint32_t b[2][2] = {{x.x, x.y}, {x.z, x.w}};
#pragma unroll
                                for (int k = 0; k < 2; k++) {
                                    if (type == kBF16) {
                                        multiply_bfloat16(products[v], a[k], b[k]);
                                    } else {
                                        multiply_halves(products[v], a[k], b[k]);
                                    }
                                }
                            }
                        }
                    }
#pragma unroll
                    for (int v = 0; v < T; v++) {
#pragma unroll
                        for (int k = 0; k < 4; k++) {
                            sums[v][k] += products[v][k];
                        }
                    }
                }
            }
#pragma unroll
            for (int v = 0; v < T; v++) {
#pragma unroll
                for (int k = 0; k < 4; k++) {
                    int i = k < 2 ? i0 : i1, r = v * kVectors + 2 * t + k % 2;
                    if (i < p.m && r < p.rows) {
                        float *y = p.y + static_cast<int64_t>(r) * p.m + i;
                        float value = sums[v][k] * unscale[r];
                        value = type == kI8 ? value * p.scales[i] : value;
                        *y = value + (c0 > 0 ? *y : p.bias != nullptr ? p.bias[i] : 0.0f);
                    }
                }
            }
        }
    }
}

template <int type, int T>
cudaError_t launch(const Dense &d, const Limits &limits, cudaStream_t stream) {
    constexpr int kFixed = 4 * (kLanes + kMaxVectors);
    /* As many columns at a time as most vectors allow, whatever their number: sums are cut by it. */
    int room = (limits.shared_bytes - kFixed) / (16 * kPieces<type> * kMaxVectors);
    int most = (room - 4) * 8 / kRound<type> * kRound<type>;
    int all = (d.n + kRound<type> - 1) / kRound<type> * kRound<type>;
    /* Rounds of equal length, as few as fit. */
    int rounds = (all + most - 1) / most;
    int columns = ((all + rounds - 1) / rounds + kRound<type> - 1) / kRound<type> * kRound<type>;
    int64_t shared = kFixed + int64_t{16} * kPieces<type> * T * kVectors * vector_stride<type>(columns);
    auto kernel = dense_batch_kernel<type, T>;
    /* It belongs to the kernel, not to the launch: always the same, for other threads and recorded launches have others. */
    cudaError_t e = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, limits.shared_bytes);
    if (e != cudaSuccess) {
        return e;
    }
    int blocks = (d.m + kHeight * kWarps - 1) / (kHeight * kWarps);
    Dense copy = d;
    GOSSET_LAUNCH(kernel, static_cast<unsigned>(blocks < limits.multiprocessors ? blocks : limits.multiprocessors),
                  kThreads, static_cast<size_t>(shared), stream, copy, columns);
    return cudaGetLastError();
}

template <int type>
cudaError_t launch(const Dense &d, const Limits &limits, cudaStream_t stream) {
    return d.rows <= kVectors ? launch<type, 1>(d, limits, stream) : launch<type, 2>(d, limits, stream);
}

}  // namespace

bool takes_dense_batch(const Dense &d) {
    return d.type != kF32 && d.n % (d.type == kI8 ? 16 : 8) == 0;
}

cudaError_t dense_batch(const Dense &d, const Limits &limits, cudaStream_t stream) {
    return d.type == kF16   ? launch<kF16>(d, limits, stream)
           : d.type == kBF16 ? launch<kBF16>(d, limits, stream)
                             : launch<kI8>(d, limits, stream);
}

}  // namespace gosset
