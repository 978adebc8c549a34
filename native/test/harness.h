/*
 * What the test programs share: checks, device memory, random inputs, and the loop over tests and orders of threads.
 * Compiled with GOSSET_ON_DEVICE for a device, else for the emulation.
 */
#ifndef GOSSET_HARNESS_H
#define GOSSET_HARNESS_H

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "../emulation/half.h"
#include "gosset_cuda.h"
#ifdef GOSSET_ON_DEVICE
static void gosset_emulation_order(int) {}
#else
#include "../emulation/emulation.h"
#endif

namespace {

int failures = 0;
bool brief = false;

#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            failures++;                                                                                                \
            printf("FAILED %s:%d %s: ", __FILE__, __LINE__, #condition);                                              \
            printf(__VA_ARGS__);                                                                                       \
            printf("\n");                                                                                              \
        }                                                                                                              \
    } while (0)

void ok(int32_t status, int line) {
    if (status != GOSSET_OK) {
        failures++;
        printf("FAILED line %d: status %d, %s\n", line, status, gosset_last_error());
    }
}
#define OK(call) ok((call), __LINE__)

/* Device memory holding a vector. */
template <class T>
struct Device {
    gosset_address address = 0;
    size_t count;
    explicit Device(size_t n) : count(n) { OK(gosset_allocate(&address, static_cast<int64_t>(sizeof(T) * std::max<size_t>(n, 1)))); }
    explicit Device(const std::vector<T> &v) : Device(v.size()) {
        OK(gosset_copy_to_device(address, v.data(), static_cast<int64_t>(sizeof(T) * v.size()), nullptr));
    }
    ~Device() { OK(gosset_free(address)); }
    Device(const Device &) = delete;
    std::vector<T> read() const {
        std::vector<T> v(count);
        OK(gosset_copy_to_host(v.data(), address, static_cast<int64_t>(sizeof(T) * count), nullptr));
        OK(gosset_device_synchronize());
        return v;
    }
};

std::mt19937_64 random_bits(20260101);
float normal() {
    static std::normal_distribution<float> d;
    return d(random_bits);
}
std::vector<float> normals(size_t n) {
    std::vector<float> v(n);
    for (auto &x : v) {
        x = normal();
    }
    return v;
}
uint16_t to_half(float f) { return emulation::float_to_half(f); }
float from_half(uint16_t h) { return emulation::half_to_float(h); }
double relative(const std::vector<float> &y, const std::vector<double> &expected, double size = 0) {
    double error = 0, squares = 0;
    for (size_t i = 0; i < y.size(); i++) {
        error += (y[i] - expected[i]) * (y[i] - expected[i]);
        squares += expected[i] * expected[i];
    }
    size = size == 0 ? squares : size;
    return std::isfinite(error) ? sqrt(error / std::max(size, 1e-300)) : INFINITY;
}

/*
 * Runs the tests as the arguments say: on the emulation forwards with all sizes, then backwards and in a random order with the
 * small ones. The exit code of the program.
 */
int run_tests(int argc, char **argv, const std::vector<std::pair<const char *, void (*)()>> &tests) {
    setvbuf(stdout, nullptr, _IOLBF, 0);
    for (int i = 1; i < argc; i++) {
        brief = brief || strcmp(argv[i], "--short") == 0;
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            random_bits.seed(strtoull(argv[++i], nullptr, 10));
        }
    }
#ifdef GOSSET_ON_DEVICE
    char name[256];
    int64_t facts[GOSSET_DEVICE_FACTS];
    int32_t count = 0;
    if (gosset_device_count(&count) != GOSSET_OK || gosset_device_describe(0, name, sizeof name, facts) != GOSSET_OK) {
        printf("no device to test on: %s\n", gosset_last_error());
        return 2;
    }
    int64_t free_before = 0, free_after = 0, total = 0;
    OK(gosset_memory_info(&free_before, &total));
    printf("%s, compute capability %lld.%lld, driver %lld\n", name, static_cast<long long>(facts[0]),
           static_cast<long long>(facts[1]), static_cast<long long>(facts[GOSSET_DEVICE_DRIVER]));
    const std::vector<int> orders = {0};
#else
    const std::vector<int> orders = {0, 1, 7};
#endif
    bool all_sizes = !brief;
    /* Forwards with all sizes, then backwards and in a random order with the small ones. */
    for (int order : orders) {
        brief = order != 0 || !all_sizes;
        printf("threads in order %d\n", order);
        for (auto &[name, test] : tests) {
            gosset_emulation_order(order);
            int before = failures;
            test();
            printf("%s %s\n", failures == before ? "ok    " : "FAILED", name);
#ifndef GOSSET_ON_DEVICE
            CHECK(gosset_emulation_live() == 0, "%lld objects are still alive", static_cast<long long>(gosset_emulation_live()));
#endif
        }
    }
#ifdef GOSSET_ON_DEVICE
    /* The first launches of each kernel make the runtime load code, which stays; a leak of a test is seen by the sanitizer. */
    OK(gosset_memory_info(&free_after, &total));
    printf("free device memory %lld bytes before, %lld after\n", static_cast<long long>(free_before),
           static_cast<long long>(free_after));
#endif
    printf(failures == 0 ? "all native tests passed\n" : "%d failures\n", failures);
    return failures == 0 ? 0 : 1;
}

}  // namespace

#endif
