/*
 * Quantization: the search for the nearest codebook point, the column loop of LDLQ around it, and the small dense steps
 * (a Cholesky factor of a diagonal block, block LDL, the matrix of a greedy pass) whose large parts are cuBLAS's.
 *
 * The search is exact as in dev.gosset.core.codebook: for each of two shifts and each of 256 rows of magnitudes the best
 * signs are known, so that 512 candidates decide among 65536 points. Eight lanes share a vector.
 */
#include "codebook.h"
#include "kernels.h"

namespace gosset {

namespace {

constexpr int kGroup = 8;
constexpr int kThreads = 256;
constexpr int kVectors = kThreads / kGroup;

struct SearchTables {
    float magnitude[kE8pRows][8];
    float magnitude_norm[kE8pRows];
    uint32_t parity[8];
    float point[256][8];
    float point_norm[256];
};
/* Where the residual is not E81B, its tables are left out. */
constexpr int kE8pTableBytes = 4 * (256 * 8 + 256 + 8);

GOSSET_DEVICE void load_tables(SearchTables *t, int bits) {
    for (int i = threadIdx.x; i < 256; i += blockDim.x) {
        for (int c = 0; c < 8; c++) {
            t->magnitude[i][c] = codebook_tables.magnitude[i][c];
            if (bits == 3) {
                t->point[i][c] = codebook_tables.point[i][c];
            }
        }
        t->magnitude_norm[i] = codebook_tables.magnitude_norm[i];
        if (bits == 3) {
            t->point_norm[i] = codebook_tables.point_norm[i];
        }
        if (i < 8) {
            t->parity[i] = codebook_tables.parity[i];
        }
    }
    __syncthreads();
}

/* The greatest score of the eight lanes that share a vector and its row, the lowest of equals; the same in all eight. */
GOSSET_DEVICE void best_of_group(float &score, int &row) {
    for (int step = 1; step < kGroup; step *= 2) {
        float other = __shfl_xor_sync(kWarp, score, step);
        int other_row = __shfl_xor_sync(kWarp, row, step);
        if (other > score || (other == score && other_row < row)) {
            score = other;
            row = other_row;
        }
    }
}

GOSSET_DEVICE int row_parity(const SearchTables *t, int a) { return static_cast<int>(t->parity[a / 32] >> a % 32 & 1); }

/* The least product |x_c - shift| a_c, the price of one wrong sign, and where it is. */
GOSSET_DEVICE float least_product(const float (&w)[8], const float *a, int &where) {
    float least = w[0] * a[0];
    where = 0;
    for (int c = 1; c < 8; c++) {
        float product = w[c] * a[c];
        if (product < least) {
            least = product;
            where = c;
        }
    }
    return least;
}

struct Candidate {
    float distance;
    int row, flipped;
};

GOSSET_DEVICE Candidate search_shift(const SearchTables *t, const float (&x)[8], float shift, int part) {
    float w[8], square = 0;
    int negatives = 0;
    for (int c = 0; c < 8; c++) {
        float d = x[c] - shift;
        negatives ^= d < 0 ? 1 : 0;
        w[c] = fabsf(d);
        square += d * d;
    }
    float best = -INFINITY;
    int row = part;
    for (int a = part; a < kE8pRows; a += kGroup) {
        const float *m = t->magnitude[a];
        float dot = 0;
        for (int c = 0; c < 8; c++) {
            dot += w[c] * m[c];
        }
        float score = 2 * dot - t->magnitude_norm[a];
        if (score > best && row_parity(t, a) != negatives) {
            int where;
            score -= 4 * least_product(w, m, where);
        }
        if (score > best) {
            best = score;
            row = a;
        }
    }
    best_of_group(best, row);
    int flipped = -1;
    if (row_parity(t, row) != negatives) {
        least_product(w, t->magnitude[row], flipped);
    }
    return {square - best, row, flipped};
}

/* The E8P code of x, and its point; part is this lane's number among the eight. */
GOSSET_DEVICE int nearest_e8p(const SearchTables *t, const float (&x)[8], int part, float (&point)[8]) {
    Candidate odd = search_shift(t, x, -0.25f, part);
    Candidate even = search_shift(t, x, 0.25f, part);
    bool is_odd = odd.distance < even.distance;
    float shift = is_odd ? -0.25f : 0.25f;
    int row = is_odd ? odd.row : even.row, flipped = is_odd ? odd.flipped : even.flipped;
    int b = 0;
    for (int k = 0; k < 8; k++) {
        int c = coordinate_of(k);
        bool negative = (x[c] - shift < 0) != (c == flipped);
        b |= (negative ? 1 : 0) << k;
        float v = t->magnitude[row][c];
        point[c] = (negative ? -v : v) + shift;
    }
    b ^= row_parity(t, row) << 7 ^ (is_odd ? 1 : 0);
    return row << 8 | b;
}

GOSSET_DEVICE int nearest_e81b(const SearchTables *t, const float (&x)[8], int part, float (&point)[8]) {
    float best = -INFINITY;
    int code = part;
    for (int a = part; a < 256; a += kGroup) {
        float dot = 0;
        for (int c = 0; c < 8; c++) {
            dot += x[c] * t->point[a][c];
        }
        float score = 2 * dot - t->point_norm[a];
        if (score > best) {
            best = score;
            code = a;
        }
    }
    best_of_group(best, code);
    for (int c = 0; c < 8; c++) {
        point[c] = t->point[code][c];
    }
    return code;
}

GOSSET_DEVICE int nearest_code(const SearchTables *t, int bits, const float (&x)[8], float residual_scale, int part,
                               float (&value)[8]) {
    int code = nearest_e8p(t, x, part, value);
    if (bits > 2) {
        float rest[8], point[8];
        for (int c = 0; c < 8; c++) {
            rest[c] = (x[c] - value[c]) * residual_scale;
        }
        int second = bits == 3 ? nearest_e81b(t, rest, part, point) : nearest_e8p(t, rest, part, point);
        for (int c = 0; c < 8; c++) {
            value[c] += point[c] / residual_scale;
        }
        code = static_cast<int>(static_cast<uint32_t>(code) << 16 | static_cast<uint32_t>(second));
    }
    return code;
}

/* v[i] with a run-time i, without an array in local memory. */
GOSSET_DEVICE float pick(const float (&v)[8], int i) {
    float r = v[0];
    for (int c = 1; c < 8; c++) {
        r = i == c ? v[c] : r;
    }
    return r;
}

__global__ void __launch_bounds__(kThreads)
    nearest_kernel(int bits, const float *__restrict__ x, int count, float residual_scale, float *__restrict__ values,
                   int32_t *__restrict__ codes) {
    GOSSET_SHARED(SearchTables, t);
    load_tables(t, bits);
    int part = static_cast<int>(threadIdx.x) % kGroup;
    int64_t vector = static_cast<int64_t>(blockIdx.x) * kVectors + threadIdx.x / kGroup;
    /* Lanes beyond the end go along, because a warp decides together. */
    int64_t from = vector < count ? vector : count - 1;
    float v[8], value[8];
    for (int c = 0; c < 8; c++) {
        v[c] = x[8 * from + c];
    }
    int code = nearest_code(t, bits, v, residual_scale, part, value);
    if (vector < count) {
        values[8 * vector + part] = pick(value, part);
        if (part == 0) {
            codes[vector] = code;
        }
    }
}

constexpr int kWidth = 128;
constexpr int kChangeStride = kWidth + 4;

/*
 * kVectors rows per block; lane `part` of a row's eight owns column `part` of every block of 8. Shared memory: the
 * tables, the changes of the rows, and the slice of the matrix that one block of columns needs.
 */
__global__ void __launch_bounds__(kThreads)
    ldlq_kernel(int bits, int m, int n, int start, int width, const float *__restrict__ x,
                const float *__restrict__ matrix, const float *__restrict__ base, float *__restrict__ error,
                float residual_scale, int32_t *__restrict__ codes, int table_bytes) {
    GOSSET_SHARED(unsigned char, shared);
    SearchTables *t = reinterpret_cast<SearchTables *>(shared);
    float *changes = reinterpret_cast<float *>(shared + table_bytes);
    float *slice = changes + kVectors * kChangeStride;
    load_tables(t, bits);
    int part = static_cast<int>(threadIdx.x) % kGroup, mine = static_cast<int>(threadIdx.x) / kGroup;
    int row = static_cast<int>(blockIdx.x) * kVectors + mine;
    bool live = row < m;
    int64_t from = live ? row : m - 1;
    float *change = changes + mine * kChangeStride;
    for (int local = width - 8; local >= 0; local -= 8) {
        int k = start + local, done = width - local - 8;
        __syncthreads();
        for (int i = threadIdx.x; i < done * 8; i += blockDim.x) {
            slice[i] = matrix[static_cast<int64_t>(k + 8 + i / 8) * n + k + i % 8];
        }
        __syncthreads();
        float target = x[from * n + k + part] + (base == nullptr ? 0.0f : base[from * width + local + part]);
        for (int d = 0; d < done; d++) {
            target += change[local + 8 + d] * slice[8 * d + part];
        }
        float v[8], value[8];
        int first = static_cast<int>(threadIdx.x) % kLanes / kGroup * kGroup;
        for (int c = 0; c < 8; c++) {
            v[c] = __shfl_sync(kWarp, target, first + c);
        }
        int code = nearest_code(t, bits, v, residual_scale, part, value);
        int64_t at = from * n + k + part;
        float now = x[at] - pick(value, part);
        change[local + part] = now - error[at];
        /* The eight lanes of a row read each other's changes in the next block; it begins with a barrier. */
        if (live) {
            error[at] = now;
            if (part == 0 && codes != nullptr) {
                codes[static_cast<int64_t>(row) * (n / 8) + k / 8] = code;
            }
        }
    }
}

constexpr int kCholeskyWidth = 64;

/* One thread per row. */
__global__ void __launch_bounds__(kCholeskyWidth)
    cholesky_kernel(float *__restrict__ a, int n, int at, int width, int32_t *__restrict__ failure) {
    GOSSET_SHARED(float, s);
    constexpr int kStride = kCholeskyWidth + 1;
    int i = static_cast<int>(threadIdx.x);
    float *block = a + static_cast<int64_t>(at) * n + at;
    if (i < width) {
        for (int j = 0; j <= i; j++) {
            s[i * kStride + j] = block[static_cast<int64_t>(i) * n + j];
        }
    }
    bool good = true;
    for (int j = 0; j < width; j++) {
        __syncthreads();
        float pivot = s[j * kStride + j];
        if (good && !(pivot > 0 && pivot < INFINITY)) {
            good = false;
            if (i == 0) {
                *failure = at + j + 1;
            }
        }
        float root = sqrtf(pivot);
        __syncthreads();
        if (i == j) {
            s[j * kStride + j] = root;
        } else if (i > j && i < width) {
            s[i * kStride + j] /= root;
        }
        __syncthreads();
        if (i > j && i < width) {
            float left = s[i * kStride + j];
            for (int c = j + 1; c <= i; c++) {
                s[i * kStride + c] -= left * s[c * kStride + j];
            }
        }
    }
    if (good && i < width) {
        for (int j = 0; j <= i; j++) {
            block[static_cast<int64_t>(i) * n + j] = s[i * kStride + j];
        }
    }
}

/* row <- row B^-1 for the lower triangular 8 x 8 matrix B. */
GOSSET_DEVICE void solve_lower(float (&row)[8], const float *b) {
    for (int j = 7; j >= 0; j--) {
        float v = row[j];
        for (int i = j + 1; i < 8; i++) {
            v -= row[i] * b[8 * i + j];
        }
        row[j] = v / b[8 * j + j];
    }
}

/* A block of columns per block of threads. */
__global__ void __launch_bounds__(kThreads) block_ldl_kernel(float *__restrict__ c, int n) {
    GOSSET_SHARED(float, b);
    int k = 8 * static_cast<int>(blockIdx.x);
    if (threadIdx.x < 64) {
        b[threadIdx.x] = c[static_cast<int64_t>(k + threadIdx.x / 8) * n + k + threadIdx.x % 8];
    }
    __syncthreads();
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        float *at = c + static_cast<int64_t>(i) * n + k;
        float row[8];
        for (int j = 0; j < 8; j++) {
            row[j] = i < k + 8 ? (i == k + j ? 1.0f : 0.0f) : at[j];
        }
        if (i >= k + 8) {
            solve_lower(row, b);
        }
        for (int j = 0; j < 8; j++) {
            at[j] = row[j];
        }
    }
}

__global__ void __launch_bounds__(kThreads)
    greedy_kernel(const float *__restrict__ h, float *__restrict__ out, int n, int32_t *__restrict__ failure) {
    GOSSET_SHARED(float, b);
    int k = 8 * static_cast<int>(blockIdx.x);
    if (threadIdx.x < 64) {
        b[threadIdx.x] = h[static_cast<int64_t>(k + threadIdx.x / 8) * n + k + threadIdx.x % 8];
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int j = 0; j < 8; j++) {
            float pivot = b[8 * j + j];
            for (int l = 0; l < j; l++) {
                pivot -= b[8 * j + l] * b[8 * j + l];
            }
            if (!(pivot > 0 && pivot < INFINITY)) {
                *failure = k + j + 1;
                pivot = 1;
            }
            pivot = sqrtf(pivot);
            b[8 * j + j] = pivot;
            for (int i = j + 1; i < 8; i++) {
                float v = b[8 * i + j];
                for (int l = 0; l < j; l++) {
                    v -= b[8 * i + l] * b[8 * j + l];
                }
                b[8 * i + j] = v / pivot;
            }
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        const float *from = h + static_cast<int64_t>(i) * n + k;
        float *to = out + static_cast<int64_t>(i) * n + k;
        float row[8];
        for (int j = 0; j < 8; j++) {
            row[j] = from[j];
        }
        /* H_kk^-1 = B^-T B^-1: first from the right with the inverse of B^T, an upper triangular matrix. */
        for (int j = 0; j < 8; j++) {
            float v = row[j];
            for (int l = 0; l < j; l++) {
                v -= row[l] * b[8 * j + l];
            }
            row[j] = v / b[8 * j + j];
        }
        solve_lower(row, b);
        for (int j = 0; j < 8; j++) {
            to[j] = i >= k && i < k + 8 ? 0.0f : row[j];
        }
    }
}

int table_bytes(int bits) { return bits == 3 ? static_cast<int>(sizeof(SearchTables)) : kE8pTableBytes; }

}  // namespace

