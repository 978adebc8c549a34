/*
 * What of cuBLAS Gosset calls, in plain loops over host memory, for tests together with the emulation. Column-major like
 * the original; sums are in double. Signatures as in cublas_api.h, written down here because NVIDIA's headers are not
 * part of the repository. A call with an argument that cuBLAS refuses returns CUBLAS_STATUS_INVALID_VALUE.
 */
#include <cstdint>
#include <cstdlib>

#include "emulation.h"

#define STANDIN extern "C" __attribute__((visibility("default"))) int

namespace {

constexpr int kOk = 0, kNotInitialized = 1, kInvalid = 7, kNotSupported = 15;
constexpr int kHalf = 2, kFloat = 0, kCompute32F = 68;

struct Handle {
    void *stream;
};

double get(const void *a, int type, int64_t i) {
    return type == kHalf ? __half2float(static_cast<const __half *>(a)[i]) : static_cast<const float *>(a)[i];
}
void set(void *a, int type, int64_t i, double v) {
    if (type == kHalf) {
        static_cast<__half *>(a)[i] = __float2half_rn(static_cast<float>(v));
    } else {
        static_cast<float *>(a)[i] = static_cast<float>(v);
    }
}

template <class T>
int syrk(void *handle, int uplo, int trans, int n, int k, const T *alpha, const T *a, int lda, const T *beta, T *c,
         int ldc) {
    if (handle == nullptr) {
        return kNotInitialized;
    }
    if (n < 0 || k < 0 || lda < (trans ? k : n) || ldc < n || trans < 0 || trans > 1 || uplo < 0 || uplo > 1) {
        return kInvalid;
    }
    for (int64_t j = 0; j < n; j++) {
        for (int64_t i = uplo == 0 ? j : 0; i < (uplo == 0 ? n : j + 1); i++) {
            double sum = 0;
            for (int64_t l = 0; l < k; l++) {
                sum += trans ? static_cast<double>(a[l + i * lda]) * a[l + j * lda]
                             : static_cast<double>(a[i + l * lda]) * a[j + l * lda];
            }
            T &out = c[i + j * ldc];
            out = static_cast<T>(*alpha * sum + (*beta == 0 ? 0 : *beta * out));
        }
    }
    return kOk;
}

}  // namespace

STANDIN cublasCreate_v2(void **handle) {
    *handle = new Handle{nullptr};
    return kOk;
}
STANDIN cublasDestroy_v2(void *handle) {
    delete static_cast<Handle *>(handle);
    return kOk;
}
STANDIN cublasGetVersion_v2(void *, int *version) {
    *version = 0;
    return kOk;
}
STANDIN cublasSetStream_v2(void *handle, void *stream) {
    if (handle == nullptr) {
        return kNotInitialized;
    }
    static_cast<Handle *>(handle)->stream = stream;
    return kOk;
}
STANDIN cublasSetWorkspace_v2(void *handle, void *, size_t) { return handle == nullptr ? kNotInitialized : kOk; }
extern "C" __attribute__((visibility("default"))) const char *cublasGetStatusString(int status) {
    switch (status) {
        case kOk: return "the library was initialized";
        case kNotInitialized: return "the library was not initialized";
        case kInvalid: return "an unsupported value or parameter was passed to the function";
        default: return "the functionality requested is not supported";
    }
}

