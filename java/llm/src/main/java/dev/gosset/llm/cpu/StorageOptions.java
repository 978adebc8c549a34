package dev.gosset.llm.cpu;

import dev.gosset.core.memory.Dtype;

/**
 * How a running model keeps what is not quantized in its file. Chosen when it is opened; the file stays as it is.
 *
 * @param byteHead whether the head is rounded to bytes with one scale for each token of the vocabulary, see {@link
 *     dev.gosset.core.kernel.dense.ByteProduct}: half of what float16 reads for every token, in memory of its own. Otherwise it
 *     is read as stored
 * @param cache how {@link KeyValueCache} keeps keys and values: F32, F16 or I8
 */
public record StorageOptions(boolean byteHead, Dtype cache) {
    public StorageOptions {
        KeyValuePool.requireKnown(cache);
    }

    /** The head as stored, the cache in float16. */
    public static StorageOptions defaults() {
        return new StorageOptions(false, Dtype.F16);
    }

    public StorageOptions withByteHead() {
        return new StorageOptions(true, cache);
    }

    public StorageOptions withCache(Dtype dtype) {
        return new StorageOptions(byteHead, dtype);
    }
}
