/*
 * Times the kernels on a device, beside the copy bandwidth of the same device in the same run, and prints one JSON object.
 * Medians of graph replays between events; weights rotate through more memory than the L2 holds, as they do in a model.
 * Inputs are random. Exit code 2 without a device. `--smoke` runs everything once on small sizes: its times mean nothing,
 * but it shows on the emulation that the program works.
 */
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "gosset_cuda.h"

namespace {

void ok(int32_t status, int line) {
    if (status != GOSSET_OK) {
        fprintf(stderr, "line %d: status %d, %s\n", line, status, gosset_last_error());
        exit(1);
    }
}
#define OK(call) ok((call), __LINE__)

gosset_stream *stream;
bool smoke = false;

gosset_address room(int64_t bytes) {
    gosset_address a;
    OK(gosset_allocate(&a, (bytes + 255) / 256 * 256));
    return a;
}

/* Random bits, by doubling what is there. */
gosset_address noise(int64_t bytes) {
    static std::mt19937_64 r(1);
    std::vector<uint64_t> seed(1 << 17);
    for (auto &s : seed) {
        s = r();
    }
    gosset_address a = room(bytes);
    int64_t have = std::min<int64_t>(bytes, static_cast<int64_t>(seed.size() * 8));
    OK(gosset_copy_to_device(a, seed.data(), have, stream));
    OK(gosset_stream_synchronize(stream));
    for (; have < bytes; have *= 2) {
        OK(gosset_copy_on_device(a + have, a, std::min(have, bytes - have), stream));
    }
    return a;
}

gosset_address normals(int64_t count) {
    static std::mt19937_64 r(2);
    std::normal_distribution<float> d;
    std::vector<float> v(static_cast<size_t>(count));
    for (auto &x : v) {
        x = d(r);
    }
    gosset_address a = room(4 * count);
    OK(gosset_copy_to_device(a, v.data(), 4 * count, stream));
    OK(gosset_stream_synchronize(stream));
    return a;
}

/* Median microseconds of one of `repeats` calls in a graph. */
double time_graph(int repeats, const std::function<void(int)> &call) {
    int rounds = smoke ? 6 : 25;
    repeats = smoke ? 1 : repeats;
    gosset_graph *graph;
    gosset_event *from, *to;
    OK(gosset_event_create(&from));
    OK(gosset_event_create(&to));
    call(0); /* loads the code: not inside a recording */
    OK(gosset_stream_synchronize(stream));
    OK(gosset_graph_begin(stream));
    for (int i = 0; i < repeats; i++) {
        call(i);
    }
    OK(gosset_graph_end(stream, &graph));
    std::vector<double> times;
    for (int i = 0; i < rounds; i++) {
        OK(gosset_event_record(from, stream));
        OK(gosset_graph_launch(graph, stream));
        OK(gosset_event_record(to, stream));
        OK(gosset_event_synchronize(to));
        float ms;
        OK(gosset_event_elapsed(from, to, &ms));
        if (i >= 5) {
            times.push_back(1000.0 * ms / repeats);
        }
    }
    OK(gosset_graph_destroy(graph));
    OK(gosset_event_destroy(from));
    OK(gosset_event_destroy(to));
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
}

/* int32 or other small values on the device. */
template <class T>
gosset_address values(const std::vector<T> &v) {
    gosset_address a = room(static_cast<int64_t>(sizeof(T) * v.size()));
    OK(gosset_copy_to_device(a, v.data(), static_cast<int64_t>(sizeof(T) * v.size()), stream));
    OK(gosset_stream_synchronize(stream));
    return a;
}

/* Decoding at the end of a context, beside copying as many bytes as keys and values have. The cache is zeros. */
void bench_attention(gosset_address memory, int64_t bytes_there, double copy) {
    struct Shape {
        int heads, kv_heads, dim, context;
    };
    std::vector<Shape> shapes = {{32, 32, 128, 2048}, {32, 8, 128, 2048}, {64, 8, 128, 2048}, {32, 8, 128, 32768}, {28, 4, 128, 2048}};
    if (smoke) {
        shapes = {{8, 2, 64, 130}};
    }
    OK(gosset_fill(memory, 0, bytes_there, stream));
    bool first = true;
    for (Shape s : shapes) {
        for (int rows : {1, 4, 16}) {
            int context = (s.context + 63) / 64 * 64;
            int64_t cache = int64_t{2} * rows * s.kv_heads * context * s.dim;
            /* Several layers one after the other. */
            int layers = static_cast<int>(std::min<int64_t>(32, bytes_there / (2 * cache)));
            if (layers == 0) {
                continue;
            }
            int32_t splits;
            OK(gosset_attention_splits(s.heads, s.kv_heads, s.context, &splits));
            int64_t work_bytes = gosset_attention_work(rows, s.heads, s.dim, splits);
            gosset_address q = normals(int64_t{rows} * s.heads * s.dim), out = room(int64_t{4} * rows * s.heads * s.dim);
            gosset_address work = room(std::max<int64_t>(256, work_bytes));
            gosset_address positions = values(std::vector<int32_t>(rows, s.context - 1));
            /* Blocks in the opposite order: far from what is next to them in the sequence. */
            std::vector<int32_t> table;
            for (int i = rows * context / 64; i > 0; i--) {
                table.push_back(i - 1);
            }
            gosset_address tables = values(table);
            OK(gosset_fill(work, 0, std::max<int64_t>(256, work_bytes), stream));
            double t = time_graph(std::max(layers, 8), [&](int i) {
                gosset_address keys = memory + i % layers * 2 * cache;
                OK(gosset_attention(q, keys, keys + cache, 0, positions, tables, rows, s.heads, s.kv_heads, s.dim, context, 0,
                                    0.1f, splits, work_bytes > 0 ? work : 0, out, stream));
            });
            double rate = 2.0 * static_cast<double>(cache) / t / 1e3;
            printf("%s\n  {\"heads\": %d, \"kv_heads\": %d, \"dim\": %d, \"context\": %d, \"rows\": %d, \"splits\": %d, \"us\": "
                   "%.2f, \"gb_per_s\": %.0f, \"of_copy\": %.3f}",
                   first ? "" : ",", s.heads, s.kv_heads, s.dim, s.context, rows, splits, t, rate, rate / copy);
            first = false;
            for (gosset_address f : {q, out, work, positions, tables}) {
                OK(gosset_free(f));
            }
        }
    }
}

/* The head of a model; small floats as weights, so that nothing is NaN. */
void bench_dense(gosset_address memory, int64_t bytes_there, double copy) {
    struct Shape {
        int m, n;
    };
    OK(gosset_fill(memory, 0x2c, bytes_there, stream));
    bool first = true;
    for (Shape s : smoke ? std::vector<Shape>{{100, 512}} : std::vector<Shape>{{32000, 4096}, {128256, 4096}}) {
        for (int type : {GOSSET_F16, GOSSET_BF16, GOSSET_I8}) {
            int64_t bytes = (type == GOSSET_I8 ? int64_t{1} : int64_t{2}) * s.m * s.n;
            int matrices = static_cast<int>(std::min<int64_t>(8, bytes_there / bytes));
            for (int rows : {1, 2, 4, 8, 16}) {
                if (matrices == 0) {
                    continue;
                }
                gosset_address x = normals(int64_t{rows} * s.n), y = room(int64_t{4} * rows * s.m), scales = normals(s.m);
                double t = time_graph(std::max(matrices, 4), [&](int i) {
                    OK(gosset_dense(type, s.m, s.n, rows, memory + i % matrices * (bytes / 256 * 256),
                                    type == GOSSET_I8 ? scales : 0, 0, x, y, stream));
                });
                double rate = static_cast<double>(bytes) / t / 1e3;
                printf("%s\n  {\"type\": \"%s\", \"m\": %d, \"n\": %d, \"rows\": %d, \"us\": %.2f, \"gb_per_s\": %.0f, "
                       "\"of_copy\": %.3f}",
                       first ? "" : ",", type == GOSSET_I8 ? "I8" : type == GOSSET_F16 ? "F16" : "BF16", s.m, s.n, rows, t, rate,
                       rate / copy);
                first = false;
                for (gosset_address f : {x, y, scales}) {
                    OK(gosset_free(f));
                }
            }
        }
    }
}

/* Standard normal logits. */
void bench_sample() {
    struct Settings {
        double temperature, top_p;
        uint64_t seed;
        int32_t top_k, first, limit, unused;
    };
    bool first = true;
    for (int vocabulary : smoke ? std::vector<int>{5000} : std::vector<int>{32000, 128256}) {
        for (int rows : {1, 16}) {
            for (Settings kind : {Settings{0, 1, 0, 0, 0, 1 << 30, 0}, Settings{1, 1, 0, 0, 0, 1 << 30, 0}, Settings{0.8, 0.95, 0, 0, 0, 1 << 30, 0},
                                  Settings{0.8, 0.95, 0, 40, 0, 1 << 30, 0}}) {
                gosset_address logits = normals(int64_t{rows} * vocabulary), settings = values(std::vector<Settings>(rows, kind));
                gosset_address tokens = values(std::vector<int32_t>(rows)), positions = values(std::vector<int32_t>(rows));
                gosset_address history = room(int64_t{4} * rows * 64), work = room(gosset_sample_work(vocabulary, rows));
                double t = time_graph(20, [&](int) {
                    OK(gosset_sample(logits, vocabulary, rows, settings, 0, 0, 64, tokens, positions, history, work, stream));
                });
                printf("%s\n  {\"vocabulary\": %d, \"rows\": %d, \"temperature\": %.1f, \"top_k\": %d, \"top_p\": %.2f, \"us\": %.2f}",
                       first ? "" : ",", vocabulary, rows, kind.temperature, kind.top_k, kind.top_p, t);
                first = false;
                for (gosset_address f : {logits, settings, tokens, positions, history, work}) {
                    OK(gosset_free(f));
                }
            }
        }
    }
}

}  // namespace

