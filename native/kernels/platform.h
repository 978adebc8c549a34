/*
 * What the kernels need of CUDA beyond C++. They compile with nvcc for a device and with a plain C++ compiler for
 * the emulation, which stands in for everything here that is an instruction of the device. A kernel includes this and
 * nothing of CUDA directly, takes its shared memory from GOSSET_SHARED and is launched by GOSSET_LAUNCH.
 */
#ifndef GOSSET_PLATFORM_H
#define GOSSET_PLATFORM_H

#include <cstdint>
#include <cstring>

#ifdef __CUDACC__

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#define GOSSET_DEVICE __device__ __forceinline__
#define GOSSET_BOTH __host__ __device__
#define GOSSET_TABLE static __device__ const
/* All shared memory is dynamic, so that the emulation can hand out a buffer of exactly that size. */
#define GOSSET_SHARED(type, name)                                                                                      \
    extern __shared__ __align__(16) unsigned char gosset_shared[];                                                     \
    type *name = reinterpret_cast<type *>(gosset_shared)
#define GOSSET_LAUNCH(kernel, grid, block, shared, stream, ...)                                                        \
    kernel<<<(grid), (block), (shared), (stream)>>>(__VA_ARGS__)
/* Blocks next to each other in x form clusters (compute capability 9 and later). The value is a cudaError_t. */
#define GOSSET_LAUNCH_CLUSTERS(cluster, kernel, grid, block, shared, stream, ...)                                      \
    gosset::launch_clusters((cluster), (grid), (block), (shared), (stream), kernel, __VA_ARGS__)

namespace gosset {

template <class... Parameters, class... Arguments>
cudaError_t launch_clusters(unsigned cluster, dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
                            void (*kernel)(Parameters...), Arguments... arguments) {
    cudaLaunchAttribute size = {};
    size.id = cudaLaunchAttributeClusterDimension;
    size.val.clusterDim.x = cluster;
    size.val.clusterDim.y = 1;
    size.val.clusterDim.z = 1;
    cudaLaunchConfig_t configuration = {};
    configuration.gridDim = grid;
    configuration.blockDim = block;
    configuration.dynamicSmemBytes = shared;
    configuration.stream = stream;
    configuration.attrs = &size;
    configuration.numAttrs = 1;
    return cudaLaunchKernelEx(&configuration, kernel, arguments...);
}

/*
 * Waits for all threads of the cluster; what they wrote to shared memory before is then seen by all. Kernels with these
 * two compile for every architecture, and are launched only where there are clusters.
 */
GOSSET_DEVICE void cluster_barrier() {
#if __CUDA_ARCH__ >= 900
    asm volatile("barrier.cluster.arrive.release.aligned;\n\tbarrier.cluster.wait.acquire.aligned;" ::: "memory");
#else
    __trap();
#endif
}

/* What block `rank` of the cluster has where this block has `mine` in its shared memory. */
GOSSET_DEVICE float cluster_read(const float *mine, int rank) {
    float v = 0;
#if __CUDA_ARCH__ >= 900
    uint32_t at = static_cast<uint32_t>(__cvta_generic_to_shared(mine));
    asm volatile(
        "{\n\t.reg .u32 remote;\n\tmapa.shared::cluster.u32 remote, %1, %2;\n\tld.shared::cluster.f32 %0, [remote];\n\t}"
        : "=f"(v)
        : "r"(at), "r"(rank)
        : "memory");
#else
    __trap();
#endif
    return v;
}

/* Byte permutation. Bit 3 of a selector nibble spreads the sign of the chosen byte; __byte_perm cannot do that. */
GOSSET_DEVICE uint32_t permute_bytes(uint32_t a, uint32_t b, uint32_t selector) {
    uint32_t d;
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(selector));
    return d;
}

/* 16 bytes that are read once: past L1, so that they do not push out what is read again. */
GOSSET_DEVICE uint4 load_once(const uint4 *p) {
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(p));
    return v;
}
GOSSET_DEVICE uint2 load_once(const uint2 *p) {
    uint2 v;
    asm volatile("ld.global.nc.L1::no_allocate.v2.u32 {%0, %1}, [%2];" : "=r"(v.x), "=r"(v.y) : "l"(p));
    return v;
}

