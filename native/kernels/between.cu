/*
 * What stands between two quantized products, in one launch per step: output transform, scale, residual, RMSNorm or gate,
 * input transform, rounding to 16-bit activations. A decoding step has several of these per layer and little data in
 * each, so that launches are what they cost. Everything stays in shared memory: that of one block per vector, or, for long
 * vectors and large small matrices where the device has clusters, that of eight blocks that read each other's.
 */
#include "codebook.h"
#include "packing.h"
#include "reductions.h"
#include "transform.h"

namespace gosset {

namespace {

constexpr int kThreads = 1024;
constexpr int kClusterBlocks = 8;
constexpr int kClusterThreads = 512;
/* Behind the 32 floats of a block's reductions: what this block tells the others, see cluster_sum and cluster_max. */
constexpr int kSumAt = kLanes, kMaxAt = kLanes + 1;

/* Over the blocks of the cluster, in the order of their ranks; each once per kernel, a cluster barrier later on. */
GOSSET_DEVICE float cluster_sum(float v, float *box) {
    v = block_sum(v, box);
    if (threadIdx.x == 0) {
        box[kSumAt] = v;
    }
    cluster_barrier();
    v = 0;
    for (int rank = 0; rank < kClusterBlocks; rank++) {
        v += cluster_read(box + kSumAt, rank);
    }
    return v;
}

GOSSET_DEVICE float cluster_max(float v, float *box) {
    v = block_max(v, box);
    if (threadIdx.x == 0) {
        box[kMaxAt] = v;
    }
    cluster_barrier();
    for (int rank = 0; rank < kClusterBlocks; rank++) {
        v = fmaxf(v, cluster_read(box + kMaxAt, rank));
    }
    return v;
}

template <class Value>
GOSSET_DEVICE float largest_of(Value value, int count) {
    float largest = 0;
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        largest = fmaxf(largest, fabsf(value(i)));
    }
    return largest;
}

/* Groups of 8 columns in the activations of a vector of n: whole units. */
GOSSET_BOTH inline int activation_groups(int n) { return (n + kUnitColumns - 1) / kUnitColumns * kUnitCodes; }

/*
 * Rounds a vector of `batch` to 16 bits and stores its groups from `first` to `end` - 1; see packing.h. value(i) is element
 * 8 first + i for i < count, others are 0; largest is the maximum of the whole vector's magnitudes.
 */
template <class Value>
GOSSET_DEVICE void store_activations(Value value, int first, int end, int count, float largest, int vector, int batch,
                                     uint2 *activations, float *scale) {
    float step = largest / kActivationSteps;
    /* Where largest is tiny, 1 / step overflows; those values are nothing beside any other error. */
    float steps = largest > 1e-30f ? kActivationSteps / largest : 0.0f;
    for (int group = first + static_cast<int>(threadIdx.x); group < end; group += blockDim.x) {
        uint32_t high[2] = {0, 0}, low[2] = {0, 0};
        for (int k = 0; k < 8; k++) {
            int i = 8 * (group - first) + coordinate_of(k);
            int rounded = i < count ? __float2int_rn(value(i) * steps) : 0;
            int upper = (rounded + 128) >> 8;
            high[k / 4] |= static_cast<uint32_t>(upper & 255) << 8 * (k % 4);
            low[k / 4] |= static_cast<uint32_t>((rounded - 256 * upper) & 255) << 8 * (k % 4);
        }
        uint2 *to = activations + static_cast<int64_t>(group) * 2 * batch + 2 * vector;
        to[0] = make_uint2(high[0], high[1]);
        to[1] = make_uint2(low[0], low[1]);
    }
    if (first == 0 && threadIdx.x == 0) {
        scale[vector] = step;
    }
}

__global__ void __launch_bounds__(kThreads)
    quantize_kernel(const float *__restrict__ x, int n, int batch, uint2 *__restrict__ activations,
                    float *__restrict__ scale) {
    GOSSET_SHARED(float, box);
    const float *mine = x + static_cast<int64_t>(blockIdx.x) * n;
    auto value = [=](int i) { return mine[i]; };
    float largest = block_max(largest_of(value, n), box);
    store_activations(value, 0, activation_groups(n), n, largest, static_cast<int>(blockIdx.x), batch, activations,
                      scale);
}

/* Floats of a vector that gosset_between reads. */
GOSSET_BOTH inline int incoming_of(const Between &p) { return p.m > 0 ? p.m : p.kind == 2 ? 2 * p.n : p.n; }

/*
 * The step itself, in a: h to pre * t. This block holds `count` elements of the vector, element `at(i)` of it at a[i], of h
 * twice as many before a gate; sum(v) adds up over all blocks that share the vector. Not complete: no barrier at the end.
 */
template <class At, class Sum>
GOSSET_DEVICE void step(const Between &p, int vector, float *a, int count, At at, Sum sum) {
    if (p.kind == 1) {
        float *residual = p.residual + static_cast<int64_t>(vector) * p.n;
        float squares = 0;
        for (int i = threadIdx.x; i < count; i += blockDim.x) {
            int place = at(i);
            float r = residual[place];
            if (p.m > 0) {
                r += a[padded(i)];
                residual[place] = r;
            }
            a[padded(i)] = r;
            squares += r * r;
        }
        float factor = 1.0f / sqrtf(sum(squares) / static_cast<float>(p.n) + p.epsilon);
        for (int i = threadIdx.x; i < count; i += blockDim.x) {
            int place = at(i);
            a[padded(i)] *= factor * p.weight[place] * p.pre[place];
        }
    } else if (p.kind == 2) {
        for (int i = threadIdx.x; i < count; i += blockDim.x) {
            float up = a[padded(i)], gate = a[padded(count + i)];
            a[padded(i)] = up * gate / (1.0f + expf(-gate)) * p.pre[at(i)];
        }
    } else {
        for (int i = threadIdx.x; i < count; i += blockDim.x) {
            a[padded(i)] *= p.pre[at(i)];
        }
    }
}

/* Shared memory: 32 floats, a padded vector of max(m, n), and a second one where a small matrix is at work. */
__global__ void __launch_bounds__(kThreads) between_kernel(Between p, int length) {
    GOSSET_SHARED(float, box);
    float *a = box + kLanes;
    float *b = a + padded(length) + 1;
    int vector = static_cast<int>(blockIdx.x), n = p.n, incoming = incoming_of(p);
    const float *z = p.z + static_cast<int64_t>(vector) * incoming;
    if (p.m > 0 || p.kind != 1) {
        for (int i = threadIdx.x; i < incoming; i += blockDim.x) {
            a[padded(i)] = z[i];
        }
        __syncthreads();
    }
    if (p.m > 0) {
        float norm = 1.0f / sqrtf(static_cast<float>(p.m));
        float *h = transform_block(a, b, p.m, p.m_small, false);
        b = h == a ? b : a;
        a = h;
        for (int i = threadIdx.x; i < p.m; i += blockDim.x) {
            a[padded(i)] *= norm * p.post[i];
        }
        __syncthreads();
    }
    step(p, vector, a, n, [](int i) { return i; }, [=](float v) { return block_sum(v, box); });
    __syncthreads();
    float *t = transform_block(a, b, n, p.n_small, true);
    float norm = 1.0f / sqrtf(static_cast<float>(n));
    auto value = [=](int i) { return t[padded(i)] * norm; };
    float largest = block_max(largest_of(value, n), box);
    store_activations(value, 0, activation_groups(n), n, largest, vector, p.batch,
                      static_cast<uint2 *>(p.activations), p.scale);
}

/*
 * How a cluster shares a vector. M (x) S_p is the same as (M (x) S_fold) (x) S_period, so that the rows, fold k of them,
 * are a multiple of the blocks. A block has its share of the rows, whole, for S_period, and its share of the columns,
 * whole, for the rest: vectors go from rows to columns and back through the blocks' shared memory. Where m = 2 n, M is the
 * same and the period twice as long, and a block has columns j and period + j of h with column j of t: what the gate needs.
 */
struct Shares {
    int fold;
    /* Columns of t that a block has, a power of two; and all of them. */
    int width_log, period;
};

/* Where element y of this block's columns is in the vector. */
GOSSET_DEVICE int place_of(const Shares &shares, int y, int rank) {
    int inside = y & ((1 << shares.width_log) - 1);
    return (y >> shares.width_log) * shares.period + (rank << shares.width_log) + inside;
}

/* M (x) S_fold on a block's columns, `width` of them, in a (padded, complete). The result is in one of a and b, complete. */
GOSSET_DEVICE float *mix_columns(float *a, float *b, int count, int width, int fold, const SmallMatrix &small,
                                 bool transpose) {
    if (fold == 8) {
        sylvester_pass<8>(a, count, width);
    } else if (fold == 4) {
        sylvester_pass<4>(a, count, width);
    } else if (fold == 2) {
        sylvester_pass<2>(a, count, width);
    }
    return small_block(a, b, fold * width, small, transpose);
}

/* A cluster of kClusterBlocks per vector. Shared memory: 34 floats, two padded vectors of length / kClusterBlocks. */
__global__ void __launch_bounds__(kClusterThreads) between_cluster_kernel(Between p, Shares shares, int length) {
    GOSSET_SHARED(float, box);
    float *a = box + kMaxAt + 1;
    float *b = a + padded(length / kClusterBlocks) + 1;
    int rank = static_cast<int>(blockIdx.x) % kClusterBlocks, vector = static_cast<int>(blockIdx.x) / kClusterBlocks;
    int n = p.n, incoming = incoming_of(p);
    int count = n / kClusterBlocks, held = incoming / kClusterBlocks, width = 1 << shares.width_log;
    const float *z = p.z + static_cast<int64_t>(vector) * incoming;
    if (p.m > 0) {
        int times = p.m / n;
        for (int i = threadIdx.x; i < held; i += blockDim.x) {
            a[padded(i)] = z[rank * held + i];
        }
        __syncthreads();
        sylvester(a, held, times * shares.period);
        cluster_barrier();
        for (int y = threadIdx.x; y < held; y += blockDim.x) {
            int place = place_of(shares, y, rank), owner = place / held;
            b[padded(y)] = cluster_read(a + padded(place - owner * held), owner);
        }
        /* Nobody reads a of another block any more. */
        cluster_barrier();
        float *h = mix_columns(b, a, held, times * width, shares.fold, p.m_small, false);
        b = h == a ? b : a;
        a = h;
        float norm = 1.0f / sqrtf(static_cast<float>(p.m));
        for (int y = threadIdx.x; y < held; y += blockDim.x) {
            a[padded(y)] *= norm * p.post[place_of(shares, y, rank)];
        }
        __syncthreads();
    } else if (p.kind != 1) {
        for (int y = threadIdx.x; y < held; y += blockDim.x) {
            a[padded(y)] = z[place_of(shares, y, rank)];
        }
        __syncthreads();
    }
    step(p, vector, a, count, [=](int y) { return place_of(shares, y, rank); },
         [=](float v) { return cluster_sum(v, box); });
    __syncthreads();
    float *t = mix_columns(a, b, count, width, shares.fold, p.n_small, true);
    float *rows = t == a ? b : a;
    cluster_barrier();
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        int place = rank * count + i, column = place & (shares.period - 1);
        int y = ((place - column) / shares.period << shares.width_log) + (column & (width - 1));
        rows[padded(i)] = cluster_read(t + padded(y), column >> shares.width_log);
    }
    __syncthreads();
    sylvester(rows, count, shares.period);
    float norm = 1.0f / sqrtf(static_cast<float>(n));
    auto value = [=](int i) { return rows[padded(i)] * norm; };
    float largest = cluster_max(largest_of(value, count), box);
    int first = rank * count / 8;
    int end = rank == kClusterBlocks - 1 ? activation_groups(n) : first + count / 8;
    store_activations(value, first, end, count, largest, vector, p.batch, static_cast<uint2 *>(p.activations), p.scale);
    /* A block's shared memory stays until all have read it. */
    cluster_barrier();
}

