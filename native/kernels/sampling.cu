/*
 * The next token of each row, drawn on the device: see gosset_sample for what is drawn.
 *
 * Weights are integers, multiples of 2^-44 of the heaviest, so that their sums are exact in any order and atomics may add
 * them up. Three launches: maxima of pieces of the vocabulary; weights, counted and added up by how much lighter than the
 * heaviest a token is (kBins classes, each lighter than the one before); and one block per row that finds the tokens at
 * which top-k and top-p cut and the one that is drawn. Each of these is the first token, heaviest first, at which a running
 * count or sum reaches a limit: its class is found in the table of classes, and it itself among the few tokens of that
 * class, compared by (logit, number). Should a class be large, its tokens are told apart by the digits of that pair first.
 */
#include "elements.h"
#include "kernels.h"

namespace gosset {

namespace {

typedef unsigned long long Mass;

constexpr int kThreads = 256;
constexpr int kChunk = 4096;
constexpr int kBins = 2048;
/* Classes are 1/64 wide in (largest - logit) / temperature; from 32 on a weight rounds to 0. */
constexpr double kBinsPerUnit = 64;
constexpr double kUnit = 17592186044416.0;
constexpr int kIndexBits = 19;
constexpr int kOrderBits = 32 + kIndexBits;
constexpr int kDigitBits = 11;
constexpr int kFinalThreads = 1024;
constexpr int kCandidates = kFinalThreads;

int chunks_of(int vocabulary) { return (vocabulary + kChunk - 1) / kChunk; }
GOSSET_BOTH int64_t row_bytes(int chunks) { return kBins * (8 + 4) + 16 * int64_t{chunks}; }

/* One row's part of the work buffer. */
struct Row {
    Mass *mass;
    unsigned *count;
    Mass *maxima;
    Mass *sums;
};
GOSSET_DEVICE Row row_of(const Sample &s, int row, int chunks) {
    char *at = static_cast<char *>(s.work) + row * row_bytes(chunks);
    Mass *mass = reinterpret_cast<Mass *>(at);
    Mass *maxima = reinterpret_cast<Mass *>(at + kBins * (8 + 4));
    return {mass, reinterpret_cast<unsigned *>(mass + kBins), maxima, maxima + chunks};
}

/* An integer that orders as floats do; NaN below minus infinity, -0 as 0. */
GOSSET_DEVICE unsigned key_of(float f) {
    unsigned bits = __float_as_uint(f + 0.0f);
    return f != f ? 0u : (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}
GOSSET_DEVICE float float_of(unsigned key) {
    return __uint_as_float((key & 0x80000000u) != 0 ? key & 0x7fffffffu : ~key);
}

/* The larger logit wins, of equal ones the first. */
GOSSET_DEVICE Mass ranked(float logit, int token) {
    return static_cast<Mass>(key_of(logit)) << 32 | (0xffffffffu - static_cast<unsigned>(token));
}
GOSSET_DEVICE int token_of(Mass rank) { return static_cast<int>(0xffffffffu - static_cast<unsigned>(rank)); }

GOSSET_DEVICE Mass block_most(Mass v, Mass *box) {
    int thread = static_cast<int>(threadIdx.x), warps = static_cast<int>(blockDim.x) / kLanes;
    for (int step = kLanes / 2; step > 0; step /= 2) {
        Mass other = __shfl_xor_sync(kWarp, v, step);
        v = other > v ? other : v;
    }
    if (thread % kLanes == 0) {
        box[thread / kLanes] = v;
    }
    __syncthreads();
    v = 0;
    for (int w = 0; w < warps; w++) {
        v = box[w] > v ? box[w] : v;
    }
    __syncthreads();
    return v;
}

/* The sum of v over the threads up to and including this one; *total is that of all. */
GOSSET_DEVICE Mass block_running(Mass v, Mass *box, Mass *total) {
    int thread = static_cast<int>(threadIdx.x), lane = thread % kLanes;
    int warps = static_cast<int>(blockDim.x) / kLanes;
    for (int step = 1; step < kLanes; step *= 2) {
        Mass other = __shfl_up_sync(kWarp, v, step);
        v += lane >= step ? other : 0;
    }
    if (lane == kLanes - 1) {
        box[thread / kLanes] = v;
    }
    __syncthreads();
    Mass before = 0, all = 0;
    for (int w = 0; w < warps; w++) {
        before += w < thread / kLanes ? box[w] : 0;
        all += box[w];
    }
    __syncthreads();
    *total = all;
    return before + v;
}

/* How one row's tokens weigh. */
struct Scale {
    double largest, temperature;
};

/* The weight of a token; *bin becomes its class. */
GOSSET_DEVICE Mass weigh(const Scale &scale, float logit, int *bin) {
    double lighter = (scale.largest - static_cast<double>(logit)) / scale.temperature;
    /* NaN fails the comparison too. */
    if (!(lighter < kBins / kBinsPerUnit)) {
        *bin = kBins - 1;
        return 0;
    }
    *bin = static_cast<int>(lighter * kBinsPerUnit);
    return static_cast<Mass>(exp(-lighter) * kUnit + 0.5);
}

GOSSET_DEVICE bool finite(float largest) { return fabsf(largest) <= 3.402823466e38f; }
GOSSET_DEVICE bool greedy(const SampleSettings &s, float largest) {
    return !(s.temperature > 0) || s.top_k == 1 || !finite(largest);
}
GOSSET_DEVICE bool in_token_order(const SampleSettings &s) { return s.top_k <= 0 && s.top_p >= 1; }

/* Maxima of the pieces; clears the classes. Grid: pieces x rows. */
__global__ void __launch_bounds__(kThreads) sample_maxima_kernel(Sample s) {
    GOSSET_SHARED(Mass, box);
    int row = static_cast<int>(blockIdx.y), chunk = static_cast<int>(blockIdx.x);
    int chunks = static_cast<int>(gridDim.x);
    if (s.positions[row] < 0) {
        return;
    }
    Row r = row_of(s, row, chunks);
    for (int i = chunk * kThreads + static_cast<int>(threadIdx.x); i < kBins; i += chunks * kThreads) {
        r.mass[i] = 0;
        r.count[i] = 0;
    }
    const float *logits = s.logits + static_cast<int64_t>(row) * s.vocabulary;
    int first = chunk * kChunk, end = first + kChunk < s.vocabulary ? first + kChunk : s.vocabulary;
    Mass best = 0;
    for (int i = first + static_cast<int>(threadIdx.x); i < end; i += kThreads) {
        /* What is no number is above all: then the row has no token. */
        Mass rank = logits[i] != logits[i] ? ~Mass{0} : ranked(logits[i], i);
        best = rank > best ? rank : best;
    }
    best = block_most(best, box);
    if (threadIdx.x == 0) {
        r.maxima[chunk] = best;
    }
}

GOSSET_DEVICE Mass row_maximum(const Row &r, int chunks, Mass *box) {
    Mass best = 0;
    for (int i = threadIdx.x; i < chunks; i += blockDim.x) {
        best = r.maxima[i] > best ? r.maxima[i] : best;
    }
    return block_most(best, box);
}

/* Weights of a piece, by class and altogether. Grid: pieces x rows. Shared memory: the classes, and 32 boxes. */
__global__ void __launch_bounds__(kThreads) sample_weights_kernel(Sample s) {
    GOSSET_SHARED(Mass, mass);
    unsigned *count = reinterpret_cast<unsigned *>(mass + kBins);
    Mass *box = mass + kBins + kBins / 2;
    int row = static_cast<int>(blockIdx.y), chunk = static_cast<int>(blockIdx.x);
    int chunks = static_cast<int>(gridDim.x);
    if (s.positions[row] < 0) {
        return;
    }
    Row r = row_of(s, row, chunks);
    float largest = float_of(static_cast<unsigned>(row_maximum(r, chunks, box) >> 32));
    const SampleSettings &settings = s.settings[row];
    if (greedy(settings, largest)) {
        return;
    }
    bool classes = !in_token_order(settings);
    for (int i = threadIdx.x; classes && i < kBins; i += kThreads) {
        mass[i] = 0;
        count[i] = 0;
    }
    __syncthreads();
    Scale scale = {largest, settings.temperature};
    const float *logits = s.logits + static_cast<int64_t>(row) * s.vocabulary;
    int first = chunk * kChunk, end = first + kChunk < s.vocabulary ? first + kChunk : s.vocabulary;
    Mass sum = 0;
    for (int i = first + static_cast<int>(threadIdx.x); i < end; i += kThreads) {
        int bin;
        Mass weight = weigh(scale, logits[i], &bin);
        sum += weight;
        if (classes && weight > 0) {
            atomicAdd(&mass[bin], weight);
            atomicAdd(&count[bin], 1u);
        }
    }
    Mass total;
    block_running(sum, box, &total);
    if (threadIdx.x == 0) {
        r.sums[chunk] = total;
    }
    for (int i = threadIdx.x; classes && i < kBins; i += kThreads) {
        if (count[i] > 0) {
            atomicAdd(&r.mass[i], mass[i]);
            atomicAdd(&r.count[i], count[i]);
        }
    }
}

/* What the last launch has in shared memory. */
struct Tables {
    Mass mass[kBins];
    unsigned count[kBins];
    Mass candidate[kCandidates];
    Mass candidate_mass[kCandidates];
    Mass box[kLanes];
    /* What one thread has found out for all. */
    Mass before_mass, before_count, found_mass;
    unsigned found_bin, found_count, cursor;
    int found_token;
};

/* What a search runs over: the row, and its classes in global memory. */
struct Search {
    const float *logits;
    int vocabulary;
    Scale scale;
    const Mass *mass;
    const unsigned *count;
};

/*
 * The first of the `entries` classes or digits in the tables at which the running count (by_count) or sum reaches `limit`,
 * `limit` being reached somewhere; leaves it, its count, and count and sum before it in the tables.
 */
GOSSET_DEVICE void find_entry(Tables &t, int entries, bool by_count, Mass limit, Mass before_mass, Mass before_count) {
    int thread = static_cast<int>(threadIdx.x), each = kBins / kFinalThreads, first = thread * each;
    Mass mass = 0, count = 0, unused;
    for (int i = first; i < first + each && i < entries; i++) {
        mass += t.mass[i];
        count += t.count[i];
    }
    Mass masses = before_mass + block_running(mass, t.box, &unused) - mass;
    Mass counts = before_count + block_running(count, t.box, &unused) - count;
    for (int i = first; i < first + each && i < entries; i++) {
        Mass value = by_count ? counts : masses, step = by_count ? t.count[i] : t.mass[i];
        if (value < limit && value + step >= limit) {
            t.found_bin = static_cast<unsigned>(i);
            t.found_count = t.count[i];
            t.before_mass = masses;
            t.before_count = counts;
        }
        masses += t.mass[i];
        counts += t.count[i];
    }
    __syncthreads();
}

/*
 * The first token, heaviest first, at which the running count or sum reaches `limit`: it and the running sum with it are
 * left in the tables (found_token, found_mass).
 */
GOSSET_DEVICE void find_token(Tables &t, const Search &s, bool by_count, Mass limit) {
    int thread = static_cast<int>(threadIdx.x);
    for (int i = thread; i < kBins; i += kFinalThreads) {
        t.mass[i] = s.mass[i];
        t.count[i] = s.count[i];
    }
    __syncthreads();
    find_entry(t, kBins, by_count, limit, 0, 0);
    int bin = static_cast<int>(t.found_bin);
    /* Only logits near the class need to be weighed. */
    double width = s.scale.temperature / kBinsPerUnit, slack = 1e-6 * (fabs(s.scale.largest) + width * kBins) + 1e-30;
    double low = s.scale.largest - width * (bin + 1) - slack, high = s.scale.largest - width * bin + slack;
    auto order_of = [&](float logit, int i, Mass *weight) {
        *weight = 0;
        if (!(logit < low || logit > high)) {
            int its;
            *weight = weigh(s.scale, logit, &its);
            *weight = its == bin ? *weight : 0;
        }
        return static_cast<Mass>(~key_of(logit)) << kIndexBits | static_cast<Mass>(i);
    };
    int shift = kOrderBits;
    Mass prefix = 0;
    while (t.found_count > kCandidates) {
        int lower = shift > kDigitBits ? shift - kDigitBits : 0, digits = 1 << (shift - lower);
        Mass before_mass = t.before_mass, before_count = t.before_count;
        __syncthreads();
        for (int i = thread; i < kBins; i += kFinalThreads) {
            t.mass[i] = 0;
            t.count[i] = 0;
        }
        __syncthreads();
        for (int i = thread; i < s.vocabulary; i += kFinalThreads) {
            Mass weight, order = order_of(s.logits[i], i, &weight);
            if (weight > 0 && order >> shift == prefix) {
                int digit = static_cast<int>(order >> lower) & (digits - 1);
                atomicAdd(&t.mass[digit], weight);
                atomicAdd(&t.count[digit], 1u);
            }
        }
        __syncthreads();
        find_entry(t, digits, by_count, limit, before_mass, before_count);
        prefix = prefix << (shift - lower) | t.found_bin;
        shift = lower;
    }
    if (thread == 0) {
        t.cursor = 0;
    }
    __syncthreads();
    for (int i = thread; i < s.vocabulary; i += kFinalThreads) {
        Mass weight, order = order_of(s.logits[i], i, &weight);
        if (weight > 0 && order >> shift == prefix) {
            unsigned slot = atomicAdd(&t.cursor, 1u);
            t.candidate[slot] = order;
            t.candidate_mass[slot] = weight;
        }
    }
    __syncthreads();
    int candidates = static_cast<int>(t.cursor);
    if (thread < candidates) {
        Mass mine = t.candidate[thread], mass = t.before_mass, count = t.before_count;
        for (int i = 0; i < candidates; i++) {
            bool counts = t.candidate[i] <= mine;
            mass += counts ? t.candidate_mass[i] : 0;
            count += counts ? 1 : 0;
        }
        Mass value = by_count ? count : mass, own = by_count ? 1 : t.candidate_mass[thread];
        if (value >= limit && value - own < limit) {
            t.found_token = static_cast<int>(mine & ((1u << kIndexBits) - 1));
            t.found_mass = mass;
        }
    }
    __syncthreads();
}

/* u times `sum`, rounded down: u = (z >> 11) 2^-53, the SplittableRandom's number `step`. */
GOSSET_DEVICE Mass random_below(uint64_t seed, int step, Mass sum) {
    Mass z = seed + (static_cast<Mass>(step) + 1) * 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    z ^= z >> 31;
    return __umul64hi(z & ~Mass{2047}, sum);
}

/* Draws in the order of tokens. */
GOSSET_DEVICE void draw_in_order(Tables &t, const Search &s, const Mass *sums, int chunks, const SampleSettings &settings,
                                 int step) {
    int thread = static_cast<int>(threadIdx.x);
    Mass mine = thread < chunks ? sums[thread] : 0, total;
    Mass running = block_running(mine, t.box, &total);
    Mass target = random_below(settings.seed, step, total);
    if (running > target && running - mine <= target) {
        t.found_bin = static_cast<unsigned>(thread);
        t.before_mass = running - mine;
    }
    __syncthreads();
    constexpr int kEach = kChunk / kFinalThreads;
    int first = static_cast<int>(t.found_bin) * kChunk + thread * kEach, bin;
    mine = 0;
    for (int i = first; i < first + kEach && i < s.vocabulary; i++) {
        mine += weigh(s.scale, s.logits[i], &bin);
    }
    running = t.before_mass + block_running(mine, t.box, &total) - mine;
    for (int i = first; i < first + kEach && i < s.vocabulary; i++) {
        Mass weight = weigh(s.scale, s.logits[i], &bin);
        if (running <= target && running + weight > target) {
            t.found_token = i;
        }
        running += weight;
    }
    __syncthreads();
}

/* Draws heaviest first from what top-k and top-p keep. */
GOSSET_DEVICE void draw_by_weight(Tables &t, const Search &s, const SampleSettings &settings, int step) {
    int thread = static_cast<int>(threadIdx.x), each = kBins / kFinalThreads;
    Mass mass = 0, count = 0, kept, tokens;
    for (int i = thread * each; i < (thread + 1) * each; i++) {
        mass += s.mass[i];
        count += s.count[i];
    }
    block_running(mass, t.box, &kept);
    block_running(count, t.box, &tokens);
    if (settings.top_k > 0 && static_cast<Mass>(settings.top_k) < tokens) {
        find_token(t, s, true, static_cast<Mass>(settings.top_k));
        kept = t.found_mass;
    }
    if (settings.top_p < 1) {
        double reach = ceil(settings.top_p * static_cast<double>(kept));
        Mass limit = reach < 1 ? 1 : reach >= static_cast<double>(kept) ? kept : static_cast<Mass>(reach);
        __syncthreads();
        find_token(t, s, false, limit);
        kept = t.found_mass;
    }
    __syncthreads();
    find_token(t, s, false, random_below(settings.seed, step, kept) + 1);
}

/* A block per row: the token, and what the next step needs. */
__global__ void __launch_bounds__(kFinalThreads) sample_draw_kernel(Sample s, int chunks) {
    GOSSET_SHARED(Tables, t);
    int row = static_cast<int>(blockIdx.x), position = s.positions[row];
    if (position < 0) {
        return;
    }
    Row r = row_of(s, row, chunks);
    Mass best = row_maximum(r, chunks, t->box);
    float largest = float_of(static_cast<unsigned>(best >> 32));
    const SampleSettings settings = s.settings[row];
    int token = finite(largest) ? token_of(best) : -1;
    if (!greedy(settings, largest)) {
        Search search = {s.logits + static_cast<int64_t>(row) * s.vocabulary,
                         s.vocabulary,
                         {largest, settings.temperature},
                         r.mass,
                         r.count};
        int step = position - settings.first;
        if (in_token_order(settings)) {
            draw_in_order(*t, search, r.sums, chunks, settings, step);
        } else {
            draw_by_weight(*t, search, settings, step);
        }
        token = t->found_token;
    }
    if (threadIdx.x == 0) {
        int next = position + 1;
        bool ends = token < 0 || next + 1 >= settings.limit;
        for (int i = 0; i < s.end_count; i++) {
            ends = ends || s.end_tokens[i] == token;
        }
        s.tokens[row] = token;
        if (s.history != nullptr && next < s.capacity) {
            s.history[static_cast<int64_t>(row) * s.capacity + next] = token;
        }
        s.positions[row] = ends ? -(position + 2) : next;
    }
}

}  // namespace

int64_t sample_work_bytes(int vocabulary, int rows) { return rows * row_bytes(chunks_of(vocabulary)); }

cudaError_t sample(const Sample &s, cudaStream_t stream) {
    int chunks = chunks_of(s.vocabulary);
    dim3 grid(static_cast<unsigned>(chunks), static_cast<unsigned>(s.rows));
    Sample copy = s;
    GOSSET_LAUNCH(sample_maxima_kernel, grid, kThreads, 8 * kLanes, stream, copy);
    GOSSET_LAUNCH(sample_weights_kernel, grid, kThreads, kBins * (8 + 4) + 8 * kLanes, stream, copy);
    cudaError_t e = cudaFuncSetAttribute(sample_draw_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                         static_cast<int>(sizeof(Tables)));
    if (e != cudaSuccess) {
        return e;
    }
    GOSSET_LAUNCH(sample_draw_kernel, static_cast<unsigned>(s.rows), kFinalThreads, sizeof(Tables), stream, copy, chunks);
    return cudaGetLastError();
}

}  // namespace gosset
