/*
 * Gosset's CUDA kernels behind one C ABI. The only header of ours that jextract reads.
 *
 * Conventions, for every function that does not say otherwise:
 *  - The result is a status: GOSSET_OK or one of the codes below. Then gosset_last_error() has one line of text with the
 *    operation and the sizes, and gosset_last_native_code() the code of the CUDA runtime (0 where it was not involved).
 *    Both belong to the calling thread and stay until its next failing call.
 *  - Device memory is a gosset_address, an integer that may be added to; nothing here reads it on the host.
 *  - Work is queued on a stream and the call returns at once; NULL is the default stream. Arguments are checked before
 *    anything is queued. A fault of a kernel shows at a later synchronization.
 *  - Buffers of device memory are aligned to 16 bytes. Matrices are row-major and packed unless a stride is named.
 *  - half is IEEE binary16, float is binary32, both little-endian.
 *  - Thread-safe. The current device is a property of the calling thread (gosset_device_select).
 *
 * m is the number of outputs of a linear, n that of its inputs, bits the rate 2, 3 or 4, groups = ceil(n / 8).
 */
#ifndef GOSSET_CUDA_H
#define GOSSET_CUDA_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(GOSSET_BUILD)
#define GOSSET_API __attribute__((visibility("default")))
#else
#define GOSSET_API
#endif

/* Raised by one whenever a signature or the meaning of an argument changes. */
#define GOSSET_ABI_VERSION 3

/* Statuses. */
#define GOSSET_OK 0
#define GOSSET_INVALID_ARGUMENT 1
#define GOSSET_OUT_OF_MEMORY 2
/* No driver, a driver older than the library, or no device. */
#define GOSSET_NO_DEVICE 3
/* The arguments are right, but this device cannot: too little shared memory, too old. */
#define GOSSET_UNSUPPORTED 4
#define GOSSET_CUDA_FAILURE 5

/* Element types. */
#define GOSSET_F32 0
#define GOSSET_F16 1
/* gosset_convert only. */
#define GOSSET_F64 2
/* bfloat16, only to read from: stored tensors in gosset_convert, gosset_embed, gosset_dense and gosset_quantize_rows. */
#define GOSSET_BF16 3
/* int8 with one float scale for each row of a matrix, gosset_dense only. */
#define GOSSET_I8 4

/* Families of small matrices of a transform. */
#define GOSSET_SMALL_NONE 0
#define GOSSET_SMALL_HADAMARD 1
#define GOSSET_SMALL_HARTLEY 2

/* What stands between two linears, see gosset_between. */
#define GOSSET_BETWEEN_PLAIN 0
#define GOSSET_BETWEEN_NORM 1
#define GOSSET_BETWEEN_GATE 2

/* Positions in the array that gosset_device_describe fills. */
#define GOSSET_DEVICE_MAJOR 0
#define GOSSET_DEVICE_MINOR 1
#define GOSSET_DEVICE_MULTIPROCESSORS 2
#define GOSSET_DEVICE_MEMORY_BYTES 3
#define GOSSET_DEVICE_L2_BYTES 4
#define GOSSET_DEVICE_SHARED_BYTES 5
#define GOSSET_DEVICE_DRIVER 6
#define GOSSET_DEVICE_RUNTIME 7
#define GOSSET_DEVICE_FACTS 8

/* The most vectors that one gosset_matvec or gosset_dense multiplies. */
#define GOSSET_MAX_BATCH 16

/* Positions of a block of the key-value cache. */
#define GOSSET_CACHE_BLOCK 64

/* Bytes of one row's settings of gosset_sample. */
#define GOSSET_SAMPLING_BYTES 40

typedef uint64_t gosset_address;
typedef struct gosset_stream gosset_stream;
typedef struct gosset_event gosset_event;
typedef struct gosset_graph gosset_graph;

/* ------------------------------------------------------------------------------------------------- the library */

/* GOSSET_ABI_VERSION of the library. Never fails. */
GOSSET_API int32_t gosset_abi_version(void);

/* "cuda", or "emulation" for the build that runs the kernels on the CPU and that only tests may load. Never fails. */
GOSSET_API const char *gosset_backend(void);