STANDIN cublasGemmEx(void *handle, int ta, int tb, int m, int n, int k, const void *alpha, const void *a, int at,
                     int lda, const void *b, int bt, int ldb, const void *beta, void *c, int ct, int ldc, int compute,
                     int) {
    if (handle == nullptr) {
        return kNotInitialized;
    }
    if (m < 0 || n < 0 || k < 0 || lda < (ta ? k : m) || ldb < (tb ? n : k) || ldc < m || ta < 0 || ta > 1 || tb < 0 ||
        tb > 1) {
        return kInvalid;
    }
    if (compute != kCompute32F || at != bt || (at != kHalf && at != kFloat) || (ct != kHalf && ct != kFloat)) {
        return kNotSupported;
    }
    float alpha_value = *static_cast<const float *>(alpha), beta_value = *static_cast<const float *>(beta);
    for (int64_t j = 0; j < n; j++) {
        for (int64_t i = 0; i < m; i++) {
            double sum = 0;
            for (int64_t l = 0; l < k; l++) {
                sum += get(a, at, ta ? l + i * lda : i + l * lda) * get(b, bt, tb ? j + l * ldb : l + j * ldb);
            }
            double old = beta_value == 0 ? 0 : beta_value * get(c, ct, i + j * ldc);
            set(c, ct, i + j * ldc, alpha_value * sum + old);
        }
    }
    return kOk;
}
STANDIN cublasGemmStridedBatchedEx(void *handle, int ta, int tb, int m, int n, int k, const void *alpha, const void *a,
                                   int at, int lda, long long stride_a, const void *b, int bt, int ldb,
                                   long long stride_b, const void *beta, void *c, int ct, int ldc, long long stride_c,
                                   int batches, int compute, int algorithm) {
    auto bytes = [](int type, long long elements) { return elements * (type == kHalf ? 2 : 4); };
    if (batches < 0) {
        return kInvalid;
    }
    for (long long i = 0; i < batches; i++) {
        int status = cublasGemmEx(handle, ta, tb, m, n, k, alpha, static_cast<const char *>(a) + bytes(at, i * stride_a),
                                  at, lda, static_cast<const char *>(b) + bytes(bt, i * stride_b), bt, ldb, beta,
                                  static_cast<char *>(c) + bytes(ct, i * stride_c), ct, ldc, compute, algorithm);
        if (status != kOk) {
            return status;
        }
    }
    return kOk;
}
STANDIN cublasSgemm_v2(void *handle, int ta, int tb, int m, int n, int k, const float *alpha, const float *a, int lda,
                       const float *b, int ldb, const float *beta, float *c, int ldc) {
    return cublasGemmEx(handle, ta, tb, m, n, k, alpha, a, kFloat, lda, b, kFloat, ldb, beta, c, kFloat, ldc,
                        kCompute32F, -1);
}
STANDIN cublasSsyrk_v2(void *handle, int uplo, int trans, int n, int k, const float *alpha, const float *a, int lda,
                       const float *beta, float *c, int ldc) {
    return syrk(handle, uplo, trans, n, k, alpha, a, lda, beta, c, ldc);
}
STANDIN cublasDsyrk_v2(void *handle, int uplo, int trans, int n, int k, const double *alpha, const double *a, int lda,
                       const double *beta, double *c, int ldc) {
    return syrk(handle, uplo, trans, n, k, alpha, a, lda, beta, c, ldc);
}
STANDIN cublasStrsm_v2(void *handle, int side, int uplo, int trans, int diag, int m, int n, const float *alpha,
                       const float *a, int lda, float *b, int ldb) {
    if (handle == nullptr) {
        return kNotInitialized;
    }
    int order = side == 0 ? m : n;
    if (m < 0 || n < 0 || lda < order || ldb < m || side < 0 || side > 1 || trans < 0 || trans > 1) {
        return kInvalid;
    }
    /* op(A) X = alpha B, or X op(A) = alpha B, which is op(A)^T X^T = alpha B^T. */
    bool flip = (trans == 1) != (side == 1);
    bool lower = (uplo == 0) != flip;
    auto entry = [&](int64_t i, int64_t j) { return static_cast<double>(flip ? a[j + i * lda] : a[i + j * lda]); };
    int64_t others = side == 0 ? n : m;
    for (int64_t v = 0; v < others; v++) {
        auto at = [&](int64_t i) -> float & { return side == 0 ? b[i + v * ldb] : b[v + i * ldb]; };
        for (int64_t s = 0; s < order; s++) {
            int64_t i = lower ? s : order - 1 - s;
            double sum = static_cast<double>(*alpha) * at(i);
            for (int64_t j = lower ? 0 : i + 1; j < (lower ? i : order); j++) {
                sum -= entry(i, j) * at(j);
            }
            at(i) = static_cast<float>(diag == 1 ? sum : sum / entry(i, i));
        }
    }
    return kOk;
}
