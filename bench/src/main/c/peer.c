/*
 * The C peer of the benchmarks: the transform, the decoding matrix-vector product and the nearest-point search in C with
 * AVX-512 intrinsics, written from the format's description (docs/formats.md and the codebook classes), so that the Java
 * kernels are measured against what C can do with the same algorithms. Not part of the product.
 *
 * Without AVX-512 (F, BW, VL, VBMI, VNNI, BITALG) plain loops stand in, which the compiler may vectorize, and
 * gp_features() says so.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512VBMI__) \
    && defined(__AVX512VNNI__) && defined(__AVX512BITALG__)
#define WIDE 1
#include <immintrin.h>
#else
#define WIDE 0
#endif

#define BIAS 12.0f

static float magnitude[256][8];   /* S */
static int8_t parity_of[256];     /* of the sum of a row of S */
static float e8p_mag[256][8] __attribute__((aligned(64)));    /* float bits, see gp_init */
static float e8p_sign[256][8] __attribute__((aligned(64)));   /* XOR masks */
static float e81b[256][8] __attribute__((aligned(64)));
static uint8_t plane0[256] __attribute__((aligned(64)));      /* 2-bit magnitudes of sign bits 0..3 */
static uint8_t plane1[256] __attribute__((aligned(64)));      /* ... 4..7 */
static uint16_t code_of_key[6561]; /* base-3 key of a row -> a << 8 | parity << 7 */
static int shell_count;
static uint8_t shell[32][3];       /* rows of norm 12: the sign bits of their three 1/2 */
static int shell_key[32];

static int coordinate(int bit) { return bit < 4 ? 2 * bit : 2 * bit - 7; }

static const char *const NORM_12[29] = {
    "31113333", "13113333", "11313333", "11133333", "33313311", "33313131", "33311331", "33313113", "33311313",
    "33311133", "33133311", "33133131", "33131331", "33133113", "33131313", "33131133", "31333311", "31333131",
    "31331331", "31333113", "31331313", "13331133", "13333311", "13333131", "13331331", "13333113", "13331313",
    "11331333", "33113331"};

static void e8p_decode(int code, float *v) {
    int a = code >> 8 & 255, b = code & 255, odd = __builtin_popcount(b) & 1;
    b ^= odd;
    for (int k = 0; k < 8; k++) {
        int c = coordinate(k), negative = (b >> k & 1) ^ (c == 7 ? parity_of[a] : 0);
        v[c] = (negative ? -magnitude[a][c] : magnitude[a][c]) + (odd ? -0.25f : 0.25f);
    }
}

