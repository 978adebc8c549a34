/*
 * The decoder's part of the C ABI: argument checks before the launchers. See include/gosset_cuda.h for the contract.
 */
#include "status.h"

using namespace gosset;

static_assert(sizeof(SampleSettings) == GOSSET_SAMPLING_BYTES, "the settings' layout is part of the ABI");
static_assert(kAttentionCounters * 4 == 16384, "the size of the counters is part of the ABI");

namespace {

bool stored(int type) { return type == GOSSET_F32 || type == GOSSET_F16 || type == GOSSET_BF16; }
bool computed(int type) { return type == GOSSET_F32 || type == GOSSET_F16; }
bool good_rows(int rows) { return rows >= 0 && rows <= 1 << 24; }
bool good_width(int n) { return n >= 1 && n <= 1 << 22; }
bool words(gosset_address a) { return a != 0 && a % 4 == 0; }
bool words_or_none(gosset_address a) { return a % 4 == 0; }
bool good_heads(int heads, int kv_heads) {
    return kv_heads >= 1 && heads >= kv_heads && heads % kv_heads == 0 && heads <= kMaxHeads;
}
bool good_dim(int dim) { return dim >= 8 && dim <= kMaxDim && dim % 8 == 0; }
/* Blocks of the cache are whole. */
bool good_capacity(int capacity, bool blocks) { return capacity >= 1 && (!blocks || capacity % kCacheBlock == 0); }

}  // namespace

int32_t gosset_embed(gosset_address table, int32_t table_type, int32_t vocabulary, int32_t n, gosset_address tokens,
                     gosset_address positions, int32_t rows, gosset_address out, gosset_stream *stream) {
    REQUIRE(stored(table_type) && vocabulary >= 1 && good_width(n) && good_rows(rows),
            "gosset_embed: %d rows of a table of %d x %d, type %d", rows, vocabulary, n, table_type);
    REQUIRE(aligned(table) && aligned(out) && words(tokens) && words_or_none(positions),
            "gosset_embed: table, tokens or out is missing or not aligned");
    if (rows == 0) {
        return GOSSET_OK;
    }
    return checked(embed(pointer<void>(table), table_type, vocabulary, n, pointer<int32_t>(tokens),
                         pointer<int32_t>(positions), rows, pointer<float>(out), native(stream)),
                   "gosset_embed");
}

int32_t gosset_residual_norm(gosset_address residual, gosset_address h, gosset_address weight, float epsilon,
                             int32_t n, int32_t rows, gosset_address out, int32_t out_type, gosset_stream *stream) {
    REQUIRE(good_width(n) && good_rows(rows) && computed(out_type) && epsilon >= 0,
            "gosset_residual_norm: %d rows of %d into type %d, epsilon %g", rows, n, out_type,
            static_cast<double>(epsilon));
    REQUIRE(aligned(residual) && aligned_or_none(h) && aligned_or_none(out) && (out == 0 || aligned(weight)),
            "gosset_residual_norm: residual, h, weight or out is missing or not aligned to 16 bytes");
    REQUIRE(h != residual && out != residual && (out == 0 || out != h), "gosset_residual_norm: the same buffer twice");
    if (rows == 0 || (h == 0 && out == 0)) {
        return GOSSET_OK;
    }
    return checked(residual_norm(pointer<float>(residual), pointer<float>(h), pointer<float>(weight), epsilon, n, rows,
                                 pointer<void>(out), out_type, native(stream)),
                   "gosset_residual_norm");
}

int32_t gosset_gate(gosset_address h, int32_t n, int32_t rows, gosset_address out, int32_t out_type,
                    gosset_stream *stream) {
    REQUIRE(good_width(n) && good_rows(rows) && computed(out_type), "gosset_gate: %d rows of %d into type %d", rows, n,
            out_type);
    REQUIRE(aligned(h) && aligned(out) && h != out, "gosset_gate: h and out must be two buffers aligned to 16 bytes");
    if (rows == 0) {
        return GOSSET_OK;
    }
    return checked(gate(pointer<float>(h), n, rows, pointer<void>(out), out_type, native(stream)), "gosset_gate");
}

