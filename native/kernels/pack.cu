/*
 * Codes from one layout into another, and into F16 for a GEMM. Runs once per weight, or once per prefill.
 */
#include "codebook.h"
#include "kernels.h"
#include "packing.h"

namespace gosset {

namespace {

constexpr int kThreads = 256;

/* Lower bytes of four codes into the transposed sign word. */
GOSSET_DEVICE uint32_t transpose_signs(const uint32_t (&b)[4]) {
    uint32_t word = 0;
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < 8; k++) {
            word |= (b[i] >> k & 1) << (8 * (k % 4) + 2 * i + k / 4);
        }
    }
    return word;
}

/* One thread per lane of the packed layout; planes: 16-bit codes, and the residuals where there are any. */
__global__ void __launch_bounds__(kThreads)
    pack_kernel(int bits, int m, int n, int64_t units, int64_t lanes, const uint16_t *__restrict__ codes,
                const void *__restrict__ residual, uint4 *__restrict__ packed) {
    int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at >= lanes) {
        return;
    }
    int lane = static_cast<int>(at % kLanes), g = lane / 4, q = lane % 4;
    int64_t unit = at / kLanes % units, tile = at / kLanes / units;
    int64_t groups = (n + 7) / 8;
    uint32_t upper[2] = {0, 0}, signs[2], rupper[2] = {0, 0}, rsigns[2];
    for (int r = 0; r < 2; r++) {
        int64_t row = tile * kTileRows + g + 8 * r;
        uint32_t lower[4] = {0, 0, 0, 0}, rlower[4] = {0, 0, 0, 0};
        for (int i = 0; i < 4; i++) {
            int64_t group = unit * kUnitCodes + 4 * i + q;
            if (row < m && group < groups) {
                int64_t from = row * groups + group;
                uint32_t code = codes[from];
                upper[r] |= (code >> 8) << 8 * i;
                lower[i] = code & 255;
                if (bits == 3) {
                    rupper[r] |= static_cast<uint32_t>(static_cast<const uint8_t *>(residual)[from]) << 8 * i;
                } else if (bits == 4) {
                    uint32_t second = static_cast<const uint16_t *>(residual)[from];
                    rupper[r] |= (second >> 8) << 8 * i;
                    rlower[i] = second & 255;
                }
            }
        }
        signs[r] = transpose_signs(lower);
        rsigns[r] = transpose_signs(rlower);
    }
    packed[at] = make_uint4(upper[0], upper[1], signs[0], signs[1]);
    if (bits == 3) {
        reinterpret_cast<uint2 *>(packed + lanes)[at] = make_uint2(rupper[0], rupper[1]);
    } else if (bits == 4) {
        packed[lanes + at] = make_uint4(rupper[0], rupper[1], rsigns[0], rsigns[1]);
    }
}

/* The eight float values of a code, in the order of the positions; bytes are 4 w. */
GOSSET_DEVICE void e8p_values(uint32_t a, uint32_t parities, uint32_t signs, int i, float (&v)[8]) {
    uint64_t entry = codebook_tables.e8p[(a >> 8 * i & 255) + 256 * (parities >> 2 * i & 1)];
    uint32_t half[2] = {signed_quads(static_cast<uint32_t>(entry), sign_masks(signs, i, 0)),
                        signed_quads(static_cast<uint32_t>(entry >> 32), sign_masks(signs, i, 1))};
    for (int k = 0; k < 8; k++) {
        v[k] = static_cast<float>(static_cast<signed char>(half[k / 4] >> 8 * (k % 4) & 255)) * 0.25f;
    }
}