static uint32_t bits_of(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

static void put_bits(float *at, uint32_t u) { memcpy(at, &u, 4); }

/* Fills the tables. Call once, before everything else. */
void gp_init(void) {
    int rows = 0;
    for (int number = 0; number < 6561; number++) {
        int v[8], norm = 0, rest = number;
        for (int c = 7; c >= 0; c--, rest /= 3) {
            v[c] = 2 * (rest % 3) + 1;
            norm += v[c] * v[c];
        }
        if (norm <= 40) {
            for (int c = 0; c < 8; c++) magnitude[rows][c] = v[c] / 2.0f;
            rows++;
        }
    }
    for (int i = 0; i < 29; i++, rows++)
        for (int c = 0; c < 8; c++) magnitude[rows][c] = (NORM_12[i][c] - '0') / 2.0f;
    shell_count = 0;
    for (int a = 0; a < 256; a++) {
        float sum = 0, norm = 0;
        int key = 0, halves = 0;
        uint8_t half[8];
        plane0[a] = plane1[a] = 0;
        for (int c = 0; c < 8; c++) sum += magnitude[a][c], norm += magnitude[a][c] * magnitude[a][c];
        parity_of[a] = (int)sum & 1;
        for (int k = 7; k >= 0; k--) {
            int m = (int)(magnitude[a][coordinate(k)] - 0.5f);
            key = 3 * key + m;
            if (k < 4) plane0[a] |= m << 2 * k;
            else plane1[a] |= m << 2 * (k - 4);
        }
        for (int k = 0; k < 8; k++)
            if (magnitude[a][coordinate(k)] == 0.5f) half[halves++] = k;
        code_of_key[key] = a << 8 | parity_of[a] << 7;
        if (norm == 12) {
            memcpy(shell[shell_count], half, 3);
            shell_key[shell_count++] = key;
        }
    }
    for (int i = 0; i < 256; i++) {
        float v[8];
        e8p_decode(i << 8, v);
        for (int c = 0; c < 8; c++) e8p_mag[i][c] = v[c] + BIAS;
        e8p_decode(i, v);
        for (int c = 0; c < 8; c++) put_bits(&e8p_sign[i][c], bits_of(v[c] + BIAS) ^ bits_of(0.75f + BIAS));
    }
    int code = 0;
    for (int number = 0; number < 6561; number++) {
        int norm = 0, rest = number;
        for (int c = 7; c >= 0; c--, rest /= 3) {
            int v = rest % 3 - 1;
            norm += v * v;
            e81b[code][c] = v;
        }
        if (norm == 0 || norm == 2) code++;
    }
    for (int b = 0; b < 256; b++)
        if (!(__builtin_popcount(b) & 1)) {
            for (int c = 0; c < 8; c++) e81b[code][c] = (b >> (7 - c) & 1) ? 0.5f : -0.5f;
            code++;
        }
    for (int i = 0; code < 256; i++, code++) {
        memset(e81b[code], 0, 32);
        e81b[code][i % 8] = i < 8 ? 2 : -2;
    }
}

/* 1 where the AVX-512 code runs. */
int gp_features(void) { return WIDE; }

/* ------------------------------------------------------------------------------------------------ physical limits */

/* Reads bytes (a multiple of 512) once. */
int64_t gp_read(const void *data, int64_t bytes) {
#if WIDE
    const __m512i *p = data;
    __m512i s[8];
    for (int i = 0; i < 8; i++) s[i] = _mm512_setzero_si512();
    for (int64_t i = 0; i < bytes / 64; i += 8)
        for (int j = 0; j < 8; j++) s[j] = _mm512_xor_si512(s[j], _mm512_load_si512(p + i + j));
    for (int j = 1; j < 8; j++) s[0] = _mm512_xor_si512(s[0], s[j]);
    return _mm512_reduce_add_epi64(s[0]);
#else
    const int64_t *p = data;
    int64_t s = 0;
    for (int64_t i = 0; i < bytes / 8; i++) s ^= p[i];
    return s;
#endif
}

void gp_copy(void *to, const void *from, int64_t bytes) { memcpy(to, from, bytes); }

/* A chain of count dependent multiplications of 3 cycles each: the clock. */
int64_t gp_chain(int64_t count) {
    int64_t v = count | 1;
#if defined(__x86_64__)
    for (int64_t i = 0; i < count; i += 8)
        __asm__ volatile("imul %0, %0\n imul %0, %0\n imul %0, %0\n imul %0, %0\n"
                         "imul %0, %0\n imul %0, %0\n imul %0, %0\n imul %0, %0\n"
                         : "+r"(v));
#endif
    return v;
}

/* ------------------------------------------------------------------------------------------------ the transform */

static void sylvester_plain(float *x, int from, int p) {
    for (int h = from; h < p; h *= 2)
        for (int b = 0; b < p; b += 2 * h)
            for (int i = b; i < b + h; i++) {
                float u = x[i], v = x[i + h];
                x[i] = u + v;
                x[i + h] = u - v;
            }
}

#if WIDE
#define LD(p) _mm512_loadu_ps(p)
#define ST(p, v) _mm512_storeu_ps(p, v)
#define ADD(a, b) _mm512_add_ps(a, b)
#define SUB(a, b) _mm512_sub_ps(a, b)

static inline __m512 in_register(__m512 v, const __m512 *s) {
    v = _mm512_fmadd_ps(v, s[0], _mm512_permute_ps(v, 0xb1));
    v = _mm512_fmadd_ps(v, s[1], _mm512_permute_ps(v, 0x4e));
    v = _mm512_fmadd_ps(v, s[2], _mm512_shuffle_f32x4(v, v, 0xb1));
    return _mm512_fmadd_ps(v, s[3], _mm512_shuffle_f32x4(v, v, 0x4e));
}

static void fours(float *x, int size, float scale) {
    __m512 s[4], f = _mm512_set1_ps(scale);
    for (int b = 0; b < 4; b++) {
        float t[16];
        for (int i = 0; i < 16; i++) t[i] = i >> b & 1 ? -1 : 1;
        s[b] = LD(t);
    }
    for (int i = 0; i < size; i += 64) {
        float *p = x + i;
        __m512 a = in_register(_mm512_mul_ps(LD(p), f), s), b = in_register(_mm512_mul_ps(LD(p + 16), f), s);
        __m512 c = in_register(_mm512_mul_ps(LD(p + 32), f), s), d = in_register(_mm512_mul_ps(LD(p + 48), f), s);
        __m512 e = ADD(a, b), g = SUB(a, b), h = ADD(c, d), k = SUB(c, d);
        ST(p, ADD(e, h));
        ST(p + 16, ADD(g, k));
        ST(p + 32, SUB(e, h));
        ST(p + 48, SUB(g, k));
    }
}

static void radix2(float *x, int size, int h) {
    for (int b = 0; b < size; b += 2 * h)
        for (int i = b; i < b + h; i += 16) {
            __m512 u = LD(x + i), v = LD(x + i + h);
            ST(x + i, ADD(u, v));
            ST(x + i + h, SUB(u, v));
        }
}

static void radix4(float *x, int size, int h) {
    for (int b = 0; b < size; b += 4 * h)
        for (int i = b; i < b + h; i += 16) {
            float *p = x + i;
            __m512 u = LD(p), v = LD(p + h), w = LD(p + 2 * h), z = LD(p + 3 * h);
            __m512 e = ADD(u, v), f = SUB(u, v), g = ADD(w, z), k = SUB(w, z);
            ST(p, ADD(e, g));
            ST(p + h, ADD(f, k));
            ST(p + 2 * h, SUB(e, g));
            ST(p + 3 * h, SUB(f, k));
        }
}

static void radix8(float *x, int size, int h) {
    for (int b = 0; b < size; b += 8 * h)
        for (int i = b; i < b + h; i += 16) {
            __m512 a[8], c[8];
            for (int j = 0; j < 8; j++) a[j] = LD(x + i + j * h);
            for (int j = 0; j < 8; j += 2) c[j] = ADD(a[j], a[j + 1]), c[j + 1] = SUB(a[j], a[j + 1]);
            for (int j = 0; j < 8; j += 4)
                for (int m = 0; m < 2; m++) a[j + m] = ADD(c[j + m], c[j + m + 2]), a[j + m + 2] = SUB(c[j + m], c[j + m + 2]);
            for (int j = 0; j < 4; j++) {
                ST(x + i + j * h, ADD(a[j], a[j + 4]));
                ST(x + i + (j + 4) * h, SUB(a[j], a[j + 4]));
            }
        }
}

static void passes(float *x, int size, int h, int largest) {
    while (h < size) {
        int ratio = size / h;
        if (ratio == 2) {
            radix2(x, size, h);
            h *= 2;
        } else if (largest == 4 || ratio == 4 || ratio == 16) {
            radix4(x, size, h);
            h *= 4;
        } else {
            radix8(x, size, h);
            h *= 8;
        }
    }
}

static void sylvester(float *x, int p, float scale) {
    if (p < 64) {
        for (int i = 0; i < p; i++) x[i] *= scale;
        sylvester_plain(x, 1, p);
        return;
    }
    int block = p < 4096 ? p : 4096;
    for (int i = 0; i < p; i += block) {
        fours(x + i, block, scale);
        passes(x + i, block, 64, 8);
    }
    if (p > block) passes(x, p, block, 4);
}
#else
static void sylvester(float *x, int p, float scale) {
    for (int i = 0; i < p; i++) x[i] *= scale;
    sylvester_plain(x, 1, p);
}
#endif

/* x <- U x, or U^T x: M_k (x) S_{n/k} over sqrt(n). matrix is k x k, row-major; scratch 64 k floats. */
void gp_transform(float *x, int n, int k, const float *matrix, int transpose, float *scratch) {
    int p = n / k;
    float scale = 1 / sqrtf((float)n);
    for (int s = 0; s < k; s++) sylvester(x + (int64_t)s * p, p, scale);
    if (k == 1) return;
    int down = transpose ? 1 : k, across = transpose ? k : 1;
#if WIDE
    if (p >= 32 && k % 4 == 0) {
        for (int column = 0; column < p; column += 32) {
            for (int j = 0; j < k; j++) memcpy(scratch + 32 * j, x + (int64_t)j * p + column, 128);
            for (int i = 0; i < k; i += 4) {
                __m512 acc[4][2];
                for (int r = 0; r < 4; r++) acc[r][0] = acc[r][1] = _mm512_setzero_ps();
                for (int j = 0; j < k; j++) {
                    __m512 u = LD(scratch + 32 * j), v = LD(scratch + 32 * j + 16);
                    for (int r = 0; r < 4; r++) {
                        __m512 m = _mm512_set1_ps(matrix[(i + r) * down + j * across]);
                        acc[r][0] = _mm512_fmadd_ps(u, m, acc[r][0]);
                        acc[r][1] = _mm512_fmadd_ps(v, m, acc[r][1]);
                    }
                }
                for (int r = 0; r < 4; r++) {
                    ST(x + (int64_t)(i + r) * p + column, acc[r][0]);
                    ST(x + (int64_t)(i + r) * p + column + 16, acc[r][1]);
                }
            }
        }
        return;
    }
#endif
    for (int column = 0; column < p; column++) {
        for (int j = 0; j < k; j++) scratch[j] = x[(int64_t)j * p + column];
        for (int i = 0; i < k; i++) {
            float sum = 0;
            for (int j = 0; j < k; j++) sum += matrix[i * down + j * across] * scratch[j];
            x[(int64_t)i * p + column] = sum;
        }
    }
}

/* ------------------------------------------------------------------------------------------------ table matvec */

/* y[i] = sum over the row's codes of <point, x>: 2, 3 or 4 bits in Gosset's own planes (CodeMatrix). */
void gp_matvec_table(const uint16_t *codes, const void *residual, int bits, float residual_scale, int groups,
                     const float *x, float *y, int first, int last) {
    for (int row = first; row < last; row++) {
        const uint16_t *c0 = codes + (int64_t)row * groups;
        float sum[8] = {0}, rest[8] = {0};
#if WIDE
        if (row + 4 <= last) {
            __m256 s[4], t[4], bias = _mm256_set1_ps(BIAS);
            const uint16_t *c1 = (const uint16_t *)residual + (int64_t)row * groups;
            const uint8_t *b1 = (const uint8_t *)residual + (int64_t)row * groups;
            for (int r = 0; r < 4; r++) s[r] = t[r] = _mm256_setzero_ps();
            for (int g = 0; g < groups; g++) {
                __m256 v = _mm256_loadu_ps(x + 8 * g);
                for (int r = 0; r < 4; r++) {
                    int c = c0[(int64_t)r * groups + g];
                    __m256 w = _mm256_xor_ps(_mm256_load_ps(e8p_mag[c >> 8]), _mm256_load_ps(e8p_sign[c & 255]));
                    s[r] = _mm256_fmadd_ps(_mm256_sub_ps(w, bias), v, s[r]);
                }
                if (bits == 4)
                    for (int r = 0; r < 4; r++) {
                        int c = c1[(int64_t)r * groups + g];
                        __m256 w = _mm256_xor_ps(_mm256_load_ps(e8p_mag[c >> 8]), _mm256_load_ps(e8p_sign[c & 255]));
                        t[r] = _mm256_fmadd_ps(_mm256_sub_ps(w, bias), v, t[r]);
                    }
                else if (bits == 3)
                    for (int r = 0; r < 4; r++)
                        t[r] = _mm256_fmadd_ps(_mm256_load_ps(e81b[b1[(int64_t)r * groups + g]]), v, t[r]);
            }
            for (int r = 0; r < 4; r++) {
                float u[8], w[8], a = 0, b = 0;
                _mm256_storeu_ps(u, s[r]);
                _mm256_storeu_ps(w, t[r]);
                for (int i = 0; i < 8; i++) a += u[i], b += w[i];
                y[row + r] = a + b / residual_scale;
            }
            row += 3;
            continue;
        }
#endif
        for (int g = 0; g < groups; g++) {
            int c = c0[g];
            for (int i = 0; i < 8; i++) {
                float w;
                put_bits(&w, bits_of(e8p_mag[c >> 8][i]) ^ bits_of(e8p_sign[c & 255][i]));
                sum[i] += (w - BIAS) * x[8 * g + i];
            }
            if (bits == 4) {
                c = ((const uint16_t *)residual)[(int64_t)row * groups + g];
                for (int i = 0; i < 8; i++) {
                    float w;
                    put_bits(&w, bits_of(e8p_mag[c >> 8][i]) ^ bits_of(e8p_sign[c & 255][i]));
                    rest[i] += (w - BIAS) * x[8 * g + i];
                }
            } else if (bits == 3) {
                c = ((const uint8_t *)residual)[(int64_t)row * groups + g];
                for (int i = 0; i < 8; i++) rest[i] += e81b[c][i] * x[8 * g + i];
            }
        }
        float a = 0, b = 0;
        for (int i = 0; i < 8; i++) a += sum[i], b += rest[i];
        y[row] = a + b / residual_scale;
    }
}

/* ------------------------------------------------------------------------------------------------ VNNI matvec */

/*
 * 2-bit codes for gp_matvec_vnni, as many bytes as before: for each 16 rows and 4 groups 64 magnitude bytes, row by row,
 * then 64 bytes with the signs of the sign bits 1..7 and, in bit 0, the shift. rows a multiple of 16, groups of 4.
 */
void gp_pack(const uint16_t *codes, int rows, int groups, uint8_t *out) {
    for (int block = 0; block < rows; block += 16)
        for (int g = 0; g < groups; g += 4, out += 128)
            for (int r = 0; r < 16; r++)
                for (int j = 0; j < 4; j++) {
                    int c = codes[(int64_t)(block + r) * groups + g + j], a = c >> 8, b = c & 255;
                    int odd = __builtin_popcount(b) & 1;
                    out[4 * r + j] = a;
                    out[64 + 4 * r + j] = ((b ^ odd ^ parity_of[a] << 7) & 0xfe) | odd;
                }
}

/* int8 activations in the order of the sign bits, and per group the sum in two bytes: 8 groups + 2 groups bytes. */
static float quantize_x(const float *x, int groups, int8_t *q, int8_t *high, int8_t *low, int64_t *sum) {
    float largest = 1e-30f;
    for (int i = 0; i < 8 * groups; i++) largest = fmaxf(largest, fabsf(x[i]));
    float inverse = 127 / largest;
    *sum = 0;
    for (int g = 0; g < groups; g++) {
        int s = 0;
        for (int k = 0; k < 8; k++) s += q[8 * g + k] = (int8_t)lrintf(x[8 * g + coordinate(k)] * inverse);
        high[g] = (int8_t)(s >> 4);
        low[g] = s & 15;
        *sum += s;
    }
    return largest / 127;
}

#if WIDE
static inline __m512i lookup256(__m512i index, const __m512i *t) {
    __m512i low = _mm512_permutex2var_epi8(t[0], index, t[1]), high = _mm512_permutex2var_epi8(t[2], index, t[3]);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high);
}
#endif

