/*
 * How the kernels store codes and activations.
 *
 * Codes: the matrix is cut into tiles of 16 rows and units of 128 columns (16 codes); both counts are rounded up, what is
 * beyond m or n is code 0. Unit u of tile t holds 32 lanes of 16 bytes, lane 4 g + q at 16 (32 (t units + u) + 4 g + q):
 *   word 0, 1: byte i is the upper byte of the code in row g (word 0) or g + 8 (word 1), code column 16 u + 4 i + q;
 *   word 2, 3: the lower bytes of the same codes, the sign bits, transposed: bit 8 j + 2 i + h is bit 4 h + j of code i.
 * So a lane's one load is what it feeds four steps of the tensor cores with, and the signs of four weights lie in four
 * bytes, where one permutation makes four masks of them.
 * 4 bits: a second plane of the same form with the residual codes. 3 bits: a second plane with 8 bytes per lane, byte i of
 * word 0 and 1 the residual code.
 *
 * Activations: for each group of 8 columns (16 per unit), `2 batch` times 8 bytes: the high bytes of vector 0, its low
 * bytes, those of vector 1 and so on; byte k belongs to coordinate coordinate_of(k) of the group.
 */
#ifndef GOSSET_PACKING_H
#define GOSSET_PACKING_H

#include <cstdint>

#include "platform.h"

namespace gosset {

constexpr int kTileRows = 16;
constexpr int kUnitCodes = 16;
constexpr int kUnitColumns = 8 * kUnitCodes;
/* x = scale (256 hi + lo); the largest |x| becomes 127 * 256, so that rounding never leaves int8. */
constexpr float kActivationSteps = 32512.0f;

struct PackedShape {
    int m, n;
    int64_t tiles, units;

    /* 16-byte lanes of one plane. */
    int64_t lanes() const { return tiles * units * kLanes; }
    int64_t bytes(int bits) const { return lanes() * 16 + (bits == 4 ? lanes() * 16 : bits == 3 ? lanes() * 8 : 0); }
};

inline PackedShape packed_shape(int m, int n) {
    return {m, n, (m + int64_t{kTileRows} - 1) / kTileRows, (n + int64_t{kUnitColumns} - 1) / kUnitColumns};
}

inline int64_t activation_bytes(int n, int batch) { return packed_shape(1, n).units * kUnitCodes * batch * 2 * 8; }

}  // namespace gosset

#endif
