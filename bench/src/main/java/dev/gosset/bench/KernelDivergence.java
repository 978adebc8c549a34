package dev.gosset.bench;

import dev.gosset.core.kernel.Kernels;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.cpu.KeyValueCache;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.cpu.Transformer;
import dev.gosset.llm.evaluate.Divergence;
import dev.gosset.llm.io.TextFile;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.tokenizer.Tokenizer;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * What the rounding of kernels does to a model beside what its quantization does: mean Kullback-Leibler divergences of the next token's
 * distribution, in nats, over a text. P is the original model, Q the quantized one with products in float64, K the quantized
 * one with the kernels of this JVM; all token by token, as in decoding, with keys and values in float32.
 *
 * <p>{@code bench/run divergence ORIGINAL QUANTIZED TEXT [CHUNKS]}, chunks of {@value #CONTEXT} tokens, 8 by default. {@code
 * JAVA_TOOL_OPTIONS=-Dgosset.matvec=nibbles} takes the kernels of processors without AVX-512.
 */
final class KernelDivergence {
    private static final int CONTEXT = 256;

    private KernelDivergence() {}

    public static void main(String[] args) {
        int chunks = args.length > 3 ? Integer.parseInt(args[3]) : 8;
        StorageOptions storage = StorageOptions.defaults();
        try (ThreadTeam team = ThreadTeam.ofProcessors();
                Workspace workspace = new Workspace(team);
                Tokenizer tokenizer = Tokenizer.open(Path.of(args[0]));
                Model original = Model.open(Path.of(args[0]), storage, team);
                Model exact = Model.open(Path.of(args[1]), storage, team, Kernels.scalar());
                Model kernel = Model.open(Path.of(args[1]), storage, team);
                Arena arena = Arena.ofShared()) {
            int[] tokens = tokenizer.encode(TextFile.read(Path.of(args[2])), true);
            chunks = Math.min(chunks, tokens.length / CONTEXT);
            int vocabulary = original.config().vocabularySize();
            FloatMatrix p = FloatMatrix.allocate(arena, CONTEXT, vocabulary);
            FloatMatrix q = FloatMatrix.allocate(arena, CONTEXT, vocabulary);
            FloatMatrix k = FloatMatrix.allocate(arena, CONTEXT, vocabulary);
            double pq = 0;
            double pk = 0;
            double qk = 0;
            for (int c = 0; c < chunks; c++) {
                int[] chunk = Arrays.copyOfRange(tokens, c * CONTEXT, (c + 1) * CONTEXT);
                logits(original, chunk, p, workspace);
                logits(exact, chunk, q, workspace);
                logits(kernel, chunk, k, workspace);
                for (int t = 0; t < CONTEXT; t++) {
                    pq += Divergence.of(p, q, t);
                    pk += Divergence.of(p, k, t);
                    qk += Divergence.of(q, k, t);
                }
            }
            int count = chunks * CONTEXT;
            System.out.printf(
                    Locale.ROOT,
                    "%s, %d tokens: KL(P||Q) %.6f, KL(P||K) %.6f, %+.4f %% by the kernels; KL(Q||K) %.3e, %.5f %%%n",
                    Kernels.selection().get(1),
                    count,
                    pq / count,
                    pk / count,
                    100 * (pk / pq - 1),
                    qk / count,
                    100 * qk / pq);
        }
    }

    private static void logits(Model model, int[] tokens, FloatMatrix logits, Workspace workspace) {
        try (KeyValueCache cache = new KeyValueCache(model.config(), tokens.length, Dtype.F32)) {
            for (int t = 0; t < tokens.length; t++) {
                Transformer.Segment token = new Transformer.Segment(cache, new int[] {tokens[t]}, 1);
                model.transformer().run(List.of(token), logits.rows(t, t + 1), workspace);
            }
        }
    }
}
