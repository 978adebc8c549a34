/*
 * Every kernel through the C ABI against plain double arithmetic written here from the definitions and not from the
 * kernels: on the emulation, or, compiled with GOSSET_ON_DEVICE and linked to the CUDA library, on a device.
 *   --short      leaves out the larger sizes, for the sanitized builds
 *   --seed N     other random inputs
 * Exit code 0 and one line per test, or 1.
 */
#include "harness.h"

namespace {

std::vector<float> sign_vector(size_t n) {
    std::vector<float> v(n);
    for (auto &x : v) {
        x = (random_bits() & 1 ? 1.0f : -1.0f) * (0.5f + static_cast<float>(random_bits() % 100) / 100);
    }
    return v;
}

// ------------------------------------------------------------------------------------------------- references

/* A K x K matrix of +-1 (any will do: the kernel multiplies) or the Hartley matrix. */
struct Small {
    int kind, k;
    std::vector<int8_t> signs;
    std::vector<float> cas;
    double entry(int i, int j) const {
        return kind == 0 ? 1 : kind == 1 ? signs[static_cast<size_t>(i) * k + j] : cas[static_cast<int64_t>(i) * j % k];
    }
};
Small small_matrix(int kind, int k) {
    Small s{k == 1 ? 0 : kind, k, {}, {}};
    for (int i = 0; s.kind == 1 && i < k * k; i++) {
        s.signs.push_back(random_bits() & 1 ? 1 : -1);
    }
    for (int i = 0; s.kind == 2 && i < k; i++) {
        double angle = 2 * M_PI * i / k;
        s.cas.push_back(static_cast<float>(cos(angle) + sin(angle)));
    }
    return s;
}
struct SmallOnDevice {
    Device<int8_t> signs;
    Device<float> cas;
    int kind;
    explicit SmallOnDevice(const Small &s) : signs(s.signs), cas(s.cas), kind(s.kind) {}
    gosset_address address() const { return kind == 0 ? 0 : kind == 1 ? signs.address : cas.address; }
};

std::vector<double> reference_transform(std::vector<double> x, const Small &s, bool transpose, double scale) {
    int n = static_cast<int>(x.size()), p = n / s.k;
    for (int first = 0; first < n; first += p) {
        for (int h = 1; h < p; h *= 2) {
            for (int i = 0; i < p; i++) {
                if ((i & h) == 0) {
                    double a = x[first + i], b = x[first + i + h];
                    x[first + i] = a + b;
                    x[first + i + h] = a - b;
                }
            }
        }
    }
    std::vector<double> y(n);
    for (int i = 0; i < s.k; i++) {
        for (int r = 0; r < s.k; r++) {
            double e = (transpose ? s.entry(r, i) : s.entry(i, r)) * scale;
            for (int j = 0; j < p; j++) {
                y[i * p + j] += e * x[r * p + j];
            }
        }
    }
    return y;
}

/* S of the E8P codebook: half-integer vectors of squared norm at most 10 in order, then 29 of 12. Doubled. */
std::vector<std::vector<int>> doubled_magnitudes() {
    std::vector<std::vector<int>> table;
    std::vector<int> v(8, 1);
    while (true) {
        int norm = 0;
        for (int c : v) {
            norm += c * c;
        }
        if (norm <= 40) {
            table.push_back(v);
        }
        int c = 7;
        while (c >= 0 && v[c] == 5) {
            v[c--] = 1;
        }
        if (c < 0) {
            break;
        }
        v[c] += 2;
    }
    const char *rest = "31113333 13113333 11313333 11133333 33313311 33313131 33311331 33313113 33311313 33311133 "
                       "33133311 33133131 33131331 33133113 33131313 33131133 31333311 31333131 31331331 31333113 "
                       "31331313 13331133 13333311 13333131 13331331 13333113 13331313 11331333 33113331 ";
    for (; *rest; rest += 9) {
        for (int c = 0; c < 8; c++) {
            v[c] = rest[c] - '0';
        }
        table.push_back(v);
    }
    return table;
}
const std::vector<std::vector<int>> magnitudes = doubled_magnitudes();
const int order[8] = {0, 2, 4, 6, 1, 3, 5, 7};

void decode_e8p(uint32_t code, double *v) {
    const std::vector<int> &a = magnitudes[code >> 8 & 255];
    int odd = __builtin_popcount(code & 255) & 1, signs = static_cast<int>(code & 255) ^ odd, sum = 0;
    for (int c : a) {
        sum += c;
    }
    for (int k = 0; k < 8; k++) {
        int c = order[k];
        bool negative = (signs >> k & 1) != (c == 7 && sum / 2 % 2 == 1 ? 1 : 0);
        v[c] = (negative ? -1 : 1) * a[c] / 2.0 + (odd ? -0.25 : 0.25);
    }
}
std::vector<std::vector<double>> e81b_points() {
    std::vector<std::vector<double>> p;
    for (int number = 0; number < 6561; number++) {
        std::vector<double> v(8);
        int norm = 0;
        for (int c = 7, rest = number; c >= 0; c--, rest /= 3) {
            v[c] = rest % 3 - 1;
            norm += v[c] != 0;
        }
        if (norm == 0 || norm == 2) {
            p.push_back(v);
        }
    }
    for (int bits = 0; bits < 256; bits++) {
        if (__builtin_popcount(bits) % 2 == 0) {
            std::vector<double> v(8);
            for (int c = 0; c < 8; c++) {
                v[c] = (bits >> (7 - c) & 1) - 0.5;
            }
            p.push_back(v);
        }
    }
    for (int i = 0; i < 15; i++) {
        std::vector<double> v(8);
        v[i % 8] = i < 8 ? 2 : -2;
        p.push_back(v);
    }
    return p;
}
const std::vector<std::vector<double>> points = e81b_points();

double residual_scale(int bits) { return bits == 3 ? 2.04 : bits == 4 ? 3.45 : 1; }

/* A code as CodeMatrix.code has it. */
void decode_code(int bits, uint32_t code, double *v) {
    decode_e8p(bits == 2 ? code : code >> 16, v);
    if (bits > 2) {
        double r[8];
        if (bits == 3) {
            std::copy(points[code & 255].begin(), points[code & 255].end(), r);
        } else {
            decode_e8p(code & 0xffff, r);
        }
        for (int c = 0; c < 8; c++) {
            v[c] += r[c] / residual_scale(bits);
        }
    }
}

struct Codes {
    int bits, m, n, groups;
    std::vector<uint32_t> code;
    std::vector<uint8_t> planes;
};
Codes random_codes(int bits, int m, int n) {
    Codes c{bits, m, n, (n + 7) / 8, {}, {}};
    size_t count = static_cast<size_t>(m) * c.groups;
    c.planes.resize(count * bits);
    for (size_t i = 0; i < count; i++) {
        uint32_t r = static_cast<uint32_t>(random_bits());
        uint32_t first = r & 0xffff, second = r >> 16;
        memcpy(&c.planes[2 * i], &first, 2);
        if (bits == 3) {
            second &= 255;
            c.planes[2 * count + i] = static_cast<uint8_t>(second);
        } else if (bits == 4) {
            memcpy(&c.planes[2 * count + 2 * i], &second, 2);
        }
        c.code.push_back(bits == 2 ? first : first << 16 | second);
    }
    return c;
}
struct Packed {
    Device<uint8_t> data;
    Packed(const Codes &c) : data(static_cast<size_t>(gosset_packed_bytes(c.bits, c.m, c.n))) {
        Device<uint8_t> planes(c.planes);
        OK(gosset_pack(c.bits, c.m, c.n, planes.address, data.address, nullptr));
    }
};

// ------------------------------------------------------------------------------------------------- tests

void test_half() {
    for (int h = 0; h < 65536; h++) {
        float f = from_half(static_cast<uint16_t>(h));
        if (!std::isnan(f)) {
            CHECK(to_half(f) == h, "half %04x is %g and comes back as %04x", h, static_cast<double>(f), to_half(f));
        }
    }
    CHECK(to_half(65519.0f) == 0x7bff && to_half(65520.0f) == 0x7c00, "rounding at the end of half");
    CHECK(to_half(ldexpf(1, -25)) == 0 && to_half(ldexpf(1.5f, -25)) == 1, "rounding at the start of half");
}

double transform_case(int n, Small s, int rows, bool transpose, int in_type, int out_type, bool vectors, bool in_place) {
    std::vector<float> x = normals(static_cast<size_t>(n) * rows);
    std::vector<uint16_t> xh;
    std::vector<float> pre = sign_vector(n), post = sign_vector(n);
    for (float &f : x) {
        xh.push_back(to_half(f));
        if (in_type == GOSSET_F16) {
            f = from_half(xh.back());
        }
    }
    Device<float> xd(x);
    Device<uint16_t> xhd(xh);
    Device<float> out(x.size()), pred(pre), postd(post);
    Device<uint16_t> outh(x.size());
    SmallOnDevice sd(s);
    int64_t work_bytes = gosset_transform_work(n, s.k, rows);
    Device<uint8_t> work(static_cast<size_t>(work_bytes));
    gosset_address from = in_type == GOSSET_F32 ? xd.address : xhd.address;
    gosset_address to = in_place ? from : out_type == GOSSET_F32 ? out.address : outh.address;
    float scale = 1 / sqrtf(static_cast<float>(n));
    OK(gosset_transform(from, in_type, to, out_type, n, s.k, rows, s.kind, sd.address(), transpose,
                        vectors ? pred.address : 0, vectors ? postd.address : 0, scale, work.address, nullptr));
    std::vector<float> y;
    if (out_type == GOSSET_F32) {
        y = in_place ? xd.read() : out.read();
    } else {
        for (uint16_t h : in_place ? xhd.read() : outh.read()) {
            y.push_back(from_half(h));
        }
    }
    std::vector<double> expected;
    for (int r = 0; r < rows; r++) {
        std::vector<double> v(x.begin() + static_cast<int64_t>(r) * n, x.begin() + static_cast<int64_t>(r + 1) * n);
        for (int i = 0; vectors && i < n; i++) {
            v[i] *= pre[i];
        }
        v = reference_transform(v, s, transpose, scale);
        for (int i = 0; vectors && i < n; i++) {
            v[i] *= post[i];
        }
        expected.insert(expected.end(), v.begin(), v.end());
    }
    return relative(y, expected);
}

/* On a device with 99 KB for a block, the longest that one block transforms too, and the same bits as elsewhere. */
void test_transform_in_little_memory() {
    for (int n : {64, 24576}) {
        /* 24576 = 3 x 8192. */
        Device<float> x(normals(n)), little(n), much(n), hartley(normals(3));
#ifndef GOSSET_ON_DEVICE
        gosset_emulation_shared_bytes(101376);
#endif
        OK(gosset_transform(x.address, 0, little.address, 0, n, n == 64 ? 1 : 3, 1, n == 64 ? 0 : 2, hartley.address, 0, 0, 0, 0.1f, 0, nullptr));
#ifndef GOSSET_ON_DEVICE
        gosset_emulation_shared_bytes(232448);
#endif
        OK(gosset_transform(x.address, 0, much.address, 0, n, n == 64 ? 1 : 3, 1, n == 64 ? 0 : 2, hartley.address, 0, 0, 0, 0.1f, 0, nullptr));
        std::vector<float> a = little.read(), b = much.read();
        CHECK(memcmp(a.data(), b.data(), sizeof(float) * n) == 0, "n = %d depends on the shared memory", n);
    }
}

/* A graph of a long vector and a short one: what the kernel was allowed when it was last launched must do for both. */
void test_between_of_two_sizes() {
    int lengths[2] = {16384, 2048};
    gosset_stream *stream = nullptr;
    OK(gosset_stream_create(&stream));
    {
        Device<float> z(normals(16384)), v(std::vector<float>(16384, 1.0f)), scale(1);
        Device<int8_t> a(static_cast<size_t>(gosset_activation_bytes(16384, 1)));
        auto both = [&] {
            for (int n : lengths) {
                OK(gosset_between(GOSSET_BETWEEN_PLAIN, z.address, 0, 1, 0, 0, 0, 0, 0, 0, n, 1, 0, 0, v.address, 1, a.address,
                                  scale.address, stream));
            }
        };
        OK(gosset_device_synchronize());
        both();
        OK(gosset_graph_begin(stream));
        both();
        gosset_graph *graph = nullptr;
        OK(gosset_graph_end(stream, &graph));
        for (int i = 0; i < 2; i++) {
            OK(gosset_graph_launch(graph, stream));
            OK(gosset_stream_synchronize(stream));
        }
        OK(gosset_graph_destroy(graph));
    }
    OK(gosset_stream_destroy(stream));
}

void test_transform() {
    struct Case {
        int n, kind, k;
    };
    std::vector<Case> cases = {{1, 0, 1},    {2, 0, 1},     {8, 0, 1},     {16, 0, 1},    {64, 0, 1},  {128, 0, 1},
                               {1024, 0, 1}, {2048, 0, 1},  {12, 1, 12},   {24, 1, 12},   {1536, 1, 12}, {2560, 1, 20},
                               {896, 1, 28}, {3, 2, 3},     {10, 2, 5},    {704, 2, 11},  {688, 1, 172}, {37, 2, 37},
                               {1184, 2, 37}};
    if (!brief) {
        for (Case c : std::vector<Case>{{4096, 0, 1}, {11008, 1, 172}, {14336, 1, 28}, {32768, 0, 1}, {57344, 1, 28}, {4162, 2, 2081}}) {
            cases.push_back(c);
        }
    }
    double worst32 = 0, worst16 = 0;
    for (Case c : cases) {
        for (int variant = 0; variant < 4; variant++) {
            int rows = c.n > 4096 ? 1 : 1 + variant;
            bool small16 = variant & 1;
            Small s = small_matrix(c.kind, c.k);
            double e = transform_case(c.n, s, rows, variant >= 2, small16, small16, variant != 0, variant == 3);
            CHECK(e < (small16 ? 1e-3 : 3e-6), "n = %d, k = %d, variant %d: error %g", c.n, c.k, variant, e);
            (small16 ? worst16 : worst32) = std::max(small16 ? worst16 : worst32, e);
        }
        double mixed = transform_case(c.n, small_matrix(c.kind, c.k), 1, true, GOSSET_F16, GOSSET_F32, true, false);
        CHECK(mixed < 3e-6, "n = %d: F16 to F32, error %g", c.n, mixed);
    }
    printf("  worst relative error %.1e in F32, %.1e in F16\n", worst32, worst16);
}

void test_matvec() {
    struct Case {
        int m, n, batch;
    };
    std::vector<Case> cases = {{16, 128, 1}, {1, 8, 1},    {17, 136, 2},  {48, 2048, 1},  {33, 2184, 4},
                               {5, 100, 5},  {40, 264, 8}, {96, 1024, 9}, {64, 512, 16}, {100, 24, 13}, {150, 2500, 1}, {120, 2312, 7}};
    if (!brief) {
        cases.push_back({256, 4096, 1});
        cases.push_back({112, 11008, 1});
        cases.push_back({130, 5000, 16});
    }
    double worst = 0;
    for (int bits = 2; bits <= 4; bits++) {
        for (Case c : cases) {
            Codes codes = random_codes(bits, c.m, c.n);
            Packed packed(codes);
            std::vector<float> x = normals(static_cast<size_t>(c.batch) * c.n);
            Device<float> xd(x), scale(c.batch), y(static_cast<size_t>(c.batch) * c.m);
            Device<uint8_t> activations(static_cast<size_t>(gosset_activation_bytes(c.n, c.batch)));
            OK(gosset_quantize_activations(xd.address, c.n, c.batch, activations.address, scale.address, nullptr));
            float rs = static_cast<float>(residual_scale(bits));
            OK(gosset_matvec(bits, c.m, c.n, c.batch, packed.data.address, activations.address, scale.address, rs,
                             y.address, nullptr));
            std::vector<double> expected(y.count), rounded(y.count);
            std::vector<float> scales = scale.read();
            /* Errors are measured against the size of the terms: a sum of few terms may cancel to nearly nothing. */
            double size = 0;
            for (int b = 0; b < c.batch; b++) {
                for (int i = 0; i < c.m; i++) {
                    double sum = 0, sum_rounded = 0;
                    for (int j = 0; j < codes.groups; j++) {
                        double v[8];
                        decode_code(bits, codes.code[static_cast<size_t>(i) * codes.groups + j], v);
                        for (int k = 0; k < 8 && 8 * j + k < c.n; k++) {
                            double value = x[static_cast<size_t>(b) * c.n + 8 * j + k];
                            sum += v[k] * value;
                            size += v[k] * value * v[k] * value;
                            sum_rounded += v[k] * scales[b] * std::nearbyint(value / scales[b]);
                        }
                    }
                    expected[static_cast<size_t>(b) * c.m + i] = sum;
                    rounded[static_cast<size_t>(b) * c.m + i] = sum_rounded;
                }
            }
            std::vector<float> got = y.read();
            double e = relative(got, expected, size), exact = relative(got, rounded, size);
            CHECK(e < 2e-4, "%d bits, %d x %d, batch %d: error %g", bits, c.m, c.n, c.batch, e);
            /* Given the rounded activations nothing but float rounding at the very end is left. */
            CHECK(exact < 2e-5, "%d bits, %d x %d, batch %d: error %g against rounded activations", bits, c.m, c.n,
                  c.batch, exact);
            worst = std::max(worst, e);

            gosset_emulation_order(3);
            Device<float> again(y.count);
            OK(gosset_matvec(bits, c.m, c.n, c.batch, packed.data.address, activations.address, scale.address, rs,
                             again.address, nullptr));
            gosset_emulation_order(1);
            CHECK(again.read() == got, "%d bits, %d x %d: depends on the order of the threads", bits, c.m, c.n);
        }
    }
    printf("  worst relative error %.1e\n", worst);
#ifndef GOSSET_ON_DEVICE
    /* A device with 99 KiB of shared memory serves large batches in several launches. */
    gosset_emulation_shared_bytes(101376);
    Codes codes = random_codes(3, 20, 256);
    Packed packed(codes);
    Device<float> xd(normals(16 * 256)), scale(16), small(16 * 20), large(16 * 20);
    Device<uint8_t> activations(static_cast<size_t>(gosset_activation_bytes(256, 16)));
    OK(gosset_quantize_activations(xd.address, 256, 16, activations.address, scale.address, nullptr));
    OK(gosset_matvec(3, 20, 256, 16, packed.data.address, activations.address, scale.address, 2.04f, small.address, nullptr));
    gosset_emulation_shared_bytes(232448);
    OK(gosset_matvec(3, 20, 256, 16, packed.data.address, activations.address, scale.address, 2.04f, large.address, nullptr));
    CHECK(small.read() == large.read(), "batch 16 depends on the shared memory of the device");
#endif
}

void test_activations() {
    for (int n : {1, 8, 100, 128, 1000}) {
        std::vector<float> x = normals(n);
        x[n / 2] *= 30;
        if (n == 8) {
            std::fill(x.begin(), x.end(), 0.0f);
        }
        Device<float> xd(x), scale(1);
        Device<int8_t> a(static_cast<size_t>(gosset_activation_bytes(n, 1)));
        OK(gosset_quantize_activations(xd.address, n, 1, a.address, scale.address, nullptr));
        float s = scale.read()[0];
        std::vector<int8_t> bytes = a.read();
        for (size_t g = 0; g < bytes.size() / 16; g++) {
            for (int k = 0; k < 8; k++) {
                size_t i = 8 * g + order[k];
                double value = s * (256.0 * bytes[16 * g + k] + bytes[16 * g + 8 + k]);
                double expected = i < x.size() ? x[i] : 0;
                /* Half a step, and float's rounding of numbers up to 32512: of the step, its inverse and their product. */
                CHECK(fabs(value - expected) <= (0.5 + 32512 * 3 * ldexp(1, -24)) * s, "n = %d, element %zu: %g for %g", n, i, value, expected);
            }
        }
    }
}

void test_decode() {
    for (int bits = 2; bits <= 4; bits++) {
        for (auto [m, n] : {std::pair{16, 128}, {37, 200}, {1, 3}}) {
            Codes codes = random_codes(bits, m, n);
            Packed packed(codes);
            for (auto [first, rows] : {std::pair{0, m}, {m / 3, m - m / 3}}) {
                Device<uint16_t> out(static_cast<size_t>(rows) * codes.groups * 8);
                OK(gosset_decode(bits, m, n, packed.data.address, first, rows, static_cast<float>(residual_scale(bits)),
                                 out.address, nullptr));
                std::vector<uint16_t> got = out.read();
                for (size_t i = 0; i < got.size(); i++) {
                    double v[8];
                    decode_code(bits, codes.code[static_cast<size_t>(first) * codes.groups + i / 8], v);
                    CHECK(fabs(from_half(got[i]) - v[i % 8]) <= fabs(v[i % 8]) * 0.0005, "%d bits, %d x %d, element %zu: %g for %g",
                          bits, m, n, i, static_cast<double>(from_half(got[i])), v[i % 8]);
                }
            }
        }
    }
}

void test_all_codes() {
    /* 65536 codes: one row each of a product with unit vectors would be slow; decoding them all is enough. */
    Codes codes{2, 512, 1024, 128, {}, {}};
    for (uint32_t i = 0; i < 65536; i++) {
        codes.code.push_back(i);
        codes.planes.push_back(static_cast<uint8_t>(i));
        codes.planes.push_back(static_cast<uint8_t>(i >> 8));
    }
    Packed packed(codes);
    Device<uint16_t> out(65536 * 8);
    OK(gosset_decode(2, 512, 1024, packed.data.address, 0, 512, 1, out.address, nullptr));
    std::vector<uint16_t> got = out.read();
    int wrong = 0;
    for (uint32_t i = 0; i < 65536; i++) {
        double v[8];
        decode_e8p(i, v);
        for (int c = 0; c < 8; c++) {
            wrong += from_half(got[8 * i + c]) != v[c];
        }
    }
    CHECK(wrong == 0, "%d of 524288 values of E8P are wrong", wrong);
}

/* The distance of x from the nearest point, by trying all 65536, or all 256. */
double least_distance(const double *x, bool e81b, uint32_t *code) {
    double best = INFINITY, v[8];
    for (uint32_t i = 0; i < (e81b ? 256u : 65536u); i++) {
        if (e81b) {
            std::copy(points[i].begin(), points[i].end(), v);
        } else {
            decode_e8p(i, v);
        }
        double d = 0;
        for (int c = 0; c < 8; c++) {
            d += (x[c] - v[c]) * (x[c] - v[c]);
        }
        if (d < best) {
            best = d;
            *code = i;
        }
    }
    return best;
}

void test_nearest() {
    int count = brief ? 40 : 200;
    for (int bits = 2; bits <= 4; bits++) {
        std::vector<float> x = normals(8 * static_cast<size_t>(count));
        for (int i = 0; i < 16; i++) {
            x[i] *= 5;
            x[16 + i] = static_cast<float>(random_bits() % 9) / 2 - 2;
        }
        Device<float> xd(x), values(x.size());
        Device<int32_t> codes(count);
        float rs = static_cast<float>(residual_scale(bits));
        OK(gosset_nearest(bits, xd.address, count, rs, values.address, codes.address, nullptr));
        std::vector<float> v = values.read();
        std::vector<int32_t> code = codes.read();
        for (int i = 0; i < count; i++) {
            double decoded[8], first[8], rest[8], d = 0;
            uint32_t c = static_cast<uint32_t>(code[i]), best = 0;
            decode_code(bits, c, decoded);
            decode_e8p(bits == 2 ? c : c >> 16, first);
            double target[8];
            for (int j = 0; j < 8; j++) {
                CHECK(fabs(decoded[j] - v[8 * i + j]) < 1e-6, "%d bits: value %g of code %08x, decoded %g", bits,
                      static_cast<double>(v[8 * i + j]), c, decoded[j]);
                target[j] = x[8 * i + j];
                d += (target[j] - first[j]) * (target[j] - first[j]);
                rest[j] = (target[j] - first[j]) * rs;
            }
            double least = least_distance(target, false, &best);
            CHECK(d <= least + 1e-4 * (1 + least), "%d bits, vector %d: distance %g, nearest %g", bits, i, d, least);
            if (bits > 2) {
                double second[8], d2 = 0;
                if (bits == 3) {
                    std::copy(points[c & 255].begin(), points[c & 255].end(), second);
                } else {
                    decode_e8p(c & 0xffff, second);
                }
                for (int j = 0; j < 8; j++) {
                    d2 += (rest[j] - second[j]) * (rest[j] - second[j]);
                }
                double least2 = least_distance(rest, bits == 3, &best);
                CHECK(d2 <= least2 + 1e-4 * (1 + least2), "%d bits, vector %d: residual distance %g, nearest %g", bits,
                      i, d2, least2);
            }
        }
    }
}

void test_statistics() {
    for (auto [rows, n] : {std::pair{1, 1}, {33, 100}, {70, 64}, {257, 31}}) {
        size_t count = static_cast<size_t>(rows) * n;
        std::vector<float> x = normals(count), y = normals(count);
        Device<float> xd(x), yd(y), turned(count);
        Device<double> parts(GOSSET_DOT_PARTS), sums(std::vector<double>(n, 3.0));
        OK(gosset_dot(xd.address, yd.address, static_cast<int64_t>(count), parts.address, nullptr));
        OK(gosset_column_sums(xd.address, rows, n, sums.address, nullptr));
        OK(gosset_transpose(xd.address, rows, n, turned.address, nullptr));
        double expected = 0, got = 0;
        for (size_t i = 0; i < count; i++) {
            expected += static_cast<double>(x[i]) * y[i];
        }
        for (double part : parts.read()) {
            got += part;
        }
        CHECK(fabs(got - expected) < 1e-12 * static_cast<double>(count), "%d x %d: %.17g for %.17g", rows, n, got, expected);
        std::vector<double> column = sums.read();
        std::vector<float> t = turned.read();
        for (int j = 0; j < n; j++) {
            double sum = 3;
            for (int i = 0; i < rows; i++) {
                size_t at = static_cast<size_t>(i) * n + j;
                sum += static_cast<double>(x[at]);
                CHECK(t[static_cast<size_t>(j) * rows + i] == x[at], "%d x %d: element (%d, %d)", rows, n, i, j);
            }
            CHECK(fabs(column[j] - sum) < 1e-12 * rows, "column %d: %.17g for %.17g", j, column[j], sum);
        }
    }
    CHECK(gosset_transpose(16, 4, 4, 16, nullptr) == GOSSET_INVALID_ARGUMENT, "a transposition in place passed");
}

void test_between() {
    struct Case {
        int kind, m, m_kind, m_k, n, n_kind, n_k, batch;
    };
    std::vector<Case> cases = {{GOSSET_BETWEEN_PLAIN, 0, 0, 1, 256, 0, 1, 1},
                               {GOSSET_BETWEEN_PLAIN, 512, 0, 1, 512, 0, 1, 2},
                               {GOSSET_BETWEEN_NORM, 0, 0, 1, 1024, 0, 1, 3},
                               {GOSSET_BETWEEN_NORM, 1024, 0, 1, 1024, 0, 1, 1},
                               {GOSSET_BETWEEN_NORM, 320, 1, 20, 320, 1, 20, 2},
                               {GOSSET_BETWEEN_NORM, 88, 2, 11, 88, 2, 11, 1},
                               {GOSSET_BETWEEN_GATE, 1376, 1, 172, 688, 1, 172, 1},
                               {GOSSET_BETWEEN_GATE, 0, 0, 1, 96, 1, 12, 2},
                               {GOSSET_BETWEEN_GATE, 2048, 0, 1, 1024, 0, 1, 5},
                               /* From here on eight blocks per vector, where there are clusters: every fold. */
                               {GOSSET_BETWEEN_NORM, 16384, 0, 1, 16384, 0, 1, 2},
                               {GOSSET_BETWEEN_NORM, 0, 1, 172, 1376, 1, 172, 1},
                               {GOSSET_BETWEEN_NORM, 2752, 1, 172, 2752, 1, 172, 3},
                               {GOSSET_BETWEEN_GATE, 0, 1, 140, 4480, 1, 140, 2},
                               {GOSSET_BETWEEN_GATE, 15360, 2, 15, 7680, 2, 15, 1},
                               {GOSSET_BETWEEN_PLAIN, 12288, 2, 6, 12288, 2, 6, 1},
                               {GOSSET_BETWEEN_PLAIN, 9728, 2, 152, 9728, 2, 152, 1}};
    if (!brief) {
        /* Up and gate to down of Llama-2-7B, Llama-3.1-8B and Llama-2-70B, and a long vector without a small matrix. */
        cases.push_back({GOSSET_BETWEEN_GATE, 22016, 1, 172, 11008, 1, 172, 1});
        cases.push_back({GOSSET_BETWEEN_GATE, 28672, 1, 28, 14336, 1, 28, 2});
        cases.push_back({GOSSET_BETWEEN_GATE, 57344, 1, 28, 28672, 1, 28, 1});
        cases.push_back({GOSSET_BETWEEN_GATE, 131072, 0, 1, 65536, 0, 1, 1});
    }
    double worst = 0;
    for (Case c : cases) {
        int incoming = c.m > 0 ? c.m : c.kind == GOSSET_BETWEEN_GATE ? 2 * c.n : c.n;
        size_t batch = static_cast<size_t>(c.batch), n = static_cast<size_t>(c.n);
        std::vector<float> z = normals(batch * incoming), residual = normals(batch * n);
        std::vector<float> post = sign_vector(incoming), weight = sign_vector(n), pre = sign_vector(n);
        Small ms = small_matrix(c.m_kind, c.m_k), ns = small_matrix(c.n_kind, c.n_k);
        SmallOnDevice msd(ms), nsd(ns);
        Device<float> zd(z), rd(residual), scale(batch);
        Device<float> postd(post), weightd(weight), pred(pre);
        Device<int8_t> a(static_cast<size_t>(gosset_activation_bytes(c.n, c.batch)));
        OK(gosset_between(c.kind, zd.address, c.m, c.m_k, ms.kind, msd.address(), postd.address, rd.address,
                          weightd.address, 1e-5f, c.n, c.n_k, ns.kind, nsd.address(), pred.address, c.batch, a.address,
                          scale.address, nullptr));
        std::vector<float> s = scale.read(), got_residual = rd.read();
        std::vector<int8_t> bytes = a.read();
        for (size_t b = 0; b < batch; b++) {
            std::vector<double> h(z.begin() + b * incoming, z.begin() + (b + 1) * incoming), t(n);
            if (c.m > 0) {
                h = reference_transform(h, ms, false, 1 / sqrt(c.m));
                for (int i = 0; i < c.m; i++) {
                    h[i] *= post[i];
                }
            }
            if (c.kind == GOSSET_BETWEEN_NORM) {
                double squares = 0;
                for (size_t i = 0; i < n; i++) {
                    t[i] = residual[b * n + i] + (c.m > 0 ? h[i] : 0);
                    CHECK(fabs(got_residual[b * n + i] - t[i]) < 1e-4, "residual %zu: %g for %g", i,
                          static_cast<double>(got_residual[b * n + i]), t[i]);
                    squares += t[i] * t[i];
                }
                double factor = 1 / sqrt(squares / static_cast<double>(n) + 1e-5);
                for (size_t i = 0; i < n; i++) {
                    t[i] *= factor * weight[i];
                }
            } else {
                for (size_t i = 0; i < n; i++) {
                    t[i] = c.kind == GOSSET_BETWEEN_GATE ? h[i] * h[n + i] / (1 + exp(-h[n + i])) : h[i];
                }
            }
            for (size_t i = 0; i < n; i++) {
                t[i] *= pre[i];
            }
            t = reference_transform(t, ns, true, 1 / sqrt(c.n));
            std::vector<float> got(n);
            for (size_t i = 0; i < n; i++) {
                int k = static_cast<int>(std::find(order, order + 8, static_cast<int>(i % 8)) - order);
                size_t at = (i / 8 * 2 * batch + 2 * b) * 8 + k;
                got[i] = s[b] * (256.0f * bytes[at] + bytes[at + 8]);
            }
            double e = relative(got, t);
            CHECK(e < 1e-4, "kind %d, m = %d, n = %d: error %g", c.kind, c.m, c.n, e);
            worst = std::max(worst, e);
        }
    }
#ifndef GOSSET_ON_DEVICE
    /* A vector that fits into no block's shared memory: a cluster's, where there are clusters. */
    gosset_emulation_shared_bytes(4096);
    Device<float> z(normals(2048)), s(1);
    Device<float> v(sign_vector(2048));
    Device<int8_t> a(static_cast<size_t>(gosset_activation_bytes(2048, 1)));
    for (auto [major, expected] : {std::pair{9, GOSSET_OK}, {8, GOSSET_UNSUPPORTED}}) {
        gosset_emulation_capability(major);
        CHECK(gosset_between(GOSSET_BETWEEN_PLAIN, z.address, 0, 1, 0, 0, 0, 0, 0, 0, 2048, 1, 0, 0, v.address, 1,
                             a.address, s.address, nullptr) == expected,
              "capability %d.0, a vector that does not fit into a block's shared memory", major);
    }
    gosset_emulation_capability(9);
    gosset_emulation_shared_bytes(232448);
#endif
    printf("  worst relative error %.1e\n", worst);
}

std::vector<float> positive_definite(int n) {
    std::vector<float> g = normals(static_cast<size_t>(n) * 2 * n), h(static_cast<size_t>(n) * n);
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            double sum = i == j ? 0.1 : 0;
            for (int k = 0; k < 2 * n; k++) {
                sum += static_cast<double>(g[static_cast<size_t>(i) * 2 * n + k]) * g[static_cast<size_t>(j) * 2 * n + k];
            }
            h[static_cast<size_t>(i) * n + j] = static_cast<float>(sum / (2 * n));
        }
    }
    return h;
}

