package dev.gosset.llm.quantize;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.rounding.Hessian;
import dev.gosset.llm.plan.BlockPlan;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.plan.ModelConfig;
import java.util.HashMap;
import java.util.Map;

/**
 * What quantizing a model takes with the usual settings, told from its shapes before anything long begins.
 *
 * @param linears bytes of the quantized linears, at most
 * @param bytes of the result, at most
 * @param workBytes of the result and the finished blocks, which lie on the disk together at the end
 * @param memory bytes besides the mapped model: the Hessians of the block that needs most, what rounding the greatest group
 *     takes, and the hidden states of 128 sequences of 2048 tokens, or of as many as the model has positions. Where experts are
 *     rounded, those of several at once may come on top
 */
public record QuantizationForecast(long linears, long bytes, long workBytes, long memory) {
    /** Hidden states beyond this lie in a file. */
    private static final long HIDDEN_IN_MEMORY = 1L << 30;

    /** Its heap, code and buffers, as measured. */
    private static final long VIRTUAL_MACHINE = 256 << 20;

    private static final int SEQUENCES = 128;
    private static final int CONTEXT = 2048;

    /**
     * The forecast for a model.
     *
     * @param others bytes of all tensors that stay as they are stored
     */
    public static QuantizationForecast of(ModelConfig config, Codebook codebook, long others) {
        long linears = 0;
        long rounding = 0;
        long widest = 0;
        long sums = 0;
        for (BlockPlan block : config.plan().blocks()) {
            Map<String, Long> hessians = new HashMap<>();
            for (LinearGroup group : block.groups()) {
                long m = group.outputs();
                long n = group.inputs();
                widest = Math.max(widest, m);
                linears += CodeMatrix.bytes(codebook, group.outputs(), group.inputs()) + 2 * (m + n) + 4096;
                hessians.put(group.hessian(), 8 * n * n);
                // The parts, their stack and its error; the Hessian as it is kept, made ready, and its factor.
                rounding = Math.max(rounding, 12 * m * n + 4 * Hessian.triangle(group.inputs()) + 8 * n * n);
            }
            sums = Math.max(
                    sums, hessians.values().stream().mapToLong(Long::longValue).sum());
        }
        long tokens = (long) SEQUENCES * Math.min(CONTEXT, config.maxPositions());
        long hidden = Math.min(HIDDEN_IN_MEMORY, 4 * tokens * config.hiddenSize());
        // What one sequence has on its way through a block.
        long passing = 8L * Math.min(CONTEXT, config.maxPositions()) * widest;
        long bytes = linears + others + (1 << 20);
        return new QuantizationForecast(
                linears, bytes, bytes + linears, sums + rounding + hidden + passing + VIRTUAL_MACHINE);
    }
}
