/*
 * What the functions of the C ABI share: how they fail, how they read their arguments.
 */
#ifndef GOSSET_STATUS_H
#define GOSSET_STATUS_H

#define GOSSET_BUILD
#include "gosset_cuda.h"

#include "../kernels/kernels.h"

namespace gosset {

/* Remembers a failure of the calling thread and returns its status. */
int32_t fail(int32_t status, int32_t code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The status of a call of the CUDA runtime, remembered where it failed. */
int32_t checked(cudaError_t e, const char *operation);

int32_t current_limits(Limits *limits);

#define REQUIRE(condition, ...)                                                                                        \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            return fail(GOSSET_INVALID_ARGUMENT, 0, __VA_ARGS__);                                                      \
        }                                                                                                              \
    } while (0)

template <class T>
T *pointer(gosset_address a) {
    return reinterpret_cast<T *>(static_cast<uintptr_t>(a));
}

inline cudaStream_t native(gosset_stream *s) { return reinterpret_cast<cudaStream_t>(s); }
inline cudaEvent_t native(gosset_event *e) { return reinterpret_cast<cudaEvent_t>(e); }

inline bool aligned(gosset_address a) { return a != 0 && a % 16 == 0; }
inline bool aligned_or_none(gosset_address a) { return a % 16 == 0; }

/* The largest size for which every index of ours stays within int. */
constexpr int kLargest = 1 << 28;

}  // namespace gosset

#endif
