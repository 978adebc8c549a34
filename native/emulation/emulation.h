/*
 * CUDA on the CPU, as far as Gosset's kernels use it, for tests: every CUDA thread is a fiber, blocks run one after the
 * other, shared memory is a heap buffer of exactly the size asked for, device memory is the heap.
 *
 * What it finds: wrong results; barriers or warp operations that not all threads reach, or that they reach at different
 * places (reported with both places); reads and writes out of bounds, with AddressSanitizer; use of shared memory that
 * nobody wrote (it is filled with NaN patterns before each block); many missing barriers, because the
 * order in which threads run can be turned around (gosset_emulation_order).
 * What it does not know: time, caches, races that no order of whole sections shows, asynchronous copies, and whether our
 * reading of the fragment layouts is right.
 *
 * Blocks of a cluster run together, their threads in turns like those of one block.
 *
 * One launch runs at a time; other OS threads wait.
 */
#ifndef GOSSET_EMULATION_H
#define GOSSET_EMULATION_H

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>

#include "half.h"

#define GOSSET_DEVICE static inline __attribute__((unused))
#define GOSSET_BOTH
#define GOSSET_TABLE static const
#define __global__
#define __launch_bounds__(...)
#define __restrict__ __restrict
#define GOSSET_SHARED(type, name) type *name = static_cast<type *>(emulation::shared_memory())
#define GOSSET_LAUNCH(kernel, grid, block, shared, stream, ...)                                                        \
    emulation::launch({#kernel, emulation::key(kernel)}, (grid), (block), (shared), (stream), 1, [=] { kernel(__VA_ARGS__); })
#define GOSSET_LAUNCH_CLUSTERS(cluster, kernel, grid, block, shared, stream, ...)                                      \
    (emulation::launch({#kernel, emulation::key(kernel)}, (grid), (block), (shared), (stream), (cluster),              \
                       [=] { kernel(__VA_ARGS__); }),                                                                  \
     cudaGetLastError())

// ---------------------------------------------------------------------------------------------------- types

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

struct __half {
    unsigned short bits;
};
static inline float __half2float(__half h) { return emulation::half_to_float(h.bits); }
static inline __half __float2half_rn(float f) { return {emulation::float_to_half(f)}; }

static inline float __uint_as_float(unsigned u) {
    float f;
    memcpy(&f, &u, 4);
    return f;
}
static inline unsigned __float_as_uint(float f) {
    unsigned u;
    memcpy(&u, &f, 4);
    return u;
}
/* Fibers change only at barriers and warp operations, so that plain memory is atomic. */
static inline int atomicAdd(int *at, int v) {
    int old = *at;
    *at += v;
    return old;
}
static inline unsigned atomicAdd(unsigned *at, unsigned v) {
    unsigned old = *at;
    *at += v;
    return old;
}
static inline unsigned long long atomicAdd(unsigned long long *at, unsigned long long v) {
    unsigned long long old = *at;
    *at += v;
    return old;
}
/* Counts up to `last` and then begins at 0 again. */
static inline unsigned atomicInc(unsigned *at, unsigned last) {
    unsigned old = *at;
    *at = old >= last ? 0 : old + 1;
    return old;
}
static inline void __threadfence() {}
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
static inline int __popc(unsigned u) { return __builtin_popcount(u); }
static inline int __float2int_rn(float f) { return static_cast<int>(lrintf(f)); }

// ---------------------------------------------------------------------------------------------------- threads

typedef struct CUstream_st *cudaStream_t;

namespace emulation {

struct Place {
    const char *file;
    int line;
};

/* What the running thread sees as its built-in variables. */
struct Position {
    dim3 thread, block, block_size, grid_size;
};
extern Position *position;

void *shared_memory();

/* Waits for all threads of the block. */
void block_barrier(Place place);

/* Waits for all threads of the cluster of blocks that run together. */
void cluster_barrier(Place place);

/* What block `rank` of the cluster has where this block has `mine` in its shared memory. */
const void *cluster_operand(const void *mine, int bytes, int rank, Place place);

/*
 * Waits until all lanes of the warp are here with the same operation at the same place. Leaves `bytes` of operand where
 * the other lanes find it with lane_operand until the next operation of this lane.
 */
void warp_meet(const char *operation, const void *operand, int bytes, Place place);
const void *lane_operand(int lane);
int lane();
[[noreturn]] void fail(const char *what, Place place);

/* The float next to a double on the side of 0. */
static inline float truncate(double x) {
    float f = static_cast<float>(x);
    return std::isfinite(f) && fabs(static_cast<double>(f)) > fabs(x) ? nextafterf(f, 0.0f) : f;
}

/* Runs the grid, `cluster` blocks (next to each other in x) at a time. */
struct Kernel {
    const char *name;
    const void *key;
};
template <class Function>
const void *key(Function *kernel) {
    return reinterpret_cast<const void *>(kernel);
}
void launch(Kernel kernel, dim3 grid, dim3 block, size_t shared, cudaStream_t stream, unsigned cluster,
            std::function<void()> thread);

}  // namespace emulation

#define threadIdx (emulation::position->thread)
#define blockIdx (emulation::position->block)
#define blockDim (emulation::position->block_size)
#define gridDim (emulation::position->grid_size)

#define GOSSET_PLACE const char *file = __builtin_FILE(), int line = __builtin_LINE()

static inline void __syncthreads(GOSSET_PLACE) { emulation::block_barrier({file, line}); }
static inline void __syncwarp(GOSSET_PLACE) { emulation::warp_meet("syncwarp", nullptr, 0, {file, line}); }

template <class T>
static inline T gosset_shuffle(unsigned mask, T v, int source, const char *operation, emulation::Place place) {
    if (mask != 0xffffffffu) {
        emulation::fail("a shuffle with a partial mask", place);
    }
    emulation::warp_meet(operation, &v, sizeof v, place);
    T result;
    memcpy(&result, emulation::lane_operand(source & 31), sizeof result);
    return result;
}
template <class T>
static inline T __shfl_sync(unsigned mask, T v, int source, GOSSET_PLACE) {
    return gosset_shuffle(mask, v, source, "shfl", {file, line});
}
template <class T>
static inline T __shfl_xor_sync(unsigned mask, T v, int with, GOSSET_PLACE) {
    return gosset_shuffle(mask, v, emulation::lane() ^ with, "shfl.xor", {file, line});
}
template <class T>
static inline T __shfl_up_sync(unsigned mask, T v, int by, GOSSET_PLACE) {
    int from = emulation::lane() - by;
    return gosset_shuffle(mask, v, from < 0 ? emulation::lane() : from, "shfl.up", {file, line});
}

namespace gosset {

static inline uint2 load_constant(const uint2 *p) { return *p; }
template <class T>
static inline T *settled(T *p) {
    return p;
}
static inline float power_of_two(float x) { return x < -126 ? 0 : exp2f(x); }
static inline float load_fresh(const float *p) { return *p; }
static inline void unpack_halves(uint32_t u, float &low, float &high) {
    low = emulation::half_to_float(static_cast<uint16_t>(u));
    high = emulation::half_to_float(static_cast<uint16_t>(u >> 16));
}

static inline uint32_t permute_bytes(uint32_t a, uint32_t b, uint32_t selector) {
    uint64_t bytes = static_cast<uint64_t>(b) << 32 | a;
    uint32_t d = 0;
    for (int i = 0; i < 4; i++) {
        unsigned s = selector >> (4 * i) & 15;
        uint32_t byte = bytes >> (8 * (s & 7)) & 255;
        d |= (s & 8 ? (byte & 128 ? 255u : 0u) : byte) << (8 * i);
    }
    return d;
}
static inline uint4 load_once(const uint4 *p) { return *p; }
static inline uint2 load_once(const uint2 *p) { return *p; }

static inline void cluster_barrier(GOSSET_PLACE) { emulation::cluster_barrier({file, line}); }
static inline float cluster_read(const float *mine, int rank, GOSSET_PLACE) {
    return *static_cast<const float *>(emulation::cluster_operand(mine, sizeof(float), rank, {file, line}));
}

typedef const unsigned char *SharedAddress;
static inline SharedAddress shared_address(const void *p) { return static_cast<SharedAddress>(p); }
static inline uint2 load_shared(SharedAddress at) { return *reinterpret_cast<const uint2 *>(at); }

static inline void multiply_tile(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], GOSSET_PLACE) {
    struct Operand {
        int8_t a[16], b[8];
    } mine;
    memcpy(mine.a, a, 16);
    memcpy(mine.b, b, 8);
    emulation::warp_meet("mma.m16n8k32", &mine, sizeof mine, {file, line});
    int g = emulation::lane() / 4, t = emulation::lane() % 4;
    for (int i = 0; i < 4; i++) {
        int row = g + (i & 2 ? 8 : 0), col = 2 * t + (i & 1), sum = 0;
        for (int quarter = 0; quarter < 4; quarter++) {
            auto *x = static_cast<const Operand *>(emulation::lane_operand(row % 8 * 4 + quarter));
            auto *y = static_cast<const Operand *>(emulation::lane_operand(col * 4 + quarter));
            for (int half = 0; half < 2; half++) {
                for (int j = 0; j < 4; j++) {
                    sum += x->a[8 * half + (row / 8) * 4 + j] * y->b[4 * half + j];
                }
            }
        }
        d[i] += sum;
    }
}

/* Eight products at a time are added to the sum, and what a float cannot hold of it is cut off: so devices are said to do it. */
template <class Widen>
static inline void multiply_floats(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Widen widen,
                                   const char *operation, emulation::Place place) {
    struct Operand {
        uint16_t a[8], b[4];
    } mine;
    memcpy(mine.a, a, 16);
    memcpy(mine.b, b, 8);
    emulation::warp_meet(operation, &mine, sizeof mine, place);
    int g = emulation::lane() / 4, t = emulation::lane() % 4;
    for (int i = 0; i < 4; i++) {
        int row = g + (i & 2 ? 8 : 0), col = 2 * t + (i & 1);
        for (int half = 0; half < 2; half++) {
            double sum = d[i];
            for (int k = 8 * half; k < 8 * half + 8; k++) {
                auto *x = static_cast<const Operand *>(emulation::lane_operand(row % 8 * 4 + k % 8 / 2));
                auto *y = static_cast<const Operand *>(emulation::lane_operand(col * 4 + k % 8 / 2));
                sum += static_cast<double>(widen(x->a[half * 4 + row / 8 * 2 + k % 2])) * widen(y->b[half * 2 + k % 2]);
            }
            d[i] = emulation::truncate(sum);
        }
    }
}
static inline void multiply_halves(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], GOSSET_PLACE) {
    multiply_floats(d, a, b, emulation::half_to_float, "mma.m16n8k16.f16", {file, line});
}
static inline void multiply_bfloat16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], GOSSET_PLACE) {
    auto widen = [](uint16_t bits) { return __uint_as_float(static_cast<unsigned>(bits) << 16); };
    multiply_floats(d, a, b, widen, "mma.m16n8k16.bf16", {file, line});
}
static inline uint32_t half_bits(float f) { return emulation::float_to_half(f); }
static inline uint32_t subtract_halves(uint32_t a, uint32_t b) {
    uint32_t d = 0;
    for (int shift = 0; shift < 32; shift += 16) {
        float x = emulation::half_to_float(static_cast<uint16_t>(a >> shift));
        float y = emulation::half_to_float(static_cast<uint16_t>(b >> shift));
        d |= half_bits(x - y) << shift;
    }
    return d;
}

}  // namespace gosset