/* One line about the calling thread's last failure, UTF-8, empty where there was none. Never NULL. */
GOSSET_API const char *gosset_last_error(void);

/* The CUDA runtime's code in the calling thread's last failure, or 0. */
GOSSET_API int32_t gosset_last_native_code(void);

/* ------------------------------------------------------------------------------------------------- devices */

/* Counts the devices. GOSSET_NO_DEVICE, with the reason as text and *count = 0, where there is none. */
GOSSET_API int32_t gosset_device_count(int32_t *count);

/* Makes a device the calling thread's. */
GOSSET_API int32_t gosset_device_select(int32_t device);

/* Name (at most name_bytes with the closing zero) and GOSSET_DEVICE_FACTS numbers of a device. */
GOSSET_API int32_t gosset_device_describe(int32_t device, char *name, int32_t name_bytes, int64_t *facts);

/* Waits for all work of the device. */
GOSSET_API int32_t gosset_device_synchronize(void);

/* ------------------------------------------------------------------------------------------------- memory */

/* Free and total bytes of the device. */
GOSSET_API int32_t gosset_memory_info(int64_t *free_bytes, int64_t *total_bytes);

/* Device memory, not cleared. GOSSET_OUT_OF_MEMORY names how much was asked for and how much is free. */
GOSSET_API int32_t gosset_allocate(gosset_address *address, int64_t bytes);
GOSSET_API int32_t gosset_free(gosset_address address);

/* Page-locked host memory, from which copies run at full speed and asynchronously. */
GOSSET_API int32_t gosset_host_allocate(void **address, int64_t bytes);
GOSSET_API int32_t gosset_host_free(void *address);

/* Copies. From or to pageable host memory the call waits until the host side has been read or written. */
GOSSET_API int32_t gosset_copy_to_device(gosset_address to, const void *from, int64_t bytes, gosset_stream *stream);
GOSSET_API int32_t gosset_copy_to_host(void *to, gosset_address from, int64_t bytes, gosset_stream *stream);
GOSSET_API int32_t gosset_copy_on_device(gosset_address to, gosset_address from, int64_t bytes, gosset_stream *stream);
/* Sets bytes to the low byte of value. */
GOSSET_API int32_t gosset_fill(gosset_address to, int32_t value, int64_t bytes, gosset_stream *stream);

/* ------------------------------------------------------------------------------------------------- order */

/* A gosset_stream is the runtime's cudaStream_t, so that it may be handed to cuBLAS. */
GOSSET_API int32_t gosset_stream_create(gosset_stream **stream);
GOSSET_API int32_t gosset_stream_destroy(gosset_stream *stream);
GOSSET_API int32_t gosset_stream_synchronize(gosset_stream *stream);
GOSSET_API int32_t gosset_stream_wait(gosset_stream *stream, gosset_event *event);

GOSSET_API int32_t gosset_event_create(gosset_event **event);
GOSSET_API int32_t gosset_event_destroy(gosset_event *event);
GOSSET_API int32_t gosset_event_record(gosset_event *event, gosset_stream *stream);
GOSSET_API int32_t gosset_event_synchronize(gosset_event *event);
/* Milliseconds between two recorded events that have both been reached. */
GOSSET_API int32_t gosset_event_elapsed(gosset_event *from, gosset_event *to, float *milliseconds);

/* Between begin and end, work queued on the stream is recorded and not run. */
GOSSET_API int32_t gosset_graph_begin(gosset_stream *stream);
GOSSET_API int32_t gosset_graph_end(gosset_stream *stream, gosset_graph **graph);
GOSSET_API int32_t gosset_graph_launch(gosset_graph *graph, gosset_stream *stream);
GOSSET_API int32_t gosset_graph_destroy(gosset_graph *graph);

/* ------------------------------------------------------------------------------------------------- transforms */