/* Rows first..last, multiples of 16. scratch: 10 bytes a group. int8 activations with one scale, as VNNI wants them. */
void gp_matvec_vnni(const uint8_t *packed, int groups, const float *x, float *y, int first, int last, int8_t *scratch) {
#if WIDE
    int8_t *q = scratch, *high = scratch + 8 * groups, *low = high + groups;
    int64_t sum;
    float scale = quantize_x(x, groups, q, high, low, &sum);
    uint8_t table[64], cp[4][64], cs[4][2][64];
    for (int i = 0; i < 64; i++) {
        int m = 2 + 4 * (i & 3);
        table[i] = (i & 3) == 3 ? 0 : i & 4 ? 12 - m : 12 + m;
        int q8 = i % 8;
        for (int g = 0; g < 4; g++) {
            int base = q8 / 4 * 32 + 8 * g, c = q8 % 4;
            cp[g][i] = base + 2 * c;
            for (int h = 0; h < 2; h++) cs[g][h][i] = (base + 4 * h + c - 2) & 63;
        }
    }
    __m512i t0[4], t1[4], vp[4], vs[4][2];
    for (int i = 0; i < 4; i++) {
        t0[i] = _mm512_load_si512(plane0 + 64 * i);
        t1[i] = _mm512_load_si512(plane1 + 64 * i);
        vp[i] = _mm512_loadu_si512(cp[i]);
        for (int h = 0; h < 2; h++) vs[i][h] = _mm512_loadu_si512(cs[i][h]);
    }
    __m512i values = _mm512_loadu_si512(table), one = _mm512_set1_epi8(1), four = _mm512_set1_epi8(4);
    __m512i lows = _mm512_set1_epi8(0x55), signs = _mm512_set1_epi8((char)0xfe);
    for (int row = first; row < last; row += 16) {
        const uint8_t *p = packed + (int64_t)row * groups * 2;
        __m512i a0 = _mm512_setzero_si512(), a1 = a0, hi = a0, lo = a0;
        for (int g = 0; g < groups; g += 4, p += 128) {
            __m512i index = _mm512_loadu_si512(p), e = _mm512_loadu_si512(p + 64);
            __m512i p0 = lookup256(index, t0), p1 = lookup256(index, t1);
            __m512i u = _mm512_ternarylogic_epi64(_mm512_ternarylogic_epi64(p0, p1, lows, 0x28), e, signs, 0x78);
            __m512i s = _mm512_ternarylogic_epi64(_mm512_popcnt_epi8(u), e, one, 0xe4);
            __m512i odd = _mm512_and_si512(e, one);
            const int32_t *xq = (const int32_t *)(q + 8 * g);
#define HALF(G, H, P, ACC)                                                                                           \
    ACC = _mm512_dpbusd_epi32(ACC,                                                                                   \
            _mm512_permutexvar_epi8(_mm512_ternarylogic_epi64(_mm512_multishift_epi64_epi8(vs[G][H], s),             \
                                            _mm512_multishift_epi64_epi8(vp[G], P), four, 0xe4), values),            \
            _mm512_set1_epi32(xq[2 * G + H]));
            HALF(0, 0, p0, a0) HALF(0, 1, p1, a1) HALF(1, 0, p0, a0) HALF(1, 1, p1, a1)
            HALF(2, 0, p0, a0) HALF(2, 1, p1, a1) HALF(3, 0, p0, a0) HALF(3, 1, p1, a1)
            hi = _mm512_dpbusd_epi32(hi, odd, _mm512_set1_epi32(*(const int32_t *)(high + g)));
            lo = _mm512_dpbusd_epi32(lo, odd, _mm512_set1_epi32(*(const int32_t *)(low + g)));
        }
        /* 4 y / scale = (a - 12 sum x) + sum of groups - 2 * sum of groups with an odd code */
        __m512i total = _mm512_add_epi32(a0, a1);
        __m512i odds = _mm512_add_epi32(_mm512_slli_epi32(hi, 4), lo);
        total = _mm512_sub_epi32(total, _mm512_slli_epi32(odds, 1));
        total = _mm512_sub_epi32(total, _mm512_set1_epi32((int)(11 * sum)));
        _mm512_storeu_ps(y + row, _mm512_mul_ps(_mm512_cvtepi32_ps(total), _mm512_set1_ps(scale / 4)));
    }
#else
    (void)packed, (void)groups, (void)x, (void)y, (void)first, (void)last, (void)scratch;
#endif
}

