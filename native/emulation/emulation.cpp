#include "emulation.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "fiber.h"

// ---------------------------------------------------------------------------------------------------- threads

namespace emulation {

Position *position = nullptr;

namespace {

enum class State { kReady, kAtBarrier, kAtWarp, kDone };

constexpr int kOperandBytes = 32;
constexpr int kMostDevices = 8;
constexpr size_t kSharedByDefault = 48 << 10;
thread_local int current_device = 0;
const char *const kBlockBarrier = "syncthreads";
const char *const kClusterBarrier = "cluster barrier";

struct Thread {
    Fiber fiber;
    Position where;
    State state = State::kDone;
    const char *operation = "";
    Place place = {"", 0};
    /* Two, so that a lane that is one operation ahead does not overwrite what the others still read. */
    alignas(16) unsigned char operand[2][kOperandBytes];
    int turn = 0;
};

struct Machine {
    std::recursive_mutex mutex;
    std::vector<std::unique_ptr<Thread>> threads;
    /* Threads that run together, those of a block among them, the running one, those that have returned. */
    int count = 0, block_threads = 1, index = 0, done = 0;
    std::vector<int> ready;
    size_t next_ready = 0;
    Fiber outside;
    const std::function<void()> *body = nullptr;
    const char *kernel = "";
    std::vector<int> waiting_in_warp;
    /* Shared memory of each block that runs. */
    std::vector<unsigned char *> shared;
    size_t shared_bytes = 0;
    int order = 0;
    uint64_t random = 1;
    char report[1000] = "";
    bool failed = false;
    cudaError_t last = cudaSuccess;
    int shared_limit = 232448;
    int64_t memory_bytes = int64_t{8} << 30, live = 0;
    /* By kernel: the most dynamic shared memory that it was allowed. */
    std::map<const void *, int> shared_allowed;
    bool absent = false;
    int devices = 1, capability = 9;
    int64_t used_bytes[kMostDevices] = {};
    struct Allocation {
        size_t bytes;
        int device;
    };
    std::map<void *, Allocation> allocations;
};

Machine &machine() {
    static Machine *m = new Machine();  // never destroyed: fibers and handles may outlive main
    return *m;
}

Thread &running() { return *machine().threads[machine().index]; }

void enqueue(int first, int count) {
    Machine &m = machine();
    size_t at = m.ready.size();
    for (int i = 0; i < count; i++) {
        m.threads[first + i]->state = State::kReady;
        m.ready.push_back(m.order == 1 ? first + count - 1 - i : first + i);
    }
    if (m.order > 1) {
        for (int i = count - 1; i > 0; i--) {
            m.random = m.random * 6364136223846793005u + 1442695040888963407u;
            std::swap(m.ready[at + i], m.ready[at + (m.random >> 33) % (i + 1)]);
        }
    }
}

/* Nothing that owns memory may be alive here: the fiber's stack is abandoned, not unwound. */
[[noreturn]] void give_up(const char *text) {
    Machine &m = machine();
    m.failed = true;
    snprintf(m.report, sizeof m.report, "kernel %s, block %u: %s", m.kernel, running().where.block.x, text);
    m.outside.resume(running().fiber);
    abort();  // a thread of a failed block is never resumed
}

void describe(int index, char *text, size_t size) {
    Thread &t = *machine().threads[index];
    if (t.state == State::kDone) {
        snprintf(text, size, "thread %d has returned", index);
    } else {
        snprintf(text, size, "thread %d is at %s %s:%d", index, t.operation, t.place.file, t.place.line);
    }
}

[[noreturn]] void report_divergence(const char *what, int one, int other) {
    char a[300], b[300], text[700];
    describe(one, a, sizeof a);
    describe(other, b, sizeof b);
    snprintf(text, sizeof text, "divergent %s: %s, but %s", what, a, b);
    give_up(text);
}

bool same_place(const Thread &a, const Thread &b) {
    return a.state == b.state && (a.state == State::kDone || (a.operation == b.operation && a.place.line == b.place.line &&
                                                              strcmp(a.place.file, b.place.file) == 0));
}

/*
 * No thread can go on: lets the blocks go whose threads all wait at one barrier, and where there are none the cluster
 * whose blocks do.
 */
void release_barriers() {
    Machine &m = machine();
    bool released = false;
    for (int from = 0; from < m.count; from += m.block_threads) {
        int first = from;
        while (m.threads[first]->state != State::kAtBarrier && first + 1 < from + m.block_threads) {
            first++;
        }
        for (int i = from; i < from + m.block_threads; i++) {
            if (!same_place(*m.threads[first], *m.threads[i])) {
                report_divergence("barrier", first, i);
            }
        }
        if (m.threads[first]->state == State::kAtBarrier && m.threads[first]->operation == kBlockBarrier) {
            enqueue(from, m.block_threads);
            released = true;
        }
    }
    if (!released) {
        for (int from = 0; from < m.count; from += m.block_threads) {
            if (!same_place(*m.threads[0], *m.threads[from])) {
                report_divergence("cluster barrier", 0, from);
            }
        }
        enqueue(0, m.count);
    }
}

/* Goes on with some thread that can; comes back when this one is resumed. */
void next() {
    Machine &m = machine();
    if (m.next_ready == m.ready.size()) {
        m.ready.clear();
        m.next_ready = 0;
        if (m.done == m.count) {
            m.outside.resume(running().fiber);
            abort();
        }
        release_barriers();
    }
    Thread &from = running();
    m.index = m.ready[m.next_ready++];
    Thread &to = running();
    position = &to.where;
    if (&to != &from) {
        to.fiber.resume(from.fiber);
        /* Whoever resumed us set index and position. */
    }
}

void enter() {
    Fiber::arrived();
    (*machine().body)();
    Thread &t = running();
    t.state = State::kDone;
    machine().done++;
    next();
    abort();
}

}  // namespace

void *shared_memory() { return machine().shared[machine().index / machine().block_threads]; }

const void *cluster_operand(const void *mine, int bytes, int rank, Place place) {
    Machine &m = machine();
    int64_t offset = static_cast<const unsigned char *>(mine) - static_cast<unsigned char *>(shared_memory());
    if (rank < 0 || rank >= m.count / m.block_threads || offset < 0 ||
        offset + bytes > static_cast<int64_t>(m.shared_bytes)) {
        fail("a read of another block's shared memory that does not exist", place);
    }
    return m.shared[rank] + offset;
}

int lane() { return machine().index % 32; }

const void *lane_operand(int lane) {
    Machine &m = machine();
    int index = m.index / 32 * 32 + lane;
    if (index >= m.count) {
        fail("a warp operation reads a lane that does not exist", running().place);
    }
    /* All lanes have done the same number of operations when one of them reads, or one more. */
    return m.threads[index]->operand[running().turn];
}

void fail(const char *what, Place place) {
    char text[400];
    snprintf(text, sizeof text, "%s at %s:%d", what, place.file, place.line);
    give_up(text);
}

static void wait_at(const char *barrier, Place place) {
    Thread &t = running();
    t.state = State::kAtBarrier;
    t.operation = barrier;
    t.place = place;
    next();
}

void block_barrier(Place place) { wait_at(kBlockBarrier, place); }
void cluster_barrier(Place place) { wait_at(kClusterBarrier, place); }

void warp_meet(const char *operation, const void *operand, int bytes, Place place) {
    Machine &m = machine();
    Thread &t = running();
    t.turn ^= 1;
    if (bytes > 0) {
        memcpy(t.operand[t.turn], operand, bytes);
    }
    t.operation = operation;
    t.place = place;
    int warp = m.index / 32, first = 32 * warp, size = std::min(32, m.count - first);
    t.state = State::kAtWarp;
    if (++m.waiting_in_warp[warp] < size) {
        next();
        return;
    }
    for (int i = first; i < first + size; i++) {
        Thread &other = *m.threads[i];
        if (other.operation != operation || other.place.line != place.line || strcmp(other.place.file, place.file)) {
            report_divergence("warp operation", m.index, i);
        }
    }
    m.waiting_in_warp[warp] = 0;
    enqueue(first, size);
    next();
}

/* Starts every thread of the cluster whose first block is (bx, by), and comes back when all have returned or one failed. */
static void run_cluster(unsigned bx, unsigned by, dim3 grid, dim3 block) {
    Machine &m = machine();
    m.done = 0;
    m.ready.clear();
    m.next_ready = 0;
    std::fill(m.waiting_in_warp.begin(), m.waiting_in_warp.end(), 0);
    for (int i = 0; i < m.count; i++) {
        Thread &t = *m.threads[i];
        unsigned u = static_cast<unsigned>(i % m.block_threads);
        unsigned in_cluster = static_cast<unsigned>(i / m.block_threads);
        t.where = {dim3(u % block.x, u / block.x % block.y, u / (block.x * block.y)), dim3(bx + in_cluster, by, 0), block,
                   grid};
        t.turn = 0;
        t.operation = "";
        t.fiber.start(enter);
    }
    enqueue(0, m.count);
    m.index = m.ready[m.next_ready++];
    position = &running().where;
    running().fiber.resume(m.outside);
}

static void run(Kernel launched, dim3 grid, dim3 block, size_t shared, unsigned cluster,
                const std::function<void()> &body) {
    Machine &m = machine();
    m.block_threads = static_cast<int>(block.x * block.y * block.z);
    m.count = m.block_threads * static_cast<int>(cluster);
    const char *kernel = launched.name;
    m.kernel = kernel;
    bool good_cluster = cluster == 1 || (cluster <= 8 && m.capability >= 9 && grid.x % cluster == 0 && m.block_threads % 32 == 0);
    if (m.block_threads < 1 || m.block_threads > 1024 || grid.x < 1 || grid.y < 1 || grid.y > 65535 || grid.z != 1 ||
        !good_cluster || static_cast<int64_t>(shared) > m.shared_limit ||
        (shared > kSharedByDefault && static_cast<int64_t>(shared) > m.shared_allowed[launched.key])) {
        snprintf(m.report, sizeof m.report,
                 "kernel %s: invalid launch of %u x %u blocks in clusters of %u, of %d threads with %zu bytes of shared memory",
                 kernel, grid.x, grid.y, cluster, m.block_threads, shared);
        m.last = cudaErrorInvalidValue;
        return;
    }
    while (m.threads.size() < static_cast<size_t>(m.count)) {
        m.threads.push_back(std::make_unique<Thread>());
    }
    m.body = &body;
    m.waiting_in_warp.assign((m.count + 31) / 32, 0);
    m.shared_bytes = shared;
    for (unsigned i = 0; i < cluster; i++) {
        void *memory = nullptr;
        if (posix_memalign(&memory, 128, shared == 0 ? 1 : shared) != 0) {
            abort();
        }
        m.shared.push_back(static_cast<unsigned char *>(memory));
    }
    for (unsigned by = 0; by < grid.y && !m.failed; by++) {
        for (unsigned bx = 0; bx < grid.x && !m.failed; bx += cluster) {
            for (unsigned char *memory : m.shared) {
                memset(memory, 0xff, shared);
            }
            run_cluster(bx, by, grid, block);
        }
    }
    for (unsigned char *memory : m.shared) {
        free(memory);
    }
    m.shared.clear();
    position = nullptr;
    if (m.failed) {
        m.failed = false;
        m.last = cudaErrorLaunchFailure;
        fprintf(stderr, "gosset emulation: %s\n", m.report);
    }
}

}  // namespace emulation