/*
 * out[r] = scale * post * (M (x) S) (pre * x[r]) for each of `rows` vectors of length n, S the Sylvester matrix of order
 * n / k in natural order, M the k x k small matrix, or M^T where transpose is not 0. For the orthogonal transform scale
 * is 1 / sqrt(n). Element i * (n / k) + j of a vector belongs to row i of the small matrix and column j.
 *
 * x, out    rows x n of x_type and out_type; out may be x where the types agree
 * pre, post n float values each, or 0 for none: SU before the input transform, SV after the output transform
 * small     GOSSET_SMALL_NONE: k = 1. HADAMARD: k x k int8 of +-1, row-major. HARTLEY: k floats cos + sin (2 pi i / k);
 *           entry (i, j) is number i j mod k, a symmetric matrix
 * work      gosset_transform_work(n, k, rows) bytes, or 0 where that is 0
 */
GOSSET_API int32_t gosset_transform(gosset_address x, int32_t x_type, gosset_address out, int32_t out_type, int32_t n,
                                    int32_t k, int32_t rows, int32_t small_kind, gosset_address small,
                                    int32_t transpose, gosset_address pre, gosset_address post, float scale,
                                    gosset_address work, gosset_stream *stream);

/* Bytes of work that gosset_transform needs; negative where n or k is wrong. */
GOSSET_API int64_t gosset_transform_work(int32_t n, int32_t k, int32_t rows);

/* ------------------------------------------------------------------------------------------------- products */

/* Bytes of an m x n code matrix repacked for the kernels; negative where an argument is wrong. See kernels/packing.h. */
GOSSET_API int64_t gosset_packed_bytes(int32_t bits, int32_t m, int32_t n);

/*
 * Repacks a code matrix of docs/formats.md (a plane of m x groups uint16, then for 3 bits m x groups uint8, for 4 bits
 * m x groups uint16) for the kernels. codes and packed must not overlap.
 */
GOSSET_API int32_t gosset_pack(int32_t bits, int32_t m, int32_t n, gosset_address codes, gosset_address packed,
                               gosset_stream *stream);

/* Bytes of `batch` vectors of length n as gosset_matvec reads them; negative where an argument is wrong. */
GOSSET_API int64_t gosset_activation_bytes(int32_t n, int32_t batch);

/*
 * Rounds batch vectors x (batch x n float) to 16 bits: x = scale[b] (256 hi + lo), hi and lo int8, scale[b] =
 * max|x[b]| / 32512. The error of an element is at most scale[b] / 2.
 */
GOSSET_API int32_t gosset_quantize_activations(gosset_address x, int32_t n, int32_t batch, gosset_address activations,
                                               gosset_address scale, gosset_stream *stream);

/*
 * y[b] = Q x[b]: the product of an m x n code matrix at unit scale with 1 to GOSSET_MAX_BATCH vectors that
 * gosset_quantize_activations prepared; y is batch x m float. Sums are exact integers, so that the result does not depend
 * on the order in which the device works. residual_scale is the codebook's (3 and 4 bits), else ignored.
 */
GOSSET_API int32_t gosset_matvec(int32_t bits, int32_t m, int32_t n, int32_t batch, gosset_address packed,
                                 gosset_address activations, gosset_address scale, float residual_scale,
                                 gosset_address y, gosset_stream *stream);

/*
 * Rows first_row .. first_row + rows - 1 of Q as half, rows x (8 groups), for a GEMM: q0, or half(q0 + q1 /
 * residual_scale) evaluated in float. Columns beyond n hold some codebook value: multiply them by zero.
 */
GOSSET_API int32_t gosset_decode(int32_t bits, int32_t m, int32_t n, gosset_address packed, int32_t first_row,
                                 int32_t rows, float residual_scale, gosset_address out, gosset_stream *stream);

/* Element-wise change of type; from BF16, never to it. */
GOSSET_API int32_t gosset_convert(gosset_address x, int32_t x_type, gosset_address out, int32_t out_type,
                                  int64_t count, gosset_stream *stream);

