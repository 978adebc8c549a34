/*
 * Attention. In decoding one query per head meets the whole cache, so that reading keys and values is all that it costs:
 * every key and value is read once, in 16-byte pieces, for all query heads that share it (8 at a time), and the positions
 * are cut into parts that blocks walk side by side (flash-decoding).
 *
 * L lanes hold one position's key and value, 8 numbers each, so that a warp reads 32 / L positions with one instruction and
 * has kUnroll keys and as many values in flight. Each group of L lanes keeps a softmax of its own (largest score, sum,
 * weighted values); groups, warps and blocks are put together at the end, each in a fixed order.
 */
#include "elements.h"
#include "kernels.h"
#include "reductions.h"

namespace gosset {

namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kLanes;
/* spread_sums is made for four. */
constexpr int kUnroll = 4;
constexpr float kLog2E = 1.44269504f;
/* Below every score; finite, so that differences of it are no NaN. */
constexpr float kLowest = -1e30f;
constexpr int kSoftmaxThreads = 256;
constexpr int kMaxRows = 16;

/* Query heads that one block serves: a power of two up to 8. */
int heads_per_block(int share) { return share >= 5 ? 8 : share >= 3 ? 4 : share; }
int groups_of(int heads, int kv_heads) {
    int share = heads / kv_heads, h = heads_per_block(share);
    return kv_heads * ((share + h - 1) / h);
}

GOSSET_DEVICE void unpack(uint4 u, float (&f)[8]) {
    unpack_halves(u.x, f[0], f[1]);
    unpack_halves(u.y, f[2], f[3]);
    unpack_halves(u.z, f[4], f[5]);
    unpack_halves(u.w, f[6], f[7]);
}

/* What a softmax over some of the positions knows of one query head. */
struct Partial {
    float largest, sum, values[8];
};

/* part <- part and other together; scores are in units of log 2. */
GOSSET_DEVICE void merge(Partial &part, float largest, float sum, const float (&values)[8]) {
    float top = fmaxf(part.largest, largest);
    float mine = power_of_two(part.largest - top), theirs = power_of_two(largest - top);
    part.largest = top;
    part.sum = part.sum * mine + sum * theirs;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        part.values[i] = part.values[i] * mine + values[i] * theirs;
    }
}

/*
 * Four dot products, each the sum over the L lanes of a group, spread out: two exchanges leave each lane with one of the four
 * (number `own`), the rest are plain sums. So a score costs a quarter of the shuffles, and its exponential is taken once.
 */
template <int L>
GOSSET_DEVICE float spread_sums(const float (&v)[4], int lane) {
    bool upper = (lane & L / 2) != 0, odd = (lane & L / 4) != 0;
    float a = (upper ? v[2] : v[0]) + __shfl_xor_sync(kWarp, upper ? v[0] : v[2], L / 2);
    float b = (upper ? v[3] : v[1]) + __shfl_xor_sync(kWarp, upper ? v[1] : v[3], L / 2);
    float sum = (odd ? b : a) + __shfl_xor_sync(kWarp, odd ? a : b, L / 4);
#pragma unroll
    for (int step = L / 8; step > 0; step /= 2) {
        sum += __shfl_xor_sync(kWarp, sum, step);
    }
    return sum;
}

/*
 * One block: one row, up to H query heads of one key head, one part of the positions. Shared memory: kWarps x H x (8 L + 2)
 * floats, or H x splits where that is more; then a flag.
 */