// ---------------------------------------------------------------------------------------------------- runtime

using emulation::machine;
using Lock = std::lock_guard<std::recursive_mutex>;

struct CUgraph_st {
    std::vector<std::function<void()>> work;
};
struct CUgraphExec_st {
    std::vector<std::function<void()>> work;
};
struct CUstream_st {
    CUgraph_st *capture = nullptr;
};
struct CUevent_st {
    std::chrono::steady_clock::time_point at;
    bool recorded = false;
};

static void queue(cudaStream_t stream, std::function<void()> work) {
    if (stream != nullptr && stream->capture != nullptr) {
        stream->capture->work.push_back(std::move(work));
    } else {
        work();
    }
}

void emulation::launch(Kernel kernel, dim3 grid, dim3 block, size_t shared, cudaStream_t stream, unsigned cluster,
                       std::function<void()> thread) {
    Lock lock(machine().mutex);
    queue(stream, [=] { run(kernel, grid, block, shared, cluster, thread); });
}

cudaError_t gosset_emulation_allow_shared(const void *kernel, int bytes) {
    Lock lock(machine().mutex);
    if (bytes > machine().shared_limit) {
        return cudaErrorInvalidValue;
    }
    machine().shared_allowed[kernel] = bytes;
    return cudaSuccess;
}