int between_length(const Between &b) {
    int incoming = incoming_of(b);
    return incoming > b.n ? incoming : b.n;
}

int64_t block_bytes(const Between &b) {
    int64_t buffers = (b.m > 0 && b.m_small.k > 1) || b.n_small.k > 1 ? 2 : 1;
    return 4 * kLanes + buffers * padded_bytes(between_length(b));
}

int64_t cluster_bytes(const Between &b) {
    return 4 * (kMaxAt + 1) + 2 * padded_bytes(between_length(b) / kClusterBlocks);
}

int power_of_two_in(int k) { return k & -k; }

/* The shares, or fold 0 where a cluster cannot share these vectors evenly. */
Shares shares_of(const Between &b) {
    int k = b.n_small.k, common = power_of_two_in(k) < kClusterBlocks ? power_of_two_in(k) : kClusterBlocks;
    int fold = kClusterBlocks / common;
    int period = b.n / k / fold, width_log = 0;
    bool even = b.n % (8 * kClusterBlocks) == 0 && period >= kClusterBlocks &&
                (b.m == 0 || (b.m_small.k == k && b.m_small.kind == b.n_small.kind));
    while (even && kClusterBlocks << (width_log + 1) <= period) {
        width_log++;
    }
    return {even ? fold : 0, width_log, period};
}