template <int L, int H>
__global__ void __launch_bounds__(kThreads) attention_kernel(Attention a) {
    GOSSET_SHARED(float, box);
    constexpr int kPositions = kLanes / L, kStep = kWarps * kPositions * kUnroll, kWidth = 8 * L + 2;
    int share = a.heads / a.kv_heads, chunks = (share + H - 1) / H, groups = a.kv_heads * chunks;
    int split = static_cast<int>(blockIdx.x) % a.splits, unit = static_cast<int>(blockIdx.x) / a.splits;
    int row = unit / groups, kv = unit % groups / chunks, chunk = unit % chunks;
    int first_head = kv * share + chunk * H, heads = share - chunk * H < H ? share - chunk * H : H;
    int position = a.positions[row];
    if (position < 0 || position >= a.capacity) {
        return;
    }
    int low = a.window > 0 && position >= a.window ? position - a.window + 1 : 0;
    /* From the beginning of a block of the cache, so that what a warp reads at a time lies in one of them. */
    int begin = low & ~(kCacheBlock - 1), visible = position + 1 - begin;
    int part = ((visible + a.splits - 1) / a.splits + kStep - 1) / kStep * kStep;
    int active = (visible + part - 1) / part;
    if (split >= active) {
        return;
    }
    int from = begin + split * part, to = from + part < position + 1 ? from + part : position + 1;

    int thread = static_cast<int>(threadIdx.x), lane = thread % kLanes, warp = thread / kLanes;
    int d = 8 * (lane % L);
    bool inside = d < a.dim;
    int64_t sequence = a.sequences == nullptr ? row : a.sequences[row];
    const int32_t *table = a.tables + sequence * (a.capacity / kCacheBlock);
    /* A lane beyond the head reads what the first one reads: its queries are 0, and nobody looks at its values. */
    int64_t base = static_cast<int64_t>(kv) * kCacheBlock * a.dim + (inside ? d : 0);
    const __half *keys = a.keys + base, *values = a.values + base;
    int64_t block_size = static_cast<int64_t>(a.kv_heads) * kCacheBlock * a.dim;

    float q[H][8];
    Partial state[H];
#pragma unroll
    for (int h = 0; h < H; h++) {
        const float *query = a.queries + (static_cast<int64_t>(row) * a.heads + first_head + h) * a.dim + d;
#pragma unroll
        for (int i = 0; i < 8; i++) {
            q[h][i] = inside && h < heads ? query[i] * (a.scale * kLog2E) : 0.0f;
            state[h].values[i] = 0;
        }
        state[h].largest = kLowest;
        state[h].sum = 0;
    }
    /* Which of four scores a lane has after spread_sums, and a lane of its group that has number j. */
    int own = ((lane & L / 2) != 0 ? 2 : 0) + ((lane & L / 4) != 0 ? 1 : 0), owner[kUnroll];
#pragma unroll
    for (int j = 0; j < kUnroll; j++) {
        owner[j] = lane / L * L + (j & 2 ? L / 2 : 0) + (j & 1 ? L / 4 : 0);
    }
    int at = from + warp * kPositions * kUnroll;
    int block = at < to ? table[at / kCacheBlock] : 0;
    for (; at < to; at += kStep) {
        uint4 key[kUnroll], value[kUnroll];
        int64_t start = block * block_size;
        /* One step ahead: reading keys must not wait for it. */
        block = at + kStep < to ? table[(at + kStep) / kCacheBlock] : 0;
#pragma unroll
        for (int j = 0; j < kUnroll; j++) {
            int where = at + j * kPositions + lane / L;
            where = where < to ? where : to - 1;
            /* Nothing of what is out of sight: it need not be a number. */
            where = where > low ? where : low;
            int64_t offset = start + static_cast<int64_t>(where % kCacheBlock) * a.dim;
            key[j] = load_once(reinterpret_cast<const uint4 *>(keys + offset));
            value[j] = load_once(reinterpret_cast<const uint4 *>(values + offset));
        }
        float score[H][kUnroll];
#pragma unroll
        for (int j = 0; j < kUnroll; j++) {
            float k[8];
            unpack(key[j], k);
#pragma unroll
            for (int h = 0; h < H; h++) {
                float dot = 0;
#pragma unroll
                for (int i = 0; i < 8; i++) {
                    dot += q[h][i] * k[i];
                }
                score[h][j] = dot;
            }
        }
        int owned = at + own * kPositions + lane / L;
        bool counts = owned >= low && owned < to;
#pragma unroll
        for (int h = 0; h < H; h++) {
            float mine = spread_sums<L>(score[h], lane);
            mine = counts ? mine : -INFINITY;
            float top = fmaxf(mine, __shfl_xor_sync(kWarp, mine, L / 2));
            top = fmaxf(state[h].largest, fmaxf(top, __shfl_xor_sync(kWarp, top, L / 4)));
            float keep = power_of_two(state[h].largest - top), weight = power_of_two(mine - top);
            state[h].largest = top;
            state[h].sum = state[h].sum * keep + weight;
#pragma unroll
            for (int i = 0; i < 8; i++) {
                state[h].values[i] *= keep;
            }
#pragma unroll
            for (int j = 0; j < kUnroll; j++) {
                score[h][j] = __shfl_sync(kWarp, weight, owner[j]);
            }
        }
#pragma unroll
        for (int j = 0; j < kUnroll; j++) {
            float v[8];
            unpack(value[j], v);
#pragma unroll
            for (int h = 0; h < H; h++) {
#pragma unroll
                for (int i = 0; i < 8; i++) {
                    state[h].values[i] += score[h][j] * v[i];
                }
            }
        }
    }

#pragma unroll
    for (int h = 0; h < H; h++) {
        /* Each lane added up the weights of its own scores. */
        state[h].sum += __shfl_xor_sync(kWarp, state[h].sum, L / 2);
        state[h].sum += __shfl_xor_sync(kWarp, state[h].sum, L / 4);
#pragma unroll
        for (int step = L; step < kLanes; step *= 2) {
            float largest = __shfl_xor_sync(kWarp, state[h].largest, step);
            float sum = __shfl_xor_sync(kWarp, state[h].sum, step);
            float other[8];
#pragma unroll
            for (int i = 0; i < 8; i++) {
                other[i] = __shfl_xor_sync(kWarp, state[h].values[i], step);
            }
            merge(state[h], largest, sum, other);
        }
        float *mine = box + (warp * H + h) * kWidth;
        if (lane < L) {
#pragma unroll
            for (int i = 0; i < 8; i++) {
                mine[d + i] = state[h].values[i];
            }
        }
        if (lane == 0) {
            mine[8 * L] = state[h].largest;
            mine[8 * L + 1] = state[h].sum;
        }
    }
    __syncthreads();

    int64_t first_part = (static_cast<int64_t>(row) * a.heads + first_head) * a.splits;
    float *parts = reinterpret_cast<float *>(a.work + kAttentionCounters);
    float *out = a.out + (static_cast<int64_t>(row) * a.heads + first_head) * a.dim;
    for (int w = thread; w < heads * a.dim; w += kThreads) {
        int h = w / a.dim, i = w % a.dim;
        float top = kLowest, sum = 0, value = 0;
#pragma unroll
        for (int g = 0; g < kWarps; g++) {
            top = fmaxf(top, box[(g * H + h) * kWidth + 8 * L]);
        }
#pragma unroll
        for (int g = 0; g < kWarps; g++) {
            const float *theirs = box + (g * H + h) * kWidth;
            float weight = power_of_two(theirs[8 * L] - top);
            sum += theirs[8 * L + 1] * weight;
            value += theirs[i] * weight;
        }
        if (active == 1) {
            out[h * a.dim + i] = value / sum;
        } else {
            float *to_part = parts + (first_part + static_cast<int64_t>(h) * a.splits + split) * (a.dim + 2);
            to_part[i] = value;
            if (i == 0) {
                to_part[a.dim] = top;
                to_part[a.dim + 1] = sum;
            }
        }
    }
    if (active == 1) {
        return;
    }

    /* The block that comes last reads what all have written. */
    __threadfence();
    __syncthreads();
    constexpr int kReduced = kWarps * H * kWidth;
    unsigned *flag = reinterpret_cast<unsigned *>(box + (kReduced > H * a.splits ? kReduced : H * a.splits));
    if (thread == 0) {
        unsigned last = static_cast<unsigned>(active) - 1;
        *flag = atomicInc(a.work + row * groups + kv * chunks + chunk, last) == last;
    }
    __syncthreads();
    if (*flag == 0) {
        return;
    }
    __threadfence();
    for (int h = warp; h < heads; h += kWarps) {
        const float *theirs = parts + (first_part + static_cast<int64_t>(h) * a.splits) * (a.dim + 2) + a.dim;
        float top = kLowest, sum = 0;
        for (int s = lane; s < active; s += kLanes) {
            top = fmaxf(top, load_fresh(theirs + static_cast<int64_t>(s) * (a.dim + 2)));
        }
        top = warp_max(top);
        for (int s = lane; s < active; s += kLanes) {
            const float *at = theirs + static_cast<int64_t>(s) * (a.dim + 2);
            float weight = power_of_two(load_fresh(at) - top);
            box[h * a.splits + s] = weight;
            sum += load_fresh(at + 1) * weight;
        }
        sum = warp_sum(sum);
        for (int s = lane; s < active; s += kLanes) {
            box[h * a.splits + s] /= sum;
        }
    }
    __syncthreads();
    for (int w = thread; w < heads * a.dim; w += kThreads) {
        int h = w / a.dim, i = w % a.dim;
        const float *theirs = parts + (first_part + static_cast<int64_t>(h) * a.splits) * (a.dim + 2) + i;
        float value = 0;
        for (int s = 0; s < active; s++) {
            value += box[h * a.splits + s] * load_fresh(theirs + static_cast<int64_t>(s) * (a.dim + 2));
        }
        out[h * a.dim + i] = value;
    }
}