/*
 * Everything between the product of one linear and that of the next, for `batch` vectors, in one launch:
 *
 *   h = post * U_m z            where m > 0 (z is batch x m float, post m float: SV times part scales); else h = the n
 *                               floats of z as they are
 *   PLAIN  t = h                                                              (m = n or 0)
 *   NORM   residual += h where m > 0, else residual stays;
 *          t = weight * residual / sqrt(mean(residual^2) + epsilon)           (m = n or 0; weight n float)
 *   GATE   t = silu(h[n .. 2 n - 1]) * h[0 .. n - 1]                          (m = 2 n or 0: up, then gate)
 *   activations, scale = gosset_quantize_activations(U_n^T (pre * t))         (pre n float: SU)
 *
 * m_* and n_* describe the small matrices as in gosset_transform. GATE with m = 0 reads z as batch x 2 n. residual is
 * batch x n float, changed in place; NORM only. A vector is one block's work, or that of a cluster of eight blocks where
 * it is long or its small matrix large and the device has clusters (compute capability 9 and later). GOSSET_UNSUPPORTED
 * where it fits into neither's shared memory: then do the steps one by one. With 227 KB per block a cluster takes up to
 * 200 000 floats (both transforms of one family and K, n and its columns divisible by the cluster's blocks); without clusters it
 * ends at 12 000 (99 KB) or 20 000 (163 KB) floats with a small matrix, twice that without.
 */
GOSSET_API int32_t gosset_between(int32_t kind, gosset_address z, int32_t m, int32_t m_k, int32_t m_small_kind,
                                  gosset_address m_small, gosset_address post, gosset_address residual,
                                  gosset_address weight, float epsilon, int32_t n, int32_t n_k, int32_t n_small_kind,
                                  gosset_address n_small, gosset_address pre, int32_t batch,
                                  gosset_address activations, gosset_address scale, gosset_stream *stream);

/* ------------------------------------------------------------------------------------------------- the decoder */

/*
 * The rest of a decoder-only transformer. A row is one token: in decoding the rows are the next tokens of different sequences, in
 * prefill they are tokens of one sequence in order. What changes from step to step lies in device memory, so that a step
 * can be recorded once as a graph and launched again and again, whoever takes part in it:
 *
 *   sequences   rows int32: whose row it is, a line of tables; or 0: row r belongs to sequence r
 *   positions   rows int32: the row's position in its sequence, from 0. Negative: the row is idle, and nothing of it is
 *               read or written
 *   tables      sequences x (capacity / GOSSET_CACHE_BLOCK) int32: where each sequence has its blocks of the cache
 *
 * The key-value cache of one layer is two buffers, keys (after rotation) and values, each blocks x kv_heads x
 * GOSSET_CACHE_BLOCK x dim half. Position p of a sequence is row p % GOSSET_CACHE_BLOCK of the block that its table names at p /
 * GOSSET_CACHE_BLOCK. capacity, the longest sequence, is a multiple of GOSSET_CACHE_BLOCK. A position of capacity or more counts as
 * idle. What sequences and tables say is not checked. heads is a multiple of kv_heads; query head h reads key head h / (heads / kv_heads). Arrays of int32 and the
 * settings of gosset_sample need only the alignment of their elements (4 and 8 bytes), so that one row of them may be given.
 * Nothing here waits, allocates, or depends on the order in which the device works. What is computed for a row has the same bits
 * whatever the other rows are and however many.
 */

/*
 * out[r] (n float) = row tokens[r] of the table, vocabulary x n of F32, F16 or BF16. tokens: rows int32; a token outside the
 * vocabulary gives zeros. positions may be 0: no row is idle.
 */
GOSSET_API int32_t gosset_embed(gosset_address table, int32_t table_type, int32_t vocabulary, int32_t n,
                                gosset_address tokens, gosset_address positions, int32_t rows, gosset_address out,
                                gosset_stream *stream);

/*
 * residual[r] += h[r] where h is not 0; then out[r] = weight * residual[r] / sqrt(mean(residual[r]^2) + epsilon) where out
 * is not 0. residual and h are rows x n float, weight n float, out rows x n of out_type, F32 or F16.
 */
GOSSET_API int32_t gosset_residual_norm(gosset_address residual, gosset_address h, gosset_address weight, float epsilon,
                                        int32_t n, int32_t rows, gosset_address out, int32_t out_type,
                                        gosset_stream *stream);