// ---------------------------------------------------------------------------------------------------- runtime

typedef struct CUevent_st *cudaEvent_t;
typedef struct CUgraph_st *cudaGraph_t;
typedef struct CUgraphExec_st *cudaGraphExec_t;
enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInsufficientDriver = 35,
    cudaErrorNoDevice = 100,
    cudaErrorInvalidDevice = 101,
    cudaErrorLaunchFailure = 719,
    cudaErrorNotSupported = 801,
    cudaErrorStreamCaptureInvalidated = 901,
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
enum cudaDeviceAttr {
    cudaDevAttrMultiProcessorCount = 16,
    cudaDevAttrL2CacheSize = 38,
    cudaDevAttrComputeCapabilityMajor = 75,
    cudaDevAttrComputeCapabilityMinor = 76,
    cudaDevAttrMaxSharedMemoryPerBlockOptin = 97,
};
constexpr unsigned cudaHostAllocDefault = 0, cudaStreamNonBlocking = 1;
struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem;
};

const char *cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError();
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDevice(int *device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device);
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaRuntimeGetVersion(int *version);
cudaError_t cudaDeviceSynchronize();
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes);
cudaError_t cudaMalloc(void **address, size_t bytes);
cudaError_t cudaFree(void *address);
cudaError_t cudaHostAlloc(void **address, size_t bytes, unsigned flags);
cudaError_t cudaFreeHost(void *address);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaEventCreate(cudaEvent_t *event);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
/* What the kernel's launches may ask for from now on; recorded ones too, when they are replayed. Refused beyond what the device offers. */
cudaError_t gosset_emulation_allow_shared(const void *kernel, int bytes);
template <class Kernel>
static inline cudaError_t cudaFuncSetAttribute(Kernel *kernel, cudaFuncAttribute, int bytes) {
    return gosset_emulation_allow_shared(emulation::key(kernel), bytes);
}

/*
 * Switches of the emulation, not part of the C ABI. Order: 0 forwards, 1 backwards, above that a random order from that
 * seed. Shared bytes: what the pretended device offers a block. Live: device, pinned and other objects not yet freed.
 * Report: what the last failed launch did, empty where none failed.
 */
extern "C" {
__attribute__((visibility("default"))) void gosset_emulation_order(int order);
__attribute__((visibility("default"))) void gosset_emulation_shared_bytes(int bytes);
__attribute__((visibility("default"))) int64_t gosset_emulation_live();
__attribute__((visibility("default"))) const char *gosset_emulation_report();
/* Bytes of device memory of each pretended device. */
__attribute__((visibility("default"))) void gosset_emulation_memory_bytes(int64_t bytes);
/* 1: no device, as on a machine without a driver. */
__attribute__((visibility("default"))) void gosset_emulation_absent(int absent);
/* How many devices are pretended, 1 to 8, and the major number of their compute capability: 9 has clusters, 8 has none. */
__attribute__((visibility("default"))) void gosset_emulation_devices(int count);
__attribute__((visibility("default"))) void gosset_emulation_capability(int major);
}

#endif