const char *cudaGetErrorString(cudaError_t error) {
    switch (error) {
        case cudaSuccess: return "no error";
        case cudaErrorInvalidValue: return "invalid argument";
        case cudaErrorMemoryAllocation: return "out of memory";
        case cudaErrorInsufficientDriver: return "CUDA driver version is insufficient for CUDA runtime version";
        case cudaErrorNoDevice: return "no CUDA-capable device is detected";
        case cudaErrorInvalidDevice: return "invalid device ordinal";
        case cudaErrorLaunchFailure: return "unspecified launch failure";
        default: return "unknown error";
    }
}
cudaError_t cudaGetLastError() {
    Lock lock(machine().mutex);
    cudaError_t e = machine().last;
    machine().last = cudaSuccess;
    return e;
}
cudaError_t cudaGetDeviceCount(int *count) {
    if (machine().absent) {
        return cudaErrorInsufficientDriver;
    }
    *count = machine().devices;
    return cudaSuccess;
}
static bool is_device(int device) { return device >= 0 && device < machine().devices; }
cudaError_t cudaSetDevice(int device) {
    if (!is_device(device)) {
        return cudaErrorInvalidDevice;
    }
    emulation::current_device = device;
    return cudaSuccess;
}
cudaError_t cudaGetDevice(int *device) {
    *device = emulation::current_device;
    return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device) {
    if (!is_device(device)) {
        return cudaErrorInvalidDevice;
    }
    snprintf(properties->name, sizeof properties->name, "emulation on the CPU");
    properties->totalGlobalMem = static_cast<size_t>(machine().memory_bytes);
    return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device) {
    if (!is_device(device)) {
        return cudaErrorInvalidDevice;
    }
    switch (attribute) {
        /* Few and odd, so that blocks get several tiles, and not all equally many. */
        case cudaDevAttrMultiProcessorCount: *value = 3; break;
        case cudaDevAttrL2CacheSize: *value = 1 << 20; break;
        case cudaDevAttrComputeCapabilityMajor: *value = machine().capability; break;
        case cudaDevAttrComputeCapabilityMinor: *value = 0; break;
        case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = machine().shared_limit; break;
    }
    return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int *version) {
    *version = 0;
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int *version) {
    *version = 0;
    return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() { return cudaGetLastError(); }
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes) {
    Lock lock(machine().mutex);
    *total_bytes = static_cast<size_t>(machine().memory_bytes);
    *free_bytes = static_cast<size_t>(machine().memory_bytes - machine().used_bytes[emulation::current_device]);
    return cudaSuccess;
}
cudaError_t cudaMalloc(void **address, size_t bytes) {
    Lock lock(machine().mutex);
    auto &m = machine();
    int64_t &used = m.used_bytes[emulation::current_device];
    if (static_cast<int64_t>(bytes) > m.memory_bytes - used) {
        return cudaErrorMemoryAllocation;
    }
    /* Exactly as many bytes as asked for, filled with NaN patterns. */
    if (posix_memalign(address, 256, bytes == 0 ? 1 : bytes) != 0) {
        return cudaErrorMemoryAllocation;
    }
    memset(*address, 0xff, bytes);
    m.allocations[*address] = {bytes, emulation::current_device};
    used += static_cast<int64_t>(bytes);
    m.live++;
    return cudaSuccess;
}
cudaError_t cudaFree(void *address) {
    Lock lock(machine().mutex);
    auto &m = machine();
    auto found = m.allocations.find(address);
    if (found == m.allocations.end()) {
        return address == nullptr ? cudaSuccess : cudaErrorInvalidValue;
    }
    m.used_bytes[found->second.device] -= static_cast<int64_t>(found->second.bytes);
    m.allocations.erase(found);
    m.live--;
    free(address);
    return cudaSuccess;
}
cudaError_t cudaHostAlloc(void **address, size_t bytes, unsigned) {
    Lock lock(machine().mutex);
    if (posix_memalign(address, 256, bytes == 0 ? 1 : bytes) != 0) {
        return cudaErrorMemoryAllocation;
    }
    machine().live++;
    return cudaSuccess;
}
cudaError_t cudaFreeHost(void *address) {
    Lock lock(machine().mutex);
    free(address);
    machine().live--;
    return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
    Lock lock(machine().mutex);
    queue(stream, [=] { memcpy(to, from, bytes); });
    return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream) {
    Lock lock(machine().mutex);
    queue(stream, [=] { memset(to, value, bytes); });
    return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned) {
    Lock lock(machine().mutex);
    *stream = new CUstream_st();
    machine().live++;
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    Lock lock(machine().mutex);
    delete stream;
    machine().live--;
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaGetLastError(); }
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }
cudaError_t cudaEventCreate(cudaEvent_t *event) {
    Lock lock(machine().mutex);
    *event = new CUevent_st();
    machine().live++;
    return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    Lock lock(machine().mutex);
    delete event;
    machine().live--;
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
    event->at = std::chrono::steady_clock::now();
    event->recorded = true;
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaGetLastError(); }
cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to) {
    if (!from->recorded || !to->recorded) {
        return cudaErrorInvalidValue;
    }
    *milliseconds = std::chrono::duration<float, std::milli>(to->at - from->at).count();
    return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
    Lock lock(machine().mutex);
    if (stream == nullptr || stream->capture != nullptr) {
        return cudaErrorInvalidValue;
    }
    stream->capture = new CUgraph_st();
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    Lock lock(machine().mutex);
    if (stream == nullptr || stream->capture == nullptr) {
        return cudaErrorInvalidValue;
    }
    *graph = stream->capture;
    stream->capture = nullptr;
    machine().live++;
    return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long) {
    Lock lock(machine().mutex);
    *exec = new CUgraphExec_st{graph->work};
    machine().live++;
    return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    Lock lock(machine().mutex);
    delete graph;
    machine().live--;
    return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    Lock lock(machine().mutex);
    delete exec;
    machine().live--;
    return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
    Lock lock(machine().mutex);
    for (auto &work : exec->work) {
        queue(stream, work);
    }
    return cudaSuccess;
}

void gosset_emulation_order(int order) {
    machine().order = order;
    machine().random = static_cast<uint64_t>(order);
}
void gosset_emulation_shared_bytes(int bytes) { machine().shared_limit = bytes; }
int64_t gosset_emulation_live() { return machine().live; }
const char *gosset_emulation_report() { return machine().report; }
void gosset_emulation_memory_bytes(int64_t bytes) { machine().memory_bytes = bytes; }
void gosset_emulation_absent(int absent) { machine().absent = absent != 0; }
void gosset_emulation_devices(int count) { machine().devices = std::clamp(count, 1, emulation::kMostDevices); }
void gosset_emulation_capability(int major) { machine().capability = major; }