void test_dense() {
    for (int n : {8, 24, 64}) {
        std::vector<float> h = positive_definite(n);
        Device<float> hd(h), greedy(h.size());
        Device<int32_t> failure(std::vector<int32_t>{0});
        OK(gosset_greedy_matrix(hd.address, greedy.address, n, failure.address, nullptr));
        OK(gosset_cholesky_block(hd.address, n, 0, n, failure.address, nullptr));
        CHECK(failure.read()[0] == 0, "a positive definite matrix of %d fails at row %d", n, failure.read()[0] - 1);
        std::vector<float> c = hd.read();
        double worst = 0;
        for (int i = 0; i < n; i++) {
            for (int j = 0; j <= i; j++) {
                double sum = 0;
                for (int k = 0; k <= j; k++) {
                    sum += static_cast<double>(c[i * n + k]) * c[j * n + k];
                }
                worst = std::max(worst, fabs(sum - h[i * n + j]));
            }
        }
        CHECK(worst < 1e-5, "Cholesky of %d: error %g", n, worst);
        OK(gosset_block_ldl(hd.address, n, nullptr));
        std::vector<float> l = hd.read();
        /* L B = C, with B the diagonal blocks of C. */
        worst = 0;
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                double sum = 0;
                for (int k = j / 8 * 8; k < j / 8 * 8 + 8; k++) {
                    sum += k >= j ? static_cast<double>(l[i * n + k]) * c[k * n + j] : 0;
                }
                bool above = j / 8 > i / 8;
                worst = std::max(worst, fabs(sum - (above || j > i ? 0 : c[i * n + j])));
                CHECK(i / 8 != j / 8 || l[i * n + j] == (i == j ? 1 : 0), "L is not unit at %d, %d", i, j);
            }
        }
        CHECK(worst < 1e-5, "block LDL of %d: error %g", n, worst);
        /* G H_kk = H off the diagonal blocks. */
        std::vector<float> g = greedy.read();
        worst = 0;
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                double sum = 0;
                for (int k = j / 8 * 8; k < j / 8 * 8 + 8; k++) {
                    sum += static_cast<double>(g[i * n + k]) * h[k * n + j];
                }
                worst = std::max(worst, fabs(sum - (i / 8 == j / 8 ? 0 : h[i * n + j])));
            }
        }
        CHECK(worst < 1e-5, "greedy matrix of %d: error %g", n, worst);
    }
    std::vector<float> bad = positive_definite(16);
    bad[5 * 16 + 5] = -1;
    Device<float> b(bad), out(bad.size());
    Device<int32_t> failure(std::vector<int32_t>{0});
    OK(gosset_cholesky_block(b.address, 16, 0, 16, failure.address, nullptr));
    CHECK(failure.read()[0] == 6, "the failing row is %d, expected 6", failure.read()[0]);
    CHECK(b.read() == bad, "a failed factorization leaves the matrix as it is");
    OK(gosset_greedy_matrix(b.address, out.address, 16, failure.address, nullptr));
    CHECK(failure.read()[0] == 6, "the failing row is %d, expected 6", failure.read()[0]);
}