/* One block: one row of one plane. */
__global__ void __launch_bounds__(kSoftmaxThreads)
    causal_softmax_kernel(const float *__restrict__ scores, __half *__restrict__ probabilities, int rows, int columns,
                          int stride, int first, int window, float scale) {
    GOSSET_SHARED(float, box);
    int row = static_cast<int>(blockIdx.x), position = first + row;
    int low = window > 0 && position >= window ? position - window + 1 : 0;
    int64_t base = (static_cast<int64_t>(blockIdx.y) * rows + row) * stride;
    float factor = scale * kLog2E, largest = -INFINITY, sum = 0;
    for (int i = low + static_cast<int>(threadIdx.x); i <= position; i += kSoftmaxThreads) {
        largest = fmaxf(largest, scores[base + i] * factor);
    }
    largest = block_max(fmaxf(largest, kLowest), box);
    for (int i = low + static_cast<int>(threadIdx.x); i <= position; i += kSoftmaxThreads) {
        sum += power_of_two(scores[base + i] * factor - largest);
    }
    sum = block_sum(sum, box);
    for (int i = threadIdx.x; i < columns; i += kSoftmaxThreads) {
        bool sees = i >= low && i <= position;
        probabilities[base + i] = __float2half_rn(sees ? power_of_two(scores[base + i] * factor - largest) / sum : 0.0f);
    }
}