int32_t gosset_add_bias(gosset_address x, gosset_address bias, int32_t n, int32_t rows, gosset_stream *stream) {
    REQUIRE(good_width(n) && good_rows(rows), "gosset_add_bias: %d rows of %d", rows, n);
    REQUIRE(aligned(x) && aligned(bias), "gosset_add_bias: x or bias is missing or not aligned to 16 bytes");
    if (rows == 0) {
        return GOSSET_OK;
    }
    return checked(add_bias(pointer<float>(x), pointer<float>(bias), n, rows, native(stream)), "gosset_add_bias");
}

int32_t gosset_rotate_store(gosset_address qkv, gosset_address bias, gosset_address q_norm, gosset_address k_norm,
                            float epsilon, gosset_address angles, gosset_address sequences, gosset_address positions,
                            gosset_address tables, int32_t rows, int32_t heads, int32_t kv_heads, int32_t dim,
                            int32_t capacity, gosset_address queries, int32_t query_type, gosset_address keys,
                            gosset_address values, gosset_stream *stream) {
    REQUIRE(good_heads(heads, kv_heads) && good_dim(dim) && good_rows(rows) && good_capacity(capacity, tables != 0) &&
                computed(query_type) && epsilon >= 0,
            "gosset_rotate_store: %d rows, %d and %d heads of %d, capacity %d, query type %d, epsilon %g", rows, heads,
            kv_heads, dim, capacity, query_type, static_cast<double>(epsilon));
    REQUIRE(aligned(qkv) && aligned_or_none(bias) && aligned_or_none(q_norm) && aligned_or_none(k_norm) &&
                aligned(angles) && aligned(queries) && aligned(keys) && aligned(values) && words_or_none(sequences) &&
                words(positions) && words_or_none(tables),
            "gosset_rotate_store: a buffer is missing or not aligned");
    REQUIRE((q_norm == 0) == (k_norm == 0) && qkv != queries && keys != values,
            "gosset_rotate_store: one norm without the other, or the same buffer twice");
    if (rows == 0) {
        return GOSSET_OK;
    }
    RotateStore r = {pointer<float>(qkv),
                     pointer<float>(bias),
                     pointer<float>(q_norm),
                     pointer<float>(k_norm),
                     epsilon,
                     pointer<float>(angles),
                     pointer<int32_t>(sequences),
                     pointer<int32_t>(positions),
                     pointer<int32_t>(tables),
                     rows,
                     heads,
                     kv_heads,
                     dim,
                     capacity,
                     pointer<void>(queries),
                     query_type,
                     pointer<__half>(keys),
                     pointer<__half>(values)};
    return checked(rotate_store(r, native(stream)), "gosset_rotate_store");
}

int32_t gosset_collect(gosset_address cache, gosset_address table, int32_t kv_heads, int32_t dim, int32_t from,
                       int32_t count, int64_t step, gosset_address out, gosset_stream *stream) {
    REQUIRE(kv_heads >= 1 && kv_heads <= kMaxHeads && good_dim(dim) && from >= 0 && count >= 0 && from < kLargest &&
                count <= 1 << 24 && step >= static_cast<int64_t>(count) * dim && step % 8 == 0,
            "gosset_collect: %d positions from %d of %d heads of %d, %lld apart", count, from, kv_heads, dim,
            static_cast<long long>(step));
    REQUIRE(aligned(cache) && words(table) && aligned(out) && cache != out,
            "gosset_collect: cache, table or out is missing or not aligned");
    if (count == 0) {
        return GOSSET_OK;
    }
    return checked(collect(pointer<__half>(cache), pointer<int32_t>(table), kv_heads, dim, from, count, step,
                           pointer<__half>(out), native(stream)),
                   "gosset_collect");
}