void test_ldlq() {
    for (int bits = 2; bits <= 4; bits++) {
        int m = 37, n = 160, start = 24, width = 128;
        std::vector<float> x = normals(static_cast<size_t>(m) * n), matrix = normals(static_cast<size_t>(n) * n);
        std::vector<float> base = normals(static_cast<size_t>(m) * width), error = normals(static_cast<size_t>(m) * n);
        for (float &f : base) {
            f *= 0.2f;
        }
        for (float &f : matrix) {
            f *= 0.05f;
        }
        Device<float> xd(x), md(matrix), bd(base), ed(error);
        Device<int32_t> codes(static_cast<size_t>(m) * n / 8);
        float rs = static_cast<float>(residual_scale(bits));
        OK(gosset_ldlq_group(bits, m, n, start, width, xd.address, md.address, bd.address, ed.address, rs,
                             codes.address, nullptr));
        std::vector<float> e = ed.read();
        std::vector<int32_t> code = codes.read();
        for (int i = 0; i < m; i++) {
            std::vector<double> change(width);
            for (int local = width - 8; local >= 0; local -= 8) {
                double target[8], v[8], first[8], d = 0;
                int k = start + local;
                for (int c = 0; c < 8; c++) {
                    target[c] = x[i * n + k + c] + base[i * width + local + c];
                    for (int r = local + 8; r < width; r++) {
                        target[c] += change[r] * matrix[static_cast<size_t>(start + r) * n + k + c];
                    }
                }
                uint32_t found = static_cast<uint32_t>(code[i * (n / 8) + k / 8]), best;
                decode_code(bits, found, v);
                decode_e8p(bits == 2 ? found : found >> 16, first);
                for (int c = 0; c < 8; c++) {
                    d += (target[c] - first[c]) * (target[c] - first[c]);
                    double now = x[i * n + k + c] - v[c];
                    CHECK(fabs(e[i * n + k + c] - now) < 1e-5, "%d bits: error %g, expected %g", bits,
                          static_cast<double>(e[i * n + k + c]), now);
                    change[local + c] = now - error[i * n + k + c];
                }
                if (local % 32 == 0 && i % 4 == 0) {
                    double least = least_distance(target, false, &best);
                    CHECK(d <= least + 1e-3 * (1 + least), "%d bits, row %d, column %d: distance %g, nearest %g", bits,
                          i, k, d, least);
                }
            }
            for (int j = 0; j < n; j++) {
                if (j < start || j >= start + width) {
                    CHECK(e[i * n + j] == error[i * n + j], "column %d is not of the group", j);
                }
            }
        }
    }
}