/* ------------------------------------------------------------------------------------------------ nearest point */

#if WIDE
/* The gain over eight 1/2 of the best row for z = x - shift, and what identifies it, 16 vectors at once. */
struct found {
    __m512 distance;
    __m512i found; /* key << 8 | sign bits */
};

#define MAXPS(a, b) _mm512_max_ps(a, b)
#define MINPS(a, b) _mm512_min_ps(a, b)
#define SET(v) _mm512_set1_ps(v)
#define ORDER(i, j)                             \
    {                                           \
        __m512 big = MAXPS(d[i], d[j]);         \
        d[j] = MINPS(d[i], d[j]);               \
        d[i] = big;                             \
    }

static struct found search(const __m512 *x, float shift) {
    static const int pow3[8] = {1, 3, 9, 27, 81, 243, 729, 2187};
    __m512 w[8], d[8], sum = _mm512_setzero_ps(), square = sum;
    __m512i bits = _mm512_setzero_si512();
    for (int k = 0; k < 8; k++) {
        __m512 z = _mm512_sub_ps(x[k], SET(shift));
        square = _mm512_fmadd_ps(z, z, square);
        __mmask16 negative = _mm512_cmp_ps_mask(z, _mm512_setzero_ps(), _CMP_LT_OQ);
        bits = _mm512_mask_or_epi32(bits, negative, bits, _mm512_set1_epi32(1 << k));
        __m512i tagged = _mm512_ternarylogic_epi32(_mm512_castps_si512(z), _mm512_set1_epi32(0x7ffffff8),
                                                   _mm512_set1_epi32(k), 0xea); /* (z & mask) | k */
        w[k] = d[k] = _mm512_castsi512_ps(tagged);
        sum = _mm512_add_ps(sum, w[k]);
    }
    ORDER(0, 1) ORDER(2, 3) ORDER(4, 5) ORDER(6, 7) ORDER(0, 2) ORDER(1, 3) ORDER(4, 6) ORDER(5, 7)
    ORDER(1, 2) ORDER(5, 6) ORDER(0, 4) ORDER(3, 7) ORDER(1, 5) ORDER(2, 6) ORDER(1, 4) ORDER(3, 6)
    ORDER(2, 4) ORDER(3, 5) ORDER(3, 4)
    __mmask16 odd = _mm512_test_epi32_mask(_mm512_popcnt_epi8(bits), _mm512_set1_epi32(1));
    /* A pattern with k times 3/2 is free where k has the parity of the signs; else the smallest w is flipped. */
    __m512 if_even = _mm512_maskz_mov_ps(odd, d[7]), if_odd = _mm512_maskz_mov_ps(~odd, d[7]);
    __m512 best = _mm512_sub_ps(_mm512_setzero_ps(), if_even), three = SET(INFINITY), five = SET(INFINITY);
    __m512 partial = _mm512_setzero_ps();
    for (int k = 1; k <= 4; k++) {
        partial = _mm512_add_ps(partial, d[k - 1]);
        __m512 gain = _mm512_sub_ps(_mm512_sub_ps(partial, SET((float)k)), k & 1 ? if_odd : if_even);
        __mmask16 better = _mm512_cmp_ps_mask(gain, best, _CMP_GT_OQ);
        best = _mm512_mask_mov_ps(best, better, gain);
        three = _mm512_mask_mov_ps(three, better, d[k - 1]);
    }
    for (int k = 0; k < 2; k++) {
        __m512 gain = _mm512_fmadd_ps(SET(2), d[0], k ? _mm512_sub_ps(d[1], SET(4)) : SET(-3));
        gain = _mm512_sub_ps(gain, k ? if_odd : if_even);
        __mmask16 better = _mm512_cmp_ps_mask(gain, best, _CMP_GT_OQ);
        best = _mm512_mask_mov_ps(best, better, gain);
        five = _mm512_mask_mov_ps(five, better, d[0]);
        three = _mm512_mask_mov_ps(three, better, k ? d[1] : SET(INFINITY));
    }
    __mmask16 ball_odd = 0;
    __m512i key = _mm512_setzero_si512();
    for (int k = 0; k < 8; k++) {
        __mmask16 is_five = _mm512_cmp_ps_mask(w[k], five, _CMP_GE_OQ);
        __mmask16 is_three = _mm512_cmp_ps_mask(w[k], three, _CMP_GE_OQ) & ~is_five;
        ball_odd ^= is_three;
        key = _mm512_mask_add_epi32(key, is_three, key, _mm512_set1_epi32(pow3[k]));
        key = _mm512_mask_add_epi32(key, is_five, key, _mm512_set1_epi32(2 * pow3[k]));
    }
    __mmask16 flip = ball_odd ^ odd;
    __m512 flipped = d[7];
    /* The 29 rows of norm 12. */
    for (int r = 0; r < shell_count; r++) {
        __m512 a = w[shell[r][0]], b = w[shell[r][1]], c = w[shell[r][2]];
        __m512 gain = _mm512_sub_ps(_mm512_sub_ps(sum, ADD(a, ADD(b, c))), SET(5));
        if (_mm512_cmp_ps_mask(gain, best, _CMP_GT_OQ) == 0) continue;
        __m512 cost = SET(INFINITY);
        for (int k = 0; k < 8; k++) {
            int half = k == shell[r][0] || k == shell[r][1] || k == shell[r][2];
            __m512 product = half ? w[k] : _mm512_mul_ps(SET(3), w[k]);
            cost = MINPS(cost, product);
        }
        gain = _mm512_mask_sub_ps(gain, (__mmask16)~odd, gain, cost); /* five 3/2: odd */
        __mmask16 better = _mm512_cmp_ps_mask(gain, best, _CMP_GT_OQ);
        if (!better) continue;
        __m512 which = SET(0), least = SET(INFINITY);
        for (int k = 0; k < 8; k++) {
            int half = k == shell[r][0] || k == shell[r][1] || k == shell[r][2];
            __m512 product = half ? w[k] : _mm512_mul_ps(SET(3), w[k]);
            __mmask16 less = _mm512_cmp_ps_mask(product, least, _CMP_LT_OQ);
            least = _mm512_mask_mov_ps(least, less, product);
            which = _mm512_mask_mov_ps(which, less, w[k]);
        }
        best = _mm512_mask_mov_ps(best, better, gain);
        key = _mm512_mask_mov_epi32(key, better, _mm512_set1_epi32(shell_key[r]));
        flip = (flip & ~better) | (better & ~odd);
        flipped = _mm512_mask_mov_ps(flipped, better, which);
    }
    for (int k = 0; k < 8; k++) {
        __mmask16 here = _mm512_cmp_ps_mask(w[k], flipped, _CMP_EQ_OQ) & flip;
        bits = _mm512_mask_xor_epi32(bits, here, bits, _mm512_set1_epi32(1 << k));
    }
    struct found f;
    /* |z - v|^2 = |z|^2 - 2 (gain + sum w / 2 - 1) */
    f.distance = _mm512_fnmadd_ps(SET(2), ADD(best, _mm512_mul_ps(SET(0.5f), sum)), square);
    f.found = _mm512_or_si512(_mm512_slli_epi32(key, 8), bits);
    return f;
}
#endif

