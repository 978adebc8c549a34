/*
 * The launchers behind the C ABI, one group per kernel family. They check nothing: runtime/ has done that. Each returns
 * the CUDA runtime's code of the launch. Shapes and layouts are those of gosset_cuda.h.
 */
#ifndef GOSSET_KERNELS_H
#define GOSSET_KERNELS_H

#include <cstdint>

#include "platform.h"

namespace gosset {

/* What of the current device launchers ask for. */
struct Limits {
    int multiprocessors;
    int shared_bytes;
    /* Major number of the compute capability. */
    int major;
};

struct SmallMatrix {
    int kind;
    int k;
    const void *data;
};

/* transform.cu */
constexpr int kOneBlockTransform = 24576;
cudaError_t transform(const void *x, int x_type, void *out, int out_type, int n, SmallMatrix small, int rows,
                      bool transpose, const float *pre, const float *post, float scale, float *work,
                      cudaStream_t stream);
cudaError_t convert(const void *x, int x_type, void *out, int out_type, int64_t count, cudaStream_t stream);

/* pack.cu */
cudaError_t pack(int bits, int m, int n, const void *codes, void *packed, cudaStream_t stream);
cudaError_t codes_to_planes(int bits, int m, int n, const int32_t *codes, void *planes, cudaStream_t stream);
cudaError_t decode(int bits, int m, int n, const void *packed, int first_row, int rows, float residual_scale,
                   __half *out, cudaStream_t stream);

/* matvec.cu */
cudaError_t matvec(int bits, int m, int n, int batch, const void *packed, const void *activations, const float *scale,
                   float residual_scale, float *y, const Limits &limits, cudaStream_t stream);

/* between.cu */
struct Between {
    int kind;
    const float *z;
    int m;
    SmallMatrix m_small;
    const float *post;
    float *residual;
    const float *weight;
    float epsilon;
    int n;
    SmallMatrix n_small;
    const float *pre;
    int batch;
    void *activations;
    float *scale;
};
/* How it runs here: one block per vector, or a cluster of them; needed is the shared memory of a block in bytes. */
struct BetweenPlan {
    int blocks;
    int64_t needed;
    /* The most that any plan on this device needs: what the kernels are allowed, since that belongs to them and not to a launch. */
    int most;
};
/* The plan for this device; more than limits.shared_bytes are needed where there is none. */
BetweenPlan plan_between(const Between &b, const Limits &limits);
cudaError_t between(const Between &b, const BetweenPlan &plan, cudaStream_t stream);
cudaError_t quantize_activations(const float *x, int n, int batch, void *activations, float *scale,
                                 cudaStream_t stream);

/* rounding.cu */
cudaError_t nearest(int bits, const float *x, int count, float residual_scale, float *values, int32_t *codes,
                    cudaStream_t stream);
cudaError_t ldlq_group(int bits, int m, int n, int start, int width, const float *x, const float *matrix,
                       const float *base, float *error, float residual_scale, int32_t *codes, cudaStream_t stream);
cudaError_t cholesky_block(float *a, int n, int at, int width, int32_t *failure, cudaStream_t stream);
cudaError_t block_ldl(float *c, int n, cudaStream_t stream);
cudaError_t greedy_matrix(const float *h, float *out, int n, int32_t *failure, cudaStream_t stream);

/* statistics.cu */
cudaError_t dot(const float *x, const float *y, int64_t count, int blocks, double *parts, cudaStream_t stream);
cudaError_t column_sums(const float *x, int rows, int n, double *sums, cudaStream_t stream);
cudaError_t transpose(const float *x, int rows, int columns, float *out, cudaStream_t stream);

/* decoder.cu */
/* Positions of a block of the key-value cache, a power of two. */
constexpr int kCacheBlock = 64;
constexpr int kMaxHeads = 4096;
constexpr int kMaxDim = 256;
cudaError_t embed(const void *table, int table_type, int vocabulary, int n, const int32_t *tokens,
                  const int32_t *positions, int rows, float *out, cudaStream_t stream);
cudaError_t residual_norm(float *residual, const float *h, const float *weight, float epsilon, int n, int rows,
                          void *out, int out_type, cudaStream_t stream);
cudaError_t gate(const float *h, int n, int rows, void *out, int out_type, cudaStream_t stream);
cudaError_t add_bias(float *x, const float *bias, int n, int rows, cudaStream_t stream);
struct RotateStore {
    const float *qkv;
    const float *bias;
    const float *q_norm;
    const float *k_norm;
    float epsilon;
    const float *angles;
    const int32_t *sequences;
    const int32_t *positions;
    const int32_t *tables;
    int rows;
    int heads;
    int kv_heads;
    int dim;
    int capacity;
    void *queries;
    int query_type;
    __half *keys;
    __half *values;
};
cudaError_t rotate_store(const RotateStore &r, cudaStream_t stream);
cudaError_t collect(const __half *cache, const int32_t *table, int kv_heads, int dim, int from, int count,
                    int64_t step, __half *out, cudaStream_t stream);

/* attention.cu */
constexpr int kMaxSplits = 256;
/* One counter per row and group of query heads, at the beginning of the work buffer. */
constexpr int kAttentionCounters = 4096;
struct Attention {
    const float *queries;
    const __half *keys;
    const __half *values;
    const int32_t *sequences;
    const int32_t *positions;
    const int32_t *tables;
    int rows;
    int heads;
    int kv_heads;
    int dim;
    int capacity;
    int window;
    float scale;
    int splits;
    unsigned *work;
    float *out;
};
int64_t attention_work_bytes(int rows, int heads, int dim, int splits);
int attention_splits(int heads, int kv_heads, int visible, const Limits &limits);
cudaError_t attention(const Attention &a, cudaStream_t stream);
cudaError_t causal_softmax(const float *scores, __half *probabilities, int planes, int rows, int columns, int stride,
                           int first, int window, float scale, cudaStream_t stream);

/* dense.cu */
struct Dense {
    int type;
    int m;
    int n;
    int rows;
    const void *w;
    const float *scales;
    const float *bias;
    const float *x;
    float *y;
};
cudaError_t dense(const Dense &d, const Limits &limits, cudaStream_t stream);
/* dense_batch.cu: 16-bit and int8 weights, and rows of W made of whole 16-byte pieces. */
bool takes_dense_batch(const Dense &d);
cudaError_t dense_batch(const Dense &d, const Limits &limits, cudaStream_t stream);
cudaError_t quantize_rows(const void *w, int type, int m, int n, int8_t *out, float *scales, cudaStream_t stream);

/* sampling.cu */
constexpr int kMaxVocabulary = 1 << 19;
/* GOSSET_SAMPLING_BYTES bytes. */
struct SampleSettings {
    double temperature;
    double top_p;
    uint64_t seed;
    int32_t top_k;
    int32_t first;
    int32_t limit;
    int32_t unused;
};
struct Sample {
    const float *logits;
    int vocabulary;
    int rows;
    const SampleSettings *settings;
    const int32_t *end_tokens;
    int end_count;
    int capacity;
    int32_t *tokens;
    int32_t *positions;
    int32_t *history;
    void *work;
};
int64_t sample_work_bytes(int vocabulary, int rows);
cudaError_t sample(const Sample &s, cudaStream_t stream);

}  // namespace gosset

#endif