void test_convert() {
    std::vector<float> x = normals(300);
    Device<float> xd(x), back(x.size());
    Device<double> wide(x.size());
    Device<uint16_t> narrow(x.size());
    OK(gosset_convert(xd.address, GOSSET_F32, wide.address, GOSSET_F64, 300, nullptr));
    OK(gosset_convert(wide.address, GOSSET_F64, back.address, GOSSET_F32, 300, nullptr));
    OK(gosset_convert(xd.address, GOSSET_F32, narrow.address, GOSSET_F16, 300, nullptr));
    CHECK(back.read() == x, "through F64 and back");
    std::vector<uint16_t> h = narrow.read();
    for (size_t i = 0; i < x.size(); i++) {
        CHECK(h[i] == to_half(x[i]), "element %zu as half", i);
    }
}

void test_planes() {
    for (int bits = 2; bits <= 4; bits++) {
        Codes c = random_codes(bits, 5, 77);
        std::vector<int32_t> codes(c.code.begin(), c.code.end());
        Device<int32_t> cd(codes);
        Device<uint8_t> planes(c.planes.size());
        OK(gosset_codes_to_planes(bits, 5, 77, cd.address, planes.address, nullptr));
        CHECK(planes.read() == c.planes, "planes of %d bits", bits);
    }
}

