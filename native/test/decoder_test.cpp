/*
 * The decoder's kernels through the C ABI against plain double arithmetic written here from the definitions and not from
 * the kernels: on the emulation, or, compiled with GOSSET_ON_DEVICE and linked to the CUDA library, on a device.
 *   --short      leaves out the larger sizes, for the sanitized builds
 *   --seed N     other random inputs
 * Exit code 0 and one line per test, or 1.
 */
#include <map>
#include <numeric>
#include <set>

#include "harness.h"

namespace {

int uniform(int from, int to) { return from + static_cast<int>(random_bits() % static_cast<uint64_t>(to - from + 1)); }

std::vector<uint16_t> halves(const std::vector<float> &v) {
    std::vector<uint16_t> h;
    for (float f : v) {
        h.push_back(to_half(f));
    }
    return h;
}
uint16_t to_bfloat16(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    return static_cast<uint16_t>((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
float from_bfloat16(uint16_t b) {
    uint32_t u = static_cast<uint32_t>(b) << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

/* A tensor as it is stored: its bytes on the device, and what they mean. */
struct Stored {
    int type;
    std::vector<float> values;
    std::vector<uint8_t> bytes;
    Stored(int type_, std::vector<float> v) : type(type_), values(std::move(v)) {
        size_t each = type == GOSSET_F32 ? 4 : type == GOSSET_I8 ? 1 : 2;
        bytes.resize(values.size() * each);
        for (size_t i = 0; i < values.size(); i++) {
            float &f = values[i];
            if (type == GOSSET_F32) {
                memcpy(&bytes[4 * i], &f, 4);
            } else if (type == GOSSET_I8) {
                int q = static_cast<int>(std::clamp(lrintf(60 * f), -128L, 127L));
                f = static_cast<float>(q);
                bytes[i] = static_cast<uint8_t>(q);
            } else {
                uint16_t h = type == GOSSET_F16 ? to_half(f) : to_bfloat16(f);
                f = type == GOSSET_F16 ? from_half(h) : from_bfloat16(h);
                memcpy(&bytes[2 * i], &h, 2);
            }
        }
    }
};

/* Device memory whose every byte is 0xff: a pattern that is NaN as half and as float. */
template <class T>
struct Marked : Device<T> {
    explicit Marked(size_t n) : Device<T>(n) { OK(gosset_fill(this->address, 0xff, static_cast<int64_t>(sizeof(T) * n), nullptr)); }
};
template <class T>
bool marked(const T &v) {
    uint8_t bytes[sizeof(T)];
    memcpy(bytes, &v, sizeof(T));
    return std::all_of(bytes, bytes + sizeof(T), [](uint8_t b) { return b == 0xff; });
}

/* What came out as floats, whatever its type. */
struct Out {
    int type;
    Marked<float> floats;
    Marked<uint16_t> half;
    Out(int type_, size_t n) : type(type_), floats(n), half(n) {}
    gosset_address address() const { return type == GOSSET_F32 ? floats.address : half.address; }
    std::vector<float> read() const {
        if (type == GOSSET_F32) {
            return floats.read();
        }
        std::vector<float> v;
        for (uint16_t h : half.read()) {
            v.push_back(from_half(h));
        }
        return v;
    }
    double tolerance() const { return type == GOSSET_F32 ? 3e-6 : 1e-3; }
};

void test_embed() {
    for (int type : {GOSSET_F32, GOSSET_F16, GOSSET_BF16}) {
        int vocabulary = 11, n = type == GOSSET_F32 ? 37 : 300, rows = 5;
        Stored table(type, normals(static_cast<size_t>(vocabulary) * n));
        Device<uint8_t> t(table.bytes);
        std::vector<int32_t> tokens = {3, 11, -1, 7, 10};
        Device<int32_t> ids(tokens), positions(std::vector<int32_t>{0, 1, 2, -4, 9});
        for (bool idle : {false, true}) {
            Marked<float> out(static_cast<size_t>(rows) * n);
            OK(gosset_embed(t.address, type, vocabulary, n, ids.address, idle ? positions.address : 0, rows, out.address,
                            nullptr));
            std::vector<float> y = out.read();
            for (int i = 0; i < rows * n; i++) {
                int r = i / n, token = tokens[r];
                if (idle && r == 3) {
                    CHECK(marked(y[i]), "an idle row was written");
                } else {
                    float expected = token >= 0 && token < vocabulary ? table.values[token * n + i % n] : 0;
                    CHECK(y[i] == expected, "type %d row %d: %g, not %g", type, r, y[i], expected);
                }
            }
        }
    }
}

void test_norm() {
    for (int n : brief ? std::vector<int>{1, 300, 1100} : std::vector<int>{1, 37, 1023, 1024, 4100}) {
        for (int type : {GOSSET_F32, GOSSET_F16}) {
            for (int variant = 0; variant < 3; variant++) {
                int rows = 3;
                bool adds = variant != 1, norms = variant != 2;
                size_t count = static_cast<size_t>(rows) * n;
                std::vector<float> x = normals(count), h = normals(count), w = normals(n);
                Device<float> xd(x), hd(h), wd(w);
                Out out(type, count);
                float epsilon = 0.01f;
                OK(gosset_residual_norm(xd.address, adds ? hd.address : 0, norms ? wd.address : 0, epsilon, n, rows,
                                        norms ? out.address() : 0, type, nullptr));
                std::vector<float> sums = xd.read(), y = out.read();
                std::vector<double> expected, normed;
                for (int r = 0; r < rows; r++) {
                    double squares = 0;
                    for (int i = 0; i < n; i++) {
                        expected.push_back(adds ? static_cast<double>(x[r * n + i]) + h[r * n + i] : x[r * n + i]);
                        squares += expected.back() * expected.back();
                    }
                    for (int i = 0; i < n; i++) {
                        normed.push_back(w[i] * expected[r * n + i] / sqrt(squares / n + epsilon));
                    }
                }
                CHECK(relative(sums, expected) < 1e-6, "sum, n = %d", n);
                if (norms) {
                    CHECK(relative(y, normed) < out.tolerance(), "norm, n = %d: %g", n, relative(y, normed));
                } else {
                    CHECK(marked(out.floats.read()[0]) && marked(out.half.read()[0]), "out was written");
                }
            }
        }
    }
}

void test_elementwise() {
    for (int n : {1, 37, 256, 1000}) {
        int rows = 3;
        for (int type : {GOSSET_F32, GOSSET_F16}) {
            std::vector<float> h = normals(static_cast<size_t>(rows) * 2 * n);
            h[n] = 90;
            h[n + n / 2] = -90;
            Device<float> hd(h);
            Out out(type, static_cast<size_t>(rows) * n);
            OK(gosset_gate(hd.address, n, rows, out.address(), type, nullptr));
            std::vector<double> expected;
            for (int i = 0; i < rows * n; i++) {
                double up = h[i / n * 2 * n + i % n], gate = h[i / n * 2 * n + n + i % n];
                expected.push_back(up * gate / (1 + exp(-gate)));
            }
            double e = relative(out.read(), expected);
            CHECK(e < out.tolerance(), "gate, n = %d: %g", n, e);
        }
        std::vector<float> x = normals(static_cast<size_t>(rows) * n), bias = normals(n);
        Device<float> xd(x), biasd(bias);
        OK(gosset_add_bias(xd.address, biasd.address, n, rows, nullptr));
        std::vector<float> y = xd.read();
        for (int i = 0; i < rows * n; i++) {
            CHECK(y[i] == x[i] + bias[i % n], "bias, n = %d, element %d", n, i);
        }
    }
}

void test_rotate() {
    struct Case {
        int heads, kv_heads, dim;
    };
    for (Case c : {Case{4, 2, 32}, {7, 1, 8}, {3, 3, 80}, {8, 2, 128}, {2, 1, 256}}) {
        for (int variant = 0; variant < 8; variant++) {
            bool norm = variant & 1, bias = variant & 2, blocks = variant & 4;
            int type = variant % 4 < 2 ? GOSSET_F32 : GOSSET_F16;
            int rows = 5, capacity = blocks ? 128 : 6, sequences = 3, dim = c.dim, units = c.heads + 2 * c.kv_heads;
            std::vector<int32_t> owner = {2, 0, 1, 2, 0}, position = {capacity - 1, 0, -1, 2, capacity};
            /* Two blocks for each sequence, among eight. */
            std::vector<int32_t> table = {7, 0, 3, 4, 1, 6};
            Device<int32_t> tabled(table);
            std::vector<float> qkv = normals(static_cast<size_t>(rows) * units * dim), b = normals(static_cast<size_t>(units) * dim);
            std::vector<float> qn = normals(dim), kn = normals(dim), angles;
            for (int i = 0; i < capacity * dim / 2; i++) {
                double angle = normal();
                angles.push_back(static_cast<float>(cos(angle)));
                angles.push_back(static_cast<float>(sin(angle)));
            }
            Device<float> qkvd(qkv), bd(b), qnd(qn), knd(kn), anglesd(angles);
            Device<int32_t> ownerd(owner), positiond(position);
            Out queries(type, static_cast<size_t>(rows) * c.heads * dim);
            size_t cache = static_cast<size_t>(blocks ? 8 * 64 : sequences * capacity) * c.kv_heads * dim;
            Marked<uint16_t> keys(cache), values(cache);
            auto place = [&](int sequence, int kv, int p) {
                size_t at = blocks ? (static_cast<size_t>(table[2 * sequence + p / 64]) * c.kv_heads + kv) * 64 + p % 64
                                   : (static_cast<size_t>(sequence) * c.kv_heads + kv) * capacity + p;
                return at * dim;
            };
            float epsilon = 1e-3f;
            OK(gosset_rotate_store(qkvd.address, bias ? bd.address : 0, norm ? qnd.address : 0, norm ? knd.address : 0,
                                   epsilon, anglesd.address, ownerd.address, positiond.address,
                                   blocks ? tabled.address : 0, rows, c.heads, c.kv_heads, dim, capacity,
                                   queries.address(), type, keys.address, values.address, nullptr));
            std::vector<float> q = queries.read();
            std::vector<uint16_t> k = keys.read(), v = values.read();
            std::vector<double> expected_q(q.size(), NAN), expected_k(cache, NAN), expected_v(cache, NAN);
            for (int r = 0; r < rows; r++) {
                int p = position[r];
                if (p < 0 || p >= capacity) {
                    continue;
                }
                for (int u = 0; u < units; u++) {
                    std::vector<double> x(dim);
                    double squares = 0;
                    for (int i = 0; i < dim; i++) {
                        x[i] = qkv[(r * units + u) * dim + i] + (bias ? static_cast<double>(b[u * dim + i]) : 0);
                        squares += x[i] * x[i];
                    }
                    bool value = u >= c.heads + c.kv_heads;
                    if (!value) {
                        for (int i = 0; norm && i < dim; i++) {
                            x[i] *= (u < c.heads ? qn : kn)[i] / sqrt(squares / dim + epsilon);
                        }
                        for (int i = 0; i < dim / 2; i++) {
                            double cosine = angles[2 * (p * dim / 2 + i)], sine = angles[2 * (p * dim / 2 + i) + 1];
                            double a = x[i], d = x[i + dim / 2];
                            x[i] = a * cosine - d * sine;
                            x[i + dim / 2] = d * cosine + a * sine;
                        }
                    }
                    int kv = (u - c.heads) % c.kv_heads;
                    for (int i = 0; i < dim; i++) {
                        if (u < c.heads) {
                            expected_q[(r * c.heads + u) * dim + i] = x[i];
                        } else {
                            (value ? expected_v : expected_k)[place(owner[r], kv, p) + i] = x[i];
                        }
                    }
                }
            }
            auto same = [&](double expected, float found, double tolerance, const char *what) {
                if (std::isnan(expected)) {
                    CHECK(std::isnan(found), "%s of an idle row were written", what);
                } else {
                    CHECK(fabs(expected - found) <= tolerance * (1 + fabs(expected)), "%s: %g, not %g", what, found, expected);
                }
            };
            for (size_t i = 0; i < q.size(); i++) {
                same(expected_q[i], q[i], type == GOSSET_F32 ? 3e-6 : 6e-4, "queries");
            }
            for (size_t i = 0; i < cache; i++) {
                same(expected_k[i], from_half(k[i]), 6e-4, "keys");
                same(expected_v[i], from_half(v[i]), 6e-4, "values");
            }
            if (blocks) {
                /* The sequence that wrote its last position, collected around it. */
                int from = 100, count = 28, step = count * dim + 8;
                Marked<uint16_t> out(static_cast<size_t>(c.kv_heads) * step);
                OK(gosset_collect(keys.address, tabled.address + 4 * 2 * 2, c.kv_heads, dim, from, count, step, out.address,
                                  nullptr));
                std::vector<uint16_t> found = out.read();
                for (int kv = 0; kv < c.kv_heads; kv++) {
                    for (int j = 0; j < step; j++) {
                        uint16_t wanted = j < count * dim ? k[place(2, kv, from + j / dim) + j % dim] : 0xffff;
                        CHECK(found[kv * step + j] == wanted, "collected %d of head %d", j, kv);
                    }
                }
            }
        }
    }
}

struct AttentionCase {
    int heads, kv_heads, dim, capacity, window, splits;
};

void attention_case(const AttentionCase &c) {
    int rows = 4, sequences = 5, capacity = (c.capacity + 63) / 64 * 64, blocks = capacity / 64;
    std::vector<int32_t> owner = {4, 0, 3, 1};
    /* Blocks of all sequences in any order, and some that belong to nobody. */
    std::vector<int32_t> table(static_cast<size_t>(sequences) * blocks + 3);
    for (size_t i = 0; i < table.size(); i++) {
        table[i] = static_cast<int32_t>(i);
    }
    std::shuffle(table.begin(), table.end(), random_bits);
    auto place = [&](int sequence, int kv, int p) {
        size_t block = static_cast<size_t>(table[static_cast<size_t>(sequence) * blocks + p / 64]);
        return ((block * c.kv_heads + kv) * 64 + p % 64) * c.dim;
    };
    std::vector<int32_t> position = {c.capacity - 1, uniform(0, c.capacity - 1), -2, uniform(0, std::min(c.capacity - 1, 40))};
    size_t cache = table.size() * c.kv_heads * 64 * c.dim;
    /* What a row does not see is NaN. */
    std::vector<uint16_t> keys(cache, 0xffff), values(cache, 0xffff);
    for (int r = 0; r < rows; r++) {
        for (int kv = 0; kv < c.kv_heads; kv++) {
            int low = c.window > 0 ? std::max(0, position[r] - c.window + 1) : 0;
            for (int p = low; p <= position[r]; p++) {
                for (int i = 0; i < c.dim; i++) {
                    size_t at = place(owner[r], kv, p) + i;
                    keys[at] = to_half(normal());
                    values[at] = to_half(normal());
                }
            }
        }
    }
    size_t count = static_cast<size_t>(rows) * c.heads * c.dim;
    std::vector<float> q = normals(count);
    float scale = 1.5f / sqrtf(static_cast<float>(c.dim));
    Device<float> qd(q);
    Device<uint16_t> kd(keys), vd(values);
    Device<int32_t> ownerd(owner), positiond(position), tabled(table);
    int64_t bytes = gosset_attention_work(rows, c.heads, c.dim, c.splits);
    Marked<uint8_t> work(static_cast<size_t>(bytes));
    if (bytes > 0) {
        OK(gosset_fill(work.address, 0, 16384, nullptr));
    }
    std::vector<float> first;
    for (int repeat = 0; repeat < 2; repeat++) {
        Marked<float> out(count);
        OK(gosset_attention(qd.address, kd.address, vd.address, ownerd.address, positiond.address, tabled.address, rows,
                            c.heads, c.kv_heads, c.dim, capacity, c.window, scale, c.splits,
                            bytes > 0 ? work.address : 0, out.address, nullptr));
        std::vector<float> y = out.read();
        CHECK(repeat == 0 || memcmp(first.data(), y.data(), 4 * count) == 0, "a second call gives other bits");
        first = y;
    }
    for (int r = 0; r < rows; r++) {
        /* Alone. */
        size_t one = count / rows;
        Marked<float> out(one);
        OK(gosset_attention(qd.address + 4 * one * r, kd.address, vd.address, ownerd.address + 4 * r,
                            positiond.address + 4 * r, tabled.address, 1, c.heads, c.kv_heads, c.dim, capacity, c.window,
                            scale, c.splits, bytes > 0 ? work.address : 0, out.address, nullptr));
        CHECK(memcmp(&first[one * r], out.read().data(), 4 * one) == 0, "row %d alone has other bits", r);
    }
    if (bytes > 0) {
        std::vector<uint8_t> after = work.read();
        CHECK(std::all_of(after.begin(), after.begin() + 16384, [](uint8_t b) { return b == 0; }), "counters stay behind");
    }
    for (int r = 0; r < rows; r++) {
        std::vector<float> found;
        std::vector<double> expected;
        for (int h = 0; h < c.heads; h++) {
            int kv = h / (c.heads / c.kv_heads), p = position[r];
            int low = c.window > 0 ? std::max(0, p - c.window + 1) : 0;
            std::vector<double> weight;
            double sum = 0;
            for (int j = low; j <= p; j++) {
                double dot = 0;
                for (int i = 0; i < c.dim; i++) {
                    size_t at = place(owner[r], kv, j) + i;
                    dot += static_cast<double>(q[(r * c.heads + h) * c.dim + i]) * from_half(keys[at]);
                }
                weight.push_back(exp(scale * dot));
                sum += weight.back();
            }
            for (int i = 0; i < c.dim; i++) {
                double value = 0;
                for (int j = low; j <= p; j++) {
                    size_t at = place(owner[r], kv, j) + i;
                    value += weight[j - low] / sum * from_half(values[at]);
                }
                expected.push_back(value);
                found.push_back(first[(r * c.heads + h) * c.dim + i]);
            }
        }
        if (position[r] < 0) {
            CHECK(std::all_of(found.begin(), found.end(), [](float f) { return marked(f); }), "an idle row was written");
        } else {
            double e = relative(found, expected);
            CHECK(e < 1e-5, "%d / %d heads of %d, capacity %d, window %d, %d splits, position %d: %g", c.heads, c.kv_heads,
                  c.dim, c.capacity, c.window, c.splits, position[r], e);
        }
    }
}

void test_attention() {
    std::vector<AttentionCase> cases = {{4, 2, 32, 150, 0, 3},  {1, 1, 8, 3, 0, 1},    {6, 2, 64, 90, 33, 2},
                                        {8, 1, 128, 200, 0, 4}, {3, 3, 80, 70, 16, 16}, {12, 1, 40, 65, 0, 2}};
    if (!brief) {
        cases.insert(cases.end(), {{14, 2, 64, 300, 0, 5},
                                   {2, 2, 256, 130, 50, 7},
                                   {10, 2, 192, 100, 0, 3},
                                   {16, 2, 128, 700, 0, 256},
                                   {5, 1, 96, 260, 100, 2},
                                   {9, 1, 16, 600, 599, 8},
                                   {4, 1, 128, 1, 0, 4}});
    }
    for (const AttentionCase &c : cases) {
        attention_case(c);
    }
    int32_t splits = 0;
    OK(gosset_attention_splits(32, 8, 2048, &splits));
    CHECK(splits >= 1 && splits <= 32, "%d splits", splits);
    OK(gosset_attention_splits(512, 8, 2048, &splits));
    CHECK(splits == 1, "%d splits of many heads", splits);
    CHECK(gosset_attention_work(2, 8, 64, 1) == 0 && gosset_attention_work(2, 8, 60, 2) == -1 &&
              gosset_attention_work(129, 32, 64, 2) == -1,
          "sizes of work");
}

void test_causal_softmax() {
    struct Case {
        int planes, rows, first, window, columns, stride;
    };
    /* Rows far from zero on either side, such as large biases of keys make. */
    float shift = 0;
    for (Case c : {Case{2, 3, 0, 0, 3, 8}, {3, 5, 40, 0, 45, 48}, {1, 7, 300, 100, 320, 321}, {2, 4, 2, 1, 6, 6},
                   {2, 3, 0, 0, 3, 8}, {3, 5, 40, 0, 45, 48}, {1, 7, 300, 100, 320, 321}, {2, 4, 2, 1, 6, 6},
                   {2, 3, 0, 0, 3, 8}, {1, 7, 300, 100, 320, 321}}) {
        size_t count = static_cast<size_t>(c.planes) * c.rows * c.stride;
        std::vector<float> x(count, NAN);
        for (int plane = 0; plane < c.planes; plane++) {
            for (int r = 0; r < c.rows; r++) {
                for (int i = 0; i <= c.first + r; i++) {
                    x[(static_cast<size_t>(plane) * c.rows + r) * c.stride + i] = shift + 20 * normal();
                }
            }
        }
        shift = shift == 0 ? -700 : shift == -700 ? -3500 : shift == -3500 ? 3500 : 0;
        Device<float> xd(x);
        Marked<uint16_t> out(count);
        OK(gosset_causal_softmax(xd.address, out.address, c.planes, c.rows, c.columns, c.stride, c.first, c.window, 0.3f,
                                 nullptr));
        std::vector<uint16_t> y = out.read();
        for (int line = 0; line < c.planes * c.rows; line++) {
            int p = c.first + line % c.rows, low = c.window > 0 ? std::max(0, p - c.window + 1) : 0;
            const float *row = &x[static_cast<size_t>(line) * c.stride];
            double sum = 0, largest = -INFINITY;
            for (int i = low; i <= p; i++) {
                largest = std::max(largest, static_cast<double>(row[i]));
            }
            for (int i = low; i <= p; i++) {
                sum += exp(0.3f * (row[i] - largest));
            }
            for (int i = 0; i < c.stride; i++) {
                uint16_t found = y[static_cast<size_t>(line) * c.stride + i];
                double expected = i >= low && i <= p ? exp(0.3f * (row[i] - largest)) / sum : 0;
                if (i >= c.columns) {
                    CHECK(found == 0xffff, "written beyond the columns");
                } else {
                    /* A float has 24 bits: scores of 3500 are known to 1e-4. */
                    CHECK(fabs(from_half(found) - expected) < 1.5e-3 * expected + 1e-7, "line %d column %d: %g, not %g", line,
                          i, from_half(found), expected);
                }
            }
        }
    }
}

void dense_case(int type, int m, int n, int rows, bool with_bias, bool one_sign = false) {
    std::vector<float> weights = normals(static_cast<size_t>(m) * n), x = normals(static_cast<size_t>(rows) * n);
    for (std::vector<float> *v : {&weights, &x}) {
        for (float &f : *v) {
            f = one_sign ? fabsf(f) : f;
        }
    }
    Stored w(type, weights);
    std::vector<float> bias = normals(m), scales;
    for (int i = 0; i < m; i++) {
        scales.push_back(0.01f + fabsf(normal()));
    }
    Device<uint8_t> wd(w.bytes);
    Device<float> xd(x), biasd(bias), scalesd(scales);
    Marked<float> y(static_cast<size_t>(rows) * m);
    OK(gosset_dense(type, m, n, rows, wd.address, type == GOSSET_I8 ? scalesd.address : 0, with_bias ? biasd.address : 0,
                    xd.address, y.address, nullptr));
    std::vector<double> expected;
    for (int r = 0; r < rows; r++) {
        for (int i = 0; i < m; i++) {
            double sum = 0;
            for (int j = 0; j < n; j++) {
                sum += static_cast<double>(w.values[static_cast<size_t>(i) * n + j]) * x[static_cast<size_t>(r) * n + j];
            }
            expected.push_back(sum * (type == GOSSET_I8 ? scales[i] : 1) + (with_bias ? bias[i] : 0));
        }
    }
    std::vector<float> found = y.read();
    double e = relative(found, expected);
    CHECK(e < 2e-6, "type %d, %d x %d, %d rows: %g", type, m, n, rows, e);
    for (int r : {0, rows - 1}) {
        Marked<float> alone(static_cast<size_t>(m));
        Device<float> row(std::vector<float>(&x[static_cast<size_t>(r) * n], &x[static_cast<size_t>(r) * n] + n));
        OK(gosset_dense(type, m, n, 1, wd.address, type == GOSSET_I8 ? scalesd.address : 0, with_bias ? biasd.address : 0,
                        row.address, alone.address, nullptr));
        CHECK(memcmp(&found[static_cast<size_t>(r) * m], alone.read().data(), sizeof(float) * m) == 0,
              "type %d, %d x %d, row %d of %d alone has other bits", type, m, n, r, rows);
    }
}

void test_dense() {
    for (int type : {GOSSET_F32, GOSSET_F16, GOSSET_BF16, GOSSET_I8}) {
        for (int rows : brief ? std::vector<int>{1, 3, 16} : std::vector<int>{1, 2, 3, 4, 5, 8, 9, 16}) {
            dense_case(type, 33, 560, rows, false);
            dense_case(type, 70, 37, rows, true);
        }
        dense_case(type, 1, 1, 1, true);
        /* Two rounds of columns. */
        dense_case(type, 40, 1101, 9, true);
        if (!brief) {
            /* More columns than fit at once, and more tiles than blocks. */
            dense_case(type, 450, 2096, 16, true);
            dense_case(type, 20, 2101, 7, true);
            dense_case(type, 30, 5008, 11, true);
            dense_case(type, 40, 17000, 1, false);
            dense_case(type, 20, 8192, 3, false);
            /* Where what is cut off of sums adds up most. */
            dense_case(type, 20, 11008, 6, false, true);
        }
    }
}

void test_quantize_rows() {
    for (int type : {GOSSET_F32, GOSSET_F16, GOSSET_BF16}) {
        int m = 5, n = 301;
        std::vector<float> v = normals(static_cast<size_t>(m) * n);
        std::fill(v.begin() + n, v.begin() + 2 * n, 0.0f);
        Stored w(type, v);
        Device<uint8_t> wd(w.bytes);
        Marked<int8_t> out(v.size());
        Marked<float> scales(m);
        OK(gosset_quantize_rows(type, m, n, wd.address, out.address, scales.address, nullptr));
        std::vector<int8_t> q = out.read();
        std::vector<float> s = scales.read();
        for (int i = 0; i < m; i++) {
            float largest = 0;
            for (int j = 0; j < n; j++) {
                largest = std::max(largest, fabsf(w.values[i * n + j]));
                double error = fabs(w.values[i * n + j] - static_cast<double>(s[i]) * q[i * n + j]);
                CHECK(error <= 0.50001 * s[i], "type %d row %d: off by %g of %g", type, i, error, s[i]);
            }
            CHECK(fabsf(s[i] - largest / 127) <= 1e-6f * largest, "scale %g of a row up to %g", s[i], largest);
        }
        CHECK(s[1] == 0 && q[n] == 0, "a row of zeros");
    }
    Stored b(GOSSET_BF16, normals(77));
    Device<uint8_t> bd(b.bytes);
    Marked<float> wide(77);
    Marked<uint16_t> narrow(77);
    OK(gosset_convert(bd.address, GOSSET_BF16, wide.address, GOSSET_F32, 77, nullptr));
    OK(gosset_convert(bd.address, GOSSET_BF16, narrow.address, GOSSET_F16, 77, nullptr));
    CHECK(wide.read() == b.values && narrow.read() == halves(b.values), "BF16 comes out as something else");
}

// ------------------------------------------------------------------------------------------------- sampling

struct Settings {
    double temperature, top_p;
    uint64_t seed;
    int32_t top_k, first, limit, unused;
};

double next_double(uint64_t seed, int step) {
    uint64_t z = seed + 0x9e3779b97f4a7c15u * (static_cast<uint64_t>(step) + 1);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return ldexp(static_cast<double>((z ^ (z >> 31)) >> 11), -53);
}

/* What Sampler.java draws; *margin is how close a decision was, in parts of the sum. */
int reference_sample(const std::vector<float> &logits, const Settings &s, int step, double *margin) {
    int n = static_cast<int>(logits.size());
    auto value = [&](int i) { return logits[i]; };
    int best = 0;
    bool numbers = true;
    for (int i = 0; i < n; i++) {
        numbers = numbers && !std::isnan(value(i));
        best = value(i) > value(best) ? i : best;
    }
    *margin = 1;
    if (!numbers || !std::isfinite(value(best))) {
        return -1;
    }
    if (s.temperature == 0 || s.top_k == 1) {
        return best;
    }
    std::vector<double> weight(n);
    for (int i = 0; i < n; i++) {
        weight[i] = exp((static_cast<double>(value(i)) - value(best)) / s.temperature);
    }
    std::vector<int> order(n);
    std::iota(order.begin(), order.end(), 0);
    if (s.top_k > 0 || s.top_p < 1) {
        std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return value(a) > value(b); });
        if (s.top_k > 0 && s.top_k < n) {
            order.resize(s.top_k);
        }
        double all = 0, mass = 0;
        for (int i : order) {
            all += weight[i];
        }
        for (size_t kept = 0; s.top_p < 1 && kept < order.size(); kept++) {
            *margin = std::min(*margin, fabs(mass - s.top_p * all) / all);
            mass += weight[order[kept]];
            if (mass >= s.top_p * all) {
                order.resize(kept + 1);
                *margin = std::min(*margin, fabs(mass - s.top_p * all) / all);
            }
        }
    }
    double sum = 0;
    for (int i : order) {
        sum += weight[i];
    }
    double u = next_double(s.seed, step) * sum, running = 0;
    for (int i : order) {
        *margin = std::min(*margin, fabs(running - u) / sum);
        running += weight[i];
        if (running > u) {
            *margin = std::min(*margin, fabs(running - u) / sum);
            return i;
        }
    }
    return order.back();
}

/* A batch of rows with these settings, drawn `steps` times by one recorded graph from the same logits. */
void sample_case(const std::vector<std::vector<float>> &logits, std::vector<Settings> settings, int steps) {
    int rows = static_cast<int>(logits.size()), vocabulary = static_cast<int>(logits[0].size()), capacity = 20;
    std::vector<float> all;
    std::vector<int32_t> position;
    for (int r = 0; r < rows; r++) {
        all.insert(all.end(), logits[r].begin(), logits[r].end());
        position.push_back(settings[r].first);
    }
    Device<float> logitsd(all);
    Device<Settings> settingsd(settings);
    std::vector<int32_t> start(rows, -7);
    Device<int32_t> tokens(start), positions(position);
    Marked<int32_t> history(static_cast<size_t>(rows) * capacity);
    Marked<uint8_t> work(static_cast<size_t>(gosset_sample_work(vocabulary, rows)));
    gosset_stream *stream;
    gosset_graph *graph;
    OK(gosset_stream_create(&stream));
    OK(gosset_graph_begin(stream));
    OK(gosset_sample(logitsd.address, vocabulary, rows, settingsd.address, 0, 0, capacity, tokens.address,
                     positions.address, history.address, work.address, stream));
    OK(gosset_graph_end(stream, &graph));
    for (int step = 0; step < steps; step++) {
        OK(gosset_graph_launch(graph, stream));
        OK(gosset_stream_synchronize(stream));
        std::vector<int32_t> found = tokens.read(), at = positions.read(), past = history.read();
        for (int r = 0; r < rows; r++) {
            const Settings &s = settings[r];
            double margin;
            int expected = reference_sample(logits[r], s, step, &margin);
            CHECK(found[r] == expected || margin < 1e-8,
                  "%d tokens, temperature %g, top-k %d, top-p %g, step %d: token %d, not %d (margin %g)", vocabulary,
                  s.temperature, s.top_k, s.top_p, step, found[r], expected, margin);
            if (expected < 0) {
                CHECK(at[r] == -(s.first + 2) && past[r * capacity + s.first + 1] == -1, "position %d", at[r]);
                continue;
            }
            CHECK(at[r] == s.first + step + 1 && past[r * capacity + s.first + step + 1] == found[r], "position %d", at[r]);
        }
    }
    OK(gosset_graph_destroy(graph));
    OK(gosset_stream_destroy(stream));
}

Settings settings(double temperature, int top_k, double top_p) {
    return {temperature, top_p, random_bits(), top_k, uniform(0, 5), 1000, 0};
}

void test_sample() {
    std::vector<int> sizes = brief ? std::vector<int>{1, 6, 4100} : std::vector<int>{1, 2, 6, 1000, 4096, 4097, 33000};
    for (int n : sizes) {
        std::vector<std::vector<float>> logits;
        std::vector<Settings> all;
        for (double temperature : {0.0, 0.3, 1.0, 5.0}) {
            for (int k : {0, 1, 2, 40, n}) {
                for (double p : {1.0, 0.9, 0.3, 1e-9}) {
                    if (brief && temperature == 5) {
                        continue;
                    }
                    std::vector<float> x = normals(n);
                    float spread = static_cast<float>(uniform(1, 6));
                    for (float &f : x) {
                        f *= spread;
                    }
                    logits.push_back(x);
                    all.push_back(settings(temperature, k, p));
                }
            }
        }
        if (n > 10000) {
            logits.resize(30);
            all.resize(30);
        }
        sample_case(logits, all, 3);
    }
    /* Ties: more tokens of one class, and of one logit, than a block sorts at a time. */
    int n = brief ? 2500 : 6000;
    std::vector<std::vector<float>> logits;
    std::vector<Settings> all;
    for (int k : {0, 3, n / 2, n}) {
        for (double p : {1.0, 0.5}) {
            std::vector<float> x(n, 1.25f), y(n), z(n);
            for (int i = 0; i < n; i++) {
                y[i] = static_cast<float>(uniform(0, 2)) / 2;
                z[i] = static_cast<float>(uniform(0, 1 << 20)) * 1e-9f;
                z[i] = i % 3 == 0 ? -z[i] : z[i];
            }
            z[7] = -0.0f;
            for (const std::vector<float> &v : {x, y, z}) {
                logits.push_back(v);
                all.push_back(settings(1, k, p));
            }
        }
    }
    sample_case(logits, all, 2);
    /* What is no number, and zeros of both signs. */
    logits.clear();
    all.clear();
    for (int k : {0, 5}) {
        for (double temperature : {0.0, 1.0}) {
            std::vector<float> holes = normals(300), nothing(300, -INFINITY), infinite = normals(300), zeros(300, -0.0f),
                               no_number = normals(300);
            for (int i = 0; i < 300; i++) {
                holes[i] = i % 7 == 0 ? -INFINITY : holes[i];
            }
            no_number[static_cast<size_t>(uniform(0, 299))] = -NAN;
            infinite[100] = INFINITY;
            infinite[200] = INFINITY;
            zeros[50] = 0.0f;
            for (const std::vector<float> &v : {holes, nothing, infinite, zeros, no_number}) {
                logits.push_back(v);
                all.push_back(settings(temperature, k, 0.95));
            }
        }
    }
    sample_case(logits, all, 2);
}

/* How often tokens come out beside how often they should. */
void test_frequencies() {
    std::vector<float> logits = {1, 0, 2, -1};
    int draws = 400;
    std::vector<std::vector<float>> all(draws, logits);
    std::vector<int> counts(4);
    Device<float> logitsd([&] {
        std::vector<float> v;
        for (auto &l : all) {
            v.insert(v.end(), l.begin(), l.end());
        }
        return v;
    }());
    std::vector<Settings> s;
    for (int i = 0; i < draws; i++) {
        s.push_back(settings(1, 0, 0.999));
        s.back().first = 0;
    }
    Device<Settings> sd(s);
    Device<int32_t> tokens(std::vector<int32_t>(draws, 0)), positions(std::vector<int32_t>(draws, 0));
    Marked<int32_t> history(static_cast<size_t>(draws) * 2);
    Marked<uint8_t> work(static_cast<size_t>(gosset_sample_work(4, draws)));
    OK(gosset_sample(logitsd.address, 4, draws, sd.address, 0, 0, 2, tokens.address, positions.address, history.address,
                     work.address, nullptr));
    for (int t : tokens.read()) {
        counts[t]++;
    }
    double sum = exp(1) + 1 + exp(2) + exp(-1);
    for (int t = 0; t < 4; t++) {
        double p = exp(static_cast<double>(logits[t])) / sum, deviation = sqrt(draws * p * (1 - p));
        CHECK(fabs(counts[t] - draws * p) < 6 * deviation, "token %d came %d times, expected %g", t, counts[t], draws * p);
    }
}

void test_ends() {
    int rows = 5, vocabulary = 8, capacity = 6;
    std::vector<float> logits(static_cast<size_t>(rows) * vocabulary, 0.0f);
    for (int r = 0; r < rows; r++) {
        logits[r * vocabulary + r + 1] = 1;
    }
    std::vector<Settings> s(rows, {0, 1, 0, 0, 0, 100, 0});
    s[1].limit = 5;
    s[3].limit = 4;
    Device<float> logitsd(logits);
    Device<Settings> sd(s);
    Device<int32_t> tokens(std::vector<int32_t>(rows, -7)), positions(std::vector<int32_t>{2, 2, -3, 2, 5});
    Device<int32_t> ends(std::vector<int32_t>{6, 1});
    Marked<int32_t> history(static_cast<size_t>(rows) * capacity);
    Marked<uint8_t> work(static_cast<size_t>(gosset_sample_work(vocabulary, rows)));
    OK(gosset_sample(logitsd.address, vocabulary, rows, sd.address, ends.address, 2, capacity, tokens.address,
                     positions.address, history.address, work.address, nullptr));
    /* Row 0 draws an end token, row 1 has room for one more, row 2 is idle, row 3 is full, row 4 is beyond its history. */
    CHECK((tokens.read() == std::vector<int32_t>{1, 2, -7, 4, 5}), "tokens");
    CHECK((positions.read() == std::vector<int32_t>{-4, 3, -3, -4, 6}), "positions");
    std::vector<int32_t> past = history.read();
    for (int i = 0; i < rows * capacity; i++) {
        int expected = i % capacity == 3 && i / capacity != 2 && i / capacity != 4 ? i / capacity + 1 : -1;
        CHECK(past[i] == expected, "history %d: %d, not %d", i, past[i], expected);
    }
}

void test_arguments() {
    CHECK(gosset_embed(16, GOSSET_I8, 10, 8, 16, 0, 1, 16, nullptr) == GOSSET_INVALID_ARGUMENT, "a table of I8");
    CHECK(gosset_residual_norm(16, 16, 16, 0, 8, 1, 32, GOSSET_F32, nullptr) == GOSSET_INVALID_ARGUMENT, "h is residual");
    CHECK(gosset_gate(16, 8, 1, 16, GOSSET_F32, nullptr) == GOSSET_INVALID_ARGUMENT, "in place");
    CHECK(gosset_add_bias(16, 0, 8, 1, nullptr) == GOSSET_INVALID_ARGUMENT, "no bias");
    CHECK(gosset_rotate_store(16, 0, 16, 0, 0, 16, 0, 16, 0, 1, 4, 2, 64, 8, 32, 0, 48, 64, nullptr) == GOSSET_INVALID_ARGUMENT &&
              strstr(gosset_last_error(), "one norm"),
          "%s", gosset_last_error());
    CHECK(gosset_attention(16, 16, 16, 0, 16, 16, 1, 5, 2, 64, 64, 0, 1, 1, 0, 16, nullptr) == GOSSET_INVALID_ARGUMENT, "5 / 2 heads");
    CHECK(gosset_attention(16, 16, 16, 0, 16, 16, 1, 4, 2, 260, 64, 0, 1, 1, 0, 16, nullptr) == GOSSET_INVALID_ARGUMENT, "dim 260");
    CHECK(gosset_attention(16, 16, 16, 0, 16, 16, 1, 4, 2, 64, 64, 0, 1, 2, 0, 16, nullptr) == GOSSET_INVALID_ARGUMENT &&
              strstr(gosset_last_error(), "work needs"),
          "%s", gosset_last_error());
    CHECK(gosset_causal_softmax(16, 32, 1, 4, 6, 8, 3, 0, 1, nullptr) == GOSSET_INVALID_ARGUMENT, "rows beyond the columns");
    CHECK(gosset_dense(GOSSET_F16, 8, 8, 17, 16, 0, 0, 16, 32, nullptr) == GOSSET_INVALID_ARGUMENT, "17 rows");
    CHECK(gosset_dense(GOSSET_I8, 8, 8, 1, 16, 0, 0, 16, 32, nullptr) == GOSSET_INVALID_ARGUMENT, "I8 without scales");
    CHECK(gosset_quantize_rows(GOSSET_F64, 8, 8, 16, 32, 48, nullptr) == GOSSET_INVALID_ARGUMENT, "F64");
    CHECK(gosset_convert(16, GOSSET_F32, 32, GOSSET_BF16, 4, nullptr) == GOSSET_INVALID_ARGUMENT, "into BF16");
    CHECK(gosset_sample(16, (1 << 19) + 1, 1, 16, 0, 0, 8, 16, 16, 16, 16, nullptr) == GOSSET_INVALID_ARGUMENT, "vocabulary");
    CHECK(gosset_sample(16, 8, 1, 20, 0, 0, 8, 16, 16, 16, 16, nullptr) == GOSSET_INVALID_ARGUMENT, "settings not aligned");
    CHECK(gosset_sample_work(0, 1) == -1 && gosset_sample_work(8, 0) == -1, "sizes of wrong arguments");
}

}  // namespace

int main(int argc, char **argv) {
    return run_tests(argc, argv, {
        {"embed", test_embed},
        {"residual and norm", test_norm},
        {"gate and bias", test_elementwise},
        {"rotation and cache", test_rotate},
        {"attention", test_attention},
        {"causal softmax", test_causal_softmax},
        {"dense product", test_dense},
        {"rows to int8, BF16", test_quantize_rows},
        {"sampling", test_sample},
        {"frequencies", test_frequencies},
        {"ends of sequences", test_ends},
        {"arguments", test_arguments},
    });
}