int64_t gosset_attention_work(int32_t rows, int32_t heads, int32_t dim, int32_t splits) {
    if (!good_rows(rows) || heads < 1 || heads > kMaxHeads || !good_dim(dim) || splits < 1 || splits > kMaxSplits ||
        (splits > 1 && static_cast<int64_t>(rows) * heads > kAttentionCounters)) {
        return -1;
    }
    return splits == 1 ? 0 : attention_work_bytes(rows, heads, dim, splits);
}

int32_t gosset_attention_splits(int32_t heads, int32_t kv_heads, int32_t visible, int32_t *splits) {
    REQUIRE(splits != nullptr && good_heads(heads, kv_heads) && visible >= 1,
            "gosset_attention_splits: %d and %d heads, %d visible positions", heads, kv_heads, visible);
    Limits limits;
    int32_t status = current_limits(&limits);
    if (status == GOSSET_OK) {
        *splits = attention_splits(heads, kv_heads, visible, limits);
    }
    return status;
}

int32_t gosset_attention(gosset_address queries, gosset_address keys, gosset_address values, gosset_address sequences,
                         gosset_address positions, gosset_address tables, int32_t rows, int32_t heads,
                         int32_t kv_heads, int32_t dim, int32_t capacity, int32_t window, float scale, int32_t splits,
                         gosset_address work, gosset_address out, gosset_stream *stream) {
    REQUIRE(good_heads(heads, kv_heads) && good_dim(dim) && good_rows(rows) && good_capacity(capacity, true) &&
                window >= 0,
            "gosset_attention: %d rows, %d and %d heads of %d, capacity %d (a multiple of %d), window %d", rows, heads,
            kv_heads, dim, capacity, kCacheBlock, window);
    REQUIRE(static_cast<int64_t>(rows) * heads < kLargest, "gosset_attention: %d rows of %d heads at once", rows, heads);
    int64_t work_bytes = gosset_attention_work(rows, heads, dim, splits);
    REQUIRE(work_bytes >= 0, "gosset_attention: %d splits of %d rows of %d heads; at most %d, and 1 above %d rows of heads",
            splits, rows, heads, kMaxSplits, kAttentionCounters);
    REQUIRE(aligned(queries) && aligned(keys) && aligned(values) && aligned(out) && words_or_none(sequences) &&
                words(positions) && words(tables) && (work_bytes == 0 || aligned(work)),
            "gosset_attention: a buffer is missing or not aligned; work needs %lld bytes",
            static_cast<long long>(work_bytes));
    if (rows == 0) {
        return GOSSET_OK;
    }
    Attention a = {pointer<float>(queries),
                   pointer<__half>(keys),
                   pointer<__half>(values),
                   pointer<int32_t>(sequences),
                   pointer<int32_t>(positions),
                   pointer<int32_t>(tables),
                   rows,
                   heads,
                   kv_heads,
                   dim,
                   capacity,
                   window,
                   scale,
                   splits,
                   work_bytes == 0 ? nullptr : pointer<unsigned>(work),
                   pointer<float>(out)};
    return checked(attention(a, native(stream)), "gosset_attention");
}

int32_t gosset_causal_softmax(gosset_address scores, gosset_address probabilities, int32_t planes, int32_t rows,
                              int32_t columns, int32_t stride, int32_t first, int32_t window, float scale,
                              gosset_stream *stream) {
    REQUIRE(planes >= 0 && planes <= 65535 && good_rows(rows) && columns >= 1 && stride >= columns && first >= 0 &&
                first < kLargest && window >= 0 && static_cast<int64_t>(first) + rows <= columns,
            "gosset_causal_softmax: %d planes of %d rows and %d columns (stride %d) from position %d, window %d: every "
            "row's own position must be a column",
            planes, rows, columns, stride, first, window);
    REQUIRE(aligned(scores) && aligned(probabilities) && scores != probabilities,
            "gosset_causal_softmax: scores and probabilities must be two buffers aligned to 16 bytes");
    if (planes == 0 || rows == 0) {
        return GOSSET_OK;
    }
    return checked(causal_softmax(pointer<float>(scores), pointer<__half>(probabilities), planes, rows, columns, stride,
                                  first, window, scale, native(stream)),
                   "gosset_causal_softmax");
}