void test_runtime() {
    int32_t count = 0;
    OK(gosset_device_count(&count));
    char name[64];
    int64_t facts[GOSSET_DEVICE_FACTS];
    OK(gosset_device_describe(0, name, sizeof name, facts));
    CHECK(gosset_device_describe(7777, name, sizeof name, facts) == GOSSET_CUDA_FAILURE && gosset_last_native_code() == 101,
          "device 7777: %s", gosset_last_error());
#ifndef GOSSET_ON_DEVICE
    CHECK(count == 1 && strcmp(gosset_backend(), "emulation") == 0, "%d devices of %s", count, gosset_backend());
    gosset_emulation_absent(1);
    CHECK(gosset_device_count(&count) == GOSSET_NO_DEVICE && count == 0 && strstr(gosset_last_error(), "no NVIDIA driver"),
          "no driver: %s", gosset_last_error());
    gosset_emulation_absent(0);
    gosset_emulation_memory_bytes(1 << 20);
    gosset_address a = 1;
    CHECK(gosset_allocate(&a, 2 << 20) == GOSSET_OUT_OF_MEMORY && a == 0 &&
              strstr(gosset_last_error(), "asked for 2097152 bytes, 1048576 of 1048576 are free"),
          "out of memory: %s", gosset_last_error());
    gosset_emulation_memory_bytes(int64_t{8} << 30);
#endif

    gosset_stream *stream;
    gosset_event *from, *to;
    OK(gosset_stream_create(&stream));
    OK(gosset_event_create(&from));
    OK(gosset_event_create(&to));
    Device<float> x(std::vector<float>{1, 2, 3, 4});
    OK(gosset_graph_begin(stream));
    OK(gosset_transform(x.address, 0, x.address, 0, 4, 1, 1, 0, 0, 0, 0, 0, 1, 0, stream));
    gosset_graph *graph;
    OK(gosset_graph_end(stream, &graph));
    CHECK((x.read() == std::vector<float>{1, 2, 3, 4}), "recording must not run");
    OK(gosset_event_record(from, stream));
    OK(gosset_graph_launch(graph, stream));
    OK(gosset_stream_synchronize(stream));
    CHECK((x.read() == std::vector<float>{10, -2, -4, 0}), "first replay");
    OK(gosset_graph_launch(graph, stream));
    OK(gosset_stream_synchronize(stream));
    CHECK((x.read() == std::vector<float>{4, 8, 12, 16}), "second replay");
    OK(gosset_event_record(to, stream));
    OK(gosset_event_synchronize(to));
    float ms = -1;
    OK(gosset_event_elapsed(from, to, &ms));
    CHECK(ms >= 0, "%g ms", static_cast<double>(ms));
    OK(gosset_graph_destroy(graph));
    OK(gosset_event_destroy(from));
    OK(gosset_event_destroy(to));
    OK(gosset_stream_destroy(stream));

    CHECK(gosset_matvec(5, 16, 128, 1, 16, 16, 16, 1, 16, nullptr) == GOSSET_INVALID_ARGUMENT, "5 bits");
    CHECK(gosset_matvec(2, 16, 128, 17, 16, 16, 16, 1, 16, nullptr) == GOSSET_INVALID_ARGUMENT, "batch 17");
    CHECK(gosset_transform(16, 0, 16, 0, 24, 8, 1, 1, 16, 0, 0, 0, 1, 0, nullptr) == GOSSET_INVALID_ARGUMENT,
          "n / k = 3: %s", gosset_last_error());
    CHECK(gosset_decode(2, 16, 128, 16, 10, 7, 1, 16, nullptr) == GOSSET_INVALID_ARGUMENT, "rows beyond m");
    CHECK(gosset_packed_bytes(2, 0, 8) == -1 && gosset_activation_bytes(8, 17) == -1, "sizes of wrong arguments");
}