/* 8 bytes of global memory that no one writes meanwhile and that are read again soon. */
GOSSET_DEVICE uint2 load_constant(const uint2 *p) {
    uint2 v;
    asm("ld.global.nc.v2.u32 {%0, %1}, [%2];" : "=r"(v.x), "=r"(v.y) : "l"(p));
    return v;
}

/* The pointer, and nothing known of how it came about: an address kept in registers instead of made anew at each use. */
template <class T>
GOSSET_DEVICE T *settled(T *p) {
    asm("" : "+l"(p));
    return p;
}

/* What other blocks of the same launch have written: past L1. */
GOSSET_DEVICE float load_fresh(const float *p) { return __ldcg(p); }

/* 2^x to 2 units in the last place; 0 below 2^-126, which spares the instructions that care for subnormals. */
GOSSET_DEVICE float power_of_two(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* Two halves as floats. */
GOSSET_DEVICE void unpack_halves(uint32_t u, float &low, float &high) {
    __half2 h;
    memcpy(&h, &u, 4);
    float2 f = __half22float2(h);
    low = f.x;
    high = f.y;
}

/* Shared memory by its 32-bit address: generic pointers cost several instructions where one does. */
typedef uint32_t SharedAddress;
GOSSET_DEVICE SharedAddress shared_address(const void *p) {
    return static_cast<SharedAddress>(__cvta_generic_to_shared(p));
}
GOSSET_DEVICE uint2 load_shared(SharedAddress at) {
    uint2 v;
    asm volatile("ld.shared.v2.u32 {%0, %1}, [%2];" : "=r"(v.x), "=r"(v.y) : "r"(at));
    return v;
}

/*
 * d += A B on the tensor cores, A 16 x 32 and B 32 x 8 int8, d int32; all 32 lanes together. Lane 4 g + t holds
 * a[0]: row g, columns 4t..4t+3; a[1]: row g + 8, the same; a[2], a[3]: 16 columns further; b[0]: rows 4t..4t+3 of column
 * g; b[1]: 16 rows further; d[0], d[1]: row g, columns 2t and 2t + 1; d[2], d[3]: row g + 8. (PTX ISA, m16n8k32.)
 */
GOSSET_DEVICE void multiply_tile(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/*
 * d += A B on the tensor cores, A 16 x 16 and B 16 x 8 of half or bfloat16, d float; all 32 lanes together. Lane 4 g + t
 * holds a[0]: row g, columns 2t and 2t + 1; a[1]: row g + 8, the same; a[2], a[3]: 8 columns further; b[0]: rows 2t and
 * 2t + 1 of column g; b[1]: 8 rows further; d as in multiply_tile. (PTX ISA, m16n8k16.)
 */
#define GOSSET_MULTIPLY_FLOATS(name, type)                                                                             \
    GOSSET_DEVICE void name(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {                           \
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." type "." type ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, " \
                     "{%8, %9}, {%0, %1, %2, %3};"                                                                     \
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                                  \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                              \
    }
GOSSET_MULTIPLY_FLOATS(multiply_halves, "f16")
GOSSET_MULTIPLY_FLOATS(multiply_bfloat16, "bf16")
#undef GOSSET_MULTIPLY_FLOATS

/* Two halves a - b, each rounded to nearest. */
GOSSET_DEVICE uint32_t subtract_halves(uint32_t a, uint32_t b) {
    __half2 x, y;
    memcpy(&x, &a, 4);
    memcpy(&y, &b, 4);
    __half2 d = __hsub2(x, y);
    uint32_t bits;
    memcpy(&bits, &d, 4);
    return bits;
}

GOSSET_DEVICE uint32_t half_bits(float f) { return __half_as_ushort(__float2half_rn(f)); }

}  // namespace gosset

#else

#include "../emulation/emulation.h"

#endif

namespace gosset {

constexpr int kLanes = 32;
constexpr unsigned kWarp = 0xffffffffu;

/* The sum over the 32 lanes, in every lane. */
GOSSET_DEVICE float warp_sum(float v) {
    for (int step = kLanes / 2; step > 0; step /= 2) {
        v += __shfl_xor_sync(kWarp, v, step);
    }
    return v;
}

GOSSET_DEVICE float warp_max(float v) {
    for (int step = kLanes / 2; step > 0; step /= 2) {
        v = fmaxf(v, __shfl_xor_sync(kWarp, v, step));
    }
    return v;
}

}  // namespace gosset

#endif