int32_t gosset_dense(int32_t type, int32_t m, int32_t n, int32_t rows, gosset_address w, gosset_address scales,
                     gosset_address bias, gosset_address x, gosset_address y, gosset_stream *stream) {
    REQUIRE((stored(type) || type == GOSSET_I8) && m >= 1 && m <= kLargest && good_width(n) && rows >= 1 &&
                rows <= GOSSET_MAX_BATCH,
            "gosset_dense: %d rows by %d x %d of type %d; 1 to %d rows", rows, m, n, type, GOSSET_MAX_BATCH);
    REQUIRE((type == GOSSET_I8) == (scales != 0), "gosset_dense: scales belong to type %d and to it alone, found type %d",
            GOSSET_I8, type);
    REQUIRE(aligned(w) && aligned_or_none(scales) && aligned_or_none(bias) && aligned(x) && aligned(y) && x != y,
            "gosset_dense: a buffer is missing or not aligned to 16 bytes");
    Limits limits;
    int32_t status = current_limits(&limits);
    if (status != GOSSET_OK) {
        return status;
    }
    Dense d = {type, m, n, rows, pointer<void>(w), pointer<float>(scales), pointer<float>(bias), pointer<float>(x),
               pointer<float>(y)};
    return checked(dense(d, limits, native(stream)), "gosset_dense");
}

int32_t gosset_quantize_rows(int32_t type, int32_t m, int32_t n, gosset_address w, gosset_address out,
                             gosset_address scales, gosset_stream *stream) {
    REQUIRE(stored(type) && m >= 1 && m <= kLargest && good_width(n), "gosset_quantize_rows: %d x %d of type %d", m, n,
            type);
    REQUIRE(aligned(w) && aligned(out) && aligned(scales) && w != out,
            "gosset_quantize_rows: a buffer is missing or not aligned to 16 bytes");
    return checked(quantize_rows(pointer<void>(w), type, m, n, pointer<int8_t>(out), pointer<float>(scales),
                                 native(stream)),
                   "gosset_quantize_rows");
}

int64_t gosset_sample_work(int32_t vocabulary, int32_t rows) {
    return vocabulary >= 1 && vocabulary <= kMaxVocabulary && rows >= 1 && rows <= 65535
               ? sample_work_bytes(vocabulary, rows)
               : -1;
}

int32_t gosset_sample(gosset_address logits, int32_t vocabulary, int32_t rows, gosset_address settings,
                      gosset_address end_tokens, int32_t end_count, int32_t capacity, gosset_address tokens,
                      gosset_address positions, gosset_address history, gosset_address work, gosset_stream *stream) {
    REQUIRE(gosset_sample_work(vocabulary, rows) > 0 && end_count >= 0 && capacity >= 1,
            "gosset_sample: %d rows of %d logits (at most %d), %d end tokens, capacity %d", rows, vocabulary,
            kMaxVocabulary, end_count, capacity);
    REQUIRE(words(logits) && settings != 0 && settings % 8 == 0 && words_or_none(end_tokens) &&
                (end_tokens != 0 || end_count == 0) && words(tokens) && words(positions) && words_or_none(history) &&
                aligned(work),
            "gosset_sample: a buffer is missing or not aligned; work needs %lld bytes",
            static_cast<long long>(gosset_sample_work(vocabulary, rows)));
    Sample s = {pointer<float>(logits),
                vocabulary,
                rows,
                pointer<SampleSettings>(settings),
                pointer<int32_t>(end_tokens),
                end_count,
                capacity,
                pointer<int32_t>(tokens),
                pointer<int32_t>(positions),
                pointer<int32_t>(history),
                pointer<void>(work)};
    return checked(sample(s, native(stream)), "gosset_sample");
}