int main(int argc, char **argv) {
    smoke = argc > 1 && strcmp(argv[1], "--smoke") == 0;
    int32_t count;
    char name[256];
    int64_t facts[GOSSET_DEVICE_FACTS];
    if (gosset_device_count(&count) != GOSSET_OK || gosset_device_describe(0, name, sizeof name, facts) != GOSSET_OK) {
        fprintf(stderr, "no device to measure: %s\n", gosset_last_error());
        return 2;
    }
    OK(gosset_stream_create(&stream));
    printf("{\"device\": \"%s\", \"backend\": \"%s\", \"compute_capability\": \"%lld.%lld\", \"driver\": %lld,\n", name,
           gosset_backend(), static_cast<long long>(facts[0]), static_cast<long long>(facts[1]),
           static_cast<long long>(facts[GOSSET_DEVICE_DRIVER]));

    int64_t big = int64_t{1} << (smoke ? 20 : 30);
    gosset_address a = noise(big), b = room(big);
    double us = time_graph(4, [&](int) { OK(gosset_copy_on_device(b, a, big, stream)); });
    double copy = 2.0 * static_cast<double>(big) / us / 1e3;
    printf(" \"copy_gb_per_s\": %.0f,\n \"matvec\": [", copy);
    OK(gosset_free(b));

    struct Shape {
        int m, n;
    };
    std::vector<Shape> shapes = {{4096, 4096}, {12288, 4096}, {22016, 4096}, {4096, 11008}, {8192, 28672}, {57344, 8192}};
    if (smoke) {
        shapes = {{64, 512}};
    }
    bool first = true;
    for (Shape s : shapes) {
        for (int bits = 2; bits <= 4; bits++) {
            int64_t bytes = gosset_packed_bytes(bits, s.m, s.n);
            /* Several matrices one after the other in the gigabyte of noise: any bits are codes. */
            int matrices = static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(32, big / bytes)));
            for (int batch : {1, 4, 16}) {
                gosset_address x = normals(static_cast<int64_t>(batch) * s.n), scale = room(4 * batch);
                gosset_address act = room(gosset_activation_bytes(s.n, batch)), y = room(int64_t{4} * batch * s.m);
                OK(gosset_quantize_activations(x, s.n, batch, act, scale, stream));
                double t = time_graph(std::max(matrices, 8), [&](int i) {
                    OK(gosset_matvec(bits, s.m, s.n, batch, a + (i % matrices) * (bytes / 256 * 256), act, scale, 2.04f, y, stream));
                });
                double rate = static_cast<double>(bytes) / t / 1e3;
                printf("%s\n  {\"bits\": %d, \"m\": %d, \"n\": %d, \"batch\": %d, \"us\": %.2f, \"gb_per_s\": %.0f, \"of_copy\": %.3f}",
                       first ? "" : ",", bits, s.m, s.n, batch, t, rate, rate / copy);
                first = false;
                for (gosset_address f : {x, scale, act, y}) {
                    OK(gosset_free(f));
                }
            }
        }
    }
    printf("],\n \"transform\": [");
    first = true;
    for (int n : smoke ? std::vector<int>{64} : std::vector<int>{1024, 4096, 8192, 16384, 32768}) {
        for (int rows : {1, 64, 4096}) {
            for (int type : {GOSSET_F32, GOSSET_F16}) {
                int64_t bytes = int64_t{rows} * n * (type == GOSSET_F32 ? 4 : 2);
                if (2 * bytes > big || (smoke && rows > 64)) {
                    continue;
                }
                gosset_address work = room(std::max<int64_t>(256, gosset_transform_work(n, 1, rows)));
                gosset_address out = room(bytes), in = type == GOSSET_F32 ? normals(int64_t{rows} * n) : room(bytes);
                if (type == GOSSET_F16) {
                    OK(gosset_fill(in, 0x35, bytes, stream));
                }
                double t = time_graph(10, [&](int) {
                    OK(gosset_transform(in, type, out, type, n, 1, rows, 0, 0, 0, 0, 0, 1, work, stream));
                });
                double c = time_graph(10, [&](int) { OK(gosset_copy_on_device(out, in, bytes, stream)); });
                printf("%s\n  {\"n\": %d, \"rows\": %d, \"type\": \"%s\", \"us\": %.2f, \"copy_us\": %.2f, \"of_copy_time\": %.2f}",
                       first ? "" : ",", n, rows, type == GOSSET_F32 ? "F32" : "F16", t, c, t / c);
                first = false;
                for (gosset_address f : {work, out, in}) {
                    OK(gosset_free(f));
                }
            }
        }
    }
    printf("],\n \"between\": [");
    first = true;
    for (int n : {2048, 4096, 8192}) {
        gosset_address z = normals(n), r = normals(n), v = normals(n), act = room(gosset_activation_bytes(n, 1)), scale = room(4);
        double t = time_graph(20, [&](int) {
            OK(gosset_between(GOSSET_BETWEEN_NORM, z, n, 1, 0, 0, v, r, v, 1e-5f, n, 1, 0, 0, v, 1, act, scale, stream));
        });
        printf("%s\n  {\"kind\": \"norm\", \"n\": %d, \"us\": %.2f}", first ? "" : ",", n, t);
        first = false;
        for (gosset_address f : {z, r, v, act, scale}) {
            OK(gosset_free(f));
        }
    }
    /* Up and gate to down of Llama-2-7B, Llama-3.1-8B and Llama-2-70B. Any bytes are signs. */
    struct Gate {
        int n, k;
    };
    for (Gate g : smoke ? std::vector<Gate>{{2752, 172}} : std::vector<Gate>{{11008, 172}, {14336, 28}, {28672, 28}}) {
        for (int batch : {1, 16}) {
            gosset_address z = normals(int64_t{2} * g.n * batch), v = normals(2 * g.n), scale = room(4 * batch);
            gosset_address small = noise(int64_t{g.k} * g.k), act = room(gosset_activation_bytes(g.n, batch));
            double t = time_graph(20, [&](int) {
                OK(gosset_between(GOSSET_BETWEEN_GATE, z, 2 * g.n, g.k, GOSSET_SMALL_HADAMARD, small, v, 0, 0, 0, g.n, g.k,
                                  GOSSET_SMALL_HADAMARD, small, v, batch, act, scale, stream));
            });
            printf(",\n  {\"kind\": \"gate\", \"n\": %d, \"k\": %d, \"batch\": %d, \"us\": %.2f}", g.n, g.k, batch, t);
            for (gosset_address f : {z, v, scale, small, act}) {
                OK(gosset_free(f));
            }
        }
    }
    printf("],\n \"attention\": [");
    bench_attention(a, big, copy);
    printf("],\n \"dense\": [");
    bench_dense(a, big, copy);
    printf("],\n \"sample\": [");
    bench_sample();
    printf("]}\n");
    OK(gosset_free(a));
    OK(gosset_stream_destroy(stream));
    return 0;
}
