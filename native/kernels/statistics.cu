/*
 * What quantizing needs beside products and searches: inner products and column sums in float64, whose order of additions
 * is fixed, and transposition, by which the transform reaches columns.
 */
#include "kernels.h"

namespace gosset {

namespace {

constexpr int kThreads = 256;
/* A tile of a transposition; a row of shared memory is one longer, so that columns meet different banks. */
constexpr int kTile = 32;
constexpr int kTileRows = 8;
constexpr int kSumRows = 8;

__global__ void __launch_bounds__(kThreads)
    dot_kernel(const float *__restrict__ x, const float *__restrict__ y, int64_t count, double *__restrict__ parts) {
    GOSSET_SHARED(double, box);
    double sum = 0;
    int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
    for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride) {
        sum += static_cast<double>(x[i]) * static_cast<double>(y[i]);
    }
    int thread = static_cast<int>(threadIdx.x);
    box[thread] = sum;
    __syncthreads();
    for (int half = kThreads / 2; half > 0; half /= 2) {
        if (thread < half) {
            box[thread] += box[thread + half];
        }
        __syncthreads();
    }
    if (thread == 0) {
        parts[blockIdx.x] = box[0];
    }
}

/* 32 columns per block, 8 threads for each, which add up every eighth row. */
__global__ void __launch_bounds__(kThreads)
    column_sums_kernel(const float *__restrict__ x, int rows, int n, double *__restrict__ sums) {
    GOSSET_SHARED(double, box);
    int lane = static_cast<int>(threadIdx.x) % kTile, turn = static_cast<int>(threadIdx.x) / kTile;
    int column = static_cast<int>(blockIdx.x) * kTile + lane;
    double sum = 0;
    for (int row = turn; column < n && row < rows; row += kSumRows) {
        sum += static_cast<double>(x[static_cast<int64_t>(row) * n + column]);
    }
    box[threadIdx.x] = sum;
    __syncthreads();
    if (turn == 0 && column < n) {
        for (int other = 1; other < kSumRows; other++) {
            sum += box[other * kTile + lane];
        }
        sums[column] += sum;
    }
}

__global__ void __launch_bounds__(kThreads)
    transpose_kernel(const float *__restrict__ x, int rows, int columns, int tiles_across, float *__restrict__ out) {
    GOSSET_SHARED(float, tile);
    int lane = static_cast<int>(threadIdx.x) % kTile, turn = static_cast<int>(threadIdx.x) / kTile;
    int column = static_cast<int>(blockIdx.x) % tiles_across * kTile, row = static_cast<int>(blockIdx.x) / tiles_across * kTile;
    for (int i = turn; i < kTile; i += kTileRows) {
        if (row + i < rows && column + lane < columns) {
            tile[i * (kTile + 1) + lane] = x[static_cast<int64_t>(row + i) * columns + column + lane];
        }
    }
    __syncthreads();
    for (int i = turn; i < kTile; i += kTileRows) {
        if (column + i < columns && row + lane < rows) {
            out[static_cast<int64_t>(column + i) * rows + row + lane] = tile[lane * (kTile + 1) + i];
        }
    }
}

int tiles(int count) { return (count + kTile - 1) / kTile; }

}  // namespace

cudaError_t dot(const float *x, const float *y, int64_t count, int blocks, double *parts, cudaStream_t stream) {
    GOSSET_LAUNCH(dot_kernel, blocks, kThreads, sizeof(double) * kThreads, stream, x, y, count, parts);
    return cudaGetLastError();
}

cudaError_t column_sums(const float *x, int rows, int n, double *sums, cudaStream_t stream) {
    GOSSET_LAUNCH(column_sums_kernel, tiles(n), kThreads, sizeof(double) * kThreads, stream, x, rows, n, sums);
    return cudaGetLastError();
}

cudaError_t transpose(const float *x, int rows, int columns, float *out, cudaStream_t stream) {
    int across = tiles(columns);
    GOSSET_LAUNCH(transpose_kernel, tiles(rows) * across, kThreads, sizeof(float) * kTile * (kTile + 1), stream, x, rows,
                  columns, across, out);
    return cudaGetLastError();
}

}  // namespace gosset