cudaError_t nearest(int bits, const float *x, int count, float residual_scale, float *values, int32_t *codes,
                    cudaStream_t stream) {
    unsigned grid = static_cast<unsigned>((count + int64_t{kVectors} - 1) / kVectors);
    GOSSET_LAUNCH(nearest_kernel, grid, kThreads, static_cast<size_t>(table_bytes(bits)), stream, bits, x, count,
                  residual_scale, values, codes);
    return cudaGetLastError();
}

cudaError_t ldlq_group(int bits, int m, int n, int start, int width, const float *x, const float *matrix,
                       const float *base, float *error, float residual_scale, int32_t *codes, cudaStream_t stream) {
    unsigned grid = static_cast<unsigned>((m + int64_t{kVectors} - 1) / kVectors);
    int tables = table_bytes(bits);
    size_t shared = static_cast<size_t>(tables) + 4 * (kVectors * kChangeStride + (kWidth - 8) * 8);
    GOSSET_LAUNCH(ldlq_kernel, grid, kThreads, shared, stream, bits, m, n, start, width, x, matrix, base, error,
                  residual_scale, codes, tables);
    return cudaGetLastError();
}

cudaError_t cholesky_block(float *a, int n, int at, int width, int32_t *failure, cudaStream_t stream) {
    GOSSET_LAUNCH(cholesky_kernel, 1, kCholeskyWidth, 4 * kCholeskyWidth * (kCholeskyWidth + 1), stream, a, n, at,
                  width, failure);
    return cudaGetLastError();
}

cudaError_t block_ldl(float *c, int n, cudaStream_t stream) {
    GOSSET_LAUNCH(block_ldl_kernel, static_cast<unsigned>(n / 8), kThreads, 4 * 64, stream, c, n);
    return cudaGetLastError();
}

cudaError_t greedy_matrix(const float *h, float *out, int n, int32_t *failure, cudaStream_t stream) {
    GOSSET_LAUNCH(greedy_kernel, static_cast<unsigned>(n / 8), kThreads, 4 * 64, stream, h, out, n, failure);
    return cudaGetLastError();
}

}  // namespace gosset
