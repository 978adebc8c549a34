/*
 * The C ABI over the CUDA runtime and the launchers: checks arguments, names what failed, keeps nothing. See
 * include/gosset_cuda.h for the contract.
 */
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "../kernels/packing.h"
#include "status.h"

namespace {

thread_local char last_error[512] = "";
thread_local int32_t last_code = 0;

}  // namespace

namespace gosset {

int32_t fail(int32_t status, int32_t code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(last_error, sizeof last_error, format, args);
    va_end(args);
    last_code = code;
    return status;
}

int32_t checked(cudaError_t e, const char *operation) {
    if (e == cudaSuccess) {
        return GOSSET_OK;
    }
    /* A failure that is not sticky would otherwise show up again at the next launch. */
    cudaGetLastError();
    int code = static_cast<int>(e);
    int32_t status = e == cudaErrorInsufficientDriver || e == cudaErrorNoDevice ? GOSSET_NO_DEVICE
                     : e == cudaErrorMemoryAllocation                          ? GOSSET_OUT_OF_MEMORY
                     : e == cudaErrorNotSupported                              ? GOSSET_UNSUPPORTED
                                                                               : GOSSET_CUDA_FAILURE;
    return fail(status, code, "%s: CUDA error %d, %s", operation, code, cudaGetErrorString(e));
}

int32_t current_limits(Limits *limits) {
    int device = 0;
    cudaError_t e = cudaGetDevice(&device);
    if (e == cudaSuccess) {
        e = cudaDeviceGetAttribute(&limits->multiprocessors, cudaDevAttrMultiProcessorCount, device);
    }
    if (e == cudaSuccess) {
        e = cudaDeviceGetAttribute(&limits->shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    }
    if (e == cudaSuccess) {
        e = cudaDeviceGetAttribute(&limits->major, cudaDevAttrComputeCapabilityMajor, device);
    }
    return checked(e, "reading the device's limits");
}

}  // namespace gosset

using namespace gosset;

namespace {

bool good_small(int n, int k, int kind, gosset_address data) {
    if (n < 1 || n > kLargest || k < 1 || n % k != 0 || ((n / k) & (n / k - 1)) != 0) {
        return false;
    }
    return k == 1 ? kind == GOSSET_SMALL_NONE
                  : data != 0 && (kind == GOSSET_SMALL_HADAMARD || kind == GOSSET_SMALL_HARTLEY);
}

bool good_bits(int bits) { return bits >= 2 && bits <= 4; }
/* The kernels count the 16-byte lanes of a packed matrix, and the activations of a batch, in int. */
bool good_shape(int m, int n) {
    return m >= 1 && m <= kLargest && n >= 1 && n <= 1 << 20 && packed_shape(m, n).lanes() < 1 << 30;
}
bool good_scale(int bits, float scale) { return bits == 2 || (scale > 0 && scale < 1e30f); }

}  // namespace

int32_t gosset_abi_version(void) { return GOSSET_ABI_VERSION; }

const char *gosset_backend(void) {
#ifdef __CUDACC__
    return "cuda";
#else
    return "emulation";
#endif
}

const char *gosset_last_error(void) { return last_error; }
int32_t gosset_last_native_code(void) { return last_code; }

// ---------------------------------------------------------------------------------------------------- devices

int32_t gosset_device_count(int32_t *count) {
    REQUIRE(count != nullptr, "gosset_device_count: count is NULL");
    int found = 0;
    cudaError_t e = cudaGetDeviceCount(&found);
    *count = e == cudaSuccess ? found : 0;
    if (e == cudaSuccess && found == 0) {
        return fail(GOSSET_NO_DEVICE, 0, "counting devices: the driver has none");
    }
    if (e == cudaErrorInsufficientDriver) {
        cudaGetLastError();
        int driver = 0, runtime = 0;
        cudaDriverGetVersion(&driver);
        cudaRuntimeGetVersion(&runtime);
        return driver == 0
                   ? fail(GOSSET_NO_DEVICE, e, "counting devices: no NVIDIA driver")
                   : fail(GOSSET_NO_DEVICE, e, "counting devices: the driver knows CUDA %d.%d, the library needs %d.%d",
                          driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    }
    return checked(e, "counting devices");
}

int32_t gosset_device_select(int32_t device) {
    char operation[64];
    snprintf(operation, sizeof operation, "selecting device %d", device);
    return checked(cudaSetDevice(device), operation);
}

int32_t gosset_device_describe(int32_t device, char *name, int32_t name_bytes, int64_t *facts) {
    REQUIRE(name != nullptr && name_bytes > 0 && facts != nullptr, "gosset_device_describe: no room for the answer");
    cudaDeviceProp properties;
    cudaError_t e = cudaGetDeviceProperties(&properties, device);
    int values[5] = {};
    const cudaDeviceAttr attributes[5] = {cudaDevAttrComputeCapabilityMajor, cudaDevAttrComputeCapabilityMinor,
                                          cudaDevAttrMultiProcessorCount, cudaDevAttrL2CacheSize,
                                          cudaDevAttrMaxSharedMemoryPerBlockOptin};
    for (int i = 0; e == cudaSuccess && i < 5; i++) {
        e = cudaDeviceGetAttribute(&values[i], attributes[i], device);
    }
    int driver = 0, runtime = 0;
    if (e == cudaSuccess) {
        e = cudaDriverGetVersion(&driver);
    }
    if (e == cudaSuccess) {
        e = cudaRuntimeGetVersion(&runtime);
    }
    if (e != cudaSuccess) {
        char operation[64];
        snprintf(operation, sizeof operation, "describing device %d", device);
        return checked(e, operation);
    }
    snprintf(name, static_cast<size_t>(name_bytes), "%s", properties.name);
    facts[GOSSET_DEVICE_MAJOR] = values[0];
    facts[GOSSET_DEVICE_MINOR] = values[1];
    facts[GOSSET_DEVICE_MULTIPROCESSORS] = values[2];
    facts[GOSSET_DEVICE_MEMORY_BYTES] = static_cast<int64_t>(properties.totalGlobalMem);
    facts[GOSSET_DEVICE_L2_BYTES] = values[3];
    facts[GOSSET_DEVICE_SHARED_BYTES] = values[4];
    facts[GOSSET_DEVICE_DRIVER] = driver;
    facts[GOSSET_DEVICE_RUNTIME] = runtime;
    return GOSSET_OK;
}

int32_t gosset_device_synchronize(void) { return checked(cudaDeviceSynchronize(), "waiting for the device"); }

// ---------------------------------------------------------------------------------------------------- memory

int32_t gosset_memory_info(int64_t *free_bytes, int64_t *total_bytes) {
    REQUIRE(free_bytes != nullptr && total_bytes != nullptr, "gosset_memory_info: no room for the answer");
    size_t unused = 0, total = 0;
    int32_t status = checked(cudaMemGetInfo(&unused, &total), "asking for free device memory");
    *free_bytes = static_cast<int64_t>(unused);
    *total_bytes = static_cast<int64_t>(total);
    return status;
}

int32_t gosset_allocate(gosset_address *address, int64_t bytes) {
    REQUIRE(address != nullptr && bytes > 0, "gosset_allocate: cannot allocate %lld bytes",
            static_cast<long long>(bytes));
    void *p = nullptr;
    cudaError_t e = cudaMalloc(&p, static_cast<size_t>(bytes));
    *address = static_cast<gosset_address>(reinterpret_cast<uintptr_t>(p));
    if (e == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        *address = 0;
        size_t unused = 0, total = 0;
        if (cudaMemGetInfo(&unused, &total) != cudaSuccess) {
            unused = total = 0;
        }
        return fail(GOSSET_OUT_OF_MEMORY, e, "out of device memory: asked for %lld bytes, %lld of %lld are free",
                    static_cast<long long>(bytes), static_cast<long long>(unused), static_cast<long long>(total));
    }
    return checked(e, "allocating device memory");
}

int32_t gosset_free(gosset_address address) {
    return checked(cudaFree(pointer<void>(address)), "freeing device memory");
}

int32_t gosset_host_allocate(void **address, int64_t bytes) {
    REQUIRE(address != nullptr && bytes > 0, "gosset_host_allocate: cannot allocate %lld bytes",
            static_cast<long long>(bytes));
    return checked(cudaHostAlloc(address, static_cast<size_t>(bytes), cudaHostAllocDefault),
                   "allocating page-locked memory");
}

int32_t gosset_host_free(void *address) { return checked(cudaFreeHost(address), "freeing page-locked memory"); }

int32_t gosset_copy_to_device(gosset_address to, const void *from, int64_t bytes, gosset_stream *stream) {
    REQUIRE(to != 0 && (from != nullptr || bytes == 0) && bytes >= 0, "gosset_copy_to_device: %lld bytes from %p",
            static_cast<long long>(bytes), from);
    return checked(cudaMemcpyAsync(pointer<void>(to), from, static_cast<size_t>(bytes), cudaMemcpyHostToDevice,
                                   native(stream)),
                   "copying to the device");
}

int32_t gosset_copy_to_host(void *to, gosset_address from, int64_t bytes, gosset_stream *stream) {
    REQUIRE((to != nullptr || bytes == 0) && from != 0 && bytes >= 0, "gosset_copy_to_host: %lld bytes to %p",
            static_cast<long long>(bytes), to);
    return checked(cudaMemcpyAsync(to, pointer<void>(from), static_cast<size_t>(bytes), cudaMemcpyDeviceToHost,
                                   native(stream)),
                   "copying from the device");
}

int32_t gosset_copy_on_device(gosset_address to, gosset_address from, int64_t bytes, gosset_stream *stream) {
    REQUIRE(to != 0 && from != 0 && bytes >= 0, "gosset_copy_on_device: %lld bytes", static_cast<long long>(bytes));
    return checked(cudaMemcpyAsync(pointer<void>(to), pointer<void>(from), static_cast<size_t>(bytes),
                                   cudaMemcpyDeviceToDevice, native(stream)),
                   "copying on the device");
}

int32_t gosset_fill(gosset_address to, int32_t value, int64_t bytes, gosset_stream *stream) {
    REQUIRE(to != 0 && bytes >= 0, "gosset_fill: %lld bytes", static_cast<long long>(bytes));
    return checked(cudaMemsetAsync(pointer<void>(to), value, static_cast<size_t>(bytes), native(stream)),
                   "filling device memory");
}

// ---------------------------------------------------------------------------------------------------- order

int32_t gosset_stream_create(gosset_stream **stream) {
    REQUIRE(stream != nullptr, "gosset_stream_create: stream is NULL");
    return checked(cudaStreamCreateWithFlags(reinterpret_cast<cudaStream_t *>(stream), cudaStreamNonBlocking),
                   "creating a stream");
}
int32_t gosset_stream_destroy(gosset_stream *stream) {
    return checked(cudaStreamDestroy(native(stream)), "destroying a stream");
}
int32_t gosset_stream_synchronize(gosset_stream *stream) {
    return checked(cudaStreamSynchronize(native(stream)), "waiting for a stream");
}
int32_t gosset_stream_wait(gosset_stream *stream, gosset_event *event) {
    return checked(cudaStreamWaitEvent(native(stream), native(event), 0), "making a stream wait for an event");
}
int32_t gosset_event_create(gosset_event **event) {
    REQUIRE(event != nullptr, "gosset_event_create: event is NULL");
    return checked(cudaEventCreate(reinterpret_cast<cudaEvent_t *>(event)), "creating an event");
}
int32_t gosset_event_destroy(gosset_event *event) {
    return checked(cudaEventDestroy(native(event)), "destroying an event");
}
int32_t gosset_event_record(gosset_event *event, gosset_stream *stream) {
    return checked(cudaEventRecord(native(event), native(stream)), "recording an event");
}
int32_t gosset_event_synchronize(gosset_event *event) {
    return checked(cudaEventSynchronize(native(event)), "waiting for an event");
}
int32_t gosset_event_elapsed(gosset_event *from, gosset_event *to, float *milliseconds) {
    REQUIRE(milliseconds != nullptr, "gosset_event_elapsed: no room for the answer");
    return checked(cudaEventElapsedTime(milliseconds, native(from), native(to)), "measuring between events");
}

int32_t gosset_graph_begin(gosset_stream *stream) {
    REQUIRE(stream != nullptr, "gosset_graph_begin: the default stream cannot be recorded");
    return checked(cudaStreamBeginCapture(native(stream), cudaStreamCaptureModeThreadLocal), "recording a graph");
}
int32_t gosset_graph_end(gosset_stream *stream, gosset_graph **graph) {
    REQUIRE(stream != nullptr && graph != nullptr, "gosset_graph_end: stream or graph is NULL");
    *graph = nullptr;
    cudaGraph_t recorded = nullptr;
    cudaError_t e = cudaStreamEndCapture(native(stream), &recorded);
    if (e == cudaSuccess) {
        e = cudaGraphInstantiate(reinterpret_cast<cudaGraphExec_t *>(graph), recorded, 0);
        cudaGraphDestroy(recorded);
    }
    return checked(e, "finishing a graph");
}
int32_t gosset_graph_launch(gosset_graph *graph, gosset_stream *stream) {
    REQUIRE(graph != nullptr, "gosset_graph_launch: graph is NULL");
    return checked(cudaGraphLaunch(reinterpret_cast<cudaGraphExec_t>(graph), native(stream)), "launching a graph");
}
int32_t gosset_graph_destroy(gosset_graph *graph) {
    return checked(cudaGraphExecDestroy(reinterpret_cast<cudaGraphExec_t>(graph)), "destroying a graph");
}

// ---------------------------------------------------------------------------------------------------- kernels

int64_t gosset_transform_work(int32_t n, int32_t k, int32_t rows) {
    if (n < 1 || n > kLargest || k < 1 || n % k != 0 || rows < 0) {
        return -1;
    }
    /* One block per vector, unless the vector is too long for one or the small matrix too much work. */
    return n <= kOneBlockTransform && k <= 32 ? 0 : 4 * static_cast<int64_t>(n) * rows;
}

int32_t gosset_transform(gosset_address x, int32_t x_type, gosset_address out, int32_t out_type, int32_t n, int32_t k,
                         int32_t rows, int32_t small_kind, gosset_address small, int32_t transpose, gosset_address pre,
                         gosset_address post, float scale, gosset_address work, gosset_stream *stream) {
    REQUIRE(x != 0 && out != 0, "gosset_transform: %d vectors of %d: x or out is 0", rows, n);
    REQUIRE((x_type == GOSSET_F32 || x_type == GOSSET_F16) && (out_type == GOSSET_F32 || out_type == GOSSET_F16),
            "gosset_transform: types must be 0 (F32) or 1 (F16), found %d and %d", x_type, out_type);
    REQUIRE(good_small(n, k, small_kind, small),
            "gosset_transform: n = %d, k = %d, kind %d: n / k must be a power of two, k = 1 needs kind 0 and others a "
            "matrix of kind 1 or 2",
            n, k, small_kind);
    REQUIRE(rows >= 0, "gosset_transform: rows must be at least 0, found %d", rows);
    REQUIRE(x != out || x_type == out_type, "gosset_transform: in place needs one type, found %d and %d", x_type,
            out_type);
    bool needs_work = gosset_transform_work(n, k, 1) > 0;
    REQUIRE(!needs_work || aligned(work), "gosset_transform: n = %d, k = %d needs a work buffer of %lld bytes", n, k,
            static_cast<long long>(gosset_transform_work(n, k, rows)));
    if (rows == 0) {
        return GOSSET_OK;
    }
    return checked(transform(pointer<void>(x), x_type, pointer<void>(out), out_type, n,
                                     {small_kind, k, pointer<void>(small)}, rows, transpose != 0, pointer<float>(pre),
                                     pointer<float>(post), scale, needs_work ? pointer<float>(work) : nullptr,
                                     native(stream)),
                   "gosset_transform");
}

int32_t gosset_convert(gosset_address x, int32_t x_type, gosset_address out, int32_t out_type, int64_t count,
                       gosset_stream *stream) {
    REQUIRE(x != 0 && out != 0 && count >= 0 && x_type >= 0 && x_type <= 3 && out_type >= 0 && out_type <= 2,
            "gosset_convert: %lld elements from type %d to %d", static_cast<long long>(count), x_type, out_type);
    if (count == 0) {
        return GOSSET_OK;
    }
    return checked(convert(pointer<void>(x), x_type, pointer<void>(out), out_type, count, native(stream)),
                   "gosset_convert");
}

int64_t gosset_packed_bytes(int32_t bits, int32_t m, int32_t n) {
    return good_bits(bits) && good_shape(m, n) ? packed_shape(m, n).bytes(bits) : -1;
}

int64_t gosset_activation_bytes(int32_t n, int32_t batch) {
    return good_shape(1, n) && batch >= 1 && batch <= GOSSET_MAX_BATCH ? activation_bytes(n, batch) : -1;
}

int32_t gosset_pack(int32_t bits, int32_t m, int32_t n, gosset_address codes, gosset_address packed,
                    gosset_stream *stream) {
    REQUIRE(good_bits(bits) && good_shape(m, n), "gosset_pack: %d bits, %d x %d", bits, m, n);
    REQUIRE(aligned(codes) && aligned(packed), "gosset_pack: buffers must be aligned to 16 bytes");
    return checked(pack(bits, m, n, pointer<void>(codes), pointer<void>(packed), native(stream)),
                   "gosset_pack");
}

int32_t gosset_quantize_activations(gosset_address x, int32_t n, int32_t batch, gosset_address activations,
                                    gosset_address scale, gosset_stream *stream) {
    REQUIRE(gosset_activation_bytes(n, batch) > 0, "gosset_quantize_activations: %d vectors of %d", batch, n);
    REQUIRE(aligned(x) && aligned(activations) && aligned(scale),
            "gosset_quantize_activations: buffers must be aligned to 16 bytes");
    return checked(quantize_activations(pointer<float>(x), n, batch, pointer<void>(activations),
                                                pointer<float>(scale), native(stream)),
                   "gosset_quantize_activations");
}

int32_t gosset_matvec(int32_t bits, int32_t m, int32_t n, int32_t batch, gosset_address packed,
                      gosset_address activations, gosset_address scale, float residual_scale, gosset_address y,
                      gosset_stream *stream) {
    REQUIRE(good_bits(bits) && good_shape(m, n) && gosset_activation_bytes(n, batch) > 0 &&
                good_scale(bits, residual_scale),
            "gosset_matvec: %d bits, %d x %d, batch %d, residual scale %g", bits, m, n, batch,
            static_cast<double>(residual_scale));
    REQUIRE(aligned(packed) && aligned(activations) && aligned(scale) && aligned(y),
            "gosset_matvec: buffers must be aligned to 16 bytes");
    Limits limits;
    int32_t status = current_limits(&limits);
    if (status != GOSSET_OK) {
        return status;
    }
    return checked(matvec(bits, m, n, batch, pointer<void>(packed), pointer<void>(activations),
                                  pointer<float>(scale), residual_scale, pointer<float>(y), limits, native(stream)),
                   "gosset_matvec");
}

int32_t gosset_decode(int32_t bits, int32_t m, int32_t n, gosset_address packed, int32_t first_row, int32_t rows,
                      float residual_scale, gosset_address out, gosset_stream *stream) {
    REQUIRE(good_bits(bits) && good_shape(m, n) && good_scale(bits, residual_scale) && first_row >= 0 && rows >= 0 &&
                first_row <= m - rows,
            "gosset_decode: %d bits, rows %d to %d of %d x %d, residual scale %g", bits, first_row, first_row + rows, m,
            n, static_cast<double>(residual_scale));
    REQUIRE(aligned(packed) && aligned(out), "gosset_decode: buffers must be aligned to 16 bytes");
    if (rows == 0) {
        return GOSSET_OK;
    }
    return checked(decode(bits, m, n, pointer<void>(packed), first_row, rows, residual_scale,
                                  pointer<__half>(out), native(stream)),
                   "gosset_decode");
}

int32_t gosset_between(int32_t kind, gosset_address z, int32_t m, int32_t m_k, int32_t m_small_kind,
                       gosset_address m_small, gosset_address post, gosset_address residual, gosset_address weight,
                       float epsilon, int32_t n, int32_t n_k, int32_t n_small_kind, gosset_address n_small,
                       gosset_address pre, int32_t batch, gosset_address activations, gosset_address scale,
                       gosset_stream *stream) {
    REQUIRE(kind >= GOSSET_BETWEEN_PLAIN && kind <= GOSSET_BETWEEN_GATE, "gosset_between: kind %d", kind);
    REQUIRE(gosset_activation_bytes(n, batch) > 0 && good_small(n, n_k, n_small_kind, n_small),
            "gosset_between: %d vectors of n = %d, k = %d, kind %d", batch, n, n_k, n_small_kind);
    REQUIRE(m == 0 || (m == (kind == GOSSET_BETWEEN_GATE ? 2 * static_cast<int64_t>(n) : n) && post != 0 &&
                       good_small(m, m_k, m_small_kind, m_small)),
            "gosset_between: m = %d, k = %d, kind %d before n = %d", m, m_k, m_small_kind, n);
    REQUIRE(kind != GOSSET_BETWEEN_NORM || (residual != 0 && weight != 0),
            "gosset_between: a norm needs the residual and its weight");
    REQUIRE((z != 0 || (m == 0 && kind == GOSSET_BETWEEN_NORM)) && pre != 0 && aligned(activations) && aligned(scale),
            "gosset_between: z, pre, activations or scale is missing");
    Between b = {static_cast<int>(kind),
                         pointer<float>(z),
                         m,
                         {m_small_kind, m == 0 ? 1 : m_k, pointer<void>(m_small)},
                         pointer<float>(post),
                         pointer<float>(residual),
                         pointer<float>(weight),
                         epsilon,
                         n,
                         {n_small_kind, n_k, pointer<void>(n_small)},
                         pointer<float>(pre),
                         batch,
                         pointer<void>(activations),
                         pointer<float>(scale)};
    Limits limits;
    int32_t status = current_limits(&limits);
    if (status != GOSSET_OK) {
        return status;
    }
    gosset::BetweenPlan plan = gosset::plan_between(b, limits);
    if (plan.needed > limits.shared_bytes) {
        return fail(GOSSET_UNSUPPORTED, 0,
                    "gosset_between: m = %d, n = %d needs %lld bytes of shared memory, a block of this device has %d", m,
                    n, static_cast<long long>(plan.needed), limits.shared_bytes);
    }
    return checked(gosset::between(b, plan, native(stream)), "gosset_between");
}

int32_t gosset_nearest(int32_t bits, gosset_address x, int32_t count, float residual_scale, gosset_address values,
                       gosset_address codes, gosset_stream *stream) {
    REQUIRE(good_bits(bits) && count >= 0 && good_scale(bits, residual_scale),
            "gosset_nearest: %d bits, %d vectors, residual scale %g", bits, count, static_cast<double>(residual_scale));
    REQUIRE(aligned(x) && aligned(values) && aligned(codes), "gosset_nearest: buffers must be aligned to 16 bytes");
    if (count == 0) {
        return GOSSET_OK;
    }
    return checked(nearest(bits, pointer<float>(x), count, residual_scale, pointer<float>(values),
                                   pointer<int32_t>(codes), native(stream)),
                   "gosset_nearest");
}

int32_t gosset_ldlq_group(int32_t bits, int32_t m, int32_t n, int32_t start, int32_t width, gosset_address x,
                          gosset_address matrix, gosset_address base, gosset_address error, float residual_scale,
                          gosset_address codes, gosset_stream *stream) {
    REQUIRE(good_bits(bits) && good_shape(m, n) && n % 8 == 0 && good_scale(bits, residual_scale),
            "gosset_ldlq_group: %d bits, %d x %d, residual scale %g", bits, m, n, static_cast<double>(residual_scale));
    REQUIRE(start >= 0 && width > 0 && width <= 128 && width % 8 == 0 && start % 8 == 0 && start <= n - width,
            "gosset_ldlq_group: columns %d to %d of %d; at most 128, multiples of 8", start, start + width, n);
    REQUIRE(x != 0 && matrix != 0 && error != 0, "gosset_ldlq_group: a buffer is missing");
    return checked(ldlq_group(bits, m, n, start, width, pointer<float>(x), pointer<float>(matrix),
                                      pointer<float>(base), pointer<float>(error), residual_scale,
                                      pointer<int32_t>(codes), native(stream)),
                   "gosset_ldlq_group");
}

int32_t gosset_codes_to_planes(int32_t bits, int32_t m, int32_t n, gosset_address codes, gosset_address planes,
                               gosset_stream *stream) {
    REQUIRE(good_bits(bits) && good_shape(m, n) && codes != 0 && aligned(planes), "gosset_codes_to_planes: %d bits, %d x %d",
            bits, m, n);
    return checked(
        codes_to_planes(bits, m, n, pointer<int32_t>(codes), pointer<void>(planes), native(stream)),
        "gosset_codes_to_planes");
}

int32_t gosset_cholesky_block(gosset_address a, int32_t n, int32_t at, int32_t width, gosset_address failure,
                              gosset_stream *stream) {
    REQUIRE(a != 0 && failure != 0 && n > 0 && at >= 0 && width > 0 && width <= 64 && at <= n - width,
            "gosset_cholesky_block: rows %d to %d of %d; at most 64", at, at + width, n);
    return checked(cholesky_block(pointer<float>(a), n, at, width, pointer<int32_t>(failure), native(stream)),
                   "gosset_cholesky_block");
}

int32_t gosset_block_ldl(gosset_address c, int32_t n, gosset_stream *stream) {
    REQUIRE(c != 0 && n > 0 && n % 8 == 0, "gosset_block_ldl: n = %d must be a multiple of 8", n);
    return checked(block_ldl(pointer<float>(c), n, native(stream)), "gosset_block_ldl");
}

int32_t gosset_greedy_matrix(gosset_address h, gosset_address out, int32_t n, gosset_address failure,
                             gosset_stream *stream) {
    REQUIRE(h != 0 && out != 0 && h != out && failure != 0 && n > 0 && n % 8 == 0,
            "gosset_greedy_matrix: n = %d must be a multiple of 8, h and out two buffers", n);
    return checked(
        greedy_matrix(pointer<float>(h), pointer<float>(out), n, pointer<int32_t>(failure), native(stream)),
        "gosset_greedy_matrix");
}

int32_t gosset_dot(gosset_address x, gosset_address y, int64_t count, gosset_address parts, gosset_stream *stream) {
    REQUIRE(x != 0 && y != 0 && count >= 0 && aligned(parts), "gosset_dot: %lld elements", static_cast<long long>(count));
    return checked(dot(pointer<float>(x), pointer<float>(y), count, GOSSET_DOT_PARTS, pointer<double>(parts), native(stream)),
                   "gosset_dot");
}

int32_t gosset_column_sums(gosset_address x, int32_t rows, int32_t n, gosset_address sums, gosset_stream *stream) {
    REQUIRE(x != 0 && rows >= 0 && n >= 1 && n <= kLargest && aligned(sums), "gosset_column_sums: %d x %d", rows, n);
    return checked(column_sums(pointer<float>(x), rows, n, pointer<double>(sums), native(stream)), "gosset_column_sums");
}

int32_t gosset_transpose(gosset_address x, int32_t rows, int32_t columns, gosset_address out, gosset_stream *stream) {
    REQUIRE(x != 0 && out != 0 && x != out && rows >= 1 && columns >= 1 && rows <= kLargest && columns <= kLargest &&
                int64_t{rows} * columns <= int64_t{1} << 40,
            "gosset_transpose: %d x %d", rows, columns);
    return checked(transpose(pointer<float>(x), rows, columns, pointer<float>(out), native(stream)), "gosset_transpose");
}
