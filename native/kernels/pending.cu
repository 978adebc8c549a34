#include "kernels.h"
namespace gosset {
cudaError_t embed(const void *, int, int, int, const int32_t *, const int32_t *, int, float *, cudaStream_t) { return cudaErrorNotSupported; }
cudaError_t residual_norm(float *, const float *, const float *, float, int, int, void *, int, cudaStream_t) { return cudaErrorNotSupported; }
cudaError_t gate(const float *, int, int, void *, int, cudaStream_t) { return cudaErrorNotSupported; }
cudaError_t add_bias(float *, const float *, int, int, cudaStream_t) { return cudaErrorNotSupported; }
cudaError_t rotate_store(const RotateStore &, cudaStream_t) { return cudaErrorNotSupported; }
int64_t attention_work_bytes(int rows, int heads, int dim, int splits) { return 16384 + 4LL * rows * heads * splits * (dim + 2); }
int attention_splits(int, int, int, int, const Limits &) { return 1; }
cudaError_t attention(const Attention &, cudaStream_t) { return cudaErrorNotSupported; }
cudaError_t causal_softmax(const float *, __half *, int, int, int, int, int, int, float, cudaStream_t) { return cudaErrorNotSupported; }
cudaError_t dense(const Dense &, const Limits &, cudaStream_t) { return cudaErrorNotSupported; }
cudaError_t quantize_rows(const void *, int, int, int, int8_t *, float *, cudaStream_t) { return cudaErrorNotSupported; }
int64_t sample_work_bytes(int vocabulary, int rows) { return 65536LL * rows + vocabulary; }
cudaError_t sample(const Sample &, cudaStream_t) { return cudaErrorNotSupported; }
}