/* For each of count vectors of 8 floats the nearest E8P point and its code. */
void gp_nearest(const float *x, int count, float *values, int32_t *codes) {
    int i = 0;
#if WIDE
    __m512i lane = _mm512_mullo_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
                                      _mm512_set1_epi32(8));
    for (; i + 16 <= count; i += 16) {
        __m512 planes[8];
        int32_t found[16];
        for (int k = 0; k < 8; k++) planes[k] = _mm512_i32gather_ps(lane, x + 8 * (int64_t)i + coordinate(k), 4);
        struct found minus = search(planes, -0.25f), plus = search(planes, 0.25f);
        __mmask16 odd = _mm512_cmp_ps_mask(minus.distance, plus.distance, _CMP_LT_OQ);
        __m512i f = _mm512_mask_mov_epi32(plus.found, odd, _mm512_xor_si512(minus.found, _mm512_set1_epi32(1)));
        _mm512_storeu_si512(found, f);
        for (int j = 0; j < 16; j++) {
            int code = code_of_key[found[j] >> 8] ^ (found[j] & 255);
            codes[i + j] = code;
            _mm256_storeu_ps(values + 8 * (int64_t)(i + j),
                             _mm256_sub_ps(_mm256_xor_ps(_mm256_load_ps(e8p_mag[code >> 8]), _mm256_load_ps(e8p_sign[code & 255])),
                                           _mm256_set1_ps(BIAS)));
        }
    }