/* out[r] = silu(h[r][n .. 2 n - 1]) * h[r][0 .. n - 1]: h is rows x 2 n float, up then gate; out rows x n of F32 or F16. */
GOSSET_API int32_t gosset_gate(gosset_address h, int32_t n, int32_t rows, gosset_address out, int32_t out_type,
                               gosset_stream *stream);

/* x[r] += bias: x rows x n float, bias n float. */
GOSSET_API int32_t gosset_add_bias(gosset_address x, gosset_address bias, int32_t n, int32_t rows,
                                   gosset_stream *stream);

/*
 * What stands between the product of queries, keys and values and attention. For each row: adds the bias; RMS-normalizes
 * each query and key head; rotates the pairs (i, i + dim / 2) of queries and keys by the angles of the row's position; stores
 * the queries for attention and keys and values in the cache.
 *
 * qkv       rows x (heads + 2 kv_heads) dim float: queries, keys, values; not changed
 * bias      (heads + 2 kv_heads) dim float, or 0
 * q_norm    dim float each, the weights of the norms of query and key heads, with epsilon; both or neither 0
 * k_norm
 * angles    capacity x dim / 2 x 2 float: cosine and sine for each position and pair
 * tables    0: keys and values are sequences x kv_heads x capacity x dim, any capacity, as a GEMM wants them
 * queries   rows x heads x dim of query_type: F32 for gosset_attention, F16 for a GEMM; not qkv
 * dim       at most 256, a multiple of 8
 */
GOSSET_API int32_t gosset_rotate_store(gosset_address qkv, gosset_address bias, gosset_address q_norm,
                                       gosset_address k_norm, float epsilon, gosset_address angles,
                                       gosset_address sequences, gosset_address positions, gosset_address tables,
                                       int32_t rows, int32_t heads, int32_t kv_heads, int32_t dim, int32_t capacity,
                                       gosset_address queries, int32_t query_type, gosset_address keys,
                                       gosset_address values, gosset_stream *stream);

/*
 * Positions from .. from + count - 1 of one sequence's keys, or values, of a layer as a GEMM wants them: head kv in rows of
 * dim half at out + kv * step elements. table: the blocks of the sequence. step: a multiple of 8, at least count * dim.
 */
GOSSET_API int32_t gosset_collect(gosset_address cache, gosset_address table, int32_t kv_heads, int32_t dim, int32_t from,
                                  int32_t count, int64_t step, gosset_address out, gosset_stream *stream);

/*
 * Attention for few rows, each over its own sequence's cache: out[r][h] = softmax(scale q k^T) v over the positions
 * max(0, p - window + 1) .. p, p the row's own (window 0: from 0 on). queries and out are rows x heads x dim float. The
 * visible positions are cut into at most `splits` parts that blocks walk side by side and that are put together in a fixed
 * order. Query heads that share a key head share its reads, 8 at a time.
 *
 * splits    1 to 256; 1 where rows * heads > 4096
 * work      gosset_attention_work(rows, heads, dim, splits) bytes, or 0 where that is 0. The first 16384 bytes must be
 *           zero before the first call and are zero after every call; calls one after the other may share the buffer
 * dim       at most 256, a multiple of 8
 */
GOSSET_API int32_t gosset_attention(gosset_address queries, gosset_address keys, gosset_address values,
                                    gosset_address sequences, gosset_address positions, gosset_address tables,
                                    int32_t rows, int32_t heads, int32_t kv_heads, int32_t dim, int32_t capacity,
                                    int32_t window, float scale, int32_t splits, gosset_address work,
                                    gosset_address out, gosset_stream *stream);

/* Bytes of work that gosset_attention needs: 0 for one split, negative where an argument is wrong. */
GOSSET_API int64_t gosset_attention_work(int32_t rows, int32_t heads, int32_t dim, int32_t splits);

/*
 * *splits = how many splits fill the current device with one row when `visible` positions (the capacity, or the window where
 * that is less) are there: the number for up to GOSSET_MAX_BATCH rows, since a row's sums are cut by it.
 */
GOSSET_API int32_t gosset_attention_splits(int32_t heads, int32_t kv_heads, int32_t visible, int32_t *splits);

