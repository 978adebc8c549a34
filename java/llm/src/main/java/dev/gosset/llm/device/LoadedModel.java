package dev.gosset.llm.device;

import dev.gosset.core.DeviceException;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.plan.ModelConfig;

/**
 * A model where it computes: the processor, or a device that holds its weights. Generation and evaluation run over this
 * interface and so the same way on either. Calls from several threads wait for each other.
 */
public interface LoadedModel extends AutoCloseable {
    ModelConfig config();

    /** The device that computes. */
    Device device();

    /** Threads for what the processor does beside it, such as reading logits. */
    ThreadTeam team();

    /** The most bytes of the device's own memory that were held at any time, caches included; 0 on the processor. */
    long peakDeviceBytes();

    /**
     * Sequences that come and go.
     *
     * @param sequences the most at a time; fewer where the backend or the device's memory ends before
     * @param context the most tokens of each
     * @throws DeviceException where not even one fits into the device's memory
     */
    default Batch batch(int sequences, int context) {
        return batch(sequences, context, 0);
    }

    /**
     * Sequences that come and go, in a memory of a given size.
     *
     * @param sequences the most at a time
     * @param context the most tokens of each
     * @param cacheBytes the most memory for keys and values; 0 for as much as the backend thinks right
     * @throws dev.gosset.core.GossetException where that does not hold one sequence
     */
    Batch batch(int sequences, int context, long cacheBytes);

    /** The logits of rows of a sequence; see {@link #logits}. */
    @FunctionalInterface
    interface LogitsReader {
        /**
         * @param first the first row
         * @param logits rows x vocabulary: row r holds those of the token after {@code first + r}; valid during the call
         */
        void read(int first, FloatMatrix logits);
    }

    /**
     * Runs a whole sequence and hands out logits, a bounded number of rows at a time and in order.
     *
     * @param from the first row wanted: the logits of token {@code from + 1}
     * @param to the row after the last wanted
     */
    void logits(int[] tokens, int from, int to, LogitsReader reader);

    @Override
    void close();
}
