/*
 * The codebooks' tables, computed by the compiler from their definitions (spec: dev.gosset.core.codebook.E8p and E81b).
 *
 * Position k of a point's bytes is the coordinate whose sign is bit k of an E8P code: 0, 2, 4, 6, 1, 3, 5, 7.
 */
#ifndef GOSSET_CODEBOOK_H
#define GOSSET_CODEBOOK_H

#include <cstdint>

#include "platform.h"

namespace gosset {

constexpr int kDimension = 8;
constexpr int kE8pRows = 256;

GOSSET_BOTH constexpr int coordinate_of(int k) { return k < 4 ? 2 * k : 2 * k - 7; }
constexpr int position_of(int c) { return c % 2 == 0 ? c / 2 : (c + 7) / 2; }

struct CodebookTables {
    /*
     * Entry a + 256 odd: four times the point of magnitudes a with all sign bits 0, one int8 per position. The upper six
     * bits are 4u, u = floor(magnitude); flipping them negates: -(4u + 2) + s = 4 ~u + 2 + s for s = +-1. The lower two
     * bits are 2 + s, 3 for the shift +1/4 and 1 for -1/4, whatever the sign.
     */
    uint64_t e8p[2 * kE8pRows];
    /* Twice the points of E81B, one int8 per position. */
    uint64_t e81b[256];
    /* The same for the search, in the order of the coordinates: magnitudes and points, and their squared norms. */
    float magnitude[kE8pRows][kDimension];
    float magnitude_norm[kE8pRows];
    float point[256][kDimension];
    float point_norm[256];
    /* The sum of each row of magnitudes, modulo 2, 32 rows per word. */
    uint32_t parity[kE8pRows / 32];
};

constexpr CodebookTables make_codebook_tables() {
    CodebookTables t = {};
    int doubled[kE8pRows][kDimension] = {};
    int filled = 0;
    for (int number = 0; number < 6561; number++) {
        int v[kDimension] = {}, norm = 0;
        for (int c = kDimension - 1, rest = number; c >= 0; c--, rest /= 3) {
            v[c] = 2 * (rest % 3) + 1;
            norm += v[c] * v[c];
        }
        if (norm <= 40) {
            for (int c = 0; c < kDimension; c++) {
                doubled[filled][c] = v[c];
            }
            filled++;
        }
    }
    const int norm12[] = {31113333, 13113333, 11313333, 11133333, 33313311, 33313131, 33311331, 33313113,
                          33311313, 33311133, 33133311, 33133131, 33131331, 33133113, 33131313, 33131133,
                          31333311, 31333131, 31331331, 31333113, 31331313, 13331133, 13333311, 13333131,
                          13331331, 13333113, 13331313, 11331333, 33113331};
    for (int digits : norm12) {
        for (int c = kDimension - 1, rest = digits; c >= 0; c--, rest /= 10) {
            doubled[filled][c] = rest % 10;
        }
        filled++;
    }
    for (int a = 0; a < kE8pRows; a++) {
        int sum = 0, norm = 0;
        for (int c = 0; c < kDimension; c++) {
            sum += doubled[a][c];
            norm += doubled[a][c] * doubled[a][c];
            t.magnitude[a][c] = doubled[a][c] / 2.0f;
        }
        t.magnitude_norm[a] = norm / 4.0f;
        int parity = sum / 2 & 1;
        t.parity[a / 32] |= static_cast<uint32_t>(parity) << a % 32;
        for (int odd = 0; odd < 2; odd++) {
            for (int k = 0; k < kDimension; k++) {
                int c = coordinate_of(k), u = (doubled[a][c] - 1) / 2;
                int upper = c == 7 && parity == 1 ? -u - 1 : u;
                int value = 4 * upper + (odd == 1 ? 1 : 3);
                t.e8p[a + 256 * odd] |= static_cast<uint64_t>(value & 255) << 8 * k;
            }
        }
    }
    int points[256][kDimension] = {}, code = 0;
    for (int number = 0; number < 6561; number++) {
        int v[kDimension] = {}, norm = 0;
        for (int c = kDimension - 1, rest = number; c >= 0; c--, rest /= 3) {
            v[c] = rest % 3 - 1;
            norm += v[c] * v[c];
        }
        if (norm == 0 || norm == 2) {
            for (int c = 0; c < kDimension; c++) {
                points[code][c] = 2 * v[c];
            }
            code++;
        }
    }
    for (int bits = 0; bits < 256; bits++) {
        int ones = 0;
        for (int c = 0; c < kDimension; c++) {
            ones += bits >> c & 1;
        }
        if (ones % 2 == 0) {
            for (int c = 0; c < kDimension; c++) {
                points[code][c] = 2 * (bits >> (kDimension - 1 - c) & 1) - 1;
            }
            code++;
        }
    }
    for (int i = 0; code < 256; i++, code++) {
        points[code][i % kDimension] = i < kDimension ? 4 : -4;
    }
    for (int p = 0; p < 256; p++) {
        int norm = 0;
        for (int c = 0; c < kDimension; c++) {
            norm += points[p][c] * points[p][c];
            t.point[p][c] = points[p][c] / 2.0f;
            t.e81b[p] |= static_cast<uint64_t>(points[p][c] & 255) << 8 * position_of(c);
        }
        t.point_norm[p] = norm / 4.0f;
    }
    return t;
}

GOSSET_TABLE CodebookTables codebook_tables = make_codebook_tables();

/* The eight int8 of four times a point, positions 0..3 and 4..7, from its table entry and its sign bits' masks. */
GOSSET_DEVICE uint32_t signed_quads(uint32_t magnitudes, uint32_t signs) { return magnitudes ^ (signs & 0xfcfcfcfcu); }

/*
 * The sign word of four codes, see packing.h: bit 8 j + 2 i + h is sign bit 4 h + j of code i. Bit 2 i of the result is
 * 1 where the signs of code i are odd in number.
 */
GOSSET_DEVICE uint32_t sign_parities(uint32_t signs) {
    uint32_t s = signs ^ permute_bytes(signs, 0, 0x1032);
    s ^= permute_bytes(s, 0, 0x2103);
    return s ^ s >> 1;
}

/* The same in another place: byte i of the result is 1 where the signs of code i are odd in number, else 0. */
GOSSET_DEVICE uint32_t sign_parity_bytes(uint32_t signs) {
    uint32_t s = signs ^ permute_bytes(signs, 0, 0x1032);
    s ^= permute_bytes(s, 0, 0x2103);
    /* Bits 0, 2, 4 and 6 go to bits 0, 8, 16 and 24; what else the multiplication makes lies between those. */
    return ((s ^ s >> 1) & 0x55u) * 0x41041u & 0x01010101u;
}

/* Sign bit 0 of an odd code is stored flipped. */
GOSSET_DEVICE uint32_t true_signs(uint32_t signs, uint32_t parities) { return signs ^ (parities & 0x55u); }

/* 0xff in byte j where sign bit 4 h + j of code i is set, else 0. */
GOSSET_DEVICE uint32_t sign_masks(uint32_t true_sign_word, int i, int h) {
    return permute_bytes(true_sign_word << (7 - 2 * i - h), 0, 0xba98);
}

}  // namespace gosset

#endif