/* Additions of a vector's transforms, about; one block does 4096 elements without a small matrix in little time. */
int64_t between_work(const Between &b) {
    return int64_t{b.m} * (b.m_small.k + 16) + int64_t{b.n} * (b.n_small.k + 16);
}
constexpr int64_t kOneBlockWork = 400000;

}  // namespace

BetweenPlan plan_between(const Between &b, const Limits &limits) {
    int64_t alone = block_bytes(b), shared = cluster_bytes(b);
    bool fits = alone <= limits.shared_bytes;
    bool can_share = limits.major >= 9 && shared <= limits.shared_bytes && shares_of(b).fold > 0;
    return can_share && (!fits || between_work(b) > kOneBlockWork) ? BetweenPlan{kClusterBlocks, shared, limits.shared_bytes}
                                                                   : BetweenPlan{1, alone, limits.shared_bytes};
}

cudaError_t between(const Between &b, const BetweenPlan &plan, cudaStream_t stream) {
    bool cluster = plan.blocks > 1;
    int shared = static_cast<int>(plan.needed), length = between_length(b);
    cudaError_t e =
        cluster ? cudaFuncSetAttribute(between_cluster_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, plan.most)
                : cudaFuncSetAttribute(between_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, plan.most);
    if (e != cudaSuccess) {
        return e;
    }
    Between copy = b;
    size_t bytes = static_cast<size_t>(shared);
    if (cluster) {
        Shares shares = shares_of(b);
        return GOSSET_LAUNCH_CLUSTERS(kClusterBlocks, between_cluster_kernel, b.batch * kClusterBlocks, kClusterThreads,
                                      bytes, stream, copy, shares, length);
    }
    GOSSET_LAUNCH(between_kernel, b.batch, kThreads, bytes, stream, copy, length);
    return cudaGetLastError();
}

cudaError_t quantize_activations(const float *x, int n, int batch, void *activations, float *scale,
                                 cudaStream_t stream) {
    uint2 *to = static_cast<uint2 *>(activations);
    GOSSET_LAUNCH(quantize_kernel, batch, kThreads, 4 * kLanes, stream, x, n, batch, to, scale);
    return cudaGetLastError();
}

}  // namespace gosset