#ifndef GOSSET_ON_DEVICE
// Kernels that are wrong, to show that the emulation notices.

void divergent(int) {
    if (threadIdx.x < 16) {
        __syncthreads();
    } else {
        __syncthreads();
    }
}
void half_a_barrier(int) {
    if (threadIdx.x != 5) {
        __syncthreads();
    }
}
void half_a_warp(float *out) {
    float v = 1;
    if (threadIdx.x < 20) {
        v = __shfl_xor_sync(0xffffffffu, v, 1);
    }
    out[threadIdx.x] = v;
}
void missing_barrier(float *out) {
    GOSSET_SHARED(float, s);
    s[threadIdx.x] = static_cast<float>(threadIdx.x);
    out[threadIdx.x] = s[(threadIdx.x + 1) % blockDim.x];
}

/* Blocks of a cluster in which each tells the next its rank. */
__global__ void neighbours(float *out, int missing) {
    GOSSET_SHARED(float, s);
    int rank = static_cast<int>(blockIdx.x % 4);
    if (threadIdx.x == 0) {
        s[0] = static_cast<float>(blockIdx.x);
    }
    if (rank != missing) {
        gosset::cluster_barrier();
    }
    if (threadIdx.x == 0) {
        out[blockIdx.x] = gosset::cluster_read(s, (rank + 1) % 4);
    }
    gosset::cluster_barrier();
}