/*
 * The middle of attention over many tokens of one sequence, between the two products of cuBLAS: softmax over the visible
 * columns of `planes` (heads) times `rows` (tokens) scores.
 *
 * scores         planes x rows x stride float; row r of every plane has position first + r and sees the columns
 *                max(0, first + r - window + 1) .. first + r (window 0: from 0 on) below `columns`
 * probabilities  planes x rows x stride half: softmax(scale * scores), zero in the invisible columns below `columns`.
 *                Columns from there to stride are left alone
 */
GOSSET_API int32_t gosset_causal_softmax(gosset_address scores, gosset_address probabilities, int32_t planes,
                                         int32_t rows, int32_t columns, int32_t stride, int32_t first, int32_t window,
                                         float scale, gosset_stream *stream);

/*
 * y[r] = W x[r] + bias for 1 to GOSSET_MAX_BATCH rows: the head of a model, and linears that are not quantized, in
 * decoding. Every weight is read once for all rows; sums are float in a fixed order.
 *
 * type     of the m x n weights: F32, F16, BF16 or I8
 * scales   I8: m float, the weight is int8 times the scale of its row; else 0
 * bias     m float, or 0
 * x, y     rows x n and rows x m float
 */
GOSSET_API int32_t gosset_dense(int32_t type, int32_t m, int32_t n, int32_t rows, gosset_address w,
                                gosset_address scales, gosset_address bias, gosset_address x, gosset_address y,
                                gosset_stream *stream);

/*
 * Rounds an m x n matrix of F32, F16 or BF16 row by row to int8: scales[i] = max|w[i]| / 127 (m float), out[i] =
 * round(w[i] / scales[i]), a row of zeros with scale 0.
 */
GOSSET_API int32_t gosset_quantize_rows(int32_t type, int32_t m, int32_t n, gosset_address w, gosset_address out,
                                        gosset_address scales, gosset_stream *stream);

/*
 * Draws the next token of each row as dev.gosset.llm.sampling.Sampler does, temperature, then top-k, then top-p, and writes
 * down what the next step needs. Row r at position p (idle rows are left alone):
 *
 *   weight of a token  exp((logit - largest logit) / temperature), a multiple of 2^-44, so that sums are exact
 *   kept               the top_k heaviest (0: all), ties in the order of tokens; of these the fewest heaviest whose weights
 *                      reach top_p of theirs
 *   drawn              with u = (z >> 11) 2^-53 the first kept token whose running sum exceeds u times the sum of the kept,
 *                      heaviest first, or in the order of tokens where top_k = 0 and top_p = 1. z is number p - first of
 *                      java.util.SplittableRandom(seed): the finalizer (z ^ z >> 30) * 0xbf58476d1ce4e5b9,
 *                      (z ^ z >> 27) * 0x94d049bb133111eb, z ^ z >> 31 of seed + (p - first + 1) * 0x9e3779b97f4a7c15
 *   temperature 0 or top_k 1: the first maximum
 *   a NaN among the logits, or a largest one that is not finite: no token, -1, and the row ends
 *
 *   tokens[r] = history[r][p + 1] = the token; positions[r] = p + 1, or -(p + 2), idle, where the token is an end token
 *   or the sequence has reached its limit: p + 2 >= limit.
 *
 * logits      rows x vocabulary float, not changed; vocabulary at most 2^19
 * settings    rows x GOSSET_SAMPLING_BYTES: float64 temperature, float64 top_p in (0, 1], uint64 seed, int32 top_k, int32 first,
 *             the position of the row that the first token is drawn from, int32 limit, the most tokens of the sequence,
 *             prompt included, int32 0
 * end_tokens  end_count int32; 0 where end_count is 0
 * history     rows x capacity int32; a token beyond capacity is not written. Or 0
 * work        gosset_sample_work(vocabulary, rows) bytes
 */
GOSSET_API int32_t gosset_sample(gosset_address logits, int32_t vocabulary, int32_t rows, gosset_address settings,
                                 gosset_address end_tokens, int32_t end_count, int32_t capacity, gosset_address tokens,
                                 gosset_address positions, gosset_address history, gosset_address work,
                                 gosset_stream *stream);

