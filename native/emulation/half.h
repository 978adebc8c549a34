/* IEEE binary16 in integer arithmetic, rounding to nearest even, for the emulation and for tests on any machine. */
#ifndef GOSSET_HALF_H
#define GOSSET_HALF_H

#include <cmath>
#include <cstdint>
#include <cstring>

namespace emulation {

inline float half_to_float(uint16_t h) {
    unsigned sign = (h & 0x8000u) << 16, exponent = h >> 10 & 31, fraction = h & 1023;
    if (exponent == 31) {
        unsigned special = sign | 0x7f800000u | fraction << 13;
        float f;
        std::memcpy(&f, &special, 4);
        return f;
    }
    float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                                    : std::ldexp(static_cast<float>(1024 + fraction), static_cast<int>(exponent) - 25);
    return sign ? -magnitude : magnitude;
}

inline uint16_t float_to_half(float f) {
    unsigned u;
    std::memcpy(&u, &f, 4);
    unsigned sign = u >> 16 & 0x8000u;
    float a = std::fabs(f);
    if (std::isnan(f)) {
        return static_cast<uint16_t>(sign | 0x7fff);
    }
    if (a >= 65520.0f) {
        return static_cast<uint16_t>(sign | 0x7c00);
    }
    if (a < 6.103515625e-05f) {
        /* Subnormal: a multiple of 2^-24, to even by lrint. */
        return static_cast<uint16_t>(sign | static_cast<unsigned>(std::lrint(std::ldexp(a, 24))));
    }
    int e;
    float m = std::frexp(a, &e);
    long r = std::lrint(std::ldexp(m, 11));
    if (r == 2048) {
        r = 1024;
        e++;
    }
    return static_cast<uint16_t>(sign | static_cast<unsigned>((e + 14) << 10 | (r - 1024)));
}

}  // namespace emulation

#endif