template <int L, int H>
cudaError_t launch(const Attention &a, cudaStream_t stream) {
    int reduced = kWarps * H * (8 * L + 2), weights = H * a.splits;
    size_t shared = 4 * static_cast<size_t>((reduced > weights ? reduced : weights) + 1);
    unsigned blocks = static_cast<unsigned>(a.splits) * static_cast<unsigned>(a.rows) *
                      static_cast<unsigned>(groups_of(a.heads, a.kv_heads));
    Attention copy = a;
    auto kernel = attention_kernel<L, H>;
    GOSSET_LAUNCH(kernel, blocks, kThreads, shared, stream, copy);
    return cudaGetLastError();
}

template <int L>
cudaError_t launch(const Attention &a, cudaStream_t stream) {
    switch (heads_per_block(a.heads / a.kv_heads)) {
        case 1: return launch<L, 1>(a, stream);
        case 2: return launch<L, 2>(a, stream);
        case 4: return launch<L, 4>(a, stream);
        default: return launch<L, 8>(a, stream);
    }
}

}  // namespace

int64_t attention_work_bytes(int rows, int heads, int dim, int splits) {
    return 4 * kAttentionCounters + 4 * static_cast<int64_t>(rows) * heads * splits * (dim + 2);
}

int attention_splits(int heads, int kv_heads, int visible, const Limits &limits) {
    if (static_cast<int64_t>(kMaxRows) * heads > kAttentionCounters) {
        return 1;
    }
    /* As many blocks as one row keeps at work, by the registers of each, and no fewer than 64 positions for each. */
    int share = heads_per_block(heads / kv_heads), resident = share == 8 ? 2 : share == 4 ? 3 : 4;
    int wanted = resident * limits.multiprocessors / groups_of(heads, kv_heads);
    int most = (visible + 63) / 64;
    int splits = wanted < most ? wanted : most;
    return splits < 1 ? 1 : splits > kMaxSplits ? kMaxSplits : splits;
}

cudaError_t attention(const Attention &a, cudaStream_t stream) {
    return a.dim <= 32 ? launch<4>(a, stream)
           : a.dim <= 64 ? launch<8>(a, stream)
           : a.dim <= 128 ? launch<16>(a, stream)
                          : launch<32>(a, stream);
}

cudaError_t causal_softmax(const float *scores, __half *probabilities, int planes, int rows, int columns, int stride,
                           int first, int window, float scale, cudaStream_t stream) {
    GOSSET_LAUNCH(causal_softmax_kernel, dim3(static_cast<unsigned>(rows), static_cast<unsigned>(planes)),
                  kSoftmaxThreads, 4 * kLanes, stream, scores, probabilities, rows, columns, stride, first, window,
                  scale);
    return cudaGetLastError();
}

}  // namespace gosset