/* Bytes of work that gosset_sample needs; negative where an argument is wrong. */
GOSSET_API int64_t gosset_sample_work(int32_t vocabulary, int32_t rows);

/* ------------------------------------------------------------------------------------------------- rounding */

/*
 * Nearest codebook points of `count` vectors of 8 floats: values (count x 8 float) and codes (count int32, as
 * CodeMatrix.code). A search in float: within float rounding of a tie either point may come out.
 */
GOSSET_API int32_t gosset_nearest(int32_t bits, gosset_address x, int32_t count, float residual_scale,
                                  gosset_address values, gosset_address codes, gosset_stream *stream);

/*
 * One group of columns start .. start + width - 1 (width at most 128 and a multiple of 8) of an LDLQ sweep over an m x n
 * matrix, n a multiple of 8, blocks of 8 columns from last to first, as in dev.gosset.core.rounding.Ldlq:
 *
 *   target = x[:, k] + base[:, k] + change[:, > k] matrix[> k, k];  Q[:, k] = nearest(target)
 *   error[:, k] <- x[:, k] - Q[:, k], and change is by how much that changed it
 *
 * x, error m x n float; matrix n x n float; base m x width float: what other groups contribute, or 0 for nothing; codes
 * m x n / 8 int32, or 0 for none.
 */
GOSSET_API int32_t gosset_ldlq_group(int32_t bits, int32_t m, int32_t n, int32_t start, int32_t width,
                                     gosset_address x, gosset_address matrix, gosset_address base,
                                     gosset_address error, float residual_scale, gosset_address codes,
                                     gosset_stream *stream);

/* m x groups int32 codes into the planes of docs/formats.md. */
GOSSET_API int32_t gosset_codes_to_planes(int32_t bits, int32_t m, int32_t n, gosset_address codes,
                                          gosset_address planes, gosset_stream *stream);

/*
 * The small steps of a blocked Cholesky factorization A = C C^T (row-major, lower triangle, stride n; the large ones are
 * TRSM and SYRK of cuBLAS): factors the width x width diagonal block at `at`, width at most 64, in place. Where a pivot
 * is not positive and finite, *failure (one int32 on the device, 0 beforehand) becomes its row + 1 and the block is left
 * as it is.
 */
GOSSET_API int32_t gosset_cholesky_block(gosset_address a, int32_t n, int32_t at, int32_t width,
                                         gosset_address failure, gosset_stream *stream);

/*
 * Makes the L of the block LDL decomposition (blocks of 8) from a Cholesky factor, in place: every block column is
 * multiplied from the right by the inverse of its diagonal block, diagonal blocks become the identity, everything above
 * them zero. n is a multiple of 8.
 */
GOSSET_API int32_t gosset_block_ldl(gosset_address c, int32_t n, gosset_stream *stream);

/*
 * The matrix of a greedy pass: out[:, k] = h[:, k] h[k, k]^-1 for every block k of 8 columns, diagonal blocks zero. h and
 * out are n x n float and must not overlap. failure as in gosset_cholesky_block.
 */
GOSSET_API int32_t gosset_greedy_matrix(gosset_address h, gosset_address out, int32_t n, gosset_address failure,
                                        gosset_stream *stream);

/* Numbers that gosset_dot leaves to be added up. */
#define GOSSET_DOT_PARTS 128

/*
 * The inner product of two arrays of `count` floats, products and sums in float64: `parts` receives GOSSET_DOT_PARTS
 * doubles whose sum it is. The same bits every time.
 */
GOSSET_API int32_t gosset_dot(gosset_address x, gosset_address y, int64_t count, gosset_address parts,
                              gosset_stream *stream);

/* sums[j] += sum of column j of x (rows x n float); sums n double. The same bits every time. */
GOSSET_API int32_t gosset_column_sums(gosset_address x, int32_t rows, int32_t n, gosset_address sums,
                                      gosset_stream *stream);

/* out (columns x rows float) = the transpose of x (rows x columns); two buffers that do not overlap. */
GOSSET_API int32_t gosset_transpose(gosset_address x, int32_t rows, int32_t columns, gosset_address out,
                                    gosset_stream *stream);

#ifdef __cplusplus
}
#endif

#endif