void test_clusters() {
    float out[8];
    float *to = out;
    CHECK(GOSSET_LAUNCH_CLUSTERS(4, neighbours, 8, 32, 4, nullptr, to, -1) == cudaSuccess, "%s", gosset_emulation_report());
    for (int i = 0; i < 8; i++) {
        CHECK(out[i] == static_cast<float>(i / 4 * 4 + (i + 1) % 4), "block %d read %g", i, static_cast<double>(out[i]));
    }
    CHECK(GOSSET_LAUNCH_CLUSTERS(4, neighbours, 8, 32, 4, nullptr, to, 2) == cudaErrorLaunchFailure &&
              strstr(gosset_emulation_report(), "divergent cluster barrier"),
          "%s", gosset_emulation_report());
    CHECK(GOSSET_LAUNCH_CLUSTERS(4, neighbours, 6, 32, 4, nullptr, to, -1) == cudaErrorInvalidValue,
          "a grid that is no multiple of the cluster passed");
}

void test_emulation() {
    float out[64];
    GOSSET_LAUNCH(divergent, 1, 32, 0, nullptr, 0);
    CHECK(cudaGetLastError() == cudaErrorLaunchFailure && strstr(gosset_emulation_report(), "divergent barrier"), "%s",
          gosset_emulation_report());
    GOSSET_LAUNCH(half_a_barrier, 1, 64, 0, nullptr, 0);
    CHECK(cudaGetLastError() == cudaErrorLaunchFailure && strstr(gosset_emulation_report(), "thread 5 has returned"),
          "%s", gosset_emulation_report());
    float *to = out;
    GOSSET_LAUNCH(half_a_warp, 1, 32, 0, nullptr, to);
    CHECK(cudaGetLastError() == cudaErrorLaunchFailure, "a shuffle of 20 lanes passed");
    bool seen = false;
    for (int order : {0, 1}) {
        gosset_emulation_order(order);
        GOSSET_LAUNCH(missing_barrier, 1, 64, 256, nullptr, to);
        seen = seen || out[3] != 4;
    }
    gosset_emulation_order(0);
    CHECK(seen, "no order of threads shows a missing barrier");
    GOSSET_LAUNCH(missing_barrier, 1, 64, 1 << 20, nullptr, to);
    CHECK(cudaGetLastError() == cudaErrorInvalidValue, "too much shared memory passed");
    test_clusters();
}
#endif

}  // namespace

int main(int argc, char **argv) {
    return run_tests(argc, argv, {
        {"half conversions", test_half},
#ifndef GOSSET_ON_DEVICE
        {"the emulation notices wrong kernels", test_emulation},
#endif
        {"runtime", test_runtime},
        {"transform", test_transform},
        {"transform with 99 KB", test_transform_in_little_memory},
        {"two sizes in one graph", test_between_of_two_sizes},
        {"activations", test_activations},
        {"matvec", test_matvec},
        {"decode", test_decode},
        {"all codes", test_all_codes},
        {"nearest", test_nearest},
        {"statistics", test_statistics},
        {"between", test_between},
        {"dense", test_dense},
        {"LDLQ group", test_ldlq},
        {"planes", test_planes},
        {"convert", test_convert},
    });
}