/* One thread per lane of the tiles from first_tile on. */
__global__ void __launch_bounds__(kThreads)
    decode_kernel(int bits, int first_row, int last_row, int64_t first_tile, int64_t tiles, int groups, int64_t units,
                  int64_t lanes, const uint4 *__restrict__ packed, float residual_scale, __half *__restrict__ out) {
    int64_t w = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (w >= tiles * units * kLanes) {
        return;
    }
    int64_t at = first_tile * units * kLanes + w;
    int lane = static_cast<int>(at % kLanes), g = lane / 4, q = lane % 4;
    int64_t unit = at / kLanes % units, tile = at / kLanes / units;
    uint4 c = packed[at], second = make_uint4(0, 0, 0, 0);
    if (bits == 3) {
        uint2 r = reinterpret_cast<const uint2 *>(packed + lanes)[at];
        second.x = r.x;
        second.y = r.y;
    } else if (bits == 4) {
        second = packed[lanes + at];
    }
    for (int r = 0; r < 2; r++) {
        int64_t row = tile * kTileRows + g + 8 * r;
        if (row < first_row || row >= last_row) {
            continue;
        }
        uint32_t a = r == 0 ? c.x : c.y, word = r == 0 ? c.z : c.w, parities = sign_parities(word);
        uint32_t ra = r == 0 ? second.x : second.y, rword = r == 0 ? second.z : second.w;
        uint32_t rparities = sign_parities(rword);
        for (int i = 0; i < 4; i++) {
            int64_t group = unit * kUnitCodes + 4 * i + q;
            if (group >= groups) {
                continue;
            }
            float v[8], residual[8];
            e8p_values(a, parities, true_signs(word, parities), i, v);
            if (bits == 3) {
                uint64_t entry = codebook_tables.e81b[ra >> 8 * i & 255];
                for (int k = 0; k < 8; k++) {
                    residual[k] = static_cast<float>(static_cast<signed char>(entry >> 8 * k & 255)) * 0.5f;
                }
            } else if (bits == 4) {
                e8p_values(ra, rparities, true_signs(rword, rparities), i, residual);
            }
            __half values[8];
            for (int k = 0; k < 8; k++) {
                values[coordinate_of(k)] = __float2half_rn(bits == 2 ? v[k] : v[k] + residual[k] / residual_scale);
            }
            __half *to = out + ((row - first_row) * groups + group) * 8;
            for (int k = 0; k < 8; k++) {
                to[k] = values[k];
            }
        }
    }
}

__global__ void __launch_bounds__(kThreads)
    codes_to_planes_kernel(int bits, int64_t count, const int32_t *__restrict__ codes, uint16_t *__restrict__ planes) {
    int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count) {
        return;
    }
    uint32_t code = static_cast<uint32_t>(codes[i]);
    if (bits == 2) {
        planes[i] = static_cast<uint16_t>(code);
    } else {
        planes[i] = static_cast<uint16_t>(code >> 16);
        if (bits == 3) {
            reinterpret_cast<uint8_t *>(planes + count)[i] = static_cast<uint8_t>(code);
        } else {
            planes[count + i] = static_cast<uint16_t>(code);
        }
    }
}

unsigned blocks_for(int64_t threads) { return static_cast<unsigned>((threads + kThreads - 1) / kThreads); }

}  // namespace

cudaError_t pack(int bits, int m, int n, const void *codes, void *packed, cudaStream_t stream) {
    PackedShape shape = packed_shape(m, n);
    int64_t groups = (n + int64_t{7}) / 8, lanes = shape.lanes(), units = shape.units;
    const uint16_t *plane = static_cast<const uint16_t *>(codes);
    const void *residual = plane + m * groups;
    uint4 *to = static_cast<uint4 *>(packed);
    GOSSET_LAUNCH(pack_kernel, blocks_for(lanes), kThreads, 0, stream, bits, m, n, units, lanes, plane, residual, to);
    return cudaGetLastError();
}

cudaError_t decode(int bits, int m, int n, const void *packed, int first_row, int rows, float residual_scale,
                   __half *out, cudaStream_t stream) {
    PackedShape shape = packed_shape(m, n);
    int64_t first_tile = first_row / kTileRows;
    int64_t tiles = (first_row + int64_t{rows} + kTileRows - 1) / kTileRows - first_tile;
    int64_t units = shape.units, lanes = shape.lanes();
    int groups = (n + 7) / 8, last_row = first_row + rows;
    const uint4 *from = static_cast<const uint4 *>(packed);
    GOSSET_LAUNCH(decode_kernel, blocks_for(tiles * units * kLanes), kThreads, 0, stream, bits, first_row, last_row,
                  first_tile, tiles, groups, units, lanes, from, residual_scale, out);
    return cudaGetLastError();
}

cudaError_t codes_to_planes(int bits, int m, int n, const int32_t *codes, void *planes, cudaStream_t stream) {
    int64_t count = static_cast<int64_t>(m) * ((n + 7) / 8);
    uint16_t *to = static_cast<uint16_t *>(planes);
    GOSSET_LAUNCH(codes_to_planes_kernel, blocks_for(count), kThreads, 0, stream, bits, count, codes, to);
    return cudaGetLastError();
}

}  // namespace gosset
