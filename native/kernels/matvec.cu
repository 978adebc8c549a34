/*
 * The quantized product y = Q x for 1 to 16 vectors, on the int8 tensor cores.
 *
 * A code's eight weights, times four, are eight int8: two registers of one row of an A fragment, made by one 8-byte read
 * of a table in shared memory and, per four weights, a shift, a byte permutation and one logical operation. A vector is
 * two columns of B, the high and the low bytes of its 16-bit activations, so that a fragment serves four vectors.
 * Sums are int32 and exact: no order of warps, blocks or retries changes a bit of the result. |sum| stays below
 * 11 * 128 * n < 2^31 for n up to 1.5 million.
 *
 * The table is copied 16 times, so that each lane of a half warp (the unit in which 8-byte reads are served) has a pair of
 * banks of its own. A block's 16 warps share the columns of a tile of 16 rows; each keeps its next loads in flight, also
 * across tiles. The budget that this design answers to, and the instruction counts, are in docs/gpu.md.
 */
#include "codebook.h"
#include "kernels.h"
#include "packing.h"

namespace gosset {

namespace {

constexpr int kWarps = 16;
constexpr int kThreads = kLanes * kWarps;
constexpr int kReplicas = 16;

/* The codes that a lane holds of one unit. */
template <int bits>
struct Load {
    uint4 codes;
};
template <>
struct Load<3> {
    uint4 codes;
    uint2 residual;
};
template <>
struct Load<4> {
    uint4 codes;
    uint4 residual;
};

template <int bits>
GOSSET_DEVICE void fetch(Load<bits> &l, const uint4 *__restrict__ packed, int plane, int at) {
    l.codes = load_once(packed + at);
    if constexpr (bits == 3) {
        l.residual = load_once(reinterpret_cast<const uint2 *>(packed + plane) + at);
    } else if constexpr (bits == 4) {
        l.residual = load_once(packed + plane + at);
    }
}

/*
 * The A fragment of step i: rows g and g + 8, one code each. A code's table entry is numbered by its upper byte and the
 * parity of its signs, which one permutation puts side by side (a parity byte is 0 or 1, so that its sign bit spread over a
 * byte is 0). entry is the distance of table entries in bytes, always 8 kReplicas. It comes from the host so that the
 * compiler cannot know it: of a known power of two it makes shifts and masks, which compete for the integer units that
 * everything else here needs, and the multiplier stands idle.
 */
GOSSET_DEVICE void e8p_fragment(SharedAddress table, uint32_t entry, uint32_t a0, uint32_t parities0, uint32_t signs0,
                                uint32_t a1, uint32_t parities1, uint32_t signs1, int i, uint32_t (&a)[4]) {
    const uint32_t pick = 0xcc40u + 0x1111u * static_cast<uint32_t>(i);
    uint2 m0 = load_shared(table + permute_bytes(a0, parities0, pick) * entry);
    uint2 m1 = load_shared(table + permute_bytes(a1, parities1, pick) * entry);
    a[0] = signed_quads(m0.x, sign_masks(signs0, i, 0));
    a[1] = signed_quads(m1.x, sign_masks(signs1, i, 0));
    a[2] = signed_quads(m0.y, sign_masks(signs0, i, 1));
    a[3] = signed_quads(m1.y, sign_masks(signs1, i, 1));
}

/*
 * Shared memory: the replicated tables (E8P, and for 3 bits E81B behind it), then two buffers of sums, used in turn.
 * fragments: B fragments, each 8 columns. The vectors of this launch are columns first_column .. first_column + columns -
 * 1 of the activations' all_columns. single: there is one vector, so that addresses of activations are constants.
 */
template <int bits, int fragments, bool single>
__global__ void __launch_bounds__(kThreads, fragments == 1 && (bits == 2 || (bits == 4 && single)) ? 2 : 1)
    matvec_kernel(int m, int tiles, int units, const uint4 *__restrict__ packed, const uint2 *__restrict__ activations,
                  int all_columns, int first_column, int columns, const float *__restrict__ scale, float residual_factor,
                  uint32_t entry, float *__restrict__ y) {
    constexpr int kPlanes = bits == 2 ? 1 : 2;
    /* Units in flight: 4 bits load twice as much for each. */
    constexpr int kAhead = bits == 4 ? 2 : 3;
    constexpr int kColumns = 8 * fragments;
    constexpr int kSums = kPlanes * kTileRows * kColumns;
    GOSSET_SHARED(unsigned char, shared);
    uint2 *table = reinterpret_cast<uint2 *>(shared);
    constexpr int kEntries = 512 + (bits == 3 ? 256 : 0);
    int32_t *sums = reinterpret_cast<int32_t *>(shared + kEntries * kReplicas * 8);

    int thread = static_cast<int>(threadIdx.x), lane = thread % kLanes, warp = thread / kLanes;
    int g = lane / 4, q = lane % 4;
    int block = static_cast<int>(blockIdx.x), stride = static_cast<int>(gridDim.x);
    int my_tiles = (tiles - block + stride - 1) / stride;
    int plane = tiles * units * kLanes;
    const int row_columns = single ? 2 : all_columns;
    columns = single ? 2 : columns;

    /*
     * A warp's steps: units warp, warp + kWarps, ... of tile `block`, then of tile block + stride, ... Warps may have
     * different numbers of units, at least one; a warp beyond the last unit does its steps without work, for the barriers.
     * What a step keeps count of is half of what the integer units do here, so that there is one counter for the end (left)
     * and one for the tile.
     */
    const bool works = warp < units;
    const int rounds = works ? (units - warp + kWarps - 1) / kWarps : 1;
    const int tile_jump = (stride * units - (rounds - 1) * kWarps) * kLanes;
    int left = my_tiles * rounds;
    Load<bits> ring[kAhead];
    int fetch_at = (block * units + warp) * kLanes + lane, fetch_round = rounds;
    auto fetch_next = [&](Load<bits> &l, bool more) {
        if (works && more) {
            fetch(l, packed, plane, fetch_at);
        }
        bool last = --fetch_round == 0;
        fetch_at += last ? tile_jump : kWarps * kLanes;
        fetch_round = last ? rounds : fetch_round;
    };
#pragma unroll
    for (int d = 0; d < kAhead; d++) {
        fetch_next(ring[d], d < left);
    }
    for (int i = thread; i < kEntries * kReplicas; i += kThreads) {
        int entry = i / kReplicas;
        uint64_t v = entry < 512 ? codebook_tables.e8p[entry] : codebook_tables.e81b[entry - 512];
        /* Sign bit 0 of a code with odd signs is stored flipped: the table flips it back. */
        uint32_t flip = entry >= 256 && entry < 512 ? 0xfcu : 0u;
        table[i] = make_uint2(static_cast<uint32_t>(v) ^ flip, static_cast<uint32_t>(v >> 32));
    }
    for (int i = thread; i < 2 * kSums; i += kThreads) {
        sums[i] = 0;
    }
    __syncthreads();

    const SharedAddress my_table = shared_address(shared + 8 * (lane % kReplicas));
    /* A lane beyond the columns reads the last one again: what it adds up is not looked at. */
    const uint2 *my_activations[fragments];
#pragma unroll
    for (int f = 0; f < fragments; f++) {
        int column = 8 * f + g < columns ? 8 * f + g : columns - 1;
        my_activations[f] = settled(activations + q * row_columns + first_column + column);
    }
    int32_t acc[kPlanes][fragments][4];
    auto clear = [&] {
#pragma unroll
        for (int p = 0; p < kPlanes; p++) {
#pragma unroll
            for (int f = 0; f < fragments; f++) {
#pragma unroll
                for (int r = 0; r < 4; r++) {
                    acc[p][f][r] = 0;
                }
            }
        }
    };
    clear();

    const int unit_step = kWarps * kUnitCodes * row_columns, first_unit = warp * kUnitCodes * row_columns;
    const int end_unit = first_unit + rounds * unit_step;
    int unit_at = first_unit, tile = block;
    int32_t *mine = sums;
    while (left > 0) {
#pragma unroll
        for (int d = 0; d < kAhead; d++) {
            if (left <= 0) {
                break;
            }
            if (works) {
                uint4 c = ring[d].codes;
                uint32_t parity0 = sign_parity_bytes(c.z), parity1 = sign_parity_bytes(c.w);
                uint32_t rparity0 = 0, rparity1 = 0;
                if constexpr (bits == 4) {
                    uint4 r = ring[d].residual;
                    rparity0 = sign_parity_bytes(r.z);
                    rparity1 = sign_parity_bytes(r.w);
                }
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    uint32_t b[fragments][2];
#pragma unroll
                    for (int f = 0; f < fragments; f++) {
                        uint2 v = load_constant(my_activations[f] + unit_at + 4 * i * row_columns);
                        b[f][0] = v.x;
                        b[f][1] = v.y;
                    }
                    uint32_t a[4];
                    e8p_fragment(my_table, entry, c.x, parity0, c.z, c.y, parity1, c.w, i, a);
#pragma unroll
                    for (int f = 0; f < fragments; f++) {
                        multiply_tile(acc[0][f], a, b[f]);
                    }
                    if constexpr (bits == 3) {
                        const SharedAddress points = my_table + 512 * kReplicas * 8;
                        uint2 r = ring[d].residual;
                        uint2 m0 = load_shared(points + (r.x >> 8 * i & 255u) * 8 * kReplicas);
                        uint2 m1 = load_shared(points + (r.y >> 8 * i & 255u) * 8 * kReplicas);
                        uint32_t ra[4] = {m0.x, m1.x, m0.y, m1.y};
#pragma unroll
                        for (int f = 0; f < fragments; f++) {
                            multiply_tile(acc[kPlanes - 1][f], ra, b[f]);
                        }
                    } else if constexpr (bits == 4) {
                        uint4 r = ring[d].residual;
                        uint32_t ra[4];
                        e8p_fragment(my_table, entry, r.x, rparity0, r.z, r.y, rparity1, r.w, i, ra);
#pragma unroll
                        for (int f = 0; f < fragments; f++) {
                            multiply_tile(acc[kPlanes - 1][f], ra, b[f]);
                        }
                    }
                }
            }
            fetch_next(ring[d], left > kAhead);
            left--;
            unit_at += unit_step;
            if (unit_at == end_unit) {
                /* The tile is done. The next one adds into the other buffer, so that one barrier is enough. */
#pragma unroll
                for (int p = 0; p < kPlanes; p++) {
#pragma unroll
                    for (int f = 0; f < fragments; f++) {
#pragma unroll
                        for (int r = 0; r < 4; r++) {
                            int column = 8 * f + 2 * q + (r & 1);
                            if (column < columns) {
                                int row = g + (r & 2 ? 8 : 0);
                                atomicAdd(&mine[(p * kTileRows + row) * kColumns + column], acc[p][f][r]);
                            }
                        }
                    }
                }
                clear();
                __syncthreads();
                if (thread < kTileRows * kColumns / 2) {
                    int row = thread % kTileRows, vector = thread / kTileRows;
                    int out = tile * kTileRows + row;
                    float sum = 0;
#pragma unroll
                    for (int p = 0; p < kPlanes; p++) {
                        int32_t *at = &mine[(p * kTileRows + row) * kColumns + 2 * vector];
                        float product = static_cast<float>(at[0]) * 256.0f + static_cast<float>(at[1]);
                        sum += product * (p == 0 ? 0.25f : residual_factor);
                        at[0] = 0;
                        at[1] = 0;
                    }
                    if (out < m && 2 * vector < columns) {
                        int v = first_column / 2 + vector;
                        y[static_cast<int64_t>(v) * m + out] = sum * scale[v];
                    }
                }
                mine = mine == sums ? sums + kSums : sums;
                unit_at = first_unit;
                tile += stride;
            }
        }
    }
}

template <int bits, int fragments>
int64_t shared_bytes() {
    return (512 + (bits == 3 ? 256 : 0)) * kReplicas * 8 + 2 * 4 * (bits == 2 ? 1 : 2) * kTileRows * 8 * fragments;
}

template <int bits, int fragments, bool single>
cudaError_t launch(const PackedShape &shape, int batch, const void *packed, const void *activations, const float *scale,
                   float residual_factor, float *y, const Limits &limits, cudaStream_t stream) {
    constexpr int kVectors = 4 * fragments;
    int64_t shared = shared_bytes<bits, fragments>();
    auto kernel = matvec_kernel<bits, fragments, single>;
    cudaError_t e =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
    if (e != cudaSuccess) {
        return e;
    }
    /* Devices that offer one block much also have room for two blocks side by side. */
    int64_t resident = int64_t{limits.multiprocessors} * (limits.shared_bytes >= 2 * shared ? 2 : 1);
    unsigned grid = static_cast<unsigned>(shape.tiles < resident ? shape.tiles : resident);
    int tiles = static_cast<int>(shape.tiles), units = static_cast<int>(shape.units), m = shape.m;
    const uint4 *codes = static_cast<const uint4 *>(packed);
    const uint2 *x = static_cast<const uint2 *>(activations);
    uint32_t entry = 8 * kReplicas;
    for (int vector = 0; vector < batch; vector += kVectors) {
        int columns = 2 * (batch - vector < kVectors ? batch - vector : kVectors);
        int first_column = 2 * vector, all_columns = 2 * batch;
        GOSSET_LAUNCH(kernel, grid, kThreads, static_cast<size_t>(shared), stream, m, tiles, units, codes, x,
                      all_columns, first_column, columns, scale, residual_factor, entry, y);
    }
    return cudaGetLastError();
}

template <int bits>
cudaError_t dispatch(const PackedShape &shape, int batch, const void *packed, const void *activations,
                     const float *scale, float residual_factor, float *y, const Limits &limits, cudaStream_t stream) {
    auto chosen = batch == 1 ? launch<bits, 1, true> : launch<bits, 1, false>;
    if (batch > 8 && limits.shared_bytes >= shared_bytes<bits, 4>()) {
        chosen = launch<bits, 4, false>;
    } else if (batch > 4 && limits.shared_bytes >= shared_bytes<bits, 2>()) {
        chosen = launch<bits, 2, false>;
    }
    return chosen(shape, batch, packed, activations, scale, residual_factor, y, limits, stream);
}

}  // namespace

cudaError_t matvec(int bits, int m, int n, int batch, const void *packed, const void *activations, const float *scale,
                   float residual_scale, float *y, const Limits &limits, cudaStream_t stream) {
    PackedShape shape = packed_shape(m, n);
    if (bits == 2) {
        return dispatch<2>(shape, batch, packed, activations, scale, 0, y, limits, stream);
    }
    if (bits == 3) {
        return dispatch<3>(shape, batch, packed, activations, scale, 0.5f / residual_scale, y, limits, stream);
    }
    return dispatch<4>(shape, batch, packed, activations, scale, 0.25f / residual_scale, y, limits, stream);
}

}  // namespace gosset