#endif
    for (; i < count; i++) {
        const float *v = x + 8 * (int64_t)i;
        float best = INFINITY;
        int code = 0;
        for (int odd = 0; odd < 2; odd++) {
            float z[8], w[8];
            int negatives = 0;
            for (int c = 0; c < 8; c++) {
                z[c] = v[c] - (odd ? -0.25f : 0.25f);
                w[c] = fabsf(z[c]);
                negatives ^= z[c] < 0;
            }
            for (int a = 0; a < 256; a++) {
                float distance = 0, cost = INFINITY;
                int at = 0;
                for (int c = 0; c < 8; c++) {
                    float e = w[c] - magnitude[a][c], f = w[c] * magnitude[a][c];
                    distance += e * e;
                    if (f < cost) cost = f, at = c;
                }
                int flip = negatives != parity_of[a];
                if (flip) distance += 4 * cost;
                if (distance < best) {
                    int b = 0;
                    best = distance;
                    for (int k = 0; k < 8; k++) b |= ((z[coordinate(k)] < 0) ^ (flip && coordinate(k) == at)) << k;
                    code = a << 8 | (b ^ parity_of[a] << 7 ^ odd);
                }
            }
        }
        codes[i] = code;
        e8p_decode(code, values + 8 * (int64_t)i);
    }
}
